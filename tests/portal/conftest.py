"""Turning time in tests of the web: both clocks, and a worker that does what is due."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from b24app.services import Services
from sandbox import StandIn
from tests.clocks import TurnableClock
from tests.worker import work_until_idle

Turn = Callable[..., None]
Work = Callable[[], None]


@pytest.fixture
def turn(clock: TurnableClock, standin: StandIn) -> Turn:
    """Let time pass, for the app and for the portal: by a span, or up to a moment."""

    def pass_by(until: datetime | None = None, **span: float) -> None:
        ahead = until - clock() if until else timedelta(**span)
        assert ahead >= timedelta()
        clock.tick(seconds=ahead.total_seconds())
        standin.world.clock.advance(ahead.total_seconds())

    return pass_by


@pytest.fixture
def work(services: Services) -> Work:
    """The worker does what is due, and what comes of it."""
    return lambda: work_until_idle(services)
