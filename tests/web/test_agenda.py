"""Scheduled as agenda and calendar: pairs as one entry, several at once, search, and files for one's own calendar."""

import json
import re
import unicodedata
from datetime import UTC, date, datetime, timedelta
from html import unescape
from typing import Any
from urllib.parse import quote

import pytest
from werkzeug.test import TestResponse

from b24app.web.icalendar import Event, calendar
from b24sandbox import StandIn
from tests.clocks import FORWARD, FORWARD_IN_AMERICA, YEAR, TurnableClock, sunday
from tests.conftest import Turn, Work
from tests.people import Person, body_of, run_id_of

PAGE, OTHER, IN_SHOP = 351, 352, 411  # the last in another site
AGENDA = "/runs?state=scheduled,waiting"
FORM = {"to": "scheduled", "view": "agenda"}


def inside(clock: TurnableClock, **span: float) -> str:
    return (clock() + timedelta(**span)).isoformat(timespec="seconds")


def changed(days: int, time: str, on: date = FORWARD) -> str:
    """A time so many days after clocks go forward."""
    return f"{on + timedelta(days)}T{time}"


WINDOW = {"at": changed(-4, "18:00", FORWARD_IN_AMERICA), "until": changed(-8, "08:00")}


def entries(shown: str) -> list[str]:
    """Ids of the agenda's entries, in order."""
    return re.findall(r'id="entry-([0-9a-f-]{36})"', shown)


def wall_times(person: Person, run: str) -> tuple[Any, Any]:
    said = person.read(f"/runs/{run}")
    return said["at"], said["until"]


# --- looking -----------------------------------------------------------------------------------------------------


def test_a_pair_is_one_entry_with_two_ends_before_and_after_it_began(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work
):
    pair = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1), until=inside(clock, hours=30)))
    alone = run_id_of(alice.publish(OTHER, at=inside(clock, hours=2)))

    before = alice.fragment("GET", AGENDA).text
    turn(hours=1, seconds=1)
    work()
    after = alice.fragment("GET", AGENDA).text

    assert entries(before) == [pair["id"], alone]
    assert "Goes down" in before
    assert "Comes back: " in before
    assert '<hx-partial hx-target="#scheduled-count" hx-swap="textContent">2</hx-partial>' in before
    assert entries(after) == [alone, pair["returns_run"]]
    assert "Down since" in after


def test_what_waits_for_a_person_stands_on_top(alice: Person, standin, clock: TurnableClock, work: Work):
    later = run_id_of(alice.unpublish(OTHER, at=inside(clock, minutes=30)))
    waiting = run_id_of(alice.unpublish(PAGE, IN_SHOP))
    standin.fault(0, method="batch", kind="error", code="insufficient_scope", status=401, times=-1)
    work()
    standin.clear_faults()

    assert entries(alice.fragment("GET", AGENDA).text) == [waiting, later]


@pytest.mark.parametrize("view", ["month", "week"])
def test_windows_are_bars_from_end_to_end(alice: Person, clock: TurnableClock, view: str):
    alice.put("/preferences", {"zone": "UTC"})
    monday = sunday(3, 1) + timedelta(1)
    wednesday, thursday, tuesday = (monday + timedelta(ahead) for ahead in (2, 3, 8))
    window = {"at": f"{wednesday}T10:00Z", "until": f"{tuesday}T08:00Z"}
    over_two_weeks = run_id_of(alice.unpublish(PAGE, **window, name="Spring"))
    one_day = run_id_of(alice.publish(OTHER, at=f"{thursday}T10:00Z"))

    shown = alice.fragment("GET", f"{AGENDA}&view={view}&day={monday}").text

    bars = re.findall(r'class="bar-line ([^"]+)" data-run="([^"]+)"', shown)
    first = {"month": ["lane-0 from-2 over-5 opens", "lane-0 from-0 over-2"], "week": ["lane-0 from-2 over-5 opens"]}
    assert [(look, run) for look, run in bars if run == over_two_weeks] == [
        (f"{look}{' closes' if look.endswith('over-2') else ''} down", over_two_weeks) for look in first[view]
    ]
    assert (("lane-1 from-3 over-1 opens closes up"), one_day) in bars
    assert "Spring" in shown


def test_days_with_more_than_fits_say_how_many(alice: Person):
    for hour in range(10, 15):
        alice.unpublish(PAGE, at=f"{YEAR}-03-03T{hour}:00Z")

    shown = alice.fragment("GET", f"{AGENDA}&view=month&day={YEAR}-03-01").text

    assert "+2 more" in shown


def test_all_of_a_full_day_is_listed_also_what_began_before_or_is_over(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work
):
    alice.put("/preferences", {"zone": "UTC"})
    turn(until=(clock() + timedelta(days=1)).replace(hour=9, minute=0))
    alice.opened()
    over = run_id_of(alice.unpublish(PAGE, at=inside(clock, minutes=1), name="Over"))
    for _ in range(12):
        alice.unpublish(OTHER, at=inside(clock, minutes=30), until=inside(clock, days=9), name="Long")
    turn(minutes=2)
    work()
    tomorrow = (clock() + timedelta(days=1)).date()

    week = alice.fragment("GET", f"{AGENDA}&view=week&day={clock().date()}").text
    today, later = (
        alice.fragment("GET", f"/runs/dialog?what=day&day={day}").text for day in (clock().date(), tomorrow)
    )
    found = alice.fragment("GET", f"/runs/dialog?what=day&day={tomorrow}&q=nothing").text

    more = re.search(r'hx-get="/runs/dialog"[^>]*aria-label="\+3 more, Today[^"]*"', week)
    assert more
    assert [each.count(">Long</a>") for each in (today, later, found)] == [12, 12, 0]
    assert f'href="/runs/{over}"' in today
    assert f'href="/runs/{over}"' not in later


