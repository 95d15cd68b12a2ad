"""Installation and removal by events in a real envelope: forged, late, lost, repeated; and what is left of a portal."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from flask import Flask
from sqlalchemy import func, select, text, update
from werkzeug.test import TestResponse

from b24app.domain import Action, Actor, ItemState, Kind, RunState
from b24app.errors import SessionExpired
from b24app.portals.bindings import INSTALL, PAYMENT, UNINSTALL, UPDATE
from b24app.runs.orders import Order
from b24app.runs.states import hold_portal
from b24app.services import Services
from b24app.store.models import (
    ApiCall,
    Base,
    InboxEvent,
    OneTimeMark,
    Portal,
    Run,
    RunItem,
    User,
    UserToken,
    VerifiedToken,
)
from b24sandbox import PortalHandle, StandIn
from b24sandbox.protocol import events as sandbox_events
from tests.clocks import YEAR, until
from tests.people import Person
from tests.portals.test_lock_order import deadlocks
from tests.worker import work_until_idle

Form = dict[str, str]
Send = Callable[[dict[str, str]], TestResponse]
OTHER_SECRET = "0therSecret0fTheEvents4711"


def envelope(portal: PortalHandle, event: str, who: str = "admin", ago: int = 0, **values: object) -> Form:
    """The form the portal's queue would send now, or `ago` seconds in the past."""
    installation = portal.state.installation
    assert installation is not None
    world = portal.world
    form = dict(sandbox_events.envelope(world, portal.state, installation, event, 7, values, portal.user(who).id))
    return form | {"ts": str(int(form["ts"]) - ago)}


@pytest.fixture
def ada(ada: Person) -> Person:
    """The administrator, with the app open."""
    return ada.opened()


@pytest.fixture
def send(app: Flask) -> Callable[[Form], TestResponse]:
    """Post a form as Bitrix24's queue does."""
    return lambda form: app.test_client(use_cookies=False).post("/events", data=form)


@pytest.fixture
def deliver(send: Send, services: Services) -> Send:
    """As `send`, and the worker does what came of it."""

    def delivered(form: Form) -> TestResponse:
        answer = send(form)
        work_until_idle(services)
        return answer

    return delivered


@pytest.fixture
def remove(deliver: Send) -> Callable[..., TestResponse]:
    """The app is removed from a portal: Bitrix24 no longer knows it there, and the event comes."""

    def removed(portal: PortalHandle, clean: str) -> TestResponse:
        form = envelope(portal, UNINSTALL, CLEAN=clean)
        portal.state.installation = None
        return deliver(form)

    return removed


def portal_row(services: Services, portal: PortalHandle) -> Portal | None:
    with services.store.begin() as db:
        return db.get(Portal, portal.member_id)


def secret_of(services: Services, portal: PortalHandle) -> str | None:
    row = portal_row(services, portal)
    return row.application_token_sha256 if row else None


def everything(services: Services) -> str:
    """Every row of every table as text, waiting jobs included: what a thief of the database would read."""
    tables = [*Base.metadata.tables, "procrastinate_jobs"]
    with services.store.begin() as db:
        return "\n".join(str(row) for name in tables for row in db.execute(text(f"select * from {name}")))


# --- what proves an event --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [INSTALL, UPDATE, UNINSTALL, PAYMENT])
def test_an_event_with_the_portals_secret_is_welcome(ada: Person, send, event: str):
    assert send(envelope(ada.portal, event, CLEAN="0", PAYMENT_EXPIRED="N")).status_code == 200


@pytest.mark.parametrize("event", [INSTALL, UPDATE, UNINSTALL, PAYMENT])
@pytest.mark.parametrize(
    "forge",
    [
        {"auth[application_token]": "f" * 32, "auth[access_token]": "f" * 32},
        {"auth[application_token]": "", "auth[access_token]": ""},
        {"auth[member_id]": "f" * 32, "auth[access_token]": ""},
    ],
)
def test_an_event_that_proves_nothing_is_refused_and_changes_nothing(
    ada: Person, send, services: Services, event: str, forge: Form
):
    form = envelope(ada.portal, event, CLEAN="1", PAYMENT_EXPIRED="Y")
    before = everything(services)

    answer = send({**form, **forge})

    assert answer.status_code == 403
    assert everything(services) == before


