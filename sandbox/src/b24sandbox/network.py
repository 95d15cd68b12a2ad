"""Where everything listens: the control API, the authorization servers, the portals, and with TLS a proxy to them.

Nothing below this module knows a socket: what is known, done and answered works without one.
"""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from b24sandbox.portal_ui import bell, views
from b24sandbox.protocol import frame, oauth, rest
from b24sandbox.server.http import Application, Listener, Request, Response, front_end
from b24sandbox.server.proxy import OAUTH_NAMES, Proxy
from b24sandbox.server.tls import server_context
from b24sandbox.state.samples import code_of
from b24sandbox.state.sites import PREVIEW, page_at
from b24sandbox.state.world import Portal, World

OAUTH_SERVERS = 2


class Network:
    """The addresses of one stand-in, from `listen` to `close`."""

    def __init__(self, world: World, tls_folder: Path | None = None, names: bool = False) -> None:
        self._world = world
        self._named = names
        self._hosts = [portal_host(portal.index) for portal in world.portals]
        spare = [portal_host(portal.index, moved=True) for portal in world.portals]
        addresses = sorted({"127.0.0.1", *self._hosts, *spare})
        names_of_all = [portal_name(portal, moved) for portal in world.portals for moved in (False, True)]
        certified = (*OAUTH_NAMES, *(names_of_all if names else ()))
        self._tls = None if tls_folder is None else server_context(tls_folder, addresses, certified)
        self._routes: dict[str, tuple[str, int]] = {}  # where the proxy leads the names that clients ask for
        self._listeners: list[Listener] = []
        self._proxy: Proxy | None = None

    def listen(self, port: int, control: Application) -> None:
        """Control, authorization servers, then each portal, on `port` and the next ones (0: any free)."""

        def place(offset: int) -> int:
            return port + offset if port else 0

        world = self._world
        world.control = self._add("127.0.0.1", place(0), control).url
        for number in range(OAUTH_SERVERS):
            listener = self._add("127.0.0.1", place(1 + number), oauth.AuthorizationServer(world, number))
            self._lead(OAUTH_NAMES[number], listener.url)
            world.servers.append(f"https://{OAUTH_NAMES[number]}" if self._named else listener.url)
        for index, host in enumerate(self._hosts):
            world.homes.append(self._add_portal(index, host, place(1 + OAUTH_SERVERS + index)))
            world.portals[index].url = world.homes[index]
        if self._tls is not None:
            self._proxy = Proxy(self._routes, place(1 + OAUTH_SERVERS + len(self._hosts)))
            world.proxy = self._proxy.url

    def _lead(self, name: str, url: str) -> None:
        """Let the proxy lead a name to one of the listeners."""
        parts = urlsplit(url)
        self._routes[f"{name}:443"] = (str(parts.hostname), parts.port or 443)

    def move(self, index: int) -> str:
        """Give a portal a new address, on which it is found from now on; the new URL."""
        url = self._add_portal(index, portal_host(index, moved=True), 0, moved=True)
        with self._world.lock:
            self._world.portals[index].url = url
        return url

    def close(self) -> None:
        """Close every socket."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        if self._proxy is not None:
            self._proxy.close()
            self._proxy = None

    def _add_portal(self, index: int, host: str, port: int, moved: bool = False) -> str:
        server = PortalServer(self._world, index)
        server.url = self._add(host, port, server).url
        if self._named:
            name = portal_name(self._world.portals[index], moved)
            self._lead(name, server.url)
            server.url = f"https://{name}"
        return server.url

    def _add(self, host: str, port: int, application: Application) -> Listener:
        listener = Listener(host, port, application, self._tls)
        self._listeners.append(listener)
        return listener


class PortalServer:
    """One listening address of a portal: REST, authorize, the token endpoint, the frame, public pages, its own pages.

    A portal that was renamed listens on a new one; the old answers 302 (4.7).
    """

    def __init__(self, world: World, index: int) -> None:
        self.world = world
        self.index = index
        self.url = ""
        self._tokens = oauth.AuthorizationServer(world)

    def __call__(self, request: Request) -> Response:
        portal = self.world.portals[self.index]
        self.world.request_count += 1
        if self.url != portal.url:
            return moved(portal, request)
        if request.path.startswith("/rest/"):
            return rest.serve(self.world, portal, request)
        if request.path.rstrip("/") == "/oauth/authorize":
            return oauth.authorize(self.world, portal, request)
        if request.path.rstrip("/") == "/oauth/token":
            return self._tokens(request)  # in the cloud the portal passes it on (1.1)
        if request.path == "/_standin/frame" and request.verb == "GET":
            return frame.described(self.world, portal, request)
        if request.path == "/_standin/command" and request.verb == "POST":
            return frame.command(self.world, portal, request)
        if request.path == bell.PATH and request.verb in ("GET", "POST"):
            return bell.answer(self.world, portal, request)
        picture = request.path.endswith(f"/{PREVIEW}")
        found = page_at(portal, request.path.removesuffix(PREVIEW) if picture else request.path)
        shown = replace(request, path=f"/{'previews' if picture else 'pages'}/{found}") if found else request
        return views.answer(self.world, portal, shown) or front_end(404)


def moved(portal: Portal, request: Request) -> Response:
    """302 to the same path on the new host; a client that follows turns its POST into a GET."""
    query = f"?{request.query}" if request.query else ""
    return Response(302, b"", {"Location": f"{portal.url}{request.path}{query}"})


def portal_name(portal: Portal, moved: bool = False) -> str:
    """A name as a cloud portal has one, of a kind that apps look for: `harbour-pine.bitrix24.example`."""
    return f"{code_of(portal.title)}{'-renamed' if moved else ''}.bitrix24.example"


def portal_host(index: int, moved: bool = False) -> str:
    """127.0.0.2, 127.0.0.3 … (127.1.0.2 … after a rename) where the system has them, 127.0.0.1 otherwise (macOS)."""
    third, last = divmod(index + 2, 250)
    host = f"127.{int(moved)}.{third}.{last}"
    try:
        with socket.create_server((host, 0)):
            return host
    except OSError:
        return "127.0.0.1"
