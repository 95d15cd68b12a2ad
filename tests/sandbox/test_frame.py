"""Sections 2.1 to 2.3 and 7: the frame's form, and the commands that need the server."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from b24sandbox.server.http import Listener, Response


def test_the_form_of_a_frame(portal, standin):
    url, form = portal.open("editor", placement="LANDING_SETTINGS", options={"SITE_ID": "3", "LID": "351"})

    query = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}
    assert url.startswith("http://127.0.0.1:8100/app?")
    assert list(query) == ["DOMAIN", "PROTOCOL", "LANG", "APP_SID"]
    assert (query["DOMAIN"], query["PROTOCOL"], query["LANG"]) == (portal.domain, "0", "en")
    assert set(form) == {
        "AUTH_ID",
        "AUTH_EXPIRES",
        "REFRESH_ID",
        "SERVER_ENDPOINT",
        "APPLICATION_TOKEN",
        "APPLICATION_SCOPE",
        "member_id",
        "status",
        "PLACEMENT",
        "PLACEMENT_OPTIONS",
    }
    assert form["SERVER_ENDPOINT"] == f"{standin.oauth}/rest/"
    assert json.loads(form["PLACEMENT_OPTIONS"]) == {"SITE_ID": "3", "LID": "351"}


def test_a_frame_begins_a_chain_of_its_own(portal, editor):
    _, first = portal.open("editor")
    _, second = portal.open("editor")

    assert len({first["AUTH_ID"], second["AUTH_ID"], editor.access}) == 3
    assert editor("profile")["ID"] == "7"  # the older chain lives on


def test_default_may_come_without_options(portal):
    assert portal.open("editor")[1]["PLACEMENT_OPTIONS"] == "[]"
    portal.switch(options_for_default=False)
    assert "PLACEMENT_OPTIONS" not in portal.open("editor")[1]


def frame(portal, session, **query: str) -> tuple[int, dict[str, Any]]:
    answer = session.get(f"{portal.url}/_standin/frame", params=query, timeout=10)
    return answer.status_code, answer.json()


def command(portal, session, sid: str, said: str, /, **params: object) -> dict[str, Any]:
    body = {"sid": sid, "command": said, "params": params}
    return session.post(f"{portal.url}/_standin/command", json=body, timeout=10).json()


def test_the_installer_is_shown_to_administrators_until_it_has_finished(portal, session):
    _, first = frame(portal, session, user="1")
    status, refused = frame(portal, session, user="7")
    finish = command(portal, session, first["sid"], "setInstallFinish")
    _, second = frame(portal, session, user="1")
    _, other = frame(portal, session, user="7", lang="de")

    assert "/install?" in first["url"]
    assert (status, refused["error"]) == (403, "not_finished")
    assert finish == {"silent": True, "reload": True}  # never replied
    assert "/app?" in second["url"]
    assert "LANG=de" in other["url"]
    assert first["name"] == f"{portal.domain}|0|{first['sid']}"


def test_a_frame_of_a_removed_app_is_refused(portal, session):
    portal.uninstall()

    assert frame(portal, session, user="1")[0] == 404


def test_a_placement_leads_to_the_handler_bound_for_it(portal, session, editor):
    item = {"PLACEMENT": "LANDING_SETTINGS", "PLACEMENT_HANDLER": "http://127.0.0.1:8100/app?from=item", "TITLE": "x"}
    editor("landing.repo.bind", fields=item)
    portal.finish_install()

    _, opened = frame(portal, session, user="7", placement="LANDING_SETTINGS", options='{"LID":"351"}')

    assert opened["url"].startswith("http://127.0.0.1:8100/app?from=item&DOMAIN=")
    assert opened["form"]["PLACEMENT_OPTIONS"] == '{"LID": "351"}'


@pytest.mark.parametrize("query", [{"user": "99"}, {"options": "{"}])
def test_a_frame_asked_for_wrongly(portal, session, query):
    assert frame(portal, session, **query)[0] == 400


@pytest.fixture
def sid(portal, session) -> str:
    portal.finish_install()
    return str(frame(portal, session, user="7")[1]["sid"])


def test_init_data(portal, session, sid):
    data = command(portal, session, sid, "getInitData")["reply"]

    assert (data["DOMAIN"], data["PROTOCOL"], data["PATH"]) == (portal.domain, 0, "/rest")
    assert (data["IS_ADMIN"], data["INSTALL"], data["FIRST_RUN"]) == (False, False, False)
    assert data["USER_OPTIONS"] == []  # PHP's empty map
    assert data["MEMBER_ID"] == portal.member_id


def test_refresh_auth_begins_a_new_chain_or_stays_silent(portal, session, sid, editor):
    reply = command(portal, session, sid, "refreshAuth")["reply"]
    editor.tokens = {"access_token": reply["AUTH_ID"]}
    assert editor("profile")["ID"] == "7"

    portal.forget_user("editor")

    assert command(portal, session, sid, "refreshAuth")["silent"] is True


def test_options_and_echoes(portal, session, sid):
    assert command(portal, session, sid, "setUserOption", name="theme", value="dark")["reply"]
    assert command(portal, session, sid, "getInitData")["reply"]["USER_OPTIONS"] == {"theme": "dark"}
    assert command(portal, session, sid, "setAppOption", name="a", value=1) == {"silent": True}  # no administrator
    assert command(portal, session, sid, "setInstall", install=True)["reply"] == {"install": True}
    assert "getInitData" in command(portal, session, sid, "getInterface")["reply"]["command"]


@pytest.mark.parametrize("name", ["reloadWindow", "imCallTo", "nonsense"])
def test_silences(portal, session, sid, name):
    assert command(portal, session, sid, name) == {"silent": True}


def test_a_message_with_a_foreign_sid_is_dropped(standin, portal, session, sid):
    assert command(portal, session, "x" * 32, "getInitData")["silent"] is True
    assert command(standin.portals[1], session, sid, "getInitData")["silent"] is True


def test_the_portals_page_is_there(portal, session):
    page = session.get(f"{portal.url}/", timeout=10)

    assert page.status_code == 200
    assert "Harbour" in page.text


def test_listeners_close_with_their_connections(session):
    listener = Listener("127.0.0.1", 0, lambda request: Response(200, b"ok"))
    assert session.get(listener.url, timeout=5).text == "ok"

    listener.close()

    with pytest.raises(OSError, match="refused"):
        session.get(listener.url, timeout=5)


def test_the_address_of_the_editor_leads_to_the_pages_settings(portal):
    answer = requests.get(f"{portal.url}/sites/site/3/view/351/", timeout=10)

    assert answer.status_code == 200
    assert answer.url == f"{portal.url}/sites/?site=3&lid=351"
