"""Workers and the web process end or freeze at the worst moment: runs go on by themselves, and no page is done twice.

Most workers here are told to notice a dead colleague sooner than in real life, so that nobody waits for it; the first
test takes the real times.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import psutil
import pytest
import requests

from b24app.runs.throttle import BEGIN, FIRST
from b24app.services import Services
from b24sandbox import StandIn
from tests.clocks import Gate, TurnableClock
from tests.people import Person, run_id_of
from tests.processes import Process, Web, Worker, wait_until
from tests.runs.interrupted import (
    ACT,
    PAGES,
    counts,
    done_once_and_one_way,
    down,
    published_pages,
    slow_down,
    state,
    wait_until_ended,
)
from tests.worker import work_until_idle

PATIENCE_SECONDS = 60
REQUEST_SECONDS, WITHOUT_A_PERSON_SECONDS = 60, 30
QUICK = """
import asyncio, os, signal
from b24app import config, jobs, log, services
jobs.HEARTBEAT_SECONDS, jobs.STALLED_SECONDS, jobs.EVERY_TEN_SECONDS = 1, 4, "* * * * * */2"
settings = config.load()
log.setup(settings)
built = services.build(settings)
{twist}
print("ready", flush=True)
asyncio.run(jobs.work(built))
"""
DIES_AFTER_OUR_COMMIT = """
whole = built.executor.run_batch
def step(run):
    whole(run)
    os.kill(os.getpid(), signal.SIGKILL)
built.executor.run_batch = step
"""


def quick(environment: dict[str, str], twist: str = "") -> Process:
    """The worker, with less patience."""
    return Process(environment, "-c", QUICK.format(twist=twist))


@pytest.fixture
def lids(alice: Person) -> list[int]:
    return published_pages(alice)


@pytest.fixture
def slowly(standin: StandIn) -> Callable[[float], None]:
    return partial(slow_down, standin)


def in_flight(person: Person, lids: list[int]) -> None:
    """Wait until the portal has begun with the pages, but is not through with the first batch."""
    wait_until(lambda: down(person, lids) >= 2, PATIENCE_SECONDS)
    assert down(person, lids) < FIRST


def all_down(person: Person, lids: list[int]) -> None:
    wait_until(lambda: down(person, lids) == len(lids), REQUEST_SECONDS + WITHOUT_A_PERSON_SECONDS)


def ended(services: Services, run: str) -> None:
    wait_until_ended(services, run, PATIENCE_SECONDS)


def talks_to(process: Process, person: Person) -> bool:
    """Whether the process has a connection to the person's portal under way."""
    host, _, port = person.portal.domain.partition(":")
    ends = [each.raddr for each in psutil.Process(process.pid).net_connections() if each.status == "ESTABLISHED"]
    return any((each.ip, each.port) == (host, int(port)) for each in ends if each)


# --- workers -----------------------------------------------------------------------------------------------------


@pytest.mark.process
def test_when_one_worker_is_killed_the_other_goes_on_within_half_a_minute(
    alice: Person, standin: StandIn, services: Services, environment: dict[str, str], lids, slowly
):
    slowly(0.3)
    with Worker(environment) as one, Worker(environment) as two:
        for each in (one, two):
            each.wait_for("worker_starts")
        run = run_id_of(alice.unpublish(*lids))
        in_flight(alice, lids)
        busy, idle = (one, two) if talks_to(one, alice) else (two, one)
        busy.send(signal.SIGKILL)
        killed = time.monotonic()
        standin.clear_faults()

        all_down(alice, lids)
        took = time.monotonic() - killed
        ended(services, run)

        assert "portal_call" in idle.said()
    assert took < FIRST * 0.3 + WITHOUT_A_PERSON_SECONDS
    assert counts(alice, run)["succeeded"] == PAGES
    done_once_and_one_way(standin, lids)


@pytest.mark.process
def test_after_the_death_of_all_workers_a_new_one_goes_on(
    alice: Person, standin: StandIn, services: Services, environment: dict[str, str], lids, slowly
):
    slowly(0.2)
    with quick(environment) as one, quick(environment) as two:
        run = run_id_of(alice.unpublish(*lids))
        in_flight(alice, lids)
        for each in (one, two):
            each.send(signal.SIGKILL)
    standin.clear_faults()

    with quick(environment):
        ended(services, run)

    assert counts(alice, run)["succeeded"] == PAGES
    done_once_and_one_way(standin, lids)


@pytest.mark.process
def test_a_worker_killed_between_our_commit_and_the_engines_blocks_nothing(
    alice: Person, standin: StandIn, services: Services, environment: dict[str, str], lids
):
    run = run_id_of(alice.unpublish(*lids))
    with quick(environment, DIES_AFTER_OUR_COMMIT) as dying:
        assert dying.wait(PATIENCE_SECONDS) == -signal.SIGKILL
    assert down(alice, lids) == BEGIN

    with quick(environment):
        ended(services, run)

    assert alice.portal.asked(ACT) == PAGES
    done_once_and_one_way(standin, lids)


