"""A run's own time: it comes, it passes, it moves with the rules of its zone, or nobody helps for two weeks.

The worker's clock decides what is late, the database's clock only wakes the worker. Taking down is safe at any time,
so a late one happens at once. Publishing is not: more than an hour late it waits for a person. Where both ends of a
"down until" lie behind us nothing is done at all.
"""

from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from b24app import zones
from b24app.clock import Clock
from b24app.domain import Action, ItemState, RunState
from b24app.errors import (
    BothTimesPast,
    NothingToBringBack,
    PublishTooLate,
    RecordedProblem,
    TimeIsUp,
    Unavailable,
    WaitedTooLong,
)
from b24app.runs.local_time import nearest
from b24app.runs.states import drop_idle_return, end, pair
from b24app.store.db import Store
from b24app.store.models import Run, RunItem
from b24app.store.queue import Queue, with_jobs

log = structlog.get_logger()

LATE_PUBLISH = timedelta(hours=1)
PATIENCE = timedelta(days=14)
IN_FLIGHT = timedelta(seconds=5)  # until the return looks again whether the first run's last batch is back
IN_FLIGHT_AT_MOST = timedelta(minutes=10)
FORGOTTEN = timedelta(seconds=15)
MANY = 500


class Schedule:
    """Each verb is safe to do twice and from several workers."""

    def __init__(self, store: Store, queue: Queue, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock

    # --- the time has come -----------------------------------------------------------------------------------------

    def begin(self, run_id: UUID) -> None:
        """A scheduled run's time has come, or was moved: put it in its portal's turn, or say why not.

        After a while without a worker many are due. The portal's earlier times come first, so that the last order wins:
        each job starts the earliest run that is due, its own or another's, and there is a job for each.
        """
        now = self._clock()
        with self._store.begin() as db:
            run = db.get(Run, run_id)
            if run is None:
                return
            if run.state is RunState.SCHEDULED and run.at is not None and run.at > now:
                self._wake(db, run, run.at - now)
                return
            due = (Run.member_id == run.member_id, Run.state == RunState.SCHEDULED, Run.at <= now)
            runs = list(db.scalars(select(Run.id).where(*due).order_by(Run.at, Run.created_at)))
        for each in runs:
            if self._begin_due(each, now):
                return

    def _begin_due(self, run_id: UUID, now: datetime) -> bool:
        """True when the run is no longer to be begun."""
        with self._store.begin() as db:
            run, first, back = pair(db, run_id)
            if not _is_due(run, now):
                return False
            if back is not None and _is_due(back, now):
                _both_past(db, run, back, now)
            elif first is None or self._may_return(db, run, first, now):
                self._start(db, run, now)
            return run.state is not RunState.SCHEDULED

    def _start(self, db: Session, run: Run, now: datetime) -> None:
        run.doubt = None
        if run.action is Action.PUBLISH and run.at is not None and now - run.at > LATE_PUBLISH:
            run.state, run.waiting_since = RunState.WAITING, now
            run.problem = RecordedProblem.of(PublishTooLate)
            log.info("publish_too_late", run=str(run.id))
            return
        run.state = RunState.QUEUED
        self._queue.step(db, run.id, run.member_id)

    def _may_return(self, db: Session, back: Run, first: Run, now: datetime) -> bool:
        """The end of a "down until": what the first run has not done by now it shall not do any more."""
        if first.state is RunState.SCHEDULED:
            _both_past(db, first, back, now)
            return False
        if not first.state.is_final:
            end(db, first, RunState.CANCELLED, now, TimeIsUp if _has(db, first, ItemState.SUCCEEDED) else BothTimesPast)
        if _has(db, first, ItemState.RUNNING) and back.at is not None and now - back.at < IN_FLIGHT_AT_MOST:
            self._wake(db, back, IN_FLIGHT)
            return False
        if not _has(db, first, ItemState.SUCCEEDED) and not _has(db, first, ItemState.RUNNING):
            end(db, back, RunState.CANCELLED, now, NothingToBringBack)
            return False
        _take_back_only_what_changed(db, back)
        return True

    def _wake(self, db: Session, run: Run, span: timedelta) -> None:
        """Look again after `span`: not before the run's time by either clock, the worker's or the database's."""
        by_database: datetime = db.scalars(select(func.clock_timestamp() + span)).one()
        self._queue.begin(db, run.id, at=max(by_database, self._clock() + span))

    def wake_forgotten(self) -> int:
        """Give a job to every run whose time has come and that has none, as a killed worker leaves it; how many."""
        overdue = select(Run).where(Run.state == RunState.SCHEDULED, Run.at < self._clock() - FORGOTTEN)
        with self._store.begin() as db:
            runs = list(db.scalars(overdue.limit(MANY).with_for_update(skip_locked=True, key_share=True)))
            living = with_jobs(db, [run.id for run in runs])
            lost = [run for run in runs if run.id not in living]
            for run in lost:
                self._queue.begin(db, run.id)
                log.warning("scheduled_run_woken", run=str(run.id))
        return len(lost)

    # --- by the calendar -------------------------------------------------------------------------------------------

    def follow_zones(self) -> int:
        """Move scheduled runs whose wall time means another instant since the rules of its zone changed; how many."""
        ZoneInfo.clear_cache()  # the machine's zone data may be newer than this process
        with self._store.begin() as db:
            local = db.execute(
                select(Run.id, Run.at, Run.at_wall, Run.zone).where(
                    Run.state == RunState.SCHEDULED, Run.at_wall.is_not(None), Run.zone.is_not(None)
                )
            ).all()
        moved = [run_id for run_id, at, wall, zone in local if at and wall and zone and at != _meant(wall, zone, at)]
        return sum(self._follow(run_id) for run_id in moved)

    def _follow(self, run_id: UUID) -> bool:
        with self._store.begin() as db:
            run, first, _back = pair(db, run_id)
            if run.state is not RunState.SCHEDULED or not run.at_wall or not run.zone or run.at is None:
                return False
            run.at = _meant(run.at_wall, run.zone, run.at)
            if first is not None:
                first.until = run.at
            self._queue.begin_instead(db, run.id, at=run.at)
            log.info("run_moved_with_its_zone", run=str(run.id), zone=run.zone)
            return True

    def give_up(self) -> int:
        """End, as failed, the runs that waited two weeks for somebody; how many."""
        now = self._clock()
        with self._store.begin() as db:
            tired = select(Run.id).where(Run.state == RunState.WAITING, Run.waiting_since < now - PATIENCE)
            ids = list(db.scalars(tired.limit(MANY)))
        for run_id in ids:
            self._give_up(run_id, now)
        return len(ids)

    def _give_up(self, run_id: UUID, now: datetime) -> None:
        with self._store.begin() as db:
            run, _first, back = pair(db, run_id)
            if run.state is not RunState.WAITING or run.waiting_since is None or run.waiting_since >= now - PATIENCE:
                return
            left = (RunItem.run_id == run.id, RunItem.state == ItemState.PENDING)
            why = {"code": WaitedTooLong.code, "problem": WaitedTooLong.key}
            db.execute(update(RunItem).where(*left).values(state=ItemState.FAILED, **why))
            end(db, run, RunState.FAILED, now)
            if back is not None:
                drop_idle_return(db, run, back, now)
            log.info("run_given_up", run=str(run.id))


def _has(db: Session, run: Run, state: ItemState) -> bool:
    wanted = select(RunItem.position).where(RunItem.run_id == run.id, RunItem.state == state).limit(1)
    return db.scalar(wanted) is not None


def _is_due(run: Run, now: datetime) -> bool:
    return run.state is RunState.SCHEDULED and run.at is not None and run.at <= now


def _both_past(db: Session, first: Run, back: Run, now: datetime) -> None:
    for run in (first, back):
        end(db, run, RunState.CANCELLED, now, BothTimesPast)
    log.info("both_times_past", run=str(first.id))


def _take_back_only_what_changed(db: Session, back: Run) -> None:
    """The return of a "down until": only pages the first run changed, and only while they are as it left them.

    A request of the first whose answer never came counts as done where it had something to change: the return looks at
    each page before it acts.
    """
    rows = {row.lid: row for row in db.scalars(select(RunItem).where(RunItem.run_id == back.undoes))}
    for item in db.scalars(select(RunItem).where(RunItem.run_id == back.id)):
        row = rows.get(item.lid)
        if row is not None and item.site_id is None:  # the first run was ordered before its page was ever read
            item.title, item.site, item.site_id = row.title, row.site, row.site_id
            item.url = row.url
        if row is not None and (row.state is ItemState.SUCCEEDED or _may_have_changed(row, back)):
            item.expected = row.after
        else:
            item.state, item.code = ItemState.SKIPPED, "not_changed_by_run"
    for row in rows.values():
        if row.state is ItemState.RUNNING:
            row.state, row.code, row.problem = ItemState.FAILED, Unavailable.code, Unavailable.key


def _may_have_changed(row: RunItem, back: Run) -> bool:
    return row.state is ItemState.RUNNING and row.was_published is (back.action is Action.PUBLISH)


def _meant(wall: str, zone: str, at: datetime) -> datetime:
    """What a kept wall time means today; as it was where the zone is no longer known."""
    known = zones.find(zone)
    return nearest(datetime.fromisoformat(wall), known) if known else at
