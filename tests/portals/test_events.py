"""POST /events: believed when proven, harmless when late, doubled, lost or made up."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select, update
from werkzeug.serving import make_server

from b24app.services import Services
from b24app.store.models import ApiCall, InboxEvent, Portal, Run, RunItem, User, UserToken, VerifiedToken
from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.people import Person
from tests.worker import work_until_idle

PAGE = 351
FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def door() -> Iterator[socket.socket]:
    """A port of this test's own, known before the app behind it is made."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture
def environment(environment: dict[str, str], door: socket.socket) -> dict[str, str]:
    """The app's environment, at its real address."""
    return environment | {"APP_URL": f"http://127.0.0.1:{door.getsockname()[1]}"}


def event(person: Person, name: str, clock: TurnableClock, **auth: str) -> dict[str, str]:
    """An event as the portal would send it; `auth` changes its parts, an empty value takes one out."""
    portal = person.portal
    parts = {
        "domain": portal.domain, "member_id": portal.member_id, "client_endpoint": portal.endpoint,
        "application_token": portal.application_token or "", **auth,
    }  # fmt: skip
    said = {f"auth[{key}]": value for key, value in parts.items() if value}
    return {"event": name, "ts": str(int(clock().timestamp())), **said}


def send(app: Flask, form: dict[str, str]) -> int:
    return app.test_client(use_cookies=False).post("/events", data=form).status_code


def removal(person: Person, clock: TurnableClock, clean: bool, **auth: str) -> dict[str, str]:
    return {**event(person, "ONAPPUNINSTALL", clock, **auth), "data[CLEAN]": "1" if clean else "0"}


def deliver(services: Services, app: Flask, form: dict[str, str]) -> int:
    """As `send`, and the worker does what came of it."""
    status = send(app, form)
    work_until_idle(services)
    return status


def remove(services: Services, app: Flask, person: Person, clock: TurnableClock, clean: bool, **auth: str) -> int:
    """The app is removed from the portal: nobody at Bitrix24 knows it any more, and the event comes."""
    form = removal(person, clock, clean, **auth)
    person.portal.state.installation = None
    return deliver(services, app, form)


def portal_row(services: Services, person: Person) -> Portal | None:
    with services.store.begin() as db:
        return db.get(Portal, person.portal.member_id)


def count(services: Services, table: type, *conditions: Any) -> int:
    with services.store.begin() as db:
        return db.scalar(select(func.count()).select_from(table).where(*conditions)) or 0


# --- removal ---------------------------------------------------------------------------------------------------------


def test_a_clean_removal_deletes_everything_of_this_portal_only(
    alice: Person, charlie: Person, services: Services, clock: TurnableClock, app: Flask
):
    alice.unpublish(PAGE)
    charlie.unpublish(charlie.portal.pages()[0].id)

    assert remove(services, app, alice, clock, clean=True) == 200

    mine = alice.portal.member_id
    for table in (Portal, User, UserToken, VerifiedToken, Run, ApiCall):
        assert count(services, table, table.member_id == mine) == 0
        assert count(services, table, table.member_id == charlie.portal.member_id) > 0
    assert count(services, RunItem) == 1


def test_a_removal_that_keeps_data_drops_tokens_names_and_user_ids(
    alice: Person, services: Services, clock: TurnableClock, app: Flask
):
    alice.unpublish(PAGE, reason="campaign ended")
    with services.store.begin() as db:
        db.execute(update(Run).values(cancelled_by=7, cancelled_name="Ada"))

    assert remove(services, app, alice, clock, clean=False) == 200

    for table in (User, UserToken, VerifiedToken, ApiCall):
        assert count(services, table) == 0
    with services.store.begin() as db:
        run, item = db.scalars(select(Run)).one(), db.scalars(select(RunItem)).one()
    assert (run.created_by, run.created_name, run.acting_as, run.acting_name) == (0, "", 0, "")
    assert (run.cancelled_by, run.cancelled_name) == (None, None)
    assert (item.lid, item.title) == (PAGE, alice.portal.page(PAGE).title)
    assert "modified_by" not in (item.before or {}) | (item.after or {})


def test_a_removal_ends_sessions_and_stops_what_was_to_come(
    alice: Person, services: Services, clock: TurnableClock, app: Flask
):
    later = (clock().replace(microsecond=0, tzinfo=None)).replace(year=clock().year + 1).isoformat()
    run = alice.unpublish(PAGE, at=later, zone="UTC").json
    assert run

    remove(services, app, alice, clock, clean=False)

    assert alice.get("/pages").status_code == 401
    with services.store.begin() as db:
        row = db.scalars(select(Run)).one()
    assert (row.state, row.problem and row.problem.code) == ("cancelled", "app_removed")
    clock.tick(days=370)
    work_until_idle(services)
    assert alice.portal.page(PAGE).active


