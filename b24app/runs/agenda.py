"""What is still to come, as people plan it: an order and its return are one entry with two ends.

The agenda lists what is open, soonest first; the calendar shows what lies over a span of days, also what is done. Both
read all that matters of the portal in a few statements, at most `MOST` orders, and look closer only at what is shown.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, and_, func, or_, select
from sqlalchemy.orm import Session

from b24app.clock import Clock
from b24app.domain import Actor, RunState
from b24app.runs.queries import RunView, views_of
from b24app.runs.search import Words
from b24app.store.db import Store
from b24app.store.models import Run, RunItem

TO_COME = (RunState.SCHEDULED, RunState.WAITING)
MOST = 2_000  # the quota allows 1,000 open orders, each with a return
MOST_NAMES = 30


@dataclass(frozen=True)
class Entry:
    """One order with its return, as far as it has one; `back` alone where the order itself is gone."""

    first: Run | None
    back: Run | None
    views: Mapping[UUID, RunView] | None = None  # of its halves, once looked at closer

    @property
    def lead(self) -> Run:
        """The half that happens next, or the one that happened last."""
        if self.first is not None and (self.back is None or self.back.state.is_final or not self.first.state.is_final):
            return self.first
        assert self.back is not None  # noqa: S101  an entry has a half
        return self.back

    @property
    def halves(self) -> list[Run]:
        """Those it has."""
        return [half for half in (self.first, self.back) if half is not None]

    @property
    def is_over(self) -> bool:
        """Nothing of it is still to come."""
        return all(half.state.is_final for half in self.halves)

    @property
    def begins(self) -> datetime | None:
        """When its window opens or opened; None where the order is gone."""
        if self.first is None:
            return None
        return self.first.at or self.first.started_at or self.first.created_at

    @property
    def ends(self) -> datetime | None:
        """When its window closes; None for an order without end, and for one whose return was cancelled."""
        if self.back is None or self.back.state is RunState.CANCELLED:
            return None
        return self.back.at

    @property
    def next_at(self) -> datetime:
        """When something happens next."""
        return self.lead.at or self.lead.created_at

    @property
    def is_waiting(self) -> bool:
        """A person has to do something before it goes on."""
        return any(half.state is RunState.WAITING for half in self.halves)


@dataclass(frozen=True)
class Wanted:
    """Which entries are asked for; `words` find names, reasons, and pages of sites the person reads."""

    words: Words | None = None
    since: datetime | None = None
    before: datetime | None = None


class Agenda:
    """Reads what is planned on a portal."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def to_come(self, actor: Actor, wanted: Wanted, skip: int, limit: int) -> tuple[list[Entry], int]:
        """Entries that are open: what waits for a person first, then the soonest; and how many there are in all."""
        with self._store.begin() as db:
            runs = db.scalars(_found(actor, wanted).where(Run.state.in_(TO_COME)).limit(MOST)).all()
            entries = _paired(db, actor, runs)
            entries = [each for each in entries if _is_within(each.next_at, wanted)]
            entries.sort(key=lambda each: (not each.is_waiting, each.next_at, str(each.lead.id)))
            return self._looked_at(db, actor, entries[skip : skip + limit]), len(entries)

    def between(self, actor: Actor, wanted: Wanted, since: datetime, before: datetime) -> list[Entry]:
        """Entries over the days from `since` to `before`, in the order in which they begin; cancelled ones left out."""
        begins = func.coalesce(Run.at, Run.created_at)
        over = or_(Run.until >= since, and_(Run.until.is_(None), Run.at >= since))
        orders = and_(~Run.is_return, begins < before, over, Run.retries.is_(None))
        returns = and_(Run.is_return, Run.retries.is_(None), Run.at >= since, Run.at < before)
        with self._store.begin() as db:
            query = _found(actor, wanted).where(or_(orders, returns))
            runs = db.scalars(query.order_by(begins).limit(MOST)).all()
            entries = [each for each in _paired(db, actor, runs) if not _is_cancelled(each)]
            entries.sort(key=lambda each: (each.begins or each.next_at, str(each.lead.id)))
            return self._looked_at(db, actor, entries)

    def next_after(self, actor: Actor, wanted: Wanted, moment: datetime) -> datetime | None:
        """When the first schedule from a moment on begins or ends; None where none does."""
        query = _found(actor, wanted).where(Run.state == RunState.SCHEDULED, Run.at >= moment, Run.retries.is_(None))
        with self._store.begin() as db:
            return db.scalar(query.with_only_columns(func.min(Run.at)))

    def of(self, actor: Actor, run_ids: Iterable[UUID]) -> list[Entry]:
        """The entries of these runs of the actor's portal, the soonest first; an entry once, by whichever half."""
        with self._store.begin() as db:
            runs = db.scalars(select(Run).where(Run.member_id == actor.member_id, Run.id.in_(set(run_ids)))).all()
            entries = sorted(_paired(db, actor, runs), key=lambda each: (each.next_at, str(each.lead.id)))
            return self._looked_at(db, actor, entries)

    def names(self, actor: Actor) -> list[str]:
        """The campaigns named last, the newest first."""
        last = func.max(Run.created_at)
        query = select(Run.name).where(Run.member_id == actor.member_id, Run.name.is_not(None))
        with self._store.begin() as db:
            return [
                name for name in db.scalars(query.group_by(Run.name).order_by(last.desc()).limit(MOST_NAMES)) if name
            ]

    def sites(self, actor: Actor, run_ids: Iterable[UUID]) -> dict[UUID, dict[int, str]]:
        """For each of these runs the sites of its pages, by number, with the names they had when it was ordered."""
        ids = set(run_ids)
        query = (
            select(RunItem.run_id, RunItem.site_id, func.min(RunItem.site))
            .join(Run, Run.id == RunItem.run_id)
            .where(Run.member_id == actor.member_id, Run.id.in_(ids), RunItem.site_id.is_not(None))
            .where(RunItem.site != "")
        )
        found: dict[UUID, dict[int, str]] = {}
        if not ids:
            return found
        with self._store.begin() as db:
            for run_id, site_id, name in db.execute(query.group_by(RunItem.run_id, RunItem.site_id)):
                if site_id is not None:
                    found.setdefault(run_id, {})[site_id] = name
        return found

    def _looked_at(self, db: Session, actor: Actor, entries: Sequence[Entry]) -> list[Entry]:
        """The entries with the counts of their halves, and what may be done with them."""
        halves = [half for entry in entries for half in entry.halves]
        views = {view.run.id: view for view in views_of(db, actor, halves, self._clock())}
        return [replace(entry, views={half.id: views[half.id] for half in entry.halves}) for entry in entries]


