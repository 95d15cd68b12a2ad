"""POST /events: what Bitrix24's queue tells of the app itself. Nobody in the portal sees these answers."""

from flask import Blueprint, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from b24app.bitrix.forms import EventPost, parse_event
from b24app.errors import BadForm
from b24app.services import Services
from b24app.web import replies
from b24app.web.frames import FORM_LIMIT, FORM_TYPES
from b24app.web.problems import WORDS_BY_STATUS


def blueprint(services: Services) -> Blueprint:
    """One route."""
    events = Blueprint("events", __name__)

    @events.post("/events")
    def hear() -> Response:
        services.lifecycle.hear(_read_event(), request.remote_addr or "")
        return replies.json({"status": "ok"})

    return events


def _read_event() -> EventPost:
    """The event, shape checked. Raises BadForm 400, 413, 415."""
    request.max_content_length = FORM_LIMIT
    if request.mimetype not in FORM_TYPES:
        raise BadForm(status=415, words=WORDS_BY_STATUS[415])
    try:
        return parse_event(request.form)
    except RequestEntityTooLarge:
        raise BadForm(status=413, words=WORDS_BY_STATUS[413]) from None
