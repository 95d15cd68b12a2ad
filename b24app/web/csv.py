"""Tables for spreadsheets: CSV in UTF-8 with a byte order mark, sent piece by piece, for people or for programs.

One list of columns makes both forms. For people: heads, words and times in their language and zone, and `;` between
cells where their decimal sign is a comma, as their spreadsheet expects it. Raw: field names, codes, ISO UTC, commas.
A cell is never a formula: one that would begin like one gets an apostrophe in front.
Source: OWASP, "CSV Injection".
"""

import csv
import io
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Generic, Literal, TypeVar
from urllib.parse import quote

from flask import Response, request, stream_with_context
from pydantic import BaseModel, ConfigDict

from b24app.domain import N_
from b24app.folding import is_blank
from b24app.web import translation
from b24app.web.forms import read
from b24app.web.serializers import iso
from b24app.web.translation import _

Row = TypeVar("Row")
MARK = "\ufeff"
DANGEROUS = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")  # full-width forms count, too
NOT_IN_NAMES = str.maketrans(dict.fromkeys('\\/:*?"<>|;', " "))
LONGEST_NAME = 120


@dataclass(frozen=True)
class Column(Generic[Row]):
    """One column of a table: `field` and `read` make the raw form, `head` and `say` the one for people.

    field  None: only people get it
    head   None: only programs get it; of a column of times the reader's zone is named behind it
    read   the value; a moment is written as ISO in UTC, or in the reader's zone and language
    say    the words for people, where the value itself is none
    """

    field: str | None
    head: str | None
    read: Callable[[Row], object]
    say: Callable[[Row], object] | None = None
    is_time: bool = False


class Form(BaseModel):
    """What the query says about the file itself."""

    model_config = ConfigDict(extra="ignore")

    format: Literal["people", "raw"] | None = None


def csv_file(title: str, columns: Sequence[Column[Row]], rows: Iterable[Row], *, raw_name: str) -> Response:
    """The rows as a file to save, in the form that was asked for. What goes wrong before the first row is still a
    problem answer of its own.

    title     what the file holds, in words of the reader: names the file for people
    raw_name  the file for programs, without its ending
    Raises BadForm 422 for another form.
    """
    for_people = is_for_people()
    coming = iter(rows)
    first = list(islice(coming, 1))
    lines = (_for_people if for_people else _raw)(columns, chain(first, coming))
    body = stream_with_context(lines) if request.method == "GET" else ()  # nobody would end the stream of a HEAD
    answer = Response(body, content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = _disposition(title if for_people else raw_name)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def is_for_people() -> bool:
    """Whether the file is for a person: asked for as such, or by a browser, which is our page or one that takes HTML.
    Raises BadForm 422.
    """
    asked = read(Form, request.args).format
    if asked is not None:
        return asked == "people"
    return "HX-Request" in request.headers or "text/html" in request.headers.get("Accept", "")


def _raw(columns: Sequence[Column[Row]], rows: Iterable[Row]) -> Iterator[str]:
    shown = [column for column in columns if column.field is not None]
    yield MARK + _line([column.field or "" for column in shown], ",")
    for row in rows:
        yield _line([_cell(_coded(column.read(row))) for column in shown], ",")


def _for_people(columns: Sequence[Column[Row]], rows: Iterable[Row]) -> Iterator[str]:
    shown = [column for column in columns if column.head is not None]
    between = ";" if translation.decimal_sign() == "," else ","
    yield MARK + _line([_cell(_head(column)) for column in shown], between)
    for row in rows:
        yield _line([_cell(_said((column.say or column.read)(row))) for column in shown], between)


def _head(column: Column[Row]) -> str:
    words = _(column.head) if column.head else ""
    return f"{words} ({translation.zone() or 'UTC'})" if column.is_time else words


def _coded(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return iso(value) or ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _said(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return translation.in_cell(value)
    if isinstance(value, bool):
        return _(N_("Yes")) if value else _(N_("No"))
    return str(value).replace(".", translation.decimal_sign()) if isinstance(value, float) else str(value)


def _line(cells: Sequence[str], between: str) -> str:
    written = io.StringIO()
    csv.writer(written, delimiter=between).writerow(cells)
    return written.getvalue()


def _cell(text: str) -> str:
    """The text, never read as a formula: what counts is the first character that is to be seen."""
    for sign in text:
        if sign in DANGEROUS:
            return f"'{text}"
        if not is_blank(sign):
            break
    return text


def _disposition(name: str) -> str:
    """A file name for every browser: in plain letters, and as it is. Source: RFC 6266, section 5."""
    plain = " ".join(name.translate(NOT_IN_NAMES).split())[:LONGEST_NAME].strip() or "sundown"
    ascii_only = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
    simple = " ".join(ascii_only.split()) or "sundown"
    whole = "" if simple == plain else f"; filename*=UTF-8''{quote(plain + '.csv', safe='')}"
    return f'attachment; filename="{simple}.csv"{whole}'
