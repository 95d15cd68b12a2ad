"""Runs over many pages: what is recorded is what really is, whatever part of a request failed; stop, undo, clicks."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from b24app.domain import ItemState
from b24app.runs.throttle import BEGIN, FIRST
from b24app.services import Services
from b24app.store.models import RunItem
from b24sandbox import StandIn
from tests.clocks import Gate, TurnableClock
from tests.people import Person, run_id_of
from tests.processes import wait_until
from tests.worker import work, work_until_idle

ACT, LIST = "landing.landing.unpublic", "landing.landing.getList"


@pytest.fixture
def lids(alice: Person) -> list[int]:
    """Thirty published pages of one site, and the list already read."""
    made = alice.portal.add_pages(30, site=3)
    alice.get("/pages")
    return made


def seen(person: Person, run: str) -> dict[str, Any]:
    answer = person.get(f"/runs/{run}")
    assert answer.json
    return answer.json


def items(services: Services, run: str) -> list[RunItem]:
    with services.store.begin() as db:
        return list(db.scalars(select(RunItem).where(RunItem.run_id == run).order_by(RunItem.position)))


def later(clock: TurnableClock, services: Services, **span: float) -> None:
    clock.tick(**span)
    work_until_idle(services)


@contextmanager
def working(services: Services) -> Iterator[None]:
    """A worker beside the test, until it has nothing to do."""
    beside = threading.Thread(target=work, args=(services,))
    beside.start()
    try:
        yield
    finally:
        beside.join(60)


# --- one order -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pages", [1, 20])
def test_eight_clicks_at_once_make_one_run(app: Flask, alice: Person, lids: list[int], services: Services, pages: int):
    start = threading.Barrier(8)

    def click(_: int) -> tuple[int, str]:
        start.wait(30)
        headers = {**alice.headers(), "Idempotency-Key": "one-dialog"}
        body = {"action": "unpublish", "lids": lids[:pages]}
        answer = app.test_client().post("/runs", json=body, headers=headers)
        return answer.status_code, run_id_of(answer)

    with ThreadPoolExecutor(8) as crew:
        answers = list(crew.map(click, range(8)))
    work_until_idle(services)

    assert sorted(status for status, _ in answers) == [200] * 7 + [201]
    assert len({run for _, run in answers}) == 1
    assert alice.portal.asked(ACT) == pages


# --- parts of a request that fail ------------------------------------------------------------------------------------


def test_pages_whose_reading_after_fails_are_read_again_for_an_undo(
    alice: Person, services: Services, standin: StandIn, lids: list[int], clock: TurnableClock
):
    run = run_id_of(alice.unpublish(*lids[:5]))
    standin.fault(0, LIST, kind="error", code="SYSTEM_ERROR", status=400, skip=1)
    work_until_idle(services)

    later(clock, services, minutes=1)

    assert seen(alice, run)["counts"]["succeeded"] == 5
    assert alice.portal.asked(ACT) == 5
    assert all(item.after and item.before and item.before["active"] for item in items(services, run))


def test_durations_counted_from_the_second_before_do_not_make_pages_dear(
    alice: Person, services: Services, standin: StandIn
):
    made = alice.portal.add_pages(FIRST + 47 + 20, site=3)
    alice.portal.switch(whole_seconds=True)
    standin.fault(0, ACT, kind="latency", seconds=0.01, times=-1)
    alice.get("/pages")

    run = run_id_of(alice.unpublish(*made))
    work_until_idle(services)

    assert seen(alice, run)["state"] == "succeeded"
    assert len({call.batch for call in standin.calls(method=ACT)}) == 3


def test_one_page_whose_answer_left_no_trace_is_looked_at_at_once(alice: Person, standin: StandIn, lids: list[int]):
    standin.fault(0, ACT, kind="lost")

    answer = alice.unpublish(lids[0])

    assert answer.status_code == 201
    assert seen(alice, run_id_of(answer))["state"] == "succeeded"
    assert not alice.portal.page(lids[0]).active


def test_pages_of_a_refused_request_are_pending_again_and_need_no_look(
    alice: Person, services: Services, standin: StandIn, lids: list[int], clock: TurnableClock
):
    run = run_id_of(alice.unpublish(*lids[:5]))
    standin.fault(0, "batch", kind="error", code="QUERY_LIMIT_EXCEEDED", status=503)
    work_until_idle(services)
    waiting = seen(alice, run)["counts"]
    before = alice.portal.requests()

    later(clock, services, seconds=20)

    assert (waiting["pending"], waiting["running"]) == (5, 0)
    assert alice.portal.requests() - before == 1
    assert seen(alice, run)["state"] == "succeeded"


def test_a_page_that_fails_the_portal_again_and_again_stops_nobody_else(
    alice: Person, services: Services, standin: StandIn, lids: list[int], clock: TurnableClock
):
    run = run_id_of(alice.unpublish(*lids))
    standin.fault(0, ACT, kind="error", code="SYSTEM_ERROR", status=400, skip=4)
    for _ in range(8):
        work_until_idle(services)
        clock.tick(minutes=3)
        if seen(alice, run)["state"] != "running":
            break
        standin.fault(0, ACT, kind="error", code="SYSTEM_ERROR", status=400)  # the same page, now the first of a batch

    ended = seen(alice, run)
    assert (ended["state"], ended["counts"]["succeeded"], ended["counts"]["failed"]) == ("partial", 29, 1)
    assert [item.code for item in items(services, run) if item.state is ItemState.FAILED] == ["SYSTEM_ERROR"]
    assert alice.portal.page(lids[4]).active


def test_requests_shrink_after_lost_answers_and_grow_after_good_ones(
    alice: Person, services: Services, standin: StandIn, lids: list[int], clock: TurnableClock
):
    run_id_of(alice.unpublish(*lids))
    standin.fault(0, "batch", kind="reset_before", times=2)
    for _ in range(3):
        work_until_idle(services)
        clock.tick(minutes=1)

    batches = [call.batch for call in standin.calls(0, ACT)]
    sizes = [batches.count(batch) for batch in dict.fromkeys(batches)]
    assert sizes[0] < FIRST
    assert sum(sizes) == 30
    assert max(sizes) > FIRST


# --- stop and undo ---------------------------------------------------------------------------------------------------


def test_stop_lets_at_most_the_batch_in_flight_land(
    alice: Person, services: Services, standin: StandIn, lids: list[int], gate: Gate
):
    standin.fault(0, ACT, kind="latency", seconds=0.1, times=-1)
    run = run_id_of(alice.unpublish(*lids))

    with working(services):
        wait_until(lambda: any(not alice.portal.page(lid).active for lid in lids))
        stopped = alice.post(f"/runs/{run}/cancel")
        gate.open()
    work_until_idle(services)

    assert stopped.status_code == 200
    counts = seen(alice, run)["counts"]
    assert (counts["succeeded"], counts["cancelled"], counts["running"]) == (BEGIN, 30 - BEGIN, 0)
    assert sum(not alice.portal.page(lid).active for lid in lids) == BEGIN


def test_undo_brings_back_what_the_run_changed_and_nobody_touched_since(
    alice: Person, services: Services, standin: StandIn, lids: list[int]
):
    already, edited, foreign, deleted, *others = lids[:8]
    alice.portal.change_page(already, active=False, public=False)
    run = run_id_of(alice.unpublish(*lids[:8]))
    work_until_idle(services)
    alice.portal.change_page(edited, modified_at=standin.world.clock.now() + 60)
    alice.portal.change_page(foreign, modified_by=1)
    alice.portal.change_page(deleted, deleted=True)

    undo = run_id_of(alice.post(f"/runs/{run}/undo"))
    work_until_idle(services)

    undone = seen(alice, undo)
    result = {item["lid"]: (item["state"], item["code"]) for item in undone["items"]}
    assert already not in result
    assert result[edited] == result[foreign] == ("skipped", "changed_since")
    assert result[deleted] == ("failed", "LANDING_NOT_EXIST")
    assert [result[lid] for lid in others] == [("succeeded", None)] * 4
    assert [alice.portal.page(lid).active for lid in others] == [True] * 4
    assert not alice.portal.page(edited).active
