"""Section 6: the app as the portal sees it: its card, scopes, methods, events, options."""

from __future__ import annotations

from b24sandbox.methods.options import application, option_get, option_set
from b24sandbox.protocol import php
from b24sandbox.protocol.errors import RestError, denied
from b24sandbox.protocol.events import EVENTS
from b24sandbox.protocol.registry import MethodCall, rest_method
from b24sandbox.state.clock import iso
from b24sandbox.state.world import NUMBERED_FROM

SCOPES = (
    "ai_admin", "appform", "baas", "biconnector", "bizproc", "booking", "calendar", "calendarmobile", "call",
    "cashbox", "catalog", "catalogmobile", "configuration.import", "contact_center", "crm", "delivery", "department",
    "disk", "documentgenerator", "entity", "forum", "humanresources.hcmlink", "iblock", "im", "im.import", "imbot",
    "imconnector", "imopenlines", "intranet", "landing", "landing_cloud", "lists", "log", "mailservice", "main",
    "messageservice", "mobile", "notifications", "pay_system", "placement", "pull", "pull_channel", "rating", "rest",
    "rpa", "sale", "salescenter", "sign.b2e", "smile", "socialnetwork", "sonet_group", "task", "tasks",
    "tasks_extended", "tasksmobile", "telephony", "timeman", "user", "user.userfield", "user_basic", "user_brief",
    "userconsent", "userfieldconfig", "vote",
)  # fmt: skip


@rest_method("app.info")
def app_info(call: MethodCall) -> dict[str, object]:
    """The portal's own word on the app: another shape than the authorization server's, and no proof (1.6)."""
    switches = call.portal.switches
    family = "selfhosted" if switches.self_hosted else "ent250"
    if (installation := call.app_here) is None:
        if switches.webhook_app_info == "denied":
            raise denied("Access denied! Application context required")
        return {"SCOPE": list(call.scope), "LICENSE": f"{call.portal.lang}_{family}"}
    return {
        "ID": NUMBERED_FROM + call.app,
        "CODE": call.card.client_id,
        "VERSION": installation.version,
        "STATUS": installation.status,
        "INSTALLED": installation.finished,
        "PAYMENT_EXPIRED": "Y" if switches.payment_expired else "N",
        "DAYS": None,
        "LANGUAGE_ID": call.portal.lang,
        "LICENSE": f"{call.portal.lang}_{family}",
        "LICENSE_TYPE": family,
        "LICENSE_FAMILY": family if switches.self_hosted else "ent",
    }


@rest_method("scope")
def scope(call: MethodCall) -> list[str]:
    """The granted scopes; with `full` all that the portal has."""
    if php.truthy(call.get("full")):
        return sorted({*SCOPES, *(each for method in rest_method.methods.values() for each in method.scope)})
    return list(call.scope)


@rest_method("methods")
def methods(call: MethodCall) -> list[str]:
    names = rest_method.methods.values()
    wanted = call.text("scope")
    if wanted:
        return [each.name for each in names if wanted in each.scope]
    return [each.name for each in names if php.truthy(call.get("full")) or _available(call, each.scope)]


def _available(call: MethodCall, needed: tuple[str, ...]) -> bool:
    return not needed or bool(set(needed) & set(call.scope))


@rest_method("method.get")
def method_get(call: MethodCall) -> dict[str, bool]:
    """Whether a method exists here, and whether the token's scope suffices for it."""
    found = rest_method.find(call.text("name"), call.portal)
    return {"isExisting": found is not None, "isAvailable": found is not None and _available(call, found.scope)}


@rest_method("events")
def events(call: MethodCall) -> list[str]:
    """The events that can be bound; `scope` narrows them down, `full` brings those of scopes not granted too."""
    wanted = call.text("scope")
    found = [each for each in EVENTS.values() if not wanted or each.scope == wanted]
    if not php.truthy(call.get("full")):
        found = [each for each in found if not each.scope or each.scope in call.scope]
    return [each.name for each in found]


@rest_method("feature.get")
def feature(call: MethodCall) -> dict[str, str]:
    """Whether a feature is there: all are, but for the licence of a self-hosted portal."""
    if not call.text("CODE"):
        raise RestError("CODE_EMPTY", "CODE can't be empty", 400)
    return {"value": f"{call.portal.lang}_selfhosted" if call.portal.switches.self_hosted else "Y"}


@rest_method("server.time")
def server_time(call: MethodCall) -> str:
    return iso(call.now)


@rest_method("app.option.get")
def app_option_get(call: MethodCall) -> object:
    return option_get(call, application(call).options)


@rest_method("app.option.set")
def app_option_set(call: MethodCall) -> bool:
    """Only an administrator sets the app's options."""
    found = application(call)
    call.need_admin()
    return option_set(call, found.options)
