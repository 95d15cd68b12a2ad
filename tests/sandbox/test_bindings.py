"""Sections 2.4 to 2.6: what an app binds."""

from __future__ import annotations

import pytest

HANDLER = "http://127.0.0.1:8100/events"
ITEM = {"PLACEMENT": "LANDING_SETTINGS", "PLACEMENT_HANDLER": "http://127.0.0.1:8100/app", "TITLE": "Unpublish"}


def test_binding_an_event_twice_is_an_error_to_be_taken_for_success(admin):
    assert admin("event.bind", event="onAppInstall", handler=HANDLER) is True
    assert admin.error("event.bind", EVENT="ONAPPINSTALL", HANDLER=HANDLER) == (400, "ERROR_CORE")
    assert admin("event.get") == [{"event": "ONAPPINSTALL", "handler": HANDLER, "auth_type": "0", "offline": 0}]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"handler": HANDLER}, (400, "ERROR_ARGUMENT")),
        ({"event": "ONAPPINSTALL"}, (400, "ERROR_ARGUMENT")),
        ({"event": "ONAPPINSTALL", "handler": HANDLER, "event_type": "x"}, (400, "ERROR_ARGUMENT")),
        ({"event": "ONCRMDEALADD", "handler": HANDLER}, (400, "ERROR_EVENT_NOT_FOUND")),
        ({"event": "ONAPPINSTALL", "handler": "ftp://127.0.0.1/"}, (400, "ERROR_UNSUPPORTED_PROTOCOL")),
        ({"event": "ONAPPINSTALL", "handler": "http://localhost/"}, (400, "ERROR_WRONG_HANDLER_URL")),
        ({"event": "ONAPPINSTALL", "handler": HANDLER, "auth_type": 1}, (403, "ACCESS_DENIED")),
        ({"event": "ONAPPINSTALL", "handler": HANDLER, "event_type": "offline"}, (403, "ACCESS_DENIED")),
    ],
)
def test_refused_events(editor, params, expected):
    assert editor.error("event.bind", **params) == expected


def test_an_error_of_an_argument_names_it(editor):
    assert editor.ask("event.bind", handler=HANDLER).json()["argument"] == "event"


def test_people_bind_and_see_their_own(admin, editor):
    admin("event.bind", event="ONAPPINSTALL", handler=HANDLER)
    editor("event.bind", event="ONAPPINSTALL", handler=HANDLER)

    assert [each["auth_type"] for each in editor("event.get")] == ["7"]
    assert [each["auth_type"] for each in admin("event.get")] == ["0", "7"]


def test_the_trap_of_unbinding_with_a_forms_own_id(admin, editor):
    editor("event.bind", event="ONAPPINSTALL", handler=HANDLER)
    admin("event.bind", event="ONAPPINSTALL", handler=HANDLER)

    named = {"event": "ONAPPINSTALL", "handler": HANDLER}
    assert editor.error("event.unbind", **named, auth_type="7") == (403, "ACCESS_DENIED")
    assert editor("event.unbind", **named, auth_type=7) == {"count": 1}
    assert admin("event.unbind", event="onappinstall", handler=HANDLER) == {"count": 1}
    assert admin("event.unbind", **named) == {"count": 0}


def test_unbinding_wants_the_handler(admin):
    answer = admin.ask("event.unbind", event="ONAPPINSTALL")

    assert (answer.status_code, answer.json()["error"], answer.json()["argument"]) == (400, "ERROR_ARGUMENT", "handler")


def test_the_item_in_the_settings(editor, portal):
    assert editor("landing.repo.bind", fields=ITEM) is True
    assert editor.error("landing.repo.bind", fields=ITEM) == (400, "PLACEMENT_EXIST")
    assert [each.title for each in portal.state.installation.placements] == ["Unpublish"]
    assert editor("landing.repo.unbind", code="LANDING_SETTINGS", handler=ITEM["PLACEMENT_HANDLER"]) is True
    assert editor.error("landing.repo.unbind", code="LANDING_SETTINGS") == (400, "PLACEMENT_NO_EXIST")


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, "MISSING_PARAMS"),
        ({"fields": "x"}, "TYPE_ERROR"),
        ({"fields": {**ITEM, "PLACEMENT": "CRM_DEAL"}}, "PLACEMENT_UNKNOWN"),
        ({"fields": {**ITEM, "PLACEMENT_HANDLER": "/app"}}, "PLACEMENT_HANDLER_INVALID"),
    ],
)
def test_refused_items(editor, params, code):
    assert editor.error("landing.repo.bind", **params) == (400, code)


def test_a_webhook_is_no_app(portal, session):
    bind = session.post(portal.webhook + "landing.repo.bind", json={"fields": ITEM}, timeout=10)
    unbind = session.post(portal.webhook + "landing.repo.unbind", json={"code": "LANDING_SETTINGS"}, timeout=10)

    assert (bind.status_code, bind.json()["error"]) == (400, "ACCESS_DENIED")
    assert unbind.json()["result"] is None


def test_other_widgets_want_a_scope_an_administrator_and_a_known_place(portal, admin, editor):
    assert admin.error("placement.bind", PLACEMENT="LEFT_MENU", HANDLER=HANDLER) == (401, "insufficient_scope")
    portal.scope(["landing", "placement"])
    admin.tokens, editor.tokens = portal.tokens("admin"), portal.tokens("editor")

    assert editor.error("placement.bind", PLACEMENT="LEFT_MENU", HANDLER=HANDLER) == (403, "ACCESS_DENIED")
    assert admin.error("placement.bind", PLACEMENT="DEFAULT", HANDLER=HANDLER) == (400, "ERROR_PLACEMENT_NOT_FOUND")
    assert admin.error("placement.bind", PLACEMENT="LEFT_MENU") == (400, "ERROR_ARGUMENT")
    assert admin("placement.bind", PLACEMENT="LEFT_MENU", HANDLER=HANDLER, TITLE="x") is True
    assert admin.error("placement.bind", PLACEMENT="LEFT_MENU", HANDLER=HANDLER) == (400, "ERROR_CORE")
    assert [each["placement"] for each in admin("placement.get")] == ["LEFT_MENU"]
    assert admin("placement.unbind", PLACEMENT="LEFT_MENU") == {"count": 1}
