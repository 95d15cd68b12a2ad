"""Do one page now, or one batch of a run: choose, call, record.

Four rules keep a run right through anything. Items are marked as sent before the request leaves, so a killed worker
or a lost answer leaves a trace, and the next step looks before it acts. A page is read before a request for it leaves,
and what was read is kept: so nothing is sent for a page that is already as wanted, and one that is so after a lost
answer is not taken for our work. A batch reads after it acted, so what is recorded is what really is. Recording is a
compare-and-swap on the run's step: a repeated batch changes nothing twice.

How much a request may ask is in `throttle`. A portal that says it is asked too much is left alone by all its runs; a
method that used up its time only by the runs that need it, and a run that has trouble of its own waits alone. A
person's own single page never waits for any of this.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from b24app.bitrix import landing
from b24app.bitrix.landing import PageState
from b24app.clock import Clock
from b24app.deadline import is_over, within
from b24app.domain import N_, ItemState, RunState
from b24app.errors import (
    AccessDenied,
    AppNotAllowed,
    ExpiredToken,
    PortalClosed,
    PortalError,
    RecordedProblem,
    Throttled,
    Unavailable,
    UserGone,
    error_for,
)
from b24app.pages.lists import may
from b24app.runs import occasions, outcomes, throttle, windows
from b24app.runs.batches import Batch, Batches, Following
from b24app.runs.items import set_state, tell_lists, write_readings, write_results
from b24app.runs.lateness import is_too_late, late_by, wait_for_a_decision
from b24app.runs.outcomes import Result
from b24app.runs.states import NOBODY, discard, hold_portal, is_past_its_end
from b24app.store.db import HELD, Store, repeated
from b24app.store.models import MethodThrottle, Portal, Run, RunItem
from b24app.store.queue import Queue

log = structlog.get_logger()

BATCH_PAGES = 47  # of the 50 commands of a batch; the others read before, after and the names of sites
NOW_SECONDS = 20  # for one page, renewal and looking included
LOOK_SECONDS, LOOK_AT_MOST, BATCH_SECONDS = 5, 20, 62  # a batch is cut by the portal after 60
LOOK_AGAIN, SOON_AGAIN = timedelta(seconds=30), timedelta(seconds=5)
MOST_TRIES, PAGE_TRIES, MOST_HALVINGS = 8, 3, 3
WAITS = (2, 5, 15, 30, 60, 120, 300, 600)  # seconds, after transient failures in a row
LONGEST_PAUSE = timedelta(minutes=15)  # one that ends later was written by a clock that has gone back since
OPERATING = "OPERATION_TIME_LIMIT"
OPEN = (ItemState.PENDING, ItemState.RUNNING)
OF_THE_PERSON = (ExpiredToken, UserGone, AppNotAllowed)  # refuse everything this person's token would do
LEFT_ALONE = N_("The portal could not be reached or gave no usable answer. The page was not changed.")
MOVING = (RunState.QUEUED, RunState.RUNNING)


@dataclass(frozen=True)
class NextBatch:
    """The next pages of a run, as they were before they were marked as sent."""

    run: Run
    items: Sequence[RunItem] = ()
    following: Sequence[Following] = ()  # those of the batch after, to be read along
    left: Sequence[Result] = ()  # what a return leaves as it is: known without any request
    claimed_at: datetime | None = None  # before anything of them was read; None where there is nothing to read

    @property
    def is_empty(self) -> bool:
        """Nothing is to be sent now, and nothing to be written."""
        return not self.items and not self.left

    @staticmethod
    def unsent(items: Sequence[RunItem]) -> list[int]:
        """Positions of those for which no earlier request can have worked."""
        return [item.position for item in items if item.state is ItemState.PENDING]


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
        claimed = self._claim(run_id, lambda db, run: 1)
        if claimed is None or not claimed.items:
            return
        try:
            acted = self._execute(claimed, NOW_SECONDS)
        except PortalError as error:
            if not is_over():
                self._take_back(claimed.run, error)
                return
            acted = Batch((), error)
        batch: Batch | None = acted
        if acted.problem is not None:
            batch = self._after_failed_call(claimed.run, claimed.items, acted.problem)
        if batch is None:
            self._queue_step(claimed.run)
        elif batch.problem is not None:
            self._take_back(claimed.run, batch.problem)
        else:
            self._record(claimed, batch)

    def _take_back(self, run: Run, error: PortalError) -> None:
        """Raises `error`, unless a worker has recorded the run meanwhile. By now it is sure that nothing was done."""
        if self._discard(run):
            if error.detail == Unavailable.detail:
                error.detail = LEFT_ALONE
            raise error

    @repeated
    def _discard(self, run: Run) -> bool:
        with self._store.begin() as db:
            return discard(db, run.id, run.step)

    def _after_failed_call(self, run: Run, items: Sequence[RunItem], error: PortalError) -> Batch | None:
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
        done = [outcomes.after_lost_answer(run, item, looked.get(item.lid)) for item in items]
        return Batch([result for result in done if result]) if all(done) else Batch((), error)

    @repeated
    def _queue_step(self, run: Run) -> None:
        """Give the next step to a worker."""
        with self._store.begin() as db:
            self._queue.step(db, run.id, run.member_id)

    # --- one batch of a run, in a worker ---------------------------------------------------------------------------

    def run_batch(self, run_id: UUID) -> None:
        """Do the next batch of a run, record it, and ask for the one after."""
        claimed = self._claim(run_id, self._pages_now)
        if claimed is None:
            return
        if claimed.run.state.is_final:
            self._reconcile(claimed.run)
        if claimed.is_empty:
            return
        try:
            batch = self._execute(claimed, BATCH_SECONDS)
        except PortalError as error:  # it could not even look: nothing was sent
            batch = Batch(claimed.left, error, refused=claimed.unsent(claimed.items))
        self._record(claimed, batch)

    def _execute(self, claimed: NextBatch, seconds: float) -> Batch:
        """Look where a look is needed, and act on the pages that are not as wanted.

        Raises a PortalError when it could not look: then nothing was sent.
        """
        run, now = claimed.run, self._clock()
        look = [item for item in claimed.items if outcomes.needs_look(run, item, now)]
        looked = None
        if look:
            looked = self._batches.look(run, [*claimed.items, *claimed.following], min(seconds, LOOK_AT_MOST))
            known = dict(looked)
        else:
            known = {item.lid: state for item in claimed.items if (state := outcomes.remembered(item))}
        verdicts = {
            item.position: outcomes.decide(run, item, known.get(item.lid))
            for item in claimed.items
            if looked is not None or item.lid in known
        }
        done = [*claimed.left, *self._permitted(run, [result for result in verdicts.values() if result])]
        rest = [item for item in claimed.items if verdicts.get(item.position) is None]
        if looked is not None and rest and not self._before_sending(run, rest, looked):
            stopped = [outcomes.result(item, ItemState.CANCELLED, looked.get(item.lid)) for item in rest]
            return Batch([*done, *stopped])
        if not rest:
            return Batch(done, seen=looked or {})
        try:
            acted = self._batches.act(run, rest, looked, claimed.following, seconds)
        except PortalError as error:
            refused = () if error.maybe_done else claimed.unsent(rest)
            acted = Batch((), error, sent=len(rest), refused=refused, seen=looked or {})
        met = {each.lid: looked[each.lid] for each in done if looked and each.lid in looked}
        return replace(acted, results=[*done, *acted.results], seen={**met, **acted.seen})

    def _permitted(self, run: Run, results: list[Result]) -> list[Result]:
        """Where a page is already as wanted nothing is sent, so nothing asks for the right; but who has none in its
        site shall not keep it so when a window over it ends.
        """
        met = [each for each in results if each.code == outcomes.ALREADY_SO]
        if run.is_return or not met:
            return results
        with self._store.begin() as db:
            in_windows = windows.over(db, run.member_id, [each.lid for each in met]).keys()
        asked = [each for each in met if each.lid in in_windows]
        if not asked:
            return results
        rights = self._batches.rights(run, {each.site_id or 0 for each in asked}, LOOK_SECONDS)
        no_right = AccessDenied()
        return [
            replace(each, state=ItemState.FAILED, code=no_right.code, problem=no_right.key)
            if each in asked and not may(run.action, run.kind, rights.get(each.site_id or 0, frozenset()))
            else each
            for each in results
        ]

    @repeated
    def _before_sending(self, run: Run, items: Sequence[RunItem], looked: Mapping[int, PageState]) -> bool:
        """Keep what was just read, so that it can be told later what a request did whose answer was lost; False when
        the run was stopped meanwhile: then nothing is sent.
        """
        now = self._clock()
        readings = {item.position: outcomes.reading(looked[item.lid], now) for item in items}
        with self._store.begin() as db:
            current = db.get(Run, run.id, with_for_update=HELD, populate_existing=True)
            if current is None or current.state not in MOVING or is_past_its_end(current, now):
                return False
            write_readings(db, run.id, readings)
            windows.open_over(db, run, {item.lid: looked[item.lid].active for item in items})
        for item in items:
            item.before = readings[item.position]
        return True

    def _pages_now(self, db: Session, run: Run) -> int:
        """How many pages the next request may change; 0 when it is not the time for one, and another job was made."""
        now = self._clock()
        portal = db.get_one(Portal, run.member_id)
        if portal.suspended_code is not None:
            self._suspend(db, run, error_for(portal.suspended_code, 403))
            return 0
        if portal.paused_until is not None and now < portal.paused_until < now + LONGEST_PAUSE:
            self._queue.step(db, run.id, run.member_id, at=portal.paused_until)
            return 0
        known = db.get(MethodThrottle, (run.member_id, landing.METHODS[run.action]))
        pages = throttle.pages_now(known, now, BATCH_PAGES, first=run.step == 0)
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
        sent_ones = [item for item in items if outcomes.was_read(item)]
        never_sent = [outcomes.result(item, ItemState.CANCELLED, None) for item in items if not outcomes.was_read(item)]
        try:
            looked = self._batches.look(run, sent_ones, LOOK_SECONDS) if sent_ones else {}
        except PortalError as error:
            if error.transient:
                with self._store.begin() as db:
                    self._queue.ensure(db, run.id, at=self._clock() + LOOK_AGAIN)
                return
            results = [outcomes.unknown(item) for item in sent_ones]
        else:
            results = [
                outcomes.after_lost_answer(run, item, looked.get(item.lid))
                or outcomes.result(item, ItemState.CANCELLED, looked.get(item.lid))
                for item in sent_ones
            ]
        self._record(NextBatch(run, items), Batch([*results, *never_sent]))

    @repeated
    def ensure_finished(self, run_id: UUID) -> None:
        """A step was to be made by now by a web process, or is to be made when a wait is over: put it in its turn.

        Waits of one run are such jobs, because a step that waits would hold up the portal's other runs.
        """
        with self._store.begin() as db:
            run = db.get(Run, run_id, with_for_update=HELD)
            if run is None:
                return
            if run.state is RunState.WAITING and run.problem is not None and run.problem.is_a(PortalClosed):
                run.state = RunState.QUEUED
            if run.state in MOVING or (run.state.is_final and _in_flight(db, run)):
                self._queue.step(db, run.id, run.member_id)

    @repeated
    def _claim(self, run_id: UUID, pages: Callable[[Session, Run], int]) -> NextBatch | None:
        """The next items of the run, marked as sent; each still says what it was: running when an earlier request for
        it may have worked. None where the run is gone.

        pages  how many at most, asked only of a run that is to go on
        """
        now = self._clock()
        with self._store.begin() as db:
            run = db.get(Run, run_id, with_for_update=HELD)
            if run is None:
                return None
            if not _pass_or_wait(db, run, now):
                return NextBatch(run)
            most = pages(db, run)
            left = select(RunItem).where(RunItem.run_id == run_id, RunItem.state.in_(OPEN))
            first = left.order_by(RunItem.state != ItemState.RUNNING, RunItem.position)
            found = list(db.scalars(first.limit(max(most, 1))))
            if not found:
                _finish(db, run, now)
            if not found or not most:
                return NextBatch(run)
            claimed = self._chosen(db, run, found, self._following(db, found[-1]))
            if not claimed.is_empty:
                _mark_as_sent(db, claimed, now)
            return claimed

    def _following(self, db: Session, last: RunItem) -> list[Following]:
        """The pages of the batch after, as far as they have yet to be sent."""
        columns = select(RunItem.position, RunItem.lid, RunItem.site).where(RunItem.run_id == last.run_id)
        behind = columns.where(RunItem.position > last.position, RunItem.state == ItemState.PENDING)
        return [Following(*row) for row in db.execute(behind.order_by(RunItem.position).limit(BATCH_PAGES))]

    def _chosen(self, db: Session, run: Run, items: list[RunItem], following: list[Following]) -> NextBatch:
        """The items to work on now. A return leaves some as they are, and waits for who is just about to hold some."""
        now = self._clock()
        if not run.is_return:
            return NextBatch(run, items, following, claimed_at=now)
        fresh = [item for item in items if item.state is ItemState.PENDING]
        soon = windows.about_to_be_held(db, run, [item.lid for item in fresh], now)
        ready = [item for item in fresh if item.lid not in soon]
        left = windows.left_alone(db, run, ready, now)
        skipped = {result.position for result in left} | {item.position for item in fresh if item.lid in soon}
        if soon and len(skipped) == len(items) and not left:
            self._queue.ensure(db, run.id, at=now + SOON_AGAIN)
        return NextBatch(run, [item for item in items if item.position not in skipped], following, left, now)

    # --- the record ------------------------------------------------------------------------------------------------

    @repeated
    def _record(self, claimed: NextBatch, batch: Batch) -> None:
        """Write what became of a batch and go on, once: the step is taken before anything else is written."""
        run, now = claimed.run, self._clock()
        with self._store.begin() as db:
            hold_portal(db, run.member_id)
            taken = update(Run).where(Run.id == run.id, Run.step == run.step).values(step=Run.step + 1)
            row = db.execute(taken.returning(Run.state, Run.created_by)).one_or_none()
            if row is None:
                return  # somebody else already recorded this step
            if row.created_by == NOBODY:  # the app was removed meanwhile
                batch = _without_people(batch)
            batch = self._accepted(db, run, batch, is_over=row.state.is_final)
            if batch.results:
                write_results(db, run.id, batch.results)
            if batch.refused:
                set_state(db, run.id, batch.refused, ItemState.CANCELLED if row.state.is_final else ItemState.PENDING)
            self._keep_readings(db, claimed, batch, now)
            windows.close_over(db, run, [item.lid for item in claimed.items if item.position in batch.refused])
            if row.created_by != NOBODY:
                windows.record(db, run, batch.results)
            self._observe(db, run, batch)
            tell_lists(db, run, batch, claimed.claimed_at or now, now)
            self._continue(db, claimed, batch, now)

    def _accepted(self, db: Session, run: Run, batch: Batch, *, is_over: bool) -> Batch:
        """What is to be written of a batch: of pages at which the portal fails again and again, that they failed; of
        those that another order is just about to change, nothing yet.
        """
        if batch.unwell and self._is_the_pages_fault(db, run):
            batch = replace(batch, results=[*batch.results, *batch.unwell], problem=None, refused=())
        lids = set() if is_over else windows.contested(db, run, batch.results)
        results = [each for each in batch.results if each.lid not in lids]
        contested = [each.position for each in batch.results if each.lid in lids]
        seen = {lid: state for lid, state in batch.seen.items() if lid not in lids}
        return replace(batch, results=results, refused=[*batch.refused, *contested], contested=contested, seen=seen)

    def _continue(self, db: Session, claimed: NextBatch, batch: Batch, now: datetime) -> None:
        """The run after its batch: interrupted, looked at again soon, or on to the next one."""
        run = db.get_one(Run, claimed.run.id, populate_existing=True)
        run.tally = None
        if batch.results:
            run.worked_at = now
        if batch.problem is not None:
            self._interrupt(db, run, batch.problem)
        elif run.state.is_final:
            return
        elif batch.contested:
            self._queue.ensure(db, run.id, at=now + SOON_AGAIN)
        else:
            self._go_on(db, run, more=bool(claimed.following))

    def _keep_readings(self, db: Session, claimed: NextBatch, batch: Batch, now: datetime) -> None:
        """What was read along of the next batch's pages."""
        seen = [(item.position, batch.seen[item.lid]) for item in claimed.following if item.lid in batch.seen]
        write_readings(db, claimed.run.id, {position: outcomes.reading(state, now) for position, state in seen})

    def _is_the_pages_fault(self, db: Session, run: Run) -> bool:
        """The portal answered again and again that these pages fail: another page of the run went well, or it was tried
        often enough.
        """
        return run.tries >= MOST_TRIES or (run.tries >= PAGE_TRIES and self._has_settled(db, run))

    def _has_settled(self, db: Session, run: Run) -> bool:
        """Some page of the run went well, so it is not the portal as a whole that is unwell."""
        good = (ItemState.SUCCEEDED, ItemState.SKIPPED)
        query = select(RunItem.position).where(RunItem.run_id == run.id, RunItem.state.in_(good)).limit(1)
        return db.scalar(query) is not None

    def _go_on(self, db: Session, run: Run, *, more: bool) -> None:
        """The next batch, or the end; `more` where it is known that there is one."""
        if run.waiting_since is not None:
            occasions.settled(db, run, self._clock())
        run.tries, run.problem, run.waiting_since = 0, None, None
        left = select(RunItem.position).where(RunItem.run_id == run.id, RunItem.state.in_(OPEN)).limit(1)
        if more or db.scalar(left) is not None:
            self._queue.step(db, run.id, run.member_id)
        else:
            _finish(db, run, self._clock())

    def _interrupt(self, db: Session, run: Run, problem: PortalError) -> None:
        """The call failed: later again by itself when time can mend it, else the run waits for a person.

        Only a limit of the whole portal is waited for in the portal's turn; a wait of this run holds up nobody else.
        """
        if run.state.is_final:  # stopped meanwhile, and what became of the batch in flight is not known
            self._queue.step(db, run.id, run.member_id)
            return
        run.tries += 1
        run.problem = RecordedProblem.of(problem)
        wait = (problem.retry_after or WAITS[min(run.tries, len(WAITS)) - 1]) * (1 + self._jitter() / 4)
        again = self._clock() + timedelta(seconds=wait)
        if isinstance(problem, Throttled):
            self._back_off(db, run, problem, again)
        elif isinstance(problem, PortalClosed):
            self._suspend(db, run, problem)
            self._queue.ensure(db, run.id, at=again)
        elif problem.transient and run.tries <= MOST_TRIES:
            self._queue.ensure(db, run.id, at=again)
        else:
            self._suspend(db, run, problem)

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

    def _suspend(self, db: Session, run: Run, problem: PortalError) -> None:
        now = self._clock()
        run.problem = RecordedProblem.of(problem)
        run.state, run.waiting_since = RunState.WAITING, run.waiting_since or now
        log.info("run_waits", run=str(run.id), code=problem.code)
        occasions.waits(db, run, now)
        if run.returns_run is not None and isinstance(problem, OF_THE_PERSON):  # its return would have to wait as well
            same = (Run.id == run.returns_run, Run.state == RunState.SCHEDULED, Run.acting_as == run.acting_as)
            doubt = RecordedProblem.of(problem, since=now)
            doubtful = update(Run).where(*same, Run.doubt.is_(None)).values(doubt=doubt, checked_at=now)
            for back in db.scalars(doubtful.returning(Run)):
                occasions.doubtful(db, back, now, now)

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
        key = (run.member_id, landing.METHODS[run.action])
        known = db.get(MethodThrottle, key, with_for_update=HELD, populate_existing=True)
        if known is None:
            db.execute(insert(MethodThrottle).values(member_id=key[0], method=key[1]).on_conflict_do_nothing())
            known = db.get_one(MethodThrottle, key, with_for_update=HELD, populate_existing=True)
        return known


