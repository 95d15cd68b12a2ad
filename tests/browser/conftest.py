"""What the browser tests of the app stand on: the app on a real socket, a Chromium, a tab, and a worker beside it."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from typing import ClassVar

import pytest
from flask import Flask
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright
from typing_extensions import Buffer
from werkzeug.serving import WSGIRequestHandler, make_server

from b24app import factory
from b24app.services import Services
from b24sandbox import StandIn
from dev.chromium import FLAGS, find_chromium
from tests.browser.tab import PATIENCE_SECONDS, Tab
from tests.worker import is_due, work

LOOK_SECONDS, ALL_THE_SAME_SECONDS = 0.1, 5.0
IN_THEIR_OWN_TIME = ("/install", "/events", "/runs/pulse")
expect.set_options(timeout=PATIENCE_SECONDS * 1000)


class CountedWriter(io.BufferedIOBase):
    """A connection's answers, counted to the byte; not what comes in its own time, of a portal or a page."""

    def __init__(self, wire: io.BufferedIOBase, handler: SilentRequestHandler) -> None:
        self._wire, self._handler = wire, handler

    def write(self, part: Buffer, /) -> int:
        if not self._handler.path.startswith(IN_THEIR_OWN_TIME):
            self._handler.sent.append(memoryview(part).nbytes)
        return self._wire.write(part)


class SilentRequestHandler(WSGIRequestHandler):
    """No line for each request; how much is answered is counted."""

    sent: ClassVar[list[int]] = []
    path = ""

    def setup(self) -> None:
        super().setup()
        self.wfile = CountedWriter(self.wfile, self)

    def log(self, type: str, message: str, *args: object) -> None:
        pass


@pytest.fixture(scope="package", name="chromium")
def chromium_fixture() -> Iterator[Browser]:
    """The machine's Chromium, while this process runs browser tests: its driver keeps a loop running in this thread."""
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium on this machine: make setup says how to get one")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(name="context")
def context_fixture(chromium: Browser) -> Iterator[BrowserContext]:
    # Nothing moves, as for people who ask for that: drawing each frame of each motion costs more than the tests.
    made = chromium.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    made.set_default_timeout(PATIENCE_SECONDS * 1000)
    yield made
    made.close()


@pytest.fixture(name="door")
def door_fixture() -> Iterator[socket.socket]:
    """A port of this test's own, known before the app behind it is made."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture(name="environment")
def environment_fixture(environment: dict[str, str], door: socket.socket) -> dict[str, str]:
    """The app's environment, at its real address."""
    return environment | {"APP_URL": f"http://127.0.0.1:{door.getsockname()[1]}"}


@pytest.fixture(name="served")
def served_fixture(app: Flask, door: socket.socket, standin: StandIn, environment: dict[str, str]) -> Iterator[str]:
    """The app's address; the first portal knows the app by it."""
    if not factory.MANIFEST.is_file():
        pytest.skip("the assets are not built: make setup")
    host, port = door.getsockname()
    server = make_server(host, port, app, threaded=True, request_handler=SilentRequestHandler, fd=door.fileno())
    running = threading.Thread(target=server.serve_forever, daemon=True)
    running.start()
    before, standin.app_url = standin.app_url, environment["APP_URL"]
    yield environment["APP_URL"]
    standin.app_url = before
    server.shutdown()
    running.join(10)
    server.server_close()


@pytest.fixture(name="sent")
def sent_fixture(served: str) -> list[int]:
    """Sizes of what the app has sent, headers too, from now on."""
    SilentRequestHandler.sent.clear()
    return SilentRequestHandler.sent


@pytest.fixture(name="tab")
def tab_fixture(context: BrowserContext, standin: StandIn, served: str, ada: object) -> Iterator[Tab]:
    """A tab on the first portal; afterwards it must not have complained of anything."""
    made = Tab(context.new_page(), standin)
    yield made
    assert made.complaints == []
    assert made.violations() == []


@pytest.fixture(name="worker")
def worker_fixture(services: Services) -> Iterator[None]:
    """A worker beside the web process, so that runs move while somebody watches."""
    over = threading.Event()

    def keep_working() -> None:
        worked_at = 0.0
        while not over.wait(LOOK_SECONDS):
            if is_due(services) or time.monotonic() > worked_at + ALL_THE_SAME_SECONDS:
                work(services)  # starts an engine, which costs more than the look
                worked_at = time.monotonic()

    running = threading.Thread(target=keep_working, daemon=True)
    running.start()
    yield
    over.set()
    running.join(30)
