"""/health, /health/repair and /log: for administrators, who are asked for live each time."""

from typing import Any

from flask import Blueprint, Response, g

from b24app.domain import APP_SCOPE, N_, NOTICE_SCOPE
from b24app.errors import PortalError, error_for
from b24app.portals.bindings import PLACEMENT
from b24app.portals.health import Health, Repair
from b24app.web import responses, serializers
from b24app.web.current import require_session, services
from b24app.web.problems import facts
from b24app.web.translation import _

BOUND_NOW, BOUND_BEFORE = N_("Connected now."), N_("Nothing needed fixing.")


blueprint = Blueprint("health", __name__)
blueprint.before_request(require_session)


@blueprint.get("/health")
def look() -> Response:
    return _answer(_shape(services().portal_health.look(g.actor)), None)


@blueprint.post("/health/repair")
def repair() -> Response:
    done = _done(services().portal_health.repair(g.actor))
    return _answer(_shape(services().portal_health.look(g.actor)), done)


def _answer(shown: dict[str, Any], done: list[dict[str, str]] | None) -> Response:
    if responses.wants_json():
        return responses.json(shown if done is None else {"done": done, "health": shown})
    return responses.html("health/view.html", health=shown, done=done)


def _shape(seen: Health) -> dict[str, Any]:
    """The look as JSON; times in UTC."""
    portal, stopped = seen.portal, seen.portal.suspended_code
    dead = seen.token.dead_code
    return {
        "healthy": seen.has_scope and seen.is_bound and not seen.worker_late and not stopped and not dead,
        "portal": {
            "domain": portal.domain, "member_id": portal.member_id, "status": portal.status,
            "app_version": portal.app_version, "installed_at": serializers.iso(portal.installed_at),
        },
        "token": {
            "valid_until": serializers.iso(seen.token.expires_at),
            "renewable_until": serializers.iso(seen.renewable_until),
            "problem": dead and facts(error_for(dead, 401)),
        },
        "scopes": list(seen.scopes),
        "missing_scopes": [] if seen.has_scope else [APP_SCOPE],
        "events": [{"event": event, "bound": bound} for event, bound in seen.events.items()],
        "placement": {"placement": PLACEMENT, "bound": seen.placement},
        "worker": {"last_seen": serializers.iso(seen.worker_seen), "late": seen.worker_late},
        "limits": {
            "paused_until": serializers.iso(seen.paused_until), "requests_10_min": seen.usage.requests,
            "seconds_10_min": round(seen.usage.seconds, 2), "refused_10_min": seen.usage.limited,
            "methods": [
                {"method": each.method, "operating_seconds": round(each.seconds, 2), "limit": each.limit}
                for each in seen.operating
            ],
        },
        "notices": {
            "scope": NOTICE_SCOPE, "granted": seen.tells_people, "sent_7_days": seen.notices.sent,
            "refused_7_days": seen.notices.refused, "lost_7_days": seen.notices.lost, "waiting": seen.notices.waiting,
        },
        "suspended": stopped and facts(error_for(stopped, 401)),
    }  # fmt: skip


def _done(repair: Repair) -> list[dict[str, str]]:
    """What a repair did, a line each."""
    lines = [_binding(name, outcome) for name, outcome in repair.bound.items()]
    if repair.cleared:
        words = _(N_("Work on this portal had stopped (%(code)s) and now continues."), code=repair.cleared)
        lines.append({"key": "suspended", "state": "done", "words": words})
    lines.append({"key": "lists", "state": "done", "words": _(N_("The lists of pages will be loaded again."))})
    if repair.resumed:
        words = _(N_("Continued after waiting: %(number)s."), number=repair.resumed)
        lines.append({"key": "runs", "state": "done", "words": words})
    return lines


def _binding(name: str, outcome: bool | PortalError) -> dict[str, str]:
    if isinstance(outcome, PortalError):
        words = f"{_(outcome.detail)} {_(outcome.remedy)}"
        return {"key": name, "state": "failed", "words": words, "code": outcome.code}
    return {
        "key": name,
        "state": "done" if outcome else "already",
        "words": _(BOUND_NOW if outcome else BOUND_BEFORE),
    }
