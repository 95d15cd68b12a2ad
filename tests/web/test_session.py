"""The session token: what it is worth, when it ends, and what cannot be made into one."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from b24app.factory import create_app
from b24app.services import Services, build
from b24app.store.models import Portal, User
from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.conftest import make_config
from tests.people import Person

Forge = Callable[[dict[str, Any], str], str]


def coded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def parts_of(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """Header, claims and signature of a token."""
    header, claims, signature = token.split(".")
    read = [json.loads(base64.urlsafe_b64decode(part + "==")) for part in (header, claims)]
    return read[0], read[1], signature


def signed(claims: dict[str, Any], key: str, alg: str = "HS256", **header: str) -> str:
    return jwt.encode({"alg": alg, **header}, claims, OctKey.import_key(key), algorithms=[alg])


def status(person: Person, token: str) -> int:
    answer = person.client.get("/pages", headers={"Authorization": f"Bearer {token}", "Accept": "application/json"})
    assert answer.status_code in (200, 401)
    if answer.status_code == 401:
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
        assert answer.json
        assert answer.json["code"] == "session_expired"
    return answer.status_code


# --- what is no session token ----------------------------------------------------------------------------------------


def without_algorithm(claims: dict[str, Any], key: str) -> str:
    return f"{coded({'alg': 'none', 'typ': 'JWT'})}.{coded(claims)}."


def without_algorithm_but_signed(claims: dict[str, Any], key: str) -> str:
    return f"{coded({'alg': 'None', 'typ': 'JWT'})}.{coded(claims)}.{signed(claims, key).split('.')[2]}"


def another_algorithm(claims: dict[str, Any], key: str) -> str:
    return signed(claims, key, "HS512")


def rsa_signature(claims: dict[str, Any], key: str) -> str:
    own = RSAKey.generate_key(2048)
    return jwt.encode({"alg": "RS256"}, claims, own, algorithms=["RS256"])


def another_key(claims: dict[str, Any], key: str) -> str:
    return signed(claims, "x" * 48)


def another_key_under_the_name_of_ours(claims: dict[str, Any], key: str) -> str:
    return signed(claims, "x" * 48, kid=claims["kid"])


def for_another_audience(claims: dict[str, Any], key: str) -> str:
    return signed(claims | {"aud": "https://another.example"}, key)


def for_signing_in(claims: dict[str, Any], key: str) -> str:
    return signed(claims | {"aud": f"{claims['aud']}/oauth"}, key)


def of_another_issuer(claims: dict[str, Any], key: str) -> str:
    return signed(claims | {"iss": "somebody"}, key)


def without_an_end(claims: dict[str, Any], key: str) -> str:
    return signed({name: value for name, value in claims.items() if name != "exp"}, key)


def without_an_id(claims: dict[str, Any], key: str) -> str:
    return signed({name: value for name, value in claims.items() if name != "jti"}, key)


def of_nobody(claims: dict[str, Any], key: str) -> str:
    return signed({name: value for name, value in claims.items() if name != "sub"}, key)


def of_an_unknown_portal(claims: dict[str, Any], key: str) -> str:
    return signed(claims | {"member_id": "f" * 32}, key)


def of_an_unknown_user(claims: dict[str, Any], key: str) -> str:
    return signed(claims | {"sub": "4711"}, key)


def of_an_odd_shape(claims: dict[str, Any], key: str) -> str:
    return signed(claims | {"pe": None, "sub": "one"}, key)


@pytest.mark.parametrize(
    "forge",
    [
        without_algorithm, without_algorithm_but_signed, another_algorithm, rsa_signature,
        another_key, another_key_under_the_name_of_ours, for_another_audience, for_signing_in, of_another_issuer,
        without_an_end, without_an_id, of_nobody, of_an_unknown_portal, of_an_unknown_user, of_an_odd_shape,
    ],
)  # fmt: skip
def test_what_is_no_token_of_ours_opens_nothing(alice: Person, environment: dict[str, str], forge: Forge):
    header, claims, _ = parts_of(alice.token)

    token = forge(claims | {"kid": header["kid"]}, environment["SECRET_KEY"])

    assert status(alice, token) == 401


def test_the_forgeries_are_refused_for_what_is_wrong_with_them_only(alice: Person, environment: dict[str, str]):
    claims = parts_of(alice.token)[1]

    assert status(alice, signed(claims, environment["SECRET_KEY"])) == 200


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_token_changed_in_one_letter_opens_nothing(alice: Person, part: int):
    pieces = alice.token.split(".")
    middle = len(pieces[part]) // 2
    other = "A" if pieces[part][middle] != "A" else "B"
    pieces[part] = pieces[part][:middle] + other + pieces[part][middle + 1 :]

    assert status(alice, ".".join(pieces)) == 401


@pytest.mark.parametrize("token", ["", "x", "a.b", "a.b.c", "..", "e30.e30.e30", "ÿ", "x" * 5000])
def test_junk_opens_nothing(alice: Person, token: str):
    assert status(alice, token) == 401


@pytest.mark.parametrize("scheme", ["Basic", "Token", ""])
def test_only_a_bearer_header_opens(alice: Person, scheme: str):
    answer = alice.client.get("/pages", headers={"Authorization": f"{scheme} {alice.token}".strip()})

    assert answer.status_code == 401


def test_a_token_in_query_form_or_cookie_opens_nothing(app: Flask, alice: Person):
    client = app.test_client()
    client.set_cookie("session", alice.token)
    client.set_cookie("session-token", alice.token)

    by_query = client.get("/pages", query_string={"session_token": alice.token, "access_token": alice.token})
    by_form = client.post("/runs", data={"action": "unpublish", "lids": "351", "session_token": alice.token})

    assert (by_query.status_code, by_form.status_code) == (401, 401)
    assert alice.portal.page(351).active


def test_a_form_of_another_origin_orders_nothing(app: Flask, alice: Person):
    headers = {"Origin": "https://evil.example", "Referer": "https://evil.example/"}

    answer = app.test_client().post("/runs", data={"action": "unpublish", "lids": "351"}, headers=headers)

    assert answer.status_code == 401
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert alice.portal.page(351).active


# --- when it ends ----------------------------------------------------------------------------------------------------


def test_a_token_ends_after_an_hour_and_ten_seconds(alice: Person, clock: TurnableClock):
    alice.opened()
    clock.tick(minutes=60, seconds=5)
    within_the_tolerance = status(alice, alice.token)

    clock.tick(seconds=10)

    assert within_the_tolerance == 200
    assert status(alice, alice.token) == 401


def test_a_token_in_use_is_renewed_by_a_header_and_not_before_it_is_due(alice: Person, clock: TurnableClock):
    at_first = alice.get("/pages")
    clock.tick(minutes=11)

    later = alice.get("/pages")

    assert "Session-Token" not in at_first.headers
    fresh = later.headers["Session-Token"]
    assert fresh != alice.token
    clock.tick(minutes=55)
    assert (status(alice, alice.token), status(alice, fresh)) == (401, 200)


def test_a_refusal_renews_nothing(alice: Person, clock: TurnableClock):
    clock.tick(minutes=11)

    answer = alice.get("/runs/00000000-0000-0000-0000-000000000000")

    assert answer.status_code == 404
    assert "Session-Token" not in answer.headers


def test_twelve_hours_after_the_opening_it_is_over_however_busy_one_is(alice: Person, clock: TurnableClock):
    opened = clock()
    alice.opened()
    while (clock() - opened).total_seconds() < 11.8 * 3600:
        clock.tick(minutes=20)
        answer = alice.get("/runs")
        assert answer.status_code == 200
        alice.token = answer.headers.get("Session-Token", alice.token)

    clock.tick(minutes=20)

    assert status(alice, alice.token) == 401


def test_a_new_epoch_of_a_portal_ends_all_sessions_there_and_no_others(
    alice: Person, bob: Person, charlie: Person, services: Services
):
    with services.store.begin() as db:
        db.get_one(Portal, alice.portal.member_id).epoch += 1

    assert [status(person, person.token) for person in (alice, bob, charlie)] == [401, 401, 200]


def test_the_end_of_a_users_epoch_ends_their_sessions_only(alice: Person, bob: Person, services: Services):
    with services.store.begin() as db:
        db.get_one(User, (alice.portal.member_id, alice.user_id)).epoch += 1

    assert [status(person, person.token) for person in (alice, bob)] == [401, 200]


@pytest.mark.parametrize(
    ("change", "code", "first"),
    [({"active": False}, "authorization_error", 401), ({"may_use_app": False}, "user_access_error", 403)],
)
def test_a_session_ends_when_bitrix24_says_the_user_may_not(
    alice: Person, bob: Person, change: dict[str, bool], code: str, first: int
):
    alice.portal.change_user("editor", **change)

    told = alice.get("/pages")

    assert told.json
    assert (told.status_code, told.json["code"]) == (first, code)
    assert status(alice, alice.token) == 401
    assert bob.get("/pages").status_code == 200


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_keys(
    environment: dict[str, str], clock: TurnableClock, services: Services
) -> Iterator[Callable[[str], Flask]]:
    """Makes the app with other keys over the same database."""
    made: list[Services] = []

    def make(keys: str) -> Flask:
        made.append(build(make_config(environment | {"SECRET_KEY": keys}), clock=clock))
        return create_app(made[-1])

    yield make
    for each in made:
        each.close()


def test_keys_rotate_without_ending_sessions(
    alice: Person, environment: dict[str, str], with_keys: Callable[[str], Flask], clock: TurnableClock
):
    old, new = environment["SECRET_KEY"], "n" * 48
    clock.tick(minutes=11)

    alice.client = with_keys(f"{new},{old}").test_client(use_cookies=False)
    during = alice.get("/runs")
    fresh = during.headers["Session-Token"]
    alice.client = with_keys(new).test_client(use_cookies=False)

    assert during.status_code == 200
    assert parts_of(fresh)[0]["kid"] != parts_of(alice.token)[0]["kid"]
    assert (status(alice, alice.token), status(alice, fresh)) == (401, 200)


# --- POST /session ---------------------------------------------------------------------------------------------------


def test_fresh_tokens_of_the_portal_give_a_new_session_and_no_cookie(alice: Person, clock: TurnableClock):
    clock.tick(hours=13)
    assert status(alice, alice.token) == 401

    answer = alice.heal()

    assert answer.status_code == 200
    assert set(answer.json or {}) == {"session_token"}
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    assert status(alice, alice.token) == 200


def test_the_user_of_a_new_session_is_the_tokens_and_not_the_posts(alice: Person, bob: Person):
    form = bob.frame()[1]
    body = form | {"DOMAIN": bob.portal.domain, "user_id": str(alice.user_id)}

    answer = bob.client.post("/session", data=body)

    assert answer.json
    assert parts_of(answer.json["session_token"])[1]["sub"] == str(bob.user_id)


def test_an_expired_token_of_the_portal_gives_no_session(alice: Person, standin: StandIn):
    form = alice.frame()[1]
    alice.portal.expire()

    answer = alice.client.post("/session", data=form | {"DOMAIN": alice.portal.domain})

    assert answer.status_code == 403
    assert "session_token" not in answer.text
