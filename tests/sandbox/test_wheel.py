"""The package as strangers get it: a wheel in an empty environment, and the README followed to the letter."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.ports import free_ports
from tests.processes import START_SECONDS, wait_until
from tests.sandbox.packaging import ROOT, SURROUNDINGS, empty_environment, wheel

pytestmark = pytest.mark.process

README = (ROOT / "sandbox" / "README.md").read_text(encoding="utf-8")
APP, TEST, CONFTEST, METHODS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
[CONFIG] = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
[SERVE, RUN] = re.findall(r"^    (b24sandbox --port 8200 .*|OAUTH=.*)$", README, re.MULTILINE)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def python(made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment's Python, with the wheel and what the README's app and tests need."""
    return empty_environment(tmp_path_factory.mktemp("empty"), made, "flask", "requests", "pytest")


@contextmanager
def running(command: str, folder: Path, **more: str) -> Iterator[subprocess.Popen[str]]:
    """A command line of the README, in a shell as a person types it; ended afterwards."""
    surroundings = {**SURROUNDINGS, **more}
    shell = ["bash", "-c", f"exec env {command}"]
    with subprocess.Popen(shell, cwd=folder, env=surroundings, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)


def answers(url: str) -> bool:
    """Whether anybody is there."""
    try:
        requests.get(url, timeout=30)
    except requests.ConnectionError:
        return False
    return True


def test_the_wheel_has_everything_and_nothing_of_others(made):
    names = zipfile.ZipFile(made).namelist()

    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"b24sandbox"}
    for needed in (
        "py.typed",
        "portal_ui/templates/automation.html",
        "portal_ui/static/portal.js",
        "portal_ui/static/preview.jpg",
    ):
        assert f"b24sandbox/{needed}" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_command_says_what_it_can(python, tmp_path):
    told = subprocess.run(
        [str(python.with_name("b24sandbox")), "--help"],
        cwd=tmp_path, env=SURROUNDINGS, capture_output=True, text=True, timeout=60, check=True,
    ).stdout  # fmt: skip
    offered = set(re.findall(r"--[a-z-]+", told)) - {"--help"}

    assert {each for each in offered if f"`{each}" not in README} == set()


def test_the_readmes_app_runs_as_it_stands(python, tmp_path):
    """The forty lines, the two command lines, and what a person does then."""
    first = free_ports(8)
    (tmp_path / "app.py").write_text(APP, encoding="utf-8")
    path = f"{python.parent}:{SURROUNDINGS['PATH']}"
    serve = SERVE.replace("8200", str(first)).replace(":5000", f":{first + 7}")
    with running(serve, tmp_path, PATH=path) as standin:
        assert standin.stdout is not None
        line: dict[str, Any] = json.loads(standin.stdout.readline())
        control, portal = line["control"], line["portals"][0]
        command = RUN.replace("8201", str(first + 1)).replace("5000", str(first + 7))
        command = command.replace("CLIENT_ID=…", f"CLIENT_ID={line['client_id']}")
        command = command.replace("CLIENT_SECRET=…", f"CLIENT_SECRET={line['client_secret']}")
        with running(command, tmp_path, PATH=path):
            wait_until(lambda: answers(f"http://127.0.0.1:{first + 7}/app"), START_SECONDS)

            def ask(route: str, **body: object) -> Any:
                return requests.post(f"{control}{route}", json=body, timeout=10).json()

            def sent() -> list[dict[str, Any]]:
                told: list[dict[str, Any]] = requests.get(f"{control}/truth", timeout=10).json()["events"]
                return told

            opened = ask("/open", user="admin", install=True)
            installer = requests.post(opened["url"], data=opened["form"], timeout=30)
            ask("/finish")
            requests.post(f"{portal['webhook']}crm.deal.add", json={"fields": {"TITLE": "Oak"}}, timeout=10)
            opened = ask("/open", user="editor")
            ask("/expire")
            page = requests.post(opened["url"], data=opened["form"], timeout=30)
            wait_until(lambda: len([each for each in sent() if each["status"] or each["problem"]]) == 2)
            events = sent()

    assert line["oauth"] == f"http://127.0.0.1:{first + 1}"
    assert "setInstallFinish" in installer.text
    assert page.text == "Good day, Tom"  # after a renewal: the token had expired
    assert sorted((each["event"], each["status"]) for each in events) == [
        ("ONAPPUSERREADY", 200),
        ("ONCRMDEALADD", 200),
    ]


def test_the_readmes_test_and_options_run_without_configuration(python, tmp_path):
    plain, shaped = tmp_path / "plain", tmp_path / "shaped"
    plain.mkdir()
    shaped.mkdir()
    (plain / "test_example.py").write_text(TEST, encoding="utf-8")
    (shaped / "conftest.py").write_text(CONFTEST + METHODS, encoding="utf-8")
    (shaped / "test_shape.py").write_text(
        "import requests\n\n\ndef test_shape(standin, portal):\n"
        "    token = portal.tokens('admin')['access_token']\n"
        "    portal.scope(['telephony'])\n"
        "    token = portal.tokens('admin')['access_token']\n"
        "    url = portal.endpoint + 'telephony.externalLine.get'\n"
        "    answer = requests.post(url, json={'auth': token}, verify=str(standin.ca), timeout=10).json()\n"
        "    assert answer['result'] == []\n"
        "    assert len(standin.portals) == 3 and portal.url.startswith('https://')\n"
        "    assert '/b24/install?' in portal.open('admin', install=True)[0]\n",
        encoding="utf-8",
    )

    for folder in (plain, shaped):
        ended = subprocess.run(
            [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider"],
            cwd=folder, env=SURROUNDINGS, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert "1 passed" in ended.stdout, ended.stdout + ended.stderr


def test_the_readmes_file_of_two_applications_starts(python, tmp_path):
    first = free_ports(6)
    (tmp_path / "b24.toml").write_text(CONFIG.replace("8200", str(first)), encoding="utf-8")
    path = f"{python.parent}:{SURROUNDINGS['PATH']}"
    with running("b24sandbox --config b24.toml", tmp_path, PATH=path) as standin:
        assert standin.stdout is not None
        line = json.loads(standin.stdout.readline())

    assert [each["title"] for each in line["apps"]] == ["Tide tables", "Night watch"]
    assert (tmp_path / "b24.json").exists()
