"""What a person waits for in a browser: the first paint of the frame, the list in it, and each view after a click.

`python -m bench.paint [FOLDER]` starts Sundown and its stand-in portal as `make run` does. FOLDER is another checkout,
made ready by its own `make setup`, such as an earlier version's: both are looked at in turns, so that the ratios hold
on a busy machine, too.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from playwright.sync_api import Browser, Frame, sync_playwright

from dev.apart import ROOT, started
from dev.chromium import FLAGS, chromium

FIRST_PORT, PORTS_EACH = 8260, 10
EDITOR = 7
ROUNDS = 12
TIMEOUT_MS = 30_000
WATCH = """
window.seen = {}
new MutationObserver(() => {
  if (!seen.list && document.querySelector('#grid table')) seen.list = performance.now()
}).observe(document, { childList: true, subtree: true })
"""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
AFTER_CLICK = """([button, ready]) => new Promise((resolve) => {
  const began = performance.now()
  const look = () => document.querySelector(ready) && resolve(performance.now() - began)
  new MutationObserver(look).observe(document, { attributes: true, childList: true, subtree: true })
  document.querySelector(button).click()
})"""
CLICKS = {
    "click: History": ("#tabs [data-for=history]", "#view > [data-tab=history]"),
    "click: Scheduled": ("#tabs [data-for=scheduled]", "#view > [data-tab=scheduled]"),
    "click: Pages": ("#tabs [data-for=pages]", "#view > [data-tab=pages] #grid table"),
    "click: Unpublish now, asked": ("#bulk .btn-primary:not([hidden])", "#dialog[open] #confirm"),
}


def main() -> None:
    """Both in turns; figures of each and their ratio."""
    folders = [ROOT, *(Path(folder).resolve() for folder in sys.argv[1:2])]
    with ExitStack() as running, sync_playwright() as driver:
        ports = range(FIRST_PORT, FIRST_PORT + PORTS_EACH * len(folders), PORTS_EACH)
        portals = [running.enter_context(started(*each))[0] for each in zip(ports, folders, strict=True)]
        browser = driver.chromium.launch(executable_path=chromium(), args=FLAGS)
        for portal in portals:
            look(browser, portal, user=1)  # the installer, and all that is done once
        looks = [[look(browser, portal) for portal in portals] for _ in range(ROUNDS)]
        browser.close()
    for what in looks[0][0]:
        here, *there = (median(each[number][what] for each in looks) for number in range(len(portals)))
        beside = f"  there {there[0]:6.0f} ms  {here / there[0]:.2f} x" if there else ""
        print(f"{what:30} {here:6.0f} ms{beside}")


def look(browser: Browser, portal: str, user: int = EDITOR) -> dict[str, float]:
    """Milliseconds of one opening by somebody whose browser knows nothing yet, and of the clicks after it."""
    context = browser.new_context(viewport={"width": 1280, "height": 720}, reduced_motion="reduce")
    context.set_default_timeout(TIMEOUT_MS)
    context.add_init_script(WATCH)
    page = context.new_page()
    page.goto(f"{portal}/?user={user}")
    page.frame_locator("iframe").locator("#grid table").wait_for()  # the installer's frame goes before
    frame = page.wait_for_selector("iframe").content_frame()  # type: ignore[union-attr]
    assert frame is not None
    page.wait_for_load_state("networkidle")
    found = {"first paint": frame.evaluate(PAINTED), "list": frame.evaluate("seen.list")}
    for what, (button, ready) in CLICKS.items():
        select_something(frame)
        found[what] = frame.evaluate(AFTER_CLICK, [button, ready])
    context.close()
    return found


def select_something(frame: Frame) -> None:
    """Two more pages, where the list is shown."""
    for box in frame.query_selector_all("#grid input[name=lids]:not(:disabled):not(:checked)")[:2]:
        box.evaluate("box => box.click()")


if __name__ == "__main__":
    main()
