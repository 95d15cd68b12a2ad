"""What a run's state allows and what ends it: one set of rules for orders, queries, the executor and the schedule.

A "down until" is a pair of runs. Whoever changes one of them holds both, the first before its return, so that two who
meet never wait for each other.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import and_, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from b24app.domain import OPEN_STATES, Action, Actor, ItemState, RunState
from b24app.errors import NotFound, NothingToBringBack, Problem, RecordedProblem
from b24app.runs import occasions, windows
from b24app.runs.lateness import is_too_late, waits_for_a_decision
from b24app.store.models import Portal, Run, RunItem

NOBODY = 0  # the user id of a history without people
LAST_BATCH = timedelta(minutes=2)  # longer than a batch can be under way
DID_SOMETHING = exists().where(RunItem.run_id == Run.id, RunItem.state.in_((ItemState.SUCCEEDED, ItemState.RUNNING)))
IS_UNDOING = or_(
    Run.state.in_((RunState.QUEUED, RunState.RUNNING, RunState.WAITING)),
    and_(Run.state.in_((RunState.SUCCEEDED, RunState.PARTIAL)), DID_SOMETHING),
)
OPPOSITE = {Action.UNPUBLISH: Action.PUBLISH, Action.PUBLISH: Action.UNPUBLISH}


def run_of(db: Session, actor: Actor, run_id: UUID, *, lock: bool = False) -> Run:
    """One run of the actor's portal. Raises NotFound, also for another portal's."""
    query = select(Run).where(Run.member_id == actor.member_id, Run.id == run_id)
    run = db.scalar(query.with_for_update(key_share=True) if lock else query)
    if run is None:
        raise NotFound()
    return run


def see_end(run: Run, user_id: int) -> None:
    """The person saw how the run ended, or ended it: it is no news to them any more."""
    run.seen_by = sorted({*run.seen_by, user_id})


def hold_portal(db: Session, member_id: str) -> None:
    """Hold the portal's row: before any run, for whoever writes both. A removal does the same, so what is read of the
    portal and its runs after this stays true until the transaction ends.
    """
    db.execute(select(Portal.member_id).where(Portal.member_id == member_id).with_for_update(key_share=True))


def lock_runs(db: Session, member_id: str, states: Collection[RunState] = OPEN_STATES) -> bool:
    """Hold the portal's open runs, or those in some states: firsts before their returns, as everybody takes them.
    Whether there are any.
    """
    held = select(Run.id).where(Run.member_id == member_id, Run.state.in_(states))
    return bool(db.scalars(held.order_by(Run.returns_run.is_(None), Run.id).with_for_update(key_share=True)).all())


@dataclass(frozen=True)
class Halves:
    """A run with the other half of its "down until", as far as it has one; all locked."""

    run: Run
    firsts: Sequence[Run]  # what begins the window: the order itself, then retries that joined it
    back: Run | None  # its return

    @property
    def first(self) -> Run:
        """The order itself."""
        return self.firsts[0]

    @property
    def is_return(self) -> bool:
        """The run is the half that ends the window."""
        return self.run is self.back

    @property
    def is_joined(self) -> bool:
        """The run is a retry that joined the return of another."""
        return not self.is_return and self.run is not self.first

    @property
    def open(self) -> list[Run]:
        """The halves that have not ended."""
        return [run for run in (*self.firsts, self.back) if run is not None and not run.state.is_final]


def pair(db: Session, run_id: UUID) -> Halves:
    """The run and what belongs to it: the return it has, or what it is the return of.

    Always locked in the order of `lock_runs`, so that two who meet here never wait for each other. Raises NotFound.
    """
    back_id = select(Run.returns_run).where(Run.id == run_id).scalar_subquery()
    both = or_(Run.id == run_id, Run.returns_run == run_id, Run.id == back_id, Run.returns_run == back_id)
    query = select(Run).where(both).order_by(Run.returns_run.is_(None), Run.id).with_for_update(key_share=True)
    found = db.scalars(query.execution_options(populate_existing=True)).all()
    run = next((each for each in found if each.id == run_id), None)
    if run is None:  # it went while we waited for it
        raise NotFound()
    ends_it = run.returns_run or run.id
    firsts = sorted(
        (each for each in found if each.returns_run == ends_it), key=lambda each: (each.created_at, each.id)
    )
    return Halves(run, firsts or [run], next((each for each in found if firsts and each.id == ends_it), None))


def end(db: Session, run: Run, state: RunState, now: datetime, why: type[Problem] | None = None) -> None:
    """End a run without doing what is left of it; `why` is what people read about it.

    A request that is on its way writes its own results; where its answer was lost, a worker looks what it did.
    """
    run.state, run.finished_at = state, now
    if why is not None:
        run.problem = RecordedProblem.of(why)
    undone = (RunItem.run_id == run.id, RunItem.state == ItemState.PENDING)
    db.execute(update(RunItem).where(*undone).values(state=ItemState.CANCELLED))
    occasions.ended(db, run, now)


def drop_idle_return(db: Session, back: Run, now: datetime) -> None:
    """The first run has ended: when it changed no page, its return has nothing to bring back and ends in words."""
    if back.state is RunState.SCHEDULED and not windows.has_to_return(db, back):
        end(db, back, RunState.CANCELLED, now, NothingToBringBack)


def discard(db: Session, run_id: UUID, step: int) -> bool:
    """Take back a run whose only call failed as a call: nothing was done, so nothing is kept, nor its return.

    False when somebody else has recorded this step meanwhile: then it is theirs.
    """
    try:
        halves = pair(db, run_id)
    except NotFound:
        return True
    if halves.run.step != step:
        return False
    if halves.back is not None and not halves.is_joined:
        db.execute(delete(Run).where(Run.id == halves.back.id))
    db.execute(delete(Run).where(Run.id == run_id))
    return True


def is_undone(db: Session, run: Run) -> bool:
    """Another run undoes it, or did; one that changed nothing does not count."""
    return db.scalar(select(Run.id).where(Run.undoes == run.id, IS_UNDOING).limit(1)) is not None


def is_settling(run: Run, counts: Mapping[ItemState, int], now: datetime) -> bool:
    """The run was stopped and its last batch is still under way: what it changed is not known yet."""
    return run.state.is_final and counts[ItemState.RUNNING] > 0 and now - (run.finished_at or now) < LAST_BATCH


def can_be_done(
    run: Run, counts: Mapping[ItemState, int], actor: Actor, undone: bool, now: datetime
) -> tuple[str, ...]:
    """What may be done with the run in its state, by somebody with the rights for it."""
    if not run.state.is_final:
        steer = ("cancel", "move", "change") if run.state is RunState.SCHEDULED else ("cancel",)
        return (*steer, "takeover") if may_change_hands(run, actor.user_id) else steer
    again = ("retry",) if counts[ItemState.FAILED] and not is_past_its_end(run, now) else ()
    return (*again, "undo") if counts[ItemState.SUCCEEDED] and not undone else again


def is_past_its_end(run: Run, now: datetime) -> bool:
    """Of a "down until": its end has come, and nothing more is to go down for it."""
    return run.until is not None and run.until <= now


def may_change_hands(run: Run, user_id: int) -> bool:
    """Whether this person, given the rights, can go on with the run: it waits for somebody, or is going to."""
    if run.state is RunState.SCHEDULED:
        return run.doubt is not None and run.acting_as != user_id
    return run.state is RunState.WAITING and (run.acting_as != user_id or waits_for_a_decision(run))


def hand_over(halves: Halves, actor: Actor, now: datetime) -> None:
    """The run and its other half go on as the actor, who knows how late it is and wants it all the same.

    A retry that joined another's return goes on alone: the return is over more than the retry's pages.
    """
    for run in [halves.run] if halves.is_joined else halves.open:
        run.acting_as, run.acting_name, run.doubt = actor.user_id, actor.name, None
    if is_too_late(halves.run, now):
        halves.run.decided_by, halves.run.decided_at = actor.user_id, now
