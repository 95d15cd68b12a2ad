"""The authorization servers: whom the secret may reach, what a pair and a vouching look like, what is no answer."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest

from b24app.bitrix.address import Addresses
from b24app.bitrix.connect import GuardedAdapter
from b24app.bitrix.oauth import AuthorizationServers, scopes
from b24app.errors import (
    AuthorizationUnavailable,
    InsufficientScope,
    NotGenuine,
    NotInstalled,
    OperatorError,
    PaymentRequired,
    PortalError,
    SignInAgain,
    Unavailable,
)
from b24sandbox import StandIn
from tests.loopback import Loopback, answer

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SECRET = "the-secret-of-the-app"
PAIR = {
    "access_token": "a" * 64, "refresh_token": "b" * 64, "expires": 1795430000, "expires_in": 3600,
    "scope": "landing,user_brief", "domain": "oauth.bitrix.info", "server_endpoint": "https://oauth.bitrix.info/rest/",
    "status": "L", "client_endpoint": "https://acme.bitrix24.com/rest/", "user_id": 67,
    "member_id": "a223c6b3710f85df22e9377d6c4f7553",
}  # fmt: skip
INFO: dict[str, Any] = {
    "client_id": "app.1", "scope": "landing,user_brief", "expires": "2026-11-28T13:00:00+00:00", "user_id": "67",
    "install": {
        "installed": True, "version": 3, "status": "F", "scope": "landing", "domain": "ACME.bitrix24.com:443",
        "uri": "https://acme.bitrix24.com", "client_endpoint": "https://acme.bitrix24.com/rest",
        "member_id": PAIR["member_id"],
    },
}  # fmt: skip


def servers(*urls: str) -> AuthorizationServers:
    adapter = GuardedAdapter(Addresses(allow_insecure=True))
    return AuthorizationServers(urls, "app.1", SECRET, adapter, lambda: NOW)


def told(body: object, status: str = "200 OK") -> bytes:
    return answer(json.dumps(body).encode(), status, "Content-Type: application/json")


def refreshed(said: bytes) -> tuple[Any, bytes]:
    """What a refresh comes to, and the request that was made."""
    with Loopback(said) as server:
        url = server.url().removesuffix("/rest/")
        return servers(url).refresh(url, "old-refresh-token"), server.asked[0]


def refused(said: bytes) -> PortalError:
    with pytest.raises(PortalError) as caught:
        refreshed(said)
    assert caught.value.method == "oauth.token"
    return caught.value


# --- choosing a server -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("named", "chosen"), [
    (None, "https://oauth.bitrix.info"), ("", "https://oauth.bitrix.info"),
    ("https://oauth.bitrix.info/rest/", "https://oauth.bitrix.info"),
    ("https://OAUTH.bitrix24.tech/rest/", "https://oauth.bitrix24.tech"),
    ("https://evil.example/rest/", "https://oauth.bitrix.info"),
    ("https://oauth.bitrix24.tech.evil.example/", "https://oauth.bitrix.info"),
    ("https://oauth.bitrix24.tech@evil.example/", "https://oauth.bitrix.info"),
    ("https://evil.example/oauth.bitrix24.tech", "https://oauth.bitrix.info"),
    ("https://oauth.bitrix24.tech:8443/", "https://oauth.bitrix.info"),
    ("http://[broken", "https://oauth.bitrix.info"),
])  # fmt: skip
def test_what_a_post_names_only_chooses_among_the_trusted(named: str | None, chosen: str):
    assert servers("https://oauth.bitrix.info", "https://oauth.bitrix24.tech/").choose(named) == chosen


# --- pairs -----------------------------------------------------------------------------------------------------------


def test_the_secret_rides_in_the_body_and_never_in_the_address():
    pair, request = refreshed(told(PAIR))

    head, _, body = request.partition(b"\r\n\r\n")
    sent = parse_qs(body.decode())
    assert head.startswith(b"POST /oauth/token/ HTTP/1.1")
    assert SECRET.encode() not in head
    assert (sent["grant_type"], sent["client_id"], sent["client_secret"]) == (["refresh_token"], ["app.1"], [SECRET])
    assert sent["refresh_token"] == ["old-refresh-token"]
    assert pair.access == PAIR["access_token"]


def test_a_pair_is_read_and_its_portal_is_not_the_domain():
    pair, _ = refreshed(told(PAIR))

    assert (pair.client_endpoint, pair.member_id, pair.user_id) == (
        "https://acme.bitrix24.com/rest/", PAIR["member_id"], 67,
    )  # fmt: skip
    assert pair.expires_at == NOW + timedelta(hours=1)
    assert pair.scope == ("landing", "user_brief")
    assert str(PAIR["access_token"]) not in repr(pair)
    assert str(PAIR["refresh_token"]) not in repr(pair)


@pytest.mark.parametrize("missing", ["expires", "expires_in", "user_id", "scope", "status", "client_endpoint"])
def test_what_a_pair_may_lack(missing: str):
    pair, _ = refreshed(told({name: value for name, value in PAIR.items() if name != missing}))

    assert pair.expires_at == NOW + timedelta(hours=1)


@pytest.mark.parametrize("changed", [
    {"access_token": None}, {"access_token": ""}, {"access_token": ["a"]}, {"refresh_token": None},
    {"refresh_token": 5}, {"expires_in": "soon"}, {"expires_in": 10**40}, {"expires_in": [1]}, {"user_id": "abc"},
    {"user_id": {}}, {"client_endpoint": "javascript:alert(1)"}, {"client_endpoint": "https://a@b/"},
    {"client_endpoint": "nowhere"},
])  # fmt: skip
def test_an_answer_without_a_pair_may_have_spent_the_token(changed: dict[str, object]):
    error = refused(told({**PAIR, **changed}))

    assert type(error) is Unavailable
    assert error.maybe_done


@pytest.mark.parametrize(("code", "status", "kind"), [
    ("wrong_client", "200 OK", OperatorError),
    ("invalid_client", "400 Bad Request", OperatorError),
    ("invalid_client", "401 Unauthorized", OperatorError),
    ("invalid_grant", "400 Bad Request", SignInAgain),
    ("bad_verification_code", "400 Bad Request", SignInAgain),
    ("invalid_request", "400 Bad Request", SignInAgain),
    ("insufficient_scope", "403 Forbidden", InsufficientScope),
    ("NOT_INSTALLED", "401 Unauthorized", NotInstalled),
    ("PAYMENT_REQUIRED", "401 Unauthorized", PaymentRequired),
])  # fmt: skip
def test_refusals_are_read_by_their_code_with_any_status(code: str, status: str, kind: type[PortalError]):
    assert type(refused(told({"error": code, "error_description": "words"}, status))) is kind


@pytest.mark.parametrize("said", [
    answer(b"<html>502</html>", "502 Bad Gateway"), answer(b"<html>nginx</html>"), answer(b""), told([1]),
    told(PAIR)[:200], told({**PAIR}, "503 Service Unavailable"), told(PAIR, "302 Found"), b"", answer(b"[" * 100_000),
    answer(b"x" * 9_000_000),
])  # fmt: skip
def test_an_unwell_server_may_have_spent_the_token(said: bytes):
    error = refused(said)

    assert isinstance(error, Unavailable)
    assert error.maybe_done


@pytest.mark.parametrize("status", ["404 Not Found", "401 Unauthorized", "410 Gone", "200 OK"])
def test_a_page_of_html_is_no_word_on_the_app_whatever_its_status(status: str):
    error = refused(answer(b"<html>NOT_INSTALLED</html>", status))

    assert isinstance(error, Unavailable)
    assert error.maybe_done


def test_a_renewal_without_a_refresh_token_keeps_the_old_one():
    body = {name: value for name, value in PAIR.items() if name != "refresh_token"}
    with Loopback(answer(json.dumps(body).encode())) as server:
        url = server.url().removesuffix("/rest/")
        pair = servers(url).refresh(url, "old")

    assert pair.refresh == "old"
    assert pair.access == PAIR["access_token"]


def test_connections_are_kept_from_one_question_to_the_next():
    body = json.dumps(PAIR).encode()
    with Loopback(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body, again=True) as server:
        url = server.url().removesuffix("/rest/")
        asked = servers(url)
        for _ in range(3):
            asked.refresh(url, "old")

    assert server.met == 1


def test_a_sign_in_begins_with_the_two_parameters_bitrix24_knows():
    url = servers("https://oauth.bitrix.info").authorize_url("https://acme.bitrix24.com/", "st&te")

    assert url == "https://acme.bitrix24.com/oauth/authorize/?client_id=app.1&state=st%26te"


def test_the_stand_in_renews_a_pair(standin: StandIn):
    standin.portals[0].install()
    tokens = standin.portals[0].tokens("editor")
    asked = AuthorizationServers(
        standin.world.servers, standin.client_id, standin.client_secret,
        GuardedAdapter(Addresses(allow_insecure=True)), lambda: datetime.now(UTC),
    )  # fmt: skip

    pair = asked.refresh(standin.oauth, str(tokens["refresh_token"]))

    assert (pair.member_id, pair.user_id) == (standin.portals[0].member_id, standin.portals[0].user("editor").id)
    with pytest.raises(SignInAgain):
        asked.refresh(standin.oauth, str(tokens["refresh_token"]))


# --- vouching --------------------------------------------------------------------------------------------------------


def vouched(said: bytes) -> Any:
    with Loopback(said) as server:
        url = server.url().removesuffix("/rest/")
        found = servers(url).app_info(url, "posted-token-0123456789")
        assert b"posted-token" not in server.asked[0].partition(b"\r\n\r\n")[0]
        return found


def test_a_vouching_is_read_in_the_types_of_the_sdk():
    info = vouched(told({"result": INFO}))

    assert (info.client_id, info.member_id, info.user_id) == ("app.1", PAIR["member_id"], 67)
    assert (info.domain, info.client_endpoint) == ("acme.bitrix24.com", "https://acme.bitrix24.com/rest/")
    assert (info.scope, info.version, info.installed, info.status) == (("landing",), 3, True, "F")
    assert info.expires_at == datetime(2026, 11, 28, 13, tzinfo=UTC)


@pytest.mark.parametrize(("said", "ends"), [
    (1795870800, datetime.fromtimestamp(1795870800, UTC)), ("1795870800", datetime.fromtimestamp(1795870800, UTC)),
    ("2026-11-28T13:00:00", datetime(2026, 11, 28, 13, tzinfo=UTC)), (None, NOW + timedelta(hours=1)),
    ("", NOW + timedelta(hours=1)), (True, NOW + timedelta(hours=1)),
])  # fmt: skip
def test_when_a_token_ends_is_read_in_every_shape(said: object, ends: datetime):
    assert vouched(told({"result": {**INFO, "expires": said}})).expires_at == ends


@pytest.mark.parametrize("code", ["invalid_client", "NO_AUTH_FOUND", "NOT_INSTALLED", "expired_token", "SOMETHING_NEW"])
@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "200 OK"])
def test_a_refused_token_is_not_genuine_and_nothing_more(code: str, status: str):
    with pytest.raises(NotGenuine) as caught:
        vouched(told({"error": code}, status))

    assert caught.value.status == 403


@pytest.mark.parametrize("result", [
    None, [], "text", {}, {**INFO, "install": []}, {**INFO, "install": {}}, {**INFO, "user_id": None},
    {**INFO, "user_id": "abc"}, {**INFO, "user_id": 1e400}, {**INFO, "expires": "never"}, {**INFO, "expires": 1e30},
    {**INFO, "install": {**INFO["install"], "domain": "evil/"}},
    {**INFO, "install": {**INFO["install"], "domain": None}},
    {**INFO, "install": {**INFO["install"], "client_endpoint": "nowhere"}},
    {**INFO, "install": {**INFO["install"], "version": "new"}},
])  # fmt: skip
def test_a_vouching_without_its_parts_is_none(result: object):
    with pytest.raises(AuthorizationUnavailable) as caught:
        vouched(told({"result": result}))

    assert caught.value.status == 502


@pytest.mark.parametrize("said", [
    b"", answer(b"<html>"), answer(b"", "502 Bad Gateway"), answer(b"[" * 100_000),
    told({"error": "INTERNAL"}, "500 Oops"), answer(b"", "302 Found", "Location: http://127.0.0.1:9/"),
    told({"error": "QUERY_LIMIT_EXCEEDED"}, "503 Busy"),
])  # fmt: skip
def test_a_server_that_cannot_be_asked_is_not_a_refusal(said: bytes):
    with pytest.raises(AuthorizationUnavailable) as caught:
        vouched(said)

    assert caught.value.status == 502


@pytest.mark.parametrize(("said", "read"), [
    ("landing,user_brief", ("landing", "user_brief")), ("landing user_brief", ("landing", "user_brief")),
    (" landing , ,", ("landing",)), ("", ()), (None, ()), (["landing", " "], ("landing",)),
])  # fmt: skip
def test_scopes_come_with_commas_spaces_or_as_a_list(said: object, read: tuple[str, ...]):
    assert scopes(said) == read
