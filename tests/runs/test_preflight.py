"""Waiting before it is too late, and news until seen."""

from datetime import timedelta

import pytest

from b24app.domain import UserRef
from b24app.services import Services
from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.conftest import Turn, Work
from tests.people import Person, body_of

PAGE = 351


def news(person: Person) -> dict:
    return body_of(person.get("/news"))


def ids(runs: list[dict]) -> list[str]:
    return [run["id"] for run in runs]


def scheduled(person: Person, clock: TurnableClock, **span: float) -> dict:
    return body_of(person.unpublish(PAGE, at=(clock() + timedelta(**span)).isoformat(timespec="seconds")))


def take_rights(alice: Person) -> None:
    alice.portal.rights(alice.user_id, alice.portal.page(PAGE).site_id, ["read"])


def take_scope(alice: Person) -> None:
    alice.portal.scope([])


def take_token(alice: Person) -> None:
    alice.portal.expire_refresh(alice.user_id)


def dismiss(alice: Person) -> None:
    alice.portal.forget_user(alice.user_id)


@pytest.mark.parametrize(("trouble", "code"), [
    (take_rights, "ACCESS_DENIED"), (take_scope, "insufficient_scope"), (take_token, "invalid_grant"),
    (dismiss, "authorization_error"),
])  # fmt: skip
def test_trouble_is_told_days_ahead_to_the_asker_and_who_could_take_over(
    ada: Person, alice: Person, services: Services, clock: TurnableClock, turn: Turn, trouble, code: str
):
    run = scheduled(alice, clock, days=5)
    trouble(alice)
    turn(days=1)

    assert services.preflight.check_upcoming() == 1

    if trouble is take_scope:
        alice.portal.scope(["landing"])
    told = news(ada.opened())
    assert ids(told["doubtful"]) == [run["id"]]
    assert told["doubtful"][0]["doubt"]["code"] == code
    assert told["doubtful"][0]["doubt"]["remedy"]
    seen = body_of(ada.get(f"/runs/{run['id']}"))
    assert (seen["state"], seen["problem"]) == ("scheduled", None)
    assert "takeover" in seen["can"]
    if trouble is not dismiss:
        assert ids(news(alice.opened())["doubtful"]) == [run["id"]]


def test_a_reader_who_could_not_take_over_hears_nothing(
    alice: Person, bob: Person, services: Services, clock: TurnableClock, turn: Turn
):
    scheduled(alice, clock, days=5)
    take_token(alice)
    turn(days=1)
    services.preflight.check_upcoming()

    told = news(bob.opened())

    assert (told["doubtful"], told["waiting"]) == ([], [])


def test_a_run_taken_over_before_its_time_uses_the_rights_of_its_taker(
    ada: Person, alice: Person, services: Services, clock: TurnableClock, turn: Turn, work: Work
):
    run = scheduled(alice, clock, days=2)
    take_rights(alice)
    turn(days=1)
    services.preflight.check_upcoming()

    taken = ada.opened().post(f"/runs/{run['id']}/takeover")

    assert taken.status_code == 200
    assert (body_of(taken)["state"], body_of(taken)["acting_as"]["user_id"]) == ("scheduled", ada.user_id)
    turn(days=1)
    work()
    assert not alice.portal.page(PAGE).active
    assert alice.portal.page(PAGE).modified_by == ada.user_id


def test_without_a_doubt_a_scheduled_run_does_not_change_hands(ada: Person, alice: Person, clock: TurnableClock):
    run = scheduled(alice, clock, days=2)

    assert ada.opened().post(f"/runs/{run['id']}/takeover").status_code == 409


def test_at_its_time_nothing_runs_with_anybody_elses_rights(
    ada: Person, alice: Person, services: Services, clock: TurnableClock, turn: Turn, work: Work, standin: StandIn
):
    run = scheduled(alice, clock, days=2)
    dismiss(alice)
    turn(days=1)
    services.preflight.check_upcoming()
    turn(days=1, seconds=1)

    work()

    assert body_of(ada.opened().get(f"/runs/{run['id']}"))["state"] == "waiting"
    assert standin.calls(0, "landing.landing.unpublic") == []
    assert alice.portal.page(PAGE).active
    assert ids(news(ada)["waiting"]) == [run["id"]]


def test_the_doubt_goes_when_its_cause_is_gone(alice: Person, services: Services, clock: TurnableClock, turn: Turn):
    scheduled(alice, clock, days=5)
    take_token(alice)
    turn(days=1)
    services.preflight.check_upcoming()

    alice.opened()
    services.preflight.check_upcoming()

    assert news(alice)["doubtful"] == []


def test_each_asker_is_asked_once_a_day_by_one_request(
    alice: Person, services: Services, clock: TurnableClock, turn: Turn
):
    for hours in range(100, 110):
        scheduled(alice, clock, hours=hours)
    assert services.preflight.check_upcoming() == 0
    turn(days=1)
    before = alice.portal.requests()

    assert services.preflight.check_upcoming() == 1
    assert services.preflight.check_upcoming() == 0

    assert alice.portal.requests() - before == 1


def test_a_portal_that_does_not_answer_raises_no_doubt(
    alice: Person, services: Services, clock: TurnableClock, turn: Turn, standin: StandIn
):
    scheduled(alice, clock, days=5)
    turn(days=1)
    standin.fault(0, "batch", kind="html", status=502, times=9)

    services.preflight.check_upcoming()

    standin.clear_faults()
    assert news(alice.opened())["doubtful"] == []


