"""/oauth/start and /oauth/callback: signing in outside the frame. The one cookie there is lives below /oauth."""

from flask import Blueprint, Response, current_app, g, redirect, request

from b24app.bitrix.address import plain_host
from b24app.errors import BadForm, Problem, SignInRefused
from b24app.services import Services
from b24app.signin import LIFE
from b24app.web.frames import refused_page, shell
from b24app.web.session import SessionTokens

COOKIE, PATH = "sundown_sign_in", "/oauth"
START = "/pages"


def blueprint(services: Services, sessions: SessionTokens) -> Blueprint:
    """Two routes."""
    oauth = Blueprint("oauth", __name__, url_prefix=PATH)

    @oauth.get("/start")
    def start() -> Response:
        try:
            domain = plain_host(request.args.get("domain", ""))
        except ValueError:
            raise BadForm(status=400) from None
        departure = services.signin.start(domain)
        reply = current_app.make_response(redirect(departure.url, 302))
        reply.set_cookie(
            COOKIE, departure.browser, max_age=LIFE, path=PATH, httponly=True, samesite="Lax",
            secure=services.config.app_url.startswith("https://"),
        )  # fmt: skip
        return reply

    @oauth.get("/callback")
    def callback() -> Response:
        code, state = request.args.get("code", ""), request.args.get("state", "")
        if not code or len(code) > 512 or "\0" in code:
            raise BadForm(status=400)
        browser = request.cookies.get(COOKIE)
        if browser is None:
            raise SignInRefused("state_of_another_browser")
        opening = services.signin.finish(code, state, browser, request.args.get("server_domain"), g.lang)
        services.perform.resume_for(opening.user)
        reply = shell(services, opening, sessions.opened(opening), START)
        reply.delete_cookie(COOKIE, path=PATH, httponly=True, samesite="Lax")
        return reply

    @oauth.errorhandler(Problem)
    def refused(problem: Problem) -> Response:
        return refused_page(problem)

    return oauth
