"""The control API: JSON over HTTP for the control panel, for tests in other languages, and for `make run`.

Each route is one function of `orders.py`; the first line of its docstring is what `GET /` tells about it. `portal` is
an index from 0. Origins on loopback may call it from a browser.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sandbox import given, php
from sandbox.wire import Request, Response, reply

if TYPE_CHECKING:
    from sandbox.handle import PortalHandle
    from sandbox.standin import StandIn


@dataclass(frozen=True)
class Order:
    """One request to the control API: its route's arguments, and the stand-in to do it to."""

    standin: StandIn
    values: dict[str, object]

    @property
    def portal(self) -> PortalHandle:
        """The portal meant, the first when none is named; raises KeyError for one that is not there."""
        index = self.number("portal")
        if not 0 <= index < len(self.standin.portals):
            raise KeyError(f"no portal {index}")
        return self.standin.portals[index]

    @property
    def who(self) -> int | str:
        found = self.values.get("user", "admin")
        return found if isinstance(found, int) else given.text("user", found)

    def text(self, name: str, default: str = "") -> str:
        return given.text(name, self.values.get(name, default))

    def number(self, name: str, default: int = 0) -> int:
        return given.number(name, self.values.get(name, default))

    def seconds(self, name: str, default: float) -> float:
        return given.seconds(name, self.values.get(name, default))

    def flag(self, name: str, default: bool = False) -> bool:
        return given.flag(name, self.values.get(name, default))

    def names(self, name: str) -> list[str]:
        """A list that has to be there: leaving it out is not the same as `[]`."""
        return given.names(name, self.values.get(name))

    def site(self) -> int | None:
        """The site named, if any; raises KeyError for one that is not there."""
        if self.values.get("site") is None:
            return None
        if (found := self.number("site")) not in self.portal.state.sites:
            raise KeyError(f"no site {found}")
        return found

    def lid(self) -> int:
        """The page named; raises KeyError for one that is not there."""
        if (found := self.number("lid")) not in self.portal.state.pages:
            raise KeyError(f"no page {found}")
        return found

    def rest(self, *but: str) -> dict[str, object]:
        return {key: value for key, value in self.values.items() if key not in but}


Route = Callable[[Order], object]
ROUTES: dict[tuple[str, str], Route] = {}


def route(verb: str, path: str) -> Callable[[Route], Route]:
    def add(run: Route) -> Route:
        ROUTES[verb, path] = run
        return run

    return add


class Control:
    """The control API's application; `standin` is set when it is built."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.standin: StandIn | None = None

    def __call__(self, request: Request) -> Response:
        answer = self._answer(request)
        origin = request.headers.get("origin", "")
        if is_loopback(origin):
            answer.headers |= {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Allow-Headers": "content-type",
                "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
                "Vary": "Origin",
            }
        answer.headers["Cache-Control"] = "no-store"
        return answer

    def _answer(self, request: Request) -> Response:
        if request.verb == "OPTIONS":
            return Response(204)
        origin = request.headers.get("origin", "")
        if origin and not is_loopback(origin):
            return reply({"error": "only pages on loopback may call this"}, 403)
        path = request.path.rstrip("/") or "/"
        run = ROUTES.get((request.verb, path))
        if run is None or self.standin is None:
            return _no_route(request.verb, path)
        self.standin.world.asked += 1
        try:
            return reply(run(Order(self.standin, _values(request))))
        except KeyError as error:
            return reply({"error": str(error.args[0])}, 404)
        except (ValueError, TypeError, RecursionError) as error:
            return reply({"error": str(error)}, 400)


def _no_route(verb: str, path: str) -> Response:
    if verbs := [each for each, there in ROUTES if there == path]:
        return reply({"error": f"{path} wants {' or '.join(verbs)}"}, 405, Allow=", ".join(verbs))
    return reply({"error": f"no route {verb} {path}; GET / lists them"}, 404)


def _values(request: Request) -> dict[str, object]:
    found: dict[str, object] = php.parse(request.query)
    if request.body:
        try:
            body = json.loads(request.body)
        except ValueError as error:
            raise ValueError(f"the body is no JSON: {error}") from None
        if not isinstance(body, dict):
            raise ValueError("a JSON object is wanted")
        found |= body
    return found


def is_loopback(origin: str) -> bool:
    """Whether a page of this origin is on this machine; a name that merely begins like an address is not."""
    try:
        host = urlsplit(origin).hostname or ""
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
