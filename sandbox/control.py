"""The control API: JSON over HTTP for the control panel, for tests in other languages, and for `make run`.

Each route is one function of `orders.py`; the first line of its docstring is what `GET /` tells about it. `portal` is
an index from 0. Origins on loopback may call it from a browser.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sandbox import php
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
        """The portal meant, the first when none is named. Raises KeyError for one that is not there."""
        index = self.number("portal")
        if not 0 <= index < len(self.standin.portals):
            raise KeyError(f"no portal {index}")
        return self.standin.portals[index]

    @property
    def who(self) -> int | str:
        found = self.values.get("user", "admin")
        return found if isinstance(found, int) else php.text(found)

    def text(self, name: str, default: str = "") -> str:
        return php.text(self.values.get(name, default))

    def number(self, name: str, default: int = 0) -> int:
        found = self.values.get(name, default)
        if isinstance(found, bool) or not str(found).lstrip("-").isdecimal():
            raise ValueError(f"{name} is a whole number")
        return int(str(found))

    def flag(self, name: str) -> bool:
        return php.truthy(self.values.get(name))

    def names(self, name: str) -> list[str]:
        found = self.values.get(name) or []
        return [php.text(each) for each in php.values(found)]

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
        run = ROUTES.get((request.verb, request.path.rstrip("/") or "/"))
        if run is None or self.standin is None:
            return reply({"error": f"no route {request.verb} {request.path}"}, 404)
        self.standin.world.asked += 1
        try:
            return reply(run(Order(self.standin, _values(request))))
        except KeyError as error:
            return reply({"error": str(error.args[0])}, 404)
        except (ValueError, TypeError) as error:
            return reply({"error": str(error)}, 400)


def _values(request: Request) -> dict[str, object]:
    found: dict[str, object] = php.parse(request.query)
    if request.body:
        body = json.loads(request.body)
        if not isinstance(body, dict):
            raise ValueError("a JSON object is wanted")
        found |= body
    return found


def is_loopback(origin: str) -> bool:
    host = urlsplit(origin).hostname or ""
    return host == "localhost" or host.startswith("127.") or host == "::1"
