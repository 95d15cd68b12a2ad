"""/oauth/start and /oauth/callback: signing in outside the frame. The one cookie there is lives below /oauth."""

from flask import Blueprint, Response, current_app, g, redirect, request

from b24app.bitrix.address import plain_host
from b24app.errors import BadForm, Problem, SignInRefused
from b24app.portals.sign_in import LIFE, Arrival
from b24app.web.current import services
from b24app.web.frames import refused_page, shell

COOKIE, PATH = "sundown_sign_in", "/oauth"
START = "/pages"
LONGEST = 4096

blueprint = Blueprint("oauth", __name__, url_prefix=PATH)


@blueprint.get("/start")
def start() -> Response:
    departure = services().sign_in.start(_host("domain"))
    reply = current_app.make_response(redirect(departure.url, 302))
    reply.set_cookie(
        COOKIE, departure.browser, max_age=LIFE, path=PATH, httponly=True, samesite="Lax",
        secure=services().config.app_url.startswith("https://"),
    )  # fmt: skip
    return reply


@blueprint.get("/callback")
def callback() -> Response:
    arrival = _arrival()
    browser = request.cookies.get(COOKIE)
    if browser is None:
        raise SignInRefused("state_of_another_browser")
    opening = services().sign_in.finish(arrival, browser, g.lang, request.remote_addr or "")
    services().waiting.resume_for(opening.user)
    reply = shell(opening, START)
    reply.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="Lax")
    return reply


@blueprint.errorhandler(Problem)
def refused(problem: Problem) -> Response:
    return refused_page(problem)


def _arrival() -> Arrival:
    """The callback's query, shape checked. Raises BadForm."""
    code = _said("code")
    if not code:
        raise BadForm(status=400)
    domain = _host("domain") if "domain" in request.args else None
    return Arrival(code, _said("state"), _said("member_id") or None, domain, _said("server_domain") or None)


def _host(name: str) -> str:
    try:
        return plain_host(_said(name))
    except ValueError:
        raise BadForm(status=400) from None


def _said(name: str) -> str:
    """One value of bearable size; said twice it is nobody's. Raises BadForm."""
    values = request.args.getlist(name) or [""]
    if len(values) > 1 or len(values[0]) > LONGEST or "\0" in values[0]:
        raise BadForm(status=400)
    return values[0]
