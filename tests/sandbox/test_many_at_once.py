"""Many at once: the stand-in stays right, and tells how many there were."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.clocks import until


def test_eighty_threads_get_right_answers_and_are_counted(standin, portal, person, monkeypatch):
    people = [person(("admin", "editor", "reader")[number % 3]) for number in range(80)]
    for each in people:
        each.session = requests.Session()
    together, all_came = threading.Barrier(80), threading.Barrier(80)
    standin.fault(0, "profile", kind="latency", times=80)
    monkeypatch.setattr(standin.world.clock, "sleep", lambda _: all_came.wait(timeout=20))

    def work(number: int) -> bool:
        me = people[number]
        together.wait(timeout=20)
        with me.session:
            right = [me("profile")["ID"] == str(me.id)]
            right += [me("profile")["ID"] == str(me.id) for _ in range(4)]
        return all(right)

    with ThreadPoolExecutor(80) as crowd:
        assert all(crowd.map(work, range(80)))

    assert portal.asked("profile") == 400
    assert standin.world.recorder.most_at_once()["0"] == 80
    assert all(call.end is not None and call.status == 200 for call in standin.calls(0))


def test_each_page_is_taken_down_once_by_however_many(standin, portal, person):
    lids = portal.add_pages(40)
    people = [person("editor") for _ in range(8)]
    for each in people:
        each.session = requests.Session()

    def work(me) -> None:
        with me.session:
            me.batch({f"c{lid}": f"landing.landing.unpublic?lid={lid}" for lid in lids})

    with ThreadPoolExecutor(8) as crowd:
        list(crowd.map(work, people))

    effective = [change.lid for change in standin.world.recorder.changes if change.effective]
    assert sorted(effective) == lids
    assert len(standin.world.recorder.changes) == 320
    assert {each["times"] for each in standin.world.recorder.changed_twice()} == {7}


def test_a_batch_does_not_lock_the_portal_for_its_whole_length(standin, person, gate):
    standin.fault(0, "user.admin", kind="latency")
    slow, quick = person("admin"), person("editor")
    quick.session = requests.Session()

    with quick.session, ThreadPoolExecutor(1) as other:
        waiting = other.submit(slow.batch, {"a": "user.admin"})
        until(lambda: bool(gate.asked))
        assert quick("profile")["ID"] == "7"
        assert not waiting.done()
        gate.open()
        waiting.result()
