"""What a request to the control API brings, looked at before anything is done with it.

A test in another language that misspells a name or sends text for a number is told so; nothing is guessed.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

from b24sandbox.protocol import php

_FLAGS = {"1": True, "true": True, "y": True, "0": False, "false": False, "n": False, "": False}


def number(name: str, value: object) -> int:
    """A whole number, also as the text of a query; raises ValueError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and value.removeprefix("-").isascii() and value.removeprefix("-").isdigit():
        return int(value)
    raise ValueError(f"{name} is a whole number (not {value!r})")


def seconds(name: str, value: object) -> float:
    """A number that may have a fraction; raises ValueError."""
    try:
        found = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"{name} is a number, not {value!r}")
    return found


def flag(name: str, value: object) -> bool:
    """Yes or no: JSON's true and false, 1 and 0, Y and N; raises ValueError."""
    found = None if php.is_array(value) else _FLAGS.get(php.text(value).lower())
    if found is None:
        raise ValueError(f"{name} is true or false, not {value!r}")
    return found


def text(name: str, value: object) -> str:
    """A scalar as text; raises ValueError for a list or an object."""
    if php.is_array(value):
        raise ValueError(f"{name} is a text, not {value!r}")
    return php.text(value)


def names(name: str, value: object) -> list[str]:
    """A list of texts, or one text with commas; raises ValueError."""
    if isinstance(value, str):
        return [each.strip() for each in value.split(",") if each.strip()]
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{name} is a list of texts, not {value!r}")
    return list(value)


def fields(kind: type, values: Mapping[str, object], but: tuple[str, ...] = ()) -> dict[str, Any]:
    """`values` as they are, when each is a field of the dataclass `kind` and of its type; raises ValueError."""
    hints = {name: hint for name, hint in get_type_hints(kind).items() if name not in but}
    for name, value in values.items():
        if name not in hints:
            raise ValueError(f"unknown: {name}; there are {', '.join(hints)}")
        if not _fits(value, hints[name]):
            raise ValueError(f"{name} cannot be {value!r}")
    return dict(values)


def _fits(value: object, hint: Any) -> bool:
    if hint is object:
        return True
    if get_origin(hint) in (types.UnionType, Union):
        return any(_fits(value, each) for each in get_args(hint))
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    plain = get_origin(hint) or hint
    return isinstance(value, plain) and (plain is bool or not isinstance(value, bool))