def test_another_portals_secret_proves_nothing_here(ada: Person, charlie: Person, send, services: Services):
    charlie.portal.state.installation.application_token = OTHER_SECRET  # type: ignore[union-attr]

    answer = send(envelope(ada.portal, UNINSTALL, CLEAN="1") | {"auth[application_token]": OTHER_SECRET})

    assert answer.status_code == 403
    assert ada.get("/pages").status_code == 200


def test_a_forged_install_keeps_the_secret_and_a_forged_removal_is_refused(ada: Person, send, services: Services):
    before = secret_of(services, ada.portal)
    forged = {"auth[application_token]": OTHER_SECRET, "auth[access_token]": "f" * 64}

    install = send(envelope(ada.portal, INSTALL) | forged)
    removal = send(envelope(ada.portal, UNINSTALL, CLEAN="1") | forged)

    assert (install.status_code, removal.status_code) == (403, 403)
    assert secret_of(services, ada.portal) == before
    assert ada.get("/pages").status_code == 200


def test_a_token_of_another_portal_proves_no_new_secret(ada: Person, charlie: Person, send, services: Services):
    before = secret_of(services, ada.portal)
    lies = {
        "auth[application_token]": OTHER_SECRET, "auth[domain]": charlie.portal.domain,
        "auth[access_token]": str(charlie.portal.tokens("admin")["access_token"]),
    }  # fmt: skip

    answer = send(envelope(ada.portal, INSTALL) | lies)

    assert answer.status_code == 403
    assert secret_of(services, ada.portal) == before


def test_a_token_of_another_app_proves_no_new_secret(ada: Person, send, services: Services, standin: StandIn):
    before = secret_of(services, ada.portal)
    form = envelope(ada.portal, INSTALL) | {"auth[application_token]": OTHER_SECRET}
    standin.world.application.client_id = "app.of.somebody.else"

    answer = send(form)

    assert answer.status_code == 403
    assert secret_of(services, ada.portal) == before


def test_a_foreign_server_named_in_an_event_is_never_asked(ada: Person, send):
    with StandIn.start(portals=1) as evil:
        form = envelope(ada.portal, INSTALL) | {
            "auth[application_token]": OTHER_SECRET,
            "auth[server_endpoint]": f"{evil.oauth}/rest/",
        }

        send(form)

        assert not evil.calls()


def test_the_secret_stays_while_the_authorization_server_is_silent(
    ada: Person, send, services: Services, standin: StandIn
):
    before = secret_of(services, ada.portal)
    standin.fault("oauth", method="app.info", kind="reset_before", times=5)

    answer = send(envelope(ada.portal, UPDATE) | {"auth[application_token]": OTHER_SECRET})

    assert answer.status_code == 403
    assert secret_of(services, ada.portal) == before


def test_an_administrators_token_proves_a_new_secret_and_ends_sessions(
    ada: Person, alice: Person, deliver, remove, services: Services
):
    ada.portal.state.installation.application_token = OTHER_SECRET  # type: ignore[union-attr]

    update = deliver(envelope(ada.portal, UPDATE))
    sessions = alice.get("/pages").status_code
    removal = remove(ada.portal, "0")

    assert update.status_code == 200
    assert sessions == 401
    assert removal.status_code == 200
    assert portal_row(services, ada.portal).uninstalled_at is not None  # type: ignore[union-attr]


def test_a_clerks_token_is_genuine_but_replaces_no_secret(ada: Person, deliver, services: Services):
    before = secret_of(services, ada.portal)

    by_event = deliver(envelope(ada.portal, INSTALL, "reader") | {"auth[application_token]": OTHER_SECRET})
    path, form = Person(ada.client.application, ada.portal, "reader").frame()
    by_frame = ada.client.post(path, data=form | {"APPLICATION_TOKEN": OTHER_SECRET})

    assert (by_event.status_code, by_frame.status_code) == (200, 200), "genuine, so it is taken in and looked at"
    assert secret_of(services, ada.portal) == before
    assert deliver(envelope(ada.portal, PAYMENT) | {"auth[application_token]": OTHER_SECRET}).status_code == 403


