"""Section 1: tokens."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from b24sandbox import StandIn


@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_a_refresh_gives_the_next_pair_with_all_its_fields(tokens, editor, portal, standin, verb):
    answer = tokens(verb, grant_type="refresh_token", refresh_token=editor.tokens["refresh_token"])

    pair = answer.json()
    assert answer.status_code == 200
    assert pair["client_endpoint"] == portal.endpoint
    assert pair["member_id"] == portal.member_id
    assert pair["domain"] == standin.oauth.partition("://")[2]  # the authorization host, not the portal
    assert (pair["user_id"], pair["expires_in"], pair["scope"], pair["status"]) == (7, 3600, "landing", "F")
    assert pair["refresh_token"] != editor.tokens["refresh_token"]
    editor.tokens = pair
    assert editor("profile")["ID"] == "7"


def test_a_refresh_token_works_once_and_takes_its_access_token_along(tokens, editor):
    spent = str(editor.tokens["refresh_token"])
    tokens(grant_type="refresh_token", refresh_token=spent)

    again = tokens(grant_type="refresh_token", refresh_token=spent)

    assert (again.status_code, again.json()) == (400, {"error": "invalid_grant"})
    assert editor.error("profile") == (401, "expired_token")


def test_of_many_who_refresh_at_once_exactly_one_succeeds(tokens, editor, standin):
    def refresh(_: int) -> int:
        body = {"grant_type": "refresh_token", "refresh_token": editor.tokens["refresh_token"]}
        credentials = {"client_id": standin.client_id, "client_secret": standin.client_secret}
        return requests.post(f"{standin.oauth}/oauth/token/", data=body | credentials, timeout=10).status_code

    with ThreadPoolExecutor(20) as crowd:
        statuses = list(crowd.map(refresh, range(40)))

    assert statuses.count(200) == 1
    assert statuses.count(400) == 39


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"client_id": "app.unknown"}, 200, "wrong_client"),
        ({"client_secret": "wrong"}, 400, "invalid_client"),
        ({"refresh_token": "0" * 70}, 400, "invalid_grant"),
        ({"refresh_token": ""}, 400, "invalid_request"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"grant_type": "password"}, 400, "invalid_request"),
        ({"scope": "landing,crm"}, 403, "invalid_scope"),
    ],
)
def test_refusals_of_the_token_endpoint(tokens, editor, change, status, code):
    params = {"grant_type": "refresh_token", "refresh_token": str(editor.tokens["refresh_token"])}

    answer = tokens(**(params | change))

    assert (answer.status_code, answer.json()["error"]) == (status, code)


def test_a_removed_app_and_an_unpaid_one_get_no_tokens(tokens, editor, portal):
    params = {"grant_type": "refresh_token", "refresh_token": str(editor.tokens["refresh_token"])}
    portal.switch(payment_expired=True)
    unpaid = tokens(**params)
    portal.uninstall()

    removed = tokens(**params)

    assert (unpaid.status_code, unpaid.json()["error"]) == (401, "PAYMENT_REQUIRED")
    assert (removed.status_code, removed.json()["error"]) == (401, "NOT_INSTALLED")


def test_grace_lets_a_used_refresh_token_work_a_minute_longer(tokens, editor, standin):
    standin.world.rotation = "grace"
    params = {"grant_type": "refresh_token", "refresh_token": str(editor.tokens["refresh_token"])}

    first, second = tokens(**params), tokens(**params)
    standin.world.clock.advance(61)
    late = tokens(**params)

    assert [first.status_code, second.status_code, late.status_code] == [200, 200, 400]


def test_a_refresh_token_dies_after_180_days(tokens, editor, standin):
    standin.world.clock.advance(180 * 86400 + 1)

    answer = tokens(grant_type="refresh_token", refresh_token=editor.tokens["refresh_token"])

    assert answer.json()["error"] == "invalid_grant"


def sign_in(standin: StandIn, state: str = "s1") -> dict[str, str]:
    """Where authorize sends the browser, as the query it brings to the app."""
    url = f"{standin.portals[0].url}/oauth/authorize/"
    params = {"client_id": standin.client_id, "state": state, "user": "7"}
    answer = requests.get(url, params=params, timeout=10, allow_redirects=False)
    assert answer.status_code == 302
    return {key: values[0] for key, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def test_authorize_comes_back_with_state_and_a_code_good_once(tokens, standin, portal):
    back = sign_in(standin)

    pair = tokens(grant_type="authorization_code", code=back["code"])
    again = tokens(grant_type="authorization_code", code=back["code"])

    assert (back["state"], back["domain"], back["member_id"]) == ("s1", portal.domain, portal.member_id)
    assert back["server_domain"] == standin.oauth.partition("://")[2]
    assert (pair.status_code, pair.json()["user_id"]) == (200, 7)
    assert again.json()["error"] == "invalid_grant"


def test_a_code_is_good_for_30_seconds(tokens, standin):
    back = sign_in(standin)
    standin.world.clock.advance(31)

    assert tokens(grant_type="authorization_code", code=back["code"]).json()["error"] == "invalid_grant"


def test_a_failed_authorize_stays_on_the_portal_and_tells_the_app_nothing(standin, portal):
    unknown = requests.get(f"{portal.url}/oauth/authorize/?client_id=x", timeout=10, allow_redirects=False)
    portal.uninstall()
    gone = requests.get(
        f"{portal.url}/oauth/authorize/?client_id={standin.client_id}", timeout=10, allow_redirects=False
    )

    assert {unknown.status_code, gone.status_code} == {404, 403}
    assert "Location" not in {*unknown.headers, *gone.headers}


@pytest.mark.parametrize("fields", [{"active": False}, {"may_use_app": False}])
def test_authorize_is_closed_to_whom_the_administrator_closed_it(standin, portal, fields):
    portal.change_user("editor", **fields)
    url = f"{portal.url}/oauth/authorize/?client_id={standin.client_id}&user=7"

    answer = requests.get(url, timeout=10, allow_redirects=False)

    assert (answer.status_code, "Location" in answer.headers) == (403, False)


def test_a_code_comes_to_the_address_of_the_apps_card(standin):
    standin.world.redirect_uri = "https://app.example/oauth/callback"
    url = f"{standin.portals[0].url}/oauth/authorize/?client_id={standin.client_id}&state=s"

    answer = requests.get(url, timeout=10, allow_redirects=False)

    assert answer.headers["Location"].startswith("https://app.example/oauth/callback?code=")


@pytest.mark.parametrize(
    ("kills", "code", "expected"),
    [(True, "expired_token", "expired_token"), (True, "invalid_token", "invalid_token"), (False, "invalid_token", "")],
)
def test_the_paired_access_token_dies_or_lives_on(tokens, editor, portal, standin, kills, code, expected):
    standin.world.kills_access = kills
    portal.switch(dead_token_code=code)

    tokens(grant_type="refresh_token", refresh_token=editor.tokens["refresh_token"])

    assert editor.error("profile")[1] == expected


@pytest.mark.parametrize(("takes", "scope"), [(True, "landing,im"), (False, "landing")])
def test_a_renewed_token_has_what_was_granted_since_or_has_not(tokens, editor, portal, takes, scope):
    portal.switch(refresh_takes_new_scopes=takes)
    portal.scope(["landing", "im"])

    pair = tokens(grant_type="refresh_token", refresh_token=editor.tokens["refresh_token"])

    assert pair.json()["scope"] == scope


def test_a_portal_of_another_region_names_the_second_server_everywhere(standin, portal):
    portal.switch(second_server=True)
    second = standin.world.servers[1]

    _, form = portal.open("editor")
    back = sign_in(standin)

    assert form["SERVER_ENDPOINT"] == f"{second}/rest/"
    assert back["server_domain"] == second.partition("://")[2]
    assert standin.portals[1].open("editor")[1]["SERVER_ENDPOINT"] == f"{standin.oauth}/rest/"


def test_app_info_says_whose_token_it_is_on_either_server(standin, portal, editor):
    for server in standin.world.servers:
        answer = requests.get(f"{server}/rest/app.info", params={"auth": editor.access}, timeout=10).json()["result"]

        assert (answer["client_id"], answer["user_id"], answer["scope"]) == (standin.client_id, 7, "landing")
        install = answer["install"]
        assert (install["member_id"], install["domain"]) == (portal.member_id, portal.domain)
        assert (install["client_endpoint"], install["uri"]) == (portal.endpoint, portal.url)


def test_app_info_refuses_what_is_no_token(standin, portal, editor):
    def ask(**params: str) -> tuple[int, str]:
        answer = requests.get(f"{standin.oauth}/rest/app.info", params=params, timeout=10)
        return answer.status_code, answer.json()["error"]

    assert ask(auth="nonsense") == (400, "invalid_client")
    assert ask() == (401, "NO_AUTH_FOUND")
    portal.expire("editor")
    assert ask(auth=editor.access) == (401, "expired_token")
    portal.uninstall()
    assert ask(auth=editor.access) == (401, "NOT_INSTALLED")