@pytest.mark.parametrize("view", ["month", "week"])
@pytest.mark.parametrize(
    ("day", "status"),
    [("0001-01-01", 422), ("9999-12-31", 422), ("1970-01-01", 200), ("9998-12-31", 200)],
)
def test_a_calendar_of_days_at_the_end_of_time_is_no_failure(alice: Person, view: str, day: str, status: int):
    assert alice.fragment("GET", f"{AGENDA}&view={view}&day={day}").status_code == status


def test_the_calendar_shows_what_is_done_and_leaves_out_what_was_cancelled(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work
):
    done = run_id_of(alice.unpublish(PAGE, at=inside(clock, minutes=1)))
    cancelled = run_id_of(alice.unpublish(OTHER, at=inside(clock, minutes=2)))
    alice.post(f"/runs/{cancelled}/cancel")
    turn(minutes=2)
    work()

    shown = alice.fragment("GET", f"{AGENDA}&view=week&day={clock().date()}").text

    assert f'data-run="{done}"' in shown
    assert f'data-run="{cancelled}"' not in shown
    assert re.search(rf'over" data-run="{done}"', shown)


def test_a_calendar_without_anything_to_come_leads_to_what_is_next(
    alice: Person, standin, clock: TurnableClock, work: Work
):
    run_id_of(alice.unpublish(OTHER, IN_SHOP))  # waits for a person, and has done so since it was ordered
    standin.fault(0, method="batch", kind="error", code="insufficient_scope", status=401, times=-1)
    work()
    standin.clear_faults()
    run_id_of(alice.unpublish(PAGE, at="2031-03-12T10:00:00Z"))

    empty = alice.fragment("GET", f"{AGENDA}&view=month&day=2031-01-10").text
    other = alice.fragment("GET", f"{AGENDA}&view=month&day=2031-01-10&q=christmas").text
    there = alice.fragment("GET", f"{AGENDA}&view=month&day=2031-03-12").text
    behind = alice.fragment("GET", f"{AGENDA}&view=month&day=2031-06-12").text
    long_ago = alice.fragment("GET", f"{AGENDA}&view=month&day=2020-06-12").text

    assert "Nothing is scheduled on these days." in empty
    assert all("Next: Wednesday, March 12, 2031</button>" in shown for shown in (empty, long_ago))
    assert not any("cal-next" in shown for shown in (other, there, behind))


@pytest.mark.parametrize("view", ["agenda", "month", "week"])
def test_a_search_that_finds_nothing_says_so_and_can_be_cleared(alice: Person, view: str):
    alice.unpublish(PAGE, at=f"{YEAR}-03-03T10:00:00Z")

    shown = unescape(alice.fragment("GET", f"{AGENDA}&view={view}&day={YEAR}-03-03&q=nowhere").text)
    cleared = alice.fragment("GET", f"{AGENDA}&view={view}&day={YEAR}-03-03").text

    assert "No schedules match" in shown or "Nothing on these days matches “nowhere”." in shown
    assert "Nothing is scheduled" not in shown
    assert re.search(rf'hx-vals=\'?"?[^>]*"view": "{view}"[^>]*id="clear-search">Clear search</button>', shown)
    assert "clear-search" not in cleared


# --- finding -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("q", ["christmas", "STOCKTAKING", "Preisliste für", "grün", "елка", "main"])
def test_orders_are_found_by_campaign_reason_page_and_site(alice: Person, clock: TurnableClock, q: str):
    alice.portal.change_page(PAGE, title=unicodedata.normalize("NFD", "Preisliste für Grünes: Ёлка"))
    found = run_id_of(
        alice.unpublish(PAGE, at=inside(clock, days=1), name="Christmas 2027", reason="Stocktaking at 100%")
    )
    other = run_id_of(alice.unpublish(IN_SHOP, at=inside(clock, days=1), name="Summer"))

    ids = [run["id"] for run in alice.read(f"/runs?q={quote(q)}")["runs"]]

    assert found in ids
    assert other not in ids
    assert entries(alice.fragment("GET", f"{AGENDA}&q={quote(q)}").text) == [found]
    assert alice.read("/runs?q=100%25")["runs"][0]["id"] == found
    assert alice.read("/runs?q=1_0%25")["runs"] == []
    assert alice.get(f"/runs.csv?q={quote(q)}").text.count("\n") == 2


def test_a_search_does_not_tell_what_is_in_sites_one_cannot_read(alice: Person, bob: Person, clock: TurnableClock):
    alice.portal.change_page(PAGE, title="Secret merger")
    alice.portal.rights("reader", alice.portal.page(PAGE).site_id, [])
    run = run_id_of(alice.unpublish(PAGE, at=inside(clock, days=1), name="Quarter"))

    assert [each["id"] for each in alice.read("/runs?q=merger")["runs"]] == [run]
    assert bob.read("/runs?q=merger")["runs"] == []
    assert [each["id"] for each in bob.read("/runs?q=quarter")["runs"]] == [run]
    assert "merger" not in bob.fragment("GET", "/runs?q=quarter").text


def test_the_history_has_a_column_of_sites_and_the_campaign(alice: Person):
    alice.unpublish(PAGE, IN_SHOP, name="Relaunch")

    shown = alice.fragment("GET", "/runs").text

    names = {alice.read(f"/pages/{lid}")["site"] for lid in (PAGE, IN_SHOP)}
    assert "Relaunch" in shown
    assert all(name in shown for name in names)


# --- several at once ---------------------------------------------------------------------------------------------


