"""The language of this request, for Python and for templates."""

from datetime import datetime
from typing import Any

from flask import Flask, g, has_request_context

from b24app import i18n
from b24app.terms import Actor


def lang() -> str:
    """The asker's language; English outside a request and before anybody is known."""
    if not has_request_context():
        return i18n.DEFAULT
    actor: Actor | None = g.get("actor")
    return actor.language if actor else str(g.get("lang", i18n.DEFAULT))


def _(words: str, **values: Any) -> str:
    """The words in the asker's language, with %(name)s filled in."""
    said = i18n.catalog(lang()).gettext(words)
    return said % values if values else said


def ngettext(one: str, many: str, number: int, **values: Any) -> str:
    """The right plural; %(num)s is the number as the language writes it."""
    said = i18n.catalog(lang()).ngettext(one, many, number)
    return said % {"num": number, **values}


def when(moment: datetime | str | None, form: str = "medium") -> str:
    """A moment in the asker's zone and language."""
    actor: Actor | None = g.get("actor")
    return i18n.when(moment, lang(), actor.zone if actor else None, form)


def register(app: Flask) -> None:
    """Give templates their words."""
    app.jinja_env.globals.update(_=_, gettext=_, ngettext=ngettext, lang=lang, direction=lambda: i18n.direction(lang()))
    app.jinja_env.filters["when"] = when
