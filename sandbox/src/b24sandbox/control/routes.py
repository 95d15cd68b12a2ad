"""The routes of the control API, one function each."""

from __future__ import annotations

from dataclasses import asdict
from urllib.parse import urlsplit

from b24sandbox.control import validation
from b24sandbox.control.api import ROUTES, ControlRequest, description, route
from b24sandbox.protocol import events, php
from b24sandbox.protocol.events import EVENTS
from b24sandbox.state import samples
from b24sandbox.state.faults import KINDS, Fault
from b24sandbox.state.sites import rights as rights_on
from b24sandbox.state.world import RIGHTS, EventQueue, Page, Portal, Site, User, World

MAX_PAGES = 100_000
MAX_USERS = 10_000
MAX_SITES = 1000
SITE_KINDS = ("PAGE", "STORE", "SMN", "KNOWLEDGE", "GROUP", "VIBE")
WORLD = ("app_url", "rotation", "kills_access", "oauth_down", "redirect_uri")


@route("GET", "/")
def about(request: ControlRequest) -> object:
    """What stands where, and what can be asked here."""
    routes = [
        {"verb": verb, "path": path, "words": (run.__doc__ or "").split("\n")[0]}
        for (verb, path), run in ROUTES.items()
    ]
    return {**description(request.world, request.portals), "routes": routes, "faults": KINDS}


@route("POST", "/tokens")
def tokens(request: ControlRequest) -> object:
    """A new pair for a user: {portal, user}."""
    return request.portal.tokens(request.who)


@route("POST", "/open")
def open_(request: ControlRequest) -> object:
    """The frame's POST as the portal would send it: {portal, user, install?, placement?, options? | link?, lang?}."""
    if "link" in request.values:
        url, form = request.portal.open_link(request.text("link"), request.who, request.text("lang") or None)
        return {"url": url, "form": form}
    options = dict(php.items(request.values.get("options"))) or None
    url, form = request.portal.open(
        request.who,
        request.flag("install"),
        request.text("placement", "DEFAULT") or "DEFAULT",
        options,
        request.text("lang") or None,
    )
    return {"url": url, "form": form}


@route("POST", "/expire")
def expire(request: ControlRequest) -> object:
    """Access tokens run out now: {portal?, user?, refresh?}; all portals when none is named."""
    handles = [request.portal] if "portal" in request.values else request.portals
    who = request.who if request.values.get("user") is not None else None
    act = [each.expire_refresh if request.flag("refresh") else each.expire for each in handles]
    return {"expired": sum(each(who) for each in act)}


@route("POST", "/scope")
def scope(request: ControlRequest) -> object:
    """What the administrator has granted: {portal, scopes: […]}."""
    request.portal.scope(request.names("scopes"))
    return {"scopes": request.names("scopes")}


@route("POST", "/rights")
def rights(request: ControlRequest) -> object:
    """A user's rights on a site, on all when none is named: {portal, user, site?, rights: […]}."""
    codes = request.names("rights")
    if strange := sorted(set(codes) - set(RIGHTS)):
        raise ValueError(f"unknown: {', '.join(strange)}; there are {', '.join(RIGHTS)}")
    request.portal.rights(request.who, request.site(), codes)
    return {"ok": True}


@route("POST", "/fault")
def fault(request: ControlRequest) -> object:
    """Something goes wrong for the next calls: {portal | "oauth", method, kind, times, …}."""
    where = request.values.get("portal", 0)
    place = php.text(where) if where in ("oauth", "*") else request.portal.index
    more = validation.fields(Fault, {"kind": "error", **request.rest("portal")}, but=("where", "struck", "id"))
    return asdict(request.world.faults.add(Fault(place, **more)))


@route("GET", "/faults")
def faults(request: ControlRequest) -> object:
    """What is armed."""
    return {"faults": request.world.faults.as_json(), "kinds": KINDS}


@route("POST", "/faults/clear")
def clear_faults(request: ControlRequest) -> object:
    """Disarm one fault or all: {id?}."""
    request.world.faults.clear(request.number("id") if "id" in request.values else None)
    return {"faults": request.world.faults.as_json()}


