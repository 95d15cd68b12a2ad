"""Runs as people look at them: one with a slice of its pages, lists, what is still to come.

Every query goes through the actor's portal.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select, tuple_
from sqlalchemy.orm import Session

from b24app.clock import Clock
from b24app.domain import OPEN_STATES, UNKNOWN_SITE, Action, Actor, ItemState, Kind, RunState
from b24app.errors import AccessDenied
from b24app.runs.retries import Retried, retried
from b24app.runs.search import OfPage, Words
from b24app.runs.states import DID_SOMETHING, IS_UNDOING, can_be_done, is_settling, is_undone, run_of, see_end
from b24app.runs.windows import TO_COME
from b24app.store.db import Store
from b24app.store.models import Run, RunItem

MOST_UNDER_WAY = 20  # of one portal, looked at for one line


@dataclass(frozen=True)
class ItemSlice:
    """One screen of a run's pages: where it begins (from 1), how many there are, and where its neighbours begin."""

    items: Sequence[RunItem] = ()
    first: int = 0
    total: int = 0
    next: str | None = None
    previous: str | None = None


@dataclass(frozen=True)
class Upcoming:
    """One thing that is still to happen to a page."""

    run_id: UUID
    action: Action
    at: datetime
    by: str
    ordered_at: datetime
    is_return: bool = False  # it ends a window over the page
    first: UUID | None = None  # of a return: what began the window

    @property
    def schedule(self) -> UUID:
        """One for both ends of a window."""
        return self.first or self.run_id


@dataclass(frozen=True)
class Undone:
    """What was turned back by hand of what a run did; a return is no undo."""

    by: Run  # the undo, or the newest retry of it
    pages: int  # turned back so far
    is_moving: bool


