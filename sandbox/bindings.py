"""Sections 2.4 to 2.6: what an app ties to a portal: events, its item in the site and page settings, widgets."""

from __future__ import annotations

from urllib.parse import urlsplit

from sandbox import php
from sandbox.errors import RestError, argument, denied, landing
from sandbox.landing import landing_method
from sandbox.methods import Asked, rest_method
from sandbox.users import EVENTS
from sandbox.world import Binding, Installation, Placement

PLACEMENTS = ("LANDING_SETTINGS",)
WIDGETS = (
    "CRM_DEAL_DETAIL_TAB",
    "LEFT_MENU",
    "PAGE_BACKGROUND_WORKER",
    "REST_APP_URI",
    "TASK_VIEW_TAB",
    "USER_PROFILE_MENU",
)
WIDGETS_EACH = 50


@rest_method("event.bind")
def event_bind(asked: Asked) -> bool:
    """2.5: an administrator binds for user 0, "whoever caused it"; everybody else only for themselves."""
    installation = asked.installation()
    event = asked.required("event").upper()
    handler = asked.text("handler")
    offline = asked.text("event_type").lower() == "offline"
    if asked.text("event_type").lower() not in ("", "online", "offline"):
        raise argument("EVENT_TYPE", "Value must be online or offline")
    if not offline and not handler:
        raise argument("HANDLER", "Parameter 'HANDLER' is null or empty")
    user_id = _for_whom(asked, offline)
    if event not in EVENTS:
        raise RestError("ERROR_EVENT_NOT_FOUND", "Event not found", 400)
    if not offline:
        check_handler(handler)
    if any((each.event, each.handler, each.user_id) == (event, handler, user_id) for each in installation.bindings):
        raise RestError("ERROR_CORE", "Unable to set event handler: Handler already binded", 400)
    installation.bindings.append(Binding(asked.portal.fresh_id(), event, handler, user_id, offline))
    return True


def _for_whom(asked: Asked, offline: bool) -> int:
    given = asked.get("auth_type")
    if asked.user.admin:
        return php.integer(given)
    if offline or (given is not None and php.integer(given) != asked.user.id):
        raise denied("Access denied! Administrator permissions required.")
    return asked.user.id


def check_handler(handler: str) -> None:
    """An address Bitrix24 would post to: http or https, and a host with a dot (localhost fails, 127.0.0.1 passes)."""
    parts = urlsplit(handler)
    if parts.scheme not in ("http", "https"):
        raise RestError("ERROR_UNSUPPORTED_PROTOCOL", "Unsupported event handler protocol", 400)
    if "." not in (parts.hostname or ""):
        raise RestError("ERROR_WRONG_HANDLER_URL", "Wrong handler URL", 400)


@rest_method("event.get")
def event_get(asked: Asked) -> list[dict[str, object]]:
    """All handlers of this app for an administrator, one's own for everybody else."""
    return [
        {"event": each.event, "handler": each.handler, "auth_type": str(each.user_id), "offline": int(each.offline)}
        for each in asked.installation().bindings
        if asked.user.admin or each.user_id == asked.user.id
    ]


@rest_method("event.unbind")
def event_unbind(asked: Asked) -> dict[str, int]:
    """The trap of 2.5: for a non-administrator `auth_type` is compared strictly, so a form's own id is refused."""
    installation = asked.installation()
    event, handler, given = asked.required("event").upper(), asked.text("handler"), asked.get("auth_type")
    if not asked.user.admin and given is not None and given != asked.user.id:
        raise denied("Access denied! Administrator permissions required.")

    def goes(each: Binding) -> bool:
        mine = asked.user.admin or each.user_id == asked.user.id
        named = given is None or each.user_id == php.integer(given)
        return mine and named and each.event == event and (not handler or each.handler == handler)

    kept = [each for each in installation.bindings if not goes(each)]
    count = len(installation.bindings) - len(kept)
    installation.bindings = kept
    return {"count": count}


