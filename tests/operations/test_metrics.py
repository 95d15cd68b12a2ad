"""What the operator's platform may ask, and what it does not learn."""

import re

import pytest
from flask import Flask

from b24app.factory import create_app
from b24app.services import build
from tests.conftest import make_config
from tests.people import Person

TOKEN = "m" * 32


@pytest.fixture
def guarded(environment: dict[str, str]):
    """The app with a token for its figures."""
    built = build(make_config(environment | {"METRICS_TOKEN": TOKEN}))
    yield create_app(built).test_client()
    built.close()


def test_figures_need_their_token(guarded):
    anonymous, wrong, right = (
        guarded.get("/metrics", headers={"Authorization": header} if header else {})
        for header in ("", f"Bearer {TOKEN[:-1]}x", f"Bearer {TOKEN}")
    )

    assert (anonymous.status_code, wrong.status_code, right.status_code) == (401, 401, 200)
    assert "sundown_runs" not in anonymous.text + wrong.text
    assert anonymous.headers["WWW-Authenticate"] == "Bearer"


def test_without_a_token_there_are_no_figures_on_a_public_address(environment: dict[str, str]):
    public = {
        "APP_URL": "https://sundown.example.com", "B24_ALLOW_INSECURE_PORTALS": "0", "B24_OAUTH_URL": "https://o.example",
    }  # fmt: skip
    built = build(make_config(environment | public))

    answer = create_app(built).test_client().get("/metrics")

    built.close()
    assert answer.status_code == 404


def test_no_label_names_a_portal_or_a_person(app: Flask, alice: Person):
    alice.unpublish(351, reason="a reason")

    figures = app.test_client().get("/metrics").text

    labels = set(re.findall(r"(\w+)=\"", figures))
    assert labels <= {"state", "status", "code", "worker"}
    person = alice.portal.user("editor")
    for name in (
        alice.portal.domain,
        alice.portal.member_id,
        person.last_name,
        "a reason",
        alice.portal.page(351).title,
    ):
        assert name not in figures


def test_readiness_says_little(app: Flask, alice: Person):
    answer = app.test_client().get("/readyz")

    assert answer.json
    assert set(answer.json) <= {"status", "worker"}
    assert alice.portal.domain not in answer.text