@pytest.mark.process
def test_a_worker_told_to_stop_finishes_its_batch_and_the_next_goes_on(
    alice: Person, standin: StandIn, services: Services, environment: dict[str, str], lids, slowly
):
    slowly(0.8)  # so that it is told within the first batch
    with Worker(environment) as old:
        run = run_id_of(alice.unpublish(*lids))
        in_flight(alice, lids)
        old.send(signal.SIGTERM)
        assert old.wait(PATIENCE_SECONDS) == 0
    left = counts(alice, run)
    assert (left["succeeded"], left["pending"], left["running"]) == (BEGIN, PAGES - BEGIN, 0)
    standin.clear_faults()

    with Worker(environment):
        ended(services, run)

    assert alice.portal.asked(ACT) == PAGES
    done_once_and_one_way(standin, lids)


@pytest.mark.process
def test_a_worker_that_still_finishes_its_batch_is_not_taken_for_dead(
    alice: Person, standin: StandIn, services: Services, environment: dict[str, str], lids, slowly
):
    slowly(0.9)
    with quick(environment) as leaving:
        run = run_id_of(alice.unpublish(*lids))
        in_flight(alice, lids)
        leaving.send(signal.SIGTERM)
        with quick(environment):
            assert leaving.wait(PATIENCE_SECONDS) == 0, "after its batch, longer than a dead one is waited for"
            standin.clear_faults()
            ended(services, run)

    assert alice.portal.asked(ACT) == PAGES
    done_once_and_one_way(standin, lids)


@pytest.mark.process
def test_a_frozen_worker_is_passed_by_and_thaws_into_work_again(
    alice: Person, standin: StandIn, services: Services, environment: dict[str, str], lids, slowly
):
    slowly(0.2)
    more = alice.portal.add_pages(3, site=3)
    with quick(environment) as frozen:
        run = run_id_of(alice.unpublish(*lids))
        in_flight(alice, lids)
        frozen.send(signal.SIGSTOP)
        standin.clear_faults()
        with quick(environment):
            ended(services, run)
        frozen.send(signal.SIGCONT)

        second = run_id_of(alice.unpublish(*more))
        ended(services, second)

    assert counts(alice, run)["succeeded"] == PAGES
    done_once_and_one_way(standin, lids + more)


# --- the web process ---------------------------------------------------------------------------------------------


@pytest.mark.process
def test_a_worker_finishes_the_run_of_a_web_process_killed_in_a_request(
    alice: Person, standin: StandIn, services: Services, environment: dict[str, str], clock: TurnableClock, lids,
    slowly, gate: Gate,
):  # fmt: skip
    slowly(2.0)
    order: dict[str, Any] = {"action": "unpublish", "lids": lids[:1]}
    with Web(environment) as web:
        url, headers = f"{web.url}/runs", alice.headers()
        waiting = threading.Thread(target=_ask_in_vain, args=(url, order, headers))
        waiting.start()
        wait_until(lambda: alice.portal.asked(ACT) == 1, PATIENCE_SECONDS)
        for process in [*psutil.Process(web.pid).children(recursive=True), psutil.Process(web.pid)]:
            os.kill(process.pid, signal.SIGKILL)
        waiting.join(PATIENCE_SECONDS)
    gate.open()
    wait_until(lambda: down(alice, lids) == 1)
    standin.clear_faults()

    clock.tick(seconds=61)
    work_until_idle(services)

    listed = alice.get("/runs").json
    assert listed
    assert [(run["state"], run["counts"]["succeeded"]) for run in listed["runs"]] == [("succeeded", 1)]
    done_once_and_one_way(standin, lids[:1])


def _ask_in_vain(url: str, order: dict[str, Any], headers: dict[str, str]) -> None:
    with pytest.raises(requests.RequestException):
        requests.post(url, json=order, headers=headers, timeout=PATIENCE_SECONDS)


# --- the clock ---------------------------------------------------------------------------------------------------


def test_a_clock_that_goes_back_turns_nothing_round_and_holds_nothing_up(
    alice: Person, standin: StandIn, services: Services, clock: TurnableClock, lids
):
    standin.fault(0, method="batch", kind="error", code="QUERY_LIMIT_EXCEEDED", status=503, times=1)
    run = run_id_of(alice.unpublish(*lids))
    work_until_idle(services)
    assert down(alice, lids) == 0

    clock.tick(hours=-1)

    def is_through() -> bool:
        work_until_idle(services)
        return state(services, run) == "succeeded"

    wait_until(is_through, PATIENCE_SECONDS)

    done_once_and_one_way(standin, lids)
