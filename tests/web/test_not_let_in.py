"""People Bitrix24 does not let in are told once what it said and who can mend it, and do not go in circles."""

import pytest
from flask import Flask

from b24app.services import Services
from b24app.store.models import User
from b24sandbox import StandIn
from tests.people import TOKEN, Person
from tests.portals.test_events import event

REFUSALS = [
    ({"may_use_app": False}, 403, "user_access_error", "use Sundown on this portal yet"),
    ({"active": False}, 401, "authorization_error", "portal account is no longer active"),
]


def told(answer) -> dict[str, str]:
    return answer.get_json(force=True)


@pytest.mark.parametrize(("change", "status", "code", "words"), REFUSALS)
def test_the_first_open_says_what_bitrix24_said_and_gives_no_session(
    app: Flask, standin: StandIn, ada: Person, change: dict[str, bool], status: int, code: str, words: str
):
    clerk = Person(app, standin.portals[0], "reader")
    post = clerk.frame()
    ada.portal.change_user("reader", **change)

    answer = clerk.post_frame(*post)

    assert answer.status_code == status
    assert words in answer.text
    assert "administrator" in answer.text
    assert answer.headers.get("WWW-Authenticate") == ('Bearer error="invalid_token"' if status == 401 else None)
    assert not TOKEN.search(answer.text)


@pytest.mark.parametrize(("change", "status", "code", "words"), REFUSALS)
def test_a_call_refused_tells_it_and_the_session_is_not_renewed_in_circles(
    bob: Person, change: dict[str, bool], status: int, code: str, words: str
):
    fresh = bob.frame()
    bob.portal.change_user("reader", **change)

    call = bob.get("/pages")
    again = bob.get("/pages")
    healed = bob.heal()
    opened = bob.post_frame(*fresh)

    assert (call.status_code, told(call)["code"]) == (status, code)
    assert told(again)["code"] == "session_expired"
    assert (healed.status_code, told(healed)["code"]) == (status, code)
    assert told(healed)["who"] == "administrator"
    assert opened.status_code == status
    assert words in opened.text


@pytest.mark.parametrize(("change", "status", "code", "words"), REFUSALS)
def test_who_is_let_in_again_opens_as_before(
    bob: Person, services: Services, change: dict[str, bool], status: int, code: str, words: str
):
    bob.portal.change_user("reader", **change)
    bob.get("/pages")
    bob.portal.change_user("reader", **dict.fromkeys(change, True))

    assert bob.opened().get("/pages").status_code == 200
    with services.store.begin() as db:
        assert db.get_one(User, (bob.portal.member_id, bob.user_id)).refused_code is None


def test_whom_bitrix24_lets_in_is_asked_about_no_more_often(bob: Person, standin: StandIn):
    bob.opened()
    before = bob.portal.requests()

    bob.opened()

    assert bob.portal.requests() == before


@pytest.mark.parametrize("code", ["SYSTEM_ERROR", "QUERY_LIMIT_EXCEEDED", "insufficient_scope"])
def test_a_portal_that_only_fails_to_answer_keeps_nobody_out(app: Flask, standin: StandIn, ada: Person, code: str):
    standin.fault(0, "batch", kind="error", code=code, status=503, times=1)

    assert Person(app, standin.portals[0], "reader").open().status_code == 200


def test_a_refusal_of_one_person_stops_nobody_else(bob: Person, alice: Person):
    bob.portal.change_user("reader", may_use_app=False)
    bob.get("/pages")

    assert alice.get("/pages").status_code == 200


def test_events_are_not_looked_for_in_a_frame_post(ada: Person, app: Flask, clock):
    """Only a post that names an event is one; the installer's own fields are untouched."""
    path, form = ada.frame(install=True)

    assert app.test_client().post(path, data=form).status_code == 200
    assert app.test_client().post("/install", data=event(ada, "ONAPPPAYMENT", clock)).status_code == 200
