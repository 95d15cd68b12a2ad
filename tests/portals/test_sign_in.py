"""The full OAuth code flow outside the frame: gates, single use, and the page at its end."""

from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from b24app.factory import create_app
from b24app.services import Services, build
from b24app.signing import Signer
from b24app.store.models import OneTimeMark, Portal, User
from b24app.store.vault import fingerprint
from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.people import TOKEN, Person


@pytest.fixture
def browser(app: Flask, ada: Person) -> FlaskClient:
    """A browser that keeps its cookie; the app is installed on the first portal."""
    return app.test_client()


def depart(browser: FlaskClient, domain: str) -> str:
    """Begin; the portal's address to sign in at."""
    answer = browser.get("/oauth/start", query_string={"domain": domain})
    assert answer.status_code == 302, answer.text
    return answer.headers["Location"]


def come_back(address: str) -> str:
    """Sign in at the portal; the path with query it sends the browser back to."""
    answer = requests.get(address, allow_redirects=False, timeout=10)
    assert answer.status_code == 302
    parts = urlsplit(answer.headers["Location"])
    return f"{parts.path}?{parts.query}"


def changed(path: str, **values: str) -> str:
    query = {name: found[0] for name, found in parse_qs(urlsplit(path).query).items()} | values
    return f"/oauth/callback?{urlencode({name: value for name, value in query.items() if value})}"


def test_a_person_signs_in_and_gets_the_apps_own_page(browser: FlaskClient, standin: StandIn, app: Flask):
    address = depart(browser, standin.portals[0].domain)
    assert address.startswith(f"{standin.portals[0].url.rstrip('/')}/oauth/authorize/?client_id=")

    landed = browser.get(come_back(address))
    answer = browser.get(landed.headers["Location"])

    assert (landed.status_code, urlsplit(landed.headers["Location"]).path) == (302, "/oauth/callback")
    assert answer.status_code == 200
    token = TOKEN.search(answer.text)
    assert token
    headers = {"Authorization": f"Bearer {token.group(1)}", "Accept": "application/json"}
    assert app.test_client().get("/pages", headers=headers).status_code == 200


def test_the_cookie_is_for_this_alone_and_gone_at_the_end(browser: FlaskClient, standin: StandIn):
    begun = browser.get("/oauth/start", query_string={"domain": standin.portals[0].domain}).headers["Set-Cookie"]
    back = come_back(depart(browser, standin.portals[0].domain))
    ended = browser.get(changed(back)).headers["Set-Cookie"]

    assert {"Path=/oauth", "HttpOnly", "SameSite=Lax"} <= set(begun.split("; "))
    assert "Max-Age=0" in ended


@pytest.mark.parametrize(
    "domain", ["", "evil.com/", "a@b", "//evil", "https://evil.com", "acme .com", "a" * 300, "x\0y"]
)
def test_what_is_no_plain_host_is_malformed(browser: FlaskClient, domain: str):
    answer = browser.get("/oauth/start", query_string={"domain": domain})

    assert answer.status_code == 400
    assert "<html" in answer.text


def test_a_portal_without_the_app_is_not_found(browser: FlaskClient, standin: StandIn):
    for domain in ("acme.bitrix24.com", standin.portals[1].domain):
        answer = browser.get("/oauth/start", query_string={"domain": domain})

        assert answer.status_code == 404
        assert "<html" in answer.text


def test_a_state_is_good_once_however_many_come_at_the_same_time(
    browser: FlaskClient, standin: StandIn, app: Flask, config, clock: TurnableClock
):
    """Two applications over one database stand for two processes."""
    other = build(config, clock=clock)
    apps = (app, create_app(other))
    back = changed(come_back(depart(browser, standin.portals[0].domain)))
    cookie = browser.get_cookie("sundown_sign_in", path="/oauth")
    assert cookie

    def call(number: int) -> int:
        client = apps[number % 2].test_client()
        client.set_cookie("sundown_sign_in", cookie.value, path="/oauth")
        return client.get(back).status_code

    with ThreadPoolExecutor(4) as pool:
        answers = sorted(pool.map(call, range(4)))
    other.close()

    assert answers == [200, 403, 403, 403]


