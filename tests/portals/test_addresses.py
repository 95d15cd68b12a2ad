"""Where the app goes when a portal moves, pretends to move, or lives where the app must not go."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import func, select

from b24app.factory import create_app
from b24app.services import Services, build
from b24app.store.models import Portal, Run, User
from b24sandbox import StandIn
from b24sandbox.network import portal_host
from tests.conftest import make_config
from tests.loopback import Loopback, answer
from tests.people import Person

DONE = answer(b'{"result":true}', "200 OK", "Content-Type: application/json")


def stored(services: Services, person: Person) -> Portal:
    with services.store.begin() as db:
        return db.get_one(Portal, person.portal.member_id)


# --- a portal that moves ---------------------------------------------------------------------------------------------


def test_the_new_address_of_a_renamed_portal_is_asked_once_and_kept(
    alice: Person, services: Services, standin: StandIn
):
    old = alice.portal.url
    asked = standin.oauth_asked("app.info")
    alice.portal.rename()

    first = alice.unpublish(351)
    second = alice.unpublish(352)

    assert (first.status_code, second.status_code) == (201, 201)
    assert not alice.portal.page(351).active
    assert standin.oauth_asked("app.info") == asked + 1
    portal = stored(services, alice)
    assert portal.client_endpoint == f"{alice.portal.url}/rest/"
    assert f"http://{portal.domain}" == alice.portal.url != old


def test_a_renamed_portal_is_found_by_a_renewal_too(alice: Person, services: Services, standin: StandIn, clock):
    alice.portal.rename()
    clock.tick(hours=2)

    fresh = alice.heal()

    assert fresh.status_code == 200
    assert alice.unpublish(351).status_code == 201
    assert stored(services, alice).client_endpoint == f"{alice.portal.url}/rest/"


def test_a_redirect_unconfirmed_by_the_authorization_server_gets_no_token(
    alice: Person, services: Services, standin: StandIn
):
    before = stored(services, alice).client_endpoint
    with Loopback(DONE) as evil:
        standin.fault(0, "*", kind="redirect", times=5, location=f"{evil.url()}batch")

        refused = alice.unpublish(351)

        assert evil.met == 0
    assert refused.status_code == 502
    assert refused.json is not None
    assert refused.json["code"] == "portal_moved"
    assert alice.portal.page(351).active
    assert stored(services, alice).client_endpoint == before
    with services.store.begin() as db:
        assert db.scalar(select(func.count()).select_from(Run)) == 0


def test_a_portal_that_sends_in_circles_is_asked_twice_at_most(alice: Person, standin: StandIn):
    standin.fault(0, "*", kind="redirect", times=-1, location=f"{alice.portal.url}/rest/batch")
    calls, asked = alice.portal.requests(), standin.oauth_asked("app.info")

    refused = alice.get("/pages")

    standin.clear_faults()
    assert refused.status_code == 502
    assert alice.portal.requests() - calls <= 2
    assert standin.oauth_asked("app.info") - asked <= 1


def test_a_redirect_of_the_authorization_server_is_not_followed(app: Flask, standin: StandIn):
    with Loopback(DONE) as evil:
        standin.fault("oauth", "*", kind="redirect", times=-1, location=f"{evil.url()}app.info")

        refused = Person(app, standin.portals[0], "admin").install()

        standin.clear_faults()
        assert evil.met == 0
    assert refused.status_code == 502


def test_a_redirect_at_renewal_carries_the_secret_nowhere(alice: Person, standin: StandIn):
    with Loopback(DONE) as evil:
        standin.fault("oauth", "/oauth/token/", kind="redirect", times=-1, location=f"{evil.url()}token")
        alice.portal.expire()

        refused = alice.unpublish(351)

        standin.clear_faults()
        assert evil.met == 0
    assert refused.status_code == 502
    assert alice.unpublish(351).status_code == 201, "the pair is not harmed"


# --- a portal that lives where the app must not go -------------------------------------------------------------------


@pytest.mark.parametrize("host", ["10.1.2.3", "169.254.169.254", "2852039166", "0xa9fea9fe", "[fd00::1]"])
def test_a_portal_inside_a_forbidden_network_is_not_installed(
    app: Flask, standin: StandIn, services: Services, host: str
):
    path, form = Person(app, standin.portals[0], "admin").frame(install=True)
    where = {"field": "result.install.client_endpoint", "value": f"https://{host}/rest/"}
    standin.fault("oauth", "app.info", kind="wrong_field", times=5, **where)

    refused = app.test_client().post(path, data=form)

    assert refused.status_code == 502
    assert "Nothing was sent" in refused.text
    assert standin.portals[0].requests() == 0
    with services.store.begin() as db:
        assert db.scalar(select(func.count()).select_from(Portal)) == 0
        assert db.scalar(select(func.count()).select_from(User)) == 0


def test_a_portal_that_moves_into_a_forbidden_network_is_called_no_more(alice: Person, services: Services):
    with services.store.begin() as db:
        db.get_one(Portal, alice.portal.member_id).client_endpoint = "https://10.1.2.3/rest/"

    refused = alice.unpublish(351)

    assert refused.status_code == 502
    assert refused.json is not None
    assert (refused.json["code"], refused.json["who"]) == ("portal_address_refused", "operator")
    with services.store.begin() as db:
        assert db.scalar(select(func.count()).select_from(Run)) == 0


# --- a strict operator: https only, one network ----------------------------------------------------------------------


@pytest.fixture
def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A stand-in that speaks https with a certificate this machine trusts."""
    with StandIn.start(tls=tmp_path) as running:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        yield running


@pytest.mark.skipif(portal_host(0) == portal_host(1), reason="the system has only one loopback address")
def test_one_private_network_is_open_and_its_neighbour_is_not(secure: StandIn, environment: dict[str, str]):
    settings = {
        **environment, "B24_CLIENT_ID": secure.client_id, "B24_CLIENT_SECRET": secure.client_secret,
        "B24_OAUTH_URL": secure.oauth, "B24_ALLOW_INSECURE_PORTALS": "0",
        "B24_PORTAL_NETWORKS": f"{portal_host(0)}/32",
    }  # fmt: skip
    services = build(make_config(settings))
    app = create_app(services)
    inside, neighbour = (Person(app, portal, "admin") for portal in secure.portals)

    welcome, refused = inside.install(), neighbour.install()

    assert welcome.status_code == 200
    assert secure.portals[0].requests() == 1
    assert refused.status_code == 502
    assert secure.portals[1].requests() == 0
    with services.store.begin() as db:
        assert db.scalars(select(Portal.member_id)).all() == [secure.portals[0].member_id]
    services.close()


def test_http_is_refused_without_permission_even_in_a_named_network(standin: StandIn, environment: dict[str, str]):
    settings = {**environment, "B24_ALLOW_INSECURE_PORTALS": "0", "B24_PORTAL_NETWORKS": "127.0.0.0/8"}
    services = build(make_config(settings))

    refused = Person(create_app(services), standin.portals[0], "admin").install()

    assert refused.status_code == 502
    assert standin.portals[0].requests() == 0
    services.close()
