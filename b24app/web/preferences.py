"""PUT /preferences: how one person wants to see the app; GET: the dialog in which they choose it. GET /zones: the time
zones they choose from, which a browser asks for once somebody looks for one and then keeps.

Kept on the server, because the frame keeps nothing.
"""

from typing import Annotated, Literal

from flask import Blueprint, Response, g, make_response, request
from pydantic import BaseModel, ConfigDict, StringConstraints

from b24app import i18n
from b24app.domain import NoticeWish
from b24app.users import Preference
from b24app.web import responses
from b24app.web.current import require_session, services
from b24app.web.forms import body, read
from b24app.web.translation import zone_options, zones_version

KEPT_FOR_GOOD = "private, max-age=31536000, immutable"
Zone = Annotated[str, StringConstraints(strip_whitespace=True, max_length=64)]


class Preferences(BaseModel):
    """The body: what is not sent stays as it is."""

    model_config = ConfigDict(extra="ignore")

    theme: Literal["light", "dark", "system"] | None = None
    zone: Zone | None = None  # IANA, or `portal`
    browser_zone: Zone | None = None
    notices: NoticeWish | None = None


blueprint = Blueprint("preferences", __name__)
blueprint.before_request(require_session)


@blueprint.get("/preferences")
def shown() -> Response:
    return responses.html(
        "preferences.html",
        theme=g.actor.theme,
        zone=services().users.chosen_zone(g.actor.user),
        notices=services().users.wanted_notices(g.actor.user),
        language=i18n.own_name(i18n.shown_in(g.actor.language)),
    )


@blueprint.get("/zones")
def zone_list() -> Response:
    """Every zone as an option. Only a list that the address names is kept: any other may be of another release."""
    reply = make_response(zone_options())
    reply.headers["Cache-Control"] = KEPT_FOR_GOOD if request.args.get("v") == zones_version() else "no-store"
    return reply


@blueprint.put("/preferences")
def change() -> Response:
    wish = read(Preferences, body())
    services().users.prefer(g.actor.user, Preference(wish.theme, wish.zone, wish.browser_zone, wish.notices))
    return Response(status=204)
