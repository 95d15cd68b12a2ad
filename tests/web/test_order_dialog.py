"""The question before an order: its count, its list and its words are those of the times that stand in its fields, and
what it says of a schedule is what the schedule and the list of pages say afterwards.
"""

import re
from datetime import timedelta
from typing import Any

import pytest

from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.conftest import Turn, Work
from tests.people import Person, body_of, run_id_of

LIVE, DOWN, DUE = 351, 352, 353  # DUE goes down in two days


def inside(clock: TurnableClock, **span: float) -> str:
    """A time as a field has it, on the clock of UTC."""
    return (clock() + timedelta(**span)).strftime("%Y-%m-%dT%H:%M")


@pytest.fixture
def pages(alice: Person, clock: TurnableClock, work: Work) -> list[str]:
    """Three pages of which one is down, and one will be in two days."""
    alice.unpublish(DOWN)
    work()
    alice.unpublish(DUE, at=f"{inside(clock, days=2)}Z")
    return [str(lid) for lid in (LIVE, DOWN, DUE)]


def dialog(person: Person, lids: list[str], **form: object) -> str:
    body = {"action": "unpublish", "when": "later", "zone": "UTC", "lids": lids, **form}
    answer = person.fragment("POST", "/runs/preview", **body)
    assert answer.status_code == 200, answer.text
    return answer.text


