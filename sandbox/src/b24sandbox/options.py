"""What the command was asked for, from the line and from a TOML file: looked at before anything is started.

Whatever cannot be is said in one line; nothing is guessed, and nothing is overwritten.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from b24sandbox.state.world import Application

LAST_PORT = 65_535
MOST_PORTALS = 1000
CARD = {
    "app_url": "url",
    "install_path": "install_path",
    "app_path": "app_path",
    "callback_path": "callback_path",
    "events_path": "events_path",
    "redirect_uri": "redirect_uri",
    "scope": "scope",
    "title": "title",
    "code": "code",
    "status": "status",
    "client_id": "client_id",
    "client_secret": "client_secret",
    "api_only": "api_only",
}
# What running a file of somebody else's can end with; each is one line for the person.
BROKEN_FILE = (
    ImportError, SyntaxError, NameError, AttributeError, TypeError, ValueError, LookupError, ArithmeticError, OSError,
    AssertionError, RuntimeError,
)  # fmt: skip
TABLES = ("port", "portals", "tls", "names", "scale", "state", "methods", "app")


class WrongOption(Exception):
    """Something that cannot be; its text is the line a person reads."""


@dataclass
class Options:
    """How to start: `apps` are cards, each a map of `Application`'s fields."""

    port: int = 0
    portals: int = 2
    tls: Path | None = None
    names: bool = False
    scale: float = 1.0
    state: Path | None = None
    methods: list[Path] = field(default_factory=list)
    apps: list[dict[str, Any]] = field(default_factory=list)


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="b24sandbox", description="A stand-in for Bitrix24 on loopback.")
    add = made.add_argument
    add("--config", type=Path, metavar="FILE", help="a TOML file with these options, and an [[app]] for each app")
    add("--port", type=int, help="first port; the next few are used too (0: any free ones)")
    add("--portals", type=int, metavar="N", help="how many portals (2)")
    add("--tls", type=Path, metavar="DIR", help="serve https; the authority to trust is written to DIR/ca.pem")
    add("--names", action="store_true", default=None, help="with --tls: portals have names, reached through the proxy")
    add("--scale", type=float, help="portal seconds in one real second (1)")
    add("--state", type=Path, metavar="FILE", help="keep the portals' data in this file between starts")
    add(
        "--methods", type=Path, action="append", metavar="FILE", help="a Python file with more methods; may be repeated"
    )
    card = made.add_argument_group("the application's card")
    card.add_argument("--app-url", help="the application's address (http://127.0.0.1:8100)")
    card.add_argument("--install-path", help="its installer (/install); empty: there is none")
    card.add_argument("--app-path", help="its page (/app)")
    card.add_argument("--callback-path", help="where a sign-in comes back (the application's page)")
    card.add_argument("--redirect-uri", help="the same as a whole address")
    card.add_argument("--events-path", help="bound for the application's own events at every installation")
    card.add_argument("--scope", help="what it asks for, comma separated (landing)")
    card.add_argument("--title", help="its name in the portal's menu")
    card.add_argument("--code", help="its code in the Market")
    card.add_argument("--status", choices=("F", "L", "S", "T", "D", "P"), help="F free, L local, S subscription …")
    card.add_argument("--client-id")
    card.add_argument("--client-secret")
    card.add_argument("--api-only", action="store_true", default=None, help="no pages: ONAPPINSTALL to the installer")
    return made


def read(arguments: Sequence[str] | None = None) -> Options:
    """The options of a start; the command line is stronger than the file. Raises WrongOption."""
    asked = {name: value for name, value in vars(parser().parse_args(arguments)).items() if value is not None}
    found = _from_file(asked.pop("config")) if "config" in asked else Options(apps=[{}])
    card = {CARD[name]: asked.pop(name) for name in list(asked) if name in CARD}
    if card and len(found.apps) > 1:
        raise WrongOption("the application's options are for one application; with several they stand in the file")
    found.apps[0] |= card
    for name, value in asked.items():
        setattr(found, name, value)
    for app in found.apps:
        _check_card(app)
    _check(found)
    return found


def _from_file(path: Path) -> Options:
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WrongOption(f"--config {path}: {error}") from None
    if strange := sorted(given.keys() - set(TABLES)):
        raise WrongOption(f"--config {path}: unknown {', '.join(strange)}; there are {', '.join(TABLES)}")
    apps = given.pop("app", [{}])
    if not isinstance(apps, list) or not apps or not all(isinstance(each, dict) for each in apps):
        raise WrongOption(f"--config {path}: each application stands under [[app]]")
    kinds: dict[str, type | tuple[type, ...]] = {"names": bool, "tls": str, "state": str, "scale": (int, float)}
    for name, value in given.items():
        kind = kinds.get(name, list if name == "methods" else int)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise WrongOption(f"--config {path}: {name} cannot be {value!r}")
    for name in ("tls", "state"):
        if name in given:
            given[name] = path.parent / given[name]
    given["methods"] = [path.parent / str(each) for each in given.get("methods", [])]
    return Options(apps=apps, **given)


def _check_card(app: dict[str, Any]) -> None:
    known = {each.name: each for each in fields(Application)}
    if strange := sorted(app.keys() - known.keys()):
        raise WrongOption(f"unknown on an application's card: {', '.join(strange)}; there are {', '.join(known)}")
    if isinstance(app.get("scope"), str):
        app["scope"] = [each.strip() for each in app["scope"].split(",") if each.strip()]
    for name, value in app.items():
        kind = {"scope": list, "version": int, "api_only": bool}.get(name, str)
        if not isinstance(value, kind):
            raise WrongOption(f"{name} of an application cannot be {value!r}")
    parts = urlsplit(app.get("url", "http://127.0.0.1"))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise WrongOption(f"--app-url {app['url']} is no address: http://host:port is wanted")


def _check(asked: Options) -> None:
    if not 1 <= asked.portals <= MOST_PORTALS:
        raise WrongOption(f"--portals is 1 to {MOST_PORTALS}, not {asked.portals}")
    last = asked.port + asked.portals + 3 if asked.port else 0
    if asked.port < 0 or last > LAST_PORT:
        raise WrongOption(f"--port {asked.port}: the ports end at {LAST_PORT}, and {asked.portals + 4} are used")
    if not (math.isfinite(asked.scale) and asked.scale > 0):
        raise WrongOption(f"--scale is more than 0, not {asked.scale:g}")
    if asked.names and asked.tls is None:
        raise WrongOption("--names wants --tls DIR: names are reached over https")
    if asked.tls is not None:
        _check_folder(asked.tls)


def _check_folder(folder: Path) -> None:
    """A folder that can be made and written to, with nothing of others in the place of our files."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise WrongOption(f"--tls {folder} cannot be used: {error.strerror}") from None
    ours = folder / "ca.pem"
    if ours.exists() and not (folder / "server.pem").exists():
        raise WrongOption(f"--tls {folder}: there is a ca.pem of somebody else; name another folder")


def load_methods(paths: Sequence[Path]) -> None:
    """Run the files that add methods. Raises WrongOption for one that is not there or fails."""
    for number, path in enumerate(paths):
        spec = importlib.util.spec_from_file_location(f"b24sandbox_methods_{number}", path)
        if spec is None or spec.loader is None or not path.is_file():
            raise WrongOption(f"--methods {path}: there is no such Python file")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        try:
            spec.loader.exec_module(module)
        except BROKEN_FILE as error:
            raise WrongOption(f"--methods {path}: {type(error).__name__}: {error}") from error
