"""Notices in the portal: who is told what, by whose token, how often, and that nothing depends on them."""

import re
import signal
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import select, update

from b24app.domain import NoticeAbout, NoticeFate, UserRef
from b24app.operations.housekeeping import Housekeeping
from b24app.runs.notice_rows import LEASE
from b24app.runs.notices import MOST_COLLEAGUES
from b24app.runs.occasions import WATCHED
from b24app.services import Services
from b24app.store import heartbeat
from b24app.store.models import Notice, Portal, User
from b24sandbox import StandIn
from b24sandbox.state.world import Notice as Shown
from tests.clocks import TurnableClock
from tests.conftest import Turn, Work
from tests.people import Person, body_of
from tests.processes import wait_until
from tests.runs.test_crashes import PATIENCE_SECONDS, quick
from tests.runs.test_preflight import dismiss, scheduled, take_rights, take_token
from tests.worker import pump, work_until_idle

PAGE, TITLE_SITE = 351, 3
ADD, DELETE = "im.notify.system.add", "im.notify.delete"
Tell = Callable[[], None]


@pytest.fixture
def granted() -> list[str]:
    return ["landing", "im"]


@pytest.fixture
def work(services: Services) -> Work:
    """Runs go on as far as they go now."""
    return lambda: pump(services)


@pytest.fixture
def tell(services: Services, turn: Turn, ada: Person) -> Tell:
    """Who watches has seen it by now; the rest are told, as far as it goes."""

    def told() -> None:
        turn(seconds=WATCHED.total_seconds() + 1)
        services.notice_rows.requeue_due()
        services.notices.send(ada.portal.member_id)

    return told


@pytest.fixture
def helper(bob: Person) -> Person:
    """A colleague who could take over what is done to the page."""
    bob.portal.rights(bob.user_id, bob.portal.page(PAGE).site_id, ["read", "edit", "public"])
    return bob


def bell(person: Person) -> list[Shown]:
    return list(person.portal.notices(person.role))


def messages(person: Person) -> list[str]:
    return [each.message for each in bell(person)]


def fates(services: Services) -> dict[int, NoticeFate | None]:
    with services.store.begin() as db:
        return {row.user_id: row.fate for row in db.scalars(select(Notice).order_by(Notice.id))}


def give_system_user(person: Person, app: Flask, services: Services) -> None:
    assert (
        app.test_client(use_cookies=False).post("/install", data=person.portal.user_ready_form()[1]).status_code == 200
    )
    work_until_idle(services)


def waits(alice: Person, clock: TurnableClock, turn: Turn, work: Work) -> dict[str, Any]:
    """A run whose time came when its asker's token was over."""
    run = scheduled(alice, clock, hours=2)
    take_token(alice)
    turn(hours=2, seconds=1)
    work()
    return run


# --- when, and to whom -------------------------------------------------------------------------------------------


def test_a_scheduled_end_is_told_once_with_a_link_that_opens_it(
    alice: Person, bob: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell, services: Services
):
    run = scheduled(alice, clock, hours=1)
    turn(hours=1, seconds=1)
    work()

    tell()
    tell()

    [told] = bell(alice)
    title = alice.portal.page(PAGE).title
    moment = r"\[timestamp=(\d+) format=DAY_MONTH_FORMAT\]"
    found = re.search(rf"“{re.escape(title)}” was unpublished as scheduled \({moment}", told.message)
    assert found
    assert 0 <= clock().timestamp() - int(found[1]) < 3600
    link = f"/marketplace/app/{services.config.b24_client_id}/?run={run['id']}"
    assert told.message.endswith(f"[url={link}]Show it in Sundown[/url]")
    assert told.message_out.endswith(alice.portal.url.rstrip("/") + link)
    assert "[" not in told.message_out
    assert (told.tag, told.sub_tag, told.author) == (f"run-{run['id']}", "sundown", 0)
    assert bell(bob) == []
    assert alice.portal.asked(ADD) == 1


