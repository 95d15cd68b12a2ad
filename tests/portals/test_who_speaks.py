"""Who speaks for a portal: its own answer, confirmed, and an administrator; no clerk, and no single bad answer.

The first version was erased by a reader with a browser: each link of that chain stands here alone and as a whole.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import func, select, update
from structlog.testing import capture_logs

from b24app.operations.metrics import exposed
from b24app.services import Services
from b24app.store.models import InboxEvent, Portal, Run, User, UserToken
from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.conftest import Turn
from tests.people import Person
from tests.portals.test_events import deliver, event, removal, send
from tests.worker import work_until_idle

MADE_UP = "f" * 32
STOPS = ["NOT_INSTALLED", "APPLICATION_NOT_FOUND", "ERROR_OAUTH", "PAYMENT_REQUIRED", "OVERLOAD_LIMIT"]


def row(services: Services, person: Person) -> Portal:
    with services.store.begin() as db:
        return db.get_one(Portal, person.portal.member_id)


def token_row(services: Services, person: Person) -> UserToken:
    with services.store.begin() as db:
        return db.get_one(UserToken, (person.portal.member_id, person.user_id))


def outdate(services: Services, person: Person) -> None:
    """The next call of this person renews first."""
    with services.store.begin() as db:
        mine = update(UserToken).where(UserToken.user_id == person.user_id)
        db.execute(mine.values(expires_at=services.clock() - timedelta(seconds=1)))


def two_pages(person: Person) -> list[int]:
    return [page.id for page in person.portal.pages("PAGE") if page.active][:2]


def ordered(person: Person) -> str:
    answer = person.unpublish(*two_pages(person))
    assert answer.json
    return str(answer.json["id"])


def state(person: Person, run: str) -> str:
    return str(person.read(f"/runs/{run}")["state"])


@pytest.fixture
def throw_away(standin: StandIn) -> str:
    """A refresh token of a portal of Bob's own from which the app was removed."""
    other = standin.portals[1]
    other.install()
    refresh = str(other.tokens("admin")["refresh_token"])
    other.uninstall()
    return refresh


@pytest.fixture
def plant(app: Flask) -> Callable[..., Person]:
    """Open as somebody with a genuine AUTH_ID and other fields of one's own making."""

    def planted(person: Person, **fields: str) -> Person:
        path, form = person.frame()
        assert person.post_frame(path, form | fields).status_code == 200
        return person

    return planted


# --- a clerk cannot erase a portal ------------------------------------------------------------------------------------


def test_a_clerk_with_a_foreign_refresh_token_erases_nothing(
    alice: Person, bob: Person, services: Services, app: Flask, clock: TurnableClock, throw_away: str, plant
):
    """The whole chain of the first version, step by step."""
    run = ordered(alice)
    before = row(services, bob)
    plant(bob, REFRESH_ID=throw_away)
    outdate(services, bob)
    assert bob.get("/pages?fresh=1").status_code == 401
    plant(bob, REFRESH_ID=throw_away, APPLICATION_TOKEN=MADE_UP)

    forged = removal(bob, clock, clean=True, application_token=MADE_UP)
    status = deliver(services, app, forged)

    after = row(services, alice)
    assert status == 403
    assert (after.suspended_code, after.epoch, after.uninstalled_at) == (None, before.epoch, None)
    assert after.application_token_sha256 == before.application_token_sha256
    assert state(alice, run) == "succeeded"


@pytest.mark.parametrize("code", [*STOPS, "PORTAL_DELETED"])
def test_what_is_said_of_a_refresh_token_stops_no_portal(
    alice: Person, bob: Person, services: Services, standin: StandIn, code: str
):
    outdate(services, bob)
    standin.fault("oauth", "/oauth/token/", kind="error", code=code, status=401, times=-1)

    bob.get("/pages?fresh=1")

    assert row(services, alice).suspended_code is None
    assert alice.unpublish(351).status_code == 201


def test_a_refused_refresh_token_condemns_its_own_row_and_no_other(
    alice: Person, bob: Person, services: Services, throw_away: str, plant
):
    plant(bob, REFRESH_ID=throw_away)
    outdate(services, bob)

    refused = bob.get("/pages?fresh=1")

    assert (refused.status_code, refused.get_json(force=True)["code"]) == (401, "NOT_INSTALLED")
    assert token_row(services, bob).dead_code == "NOT_INSTALLED"
    assert token_row(services, alice).dead_code is None
    assert bob.opened().get("/pages").status_code == 200, "a new opening brings a new pair"


