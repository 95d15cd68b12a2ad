"""What the browser tests of the app stand on: the app on a real socket, and a tab that notes every complaint.

A module imports the fixtures it uses.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from flask import Flask
from playwright.sync_api import BrowserContext, ConsoleMessage, Frame, Page
from werkzeug.serving import WSGIRequestHandler, make_server

from b24app import factory
from b24app.services import Services
from b24sandbox import StandIn
from tests.worker import work

# A browser writes each refused request into its console by itself; that is the honest status, not a fault of ours.
HONEST = re.compile(r"Failed to load resource")
PATIENCE_SECONDS = 30.0  # a busy machine is slow; a page that works does not wait
REPORTS = """
window.violations = []
const report = ({ violatedDirective, blockedURI }) => violations.push(`${violatedDirective} ${blockedURI}`)
addEventListener('securitypolicyviolation', report)
"""


class Quiet(WSGIRequestHandler):
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
    """The app's address; it is installed to the end on the first portal."""
    if not factory.MANIFEST.is_file():
        pytest.skip("the assets are not built: make setup")
    host, port = door.getsockname()
    server = make_server(host, port, app, threaded=True, request_handler=Quiet, fd=door.fileno())
    running = threading.Thread(target=server.serve_forever, daemon=True)
    running.start()
    before, standin.app_url = standin.app_url, environment["APP_URL"]
    yield environment["APP_URL"]
    standin.app_url = before
    server.shutdown()
    running.join(10)
    server.server_close()


@dataclass
class Tab:
    """One person's tab with the portal in it; `complaints` is what no page of ours should ever say."""

    page: Page
    standin: StandIn
    complaints: list[str] = field(default_factory=list)

    def open(
        self, who: str = "editor", query: str = "", ready: str = "#grid, #view [data-heading]", *, settled: bool = True
    ) -> Frame:
        """The portal's page with the app in its frame, ready for use; not `settled`: its first view is on its way."""
        portal = self.standin.portals[0]
        self.page.goto(f"{portal.url}/?user={portal.user(who).id}{query}")
        frame = self.frame()
        frame.wait_for_selector(ready)
        if settled:
            frame.wait_for_selector("#view:not([aria-busy])", state="attached")
        return frame

    def frame(self) -> Frame:
        """The app's frame as it is now."""
        found = self.page.wait_for_selector("iframe")
        frame = found.content_frame() if found else None
        assert frame is not None
        frame.wait_for_load_state()
        return frame

    def note(self, message: ConsoleMessage) -> None:
        """Keep errors and warnings of the console."""
        if message.type in ("error", "warning") and not HONEST.search(message.text):
            self.complaints.append(message.text)

    def violations(self) -> list[str]:
        """Breaches of the content policy in any frame."""
        return [line for frame in self.page.frames for line in frame.evaluate("window.violations || []")]


@pytest.fixture(name="tab")
def tab_fixture(context: BrowserContext, standin: StandIn, served: str, ada: object) -> Iterator[Tab]:
    """A tab on the first portal; afterwards it must not have complained of anything."""
    made = Tab(context.new_page(), standin)
    made.page.set_default_timeout(PATIENCE_SECONDS * 1000)
    made.page.add_init_script(REPORTS)
    made.page.on("console", made.note)
    made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
    made.page.on("dialog", lambda dialog: made.complaints.append(f"dialog: {dialog.message}"))
    yield made
    assert made.complaints == []
    assert made.violations() == []


def tick(frame: Frame, *rows: int) -> None:
    """Tick boxes by their place among those that can be ticked, wherever the portal has scrolled to."""
    boxes = frame.locator("#grid input[name=lids]:not(:disabled)")
    for row in rows:
        boxes.nth(row).evaluate("box => box.click()")


def press(frame: Frame, selector: str) -> None:
    """Press a button, wherever the portal has scrolled to."""
    frame.locator(selector).first.evaluate("button => button.click()")


def settles(frame: Frame, condition: str, seconds: float = PATIENCE_SECONDS) -> bool:
    """Whether the expression becomes true; asked from outside, since the page's policy forbids eval."""
    for _ in range(int(seconds * 10)):
        if frame.evaluate(condition):
            return True
        frame.page.wait_for_timeout(100)
    return False


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


def tab_to(frame: Frame, selector: str, most: int = 120) -> None:
    """Press Tab until the focus is on what the selector names."""
    for _ in range(most):
        frame.page.keyboard.press("Tab")
        if frame.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the keyboard does not reach {selector}")
