"""When a person says "at": `YYYY-MM-DDTHH:MM[:SS]` with an offset or Z, or local time in a named zone.

Nothing else is read: a guess at what somebody meant would take a page down at another time than theirs.
A local time is kept as it was said (wall time and zone), so that a change of the zone's rules moves the run with the
clock on the wall. A local time that a clock change skips is refused with the next one that exists; one that happens
twice means the first.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from b24app import zones
from b24app.domain import N_
from b24app.errors import BadForm

FURTHEST_YEARS = 5
PAST = N_("The time has already passed. Nothing was scheduled.")
TOO_FAR = N_("The time is more than five years away. Nothing was scheduled.")
SKIPPED = N_("On that day clocks go forward and skip this time. Nothing was scheduled.")
GRACE = timedelta(minutes=1)  # a time less than this ago counts as now
FORM = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:Z|[+-][0-9]{2}:[0-9]{2})?")


@dataclass(frozen=True)
class ScheduledTime:
    """An instant in UTC and, for a local order, the wall time it came from (YYYY-MM-DDTHH:MM:SS)."""

    instant: datetime
    wall_time: str | None = None
    zone: str | None = None  # on whose clock, where it is not the zone of the whole order


def zone_of(name: str | None) -> tzinfo:
    """The zone of this name, an IANA name or an offset like +03:00. Raises BadForm."""
    zone = zones.find(zones.understood(name))
    if zone is None:
        raise BadForm(
            detail=N_("The time zone is not known. Nothing was scheduled."),
            remedy=N_("Choose a zone by its IANA name, like Europe/Riga, or give the time with an offset."),
        )
    return zone


def read_time(text: str) -> datetime:
    """What the text says, with its offset or without one. Raises BadForm for any other form than ours."""
    if not FORM.fullmatch(text):
        raise unreadable()
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise unreadable() from None


def scheduled_time(text: str, zone: str | None, now: datetime) -> ScheduledTime:
    """Read one time of an order. Raises BadForm: unreadable, skipped by a clock change, past or too far away."""
    said = read_time(text.strip())
    if said.tzinfo is not None:
        return _within_reach(ScheduledTime(_as_utc(said)), now)
    if zone is None:
        raise BadForm(
            detail=N_("The app does not know which time zone is meant. Nothing was scheduled."),
            remedy=N_("Give the zone by its IANA name, like Europe/Riga, or the time with an offset."),
        )
    local = zone_of(zone)
    return _within_reach(ScheduledTime(resolve(said, local), said.isoformat(timespec="seconds")), now)


def days_on(at: datetime, days: int, zone: str) -> ScheduledTime:
    """So many days after a moment, at the same time of day on the clock of the zone, though it may not be possible:
    `sure` tells.
    """
    local = zone_of(zone)
    wall = at.astimezone(local).replace(tzinfo=None) + timedelta(days=days)
    return ScheduledTime(nearest(wall, local), wall.isoformat(timespec="seconds"), zone)


def sure(when: ScheduledTime, now: datetime) -> ScheduledTime:
    """The time, if it exists and lies ahead, not too far. Raises BadForm as `scheduled_time`."""
    if when.wall_time is not None and when.zone is not None:
        resolve(datetime.fromisoformat(when.wall_time), zone_of(when.zone))
    return _within_reach(when, now)


def resolve(wall: datetime, zone: tzinfo) -> datetime:
    """The instant of a wall time; the first of two. Raises BadForm `time_does_not_exist` with a suggestion."""
    instant = nearest(wall, zone)
    existing = instant.astimezone(zone)
    if existing.replace(tzinfo=None) == wall:
        return instant
    raise BadForm(
        "time_does_not_exist",
        detail=SKIPPED,
        remedy=N_("Choose another time; the suggestion is the same moment after the change."),
        suggestion=existing.replace(tzinfo=None).isoformat(timespec="seconds" if existing.second else "minutes"),
    )


def nearest(wall: datetime, zone: tzinfo) -> datetime:
    """The instant of a wall time: the first of two, and the same distance behind a gap for one that does not exist,
    because fold=0 reads a skipped time with the old offset (PEP 495).
    """
    return _as_utc(wall.replace(tzinfo=zone, fold=0))


def second_occurrence(when: ScheduledTime, name: str | None) -> datetime | None:
    """The second instant of a wall time that a clock put back shows twice; None for every other time."""
    zone = zones.find(name)
    if when.wall_time is None or zone is None:
        return None
    later = _as_utc(datetime.fromisoformat(when.wall_time).replace(tzinfo=zone, fold=1))
    return later if later > when.instant else None


def _as_utc(said: datetime) -> datetime:
    try:
        return said.astimezone(UTC)
    except (OverflowError, ValueError):
        raise unreadable() from None


def _within_reach(when: ScheduledTime, now: datetime) -> ScheduledTime:
    if when.instant <= now - GRACE:
        raise BadForm(detail=PAST, remedy=N_("Choose a time in the future."))
    if when.instant > _furthest(now):
        raise BadForm(
            detail=TOO_FAR,
            remedy=N_("Choose an earlier time."),
        )
    return when


def _furthest(now: datetime) -> datetime:
    """The same date and time five years on; 28 February where the year has no 29th."""
    year = now.year + FURTHEST_YEARS
    try:
        return now.replace(year=year)
    except ValueError:
        return now.replace(year=year, day=28)


def unreadable() -> BadForm:
    """For what is no time, an empty field among it."""
    return BadForm(
        detail=N_("The time could not be read. Nothing was scheduled."),
        remedy=N_("Give it like 2027-03-01T23:59+01:00, or as local time together with a zone."),
    )
