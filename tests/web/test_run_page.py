"""The page of one run: its pages in screens, the failed ones alone, and what it asks for while it moves."""

import re
from datetime import timedelta
from html import unescape
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from b24app.services import Services
from b24sandbox import PortalHandle, StandIn
from tests.clocks import TurnableClock
from tests.conftest import Turn, Work
from tests.people import Person, body_of, run_id_of
from tests.worker import work_until_idle

STEP = re.compile(r'id="items-(previous|next)-top" (?:[^>]*?hx-get="[^"]+" hx-vals="([^"]+)"|(disabled))')
RANGE = re.compile(r'<span class="range">([^<]+)</span>')


def steps(shown: str) -> dict[str, str | None]:
    """Where Previous and Next lead, as the cursor they send; None for a button that leads nowhere."""
    found = {name: unescape(sent) for name, sent, _off in STEP.findall(shown)}
    return {name: re.search(r'"after": "?(-?\d+)', sent)[1] if sent else None for name, sent in found.items()}  # type: ignore[index]


@pytest.fixture
def path(alice: Person, portal: PortalHandle, services: Services, standin: StandIn) -> str:
    """A run of five pages of which the second and the last failed."""
    lids = [page.id for page in portal.pages("PAGE") if page.active][:5]
    for skip in (1, 3):
        standin.fault(0, "landing.landing.unpublic", kind="error", code="ACCESS_DENIED", status=400, skip=skip)
    made = alice.unpublish(*lids).headers["Location"]
    work_until_idle(services)
    return made


def test_pages_of_a_run_come_in_screens_that_lead_both_ways(alice: Person, path: str):
    first, second, last = (
        alice.fragment("GET", f"{path}?limit=2{after}").text for after in ("", "&after=1", "&after=3")
    )

    assert [RANGE.findall(shown)[0] for shown in (first, second, last)] == ["1–2 of 5", "3–4 of 5", "5–5 of 5"]
    assert [steps(shown) for shown in (first, second, last)] == [
        {"previous": None, "next": "1"},
        {"previous": "-1", "next": "3"},
        {"previous": "1", "next": None},
    ]


def test_failed_pages_are_counted_and_shown_alone(alice: Person, path: str):
    everything = alice.fragment("GET", path).text
    failed = alice.fragment("GET", f"{path}?items=failed").text

    assert everything.count('<li id="item-') == 5
    assert failed.count('<li id="item-') == failed.count("· ACCESS_DENIED</p>") == 2
    assert failed.count("You have no right to unpublish") == failed.count('class="items-bar why"') == 1, "once for both"
    assert 'id="items-failed" aria-pressed="true"' in failed


def test_a_run_of_one_screen_has_no_steps(alice: Person, path: str):
    assert STEP.findall(alice.fragment("GET", path).text) == []


def test_a_moving_run_asks_for_the_very_screen_that_is_shown(alice: Person, portal: PortalHandle):
    lids = [page.id for page in portal.pages("PAGE") if page.active][:5]
    made = alice.unpublish(*lids).headers["Location"]

    shown = unescape(alice.fragment("GET", f"{made}?limit=2&after=1").text)

    assert 'data-poll="2"' in shown
    assert re.search(r'''hx-vals="\{"after": 1, "items": "all", "limit": 2\}"\s+hx-trigger="poll"''', shown)


def test_more_pages_than_an_order_takes_are_not_promised(alice: Person, portal: PortalHandle):
    portal.add_pages(5001)

    shown = alice.fragment("GET", "/pages").text

    assert 'data-all="Select the first 5,000"' in shown


# --- both halves of a pair -----------------------------------------------------------------------------------------


@pytest.fixture
def pair(alice: Person, clock: TurnableClock) -> dict[str, Any]:
    """Down in an hour, back a day later, for a campaign; in the person's own zone."""
    alice.put("/preferences", {"zone": "UTC"})
    at, until = (f"{clock() + timedelta(hours=hours):%Y-%m-%dT%H:%M}Z" for hours in (1, 25))
    made: dict[str, Any] = body_of(alice.unpublish(351, 352, at=at, until=until, name="Spring <sale>"))
    return made


def test_each_half_of_a_pair_names_the_campaign_and_leads_to_the_other(
    alice: Person, pair: dict[str, Any], turn: Turn, work: Work
):
    first, back = f"/runs/{pair['id']}", f"/runs/{pair['returns_run']}"

    before = [alice.fragment("GET", half).text for half in (first, back)]
    turn(hours=1, seconds=1)
    work()
    after = [alice.fragment("GET", half).text for half in (first, back)]

    assert re.search(rf'href="{back}"[^>]*>Comes back ', before[0])
    assert re.search(rf'href="{first}"[^>]*>Goes down ', before[1])
    assert re.search(rf'href="{back}"[^>]*>Comes back ', after[0])
    assert re.search(rf'href="{first}"[^>]*>Went down: [^<]+</a> <span class="badge ok">', after[1])
    assert all('<p class="campaign"><bdi>Spring &lt;sale&gt;</bdi></p>' in shown for shown in before + after)


