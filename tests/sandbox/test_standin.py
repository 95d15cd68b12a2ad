"""The stand-in as an object: addresses, resets, and what it is like on a system with one loopback address."""

from __future__ import annotations

import ast
from pathlib import Path
from urllib.parse import urlsplit

import requests

from b24sandbox import StandIn, network
from tests.ports import free_ports

SANDBOX = Path(__file__).parents[2] / "sandbox" / "src"


def test_each_portal_has_an_address_of_its_own(standin):
    places = {urlsplit(url).netloc for url in (standin.oauth, standin.control, *(each.url for each in standin.portals))}

    assert len(places) == 4


def test_where_there_is_one_loopback_address_the_ports_differ(monkeypatch):
    monkeypatch.setattr(network, "portal_host", lambda index, moved=False: "127.0.0.1")
    with StandIn.start(portals=3) as standin:
        hosts = {urlsplit(each.url).hostname for each in standin.portals}
        answers = [requests.get(each.webhook + "profile", timeout=10).status_code for each in standin.portals]
        renamed = standin.portals[0].rename()

    assert hosts == {"127.0.0.1"}
    assert answers == [200, 200, 200]
    assert urlsplit(renamed).hostname == "127.0.0.1"


def test_the_next_ports_are_used():
    first = free_ports(5)
    with StandIn.start(port=first) as other:
        urls = [other.control, *other.world.servers, *(each.url for each in other.portals)]

    assert [int(url.rpartition(":")[2]) for url in urls] == list(range(first, first + 5))


def test_a_reset_is_a_new_beginning(standin, portal, editor):
    before = portal.url
    editor("landing.landing.unpublic", lid=351)
    portal.rename()
    portal.switch(deleted=True)
    standin.fault(0, kind="html")
    standin.world.clock.advance(1000)

    standin.reset()

    assert (portal.url, portal.page(351).active) == (before, True)
    assert standin.calls() == []
    assert editor.error("profile") == (401, "invalid_token")
    assert portal.state.switches.deleted is False


def test_the_same_names_and_secrets_at_every_start(standin):
    with StandIn.start() as other:
        assert (other.client_id, other.client_secret) == (standin.client_id, standin.client_secret)
        assert [each.member_id for each in other.portals] == [each.member_id for each in standin.portals]


def test_it_knows_nothing_of_the_app():
    imported = {
        name.split(".")[0]
        for path in SANDBOX.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }

    assert "b24app" not in imported
    assert {"flask", "requests", "sqlalchemy"} & imported == set()


def test_a_crowd_of_portals_stands_in_one(session):
    with StandIn.start(portals=260) as crowd:
        said = [session.get(f"{each.webhook}profile", timeout=10).json()["result"]["ID"] for each in crowd.portals]

        assert said == ["1"] * 260
        assert len({each.member_id for each in crowd.portals}) == len({each.url for each in crowd.portals}) == 260
        crowd.portals[255].rename()
        assert session.get(f"{crowd.portals[255].webhook}profile", timeout=10).status_code == 200


def test_one_portal_of_many_can_misbehave_alone(standin, portal, session):
    portal.fault("profile", kind="html", times=1)

    said = [session.get(f"{each.webhook}profile", timeout=10).status_code for each in standin.portals]

    assert said == [502, 200]
