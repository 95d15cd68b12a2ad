"""ONAPPUSERREADY: the app's system user, on /install and /events, before or after; its tokens for notices only."""

import ast
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, text

from b24app.domain import UserRef
from b24app.errors import PortalError, SignInAgain
from b24app.portals import inbox
from b24app.services import Services
from b24app.store.models import InboxEvent, SystemToken, User, UserToken
from b24app.tokens.system_user import NOTICE_METHODS
from b24sandbox import PortalHandle, StandIn
from tests.clocks import TurnableClock
from tests.conftest import Turn
from tests.people import Person
from tests.portals.test_events import deliver, removal
from tests.worker import work_until_idle

ROOT = Path(__file__).resolve().parents[2]
MAY_KNOW = {"b24app.services", "b24app.portals.events", "b24app.runs.notices", "b24app.tokens.key_rotation"}


def user_ready(portal: PortalHandle) -> dict[str, str]:
    """The form the portal posts once it has made the app's system user."""
    return portal.user_ready_form()[1]


def kept(services: Services, portal: PortalHandle) -> SystemToken | None:
    with services.store.begin() as db:
        return db.get(SystemToken, portal.member_id)


def post(app: Flask, services: Services, path: str, form: dict[str, str]) -> int:
    status = app.test_client(use_cookies=False).post(path, data=form).status_code
    work_until_idle(services)
    return status


@pytest.mark.parametrize("path", ["/install", "/events"])
def test_it_is_taken_in_after_the_installation(ada: Person, app: Flask, services: Services, path: str):
    form = user_ready(ada.portal)

    assert post(app, services, path, form) == 200

    row = kept(services, ada.portal)
    assert row is not None
    assert str(row.user_id) == form["data[user_id]"]


@pytest.mark.parametrize("path", ["/install", "/events"])
def test_it_waits_for_an_installation_that_is_not_known_yet(
    app: Flask, standin: StandIn, services: Services, path: str, turn: Turn
):
    """`installed` is false at the authorization server until the installer has finished."""
    portal = standin.portals[0]
    portal.install()
    early = post(app, services, path, user_ready(portal))
    before = kept(services, portal)
    turn(hours=2)
    assert Person(app, portal, "admin").install().status_code == 200

    services.inbox.requeue_due()
    work_until_idle(services)

    assert (early, before) == (200, None)
    assert kept(services, portal) is not None
    with services.store.begin() as db:
        assert db.scalars(select(InboxEvent.id)).all() == []


def test_it_does_not_wait_for_ever(app: Flask, standin: StandIn, services: Services, turn: Turn):
    portal = standin.portals[0]
    portal.install()
    post(app, services, "/install", user_ready(portal))
    turn(days=8)

    services.inbox.requeue_due()
    work_until_idle(services)

    with services.store.begin() as db:
        assert db.scalars(select(InboxEvent.id)).all() == []


def test_with_the_right_secret_it_waits_for_a_silent_authorization_server(
    ada: Person, app: Flask, services: Services, standin: StandIn, turn: Turn
):
    """Nobody sends it again, and there is no method to ask for it."""
    form = user_ready(ada.portal)
    fault = standin.fault("oauth", "app.info", kind="html", status=502, times=-1)
    told = post(app, services, "/install", form)
    standin.world.faults.clear(fault.id)
    turn(minutes=1)

    services.inbox.requeue_due()
    work_until_idle(services)

    assert told == 200
    assert kept(services, ada.portal) is not None


def test_unproven_events_of_one_network_hold_back_no_genuine_one(
    ada: Person, app: Flask, services: Services, standin: StandIn, turn: Turn
):
    """Each employee has the secret, and may send many while the authorization server is silent."""
    form = user_ready(ada.portal)
    client = app.test_client(use_cookies=False)

    def sent(form: dict[str, str], address: str) -> int:
        return client.post("/events", data=form, environ_base={"REMOTE_ADDR": address}).status_code

    fault = standin.fault("oauth", "app.info", kind="html", status=502, times=-1)
    forged = [sent(form | {"data[access_token]": f"{at:070}"}, f"198.51.100.{at}") for at in range(20)]
    genuine = sent(form, "203.0.113.5")
    standin.world.faults.clear(fault.id)
    turn(minutes=1)

    services.inbox.requeue_due()
    work_until_idle(services)

    assert (forged.count(200), genuine) == (3, 200)
    row = kept(services, ada.portal)
    assert row is not None
    assert str(row.user_id) == form["data[user_id]"]


