"""What is changed of schedules, one or several at once: the questions before, and what the answers order.

A pair of runs is one entry, which is changed by any of its runs. What answers is `calendar`, with what was done.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from flask import Blueprint, Response, g, request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from b24app import zones
from b24app.domain import N_, Action, ItemState, Kind
from b24app.errors import BadForm, NotFound, NotPossibleNow, Problem
from b24app.pages.lists import Page
from b24app.pages.search import Search, slice_of
from b24app.runs.agenda import Entry
from b24app.runs.local_time import ScheduledTime
from b24app.runs.orders import MOST_PAGES, Order
from b24app.store.models import Run
from b24app.web import calendar, offers, previews, responses, serializers, times
from b24app.web.calendar import AgendaQuery, count_said, in_words
from b24app.web.calendar_grid import bounds
from b24app.web.current import require_session, services
from b24app.web.forms import Number, body, read
from b24app.web.problems import facts
from b24app.web.translation import _

MOST_AT_ONCE = 200
FURTHEST_DAYS, USUAL_DAYS = 366, 7
MOST_LISTED, MOST_FOUND = 500, 8  # pages in a dialog: of a schedule, of a search

blueprint = Blueprint("schedule_changes", __name__, url_prefix="/runs")
blueprint.before_request(require_session)


class Chosen(BaseModel):
    """Which entries a dialog or an order is about, by any of their runs."""

    model_config = ConfigDict(extra="ignore")

    ids: list[UUID] = Field(min_length=1, max_length=MOST_AT_ONCE)


class Dialog(Chosen):
    """The query of GET /runs/dialog."""

    what: Literal["reschedule", "change", "cancel", "find", "again"]
    by: Literal["days"] | None = None  # of one entry too: both ends by so many days
    on: Literal["run"] | None = None  # asked on the run's own page, which its answer shows again
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
    came_from = calendar.place()
    kept, place = ({}, came_from) if asked.on == "run" else (came_from, {})
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
        f"scheduled/{asked.what}.html", entries=entries, entry=one, kept=kept, place=place, zone=g.actor.zone or "UTC",
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
    day = query.day or calendar.today()
    entries = services().agenda.between(g.actor, calendar.wanted(query), *bounds(day, day))
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
    ended = len(done) == 1 and days is None and done[0].lead is done[0].back and not done[0].is_waiting
    cancelled = done if days is None else []
    said = {
        "again": [
            (entry, each.lead.id) for entry, each in zip(in_words(cancelled), cancelled, strict=True) if each.lead.at
        ],
        "without_return": in_words(done)[0] if ended else None,
        "text": count_said(len(done), days) if done and not one and not ended else None,
        "moved": calendar.entry_in_words(one) if one else None,
        "moved_back": calendar.is_undo(),
        "undo": {"ids": [str(entry.lead.id) for entry in done], "days": -days, "taken_back": "1"}
        if done and days
        else None,
        "refused": [(entry, _(why.detail)) for entry, (_entry, why) in zip(named, refused, strict=True)],
    }
    return calendar.shown_to_sender(said)


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
