"""One page now: what happens at the portal, what is answered, what is kept."""

from datetime import timedelta
from threading import Thread
from uuid import UUID, uuid4

import pytest
from flask import Flask

from b24app.errors import NotFound
from b24app.runs.states import discard, pair
from b24app.services import Services
from b24sandbox import PortalHandle, StandIn
from tests.clocks import Gate, TurnableClock
from tests.people import Person, body_of
from tests.processes import wait_until
from tests.worker import work

PAGE = 351


def test_a_page_comes_down_in_one_request_and_the_run_tells_what_was(alice: Person, standin: StandIn):
    alice.get("/pages")
    before = alice.portal.requests()

    answer = alice.unpublish(PAGE)

    run = body_of(answer)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/runs/{run['id']}"
    assert run["state"] == "succeeded"
    assert run["counts"] == {
        "total": 1, "pending": 0, "running": 0, "succeeded": 1, "failed": 0, "skipped": 0, "cancelled": 0,
    }  # fmt: skip
    assert run["items"][0]["was_published"] is True
    assert run["created_by"] == {"user_id": alice.user_id, "name": run["created_by"]["name"]}
    assert alice.portal.requests() - before == 1
    assert not alice.portal.page(PAGE).active
    assert alice.portal.page(PAGE).modified_by == alice.user_id


def test_without_a_list_read_before_title_and_site_are_known_all_the_same(alice: Person):
    run = body_of(alice.unpublish(PAGE))

    page = alice.portal.page(PAGE)
    assert run["items"][0]["title"] == page.title
    assert run["items"][0]["site"] == alice.portal.state.sites[page.site_id].title


def test_undo_brings_back_what_was(alice: Person):
    taken = alice.unpublish(PAGE)

    undone = alice.undo(taken)

    assert undone.status_code == 201
    assert body_of(undone)["undoes"] == body_of(taken)["id"]
    assert body_of(undone)["state"] == "succeeded"
    assert alice.portal.page(PAGE).active


def test_a_second_undo_is_not_possible(alice: Person):
    taken = alice.unpublish(PAGE)
    alice.undo(taken)

    again = alice.undo(taken)

    assert again.status_code == 409
    assert body_of(again)["code"] == "not_possible_now"
    assert "already been undone" in body_of(again)["detail"]
    asked = alice.fragment("GET", f"/runs/{body_of(taken)['id']}/confirm?what=undo")
    assert "already been undone" in asked.text


def test_what_is_not_possible_says_what_has_become_of_the_run(alice: Person, clock: TurnableClock):
    done = f"/runs/{body_of(alice.unpublish(PAGE))['id']}"
    later = f"{clock() + timedelta(hours=1):%Y-%m-%dT%H:%MZ}"
    stopped = f"/runs/{body_of(alice.unpublish(352, at=later))['id']}"
    bulk = f"/runs/{body_of(alice.unpublish(352, 353))['id']}"
    assert alice.post(f"{stopped}/cancel").status_code == 200

    refusals = {
        f"{done}/cancel": "already finished", f"{done}/retry": "No page of it failed",
        f"{done}/change": "already finished", f"{stopped}/cancel": "already cancelled",
        f"{stopped}/undo": "It changed no page", f"{stopped}/move": "already cancelled",
        f"{bulk}/undo": "not finished yet", f"{bulk}/change": "already begun",
    }  # fmt: skip
    for path, words in refusals.items():
        refused = alice.post(path, {"at": later, "name": "Spring"})

        assert refused.status_code == 409, path
        assert words in body_of(refused)["detail"], path


def test_undo_leaves_alone_what_somebody_changed_since(alice: Person):
    taken = alice.unpublish(PAGE)
    alice.portal.change_page(PAGE, modified_by=1)

    run = body_of(alice.undo(taken))

    assert run["items"][0]["state"] == "skipped"
    assert run["items"][0]["code"] == "changed_since"
    assert not alice.portal.page(PAGE).active


def test_a_page_already_down_is_skipped_and_leaves_nothing_to_undo(alice: Person):
    alice.portal.change_page(PAGE, active=False, public=False)

    taken = alice.unpublish(PAGE)

    run = body_of(taken)
    assert run["items"][0]["state"] == "skipped"
    assert run["items"][0]["was_published"] is False
    assert alice.undo(taken).status_code == 409


