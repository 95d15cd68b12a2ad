"""Rows of notices: which are due to whom, how long the others wait, what became of each.

Who is told, and what, is decided in `notices`; nothing here asks a portal.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Select, and_, case, delete, func, or_, select, update
from sqlalchemy.orm import Session

from b24app.clock import Clock
from b24app.domain import Actor, NoticeFate
from b24app.errors import PortalError
from b24app.runs import occasions
from b24app.runs.executor import LONGEST_PAUSE
from b24app.runs.occasions import COLLEAGUES, UNSYNCHRONIZED
from b24app.store.counts import NOTICES_LOST, NOTICES_REFUSED, NOTICES_SENT, count
from b24app.store.db import Store, repeated
from b24app.store.models import Notice, Portal, Run
from b24app.store.queue import SEND_NOTICES, Queue, portals_with_jobs

log = structlog.get_logger()

RUNS_A_TURN = 20  # for which colleagues are looked for
MINUTE = timedelta(minutes=1)
SUMMED_UP = timedelta(hours=1)  # what the summary before told is told again by the one that replaces it
LEASE = timedelta(minutes=2)  # longer than a person's notices take; after it they are sent by somebody else
WAITS = tuple(timedelta(minutes=each) for each in (0.5, 2, 10, 60, 360))
NO_NEWS_AFTER, KEPT = timedelta(hours=24), timedelta(days=30)
SHOWN = timedelta(days=7)
MANY = 200
TOLD = (NoticeFate.SENT, NoticeFate.SUMMED, NoticeFate.TAKEN)
COUNTED = {
    NoticeFate.SENT: NOTICES_SENT, NoticeFate.SUMMED: NOTICES_SENT, NoticeFate.REFUSED: NOTICES_REFUSED,
    NoticeFate.LOST: NOTICES_LOST,
}  # fmt: skip


@dataclass(frozen=True)
class Due:
    """What one person of a portal is due to be told, taken for a while."""

    portal: Portal
    user_id: int
    rows: Sequence[Notice]
    now: datetime


@dataclass(frozen=True)
class NoticeCounts:
    """What became of a portal's notices in the last week, and how many are to be sent."""

    sent: int
    refused: int
    lost: int
    waiting: int