@pytest.mark.parametrize(("path", "accepts", "title"), [
    ("/app", "en", "The sign-in was declined"), ("/oauth/callback", "de", "Die Anmeldung wurde abgelehnt"),
])  # fmt: skip
def test_who_declines_is_told_so_and_nothing_is_stored(
    browser: FlaskClient, standin: StandIn, services: Services, path: str, accepts: str, title: str
):
    state = parse_qs(urlsplit(depart(browser, standin.portals[0].domain)).query)["state"][0]
    said = {"error": "access_denied", "state": state}
    answer = browser.get(path, query_string=said, headers={"Accept-Language": accepts}, follow_redirects=True)

    assert answer.status_code == 403
    assert title in answer.text
    assert "Bitrix24" in answer.text
    assert "could not be understood" not in answer.text
    assert browser.get(changed(come_back(depart(browser, standin.portals[0].domain)))).status_code == 200
    with services.store.begin() as db:
        assert db.scalar(select(func.count()).select_from(OneTimeMark)) == 1, "the state that was declined was spent"


def test_an_error_that_is_no_refusal_is_malformed(browser: FlaskClient):
    assert browser.get("/oauth/callback", query_string={"error": "<b>"}).status_code == 400


def test_another_browser_cannot_finish_what_this_one_began(
    browser: FlaskClient, standin: StandIn, app: Flask, services: Services
):
    back = changed(come_back(depart(browser, standin.portals[0].domain)))
    stranger = app.test_client()
    known = app.test_client()
    known.get("/oauth/start", query_string={"domain": standin.portals[0].domain})

    assert [stranger.get(back).status_code, known.get(back).status_code] == [403, 403]
    assert standin.oauth_asked("/oauth/token/") == 0
    with services.store.begin() as db:
        assert db.scalar(select(func.count()).select_from(OneTimeMark)) == 0


def test_a_state_ends_after_ten_minutes(browser: FlaskClient, standin: StandIn, clock: TurnableClock):
    back = changed(come_back(depart(browser, standin.portals[0].domain)))

    clock.tick(minutes=11)

    assert browser.get(back).status_code == 403
    assert standin.oauth_asked("/oauth/token/") == 0


@pytest.mark.parametrize("state", ["", "x", "e30.e30.e30"])
def test_a_made_up_state_is_refused(browser: FlaskClient, standin: StandIn, state: str):
    back = come_back(depart(browser, standin.portals[0].domain))

    assert browser.get(changed(back, state=state)).status_code == 403
    assert standin.oauth_asked("/oauth/token/") == 0


def test_a_session_token_is_no_state_and_a_state_no_session_token(browser: FlaskClient, standin: StandIn, ada: Person):
    ada.open()
    back = come_back(depart(browser, standin.portals[0].domain))
    state = parse_qs(urlsplit(back).query)["state"][0]

    assert browser.get(changed(back, state=ada.token)).status_code == 403
    ada.token = state
    assert ada.get("/pages").status_code == 401


def test_what_was_signed_for_another_purpose_is_no_state(browser: FlaskClient, standin: StandIn, services: Services):
    back = come_back(depart(browser, standin.portals[0].domain))
    cookie = browser.get_cookie("sundown_sign_in", path="/oauth")
    assert cookie
    claims = {"member_id": standin.portals[0].member_id, "browser": fingerprint(cookie.value)}
    ends = int(services.clock().timestamp()) + 600

    def signed_for(purpose: str) -> str:
        return Signer(services.config.session_keys, purpose, services.clock).sign(claims, ends)

    own = services.config.app_url
    assert browser.get(changed(back, state=signed_for(own))).status_code == 403
    assert browser.get(changed(back, state=signed_for("https://another.example/oauth"))).status_code == 403
    assert browser.get(changed(back, state=signed_for(f"{own}/oauth"))).status_code == 200


