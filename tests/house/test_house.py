"""The rules of the house, kept by reading it: who may know whom, what is written where."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from flask import Flask
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from b24app.cli import b24
from b24app.config import Config

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# Arrows run downwards only: a room may know rooms of the floors below it. A new room needs a floor here.
FLOORS = (
    {"factory"},
    {"cli"},
    {"web", "jobs"},
    {"operations"},
    {"services"},
    {"portals"},
    {"runs"},
    {"permissions", "users"},
    {"pages"},
    {"tokens"},
    {"request_log", "log"},
    {"bitrix", "store", "config"},
    {"i18n", "signing"},
    {"errors", "expiring"},
    {"domain", "clock", "deadline", "memory", "server", "zones", "folding"},
)
FLOOR_OF = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}
# Which libraries stay in which parts.
AT_HOME = {
    "flask": {"web", "factory"},
    "requests": {"bitrix"},
    "authlib": {"bitrix"},
    "procrastinate": {"jobs", "store"},
}
RETIRED = {
    "Budget", "Turns", "Keeping", "Care", "Chores", "Holdings", "News", "Tidings", "Authority", "People", "Foresight",
    "Moment", "Pace", "Proving", "Claim", "Proof", "Lifecycle", "Perform", "Screen", "ItemScreen", "Journal", "Calls",
    "Access", "Spent", "AskedTooOften", "KeyReused", "hear", "withdraw", "vouches", "look_ahead", "again_at", "revive",
    "say_alive", "share", "question", "purses_of", "lives", "figures", "dressed", "lost", "learn",
}  # fmt: skip
NO_SQL = {"web", "bitrix"}
WEB_MAY_PARSE_WITH = {"b24app.bitrix.forms", "b24app.bitrix.address"}
SOURCES = ("b24app", "sandbox", "dev", "migrations", "bench", "scripts", "tests", "templates", "assets")
LONGEST_TEST_NAME = 70
MARKS = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")


def modules(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def named(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def part(module: str) -> str:
    """`b24app.web.runs` → `web`; the package itself → ''."""
    return [*module.split("."), ""][1]


@cache
def nodes(path: Path) -> list[ast.AST]:
    """Everything a file of Python says, wherever in it."""
    return list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


KNOWN = {named(path) for path in modules("b24app")}


def imports(path: Path) -> Iterator[str]:
    """Every module this file imports, wherever in it."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from ({name if name in KNOWN else node.module for name in full})


APP = [(named(path), target) for path in modules("b24app") for target in imports(path)]


def test_every_module_of_the_app_has_its_floor() -> None:
    assert {part(named(path)) for path in modules("b24app")} - {""} <= FLOOR_OF.keys()


def test_arrows_run_downwards_only() -> None:
    upwards = {
        f"{module} imports {target}"
        for module, target in APP
        if part(module) and part(target) and target.startswith("b24app.") and part(module) != part(target)
        if FLOOR_OF[part(target)] <= FLOOR_OF[part(module)]
    }

    assert upwards == set()


def test_no_module_imports_itself_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for module, target in APP:
        if target.startswith("b24app.") and target != module:
            graph.setdefault(module, set()).add(target)

    assert list(circles(graph)) == []


