"""The world in a file, so that portals outlive a restart together with the app's own database.

One JSON text written aside and moved into place: a process killed in the middle leaves the older one whole.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from b24sandbox.state.world import Code, Portal, Token, World

VERSION = 2
KEPT = ("rotation", "kills_access")


def save(world: World, path: Path) -> None:
    """Write what has to last: the portals, tokens and codes; applications' cards are those of each start."""
    with world.lock:
        kept = {
            "version": VERSION,
            "applications": len(world.applications),
            "portals": world.portals,
            "tokens": [token for token in world.refreshes.values() if not token.spent],
            "codes": list(world.codes.values()),
            **{name: getattr(world, name) for name in KEPT},
        }
        text = json.dumps(kept, default=dataclasses.asdict)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    beside.touch(mode=0o600)
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)


class StateFileError(Exception):
    """A state file that cannot be taken up; its text says why, for a person."""


def load(world: World, path: Path) -> bool:
    """Take up what was saved; False when there is no file yet. Raises StateFileError for one that does not fit.

    Addresses and cards are those of this start, not of the one before.
    """
    kept = read(path)
    if kept is None:
        return False
    if len(kept["portals"]) != len(world.portals) or kept["applications"] != len(world.applications):
        there = f"{len(kept['portals'])} portals and {kept['applications']} applications"
        raise StateFileError(f"{path} is of {there}; start with as many, or name another file")
    try:
        _take_up(world, kept)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StateFileError(f"{path} cannot be read as a state file: {error!r}; name another file") from error
    return True


def read(path: Path) -> dict[str, Any] | None:
    """A state file's content; None when there is no file. Raises StateFileError for anything else than one of ours."""
    if not path.exists():
        return None
    try:
        kept: dict[str, Any] | None = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StateFileError(f"{path} is no state file: {error}; name another one") from error
    if not isinstance(kept, dict) or not isinstance(kept.get("portals"), list):
        raise StateFileError(f"{path} is no state file; name another one")
    if kept.get("version") == 1:
        kept = _from_first(kept)
    if kept.get("version") != VERSION:
        raise StateFileError(f"{path} was written by another version; delete it, or name another file")
    if not isinstance(kept.get("applications"), int):
        raise StateFileError(f"{path} is no state file; name another one")
    return kept


def _from_first(kept: dict[str, Any]) -> dict[str, Any]:
    """Version 1 knew one application, and notices of another shape."""
    portals = [{**each, "notifications": []} for each in kept["portals"]]
    for portal in portals:
        installation = portal.pop("installation", None)
        portal["installations"] = {} if installation is None else {"0": installation}
    return {**kept, "version": VERSION, "applications": 1, "portals": portals}


def _take_up(world: World, kept: dict[str, Any]) -> None:
    portals = [decode(Portal, each) for each in kept["portals"]]
    tokens = [decode(Token, each) for each in kept["tokens"]]
    codes = [decode(Code, each) for each in kept["codes"]]
    with world.lock:
        for portal, before in zip(portals, world.portals, strict=True):
            portal.url = before.url
        world.portals[:] = portals
        for token in tokens:
            world.tokens[token.access] = world.refreshes[token.refresh] = token
        for code in codes:
            world.codes[code.code] = code
        for name in KEPT:
            setattr(world, name, kept[name])


def decode(kind: Any, value: Any) -> Any:
    """JSON back as the type it was: dataclasses by their fields, maps with numbers for keys."""
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        names = {each.name for each in dataclasses.fields(kind)}
        return kind(**{name: decode(hints[name], each) for name, each in value.items() if name in names})  # type: ignore[operator]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is list:
        return [decode(arguments[0], each) for each in value]
    if origin is dict or origin is Mapping:
        return {(int(key) if arguments[0] is int else key): decode(arguments[1], each) for key, each in value.items()}
    if origin in (types.UnionType, Union):
        plain = [each for each in arguments if each is not type(None)]
        return None if value is None else decode(plain[0], value)
    if origin is Literal:
        return value
    return float(value) if kind is float else value
