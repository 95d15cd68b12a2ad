"""The two pages Bitrix24 opens in its frame: the installer and the app; and what a plain browser sees there."""

import re
from dataclasses import replace
from urllib.parse import urlsplit
from uuid import UUID

from flask import Blueprint, Response, current_app, g, redirect, request, url_for

from b24app import i18n
from b24app.bitrix.forms import FramePost, parse_frame
from b24app.domain import N_, read_id
from b24app.errors import AuthorizationUnavailable, InsufficientScope, NotFound, Problem
from b24app.portals.bindings import PLACEMENT
from b24app.portals.installs import Changes, Opening
from b24app.web import events, progress, responses
from b24app.web.current import services, session_tokens
from b24app.web.forms import from_bitrix
from b24app.web.problems import button, facts, refuse
from b24app.web.session import token_in_body
from b24app.web.translation import _

RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
blueprint = Blueprint("frames", __name__)


@blueprint.get("/install")
@blueprint.get("/app")
def outside() -> Response:
    if request.path == "/app" and request.args.get("code"):
        return current_app.make_response(redirect(f"/oauth/callback?{request.query_string.decode()}", 302))
    return responses.html("outside.html")


@blueprint.post("/install")
def install() -> Response:
    if "event" in from_bitrix():  # ONAPPUSERREADY goes to the address the app was installed from (events docs)
        return events.receive()
    post = _read_post()
    opening = services().installs.install(post, g.lang, request.remote_addr or "")
    _may_frame(opening)
    problem = None if opening.has_scope else InsufficientScope()
    return responses.html(
        "install.html",
        steps=[
            {"key": step.key, "title": _(step.title), "state": step.state, "words": _(step.words)}
            for step in opening.steps
        ],
        ready=problem is None,
        problem=problem and facts(problem),
        button=problem and button(problem),
        session_token=token_in_body(session_tokens(), opening, g.lang),
        lang=g.lang,
        theme="system",
    )


@blueprint.post("/app")
def app() -> Response:
    post = _read_post()
    opening = services().installs.open(post, g.lang, request.remote_addr or "")
    _may_frame(opening)
    services().waiting.resume_for(opening.user)
    return shell(opening, _start_url(post, opening))


@blueprint.post("/session")
def session() -> Response:
    post = _read_post()
    lang = g.lang if post.lang else None
    opening = services().installs.open(post, lang, request.remote_addr or "")
    services().waiting.resume_for(opening.user)
    return responses.json({"session_token": token_in_body(session_tokens(), opening, lang)})


@blueprint.get("/privacy")
def privacy() -> Response:
    return responses.html("privacy.html", months=services().config.history_months)


@blueprint.get("/licence")
def licence() -> Response:
    return responses.html("licence.html")


@blueprint.errorhandler(Problem)
def refused(problem: Problem) -> Response:
    if request.path == "/session":
        return refuse(problem)
    _may_show_refusal(problem)
    return refused_page(problem)


def refused_page(problem: Problem) -> Response:
    """The refusal as a page in words, whatever the browser says it accepts."""
    told = refuse(problem)  # for the log; the person gets the page
    page = responses.html("refused.html", problem.status, problem=facts(problem))
    for name in ("Retry-After", "WWW-Authenticate"):
        if name in told.headers:
            page.headers[name] = told.headers[name]
    return page


def shell(opening: Opening, start_url: str) -> Response:
    """The app's own page: everything in it is fetched by the page itself, with the session token."""
    token = token_in_body(session_tokens(), opening, g.lang)
    actor = g.actor = replace(services().users.actor(opening.user), language=g.lang)
    missing = [] if opening.has_scope else [InsufficientScope()]
    changes = services().installs.changes(opening.user)
    if changes.scope and opening.has_scope:
        services().waiting.resume_portal(opening.user.member_id, InsufficientScope)
    to_come = services().runs.open_orders(actor)
    return responses.html(
        "frame.html",
        title="Sundown",
        session_token=token,
        lang=actor.language,
        theme=actor.theme,
        actor={"name": actor.name, "user_id": actor.user_id, "admin": actor.was_admin},
        start_url=start_url,
        open_orders=to_come,
        under_way=progress.under_way(actor, to_come),
        zone=actor.zone,
        notices=[{"problem": facts(problem), "button": button(problem)} for problem in missing],
        changes=_changes(changes) if opening.has_scope else [],
    )


def _changes(changes: Changes) -> list[dict[str, str]]:
    """News of the app itself, as heading and words."""
    told = []
    if changes.version is not None:
        words = _(N_("This portal now uses version %(version)s of the app."), version=changes.version)
        told.append({"title": _(N_("Sundown was updated")), "words": words})
    if changes.scope is not None:
        words = _(N_("The portal now allows it: %(scopes)s."), scopes=", ".join(changes.scope))
        told.append({"title": _(N_("The app's permissions were changed")), "words": words})
    return told


def _read_post() -> FramePost:
    """The frame's post, shape checked. Raises BadForm 400, 413, 415."""
    post = parse_frame(request.args, from_bitrix())
    g.post = post
    g.lang = i18n.language(post.lang)
    return post


def _start_url(post: FramePost, opening: Opening) -> str:
    """Where the page begins: the list, the very page whose settings the app was opened from, or the run that a link
    names. Whoever sends a link chooses its parameters: they only choose what is shown (12.5).
    """
    if post.placement.upper() != PLACEMENT:
        run_id = _linked_run(post, opening)
        return url_for("runs.one", run_id=run_id, from_notice=1) if run_id else url_for("pages.listed")
    lid, site = (read_id(post.placement_options.get(name)) for name in ("LID", "SITE_ID"))
    if lid:
        return url_for("pages.one", lid=lid)
    return url_for("pages.listed", site=site, any_kind=1) if site else url_for("pages.listed")


def _linked_run(post: FramePost, opening: Opening) -> UUID | None:
    """The run that a notice's link opens, if it is one of this portal."""
    named = post.placement_options.get("run")
    if not isinstance(named, str) or not RUN_ID.fullmatch(named):
        return None
    try:
        return services().runs.get(services().users.actor(opening.user), UUID(named)).id
    except NotFound:
        return None


def _may_frame(opening: Opening) -> None:
    """Let the proven portal, and nobody else, show this answer in a frame."""
    parts = urlsplit(opening.endpoint)
    g.frame_ancestor = f"{parts.scheme}://{parts.netloc}"


def _may_show_refusal(problem: Problem) -> None:
    """A refusal is words without a session. A known portal may show it; when the authorization server is silent, the
    portal that was named may, so that an installer is never an empty page.
    """
    post: FramePost | None = g.get("post")
    if post is None:
        return
    known = services().users.portal_address(post.member_id, post.domain)
    if known is not None:
        parts = urlsplit(known)
        g.frame_ancestor = f"{parts.scheme}://{parts.netloc}"
    elif isinstance(problem, AuthorizationUnavailable):
        g.frame_ancestor = f"{'https' if post.protocol else 'http'}://{post.domain}"
