"""iCalendar (RFC 5545): what is to come, as events for Outlook, Google and Apple calendars.

Written here and not by a library: of the format we need a few properties, escaping and folding, and times in UTC, which
spare every VTIMEZONE. An event has no length to speak of and takes nobody's time, so it is shown as free. Its UID is
made of the run's id, which a reschedule keeps; SEQUENCE grows with the minutes since the order, so that whoever imports
a later file has the event replaced and not doubled.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

LONGEST_LINE = 75  # octets, without the line break (3.1)
LASTS = timedelta(minutes=15)  # some calendars show nothing of an event without length
ESCAPES = str.maketrans({"\\": "\\\\", ";": "\\;", ",": "\\,", "\n": "\\n", "\r": None})
PRODUCT = "-//Sundown//Sundown//EN"
# A calendar has at least one component (3.6); this one says nothing.
NOTHING = (
    "BEGIN:VTIMEZONE", "TZID:UTC", "BEGIN:STANDARD", "DTSTART:19700101T000000", "TZOFFSETFROM:+0000",
    "TZOFFSETTO:+0000", "END:STANDARD", "END:VTIMEZONE",
)  # fmt: skip


@dataclass(frozen=True)
class Event:
    """One half of an order at its time."""

    uid: str
    at: datetime
    ordered_at: datetime
    summary: str
    description: str
    category: str | None = None
    is_cancelled: bool = False


def calendar(name: str, events: Iterable[Event], now: datetime) -> str:
    """The events as one file."""
    lines = [line for event in events for line in _event(event, now)] or list(NOTHING)
    head = ("BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:{PRODUCT}", "CALSCALE:GREGORIAN", "METHOD:PUBLISH")
    whole = (*head, f"X-WR-CALNAME:{_escaped(name)}", *lines, "END:VCALENDAR")
    return "".join(f"{_folded(line)}\r\n" for line in whole)


def _event(event: Event, now: datetime) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{event.uid}"
    yield f"DTSTAMP:{_utc(now)}"
    yield f"DTSTART:{_utc(event.at)}"
    yield f"DTEND:{_utc(event.at + LASTS)}"
    yield f"SEQUENCE:{max(0, int((now - event.ordered_at).total_seconds()) // 60)}"
    yield f"SUMMARY:{_escaped(event.summary)}"
    yield f"DESCRIPTION:{_escaped(event.description)}"
    if event.category:
        yield f"CATEGORIES:{_escaped(event.category)}"
    yield f"STATUS:{'CANCELLED' if event.is_cancelled else 'CONFIRMED'}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _escaped(text: str) -> str:
    """Text as a value (3.3.11); other control characters are none."""
    return "".join(sign for sign in text if sign in "\n\t" or sign.isprintable() or ord(sign) > 0x9F).translate(ESCAPES)


def _folded(line: str) -> str:
    """The line in pieces of at most 75 octets, each but the first behind a blank; no letter is cut in two (3.1)."""
    pieces, piece, size = [], "", 0
    for sign in line:
        octets = len(sign.encode())
        if size + octets > LONGEST_LINE:
            pieces.append(piece)
            piece, size = " ", 1
        piece, size = piece + sign, size + octets
    return "\r\n".join([*pieces, piece])