def test_the_link_opens_the_app_on_the_run(alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell):
    run = scheduled(alice, clock, hours=1)
    turn(hours=1, seconds=1)
    work()
    tell()
    link = re.findall(r"\[url=([^\]]+)\]", bell(alice)[0].message)[0]

    url, form = alice.portal.open_link(link, "editor")
    page = alice.post_frame(url.partition("://")[2].partition("/")[2].join(("/", "")), dict(form)).text

    assert f'hx-get="/runs/{run["id"]}?from_notice=1"' in page


@pytest.mark.parametrize("run", ["", "x", "../../health", "351", "0" * 36, "{other}", "{unknown}", ["a"], {"a": 1}])
def test_a_link_to_anything_else_opens_the_start_page_and_does_nothing(alice: Person, charlie: Person, run: object):
    """Whoever sends a link chooses what stands in it."""
    other = body_of(charlie.unpublish(charlie.portal.pages("PAGE")[0].id))["id"]
    named = run.format(other=other, unknown=uuid4()) if isinstance(run, str) else run

    page = alice.open(run=named, action="takeover").text

    assert re.findall(r'<main id="view" hx-get="([^"]+)"', page) == ["/pages"]


def test_a_long_order_is_told_to_who_wants_to_hear_everything(
    alice: Person, turn: Turn, work: Work, tell: Tell, services: Services
):
    lids = alice.portal.add_pages(3, site=TITLE_SITE)
    for wish in ("problems", "all"):
        assert alice.put("/preferences", {"notices": wish}).status_code == 204
        alice.order("unpublish" if wish == "problems" else "publish", *lids)
        turn(seconds=61)
        work()
        tell()

    assert [re.sub(r"\(.*\)", "()", text).splitlines()[0] for text in messages(alice)] == ["3 pages were published ()."]


def test_a_short_order_is_told_to_nobody(alice: Person, work: Work, tell: Tell):
    alice.unpublish(*alice.portal.add_pages(3, site=TITLE_SITE))
    work()

    tell()

    assert bell(alice) == []


def test_what_failed_in_part_is_told_though_it_was_quick(alice: Person, work: Work, tell: Tell):
    lids = alice.portal.add_pages(2, site=TITLE_SITE)
    alice.get("/pages")
    alice.unpublish(*lids, 999_999)
    work()

    tell()

    assert messages(alice)[0].startswith("1 of 3 pages could not be unpublished (")
    assert "to retry" in messages(alice)[0]


def test_a_failed_scheduled_page_is_told(alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell):
    scheduled(alice, clock, hours=1)
    alice.portal.rights(alice.user_id, TITLE_SITE, ["read"])
    alice.portal.rights(alice.user_id, alice.portal.page(PAGE).site_id, ["read"])
    turn(hours=1, seconds=1)
    work()

    tell()

    assert messages(alice)[0].startswith(f"“{alice.portal.page(PAGE).title}” could not be unpublished (")


def test_each_half_of_a_window_has_its_notice(alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell):
    at, until = ((clock() + timedelta(hours=hours)).isoformat(timespec="seconds") for hours in (1, 3))
    alice.unpublish(PAGE, at=at, until=until)
    for hours in (1.1, 2):
        turn(hours=hours)
        work()
        tell()

    first, second = messages(alice)
    assert "was unpublished as scheduled" in first
    assert "is back: it was published again as scheduled" in second
    assert len({each.tag for each in bell(alice)}) == 2


