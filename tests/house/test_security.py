"""SECURITY.md is true: every threat has its row, every test and file it names exists, every defence is still there."""

import re
from pathlib import Path

import pytest

from dev.mutants import DEFENCES, Defence

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
THREATS = 26
TEST = re.compile(r"`(tests/\S+?\.py|\w+\.py)?::(test_\w+)`")
FILE = re.compile(r"`((?:b24app|tests|dev|bench|assets|sandbox|templates)/[\w./-]+\.\w+)`")


def rows() -> dict[int, list[str]]:
    """Number of a threat → its cells."""
    found = re.findall(r"^\| (\d+) \|(.*)\|$", TEXT, re.MULTILINE)
    return {int(number): [cell.strip() for cell in cells.split(" | ")] for number, cells in found}


def exists(test: str) -> bool:
    """`tests/…/file.py::test_name`, or a whole file."""
    path, _, name = test.partition("::")
    file = ROOT / path
    return file.is_file() and (not name or f"def {name}(" in file.read_text(encoding="utf-8"))


def named(cells: list[str]) -> list[str]:
    """Tests a row names; a name without a file is of the file named before it."""
    tests, file = [], ""
    for path, name in TEST.findall(" ".join(cells)):
        file = path or file
        tests.append(f"{file}::{name}")
    return tests


def test_every_threat_has_its_row() -> None:
    assert sorted(rows()) == list(range(1, THREATS + 1))


@pytest.mark.parametrize("number", range(1, THREATS + 1))
def test_a_row_names_code_and_tests_that_exist(number: int) -> None:
    cells = rows()[number]

    assert len(cells) == 3
    assert FILE.findall(cells[1]), "no code is named"
    assert named(cells) or number == 25, "no test is named"
    assert [path for path in FILE.findall(" ".join(cells)) if not (ROOT / path).is_file()] == []
    assert [test for test in named(cells) if not exists(test)] == []


@pytest.mark.parametrize("defence", DEFENCES, ids=lambda defence: defence.name)
def test_a_defence_that_was_taken_out_for_a_trial_is_still_there(defence: Defence) -> None:
    source = (ROOT / defence.file).read_text(encoding="utf-8")

    assert source.count(defence.line) == 1
    assert [test for test in defence.tests if not exists(test)] == []
    assert f"| {defence.name} |" in TEXT


def test_no_trial_is_told_that_is_not_made() -> None:
    trials = TEXT.partition("## Defences taken out")[2]

    told = set(re.findall(r"^\| ([^|]+?) \|", trials, re.MULTILINE)) - {"taken out", "---"}
    assert told == {defence.name for defence in DEFENCES}