def test_a_campaign_moves_by_a_week_over_a_clock_change_and_back(alice: Person):
    alice.put("/preferences", {"zone": "Europe/Berlin"})
    zone = {"zone": "Europe/Berlin"}
    pair = body_of(alice.unpublish(PAGE, at=changed(-6, "18:00"), until=changed(-2, "08:00"), **zone))
    alone = run_id_of(alice.unpublish(OTHER, at=changed(-4, "12:00"), **zone))

    moved = alice.post("/runs/reschedule", {"ids": [pair["returns_run"], pair["id"], alone], "days": 7})

    assert sorted(moved.json["done"]) == sorted([pair["id"], alone])  # type: ignore[index]
    assert wall_times(alice, pair["id"]) == (
        changed(1, "16:00:00Z"),
        changed(5, "06:00:00Z"),
    )
    assert alice.read(f"/runs/{pair['returns_run']}")["at"] == changed(5, "06:00:00Z")
    assert wall_times(alice, alone)[0] == changed(3, "10:00:00Z")
    back = alice.fragment("POST", "/runs/reschedule", ids=[pair["id"], alone], days=7, direction="earlier", **FORM)
    assert "2 schedules are now" in back.text
    assert wall_times(alice, pair["id"]) == (
        changed(-6, "17:00:00Z"),
        changed(-2, "07:00:00Z"),
    )


def test_each_end_keeps_its_time_of_day_in_the_zone_it_was_set_in(alice: Person):
    """The pair was begun in New York, its return was moved in Riga: clocks go forward on days of their own."""
    alice.put("/preferences", {"zone": "Europe/Berlin"})
    pair = body_of(
        alice.unpublish(
            PAGE,
            at=changed(-4, "18:00", FORWARD_IN_AMERICA),
            until=changed(6, "08:00", FORWARD_IN_AMERICA),
            zone="America/New_York",
        )
    )
    moved = alice.post(f"/runs/{pair['id']}/move", {"until": changed(-4, "08:00"), "zone": "Europe/Riga"})
    before = wall_times(alice, pair["id"])

    shifted = alice.post("/runs/reschedule", {"ids": [pair["id"]], "days": 7})

    assert moved.status_code == 200
    assert before == (changed(-4, "23:00:00Z", FORWARD_IN_AMERICA), changed(-4, "06:00:00Z"))
    assert body_of(shifted)["done"] == [pair["id"]]
    assert wall_times(alice, pair["id"]) == (
        changed(3, "22:00:00Z", FORWARD_IN_AMERICA),
        changed(3, "05:00:00Z"),
    )
    assert [alice.read(f"/runs/{pair[half]}")["zone"] for half in ("id", "returns_run")] == [
        "America/New_York", "Europe/Riga",
    ]  # fmt: skip
    alice.post("/runs/reschedule", {"ids": [pair["returns_run"]], "days": 7, "direction": "earlier"})
    assert wall_times(alice, pair["id"]) == before


def test_what_was_set_without_a_zone_is_shifted_on_the_persons_clock(alice: Person):
    alice.put("/preferences", {"zone": "Europe/Riga"})
    run = run_id_of(alice.unpublish(PAGE, at=changed(-4, "08:00Z")))

    alice.post("/runs/reschedule", {"ids": [run], "days": 7})

    assert wall_times(alice, run)[0] == changed(3, "07:00:00Z")


def test_a_retry_that_joined_a_window_shifts_no_other_orders_return(
    alice: Person, standin: StandIn, clock: TurnableClock, turn: Turn, work: Work
):
    pair = body_of(alice.unpublish(PAGE, OTHER, IN_SHOP, at=inside(clock, hours=1), until=inside(clock, days=9)))
    standin.fault(0, "landing.landing.unpublic", kind="error", code="ACCESS_DENIED", status=400, skip=1, times=2)
    turn(hours=1, seconds=1)
    work()
    retry = body_of(alice.opened().post(f"/runs/{pair['id']}/retry"))
    before = wall_times(alice, pair["id"])

    told = body_of(alice.post("/runs/reschedule", {"ids": [retry["id"]], "days": 1}))

    assert told["done"] == []
    assert wall_times(alice, pair["id"]) == before


def ask_shift(person: Person, *runs: str, **chosen: object) -> TestResponse:
    """As the open dialog asks what the chosen days would make of these."""
    headers = person.headers(**{"Accept": "text/html", "HX-Request": "true", "HX-Target": "div#time-note"})
    return person.client.post("/runs/preview", data={"ids": list(runs), **chosen}, headers=headers)


def shift_of(person: Person, *runs: str, **chosen: object) -> str:
    """What it is told, with one blank for each run of whitespace."""
    answer = ask_shift(person, *runs, **chosen)
    assert answer.status_code == 200, answer.text
    return re.sub(r"\s+", " ", answer.text)


def test_nobody_is_told_of_another_portals_schedules(alice: Person, charlie: Person, clock: TurnableClock):
    run = run_id_of(alice.unpublish(PAGE, at=inside(clock, hours=1)))

    assert ask_shift(charlie, run, days=7).status_code == 404


def test_the_dialog_tells_where_each_end_would_come_to(alice: Person):
    alice.put("/preferences", {"zone": "Europe/Berlin"})
    pair = body_of(
        alice.unpublish(
            PAGE,
            at=changed(-6, "18:00"),
            until=changed(-2, "08:00"),
            zone="America/New_York",
        )
    )
    path = f"/runs/dialog?what=reschedule&ids={pair['id']}&by=days"

    asked = re.sub(r"\s+", " ", alice.fragment("GET", path).text)
    told = shift_of(alice, pair["id"], days=1)
    unread = shift_of(alice, pair["id"], days="")

    days = {ahead: FORWARD + timedelta(ahead) for ahead in (-6, -2, -1, 2, 5)}
    day = {ahead: f"{each:%a}, {each:%b} {each.day}, {each.year}" for ahead, each in days.items()}
    assert re.search(rf"Goes down: {day[-6]}, 11:00.PM .*?<b>{day[2]}, 12:00.AM</b>", asked)
    assert re.search(rf"Comes back: {day[-2]}, 1:00.PM .*?<b>{day[5]}, 2:00.PM</b>", asked)
    assert re.search(rf"Comes back: {day[-2]}, 1:00.PM .*?<b>{day[-1]}, 1:00.PM</b>", told)
    assert "data-wrong" not in told
    assert "<b>" not in unread


