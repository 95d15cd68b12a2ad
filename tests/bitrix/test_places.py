"""Which hosts a process remembers as unwell, and who gets the places of a party that many share."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from b24app.bitrix import places
from b24app.bitrix.places import AT_ONCE, TIMEOUTS_IN_A_ROW, Breakers, Places
from b24app.errors import PortalBusy, Unavailable
from tests.clocks import until


def time_out(breakers: Breakers, host: str) -> None:
    with pytest.raises(Unavailable, match="portal_timeout"), breakers.watch(host, 10.0):
        raise Unavailable.timeout()


def test_hosts_that_timed_out_once_are_not_remembered_without_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(places, "MOST_PARTIES", 2)
    breakers = Breakers(enabled=True)
    for _ in range(TIMEOUTS_IN_A_ROW - 1):
        time_out(breakers, "first.example")

    for host in ("second.example", "third.example", "first.example"):
        time_out(breakers, host)

    with breakers.watch("first.example", 10.0):  # its earlier time-outs were forgotten: else it would be left alone
        pass


def test_a_crowd_of_one_network_leaves_room_to_the_others_that_wait():
    places = Places(threads=24, patience_seconds=30.0)

    def ask(network: str) -> str:
        with places.hold("strangers", member=network):
            return network

    with ThreadPoolExecutor(2) as waiting:
        with ExitStack() as taken:
            for _ in range(AT_ONCE):
                taken.enter_context(places.hold("strangers", member="crowd"))
            first = waiting.submit(ask, "crowd")
            until(lambda: places.waiting("strangers") == 1)
            with pytest.raises(PortalBusy):
                ask("crowd")
            other = waiting.submit(ask, "other")
            until(lambda: places.waiting("strangers") == 2)

        assert (first.result(), other.result()) == ("crowd", "other")
        assert places.waiting("strangers") == 0
