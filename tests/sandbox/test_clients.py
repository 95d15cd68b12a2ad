"""Bitrix24's own clients do real work against the stand-in, unchanged: over TLS, with their own renewal of tokens.

`b24pysdk` has the authorization server's name built in; it gets there through the stand-in's proxy.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import requests
from b24pysdk import BitrixApp, BitrixToken, BitrixWebhook
from b24pysdk.credentials import OAuthPlacementData
from b24pysdk.errors import BitrixAPIError, BitrixAPIInsufficientScope, BitrixRequestError
from b24pysdk.errors.oauth import BitrixOAuthInvalidGrant, BitrixOauthWrongClient
from fast_bitrix24 import BitrixAsync

from b24sandbox import StandIn

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def secure_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StandIn, Path]]:
    folder = tmp_path_factory.mktemp("tls")
    with StandIn.start(tls=folder) as running:
        yield running, folder / "ca.pem"


@pytest.fixture
def secure(secure_server, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """A fresh stand-in over TLS; the surroundings of this process lead its clients there."""
    standin, authority = secure_server
    standin.reset()
    hosts = {urlsplit(url).hostname for url in (*standin.world.servers, *(each.url for each in standin.portals))}
    monkeypatch.setenv("HTTPS_PROXY", standin.proxy)
    monkeypatch.setenv("NO_PROXY", ",".join(sorted({*map(str, hosts), "127.1.0.2"})))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority))
    return standin


@pytest.fixture
def app(secure: StandIn) -> BitrixApp:
    return BitrixApp(client_id=secure.client_id, client_secret=secure.client_secret)


@pytest.fixture
def token(secure: StandIn, app: BitrixApp) -> BitrixToken:
    pair = secure.portals[0].tokens("admin")
    return BitrixToken(
        domain=secure.portals[0].domain,
        auth_token=str(pair["access_token"]),
        refresh_token=str(pair["refresh_token"]),
        bitrix_app=app,
    )


def test_b24pysdk_renews_an_expired_token_by_itself(secure, token):
    before = token.auth_token
    secure.portals[0].expire()

    answer = token.call_method("profile")

    assert answer["result"]["ID"] == "1"
    assert token.auth_token != before
    assert secure.oauth_asked("/oauth/token/") == 1


def test_b24pysdk_unpublishes_in_batches_of_fifty(secure, token):
    lids = secure.portals[0].add_pages(120)

    answer = token.call_batches({f"c{lid}": ("landing.landing.unpublic", {"lid": lid}) for lid in lids})

    assert len(answer["result"]["result"]) == 120
    assert secure.portals[0].asked("batch") == 3
    assert not any(secure.portals[0].page(lid).active for lid in lids)


@pytest.mark.parametrize("how", ["call_list", "call_list_fast"])
def test_b24pysdk_reads_whole_lists(secure, token, how):
    secure.portals[0].add_users(120)
    secure.portals[0].scope(["user_brief"])
    secure.portals[0].expire()

    assert len(list(getattr(token, how)("user.get")["result"])) == 123


def test_b24pysdk_exchanges_a_code(secure, app):
    portal = secure.portals[0]
    url = f"{portal.url}/oauth/authorize/?client_id={secure.client_id}&state=x"
    back = parse_qs(urlsplit(requests.get(url, allow_redirects=False, timeout=10).headers["Location"]).query)

    pair = app.get_oauth_token(code=back["code"][0])

    assert pair.oauth_token.access_token in secure.world.tokens
    assert pair.member_id == portal.member_id
    with pytest.raises(BitrixOAuthInvalidGrant):
        app.get_oauth_token(code=back["code"][0])


def test_b24pysdk_knows_the_refusals(secure, token):
    secure.portals[0].scope([])
    with pytest.raises(BitrixAPIInsufficientScope):
        token.call_method("landing.site.getList")
    with pytest.raises(BitrixAPIError, match="Method not found"):
        token.call_method("no.such.method")
    with pytest.raises(BitrixOauthWrongClient):
        BitrixApp(client_id="x", client_secret="y").refresh_oauth_token("z")


def test_b24pysdk_notices_that_a_portal_was_renamed(secure, token):
    new = urlsplit(secure.portals[0].rename())

    with pytest.raises(BitrixRequestError):  # it goes to the new name's port 443, where cloud portals are
        token.call_method("profile")

    assert token.domain == new.hostname


def test_b24pysdk_takes_the_frames_form_for_genuine(secure, app):
    url, form = secure.portals[0].open("editor", placement="LANDING_SETTINGS", options={"LID": "351"})
    query = {key: values[0] for key, values in parse_qs(urlsplit(url).query).items()}

    data = OAuthPlacementData.from_dict({**query, **form})
    info = BitrixToken.from_oauth_placement_data(data, app).get_app_info()

    assert data.validate_against_app_info(info.result)
    assert (info.result.user_id, info.result.client_id) == (7, secure.client_id)


def test_b24pysdk_with_a_webhook(secure):
    user, code = secure.portals[0].webhook.split("/rest/")[1].strip("/").split("/")

    hook = BitrixWebhook(domain=secure.portals[0].domain, webhook_token=f"{user}/{code}")

    assert hook.call_method("user.admin")["result"] is True


def fast(authority: Path, work: Any) -> Any:
    """Run `work(client)` with an aiohttp session that trusts the authority."""

    async def run() -> Any:
        context = ssl.create_default_context(cafile=str(authority))
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(connector=connector, raise_for_status=True) as session:
            return await work(session)

    return asyncio.run(run())


def test_fast_bitrix24_renews_with_its_token_function(secure_server, secure):
    standin, authority = secure_server
    portal = standin.portals[0]
    portal.add_users(160)
    portal.scope(["user_brief", "landing"])
    given: list[str] = []

    async def fresh_token() -> str:
        given.append(str(portal.tokens("admin")["access_token"]))
        return given[-1]

    async def work(session: aiohttp.ClientSession) -> tuple[list[Any], dict[str, Any]]:
        client = BitrixAsync(portal.endpoint, token_func=fresh_token, verbose=False, client=session)
        await client.call("profile", raw=True)
        portal.expire()
        people = await client.get_all("user.get")
        down = await client.call("landing.landing.unpublic", [{"lid": lid} for lid in (351, 352, 353)])
        return people, down

    people, down = fast(authority, work)

    assert len(people) == 163
    assert list(down) == [True, True, True]
    assert len(given) == 2
    assert portal.page(352).active is False


def test_fast_bitrix24_with_a_webhook(secure_server, secure):
    standin, authority = secure_server

    async def work(session: aiohttp.ClientSession) -> Any:
        client = BitrixAsync(standin.portals[0].webhook, verbose=False, client=session)
        return await client.call(
            "landing.landing.getList", {"params": {"select": ["ID"], "filter": {"ID": 351}}}, raw=True
        )

    assert [page["ID"] for page in fast(authority, work)["result"]] == ["351"]


@pytest.mark.process
@pytest.mark.skipif(
    shutil.which("node") is None or not (ROOT / "node_modules/@bitrix24/b24jssdk").exists(),
    reason="needs Node.js and `npm ci`",
)
def test_b24jssdk_in_node(secure_server, secure):
    standin, authority = secure_server
    surroundings = {**os.environ, "NODE_EXTRA_CA_CERTS": str(authority)}
    surroundings.pop("HTTPS_PROXY")  # this client goes where `server_endpoint` says

    ended = subprocess.run(
        ["node", str(ROOT / "tests/sandbox/jssdk.mjs"), standin.control],
        env=surroundings, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {
        "admin": True,
        "pages": 23,
        "down": True,
        "renewed": "1",
        "renewals": 1,
        "batched": 60,
        "people": 73,
        "refused": [["insufficient_scope", 401]],
        "hook": "1",
    }


def test_the_proxy_leads_nowhere_else(secure, monkeypatch):
    with pytest.raises(requests.exceptions.ProxyError):
        requests.get("https://example.org/", timeout=5)
