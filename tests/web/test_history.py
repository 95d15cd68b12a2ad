"""The history: who, when and what, filtered; and the weeks at a glance."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import urlencode

import pytest

from b24app.domain import Actor
from b24app.i18n import zone
from b24app.runs.statistics import WEEKS, Week
from tests.clocks import YEAR
from tests.conftest import Turn, Work
from tests.people import Person, body_of, run_id_of


def actor_of(person: Person) -> Actor:
    return Actor(person.portal.member_id, person.user_id, "", "en", "light", None, "", 0)


def lids(portal, number: int) -> list[int]:
    return [page.id for page in portal.pages("PAGE") if page.active][:number]


def names(answer) -> list[str]:
    return [run["id"] for run in answer.json["runs"]]


def rows(shown: str) -> list[str]:
    """Ids of the runs that a list of the page shows, in its order."""
    return re.findall(r'<tr id="run-([0-9a-f-]{36})"', shown)


def row_of(run: str, shown: str) -> str:
    return shown[shown.index(f'<tr id="run-{run}"') :].split("</tr>")[0]


def inside(clock, **span: float) -> str:
    return (clock() + timedelta(**span)).isoformat(timespec="seconds")


def test_weeks_count_what_was_really_changed(services, portal, alice, clock, standin):
    first, second = lids(portal, 2)
    alice.unpublish(first)
    clock.tick(days=7)
    alice.opened()
    standin.fault(0, "landing.landing.unpublic", kind="error", code="ACCESS_DENIED", status=400)
    alice.unpublish(second)
    alice.publish(first)

    weeks = services.statistics.weeks(actor_of(alice), zone("UTC"))

    assert len(weeks) == WEEKS
    assert [(week.unpublished, week.published, week.failed) for week in weeks[-2:]] == [(1, 0, 0), (0, 1, 1)]
    assert all(week.start.weekday() == 0 for week in weeks)
    assert not any(week.total for week in weeks[:-2])


def test_weeks_of_another_portal_and_of_long_ago_do_not_count(services, portal, alice, charlie, clock):
    alice.unpublish(*lids(portal, 1))

    assert services.statistics.weeks(actor_of(charlie), zone("UTC")) == []
    clock.tick(weeks=WEEKS + 1)
    assert services.statistics.weeks(actor_of(alice), zone("UTC")) == []


def test_a_week_without_anything_is_empty():
    assert Week(datetime(2026, 11, 23, tzinfo=UTC).date()).total == 0


def test_people_who_gave_orders_are_listed_once_by_name(services, portal, ada, alice, charlie):
    first, second = lids(portal, 2)
    alice.unpublish(first)
    alice.unpublish(second)
    ada.open()
    ada.publish(first)

    found = services.statistics.people(actor_of(alice))

    assert [person.user_id for person in found] == sorted(
        {alice.user_id, ada.user_id}, key=lambda user: next(p.name for p in found if p.user_id == user).casefold()
    )
    assert services.statistics.people(actor_of(charlie)) == []


def test_the_history_is_filtered_by_person_result_and_day(portal, ada, alice, clock):
    first, second = lids(portal, 2)
    old = run_id_of(alice.unpublish(first))
    clock.tick(days=3)
    ada.open()
    placed = body_of(ada.unpublish(second))
    new = placed["id"]
    alice.opened()
    alice.put("/preferences", {"zone": "UTC"})
    day = datetime.fromisoformat(placed["created_at"]).date()

    assert names(alice.get(f"/runs?user_id={alice.user_id}")) == [old]
    assert names(alice.get("/runs?state=succeeded")) == [new, old]
    assert names(alice.get("/runs?state=failed")) == []
    assert names(alice.get(f"/runs?from={day}")) == [new]
    assert names(alice.get(f"/runs?to={day - timedelta(days=1)}")) == [old]
    assert names(alice.get(f"/runs?from={day}&to={day}")) == [new]


@pytest.mark.parametrize("query", ["from=soon", "to=2026-02-30", "from=2026-13-01T00:00", "state=odd", "user_id=0"])
def test_a_filter_that_cannot_be_read_is_refused_in_words(alice, query):
    answer = alice.get(f"/runs?{query}")

    assert answer.status_code == 422
    assert answer.json["code"] == "invalid"


def test_the_page_shows_filters_people_and_a_chart_of_more_than_one_bar(portal, alice, clock):
    first, second = lids(portal, 2)
    alice.unpublish(first)
    of_one_week = alice.fragment("GET", "/runs").text
    clock.tick(days=7)
    alice.opened().unpublish(second)

    shown = alice.fragment("GET", "/runs").text

    assert of_one_week.count('<svg class="bar"') == 0
    assert shown.count('<svg class="bar"') == WEEKS
    assert f'<option value="{alice.user_id}">' in shown
    assert "1 unpublished, 0 published, 0 failed" in shown


def test_what_is_scheduled_stands_soonest_first(portal, alice):
    first, second = lids(portal, 2)
    late = alice.unpublish(first, at=f"{YEAR}-06-01T10:00:00+00:00").json["id"]
    soon = alice.unpublish(second, at=f"{YEAR}-05-01T10:00:00+00:00").json["id"]
    later = alice.unpublish(second, at=f"{YEAR}-07-01T10:00:00+00:00").json["id"]

    shown = alice.fragment("GET", "/runs?state=scheduled,waiting").text

    assert sorted((soon, late, later), key=lambda run: shown.index(f'id="entry-{run}"')) == [soon, late, later]


# --- what has happened ---------------------------------------------------------------------------------------------


def test_the_page_shows_what_has_happened_by_its_time_and_json_every_order(
    portal, alice: Person, clock, turn: Turn, work: Work
):
    first, second = lids(portal, 2)
    planned = run_id_of(alice.unpublish(first, at=inside(clock, hours=1)))
    done = run_id_of(alice.unpublish(second))

    before = alice.fragment("GET", "/runs").text
    turn(hours=1, seconds=1)
    work()
    after = alice.fragment("GET", "/runs").text

    assert (rows(before), rows(after)) == ([done], [planned, done])
    assert "1 schedule is still to come." in before
    assert 'id="left-out"' not in after
    assert names(alice.get("/runs")) == [done, planned]
    happened = re.search(r'<time datetime="([^"]+)"', row_of(planned, after))
    assert happened
    assert happened[1] == alice.read(f"/runs/{planned}")["finished_at"]


def test_what_moves_or_waits_stands_above_and_screens_lead_through_all(
    portal, alice: Person, standin, clock, turn: Turn, work: Work
):
    pages = lids(portal, 6)
    old = run_id_of(alice.unpublish(pages[0]))
    turn(minutes=1)
    waiting = run_id_of(alice.unpublish(*pages[1:3]))
    standin.fault(0, method="batch", kind="error", code="insufficient_scope", status=401, times=-1)
    work()
    standin.clear_faults()
    turn(minutes=1)
    queued = run_id_of(alice.unpublish(*pages[3:5]))
    newest = run_id_of(alice.unpublish(pages[5]))
    alice.unpublish(pages[0], at=inside(clock, hours=1))

    shown, after = [], ""
    for _ in range(4):
        screen = alice.fragment("GET", f"/runs?limit=1{after}").text
        shown += rows(screen)
        after = f"&after={shown[-1]}"

    assert shown == [queued, waiting, newest, old]
    assert rows(alice.fragment("GET", "/runs").text) == shown


def test_an_older_screen_follows_though_the_last_run_shown_has_moved(portal, alice: Person, ada: Person, clock):
    due = [run_id_of(alice.unpublish(lid, at=inside(clock, hours=9 - n))) for n, lid in enumerate(lids(portal, 4))]
    asked = "/runs?view=history&state=scheduled&limit=2"
    first = alice.fragment("GET", asked).text
    ada.opened().post(f"/runs/{due[1]}/cancel")

    vals = re.search(r'id="older"[^>]*hx-vals="([^"]+)"', first)
    assert vals
    older = json.loads(unescape(vals[1]))
    second = alice.fragment("GET", f"{asked}&{urlencode({'after': older['after']})}").text

    assert rows(first) == due[:2]
    assert rows(second) == due[2:]


@pytest.mark.parametrize("place", ["~~", "~2026-01-01~x", "~2026-01-01T00:00~7", "x~y", "2026-01-01T00:00:00Z~1~2~3"])
def test_a_place_in_the_history_that_is_none_is_refused(alice: Person, place: str):
    assert alice.get(f"/runs?view=history&after={place}").status_code == 422


def test_an_undo_that_waits_is_told_from_one_under_way(portal, alice: Person, ada: Person, standin, work: Work):
    run = run_id_of(alice.unpublish(*lids(portal, 3)))
    work()
    undo = run_id_of(ada.opened().post(f"/runs/{run}/undo"))
    standin.fault(0, method="batch", kind="error", code="insufficient_scope", status=401, times=-1)
    moving = row_of(run, alice.fragment("GET", "/runs").text)
    work()
    standin.clear_faults()
    waits = row_of(run, alice.fragment("GET", "/runs").text)

    assert "Being undone by" in moving
    assert ada.read(f"/runs/{undo}")["state"] == "waiting"
    assert "Undo by Maren Holt is waiting" in waits


def test_what_is_to_come_is_counted_as_orders_that_match_and_leads_there(portal, alice: Person, ada: Person, clock):
    first, second = lids(portal, 2)
    alice.unpublish(first, at=inside(clock, hours=1), until=inside(clock, hours=2), name="Quarter")
    alice.unpublish(second, at=inside(clock, hours=1), name="Summer")

    assert "2 schedules are still to come." in alice.fragment("GET", "/runs").text
    found = alice.fragment("GET", "/runs?view=history&q=quarter").text
    by_another = alice.fragment("GET", f"/runs?view=history&user_id={ada.user_id}").text
    by_oneself = alice.fragment("GET", f"/runs?view=history&user_id={alice.user_id}").text

    assert "1 schedule is still to come." in found
    assert 'hx-get="/runs?q=quarter&amp;state=scheduled%2Cwaiting"' in found
    assert 'id="left-out"' not in by_another
    assert f"user_id={alice.user_id}&amp;state=scheduled&amp;view=history" in by_oneself
    assert 'id="left-out"' not in alice.fragment("GET", "/runs?view=history&state=succeeded").text


def test_scheduled_is_a_result_to_choose_in_history_and_a_view_elsewhere(portal, alice: Person, clock):
    page, other = lids(portal, 2)
    planned = run_id_of(alice.unpublish(page, at=inside(clock, hours=1)))
    alice.unpublish(other)

    chosen = alice.fragment("GET", "/runs?view=history&state=scheduled").text

    assert rows(chosen) == [planned]
    assert '<option value="scheduled" selected>' in chosen
    assert 'data-tab="scheduled"' in alice.fragment("GET", "/runs?state=scheduled").text
    assert names(alice.get("/runs?state=scheduled")) == [planned]


def test_days_of_the_history_are_those_on_which_it_happened(portal, alice: Person, clock, turn: Turn, work: Work):
    alice.put("/preferences", {"zone": "UTC"})
    page, other = lids(portal, 2)
    planned = run_id_of(alice.unpublish(page, at=inside(clock, days=3)))
    early = run_id_of(alice.unpublish(other))
    ordered = clock().date()
    turn(days=3, seconds=1)
    work()
    alice.opened()
    day = clock().date()

    assert rows(alice.fragment("GET", f"/runs?view=history&happened_from={day}").text) == [planned]
    assert rows(alice.fragment("GET", f"/runs?view=history&happened_to={ordered}").text) == [early]
    assert names(alice.get(f"/runs?to={ordered}")) == [early, planned]


def test_the_file_of_the_history_holds_what_its_list_shows(portal, alice: Person, clock):
    page, other = lids(portal, 2)
    planned = run_id_of(alice.unpublish(page, at=inside(clock, hours=1)))
    done = run_id_of(alice.unpublish(other))

    shown = alice.get("/runs.csv?view=history&format=raw").text
    everything = alice.get("/runs.csv?format=raw").text

    assert (done in shown, planned in shown) == (True, False)
    assert (done in everything, planned in everything) == (True, True)


def test_what_was_done_with_a_page_leaves_out_what_is_to_come(portal, alice: Person, clock):
    (page,) = lids(portal, 1)
    alice.unpublish(page, at=inside(clock, hours=1))
    done = run_id_of(alice.unpublish(page))

    assert rows(alice.fragment("GET", f"/pages/{page}").text) == [done]


# --- cancelled -----------------------------------------------------------------------------------------------------


def test_who_cancelled_a_colleagues_order_is_named(portal, alice: Person, ada: Person, clock):
    page, other, third = lids(portal, 3)
    at = inside(clock, hours=1)
    by_colleague, by_herself = (run_id_of(alice.unpublish(each, at=at)) for each in (page, other))
    stopped = run_id_of(alice.unpublish(page, other, third))
    ada.opened().post(f"/runs/{by_colleague}/cancel")
    alice.post(f"/runs/{by_herself}/cancel")
    ada.post(f"/runs/{stopped}/cancel")

    shown = alice.fragment("GET", "/runs?view=history").text

    lines = csv.DictReader(io.StringIO(alice.get("/runs.csv?format=raw").text.removeprefix("\ufeff")))
    filed = {line["id"]: line["cancelled_by"] for line in lines}

    ends = ("Cancelled by Maren Holt", "Stopped by Maren Holt")
    said = [[end in row_of(run, shown) for end in ends] for run in (by_colleague, stopped, by_herself)]
    assert said == [[True, False], [False, True], [False, False]]
    assert filed == {by_colleague: "Maren Holt", stopped: "Maren Holt", by_herself: "Tom Okafor"}
    assert re.search(r"Cancelled today at [^<]+ by Maren Holt", alice.fragment("GET", f"/runs/{by_colleague}").text)
    assert re.search(r"Cancelled today at [^<]+ by Tom Okafor", alice.fragment("GET", f"/runs/{by_herself}").text)


def test_pages_a_run_left_as_they_were_are_counted(portal, alice: Person, work: Work):
    page, other, third = lids(portal, 3)
    alice.unpublish(page)
    run = run_id_of(alice.unpublish(page, other, third))
    work()

    shown = row_of(run, alice.fragment("GET", "/runs?view=history").text)

    page_of_run = alice.fragment("GET", f"/runs/{run}").text

    assert "2 of 3 done" in shown
    assert "1 page left as it was" in shown
    assert page_of_run.count("2 of 3 pages unpublished") == 1, "once, and nothing else"
    assert "3 of 3" not in page_of_run
    assert "<b>1</b> skipped" in page_of_run
    for said in (shown, page_of_run):
        assert "Publish again…</button>" in said


# --- undone --------------------------------------------------------------------------------------------------------


def test_what_was_undone_says_by_whom_and_is_not_offered_again(portal, alice: Person, ada: Person, work: Work):
    run = run_id_of(alice.unpublish(*lids(portal, 3)))
    work()
    ada.opened()
    undo = run_id_of(ada.post(f"/runs/{run}/undo"))

    moving = row_of(run, alice.fragment("GET", "/runs").text)
    work()
    row, page = row_of(run, alice.fragment("GET", "/runs").text), alice.fragment("GET", f"/runs/{run}").text

    name = ada.read("/runs")["runs"][0]["created_by"]["name"]
    assert f"Being undone by {name}" in moving
    assert "data-moves" in moving
    for shown in (row, page):
        assert f"Undone by {name}" in shown
        assert f'hx-get="/runs/{undo}"' in shown
        assert f"undo-{run}" not in shown
        assert 'id="run-undo"' not in shown
    assert "data-moves" not in row
    assert f'hx-get="/runs/{run}"' in alice.fragment("GET", f"/runs/{undo}").text


def test_what_was_undone_in_part_says_so(portal, alice: Person, standin, work: Work):
    run = run_id_of(alice.unpublish(*lids(portal, 3)))
    work()
    standin.fault(0, "landing.landing.publication", kind="error", code="ACCESS_DENIED", status=400)
    undo = run_id_of(alice.post(f"/runs/{run}/undo"))
    work()
    standin.clear_faults()

    in_part = row_of(run, alice.fragment("GET", "/runs").text)
    alice.post(f"/runs/{undo}/retry")
    work()
    whole = row_of(run, alice.fragment("GET", "/runs").text)

    assert "2 of 3 pages undone by" in in_part
    assert f"undo-{run}" not in in_part
    assert "Undone by" in whole


def test_a_return_at_its_time_is_no_undo(portal, alice: Person, clock, turn: Turn, work: Work):
    run = run_id_of(alice.unpublish(*lids(portal, 2), until=inside(clock, hours=1)))
    work()
    turn(hours=1, seconds=1)
    work()

    assert "ndone by" not in alice.fragment("GET", "/runs").text
    assert "ndone by" not in alice.fragment("GET", f"/runs/{run}").text


# --- tried again ---------------------------------------------------------------------------------------------------


def failing(standin, times: int) -> None:
    standin.fault(0, "landing.landing.unpublic", kind="error", code="ACCESS_DENIED", status=400, times=times)


def test_what_was_retried_says_so_and_is_not_offered_again(portal, alice: Person, standin, work: Work):
    failing(standin, 2)
    run = run_id_of(alice.unpublish(*lids(portal, 3)))
    work()
    before = row_of(run, alice.fragment("GET", "/runs").text)
    retry = run_id_of(alice.post(f"/runs/{run}/retry"))

    moving = row_of(run, alice.fragment("GET", "/runs").text)
    work()
    row, page = row_of(run, alice.fragment("GET", "/runs").text), alice.fragment("GET", f"/runs/{run}").text

    assert f"retry-{run}" in before
    assert "Being retried by" in moving
    assert "data-moves" in moving
    for shown in (moving, row, page):
        assert f'hx-get="/runs/{retry}"' in shown
        assert f"retry-{run}" not in shown
        assert 'id="run-retry"' not in shown
    assert all("Retried by Tom Okafor: all 2 done" in shown for shown in (row, page))
    assert "data-moves" not in row
    assert "retry" in alice.read(f"/runs/{run}")["can"], "a client may: the pages failed, and the state allows it"


def test_a_retry_is_offered_as_long_as_some_pages_are_failed(portal, alice: Person, standin, work: Work):
    failing(standin, 2)
    run = run_id_of(alice.unpublish(*lids(portal, 3)))
    work()
    failing(standin, 1)
    second = run_id_of(alice.post(f"/runs/{run}/retry"))
    work()

    in_part, page = row_of(run, alice.fragment("GET", "/runs").text), alice.fragment("GET", f"/runs/{run}").text
    third = run_id_of(alice.post(f"/runs/{second}/retry"))
    work()
    whole = alice.fragment("GET", "/runs").text

    assert "1 of 2 pages done" in in_part
    assert f"retry-{run}" in in_part
    assert re.search(r'id="run-retry">.*Retry 1 failed</button>', page), "the other is settled"
    for tried in (run, second):
        assert f"retry-{tried}" not in row_of(tried, whole)
        assert f'hx-get="/runs/{third}"' in row_of(tried, whole)


def test_the_page_of_a_run_follows_its_retry(portal, alice: Person, standin, work: Work):
    failing(standin, 2)
    run = run_id_of(alice.unpublish(*lids(portal, 2)))
    work()
    failing(standin, 1)
    alice.post(f"/runs/{run}/retry")
    shown = alice.fragment("GET", f"/runs/{run}").text
    live = re.search(r'data-poll="15" data-live="([^"]+)"', shown)
    assert live

    still = alice.read(unescape(live[1]))
    work()

    assert "again" not in still
    assert alice.read(unescape(live[1])) == {"again": True}
    assert "data-poll" not in alice.fragment("GET", f"/runs/{run}").text


def test_a_retry_that_has_to_wait_is_told_where_the_run_is_open(portal, alice: Person, standin, work: Work):
    failing(standin, 2)
    run = run_id_of(alice.unpublish(*lids(portal, 2)))
    work()
    retry = run_id_of(alice.post(f"/runs/{run}/retry"))
    live = re.search(r'data-live="([^"]+)"', alice.fragment("GET", f"/runs/{run}").text)
    assert live
    standin.fault(0, "landing.landing.unpublic", kind="error", code="PAYMENT_REQUIRED", status=401, times=-1)
    work()
    assert alice.read(f"/runs/{retry}")["state"] == "waiting"

    followed = alice.get(unescape(live[1]))

    assert followed.json == {"again": True}
    assert "is waiting" in alice.fragment("GET", f"/runs/{run}").text
