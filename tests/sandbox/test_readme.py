"""What is written for others holds: the ten lines run, and the page of facts names what there is."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from b24sandbox.state.switches import Switches

ROOT = Path(__file__).parents[2]
SANDBOX = ROOT / "sandbox"
PACKAGE = SANDBOX / "src" / "b24sandbox"
README = (SANDBOX / "README.md").read_text(encoding="utf-8")
FACTS = (SANDBOX / "FACTS.md").read_text(encoding="utf-8")


@pytest.mark.process
@pytest.mark.parametrize(("kind", "outcome"), [("reset_after", "1 passed"), ("reset_before", "1 failed")])
def test_the_ten_lines_run_as_they_stand_and_could_fail(tmp_path, kind, outcome):
    example = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[1]
    (tmp_path / "test_example.py").write_text(example.replace("reset_after", kind), encoding="utf-8")

    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_example.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip

    assert outcome in ended.stdout, ended.stdout + ended.stderr


def test_every_switch_stands_on_the_page_of_facts():
    assert {each.name for each in fields(Switches) if f"`{each.name}`" not in FACTS} == set()


def test_every_file_that_is_named_is_there():
    named = {name for text in (README, FACTS) for name in re.findall(r"`((?:[\w/]+/)?\w+\.(?:py|js))`", text)}
    there = [path.relative_to(PACKAGE) for path in PACKAGE.rglob("*") if path.suffix in (".py", ".js")]

    assert {name for name in named if not any(path.match(name) for path in there)} == set()


ROWS = [line.strip("|").split("|") for line in FACTS.splitlines() if re.match(r"\| \d", line)]


def test_every_fact_has_a_public_link_and_says_how_well_it_is_known():
    assert len(ROWS) > 80
    assert [row for row in ROWS if len(row) != 5] == []
    assert [row[1] for row in ROWS if not re.search(r"\]\(https://[^)]+\)", row[3])] == []
    assert [row[1] for row in ROWS if not re.search(r"\b[DSG]\b", row[2])] == []
    assert len({row[1] for row in ROWS}) == len(ROWS)


def test_every_section_the_code_names_stands_on_the_page_of_facts():
    """Comments and docstrings name sections as "section 4.5", "Sections 2.1 to 2.3" or "(3.3)"."""
    there = {row[0].strip() for row in ROWS}
    chapters = {each.split(".")[0] for each in there}
    named: set[str] = set()
    for path in PACKAGE.rglob("*"):
        if path.suffix in (".py", ".js"):
            text = path.read_text(encoding="utf-8")
            named |= set(re.findall(r"\((\d\d?\.\d)\)", text))
            for run in re.findall(r"[Ss]ections? ((?:\d+(?:\.\d+)?(?:, | and | to )?)+)", text):
                named |= set(re.findall(r"\d+(?:\.\d+)?", run))

    assert {each for each in named if each not in there and each not in chapters} == set()


def test_nothing_that_is_not_shipped_is_needed():
    written = [README, FACTS, *(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))]

    assert not any(re.search(r"(?i)sundown|b24app|bitrix24\.md", text) for text in written)
