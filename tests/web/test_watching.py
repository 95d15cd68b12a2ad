"""What the page asks while somebody looks: small answers, none where nothing moved, a question before much moves."""

import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from b24app.services import Services
from b24app.web.progress import MOVING_SECONDS
from b24sandbox import PortalHandle, StandIn
from tests.clocks import TurnableClock
from tests.conftest import Work
from tests.people import Person, run_id_of
from tests.worker import pump

KILOBYTES = 1024
LIVE = re.compile(r'data-live="([^"]+)"')
ALL_DOWN = """
update run_items set state = 'succeeded', before = '{"active": true}', after = '{"active": false}';
update runs set state = 'succeeded', started_at = now(), finished_at = now()
"""
MOVES = re.compile(r'<tr id="run-([^"]+)" data-moves="([^"]+)"')


def live(person: Person, run: str) -> str:
    """What the page of a run asks by itself."""
    found = LIVE.search(person.fragment("GET", f"/runs/{run}").text)
    assert found
    return found[1].replace("&amp;", "&")


def again(person: Person, path: str, before: TestResponse) -> TestResponse:
    return person.get(path, **{"If-None-Match": before.headers["ETag"]})


def pulse(person: Person, **rows: str) -> Any:
    shown = ",".join(f"{run}.{version}" for run, version in rows.items())
    return person.read(f"/runs/pulse?{urlencode({'rows': shown})}")


def test_a_run_of_5000_is_followed_by_answers_of_two_kilobytes(alice: Person, portal: PortalHandle, services: Services):
    run = run_id_of(alice.unpublish(*portal.add_pages(5000)))
    path = live(alice, run)

    before = alice.get(path)
    nothing = again(alice, path, before)
    pump(services, most=3)
    moved = again(alice, path, before)
    told = json.loads(moved.data)

    assert (before.status_code, nothing.status_code, nothing.data) == (200, 304, b"")
    assert moved.status_code == 200
    assert max(len(answer.data) for answer in (before, moved)) <= 2 * KILOBYTES
    assert told["done"] > 0
    assert told["poll"] == MOVING_SECONDS
    assert f"{told['done']} of 5,000 pages unpublished" in told["tally"]
    assert told["rows"] == [["succeeded", [[0, min(told["done"], 100) - 1]], None, None]]


def test_rows_are_told_by_state_and_reason(alice: Person, portal: PortalHandle, services: Services, standin: StandIn):
    standin.fault(0, "landing.landing.unpublic", kind="error", code="ACCESS_DENIED", status=400, skip=1)
    run = run_id_of(alice.unpublish(*portal.add_pages(12)))
    path = live(alice, run)

    pump(services, most=1)
    rows = alice.read(path)["rows"]

    assert [(state, spans) for state, spans, _detail, _code in rows] == [
        ("succeeded", [[0, 0], [2, 4]]),
        ("failed", [[1, 1]]),
    ]
    assert rows[1][2].startswith("You have no right to unpublish pages of")


def test_what_progress_cannot_tell_is_asked_for_as_a_whole(alice: Person, portal: PortalHandle):
    run = run_id_of(alice.unpublish(*portal.add_pages(3)))
    path = live(alice, run)

    alice.post(f"/runs/{run}/cancel")

    assert alice.read(path) == {"again": True}


def test_a_list_is_told_only_what_moved(alice: Person, portal: PortalHandle, work: Work):
    moving, later = alice.unpublish(*portal.add_pages(3)), alice.unpublish(351, at="2030-06-01T10:00:00Z")
    lists = ("/runs", "/runs?view=history&state=scheduled")
    shown = dict(MOVES.findall("".join(alice.fragment("GET", each).text for each in lists)))
    assert set(shown) == {run_id_of(moving), run_id_of(later)}

    still = pulse(alice, **shown)
    work()
    told = pulse(alice, **shown)

    assert (still["rows"], still["moving"], still["count"]) == ({}, 1, 1)
    assert set(told["rows"]) == {run_id_of(moving)}
    assert "3 of 3 done" in told["rows"][run_id_of(moving)]
    assert (told["moving"], told["version"] == still["version"]) == (0, False)
    assert alice.get("/runs/pulse?rows=nonsense").status_code == 422


def test_a_pair_is_one_order_in_the_tab_and_trouble_is_a_dot(alice: Person, standin: StandIn, work: Work):
    alice.unpublish(351, at="2030-06-01T10:00:00Z", until="2030-06-02T10:00:00Z")
    quiet = pulse(alice)
    standin.fault(0, "*", kind="error", code="insufficient_scope", status=401, times=-1)
    alice.unpublish(411, 412)
    work()

    assert (quiet["count"], quiet["state"]) == (1, "")
    assert pulse(alice)["state"] == "something needs attention"


def test_what_is_under_way_is_told_in_one_line_until_it_has_ended(
    alice: Person, bob: Person, charlie: Person, portal: PortalHandle, services: Services
):
    quiet = pulse(alice)["under_way"]
    run = run_id_of(alice.unpublish(*portal.add_pages(35)))
    pump(services, most=1)

    before = alice.get("/runs/pulse")
    nothing = again(alice, "/runs/pulse", before)
    own, colleagues, strangers = (line(pulse(person)["under_way"]) for person in (alice, bob, charlie))
    opened = line(alice.open().text)
    pump(services)
    after = pulse(alice)["under_way"]

    assert "hidden" in quiet
    assert (nothing.status_code, len(before.data) < KILOBYTES * 2) == (304, True)
    done = re.search(r"Unpublishing 35 pages, (\d+) done", own)
    assert done
    assert 0 < int(done[1]) < 35
    assert opened == own
    assert (f'hx-get="/runs/{run}"' in own, "data-own" in own) == (True, True)
    name = alice.portal.user(alice.user_id).full_name
    assert (name in own, name in colleagues, "data-own" in colleagues) == (False, True, False)
    assert strangers == quiet.strip() == after.strip()