def test_payment_required_of_a_renewal_condemns_no_token(alice: Person, services: Services, standin: StandIn):
    outdate(services, alice)
    standin.fault("oauth", "/oauth/token/", kind="error", code="PAYMENT_REQUIRED", status=401, times=1)

    refused, again = alice.get("/pages?fresh=1"), alice.get("/pages?fresh=1")

    assert (refused.status_code, again.status_code) == (402, 200)
    assert token_row(services, alice).dead_code is None
    assert row(services, alice).suspended_code is None


def test_a_run_refused_by_a_renewal_goes_on_by_itself(alice: Person, services: Services, standin: StandIn, turn: Turn):
    run = ordered(alice)
    outdate(services, alice)
    fault = standin.fault("oauth", "/oauth/token/", kind="error", code="PAYMENT_REQUIRED", status=401, times=-1)
    work_until_idle(services)
    assert state(alice, run) == "waiting"
    standin.world.faults.clear(fault.id)
    turn(minutes=10)

    services.recovery.resume()
    work_until_idle(services)

    assert state(alice, run) == "succeeded"


@pytest.mark.parametrize("token", [MADE_UP, ""])
def test_no_clerk_plants_the_first_secret(
    app: Flask, standin: StandIn, services: Services, clock: TurnableClock, plant, token: str
):
    """The installer's frame carried no APPLICATION_TOKEN, as older portals send it."""
    portal = standin.portals[0]
    ada = Person(app, portal, "admin")
    path, form = ada.frame(install=True)
    ada.post_frame(path, form | {"APPLICATION_TOKEN": ""})
    portal.finish_install()
    bob = Person(app, portal, "reader")

    plant(bob, APPLICATION_TOKEN=token)

    assert row(services, bob).application_token_sha256 is None
    assert send(app, removal(bob, clock, clean=True, application_token=token or MADE_UP)) == 403
    assert ada.opened().get("/pages").status_code == 200
    assert row(services, bob).application_token_sha256 is not None, "an administrator brings it"


def test_a_clerk_who_opens_first_plants_no_secret(app: Flask, standin: StandIn, services: Services, plant):
    portal = standin.portals[0]
    portal.install()

    plant(Person(app, portal, "reader"), APPLICATION_TOKEN=MADE_UP)

    with services.store.begin() as db:
        assert db.get_one(Portal, portal.member_id).application_token_sha256 is None


def test_a_clerks_installer_begins_no_installation(alice: Person, bob: Person, services: Services, turn: Turn):
    before = row(services, alice)
    turn(minutes=5)

    assert bob.install().status_code == 200

    after = row(services, alice)
    assert (after.installed_at, after.epoch) == (before.installed_at, before.epoch)
    assert after.bound_to == before.bound_to


def test_a_clerks_open_lifts_no_stop(alice: Person, bob: Person, services: Services):
    alice.portal.switch(payment_expired=True)
    assert alice.unpublish(351).status_code == 402
    alice.portal.switch(payment_expired=False)

    bob.opened()

    assert row(services, alice).suspended_code == "PAYMENT_REQUIRED"


def test_a_clerk_does_not_reopen_a_removed_portal(ada: Person, bob: Person, services: Services, app: Flask, clock):
    form = removal(ada, clock, clean=False)
    ada.portal.state.installation = None
    deliver(services, app, form)
    ada.portal.install()

    by_clerk = bob.open()
    by_administrator = ada.open()
    again = bob.open()

    assert (by_clerk.status_code, by_administrator.status_code, again.status_code) == (410, 200, 200)
    assert "administrator" in by_clerk.text


# --- a stop is confirmed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", STOPS)
def test_one_passing_refusal_stops_nothing(alice: Person, services: Services, standin: StandIn, turn: Turn, code: str):
    run = ordered(alice)
    standin.fault(0, "batch", kind="error", code=code, status=401, times=1)

    work_until_idle(services)
    turn(seconds=30)
    work_until_idle(services)

    assert row(services, alice).suspended_code is None
    assert state(alice, run) == "succeeded"


@pytest.mark.parametrize("code", ["NOT_INSTALLED", "APPLICATION_NOT_FOUND", "ERROR_OAUTH"])
def test_a_portal_that_alone_says_not_installed_does_not_stop(
    alice: Person, services: Services, standin: StandIn, code: str
):
    standin.fault(0, "*", kind="error", code=code, status=401, times=-1)

    answer = alice.unpublish(351)

    assert (answer.status_code, answer.get_json(force=True)["code"]) == (410, code)
    assert row(services, alice).suspended_code is None


