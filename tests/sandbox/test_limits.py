"""Section 4.6: limits, on a clock one can push."""

from __future__ import annotations

import time

import pytest

from b24sandbox.protocol.limits import Deadline, GatewayTimeout
from b24sandbox.state.clock import Clock


def test_the_bucket_runs_over_and_drains(portal, editor, standin):
    standin.world.clock.run(0.001)  # nothing drains meanwhile, however busy the machine is
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


def test_a_method_is_blocked_over_the_limit_and_not_at_it(portal, editor, standin):
    standin.world.clock.advance(60 - standin.world.clock.now() % 60)  # the whole test in one minute
    portal.switch(operating_limit=3)
    for _ in range(20):
        assert editor.error("landing.landing.unpublic", lid=351) == (200, "")
    used = editor.ask("landing.landing.unpublic", lid=351).json()["time"]["operating"]

    assert used == pytest.approx(3.15)  # at 3.00 exactly it was still let through
    assert editor.error("landing.landing.unpublic", lid=351) == (429, "OPERATION_TIME_LIMIT")


def test_the_oldest_minute_leaves_ten_minutes_after_its_first_call(editor, standin):
    first = editor.ask("landing.landing.unpublic", lid=351).json()["time"]
    standin.world.clock.advance(125)
    later = editor.ask("landing.landing.unpublic", lid=351).json()["time"]

    assert first["operating_reset_at"] == pytest.approx(first["start"] + 600, abs=1)
    assert later["operating_reset_at"] == first["operating_reset_at"]


def test_short_calls_count_together_once_a_request_passes_a_tenth(editor):
    for _ in range(5):
        assert editor.ask("profile").json()["time"]["operating"] == 0

    few = editor.ask("batch", cmd={f"c{number}": "profile" for number in range(3)}).json()["result"]
    many = editor.ask("batch", cmd={f"c{number}": "profile" for number in range(10)}).json()["result"]

    assert few["result_time"]["c2"]["operating"] == 0  # 0.09 s
    assert many["result_time"]["c2"]["operating"] == 0
    assert many["result_time"]["c3"]["operating"] == pytest.approx(0.12)
    assert many["result_time"]["c9"]["operating"] == pytest.approx(0.3)


def test_each_webhook_and_the_app_have_accounts_of_their_own(portal, admin, session):
    portal.switch(operating_limit=1)
    for _ in range(8):
        admin.ask("landing.landing.unpublic", lid=351)

    by_webhook = session.post(portal.webhook + "landing.landing.unpublic", json={"lid": 351}, timeout=10)

    assert admin.error("landing.landing.unpublic", lid=351) == (429, "OPERATION_TIME_LIMIT")
    assert (by_webhook.status_code, by_webhook.json()["time"]["operating"]) == (200, pytest.approx(0.15))


def test_the_bucket_drains_once_a_second(portal, editor, standin):
    standin.world.clock.run(0.001)
    standin.world.clock.advance(1 - standin.world.clock.now() % 1 + 0.01)
    portal.switch(bucket="50/2")
    for _ in range(50):
        editor.ask("profile")

    standin.world.clock.advance(0.9)
    before = editor.error("profile")
    standin.world.clock.advance(0.1)

    assert before == (503, "QUERY_LIMIT_EXCEEDED")
    assert [editor.error("profile")[0] for _ in range(3)] == [200, 200, 503]


def test_a_self_hosted_portal_has_no_limits(portal, editor):
    portal.switch(self_hosted=True, bucket="50/2", operating_limit=1)

    assert {editor.error("landing.landing.unpublic", lid=351) for _ in range(60)} == {(200, "")}


def test_a_request_is_cut_after_sixty_seconds_and_what_was_done_stays(portal, editor, standin, monkeypatch):
    """Twenty unpublishes at the documented pace pass ten seconds; only what the portal itself takes counts here."""
    lids = [page.id for page in portal.pages() if page.site_id in (3, 5) and page.active][:20]
    portal.switch(paced=True, request_seconds=10)
    standin.world.clock.run(0.001)
    monkeypatch.setattr(standin.world.clock, "sleep", standin.world.clock.advance)

    answer = editor.ask("batch", cmd={f"c{lid}": f"landing.landing.unpublic?lid={lid}" for lid in lids})

    done = [lid for lid in lids if not portal.page(lid).active]
    assert answer.status_code == 504
    assert answer.headers["Content-Type"].startswith("text/html")
    assert 1 <= len(done) < 20
    assert done == lids[: len(done)]


def test_patience_ends_in_time(monkeypatch):
    clock = Clock(tick=lambda: 0.0)  # only what is waited for passes
    monkeypatch.setattr(clock, "sleep", clock.advance)
    deadline = Deadline(clock, 5)
    began = clock.now()

    deadline.wait(2)
    with pytest.raises(GatewayTimeout):
        deadline.wait(4)

    assert clock.now() - began == pytest.approx(5)


def test_a_wait_takes_its_time():
    began = time.monotonic()

    Clock(scale=100).sleep(5)

    assert time.monotonic() - began >= 0.05


def test_a_scaled_clock_runs_ahead():
    clock = Clock(scale=1000)
    before = clock.now()
    time.sleep(0.02)

    assert clock.now() - before >= 20
