"""Orders: place one, cancel, move, change, retry, undo.

A run and its job are written in one transaction, so neither exists without the other. What a run did stays; a retry or
an undo is a new run that names the old one.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from b24app import zones
from b24app.clock import Clock
from b24app.domain import N_, Action, Actor, ItemState, Kind, RunState
from b24app.errors import BadForm, IdempotencyKeyReused, NotAllowed, NotPossibleNow, SessionExpired
from b24app.pages.lists import Page, PageList, Pages
from b24app.runs import quotas, windows
from b24app.runs.executor import Executor
from b24app.runs.local_time import ScheduledTime, days_on, sure
from b24app.runs.queries import counts_of
from b24app.runs.states import (
    ALREADY_UNDONE,
    OPPOSITE,
    Halves,
    drop_idle_return,
    end,
    is_past_its_end,
    is_settling,
    is_undone,
    moved_on,
    pair,
    run_of,
    see_end,
)
from b24app.store.db import Store, repeated
from b24app.store.models import Portal, Run, RunItem
from b24app.store.queue import Queue

SAFETY = timedelta(seconds=60)  # when a worker looks after a run that a web process took on
MOST_PAGES = 5000
KEY_TRIES = 5
NOTHING_TO_UNDO = N_("It changed no page, so there is nothing to undo.")
NOTHING_TO_RETRY = N_("No page of it failed, so there is nothing to retry.")


@dataclass(frozen=True)
class Order:
    """What a person asks for."""

    action: Action
    kind: Kind
    lids: tuple[int, ...]
    at: ScheduledTime | None = None
    until: ScheduledTime | None = None
    zone: str | None = None
    reason: str | None = None
    name: str | None = None

    @property
    def is_one_page_now(self) -> bool:
        """Done while the person waits."""
        return self.at is None and len(self.lids) == 1


@dataclass(frozen=True)
class Change:
    """What a person wants otherwise of a scheduled order. None leaves a text as it is, an empty one takes it away."""

    name: str | None = None
    reason: str | None = None
    add: tuple[int, ...] = ()
    remove: frozenset[int] = frozenset()

    @property
    def is_about_pages(self) -> bool:
        """Pages come or go."""
        return bool(self.add or self.remove)


@dataclass(frozen=True)
class IdempotencyKey:
    """Under which a caller may send an order again; `digest` tells whether it is the same one, whatever the time is."""

    value: str
    digest: str


class Orders:
    """Writes runs and changes them. Every query goes through the actor's portal."""

    def __init__(self, store: Store, queue: Queue, pages: Pages, executor: Executor, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._pages = pages
        self._executor = executor
        self._clock = clock

    # --- placing ---------------------------------------------------------------------------------------------------

    def placed(self, actor: Actor, key: IdempotencyKey) -> UUID | None:
        """The run that this key has already brought, though its time may be over. Raises IdempotencyKeyReused."""
        with self._store.begin() as db:
            return _same_order(self._by_key(db, actor, key), key)

    def place(self, actor: Actor, order: Order, key: IdempotencyKey | None = None) -> tuple[UUID, bool]:
        """Place an order and, for one page now, carry it out; False when this key has already brought the same order.

        Raises IdempotencyKeyReused, and a PortalError when the only call of one page now failed as a call.
        """
        listed = self._pages.kept(actor, order.kind)
        if listed is None and not order.is_one_page_now:
            listed = self._pages.all_of(actor, order.kind)
        run_id, is_new = self._plan(actor, order, listed, key)
        if is_new and order.is_one_page_now:
            self._executor.run_now(run_id)
        return run_id, is_new

    @repeated
    def _plan(
        self, actor: Actor, order: Order, listed: PageList | None, key: IdempotencyKey | None = None
    ) -> tuple[UUID, bool]:
        """Write the run with its items and job; False when this key has already brought the very same order.

        listed  the pages the person saw: gives titles, and what was published before
        Raises IdempotencyKeyReused.
        """
        for _ in range(KEY_TRIES):
            try:
                return self._planned(actor, order, listed, key)
            except IntegrityError:  # another request with this key was written at the same moment
                if key is None:
                    raise
                earlier = self.placed(actor, key)
                if earlier is not None:
                    return earlier, False
        raise NotPossibleNow()  # each time the other one was withdrawn before we saw it

    def _planned(
        self, actor: Actor, order: Order, listed: PageList | None, key: IdempotencyKey | None
    ) -> tuple[UUID, bool]:
        known, read_at = (listed.by_lid(), listed.read_at) if listed else ({}, self._clock())
        items = [_item(position, lid, known.get(lid), read_at) for position, lid in enumerate(order.lids)]
        run = self._run(actor, order, key)
        if order.is_one_page_now:
            run.state, run.started_at = RunState.RUNNING, self._clock()
        with self._store.begin() as db:
            earlier = _same_order(self._by_key(db, actor, key), key)
            if earlier is not None:
                return earlier, False
            self._write(db, actor, run, items, order)
        return run.id, True

    def _write(self, db: Session, actor: Actor, run: Run, items: list[RunItem], order: Order) -> None:
        """Raises SessionExpired where the app was removed a moment ago: the order must not outlive it; and
        TooManyOrders.
        """
        self._hold_open(db, actor)
        quotas.check(db, actor.member_id, len(items), self._clock())
        run.pages = len(items)
        db.add(run)
        db.flush()
        if order.until is not None:
            run.returns_run = self._return_run(db, actor, run, items, order).id
        db.add_all(_of(run, items))
        db.flush()
        self._enqueue(db, run)

    def _hold_open(self, db: Session, actor: Actor) -> None:
        """Hold the portal as it is, before any run: FOR SHARE, which others who order may, too, and a removal may not.

        Raises SessionExpired where the app was removed, or removed and installed anew, since the session began.
        """
        portal = db.get(Portal, actor.member_id, with_for_update={"read": True}, populate_existing=True)
        if portal is None or not portal.is_open:
            raise SessionExpired()
        if actor.portal_epoch not in (None, portal.epoch):
            raise SessionExpired()

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
        back.action, back.state, back.undoes, back.is_return = OPPOSITE[run.action], RunState.SCHEDULED, run.id, True
        assert order.until is not None  # noqa: S101  the caller asked
        back.at, back.at_wall, back.until, back.until_wall = order.until.instant, order.until.wall_time, None, None
        back.pages = len(items)
        db.add(back)
        db.flush()
        db.add_all(_of(back, [_copy(item.position, item, None) for item in items]))
        self._queue.begin(db, back.id, at=back.at)
        return back

    def _run(self, actor: Actor, order: Order, key: IdempotencyKey | None) -> Run:
        return Run(
            member_id=actor.member_id,
            action=order.action,
            kind=order.kind,
            state=RunState.SCHEDULED if order.at else RunState.QUEUED,
            at=order.at and order.at.instant,
            at_wall=order.at and order.at.wall_time,
            until=order.until and order.until.instant,
            until_wall=order.until and order.until.wall_time,
            zone=order.zone,
            name=order.name,
            reason=order.reason,
            created_by=actor.user_id,
            created_name=actor.name,
            acting_as=actor.user_id,
            acting_name=actor.name,
            created_at=self._clock(),
            checked_at=self._clock(),
            step=0,
            tries=0,
            idempotency_key=key and key.value,
            order_sha256=key and key.digest,
        )

    def _by_key(self, db: Session, actor: Actor, key: IdempotencyKey | None) -> Run | None:
        if key is None:
            return None
        return db.scalar(
            select(Run).where(
                Run.member_id == actor.member_id, Run.created_by == actor.user_id, Run.idempotency_key == key.value
            )
        )

    # --- changing one's mind ---------------------------------------------------------------------------------------

    @repeated
    def cancel(self, actor: Actor, run_id: UUID) -> None:
        """Stop: items not yet sent stay undone. Raises NotPossibleNow for a run that has ended.

        A return cancelled alone leaves the pages as they are, for good. A first run that did nothing takes its return
        along.
        """
        now = self._clock()
        with self._store.begin() as db:
            halves = pair(db, run_of(db, actor, run_id).id)
            run, back = halves.run, halves.back
            if run.state.is_final:
                raise moved_on(run)
            if back is not None and halves.is_return:
                windows.keep_without_end(db, halves.first, back)
                for first in halves.firsts:
                    first.until = first.until_wall = None
            end(db, run, RunState.CANCELLED, now)
            run.cancelled_by, run.cancelled_name = actor.user_id, actor.name
            if back is not None and all(first.state.is_final for first in halves.firsts):
                drop_idle_return(db, back, now)
            for each in filter(None, (run, back)):
                if each.state.is_final:
                    see_end(each, actor.user_id)

    @repeated
    def move(
        self, actor: Actor, run_id: UUID, at: ScheduledTime | None, until: ScheduledTime | None, zone: str | None
    ) -> None:
        """Another time for what is scheduled; of a "down until" either end, by whichever half it is asked.

        at     when it begins, until: when its pages come back; None leaves it as it is
        zone   in which a local time was said, or the person wishes to see it
        Raises NotPossibleNow when that end has begun, BadForm when the two would change places.
        """
        with self._store.begin() as db:
            self._set_ends(db, pair(db, run_of(db, actor, run_id).id), at, until, zone)

    @repeated
    def shift(self, actor: Actor, run_id: UUID, days: int) -> None:
        """Both ends, as far as they are still to come, by so many days, each in its own zone: see `shifted`.

        Raises NotPossibleNow when neither is, and BadForm as `sure` and `move`.
        """
        with self._store.begin() as db:
            halves = pair(db, run_of(db, actor, run_id).id)
            at = shifted(halves.first, days, actor.zone)
            until = None if halves.back is None else shifted(halves.back, days, actor.zone)
            if halves.is_joined or (at is None and until is None):
                raise moved_on(halves.run)
            for when in filter(None, (at, until)):
                sure(when, self._clock())
            self._set_ends(db, halves, at, until, None)

    def _set_ends(
        self, db: Session, halves: Halves, at: ScheduledTime | None, until: ScheduledTime | None, zone: str | None
    ) -> None:
        first, back = halves.first, halves.back
        if until is not None and back is None:
            raise BadForm(detail=N_("These pages have no time to come back. Nothing was rescheduled."))
        for half, wanted in ((first, at), (back, until)):
            if wanted and half is not None and half.state is not RunState.SCHEDULED:
                raise moved_on(half)
        # An end that stays keeps the zone it was set in.
        at = None if at and at.instant == first.at else at
        until = None if until and back is not None and until.instant == back.at else until
        begins = at.instant if at else first.at
        ends = until.instant if until else back and back.state is RunState.SCHEDULED and back.at
        if begins and ends and ends <= begins:
            raise BadForm(detail=N_("The return must be later than the take-down. Nothing was rescheduled."))
        if at is not None:
            self._set_for(db, first, at, zone)
        if until is not None and back is not None:
            self._set_for(db, back, until, zone)
            for each in halves.firsts:
                each.until, each.until_wall = until.instant, until.wall_time

    def change(self, actor: Actor, run_id: UUID, wanted: Change) -> None:
        """Another name, another reason, pages more or less, of what is scheduled; both halves of a "down until" alike.

        Pages are changed while the first half has not begun. Somebody else's rights do the work, so who is not the one
        it acts as adds only what they may change themselves.
        Raises NotPossibleNow, NotAllowed, TooManyOrders, and BadForm where no page would be left, or too many.
        """
        with self._store.begin() as db:
            kind = run_of(db, actor, run_id).kind
        known = self._pages.all_of(actor, kind) if wanted.add else None
        self._change(actor, run_id, wanted, known)

    @repeated
    def _change(self, actor: Actor, run_id: UUID, wanted: Change, known: PageList | None) -> None:
        with self._store.begin() as db:
            self._hold_open(db, actor)
            halves = pair(db, run_of(db, actor, run_id).id)
            first = halves.first
            if halves.run.state is not RunState.SCHEDULED:
                raise moved_on(halves.run)
            if wanted.is_about_pages:
                if first.state is not RunState.SCHEDULED or not all(r.state is RunState.SCHEDULED for r in halves.open):
                    raise NotPossibleNow(
                        detail=N_("Its pages have already been unpublished or published. Nothing was changed.")
                    )
                new = self._added(db, actor, first, wanted, known)
                if new:
                    quotas.count_added(first, len(new), self._clock())
                for run in halves.open:  # a return that was cancelled alone stays as it ended
                    _change_items(db, run, wanted.remove, new)
                    run.checked_at = None  # whether it would go is asked anew
            for run in halves.open:
                run.name = run.name if wanted.name is None else wanted.name or None
                run.reason = run.reason if wanted.reason is None else wanted.reason or None

    def _added(
        self, db: Session, actor: Actor, first: Run, wanted: Change, known: PageList | None
    ) -> Sequence[RunItem]:
        """The items of the pages that come to it, once it is sure that the change may be made."""
        held = set(db.scalars(select(RunItem.lid).where(RunItem.run_id == first.id)))
        new = [lid for lid in dict.fromkeys(wanted.add) if lid not in held]
        left = len(held - wanted.remove) + len(set(new) - wanted.remove)
        if left == 0:
            raise BadForm(
                detail=N_("No page would be left. Nothing was changed."),
                remedy=N_("Cancel the schedule if it is no longer wanted."),
            )
        if left > MOST_PAGES:
            raise BadForm(detail=N_("A schedule has at most 5,000 pages. Nothing was changed."))
        if not new:
            return ()
        quotas.check_pages(db, actor.member_id, len(new), self._clock())
        pages = known.by_lid() if known else {}
        if actor.user_id != first.acting_as and not all(lid in pages and pages[lid].may(first.action) for lid in new):
            raise NotAllowed()
        read_at = known.read_at if known else self._clock()
        items = [_item(0, lid, pages.get(lid), read_at) for lid in new if lid not in wanted.remove]
        return items if actor.user_id == first.created_by else _unnamed(db, first, items)

    def _set_for(self, db: Session, run: Run, when: ScheduledTime, zone: str | None) -> None:
        run.at, run.at_wall, run.zone = when.instant, when.wall_time, when.zone or zone or run.zone
        self._queue.begin_instead(db, run.id, at=when.instant)

    def retry(self, actor: Actor, run_id: UUID, readable: Collection[int] | None) -> UUID:
        """A new run, as the actor, over the pages that failed; one page is done at once. Of a "down until" it joins the
        return, so that these pages come back with the others.

        readable  ids of the sites the actor reads, None for all: of other pages the new run knows no more than numbers
        Raises NotPossibleNow when there are none, or their time to come back has passed, and a PortalError as `place`.
        """
        return self._again(actor, run_id, ItemState.FAILED, readable, undo=False)

    def undo(self, actor: Actor, run_id: UUID, readable: Collection[int] | None) -> UUID:
        """As `retry`, but turns back exactly what this run changed and nobody changed since."""
        return self._again(actor, run_id, ItemState.SUCCEEDED, readable, undo=True)

    def _again(
        self, actor: Actor, run_id: UUID, which: ItemState, readable: Collection[int] | None, *, undo: bool
    ) -> UUID:
        again, is_one_page_now = self._write_again(actor, run_id, which, readable, undo=undo)
        if is_one_page_now:
            self._executor.run_now(again)
        return again

    @repeated
    def _write_again(
        self, actor: Actor, run_id: UUID, which: ItemState, readable: Collection[int] | None, *, undo: bool
    ) -> tuple[UUID, bool]:
        """The new run, and whether it is done while the person waits."""
        now = self._clock()
        with self._store.begin() as db:
            self._hold_open(db, actor)
            halves = pair(db, run_of(db, actor, run_id).id)
            old = halves.run
            if not old.state.is_final:
                raise NotPossibleNow(detail=N_("It has not finished yet. Nothing was done."))
            if undo and is_undone(db, old):
                raise NotPossibleNow(detail=ALREADY_UNDONE)
            if is_settling(old, counts_of(db, [old])[old.id], now):
                raise NotPossibleNow(detail=N_("Its last pages are still in progress. Nothing was changed."))
            rows = db.scalars(
                select(RunItem).where(RunItem.run_id == old.id, RunItem.state == which).order_by(RunItem.position)
            ).all()
            if not rows:
                raise NotPossibleNow(detail=NOTHING_TO_UNDO if undo else NOTHING_TO_RETRY)
            action = OPPOSITE[old.action] if undo else old.action
            order = Order(action, old.kind, tuple(row.lid for row in rows), name=old.name)
            run = self._run(actor, order, None)
            if undo:
                run.undoes, items = old.id, [_turned(number, row, readable) for number, row in enumerate(rows)]
            else:
                run.undoes, run.retries, run.is_return = old.undoes, old.id, old.is_return
                items = [_repeated(number, row, readable) for number, row in enumerate(rows)]
                order = self._until_the_same_end(run, order, halves, now)
            if order.is_one_page_now:
                run.state, run.started_at = RunState.RUNNING, now
            self._write(db, actor, run, items, order)
        return run.id, order.is_one_page_now

    def _until_the_same_end(self, run: Run, order: Order, halves: Halves, now: datetime) -> Order:
        """The retry of a "down until" joins its return while that is to come, and gets one of its own where it ended
        for want of anything to bring back. Raises NotPossibleNow when the end has passed: who would bring them back?
        """
        old, back = halves.run, halves.back
        if old.until is None:
            return order
        if is_past_its_end(old, now):
            raise NotPossibleNow(
                detail=N_("Its pages were to be back by now. Nothing was changed."),
                remedy=N_("Schedule it again if it is still needed."),
            )
        # The return's own wall time and zone: the two ends may have been moved in different zones.
        wall, zone = (back.at_wall, back.zone) if back is not None else (None, old.zone)
        run.until, run.until_wall, run.zone = old.until, wall, zone
        if back is not None and back.state is RunState.SCHEDULED:
            run.returns_run = back.id
            return order
        return replace(order, until=ScheduledTime(old.until, wall), zone=zone)


def shifted(run: Run, days: int, zone: str | None) -> ScheduledTime | None:
    """The run's set time so many days on, at the same time of day on the clock of its own zone, whether or not it can
    be: `sure` tells. None for a run that does not wait for its time.

    zone  of the person, for a time that was set without one
    """
    if run.state is not RunState.SCHEDULED or run.at is None:
        return None
    return days_on(run.at, days, zones.understood(run.zone) or zone or "UTC")


def _item(position: int, lid: int, page: Page | None, read_at: datetime) -> RunItem:
    if page is None:
        return RunItem(position=position, lid=lid, state=ItemState.PENDING, title="", site="")
    before = {
        "active": page.published, "site_active": page.site_active, "planned": True, "read_at": read_at.isoformat(),
    }  # fmt: skip
    return RunItem(
        position=position, lid=lid, state=ItemState.PENDING, title=page.title, site=page.site, site_id=page.site_id,
        url=page.url, before=before,
    )  # fmt: skip


def _copy(position: int, row: RunItem, readable: Collection[int] | None) -> RunItem:
    shown = readable is None or row.site_id in readable
    return RunItem(
        position=position, lid=row.lid, state=ItemState.PENDING, title=row.title if shown else "",
        site=row.site if shown else "", site_id=row.site_id, url=row.url if shown else None,
    )  # fmt: skip


def _turned(position: int, row: RunItem, readable: Collection[int] | None) -> RunItem:
    """The page of an undo: only as the undone run left it."""
    item = _copy(position, row, readable)
    item.expected = row.after
    return item


def _repeated(position: int, row: RunItem, readable: Collection[int] | None) -> RunItem:
    """The page of a retry: as little is touched as by the run that failed."""
    item = _copy(position, row, readable)
    item.expected, item.baseline = row.expected, row.baseline
    return item


def _change_items(db: Session, run: Run, remove: Collection[int], new: Sequence[RunItem]) -> None:
    """Take pages from a run that has not begun, and put new ones behind those it has."""
    db.execute(delete(RunItem).where(RunItem.run_id == run.id, RunItem.lid.in_(remove)))
    last = db.scalar(select(func.max(RunItem.position)).where(RunItem.run_id == run.id))
    begin = 0 if last is None else last + 1
    rows = [_copy(begin + number, item, None) for number, item in enumerate(new)]
    for row, item in zip(rows, new, strict=True):
        row.before = None if run.is_return else item.before
    db.add_all(_of(run, rows))
    db.flush()
    run.pages = db.scalar(select(func.count()).where(RunItem.run_id == run.id))


def _unnamed(db: Session, run: Run, items: Sequence[RunItem]) -> Sequence[RunItem]:
    """Pages that a colleague adds. Who ordered the run sees all of it, so titles are written only of sites from which
    they chose pages themselves; of others the run learns them by their own token.
    """
    named = select(RunItem.site_id).where(RunItem.run_id == run.id, RunItem.site_id.is_not(None), RunItem.title != "")
    sites = set(db.scalars(named.distinct()))
    for item in items:
        if item.site_id not in sites:
            item.title, item.site, item.url = "", "", None
    return items


def _of(run: Run, items: list[RunItem]) -> list[RunItem]:
    for item in items:
        item.run_id, item.member_id = run.id, run.member_id
    return items


def _same_order(earlier: Run | None, key: IdempotencyKey | None) -> UUID | None:
    if earlier is None or key is None:
        return None
    if earlier.order_sha256 != key.digest:
        raise IdempotencyKeyReused()
    return earlier.id