def test_an_end_that_would_lie_in_the_past_is_marked_beside_the_field(alice: Person, clock: TurnableClock):
    soon = run_id_of(alice.unpublish(PAGE, at=inside(clock, hours=5), until=inside(clock, days=9)))
    later = run_id_of(alice.unpublish(OTHER, at=inside(clock, days=5)))

    one = shift_of(alice, soon, days=2, direction="earlier")
    both = shift_of(alice, soon, later, days=2, direction="earlier")
    neither = shift_of(alice, soon, later, days=200, direction="earlier")

    past = "This time has already passed. Choose a later one."
    assert f'<template data-wrong="days"><span>Goes down: {past}</span></template>' in one
    assert (both.count(past), both.count('class="not"')) == (1, 2)
    assert "1 of them stays as it is" in both
    assert "data-wrong" not in both
    assert '<template data-wrong="days"><span>None of these' in neither


def test_what_cannot_be_moved_or_may_not_is_said_and_stops_no_other(alice: Person, bob: Person, clock: TurnableClock):
    soon = run_id_of(alice.unpublish(PAGE, at=inside(clock, hours=5)))
    later = run_id_of(alice.unpublish(OTHER, at=inside(clock, days=5)))

    told = body_of(alice.post("/runs/reschedule", {"ids": [soon, later], "days": -2}))
    in_words = alice.fragment("POST", "/runs/reschedule", ids=[soon], days=-2, **FORM).text
    foreign = body_of(bob.post("/runs/cancel", {"ids": [soon, later]}))

    assert told["done"] == [later]
    assert [each["problem"]["code"] for each in told["refused"]] == ["invalid"]
    assert "was left as it was" in in_words
    assert {each["problem"]["code"] for each in foreign["refused"]} == {"not_allowed"}


def test_several_are_cancelled_with_their_returns(alice: Person, clock: TurnableClock):
    pair = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1), until=inside(clock, hours=3)))
    alone = run_id_of(alice.unpublish(OTHER, at=inside(clock, hours=1)))

    asked = alice.fragment(
        "GET", f"/runs/dialog?what=cancel&ids={pair['id']}&ids={alone}&to=scheduled&view=agenda"
    ).text
    done = alice.fragment("POST", "/runs/cancel", ids=[pair["id"], alone], **FORM).text

    assert "Cancel 2 schedules?" in asked
    assert "2 schedules cancelled." in done
    assert {alice.read(f"/runs/{run}")["state"] for run in (pair["id"], pair["returns_run"], alone)} == {"cancelled"}


@pytest.mark.parametrize(("half", "words"), [
    ("id", "1 schedule cancelled."),
    ("returns_run", "The return is cancelled."),
])  # fmt: skip
def test_who_came_from_the_calendar_is_told_there_what_was_cancelled(
    alice: Person, clock: TurnableClock, half: str, words: str
):
    pair = body_of(alice.unpublish(PAGE, at=inside(clock, days=1), until=inside(clock, days=2)))
    came, plain = ("?to=scheduled&view=month&q=a", "")
    pages = [unescape(alice.fragment("GET", f"/runs/{pair[half]}{query}").text) for query in (came, plain)]
    asked = alice.fragment("GET", f"/runs/{pair[half]}/confirm?what=cancel&to=scheduled&view=month").text

    done = alice.fragment("POST", f"/runs/{pair[half]}/cancel", **FORM | {"view": "month"})

    kept = [re.search(r'hx-vals="([^>]+)" hx-target="#dialog"[^>]* id="run-cancel"', shown) for shown in pages]
    assert ['"to": "scheduled", "view": "month"' in found[1] for found in kept if found] == [True, False]
    assert '"limit": 100, "q": "a", "to": "scheduled", "view": "month"' in pages[0], "also when it is drawn anew"
    assert '<input type="hidden" name="view" value="month">' in asked
    assert words in done.text
    assert f'id="again-{pair[half]}"' in done.text
    assert "view=month" in done.headers["Content-Location"]


@pytest.mark.parametrize(("action", "words", "stays", "named"), [
    ("unpublish", "The return is cancelled.", r"The page still goes down [^<]+ and stays down\.", "Return"),
    ("publish", "The end is cancelled.", r"The page still goes online [^<]+ and stays published\.", "End"),
])  # fmt: skip
def test_a_return_that_was_cancelled_alone_says_what_stays(
    alice: Person, clock: TurnableClock, action: str, words: str, stays: str, named: str
):
    order = alice.unpublish if action == "unpublish" else alice.publish
    pair = body_of(order(PAGE, at=inside(clock, days=1), until=inside(clock, days=2)))
    asked = [
        alice.fragment("GET", path).text
        for path in (
            f"/runs/dialog?what=cancel&ids={pair['id']}&to=scheduled&view=agenda",
            f"/runs/{pair['id']}/confirm?what=cancel",
        )
    ]
    question = alice.fragment("GET", f"/runs/{pair['returns_run']}/confirm?what=cancel").text
    path = f"/runs/{pair['returns_run']}"

    done = alice.fragment("POST", f"{path}/cancel", **FORM).text
    page, history = alice.fragment("GET", path).text, alice.fragment("GET", "/runs?view=history").text

    for shown in asked:
        assert re.search(
            rf'hx-post="{path}/cancel"[^>]*id="only-return">Cancel only the {named.lower()}</button>', shown
        )
    assert re.search(rf"Cancel the {named.lower()} of “[^”<]+”", question)
    assert words in done
    assert re.search(stays, done)
    assert re.search(rf"data-heading>\s*{named} cancelled\s*</h2>", page)
    assert re.search(stays, page)
    assert "No page was changed" not in page
    assert f'data-announce="{named} cancelled"' in page
    assert f"{named}: " in history
    assert alice.read(f"/runs/{pair['id']}")["state"] == "scheduled"


