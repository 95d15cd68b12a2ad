"""A post into the frame is a claim: what proves it, what it costs, and what a forged one gets."""

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import func, select

from b24app.portals.bindings import EVENTS, PLACEMENT
from b24app.services import Services
from b24app.store.models import Portal, User, UserToken, VerifiedToken
from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.people import TOKEN, Person


def rows(services: Services) -> int:
    """How much is remembered."""
    with services.store.begin() as db:
        tables = (Portal, User, UserToken, VerifiedToken)
        return sum(db.scalar(select(func.count()).select_from(table)) or 0 for table in tables)


def test_the_installer_binds_everything_and_says_so(app: Flask, standin: StandIn, services: Services):
    portal = standin.portals[0]
    administrator = Person(app, portal, "admin")

    answer = administrator.install()

    assert answer.status_code == 200
    with services.store.begin() as db:
        stored = db.get_one(Portal, portal.member_id)
    assert stored.client_endpoint == portal.endpoint
    assert stored.bound_to == services.config.app_url
    assert stored.application_token_sha256
    assert portal.asked("event.bind") == 4
    assert portal.asked("landing.repo.bind") == 1


def test_installing_again_is_welcome_and_already_bound_is_success(ada: Person, services: Services):
    again = ada.install()

    assert again.status_code == 200
    assert "already" not in again.text.lower()
    with services.store.begin() as db:
        assert db.get_one(Portal, ada.portal.member_id).bound_to == services.config.app_url


def test_without_the_scope_the_installer_says_who_can_grant_it_and_where(app: Flask, standin: StandIn):
    portal = standin.portals[0]
    portal.install()
    portal.scope(["user_brief"])

    answer = Person(app, portal, "admin").install()

    assert answer.status_code == 200
    assert "administrator" in answer.text
    assert "Market → Installed" in answer.text


def test_the_installer_names_both_permissions_and_what_each_is_for(app: Flask, standin: StandIn):
    portal = standin.portals[0]
    portal.install()
    without = Person(app, portal, "admin").install().text
    portal.scope(["landing", "im"])

    granted = Person(app, portal, "admin").install().text

    for page in (without, granted):
        assert "To list, unpublish and publish pages." in page
        assert "Permission to send notices" in page
        assert 'data-ready="yes"' in page
    assert "To notify people in the portal about their schedules." in granted
    assert "An administrator can grant it by updating or reinstalling the app." in without


def test_opening_costs_two_requests_then_one_then_none_with_a_known_token(standin: StandIn, app: Flask, ada: Person):
    editor = Person(app, standin.portals[0], "editor")
    first, second = editor.frame(), editor.frame()

    def cost(post: tuple[str, dict[str, str]]) -> int:
        before = standin.portals[0].requests() + standin.oauth_asked("app.info")
        assert editor.post_frame(*post).status_code == 200
        return standin.portals[0].requests() + standin.oauth_asked("app.info") - before

    assert [cost(first), cost(second), cost(second)] == [2, 1, 0]


def test_no_token_of_bitrix24_is_in_the_page_or_its_headers(app: Flask, standin: StandIn, ada: Person):
    editor = Person(app, standin.portals[0], "editor")
    path, form = editor.frame()

    answer = editor.post_frame(path, form)

    whole = answer.text + str(answer.headers)
    assert form["AUTH_ID"] not in whole
    assert form["REFRESH_ID"] not in whole
    assert form["APPLICATION_TOKEN"] not in whole
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in answer.headers


def test_only_the_proven_portal_may_frame_the_app(app: Flask, standin: StandIn, ada: Person):
    answer = Person(app, standin.portals[0], "editor").open()

    policy = answer.headers["Content-Security-Policy"]
    assert f"frame-ancestors {standin.portals[0].url.rstrip('/')}" in policy
    assert "frame-ancestors 'none'" in app.test_client().get("/app").headers["Content-Security-Policy"]


Forgery = Callable[[StandIn, dict[str, str], dict[str, str]], None]


