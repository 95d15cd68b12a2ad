"""`make setup`: from a fresh clone to a working place, on a machine with nothing but Python 3.11, git and make.

With the argument `run` only what `make run` needs: no test tools, no Chromium, nothing outside this folder.

Repeatable: each step leaves a stamp of what it was made from, and is skipped while that still holds. Stamps hold
content, not times, so a checkout of another branch is seen. Uses the standard library only, since nothing is
installed yet, and the syntax of older Pythons down to the version check, so that they get a sentence, not a traceback.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "stamps"
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")
CHROMIUMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")  # the first is taken
DOWNLOADS = {"requirements-run.txt": 60, "requirements-dev.txt": 160}  # megabytes, roughly
TELL_SECONDS = 5  # between two signs of life of a long step
DIST = ROOT / "b24app" / "static" / "dist"


def main():
    # type: () -> None
    """Do what is missing, in order; end with one line that says what stops us, if anything does."""
    use_a_new_python()
    os.chdir(ROOT)
    os.environ.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_USER="0", PIP_NO_INPUT="1")
    os.environ["PATH"] = f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    only_to_run = sys.argv[1:] == ["run"]
    make_environment()
    install_packages(only_to_run)
    install_node()
    build_assets()
    if not only_to_run:
        have_chromium()


def use_a_new_python():
    # type: () -> None
    """Go on under Python 3.11 or newer, wherever this machine has one."""
    if sys.version_info >= (3, 11):  # noqa: UP036  # an older Python should get this far
        return
    for name in NEWER:
        path = shutil.which(name)
        if path:
            os.execv(path, [path, *sys.argv])  # noqa: S606  # a Python found by name, our own arguments
    sys.exit("setup: Python 3.11 or newer is needed; name it: make setup PYTHON=/path/to/python3.11")


def make_environment() -> None:
    """`.venv`, made anew when its Python is gone or was made for another folder."""
    if stamped("environment", str(ROOT)) and works(PYTHON):
        return
    try:
        import ensurepip  # noqa: F401  # Debian ships Python without it
    except ImportError:
        sys.exit("setup: this Python cannot make virtual environments; on Debian: apt-get install python3-venv")
    say("making .venv")
    if VENV.is_symlink():
        VENV.unlink()  # another checkout's: to be left as it is
    run([sys.executable, "-m", "venv", "--clear", VENV])
    stamp("environment", str(ROOT))


def install_packages(only_to_run: bool) -> None:
    """The locked dependencies, checked by hash, and this project and its stand-in portal, for their entry points."""
    if not stamped("packages", contents("requirements-dev.txt")):  # these hold all that running needs, too
        locked = "requirements-run.txt" if only_to_run else "requirements-dev.txt"
        if not (only_to_run and stamped("packages-run", contents(locked))):
            say(f"installing the locked dependencies, about {DOWNLOADS[locked]} MB")
            run([PYTHON, "-m", "pip", "install", "-qq", "--require-hashes", "-r", locked])
            stamp("packages-run" if only_to_run else "packages", contents(locked))
    if not stamped("project", contents("pyproject.toml")):
        run([PYTHON, "-m", "pip", "install", "-qq", "--no-deps", "--no-build-isolation", "-e", "."])
        stamp("project", contents("pyproject.toml"))
    if not stamped("sandbox", contents("sandbox/pyproject.toml")):
        run([PYTHON, "-m", "pip", "install", "-qq", "--no-deps", "--no-build-isolation", "-e", "./sandbox"])
        stamp("sandbox", contents("sandbox/pyproject.toml"))


def install_node() -> None:
    """Node.js 20 or newer: this machine's, or one from PyPI inside `.venv`."""
    if not (ROOT / "package.json").exists() or node_is_new():
        return
    say("no Node.js 20 here, putting one into .venv")
    run([PYTHON, "-m", "pip", "install", "-qq", "--require-hashes", "-r", "requirements-node.txt"])
    if not node_is_new():
        sys.exit("setup: Node.js 20 or newer is needed to build the page's script; install it and try again")


def build_assets() -> None:
    """The browser's packages and the built script and styles, when their sources changed."""
    if not (ROOT / "assets" / "build.mjs").exists():
        return
    if not (ROOT / "node_modules").is_dir() or not stamped("browser", contents("package-lock.json")):
        say("installing the browser's packages")
        run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"])
        stamp("browser", contents("package-lock.json"))
    if not DIST.is_dir() or not stamped("assets", contents("package-lock.json", "assets")):
        say("building assets")
        run(["node", "assets/build.mjs"])
        stamp("assets", contents("package-lock.json", "assets"))


def have_chromium() -> None:
    """Browser tests drive a Chromium of this machine; without one the rest still works."""
    if any(shutil.which(name) for name in CHROMIUMS):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say("installing Chromium for the browser tests")
        apt = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        if subprocess.call(["apt-get", "-qq", "update"], env=apt) == 0:
            shown = {name: subprocess.run(["apt-cache", "show", name], capture_output=True) for name in CHROMIUMS[:2]}
            known = [name for name, answer in shown.items() if answer.returncode == 0]  # not each Debian has the first
            subprocess.call(["apt-get", "-qq", "-y", "install", "--no-install-recommends", *known[:1]], env=apt)
    if not any(shutil.which(name) for name in CHROMIUMS):
        say("no Chromium on PATH: install it for the browser tests (all else works without)")


def node_is_new() -> bool:
    node = shutil.which("node")
    if not node or not shutil.which("npm"):
        return False
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    major = answer.strip().lstrip("v").split(".")[0]
    return major.isdigit() and int(major) >= 20


def works(python: Path) -> bool:
    check = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    return python.exists() and subprocess.run([python, "-c", check], capture_output=True, check=False).returncode == 0


def contents(*names: str) -> str:
    """One fingerprint of these files and of all in these folders, names included."""
    digest = hashlib.sha256()
    for name in names:
        top = ROOT / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file():
                digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def stamped(step: str, made_from: str) -> bool:
    path = STAMPS / step
    return path.exists() and path.read_text() == made_from


def stamp(step: str, made_from: str) -> None:
    STAMPS.mkdir(exist_ok=True)
    (STAMPS / step).write_text(made_from)


def run(command: "list[str | Path]") -> None:
    """One step; while it takes its time, a line now and then says so."""
    began = time.monotonic()
    with subprocess.Popen(command) as step:
        while True:
            try:
                code = step.wait(TELL_SECONDS)
                break
            except subprocess.TimeoutExpired:
                say(f"… {time.monotonic() - began:.0f} s")
    if code:
        sys.exit(f"setup: this step failed ({code}): {' '.join(map(str, command))}")


def say(words: str) -> None:
    print(f"setup: {words}", flush=True)


if __name__ == "__main__":
    main()
