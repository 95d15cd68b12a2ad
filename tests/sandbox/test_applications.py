"""The application card, several applications side by side, and what an installation sends (section 11)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from b24sandbox import StandIn
from tests.sandbox.listening import Listening


@pytest.fixture
def app() -> Iterator[Listening]:
    running = Listening()
    yield running
    running.close()


@pytest.fixture
def listening(app, standin) -> Iterator[Listening]:
    """The registered application is there and takes what it is posted."""
    before, standin.app_url = standin.app_url, app.url
    yield app
    standin.app_url = before


def start(app: Listening, **card: Any) -> StandIn:
    return StandIn.start(app_url=app.url, portals=1, **card)


def test_the_system_user_is_announced_at_the_installers_address(listening, portal, standin):
    portal.finish_install()
    assert standin.wait_for_events()

    [(path, form)] = listening.posts
    data, auth = form["data"], form["auth"]
    assert (path, form["event"], listening.types) == (
        "/install",
        "ONAPPUSERREADY",
        ["application/x-www-form-urlencoded"],
    )
    assert set(data) == {
        "access_token", "refresh_token", "expires_in", "scope", "domain", "server_endpoint", "client_endpoint",
        "member_id", "user_id", "client_id", "status", "LANGUAGE_ID",
    }  # fmt: skip
    assert data["domain"] == urlsplit(standin.oauth).netloc
    assert data["client_id"] == standin.client_id
    assert (auth["application_token"], auth["user_id"]) == (portal.application_token, "1")
    assert standin.world.refreshes[data["refresh_token"]].user_id == portal.system_user.id == int(data["user_id"])
    assert standin.world.tokens[auth["access_token"]].user_id == 1


def test_the_system_user_is_an_ordinary_person_no_list_shows(listening, portal, standin, admin):
    portal.scope(["user"])
    portal.finish_install()
    admin.tokens = portal.tokens("admin")

    user = portal.system_user
    assert (user.name, user.last_name, user.admin, user.time_zone) == (
        standin.world.application.title,
        "",
        False,
        "Europe/Berlin",
    )
    assert str(user.id) not in [each["ID"] for each in admin("user.get")]


def test_the_system_user_goes_with_the_app_and_comes_back(listening, portal):
    portal.finish_install()
    first = portal.system_user.id
    portal.uninstall()
    gone = portal.state.users[first].active
    portal.install()
    portal.finish_install()

    assert (gone, portal.system_user.id, portal.system_user.active) == (False, first, True)


@pytest.mark.parametrize(("switch", "events"), [("before", 2), ("after", 2), ("off", 1)])
def test_a_portal_may_announce_it_first_or_last_or_never(listening, portal, standin, admin, switch, events):
    admin("event.bind", event="ONAPPINSTALL", handler=f"{listening.url}/events")
    portal.switch(user_ready=switch)
    standin.world.event_queue.hold = True

    assert portal.finish_install() == 1
    held = [each.event for each in standin.world.event_queue.held]

    assert len(held) == events
    assert held[0 if switch != "before" else -1] == "ONAPPINSTALL"


def test_it_can_be_sent_again_and_elsewhere(listening, portal, standin):
    portal.user_ready(f"{listening.url}/events")
    standin.wait_for_events()
    address, form = portal.user_ready_form()

    assert listening.at("/events") == ["ONAPPUSERREADY"]
    assert address == f"{listening.url}/install"
    assert form["event"] == "ONAPPUSERREADY"
    assert form["data[user_id]"] == str(portal.system_user.id)


def test_an_update_runs_the_installer_again_and_keeps_options(listening, portal, standin, admin):
    portal.scope(["landing", "placement"])
    admin.tokens = portal.tokens("admin")
    portal.finish_install()
    admin("app.option.set", options={"a": "1"})
    admin("event.bind", event="ONAPPINSTALL", handler=f"{listening.url}/events")
    admin("placement.bind", PLACEMENT="LEFT_MENU", HANDLER=f"{listening.url}/menu")
    standin.wait_for_events()
    listening.posts.clear()

    portal.update()

    assert portal.installed is False
    assert (admin("event.get"), admin("placement.get"), admin("app.option.get")) == ([], [], {"a": "1"})
    admin("event.bind", event="ONAPPINSTALL", handler=f"{listening.url}/events")
    assert portal.finish_install() == 0  # rest 26.800: no ONAPPINSTALL after an update
    standin.wait_for_events()
    assert listening.events == ["ONAPPUSERREADY"]


def test_an_older_portal_tells_of_the_installation_after_an_update_too(listening, portal, admin):
    portal.switch(install_event_after_update=True)
    portal.finish_install()
    portal.update()
    admin("event.bind", event="ONAPPINSTALL", handler=f"{listening.url}/events")

    assert portal.finish_install() == 1


def test_the_card_says_where_things_are(app):
    card = {
        "install_path": "/b24/install", "app_path": "/b24", "callback_path": "/back", "events_path": "/hear",
        "title": "Tide tables", "code": "acme.tides", "scope": ["crm", "im"], "status": "L", "client_id": "local.1",
        "client_secret": "hush",
    }  # fmt: skip
    with start(app, **card) as standin:
        portal = standin.portals[0]
        installer, form = portal.open("admin", install=True)
        opened, _ = portal.open("admin")
        portal.install()
        portal.finish_install()
        standin.wait_for_events()
        back = requests.get(
            f"{portal.url}/oauth/authorize/", params={"client_id": "local.1"}, allow_redirects=False, timeout=10
        ).headers["Location"]

        assert installer.startswith(f"{app.url}/b24/install?")
        assert opened.startswith(f"{app.url}/b24?")
        assert back.startswith(f"{app.url}/back?code=")
        assert (form["APPLICATION_SCOPE"], form["status"]) == ("crm,im", "L")
        assert app.at("/hear") == ["ONAPPINSTALL"]
        assert app.at("/b24/install") == ["ONAPPUSERREADY"]
        assert (standin.client_id, standin.client_secret) == ("local.1", "hush")


def test_an_app_without_pages_is_told_at_its_installers_address(app):
    with start(app, api_only=True) as standin:
        portal = standin.portals[0]

        assert portal.install() == 1
        assert standin.wait_for_events()

        assert portal.installed is True
        assert sorted(map(str, app.at("/install"))) == ["ONAPPINSTALL", "ONAPPUSERREADY"]
        [install] = [form for form in app.forms if form["event"] == "ONAPPINSTALL"]
        assert install["auth"]["refresh_token"] in standin.world.refreshes


def test_an_app_without_an_installer_is_finished_at_once(app):
    with start(app, install_path="") as standin:
        url, _ = standin.portals[0].open("admin", install=None)

        assert standin.portals[0].installed is True
        assert url.startswith(f"{app.url}/app?")


def test_a_field_no_card_has_is_refused(app):
    with pytest.raises(ValueError, match="unknown: titel; an application's card has client_id"):
        start(app, titel="x")


@pytest.fixture
def two(app) -> Iterator[StandIn]:
    with StandIn.start(
        apps=[{"title": "One", "url": app.url}, {"title": "Two", "url": app.url, "scope": ["im"]}]
    ) as standin:
        yield standin


def ask(portal, method: str, token: object, **params: object) -> requests.Response:
    return requests.post(portal.endpoint + method, json={**params, "auth": token}, timeout=10)


def test_two_apps_have_their_own_credentials_tokens_and_options(two):
    one, other = two.portals[0], two.portals[0].of(1)
    first, second = one.tokens("admin"), other.tokens("admin")
    cards = two.world.applications

    crossed = requests.post(
        f"{two.oauth}/oauth/token/",
        data={
            "grant_type": "refresh_token",
            "client_id": cards[1].client_id,
            "client_secret": cards[1].client_secret,
            "refresh_token": first["refresh_token"],
        },
        timeout=10,
    )
    ask(one, "app.option.set", first["access_token"], options={"a": 1})

    assert (crossed.status_code, crossed.json()["error"]) == (400, "invalid_grant")
    assert ask(other, "app.option.get", second["access_token"]).json()["result"] == []
    assert ask(one, "scope", first["access_token"]).json()["result"] == ["landing"]
    assert ask(other, "scope", second["access_token"]).json()["result"] == ["im"]
    codes = [
        ask(portal, "app.info", t["access_token"]).json()["result"]["CODE"]
        for portal, t in ((one, first), (other, second))
    ]
    assert codes == [card.client_id for card in cards]


def test_removing_one_app_leaves_the_other(two):
    one, other = two.portals[0], two.portals[0].of(1)
    first, second = one.tokens("admin"), other.tokens("admin")

    one.uninstall()

    assert ask(one, "profile", first["access_token"]).json()["error"] == "ERROR_OAUTH"
    assert ask(other, "profile", second["access_token"]).status_code == 200
    assert one.application_token is None
    assert other.application_token


def test_the_control_api_names_the_app(two):
    form = requests.post(f"{two.control}/open", json={"app": 1, "user": "admin", "install": True}, timeout=10).json()[
        "form"
    ]
    missing = requests.post(f"{two.control}/tokens", json={"app": 2}, timeout=10)

    assert form["APPLICATION_TOKEN"] == two.portals[0].of(1).application_token
    assert form["APPLICATION_SCOPE"] == "im"
    assert (missing.status_code, missing.json()["error"]) == (404, "no application 2")


def test_an_app_can_be_added_while_it_runs(two, app):
    place = two.add_app(title="Three", url=app.url, scope=["crm"])
    two.reset()

    url, form = two.portals[1].of(place).open("admin")
    query = parse_qs(urlsplit(url).query)
    assert (place, form["APPLICATION_SCOPE"], query["DOMAIN"]) == (2, "crm", [two.portals[1].domain])
    with pytest.raises(ValueError, match="is taken"):
        two.add_app(client_id=two.client_id)


def test_every_app_has_its_entry_in_the_menu(two):
    page = requests.get(two.portals[0].url, timeout=10).text

    assert "<span>One</span>" in page
    assert "<span>Two</span>" in page
    assert "app=1" in page