def a_made_up_token(standin: StandIn, query: dict[str, str], form: dict[str, str]) -> None:
    form["AUTH_ID"] = "f" * 64


def another_portals_token(standin: StandIn, query: dict[str, str], form: dict[str, str]) -> None:
    standin.portals[1].install()
    form["AUTH_ID"] = str(standin.portals[1].tokens("admin")["access_token"])


def another_member_id(standin: StandIn, query: dict[str, str], form: dict[str, str]) -> None:
    form["member_id"] = standin.portals[1].member_id


def another_domain(standin: StandIn, query: dict[str, str], form: dict[str, str]) -> None:
    query["DOMAIN"] = "evil.example"


def a_token_of_another_app(standin: StandIn, query: dict[str, str], form: dict[str, str]) -> None:
    standin.world.application.client_id = "app.of.somebody.else"


def an_expired_token(standin: StandIn, query: dict[str, str], form: dict[str, str]) -> None:
    standin.portals[0].expire()


def a_token_of_a_removed_app(standin: StandIn, query: dict[str, str], form: dict[str, str]) -> None:
    standin.portals[0].state.installation = None


FORGERIES = [
    a_made_up_token, another_portals_token, another_member_id, another_domain, a_token_of_another_app,
    an_expired_token, a_token_of_a_removed_app,
]  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES)
@pytest.mark.parametrize("route", ["/install", "/app", "/session"])
def test_a_forged_post_is_refused_in_words_and_leaves_nothing(
    app: Flask, standin: StandIn, services: Services, forge: Forgery, route: str
):
    form = Person(app, standin.portals[0], "admin").frame(install=True)[1]
    query = {"DOMAIN": standin.portals[0].domain, "PROTOCOL": "0", "LANG": "en", "APP_SID": "a" * 32}
    forge(standin, query, form)

    answer = app.test_client().post(route, query_string=query, data={**form, "DOMAIN": query["DOMAIN"]})

    assert answer.status_code == 403
    assert rows(services) == 0
    assert standin.portals[0].requests() == 0
    assert not TOKEN.search(answer.text)
    assert "session_token" not in answer.text


def test_a_server_that_vouches_for_its_own_forgery_is_never_asked(app: Flask, standin: StandIn, services: Services):
    with StandIn.start(portals=1) as evil:
        evil.portals[0].install()
        form = Person(app, standin.portals[0], "admin").frame(install=True)[1]
        forged = {
            **form, "AUTH_ID": str(evil.portals[0].tokens("admin")["access_token"]),
            "SERVER_ENDPOINT": f"{evil.oauth}/rest/", "member_id": evil.portals[0].member_id,
        }  # fmt: skip

        for route in ("/install", "/app", "/session"):
            answer = app.test_client().post(f"{route}?DOMAIN={evil.portals[0].domain}", data=forged)

            assert answer.status_code == 403
        assert not evil.calls()
        assert rows(services) == 0


def test_a_refusal_may_be_framed_by_a_known_portal_and_by_nobody_else(app: Flask, standin: StandIn, ada: Person):
    portal = standin.portals[0]
    policies = []
    for domain, member_id in [(portal.domain, portal.member_id), ("evil.example", portal.member_id)]:
        form = {"AUTH_ID": "f" * 64, "member_id": member_id}
        answer = app.test_client().post("/app", query_string={"DOMAIN": domain}, data=form)
        assert answer.status_code == 403
        assert answer.headers["Cache-Control"] == "no-store"
        policies.append(answer.headers["Content-Security-Policy"].rpartition("frame-ancestors ")[2])

    assert policies == [portal.url.rstrip("/"), "'none'"]


@pytest.mark.parametrize(
    "domain", ["evil.example; script-src *", "evil.example *", "a@b", "//evil", "evil.example/x", ""]
)
def test_what_is_no_host_reaches_no_header(app: Flask, standin: StandIn, domain: str):
    standin.fault("oauth", method="app.info", kind="reset_before", times=5)
    form = {"AUTH_ID": "f" * 64, "member_id": "a" * 32}

    answer = app.test_client().post("/app", query_string={"DOMAIN": domain}, data=form)

    assert answer.status_code == 400
    assert "evil" not in str(answer.headers)


