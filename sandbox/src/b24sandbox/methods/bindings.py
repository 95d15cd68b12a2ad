"""Sections 2.4 to 2.6: what an app ties to a portal: events, its item in the site and page settings, widgets."""

from __future__ import annotations

from urllib.parse import urlsplit

from b24sandbox.methods.landing import landing_method
from b24sandbox.protocol import php
from b24sandbox.protocol.errors import RestError, argument, denied, landing
from b24sandbox.protocol.events import EVENTS
from b24sandbox.protocol.registry import MethodCall, rest_method
from b24sandbox.state.world import Binding, Installation, Placement

PLACEMENTS = ("LANDING_SETTINGS",)
WIDGETS = {  # placement → the scope it belongs to besides `placement`
    "CALENDAR_GRIDVIEW": "calendar",
    "CRM_COMPANY_DETAIL_TAB": "crm",
    "CRM_CONTACT_DETAIL_TAB": "crm",
    "CRM_CONTACT_LIST_MENU": "crm",
    "CRM_DEAL_DETAIL_TAB": "crm",
    "CRM_DEAL_LIST_MENU": "crm",
    "CRM_DEAL_LIST_TOOLBAR": "crm",
    "CRM_LEAD_DETAIL_TAB": "crm",
    "CRM_LEAD_LIST_MENU": "crm",
    "IM_NAVIGATION": "im",
    "IM_SIDEBAR": "im",
    "IM_TEXTAREA": "im",
    "LEFT_MENU": "",
    "PAGE_BACKGROUND_WORKER": "",
    "REST_APP_URI": "",
    "TASK_LIST_CONTEXT_MENU": "task",
    "TASK_USER_LIST_TOOLBAR": "task",
    "TASK_VIEW_TAB": "task",
    "USER_PROFILE_MENU": "",
    "USER_PROFILE_TOOLBAR": "",
}
WIDGETS_EACH = 50
ONLY_ONE = ("REST_APP_URI",)


@rest_method("event.bind")
def event_bind(call: MethodCall) -> bool:
    """2.5: an administrator binds for user 0, "whoever caused it"; everybody else only for themselves."""
    installation = call.installation()
    event = call.required("event").upper()
    handler = call.text("handler")
    offline = call.text("event_type").lower() == "offline"
    if call.text("event_type").lower() not in ("", "online", "offline"):
        raise argument("EVENT_TYPE", "Value must be online or offline")
    if not offline and not handler:
        raise argument("HANDLER", "Parameter 'HANDLER' is null or empty")
    user_id = _for_whom(call, offline)
    if event not in EVENTS or (EVENTS[event].scope and EVENTS[event].scope not in call.scope):
        raise RestError("ERROR_EVENT_NOT_FOUND", "Event not found", 400)
    if not offline:
        check_handler(handler)
    if any((each.event, each.handler, each.user_id) == (event, handler, user_id) for each in installation.bindings):
        raise RestError("ERROR_CORE", "Unable to set event handler: Handler already binded", 400)
    installation.bindings.append(Binding(call.portal.fresh_id(), event, handler, user_id, offline))
    return True


def _for_whom(call: MethodCall, offline: bool) -> int:
    given = call.get("auth_type")
    if call.user.admin:
        return php.integer(given)
    if offline or (given is not None and php.integer(given) != call.user.id):
        raise denied("Access denied! Administrator permissions required.")
    return call.user.id


def check_handler(handler: str) -> None:
    """An address Bitrix24 would post to: http or https, and a host with a dot (localhost fails, 127.0.0.1 passes)."""
    parts = urlsplit(handler)
    if parts.scheme not in ("http", "https"):
        raise RestError("ERROR_UNSUPPORTED_PROTOCOL", "Unsupported event handler protocol", 400)
    if "." not in (parts.hostname or ""):
        raise RestError("ERROR_WRONG_HANDLER_URL", "Wrong handler URL", 400)


@rest_method("event.get")
def event_get(call: MethodCall) -> list[dict[str, object]]:
    """All handlers of this app for an administrator, one's own for everybody else."""
    return [
        {"event": each.event, "handler": each.handler, "auth_type": str(each.user_id), "offline": int(each.offline)}
        for each in call.installation().bindings
        if call.user.admin or each.user_id == call.user.id
    ]


