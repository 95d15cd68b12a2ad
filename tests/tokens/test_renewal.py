"""A token's life: renewed when Bitrix24 says so, once, and what happens when it cannot be."""

import base64
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import func, select, update
from structlog.testing import capture_logs
from werkzeug.test import TestResponse

from b24app import jobs
from b24app.deadline import within
from b24app.domain import UserRef
from b24app.errors import KeyMissing, OperatorError, Unavailable, UserGone
from b24app.runs.waiting import Recovery
from b24app.services import Services, build
from b24app.store.models import Portal, User, UserToken
from b24app.store.vault import CannotOpen
from b24app.tokens.credentials import Credentials
from b24app.tokens.exchange import USER_CHANGED
from b24app.tokens.keep_alive import MOST_AT_ONCE, KeepAlive
from b24app.tokens.user_tokens import place
from b24sandbox import StandIn
from tests.clocks import Gate, TurnableClock, until
from tests.conftest import make_config
from tests.people import Person
from tests.worker import work_until_idle

PAGE = 351
TOKEN = "/oauth/token/"
WAITS_FOR_A_LOCK = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
END_THE_HOLDER = """
    select pg_terminate_backend(holder) from pg_stat_activity, unnest(pg_blocking_pids(pid)) as holder
    where datname = current_database() and wait_event_type = 'Lock'"""


def who(person: Person) -> UserRef:
    return UserRef(person.portal.member_id, person.user_id)


def told(answer: TestResponse) -> dict:
    """The JSON of an answer."""
    assert answer.json is not None, answer.text
    return answer.json


def row(services: Services, person: Person) -> UserToken:
    with services.store.begin() as db:
        return db.get_one(UserToken, (person.portal.member_id, person.user_id))


def outdate(services: Services, person: Person) -> None:
    """Let the stored token's time be over, so that it is renewed before the call."""
    with services.store.begin() as db:
        db.get_one(UserToken, (person.portal.member_id, person.user_id)).expires_at -= timedelta(hours=2)


def renewals(standin: StandIn) -> int:
    return standin.oauth_asked(TOKEN)


# --- the plain case -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["expired_token", "invalid_token"])
def test_a_refused_token_is_renewed_once_and_the_page_comes_down(alice: Person, standin: StandIn, word: str):
    if word == "expired_token":
        alice.portal.expire("editor")
    else:
        standin.fault(0, method="batch", kind="error", code="invalid_token", status=401)

    answer = alice.unpublish(PAGE)

    assert answer.status_code == 201, answer.text
    assert not alice.portal.page(PAGE).active
    assert renewals(standin) == 1


def test_a_token_whose_time_has_passed_is_renewed_before_the_call(
    alice: Person, standin: StandIn, services: Services, clock: TurnableClock
):
    clock.tick(minutes=61)
    before = alice.portal.requests()

    services.tokens.call(who(alice), "profile")

    assert renewals(standin) == 1
    assert alice.portal.requests() - before == 1


def test_a_living_token_is_never_renewed_ahead_of_need(alice: Person, standin: StandIn, clock: TurnableClock):
    clock.tick(minutes=55)

    assert alice.unpublish(PAGE).status_code == 201
    assert renewals(standin) == 0


def test_the_renewed_pair_is_the_one_that_is_kept(alice: Person, standin: StandIn, services: Services):
    old = row(services, alice).access_sha256
    for _ in range(3):
        alice.portal.expire("editor")
        services.tokens.call(who(alice), "profile")

    assert renewals(standin) == 3
    assert row(services, alice).access_sha256 != old
    assert row(services, alice).dead_code is None


def test_a_token_refused_twice_is_not_renewed_for_ever(alice: Person, standin: StandIn):
    standin.fault(0, method="batch", kind="error", code="expired_token", status=401, times=-1)

    answer = alice.unpublish(PAGE)

    assert (answer.status_code, told(answer)["code"]) == (401, "expired_token")
    assert renewals(standin) == 1
    assert told(alice.get("/runs"))["runs"] == [], "a failure of the call keeps no run"


# --- it cannot be renewed -------------------------------------------------------------------------------------------


