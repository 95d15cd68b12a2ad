"""The language of this request, for Python and for templates."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any

from flask import Flask, current_app, g, has_request_context
from markupsafe import Markup, escape

from b24app import i18n, zones
from b24app.domain import N_, Actor
from b24app.services import Services

WEEK_DAYS, EVENING = 7, 18


def lang() -> str:
    """The asker's language; English outside a request and before anybody is known."""
    if not has_request_context():
        return i18n.DEFAULT
    actor: Actor | None = g.get("actor")
    return actor.language if actor else str(g.get("lang", i18n.DEFAULT))


def _(words: str, **values: Any) -> str:
    """The words in the asker's language, with %(name)s filled in."""
    said = i18n.catalog(lang()).gettext(words)
    return _filled_in(said, values) if values else said


def ngettext(one: str, many: str, number: int, **values: Any) -> str:
    """The right plural; %(num)s is the number as the language writes it."""
    said = i18n.catalog(lang()).ngettext(one, many, number)
    return _filled_in(said, {"num": i18n.number(number, lang()), **values})


def _filled_in(said: str, values: Mapping[str, Any]) -> str:
    """A macro's words are markup already: the sentence around them becomes markup, too, or they were escaped twice."""
    is_markup = any(isinstance(value, Markup) for value in values.values())
    return (escape(said) if is_markup else said) % values


def number(value: int) -> str:
    """A number as the language writes it."""
    return i18n.number(value, lang())


def when(moment: datetime | str | None, zone_name: str | None = None) -> str:
    """A moment in the asker's zone, or another, and language: "Today, 10:24", "9 Nov, 18:00"; a dash for none."""
    if moment is None:
        return "–"
    value = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
    days, date, time = i18n.when(value, lang(), zone_name or zone(), _now())
    near = {-1: N_("Yesterday, %(time)s"), 0: N_("Today, %(time)s"), 1: N_("Tomorrow, %(time)s")}.get(days)
    return _(near, time=time) if near else _("%(date)s, %(time)s", date=date, time=time)


def at_clock(moment: datetime, zone_name: str | None = None) -> str:
    """A moment within a sentence: "today at 23:59", "Monday at 8:00", "7 Dec at 8:00"."""
    shown = zone_name or zone()
    days, date, time = i18n.when(moment, lang(), shown, _now())
    here = moment.astimezone(i18n.zone(shown))
    is_tonight = here.hour >= EVENING and moment > _now()
    today = N_("tonight at %(time)s") if is_tonight else N_("today at %(time)s")
    near = {-1: N_("yesterday at %(time)s"), 0: today, 1: N_("tomorrow at %(time)s")}.get(days)
    if near:
        return _(near, time=time)
    on = i18n.weekday_name(here.date(), lang()) if 1 < days < WEEK_DAYS else date
    return _(N_("%(day)s at %(time)s"), day=on, time=time)


def zone_by_name(zone_name: str | None) -> str:
    """A zone as people call it: "London time"; an offset as it is."""
    city = i18n.city(zone_name or zone(), lang())
    return _(N_("%(city)s time"), city=city) if city else offset(zone_name)


def day_heading(value: date) -> str:
    """A day as the heading of a list: "Today", "Tomorrow", "Monday, December 7", with the year where it is another."""
    today = _now().astimezone(i18n.zone(zone())).date()
    near = {0: N_("Today"), 1: N_("Tomorrow"), -1: N_("Yesterday")}.get((value - today).days)
    if near:
        return f"{_(near)}, {i18n.day(value, lang())}"
    return i18n.whole_day(value, lang(), with_year=value.year != today.year)


def on_day(moment: datetime) -> str:
    """A moment in the zone it is in, with its day of the week: "Today, 18:00", "Mon, 7 Dec, 18:00"."""
    today = _now().astimezone(moment.tzinfo).date()
    if (moment.date() - today).days in (-1, 0, 1):
        return when(moment)
    date = i18n.day_of_week(moment.date(), lang(), with_year=moment.year != today.year)
    return _(N_("%(date)s, %(time)s"), date=date, time=clock(moment))


def weekday(value: date) -> str:
    """The day of the week, short."""
    return i18n.weekday(value, lang())


def month(value: date) -> str:
    """A month by name, with its year."""
    return i18n.month(value, lang())


