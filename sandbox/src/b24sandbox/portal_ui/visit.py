"""Who looks at which portal, and how: all of it from the address, so that a link or a test can say it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from b24sandbox.portal_ui.words import LANGUAGES
from b24sandbox.protocol.frame import Link
from b24sandbox.state.world import Application, Installation, Portal, User, World

VIEWS = ("page", "slider", "phone")
KEPT = ("user", "lang", "theme", "view", "app")


@dataclass(frozen=True)
class Visit:
    """One look at a page. A user, language, theme or view that does not exist counts as not said."""

    world: World
    portal: Portal
    path: str
    query: Mapping[str, str]
    opened: Link | None = None  # what a link of 12.5 opens

    @property
    def app(self) -> int:
        """The application this is about, the first where none or an unknown one is named."""
        place = self.opened.app if self.opened else self.number("app")
        return place if place < len(self.world.applications) else 0

    @property
    def card(self) -> Application:
        return self.world.applications[self.app]

    @property
    def installation(self) -> Installation | None:
        return self.portal.installations.get(self.app)

    @property
    def user(self) -> User:
        users = self.portal.users
        wanted = self.query.get("user", "")
        found = users.get(int(wanted)) if wanted.isdigit() else None
        return users[min(users)] if found is None or found.system else found

    @property
    def lang(self) -> str:
        return self.chosen("lang", LANGUAGES, self.portal.lang)

    @property
    def theme(self) -> str:
        return self.chosen("theme", ("light", "dark"), "light")

    @property
    def view(self) -> str:
        return self.chosen("view", VIEWS, "page")

    def chosen(self, name: str, allowed: Collection[str], default: str) -> str:
        value = self.query.get(name, default)
        return value if value in allowed else default

    def number(self, name: str) -> int:
        """A number of the query, 0 when it is none."""
        value = self.query.get(name, "")
        return int(value) if value.isdigit() else 0

    def link(self, path: str, **more: object) -> str:
        """An address on this portal that keeps who looks and how."""
        kept = {name: self.query[name] for name in KEPT if name in self.query}
        query = urlencode({**kept, **more})
        return f"{path}?{query}" if query else path
