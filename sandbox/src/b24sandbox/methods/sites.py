"""Section 5.5: sites, their folders, rights and roles."""

from __future__ import annotations

from b24sandbox.methods import orm
from b24sandbox.methods.landing import kinds, landing_method
from b24sandbox.methods.pages import GROUP_RIGHTS, publish
from b24sandbox.protocol import php
from b24sandbox.protocol.errors import landing
from b24sandbox.protocol.registry import MethodCall
from b24sandbox.state.clock import PortalTime
from b24sandbox.state.sites import DEFAULT_KINDS, folders_above, rights, site_url
from b24sandbox.state.world import RIGHTS, Folder, Portal, Site

ENTITY = r"\Bitrix\Landing\Internals\Site"
SITE_FIELDS = (
    "ID", "TITLE", "CODE", "TYPE", "ACTIVE", "DELETED", "DESCRIPTION", "XML_ID", "DOMAIN_ID", "LANG", "TPL_ID",
    "LANDING_ID_INDEX", "LANDING_ID_404", "LANDING_ID_503", "CREATED_BY_ID", "MODIFIED_BY_ID", "DATE_CREATE",
    "DATE_MODIFY", "SPECIAL", "DOMAIN_NAME", "PUBLIC_URL", "PREVIEW_PICTURE", "PHONE",
)  # fmt: skip
EXTRA = ("DOMAIN_NAME", "PUBLIC_URL", "PREVIEW_PICTURE", "PHONE")  # only when asked for by name
FOLDER_FIELDS = (
    "ID", "PARENT_ID", "SITE_ID", "INDEX_ID", "ACTIVE", "DELETED", "TITLE", "CODE", "CREATED_BY_ID", "MODIFIED_BY_ID",
    "DATE_CREATE", "DATE_MODIFY",
)  # fmt: skip


@landing_method("landing.site.getList", arrays=("params",), cost=0.08, wall=0.2)
def get_list(call: MethodCall) -> list[dict[str, object]]:
    """The readable sites of the asked kind; `[]` when there is none or no right. ID and TYPE always come along."""
    params = dict(php.items(call.params.get("params")))
    orm.check_params(params, ())
    given = dict(php.items(params.get("filter")))
    types = _types(kinds(call), given)
    asks_trash = any(orm.split_key(key)[1] == "DELETED" for key in given)
    sites = [
        site
        for site in call.portal.sites.values()
        if site.type in types and (asks_trash or not site.deleted) and "read" in rights(call.portal, call.user, site)
    ]
    rows = [row_of(call.portal, site) for site in sites]
    return [
        dict(row)
        for row in orm.query(
            {**params, "filter": given, "select": _selected(params.get("select"))}, rows, SITE_FIELDS, ENTITY
        )
    ]


def _selected(select: object) -> list[object]:
    names = [*php.values(select)] if php.is_array(select) and php.values(select) else ["*"]
    if "*" in names:
        names = [*(name for name in names if name != "*"), *(name for name in SITE_FIELDS if name not in EXTRA)]
    return [*names, "ID", "TYPE"]


def _types(allowed: tuple[str, ...], given: dict[str, object]) -> tuple[str, ...]:
    """`filter.TYPE` counts as one allowed value; STORE, arrays and foreign kinds silently become all that is allowed.

    Other operators, such as `!TYPE`, are conditions like any others.
    """
    wanted = ""
    for key in [each for each in ("TYPE", "=TYPE") if each in given]:
        value = given.pop(key)
        wanted = "" if php.is_array(value) else php.text(value).upper()
    wanted = "VIBE" if wanted == "MAINPAGE" else wanted
    return (wanted,) if wanted in allowed and wanted != "STORE" else allowed


def row_of(portal: Portal, site: Site) -> dict[str, object]:
    def number(value: int | None) -> str | None:
        return None if value is None else str(value)

    return {
        "ID": str(site.id),
        "TITLE": site.title,
        "CODE": f"/{site.code}/",
        "TYPE": portal.switches.vibe_type if site.type == "VIBE" else site.type,
        "ACTIVE": "Y" if site.active else "N",
        "DELETED": "Y" if site.deleted else "N",
        "DESCRIPTION": site.description or None,
        "XML_ID": None,
        "DOMAIN_ID": str(site.id),
        "LANG": site.lang,
        "TPL_ID": None,
        "LANDING_ID_INDEX": number(site.index_lid),
        "LANDING_ID_404": number(site.lid_404),
        "LANDING_ID_503": number(site.lid_503),
        "CREATED_BY_ID": str(site.created_by),
        "MODIFIED_BY_ID": str(site.modified_by),
        "DATE_CREATE": PortalTime(site.created_at, portal.lang),
        "DATE_MODIFY": PortalTime(site.modified_at, portal.lang),
        "SPECIAL": "Y" if site.special else "N",
        "DOMAIN_NAME": site.domain or None,
        "PUBLIC_URL": site_url(portal, site),
        "PREVIEW_PICTURE": "",
        "PHONE": None,
    }


