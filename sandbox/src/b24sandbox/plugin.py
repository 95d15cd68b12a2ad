"""The pytest plugin, found by its entry point: ask for `standin` or `portal` in a test.

One stand-in serves the whole session on real sockets; each test that asks for it finds it as new.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from b24sandbox.portal import PortalHandle
from b24sandbox.standin import StandIn


@pytest.fixture(scope="session")
def standin_server() -> Iterator[StandIn]:
    """The running stand-in of this session, not reset between tests."""
    with StandIn.start() as running:
        yield running


@pytest.fixture
def standin(standin_server: StandIn) -> StandIn:
    """The stand-in with its sample data, no tokens, no faults and nothing written down."""
    standin_server.reset()
    return standin_server


@pytest.fixture
def portal(standin: StandIn) -> PortalHandle:
    """The first portal of a fresh stand-in."""
    return standin.portals[0]
