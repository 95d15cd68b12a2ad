"""`make container`: build the image of Containerfile and try it, with the machine's buildah or podman.

Trying it means: migrations, the web process and a worker from the image, as the image's user, on an empty PostgreSQL;
readiness, built files and the worker's heartbeat are asked for. Where neither tool is there, one line says so.

    make container                                  the usual base, from its registry
    make container BASE=dir:/var/tmp/bookworm       a base made by debootstrap, where no registry can be reached
    make container OPTIONS="--volume /etc/ssl/certs:/etc/ssl/certs:ro"     more for the build
"""

import argparse
import base64
import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from b24app.store import embedded

ROOT = Path(__file__).resolve().parent.parent
IMAGE, BASE_IMAGE = "sundown", "sundown-base"
USER = "65534"
READY_SECONDS = 60
RELEASE = ("alembic", "upgrade", "head")
WEB = ("gunicorn", "-c", "gunicorn.conf.py", "app:app")
WORKER = ("flask", "--app", "app", "b24", "worker")


def main() -> int:
    """Build and try; 0 when all was well, and where there is nothing to do it with."""
    reads = argparse.ArgumentParser(prog="dev.container")
    reads.add_argument("--base", default="")
    reads.add_argument("--options", default="")
    asked = reads.parse_args()
    tool = next(filter(None, map(shutil.which, ("buildah", "podman"))), None)
    if tool is None:
        say("neither buildah nor podman on this machine, so there is nothing to build the image with")
        return 0
    base = imported(tool, Path(asked.base.removeprefix("dir:"))) if asked.base.startswith("dir:") else asked.base
    chosen = ["--build-arg", f"BASE={base}"] if base else []
    say(f"building {IMAGE} with {tool}")
    how = ["--format", "docker", *isolation(tool)]  # which holds a health check
    run(tool, "build", *how, *chosen, *shlex.split(asked.options), "--tag", IMAGE, str(ROOT))
    attempt(tool)
    say(f"{IMAGE} is built, and its processes start")
    return 0


def imported(tool: str, folder: Path) -> str:
    """A folder with a whole system as an image to build on."""
    with tempfile.TemporaryDirectory() as place:
        recipe = Path(place) / "Containerfile"
        recipe.write_text("FROM scratch\nCOPY . /\n")
        run(tool, "build", *isolation(tool), "--tag", BASE_IMAGE, "--file", str(recipe), str(folder))
    return f"localhost/{BASE_IMAGE}"


def isolation(tool: str) -> list[str]:
    """As root in a container of its own, buildah gets along without namespaces."""
    return ["--isolation", "chroot"] if Path(tool).name == "buildah" and os.geteuid() == 0 else []


def attempt(tool: str) -> None:
    """Start what a Procfile names from the image, and look whether it does its work."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="sundown-container-") as folder:
        data = Path(folder) / "postgres"
        with embedded.start(data, fsync=False) as server:
            settings = environment(server.url, port)
            with started_by(tool, server.folder, settings) as start, (Path(folder) / "log").open("w+b") as log:
                run(*start, *RELEASE)
                processes = [
                    subprocess.Popen([*start, *command], stdout=log, stderr=log, process_group=0)
                    for command in (WEB, WORKER)
                ]
                try:
                    lacks = what_it_lacks(f"http://127.0.0.1:{port}")
                finally:
                    for process in processes:
                        stop(process)
                log.seek(0)
                said = log.read().decode(errors="replace")
        embedded.remove(data)
    if lacks:
        sys.exit(f"{said}\ncontainer: {lacks}")


@contextmanager
def started_by(tool: str, shared: Path, settings: Mapping[str, str]) -> Iterator[list[str]]:
    """How a program of the image is started, with the database's socket at hand."""
    given = [word for name, value in settings.items() for word in ("--env", f"{name}={value}")]
    mount = ["--volume", f"{shared}:{shared}"]
    if Path(tool).name == "podman":
        own = ["--userns", f"keep-id:uid={USER},gid={USER}"] if os.geteuid() else []
        yield [tool, "run", "--rm", "--network", "host", *own, *mount, *given, IMAGE]
        return
    container = subprocess.check_output([tool, "from", IMAGE], text=True).strip()
    try:
        yield [tool, "run", *isolation(tool), "--network", "host", "--user", USER, *mount, *given, container, "--"]
    finally:
        subprocess.call([tool, "rm", container], stdout=subprocess.DEVNULL)


def environment(database: str, port: int) -> dict[str, str]:
    """Settings with which everything starts; nobody at Bitrix24 is asked for anything."""
    return {
        "APP_URL": f"http://127.0.0.1:{port}", "PORT": str(port), "DATABASE_URL": database, "TRUSTED_PROXIES": "0",
        "B24_CLIENT_ID": "app.trial", "B24_CLIENT_SECRET": "trial", "SECRET_KEY": secrets.token_urlsafe(48),
        "TOKEN_KEYS": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(), "LOG_LEVEL": "WARNING",
    }  # fmt: skip


def what_it_lacks(url: str) -> str:
    """Nothing, once it is ready, seen by a worker, and has script and styles; else in words."""
    until, said = time.monotonic() + READY_SECONDS, ""
    while time.monotonic() < until:
        said = asked_for(f"{url}/readyz")
        if '"late":false' in said.replace(" ", ""):
            break
        time.sleep(0.5)
    else:
        return f"not ready after {READY_SECONDS} s: {said or 'no answer'}"
    page = asked_for(f"{url}/app")
    built = [part.partition('"')[0] for part in page.split('href="') if part.startswith("/static/dist/")]
    if not built or not all(asked_for(f"{url}{path}") for path in built):
        return "script and styles are not in the image"
    return ""


def asked_for(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310  an address of this machine
            return str(answer.read().decode())
    except urllib.error.HTTPError as refused:
        return str(refused.read().decode())
    except OSError:
        return ""


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a program and what it started: it has a group of its own."""
    if process.poll() is None:
        os.killpg(process.pid, 15)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()


def run(*command: str) -> None:
    done = subprocess.call(command, cwd=ROOT)
    if done:
        sys.exit(f"container: this step failed ({done}): {' '.join(command[:3])} …")


def say(words: str) -> None:
    print(f"container: {words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
