"""Programs of ours as forks of an interpreter that has the app's modules already.

A start of Python with the app computes for a second, nearly all of it imports, and tests start a hundred programs. A
fork has an environment, a folder, standard streams and a number of its own, and lives and dies as any process. What it
does not show is how the interpreter starts; tests of that start one. And it finds no database in the checkout, where
`make run` leaves one.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType

from b24app.store import embedded

ROOT = Path(__file__).parents[1]
RUN_SECONDS = 90
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "b24app.cli",
        "b24app.factory",
        "b24app.jobs",
        "b24app.operations.admin",
        "b24app.operations.doctor",
        "flask.cli",
        "gunicorn.app.wsgiapp",
        "gunicorn.workers.gthread",
        "psycopg_pool",
        "sqlalchemy.dialects.postgresql.psycopg",
        "tests.forks",
    ]
)


class Fork:
    """`python …` with this environment and nothing else of this process's; what it writes goes to files."""

    def __init__(self, environment: Mapping[str, str], command: Sequence[str], out: Path, err: Path) -> None:
        sys.audit("tests.fork", *command)
        reads, self._stdin = FORKS.Pipe(duplex=False)
        program = (dict(environment), tuple(command), reads, out, err)
        self._process = FORKS.Process(target=_become, args=program, daemon=True)
        self._process.start()
        reads.close()

    @property
    def pid(self) -> int:
        return self._process.pid or 0

    def tell(self, words: str) -> None:
        """Write to its standard input."""
        os.write(self._stdin.fileno(), words.encode())

    def close(self) -> None:
        """End its standard input."""
        self._stdin.close()

    def poll(self) -> int | None:
        """Its exit code, a signal as a negative number; None while it runs."""
        return self._process.exitcode

    def wait(self, seconds: float | None = None) -> int:
        """Its exit code once it has ended; subprocess.TimeoutExpired when it does not."""
        self._process.join(seconds)
        code = self.poll()
        if code is None:
            raise subprocess.TimeoutExpired("a fork", seconds or 0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal to this one process, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)


def run(environment: Mapping[str, str], *command: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    """As `subprocess.run`: the ended program, with what it wrote. `answer` is what it reads."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        fork = Fork(environment, command, out, err)
        fork.tell(answer)
        fork.close()
        code = fork.wait(RUN_SECONDS)
        return subprocess.CompletedProcess(command, code, out.read_text(), err.read_text())


def _become(environment: dict[str, str], command: Sequence[str], reads: Connection, out: Path, err: Path) -> None:
    """In the fork: be that program."""
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(ROOT)
    embedded.DEFAULT = Path(f"{out}.postgres")
    os.dup2(reads.fileno(), 0)
    reads.close()
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  for as long as the process lives
    for number, path in ((1, out), (2, err)):
        written = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(written, number)
        os.close(written)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    kind, what, *rest = command
    sys.argv = [kind if kind == "-c" else what, *rest]
    if kind == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        main = sys.modules["__main__"] = ModuleType("__main__")
        exec(what, main.__dict__)  # noqa: S102  a program of the tests' own
