"""Faults as data: each kind as a client meets it, for the next k calls."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.clocks import until

METHOD = "landing.landing.unpublic"


@pytest.mark.parametrize(
    ("fault", "status", "text"),
    [
        ({"kind": "html"}, 502, "<html>"),
        ({"kind": "html", "status": 500}, 500, "<html>"),
        ({"kind": "bad_json"}, 200, '{"result":{"res'),
        ({"kind": "empty"}, 200, ""),
        ({"kind": "error", "code": "QUERY_LIMIT_EXCEEDED"}, 503, '{"error":"QUERY_LIMIT_EXCEEDED"'),
        (
            {"kind": "error", "code": "ODD", "status": 418, "description": "why"},
            418,
            '{"error":"ODD","error_description":"why"',
        ),
        ({"kind": "hang", "seconds": 0.05}, 504, "<html>"),
        ({"kind": "redirect", "location": "https://new.example/"}, 302, ""),
    ],
)
def test_answers_that_are_none(standin, editor, portal, fault, status, text):
    standin.fault(0, METHOD, **fault)

    answer = editor.ask(METHOD, lid=351)

    assert answer.status_code == status
    assert answer.text.startswith(text)
    assert portal.page(351).active is True  # nothing was done
    assert editor(METHOD, lid=351) is True  # and only once


@pytest.mark.parametrize(
    ("kind", "done"),
    [("reset", False), ("reset_before", False), ("close", False), ("reset_after", True), ("short", True)],
)
def test_connections_that_break_before_or_after_the_work(standin, editor, portal, kind, done):
    standin.fault(0, METHOD, kind=kind)

    with pytest.raises(requests.RequestException):
        editor.ask(METHOD, lid=351)

    assert portal.page(351).active is not done
    assert standin.calls(0, METHOD)[0].fault == kind


@pytest.mark.parametrize("kind", ["html", "empty", "bad_json", "close", "error", "hang"])
def test_the_work_is_done_and_the_answer_lost(standin, editor, portal, kind):
    standin.fault(0, METHOD, kind=kind, done=True, seconds=0.01)

    try:
        editor.ask(METHOD, lid=351)
    except requests.RequestException:
        assert kind == "close"

    assert portal.page(351).active is False


@pytest.mark.parametrize("kind", ["latency", "drip"])
def test_late_answers_are_right(standin, editor, kind):
    standin.fault(0, METHOD, kind=kind, seconds=0.2)
    began = time.monotonic()

    assert editor(METHOD, lid=351) is True

    assert time.monotonic() - began >= 0.2


def test_a_slow_call_does_not_hold_up_the_others(standin, person, gate):
    standin.fault(0, "profile", kind="latency", seconds=0.5, user=1)
    slow, quick = person("admin"), person("editor")
    quick.session = requests.Session()

    with quick.session, ThreadPoolExecutor(1) as other:
        waiting = other.submit(slow, "profile")
        until(lambda: bool(gate.asked))
        for _ in range(5):
            quick("profile")
        assert not waiting.done()
        gate.open()
        waiting.result()

    assert gate.asked == [0.5]


def test_missing_and_wrong_fields(standin, editor):
    standin.fault(0, "landing.site.getRights", kind="missing_field", field="time")
    standin.fault(0, "landing.site.getRights", kind="wrong_field", field="result.0", value="denied")

    assert "time" not in editor.ask("landing.site.getRights", id=3).json()
    assert editor("landing.site.getRights", id=3)[0] == "denied"
    assert editor("landing.site.getRights", id=3)[0] == "read"


def test_commands_of_a_batch_can_be_hit_alone(standin, editor, portal):
    standin.fault(0, METHOD, kind="error", code="SYSTEM_ERROR", status=400, skip=1)
    standin.fault(0, METHOD, kind="lost", skip=1)

    maps = editor.batch({f"c{lid}": f"{METHOD}?lid={lid}" for lid in (351, 352, 353, 354)})

    assert maps["result"] == {"c351": True, "c354": True}
    assert maps["result_error"]["c352"]["error"] == "SYSTEM_ERROR"
    assert portal.page(352).active is True
    assert portal.page(353).active is False  # done, without a trace


def test_faults_can_be_for_one_user_many_calls_and_patterns(standin, admin, editor):
    standin.fault(0, "landing.*", kind="html", times=2, user=7)

    assert admin.ask("landing.site.getList").status_code == 200
    assert editor.ask("profile").status_code == 200
    assert [editor.ask("landing.site.getList").status_code for _ in range(3)] == [502, 502, 200]


def test_a_standing_fault_stays_until_it_is_removed(standin, editor):
    standin.fault("*", "profile", kind="html", times=-1)
    assert {editor.ask("profile").status_code for _ in range(5)} == {502}

    standin.clear_faults()

    assert editor.ask("profile").status_code == 200


def test_an_expired_token_on_demand_is_a_fault_like_any_other(standin, editor):
    standin.fault(0, kind="error", code="expired_token")

    assert editor.error("profile") == (401, "expired_token")
    assert editor.error("profile") == (200, "")


@pytest.mark.parametrize(
    ("fault", "status"),
    [({"kind": "html"}, 502), ({"kind": "error", "code": "invalid_grant"}, 400), ({"kind": "bad_json"}, 200)],
)
def test_the_authorization_server_can_be_unwell_too(standin, tokens, editor, fault, status):
    standin.fault("oauth", "/oauth/token/", **fault)
    params = {"grant_type": "refresh_token", "refresh_token": str(editor.tokens["refresh_token"])}

    assert tokens(**params).status_code == status
    assert tokens(**params).status_code == 200


def test_a_lost_answer_of_a_refresh_costs_the_chain(standin, tokens, editor):
    standin.fault("oauth", "/oauth/token/", kind="reset_after")
    params = {"grant_type": "refresh_token", "refresh_token": str(editor.tokens["refresh_token"])}

    with pytest.raises(requests.ConnectionError):
        tokens(**params)

    assert tokens(**params).json()["error"] == "invalid_grant"


def test_an_unknown_kind_is_refused(standin):
    with pytest.raises(ValueError, match="kind is one of"):
        standin.fault(0, kind="nonsense")


def test_an_authorization_server_that_is_down(standin, tokens):
    standin.world.oauth_down = True

    assert tokens(grant_type="refresh_token", refresh_token="x").status_code == 502


def test_several_methods_stand_with_commas_and_commands_may_be_spared(standin, editor, portal):
    standin.fault(0, "profile, landing.landing.*", kind="error", code="ODD", whole=True)

    maps = editor.batch({"a": f"{METHOD}?lid=351", "b": "profile"})
    refused = editor.error(METHOD, lid=352)

    assert maps["result"]["a"] is True
    assert refused == (400, "ODD")
    assert editor.error("profile") == (200, "")
