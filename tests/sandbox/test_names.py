"""Portals with names, over https and through the proxy, for apps that look for `*.bitrix24.*`."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests

from b24sandbox import StandIn


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with StandIn.start(tls=tmp_path_factory.mktemp("tls"), names=True, portals=3) as running:
        yield running


@pytest.fixture
def browser(named: StandIn) -> Iterator[requests.Session]:
    """A client that goes through the proxy and trusts the authority, and knows nothing else."""
    with requests.Session() as session:
        session.trust_env = False
        session.proxies = {"https": named.proxy}
        session.verify = str(named.ca)
        yield session


def test_every_portal_has_a_name_of_its_own(named):
    names = [urlsplit(each.url).netloc for each in named.portals]

    assert names == [
        "harbour-pine.bitrix24.example",
        "nordlicht-verlag.bitrix24.example",
        "harbour-pine-3.bitrix24.example",
    ]
    assert named.oauth == "https://oauth.bitrix.info"


def test_calls_and_renewals_go_by_name(named, browser):
    portal = named.portals[0]
    pair = portal.tokens("editor")

    profile = browser.post(f"{portal.endpoint}profile", json={"auth": pair["access_token"]}, timeout=10).json()
    fresh = browser.post(
        f"{named.oauth}/oauth/token/",
        data={
            "grant_type": "refresh_token",
            "client_id": named.client_id,
            "client_secret": named.client_secret,
            "refresh_token": pair["refresh_token"],
        },
        timeout=10,
    ).json()
    url, form = portal.open("editor")

    assert profile["result"]["ID"] == "7"
    assert fresh["client_endpoint"] == "https://harbour-pine.bitrix24.example/rest/"
    assert "DOMAIN=harbour-pine.bitrix24.example&PROTOCOL=1" in url
    assert form["SERVER_ENDPOINT"] == "https://oauth.bitrix.info/rest/"


def test_a_renamed_portal_has_another_name(named, browser):
    portal = named.portals[2]
    old = portal.endpoint

    new = portal.rename()
    moved = browser.post(f"{old}profile", json={}, allow_redirects=False, timeout=10)
    there = browser.post(f"{new}/rest/profile", json={"auth": portal.tokens("admin")["access_token"]}, timeout=10)

    assert new == "https://harbour-pine-3-renamed.bitrix24.example"
    assert (moved.status_code, moved.headers["Location"]) == (302, f"{new}/rest/profile")
    assert there.json()["result"]["ID"] == "1"


def test_names_want_https():
    with pytest.raises(ValueError, match="name a folder for tls"):
        StandIn.start(names=True)
