"""Programs that `make run` keeps alive: each in a process group of its own, its lines shown under its name.

The pids stand in a file, so that the next start can end what a killed one left behind.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO

import psutil

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 0.5, 10.0
LIVED_WELL_SECONDS = 30.0
SHOWN_AT_DEATH = 20  # of its last lines, when a program ends by itself
_printing = threading.Lock()


class Log:
    """Where the lines of the programs go: a file, and the terminal too when asked to show all."""

    def __init__(self, path: Path, *, verbose: bool) -> None:
        self.path, self._verbose = path, verbose
        self._file = path.open("w", encoding="utf-8", errors="replace")
        self._guard = threading.Lock()

    def write(self, name: str, line: str) -> None:
        """One line of a program."""
        if self._verbose:
            say(line, name)
        with self._guard:
            self._file.write(f"{name:<9}| {line}\n")
            self._file.flush()


def say(words: str, name: str = "run") -> None:
    """One whole line on the terminal, whoever else is writing."""
    with _printing, suppress(BrokenPipeError):
        sys.stdout.write(words if name == "" else f"{name:<9}| {words}")
        sys.stdout.write("\n")
        sys.stdout.flush()


class Child:
    """One program, started again when it dies, after a growing wait."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        patience: float,
        log: Log,
        on_line: Callable[[str], bool] | None = None,
    ) -> None:
        """One program, not started yet.

        patience  seconds it has to end by itself when asked
        log       takes its lines; the last of them are shown when it dies
        on_line   sees each line of output first; True keeps it out of the log
        """
        self._log, self._last_lines = log, deque[str](maxlen=SHOWN_AT_DEATH)
        self.name, self.command, self.environment = name, list(command), dict(environment)
        self.patience, self._on_line = patience, on_line
        self._process: subprocess.Popen[str] | None = None
        self._started = self._not_before = 0.0
        self._wait = FIRST_WAIT_SECONDS
        self.deaths = 0

    @property
    def pid(self) -> int | None:
        """The number of its process, while it lives."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start it now."""
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            self.command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        threading.Thread(target=self._show, args=(self._process.stdout,), daemon=True).start()

    def look_after(self) -> bool:
        """Start it again if it died and its wait is over; True when it was started."""
        if self.pid is not None or self._process is None:
            return False
        now = time.monotonic()
        if not self._not_before:
            if now - self._started > LIVED_WELL_SECONDS:
                self._wait, self.deaths = FIRST_WAIT_SECONDS, 0
            self.deaths += 1
            say(f"{self.name} ended ({self._process.returncode}), starting it again in {self._wait:g} s; it said last:")
            for line in self._last_lines:
                say(line, self.name)
            kill_group(self._process.pid)
            self._not_before = now + self._wait
            self._wait = min(self._wait * 2, LONGEST_WAIT_SECONDS)
        if now < self._not_before:
            return False
        self._not_before = 0.0
        self.start()
        return True

    def ask_to_end(self) -> None:
        """SIGTERM to it alone: it ends its own children, each in its way."""
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def end(self) -> None:
        """Wait for its end, at most its patience; then end its whole group."""
        if self._process is None:
            return
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(self.patience)
        kill_group(self._process.pid)
        self._process.wait(5)

    def _show(self, output: IO[str] | None) -> None:
        with output or nullcontext(()) as lines:
            for line in lines:
                words = line.rstrip("\n")
                if not (self._on_line and self._on_line(words)):
                    self._last_lines.append(words)
                    self._log.write(self.name, words)


def kill_group(pid: int) -> None:
    """End what is left of a process group of ours."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def write_down(pids: Path, children: Sequence[Child]) -> None:
    """Keep pid and start time of each: a pid alone may be somebody else's by then."""
    living = [psutil.Process(child.pid) for child in children if child.pid and psutil.pid_exists(child.pid)]
    pids.write_text(json.dumps({str(process.pid): process.create_time() for process in living}))


def sweep(pids: Path) -> None:
    """End what a killed start has left running."""
    if not pids.exists():
        return
    for pid, created in json.loads(pids.read_text()).items():
        with suppress(psutil.NoSuchProcess):
            if psutil.Process(int(pid)).create_time() == created:
                say(f"ending process {pid}, left over from an earlier start")
                kill_group(int(pid))
    pids.unlink()
