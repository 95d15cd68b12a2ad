"""Do one page now, or one batch of a run: choose, call, record.

Three rules keep a run right through anything. Items are marked as sent before the request leaves, so a killed worker
or a lost answer leaves a trace, and the next step looks before it acts. A batch reads after it acted, so what is
recorded is what really is. Recording is a compare-and-swap on the run's step: a repeated batch changes nothing twice.

How much a request may ask is in `pace`. A portal that says it is asked too much is left alone by all its runs; a method
that used up its time only by the runs that need it. A person's own single page never waits for any of this.
"""

import random
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from b24app import outcomes, pace
from b24app.bitrix import landing
from b24app.bitrix.landing import PageState
from b24app.bitrix.rest import Answer, Command
from b24app.clock import Clock
from b24app.errors import (
    Blocked,
    NotFound,
    NotInstalled,
    NotPossibleNow,
    PaymentRequired,
    PortalError,
    RecordedProblem,
    Throttled,
    Unavailable,
    error_for,
)
from b24app.outcomes import Result
from b24app.pace import Measured
from b24app.runs import Runs, lock_runs, may_change_hands, waits_for_a_decision
from b24app.store.db import Store
from b24app.store.models import Pace, Portal, Run, RunItem
from b24app.store.queue import Queue
from b24app.terms import Action, Actor, ItemState, RunState, UserRef
from b24app.tokens import Tokens

log = structlog.get_logger()

MOST_PAGES = 47  # of the 50 commands of a batch; the others read before, after and the names of sites
NOW_SECONDS, LOOK_SECONDS, BATCH_SECONDS = 12, 5, 62  # a batch is cut by the portal after 60
LOOK_AGAIN = timedelta(seconds=30)
MOST_TRIES, PAGE_TRIES, MOST_HALVINGS = 8, 3, 3
WAITS = (2, 5, 15, 30, 60, 120, 300, 600)  # seconds, after transient failures in a row
LONGEST_PAUSE = timedelta(minutes=15)  # one that ends later was written by a clock that has gone back since
OPERATING = "OPERATION_TIME_LIMIT"
OF_THE_PORTAL = (Blocked, NotInstalled, PaymentRequired)  # end all work of a portal, until somebody opens the app
OPEN = (ItemState.PENDING, ItemState.RUNNING)
MOVING = (RunState.QUEUED, RunState.RUNNING)


@dataclass(frozen=True)
class Batch:
    """Results of one batch; `problem` when a failure of the call stopped the rest."""

    results: Sequence[Result]
    problem: PortalError | None = None
    cost: Measured | None = None
    sent: int = 0  # commands that act, in a request of which nothing was heard
    refused: Sequence[int] = ()  # positions of items that were surely not changed, so need no look
    unwell: Sequence[Result] = ()  # what to write of them if it is the pages at which the portal fails, again and again


