"""What one portal may order: so many open orders, so many pages a day; and a key whose first order is withdrawn."""

import threading
from datetime import timedelta

import pytest

from b24app.domain import RunState
from b24app.runs import quotas
from b24app.services import Services
from b24app.store.models import Run
from b24sandbox import PortalHandle, StandIn
from tests.clocks import TurnableClock
from tests.people import Person, run_id_of

LATER = "2030-06-01T10:00:00Z"


def copies(services: Services, run_id: str, number: int, pages: int = 1) -> None:
    """So many runs more like this one, each of so many pages."""
    with services.store.begin() as db:
        db.connection().exec_driver_sql(
            "create temporary table more on commit drop as"
            " select gen_random_uuid() as id from generate_series(1, %(number)s)",
            {"number": number},
        )
        names = [
            column.name for column in Run.__table__.columns if column.name not in ("id", "idempotency_key", "pages")
        ]
        listed = ", ".join(names)
        db.connection().exec_driver_sql(
            f"insert into runs (id, {listed}) select more.id, {', '.join(f'runs.{name}' for name in names)}"
            " from more, runs where runs.id = %(run)s",
            {"run": run_id},
        )
        db.connection().exec_driver_sql(
            "insert into run_items (run_id, position, lid, state, title, site)"
            " select more.id, n, n, 'pending', '', '' from more, generate_series(1, %(pages)s) n",
            {"pages": pages},
        )


def test_a_thousand_open_orders_are_the_most_a_portal_may_have(alice: Person, charlie: Person, services: Services):
    first = run_id_of(alice.unpublish(351, at=LATER, until="2030-07-01T10:00:00Z"))
    copies(services, run_id_of(alice.unpublish(352, at=LATER)), quotas.OPEN_ORDERS - 2)

    refused = alice.unpublish(353, at=LATER)

    assert refused.status_code == 429
    assert refused.json
    assert refused.json["code"] == "too_many_orders"
    assert int(refused.headers["Retry-After"]) > 0
    assert "1,000" in refused.json["detail"]
    assert charlie.unpublish(charlie.portal.pages()[0].id, at=LATER).status_code == 201
    assert alice.post(f"/runs/{first}/cancel").status_code == 200
    assert alice.unpublish(353, at=LATER).status_code == 201


def test_a_hundred_thousand_pages_a_day_are_the_most_a_portal_may_order(
    alice: Person, services: Services, clock: TurnableClock
):
    copies(services, run_id_of(alice.unpublish(352, at=LATER)), 20, pages=4_999)
    clock.tick(hours=1)
    assert alice.opened().unpublish(*range(1, 20), at=LATER).status_code == 201

    refused = alice.unpublish(351, at=LATER)

    assert refused.status_code == 429
    assert refused.json
    assert refused.json["code"] == "too_many_orders"
    assert 22 * 3600 < int(refused.headers["Retry-After"]) <= 23 * 3600
    assert "cancel" not in refused.json["remedy"]  # what was ordered counts for a day, whatever became of it
    clock.tick(seconds=int(refused.headers["Retry-After"]) + 1)
    assert alice.opened().unpublish(351, at=LATER).status_code == 201


def test_pages_that_come_to_an_order_count_from_when_they_came(
    alice: Person, services: Services, portal: PortalHandle, clock: TurnableClock
):
    more = portal.add_pages(7)
    order = run_id_of(alice.unpublish(351, 352, at=LATER))
    clock.tick(hours=25)
    copies(services, run_id_of(alice.opened().unpublish(353, at=LATER)), 20, pages=4_999)  # 99,981 with the copied one
    clock.tick(hours=1)
    alice.opened()

    added = [alice.post(f"/runs/{order}/change", {"add": lids}).status_code for lids in (more[:3], more[3:])]
    clock.tick(hours=1)
    fits, refused = (alice.opened().unpublish(*range(1, 1 + pages), at=LATER) for pages in (12, 1))

    assert added == [200, 200]
    assert (fits.status_code, refused.status_code) == (201, 429)
    assert 22 * 3600 - 60 < int(refused.headers["Retry-After"]) <= 22 * 3600


def test_a_refused_order_does_not_use_up_its_key(alice: Person, services: Services):
    copies(services, run_id_of(alice.unpublish(352, at=LATER)), quotas.OPEN_ORDERS - 1)
    assert alice.unpublish(353, at=LATER, key="once").status_code == 429
    with services.store.begin() as db:
        db.connection().exec_driver_sql("update runs set state = 'cancelled'")

    assert alice.unpublish(353, at=LATER, key="once").status_code == 201


def test_what_was_ordered_before_is_told_again_whatever_the_quota(alice: Person, services: Services):
    run = run_id_of(alice.unpublish(353, at=LATER, key="once"))
    copies(services, run, quotas.OPEN_ORDERS)

    again = alice.unpublish(353, at=LATER, key="once")

    assert (again.status_code, run_id_of(again)) == (200, run)


@pytest.mark.parametrize("wait", [0.0, 0.1, 0.3])
def test_a_key_is_free_again_when_its_first_order_is_withdrawn(alice: Person, standin: StandIn, wait: float):
    """The first order waits for the portal, which then refuses the call; the second comes meanwhile."""
    standin.fault(0, "batch", kind="error", code="insufficient_scope", status=401)
    standin.fault(0, "batch", kind="latency", seconds=0.3)
    statuses: list[int] = []
    second = Person(alice.client.application, alice.portal, "editor")
    second.token = alice.token

    def order(person: Person) -> None:
        statuses.append(person.unpublish(351, key="once").status_code)

    threads = [threading.Thread(target=order, args=(person,)) for person in (alice, second)]
    threads[0].start()
    threading.Event().wait(wait)
    threads[1].start()
    for thread in threads:
        thread.join()

    assert set(statuses) <= {200, 201, 403}
    assert alice.unpublish(351, key="once").status_code in (200, 201)


def test_ended_orders_and_returns_are_no_open_orders(alice: Person, services: Services):
    run = run_id_of(alice.unpublish(352, at=LATER, until="2030-07-01T10:00:00Z"))
    copies(services, run, quotas.OPEN_ORDERS + 10)
    with services.store.begin() as db:
        db.connection().exec_driver_sql(
            "update runs set state = %(ended)s, finished_at = now() where id <> %(run)s",
            {"ended": RunState.CANCELLED.value, "run": run},
        )

    assert alice.unpublish(353, at=LATER).status_code == 201
    assert timedelta(hours=24) == quotas.WINDOW
