"""PUT /preferences: how one person wants to see the app. Kept on the server, because the frame keeps nothing."""

from typing import Annotated, Literal

from flask import Blueprint, Response, g
from pydantic import BaseModel, ConfigDict, StringConstraints

from b24app.moments import zone_of
from b24app.services import Services
from b24app.web.forms import body, read


class Preferences(BaseModel):
    """The body: what is not sent stays as it is."""

    model_config = ConfigDict(extra="ignore")

    theme: Literal["light", "dark"] | None = None
    zone: Annotated[str, StringConstraints(strip_whitespace=True, max_length=64)] | None = None


def blueprint(services: Services) -> Blueprint:
    """One route."""
    preferences = Blueprint("preferences", __name__)

    @preferences.put("/preferences")
    def change() -> Response:
        wish = read(Preferences, body())
        if wish.zone is not None:
            zone_of(wish.zone)
        services.people.prefer(g.actor.user, wish.theme, wish.zone)
        return Response(status=204)

    return preferences