@route("POST", "/pages")
def pages(request: ControlRequest) -> object:
    """Make published pages: {portal, n, site?} → their lids."""
    number = request.number("n", 1)
    if not 1 <= number <= MAX_PAGES:
        raise ValueError(f"n is 1 to {MAX_PAGES}")
    return request.portal.add_pages(number, request.site())


@route("POST", "/sites")
def sites(request: ControlRequest) -> object:
    """Make sites, each with a published main page: {portal, n, type?, title?} → their ids."""
    number, kind = request.number("n", 1), request.text("type", "PAGE").upper()
    if not 1 <= number <= MAX_SITES:
        raise ValueError(f"n is 1 to {MAX_SITES}")
    if kind not in SITE_KINDS:
        raise ValueError(f"type is one of {', '.join(SITE_KINDS)}")
    return request.portal.add_sites(number, kind, request.text("title", "Site") or "Site")


@route("POST", "/page")
def page(request: ControlRequest) -> object:
    """Set fields of a page, as somebody in the editor does: {portal, lid, active?, public?, draft?, deleted? …}."""
    request.portal.change_page(request.lid(), **validation.fields(Page, request.rest("portal", "lid"), but=("id",)))
    return asdict(request.portal.page(request.lid()))


@route("POST", "/user")
def user(request: ControlRequest) -> object:
    """Set fields of a user: {portal, user, active?, may_use_app?, extranet?, opens_sites?, signed_in?, admin? …}."""
    request.portal.change_user(request.who, **validation.fields(User, request.rest("portal", "user"), but=("id",)))
    return asdict(request.portal.user(request.who))


@route("POST", "/users")
def users(request: ControlRequest) -> object:
    """Make colleagues who read: {portal, n} → their ids."""
    number = request.number("n", 1)
    if not 1 <= number <= MAX_USERS:
        raise ValueError(f"n is 1 to {MAX_USERS}")
    return request.portal.add_users(number)


@route("POST", "/forget")
def forget(request: ControlRequest) -> object:
    """Dismiss a user: {portal, user}; authorization_error from now on."""
    request.portal.forget_user(request.who)
    return {"ok": True}


@route("POST", "/install")
def install(request: ControlRequest) -> object:
    """Put the app on the portal anew, with its installer still to run: {portal}."""
    return {"ok": True, "sent": request.portal.install(request.who)}


@route("POST", "/finish")
def finish(request: ControlRequest) -> object:
    """What installFinish in the browser does: {portal, user?}."""
    return {"sent": request.portal.finish_install(request.who)}


@route("POST", "/user-ready")
def user_ready(request: ControlRequest) -> object:
    """Send ONAPPUSERREADY now: {portal, to?}; to the installer's address unless another one is named."""
    return {"sent": request.portal.user_ready(request.text("to"))}


@route("POST", "/webhook")
def webhook(request: ControlRequest) -> object:
    """One more inbound webhook: {portal, user?, scopes?} → its address."""
    scopes = request.names("scopes") if "scopes" in request.values else None
    return {"webhook": request.portal.add_webhook(request.who, scopes)}


@route("POST", "/rule")
def rule(request: ControlRequest) -> object:
    """Set up an automation rule as a person does, or change one: {portal, code, user?, values?, waits?, rule?}."""
    values = dict(php.items(request.values.get("values")))
    who, waits = request.who, request.flag("waits")
    if "rule" in request.values:
        request.portal.change_rule(request.number("rule"), waits, **values)
        return {"rule": request.number("rule")}
    return {"rule": request.portal.add_rule(request.text("code"), who, waits, **values)}


@route("POST", "/rule/remove")
def remove_rule(request: ControlRequest) -> object:
    """Take a rule away: {portal, rule}."""
    request.portal.remove_rule(request.number("rule"))
    return {"ok": True}


@route("POST", "/fire")
def fire(request: ControlRequest) -> object:
    """Let a rule come due for a deal: {portal, rule, document?}."""
    workflow = request.portal.fire(request.number("rule"), request.number("document", 77))
    return {"workflow": None if workflow is None else asdict(workflow)}


