"""The routes of the control API, one function each."""

from __future__ import annotations

from dataclasses import asdict

from sandbox import events, given, php
from sandbox.control import ROUTES, Order, route
from sandbox.faults import KINDS, Fault
from sandbox.landing import rights as rights_on
from sandbox.users import EVENTS
from sandbox.world import RIGHTS, Page, Portal, PostOffice, Site, User, World

MAX_PAGES = 100_000
MAX_USERS = 10_000


@route("GET", "/")
def about(order: Order) -> object:
    """What stands where, and what can be asked here."""
    routes = [
        {"verb": verb, "path": path, "words": (run.__doc__ or "").split("\n")[0]}
        for (verb, path), run in ROUTES.items()
    ]
    return {**order.standin.described(), "routes": routes, "faults": KINDS}


@route("POST", "/tokens")
def tokens(order: Order) -> object:
    """A new pair for a user: {portal, user}."""
    return order.portal.tokens(order.who)


@route("POST", "/open")
def open_(order: Order) -> object:
    """The frame's POST as the portal would send it: {portal, user, install?, placement?, options?, lang?}."""
    options = dict(php.items(order.values.get("options"))) or None
    url, form = order.portal.open(
        order.who,
        order.flag("install"),
        order.text("placement", "DEFAULT") or "DEFAULT",
        options,
        order.text("lang") or None,
    )
    return {"url": url, "form": form}


@route("POST", "/expire")
def expire(order: Order) -> object:
    """Access tokens run out now: {portal?, user?, refresh?}; all portals when none is named."""
    handles = [order.portal] if "portal" in order.values else order.standin.portals
    who = order.who if order.values.get("user") is not None else None
    act = [each.expire_refresh if order.flag("refresh") else each.expire for each in handles]
    return {"expired": sum(each(who) for each in act)}


@route("POST", "/scope")
def scope(order: Order) -> object:
    """What the administrator has granted: {portal, scopes: […]}."""
    order.portal.scope(order.names("scopes"))
    return {"scopes": order.names("scopes")}


@route("POST", "/rights")
def rights(order: Order) -> object:
    """A user's rights on a site, on all when none is named: {portal, user, site?, rights: […]}."""
    codes = order.names("rights")
    if strange := sorted(set(codes) - set(RIGHTS)):
        raise ValueError(f"unknown: {', '.join(strange)}; there are {', '.join(RIGHTS)}")
    order.portal.rights(order.who, order.site(), codes)
    return {"ok": True}


@route("POST", "/fault")
def fault(order: Order) -> object:
    """Something goes wrong for the next calls: {portal | "oauth", method, kind, times, …}."""
    where = order.values.get("portal", 0)
    place = php.text(where) if where in ("oauth", "*") else order.portal.index
    more = given.fields(Fault, {"kind": "error", **order.rest("portal")}, but=("where", "struck", "id"))
    return asdict(order.standin.world.faults.add(Fault(place, **more)))


@route("GET", "/faults")
def faults(order: Order) -> object:
    """What is armed."""
    return {"faults": order.standin.world.faults.as_json(), "kinds": KINDS}


@route("POST", "/faults/clear")
def clear_faults(order: Order) -> object:
    """Disarm one fault or all: {id?}."""
    order.standin.world.faults.clear(order.number("id") if "id" in order.values else None)
    if "id" not in order.values:
        order.standin.clear_faults()
    return {"faults": order.standin.world.faults.as_json()}


@route("POST", "/pages")
def pages(order: Order) -> object:
    """Make published pages: {portal, n, site?} → their lids."""
    number = order.number("n", 1)
    if not 1 <= number <= MAX_PAGES:
        raise ValueError(f"n is 1 to {MAX_PAGES}")
    return order.portal.add_pages(number, order.site())


@route("POST", "/page")
def page(order: Order) -> object:
    """Set fields of a page, as somebody in the editor does: {portal, lid, active?, public?, draft?, deleted? …}."""
    order.portal.change_page(order.lid(), **given.fields(Page, order.rest("portal", "lid"), but=("id",)))
    return asdict(order.portal.page(order.lid()))


@route("POST", "/user")
def user(order: Order) -> object:
    """Set fields of a user: {portal, user, active?, may_use_app?, extranet?, opens_sites?, signed_in?, admin? …}."""
    order.portal.change_user(order.who, **given.fields(User, order.rest("portal", "user"), but=("id",)))
    return asdict(order.portal.user(order.who))


@route("POST", "/users")
def users(order: Order) -> object:
    """Make colleagues who read: {portal, n} → their ids."""
    number = order.number("n", 1)
    if not 1 <= number <= MAX_USERS:
        raise ValueError(f"n is 1 to {MAX_USERS}")
    return order.portal.add_users(number)


@route("POST", "/forget")
def forget(order: Order) -> object:
    """Dismiss a user: {portal, user}; authorization_error from now on."""
    order.portal.forget_user(order.who)
    return {"ok": True}


@route("POST", "/install")
def install(order: Order) -> object:
    """Put the app on the portal anew, with its installer still to run: {portal}."""
    order.portal.install()
    return {"ok": True}


@route("POST", "/finish")
def finish(order: Order) -> object:
    """What installFinish in the browser does: {portal, user?}."""
    return {"sent": order.portal.finish_install(order.who)}


@route("POST", "/uninstall")
def uninstall(order: Order) -> object:
    """Remove the app: {portal, clean}."""
    return {"sent": order.portal.uninstall(order.flag("clean"))}