@pytest.mark.parametrize(
    ("happens", "code"),
    [
        (lambda portal: portal.uninstall(), "ERROR_OAUTH"),
        (lambda portal: portal.switch(payment_expired=True), "PAYMENT_REQUIRED"),
        (lambda portal: portal.switch(overload=True), "OVERLOAD_LIMIT"),
    ],
)
def test_a_confirmed_stop_is_logged_and_in_the_figures(alice: Person, services: Services, happens, code: str):
    happens(alice.portal)

    with capture_logs() as lines:
        alice.unpublish(351)

    told = [line for line in lines if line["event"] == "portal_stopped"]
    assert [(line["log_level"], line["code"]) for line in told] == [("warning", code)]
    assert row(services, alice).suspended_code == code
    assert f'sundown_stopped_portals{{code="{code}"}} 1.0' in exposed(services.store, services.clock()).decode()


@pytest.mark.parametrize(("switch", "code"), [("payment_expired", "PAYMENT_REQUIRED"), ("overload", "OVERLOAD_LIMIT")])
def test_a_stop_ends_by_itself_and_its_runs_go_on(
    alice: Person, services: Services, turn: Turn, switch: str, code: str
):
    run = ordered(alice)
    alice.portal.switch(**{switch: True})
    work_until_idle(services)
    assert (state(alice, run), row(services, alice).suspended_code) == ("waiting", code)
    alice.portal.switch(**{switch: False})
    turn(minutes=2)

    services.portal_status.ask_stopped()
    work_until_idle(services)

    assert row(services, alice).suspended_code is None
    assert state(alice, run) == "succeeded"


def test_a_stopped_portal_is_asked_less_and_less_often(alice: Person, services: Services, turn: Turn):
    alice.portal.switch(overload=True)
    alice.unpublish(351)
    asked = []
    for _ in range(3 * 60):
        turn(minutes=1)
        before = alice.portal.asked("app.info")
        services.portal_status.ask_stopped()
        asked.append(alice.portal.asked("app.info") - before)

    minutes = [number + 1 for number, requests in enumerate(asked) if requests]
    assert minutes[:4] == [1, 3, 8, 23]
    assert len(minutes) <= 7


def test_an_html_404_of_the_authorization_server_is_passing_trouble(
    alice: Person, services: Services, standin: StandIn, turn: Turn
):
    run = ordered(alice)
    outdate(services, alice)
    standin.fault("oauth", "/oauth/token/", kind="html", status=404, times=2)

    work_until_idle(services)
    turn(minutes=1)
    work_until_idle(services)

    assert row(services, alice).suspended_code is None
    assert token_row(services, alice).dead_code is None
    assert state(alice, run) == "succeeded"


def test_a_redirect_to_nowhere_in_a_run_is_passing_trouble(
    alice: Person, services: Services, standin: StandIn, turn: Turn
):
    run = ordered(alice)
    standin.fault(0, "batch", kind="redirect", location="https://maintenance.example/", times=1)

    work_until_idle(services)
    turn(minutes=1)
    work_until_idle(services)

    assert state(alice, run) == "succeeded"


def test_a_portal_long_not_installed_is_closed_as_if_removed(alice: Person, services: Services, turn: Turn):
    ordered(alice)
    work_until_idle(services)
    alice.portal.state.installation = None
    alice.unpublish(351)
    turn(days=29)
    services.portal_status.ask_stopped()
    assert row(services, alice).is_open

    turn(days=2)
    services.portal_status.ask_stopped()

    gone = row(services, alice)
    assert (gone.is_open, gone.to_be_erased) == (False, False)
    with services.store.begin() as db:
        assert db.scalar(select(func.count()).select_from(User)) == 0
        assert set(db.scalars(select(Run.created_by))) == {0}


def test_an_unpaid_portal_is_not_closed_however_long(alice: Person, services: Services, turn: Turn):
    alice.portal.switch(payment_expired=True)
    alice.unpublish(351)

    for _ in range(12):
        turn(days=10)
        services.portal_status.ask_stopped()

    assert row(services, alice).is_open


# --- a removal is confirmed -------------------------------------------------------------------------------------------


def false_removals(services: Services) -> str:
    return next(
        line
        for line in exposed(services.store, services.clock()).decode().splitlines()
        if line.startswith("sundown_false_removals ")
    )


