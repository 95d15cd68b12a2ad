"""What the browser tests of the app stand on: the app on a real socket, a Chromium, a tab, and a worker beside it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import BrowserContext
from werkzeug.serving import WSGIRequestHandler, make_server

from b24app import factory
from b24app.services import Services
from b24sandbox import StandIn
from tests.browser.standin_support import chromium_fixture, context_fixture  # noqa: F401  # fixtures
from tests.browser.tab import Tab
from tests.worker import work


class SilentRequestHandler(WSGIRequestHandler):
    """No line for each request."""

    def log(self, type: str, message: str, *args: object) -> None:
        pass


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
        while not over.wait(0.1):
            work(services)

    running = threading.Thread(target=keep_working, daemon=True)
    running.start()
    yield
    over.set()
    running.join(30)
