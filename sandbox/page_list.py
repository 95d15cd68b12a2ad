"""Section 5.4: landing.landing.getList, the one way to see which pages there are and how they stand."""

from __future__ import annotations

from sandbox import orm, php
from sandbox.clock import Moment
from sandbox.landing import folders_above, kinds, landing_method, public_url, rights
from sandbox.methods import Asked
from sandbox.world import Page, Portal

ENTITY = r"\Bitrix\Landing\Internals\Landing"
PAGE_FIELDS = (
    "ID", "CODE", "RULE", "ACTIVE", "PUBLIC", "DELETED", "TITLE", "XML_ID", "DESCRIPTION", "TPL_ID", "TPL_CODE",
    "SITE_ID", "SITEMAP", "FOLDER", "FOLDER_ID", "SEARCH_CONTENT", "INITIATOR_APP_CODE", "VIEWS", "VERSION",
    "HISTORY_STEP", "SYS", "CREATED_BY_ID", "MODIFIED_BY_ID", "DATE_CREATE", "DATE_MODIFY", "DATE_PUBLIC",
    "DOMAIN_ID",
)  # fmt: skip


@landing_method("landing.landing.getList", arrays=("params",), cost=0.12, wall=0.3)
def get_list(asked: Asked) -> list[dict[str, object]]:
    """5.4: the readable pages of the asked kind as a list, `[]` when there is none or no right: no error, no total."""
    params = dict(php.items(asked.params.get("params")))
    orm.check_params(params, ("get_preview", "get_urls", "check_area"))
    given = {
        key: value for key, value in php.items(params.get("filter")) if "." not in key and key.lower() != "runtime"
    }
    pages = _candidates(asked, given)
    rows = orm.query(
        {**params, "select": _with_domain(params.get("select")), "filter": given},
        [row_of(asked.portal, page) for page in pages],
        PAGE_FIELDS,
        ENTITY,
    )
    return [_with_extras(asked.portal, dict(row), params) for row in rows]


def _with_domain(select: object) -> object:
    """DOMAIN_ID is always added to what was selected."""
    if not php.is_array(select) or not php.values(select):
        return ["*"] if select in (None, [], {}) else select
    return [*php.values(select), "DOMAIN_ID"]


def _candidates(asked: Asked, given: dict[str, object]) -> list[Page]:
    """The pages a filter may choose from: of the kind, readable, and not in the trash unless DELETED is asked for."""
    portal, allowed = asked.portal, kinds(asked)
    sites = {
        site.id
        for site in portal.sites.values()
        if site.type in allowed and not site.deleted and "read" in rights(portal, asked.user, site)
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


def row_of(portal: Portal, page: Page) -> dict[str, object]:
    """A page's fields as REST prints them: numbers as text, times in the portal's culture."""

    def when(moment: float | None) -> Moment | None:
        return None if moment is None else Moment(moment, portal.lang)

    def yes(flag: bool) -> str:
        return "Y" if flag else "N"

    public_at: object = when(page.public_at)
    if page.public_at is not None and portal.switches.public_date == "object":
        public_at = {}
    return {
        "ID": str(page.id),
        "CODE": page.code,
        "RULE": None,
        "ACTIVE": yes(page.active),
        "PUBLIC": yes(page.public),
        "DELETED": yes(page.deleted),
        "TITLE": page.title,
        "XML_ID": None,
        "DESCRIPTION": page.description or None,
        "TPL_ID": None,
        "TPL_CODE": None,
        "SITE_ID": str(page.site_id),
        "SITEMAP": yes(page.sitemap),
        "FOLDER": "N",
        "FOLDER_ID": None if page.folder_id is None else str(page.folder_id),
        "SEARCH_CONTENT": f"{page.title} {page.draft}".lower(),
        "INITIATOR_APP_CODE": None,
        "VIEWS": str(page.views),
        "VERSION": str(page.version),
        "HISTORY_STEP": str(page.history_step),
        "SYS": yes(page.sys),
        "CREATED_BY_ID": str(page.created_by),
        "MODIFIED_BY_ID": str(page.modified_by),
        "DATE_CREATE": when(page.created_at),
        "DATE_MODIFY": when(page.modified_at),
        "DATE_PUBLIC": public_at,
        "DOMAIN_ID": str(page.site_id),
    }


def _with_extras(portal: Portal, row: dict[str, object], params: dict[str, object]) -> dict[str, object]:
    """What get_urls, get_preview and check_area add to a row."""
    page = portal.pages.get(php.integer(row.get("ID")))
    if page is None:
        return row
    if php.truthy(params.get("get_urls")):
        row["PUBLIC_URL"] = public_url(portal, page, portal.sites[page.site_id])
    if php.truthy(params.get("get_preview")):
        row["PREVIEW"] = f"{portal.url}/bitrix/images/landing/nopreview.jpg"
    if php.truthy(params.get("check_area")):
        row["IS_AREA"] = page.area
    return row
