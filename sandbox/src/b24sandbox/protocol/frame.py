"""Sections 2.1 to 2.3 and 7: the app's frame: the form a portal posts, and the commands that need the server.

The browser side is `portal_ui`; it asks here by `/_standin/frame` and `/_standin/command`.
"""

from __future__ import annotations

import json
import secrets
from urllib.parse import urlencode, urlsplit

from b24sandbox.protocol import events, php
from b24sandbox.server.http import Request, Response, reply
from b24sandbox.state.world import Frame, Portal, User, World

SILENT = ("reloadWindow", "imCallTo", "imPhoneTo", "imOpenMessenger", "imOpenHistory")
ECHOED = ("setTitle", "setScroll", "resizeWindow", "setInstall")
COMMANDS = (
    "getInitData", "refreshAuth", "setInstall", "setInstallFinish", "resizeWindow", "setTitle", "setScroll",
    "setUserOption", "setAppOption", "reloadWindow", "imCallTo", "imPhoneTo", "imOpenMessenger", "imOpenHistory",
    "openApplication", "closeApplication", "openPath", "getInterface", "placementBindEvent", "selectUser",
    "selectAccess", "selectCRM",
)  # fmt: skip


def open_frame(
    world: World,
    portal: Portal,
    user: User,
    installer: bool | None,
    placement: str,
    options: dict[str, object] | None,
    lang: str | None,
) -> tuple[Frame, str, dict[str, str]]:
    """A new frame with its address and form (2.1). `installer` None: as the portal decides. Hold the lock."""
    frame = Frame(secrets.token_hex(16), portal.index, user.id, lang or portal.lang, placement, options or {})
    world.frames[frame.sid] = frame
    installation = portal.installation
    if installer is None:
        installer = installation is not None and not installation.finished and user.admin and placement == "DEFAULT"
    query = urlencode(
        {"DOMAIN": portal.domain, "PROTOCOL": int(portal.secure), "LANG": frame.lang, "APP_SID": frame.sid}
    )
    address = _handler(portal, placement) or f"{world.application.url.rstrip('/')}/{'install' if installer else 'app'}"
    return frame, f"{address}{'&' if '?' in address else '?'}{query}", _form(world, portal, frame)


def _handler(portal: Portal, placement: str) -> str:
    """The handler bound for a placement; the application's own address for DEFAULT."""
    bound = portal.installation.placements if portal.installation and placement != "DEFAULT" else []
    return next((each.handler for each in bound if each.code == placement), "")


def _form(world: World, portal: Portal, frame: Frame) -> dict[str, str]:
    token = world.issue(portal, frame.user_id)
    installation = portal.installation
    form = {
        "AUTH_ID": token.access,
        "AUTH_EXPIRES": str(int(token.expires_at - token.issued_at)),
        "REFRESH_ID": token.refresh,
        "SERVER_ENDPOINT": f"{world.server_of(portal)}/rest/",
        "APPLICATION_TOKEN": installation.application_token if installation else "",
        "APPLICATION_SCOPE": ",".join(token.scope),
        "member_id": portal.member_id,
        "status": installation.status if installation else "F",
        "PLACEMENT": frame.placement,
    }
    if frame.placement != "DEFAULT" or portal.switches.options_for_default:
        form["PLACEMENT_OPTIONS"] = json.dumps(frame.options or {}, ensure_ascii=False) if frame.options else "[]"
    return form


def described(world: World, portal: Portal, request: Request) -> Response:
    """GET /_standin/frame: all that the portal's page needs to draw itself with the app in it."""
    query = php.parse(request.query)
    try:
        user = portal.user_named(php.text(query.get("user")) or 1)
        options = dict(php.items(json.loads(php.text(query.get("options")) or "{}")))
    except (KeyError, ValueError) as error:
        return reply({"error": "invalid", "detail": str(error)}, 400)
    with world.lock:
        if portal.installation is None:
            return reply({"error": "not_installed", **_surroundings(world, portal, user)}, 404)
        if not portal.installation.finished and not user.admin:
            return reply({"error": "not_finished", **_surroundings(world, portal, user)}, 403)
        placement = php.text(query.get("placement")) or "DEFAULT"
        frame, url, form = open_frame(
            world, portal, user, None, placement, options, php.text(query.get("lang")) or None
        )
        name = f"{portal.domain}|{int(portal.secure)}|{frame.sid}"
        return reply({"url": url, "form": form, "name": name, "sid": frame.sid, **_surroundings(world, portal, user)})


