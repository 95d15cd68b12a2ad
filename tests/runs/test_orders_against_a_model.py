"""Random orders, moves, cancels, kills, changes by hand, lost rights and tokens, against a small model of the rules.

The model knows nothing of batches, jobs or REST. After every look each page must be as the model says, and in the end
every order must have ended, in words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from sqlalchemy import delete, text

from b24app.bitrix.address import Addresses
from b24app.bitrix.connect import GuardedAdapter
from b24app.config import Config
from b24app.services import Services, build
from b24app.store.models import Run
from b24sandbox import StandIn
from tests.clocks import StandingClock, TurnableClock
from tests.people import Person
from tests.worker import pump

PAGES = 3
ROUNDS = 100
EXAMPLES = 12  # the same in every run, so that nothing fails by chance; for a hunt more, and derandomize=False
ALL, READ = ["read", "edit", "sett", "public", "delete"], ["read"]
LATE = timedelta(hours=1)
some_pages = st.lists(st.integers(0, PAGES - 1), min_size=1, max_size=PAGES, unique=True)
actions = st.sampled_from(["unpublish", "publish"])
soon = st.integers(1, 300).map(lambda minutes: timedelta(minutes=minutes))
OPPOSITE = {"unpublish": "publish", "publish": "unpublish"}


@pytest.fixture
def clock() -> StandingClock:
    """Nothing becomes due while the app and the model look."""
    return StandingClock()


class Killed(BaseException):
    """The process is gone; nothing of ours catches this."""


class Dying(BaseAdapter):
    """A transport whose process dies with a request: before it leaves, or when its answer has come."""

    def __init__(self, inner: BaseAdapter) -> None:
        super().__init__()
        self.inner = inner
        self.after = False

    def send(self, request: PreparedRequest, *given: object, **more: object) -> Response:
        if self.after:
            self.inner.send(request, *given, **more)  # type: ignore[arg-type]
        raise Killed

    def close(self) -> None:
        self.inner.close()


@dataclass
class PageModel:
    """Whether visitors see it, and a number that grows whenever it is touched."""

    up: bool = True
    touched: int = 0


@dataclass
class OrderModel:
    """One order as the rules see it."""

    id: UUID
    number: int
    action: str
    pages: list[int]
    at: datetime | None
    state: str  # scheduled, queued, waiting, decision, ended
    first: OrderModel | None = None
    back: OrderModel | None = None
    changed: dict[int, int] = field(default_factory=dict)
    cancelled_by_hand: bool = False

    @property
    def turn(self) -> tuple[bool, datetime | int, int]:
        """Its place among those that are due together."""
        return (True, 0, self.number) if self.at is None else (False, self.at, self.number)


@dataclass
class World:
    """What the machine drives."""

    services: Services
    mortal: Services
    dying: Dying
    clock: TurnableClock
    standin: StandIn
    alice: Person
    ada: Person


class Orders(RuleBasedStateMachine):
    """The rules of this test, each done to the app and to the model."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        portal = world.alice.portal
        with world.services.store.begin() as db:
            db.execute(delete(Run))
            db.execute(text("delete from procrastinate_jobs"))
        self.lids = portal.add_pages(PAGES, site=3)
        for lid in self.lids:
            portal.change_page(lid, active=True, public=True)
        self.pages = [PageModel() for _ in range(PAGES)]
        self.orders: list[OrderModel] = []
        self.queue: list[OrderModel] = []
        self.may, self.alive = True, True
        portal.rights(world.alice.user_id, 3, ALL)
        self.pass_by(timedelta(seconds=5))
        world.alice.opened()

    # --- the model ---------------------------------------------------------------------------------------------------

    def pass_by(self, span: timedelta) -> None:
        self.world.clock.tick(seconds=span.total_seconds())
        self.world.standin.world.clock.advance(span.total_seconds())

    def open_orders(self, *states: str) -> list[OrderModel]:
        return sorted((order for order in self.orders if order.state in states), key=lambda order: order.turn)

    def carry_out(self, order: OrderModel) -> None:
        if not self.alive:
            order.state = "waiting"
            return
        wanted = order.action == "publish"
        for number in order.pages:
            page = self.pages[number]
            expected = order.first.changed.get(number) if order.first else page.touched
            if page.up != wanted and expected == page.touched and self.may:
                page.up, page.touched = wanted, page.touched + 1
                order.changed[number] = page.touched
        order.state = "ended"

    def begin(self, order: OrderModel, now: datetime) -> None:
        first, back = order.first, order.back
        if back is not None and back.state == "scheduled" and back.at is not None and back.at <= now:
            order.state = back.state = "ended"
        elif first is not None and first.state != "ended":
            first.state = order.state = "ended"
        elif first is not None and not first.changed:
            order.state = "ended"
        elif order.action == "publish" and order.at is not None and now - order.at > LATE:
            order.state = "decision"
        else:
            order.state = "queued"
            self.queue.append(order)

    def work(self) -> None:
        """The worker looks, in the app and in the model."""
        now = self.world.clock()
        a_second = self.world.standin.world.clock.advance  # or two changes bear the same date and look like none
        pump(self.world.services, lambda: a_second(1))
        for order in self.open_orders("scheduled"):
            if order.state == "scheduled" and order.at is not None and order.at <= now:
                self.begin(order, now)
        for order in self.queue:
            if order.state == "queued":
                self.carry_out(order)
        self.queue.clear()

    # --- orders ------------------------------------------------------------------------------------------------------

    def place(self, action: str, pages: list[int], at: datetime | None, until: datetime | None) -> OrderModel:
        times = {name: moment.isoformat() for name, moment in (("at", at), ("until", until)) if moment}
        lids = [self.lids[number] for number in pages]
        answer = self.world.alice.opened().order(action, *lids, **times)
        assert answer.status_code == 201, answer.text
        body = answer.json
        assert body
        made = OrderModel(UUID(body["id"]), len(self.orders), action, pages, at, "scheduled" if at else "queued")
        self.orders.append(made)
        if until is not None:
            returns = UUID(body["returns_run"])
            made.back = OrderModel(returns, len(self.orders), OPPOSITE[action], pages, until, "scheduled", first=made)
            self.orders.append(made.back)
        return made

    @precondition(lambda self: self.alive)
    @rule(action=actions, pages=some_pages, wait=soon, length=st.none() | soon)
    def order_for_later(self, action: str, pages: list[int], wait: timedelta, length: timedelta | None) -> None:
        at = self.world.clock() + wait
        self.place(action, pages, at, at + length if length else None)

    @precondition(lambda self: self.alive)
    @rule(action=actions, pages=some_pages, length=st.none() | soon)
    def order_now(self, action: str, pages: list[int], length: timedelta | None) -> None:
        made = self.place(action, pages, None, self.world.clock() + length if length else None)
        self.queue.append(made)
        if len(pages) == 1:
            self.queue.remove(made)
            self.carry_out(made)

    @precondition(lambda self: self.alive)
    @rule(action=actions, pages=st.permutations(range(PAGES)).map(lambda pages: pages[:2]), after=st.booleans())
    def a_worker_is_killed_with_its_request(self, action: str, pages: list[int], after: bool) -> None:
        self.work()
        made = self.place(action, pages, None, None)
        self.queue.append(made)
        self.world.dying.after = after
        try:
            self.world.mortal.executor.run_batch(made.id)
        except Killed:
            self.work()
            return
        raise AssertionError("the worker had to ask the portal")

    @precondition(lambda self: self.open_orders("scheduled"))
    @rule(data=st.data(), wait=soon)
    def move(self, data: st.DataObject, wait: timedelta) -> None:
        order = data.draw(st.sampled_from(self.open_orders("scheduled")))
        at = self.world.clock() + wait
        first, back = order.first, order.back
        backwards = (back and back.state == "scheduled" and back.at and back.at <= at) or (
            first and first.state == "scheduled" and first.at and at <= first.at
        )

        answer = self.world.ada.opened().post(f"/runs/{order.id}/move", {"at": at.isoformat()})

        assert answer.status_code == (422 if backwards else 200), answer.text
        if not backwards:
            order.at = at

    @precondition(lambda self: self.open_orders("scheduled", "waiting", "decision"))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        order = data.draw(st.sampled_from(self.open_orders("scheduled", "waiting", "decision")))

        assert self.world.ada.opened().post(f"/runs/{order.id}/cancel").status_code == 200

        order.state, order.cancelled_by_hand = "ended", True
        if order.back is not None and order.back.state == "scheduled":
            order.back.state = "ended"

    @precondition(lambda self: self.alive and self.may and self.open_orders("decision"))
    @rule()
    def decide_that_it_is_still_wanted(self) -> None:
        for order in self.open_orders("decision"):
            assert self.world.alice.opened().post(f"/runs/{order.id}/takeover").status_code == 200
            order.state = "queued"
            self.queue.append(order)

    # --- the rest of the world ---------------------------------------------------------------------------------------

    @rule(number=st.integers(0, PAGES - 1), up=st.booleans())
    def somebody_changes_a_page_by_hand(self, number: int, up: bool) -> None:
        now = self.world.standin.world.clock.now()
        self.world.alice.portal.change_page(self.lids[number], active=up, public=up, modified_by=1, modified_at=now)
        self.pages[number].up, self.pages[number].touched = up, self.pages[number].touched + 1

    @rule(may=st.booleans())
    def rights_change(self, may: bool) -> None:
        self.world.alice.portal.rights(self.world.alice.user_id, 3, ALL if may else READ)
        self.may = may
        self.pass_by(timedelta(seconds=61))  # who may take over is known from a list that may be a minute old

    @precondition(lambda self: self.alive)
    @rule()
    def the_token_dies(self) -> None:
        self.world.alice.portal.expire_refresh(self.world.alice.user_id)
        self.alive = False

    @rule()
    def the_asker_opens_the_app(self) -> None:
        self.world.alice.opened()
        self.alive = True
        for order in self.open_orders("waiting"):
            order.state = "queued"
            self.queue.append(order)

    @rule(minutes=st.integers(1, 200), works=st.booleans())
    def time_passes(self, minutes: int, works: bool) -> None:
        self.pass_by(timedelta(minutes=minutes))
        if works:
            self.work()

    @invariant()
    def every_page_is_as_the_rules_say(self) -> None:
        self.pass_by(timedelta(seconds=2))
        up = [self.world.alice.portal.page(lid).active for lid in self.lids]
        assert up == [page.up for page in self.pages]

    def teardown(self) -> None:
        """All trouble ends and all times come: every order has ended, and says how."""
        self.rights_change(True)
        self.the_asker_opens_the_app()
        self.work()
        for _ in range(ROUNDS):
            if not self.open_orders("scheduled", "decision", "queued", "waiting"):
                break
            self.decide_that_it_is_still_wanted()
            self.work()
            times = [order.at for order in self.open_orders("scheduled") if order.at]
            if times:
                self.pass_by(max(min(times) - self.world.clock(), timedelta()) + timedelta(seconds=1))
                self.work()
        else:
            raise AssertionError("the orders do not end")
        self.every_page_is_as_the_rules_say()
        self.world.ada.opened()
        for order in self.orders:
            _ended_in_words(self.world.ada, order)


def _ended_in_words(ada: Person, order: OrderModel) -> None:
    run = ada.get(f"/runs/{order.id}").json
    assert run
    assert run["state"] in ("succeeded", "partial", "failed", "cancelled")
    assert run["state"] != "cancelled" or order.cancelled_by_hand or run["problem"]["detail"]
    for item in run["items"]:
        assert item["state"] not in ("pending", "running")
        assert item["detail"] or item["state"] in ("succeeded", "cancelled")


def test_every_page_ends_as_the_last_valid_order_says(
    services: Services, config: Config, clock: TurnableClock, standin: StandIn, ada: Person, alice: Person
) -> None:
    dying = Dying(GuardedAdapter(Addresses(config.b24_portal_networks, config.b24_allow_insecure_portals)))
    mortal = build(config, clock=clock, transport=dying, jitter=lambda: 0.0)
    world = World(services, mortal, dying, clock, standin, alice, ada)

    class OrdersHere(Orders):
        def __init__(self) -> None:
            super().__init__(world)

    run_state_machine_as_test(
        OrdersHere,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    mortal.close()