def test_a_refused_renewal_asks_the_person_in_and_session_heals_it(alice: Person, standin: StandIn, services: Services):
    alice.portal.expire_refresh("editor")

    refused = alice.unpublish(PAGE)

    assert (refused.status_code, told(refused)["code"], told(refused)["who"]) == (401, "invalid_grant", "you")
    assert row(services, alice).dead_code == "invalid_grant"
    assert alice.portal.page(PAGE).active

    assert alice.heal().status_code == 200

    assert alice.unpublish(PAGE).status_code == 201
    assert row(services, alice).dead_code is None
    assert not alice.portal.page(PAGE).active


def test_a_pair_that_is_known_to_be_dead_is_not_tried_again(alice: Person, standin: StandIn, services: Services):
    alice.portal.expire_refresh("editor")
    alice.unpublish(PAGE)

    for _ in range(3):
        assert told(alice.unpublish(PAGE))["code"] == "invalid_grant"

    assert renewals(standin) == 1


def test_a_lost_answer_is_asked_for_once_more_with_the_same_token(alice: Person, standin: StandIn):
    alice.portal.expire("editor")
    standin.fault("oauth", method=TOKEN, kind="reset")

    answer = alice.unpublish(PAGE)

    assert answer.status_code == 201, "the server had not seen the first one"
    assert renewals(standin) == 2


def test_when_the_answer_of_a_renewal_is_lost_the_page_asks_the_portal(
    alice: Person, standin: StandIn, services: Services
):
    alice.portal.expire("editor")
    standin.fault("oauth", method=TOKEN, kind="reset_after")

    answer = alice.unpublish(PAGE)

    assert (answer.status_code, told(answer)["code"]) == (401, "invalid_grant")
    assert renewals(standin) == 2
    assert alice.heal().status_code == 200
    assert alice.unpublish(PAGE).status_code == 201


def test_where_the_server_forgives_a_lost_answer_nobody_notices(alice: Person, standin: StandIn):
    standin.world.rotation = "grace"
    alice.portal.expire("editor")
    standin.fault("oauth", method=TOKEN, kind="reset_after")

    assert alice.unpublish(PAGE).status_code == 201


@pytest.mark.parametrize("fault", [
    {"kind": "html"}, {"kind": "bad_json"}, {"kind": "empty"}, {"kind": "short"},
    {"kind": "error", "code": "INTERNAL_SERVER_ERROR", "status": 500},
    {"kind": "missing_field", "field": "access_token"}, {"kind": "missing_field", "field": "member_id"},
])  # fmt: skip
def test_an_unwell_authorization_server_condemns_no_pair(
    alice: Person, standin: StandIn, services: Services, fault: dict
):
    standin.world.rotation = "grace"
    alice.portal.expire("editor")
    standin.fault("oauth", method=TOKEN, times=2, **fault)

    answer = alice.unpublish(PAGE)

    assert answer.status_code == 502
    assert told(answer)["who"] == "bitrix24"
    assert row(services, alice).dead_code is None
    assert alice.unpublish(PAGE).status_code == 201


def test_an_answer_that_trickles_in_is_not_waited_for(alice: Person, standin: StandIn, services: Services):
    alice.portal.expire("editor")
    standin.fault("oauth", method=TOKEN, kind="drip", seconds=30)

    started = time.monotonic()
    answer = alice.unpublish(PAGE)

    assert time.monotonic() - started < 20
    assert (answer.status_code, told(answer)["code"]) == (401, "invalid_grant"), "the server had rotated"
    assert alice.heal().status_code == 200


def test_an_unreachable_authorization_server_condemns_no_token(
    alice: Person, services: Services, environment: dict[str, str]
):
    nobody = build(make_config(environment | {"B24_OAUTH_URL": "http://127.0.0.1:9"}))
    alice.portal.expire("editor")

    with pytest.raises(Unavailable) as silent:
        nobody.tokens.call(who(alice), "profile")

    nobody.close()
    assert not silent.value.maybe_done
    assert row(services, alice).dead_code is None
    assert alice.unpublish(PAGE).status_code == 201


def test_the_secret_goes_only_to_servers_that_are_trusted_now(alice: Person, standin: StandIn, services: Services):
    stranger = StandIn.start(portals=1)
    try:
        with services.store.begin() as db:
            db.get_one(Portal, alice.portal.member_id).oauth_server = stranger.oauth
        alice.portal.expire("editor")

        assert alice.unpublish(PAGE).status_code == 201
        assert not stranger.calls()
    finally:
        stranger.stop()


