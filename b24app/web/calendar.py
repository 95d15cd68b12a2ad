"""Scheduled: what is to come as agenda, as month and as week, and what has just been done with it, in words.

The page's own view of GET /runs with the open states. What is ordered here is in `schedule_changes`.
A pair of runs is one entry with two ends. Days are those of the person's zone, weeks begin as their language has it.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

from flask import Response, g, request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from b24app import i18n, zones
from b24app.domain import RunState
from b24app.runs.agenda import TO_COME, Entry, Wanted
from b24app.web import offers, responses, serializers, translation
from b24app.web.calendar_grid import MONTH, WEEK, Week, bounds, lay_out, step, weeks
from b24app.web.current import services
from b24app.web.forms import YEARS, DayOrTime, Number, read, start_of
from b24app.web.sight import sight, silent_worker, words
from b24app.web.translation import ngettext

AGENDA = "agenda"
STATES = ",".join(TO_COME)  # with which GET /runs is this view
ON_ONE_SCREEN = 50
LANES = {MONTH: 3, WEEK: 10}
Day = Annotated[
    date, Field(ge=date(YEARS.start, 1, 1), le=date(YEARS.stop - 1, 12, 31))
]  # weeks and months around it exist


class AgendaQuery(BaseModel):
    """The query of the page's view of GET /runs, and of what comes back to it."""

    model_config = ConfigDict(extra="ignore")

    view: Literal["agenda", "month", "week"] = "agenda"
    day: Day | None = None
    q: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    due_from: DayOrTime = None
    due_to: DayOrTime = None
    skip: Number = Field(0, ge=0, le=10_000)

    def as_kept(self) -> dict[str, object]:
        """What a dialog keeps, so that its answer shows the same view again."""
        return {"to": "scheduled"} | self.as_said()

    def as_said(self) -> dict[str, object]:
        """What of it was said."""
        said = {"view": self.view, "day": self.day and self.day.isoformat(), "q": self.q, "skip": self.skip or None}
        return {name: value for name, value in said.items() if value}


def shown(query: AgendaQuery, said: dict[str, Any] | None = None, status: int = 200) -> Response:
    """The view, whichever order it answers: its head says by which address it is shown again.

    said  what has just been done, in words
    """
    inside = _agenda(query) if query.view == AGENDA else _calendar(query)
    to_come = services().runs.open_orders(g.actor)
    view = responses.html(
        "scheduled/view.html", status, query=query, said=said, kept=query.as_kept(), today=today(),
        zone=g.actor.zone or "UTC", open_orders=to_come,
        worker=silent_worker() if to_come.count or to_come.moving else None,
        **inside,
    )  # fmt: skip
    view.headers["Content-Location"] = f"/runs?{urlencode({'state': STATES} | query.as_said())}"
    return view


def place() -> dict[str, object]:
    """Where in this view the person came from, as a dialog or a run's page keeps it; empty for any other view."""
    return read(AgendaQuery, request.args).as_kept() if request.args.get("to") == "scheduled" else {}


def answered(said: dict[str, Any] | None = None) -> Response | None:
    """The view again for who came from it, with what has just been done; None for everybody else."""
    return shown_to_sender(said) if _came_from_here() else None


def shown_to_sender(said: dict[str, Any] | None) -> Response:
    """The view as the form that was sent keeps it."""
    return shown(_from_form(), said)


def _came_from_here() -> bool:
    return not responses.wants_json() and request.form.get("to") == "scheduled"


def entry_in_words(run_id: UUID) -> dict[str, Any]:
    return in_words(services().agenda.of(g.actor, [run_id]))[0]


def _from_form() -> AgendaQuery:
    return read(AgendaQuery, {name: request.form.get(name) for name in ("view", "day", "q", "skip")
                              if request.form.get(name)})  # fmt: skip


def wanted(query: AgendaQuery) -> Wanted:
    zone = i18n.zone(g.actor.zone)
    return Wanted(words(query.q), start_of(query.due_from, zone), start_of(query.due_to, zone, days=1))