def test_an_administrator_who_opens_first_binds_everything(app: Flask, standin: StandIn, services: Services):
    portal = standin.portals[0]
    portal.install()
    by_a_colleague = Person(app, portal, "editor").opened()
    assert portal.asked("event.bind") == 0

    Person(app, portal, "admin").opened()

    assert by_a_colleague.token
    assert {each.event for each in portal.state.installation.bindings} == set(EVENTS)  # type: ignore[union-attr]
    assert [each.code for each in portal.state.installation.placements] == [PLACEMENT]  # type: ignore[union-attr]
    with services.store.begin() as db:
        assert db.get_one(Portal, portal.member_id).bound_to == services.config.app_url


def test_what_could_not_be_bound_is_bound_at_the_next_open(app: Flask, standin: StandIn, services: Services):
    portal = standin.portals[0]
    standin.fault(0, method="landing.repo.bind", kind="error", code="ACCESS_DENIED", status=400, times=1)
    administrator = Person(app, portal, "admin")
    first = administrator.install()
    with services.store.begin() as db:
        assert db.get_one(Portal, portal.member_id).bound_to is None

    administrator.open()

    assert "Failed" in first.text
    with services.store.begin() as db:
        assert db.get_one(Portal, portal.member_id).bound_to == services.config.app_url


def test_a_colleagues_installer_does_not_count_as_bound(app: Flask, standin: StandIn, services: Services):
    """Who is no administrator binds events for themselves only."""
    portal = standin.portals[0]

    Person(app, portal, "editor").install()

    with services.store.begin() as db:
        assert db.get_one(Portal, portal.member_id).bound_to is None


def test_a_proof_is_forgotten_when_the_user_may_no_more(app: Flask, standin: StandIn, alice: Person):
    post = alice.frame()
    alice.post_frame(*post)
    asked = standin.oauth_asked("app.info")
    alice.portal.change_user("editor", active=False)
    alice.get("/pages")

    alice.post_frame(*post)

    assert standin.oauth_asked("app.info") == asked + 1


def test_a_foreign_authorization_server_is_never_asked(app: Flask, standin: StandIn, services: Services):
    evil = StandIn.start(portals=1)
    try:
        person = Person(app, standin.portals[0], "admin")
        path, form = person.frame(install=True)
        form["SERVER_ENDPOINT"] = f"{evil.oauth}/rest/"

        answer = person.post_frame(path, form)

        assert answer.status_code == 200, "the default server matches_application_token for it"
        assert evil.oauth_asked("app.info") == 0
        assert not evil.calls()
    finally:
        evil.stop()


def test_the_user_comes_from_the_token_and_not_from_the_post(app: Flask, standin: StandIn, ada: Person):
    reader = Person(app, standin.portals[0], "reader")
    path, form = reader.frame()

    reader.post_frame(path, {**form, "user_id": "1", "USER_ID": "1"})

    assert reader.unpublish(351).json["items"][0]["state"] == "failed"  # type: ignore[index]
    assert standin.portals[0].page(351).active


def test_an_authorization_server_that_cannot_be_asked_stores_nothing(app: Flask, standin: StandIn, services: Services):
    standin.fault("oauth", method="app.info", kind="reset_before", times=5)

    answer = Person(app, standin.portals[0], "admin").install()

    assert answer.status_code == 502
    assert rows(services) == 0


@pytest.mark.parametrize(("body", "kind", "status"), [
    ({}, "application/x-www-form-urlencoded", 400),
    ('{"AUTH_ID": "x"}', "application/json", 415),
    ({"AUTH_ID": "x" * 70_000}, "application/x-www-form-urlencoded", 413),
])  # fmt: skip
@pytest.mark.parametrize("route", ["/install", "/app"])
def test_what_is_no_frame_post_is_refused_before_anybody_is_asked(
    app: Flask, standin: StandIn, route: str, body: object, kind: str, status: int
):
    answer = app.test_client().post(route, data=body, content_type=kind)

    assert answer.status_code == status
    assert "<html" in answer.text
    assert standin.oauth_asked("app.info") == 0


