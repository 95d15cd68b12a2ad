"""Scheduled: what is to come as agenda, as month and as week, and what is done with several entries at once.

The page's own view of GET /runs with the open states; beside it the dialogs, bulk reschedule and cancel, and iCalendar.
A pair of runs is one entry with two ends. Days are those of the person's zone, weeks begin as their language has it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, Response, g, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from b24app import i18n, zones
from b24app.domain import N_, Action, ItemState, Kind, RunState
from b24app.errors import BadForm, NotFound, NotPossibleNow, Problem
from b24app.pages.lists import Page
from b24app.pages.search import Search, slice_of
from b24app.runs.agenda import TO_COME, Entry, Wanted
from b24app.runs.local_time import ScheduledTime, nearest
from b24app.runs.orders import MOST_PAGES, Order
from b24app.store.models import Run
from b24app.web import offers, previews, responses, serializers, times, translation
from b24app.web.current import require_session, services
from b24app.web.forms import YEARS, Number, body, day_or_time, read, start_of
from b24app.web.problems import facts
from b24app.web.sight import sight, silent_worker, words
from b24app.web.translation import _, ngettext

AGENDA, MONTH, WEEK = "agenda", "month", "week"
STATES = ",".join(TO_COME)  # with which GET /runs is this view
ON_ONE_SCREEN = 50
LANES = {MONTH: 3, WEEK: 10}
MOST_AT_ONCE = 200
FURTHEST_DAYS, USUAL_DAYS = 366, 7
MOST_LISTED, MOST_FOUND = 500, 8  # pages in a dialog: of a schedule, of a search
DAYS = timedelta(days=7)
DayOrTime = Annotated[date | datetime | None, BeforeValidator(day_or_time)]
Day = Annotated[
    date, Field(ge=date(YEARS.start, 1, 1), le=date(YEARS.stop - 1, 12, 31))
]  # weeks and months around it exist
Short = Annotated[str, StringConstraints(strip_whitespace=True, max_length=64)]


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


class Chosen(BaseModel):
    """Which entries a dialog or an order is about, by any of their runs."""

    model_config = ConfigDict(extra="ignore")

    ids: list[UUID] = Field(min_length=1, max_length=MOST_AT_ONCE)


class Dialog(Chosen):
    """The query of GET /runs/dialog."""

    what: Literal["reschedule", "change", "cancel", "find", "again"]
    by: Literal["days"] | None = None  # of one entry too: both ends by so many days
    q_pages: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    add: list[Number] = Field([], max_length=MOST_PAGES)


class Shift(Chosen):
    """The body of POST /runs/reschedule: by so many days, on the clock of the wall."""

    days: Number = Field(ge=-FURTHEST_DAYS, le=FURTHEST_DAYS)
    direction: Literal["later", "earlier"] = "later"

    def signed(self) -> int:
        """Days ahead. Raises BadForm for none."""
        if self.days == 0:
            raise BadForm(detail=N_("The number of days is missing. Nothing was rescheduled."))
        return -self.days if self.direction == "earlier" else self.days


@dataclass(frozen=True)
class Bar:
    """One entry within one week of the calendar: which days it covers, in which line."""

    entry: dict[str, Any]
    lane: int
    first: int  # the day of the week it begins in here, from 0
    last: int
    opens: bool  # its beginning is one of these days
    closes: bool


@dataclass
class Week:
    """Seven days and the bars over them; `more` counts what found no line, by day."""

    days: list[date]
    bars: list[Bar] = field(default_factory=list)
    more: list[int] = field(default_factory=lambda: [0] * 7)
    lanes: int = 0


blueprint = Blueprint("calendar", __name__, url_prefix="/runs")
blueprint.before_request(require_session)


# --- looking -----------------------------------------------------------------------------------------------------


def shown(query: AgendaQuery, said: dict[str, Any] | None = None, status: int = 200) -> Response:
    """The view, whichever order it answers: its head says by which address it is shown again.

    said  what has just been done, in words
    """
    inside = _agenda(query) if query.view == AGENDA else _calendar(query)
    to_come = services().runs.open_orders(g.actor)
    view = responses.html(
        "scheduled/view.html", status, query=query, said=said, kept=query.as_kept(), today=_today(),
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
    if not _came_from_here():
        return None
    return shown(_from_form(), said)


def _came_from_here() -> bool:
    return not responses.wants_json() and request.form.get("to") == "scheduled"


def _entry_in_words(run_id: UUID) -> dict[str, Any]:
    return in_words(services().agenda.of(g.actor, [run_id]))[0]


def _from_form() -> AgendaQuery:
    return read(AgendaQuery, {name: request.form.get(name) for name in ("view", "day", "q", "skip")
                              if request.form.get(name)})  # fmt: skip


def _wanted(query: AgendaQuery) -> Wanted:
    zone = i18n.zone(g.actor.zone)
    return Wanted(words(query.q), start_of(query.due_from, zone), start_of(query.due_to, zone, days=1))


def _agenda(query: AgendaQuery) -> dict[str, Any]:
    found, total = services().agenda.to_come(g.actor, _wanted(query), query.skip, ON_ONE_SCREEN)
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
    anchor = query.day or _today()
    weeks = [Week(days) for days in _days(query.view, anchor)]
    first, last = weeks[0].days[0], weeks[-1].days[-1]
    entries = in_words(services().agenda.between(g.actor, _wanted(query), *_span(first, last)))
    for week in weeks:
        _lay_out(week, entries, LANES[query.view])
    return {
        "elsewhere": _next_day(query, last) if all(entry["is_over"] for entry in entries) else None,
        "weeks": weeks, "anchor": anchor, "any": bool(entries), "entries": entries,
        "can_steer": _can_steer(entries), "view_only": _view_only(entries),
        "heading": translation.month(anchor) if query.view == MONTH else translation.days(first, last),
        "before": _step(query.view, anchor, -1), "after": _step(query.view, anchor, 1),
    }  # fmt: skip


def _next_day(query: AgendaQuery, after: date) -> date | None:
    """When something is next to happen behind these days, from today on; None where nothing is."""
    first = max(after + timedelta(days=1), _today())
    begin, _end = _span(first, first)
    at = _local(services().agenda.next_after(g.actor, _wanted(query), begin))
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
        "is_waiting": entry.is_waiting, "can": lead["can"],
    }  # fmt: skip


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


def _today() -> date:
    return services().clock().astimezone(i18n.zone(g.actor.zone)).date()


# --- laying out ----------------------------------------------------------------------------------------------------


def _days(view: str, anchor: date) -> Iterator[list[date]]:
    """The weeks of a month, whole, or the one week of a day."""
    first = _start_of_week(anchor.replace(day=1) if view == MONTH else anchor)
    last = anchor if view == WEEK else _step(MONTH, anchor, 1) - timedelta(days=1)
    while first <= last:
        yield [first + timedelta(days=number) for number in range(7)]
        first += DAYS


def _start_of_week(day: date) -> date:
    return day - timedelta(days=(day.weekday() - i18n.first_week_day(translation.lang())) % 7)


def _span(first: date, last: date) -> tuple[datetime, datetime]:
    """From the beginning of one day to the end of another, in the person's zone."""
    zone = i18n.zone(g.actor.zone)
    begin, end = (nearest(datetime.combine(day, time()), zone) for day in (first, last + timedelta(days=1)))
    return begin, end