def _agenda(query: AgendaQuery) -> dict[str, Any]:
    found, total = services().agenda.to_come(g.actor, wanted(query), query.skip, ON_ONE_SCREEN)
    entries = in_words(found)
    groups: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        groups.setdefault(entry["day"], []).append(entry)
    behind = query.skip + len(entries)
    return {
        "groups": groups, "can_steer": _can_steer(entries), "view_only": _view_only(entries),
        "total": total, "first": query.skip + 1, "last": behind,
        "next": behind if behind < total else None,
        "previous": max(0, query.skip - ON_ONE_SCREEN) if query.skip else None,
    }  # fmt: skip


def _calendar(query: AgendaQuery) -> dict[str, Any]:
    anchor = query.day or today()
    shown_weeks = [Week(days) for days in weeks(query.view, anchor)]
    first, last = shown_weeks[0].days[0], shown_weeks[-1].days[-1]
    entries = in_words(services().agenda.between(g.actor, wanted(query), *bounds(first, last)))
    for week in shown_weeks:
        lay_out(week, entries, LANES[query.view])
    return {
        "elsewhere": _next_day(query, last) if all(entry["is_over"] for entry in entries) else None,
        "weeks": shown_weeks, "anchor": anchor, "any": bool(entries), "entries": entries,
        "can_steer": _can_steer(entries), "view_only": _view_only(entries),
        "heading": translation.month(anchor) if query.view == MONTH else translation.days(first, last),
        "before": step(query.view, anchor, -1), "after": step(query.view, anchor, 1),
    }  # fmt: skip


def _next_day(query: AgendaQuery, after: date) -> date | None:
    """When something is next to happen behind these days, from today on; None where nothing is."""
    first = max(after + timedelta(days=1), today())
    begin, _end = bounds(first, first)
    at = _local(services().agenda.next_after(g.actor, wanted(query), begin))
    return at and at.date()


