"""Clocks a test can turn, and the wait for what is about to happen."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep


class TurnableClock:
    """The real time, plus what a test has turned it by."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def tick(self, **span: float) -> None:
        """Let time pass: `clock.tick(hours=2)`."""
        self.ahead += timedelta(**span)


class StandingClock(TurnableClock):
    """Stands still until it is turned, so that nothing fills or ends while a slow machine works."""

    def __init__(self) -> None:
        super().__init__()
        self.began = datetime.now(UTC).replace(microsecond=0)

    def __call__(self) -> datetime:
        return self.began + self.ahead


def until(happened: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for what another thread is about to do."""
    end = monotonic() + seconds
    while not happened():
        assert monotonic() < end
        sleep(0.005)
