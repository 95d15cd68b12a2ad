"""Looking at a view as a careful person would: axe for WCAG A and AA, and nothing wider than the window."""

from __future__ import annotations

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Frame

from tests.browser.app_support import settles

NO_SCROLLBAR = "document.documentElement.scrollHeight <= innerHeight"
WCAG = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}}


def faults_of(frame: Frame) -> list[str]:
    """Violations of WCAG A and AA as short lines, and whether the frame is wider than its window."""
    found = Axe().run(frame, options=WCAG).response["violations"]
    lines = [f"{rule['id']}: {node['html'][:120]}" for rule in found for node in rule["nodes"]]
    wide, window = frame.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    return [*lines, *([f"{wide} px wide in a window of {window} px"] if wide > window else [])]


class Looker:
    """Collects what is wrong with each view on the way."""

    def __init__(self, theme: str) -> None:
        self.theme = theme
        self.wrong: dict[str, list[str]] = {}

    def look(self, frame: Frame, view: str) -> None:
        assert frame.evaluate("document.documentElement.dataset.theme") == self.theme
        frame.page.mouse.move(0, 0)
        frame.wait_for_selector("#view.htmx-request, #grid.htmx-request", state="detached")
        frame.page.wait_for_timeout(200)  # what was dimmed meanwhile comes back
        faults = faults_of(frame)
        if frame.page.viewport_size and frame.page.viewport_size["width"] >= 1280 and not settles(frame, NO_SCROLLBAR):
            faults.append("a scrollbar in the frame")
        if faults:
            self.wrong[view] = faults
