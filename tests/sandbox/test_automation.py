"""Section 13: rules of automation: registered by an app, set up by a person, fired by the portal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sandbox.listening import Listening

PROPERTIES = {
    "pages": {"Name": "Pages", "Type": "int", "Multiple": "Y"},
    "who": {"Name": {"en": "Who", "de": "Wer"}, "Type": "user"},
    "loud": {"Name": "Loud", "Type": "bool"},
    "ticket": {"Name": "Ticket", "Type": "string"},
}


@pytest.fixture
def handler() -> Iterator[Listening]:
    running = Listening()
    yield running
    running.close()


@pytest.fixture
def keeper(portal, admin):
    """An administrator of an installed app with the scope."""
    portal.scope(["bizproc"])
    portal.switch(user_ready="off")
    portal.finish_install()
    admin.tokens = portal.tokens("admin")
    return admin


@pytest.fixture
def robot(handler) -> dict[str, object]:
    return {
        "CODE": "take.down", "HANDLER": f"{handler.url}/robot", "NAME": "Take down", "PROPERTIES": PROPERTIES,
        "RETURN_PROPERTIES": {"done": {"Name": "Done", "Type": "int"}},
    }  # fmt: skip


def test_a_robot_is_registered_once_changed_and_taken_away(keeper, robot):
    assert keeper("bizproc.robot.add", **robot) is True
    assert keeper.error("bizproc.robot.add", **robot) == (400, "ERROR_ACTIVITY_ALREADY_INSTALLED")
    assert keeper.error("bizproc.activity.add", **robot) == (
        400,
        "ERROR_ACTIVITY_ALREADY_INSTALLED",
    )  # one set of codes
    assert keeper("bizproc.robot.list") == ["take.down"]
    assert keeper("bizproc.robot.update", CODE="take.down", FIELDS={"NAME": "Close"}) is True
    assert keeper("bizproc.robot.delete", CODE="take.down") is True
    assert keeper.error("bizproc.robot.delete", CODE="take.down") == (400, "ERROR_ACTIVITY_NOT_FOUND")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"CODE": "no blanks"}, "ERROR_ACTIVITY_VALIDATION_FAILURE"),
        ({"HANDLER": ""}, "ERROR_ACTIVITY_VALIDATION_FAILURE"),
        ({"HANDLER": "ftp://127.0.0.1/"}, "ERROR_UNSUPPORTED_PROTOCOL"),
        ({"HANDLER": "http://localhost/"}, "ERROR_WRONG_HANDLER_URL"),
        ({"NAME": ""}, "ERROR_ACTIVITY_VALIDATION_FAILURE"),
        ({"PROPERTIES": {"1st": {"Name": "x"}}}, "ERROR_ACTIVITY_VALIDATION_FAILURE"),
        ({"PROPERTIES": {"first": {"Type": "int"}}}, "ERROR_ACTIVITY_VALIDATION_FAILURE"),
        ({"PROPERTIES": {"first": {"Name": "x", "Type": "colour"}}}, "ERROR_ACTIVITY_VALIDATION_FAILURE"),
    ],
)
def test_refused_robots(keeper, robot, change, code):
    assert keeper.error("bizproc.robot.add", **(robot | change)) == (400, code)


def test_only_an_administrator_registers(portal, keeper, editor, robot):
    editor.tokens = portal.tokens("editor")

    assert editor.error("bizproc.robot.add", **robot) == (403, "ACCESS_DENIED")


def test_every_settings_frame_wants_an_address_of_its_own(keeper, robot, handler):
    dialog = {"USE_PLACEMENT": "Y", "PLACEMENT_HANDLER": f"{handler.url}/dialog"}
    keeper("bizproc.robot.add", **robot, **dialog)

    assert keeper.error("bizproc.robot.add", **{**robot, **dialog, "CODE": "other"}) == (400, "ERROR_CORE")


def test_a_fired_rule_posts_its_values(keeper, portal, standin, robot, handler):
    keeper("bizproc.robot.add", **robot)
    rule = portal.add_rule("take.down", pages=[351, 352], who_else=1, loud=True, ticket="")

    workflow = portal.fire(rule, 42)
    standin.wait_for_events()

    [(path, form)] = handler.posts
    auth = form["auth"]
    assert (path, "event" in form, form["code"]) == ("/robot", False, "take.down")
    assert form["document_id"] == ["crm", "CCrmDocumentDeal", "DEAL_42"]
    assert form["properties"] == {"pages": ["351", "352"], "who": "", "loud": "Y", "ticket": ""}
    assert (form["event_token"], form["use_subscription"]) == (workflow.token, "N")
    assert (auth["application_token"], auth["CODE"], auth["WORKFLOW_ID"]) == (
        portal.application_token, "take.down", form["workflow_id"],
    )  # fmt: skip
    assert standin.world.tokens[auth["access_token"]].user_id == 1
    assert portal.workflows()[0].state == "done"


def test_a_waiting_workflow_goes_on_with_what_the_app_sends(keeper, portal, editor, robot):
    keeper("bizproc.robot.add", **robot, USE_SUBSCRIPTION="Y")
    token = portal.fire(portal.add_rule("take.down")).token
    editor.tokens = portal.tokens("editor")

    assert editor("bizproc.activity.log", EVENT_TOKEN=token, LOG_MESSAGE="half") is True
    waiting = portal.workflows()[0].state
    assert (
        editor("bizproc.event.send", EVENT_TOKEN=token, RETURN_VALUES={"DONE": 2, "else": 1}, LOG_MESSAGE="all") is True
    )
    assert editor("bizproc.event.send", EVENT_TOKEN=token, RETURN_VALUES={"DONE": 3}) is True  # stale: nothing happens

    [workflow] = portal.workflows()
    assert (waiting, workflow.state, workflow.returned, workflow.log) == (
        "waiting",
        "done",
        {"done": 2},
        ["half", "all"],
    )


def test_a_forged_token_is_refused_and_an_empty_line_too(keeper, portal, robot):
    keeper("bizproc.robot.add", **robot, USE_SUBSCRIPTION="Y")
    token = portal.fire(portal.add_rule("take.down")).token

    assert keeper.error("bizproc.event.send", EVENT_TOKEN=token + "0") == (403, "ACCESS_DENIED")
    assert keeper.error("bizproc.activity.log", EVENT_TOKEN=token) == (400, "ERROR_EMPTY_LOG_MESSAGE")


def test_a_rule_fails_where_its_app_is_gone_and_revives_with_it(keeper, portal, robot, handler, standin):
    keeper("bizproc.robot.add", **robot)
    rule = portal.add_rule("take.down")
    portal.update()

    assert portal.robots() == []  # an update drops registrations
    assert portal.fire(rule) is None
    portal.finish_install()
    keeper("bizproc.robot.add", **robot)
    assert portal.fire(rule) is not None
    assert [each.log for each in portal.workflows()] == [["Rest application not found"], []]


def test_the_handlers_user_is_the_one_registered(keeper, portal, standin, robot, handler):
    keeper("bizproc.robot.add", **robot, AUTH_USER_ID=7)
    portal.fire(portal.add_rule("take.down"))
    standin.wait_for_events()

    assert handler.forms[0]["auth"]["user_id"] == "7"


def test_the_control_api_sets_up_and_fires(keeper, portal, standin, robot, session):
    keeper("bizproc.robot.add", **robot)
    rule = session.post(
        f"{standin.control}/rule", json={"code": "take.down", "values": {"pages": [1]}}, timeout=10
    ).json()["rule"]
    fired = session.post(f"{standin.control}/fire", json={"rule": rule, "document": 5}, timeout=10).json()["workflow"]
    kept = session.get(f"{standin.control}/workflows", timeout=10).json()["workflows"]

    assert (fired["document"], fired["code"]) == (5, "take.down")
    assert [each["id"] for each in kept] == [fired["id"]]
    assert session.post(f"{standin.control}/rule", json={"code": "none"}, timeout=10).status_code == 404
