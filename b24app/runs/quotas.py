"""How much one portal may order, so that no tenant fills the shared database or the queue (contract, "Quotas").

Both are counted when an order is written, in its transaction. Two orders at the same moment may pass together: a quota
is a bound, not a price.
"""

import math
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from b24app.domain import N_, OPEN_STATES
from b24app.errors import TooManyOrders
from b24app.store.models import Run, RunItem

OPEN_ORDERS, PAGES, WINDOW = 1_000, 100_000, timedelta(hours=24)
LOOK_AGAIN_SECONDS = 600  # some order may have ended by then
TOO_MANY_OPEN = N_("Your portal has 1,000 unfinished actions, which is the maximum. Nothing was done.")
TOO_MANY_PAGES = N_("Your portal can change at most 100,000 pages within 24 hours. Nothing was done.")


def check(db: Session, member_id: str, pages: int, now: datetime) -> None:
    """Raise TooManyOrders when the portal may not order so many pages more. The return of a window is no order."""
    returns = select(Run.returns_run).where(Run.member_id == member_id, Run.returns_run.is_not(None))
    mine = (Run.member_id == member_id, Run.id.not_in(returns))
    waiting = select(func.count()).select_from(Run).where(*mine, Run.state.in_(OPEN_STATES))
    if (db.scalar(waiting) or 0) >= OPEN_ORDERS:
        raise TooManyOrders(detail=TOO_MANY_OPEN, retry_after=LOOK_AGAIN_SECONDS)
    recent = (*mine, Run.created_at > now - WINDOW)
    if _pages(db, *recent) + pages > PAGES:
        oldest = db.scalar(select(func.min(Run.created_at)).where(*recent)) or now
        raise TooManyOrders(
            detail=TOO_MANY_PAGES, retry_after=max(1, math.ceil((oldest + WINDOW - now).total_seconds()))
        )


def _pages(db: Session, *conditions: ColumnElement[bool]) -> int:
    ordered = select(func.count()).select_from(RunItem).join(Run, Run.id == RunItem.run_id).where(*conditions)
    return db.scalar(ordered) or 0