@dataclass(frozen=True)
class RunView:
    """One run as somebody sees it; `slice` is a screen of those pages they may read, `hidden` counts the others."""

    run: Run
    counts: Mapping[ItemState, int]
    slice: ItemSlice = field(default_factory=ItemSlice)
    hidden: int = 0
    can: Sequence[str] = field(default=())
    upcoming: Mapping[int, Sequence[Upcoming]] = field(
        default_factory=dict
    )  # what is still to happen to the items' pages
    settling: bool = False  # stopped, but its last batch is still under way
    keepers: Mapping[UUID, Run] = field(default_factory=dict)  # runs that keep pages as they are beyond this return
    undone: Undone | None = None
    retried: Retried | None = None
    undoes: Run | None = None  # of an undo: what it turns back
    other: "RunView | None" = None  # of a run shown by itself: the other half of its "down until"

    @property
    def total(self) -> int:
        """All pages of the run."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class RunFilter:
    """Which runs of the portal to list, newest first; `due_*` is about the set time, `happened_*` about what the run's
    last event was, the other two about the order.

    as_history  by their last event instead of by the order, without those that have yet to begin unless `states` names
                them
    """

    states: tuple[RunState, ...] = ()
    page: OfPage | None = None
    user_id: int | None = None
    since: datetime | None = None
    before: datetime | None = None
    due_since: datetime | None = None
    due_before: datetime | None = None
    words: Words | None = None
    after: "UUID | Place | None" = None  # of the history its place then
    limit: int = 20
    as_history: bool = False
    happened_since: datetime | None = None
    happened_before: datetime | None = None


@dataclass(frozen=True)
class Place:
    """Where in the history a run stood when it was shown, whatever has happened to it since."""

    finished_at: datetime | None
    happened_at: datetime
    run_id: UUID

    @classmethod
    def of(cls, run: Run) -> "Place":
        """Where the run stands now."""
        return cls(run.finished_at, happened_at(run), run.id)

    @classmethod
    def read(cls, text: str) -> "Place":
        """From its text. Raises ValueError."""
        finished, happened, run_id = text.split("~")
        moments = (datetime.fromisoformat(happened), datetime.fromisoformat(finished or happened))
        if any(moment.tzinfo is None for moment in moments):
            raise ValueError(text)
        return cls(moments[1] if finished else None, moments[0], UUID(run_id))

    def __str__(self) -> str:
        finished = self.finished_at.isoformat() if self.finished_at else ""
        return f"{finished}~{self.happened_at.isoformat()}~{self.run_id}"


@dataclass(frozen=True)
class OpenOrders:
    """What is still to come on a portal. `version` changes with any order, state or set time of it."""

    count: int  # orders whose time is to come or that wait for a person; a pair is one
    moving: int
    troubled: int  # runs that wait for a person, or would have to
    version: str


def _happened_at() -> ColumnElement[datetime]:
    """As `happened_at`, in SQL."""
    set_for = case((Run.state == RunState.SCHEDULED, Run.at))
    return func.coalesce(Run.finished_at, set_for, Run.waiting_since, Run.started_at, Run.created_at)


def happened_at(run: Run) -> datetime:
    """When the last thing happened to a run: it ended, met trouble, began, was ordered; of one to come its set time."""
    set_for = run.at if run.state is RunState.SCHEDULED else None
    return run.finished_at or set_for or run.waiting_since or run.started_at or run.created_at


def digest(*parts: object) -> str:
    """A short mark of what is shown: another mark, and it is to be shown anew."""
    return sha256(repr(parts).encode()).hexdigest()[:12]


class RunQueries:
    """Reads runs."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def get(self, actor: Actor, run_id: UUID) -> Run:
        """One run of the actor's portal. Raises NotFound, also for another portal's."""
        with self._store.begin() as db:
            return run_of(db, actor, run_id)

    def view(
        self, actor: Actor, run_id: UUID, readable: frozenset[int] | None, *, failed_only: bool = False,
        after: int = -1, limit: int = 200,
    ) -> RunView:  # fmt: skip
        """One run with a screen of its items.

        readable  ids of the sites this person reads; None for the asker, who sees every item of their own order
        """
        now = self._clock()
        with self._store.begin() as db:
            run = run_of(db, actor, run_id)
            counts = counts_of(db, [run])[run.id]
            shown = select(RunItem).where(RunItem.run_id == run.id)
            hidden = 0
            if readable is not None:
                seen = RunItem.site_id.in_(readable)
                hidden = sum(counts.values()) - (db.scalar(_count(run.id).where(seen)) or 0)
                shown = shown.where(seen)
            if failed_only:
                shown = shown.where(RunItem.state == ItemState.FAILED)
            item_slice = _slice(db, shown, after, limit)
            undone = is_undone(db, run)
            upcoming = _upcoming(db, actor, [item.lid for item in item_slice.items])
            keepers = _keepers(db, actor, item_slice.items)
            first = _read(db, run.undoes)
            other = first if run.is_return else _read(db, run.returns_run)
            other_view = next(iter(views_of(db, actor, [other] if other else [], now)), None)
            turned_back = _undone(db, [run.id]).get(run.id)
            tried_again = retried(db, {run.id: counts}).get(run.id)
        settling = is_settling(run, counts, now)
        can = () if settling else can_be_done(run, counts, actor, undone, now)
        return RunView(
            run, counts, item_slice, hidden, can, upcoming=upcoming, settling=settling, keepers=keepers,
            undone=turned_back, retried=tried_again, undoes=None if run.is_return else first, other=other_view,
        )  # fmt: skip

    def sites_of(self, actor: Actor, run_id: UUID) -> frozenset[int]:
        """Ids of the sites whose pages are in the run, as far as they are known. Raises NotFound."""
        with self._store.begin() as db:
            run_of(db, actor, run_id)
        return self.sites_of_each(actor, [run_id])[run_id]

    def sites_of_each(self, actor: Actor, run_ids: Iterable[UUID]) -> dict[UUID, frozenset[int]]:
        """As `sites_of`, for each of these runs of the actor's portal; those of the run it undoes count, too."""
        return {run_id: sites - {UNKNOWN_SITE} for run_id, sites in self.sites_to_ask(actor, run_ids).items()}

    def sites_to_ask(self, actor: Actor, run_ids: Iterable[UUID]) -> dict[UUID, frozenset[int]]:
        """As `sites_of_each`, with UNKNOWN_SITE where that of a page which is still to be changed is not known."""
        found: dict[UUID, set[int]] = {run_id: set() for run_id in run_ids}
        site = func.coalesce(RunItem.site_id, UNKNOWN_SITE)
        query = (
            select(Run.id, site)
            .join(RunItem, or_(RunItem.run_id == Run.id, RunItem.run_id == Run.undoes))
            .where(Run.member_id == actor.member_id, Run.id.in_(found))
            .where(or_(RunItem.site_id.is_not(None), RunItem.state.in_(TO_COME)))
            .distinct()
        )
        if not found:
            return {}
        with self._store.begin() as db:
            for run_id, known in db.execute(query):
                found[run_id].add(known)
        return {run_id: frozenset(sites) for run_id, sites in found.items()}

    def sites_to_steer(self, actor: Actor, run_id: UUID, *, whole: bool = False) -> tuple[Run, frozenset[int]]:
        """Whose order it is to steer, and the sites of its pages; UNKNOWN_SITE among them where that of a page which is
        still to be changed is not known.

        whole  the window as a whole, with the order that began it, though the run may be a retry that joined it
        """
        with self._store.begin() as db:
            run = run_of(db, actor, run_id)
            ids = {run.id, run.undoes or run.id}
            if whole:
                first, ids = _window(db, actor, run)
            else:
                first = run
            rows = db.execute(select(RunItem.lid, RunItem.site_id, RunItem.state).where(RunItem.run_id.in_(ids))).all()
        known = {lid for lid, site, _ in rows if site is not None}
        sites = {site for _, site, _ in rows if site is not None}
        if any(state in TO_COME and lid not in known for lid, _, state in rows):
            sites.add(UNKNOWN_SITE)
        return first, frozenset(sites)

    def listed(self, actor: Actor, wanted: RunFilter) -> tuple[list[RunView], "UUID | Place | None"]:
        """Runs of the portal, newest first, without items; and where the next screen begins."""
        # By what has an index: what has not ended stands first, then what ended last.
        by_event = (Run.finished_at.desc().nulls_first(), _happened_at().desc(), Run.id.desc())
        order = by_event if wanted.as_history else (Run.created_at.desc(), Run.id.desc())
        with self._store.begin() as db:
            query = self._filtered(select(Run).where(Run.member_id == actor.member_id), actor, wanted)
            if wanted.after is not None:
                query = query.where(_behind(db, actor, wanted.after, wanted))
            rows = db.scalars(query.order_by(*order).limit(wanted.limit + 1)).all()
            views = views_of(db, actor, rows[: wanted.limit], self._clock())
        if len(rows) <= wanted.limit:
            return views, None
        return views, Place.of(views[-1].run) if wanted.as_history else views[-1].run.id

    def matching(self, actor: Actor, *conditions: ColumnElement[bool], most: int) -> list[RunView]:
        """Runs of the portal for which all conditions hold, without items, the last ended first."""
        query = select(Run).where(Run.member_id == actor.member_id, *conditions)
        with self._store.begin() as db:
            order = (Run.finished_at.desc().nulls_first(), Run.at.desc().nulls_last())
            return views_of(db, actor, db.scalars(query.order_by(*order).limit(most)).all(), self._clock())

    def _filtered(self, query: Select[Run], actor: Actor, wanted: RunFilter) -> Select[Run]:
        if wanted.states:
            query = query.where(Run.state.in_(wanted.states))
        elif wanted.as_history:
            query = query.where(Run.state != RunState.SCHEDULED)
        if wanted.page is not None:
            query = query.where(wanted.page.condition(actor))
        if wanted.user_id is not None:
            query = query.where(Run.created_by == wanted.user_id)
        if wanted.since is not None:
            query = query.where(Run.created_at >= wanted.since)
        if wanted.before is not None:
            query = query.where(Run.created_at < wanted.before)
        if wanted.due_since is not None:
            query = query.where(Run.at >= wanted.due_since)
        if wanted.due_before is not None:
            query = query.where(Run.at < wanted.due_before)
        # The end of a run is said beside, since it has an index.
        if wanted.happened_since is not None:
            ended = or_(Run.finished_at.is_(None), Run.finished_at >= wanted.happened_since)
            query = query.where(_happened_at() >= wanted.happened_since, ended)
        if wanted.happened_before is not None:
            ended = or_(Run.finished_at.is_(None), Run.finished_at < wanted.happened_before)
            query = query.where(_happened_at() < wanted.happened_before, ended)
        if wanted.words is not None:
            query = query.where(wanted.words.condition(actor))
        return query

    def left_out(self, actor: Actor, wanted: RunFilter, *, pairs_once: bool) -> int:
        """How many orders to come the history leaves out of what is asked for."""
        runs = select(Run).where(Run.member_id == actor.member_id)
        query = self._filtered(runs, actor, replace(wanted, states=(RunState.SCHEDULED,)))
        with self._store.begin() as db:
            rows = db.execute(query.with_only_columns(Run.id, Run.returns_run)).all()
        returns = {back for _run_id, back in rows if back is not None and pairs_once}
        return sum(run_id not in returns for run_id, _back in rows)

    def denied(self, actor: Actor, run_ids: Collection[UUID]) -> dict[UUID, frozenset[int]]:
        """Those of the runs all of whose failures were for want of rights, with the sites of the failed pages."""
        for_rights = func.coalesce(RunItem.problem == AccessDenied.key, False)
        query = (
            select(RunItem.run_id, func.array_agg(func.coalesce(RunItem.site_id, UNKNOWN_SITE).distinct()))
            .where(RunItem.run_id.in_(run_ids), RunItem.member_id == actor.member_id)
            .where(RunItem.state == ItemState.FAILED)
            .group_by(RunItem.run_id)
            .having(func.bool_and(for_rights))
        )
        with self._store.begin() as db:
            return {run_id: frozenset(sites) for run_id, sites in db.execute(query)}

    def only_titles(
        self, actor: Actor, views: Sequence[RunView], readable: Collection[int] | None = None
    ) -> dict[UUID, str]:
        """The title of its only page for each run of one page, as far as the actor asked for it or reads its site.

        readable  ids of the sites the actor reads; None when they may read every page of these runs
        """
        single = {view.run.id: view.run for view in views if view.total == 1}
        if not single:
            return {}
        with self._store.begin() as db:
            items = db.scalars(select(RunItem).where(RunItem.run_id.in_(single))).all()
        return {
            item.run_id: item.title
            for item in items
            if item.title
            if readable is None or single[item.run_id].created_by == actor.user_id or item.site_id in readable
        }

    def open_orders(self, actor: Actor) -> OpenOrders:
        """What is still to come on the portal, in one look."""
        query = select(Run.id, Run.state, Run.at, Run.doubt.is_not(None), Run.returns_run).where(
            Run.member_id == actor.member_id, Run.state.in_(OPEN_STATES)
        )
        with self._store.begin() as db:
            rows = db.execute(query.order_by(Run.id)).all()
        counted = {back for *_, back in rows if back is not None}  # with the half before it
        still = (RunState.SCHEDULED, RunState.WAITING)
        return OpenOrders(
            count=sum(state in still and run_id not in counted for run_id, state, _, _, _ in rows),
            moving=sum(state in (RunState.QUEUED, RunState.RUNNING) for _, state, _, _, _ in rows),
            troubled=sum(state is RunState.WAITING or doubtful for _, state, _, doubtful, _ in rows),
            version=digest(*(f"{run_id}{state}{at}{doubtful}" for run_id, state, at, doubtful, _ in rows)),
        )

    def under_way(self, actor: Actor) -> tuple[RunView, list[Run]] | None:
        """What is being done right now, and what of it is the person's own: of these the newest comes first, else the
        portal's newest. None for nothing.
        """
        own = or_(Run.created_by == actor.user_id, Run.acting_as == actor.user_id)
        moving = Run.state.in_((RunState.QUEUED, RunState.RUNNING))
        query = select(Run).where(Run.member_id == actor.member_id, moving)
        with self._store.begin() as db:
            runs = db.scalars(query.order_by(own.desc(), Run.created_at.desc(), Run.id).limit(MOST_UNDER_WAY)).all()
            if not runs:
                return None
            (view,) = views_of(db, actor, runs[:1], self._clock())
            return view, [run for run in runs if actor.user_id in (run.created_by, run.acting_as)]

    def among(self, actor: Actor, run_ids: Collection[UUID]) -> list[RunView]:
        """These runs, as far as they are the portal's, without items."""
        return self.matching(actor, Run.id.in_(run_ids), most=len(run_ids))

    def upcoming(self, actor: Actor, lids: Sequence[int] | None = None) -> dict[int, list[Upcoming]]:
        """For each page with runs still to come: what they will do, in order of time; of all pages, or of these."""
        with self._store.begin() as db:
            return _upcoming(db, actor, lids)

    def same(
        self, actor: Actor, action: Action, kind: Kind, lids: Sequence[int], at: datetime | None, until: datetime | None
    ) -> list[Run]:
        """Open runs of the portal with exactly these pages, this action and these times, the oldest first."""
        pages = select(RunItem.position).where(RunItem.run_id == Run.id)
        number = select(func.count()).where(RunItem.run_id == Run.id).scalar_subquery()
        alike = select(Run).where(
            Run.member_id == actor.member_id, Run.state.in_(OPEN_STATES), Run.action == action, Run.kind == kind,
            Run.at.is_not_distinct_from(at), Run.until.is_not_distinct_from(until),
        )  # fmt: skip
        alike = alike.where(number == len(lids), ~pages.where(RunItem.lid.not_in(lids)).exists())
        with self._store.begin() as db:
            return list(db.scalars(alike.order_by(Run.created_at)))

    def mark_seen(self, actor: Actor, run_id: UUID) -> None:
        """The actor saw how the run ended, so it is no news to them any more."""
        with self._store.begin() as db:
            see_end(run_of(db, actor, run_id, lock=True), actor.user_id)


