"""The pytest plugin, found by its entry point: ask for `standin` or `portal` in a test.

One stand-in serves the whole session on real sockets; each test that asks for it finds it as new.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from b24sandbox.portal import PortalHandle
from b24sandbox.standin import StandIn


@pytest.fixture(scope="session")
def standin_options() -> dict[str, Any]:
    """How the stand-in of this session starts: override it to return `StandIn.start`'s arguments.

    `{"portals": 3, "scope": ["crm"], "title": "My app", "tls": True}`; True for `tls` is a folder of pytest's.
    """
    return {}


@pytest.fixture(scope="session")
def standin_server(standin_options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """The running stand-in of this session, not reset between tests."""
    given = dict(standin_options)
    if given.get("tls") is True:
        given["tls"] = tmp_path_factory.mktemp("b24sandbox")
    with StandIn.start(**given) as running:
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
