"""One person's tab with the portal in it, and what a hand or a keyboard does in the app's frame."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import ConsoleMessage, Frame, Page, Route

from b24sandbox import StandIn

PATIENCE_SECONDS = 30.0  # a busy machine is slow; a page that works does not wait
PAUSE_MS = 100
TRIES = int(PATIENCE_SECONDS * 1000 / PAUSE_MS)
# A browser writes each refused request into its console by itself; that is the honest status, not a fault of ours.
HONEST = re.compile(r"Failed to load resource")
REPORT_VIOLATIONS = """
window.violations = []
const report = ({ violatedDirective, blockedURI }) => violations.push(`${violatedDirective} ${blockedURI}`)
addEventListener('securitypolicyviolation', report)
"""
UNPUBLISH = "#bulk .btn-primary:not([hidden])"
# A press that counts: on what is in the page now and can be pressed.
PRESS = "button => button.isConnected && !button.disabled && (button.click(), true)"
HAS_RUN = """async name => {
  const bundle = performance.getEntriesByType('resource').find((entry) => entry.name.includes(`/${name}-`))
  if (!bundle) return false
  await import(bundle.name)
  return true
}"""
HAS_TIMES = "document.querySelector('#dialog :is(.times, .shift)') !== null"
# The first ready-made time that is left was filled in, and what was asked about it is answered.
TIMES_ARE_READY = """() => {
  const isLeft = document.querySelector('#dialog [data-preset][data-field=at]:not([hidden])') !== null
  const isEmpty = document.querySelector('#dialog #at:required')?.value === ''
  return !(isLeft && isEmpty) && !document.querySelector('#dialog .htmx-request')
}"""


class WatchedPage:
    """A page and its `complaints`: what no page of ours should ever say."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        page.add_init_script(REPORT_VIOLATIONS)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error.stack)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not HONEST.search(message.text):
            self.complaints.append(message.text)

    def violations(self) -> list[str]:
        """Breaches of the content policy in any frame."""
        return [line for frame in self.page.frames for line in frame.evaluate("window.violations || []")]


class Tab(WatchedPage):
    """One person's tab with the portal in it."""

    def __init__(self, page: Page, standin: StandIn) -> None:
        super().__init__(page)
        self.standin = standin

    def open(
        self, who: str = "editor", query: str = "", ready: str = "#grid, #view [data-heading]", *, settled: bool = True
    ) -> Frame:
        """The portal's page with the app in its frame, ready for use; not `settled`: its first view is on its way."""
        portal = self.standin.portals[0]
        self.page.goto(f"{portal.url}/?user={portal.user(who).id}{query}")
        frame = self.frame()
        frame.wait_for_selector(ready)
        frame.wait_for_selector("#tabs a[href]", state="attached")  # the script listens
        assert has_run(frame, "later")
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

    def hold(self, pattern: str) -> list[Route]:
        """Requests of the page that go on when the test says so, in the order they came."""
        held: list[Route] = []
        self.page.route(pattern, lambda route: held.append(route))
        return held

    def first(self, held: list[Route]) -> Route:
        """The first request that is held: the browser tells of it by another way than of what its page shows."""
        assert comes_true(self.page, lambda: bool(held)), "nothing was asked for"
        return held[0]


def tick(frame: Frame, *rows: int) -> None:
    """Tick boxes by their place among those that can be ticked, wherever the portal has scrolled to."""
    boxes = frame.locator("#grid input[name=lids]:not(:disabled)")
    for row in rows:
        boxes.nth(row).evaluate("box => box.click()")


def press(frame: Frame, selector: str) -> None:
    """Press a button, wherever the portal has scrolled to."""
    button = frame.locator(selector).first
    assert comes_true(frame.page, lambda: bool(button.evaluate(PRESS))), f"{selector} cannot be pressed"


def open_dialog(frame: Frame, button: str = UNPUBLISH, ready: str = "#dialog[open]") -> None:
    """Press a button that opens the dialog. Where times are chosen in it, they are ready to be."""
    press(frame, button)
    frame.wait_for_selector(ready)
    if frame.evaluate(HAS_TIMES):
        assert has_run(frame, "schedule")
        assert settles(frame, TIMES_ARE_READY)


def comes_true(page: Page, is_true: Callable[[], bool]) -> bool:
    """Whether it does so in time; the page goes on meanwhile."""
    for _ in range(TRIES):
        if is_true():
            return True
        page.wait_for_timeout(PAUSE_MS)
    return False


def settles(frame: Frame, condition: str, about: object = None) -> bool:
    """Whether the expression becomes true, or what the function says `about` something; asked from outside, since the
    page's policy forbids eval.
    """
    return comes_true(frame.page, lambda: bool(frame.evaluate(condition, about)))


def has_run(frame: Frame, bundle: str) -> bool:
    """Whether a bundle comes that is fetched once it is needed: what it listens to is heard from then on."""
    return settles(frame, HAS_RUN, about=bundle)


def tab_to(frame: Frame, selector: str, most: int = 120) -> None:
    """Press Tab until the focus is on what the selector names."""
    for _ in range(most):
        frame.page.keyboard.press("Tab")
        if frame.evaluate("selector => document.activeElement.matches(selector)", selector):
            return
    raise AssertionError(f"the keyboard does not reach {selector}")