def test_who_may_only_look_at_a_run_is_told_why(
    alice: Person, bob: Person, pair: dict[str, Any], turn: Turn, work: Work
):
    paths = [f"/runs/{pair[half]}" for half in ("id", "returns_run")]
    scheduled = [[person.fragment("GET", path).text for path in paths] for person in (alice, bob)]
    turn(hours=1, seconds=1)
    work()
    ended = [person.fragment("GET", paths[0]).text for person in (alice, bob)]

    words = "View only. Whoever started this, an administrator, or someone with the Publish right on all of its sites"
    assert [[words in shown for shown in each] for each in scheduled] == [[False] * 2, [True] * 2]
    words = "View only: you need the Publish right on one of its sites to undo or retry this."
    assert [words in shown for shown in ended] == [False, True]


@pytest.mark.parametrize("half", ["id", "returns_run"])
def test_a_half_is_rescheduled_in_a_dialog_with_both_ends(alice: Person, pair: dict[str, Any], half: str):
    shown = unescape(alice.fragment("GET", f"/runs/{pair[half]}").text)
    asked = alice.fragment("GET", f"/runs/dialog?what=reschedule&ids={pair[half]}").text
    answer = alice.fragment("POST", f"/runs/{pair[half]}/move", until="2030-06-01T08:00", zone="UTC").text

    assert re.search(rf'"ids": "{pair[half]}", "on": "run", "what": "reschedule"[^>]*id="run-move"', shown)
    assert f'hx-post="/runs/{pair[half]}/move"' in asked
    assert f'name="at" type="datetime-local" value="{pair["at"][:16]}"' in asked
    assert f'name="until" type="datetime-local" value="{pair["until"][:16]}"' in asked
    assert f'data-live="/runs/{pair[half]}/live' in answer, "who looks at a half goes on to look at it"
    assert "“Spring &lt;sale&gt;” is rescheduled." in answer
    assert re.search(rf'hx-post="/runs/{pair[half]}/move"[^>]*id="undo-move"', answer)
    assert alice.read(f"/runs/{pair['id']}")["until"] == "2030-06-01T08:00:00Z"


@pytest.mark.parametrize(("what", "order", "sent"), [
    ("reschedule", "move", {"until": "2030-06-01T08:00", "zone": "UTC"}),
    ("change", "change", {"reason": "Later"}),
])  # fmt: skip
def test_what_is_changed_on_its_page_does_not_lose_the_way_back(
    alice: Person, pair: dict[str, Any], what: str, order: str, sent: dict[str, str]
):
    place = "to=scheduled&view=month&q=a"
    shown = unescape(alice.fragment("GET", f"/runs/{pair['id']}?{place}").text)
    asked = alice.fragment("GET", f"/runs/dialog?what={what}&ids={pair['id']}&{place}&on=run").text
    form = re.search(r'<form hx-post="([^"]+)"', asked)
    assert form

    answer = unescape(alice.fragment("POST", unescape(form[1]), **sent).text)

    assert re.search(rf'hx-vals="[^>]*"on": "run", "q": "a", "to": "scheduled"[^>]*"what": "{what}"', shown)
    assert unescape(form[1]) == f"/runs/{pair['id']}/{order}?to=scheduled&view=month&q=a"
    assert 'name="to"' not in asked, "its answer is the run's page again"
    assert f'data-live="/runs/{pair["id"]}/live' in answer
    cancel = re.search(r'hx-vals="([^>]+)" hx-target="#dialog"[^>]* id="run-cancel"', answer)
    assert cancel
    assert '"q": "a", "to": "scheduled", "view": "month"' in cancel[1]
    assert ("/move?to=scheduled&view=month&q=a" in answer) == (order == "move"), "its undo as well"


def test_the_page_of_what_began_a_window_follows_its_return(
    alice: Person, pair: dict[str, Any], turn: Turn, work: Work
):
    turn(hours=1, seconds=1)
    work()
    shown = alice.fragment("GET", f"/runs/{pair['id']}").text
    live = re.search(r'data-poll="15" data-live="([^"]+)"', shown)
    assert live

    still = alice.read(unescape(live[1]))
    turn(hours=24)
    work()
    alice.opened()

    assert "again" not in still
    assert alice.read(unescape(live[1])) == {"again": True}
    assert "data-poll" not in alice.fragment("GET", f"/runs/{pair['id']}").text


def test_a_half_that_was_cancelled_is_not_said_to_have_gone_down(alice: Person, pair: dict[str, Any]):
    alice.post(f"/runs/{pair['id']}/cancel")

    shown = alice.fragment("GET", f"/runs/{pair['returns_run']}").text

    assert "Went down" not in shown
    assert "No page was changed." in shown
    assert "<progress" not in shown
    assert re.search(rf'href="/runs/{pair["id"]}"[^>]*>Take-down: ', shown)


