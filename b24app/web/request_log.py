"""GET /log and /log.csv: what was asked of Bitrix24 for this portal; for administrators, who are asked for live."""

from datetime import date, datetime
from typing import Annotated, Literal

from flask import Blueprint, Response, g, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from b24app import i18n
from b24app.domain import N_, Actor
from b24app.request_log import CallFilter
from b24app.store.models import ApiCall
from b24app.web import responses, serializers
from b24app.web.csv import Column, csv_file
from b24app.web.current import require_session, services
from b24app.web.forms import Number, day_or_time, read, start_of
from b24app.web.shapes import CallShape
from b24app.web.translation import _

Line = tuple[ApiCall, str]  # a call, and the name of whom it was made for
COLUMNS: tuple[Column[Line], ...] = (
    Column("at", N_("When"), lambda line: line[0].at, is_time=True),
    Column("user_id", None, lambda line: line[0].user_id),
    Column("user", N_("For"), lambda line: line[1]),
    Column("method", N_("Method"), lambda line: line[0].method),
    Column("params", N_("Request"), lambda line: line[0].params),
    Column("http_status", N_("Status"), lambda line: line[0].http_status),
    Column("code", N_("Code"), lambda line: line[0].code),
    Column("seconds", N_("Seconds"), lambda line: round(line[0].seconds, 3)),
    Column("answer", N_("Answer"), lambda line: line[0].answer),
)

blueprint = Blueprint("request_log", __name__)
blueprint.before_request(require_session)


class CallQuery(BaseModel):
    """The query of GET /log and /log.csv."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    method: Annotated[str, StringConstraints(strip_whitespace=True, max_length=100)] | None = None
    user_id: Number | None = Field(None, ge=1, le=2**53)
    status: Literal["ok", "failed"] | None = None
    since: Annotated[date | datetime | None, BeforeValidator(day_or_time)] = Field(None, alias="from")
    before: Annotated[date | datetime | None, BeforeValidator(day_or_time)] = Field(None, alias="to")
    after: Number | None = Field(None, ge=1, le=2**62)
    limit: Number = Field(50, ge=1, le=100)

    def filter(self, actor: Actor) -> CallFilter:
        """As the request log takes it. A day counts whole, in the actor's zone."""
        zone = i18n.zone(actor.zone)
        since, before = start_of(self.since, zone), start_of(self.before, zone, days=1)
        failed = None if self.status is None else self.status == "failed"
        return CallFilter(self.method, self.user_id, failed, since, before, self.after, self.limit)


@blueprint.get("/log")
def log() -> Response:
    query = read(CallQuery, request.args)
    services().permissions.require_administrator(g.actor)
    rows, following = services().request_log.listed(g.actor, query.filter(g.actor))
    calls = [_call(call, name) for call, name in rows]
    if responses.wants_json():
        return responses.json({"calls": calls, "next": following and str(following)})
    part = request.headers.get("HX-Target", "").endswith("calls")
    return responses.html(
        "log/rows.html" if part else "log/list.html", calls=calls, next=following,
        methods=[] if part else services().request_log.methods(g.actor),
        filters={name: value for name, value in request.args.items() if value},
        kept_days=services().config.api_log_days,
    )  # fmt: skip


@blueprint.get("/log.csv")
def log_csv() -> Response:
    query = read(CallQuery, request.args)
    services().permissions.require_administrator(g.actor)
    calls = services().request_log.all_of(g.actor, query.filter(g.actor))
    return csv_file(_(N_("Sundown requests to the portal")), COLUMNS, calls, raw_name="sundown-log")


def _call(call: ApiCall, name: str) -> CallShape:
    """One call of GET /log."""
    return {
        "id": call.id, "at": serializers.iso(call.at), "user_id": call.user_id, "user": name, "method": call.method,
        "params": call.params, "http_status": call.http_status, "code": call.code, "seconds": round(call.seconds, 3),
        "answer": call.answer,
    }  # fmt: skip