def test_an_asker_who_was_not_answered_lets_others_come_first(
    alice: Person, services: Services, clock: TurnableClock, turn: Turn, standin: StandIn
):
    scheduled(alice, clock, days=5)
    turn(days=1)
    standin.fault(0, "batch", kind="html", status=502, times=9)

    asked = [services.preflight.check_upcoming() for _ in range(2)]

    standin.clear_faults()
    assert asked == [1, 0]
    turn(days=1)
    assert services.preflight.check_upcoming() == 1


def test_a_run_that_waits_goes_on_by_itself_when_the_cause_has_ended(
    ada: Person, alice: Person, services: Services, clock: TurnableClock, turn: Turn, work: Work
):
    run = scheduled(alice, clock, hours=2)
    take_scope(alice)
    turn(hours=2, seconds=1)
    work()
    assert list(services.preflight.recovered()) == []
    alice.portal.scope(["landing"])
    turn(hours=1)  # tokens know of a granted scope from their next renewal on

    asker = UserRef(alice.portal.member_id, alice.user_id)
    assert list(services.preflight.recovered()) == [asker]
    services.waiting.resume_for(asker)
    work()

    assert body_of(ada.opened().get(f"/runs/{run['id']}"))["state"] == "succeeded"
    assert not alice.portal.page(PAGE).active


def test_what_ran_since_is_told_at_the_next_open_until_seen(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work
):
    run = scheduled(alice, clock, hours=2)
    assert news(alice)["ended"] == []
    turn(hours=3)
    work()

    told = news(alice.opened())
    assert ids(told["ended"]) == [run["id"]]
    assert told["ended"][0]["title"] == alice.portal.page(PAGE).title
    assert ids(news(alice.opened())["ended"]) == [run["id"]]

    assert alice.post("/news/seen", {"as_of": told["as_of"]}).status_code == 204
    assert news(alice.opened())["ended"] == []


def test_what_happens_after_the_news_were_shown_is_not_lost_by_the_click(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work
):
    scheduled(alice, clock, hours=1)
    turn(hours=2)
    work()
    shown = news(alice.opened())
    later = scheduled(alice, clock, minutes=10)
    turn(minutes=11)
    work()

    alice.post("/news/seen", {"as_of": shown["as_of"]})

    assert ids(news(alice)["ended"]) == [later["id"]]


def test_a_run_that_ended_on_screen_is_news_to_nobody(ada: Person, alice: Person):
    alice.unpublish(PAGE)

    assert news(alice)["ended"] == []
    assert news(ada.opened())["ended"] == []


def test_a_cancelled_schedule_is_news_but_to_who_cancelled_it(alice: Person, ada: Person, clock: TurnableClock):
    own, other = scheduled(alice, clock, hours=1), scheduled(alice, clock, hours=2)

    alice.post(f"/runs/{own['id']}/cancel")
    ada.opened().post(f"/runs/{other['id']}/cancel")

    assert ids(news(alice)["ended"]) == [other["id"]]


def test_failed_pages_are_news_with_their_count(alice: Person, clock: TurnableClock, turn: Turn, work: Work):
    run = scheduled(alice, clock, hours=2)
    take_rights(alice)
    turn(hours=3)
    work()

    told = news(alice.opened())["ended"]

    assert ids(told) == [run["id"]]
    assert (told[0]["state"], told[0]["counts"]["failed"]) == ("failed", 1)


def test_a_late_run_says_how_late_in_the_news_and_on_the_run(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work
):
    run = scheduled(alice, clock, hours=1)
    turn(hours=4)
    work()

    assert "3 hours after the set time" in news(alice.opened())["ended"][0]["late"]
    assert "3 hours after the set time" in body_of(alice.get(f"/runs/{run['id']}"))["items"][0]["detail"]


def test_the_fragment_tells_everything_in_words_and_is_empty_without_news(
    ada: Person, alice: Person, clock: TurnableClock, turn: Turn, work: Work
):
    assert alice.fragment("GET", "/news").text.strip() == ""
    run = scheduled(alice, clock, hours=1)
    dismiss(alice)
    turn(hours=2)
    work()

    told = ada.opened().fragment("GET", "/news").text

    assert f"/runs/{run['id']}" in told
    assert "Needs attention" in told
    assert "is no longer active on this portal" in told
    assert ada.fragment("POST", "/news/seen", as_of=clock().isoformat()).text.strip() == ""
    assert ada.fragment("GET", "/news").text.strip() == ""


@pytest.mark.parametrize("body", [{"as_of": "yesterday"}, {"as_of": "2027-01-01T00:00"}])
def test_an_unreadable_moment_is_refused(alice: Person, body: dict):
    assert alice.post("/news/seen", body).status_code == 422


def test_a_moment_in_the_future_does_not_hide_what_is_to_come(
    alice: Person, clock: TurnableClock, turn: Turn, work: Work
):
    alice.post("/news/seen", {"as_of": (clock() + timedelta(days=900)).isoformat()})
    run = scheduled(alice, clock, hours=1)
    turn(hours=2)

    work()

    assert ids(news(alice.opened())["ended"]) == [run["id"]]
