"""Section 4: a REST call from the socket to the method and back.

The order of checks is the source's (4.5): site stopped, method exists (before any authorization), token, plan, app
present, expiry, scope, user, app access, operating limit, method. What a client sees first depends on it.
"""

from __future__ import annotations

import json
from email import policy
from email.parser import BytesParser
from xml.sax.saxutils import escape

from b24sandbox.protocol import php
from b24sandbox.protocol.auth import authorize, check_access, credentials
from b24sandbox.protocol.batch import run_batch
from b24sandbox.protocol.errors import RestError, denied
from b24sandbox.protocol.limits import Deadline, GatewayTimeout, UsedTime, charge, check_operating, operating
from b24sandbox.protocol.misbehaviour import apply_fault, edit_value
from b24sandbox.protocol.registry import CommandLost, Method, MethodCall, Paged, Process, rest_method
from b24sandbox.server.http import Request, Response, front_end, reply
from b24sandbox.state.clock import iso
from b24sandbox.state.faults import Fault
from b24sandbox.state.recorder import Call, excerpt
from b24sandbox.state.world import Portal, Token, User, World

CORS = {"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Headers": "origin, content-type, accept"}
RESERVED = ("auth", "access_token", "auth_connector", "state", "sessid")  # eaten before the method sees them (4.1)


class Route:
    """`/rest/<method>[.json|.xml][/]`, or `/rest/<user>/<code>/<method>` for an inbound webhook."""

    def __init__(self, path: str) -> None:
        parts = [part for part in path.removeprefix("/rest/").split("/") if part]
        self.webhook = (parts[0], parts[1]) if len(parts) >= 3 and parts[0].isdecimal() else None
        name = parts[-1].lower() if parts else ""
        self.xml = name.endswith(".xml")
        self.method = name.removesuffix(".json").removesuffix(".xml")


def serve(world: World, portal: Portal, request: Request) -> Response:
    """Answer one HTTP request under /rest/, written down by the recorder and with faults applied."""
    if request.verb == "OPTIONS":
        return Response(200, b"", dict(CORS))
    route = Route(request.path)
    record = world.recorder.begin(portal.index, route.method, world.clock.now())
    record.verb = request.verb
    record.asked = excerpt(f"{request.query} {request.body.decode('utf-8', 'replace')}".strip())
    params = parameters(request)
    record.user = _peek(world, portal, route, request, params)
    fault = world.faults.take(portal.index, route.method, record.user)
    record.fault = fault.kind if fault else None
    deadline = Deadline(world.clock, portal.switches.request_seconds)
    try:
        answer = Exchange(world, portal, request, route, params, record, deadline).answer(fault)
    except GatewayTimeout:
        answer = front_end(504)
    record.answered = excerpt(answer.body)
    world.recorder.end(record, world.clock.now(), answer.status, record.code)
    return answer


class Exchange:
    """One request on its way through the checks."""

    def __init__(
        self,
        world: World,
        portal: Portal,
        request: Request,
        route: Route,
        params: php.PhpArray,
        record: Call,
        deadline: Deadline,
    ) -> None:
        self.world = world
        self.portal = portal
        self.request = request
        self.route = route
        self.params = params
        self.record = record
        self.process = Process(deadline, UsedTime(world, portal, ""), "")
        self.began = world.clock.now()

    def answer(self, fault: Fault | None) -> Response:
        if fault is None:
            return self._work()
        deadline = self.process.deadline
        if fault.kind == "hang" and not fault.done:
            deadline.wait(fault.seconds)
            return front_end(504)
        if fault.kind == "error" and not fault.done:
            return self._refuse(RestError(fault.code, fault.description or None, fault.status))
        if not fault.after_work:
            return apply_fault(fault, self.request, Response(), self.world.clock)
        answer = self._work()
        if fault.kind in ("latency", "hang"):
            deadline.wait(fault.seconds)
        if fault.kind == "error":
            return self._refuse(RestError(fault.code, fault.description or None, fault.status))
        return front_end(504) if fault.kind == "hang" else apply_fault(fault, self.request, answer, self.world.clock)

    def _work(self) -> Response:
        try:
            with self.world.lock:
                method, user, scope, token = self._admit()
            call = MethodCall(self.world, self.portal, user, scope, self.params, self.process, token)
            result = run_batch(call, self.record, run_command) if method.name == "batch" else perform(call, method)
        except RestError as error:
            return self._refuse(error)
        return self._envelope(result, method, token)

    def _admit(self) -> tuple[Method, User, list[str], Token | None]:
        """All checks before the method, in the source's order."""
        charge(self.world, self.portal, self.request.peer)
        switches = self.portal.switches
        if switches.deleted:
            raise RestError("PORTAL_DELETED")
        method = rest_method.find(self.route.method, self.portal)
        if method is None:
            raise RestError("ERROR_METHOD_NOT_FOUND")
        if self.route.webhook is not None:
            user, scope, token = self._webhook(*self.route.webhook)
        else:
            access, place = credentials(self.request, self.params)
            user, scope, token = authorize(self.world, self.portal, access, place, self.record)
        account = f"app {token.app}" if token is not None else f"webhook {self.route.webhook}"
        self.process = Process(self.process.deadline, UsedTime(self.world, self.portal, account), account)
        check_access(self.world, self.portal, user, scope, method, token, account)
        if "token" in self.params:
            raise denied("Access denied! Link check failed")  # the call has become a signed link (4.1)
        for name in RESERVED:
            self.params.pop(name, None)
        return method, user, scope, token

    def _webhook(self, user_id: str, code: str) -> tuple[User, list[str], None]:
        """An inbound webhook: its code stands for one user with every scope."""
        self.record.auth = "webhook"
        if self.portal.switches.webhook_needs_https and not self.portal.secure:
            raise RestError("INVALID_REQUEST")
        if not self.portal.switches.rest_in_plan:
            raise RestError("REST_NOT_IN_PLAN")
        if self.portal.webhooks.get(code) != int(user_id):
            raise RestError("INVALID_CREDENTIALS")
        every = sorted({scope for method in rest_method.methods.values() for scope in method.scope})
        scopes = self.portal.webhook_scopes.get(code, every)
        return self.portal.users[int(user_id)], scopes, None

    def _envelope(self, result: object, method: Method, token: Token | None) -> Response:
        """4.2: the result with its times."""
        body: dict[str, object] = {}
        if isinstance(result, Paged):
            more = {"total": result.total, "next": result.next}
            body = {"result": result.rows} | {name: value for name, value in more.items() if value is not None}
        else:
            body = {"result": result}
        body["time"] = timing(self.world, self.portal, self.process.account, method.name, self.began)
        headers = CORS | {
            "X-Bitrix-Rest-Application": self._caller(token),
            "X-Bitrix-Rest-Time": "0.0100000000",
        }
        return self._printed(body, 200, headers)

    def _caller(self, token: Token | None) -> str:
        return self.world.applications[token.app].client_id if token is not None else "webhook"

    def _refuse(self, error: RestError) -> Response:
        self.record.code = error.code
        return self._printed(error.body(), error.status(self.portal.switches.dialect), CORS)

    def _printed(self, body: dict[str, object], status: int, headers: dict[str, str]) -> Response:
        if not self.route.xml:
            return reply(body, status, **headers)
        text = f'<?xml version="1.0" encoding="utf-8"?><response>{_xml(body)}</response>'
        return Response(status, text.encode(), {"Content-Type": "text/xml; charset=utf-8", **headers})


