"""The one place that reads the time; everything else is given a clock.

What is due or late is judged by one clock for all machines, the database's: a worker whose machine runs two hours
ahead must begin nothing early. Each process keeps how far its own machine is from it.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock

import structlog

log = structlog.get_logger()
Clock = Callable[[], datetime]
MEASURED_FOR = timedelta(minutes=1)
WORTH_A_WORD = timedelta(seconds=5)


def utcnow() -> datetime:
    """Now by this machine, aware, in UTC."""
    return datetime.now(UTC)


class SharedClock:
    """The time of the database, measured at first use and every minute; safe for threads.

    ask      what time the database has; None when it cannot be asked, then the last difference holds
    machine  this machine's own clock
    """

    def __init__(self, ask: Callable[[], datetime | None], machine: Clock = utcnow) -> None:
        self._ask = ask
        self._machine = machine
        self._ahead: timedelta | None = None  # of this machine's clock lies the database's
        self._measured_at: datetime | None = None
        self._measuring = Lock()

    def __call__(self) -> datetime:
        now = self._machine()
        if self._is_old(now) and self._measuring.acquire(blocking=self._is_useless(now)):
            try:
                if self._is_old(self._machine()):
                    self._measure()
            finally:
                self._measuring.release()
        return self._machine() + (self._ahead or timedelta())

    def _is_old(self, now: datetime) -> bool:
        """Also where the machine's clock was set back or forth meanwhile."""
        return self._measured_at is None or not timedelta() <= now - self._measured_at < MEASURED_FOR

    def _is_useless(self, now: datetime) -> bool:
        """Whether the last difference cannot bridge the time of a new measurement, which is waited for then."""
        measured_at = self._measured_at
        return self._ahead is None or measured_at is None or not timedelta() <= now - measured_at < 2 * MEASURED_FOR

    def _measure(self) -> None:
        asked_at = self._machine()
        told = self._ask()
        self._measured_at = self._machine()
        if told is None:
            return
        ahead = told - (asked_at + (self._measured_at - asked_at) / 2)
        if abs(ahead - (self._ahead or timedelta())) > WORTH_A_WORD:
            log.warning("clocks_differ", seconds=round(ahead.total_seconds()), remedy="set this machine's clock by NTP")
        self._ahead = ahead
