"""`python -m b24sandbox` as a stranger uses it: its JSON line and HTTP, as the contract's last section says."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]
Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def line() -> Iterator[dict[str, Any]]:
    """What the program printed when it was ready."""
    command = [sys.executable, "-m", "b24sandbox", "--port", "0", "--portals", "3", "--scale", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)


@pytest.fixture
def control(line) -> Ask:
    def ask(path: str, **body: object) -> Any:
        answer = requests.post(f"{line['control']}{path}", json=body, timeout=10)
        assert answer.status_code == 200, answer.text
        return answer.json()

    ask("/reset")
    return ask


@pytest.fixture
def call(line) -> Ask:
    def ask(portal: int, method: str, token: str, **params: object) -> Any:
        url = f"{line['portals'][portal]['url']}/rest/{method}"
        return requests.post(url, json=params, headers={"Authorization": f"Bearer {token}"}, timeout=10).json()

    return ask


def renew(line: dict[str, Any], refresh: str) -> requests.Response:
    form = {"client_id": line["client_id"], "client_secret": line["client_secret"], "refresh_token": refresh}
    return requests.post(f"{line['oauth']}/oauth/token/", data={"grant_type": "refresh_token", **form}, timeout=10)


def test_the_line_names_everything(line):
    assert len(line["portals"]) == 3
    for portal in line["portals"]:
        assert portal["url"].endswith(portal["domain"])
        assert portal["users"] == {"admin": 1, "editor": 7, "reader": 9}
        profile = requests.get(f"{portal['webhook']}profile", timeout=10).json()["result"]
        assert (profile["ID"], profile["ADMIN"]) == ("1", True)


def test_tokens_expire_and_are_renewed_once(line, control, call):
    pair = control("/tokens", portal=1, user=7)
    assert pair["expires_in"] == 3600
    assert control("/expire", portal=0)["expired"] == 0
    assert control("/expire", portal=1, user=7)["expired"] == 1
    assert call(1, "profile", pair["access_token"])["error"] == "expired_token"

    fresh = renew(line, pair["refresh_token"]).json()

    assert call(1, "profile", fresh["access_token"])["result"]["ID"] == "7"
    assert renew(line, pair["refresh_token"]).json()["error"] == "invalid_grant"


def test_a_scope_is_taken_from_one_portal(control, call):
    mine, other = (control("/tokens", portal=each, user=1)["access_token"] for each in (0, 1))

    control("/scope", portal=0, scopes=[])

    assert call(0, "landing.site.getList", mine)["error"] == "insufficient_scope"
    assert call(1, "landing.site.getList", other)["result"]


def test_an_answer_of_the_token_endpoint_is_lost_after_the_rotation(line, control):
    pair = control("/tokens", portal=0, user=7)
    control("/fault", portal="oauth", method="/oauth/token/", kind="reset_after", times=1)

    with pytest.raises(requests.ConnectionError):
        renew(line, pair["refresh_token"])

    assert renew(line, pair["refresh_token"]).json()["error"] == "invalid_grant"


def test_pages_are_made_slow_and_what_happened_is_told(line, control, call):
    token = control("/tokens", portal=2, user=1)["access_token"]
    lids = control("/pages", portal=2, n=3)
    control("/fault", portal=2, method="landing.*", kind="latency", times=-1, seconds=0.1)
    for lid in (lids[0], lids[1], lids[0]):
        assert call(2, "landing.landing.unpublic", token, lid=lid)["result"] is True

    truth = requests.get(f"{line['control']}/truth", timeout=10).json()

    calls = [each for each in truth["calls"] if each["method"] == "landing.landing.unpublic"]
    assert [(each["portal"], each["user"], each["status"], each["at_once"]) for each in calls] == [(2, 1, 200, 1)] * 3
    assert all(each["end"] - each["start"] >= 0.1 for each in calls)
    assert truth["changed_twice"] == [{"portal": 2, "lid": lids[0], "action": "unpublish", "times": 1}]


def test_a_frames_form_is_what_a_portal_would_post(line, control, call):
    said = control("/open", portal=0, user=9, placement="LANDING_SETTINGS", options={"SITE_ID": "3", "LID": "351"})
    installer = control("/open", portal=0, user=1, install=True)

    form = said["form"]
    assert f"DOMAIN={line['portals'][0]['domain'].replace(':', '%3A')}" in said["url"]
    assert (form["PLACEMENT"], form["member_id"]) == ("LANDING_SETTINGS", line["portals"][0]["member_id"])
    assert call(0, "profile", form["AUTH_ID"])["result"]["ID"] == "9"
    assert "/install?" in installer["url"]


def test_a_removal_ends_all_tokens_and_a_reset_begins_anew(line, control, call):
    pair = control("/tokens", portal=0, user=7)

    control("/uninstall", portal=0, clean=True)

    assert call(0, "profile", pair["access_token"])["error"] == "ERROR_OAUTH"
    assert renew(line, pair["refresh_token"]).json()["error"] == "NOT_INSTALLED"
    control("/reset")
    again = control("/tokens", portal=0, user=7)["access_token"]
    assert call(0, "profile", again)["result"]["ID"] == "7"
    assert [each["method"] for each in requests.get(f"{line['control']}/truth", timeout=10).json()["calls"]] == [
        "profile"
    ]
