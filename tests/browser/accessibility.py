"""How a view is looked at: axe for WCAG A and AA, nothing wider than its window, no scrollbar at 1280 px."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Frame

from tests.browser.tab import settles

DESK_WIDTH = 1280
NO_SCROLLBAR = "document.documentElement.scrollHeight <= innerHeight"
WCAG = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}


def excess_width(frame: Frame) -> int:
    """By how many pixels the frame's content is wider than its window."""
    wide, window = frame.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    return max(0, int(wide) - int(window))


def faults_of(frame: Frame) -> list[str]:
    """Violations of WCAG A and AA as short lines, and whether the frame is wider than its window."""
    found = Axe().run(frame, options=WCAG).response["violations"]
    lines = [f"{rule['id']}: {node['html'][:120]}" for rule in found for node in rule["nodes"]]
    excess = excess_width(frame)
    return [*lines, *([f"{excess} px wider than its window"] if excess else [])]


class Audit:
    """Collects what is wrong with each view on the way."""

    def __init__(self, theme: str) -> None:
        self.theme = theme
        self.faults: dict[str, list[str]] = {}

    def check(self, frame: Frame, view: str) -> None:
        """Look at the view as it is now."""
        assert frame.evaluate("document.documentElement.dataset.theme") == self.theme
        frame.page.mouse.move(0, 0)
        frame.wait_for_selector("#view.htmx-request, #grid.htmx-request", state="detached")
        frame.page.wait_for_timeout(200)  # what was dimmed meanwhile comes back
        faults = faults_of(frame)
        size = frame.page.viewport_size
        if size and size["width"] >= DESK_WIDTH and not settles(frame, NO_SCROLLBAR, seconds=5):
            faults.append("a scrollbar in the frame")
        if faults:
            self.faults[view] = faults
