"""A run's own time: it comes, it passes, it moves with the rules of its zone, or nobody helps for two weeks.

The worker's clock decides what is late, the database's clock only wakes the worker. A late run begins at once, and
waits for a person where it is too late for that (`lateness`). Where both ends of a "down until" lie behind us nothing
is done at all. What its return brings back is told in `windows`.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from b24app import zones
from b24app.clock import Clock
from b24app.domain import ItemState, RunState
from b24app.errors import BothTimesPast, NotFound, NothingToBringBack, TimeIsUp, WaitedTooLong
from b24app.runs import windows
from b24app.runs.local_time import nearest
from b24app.runs.outcomes import result, unknown, was_read
from b24app.runs.states import Halves, drop_idle_return, end, pair
from b24app.store.db import Store, repeated
from b24app.store.models import Run, RunItem
from b24app.store.queue import NEAR, Queue, without_begin

log = structlog.get_logger()

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

        After a while without a worker many are due. The portal's earlier times come first, so that the last order wins,
        and of one moment what begins before what ends: each job starts the earliest run that is due, its own or
        another's, and there is a job for each.
        """
        now = self._clock()
        with self._store.begin() as db:
            run = db.get(Run, run_id)
            if run is None:
                return
            if run.state is RunState.SCHEDULED and run.at is not None and run.at > now:
                self._queue.begin(db, run.id, at=self._after(db, run.at - now))
                return
            due = (Run.member_id == run.member_id, Run.state == RunState.SCHEDULED, Run.at <= now)
            runs = list(db.scalars(select(Run.id).where(*due).order_by(Run.at, Run.is_return, Run.created_at)))
        for each in runs:
            with suppress(NotFound):  # gone meanwhile
                if self._begin_due(each, now):
                    return

    @repeated
    def _begin_due(self, run_id: UUID, now: datetime) -> bool:
        """True when the run is no longer to be begun. Whether it is too late for it is asked before its first batch."""
        with self._store.begin() as db:
            halves = pair(db, run_id)
            run, back = halves.run, halves.back
            if not _is_due(run, now):
                return False
            if back is not None and not halves.is_return and _is_due(back, now):
                _both_past(db, run, back, now)
            elif not halves.is_return or self._may_return(db, halves, now):
                run.state, run.doubt = RunState.QUEUED, None
                self._queue.step(db, run.id, run.member_id)
            return run.state is not RunState.SCHEDULED

    def _may_return(self, db: Session, halves: Halves, now: datetime) -> bool:
        """The end of a "down until": what the first run has not done by now it shall not do any more."""
        back = halves.run
        if halves.first.state is RunState.SCHEDULED:
            _both_past(db, halves.first, back, now)
            return False
        for first in halves.firsts:
            if not first.state.is_final:
                end(db, first, RunState.CANCELLED, now, TimeIsUp if _has_changed(db, first) else BothTimesPast)
        sent = _in_flight(db, halves.firsts)
        if sent and back.at is not None and now - back.at < IN_FLIGHT_AT_MOST:
            # One job in place of any other: every job that comes by here would add one more.
            self._queue.begin_instead(db, back.id, at=self._after(db, IN_FLIGHT))
            return False
        for first, items in sent.items():
            lost = [unknown(item) if was_read(item) else result(item, ItemState.CANCELLED, None) for item in items]
            db.execute(update(RunItem), [{"run_id": first.id, **each.values()} for each in lost])
            first.tally = None
            windows.record(db, first, lost)
        if not windows.has_to_return(db, back):
            end(db, back, RunState.CANCELLED, now, NothingToBringBack)
            return False
        _fill_in_titles(db, back)
        return True

    def _after(self, db: Session, span: timedelta) -> datetime:
        """When to look again: after `span` by either clock, the worker's and the database's."""
        by_database: datetime = db.scalars(select(func.clock_timestamp() + span)).one()
        return max(by_database, self._clock() + span)

    def enqueue_near(self) -> int:
        """Give a job to every run whose time is near and that has none; how many. Those that are overdue, as a killed
        worker leaves them or no worker was there, are among them.
        """
        enqueued = 0
        while found := self._enqueue_some(self._clock()):
            enqueued += found
        return enqueued

    @repeated
    def _enqueue_some(self, now: datetime) -> int:
        near = (Run.state == RunState.SCHEDULED, Run.at < now + NEAR, without_begin())
        query = select(Run).where(*near).order_by(Run.at).limit(MANY)
        with self._store.begin() as db:
            runs = db.scalars(query.with_for_update(skip_locked=True, key_share=True)).all()
            for run in runs:
                ahead = (run.at or now) - now
                self._queue.begin_near(db, run.id, self._after(db, ahead) if ahead > timedelta() else None)
                if ahead < -FORGOTTEN:
                    log.warning("scheduled_run_woken", run=str(run.id))
        return len(runs)

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
        followed = 0
        for run_id in moved:
            with suppress(NotFound):
                followed += self._follow(run_id)
        return followed

    @repeated
    def _follow(self, run_id: UUID) -> bool:
        with self._store.begin() as db:
            halves = pair(db, run_id)
            run = halves.run
            if run.state is not RunState.SCHEDULED or not run.at_wall or not run.zone or run.at is None:
                return False
            run.at = _meant(run.at_wall, run.zone, run.at)
            if halves.is_return:
                for first in halves.firsts:
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
            with suppress(NotFound):
                self._give_up(run_id, now)
        return len(ids)

    @repeated
    def _give_up(self, run_id: UUID, now: datetime) -> None:
        with self._store.begin() as db:
            halves = pair(db, run_id)
            run = halves.run
            if run.state is not RunState.WAITING or run.waiting_since is None or run.waiting_since >= now - PATIENCE:
                return
            left = (RunItem.run_id == run.id, RunItem.state == ItemState.PENDING)
            why = {"code": WaitedTooLong.code, "problem": WaitedTooLong.key}
            db.execute(update(RunItem).where(*left).values(state=ItemState.FAILED, **why))
            end(db, run, RunState.FAILED, now)
            if halves.back is not None and all(first.state.is_final for first in halves.firsts):
                drop_idle_return(db, halves.back, now)
            log.info("run_given_up", run=str(run.id))


