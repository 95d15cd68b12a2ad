"""Runs: plan an order, look at it, cancel, retry, undo.

A run and its job are written in one transaction, so neither exists without the other. What a run did stays; a retry or
an undo is a new run that names the old one.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, delete, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from b24app.clock import Clock
from b24app.errors import (
    BadForm,
    KeyReused,
    NotFound,
    NothingToBringBack,
    NotPossibleNow,
    Problem,
    PublishTooLate,
    RecordedProblem,
    SessionExpired,
)
from b24app.moments import Moment
from b24app.pages import Page
from b24app.store.db import Store
from b24app.store.models import Portal, Run, RunItem
from b24app.store.queue import Queue
from b24app.terms import N_, OPEN_STATES, Action, Actor, ItemState, Kind, RunState

SAFETY = timedelta(seconds=60)  # when a worker looks after a run that a web process took on
LAST_BATCH = timedelta(minutes=2)  # longer than a batch can be under way
MOST_PAGES = 5000
IS_UNDOING = Run.state.not_in((RunState.CANCELLED, RunState.FAILED, RunState.SCHEDULED))
OPPOSITE = {Action.UNPUBLISH: Action.PUBLISH, Action.PUBLISH: Action.UNPUBLISH}


@dataclass(frozen=True)
class Order:
    """What a person asks for; the same order gives the same digest."""

    action: Action
    kind: Kind
    lids: tuple[int, ...]
    at: Moment | None = None
    until: Moment | None = None
    zone: str | None = None
    reason: str | None = None

    def digest(self) -> str:
        """SHA-256 over everything that matters: tells whether a repeated Idempotency-Key brings the same order."""
        at, until = (moment and (moment.wall or moment.instant.isoformat()) for moment in (self.at, self.until))
        facts = [self.action, self.kind, sorted(self.lids), at, until, self.zone, self.reason]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @property
    def is_one_page_now(self) -> bool:
        """Done while the person waits."""
        return self.at is None and len(self.lids) == 1


@dataclass(frozen=True)
class ItemScreen:
    """One screen of a run's pages: where it begins (from 1), how many there are, and where its neighbours begin."""

    items: Sequence[RunItem] = ()
    first: int = 0
    total: int = 0
    next: str | None = None
    previous: str | None = None


@dataclass(frozen=True)
class Coming:
    """One thing that is still to happen to a page."""

    run_id: UUID
    action: Action
    at: datetime
    by: str


