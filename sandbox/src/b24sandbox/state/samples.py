"""Two invented companies: what the portals are filled with at the start and after a reset. Nothing here is real."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

from b24sandbox.state.clock import Clock
from b24sandbox.state.world import RIGHTS, Application, Binding, Folder, Installation, Page, Portal, Site, User, World

DAY = 86400.0
APP_EVENTS = ("ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL", "ONAPPPAYMENT")


@dataclass(frozen=True)
class SitePlan:
    """A site and its pages by title; the first is the main one. `-` before a title: not published, `~`: draft edits."""

    id: int
    title: str
    code: str
    type: str
    first_lid: int
    pages: tuple[str, ...]
    domain: str = ""
    description: str = ""
    active: bool = True
    folder: tuple[str, tuple[str, ...]] | None = None  # title, pages in it


HARBOUR = (
    SitePlan(
        3,
        "Main site",
        "main",
        "PAGE",
        350,
        (
            "Harbour & Pine: tables that last",
            "Spring sale 2026",
            "About the workshop",
            "Our makers",
            "Oak dining tables",
            "~Walnut desks",
            "Children’s furniture",
            "Commission a piece",
            "How we finish wood",
            "-Christmas hours 2025",
            "Delivery and returns",
            "Care guide",
            "Visit the showroom",
            "~Trade customers",
            "Press",
            "-Black Friday 2025",
            "Privacy",
            "Page not found",
        ),
        "harbour-and-pine.example",
        "Solid wood furniture from the old boatyard",
        folder=(
            "News",
            (
                "A second bench for the workshop",
                "We plant a tree for each table",
                "~Open day on 6 June",
                "-Winner of the 2025 regional prize",
                "The ferry timbers are sold out",
            ),
        ),
    ),
    SitePlan(
        5,
        "Web shop",
        "shop",
        "STORE",
        410,
        (
            "All products",
            "Dining tables",
            "Chairs and benches",
            "Shelves",
            "Offcuts and boards",
            "~Gift vouchers",
            "Basket",
            "Checkout",
            "Order received",
            "-Summer clearance",
            "Delivery zones",
            "Terms of sale",
        ),
        "shop.harbour-and-pine.example",
        "Order online, collect at the quay",
    ),
    SitePlan(
        6,
        "Careers",
        "careers",
        "PAGE",
        430,
        (
            "Work with us",
            "Cabinet maker (full time)",
            "-Apprenticeship 2025",
            "~Showroom host, weekends",
            "What we offer",
            "How to apply",
        ),
        "jobs.harbour-and-pine.example",
        "Open positions",
    ),
    SitePlan(
        8,
        "Workshop handbook",
        "handbook",
        "KNOWLEDGE",
        450,
        (
            "Start here",
            "Machine safety",
            "Dust extraction",
            "Glues and their open times",
            "Finishes: oil or lacquer?",
            "~Opening and closing the workshop",
            "Ordering timber",
            "-Old lathe manual",
            "First aid",
            "Reclamations",
            "Tools we lend",
        ),
    ),
    SitePlan(
        11,
        "Project Lighthouse",
        "lighthouse",
        "GROUP",
        470,
        (
            "Project overview",
            "Timeline",
            "Café counter: drawings",
            "-Meeting notes, January",
            "Materials list",
            "~Open questions",
        ),
    ),
    SitePlan(
        14,
        "Company home",
        "home",
        "VIBE",
        490,
        ("Good morning, Harbour & Pine", "Birthdays and anniversaries", "-Winter party"),
    ),
)
NORDLICHT = (
    SitePlan(
        2,
        "Nordlicht Verlag",
        "verlag",
        "PAGE",
        40,
        (
            "Bücher aus dem Norden",
            "Neuerscheinungen",
            "Autorinnen und Autoren",
            "-Vorschau Herbst 2025",
            "~Lesungen",
            "Kontakt",
        ),
        "nordlicht-verlag.example",
    ),
    SitePlan(
        4,
        "Redaktionshandbuch",
        "redaktion",
        "KNOWLEDGE",
        60,
        ("Willkommen", "Satz und Zeichen", "-Alte Hausregeln", "Fristen"),
    ),
    SitePlan(7, "Leseclub", "leseclub", "PAGE", 80, ("Leseclub", "Bücher des Monats")),
)


def stable(*parts: object) -> str:
    """32 hex digits that are the same at every start, so that an app's own database still fits."""
    return hashlib.sha256(":".join(map(str, ("stand-in", *parts))).encode()).hexdigest()[:32]


