"""Section 4: calls."""

from __future__ import annotations

import json

import pytest
import requests


def test_the_token_is_taken_from_header_auth_and_access_token(portal, editor, session):
    header = session.post(portal.endpoint + "profile", headers={"Authorization": f"Bearer {editor.access}"}, timeout=10)
    auth = session.post(portal.endpoint + "profile", data={"auth": editor.access}, timeout=10)
    query = session.get(portal.endpoint + "profile", params={"access_token": editor.access}, timeout=10)

    assert {answer.json()["result"]["ID"] for answer in (header, auth, query)} == {"7"}


@pytest.mark.parametrize("form", ["json", "brackets", "multipart", "query"])
def test_parameters_arrive_in_every_form(portal, editor, session, form):
    url = portal.endpoint + "landing.landing.getList"
    flat = {
        "params[select][]": "ID",
        "params[filter][ID][0]": "351",
        "params[filter][ID][1]": "352",
        "params[order][ID]": "DESC",
        "auth": editor.access,
    }
    nested = {"select": ["ID"], "filter": {"ID": [351, "352"]}, "order": {"ID": "DESC"}}
    if form == "json":
        answer = session.post(url, json={"params": nested, "auth": editor.access}, timeout=10)
    elif form == "brackets":
        answer = session.post(url, data=flat, timeout=10)
    elif form == "multipart":
        answer = session.post(url, files={key: (None, value) for key, value in flat.items()}, timeout=10)
    else:
        answer = session.get(url, params=flat, timeout=10)

    assert [row["ID"] for row in answer.json()["result"]] == ["352", "351"]


@pytest.mark.parametrize("name", ["profile.json", "PROFILE", "profile/", "Profile.JSON"])
def test_method_names_ignore_case_suffix_and_slash(editor, name):
    assert editor(name)["ID"] == "7"


def test_xml_is_spoken_when_asked(portal, editor, session):
    answer = session.get(portal.endpoint + "user.admin.xml", params={"auth": editor.access}, timeout=10)

    assert answer.headers["Content-Type"].startswith("text/xml")
    assert "<result></result>" in answer.text  # false, as PHP prints it


def test_the_envelope_tells_the_time(editor):
    time = editor.ask("profile").json()["time"]

    assert isinstance(time["start"], int)
    assert {"finish", "duration", "processing", "date_start", "date_finish", "operating", "operating_reset_at"} <= set(
        time
    )


def test_a_self_hosted_portal_tells_no_operating_time(portal, editor):
    portal.switch(self_hosted=True)

    assert "operating" not in editor.ask("profile").json()["time"]


def test_a_broken_json_body_is_dropped_without_a_word(portal, session):
    answer = session.post(
        portal.endpoint + "profile", data=b'{"auth": "x"', headers={"Content-Type": "application/json"}, timeout=10
    )

    assert (answer.status_code, answer.json()["error"]) == (401, "NO_AUTH_FOUND")


def test_the_body_wins_over_the_query(portal, editor, session):
    answer = session.post(portal.endpoint + "profile?auth=nonsense", json={"auth": editor.access}, timeout=10)

    assert answer.status_code == 200


def test_a_parameter_named_token_makes_it_another_kind_of_call(editor):
    assert editor.error("profile", token="x") == (403, "ACCESS_DENIED")


def test_the_order_of_checks_is_the_sources(portal, editor, session):
    """Each fault further out hides the ones further in: they are lifted one by one."""
    portal.switch(deleted=True, rest_in_plan=False, app_active=False, operating_limit=1)
    portal.change_user("editor", active=False, may_use_app=False)
    portal.expire("editor")
    portal.scope([])
    method = "landing.landing.unpublic"
    seen = [editor.error(method)]
    portal.switch(deleted=False)
    seen.append(editor.error("no.such.method"))
    seen.append((session.post(portal.endpoint + method, timeout=10).status_code, "NO_AUTH_FOUND"))
    seen.append(editor.error(method))
    portal.switch(rest_in_plan=True)
    seen.append(editor.error(method))
    portal.switch(app_active=True)
    seen.append(editor.error(method))
    editor.tokens = portal.tokens("editor")
    seen.append(editor.error(method))
    portal.scope(["landing"])
    editor.tokens = portal.tokens("editor")
    seen.append(editor.error(method))
    portal.change_user("editor", active=True)
    seen.append(editor.error(method))
    portal.change_user("editor", may_use_app=True)
    seen.append(editor.error(method))

    assert seen == [
        (403, "PORTAL_DELETED"),
        (404, "ERROR_METHOD_NOT_FOUND"),
        (401, "NO_AUTH_FOUND"),
        (401, "ACCESS_DENIED"),
        (401, "APPLICATION_NOT_FOUND"),
        (401, "expired_token"),
        (401, "insufficient_scope"),
        (401, "authorization_error"),
        (401, "user_access_error"),
        (400, "MISSING_PARAMS"),
    ]