def test_a_waiting_run_is_told_to_its_asker_and_five_who_could_take_over(
    ada: Person, alice: Person, bob: Person, app: Flask, services: Services, clock: TurnableClock, turn: Turn,
    work: Work, tell: Tell,
):  # fmt: skip
    more = [Person(app, ada.portal, "editor") for _ in range(7)]
    for person, user_id in zip(more, alice.portal.add_users(7), strict=True):
        person.user_id, person.role = user_id, str(user_id)
        alice.portal.rights(user_id, alice.portal.page(PAGE).site_id, ["read", "edit", "public"])
        url, form = alice.portal.open(user_id)
        assert person.post_frame(re.sub(r"^\w+://[^/]+", "", url), dict(form)).status_code == 200
    give_system_user(ada, app, services)
    run = waits(alice, clock, turn, work)

    tell()

    [told] = bell(alice)
    assert f"“{alice.portal.page(PAGE).title}”" not in told.message, "her token is over, so nobody can ask her rights"
    assert "1 page has not been unpublished yet" in told.message
    assert "Sundown can no longer act for you." in told.message
    asked = [each for each in alice.portal.notices() if each.user != alice.user_id]
    assert len(asked) == MOST_COLLEAGUES
    assert bob.user_id not in {each.user for each in asked}
    assert all("You can take it over" in each.message and each.tag == f"run-{run['id']}" for each in asked)
    assert alice.portal.user("editor").full_name in asked[0].message


def test_a_doubt_is_told_days_before_and_goes_from_the_bell_with_its_cause(
    ada: Person, alice: Person, services: Services, clock: TurnableClock, turn: Turn, tell: Tell
):
    scheduled(alice, clock, days=5)
    take_rights(alice)
    turn(days=1)
    services.preflight.check_upcoming()

    tell()

    assert "will not be unpublished on time" in messages(alice)[0]
    assert "let a colleague take it over" in messages(alice)[0]
    assert "does not have the Publish right" in messages(ada)[0]
    alice.portal.rights(alice.user_id, alice.portal.page(PAGE).site_id, ["read", "edit", "public"])
    turn(days=1)
    services.preflight.check_upcoming()
    tell()
    assert (bell(alice), bell(ada)) == ([], [])


def test_a_takeover_is_told_to_whose_it_was_and_no_call_for_help_stays(
    ada: Person, alice: Person, bob: Person, app: Flask, services: Services, clock: TurnableClock, turn: Turn,
    work: Work, tell: Tell,
):  # fmt: skip
    give_system_user(ada, app, services)
    run = waits(alice, clock, turn, work)
    tell()
    assert (len(bell(alice)), len(bell(ada))) == (1, 1)

    assert ada.opened().post(f"/runs/{run['id']}/takeover").status_code == 200
    services.notices.send(alice.portal.member_id)
    assert (bell(alice), bell(ada)) == ([], []), "nobody need help any more"
    work()
    tell()

    assert not alice.portal.page(PAGE).active
    assert [text.split(" (")[0] for text in messages(alice)] == ["1 page was unpublished as scheduled"]
    assert [text.split(" (")[0] for text in messages(ada)] == [
        f"“{alice.portal.page(PAGE).title}” was unpublished as scheduled"
    ]


def test_one_taken_over_that_is_stuck_again_calls_for_help_again(
    ada: Person, alice: Person, helper: Person, app: Flask, services: Services, standin: StandIn, clock: TurnableClock,
    turn: Turn, work: Work, tell: Tell,
):  # fmt: skip
    give_system_user(ada, app, services)
    run = waits(alice, clock, turn, work)
    tell()
    assert ada.opened().post(f"/runs/{run['id']}/takeover").status_code == 200
    services.notices.send(alice.portal.member_id)
    for person in (ada, alice):
        standin.fault(0, "landing.*", kind="error", code="METHOD_CONFIRM_DENIED", times=-1, user=person.user_id)
    work()

    tell()

    assert "You can take it over" in messages(helper)[0]
    assert "has not been unpublished yet" in messages(ada)[0]


def test_a_takeover_before_the_time_is_told_by_name(
    ada: Person, alice: Person, services: Services, clock: TurnableClock, turn: Turn, tell: Tell
):
    run = scheduled(alice, clock, days=5)
    take_rights(alice)
    turn(days=1)
    services.preflight.check_upcoming()
    ada.opened().post(f"/runs/{run['id']}/takeover")

    tell()

    name = ada.portal.user("admin").full_name
    assert messages(alice)[0].startswith(f"{name} took over your schedule to unpublish “")
    assert bell(ada) == []


