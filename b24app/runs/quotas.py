"""How much one portal may order, so that no tenant fills the shared database or the queue (contract, "Quotas").

Both are counted when an order is written, in its transaction. Two orders at the same moment may pass together: a quota
is a bound, not a price. The return of a window is no order; a retry of one is.
"""

import math
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Subquery, func, or_, select, union_all
from sqlalchemy.orm import Session

from b24app.domain import N_, OPEN_STATES
from b24app.errors import TooManyOrders
from b24app.store.models import Run, RunItem

OPEN_ORDERS, PAGES, WINDOW = 1_000, 100_000, timedelta(hours=24)
# What older code placed beside us has no number of its own.
SIZE = func.coalesce(Run.pages, select(func.count()).where(RunItem.run_id == Run.id).scalar_subquery())
LOOK_AGAIN_SECONDS = 600  # some order may have ended by then
TOO_MANY_OPEN = N_("Your portal has 1,000 unfinished actions, which is the maximum. Nothing was done.")
TOO_MANY_PAGES = N_("Your portal can change at most 100,000 pages within 24 hours. Nothing was done.")
LATER = N_("Try again later: actions started more than 24 hours ago no longer count.")  # cancelling frees nothing


def check(db: Session, member_id: str, pages: int, now: datetime) -> None:
    """Raise TooManyOrders when the portal may not order so many pages more."""
    waiting = select(func.count()).select_from(Run).where(*_orders(member_id), Run.state.in_(OPEN_STATES))
    if (db.scalar(waiting) or 0) >= OPEN_ORDERS:
        raise TooManyOrders(detail=TOO_MANY_OPEN, retry_after=LOOK_AGAIN_SECONDS)
    check_pages(db, member_id, pages, now)


def check_pages(db: Session, member_id: str, pages: int, now: datetime) -> None:
    """As `check`, of pages alone: they come to an order that is there."""
    recent = _ordered(member_id, now - WINDOW)
    over = (db.scalar(select(func.sum(recent.c.pages))) or 0) + pages - PAGES
    if over > 0:
        freed = _when_freed(db, recent, over) or now
        seconds = max(1, math.ceil((freed + WINDOW - now).total_seconds()))
        raise TooManyOrders(detail=TOO_MANY_PAGES, remedy=LATER, retry_after=seconds)


def count_added(run: Run, pages: int, now: datetime) -> None:
    """Remember that pages came to an order now, so that they count from now. Those of the same day before count with
    them: a run has one such moment.
    """
    earlier = run.added_pages if run.added_at is not None and run.added_at > now - WINDOW else None
    run.added_pages, run.added_at = (earlier or 0) + pages, now


def _orders(member_id: str) -> tuple[ColumnElement[bool], ...]:
    """What counts: the return of a window is no order of its own."""
    return (Run.member_id == member_id, or_(~Run.is_return, Run.retries.is_not(None)))


def _ordered(member_id: str, since: datetime) -> Subquery:
    """How many pages were ordered when: with the order, and those that came to it later."""
    with_it = func.greatest(SIZE - func.coalesce(Run.added_pages, 0), 0)
    placed = select(Run.created_at.label("at"), with_it.label("pages"))
    added = select(Run.added_at, Run.added_pages)
    return union_all(
        placed.where(*_orders(member_id), Run.created_at > since),
        added.where(*_orders(member_id), Run.added_at > since),
    ).subquery()


def _when_freed(db: Session, recent: Subquery, over: int) -> datetime | None:
    """The time of the order with which so many pages leave the window."""
    left = 0
    for at, pages in db.execute(select(recent).order_by(recent.c.at)):
        left += pages
        if left >= over:
            ordered_at: datetime = at
            return ordered_at
    return None
