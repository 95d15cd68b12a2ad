"""Clocks a test can turn, a gate for what comes late, and the wait for what is about to happen."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from threading import Event
from time import monotonic, sleep

YEAR = datetime.now(UTC).year + 2  # all of it is still to come, and nearer than a schedule may be


def sunday(month: int, number: int) -> date:
    """The first, second, … or last (-1) Sunday of a month of that year: clocks are changed on some."""
    first = date(YEAR, month, 1)
    month_long = [first + timedelta(days=day) for day in range(31)]
    return [day for day in month_long if day.month == month and day.isoweekday() == 7][number - (number > 0)]


FORWARD, FORWARD_IN_AMERICA, BACK = sunday(3, -1), sunday(3, 2), sunday(10, -1)  # of Europe, and of New York


class TurnableClock:
    """The real time, plus what a test has turned it by."""

    def __init__(self) -> None:
        self.ahead = timedelta()
        self.stopped: datetime | None = None

    def __call__(self) -> datetime:
        return (self.stopped or datetime.now(UTC)) + self.ahead

    def stop(self) -> None:
        """Stand still from now on, until it is turned: nothing fills or ends while a slow machine works."""
        self.stopped = datetime.now(UTC).replace(microsecond=0)

    def tick(self, **span: float) -> None:
        """Let time pass: `clock.tick(hours=2)`."""
        self.ahead += timedelta(**span)


class StandingClock(TurnableClock):
    """Stands still from its beginning."""

    def __init__(self) -> None:
        super().__init__()
        self.stop()


class Gate:
    """In place of the stand-in's pauses: what it does late, it does once the gate is open, however slow the machine.

    asked  the portal seconds each pause was to take
    """

    def __init__(self) -> None:
        self.asked: list[float] = []
        self._opened = Event()

    def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        self._opened.wait(60)

    def open(self) -> None:
        """Nothing is late any more."""
        self._opened.set()


def until(happened: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for what another thread is about to do."""
    end = monotonic() + seconds
    while not happened():
        assert monotonic() < end
        sleep(0.005)
