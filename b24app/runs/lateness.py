"""Whether a late run still happens, or waits until a person says that it is still wanted.

Long after its time an order may no longer be wanted; to publish, sooner than to unpublish. The executor asks before
every batch, whichever way the run was resumed. A run that was interrupted counts from its last batch, and what somebody
has decided is not asked again.
"""

from datetime import datetime, timedelta

from b24app.domain import Action, RunState
from b24app.errors import PublishTooLate, RecordedProblem, TooLate, UnpublishTooLate
from b24app.store.models import Run

LATEST = {Action.PUBLISH: timedelta(hours=1), Action.UNPUBLISH: timedelta(hours=24)}
TOO_LATE: dict[Action, type[TooLate]] = {Action.PUBLISH: PublishTooLate, Action.UNPUBLISH: UnpublishTooLate}


def is_too_late(run: Run, now: datetime) -> bool:
    """It would begin, or go on after an interruption, too long after its time to be done without asking."""
    return run.decided_at is None and late_by(run, now) > LATEST[run.action]


def late_by(run: Run, now: datetime) -> timedelta:
    """How long ago it should have been done, or went on last."""
    return now - (run.worked_at or run.at or run.created_at)


def wait_for_a_decision(run: Run, now: datetime) -> None:
    """A person must say whether it is still wanted."""
    run.state, run.waiting_since = RunState.WAITING, now
    run.problem = RecordedProblem.of(TOO_LATE[run.action])


def waits_for_a_decision(run: Run) -> bool:
    """Nobody's token is at fault; a person must say that it is still wanted."""
    return run.problem is not None and issubclass(run.problem.kind, TooLate)
