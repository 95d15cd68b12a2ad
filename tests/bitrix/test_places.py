"""Which hosts a process remembers as unwell."""

import pytest

from b24app.bitrix import places
from b24app.bitrix.places import TIMEOUTS_IN_A_ROW, Breakers
from b24app.errors import Unavailable


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