def test_what_came_too_late_to_be_done_is_told(alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell):
    at, until = ((clock() + timedelta(hours=hours)).isoformat(timespec="seconds") for hours in (1, 3))
    alice.unpublish(PAGE, at=at, until=until)
    turn(hours=5)
    work()

    tell()

    assert [text.partition("): ")[2].splitlines()[0] for text in messages(alice)] == [
        "by the time Sundown could work, both set times had passed."
    ]


def test_a_late_run_asks_for_a_decision(alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell):
    scheduled(alice, clock, hours=1)
    turn(hours=30)
    work()

    tell()

    assert "it is too late to do it without asking.\nOpen it and decide" in messages(alice)[0]


def test_a_run_that_nobody_took_over_is_told_when_it_is_given_up(
    ada: Person, alice: Person, app: Flask, services: Services, clock: TurnableClock, turn: Turn, work: Work, tell: Tell
):
    give_system_user(ada, app, services)
    waits(alice, clock, turn, work)
    tell()
    turn(days=15)
    services.schedule.give_up()
    services.notices.send(alice.portal.member_id)

    tell()

    assert [text.partition("): ")[2].splitlines()[0] for text in messages(alice)] == [
        "no one took over within 14 days."
    ]


# --- never what a person watched, or does not want -----------------------------------------------------------------


def test_who_watched_it_end_is_not_told(alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell):
    run = scheduled(alice, clock, hours=1)
    turn(hours=1, seconds=1)
    work()
    alice.opened().get(f"/runs/{run['id']}")

    tell()

    assert bell(alice) == []


def test_who_watched_it_begin_to_wait_is_not_told_and_others_are(
    ada: Person, alice: Person, bob: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell
):
    run = scheduled(alice, clock, hours=1)
    turn(hours=30)
    work()
    assert body_of(alice.opened().get(f"/runs/{run['id']}"))["state"] == "waiting"

    tell()

    assert (bell(alice), len(bell(ada))) == ([], 1)


def test_who_said_to_know_the_news_is_not_told(alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell):
    scheduled(alice, clock, hours=1)
    turn(hours=1, seconds=1)
    work()
    assert alice.opened().post("/news/seen").status_code == 204
    assert alice.client.post("/news/seen", headers={"Authorization": f"Bearer {alice.token}"}).status_code == 204

    tell()

    assert bell(alice) == []


def test_who_wants_no_notices_gets_none_and_is_not_asked_to_help(
    ada: Person, alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell
):
    for person in (ada, alice):
        assert person.put("/preferences", {"notices": "none"}).status_code == 204
    scheduled(alice, clock, hours=1)
    turn(hours=30)
    work()

    tell()

    assert (bell(alice), bell(ada)) == ([], [])
    assert alice.opened().put("/preferences", {"notices": "some"}).status_code == 422


def test_one_whom_a_notice_led_to_the_run_chooses_there_what_they_want(alice: Person):
    run = body_of(alice.unpublish(PAGE))

    shown = alice.fragment("GET", f"/runs/{run['id']}?from_notice=1").text
    plain = alice.fragment("GET", f"/runs/{run['id']}").text

    assert '<option value="problems" selected>' in shown
    assert 'hx-put="/preferences"' in shown
    assert "notices-wish" not in plain


# --- once a state, whatever happens --------------------------------------------------------------------------------


def test_a_run_that_waits_again_for_the_same_reason_is_told_once(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell, services: Services, standin: StandIn
):
    scheduled(alice, clock, hours=1)
    standin.fault(0, "batch", kind="error", code="METHOD_CONFIRM_DENIED", status=403, times=-1)
    turn(hours=1, seconds=1)
    work()
    tell()
    for _ in range(3):
        turn(minutes=50)
        services.waiting.resume_for(UserRef(alice.portal.member_id, alice.user_id))
        work()
        tell()

    assert alice.portal.asked(ADD) == 1


