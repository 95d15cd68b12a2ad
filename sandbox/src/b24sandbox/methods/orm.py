"""The lists of 5.4 and 5.5: select, filter, order, limit and offset as Bitrix's ORM takes them from a REST call.

Rows are plain maps of upper-case fields. What differs from a tidy query language is kept: unknown keys of `params` and
unknown fields are SYSTEM_ERRORs with the raw text, keys with a dot vanish, and rows without `ID` collapse into one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from b24sandbox.protocol import php
from b24sandbox.protocol.errors import landing
from b24sandbox.state.clock import PortalTime, moment_of

Row = Mapping[str, object]
PARAMS = ("select", "filter", "group", "order", "limit", "offset")
_OPERATORS = ("!=%", "!%=", "><", "!@", ">=", "<=", "!=", "!%", "=%", "%=", "==", "=", "!", ">", "<", "@", "%")


def query(params: Mapping[str, object], rows: Iterable[Row], fields: Sequence[str], entity: str) -> list[Row]:
    """The rows that the filter lets through, ordered, cut, and with only the selected fields.

    Raises SYSTEM_ERROR for an unknown key or field, TYPE_ERROR for a `select` that is not an array.
    """
    names = frozenset(fields)
    if params.get("group") not in (None, [], {}, ""):
        raise landing("SYSTEM_ERROR", "Parameter `group` is not supported.")
    condition = compile_filter(dict(php.items(params.get("filter"))), names, entity)
    found = [row for row in rows if condition(row)]
    _order(found, php.items(params.get("order")), names, entity)
    offset, limit = php.integer(params.get("offset")), php.integer(params.get("limit"))
    found = found[offset : offset + limit] if limit > 0 else found[offset:]
    chosen = _select(params.get("select"), names, entity)
    shown = [name for name in fields if name in chosen]
    return collapse([{name: _printed(row[name]) for name in shown if name in row} for row in found])


def _printed(value: object) -> object:
    return str(value) if isinstance(value, PortalTime) else value


def check_params(params: Mapping[str, object], more: Iterable[str]) -> None:
    """Only the known keys; `runtime` is dropped, any other stranger is a SYSTEM_ERROR."""
    known = {*PARAMS, *more, "runtime"}
    for name in params:
        if name not in known:
            raise landing("SYSTEM_ERROR", f"Unknown parameter: {name}")


def collapse(rows: list[dict[str, object]]) -> list[Row]:
    """Rows are keyed by ID inside, so without it the last one is all that is left (5.4)."""
    if rows and "ID" not in rows[0]:
        return [rows[-1]]
    return list(rows)


def _select(select: object, names: frozenset[str], entity: str) -> set[str]:
    if select is None or select in ([], {}):
        return set(names)
    if not php.is_array(select):
        raise landing("TYPE_ERROR", "Argument #1 ($select) must be of type array")
    chosen: set[str] = set()
    for each in map(php.text, php.values(select)):
        if "." in each:
            continue
        if each == "*":
            chosen |= names
        else:
            chosen.add(_known(each, names, entity))
    return chosen


def _known(name: str, names: frozenset[str], entity: str) -> str:
    if name not in names:
        raise landing("SYSTEM_ERROR", f"Unknown field definition `{name}` ({name}) for {entity} Entity.")
    return name


def _order(rows: list[Row], order: list[tuple[str, object]], names: frozenset[str], entity: str) -> None:
    for name, direction in reversed(order):
        if "." in name:
            continue
        _known(name, names, entity)
        if (way := php.text(direction).upper()) not in ("ASC", "DESC"):
            raise landing("SYSTEM_ERROR", f"Invalid order direction: {php.text(direction)}")
        rows.sort(key=lambda row, name=name: sortable(row.get(name)), reverse=way == "DESC")  # type: ignore[misc]


def sortable(value: object) -> tuple[int, float, str]:
    if value is None:
        return (0, 0.0, "")
    if isinstance(value, float):
        return (1, value, "")
    number = _number(value)
    return (1, number, "") if number is not None else (2, 0.0, php.text(value).casefold())


def _number(value: object) -> float | None:
    text = php.text(value)
    try:
        return float(text) if text and text[0] in "-0123456789" else None
    except ValueError:
        return None


Condition = Callable[[Row], bool]


def compile_filter(conditions: Mapping[str, object], names: frozenset[str], entity: str) -> Condition:
    """A filter as a test of one row: all of its conditions, or any of them with `LOGIC: OR`."""
    any_of = php.text(conditions.get("LOGIC")).upper() == "OR"
    tests: list[Condition] = []
    for key, value in conditions.items():
        if key in ("LOGIC", "CHECK_PERMISSIONS") or "." in key or key.lower() == "runtime":
            continue
        if key.isdigit():
            tests.append(compile_filter(dict(php.items(value)), names, entity))
        else:
            tests.append(_condition(key, value, names, entity))
    if any_of:
        return lambda row: not tests or any(test(row) for test in tests)
    return lambda row: all(test(row) for test in tests)


def split_key(key: str) -> tuple[str, str]:
    """`>=ID` → ('>=', 'ID')."""
    for operator in _OPERATORS:
        if key.startswith(operator):
            return operator, key[len(operator) :]
    return "", key


def _condition(key: str, wanted: object, names: frozenset[str], entity: str) -> Condition:
    operator, name = split_key(key)
    _known(name, names, entity)
    negated = operator.startswith("!")
    plain = operator.lstrip("!")
    if plain in ("", "=", "==", "@"):
        alternatives = php.values(wanted) if php.is_array(wanted) else [wanted]
        values: set[str | None] = {None if each is None else php.text(each) for each in alternatives}
        return _is(name, values, negated)
    if plain in ("%", "=%", "%="):
        pattern = _pattern(wanted, contains=plain == "%")
        return lambda row: bool(pattern.fullmatch(php.text(row.get(name)))) is not negated
    if plain == "><":
        low, high = ([*map(sortable, php.values(wanted))] + [sortable(None)] * 2)[:2]
        return lambda row: low <= sortable(row.get(name)) <= high
    if name.startswith("DATE_"):
        return _on_a_date(name, plain, wanted)
    bound = sortable(wanted)
    compare: dict[str, Condition] = {
        ">": lambda row: row.get(name) is not None and sortable(row.get(name)) > bound,
        "<": lambda row: row.get(name) is not None and sortable(row.get(name)) < bound,
        ">=": lambda row: row.get(name) is not None and sortable(row.get(name)) >= bound,
        "<=": lambda row: row.get(name) is not None and sortable(row.get(name)) <= bound,
    }
    return compare[plain]


def _on_a_date(name: str, operator: str, wanted: object) -> Condition:
    """`>`, `>=`, `<`, `<=` on a time; the bound as the portal or as ISO 8601 writes it, a bare date its midnight."""
    bound = moment_of(php.text(wanted))
    if bound is None:
        raise landing("SYSTEM_ERROR", f"Incorrect date/time: {php.text(wanted)}")
    passes: Callable[[int], bool] = {
        ">": lambda moment: moment > bound,
        ">=": lambda moment: moment >= bound,
        "<": lambda moment: moment < bound,
        "<=": lambda moment: moment <= bound,
    }[operator]

    def test(row: Row) -> bool:
        moment = row.get(name)
        return isinstance(moment, float) and passes(int(moment))

    return test


def _is(name: str, values: set[str | None], negated: bool) -> Condition:
    def test(row: Row) -> bool:
        value = row.get(name)
        found = None if value is None else php.text(value)
        return (found in values or (found is None and "" in values)) is not negated

    return test


def _pattern(wanted: object, contains: bool) -> re.Pattern[str]:
    """A LIKE pattern; the caller's own % and _ count unless it is a plain "contains"."""
    text = re.escape(php.text(wanted))
    body = f".*{text}.*" if contains else text.replace("%", ".*").replace("_", ".")
    return re.compile(body, re.IGNORECASE | re.DOTALL)
