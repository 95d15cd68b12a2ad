"""One clock for all machines: a worker or a web process whose machine goes wrong judges by the database's time."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from flask import Flask

from b24app.clock import Clock, SharedClock, utcnow
from b24app.config import Config
from b24app.factory import create_app
from b24app.services import Services, build
from b24sandbox import StandIn
from tests.people import Person, run_id_of
from tests.worker import work_until_idle

PAGE = 351
TWO_HOURS = timedelta(hours=2)
Machine = Callable[[timedelta], Services]


@pytest.fixture
def machine(config: Config) -> Iterator[Machine]:
    """A process on a machine whose clock is so far ahead."""
    made = []

    def on(ahead: timedelta) -> Services:
        made.append(build(config, machine=lambda: utcnow() + ahead, jitter=lambda: 0.0))
        return made[-1]

    yield on
    for services in made:
        services.close()


@pytest.fixture
def app(machine: Machine) -> Flask:
    """The web process here is three hours behind."""
    made = create_app(machine(timedelta(hours=-3)))
    made.testing = True
    return made


def inside(**span: float) -> str:
    return (utcnow() + timedelta(**span)).isoformat(timespec="seconds")


def test_a_worker_that_is_two_hours_ahead_begins_nothing_early(alice: Person, machine: Machine):
    run = run_id_of(alice.unpublish(PAGE, at=inside(minutes=90)))
    ahead = machine(TWO_HOURS)

    assert ahead.schedule.enqueue_near() == 0
    work_until_idle(ahead)

    assert alice.portal.page(PAGE).active
    assert alice.read(f"/runs/{run}")["state"] == "scheduled"


def test_a_worker_that_is_two_hours_ahead_takes_nothing_for_late(alice: Person, machine: Machine):
    alice.unpublish(PAGE)
    run = run_id_of(alice.publish(PAGE, at=inside(seconds=1)))
    time.sleep(1.1)

    work_until_idle(machine(TWO_HOURS))

    assert alice.read(f"/runs/{run}")["state"] == "succeeded"
    assert alice.portal.page(PAGE).active


def test_a_web_process_that_is_behind_takes_no_past_time_for_a_future_one(alice: Person, standin: StandIn):
    assert alice.unpublish(PAGE, at=inside(hours=-1)).status_code == 422


class Turned:
    """A machine's clock that somebody turns, and a database that is asked."""

    def __init__(self) -> None:
        self.now = self.database = datetime(2027, 1, 15, 12, tzinfo=UTC)
        self.asked = 0
        self.reachable = True

    def machine(self) -> datetime:
        return self.now

    def ask(self) -> datetime | None:
        self.asked += 1
        return self.database if self.reachable else None

    def pass_by(self, **span: float) -> None:
        self.now += timedelta(**span)
        self.database += timedelta(**span)


@pytest.fixture
def turned() -> Turned:
    return Turned()


@pytest.fixture
def shared(turned: Turned) -> Clock:
    return SharedClock(turned.ask, turned.machine)


def test_the_database_is_asked_at_first_use_and_every_minute(turned: Turned, shared: Clock):
    turned.database += TWO_HOURS

    assert shared() == shared() == turned.database
    turned.pass_by(seconds=59)
    assert shared() == turned.database
    assert turned.asked == 1
    turned.pass_by(seconds=2)
    assert shared() == turned.database
    assert turned.asked == 2


@pytest.mark.parametrize("jump", [timedelta(hours=-5), timedelta(hours=5)])
def test_a_machine_whose_clock_jumps_is_measured_anew(turned: Turned, shared: Clock, jump: timedelta):
    shared()
    turned.now += jump

    assert shared() == turned.database


@pytest.mark.parametrize("jump", [timedelta(hours=-5), timedelta(hours=5)])
def test_after_a_jump_every_thread_waits_for_the_measurement(jump: timedelta):
    turned, asked, answer = Turned(), Event(), Event()

    def ask() -> datetime:
        if turned.asked:
            asked.set()
            assert answer.wait(10)
        turned.asked += 1
        return turned.database

    shared = SharedClock(ask, turned.machine)
    shared()
    turned.now += jump
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(shared)
        assert asked.wait(10)
        second = threads.submit(shared)
        time.sleep(0.1)
        answer.set()

        assert first.result(10) == second.result(10) == turned.database
    assert turned.asked == 2


def test_while_the_database_is_away_the_last_difference_holds(turned: Turned, shared: Clock):
    turned.database += TWO_HOURS
    shared()
    turned.reachable = False
    turned.pass_by(minutes=5)

    assert shared() == turned.database


def test_a_database_that_was_never_reached_leaves_the_machines_own_time(turned: Turned, shared: Clock):
    turned.reachable = False

    assert shared() == turned.now
