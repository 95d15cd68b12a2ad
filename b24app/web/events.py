"""POST /events: what Bitrix24's queue tells of the app itself. Nobody in the portal sees these answers."""

from flask import Blueprint, Response, request

from b24app.bitrix.forms import parse_event
from b24app.services import Services
from b24app.web import replies
from b24app.web.forms import from_bitrix


def blueprint(services: Services) -> Blueprint:
    """One route."""
    events = Blueprint("events", __name__)

    @events.post("/events")
    def hear() -> Response:
        services.lifecycle.hear(parse_event(from_bitrix()), request.remote_addr or "")
        return replies.json({"status": "ok"})

    return events