def card(place: int, **fields: Any) -> Application:
    """An application's card; client_id and client_secret are the same at every start unless they are given.

    Raises ValueError for a field that no card has.
    """
    known = [each.name for each in dataclasses.fields(Application)]
    if strange := sorted(fields.keys() - set(known)):
        raise ValueError(f"unknown: {', '.join(strange)}; an application's card has {', '.join(known)}")
    more = (place,) if place else ()
    digits = stable("client", *more)
    usual: dict[str, Any] = {
        "client_id": f"app.{digits[:14]}.{int(digits[14:20], 16) % 10**8:08d}",
        "client_secret": stable("secret", *more) + stable("more", *more),
    }
    if place:
        usual |= {"title": f"Sample app {place + 1}", "code": f"standin.sample{place + 1}"}
    return Application(**(usual | fields))


def add_app(world: World, fields: Mapping[str, Any]) -> int:
    """Register one more application and put it on every portal; its place. Hold the lock."""
    place = len(world.applications)
    made = card(place, **fields)
    if world.place_of(made.client_id) is not None:
        raise ValueError(f"client_id {made.client_id} is taken")
    world.applications.append(made)
    world.cards.append(replace(made, scope=list(made.scope)))
    for each in world.portals:
        install(world, each, place)
    return place


def build(portals: int, cards: list[Application], clock: Clock) -> World:
    """A fresh world with `portals` portals; those after the second are like the first.

    Each application is on each of them as after the click in the Market: its installer has yet to run.
    """
    world = World(cards, [portal(index, clock.now()) for index in range(portals)], clock)
    for each in world.portals:
        for place in range(len(cards)):
            install(world, each, place)
    world.cards = [replace(each, scope=list(each.scope)) for each in cards]
    return world


def reset(world: World) -> None:
    """Everything as at the start: sample data, no tokens, no faults, nothing recorded. Addresses stay."""
    with world.lock:
        world.clock.reset()
        cards = [replace(each, scope=list(each.scope)) for each in world.cards]
        for kept, now in zip(cards, world.applications, strict=False):
            kept.url = now.url
        fresh = build(len(world.portals), cards, world.clock)
        world.applications[:] = fresh.applications
        for each, url in zip(fresh.portals, world.homes, strict=True):
            each.url = url
        world.portals[:] = fresh.portals
        for kept_map in (world.tokens, world.refreshes, world.codes, world.frames):
            kept_map.clear()
        world.rotation, world.kills_access, world.oauth_down = "strict", True, False
        world.event_queue, world.meters = fresh.event_queue, fresh.meters
        world.faults.clear()
        world.recorder.clear()


def install(world: World, portal: Portal, app: int = 0) -> Installation:
    """Put an application on a portal, as the administrator's click in the Market does.

    Its installer has yet to finish; where the card has none the installation is finished at once.
    """
    made = world.applications[app]
    installation = Installation(
        scope=list(made.scope),
        application_token=stable("application token", portal.index, *((app,) if app else ())),
        finished=not made.has_installer,
        version=made.version,
        status=made.status,
    )
    portal.installations[app] = installation
    bind_card(world, portal, app)
    return installation


def bind_card(world: World, portal: Portal, app: int) -> None:
    """Bind the application's own events to the address on its card, where there is one."""
    made = world.applications[app]
    if made.events_path:
        handler = made.address(made.events_path)
        bindings = [Binding(portal.fresh_id(), event, handler) for event in APP_EVENTS]
        portal.installations[app].bindings = bindings


def portal(index: int, now: float) -> Portal:
    plans = NORDLICHT if index == 1 else HARBOUR
    title = "Nordlicht Verlag" if index == 1 else ("Harbour & Pine" if index == 0 else f"Harbour & Pine {index + 1}")
    found = Portal(
        index=index,
        title=title,
        member_id=stable("member", index),
        lang="de" if index == 1 else "en",
        users={user.id: user for user in people(index)},
        sites={},
        pages={},
        webhooks={stable("webhook", index)[:16]: 1},
    )
    for number, plan in enumerate(plans):
        _build_site(found, plan, now - (400 - 30 * number) * DAY)
    _grant(found)
    if index != 1:
        _add_trash(found, now)
    return found


def people(index: int) -> list[User]:
    if index == 1:
        return [
            User(
                1,
                "Ingrid",
                "Petersen",
                "admin",
                "ingrid@nordlicht-verlag.example",
                admin=True,
                gender="F",
                position="Verlegerin",
            ),
            User(7, "Jonas", "Brandt", "editor", "jonas@nordlicht-verlag.example", gender="M", position="Redakteur"),
            User(9, "Lale", "Demir", "reader", "lale@nordlicht-verlag.example", gender="F", position="Vertrieb"),
        ]
    return [
        User(
            1,
            "Maren",
            "Holt",
            "admin",
            "maren@harbour-and-pine.example",
            admin=True,
            gender="F",
            position="Managing director",
        ),
        User(
            7,
            "Tom",
            "Okafor",
            "editor",
            "tom@harbour-and-pine.example",
            gender="M",
            position="Web editor",
            time_zone="Europe/London",
        ),
        User(
            9,
            "Ana",
            "Ruiz",
            "reader",
            "ana@harbour-and-pine.example",
            gender="F",
            position="Sales",
            time_zone="Europe/Madrid",
        ),
    ]


