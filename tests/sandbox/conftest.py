"""The stand-in on real sockets, and a person who asks it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from b24sandbox import PortalHandle, StandIn


class Person:
    """A user of a portal with a token, who calls methods and gets the whole answer."""

    def __init__(self, portal: PortalHandle, who: int | str, session: requests.Session) -> None:
        self.portal = portal
        self.id = portal.user(who).id
        self.session = session
        self.tokens = portal.tokens(who)

    @property
    def access(self) -> str:
        return str(self.tokens["access_token"])

    def ask(self, method: str, **params: object) -> requests.Response:
        body = {**params, "auth": self.access}
        return self.session.post(self.portal.endpoint + method, json=body, timeout=10, allow_redirects=False)

    def __call__(self, method: str, **params: object) -> Any:
        """The `result`; fails the test when there is none."""
        answer = self.ask(method, **params).json()
        assert "error" not in answer, answer
        return answer["result"]

    def error(self, method: str, **params: object) -> tuple[int, str]:
        """Status and code of a refusal."""
        answer = self.ask(method, **params)
        return answer.status_code, answer.json().get("error", "")

    def batch(self, cmd: object, **more: object) -> Any:
        return self("batch", cmd=cmd, **more)


@pytest.fixture
def session() -> Iterator[requests.Session]:
    with requests.Session() as opened:
        opened.trust_env = False
        yield opened


@pytest.fixture
def person(portal: PortalHandle, session: requests.Session) -> Callable[[int | str], Person]:
    return lambda who: Person(portal, who, session)


@pytest.fixture
def admin(person: Callable[[int | str], Person]) -> Person:
    return person("admin")


@pytest.fixture
def editor(person: Callable[[int | str], Person]) -> Person:
    return person("editor")


@pytest.fixture
def reader(person: Callable[[int | str], Person]) -> Person:
    return person("reader")


@pytest.fixture
def tokens(standin: StandIn, session: requests.Session) -> Callable[..., requests.Response]:
    """Ask the token endpoint, with the app's credentials unless others are given."""

    def ask(verb: str = "POST", **params: str) -> requests.Response:
        given = {"client_id": standin.client_id, "client_secret": standin.client_secret, **params}
        sent = {key: value for key, value in given.items() if value}
        url = f"{standin.oauth}/oauth/token/"
        return session.get(url, params=sent, timeout=10) if verb == "GET" else session.post(url, data=sent, timeout=10)

    return ask
