"""Sundown as `make run` starts it, on ports and data of its own, for who looks at it from outside."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from b24app.store import embedded

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def started(port: int, folder: Path = ROOT) -> Iterator[tuple[str, str]]:
    """Addresses of the portal and of the control API, until the block ends. Ends with words where it does not start.

    folder  this checkout, or another one that was made ready by its own `make setup`
    """
    with tempfile.TemporaryDirectory() as instance:
        command = [str(folder / ".venv/bin/python"), "-m", "dev.run", "--port", str(port), "--instance", instance]
        theirs = {name: value for name, value in os.environ.items() if folder == ROOT or name != "PYTHONPATH"}
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True, env=theirs)
        try:
            yield _addresses(process)
        finally:
            process.terminate()
            process.wait(60)
            embedded.remove(Path(instance) / "postgres")


def _addresses(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Wait for the line that names the portal; the control API stands in the line before."""
    control = ""
    for line in process.stdout or ():
        if "control API at " in line:
            control = line.split("control API at ", 1)[1].strip()
        if line.startswith("Open "):
            return line.removeprefix("Open ").strip().rstrip("/"), control
    raise SystemExit("Sundown did not start; try `make run`")
