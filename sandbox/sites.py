"""Section 5.5: sites, their folders, rights and roles."""

from __future__ import annotations

from sandbox import orm, php
from sandbox.clock import Moment
from sandbox.errors import landing
from sandbox.landing import DEFAULT_KINDS, GROUP_RIGHTS, folders_above, kinds, landing_method, publish, rights, site_url
from sandbox.methods import Asked
from sandbox.world import RIGHTS, Folder, Portal, Site

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
def get_list(asked: Asked) -> list[dict[str, object]]:
    """The readable sites of the asked kind; `[]` when there is none or no right. ID and TYPE always come along."""
    params = dict(php.items(asked.params.get("params")))
    orm.check_params(params, ())
    given = dict(php.items(params.get("filter")))
    types = _types(kinds(asked), given)
    asks_trash = any(orm.split_key(key)[1] == "DELETED" for key in given)
    sites = [
        site
        for site in asked.portal.sites.values()
        if site.type in types and (asks_trash or not site.deleted) and "read" in rights(asked.portal, asked.user, site)
    ]
    rows = [row_of(asked.portal, site) for site in sites]
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
    """`filter.TYPE` counts as one allowed value; arrays and foreign kinds silently become all that is allowed."""
    wanted = ""
    for key in [each for each in given if orm.split_key(each)[1] == "TYPE"]:
        value = given.pop(key)
        wanted = "" if php.is_array(value) else php.text(value).upper()
    wanted = "VIBE" if wanted == "MAINPAGE" else wanted
    if wanted not in allowed:
        return allowed
    return ("STORE", "SMN") if wanted == "STORE" else (wanted,)


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
        "DATE_CREATE": Moment(site.created_at, portal.lang),
        "DATE_MODIFY": Moment(site.modified_at, portal.lang),
        "SPECIAL": "Y" if site.special else "N",
        "DOMAIN_NAME": site.domain or None,
        "PUBLIC_URL": site_url(portal, site),
        "PREVIEW_PICTURE": "",
        "PHONE": None,
    }


def readable(asked: Asked, site_id: object) -> Site | None:
    """The site of that id if it is of the asked kind, not in the trash and readable."""
    site = asked.portal.sites.get(php.integer(site_id))
    if site is None or site.deleted or site.type not in kinds(asked):
        return None
    return site if "read" in rights(asked.portal, asked.user, site) else None


@landing_method("landing.site.getRights", required=("id",), cost=0.03)
def get_rights(asked: Asked) -> list[object]:
    """The calling user's rights; `[]` for a site that is not there for them.

    In scope GROUP booleans for read, edit, sett and delete: the source drops the names of what it asked the workgroup.
    """
    if not asked.portal.switches.permissions_feature:
        raise landing("FEATURE_NOT_AVAIL", "Access permissions are not available on your plan.")
    site = readable(asked, asked.params["id"])
    if site is None:
        return []
    may = rights(asked.portal, asked.user, site)
    if site.type == "GROUP":
        return [right in may for right in ("read", *GROUP_RIGHTS)]
    return [right for right in RIGHTS if right in may]


@landing_method("landing.site.getPublicUrl", required=("id",), mixed=("id",))
def get_public_url(asked: Asked) -> object:
    """Text for one id; id → text for several, `[]` when none of them is there."""
    wanted = asked.params["id"]
    if php.is_array(wanted):
        found = [(php.integer(each), readable(asked, each)) for each in php.values(wanted)]
        return php.encoded({str(number): site_url(asked.portal, site) for number, site in found if site is not None})
    only = readable(asked, wanted)
    return "" if only is None else site_url(asked.portal, only)


@landing_method("landing.site.unpublic", required=("id",), numbers=("id",), cost=0.3, wall=2.0)
def unpublic(asked: Asked) -> int:
    """Switches the site and its folders off. Published pages stay so: the leftover of the publish path (5.5)."""
    site = _publishable(asked)
    for page in asked.portal.pages.values():
        if page.site_id == site.id and not (page.active and page.public):
            page.active = page.public = False
    for folder in asked.portal.folders.values():
        if folder.site_id == site.id:
            folder.active = False
    site.active, site.modified_by, site.modified_at = False, asked.user.id, asked.now
    return site.id


