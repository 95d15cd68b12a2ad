"""What the operator's platform may ask, and what it does not learn."""

import re
from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

import psutil
import pytest
import requests
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from b24app.factory import create_app
from b24app.operations.answers import KINDS, AnswerCounts
from b24app.operations.housekeeping import Housekeeping
from b24app.services import Services, build
from b24app.store.models import Portal, WorkerSeen
from tests.clocks import TurnableClock
from tests.conftest import Turn, make_config
from tests.people import Person
from tests.portals.test_events import removal, send
from tests.processes import START_SECONDS, Web, Worker, wait_until

TOKEN = "m" * 32


@pytest.fixture
def guarded(environment: dict[str, str]):
    """The app with a token for its figures."""
    built = build(make_config(environment | {"METRICS_TOKEN": TOKEN}))
    yield create_app(built).test_client()
    built.close()


def test_figures_need_their_token(guarded):
    anonymous, wrong, right = (
        guarded.get("/metrics", headers={"Authorization": header} if header else {})
        for header in ("", f"Bearer {TOKEN[:-1]}x", f"Bearer {TOKEN}")
    )

    assert (anonymous.status_code, wrong.status_code, right.status_code) == (401, 401, 200)
    assert guarded.get("/metrics", headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200
    assert guarded.get("/metrics", headers={"Authorization": f"Basic {TOKEN}"}).status_code == 401
    assert "sundown_runs" not in anonymous.text + wrong.text
    assert anonymous.headers["WWW-Authenticate"] == wrong.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_without_a_token_there_are_no_figures_on_a_public_address(environment: dict[str, str]):
    public = {
        "APP_URL": "https://sundown.example.com", "B24_ALLOW_INSECURE_PORTALS": "0", "B24_OAUTH_URL": "https://o.example",
    }  # fmt: skip
    built = build(make_config(environment | public))

    answer = create_app(built).test_client().get("/metrics")

    built.close()
    assert answer.status_code == 404


def test_no_label_names_a_portal_or_a_person(app: Flask, alice: Person):
    alice.unpublish(351, reason="a reason")

    figures = app.test_client().get("/metrics").text

    labels = set(re.findall(r"(\w+)=\"", figures))
    assert labels <= {"state", "status", "code", "worker"}
    person = alice.portal.user("editor")
    for name in (
        alice.portal.domain,
        alice.portal.member_id,
        person.last_name,
        "a reason",
        alice.portal.page(351).title,
    ):
        assert name not in figures


def test_readiness_says_little(app: Flask, alice: Person):
    answer = app.test_client().get("/readyz")

    assert answer.json
    assert set(answer.json) <= {"status", "worker"}
    assert alice.portal.domain not in answer.text


# --- what there is to know -----------------------------------------------------------------------------------------


def read(figures: str) -> dict[str, float]:
    """Every sample by its name and the value of its label."""
    return {
        "/".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(figures)
        for sample in family.samples
    }


def scraped(app: Flask) -> dict[str, float]:
    return read(app.test_client().get("/metrics").text)


def test_late_waiting_and_doubtful_runs_are_counted(
    app: Flask, alice: Person, turn: Turn, services: Services, clock: TurnableClock
):
    due = clock() + timedelta(days=5)
    assert alice.unpublish(351, at=due.isoformat(timespec="seconds")).status_code == 201
    nothing = scraped(app)
    alice.portal.scope([])
    turn(days=1)
    assert services.preflight.check_upcoming() == 1
    doubted = scraped(app)
    turn(until=due + timedelta(minutes=3))  # and no worker there
    late = scraped(app)

    names = ("sundown_late_runs", "sundown_doubtful_runs", "sundown_waiting_runs")
    assert [nothing[name] for name in names] == [0, 0, 0]
    assert [doubted[name] for name in names] == [0, 1, 0]
    assert late["sundown_late_runs"] == 1


def test_stopped_portals_and_events_that_wait_are_counted(
    app: Flask, ada: Person, services: Services, clock: TurnableClock
):
    with services.store.begin() as db:
        portal = db.scalars(select(Portal)).one()
        portal.suspended_code, portal.suspended_at = "OVERLOAD_LIMIT", clock()
    before = scraped(app)
    form = removal(ada, clock, clean=True)
    ada.portal.state.installation = None
    assert send(app, form) == 200
    clock.tick(minutes=7)
    after = scraped(app)

    assert after["sundown_stopped_portals/OVERLOAD_LIMIT"] == 1
    assert (before["sundown_inbox_events"], before["sundown_inbox_oldest_seconds"]) == (0, 0)
    assert after["sundown_inbox_events"] == 1
    assert 7 * 60 <= after["sundown_inbox_oldest_seconds"] < 8 * 60


def test_each_worker_is_named_with_its_silence(app: Flask, services: Services, clock: TurnableClock):
    clock.stop()
    housekeeping = Housekeeping(services.store, services.queue, services.clock)
    housekeeping.beat("one-1")
    clock.tick(seconds=200)
    housekeeping.beat("two-1")

    silent = {name: round(value) for name, value in scraped(app).items() if "worker_silent" in name}

    assert silent == {"sundown_worker_silent_seconds/one-1": 200, "sundown_worker_silent_seconds/two-1": 0}


def names_of(services: Services) -> set[str]:
    with services.store.begin() as db:
        return set(db.scalars(select(WorkerSeen.name)))


def test_a_worker_that_leaves_is_forgotten_unless_it_was_the_last(services: Services, clock: TurnableClock):
    housekeeping = Housekeeping(services.store, services.queue, services.clock)
    housekeeping.beat("one-1")
    housekeeping.beat("two-1")

    housekeeping.leave("one-1")
    assert names_of(services) == {"two-1"}
    housekeeping.leave("two-1")
    assert names_of(services) == {"two-1"}, "when a worker was last seen stays known"
    clock.tick(hours=25)
    housekeeping.beat("three-1")
    assert names_of(services) == {"three-1"}, "nobody misses a worker of yesterday"


@pytest.mark.process
def test_workers_of_a_machine_have_names_that_their_successors_take_over(
    environment: Mapping[str, str], services: Services
):
    with Worker(environment) as first:
        wait_until(lambda: len(names_of(services)) == 1)
        (one,) = names_of(services)
        with Worker(environment):
            wait_until(lambda: len(names_of(services)) == 2)
            psutil.Process(first.pid).kill()
            first.wait()
            with Worker(environment) as successor:
                successor.wait_for("worker_starts")
                with services.store.begin() as db:
                    seen = db.scalars(select(WorkerSeen.at).where(WorkerSeen.name == one)).one()
                wait_until(lambda: beat_after(services, one, seen))
                assert len(names_of(services)) == 2
        assert names_of(services), "the last one to leave is remembered"


def beat_after(services: Services, name: str, seen: datetime) -> bool:
    with services.store.begin() as db:
        at = db.scalar(select(WorkerSeen.at).where(WorkerSeen.name == name))
    return at is not None and at > seen


# --- answers -------------------------------------------------------------------------------------------------------


def test_answers_are_counted_by_status_and_none_is_lost():
    counts = AnswerCounts()
    for row, status in ((1, 200), (1, 204), (2, 302), (2, 404), (700, 500), (3, 503), (3, 507), (3, 599)):
        counts.use_row(row)
        counts.count(status)

    assert counts.total() == {"2xx": 2, "3xx": 1, "4xx": 1, "500": 1, "502": 0, "503": 1, "504": 0, "5xx": 2}


def test_a_start_counts_from_nothing():
    counts = AnswerCounts()
    counts.use_row(4)
    counts.count(200)
    counts.begin()
    counts.count(404)

    assert +counts.total() == {"4xx": 1}


@pytest.mark.process
def test_the_processes_of_a_start_count_together_and_outlive_each_other(environment: dict[str, str]):
    with Web(environment | {"GUNICORN_CMD_ARGS": "--workers 2"}) as web:
        master = psutil.Process(web.pid)

        def get(path: str) -> requests.Response:
            return requests.get(f"{web.url}{path}", headers={"Connection": "close"}, timeout=30)

        def ask(path: str, times: int) -> Counter[str]:
            return Counter(f"{get(path).status_code // 100}xx" for _ in range(times))

        def counted() -> Counter[str]:
            figures = read(get("/metrics").text)
            return Counter({kind: int(figures[f"sundown_answers_total/{kind}"]) for kind in KINDS})

        asked = ask("/privacy", 20) + ask("/nowhere", 10)
        before = [counted() for _ in range(6)]
        for child in master.children():
            child.kill()
        wait_until(web.answers, START_SECONDS)  # its successors take their time on a busy machine
        more = ask("/privacy", 5)
        after = counted()

    assert (asked, more) == (Counter({"2xx": 20, "4xx": 10}), Counter({"2xx": 5}))
    assert before == [asked] * 6
    assert after == asked + more