def test_of_several_under_way_the_own_newest_is_told_others_are_counted(
    alice: Person, ada: Person, portal: PortalHandle
):
    lids = portal.add_pages(9)
    alice.unpublish(*lids[:2])
    newest = run_id_of(alice.unpublish(*lids[2:5]))
    ada.opened().unpublish(*lids[5:])

    told = line(pulse(alice)["under_way"])

    assert f'hx-get="/runs/{newest}"' in told
    assert "Unpublishing 3 pages, 0 done" in told
    assert "and 2 more" in told


def line(shown: str) -> str:
    """What stands in the line of what is under way."""
    found = re.search(r'<p id="under-way".*?</p>', shown, re.DOTALL)
    assert found
    return found[0]


def test_an_undo_of_many_pages_asks_for_their_number(alice: Person, portal: PortalHandle, services: Services):
    run = run_id_of(alice.unpublish(*portal.add_pages(1001)))
    with services.store.begin() as db:  # carried out, which takes longer than all else here
        db.execute(text(ALL_DOWN))

    shown = alice.fragment("GET", f"/runs/{run}/confirm?what=undo").text
    pattern = re.search(r'pattern="([^"]+)"', shown)

    assert "Publish 1,001 pages again?" in shown
    assert pattern
    said = ("1001", "1,001", "1.001", " 1 001 ")
    is_taken = [bool(re.fullmatch(pattern[1].replace("&#39;", "'"), text)) for text in (*said, "101")]
    assert is_taken == [True, True, True, True, False]


@pytest.mark.parametrize("half", ["first", "return"])
def test_who_cancels_a_half_is_told_what_becomes_of_the_other(alice: Person, half: str):
    first = alice.unpublish(351, at="2030-06-01T10:00:00Z", until="2030-06-02T10:00:00Z").json
    assert first
    run = first["id"] if half == "first" else first["returns_run"]

    shown = alice.fragment("GET", f"/runs/{run}/confirm?what=cancel").text

    said = {"first": "is cancelled with it", "return": "will stay unpublished until someone publishes it"}
    assert [words in shown for words in said.values()] == [half == which for which in said]


def test_the_question_before_a_cancel_names_schedule_time_and_person(alice: Person, ada: Person):
    named = run_id_of(alice.unpublish(351, at="2030-06-01T10:00:00Z", until="2030-06-02T10:00:00Z", name="Christmas"))
    counted = run_id_of(alice.unpublish(352, 353, at="2030-06-03T10:00:00Z"))

    ada.opened()
    first, second = (ada.fragment("GET", f"/runs/{run}/confirm?what=cancel").text for run in (named, counted))

    assert "Cancel the schedule of “Christmas”?" in first
    assert "Cancel the schedule of “Unpublish 2 pages”?" in second
    assert re.search(r"Set for Jun 1, 2030[^<]* by Tom Okafor", first)


def test_what_a_colleague_cancelled_is_not_told_as_finished(alice: Person, ada: Person):
    run = run_id_of(alice.unpublish(351, at="2030-06-01T10:00:00Z"))
    ada.opened().post(f"/runs/{run}/cancel")

    news = alice.fragment("GET", "/news").text

    assert "1 stopped or cancelled" in news
    assert "Cancelled by Maren Holt" in news
    assert "inished" not in news


def test_what_one_may_not_do_is_not_asked_either(alice: Person, bob: Person):
    run = run_id_of(alice.unpublish(351, at="2030-06-01T10:00:00Z"))

    assert bob.fragment("GET", f"/runs/{run}/confirm?what=cancel").status_code == 409
    assert "confirm" not in bob.fragment("GET", f"/runs/{run}").text


def test_a_colleague_is_told_about_the_askers_session(
    alice: Person, ada: Person, standin: StandIn, portal: PortalHandle, work: Work
):
    alice.read("/pages")  # so that the order itself asks nothing
    portal.expire_refresh("editor")
    run = run_id_of(alice.unpublish(*portal.add_pages(2)))
    work()

    own, other = (person.fragment("GET", f"/runs/{run}").text for person in (alice, ada.opened()))

    assert "Your session in this app has ended" in own
    assert 'data-do="reopen"' in own
    assert f'data-heal="{run}"' in own
    assert re.search(r"\w+ has to open Sundown once", other)
    assert "Your session" not in other
    assert "data-heal" not in other


def test_an_administrator_is_not_told_to_ask_one(alice: Person, ada: Person, standin: StandIn):
    standin.fault(0, "*", kind="error", code="insufficient_scope", status=401, times=-1)

    asked, told = (person.fragment("GET", "/pages").text for person in (alice, ada.opened()))

    assert "Ask an administrator" in asked
    assert "administrator" not in told


def test_how_long_the_rest_takes_is_told_once_it_can_be_known(
    alice: Person, portal: PortalHandle, services: Services, clock: TurnableClock
):
    run = run_id_of(alice.unpublish(*portal.add_pages(100)))
    path = live(alice, run)
    pump(services, most=1)
    early = alice.read(path)
    clock.tick(seconds=30)
    pump(services, most=1)
    later = alice.read(path)

    assert "left" not in early["tally"]
    assert re.search(r"about \d+ (minutes?|seconds?) left", later["tally"])
    assert later["poll"] == MOVING_SECONDS