class Perform:
    """Carries runs out."""

    def __init__(
        self,
        store: Store,
        tokens: Tokens,
        runs: Runs,
        queue: Queue,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._tokens = tokens
        self._runs = runs
        self._queue = queue
        self._clock = clock
        self._jitter = jitter

    # --- one page, while the person waits --------------------------------------------------------------------------

    def now(self, run_id: UUID) -> None:
        """Do a one-page run at once.

        A failure that belongs to the page is recorded on it. A failure of the call is raised and the run taken back,
        unless the call may have been carried out: then the page is looked at, and if even that fails a worker ends it.
        """
        run, items, look_first = self._claim(run_id, lambda db, run: 1)
        if not items:
            return
        try:
            batch: Batch | None = self._work(run, items, look_first, NOW_SECONDS)
        except PortalError as error:
            batch = Batch((), error)
        if batch and batch.problem is not None:
            batch = self._after_failed_call(run, items, batch.problem)
        if batch is None:
            self._hand_over(run)
        elif batch.problem is not None:
            self._runs.withdraw(run.id)
            raise batch.problem
        else:
            self._record(run, batch)

    def _after_failed_call(self, run: Run, items: list[RunItem], error: PortalError) -> Batch | None:
        """What to say of a call that failed: a batch, or None when nobody can know yet."""
        if not error.maybe_done:
            return Batch((), error)
        if error.code == "portal_timeout":  # the portal may still be at it
            return None
        try:
            looked = self._look(run, items, LOOK_SECONDS)
        except PortalError:
            return None
        done = [outcomes.seen_done(run, item, looked.get(item.lid)) for item in items]
        return Batch([result for result in done if result]) if all(done) else Batch((), error)

    def _hand_over(self, run: Run) -> None:
        with self._store.begin() as db:
            self._queue.step(db, run.id, run.member_id)

    # --- one batch of a run, in a worker ---------------------------------------------------------------------------

    def step(self, run_id: UUID) -> None:
        """Do the next batch of a run, record it, and ask for the one after."""
        run, items, look_first = self._claim(run_id, self._pages_now)
        if run.state is not None and run.state.is_final:
            self._settle(run)
        if not items:
            return
        try:
            batch = self._work(run, items, look_first, BATCH_SECONDS)
        except PortalError as error:
            new = [item.position for item in items if item.state is ItemState.PENDING]
            batch = Batch((), error, sent=len(items), refused=() if error.maybe_done else new)
        self._record(run, batch)

    def _pages_now(self, db: Session, run: Run) -> int:
        """How many pages the next request may change; 0 when it is not the time for one, and another job was made."""
        now = self._clock()
        portal = db.get_one(Portal, run.member_id)
        if portal.suspended_code is not None:
            self._wait_for_somebody(run, error_for(portal.suspended_code, 403))
            return 0
        if portal.paused_until is not None and now < portal.paused_until < now + LONGEST_PAUSE:
            self._queue.step(db, run.id, run.member_id, at=portal.paused_until)
            return 0
        known = db.get(Pace, (run.member_id, landing.METHODS[run.action]))
        pages = pace.pages_now(known, now, MOST_PAGES)
        if run.problem is not None and run.problem.is_a(Unavailable):
            pages = pages and max(1, pages >> min(run.tries, MOST_HALVINGS))
        if known is not None and pages == 0:
            run.problem = RecordedProblem.of(Throttled(OPERATING, method=known.method))
            self._queue.ensure(db, run.id, at=pace.free_at(known, now))
        return pages

    def _settle(self, run: Run) -> None:
        """Of a run that ended while a batch was in flight whose answer never came: look what it did, and write it."""
        with self._store.begin() as db:
            sent = select(RunItem).where(RunItem.run_id == run.id, RunItem.state == ItemState.RUNNING)
            items = list(db.scalars(sent.limit(MOST_PAGES)))
        if not items:
            return
        try:
            looked = self._look(run, items, LOOK_SECONDS)
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

    def ensure(self, run_id: UUID) -> None:
        """A web process took this run on a minute ago; when it did not end it, a worker does."""
        with self._store.begin() as db:
            run = db.get(Run, run_id)
            if run is not None and run.state in MOVING:
                self._queue.step(db, run.id, run.member_id)

    def resume_for(self, user: UserRef) -> None:
        """The person is back with a living token: what waited for them goes on."""
        with self._store.begin() as db:
            lock_runs(db, user.member_id, (RunState.WAITING,))
            mine = (Run.member_id == user.member_id, Run.acting_as == user.user_id)
            # in the order of their times, so that the last one wins
            query = select(Run).where(*mine, Run.state == RunState.WAITING).order_by(Run.at, Run.created_at)
            waiting = db.scalars(query).all()
            self._resume(db, [run for run in waiting if not waits_for_a_decision(run)])
            if db.get_one(Portal, user.member_id).suspended_code is None:
                for cause in OF_THE_PORTAL:
                    self._resume_waiting(db, user.member_id, cause)
            doubtful = update(Run).where(*mine, Run.state == RunState.SCHEDULED, Run.doubt.is_not(None))
            db.execute(doubtful.values(checked_at=None))  # the cause may be gone: the next look ahead asks again

    def resume_portal(self, member_id: str, cause: type[PortalError]) -> int:
        """What a portal's runs waited for has come: those that waited for just this go on; how many."""
        with self._store.begin() as db:
            lock_runs(db, member_id, (RunState.WAITING,))
            return self._resume_waiting(db, member_id, cause)

    def _resume_waiting(self, db: Session, member_id: str, cause: type[PortalError]) -> int:
        waiting = (Run.member_id == member_id, Run.state == RunState.WAITING)
        because = Run.stopped_by(cause)
        runs = db.scalars(select(Run).where(*waiting, because)).all()
        self._resume(db, runs)
        return len(runs)

    def take_over(self, actor: Actor, run_id: UUID) -> None:
        """The run that waits, or will have to, goes on with the actor's own rights. Raises NotFound, NotPossibleNow."""
        with self._store.begin() as db:
            query = select(Run).where(Run.member_id == actor.member_id, Run.id == run_id).with_for_update()
            run = db.scalar(query)
            if run is None:
                raise NotFound()
            if not may_change_hands(run, actor.user_id):
                raise NotPossibleNow()
            run.acting_as, run.acting_name, run.doubt = actor.user_id, actor.name, None
            if run.state is RunState.WAITING:
                self._resume(db, [run])

    def _resume(self, db: Session, waiting: Iterable[Run]) -> None:
        for run in waiting:
            run.state, run.tries, run.problem, run.started_at = RunState.QUEUED, 0, None, None
            self._queue.step(db, run.id, run.member_id)

    def _claim(self, run_id: UUID, pages: Callable[[Session, Run], int]) -> tuple[Run, list[RunItem], bool]:
        """The next items of the run, marked as sent; True when an earlier request for them may have worked.

        Each item still says what it was: running when such a request was for it.
        pages  how many at most, asked only of a run that is to go on
        """
        with self._store.begin() as db:
            run = db.get(Run, run_id, with_for_update=True)
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
            return run, items, any(_sent(item) for item in items)

    # --- the call --------------------------------------------------------------------------------------------------

    def _work(self, run: Run, items: list[RunItem], look_first: bool, seconds: float) -> Batch:
        """Act on the items. Publishing takes the draft live and an undo must not touch what somebody changed since, so
        both look first; unpublishing what is down changes nothing, so it reads, acts and reads in one request.
        """
        if not (look_first or run.action is Action.PUBLISH or any(item.expected for item in items)):
            return self._read_act_read(run, items, {}, seconds)
        looked = self._look(run, items, seconds)
        settled = {item.position: outcomes.decide(run, item, looked.get(item.lid), _sent(item)) for item in items}
        rest = [item for item in items if settled[item.position] is None]
        done = [result for result in settled.values() if result is not None]
        if not rest:
            return Batch(done)
        acted = self._read_act_read(run, rest, looked, seconds)
        return replace(acted, results=[*done, *acted.results])

    def _look(self, run: Run, items: list[RunItem], seconds: float) -> dict[int, PageState]:
        command = _read(run, items)
        answer = self._tokens.call(run.actor, command.method, command.params, timeout=seconds)
        return {state.lid: state for state in landing.read_pages(answer.result)}

    def _read_act_read(self, run: Run, items: list[RunItem], looked: dict[int, PageState], seconds: float) -> Batch:
        commands = {} if looked else {"before": _read(run, items)}
        if any(not item.site for item in items):
            commands["sites"] = landing.sites(run.kind)
        commands |= {f"c{item.lid}": landing.act(run.action, run.kind, item.lid) for item in items}
        began = time.monotonic()
        answers = self._tokens.batch(run.actor, {**commands, "after": _read(run, items)}, timeout=seconds)
        wall = time.monotonic() - began
        before = looked or _states(answers.get("before"))
        after = _states(answers.get("after"))
        sites = _site_titles(answers.get("sites"))
        results: list[Result] = []
        stopped: dict[int, PortalError] = {}
        for item in items:
            try:
                result = outcomes.outcome(run, item, answers[f"c{item.lid}"], before.get(item.lid), after.get(item.lid))
            except PortalError as error:
                stopped[item.position] = error
            else:
                results.append(replace(result, site=sites.get(result.site_id or 0)))
        acts = [answers[f"c{item.lid}"] for item in items]
        timings = [answer.timing for answer in acts if isinstance(answer, Answer)]
        cost = pace.measured(timings, len(items), wall) if timings else None
        return _unread(_stopped(results, stopped, items), answers["after"], cost)

    # --- the record ------------------------------------------------------------------------------------------------

    def _record(self, run: Run, batch: Batch) -> None:
        with self._store.begin() as db:
            moved = db.scalar(
                update(Run).where(Run.id == run.id, Run.step == run.step).values(step=Run.step + 1).returning(Run.state)
            )
            if moved is None:
                return  # somebody else already recorded this step
            if batch.unwell and run.tries >= PAGE_TRIES and self._has_settled(db, run):
                batch = replace(batch, results=[*batch.results, *batch.unwell], problem=None, refused=())
            if batch.results:
                db.execute(update(RunItem), [{"run_id": run.id, **result.values()} for result in batch.results])
            if batch.refused:
                back = ItemState.CANCELLED if moved.is_final else ItemState.PENDING
                again = update(RunItem).where(RunItem.run_id == run.id, RunItem.position.in_(batch.refused))
                db.execute(again.values(state=back))
            self._learn(db, run, batch)
            if any(result.state is ItemState.SUCCEEDED for result in batch.results):
                _pages_changed(db, run.actor)
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
            self._hold_back(db, run, problem, again)
        elif problem.transient and run.tries <= MOST_TRIES:
            self._queue.step(db, run.id, run.member_id, at=again)
        else:
            self._wait_for_somebody(run, problem)

    def _hold_back(self, db: Session, run: Run, limit: Throttled, again: datetime) -> None:
        """A limit of the whole portal stops all its runs; one of a method only those that need the method, until the
        portal's own time for it or, where that is not known, for growing spans.
        """
        log.info("limit_reached", member_id=run.member_id, code=limit.code, method=limit.method)
        if limit.code.upper() != OPERATING:
            portal = db.get_one(Portal, run.member_id, with_for_update=True)
            portal.paused_until = max(portal.paused_until or again, again)
            self._queue.step(db, run.id, run.member_id, at=portal.paused_until)
            return
        known = self._pace(db, run)
        pace.learn_limit(known, self._clock())
        free = pace.free_at(known, self._clock()) if pace.used(known, self._clock()) else again
        self._queue.ensure(db, run.id, at=free)

    def _wait_for_somebody(self, run: Run, problem: PortalError) -> None:
        run.problem = RecordedProblem.of(problem)
        run.state, run.waiting_since = RunState.WAITING, run.waiting_since or self._clock()
        log.info("run_waits", run=str(run.id), code=problem.code)

    def _learn(self, db: Session, run: Run, batch: Batch) -> None:
        problem = batch.problem
        lost = problem is not None and problem.code == "portal_timeout" and problem.maybe_done
        if batch.cost is None and not (lost and batch.sent):
            return
        known = self._pace(db, run)
        if batch.cost is not None:
            pace.learn(known, batch.cost, self._clock())
        else:
            pace.learn_cut(known, batch.sent)

    def _pace(self, db: Session, run: Run) -> Pace:
        row = {"member_id": run.member_id, "method": landing.METHODS[run.action]}
        db.execute(insert(Pace).values(row).on_conflict_do_nothing())
        return db.get_one(Pace, (run.member_id, row["method"]), with_for_update=True, populate_existing=True)


def _sent(item: RunItem) -> bool:
    """An earlier request for it may have been carried out."""
    return item.state is ItemState.RUNNING


def _stopped(results: list[Result], stopped: dict[int, PortalError], items: Sequence[RunItem]) -> Batch:
    """A batch some commands of which failed as calls. Those the portal itself answered for changed nothing."""
    refused = [position for position, error in stopped.items() if not error.maybe_done]
    of_pages = all(isinstance(error, Unavailable) and not error.maybe_done for error in stopped.values())
    unwell = [
        outcomes.result(item, ItemState.FAILED, None, **outcomes.recorded(stopped[item.position]))
        for item in items
        if of_pages and item.position in stopped
    ]
    return Batch(results, next(iter(stopped.values()), None), refused=refused, unwell=unwell)


def _unread(batch: Batch, after: Answer | PortalError, cost: Measured | None) -> Batch:
    """Where the reading after it failed, what was done counts as sent only: it is looked at before it is written."""
    if isinstance(after, Answer) or not any(result.state is ItemState.SUCCEEDED for result in batch.results):
        return replace(batch, cost=cost)
    lost = Unavailable(after.code, method=after.method) if not after.transient else after
    lost.maybe_done = True
    known = [result for result in batch.results if result.state is not ItemState.SUCCEEDED]
    return replace(batch, results=known, problem=batch.problem or lost, unwell=(), cost=cost)


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


def _read(run: Run, items: Sequence[RunItem]) -> Command:
    return landing.pages(run.kind, limit=len(items), lids=[item.lid for item in items], urls=False)


def _states(answer: Answer | PortalError | None) -> dict[int, PageState]:
    """A read that failed inside the batch teaches nothing; it does not undo what the batch did."""
    if answer is None or isinstance(answer, PortalError):
        return {}
    try:
        return {state.lid: state for state in landing.read_pages(answer.result)}
    except Unavailable:
        return {}


def _site_titles(answer: Answer | PortalError | None) -> dict[int, str]:
    if answer is None or isinstance(answer, PortalError):
        return {}
    try:
        return {site.site_id: site.title for site in landing.read_sites(answer.result)}
    except Unavailable:
        return {}
