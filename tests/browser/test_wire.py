"""What an opening costs on the wire, counted by the server that sends it: headers, page, script, styles and lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Route

from tests.browser.tab import Tab, settles

pytestmark = pytest.mark.browser

CONNECTED = "document.documentElement.dataset.portal === 'connected'"  # the last bundle has come
# What waits a second for something to come waits for ever.
NO_WAIT_ENDS = """
const after = window.setTimeout
window.setTimeout = (then, ms, ...more) => ms === 1000 ? 0 : after(then, ms, ...more)
"""
COLD_BYTES, WARM_BYTES = 110 * 1024, 12 * 1024


def answer_or_go_on(route: Route, answers: Iterator[dict[str, Any]]) -> None:
    """The next answer of the test's own; the server's where none is left."""
    answer = next(answers, None)
    if answer:
        route.fulfill(**answer)
    else:
        route.continue_()


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


def test_a_list_that_is_refused_does_not_wait_for_itself(tab: Tab):
    tab.page.add_init_script(NO_WAIT_ENDS)
    refusals = iter([{"status": 401, "content_type": "text/html", "body": "<section></section>"}])
    tab.page.route("**/pages", lambda route: answer_or_go_on(route, refusals))
    came: list[str] = []
    tab.page.on("request", lambda request: came.append(urlsplit(request.url).path.rpartition("/")[2]))

    assert settles(tab.open(), CONNECTED)

    sdk = next(at for at, name in enumerate(came) if name.startswith("sdk-"))
    asked = [at for at, name in enumerate(came) if name == "pages"]
    assert asked[0] < sdk < came.index("session") < asked[1]
