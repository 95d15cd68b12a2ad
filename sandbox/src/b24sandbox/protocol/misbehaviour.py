"""What an armed fault does to an answer: the broken, late, empty and changed ones a client has to live with."""

from __future__ import annotations

import json

from b24sandbox.server.http import Request, Response, front_end
from b24sandbox.state.clock import Clock
from b24sandbox.state.faults import Fault


def apply_fault(fault: Fault, request: Request, answer: Response, clock: Clock) -> Response:
    """The answer as the fault leaves it; other waiting than a drip's is done by the caller, outside any lock."""
    if fault.kind == "html":
        return front_end(fault.status or 502)
    if fault.kind == "bad_json":
        return Response(fault.status or 200, b'{"result":{"res', {"Content-Type": "application/json; charset=utf-8"})
    if fault.kind == "empty":
        return Response(fault.status or 200, b"", {"Content-Type": "application/json; charset=utf-8"})
    if fault.kind in ("close", "reset", "reset_before", "reset_after"):
        return Response(manner="close" if fault.kind == "close" else "reset")
    if fault.kind == "redirect":
        return Response(302, b"", {"Location": fault.location or f"https://moved.example{request.path}"})
    if fault.kind == "short":
        return Response(answer.status, answer.body, answer.headers, manner="short")
    if fault.kind == "drip":
        return Response(answer.status, answer.body, answer.headers, manner="drip", seconds=clock.real(fault.seconds))
    if fault.kind in ("missing_field", "wrong_field"):
        return Response(answer.status, _edited(answer.body, fault), answer.headers)
    return answer


def _edited(body: bytes, fault: Fault) -> bytes:
    try:
        value: object = json.loads(body)
    except ValueError:
        return body
    return json.dumps(edit_value(value, fault), ensure_ascii=False).encode()


def edit_value(value: object, fault: Fault) -> object:
    """`value` with the fault's dotted field taken away or changed; untouched when there is no such place."""
    *parents, last = fault.field.split(".")
    node = value
    for name in parents:
        node = (
            node.get(name)
            if isinstance(node, dict)
            else (node[int(name)] if isinstance(node, list) and name.isdigit() and int(name) < len(node) else None)
        )
    if isinstance(node, dict):
        if fault.kind == "wrong_field":
            node[last] = fault.value
        else:
            node.pop(last, None)
    elif isinstance(node, list) and last.isdigit() and int(last) < len(node):
        if fault.kind == "wrong_field":
            node[int(last)] = fault.value
        else:
            del node[int(last)]
    return value
