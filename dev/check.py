"""`make test` and `make check`: format, lint and types, and the tests; the exit code is the answer.

`make check` leaves out the tests that start processes or a browser, for the minute between two edits. The types are
read beside the tests, since neither needs all processors all the time. The migrations are checked among the tests
(tests/store/test_migrations.py). Findings in the types come last.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
LINTERS = (("ruff", "format", "--check", "--quiet", "."), ("ruff", "check", "--quiet", "."))
TYPES = ("mypy", "--no-error-summary")
# One test process more than processors: some tests wait for a process, a deadline or a page. What is left of a long
# file is taken over by whoever is done.
TESTS = ("pytest", "-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal", "-q")
WITHOUT_PROCESSES = ("-m", "not process and not browser")


def main() -> int:
    """Run all of it; `--quick` leaves tests out, other arguments go to pytest: `python -m dev.check -k runs`."""
    os.chdir(ROOT)
    asked = sys.argv[1:]
    chosen = WITHOUT_PROCESSES if "--quick" in asked else ()
    more = [each for each in asked if each != "--quick"]
    for step in LINTERS:
        code = subprocess.call(announced(*step))
        if code:
            return code
    with tempfile.TemporaryFile() as findings:
        types = subprocess.Popen(announced(*TYPES), stdout=findings, stderr=subprocess.STDOUT)
        tests = subprocess.call(announced(*TESTS, *chosen, *more))
        if types.wait():
            findings.seek(0)
            print(findings.read().decode(), "check: the types are wrong, see above", sep="", flush=True)
    return tests or types.returncode


def announced(module: str, *arguments: str) -> list[str]:
    """The command line of one step, which is said first."""
    print(f"check: {' '.join((module, *arguments))}", flush=True)
    return [PYTHON, "-m", module, *arguments]


if __name__ == "__main__":
    sys.exit(main())
