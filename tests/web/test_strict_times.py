"""What is a time and what is not: `at`, `until`, the new time of a move, and the filters of the history."""

from datetime import timedelta

import pytest

from tests.clocks import YEAR, TurnableClock
from tests.people import Person, run_id_of

PAGE = 351
NO_TIMES = [
    *(f"{YEAR}{rest}" for rest in (
        "-03-01T10.45", "-03-01", "-W10-1", "-W10-1T10:45", "0301T104500", "-03-01 10:45", "-03-01T10", "-03-01T1045",
        "-03-01T10:45:00.5", "-03-01T10:45:00,5", "-03-01T10:45+0100", "-03-01T10:45+01", "-03-01T10:45 Z",
        "-03-01t10:45", "-03-01T10:45z", "-060T10:45", "-13-01T10:45", "-03-01T24:30", "-03-01T10:60",
    )),
    "".join(chr(0x660 + int(digit)) for digit in str(YEAR)) + "-03-01T10:45", "tomorrow", "1803898800", "", " ",
]  # fmt: skip
NO_FILTERS = [each for each in NO_TIMES if each not in (f"{YEAR}-03-01", "")]


def inside(clock: TurnableClock, **span: float) -> str:
    return (clock() + timedelta(**span)).isoformat(timespec="seconds")


@pytest.mark.parametrize("said", NO_TIMES)
def test_a_time_in_another_form_is_refused_and_never_guessed(alice: Person, clock: TurnableClock, said: str):
    run = run_id_of(alice.unpublish(352, at=inside(clock, days=1)))

    at = alice.unpublish(PAGE, at=said, zone="Europe/Berlin")
    until = alice.unpublish(PAGE, until=said, zone="Europe/Berlin")
    moved = [alice.post(f"/runs/{run}/move", {end: said, "zone": "Europe/Berlin"}) for end in ("at", "until")]

    assert [answer.status_code for answer in (at, until, *moved)] == [422] * 4
    assert {answer.json["code"] for answer in (at, until, *moved)} == {"invalid"}  # type: ignore[index]
    assert alice.portal.page(PAGE).active
    assert [run["id"] for run in alice.read("/runs")["runs"]] == [run]


@pytest.mark.parametrize("said", [
    f"{YEAR}-03-01T10:45", f"{YEAR}-03-01T10:45:30", f"{YEAR}-03-01T10:45Z", f"{YEAR}-03-01T10:45:30+05:45",
])  # fmt: skip
def test_a_time_in_our_form_is_taken(alice: Person, said: str):
    run = run_id_of(alice.unpublish(PAGE, at=said, zone="Europe/Berlin"))

    assert alice.read(f"/runs/{run}")["at"].startswith(f"{YEAR}-03-01T")


def test_a_field_left_empty_in_a_form_is_not_now(alice: Person):
    answer = alice.fragment("POST", "/runs", action="unpublish", lids=str(PAGE), at="", until="")

    assert answer.status_code == 422
    assert alice.portal.page(PAGE).active


def test_an_end_left_empty_in_a_form_of_the_page_is_no_end(alice: Person):
    assert alice.fragment("POST", "/runs", action="unpublish", lids=str(PAGE), until="").status_code == 201


@pytest.mark.parametrize("empty", [{"at": ""}, {"until": ""}, {"at": f"{YEAR}-03-01T10:45Z", "until": ""}])
def test_a_time_left_empty_in_a_clients_form_is_no_time(alice: Person, clock: TurnableClock, empty: dict[str, str]):
    order = {"action": "unpublish", "lids": str(PAGE), **empty}
    pair = run_id_of(alice.unpublish(352, at=inside(clock, days=1), until=inside(clock, days=2)))
    move = {"at": inside(clock, hours=1), **empty}

    answers = [
        alice.client.post(path, data=body, headers=alice.headers())
        for path, body in (("/runs", order), ("/runs/preview", order), (f"/runs/{pair}/move", move))
    ]

    assert [answer.status_code for answer in answers] == [422] * 3
    assert alice.portal.page(PAGE).active


@pytest.mark.parametrize(("seconds", "status"), [(30, 201), (58, 201), (61, 422)])
def test_less_than_a_minute_ago_counts_as_now(alice: Person, clock: TurnableClock, seconds: int, status: int):
    clock.stop()
    assert alice.unpublish(PAGE, at=inside(clock, seconds=-seconds)).status_code == status


def test_a_passed_end_is_refused_though_the_beginning_counts_as_now(alice: Person, clock: TurnableClock):
    answer = alice.unpublish(PAGE, at=inside(clock, seconds=-40), until=inside(clock, seconds=-20))

    assert answer.status_code == 422


@pytest.mark.parametrize("name", ["from", "to", "due_from", "due_to"])
def test_filters_of_the_history_take_a_day_or_a_time_and_nothing_else(alice: Person, name: str):
    for said in (f"{YEAR}-03-01", f"{YEAR}-03-01T10:45", f"{YEAR}-03-01T10:45%2B01:00", ""):
        assert alice.get(f"/runs?{name}={said}").status_code == 200
        assert alice.get(f"/runs.csv?{name}={said}").status_code == 200
    for said in NO_FILTERS:
        answer = alice.client.get("/runs", query_string={name: said}, headers=alice.headers())
        assert answer.status_code == 422, said


def test_what_is_due_is_found_by_the_day_in_the_persons_zone(alice: Person, clock: TurnableClock):
    alice.put("/preferences", {"zone": "Asia/Tokyo"})
    day = (clock() + timedelta(days=3)).date()
    early, late = (run_id_of(alice.unpublish(PAGE, at=f"{day}T{time}")) for time in ("00:00", "23:59:59"))
    run_id_of(alice.unpublish(PAGE, at=f"{day - timedelta(days=1)}T23:59:59"))
    run_id_of(alice.unpublish(PAGE, at=f"{day + timedelta(days=1)}T00:00"))
    now = run_id_of(alice.unpublish(352))

    found = alice.read(f"/runs?due_from={day}&due_to={day}")["runs"]
    morning = alice.read(f"/runs?due_from={day}T00:00&due_to={day}T12:00%2B09:00")["runs"]

    assert {run["id"] for run in found} == {early, late}
    assert [run["id"] for run in morning] == [early]
    assert now not in alice.get(f"/runs.csv?due_from={day}").text
