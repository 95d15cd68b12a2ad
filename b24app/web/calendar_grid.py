"""Weeks of a calendar: which days a view shows, and which entry lies over which of them, in which line."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any

from flask import g

from b24app import i18n
from b24app.runs.local_time import nearest
from b24app.web import translation

MONTH, WEEK = "month", "week"
DAYS = timedelta(days=7)


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


def weeks(view: str, anchor: date) -> Iterator[list[date]]:
    """The weeks of a month, whole, or the one week of a day."""
    first = _start_of_week(anchor.replace(day=1) if view == MONTH else anchor)
    last = anchor if view == WEEK else step(MONTH, anchor, 1) - timedelta(days=1)
    while first <= last:
        yield [first + timedelta(days=number) for number in range(7)]
        first += DAYS


def _start_of_week(day: date) -> date:
    return day - timedelta(days=(day.weekday() - i18n.first_week_day(translation.lang())) % 7)


def bounds(first: date, last: date) -> tuple[datetime, datetime]:
    """From the beginning of one day to the end of another, in the person's zone."""
    zone = i18n.zone(g.actor.zone)
    begin, end = (nearest(datetime.combine(day, time()), zone) for day in (first, last + timedelta(days=1)))
    return begin, end


def step(view: str, anchor: date, number: int) -> date:
    """The same view before or after; of a month its first day."""
    if view == WEEK:
        return anchor + number * DAYS
    months = anchor.year * 12 + anchor.month - 1 + number
    return date(months // 12, months % 12 + 1, 1)


def lay_out(week: Week, entries: Iterable[dict[str, Any]], lanes: int) -> None:
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
