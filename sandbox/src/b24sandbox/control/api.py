"""The control API: JSON over HTTP for the control panel, for tests in other languages, and for `make run`.

Each route is one function of `routes.py`; the first line of its docstring is what `GET /` tells about it. `portal` is
an index from 0. Origins on loopback may call it from a browser.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit

from b24sandbox.control import validation
from b24sandbox.portal import PortalHandle
from b24sandbox.protocol import php
from b24sandbox.server.http import Request, Response, reply
from b24sandbox.state.world import World


@dataclass(frozen=True)
class ControlRequest:
    """One request to the control API: its arguments, and what they are about."""

    world: World
    portals: list[PortalHandle]
    values: dict[str, object]

    @property
    def portal(self) -> PortalHandle:
        """The portal meant, as the application meant sees it; the first of each unless named. Raises KeyError."""
        index = self.number("portal")
        if not 0 <= index < len(self.portals):
            raise KeyError(f"no portal {index}")
        app = self.number("app")
        if not 0 <= app < len(self.world.applications):
            raise KeyError(f"no application {app}")
        return self.portals[index].of(app) if app else self.portals[index]

    @property
    def who(self) -> int | str:
        found = self.values.get("user", "admin")
        return found if isinstance(found, int) else validation.text("user", found)

    def text(self, name: str, default: str = "") -> str:
        return validation.text(name, self.values.get(name, default))

    def number(self, name: str, default: int = 0) -> int:
        return validation.number(name, self.values.get(name, default))

    def seconds(self, name: str, default: float) -> float:
        return validation.seconds(name, self.values.get(name, default))

    def flag(self, name: str, default: bool = False) -> bool:
        return validation.flag(name, self.values.get(name, default))

    def names(self, name: str) -> list[str]:
        """A list that has to be there: leaving it out is not the same as `[]`."""
        return validation.names(name, self.values.get(name))

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


Route = Callable[[ControlRequest], object]
ROUTES: dict[tuple[str, str], Route] = {}


def route(verb: str, path: str) -> Callable[[Route], Route]:
    def add(run: Route) -> Route:
        ROUTES[verb, path] = run
        return run

    return add


class Control:
    """The control API's application."""

    def __init__(self, world: World, portals: list[PortalHandle]) -> None:
        self._world = world
        self._portals = portals

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
        if run is None:
            return _no_route(request.verb, path)
        self._world.request_count += 1
        try:
            return reply(run(ControlRequest(self._world, self._portals, _values(request))))
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


def description(world: World, portals: list[PortalHandle]) -> dict[str, object]:
    """Where everything stands and what it is called: the line that the command prints, and part of `GET /`."""
    roles = ("admin", "editor", "reader")
    return {
        "oauth": world.servers[0],
        "oauth_servers": list(world.servers),
        "client_id": world.application.client_id,
        "client_secret": world.application.client_secret,
        "apps": [
            {"title": each.title, "client_id": each.client_id, "client_secret": each.client_secret, "url": each.url}
            for each in world.applications
        ],
        "control": world.control,
        **({"proxy": world.proxy} if world.proxy else {}),
        "portals": [
            {
                "url": each.url,
                "domain": each.domain,
                "member_id": each.member_id,
                "users": {user.role: user.id for user in each.state.users.values() if user.role in roles},
                "webhook": each.webhook,
            }
            for each in portals
        ],
    }
