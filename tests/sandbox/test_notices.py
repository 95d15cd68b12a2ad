"""Section 12: notices under a person's bell, and the links in them."""

from __future__ import annotations

import json

import pytest
import requests

from b24sandbox import StandIn

ADD = ("im.notify", "im.notify.personal.add", "im.notify.system.add")


@pytest.fixture
def sender(portal, admin):
    portal.scope(["landing", "im"])
    admin.tokens = portal.tokens("admin")
    return admin


@pytest.mark.parametrize("method", ADD)
def test_a_notice_wants_the_scope_and_answers_its_id(portal, admin, method):
    assert admin.error(method, USER_ID=7, MESSAGE="x") == (401, "insufficient_scope")
    portal.scope(["im"])
    admin.tokens = portal.tokens("admin")

    assert isinstance(admin(method, user_id=7, message="  x  "), int)
    assert [(each.user, each.message) for each in portal.notices("editor")] == [(7, "x")]


def test_who_speaks_depends_on_the_method(sender, portal, standin):
    for method in ADD:
        sender(method, USER_ID=9, MESSAGE="x")
    sender("im.notify", TO=9, MESSAGE="x", TYPE="system")

    app = standin.world.application.title
    assert [(each.author, each.title) for each in portal.notices()] == [(1, ""), (1, ""), (0, app), (0, app)]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"MESSAGE": "x"}, "USER_ID_EMPTY"),
        ({"USER_ID": 7}, "MESSAGE_EMPTY"),
        ({"USER_ID": 7, "MESSAGE": "  "}, "MESSAGE_EMPTY"),
        ({"USER_ID": 7, "MESSAGE": "x", "ATTACH": "y"}, "ATTACH_ERROR"),
        ({"USER_ID": 7, "MESSAGE": "x", "ATTACH": ["y" * 70_000]}, "ATTACH_OVERSIZE"),
    ],
)
def test_refused_notices(sender, params, code):
    assert sender.error("im.notify.system.add", **params) == (400, code)


def test_an_attachment_may_be_json_text(sender, portal):
    sender("im.notify.system.add", USER_ID=7, MESSAGE="x", ATTACH=json.dumps([{"MESSAGE": "y"}]))

    assert portal.notices()[0].attach == [{"MESSAGE": "y"}]


def test_nobody_there_is_false_and_no_error(sender, portal):
    portal.forget_user("reader")

    assert sender("im.notify.system.add", USER_ID=9, MESSAGE="x") is False
    assert sender("im.notify.system.add", USER_ID=4711, MESSAGE="x") is False


def test_a_tag_replaces_the_notice_of_that_recipient_only(sender, portal):
    first = sender("im.notify.system.add", USER_ID=7, MESSAGE="10 of 50", TAG="run1", SUB_TAG="runs")
    sender("im.notify.system.add", USER_ID=9, MESSAGE="10 of 50", TAG="run1", SUB_TAG="runs")
    second = sender("im.notify.system.add", USER_ID=7, MESSAGE="50 of 50", TAG="run1", SUB_TAG="runs")

    assert first != second
    assert [(each.user, each.message) for each in portal.notices()] == [(9, "10 of 50"), (7, "50 of 50")]


@pytest.mark.parametrize(
    ("by", "left"), [({"TAG": "a"}, ["two"]), ({"SUB_TAG": "s"}, []), ({"TAG": "none"}, ["one", "two"])]
)
def test_deleting_takes_this_apps_notices_from_everybody(sender, portal, by, left):
    sender("im.notify.system.add", USER_ID=7, MESSAGE="one", TAG="a", SUB_TAG="s")
    sender("im.notify.system.add", USER_ID=9, MESSAGE="two", TAG="b", SUB_TAG="s")

    assert sender("im.notify.delete", **by) is (len(left) < 2)
    assert [each.message for each in portal.notices()] == left


def test_deleting_wants_to_know_what(sender):
    assert sender.error("im.notify.delete") == (400, "PARAMS_ERROR")


def test_a_webhook_says_whose_tags_it_means(portal, session):
    def ask(method: str, **params: object) -> requests.Response:
        return session.post(portal.webhook + method, json=params, timeout=10)

    plain = ask("im.notify.system.add", USER_ID=7, MESSAGE="x", TAG="t").json()["result"]
    ask("im.notify.system.add", USER_ID=7, MESSAGE="y", TAG="t", CLIENT_ID="hook")
    refused = ask("im.notify.delete", TAG="t")

    assert (refused.status_code, refused.json()["error"]) == (403, "ACCESS_DENIED")
    assert ask("im.notify.delete", TAG="t", CLIENT_ID="hook").json()["result"] is True
    assert ask("im.notify.delete", ID=plain).json()["result"] is True
    assert portal.notices() == []


