"""Words about time: how late it was, what is still to come, and what a chosen time means on the clock."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from flask import g

from b24app import i18n
from b24app.domain import N_, Action, RunState
from b24app.errors import BadForm
from b24app.runs.lateness import is_too_late
from b24app.runs.local_time import PAST, SKIPPED, TOO_FAR, ScheduledTime, scheduled_time, second_occurrence, sure
from b24app.runs.orders import Order, shifted
from b24app.runs.queries import Upcoming
from b24app.store.models import Run
from b24app.web.translation import _, ahead, at_clock, named, offset, span, when, zone_by_name

FOREVER = datetime.max.replace(tzinfo=UTC)
PUNCTUAL = timedelta(minutes=1)  # what a worker may take without a word
STILL_TO_COME = {  # by the action, and whether it ends a window
    (Action.UNPUBLISH, False): N_("Goes down: %(time)s (by %(name)s)."),
    (Action.UNPUBLISH, True): N_("Goes down again: %(time)s (by %(name)s)."),
    (Action.PUBLISH, False): N_("Goes online: %(time)s (by %(name)s)."),
    (Action.PUBLISH, True): N_("Comes back: %(time)s (by %(name)s)."),
}
KEPT = {
    (Action.UNPUBLISH, False): N_("Goes down: %(time)s."),
    (Action.UNPUBLISH, True): N_("Goes down again: %(time)s."),
    (Action.PUBLISH, False): N_("Goes online: %(time)s."),
    (Action.PUBLISH, True): N_("Comes back: %(time)s."),
}


@dataclass(frozen=True)
class Told:
    """A chosen time in words; `twice` when a clock put back shows it twice, `here` on the asker's own clock."""

    label: str
    local: str
    offset: str
    ahead: str
    twice: str | None
    here: str | None


def late(order: Run) -> str | None:
    """How long after its time a run began; None for one that was on time, or had no time."""
    if order.at is None or order.started_at is None or order.started_at - order.at < PUNCTUAL:
        return None
    return _(N_("Done %(span)s after the set time."), span=span(order.started_at - order.at))


def overdue(order: Run, now: datetime) -> str | None:
    """How late a waiting run would be, done now, if that is a person's decision; None for any other."""
    if order.state is not RunState.WAITING or not is_too_late(order, now):
        return None
    return span(now - (order.at or order.created_at))


def there(order: Run) -> str | None:
    """The set time on the clock of the zone it was said in; None where the asker's clock shows the same."""
    if order.at is None or order.zone is None or _same_clock(order.at, order.zone, g.actor.zone):
        return None
    return f"{at_clock(order.at, order.zone)}, {order.zone}"


def own(upcoming: Sequence[Upcoming]) -> str | None:
    """What is still to happen to a page by other orders; None when there is nothing."""
    said = [_(STILL_TO_COME[each.action, each.is_return], time=when(each.at), name=named(each.by)) for each in upcoming]
    return " ".join([_(N_("It has its own schedule.")), *said]) if said else None


def kept(upcoming: Sequence[Upcoming], done: datetime | None) -> str | None:
    """After something was done to a page: what was to come by then stays."""
    known = [each for each in upcoming if done is None or each.ordered_at <= done]
    said = [_(KEPT[each.action, each.is_return], time=when(each.at)) for each in known]
    return " ".join([_(N_("It keeps its schedule.")), *said]) if said else None


def foreseen(published: bool, upcoming: Sequence[Upcoming]) -> list[tuple[Upcoming, bool]]:
    """What is still to come for a page, each with whether, as things stand now, the page is like that by then anyway.
    Returns that have nothing to turn back, or leave the page to another order that keeps it, are left out.
    """
    ends = {each.first: each.at for each in upcoming if each.is_return}
    begins: dict[UUID | None, datetime] = {each.run_id: each.at for each in upcoming}
    told: list[tuple[Upcoming, bool]] = []
    idle: set[UUID | None] = set()

    def outlasts(each: Upcoming, end: Upcoming) -> bool:
        """An order within the window that `end` ends keeps the page as it is beyond it."""
        is_within = end.is_return and not each.is_return and each.run_id != end.first
        if not is_within or each.action is end.action or idle & {each.run_id, end.first}:
            return False
        return begins.get(end.first, each.at) <= each.at < end.at < ends.get(each.run_id, FOREVER)

    for each in upcoming:
        if each.is_return and (each.first in idle or any(outlasts(other, each) for other in upcoming)):
            continue
        wanted = each.action is Action.PUBLISH
        if published is wanted and not any(outlasts(each, other) for other in upcoming):
            idle.add(each.run_id)
        told.append((each, published is wanted))
        published = wanted
    return told


def state_at(published: bool, upcoming: Sequence[Upcoming], moment: datetime) -> bool:
    """Whether a page is published at a moment, as far as it is known now."""
    for each, _is_so in foreseen(published, upcoming):
        if each.at <= moment:
            published = each.action is Action.PUBLISH
    return published


def of_order(order: Order) -> list[Told]:
    """The times of an order in words."""
    begins, ends = (
        (N_("Goes down"), N_("Comes back"))
        if order.action is Action.UNPUBLISH
        else (N_("Goes online"), N_("Goes down again"))
    )
    chosen = [(begins, order.at), (ends, order.until)]
    return [told(_(label), scheduled, order.zone) for label, scheduled in chosen if scheduled is not None]