def test_publishing_a_published_page_does_not_take_its_draft_live(alice: Person):
    alice.portal.change_page(PAGE, active=True, public=False)

    run = body_of(alice.publish(PAGE))

    assert run["items"][0]["state"] == "skipped"
    assert alice.portal.asked("landing.landing.publication") == 0


def test_without_the_right_the_page_fails_and_the_words_name_the_site(bob: Person):
    bob.get("/pages")

    answer = bob.unpublish(PAGE)

    run = body_of(answer)
    assert answer.status_code == 201
    assert run["state"] == "failed"
    assert run["items"][0]["code"] == "ACCESS_DENIED"
    assert run["items"][0]["site"] in run["items"][0]["detail"]
    assert bob.portal.page(PAGE).active


def test_publication_that_answers_null_is_a_refusal(alice: Person, bob: Person):
    alice.unpublish(PAGE)

    run = body_of(bob.publish(PAGE))

    assert run["items"][0]["state"] == "failed"
    assert run["items"][0]["code"] == "PUBLISH_REFUSED"
    assert not bob.portal.page(PAGE).active


def test_a_page_nobody_may_see_fails_as_not_found(alice: Person):
    run = body_of(alice.unpublish(999_999))

    assert run["items"][0]["state"] == "failed"
    assert run["items"][0]["code"] == "LANDING_NOT_EXIST"


def test_a_retry_is_a_new_run_over_what_failed(alice: Person):
    site = alice.portal.page(PAGE).site_id
    alice.portal.rights(alice.user_id, site, ["read"])
    failed = alice.unpublish(PAGE)
    alice.portal.rights(alice.user_id, site, ["read", "public"])

    again = alice.post(f"/runs/{body_of(failed)['id']}/retry")

    assert again.status_code == 201
    assert body_of(again)["retries"] == body_of(failed)["id"]
    assert body_of(again)["state"] == "succeeded"
    assert not alice.portal.page(PAGE).active


def test_a_knowledge_base_page_is_taken_down_in_its_own_kind(alice: Person):
    page = alice.portal.pages("KNOWLEDGE")[0]

    run = body_of(alice.unpublish(page.id, kind="KNOWLEDGE"))

    assert run["items"][0]["state"] == "succeeded"
    assert not alice.portal.page(page.id).active


@pytest.mark.parametrize(("fault", "status", "code"), [
    ({"kind": "error", "code": "insufficient_scope", "status": 401}, 403, "insufficient_scope"),
    ({"kind": "error", "code": "user_access_error", "status": 403}, 403, "user_access_error"),
    ({"kind": "error", "code": "authorization_error", "status": 401}, 401, "authorization_error"),
    ({"kind": "error", "code": "ACCESS_DENIED", "status": 401}, 403, "ACCESS_DENIED"),
    ({"kind": "error", "code": "PAYMENT_REQUIRED", "status": 401}, 402, "PAYMENT_REQUIRED"),
    ({"kind": "error", "code": "APPLICATION_NOT_FOUND", "status": 401}, 410, "APPLICATION_NOT_FOUND"),
    ({"kind": "error", "code": "PORTAL_DELETED", "status": 403}, 503, "PORTAL_DELETED"),
    ({"kind": "error", "code": "OVERLOAD_LIMIT", "status": 401}, 503, "OVERLOAD_LIMIT"),
    ({"kind": "error", "code": "QUERY_LIMIT_EXCEEDED", "status": 503}, 503, "QUERY_LIMIT_EXCEEDED"),
    ({"kind": "error", "code": "INTERNAL_SERVER_ERROR", "status": 500}, 502, "INTERNAL_SERVER_ERROR"),
])  # fmt: skip
def test_a_failure_of_the_call_is_a_problem_and_no_run_is_kept(
    alice: Person, standin: StandIn, fault: dict, status: int, code: str
):
    standin.fault(0, method="batch", times=1, **fault)

    answer = alice.unpublish(PAGE)

    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    problem = body_of(answer)
    assert problem["code"] == code
    assert {"type", "title", "status", "detail", "remedy", "who", "request_id"} <= problem.keys()
    assert alice.portal.page(PAGE).active
    if status not in (401,) and code != "user_access_error":
        assert body_of(alice.get("/runs"))["runs"] == []


def test_a_run_that_somebody_recorded_meanwhile_is_not_taken_back(alice: Person, services: Services):
    run = UUID(body_of(alice.unpublish(PAGE))["id"])

    with services.store.begin() as db:
        step = pair(db, run).run.step
        taken_back = discard(db, run, step - 1)

    assert not taken_back
    assert alice.get(f"/runs/{run}").status_code == 200


