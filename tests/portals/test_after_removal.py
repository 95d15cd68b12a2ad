"""The moment of a removal: what began before it writes nothing of people after it, and what was lost is found again."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import func, select, text, update

from b24app.domain import Action, ItemState, Kind, UserRef
from b24app.errors import SessionExpired
from b24app.portals import installs
from b24app.portals import removal as removals
from b24app.portals.verification import TokenClaim
from b24app.request_log import acting
from b24app.runs.orders import Order
from b24app.services import Services
from b24app.store.models import ApiCall, InboxEvent, Portal, Run, RunItem, User, UserToken, VerifiedToken
from b24sandbox import StandIn
from tests.clocks import Gate, TurnableClock, until
from tests.conftest import Turn
from tests.people import Person
from tests.portals.test_events import deliver, removal, send
from tests.worker import work_until_idle

OF_PEOPLE = (User, UserToken, VerifiedToken, ApiCall)


def people_left(services: Services) -> dict[str, int]:
    """How much is kept that names somebody."""
    with services.store.begin() as db:
        found = {table.__tablename__: db.scalar(select(func.count()).select_from(table)) or 0 for table in OF_PEOPLE}
    return {name: number for name, number in found.items() if number}


@pytest.fixture
def removed(services: Services, app: Flask, clock: TurnableClock) -> Callable[[Person, bool], None]:
    """The app is removed from somebody's portal, and the worker is through with it."""

    def remove(person: Person, clean: bool) -> None:
        form = removal(person, clock, clean)
        person.portal.state.installation = None
        assert deliver(services, app, form) == 200

    return remove


class Between:
    """Stands between what is proven and what is written of it: `reached` then `go`."""

    def __init__(self, services: Services) -> None:
        self.reached, self.go = Event(), Event()
        verifier: Any = services.installs._verifier
        self._proven = verifier.prove
        verifier.prove = self

    def __call__(self, claim: TokenClaim) -> object:
        verification = self._proven(claim)
        if not self.reached.is_set():
            self.reached.set()
            assert self.go.wait(60)
        return verification


# --- what began before ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("who", ["admin", "editor"])
def test_an_open_proven_before_a_removal_revives_nothing_after_it(
    alice: Person, app: Flask, services: Services, removed, clean: bool, who: str
):
    late = Person(app, alice.portal, who)
    post = late.frame()
    between = Between(services)
    with ThreadPoolExecutor(1) as threads:
        opening: Future[Any] = threads.submit(late.post_frame, *post)
        assert between.reached.wait(60)
        removed(alice, clean)
        between.go.set()
        answer = opening.result()

    assert answer.status_code == 403, "it is proven once more, and Bitrix24 says no"
    assert people_left(services) == {}
    with services.store.begin() as db:
        portal = db.get(Portal, alice.portal.member_id)
    assert portal is None if clean else portal is not None and not portal.is_open


def test_an_open_overtaken_by_a_reinstall_belongs_to_the_new_installation(
    alice: Person, ada: Person, app: Flask, services: Services, removed, turn: Turn
):
    bob = Person(app, alice.portal, "reader")
    post = bob.frame()
    between = Between(services)
    with ThreadPoolExecutor(1) as threads:
        opening: Future[Any] = threads.submit(bob.post_frame, *post)
        assert between.reached.wait(60)
        removed(alice, False)
        alice.portal.install()
        turn(seconds=5)
        ada.install()
        between.go.set()
        answer = opening.result()

    assert answer.status_code == 403, "the token of the earlier installation is worth nothing"
    with services.store.begin() as db:
        assert db.get(UserToken, (alice.portal.member_id, bob.user_id)) is None


@pytest.mark.parametrize("clean", [True, False])
def test_a_batch_in_flight_writes_no_ids_of_people_after_a_removal(
    alice: Person, services: Services, standin: StandIn, clean: bool, gate: Gate
):
    """The portal has taken the pages down and is slow to say so; meanwhile the app is removed, and all is forgotten."""
    lids = [page.id for page in alice.portal.pages("PAGE") if page.active][:3]
    answer = alice.unpublish(*lids)
    assert answer.json
    standin.fault(0, "batch", kind="latency", seconds=3, times=1)
    with ThreadPoolExecutor(1) as threads:
        batch = threads.submit(services.executor.run_batch, UUID(answer.json["id"]))
        until(lambda: not any(alice.portal.page(lid).active for lid in lids))
        assert services.removal.remove(alice.portal.member_id, erase=clean)
        services.removal.forget(alice.portal.member_id)
        assert not batch.done()
        gate.open()
        batch.result()

    with services.store.begin() as db:
        left = db.scalars(select(RunItem)).all()
        states = [state or {} for item in left for state in (item.before, item.after, item.expected)]
    assert not any("modified_by" in state for state in states)
    assert [item.state for item in left] == ([] if clean else [ItemState.SUCCEEDED] * 3), "what it did is written"
    assert people_left(services) == {}


def test_a_call_in_flight_leaves_no_line_in_the_log_after_a_removal(alice: Person, services: Services, removed):
    user = UserRef(alice.portal.member_id, alice.user_id)
    access = services.tokens.load(user)
    removed(alice, False)

    with acting(user), pytest.raises(Exception, match="ERROR_OAUTH"):
        services.tokens._rest.call(access.endpoint, access.token, "profile")

    assert people_left(services) == {}


