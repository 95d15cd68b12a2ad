"""The control API, the state file, and the stand-in alone: the last section of the contract."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from b24sandbox import PortalHandle, StandIn
from b24sandbox.state.snapshot import StateFileError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def control(standin, session):
    def ask(path: str, **body: object) -> Any:
        url = standin.control + path
        answer = session.post(url, json=body, timeout=10) if body else session.get(url, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask


def test_tokens_expire_and_scope(control, editor):
    editor.tokens = control("/tokens", portal=0, user=7)
    assert editor("profile")["ID"] == "7"
    assert control("/expire", portal=0, user=7)["expired"] == 2  # the fixture's and this one
    assert editor.error("profile") == (401, "expired_token")

    editor.tokens = control("/tokens", portal=0, user="editor")
    control("/scope", portal=0, scopes=[])

    assert editor.error("landing.site.getList") == (401, "insufficient_scope")


def test_expire_may_name_nothing(standin, session, editor):
    answer = session.post(f"{standin.control}/expire", timeout=10)

    assert answer.json()["expired"] == 1
    assert editor.error("profile") == (401, "expired_token")


def test_open_sends_to_the_installer_or_the_app(control, portal):
    installer = control("/open", portal=0, user=1, install=True)
    app = control("/open", portal=0, user=7, placement="LANDING_SETTINGS", options={"LID": "351", "SITE_ID": "3"})

    assert "/install?" in installer["url"]
    assert "/app?" in app["url"]
    assert json.loads(app["form"]["PLACEMENT_OPTIONS"]) == {"LID": "351", "SITE_ID": "3"}
    assert portal.installed  # who is sent to the app has been through the installer


def test_faults_are_armed_shown_and_cleared(control, standin, editor):
    armed = control("/fault", portal=0, method="profile", kind="html", times=5)
    assert control("/faults")["faults"][0]["id"] == armed["id"]
    assert editor.ask("profile").status_code == 502

    control("/faults/clear", id=armed["id"])

    assert editor.ask("profile").status_code == 200
    assert control("/fault", portal="oauth", method="*", kind="empty")["where"] == "oauth"


def test_pages_are_made_and_changed(control, portal, editor):
    lids = control("/pages", portal=0, n=3, site=5)
    control("/page", portal=0, lid=lids[0], active=False, modified_by=9)

    assert len(lids) == 3
    assert portal.page(lids[0]).active is False
    assert len(editor("landing.landing.getList", params={"select": ["ID"], "filter": {"ID": lids}})) == 3


def test_sites_are_made_with_a_main_page_each(control, portal, editor):
    made = control("/sites", n=2, type="KNOWLEDGE", title="Manual")

    rows = editor("landing.site.getList", scope="KNOWLEDGE", params={"filter": {"ID": made}})
    assert [row["TITLE"] for row in rows] == [f"Manual {number}" for number in made]
    assert [portal.page(int(row["LANDING_ID_INDEX"])).active for row in rows] == [True, True]


def test_a_webhook_may_have_fewer_scopes(control, session):
    url = control("/webhook", user="reader", scopes=["landing"])["webhook"]

    assert session.post(f"{url}profile", timeout=10).json()["result"]["ID"] == "9"
    assert session.post(f"{url}crm.deal.list", timeout=10).json()["error"] == "insufficient_scope"
    assert session.post(f"{url}landing.site.getList", timeout=10).status_code == 200


def test_notices_and_the_system_user_are_told(control, portal, admin, session, standin):
    portal.scope(["im"])
    admin.tokens = portal.tokens("admin")
    admin("im.notify.system.add", USER_ID=7, MESSAGE="x")

    told = session.get(f"{standin.control}/notices?user=editor", timeout=10).json()["notices"]
    assert [(each["user"], each["message"]) for each in told] == [(7, "x")]
    assert control("/user-ready", to="http://127.0.0.1:9/") == {"sent": 1}
    assert portal.system_user.full_name == standin.world.application.title


def test_rights_and_people(control, portal, editor):
    control("/rights", portal=0, user=7, site=3, rights=["read"])
    assert editor.error("landing.landing.unpublic", lid=351) == (400, "ACCESS_DENIED")
    control("/user", portal=0, user=7, may_use_app=False)
    assert editor.error("profile") == (401, "user_access_error")
    control("/forget", portal=0, user=7)
    assert editor.error("profile") == (401, "authorization_error")
    assert len(control("/users", portal=0, n=2)) == 2


def test_switches_describe_themselves(control, portal):
    shown = {each["name"]: each for each in control("/switches")["switches"]}
    control("/switch", portal=0, name="dialect", value="docs")
    control("/switch", portal=0, bucket="50/2")

    assert shown["dialect"]["choices"] == ["source", "docs", "sdk"]
    assert all(each["words"] for each in shown.values())
    assert (portal.state.switches.dialect, portal.state.switches.bucket) == ("docs", "50/2")


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/switch", {"portal": 0, "nonsense": 1}, 400),
        ("/switch", {"portal": 0, "bucket": "3/4"}, 400),
        ("/switch", {"portal": 0, "deleted": 1}, 400),
        ("/fault", {"portal": 0, "kind": "nonsense"}, 400),
        ("/fault", {"portal": 0, "nonsense": 1}, 400),
        ("/tokens", {"portal": 9, "user": 1}, 404),
        ("/tokens", {"portal": 0, "user": 99}, 404),
        ("/pages", {"portal": 0, "n": 0}, 400),
        ("/world", {"rotation": "x"}, 400),
        ("/world", {"rotatoin": "grace"}, 400),
        ("/world", {"app_url": "nonsense"}, 400),
        ("/world", {"app_url": ""}, 400),
        ("/world", {"app_url": "http://127.0.0.1:port"}, 400),
        ("/world", {"redirect_uri": "/back"}, 400),
        ("/sites", {"n": 0}, 400),
        ("/sites", {"type": "BLOG"}, 400),
        ("/rule/remove", {"rule": 1}, 404),
        ("/fire", {"rule": 1}, 404),
        ("/open", {"link": "/marketplace/app/stranger/"}, 400),
        ("/nowhere", {"x": 1}, 404),
        ("/tokens", {"portal": "first", "user": 1}, 400),
        ("/tokens", {"portal": 0, "user": [7]}, 400),
        ("/scope", {"portal": 0}, 400),
        ("/scope", {"portal": 0, "scopes": {"landing": True}}, 400),
        ("/rights", {"portal": 0, "user": 7, "rights": ["publish"]}, 400),
        ("/rights", {"portal": 0, "user": 7, "site": 999, "rights": ["read"]}, 404),
        ("/fault", {"portal": 0, "kind": "error", "times": "three"}, 400),
        ("/fault", {"portal": 0, "kind": "error", "times": 0}, 400),
        ("/fault", {"portal": 0, "kind": "latency", "seconds": "long"}, 400),
        ("/pages", {"portal": 0, "n": "many"}, 400),
        ("/pages", {"portal": 0, "n": 1, "site": 999}, 404),
        ("/page", {"portal": 0, "lid": 99999, "active": False}, 404),
        ("/page", {"portal": 0, "lid": 351, "active": "no"}, 400),
        ("/page", {"portal": 0, "lid": 351, "id": 5}, 400),
        ("/user", {"portal": 0, "user": 7, "admin": "Y"}, 400),
        ("/users", {"portal": 0, "n": 0}, 400),
        ("/uninstall", {"portal": 0, "clean": "perhaps"}, 400),
        ("/event", {"portal": 0, "event": "ONNOTHING"}, 400),
        ("/clock", {"scale": 0}, 400),
        ("/event-queue", {"delay": "soon"}, 400),
        ("/truth", {"x": 1}, 405),
    ],
)
def test_what_cannot_be_is_refused_in_words(standin, session, path, body, status):
    answer = session.post(standin.control + path, json=body, timeout=10)

    assert (answer.status_code, bool(answer.json()["error"])) == (status, True)


@pytest.mark.parametrize("body", [b"{", b"[1]", b"kind=html", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused_in_words(standin, session, body):
    answer = session.post(f"{standin.control}/fault", data=body, timeout=10)

    assert (answer.status_code, "JSON" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize("kind", ["badjson", "slow_drip", "wrong_fields", "missing-field"])
def test_kinds_of_faults_may_be_spelled_as_people_say_them(control, kind):
    assert control("/fault", portal=0, kind=kind)["kind"] in control("/")["faults"]


def test_the_clock_can_be_given_another_speed_until_the_reset(control, standin):
    before = control("/clock", scale=1000)["now"]
    time.sleep(0.05)

    after = control("/truth")["now"]
    standin.reset()

    assert after - before >= 50
    assert standin.world.clock.scale == 1


def test_the_truth_tells_who_asked_what_when_and_how_many_at_once(control, editor):
    editor("landing.landing.unpublic", lid=351)
    editor.error("landing.landing.unpublic", lid=430)

    truth = control("/truth")

    first, second = truth["calls"]
    assert (first["method"], first["portal"], first["user"], first["status"]) == ("landing.landing.unpublic", 0, 7, 200)
    assert first["end"] >= first["start"]
    assert first["at_once"] == 1
    assert (second["status"], second["code"]) == (400, "ACCESS_DENIED")
    assert truth["most_at_once"] == {"0": 1}
    assert [change["lid"] for change in truth["changes"]] == [351]
    assert control(f"/truth?after={truth['next']}")["calls"] == []


def test_uninstall_install_finish_and_reset(control, portal):
    control("/uninstall", portal=0, clean=1)
    assert portal.installed is False
    control("/install", portal=0)
    control("/finish", portal=0)
    assert portal.installed is True
    control("/page", portal=0, lid=351, active=False)

    control("/reset", x=1)

    assert (portal.installed, portal.page(351).active) == (False, True)


def test_time_events_payment_and_rename(control, portal, standin, editor):
    control("/clock", advance=3601)
    assert editor.error("profile") == (401, "expired_token")
    assert control("/event-queue", delay=2, twice=1, hold=True)["held"] == 0
    assert control("/event", portal=0, event="ONAPPINSTALL") == {"sent": 0}
    assert control("/release", backwards=True) == {"sent": 0}
    assert control("/payment", portal=0, expired=True) == {"sent": 0}
    assert portal.state.switches.payment_expired
    assert control("/update", portal=0, scopes=["landing", "im"]) == {"sent": 0}
    assert control("/rename", portal=0)["url"] == portal.url
    assert control("/world", rotation="grace", app_url="http://127.0.0.1:1")["rotation"] == "grace"
    assert portal.open("editor")[0].startswith("http://127.0.0.1:1/app")
    standin.app_url = "http://127.0.0.1:8100"


def test_pages_on_loopback_may_call_and_others_may_not(standin):
    def origin(value: str) -> requests.Response:
        return requests.get(f"{standin.control}/state", headers={"Origin": value}, timeout=10)

    allowed = origin("http://127.0.0.2:8103")
    assert allowed.headers["Access-Control-Allow-Origin"] == "http://127.0.0.2:8103"
    assert allowed.json()["portals"][0]["title"] == "Harbour & Pine"
    assert origin("https://evil.example").status_code == 403
    assert origin("https://127.evil.example").status_code == 403
    assert requests.options(f"{standin.control}/reset", timeout=10).status_code == 204


def test_it_tells_what_can_be_asked(control, standin):
    about = control("/")

    assert about["client_id"] == standin.client_id
    assert {"verb": "GET", "path": "/truth"}.items() <= next(
        r for r in about["routes"] if r["path"] == "/truth"
    ).items()
    assert all(route["words"] for route in about["routes"])


def test_the_sample_data_is_what_the_contract_promises(portal):
    kinds = [site.type for site in portal.sites()]
    assert {"PAGE", "STORE", "KNOWLEDGE", "GROUP", "VIBE"} == set(kinds)
    assert 55 <= len(portal.pages()) <= 65
    assert all(site.index_lid in portal.state.pages for site in portal.sites())
    page = portal.page(351)
    assert (page.active, page.site_id) == (True, 3)
    assert any(not each.active for each in portal.pages())
    assert any(each.active and not each.public for each in portal.pages())


def test_a_state_file_outlives_a_restart(tmp_path):
    path = tmp_path / "deep" / "state.json"
    with StandIn.start(state_file=path) as first:
        portal = first.portals[0]
        kept = portal.tokens("editor")
        portal.change_page(351, active=False)
        portal.rights("editor", 3, ["read"])
        portal.switch(dialect="docs")
        portal.finish_install()

    with StandIn.start(state_file=path) as second:
        portal = second.portals[0]
        answer = requests.post(
            f"{second.oauth}/oauth/token/",
            data={
                "grant_type": "refresh_token",
                "client_id": second.client_id,
                "client_secret": second.client_secret,
                "refresh_token": str(kept["refresh_token"]),
            },
            timeout=10,
        )

        assert answer.json()["client_endpoint"] == portal.endpoint
        assert (portal.page(351).active, portal.installed) == (False, True)
        assert portal.state.rights[7][3] == ["read"]
        assert portal.state.switches.dialect == "docs"


def test_what_apps_have_made_outlives_a_restart_too(tmp_path):
    def call(portal: PortalHandle, method: str, **params: object) -> Any:
        token = portal.tokens("admin")["access_token"]
        answer = requests.post(portal.endpoint + method, json={**params, "auth": token}, timeout=10).json()
        return answer.get("total", answer["result"])

    scope, path = ["crm", "bizproc", "im"], tmp_path / "state.json"
    robot = {"CODE": "a", "HANDLER": "http://127.0.0.1:9/x", "NAME": "n", "PROPERTIES": {"a": {"Name": "A"}}}
    with StandIn.start(state_file=path, scope=scope) as first:
        portal = first.portals[0]
        portal.finish_install()
        call(portal, "bizproc.robot.add", **robot)
        call(portal, "event.bind", event="ONCRMDEALADD", event_type="offline")
        call(portal, "crm.deal.add", fields={"TITLE": "Oak"})
        call(portal, "im.notify.system.add", USER_ID=7, MESSAGE="x")
        portal.fire(portal.add_rule("a", a=1))

    with StandIn.start(state_file=path, scope=scope) as second:
        portal = second.portals[0]

        assert (call(portal, "crm.deal.list"), call(portal, "event.offline.list")) == (1, 1)
        assert [each.message for each in portal.notices("editor")] == ["x"]
        assert portal.robots() == ["a"]
        assert portal.fire(portal.state.rules[0].id) is not None
        assert len(portal.workflows()) == 2


@pytest.mark.parametrize("portal", ["x", True, 1.5, {"a": 1}, ""])
def test_a_portal_that_is_no_index_is_refused_in_words(standin, portal):
    answer = requests.post(f"{standin.control}/tokens", json={"portal": portal, "user": 7}, timeout=10)

    assert answer.status_code == 400
    assert answer.json()["error"].startswith("portal is a whole number")


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"version": 99, "portals": []}', '{"version": 2, "portals": [1, 2]}']
)
def test_a_broken_state_file_stops_the_start_and_stays_as_it_is(tmp_path, text):
    path = tmp_path / "state.json"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(StateFileError, match=r"state\.json"):
        StandIn.start(state_file=path)

    assert path.read_text(encoding="utf-8") == text


def test_a_state_file_of_other_portals_is_not_overwritten(tmp_path):
    path = tmp_path / "state.json"
    StandIn.start(portals=3, state_file=path).stop()
    before = path.read_bytes()

    with pytest.raises(StateFileError, match="3 portals"):
        StandIn.start(portals=2, state_file=path)

    assert path.read_bytes() == before


def test_a_state_file_of_the_first_version_is_taken_up(tmp_path):
    path = tmp_path / "state.json"
    with StandIn.start(state_file=path) as first:
        first.portals[0].finish_install()
    kept = json.loads(path.read_text(encoding="utf-8"))
    for portal in kept["portals"]:
        portal["installation"] = portal.pop("installations")["0"]
        portal["notifications"] = [{"id": 1, "user": 7, "message": "x", "tag": "", "at": 0.0}]
    path.write_text(json.dumps({**kept, "version": 1, "applications": None, "redirect_uri": ""}), encoding="utf-8")

    with StandIn.start(state_file=path) as second:
        assert (second.portals[0].installed, second.portals[1].installed) == (True, False)


@pytest.mark.process
def test_alone_it_prints_one_line_when_ready_and_ends_when_told(tmp_path):
    command = [sys.executable, "-m", "b24sandbox", "--port", "0", "--tls", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        described = json.loads(process.stdout.readline())
        portal = described["portals"][0]
        answer = requests.get(portal["webhook"] + "profile", verify=str(tmp_path / "ca.pem"), timeout=10)
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()

    assert {"oauth", "client_id", "client_secret", "control", "portals"} <= set(described)
    assert {"url", "domain", "member_id", "users", "webhook"} == set(portal)
    assert portal["users"] == {"admin": 1, "editor": 7, "reader": 9}
    assert portal["url"].startswith("https://")
    assert len({each["url"] for each in described["portals"]}) == 2
    assert answer.json()["result"]["ADMIN"] is True
    assert (process.returncode, rest) == (0, "")


@pytest.mark.process
def test_a_taken_port_is_told_in_words(standin):
    taken = standin.control.rpartition(":")[2]
    command = [sys.executable, "-m", "b24sandbox", "--port", taken]

    ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30, check=False)

    assert ended.returncode == 1
    assert "choose another --port" in ended.stderr
