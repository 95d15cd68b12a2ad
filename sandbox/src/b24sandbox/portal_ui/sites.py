"""The Sites section as a person sees it: which sites, which settings, and what a visitor of a public address gets."""

from __future__ import annotations

from dataclasses import dataclass, field

from b24sandbox.state.sites import folders_above, in_trash, public_url, rights, site_url
from b24sandbox.state.world import Page, Placement, Portal, Site, User

KINDS = {
    "PAGE": "site",
    "STORE": "online store",
    "SMN": "site of Site Management",
    "KNOWLEDGE": "knowledge base",
    "GROUP": "knowledge base of a workgroup",
    "VIBE": "main page of the portal",
    "MAINPAGE": "main page of the portal",
}
NEIGHBOURS = 4
LISTED = 60


@dataclass(frozen=True)
class PageRow:
    lid: int
    title: str
    active: bool
    main: bool
    href: str
    site_id: int = 0
    site_title: str = ""


@dataclass(frozen=True)
class SiteRow:
    id: int
    title: str
    kind_title: str
    active: bool
    pages: list[PageRow] = field(default_factory=list)
    more: int = 0


@dataclass(frozen=True)
class Thing:
    """What a settings slider is about: a page, or a site when `lid` is 0."""

    lid: int
    site_id: int
    title: str
    site_title: str
    type: str
    kind_title: str
    active: bool
    address: str


@dataclass(frozen=True)
class Copy:
    lead: str
    call: str
    columns: tuple[tuple[str, str], ...]


COPIES = (
    Copy(
        "Made with patience, finished by hand and meant to be used every day for a very long time.",
        "Get in touch",
        (
            ("By hand", "One person sees a piece through from the first cut to the last coat."),
            ("To last", "Joints that can be opened and repaired, and surfaces that grow better with age."),
            ("Close by", "Timber from within eighty kilometres, and a workshop you are welcome to visit."),
        ),
    ),
    Copy(
        "Everything you need to know on one page, kept short and up to date by the people who do the work.",
        "Read on",
        (
            ("First", "Begin with what matters most today; the rest can wait until tomorrow."),
            ("Then", "Ask the person named beside each section, they like to be asked."),
            ("Last", "Tell us what was missing, so that the next reader finds it."),
        ),
    ),
    Copy(
        "A small team, a clear promise and a door that stands open from Monday to Saturday.",
        "See what is new",
        (
            ("What", "A short list of good things instead of a long one of many."),
            ("When", "This week and the next; we answer within a working day."),
            ("Where", "At the quay, or at home from the sofa."),
        ),
    ),
)


def may_read(portal: Portal, user: User, site: Site) -> bool:
    """Whether the Sites section shows this site to the person (sections 5.1 and 5.5)."""
    if not user.opens_sites or (portal.switches.sites_for_admins_only and not user.admin):
        return False
    return not site.deleted and "read" in rights(portal, user, site)


def readable(portal: Portal, user: User) -> list[SiteRow]:
    """The sites a person may read, with their pages in order of number; nothing from the trash."""
    shown = []
    for site in portal.sites.values():
        if may_read(portal, user, site):
            rows = _rows(portal, site)
            kind = KINDS.get(site.type, site.type)
            shown.append(SiteRow(site.id, site.title, kind, site.active, rows[:LISTED], max(0, len(rows) - LISTED)))
    return shown


def thing(portal: Portal, user: User, site_id: int, lid: int) -> Thing | None:
    """What the settings of this page (or site) are about; None when the person may not read it."""
    page = portal.pages.get(lid)
    site = portal.sites.get(page.site_id if page else site_id)
    if site is None or (lid and page is None) or not may_read(portal, user, site):
        return None
    address = public_url(portal, page, site) if page else site_url(portal, site)
    return Thing(
        lid=lid,
        site_id=site.id,
        title=page.title if page else site.title,
        site_title=site.title,
        type=site.type,
        kind_title=KINDS.get(site.type, site.type),
        active=page.active if page else site.active,
        address=address,
    )


def placements(portal: Portal, about: Thing) -> list[tuple[int, Placement]]:
    """The apps' items at the end of the settings menu: none on main pages, none before the installer has finished."""
    if about.type in ("VIBE", "MAINPAGE"):
        return []
    return [
        (app, each)
        for app, installation in portal.installations.items()
        for each in installation.placements
        if installation.finished and each.code == "LANDING_SETTINGS"
    ]


def why_no_placement(portal: Portal, about: Thing) -> str:
    """In words for the person who looks for the app's item."""
    if about.type in ("VIBE", "MAINPAGE"):
        return "Apps have no item in the settings of a main page."
    if not portal.installations:
        return "No app with an item here is installed."
    if not any(each.finished for each in portal.installations.values()):
        return "The app is not installed to the end; until then its item is not shown."
    return "The app has not registered an item (LANDING_SETTINGS) here."


def public_page(portal: Portal, lid: int) -> PageRow | None:
    """A page as its visitors see it, under the title that was published last; None when it is not to be seen."""
    page = portal.pages.get(lid)
    if page is None or not _visible(portal, page):
        return None
    site = portal.sites[page.site_id]
    return _row(portal, site, page, page.live or page.title)


def home(portal: Portal, lid: int) -> str:
    """The address of the main page of the site this page belongs to, "" when a visitor cannot see it."""
    page = portal.pages.get(lid)
    site = portal.sites[page.site_id] if page else None
    index = portal.pages.get(site.index_lid or 0) if site else None
    return site_url(portal, site) if site and index and _visible(portal, index) else ""


def neighbours(portal: Portal, about: PageRow) -> list[PageRow]:
    """A few pages for the public page's own menu."""
    rows = [row for row in _rows(portal, portal.sites[about.site_id]) if _visible(portal, portal.pages[row.lid])]
    return rows[:NEIGHBOURS]


def copy_for(about: PageRow) -> Copy:
    return COPIES[about.lid % len(COPIES)]


def _rows(portal: Portal, site: Site) -> list[PageRow]:
    pages = sorted((each for each in portal.pages.values() if each.site_id == site.id), key=lambda each: each.id)
    return [_row(portal, site, page, page.title) for page in pages if not in_trash(portal, page)]


def _row(portal: Portal, site: Site, page: Page, title: str) -> PageRow:
    address = public_url(portal, page, site)
    return PageRow(page.id, title, page.active, site.index_lid == page.id, address, site.id, site.title)


def _visible(portal: Portal, page: Page) -> bool:
    """Page, folders and site must all be on (section 5.4)."""
    site = portal.sites[page.site_id]
    on = page.active and site.active and not in_trash(portal, page)
    return on and all(folder.active for folder in folders_above(portal, page.folder_id))
