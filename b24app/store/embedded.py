"""A PostgreSQL of our own for machines that have none: development, the demo and the tests.

Who may stop it: each holder has a shared lock on a file beside the data, and the kernel drops the lock even of a
killed process. The last to leave stops the server. A server nobody holds was left over by a killed holder: the next
start ends it and starts its own.

As root the data lives under /var/tmp, where the server's user (see `programs`) can reach it, and the asked folder
becomes a link that says where; so no folder's mode is ever changed.
"""

import atexit
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

from b24app.store.programs import ROOTS_PLACE, ROOTS_SERVER_USER, EmbeddedError, run_as_server, server_program

DEFAULT = Path(__file__).resolve().parent.parent.parent / "instance" / "postgres"
SOCKET_PATH_LIMIT = 100  # the shortest limit of the systems we know is 104 bytes
START_SECONDS = STOP_SECONDS = "30"
BUSY_SECONDS = 120
# A collation that knows letters beyond ASCII and is the same on every system.
LOCALE = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
SOCKET_ONLY = ("listen_addresses=''", "port=5432", "unix_socket_permissions=0700", "timezone=UTC", "log_timezone=UTC")
NO_FSYNC = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


class Embedded:
    """A hold on one running server; `folder` is where its data really is."""

    def __init__(self, folder: Path, hold: IO[bytes], fsync: bool) -> None:
        self.folder = folder
        self.url = f"postgresql://postgres@/postgres?host={quote(str(_socket_folder(folder)), safe='/')}"
        self._hold: IO[bytes] | None = hold
        self._owner = os.getpid()
        self._fsync = fsync
        atexit.register(self.stop)

    def stop(self) -> None:
        """Let go; the last holder stops the server. Again, or in a forked child, it does nothing."""
        if self._hold is None or os.getpid() != self._owner:
            return
        hold, self._hold = self._hold, None
        atexit.unregister(self.stop)
        with hold, _one_at_a_time(self.folder):
            if _nobody_else(hold):
                _stop_server(self.folder)

    def restart_if_dead(self) -> bool:
        """Start the server again if it died under us; True when it did."""
        if _runs(self.folder):
            return False
        with _one_at_a_time(self.folder):
            if _runs(self.folder):  # another holder was first
                return False
            _start_server(self.folder, self._fsync)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start(data_dir: Path | None = None, fsync: bool = True) -> Embedded:
    """A running server on `data_dir`, made at first use; at most one a folder, however many processes ask.

    data_dir  default: `instance/postgres` of this checkout. As root it becomes a link into /var/tmp
    fsync     False trades the data's safety in a crash of the machine for speed: for tests
    url       `postgresql://…` for database and user `postgres`, over a socket only this user can open

    Raises EmbeddedError.
    """
    folder = _place(data_dir or DEFAULT)
    with _one_at_a_time(folder), ExitStack() as unless_started:
        hold = unless_started.enter_context((folder / "holders.lock").open("ab"))
        if _nobody_else(hold):
            _stop_server(folder)
        if not _runs(folder):
            _make_cluster(folder)
            _start_server(folder, fsync)
        fcntl.flock(hold, fcntl.LOCK_SH)
        unless_started.pop_all()
    return Embedded(folder, hold, fsync)


def remove(data_dir: Path | None = None) -> None:
    """Stop the server of `data_dir` and delete all it kept; nothing there is fine too.

    Raises EmbeddedError while another process holds it.
    """
    asked = data_dir or DEFAULT
    folder = asked.resolve()
    if folder.is_dir():
        with _one_at_a_time(folder), (folder / "holders.lock").open("ab") as hold:
            if not _nobody_else(hold):
                raise EmbeddedError(f"{asked} is in use by another process")
            _stop_server(folder)
        shutil.rmtree(folder)
    if asked.is_symlink():
        asked.unlink()


def _place(asked: Path) -> Path:
    """The folder of a cluster and its locks, made if need be, open to the server's user only."""
    asked.parent.mkdir(parents=True, exist_ok=True)
    if os.geteuid() != 0:
        asked.mkdir(mode=0o700, exist_ok=True)
        if asked.stat().st_uid != os.geteuid():
            raise EmbeddedError(f"{asked} is of another user; remove it or run as that user")
        return asked.resolve()
    if asked.exists() and not asked.is_symlink():
        raise EmbeddedError(f"{asked} was made by another user than root; remove it or run as that user")
    if not asked.is_symlink():
        folder = ROOTS_PLACE / f"sundown-{_fingerprint(asked.parent.resolve() / asked.name)}"
        remove(folder)  # its link was deleted, and what is left would not fit the keys kept beside the new one
        asked.symlink_to(folder)
    folder = asked.resolve()
    if not folder.exists():
        folder.mkdir(mode=0o700)
        shutil.chown(folder, ROOTS_SERVER_USER)
    return folder


