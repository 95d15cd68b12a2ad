"""What POST /events answered with 200 is carried out: after a crash, a busy database, a lost job; once."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
import requests
from flask import Flask
from sqlalchemy import func, select, text

from b24app.operations.metrics import exposed
from b24app.portals import events
from b24app.services import Services
from b24app.store.models import InboxEvent, Portal
from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.conftest import Turn
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
    assert "sundown_inbox_events 1.0" in exposed(services.store).decode()


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
    assert took < 5


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
    answer = requests.post(f"{web.url}/events", data=form, timeout=10)
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


def test_more_events_than_a_portal_sends_are_refused(
    alice: Person, services: Services, app: Flask, clock: TurnableClock
):
    forms = [event(alice, "ONAPPUPDATE", clock) | {"event_handler_id": str(number)} for number in range(25)]

    statuses = [send(app, form) for form in forms]

    assert statuses == [200] * 20 + [502] * 5
    work_until_idle(services)
    assert in_inbox(services) == 0
    assert deliver(services, app, forms[-1]) == 200, "a refused one was not marked as done"


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