def _pass_or_wait(db: Session, run: Run, now: datetime) -> bool:
    """The one gate every run passes before any request, however it came to go on; one that is too late begins to wait
    for a person's decision.
    """
    if run.state not in MOVING or is_past_its_end(run, now):  # what is over, its return, due now, ends in words
        return False
    if is_too_late(run, now):
        wait_for_a_decision(run, now)
        occasions.waits(db, run, now)
        log.info("run_waits_for_a_decision", run=str(run.id), late=late_by(run, now).total_seconds())
        return False
    return True


def _mark_as_sent(db: Session, claimed: NextBatch, now: datetime) -> None:
    """Before the request leaves, so that it leaves a trace; windows open over pages that it is known to change."""
    run = claimed.run
    run.state, run.started_at = RunState.RUNNING, run.started_at or now
    set_state(db, run.id, (item.position for item in claimed.items), ItemState.RUNNING)
    known = {item.lid: item.before or {} for item in claimed.items if not outcomes.needs_look(run, item, now)}
    live = {lid: bool(before["active"]) for lid, before in known.items()}
    windows.open_over(db, run, {lid: up for lid, up in live.items() if up is not windows.wants_live(run)})


def _without_people(batch: Batch) -> Batch:
    """What a batch did, for a history that names nobody any more."""
    results, unwell = ([each.nameless() for each in some] for some in (batch.results, batch.unwell))
    return replace(batch, results=results, unwell=unwell, seen={})


def _in_flight(db: Session, run: Run) -> bool:
    sent = select(RunItem.position).where(RunItem.run_id == run.id, RunItem.state == ItemState.RUNNING)
    return db.scalar(sent.limit(1)) is not None


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
    run.tally = {state.value: number for state, number in counts.items()}
    occasions.ended(db, run, now)