def test_the_first_secret_may_come_by_an_event(app: Flask, standin: StandIn, deliver, remove, services: Services):
    portal = standin.portals[0]
    administrator = Person(app, portal, "admin")
    path, form = administrator.frame(install=True)
    administrator.post_frame(path, {**form, "APPLICATION_TOKEN": ""})
    assert secret_of(services, portal) is None

    answer = deliver(envelope(portal, INSTALL))

    assert answer.status_code == 200
    assert secret_of(services, portal) is not None
    assert remove(portal, "1").status_code == 200


def test_a_proven_install_event_of_an_unknown_portal_is_accepted(standin: StandIn, deliver, services: Services):
    portal = standin.portals[0]
    portal.install()

    answer = deliver(envelope(portal, INSTALL))

    assert answer.status_code == 200
    with services.store.begin() as db:
        assert db.get_one(Portal, portal.member_id).client_endpoint == portal.endpoint
        assert db.get(UserToken, (portal.member_id, portal.user("admin").id)) is not None


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ({}, "application/x-www-form-urlencoded", 400),
        ({"event": "ONAPPUNINSTALL"}, "application/x-www-form-urlencoded", 400),
        (
            {"event": "ONAPPUNINSTALL", "ts": "soon", "auth[member_id]": "a" * 32},
            "application/x-www-form-urlencoded",
            400,
        ),
        ('{"event": "ONAPPUNINSTALL"}', "application/json", 415),
        ({"event": "x" * 70_000}, "application/x-www-form-urlencoded", 413),
    ],
)
def test_what_is_no_event_is_refused_before_anybody_is_asked(app: Flask, standin: StandIn, body, kind, status):
    answer = app.test_client().post("/events", data=body, content_type=kind)

    assert answer.status_code == status
    assert standin.oauth_asked("app.info") == 0


# --- removal ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def history(alice: Person, services: Services) -> str:
    """A run that is done, one that is set for later, and calls that were logged; the done one's id."""
    done = alice.unpublish(351, reason="Sale is over")
    alice.unpublish(352, at=f"{YEAR}-06-01T10:00:00Z", until=f"{YEAR}-07-01T10:00:00Z", key="k1")
    assert done.json
    return str(done.json["id"])


def test_removal_with_its_data_leaves_nothing_of_the_portal(
    alice: Person, charlie: Person, history: str, remove, services: Services
):
    person = alice.portal.user("editor")

    answer = remove(alice.portal, "1")
    at_once = alice.get("/pages")

    assert (answer.status_code, at_once.status_code) == (200, 401)
    left = everything(services)
    for trace in (alice.portal.member_id, alice.portal.domain, person.last_name, history, "Sale is over"):
        assert trace not in left
    assert charlie.get("/pages").status_code == 200


def test_removal_without_its_data_leaves_the_history_and_no_people(
    alice: Person, history: str, remove, services: Services
):
    person = alice.portal.user("editor")

    remove(alice.portal, "0")

    with services.store.begin() as db:
        runs = db.scalars(select(Run).order_by(Run.created_at)).all()
        items = db.scalars(select(RunItem)).all()
        for table in (User, UserToken, VerifiedToken, ApiCall):
            assert db.scalar(select(func.count()).select_from(table)) == 0
        portal = db.get_one(Portal, alice.portal.member_id)
    assert (portal.application_token_sha256, portal.is_open) == (None, False)
    assert runs[0].state is RunState.SUCCEEDED
    assert runs[0].reason == "Sale is over"
    assert {run.state for run in runs[1:]} == {RunState.CANCELLED}
    assert {(run.created_by, run.acting_as, run.created_name, run.acting_name) for run in runs} == {(0, 0, "", "")}
    assert not any(
        "modified_by" in (state or {}) for item in items for state in (item.before, item.after, item.expected)
    )
    assert person.last_name not in everything(services)


def test_removal_stops_what_was_set_for_later(alice: Person, history: str, remove, services: Services, clock):
    remove(alice.portal, "0")
    asked = alice.portal.requests()
    clock.tick(days=300)

    work_until_idle(services)

    assert alice.portal.requests() == asked
    assert alice.portal.page(352).active
    with services.store.begin() as db:
        assert set(db.scalars(select(RunItem.state).where(RunItem.lid == 352))) == {ItemState.CANCELLED}


def waiting_for_a_row(services: Services) -> int:
    """How many connections to this database wait for a lock now."""
    waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    with services.store.begin() as db:
        return db.scalar(text(waits)) or 0