def test_what_changed_before_its_turn_is_told_as_it_is_now(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell, services: Services
):
    run = scheduled(alice, clock, hours=1)
    turn(hours=30)
    work()
    with services.store.begin() as db:
        assert db.scalars(select(Notice.about).where(Notice.user_id == alice.user_id)).all() == [NoticeAbout.WAITS]
    assert alice.opened().post(f"/runs/{run['id']}/takeover").status_code == 200
    work()

    tell()

    assert [text.split(" (")[0] for text in messages(alice)] == [
        f"“{alice.portal.page(PAGE).title}” was unpublished as scheduled"
    ]


def test_many_ends_in_a_minute_and_those_that_follow_share_one_summary(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell
):
    lids = alice.portal.add_pages(12, site=TITLE_SITE)
    alice.get("/pages")
    for minutes, some in ((60, lids[:8]), (61, lids[8:])):
        for lid in some:
            at = (clock() + timedelta(minutes=minutes)).isoformat(timespec="seconds")
            assert alice.unpublish(lid, at=at).status_code == 201
    turn(minutes=60, seconds=1)
    work()
    tell()
    first = messages(alice)
    turn(minutes=1)
    work()

    tell()
    tell()

    assert [text.split(" since")[0] for text in first] == ["8 schedules have finished"]
    assert [each.tag for each in bell(alice)].count("summary") == 1
    assert alice.portal.asked(ADD) <= 6


def test_no_more_than_one_summary_a_minute(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work, services: Services
):
    clock.stop()
    lids = alice.portal.add_pages(20, site=TITLE_SITE)
    alice.get("/pages")
    at = (clock() + timedelta(minutes=60)).isoformat(timespec="seconds")
    for lid in lids[:10]:
        alice.unpublish(lid, at=at)
    later = (clock() + timedelta(minutes=60, seconds=20)).isoformat(timespec="seconds")
    for lid in lids[10:]:
        alice.unpublish(lid, at=later)
    counted = []
    turn(minutes=60, seconds=1)
    for _ in range(14):
        work()
        services.notices.send(alice.portal.member_id)
        counted.append(alice.portal.asked(ADD))
        turn(seconds=10)

    assert counted[-1] == 2
    assert [text.split(" since")[0] for text in messages(alice)] == ["20 schedules have finished"]
    assert counted[-7] == 1, "the second waited for its minute"


# --- whose token -----------------------------------------------------------------------------------------------


def test_it_is_sent_with_the_recipients_own_token(
    ada: Person, alice: Person, app: Flask, services: Services, standin: StandIn, clock: TurnableClock, turn: Turn,
    work: Work, tell: Tell,
):  # fmt: skip
    give_system_user(ada, app, services)
    scheduled(alice, clock, hours=1)
    turn(hours=1, seconds=1)
    work()

    tell()

    assert [call.user for call in standin.calls(0, ADD)] == [alice.user_id]


def test_with_a_dead_token_the_system_user_tells(
    ada: Person, alice: Person, app: Flask, services: Services, standin: StandIn, clock: TurnableClock, turn: Turn,
    work: Work, tell: Tell,
):  # fmt: skip
    ada.put("/preferences", {"notices": "none"})
    give_system_user(ada, app, services)
    waits(alice, clock, turn, work)

    tell()

    system = ada.portal.system_user
    assert system is not None
    assert len(bell(alice)) == 1
    assert {(call.method, call.user) for call in standin.calls(0, user=system.id)} == {(ADD, system.id)}


def test_with_a_dead_token_and_no_system_user_nobodys_token_is_used(
    ada: Person, alice: Person, services: Services, standin: StandIn, clock: TurnableClock, turn: Turn, work: Work,
    tell: Tell,
):  # fmt: skip
    ada.put("/preferences", {"notices": "none"})
    waits(alice, clock, turn, work)

    tell()

    assert standin.calls(0, ADD) == []
    assert fates(services)[alice.user_id] is NoticeFate.REFUSED


