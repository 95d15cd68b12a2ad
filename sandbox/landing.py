"""Section 5: pages. The gate every landing method passes (5.1), then unpublic, publication, getList, getpublicurl and
what else Sites does with a page.

Rights live on the site. A page that may not be read does not exist: LANDING_NOT_EXIST, never a hint.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sandbox import orm, php
from sandbox.clock import Moment
from sandbox.errors import RestError, argument, landing
from sandbox.methods import Asked, rest_method
from sandbox.world import RIGHTS, Folder, Page, Portal, Site, User

DEFAULT_KINDS = ("PAGE", "STORE", "SMN")
ENTITY = r"\Bitrix\Landing\Internals\Landing"
PAGE_FIELDS = (
    "ID", "CODE", "RULE", "ACTIVE", "PUBLIC", "DELETED", "TITLE", "XML_ID", "DESCRIPTION", "TPL_ID", "TPL_CODE",
    "SITE_ID", "SITEMAP", "FOLDER", "FOLDER_ID", "SEARCH_CONTENT", "INITIATOR_APP_CODE", "VIEWS", "VERSION",
    "HISTORY_STEP", "SYS", "CREATED_BY_ID", "MODIFIED_BY_ID", "DATE_CREATE", "DATE_MODIFY", "DATE_PUBLIC",
    "DOMAIN_ID",
)  # fmt: skip
GROUP_RIGHTS = ("edit", "sett", "delete")  # of a workgroup, besides `read`, which any of them brings (source)
Body = Callable[..., object]
_NUMBER = re.compile(r"\s*[+-]?\d+\s*")


def kind_of(scope: object) -> str:
    """The `scope` parameter as the source reads it: MAINPAGE only in capitals, unknown values as the default."""
    text = php.text(scope)
    if text == "MAINPAGE" or text.upper() == "VIBE":
        return "VIBE"
    return text.upper() if text.upper() in ("KNOWLEDGE", "GROUP") else ""


def kinds(asked: Asked) -> tuple[str, ...]:
    """The site types this call may see. The kind is a static of the PHP process: it leaks within a batch (4.4)."""
    if asked.params.get("scope") is not None:
        kind = kind_of(asked.params["scope"])
        asked.process.kind = "" if kind == "GROUP" and not asked.portal.switches.group_bases else kind
    return (asked.process.kind,) if asked.process.kind else DEFAULT_KINDS


def landing_method(
    name: str,
    required: tuple[str, ...] = (),
    arrays: tuple[str, ...] = (),
    mixed: tuple[str, ...] = (),
    numbers: tuple[str, ...] = (),
    cost: float = 0.03,
    wall: float = 0.1,
) -> Callable[[Body], Body]:
    """A method of scope `landing`: section access, then its parameters by exact name, then the body.

    required  null counts as missing
    arrays    must be arrays; `mixed` may be either, all others must be scalars
    numbers   declared as int in PHP: other text is a TYPE_ERROR
    """

    def add(body: Body) -> Body:
        @rest_method(name, "landing", cost=cost, wall=wall)
        def run(asked: Asked) -> object:
            kinds(asked)
            check_section(asked)
            _check_params(asked.params, required, arrays, mixed, numbers)
            return body(asked)

        return body

    return add


def check_section(asked: Asked) -> None:
    """5.1: guests, extranet users outside workgroups, and people without the section in their menu stay out."""
    user, switches = asked.user, asked.portal.switches
    outside = user.extranet and asked.process.kind != "GROUP"
    if outside or not user.opens_sites or (switches.sites_for_admins_only and not user.admin):
        raise landing("ACCESS_DENIED", "Access denied.")


def _check_params(
    params: dict[str, object],
    required: tuple[str, ...],
    arrays: tuple[str, ...],
    mixed: tuple[str, ...],
    numbers: tuple[str, ...],
) -> None:
    missing = [name for name in required if params.get(name) is None]
    if missing:
        raise landing("MISSING_PARAMS", f"Not enough call parameters, missing: {', '.join(missing)}")
    for name in required:
        if name not in (*arrays, *mixed) and php.is_array(params[name]):
            raise wrong_type(name)
    for name in arrays:
        if params.get(name) is not None and not php.is_array(params[name]):
            raise wrong_type(name)
    for name in numbers:
        if params.get(name) is not None and not _NUMBER.fullmatch(php.text(params[name])):
            raise landing("TYPE_ERROR", f"Argument ${name} must be of type int, string given")


def wrong_type(name: str) -> RestError:
    """An array where a scalar is wanted, or the reverse; thrown before the method's own net, so it has `argument`."""
    return argument(name, f"The value of an argument '{name}' has an invalid type")


def rights(portal: Portal, user: User, site: Site) -> list[str]:
    """What a user may do on a site; without the tariff's permissions everybody may everything."""
    if user.admin or not portal.switches.permissions_feature:
        return list(RIGHTS)
    own = portal.rights.get(user.id, {}).get(site.id)
    return list(portal.default_rights.get(user.id, []) if own is None else own)


