"""For the operator and the platform that runs the app: lives it, is it ready, what are its figures."""

import hmac
from datetime import datetime

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_LATEST

from b24app import metrics
from b24app.chores import WORKER_LATE
from b24app.errors import NotFound
from b24app.services import Services
from b24app.web import replies


def blueprint(services: Services) -> Blueprint:
    """/healthz, /readyz, /metrics."""
    ops = Blueprint("ops", __name__)

    @ops.get("/healthz")
    def lives() -> Response:
        return replies.json({"status": "ok"})

    @ops.get("/readyz")
    def ready() -> Response:
        try:
            seen = metrics.worker_seen(services.store)
        except metrics.NotReady as why:
            return replies.json({"status": str(why)}, 503)
        return replies.json({"status": "ok", "worker": _worker(seen)})

    def _worker(seen: datetime | None) -> dict[str, object]:
        late = seen is None or seen < services.clock() - WORKER_LATE
        return {"last_seen": replies.iso(seen), "late": late}

    @ops.get("/metrics")
    def figures() -> Response:
        token = services.config.metrics_token
        if token is None and not services.config.is_loopback:
            raise NotFound()
        if token is not None and not _is_bearer(token.get_secret_value()):
            reply = replies.json({"status": "metrics need their token"}, 401)
            reply.headers["WWW-Authenticate"] = "Bearer"
            return reply
        return Response(metrics.exposed(services.store), content_type=CONTENT_TYPE_LATEST)

    return ops


def _is_bearer(token: str) -> bool:
    sent = request.headers.get("Authorization", "")
    return hmac.compare_digest(sent.encode(), f"Bearer {token}".encode())