def test_one_who_left_the_portal_is_not_told_and_a_colleague_is(
    ada: Person, alice: Person, app: Flask, services: Services, clock: TurnableClock, turn: Turn, work: Work, tell: Tell
):
    give_system_user(ada, app, services)
    scheduled(alice, clock, hours=1)
    dismiss(alice)
    turn(hours=2)
    work()

    tell()

    assert (bell(alice), len(bell(ada))) == ([], 1)
    assert fates(services)[alice.user_id] is NoticeFate.REFUSED


# --- rights and hostile texts ----------------------------------------------------------------------------------


def test_who_lost_the_right_to_read_is_not_told_the_title(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell
):
    scheduled(alice, clock, hours=1)
    turn(hours=1, seconds=1)
    work()
    alice.portal.rights(alice.user_id, alice.portal.page(PAGE).site_id, [])

    tell()

    assert alice.portal.page(PAGE).title not in str(bell(alice))
    assert messages(alice)[0].startswith("1 page was unpublished as scheduled (")


def test_who_lost_the_right_to_publish_is_not_asked_to_take_over(
    alice: Person, helper: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell
):
    scheduled(alice, clock, hours=1)
    turn(hours=30)
    work()
    take_rights(helper)

    tell()

    assert (bell(helper), len(bell(alice))) == ([], 1)


def test_who_lost_the_right_while_the_notice_waited_is_not_told(
    alice: Person, helper: Person, services: Services, standin: StandIn, clock: TurnableClock, turn: Turn, work: Work,
    tell: Tell,
):  # fmt: skip
    scheduled(alice, clock, hours=1)
    turn(hours=30)
    work()
    standin.fault(0, ADD, kind="html", status=502, times=-1)
    tell()
    assert fates(services)[helper.user_id] is None, "found, and not told yet"
    standin.clear_faults()
    take_rights(helper)
    turn(hours=1)

    tell()

    assert (bell(helper), len(bell(alice))) == ([], 1)


HOSTILE = [
    "[url=https://evil.example]click[/url]", "[b]x[/b] <a href=//evil.example>y</a>", ">>quoted\n[user=1]Boss[/user]",
    "&#91;url=https://evil.example&#93;x", "see https://evil.example/a or www.evil.example", "%(page)s %s {0}",
    "\u202egnp.exe", "x" * 255,
]  # fmt: skip


@pytest.mark.parametrize("title", HOSTILE)
def test_a_hostile_title_is_plain_letters(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell, title: str
):
    alice.portal.change_page(PAGE, title=title)
    scheduled(alice, clock, hours=1)
    turn(hours=1, seconds=1)
    work()

    tell()

    [told] = bell(alice)
    what, do, link = told.message.splitlines()
    named = what[1 : what.index("” was unpublished")]
    assert named
    assert not set("[]<>&\n\u202e") & set(named)
    assert not re.search(r"://\w|\w\.\w", named)
    assert len(named) <= 130
    assert link.startswith("[url=/marketplace/app/")
    assert len(re.findall(r"\[(?!timestamp=)", what + do)) == 0
    assert len(told.message_out.splitlines()) == 2


def test_it_is_told_in_the_readers_language(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell, services: Services
):
    scheduled(alice, clock, hours=1)
    with services.store.begin() as db:
        db.execute(update(User).where(User.user_id == alice.user_id).values(language="de", chosen_zone="Asia/Tokyo"))
    turn(hours=1, seconds=1)
    work()

    tell()

    [told] = bell(alice)
    assert "wurde wie geplant offline genommen" in told.message
    assert "(Asia/Tokyo)" in told.message_out


# --- the portal's limits, and portals without the scope ------------------------------------------------------------


