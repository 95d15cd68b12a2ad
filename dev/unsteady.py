"""A pytest plugin: `--failed-to FILE` writes down the tests that failed, a line each, for a second look."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one option."""
    parser.addoption("--failed-to", type=Path, help="where to write which tests failed")


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Iterator[None]:
    """Once all is said: what failed, also before or after the test itself, each test once."""
    yield
    place: Path | None = config.getoption("--failed-to")
    if place is not None:
        found = [report.nodeid for what in ("failed", "error") for report in terminalreporter.stats.get(what, ())]
        place.write_text("".join(f"{name}\n" for name in dict.fromkeys(found)), encoding="utf-8")
