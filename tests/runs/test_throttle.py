"""How many pages a request may change: learnt, careful, and never over a limit it knows."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from b24app.bitrix.rest import Timing
from b24app.runs import throttle
from b24app.runs.throttle import Measured, measured
from b24app.store.models import MethodThrottle

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
MOST = 47


def fresh() -> MethodThrottle:
    return MethodThrottle(member_id="a" * 32, method="landing.landing.unpublic", minutes={})


def cost(seconds: float, commands: int = 10, operating: float | None = None) -> Measured:
    return measured([Timing(seconds, operating)] * commands, commands, seconds * commands)


def test_it_starts_careful():
    assert throttle.pages_now(None, NOON, MOST) == throttle.pages_now(fresh(), NOON, MOST) == throttle.FIRST


@pytest.mark.parametrize(("seconds", "pages"), [(0.05, 47), (0.5, 40), (1.2, 16), (5.0, 4), (19.0, 1), (50.0, 1)])
def test_a_request_aims_at_twenty_seconds(seconds: float, pages: int):
    known = fresh()

    throttle.observe(known, cost(seconds), NOON)

    assert throttle.pages_now(known, NOON, MOST) == pages


def test_one_slow_page_keeps_the_next_requests_below_their_cut():
    known = fresh()

    throttle.observe(known, measured([Timing(0.1)] * 9 + [Timing(9.0)], 10, 10.0), NOON)

    assert throttle.pages_now(known, NOON, MOST) * 9.0 <= throttle.MOST_SECONDS


def test_a_command_lasts_from_the_end_of_the_one_before():
    began, each = 1_795_426_400.97, 0.05
    ends = [began + each * number for number in range(1, 12)]
    told = [Timing(end - 1_795_426_400, finish=end) for end in ends]  # up to a second and a half, from the whole second
    timings = [one.after(earlier) for one, earlier in zip(told[1:], ends, strict=False)]

    spent = measured(timings, 10, 10 * each + 0.02)

    assert spent.mean == pytest.approx(each, abs=1e-4)
    assert spent.slowest == pytest.approx(each, abs=1e-4)
    assert spent.counted == 0


def test_durations_longer_than_the_whole_request_are_not_believed():
    known = fresh()

    throttle.observe(known, measured([Timing(0.55), Timing(1.04)] * 5, 10, 0.6), NOON)

    assert throttle.pages_now(known, NOON, MOST) == MOST


def test_a_page_that_is_slow_is_seen_among_durations_that_are_too_long():
    known = fresh()

    throttle.observe(known, measured([Timing(0.7)] * 9 + [Timing(9.6)], 10, 10.0), NOON)

    assert throttle.pages_now(known, NOON, MOST) * 9.0 <= throttle.MOST_SECONDS


def test_without_the_portals_figures_the_clock_on_the_wall_counts():
    spent = measured([Timing()] * 10, 10, 12.0)

    assert (spent.mean, spent.counted, spent.operating) == (1.2, 12.0, None)


def test_after_a_cut_the_next_request_is_a_third():
    known = fresh()
    throttle.observe(known, cost(0.4), NOON)

    throttle.observe_cut(known, 45)

    assert throttle.pages_now(known, NOON, MOST) == 15


def test_time_others_use_counts_too():
    known = fresh()
    known.operating_limit = 480.0

    throttle.observe(known, cost(1.0, operating=480.5), NOON)

    assert throttle.pages_now(known, NOON, MOST) == 0
    assert throttle.pages_now(known, NOON + timedelta(minutes=11), MOST) > 0


def test_what_the_portal_says_of_its_window_is_believed():
    known = fresh()
    throttle.observe(known, cost(1.0, operating=100.0), NOON)

    throttle.observe(known, cost(1.0, operating=10.0), NOON + timedelta(minutes=5))

    assert throttle.used(known, NOON + timedelta(minutes=5)) == pytest.approx(10.0)


def test_a_limit_that_was_lifted_is_learnt_anew():
    known = fresh()
    throttle.observe(known, cost(1.0, commands=420, operating=420.0), NOON)
    throttle.observe_limit(known, NOON)
    assert known.operating_limit == pytest.approx(420, abs=1.1)

    throttle.observe(known, cost(1.0, operating=470.0), NOON)

    assert known.operating_limit is None


@dataclass
class Meter:
    """A portal's operating time as the documentation has it: ten one-minute buckets, asked before each call."""

    limit: float
    minutes: dict[int, float] = field(default_factory=dict)

    def living(self, now: datetime) -> dict[int, float]:
        oldest = int(now.timestamp()) // 60 - 9
        return {minute: seconds for minute, seconds in self.minutes.items() if minute >= oldest}

    def call(self, now: datetime, seconds: float) -> Timing | None:
        """None when it is refused."""
        if sum(self.living(now).values()) >= self.limit:
            return None
        minute = int(now.timestamp()) // 60
        self.minutes[minute] = self.minutes.get(minute, 0.0) + seconds
        living = self.living(now)
        return Timing(seconds, sum(living.values()), (min(living) + 10) * 60)


