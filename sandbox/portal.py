"""A portal's own address: REST, authorize, the token proxy, the page's seam, public pages, and the page itself."""

from __future__ import annotations

from dataclasses import replace

from sandbox import frame, oauth, rest
from sandbox.faults import front_end
from sandbox.landing import folders_above, site_url
from sandbox.portal_ui import views
from sandbox.wire import Request, Response
from sandbox.world import Portal, World


class PortalServer:
    """One listening address of a portal. A portal that was renamed listens on a new one; the old answers 302 (4.7)."""

    def __init__(self, world: World, index: int, control: str = "") -> None:
        self.world = world
        self.index = index
        self.url = ""
        self.control = control
        self._tokens = oauth.AuthorizationServer(world)

    def __call__(self, request: Request) -> Response:
        portal = self.world.portals[self.index]
        self.world.asked += 1
        if self.url != portal.url:
            return moved(portal, request)
        if request.path.startswith("/rest/"):
            return rest.serve(self.world, portal, request)
        if request.path.rstrip("/") == "/oauth/authorize":
            return oauth.authorize(self.world, portal, request)
        if request.path.rstrip("/") == "/oauth/token":
            return self._tokens(request)  # in the cloud the portal passes it on (1.1)
        if request.path == "/_standin/frame" and request.verb == "GET":
            return frame.described(self.world, portal, request)
        if request.path == "/_standin/command" and request.verb == "POST":
            return frame.command(self.world, portal, request)
        found = public_lid(portal, request.path)
        shown = replace(request, path=f"/pages/{found}") if found else request
        return views.answer(self.world, portal, self.control, shown) or front_end(404)


def moved(portal: Portal, request: Request) -> Response:
    """302 to the same path on the new host; a client that follows turns its POST into a GET."""
    query = f"?{request.query}" if request.query else ""
    return Response(302, b"", {"Location": f"{portal.url}{request.path}{query}"})


def public_lid(portal: Portal, path: str) -> int | None:
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
