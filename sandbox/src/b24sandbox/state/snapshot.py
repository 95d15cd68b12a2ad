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

from b24sandbox.state.world import Application, Code, Portal, Token, World

VERSION = 1
KEPT = ("rotation", "kills_access", "redirect_uri")


def save(world: World, path: Path) -> None:
    """Write what has to last: the application's card, the portals, tokens and codes."""
    with world.lock:
        kept = {
            "version": VERSION,
            "application": world.application,
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


def load(world: World, path: Path) -> bool:
    """Take up what was saved; False when there is nothing, or not of this version or number of portals.

    Addresses and the application's URL are those of this start, not of the one before.
    """
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    if kept.get("version") != VERSION or len(kept["portals"]) != len(world.portals):
        return False
    with world.lock:
        here = [portal.url for portal in world.portals]
        app_url, world.application = world.application.url, decode(Application, kept["application"])
        world.application.url = app_url
        world.portals[:] = [decode(Portal, each) for each in kept["portals"]]
        for portal, url in zip(world.portals, here, strict=True):
            portal.url = url
        for token in (decode(Token, each) for each in kept["tokens"]):
            world.tokens[token.access] = world.refreshes[token.refresh] = token
        for code in (decode(Code, each) for each in kept["codes"]):
            world.codes[code.code] = code
        for name in KEPT:
            setattr(world, name, kept[name])
    return True


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
