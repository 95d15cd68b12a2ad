"""How many pages one request may change, and when a portal has had enough for now.

A request is cut after 60 s, and a method may use only so many seconds in ten minutes ("operating time"). Neither the
time a page takes nor the limit is known beforehand, so both are observed with each answer, by portal and method: start
careful, aim at 20 s a request, never expect more than 45. What is used is kept in one-minute buckets, as Bitrix24
counts it, so that the work slows down before the limit, not at it.
Source: limits docs and the rest module's loadlimiter (bitrix24.md, 4.6).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median

from b24app.bitrix.rest import Timing
from b24app.store.models import MethodThrottle

FIRST = 10  # pages, while nothing is known: at the documented 1.2 s a page well within a request
BEGIN, BEGIN_SECONDS = 5, 6.0  # the first request of a run is short, so that who watches sees it move
AIM_SECONDS, MOST_SECONDS, CUT_SECONDS = 20.0, 45.0, 60.0
WINDOW = timedelta(minutes=10)
COUNTED_FROM = 0.1  # seconds; shorter calls are not counted
NEWER = 0.3  # how much the newest request weighs in the mean
UNSURE_SECONDS = 1.0  # by so much a duration may look too long (bitrix24.md, 4.2)
FORGOTTEN = 0.8  # how much of the slowest page is remembered from request to request


@dataclass(frozen=True)
class Measured:
    """What one request told of its cost. `operating` and `reset_at` are missing on self-hosted portals."""

    commands: int
    mean: float
    slowest: float
    counted: float
    each: float | None = None  # operating seconds of one command, which are not those on the wall
    operating: float | None = None
    reset_at: datetime | None = None


def measured(timings: Sequence[Timing], commands: int, wall_seconds: float) -> Measured:
    """Sum up the commands that act; by the clock on our wall where the portal does not say."""
    spans = _spans(timings, wall_seconds)
    if not spans:
        share = wall_seconds / max(commands, 1)
        return Measured(commands, share, share, wall_seconds if share >= COUNTED_FROM else 0.0)
    told = next((timing for timing in reversed(timings) if timing.operating is not None), Timing())
    course = [timing.operating for timing in timings if timing.operating is not None]
    grown = [later - sooner for sooner, later in pairwise(course) if later > sooner]  # less: a minute left the window
    reset = told.operating_reset_at
    return Measured(
        commands=len(spans),
        mean=sum(spans) / len(spans),
        slowest=max(spans),
        counted=sum(span for span in spans if span >= COUNTED_FROM),
        each=median(grown) if grown else None,
        operating=told.operating,
        reset_at=datetime.fromtimestamp(reset, UTC) if reset else None,
    )


def _spans(timings: Sequence[Timing], wall_seconds: float) -> list[float]:
    """What each command took. Where together they look longer than the whole request was, those that nothing else tells
    of are taken for shorter, by as much as they may be.
    """
    known = [(timing.duration, timing.is_exact) for timing in timings if timing.duration is not None]
    if sum(span for span, _ in known) <= wall_seconds * 1.05 + 0.05:
        return [span for span, _ in known]
    share = wall_seconds / len(known)
    return [span if is_exact else max(span - UNSURE_SECONDS, min(span, share)) for span, is_exact in known]


def pages_now(throttle: MethodThrottle | None, now: datetime, most: int, *, first: bool = False) -> int:
    """How many pages the next request may change; 0 when all operating time is used for now.

    first  it is the first of its run
    """
    if throttle is None or throttle.mean is None or throttle.slowest is None:
        return min(BEGIN if first else FIRST, most)
    aim = BEGIN_SECONDS if first else AIM_SECONDS
    by_time = min(aim / max(throttle.mean, 0.001), MOST_SECONDS / max(throttle.slowest, 0.001))
    pages = max(1, min(int(by_time), most))
    each = throttle.operating_each or (throttle.mean if throttle.mean >= COUNTED_FROM else None)
    spent = used(throttle, now)
    if throttle.operating_limit is not None and each and spent > 0:  # who used nothing has one page at least
        pages = min(pages, math.ceil((throttle.operating_limit - spent) / each))
    return max(pages, 0)


def free_at(throttle: MethodThrottle, now: datetime) -> datetime:
    """When the oldest minute leaves the window, and some operating time is to be had again."""
    minutes = _living(throttle, now)
    oldest = min(minutes) if minutes else _minute(now)
    by_ledger = datetime.fromtimestamp(oldest * 60, UTC) + WINDOW
    told = throttle.reset_at if throttle.reset_at is not None and throttle.reset_at > now else None
    return min(max(told or by_ledger, now), now + WINDOW) + timedelta(seconds=1)


def observe(throttle: MethodThrottle, cost: Measured, now: datetime) -> None:
    """Take in what a request told."""
    throttle.mean = cost.mean if throttle.mean is None else NEWER * cost.mean + (1 - NEWER) * throttle.mean
    throttle.slowest = max(cost.slowest, FORGOTTEN * (throttle.slowest or 0.0))
    minutes = _living(throttle, now)
    minutes[_minute(now)] = minutes.get(_minute(now), 0.0) + cost.counted
    if cost.each is not None:
        throttle.operating_each = cost.each
    if cost.operating is not None:
        _agree(minutes, cost.operating, _minute(now))
        throttle.reset_at = cost.reset_at
        _raise_limit(throttle, cost.operating, max(cost.slowest, cost.each or 0.0))
    throttle.minutes = {str(minute): seconds for minute, seconds in minutes.items() if seconds > 0}


def _raise_limit(throttle: MethodThrottle, operating: float, slowest: float) -> None:
    """A call passes while less than the limit is used: one that passed shows where the limit is not."""
    if throttle.operating_limit is None:
        return
    if operating > throttle.operating_limit + 2 * slowest:
        throttle.operating_limit = None  # the portal lets far more pass than it did: observe anew
    else:
        throttle.operating_limit = max(throttle.operating_limit, operating - slowest)


def observe_cut(throttle: MethodThrottle, commands: int) -> None:
    """A request of so many commands was cut: a page takes longer than was thought."""
    share = CUT_SECONDS / max(commands, 1)
    throttle.mean, throttle.slowest = max(throttle.mean or 0.0, share), max(throttle.slowest or 0.0, share)


def observe_limit(throttle: MethodThrottle, now: datetime) -> None:
    """The portal refused more operating time: its limit is what was used until now, less the page that went over; but
    never less than one page.
    """
    spent = used(throttle, now)
    if spent > 0:
        over = throttle.operating_each or throttle.slowest or 0.0
        throttle.operating_limit = max(min(throttle.operating_limit or spent, spent - over), over)


def used(throttle: MethodThrottle, now: datetime) -> float:
    """Operating seconds in the last ten minutes, as far as known."""
    return sum(_living(throttle, now).values())


def _minute(now: datetime) -> int:
    return int(now.timestamp()) // 60


def _living(throttle: MethodThrottle, now: datetime) -> dict[int, float]:
    oldest = _minute(now - WINDOW)
    return {int(minute): seconds for minute, seconds in throttle.minutes.items() if int(minute) > oldest}


def _agree(minutes: dict[int, float], told: float, newest: int) -> None:
    """The portal knows better: others may use the method too, and its minutes need not end with ours."""
    more = told - sum(minutes.values())
    if more > 0:
        minutes[newest] = minutes.get(newest, 0.0) + more
    for minute in sorted(minutes):
        if more >= 0:
            return
        taken = min(minutes[minute], -more)
        minutes[minute] -= taken
        more += taken