BESIDE = {
    PAST: N_("This time has already passed. Choose a later one."),
    TOO_FAR: N_("This is more than five years away. Choose an earlier time."),
    SKIPPED: N_("The clocks go forward that day and skip this time. Choose another one."),
}
ENDS_FIRST = {
    Action.UNPUBLISH: N_("The return must be later than the take-down."),
    Action.PUBLISH: N_("The end must be later than the publication."),
}
NEEDED = {
    ("at", Action.UNPUBLISH): N_("Choose a time."),
    ("at", Action.PUBLISH): N_("Choose a time."),
    ("until", Action.UNPUBLISH): N_(
        "Choose a time. To do without the return, close this and cancel: it can be cancelled alone."
    ),
    ("until", Action.PUBLISH): N_(
        "Choose a time. To do without the end, close this and cancel: it can be cancelled alone."
    ),
}
LINES = {
    (Action.UNPUBLISH, True, True): N_("Down %(at)s, back %(until)s, %(zone)s."),
    (Action.UNPUBLISH, True, False): N_("Down %(at)s, %(zone)s, until someone publishes again."),
    (Action.UNPUBLISH, False, True): N_("Down now, back %(until)s, %(zone)s."),
    (Action.PUBLISH, True, True): N_("Online %(at)s, down again %(until)s, %(zone)s."),
    (Action.PUBLISH, True, False): N_("Online %(at)s, %(zone)s, until someone unpublishes again."),
    (Action.PUBLISH, False, True): N_("Online now, down again %(until)s, %(zone)s."),
}


@dataclass(frozen=True)
class Wrong:
    """What is wrong with one field, for beside it."""

    words: str
    suggestion: str | None = None


def wrong(problem: BadForm) -> Wrong:
    """A refused time, in words that fit beside its field."""
    said = BESIDE.get(problem.detail)
    return Wrong(_(said) if said else f"{_(problem.detail)} {_(problem.remedy)}", problem.suggestion)


@dataclass(frozen=True)
class Chosen:
    """The times of a dialog as they stand in their fields; of a field that cannot be meant, what is wrong with it."""

    at: ScheduledTime | None
    until: ScheduledTime | None
    wrong: Mapping[str, Wrong]


def chosen(
    action: Action, at: str | None, until: str | None, zone: str | None, now: datetime, needed: Collection[str] = ()
) -> Chosen:
    """Read both fields, each by itself.

    needed  which of them must not be left empty
    """
    read: dict[str, ScheduledTime] = {}
    refused: dict[str, Wrong] = {}
    for field, text in (("at", at), ("until", until)):
        try:
            if text:
                read[field] = scheduled_time(text, zone, now)
        except BadForm as problem:
            refused[field] = wrong(problem)
        if field in needed and not text:
            refused[field] = Wrong(_(NEEDED[field, action]))
    begins, ends = read.get("at"), read.get("until")
    if ends is not None and ends.instant <= max(begins.instant if begins else now, now):
        refused["until"] = Wrong(_(ENDS_FIRST[action]))
    return Chosen(begins, ends, refused)


@dataclass(frozen=True)
class ShiftedEnd:
    """One end of a schedule, in the person's zone: as it is, and as it would be or why it cannot be."""

    is_return: bool
    old: datetime
    new: datetime | None = None
    wrong: str | None = None


def shifted_ends(first: Run | None, back: Run | None, days: int | None, now: datetime) -> list[ShiftedEnd]:
    """The ends that are still to come, so many days on; without a number as they are."""
    ends = [end for half in (first, back) if half and (end := _shifted_end(half, half is back, days, now))]
    if first is not None and len(ends) == 2 and ends[0].new and ends[1].new and ends[1].new <= ends[0].new:
        ends[1] = replace(ends[1], wrong=_(ENDS_FIRST[first.action]))
    return ends


def _shifted_end(half: Run, is_return: bool, days: int | None, now: datetime) -> ShiftedEnd | None:
    then, here = shifted(half, days or 0, g.actor.zone), i18n.zone(g.actor.zone)
    if then is None or half.at is None:
        return None
    end = ShiftedEnd(is_return, half.at.astimezone(here))
    if not days:
        return end
    end = replace(end, new=then.instant.astimezone(here))
    try:
        sure(then, now)
    except BadForm as refused:
        return replace(end, wrong=wrong(refused).words)
    return end


def in_one_line(action: Action, at: ScheduledTime | None, until: ScheduledTime | None, zone: str | None) -> str | None:
    """The whole of what was chosen: "Down tonight at 23:59, back Monday at 8:00, London time"."""
    line = LINES.get((action, at is not None, until is not None))
    if line is None:
        return None
    begins, ends = (said and at_clock(said.instant, zone) for said in (at, until))
    return _(line, at=begins, until=ends, zone=zone_by_name(zone))


def told(label: str, moment: ScheduledTime, zone: str | None) -> Told:
    """One chosen time in words, in the zone it was said in."""
    shown = zone or g.actor.zone
    here = None if _same_clock(moment.instant, shown, g.actor.zone) else when(moment.instant)
    return Told(
        label, when(moment.instant, shown), offset(shown, moment.instant), ahead(moment.instant),
        _twice(moment, zone), here,
    )  # fmt: skip


def _twice(moment: ScheduledTime, zone: str | None) -> str | None:
    second = second_occurrence(moment, zone)
    if second is None:
        return None
    return _(
        N_("Clocks go back that day, so this time occurs twice; the first is meant (%(first)s, not %(second)s)."),
        first=offset(zone, moment.instant), second=offset(zone, second),
    )  # fmt: skip


def _same_clock(moment: datetime, one: str | None, other: str | None) -> bool:
    return offset(one, moment.astimezone(UTC)) == offset(other, moment.astimezone(UTC))
