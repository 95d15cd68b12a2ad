"""Section 3: events as real form posts from Bitrix24's queue: asynchronous, unordered, never tried again.

Nothing is sent before `installFinish`, nor while the payment has run out, uninstall included (3.2).
"""

from __future__ import annotations

import ssl
import threading
import urllib.error
import urllib.request
from urllib.parse import urlencode

from b24sandbox.protocol import php
from b24sandbox.state.recorder import Sent
from b24sandbox.state.world import Delivery, EventQueue, Installation, Portal, World

TIMEOUT_SECONDS = 10
EVENTS = ("ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL", "ONAPPPAYMENT", "ONAPPMETHODCONFIRM", "ONAPPTEST")
WITH_TOKENS = ("ONAPPINSTALL", "ONAPPUPDATE")


def emit(
    world: World, portal: Portal, event: str, values: dict[str, object], user_id: int = 1, force: bool = False
) -> int:
    """Put an event on its way to every handler bound to it; how many there are. Hold the lock."""
    installation = portal.installation
    if installation is None or not (force or (installation.finished and not portal.switches.payment_expired)):
        return 0
    if portal.switches.offline and not force:
        return 0
    handlers = [each for each in installation.bindings if each.event == event and not each.offline]
    for binding in handlers:
        form = envelope(world, portal, installation, event, binding.id, values, binding.user_id or user_id)
        dispatch(world, Delivery(portal.index, event, binding.handler, form))
    return len(handlers)


def envelope(
    world: World,
    portal: Portal,
    installation: Installation,
    event: str,
    handler_id: int,
    values: dict[str, object],
    user_id: int,
) -> list[tuple[str, str]]:
    """3.1: bracketed keys, every value text; tokens only with ONAPPINSTALL and ONAPPUPDATE."""
    auth: dict[str, object] = {}
    if event in WITH_TOKENS:
        token = world.issue(portal, user_id)
        separator = "," if portal.switches.scope_in_events == "comma" else " "
        auth = {
            "access_token": token.access,
            "expires": int(token.expires_at),
            "expires_in": int(token.expires_at - token.issued_at),
            "scope": separator.join(token.scope),
            "status": installation.status,
            "user_id": user_id,
            "refresh_token": token.refresh,
        }
    auth |= {
        "domain": portal.domain,
        "server_endpoint": f"{world.server_of(portal)}/rest/",
        "client_endpoint": portal.endpoint,
        "member_id": portal.member_id,
    }
    if event != "ONAPPPAYMENT" or portal.switches.payment_token:
        auth["application_token"] = installation.application_token
    return php.flatten(
        {"event": event, "event_handler_id": handler_id, "data": values, "ts": int(world.clock.now()), "auth": auth}
    )


def dispatch(world: World, delivery: Delivery) -> None:
    """Hand a delivery to the post as it is told to travel: lost, held, twice, late."""
    post = world.event_queue
    if post.lose > 0:
        post.lose -= 1
        return
    copies = 2 if post.twice > 0 else 1
    post.twice -= copies - 1
    for _ in range(copies):
        if post.hold:
            post.held.append(delivery)
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
        if delay:
            world.clock.sleep(delay)
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


def _opener() -> urllib.request.OpenerDirector:
    """Straight to the address, whatever proxy the surroundings name; an app under test may have its own certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))


def installed(world: World, portal: Portal, user_id: int = 1) -> int:
    installation = portal.installation
    version = installation.version if installation else 1
    values = {"VERSION": version, "ACTIVE": "Y", "INSTALLED": "Y", "LANGUAGE_ID": portal.lang}
    return emit(world, portal, "ONAPPINSTALL", values, user_id)


def updated(world: World, portal: Portal) -> int:
    """A new version: ONAPPUPDATE goes out, then the handlers are dropped and the installer runs again.

    Whether a real portal sends it is open: the source has no live caller (3.2).
    """
    installation = portal.installation
    if installation is None:
        return 0
    before = installation.version
    installation.version += 1
    number = emit(
        world, portal, "ONAPPUPDATE", {"VERSION": before + 1, "PREVIOUS_VERSION": before, "LANGUAGE_ID": portal.lang}
    )
    installation.bindings.clear()
    installation.finished = False
    return number


def uninstalled(world: World, portal: Portal, clean: bool) -> int:
    """The app is removed: the event without any token, and nothing of the installation is left."""
    number = emit(world, portal, "ONAPPUNINSTALL", {"CLEAN": int(clean), "LANGUAGE_ID": portal.lang})
    portal.installation = None
    return number


def paid(world: World, portal: Portal, status: str, expired: bool, days: int) -> int:
    values = {
        "CODE": world.application.client_id,
        "VERSION": portal.installation.version if portal.installation else 1,
        "STATUS": status,
        "PAYMENT_EXPIRED": "Y" if expired else "N",
        "DAYS": days,
        "LANGUAGE_ID": portal.lang,
    }
    return emit(world, portal, "ONAPPPAYMENT", values)