def test_a_run_that_went_while_somebody_waited_for_it_is_not_found(services: Services):
    with services.store.begin() as db, pytest.raises(NotFound):
        pair(db, uuid4())
    with services.store.begin() as db:
        assert discard(db, uuid4(), 0)


def test_a_missing_scope_names_the_scope_and_does_not_renew(alice: Person, standin: StandIn):
    alice.portal.scope([])

    answer = alice.unpublish(PAGE)

    assert answer.status_code == 403
    assert 'error="insufficient_scope", scope="landing"' in answer.headers["WWW-Authenticate"]
    assert standin.oauth_asked("/oauth/token/") == 0


def test_a_limit_says_when_to_come_back(alice: Person, standin: StandIn):
    standin.fault(0, method="batch", kind="error", code="QUERY_LIMIT_EXCEEDED", status=503, times=1)

    answer = alice.unpublish(PAGE)

    assert int(answer.headers["Retry-After"]) > 0


def test_a_lost_answer_is_looked_at_and_told_as_it_is(alice: Person, standin: StandIn):
    alice.get("/pages")
    standin.fault(0, method="batch", kind="reset_after", times=1)

    answer = alice.unpublish(PAGE)

    assert answer.status_code == 201
    assert body_of(answer)["items"][0]["state"] == "succeeded"
    assert not alice.portal.page(PAGE).active


def test_a_request_that_never_arrived_changed_nothing_and_says_so(alice: Person, standin: StandIn):
    alice.get("/pages")
    standin.fault(0, method="batch", kind="reset_before", times=1)

    answer = alice.unpublish(PAGE)

    assert answer.status_code == 502
    assert body_of(answer)["detail"].endswith("The page was not changed.")
    assert alice.portal.page(PAGE).active
    assert body_of(alice.get("/runs"))["runs"] == []


def test_a_list_that_could_not_be_read_sends_nobody_to_the_history(alice: Person, standin: StandIn):
    standin.fault(0, method="batch", kind="reset_before", times=-1)

    answer = alice.get("/pages")

    assert answer.status_code == 502
    assert "History" not in answer.text


def test_the_same_key_and_order_make_one_run(alice: Person):
    first = alice.unpublish(PAGE, key="k1")
    second = alice.unpublish(PAGE, key="k1")

    assert (first.status_code, second.status_code) == (201, 200)
    assert body_of(first)["id"] == body_of(second)["id"]


def test_the_same_key_with_another_order_is_refused(alice: Person):
    alice.unpublish(PAGE, key="k1")

    other = alice.unpublish(352, key="k1")

    assert other.status_code == 422
    assert body_of(other)["code"] == "idempotency_key_reused"


def test_a_refused_order_does_not_use_the_key_up(alice: Person, standin: StandIn):
    standin.fault(0, method="batch", kind="error", code="QUERY_LIMIT_EXCEEDED", status=503, times=1)
    assert alice.unpublish(PAGE, key="k1").status_code == 503

    assert alice.unpublish(PAGE, key="k1").status_code == 201


@pytest.mark.parametrize("body", [
    {}, {"action": "delete", "lids": [1]}, {"action": "unpublish", "lids": []}, {"action": "unpublish", "lids": ["x"]},
    {"action": "unpublish", "lids": [0]}, {"action": "unpublish", "lids": [-1]},
    {"action": "unpublish", "lids": [1], "kind": "X"},
    {"action": "unpublish", "lids": [1], "reason": "r" * 501}, {"action": "unpublish", "lids": [1], "at": "tomorrow"},
    {"action": "unpublish", "lids": [1], "reason": "a\0b"}, {"action": "unpublish", "lids": list(range(1, 5003))},
])  # fmt: skip
def test_a_bad_order_is_refused_in_words_and_nothing_is_asked(alice: Person, body: dict[str, object]):
    before = alice.portal.requests()

    answer = alice.post("/runs", body)

    assert answer.status_code == 422
    assert body_of(answer)["code"] == "invalid"
    assert alice.portal.requests() == before


def test_what_cannot_be_read_is_a_400_and_what_is_no_form_a_415(alice: Person):
    headers = alice.headers()

    broken = alice.client.post("/runs", data="{", content_type="application/json", headers=headers)
    other = alice.client.post("/runs", data="<x/>", content_type="text/xml", headers=headers)
    large = alice.client.post("/runs", data={"reason": "x" * 300_000}, headers=headers)

    assert (broken.status_code, other.status_code, large.status_code) == (400, 415, 413)


