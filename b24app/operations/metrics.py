"""Figures for Prometheus, read from the database when they are asked for: right under any number of processes.

Answers are counted by the web processes that are asked, so each of them is to be asked. No label names a portal or a
person. What is worth an alert, and what to do then: docs/operations.md.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b24app.domain import OPEN_STATES
from b24app.operations.answers import answers
from b24app.operations.backlog import Backlog
from b24app.runs.notice_rows import to_be_sent
from b24app.store.counts import FALSE_REMOVALS, NOTICES_LOST, NOTICES_REFUSED, NOTICES_SENT, counted
from b24app.store.db import Store
from b24app.store.models import Portal, Run, UserToken, WorkerSeen
from b24app.store.queue import jobs_by_status

LATELY = timedelta(hours=24)


class Answers(Collector):
    """The answers counted by this start of gunicorn."""

    def collect(self) -> Iterable[Metric]:
        """One counter; every status is there from the first scrape on."""
        family = CounterMetricFamily("sundown_answers", "Answers to requests by status", labels=["status"])
        for status, number in answers.total().items():
            family.add_metric([status], number)
        yield family


def exposed(store: Store, now: datetime) -> bytes:
    """All figures in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(Answers())
    with store.begin() as db:
        _fill(registry, db, now)
    return generate_latest(registry)


def _fill(registry: CollectorRegistry, db: Session, now: datetime) -> None:
    words = "Runs by state; those that have ended: within the last 24 hours"
    runs = Gauge("sundown_runs", words, ["state"], registry=registry)
    for which in (Run.state.in_(OPEN_STATES), Run.finished_at > now - LATELY):
        for state, number in db.execute(select(Run.state, func.count()).where(which).group_by(Run.state)):
            runs.labels(state=state.value).set(number)
    jobs = Gauge("sundown_jobs", "Jobs of the queue by status", ["status"], registry=registry)
    for status, number in jobs_by_status(db).items():
        jobs.labels(status=status).set(number)
    _set(registry, "sundown_portals", "Portals with the app installed", _number(db, Portal.uninstalled_at.is_(None)))
    _fill_backlog(registry, Backlog.of(db, now), now)
    false = counted(db, FALSE_REMOVALS)
    _set(registry, "sundown_false_removals", "Removals announced that were not true", false)
    notices = Gauge("sundown_notices", "Notices in portals, by what became of them", ["state"], registry=registry)
    for fate, number in _notices(db).items():
        notices.labels(state=fate).set(number)
    dead = select(func.count()).select_from(UserToken).where(UserToken.dead_code.is_not(None))
    _set(registry, "sundown_dead_tokens", "User tokens that cannot be renewed", db.scalar(dead) or 0)
    silence = Gauge("sundown_worker_silent_seconds", "Since each worker was seen", ["worker"], registry=registry)
    for name, at in db.execute(select(WorkerSeen.name, WorkerSeen.at)):
        silence.labels(worker=name).set(max(0.0, (now - at).total_seconds()))


def _fill_backlog(registry: CollectorRegistry, backlog: Backlog, now: datetime) -> None:
    _set(registry, "sundown_waiting_runs", "Runs that wait for a person or a cause to end", backlog.waiting_runs)
    _set(registry, "sundown_doubtful_runs", "Runs that would not go if their time came now", backlog.doubtful_runs)
    _set(registry, "sundown_late_runs", "Runs whose time came minutes ago and that nobody began", backlog.late_runs)
    stopped = Gauge("sundown_stopped_portals", "Portals whose work stopped, by cause", ["code"], registry=registry)
    for code, number in backlog.stopped_portals.items():
        stopped.labels(code=code).set(number)
    _set(registry, "sundown_inbox_events", "Events not worked off yet", backlog.inbox_events)
    age = (now - backlog.oldest_event_at).total_seconds() if backlog.oldest_event_at else 0.0
    _set(registry, "sundown_inbox_oldest_seconds", "Age of the oldest event not worked off yet", max(0.0, age))


def _notices(db: Session) -> dict[str, int]:
    """How many were sent, refused by Bitrix24 or lost so far, and how many wait now."""
    names = {"sent": NOTICES_SENT, "refused": NOTICES_REFUSED, "lost": NOTICES_LOST}
    return {**{state: counted(db, name) for state, name in names.items()}, "waiting": to_be_sent(db)}


def _number(db: Session, condition: object) -> int:
    return db.scalar(select(func.count()).select_from(Portal).where(condition)) or 0  # type: ignore[arg-type]


def _set(registry: CollectorRegistry, name: str, words: str, value: float) -> None:
    Gauge(name, words, registry=registry).set(value)
