"""Section 4.3: the ordinary list: `filter`, `order`, `select` and `start` in; fifty rows, `total` and `next` out.

Lists of Sites are not like this: see `page_list.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from b24sandbox.methods import orm
from b24sandbox.protocol import php
from b24sandbox.protocol.registry import MethodCall, Paged

PAGE_SIZE = 50


def paged(
    call: MethodCall, rows: Iterable[Mapping[str, object]], fields: Sequence[str], usual: Sequence[str] = ()
) -> Paged:
    """The page of `rows` that a call asks for. Unknown fields are ignored, as most modules do.

    usual  the fields that come when nothing is selected; all when left out. `*` selects those, `UF_*` the person's own
    """
    found = filtered(rows, dict(php.items(call.get("filter"))), fields)
    ordered(found, php.items(call.get("order")), fields)
    chosen = selected(call.get("select"), fields, usual or fields)
    start = php.integer(call.get("start"))
    begin = max(start, 0)
    page = [{name: row[name] for name in fields if name in chosen and name in row} for row in found]
    page = page[begin : begin + PAGE_SIZE]
    if start < 0:  # the caller does not want them counted
        return Paged(page, None)
    return Paged(page, len(found), begin + PAGE_SIZE if begin + PAGE_SIZE < len(found) else None)


def filtered(
    rows: Iterable[Mapping[str, object]], conditions: Mapping[str, object], fields: Sequence[str]
) -> list[Mapping[str, object]]:
    """The rows that pass; conditions on unknown fields are dropped."""
    names = frozenset(fields)
    known = {
        key: value
        for key, value in conditions.items()
        if key == "LOGIC" or key.isdigit() or orm.split_key(key)[1] in names
    }
    test = orm.compile_filter(known, names, "")
    return [row for row in rows if test(row)]


def ordered(rows: list[Mapping[str, object]], order: list[tuple[str, object]], fields: Sequence[str]) -> None:
    for name, direction in reversed(order):
        if name.upper() in fields:
            downwards = php.text(direction).upper() == "DESC"
            rows.sort(key=lambda row, name=name: orm.sortable(row.get(name.upper())), reverse=downwards)  # type: ignore[misc]


def selected(select: object, fields: Sequence[str], usual: Sequence[str]) -> set[str]:
    names = {php.text(each) for each in php.values(select)} if php.is_array(select) else set()
    if not names:
        return set(usual)
    chosen = names & set(fields) | {"ID"}
    chosen |= set(usual) if "*" in names else set()
    return chosen | ({name for name in fields if name.startswith("UF_")} if "UF_*" in names else set())
