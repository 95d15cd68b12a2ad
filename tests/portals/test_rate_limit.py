"""Who pays for questions about what strangers post, and who never has to."""

import gc
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from b24app.bitrix.places import AT_ONCE, Places
from b24app.errors import AuthorizationUnavailable, Forged, TooManyAttempts
from b24app.portals.rate_limit import ADDRESS, NETWORK, PORTAL, RateLimiter, buckets_of
from tests.clocks import StandingClock

ATTACKER, NEIGHBOUR, STRANGER = "203.0.113.7", "203.0.113.8", "198.51.100.1"


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def rate_limiter(clock: StandingClock) -> RateLimiter:
    return RateLimiter(clock)


def junk(rate_limiter: RateLimiter, address: str, about: Callable[[int], str], times: int) -> int:
    """How many of so many forged posts led to a question."""
    asked = 0
    for n in range(times):
        with suppress(TooManyAttempts, Forged), rate_limiter.charge(address, about(n)):
            asked += 1
            raise Forged("made up")
    return asked


def a_real_one_passes(rate_limiter: RateLimiter, address: str, about: str = "real") -> bool:
    with suppress(AuthorizationUnavailable), rate_limiter.charge(address, about):
        return True
    return False


def test_forged_posts_from_one_address_lead_to_a_handful_of_questions(rate_limiter: RateLimiter):
    asked = junk(rate_limiter, ATTACKER, lambda n: f"member{n}", 1_000)

    assert asked == ADDRESS.capacity


def test_somebody_else_is_not_made_to_pay_for_them(rate_limiter: RateLimiter):
    junk(rate_limiter, ATTACKER, lambda n: f"member{n}", 1_000)

    assert not a_real_one_passes(rate_limiter, ATTACKER)
    assert a_real_one_passes(rate_limiter, NEIGHBOUR)
    assert a_real_one_passes(rate_limiter, STRANGER)


def test_another_portal_behind_the_same_address_is_not_made_to_pay(rate_limiter: RateLimiter):
    asked = junk(rate_limiter, ATTACKER, lambda _: "the same portal", 1_000)

    assert asked == PORTAL.capacity
    assert a_real_one_passes(rate_limiter, ATTACKER, "another portal")


def test_a_whole_network_of_attackers_is_one_attacker(rate_limiter: RateLimiter):
    asked = sum(junk(rate_limiter, f"203.0.113.{n}", lambda _: "m", 4) for n in range(1, 255))

    assert asked == NETWORK.capacity
    assert a_real_one_passes(rate_limiter, STRANGER)


def test_a_customer_of_ipv6_cannot_multiply(rate_limiter: RateLimiter):
    asked = sum(junk(rate_limiter, f"2001:db8:1:2::{n:x}", lambda k: f"m{k}", 2) for n in range(1, 500))

    assert asked == ADDRESS.capacity
    assert a_real_one_passes(rate_limiter, "2001:db8:9::1")


def test_addresses_from_everywhere_lock_out_nobody(rate_limiter: RateLimiter):
    for n in range(1_000):
        junk(rate_limiter, f"{n % 200 + 1}.{n // 200}.7.1", lambda _: "m", 1)

    assert a_real_one_passes(rate_limiter, STRANGER)


@contextmanager
def questions_under_way(rate_limiter: RateLimiter, number: int, about: str = "junk") -> Iterator[list[str]]:
    """So many questions that are not answered until the block ends; what each was refused with."""
    asked, go_on, refused = threading.Semaphore(0), threading.Event(), []

    def ask(n: int) -> None:
        try:
            with rate_limiter.charge(f"10.{n}.0.1", about):
                asked.release()
                go_on.wait(30)
        except AuthorizationUnavailable as error:
            refused.append(type(error).__name__)
            asked.release()

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for _ in range(min(number, AT_ONCE)):
        asked.acquire(timeout=10)
    try:
        yield refused
    finally:
        go_on.set()
        for thread in threads:
            thread.join()


