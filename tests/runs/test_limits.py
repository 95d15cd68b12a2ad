"""What a portal's limits and troubles do to runs: they wait, look, go on; nothing is done twice."""

from threading import Thread
from typing import Any

import pytest
from sqlalchemy import select

from b24app.runs.throttle import BEGIN
from b24app.services import Services
from b24app.store.models import MethodThrottle, Portal, Run
from b24sandbox import StandIn
from tests.clocks import Gate, TurnableClock
from tests.people import Person
from tests.processes import wait_until
from tests.worker import work, work_until_idle

ACT = "landing.landing.unpublic"


@pytest.fixture
def many(alice: Person) -> list[int]:
    """Sixty published pages of one site, and the list already read."""
    lids = alice.portal.add_pages(60, site=3)
    alice.get("/pages")
    return lids


def ordered(person: Person, lids: list[int]) -> str:
    answer = person.unpublish(*lids)
    assert answer.status_code == 201
    assert answer.json
    return str(answer.json["id"])


def seen(person: Person, run: str) -> dict[str, Any]:
    answer = person.get(f"/runs/{run}")
    assert answer.json
    return answer.json


def changes(standin: StandIn, lids: list[int]) -> list[int]:
    """How often each page was taken down or published on the first portal."""
    changed = [change.lid for change in standin.world.recorder.changes if change.portal == 0]
    return [changed.count(lid) for lid in lids]


def state_of(services: Services, run: str) -> Run:
    with services.store.begin() as db:
        return db.scalars(select(Run).where(Run.id == run)).one()


def test_sixty_pages_come_down_in_few_requests_after_a_careful_start(
    alice: Person, services: Services, many: list[int]
):
    run = ordered(alice, many)
    before = alice.portal.asked("batch")

    work_until_idle(services)

    assert seen(alice, run)["counts"]["succeeded"] == 60
    assert alice.portal.asked("batch") - before <= 4
    with services.store.begin() as db:
        throttle = db.get_one(MethodThrottle, (alice.portal.member_id, ACT))
    assert throttle.mean is not None


def test_a_full_bucket_makes_all_of_the_portals_runs_wait_and_nobody_elses(
    alice: Person, charlie: Person, services: Services, standin: StandIn, many: list[int], clock: TurnableClock
):
    others = charlie.portal.add_pages(3)
    charlie.get("/pages")
    standin.fault(0, method="batch", kind="error", code="QUERY_LIMIT_EXCEEDED", status=503, times=2)
    first, second, other = ordered(alice, many[:30]), ordered(alice, many[30:]), ordered(charlie, others)

    with services.store.begin() as db:
        assert db.get_one(Portal, alice.portal.member_id).paused_until is None
    work(services)
    asked = alice.portal.asked("batch")
    work(services)

    assert alice.portal.asked("batch") == asked, "while it pauses, nobody asks"
    assert seen(charlie, other)["state"] == "succeeded"
    clock.tick(minutes=5)
    work_until_idle(services)
    clock.tick(minutes=5)
    work_until_idle(services)
    assert [seen(alice, run)["state"] for run in (first, second)] == ["succeeded", "succeeded"]
    assert set(changes(standin, many)) == {1}


def test_a_person_is_not_held_up_by_the_pause_of_the_runs(
    alice: Person, services: Services, standin: StandIn, many: list[int]
):
    standin.fault(0, method="batch", kind="error", code="QUERY_LIMIT_EXCEEDED", status=503, times=1)
    ordered(alice, many[:30])
    work(services)

    answer = alice.unpublish(many[-1])

    assert (answer.status_code, answer.json and answer.json["state"]) == (201, "succeeded")


def test_used_up_operating_time_pauses_only_the_method_and_the_run_goes_on(
    alice: Person, services: Services, standin: StandIn, many: list[int], clock: TurnableClock
):
    standin.fault(0, method=ACT, kind="error", code="OPERATION_TIME_LIMIT", status=429, times=1)
    run = ordered(alice, many)

    work_until_idle(services)
    paused = seen(alice, run)
    down = sum(not alice.portal.page(lid).active for lid in many)
    up_again = alice.publish(next(page.id for page in alice.portal.pages("PAGE") if not page.active))
    clock.tick(minutes=11)
    work_until_idle(services)

    assert (paused["state"], paused["problem"]["code"]) == ("running", "OPERATION_TIME_LIMIT")
    assert paused["counts"]["failed"] == 0
    assert paused["counts"]["succeeded"] == down
    assert up_again.status_code == 201, "another method is not held up"
    done = seen(alice, run)
    assert (done["state"], done["problem"]) == ("succeeded", None)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "error", "code": "INTERNAL_SERVER_ERROR", "status": 500},
        {"kind": "html", "status": 502},
        {"kind": "bad_json"},
        {"kind": "empty"},
        {"kind": "reset"},
    ],
)
def test_troubles_pass_and_no_page_is_changed_twice(
    alice: Person, services: Services, standin: StandIn, many: list[int], clock: TurnableClock, fault: dict
):
    standin.fault(0, method="batch", times=1, **fault)
    run = ordered(alice, many[:20])

    work_until_idle(services)
    clock.tick(minutes=2)
    work_until_idle(services)

    assert seen(alice, run)["state"] == "succeeded"
    assert set(changes(standin, many[:20])) == {1}


