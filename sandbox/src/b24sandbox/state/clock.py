"""The stand-in's own time, which can run fast and can be pushed on.

Limits and lifetimes are long (an hour, ten minutes, 180 days): with `scale=60` an hour passes in a minute. Nothing
else of the stand-in reads the clock or sleeps.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

PORTAL_ZONE = timezone(timedelta(hours=1))


class Clock:
    """`now` in unix seconds; `scale` portal seconds go by in one real second."""

    def __init__(self, scale: float = 1.0, tick: Callable[[], float] = time.monotonic) -> None:
        self._usual = scale
        self._tick = tick
        self.reset()

    def reset(self) -> None:
        """Back to the real time and the speed of the start."""
        self._line = (self._tick(), time.time(), self._usual)  # replaced in one piece: other threads are reading

    @property
    def scale(self) -> float:
        return self._line[2]

    def now(self) -> float:
        began, then, scale = self._line
        return then + (self._tick() - began) * scale

    def run(self, scale: float) -> None:
        """Go on from now at another speed."""
        self._line = (self._tick(), self.now(), scale)

    def advance(self, seconds: float) -> None:
        """Push the time on at once."""
        began, then, scale = self._line
        self._line = (began, then + seconds, scale)

    def real(self, seconds: float) -> float:
        """How many real seconds a span of portal seconds takes."""
        return seconds / self.scale

    def sleep(self, seconds: float) -> None:
        """Wait a span of portal seconds."""
        time.sleep(self.real(seconds))


class PortalTime(float):
    """Unix seconds that become the portal's text only when printed: lists sort by them and print few."""

    lang: str

    def __new__(cls, moment: float, lang: str) -> PortalTime:
        made = super().__new__(cls, moment)
        made.lang = lang
        return made

    def __str__(self) -> str:
        return portal_text(self, self.lang)


def iso(moment: float) -> str:
    """Unix seconds as a portal prints them: ISO 8601 with the portal's offset."""
    return datetime.fromtimestamp(int(moment), PORTAL_ZONE).isoformat()


def iso_utc(moment: float) -> str:
    return datetime.fromtimestamp(int(moment), UTC).isoformat()


WRITTEN = ("%m/%d/%Y %I:%M:%S %p", "%d.%m.%Y %H:%M:%S", "%m/%d/%Y", "%d.%m.%Y")


def moment_of(text: str) -> float | None:
    """A time as a portal or ISO 8601 writes it, in unix seconds; None for what is neither."""
    for written in WRITTEN:
        with contextlib.suppress(ValueError):
            return datetime.strptime(text, written).replace(tzinfo=PORTAL_ZONE).timestamp()
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (found if found.tzinfo else found.replace(tzinfo=PORTAL_ZONE)).timestamp()


def portal_text(moment: float, lang: str) -> str:
    """Unix seconds in the portal's culture, without a zone (section 5.4)."""
    local = datetime.fromtimestamp(moment, PORTAL_ZONE)
    if lang == "en":
        return local.strftime("%m/%d/%Y %I:%M:%S ") + ("am" if local.hour < 12 else "pm")
    return local.strftime("%d.%m.%Y %H:%M:%S")
