"""GET /news: what happened since this person last said to know it; POST /news/seen: they know."""

from datetime import datetime
from typing import Any

from flask import Blueprint, Response, g
from pydantic import AwareDatetime, BaseModel, ConfigDict

from b24app.authority import Authority
from b24app.news import News
from b24app.services import Services
from b24app.web import replies
from b24app.web.forms import body, read


class Seen(BaseModel):
    """The body of POST /news/seen: up to which moment, as GET /news told it; now when it is left out."""

    model_config = ConfigDict(extra="ignore")

    as_of: AwareDatetime | None = None


def blueprint(services: Services) -> Blueprint:
    """Two routes."""
    news = Blueprint("news", __name__, url_prefix="/news")
    authority = Authority(services.tokens, services.pages, services.clock)
    found = News(services.store, services.runs, authority, services.clock)

    @news.get("")
    def since() -> Response:
        tidings = found.since_seen(g.actor)
        titles = services.runs.only_titles(g.actor, [*tidings.ended, *tidings.waiting, *tidings.doubtful])
        told: dict[str, Any] = {
            "as_of": tidings.as_of.isoformat(),
            "ended": replies.rows_in_words(tidings.ended, titles),
            "waiting": replies.rows_in_words(tidings.waiting, titles),
            "doubtful": replies.rows_in_words(tidings.doubtful, titles),
        }
        if replies.wants_json():
            return replies.json(told)
        return replies.html("runs/news.html", any=bool(tidings), **told)

    @news.post("/seen")
    def seen() -> Response:
        up_to: datetime | None = read(Seen, body()).as_of
        found.seen(g.actor, up_to or services.clock())
        return Response(status=204) if replies.wants_json() else replies.html("runs/news.html", any=False)

    return news
