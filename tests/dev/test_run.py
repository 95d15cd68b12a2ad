"""`make run`, as a person meets it: it says where to go, survives deaths, and leaves nothing behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests

from b24app.store import embedded
from dev.run import forget
from tests.ports import free_ports

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
OPEN = re.compile(r"^Open (http://127\.0\.0\.\d+:\d+/)$", re.MULTILINE)
PATIENCE_SECONDS = 90
PORTS = 8


class Started:
    """One `make run` on ports and data of its own."""

    def __init__(self, instance: Path, *options: str) -> None:
        self.instance, self.port = instance, free_ports(PORTS)
        self.output = instance.parent / f"output-{self.port}.txt"
        command = [sys.executable, "-m", "dev.run", "--port", str(self.port), "--instance", str(instance), *options]
        environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )

    def said(self) -> str:
        return self.output.read_text()

    def address(self) -> str:
        """What it tells the person to open."""
        wait_until(lambda: OPEN.search(self.said()) or self.process.poll() is not None, self.said)
        found = OPEN.search(self.said())
        assert found, self.said()
        return found[1]

    def is_ready(self) -> bool:
        with suppress(requests.RequestException):
            return requests.get(f"http://127.0.0.1:{self.port}/readyz", timeout=30).status_code == 200
        return False

    def parts(self, word: str) -> list[psutil.Process]:
        """The programs whose command line has this word, started directly; none while one is started anew."""
        found = []
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.NoSuchProcess):  # it has just died
                found += [child] if any(word in piece for piece in child.cmdline()) else []
        return found

    def family(self) -> list[psutil.Process]:
        """Every process it started, PostgreSQL's included."""
        data = str((self.instance / "postgres").resolve())
        servers = [p for p in psutil.process_iter(["cmdline"]) if any(data in part for part in p.info["cmdline"] or ())]
        return [*psutil.Process(self.process.pid).children(recursive=True), *servers]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "instance"
    yield folder
    embedded.remove(folder / "postgres")


@pytest.fixture
def start(instance: Path) -> Iterator[Callable[..., Started]]:
    begun: list[Started] = []

    def start(*options: str) -> Started:
        begun.append(Started(instance, *options))
        return begun[-1]

    yield start
    for one in begun:
        if one.process.poll() is None:
            one.stop()


def wait_until(is_true: Callable[[], object], words: Callable[[], str]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not is_true():
        assert time.monotonic() < until, words()
        time.sleep(0.2)


def is_gone(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def test_it_says_where_to_go_survives_deaths_and_leaves_nothing_behind(start: Callable[..., Started]) -> None:
    started = start()
    assert requests.get(started.address(), timeout=10).status_code == 200
    assert started.is_ready()

    [killed] = started.parts("gunicorn")
    killed.kill()
    wait_until(lambda: f"web ended ({-signal.SIGKILL})" in started.said(), started.said)
    wait_until(lambda: [each for each in started.parts("gunicorn") if each != killed], started.said)
    wait_until(started.is_ready, started.said)

    second = start()
    assert second.process.wait(PATIENCE_SECONDS) == 1
    assert "already running" in second.said()

    family = started.family()
    assert {"gunicorn", "flask", "postgres"} <= {process.name() for process in family}
    assert started.stop() == 0
    wait_until(lambda: all(map(is_gone, family)), started.said)  # the last of them may still be on its way out


def test_after_a_kill_the_next_start_ends_what_was_left_and_has_its_data(
    start: Callable[..., Started], instance: Path
) -> None:
    killed = start()
    killed.address()
    left, keys = killed.family(), (instance / "keys.json").read_text()
    killed.process.kill()
    killed.process.wait()
    assert not all(is_gone(process) for process in left)

    following = start()
    following.address()

    assert [process for process in left if not is_gone(process)] == []
    assert (instance / "keys.json").read_text() == keys
    assert following.stop(signal.SIGINT) == 0


def test_a_reset_is_a_fresh_clones_state(instance: Path) -> None:
    embedded.start(instance / "postgres", fsync=False).stop()
    for name in ("keys.json", "standin.json"):
        (instance / name).write_text("{}")

    forget(instance)

    assert list(instance.iterdir()) == []


def test_a_taken_port_is_said_at_once(instance: Path) -> None:
    instance.mkdir()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-m", "dev.run", "--port", str(taken.getsockname()[1]), "--instance", str(instance)]
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert answer.returncode == 1
    assert "RUN_PORT" in answer.stderr


def heed_interrupts() -> None:
    """What a shell starts in the background is told to ignore them, and so is all that comes of it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupt_sent_to_make_alone_ends_everything(tmp_path: Path, instance: Path) -> None:
    port = free_ports(PORTS)
    recipe = f"run:\n\t@exec {sys.executable} -m dev.run --port {port} --instance {instance}\n"
    (tmp_path / "Makefile").write_text(recipe)
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "MAKEFLAGS")}
    output = tmp_path / "output.txt"
    with output.open("w") as written:
        made = subprocess.Popen(
            ["make", "-f", str(tmp_path / "Makefile")],
            cwd=ROOT,
            env=environment,
            stdout=written,
            stderr=written,
            preexec_fn=heed_interrupts,
        )
    try:
        wait_until(lambda: OPEN.search(output.read_text()) or made.poll() is not None, output.read_text)
        family = psutil.Process(made.pid).children(recursive=True)

        made.send_signal(signal.SIGINT)

        made.wait(PATIENCE_SECONDS)
        assert "everything has stopped" in output.read_text()
        wait_until(lambda: all(map(is_gone, family)), output.read_text)
    finally:
        if made.poll() is None:
            made.terminate()


def test_what_the_programs_say_stays_off_the_screen_unless_asked(start: Callable[..., Started], instance: Path) -> None:
    started = start()
    requests.get(f"{started.address()}", timeout=10)
    requests.get(f"http://127.0.0.1:{started.port}/install", timeout=10)
    log = instance / "run.log"
    wait_until(lambda: "/install" in log.read_text(), log.read_text)

    assert "/install" not in started.said()
    assert "Ctrl-C" in started.said()
