"""One portal as tests see it: what they look at, and what they let happen there."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import replace
from urllib.parse import urlsplit

from b24sandbox.methods.landing import kind_of
from b24sandbox.protocol import automation, events
from b24sandbox.protocol.frame import link_of, open_frame
from b24sandbox.state import samples
from b24sandbox.state.faults import Fault
from b24sandbox.state.sites import DEFAULT_KINDS, in_trash
from b24sandbox.state.world import RIGHTS, Installation, Notice, Page, Portal, Rule, Site, User, Workflow, World


class PortalHandle:
    """One portal, for tests: `standin.portals[0]`, as one application sees it.

    world  everything the stand-in knows; hold `world.lock` while changing it by hand
    app    the application's place among those registered, 0 unless there are several
    """

    def __init__(self, world: World, index: int, move: Callable[[int], str], app: int = 0) -> None:
        self.world = world
        self.index = index
        self.app = app
        self._move = move

    def of(self, app: int) -> PortalHandle:
        """The same portal as another application sees it."""
        return PortalHandle(self.world, self.index, self._move, app)

    @property
    def installation(self) -> Installation | None:
        """The application on this portal; None when it is not installed."""
        return self.state.installations.get(self.app)

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
        return self.installation.application_token if self.installation else None

    @property
    def installed(self) -> bool:
        """Whether the app is there and its installer has finished."""
        return self.installation is not None and self.installation.finished

    def add_webhook(self, who: int | str = "admin", scopes: Iterable[str] | None = None) -> str:
        """One more inbound webhook of a user, with every scope unless some are named; its address."""
        with self.world.lock:
            code = secrets.token_hex(8)
            user = self.state.webhooks[code] = self.user(who).id
            if scopes is not None:
                self.state.webhook_scopes[code] = list(scopes)
        return f"{self.endpoint}{user}/{code}/"

    def user(self, who: int | str) -> User:
        """A user by id or role (`admin`, `editor`, `reader`)."""
        return self.state.user_named(who)

    def tokens(self, who: int | str) -> dict[str, object]:
        """A new pair for a user, as a frame open or an install gives one."""
        with self.world.lock:
            token = self.world.issue(self.state, self.user(who).id, app=self.app)
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
            if install and self.installation is None:
                self._put_on()
            if install is False and self.installation is not None:
                self.installation.finished = True
            user = self.user(who)
            _, url, form = open_frame(self.world, self.state, user, install, placement, options, lang, self.app)
        return url, form

    def open_link(self, link: str, who: int | str = "admin", lang: str | None = None) -> tuple[str, dict[str, str]]:
        """What a link into an app posts into its frame: `/marketplace/app/<client_id>/?run=5`, host or not.

        Raises ValueError for an address that is none of an app.
        """
        parts = urlsplit(link)
        found = link_of(self.world, parts.path, parts.query)
        if found is None:
            raise ValueError(f"{link} opens no application")
        return self.of(found.app).open(who, None, found.placement, found.options, lang)

    def install(self, who: int | str = "admin") -> int:
        """Put the app on this portal anew; the tokens of an earlier installation are forgotten.

        Where its card has no installer the installation has succeeded with that, and events are sent; how many.
        """
        with self.world.lock:
            self._put_on()
            found = self.installation
            if found is None or not found.finished:
                return 0
            return events.installed(self.world, self.state, self.user(who).id, self.app)

    def _put_on(self) -> None:
        self.world.forget_tokens(self.state, self.app)
        samples.install(self.world, self.state, self.app)

    def finish_install(self, who: int | str = "admin") -> int:
        """What `installFinish` in the browser does: ONAPPINSTALL to the handlers, ONAPPUSERREADY to the installer.

        How many handlers are told of the installation; 0 when it had finished before.
        """
        with self.world.lock:
            installation = self.installation
            if installation is None or installation.finished:
                return 0
            installation.finished = True
            return events.installed(self.world, self.state, self.user(who).id, self.app)

    def uninstall(self, clean: bool = False) -> int:
        """Remove the app; how many handlers hear of it."""
        with self.world.lock:
            if self.installation is not None:
                self.installation.finished = True  # a test without a browser never called installFinish
            return events.uninstalled(self.world, self.state, clean, self.app)

    def update(self, scopes: Iterable[str] | None = None) -> int:
        """A new version of the app, with other scopes where named: registrations go, the installer runs again."""
        with self.world.lock:
            if scopes is not None and self.installation is not None:
                self.installation.scope = list(scopes)
            return events.updated(self.world, self.state, self.app)

    def user_ready(self, address: str = "") -> int:
        """Send ONAPPUSERREADY now, to the installer's address or another one (11.1)."""
        with self.world.lock:
            return events.user_ready(self.world, self.state, self.app, address)

    def user_ready_form(self) -> tuple[str, dict[str, str]]:
        """Where ONAPPUSERREADY goes and its form, not sent; makes the system user where there is none yet.

        Raises LookupError where the app is not installed.
        """
        with self.world.lock:
            if self.installation is None:
                raise LookupError("the application is not installed on this portal")
            form = events.user_ready_form(self.world, self.state, self.installation, self.app)
            return self.world.applications[self.app].installer, dict(form)

    @property
    def system_user(self) -> User | None:
        """The application's own user on this portal, once there is one."""
        found = self.installation.system_user if self.installation else 0
        return self.state.users.get(found)

    def robots(self) -> list[str]:
        """The codes of the automation rules the app has registered."""
        return list(self.installation.robots) if self.installation else []

    def add_rule(self, code: str, who: int | str = "admin", waits: bool = False, **values: object) -> int:
        """Set up an automation rule of the app with these values, as a person does; its number.

        Raises KeyError for a code that is not registered.
        """
        with self.world.lock:
            found = self.installation
            if found is None or automation.registered(found, code) is None:
                raise KeyError(f"no robot {code}")
            number = self.state.fresh_id()
            activity = f"A{number:05d}_{number * 7 % 10000:04d}_{number * 13 % 10000:04d}_{number * 31 % 10000:04d}"
            self.state.rules.append(Rule(number, self.app, code, values, self.user(who).id, activity, waits))
            return number

    def change_rule(self, rule: int, waits: bool | None = None, **values: object) -> None:
        """Change what a rule was set up with. Raises KeyError for one that is not there."""
        with self.world.lock:
            found = self._rule(rule)
            found.values = values
            found.waits = found.waits if waits is None else waits

    def remove_rule(self, rule: int) -> None:
        with self.world.lock:
            self.state.rules.remove(self._rule(rule))

    def _rule(self, number: int) -> Rule:
        found = next((each for each in self.state.rules if each.id == number), None)
        if found is None:
            raise KeyError(f"no rule {number}")
        return found

    def fire(self, rule: int, document: int = 77) -> Workflow | None:
        """Let a rule come due for a deal: its handler is posted to. None where the app is not there any more."""
        with self.world.lock:
            return automation.fire(self.world, self.state, self._rule(rule), document)

    def workflows(self) -> list[Workflow]:
        """What has been fired, oldest first; copies."""
        with self.world.lock:
            return [replace(each) for each in self.state.workflows]

    def notices(self, who: int | str | None = None) -> list[Notice]:
        """What apps have put under a person's bell (or everybody's), oldest first; copies."""
        user = None if who is None else self.user(who).id
        with self.world.lock:
            return [replace(each) for each in self.state.notifications if user in (None, each.user)]

    def send(self, event: str, values: dict[str, object] | None = None, who: int | str = "admin") -> int:
        """Send an event to its bound handlers, whatever the state of the installation."""
        with self.world.lock:
            user = self.user(who).id
            return events.emit(self.world, self.state, event.upper(), values or {}, user, force=True, app=self.app)

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

    def add_sites(self, number: int, kind: str = "PAGE", title: str = "Site") -> list[int]:
        """Make published sites of a kind (PAGE, STORE, KNOWLEDGE, GROUP, VIBE), each with a main page; their ids."""
        with self.world.lock:
            return samples.add_sites(self.state, number, kind, title, self.world.clock.now())

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
            if self.installation is not None:
                self.installation.scope = list(scopes)

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
                if (token.portal, token.app) == (self.index, self.app)
                and user in (None, token.user_id)
                and token.expires_at > 0
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