def _window(db: Session, actor: Actor, run: Run) -> tuple[Run, set[UUID]]:
    """The order that began the run's window, and the ids of all runs of it."""
    back_id = run.returns_run or run.id
    both = or_(Run.id == back_id, Run.returns_run == back_id)
    order = (Run.returns_run.is_(None), Run.created_at, Run.id)
    runs = db.scalars(select(Run).where(Run.member_id == actor.member_id, both).order_by(*order)).all()
    return next(iter(runs), run), {each.id for each in runs} | {run.id, run.undoes or run.id}


def _behind(db: Session, actor: Actor, after: UUID | Place, wanted: RunFilter) -> ColumnElement[bool]:
    """What stands behind that run, in the order of the list."""
    if not wanted.as_history:
        last = run_of(db, actor, after.run_id if isinstance(after, Place) else after)
        return tuple_(Run.created_at, Run.id) < (last.created_at, last.id)
    place = after if isinstance(after, Place) else Place.of(run_of(db, actor, after))
    if place.finished_at is not None:
        return tuple_(Run.finished_at, Run.id) < (place.finished_at, place.run_id)
    still_open = and_(Run.finished_at.is_(None), tuple_(_happened_at(), Run.id) < (place.happened_at, place.run_id))
    return or_(still_open, Run.finished_at.is_not(None))