# --- people and portals change --------------------------------------------------------------------------------------


def test_a_dismissed_users_sessions_end_and_their_runs_wait_for_a_takeover(
    alice: Person, standin: StandIn, services: Services
):
    alice.portal.forget_user("editor")

    answer = alice.unpublish(PAGE)

    assert (answer.status_code, told(answer)["code"], told(answer)["who"]) == (
        401,
        "authorization_error",
        "administrator",
    )
    assert told(alice.get("/pages"))["code"] == "session_expired"
    assert renewals(standin) == 0


def test_tokens_moved_to_a_system_user_are_not_used_on_anybodys_behalf(
    alice: Person, standin: StandIn, services: Services
):
    alice.portal.add_users(1)
    system = max(alice.portal.state.users)
    with standin.world.lock:
        for token in standin.world.tokens.values():
            token.user_id = system if token.user_id == alice.user_id else token.user_id
    alice.portal.expire(system)
    before = alice.portal.requests()

    with pytest.raises(UserGone):
        services.tokens.call(who(alice), "profile")

    assert alice.portal.requests() - before == 1, "the refused call and no other"
    assert row(services, alice).dead_code == USER_CHANGED
    assert told(alice.get("/pages"))["code"] == "session_expired"
    with services.store.begin() as db:
        assert db.get(User, (alice.portal.member_id, system)) is None


# What happens, who is asked first, what the person is told, and why the portal's work stops: only by its own word,
# confirmed. An app that is switched off in the portal is still installed, says the authorization server.
GONE = [
    (lambda portal: portal.uninstall(), "portal", 410, "ERROR_OAUTH", "ERROR_OAUTH"),
    (lambda portal: portal.uninstall(), "server", 410, "NOT_INSTALLED", "ERROR_OAUTH"),
    (lambda portal: portal.switch(app_active=False), "portal", 410, "APPLICATION_NOT_FOUND", None),
    (lambda portal: portal.switch(app_active=False), "server", 410, "APPLICATION_NOT_FOUND", None),
    (lambda portal: portal.switch(payment_expired=True), "portal", 402, "PAYMENT_REQUIRED", "PAYMENT_REQUIRED"),
    (lambda portal: portal.switch(payment_expired=True), "server", 402, "PAYMENT_REQUIRED", None),
]


@pytest.mark.parametrize(("happens", "first_asked", "status", "code", "suspended"), GONE)
def test_an_app_removed_or_unpaid_suspends_its_portal_and_keeps_tokens(
    alice: Person,
    services: Services,
    happens: Callable,
    first_asked: str,
    status: int,
    code: str,
    suspended: str | None,
):
    if first_asked != "portal":
        outdate(services, alice)
    happens(alice.portal)

    answer = alice.unpublish(PAGE)

    assert (answer.status_code, told(answer)["code"]) == (status, code)
    assert row(services, alice).dead_code is None
    with services.store.begin() as db:
        assert db.get_one(Portal, alice.portal.member_id).suspended_code == suspended


def test_a_wrong_secret_at_deploy_harms_nobody_and_is_told_to_the_operator(
    alice: Person, services: Services, environment: dict[str, str]
):
    deployed = build(make_config(environment | {"B24_CLIENT_SECRET": "not-the-secret"}))
    alice.portal.expire("editor")

    with capture_logs() as lines, pytest.raises(OperatorError) as refusal:
        deployed.tokens.call(who(alice), "profile")

    deployed.close()
    assert (refusal.value.code, refusal.value.status, refusal.value.fixable_by) == ("invalid_client", 500, "operator")
    assert [line["log_level"] for line in lines if line["event"] == "client_credentials_refused"] == ["critical"]
    assert row(services, alice).dead_code is None
    assert alice.unpublish(PAGE).status_code == 201, "with the right secret everything goes on"


def test_a_wrong_client_id_answers_200_and_is_understood(
    alice: Person, services: Services, environment: dict[str, str]
):
    deployed = build(make_config(environment | {"B24_CLIENT_ID": "app.nobody"}))
    alice.portal.expire("editor")

    with pytest.raises(OperatorError) as refusal:
        deployed.tokens.call(who(alice), "profile")

    deployed.close()
    assert refusal.value.code == "wrong_client"
    assert row(services, alice).dead_code is None


