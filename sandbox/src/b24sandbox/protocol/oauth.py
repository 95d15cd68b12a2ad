"""Section 1: the authorization server, and the portal's authorize page.

Two servers may stand side by side (`oauth.bitrix.info` and `oauth.bitrix24.tech` in the world); they share one token
database, which is a guess (1.1). Rotation is strict: a refresh token works once, and using it kills the access token
that came with it (1.5).
"""

from __future__ import annotations

import secrets
from urllib.parse import quote, urlencode

from b24sandbox.protocol import php
from b24sandbox.protocol.errors import TEXTS
from b24sandbox.protocol.limits import Deadline, GatewayTimeout
from b24sandbox.protocol.misbehaviour import apply_fault
from b24sandbox.server.http import Request, Response, front_end, page, reply
from b24sandbox.state.clock import iso_utc
from b24sandbox.state.faults import Fault
from b24sandbox.state.recorder import Call, excerpt
from b24sandbox.state.world import CODE_SECONDS, Code, Portal, Token, World

GRACE_SECONDS = 60
TOKEN_PATH = "/oauth/token/"


class Refused(Exception):
    """An error of section 1.4 with its status."""

    def __init__(self, code: str, status: int, text: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.status = status
        self.text = text

    def body(self) -> dict[str, object]:
        found: dict[str, object] = {"error": self.code}
        return found | ({"error_description": self.text} if self.text else {})


class AuthorizationServer:
    """One of the authorization servers; `number` is its place in `world.servers`."""

    def __init__(self, world: World, number: int = 0) -> None:
        self.world = world
        self.number = number

    @property
    def address(self) -> str:
        return self.world.servers[self.number]

    def __call__(self, request: Request) -> Response:
        path = request.path.rstrip("/")
        self.world.request_count += 1
        if path == "/oauth/token":
            return self._counted(request, TOKEN_PATH)
        if path in ("/rest/app.info", "/rest/app.info.json"):
            return self._counted(request, "app.info")
        return front_end(404)

    def _counted(self, request: Request, method: str) -> Response:
        """Answer with the call written down and faults applied."""
        params = parameters(request)
        record = self.world.recorder.begin("oauth", method, self.world.clock.now())
        record.verb, record.asked = (
            request.verb,
            excerpt(urlencode({key: php.text(value) for key, value in params.items()})),
        )
        record.grant = php.text(params.get("grant_type")) or None
        record.user = self._whose(params)
        fault = self.world.faults.take("oauth", method.lower(), record.user)
        record.fault = fault.kind if fault else None
        answer = self._hit(request, method, params, fault, record)
        record.answered = excerpt(answer.body)
        self.world.recorder.end(record, self.world.clock.now(), answer.status, record.code)
        return answer

    def _hit(self, request: Request, method: str, params: php.PhpArray, fault: Fault | None, record: Call) -> Response:
        if fault is None:
            return self._answer(request, method, params, record)
        deadline = Deadline(self.world.clock, 60)
        try:
            if fault.kind == "hang" and not fault.done:
                deadline.wait(fault.seconds)
                return front_end(504)
            if not fault.after_work and fault.kind != "error":
                return apply_fault(fault, request, Response(), self.world.clock)
            if fault.kind == "error" and not fault.done:
                record.code = fault.code
                return reply(Refused(fault.code, 0, fault.description).body(), fault.status or 400)
            answer = self._answer(request, method, params, record)
            if fault.kind in ("latency", "hang"):
                deadline.wait(fault.seconds)
            if fault.kind == "error":
                return reply(Refused(fault.code, 0, fault.description).body(), fault.status or 400)
            return front_end(504) if fault.kind == "hang" else apply_fault(fault, request, answer, self.world.clock)
        except GatewayTimeout:
            return front_end(504)

    def _answer(self, request: Request, method: str, params: php.PhpArray, record: Call) -> Response:
        try:
            if self.world.oauth_down:
                return front_end(502)
            with self.world.lock:
                if method == TOKEN_PATH:
                    token = self._grant(params)
                    record.user = token.user_id
                    return reply(self._pair(token))
                return reply(self._app_info(request, params))
        except Refused as refusal:
            record.code = refusal.code
            return reply(refusal.body(), refusal.status)

    def _whose(self, params: php.PhpArray) -> int | None:
        token = self.world.refreshes.get(php.text(params.get("refresh_token"))) or self.world.tokens.get(
            php.text(params.get("auth"))
        )
        return token.user_id if token else None

    def _grant(self, params: php.PhpArray) -> Token:
        """A pair for a grant; the checks in the order of 1.4."""
        grant = php.text(params.get("grant_type"))
        for name in ("grant_type", "client_id", "client_secret"):
            if not php.text(params.get(name)):
                raise Refused("invalid_request", 400, f'No "{name}" parameter found')
        app = self.world.place_of(php.text(params["client_id"]))
        if app is None:
            raise Refused("wrong_client", 200)  # 200 it is: seen live by the SDK's tests
        card = self.world.applications[app]
        if not secrets.compare_digest(php.text(params["client_secret"]).encode(), card.client_secret.encode()):
            raise Refused("invalid_client", 400)
        wanted = set(php.text(params.get("scope")).replace(",", " ").split())
        if not wanted <= set(card.scope):
            raise Refused("invalid_scope", 403, "The requested scope is invalid")
        if grant == "refresh_token":
            return self._refresh(app, php.text(params.get("refresh_token")))
        if grant == "authorization_code":
            return self._exchange(app, php.text(params.get("code")))
        raise Refused("invalid_request", 400, "Unsupported grant type")

    def _refresh(self, app: int, refresh: str) -> Token:
        """The next pair of a chain; the one it came from is used up in the same breath (1.5)."""
        if not refresh:
            raise Refused("invalid_request", 400, 'No "refresh_token" parameter found')
        world, now = self.world, self.world.clock.now()
        token = world.refreshes.get(refresh)
        if token is None or token.app != app or token.refresh_expires_at <= now:
            raise Refused("invalid_grant", 400)
        portal = self._usable(token.portal, app)
        if token.spent and not self._forgiven(token):
            raise Refused("invalid_grant", 400)
        granted = portal.installations[app].scope
        scope = (
            granted if portal.switches.refresh_takes_new_scopes else [each for each in token.scope if each in granted]
        )
        if not token.spent:
            token.spent, token.spent_at = True, now
        token.dead = world.kills_access
        return world.issue(portal, token.user_id, scope, app)

    def _forgiven(self, token: Token) -> bool:
        if self.world.rotation == "grace":
            return self.world.clock.now() - token.spent_at < GRACE_SECONDS
        return self.world.rotation == "none"

    def _exchange(self, app: int, code: str) -> Token:
        if not code:
            raise Refused("invalid_request", 400, 'No "code" parameter found')
        found = self.world.codes.pop(code, None)
        if found is None or found.app != app or found.expires_at <= self.world.clock.now():
            raise Refused("invalid_grant", 400)
        return self.world.issue(self._usable(found.portal, app), found.user_id, app=app)

    def _usable(self, index: int, app: int) -> Portal:
        portal = self.world.portals[index]
        if app not in portal.installations:
            raise Refused("NOT_INSTALLED", 401, TEXTS["NOT_INSTALLED"])
        if portal.switches.payment_expired:
            raise Refused("PAYMENT_REQUIRED", 401, TEXTS["PAYMENT_REQUIRED"])
        return portal

    def _pair(self, token: Token) -> dict[str, object]:
        """1.3: here `domain` is the authorization host, and the portal stands in `client_endpoint`."""
        portal = self.world.portal_of(token)
        return {
            "access_token": token.access,
            "expires": int(token.expires_at),
            "expires_in": int(token.expires_at - token.issued_at),
            "scope": ",".join(token.scope),
            "domain": self.address.partition("://")[2],
            "server_endpoint": f"{self.address}/rest/",
            "status": portal.installations[token.app].status,
            "client_endpoint": portal.endpoint,
            "member_id": portal.member_id,
            "user_id": token.user_id,
            "refresh_token": token.refresh,
        }

    def _app_info(self, request: Request, params: php.PhpArray) -> dict[str, object]:
        """1.6: whose token this is. The one answer an app may believe."""
        bearer = request.headers.get("authorization", "")
        given = (
            bearer[7:]
            if bearer.lower().startswith("bearer ")
            else php.text(params.get("auth") or params.get("access_token"))
        )
        if not given:
            raise Refused("NO_AUTH_FOUND", 401, TEXTS["NO_AUTH_FOUND"])
        now = self.world.clock.now()
        token = self.world.tokens.get(given)
        if token is None:
            raise Refused("invalid_client", 400)
        portal = self.world.portal_of(token)
        installation = portal.installations.get(token.app)
        if installation is None:
            raise Refused("NOT_INSTALLED", 401, TEXTS["NOT_INSTALLED"])
        if token.dead or token.expires_at <= now:
            raise Refused("expired_token", 401, TEXTS["expired_token"])
        scope = ",".join(each for each in token.scope if each in installation.scope)
        return {
            "result": {
                "client_id": self.world.applications[token.app].client_id,
                "scope": scope,
                "expires": iso_utc(token.expires_at),
                "install": {
                    "installed": installation.finished,
                    "version": installation.version,
                    "status": installation.status,
                    "scope": ",".join(installation.scope),
                    "domain": portal.domain,
                    "uri": portal.url,
                    "client_endpoint": portal.endpoint,
                    "member_id": portal.member_id,
                    "member_type": "PORTAL",
                },
                "user_id": token.user_id,
            },
            "time": {
                "start": int(now),
                "finish": round(now, 6),
                "duration": 0.01,
                "processing": 0,
                "date_start": iso_utc(now),
                "date_finish": iso_utc(now),
            },
        }


def parameters(request: Request) -> php.PhpArray:
    """GET with a query or POST with a form, both are taken (1.3)."""
    found = php.parse(request.query)
    if request.content_type == "application/x-www-form-urlencoded":
        found |= php.parse(request.body.decode("utf-8", "replace"))
    return found


def authorize(world: World, portal: Portal, request: Request) -> Response:
    """1.2: GET /oauth/authorize/. The person is signed in already (`user`, the administrator when not said), so the
    answer is a redirect at once; a failure is the portal's own page, and the app hears nothing.
    """
    query = php.parse(request.query)
    app = world.place_of(php.text(query.get("client_id")))
    if app is None:
        return page("<!doctype html><title>Error</title><h1>Application not found</h1>", 404)
    installation = portal.installations.get(app)
    if installation is None:
        return page("<!doctype html><title>Error</title><h1>The application is not installed</h1>", 403)
    user = portal.users.get(php.integer(query.get("user", 1)))
    if user is None or not user.active or not user.may_use_app:
        return page("<!doctype html><title>Error</title><h1>Access denied</h1>", 403)
    with world.lock:
        code = Code(secrets.token_hex(35), portal.index, user.id, world.clock.now() + CODE_SECONDS, app)
        world.codes[code.code] = code
    back = {
        "code": code.code,
        "state": php.text(query.get("state")),
        "domain": portal.domain,
        "member_id": portal.member_id,
        "scope": ",".join(installation.scope),
        "server_domain": world.server_of(portal).partition("://")[2],
    }
    address = world.applications[app].callback
    mark = "&" if "?" in address else "?"
    return Response(
        302, b"", {"Location": f"{address}{mark}{urlencode(back, quote_via=quote)}", "Cache-Control": "no-store"}
    )