def _read(db: Session, run_id: UUID | None) -> Run | None:
    return None if run_id is None else db.get(Run, run_id)


def _count(run_id: UUID) -> Select[int]:
    return select(func.count()).select_from(RunItem).where(RunItem.run_id == run_id)


def _slice(db: Session, shown: Select[RunItem], after: int, limit: int) -> ItemSlice:
    """The items behind the position `after`; a cursor is the position before a screen's first item."""
    rows = db.scalars(shown.where(RunItem.position > after).order_by(RunItem.position).limit(limit + 1)).all()
    if after < 0 and len(rows) <= limit:
        return ItemSlice(items=rows, first=1 if rows else 0, total=len(rows))
    sizes = select(func.count(), func.count().filter(RunItem.position <= after))
    total, passed = db.execute(sizes.where(shown.whereclause)).one()  # type: ignore[arg-type]  # never without a where
    before = shown.with_only_columns(RunItem.position).where(RunItem.position <= after)
    start = db.scalar(before.order_by(RunItem.position.desc()).offset(limit).limit(1))
    return ItemSlice(
        items=rows[:limit],
        first=passed + 1 if rows else 0,
        total=total,
        next=str(rows[limit - 1].position) if len(rows) > limit else None,
        previous=None if passed == 0 else str(-1 if start is None else start),
    )