def test_a_renewal_brings_the_portals_new_address(alice: Person, services: Services):
    alice.portal.expire("editor")
    outdate(services, alice)
    new = alice.portal.rename()

    services.tokens.call(who(alice), "profile")

    with services.store.begin() as db:
        portal = db.get_one(Portal, alice.portal.member_id)
    assert portal.client_endpoint == f"{new}/rest/"
    assert portal.domain == alice.portal.domain


def test_a_renewal_without_a_refresh_token_keeps_the_old_one_and_says_so(
    alice: Person, services: Services, standin: StandIn
):
    old = services.vault.open(row(services, alice).refresh, place(who(alice), "refresh"))
    standin.world.rotation = "none"
    standin.fault("oauth", "/oauth/token/", kind="missing_field", field="refresh_token", times=1)
    outdate(services, alice)

    with capture_logs() as lines:
        assert alice.unpublish(PAGE).status_code == 201

    assert services.vault.open(row(services, alice).refresh, place(who(alice), "refresh")) == old
    assert [line["log_level"] for line in lines if line["event"] == "renewal_without_refresh_token"] == ["warning"]
    outdate(services, alice)
    assert alice.get("/pages?fresh=1").status_code == 200, "the old one renews again"


# --- at rest --------------------------------------------------------------------------------------------------------


def test_a_ciphertext_moved_to_another_row_does_not_open(alice: Person, bob: Person, services: Services):
    stolen, own = row(services, alice), row(services, bob)
    with services.store.begin() as db:
        mine = db.get_one(UserToken, (bob.portal.member_id, bob.user_id))
        mine.access, mine.refresh, mine.access_sha256 = stolen.access, stolen.refresh, stolen.access_sha256

    with pytest.raises(CannotOpen, match="does not belong to this row"):
        services.vault.open(stolen.access, place(who(bob), "access"))
    with pytest.raises(KeyMissing):
        services.tokens.call(who(bob), "profile")
    with services.store.begin() as db:
        mine = db.get_one(UserToken, (bob.portal.member_id, bob.user_id))
        mine.access, mine.refresh = own.refresh, own.access
    with pytest.raises(KeyMissing):
        services.tokens.call(who(bob), "profile")


def test_a_missing_key_is_the_operators_matter_and_opening_the_app_heals(
    alice: Person, services: Services, environment: dict[str, str], clock: TurnableClock, standin: StandIn
):
    from b24app.factory import create_app

    other = base64.urlsafe_b64encode(b"w" * 32).decode()
    deployed = build(make_config(environment | {"TOKEN_KEYS": other}), clock=clock)
    editor = Person(create_app(deployed), standin.portals[0], "editor")
    editor.token = alice.token

    answer = editor.unpublish(PAGE)

    assert (answer.status_code, told(answer)["code"], told(answer)["who"]) == (500, "token_key_missing", "operator")
    with services.store.begin() as db:
        db.get_one(UserToken, (alice.portal.member_id, alice.user_id)).expires_at += timedelta(minutes=30)
    assert editor.opened().unpublish(PAGE).status_code == 201
    deployed.close()


# --- old age -----------------------------------------------------------------------------------------------------


def crowd(services: Services, person: Person, number: int) -> list[UserRef]:
    """Colleagues with tokens, all got at this moment."""
    people = [UserRef(person.portal.member_id, each) for each in person.portal.add_users(number)]
    with services.store.begin() as db:
        db.add_all(User(member_id=user.member_id, user_id=user.user_id, name="") for user in people)
        db.flush()
        for user in people:
            pair = person.portal.tokens(user.user_id)
            soon = services.clock() + timedelta(hours=1)
            services.tokens.remember(db, user, str(pair["access_token"]), str(pair["refresh_token"]), soon)
    return people


@pytest.fixture
def keep_alive(services: Services) -> KeepAlive:
    return KeepAlive(services.store, services.tokens, services.clock)


