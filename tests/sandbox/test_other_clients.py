"""Clients that nobody planned for, unchanged. They are not locked: B24SANDBOX_CLIENTS names a folder that has them.

pip install --target FOLDER/python pybitrix24==1.1.0 bitrix24-rest==2.0.3
npm install --prefix FOLDER --ignore-scripts @2bad/bitrix@2.5.1
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from b24sandbox import StandIn

FOLDER = Path(os.environ.get("B24SANDBOX_CLIENTS", "/nonexistent"))
HERE = Path(__file__).parent
pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="B24SANDBOX_CLIENTS names no folder with these clients"),
    pytest.mark.filterwarnings("ignore"),  # old clients, new Pythons
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    folder = tmp_path_factory.mktemp("tls")
    with StandIn.start(tls=folder, names=True, scope=["crm", "user"]) as running:
        yield running


@pytest.fixture
def secure(server: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Names over https, and surroundings that lead this process's clients there."""
    server.reset()
    monkeypatch.setenv("HTTPS_PROXY", server.proxy)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(server.ca))
    monkeypatch.setenv("SSL_CERT_FILE", str(server.ca))
    monkeypatch.syspath_prepend(str(FOLDER / "python"))
    return server


def code_of(standin: StandIn) -> str:
    """A fresh authorization code of the administrator."""
    url = f"{standin.portals[0].url}/oauth/authorize/"
    answer = requests.get(url, params={"client_id": standin.client_id}, allow_redirects=False, timeout=10)
    return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


def test_pybitrix24_exchanges_renews_calls_and_batches(secure):
    client = import_module("pybitrix24").Bitrix24(secure.portals[0].domain, secure.client_id, secure.client_secret)
    client.obtain_tokens(code_of(secure))
    client.refresh_tokens()

    number = client.call("crm.deal.add", {"fields": {"TITLE": "Oak"}})["result"]
    batch = client.call_batch({"who": "profile", "deal": ("crm.deal.get", {"id": number})})
    code = secure.portals[0].webhook.split("/")[-2]

    assert batch["result"]["result"]["deal"]["TITLE"] == "Oak"
    assert client.call_webhook(code, "user.admin")["result"] is True
    assert secure.oauth_asked("/oauth/token/") == 2


def test_bitrix24_rest_reads_whole_lists(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER / "python"))
    with StandIn.start(tls=tmp_path) as standin:  # aiohttp of its kind knows no proxy of the surroundings
        client = import_module("bitrix24").Bitrix24(standin.portals[0].webhook, safe=False)

        async def work() -> Any:
            for number in range(60):
                await client.callMethod("crm.lead.add", {"fields": {"TITLE": f"Lead {number}"}})
            return await client.callMethod("crm.lead.list", {"select": ["ID"]})

        assert len(asyncio.run(work())) == 60


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_2bad_bitrix_works_by_webhook_and_sends_no_token(tmp_path):
    with StandIn.start(tls=tmp_path, scope=["crm"]) as standin:
        ended = subprocess.run(
            ["node", str(HERE / "other_clients.cjs"), str(FOLDER), standin.control],
            env={**os.environ, "NODE_EXTRA_CA_CERTS": str(standin.ca)},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        refused = [call for call in standin.calls() if call.code == "NO_AUTH_FOUND"]

    assert json.loads(ended.stdout) == {"hook": ["Oak", 1, "1"], "oauth": "Response code 401 (Unauthorized)"}, (
        ended.stderr
    )
    assert [(call.auth, "token" in call.asked) for call in refused] == [
        ("", False)
    ]  # it is not the stand-in that lost it


@pytest.mark.skipif(shutil.which("php") is None, reason="no PHP on this machine")
def test_a_php_client_asks_with_a_webhook_as_crest_does(tmp_path):
    """CRest's way of asking, in PHP's own words: a form, a webhook, JSON back."""
    code = (
        "$c = curl_init($argv[1] . 'crm.deal.add.json');"
        "curl_setopt_array($c, [CURLOPT_POST => 1, CURLOPT_RETURNTRANSFER => 1,"
        " CURLOPT_POSTFIELDS => http_build_query(['fields' => ['TITLE' => 'Oak']])]);"
        "echo json_decode(curl_exec($c), true)['result'];"
    )
    with StandIn.start() as standin:
        command = ["php", "-r", code, standin.portals[0].webhook]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ended.stdout == "1", ended.stderr or sys.version