def test_a_return_is_told_as_one_once_its_pages_are_down(alice: Person, clock: TurnableClock, turn: Turn, work: Work):
    pair = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1), until=inside(clock, hours=30), name="Spring"))
    turn(hours=1, seconds=1)
    work()
    shown = alice.fragment("GET", f"/runs/{pair['returns_run']}").text
    asked = alice.fragment("GET", f"/runs/dialog?what=cancel&ids={pair['id']}&to=scheduled&view=agenda").text

    done = alice.fragment("POST", "/runs/cancel", ids=[pair["id"]], **FORM).text

    assert "Return of a schedule" in shown
    assert "Cancel the return of “Spring”?" in asked
    assert "only-return" not in asked
    assert "The return is cancelled." in done
    assert "The page stays unpublished." in done


def told_of(person: Person, **form: object) -> str:
    """What an open dialog says of times while they are chosen."""
    headers = person.headers() | {"HX-Request": "true", "HX-Target": "div#time-note", "Accept": "text/html"}
    return person.client.post("/runs/preview", data=form, headers=headers).text


def test_a_return_that_was_emptied_is_told_beside_its_field(alice: Person, clock: TurnableClock):
    pair = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1), until=inside(clock, hours=3)))
    asked = unescape(alice.fragment("GET", f"/runs/dialog?what=reschedule&ids={pair['id']}").text)
    values = json.loads(re.search(r'id="time-note"[^>]*hx-vals="({[^}]+})"', asked).group(1))  # type: ignore[union-attr]
    times = {"at": inside(clock, days=1)[:16], "until": "", "zone": "UTC"}

    told = told_of(alice, **times, **values)
    ordered = told_of(alice, **times, action="unpublish")

    assert re.search(r'data-wrong="until"><span>Choose a time\. [^<]+ it can be cancelled alone\.', told)
    assert "until someone publishes again" not in told
    assert "until someone publishes again" in ordered


def test_who_may_only_look_sees_no_room_for_boxes(alice: Person, bob: Person):
    run = run_id_of(alice.unpublish(PAGE, at=f"{YEAR}-03-03T10:00:00Z"))

    for person, row in (
        (alice, r'entry" id="entry-%s">\s*<input'),
        (bob, r'entry bare" id="entry-%s">\s*<p class="ends'),
    ):
        assert re.search(row % run, person.fragment("GET", AGENDA).text)


@pytest.mark.parametrize(("orders", "words"), [(1, "this schedule."), (2, "these schedules.")])
def test_a_page_counts_the_schedules_that_stay(alice: Person, clock: TurnableClock, orders: int, words: str):
    for hours in range(orders):
        alice.unpublish(PAGE, at=inside(clock, hours=5 + hours))

    assert f"by hand does not cancel {words}" in alice.fragment("GET", f"/pages/{PAGE}").text


def test_dialogs_tell_schedules_of_one_campaign_apart(alice: Person, clock: TurnableClock):
    first = run_id_of(alice.unpublish(PAGE, OTHER, at=inside(clock, hours=5), name="New Year"))
    other = run_id_of(alice.publish(IN_SHOP, at=inside(clock, hours=6), name="New Year"))

    for what in ("reschedule", "cancel"):
        asked = alice.fragment("GET", f"/runs/dialog?what={what}&ids={first}&ids={other}").text
        assert asked.count("<bdi>New Year</bdi>") == 2
        assert "Unpublish 2 pages · <bdi>Main site</bdi>" in asked
        assert re.search(r"Publish [^<]+ · <bdi>Web shop</bdi>", asked)


def test_what_was_cancelled_is_scheduled_again_with_what_it_had(alice: Person, bob: Person, clock: TurnableClock):
    alice.put("/preferences", {"zone": "Europe/Riga"})
    at, until = f"{YEAR}-03-01T10:00", f"{YEAR}-03-02T10:00"
    pair = body_of(alice.unpublish(PAGE, OTHER, at=at, until=until, zone="Europe/Riga", name="Spring", reason="Sale"))

    done = alice.fragment("POST", "/runs/cancel", ids=[pair["id"]], **FORM).text
    asked = alice.fragment("GET", f"/runs/dialog?what=again&ids={pair['id']}").text
    of_run = alice.fragment("GET", f"/runs/{pair['id']}").text
    of_return = alice.fragment("GET", f"/runs/{pair['returns_run']}").text

    assert f'id="again-{pair["id"]}"' in done
    assert re.findall(r'name="lids" value="(\d+)"', asked) == [str(PAGE), str(OTHER)]
    assert [f'value="{said}"' in asked for said in (at, until, "Spring", "Sale")] == [True] * 4
    assert 'hx-post="/runs"' in asked
    assert 'id="run-again"' in of_run
    assert 'id="run-again"' not in of_return
    assert 'id="run-again"' not in bob.fragment("GET", f"/runs/{pair['id']}").text
    assert bob.fragment("GET", f"/runs/dialog?what=again&ids={pair['id']}").status_code == 409
    assert alice.read(f"/runs/{pair['id']}")["state"] == "cancelled", "asking does nothing"


def test_a_cancelled_return_is_scheduled_again_without_passed_times(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work
):
    pair = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1), until=inside(clock, hours=3)))
    turn(hours=1, seconds=1)
    work()

    done = alice.fragment("POST", "/runs/cancel", ids=[pair["id"]], **FORM).text
    ahead = alice.fragment("GET", f"/runs/dialog?what=again&ids={pair['returns_run']}").text
    turn(hours=3)
    passed = alice.opened().fragment("GET", f"/runs/dialog?what=again&ids={pair['returns_run']}").text

    assert f'id="again-{pair["returns_run"]}"' in done
    assert 'name="action" value="publish"' in ahead
    assert re.search(r'name="at" type="datetime-local" value="20[^"]+"', ahead)
    assert 'name="at" type="datetime-local" value=""' in passed