def test_an_undo_names_the_time_at_which_it_was_done(alice: Person, clock: TurnableClock, turn: Turn, work: Work):
    run = run_id_of(alice.unpublish(351, at=f"{clock() + timedelta(days=3):%Y-%m-%dT%H:%M}Z"))
    turn(days=3, minutes=1)
    alice.opened()
    work()
    done = alice.read(f"/runs/{run}")["finished_at"]
    undo = run_id_of(alice.post(f"/runs/{run}/undo"))

    assert done
    assert "Undoes what was done today" in alice.fragment("GET", f"/runs/{undo}").text


def test_a_time_in_brackets_goes_on_in_small_letters(alice: Person, clock: TurnableClock):
    alice.put("/preferences", {"zone": "UTC"})
    in_a_day = (clock() + timedelta(days=1)).astimezone(ZoneInfo("Europe/Riga"))

    run = run_id_of(alice.unpublish(351, at=f"{in_a_day:%Y-%m-%dT%H:%M}", zone="Europe/Riga"))
    shown = unescape(alice.fragment("GET", f"/runs/{run}").text)

    assert re.search(r"Set for tomorrow at [^(]+ by [^(]+ \(tomorrow at [^,]+, Europe/Riga\)", shown)


def test_where_nobody_tells_of_rights_a_retry_is_offered(alice: Person, standin: StandIn, work: Work):
    standin.fault(0, "landing.landing.unpublic", kind="error", code="ACCESS_DENIED", status=400, times=-1)
    run = run_id_of(alice.unpublish(351, 352))
    work()
    standin.clear_faults()
    standin.fault(0, "landing.site.getRights", kind="error", code="INTERNAL_SERVER_ERROR", status=500, times=-1)

    shown = alice.fragment("GET", f"/runs/{run}").text

    assert 'id="denied"' not in shown
    assert look_of_retry(shown) == "primary"


# --- where another try cannot help ---------------------------------------------------------------------------------


def look_of_retry(shown: str) -> str | None:
    """How the button is drawn; None where there is none."""
    found = re.search(r'<button class="btn btn-(\w+)"[^>]*id="run-retry"', shown)
    return found[1] if found else None


@pytest.mark.parametrize("left", [["read"], []])
def test_who_lacks_the_right_is_told_who_could_retry(
    alice: Person, ada: Person, portal: PortalHandle, standin: StandIn, work: Work, left: list[str]
):
    standin.fault(0, "landing.landing.unpublic", kind="error", code="ACCESS_DENIED", status=400, times=-1)
    run = run_id_of(alice.unpublish(351, 352))
    work()
    standin.clear_faults()

    with_right = alice.fragment("GET", f"/runs/{run}").text
    portal.rights("editor", portal.page(351).site_id, left)
    without = alice.fragment("GET", f"/runs/{run}").text
    of_a_colleague = ada.opened().fragment("GET", f"/runs/{run}").text
    portal.rights("editor", portal.page(351).site_id, ["read", "public"])
    given_again = alice.fragment("GET", f"/runs/{run}").text

    assert [look_of_retry(shown) for shown in (with_right, of_a_colleague, given_again)] == ["primary"] * 3
    assert look_of_retry(without) is None
    assert [("id=\"denied\"" in shown) for shown in (with_right, without, of_a_colleague, given_again)] == [
        False, True, False, False,
    ]  # fmt: skip
    assert "You have no right to unpublish pages of" in without
    assert "had no right to unpublish pages of" in of_a_colleague


def test_a_list_offers_no_retry_that_would_fail_again(
    alice: Person, portal: PortalHandle, standin: StandIn, turn: Turn, work: Work
):
    site = portal.page(351).site_id
    standin.fault(0, "landing.landing.unpublic", kind="error", code="ACCESS_DENIED", status=400, times=-1)
    run = run_id_of(alice.unpublish(351, 411))
    work()
    standin.clear_faults()
    offered = f'id="retry-{run}"' in alice.fragment("GET", "/runs").text
    for each in (site, portal.page(411).site_id):
        portal.rights("editor", each, ["read"])
    turn(minutes=6)  # rights are asked about again
    alice.opened()

    assert offered
    assert f'id="retry-{run}"' not in alice.fragment("GET", "/runs").text


def test_where_another_failure_is_among_them_retry_is_the_main_thing(
    alice: Person, portal: PortalHandle, standin: StandIn, work: Work
):
    standin.fault(0, "landing.landing.unpublic", kind="error", code="ACCESS_DENIED", status=400)
    standin.fault(0, "landing.landing.unpublic", kind="error", code="PUBLIC_PAGE_REACHED", status=400)
    run = run_id_of(alice.unpublish(351, 411))
    work()
    standin.clear_faults()
    portal.rights("editor", portal.page(351).site_id, ["read"])

    shown = alice.fragment("GET", f"/runs/{run}").text

    assert 'id="denied"' not in shown
    assert look_of_retry(shown) == "primary"