def test_sessions_of_a_removed_portal_stay_ended_after_a_reinstall(
    alice: Person, ada: Person, services: Services, clock: TurnableClock, app: Flask
):
    old = alice.token
    remove(services, app, alice, clock, clean=True)
    clock.tick(seconds=5)
    ada.install()
    Person(app, alice.portal, "editor").opened()

    alice.token = old

    assert alice.get("/pages").status_code == 401


@pytest.mark.parametrize("clean", [True, False])
def test_what_was_removed_late_does_not_take_the_new_installation_along(
    alice: Person, ada: Person, services: Services, clock: TurnableClock, app: Flask, clean: bool
):
    """The worker comes to the second half of the removal only after the app was installed again."""
    alice.unpublish(PAGE)
    form = removal(alice, clock, clean=clean)
    alice.portal.state.installation = None
    send(app, form)
    with services.store.begin() as db:
        services.install_events.work(db.scalars(select(InboxEvent.id)).one())
    clock.tick(seconds=5)
    ada.install()
    again = Person(app, alice.portal, "editor").opened()
    again.publish(PAGE)

    work_until_idle(services)

    assert again.get("/pages").status_code == 200
    with services.store.begin() as db:
        runs = db.scalars(select(Run).order_by(Run.created_at)).all()
    assert [run.created_by for run in runs] == ([again.user_id] if clean else [0, again.user_id])


def test_a_removal_of_an_earlier_installation_changes_nothing(
    alice: Person, ada: Person, services: Services, clock: TurnableClock, app: Flask
):
    late = removal(alice, clock, clean=True)
    alice.portal.state.installation = None
    deliver(services, app, late)
    clock.tick(seconds=5)
    ada.install()

    assert send(app, late) == 200
    work_until_idle(services)

    kept = portal_row(services, ada)
    assert kept is not None
    assert kept.is_open


def test_the_same_removal_five_times_at_once_is_one(
    alice: Person, services: Services, clock: TurnableClock, app: Flask
):
    before = portal_row(services, alice)
    form = removal(alice, clock, clean=False)
    alice.portal.state.installation = None

    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _: send(app, form), range(5)))
    work_until_idle(services)

    after = portal_row(services, alice)
    assert answers == [200] * 5
    assert before is not None
    assert after is not None
    assert after.epoch == before.epoch + 1


@pytest.mark.parametrize("auth", [{"application_token": "f" * 32}, {"application_token": ""}])
def test_a_removal_without_the_right_application_token_is_refused(
    alice: Person, services: Services, clock: TurnableClock, app: Flask, auth: dict[str, str]
):
    assert send(app, removal(alice, clock, clean=True, **auth)) == 403

    work_until_idle(services)
    assert alice.get("/pages").status_code == 200


def test_the_token_of_one_portal_does_not_remove_another(
    alice: Person, charlie: Person, clock: TurnableClock, app: Flask
):
    token = charlie.portal.application_token or ""

    assert send(app, removal(alice, clock, clean=True, application_token=token)) == 403
    assert alice.get("/pages").status_code == 200


def test_a_real_removal_in_the_portal_arrives(app: Flask, door: socket.socket, standin: StandIn, services: Services):
    """Over real sockets, as the portal's queue sends it."""
    host, port = door.getsockname()
    server = make_server(host, port, app, threaded=True, fd=door.fileno())
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        ada = Person(app, standin.portals[0], "admin")
        ada.install()
        ada.portal.finish_install()

        assert ada.portal.uninstall(clean=True) == 1
        assert standin.wait_for_events()
        work_until_idle(services)
    finally:
        server.shutdown()
        server.server_close()

    assert portal_row(services, ada) is None


# --- installation ----------------------------------------------------------------------------------------------------


def test_an_installation_is_learned_from_its_event_without_the_frame(
    app: Flask, standin: StandIn, services: Services, clock: TurnableClock
):
    person = Person(app, standin.portals[0], "admin")
    person.frame(install=True)
    tokens = person.portal.tokens("admin")
    pair = {name: str(tokens[name]) for name in ("access_token", "refresh_token")}

    assert deliver(services, app, event(person, "ONAPPINSTALL", clock, **pair)) == 200

    row = portal_row(services, person)
    assert row is not None
    assert row.application_token_sha256
    assert remove(services, app, person, clock, clean=False) == 200


