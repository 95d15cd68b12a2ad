"""One handler for everything that goes wrong: problem+json for clients, a banner for the page, a page for a person."""

import json
from http import HTTPStatus

import structlog
from flask import Flask, Response, g, make_response, render_template, request
from werkzeug.exceptions import HTTPException

from b24app.domain import N_, Actor
from b24app.errors import (
    YOU,
    BadForm,
    ExpiredToken,
    InsufficientScope,
    NotFound,
    PortalError,
    PortalMoved,
    Problem,
    SessionExpired,
    Unexpected,
    UserGone,
)
from b24app.web.shapes import ProblemShape
from b24app.web.translation import _

log = structlog.get_logger()
PROBLEM_TYPE = "application/problem+json"
DETAIL_BY_STATUS = {
    400: N_("The request could not be read. Nothing was done."),
    405: N_("This address does not take this kind of request. Nothing was done."),
    413: N_("What was sent is too large. Nothing was done."),
    415: N_("What was sent is not in a form the app reads. Nothing was done."),
}


def facts(problem: Problem) -> ProblemShape:
    """The problem as RFC 9457 members, in the reader's language."""
    known: ProblemShape = {
        "type": "about:blank",
        "title": _(problem.title),
        "status": problem.status,
        "detail": _(problem.detail),
        "code": problem.code,
        "remedy": _(_remedy(problem)),
        "who": problem.fixable_by,
        "request_id": g.get("request_id", ""),
    }
    if problem.retry_after is not None or problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        known["retry_after"] = problem.retry_after or 30
    if problem.suggestion is not None:
        known["suggestion"] = problem.suggestion
    return known


def _remedy(problem: Problem) -> str:
    """What to do now. An administrator is not told to ask one."""
    actor: Actor | None = g.get("actor")
    is_general = problem.remedy == type(problem).remedy
    return problem.remedy_here if actor and actor.was_admin and is_general and problem.remedy_here else problem.remedy


def button(problem: Problem) -> dict[str, str]:
    """What the banner offers: `do` is a command of the page's script. What others can mend is looked at again."""
    if isinstance(problem, SessionExpired | ExpiredToken | UserGone | PortalMoved):
        return {"label": _(N_("Reopen the app")), "do": "reopen"}
    if type(problem).transient or isinstance(problem, Unexpected):
        return {"label": _(N_("Try again")), "do": "retry"}
    if isinstance(problem, PortalError) and problem.fixable_by != YOU:
        return {"label": _(N_("Check again")), "do": "repeat"}
    if problem.code == "internal_error":
        return {"label": _(N_("Try again")), "do": "retry"}
    return {"label": _(N_("Close")), "do": "dismiss"}


def answer(problem: Problem) -> Response:
    """The problem in the form the asker reads, with its honest status."""
    known = facts(problem)
    if request.headers.get("HX-Request"):
        reply = make_response(render_template("problem.html", problem=known, button=button(problem)))
        reply.headers["HX-Retarget"] = "#notices"
        reply.headers["HX-Reswap"] = "innerHTML"
    elif wants_page():
        reply = make_response(render_template("refused.html", problem=known))
    else:
        reply = make_response(json.dumps(known), {"Content-Type": PROBLEM_TYPE})
    reply.status_code = problem.status
    if problem.status == HTTPStatus.UNAUTHORIZED:
        reply.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
    if isinstance(problem, InsufficientScope):
        reply.headers["WWW-Authenticate"] = f'Bearer error="insufficient_scope", scope="{problem.scope}"'
    if "retry_after" in known:
        reply.headers["Retry-After"] = str(known["retry_after"])
    return reply


def wants_page() -> bool:
    """A browser asks for a page of its own; everything else that is not htmx gets problem+json."""
    return request.accept_mimetypes.quality("text/html") > request.accept_mimetypes.quality("application/json")


def refuse(problem: Problem) -> Response:
    """Log and answer a problem that was raised."""
    log.info("refused", code=problem.code, status=problem.status, kind=type(problem).__name__, method=problem.method)
    return answer(problem)


def refuse_http(error: HTTPException) -> Response:
    """Werkzeug's own refusals (404, 405, 413, …) in the same form; an unexpected failure is logged by Flask before."""
    status = error.code or 500
    if status in (301, 302, 303, 307, 308):
        return make_response(error.get_response())
    if status == HTTPStatus.NOT_FOUND:
        return answer(NotFound())
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        reply = answer(BadForm(status=status, detail=DETAIL_BY_STATUS.get(status, BadForm.detail)))
        if status == HTTPStatus.METHOD_NOT_ALLOWED:
            reply.headers["Allow"] = dict(error.get_headers()).get("Allow", "")
        return reply
    return answer(Problem("internal_error"))


def register(app: Flask) -> None:
    """Make these the app's error handlers."""
    app.register_error_handler(Problem, refuse)
    app.register_error_handler(HTTPException, refuse_http)