def test_people_read_their_own_notices(sender, portal):
    for number in range(3):
        sender("im.notify.system.add", USER_ID=1, MESSAGE=f"run {number}")
    sender("im.notify.system.add", USER_ID=7, MESSAGE="of the editor")
    listed = sender("im.notify.get", LIMIT=2)
    last = listed["notifications"][0]

    assert [each["text"].splitlines()[1] for each in listed["notifications"]] == ["run 2", "run 1"]
    assert (listed["total_count"], listed["total_unread_count"]) == (3, 3)
    assert sender("im.notify.read", ID=last["id"], ONLY_CURRENT="Y") is True
    assert sender("im.notify.get")["total_unread_count"] == 2
    assert len(sender("im.notify.history.search", SEARCH_TEXT="RUN 1")["notifications"]) == 1
    assert sender("im.notify.read.all") == {"result": True}
    assert sender("im.notify.get")["total_unread_count"] == 0
    assert sender.error("im.notify.answer", ID=last["id"]) == (400, "ANSWER_ERROR")


def test_a_long_message_is_cut(sender, portal):
    sender("im.notify.system.add", USER_ID=7, MESSAGE="x" * 30_000)

    assert portal.notices()[0].message == "x" * 20_000 + " (...)"


def test_where_a_person_keeps_no_notices_the_id_is_a_time(sender, portal, standin):
    portal.change_user("editor", site_notices=False)

    assert sender("im.notify.system.add", USER_ID=7, MESSAGE="x") == pytest.approx(standin.world.clock.now(), abs=5)
    assert portal.notices() == []


def test_tags_of_two_apps_never_meet():
    with StandIn.start(apps=[{"scope": ["im"]}, {"scope": ["im"]}]) as standin:
        portal = standin.portals[0]
        for app in (0, 1):
            token = portal.of(app).tokens("admin")["access_token"]
            standin_call(portal.endpoint, "im.notify.system.add", token, USER_ID=7, MESSAGE=f"app {app}", TAG="t")
        gone = standin_call(portal.endpoint, "im.notify.delete", token, TAG="t")

        assert gone is True
        assert [each.message for each in portal.notices()] == ["app 0"]


def standin_call(endpoint: str, method: str, token: object, **params: object) -> object:
    return requests.post(endpoint + method, json={**params, "auth": token}, timeout=10).json()["result"]


@pytest.mark.parametrize("name", ["client_id", "code", "ID"])
def test_a_link_brings_its_parameters_into_the_frame(portal, standin, name):
    names = {"client_id": standin.client_id, "code": standin.world.application.code, "ID": "5"}
    link = f"/marketplace/app/{names[name]}/?run=5&day=2026-12-01&_r=1"
    portal.finish_install()

    url, form = portal.open_link(f"{portal.url}{link}", "editor")

    assert "/app?" in url
    assert form["PLACEMENT"] == "DEFAULT"
    assert json.loads(form["PLACEMENT_OPTIONS"]) == {"run": "5", "day": "2026-12-01"}


def test_a_link_opens_the_installer_while_it_has_not_finished(portal, standin):
    url, _ = portal.open_link(f"/marketplace/app/{standin.client_id}/?run=5", "admin")

    assert "/install?" in url


def test_a_link_into_the_apps_own_placement_brings_params_alone(portal, admin, standin):
    portal.scope(["placement"])
    portal.finish_install()
    admin.tokens = portal.tokens("admin")
    admin("placement.bind", PLACEMENT="REST_APP_URI", HANDLER="http://127.0.0.1:8100/link", TITLE="x")

    url, form = portal.open_link(f"/marketplace/view/{standin.client_id}/?params%5Brun%5D=5&other=1", "editor")

    assert url.startswith("http://127.0.0.1:8100/link?")
    assert form["PLACEMENT"] == "REST_APP_URI"
    assert json.loads(form["PLACEMENT_OPTIONS"])["run"] == "5"
    assert "other" not in json.loads(form["PLACEMENT_OPTIONS"])
    assert admin.error("placement.bind", PLACEMENT="REST_APP_URI", HANDLER="http://127.0.0.1:8100/two") == (
        400,
        "ERROR_PLACEMENT_MAX_COUNT",
    )


def test_an_address_of_no_app_opens_none(portal):
    with pytest.raises(ValueError, match="opens no application"):
        portal.open_link("/marketplace/app/stranger/?run=5")
