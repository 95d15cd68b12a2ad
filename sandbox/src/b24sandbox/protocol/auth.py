"""Section 4.5, the token stage: whose call this is and whether it may be made at all.

What the portal learns of a token from the authorization server it may remember (`token_cache_seconds`), refusals too;
access restrictions and the app's state are looked at anew each time.
"""

from __future__ import annotations

from b24sandbox.protocol import php
from b24sandbox.protocol.errors import RestError
from b24sandbox.protocol.limits import check_operating
from b24sandbox.protocol.registry import Method
from b24sandbox.server.http import Request
from b24sandbox.state.recorder import Call
from b24sandbox.state.world import Portal, Token, User, World


def credentials(request: Request, params: php.PhpArray) -> tuple[str, str]:
    """The token and where it stood: the Bearer header, then `auth`, then `access_token` (4.1)."""
    header = request.headers.get("authorization", "")
    if header.lower().startswith("bearer ") and header[7:].strip():
        return header[7:].strip(), "header"
    for name in ("auth", "access_token"):
        if isinstance(params.get(name), str) and params[name]:
            return php.text(params[name]), name
    return "", ""


def authorize(world: World, portal: Portal, access: str, place: str, record: Call) -> tuple[User, list[str], Token]:
    """The token stage: whose token, and with what scope. Raises in the order of 4.5."""
    record.auth = place
    if not access:
        raise RestError("NO_AUTH_FOUND")
    if portal.switches.offline:
        raise RestError("CONNECTION_ERROR")
    token = world.tokens.get(access)
    refusal, scope = _validated(world, portal, access, token)
    if token is None or refusal not in ("", "expired_token"):
        raise RestError(refusal or "invalid_token")
    if not portal.users[token.user_id].signed_in:
        raise RestError("USER_CONTEXT")
    if portal.switches.overload:
        raise RestError("OVERLOAD_LIMIT")
    if not portal.switches.rest_in_plan:
        raise RestError("REST_NOT_IN_PLAN")
    if not portal.switches.app_active or portal.installations.get(token.app) is None:
        raise RestError("APPLICATION_NOT_FOUND")
    if refusal or token.expires_at <= world.clock.now():
        raise RestError("expired_token")
    return portal.users[token.user_id], scope, token


def _validated(world: World, portal: Portal, access: str, token: Token | None) -> tuple[str, list[str]]:
    """What the authorization server says of a token, remembered as long as `token_cache_seconds` says."""
    now, key = world.clock.now(), (portal.index, access)
    kept = world.meters.checked.get(key)
    if kept is not None and kept[0] > now:
        return kept[1], kept[2]
    refusal, scope = "", []
    installation = portal.installations.get(token.app) if token is not None else None
    if token is None or token.portal != portal.index:
        refusal = "invalid_token"
    elif installation is None:
        refusal = "ERROR_OAUTH"
    elif portal.switches.payment_expired:
        refusal = "PAYMENT_REQUIRED"
    elif token.dead:
        refusal = portal.switches.dead_token_code
    else:
        scope = [each for each in token.scope if each in installation.scope]
    if portal.switches.token_cache_seconds:
        world.meters.checked[key] = (now + portal.switches.token_cache_seconds, refusal, scope)
    return refusal, scope


def check_access(
    world: World, portal: Portal, user: User, scope: list[str], method: Method, token: Token | None, account: str
) -> None:
    """Scope, then the user, then whether the administrator lets them use the app, then the operating limit."""
    if method.scope and not set(method.scope) & set(scope):
        raise RestError("insufficient_scope")
    if not user.active:
        raise RestError("authorization_error")
    if token is not None and not user.may_use_app:
        raise RestError("user_access_error")
    if portal.switches.confirm_methods == method.name:
        raise RestError("METHOD_CONFIRM_WAITING")
    check_operating(world, portal, account, method.name)
