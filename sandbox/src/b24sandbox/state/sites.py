"""Rules of sites (section 5): who may do what, what lies in the trash, at which address a page is found."""

from __future__ import annotations

from b24sandbox.state.world import RIGHTS, Folder, Page, Portal, Site, User

NO_PREVIEW = "/bitrix/images/landing/nopreview.jpg"
PREVIEW = "preview.jpg"
DEFAULT_KINDS = ("PAGE", "STORE", "SMN")


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


def public_url(portal: Portal, page: Page, site: Site) -> str:
    """Where visitors find the page; the main page has no code of its own."""
    base = site_url(portal, site)
    if site.index_lid == page.id:
        return base
    folders = "".join(f"{folder.code}/" for folder in reversed(folders_above(portal, page.folder_id)))
    return f"{base}{folders}{page.code}/"


def preview_url(portal: Portal, page: Page, site: Site) -> str:
    """The page's picture: beside its public address in the cloud (14.2), so it is there while the page is."""
    if portal.switches.self_hosted:
        return NO_PREVIEW
    return f"{public_url(portal, page, site)}{PREVIEW}" if site.domain else f"{portal.url}{NO_PREVIEW}"


def site_url(portal: Portal, site: Site) -> str:
    place = {"KNOWLEDGE": "knowledge", "GROUP": "knowledge/group", "VIBE": "vibe"}.get(site.type, "pub/site")
    return f"{portal.url}/{place}/{site.code}/"


def page_at(portal: Portal, path: str) -> int | None:
    """Which page a public address names, published or not."""
    if not path.startswith(("/pub/", "/knowledge/", "/vibe/")):
        return None
    for site in portal.sites.values():
        base = site_url(portal, site).removeprefix(portal.url)
        if path.rstrip("/") == base.rstrip("/"):
            return site.index_lid
        for page in portal.pages.values():
            if page.site_id == site.id and path == base + _tail(portal, page.folder_id, page.code):
                return page.id
    return None


def _tail(portal: Portal, folder_id: int | None, code: str) -> str:
    return "".join(f"{each.code}/" for each in reversed(folders_above(portal, folder_id))) + f"{code}/"
