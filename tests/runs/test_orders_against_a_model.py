"""Random orders, moves, cancels, kills, changes by hand, lost rights and tokens, against a small model of the rules.

The model knows of pages, orders and windows of two people; of batches, tokens and REST it knows nothing, and of jobs
only whose turn it was, because the worker may go away between any two. After every look each page must be as the model
says, and in the end every order must have ended, in words.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
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
from b24app.store.queue import BEGIN, STEP
from b24sandbox import StandIn
from tests.clocks import StandingClock, TurnableClock
from tests.people import Person
from tests.worker import MOST_JOBS, pump

PAGES = 3
ROUNDS = 100
HUNT = int(os.environ.get("HUNT_EXAMPLES", "0"))  # `make hunt`: so many, other ones each time
EXAMPLES = 5  # the same in every run, so that nothing fails by chance
ALL, READ = ["read", "edit", "sett", "public", "delete"], ["read"]
LATEST = {"publish": timedelta(hours=1), "unpublish": timedelta(hours=24)}
UNDER_WAY = timedelta(minutes=10)
SESSION = timedelta(minutes=50)
OPEN = ("scheduled", "queued", "waiting", "decision")
askers = st.sampled_from(["alice", "ada"])
some_pages = st.lists(st.integers(0, PAGES - 1), min_size=1, max_size=PAGES, unique=True)
actions = st.sampled_from(["unpublish", "publish"])
soon = st.integers(1, 300).map(lambda minutes: timedelta(minutes=minutes))


@pytest.fixture
def clock() -> StandingClock:
    """Nothing becomes due while the app and the model look."""
    return StandingClock()


class Killed(BaseException):
    """The process is gone; nothing of ours catches this."""


class Dying(BaseAdapter):
    """A transport whose process dies with its first or second request: before it leaves, or when its answer came."""

    def __init__(self, inner: BaseAdapter) -> None:
        super().__init__()
        self.inner = inner
        self.request = 1
        self.after = False

    def send(self, request: PreparedRequest, *given: object, **more: object) -> Response:
        self.request -= 1
        if self.request == 0 and not self.after:
            raise Killed
        answer = self.inner.send(request, *given, **more)  # type: ignore[arg-type]
        if self.request == 0:
            raise Killed
        return answer

    def close(self) -> None:
        self.inner.close()


@dataclass
class PageModel:
    """Whether visitors see it, a number that grows whenever it is touched, and what our windows over it know."""

    up: bool = True
    touched: int = 0
    windows: list[OrderModel] = field(default_factory=list)  # returns of those that are open, as they began
    baseline: bool = True  # what it goes back to when no window holds it
    left: int = 0  # `touched`, as one of ours left or met it last

    def touch(self, up: bool) -> None:
        """Somebody changes it."""
        self.up, self.touched = up, self.touched + 1


@dataclass(eq=False)
class OrderModel:
    """One order as the rules see it; the return of a "down until" is one of its own."""

    id: UUID
    number: int
    asker: str  # whose rights it uses: alice, who may lose hers, or ada
    action: str
    pages: list[int]
    placed: datetime
    at: datetime | None
    state: str  # scheduled, queued, waiting, decision, ended
    first: OrderModel | None = None
    back: OrderModel | None = None
    undoes: OrderModel | None = None
    started: datetime | None = None
    worked: datetime | None = None
    is_decided: bool = False
    ended_by_hand: bool = False
    until: datetime | None = None
    todo: list[int] = field(default_factory=list)
    changed: dict[int, int] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    kept: set[int] = field(default_factory=set)  # of a return: pages that an order without end keeps as they are

    def __post_init__(self) -> None:
        self.todo = list(self.pages)

    @property
    def up(self) -> bool:
        """What it wants its pages to be."""
        return self.action == "publish"

    @property
    def turn(self) -> tuple[bool, datetime, bool, int]:
        """Its place among those that are due together: of one moment, what begins before what ends."""
        return (self.at is None, self.at or self.placed, self.first is not None, self.number)

    def is_too_late(self, now: datetime) -> bool:
        return not self.is_decided and now - (self.worked or self.at or self.placed) > LATEST[self.action]

    def is_over(self, now: datetime) -> bool:
        return self.until is not None and self.until <= now


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
        self.people = {"alice": world.alice, "ada": world.ada}
        self.opened_at: dict[str, datetime] = {}
        self.may, self.alive = True, True
        portal.rights(world.alice.user_id, 3, ALL)
        self.pass_by(timedelta(seconds=5))
        self.open("alice")
        self.open("ada")

    # --- the model ---------------------------------------------------------------------------------------------------

    def pass_by(self, span: timedelta) -> None:
        self.world.clock.tick(seconds=span.total_seconds())
        self.world.standin.world.clock.advance(span.total_seconds())

    @property
    def now(self) -> datetime:
        return self.world.clock()

    def open(self, asker: str) -> Person:
        """The person opens the app, and has a session for an hour."""
        self.opened_at[asker] = self.now
        return self.people[asker].opened()

    def person(self, asker: str) -> Person:
        """With a living session."""
        if self.now - self.opened_at[asker] > SESSION:
            return self.open(asker)
        return self.people[asker]

    def in_state(self, *states: str) -> list[OrderModel]:
        return sorted((order for order in self.orders if order.state in states), key=lambda order: order.turn)

    def firsts_of(self, back: OrderModel) -> list[OrderModel]:
        """The order a return belongs to, and retries that joined it."""
        return [order for order in self.orders if order.back is back]

    def works(self, asker: str) -> bool:
        return self.alive or asker != "alice"

    def is_allowed(self, asker: str) -> bool:
        return self.may or asker != "alice"

    def close(self, back: OrderModel, number: int) -> None:
        if back in self.pages[number].windows:
            self.pages[number].windows.remove(back)

    def end(self, order: OrderModel) -> None:
        order.state = "ended"
        for number in order.pages:
            self.close(order, number)

    def is_idle(self, back: OrderModel) -> bool:
        """The return has nothing to bring back, and nothing to tell people about it."""
        pages = [number for number in back.todo if back in self.pages[number].windows]
        return not any(
            self.pages[number].baseline is back.up or number in back.kept or len(self.pages[number].windows) > 1
            for number in pages
        )

    def begin(self) -> None:
        """The earliest order that is due begins, if there is one."""
        due = [order for order in self.in_state("scheduled") if order.at and order.at <= self.now]
        if not due:
            return
        order = due[0]
        order.state = "queued"
        if order.back is not None and order.back.state == "scheduled" and order.back.at and order.back.at <= self.now:
            self.end(order)
            self.end(order.back)
        elif order.first is not None:
            self.begin_return(order)

    def begin_return(self, order: OrderModel) -> None:
        was_never_begun = order.first is not None and order.first.state == "scheduled"
        for first in self.firsts_of(order):
            if first.state != "ended":
                self.end(first)
        if was_never_begun or self.is_idle(order):
            self.end(order)

    def carry_out(self, order: OrderModel) -> None:
        """The order's turn has come."""
        if order.state != "queued" or order.is_over(self.now):
            return
        if order.is_too_late(self.now):
            order.state = "decision"
            return
        ready = [number for number in order.todo if not self.is_about_to_be_held(order, number)]
        if ready:
            order.started = order.started or self.now
        left = [number for number in ready if order.first is not None and self.target(order, number) is not order.up]
        for number in left:
            self.settle(order, number)
        asked = [number for number in ready if number not in left]
        if asked and not self.works(order.asker):
            order.state = "waiting"
            order.worked = self.now if left else order.worked
            return
        for number in asked:
            self.change(order, number)
            self.settle(order, number)
        order.worked = self.now if ready else order.worked
        if not order.todo:
            self.end(order)

    def settle(self, order: OrderModel, number: int) -> None:
        order.todo.remove(number)
        self.close(order, number)

    def is_about_to_be_held(self, order: OrderModel, number: int) -> bool:
        if order.first is None or order.at is None or self.now - order.at > UNDER_WAY:
            return False
        return any(
            each.first is None and each.action != order.action and number in each.todo
            for each in self.in_state("queued")
        )

    def target(self, back: OrderModel, number: int) -> bool:
        """What the page is to be when this window ends."""
        page = self.pages[number]
        if back not in page.windows:
            return not back.up
        others = [each for each in self.begun(page) if each is not back and each.at and each.at > self.now]
        return not others[-1].up if others else page.baseline

    def begun(self, page: PageModel) -> list[OrderModel]:
        def when(back: OrderModel) -> tuple[datetime, int]:
            first = back.first
            return ((first and first.started) or back.placed, back.number)

        return sorted(page.windows, key=when)

    def change(self, order: OrderModel, number: int) -> None:
        """One page of an order that is allowed to go on."""
        page, before = self.pages[number], self.pages[number].up
        allowed = self.is_allowed(order.asker)
        if before is order.up:
            if order.first is None and page.windows and not allowed:
                order.failed.add(number)
            elif order.first is None:
                self.has_met(order, number, before)
            return
        expected = page.left if order.first else order.undoes.changed[number] if order.undoes else page.touched
        if expected != page.touched:
            return
        if not allowed:
            order.failed.add(number)
            return
        page.touch(order.up)
        order.changed[number] = page.touched
        if order.first is None:
            self.has_met(order, number, before)
        page.left = page.touched

    def has_met(self, order: OrderModel, number: int, before: bool) -> None:
        """An order has its page as it wants it: windows over it, and its own if it has one, take note."""
        page, back = self.pages[number], order.back
        if back is None or back.state == "ended":
            for each in page.windows:
                each.kept.add(number)
            page.baseline, page.left = order.up, page.touched
            return
        if not any(each.up is not before for each in page.windows):
            page.baseline, page.left = before, page.touched
        page.windows.append(back)

    # --- the worker --------------------------------------------------------------------------------------------------

    def work(self, most: int = MOST_JOBS) -> None:
        """The worker looks; the model follows it from order to order. With `most` it goes away after so many jobs."""
        by_id = {str(order.id): order for order in self.orders}

        def follow(task: str, run_id: str) -> None:
            order = by_id.get(run_id)
            self.world.standin.world.clock.advance(1)  # or two changes bear the same date and look like none
            if order is not None and task == BEGIN:
                self.begin()
            elif order is not None and task == STEP:
                self.carry_out(order)

        pump(self.world.services, follow, most)

    # --- orders ------------------------------------------------------------------------------------------------------

    def adopt(self, body: dict[str, Any], asker: str, pages: list[int], **more: Any) -> OrderModel:
        """What the app has made, as the model sees it."""
        at = datetime.fromisoformat(body["at"]) if body["at"] else None
        made = OrderModel(
            UUID(body["id"]), len(self.orders), asker, body["action"], pages, self.now, at,
            "scheduled" if at else "queued", **more,
        )  # fmt: skip
        self.orders.append(made)
        return made

    def place(
        self, asker: str, action: str, pages: list[int], at: datetime | None, until: datetime | None
    ) -> OrderModel:
        times = {name: moment.isoformat() for name, moment in (("at", at), ("until", until)) if moment}
        lids = [self.lids[number] for number in pages]
        answer = self.person(asker).order(action, *lids, **times)
        assert answer.status_code == 201, answer.text
        assert answer.json
        made = self.adopt(answer.json, asker, pages)
        if until is not None:
            self.link(made, until, asker)
        if at is None and len(pages) == 1:
            self.carry_out(made)
        return made

    def link(self, first: OrderModel, until: datetime, asker: str) -> None:
        body = self.read(first.id)
        first.until = datetime.fromisoformat(body["until"])
        first.back = self.adopt(self.read(UUID(body["returns_run"])), asker, first.pages, first=first)

    def read(self, run_id: UUID) -> dict[str, Any]:
        answer = self.person("ada").get(f"/runs/{run_id}")
        assert answer.json
        body: dict[str, Any] = answer.json
        return body

    @rule(asker=askers, action=actions, pages=some_pages, wait=soon, length=st.none() | soon)
    def order_for_later(
        self, asker: str, action: str, pages: list[int], wait: timedelta, length: timedelta | None
    ) -> None:
        if self.works(asker):
            at = self.now + wait
            self.place(asker, action, pages, at, at + length if length else None)

    @rule(asker=askers, action=actions, pages=some_pages, length=st.none() | soon)
    def order_now(self, asker: str, action: str, pages: list[int], length: timedelta | None) -> None:
        if self.works(asker):
            self.place(asker, action, pages, None, self.now + length if length else None)

    @rule(
        asker=askers, action=actions, pages=st.permutations(range(PAGES)).map(lambda pages: pages[:2]),
        length=st.none() | soon, request=st.integers(1, 2), after=st.booleans(),
    )  # fmt: skip
    def a_worker_is_killed_with_its_request(
        self, asker: str, action: str, pages: list[int], length: timedelta | None, request: int, after: bool
    ) -> None:
        self.work()
        if not self.works(asker):
            return
        made = self.place(asker, action, pages, None, self.now + length if length else None)
        self.world.dying.request, self.world.dying.after = request, after
        with contextlib.suppress(Killed):
            self.world.mortal.executor.run_batch(made.id)
        self.carry_out(made)  # what the dead one did is found by the one who comes after
        self.work()

    @precondition(lambda self: self.in_state("scheduled"))
    @rule(data=st.data(), wait=soon, length=soon, ends=st.sampled_from(["at", "until", "both"]))
    def move(self, data: st.DataObject, wait: timedelta, length: timedelta, ends: str) -> None:
        order = data.draw(st.sampled_from(self.in_state("scheduled")))
        first, back = (order.first, order) if order.first else (order, order.back)
        at = self.now + wait if ends != "until" else None
        until = self.now + wait + length if ends != "at" else None

        times = {name: moment.isoformat() for name, moment in (("at", at), ("until", until)) if moment}
        answer = self.person("ada").post(f"/runs/{order.id}/move", times)

        begins = at or first.at
        ends_at = until or (back.at if back is not None and back.state == "scheduled" else None)
        if until and back is None:
            expected = 422
        elif (at and first.state != "scheduled") or (until and back and back.state != "scheduled"):
            expected = 409
        else:
            expected = 422 if begins and ends_at and ends_at <= begins else 200
        assert answer.status_code == expected, answer.text
        if expected != 200:
            return
        first.at = at or first.at
        if until and back:
            back.at = until
            for each in self.firsts_of(back):
                each.until = until

    @precondition(lambda self: self.in_state(*OPEN))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        order = data.draw(st.sampled_from(self.in_state(*OPEN)))

        assert self.person("ada").post(f"/runs/{order.id}/cancel").status_code == 200

        order.ended_by_hand = True
        if order.first is not None:
            self.cancel_return(order)
        self.end(order)
        back = order.back
        if back is not None and back.state == "scheduled" and self.all_ended(back) and self.is_idle(back):
            self.end(back)

    def all_ended(self, back: OrderModel) -> bool:
        return all(first.state == "ended" for first in self.firsts_of(back))

    def cancel_return(self, back: OrderModel) -> None:
        for first in self.firsts_of(back):
            first.until = None
        for number in back.todo:
            page = self.pages[number]
            if back in page.windows:
                for each in page.windows:
                    if each is not back:
                        each.kept.add(number)
                page.baseline = not back.up

    @precondition(lambda self: self.in_state("decision", "waiting"))
    @rule(data=st.data(), asker=askers)
    def take_over(self, data: st.DataObject, asker: str) -> None:
        order = data.draw(st.sampled_from(self.in_state("decision", "waiting")))
        if not self.works(asker) or not self.is_allowed(asker):
            return
        person = self.open(asker)
        if asker == "alice":
            self.resume("alice")
        answer = person.post(f"/runs/{order.id}/takeover")
        if order.state == "queued":  # the person's opening was enough
            assert answer.status_code == 409
            return
        assert answer.status_code == (409 if order.state == "waiting" and order.asker == asker else 200), answer.text
        if answer.status_code == 200:
            order.is_decided = order.is_decided or order.is_too_late(self.now)
            for each in self.halves(order):
                each.asker = asker
            order.state, order.started = "queued", None

    def halves(self, order: OrderModel) -> list[OrderModel]:
        back = order if order.first else order.back
        both = [*self.firsts_of(back), back] if back else [order]
        return [each for each in both if each.state != "ended"]

    @precondition(lambda self: any(order.failed for order in self.in_state("ended")))
    @rule(data=st.data(), asker=askers)
    def retry(self, data: st.DataObject, asker: str) -> None:
        chosen = [order for order in self.in_state("ended") if order.failed and order.first is None]
        if not chosen or not self.works(asker):
            return
        old = data.draw(st.sampled_from(chosen))
        person = self.person(asker)

        answer = person.post(f"/runs/{old.id}/retry")

        assert answer.status_code == (409 if old.is_over(self.now) else 201), answer.text
        if answer.status_code == 409 or not answer.json:
            return
        pages = [number for number in old.pages if number in old.failed]
        made = self.adopt(answer.json, asker, pages, undoes=old.undoes)
        if old.until is not None and old.back is not None and old.back.state == "scheduled":
            made.back, made.until = old.back, old.until
            assert answer.json["returns_run"] == str(old.back.id)
        elif old.until is not None:
            self.link(made, old.until, asker)
        if len(pages) == 1:
            self.carry_out(made)

    @precondition(lambda self: any(order.changed for order in self.in_state("ended")))
    @rule(data=st.data(), asker=askers)
    def undo(self, data: st.DataObject, asker: str) -> None:
        old = data.draw(st.sampled_from([order for order in self.in_state("ended") if order.changed]))
        if not self.works(asker):
            return
        others = [each for each in self.orders if each.undoes is old or each.first is old]
        used = any(each.state in ("queued", "waiting", "decision") or each.changed for each in others)

        answer = self.person(asker).post(f"/runs/{old.id}/undo")

        assert answer.status_code == (409 if used else 201), answer.text
        if answer.status_code == 201 and answer.json:
            pages = [number for number in old.pages if number in old.changed]
            made = self.adopt(answer.json, asker, pages, undoes=old)
            if len(pages) == 1:
                self.carry_out(made)

    # --- the rest of the world ---------------------------------------------------------------------------------------

    @rule(number=st.integers(0, PAGES - 1), up=st.booleans())
    def somebody_changes_a_page_by_hand(self, number: int, up: bool) -> None:
        now = self.world.standin.world.clock.now()
        self.world.alice.portal.change_page(self.lids[number], active=up, public=up, modified_by=9, modified_at=now)
        self.pages[number].touch(up)
        self.pass_by(timedelta(seconds=61))  # a list may be a minute old

    @rule(may=st.booleans())
    def rights_change(self, may: bool) -> None:
        self.world.alice.portal.rights(self.world.alice.user_id, 3, ALL if may else READ)
        self.may = may
        self.pass_by(timedelta(seconds=301))  # who may take over is known for five minutes

    @precondition(lambda self: self.alive)
    @rule()
    def the_token_dies(self) -> None:
        self.world.alice.portal.expire_refresh(self.world.alice.user_id)
        self.alive = False

    @rule()
    def the_asker_opens_the_app(self) -> None:
        self.open("alice")
        self.alive = True
        self.resume("alice")

    def resume(self, asker: str) -> None:
        for order in self.in_state("waiting"):
            if order.asker == asker:
                order.state, order.started = "queued", None

    @rule(minutes=st.integers(1, 200) | st.integers(1000, 3000), works=st.booleans())
    def time_passes(self, minutes: int, works: bool) -> None:
        self.pass_by(timedelta(minutes=minutes))
        if works:
            self.work()

    @rule(jobs=st.integers(1, 3))
    def a_worker_does_a_little_and_goes_away(self, jobs: int) -> None:
        self.work(jobs)

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
            if not self.in_state(*OPEN):
                break
            for order in self.in_state("decision"):
                assert self.person("ada").post(f"/runs/{order.id}/takeover").status_code == 200
                order.is_decided, order.state, order.started = True, "queued", None
                for each in self.halves(order):
                    each.asker = "ada"
            self.work()
            times = [order.at for order in self.in_state("scheduled") if order.at]
            waits = [self.now + timedelta(minutes=11)] if self.in_state("queued") else []
            if times or waits:
                self.pass_by(max(min(times + waits) - self.now, timedelta()) + timedelta(seconds=1))
                self.work()
        else:
            raise AssertionError("the orders do not end")
        self.every_page_is_as_the_rules_say()
        self.person("ada")
        for order in self.orders:
            _ended_in_words(self.world.ada, order)


def _ended_in_words(ada: Person, order: OrderModel) -> None:
    run = ada.get(f"/runs/{order.id}").json
    assert run
    assert run["state"] in ("succeeded", "partial", "failed", "cancelled")
    assert run["state"] != "cancelled" or order.ended_by_hand or run["problem"]["detail"]
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
            max_examples=HUNT or EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            database=None,
            derandomize=not HUNT,
            suppress_health_check=list(HealthCheck),
        ),
    )
    mortal.close()