def test_only_so_many_questions_are_asked_at_once(clock: StandingClock):
    rate_limiter = RateLimiter(clock, Places(threads=24, patience_seconds=0.2))

    with questions_under_way(rate_limiter, AT_ONCE):
        with pytest.raises(AuthorizationUnavailable) as refused:  # noqa: SIM117
            with rate_limiter.charge(STRANGER, "real"):
                pytest.fail("a question too many")
        assert refused.value.retry_after

    assert a_real_one_passes(rate_limiter, STRANGER)


def test_networks_that_proved_a_portal_before_have_places_of_their_own(clock: StandingClock):
    rate_limiter = RateLimiter(clock, Places(threads=24, patience_seconds=0.2))
    assert a_real_one_passes(rate_limiter, STRANGER)

    with questions_under_way(rate_limiter, AT_ONCE):
        assert a_real_one_passes(rate_limiter, STRANGER)
        assert not a_real_one_passes(rate_limiter, STRANGER, "a portal never seen from there")


def test_networks_that_proved_a_portal_before_pay_from_no_bucket(rate_limiter: RateLimiter):
    assert a_real_one_passes(rate_limiter, ATTACKER)
    junk(rate_limiter, ATTACKER, lambda n: f"member{n}", 1_000)

    assert a_real_one_passes(rate_limiter, NEIGHBOUR)
    assert a_real_one_passes(rate_limiter, ATTACKER)
    assert not a_real_one_passes(rate_limiter, ATTACKER, "another portal")


def test_junk_takes_no_memory_however_much_of_it_comes(rate_limiter: RateLimiter):
    junk(rate_limiter, ATTACKER, lambda n: f"warm up {n}", 10)
    tracemalloc.start()
    try:
        for n in range(3_000):
            junk(rate_limiter, f"{n % 223 + 1}.{n % 251}.{n % 241}.{n % 239}", f"member{n}".format, 1)
        gc.collect()
        ours = [tracemalloc.Filter(True, f"*/{each}") for each in ("b24app/*", "ipaddress.py", "test_rate_limit.py")]
        kept = tracemalloc.take_snapshot().filter_traces(ours).statistics("filename")  # other threads live, too
        grown = sum(each.size for each in kept)
    finally:
        tracemalloc.stop()

    assert grown < 10_000


def test_who_is_found_genuine_pays_nothing(rate_limiter: RateLimiter):
    assert all(a_real_one_passes(rate_limiter, ATTACKER) for _ in range(5000))


def test_purses_fill_with_time(rate_limiter: RateLimiter, clock: StandingClock):
    junk(rate_limiter, ATTACKER, lambda n: f"m{n}", 1000)

    clock.tick(minutes=1)

    assert a_real_one_passes(rate_limiter, ATTACKER)
    assert junk(rate_limiter, ATTACKER, lambda n: f"n{n}", 1000) == ADDRESS.capacity


def test_a_clock_that_is_set_back_neither_fills_nor_empties(rate_limiter: RateLimiter, clock: StandingClock):
    junk(rate_limiter, ATTACKER, lambda n: f"m{n}", 1000)

    clock.tick(hours=-5)

    assert not a_real_one_passes(rate_limiter, ATTACKER)
    assert a_real_one_passes(rate_limiter, STRANGER)


def test_threads_together_get_no_more_than_one(rate_limiter: RateLimiter):
    asked: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: asked.append(junk(rate_limiter, ATTACKER, lambda k: f"{n}/{k}", 200)))
        for n in range(8)
    ]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(asked) == ADDRESS.capacity


def test_what_a_trusted_server_said_itself_is_free(rate_limiter: RateLimiter):
    for _ in range(5000):
        with suppress(Forged), rate_limiter.charge(None, "m"):
            raise Forged("x")

    assert a_real_one_passes(rate_limiter, ATTACKER)


@pytest.mark.parametrize(("said", "same"), [
    ("203.0.113.7:4711", "203.0.113.7"),
    ("::ffff:203.0.113.7", "203.0.113.7"),
    ("[2001:db8::5]:4711", "2001:db8::9"),
    ("unknown", ""),
    ("203.0.113.7, 10.0.0.1", "x" * 9000),
])  # fmt: skip
def test_one_address_is_one_however_it_is_written(said: str, same: str):
    assert buckets_of(said, "m") == buckets_of(same, "m")