def _found(actor: Actor, wanted: Wanted) -> Select[Run]:
    query = select(Run).where(Run.member_id == actor.member_id)
    return query if wanted.words is None else query.where(wanted.words.condition(actor))


def _paired(db: Session, actor: Actor, runs: Sequence[Run]) -> list[Entry]:
    """The runs as entries; the other half is read where it is not among them. A retry that joined a window stands alone
    while it is open.
    """
    known = {run.id: run for run in runs}
    wanted = {other for run in runs for other in (run.returns_run, run.undoes if run.is_return else None) if other}
    missing = wanted - known.keys()
    if missing:
        known |= {
            run.id: run for run in db.scalars(select(Run).where(Run.member_id == actor.member_id, Run.id.in_(missing)))
        }
    entries: dict[UUID, Entry] = {}
    for run in runs:
        if run.is_return:
            first = known.get(run.undoes) if run.undoes else None
            entries[first.id if first is not None else run.id] = Entry(first, run)
        elif run.id not in entries:
            entries[run.id] = Entry(run, known.get(run.returns_run) if run.returns_run and not run.retries else None)
    return list(entries.values())


def _is_within(moment: datetime, wanted: Wanted) -> bool:
    return (wanted.since is None or moment >= wanted.since) and (wanted.before is None or moment < wanted.before)


def _is_cancelled(entry: Entry) -> bool:
    return all(half.state is RunState.CANCELLED for half in entry.halves)