def test_a_forged_installation_replaces_nothing(alice: Person, services: Services, clock: TurnableClock, app: Flask):
    before = portal_row(services, alice)

    forged = [
        send(app, event(alice, "ONAPPINSTALL", clock, application_token="f" * 32)),
        send(app, event(alice, "ONAPPINSTALL", clock, application_token="f" * 32, access_token="a" * 64)),
        send(app, event(alice, "ONAPPUPDATE", clock, application_token="f" * 32, access_token="a" * 64)),
        send(app, removal(alice, clock, clean=True, application_token="f" * 32)),
    ]

    after = portal_row(services, alice)
    assert forged == [403] * 4
    assert before is not None
    assert after is not None
    assert (after.application_token_sha256, after.epoch) == (before.application_token_sha256, before.epoch)


def test_a_proven_update_replaces_the_application_token_and_ends_sessions(
    alice: Person, ada: Person, services: Services, clock: TurnableClock, app: Flask
):
    clock.tick(seconds=5)
    tokens = alice.portal.tokens("admin")
    pair = {name: str(tokens[name]) for name in ("access_token", "refresh_token")}

    answer = deliver(services, app, event(alice, "ONAPPUPDATE", clock, application_token="e" * 32, **pair))

    assert answer == 200
    assert alice.get("/pages").status_code == 401
    assert send(app, removal(alice, clock, clean=False)) == 403, "the old token is worth nothing now"
    assert send(app, removal(alice, clock, clean=False, application_token="e" * 32)) == 200


def test_a_colleague_cannot_plant_an_application_token_by_their_frame(
    ada: Person, services: Services, clock: TurnableClock, app: Flask
):
    before = portal_row(services, ada)
    clerk = Person(app, ada.portal, "reader")
    path, form = clerk.frame()

    assert clerk.post_frame(path, form | {"APPLICATION_TOKEN": "f" * 32}).status_code == 200

    after = portal_row(services, ada)
    assert before is not None
    assert after is not None
    assert after.application_token_sha256 == before.application_token_sha256
    assert send(app, removal(ada, clock, clean=True, application_token="f" * 32)) == 403


def test_an_administrators_frame_tells_of_an_installation_nobody_saw(
    alice: Person, ada: Person, services: Services, clock: TurnableClock, app: Flask
):
    """Removed and installed again while the app was away: the token changed, and no event came."""
    clock.tick(seconds=5)
    path, form = ada.frame()

    ada.post_frame(path, form | {"APPLICATION_TOKEN": "e" * 32})

    assert alice.get("/pages").status_code == 401, "sessions of the earlier installation have ended"
    assert ada.get("/pages").status_code == 200
    assert send(app, removal(ada, clock, clean=False, application_token="e" * 32)) == 200


def test_an_update_makes_the_next_administrators_open_bind_again(
    ada: Person, services: Services, clock: TurnableClock, app: Flask
):
    ada.open()
    asked = ada.portal.asked("event.bind")
    clock.tick(seconds=5)

    assert deliver(services, app, event(ada, "ONAPPUPDATE", clock)) == 200
    ada.open()

    assert ada.portal.asked("event.bind") == asked + 4


# --- payment, shapes -------------------------------------------------------------------------------------------------


def test_a_payment_lets_what_waited_for_it_go_on(
    alice: Person, services: Services, clock: TurnableClock, app: Flask, standin: StandIn
):
    pages = [page.id for page in alice.portal.pages("PAGE") if page.active][:2]
    alice.get("/pages")
    standin.fault(0, method="*", kind="error", code="PAYMENT_REQUIRED", status=401, times=-1)
    run = alice.unpublish(*pages).json
    assert run
    work_until_idle(services)
    waits = alice.get(f"/runs/{run['id']}").json
    assert waits
    assert waits["state"] == "waiting"

    standin.clear_faults()
    paid = {**event(alice, "ONAPPPAYMENT", clock), "data[PAYMENT_EXPIRED]": "N"}
    assert send(app, paid) == 200
    work_until_idle(services)

    done = alice.get(f"/runs/{run['id']}").json
    assert done
    assert done["state"] == "succeeded"


def test_a_payment_event_without_a_token_is_not_believed(alice: Person, clock: TurnableClock, app: Flask):
    assert send(app, event(alice, "ONAPPPAYMENT", clock, application_token="")) == 403


@pytest.mark.parametrize(
    "form",
    [
        {"ts": "1"},
        {"event": "ONAPPUNINSTALL"},
        {"event": "x" * 200},
        {"event": "ONAPPINSTALL", "auth[member_id]": "no id"},
    ],
)
def test_what_is_no_event_is_malformed(app: Flask, form: dict[str, str]):
    assert send(app, form) == 400


def test_an_event_must_be_a_form_of_bearable_size(app: Flask):
    client = app.test_client()

    assert client.post("/events", json={"event": "ONAPPINSTALL"}).status_code == 415
    assert client.post("/events", data=b"a=" + b"x" * 70_000, content_type=FORM).status_code == 413
    assert client.get("/events").status_code == 405