def _has_changed(db: Session, run: Run) -> bool:
    done = select(RunItem.position).where(RunItem.run_id == run.id, RunItem.state == ItemState.SUCCEEDED)
    return db.scalar(done.limit(1)) is not None


def _in_flight(db: Session, runs: Sequence[Run]) -> dict[Run, list[RunItem]]:
    """Pages for which a request may have left and whose answer is not known, by run."""
    by_id = {run.id: run for run in runs}
    found: dict[Run, list[RunItem]] = {}
    sent = (RunItem.run_id.in_(by_id), RunItem.state == ItemState.RUNNING)
    for item in db.scalars(select(RunItem).where(*sent)):
        found.setdefault(by_id[item.run_id], []).append(item)
    return found


def _is_due(run: Run, now: datetime) -> bool:
    return run.state is RunState.SCHEDULED and run.at is not None and run.at <= now


def _both_past(db: Session, first: Run, back: Run, now: datetime) -> None:
    for run in (first, back):
        end(db, run, RunState.CANCELLED, now, BothTimesPast)
    log.info("both_times_past", run=str(first.id))


def _fill_in_titles(db: Session, back: Run) -> None:
    """The first run was ordered before its page was ever read, and knows by now what it is."""
    rows = {row.lid: row for row in db.scalars(select(RunItem).where(RunItem.run_id == back.undoes))}
    nameless = select(RunItem).where(RunItem.run_id == back.id, RunItem.site_id.is_(None))
    for item in db.scalars(nameless):
        row = rows.get(item.lid)
        if row is not None:
            item.title, item.site, item.site_id = row.title, row.site, row.site_id
            item.url = row.url


def _meant(wall: str, zone: str, at: datetime) -> datetime:
    """What a kept wall time means today; as it was where the zone is no longer known."""
    known = zones.find(zone)
    return nearest(datetime.fromisoformat(wall), known) if known else at