def _build_site(portal: Portal, plan: SitePlan, began: float) -> None:
    site = Site(
        plan.id, plan.title, plan.code, plan.type, plan.active, description=plan.description, domain=plan.domain,
        lang=portal.lang, index_lid=plan.first_lid, created_at=began, modified_at=began + 90 * DAY,
    )  # fmt: skip
    portal.sites[site.id] = site
    lids = count(plan.first_lid)
    for title in plan.pages:
        _build_page(portal, site, next(lids), title, None, began)
    if plan.folder:
        folder = Folder(
            plan.id * 10, site.id, plan.folder[0], code_of(plan.folder[0]), created_at=began, modified_at=began
        )
        portal.folders[folder.id] = folder
        for title in plan.folder[1]:
            _build_page(portal, site, next(lids), title, folder.id, began)
    missing = [page.id for page in portal.pages.values() if page.site_id == site.id and page.title == "Page not found"]
    site.lid_404 = missing[0] if missing else None


def _build_page(portal: Portal, site: Site, lid: int, title: str, folder_id: int | None, began: float) -> None:
    mark, words = (title[0], title[1:]) if title[0] in "-~" else ("", title)
    made = began + (lid % 17) * 3 * DAY
    portal.pages[lid] = Page(
        lid,
        site.id,
        words,
        code_of(words),
        folder_id,
        active=mark != "-",
        public=mark == "",
        draft=f"{words}, edited since" if mark == "~" else words,
        live="" if mark == "-" else words,
        created_by=1 if lid % 3 else 7,
        modified_by=7 if lid % 2 else 1,
        created_at=made,
        modified_at=made + (lid % 11) * DAY,
        public_at=None if mark == "-" else made + DAY,
        views=lid * 37 % 900,
    )


def code_of(title: str) -> str:
    """A title as the last part of an address."""
    plain = title.lower().replace("ü", "ue").replace("ä", "ae").replace("ö", "oe").replace("é", "e").replace("’", "")
    return "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in plain).split())[:60] or "page"


def _grant(portal: Portal) -> None:
    """The editor may publish everywhere but on one site; the reader reads."""
    held_back = 7 if portal.index == 1 else 6
    portal.default_rights = {7: [code for code in RIGHTS if code != "delete"], 9: ["read"]}
    portal.rights = {7: {held_back: ["read", "edit"]}}


def _add_trash(portal: Portal, now: float) -> None:
    portal.folders[31] = Folder(
        31, 3, "Old campaigns", "old-campaigns", active=False, deleted=True, created_at=now - 300 * DAY
    )
    portal.pages[380] = Page(380, 3, "Easter 2024", "easter-2024", None, active=False, public=False, deleted=True)
    portal.pages[381] = Page(381, 3, "Summer 2024", "summer-2024", 31, active=False, public=False)
    portal.sites[17] = Site(17, "Pop-up store 2024", "pop-up", "PAGE", active=False, deleted=True, index_lid=500)
    portal.pages[500] = Page(500, 17, "Pop-up store", "pop-up-store", None, active=False, public=False)


def add_sites(portal: Portal, number: int, kind: str, title: str, now: float) -> list[int]:
    """Make `number` sites of a kind, each with a published main page; their ids."""
    made: list[int] = []
    for _ in range(number):
        site = Site(max(portal.sites, default=0) + 1, "", "", kind, lang=portal.lang, created_at=now, modified_at=now)
        site.title, site.code = f"{title} {site.id}", f"site-{site.id}"
        portal.sites[site.id] = site
        [site.index_lid] = add_pages(portal, 1, site.id, now)
        made.append(site.id)
    return made


def add_pages(portal: Portal, number: int, site_id: int | None, now: float) -> list[int]:
    """Make `number` published pages on a site (the first ordinary one when not named) and return their lids."""
    site = portal.sites[site_id] if site_id is not None else min(portal.sites.values(), key=lambda each: each.id)
    first = max(max(portal.pages, default=0), 1000) + 1
    for lid in range(first, first + number):
        title = f"Page {lid}"
        portal.pages[lid] = Page(
            lid,
            site.id,
            title,
            code_of(title),
            draft=title,
            live=title,
            created_at=now - DAY,
            modified_at=now - DAY,
            public_at=now - DAY,
        )
    return list(range(first, first + number))