@pytest.mark.parametrize("clean", ["0", "1"])
def test_the_same_removal_five_times_at_once_has_one_effect(alice: Person, send, services: Services, clean: str):
    """One is being written into the inbox and the others stand behind it; then it is let go."""
    form = envelope(alice.portal, UNINSTALL, CLEAN=clean)
    alice.portal.state.installation = None
    before = portal_row(services, alice.portal)
    with ThreadPoolExecutor(5) as threads:
        with services.store.begin() as db:
            db.execute(text("lock table inbox_events in exclusive mode"))
            sent = [threads.submit(send, form) for _ in range(5)]
            until(lambda: waiting_for_a_row(services) == 5)
        statuses = [answer.result().status_code for answer in sent]
    with services.store.begin() as db:
        written = db.scalars(select(InboxEvent.id)).all()
    for event in [*written, *written]:
        services.install_events.work(event)

    after = portal_row(services, alice.portal)
    assert len(written) == 1
    assert before is not None
    assert after is not None
    assert statuses == [200] * 5
    assert after.epoch == before.epoch + 1
    with services.store.begin() as db:
        jobs = text("select count(*) from procrastinate_jobs where task_name = 'forget_portal'")
        assert db.scalar(jobs) == 1
        assert db.scalar(select(func.count()).select_from(OneTimeMark)) == 1


def test_a_removal_and_the_recording_of_a_batch_do_not_deadlock(
    alice: Person, history: str, remove, services: Services
):
    """A batch's record holds the portal and then its run; the removal takes them in the same order."""
    before = deadlocks(services)
    with ThreadPoolExecutor(1) as threads:
        with services.store.begin() as db:
            hold_portal(db, alice.portal.member_id)
            removal = threads.submit(remove, alice.portal, "0")
            until(lambda: waiting_for_a_row(services) == 1)
            query = select(Run).where(Run.state == RunState.SCHEDULED, Run.returns_run.is_not(None))
            db.scalars(query.with_for_update(key_share=True)).one()
            marked = update(Portal).where(Portal.member_id == alice.portal.member_id)
            db.execute(marked.values(pages_version=Portal.pages_version + 1))
        answer = removal.result()

    assert answer.status_code == 200
    assert deadlocks(services) == before, "a repeat would hide one"
    with services.store.begin() as db:
        assert not db.scalars(select(Run).where(Run.state == RunState.SCHEDULED)).all()


@pytest.mark.parametrize("clean", ["0", "1"])
def test_an_order_that_meets_the_removal_is_not_written_after_it(
    alice: Person, send, services: Services, clean: str
):  # fmt: skip
    """The person's session was good when the order came; the removal is through before the run is written."""
    asker = Actor(alice.portal.member_id, alice.user_id, "Alice", "en", "light", None, alice.portal.domain, 0)
    order = Order(Action.UNPUBLISH, Kind.PAGE, (351, 352))
    with ThreadPoolExecutor(1) as threads:
        with services.store.begin() as db:
            portal = db.get_one(Portal, alice.portal.member_id, with_for_update=True)
            late = threads.submit(services.orders._plan, asker, order, None)
            until(lambda: waiting_for_a_row(services) == 1)
            services.removal.close(db, portal, erase=clean == "1")
        refused = late.exception()
    work_until_idle(services)

    assert isinstance(refused, SessionExpired)
    with services.store.begin() as db:
        assert db.scalar(select(func.count()).select_from(Run)) == 0
    assert alice.portal.page(351).active


def test_the_same_install_five_times_at_once_makes_one_portal(standin: StandIn, send, services: Services, work):
    standin.portals[0].install()
    form = envelope(standin.portals[0], INSTALL)
    together = Barrier(5)

    def deliver(_: int) -> int:
        together.wait()
        return send(form).status_code

    with ThreadPoolExecutor(5) as threads:
        statuses = list(threads.map(deliver, range(5)))

    work()
    assert statuses == [200] * 5
    with services.store.begin() as db:
        assert db.scalar(select(func.count()).select_from(Portal)) == 1
        assert db.scalar(select(func.count()).select_from(UserToken)) == 1


def test_a_removal_repeated_later_is_welcome_and_changes_nothing(alice: Person, deliver, services: Services):
    form = envelope(alice.portal, UNINSTALL, CLEAN="1")
    alice.portal.state.installation = None
    first = deliver(form)
    before = everything(services)

    again = deliver(form)

    assert (first.status_code, again.status_code) == (200, 200)
    assert everything(services) == before


