"""One portal as tests see it: what they look at, and what they let happen there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from b24sandbox.methods.landing import kind_of
from b24sandbox.protocol import events
from b24sandbox.protocol.frame import open_frame
from b24sandbox.state import samples
from b24sandbox.state.faults import Fault
from b24sandbox.state.sites import DEFAULT_KINDS, in_trash
from b24sandbox.state.world import RIGHTS, Page, Portal, Site, User, World


class PortalHandle:
    """One portal, for tests: `standin.portals[0]`.

    world  everything the stand-in knows; hold `world.lock` while changing it by hand
    """

    def __init__(self, world: World, index: int, move: Callable[[int], str]) -> None:
        self.world = world
        self.index = index
        self._move = move

    @property
    def state(self) -> Portal:
        """The portal's own record; hold `world.lock` while changing it."""
        return self.world.portals[self.index]

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
        with self.world.lock:
            token = self.world.issue(self.state, self.user(who).id)
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
        with self.world.lock:
            if install and self.state.installation is None:
                self._put_on()
            if install is False and self.state.installation is not None:
                self.state.installation.finished = True
            _, url, form = open_frame(self.world, self.state, self.user(who), install, placement, options, lang)
        return url, form

    def install(self) -> None:
        """Put the app on this portal anew; the tokens of an earlier installation are forgotten."""
        with self.world.lock:
            self._put_on()

    def _put_on(self) -> None:
        self.world.forget_tokens(self.state)
        samples.install(self.world, self.state)

    def finish_install(self, who: int | str = "admin") -> int:
        """What `installFinish` in the browser does: ONAPPINSTALL goes to the bound handlers; how many."""
        with self.world.lock:
            installation = self.state.installation
            if installation is None or installation.finished:
                return 0
            installation.finished = True
            return events.installed(self.world, self.state, self.user(who).id)

    def uninstall(self, clean: bool = False) -> int:
        """Remove the app; how many handlers hear of it."""
        with self.world.lock:
            if self.state.installation is not None:
                self.state.installation.finished = True  # a test without a browser never called installFinish
            return events.uninstalled(self.world, self.state, clean)

    def update(self, scopes: Iterable[str] | None = None) -> int:
        """A new version of the app, with other scopes where named; handlers are dropped, the installer runs again."""
        with self.world.lock:
            if scopes is not None and self.state.installation is not None:
                self.state.installation.scope = list(scopes)
            return events.updated(self.world, self.state)

    def send(self, event: str, values: dict[str, object] | None = None, who: int | str = "admin") -> int:
        """Send an event to its bound handlers, whatever the state of the installation."""
        with self.world.lock:
            return events.emit(self.world, self.state, event.upper(), values or {}, self.user(who).id, force=True)

    def page(self, lid: int) -> Page:
        """A copy of a page as it is now."""
        with self.world.lock:
            return replace(self.state.pages[lid])

    def pages(self, kind: str | None = None) -> list[Page]:
        """Copies of all pages outside the trash; `kind` PAGE (sites and stores), KNOWLEDGE, GROUP or MAINPAGE."""
        portal = self.state
        wanted = None if kind is None else ((kind_of(kind),) if kind_of(kind) else DEFAULT_KINDS)
        with self.world.lock:
            return [
                replace(page)
                for page in portal.pages.values()
                if not in_trash(portal, page) and (wanted is None or portal.sites[page.site_id].type in wanted)
            ]

    def sites(self) -> list[Site]:
        with self.world.lock:
            return [replace(site) for site in self.state.sites.values() if not site.deleted]

    def add_pages(self, number: int, site: int | None = None) -> list[int]:
        with self.world.lock:
            return samples.add_pages(self.state, number, site, self.world.clock.now())

    def change_page(self, lid: int, **fields: object) -> None:
        """Set fields of a page, as somebody in the editor does (`active=False`, `modified_by=9` …)."""
        with self.world.lock:
            self.state.pages[lid] = replace(self.state.pages[lid], **fields)  # type: ignore[arg-type]

    def rights(self, who: int | str, site: int | None, codes: Iterable[str]) -> None:
        """Give a user exactly these rights on a site, or on all sites when `site` is None."""
        chosen = [code for code in RIGHTS if code in set(codes)]
        with self.world.lock:
            user = self.user(who).id
            if site is None:
                self.state.default_rights[user] = chosen
                self.state.rights.pop(user, None)
            else:
                self.state.rights.setdefault(user, {})[site] = chosen

    def scope(self, scopes: Iterable[str]) -> None:
        """Set what the administrator has granted. Less shows at once, more with the next token."""
        with self.world.lock:
            if self.state.installation is not None:
                self.state.installation.scope = list(scopes)

    def expire(self, who: int | str | None = None) -> int:
        """Let the access tokens of a user, or of all, run out now; how many."""
        return self._age(who, refresh=False)

    def expire_refresh(self, who: int | str | None = None) -> int:
        """The same, refresh tokens included."""
        return self._age(who, refresh=True)

    def _age(self, who: int | str | None, refresh: bool) -> int:
        with self.world.lock:
            now = self.world.clock.now()
            user = None if who is None else self.user(who).id
            mine = [
                token
                for token in self.world.tokens.values()
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
        with self.world.lock:
            user = self.user(who)
            self.state.users[user.id] = replace(user, **fields)  # type: ignore[arg-type]

    def add_users(self, number: int) -> list[int]:
        """Colleagues without an administrator's rights, who read."""
        with self.world.lock:
            first = max(self.state.users) + 1
            for user_id in range(first, first + number):
                self.state.users[user_id] = User(
                    user_id, "Colleague", f"No. {user_id}", f"user{user_id}", f"c{user_id}@example.example"
                )
                self.state.default_rights[user_id] = ["read"]
        return list(range(first, first + number))

    def switch(self, **switches: object) -> None:
        """Turn switches of this portal (`switches.py`); raises ValueError for an unknown one."""
        with self.world.lock:
            for name, value in switches.items():
                self.state.switches.set(name, value)
            self.world.meters.checked.clear()

    def fault(self, method: str = "*", *, kind: str, times: int = 1, **more: object) -> Fault:
        """Arm a fault for the next `times` calls of a method on this portal: `portal.fault("batch", kind="html")`."""
        return self.world.faults.add(Fault(self.index, kind, method, times, **more))  # type: ignore[arg-type]

    def rename(self) -> str:
        """Give the portal a new address; the old one answers 302. The new URL."""
        return self._move(self.index)

    def asked(self, method: str) -> int:
        """How often a method was called, alone or inside a batch."""
        return len(self.world.recorder.calls(self.index, method.lower()))

    def requests(self) -> int:
        """How many HTTP requests reached REST, a batch being one."""
        return sum(call.batch is None for call in self.world.recorder.calls(self.index))
