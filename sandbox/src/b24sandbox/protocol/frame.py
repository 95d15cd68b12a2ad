"""Sections 2.1 to 2.3, 7 and 12.5: the app's frame: the form a portal posts, commands, and links that open it.

The browser side is `portal_ui`; it asks here by `/_standin/frame` and `/_standin/command`.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from b24sandbox.protocol import events, php
from b24sandbox.protocol.automation import DIALOG
from b24sandbox.server.http import Request, Response, reply
from b24sandbox.state.world import NUMBERED_FROM, Application, Frame, Installation, Portal, User, World

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
    app: int = 0,
    handler: str = "",
) -> tuple[Frame, str, dict[str, str]]:
    """A new frame with its address and form (2.1). `installer` None: as the portal decides. Hold the lock.

    handler  which of the handlers bound for the placement; the first when it is none of them
    """
    frame = Frame(secrets.token_hex(16), portal.index, user.id, lang or portal.lang, placement, options or {}, app)
    world.frames[frame.sid] = frame
    installation = portal.installations.get(app)
    if installer is None:
        installer = installation is not None and not installation.finished and user.admin and placement == "DEFAULT"
    card = world.applications[app]
    query = urlencode(
        {"DOMAIN": portal.domain, "PROTOCOL": int(portal.secure), "LANG": frame.lang, "APP_SID": frame.sid}
    )
    address = _handler(installation, placement, handler) or (
        card.installer if installer else card.address(card.app_path)
    )
    return frame, f"{address}{'&' if '?' in address else '?'}{query}", _form(world, portal, frame)


def _handler(installation: Installation | None, placement: str, handler: str) -> str:
    """The handler bound for a placement; the application's own address for DEFAULT."""
    if installation is None or placement == "DEFAULT":
        return ""
    bound = [*installation.placements, *installation.frame_placements]
    found = [each.handler for each in bound if each.code == placement]
    if placement == DIALOG:
        robots = [*installation.robots.values(), *installation.activities.values()]
        found = [php.text(each["PLACEMENT_HANDLER"]) for each in robots if each["PLACEMENT_HANDLER"]]
    return handler if handler in found else next(iter(found), "")


def _form(world: World, portal: Portal, frame: Frame) -> dict[str, str]:
    token = world.issue(portal, frame.user_id, app=frame.app)
    installation = portal.installations.get(frame.app)
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


OURS = ("_r", "user", "lang", "theme", "view", "app", "install_finished")  # neither the portal's `_r` nor the bar's own


@dataclass(frozen=True)
class Link:
    """What an address inside the portal opens of an application (12.5)."""

    app: int
    placement: str
    options: dict[str, object]


def link_of(world: World, path: str, query: str) -> Link | None:
    """`/marketplace/app/<id, code or client_id>/?run=5` or `/marketplace/view/…/?params[run]=5`; None for other paths.

    Every GET parameter of the first reaches the app in PLACEMENT_OPTIONS, as a text; of the second `params` alone does.
    """
    head, _, rest = path.removeprefix("/marketplace/").partition("/")
    if not path.startswith("/marketplace/") or head not in ("app", "view"):
        return None
    name = rest.strip("/")
    app = next((place for place, card in enumerate(world.applications) if name in _names(place, card)), None)
    if app is None:
        return None
    given = php.parse(query)
    if head == "app":
        return Link(app, "DEFAULT", {key: value for key, value in given.items() if key not in OURS})
    return Link(app, "REST_APP_URI", {**dict(php.items(given.get("params"))), "URI": path})


def _names(place: int, card: Application) -> tuple[str, ...]:
    return (str(NUMBERED_FROM + place), card.code, card.client_id)


def described(world: World, portal: Portal, request: Request) -> Response:
    """GET /_standin/frame: all that the portal's page needs to draw itself with the app in it."""
    query = php.parse(request.query)
    try:
        user = portal.user_named(php.text(query.get("user")) or 1)
        options = dict(php.items(json.loads(php.text(query.get("options")) or "{}")))
    except (KeyError, ValueError) as error:
        return reply({"error": "invalid", "detail": str(error)}, 400)
    app = php.integer(query.get("app"))
    if not 0 <= app < len(world.applications):
        return reply({"error": "invalid", "detail": f"no application {app}"}, 400)
    with world.lock:
        installation = portal.installations.get(app)
        around = _surroundings(world, portal, user, app)
        if installation is None:
            return reply({"error": "not_installed", **around}, 404)
        if not installation.finished and not user.admin:
            return reply({"error": "not_finished", **around}, 403)
        placement = php.text(query.get("placement")) or "DEFAULT"
        lang, handler = php.text(query.get("lang")) or None, php.text(query.get("handler"))
        frame, url, form = open_frame(world, portal, user, None, placement, options, lang, app, handler)
        name = f"{portal.domain}|{int(portal.secure)}|{frame.sid}"
        return reply({"url": url, "form": form, "name": name, "sid": frame.sid, **around})


