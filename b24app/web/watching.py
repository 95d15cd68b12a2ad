"""What the page asks by itself while somebody looks: a run's progress, what moved in a list, how much is still to come.

Not for other clients: they read GET /runs and GET /runs/<id>. Each answer is small and carries an ETag, so that one
which says nothing new is a 304 without a body.
"""

import json
from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Blueprint, Response, g, render_template, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints

from b24app.domain import N_, ItemState, RunState
from b24app.errors import NotPossibleNow
from b24app.runs.queries import OpenOrders, RunView, digest
from b24app.runs.states import ALREADY_UNDONE, moved_on
from b24app.web import calendar, offers, progress, responses
from b24app.web.current import require_session, services
from b24app.web.forms import read
from b24app.web.run_forms import ItemsQuery
from b24app.web.runs import seen
from b24app.web.sight import sight
from b24app.web.translation import _

MOST_ROWS = 100
ONCE_MORE = 100  # pages; for more the number is typed
Mark = Annotated[str, StringConstraints(pattern="^[0-9a-f]{0,12}$")]


def _versions(text: object) -> dict[UUID, str]:
    """From `id.version,id.version`. Raises ValueError."""
    pairs = [each.partition(".") for each in str(text).split(",")[:MOST_ROWS] if each]
    return {UUID(run_id): version for run_id, _dot, version in pairs}


class LiveQuery(ItemsQuery):
    """The query of GET /runs/<id>/live: the screen that is shown, and the version it was drawn from."""

    version: Mark = ""


class PulseQuery(BaseModel):
    """The query of GET /runs/pulse. `rows`: runs of a list that may still move, as `id.version`, comma separated;
    `alone`: the list belongs to one page.
    """

    model_config = ConfigDict(extra="ignore")

    rows: Annotated[dict[UUID, str], BeforeValidator(_versions)] = {}
    alone: bool = False


class SureQuery(BaseModel):
    """The query of GET /runs/<id>/confirm."""

    model_config = ConfigDict(extra="ignore")

    what: Literal["undo", "cancel"]


blueprint = Blueprint("watching", __name__, url_prefix="/runs")
blueprint.before_request(require_session)


@blueprint.get("/<uuid:run_id>/live")
def live(run_id: UUID) -> Response:
    query = read(LiveQuery, request.args)
    view = seen(run_id, query)
    if progress.version(view) != query.version:
        return responses.json({"again": True})  # never 304: who asks has yet to draw it
    return _if_new(progress.since(view))


@blueprint.get("/pulse")
def pulse() -> Response:
    query = read(PulseQuery, request.args)
    to_come = services().runs.open_orders(g.actor)
    return _if_new({
        "count": to_come.count or "",
        "state": busy(to_come),
        "version": to_come.version,
        "moving": to_come.moving,
        "under_way": render_template("runs/under-way.html", under_way=progress.under_way(g.actor, to_come)),
        "rows": _rows(query),
    })  # fmt: skip


@blueprint.get("/<uuid:run_id>/confirm")
def confirm(run_id: UUID) -> Response:
    query = read(SureQuery, request.args)
    view = offers.of_one(seen(run_id, ItemsQuery(limit=1)))
    if query.what not in view.can:
        raise _why_not(view, query.what)
    return responses.html(
        "runs/sure.html", **progress.told(view), what=query.what, place=calendar.place(),
        typed=view.counts[ItemState.SUCCEEDED] > ONCE_MORE, begun=view.run.state is not RunState.SCHEDULED,
    )  # fmt: skip


def _why_not(view: RunView, what: str) -> NotPossibleNow:
    if what == "undo" and view.undone is not None:
        return NotPossibleNow(detail=ALREADY_UNDONE)
    return moved_on(view.run) if what == "cancel" and view.run.state.is_final else NotPossibleNow()


def busy(to_come: OpenOrders) -> str:
    """Why the tab of what is scheduled carries a dot; empty when it does not."""
    if to_come.troubled:
        return _(N_("something needs attention"))
    return _(N_("something is in progress")) if to_come.moving else ""


def _rows(query: PulseQuery) -> dict[str, str]:
    """Those of the rows that are shown otherwise by now, as they are."""
    known = services().runs.among(g.actor, query.rows)
    changed = [view for view in known if progress.row_version(view) != query.rows[view.run.id]]
    rows = progress.rows(offers.of(changed), sight(changed)) if changed else []
    return {row["id"]: render_template("runs/row.html", run=row, alone=query.alone) for row in rows}


def _if_new(body: dict[str, Any]) -> Response:
    """The answer, or 304 where the page has it already."""
    reply = responses.json(body)
    reply.set_etag(digest(json.dumps(body, sort_keys=True, default=str)))
    reply.make_conditional(request)
    return reply
