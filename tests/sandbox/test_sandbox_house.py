"""The rules of the stand-in's own house: which room may know which, and no circle, in Python and in the browser."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SANDBOX = ROOT / "sandbox"
PACKAGE = SANDBOX / "src" / "b24sandbox"
STATIC = PACKAGE / "portal_ui" / "static"
SCRIPT_IMPORT = re.compile(r"^import .* from '\./(\w+\.js)'$", re.MULTILINE)

# Arrows run downwards only: a room or module may know those of the floors below it. A new one needs a floor here.
FLOORS = (
    {"__main__", "plugin"},
    {"options"},
    {""},  # the package itself: what it offers to the outside
    {"standin"},
    {"network"},
    {"control"},
    {"portal"},
    {"methods", "portal_ui"},
    {"protocol"},
    {"state", "server"},
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
# Which libraries stay in which rooms.
AT_HOME = {"socket": {"server", "network"}, "jinja2": {"portal_ui"}, "cryptography": {"server"}, "pytest": {"plugin"}}


def named(path: Path) -> str:
    """A file of the package as the module it is."""
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {named(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def room(module: str) -> str:
    """`b24sandbox.protocol.rest` → `protocol`; the package itself → ''."""
    return [*module.split("."), ""][1]


def imports(path: Path) -> Iterator[str]:
    """Every module this file imports, wherever in it, those for type checking only included."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by its own place"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            yield from {name if name in MODULES else str(node.module) for name in full}


ARROWS = {module: set(imports(path)) for module, path in MODULES.items()}


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of a circle, [] where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_every_room_has_its_floor():
    assert {room(module) for module in MODULES} == FLOOR_OF.keys()


def test_arrows_run_downwards_only():
    upwards = {
        f"{module} imports {target}"
        for module, targets in ARROWS.items()
        for target in targets & MODULES.keys()
        if room(module) != room(target) and FLOOR_OF[room(target)] <= FLOOR_OF[room(module)]
    }

    assert upwards == set()


def test_there_is_no_circle_of_modules():
    assert circle({module: targets & MODULES.keys() for module, targets in ARROWS.items()}) == []


def test_there_is_no_circle_of_scripts():
    scripts = {path.name: set(SCRIPT_IMPORT.findall(path.read_text(encoding="utf-8"))) for path in STATIC.glob("*.js")}

    assert set.union(*scripts.values()) <= scripts.keys()
    assert circle(scripts) == []


@pytest.mark.parametrize("graph", [{"a": {"b"}, "b": {"a"}}, {"a": {"b"}, "b": {"c"}, "c": {"a"}}])
def test_a_circle_would_be_found(graph):
    assert set(circle(graph)) == graph.keys()


@pytest.mark.parametrize(("library", "home"), AT_HOME.items())
def test_a_library_stays_where_it_is_at_home(library, home):
    known = {room(module) for module, targets in ARROWS.items() if library in {name.split(".")[0] for name in targets}}

    assert known <= home
    assert known


def test_the_map_in_the_readme_names_every_module():
    readme = (SANDBOX / "README.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| (`[^|]+) \| (.*) \|$", readme.partition("## Where what stands")[2], re.MULTILINE))
    told = {
        f"{head.strip('`')}{name}" if head.endswith("/`") else name
        for head, words in rows.items()
        for name in re.findall(r"`(\w+\.py)`", words if head.endswith("/`") else head)
    }

    assert told == {str(path.relative_to(PACKAGE)) for path in MODULES.values() if path.name != "__init__.py"}


def test_the_package_asks_for_what_it_imports_and_no_more():
    project = tomllib.loads((SANDBOX / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = {re.split(r"[<>=]", each)[0] for each in project["dependencies"]}
    outside = {name.split(".")[0] for targets in ARROWS.values() for name in targets} & {*asked, "pytest", "requests"}

    assert outside == {*asked, "pytest"}
    assert project["entry-points"] == {"pytest11": {"b24sandbox": "b24sandbox.plugin"}}
    assert project["license"] == "MIT"
    assert (SANDBOX / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")


def test_the_changes_begin_with_this_version():
    version = tomllib.loads((SANDBOX / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    told = re.findall(r"^## (\S+)", (SANDBOX / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert told[0] == version
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert told == sorted(told, key=lambda each: [*map(int, each.split("."))], reverse=True)
