"""Section 3: events as real form posts from Bitrix24's queue: asynchronous, unordered, never tried again.

Nothing is sent before `installFinish`, nor while the payment has run out, uninstall included (3.2). What can be
bound is registered here or by whoever adds methods: `register_event`.
"""

from __future__ import annotations

import ssl
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from b24sandbox.protocol import php
from b24sandbox.state import samples
from b24sandbox.state.recorder import Sent
from b24sandbox.state.world import Delivery, EventQueue, Installation, OfflineEvent, Portal, User, World

TIMEOUT_SECONDS = 10
RESTED = 10
DEPTH = 7  # after so many generations of events caused by events the portal sends no more (3.3)


@dataclass(frozen=True)
class EventKind:
    """An event that apps can bind; `scope` is what the token needs, `tokens` what its envelope carries."""

    name: str
    scope: str = ""
    tokens: Literal["none", "access", "both"] = "access"


EVENTS: dict[str, EventKind] = {}


def register_event(name: str, scope: str = "", tokens: Literal["none", "access", "both"] = "access") -> EventKind:
    """Let apps bind an event of this name; `emit` (or `MethodCall.emit`) sends it."""
    kind = EVENTS[name.upper()] = EventKind(name.upper(), scope, tokens)
    return kind


for _name in ("ONAPPINSTALL", "ONAPPUPDATE"):
    register_event(_name, tokens="both")
for _name in ("ONAPPUNINSTALL", "ONAPPPAYMENT", "ONAPPMETHODCONFIRM"):
    register_event(_name, tokens="none")
register_event("ONAPPTEST")
register_event("ONOFFLINEEVENT", tokens="none")


def emit(
    world: World,
    portal: Portal,
    event: str,
    values: dict[str, object],
    user_id: int = 1,
    force: bool = False,
    app: int | None = 0,
    depth: int = 0,
) -> int:
    """Put an event on its way to every handler bound to it; how many there are. Hold the lock.

    app    the place of the application that is told; None: every one on this portal
    depth  how many events led to this one; from the seventh on nothing is sent
    """
    if depth >= DEPTH or (portal.switches.offline and not force):
        return 0
    places = list(portal.installations) if app is None else [app]
    return sum(_emit(world, portal, place, event, values, user_id, force, depth) for place in places)


def _emit(
    world: World,
    portal: Portal,
    app: int,
    event: str,
    values: dict[str, object],
    user_id: int,
    force: bool,
    depth: int,
) -> int:
    installation = portal.installations.get(app)
    if installation is None or not (force or (installation.finished and not portal.switches.payment_expired)):
        return 0
    online = 0
    for binding in [each for each in installation.bindings if each.event == event]:
        if binding.offline:
            _keep_offline(world, portal, installation, event, values)
            continue
        form = envelope(world, portal, installation, event, binding.id, values, binding.user_id or user_id, app, depth)
        dispatch(world, Delivery(portal.index, event, binding.handler, form, app))
        online += 1
    return online


def _keep_offline(
    world: World, portal: Portal, installation: Installation, event: str, values: dict[str, object]
) -> None:
    """An offline event waits for `event.offline.get`; the same event with the same data is kept once."""
    kept = installation.offline
    kept[:] = [each for each in kept if each.process_id or (each.event, each.values) != (event, values)]
    kept.append(OfflineEvent(portal.fresh_id(), event, values, world.clock.now()))


def envelope(
    world: World,
    portal: Portal,
    installation: Installation,
    event: str,
    handler_id: int,
    values: dict[str, object],
    user_id: int,
    app: int = 0,
    depth: int = 0,
) -> list[tuple[str, str]]:
    """3.1: bracketed keys, every value text; refresh tokens only with ONAPPINSTALL and ONAPPUPDATE."""
    kind = EVENTS.get(event, EventKind(event))
    auth = {} if kind.tokens == "none" else tokens_of(world, portal, user_id, kind.tokens == "both", app, depth + 1)
    auth |= whereabouts(world, portal)
    if event != "ONAPPPAYMENT" or portal.switches.payment_token:
        auth["application_token"] = installation.application_token
    return php.flatten(
        {"event": event, "event_handler_id": handler_id, "data": values, "ts": int(world.clock.now()), "auth": auth}
    )


