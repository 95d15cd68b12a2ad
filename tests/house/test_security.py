"""SECURITY.md is true: a section a threat, every test and file named there exists, every defence is still there."""

import re
from pathlib import Path

import pytest

from dev.mutants import DEFENCES, Defence

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
TEST = re.compile(r"`(tests/\S+?\.py|\w+\.py)?::(test_\w+)`")
FILE = re.compile(r"`((?:b24app|tests|dev|bench|assets|sandbox|templates)/[\w./-]+\.\w+)`")


def sections() -> list[tuple[str, str]]:
    """Number (`27`, `27b`) and text of each section under "Threats", in the order they stand in."""
    threats = TEXT.partition("## Threats")[2].partition("\n## ")[0]
    return [(part.split()[0], part) for part in re.split(r"^### (?=\d)", threats, flags=re.MULTILINE)[1:]]


def place(number: str) -> tuple[int, str]:
    """`27b` stands behind `27`."""
    digits = number.rstrip("abc")
    return int(digits), number[len(digits) :]


SECTIONS = sections()


def exists(test: str) -> bool:
    """`tests/…/file.py::test_name`, or a whole file."""
    path, _, name = test.partition("::")
    file = ROOT / path
    return file.is_file() and (not name or f"def {name}(" in file.read_text(encoding="utf-8"))


def named(text: str) -> list[str]:
    """Tests a section names; a name without a file is of the file named before it."""
    tests, file = [], ""
    for path, name in TEST.findall(text):
        file = path or file
        tests.append(f"{file}::{name}")
    return tests


def test_every_threat_has_its_section_in_order_and_without_a_gap() -> None:
    numbers = [number for number, _ in SECTIONS]

    assert numbers == sorted([*map(str, range(1, 37)), "27b"], key=place)


@pytest.mark.parametrize(("number", "text"), SECTIONS, ids=[number for number, _ in SECTIONS])
def test_a_section_names_code_and_tests_that_exist(number: str, text: str) -> None:
    defence, mark, tests = text.partition("**Tests.**")

    assert "**Defence.**" in defence
    assert mark
    assert FILE.findall(defence), "no code is named"
    assert named(tests), "no test is named"
    assert [path for path in FILE.findall(text) if not (ROOT / path).is_file()] == []
    assert [test for test in named(tests) if not exists(test)] == []


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