def test_of_many_that_were_cancelled_the_history_is_named(alice: Person, clock: TurnableClock):
    runs = [run_id_of(alice.unpublish(PAGE, at=inside(clock, hours=hours))) for hours in range(1, 9)]

    few = alice.fragment("POST", "/runs/cancel", ids=runs[:2], **FORM).text
    many = alice.fragment("POST", "/runs/cancel", ids=runs[2:], **FORM).text

    assert [f'id="again-{run}"' in few for run in runs[:2]] == [True, True]
    assert 'id="again-' not in many
    assert 'hx-get="/runs?view=history&amp;state=cancelled"' in many


def test_what_never_had_a_time_is_not_scheduled_again(alice: Person, standin, work: Work):
    run = run_id_of(alice.unpublish(PAGE, OTHER))
    alice.post(f"/runs/{run}/cancel")

    assert 'id="run-again"' not in alice.fragment("GET", f"/runs/{run}").text
    assert alice.fragment("GET", f"/runs/dialog?what=again&ids={run}").status_code == 409


def test_pages_found_for_a_schedule_are_counted(alice: Person, clock: TurnableClock):
    run = run_id_of(alice.unpublish(PAGE, at=inside(clock, hours=1)))
    title = alice.portal.page(IN_SHOP).title

    one, many, none = (
        alice.fragment("GET", f"/runs/dialog?what=find&ids={run}&q_pages={quote(q)}").text for q in (title, "a", "zzzz")
    )

    shown = one.count('name="add"')
    assert f">{shown} pages found</hx-partial>" in one
    assert "pages found, the first 8 are shown" in many
    assert many.count('name="add"') == 8
    assert ">0 pages found</hx-partial>" in none
    assert 'class="listing"' not in none


@pytest.mark.parametrize("what", ["cancel", "reschedule", "move", "change"])
def test_an_answer_that_shows_the_view_says_by_which_address(alice: Person, clock: TurnableClock, what: str):
    """Else the page would show the address of the order anew when something changes: another view, or none at all."""
    run = run_id_of(alice.unpublish(PAGE, at=inside(clock, hours=1)))
    form = {"to": "scheduled", "view": "month", "day": f"{YEAR}-03-01", "q": "spring sale"}
    paths = {"cancel": "/runs/cancel", "reschedule": "/runs/reschedule"}
    said: dict[str, dict[str, Any]] = {
        "move": {"at": inside(clock, hours=5)},
        "reschedule": {"days": 7},
        "change": {"name": "Spring"},
    }

    answer = alice.fragment("POST", paths.get(what, f"/runs/{run}/{what}"), ids=[run], **form, **said.get(what, {}))

    shown = alice.fragment("GET", answer.headers["Content-Location"])
    assert 'class="cal month"' in answer.text
    assert 'class="cal month"' in shown.text
    assert 'value="spring sale"' in shown.text


def test_who_may_steer_nothing_is_offered_no_choice_of_schedules(alice: Person, bob: Person, clock: TurnableClock):
    run_id_of(alice.unpublish(PAGE, at=inside(clock, hours=1)))

    for view, offers in ((AGENDA, ('name="ids"', "Select all shown")), (f"{AGENDA}&view=month", ("drag a bar",))):
        assert [words in alice.fragment("GET", view).text for words in offers] == [True] * len(offers)
        assert [words in bob.fragment("GET", view).text for words in offers] == [False] * len(offers)


def test_who_may_only_look_at_schedules_is_told_so_once(alice: Person, bob: Person, clock: TurnableClock):
    for hours in (1, 2):
        run_id_of(alice.unpublish(PAGE, at=inside(clock, hours=hours)))
    for view in (AGENDA, f"{AGENDA}&view=week"):
        texts = [person.fragment("GET", view).text for person in (alice, bob)]

        assert [text.count('id="view-only"') for text in texts] == [0, 1], view
        assert "View only. Whoever created a schedule, an administrator, or someone with the Publish right" in texts[1]


def test_schedules_without_buttons_among_others_are_explained(alice: Person, bob: Person, clock: TurnableClock):
    at = inside(clock, hours=1)
    run_id_of(alice.unpublish(PAGE, at=at))
    alice.portal.rights(bob.user_id, alice.portal.page(IN_SHOP).site_id, ["read", "public"])
    run_id_of(bob.unpublish(IN_SHOP, at=at))

    shown = bob.fragment("GET", AGENDA).text

    assert shown.count('name="ids"') == 1
    assert "Schedules without buttons are view only." in shown


def test_a_name_with_signs_of_markup_is_told_as_it_is(alice: Person, clock: TurnableClock):
    run = run_id_of(alice.unpublish(PAGE, at=inside(clock, hours=1), name="Shoes & <hats>"))
    asked = [
        alice.fragment("GET", f"/runs/dialog?what={what}&ids={run}") for what in ("reschedule", "change", "cancel")
    ]

    shown = [answer.text for answer in (*asked, alice.fragment("GET", AGENDA))]
    moved = alice.fragment("POST", "/runs/reschedule", ids=[run], days=7, **FORM).text

    assert all("Shoes &amp; &lt;hats&gt;" in each for each in (*shown, moved))
    assert not any("&amp;amp;" in each or "&amp;lt;" in each for each in (*shown, moved))


def test_a_change_is_told(alice: Person, clock: TurnableClock):
    run = run_id_of(alice.unpublish(PAGE, OTHER, at=inside(clock, hours=1), name="Spring"))

    shown = alice.fragment("POST", f"/runs/{run}/change", remove=[str(OTHER)], name="Spring", **FORM).text

    assert "“Spring” was updated. It now has 1 page.</span>" in shown


