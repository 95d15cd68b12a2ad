"""`make run`: the whole of Sundown on this machine, beside a stand-in for Bitrix24, until Ctrl-C.

PostgreSQL, migrations, the stand-in portals, web and worker, in this order, all on loopback. What dies is started
again. Data stays in `instance/` (and where it says) between starts. Every wait has an end.
"""

import argparse
import base64
import fcntl
import json
import os
import queue
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from b24app.store import embedded
from dev.processes import Child, Log, say, sweep, write_down

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.prefix) / "bin"
HOST = "127.0.0.1"
READY_SECONDS = 90
MIGRATE_SECONDS = 120
LOOK_SECONDS = 0.2
DEATHS_AT_START = 2
KEPT = ("postgres", "standin.json", "keys.json", "run.log")


class CannotRun(SystemExit):
    """Ends the start; its text is what the person reads."""


def main() -> None:
    """Start everything, keep it alive, stop everything."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--port", type=int, default=8100, help="the app's; the stand-in takes the next few")
    parser.add_argument("--reset", action="store_true", help="forget all data first")
    parser.add_argument("--verbose", action="store_true", help="show every line, not only the log file")
    parser.add_argument("--instance", type=Path, default=ROOT / "instance", help="where data is kept")
    asked = parser.parse_args()
    os.chdir(ROOT)
    stopping = stop_signals()
    asked.instance.mkdir(parents=True, exist_ok=True)
    with the_only_one(asked.instance):
        sweep(asked.instance / "run.pids")
        if asked.reset:
            forget(asked.instance)
        log = Log(asked.instance / "run.log", verbose=asked.verbose)
        Run(asked.instance.absolute(), asked.port, log, stopping).run()


def stop_signals() -> threading.Event:
    """Set by Ctrl-C, SIGTERM or a closed terminal."""
    stopping = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: stopping.set())
    return stopping


@contextmanager
def the_only_one(instance: Path) -> Iterator[None]:
    """One run for one instance folder: two would fight over data and ports."""
    with (instance / "run.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotRun(f"run: already running on {instance}; stop that one first") from None
        yield


def forget(instance: Path) -> None:
    """Back to a fresh clone's state."""
    embedded.remove(instance / "postgres")
    for name in KEPT:
        shutil.rmtree(instance / name, ignore_errors=True)
        (instance / name).unlink(missing_ok=True)


class Parent:
    """The `make` that started us, where one did.

    Ctrl-C reaches all of us. A SIGINT sent to make alone does not: it takes its handler away and waits for our end
    (GNU make, fatal_error_signal), which Linux shows in the signals it catches.
    """

    def __init__(self) -> None:
        self._status = Path(f"/proc/{os.getppid()}/status")
        self._caught = self._catches_interrupt()

    def was_interrupted(self) -> bool:
        """It caught SIGINT when we began and does not any more."""
        return self._caught and not self._catches_interrupt()

    def _catches_interrupt(self) -> bool:
        with suppress(OSError, ValueError, StopIteration):
            lines = self._status.read_text().splitlines()
            caught = next(line for line in lines if line.startswith("SigCgt:"))
            return bool(int(caught.split()[1], 16) >> (signal.SIGINT - 1) & 1)
        return False


class Stopped(Exception):
    """Somebody asked to stop while a wait was on."""


