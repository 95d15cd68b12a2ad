"""Many want one token at once: threads, processes, a worker; one of them is killed or frozen at the worst moment."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import pytest
import requests

from b24app.domain import UserRef
from b24app.errors import SignInAgain, Unavailable
from b24app.factory import create_app
from b24app.services import Services, build
from b24app.store import connections, db
from b24app.store.db import POOL, Store
from b24app.store.models import User, UserToken
from b24app.tokens.user_tokens import RENEWALS_AT_ONCE
from b24sandbox import StandIn
from tests.clocks import Gate
from tests.conftest import make_config
from tests.people import Person
from tests.processes import Process, Web, Worker, wait_until

TOKEN = "/oauth/token/"
PROCESSES, THREADS = 4, 20
BUSY = ("portal_busy", "app_busy")
CALLER = """
import sys
from b24app import config, log, services
from b24app.errors import PortalError
from b24app.store import connections
from b24app.domain import UserRef
if len(sys.argv) > 1:
    connections.LIMITS["idle_in_transaction_session_timeout"] = sys.argv[1]
settings = config.load()
log.setup(settings)
built = services.build(settings)
print("ready", flush=True)
member_id, user_id = sys.stdin.readline().split()
try:
    print("called", built.tokens.call(UserRef(member_id, int(user_id)), "profile").result["ID"])
except PortalError as refused:
    print("refused", refused.code)
"""


def who(person: Person) -> UserRef:
    return UserRef(person.portal.member_id, person.user_id)


def token_row(services: Services, user: UserRef) -> UserToken:
    with services.store.begin() as db:
        return db.get_one(UserToken, (user.member_id, user.user_id))


def at_once(number: int, work: Callable[[int], object]) -> list[object]:
    """`work(0…number-1)`, each in a thread of its own, all let go at the same moment."""
    start = threading.Barrier(number)

    def run(each: int) -> object:
        start.wait(60)
        return work(each)

    with ThreadPoolExecutor(number) as crew:
        return list(crew.map(run, range(number)))


# --- many, at once -----------------------------------------------------------------------------------------------


@pytest.mark.process
def test_four_processes_and_a_worker_renew_once_and_nobody_sees_an_error(
    alice: Person, standin: StandIn, services: Services, environment: dict[str, str]
):
    lids = alice.portal.add_pages(PROCESSES * THREADS + 40, site=3)
    many, single = lids[:40], lids[40:]
    ordered = alice.unpublish(*many)
    assert ordered.status_code == 201, ordered.text
    with ExitStack() as running:
        webs = [running.enter_context(Web(environment, THREADS)) for _ in range(PROCESSES)]
        standin.fault("oauth", method=TOKEN, kind="latency", seconds=1.0)
        alice.portal.expire("editor")
        before = standin.oauth_asked(TOKEN)

        def take_down(each: int) -> tuple[int, str]:
            url = f"{webs[each % PROCESSES].url}/runs"
            body = {"action": "unpublish", "lids": [single[each]]}
            answer = requests.post(url, json=body, headers=alice.headers(), timeout=60)
            while answer.status_code == 503 and answer.json()["code"] in BUSY:  # told when to come again
                time.sleep(int(answer.headers["Retry-After"]))
                answer = requests.post(url, json=body, headers=alice.headers(), timeout=60)
            return answer.status_code, answer.json()["state"]

        with Worker(environment):
            answers = at_once(PROCESSES * THREADS, take_down)
            wait_until(lambda: not any(alice.portal.page(lid).active for lid in many), 60)

    assert set(answers) == {(201, "succeeded")}
    assert not any(alice.portal.page(lid).active for lid in lids)
    renewals = [(call.code, call.status) for call in standin.calls("oauth", TOKEN)][before:]
    assert renewals == [(None, 200)]


@contextmanager
def watched(services: Services) -> Iterator[list[int]]:
    """How many connections of this process were in use, looked at again and again."""
    used: list[int] = []
    over = threading.Event()
    pool: Any = services.store.engine.pool

    def run() -> None:
        while not over.wait(0.005):
            used.append(pool.checkedout())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield used
    finally:
        over.set()
        thread.join(60)


def test_two_hundred_threads_that_wait_for_one_token_hold_no_connections(
    alice: Person, standin: StandIn, services: Services
):
    standin.fault("oauth", method=TOKEN, kind="latency", seconds=3.0)
    access = services.tokens.load(who(alice)).token
    alice.portal.expire("editor")

    with watched(services) as used:
        got = at_once(200, lambda _: services.tokens.renew(who(alice), access).token)

    assert len(set(got)) == 1
    assert got[0] != access
    assert standin.oauth_asked(TOKEN) == 1
    assert 1 <= max(used) <= 2, "the one that renews, and nobody who waits for it"


def test_renewals_at_a_hanging_server_leave_connections_to_the_others(
    alice: Person, standin: StandIn, services: Services
):
    people = [UserRef(alice.portal.member_id, each) for each in alice.portal.add_users(40)]
    with services.store.begin() as db:
        db.add_all(User(member_id=user.member_id, user_id=user.user_id, name="") for user in people)
        db.flush()
        for user in people:
            pair = alice.portal.tokens(user.user_id)
            past = services.clock() - timedelta(hours=1)
            services.tokens.remember(db, user, str(pair["access_token"]), str(pair["refresh_token"]), past)
    standin.fault("oauth", method=TOKEN, kind="latency", seconds=1.5, times=8)

    got = at_once(80, lambda each: services.tokens.call(people[each % 40], "profile").result)

    assert len(got) == 80
    assert standin.oauth_asked(TOKEN) == 40
    together = max(call.at_once for call in standin.calls("oauth", TOKEN))
    assert 1 < together <= RENEWALS_AT_ONCE <= POOL - 2, "each holds a connection while it asks"


def test_those_who_waited_for_a_failure_share_it(alice: Person, standin: StandIn, services: Services):
    standin.fault("oauth", method=TOKEN, kind="latency", seconds=1.0)
    access = services.tokens.load(who(alice)).token
    alice.portal.expire_refresh("editor")

    def renewed(_: int) -> str:
        with pytest.raises(SignInAgain) as refused:
            services.tokens.renew(who(alice), access)
        return refused.value.code

    assert set(at_once(50, renewed)) == {"invalid_grant"}
    assert standin.oauth_asked(TOKEN) == 1


def test_with_one_connection_in_all_everything_still_works(
    alice: Person, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    """A transaction opened inside another would wait for itself for ever."""
    monkeypatch.setattr(db, "OVERFLOW", 0)
    monkeypatch.setattr(db, "POOL_WAIT_SECONDS", 1)
    tight = build(make_config(environment), store=Store(environment["DATABASE_URL"], pool=1))
    administrator = Person(create_app(tight), alice.portal, "admin")

    assert administrator.install().status_code == 200
    alice.portal.expire("admin")
    administrator.opened()
    answers = [
        administrator.get("/pages"),
        administrator.unpublish(351),
        administrator.post("/runs/preview", {"action": "publish", "lids": [351]}),
        administrator.unpublish(352, 353),
        administrator.get("/runs"),
        administrator.heal(),
    ]

    assert [answer.status_code for answer in answers] == [200, 201, 200, 201, 200, 200]
    tight.close()


# --- killed and frozen -------------------------------------------------------------------------------------------


@contextmanager
def renewing(
    environment: dict[str, str], standin: StandIn, gate: Gate, user: UserRef, *idle: str, kind: str
) -> Iterator[Process]:
    """A process that holds the row and waits for the authorization server's answer; `idle` is how long it may."""
    with Process(environment, "-c", CALLER, *idle) as caller:
        caller.wait_for("ready")
        standin.fault("oauth", method=TOKEN, kind=kind)
        standin.portals[0].expire(user.user_id)
        caller.tell(f"{user.member_id} {user.user_id}")
        wait_until(lambda: gate.asked)
        yield caller
    gate.open()
    wait_until(lambda: all(call.end is not None for call in standin.calls("oauth", TOKEN)))


