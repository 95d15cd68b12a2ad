"""/health, /health/repair and /log: for administrators, who are asked for live each time."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, g, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from b24app import i18n
from b24app.authority import Authority
from b24app.bindings import PLACEMENT
from b24app.calls import CallFilter
from b24app.errors import PortalError, error_for
from b24app.health import Health, Repair
from b24app.services import Services
from b24app.store.models import ApiCall
from b24app.terms import APP_SCOPE, N_, Actor
from b24app.web import replies
from b24app.web.forms import read
from b24app.web.problems import facts
from b24app.web.runs import day_or_moment, start_of
from b24app.web.tables import csv_file
from b24app.web.words import _

CALL_HEADS = ("at", "user_id", "user", "method", "params", "http_status", "code", "seconds", "answer")
BOUND_NOW, BOUND_BEFORE = N_("Bound now."), N_("It was bound already.")


class CallQuery(BaseModel):
    """The query of GET /log and /log.csv."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    method: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)] | None = None
    user_id: int | None = Field(None, ge=1, le=2**53)
    status: Literal["ok", "failed"] | None = None
    since: Annotated[date | datetime | None, BeforeValidator(day_or_moment)] = Field(None, alias="from")
    before: Annotated[date | datetime | None, BeforeValidator(day_or_moment)] = Field(None, alias="to")
    after: int | None = Field(None, ge=1, le=2**62)
    limit: int = Field(50, ge=1, le=100)

    def filter(self, actor: Actor) -> CallFilter:
        """As the calls module takes it. A day counts whole, in the actor's zone."""
        zone = i18n.zone(actor.zone)
        since, before = start_of(self.since, zone), start_of(self.before, zone, days=1)
        failed = None if self.status is None else self.status == "failed"
        return CallFilter(self.method, self.user_id, failed, since, before, self.after, self.limit)


def blueprint(services: Services) -> Blueprint:
    """Four routes."""
    health = Blueprint("health", __name__)
    authority = Authority(services.tokens, services.pages, services.clock)

    @health.get("/health")
    def look() -> Response:
        return _answer(_shape(services.healths.look(g.actor)), None)

    @health.post("/health/repair")
    def repair() -> Response:
        done = _done(services.healths.repair(g.actor))
        return _answer(_shape(services.healths.look(g.actor)), done)

    @health.get("/log")
    def log() -> Response:
        query = read(CallQuery, request.args)
        authority.require_administrator(g.actor)
        rows, following = services.calls.listed(g.actor, query.filter(g.actor))
        calls = [_call(call, name) for call, name in rows]
        if replies.wants_json():
            return replies.json({"calls": calls, "next": following and str(following)})
        part = request.headers.get("HX-Target", "").endswith("calls")
        return replies.html(
            "log/rows.html" if part else "log/list.html", calls=calls, next=following,
            methods=[] if part else services.calls.methods(g.actor),
            filters={name: value for name, value in request.args.items() if value},
            kept_days=services.config.api_log_days,
        )  # fmt: skip

    @health.get("/log.csv")
    def log_csv() -> Response:
        query = read(CallQuery, request.args)
        authority.require_administrator(g.actor)
        return csv_file("sundown-log.csv", CALL_HEADS, _rows(query.filter(g.actor)))

    def _rows(wanted: CallFilter) -> Iterator[list[object]]:
        for call, name in services.calls.all_of(g.actor, wanted):
            shown = _call(call, name)
            yield [shown[head] for head in CALL_HEADS]

    return health


def _answer(shown: dict[str, Any], done: list[dict[str, str]] | None) -> Response:
    if replies.wants_json():
        return replies.json(shown if done is None else {"done": done, "health": shown})
    return replies.html("health/view.html", health=shown, done=done)


def _shape(seen: Health) -> dict[str, Any]:
    """The look as JSON; times in UTC."""
    portal, stopped = seen.portal, seen.portal.suspended_code
    dead = seen.token.dead_code
    return {
        "healthy": seen.has_scope and seen.is_bound and not seen.worker_late and not stopped and not dead,
        "portal": {
            "domain": portal.domain, "member_id": portal.member_id, "status": portal.status,
            "app_version": portal.app_version, "installed_at": replies.iso(portal.installed_at),
        },
        "token": {
            "valid_until": replies.iso(seen.token.expires_at), "renewable_until": replies.iso(seen.renewable_until),
            "problem": dead and facts(error_for(dead, 401)),
        },
        "scopes": list(seen.scopes),
        "missing_scopes": [] if seen.has_scope else [APP_SCOPE],
        "events": [{"event": event, "bound": bound} for event, bound in seen.events.items()],
        "placement": {"placement": PLACEMENT, "bound": seen.placement},
        "worker": {"last_seen": replies.iso(seen.worker_seen), "late": seen.worker_late},
        "limits": {
            "paused_until": replies.iso(seen.paused_until), "requests_10_min": seen.usage.requests,
            "seconds_10_min": round(seen.usage.seconds, 2), "refused_10_min": seen.usage.limited,
            "methods": [
                {"method": each.method, "operating_seconds": round(each.seconds, 2), "limit": each.limit}
                for each in seen.operating
            ],
        },
        "suspended": stopped and facts(error_for(stopped, 401)),
    }  # fmt: skip


def _done(repair: Repair) -> list[dict[str, str]]:
    """What a repair did, a line each."""
    lines = [_binding(name, outcome) for name, outcome in repair.bound.items()]
    if repair.cleared:
        words = _(N_("Work on this portal had stopped (%(code)s) and goes on."), code=repair.cleared)
        lines.append({"key": "suspended", "state": "done", "words": words})
    lines.append({"key": "lists", "state": "done", "words": _(N_("Lists of pages will be read anew."))})
    if repair.resumed:
        words = _(N_("Waiting runs that go on: %(number)s."), number=repair.resumed)
        lines.append({"key": "runs", "state": "done", "words": words})
    return lines


def _binding(name: str, outcome: bool | PortalError) -> dict[str, str]:
    if isinstance(outcome, PortalError):
        words = f"{_(outcome.words)} {_(outcome.remedy)}"
        return {"key": name, "state": "failed", "words": words, "code": outcome.code}
    return {
        "key": name,
        "state": "done" if outcome else "already",
        "words": _(BOUND_NOW if outcome else BOUND_BEFORE),
    }


def _call(call: ApiCall, name: str) -> dict[str, Any]:
    """One call of GET /log."""
    return {
        "id": call.id, "at": replies.iso(call.at), "user_id": call.user_id, "user": name, "method": call.method,
        "params": call.params, "http_status": call.http_status, "code": call.code, "seconds": round(call.seconds, 3),
        "answer": call.answer,
    }  # fmt: skip
