"""GET /health and POST /health/repair: administrators see how the app stands on their portal, and put it right."""

import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from b24app.operations.housekeeping import Housekeeping
from b24app.portals.bindings import EVENTS
from b24app.services import Services
from b24app.store.models import MethodThrottle, Portal
from b24sandbox import StandIn
from b24sandbox.state.world import Installation
from tests.clocks import TurnableClock
from tests.people import Person, run_id_of


@pytest.fixture
def ada(ada: Person) -> Person:
    """The administrator, with the app open."""
    return ada.opened()


def repair(person: Person) -> Any:
    answer = person.post("/health/repair")
    assert answer.status_code == 200, answer.text
    return answer.json


def installed(person: Person) -> Installation:
    """The app as the portal knows it."""
    installation = person.portal.state.installation
    assert installation is not None
    return installation


def alive(services: Services) -> None:
    Housekeeping(services.store, services.queue, services.clock).beat()


def test_an_administrator_sees_that_all_is_well(ada: Person, services: Services):
    alive(services)

    health = ada.read("/health")

    assert health["healthy"] is True
    assert health["scopes"] == ["landing"]
    assert health["missing_scopes"] == []
    assert health["events"] == [{"event": event, "bound": True} for event in EVENTS]
    assert health["placement"] == {"placement": "LANDING_SETTINGS", "bound": True}
    assert health["worker"]["late"] is False
    assert datetime.fromisoformat(health["token"]["valid_until"]) > services.clock()
    assert health["suspended"] is None
    assert health["limits"]["paused_until"] is None


def test_looking_costs_one_request_and_changes_nothing(ada: Person, standin: StandIn):
    before = ada.portal.requests()

    ada.get("/health")

    assert ada.portal.requests() == before + 1
    assert {call.method for call in standin.calls(0) if call.batch}.issuperset({"user.admin", "scope", "event.get"})
    assert ada.portal.asked("event.bind") == len(EVENTS)  # by the installer


@pytest.mark.parametrize("path", ["/health", "/log", "/log.csv"])
def test_only_administrators_may_look_and_bitrix24_is_asked_each_time(ada: Person, alice: Person, path: str):
    refused = alice.get(path)
    assert refused.status_code == 403
    assert refused.json
    assert refused.json["code"] == "not_allowed"
    assert ada.get(path).status_code == 200

    ada.portal.change_user("admin", admin=False)

    assert ada.get(path).status_code == 403


def test_only_administrators_may_repair(alice: Person):
    bound = alice.portal.asked("event.bind")

    assert alice.post("/health/repair").status_code == 403
    assert alice.portal.asked("event.bind") == bound


def test_what_was_lost_shows_and_a_repair_binds_it_again(ada: Person, services: Services):
    alive(services)
    installation = installed(ada)
    installation.bindings = [each for each in installation.bindings if each.event != "ONAPPUNINSTALL"]
    installation.placements.clear()
    sick = ada.read("/health")

    repaired = repair(ada)

    assert sick["healthy"] is False
    assert {"event": "ONAPPUNINSTALL", "bound": False} in sick["events"]
    done = {step["key"]: step["state"] for step in repaired["done"]}
    assert done["ONAPPUNINSTALL"] == "done"
    assert done["ONAPPINSTALL"] == "already"
    assert done["LANDING_SETTINGS"] == "done"
    assert repaired["health"]["healthy"] is True
    assert installation.placements


def test_events_bound_to_another_address_are_not_ours(ada: Person):
    for each in installed(ada).bindings:
        each.handler = "https://elsewhere.example/events"

    assert not any(event["bound"] for event in ada.read("/health")["events"])


def test_a_missing_scope_is_named_and_the_rest_still_shows(ada: Person):
    ada.portal.scope(["user_brief"])

    health = ada.read("/health")

    assert health["healthy"] is False
    assert health["missing_scopes"] == ["landing"]
    assert all(event["bound"] for event in health["events"])


def test_a_repair_clears_what_had_stopped_work_and_says_so(ada: Person, services: Services):
    with services.store.begin() as db:
        db.execute(update(Portal).values(suspended_code="PAYMENT_REQUIRED"))
    before = ada.read("/health")

    repaired = repair(ada)

    assert before["suspended"]["code"] == "PAYMENT_REQUIRED"
    assert before["healthy"] is False
    assert "PAYMENT_REQUIRED" in next(step["words"] for step in repaired["done"] if step["key"] == "suspended")
    assert repaired["health"]["suspended"] is None
    assert [step["key"] for step in repair(ada)["done"]].count("suspended") == 0


def test_a_repair_lets_runs_go_on_whose_cause_is_over(ada: Person, alice: Person, services: Services, work):
    lids = [page.id for page in alice.portal.pages("PAGE") if page.active][:2]
    run = run_id_of(alice.unpublish(*lids))
    ada.portal.scope(["user_brief"])
    work()
    assert alice.read(f"/runs/{run}")["state"] == "waiting"
    ada.portal.scope(["landing"])
    ada.portal.expire("admin")
    ada.portal.expire("editor")

    repaired = repair(ada)
    work()

    assert next(step for step in repaired["done"] if step["key"] == "runs")["state"] == "done"
    assert alice.read(f"/runs/{run}")["state"] == "succeeded"


def test_a_refused_binding_is_told_with_its_code(ada: Person, standin: StandIn):
    standin.fault(0, "landing.repo.bind", kind="error", code="PLACEMENT_HANDLER_INVALID", status=400)

    done = repair(ada)["done"]

    refused = next(step for step in done if step["key"] == "LANDING_SETTINGS")
    assert (refused["state"], refused["code"]) == ("failed", "PLACEMENT_HANDLER_INVALID")


def test_a_worker_that_fell_silent_is_late(ada: Person, services: Services, clock: TurnableClock):
    alive(services)
    clock.tick(minutes=5)

    worker = ada.read("/health")["worker"]

    assert worker["late"] is True
    assert worker["last_seen"] is not None


def test_the_limits_tell_what_was_used_and_until_when_work_is_paused(
    ada: Person, alice: Person, services: Services, clock: TurnableClock, standin: StandIn
):
    standin.fault(0, "batch", kind="error", code="QUERY_LIMIT_EXCEEDED", status=503)
    alice.get("/pages")
    with services.store.begin() as db:
        minutes = {str(int(clock().timestamp()) // 60): 12.5}
        db.add(MethodThrottle(member_id=ada.portal.member_id, method="landing.landing.unpublic", minutes=minutes))
        db.execute(update(Portal).values(paused_until=clock() + timedelta(minutes=2)))

    limits = ada.read("/health")["limits"]

    assert limits["refused_10_min"] == 1
    assert limits["methods"] == [{"method": "landing.landing.unpublic", "operating_seconds": 12.5, "limit": None}]
    assert datetime.fromisoformat(limits["paused_until"]) > clock()
    clock.tick(minutes=3)
    assert ada.read("/health")["limits"]["paused_until"] is None


def test_the_page_shows_the_same(ada: Person):
    page = ada.fragment("GET", "/health")
    repaired = ada.fragment("POST", "/health/repair")

    assert page.status_code == repaired.status_code == 200
    assert "ONAPPUNINSTALL" in page.text
    assert 'hx-post="/health/repair"' in page.text
    assert "Nothing needed fixing." in repaired.text
    assert not re.search(r"\bNone\b", page.text + repaired.text)


def test_a_refused_app_is_a_problem_answer(ada: Person):
    ada.portal.state.installation = None

    answer = ada.get("/health")

    assert answer.status_code in (401, 410)
    assert answer.mimetype == "application/problem+json"