@pytest.mark.parametrize("form", [FORM, {}], ids=["in the agenda", "on the run's page"])
def test_what_was_saved_of_a_schedule_is_told_where_it_was_edited(
    alice: Person, clock: TurnableClock, form: dict[str, str]
):
    run = run_id_of(alice.unpublish(PAGE, OTHER, at=inside(clock, hours=1), name="Spring", reason="Sold out"))
    saves: list[tuple[dict[str, Any], str]] = [
        ({"name": "Spring", "reason": "Sold out"}, "“Spring” stays as it was."),
        ({"name": "Summer", "reason": "Sold out"}, "“Spring” was updated. Its campaign is now “Summer”."),
        ({"name": "Summer", "reason": ""}, "“Summer” was updated. The reason was removed."),
        ({"name": "", "reason": "<New>"}, "“Summer” was updated. It no longer belongs to a campaign. "
                                          "Its reason is now “<New>”."),
        ({"name": "", "reason": "<New>", "remove": [str(OTHER)]}, "“Unpublish %s” was updated. It now has 1 page."),
    ]  # fmt: skip

    told = [unescape(alice.fragment("POST", f"/runs/{run}/change", **said, **form).text) for said, _words in saves]

    for shown, (_said, words) in zip(told, saves, strict=True):
        lead = words.partition("%s")[2] or words
        assert re.search(rf'data-announce="[^"]*{re.escape(lead)}"', shown), "the script has it read aloud"
        assert f"{lead}</span></p>" in shown


@pytest.mark.parametrize("form", [{"days": 7}, {"ids": "x", "days": 7}, {"days": 0}, {"days": 400}, {"days": "1.5"}])
def test_a_bulk_order_that_cannot_be_read_is_refused(alice: Person, clock: TurnableClock, form: dict[str, Any]):
    run = run_id_of(alice.unpublish(PAGE, at=inside(clock, hours=1)))

    assert alice.post("/runs/reschedule", {"ids": [run]} | form if "ids" not in form and form != {"days": 7} else form
                      ).status_code == 422  # fmt: skip


def test_an_end_dragged_in_the_calendar_is_told_and_can_be_taken_back(alice: Person):
    alice.put("/preferences", {"zone": "Europe/Riga"})
    pair = body_of(
        alice.unpublish(PAGE, at=f"{YEAR}-03-03T10:00", until=f"{YEAR}-03-05T08:00", zone="Europe/Riga", name="Spring")
    )
    form = {"to": "scheduled", "view": "month", "day": f"{YEAR}-03-01", "zone": "Europe/Riga"}

    shown = alice.fragment("POST", f"/runs/{pair['id']}/move", until=f"{YEAR}-03-09T08:00", **form).text

    assert "“Spring” is rescheduled." in shown
    assert 'class="cal month"' in shown
    assert wall_times(alice, pair["id"])[1] == f"{YEAR}-03-09T06:00:00Z"
    assert f"{YEAR}-03-05T08:00" in re.search(r'hx-vals="([^"]+)"[^>]*id="undo-move"', shown).group(1)  # type: ignore[union-attr]


def test_taking_back_a_dragged_end_leaves_the_zone_of_both(alice: Person):
    alice.put("/preferences", {"zone": "Europe/Berlin"})
    pair = body_of(alice.unpublish(PAGE, zone="America/New_York", **WINDOW))
    form = {"to": "scheduled", "view": "month", "day": f"{YEAR}-03-01"}

    shown = alice.fragment(
        "POST", f"/runs/{pair['id']}/move", until=changed(-6, "13:00"), zone="Europe/Berlin", **form
    ).text
    undo = re.search(r'hx-post="([^"]+)" hx-vals="([^"]+)"[^>]*id="undo-move"', shown)
    assert undo
    back = alice.fragment("POST", undo[1], **json.loads(unescape(undo[2]))).text

    assert "is moved back." in back
    assert "is rescheduled." not in back
    assert wall_times(alice, pair["id"]) == (pair["at"], pair["until"])
    assert {alice.read(f"/runs/{pair[half]}")["zone"] for half in ("id", "returns_run")} == {"America/New_York"}


def test_an_end_that_stays_keeps_its_zone_though_the_dialog_sends_both(alice: Person):
    alice.put("/preferences", {"zone": "Europe/Berlin"})
    pair = body_of(alice.unpublish(PAGE, zone="America/New_York", **WINDOW))

    both = {"at": changed(-3, "00:00", FORWARD_IN_AMERICA), "until": changed(-6, "13:00"), "zone": "Europe/Berlin"}
    alice.post(f"/runs/{pair['id']}/move", both)

    assert wall_times(alice, pair["id"]) == (pair["at"], changed(-6, "12:00:00Z"))
    assert [alice.read(f"/runs/{pair[half]}")["zone"] for half in ("id", "returns_run")] == [
        "America/New_York", "Europe/Berlin",
    ]  # fmt: skip


def test_a_whole_bar_is_offered_where_all_its_ends_may_be_moved(
    alice: Person, bob: Person, clock: TurnableClock, turn: Turn, work: Work
):
    begun = run_id_of(alice.unpublish(PAGE, at=inside(clock, minutes=1), until=inside(clock, hours=3)))
    alone = run_id_of(alice.unpublish(OTHER, at=inside(clock, hours=1)))
    turn(minutes=2)
    work()
    month = f"{AGENDA}&view=month"

    whole = {person: re.findall(r'data-run="([^"]+)"[^>]*data-whole', person.fragment("GET", month).text)
             for person in (alice, bob)}  # fmt: skip

    assert whole == {alice: [alone], bob: []}
    assert begun


def test_one_that_is_shifted_is_named_and_told(alice: Person):
    pair = run_id_of(alice.unpublish(PAGE, at=f"{YEAR}-03-03T10:00Z", until=f"{YEAR}-03-05T08:00Z", name="Spring"))

    shown = alice.fragment("POST", "/runs/reschedule", ids=[pair], days=-2, **FORM).text

    assert "“Spring” is rescheduled." in shown
    undo = re.search(r'hx-post="/runs/reschedule" hx-vals="([^"]+)"[^>]*id="undo-move"', shown)
    assert undo
    back = alice.fragment("POST", "/runs/reschedule", **json.loads(unescape(undo[1]))).text
    assert "“Spring” is moved back." in back


