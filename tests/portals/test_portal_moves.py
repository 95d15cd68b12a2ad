"""A portal that answers from another address: believed only when the authorization server says the same."""

from collections.abc import Iterator

import pytest

from b24app.services import Services
from b24app.store.models import Portal
from b24sandbox import StandIn
from tests.people import Person


@pytest.fixture
def evil() -> Iterator[StandIn]:
    """Somebody else's server, which would take any token."""
    with StandIn.start(portals=1) as running:
        yield running


def address(services: Services, person: Person) -> tuple[str, str]:
    with services.store.begin() as db:
        portal = db.get_one(Portal, person.portal.member_id)
    return portal.domain, portal.client_endpoint


def test_a_redirect_to_a_stranger_sends_nothing_there(
    alice: Person, evil: StandIn, services: Services, standin: StandIn
):
    before = address(services, alice)
    standin.fault(0, method="batch", kind="redirect", location=f"{evil.portals[0].url.rstrip('/')}/rest/batch", times=3)

    answer = alice.get("/pages")

    assert answer.json
    assert (answer.status_code, answer.json["code"]) == (502, "portal_moved")
    assert evil.world.request_count == 0
    assert not evil.calls()
    assert address(services, alice) == before


def test_a_portal_that_really_moved_is_asked_once_more_at_its_new_address(
    alice: Person, services: Services, standin: StandIn
):
    asked = standin.oauth_asked("app.info")
    new = alice.portal.rename()

    answer = alice.get("/pages")

    assert answer.status_code == 200
    assert standin.oauth_asked("app.info") == asked + 1
    assert address(services, alice) == (alice.portal.domain, f"{new.rstrip('/')}/rest/")
    assert alice.get("/pages?q=x").status_code == 200
    assert standin.oauth_asked("app.info") == asked + 1


def test_a_move_nobody_can_confirm_is_not_made(alice: Person, services: Services, standin: StandIn):
    before = address(services, alice)
    alice.portal.rename()
    standin.fault("oauth", method="app.info", kind="reset_before", times=5)

    answer = alice.get("/pages")

    assert answer.status_code == 502
    assert address(services, alice) == before
