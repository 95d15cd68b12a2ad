"""Windows: what holds a page, until when, and what the page comes back to.

A "down until" is a window over its pages: the run that begins it (with the retries that joined it) and one return that
ends it. A "live until" is the same upside down. Several windows, of several people, may lie over one page. The model:

- A window opens over a page when its run is about to change the page, or finds it as it wants it. It is open until its
  return is done with the page. While it is open, the return's item says what becomes of the page: `baseline`, whether
  the page was live when the first of our windows over it began, and `expected`, how we left it last.
- A window that opens over a page which other windows hold as it is takes over their baseline: all agree on it. Where
  the page is not as they hold it, somebody changed it by hand, and what that person wanted is the new baseline.
- A window holds its pages until its end. When one ends, the page is to be as the last begun of those that still hold it
  wants it; when none does, as the baseline says. Where that is how it is, the return leaves it and says why: HELD by a
  window until its end, KEPT by an order without end, or UNCHANGED, because the window had found it so.
- An order without end over such a page changes the baseline of all windows over it: that is how the page stays. So does
  cancelling a return alone, which makes an order without end of its first run.
- Whatever of ours changes a page tells all windows over it how the page was left. What somebody else has changed since
  is not touched at any end.

All of this is written in the transaction that records what was done, so a worker may die between any two steps.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.orm import Session, aliased

from b24app.domain import OPEN_STATES, Action, ItemState, RunState
from b24app.runs.outcomes import ALREADY_SO, UNKNOWN, Result, result
from b24app.store.models import Run, RunItem

HELD, KEPT, UNCHANGED = "held_by_window", "kept_by_order", "not_changed_by_run"
UNDER_WAY = timedelta(minutes=10)  # how long a return waits for an order that is just being carried out
TO_COME = (ItemState.PENDING, ItemState.RUNNING)
# Asked with every batch, and mostly there is none: a fifth of the price of reading them.
ANY = text(
    "select exists (select from run_items where member_id = :member_id and lid = any(:lids)"
    " and baseline is not null and state in ('pending', 'running'))"
)


@dataclass(frozen=True)
class Window:
    """One window that is open over one page, as its return knows it."""

    back: Run
    item: RunItem  # the return's, of this page

    @property
    def wants_live(self) -> bool:
        """How it holds the page."""
        return self.back.action is Action.UNPUBLISH

    def holds(self, now: datetime) -> bool:
        """Its end is still to come; a return that is late or waits for somebody holds nothing any more."""
        return self.back.at is not None and self.back.at > now


def wants_live(run: Run) -> bool:
    """What a run wants its pages to be."""
    return run.action is Action.PUBLISH


def over(db: Session, member_id: str, lids: Collection[int]) -> dict[int, list[Window]]:
    """The open windows over each of these pages, in the order in which they began."""
    if not lids or not db.scalar(ANY, {"member_id": member_id, "lids": list(lids)}):
        return {}
    first = aliased(Run)
    query = (
        select(RunItem, Run)
        .join(Run, Run.id == RunItem.run_id)
        .outerjoin(first, first.id == Run.undoes)
        .where(RunItem.member_id == member_id, RunItem.lid.in_(lids))
        .where(RunItem.baseline.is_not(None), RunItem.state.in_(TO_COME))
        .where(Run.member_id == member_id, Run.is_return, Run.state.in_(OPEN_STATES))
        .order_by(func.coalesce(first.started_at, Run.created_at), Run.created_at)
    )
    found: dict[int, list[Window]] = {}
    for item, back in db.execute(query):
        found.setdefault(item.lid, []).append(Window(back, item))
    return found


# --- what a run does to windows ------------------------------------------------------------------------------------


def open_over(db: Session, run: Run, live: Mapping[int, bool]) -> None:
    """The run is about to change these pages, or found them as it wants them: its window, if it has one, opens.

    live  whether each page was live when it was read
    """
    if run.returns_run is None or not live:
        return
    closed = (RunItem.run_id == run.returns_run, RunItem.baseline.is_(None), RunItem.state == ItemState.PENDING)
    own = db.scalars(select(RunItem).where(*closed, RunItem.lid.in_(live))).all()
    others = over(db, run.member_id, [item.lid for item in own])
    for item in own:
        holding = [each for each in others.get(item.lid, ()) if each.wants_live is live[item.lid]]
        item.baseline = holding[-1].item.baseline if holding else live[item.lid]
        item.expected = holding[-1].item.expected if holding else None
    db.flush()


def close_over(db: Session, run: Run, lids: Collection[int]) -> None:
    """The run did not change these pages after all: its window is not over them, unless another run of the same
    window changed them or may have.
    """
    if run.returns_run is not None and lids:
        by_another = (
            select(RunItem.lid)
            .join(Run, Run.id == RunItem.run_id)
            .where(Run.returns_run == run.returns_run, Run.id != run.id, RunItem.lid.in_(lids))
            .where(or_(RunItem.state == ItemState.SUCCEEDED, RunItem.code == UNKNOWN))
        )
        left = set(lids) - set(db.scalars(by_another))
        untouched = (RunItem.run_id == run.returns_run, RunItem.lid.in_(left), RunItem.state == ItemState.PENDING)
        db.execute(update(RunItem).where(*untouched).values(baseline=None, expected=None))


def record(db: Session, run: Run, results: Iterable[Result]) -> None:
    """What a batch of the run did to the windows over its pages. Call it once the items are written."""
    by_lid = {each.lid: each for each in results}
    changed = {lid: each for lid, each in by_lid.items() if each.state is ItemState.SUCCEEDED}
    unknown = {lid for lid, each in by_lid.items() if each.code == UNKNOWN}
    met = {lid for lid, each in by_lid.items() if each.code == ALREADY_SO}
    wanted = wants_live(run)
    close_over(db, run, by_lid.keys() - changed.keys() - unknown)
    open_over(db, run, dict.fromkeys(changed.keys() | unknown, not wanted) | dict.fromkeys(met, wanted))
    for lid, windows in over(db, run.member_id, [*changed, *unknown, *met]).items():
        others = [each for each in windows if each.back.id != run.returns_run]
        if not run.is_return and len(others) == len(windows):  # an order without end
            for each in others:
                each.item.baseline, each.item.kept_by = wanted, run.id
            expected: dict[str, Any] | None = _left(run, by_lid[lid])
        elif run.is_return:
            expected = _left(run, by_lid[lid]) if lid in changed else None
        else:
            expected = _opened_in(others, run, by_lid[lid])
        edited = by_lid[lid].code == UNKNOWN and by_lid[lid].after is not None  # by somebody else: others know better
        for each in windows:
            if not edited or each.back.id == run.returns_run:
                each.item.expected = expected or each.item.expected


def _opened_in(others: Sequence[Window], run: Run, done: Result) -> dict[str, Any] | None:
    """The run's window has opened over a page. Where the page was not as other windows hold it, somebody had changed it
    by hand, and that is what it goes back to.

    How the page is expected to be at their ends; None when that is as before.
    """
    met = done.code == ALREADY_SO
    before = wants_live(run) if met else not wants_live(run)
    explained = not others or any(each.wants_live is before for each in others)
    if not explained:
        for each in others:
            each.item.baseline = before
    return None if met and others and explained else _left(run, done)


def _left(run: Run, done: Result) -> dict[str, Any]:
    """How the run left a page or met it; of one that nobody could look at, how it did if it did."""
    if done.code == UNKNOWN:
        return {"active": wants_live(run), "modified_by": run.acting_as}
    return (done.before if done.code == ALREADY_SO else done.after) or {"active": wants_live(run)}


def keep_without_end(db: Session, first: Run, back: Run) -> None:
    """The return is cancelled alone: what its window holds stays so, whatever other windows said."""
    held = (RunItem.run_id == back.id, RunItem.baseline.is_not(None), RunItem.state == ItemState.PENDING)
    lids = db.scalars(select(RunItem.lid).where(*held)).all()
    for windows in over(db, first.member_id, lids).values():
        for each in windows:
            if each.back.id != back.id:
                each.item.baseline, each.item.kept_by = wants_live(first), first.id


# --- the end of a window -------------------------------------------------------------------------------------------


def has_to_return(db: Session, back: Run) -> bool:
    """Some page is to be brought back, or people are to be told why it is not."""
    other, other_back = aliased(RunItem), aliased(Run)
    in_another = (
        select(other.position)
        .join(other_back, other_back.id == other.run_id)
        .where(other.member_id == back.member_id, other.lid == RunItem.lid, other.run_id != back.id)
        .where(other.baseline.is_not(None), other.state.in_(TO_COME))
        .where(other_back.member_id == back.member_id, other_back.is_return, other_back.state.in_(OPEN_STATES))
    )
    asks = or_(RunItem.baseline.is_(wants_live(back)), RunItem.kept_by.is_not(None), in_another.exists())
    opened = (RunItem.run_id == back.id, RunItem.state.in_(TO_COME), RunItem.baseline.is_not(None))
    return db.scalar(select(RunItem.position).where(*opened, asks).limit(1)) is not None


def left_alone(db: Session, back: Run, items: Sequence[RunItem], now: datetime) -> list[Result]:
    """The pages that this return leaves as they are, each with the reason."""
    windows = over(db, back.member_id, [item.lid for item in items])
    found = [_verdict(back, item, _others(windows.get(item.lid, ()), back, now)) for item in items]
    return [verdict for verdict in found if verdict is not None]


def _others(windows: Iterable[Window], back: Run, now: datetime) -> list[Window]:
    return [each for each in windows if each.back.id != back.id and each.holds(now)]


def _verdict(back: Run, item: RunItem, others: Sequence[Window]) -> Result | None:
    if item.baseline is None:
        return result(item, ItemState.SKIPPED, None, code=UNCHANGED)
    if (others[-1].wants_live if others else item.baseline) is wants_live(back):
        return None
    if others:
        longest = max((each.back for each in others if each.wants_live is not wants_live(back)), key=_ends)
        return result(item, ItemState.SKIPPED, None, code=HELD, kept_by=longest.id)
    code = KEPT if item.kept_by else UNCHANGED
    return result(item, ItemState.SKIPPED, None, code=code, kept_by=item.kept_by)


def _ends(back: Run) -> datetime:
    assert back.at is not None  # noqa: S101  every return has a time, and those without one hold nothing
    return back.at


def contested(db: Session, run: Run, results: Iterable[Result]) -> set[int]:
    """Pages that are as the run wants them, but another order is just about to change that: to be looked at again."""
    met = {each.lid for each in results if each.code == ALREADY_SO}
    if not met or run.is_return:
        return set()
    opposed = (
        select(RunItem.lid)
        .join(Run, Run.id == RunItem.run_id)
        .where(RunItem.member_id == run.member_id, RunItem.lid.in_(met), RunItem.state == ItemState.RUNNING)
        .where(Run.action != run.action, Run.state == RunState.RUNNING, Run.problem.is_(None))
    )
    return set(db.scalars(opposed))


def about_to_be_held(db: Session, back: Run, lids: Collection[int], now: datetime) -> set[int]:
    """Pages that another order is just about to have as they are now: bringing them back first would be a flicker."""
    if back.at is None or now - back.at > UNDER_WAY:
        return set()
    others = (
        select(RunItem.lid)
        .join(Run, Run.id == RunItem.run_id)
        .where(RunItem.member_id == back.member_id, RunItem.lid.in_(lids), RunItem.state.in_(TO_COME))
        .where(Run.state.in_((RunState.QUEUED, RunState.RUNNING)))
        .where(Run.action != back.action, ~Run.is_return, Run.problem.is_(None))
    )
    return set(db.scalars(others))
