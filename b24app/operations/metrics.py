"""Figures for Prometheus, read from the database when they are asked for: right under any number of processes.

No label names a portal or a user.
"""

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from b24app.portals.inbox import waiting
from b24app.runs.notices import to_be_sent
from b24app.store.counts import FALSE_REMOVALS, NOTICES_LOST, NOTICES_REFUSED, NOTICES_SENT, counted
from b24app.store.db import Store
from b24app.store.models import Portal, Run, UserToken, WorkerSeen
from b24app.store.queue import jobs_by_status


def exposed(store: Store) -> bytes:
    """All gauges in Prometheus' text format."""
    registry = CollectorRegistry()
    with store.begin() as db:
        _fill(registry, db)
    return generate_latest(registry)


def _fill(registry: CollectorRegistry, db: Session) -> None:
    runs = Gauge("sundown_runs", "Runs by state", ["state"], registry=registry)
    for state, number in db.execute(select(Run.state, func.count()).group_by(Run.state)):
        runs.labels(state=state.value).set(number)
    jobs = Gauge("sundown_jobs", "Jobs of the queue by status", ["status"], registry=registry)
    for status, number in jobs_by_status(db).items():
        jobs.labels(status=status).set(number)
    _set(registry, "sundown_portals", "Portals with the app installed", _number(db, Portal.uninstalled_at.is_(None)))
    stopped = Gauge("sundown_stopped_portals", "Portals whose work stopped, by cause", ["code"], registry=registry)
    causes = (
        select(Portal.suspended_code, func.count())
        .where(Portal.uninstalled_at.is_(None))
        .group_by(Portal.suspended_code)
    )
    for code, number in db.execute(causes.where(Portal.suspended_code.is_not(None))):
        stopped.labels(code=code).set(number)
    _set(registry, "sundown_inbox_events", "Events not worked off yet", waiting(db))
    false = counted(db, FALSE_REMOVALS)
    _set(registry, "sundown_false_removals", "Removals announced that were not true", false)
    notices = Gauge("sundown_notices", "Notices in portals, by what became of them", ["state"], registry=registry)
    for fate, number in _notices(db).items():
        notices.labels(state=fate).set(number)
    dead = select(func.count()).select_from(UserToken).where(UserToken.dead_code.is_not(None))
    _set(registry, "sundown_dead_tokens", "User tokens that cannot be renewed", db.scalar(dead) or 0)
    seen = db.scalar(select(func.extract("epoch", func.max(WorkerSeen.at))))
    _set(registry, "sundown_worker_seen_seconds", "Unix time a worker was last seen", float(seen or 0))


def _notices(db: Session) -> dict[str, int]:
    """How many were sent, refused by Bitrix24 or lost so far, and how many wait now."""
    names = {"sent": NOTICES_SENT, "refused": NOTICES_REFUSED, "lost": NOTICES_LOST}
    return {**{state: counted(db, name) for state, name in names.items()}, "waiting": to_be_sent(db)}


def _number(db: Session, condition: object) -> int:
    return db.scalar(select(func.count()).select_from(Portal).where(condition)) or 0  # type: ignore[arg-type]


def _set(registry: CollectorRegistry, name: str, words: str, value: float) -> None:
    Gauge(name, words, registry=registry).set(value)
