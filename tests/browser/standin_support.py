"""What the browser tests of the stand-in stand on: an app that is nothing but Bitrix24's own SDK in a page,
and a short way into its frame. A module imports the fixtures it uses.

The app is not Sundown on purpose: what is proven here is that the stand-in's page does to any app what a portal does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from playwright.sync_api import BrowserContext, Frame, Page

from b24sandbox import StandIn
from b24sandbox.server.http import Listener, Request, Response
from b24sandbox.server.http import page as html

ROOT = Path(__file__).parents[2]
SDK = ROOT / "node_modules" / "@bitrix24" / "b24jssdk" / "dist" / "umd" / "index.min.js"
APP_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Probe</title><link rel="icon" href="data:,">
<body style="margin:0"><main style="height:1234px">An app</main>
<script src="/sdk.js"></script><script src="/probe.js"></script>"""
# `b24` is the SDK's frame; `raw` posts a text (or an object) as it is and tells what came back, or null after a while.
PROBE = """
window.ready = B24Js.initializeB24Frame().then((b24) => { window.b24 = b24; return true })
window.raw = (message, callback, wait = 20000) => new Promise((resolve) => {
  const listen = ({ data }) => { if (String(data).startsWith(callback + ':')) done(data.slice(callback.length + 1)) }
  const done = (answer) => { clearTimeout(timer); removeEventListener('message', listen); resolve(answer) }
  const timer = setTimeout(done, wait, null)
  addEventListener('message', listen)
  parent.postMessage(message, '*')
})
window.sid = window.name.split('|')[2]
"""
INTRUDER_PAGE = "<!doctype html><title>Intruder</title>"


@dataclass(frozen=True)
class Post:
    """One POST of a portal to the app."""

    path: str
    query: dict[str, str]
    form: dict[str, str]


@dataclass
class ProbeApp:
    """A running app; `posts` is what portals have sent it, `events` what came by their queue."""

    url: str = ""
    posts: list[Post] = field(default_factory=list)
    events: list[Post] = field(default_factory=list)

    def __call__(self, request: Request) -> Response:
        if request.path == "/sdk.js":
            return Response(200, SDK.read_bytes(), {"Content-Type": "text/javascript; charset=utf-8"})
        if request.path == "/probe.js":
            return Response(200, PROBE.encode(), {"Content-Type": "text/javascript; charset=utf-8"})
        if request.path == "/intruder":
            return html(INTRUDER_PAGE)
        if request.verb == "POST":
            form = dict(parse_qsl(request.body.decode(), keep_blank_values=True))
            kept = self.events if "event" in form else self.posts
            kept.append(Post(request.path, dict(parse_qsl(request.query)), form))
        return html(APP_PAGE)


@pytest.fixture(name="page")
def page_fixture(context: BrowserContext) -> Iterator[Page]:
    """A tab that must stay free of script errors."""
    made = context.new_page()
    errors: list[str] = []
    made.on("pageerror", lambda error: errors.append(str(error)))
    yield made
    assert not errors, "; ".join(errors)


@pytest.fixture(scope="module", name="probe_server")
def probe_server_fixture() -> Iterator[ProbeApp]:
    assert SDK.is_file(), "the browser's packages are missing: make setup"
    app = ProbeApp()
    listener = Listener("127.0.0.1", 0, app)
    app.url = listener.url
    yield app
    listener.close()


@pytest.fixture(name="probe")
def probe_fixture(probe_server: ProbeApp, standin: StandIn) -> Iterator[ProbeApp]:
    """The probe as the stand-in's registered app, installed to the end on its first portal; nothing posted yet."""
    before = standin.app_url
    standin.app_url = probe_server.url
    standin.portals[0].install()
    standin.portals[0].finish_install()
    probe_server.posts.clear()
    yield probe_server
    standin.app_url = before


def app_frame(page: Page, number: int = 0) -> Frame:
    """The app's frame, once the SDK in it has begun; the first one, or a later one of the page."""
    page.wait_for_function("n => document.querySelectorAll('.app-layout iframe').length > n", arg=number)
    element = page.locator(".app-layout iframe").nth(number).element_handle()
    frame = element.content_frame()
    assert frame is not None
    frame.wait_for_function("() => window.ready && window.ready.then(Boolean)")
    return frame
