"""Section 5: the trash, from which pages, folders and sites come back. Only here is a site's main page guarded."""

from __future__ import annotations

from b24sandbox.methods.landing import kinds, landing_method
from b24sandbox.protocol import php
from b24sandbox.protocol.errors import landing
from b24sandbox.protocol.registry import MethodCall
from b24sandbox.state.sites import in_trash, rights
from b24sandbox.state.world import Folder, Page, Site


def _deletable_page(call: MethodCall) -> tuple[Page, Site]:
    """The page if the caller may delete on its site, in the trash or not."""
    page = call.portal.pages.get(php.integer(call.params["lid"]))
    site = call.portal.sites.get(page.site_id) if page is not None else None
    if page is None or site is None or site.deleted or site.type not in kinds(call):
        raise landing("LANDING_NOT_EXIST", "Landing not found")
    may = rights(call.portal, call.user, site)
    if "read" not in may:
        raise landing("LANDING_NOT_EXIST", "Landing not found")
    if "delete" not in may:
        raise landing("ACCESS_DENIED", "Deletion access to the page is denied.")
    return page, site


@landing_method("landing.landing.markDelete", required=("lid",), cost=0.1)
def page_out(call: MethodCall) -> int:
    """A page goes into the trash; a site's main page may not."""
    page, site = _deletable_page(call)
    if in_trash(call.portal, page):
        raise landing("LANDING_NOT_EXIST", "Landing not found")
    if site.index_lid == page.id:
        raise landing("CANT_DELETE_MAIN", "The main page of a site cannot be deleted.")
    page.deleted, page.modified_by = True, call.user.id
    return page.id


@landing_method("landing.landing.markUnDelete", required=("lid",), cost=0.1)
def page_back(call: MethodCall) -> int:
    page, _ = _deletable_page(call)
    page.deleted, page.modified_by = False, call.user.id
    return page.id


def _deletable_site(call: MethodCall) -> Site:
    site = call.portal.sites.get(php.integer(call.params["id"]))
    if site is None or site.type not in kinds(call) or "delete" not in rights(call.portal, call.user, site):
        raise landing("ACCESS_DENIED", "Access denied.")
    return site


@landing_method("landing.site.markDelete", required=("id",), cost=0.1)
def site_out(call: MethodCall) -> int:
    site = _deletable_site(call)
    site.deleted, site.active = True, False
    return site.id


@landing_method("landing.site.markUnDelete", required=("id",), cost=0.1)
def site_back(call: MethodCall) -> int:
    site = _deletable_site(call)
    site.deleted = False
    return site.id


def _deletable_folder(call: MethodCall) -> Folder:
    folder = call.portal.folders.get(php.integer(call.params["id"]))
    site = call.portal.sites.get(folder.site_id) if folder is not None else None
    if folder is None or site is None or site.type not in kinds(call):
        raise landing("ACCESS_DENIED", "Access denied.")
    if "delete" not in rights(call.portal, call.user, site):
        raise landing("ACCESS_DENIED", "Access denied.")
    return folder


@landing_method("landing.site.markFolderDelete", required=("id",), numbers=("id",), cost=0.1)
def folder_out(call: MethodCall) -> bool:
    """A folder goes into the trash, and with it what lies in it; not the one with the site's main page."""
    folder = _deletable_folder(call)
    main = call.portal.pages.get(call.portal.sites[folder.site_id].index_lid or 0)
    if main is not None and main.folder_id == folder.id:
        raise landing("CANT_DELETE_MAIN", "The folder holds the main page of the site.")
    folder.deleted = True
    return True


@landing_method("landing.site.markFolderUnDelete", required=("id",), numbers=("id",), cost=0.1)
def folder_back(call: MethodCall) -> bool:
    folder = _deletable_folder(call)
    folder.deleted = False
    return True
