"""Which Chromium browser tests and screenshots drive, and how it is started.

`chromium-headless-shell` has no window that somebody could look at and costs a quarter less processor time, so it is
taken where there is one.
"""

import shutil

from dev.setup import CHROMIUMS

# Parts of a window that nobody sees: two processes for each that draw the list below the address bar. The last such
# switch counts, so what Playwright turns off and matters to us is repeated.
LEFT_OUT = (
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup", "WebUIOmniboxFullPopup", "HttpsUpgrades", "PaintHolding",
    "MediaRouter", "OptimizationHints", "ThirdPartyStoragePartitioning", "DestroyProfileOnBrowserClose",
)  # fmt: skip
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--disable-features={','.join(LEFT_OUT)}",
]


def find_chromium() -> str | None:
    """The program's path; None where this machine has none."""
    return next(filter(None, map(shutil.which, CHROMIUMS)), None)


def chromium() -> str:
    """The program's path. Ends with words where this machine has none."""
    found = find_chromium()
    if found is None:
        raise SystemExit("no Chromium on this machine: make setup says how to get one")
    return found