def readable(call: MethodCall, site_id: object) -> Site | None:
    """The site of that id if it is of the asked kind, not in the trash and readable."""
    site = call.portal.sites.get(php.integer(site_id))
    if site is None or site.deleted or site.type not in kinds(call):
        return None
    return site if "read" in rights(call.portal, call.user, site) else None


@landing_method("landing.site.getRights", required=("id",), cost=0.03)
def get_rights(call: MethodCall) -> list[object]:
    """The calling user's rights; `[]` for a site that is not there for them.

    In scope GROUP booleans for read, edit, sett and delete: the source drops the names of what it asked the workgroup.
    """
    if not call.portal.switches.permissions_feature:
        raise landing("FEATURE_NOT_AVAIL", "Access permissions are not available on your plan.")
    site = readable(call, call.params["id"])
    if site is None:
        return []
    may = rights(call.portal, call.user, site)
    if site.type == "GROUP":
        return [right in may for right in ("read", *GROUP_RIGHTS)]
    codes: list[object] = [right for right in RIGHTS if right in may]
    return ["denied", *codes] if call.user.admin and call.portal.switches.denied_for_admins else codes


@landing_method("landing.site.getPublicUrl", required=("id",), mixed=("id",))
def get_public_url(call: MethodCall) -> object:
    """Text for one id; id → text for several, `[]` when none of them is there."""
    wanted = call.params["id"]
    if php.is_array(wanted):
        found = [(php.integer(each), readable(call, each)) for each in php.values(wanted)]
        return php.encoded({str(number): site_url(call.portal, site) for number, site in found if site is not None})
    only = readable(call, wanted)
    return "" if only is None else site_url(call.portal, only)


@landing_method("landing.site.unpublic", required=("id",), numbers=("id",), cost=0.3, wall=2.0)
def unpublic(call: MethodCall) -> int:
    """Switches the site and its folders off. Published pages stay so: the leftover of the publish path (5.5)."""
    site = _publishable(call)
    for page in call.portal.pages.values():
        if page.site_id == site.id and not (page.active and page.public):
            page.active = page.public = False
    for folder in call.portal.folders.values():
        if folder.site_id == site.id:
            folder.active = False
    site.active, site.modified_by, site.modified_at = False, call.user.id, call.now
    return site.id


@landing_method("landing.site.publication", required=("id",), numbers=("id",), cost=0.3, wall=2.0)
def publication(call: MethodCall) -> int:
    """The reverse, page by page, up to the first that is refused; pages that are down stay so (`site_publication`)."""
    site = _publishable(call)
    every = call.portal.switches.site_publication == "all"
    for page in [each for each in call.portal.pages.values() if each.site_id == site.id and not each.deleted]:
        if not (page.active and page.public) and (page.active or every):
            publish(call, page, site)
    for folder in call.portal.folders.values():
        if folder.site_id == site.id and not folder.deleted:
            folder.active = True
    site.active, site.modified_by, site.modified_at = True, call.user.id, call.now
    return site.id


def _publishable(call: MethodCall) -> Site:
    site = readable(call, call.params["id"])
    if site is None or (site.type in DEFAULT_KINDS and "public" not in rights(call.portal, call.user, site)):
        raise landing("ACCESS_DENIED", "Access denied.")
    return site