@rest_method("event.unbind")
def event_unbind(call: MethodCall) -> dict[str, int]:
    """The trap of 2.5: for a non-administrator `auth_type` is compared strictly, so a form's own id is refused."""
    installation = call.installation()
    event, given = call.required("event").upper(), call.get("auth_type")
    offline = call.text("event_type").lower() == "offline"
    handler = "" if offline else call.required("handler")
    if not call.user.admin and given is not None and given != call.user.id:
        raise denied("Access denied! Administrator permissions required.")

    def goes(each: Binding) -> bool:
        mine = call.user.admin or each.user_id == call.user.id
        named = given is None or each.user_id == php.integer(given)
        return mine and named and each.event == event and (each.offline if offline else each.handler == handler)

    kept = [each for each in installation.bindings if not goes(each)]
    count = len(installation.bindings) - len(kept)
    installation.bindings = kept
    return {"count": count}


@landing_method("landing.repo.bind", required=("fields",), mixed=("fields",))
def repo_bind(call: MethodCall) -> bool:
    """2.4: the app's item in the site and page settings; not only for administrators, but only for an app."""
    installation = _app(call)
    if not php.is_array(call.params["fields"]):
        raise landing(
            "TYPE_ERROR", "Argument $fields must be of type array, string given"
        )  # older source: ERROR_ARGUMENT
    fields = dict(php.items(call.params["fields"]))
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
def repo_unbind(call: MethodCall) -> bool | None:
    """`handler` is optional: all of the code; null for a call that is no app's."""
    installation = call.app_here
    if installation is None:
        return None
    handler = php.text(call.params.get("handler"))
    code = php.text(call.params["code"]).strip().upper()
    kept = [each for each in installation.placements if each.code != code or (handler and each.handler != handler)]
    if len(kept) == len(installation.placements):
        raise landing("PLACEMENT_NO_EXIST", "Placement does not exist")
    installation.placements = kept
    return True


def _app(call: MethodCall) -> Installation:
    if (found := call.app_here) is None:
        raise landing("ACCESS_DENIED", "Application context required.")
    return found


def _absolute(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


@rest_method("placement.bind", "placement")
def placement_bind(call: MethodCall) -> bool:
    """2.6: widgets outside Sites; `DEFAULT` is refused, and LANDING_SETTINGS is not among them."""
    installation = call.installation()
    call.need_admin()
    code, handler = call.required("PLACEMENT").upper(), call.required("HANDLER")
    if code == "DEFAULT" or code not in WIDGETS:
        raise RestError("ERROR_PLACEMENT_NOT_FOUND", "Placement not found", 400)
    check_handler(handler)
    same = [each for each in installation.frame_placements if each.code == code]
    if any(each.handler == handler for each in same):
        raise RestError("ERROR_CORE", "Unable to set placement handler: Handler already binded", 400)
    if len(same) >= (1 if code in ONLY_ONE else WIDGETS_EACH):
        raise RestError("ERROR_PLACEMENT_MAX_COUNT", "Placement max count", 400)
    languages = dict(php.items(call.get("LANG_ALL")))
    words = dict(php.items(languages.get(call.portal.lang) or languages.get("en")))
    extra: dict[str, object] = {
        "USER_ID": php.integer(call.get("USER_ID")),
        "LANG_ALL": languages,
        "OPTIONS": dict(php.items(call.get("OPTIONS"))),
        "DESCRIPTION": call.text("DESCRIPTION") or php.text(words.get("DESCRIPTION")),
    }
    title = call.text("TITLE") or php.text(words.get("TITLE"))
    installation.frame_placements.append(Placement(code, handler, title, extra))
    return True


@rest_method("placement.list", "placement")
def placement_list(call: MethodCall) -> list[str]:
    """Where widgets may stand with the app's scopes; `SCOPE` narrows it down, `FULL` leaves out nothing."""
    call.installation()
    wanted, full = call.text("SCOPE"), php.truthy(call.get("FULL"))
    return [
        code
        for code, scope in WIDGETS.items()
        if (not wanted or wanted == scope) and (full or not scope or scope in call.scope)
    ]


@rest_method("placement.get", "placement")
def placement_get(call: MethodCall) -> list[dict[str, object]]:
    found = call.installation()
    call.need_admin()
    return [
        {
            "placement": each.code,
            "userId": each.extra.get("USER_ID", 0),
            "handler": each.handler,
            "options": php.encoded(dict(php.items(each.extra.get("OPTIONS")))),
            "title": each.title,
            "description": each.extra.get("DESCRIPTION", ""),
            "langAll": php.encoded(dict(php.items(each.extra.get("LANG_ALL")))),
        }
        for each in found.frame_placements
    ]


@rest_method("placement.unbind", "placement")
def placement_unbind(call: MethodCall) -> dict[str, int]:
    found = call.installation()
    call.need_admin()
    code, handler = call.required("PLACEMENT").upper(), call.text("HANDLER")
    kept = [each for each in found.frame_placements if each.code != code or (handler and each.handler != handler)]
    count = len(found.frame_placements) - len(kept)
    found.frame_placements = kept
    return {"count": count}
