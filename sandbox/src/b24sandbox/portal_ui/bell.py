"""What the bell of a portal's page asks: someone's notices, that they were read, what a link in one opens (12.5)."""

from __future__ import annotations

from urllib.parse import urlsplit

from b24sandbox.protocol import php
from b24sandbox.protocol.frame import json_object, link_of, no_object
from b24sandbox.server.http import Request, Response, reply
from b24sandbox.state.world import Portal, World

PATH = "/_standin/notices"
SHOWN = 50


def answer(world: World, portal: Portal, request: Request) -> Response:
    """GET: the notices of `user`, newest first. POST `{user}`: all of them are read; `{link}`: what it opens."""
    if request.verb == "POST":
        return _posted(world, portal, request)
    try:
        who = portal.user_named(php.text(php.parse(request.query).get("user")) or 1).id
    except (KeyError, ValueError) as error:
        return reply({"error": "invalid", "detail": str(error)}, 400)
    with world.lock:
        mine = [each for each in reversed(portal.notifications) if each.user == who]
        rows = [
            {"id": each.id, "title": each.title, "message": each.message, "at": each.at, "read": each.read}
            for each in mine[:SHOWN]
        ]
        return reply({"unread": sum(not each.read for each in mine), "notices": rows})


def _posted(world: World, portal: Portal, request: Request) -> Response:
    body = json_object(request)
    if body is None:
        return no_object()
    with world.lock:
        if "link" in body:
            parts = urlsplit(php.text(body["link"]))
            found = link_of(world, parts.path, parts.query)
            if found is None:
                return reply({"error": "no_link"}, 404)
            return reply({"app": found.app, "placement": found.placement, "options": found.options})
        for each in portal.notifications:
            each.read = each.read or each.user == php.integer(body.get("user"))
    return reply({"unread": 0})
