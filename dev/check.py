"""`make test`: format, lint, types, then every test. Stops at the first that fails; its exit code is the answer.

The migrations are checked among the tests (tests/store/test_migrations.py). pytest comes last, so that its closing
line is the last word.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
STEPS = (
    ("ruff", "format", "--check", "--quiet", "."),
    ("ruff", "check", "--quiet", "."),
    ("mypy", "--no-error-summary"),
    ("pytest", "-n", "3", "--dist", "loadfile", "-q"),
)


def main() -> int:
    """Run the steps in order; arguments go to pytest: `python -m dev.check -k runs`."""
    os.chdir(ROOT)
    for step in STEPS:
        module, *arguments = step
        more = sys.argv[1:] if module == "pytest" else []
        print(f"check: {' '.join((*step, *more))}", flush=True)
        code = subprocess.call([PYTHON, "-m", module, *arguments, *more])
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