def _upcoming(db: Session, actor: Actor, lids: Sequence[int] | None) -> dict[int, list[Upcoming]]:
    """What scheduled runs will do to each page. Of the windows that are open over it only the last one's end counts,
    and no return that leaves the page as it is.
    """
    returns = or_(RunItem.baseline.is_(None), RunItem.baseline == (Run.action == Action.PUBLISH))
    of_these = () if lids is None else (RunItem.lid.in_(lids),)
    rows = db.execute(
        select(
            RunItem.lid,
            RunItem.baseline,
            Run.id,
            Run.action,
            Run.at,
            Run.created_name,
            Run.created_at,
            Run.is_return,
            Run.undoes,
        )
        .join(Run, Run.id == RunItem.run_id)
        .where(Run.member_id == actor.member_id, Run.state == RunState.SCHEDULED, returns)
        .where(RunItem.member_id == actor.member_id, RunItem.state.in_(TO_COME), *of_these)
        .order_by(Run.at, Run.created_at)
    )
    found: dict[int, list[Upcoming]] = {}
    ends: dict[tuple[int, Action], Upcoming] = {}
    for lid, baseline, run_id, action, at, name, ordered_at, is_return, undoes in rows:
        if at is None:
            continue
        each = Upcoming(run_id, action, at, name, ordered_at, is_return, undoes if is_return else None)
        found.setdefault(lid, []).append(each)
        if baseline is not None and (earlier := ends.get((lid, action))):
            found[lid].remove(earlier)
        if baseline is not None:
            ends[lid, action] = each
    return found


