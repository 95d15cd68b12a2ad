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
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from sandbox import bindings, events, landing, orders, samples, sites, state, trash, users
from sandbox.clock import Clock
from sandbox.control import Control
from sandbox.faults import Fault
from sandbox.frame import open_frame
from sandbox.oauth import AuthorizationServer
from sandbox.portal import PortalServer
from sandbox.proxy import OAUTH_NAMES, Proxy
from sandbox.tls import server_context
from sandbox.truth import Call
from sandbox.wire import Listener
from sandbox.world import RIGHTS, Page, Portal, Site, User, World

SECTIONS = (bindings, landing, orders, sites, trash, users)  # importing them registers methods and routes
OAUTH_SERVERS = 2
SAVED_EVERY = 3.0


class PortalHandle:
    """One portal, for tests: `standin.portals[0]`."""

    def __init__(self, standin: StandIn, index: int) -> None:
        self.standin = standin
        self.index = index

    @property
    def state(self) -> Portal:
        """The portal's own record; hold `standin.world.lock` while changing it."""
        return self.standin.world.portals[self.index]

    @property
    def url(self) -> str:
        return self.state.url

    @property
    def domain(self) -> str:
        return self.state.domain

    @property
    def member_id(self) -> str:
        return self.state.member_id

    @property
    def endpoint(self) -> str:
        return self.state.endpoint

    @property
    def webhook(self) -> str:
        code, user = next(iter(self.state.webhooks.items()))
        return f"{self.endpoint}{user}/{code}/"

    @property
    def application_token(self) -> str | None:
        return self.state.installation.application_token if self.state.installation else None

    @property
    def installed(self) -> bool:
        """Whether the app is there and its installer has finished."""
        return self.state.installation is not None and self.state.installation.finished

    def user(self, who: int | str) -> User:
        """A user by id or role (`admin`, `editor`, `reader`)."""
        return self.state.user_named(who)

    def tokens(self, who: int | str) -> dict[str, object]:
        """A new pair for a user, as a frame open or an install gives one."""
        with self.standin.world.lock:
            token = self.standin.world.issue(self.state, self.user(who).id)
        return {
            "access_token": token.access,
            "refresh_token": token.refresh,
            "expires_in": int(token.expires_at - token.issued_at),
        }

    def open(
        self,
        who: int | str,
        install: bool | None = False,
        placement: str = "DEFAULT",
        options: dict[str, object] | None = None,
        lang: str | None = None,
    ) -> tuple[str, dict[str, str]]:
        """The address and the form that the portal posts into the iframe.

        install  True: the installer's address, putting the app on the portal where it is not; False: the application's,
                 so the installer counts as finished; None: as the portal decides
        """
        with self.standin.world.lock:
            if install and self.state.installation is None:
                self._put_on()
            if install is False and self.state.installation is not None:
                self.state.installation.finished = True
            _, url, form = open_frame(self.standin.world, self.state, self.user(who), install, placement, options, lang)
        return url, form

    def install(self) -> None:
        """Put the app on this portal anew; the tokens of an earlier installation are forgotten."""
        with self.standin.world.lock:
            self._put_on()

    def _put_on(self) -> None:
        self.standin.world.forget_tokens(self.state)
        samples.install(self.standin.world, self.state)

    def finish_install(self, who: int | str = "admin") -> int:
        """What `installFinish` in the browser does: ONAPPINSTALL goes to the bound handlers; how many."""
        with self.standin.world.lock:
            installation = self.state.installation
            if installation is None or installation.finished:
                return 0
            installation.finished = True
            return events.installed(self.standin.world, self.state, self.user(who).id)

    def uninstall(self, clean: bool = False) -> int:
        """Remove the app; how many handlers hear of it."""
        with self.standin.world.lock:
            if self.state.installation is not None:
                self.state.installation.finished = True  # a test without a browser never called installFinish
            return events.uninstalled(self.standin.world, self.state, clean)

    def update(self, scopes: Iterable[str] | None = None) -> int:
        """A new version of the app, with other scopes where named; handlers are dropped, the installer runs again."""
        with self.standin.world.lock:
            if scopes is not None and self.state.installation is not None:
                self.state.installation.scope = list(scopes)
            return events.updated(self.standin.world, self.state)

    def send(self, event: str, values: dict[str, object] | None = None, who: int | str = "admin") -> int:
        """Send an event to its bound handlers, whatever the state of the installation."""
        with self.standin.world.lock:
            return events.emit(
                self.standin.world, self.state, event.upper(), values or {}, self.user(who).id, force=True
            )

    def page(self, lid: int) -> Page:
        """A copy of a page as it is now."""
        with self.standin.world.lock:
            return replace(self.state.pages[lid])

    def pages(self, kind: str | None = None) -> list[Page]:
        """Copies of all pages outside the trash; `kind` PAGE (sites and stores), KNOWLEDGE, GROUP or MAINPAGE."""
        portal = self.state
        wanted = (
            None if kind is None else ((landing.kind_of(kind),) if landing.kind_of(kind) else landing.DEFAULT_KINDS)
        )
        with self.standin.world.lock:
            return [
                replace(page)
                for page in portal.pages.values()
                if not landing.in_trash(portal, page) and (wanted is None or portal.sites[page.site_id].type in wanted)
            ]

    def sites(self) -> list[Site]:
        with self.standin.world.lock:
            return [replace(site) for site in self.state.sites.values() if not site.deleted]

    def add_pages(self, number: int, site: int | None = None) -> list[int]:
        with self.standin.world.lock:
            return samples.add_pages(self.state, number, site, self.standin.world.clock.now())

    def change_page(self, lid: int, **fields: object) -> None:
        """Set fields of a page, as somebody in the editor does (`active=False`, `modified_by=9` …)."""
        with self.standin.world.lock:
            self.state.pages[lid] = replace(self.state.pages[lid], **fields)  # type: ignore[arg-type]

    def rights(self, who: int | str, site: int | None, codes: Iterable[str]) -> None:
        """Give a user exactly these rights on a site, or on all sites when `site` is None."""
        chosen = [code for code in RIGHTS if code in set(codes)]
        with self.standin.world.lock:
            user = self.user(who).id
            if site is None:
                self.state.default_rights[user] = chosen
                self.state.rights.pop(user, None)
            else:
                self.state.rights.setdefault(user, {})[site] = chosen

    def scope(self, scopes: Iterable[str]) -> None:
        """Set what the administrator has granted. Less shows at once, more with the next token."""
        with self.standin.world.lock:
            if self.state.installation is not None:
                self.state.installation.scope = list(scopes)

    def expire(self, who: int | str | None = None) -> int:
        """Let the access tokens of a user, or of all, run out now; how many."""
        return self._age(who, refresh=False)

    def expire_refresh(self, who: int | str | None = None) -> int:
        """The same, refresh tokens included."""
        return self._age(who, refresh=True)

    def _age(self, who: int | str | None, refresh: bool) -> int:
        with self.standin.world.lock:
            now = self.standin.world.clock.now()
            user = None if who is None else self.user(who).id
            mine = [
                token
                for token in self.standin.world.tokens.values()
                if token.portal == self.index and user in (None, token.user_id) and token.expires_at > 0
            ]
            for token in mine:
                token.expires_at = min(token.expires_at, now)
                if refresh:
                    token.refresh_expires_at = now
            return len(mine)

    def forget_user(self, who: int | str) -> None:
        """Dismiss a user: `authorization_error` from now on, and the portal makes no tokens for them."""
        self.change_user(who, active=False)

    def change_user(self, who: int | str, **fields: object) -> None:
        """Set fields of a user: `may_use_app=False`, `extranet=True`, `opens_sites=False`, `signed_in=False` …"""
        with self.standin.world.lock:
            user = self.user(who)
            self.state.users[user.id] = replace(user, **fields)  # type: ignore[arg-type]

    def add_users(self, number: int) -> list[int]:
        """Colleagues without an administrator's rights, who read."""
        with self.standin.world.lock:
            first = max(self.state.users) + 1
            for user_id in range(first, first + number):
                self.state.users[user_id] = User(
                    user_id, "Colleague", f"No. {user_id}", f"user{user_id}", f"c{user_id}@example.example"
                )
                self.state.default_rights[user_id] = ["read"]
        return list(range(first, first + number))

    def switch(self, **switches: object) -> None:
        """Turn switches of this portal (`switches.py`); raises ValueError for an unknown one."""
        with self.standin.world.lock:
            for name, value in switches.items():
                self.state.switches.set(name, value)
            self.standin.world.meters.checked.clear()

    def rename(self) -> str:
        """Give the portal a new address; the old one answers 302. The new URL."""
        return self.standin.rename(self.index)

    def asked(self, method: str) -> int:
        """How often a method was called, alone or inside a batch."""
        return len(self.standin.calls(self.index, method.lower()))

    def requests(self) -> int:
        """How many HTTP requests reached REST, a batch being one."""
        return sum(call.batch is None for call in self.standin.calls(self.index))


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
        spare = [portal_host(index + 100) for index in range(portals)]
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
            while not self._stopped.wait(SAVED_EVERY):
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
        server.url = self._add(portal_host(index + 100), 0, server).url
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


def portal_host(index: int) -> str:
    """127.0.0.2, 127.0.0.3 … where the system has them, 127.0.0.1 otherwise (macOS has only that one)."""
    host = f"127.0.0.{index + 2}"
    try:
        with socket.create_server((host, 0)):
            return host
    except OSError:
        return "127.0.0.1"
