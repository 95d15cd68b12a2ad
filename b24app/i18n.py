"""Words and dates in the language of the portal.

Catalogs are plain .po files under `translations/`; they are read at start, so there is no compile step to forget. A
language without a catalog is shown in English, dates and numbers still by its own habits.
"""

import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.dates import (
    format_date,
    format_interval,
    format_skeleton,
    format_time,
    format_timedelta,
    get_timezone_location,
)
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, get_decimal_symbol
from babel.support import NullTranslations, Translations

from b24app import zones

CATALOGS = Path(__file__).parent / "translations"
DEFAULT = "en"
MOST_LANGUAGES = 64
# Bitrix24's LANG codes that are not the code of a locale (portal language list)
LOCALES = {
    "la": "es",
    "br": "pt_BR",
    "sc": "zh_Hans",
    "tc": "zh_Hant",
    "ua": "uk",
    "by": "be",
    "kz": "kk",
    "vn": "vi",
    "in": "hi",
}
# … and every code it has; whatever else is posted is English, so that no catalog is made for what somebody thought up
KNOWN = frozenset(LOCALES) | {"ru", "en", "de", "fr", "it", "pl", "tr", "ja", "id", "ms", "th", "ar"}
CODES = {"es": "la", "pt": "br", "zh": "sc", "uk": "ua", "be": "by", "kk": "kz", "vi": "vn", "hi": "in"}
RIGHT_TO_LEFT = {"ar", "he", "fa"}
NARROW_SPACE, FIXED_SPACE = "\u202f", "\u00a0"
Gettext = Callable[..., str]


def language(lang: str | None) -> str:
    """The code we keep for a posted LANG: one of Bitrix24's, also from a longer form such as `en_US`; else English."""
    code = (lang or "").strip().lower().replace("-", "_").partition("_")[0]
    code = CODES.get(code, code)
    return code if code in KNOWN else DEFAULT


@lru_cache(MOST_LANGUAGES)
def locale(lang: str) -> Locale:
    """Babel's locale of a language; English where Babel knows none, and where dates that run from right to left would
    stand in English sentences.
    """
    try:
        known = Locale.parse(LOCALES.get(lang, lang))
    except (UnknownLocaleError, ValueError):
        return Locale.parse(DEFAULT)
    is_foreign = known.language in RIGHT_TO_LEFT and not (CATALOGS / known.language).is_dir()
    return Locale.parse(DEFAULT) if is_foreign else known


def own_name(lang: str) -> str:
    """What a language calls itself: "Deutsch"."""
    return str(locale(lang).get_display_name(locale(lang)) or lang).capitalize()


def direction(lang: str) -> str:
    """`rtl` for scripts that run from right to left."""
    return "rtl" if locale(lang).language in RIGHT_TO_LEFT else "ltr"


@lru_cache(MOST_LANGUAGES)
def catalog(lang: str) -> NullTranslations:
    """The catalog of a language; one that answers in English when there is none."""
    file = CATALOGS / locale(lang).language / "LC_MESSAGES" / "messages.po"
    if not file.is_file():
        return NullTranslations()
    compiled = io.BytesIO()
    with file.open("rb") as source:
        write_mo(compiled, read_po(source, locale=locale(lang).language))
    compiled.seek(0)
    return Translations(compiled)


def shown_in(lang: str) -> str:
    """The language of the words somebody reads: theirs, or English where it has no catalog."""
    return lang if lang == DEFAULT or (CATALOGS / locale(lang).language).is_dir() else DEFAULT


def languages() -> list[str]:
    """Languages with a complete catalog, English first."""
    return [
        DEFAULT,
        *sorted(folder.name for folder in CATALOGS.glob("*") if folder.is_dir() and folder.name != DEFAULT),
    ]


def zone(name: str | None) -> tzinfo:
    """The zone to show times in; UTC when the person's is not known."""
    return zones.find(zones.understood(name)) or UTC


def when(moment: datetime, lang: str, zone_name: str | None, now: datetime) -> tuple[int, str, str]:
    """A moment as people of that language write it, in their zone: (days from today, date, time of day).

    The year is written only where it is not this one; never seconds.
    """
    here = moment.astimezone(zone(zone_name))
    today = now.astimezone(here.tzinfo)
    skeleton = "MMMd" if here.year == today.year else "yMMMd"
    date = format_skeleton(skeleton, here, locale=locale(lang))
    time = format_time(here, "short", locale=locale(lang)).replace(NARROW_SPACE, FIXED_SPACE)
    return (here.date() - today.date()).days, date, time


