"""Section 5.4: landing.landing.getList, the one way to see which pages there are and how they stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from b24sandbox.methods import orm
from b24sandbox.methods.landing import kinds, landing_method
from b24sandbox.protocol import php
from b24sandbox.protocol.registry import MethodCall
from b24sandbox.state.clock import PortalTime
from b24sandbox.state.sites import folders_above, preview_url, public_url, rights
from b24sandbox.state.world import Page, Portal

ENTITY = r"\Bitrix\Landing\Internals\Landing"
Field = Callable[[Portal, Page], object]


def _yes(flag: bool) -> str:
    return "Y" if flag else "N"


def _when(portal: Portal, moment: float | None) -> PortalTime | None:
    return None if moment is None else PortalTime(moment, portal.lang)


def _public_at(portal: Portal, page: Page) -> object:
    """Text as documented, or the object that the source forgets to print."""
    if page.public_at is not None and portal.switches.public_date == "object":
        return {}
    return _when(portal, page.public_at)


# A page's fields as REST prints them: numbers as text, times in the portal's culture.
PAGE_FIELDS: dict[str, Field] = {
    "ID": lambda _, page: str(page.id),
    "CODE": lambda _, page: page.code,
    "RULE": lambda _, page: None,
    "ACTIVE": lambda _, page: _yes(page.active),
    "PUBLIC": lambda _, page: _yes(page.public),
    "DELETED": lambda _, page: _yes(page.deleted),
    "TITLE": lambda _, page: page.title,
    "XML_ID": lambda _, page: None,
    "DESCRIPTION": lambda _, page: page.description or None,
    "TPL_ID": lambda _, page: None,
    "TPL_CODE": lambda _, page: None,
    "SITE_ID": lambda _, page: str(page.site_id),
    "SITEMAP": lambda _, page: _yes(page.sitemap),
    "FOLDER": lambda _, page: "N",
    "FOLDER_ID": lambda _, page: None if page.folder_id is None else str(page.folder_id),
    "SEARCH_CONTENT": lambda _, page: f"{page.title} {page.draft}".lower(),
    "INITIATOR_APP_CODE": lambda _, page: None,
    "VIEWS": lambda _, page: str(page.views),
    "VERSION": lambda _, page: str(page.version),
    "HISTORY_STEP": lambda _, page: str(page.history_step),
    "SYS": lambda _, page: _yes(page.sys),
    "CREATED_BY_ID": lambda _, page: str(page.created_by),
    "MODIFIED_BY_ID": lambda _, page: str(page.modified_by),
    "DATE_CREATE": lambda portal, page: _when(portal, page.created_at),
    "DATE_MODIFY": lambda portal, page: _when(portal, page.modified_at),
    "DATE_PUBLIC": _public_at,
    "DOMAIN_ID": lambda _, page: str(page.site_id),
}


class PageRow(Mapping[str, object]):
    """A page as a row of a list, each field made only when it is looked at: a list filters many and shows few."""

    __slots__ = ("_page", "_portal")

    def __init__(self, portal: Portal, page: Page) -> None:
        self._portal = portal
        self._page = page

    def __getitem__(self, name: str) -> object:
        return PAGE_FIELDS[name](self._portal, self._page)

    def __iter__(self) -> Iterator[str]:
        return iter(PAGE_FIELDS)

    def __len__(self) -> int:
        return len(PAGE_FIELDS)


@landing_method("landing.landing.getList", arrays=("params",), cost=0.12, wall=0.3)
def get_list(call: MethodCall) -> list[dict[str, object]]:
    """5.4: the readable pages of the asked kind as a list, `[]` when there is none or no right: no error, no total."""
    params = dict(php.items(call.params.get("params")))
    orm.check_params(params, ("get_preview", "get_urls", "check_area"))
    given = {
        key: value for key, value in php.items(params.get("filter")) if "." not in key and key.lower() != "runtime"
    }
    pages = _candidates(call, given)
    rows = orm.query(
        {**params, "select": _with_domain(params.get("select")), "filter": given},
        [PageRow(call.portal, page) for page in pages],
        tuple(PAGE_FIELDS),
        ENTITY,
    )
    return [_with_extras(call.portal, dict(row), params) for row in rows]


def _with_domain(select: object) -> object:
    """DOMAIN_ID is always added to what was selected."""
    if not php.is_array(select) or not php.values(select):
        return ["*"] if select in (None, [], {}) else select
    return [*php.values(select), "DOMAIN_ID"]


def _candidates(call: MethodCall, given: dict[str, object]) -> list[Page]:
    """The pages a filter may choose from: of the kind, readable, and not in the trash unless DELETED is asked for."""
    portal, allowed = call.portal, kinds(call)
    sites = {
        site.id
        for site in portal.sites.values()
        if site.type in allowed and not site.deleted and "read" in rights(portal, call.user, site)
    }
    asks_trash = any(orm.split_key(key)[1] == "DELETED" for key in given)
    by_site = php.truthy(given.get("SITE_ID"))
    return [
        page
        for page in portal.pages.values()
        if page.site_id in sites
        and (asks_trash or not page.deleted)
        and not (by_site and any(folder.deleted for folder in folders_above(portal, page.folder_id)))
    ]


def _with_extras(portal: Portal, row: dict[str, object], params: dict[str, object]) -> dict[str, object]:
    """What get_urls, get_preview and check_area add to a row."""
    page = portal.pages.get(php.integer(row.get("ID")))
    if page is None:
        return row
    if php.truthy(params.get("get_urls")):
        row["PUBLIC_URL"] = public_url(portal, page, portal.sites[page.site_id])
    if php.truthy(params.get("get_preview")):
        row["PREVIEW"] = preview_url(portal, page, portal.sites[page.site_id])
    if php.truthy(params.get("check_area")):
        row["IS_AREA"] = page.area
    return row
