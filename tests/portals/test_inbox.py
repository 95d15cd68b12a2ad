"""What POST /events answered with 200 is carried out: after a crash, a busy database, a lost job; once."""

import base64
import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests
from flask import Flask
from sqlalchemy import delete, func, select, text

from b24app.errors import TooManyAttempts
from b24app.operations.metrics import exposed
from b24app.portals import events
from b24app.portals.inbox import Received
from b24app.portals.installs import matches_application_token
from b24app.services import Services, build
from b24app.store.models import InboxEvent, Portal
from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.conftest import Turn, make_config
from tests.people import Person
from tests.portals.test_events import deliver, event, removal, send
from tests.processes import Web
from tests.worker import work_until_idle


@pytest.fixture
def removed(alice: Person, app: Flask, clock: TurnableClock) -> dict[str, str]:
    """A real removal with its data, received and not worked off yet."""
    form = removal(alice, clock, clean=True)
    alice.portal.state.installation = None
    assert send(app, form) == 200
    return form


def in_inbox(services: Services) -> int:
    with services.store.begin() as db:
        return db.scalar(select(func.count()).select_from(InboxEvent)) or 0


def is_gone(services: Services, person: Person) -> bool:
    with services.store.begin() as db:
        return db.get(Portal, person.portal.member_id) is None


def test_an_event_whose_job_was_lost_is_worked_off_all_the_same(
    alice: Person, services: Services, removed: dict[str, str]
):
    with services.store.begin() as db:
        db.execute(text("delete from procrastinate_jobs"))

    assert services.inbox.requeue_due() == 1
    assert services.inbox.requeue_due() == 0, "it has a job"
    work_until_idle(services)

    assert is_gone(services, alice)
    assert in_inbox(services) == 0


def test_an_event_whose_worker_was_killed_is_due_again(
    alice: Person, services: Services, removed: dict[str, str], turn: Turn
):
    with services.store.begin() as db:
        event_id = db.scalars(select(InboxEvent.id)).one()
    assert services.inbox.begin(event_id) is not None
    work_until_idle(services)
    assert not is_gone(services, alice), "somebody is at it, as far as anybody knows"

    turn(seconds=20)
    services.inbox.requeue_due()
    work_until_idle(services)

    assert is_gone(services, alice)


def test_work_that_fails_again_and_again_is_tried_less_often(
    alice: Person, services: Services, standin: StandIn, removed: dict[str, str], turn: Turn
):
    standin.fault("oauth", "*", kind="html", status=502, times=-1)
    tried = []
    for second in range(0, 20 * 60, 15):
        if second == 0 or services.inbox.requeue_due():
            work_until_idle(services)
            tried.append(second)
        turn(seconds=15)

    assert tried == [0, 15, 75, 375]
    assert in_inbox(services) == 1


def test_what_is_not_worked_off_is_in_the_figures(services: Services, removed: dict[str, str]):
    assert "sundown_inbox_events 1.0" in exposed(services.store, services.clock()).decode()


def test_no_token_and_no_secret_lies_open_in_the_inbox(
    ada: Person, services: Services, app: Flask, clock: TurnableClock
):
    tokens = ada.portal.tokens("admin")
    secrets = {"access_token": str(tokens["access_token"]), "refresh_token": str(tokens["refresh_token"])}
    sent = send(app, event(ada, "ONAPPUPDATE", clock, application_token="e" * 32, **secrets))

    with services.store.begin() as db:
        rows = str(db.execute(text("select * from inbox_events")).all())
        jobs = str(db.execute(text("select args from procrastinate_jobs")).all())
    assert (sent, in_inbox(services)) == (200, 1)
    for secret in ("e" * 32, *secrets.values()):
        assert secret not in rows + jobs


