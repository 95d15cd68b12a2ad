"""Section 4.6: the leaky bucket per source address, operating time per method, and the 60 s cut.

All three are off or silent by default (`switches`), as on a self-hosted portal; `operating` is told in any case, as the
cloud does. Times are the portal's own: the documentation's measurements, not this machine's.
"""

from __future__ import annotations

from b24sandbox.protocol.errors import RestError
from b24sandbox.state.clock import Clock
from b24sandbox.state.world import Portal, World

WINDOW_MINUTES = 10
COUNTED_FROM = 0.1


def charge(world: World, portal: Portal, peer: str) -> None:
    """Count one HTTP request into the bucket of its source address; raises QUERY_LIMIT_EXCEEDED when it runs over."""
    if portal.switches.bucket == "off" or portal.switches.self_hosted:
        return
    threshold, drain = (float(part) for part in portal.switches.bucket.split("/"))
    now = world.clock.now()
    level, since = world.meters.buckets.get((portal.index, peer), (0.0, now))
    level = max(0.0, level - (now - since) * drain)
    if level + 1 > threshold:
        world.meters.buckets[portal.index, peer] = (level, now)
        raise RestError("QUERY_LIMIT_EXCEEDED")
    world.meters.buckets[portal.index, peer] = (level + 1, now)


def operating(world: World, portal: Portal, method: str) -> tuple[float, int]:
    """Seconds the method has used in the last ten one-minute buckets, and when the oldest of them leaves."""
    now = world.clock.now()
    minutes = world.meters.operating.get((portal.index, method), {})
    oldest = int(now) // 60 - WINDOW_MINUTES + 1
    for minute in [each for each in minutes if each < oldest]:
        del minutes[minute]
    first = min(minutes, default=int(now) // 60)
    return sum(minutes.values()), (first + WINDOW_MINUTES) * 60


def check_operating(world: World, portal: Portal, method: str) -> None:
    """Refuse a method whose ten minutes are used up; `batch` itself is exempt."""
    limit = portal.switches.operating_limit
    if limit and not portal.switches.self_hosted and method != "batch" and operating(world, portal, method)[0] >= limit:
        raise RestError("OPERATION_TIME_LIMIT")


def count_operating(world: World, portal: Portal, method: str, seconds: float) -> None:
    """Add what a call used; under 0.1 s nothing is counted."""
    if seconds < COUNTED_FROM or portal.switches.self_hosted:
        return
    minutes = world.meters.operating.setdefault((portal.index, method), {})
    minute = int(world.clock.now()) // 60
    minutes[minute] = minutes.get(minute, 0.0) + seconds


class GatewayTimeout(Exception):
    """The front end has given up on the request: 504, whatever was done so far stays done."""


class Deadline:
    """How long the front end still waits for one request; every wait of a call goes through here, outside the lock."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._until = clock.now() + seconds if seconds else None

    def wait(self, seconds: float) -> None:
        """Let portal seconds pass; raises GatewayTimeout when the front end gives up before."""
        if seconds <= 0:
            return
        left = None if self._until is None else self._until - self._clock.now()
        if left is not None and seconds > left:
            self._clock.sleep(max(left, 0.0))
            raise GatewayTimeout
        self._clock.sleep(seconds)
