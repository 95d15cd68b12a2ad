"""`make test` and `make check`: format, lint and types, and the tests; the exit code is the answer.

`make check` leaves out the tests that start processes or a browser, for the minute between two edits. The types are
read beside the tests, since neither needs all processors all the time. The migrations are checked among the tests
(tests/store/test_migrations.py). Findings in the types come last.

Some tests drive browsers, kill processes and race threads on whatever machine this is. Where at most three failed among
their thousands of neighbours, they are tried once more, alone: what fails again is broken; what passes is named as
unsteady, a defect of its own to be mended (CONTRIBUTING.md), with its first failure in the output above.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
LINTERS = (("ruff", "format", "--check", "--quiet", "."), ("ruff", "check", "--quiet", "."))
TYPES = ("mypy", "--no-error-summary")
# One test process more than processors: some tests wait for a process, a deadline or a page. What is left of a long
# file is taken over by whoever is done.
TESTS = ("pytest", "-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal", "-q")
WITHOUT_PROCESSES = ("-m", "not process and not browser")
WRITES_FAILURES = ("-p", "dev.unsteady", "--failed-to")
ALONE = ("pytest", "-p", "no:xdist", "-q")
SOME_FAILED = 1  # pytest's exit code; others mean that it did not get to the end
MOST_UNSTEADY = 3


def main() -> int:
    """Run all of it; `--quick` leaves tests out, other arguments go to pytest: `python -m dev.check -k runs`."""
    os.chdir(ROOT)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process compiles all modules and tests anew
    asked = sys.argv[1:]
    chosen = WITHOUT_PROCESSES if "--quick" in asked else ()
    more = [each for each in asked if each != "--quick"]
    for step in LINTERS:
        code = subprocess.call(announced(*step))
        if code:
            return code
    with tempfile.TemporaryFile() as findings:
        types = subprocess.Popen(announced(*TYPES), stdout=findings, stderr=subprocess.STDOUT)
        tests = run_tests((*chosen, *more))
        if types.wait():
            findings.seek(0)
            print(findings.read().decode(), "check: the types are wrong, see above", sep="", flush=True)
    return tests or types.returncode


def run_tests(chosen: Sequence[str]) -> int:
    """The exit code of the tests, after a second look at the few that failed."""
    with tempfile.TemporaryDirectory() as folder:
        failed = Path(folder) / "failed"
        code = subprocess.call(announced(*TESTS, *WRITES_FAILURES, str(failed), *chosen))
        names = failed.read_text(encoding="utf-8").splitlines() if failed.is_file() else []
    if code != SOME_FAILED or not 0 < len(names) <= MOST_UNSTEADY:
        return code
    if subprocess.call(announced(*ALONE, *names)):
        return code
    print("check: passed alone, but UNSTEADY, to be mended:", *names, sep="\n  ", flush=True)
    return 0


def announced(module: str, *arguments: str) -> list[str]:
    """The command line of one step, which is said first."""
    print(f"check: {' '.join((module, *arguments))}", flush=True)
    return [PYTHON, "-m", module, *arguments]


if __name__ == "__main__":
    sys.exit(main())