@landing_method("landing.site.getFolders", required=("siteId",), arrays=("filter",), numbers=("siteId",))
def get_folders(call: MethodCall) -> list[dict[str, object]]:
    site = readable(call, call.params["siteId"])
    if site is None:
        return []
    given = dict(php.items(call.params.get("filter")))
    for key in [each for each in given if orm.split_key(each)[1] == "PARENT_ID" and not php.truthy(given[each])]:
        given[key] = None  # 0 and false name the top folders
    asks_trash = any(orm.split_key(key)[1] == "DELETED" for key in given)
    rows = [
        _folder_row(call.portal, each)
        for each in call.portal.folders.values()
        if each.site_id == site.id and (asks_trash or not each.deleted)
    ]
    return [dict(row) for row in orm.query({"filter": given}, rows, FOLDER_FIELDS, r"\Bitrix\Landing\Internals\Folder")]


def _folder_row(portal: Portal, folder: Folder) -> dict[str, object]:
    return {
        "ID": str(folder.id),
        "PARENT_ID": None if folder.parent_id is None else str(folder.parent_id),
        "SITE_ID": str(folder.site_id),
        "INDEX_ID": None if folder.index_lid is None else str(folder.index_lid),
        "ACTIVE": "Y" if folder.active else "N",
        "DELETED": "Y" if folder.deleted else "N",
        "TITLE": folder.title,
        "CODE": folder.code,
        "CREATED_BY_ID": str(folder.created_by),
        "MODIFIED_BY_ID": str(folder.modified_by),
        "DATE_CREATE": PortalTime(folder.created_at, portal.lang),
        "DATE_MODIFY": PortalTime(folder.modified_at, portal.lang),
    }


@landing_method("landing.site.unPublicFolder", required=("folderId",), numbers=("folderId",), cost=0.1)
def unpublic_folder(call: MethodCall) -> bool:
    """Turns off the folder and its parents, not the pages; missing or forbidden is ACCESS_DENIED alike."""
    _set_folder(call, active=False)
    return True


@landing_method("landing.site.publicationFolder", required=("folderId",), numbers=("folderId",), cost=0.1)
def publish_folder(call: MethodCall) -> bool:
    _set_folder(call, active=True)
    return True


def _set_folder(call: MethodCall, active: bool) -> None:
    folder = call.portal.folders.get(php.integer(call.params["folderId"]))
    site = None if folder is None or folder.deleted else readable(call, folder.site_id)
    if folder is None or site is None or "public" not in rights(call.portal, call.user, site):
        raise landing("ACCESS_DENIED", "Access denied.")
    for each in folders_above(call.portal, folder.id):
        each.active = active


def _need_section_admin(call: MethodCall) -> None:
    if not call.portal.switches.permissions_feature:
        raise landing("FEATURE_NOT_AVAIL", "Access permissions are not available on your plan.")
    if not call.user.admin:
        raise landing("IS_NOT_ADMIN", "You must be an administrator of the section.")


@landing_method("landing.role.isEnabled")
def role_enabled(call: MethodCall) -> bool:
    _need_section_admin(call)
    return call.portal.roles_extended


@landing_method("landing.role.enable", required=("mode",))
def role_enable(call: MethodCall) -> bool:
    _need_section_admin(call)
    call.portal.roles_extended = php.truthy(call.params["mode"])
    return True


@landing_method("landing.role.getList")
def role_list(call: MethodCall) -> list[dict[str, object]]:
    """One role for each user that is no administrator: the stand-in keeps rights by user."""
    _need_section_admin(call)
    return [
        {"ID": str(each), "TITLE": call.portal.users[each].full_name, "XML_ID": None}
        for each in call.portal.default_rights
    ]


@landing_method("landing.role.getRights", required=("id",))
def role_rights(call: MethodCall) -> dict[str, object]:
    """Site id → codes; "0" holds for sites not named."""
    _need_section_admin(call)
    role = php.integer(call.params["id"])
    named = {str(site): codes for site, codes in call.portal.rights.get(role, {}).items()}
    return {"0": call.portal.default_rights.get(role, []), **named}


@landing_method("landing.role.setRights", required=("id", "rights"), arrays=("rights",))
def role_set_rights(call: MethodCall) -> bool:
    _need_section_admin(call)
    role = php.integer(call.params["id"])
    for site, codes in php.items(call.params["rights"]):
        chosen = [code for code in RIGHTS if code in map(php.text, php.values(codes))]
        if site == "0":
            call.portal.default_rights[role] = chosen
        else:
            call.portal.rights.setdefault(role, {})[php.integer(site)] = chosen
    return True


@landing_method("landing.role.setAccessCodes", required=("id",), arrays=("codes",))
def role_codes(call: MethodCall) -> bool:
    _need_section_admin(call)
    return True