def test_after_an_answer_that_was_lost_the_run_looks_before_it_acts(
    alice: Person, services: Services, standin: StandIn, many: list[int], clock: TurnableClock
):
    standin.fault(0, method="batch", kind="reset_after", times=1)
    run = ordered(alice, many[:8])

    work_until_idle(services)
    clock.tick(minutes=2)
    work_until_idle(services)

    done = seen(alice, run)
    assert (done["state"], done["counts"]["succeeded"]) == ("succeeded", 8)
    assert set(changes(standin, many[:8])) == {1}
    assert alice.portal.asked(ACT) == 8, "not one of them was asked again"


def test_troubles_without_end_make_the_run_wait_with_words(
    alice: Person, services: Services, standin: StandIn, many: list[int], clock: TurnableClock
):
    standin.fault(0, method="batch", kind="html", status=502, times=50)
    run = ordered(alice, many[:5])

    for _ in range(12):
        work_until_idle(services)
        clock.tick(minutes=15)

    waits = state_of(services, run)
    assert (waits.state, waits.problem and waits.problem.key) == ("waiting", "unavailable")


def test_a_missing_scope_inside_the_batch_is_a_failure_of_the_call(alice: Person, services: Services, many: list[int]):
    run = ordered(alice, many)
    alice.portal.scope([])
    alice.portal.expire()

    work_until_idle(services)

    waits = seen(alice, run)
    assert (waits["state"], waits["problem"]["code"]) == ("waiting", "insufficient_scope")
    assert waits["counts"]["failed"] == 0


def test_a_hold_by_bitrix24_stops_all_runs_until_the_next_open(
    alice: Person, ada: Person, services: Services, standin: StandIn, many: list[int]
):
    for method in ("batch", "app.info"):  # the refusal, and the question whether it is meant
        standin.fault(0, method=method, kind="error", code="OVERLOAD_LIMIT", status=401, times=1)
    first, second = ordered(alice, many[:5]), ordered(alice, many[5:10])

    work_until_idle(services)
    asked = alice.portal.asked("batch")
    states = [seen(alice, run)["state"] for run in (first, second)]
    ada.open()
    work_until_idle(services)

    assert states == ["waiting", "waiting"]
    assert asked <= alice.portal.asked("batch") - 2
    assert [seen(alice, run)["state"] for run in (first, second)] == ["succeeded", "succeeded"]


def test_a_cut_request_is_looked_after_and_the_next_one_is_smaller(
    alice: Person, services: Services, standin: StandIn, many: list[int], clock: TurnableClock
):
    run = ordered(alice, many)
    standin.fault(0, method="batch", kind="html", status=504, times=1)

    work_until_idle(services)
    clock.tick(minutes=1)
    work_until_idle(services)

    with services.store.begin() as db:
        throttle = db.get_one(MethodThrottle, (alice.portal.member_id, ACT))
    assert throttle.slowest is not None
    assert throttle.slowest > 1, "a page takes longer than was thought"
    assert seen(alice, run)["state"] == "succeeded"


def test_what_a_stopped_runs_lost_batch_did_is_looked_at(
    alice: Person, services: Services, standin: StandIn, many: list[int], clock: TurnableClock, gate: Gate
):
    """Stopped while the batch was under way, and its answer was lost."""
    standin.fault(0, method=ACT, kind="latency", seconds=1.0, times=2)
    standin.fault(0, method="batch", kind="reset_after", times=1)
    run = ordered(alice, many)
    at_work = Thread(target=work, args=[services])
    at_work.start()
    wait_until(lambda: seen(alice, run)["counts"]["running"] == BEGIN)
    alice.post(f"/runs/{run}/cancel")
    gate.open()
    at_work.join(30)

    work_until_idle(services)
    clock.tick(minutes=1)
    work_until_idle(services)

    ended = seen(alice, run)
    assert ended["state"] == "cancelled"
    assert (ended["counts"]["succeeded"], ended["counts"]["cancelled"], ended["counts"]["running"]) == (
        BEGIN,
        60 - BEGIN,
        0,
    )


def test_two_runs_of_a_portal_take_turns(alice: Person, services: Services, standin: StandIn, many: list[int]):
    first, second = ordered(alice, many[:30]), ordered(alice, many[30:])

    work_until_idle(services)

    order = [change.lid for change in standin.world.recorder.changes if change.lid in many]
    assert order.index(many[30]) < order.index(many[29]), "the second began before the first was through"
    assert [seen(alice, run)["state"] for run in (first, second)] == ["succeeded", "succeeded"]