def test_ageing_tokens_are_renewed_before_their_end_on_different_days(
    ada: Person, services: Services, keep_alive: KeepAlive, clock: TurnableClock, standin: StandIn
):
    crowd(services, ada, 60)
    clock.tick(days=139)
    assert keep_alive.renew_ageing() == 0

    def next_day() -> int:
        clock.tick(days=1)
        return sum(iter(keep_alive.renew_ageing, 0))

    a_day = [next_day() for _ in range(22)]

    assert sum(a_day) == 61 == renewals(standin)
    assert max(a_day) < 20
    assert sum(renewed > 0 for renewed in a_day) > 10
    assert sum(a_day[:21]) == 61, "nobody is left after day 160"


def test_a_tick_renews_no_more_than_its_share(
    ada: Person, services: Services, keep_alive: KeepAlive, clock: TurnableClock
):
    crowd(services, ada, MOST_AT_ONCE + 9)
    clock.tick(days=165)

    assert [keep_alive.renew_ageing() for _ in range(3)] == [MOST_AT_ONCE, 10, 0]


def test_a_token_in_use_is_never_kept_alive(
    alice: Person, services: Services, keep_alive: KeepAlive, clock: TurnableClock, standin: StandIn
):
    clock.tick(days=100)
    alice.portal.expire("editor")
    services.tokens.call(who(alice), "profile")
    asked = renewals(standin)
    clock.tick(days=100)

    keep_alive.renew_ageing()

    renewed = [call.user for call in standin.calls("oauth", TOKEN)][asked:]
    assert alice.user_id not in renewed


@pytest.mark.parametrize(("happens", "left_alone"), [
    (lambda standin: standin.fault("oauth", method=TOKEN, kind="html", times=-1), True),
    (lambda standin: standin.portals[0].uninstall(), False),
    (lambda standin: standin.portals[0].switch(payment_expired=True), False),
])  # fmt: skip
def test_keeping_alive_stops_where_it_cannot_work_and_condemns_nobody(
    ada: Person, services: Services, keep_alive: KeepAlive, clock: TurnableClock, standin: StandIn, happens: Callable,
    left_alone: bool,
):  # fmt: skip
    crowd(services, ada, 20)
    clock.tick(days=170)
    happens(standin)

    assert keep_alive.renew_ageing() == 0
    asked = renewals(standin)
    keep_alive.renew_ageing()

    assert asked <= (2 if left_alone else 21)
    assert left_alone or renewals(standin) == asked, "a suspended portal is not tried again"
    assert row(services, ada).dead_code is None


def test_a_server_that_is_away_keeps_tokens_of_no_other_waiting(
    ada: Person, charlie: Person, services: Services, environment: dict[str, str], clock: TurnableClock
):
    away = "http://127.0.0.1:9"
    two = build(make_config(environment | {"B24_OAUTH_URL": f"{environment['B24_OAUTH_URL']},{away}"}), clock=clock)
    keep_alive = KeepAlive(two.store, two.tokens, clock)
    crowd(services, ada, MOST_AT_ONCE)
    with services.store.begin() as db:
        db.get_one(Portal, ada.portal.member_id).oauth_server = away
        older = update(UserToken).where(UserToken.member_id == ada.portal.member_id)
        db.execute(older.values(obtained_at=clock() - timedelta(days=1)))
    clock.tick(days=170)

    assert keep_alive.renew_ageing() == 2, "the administrator of the other portal, and Charlie"
    assert keep_alive.renew_ageing() == 0

    with services.store.begin() as db:
        tried = select(func.count(), func.count(UserToken.tried_at)).where(UserToken.member_id == ada.portal.member_id)
        assert db.execute(tried).one() == (MOST_AT_ONCE + 1, 2), "one at each look"
    two.close()


def test_a_person_whose_refresh_token_died_of_old_age_is_asked_in(
    ada: Person, services: Services, keep_alive: KeepAlive, clock: TurnableClock
):
    ada.portal.expire_refresh("admin")
    clock.tick(days=181)

    keep_alive.renew_ageing()

    assert row(services, ada).dead_code == "invalid_grant"


def test_the_worker_keeps_tokens_alive(ada: Person, services: Services, clock: TurnableClock, standin: StandIn):
    clock.tick(days=170)
    engine = jobs.tasks(services)
    planned = {task.task.name: task.cron for task in engine.periodic_registry.periodic_tasks.values()}

    engine.tasks[jobs.KEEP_ALIVE].func(0)

    assert planned[jobs.KEEP_ALIVE] == jobs.EVERY_TEN_MINUTES
    assert renewals(standin) == 1


# --- in the worker -----------------------------------------------------------------------------------------------


