"""GET /runs.ics and /runs/<id>.ics: what is scheduled, for the person's own calendar; an event each half of a pair.

A file holds what its reader may see on the screen, and nothing more. Writing it: `icalendar`.
"""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from flask import Blueprint, Response, g, request
from pydantic import BaseModel, ConfigDict, StringConstraints

from b24app import i18n
from b24app.domain import N_, Action, RunState
from b24app.errors import NotFound, NotPossibleNow
from b24app.runs.agenda import Entry, Wanted
from b24app.store.models import Run
from b24app.web.current import require_session, services
from b24app.web.forms import DayOrTime, read, start_of
from b24app.web.icalendar import Event, calendar
from b24app.web.sight import Sight, sight, words
from b24app.web.translation import _, ngettext

MOST_ENTRIES = 2_000  # more than a portal may have open
SUMMARIES = {
    (Action.UNPUBLISH, False): N_("Unpublish %(pages)s"),
    (Action.PUBLISH, False): N_("Publish %(pages)s"),
    (Action.PUBLISH, True): N_("Back online: %(pages)s"),
    (Action.UNPUBLISH, True): N_("Unpublish again: %(pages)s"),
}
ABOUT = (N_("Campaign: %(text)s"), N_("Reason: %(text)s"), N_("Sites: %(text)s"), N_("Scheduled by %(text)s"))

Half = tuple[Entry, Run]


class DueQuery(BaseModel):
    """The query of GET /runs/<id>.ics."""

    model_config = ConfigDict(extra="ignore")

    due_from: DayOrTime = None
    due_to: DayOrTime = None

    def is_within(self, half: Run) -> bool:
        """Whether its time lies in the days or between the moments that are asked for."""
        zone = i18n.zone(g.actor.zone)
        since, before = start_of(self.due_from, zone), start_of(self.due_to, zone, days=1)
        return half.at is not None and (since is None or half.at >= since) and (before is None or half.at < before)


class IcsQuery(DueQuery):
    """The query of GET /runs.ics."""

    q: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""


blueprint = Blueprint("calendar_files", __name__)
blueprint.before_request(require_session)


@blueprint.get("/runs.ics")
def to_come() -> Response:
    query = read(IcsQuery, request.args)
    entries, _total = services().agenda.to_come(g.actor, Wanted(words(query.q)), 0, MOST_ENTRIES)
    scheduled = [half for half in _halves(entries) if half[1].state is RunState.SCHEDULED]
    return _file([half for half in scheduled if query.is_within(half[1])], "sundown")


@blueprint.get("/runs/<uuid:run_id>.ics")
def of_one(run_id: UUID) -> Response:
    query = read(DueQuery, request.args)
    entries = services().agenda.of(g.actor, [run_id])
    if not entries:
        raise NotFound()
    halves = [half for half in _halves(entries) if half[1].at is not None]
    if not halves:
        raise NotPossibleNow(detail=N_("It has no set time, so there is nothing to put into a calendar."))
    return _file([half for half in halves if query.is_within(half[1])], f"sundown-{run_id}")


def _halves(entries: Sequence[Entry]) -> list[Half]:
    return [(entry, half) for entry in entries for half in entry.halves]


def _file(halves: Sequence[Half], name: str) -> Response:
    views = {view.run.id: view for entry, _half in halves for view in (entry.views or {}).values()}
    seen = sight(views.values())
    host = services().config.app_url.partition("://")[2].partition("/")[0].partition(":")[0]
    events = [_event(half, views[half.id].total, seen, host) for _entry, half in halves]
    text = calendar(_(N_("Sundown schedule")), events, services().clock())
    answer = Response(text.encode(), content_type="text/calendar; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.ics"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _event(half: Run, total: int, seen: Sight, host: str) -> Event:
    assert half.at is not None  # noqa: S101  only halves with a time come here
    pages = seen.titles.get(half.id) or ngettext("%(num)s page", "%(num)s pages", total)
    said = _(SUMMARIES[half.action, half.is_return], pages=pages)
    values = (half.name, half.reason, ", ".join(seen.sites.get(half.id, ())), half.created_name)
    return Event(
        uid=f"{half.id}@{host}", at=half.at, ordered_at=half.created_at,
        summary=f"{half.name}: {said}" if half.name else said, category=half.name,
        description="\n".join(_(about, text=value) for about, value in zip(ABOUT, values, strict=True) if value),
        is_cancelled=half.state is RunState.CANCELLED,
    )  # fmt: skip