def tokens_of(
    world: World, portal: Portal, user_id: int, refresh: bool, app: int = 0, depth: int = 0
) -> dict[str, object]:
    """A new chain for a user as an envelope prints it."""
    token = world.issue(portal, user_id, app=app, depth=depth)
    installation = portal.installations.get(app)
    separator = "," if portal.switches.scope_in_events == "comma" else " "
    return {
        "access_token": token.access,
        "expires": int(token.expires_at),
        "expires_in": int(token.expires_at - token.issued_at),
        "scope": separator.join(token.scope),
        "status": installation.status if installation else "F",
        "user_id": user_id,
        **({"refresh_token": token.refresh} if refresh else {}),
    }


def whereabouts(world: World, portal: Portal) -> dict[str, object]:
    """Which portal speaks, as every envelope says it."""
    return {
        "domain": portal.domain,
        "server_endpoint": f"{world.server_of(portal)}/rest/",
        "client_endpoint": portal.endpoint,
        "member_id": portal.member_id,
    }


def dispatch(world: World, delivery: Delivery) -> None:
    """Hand a delivery to the queue as it is told to travel: lost, held, twice, late."""
    queue = world.event_queue
    if queue.lose > 0:
        queue.lose -= 1
        return
    copies = 2 if queue.twice > 0 else 1
    queue.twice -= copies - 1
    for _ in range(copies):
        if queue.hold:
            queue.held.append(delivery)
        else:
            _send(world, delivery)


def release(world: World, backwards: bool = False) -> int:
    """Let what was held go, in order or last first; how many. Hold the lock."""
    queue = world.event_queue
    held = queue.held[::-1] if backwards else queue.held[:]
    queue.held.clear()
    queue.under_way += len(held)

    def walk() -> None:
        for delivery in held:  # one after the other, so that the order is what was asked for
            deliver(world, queue, delivery)

    if held:
        threading.Thread(target=walk, daemon=True, name="stand-in events").start()
    return len(held)


def _send(world: World, delivery: Delivery) -> None:
    queue = world.event_queue
    queue.under_way += 1
    delay = queue.delay

    def run() -> None:
        pause = delay + max(0.0, queue.rested.get(delivery.handler, 0.0) - world.clock.now())
        if pause:
            world.clock.sleep(pause)
        deliver(world, queue, delivery)

    threading.Thread(target=run, daemon=True, name="stand-in events").start()


def deliver(world: World, queue: EventQueue, delivery: Delivery) -> None:
    """One post, once: an error is written down and the event is gone (3.3). After a reset nothing of before is sent."""
    if world.event_queue is not queue:
        return
    sent = Sent(delivery.portal, delivery.event, delivery.handler, world.clock.now())
    world.recorder.sent.append(sent)
    request = urllib.request.Request(  # noqa: S310 -- the scheme was checked when the handler was bound
        delivery.handler,
        urlencode(delivery.form).encode(),
        {"Content-Type": "application/x-www-form-urlencoded", "User-Agent": "Bitrix24"},
    )
    began = world.clock.now()
    try:
        with _opener().open(request, timeout=TIMEOUT_SECONDS) as answer:
            sent.status = answer.status
            answer.read(1000)
    except urllib.error.HTTPError as error:
        sent.status = error.code
        error.close()
    except (OSError, ValueError) as error:
        sent.problem = type(error).__name__
    finally:
        with world.lock:
            queue.under_way -= 1
            _rest_slow(world, queue, delivery.handler, began)


def _rest_slow(world: World, queue: EventQueue, handler: str, began: float) -> None:
    """A handler slower than `slow_seconds` is called less often: the next event waits ten times as long as it took."""
    now = world.clock.now()
    if queue.slow_seconds and now - began > queue.slow_seconds:
        queue.rested[handler] = now + RESTED * (now - began)


