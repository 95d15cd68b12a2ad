"""How a view is looked at: axe for WCAG A and AA, nothing wider than its window, no scrollbar at 1280 px.

A view is looked at where the test stands, in each width and theme, and left as it was: walking there for each of them
would cost far more than the look. A theme changes colours alone, so its second one is asked about contrast only; of
rows that are made alike, two are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from axe_playwright_python.base import AXE_FILE_PATH
from playwright.sync_api import Frame

from tests.browser.tab import settles

Rules = dict[str, object]
DESK_WIDTH, PHONE_WIDTH = 1280, 390
THEMES = ("light", "dark")
NO_SCROLLBAR = "document.documentElement.scrollHeight <= innerHeight"
WCAG: Rules = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
CONTRAST: Rules = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
SHOW_THEME = "theme => { document.documentElement.dataset.theme = theme }"
CHANGE_COLOURS_AT_ONCE = """() => {
  const sheet = new CSSStyleSheet()
  sheet.replaceSync('* { transition: none !important }')
  document.adoptedStyleSheets = [sheet]
}"""
# Rows are alike when their elements, with their classes, states and roles, are, and what of them has a text. To look at
# each of them took half the processor time of the browser tests.
AXE = """async options => {
  const own = /^(id|for|name|value|href|title|datetime|data-.*|hx-.*|aria-(label|labelledby|describedby))$/
  const made = ({ name, value }) => own.test(name) ? name : `${name}=${value}`
  const shape = node => [node.localName, ...[...node.attributes].map(made), node.checked, node.disabled, node.open,
    node.textContent.trim() !== '', '(', ...[...node.children].map(shape), ')'].join(' ')
  const seen = {}
  const exclude = [...document.querySelectorAll('tr, li')].filter(row => {
    const kind = shape(row)
    seen[kind] = (seen[kind] ?? 0) + 1
    return seen[kind] > 2
  })
  const { violations, incomplete } = await axe.run({ include: [document.documentElement], exclude },
    { ...options, preload: false })
  const isSmall = async ({ target }) => {
    const button = document.querySelector(target[0])
    button.scrollIntoView({ block: 'center' }) // a part of it may have been scrolled out of a dialog
    const again = await axe.run(button, { runOnly: { type: 'rule', values: ['target-size'] } })
    return again.violations.length > 0
  }
  const said = []
  for (const { id, nodes } of violations)
    for (const node of nodes)
      if (id !== 'target-size' || await isSmall(node)) said.push(`${id}: ${node.html.slice(0, 120)}`)
  const isUnseen = ({ any }) => any.some(({ data }) => data?.messageKey === 'equalRatio')
  for (const { nodes } of incomplete) // text in the colour of what it stands on, which axe leaves to people
    for (const node of nodes.filter(isUnseen)) said.push(`unseen: ${node.html.slice(0, 120)}`)
  return said
}"""


@cache
def axe_source() -> str:
    """The checker, as it is given to a frame once."""
    return AXE_FILE_PATH.read_text(encoding="utf-8")


def excess_width(frame: Frame) -> int:
    """By how many pixels the frame's content is wider than its window."""
    wide, window = frame.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    return max(0, int(wide) - int(window))


def violations(frame: Frame, rules: Rules = WCAG) -> list[str]:
    """What axe finds against these rules, a short line each."""
    if not frame.evaluate("'axe' in window"):
        frame.evaluate(axe_source())
    found: list[str] = frame.evaluate(AXE, {"runOnly": rules, "resultTypes": ["violations", "incomplete"]})
    return found


def faults_of(frame: Frame) -> list[str]:
    """Violations of WCAG A and AA as short lines, and whether the frame is wider than its window."""
    excess = excess_width(frame)
    return [*violations(frame), *([f"{excess} px wider than its window"] if excess else [])]


class Audit:
    """Collects what is wrong with each view on the way."""

    def __init__(self, widths: Sequence[int] = (DESK_WIDTH, PHONE_WIDTH)) -> None:
        self.widths = widths
        self.faults: dict[str, list[str]] = {}

    def check(self, frame: Frame, view: str) -> None:
        """Look at the view as it is now, in each width and theme."""
        page, began = frame.page, frame.evaluate("document.documentElement.dataset.theme")
        before = page.viewport_size or {"width": DESK_WIDTH, "height": 760}
        page.mouse.move(0, 0)
        frame.evaluate(CHANGE_COLOURS_AT_ONCE)
        frame.wait_for_selector("#view.htmx-request, #grid.htmx-request", state="detached")
        for width in self.widths:
            page.set_viewport_size({"width": width, "height": before["height"]})
            self._note(f"{view} at {width}", self._fit(frame, width))
            self._note(f"{view} at {width}", violations(frame))
            for theme in THEMES:
                if theme != began and (began, theme) != ("system", "light"):
                    frame.evaluate(SHOW_THEME, theme)
                    self._note(f"{view} at {width}, {theme}", violations(frame, CONTRAST))
            frame.evaluate(SHOW_THEME, began)
        page.set_viewport_size(before)

    def _fit(self, frame: Frame, width: int) -> list[str]:
        frame.page.wait_for_timeout(200)  # dimmed parts come back, and the portal gives the frame its height
        excess = excess_width(frame)
        wide = [f"{excess} px wider than its window"] if excess else []
        if width >= DESK_WIDTH and not settles(frame, NO_SCROLLBAR):
            wide.append("a scrollbar in the frame")
        return wide

    def _note(self, view: str, faults: list[str]) -> None:
        if faults:
            self.faults.setdefault(view, []).extend(faults)
