"""Tables for spreadsheets: CSV in UTF-8 with a byte order mark, sent piece by piece.

A cell is never a formula: one that would begin like one gets an apostrophe in front.
Source: OWASP, "CSV Injection".
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from flask import Response, request, stream_with_context

MARK = "\ufeff"
DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_file(name: str, heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Response:
    """The rows as a file to save. What goes wrong before the first row is still a problem answer of its own."""
    coming = iter(rows)
    first = list(islice(coming, 1))
    lines = _lines(heads, chain(first, coming))
    body = stream_with_context(lines) if request.method == "GET" else ()  # nobody would end the stream of a HEAD
    answer = Response(body, content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _lines(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    yield MARK + _line(heads)
    for row in rows:
        yield _line([_cell(value) for value in row])


def _line(cells: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written).writerow(cells)
    return written.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if text.startswith(DANGEROUS) else text
