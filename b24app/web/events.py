"""POST /events: what Bitrix24's queue tells of the app itself. Nobody in the portal sees these answers."""

from flask import Blueprint, Response, request

from b24app.bitrix.forms import parse_event
from b24app.web import responses
from b24app.web.current import services
from b24app.web.forms import from_bitrix

blueprint = Blueprint("events", __name__)


@blueprint.post("/events")
def receive() -> Response:
    services().install_events.receive(parse_event(from_bitrix()), request.remote_addr or "")
    return responses.json({"status": "ok"})
