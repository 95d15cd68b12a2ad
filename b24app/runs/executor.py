"""Do one page now, or one batch of a run: choose, call, record.

Three rules keep a run right through anything. Items are marked as sent before the request leaves, so a killed worker
or a lost answer leaves a trace, and the next step looks before it acts. A batch reads after it acted, so what is
recorded is what really is. Recording is a compare-and-swap on the run's step: a repeated batch changes nothing twice.

How much a request may ask is in `throttle`. A portal that says it is asked too much is left alone by all its runs; a
method that used up its time only by the runs that need it. A person's own single page never waits for any of this.
"""

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from b24app.bitrix import landing
from b24app.clock import Clock
from b24app.deadline import is_over, within
from b24app.domain import ItemState, RunState, UserRef
from b24app.errors import PortalError, RecordedProblem, Throttled, Unavailable, error_for
from b24app.runs import outcomes, throttle
from b24app.runs.batches import Batch, Batches, was_sent
from b24app.runs.states import NOBODY, discard, hold_portal
from b24app.store.db import HELD, Store, repeated
from b24app.store.models import MethodThrottle, Portal, Run, RunItem
from b24app.store.queue import Queue

log = structlog.get_logger()

BATCH_PAGES = 47  # of the 50 commands of a batch; the others read before, after and the names of sites
NOW_SECONDS = 20  # for one page, renewal and looking included
LOOK_SECONDS, BATCH_SECONDS = 5, 62  # a batch is cut by the portal after 60
LOOK_AGAIN = timedelta(seconds=30)
MOST_TRIES, PAGE_TRIES, MOST_HALVINGS = 8, 3, 3
WAITS = (2, 5, 15, 30, 60, 120, 300, 600)  # seconds, after transient failures in a row
LONGEST_PAUSE = timedelta(minutes=15)  # one that ends later was written by a clock that has gone back since
OPERATING = "OPERATION_TIME_LIMIT"
OPEN = (ItemState.PENDING, ItemState.RUNNING)
MOVING = (RunState.QUEUED, RunState.RUNNING)


