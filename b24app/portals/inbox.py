"""The inbox: an event that was proven is written down before it is answered, and worked off until it is done.

Bitrix24 sends an event once and never again, so what was answered with 200 must not get lost: not by a deadlock, a busy
portal, a restart. The row is the truth, a job only says "look at event 7"; when its job is lost or the work fails, the
event is due again later and gets another one (`requeue_due`). The tokens an event brings are sealed; when it is done,
the row is gone, and only its digest is remembered, so that the same post is not carried out twice.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import ColumnElement, case, delete, func, select, update
from sqlalchemy.orm import Session

from b24app.clock import Clock
from b24app.errors import KeyMissing, TooManyAttempts
from b24app.store.db import HELD, Store, repeated
from b24app.store.models import InboxEvent
from b24app.store.one_time import mark_once
from b24app.store.queue import Queue, events_with_jobs
from b24app.store.vault import CannotOpen, Vault, place_of_event

log = structlog.get_logger()

REMEMBERED = timedelta(days=1)  # an identical post after that is older than any installation it could harm
PAUSES = tuple(timedelta(seconds=each) for each in (15, 60, 300, 900, 3600))  # after work that failed, each longer
MANY = 200
MOST_ALIKE = 20  # of one kind from one portal, each with tokens of its own that are proven
# Of those nobody could be asked about yet: from one network, and in all. Who can send one could send many, and must not
# take the place of the genuine one, which comes from another network.
MOST_UNPROVEN, MOST_UNPROVEN_IN_ALL = 3, 60
UNPROVEN = "unproven_from"  # the mark of such a network among an event's values
MILDER = {"CLEAN": "0", "PAYMENT_EXPIRED": "N"}  # what counts where two posts of one kind say different things


@dataclass(frozen=True)
class Received:
    """One event to be worked off.

    values  what the event says, without tokens
    secret  what must not lie about: tokens and the portal's secret that came with it
    unproven_from  the network that sent it, where nobody could be asked yet whether its tokens are genuine
    """

    event: str
    member_id: str
    ts: int
    digest: str
    values: Mapping[str, Any] = field(default_factory=dict)
    secret: Mapping[str, Any] | None = field(default=None, repr=False)
    unproven_from: str | None = None
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
    def put(self, received: Received, *, merge: bool = False) -> bool:
        """Write an event down with its job; False when the very same post is here or was done.

        merge  an earlier one of its kind from the same portal that still waits stands for both: each employee knows
               the secret that proves them, so one post must neither end another's wait nor crowd it out
        Raises TooManyAttempts when a portal has more events here than any real one sends.
        """
        now = self._clock()
        same = (InboxEvent.member_id == received.member_id, InboxEvent.event == received.event)
        with self._store.begin() as db:
            if not mark_once(db, received.digest, now + REMEMBERED):
                return False
            received = replace(received, ts=min(received.ts, int(now.timestamp())))  # nothing happens in the future
            if merge:
                alike = select(InboxEvent).where(*same, InboxEvent.sealed.is_(None)).order_by(InboxEvent.id).limit(1)
                earlier = db.scalars(alike.with_for_update(key_share=True)).first()
                if earlier is not None:
                    self._merge(db, earlier, received, now)
                    return True
            elif _is_full(db, received, *same):
                raise TooManyAttempts()
            row = self._row(received, now)
            db.add(row)
            db.flush()
            self._queue.work_event(db, row.id, row.member_id)
        log.info("event_received", event_name=received.event, member_id=received.member_id)
        return True

    def _row(self, received: Received, now: datetime) -> InboxEvent:
        """The event as it is kept: what came with it sealed, a network that nobody could be asked about as a mark."""
        values = dict(received.values)
        if received.unproven_from is not None:
            values[UNPROVEN] = _mark(received)
        sealed = received.secret and self._vault.seal(json.dumps(received.secret), place_of_event(received.digest))
        return InboxEvent(
            digest=received.digest, member_id=received.member_id, event=received.event, ts=received.ts,
            values=values, sealed=sealed or None, received_at=now, due_at=now,
        )  # fmt: skip

    def _merge(self, db: Session, row: InboxEvent, received: Received, now: datetime) -> None:
        """The row goes on for both: of the later moment, with the milder word of the two; what was found out stays.

        Its digest changes, so that whoever works on what it said before does not end it (`done`).
        """
        later = (received.ts or int(now.timestamp())) >= (row.ts or int(row.received_at.timestamp()))
        first, second = (row.values, received.values) if later else (received.values, row.values)
        values = {**first, **second}
        for name, milder in MILDER.items():
            said = {each.get(name, milder) for each in (first, second)}
            if len(said) > 1:
                values[name] = milder
        if later:
            row.ts, row.received_at = received.ts, now
        elif values == row.values:
            return
        row.values, row.digest = values, received.digest
        if row.contradicted == 0:  # else it keeps its turn: asked at once, a lagging server would contradict it again
            row.due_at = now
            if not events_with_jobs(db, [row.id]):
                self._queue.work_event(db, row.id, row.member_id)
        log.info("event_merged", event_name=row.event, member_id=row.member_id)

    @repeated
    def _begin(self, event_id: int) -> tuple[Received, bytes | None] | None:
        now = self._clock()
        with self._store.begin() as db:
            row = db.get(InboxEvent, event_id, with_for_update=HELD)
            if row is None or row.due_at > now:
                return None
            row.attempts += 1
            row.due_at = now + PAUSES[min(row.attempts, len(PAUSES)) - 1]
            event = Received(
                event=row.event, member_id=row.member_id, ts=row.ts, digest=row.digest, values=row.values,
                id=row.id, received_at=row.received_at, contradicted=row.contradicted, deadline=row.deadline,
            )  # fmt: skip
            return event, row.sealed

    def begin(self, event_id: int) -> Received | None:
        """The event, if it is due, and put off: should this work come to nothing, it is due again after a while.

        Raises KeyMissing when no key opens what came with it: it is kept until the key is back.
        """
        begun = self._begin(event_id)
        if begun is None:
            return None
        event, sealed = begun
        return event if sealed is None else replace(event, secret=self._opened(event, sealed))

    def _opened(self, event: Received, sealed: bytes) -> Mapping[str, Any]:
        """The tokens that came with it."""
        try:
            found: Mapping[str, Any] = json.loads(self._vault.open(sealed, place_of_event(event.digest)))
        except CannotOpen as closed:
            log.critical("event_cannot_be_opened", event_id=event.id, reason=str(closed),
                         remedy="put the key back into TOKEN_KEYS; `flask b24 doctor` counts them")  # fmt: skip
            raise KeyMissing() from None
        return found

    @repeated
    def put_off(self, event: Received, later: Later) -> None:
        """It is to be looked at again at a time of its own, not because something failed; at once where another post
        has changed what it says.
        """
        due_at = case((InboxEvent.digest == event.digest, later.at), else_=InboxEvent.due_at)
        new = {"due_at": due_at, "attempts": 0, "contradicted": later.contradicted, "deadline": later.deadline}
        with self._store.begin() as db:
            db.execute(update(InboxEvent).where(InboxEvent.id == event.id).values(new))

    @repeated
    def done(self, event: Received) -> None:
        """Nothing is left to do for it, unless another post has changed what it says meanwhile."""
        with self._store.begin() as db:
            db.execute(delete(InboxEvent).where(InboxEvent.id == event.id, InboxEvent.digest == event.digest))

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


def _is_full(db: Session, received: Received, *same: ColumnElement[bool]) -> bool:
    """Whether there are as many like this one as any real portal sends."""
    network = InboxEvent.values[UNPROVEN].astext

    def number(*which: ColumnElement[bool]) -> int:
        return db.scalar(select(func.count()).where(*same, *which)) or 0

    if received.unproven_from is None:
        return number(network.is_(None)) >= MOST_ALIKE
    here = number(network == _mark(received))
    return here >= MOST_UNPROVEN or number(network.is_not(None)) >= MOST_UNPROVEN_IN_ALL


def _mark(received: Received) -> str:
    """Tells networks apart without naming them."""
    return hashlib.sha256(f"{received.member_id} {received.unproven_from}".encode()).hexdigest()[:16]
