"""PHP's idea of a form and of an array, which is what Bitrix24 speaks under its JSON.

A PHP array is a list and a map at once. Coming in, `a[b][]=1` nests; going out, an empty array is `[]`
whatever it was meant to be, and keys 0, 1, 2… without a gap make a JSON list (section 4.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import parse_qsl

PhpArray = dict[str, object]


def parse(text: str) -> PhpArray:
    """A query or an urlencoded body as nested maps; a complete run of keys 0..n becomes a list."""
    return nest(parse_qsl(text, keep_blank_values=True))


def nest(pairs: Iterable[tuple[str, str]]) -> PhpArray:
    """Bracketed keys with their values as nested maps."""
    root: PhpArray = {}
    for key, value in pairs:
        _put(root, _path(key), value)
    return {name: listed(value) for name, value in root.items()}


def _path(key: str) -> list[str]:
    """`a[b][]` → ['a', 'b', '']; an unclosed bracket stays part of the name."""
    head, bracket, rest = key.partition("[")
    if not bracket or not head or "]" not in rest:
        return [key]
    return [head, *(part.rstrip("]") for part in rest[: rest.rfind("]")].split("["))]


def _put(root: PhpArray, path: list[str], value: str) -> None:
    *parents, last = path
    node = root
    for name in parents:
        key = name or str(_next_index(node))
        child = node.get(key)
        if not isinstance(child, dict):
            child = node[key] = {}
        node = child
    node[last or str(_next_index(node))] = value


def _next_index(node: Mapping[str, object]) -> int:
    return max((int(key) for key in node if key.isdigit()), default=-1) + 1


def listed(value: object) -> object:
    """A nested map with keys 0..n in order as a list, all the way down."""
    if not isinstance(value, dict):
        return value
    inner = {key: listed(each) for key, each in value.items()}
    if inner and list(inner) == [str(index) for index in range(len(inner))]:
        return list(inner.values())
    return inner


def encoded(array: Mapping[str, object]) -> object:
    """A map as PHP's json_encode writes it: `[]` when empty, a list for keys 0..n, an object otherwise."""
    if not array:
        return []
    if list(array) == [str(index) for index in range(len(array))]:
        return list(array.values())
    return dict(array)


def is_array(value: object) -> bool:
    return isinstance(value, dict | list)


def items(value: object) -> list[tuple[str, object]]:
    """The entries of a PHP array, whichever JSON shape it came in; nothing for a scalar."""
    if isinstance(value, dict):
        return [(str(key), each) for key, each in value.items()]
    if isinstance(value, list):
        return [(str(index), each) for index, each in enumerate(value)]
    return []


def values(value: object) -> list[object]:
    """The values of a PHP array, or the scalar alone: the usual `(array)$value`."""
    return [each for _, each in items(value)] if is_array(value) else [value]


def text(value: object) -> str:
    """A scalar as PHP's (string) makes it: true is "1", false and null are empty."""
    if value is None or value is False:
        return ""
    if value is True:
        return "1"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if is_array(value) else str(value)


def integer(value: object) -> int:
    """A scalar as PHP's (int) makes it: the leading digits, or 0."""
    found = text(value).strip()
    sign = -1 if found.startswith("-") else 1
    digits = ""
    for character in found.lstrip("+-"):
        if not character.isascii() or not character.isdigit():
            break
        digits += character
    return sign * int(digits) if digits else 0


def truthy(value: object) -> bool:
    """Whether PHP takes the value for true; "0" and empty are not."""
    return bool(value) if is_array(value) else text(value) not in ("", "0")


def flatten(value: object, name: str = "") -> list[tuple[str, str]]:
    """Nested values as bracketed pairs, every value a string (section 3.1)."""
    if not is_array(value):
        return [(name, text(value))]
    pairs: list[tuple[str, str]] = []
    for key, each in items(value):
        pairs += flatten(each, f"{name}[{key}]" if name else key)
    return pairs
