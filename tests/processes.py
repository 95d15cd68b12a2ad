"""The app as real processes: gunicorn and the worker as a Procfile starts them, and scripts that use the services.

Each is a context manager; what it wrote is in `said()`. Every one ends with its test, whatever became of it.
"""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
import requests

from tests.forks import ROOT, Fork
from tests.ports import free_port

__all__ = ["ROOT"]
START_SECONDS, END_SECONDS = 60, 20


class Process:
    """A program of ours on its own, with nothing of this process's environment but what it needs to run."""

    def __init__(self, environment: Mapping[str, str], *command: str) -> None:
        self._last_words = ""
        self._output = tempfile.NamedTemporaryFile()  # noqa: SIM115  closed at the end of the block
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        output = Path(self._output.name)
        self._fork = Fork({**kept, **environment}, command, output, output)

    @property
    def pid(self) -> int:
        return self._fork.pid

    def said(self) -> str:
        """All it wrote so far, stdout and stderr; to be asked for after its end, too."""
        if self._output.closed:
            return self._last_words
        return os.pread(self._output.fileno(), 50_000_000, 0).decode(errors="replace")

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        self._fork.tell(f"{line}\n")

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._fork.poll()

    def wait(self, seconds: float = END_SECONDS) -> int:
        """Its exit code once it has ended by itself."""
        return self._fork.wait(seconds)

    def wait_for(self, words: str, seconds: float = START_SECONDS) -> None:
        """Wait until it has written this."""
        wait_until(lambda: words in self.said() or self.poll() is not None, seconds)
        assert words in self.said(), self.said()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to this one process."""
        os.kill(self.pid, number)

    def end(self) -> int:
        """SIGTERM, and SIGKILL for it and its children when that does not help; its exit code."""
        family = _children(self.pid)
        with contextlib.suppress(ProcessLookupError):
            self._fork.send_signal(signal.SIGCONT)
            self._fork.send_signal(signal.SIGTERM)
        try:
            return self._fork.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._fork.send_signal(signal.SIGKILL)
            return self._fork.wait()
        finally:
            for child in family:
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        self._fork.close()
        self._last_words = self.said()
        self._output.close()


class Web(Process):
    """gunicorn with one process of `threads` threads on a free port of loopback, or this one; ready when it answers."""

    def __init__(self, environment: Mapping[str, str], threads: int = 8, port: int = 0) -> None:
        port = port or free_port()
        self.url = f"http://127.0.0.1:{port}"
        size = {"WEB_CONCURRENCY": "1", "WEB_THREADS": str(threads)}
        super().__init__(
            {**environment, **size}, "-m", "gunicorn", "-c", "gunicorn.conf.py", "-b", f"127.0.0.1:{port}", "app:app"
        )

    def __enter__(self) -> Self:
        try:
            wait_until(self.answers, START_SECONDS)
        except AssertionError:
            self.__exit__(None, None, None)
            raise AssertionError(self.said()) from None
        return self

    def answers(self) -> bool:
        """Whether it says that it lives."""
        assert self.poll() is None, self.said()
        try:
            return requests.get(f"{self.url}/healthz", timeout=10).status_code == 200
        except requests.RequestException:
            return False


class Worker(Process):
    """`flask b24 worker`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        super().__init__(environment, "-m", "flask", "--app", "app", "b24", "worker")


def _children(pid: int) -> list[psutil.Process]:
    try:
        return list(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return []


def wait_until(is_true: Callable[[], object], seconds: float = 30) -> None:
    """Look again and again; AssertionError when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
