"""The inbox: an event that was proven is written down before it is answered, and worked off until it is done.

Bitrix24 sends an event once and never again, so what was answered with 200 must not get lost: not by a deadlock, a busy
portal, a restart. The row is the truth, a job only says "look at event 7"; when its job is lost or the work fails, the
event is due again later and gets another one (`requeue_due`). The tokens an event brings are sealed; when it is done,
the row is gone, and only its digest is remembered, so that the same post is not carried out twice.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from b24app.clock import Clock
from b24app.errors import TooManyAttempts
from b24app.store.db import HELD, Store, repeated
from b24app.store.models import InboxEvent
from b24app.store.one_time import mark_once
from b24app.store.queue import Queue, events_with_jobs
from b24app.store.vault import CannotOpen, Vault, place_of_event

log = structlog.get_logger()

REMEMBERED = timedelta(days=1)  # an identical post after that is older than any installation it could harm
PAUSES = tuple(timedelta(seconds=each) for each in (15, 60, 300, 900, 3600))  # after work that failed, each longer
MANY = 200
MOST_ALIKE = 20  # of one kind from one portal: each employee knows the secret that proves them


@dataclass(frozen=True)
class Received:
    """One event to be worked off.

    values  what the event says, without tokens
    secret  what must not lie about: tokens and the portal's secret that came with it
    """

    event: str
    member_id: str
    ts: int
    digest: str
    values: Mapping[str, Any] = field(default_factory=dict)
    secret: Mapping[str, Any] | None = field(default=None, repr=False)
    id: int = 0
    received_at: datetime | None = None
    contradicted: int = 0
    deadline: datetime | None = None


@dataclass(frozen=True)
class Later:
    """An event is not done: it is due again at `at`. `contradicted` and `deadline` as in the row."""

    at: datetime
    contradicted: int = 0
    deadline: datetime | None = None


class Inbox:
    """Keeps events."""

    def __init__(self, store: Store, vault: Vault, queue: Queue, clock: Clock) -> None:
        self._store = store
        self._vault = vault
        self._queue = queue
        self._clock = clock

    @repeated
    def put(self, received: Received, *, newest_only: bool = False) -> bool:
        """Write an event down with its job; False when the very same post is here or was done.

        newest_only  it takes the place of an earlier one of its kind from the same portal, and its deadline
        Raises TooManyAttempts when a portal has more events here than any real one sends.
        """
        now = self._clock()
        same = (InboxEvent.member_id == received.member_id, InboxEvent.event == received.event)
        with self._store.begin() as db:
            if not mark_once(db, received.digest, now + REMEMBERED):
                return False
            deadlines: list[datetime] = []
            if newest_only:
                gone = db.scalars(delete(InboxEvent).where(*same).returning(InboxEvent.deadline))
                deadlines = [deadline for deadline in gone if deadline is not None]
            elif (db.scalar(select(func.count()).where(*same)) or 0) >= MOST_ALIKE:
                raise TooManyAttempts()
            sealed = received.secret and self._vault.seal(json.dumps(received.secret), place_of_event(received.digest))
            row = InboxEvent(
                digest=received.digest, member_id=received.member_id, event=received.event, ts=received.ts,
                values=dict(received.values), sealed=sealed or None, received_at=now, due_at=now,
                deadline=min(deadlines, default=None),
            )  # fmt: skip
            db.add(row)
            db.flush()
            self._queue.work_event(db, row.id, row.member_id)
        log.info("event_received", event_name=received.event, member_id=received.member_id)
        return True

    @repeated
    def begin(self, event_id: int) -> Received | None:
        """The event, if it is due, and put off: should this work come to nothing, it is due again after a while."""
        now = self._clock()
        with self._store.begin() as db:
            row = db.get(InboxEvent, event_id, with_for_update=HELD)
            if row is None or row.due_at > now:
                return None
            row.attempts += 1
            row.due_at = now + PAUSES[min(row.attempts, len(PAUSES)) - 1]
            return Received(
                event=row.event, member_id=row.member_id, ts=row.ts, digest=row.digest, values=row.values,
                secret=self._opened(row), id=row.id, received_at=row.received_at, contradicted=row.contradicted,
                deadline=row.deadline,
            )  # fmt: skip

    def _opened(self, row: InboxEvent) -> Mapping[str, Any] | None:
        """The tokens that came with it; None when none did, or no key opens them any more."""
        if row.sealed is None:
            return None
        try:
            found: Mapping[str, Any] = json.loads(self._vault.open(row.sealed, place_of_event(row.digest)))
        except CannotOpen as closed:
            log.critical("event_cannot_be_opened", event=row.id, reason=str(closed))
            return None
        return found

    @repeated
    def put_off(self, event_id: int, later: Later) -> None:
        """It is to be looked at again at a time of its own, not because something failed."""
        with self._store.begin() as db:
            found = update(InboxEvent).where(InboxEvent.id == event_id)
            db.execute(
                found.values(
                    due_at=later.at, attempts=0, contradicted=later.contradicted, deadline=later.deadline
                )
            )  # fmt: skip

    @repeated
    def done(self, event_id: int) -> None:
        """Nothing is left to do for it."""
        with self._store.begin() as db:
            db.execute(delete(InboxEvent).where(InboxEvent.id == event_id))

    @repeated
    def requeue_due(self) -> int:
        """Give a job to every event that is due and has none; how many there were."""
        with self._store.begin() as db:
            due = select(InboxEvent.id, InboxEvent.member_id).where(InboxEvent.due_at <= self._clock())
            events = dict(db.execute(due.order_by(InboxEvent.due_at).limit(MANY)).all())
            living = events_with_jobs(db, list(events))
            idle = {event: member_id for event, member_id in events.items() if event not in living}
            for event, member_id in idle.items():
                self._queue.work_event(db, event, member_id)
        return len(idle)


def waiting(db: Session) -> int:
    """How many events are not worked off yet."""
    return db.scalar(select(func.count()).select_from(InboxEvent)) or 0
