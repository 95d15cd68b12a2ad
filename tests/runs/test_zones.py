"""Whose clock counts: the portal's profile, what a person chose, offsets, and zones nobody knows."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from b24app import zones
from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.conftest import Turn, Work
from tests.people import Person, body_of

PAGE = 351


def told_by_the_portal(person: Person, standin: StandIn, clock: TurnableClock, zone: object) -> None:
    """The profile says another zone, and the person opens the app the next day."""
    with standin.world.lock:
        person.portal.user(person.role).time_zone = zone  # type: ignore[assignment]
    clock.tick(days=1, minutes=1)
    person.opened()


def zone_of_the_page(person: Person) -> str:
    return person.open().text.partition('data-zone="')[2].partition('"')[0]


@pytest.mark.parametrize(("said", "kept"), [
    ("Europe/Riga", "Europe/Riga"), ("Etc/GMT-3", "Etc/GMT-3"), ("UTC", "UTC"), ("GMT+3", "+03:00"),
    ("UTC+03:00", "+03:00"), ("UTC-9:30", "-09:30"), ("+03:00", "+03:00"), ("-0330", "-03:30"), ("+00:00", "UTC"),
    ("Mars/Phobos", None), ("Etc/Unknown", None), ("+15:00", None), ("GMT+3:75", None), ("", None), (None, None),
    (3, None), ("../UTC", None), ("Europe", None),
])  # fmt: skip
def test_what_is_said_of_a_zone_is_a_name_an_offset_or_nothing(said: object, kept: str | None):
    assert zones.understood(said) == kept
    assert (zones.find(kept) is None) is (kept is None)


def test_an_offset_lies_where_everyday_speech_puts_it():
    east = zones.find("+03:00")

    assert datetime(2027, 7, 1, 12, tzinfo=east).astimezone(UTC).hour == 9


@pytest.mark.parametrize("said", ["GMT+3", "UTC+03:00", "+03:00"])
def test_an_offset_in_the_profile_is_a_zone_of_its_own(
    alice: Person, standin: StandIn, clock: TurnableClock, turn: Turn, work: Work, said: str
):
    told_by_the_portal(alice, standin, clock, said)
    day = (clock() + timedelta(days=2)).date()

    run = alice.unpublish(PAGE, at=f"{day}T12:00").json

    assert run
    assert (run["at"], run["zone"]) == (f"{day}T09:00:00Z", "+03:00")
    assert "UTC+03:00" in alice.fragment("GET", f"/runs/dialog?what=reschedule&ids={run['id']}").text
    turn(until=datetime.fromisoformat(run["at"]) + timedelta(seconds=1))
    work()
    assert not alice.portal.page(PAGE).active


def test_the_weeks_of_the_history_begin_by_the_offset(alice: Person, standin: StandIn, clock: TurnableClock):
    told_by_the_portal(alice, standin, clock, "GMT+3")
    alice.unpublish(PAGE)

    assert alice.fragment("GET", "/runs").status_code == 200


@pytest.mark.parametrize("said", ["Mars/Phobos", "Etc/Unknown", "", None, 0])
def test_an_unknown_zone_stops_nothing_that_needs_none(
    alice: Person, standin: StandIn, clock: TurnableClock, said: object
):
    told_by_the_portal(alice, standin, clock, said)

    assert zone_of_the_page(alice) == ""
    form = {"action": "unpublish", "lids": str(PAGE), "zone": "Etc/Unknown"}
    assert alice.fragment("POST", "/runs/preview", **form).status_code == 200
    assert alice.fragment("POST", "/runs", **form).status_code == 201
    assert alice.publish(PAGE).status_code == 201
    later = (clock() + timedelta(days=1)).isoformat(timespec="seconds")
    assert alice.unpublish(PAGE, at=later, zone="Etc/Unknown").status_code == 201
    for path in ("/pages", "/runs", f"/pages/{PAGE}"):
        assert alice.fragment("GET", path).status_code == 200
    assert alice.get("/runs?from=2026-01-01").status_code == 200


def test_an_unknown_zone_is_asked_for_where_a_local_time_needs_one(
    alice: Person, standin: StandIn, clock: TurnableClock
):
    told_by_the_portal(alice, standin, clock, "Mars/Phobos")
    local = f"{(clock() + timedelta(days=2)).date()}T12:00"

    refused = alice.unpublish(PAGE, at=local)
    asked = alice.fragment("POST", "/runs/preview", action="unpublish", lids=str(PAGE), when="later")

    assert refused.status_code == 422
    assert "time zone" in refused.json["detail"]  # type: ignore[index]
    assert alice.unpublish(PAGE, at=local, zone="Etc/Unknown").status_code == 422
    assert '<select class="field" id="zone" name="zone"' in asked.text
    zones = re.search(r'data-zones="([^"]+)"', asked.text)
    assert zones
    assert '<option value="Europe/Riga">' in alice.fragment("GET", zones[1]).text
    assert alice.put("/preferences", {"zone": "Europe/Riga"}).status_code == 204
    assert body_of(alice.unpublish(PAGE, at=local))


def test_a_zone_changed_in_the_portal_arrives_with_the_next_profile(
    alice: Person, standin: StandIn, clock: TurnableClock
):
    assert zone_of_the_page(alice) == "Europe/London"

    told_by_the_portal(alice, standin, clock, "Asia/Tokyo")

    assert zone_of_the_page(alice) == "Asia/Tokyo"


def test_a_chosen_zone_stays_until_the_portal_is_to_be_followed_again(
    alice: Person, standin: StandIn, clock: TurnableClock
):
    assert alice.put("/preferences", {"zone": "GMT+3"}).status_code == 204

    told_by_the_portal(alice, standin, clock, "Asia/Tokyo")

    assert zone_of_the_page(alice) == "+03:00"
    assert alice.put("/preferences", {"zone": "portal"}).status_code == 204
    assert zone_of_the_page(alice) == "Asia/Tokyo"


def test_the_browsers_zone_counts_only_while_nobody_named_one(alice: Person, standin: StandIn, clock: TurnableClock):
    alice.put("/preferences", {"browser_zone": "Asia/Tokyo"})
    assert zone_of_the_page(alice) == "Europe/London"
    told_by_the_portal(alice, standin, clock, "")

    assert alice.put("/preferences", {"browser_zone": "Etc/Unknown"}).status_code == 204
    assert zone_of_the_page(alice) == ""
    alice.put("/preferences", {"browser_zone": "Asia/Tokyo"})
    assert zone_of_the_page(alice) == "Asia/Tokyo"
    told_by_the_portal(alice, standin, clock, "Europe/Riga")
    assert zone_of_the_page(alice) == "Europe/Riga"