def told(person: Person, lids: list[str], **form: object) -> str:
    """What an open dialog asks for when a time in it is changed."""
    body = {"action": "unpublish", "when": "later", "zone": "UTC", "lids": lids, **form}
    headers = {**person.headers(), "HX-Request": "true", "HX-Target": "div#time-note", "Accept": "text/html"}
    answer = person.client.post("/runs/preview", data=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.text


def part(shown: str, place: str) -> str:
    """What comes into one place of the open dialog."""
    found = re.search(rf'<hx-partial hx-target="#{place}"[^>]*>(.*?)</hx-partial>', shown, re.S)
    assert found, shown
    return found[1]


def test_count_and_list_are_told_anew_for_another_time(alice: Person, pages: list[str], clock: TurnableClock):
    soon = told(alice, pages, at=inside(clock, days=1))
    late = told(alice, pages, at=inside(clock, days=3))

    assert "open 2 of these 3 pages" in part(soon, "effect")
    assert "open 1 of these 3 pages" in part(late, "effect")
    assert "by then" not in part(soon, "affected")
    assert "It will already be unpublished by then" in part(late, "affected")


def test_the_direction_changed_says_the_same_as_the_time_typed(alice: Person, pages: list[str], clock: TurnableClock):
    at = inside(clock, days=3)

    typed, opened = told(alice, pages, at=at), dialog(alice, pages, at=at)

    for place in ("effect", "affected"):
        assert " ".join(part(typed, place).split()) in " ".join(opened.split())


@pytest.mark.parametrize("until", ["", "4"])
def test_times_in_the_fields_are_said_in_words_from_the_start(
    alice: Person, pages: list[str], clock: TurnableClock, until: str
):
    ends = inside(clock, days=int(until)) if until else ""

    shown = dialog(alice, pages, at=inside(clock, days=3), until=ends, action="publish")

    assert re.search(r'<p class="in-words">Online [^<]+</p>', shown)


def test_what_is_scheduled_again_is_said_in_words_at_once(alice: Person, clock: TurnableClock):
    alice.put("/preferences", {"zone": "UTC"})
    run = run_id_of(alice.unpublish(LIVE, at=f"{inside(clock, days=3)}Z", until=f"{inside(clock, days=4)}Z"))
    alice.post(f"/runs/{run}/cancel")

    shown = alice.fragment("GET", f"/runs/dialog?what=again&ids={run}").text

    assert re.search(r'<p class="in-words">Down [^<]+, back [^<]+</p>', shown)


def test_the_second_end_has_no_ready_made_time_before_the_first(alice: Person, pages: list[str]):
    shown = dialog(alice, pages, action="publish")

    chips = dict(re.findall(r'data-preset="tonight" data-field="(\w+)">([^<]+)<', shown))
    assert chips["until"].startswith("Same evening")


def test_a_time_that_has_passed_is_marked_from_the_start(alice: Person, pages: list[str], clock: TurnableClock):
    shown = dialog(alice, pages, at=inside(clock, hours=-3), times="open")

    assert '<template data-wrong="at">' in shown
    assert "in-words" not in shown


def test_without_a_time_for_later_nothing_is_said_to_go_down_now(alice: Person, pages: list[str], clock: TurnableClock):
    assert "Down now" not in told(alice, pages, until=inside(clock, days=1))
    assert "Down now" in told(alice, pages, until=inside(clock, days=1), when="now")


def test_what_needs_no_change_then_is_no_certainty(alice: Person, pages: list[str], clock: TurnableClock):
    shown = dialog(alice, [*pages, "999999"], at=inside(clock, days=3))

    assert "will be skipped" not in shown
    assert "2 pages need no change then, as things stand. They stay in the schedule" in shown
    assert "1 page is left out" in shown
    assert "As things stand, visitors will no longer be able to open 1 of these 4 pages" in shown


def test_a_time_at_which_nothing_is_to_do_can_be_changed(alice: Person, pages: list[str], clock: TurnableClock):
    shown = dialog(alice, [str(DUE)], at=inside(clock, days=3))

    assert "this page will already be unpublished by then" in shown
    assert 'name="at"' in shown
    assert 'id="confirm"' in shown


def test_where_no_time_changes_anything_none_is_asked_for(alice: Person, pages: list[str], clock: TurnableClock):
    shown = dialog(alice, [str(DOWN)], at=inside(clock, days=3))

    assert "Nothing to do" in shown
    assert 'name="at"' not in shown


def test_words_of_times_come_though_the_portal_fails(
    alice: Person, pages: list[str], clock: TurnableClock, standin: StandIn
):
    clock.tick(minutes=2)
    standin.fault(0, "batch", kind="error", code="INTERNAL_SERVER_ERROR", status=500, times=-1)
    standin.fault(0, "landing.landing.getList", kind="error", code="INTERNAL_SERVER_ERROR", status=500, times=-1)

    shown = told(alice, pages, at=inside(clock, days=1))

    assert "in-words" in shown
    assert "hx-partial" not in shown


def test_the_schedule_says_which_pages_need_no_change(alice: Person, pages: list[str], clock: TurnableClock):
    made = alice.fragment("POST", "/runs", action="unpublish", lids=pages, at=inside(clock, days=3), zone="UTC")

    rows = dict(re.findall(r'<li id="item-(\d+)".*?<p class="sub">(.*?)</p>', made.text, re.S))
    assert "3 pages will be unpublished" in made.text
    assert "2 of 3 pages need no change" in made.text
    assert "It is already unpublished." in rows[str(DOWN)]
    assert "It will already be unpublished by then." in rows[str(DUE)]
    assert "already" not in rows[str(LIVE)]


def test_a_schedule_can_be_looked_at_though_the_portal_fails(
    alice: Person, pages: list[str], clock: TurnableClock, standin: StandIn
):
    run = run_id_of(alice.unpublish(LIVE, DOWN, at=f"{inside(clock, days=3)}Z"))
    clock.tick(minutes=2)
    before = alice.portal.requests()

    shown = alice.fragment("GET", f"/runs/{run}")

    assert shown.status_code == 200
    assert "2 pages will be unpublished" in shown.text
    assert alice.portal.requests() == before, "it is not even asked"


def test_words_and_preview_agree_where_windows_overlap(alice: Person, pages: list[str], clock: TurnableClock):
    first = {"at": f"{inside(clock, days=1)}Z", "until": f"{inside(clock, days=4)}Z"}
    alice.unpublish(DOWN, **first)  # it is down, so nothing comes back on the fourth day
    alice.unpublish(LIVE, **first)
    alice.unpublish(LIVE, at=f"{inside(clock, days=2)}Z")  # for good: it holds beyond the fourth day

    shown = told(alice, pages, at=inside(clock, days=6))

    assert "all of these pages will already be unpublished by then" in part(shown, "effect")
    assert "stays unpublished for good" not in part(shown, "affected")


def test_the_same_order_is_told_of_though_a_page_is_left_out(alice: Person, pages: list[str], clock: TurnableClock):
    at = inside(clock, days=1)
    alice.unpublish(LIVE, DUE, at=f"{at}Z")
    sent = {"lids": [str(LIVE), str(DUE)], "left_out": ["999999"]}

    asked = dialog(alice, [str(LIVE), str(DUE), "999999"], at=at)
    said = told(alice, sent["lids"], at=at, left_out=sent["left_out"])

    assert all('id="once-more"' in shown for shown in (asked, said))
    assert "1 page is left out" in part(said, "affected")


def test_where_one_direction_leaves_all_out_the_other_is_a_click_away(bob: Person, clock: TurnableClock):
    site = bob.portal.add_sites(1, kind="KNOWLEDGE")[0]
    lid = next(page.id for page in bob.portal.pages() if page.site_id == site)
    order = {"kind": "KNOWLEDGE", "when": "later"}

    up = dialog(bob, [str(lid)], **order | {"action": "publish"})
    sent = bob.fragment("POST", "/runs/preview", action="unpublish", left_out=[str(lid)], **order)

    assert "Nothing to do" in up
    assert 'id="way-unpublish"' in up
    assert f'name="lids" value="{lid}"' in sent.text


def dues(person: Person, lid: int) -> list[str]:
    """What the list says is to come for a page, without the times."""
    shown = person.fragment("GET", "/pages?kind=PAGE").text
    row = re.search(rf'<tr id="page-{lid}".*?</tr>', shown, re.S)
    assert row
    said = re.findall(r'class="sub due".*?<span>(.*?)</span>', row[0], re.S)
    return [re.sub(r"\w+ \d+(, \d{4})?, [\d:]+\W[AP]M", "…", each.strip()) for each in said]


def test_a_schedule_that_leaves_a_page_alone_is_not_said_to_change_it(
    alice: Person, pages: list[str], clock: TurnableClock
):
    alice.unpublish(LIVE, DOWN, at=f"{inside(clock, days=9)}Z", until=f"{inside(clock, days=12)}Z")

    assert dues(alice, LIVE) == ["Goes down: …", "Comes back: …"]
    assert dues(alice, DOWN) == ["…: already unpublished"]
    assert "as things stand, it already will be" in alice.fragment("GET", f"/pages/{DOWN}").text


def test_an_order_that_keeps_a_page_down_for_longer_is_told(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work
):
    alice.unpublish(LIVE, at=f"{inside(clock, hours=1)}Z", until=f"{inside(clock, days=9)}Z")
    turn(hours=1, seconds=1)
    work()
    alice.unpublish(LIVE, at=f"{inside(clock, days=6)}Z", until=f"{inside(clock, days=12)}Z")

    assert dues(alice, LIVE) == ["…: already unpublished", "Comes back: …"]
    alice.unpublish(LIVE, at=f"{inside(clock, days=7)}Z")
    assert dues(alice, LIVE) == ["…: already unpublished", "…: already unpublished"]


@pytest.mark.parametrize(
    ("action", "said"),
    [("unpublish", ["Goes down: …", "Comes back: …"]), ("publish", ["Goes online: …", "Goes down again: …"])],
)
def test_one_word_for_each_end_in_all_views(alice: Person, clock: TurnableClock, work: Work, action: str, said: Any):
    if action == "publish":
        alice.unpublish(LIVE)
        work()
    run = run_id_of(alice.order(action, LIVE, at=f"{inside(clock, days=9)}Z", until=f"{inside(clock, days=12)}Z"))

    agenda = alice.fragment("GET", "/runs?state=scheduled,waiting").text
    details = alice.fragment("GET", f"/pages/{LIVE}").text
    preview = dialog(alice, [str(LIVE)], action=action, when="now")

    assert run in agenda
    assert dues(alice, LIVE) == said
    for each in said:
        words = each.removesuffix(": …")
        assert words in agenda
        assert f"{words} " in details
        assert action == "publish" or f"{words}: " in preview


def test_only_what_was_scheduled_by_then_is_said_to_be_kept(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work
):
    before = inside(clock, days=3)
    alice.publish(LIVE, at=f"{before}Z")
    run = run_id_of(alice.unpublish(LIVE))
    work()
    turn(minutes=5)
    alice.publish(LIVE, at=f"{inside(clock, days=9)}Z")

    (item,) = body_of(alice.get(f"/runs/{run}"))["items"]

    assert item["detail"].count("Goes online: ") == 1
    assert "Comes back" not in item["detail"]
