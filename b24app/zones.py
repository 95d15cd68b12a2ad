"""Time zones by name: those of the IANA database, and fixed offsets such as `+03:00`.

Portals and browsers also say `GMT+3` or `UTC+03:00`; such a name is kept as the offset it means. The sign is that of
everyday speech, plus lies east; `Etc/GMT-3` of the database means the same with the opposite sign.
"""

import re
from datetime import timedelta, timezone, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

OFFSET = re.compile(r"(?:UTC|GMT)? ?([+-])([0-9]{1,2})(?::?([0-9]{2}))?")
FURTHEST_WEST, FURTHEST_EAST = timedelta(hours=-12), timedelta(hours=14)
REGIONS = ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@cache
def names() -> frozenset[str]:
    """Names of the database as people know them: without the machine's own files and leap-second twins."""
    return frozenset(available_timezones() - {"localtime", "Factory"})


def find(name: str | None) -> tzinfo | None:
    """The zone of a name as it is kept; None for one nobody knows."""
    if name is None:
        return None
    return ZoneInfo(name) if name in names() else _fixed(name)


def understood(said: object) -> str | None:
    """The name to keep for what a portal, a browser or a person calls a zone; None for what nobody knows."""
    name = said.strip() if isinstance(said, str) else ""
    if name in names():
        return name
    fixed = _fixed(name.upper())
    return str(fixed).removeprefix("UTC") or "UTC" if fixed else None


def choices() -> list[str]:
    """What a person chooses from, in order of the alphabet: zones by their city, and UTC."""
    return ["UTC", *sorted(name for name in names() if name.startswith(tuple(f"{region}/" for region in REGIONS)))]


def _fixed(name: str) -> timezone | None:
    found = OFFSET.fullmatch(name)
    if found is None or int(found[3] or 0) > 59:
        return None
    away = timedelta(hours=int(found[2]), minutes=int(found[3] or 0)) * (-1 if found[1] == "-" else 1)
    return timezone(away) if FURTHEST_WEST <= away <= FURTHEST_EAST else None
