"""The stand-in as an object: everything running on real sockets, and verbs for tests.

standin = StandIn.start(app_url="http://127.0.0.1:8100")
portal = standin.portals[0]
url, form = portal.open("admin", install=True)
…
standin.stop()
"""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from types import TracebackType

from sandbox import bindings, landing, orders, page_list, samples, sites, state, trash, users
from sandbox.clock import Clock
from sandbox.control import Control
from sandbox.faults import Fault
from sandbox.handle import PortalHandle
from sandbox.oauth import AuthorizationServer
from sandbox.portal import PortalServer
from sandbox.proxy import OAUTH_NAMES, Proxy
from sandbox.tls import server_context
from sandbox.truth import Call
from sandbox.wire import Listener
from sandbox.world import World

SECTIONS = (bindings, landing, orders, page_list, sites, trash, users)  # importing them registers methods and routes
OAUTH_SERVERS = 2
SAVED_EVERY = 3.0


class StandIn:
    """The whole stand-in in this process; use `start`."""

    def __init__(self, world: World, control: Control) -> None:
        self.world = world
        self._control = control
        self._context = control.tls
        self._stopped = threading.Event()
        self._keeper: threading.Thread | None = None
        self._state_file: Path | None = None
        self._listeners: list[Listener] = []
        self._homes: list[str] = []
        self.portals = [PortalHandle(self, portal.index) for portal in world.portals]
        self._proxy: Proxy | None = None
        self.control = ""
        self.oauth = ""
        self.proxy = ""  # with TLS: for clients that have oauth.bitrix.info built in

    @classmethod
    def start(
        cls,
        port: int = 0,
        app_url: str = "http://127.0.0.1:8100",
        portals: int = 2,
        tls: Path | str | None = None,
        scale: float = 1.0,
        state_file: Path | None = None,
    ) -> StandIn:
        """Listen: control, two authorization servers, then the portals, on `port` and the next ones (0: any free).

        tls         serve https; the authority that clients are to trust is written there as `ca.pem`
        scale       portal seconds in one real second
        state_file  take up what was saved there, and save to it every few seconds and at the end
        """
        hosts = [portal_host(index) for index in range(portals)]
        spare = [portal_host(index, moved=True) for index in range(portals)]
        addresses = sorted({"127.0.0.1", *hosts, *spare})
        context = server_context(Path(tls), addresses, OAUTH_NAMES) if tls is not None else None
        world = samples.build(portals, app_url, Clock(scale))
        control = Control(context)
        standin = cls(world, control)
        control.standin = standin
        try:
            standin._listen(port, hosts)
        except OSError:
            standin.stop()
            raise
        if state_file is not None:
            state.load(world, state_file)
            standin._keep(state_file)
        return standin

    def _keep(self, path: Path) -> None:
        """Save now and then, and once more when stopped."""

        def run() -> None:
            saved = 0
            while not self._stopped.wait(SAVED_EVERY):
                if self.world.asked != saved:
                    saved = self.world.asked
                    state.save(self.world, path)

        self._keeper = threading.Thread(target=run, daemon=True, name="stand-in state")
        self._state_file = path
        self._keeper.start()

    def _listen(self, port: int, hosts: list[str]) -> None:
        def place(offset: int) -> int:
            return port + offset if port else 0

        self.control = self._add("127.0.0.1", place(0), self._control).url
        for number in range(OAUTH_SERVERS):
            listener = self._add("127.0.0.1", place(1 + number), AuthorizationServer(self.world, number))
            self.world.servers.append(listener.url)
        self.oauth = self.world.servers[0]
        for index, host in enumerate(hosts):
            server = PortalServer(self.world, index, self.control)
            server.url = self.world.portals[index].url = self._add(host, place(1 + OAUTH_SERVERS + index), server).url
            self._homes.append(server.url)
        if self._context is not None:
            servers = [("127.0.0.1", int(url.rpartition(":")[2])) for url in self.world.servers]
            routes = {f"{name}:443": where for name, where in zip(OAUTH_NAMES, servers, strict=True)}
            self._proxy = Proxy(routes, place(1 + OAUTH_SERVERS + len(hosts)))
            self.proxy = self._proxy.url

    def _add(self, host: str, port: int, application: AuthorizationServer | PortalServer | Control) -> Listener:
        listener = Listener(host, port, application, self._context)
        self._listeners.append(listener)
        return listener

    def stop(self) -> None:
        """Close every socket, and save where there is a file to save to."""
        self._stopped.set()
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        if self._proxy is not None:
            self._proxy.close()
            self._proxy = None
        if self._keeper is not None and self._state_file is not None:
            self._keeper.join()
            state.save(self.world, self._state_file)
            self._keeper = None

    def __enter__(self) -> StandIn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def client_id(self) -> str:
        return self.world.application.client_id

    @property
    def client_secret(self) -> str:
        return self.world.application.client_secret

    @property
    def app_url(self) -> str:
        return self.world.application.url

    @app_url.setter
    def app_url(self, url: str) -> None:
        self.world.application.url = url

    def reset(self) -> None:
        """Everything as at the start: sample data, no tokens, no faults, nothing written down. Addresses stay."""
        world = self.world
        with world.lock:
            world.clock.reset()
            fresh = samples.build(len(world.portals), world.application.url, world.clock)
            world.application = fresh.application
            for portal, url in zip(fresh.portals, self._homes, strict=True):
                portal.url = url
            world.portals[:] = fresh.portals
            for kept in (world.tokens, world.refreshes, world.codes, world.frames):
                kept.clear()
            world.rotation, world.kills_access, world.oauth_down, world.redirect_uri = "strict", True, False, ""
            world.post, world.meters = fresh.post, fresh.meters
            world.faults.clear()
            world.truth.clear()

    def rename(self, index: int) -> str:
        """Move a portal to a new address, on which it is found from now on."""
        server = PortalServer(self.world, index, self.control)
        server.url = self._add(portal_host(index, moved=True), 0, server).url
        with self.world.lock:
            self.world.portals[index].url = server.url
        return server.url

    def fault(self, where: int | str, method: str = "*", *, kind: str, times: int = 1, **more: object) -> Fault:
        """Arm a fault for the next `times` calls of a method: `standin.fault(0, "landing.*", kind="html")`."""
        return self.world.faults.add(Fault(where, kind, method, times, **more))  # type: ignore[arg-type]

    def clear_faults(self) -> None:
        self.world.faults.clear()

    def calls(self, portal: int | str | None = None, method: str | None = None, user: int | None = None) -> list[Call]:
        """What was asked, oldest first: commands inside batches too (`call.batch` is then a number)."""
        return self.world.truth.calls(portal, method.lower() if method else None, user)

    def oauth_asked(self, path: str) -> int:
        """How often the authorization servers were asked for `/oauth/token/` or `app.info`."""
        return len(self.calls("oauth", path))

    def wait_for_events(self, seconds: float = 5.0) -> bool:
        """Wait until no event is under way; False when some still are after that many real seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self.world.lock:
                if self.world.post.under_way == 0:
                    return True
            time.sleep(0.005)
        return False

    def described(self) -> dict[str, object]:
        """The line that `python -m sandbox` prints."""
        return {
            "oauth": self.oauth,
            "oauth_servers": list(self.world.servers),
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            "control": self.control,
            **({"proxy": self.proxy} if self.proxy else {}),
            "portals": [
                {
                    "url": each.url,
                    "domain": each.domain,
                    "member_id": each.member_id,
                    "users": {
                        user.role: user.id
                        for user in each.state.users.values()
                        if user.role in ("admin", "editor", "reader")
                    },
                    "webhook": each.webhook,
                }
                for each in self.portals
            ],
        }


def portal_host(index: int, moved: bool = False) -> str:
    """127.0.0.2, 127.0.0.3 … (127.1.0.2 … after a rename) where the system has them, 127.0.0.1 otherwise (macOS)."""
    third, last = divmod(index + 2, 250)
    host = f"127.{int(moved)}.{third}.{last}"
    try:
        with socket.create_server((host, 0)):
            return host
    except OSError:
        return "127.0.0.1"
