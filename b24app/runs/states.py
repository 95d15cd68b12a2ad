"""What a run's state allows and what ends it: one set of rules for orders, queries, the executor and the schedule.

A "down until" is a pair of runs. Whoever changes one of them holds both, the first before its return, so that two who
meet never wait for each other.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.orm import Session

from b24app.domain import OPEN_STATES, Action, Actor, ItemState, RunState
from b24app.errors import NotFound, NothingToBringBack, Problem, PublishTooLate, RecordedProblem
from b24app.store.models import Portal, Run, RunItem

NOBODY = 0  # the user id of a history without people
LAST_BATCH = timedelta(minutes=2)  # longer than a batch can be under way
IS_UNDOING = Run.state.not_in((RunState.CANCELLED, RunState.FAILED, RunState.SCHEDULED))
OPPOSITE = {Action.UNPUBLISH: Action.PUBLISH, Action.PUBLISH: Action.UNPUBLISH}


def run_of(db: Session, actor: Actor, run_id: UUID, *, lock: bool = False) -> Run:
    """One run of the actor's portal. Raises NotFound, also for another portal's."""
    query = select(Run).where(Run.member_id == actor.member_id, Run.id == run_id)
    run = db.scalar(query.with_for_update(key_share=True) if lock else query)
    if run is None:
        raise NotFound()
    return run


def hold_portal(db: Session, member_id: str) -> None:
    """Hold the portal's row: before any run, for whoever writes both. A removal does the same, so what is read of the
    portal and its runs after this stays true until the transaction ends.
    """
    db.execute(select(Portal.member_id).where(Portal.member_id == member_id).with_for_update(key_share=True))


def lock_runs(db: Session, member_id: str, states: Collection[RunState] = OPEN_STATES) -> None:
    """Hold the portal's open runs, or those in some states: firsts before their returns, as everybody takes them."""
    held = select(Run.id).where(Run.member_id == member_id, Run.state.in_(states))
    db.scalars(held.order_by(Run.returns_run.is_(None), Run.id).with_for_update(key_share=True)).all()


def pair(db: Session, run_id: UUID) -> tuple[Run, Run | None, Run | None]:
    """The run, locked, with the first run it is the return of and the return run it has, as far as there are any.

    Always locked in one order, the first before its return, so that two who meet here never wait for each other.
    """
    back_id = select(Run.returns_run).where(Run.id == run_id).scalar_subquery()
    both = or_(Run.id == run_id, Run.id == back_id, Run.returns_run == run_id)
    query = select(Run).where(both).order_by(Run.returns_run.is_(None)).with_for_update(key_share=True)
    found = {run.id: run for run in db.scalars(query.execution_options(populate_existing=True))}
    run = found.pop(run_id)
    other = next(iter(found.values()), None)
    return (run, None, other) if run.returns_run is not None else (run, other, None)


def end(db: Session, run: Run, state: RunState, now: datetime, why: type[Problem] | None = None) -> None:
    """End a run without doing what is left of it; `why` is what people read about it.

    A request that is on its way writes its own results; where its answer was lost, a worker looks what it did.
    """
    run.state, run.finished_at = state, now
    if why is not None:
        run.problem = RecordedProblem.of(why)
    undone = (RunItem.run_id == run.id, RunItem.state == ItemState.PENDING)
    db.execute(update(RunItem).where(*undone).values(state=ItemState.CANCELLED))


def drop_idle_return(db: Session, first: Run, back: Run, now: datetime) -> None:
    """The first run has ended: when it changed no page, its return has nothing to bring back and ends in words."""
    did = (RunItem.run_id == first.id, RunItem.state.in_((ItemState.SUCCEEDED, ItemState.RUNNING)))
    if back.state is RunState.SCHEDULED and db.scalar(select(func.count()).where(*did)) == 0:
        end(db, back, RunState.CANCELLED, now, NothingToBringBack)


def discard(db: Session, run_id: UUID) -> None:
    """Take back a run whose only call failed as a call: nothing was done, so nothing is kept, nor its return."""
    back = select(Run.returns_run).where(Run.id == run_id).scalar_subquery()
    both = select(Run.id).where(or_(Run.id == run_id, Run.id == back))
    db.scalars(both.order_by(Run.returns_run.is_(None)).with_for_update(key_share=True)).all()
    db.execute(delete(Run).where(Run.id.in_(select(Run.returns_run).where(Run.id == run_id))))
    db.execute(delete(Run).where(Run.id == run_id))


def is_undone(db: Session, run: Run) -> bool:
    """Another run undoes it, or did."""
    return db.scalar(select(Run.id).where(Run.undoes == run.id, IS_UNDOING).limit(1)) is not None


def is_settling(run: Run, counts: Mapping[ItemState, int], now: datetime) -> bool:
    """The run was stopped and its last batch is still under way: what it changed is not known yet."""
    return run.state.is_final and counts[ItemState.RUNNING] > 0 and now - (run.finished_at or now) < LAST_BATCH


def can_be_done(run: Run, counts: Mapping[ItemState, int], actor: Actor, undone: bool) -> tuple[str, ...]:
    """What may be done with the run in its state, by somebody with the rights for it."""
    if not run.state.is_final:
        steer = ("cancel", "move") if run.state is RunState.SCHEDULED else ("cancel",)
        return (*steer, "takeover") if may_change_hands(run, actor.user_id) else steer
    again = ("retry",) if counts[ItemState.FAILED] else ()
    return (*again, "undo") if counts[ItemState.SUCCEEDED] and not undone else again


def may_change_hands(run: Run, user_id: int) -> bool:
    """Whether this person, given the rights, can go on with the run: it waits for somebody, or is going to."""
    if run.state is RunState.SCHEDULED:
        return run.doubt is not None and run.acting_as != user_id
    return run.state is RunState.WAITING and (run.acting_as != user_id or waits_for_a_decision(run))


def waits_for_a_decision(run: Run) -> bool:
    """Nobody's token is at fault; a person must say that it is still wanted."""
    return run.problem is not None and run.problem.is_a(PublishTooLate)