def test_a_session_of_before_orders_nothing_in_the_new_installation(
    alice: Person, ada: Person, services: Services, removed
):
    """The request was let in before the removal, and the app is installed anew before it writes."""
    actor = services.users.actor(UserRef(alice.portal.member_id, alice.user_id))
    removed(alice, False)
    alice.portal.install()
    ada.install()

    with pytest.raises(SessionExpired):
        services.orders._plan(actor, Order(Action.UNPUBLISH, Kind.PAGE, (351, 352)), None)
    with services.store.begin() as db:
        assert db.scalars(select(Run.created_by)).all() == []


# --- what was lost is found -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clean", [True, False])
def test_a_removal_whose_job_was_lost_is_finished_all_the_same(
    alice: Person, services: Services, app: Flask, clock: TurnableClock, clean: bool
):
    alice.unpublish(351)
    form = removal(alice, clock, clean)
    alice.portal.state.installation = None
    send(app, form)
    with services.store.begin() as db:
        services.install_events.work(db.scalars(select(InboxEvent.id)).one())
        db.execute(text("delete from procrastinate_jobs"))
        db.execute(update(Run).values(cancelled_by=1, cancelled_name="Ada"))  # code older than the column leaves it

    assert services.removal.forget_due() == 1

    with services.store.begin() as db:
        portal = db.get(Portal, alice.portal.member_id)
        states = [each or {} for item in db.scalars(select(RunItem)) for each in (item.before, item.after)]
        cancelled = [(run.cancelled_by, run.cancelled_name) for run in db.scalars(select(Run))]
    assert cancelled == [] if clean else cancelled == [(None, None)]
    assert portal is None if clean else portal is not None and not portal.to_be_forgotten
    assert not any("modified_by" in state for state in states)
    assert people_left(services) == {}
    assert services.removal.forget_due() == 0


def test_a_removal_in_portions_may_be_stopped_after_any_and_goes_on(
    alice: Person, services: Services, app: Flask, clock: TurnableClock, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(removals, "PORTION", 1)
    for lid in (351, 352, 353):
        alice.unpublish(lid)
    with services.store.begin() as db:
        portal = db.get_one(Portal, alice.portal.member_id, with_for_update={"key_share": True})
        services.removal.close(db, portal, erase=True)

    assert services.removal._erase_portion(alice.portal.member_id)
    with services.store.begin() as db:
        left = db.scalar(select(func.count()).select_from(Run))
    work_until_idle(services)

    assert left == 2
    with services.store.begin() as db:
        assert db.get(Portal, alice.portal.member_id) is None


def test_an_open_while_the_portal_is_still_being_erased_waits_or_is_told(
    alice: Person, ada: Person, services: Services, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(removals, "PORTION", 1)
    monkeypatch.setattr(installs, "ERASE_SECONDS", -1)
    for lid in (351, 352, 353):
        alice.unpublish(lid)
    with services.store.begin() as db:
        portal = db.get_one(Portal, alice.portal.member_id, with_for_update={"key_share": True})
        services.removal.close(db, portal, erase=True)
    alice.portal.install()

    told = ada.install()
    monkeypatch.setattr(installs, "ERASE_SECONDS", 30)
    done = ada.install()

    assert (told.status_code, done.status_code) == (502, 200)
    assert told.headers["Retry-After"] == "60"
    assert ada.opened().read("/runs")["runs"] == []


def test_a_removal_waits_for_no_renewal_while_it_holds_the_portal(
    alice: Person, bob: Person, services: Services, standin: StandIn, gate: Gate
):
    """Bob's renewal takes its time and holds his token's row; the portal is closed and free at once."""
    bob.portal.expire("reader")
    standin.fault("oauth", "/oauth/token/", kind="latency", times=1)
    with ThreadPoolExecutor(2) as threads:
        renewing = threads.submit(bob.get, "/pages?fresh=1")
        until(lambda: bool(gate.asked))
        removing = threads.submit(services.removal.remove, alice.portal.member_id, erase=False)
        looks: list[bool] = []

        def is_through() -> bool:
            done = removing.done()
            looks.append(is_closed_and_free(services, alice))
            return looks[-1] or done

        until(is_through)
        during = standin.calls("oauth", "/oauth/token/")[-1].end is None
        gate.open()
        assert removing.result()
        renewing.result()

    assert looks[-1]
    assert during, "the portal was closed while the renewal was still under way"
    services.removal.forget(alice.portal.member_id)
    assert people_left(services) == {}


def is_closed_and_free(services: Services, person: Person) -> bool:
    """Whether the person's portal is closed, and nobody holds its row."""
    with services.store.begin() as db:
        held = select(Portal).where(Portal.member_id == person.portal.member_id)
        portal = db.scalar(held.with_for_update(key_share=True, skip_locked=True))
        return portal is not None and not portal.is_open


def test_an_open_that_waits_for_a_renewal_holds_up_no_colleague(
    alice: Person, bob: Person, services: Services, standin: StandIn, gate: Gate
):
    """Bob renews for a while and opens the app once more meanwhile; Alice orders and lists as ever."""
    bob.portal.expire("reader")
    post = bob.frame()
    standin.fault("oauth", "/oauth/token/", kind="latency", times=1)
    with ThreadPoolExecutor(2) as threads:
        renewing = threads.submit(bob.get, "/pages?fresh=1")
        until(lambda: bool(gate.asked))
        opening = threads.submit(bob.post_frame, *post)
        until(lambda: token_is_waited_for(services))
        listed, ordered = alice.get("/pages?fresh=1"), alice.unpublish(351)
        during = not renewing.done()
        gate.open()
        renewing.result()
        opening.result()

    assert (listed.status_code, ordered.status_code) == (200, 201)
    assert during, "neither waited for the renewal"


def token_is_waited_for(services: Services) -> bool:
    waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    with services.store.begin() as db:
        return bool(db.scalar(text(waits)))