def test_an_employee_with_the_real_secret_removes_nothing(
    alice: Person, bob: Person, services: Services, app: Flask, clock: TurnableClock, turn: Turn
):
    """Everybody finds APPLICATION_TOKEN in their own frame post."""
    before = row(services, alice)
    forged = removal(bob, clock, clean=True, application_token=bob.frame()[1]["APPLICATION_TOKEN"])

    assert deliver(services, app, forged) == 200
    for minutes in (1, 5, 15, 60):
        assert alice.get("/pages").status_code == 200
        turn(minutes=minutes)
        services.inbox.requeue_due()
        work_until_idle(services)

    after = row(services, alice)
    with services.store.begin() as db:
        assert db.scalar(select(func.count()).select_from(InboxEvent)) == 0
    assert (after.epoch, after.suspended_code, after.uninstalled_at) == (before.epoch, None, None)
    assert false_removals(services) == "sundown_false_removals 1.0"
    assert alice.opened().unpublish(351).status_code == 201


def test_the_authorization_server_may_lag_a_minute_behind_a_removal(
    alice: Person, services: Services, app: Flask, clock: TurnableClock, turn: Turn
):
    form = removal(alice, clock, clean=True)
    assert deliver(services, app, form) == 200
    assert row(services, alice).is_open
    alice.portal.state.installation = None

    turn(minutes=1)
    services.inbox.requeue_due()
    work_until_idle(services)

    with services.store.begin() as db:
        assert db.get(Portal, alice.portal.member_id) is None


def dead_tokens(services: Services) -> None:
    with services.store.begin() as db:
        db.execute(update(UserToken).values(dead_code="invalid_grant"))


def test_an_unprovable_removal_suspends_at_once_and_deletes_after_a_day(
    alice: Person, services: Services, app: Flask, clock: TurnableClock, turn: Turn
):
    run = ordered(alice)
    form = removal(alice, clock, clean=True)
    dead_tokens(services)

    deliver(services, app, form)
    at_once = (row(services, alice).suspended_code, alice.get("/pages").status_code)
    turn(hours=23)
    services.inbox.requeue_due()
    work_until_idle(services)
    kept = row(services, alice).is_open
    turn(hours=2)
    services.inbox.requeue_due()
    work_until_idle(services)

    assert at_once == ("removal_announced", 401)
    assert kept
    with services.store.begin() as db:
        assert db.get(Portal, alice.portal.member_id) is None
        assert db.scalars(select(Run.id)).all() == []
    assert run


def test_an_administrators_open_takes_a_removal_back(
    alice: Person, ada: Person, services: Services, app: Flask, clock: TurnableClock, turn: Turn
):
    run = ordered(alice)
    form = removal(alice, clock, clean=True)
    dead_tokens(services)
    deliver(services, app, form)
    work_until_idle(services)
    turn(hours=1)

    ada.opened()
    turn(hours=25)
    services.inbox.requeue_due()
    work_until_idle(services)

    after = row(services, alice)
    assert (after.suspended_code, after.is_open) == (None, True)
    assert ada.opened().get(f"/runs/{run}").status_code == 200


def test_a_removal_is_not_decided_while_the_authorization_server_is_silent(
    alice: Person, services: Services, app: Flask, clock: TurnableClock, standin: StandIn, turn: Turn
):
    form = removal(alice, clock, clean=True)
    alice.portal.state.installation = None
    fault = standin.fault("oauth", "*", kind="html", status=502, times=-1)
    deliver(services, app, form)
    waits = row(services, alice)
    standin.world.faults.clear(fault.id)
    turn(minutes=2)

    services.inbox.requeue_due()
    work_until_idle(services)

    assert (waits.is_open, waits.suspended_code) == (True, None)
    with services.store.begin() as db:
        assert db.get(Portal, alice.portal.member_id) is None


def test_a_refused_refresh_token_confirms_no_removal(
    alice: Person, bob: Person, services: Services, app: Flask, clock: TurnableClock, throw_away: str, plant
):
    """Bob's is the only token left, and he has made it one of a portal from which the app was removed."""
    plant(bob, REFRESH_ID=throw_away)
    with services.store.begin() as db:
        db.execute(update(UserToken).where(UserToken.user_id != bob.user_id).values(dead_code="invalid_grant"))
    bob.portal.expire("reader")

    deliver(services, app, removal(bob, clock, clean=True))

    assert row(services, alice).is_open


def test_a_payment_event_lifts_nothing_by_its_word_alone(
    alice: Person, bob: Person, services: Services, app: Flask, clock: TurnableClock
):
    alice.portal.switch(payment_expired=True)
    assert alice.unpublish(351).status_code == 402

    assert deliver(services, app, {**event(bob, "ONAPPPAYMENT", clock), "data[PAYMENT_EXPIRED]": "N"}) == 200

    assert row(services, alice).suspended_code == "PAYMENT_REQUIRED"