@route("POST", "/update")
def update(order: Order) -> object:
    """A new version of the app: {portal, scopes?}."""
    scopes = order.names("scopes") if "scopes" in order.values else None
    return {"sent": order.portal.update(scopes)}


@route("POST", "/event")
def event(order: Order) -> object:
    """Send an event to its bound handlers: {portal, event, values?, user?}."""
    name = order.text("event").upper()
    if name not in EVENTS:
        raise ValueError(f"event is one of {', '.join(EVENTS)}")
    return {"sent": order.portal.send(name, dict(php.items(order.values.get("values"))), order.who)}


@route("POST", "/post")
def post(order: Order) -> object:
    """How events travel: {delay?, lose?, twice?, hold?}; seconds, the next so many, and whether to hold them back."""
    office = order.standin.world.post
    with order.standin.world.lock:
        office.delay = order.seconds("delay", office.delay)
        office.lose = order.number("lose", office.lose)
        office.twice = order.number("twice", office.twice)
        office.hold = order.flag("hold", office.hold)
        return _post_office(office)


def _post_office(office: PostOffice) -> dict[str, object]:
    return {
        "delay": office.delay,
        "lose": office.lose,
        "twice": office.twice,
        "hold": office.hold,
        "held": len(office.held),
    }


@route("POST", "/release")
def release(order: Order) -> object:
    """Let held events go: {backwards?}."""
    with order.standin.world.lock:
        return {"sent": events.release(order.standin.world, order.flag("backwards"))}


@route("POST", "/payment")
def payment(order: Order) -> object:
    """The paid period ends or begins: {portal, expired, status?, days?}; ONAPPPAYMENT is sent."""
    with order.standin.world.lock:
        portal = order.portal.state
        portal.switches.payment_expired = False
        sent = events.paid(
            order.standin.world, portal, order.text("status", "S"), order.flag("expired"), order.number("days")
        )
        portal.switches.payment_expired = order.flag("expired")
    return {"sent": sent}


@route("GET", "/switches")
def switches(order: Order) -> object:
    """Every switch of a portal with its words: ?portal=."""
    return {"switches": order.portal.state.switches.described()}


@route("POST", "/switch")
def switch(order: Order) -> object:
    """Turn switches: {portal, <name>: <value>, …}, or one as {portal, name, value}."""
    given = order.rest("portal")
    order.portal.switch(**({order.text("name"): order.values.get("value")} if "name" in given else given))
    return {"switches": order.portal.state.switches.described()}


@route("POST", "/world")
def world(order: Order) -> object:
    """What holds for all portals: {app_url?, rotation?, kills_access?, oauth_down?, redirect_uri?}."""
    found = order.standin.world
    if order.text("rotation", found.rotation) not in ("strict", "grace", "none"):
        raise ValueError("rotation is strict, grace or none")
    with found.lock:
        found.application.url = order.text("app_url", found.application.url)
        found.rotation = order.text("rotation", found.rotation)
        found.redirect_uri = order.text("redirect_uri", found.redirect_uri)
        found.kills_access = order.flag("kills_access", found.kills_access)
        found.oauth_down = order.flag("oauth_down", found.oauth_down)
        return _for_all(found)


def _for_all(found: World) -> dict[str, object]:
    return {
        "app_url": found.application.url,
        "rotation": found.rotation,
        "kills_access": found.kills_access,
        "oauth_down": found.oauth_down,
        "redirect_uri": found.redirect_uri,
    }


@route("POST", "/clock")
def clock(order: Order) -> object:
    """The stand-in's time: pushed on, and how fast it goes: {advance?: seconds, scale?}; both hold until a reset."""
    found = order.standin.world.clock
    if (scale := order.seconds("scale", found.scale)) <= 0:
        raise ValueError("scale is more than 0")
    with order.standin.world.lock:
        found.run(scale)
        found.advance(order.seconds("advance", 0.0))
    return {"now": found.now(), "scale": found.scale}


@route("POST", "/rename")
def rename(order: Order) -> object:
    """Move a portal to a new address; the old one answers 302: {portal}."""
    return {"url": order.portal.rename()}


@route("GET", "/state")
def state(order: Order) -> object:
    """What all portals hold now, or everything of one: ?portal=."""
    standin = order.standin
    with standin.world.lock:
        if "portal" in order.values:
            return _whole(order.portal.state)
        return {
            "portals": [_summary(each) for each in standin.world.portals],
            "faults": standin.world.faults.as_json(),
            "fault_kinds": KINDS,
            "world": _for_all(standin.world),
            "post": _post_office(standin.world.post),
            "now": standin.world.clock.now(),
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
        "users": [_person(portal, user, sites) for user in portal.users.values()],
        "sites": [{"id": each.id, "title": each.title, "type": each.type} for each in sites],
        "switches": portal.switches.described(),
        "notifications": list(portal.notifications),
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
        "notifications": list(portal.notifications),
        "switches": portal.switches.described(),
    }


@route("GET", "/truth")
def truth(order: Order) -> object:
    """What was asked, when, how many at once, and what changed twice: ?after=n&limit=m."""
    limit = order.number("limit") if "limit" in order.values else None
    return order.standin.world.truth.as_json(order.number("after"), limit) | {"now": order.standin.world.clock.now()}


@route("POST", "/reset")
def reset(order: Order) -> object:
    """Everything as at the start: sample data, no tokens, no faults."""
    order.standin.reset()
    return {"ok": True}
