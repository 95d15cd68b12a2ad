"""What became of a run's failed pages: whether later runs tried them again, and how many of them that settled.

Each try is a run of its own, and what fails again may be tried again from there: all that follow from one count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import CTE, func, select
from sqlalchemy.orm import Session, aliased

from b24app.domain import OPEN_STATES, ItemState
from b24app.store.models import Run, RunItem

UNSETTLED = (ItemState.FAILED, ItemState.CANCELLED)


@dataclass(frozen=True)
class Retried:
    """What later runs did for the pages of a run that failed."""

    by: Run  # the newest of them
    pages: int  # changed or as wanted by now, or being tried
    failed: int  # of the run itself
    is_moving: bool

    @property
    def is_whole(self) -> bool:
        """None of its pages is left to be tried again."""
        return self.pages >= self.failed


def retried(db: Session, counts: Mapping[UUID, Mapping[ItemState, int]]) -> dict[UUID, Retried]:
    """Of the runs that were counted, those with failed pages that were tried again."""
    with_failed = [run_id for run_id, number in counts.items() if number[ItemState.FAILED]]
    if not with_failed:
        return {}
    tries: dict[UUID, list[Run]] = {}
    later = _followers(with_failed)
    found = select(later.c.first, Run).join(Run, Run.id == later.c.run_id).order_by(Run.created_at, Run.id)
    for first, run in db.execute(found):
        tries.setdefault(first, []).append(run)
    if not tries:
        return {}
    settled = (
        select(later.c.first, func.count(RunItem.lid.distinct()))
        .join(RunItem, RunItem.run_id == later.c.run_id)
        .where(RunItem.state.not_in(UNSETTLED))
    )
    pages: dict[UUID, int] = dict(db.execute(settled.group_by(later.c.first)).all())
    return {
        first: Retried(
            runs[-1], pages.get(first, 0), counts[first][ItemState.FAILED],
            any(run.state in OPEN_STATES for run in runs),
        )
        for first, runs in tries.items()
    }  # fmt: skip


def _followers(run_ids: list[UUID]) -> CTE:
    """Each run that tries one of these again, or such a run in turn: (first, run_id)."""
    direct = select(Run.retries.label("first"), Run.id.label("run_id")).where(Run.retries.in_(run_ids))
    later = direct.cte("later", recursive=True)
    again = aliased(Run)
    return later.union_all(select(later.c.first, again.id).join(again, again.retries == later.c.run_id))
