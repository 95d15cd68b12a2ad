"""Section 5: the trash, from which pages, folders and sites come back. Only here is a site's main page guarded."""

from __future__ import annotations

from sandbox import php
from sandbox.errors import landing
from sandbox.landing import in_trash, kinds, landing_method, rights
from sandbox.methods import Asked
from sandbox.world import Folder, Page, Site


def _deletable_page(asked: Asked) -> tuple[Page, Site]:
    """The page if the caller may delete on its site, in the trash or not."""
    page = asked.portal.pages.get(php.integer(asked.params["lid"]))
    site = asked.portal.sites.get(page.site_id) if page is not None else None
    if page is None or site is None or site.deleted or site.type not in kinds(asked):
        raise landing("LANDING_NOT_EXIST", "Landing not found")
    may = rights(asked.portal, asked.user, site)
    if "read" not in may:
        raise landing("LANDING_NOT_EXIST", "Landing not found")
    if "delete" not in may:
        raise landing("ACCESS_DENIED", "Deletion access to the page is denied.")
    return page, site


@landing_method("landing.landing.markDelete", required=("lid",), cost=0.1)
def page_out(asked: Asked) -> int:
    """A page goes into the trash; a site's main page may not."""
    page, site = _deletable_page(asked)
    if in_trash(asked.portal, page):
        raise landing("LANDING_NOT_EXIST", "Landing not found")
    if site.index_lid == page.id:
        raise landing("CANT_DELETE_MAIN", "The main page of a site cannot be deleted.")
    page.deleted, page.modified_by = True, asked.user.id
    return page.id


@landing_method("landing.landing.markUnDelete", required=("lid",), cost=0.1)
def page_back(asked: Asked) -> int:
    page, _ = _deletable_page(asked)
    page.deleted, page.modified_by = False, asked.user.id
    return page.id


def _deletable_site(asked: Asked) -> Site:
    site = asked.portal.sites.get(php.integer(asked.params["id"]))
    if site is None or site.type not in kinds(asked) or "delete" not in rights(asked.portal, asked.user, site):
        raise landing("ACCESS_DENIED", "Access denied.")
    return site


@landing_method("landing.site.markDelete", required=("id",), cost=0.1)
def site_out(asked: Asked) -> int:
    site = _deletable_site(asked)
    site.deleted, site.active = True, False
    return site.id


@landing_method("landing.site.markUnDelete", required=("id",), cost=0.1)
def site_back(asked: Asked) -> int:
    site = _deletable_site(asked)
    site.deleted = False
    return site.id


def _deletable_folder(asked: Asked) -> Folder:
    folder = asked.portal.folders.get(php.integer(asked.params["id"]))
    site = asked.portal.sites.get(folder.site_id) if folder is not None else None
    if folder is None or site is None or site.type not in kinds(asked):
        raise landing("ACCESS_DENIED", "Access denied.")
    if "delete" not in rights(asked.portal, asked.user, site):
        raise landing("ACCESS_DENIED", "Access denied.")
    return folder


@landing_method("landing.site.markFolderDelete", required=("id",), numbers=("id",), cost=0.1)
def folder_out(asked: Asked) -> bool:
    """A folder goes into the trash, and with it what lies in it; not the one with the site's main page."""
    folder = _deletable_folder(asked)
    main = asked.portal.pages.get(asked.portal.sites[folder.site_id].index_lid or 0)
    if main is not None and main.folder_id == folder.id:
        raise landing("CANT_DELETE_MAIN", "The folder holds the main page of the site.")
    folder.deleted = True
    return True


@landing_method("landing.site.markFolderUnDelete", required=("id",), numbers=("id",), cost=0.1)
def folder_back(asked: Asked) -> bool:
    folder = _deletable_folder(asked)
    folder.deleted = False
    return True