def days(first: date, last: date) -> str:
    """From one day to another."""
    return i18n.days(first, last, lang())


def o_clock(hour: int, minute: int = 0) -> str:
    """A time of day."""
    return i18n.clock(_now().replace(hour=hour, minute=minute), lang())


def clock(moment: datetime) -> str:
    """The time of day, in the zone the moment is in."""
    return i18n.clock(moment, lang())


def in_cell(moment: datetime) -> str:
    """A moment for a cell of a spreadsheet, in the asker's zone and language."""
    return i18n.in_cell(moment, lang(), zone())


def decimal_sign() -> str:
    """What stands before the tenths in the asker's language."""
    return i18n.decimal_sign(lang())


def spoken(moment: datetime | str | None, zone_name: str | None = None) -> str:
    """As `at_clock`, of a moment as answers carry it, or of none."""
    if moment is None:
        return "–"
    return at_clock(datetime.fromisoformat(moment) if isinstance(moment, str) else moment, zone_name)


def named(name: str) -> str:
    """A name as it is told in a sentence; not everybody has one."""
    return name.strip() or _(N_("a colleague"))


def person(who: Mapping[str, Any]) -> str:
    """Somebody's name, or what can be said of a person who has none."""
    if str(who["name"]).strip():
        return str(who["name"]).strip()
    return _(N_("user %(number)s"), number=who["user_id"]) if who["user_id"] else _(N_("a former user"))


def typed(value: int) -> str:
    """A pattern for a number as people type it: with or without what parts its thousands."""
    digits = f"{value:,}".split(",")
    return r"\s*" + r"[\s.,'’]?".join(digits) + r"\s*"


def span(length: timedelta) -> str:
    """How long, in the asker's language: "3 hours"."""
    return i18n.span(length, lang())


def ahead(moment: datetime) -> str:
    """How far a moment is from now: "in 3 hours"."""
    return i18n.span(moment - _now(), lang(), ahead=True)


def day(value: date) -> str:
    """A day without a time."""
    return i18n.day(value, lang())


def today(moment: datetime | None = None) -> str:
    """The day of a moment, or this one, in the asker's zone, as it sorts: 2026-11-29."""
    return (moment or _now()).astimezone(i18n.zone(zone())).date().isoformat()


def zone() -> str | None:
    """The asker's time zone, as far as it is known."""
    actor: Actor | None = g.get("actor") if has_request_context() else None
    return actor.zone if actor else None


def offset(zone_name: str | None, moment: datetime | None = None) -> str:
    """How far a zone is from UTC, now or at a moment."""
    return i18n.offset(zone_name, moment or _now())


def _now() -> datetime:
    services: Services = current_app.extensions["sundown"]
    return services.clock()


def zone_choice(zone_name: str) -> str:
    """A zone as one chooses it, in the asker's language."""
    return i18n.zone_choice(zone_name, lang())


def zone_options() -> str:
    """Every zone as an option of a select, in the asker's language."""
    return _zone_options(lang())[0]


def zones_version() -> str:
    """What tells one list of zones from another: of another language, or of another release."""
    return _zone_options(lang())[1]


@lru_cache(i18n.MOST_LANGUAGES)
def _zone_options(lang: str) -> tuple[str, str]:
    """Made once a language: to make five hundred takes longer than a dialog."""
    options = "".join(
        f'<option value="{escape(name)}">{escape(i18n.zone_choice(name, lang))}</option>' for name in zones.choices()
    )
    return options, sha256(options.encode()).hexdigest()[:12]


def register(app: Flask) -> None:
    """Give templates their words."""
    app.jinja_env.globals.update(
        _=_, gettext=_, ngettext=ngettext, lang=lang, o_clock=o_clock,
        zone_choice=zone_choice, zones_version=zones_version,
        shown_in=lambda: i18n.shown_in(lang()),
        direction=lambda: i18n.direction(i18n.shown_in(lang())),
    )  # fmt: skip
    app.jinja_env.filters.update(
        when=when,
        spoken=spoken,
        person=person,
        typed=typed,
        named=named,
        day=day,
        day_heading=day_heading,
        weekday=weekday,
        clock=clock,
        on_day=on_day,
        number=number,
        offset=offset,
    )
