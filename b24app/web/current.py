"""What a view works with: the services and the session tokens of the application that serves the request."""

from dataclasses import replace

from flask import Flask, current_app, g, request

from b24app.errors import SessionExpired
from b24app.services import Services
from b24app.web.session import SessionTokens

SERVICES, SESSIONS = "sundown", "sundown_sessions"


def provide(app: Flask, built: Services) -> None:
    """Let the application work with these services."""
    app.extensions[SERVICES] = built
    app.extensions[SESSIONS] = SessionTokens(built.config.session_keys, built.config.app_url, built.clock)


def services() -> Services:
    """The verbs."""
    built: Services = current_app.extensions[SERVICES]
    return built


def session_tokens() -> SessionTokens:
    """What makes and reads our session tokens."""
    tokens: SessionTokens = current_app.extensions[SESSIONS]
    return tokens


def require_session() -> None:
    """Set `g.actor` from the bearer token, or raise SessionExpired. Runs before each view of people."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise SessionExpired()
    g.claims = session_tokens().read(token.strip())
    actor = services().users.in_session(g.claims.user, g.claims.portal_epoch, g.claims.user_epoch)
    g.actor = replace(actor, language=g.claims.lang or actor.language)
