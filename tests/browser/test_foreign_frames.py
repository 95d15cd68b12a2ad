"""Other sites: none of them can show the app in a frame of theirs, or order anything through somebody's browser."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import BrowserContext, Page

from b24sandbox import StandIn
from tests.people import Person

pytestmark = pytest.mark.browser


@pytest.fixture
def evil() -> Iterator[str]:
    """The address of an empty page of somebody else."""

    class Empty(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>evil</title><body></body>")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Empty)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def lair(context: BrowserContext, evil: str) -> Page:
    page = context.new_page()
    page.goto(evil)
    return page


FRAME = """([url, form]) => new Promise(done => {
  const frame = document.createElement('iframe')
  frame.name = 'prey'
  document.body.append(frame)
  const sender = document.createElement('form')
  Object.assign(sender, { method: form ? 'post' : 'get', action: url, target: 'prey' })
  for (const [name, value] of Object.entries(form || {})) {
    const field = document.createElement('input')
    Object.assign(field, { type: 'hidden', name, value })
    sender.append(field)
  }
  document.body.append(sender)
  frame.onload = () => done()
  sender.submit()
})"""


def shown(page: Page) -> str:
    """What the frame shows; nothing where the browser refused to show it."""
    frame = page.frame(name="prey")
    assert frame is not None
    return "" if frame.url.startswith("chrome-error:") else frame.content()


def test_no_other_site_shows_a_page_of_ours_in_a_frame(lair: Page, served: str):
    lair.evaluate(FRAME, [f"{served}/privacy", None])

    assert "Sundown" not in shown(lair)


def test_no_other_site_shows_the_app_even_with_a_form_it_stole(lair: Page, served: str, standin: StandIn, ada: Person):
    url, form = standin.portals[0].open("editor")

    lair.evaluate(FRAME, [url, form])

    assert "session-token" not in shown(lair)
    assert (
        Person(ada.client.application, standin.portals[0], "editor")
        .post_frame(url.removeprefix(served), form)
        .status_code
        == 200
    ), "the form itself was good"


def test_no_other_site_orders_through_somebodys_browser(lair: Page, served: str, standin: StandIn, ada: Person):
    standin.portals[0].open("editor")

    lair.evaluate(FRAME, [f"{served}/runs", {"action": "unpublish", "lids": "351"}])
    said = lair.evaluate(
        """async url => { try { return (await fetch(url, { method: 'POST', credentials: 'include',
        body: new URLSearchParams({ action: 'unpublish', lids: '351' }) })).status } catch { return 'refused' } }""",
        f"{served}/runs",
    )

    assert said == "refused"
    assert standin.portals[0].page(351).active
