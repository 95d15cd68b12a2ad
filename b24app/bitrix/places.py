"""How many threads of a web process may be held by one party, and when it is not asked for a while.

A portal that hangs holds whoever asks it. Two rules keep the others served. Each party has few places: so many calls at
once, and a short wait for one of them. And who holds much while little is free gets no more: one party may hold at most
half of the threads that are still free, so ten hanging portals together leave room for the eleventh. Where many share a
party, as strangers do, each of them may wait with one call, so that a crowd of one of them leaves room to the others.
A party that let several calls in a row run into their limit is not asked at all for a growing while, except by one call
that looks whether it is well again.

A party is a portal by its host, an authorization server, or the strangers whose posts are to be proven. A worker has
neither rule: it does one batch a portal at a time, with growing pauses of its own.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import structlog

from b24app.deadline import remaining
from b24app.errors import PortalBusy, Unavailable

log = structlog.get_logger()

AT_ONCE = 4  # calls to one party; a portal answers about two a second anyway
PATIENCE_SECONDS = 5.0
SHARE_OF_FREE = 0.5
TIMEOUTS_IN_A_ROW = 3
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 60.0
LEAST_RETRY_SECONDS = 5  # so that those who were sent away do not all come back with the first probe
FAIR_SECONDS = 3.0  # a call that was given less than this and was not answered says nothing about the other side
MOST_PARTIES = 2_000


class Places:
    """Hands out the threads of one process; without a number of threads there is nothing to hand out."""

    def __init__(self, threads: int | None = None, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._threads = threads
        self._at_once = AT_ONCE if threads is None else max(1, min(AT_ONCE, threads * 3 // 8))
        self._patience = patience_seconds
        self._changed = threading.Condition()
        self._at_work: dict[str, int] = {}
        self._held: dict[str, int] = {}  # at work or waiting
        self._waiting: set[tuple[str, str]] = set()  # members of a party that wait with a call

    @contextmanager
    def hold(self, party: str, at_once: int | None = None, member: str | None = None) -> Iterator[None]:
        """Have one of the party's places for the block.

        member  who of those that share the party asks: while all places are taken, each of them waits with one call
        Raises PortalBusy when there is none in time, and at once where more who wait would leave no thread for others.
        """
        if self._threads is None:
            yield
            return
        self._enter(party, at_once or self._at_once, member)
        try:
            yield
        finally:
            self._leave(party)

    def waiting(self, party: str) -> int:
        """How many calls to this party wait for a place."""
        with self._changed:
            return self._held.get(party, 0) - self._at_work.get(party, 0)

    def _enter(self, party: str, at_once: int, member: str | None) -> None:
        patience = remaining(self._patience)
        with self._changed:
            if not self._may_hold_one_more(party):
                raise _busy(party)
            self._held[party] = self._held.get(party, 0) + 1
            if not self._find_place(party, at_once, member, patience):
                _less(self._held, party)
                raise _busy(party)
            self._at_work[party] = self._at_work.get(party, 0) + 1

    def _find_place(self, party: str, at_once: int, member: str | None, patience: float) -> bool:
        def is_free() -> bool:
            return self._at_work.get(party, 0) < at_once

        if is_free():
            return True
        if member is None:
            return self._changed.wait_for(is_free, patience)
        if (party, member) in self._waiting:
            return False
        self._waiting.add((party, member))
        try:
            return self._changed.wait_for(is_free, patience)
        finally:
            self._waiting.discard((party, member))

    def _may_hold_one_more(self, party: str) -> bool:
        free = (self._threads or 0) - sum(self._held.values())
        return self._held.get(party, 0) + 1 <= max(1.0, SHARE_OF_FREE * free)

    def _leave(self, party: str) -> None:
        with self._changed:
            _less(self._at_work, party)
            _less(self._held, party)
            self._changed.notify_all()


def _less(counts: dict[str, int], party: str) -> None:
    counts[party] -= 1
    if not counts[party]:
        del counts[party]


def _busy(party: str) -> PortalBusy:
    log.info("no_place", party=party)
    return PortalBusy(retry_after=round(PATIENCE_SECONDS))


@dataclass
class _Health:
    timeouts: int = 0  # in a row
    pause: float = FIRST_PAUSE_SECONDS
    closed_until: float = 0.0
    probing: bool = False


class Breakers:
    """Remembers which hosts let calls run into their limit; does nothing when it is switched off."""

    def __init__(self, enabled: bool = False, now: Callable[[], float] = time.monotonic) -> None:
        self._enabled = enabled
        self._now = now
        self._guard = threading.Lock()
        self._unwell: dict[str, _Health] = {}

    @contextmanager
    def watch(self, host: str, seconds: float) -> Iterator[None]:
        """Make one call to a host in the block. Raises Unavailable, without a call, while the host is left alone.

        seconds  what the call is given; one that had too little time is not counted when it fails
        """
        if not self._enabled:
            yield
            return
        self._check(host)
        try:
            yield
        except Unavailable as error:
            if error.code != "portal_timeout":
                self._answered(host)
            elif seconds >= FAIR_SECONDS:
                self._timed_out(host)
            else:
                self._probe_ended(host)
            raise
        except BaseException:
            self._answered(host)
            raise
        self._answered(host)

    def _check(self, host: str) -> None:
        with self._guard:
            health = self._unwell.get(host)
            if health is None or health.timeouts < TIMEOUTS_IN_A_ROW:
                return
            left = health.closed_until - self._now()
            if left > 0 or health.probing:
                raise Unavailable(retry_after=max(LEAST_RETRY_SECONDS, round(left)))
            health.probing = True

    def _timed_out(self, host: str) -> None:
        with self._guard:
            health = self._unwell.setdefault(host, _Health())
            while len(self._unwell) > MOST_PARTIES:
                del self._unwell[next(iter(self._unwell))]
            health.timeouts += 1
            health.probing = False
            if health.timeouts < TIMEOUTS_IN_A_ROW:
                return
            health.closed_until = self._now() + health.pause
            log.warning("host_left_alone", host=host, seconds=health.pause)
            health.pause = min(2 * health.pause, LONGEST_PAUSE_SECONDS)

    def _probe_ended(self, host: str) -> None:
        with self._guard, suppress(KeyError):
            self._unwell[host].probing = False

    def _answered(self, host: str) -> None:
        with self._guard:
            self._unwell.pop(host, None)
