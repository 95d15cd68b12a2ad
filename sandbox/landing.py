"""Section 5: the gate every landing method passes (5.1), then what is done to one page: unpublic (5.2), publication
(5.3) and its public address.

Rights live on the site. A page that may not be read does not exist: LANDING_NOT_EXIST, never a hint.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sandbox import php
from sandbox.errors import RestError, argument, landing
from sandbox.methods import Asked, rest_method
from sandbox.world import RIGHTS, Folder, Page, Portal, Site, User

DEFAULT_KINDS = ("PAGE", "STORE", "SMN")
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
