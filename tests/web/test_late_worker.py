"""A worker that is away is told to those who wait for it, and only to them."""

import re

import pytest

from b24app.operations.housekeeping import Housekeeping
from b24app.store.heartbeat import WORKER_LATE
from tests.clocks import YEAR
from tests.people import Person

AWAY = "The app&#39;s worker is not running"


@pytest.fixture
def housekeeping(services) -> Housekeeping:
    return Housekeeping(services.store, services.queue, services.clock)


def waiting_run(person: Person) -> str:
    return person.unpublish(351, 352).headers["Location"]


def test_a_run_that_waits_for_the_worker_says_so(alice, housekeeping, clock):
    path = waiting_run(alice)
    never = alice.fragment("GET", path).text
    housekeeping.beat()
    alive = alice.fragment("GET", path).text
    clock.tick(seconds=WORKER_LATE.total_seconds() + 1)
    late = alice.fragment("GET", path).text

    assert AWAY in never
    assert "It has never been seen." in never
    assert AWAY not in alive
    assert AWAY in late
    assert re.search(r"It was last seen (?:today|yesterday) at", late)


def test_a_finished_run_does_not(alice):
    path = alice.unpublish(351).headers["Location"]

    assert AWAY not in alice.fragment("GET", path).text


def test_the_list_of_what_is_scheduled_says_so_when_there_is_something(alice):
    nothing = alice.fragment("GET", "/runs?state=scheduled,waiting").text
    alice.unpublish(351, at=f"{YEAR}-06-01T10:00:00+00:00")

    assert AWAY not in nothing
    assert AWAY in alice.fragment("GET", "/runs?state=scheduled,waiting").text
