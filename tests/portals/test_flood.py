"""Forged posts in great numbers: few questions to Bitrix24, nothing stored, and real people still come in."""

import gc
import secrets
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import count, pairwise

import pytest
from flask import Flask
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from b24app.factory import create_app
from b24app.portals.rate_limit import ADDRESS, PORTAL
from b24app.portals.verification import MOST_REFUSALS
from b24app.services import Services, build
from b24app.store.models import Portal, User, UserToken, VerifiedToken
from b24sandbox import StandIn
from tests.clocks import StandingClock
from tests.conftest import make_config
from tests.people import Person

FLOOD = 300
ATTACKER, STRANGER = "203.0.113.7", "198.51.100.1"


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def posts(app: Flask, standin: StandIn) -> Iterator[tuple[str, dict[str, str]]]:
    """Well-formed installs with tokens that were never given out."""
    path, form = Person(app, standin.portals[0], "admin").frame(install=True)
    return ((path, {**form, "AUTH_ID": secrets.token_hex(32), "member_id": secrets.token_hex(16)}) for _ in count())


def send(app: Flask, post: tuple[str, dict[str, str]], address: str = ATTACKER) -> TestResponse:
    path, form = post
    return app.test_client().post(path, data=form, environ_base={"REMOTE_ADDR": address})


def rows(services: Services) -> int:
    with services.store.begin() as db:
        return sum(
            db.scalar(select(func.count()).select_from(each)) or 0 for each in (Portal, User, UserToken, VerifiedToken)
        )


def test_a_flood_costs_few_questions_and_no_rows_and_blocks_no_install(
    app: Flask, standin: StandIn, services: Services, posts: Iterator[tuple[str, dict[str, str]]]
):
    flood = [next(posts) for _ in range(FLOOD)]
    real = Person(app, standin.portals[0], "admin").frame(install=True)
    with ThreadPoolExecutor(3) as attackers:
        statuses = attackers.map(lambda post: send(app, post).status_code, flood)
        welcome = send(app, real, STRANGER)

    assert set(statuses) == {403, 502}
    assert welcome.status_code == 200
    assert standin.oauth_asked("app.info") == ADDRESS.capacity + 1
    assert standin.portals[0].requests() == 1, "the real one's bindings"
    with services.store.begin() as db:
        assert db.scalar(select(func.count()).select_from(Portal)) == 1


def test_who_is_not_asked_about_for_now_is_told_so_honestly(
    app: Flask, services: Services, posts: Iterator[tuple[str, dict[str, str]]]
):
    answers = [send(app, next(posts)) for _ in range(int(ADDRESS.capacity) * 3)]

    refused = answers[-1]
    assert refused.status_code == 502
    assert refused.headers["Retry-After"] == "60"
    assert "Wait a minute" in refused.text
    assert "Nothing was stored" in refused.text
    assert "session-token" not in refused.text
    assert rows(services) == 0


def test_a_minute_later_the_same_address_is_welcome(
    app: Flask, standin: StandIn, clock: StandingClock, posts: Iterator[tuple[str, dict[str, str]]]
):
    for _ in range(int(ADDRESS.capacity) * 3):
        send(app, next(posts))

    clock.tick(minutes=1)

    assert send(app, Person(app, standin.portals[0], "admin").frame(install=True)).status_code == 200


def test_the_same_forged_post_is_asked_about_once_a_minute(
    app: Flask, standin: StandIn, clock: StandingClock, posts: Iterator[tuple[str, dict[str, str]]]
):
    post = next(posts)
    statuses = [send(app, post).status_code for _ in range(100)]
    asked = standin.oauth_asked("app.info")
    clock.tick(minutes=2)
    send(app, post)

    assert statuses == [403] * 100
    assert asked == 1
    assert standin.oauth_asked("app.info") == 2


def test_a_refusal_of_one_portals_post_is_not_held_against_anothers(app: Flask, standin: StandIn):
    path, form = Person(app, standin.portals[0], "admin").frame(install=True)

    assert send(app, (path, {**form, "member_id": "f" * 32})).status_code == 403
    assert send(app, (path, form)).status_code == 200


def test_people_who_open_the_app_again_and_again_are_never_limited(app: Flask, standin: StandIn, ada: Person):
    editor = Person(app, standin.portals[0], "editor")

    assert {editor.open().status_code for _ in range(int(ADDRESS.capacity) * 2)} == {200}


def test_forged_events_are_bounded_too(app: Flask, standin: StandIn, ada: Person):
    member = standin.portals[0].member_id
    form = {"event": "ONAPPINSTALL", "auth[member_id]": member, "auth[application_token]": "x" * 32}
    asked = standin.oauth_asked("app.info")

    statuses = {
        send(app, ("/events", {**form, "auth[access_token]": secrets.token_hex(32)})).status_code for _ in range(300)
    }

    assert statuses == {403}
    assert standin.oauth_asked("app.info") - asked == PORTAL.capacity


NETWORKS = ("203.0.113.7", "198.18.4.20", "192.0.2.9")


@pytest.fixture
def threaded(environment: dict[str, str], clock: StandingClock) -> Iterator[Flask]:
    """The app as a web process has it, with places for 24 threads."""
    with closing(build(make_config(environment), clock=clock, web_threads=24)) as services:
        yield create_app(services)