def _step(view: str, anchor: date, number: int) -> date:
    """The same view before or after; of a month its first day."""
    if view == WEEK:
        return anchor + number * DAYS
    months = anchor.year * 12 + anchor.month - 1 + number
    return date(months // 12, months % 12 + 1, 1)


def _lay_out(week: Week, entries: Iterable[dict[str, Any]], lanes: int) -> None:
    """Each entry into the first line that is free on all its days; what finds none is counted."""
    taken: list[list[bool]] = []
    start, end = week.days[0], week.days[-1]
    for entry in sorted(entries, key=lambda each: _covers(each)[0] >= start):  # what goes on from before stands on top
        begins, ends = _covers(entry)
        if ends < start or begins > end:
            continue
        first, last = max(0, (begins - start).days), min(6, (ends - start).days)
        lane = next((at for at, days in enumerate(taken) if not any(days[first : last + 1])), len(taken))
        if lane >= lanes:
            for day in range(first, last + 1):
                week.more[day] += 1
            continue
        if lane == len(taken):
            taken.append([False] * 7)
        taken[lane][first : last + 1] = [True] * (last + 1 - first)
        opens = entry["begins"] is not None and begins >= start
        week.bars.append(Bar(entry, lane, first, last, opens, entry["ends"] is not None and ends <= end))
    week.lanes = len(taken)


def _covers(entry: dict[str, Any]) -> tuple[date, date]:
    begins, ends = entry["begins"] or entry["ends"] or entry["next_at"], entry["ends"]
    return begins.date(), max(begins, ends).date() if ends else begins.date()


# --- several at once -------------------------------------------------------------------------------------------


@blueprint.get("/dialog")
def dialog() -> Response:
    """The questions before: another time, other words or pages, or no more at all; and all of one day."""
    if request.args.get("what") == "day":
        return _of_day(read(AgendaQuery, request.args))
    asked = read(Dialog, request.args, lists=("ids", "add"))
    if asked.what == "again":
        return _again(asked.ids[0])
    found = services().agenda.of(g.actor, asked.ids)
    if not found:
        raise NotFound()
    entries = in_words(found)
    kept = place()
    one = entries[0] if len(entries) == 1 and asked.by is None else None
    if one is None and asked.what == "change":  # words and pages are those of one
        raise BadForm()
    more: dict[str, Any] = {}
    if asked.what == "find":
        chosen, matching = _found_pages(asked, entries[0])
        offered = [(page, True) for page in chosen] + [(page, False) for page in matching[:MOST_FOUND]]
        more = {"found": offered, "q": asked.q_pages, "number": len(matching), "listed": MOST_FOUND}
    if one is not None and asked.what == "change":
        run = services().runs.get(g.actor, UUID(one["run"]["id"]))
        readable = services().permissions.readable_sites(g.actor, run, services().runs.sites_of(g.actor, run.id))
        view = services().runs.view(g.actor, run.id, readable, limit=MOST_LISTED)
        more = {
            "items": serializers.run(view)["items"],
            "hidden": view.hidden,
            "more": max(0, view.total - view.hidden - MOST_LISTED),
            "names": services().agenda.names(g.actor),
        }
    if one is None and asked.what == "reschedule":
        more = _foreseen(found, USUAL_DAYS) | {"days": USUAL_DAYS}
    return responses.html(
        f"scheduled/{asked.what}.html", entries=entries, entry=one, kept=kept, zone=g.actor.zone or "UTC",
        run_id=asked.ids[0], **more,
    )  # fmt: skip


def _again(run_id: UUID) -> Response:
    """The dialog of an order, filled with what was cancelled: the pages left undone, and what of its times is to come.

    Raises NotPossibleNow, where nothing of it was cancelled that the person may see.
    """
    run = services().runs.get(g.actor, run_id)
    readable = services().permissions.readable_sites(g.actor, run, services().runs.sites_of(g.actor, run_id))
    view = services().runs.view(g.actor, run_id, readable, limit=MOST_PAGES)
    lids = tuple(item.lid for item in view.slice.items if item.state is ItemState.CANCELLED)
    if not lids or not offers.is_offered_anew(view):
        raise NotPossibleNow()
    zone = zones.understood(run.zone) or g.actor.zone
    at, until = _still_ahead(run.at, zone), _still_ahead(run.until, zone)
    order = Order(run.action, run.kind, lids, at, until, zone, run.reason, run.name)
    return previews.dialog(
        order, when="later", at=at.wall_time if at else None, until=until.wall_time if until else None
    )


def _of_day(query: AgendaQuery) -> Response:
    """What lies over one day, where the calendar has no room for all of it."""
    day = query.day or _today()
    entries = services().agenda.between(g.actor, _wanted(query), *_span(day, day))
    return responses.html("scheduled/day.html", day=day, entries=in_words(entries))


def _still_ahead(moment: datetime | None, zone: str | None) -> ScheduledTime | None:
    """A time of a schedule as it would be said anew; None once it has passed."""
    if moment is None or moment <= services().clock():
        return None
    return ScheduledTime(moment, serializers.local(moment, zone))


def _found_pages(asked: Dialog, entry: dict[str, Any]) -> tuple[list[Page], list[Page]]:
    """Pages that may come to the entry: those chosen before, and what matches. Raises a PortalError."""
    kind, action = Kind(entry["run"]["kind"]), Action(entry["run"]["action"])
    listed = services().pages.all_of(g.actor, kind)
    known = listed.by_lid()
    chosen = [known[lid] for lid in asked.add if lid in known]
    if not asked.q_pages:
        return chosen, []
    found = slice_of(listed, Search(kind, q=asked.q_pages, limit=MOST_LISTED), {}, {}).pages
    return chosen, [page for page in found if page.may(action) and page not in chosen]


@blueprint.post("/reschedule")
def reschedule() -> Response:
    """Several entries by so many days, each both ends; each by itself, so that one refusal stops no other."""
    form = read(Shift, body(), lists=("ids",))
    days = form.signed()
    return _each(form, lambda entry: services().orders.shift(g.actor, entry.lead.id, days), days=days)


@blueprint.post("/cancel")
def cancel() -> Response:
    """Several entries; of one that has begun only its return is left to cancel."""
    form = read(Chosen, body(), lists=("ids",))
    return _each(form, lambda entry: services().orders.cancel(g.actor, entry.lead.id))


def _each(form: Chosen, act: Callable[[Entry], None], days: int | None = None) -> Response:
    done: list[Entry] = []
    refused: list[tuple[Entry, Problem]] = []
    for entry in services().agenda.of(g.actor, form.ids):
        try:
            _require_steering(entry.lead)
            act(entry)
            done.append(entry)
        except Problem as problem:
            refused.append((entry, problem))
    if not done and not refused:
        raise NotFound()
    if responses.wants_json():
        why = [{"id": str(entry.lead.id), "problem": facts(problem)} for entry, problem in refused]
        return responses.json({"done": [str(entry.lead.id) for entry in done], "refused": why})
    named = in_words([entry for entry, _problem in refused])
    one = done[0].lead.id if days and done and len(form.ids) == 1 else None
    cancelled = done if days is None else []
    said = {
        "again": [
            (entry, each.lead.id) for entry, each in zip(in_words(cancelled), cancelled, strict=True) if each.lead.at
        ],
        "text": _count_said(len(done), days) if done and not one else None,
        "moved": _entry_in_words(one) if one else None,
        "undo": {"ids": [str(entry.lead.id) for entry in done], "days": -days} if done and days else None,
        "refused": [(entry, _(why.detail)) for entry, (_entry, why) in zip(named, refused, strict=True)],
    }
    return shown(_from_form(), said)


def entry_to_tell_of(run_id: UUID) -> Entry | None:
    """The entry of a run as it is, where the view will be shown again after it was changed."""
    found = services().agenda.of(g.actor, [run_id]) if _came_from_here() else ()
    return next(iter(found), None)


def said_of_cancel(run_id: UUID, before: Entry) -> dict[str, Any]:
    """That one half has just been cancelled, with the way to set it again.

    before  its entry as it was
    """
    is_return = before.back is not None and before.back.id == run_id
    text = _(N_("The return is cancelled.")) if is_return else _count_said(1, None)
    return {"text": text, "again": [(in_words([before])[0], run_id)], "refused": []}


def _count_said(number: int, days: int | None) -> str:
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


def _require_steering(run: Run) -> None:
    services().permissions.require_steering(g.actor, *services().runs.sites_to_steer(g.actor, run.id, whole=True))


def told_shift() -> Response:
    """While the days are being chosen: where each end would come to. Of what is no number yet the browser speaks."""
    entries = services().agenda.of(g.actor, read(Chosen, body(), lists=("ids",)).ids)
    if not entries:
        raise NotFound()
    try:
        days = read(Shift, body(), lists=("ids",)).signed()
    except BadForm:
        days = None
    return responses.html("scheduled/shifted.html", **_foreseen(entries, days))


def _foreseen(entries: Sequence[Entry], days: int | None) -> dict[str, Any]:
    """The entries with both ends as they are and as they would be. One stays as it is where an end of it cannot be."""
    now = services().clock()
    ends = [times.shifted_ends(entry.first, entry.back, days, now) for entry in entries]
    why = [
        next((end.wrong for end in each if end.wrong), None)
        if each
        else _(N_("Its time has come; it can no longer be shifted."))
        for each in ends
    ]
    stay = [words for words in why if words]
    none_left = _(N_("None of these can be shifted by so much; the list says why.")) if len(stay) == len(why) else None
    return {
        "shifts": list(zip(in_words(entries), ends, why, strict=True)), "stay": len(stay),
        "wrong": why[0] if len(why) == 1 else none_left,
    }  # fmt: skip


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
    back = {"url": f"/runs/{run_id}/move", "values": undo | {"zone": zone}} if undo else None
    return {"moved": in_words([new])[0], "undo_move": back, "refused": []}


def said_of_change(run_id: UUID, before: Sequence[Entry], *, pages: bool) -> dict[str, Any] | None:
    """What has just been saved of an entry: its name, its reason, its pages; as `said_of_move`.

    pages  some were asked to come or to go
    """
    if responses.wants_json():
        return None
    old, new = in_words(before)[0], _entry_in_words(run_id)
    words = {name: new[name] or "" for name in ("name", "reason") if (old[name] or "") != (new[name] or "")}
    return {"changed": old, "texts": words, "pages": new["run"]["counts"]["total"] if pages else None, "refused": []}
