"""A pytest plugin: `--failed-to FILE` writes down the tests that failed, a line each, for a second look.

Nothing is written where that look could not tell: something failed around a test, or of one that went before (a leak is
found in whichever test runs when it is collected), or a test process died.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

OF_OTHERS = re.compile(r"PytestUnraisableExceptionWarning|PytestUnhandled|worker '?\w+'? crashed")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one option."""
    parser.addoption("--failed-to", type=Path, help="where to write which tests failed")


@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> Iterator[None]:
    """Once all is said."""
    yield
    place: Path | None = config.getoption("--failed-to")
    failed, around = (terminalreporter.stats.get(what, []) for what in ("failed", "error"))
    if place is not None and not around and not any(OF_OTHERS.search(report.longreprtext) for report in failed):
        place.write_text("".join(f"{report.nodeid}\n" for report in failed), encoding="utf-8")
