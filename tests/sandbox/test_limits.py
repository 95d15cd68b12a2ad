"""Section 4.6: limits, on a clock one can push."""

from __future__ import annotations

import time

import pytest

from b24sandbox.protocol.limits import Deadline, GatewayTimeout
from b24sandbox.state.clock import Clock


def test_the_bucket_runs_over_and_drains(portal, editor, standin):
    portal.switch(bucket="50/2")
    seen = [editor.error("profile") for _ in range(55)]

    assert seen[:50] == [(200, "")] * 50
    assert seen[-1] == (503, "QUERY_LIMIT_EXCEEDED")
    standin.world.clock.advance(10)
    assert [editor.error("profile")[0] for _ in range(20)] == [200] * 20


def test_a_batch_is_one_request_for_the_bucket(portal, editor):
    portal.switch(bucket="50/2")
    for _ in range(3):
        editor.batch({f"c{number}": "user.admin" for number in range(50)})

    assert editor.error("profile") == (200, "")


def test_operating_time_runs_up_by_method_and_leaves_after_ten_minutes(portal, editor, standin):
    portal.switch(operating_limit=1)
    spent = [editor.ask("landing.landing.unpublic", lid=351).json()["time"]["operating"] for _ in range(7)]

    assert spent == pytest.approx([0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05])
    assert editor.error("landing.landing.unpublic", lid=351) == (429, "OPERATION_TIME_LIMIT")
    assert editor.error("landing.site.getList") == (200, "")  # another method, another account
    maps = editor.batch({"a": "landing.landing.unpublic?lid=351", "b": "user.admin"})
    assert maps["result_error"]["a"]["error"] == "OPERATION_TIME_LIMIT"
    assert maps["result"] == {"b": False}

    standin.world.clock.advance(601)
    assert editor.error("landing.landing.unpublic", lid=351) == (200, "")


def test_the_answer_says_when_the_oldest_minute_leaves(editor):
    time_told = editor.ask("landing.landing.unpublic", lid=351).json()["time"]

    ahead = time_told["operating_reset_at"] - time_told["start"]
    assert 540 <= ahead <= 600
    assert time_told["operating_reset_at"] % 60 == 0


def test_short_calls_are_not_counted(editor):
    for _ in range(5):
        assert editor.ask("profile").json()["time"]["operating"] == 0


def test_a_self_hosted_portal_has_no_limits(portal, editor):
    portal.switch(self_hosted=True, bucket="50/2", operating_limit=1)

    assert {editor.error("landing.landing.unpublic", lid=351) for _ in range(60)} == {(200, "")}


def test_a_request_is_cut_after_sixty_seconds_and_what_was_done_stays(portal, editor, standin):
    """Twenty unpublishes at the documented pace pass ten seconds; time here runs a hundred times as fast."""
    lids = [page.id for page in portal.pages() if page.site_id in (3, 5) and page.active][:20]
    portal.switch(paced=True, request_seconds=10)
    standin.world.clock.run(100)

    answer = editor.ask("batch", cmd={f"c{lid}": f"landing.landing.unpublic?lid={lid}" for lid in lids})

    done = [lid for lid in lids if not portal.page(lid).active]
    assert answer.status_code == 504
    assert answer.headers["Content-Type"].startswith("text/html")
    assert 1 <= len(done) < 20
    assert done == lids[: len(done)]


def test_patience_ends_in_time():
    clock = Clock(scale=100)
    deadline = Deadline(clock, 5)
    began = time.monotonic()

    deadline.wait(2)
    with pytest.raises(GatewayTimeout):
        deadline.wait(4)

    assert 0.04 < time.monotonic() - began < 0.5


def test_a_scaled_clock_runs_ahead():
    clock = Clock(scale=1000)
    before = clock.now()
    time.sleep(0.02)

    assert clock.now() - before >= 20
