"""The web server as it is configured: half-open requests hold its threads for a moment and not for ever."""

import base64
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn

from b24app import server as web_server

pytestmark = pytest.mark.process

ROOT = Path(__file__).resolve().parents[2]
LIMIT, THREADS, SOON = 1.5, 2, 30.0
ECHO = """
def app(environ, start):
    if environ["PATH_INFO"] == "/refused":
        start("413 Content Too Large", [("Content-Length", "0")])
        return []
    body = environ["wsgi.input"].read()
    start("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
SETTINGS = f"""
exec(open({str(ROOT / "gunicorn.conf.py")!r}).read())
from b24app import server as web_server
workers, threads, bind, graceful_timeout = 1, {THREADS}, "127.0.0.1:0", 1
on_starting = lambda server: None
"""
WHOLE = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
HALVES = {
    "half a header": b"POST / HTTP/1.1\r\nHost: x\r\nX-Half: ",
    "half a body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhalf",
    "half a chunk": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nha",
}
CUT = {
    "a length of many digits": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1" + b"0" * 15 + b"\r\n\r\nhalf",
    "a chunk's line without an end": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 1025,
    "a head without an end": b"POST / HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 9000,
}


@pytest.fixture
def limit() -> float:
    """How many seconds a request may take."""
    return LIMIT


@pytest.fixture
def port(tmp_path: Path, limit: float) -> Iterator[int]:
    """Where a server with the project's own settings listens, with a short limit and two threads."""
    (tmp_path / "echo.py").write_text(ECHO)
    settings, log = tmp_path / "conf.py", tmp_path / "log"
    settings.write_text(f"{SETTINGS}web_server.REQUEST_SECONDS = {limit}\n")
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


@pytest.mark.parametrize("limit", [2 * SOON])  # one that was waited for would come to no end here
@pytest.mark.parametrize("kind", CUT)
def test_a_request_that_is_cut_ends_at_once(port: int, kind: str):
    with socket.create_connection(("127.0.0.1", port), timeout=SOON) as client:
        client.sendall(CUT[kind])
        while client.recv(4096):
            pass


def refused(port: int, size: int) -> tuple[bytes, bytes]:
    """What the server says of a post whose body the app does not read, and of the next one on that connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=SOON) as client:
        head = b"POST /refused HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
        client.sendall(head + b"x" * size)
        first = client.recv(4096)
        try:
            client.sendall(WHOLE)
            return first, client.recv(4096)
        except ConnectionError:
            return first, b""


@pytest.mark.parametrize("limit", [SOON])
@pytest.mark.parametrize(("kibibytes", "kept"), [(60, True), (100, True), (250, True), (300, False), (2000, False)])
def test_an_answer_says_whether_its_connection_is_kept(port: int, kibibytes: int, kept: bool):
    first, following = refused(port, kibibytes * 1024)

    assert first.startswith(b"HTTP/1.1 413 ")
    assert (b"\r\nConnection: keep-alive\r\n" in first, b"\r\nConnection: close\r\n" in first) == (kept, not kept)
    assert following.startswith(b"HTTP/1.1 200 ") is kept


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[web_server.Worker]:
    """A worker whose loop is turned by hand, and that reads one request at a time."""
    monkeypatch.setattr(web_server, "MOST_READING", 1)
    settings = Config()
    made = web_server.Worker(1, os.getpid(), [], None, 30, settings, Logger(settings))
    made.poller = selectors.DefaultSelector()
    made.method_queue.init()
    made.tpool = made.get_thread_pool()
    yield made
    for conn in made.reading:
        conn.close()
    made.poller.close()
    made.method_queue.close()
    made.tmp.close()


def test_a_reader_that_was_given_up_is_not_read_in_the_same_turn(worker: web_server.Worker):
    with ExitStack() as clients:
        for _ in range(2):
            ours, theirs = socket.socketpair()
            clients.enter_context(theirs).sendall(b"GET / HT")
            worker.nr_conns += 1
            if worker.reading:
                came = worker.poller.select(SOON)
            worker.enqueue_req(TConn(worker.cfg, ours, ("", 0), ("", 0)))

        for key, _ in came:
            key.data(key.fileobj)

        assert len(worker.reading) == worker.nr_conns == 1


def test_bodies_that_wait_for_a_thread_have_a_bound(worker: web_server.Worker, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(web_server, "MOST_BYTES", 100_000)
    head = b"POST /runs HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"
    conns = []
    for ours in socket.socketpair():
        conn = TConn(worker.cfg, ours, ("", 0), ("", 0))
        conn.sock = web_server.ClientSocket(fileno=conn.sock.detach())
        conn.sock.request.take(head + b"x" * 60_000)
        assert conn.sock.request.is_whole()
        conns.append(conn)
    first, second = conns

    assert worker.has_room("", first)
    assert not worker.has_room("", second)
    assert bytes(second.sock.request.data) == head
    assert worker.has_room("events", second), "of each lane its own"
    for conn in conns:
        conn.sock.close()


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


@pytest.mark.parametrize(("line", "header", "status"), [(4000, 8000, 200), (4200, 0, 414), (0, 8300, 431)])
def test_lines_of_a_request_are_as_long_as_the_contract_says(port: int, line: int, header: int, status: int):
    with socket.create_connection(("127.0.0.1", port), timeout=SOON) as client:
        client.sendall(b"GET /%s HTTP/1.1\r\nHost: x\r\nX-Long: %s\r\n\r\n" % (b"a" * line, b"b" * header))
        answer = client.recv(4096)

    assert answer.startswith(b"HTTP/1.1 %d " % status)