@landing_method("landing.repo.bind", required=("fields",), mixed=("fields",))
def repo_bind(asked: Asked) -> bool:
    """2.4: the app's item in the site and page settings; not only for administrators, but only for an app."""
    installation = _app(asked)
    if not php.is_array(asked.params["fields"]):
        raise landing(
            "TYPE_ERROR", "Argument $fields must be of type array, string given"
        )  # older source: ERROR_ARGUMENT
    fields = dict(php.items(asked.params["fields"]))
    code, handler = php.text(fields.get("PLACEMENT")).strip().upper(), php.text(fields.get("PLACEMENT_HANDLER"))
    if not (code == "LANDING_SETTINGS" or code.startswith("LANDING_BLOCK_")):
        raise landing("PLACEMENT_UNKNOWN", "Unknown placement")
    if not _absolute(handler):
        raise landing("PLACEMENT_HANDLER_INVALID", "Placement handler must be an absolute URL")
    if any((each.code, each.handler) == (code, handler) for each in installation.placements):
        raise landing("PLACEMENT_EXIST", "Placement already exists")
    installation.placements.append(Placement(code, handler, php.text(fields.get("TITLE"))))
    return True


@landing_method("landing.repo.unbind", required=("code",))
def repo_unbind(asked: Asked) -> bool | None:
    """`handler` is optional: all of the code; null for a call that is no app's."""
    if asked.token is None or asked.portal.installation is None:
        return None
    installation, handler = asked.portal.installation, php.text(asked.params.get("handler"))
    code = php.text(asked.params["code"]).strip().upper()
    kept = [each for each in installation.placements if each.code != code or (handler and each.handler != handler)]
    if len(kept) == len(installation.placements):
        raise landing("PLACEMENT_NO_EXIST", "Placement does not exist")
    installation.placements = kept
    return True


def _app(asked: Asked) -> Installation:
    if asked.token is None or asked.portal.installation is None:
        raise landing("ACCESS_DENIED", "Application context required.")
    return asked.portal.installation


def _absolute(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


@rest_method("placement.bind", "placement")
def placement_bind(asked: Asked) -> bool:
    """2.6: widgets outside Sites; `DEFAULT` is refused, and LANDING_SETTINGS is not among them."""
    installation = asked.installation()
    asked.need_admin()
    code, handler = asked.required("PLACEMENT").upper(), asked.required("HANDLER")
    if code == "DEFAULT" or code not in WIDGETS:
        raise RestError("ERROR_PLACEMENT_NOT_FOUND", "Placement not found", 400)
    check_handler(handler)
    same = [each for each in installation.frame_placements if each.code == code]
    if any(each.handler == handler for each in same):
        raise RestError("ERROR_CORE", "Unable to set placement handler: Handler already binded", 400)
    if len(same) >= WIDGETS_EACH:
        raise RestError("ERROR_PLACEMENT_MAX_COUNT", "Placement max count", 400)
    installation.frame_placements.append(
        Placement(code, handler, asked.text("TITLE"), {"USER_ID": php.integer(asked.get("USER_ID"))})
    )
    return True


@rest_method("placement.list", "placement")
def placement_list(asked: Asked) -> list[str]:
    asked.installation()
    return list(WIDGETS)


@rest_method("placement.get", "placement")
def placement_get(asked: Asked) -> list[dict[str, object]]:
    found = asked.installation()
    asked.need_admin()
    return [
        {
            "placement": each.code,
            "userId": each.extra.get("USER_ID", 0),
            "handler": each.handler,
            "title": each.title,
            "description": "",
        }
        for each in found.frame_placements
    ]


@rest_method("placement.unbind", "placement")
def placement_unbind(asked: Asked) -> dict[str, int]:
    found = asked.installation()
    asked.need_admin()
    code, handler = asked.required("PLACEMENT").upper(), asked.text("HANDLER")
    kept = [each for each in found.frame_placements if each.code != code or (handler and each.handler != handler)]
    count = len(found.frame_placements) - len(kept)
    found.frame_placements = kept
    return {"count": count}