def _fingerprint(path: Path) -> str:
    return hashlib.sha256(str(path).encode()).hexdigest()[:12]


def _socket_folder(folder: Path) -> Path:
    """The cluster's own folder, or, where that is too long a name for a socket, a short one of this user."""
    if len(str(folder / ".s.PGSQL.5432")) < SOCKET_PATH_LIMIT:
        return folder
    short = Path(tempfile.gettempdir()) / f"sundown-{_fingerprint(folder)}"
    short.mkdir(mode=0o700, exist_ok=True)
    if short.stat().st_uid != folder.stat().st_uid:
        raise EmbeddedError(f"{short} belongs to somebody else; remove it")
    return short


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Starts and stops of one folder take turns, between processes too; a wait has an end."""
    with (folder / "turn.lock").open("ab") as turn:
        until = time.monotonic() + BUSY_SECONDS
        while not _nobody_else(turn):
            if time.monotonic() > until:
                raise EmbeddedError(f"another process keeps starting or stopping the server in {folder}")
            time.sleep(0.05)
        yield


def _nobody_else(file: IO[bytes]) -> bool:
    """Whether no other holder has a lock on this file; then ours is exclusive."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make_cluster(folder: Path) -> None:
    """`initdb` beside its final place, so that a killed first start leaves nothing half made."""
    data, unfinished = folder / "data", folder / "data.new"
    if data.exists():
        _check_version(data)
        return
    shutil.rmtree(unfinished, ignore_errors=True)
    run_as_server(server_program("initdb"), "-U", "postgres", "--auth=trust", *LOCALE, "-D", unfinished)
    unfinished.rename(data)


def _check_version(data: Path) -> None:
    ours = re.findall(r"\d+", run_as_server(server_program("postgres"), "--version"))[0]
    theirs = (data / "PG_VERSION").read_text().strip()
    if ours != theirs:
        raise EmbeddedError(f"{data} is of PostgreSQL {theirs}, this is {ours}: start afresh with `make run RESET=1`")


def _start_server(folder: Path, fsync: bool) -> None:
    """Start it on a socket only, and wait until it answers."""
    log, data = folder / "log", folder / "data"
    log.unlink(missing_ok=True)
    settings = [*SOCKET_ONLY, f"unix_socket_directories='{_socket_folder(folder)}'", *([] if fsync else NO_FSYNC)]
    (data / "postgresql.auto.conf").write_text("".join(f"{line}\n" for line in settings))
    try:
        run_as_server(server_program("pg_ctl"), "start", "-w", "-t", START_SECONDS, "-l", log, "-D", data)
    except EmbeddedError as error:
        words = log.read_text(errors="replace")[-2000:] if log.exists() else ""
        raise EmbeddedError(f"{error}\n{words}") from None


def _stop_server(folder: Path) -> None:
    """End the server of this folder, if one runs: politely, then at once."""
    data = folder / "data"
    for mode in ("fast", "immediate"):
        if _runs(folder):
            with suppress(EmbeddedError):
                run_as_server(server_program("pg_ctl"), "stop", "-w", "-t", STOP_SECONDS, "-m", mode, "-D", data)
    if _runs(folder):
        raise EmbeddedError(f"the server in {folder} does not stop")
    (data / "postmaster.pid").unlink(missing_ok=True)


def _runs(folder: Path) -> bool:
    """Whether the process named in `postmaster.pid` lives and is a PostgreSQL on this folder.

    After a crash of the machine the number may belong to any other program: its command line tells.
    """
    try:
        pid = int((folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])
        os.kill(pid, 0)
    except (OSError, ValueError):
        return False
    return str(folder / "data") in _command_line(pid)


def _command_line(pid: int) -> str:
    proc = Path("/proc") / str(pid) / "cmdline"
    if proc.exists():
        return proc.read_bytes().decode(errors="replace")
    ps = ["ps", "-ww", "-o", "command=", "-p", str(pid)]
    return subprocess.run(ps, capture_output=True, text=True, check=False).stdout  # noqa: S603  # a number, no shell
