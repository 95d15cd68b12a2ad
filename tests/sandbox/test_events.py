"""Section 3: events as posts to a handler that listens for real."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from b24sandbox.protocol import events
from tests.sandbox.listening import Listening

EVENTS = ("ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL", "ONAPPPAYMENT")


class Handler(Listening):
    """An app's /events."""

    def __init__(self) -> None:
        super().__init__()
        self.url = f"{self.url}/events"


@pytest.fixture
def handler(admin) -> Iterator[Handler]:
    listening = Handler()
    for event in EVENTS:
        admin("event.bind", event=event, handler=listening.url)
    yield listening
    listening.close()


def test_events_are_sent_only_once_the_installer_has_finished(handler, portal, standin):
    assert portal.finish_install() == 1
    assert portal.finish_install() == 0  # only once
    assert standin.wait_for_events()

    [form] = handler.forms
    auth = form["auth"]
    assert handler.types == ["application/x-www-form-urlencoded"]
    assert form["event"] == "ONAPPINSTALL"
    assert form["data"] == {"VERSION": "3", "ACTIVE": "Y", "INSTALLED": "Y", "LANGUAGE_ID": "en"}
    assert isinstance(auth, dict)
    assert auth["application_token"] == portal.application_token
    assert (auth["domain"], auth["member_id"], auth["user_id"]) == (portal.domain, portal.member_id, "1")
    assert auth["client_endpoint"] == portal.endpoint
    assert auth["refresh_token"] in standin.world.refreshes
    assert auth["access_token"] in standin.world.tokens


def test_the_event_of_a_removal_carries_no_token_and_ends_all_of_them(handler, portal, standin, admin):
    assert portal.uninstall(clean=True) == 1
    assert standin.wait_for_events()

    [form] = handler.forms
    assert form["data"] == {"CLEAN": "1", "LANGUAGE_ID": "en"}
    assert set(form["auth"]) == {"domain", "server_endpoint", "client_endpoint", "member_id", "application_token"}
    assert admin.error("profile") == (401, "ERROR_OAUTH")


def test_a_removed_app_can_be_installed_anew_with_other_tokens(handler, portal, admin):
    portal.uninstall()
    url, form = portal.open("admin", install=True)

    assert "/install?" in url
    assert form["APPLICATION_SCOPE"] == "landing"
    assert admin.error("profile") == (401, "invalid_token")  # of the installation before


def test_an_update_drops_the_handlers(handler, portal, standin, admin):
    assert portal.update(["landing", "im"]) == 0  # the installer had not finished: nothing is delivered
    admin("event.bind", event="ONAPPUPDATE", handler=handler.url)
    portal.finish_install()

    assert portal.update() == 1
    assert standin.wait_for_events()
    assert handler.forms[-1]["data"] == {"VERSION": "5", "PREVIOUS_VERSION": "4", "LANGUAGE_ID": "en"}
    assert admin("event.get") == []
    assert portal.installed is False


def test_nothing_is_sent_while_the_payment_has_run_out(handler, portal):
    portal.finish_install()
    portal.switch(payment_expired=True)

    assert portal.uninstall() == 0


def test_payment_comes_with_or_without_the_application_token(handler, portal, standin):
    portal.send("ONAPPPAYMENT", {"STATUS": "S"})
    standin.wait_for_events()
    portal.switch(payment_token=False)
    portal.send("ONAPPPAYMENT", {"STATUS": "S"})
    standin.wait_for_events()

    assert ["application_token" in form["auth"] for form in handler.forms] == [True, False]


def test_scopes_may_be_separated_by_spaces(handler, portal, standin):
    portal.scope(["landing", "im"])
    portal.switch(scope_in_events="space")
    portal.send("ONAPPINSTALL")
    standin.wait_for_events()

    assert handler.forms[0]["auth"]["scope"] == "landing im"


def test_events_get_lost_and_come_twice_and_are_never_tried_again(handler, portal, standin):
    standin.world.event_queue.lose, standin.world.event_queue.twice = 1, 1
    handler.status = 500
    for _ in range(3):
        portal.send("ONAPPINSTALL")
        standin.wait_for_events()

    assert len(handler.forms) == 3  # none, two, one
    assert {sent.status for sent in standin.world.recorder.sent} == {500}


def test_held_events_come_in_the_order_that_is_asked_for(handler, portal, standin):
    standin.world.event_queue.hold = True
    for event in EVENTS:
        portal.send(event)
    assert handler.forms == []

    with standin.world.lock:
        events.release(standin.world, backwards=True)
    standin.wait_for_events()

    assert handler.events == list(reversed(EVENTS))


def test_a_late_event_comes_late(handler, portal, standin, gate):
    standin.world.event_queue.delay = 0.2
    portal.send("ONAPPINSTALL")

    assert standin.wait_for_events(0.05) is False
    assert handler.forms == []
    gate.open()
    assert standin.wait_for_events()
    assert len(handler.forms) == 1
    assert gate.asked == [0.2]


def test_a_handler_that_is_not_there_is_written_down(portal, standin, admin):
    admin("event.bind", event="ONAPPINSTALL", handler="http://127.0.0.1:9/events")
    portal.send("ONAPPINSTALL")
    standin.wait_for_events()

    [sent] = standin.world.recorder.sent
    assert (sent.status, sent.problem) == (None, "URLError")
