"""Orders: place one, cancel, move, retry, undo.

A run and its job are written in one transaction, so neither exists without the other. What a run did stays; a retry or
an undo is a new run that names the old one.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from b24app.clock import Clock
from b24app.domain import N_, Action, Actor, ItemState, Kind, RunState
from b24app.errors import BadForm, IdempotencyKeyReused, NotPossibleNow, SessionExpired
from b24app.pages import Page, Pages
from b24app.runs import quotas
from b24app.runs.executor import Executor
from b24app.runs.local_time import ScheduledTime
from b24app.runs.queries import counts_of
from b24app.runs.states import OPPOSITE, drop_idle_return, end, is_settling, is_undone, pair, run_of
from b24app.store.db import Store, repeated
from b24app.store.models import Portal, Run, RunItem
from b24app.store.queue import Queue

SAFETY = timedelta(seconds=60)  # when a worker looks after a run that a web process took on
MOST_PAGES = 5000
KEY_TRIES = 5


@dataclass(frozen=True)
class Order:
    """What a person asks for; the same order gives the same digest."""

    action: Action
    kind: Kind
    lids: tuple[int, ...]
    at: ScheduledTime | None = None
    until: ScheduledTime | None = None
    zone: str | None = None
    reason: str | None = None

    def digest(self) -> str:
        """SHA-256 over everything that matters: tells whether a repeated Idempotency-Key brings the same order."""
        at, until = (moment and (moment.wall_time or moment.instant.isoformat()) for moment in (self.at, self.until))
        facts = [self.action, self.kind, sorted(self.lids), at, until, self.zone, self.reason]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()

    @property
    def is_one_page_now(self) -> bool:
        """Done while the person waits."""
        return self.at is None and len(self.lids) == 1


class Orders:
    """Writes runs and changes them. Every query goes through the actor's portal."""

    def __init__(self, store: Store, queue: Queue, pages: Pages, executor: Executor, clock: Clock) -> None:
        self._store = store
        self._queue = queue
        self._pages = pages
        self._executor = executor
        self._clock = clock

    # --- placing ---------------------------------------------------------------------------------------------------

    def place(self, actor: Actor, order: Order, key: str | None = None) -> tuple[UUID, bool]:
        """Place an order and, for one page now, carry it out; False when this key has already brought the same order.

        Raises IdempotencyKeyReused, and a PortalError when the only call of one page now failed as a call.
        """
        listed = self._pages.kept(actor, order.kind)
        if listed is None and not order.is_one_page_now:
            listed = self._pages.all_of(actor, order.kind)
        run_id, is_new = self._plan(actor, order, listed.by_lid() if listed else {}, key)
        if is_new and order.is_one_page_now:
            self._executor.run_now(run_id)
        return run_id, is_new

    @repeated
    def _plan(self, actor: Actor, order: Order, known: Mapping[int, Page], key: str | None = None) -> tuple[UUID, bool]:
        """Write the run with its items and job; False when this key has already brought the very same order.

        known  pages of the list the person saw: gives titles, and what was published before
        Raises IdempotencyKeyReused.
        """
        for _ in range(KEY_TRIES):
            try:
                return self._planned(actor, order, known, key)
            except IntegrityError:  # another request with this key was written at the same moment
                if key is None:
                    raise
                with self._store.begin() as db:
                    earlier = self._by_key(db, actor, key)
                if earlier is not None:
                    return _same_order(earlier, order), False
        raise NotPossibleNow()  # each time the other one was withdrawn before we saw it

    def _planned(self, actor: Actor, order: Order, known: Mapping[int, Page], key: str | None) -> tuple[UUID, bool]:
        items = [_item(position, lid, known.get(lid)) for position, lid in enumerate(order.lids)]
        run = self._run(actor, order, key)
        if order.is_one_page_now:
            run.state, run.started_at = RunState.RUNNING, self._clock()
        with self._store.begin() as db:
            earlier = self._by_key(db, actor, key)
            if earlier is not None:
                return _same_order(earlier, order), False
            self._write(db, actor, run, items, order)
        return run.id, True

    def _write(self, db: Session, actor: Actor, run: Run, items: list[RunItem], order: Order) -> None:
        """Raises SessionExpired where the app was removed a moment ago: the order must not outlive it; and
        TooManyOrders.
        """
        self._hold_open(db, actor)
        quotas.check(db, actor.member_id, len(items), self._clock())
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
        back.action, back.state, back.undoes = OPPOSITE[order.action], RunState.SCHEDULED, run.id
        assert order.until is not None  # noqa: S101  the caller asked
        back.at, back.at_wall, back.until, back.until_wall = order.until.instant, order.until.wall_time, None, None
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
            at_wall=order.at and order.at.wall_time,
            until=order.until and order.until.instant,
            until_wall=order.until and order.until.wall_time,
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

    # --- changing one's mind ---------------------------------------------------------------------------------------

    @repeated
    def cancel(self, actor: Actor, run_id: UUID) -> None:
        """Stop: items not yet sent stay undone. Raises NotPossibleNow for a run that has ended.

        A return run can be cancelled alone. A first run that did nothing takes its return along.
        """
        with self._store.begin() as db:
            run, first, back = pair(db, run_of(db, actor, run_id).id)
            if run.state.is_final:
                raise NotPossibleNow()
            end(db, run, RunState.CANCELLED, self._clock())
            if back is not None:
                drop_idle_return(db, run, back, self._clock())
            if first is not None:
                first.until = first.until_wall = None

    @repeated
    def move(self, actor: Actor, run_id: UUID, at: ScheduledTime, zone: str | None) -> None:
        """Another time for a scheduled run; of "down until" either end. Raises NotPossibleNow when it has begun.

        zone  in which a local `at` was said, or the person wishes to see it
        """
        with self._store.begin() as db:
            run, first, back = pair(db, run_of(db, actor, run_id).id)
            if run.state is not RunState.SCHEDULED:
                raise NotPossibleNow()
            ends = back.at if back is not None and back.state is RunState.SCHEDULED else None
            begins = first.at if first is not None and first.state is RunState.SCHEDULED else None
            if (ends and ends <= at.instant) or (begins and at.instant <= begins):
                raise BadForm(detail=N_("The pages would come back before they go down. Nothing was moved."))
            run.at, run.at_wall, run.zone = at.instant, at.wall_time, zone or run.zone
            if first is not None:
                first.until, first.until_wall = at.instant, at.wall_time
            self._queue.begin_instead(db, run.id, at=run.at)

    def retry(self, actor: Actor, run_id: UUID, readable: Collection[int] | None) -> UUID:
        """A new run, as the actor, over the pages that failed; one page is done at once.

        readable  ids of the sites the actor reads, None for all: of other pages the new run knows no more than numbers
        Raises NotPossibleNow when there are none, and a PortalError as `place`.
        """
        return self._again(actor, run_id, ItemState.FAILED, readable, undo=False)

    def undo(self, actor: Actor, run_id: UUID, readable: Collection[int] | None) -> UUID:
        """As `retry`, but turns back exactly what this run changed and nobody changed since."""
        return self._again(actor, run_id, ItemState.SUCCEEDED, readable, undo=True)

    def _again(
        self, actor: Actor, run_id: UUID, which: ItemState, readable: Collection[int] | None, *, undo: bool
    ) -> UUID:
        with self._store.begin() as db:
            self._hold_open(db, actor)
            old = run_of(db, actor, run_id, lock=True)
            if not old.state.is_final or (undo and is_undone(db, old)):
                raise NotPossibleNow()
            if is_settling(old, counts_of(db, [old.id])[old.id], self._clock()):
                raise NotPossibleNow(detail=N_("Its last pages are still under way. Nothing was changed by you."))
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
        if order.is_one_page_now:
            self._executor.run_now(run.id)
        return run.id


def _item(position: int, lid: int, page: Page | None) -> RunItem:
    if page is None:
        return RunItem(position=position, lid=lid, state=ItemState.PENDING, title="", site="")
    before = {"active": page.published, "site_active": page.site_active, "planned": True}
    return RunItem(
        position=position, lid=lid, state=ItemState.PENDING, title=page.title, site=page.site, site_id=page.site_id,
        url=page.url, before=before,
    )  # fmt: skip


def _copy(position: int, row: RunItem, readable: Collection[int] | None, *, undo: bool) -> RunItem:
    shown = readable is None or row.site_id in readable
    return RunItem(
        position=position, lid=row.lid, state=ItemState.PENDING, title=row.title if shown else "",
        site=row.site if shown else "", site_id=row.site_id, url=row.url if shown else None,
        expected=row.after if undo else None,
    )  # fmt: skip


def _of(run: Run, items: list[RunItem]) -> list[RunItem]:
    for item in items:
        item.run_id = run.id
    return items


def _same_order(earlier: Run, order: Order) -> UUID:
    if earlier.order_sha256 != order.digest():
        raise IdempotencyKeyReused()
    return earlier.id