def in_words(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Entries for people: what, where, by whom, both ends on their clock, and what is needed."""
    views = offers.of([view for entry in entries for view in (entry.views or {}).values()])
    seen = sight(views)
    rows = {row["id"]: row for row in serializers.rows_in_words(views, seen.titles, seen.sites)}
    return [_in_words(entry, rows) for entry in entries]


def _in_words(entry: Entry, rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    lead, first = rows[str(entry.lead.id)], rows[str((entry.first or entry.lead).id)]
    begins, ends = _local(entry.begins), _local(entry.ends)
    halves = [rows[str(half.id)] for half in entry.halves]
    at, until = (half is not None and "move" in rows[str(half.id)]["can"] for half in (entry.first, entry.back))
    return {
        "id": lead["id"], "run": first, "lead": lead, "name": lead["name"] or first["name"], "sites": first["sites"],
        "reason": lead["reason"] or first["reason"], "begins": begins, "ends": ends,
        "begins_at": _iso_local(begins), "ends_at": _iso_local(ends),
        "may_move": {"at": at, "until": until},
        "may_shift": (at or until) and (at or begins is None) and (until or ends is None),
        "day": _day_of(entry), "next_at": _local(entry.next_at), "is_return": entry.lead is entry.back,
        "is_over": entry.is_over, "has_begun": entry.first is None or entry.first.state is not RunState.SCHEDULED,
        "problem": next(filter(None, (half["problem"] or half["doubt"] for half in halves)), None),
        "is_waiting": entry.is_waiting, "can": lead["can"], "only_return": _only_return(entry, rows),
    }  # fmt: skip


def _only_return(entry: Entry, rows: dict[str, dict[str, Any]]) -> str | None:
    """The return that may be cancelled alone, while both ends are to come; None for none."""
    if entry.first is None or entry.back is None or entry.first.state is not RunState.SCHEDULED:
        return None
    return str(entry.back.id) if "cancel" in rows[str(entry.back.id)]["can"] else None


def _can_steer(entries: Sequence[dict[str, Any]]) -> bool:
    """Whether the person may cancel, and so reschedule, at least one of these."""
    return any("cancel" in entry["can"] for entry in entries)


def _view_only(entries: Sequence[dict[str, Any]]) -> bool:
    """Whether at least one that is not over can only be looked at."""
    return any("cancel" not in entry["can"] and not entry["is_over"] for entry in entries)


def _day_of(entry: Entry) -> str:
    """The heading under which the agenda has it."""
    return "" if entry.is_waiting else _local(entry.next_at).date().isoformat()  # type: ignore[union-attr]


def _local(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(i18n.zone(g.actor.zone))


def _iso_local(at: datetime | None) -> str | None:
    return None if at is None else at.replace(tzinfo=None).isoformat(timespec="minutes")


def today() -> date:
    return services().clock().astimezone(i18n.zone(g.actor.zone)).date()


def entry_to_tell_of(run_id: UUID) -> Entry | None:
    """The entry of a run as it is, where the view will be shown again after it was changed."""
    found = services().agenda.of(g.actor, [run_id]) if _came_from_here() else ()
    return next(iter(found), None)


def said_of_cancel(run_id: UUID, before: Entry) -> dict[str, Any]:
    """That one half has just been cancelled, with the way to set it again.

    before  its entry as it was
    """
    entry = in_words([before])[0]
    is_return = before.back is not None and before.back.id == run_id
    said = {"without_return": entry} if is_return else {"text": count_said(1, None)}
    return {**said, "again": [(entry, run_id)], "refused": []}


def count_said(number: int, days: int | None) -> str:
    if days is None:
        return ngettext("%(num)s schedule cancelled.", "%(num)s schedules cancelled.", number)
    span = i18n.span(timedelta(days=abs(days)), translation.lang())
    if days > 0:
        return ngettext(
            "%(num)s schedule is now %(span)s later.", "%(num)s schedules are now %(span)s later.", number, span=span
        )
    return ngettext(
        "%(num)s schedule is now %(span)s earlier.", "%(num)s schedules are now %(span)s earlier.", number, span=span
    )


def said_of_move(run_id: UUID, before: Sequence[Entry]) -> dict[str, Any] | None:
    """What has just been rescheduled, and how to take that back: those ends alone, in the zone they were said in.

    run_id  the half it was asked by
    before  its entry as it was
    """
    if responses.wants_json():
        return None
    old, new = before[0], services().agenda.of(g.actor, [run_id])[0]
    ends = {"at": (old.first, new.first), "until": (old.back, new.back)}
    moved = {name: half for name, (half, now) in ends.items() if half and half.at and now and half.at != now.at}
    said_in = {half.zone for half in moved.values()}
    zone = zones.understood(said_in.pop() if len(said_in) == 1 else None) or g.actor.zone or "UTC"
    undo = {name: _iso_local(half.at.astimezone(i18n.zone(zone))) for name, half in moved.items() if half.at}
    came_from = f"?{urlencode(place())}" if place() else ""
    back = (
        {"url": f"/runs/{run_id}/move{came_from}", "values": undo | {"zone": zone, "taken_back": "1"}} if undo else None
    )
    return {"moved": in_words([new])[0], "moved_back": is_undo(), "undo_move": back, "refused": []}


def is_undo() -> bool:
    """The page takes back what it has just rescheduled."""
    return "taken_back" in request.form


def said_of_change(run_id: UUID, before: Sequence[Entry], *, pages: bool) -> dict[str, Any] | None:
    """What has just been saved of an entry: its name, its reason, its pages; as `said_of_move`.

    pages  some were asked to come or to go
    """
    if responses.wants_json():
        return None
    old, new = in_words(before)[0], entry_in_words(run_id)
    words = {name: new[name] or "" for name in ("name", "reason") if (old[name] or "") != (new[name] or "")}
    return {"changed": old, "texts": words, "pages": new["run"]["counts"]["total"] if pages else None, "refused": []}
