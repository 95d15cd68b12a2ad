"""Whatever an app sends, the stand-in answers: with a refusal of the protocol, never with a broken connection."""

from __future__ import annotations

import json
import socket

import pytest

from b24sandbox.protocol.registry import rest_method

JUNK: tuple[object, ...] = (
    None,
    "",
    0,
    -1,
    True,
    [],
    {},
    "x",
    "²",
    10**30,
    1.5,
    [1],
    {"a": {"b": []}},
    ["x", {"y": 1}],
    "$result[a]",
)
NAMES = (
    "lid", "id", "siteId", "folderId", "params", "filter", "fields", "scope", "rights", "codes", "mode", "event",
    "handler", "auth_type", "event_type", "PLACEMENT", "HANDLER", "USER_ID", "MESSAGE", "ATTACH", "TAG", "option",
    "options", "name", "CODE", "cmd", "halt", "start", "order",
    "select", "PROPERTIES", "EVENT_TOKEN", "RETURN_VALUES", "process_id", "message_id", "access", "landingUrl",
)  # fmt: skip


@pytest.mark.parametrize("method", sorted(rest_method.methods))
def test_a_method_asked_for_nonsense_says_so(portal, person, method):
    portal.scope(["landing", "placement", "im", "user", "crm", "bizproc"])
    admin = person("admin")

    for junk in JUNK:
        whole = admin.ask(method, **dict.fromkeys(NAMES, junk))
        inside = admin.ask(method, id=7, lid=351, **{name: {"0": junk, "x": junk} for name in ("params", "rights")})

        assert {whole.status_code, inside.status_code} <= {200, 400, 403, 404}
        assert all(isinstance(each.json(), dict) for each in (whole, inside))


def test_a_path_in_another_encoding_is_answered(portal):
    host, _, port = portal.domain.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(b"GET /rest/\xb2/code/profile HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = connection.makefile("rb").read()

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 401")
    assert json.loads(body)["error"] == "NO_AUTH_FOUND"