def _keepers(db: Session, actor: Actor, items: Sequence[RunItem]) -> dict[UUID, Run]:
    named = {item.kept_by for item in items if item.kept_by is not None}
    if not named:
        return {}
    return {run.id: run for run in db.scalars(select(Run).where(Run.member_id == actor.member_id, Run.id.in_(named)))}


def views_of(db: Session, actor: Actor, runs: Sequence[Run], now: datetime) -> list[RunView]:
    """Runs as a list shows them: without items."""
    if not runs:
        return []
    ids = [run.id for run in runs]
    counts = counts_of(db, runs)
    undone = set(db.scalars(select(Run.undoes).where(Run.undoes.in_(ids), IS_UNDOING)))
    turned_back, tried_again = _undone(db, ids), retried(db, counts)
    return [
        RunView(
            run, counts[run.id], can=can_be_done(run, counts[run.id], actor, run.id in undone, now),
            undone=turned_back.get(run.id), retried=tried_again.get(run.id),
        )
        for run in runs
    ]  # fmt: skip


def _undone(db: Session, run_ids: Sequence[UUID]) -> dict[UUID, Undone]:
    """Of these runs, those that somebody undid or is undoing. A retry of an undo counts to it."""
    begun = or_(Run.state.in_(OPEN_STATES), DID_SOMETHING)
    query = select(Run).where(Run.undoes.in_(run_ids), ~Run.is_return, begun).order_by(Run.created_at, Run.id)
    undos = db.scalars(query).all()
    counts = counts_of(db, undos)
    found: dict[UUID, Undone] = {}
    for undo in undos:
        if undo.state.is_final and not counts[undo.id][ItemState.SUCCEEDED]:
            continue
        assert undo.undoes is not None  # noqa: S101  asked for
        before = found.get(undo.undoes)
        pages = counts[undo.id][ItemState.SUCCEEDED] + (before.pages if before else 0)
        found[undo.undoes] = Undone(undo, pages, undo.state in (RunState.QUEUED, RunState.RUNNING))
    return found


def counts_of(db: Session, runs: Sequence[Run]) -> dict[UUID, dict[ItemState, int]]:
    """How many items of each run are in each state: as counted when it had ended, else from the items."""
    counts = {run.id: dict.fromkeys(ItemState, 0) for run in runs}
    for run in runs:
        counts[run.id] |= {ItemState(word): number for word, number in (run.tally or {}).items()}
    rest = [run.id for run in runs if run.tally is None]
    if not rest:
        return counts
    query = select(RunItem.run_id, RunItem.state, func.count()).where(RunItem.run_id.in_(rest))
    for run_id, state, number in db.execute(query.group_by(RunItem.run_id, RunItem.state)):
        counts[run_id][state] = number
    return counts
