"""What an opening costs on the wire, counted by the server that sends it: headers, page, script, styles and lists."""

from __future__ import annotations

import pytest

from tests.browser.tab import Tab, settles

pytestmark = pytest.mark.browser

CONNECTED = "document.documentElement.dataset.portal === 'connected'"  # the last bundle has come
COLD_BYTES, WARM_BYTES = 110 * 1024, 12 * 1024


def test_the_first_opening_is_small_and_the_next_ones_are_smaller(tab: Tab, sent: list[int]):
    tab.standin.portals[0].add_pages(200)
    assert settles(tab.open(), CONNECTED)
    tab.page.wait_for_load_state("networkidle")
    cold = sum(sent)
    sent.clear()

    assert settles(tab.open(), CONNECTED)
    tab.page.wait_for_load_state("networkidle")

    warm = sum(sent)
    assert 60_000 < cold <= COLD_BYTES
    assert 3_000 < warm <= WARM_BYTES


def test_one_script_comes_before_the_list_and_the_portals_behind_it(tab: Tab):
    came: list[str] = []
    tab.page.on("request", lambda request: came.append(request.url.rpartition("/")[2]))
    assert settles(tab.open(), CONNECTED)

    listed = next(at for at, name in enumerate(came) if name == "pages")
    sdk = next(at for at, name in enumerate(came) if name.startswith("sdk-"))
    assert len([name for name in came[:listed] if name.startswith("chunk-")]) == 1
    assert listed < sdk