@pytest.mark.parametrize("route", ["/install", "/app"])
@pytest.mark.parametrize("verb", ["get", "head"])
def test_a_plain_browser_is_told_where_the_app_lives(app: Flask, route: str, verb: str):
    answer = getattr(app.test_client(), verb)(route)

    assert answer.status_code == 200
    assert verb == "head" or "Bitrix24" in answer.text


def test_an_oauth_return_to_the_application_url_is_passed_on(app: Flask):
    answer = app.test_client().get("/app?code=abc&state=s&domain=d.example")

    assert answer.status_code == 302
    assert answer.headers["Location"] == "/oauth/callback?code=abc&state=s&domain=d.example"


def test_a_proof_ends_with_the_token(app: Flask, standin: StandIn, ada: Person, clock: TurnableClock):
    editor = Person(app, standin.portals[0], "editor")
    post = editor.frame()
    editor.post_frame(*post)
    asked = standin.oauth_asked("app.info")

    clock.tick(hours=2)
    answer = editor.post_frame(*post)

    assert standin.oauth_asked("app.info") == asked + 1
    assert answer.status_code == 200, "by the portal's own clock the token lives, so it is proven anew"


def test_the_page_settings_placement_opens_on_that_page(app: Flask, standin: StandIn, ada: Person):
    answer = Person(app, standin.portals[0], "editor").open(placement="LANDING_SETTINGS", LID="351", SITE_ID="3")

    assert "/pages/351" in answer.text


def test_settings_opened_without_a_page_show_the_list(app: Flask, standin: StandIn, ada: Person):
    answer = Person(app, standin.portals[0], "editor").open(placement="LANDING_SETTINGS", LID="0", SITE_ID="3")

    assert answer.status_code == 200
    assert "/pages/0" not in answer.text


@pytest.mark.parametrize("shown", [True, False])
def test_a_binding_counts_only_when_event_get_shows_it(app: Flask, standin: StandIn, services: Services, shown: bool):
    """ERROR_CORE stands for "bound already", for "another bind is under way" and for trouble (rest source)."""
    portal = standin.portals[0]
    administrator = Person(app, portal, "admin")
    if shown:
        administrator.install()
    standin.fault(0, "event.bind", kind="error", code="ERROR_CORE", status=400, times=4)

    answer = administrator.install()

    with services.store.begin() as db:
        bound = db.get_one(Portal, portal.member_id).bound_to
    assert bound == (services.config.app_url if shown else None)
    assert ("Failed" in answer.text) is not shown


def test_what_a_colleague_bound_for_themselves_is_bound_for_nobody_else(
    app: Flask, standin: StandIn, services: Services
):
    portal = standin.portals[0]
    Person(app, portal, "editor").install()
    standin.fault(0, "event.bind", kind="error", code="ERROR_CORE", status=400, times=4)

    answer = Person(app, portal, "admin").install()

    assert "Failed" in answer.text
    with services.store.begin() as db:
        assert db.get_one(Portal, portal.member_id).bound_to is None


def test_a_bind_that_answers_true_and_shows_nothing_is_not_believed(app: Flask, standin: StandIn, services: Services):
    portal = standin.portals[0]
    standin.fault(0, "event.get", kind="wrong_field", field="result", value=[], times=-1)

    answer = Person(app, portal, "admin").install()

    assert "Failed" in answer.text
    with services.store.begin() as db:
        assert db.get_one(Portal, portal.member_id).bound_to is None


def test_the_installer_registers_everything_anew_at_an_update(ada: Person, services: Services, standin: StandIn):
    ada.portal.update()
    assert ada.portal.state.installation is not None
    assert not ada.portal.state.installation.bindings

    assert ada.install().status_code == 200

    assert {each.event for each in ada.portal.state.installation.bindings} == set(EVENTS)
    with services.store.begin() as db:
        assert db.get_one(Portal, ada.portal.member_id).bound_to == services.config.app_url