@pytest.mark.parametrize(
    ("dialect", "statuses"),
    [("source", [401, 401, 401, 401, 403]), ("docs", [403, 403, 403, 503, 500]), ("sdk", [401, 403, 403, 503, 410])],
)
def test_three_dialects_of_statuses(portal, editor, dialect, statuses):
    portal.switch(dialect=dialect)
    portal.scope([])
    seen = [editor.error("landing.landing.getList")]
    portal.change_user("editor", may_use_app=False)
    seen.append(editor.error("profile"))
    for switch in ({"rest_in_plan": False}, {"overload": True}, {"deleted": True}):
        portal.switch(**switch)
        seen.append(editor.error("profile"))

    codes = ["insufficient_scope", "user_access_error", "ACCESS_DENIED", "OVERLOAD_LIMIT", "PORTAL_DELETED"]
    assert seen == list(zip(statuses, codes, strict=True))


@pytest.mark.parametrize(
    ("switch", "code"),
    [({"offline": True}, "CONNECTION_ERROR"), ({"payment_expired": True}, "PAYMENT_REQUIRED")],
)
def test_what_the_authorization_server_refuses_is_a_401(portal, editor, switch, code):
    portal.switch(**switch)

    assert editor.error("profile") == (401, code)


def test_a_token_of_another_portal_and_garbage_are_invalid(standin, editor):
    assert editor.error("profile", auth="x") == (200, "")  # the helper's own token wins
    editor.tokens = standin.portals[1].tokens("editor")
    foreign = editor.error("profile")
    editor.tokens = {"access_token": "nonsense"}

    assert foreign == editor.error("profile") == (401, "invalid_token")


def test_a_removed_app_answers_error_oauth(portal, editor):
    portal.uninstall()

    assert editor.error("profile") == (401, "ERROR_OAUTH")


def test_scopes_taken_away_show_at_once_and_given_back_with_the_next_token(portal, editor, tokens):
    portal.scope([])
    taken = editor.error("landing.site.getList")
    editor.tokens = tokens(grant_type="refresh_token", refresh_token=editor.tokens["refresh_token"]).json()
    portal.scope(["landing"])
    still = editor.error("landing.site.getList")
    editor.tokens = tokens(grant_type="refresh_token", refresh_token=editor.tokens["refresh_token"]).json()

    assert taken == still == (401, "insufficient_scope")
    assert editor("landing.site.getList")


def test_a_checked_token_is_remembered_when_the_portal_does_so(portal, editor, standin):
    portal.switch(token_cache_seconds=3600)
    editor("landing.site.getList")
    portal.scope([])

    assert editor("landing.site.getList")
    standin.world.clock.advance(3500)
    assert editor("profile")
    portal.switch(app_active=False)
    assert editor.error("profile") == (401, "APPLICATION_NOT_FOUND")  # this shows at once


def test_webhooks_stand_for_a_user_with_every_scope(portal, session):
    assert session.get(portal.webhook + "profile", timeout=10).json()["result"]["ID"] == "1"
    assert session.get(portal.webhook + "landing.site.getList", timeout=10).json()["result"]
    wrong = session.get(portal.webhook.rstrip("/") + "x/profile", timeout=10)
    bind = session.get(portal.webhook + "event.bind?event=ONAPPTEST&handler=http://127.0.0.1/", timeout=10)

    assert (wrong.status_code, wrong.json()["error"]) == (401, "INVALID_CREDENTIALS")
    assert (bind.status_code, bind.json()["error"]) == (403, "WRONG_AUTH_TYPE")


def test_a_webhook_over_http_is_refused_where_the_source_is_followed(portal, session):
    portal.switch(webhook_needs_https=True)

    assert session.get(portal.webhook + "profile", timeout=10).json()["error"] == "INVALID_REQUEST"


def test_a_renamed_portal_answers_302_at_its_old_address(portal, editor, session):
    old, before = portal.url, portal.member_id
    new = portal.rename()

    answer = session.post(f"{old}/rest/profile", json={"auth": editor.access}, timeout=10, allow_redirects=False)

    assert (answer.status_code, answer.headers["Location"]) == (302, f"{new}/rest/profile")
    assert editor("profile")["ID"] == "7"  # at the new one
    assert portal.member_id == before


def test_a_method_that_waits_for_confirmation(portal, editor):
    portal.switch(confirm_methods="profile")

    assert editor.error("profile") == (401, "METHOD_CONFIRM_WAITING")


def test_an_old_portal_without_sites_has_no_landing_methods(portal, editor):
    portal.switch(landing_module=False)

    assert editor.error("landing.site.getList") == (404, "ERROR_METHOD_NOT_FOUND")


def test_calls_may_come_from_any_page(portal):
    answer = requests.options(portal.endpoint + "profile", timeout=10)

    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    assert "authorization" not in answer.headers["Access-Control-Allow-Headers"]


def test_every_answer_is_utf8_json(editor):
    answer = editor.ask("landing.landing.getList", params={"filter": {"ID": 356}, "select": ["ID", "TITLE"]})

    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert json.loads(answer.content.decode())["result"][0]["TITLE"] == "Children’s furniture"