class NoticeRows:
    """Takes rows, and writes down what became of them. Each verb is safe to do twice."""

    def __init__(self, store: Store, queue: Queue, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock

    @repeated
    def requeue_due(self) -> int:
        """Give a job to every portal where something is due and that has none, and let go what is no news any more;
        how many portals.
        """
        now = self._clock()
        with self._store.begin() as db:
            _settle(
                db, select(Notice.id).where(_is_open(), Notice.noted_at < now - NO_NEWS_AFTER), NoticeFate.LOST, now
            )
            due = select(Notice.member_id).join(Portal).where(_is_open(), Notice.due_at <= now, *_may_work(now))
            portals = db.scalars(due.distinct().limit(MANY)).all()
            busy = portals_with_jobs(db, portals, SEND_NOTICES)
            idle = [member_id for member_id in portals if member_id not in busy]
            for member_id in idle:
                self._queue.send_notices(db, member_id)
        return len(idle)

    @repeated
    def seen(self, actor: Actor, run_id: UUID) -> None:
        """The person looks at the run: what it would be told of it, they know."""
        mine = (Notice.run_id == run_id, Notice.member_id == actor.member_id, Notice.user_id == actor.user_id)
        with self._store.begin() as db:
            done = update(Notice).where(*mine, _is_open()).values(fate=NoticeFate.KNOWN, told_at=self._clock())
            db.execute(done)

    @repeated
    def claim(self, member_id: str) -> Due | None:
        """What is due for one person, colleagues before all: what is over is taken away before anything new is told."""
        now = self._clock()
        due = (Notice.member_id == member_id, _is_open(), Notice.due_at <= now)
        with self._store.begin() as db:
            portal = db.scalar(select(Portal).where(Portal.member_id == member_id, *_may_work(now)))
            first = select(Notice.user_id).where(*due).order_by(Notice.user_id != COLLEAGUES, Notice.due_at, Notice.id)
            user_id = db.scalar(first.limit(1))
            if portal is None or user_id is None:
                return None
            most = MANY if user_id != COLLEAGUES else RUNS_A_TURN
            mine = select(Notice).where(*due, Notice.user_id == user_id).order_by(Notice.id).limit(most)
            rows = db.scalars(mine.with_for_update(skip_locked=True, key_share=True)).all()
            for row in rows:
                row.tries, row.due_at = row.tries + 1, now + LEASE
        return Due(portal, user_id, rows, now) if rows else None

    @repeated
    def put_off(self, due: Due, failed: PortalError) -> None:
        """Time or people must help first: all of the portal's notices wait, and each time for longer."""
        tries = max(row.tries for row in due.rows)
        pause = WAITS[min(tries, len(WAITS)) - 1]
        if failed.retry_after:
            pause = max(pause, timedelta(seconds=failed.retry_after))
        again = self._clock() + pause
        mine = Notice.id.in_([row.id for row in due.rows])
        others = and_(Notice.member_id == due.portal.member_id, Notice.due_at < again)
        with self._store.begin() as db:
            held = select(Notice.id).where(_is_open(), or_(mine, others)).order_by(Notice.id)
            ids = db.scalars(held.with_for_update(key_share=True)).all()
            db.execute(update(Notice).where(Notice.id.in_(ids)).values(due_at=again))
        log.info("notices_wait", member_id=due.portal.member_id, code=failed.code, until=again.isoformat())

    @repeated
    def done(self, rows: Collection[Notice], fate: NoticeFate) -> None:
        """Nothing is left to do for these rows: this became of them."""
        mine = select(Notice.id).where(Notice.id.in_([row.id for row in rows]), _is_open())
        with self._store.begin() as db:
            _settle(db, mine, fate, self._clock())

    @repeated
    def hold(self, rows: Collection[Notice], due_at: datetime) -> None:
        """Tell them later, which is no try that failed."""
        ids = [row.id for row in rows]
        with self._store.begin() as db:
            held = update(Notice).where(Notice.id.in_(ids), _is_open())
            db.execute(held.values(due_at=due_at, tries=Notice.tries - 1))

    @repeated
    def lately(self, due: Due) -> tuple[int, datetime | None]:
        """How many notices the person got in the last minute one by one, and when the last summary was sent."""
        mine = (Notice.member_id == due.portal.member_id, Notice.user_id == due.user_id)
        sent = func.count().filter(Notice.fate == NoticeFate.SENT, Notice.told_at > due.now - MINUTE)
        summed = func.max(case((Notice.fate == NoticeFate.SUMMED, Notice.told_at)))
        with self._store.begin() as db:
            number, summed_at = db.execute(select(sent, summed).where(*mine)).one()
        return number, summed_at

    @repeated
    def summed(self, due: Due) -> list[tuple[Notice, Run]]:
        """What the summaries of the last hour told the person."""
        mine = (Notice.member_id == due.portal.member_id, Notice.user_id == due.user_id)
        earlier = (Notice.fate == NoticeFate.SUMMED, Notice.told_at > due.now - SUMMED_UP)
        with self._store.begin() as db:
            rows = db.execute(select(Notice, Run).join(Run, Run.id == Notice.run_id).where(*mine, *earlier))
            return [(row, run) for row, run in rows]

    @repeated
    def readers(self, row: Notice) -> Sequence[int]:
        """Under whose bell a call for help for the run is that is over; nobody's, where something newer was told."""
        of_run = (Notice.run_id == row.run_id, Notice.user_id != COLLEAGUES)
        newer = (Notice.fate == NoticeFate.SENT, Notice.told_at > row.noted_at)
        with self._store.begin() as db:
            if db.scalar(select(Notice.id).where(*of_run, *newer).limit(1)) is not None:
                return ()
            taken = select(Notice.user_id).where(*of_run, Notice.fate == NoticeFate.TAKEN).order_by(Notice.id)
            return list(dict.fromkeys(db.scalars(taken)))

    @repeated
    def pass_on(self, row: Notice, run: Run, able: Sequence[int]) -> None:
        """Let these people be told in place of the call to all colleagues."""
        now = self._clock()
        with self._store.begin() as db:
            occasions.note(db, run, row.about, row.since, able, now, now)
            _settle(db, select(Notice.id).where(Notice.id == row.id), NoticeFate.DONE, now)


def counted_lately(db: Session, member_id: str, now: datetime) -> NoticeCounts:
    """What became of a portal's notices in the last week."""
    mine = (Notice.member_id == member_id, Notice.user_id != COLLEAGUES)
    query = select(Notice.fate, func.count()).where(*mine, or_(_is_open(), Notice.told_at > now - SHOWN))
    found: dict[NoticeFate | None, int] = dict(db.execute(query.group_by(Notice.fate)).all())
    return NoticeCounts(
        sum(found.get(fate, 0) for fate in TOLD), found.get(NoticeFate.REFUSED, 0), found.get(NoticeFate.LOST, 0),
        found.get(None, 0),
    )  # fmt: skip


def to_be_sent(db: Session) -> int:
    """How many are to be sent still, on all portals."""
    open_ones = select(func.count()).where(_is_open(), Notice.user_id != COLLEAGUES)
    return db.scalar(open_ones) or 0


def forget_told(db: Session, now: datetime) -> None:
    """Drop what was told long ago."""
    db.execute(delete(Notice).where(Notice.told_at < now - KEPT))


def _settle(db: Session, which: Select[int], fate: NoticeFate, now: datetime) -> None:
    """Nothing is left to do for these rows; what people were told, or should have been, is counted."""
    done = update(Notice).where(Notice.id.in_(which)).values(fate=fate, told_at=now).returning(Notice.user_id)
    people = [user_id for user_id in db.scalars(done, execution_options=UNSYNCHRONIZED) if user_id != COLLEAGUES]
    if people and fate in COUNTED:
        count(db, COUNTED[fate], len(people))


def _is_open() -> ColumnElement[bool]:
    return Notice.fate.is_(None)


def _may_work(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """The portal is there, and is not to be left alone."""
    paused = and_(Portal.paused_until > now, Portal.paused_until < now + LONGEST_PAUSE)
    return Portal.uninstalled_at.is_(None), Portal.suspended_code.is_(None), or_(Portal.paused_until.is_(None), ~paused)