def test_a_flood_from_three_networks_keeps_nobody_out(threaded: Flask, clock: StandingClock, standin: StandIn):
    """Fifty forged posts a second, half of them with the name of the very portal that people are opening."""
    app = threaded
    standin.fault("oauth", "app.info", kind="latency", seconds=0.05, times=-1)
    path, form = Person(app, standin.portals[0], "admin").frame(install=True)
    assert send(app, (path, form), STRANGER).status_code == 200
    standin.portals[0].finish_install()
    people = [Person(app, standin.portals[0], "editor").frame() for _ in range(60)]
    statuses: list[int] = []

    def forge(n: int) -> None:
        member = form["member_id"] if n % 2 else secrets.token_hex(16)
        forged = {**form, "AUTH_ID": secrets.token_hex(32), "member_id": member}
        send(app, (path, forged), NETWORKS[n % 3])

    with ThreadPoolExecutor(12) as flood, ThreadPoolExecutor(3) as doors:
        for each in range(len(people)):
            clock.tick(seconds=0.2)
            for n in range(10):
                flood.submit(forge, 10 * each + n)
            network = f"198.51.{each % 10}.{each + 1}" if each % 3 else STRANGER
            statuses.append(doors.submit(send, app, people[each], network).result().status_code)

    assert statuses.count(200) >= len(people) - 1
    assert standin.oauth_asked("app.info") < 400, "of 600 forged"


def kept_by_the_app() -> int:
    """Bytes that the app and what it is made of hold, but for the refusals it counts and keeps to a number.

    The stand-in, in the same process, remembers every call.
    """
    gc.collect()
    ours = [tracemalloc.Filter(True, f"*/{part}/*") for part in ("b24app", "babel", "flask", "werkzeug", "requests")]
    refusals = [tracemalloc.Filter(False, f"*/{each}.py") for each in ("portals/verification", "store/vault")]
    traces = tracemalloc.take_snapshot().filter_traces([*ours, *refusals])
    return sum(each.size for each in traces.statistics("filename"))


def test_forged_posts_in_fifty_thousand_languages_take_no_memory(
    threaded: Flask, posts: Iterator[tuple[str, dict[str, str]]]
):
    client = threaded.test_client()

    def flood(times: int, begin: int) -> None:
        for n in range(begin, begin + times):
            path, form = next(posts)
            language = "".join(chr(97 + n // 26**place % 26) for place in range(5))
            posted = f"{path.partition('?')[0]}?LANG={language}&PROTOCOL=1&DOMAIN=acme.bitrix24.com"
            address = f"{n % 223 + 1}.{n % 251}.{n % 241}.{n % 239}"
            headers = {"Accept-Language": f"{language}-{language[:2]}"}
            client.post(posted, data=form, headers=headers, environ_base={"REMOTE_ADDR": address})

    tracemalloc.start()
    try:
        flood(100, 0)  # what is bounded is full, and what is made once is made
        kept = [kept_by_the_app()]
        for portion in range(1, 4):
            flood(100, 10_000 * portion)
            kept.append(kept_by_the_app())
    finally:
        tracemalloc.stop()

    grown = [after - before for before, after in pairwise(kept)]
    assert MOST_REFUSALS * 300 < 200_000, "bytes for all refusals that are kept"
    # What grows with what was posted grows each time; a table that doubles once, or a thread's own things, do not.
    assert min(grown) < 2_000, f"bytes for a hundred posts, so at most one megabyte for fifty thousand: {grown}"


Hop = tuple[str, str]  # what X-Forwarded-For says, and who is at the socket
WAYS: dict[str, tuple[Hop, Hop, Hop]] = {
    "0": (("1.1.1.{n}", ATTACKER), ("9.9.9.9", ATTACKER), (ATTACKER, STRANGER)),
    "1": (("1.1.1.{n}, 203.0.113.7", "10.0.0.1"), ("203.0.113.7", "10.0.0.2"), ("198.51.100.1", "10.0.0.1")),
    "2": (
        ("1.1.1.{n}, 203.0.113.7, 10.0.0.2", "10.0.0.1"),
        ("203.0.113.7, 10.0.0.3", "10.0.0.1"),
        ("198.51.100.1, 10.0.0.2", "10.0.0.1"),
    ),
}


@pytest.mark.parametrize("hops", WAYS)
def test_the_address_that_counts_is_the_one_the_operators_own_proxies_name(
    environment: dict[str, str], clock: StandingClock, posts: Iterator[tuple[str, dict[str, str]]], hops: str
):
    services = build(make_config({**environment, "TRUSTED_PROXIES": hops}), clock=clock)
    app = create_app(services)

    def forged(hop: Hop, n: int = 0) -> int:
        path, form = next(posts)
        client, headers = app.test_client(), {"X-Forwarded-For": hop[0].format(n=n)}
        return client.post(path, data=form, headers=headers, environ_base={"REMOTE_ADDR": hop[1]}).status_code

    attack, same, other = WAYS[hops]
    for n in range(int(ADDRESS.capacity) * 3):
        forged(attack, n)

    assert forged(same) == 502
    assert forged(other) == 403
    services.close()