def test_events_of_one_portal_are_worked_off_one_after_the_other(
    ada: Person, services: Services, app: Flask, clock: TurnableClock
):
    for name in ("ONAPPUPDATE", "ONAPPPAYMENT", "ONAPPINSTALL"):
        send(app, event(ada, name, clock))
    with services.store.begin() as db:
        locks = db.scalars(text("select lock from procrastinate_jobs where task_name = 'work_event'")).all()

    assert locks == [f"events {ada.portal.member_id}"] * 3
    work_until_idle(services)
    assert in_inbox(services) == 0


def test_an_event_we_have_no_use_for_is_welcome_and_forgotten(
    ada: Person, services: Services, app: Flask, clock: TurnableClock
):
    assert send(app, event(ada, "ONAPPTEST", clock)) == 200
    assert in_inbox(services) == 0


def test_a_hanging_authorization_server_does_not_hold_an_event_up(
    ada: Person, services: Services, app: Flask, clock: TurnableClock, standin: StandIn
):
    services.install_events.door_seconds = events.DOOR_SECONDS
    standin.fault("oauth", "app.info", kind="hang", seconds=20, times=-1)
    tokens = ada.portal.tokens("admin")
    stranger = event(ada, "ONAPPUPDATE", clock, application_token="e" * 32, access_token=str(tokens["access_token"]))

    began = time.monotonic()
    refused = send(app, stranger)
    took = time.monotonic() - began

    assert refused == 403
    assert took < 8, "and not the twenty of the server"


@pytest.fixture
def web(environment: dict[str, str]) -> Iterator[Web]:
    with Web(environment) as process:
        yield process


@pytest.mark.process
def test_a_removal_answered_while_the_database_deadlocks_is_carried_out(
    alice: Person, services: Services, web: Web, clock: TurnableClock
):
    """A process of its own takes the event while rows of the portal are held by others for a while."""
    form = removal(alice, clock, clean=True)
    alice.portal.state.installation = None
    let_go = threading.Event()

    def hold() -> None:
        with services.store.begin() as db:
            db.get_one(Portal, alice.portal.member_id, with_for_update={"key_share": True})
            let_go.wait(20)

    holder = threading.Thread(target=hold)
    holder.start()
    answer = requests.post(f"{web.url}/events", data=form, timeout=30)
    let_go.set()
    holder.join()
    work_until_idle(services)

    assert answer.status_code == 200
    assert is_gone(services, alice)


def test_the_events_digest_outlives_the_event_for_a_day(
    alice: Person, services: Services, app: Flask, removed: dict[str, str], turn: Turn
):
    work_until_idle(services)

    assert deliver(services, app, removed) == 200
    turn(days=1, hours=1)
    with services.store.begin() as db:
        db.execute(text("delete from spent where expires_at < :now"), {"now": services.clock() - timedelta()})

    assert deliver(services, app, removed) == 403, "nothing is known of this portal any more"


def test_a_flood_of_forged_removals_leads_to_few_questions(
    alice: Person, services: Services, app: Flask, clock: TurnableClock, standin: StandIn
):
    """Whoever knows the secret can make as many different ones as they like."""
    asked = standin.oauth_asked("app.info")
    forms = [removal(alice, clock, clean=True) | {"event_handler_id": str(number)} for number in range(30)]

    statuses = {send(app, form) for form in forms}
    work_until_idle(services)

    assert statuses == {200}
    assert in_inbox(services) == 1, "the newest"
    assert standin.oauth_asked("app.info") - asked <= 2


def test_more_events_with_tokens_than_a_portal_sends_are_refused(
    alice: Person, services: Services, clock: TurnableClock
):
    def received(number: int) -> Received:
        digest, moment = f"{number:064x}", int(clock().timestamp())
        return Received("ONAPPUSERREADY", alice.portal.member_id, moment, digest, secret={"access": "a"})

    for number in range(20):
        assert services.inbox.put(received(number))
    with pytest.raises(TooManyAttempts):
        services.inbox.put(received(20))

    with services.store.begin() as db:
        db.execute(delete(InboxEvent))
    assert services.inbox.put(received(20)), "a refused one was not marked as done"