def run_command(call: MethodCall, name: str, record: Call) -> tuple[object, dict[str, object]]:
    """One command of a batch with the checks that are made anew for it: existence, scope, operating limit."""
    world, portal = call.world, call.portal
    fault = world.faults.take(portal.index, name, call.user.id, command=True)
    record.fault = fault.kind if fault else None
    method = rest_method.find(name, portal)
    began = world.clock.now()
    if method is None:
        raise RestError("ERROR_METHOD_NOT_FOUND")
    if fault is not None and fault.kind == "error" and not fault.done:
        raise RestError(fault.code, fault.description or None, fault.status)
    with world.lock:
        if method.scope and not set(method.scope) & set(call.scope):
            raise RestError("insufficient_scope", "")  # inside a batch the description is empty (4.4)
        check_operating(world, portal, call.process.account, name)
    result = perform(call, method)
    if fault is not None and fault.kind == "latency":
        call.process.deadline.wait(fault.seconds)
    if fault is not None and fault.kind == "error":
        raise RestError(fault.code, fault.description or None, fault.status)
    if fault is not None and fault.kind in ("missing_field", "wrong_field"):
        result = edit_value({"result": result}, fault).get("result")  # type: ignore[attr-defined]
    if fault is not None and fault.kind == "lost":
        raise CommandLost
    return result, timing(world, portal, call.process.account, name, began)


def perform(call: MethodCall, method: Method) -> object:
    """Run a method under the lock, and let the time it takes pass outside it."""
    if call.portal.switches.paced:
        call.process.deadline.wait(method.wall)
    with call.world.lock:
        call.process.used.add(method.name, method.cost)
        return method.run(call)


def timing(world: World, portal: Portal, account: str, method: str, began: float) -> dict[str, object]:
    now = world.clock.now()
    found: dict[str, object] = {
        "start": int(began),
        "finish": round(now, 6),
        "duration": round(now - (int(began) if portal.switches.whole_seconds else began), 6),
        "processing": 0,
        "date_start": iso(began),
        "date_finish": iso(now),
    }
    if portal.switches.self_hosted:
        return found
    with world.lock:
        seconds, reset_at = operating(world, portal, account, method)
    return found | {"operating_reset_at": reset_at, "operating": round(seconds, 6)}


def parameters(request: Request) -> php.PhpArray:
    """Query and body merged, the body wins per top-level key; a broken JSON body is dropped without a word (4.1)."""
    found = php.parse(request.query)
    kind = request.content_type
    if kind == "application/json":
        try:
            body = json.loads(request.body or b"{}")
        except ValueError:
            body = None
        found |= body if isinstance(body, dict) else {}
    elif kind == "multipart/form-data":
        found |= php.nest(_multipart(request))
    elif request.body:
        found |= php.parse(request.body.decode("utf-8", "replace"))
    return found


def _multipart(request: Request) -> list[tuple[str, str]]:
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode("latin-1")
    message = BytesParser(policy=policy.HTTP).parsebytes(head + request.body)
    pairs: list[tuple[str, str]] = []
    for part in message.iter_parts() if message.is_multipart() else ():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            pairs.append((name, payload.decode("utf-8", "replace")))
    return pairs


def _peek(world: World, portal: Portal, route: Route, request: Request, params: php.PhpArray) -> int | None:
    """Whose call this seems to be, for the recorder only."""
    if route.webhook is not None:
        return int(route.webhook[0])
    token = world.tokens.get(credentials(request, params)[0])
    return token.user_id if token is not None and token.portal == portal.index else None


def _xml(value: object) -> str:
    if isinstance(value, dict):
        return "".join(f"<{key}>{_xml(each)}</{key}>" for key, each in value.items())
    if isinstance(value, list):
        return "".join(f"<item>{_xml(each)}</item>" for each in value)
    return escape(php.text(value))