def _opener() -> urllib.request.OpenerDirector:
    """Straight to the address, whatever proxy the surroundings name; an app under test may have its own certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without the authorities, which take longer than all else here
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))


def installed(world: World, portal: Portal, user_id: int = 1, app: int = 0) -> int:
    """The installation has succeeded: ONAPPINSTALL to the handlers; how many of them. ONAPPUSERREADY to the installer.

    An app without pages is told at the installer's address, whether it has bound anything or not.
    """
    installation = portal.installations.get(app)
    if installation is None:
        return 0
    installation.installed_by = user_id
    if portal.switches.user_ready == "before":
        user_ready(world, portal, app)
    values = {"VERSION": installation.version, "ACTIVE": "Y", "INSTALLED": "Y", "LANGUAGE_ID": portal.lang}
    quiet = installation.updated and not portal.switches.install_event_after_update
    installation.updated = False
    told = 0 if quiet else emit(world, portal, "ONAPPINSTALL", values, user_id, app=app)
    card = world.applications[app]
    if card.api_only and not portal.switches.offline:
        form = envelope(world, portal, installation, "ONAPPINSTALL", portal.fresh_id(), values, user_id, app)
        dispatch(world, Delivery(portal.index, "ONAPPINSTALL", card.installer, form, app))
        told += 1
    if portal.switches.user_ready == "after":
        user_ready(world, portal, app)
    return told


def user_ready(world: World, portal: Portal, app: int = 0, address: str = "") -> int:
    """11.1: the app's system user is there; posted to the installer's address, unasked. Hold the lock."""
    installation = portal.installations.get(app)
    if installation is None or portal.switches.offline or portal.switches.payment_expired:
        return 0
    form = user_ready_form(world, portal, installation, app)
    handler = address or world.applications[app].installer
    dispatch(world, Delivery(portal.index, "ONAPPUSERREADY", handler, form, app))
    return 1


def user_ready_form(world: World, portal: Portal, installation: Installation, app: int = 0) -> list[tuple[str, str]]:
    """The envelope of ONAPPUSERREADY: the system user's tokens in `data`, those of who installed the app in `auth`."""
    user = system_user(world, portal, installation, app)
    tokens = tokens_of(world, portal, user.id, True, app, 1)
    server = world.server_of(portal)
    data = {
        **{name: tokens[name] for name in ("access_token", "refresh_token", "expires_in", "scope")},
        "domain": server.partition("://")[2],
        "server_endpoint": f"{server}/rest/",
        "client_endpoint": portal.endpoint,
        "member_id": portal.member_id,
        "user_id": user.id,
        "client_id": world.applications[app].client_id,
        "status": installation.status,
        "LANGUAGE_ID": portal.lang,
    }
    auth = {
        **tokens_of(world, portal, installation.installed_by, True, app, 1),
        **whereabouts(world, portal),
        "application_token": installation.application_token,
    }
    return php.flatten(
        {
            "event": "ONAPPUSERREADY",
            "event_handler_id": portal.fresh_id(),
            "data": data,
            "ts": int(world.clock.now()),
            "auth": auth,
        }
    )


def system_user(world: World, portal: Portal, installation: Installation, app: int = 0) -> User:
    """The application's own user on this portal: made at the first installation, revived at later ones (11.1).

    It has the installer's zone and, of rights, what an ordinary employee has; no list shows it.
    """
    known = [user for user in portal.users.values() if user.system_of == app]
    if known:
        user = known[0]
        user.active = True
    else:
        zone = portal.users[installation.installed_by].time_zone
        name = world.applications[app].title
        user = User(max(portal.users) + 1, name, "", f"system {app}", "", time_zone=zone, system_of=app)
        portal.users[user.id] = user
        portal.default_rights[user.id] = ["read"]
    installation.system_user = user.id
    return user


def updated(world: World, portal: Portal, app: int = 0) -> int:
    """A new version: ONAPPUPDATE goes out, registrations are dropped and the installer runs again (11.2).

    Whether a real portal sends the event is open: the source has no live caller (3.2). Options are kept.
    """
    installation = portal.installations.get(app)
    if installation is None:
        return 0
    before = installation.version
    installation.version += 1
    values = {"VERSION": before + 1, "PREVIOUS_VERSION": before, "LANGUAGE_ID": portal.lang}
    number = emit(world, portal, "ONAPPUPDATE", values, app=app) if portal.switches.update_event else 0
    installation.drop_registrations()
    samples.bind_card(world, portal, app)
    installation.updated = True
    installation.finished = not world.applications[app].has_installer
    return number


def uninstalled(world: World, portal: Portal, clean: bool, app: int = 0) -> int:
    """The app is removed: the event without any token, and nothing of the installation is left."""
    number = emit(world, portal, "ONAPPUNINSTALL", {"CLEAN": int(clean), "LANGUAGE_ID": portal.lang}, app=app)
    portal.installations.pop(app, None)
    for user in portal.users.values():
        if user.system_of == app:
            user.active = False
    return number


def paid(world: World, portal: Portal, status: str, expired: bool, days: int, app: int = 0) -> int:
    installation = portal.installations.get(app)
    values = {
        "CODE": world.applications[app].client_id,
        "VERSION": installation.version if installation else 1,
        "STATUS": status,
        "PAYMENT_EXPIRED": "Y" if expired else "N",
        "DAYS": days,
        "LANGUAGE_ID": portal.lang,
    }
    return emit(world, portal, "ONAPPPAYMENT", values, app=app)