def recovery(services: Services) -> Recovery:
    return services.recovery


def state_of(person: Person, run: dict) -> dict:
    return told(person.get(f"/runs/{run['id']}"))


def test_a_wrong_secret_at_deploy_lets_runs_wait_and_loses_nothing(
    alice: Person, services: Services, environment: dict[str, str]
):
    deployed = build(make_config(environment | {"B24_CLIENT_SECRET": "not-the-secret"}))
    run = told(alice.unpublish(PAGE, 352, 353))
    alice.portal.expire("editor")

    work_until_idle(deployed)

    waiting = state_of(alice, run)
    assert (waiting["state"], waiting["problem"]["code"], waiting["problem"]["who"]) == (
        "waiting", "invalid_client", "operator",
    )  # fmt: skip
    assert waiting["counts"]["failed"] == 0
    assert row(services, alice).dead_code is None

    assert recovery(deployed).resume() == 0
    assert recovery(services).resume() == 1
    work_until_idle(services)

    assert state_of(alice, run)["state"] == "succeeded"
    assert not alice.portal.page(PAGE).active
    deployed.close()


def test_a_missing_key_at_deploy_lets_runs_wait_and_loses_nothing(
    alice: Person, services: Services, environment: dict[str, str]
):
    other = base64.urlsafe_b64encode(b"w" * 32).decode()
    deployed = build(make_config(environment | {"TOKEN_KEYS": other}))
    run = told(alice.unpublish(PAGE, 352, 353))

    work_until_idle(deployed)

    waiting = state_of(alice, run)
    assert (waiting["state"], waiting["problem"]["code"]) == ("waiting", "token_key_missing")
    assert recovery(deployed).resume() == 0
    assert recovery(services).resume() == 1
    work_until_idle(services)
    assert state_of(alice, run)["state"] == "succeeded"
    deployed.close()


def test_nobody_is_asked_while_no_run_waits_for_us(alice: Person, services: Services, standin: StandIn):
    alice.unpublish(PAGE, 352)
    alice.portal.expire_refresh("editor")
    work_until_idle(services)
    asked = renewals(standin)

    assert recovery(services).resume() == 0
    assert renewals(standin) == asked


def test_a_run_whose_askers_token_died_waits_until_they_are_back(alice: Person, services: Services):
    run = told(alice.unpublish(PAGE, 352, 353))
    alice.portal.expire_refresh("editor")

    work_until_idle(services)

    assert state_of(alice, run)["state"] == "waiting"
    assert state_of(alice, run)["problem"]["who"] == "you"
    assert alice.portal.page(PAGE).active

    alice.heal()
    work_until_idle(services)

    assert state_of(alice, run)["state"] == "succeeded"


# --- written late -----------------------------------------------------------------------------------------------------


def test_a_renewed_pair_that_cannot_be_written_is_kept_until_it_can(
    alice: Person, services: Services, standin: StandIn, gate: Gate
):
    """The lock is lost while the server is asked, and somebody else holds the row when the pair comes."""
    standin.fault("oauth", TOKEN, kind="latency")
    spent = services.tokens.load(who(alice)).token

    def renewed() -> Credentials:
        with within(5.0):  # two of them are kept for the server's answer
            return services.tokens.renew(who(alice), spent)

    with (
        ThreadPoolExecutor(2) as threads,
        psycopg.connect(services.store.url) as other,
        psycopg.connect(services.store.url, autocommit=True) as operator,
    ):
        renewing = threads.submit(renewed)
        until(lambda: bool(gate.asked))
        holding = threads.submit(other.execute, "select 1 from user_tokens for no key update")
        until(lambda: operator.execute(WAITS_FOR_A_LOCK).fetchone() is not None)
        operator.execute(END_THE_HOLDER)
        holding.result()
        gate.open()
        kept = renewing.result()
        with within(1.0):
            again = services.tokens.renew(who(alice), spent)

        assert services.tokens.load(who(alice)).token == spent, "it could not be written yet"
        assert services.tokens._rest.call(kept.endpoint, kept.token, "profile").result
        assert again.token == kept.token
        other.rollback()
        until(lambda: services.tokens.load(who(alice)).token == kept.token)

    assert renewals(standin) == 1
    assert services.tokens.call(who(alice), "profile").result