def _surroundings(world: World, portal: Portal, user: User, app: int) -> dict[str, object]:
    parts = urlsplit(world.applications[app].url)
    installation = portal.installations.get(app)
    return {
        "installed": installation is not None and installation.finished,
        "user": user.id,
        "users": [{"id": each.id, "name": each.full_name, "role": each.role} for each in portal.people],
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
        "app": {"title": world.applications[app].title, "origin": f"{parts.scheme}://{parts.netloc}"},
    }


def json_object(request: Request) -> dict[str, object] | None:
    """What the portal's own page posted; None for anything but a JSON object, which `no_object` answers."""
    try:
        body = json.loads(request.body or b"{}")
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def no_object() -> Response:
    """The refusal of a body that is no JSON object."""
    return reply({"error": "invalid", "detail": "a JSON object is wanted"}, 400)


def command(world: World, portal: Portal, request: Request) -> Response:
    """POST /_standin/command: what the portal answers to a message, or that it stays silent (7.2)."""
    body = json_object(request)
    if body is None:
        return no_object()
    with world.lock:
        frame = world.frames.get(php.text(body.get("sid")))
        if frame is None or frame.portal != portal.index:
            return reply({"silent": True, "why": "no such frame"})
        params = dict(php.items(body.get("params")))
        return reply(_execute(world, portal, frame, php.text(body.get("command")), params))


def _execute(world: World, portal: Portal, frame: Frame, name: str, params: dict[str, object]) -> dict[str, object]:
    user, installation = portal.users[frame.user_id], portal.installations.get(frame.app)
    if installation is None or name not in COMMANDS or name in SILENT:
        return {"silent": True}
    if name == "setInstallFinish":
        if user.admin and not installation.finished:
            installation.finished = True
            events.installed(world, portal, user.id, frame.app)
        return {"silent": True, "reload": True}  # never replied: the page reloads with install_finished=Y
    if name == "setAppOption":
        if not user.admin:
            return {"silent": True}
        installation.options[php.text(params.get("name"))] = params.get("value")
        return {"reply": {"result": True}}
    if name == "setUserOption":
        mine = installation.user_options.setdefault(user.id, {})
        mine[php.text(params.get("name"))] = params.get("value")
        return {"reply": params}
    if name == "refreshAuth":
        return _fresh_tokens(world, portal, user, frame.app)
    if name == "getInitData":
        return {"reply": init_data(world, portal, frame)}
    if name == "getInterface":
        return {"reply": {"command": list(COMMANDS), "event": []}}
    return {"reply": params} if name in ECHOED else {"silent": True}


def _fresh_tokens(world: World, portal: Portal, user: User, app: int) -> dict[str, object]:
    """A new chain made by the portal; where it may not, the portal alerts and never replies."""
    if not user.active or not user.may_use_app or portal.switches.deleted or not portal.switches.app_active:
        return {"silent": True, "alert": "Unable to get new authorization"}
    token = world.issue(portal, user.id, app=app)
    return {
        "reply": {
            "AUTH_ID": token.access,
            "AUTH_EXPIRES": int(token.expires_at - token.issued_at),
            "REFRESH_ID": token.refresh,
        }
    }


def init_data(world: World, portal: Portal, frame: Frame) -> dict[str, object]:
    """The reply of getInitData; `INSTALL` is true while the installer runs."""
    user, installation = portal.users[frame.user_id], portal.installations.get(frame.app)
    token = world.issue(portal, user.id, app=frame.app)
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
        "USER_OPTIONS": php.encoded(installation.user_options.get(user.id, {}) if installation else {}),
        "APP_OPTIONS": php.encoded(installation.options if installation else {}),
        "PLACEMENT": frame.placement,
        "PLACEMENT_OPTIONS": php.encoded(frame.options),
    }
