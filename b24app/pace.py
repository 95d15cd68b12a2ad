"""How many pages one request may change, and when a portal has had enough for now.

A request is cut after 60 s, and a method may use only so many seconds in ten minutes ("operating time"). Neither the
time a page takes nor the limit is known beforehand, so both are learnt from each answer and kept for portal and method:
start careful, aim at 20 s a request, never expect more than 45. What is used is kept in one-minute buckets, as Bitrix24
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
from b24app.store.models import Pace

FIRST = 10  # pages, while nothing is known: at the documented 1.2 s a page well within a request
AIM_SECONDS, MOST_SECONDS, CUT_SECONDS = 20.0, 45.0, 60.0
WINDOW = timedelta(minutes=10)
COUNTED_FROM = 0.1  # seconds; shorter calls are not counted
NEWER = 0.3  # how much the newest request weighs in the mean
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
    spans = [timing.duration for timing in timings if timing.duration is not None]
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


def pages_now(pace: Pace | None, now: datetime, most: int) -> int:
    """How many pages the next request may change; 0 when all operating time is used for now."""
    if pace is None or pace.mean is None or pace.slowest is None:
        return min(FIRST, most)
    by_time = min(AIM_SECONDS / max(pace.mean, 0.001), MOST_SECONDS / max(pace.slowest, 0.001))
    pages = max(1, min(int(by_time), most))
    each = pace.operating_each or (pace.mean if pace.mean >= COUNTED_FROM else None)
    if pace.operating_limit is not None and each:
        pages = min(pages, math.ceil((pace.operating_limit - used(pace, now)) / each))
    return max(pages, 0)


def free_at(pace: Pace, now: datetime) -> datetime:
    """When the oldest minute leaves the window, and some operating time is to be had again."""
    minutes = _living(pace, now)
    oldest = min(minutes) if minutes else _minute(now)
    by_ledger = datetime.fromtimestamp(oldest * 60, UTC) + WINDOW
    told = pace.reset_at if pace.reset_at is not None and pace.reset_at > now else None
    return min(max(told or by_ledger, now), now + WINDOW) + timedelta(seconds=1)


def learn(pace: Pace, cost: Measured, now: datetime) -> None:
    """Take in what a request told."""
    pace.mean = cost.mean if pace.mean is None else NEWER * cost.mean + (1 - NEWER) * pace.mean
    pace.slowest = max(cost.slowest, FORGOTTEN * (pace.slowest or 0.0))
    minutes = _living(pace, now)
    minutes[_minute(now)] = minutes.get(_minute(now), 0.0) + cost.counted
    if cost.each is not None:
        pace.operating_each = cost.each
    if cost.operating is not None:
        _agree(minutes, cost.operating, _minute(now))
        pace.reset_at = cost.reset_at
        _raise_limit(pace, cost.operating, max(cost.slowest, cost.each or 0.0))
    pace.minutes = {str(minute): seconds for minute, seconds in minutes.items() if seconds > 0}


def _raise_limit(pace: Pace, operating: float, slowest: float) -> None:
    """A call passes while less than the limit is used: one that passed shows where the limit is not."""
    if pace.operating_limit is None:
        return
    if operating > pace.operating_limit + 2 * slowest:
        pace.operating_limit = None  # the portal lets far more pass than it did: learn anew
    else:
        pace.operating_limit = max(pace.operating_limit, operating - slowest)


def learn_cut(pace: Pace, commands: int) -> None:
    """A request of so many commands was cut: a page takes longer than was thought."""
    share = CUT_SECONDS / max(commands, 1)
    pace.mean, pace.slowest = max(pace.mean or 0.0, share), max(pace.slowest or 0.0, share)


def learn_limit(pace: Pace, now: datetime) -> None:
    """The portal refused more operating time: its limit is what was used until now, less the page that went over."""
    spent = used(pace, now)
    if spent > 0:
        over = pace.operating_each or pace.slowest or 0.0
        pace.operating_limit = min(pace.operating_limit or spent, max(spent - over, 0.0))


def used(pace: Pace, now: datetime) -> float:
    """Operating seconds in the last ten minutes, as far as known."""
    return sum(_living(pace, now).values())


def _minute(now: datetime) -> int:
    return int(now.timestamp()) // 60


def _living(pace: Pace, now: datetime) -> dict[int, float]:
    oldest = _minute(now - WINDOW)
    return {int(minute): seconds for minute, seconds in pace.minutes.items() if int(minute) > oldest}


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