@route("GET", "/workflows")
def workflows(request: ControlRequest) -> object:
    """What has been fired, with state, log and returned values: ?portal=."""
    return {"workflows": [asdict(each) for each in request.portal.workflows()]}


@route("GET", "/notices")
def notices(request: ControlRequest) -> object:
    """What apps have put under people's bells: ?portal=&user=."""
    who = request.who if "user" in request.values else None
    return {"notices": [asdict(each) for each in request.portal.notices(who)]}


@route("POST", "/uninstall")
def uninstall(request: ControlRequest) -> object:
    """Remove the app: {portal, clean}."""
    return {"sent": request.portal.uninstall(request.flag("clean"))}


@route("POST", "/update")
def update(request: ControlRequest) -> object:
    """A new version of the app: {portal, scopes?}."""
    scopes = request.names("scopes") if "scopes" in request.values else None
    return {"sent": request.portal.update(scopes)}


@route("POST", "/event")
def event(request: ControlRequest) -> object:
    """Send an event to its bound handlers: {portal, event, values?, user?}."""
    name = request.text("event").upper()
    if name not in EVENTS:
        raise ValueError(f"event is one of {', '.join(EVENTS)}")
    return {"sent": request.portal.send(name, dict(php.items(request.values.get("values"))), request.who)}


@route("POST", "/event-queue")
def event_queue(request: ControlRequest) -> object:
    """How events travel: {delay?, lose?, twice?, hold?, slow_seconds?}; a handler slower than that is called less."""
    queue = request.world.event_queue
    with request.world.lock:
        queue.delay = request.seconds("delay", queue.delay)
        queue.lose = request.number("lose", queue.lose)
        queue.twice = request.number("twice", queue.twice)
        queue.hold = request.flag("hold", queue.hold)
        queue.slow_seconds = request.seconds("slow_seconds", queue.slow_seconds)
        return _queue_values(queue)


def _queue_values(queue: EventQueue) -> dict[str, object]:
    return {
        "delay": queue.delay,
        "lose": queue.lose,
        "twice": queue.twice,
        "hold": queue.hold,
        "slow_seconds": queue.slow_seconds,
        "held": len(queue.held),
    }


@route("POST", "/release")
def release(request: ControlRequest) -> object:
    """Let held events go: {backwards?}."""
    with request.world.lock:
        return {"sent": events.release(request.world, request.flag("backwards"))}


@route("POST", "/payment")
def payment(request: ControlRequest) -> object:
    """The paid period ends or begins: {portal, expired, status?, days?}; ONAPPPAYMENT is sent."""
    with request.world.lock:
        portal = request.portal.state
        portal.switches.payment_expired = False
        sent = events.paid(
            request.world, portal, request.text("status", "S"), request.flag("expired"), request.number("days")
        )
        portal.switches.payment_expired = request.flag("expired")
    return {"sent": sent}


@route("GET", "/switches")
def switches(request: ControlRequest) -> object:
    """Every switch of a portal with its words: ?portal=."""
    return {"switches": request.portal.state.switches.described()}


@route("POST", "/switch")
def switch(request: ControlRequest) -> object:
    """Turn switches: {portal, <name>: <value>, …}, or one as {portal, name, value}."""
    given = request.rest("portal")
    request.portal.switch(**({request.text("name"): request.values.get("value")} if "name" in given else given))
    return {"switches": request.portal.state.switches.described()}


@route("POST", "/world")
def world(request: ControlRequest) -> object:
    """What holds for all portals: {app_url?, rotation?, kills_access?, oauth_down?, redirect_uri?}."""
    found = request.world
    if strange := sorted(request.values.keys() - set(WORLD)):
        raise ValueError(f"unknown: {', '.join(strange)}; there are {', '.join(WORLD)}")
    for name in ("app_url", "redirect_uri"):
        if (address := request.text(name)) and not is_address(address):
            raise ValueError(f"{name} is an address such as http://127.0.0.1:8100, not {address!r}")
    if "app_url" in request.values and not request.text("app_url"):
        raise ValueError("app_url cannot be empty")
    if request.text("rotation", found.rotation) not in ("strict", "grace", "none"):
        raise ValueError("rotation is strict, grace or none")
    with found.lock:
        found.application.url = request.text("app_url", found.application.url)
        found.rotation = request.text("rotation", found.rotation)
        found.application.redirect_uri = request.text("redirect_uri", found.application.redirect_uri)
        found.kills_access = request.flag("kills_access", found.kills_access)
        found.oauth_down = request.flag("oauth_down", found.oauth_down)
        return _for_all(found)