def no_living_tokens(services: Services) -> None:
    with services.store.begin() as db:
        db.execute(update(UserToken).values(dead_code="invalid_grant"))


@pytest.mark.parametrize("clean", ["0", "1"])
def test_a_removal_replayed_after_a_reinstall_removes_nothing(ada: Person, deliver, services: Services, clean: str):
    """Also where nobody can be asked any more whether it is true."""
    removal = envelope(ada.portal, UNINSTALL, CLEAN=clean)
    ada.portal.state.installation = None
    deliver(removal)
    ada.portal.install()
    again = Person(ada.client.application, ada.portal, "admin")
    assert again.install().status_code == 200
    assert again.opened().get("/pages").status_code == 200
    no_living_tokens(services)

    replayed = deliver(removal)
    altered = deliver(removal | {"ts": str(int(removal["ts"]) - 60)})

    assert (replayed.status_code, altered.status_code) == (200, 200)
    row = portal_row(services, ada.portal)
    assert row is not None
    assert (row.uninstalled_at, row.suspended_code) == (None, None)


def test_a_session_of_an_erased_portal_stays_ended_after_a_reinstall(ada: Person, remove):
    old = ada.token
    remove(ada.portal, "1")
    ada.portal.install()
    assert ada.install().status_code == 200
    ada.opened()

    answer = ada.client.get("/pages", headers={"Authorization": f"Bearer {old}"})

    assert answer.status_code == 401
    assert ada.get("/pages").status_code == 200


def test_a_reinstall_before_the_data_was_erased_starts_from_nothing(
    alice: Person, history: str, send, services: Services
):
    form = envelope(alice.portal, UNINSTALL, CLEAN="1")
    alice.portal.state.installation = None
    send(form)
    with services.store.begin() as db:
        services.install_events.work(db.scalars(select(InboxEvent.id)).one())
    assert portal_row(services, alice.portal).to_be_erased  # type: ignore[union-attr]
    alice.portal.install()
    again = Person(alice.client.application, alice.portal, "admin")

    again.install()
    again.opened()
    work_until_idle(services)

    assert again.get("/runs").json["runs"] == []  # type: ignore[index]
    assert history not in everything(services)
    assert portal_row(services, alice.portal).is_open  # type: ignore[union-attr]


def test_a_reinstall_shows_the_history_a_removal_kept(alice: Person, history: str, remove, services):
    remove(alice.portal, "0")
    alice.portal.install()
    again = Person(alice.client.application, alice.portal, "admin")
    again.install()
    again.opened()

    seen = again.get(f"/runs/{history}")
    undone = again.post(f"/runs/{history}/undo")

    assert seen.json
    assert seen.json["reason"] == "Sale is over"
    assert undone.status_code == 201
    assert alice.portal.page(351).active


def test_the_history_of_a_portal_left_for_a_year_is_erased(
    alice: Person, history: str, remove, services: Services, clock
):
    remove(alice.portal, "0")
    clock.tick(days=364)
    assert services.removal.forget_due() == 0

    clock.tick(days=2)

    assert services.removal.forget_due() == 1
    assert alice.portal.member_id not in everything(services)


# --- lost and late ---------------------------------------------------------------------------------------------------


def test_a_removal_never_heard_of_stops_work_by_the_portals_own_words(alice: Person, services: Services):
    alice.portal.state.installation = None

    answer = alice.unpublish(351)

    assert answer.status_code == 410
    assert portal_row(services, alice.portal).suspended_code == "ERROR_OAUTH"  # type: ignore[union-attr]


def test_a_reinstall_after_a_removal_never_heard_of_is_a_new_installation(alice: Person, deliver, services: Services):
    late = envelope(alice.portal, UNINSTALL, CLEAN="1", ago=1)
    alice.portal.state.installation = None
    alice.unpublish(351)
    alice.portal.install()

    again = Person(alice.client.application, alice.portal, "admin")
    again.install()
    assert again.opened().get("/pages").status_code == 200
    no_living_tokens(services)
    removal = deliver(late)

    assert removal.status_code == 200
    assert alice.get("/pages").status_code == 401
    row = portal_row(services, alice.portal)
    assert row is not None
    assert (row.suspended_code, row.is_open, row.bound_to) == (None, True, services.config.app_url)


