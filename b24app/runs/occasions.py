"""What people are told of in the portal, written in the transaction of the state it tells of.

So nothing is lost when a process is killed between the state and the notice, and a notice never delays or fails a run.
A state is noted once, however often a run comes back to it: a run that waits is tried again each hour and goes on
waiting since the same moment. Who watches a run has seen its state before the notice is due. Nothing is written where
the portal does not grant `im`.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from b24app.domain import NOTICE_SCOPE, NoticeAbout, NoticeFate, RunState
from b24app.errors import BothTimesPast, TimeIsUp
from b24app.store.models import Notice, Portal, Run

WATCHED = timedelta(seconds=15)  # a page that shows the run has asked for it by then
LONG = timedelta(seconds=60)  # who waited for a run for longer has turned to something else
COLLEAGUES = 0  # as a recipient: those who could take over
UNDONE = (BothTimesPast, TimeIsUp)
OVER = (NoticeFate.STALE, NoticeFate.TAKEN)  # true again, it is to be told again
UNSYNCHRONIZED = {"synchronize_session": False}


def ended(db: Session, run: Run, now: datetime) -> None:
    """A run has ended: told when it was scheduled or long, or when something was left undone that nobody stopped."""
    settled(db, run, now)
    if is_worth_a_notice(run):
        _note(
            db,
            run,
            NoticeAbout.ENDED,
            run.finished_at or now,
            {run.created_by, run.acting_as} - {COLLEAGUES},
            now,
            WATCHED,
        )


def is_worth_a_notice(run: Run) -> bool:
    """How it ended is worth telling who ordered it."""
    if run.state is RunState.CANCELLED:
        return not run.is_return and run.problem is not None and any(map(run.problem.is_a, UNDONE))
    return run.state is not RunState.SUCCEEDED or is_scheduled(run) or is_long(run)


def is_scheduled(run: Run) -> bool:
    """It had a time of its own."""
    return run.at is not None


def is_long(run: Run) -> bool:
    """Nobody is expected to have waited for it."""
    return run.finished_at is not None and run.finished_at - run.created_at > LONG


def waits(db: Session, run: Run, now: datetime) -> None:
    """A run waits for a person."""
    _concerning(db, run, NoticeAbout.WAITS, run.waiting_since or now, now)


def doubtful(db: Session, run: Run, since: datetime, now: datetime) -> None:
    """A scheduled run would have to wait if its time came now."""
    _concerning(db, run, NoticeAbout.DOUBTFUL, since, now)


def changed_hands(db: Session, run: Run, before: int, now: datetime) -> None:
    """A colleague goes on with it: told to whom it was taken from."""
    settled(db, run, now)
    whom = {run.created_by, before} - {run.acting_as}
    _note(db, run, NoticeAbout.TAKEN_OVER, now, whom, now, WATCHED)


def settled(db: Session, run: Run, now: datetime) -> None:
    """Nobody need help any more: what was told of it is taken away, before anything new is told."""
    calls = (Notice.run_id == run.id, Notice.about.in_((NoticeAbout.WAITS, NoticeAbout.DOUBTFUL)))
    pending = update(Notice).where(*calls, or_(Notice.fate.is_(None), Notice.fate == NoticeFate.DONE))
    db.execute(pending.values(fate=NoticeFate.STALE, told_at=now), execution_options=UNSYNCHRONIZED)
    told = update(Notice).where(*calls, Notice.fate == NoticeFate.SENT).values(fate=NoticeFate.TAKEN)
    if db.scalars(told.returning(Notice.id), execution_options=UNSYNCHRONIZED).all():
        _note(db, run, NoticeAbout.SETTLED, now, {COLLEAGUES}, now)


def _concerning(db: Session, run: Run, about: NoticeAbout, since: datetime, now: datetime) -> None:
    _note(db, run, about, since, {run.created_by, run.acting_as, COLLEAGUES}, now, WATCHED)


def _note(
    db: Session, run: Run, about: NoticeAbout, since: datetime, whom: Collection[int], now: datetime,
    pause: timedelta = timedelta(),
) -> None:  # fmt: skip
    scope = db.scalar(select(Portal.scope).where(Portal.member_id == run.member_id, Portal.uninstalled_at.is_(None)))
    if NOTICE_SCOPE in (scope or "").split(","):
        note(db, run, about, since, whom, now, now + pause)


def note(
    db: Session, run: Run, about: NoticeAbout, since: datetime, whom: Collection[int], now: datetime, due_at: datetime
) -> None:
    """A row for each of these people, unless there is one for the state; one that was over is due again."""
    rows = [
        {
            "member_id": run.member_id, "run_id": run.id, "user_id": user_id, "about": about, "since": since,
            "noted_at": now, "due_at": due_at,
        }
        for user_id in sorted(whom)
    ]  # fmt: skip
    if not rows:
        return
    made = insert(Notice).values(rows)
    again = {"fate": None, "told_at": None, "tries": 0, "noted_at": now, "due_at": due_at}
    key = ["run_id", "user_id", "about", "since"]
    db.execute(made.on_conflict_do_update(index_elements=key, set_=again, where=Notice.fate.in_(OVER)))
