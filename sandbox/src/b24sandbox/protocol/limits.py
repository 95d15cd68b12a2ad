"""Section 4.6: the leaky bucket per source address, operating time per method, and the 60 s cut.

The first two are off by default (`switches`), as on a self-hosted portal; `operating` is told in any case, as the cloud
does. Times are the portal's own: the documentation's measurements, not this machine's.
"""

from __future__ import annotations

from b24sandbox.protocol.errors import RestError
from b24sandbox.state.clock import Clock
from b24sandbox.state.world import Portal, World

WINDOW_MINUTES = 10
COUNTED_ABOVE = 0.1


def charge(world: World, portal: Portal, peer: str) -> None:
    """Count one HTTP request into the bucket of its source address; raises QUERY_LIMIT_EXCEEDED when it runs over.

    The bucket drains once a second, not bit by bit.
    """
    if portal.switches.bucket == "off" or portal.switches.self_hosted:
        return
    threshold, drain = (int(part) for part in portal.switches.bucket.split("/"))
    second = int(world.clock.now())
    level, since = world.meters.buckets.get((portal.index, peer), (0, second))
    level = max(0, level - (second - since) * drain)
    full = level + 1 > threshold
    world.meters.buckets[portal.index, peer] = (level if full else level + 1, second)
    if full:
        raise RestError("QUERY_LIMIT_EXCEEDED")


def operating(world: World, portal: Portal, account: str, method: str) -> tuple[float, int]:
    """Seconds the method has used in the last ten one-minute buckets, and when the oldest of them leaves.

    account  whose time it is: each application and each webhook has its own
    """
    now = world.clock.now()
    minutes = world.meters.operating.get((portal.index, account, method), {})
    oldest = int(now) // 60 - WINDOW_MINUTES + 1
    for minute in [each for each in minutes if each < oldest]:
        del minutes[minute]
    first = minutes[min(minutes)][1] if minutes else now
    return sum(used for used, _ in minutes.values()), int(first) + WINDOW_MINUTES * 60


def check_operating(world: World, portal: Portal, account: str, method: str) -> None:
    """Refuse a method that has used more than its ten minutes hold; `batch` itself is exempt."""
    limit = portal.switches.operating_limit
    if not limit or portal.switches.self_hosted or method == "batch":
        return
    if operating(world, portal, account, method)[0] > limit:
        raise RestError("OPERATION_TIME_LIMIT")


class UsedTime:
    """What one request has used of each method: counted as a sum, once that is above 0.1 s.

    So cheap calls inside a batch do count together (source).
    """

    def __init__(self, world: World, portal: Portal, account: str) -> None:
        self._world = world
        self._portal = portal
        self._account = account
        self._seconds: dict[str, float] = {}
        self._counted: dict[str, float] = {}

    def add(self, method: str, seconds: float) -> None:
        """Add what a call used; hold the lock."""
        if self._portal.switches.self_hosted:
            return
        total = self._seconds[method] = self._seconds.get(method, 0.0) + seconds
        if total <= COUNTED_ABOVE:
            return
        now = self._world.clock.now()
        minutes = self._world.meters.operating.setdefault((self._portal.index, self._account, method), {})
        used, first = minutes.get(int(now) // 60, (0.0, now))
        minutes[int(now) // 60] = (used + total - self._counted.get(method, 0.0), first)
        self._counted[method] = total


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