def test_a_code_of_another_portal_is_refused(
    browser: FlaskClient, standin: StandIn, charlie: Person, services: Services
):
    address = depart(browser, standin.portals[0].domain)
    state = parse_qs(urlsplit(address).query)["state"][0]
    query = urlencode({"client_id": standin.client_id, "state": state})
    back = come_back(f"{standin.portals[1].url.rstrip('/')}/oauth/authorize/?{query}")
    with services.store.begin() as db:
        before = db.scalar(select(func.count()).select_from(User))

    answer = browser.get(changed(back))

    assert answer.status_code == 403
    assert not TOKEN.search(answer.text)
    with services.store.begin() as db:
        assert db.scalar(select(func.count()).select_from(User)) == before


@pytest.mark.parametrize("lie", [{"member_id": "f" * 32}, {"domain": "evil.example"}])
def test_a_callback_that_names_another_portal_is_refused(
    browser: FlaskClient, standin: StandIn, services: Services, lie: dict[str, str]
):
    with services.store.begin() as db:
        before = db.scalar(select(func.count()).select_from(User))
    back = come_back(depart(browser, standin.portals[0].domain))

    answer = browser.get(changed(back, **lie))

    assert answer.status_code == 403
    assert not TOKEN.search(answer.text)
    with services.store.begin() as db:
        assert db.scalar(select(func.count()).select_from(User)) == before


@pytest.mark.parametrize("twice", ["domain=a.example&domain=b.example", "domain=a%00b"])
def test_what_is_said_twice_or_broken_is_malformed(browser: FlaskClient, twice: str):
    assert browser.get(f"/oauth/start?{twice}").status_code == 400
    assert browser.get(f"/oauth/callback?code=x&state=y&{twice}").status_code == 400


def test_a_sign_in_page_cannot_be_framed_and_carries_no_token(browser: FlaskClient, standin: StandIn):
    answer = browser.get(changed(come_back(depart(browser, standin.portals[0].domain))))

    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Location" not in answer.headers
    pairs = [text for token in standin.world.tokens.values() for text in (token.access, token.refresh)]
    assert [pair for pair in pairs if pair in answer.text + str(answer.headers)] == []


def test_a_removed_app_begins_no_sign_in(browser: FlaskClient, standin: StandIn, services: Services):
    portal = standin.portals[0]
    with services.store.begin() as db:
        services.removal.close(db, db.get_one(Portal, portal.member_id, with_for_update=True), erase=False)

    assert browser.get("/oauth/start", query_string={"domain": portal.domain}).status_code == 404


def test_a_server_that_is_not_of_our_list_never_gets_the_code(browser: FlaskClient, standin: StandIn):
    back = come_back(depart(browser, standin.portals[0].domain))
    evil = StandIn.start()
    try:
        host = urlsplit(evil.world.servers[0]).netloc

        assert browser.get(changed(back, server_domain=host)).status_code == 200
        assert evil.oauth_asked("/oauth/token/") == 0
    finally:
        evil.stop()


def test_the_other_trusted_server_is_used_when_it_is_named(browser: FlaskClient, standin: StandIn):
    back = come_back(depart(browser, standin.portals[0].domain))
    second = urlsplit(standin.world.servers[1]).netloc

    assert browser.get(changed(back, server_domain=second)).status_code == 200


def test_a_used_code_is_refused_in_words(browser: FlaskClient, standin: StandIn):
    back = come_back(depart(browser, standin.portals[0].domain))

    answer = browser.get(changed(back, code="0" * 70))

    assert answer.status_code in (401, 403)
    assert "<html" in answer.text


def test_a_callback_without_a_code_is_malformed(browser: FlaskClient):
    assert browser.get("/oauth/callback").status_code == 400


@pytest.mark.parametrize("path", ["/app", "/oauth/callback", "/oauth/start", "/pages"])
def test_raw_bytes_in_an_address_are_malformed(browser: FlaskClient, path: str):
    assert browser.get(path, environ_overrides={"QUERY_STRING": "code=abc&domain=\xff\xfe"}).status_code == 400