@dataclass(frozen=True)
class RunView:
    """One run as somebody sees it; `screen` is one of those pages they may read, `hidden` counts the others."""

    run: Run
    counts: Mapping[ItemState, int]
    screen: ItemScreen = field(default_factory=ItemScreen)
    hidden: int = 0
    can: Sequence[str] = field(default=())
    coming: Mapping[int, Sequence[Coming]] = field(default_factory=dict)  # what is still to happen to the items' pages
    settling: bool = False  # stopped, but its last batch is still under way

    @property
    def total(self) -> int:
        """All pages of the run."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class RunFilter:
    """Which runs of the portal to list, newest first."""

    states: tuple[RunState, ...] = ()
    lid: int | None = None
    user_id: int | None = None
    since: datetime | None = None
    before: datetime | None = None
    after: UUID | None = None
    limit: int = 20


class Runs:
    """Plans and remembers runs. Every query goes through the actor's portal."""

    def __init__(self, store: Store, queue: Queue, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._clock = clock

    # --- planning --------------------------------------------------------------------------------------------------

    def plan(self, actor: Actor, order: Order, known: Mapping[int, Page], key: str | None = None) -> tuple[UUID, bool]:
        """Write the run with its items and job; False when this key has already brought the very same order.

        known  pages of the list the person saw: gives titles, and what was published before. Raises KeyReused.
        """
        items = [_item(position, lid, known.get(lid)) for position, lid in enumerate(order.lids)]
        run = self._run(actor, order, key)
        if order.is_one_page_now:
            run.state, run.started_at = RunState.RUNNING, self._clock()
        try:
            with self._store.begin() as db:
                earlier = self._by_key(db, actor, key)
                if earlier is not None:
                    return _same_order(earlier, order), False
                self._write(db, actor, run, items, order)
        except IntegrityError:
            with self._store.begin() as db:
                earlier = self._by_key(db, actor, key)
            if earlier is None:
                raise
            return _same_order(earlier, order), False
        return run.id, True

    def _write(self, db: Session, actor: Actor, run: Run, items: list[RunItem], order: Order) -> None:
        """Raises SessionExpired where the app was removed a moment ago: the order must not outlive it."""
        portal = db.get(Portal, actor.member_id, with_for_update={"read": True, "key_share": True})
        if portal is None or not portal.is_open:
            raise SessionExpired()
        db.add(run)
        db.flush()
        if order.until is not None:
            run.returns_run = self._return_run(db, actor, run, items, order).id
        db.add_all(_of(run, items))
        db.flush()
        self._enqueue(db, run)

    def _enqueue(self, db: Session, run: Run) -> None:
        if run.state is RunState.SCHEDULED:
            self._queue.begin(db, run.id, at=run.at)
        elif run.state is RunState.RUNNING:
            self._queue.ensure(db, run.id, at=self._clock() + SAFETY)
        else:
            self._queue.step(db, run.id, run.member_id)

    def _return_run(self, db: Session, actor: Actor, run: Run, items: list[RunItem], order: Order) -> Run:
        """The linked run that brings back at `until` what the first really took away."""
        back = self._run(actor, order, None)
        back.action, back.state, back.undoes = OPPOSITE[order.action], RunState.SCHEDULED, run.id
        assert order.until is not None  # noqa: S101  the caller asked
        back.at, back.at_wall, back.until, back.until_wall = order.until.instant, order.until.wall, None, None
        db.add(back)
        db.flush()
        db.add_all(_of(back, [_copy(item.position, item, None, undo=False) for item in items]))
        self._queue.begin(db, back.id, at=back.at)
        return back

    def _run(self, actor: Actor, order: Order, key: str | None) -> Run:
        return Run(
            member_id=actor.member_id,
            action=order.action,
            kind=order.kind,
            state=RunState.SCHEDULED if order.at else RunState.QUEUED,
            at=order.at and order.at.instant,
            at_wall=order.at and order.at.wall,
            until=order.until and order.until.instant,
            until_wall=order.until and order.until.wall,
            zone=order.zone,
            reason=order.reason,
            created_by=actor.user_id,
            created_name=actor.name,
            acting_as=actor.user_id,
            acting_name=actor.name,
            created_at=self._clock(),
            checked_at=self._clock(),
            step=0,
            tries=0,
            idempotency_key=key,
            order_sha256=order.digest() if key else None,
        )

    def _by_key(self, db: Session, actor: Actor, key: str | None) -> Run | None:
        if key is None:
            return None
        return db.scalar(
            select(Run).where(
                Run.member_id == actor.member_id, Run.created_by == actor.user_id, Run.idempotency_key == key
            )
        )

    def withdraw(self, run_id: UUID) -> None:
        """Take back a run whose only call failed as a call: nothing was done, so nothing is kept, nor its return."""
        with self._store.begin() as db:
            db.execute(delete(Run).where(Run.id.in_(select(Run.returns_run).where(Run.id == run_id))))
            db.execute(delete(Run).where(Run.id == run_id))

    # --- looking ---------------------------------------------------------------------------------------------------

    def get(self, actor: Actor, run_id: UUID) -> Run:
        """One run of the actor's portal. Raises NotFound, also for another portal's."""
        with self._store.begin() as db:
            return self._get(db, actor, run_id)

    def _get(self, db: Session, actor: Actor, run_id: UUID, *, lock: bool = False) -> Run:
        query = select(Run).where(Run.member_id == actor.member_id, Run.id == run_id)
        run = db.scalar(query.with_for_update() if lock else query)
        if run is None:
            raise NotFound()
        return run

    def view(
        self, actor: Actor, run_id: UUID, readable: frozenset[int] | None, *, failed_only: bool = False,
        after: int = -1, limit: int = 200,
    ) -> RunView:  # fmt: skip
        """One run with a screen of its items.

        readable  ids of the sites this person reads; None for the asker, who sees every item of their own order
        """
        with self._store.begin() as db:
            run = self._get(db, actor, run_id)
            counts = _counts(db, [run.id])[run.id]
            shown = select(RunItem).where(RunItem.run_id == run.id)
            hidden = 0
            if readable is not None:
                seen = RunItem.site_id.in_(readable)
                hidden = sum(counts.values()) - (db.scalar(_count(run.id).where(seen)) or 0)
                shown = shown.where(seen)
            if failed_only:
                shown = shown.where(RunItem.state == ItemState.FAILED)
            screen = _screen(db, shown, after, limit)
            undone = self._is_undone(db, run)
            coming = _coming(db, actor, [item.lid for item in screen.items])
        settling = self._is_settling(run, counts)
        can = () if settling else _can(run, counts, actor, undone)
        return RunView(run, counts, screen, hidden, can, coming=coming, settling=settling)

    def _is_settling(self, run: Run, counts: Mapping[ItemState, int]) -> bool:
        """The run was stopped and its last batch is still under way: what it changed is not known yet."""
        since = run.finished_at or self._clock()
        return run.state.is_final and counts[ItemState.RUNNING] > 0 and self._clock() - since < LAST_BATCH

    def sites_of(self, actor: Actor, run_id: UUID) -> frozenset[int]:
        """Ids of the sites whose pages are in the run, as far as they are known."""
        with self._store.begin() as db:
            run = self._get(db, actor, run_id)
            mine = RunItem.run_id.in_([run_id for run_id in (run.id, run.undoes) if run_id is not None])
            sites = db.scalars(select(RunItem.site_id).where(mine).distinct())
            return frozenset(site for site in sites if site is not None)

    def listed(self, actor: Actor, wanted: RunFilter) -> tuple[list[RunView], UUID | None]:
        """Runs of the portal, newest first, without items; and where the next screen begins."""
        with self._store.begin() as db:
            query = self._filtered(select(Run).where(Run.member_id == actor.member_id), wanted)
            if wanted.after is not None:
                last = self._get(db, actor, wanted.after)
                query = query.where(
                    or_(Run.created_at < last.created_at, and_(Run.created_at == last.created_at, Run.id < last.id))
                )
            rows = db.scalars(query.order_by(Run.created_at.desc(), Run.id.desc()).limit(wanted.limit + 1)).all()
            views = _views(db, actor, rows[: wanted.limit])
        return views, views[-1].run.id if len(rows) > wanted.limit else None

    def matching(self, actor: Actor, *conditions: ColumnElement[bool], most: int) -> list[RunView]:
        """Runs of the portal for which all conditions hold, without items, the last ended first."""
        query = select(Run).where(Run.member_id == actor.member_id, *conditions)
        with self._store.begin() as db:
            order = (Run.finished_at.desc().nulls_first(), Run.at.desc().nulls_last())
            return _views(db, actor, db.scalars(query.order_by(*order).limit(most)).all())

    def _filtered(self, query: Select[Run], wanted: RunFilter) -> Select[Run]:
        if wanted.states:
            query = query.where(Run.state.in_(wanted.states))
        if wanted.lid is not None:
            query = query.where(Run.id.in_(select(RunItem.run_id).where(RunItem.lid == wanted.lid)))
        if wanted.user_id is not None:
            query = query.where(Run.created_by == wanted.user_id)
        if wanted.since is not None:
            query = query.where(Run.created_at >= wanted.since)
        if wanted.before is not None:
            query = query.where(Run.created_at < wanted.before)
        return query

    def only_titles(
        self, actor: Actor, views: Sequence[RunView], readable: Collection[int] | None = None
    ) -> dict[UUID, str]:
        """The title of its only page for each run of one page, as far as the actor asked for it or reads its site.

        readable  ids of the sites the actor reads; None when they may read every page of these runs
        """
        single = {view.run.id: view.run for view in views if view.total == 1}
        with self._store.begin() as db:
            items = db.scalars(select(RunItem).where(RunItem.run_id.in_(single))).all()
        return {
            item.run_id: item.title
            for item in items
            if item.title
            if readable is None or single[item.run_id].created_by == actor.user_id or item.site_id in readable
        }

    def scheduled_count(self, actor: Actor) -> int:
        """How many runs of the portal have their time still before them, or wait for a person."""
        open_states = (RunState.SCHEDULED, RunState.WAITING)
        with self._store.begin() as db:
            query = select(func.count()).select_from(Run)
            return db.scalar(query.where(Run.member_id == actor.member_id, Run.state.in_(open_states))) or 0

    def coming(self, actor: Actor, lids: Sequence[int]) -> dict[int, list[Coming]]:
        """For each page with runs still to come: what they will do, in order of time."""
        with self._store.begin() as db:
            return _coming(db, actor, lids)

    def told(self, actor: Actor, run_id: UUID) -> None:
        """The actor saw how the run ended, so it is no news to them any more."""
        with self._store.begin() as db:
            run = self._get(db, actor, run_id, lock=True)
            run.told_to = sorted({*run.told_to, actor.user_id})

    # --- changing one's mind ---------------------------------------------------------------------------------------

    def cancel(self, actor: Actor, run_id: UUID) -> None:
        """Stop: items not yet sent stay undone. Raises NotPossibleNow for a run that has ended.

        A return run can be cancelled alone. A first run that did nothing takes its return along.
        """
        with self._store.begin() as db:
            run, first, back = pair(db, self._get(db, actor, run_id).id)
            if run.state.is_final:
                raise NotPossibleNow()
            end(db, run, RunState.CANCELLED, self._clock())
            if back is not None:
                drop_idle_return(db, run, back, self._clock())
            if first is not None:
                first.until = first.until_wall = None

    def move(self, actor: Actor, run_id: UUID, at: Moment, zone: str | None) -> None:
        """Another time for a scheduled run; of "down until" either end. Raises NotPossibleNow when it has begun.

        zone  in which a local `at` was said, or the person wishes to see it
        """
        with self._store.begin() as db:
            run, first, back = pair(db, self._get(db, actor, run_id).id)
            if run.state is not RunState.SCHEDULED:
                raise NotPossibleNow()
            ends = back.at if back is not None and back.state is RunState.SCHEDULED else None
            begins = first.at if first is not None and first.state is RunState.SCHEDULED else None
            if (ends and ends <= at.instant) or (begins and at.instant <= begins):
                raise BadForm(words=N_("The pages would come back before they go down. Nothing was moved."))
            run.at, run.at_wall, run.zone = at.instant, at.wall, zone or run.zone
            if first is not None:
                first.until, first.until_wall = at.instant, at.wall
            self._queue.begin_instead(db, run.id, at=run.at)

    def retry(self, actor: Actor, run_id: UUID, readable: Collection[int] | None) -> tuple[UUID, bool]:
        """A new run, as the actor, over the pages that failed; True when it is to be done while the person waits.

        readable  ids of the sites the actor reads, None for all: of other pages the new run knows no more than numbers
        Raises NotPossibleNow when there are none.
        """
        return self._again(actor, run_id, ItemState.FAILED, readable, undo=False)

    def undo(self, actor: Actor, run_id: UUID, readable: Collection[int] | None) -> tuple[UUID, bool]:
        """As `retry`, but turns back exactly what this run changed and nobody changed since."""
        return self._again(actor, run_id, ItemState.SUCCEEDED, readable, undo=True)

    def _again(
        self, actor: Actor, run_id: UUID, which: ItemState, readable: Collection[int] | None, *, undo: bool
    ) -> tuple[UUID, bool]:
        with self._store.begin() as db:
            old = self._get(db, actor, run_id, lock=True)
            if not old.state.is_final or (undo and self._is_undone(db, old)):
                raise NotPossibleNow()
            if self._is_settling(old, _counts(db, [old.id])[old.id]):
                raise NotPossibleNow(words=N_("Its last pages are still under way. Nothing was changed by you."))
            rows = db.scalars(
                select(RunItem).where(RunItem.run_id == old.id, RunItem.state == which).order_by(RunItem.position)
            ).all()
            if not rows:
                raise NotPossibleNow()
            order = Order(OPPOSITE[old.action] if undo else old.action, old.kind, tuple(row.lid for row in rows))
            run = self._run(actor, order, None)
            run.undoes, run.retries = (old.id, None) if undo else (None, old.id)
            if order.is_one_page_now:
                run.state, run.started_at = RunState.RUNNING, self._clock()
            items = [_copy(position, row, readable, undo=undo) for position, row in enumerate(rows)]
            self._write(db, actor, run, items, order)
            return run.id, order.is_one_page_now

    def _is_undone(self, db: Session, run: Run) -> bool:
        return db.scalar(select(Run.id).where(Run.undoes == run.id, IS_UNDOING).limit(1)) is not None


def lock_runs(db: Session, member_id: str, states: Collection[RunState] = OPEN_STATES) -> None:
    """Hold the portal's open runs, or those in some states: firsts before their returns, as everybody takes them."""
    held = select(Run.id).where(Run.member_id == member_id, Run.state.in_(states))
    db.scalars(held.order_by(Run.returns_run.is_(None), Run.id).with_for_update()).all()


def pair(db: Session, run_id: UUID) -> tuple[Run, Run | None, Run | None]:
    """The run, locked, with the first run it is the return of and the return run it has, as far as there are any.

    Always locked in one order, the first before its return, so that two who meet here never wait for each other.
    """
    back_id = select(Run.returns_run).where(Run.id == run_id).scalar_subquery()
    both = or_(Run.id == run_id, Run.id == back_id, Run.returns_run == run_id)
    query = select(Run).where(both).order_by(Run.returns_run.is_(None)).with_for_update()
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


def _item(position: int, lid: int, page: Page | None) -> RunItem:
    if page is None:
        return RunItem(position=position, lid=lid, state=ItemState.PENDING, title="", site="")
    before = {"active": page.published, "site_active": page.site_active, "planned": True}
    return RunItem(
        position=position, lid=lid, state=ItemState.PENDING, title=page.title, site=page.site, site_id=page.site_id,
        before=before,
    )  # fmt: skip


def _copy(position: int, row: RunItem, readable: Collection[int] | None, *, undo: bool) -> RunItem:
    shown = readable is None or row.site_id in readable
    return RunItem(
        position=position, lid=row.lid, state=ItemState.PENDING, title=row.title if shown else "",
        site=row.site if shown else "", site_id=row.site_id,
        expected=row.after if undo else None,
    )  # fmt: skip


def _of(run: Run, items: list[RunItem]) -> list[RunItem]:
    for item in items:
        item.run_id = run.id
    return items


def _same_order(earlier: Run, order: Order) -> UUID:
    if earlier.order_sha256 != order.digest():
        raise KeyReused()
    return earlier.id


def _count(run_id: UUID) -> Select[int]:
    return select(func.count()).select_from(RunItem).where(RunItem.run_id == run_id)


def _screen(db: Session, shown: Select[RunItem], after: int, limit: int) -> ItemScreen:
    """The items behind the position `after`; a cursor is the position before a screen's first item."""
    rows = db.scalars(shown.where(RunItem.position > after).order_by(RunItem.position).limit(limit + 1)).all()
    if after < 0 and len(rows) <= limit:
        return ItemScreen(items=rows, first=1 if rows else 0, total=len(rows))
    sizes = select(func.count(), func.count().filter(RunItem.position <= after))
    total, passed = db.execute(sizes.where(shown.whereclause)).one()  # type: ignore[arg-type]  # never without a where
    before = shown.with_only_columns(RunItem.position).where(RunItem.position <= after)
    start = db.scalar(before.order_by(RunItem.position.desc()).offset(limit).limit(1))
    return ItemScreen(
        items=rows[:limit],
        first=passed + 1 if rows else 0,
        total=total,
        next=str(rows[limit - 1].position) if len(rows) > limit else None,
        previous=None if passed == 0 else str(-1 if start is None else start),
    )


def _coming(db: Session, actor: Actor, lids: Sequence[int]) -> dict[int, list[Coming]]:
    rows = db.execute(
        select(RunItem.lid, Run.id, Run.action, Run.at, Run.created_name)
        .join(Run, Run.id == RunItem.run_id)
        .where(Run.member_id == actor.member_id, Run.state == RunState.SCHEDULED, RunItem.lid.in_(lids))
        .order_by(Run.at, Run.created_at)
    )
    found: dict[int, list[Coming]] = {}
    for lid, run_id, action, at, name in rows:
        if at is not None:
            found.setdefault(lid, []).append(Coming(run_id, action, at, name))
    return found


def _views(db: Session, actor: Actor, runs: Sequence[Run]) -> list[RunView]:
    """Runs as a list shows them: without items."""
    ids = [run.id for run in runs]
    counts = _counts(db, ids)
    undone = set(db.scalars(select(Run.undoes).where(Run.undoes.in_(ids), IS_UNDOING)))
    return [RunView(run, counts[run.id], can=_can(run, counts[run.id], actor, run.id in undone)) for run in runs]


def _counts(db: Session, run_ids: Sequence[UUID]) -> dict[UUID, dict[ItemState, int]]:
    counts = {run_id: dict.fromkeys(ItemState, 0) for run_id in run_ids}
    query = select(RunItem.run_id, RunItem.state, func.count()).where(RunItem.run_id.in_(run_ids))
    for run_id, state, number in db.execute(query.group_by(RunItem.run_id, RunItem.state)):
        counts[run_id][state] = number
    return counts


def _can(run: Run, counts: Mapping[ItemState, int], actor: Actor, undone: bool) -> tuple[str, ...]:
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