@pytest.mark.parametrize("limit", [420, 480])
@pytest.mark.parametrize("seconds", [0.15, 0.5, 1.2])
def test_a_long_run_uses_nearly_all_operating_time_and_hits_the_limit_once(limit: int, seconds: float):
    meter, known, now = Meter(limit), fresh(), NOON
    refusals, spent = 0, 0.0

    while now < NOON + timedelta(minutes=60):
        pages = throttle.pages_now(known, now, MOST)
        if pages == 0:
            now = throttle.free_at(known, now)
            continue
        timings = []
        for _ in range(pages):
            told = meter.call(now, seconds)
            if told is None:
                break
            timings.append(told)
            now += timedelta(seconds=seconds)
        spent += len(timings) * seconds
        if timings:
            throttle.observe(known, measured(timings, pages, len(timings) * seconds), now)
        if len(timings) < pages:
            refusals += 1
            throttle.observe_limit(known, now)

    assert refusals <= 1
    possible = min(limit * 6, 3600)
    assert spent >= 0.95 * possible


def test_operating_time_counts_as_the_portal_tells_not_by_the_wall_clock():
    known = fresh()
    known.operating_limit = 100.0
    timings = [Timing(1.2, 50.0 + 0.15 * number) for number in range(16)]

    throttle.observe(known, measured(timings, 16, 20.0), NOON)

    assert known.operating_each == pytest.approx(0.15)
    assert throttle.pages_now(known, NOON, MOST) == 16, "not held back: there is room for 318 of 0.15 s"


def test_the_window_frees_what_left_it_and_no_more():
    known = fresh()
    known.operating_limit = 100.0
    known.mean = known.slowest = 1.0
    for minute in range(10):
        throttle.observe(known, cost(1.0, commands=10), NOON + timedelta(minutes=minute))

    later = NOON + timedelta(minutes=9)
    assert throttle.pages_now(known, later, MOST) == 0
    assert throttle.free_at(known, later) == NOON + timedelta(minutes=10, seconds=1)
    assert throttle.pages_now(known, throttle.free_at(known, later), MOST) == 10


@pytest.mark.parametrize("stored", [None, 0.0])
def test_a_refusal_after_one_page_never_stops_the_work_for_good(stored: float | None):
    known = fresh()
    known.operating_limit = stored
    throttle.observe(known, cost(2.0, commands=1, operating=2.0), NOON)
    throttle.observe_limit(known, NOON)

    assert known.operating_limit == 2.0
    assert throttle.pages_now(known, NOON + throttle.WINDOW + timedelta(minutes=1), MOST) > 0


def test_a_limit_of_nothing_that_was_stored_before_lets_one_page_try():
    known = fresh()
    known.mean = known.slowest = known.operating_each = 2.0
    known.operating_limit = 0.0

    assert throttle.pages_now(known, NOON, MOST) > 0