@pytest.mark.parametrize("name", ["ONAPPUPDATE", "ONAPPPAYMENT", "ONAPPINSTALL"])
def test_forged_events_crowd_out_no_genuine_one(
    alice: Person, services: Services, app: Flask, clock: TurnableClock, name: str
):
    forged = {**event(alice, name, clock), "data[PAYMENT_EXPIRED]": "Y"}
    genuine = {**event(alice, name, clock), "data[PAYMENT_EXPIRED]": "N"}

    statuses = {send(app, forged | {"event_handler_id": str(number)}) for number in range(25)} | {send(app, genuine)}

    assert statuses == {200}
    with services.store.begin() as db:
        waits = db.scalars(select(InboxEvent)).one()
    assert waits.values == {"PAYMENT_EXPIRED": "N"}
    work_until_idle(services)
    assert in_inbox(services) == 0


def test_a_forged_removal_of_long_ago_ends_no_genuine_one(
    alice: Person, services: Services, app: Flask, removed: dict[str, str]
):
    """Everybody who knows the secret can send one that is too old to count."""
    assert send(app, removed | {"ts": "1"}) == 200

    work_until_idle(services)

    assert is_gone(services, alice)
    assert in_inbox(services) == 0


def test_a_forged_removal_before_a_genuine_one_ends_it_neither(
    alice: Person, services: Services, app: Flask, clock: TurnableClock
):
    """The worker has begun with the forged one, and is done with it only after the genuine one came."""
    send(app, removal(alice, clock, clean=True) | {"ts": "1"})
    with services.store.begin() as db:
        event_id = db.scalars(select(InboxEvent.id)).one()
    forged = services.inbox.begin(event_id)
    assert forged is not None
    genuine = removal(alice, clock, clean=True)
    alice.portal.state.installation = None
    send(app, genuine)

    services.inbox.done(forged)
    work_until_idle(services)

    assert is_gone(services, alice)


@pytest.mark.parametrize(("first", "second"), [(True, False), (False, True)])
def test_of_removals_that_contradict_each_other_the_data_is_kept(
    alice: Person, services: Services, app: Flask, clock: TurnableClock, first: bool, second: bool
):
    forms = [removal(alice, clock, clean=first), removal(alice, clock, clean=second)]
    alice.portal.state.installation = None
    for form in forms:
        send(app, form)

    work_until_idle(services)

    with services.store.begin() as db:
        portal = db.get_one(Portal, alice.portal.member_id)
    assert (portal.is_open, portal.to_be_erased) == (False, False)


def test_a_forged_installation_makes_no_waiting_removal_too_old(
    alice: Person, services: Services, app: Flask, removed: dict[str, str], clock: TurnableClock
):
    with services.store.begin() as db:
        before = db.get_one(Portal, alice.portal.member_id).installed_at
    clock.tick(seconds=10)
    secret = removed["auth[application_token]"]
    assert send(app, event(alice, "ONAPPINSTALL", clock, application_token=secret)) == 200
    with services.store.begin() as db:
        installation = db.scalars(select(InboxEvent.id).where(InboxEvent.event == "ONAPPINSTALL")).one()

    services.install_events.work(installation)

    with services.store.begin() as db:
        assert db.get_one(Portal, alice.portal.member_id).installed_at == before
    work_until_idle(services)
    assert is_gone(services, alice)


def test_an_event_of_the_future_is_of_the_moment_it_came(
    alice: Person, services: Services, app: Flask, clock: TurnableClock
):
    send(app, removal(alice, clock, clean=True) | {"ts": str(int(clock().timestamp()) + 10**9)})

    with services.store.begin() as db:
        assert db.scalars(select(InboxEvent.ts)).one() <= int(clock().timestamp())