def is_address(text: str) -> bool:
    """Whether this is http or https with a host."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _for_all(found: World) -> dict[str, object]:
    return {
        "app_url": found.application.url,
        "rotation": found.rotation,
        "kills_access": found.kills_access,
        "oauth_down": found.oauth_down,
        "redirect_uri": found.application.redirect_uri,
    }


@route("POST", "/clock")
def clock(request: ControlRequest) -> object:
    """The stand-in's time: pushed on, and how fast it goes: {advance?: seconds, scale?}; both hold until a reset."""
    found = request.world.clock
    if (scale := request.seconds("scale", found.scale)) <= 0:
        raise ValueError("scale is more than 0")
    with request.world.lock:
        found.run(scale)
        found.advance(request.seconds("advance", 0.0))
    return {"now": found.now(), "scale": found.scale}


@route("POST", "/rename")
def rename(request: ControlRequest) -> object:
    """Move a portal to a new address; the old one answers 302: {portal}."""
    return {"url": request.portal.rename()}


@route("GET", "/state")
def state(request: ControlRequest) -> object:
    """What all portals hold now, or everything of one: ?portal=."""
    world = request.world
    with world.lock:
        if "portal" in request.values:
            return _whole(request.portal.state)
        return {
            "portals": [_summary(each) for each in world.portals],
            "faults": world.faults.as_json(),
            "fault_kinds": KINDS,
            "world": _for_all(world),
            "event_queue": _queue_values(world.event_queue),
            "now": world.clock.now(),
        }


def _summary(portal: Portal) -> dict[str, object]:
    """A portal for the control panel: people with their rights, what is granted, the switches."""
    sites = [each for each in portal.sites.values() if not each.deleted]
    installation = portal.installation
    return {
        "title": portal.title,
        "url": portal.url,
        "installed": installation is not None,
        "finished": installation is not None and installation.finished,
        "scope": installation.scope if installation else [],
        "users": [_person(portal, user, sites) for user in portal.people],
        "sites": [{"id": each.id, "title": each.title, "type": each.type} for each in sites],
        "switches": portal.switches.described(),
        "notifications": [asdict(each) for each in portal.notifications],
    }


def _person(portal: Portal, user: User, sites: list[Site]) -> dict[str, object]:
    return {
        "id": user.id,
        "name": user.full_name,
        "role": user.role,
        "admin": user.admin,
        "active": user.active,
        "may_use_app": user.may_use_app,
        "rights": {str(site.id): rights_on(portal, user, site) for site in sites},
    }


def _whole(portal: Portal) -> dict[str, object]:
    return {
        "title": portal.title,
        "url": portal.url,
        "member_id": portal.member_id,
        "users": [asdict(each) for each in portal.users.values()],
        "sites": [asdict(each) for each in portal.sites.values()],
        "folders": [asdict(each) for each in portal.folders.values()],
        "pages": [asdict(each) for each in portal.pages.values()],
        "rights": portal.rights,
        "default_rights": portal.default_rights,
        "installation": None if portal.installation is None else asdict(portal.installation),
        "notifications": [asdict(each) for each in portal.notifications],
        "switches": portal.switches.described(),
    }


@route("GET", "/truth")
def truth(request: ControlRequest) -> object:
    """What was asked, when, how many at once, and what changed twice: ?after=n&limit=m."""
    limit = request.number("limit") if "limit" in request.values else None
    return request.world.recorder.as_json(request.number("after"), limit) | {"now": request.world.clock.now()}


@route("POST", "/reset")
def reset(request: ControlRequest) -> object:
    """Everything as at the start: sample data, no tokens, no faults."""
    samples.reset(request.world)
    return {"ok": True}