def test_an_administrators_open_accepts_the_new_secret_of_a_reinstall(ada: Person, send):
    old = envelope(ada.portal, UNINSTALL, CLEAN="1")
    ada.portal.install()
    ada.portal.state.installation.application_token = OTHER_SECRET  # type: ignore[union-attr]

    again = Person(ada.client.application, ada.portal, "admin").opened()
    by_the_old = send(old)
    still = again.get("/pages").status_code
    by_the_new = send(envelope(ada.portal, UNINSTALL, CLEAN="0"))

    assert (by_the_old.status_code, still, by_the_new.status_code) == (403, 200, 200)


def test_a_late_install_event_does_not_revive_a_removed_portal(ada: Person, send, remove, services: Services):
    late = envelope(ada.portal, INSTALL)
    remove(ada.portal, "0")

    answer = send(late)

    assert answer.status_code == 403
    assert portal_row(services, ada.portal).is_open is False  # type: ignore[union-attr]


def test_an_install_event_with_the_secret_alone_moves_no_moment(ada: Person, deliver, services: Services, clock):
    """Each employee can send one: it would make a genuine removal that waits too old."""
    before = portal_row(services, ada.portal)
    clock.tick(minutes=10)

    install = deliver(envelope(ada.portal, INSTALL))

    after = portal_row(services, ada.portal)
    assert install.status_code == 200
    assert before is not None
    assert after is not None
    assert after.is_open
    assert after.installed_at == before.installed_at


# --- updates and payment ---------------------------------------------------------------------------------------------


def test_an_administrators_open_binds_an_update_and_each_is_told_once(
    ada: Person, alice: Person, deliver, services: Services
):
    form = envelope(ada.portal, UPDATE, VERSION="4", PREVIOUS_VERSION="3")
    ada.portal.update()
    deliver(form)
    assert portal_row(services, ada.portal).bound_to is None  # type: ignore[union-attr]

    first, second = ada.open(), ada.open()
    for_alice = alice.open()

    assert portal_row(services, ada.portal).bound_to == services.config.app_url  # type: ignore[union-attr]
    assert "was updated" in first.text
    assert "was updated" not in second.text
    assert "was updated" in for_alice.text


def test_a_changed_scope_is_said_at_the_next_open(alice: Person):
    alice.portal.scope(["landing", "im"])

    first, second = alice.open(), alice.open()

    assert "landing, im" in first.text
    assert "landing, im" not in second.text


@pytest.fixture
def unpaid(alice: Person, services: Services) -> Iterator[str]:
    """A run that waits because the portal has not paid; its id."""
    order = alice.unpublish(351, 352)
    alice.portal.switch(payment_expired=True)
    work_until_idle(services)
    assert order.json
    assert alice.get(f"/runs/{order.json['id']}").json["state"] == "waiting"  # type: ignore[index]
    yield str(order.json["id"])
    alice.portal.switch(payment_expired=False)


def test_when_the_portal_has_paid_what_waited_for_it_goes_on(alice: Person, unpaid: str, send, services: Services):
    alice.portal.switch(payment_expired=False)

    answer = send(envelope(alice.portal, PAYMENT, PAYMENT_EXPIRED="N", STATUS="S"))
    work_until_idle(services)

    assert answer.status_code == 200
    assert alice.get(f"/runs/{unpaid}").json["state"] == "succeeded"  # type: ignore[index]
    assert portal_row(services, alice.portal).suspended_code is None  # type: ignore[union-attr]


def test_a_payment_event_without_the_secret_is_not_trusted(alice: Person, unpaid: str, send, services: Services):
    alice.portal.switch(payment_token=False, payment_expired=False)

    answer = send(envelope(alice.portal, PAYMENT, PAYMENT_EXPIRED="N"))
    work_until_idle(services)

    assert answer.status_code == 403
    assert alice.get(f"/runs/{unpaid}").json["state"] == "waiting"  # type: ignore[index]


def test_an_unpaid_app_works_on_for_the_days_of_grace(alice: Person, send):
    send(envelope(alice.portal, PAYMENT, PAYMENT_EXPIRED="Y", STATUS="P"))

    assert alice.unpublish(351).json["state"] == "succeeded"  # type: ignore[index]