def test_a_portal_without_the_scope_works_and_nothing_is_written(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell, services: Services, standin: StandIn
):
    alice.portal.scope(["landing"])
    alice.opened()
    scheduled(alice, clock, hours=1)
    turn(hours=1, seconds=1)
    work()

    tell()

    assert not alice.portal.page(PAGE).active
    assert fates(services) == {}
    assert standin.calls(0, ADD) == []


def test_a_scope_that_was_withdrawn_since_is_a_counted_refusal(
    ada: Person, alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell, app: Flask
):
    scheduled(alice, clock, hours=1)
    alice.portal.scope(["landing"])
    turn(hours=1, seconds=1)
    work()
    with_scope = "insufficient_scope"

    tell()

    assert not alice.portal.page(PAGE).active
    health = ada.opened().read("/health")["notices"]
    assert health == {
        "scope": "im", "granted": False, "sent_7_days": 0, "refused_7_days": 1, "lost_7_days": 0, "waiting": 0,
    }  # fmt: skip
    assert with_scope in str(ada.read("/log"))
    assert 'sundown_notices{state="refused"} 1.0' in app.test_client().get("/metrics").text


def test_health_says_who_can_grant_a_missing_scope_and_stays_well(ada: Person, services: Services):
    heartbeat.beat(services.store, services.clock(), "here")
    granted = ada.fragment("GET", "/health").text
    ada.portal.scope(["landing"])

    without = ada.opened().fragment("GET", "/health").text

    assert "Everything works" in granted
    assert "0 refused by Bitrix24" in granted
    assert "Everything works" in without
    assert "An administrator can grant it by updating or reinstalling the app." in without


def test_what_was_told_long_ago_is_forgotten(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell, services: Services
):
    scheduled(alice, clock, hours=1)
    turn(hours=1, seconds=1)
    work()
    tell()
    housekeeping = Housekeeping(services.store, services.queue, services.clock)
    housekeeping.purge()
    assert len(fates(services)) == 1
    turn(days=31)

    housekeeping.purge()

    assert fates(services) == {}


def test_a_limit_is_respected_and_no_run_waits_for_a_notice(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell, standin: StandIn, services: Services
):
    standin.fault(0, ADD, kind="error", code="QUERY_LIMIT_EXCEEDED", status=503, times=2)
    scheduled(alice, clock, hours=1)
    turn(hours=1, seconds=1)
    work()

    tell()
    first = alice.portal.asked(ADD)
    services.notices.send(alice.portal.member_id)
    again = alice.portal.asked(ADD)
    more = alice.portal.add_pages(2, site=TITLE_SITE)
    alice.opened().unpublish(*more)
    work()

    assert (first, again) == (1, 1), "the portal rests"
    assert not any(alice.portal.page(lid).active for lid in more)
    with services.store.begin() as db:
        assert db.get_one(Portal, alice.portal.member_id).paused_until is None
    turn(minutes=1)
    tell()
    turn(minutes=3)
    tell()
    assert len(bell(alice)) == 1


def test_a_paused_portal_is_left_alone(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell, services: Services
):
    scheduled(alice, clock, hours=1)
    turn(hours=1, seconds=1)
    work()
    with services.store.begin() as db:
        db.execute(update(Portal).values(paused_until=clock() + timedelta(minutes=2)))

    tell()
    assert bell(alice) == []
    turn(minutes=2)

    tell()
    assert len(bell(alice)) == 1


def test_one_that_could_not_be_sent_for_a_day_is_lost_and_counted(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell, standin: StandIn, services: Services,
    app: Flask,
):  # fmt: skip
    standin.fault(0, ADD, kind="html", status=502, times=-1)
    scheduled(alice, clock, hours=1)
    turn(hours=1, seconds=1)
    work()
    for _ in range(6):
        tell()
        turn(hours=5)

    tell()

    assert fates(services)[alice.user_id] is NoticeFate.LOST
    assert 3 <= alice.portal.asked(ADD) <= 8
    assert 'sundown_notices{state="lost"} 1.0' in app.test_client().get("/metrics").text