def circles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Every chain of imports that comes back to a module it passed, found by walking down from each."""
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> Iterator[list[str]]:
        if module in path:
            yield [*path[path.index(module) :], module]
        elif module not in done:
            for target in sorted(graph.get(module, ())):
                yield from walk(target, [*path, module])
            done.add(module)

    for start in sorted(graph):
        yield from walk(start, [])


@pytest.mark.parametrize(("library", "home"), AT_HOME.items())
def test_a_library_stays_where_it_is_at_home(library: str, home: set[str]) -> None:
    abroad = {module for module, target in APP if target.split(".")[0] == library and part(module) not in home}

    assert abroad == set()


def test_no_sql_at_the_doors() -> None:
    assert {
        module for module, target in APP if target.split(".")[0] == "sqlalchemy" and part(module) in NO_SQL
    } == set()


def test_the_doors_open_no_transaction() -> None:
    opened = {named(path) for path in modules("b24app/web") if "store.begin" in path.read_text(encoding="utf-8")}

    assert opened == set()


def test_bitrix_and_store_do_not_know_each_other() -> None:
    assert {m for m, target in APP if {part(m), part(target)} == {"bitrix", "store"}} == set()


def test_web_takes_only_parsing_from_bitrix() -> None:
    taken = {target for module, target in APP if part(module) == "web" and target.startswith("b24app.bitrix")}

    assert taken <= WEB_MAY_PARSE_WITH


@pytest.mark.parametrize(("one", "other"), [("b24app", "b24sandbox"), ("sandbox", "b24app")])
def test_the_app_and_the_stand_in_are_strangers(one: str, other: str) -> None:
    met = {named(path) for path in modules(one) if any(name.split(".")[0] == other for name in imports(path))}

    assert met == set()


def test_no_private_name_of_before_comes_back() -> None:
    """The left column of the table of names (style guide): each has a standard name now."""
    defined = {
        f"{named(path)}: {node.name}"
        for folder in ("b24app", "dev")
        for path in modules(folder)
        for node in nodes(path)
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name in RETIRED
    }

    assert defined == set()


def test_everything_is_caught_only_at_the_edge_of_a_job() -> None:
    broad = {
        named(path)
        for folder in ("b24app", "sandbox", "dev")
        for path in modules(folder)
        for node in nodes(path)
        if isinstance(node, ast.ExceptHandler)
        if node.type is None or {"Exception", "BaseException"} & {ast.unparse(part) for part in ast.walk(node.type)}
        if not (isinstance(node.body[-1], ast.Raise) and node.body[-1].exc is None)  # it cleans up and passes on
    }

    assert broad <= {"b24app.jobs"}


def test_nothing_is_left_to_be_done_in_a_comment() -> None:
    files = [
        path
        for folder in SOURCES
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".html", ".js", ".css"}
    ]
    marked = {str(path.relative_to(ROOT)) for path in files if MARKS.search(path.read_text(encoding="utf-8"))}

    assert marked == set()


def test_the_name_of_a_test_is_a_sentence_of_at_most_70_characters() -> None:
    names = {
        f"{path.relative_to(ROOT)}::{node.name}": len(node.name)
        for path in modules("tests")
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }

    assert names
    assert {name for name, length in names.items() if length > LONGEST_TEST_NAME} == set()


def test_the_readme_names_every_variable_of_the_environment() -> None:
    gunicorn = re.findall(r"""environ\.get\(["'](\w+)""", (ROOT / "gunicorn.conf.py").read_text(encoding="utf-8"))
    names = {name.upper() for name in Config.model_fields} | set(gunicorn)

    assert {name for name in names if f"`{name}`" not in README} == set()


def test_the_readme_names_every_route(app: Flask) -> None:
    rules = {re.sub(r"<[^>]+>", "<id>", rule.rule) for rule in app.url_map.iter_rules() if rule.endpoint != "static"}

    assert {rule for rule in rules if not re.search(rf"[` ]{re.escape(rule)}[` ,?]", README)} == set()


def group(name: str) -> list[str]:
    """What a dependency group asks for, with the groups it includes."""
    entries = PYPROJECT["dependency-groups"][name]
    return [line for entry in entries for line in ([entry] if isinstance(entry, str) else group(*entry.values()))]


def locked(name: str) -> dict[str, str]:
    """Package → version of one lock file; each must be pinned exactly and carry at least one hash."""
    entries = re.findall(
        r"^(\S+)==(\S+)[^\n]*\\\n((?:    --hash=\S+(?: \\)?\n)+)", (ROOT / name).read_text(), re.MULTILINE
    )
    assert all("sha256:" in hashes for _, _, hashes in entries)
    return {package: version for package, version, _ in entries}


@pytest.mark.parametrize(
    "name", ["requirements.txt", "requirements-run.txt", "requirements-dev.txt", "requirements-node.txt"]
)
def test_a_lock_file_holds_pins_and_hashes_and_nothing_else(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()

    assert len([line for line in lines if not line.startswith("    --hash=sha256:")]) == len(locked(name)) > 0


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("requirements.txt", PYPROJECT["project"]["dependencies"]),
        ("requirements-run.txt", PYPROJECT["project"]["dependencies"] + group("run")),
        ("requirements-dev.txt", PYPROJECT["project"]["dependencies"] + group("dev")),
        ("requirements-node.txt", group("node")),
    ],
)
def test_what_is_asked_for_is_locked(name: str, asked: list[str]) -> None:
    versions = locked(name)
    wishes = [Requirement(line) for line in asked]

    assert [str(w) for w in wishes if versions.get(canonicalize_name(w.name), "") not in w.specifier] == []


def test_tests_run_what_is_deployed() -> None:
    assert locked("requirements.txt").items() <= locked("requirements-run.txt").items()
    assert locked("requirements-run.txt").items() <= locked("requirements-dev.txt").items()


def test_neither_tools_nor_the_embedded_database_are_deployed() -> None:
    tools = {canonicalize_name(Requirement(line).name) for line in group("dev")}

    assert tools & locked("requirements.txt").keys() <= {"werkzeug"}


def test_the_browsers_packages_are_locked_with_checksums() -> None:
    lock = json.loads((ROOT / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}

    assert {name for name, entry in packages.items() if not entry.get("integrity", "").startswith("sha512-")} == set()


def test_the_procfile_names_what_exists() -> None:
    lines = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())

    assert lines == {
        "release": "alembic upgrade head",
        "web": "gunicorn -c gunicorn.conf.py app:app",
        "worker": "flask --app app b24 worker",
    }
    assert (ROOT / "gunicorn.conf.py").exists()
    assert "app = create_app()" in (ROOT / "app.py").read_text()
    assert "worker" in b24.commands
    assert {"alembic", "gunicorn", "flask"} <= locked("requirements.txt").keys()


def test_the_build_server_runs_the_one_command() -> None:
    commands = [line for line in (ROOT / ".ci" / "run").read_text().splitlines() if not line.startswith("#")]

    assert commands == ["exec make test"]
    for target in ("setup", "run", "test", "bench", "soak"):
        assert f"\n{target}:" in (ROOT / "Makefile").read_text()