def test_the_dialogs_ask_what_there_is_to_ask(alice: Person, clock: TurnableClock):
    pair = body_of(alice.unpublish(PAGE, at=inside(clock, hours=1), until=inside(clock, hours=3), name="Sale & more"))
    one = f"ids={pair['id']}&to=scheduled&view=agenda"

    both = alice.fragment("GET", f"/runs/dialog?what=reschedule&{one}").text
    edit = alice.fragment("GET", f"/runs/dialog?what=change&{one}").text
    found = alice.fragment("GET", f"/runs/dialog?what=find&ids={pair['id']}&q_pages=a&add={OTHER}").text

    assert 'name="at"' in both
    assert 'name="until"' in both
    assert 'value="Sale &amp; more"' in edit
    assert f'name="remove" value="{PAGE}"' in edit
    assert f'name="add" value="{OTHER}" checked' in found
    assert alice.get("/runs/dialog?what=odd&ids=x").status_code == 422


def test_a_single_pair_can_be_shifted_by_days_as_well(alice: Person, clock: TurnableClock):
    pair = run_id_of(alice.unpublish(PAGE, at=inside(clock, hours=1), until=inside(clock, hours=3)))
    alone = run_id_of(alice.unpublish(OTHER, at=inside(clock, hours=1)))
    path = "/runs/dialog?what=reschedule&ids="

    shift = alice.fragment("GET", f"{path}{pair}&by=days").text

    assert 'id="by-days"' in alice.fragment("GET", f"{path}{pair}").text
    assert 'id="by-days"' not in alice.fragment("GET", f"{path}{alone}").text
    assert 'id="days"' in shift
    assert f'name="ids" value="{pair}"' in shift


def test_words_and_pages_are_changed_of_one_schedule_at_a_time(alice: Person, clock: TurnableClock):
    runs = [run_id_of(alice.unpublish(lid, at=inside(clock, hours=1))) for lid in (PAGE, OTHER)]
    ids = "&".join(f"ids={run}" for run in runs)

    asked = {what: alice.fragment("GET", f"/runs/dialog?what={what}&{ids}") for what in ("change", "cancel")}

    assert {what: answer.status_code for what, answer in asked.items()} == {"change": 422, "cancel": 200}


# --- files -------------------------------------------------------------------------------------------------------


def events(text: str) -> list[dict[str, str]]:
    """Properties of each event, unfolded, as RFC 5545 has it."""
    assert text.startswith("BEGIN:VCALENDAR\r\n")
    assert text.endswith("END:VCALENDAR\r\n")
    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert "\n" not in text.replace("\r\n", "")
    lines = text.replace("\r\n ", "").split("\r\n")
    found: list[dict[str, str]] = []
    for line in lines:
        name, _, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            found.append({})
        elif found:
            found[-1].setdefault(name, value)
    return found


def test_each_half_is_an_event_whose_uid_survives_a_reschedule(alice: Person, clock: TurnableClock):
    pair = body_of(
        alice.unpublish(
            PAGE, at=f"{YEAR}-03-03T10:00Z", until=f"{YEAR}-03-05T08:00Z", name="Frühling; Sale, 1", reason="Ü" * 90
        )
    )
    before = events(alice.get("/runs.ics").text)
    clock.tick(minutes=5)

    alice.post(f"/runs/{pair['id']}/move", {"until": f"{YEAR}-03-09T08:00:00Z"})
    answer = alice.get(f"/runs.ics?q={quote('frühling')}")

    after = events(answer.text)
    assert answer.content_type == "text/calendar; charset=utf-8"
    assert [each["UID"].partition("@")[0] for each in before] == [pair["id"], pair["returns_run"]]
    assert [each["UID"] for each in after] == [each["UID"] for each in before]
    assert [each["DTSTART"] for each in after] == [f"{YEAR}0303T100000Z", f"{YEAR}0309T080000Z"]
    assert int(after[1]["SEQUENCE"]) > int(before[1]["SEQUENCE"])
    assert after[0]["CATEGORIES"] == "Frühling\\; Sale\\, 1"
    assert "Ü" * 90 in after[0]["DESCRIPTION"]
    title = alice.portal.page(PAGE).title
    assert title in after[0]["SUMMARY"]
    assert len(events(alice.get(f"/runs.ics?due_from={YEAR}-03-04").text)) == 1
    assert len(events(alice.get(f"/runs/{pair['returns_run']}.ics").text)) == 2
    assert len(events(alice.get(f"/runs/{pair['id']}.ics?due_from={YEAR}-03-04").text)) == 1
    assert len(events(alice.get(f"/runs/{pair['id']}.ics?due_to={YEAR}-03-03T10:00Z").text)) == 0
    assert alice.get(f"/runs/{pair['id']}.ics?due_to=soon").status_code == 422


def test_a_calendar_marks_what_is_cancelled_and_is_valid_when_empty(alice: Person, clock: TurnableClock):
    run = run_id_of(alice.unpublish(PAGE, at=inside(clock, hours=1)))
    now = run_id_of(alice.unpublish(OTHER))
    alice.post(f"/runs/{run}/cancel")

    assert events(alice.get(f"/runs/{run}.ics").text)[0]["STATUS"] == "CANCELLED"
    assert alice.get(f"/runs/{now}.ics").status_code == 409
    empty = alice.get("/runs.ics").text
    assert events(empty) == []
    assert "BEGIN:VTIMEZONE" in empty


def test_no_text_breaks_out_of_its_line_and_no_letter_is_cut():
    now = datetime(2027, 3, 1, tzinfo=UTC)
    text = "a\r\nEND:VEVENT\r\nX:\u2028\x07" + "€" * 60

    written = calendar("Name", [Event("1@x", now, now, text, text)], now)

    event = events(written)[0]
    assert event["SUMMARY"] == "a\\nEND:VEVENT\\nX:" + "\u2028" * ("\u2028" in event["SUMMARY"]) + "€" * 60
    assert "\x07" not in written
