"""Puts the web application together: services, blueprints, headers, the `flask b24` commands."""

import json
import re
from functools import cache
from pathlib import Path
from time import perf_counter
from uuid import uuid4

import structlog
from flask import Flask, Response, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from b24app import config, deadline, log, services
from b24app.cli import b24, is_asked_for
from b24app.errors import AppBusy, AppUpdating, BadForm, PortalBusy
from b24app.operations.answers import answers
from b24app.services import Services
from b24app.store.db import DatabaseFailure, NoConnection, is_passing
from b24app.store.heartbeat import NotReady, ready
from b24app.store.schema import TablesDiffer
from b24app.web import (
    calendar,
    calendar_files,
    events,
    exports,
    forms,
    frames,
    health,
    notifications,
    oauth,
    ops,
    page_exports,
    pages,
    preferences,
    problems,
    request_log,
    runs,
    schedule_changes,
    translation,
    watching,
)
from b24app.web.compression import CompressingFlask, pack
from b24app.web.current import provide, session_tokens
from b24app.web.current import services as current_services
from b24app.web.session import hand_out_fresh_token

logger = structlog.get_logger()
ROOT = Path(__file__).parent
MANIFEST = ROOT / "static" / "dist" / "manifest.json"
BLUEPRINTS = (
    frames, events, oauth, ops, pages, page_exports, runs, watching, schedule_changes, calendar_files, exports,
    notifications, health, request_log, preferences,
)  # fmt: skip
UNLOGGED = ("static", "ops.healthz", "ops.readyz", "ops.metrics")  # asked all the time, and nobody would read it
BUILT = re.compile(r"-[0-9A-Z]{8}\.[a-z0-9.]+$")  # as esbuild names what it builds
RETRY_SECONDS, UPDATING_SECONDS = 5, 30
YEAR = 365 * 24 * 3600
# An opening asks for a dozen built files; nobody saves one, or asks whether it has changed.
NEEDLESS = ("Content-Disposition", "ETag", "Last-Modified", "Accept-Ranges")
FILE_POLICY = "default-src 'none'; frame-ancestors 'none'"  # a script or picture that somebody opens by itself
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors {ancestor}"
)


def create_app(built: Services | None = None) -> Flask:
    """The WSGI application; its settings come from the environment unless services are handed in."""
    if built is None:
        if is_asked_for():
            return _commands_only()
        settings = config.load()
        log.setup(settings)
        built = services.build(settings, web_threads=settings.web_threads)
    app = CompressingFlask("b24app", root_path=str(ROOT), template_folder=str(ROOT.parent / "templates"))
    app.config["MAX_CONTENT_LENGTH"] = runs.ORDER_LIMIT
    app.config["MAX_FORM_PARTS"] = runs.MOST_FIELDS
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's default provider
    if built.config.trusted_proxies:
        hops = built.config.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0)  # type: ignore[method-assign]
    app.wsgi_app = deadline.limited(app.wsgi_app)  # type: ignore[method-assign,assignment]
    _register(app, built)
    return app


def _commands_only() -> Flask:
    """What `flask --app app b24 …` needs of an application: nothing that a broken environment could break."""
    app = Flask("b24app")
    app.cli.add_command(b24)
    return app


def _register(app: Flask, built: Services) -> None:
    provide(app, built)
    app.before_request(_begin_request)
    problems.register(app)
    app.register_error_handler(NoConnection, _refuse_for_now)
    app.register_error_handler(DatabaseFailure, _refuse_what_was_taken_back)
    app.register_error_handler(TablesDiffer, _refuse_until_migrated)
    translation.register(app)
    app.jinja_env.globals.update(asset=asset, to_come=calendar.STATES)
    for part in BLUEPRINTS:
        app.register_blueprint(part.blueprint)
    app.after_request(_finish_headers)
    app.cli.add_command(b24)


def _refuse_for_now(_full: NoConnection) -> Response:
    """No connection to the database was free in time."""
    return problems.refuse(AppBusy(retry_after=RETRY_SECONDS))


def _refuse_what_was_taken_back(error: DatabaseFailure) -> Response:
    """A transaction that met another one, such as a migration's, and is not one that is repeated by itself."""
    if not is_passing(error):
        raise error
    return problems.refuse(AppBusy(retry_after=RETRY_SECONDS))


def _refuse_until_migrated(error: TablesDiffer) -> Response:
    """A statement asked for what the tables do not have, because they are older than this code."""
    try:
        ready(current_services().store)
    except NotReady:
        pass
    else:
        raise error  # they are as they should be: it is our fault
    logger.error("tables_older_than_code", reason=type(error.orig).__name__)
    return problems.refuse(AppUpdating(retry_after=UPDATING_SECONDS))


def _begin_request() -> None:
    """An id for the log and for the person; the language until somebody is known."""
    given = request.headers.get("X-Request-Id", "")
    g.began = perf_counter()
    g.request_id = given if given.isascii() and given.isalnum() and 8 <= len(given) <= 64 else uuid4().hex[:16]
    g.lang = request.accept_languages.best_match(["en", "de"]) or "en"
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=g.request_id, path=request.path)
    if getattr(request.environ.get("gunicorn.socket"), "no_place", False):  # it waited for a thread in vain
        raise PortalBusy(retry_after=RETRY_SECONDS)
    forms.read_chunked(runs.ORDER_LIMIT)
    if not request.query_string.isascii():  # a browser sends percent signs; Werkzeug stumbles over raw bytes
        raise BadForm(status=400, detail=problems.DETAIL_BY_STATUS[400])


def _finish_headers(answer: Response) -> Response:
    """Headers every answer carries: nobody frames it but the proven portal, nothing is kept, nothing leaks."""
    is_file = request.endpoint == "static" and answer.status_code < 400
    ancestor = g.get("frame_ancestor", "'none'")
    answer.headers["Content-Security-Policy"] = FILE_POLICY if is_file else CONTENT_POLICY.format(ancestor=ancestor)
    answer.headers["X-Content-Type-Options"] = "nosniff"
    answer.headers["Referrer-Policy"] = "no-referrer"
    answer.headers["X-Request-Id"] = g.get("request_id", "")
    if is_file:
        answer.headers["Cache-Control"] = _kept_as_long_as(request.path)
        for needless in NEEDLESS if BUILT.search(request.path) else ():
            answer.headers.pop(needless, None)
    else:
        answer.headers.setdefault("Cache-Control", "no-store")
    if request.endpoint not in UNLOGGED:
        answers.count(answer.status_code)
        logger.info("request", verb=request.method, status=answer.status_code, ms=_milliseconds())
    return pack(hand_out_fresh_token(session_tokens(), answer))


def _kept_as_long_as(path: str) -> str:
    """A built file carries its hash in its name and never changes; any other is asked for again."""
    return f"public, max-age={YEAR}, immutable" if BUILT.search(path) else "no-cache"


def _milliseconds() -> int:
    """Since the request began; 0 where it was refused before that."""
    now = perf_counter()
    began: float = g.get("began", now)
    return round((now - began) * 1000)


@cache
def _manifest() -> dict[str, str]:
    """Names of the built assets; empty when they are not built (tests of Python run without Node)."""
    if not MANIFEST.is_file():
        return {}
    names: dict[str, str] = json.loads(MANIFEST.read_text())
    return names


def asset(name: str) -> str:
    """The address of a built script or style by its source name."""
    return f"/static/{_manifest().get(name, f'dist/{name}')}"