def test_runs_are_listed_newest_first_and_filtered(alice: Person):
    first, second = body_of(alice.unpublish(PAGE)), body_of(alice.publish(PAGE))

    listed = body_of(alice.get("/runs"))
    of_page = body_of(alice.get(f"/runs?lid={PAGE}&state=succeeded&user_id={alice.user_id}&limit=1"))

    assert [run["id"] for run in listed["runs"]] == [second["id"], first["id"]]
    assert "items" not in listed["runs"][0]
    assert [run["id"] for run in of_page["runs"]] == [second["id"]]
    rest = body_of(alice.get(f"/runs?limit=1&after={of_page['next']}"))
    assert [run["id"] for run in rest["runs"]] == [first["id"]]


def test_another_portals_run_does_not_exist(alice: Person, charlie: Person):
    run = body_of(alice.unpublish(PAGE))

    for verb, path in [("get", ""), ("post", "/undo"), ("post", "/retry"), ("post", "/cancel"), ("post", "/takeover")]:
        assert getattr(charlie, verb)(f"/runs/{run['id']}{path}").status_code == 404
    assert body_of(charlie.get("/runs"))["runs"] == []


def test_a_colleague_sees_the_run_without_items_of_sites_they_cannot_read(alice: Person, bob: Person):
    run = body_of(alice.unpublish(PAGE))
    bob.portal.rights(bob.user_id, alice.portal.page(PAGE).site_id, [])

    seen = body_of(bob.get(f"/runs/{run['id']}"))

    assert seen["items"] == []
    assert seen["hidden"] == 1
    assert seen["counts"]["total"] == 1


def test_an_unknown_run_is_not_found(alice: Person):
    assert alice.get(f"/runs/{uuid4()}").status_code == 404
    assert alice.get("/runs/not-a-run").status_code == 404


def test_a_preview_tells_what_would_happen_and_does_nothing(alice: Person):
    site = alice.portal.state.sites[alice.portal.page(PAGE).site_id]
    down = next(page for page in alice.portal.pages("PAGE") if not page.active)
    lids = [PAGE, site.index_lid, down.id, 999_999]

    answer = alice.post("/runs/preview", {"action": "unpublish", "lids": lids})

    body = body_of(answer)
    assert answer.status_code == 200
    will = {item["lid"]: item["will"] for item in body["items"]}
    assert will == {PAGE: "unpublish", site.index_lid: "unpublish", down.id: "skip", 999_999: "skip"}
    assert body["counts"]["will"] == 2
    assert body["counts"]["main"] == 1
    assert body["counts"]["missing"] == 1
    assert alice.portal.asked("landing.landing.unpublic") == 0


def test_without_a_session_nothing_is_answered(app: Flask):
    for verb, path in [("get", "/pages"), ("post", "/runs"), ("get", "/runs"), ("put", "/preferences")]:
        answer = getattr(app.test_client(), verb)(path, headers={"Accept": "application/json"})
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
        assert answer.json["code"] == "session_expired"


def test_the_history_names_a_runs_only_page_to_readers_of_its_site(alice: Person, bob: Person):
    alice.unpublish(PAGE)
    title = alice.portal.page(PAGE).title
    bob.get("/pages")

    for person in (alice, bob):
        assert title in person.fragment("GET", "/runs").text


def test_an_undo_waits_until_the_last_batch_of_a_stopped_run_is_known(
    alice: Person, services: Services, standin: StandIn, portal: PortalHandle, gate: Gate
):
    lids = [page.id for page in portal.pages("PAGE") if page.active][:2]
    path = alice.unpublish(*lids).headers["Location"]
    standin.fault(0, "landing.landing.unpublic", kind="latency", seconds=1.0, times=2)
    at_work = Thread(target=work, args=[services])
    at_work.start()
    wait_until(lambda: body_of(alice.get(path))["counts"]["running"] == 2)
    stopped = body_of(alice.post(f"{path}/cancel"))
    too_early = alice.post(f"{path}/undo")
    gate.open()
    at_work.join(30)
    known = body_of(alice.get(path))

    assert stopped["can"] == []
    assert too_early.status_code == 409
    assert known["counts"]["succeeded"] == 2
    assert alice.post(f"{path}/undo").status_code == 201
