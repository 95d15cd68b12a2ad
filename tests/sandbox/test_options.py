"""The command as strangers meet it: what cannot be is said in one line, what can be starts."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import requests

from b24sandbox import options
from b24sandbox.options import WrongOption

METHODS = """
from b24sandbox import MethodCall, register_event, rest_method

register_event("ONLIGHT", "lights")


@rest_method("lights.switch", "lights")
def switch(call: MethodCall) -> object:
    lights = call.records("lights")
    number = lights.add({"ON": call.text("ON")})
    call.emit("ONLIGHT", {"ID": number})
    return number
"""


def run(*arguments: str, cwd: Path) -> tuple[int, str]:
    """Exit status and what was said on the way out."""
    command = [sys.executable, "-m", "b24sandbox", *arguments]
    ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stderr


@pytest.mark.process
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "--port 70000: the ports end at 65535"),
        (["--port", "65534"], "--port 65534: the ports end at 65535, and 6 are used"),
        (["--port", "-1"], "--port -1"),
        (["--portals", "0"], "--portals is 1 to 1000, not 0"),
        (["--scale", "0"], "--scale is more than 0, not 0"),
        (["--scale", "nan"], "--scale is more than 0, not nan"),
        (["--app-url", "localhost:5000"], "--app-url localhost:5000 is no address"),
        (["--names"], "--names wants --tls DIR"),
        (["--methods", "none.py"], "--methods none.py: there is no such Python file"),
        (["--config", "none.toml"], "--config none.toml"),
        (["--tls", "file"], "--tls file cannot be used"),
        (["--state", "file"], "file is no state file"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(tmp_path, arguments, words):
    (tmp_path / "file").write_text("mine", encoding="utf-8")

    status, said = run(*arguments, cwd=tmp_path)

    assert status == 2
    assert words in said
    assert said.count("\n") == 1
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("prot = 1", "unknown prot; there are port"),
        ("port = true", "port cannot be True"),
        ("[app]\ntitle = 'x'", "stands under [[app]]"),
        ("[[app]]\ntitel = 'x'", "unknown on an application's card: titel"),
        ("[[app]]\nversion = 'x'", "version of an application cannot be 'x'"),
        ("port = ", "Invalid value"),
    ],
)
def test_a_file_is_looked_at_before_anything_starts(tmp_path, text, words):
    (tmp_path / "b24.toml").write_text(text, encoding="utf-8")

    with pytest.raises(WrongOption) as refused:
        options.read(["--config", str(tmp_path / "b24.toml")])

    assert words in str(refused.value)


def test_somebody_elses_authority_is_not_overwritten(tmp_path):
    (tmp_path / "ca.pem").write_text("theirs", encoding="utf-8")

    with pytest.raises(WrongOption, match=r"a ca\.pem of somebody else"):
        options.read(["--tls", str(tmp_path)])


def test_the_line_is_stronger_than_the_file(tmp_path):
    (tmp_path / "b24.toml").write_text(
        "port = 9000\nportals = 3\nstate = 'kept.json'\n[[app]]\ntitle = 'Mine'\nscope = 'crm, im'\n", encoding="utf-8"
    )

    asked = options.read(["--config", str(tmp_path / "b24.toml"), "--portals", "1", "--install-path", "/b24"])

    assert (asked.port, asked.portals, asked.state) == (9000, 1, tmp_path / "kept.json")
    assert asked.apps == [{"title": "Mine", "scope": ["crm", "im"], "install_path": "/b24"}]


def test_several_apps_stand_in_the_file_only(tmp_path):
    (tmp_path / "b24.toml").write_text("[[app]]\n[[app]]\n", encoding="utf-8")

    with pytest.raises(WrongOption, match="with several they stand in the file"):
        options.read(["--config", str(tmp_path / "b24.toml"), "--title", "x"])


@pytest.mark.process
def test_two_apps_and_a_method_of_ones_own_start(tmp_path):
    (tmp_path / "lights.py").write_text(METHODS, encoding="utf-8")
    (tmp_path / "b24.toml").write_text(
        "methods = ['lights.py']\nportals = 1\n"
        "[[app]]\ntitle = 'One'\nurl = 'http://127.0.0.1:5000'\nscope = ['lights']\n"
        "[[app]]\ntitle = 'Two'\napi_only = true\nclient_id = 'local.two'\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "b24sandbox", "--config", "b24.toml"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        line: dict[str, Any] = json.loads(process.stdout.readline())
        token = requests.post(f"{line['control']}/tokens", json={}, timeout=10).json()["access_token"]
        url = f"{line['portals'][0]['url']}/rest/"
        first = requests.post(f"{url}lights.switch", json={"auth": token, "ON": 1}, timeout=10).json()
        events = requests.post(f"{url}events", json={"auth": token}, timeout=10).json()["result"]
        process.send_signal(signal.SIGTERM)

    assert [(each["title"], each["url"]) for each in line["apps"]] == [
        ("One", "http://127.0.0.1:5000"),
        ("Two", "http://127.0.0.1:8100"),
    ]
    assert line["apps"][1]["client_id"] == "local.two"
    assert first["result"] == 1
    assert "ONLIGHT" in events
