"""For the operator and the platform that runs the app: lives it, is it ready, what are its figures."""

import hmac
from datetime import datetime

from flask import Blueprint, Response, request
from prometheus_client import CONTENT_TYPE_LATEST

from b24app.errors import NotFound
from b24app.operations.metrics import exposed
from b24app.store.connections import TransactionPooling
from b24app.store.heartbeat import NotReady, is_late, ready
from b24app.web import responses, serializers
from b24app.web.current import services

NOT_READY = {
    "no_database": "The database does not answer. Check DATABASE_URL and that PostgreSQL runs.",
    "not_migrated": "The tables are older than this version of the app. Run `alembic upgrade head`.",
}

blueprint = Blueprint("ops", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    return responses.json({"status": "ok"})


@blueprint.get("/readyz")
def readyz() -> Response:
    try:
        seen = ready(services().store)
    except NotReady as why:
        return responses.json({"status": str(why), "detail": NOT_READY[str(why)]}, 503)
    except TransactionPooling as pooled:
        return responses.json({"status": "transaction_pooling", "detail": str(pooled)}, 503)
    return responses.json({"status": "ok", "worker": _worker(seen)})


def _worker(seen: datetime | None) -> dict[str, object]:
    return {"last_seen": serializers.iso(seen), "late": is_late(seen, services().clock())}


@blueprint.get("/metrics")
def metrics() -> Response:
    token = services().config.metrics_token
    if token is None and not services().config.is_loopback:
        raise NotFound()
    if token is not None and not _is_bearer(token.get_secret_value()):
        reply = responses.json({"status": "metrics need their token"}, 401)
        reply.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"'
        return reply
    return Response(exposed(services().store, services().clock()), content_type=CONTENT_TYPE_LATEST)


def _is_bearer(token: str) -> bool:
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(sent.encode(), token.encode())