class Run:
    """One start of everything."""

    def __init__(self, instance: Path, port: int, log: Log, stopping: threading.Event) -> None:
        self.instance, self.port, self.log, self.stopping = instance, port, log, stopping
        self.app_url = f"http://{HOST}:{port}"
        self.children: list[Child] = []
        self.make = Parent()
        self.described: queue.Queue[dict[str, Any]] = queue.Queue()
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1"}

    def run(self) -> None:
        """Until told to stop."""
        free_port(self.port)
        database = embedded.start(self.instance / "postgres")
        try:
            with suppress(Stopped):
                self.start(database)
                self.keep(database)
            say("stopping")
        finally:
            self.end()
            database.stop()
            (self.instance / "run.pids").unlink(missing_ok=True)
        say("everything has stopped")

    def start(self, database: embedded.Embedded) -> None:
        """Each part when what it needs is there; then the line with the address."""
        say(f"PostgreSQL keeps its data in {database.folder}")
        self.environment["DATABASE_URL"] = database.url
        migrate(self.environment)
        standin = self.start_standin()
        self.environment.update(self.settings(standin))
        web = [
            "gunicorn",
            "-c",
            "gunicorn.conf.py",
            "--log-level",
            "warning",
            "--bind",
            f"{HOST}:{self.port}",
            "app:app",
        ]
        self.add("web", web, patience=10)
        self.add("worker", ["flask", "--app", "app", "b24", "worker"], patience=15)
        self.wait("the app", self.is_ready)
        say(f"the app is at {self.app_url}, the stand-in's control API at {standin['control']}")
        say(f"what the programs say goes to {self.log.path}; make run V=1 shows it here")
        say("Ctrl-C stops everything")
        say(f"Open {standin['portals'][0]['url'].rstrip('/')}/", name="")

    def start_standin(self) -> dict[str, Any]:
        """The stand-in portals; what they say of themselves when ready."""
        state = str(self.instance / "standin.json")
        first = str(self.port + 1)
        card = ["--title", "Sundown", "--scope", "landing,im"]  # what the app's real card asks for
        options = ["--port", first, "--app-url", self.app_url, *card, "--state", state]
        self.add("stand-in", ["python", "-m", "b24sandbox", *options], patience=10, on_line=self.read_described)
        self.wait("the stand-in", lambda: not self.described.empty())
        return self.described.get_nowait()

    def read_described(self, line: str) -> bool:
        """Take its one line of JSON."""
        with suppress(ValueError):
            said = json.loads(line)
            if isinstance(said, dict) and "portals" in said:
                self.described.put(said)
                return True
        return False

    def settings(self, standin: dict[str, Any]) -> dict[str, str]:
        """The app's environment against this stand-in."""
        return {
            "B24_CLIENT_ID": standin["client_id"],
            "B24_CLIENT_SECRET": standin["client_secret"],
            "B24_OAUTH_URL": ",".join(standin.get("oauth_servers", [standin["oauth"]])),
            "APP_URL": self.app_url,
            "B24_ALLOW_INSECURE_PORTALS": "1",
            "TRUSTED_PROXIES": "0",
            "LOG_FORMAT": os.environ.get("LOG_FORMAT", "console"),
            **self.keys(),
        }

    def keys(self) -> dict[str, str]:
        """The keys of this instance, made at its first start: without them its data cannot be read again."""
        kept = self.instance / "keys.json"
        if not kept.exists():
            fresh = {
                "SECRET_KEY": secrets.token_urlsafe(48),
                "TOKEN_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            }
            kept.touch(mode=0o600)
            kept.write_text(json.dumps(fresh))
        keys: dict[str, str] = json.loads(kept.read_text())
        return keys

    def add(self, name: str, command: list[str], patience: float, on_line: Callable[[str], bool] | None = None) -> None:
        """Start one program of the virtual environment and keep it from now on."""
        program, *arguments = command
        child = Child(name, [str(BIN / program), *arguments], self.environment, patience, self.log, on_line)
        self.children.append(child)
        child.start()
        self.note()

    def note(self) -> None:
        write_down(self.instance / "run.pids", self.children)

    def is_ready(self) -> bool:
        """The web answers, the database is migrated, the worker has been seen."""
        with suppress(requests.RequestException, ValueError):
            answer = requests.get(f"{self.app_url}/readyz", timeout=5)
            return answer.status_code == 200 and not answer.json()["worker"]["late"]
        return False

    def wait(self, what: str, is_there: Callable[[], bool]) -> None:
        """Look until it is there, keeping everything alive meanwhile."""
        until = time.monotonic() + READY_SECONDS
        while not is_there():
            if time.monotonic() > until:
                raise CannotRun(f"run: {what} was not ready in {READY_SECONDS} s; see the lines above")
            if any(child.deaths > DEATHS_AT_START for child in self.children):
                raise CannotRun(f"run: {what} does not start; see the lines above")
            self.look()

    def keep(self, database: embedded.Embedded) -> None:
        """Start again what dies, until Stopped."""
        while True:
            self.look()
            if database.restart_if_dead():
                say("PostgreSQL had died and runs again")

    def look(self) -> None:
        """One look at every child; raises Stopped when asked to stop."""
        if self.stopping.wait(LOOK_SECONDS) or self.make.was_interrupted():
            raise Stopped
        started = [child.look_after() for child in self.children]
        if any(started):
            self.note()

    def end(self) -> None:
        """Everything at once is asked to end, then waited for."""
        for child in self.children:
            child.ask_to_end()
        for child in self.children:
            child.end()


def migrate(environment: dict[str, str]) -> None:
    """Bring the tables up to date."""
    command = [str(BIN / "alembic"), "upgrade", "head"]
    done = subprocess.run(command, env=environment, timeout=MIGRATE_SECONDS, check=False)
    if done.returncode:
        raise CannotRun("run: the migrations failed; see above, or start afresh: make run RESET=1")


def free_port(port: int) -> None:
    """Say it now when the address is taken, not after a minute of restarts."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise CannotRun(f"run: port {port} cannot be used ({error.strerror}); try make run RUN_PORT=8200") from None


if __name__ == "__main__":
    main()