def day(value: date, lang: str) -> str:
    """A day without a time, as short as the language allows: "9 Nov"."""
    return str(format_skeleton("MMMd", value, locale=locale(lang)))


def weekday(value: date, lang: str) -> str:
    """The day of the week, short: "Mon"."""
    return str(format_skeleton("E", value, locale=locale(lang)))


def day_of_week(value: date, lang: str, *, with_year: bool) -> str:
    """A day with its day of the week: "Mon, 7 Dec"."""
    return str(format_skeleton("yMMMEd" if with_year else "MMMEd", value, locale=locale(lang)))


def whole_day(value: date, lang: str, *, with_year: bool) -> str:
    """A day in full: "Monday, 7 December"."""
    shown = locale(lang)
    date = format_date(value, "long", locale=shown) if with_year else format_skeleton("MMMMd", value, locale=shown)
    return f"{weekday_name(value, lang)}, {date}"


def weekday_name(value: date, lang: str) -> str:
    """The day of the week: "Monday"."""
    return format_date(value, "EEEE", locale=locale(lang))


def city(zone_name: str | None, lang: str) -> str | None:
    """The city by which a zone is known; None for an offset, UTC and what nobody knows."""
    known = zones.understood(zone_name)
    if known is None or "/" not in known or known.startswith("Etc/"):
        return None
    try:
        return str(get_timezone_location(known, locale=locale(lang), return_city=True))
    except LookupError:
        return None


def zone_choice(zone_name: str, lang: str) -> str:
    """A zone to choose: its name, and its city where people of that language write it otherwise.

    An old name that stands for another city's zone stays alone.
    """
    if lang == DEFAULT:
        return zone_name
    own, local = zone_name.rpartition("/")[2].replace("_", " "), city(zone_name, lang)
    return f"{zone_name} ({local})" if local and local != own and own == city(zone_name, DEFAULT) else zone_name


def first_week_day(lang: str) -> int:
    """With which day weeks begin where the language is at home; Monday is 0."""
    return int(locale(lang).first_week_day)


def month(value: date, lang: str) -> str:
    """A month by name: "November 2026"."""
    return str(format_skeleton("yMMMM", value, locale=locale(lang)))


def days(first: date, last: date, lang: str) -> str:
    """From one day to another: "Nov 30 – Dec 6, 2026"."""
    return str(format_interval(first, last, "yMMMd", locale=locale(lang)))


def clock(moment: datetime, lang: str) -> str:
    """The time of day of a moment in its own zone."""
    return format_time(moment, "short", locale=locale(lang)).replace(NARROW_SPACE, FIXED_SPACE)


def in_cell(moment: datetime, lang: str, zone_name: str | None) -> str:
    """A moment as a spreadsheet of that language reads it as one: "29.11.2026 18:00"."""
    here = moment.astimezone(zone(zone_name))
    time = format_time(here, "short", locale=locale(lang)).replace(NARROW_SPACE, " ").replace(FIXED_SPACE, " ")
    return f"{format_skeleton('yMd', here, locale=locale(lang))} {time}"


def decimal_sign(lang: str) -> str:
    """What stands before the tenths: "." or ",", or the language's own."""
    return str(get_decimal_symbol(locale(lang)))


def span(length: timedelta, lang: str, *, ahead: bool = False) -> str:
    """A span in the largest unit that says enough: "3 hours", or "in 3 hours"."""
    return str(format_timedelta(length, granularity="minute", threshold=1.5, add_direction=ahead, locale=locale(lang)))


def number(value: int, lang: str) -> str:
    """A whole number with the separators of the language."""
    return str(format_decimal(value, locale=locale(lang)))


def offset(zone_name: str | None, moment: datetime) -> str:
    """How far the zone is from UTC at that moment: UTC+02:00."""
    seconds = (moment.astimezone(zone(zone_name)).utcoffset() or timedelta()).total_seconds()
    hours, minutes = divmod(abs(int(seconds)) // 60, 60)
    return f"UTC{'-' if seconds < 0 else '+'}{hours:02}:{minutes:02}" if seconds else "UTC"