def test_who_keeps_no_notices_in_the_portal_counts_as_told(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell, services: Services
):
    alice.portal.change_user("editor", site_notices=False)
    scheduled(alice, clock, hours=1)
    turn(hours=1, seconds=1)
    work()

    tell()

    assert bell(alice) == []
    assert fates(services)[alice.user_id] is NoticeFate.SENT, "the answer is a time in place of an id"


def test_who_is_not_there_any_more_is_a_refusal(
    ada: Person, alice: Person, app: Flask, services: Services, clock: TurnableClock, turn: Turn, work: Work, tell: Tell
):
    give_system_user(ada, app, services)
    waits(alice, clock, turn, work)
    dismiss(alice)

    tell()

    assert ada.portal.asked(ADD) == 2
    assert fates(services)[alice.user_id] is NoticeFate.REFUSED, "the portal answers false and no error"


DIES_AFTER_THE_RUN, DIES_AFTER_THE_CALL = (
    f"""
from datetime import timedelta
from b24app.runs import notice_rows, occasions
occasions.WATCHED, notice_rows.LEASE = timedelta(), timedelta(seconds=1)
whole = built.{verb}
def dying(*arguments, **more):
    {before}
    os.kill(os.getpid(), signal.SIGKILL)
built.{verb.rpartition(".")[0]}.{verb.rpartition(".")[2]} = dying
"""
    for verb, before in (("executor.run_batch", "whole(*arguments, **more)"), ("notice_rows.done", "pass"))
)


@pytest.mark.process
def test_a_worker_killed_around_a_notice_neither_loses_nor_doubles_it(
    alice: Person, environment: dict[str, str], services: Services, clock: TurnableClock
):
    """Once between the end of the run and its notice, once between the portal's answer and our record of it."""
    scheduled(alice, clock, seconds=2)
    with quick(environment, DIES_AFTER_THE_RUN) as first:
        assert first.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    assert not alice.portal.page(PAGE).active
    assert fates(services) == {alice.user_id: None}

    with quick(environment, DIES_AFTER_THE_CALL) as second:
        assert second.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    with quick(environment):
        wait_until(lambda: fates(services)[alice.user_id] is NoticeFate.SENT, PATIENCE_SECONDS)

    assert alice.portal.asked(ADD) == 2
    assert len(bell(alice)) == 1, "the second has taken the place of the first"


def test_the_worker_itself_sends_what_is_due(alice: Person, clock: TurnableClock, turn: Turn, services: Services):
    scheduled(alice, clock, hours=1)
    turn(hours=1, seconds=1)
    work_until_idle(services)
    turn(seconds=WATCHED.total_seconds() + 1)

    assert (services.notice_rows.requeue_due(), services.notice_rows.requeue_due()) == (1, 0), "one job a portal"
    work_until_idle(services)

    assert len(bell(alice)) == 1


def test_one_taken_by_a_worker_that_was_killed_is_sent_by_another(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work, tell: Tell, services: Services
):
    scheduled(alice, clock, hours=1)
    turn(hours=1, seconds=1)
    work()
    turn(seconds=WATCHED.total_seconds() + 1)
    claimed = services.notice_rows.claim(alice.portal.member_id)
    assert claimed is not None
    tell()
    assert bell(alice) == []
    turn(seconds=LEASE.total_seconds())

    tell()

    assert len(bell(alice)) == 1


def test_people_and_what_they_were_told_go_with_the_app(
    ada: Person, alice: Person, clock: TurnableClock, turn: Turn, work: Work, services: Services
):
    scheduled(alice, clock, hours=1)
    turn(hours=1, seconds=1)
    work()
    assert fates(services).keys() == {alice.user_id}

    with services.store.begin() as db:
        services.removal.close(db, db.get_one(Portal, alice.portal.member_id), erase=False)

    assert fates(services) == {}
