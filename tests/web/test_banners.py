"""Every error of the contract is a banner in words, with the button that fits its remedy."""

import re

import pytest

from b24sandbox import StandIn
from tests.clocks import FORWARD
from tests.people import Person

BUTTON = re.compile(r'data-do="([a-z-]+)"')
WORDS = re.compile(r"<h2>([^<]+)</h2>\s*<p>([^<]+)</p>")
SAID_BY_THE_PORTAL = [
    ("insufficient_scope", 401, 403, "repeat"),
    ("user_access_error", 401, 403, "repeat"),
    ("authorization_error", 401, 401, "reopen"),
    ("ACCESS_DENIED", 403, 403, "repeat"),
    ("PAYMENT_REQUIRED", 401, 402, "repeat"),
    ("APPLICATION_NOT_FOUND", 401, 410, "repeat"),
    ("METHOD_CONFIRM_WAITING", 403, 403, "repeat"),
    ("PORTAL_DELETED", 403, 503, "retry"),
    ("OVERLOAD_LIMIT", 429, 503, "repeat"),
    ("QUERY_LIMIT_EXCEEDED", 503, 503, "retry"),
    ("SOMETHING_NEW", 400, 502, "retry"),
    ("INTERNAL_SERVER_ERROR", 500, 502, "retry"),
]


@pytest.mark.parametrize(("code", "said", "status", "button"), SAID_BY_THE_PORTAL)
def test_what_the_portal_refuses_is_a_banner_with_a_way_on(
    alice: Person, standin: StandIn, code: str, said: int, status: int, button: str
):
    standin.fault(0, "*", kind="error", code=code, status=said, times=-1)

    answer = alice.fragment("GET", "/pages")
    title, words = WORDS.findall(answer.text)[0]

    assert answer.status_code == status
    assert answer.headers["HX-Retarget"] == "#notices"
    assert BUTTON.findall(answer.text) == [button]
    assert len(words) > 40
    assert code not in title + words
    assert f"Code: {code}" in answer.text


def test_a_session_that_has_ended_offers_to_reopen(alice: Person):
    alice.token = "made up"

    answer = alice.fragment("GET", "/pages")

    assert answer.status_code == 401
    assert BUTTON.findall(answer.text) == ["reopen"]


def test_a_refused_form_can_be_closed_and_a_skipped_time_offers_the_next(alice: Person):
    order = {"action": "unpublish", "lids": "351", "zone": "Europe/Riga"}

    wrong = alice.fragment("POST", "/runs", **order, at="soon")
    skipped = alice.fragment("POST", "/runs", **order, at=f"{FORWARD}T03:30")

    assert (wrong.status_code, BUTTON.findall(wrong.text)) == (422, ["dismiss"])
    assert (skipped.status_code, BUTTON.findall(skipped.text)) == (422, ["use-suggestion", "dismiss"])
