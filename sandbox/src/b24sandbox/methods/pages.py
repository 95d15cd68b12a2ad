"""Sections 5.2 and 5.3: what can be done to one page: unpublic, publication, and asking for its public address."""

from __future__ import annotations

from b24sandbox.methods.landing import landing_method, readable_page
from b24sandbox.protocol.errors import landing
from b24sandbox.protocol.registry import MethodCall
from b24sandbox.state.sites import DEFAULT_KINDS, folders_above, public_url, rights
from b24sandbox.state.world import Page, Portal, Site

GROUP_RIGHTS = ("edit", "sett", "delete")  # of a workgroup, besides `read`, which any of them brings (source)


@landing_method("landing.landing.unpublic", required=("lid",), cost=0.15, wall=1.2)
def unpublic(call: MethodCall) -> bool:
    """5.2: ACTIVE and PUBLIC become N. True again when it was down already; nothing guards a site's main page."""
    page, site = readable_page(call, call.params["lid"])
    may = rights(call.portal, call.user, site)
    if site.type in DEFAULT_KINDS and "public" not in may:
        raise landing("ACCESS_DENIED", "Publishing access to the page is denied.")
    call.world.recorder.changed(call.portal.index, page.id, "unpublish", call.user.id, page.active, call.now)
    page.active, page.public, page.modified_by = False, False, call.user.id
    site.modified_at = call.now
    return True


@landing_method("landing.landing.publication", required=("lid",), cost=0.25, wall=1.5)
def publication(call: MethodCall) -> bool | None:
    """5.3: the draft goes live with its folders and its site. Without the right: null, and no error.

    In a workgroup's base the rights are a list of booleans, in which PHP finds "public" as soon as one of them is true.
    """
    page, site = readable_page(call, call.params["lid"])
    may = rights(call.portal, call.user, site)
    if "public" not in may and not (site.type == "GROUP" and set(may) & set(GROUP_RIGHTS)):
        return None
    publish(call, page, site)
    return True


def publish(call: MethodCall, page: Page, site: Site) -> None:
    """Put a page's draft live, or raise the first refusal."""
    refuse_publication(call.portal, page, site)
    call.world.recorder.changed(
        call.portal.index, page.id, "publish", call.user.id, not (page.active and page.public), call.now
    )
    page.active = page.public = True
    page.live, page.public_at, page.modified_by = page.draft, call.now, call.user.id
    for folder in folders_above(call.portal, page.folder_id):
        folder.active = True
    site.active = True
    site.modified_at = call.now


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


@landing_method("landing.landing.getpublicurl", required=("lid",), cost=0.05)
def get_public_url(call: MethodCall) -> str:
    """The public address of one page; a list is a TYPE_ERROR."""
    page, site = readable_page(call, call.params["lid"])
    return public_url(call.portal, page, site)
