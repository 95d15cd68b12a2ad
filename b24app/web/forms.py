"""Forms and queries of people, read by pydantic models; what is wrong is said by field."""

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta, tzinfo
from io import BytesIO
from typing import Annotated, Any, TypeVar

from flask import request
from gunicorn.http.errors import ParseException
from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic_core import ErrorDetails
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge

from b24app.domain import N_, whole_number
from b24app.errors import BadForm
from b24app.runs.local_time import nearest, read_time
from b24app.web.problems import DETAIL_BY_STATUS
from b24app.web.translation import _, number

Number = Annotated[int, BeforeValidator(whole_number)]
Model = TypeVar("Model", bound=BaseModel)
FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
BITRIX_LIMIT = 64 * 1024
YEARS = range(1970, 9999)
NO_LIMIT = 2**31 - 1  # from here on it says what the database holds, which helps nobody
OF_PAGES = ("lids", "add", "remove")
LIMITS = {  # by pydantic's name of the fault: the words, and where it tells the limit
    "pages": (N_("The field “%(field)s” can hold at most %(most)s pages. Nothing was done."), "max_length"),
    "too_long": (N_("The field “%(field)s” can hold at most %(most)s entries. Nothing was done."), "max_length"),
    "string_too_long": (
        N_("The field “%(field)s” can have at most %(most)s characters. Nothing was done."),
        "max_length",
    ),
    "less_than_equal": (N_("The number in the field “%(field)s” can be at most %(most)s. Nothing was done."), "le"),
    "greater_than_equal": (
        N_("The number in the field “%(field)s” must be at least %(most)s. Nothing was done."),
        "ge",
    ),
}
DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def read_chunked(limit: int) -> None:
    """Have a body that came in chunks whole, as if its length had been said. Raises BadForm 413 for a longer one:
    Werkzeug would cut it at the limit and go on with what is left. Raises BadForm 400 for what is not in chunks.
    """
    if request.environ.get("CONTENT_LENGTH") or not request.environ.get("wsgi.input_terminated"):
        return
    try:
        got = request.environ["wsgi.input"].read(limit + 1)
    except ParseException:
        raise BadForm(status=400, detail=DETAIL_BY_STATUS[400]) from None
    except OSError:  # it ends early: the server read no more of it
        got = None
    if got is None or len(got) > limit:
        raise BadForm(status=413, detail=DETAIL_BY_STATUS[413])
    request.environ["wsgi.input"] = BytesIO(got)
    request.environ["CONTENT_LENGTH"] = str(len(got))


def from_bitrix() -> MultiDict[str, str]:
    """The form Bitrix24 is said to have posted, at most 64 KiB. Raises BadForm 413 and 415."""
    request.max_content_length = BITRIX_LIMIT
    if request.mimetype not in FORM_TYPES:
        raise BadForm(status=415, detail=DETAIL_BY_STATUS[415])
    try:
        return request.form
    except RequestEntityTooLarge:
        raise BadForm(status=413, detail=DETAIL_BY_STATUS[413]) from None


def body() -> MultiDict[str, str] | dict[str, Any]:
    """The form or JSON object that was sent; an empty form when nothing was. Raises BadForm 400 and 415."""
    if request.is_json:
        return _json_object()
    if request.content_length and request.mimetype not in FORM_TYPES:
        raise BadForm(status=415, detail=DETAIL_BY_STATUS[415])
    return request.form


def sent_json() -> Any:
    """What was sent as JSON, of any shape; None for what cannot be read."""
    try:
        return request.get_json(silent=True)
    except RecursionError:  # a hundred thousand brackets
        return None


def _json_object() -> dict[str, Any]:
    sent = sent_json()
    if not isinstance(sent, dict):
        raise BadForm(status=400, detail=DETAIL_BY_STATUS[400])
    return sent


def read(model: type[Model], sent: MultiDict[str, str] | Mapping[str, Any], lists: tuple[str, ...] = ()) -> Model:
    """The form as `model`; empty fields count as not sent, `lists` names what repeats. Raises BadForm 422."""
    values = _plain(sent, lists) if isinstance(sent, MultiDict) else dict(sent)
    for field, value in values.items():
        if isinstance(value, str) and "\0" in value:  # no column takes it
            raise _refusal(field)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise _refusal(str(first["loc"][0]) if first["loc"] else "form", _limit(first)) from None


def _limit(fault: ErrorDetails) -> tuple[str, int] | None:
    """Which words tell the limit that was passed, and the limit; None where it was something else."""
    outer, *inner = fault["loc"] or ("form",)
    known = LIMITS.get("pages" if outer in OF_PAGES and fault["type"] == "too_long" else fault["type"])
    if known is None or inner:
        return None
    words, name = known
    most = fault["ctx"][name]
    return (words, most) if isinstance(most, int) and most < NO_LIMIT else None


def _refusal(field: str, limit: tuple[str, int] | None = None) -> BadForm:
    if limit is not None:
        words, most = limit
        return BadForm(detail=_(words, field=field, most=number(most)))
    return BadForm(
        detail=_("The field “%(field)s” is missing or not filled in correctly. Nothing was done.", field=field)
    )


def _plain(sent: MultiDict[str, str], lists: tuple[str, ...]) -> dict[str, Any]:
    single = {name: value for name, value in sent.items() if name not in lists and value != ""}
    return single | {name: sent.getlist(name) for name in lists if name in sent}


def iso_text(sent: object) -> object:
    """A moment is said as text; a number could be seconds or milliseconds of anything."""
    if not isinstance(sent, str) or not sent[:4].isdigit() or "-" not in sent:
        raise ValueError("a moment in ISO 8601")
    return sent


def day_or_time(sent: object) -> date | datetime | None:
    """What `from`, `to`, `due_from` and `due_to` say: a day (YYYY-MM-DD), or a time in the forms of `at`."""
    if not isinstance(sent, str) or not sent:
        return None
    try:
        said = date.fromisoformat(sent) if DAY.fullmatch(sent) else read_time(sent)
    except BadForm:
        raise ValueError("not in our form") from None
    if said.year not in YEARS:
        raise ValueError("a day of our time")
    return said


DayOrTime = Annotated[date | datetime | None, BeforeValidator(day_or_time)]


def start_of(said: date | datetime | None, zone: tzinfo, days: int = 0) -> datetime | None:
    """The moment meant; of a day its first, or that of a later day. Without an offset it is the zone's own clock."""
    if said is None:
        return None
    if isinstance(said, datetime):
        return said if said.tzinfo else nearest(said, zone)
    return nearest(datetime.combine(said + timedelta(days=days), time()), zone)