class Executor:
    """Carries runs out."""

    def __init__(
        self,
        store: Store,
        batches: Batches,
        queue: Queue,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._batches = batches
        self._queue = queue
        self._clock = clock
        self._jitter = jitter

    # --- one page, while the person waits --------------------------------------------------------------------------

    def run_now(self, run_id: UUID) -> None:
        """Do a one-page run at once.

        A failure that belongs to the page is recorded on it. A failure of the call is raised and the run taken back,
        unless the call may have been carried out: then the page is looked at, and if even that fails, or the time is
        up, a worker ends it.
        """
        with within(NOW_SECONDS):
            self._run_now(run_id)

    def _run_now(self, run_id: UUID) -> None:
        run, items, look_first = self._claim(run_id, lambda db, run: 1)
        if not items:
            return
        try:
            batch: Batch | None = self._batches.work(run, items, look_first, NOW_SECONDS)
        except PortalError as error:
            batch = Batch((), error)
        if batch and batch.problem is not None:
            batch = self._after_failed_call(run, items, batch.problem)
        if batch is None:
            self._hand_over(run)
        elif batch.problem is not None:
            with self._store.begin() as db:
                discard(db, run.id)
            raise batch.problem
        else:
            self._record(run, batch)

    def _after_failed_call(self, run: Run, items: list[RunItem], error: PortalError) -> Batch | None:
        """What to say of a call that failed: a batch, or None when nobody can know yet."""
        if is_over():
            return None
        if not error.maybe_done:
            return Batch((), error)
        if error.code == "portal_timeout":  # the portal may still be at it
            return None
        try:
            looked = self._batches.look(run, items, LOOK_SECONDS)
        except PortalError:
            return None
        done = [outcomes.seen_done(run, item, looked.get(item.lid)) for item in items]
        return Batch([result for result in done if result]) if all(done) else Batch((), error)

    def _hand_over(self, run: Run) -> None:
        with self._store.begin() as db:
            self._queue.step(db, run.id, run.member_id)

    # --- one batch of a run, in a worker ---------------------------------------------------------------------------

    def run_batch(self, run_id: UUID) -> None:
        """Do the next batch of a run, record it, and ask for the one after."""
        run, items, look_first = self._claim(run_id, self._pages_now)
        if run.state is not None and run.state.is_final:
            self._reconcile(run)
        if not items:
            return
        try:
            batch = self._batches.work(run, items, look_first, BATCH_SECONDS)
        except PortalError as error:
            new = [item.position for item in items if item.state is ItemState.PENDING]
            batch = Batch((), error, sent=len(items), refused=() if error.maybe_done else new)
        self._record(run, batch)

    def _pages_now(self, db: Session, run: Run) -> int:
        """How many pages the next request may change; 0 when it is not the time for one, and another job was made."""
        now = self._clock()
        portal = db.get_one(Portal, run.member_id)
        if portal.suspended_code is not None:
            self._suspend(run, error_for(portal.suspended_code, 403))
            return 0
        if portal.paused_until is not None and now < portal.paused_until < now + LONGEST_PAUSE:
            self._queue.step(db, run.id, run.member_id, at=portal.paused_until)
            return 0
        known = db.get(MethodThrottle, (run.member_id, landing.METHODS[run.action]))
        pages = throttle.pages_now(known, now, BATCH_PAGES)
        if run.problem is not None and run.problem.is_a(Unavailable):
            pages = pages and max(1, pages >> min(run.tries, MOST_HALVINGS))
        if known is not None and pages == 0:
            run.problem = RecordedProblem.of(Throttled(OPERATING, method=known.method))
            self._queue.ensure(db, run.id, at=throttle.free_at(known, now))
        return pages

    def _reconcile(self, run: Run) -> None:
        """Of a run that ended while a batch was in flight whose answer never came: look what it did, and write it."""
        with self._store.begin() as db:
            sent = select(RunItem).where(RunItem.run_id == run.id, RunItem.state == ItemState.RUNNING)
            items = list(db.scalars(sent.limit(BATCH_PAGES)))
        if not items:
            return
        try:
            looked = self._batches.look(run, items, LOOK_SECONDS)
        except PortalError as error:
            if error.transient:
                with self._store.begin() as db:
                    self._queue.step(db, run.id, run.member_id, at=self._clock() + LOOK_AGAIN)
                return
            results = [outcomes.result(item, ItemState.FAILED, None, **outcomes.recorded(error)) for item in items]
        else:
            results = [
                outcomes.seen_done(run, item, looked.get(item.lid))
                or outcomes.result(item, ItemState.CANCELLED, looked.get(item.lid))
                for item in items
            ]
        self._record(run, Batch(results))

    def ensure_finished(self, run_id: UUID) -> None:
        """A web process took this run on a minute ago; when it did not end it, a worker does."""
        with self._store.begin() as db:
            run = db.get(Run, run_id)
            if run is not None and run.state in MOVING:
                self._queue.step(db, run.id, run.member_id)

    @repeated
    def _claim(self, run_id: UUID, pages: Callable[[Session, Run], int]) -> tuple[Run, list[RunItem], bool]:
        """The next items of the run, marked as sent; True when an earlier request for them may have worked.

        Each item still says what it was: running when such a request was for it.
        pages  how many at most, asked only of a run that is to go on
        """
        with self._store.begin() as db:
            run = db.get(Run, run_id, with_for_update=HELD)
            if run is None:
                return Run(), [], False
            if run.state not in MOVING or _time_is_up(run, self._clock()):
                return run, [], False
            left = select(RunItem).where(RunItem.run_id == run_id, RunItem.state.in_(OPEN))
            if not db.scalar(left.with_only_columns(func.count())):
                _finish(db, run, self._clock())
                return run, [], False
            first = left.order_by(RunItem.state != ItemState.RUNNING, RunItem.position)
            items = list(db.scalars(first.limit(pages(db, run))))
            if not items:
                return run, [], False
            run.state, run.started_at = RunState.RUNNING, run.started_at or self._clock()
            sent = update(RunItem).where(RunItem.run_id == run_id, RunItem.position.in_([i.position for i in items]))
            db.execute(sent.values(state=ItemState.RUNNING), execution_options={"synchronize_session": False})
            return run, items, any(was_sent(item) for item in items)

    # --- the record ------------------------------------------------------------------------------------------------

    @repeated
    def _record(self, run: Run, batch: Batch) -> None:
        with self._store.begin() as db:
            hold_portal(db, run.member_id)
            taken = update(Run).where(Run.id == run.id, Run.step == run.step).values(step=Run.step + 1)
            row = db.execute(taken.returning(Run.state, Run.created_by)).one_or_none()
            if row is None:
                return  # somebody else already recorded this step
            moved, with_people = row.state, row.created_by != NOBODY  # not if the app was removed meanwhile
            if batch.unwell and run.tries >= PAGE_TRIES and self._has_settled(db, run):
                batch = replace(batch, results=[*batch.results, *batch.unwell], problem=None, refused=())
            if batch.results:
                values = [result.values(with_people=with_people) for result in batch.results]
                db.execute(update(RunItem), [{"run_id": run.id, **each} for each in values])
            if batch.refused:
                back = ItemState.CANCELLED if moved.is_final else ItemState.PENDING
                again = update(RunItem).where(RunItem.run_id == run.id, RunItem.position.in_(batch.refused))
                db.execute(again.values(state=back))
            self._observe(db, run, batch)
            if any(result.state is ItemState.SUCCEEDED for result in batch.results):
                _pages_changed(db, run.acting_user)
            fresh = db.get_one(Run, run.id, populate_existing=True)
            if batch.problem is not None:
                self._interrupt(db, fresh, batch.problem)
            elif not fresh.state.is_final:
                self._go_on(db, fresh)

    def _has_settled(self, db: Session, run: Run) -> bool:
        """Some page of the run went well, so it is not the portal as a whole that is unwell."""
        good = (ItemState.SUCCEEDED, ItemState.SKIPPED)
        query = select(RunItem.position).where(RunItem.run_id == run.id, RunItem.state.in_(good)).limit(1)
        return db.scalar(query) is not None

    def _go_on(self, db: Session, run: Run) -> None:
        run.tries, run.problem, run.waiting_since = 0, None, None
        left = select(func.count()).select_from(RunItem).where(RunItem.run_id == run.id, RunItem.state.in_(OPEN))
        if db.scalar(left):
            self._queue.step(db, run.id, run.member_id)
        else:
            _finish(db, run, self._clock())

    def _interrupt(self, db: Session, run: Run, problem: PortalError) -> None:
        """The call failed: later again by itself when time can mend it, else the run waits for a person."""
        if run.state.is_final:  # stopped meanwhile, and what became of the batch in flight is not known
            self._queue.step(db, run.id, run.member_id)
            return
        run.tries += 1
        run.problem = RecordedProblem.of(problem)
        wait = (problem.retry_after or WAITS[min(run.tries, len(WAITS)) - 1]) * (1 + self._jitter() / 4)
        again = self._clock() + timedelta(seconds=wait)
        if isinstance(problem, Throttled):
            self._back_off(db, run, problem, again)
        elif problem.transient and run.tries <= MOST_TRIES:
            self._queue.step(db, run.id, run.member_id, at=again)
        else:
            self._suspend(run, problem)

    def _back_off(self, db: Session, run: Run, limit: Throttled, again: datetime) -> None:
        """A limit of the whole portal stops all its runs; one of a method only those that need the method, until the
        portal's own time for it or, where that is not known, for growing spans.
        """
        log.info("limit_reached", member_id=run.member_id, code=limit.code, method=limit.method)
        if limit.code.upper() != OPERATING:
            portal = db.get_one(Portal, run.member_id, with_for_update=HELD)
            portal.paused_until = max(portal.paused_until or again, again)
            self._queue.step(db, run.id, run.member_id, at=portal.paused_until)
            return
        known = self._throttle(db, run)
        throttle.observe_limit(known, self._clock())
        free = throttle.free_at(known, self._clock()) if throttle.used(known, self._clock()) else again
        self._queue.ensure(db, run.id, at=free)

    def _suspend(self, run: Run, problem: PortalError) -> None:
        run.problem = RecordedProblem.of(problem)
        run.state, run.waiting_since = RunState.WAITING, run.waiting_since or self._clock()
        log.info("run_waits", run=str(run.id), code=problem.code)

    def _observe(self, db: Session, run: Run, batch: Batch) -> None:
        problem = batch.problem
        lost = problem is not None and problem.code == "portal_timeout" and problem.maybe_done
        if batch.cost is None and not (lost and batch.sent):
            return
        known = self._throttle(db, run)
        if batch.cost is not None:
            throttle.observe(known, batch.cost, self._clock())
        else:
            throttle.observe_cut(known, batch.sent)

    def _throttle(self, db: Session, run: Run) -> MethodThrottle:
        row = {"member_id": run.member_id, "method": landing.METHODS[run.action]}
        db.execute(insert(MethodThrottle).values(row).on_conflict_do_nothing())
        return db.get_one(MethodThrottle, (run.member_id, row["method"]), with_for_update=HELD, populate_existing=True)


def _time_is_up(run: Run, now: datetime) -> bool:
    """Of a "down until" what is not done by its end is not done any more; the return run, due now, ends it in words."""
    return run.until is not None and run.until <= now


def _pages_changed(db: Session, user: UserRef) -> None:
    db.execute(update(Portal).where(Portal.member_id == user.member_id).values(pages_version=Portal.pages_version + 1))


def _finish(db: Session, run: Run, now: datetime) -> None:
    """The state the items add up to."""
    query = select(RunItem.state, func.count()).where(RunItem.run_id == run.id).group_by(RunItem.state)
    counts: dict[ItemState, int] = dict(db.execute(query).all())
    failed = counts.get(ItemState.FAILED, 0)
    good = counts.get(ItemState.SUCCEEDED, 0) + counts.get(ItemState.SKIPPED, 0)
    if not failed:
        run.state = RunState.SUCCEEDED
    else:
        run.state = RunState.PARTIAL if good else RunState.FAILED
    run.finished_at, run.problem = now, None
