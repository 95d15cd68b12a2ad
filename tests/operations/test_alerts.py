"""The alerts of docs/alerts.yaml are about figures that exist, and each says what to do."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from flask import Flask

from b24app.cli import b24
from tests.people import Person

ROOT = Path(__file__).parents[2]
RULES = ROOT / "docs" / "alerts.yaml"
BOOK = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
ALERTS = dict(re.findall(r"^ +- alert: (\w+)\n +expr: (.+)$", RULES.read_text(encoding="utf-8"), re.MULTILINE))


def sections(level: str, text: str) -> dict[str, str]:
    """Headings of a level, with what stands below each."""
    parts = re.split(rf"^{level} (.+)$", text, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def test_each_figure_in_an_alert_is_one_that_the_app_shows(app: Flask, alice: Person):
    alice.unpublish(351, 352)
    shown = set(re.findall(r"^# TYPE (\w+)", app.test_client().get("/metrics").text, re.MULTILINE))
    named = {name for expression in ALERTS.values() for name in re.findall(r"\bsundown_\w+", expression)}

    assert len(named) > 8
    assert named - shown == set()


def test_each_alert_says_what_to_do_in_a_section_of_its_own():
    book = sections("###", sections("##", BOOK)["Alerts"])

    assert len(ALERTS) == RULES.read_text(encoding="utf-8").count("alert: ")
    assert list(book) == list(ALERTS)
    assert {name for name, words in book.items() if len(words.split()) < 15} == set()


def test_each_figure_is_explained_in_the_book(app: Flask, alice: Person):
    alice.unpublish(351, 352)
    shown = set(re.findall(r"^# TYPE (sundown_\w+)", app.test_client().get("/metrics").text, re.MULTILINE))

    assert {name for name in shown if f"`{name}`" not in BOOK} == set()


def test_each_command_that_the_book_names_exists_and_each_is_named():
    named = set(re.findall(r"b24 ([a-z-]+)", BOOK))

    assert named <= set(b24.commands)
    assert set(b24.commands) - named == set()


def test_each_event_of_the_log_that_the_book_names_is_written_somewhere():
    listed = set(re.findall(r"^\| `(\w+)`", sections("##", BOOK)["Log"], re.MULTILINE))
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "b24app").rglob("*.py"))

    assert len(listed) > 10
    assert {name for name in listed if f'"{name}"' not in code} == set()


@pytest.mark.process
def test_prometheus_takes_the_rules():
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on this machine: Debian's package `prometheus`")

    done = subprocess.run([promtool, "check", "rules", RULES], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