def test_an_event_whose_key_is_missing_is_kept(
    ada: Person, services: Services, app: Flask, clock: TurnableClock, environment: dict[str, str], turn: Turn
):
    tokens = ada.portal.tokens("admin")
    pair = {name: str(tokens[name]) for name in ("access_token", "refresh_token")}
    send(app, event(ada, "ONAPPUPDATE", clock, application_token="e" * 32, **pair))
    with services.store.begin() as db:
        event_id = db.scalars(select(InboxEvent.id)).one()
    other_key = base64.b64encode(b"k" * 32).decode()
    keyless = build(make_config(environment | {"TOKEN_KEYS": other_key}), clock=clock)

    keyless.install_events.work(event_id)
    keyless.close()

    assert in_inbox(services) == 1
    turn(minutes=2)
    services.inbox.requeue_due()
    work_until_idle(services)
    with services.store.begin() as db:
        kept = db.get_one(Portal, ada.portal.member_id)
    assert matches_application_token(kept, "e" * 32)


@pytest.mark.parametrize("code", ["PAYMENT_REQUIRED", "QUERY_LIMIT_EXCEEDED", "OVERLOAD_LIMIT", "PORTAL_DELETED"])
def test_an_adoption_waits_until_the_portal_says_who_it_is(
    ada: Person, services: Services, app: Flask, clock: TurnableClock, standin: StandIn, turn: Turn, code: str
):
    tokens = ada.portal.tokens("admin")
    pair = {name: str(tokens[name]) for name in ("access_token", "refresh_token")}
    fault = standin.fault(0, "*", kind="error", code=code, status=401, times=-1)
    deliver(services, app, event(ada, "ONAPPUPDATE", clock, application_token="e" * 32, **pair))
    waits = in_inbox(services)
    standin.world.faults.clear(fault.id)

    for _ in range(3):
        turn(minutes=5)
        services.inbox.requeue_due()
        work_until_idle(services)

    with services.store.begin() as db:
        kept = db.get_one(Portal, ada.portal.member_id)
    assert (waits, in_inbox(services)) == (1, 0)
    assert matches_application_token(kept, "e" * 32)


def test_a_portal_whose_announced_removal_was_lost_is_asked_again(
    alice: Person, ada: Person, services: Services, app: Flask, clock: TurnableClock, turn: Turn
):
    with services.store.begin() as db:
        db.execute(text("update user_tokens set dead_code = 'invalid_grant'"))
    deliver(services, app, removal(alice, clock, clean=True))
    with services.store.begin() as db:
        db.execute(text("update user_tokens set dead_code = null"))
    turn(minutes=5)
    assert services.portal_status.ask_stopped() == 0, "it waits in the inbox"
    with services.store.begin() as db:
        db.execute(delete(InboxEvent))

    assert services.portal_status.ask_stopped() == 1

    assert not services.portal_status.is_announced(alice.portal.member_id)


def test_a_new_removal_with_an_old_deadline_is_asked_about_too(
    alice: Person, ada: Person, services: Services, app: Flask, clock: TurnableClock
):
    with services.store.begin() as db:
        db.execute(text("update user_tokens set dead_code = 'invalid_grant'"))
    deliver(services, app, removal(alice, clock, clean=False))
    ada.opened()
    form = removal(alice, clock, clean=False) | {"event_handler_id": "2"}
    alice.portal.state.installation = None

    deliver(services, app, form)

    with services.store.begin() as db:
        assert not db.get_one(Portal, alice.portal.member_id).is_open


def test_a_later_removal_takes_the_deadline_of_the_earlier_one_over(
    alice: Person, services: Services, app: Flask, clock: TurnableClock, turn: Turn
):
    with services.store.begin() as db:
        db.execute(text("update user_tokens set dead_code = 'invalid_grant'"))
    deliver(services, app, removal(alice, clock, clean=True))
    turn(hours=23)
    deliver(services, app, removal(alice, clock, clean=False))
    turn(hours=2)

    services.inbox.requeue_due()
    work_until_idle(services)

    with services.store.begin() as db:
        portal = db.get_one(Portal, alice.portal.member_id)
    assert not portal.is_open
    assert not portal.to_be_erased, "as the last one said"
