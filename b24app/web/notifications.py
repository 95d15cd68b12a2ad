"""GET /news: what happened since this person last said to know it; POST /news/seen: they know."""

from datetime import datetime
from typing import Annotated, Any

from flask import Blueprint, Response, g, request
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict

from b24app.web import responses, serializers
from b24app.web.current import require_session, services
from b24app.web.forms import body, iso_text, read


class Seen(BaseModel):
    """The body of POST /news/seen: up to which moment, as GET /news told it; now when it is left out."""

    model_config = ConfigDict(extra="ignore")

    as_of: Annotated[AwareDatetime, BeforeValidator(iso_text)] | None = None


blueprint = Blueprint("news", __name__, url_prefix="/news")
blueprint.before_request(require_session)


@blueprint.get("")
def since() -> Response:
    unseen = services().notifications.since_seen(g.actor)
    titles = services().runs.only_titles(g.actor, [*unseen.ended, *unseen.waiting, *unseen.doubtful])
    told: dict[str, Any] = {
        "as_of": unseen.as_of.isoformat(),
        "ended": serializers.rows_in_words(unseen.ended, titles),
        "waiting": serializers.rows_in_words(unseen.waiting, titles),
        "doubtful": serializers.rows_in_words(unseen.doubtful, titles),
    }
    if responses.wants_json():
        return responses.json(told)
    return responses.html("runs/news.html", any=bool(unseen), **told)


@blueprint.post("/seen")
def seen() -> Response:
    up_to: datetime | None = read(Seen, body()).as_of
    services().notifications.seen(g.actor, up_to or services().clock())
    is_our_page = "HX-Request" in request.headers and not responses.wants_json()
    return responses.html("runs/news.html", any=False) if is_our_page else Response(status=204)