@landing_method("landing.site.publication", required=("id",), numbers=("id",), cost=0.3, wall=2.0)
def publication(asked: Asked) -> int:
    """The reverse, page by page, up to the first that is refused."""
    site = _publishable(asked)
    for page in [each for each in asked.portal.pages.values() if each.site_id == site.id and not each.deleted]:
        if not (page.active and page.public):
            publish(asked, page, site)
    site.active, site.modified_by, site.modified_at = True, asked.user.id, asked.now
    return site.id


def _publishable(asked: Asked) -> Site:
    site = readable(asked, asked.params["id"])
    if site is None or (site.type in DEFAULT_KINDS and "public" not in rights(asked.portal, asked.user, site)):
        raise landing("ACCESS_DENIED", "Access denied.")
    return site


@landing_method("landing.site.getFolders", required=("siteId",), arrays=("filter",), numbers=("siteId",))
def get_folders(asked: Asked) -> list[dict[str, object]]:
    site = readable(asked, asked.params["siteId"])
    if site is None:
        return []
    given = dict(php.items(asked.params.get("filter")))
    asks_trash = any(orm.split_key(key)[1] == "DELETED" for key in given)
    rows = [
        _folder_row(asked.portal, each)
        for each in asked.portal.folders.values()
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
        "DATE_CREATE": Moment(folder.created_at, portal.lang),
        "DATE_MODIFY": Moment(folder.modified_at, portal.lang),
    }


@landing_method("landing.site.unPublicFolder", required=("folderId",), numbers=("folderId",), cost=0.1)
def unpublic_folder(asked: Asked) -> bool:
    """Turns off the folder and its parents, not the pages; missing or forbidden is ACCESS_DENIED alike."""
    _set_folder(asked, active=False)
    return True


@landing_method("landing.site.publicationFolder", required=("folderId",), numbers=("folderId",), cost=0.1)
def publish_folder(asked: Asked) -> bool:
    _set_folder(asked, active=True)
    return True


def _set_folder(asked: Asked, active: bool) -> None:
    folder = asked.portal.folders.get(php.integer(asked.params["folderId"]))
    site = None if folder is None or folder.deleted else readable(asked, folder.site_id)
    if folder is None or site is None or "public" not in rights(asked.portal, asked.user, site):
        raise landing("ACCESS_DENIED", "Access denied.")
    for each in folders_above(asked.portal, folder.id):
        each.active = active


def _need_section_admin(asked: Asked) -> None:
    if not asked.portal.switches.permissions_feature:
        raise landing("FEATURE_NOT_AVAIL", "Access permissions are not available on your plan.")
    if not asked.user.admin:
        raise landing("IS_NOT_ADMIN", "You must be an administrator of the section.")


@landing_method("landing.role.isEnabled")
def role_enabled(asked: Asked) -> bool:
    _need_section_admin(asked)
    return asked.portal.roles_extended


@landing_method("landing.role.enable", required=("mode",))
def role_enable(asked: Asked) -> bool:
    _need_section_admin(asked)
    asked.portal.roles_extended = php.truthy(asked.params["mode"])
    return True


@landing_method("landing.role.getList")
def role_list(asked: Asked) -> list[dict[str, object]]:
    """One role for each user that is no administrator: the stand-in keeps rights by user."""
    _need_section_admin(asked)
    return [
        {"ID": str(each), "TITLE": asked.portal.users[each].full_name, "XML_ID": None}
        for each in asked.portal.default_rights
    ]


@landing_method("landing.role.getRights", required=("id",))
def role_rights(asked: Asked) -> dict[str, object]:
    """Site id → codes; "0" holds for sites not named."""
    _need_section_admin(asked)
    role = php.integer(asked.params["id"])
    named = {str(site): codes for site, codes in asked.portal.rights.get(role, {}).items()}
    return {"0": asked.portal.default_rights.get(role, []), **named}


@landing_method("landing.role.setRights", required=("id", "rights"), arrays=("rights",))
def role_set_rights(asked: Asked) -> bool:
    _need_section_admin(asked)
    role = php.integer(asked.params["id"])
    for site, codes in php.items(asked.params["rights"]):
        chosen = [code for code in RIGHTS if code in map(php.text, php.values(codes))]
        if site == "0":
            asked.portal.default_rights[role] = chosen
        else:
            asked.portal.rights.setdefault(role, {})[php.integer(site)] = chosen
    return True


@landing_method("landing.role.setAccessCodes", required=("id",), arrays=("codes",))
def role_codes(asked: Asked) -> bool:
    _need_section_admin(asked)
    return True