def test_unproven_ones_take_no_place_of_a_proven_one(
    ada: Person, app: Flask, services: Services, standin: StandIn, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(inbox, "MOST_ALIKE", 1)
    form = user_ready(ada.portal)
    fault = standin.fault("oauth", "app.info", kind="html", status=502, times=-1)
    client = app.test_client(use_cookies=False)
    waiting = [client.post("/events", data=form | {"data[access_token]": f"{at:070}"}).status_code for at in range(3)]
    standin.world.faults.clear(fault.id)

    assert waiting == [200, 200, 200]
    assert client.post("/events", data=form).status_code == 200


FORGERIES = [
    {"data[access_token]": "f" * 70},
    {"data[access_token]": ""},
    {"data[refresh_token]": ""},
    {"data[user_id]": "7"},
    {"data[user_id]": "everybody"},
    {"auth[member_id]": "f" * 32},
]


@pytest.mark.parametrize("forge", FORGERIES)
@pytest.mark.parametrize("path", ["/install", "/events"])
def test_a_forged_one_is_refused(ada: Person, app: Flask, services: Services, forge: dict[str, str], path: str):
    assert post(app, services, path, user_ready(ada.portal) | forge) == 403

    assert kept(services, ada.portal) is None


def test_a_colleague_does_not_become_the_system_user(alice: Person, app: Flask, services: Services):
    """Genuine tokens and the real secret, which each employee has; but a person is nobody's system user."""
    mine = alice.portal.tokens("editor")
    forged = {
        "data[access_token]": str(mine["access_token"]), "data[refresh_token]": str(mine["refresh_token"]),
        "data[user_id]": str(alice.user_id),
    }  # fmt: skip

    post(app, services, "/events", user_ready(alice.portal) | forged)

    assert kept(services, alice.portal) is None


def test_its_tokens_are_kept_apart_and_sealed(ada: Person, app: Flask, services: Services):
    form = user_ready(ada.portal)
    post(app, services, "/install", form)

    with services.store.begin() as db:
        system = int(form["data[user_id]"])
        assert db.get(UserToken, (ada.portal.member_id, system)) is None
        assert db.get(User, (ada.portal.member_id, system)) is None
        rows = str(db.execute(text("select * from system_tokens")).all())
    assert form["data[access_token]"] not in rows
    assert form["data[refresh_token]"] not in rows
    with pytest.raises(SignInAgain):
        services.tokens.load(UserRef(ada.portal.member_id, system))


@pytest.mark.parametrize("method", ["landing.landing.unpublic", "landing.landing.publication", "user.admin", "batch"])
def test_no_other_method_is_called_with_it(ada: Person, app: Flask, services: Services, method: str):
    post(app, services, "/install", user_ready(ada.portal))
    asked = ada.portal.requests()

    with pytest.raises(ValueError, match="not for"):
        services.system_user.call(ada.portal.member_id, method, {})

    assert ada.portal.requests() == asked


def test_the_methods_of_notices_are_all_there_is() -> None:
    assert {"im.notify.system.add", "im.notify.delete"} == NOTICE_METHODS


def test_only_notices_may_know_the_system_user() -> None:
    knowing = set()
    for path in (ROOT / "b24app").rglob("*.py"):
        module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = {alias.name for alias in node.names} if isinstance(node, ast.Import | ast.ImportFrom) else set()
            source = node.module if isinstance(node, ast.ImportFrom) else ""
            if source == "b24app.tokens.system_user" or "SystemToken" in names:
                knowing.add(module)

    own = {"b24app.tokens.system_user", "b24app.portals.removal", "b24app.operations.retention"}
    assert knowing <= MAY_KNOW | own


def test_it_is_renewed_on_its_own_row(ada: Person, app: Flask, services: Services, clock: TurnableClock):
    form = user_ready(ada.portal)
    post(app, services, "/install", form)
    ada.portal.expire(int(form["data[user_id]"]))

    with pytest.raises(PortalError) as refused:
        services.system_user.call(ada.portal.member_id, "im.notify.system.add", {"USER_ID": 1, "MESSAGE": "x"})

    assert refused.value.code == "insufficient_scope", "renewed, and refused for want of the scope"
    row = kept(services, ada.portal)
    assert row is not None
    assert row.dead_code is None


def test_a_pair_that_leads_to_somebody_else_is_dead(ada: Person, app: Flask, services: Services, standin: StandIn):
    form = user_ready(ada.portal)
    post(app, services, "/install", form)
    ada.portal.expire(int(form["data[user_id]"]))
    standin.fault("oauth", "/oauth/token/", kind="wrong_field", field="user_id", value=7)

    with pytest.raises(PortalError):
        services.system_user.call(ada.portal.member_id, "im.notify.system.add", {"USER_ID": 1, "MESSAGE": "x"})

    row = kept(services, ada.portal)
    assert row is not None
    assert row.dead_code == "authorization_error"
    assert not services.system_user.is_known(ada.portal.member_id)


def test_it_goes_with_the_portal(ada: Person, app: Flask, services: Services, clock: TurnableClock):
    post(app, services, "/install", user_ready(ada.portal))
    form = removal(ada, clock, clean=False)
    ada.portal.state.installation = None

    deliver(services, app, form)

    assert kept(services, ada.portal) is None
