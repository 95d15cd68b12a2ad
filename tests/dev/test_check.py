"""What `make test` makes of tests that fail."""

from pathlib import Path

import pytest

from dev import check

PASSES = "def test_steady(): pass\n"
FAILS = "def test_broken(): raise AssertionError\n"
FAILS_ONCE = """
from pathlib import Path
def test_by_chance():
    seen = Path(__file__).with_suffix(".seen")
    if not seen.exists():
        seen.touch()
        raise AssertionError
"""
LEAKS = """
import gc, socket
def test_leaky(): socket.socket()
def test_neighbour(): gc.collect()
"""
FAILS_AROUND = """
import pytest
@pytest.fixture
def broken_after():
    yield
    raise AssertionError
def test_well(broken_after): pass
"""
STRICT = "[pytest]\nfilterwarnings = error\n"
pytestmark = pytest.mark.process


@pytest.fixture
def outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The exit code for a file of these tests, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(check.ROOT))

    def run(*tests: str) -> int:
        (tmp_path / "test_these.py").write_text("".join(tests))
        (tmp_path / "pytest.ini").write_text(STRICT)
        return check.run_tests(["-n1", "test_these.py"])

    return run


def test_what_fails_only_beside_others_is_named_and_stops_nobody(outcome, capfd: pytest.CaptureFixture[str]):
    assert outcome(PASSES, FAILS_ONCE) == 0

    said = capfd.readouterr().out
    assert "UNSTEADY, to be mended:\n  test_these.py::test_by_chance" in said
    assert "raise AssertionError" in said, "its failure is shown"


def test_what_fails_again_is_broken(outcome):
    assert outcome(FAILS, FAILS_ONCE) == 1


def test_many_failures_are_no_chance(outcome, capfd: pytest.CaptureFixture[str]):
    assert outcome(*(FAILS_ONCE.replace("chance", f"chance_{n}").replace(".seen", f".seen{n}") for n in range(4))) == 1
    assert "UNSTEADY" not in capfd.readouterr().out


@pytest.mark.parametrize("fault", [LEAKS, FAILS_AROUND])
def test_what_another_test_left_behind_is_no_chance(outcome, fault: str, capfd: pytest.CaptureFixture[str]):
    assert outcome(fault) == 1
    assert "UNSTEADY" not in capfd.readouterr().out


def test_a_run_without_failures_or_without_tests_is_what_pytest_says(outcome, capfd: pytest.CaptureFixture[str]):
    assert outcome(PASSES) == 0
    assert outcome("import nothing_like_this\n") not in (0, 5)
    assert "UNSTEADY" not in capfd.readouterr().out
