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
LAST = {1: 6, 2: 6, 3: 3, 4: 7, 5: 5, 7: 2}  # part of the protocol → its last section
FACTS = (SANDBOX / "FACTS.md").read_text(encoding="utf-8")


@pytest.mark.process
@pytest.mark.parametrize(("kind", "outcome"), [("reset_after", "1 passed"), ("reset_before", "1 failed")])
def test_the_ten_lines_run_as_they_stand_and_could_fail(tmp_path, kind, outcome):
    [example] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
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


def test_every_section_of_the_protocol_has_its_rules():
    sections = {line.split("|")[1].strip() for line in FACTS.splitlines() if re.match(r"\| \d", line)}
    wanted = {"6"} | {f"{part}.{n}" for part, last in LAST.items() for n in range(1, last + 1)}

    assert wanted - sections == set()
