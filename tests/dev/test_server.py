"""The web server as it is configured: half-open requests hold its threads for a moment and not for ever."""

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
LIMIT, THREADS, SOON = 1.5, 2, 30.0
ECHO = """
def app(environ, start):
    body = environ["wsgi.input"].read()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
SETTINGS = f"""
exec(open({str(ROOT / "gunicorn.conf.py")!r}).read())
from b24app import server as web_server
web_server.REQUEST_SECONDS, workers, threads, bind, graceful_timeout = {LIMIT}, 1, {THREADS}, "127.0.0.1:0", 1
on_starting = lambda server: None
"""
WHOLE = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
HALVES = {
    "half a header": b"POST / HTTP/1.1\r\nHost: x\r\nX-Half: ",
    "half a body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhalf",
    "half a chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha",
}


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Where a server with the project's own settings listens, with a short limit and two threads."""
    (tmp_path / "echo.py").write_text(ECHO)
    settings, log = tmp_path / "conf.py", tmp_path / "log"
    settings.write_text(SETTINGS)
    command = [sys.executable, "-m", "gunicorn", "-c", str(settings), "--chdir", str(tmp_path), "echo:app"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with log.open("wb") as out:
        server = subprocess.Popen(command, cwd=tmp_path, stdout=out, stderr=out, env=environment)
    try:
        yield listening(log, server)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


def listening(log: Path, server: "subprocess.Popen[bytes]") -> int:
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline and server.poll() is None:
        for line in log.read_text().splitlines():
            if "Listening at: http://127.0.0.1:" in line:
                return int(line.partition("127.0.0.1:")[2].partition(" ")[0])
        time.sleep(0.05)
    raise AssertionError(log.read_text())


def ask(port: int) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=SOON) as client:
        client.sendall(WHOLE)
        return client.recv(4096)


@pytest.mark.parametrize("kind", HALVES)
def test_half_open_requests_do_not_hold_the_threads(port: int, kind: str):
    with ExitStack() as open_ones:
        for _ in range(THREADS * 2):
            client = open_ones.enter_context(socket.create_connection(("127.0.0.1", port), timeout=SOON))
            client.sendall(HALVES[kind])

        assert ask(port).startswith(b"HTTP/1.1 200")


def test_trickling_in_gains_no_time(port: int):
    with socket.create_connection(("127.0.0.1", port), timeout=SOON) as client:
        client.sendall(HALVES["half a body"])
        with pytest.raises(OSError, match=r"reset|[Bb]roken pipe"):
            trickle(client)


def trickle(client: socket.socket) -> None:
    """A byte now and then, until the other side has had enough."""
    began = time.monotonic()
    while time.monotonic() - began < SOON:
        client.sendall(b"x")
        time.sleep(0.1)


def test_a_whole_request_on_a_kept_connection_has_its_time_anew(port: int):
    with socket.create_connection(("127.0.0.1", port), timeout=SOON) as client:
        for _ in range(3):
            client.sendall(WHOLE)
            heard = client.recv(4096)
            while heard and b"hello" not in heard:  # the body may come in a packet of its own
                heard += client.recv(4096)
            assert b"hello" in heard
            time.sleep(LIMIT * 0.7)


@pytest.mark.parametrize(("name", "value"), [("APP_URL", "https://sun down.example"), ("WEB_THREADS", "many")])
def test_a_wrong_setting_ends_the_start_with_one_line_and_no_worker(name: str, value: str):
    settings = {
        "B24_CLIENT_ID": "app.1", "B24_CLIENT_SECRET": "s" * 20, "APP_URL": "http://127.0.0.1:8100",
        "SECRET_KEY": "k" * 40, "TOKEN_KEYS": base64.urlsafe_b64encode(b"v" * 32).decode(), name: value,
    }  # fmt: skip
    kept = {each: os.environ[each] for each in ("PATH", "HOME") if each in os.environ}

    done = subprocess.run(
        [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "-b", "127.0.0.1:0", "app:app"],
        cwd=ROOT, env={**kept, **settings}, capture_output=True, text=True, timeout=SOON, check=False,
    )  # fmt: skip

    assert done.returncode != 0
    said = [line for line in (done.stdout + done.stderr).splitlines() if name in line]
    assert len(said) == 1
    assert said[0].startswith(f"{name}: ")
    assert "Traceback" not in done.stderr
    assert "Booting worker" not in done.stderr
