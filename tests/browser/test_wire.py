"""What an opening costs on the wire, counted by the server that sends it: headers, page, script, styles and lists."""

from __future__ import annotations

import pytest

from tests.browser.tab import Tab, settles

pytestmark = pytest.mark.browser

CONNECTED = "document.documentElement.dataset.portal === 'connected'"  # the last bundle has come
COLD_BYTES, WARM_BYTES = 110 * 1024, 12 * 1024


BESIDE = ("/runs/pulse", "/events", "/install")  # a look that comes by time, and what the portal posts by itself
Sent = list[tuple[str, int]]


def of_the_opening(sent: Sent) -> int:
    """Bytes of what the page asked for to be ready."""
    return sum(size for path, size in sent if not path.startswith(BESIDE))


def test_the_first_opening_is_small_and_the_next_ones_are_smaller(tab: Tab, sent: Sent):
    tab.standin.portals[0].add_pages(200)
    assert settles(tab.open(), CONNECTED)
    tab.page.wait_for_load_state("networkidle")
    cold = of_the_opening(sent)
    sent.clear()

    assert settles(tab.open(), CONNECTED)
    tab.page.wait_for_load_state("networkidle")

    warm = of_the_opening(sent)
    assert 60_000 < cold <= COLD_BYTES
    assert 3_000 < warm <= WARM_BYTES