def in_trash(portal: Portal, page: Page) -> bool:
    """Whether the page, its site, or a folder above it is in the trash."""
    site = portal.sites.get(page.site_id)
    return (
        page.deleted
        or site is None
        or site.deleted
        or any(folder.deleted for folder in folders_above(portal, page.folder_id))
    )


def folders_above(portal: Portal, folder_id: int | None) -> list[Folder]:
    """The folder and its parents, nearest first."""
    found: list[Folder] = []
    while folder_id is not None and (folder := portal.folders.get(folder_id)) is not None and folder not in found:
        found.append(folder)
        folder_id = folder.parent_id
    return found


def readable_page(asked: Asked, lid: object) -> tuple[Page, Site]:
    """The page of that id if it is of the asked kind, not in the trash and readable; LANDING_NOT_EXIST otherwise."""
    page = asked.portal.pages.get(php.integer(lid))
    if page is not None and not in_trash(asked.portal, page):
        site = asked.portal.sites[page.site_id]
        if site.type in kinds(asked) and "read" in rights(asked.portal, asked.user, site):
            return page, site
    raise landing("LANDING_NOT_EXIST", "Landing not found")


@landing_method("landing.landing.unpublic", required=("lid",), cost=0.15, wall=1.2)
def unpublic(asked: Asked) -> bool:
    """5.2: ACTIVE and PUBLIC become N. True again when it was down already; nothing guards a site's main page."""
    page, site = readable_page(asked, asked.params["lid"])
    may = rights(asked.portal, asked.user, site)
    if site.type in DEFAULT_KINDS and "public" not in may:
        raise landing("ACCESS_DENIED", "Publishing access to the page is denied.")
    asked.world.truth.changed(asked.portal.index, page.id, "unpublish", asked.user.id, page.active, asked.now)
    page.active, page.public, page.modified_by = False, False, asked.user.id
    site.modified_at = asked.now
    return True


@landing_method("landing.landing.publication", required=("lid",), cost=0.25, wall=1.5)
def publication(asked: Asked) -> bool | None:
    """5.3: the draft goes live with its folders and its site. Without the right: null, and no error.

    In a workgroup's base the rights are a list of booleans, in which PHP finds "public" as soon as one of them is true.
    """
    page, site = readable_page(asked, asked.params["lid"])
    may = rights(asked.portal, asked.user, site)
    if "public" not in may and not (site.type == "GROUP" and set(may) & set(GROUP_RIGHTS)):
        return None
    publish(asked, page, site)
    return True


def publish(asked: Asked, page: Page, site: Site) -> None:
    """Put a page's draft live, or raise the first refusal."""
    refuse_publication(asked.portal, page, site)
    asked.world.truth.changed(
        asked.portal.index, page.id, "publish", asked.user.id, not (page.active and page.public), asked.now
    )
    page.active = page.public = True
    page.live, page.public_at, page.modified_by = page.draft, asked.now, asked.user.id
    for folder in folders_above(asked.portal, page.folder_id):
        folder.active = True
    site.active = True
    site.modified_at = asked.now


def refuse_publication(portal: Portal, page: Page, site: Site) -> None:
    """The refusals of 5.3: of this page, of the portal, of the tariff."""
    switches = portal.switches
    code = page.refusal or switches.publish_refusal
    if code:
        raise landing(code, "Publication is not available.")
    if page.own_html and not switches.html_allowed:
        raise landing(f"PUBLIC_HTML_DISALLOWED[L{page.id}]", "Publishing of own HTML is not available on your plan.")
    published = sum(each.active for each in portal.pages.values() if not each.deleted)
    if switches.page_limit and not page.active and published >= switches.page_limit:
        raise landing("PUBLIC_PAGE_REACHED", "The maximum number of published pages has been reached.")
    active_sites = sum(each.active for each in portal.sites.values() if not each.deleted)
    if switches.site_limit and not site.active and active_sites >= switches.site_limit:
        raise landing("PUBLIC_SITE_REACHED", "The maximum number of published sites has been reached.")


@landing_method("landing.landing.getpublicurl", required=("lid",), mixed=("lid",), cost=0.05)
def get_public_url(asked: Asked) -> object:
    """The public address of a page, or a map of them for several ids."""
    lid = asked.params["lid"]
    if php.is_array(lid):
        pairs = [readable_page(asked, each) for each in php.values(lid)]
        return php.encoded({str(page.id): public_url(asked.portal, page, site) for page, site in pairs})
    page, site = readable_page(asked, lid)
    return public_url(asked.portal, page, site)


def public_url(portal: Portal, page: Page, site: Site) -> str:
    """Where visitors find the page; the main page has no code of its own."""
    base = site_url(portal, site)
    if site.index_lid == page.id:
        return base
    folders = "".join(f"{folder.code}/" for folder in reversed(folders_above(portal, page.folder_id)))
    return f"{base}{folders}{page.code}/"


def site_url(portal: Portal, site: Site) -> str:
    place = {"KNOWLEDGE": "knowledge", "GROUP": "knowledge/group", "VIBE": "vibe"}.get(site.type, "pub/site")
    return f"{portal.url}/{place}/{site.code}/"


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