@pytest.mark.process
def test_a_renewer_killed_before_the_server_saw_it_hands_over_at_once(
    alice: Person, standin: StandIn, services: Services, environment: dict[str, str], gate: Gate
):
    with renewing(environment, standin, gate, who(alice), kind="hang") as caller:
        caller.send(signal.SIGKILL)

        assert services.tokens.call(who(alice), "profile").result

    assert standin.oauth_asked(TOKEN) == 2
    assert token_row(services, who(alice)).dead_code is None


@pytest.mark.process
def test_a_renewer_killed_after_the_server_rotated_costs_one_reopening(
    alice: Person, standin: StandIn, services: Services, environment: dict[str, str], gate: Gate
):
    with renewing(environment, standin, gate, who(alice), kind="latency") as caller:
        caller.send(signal.SIGKILL)

        answer = alice.unpublish(351)

    assert answer.json
    assert (answer.status_code, answer.json["code"], answer.json["who"]) == (401, "invalid_grant", "you")
    assert alice.heal().status_code == 200
    assert alice.unpublish(351).status_code == 201


@pytest.mark.process
def test_a_renewer_frozen_while_it_holds_the_row_is_overtaken_and_recovers(
    alice: Person, standin: StandIn, services: Services, environment: dict[str, str], gate: Gate
):
    with renewing(environment, standin, gate, who(alice), kind="hang") as caller:
        caller.send(signal.SIGSTOP)
        gate.open()
        started = time.monotonic()

        assert services.tokens.call(who(alice), "profile").result

        assert time.monotonic() - started < 25, "the database takes the row from a frozen process after 12 s"
        caller.send(signal.SIGCONT)
        caller.wait_for(f"called {alice.user_id}", 30)
    assert [call.code for call in standin.calls("oauth", TOKEN)][1:] == [None]
    assert services.tokens.call(who(alice), "profile").result


@pytest.mark.process
def test_a_renewer_frozen_after_the_server_rotated_still_stores_its_pair(
    alice: Person, standin: StandIn, services: Services, environment: dict[str, str], gate: Gate
):
    with renewing(environment, standin, gate, who(alice), "4s", kind="latency") as caller:
        caller.send(signal.SIGSTOP)
        gate.open()
        with pytest.raises(SignInAgain):
            services.tokens.call(who(alice), "profile")
        assert token_row(services, who(alice)).dead_code == "invalid_grant"

        caller.send(signal.SIGCONT)
        caller.wait_for(f"called {alice.user_id}", 30)

    assert token_row(services, who(alice)).dead_code is None
    assert services.tokens.call(who(alice), "profile").result


# --- the row is busy ---------------------------------------------------------------------------------------------


def test_a_row_held_by_somebody_alive_is_not_waited_for_without_end(
    alice: Person, standin: StandIn, services: Services, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(connections.LIMITS, "lock_timeout", "2s")
    monkeypatch.setattr(db, "LOCK_SECONDS", 2)
    impatient = build(make_config(environment))
    alice.portal.expire("editor")
    with services.store.begin() as holder:
        holder.get_one(UserToken, (alice.portal.member_id, alice.user_id), with_for_update=True)

        with pytest.raises(Unavailable) as busy:
            impatient.tokens.call(who(alice), "profile")

    assert (busy.value.code, busy.value.transient) == ("renewal_busy", True)
    assert standin.oauth_asked(TOKEN) == 0
    assert impatient.tokens.call(who(alice), "profile").result
    impatient.close()