def _surroundings(world: World, portal: Portal, user: User) -> dict[str, object]:
    parts = urlsplit(world.application.url)
    installation = portal.installation
    return {
        "installed": installation is not None and installation.finished,
        "user": user.id,
        "users": [{"id": each.id, "name": each.full_name, "role": each.role} for each in portal.users.values()],
        "portals": [{"title": each.title, "url": each.url} for each in world.portals],
        "sites": [
            {
                "id": site.id,
                "title": site.title,
                "type": site.type,
                "pages": [
                    {"lid": p.id, "title": p.title}
                    for p in portal.pages.values()
                    if p.site_id == site.id and not p.deleted
                ],
            }
            for site in portal.sites.values()
            if not site.deleted
        ],
        "placements": [
            {"code": p.code, "handler": p.handler, "title": p.title}
            for p in (installation.placements if installation else [])
        ],
        "app": {"title": world.application.title, "origin": f"{parts.scheme}://{parts.netloc}"},
    }


def command(world: World, portal: Portal, request: Request) -> Response:
    """POST /_standin/command: what the portal answers to a message, or that it stays silent (7.2)."""
    try:
        body = json.loads(request.body or b"{}")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return reply({"error": "invalid", "detail": "a JSON object is wanted"}, 400)
    with world.lock:
        frame = world.frames.get(php.text(body.get("sid")))
        if frame is None or frame.portal != portal.index:
            return reply({"silent": True, "why": "no such frame"})
        params = dict(php.items(body.get("params")))
        return reply(_execute(world, portal, frame, php.text(body.get("command")), params))


def _execute(world: World, portal: Portal, frame: Frame, name: str, params: dict[str, object]) -> dict[str, object]:
    user, installation = portal.users[frame.user_id], portal.installation
    if installation is None or name not in COMMANDS or name in SILENT:
        return {"silent": True}
    if name == "setInstallFinish":
        if user.admin and not installation.finished:
            installation.finished = True
            events.installed(world, portal, user.id)
        return {"silent": True, "reload": True}  # never replied: the page reloads with install_finished=Y
    if name == "setAppOption":
        if not user.admin:
            return {"silent": True}
        installation.options[php.text(params.get("name"))] = params.get("value")
        return {"reply": {"result": True}}
    if name == "setUserOption":
        user.options[php.text(params.get("name"))] = params.get("value")
        return {"reply": params}
    if name == "refreshAuth":
        return _fresh_tokens(world, portal, user)
    if name == "getInitData":
        return {"reply": init_data(world, portal, frame)}
    if name == "getInterface":
        return {"reply": {"command": list(COMMANDS), "event": []}}
    return {"reply": params} if name in ECHOED else {"silent": True}


def _fresh_tokens(world: World, portal: Portal, user: User) -> dict[str, object]:
    """A new chain made by the portal; where it may not, the portal alerts and never replies."""
    if not user.active or not user.may_use_app or portal.switches.deleted or not portal.switches.app_active:
        return {"silent": True, "alert": "Unable to get new authorization"}
    token = world.issue(portal, user.id)
    return {
        "reply": {
            "AUTH_ID": token.access,
            "AUTH_EXPIRES": int(token.expires_at - token.issued_at),
            "REFRESH_ID": token.refresh,
        }
    }


def init_data(world: World, portal: Portal, frame: Frame) -> dict[str, object]:
    """The reply of getInitData; `INSTALL` is true while the installer runs."""
    user, installation = portal.users[frame.user_id], portal.installation
    token = world.issue(portal, user.id)
    finished = installation is not None and installation.finished
    return {
        "LANG": frame.lang,
        "DOMAIN": portal.domain,
        "PROTOCOL": int(portal.secure),
        "PATH": "/rest",
        "AUTH_ID": token.access,
        "AUTH_EXPIRES": int(token.expires_at - token.issued_at),
        "REFRESH_ID": token.refresh,
        "MEMBER_ID": portal.member_id,
        "FIRST_RUN": not finished,
        "IS_ADMIN": user.admin,
        "INSTALL": not finished,
        "USER_OPTIONS": php.encoded(user.options),
        "APP_OPTIONS": php.encoded(installation.options if installation else {}),
        "PLACEMENT": frame.placement,
        "PLACEMENT_OPTIONS": php.encoded(frame.options),
    }
