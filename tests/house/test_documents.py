"""The documents are true: what code and pages cite is in the repository, and what they name exists."""

import ast
import re
import tomllib
from collections.abc import Iterator
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

import pytest
from click import Group
from flask import Flask

from b24app.cli import b24
from b24app.config import Config
from b24app.domain import Action, ItemState, Kind, RunState
from b24app.errors import BY_KEY
from dev import rooms

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("b24app", "sandbox", "dev", "bench", "scripts", "migrations", "tests", "templates", "assets")
KINDS = {".py", ".js", ".html", ".css", ".md", ".toml"}
DOCUMENTS = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "sandbox").glob("*.md")))
WIRE = (ROOT / "docs" / "bitrix24.md").read_text(encoding="utf-8")
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
FACTS = (ROOT / "sandbox" / "FACTS.md").read_text(encoding="utf-8")
MAP = (ROOT / "docs" / "map.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
CHANGES = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]

NUMBER = r"\d{1,2}(?:\.\d{1,2})?"
# "section 4.4", "Sections 2.4 to 2.6", "bitrix24.md, 4.6", `"""4.5: the token stage`, "(3.2)" in the stand-in
CITATION = re.compile(rf"(?:\b[Ss]ections?|bitrix24\.md,?) ({NUMBER}(?:(?:, | and | to ){NUMBER})*)")
IN_STAND_IN = re.compile(r'(?:"""|\()(\d{1,2}\.\d{1,2})(?::|\))')
FILE = re.compile(r"`((?:b24app|sandbox|dev|bench|scripts|migrations|tests|templates|assets|docs)/[\w./-]*)")
PLACE = r"\[`[^`]+`\]\([^)]+\)(?: `[\w.]+`)?"  # a file in the map, and what is meant of it
DOCUMENT = re.compile(r"(?<![\w/.])((?:[\w-]+/)*[\w-]+\.md)\b")


def sources() -> Iterator[Path]:
    """Every file of ours that may cite a document; this test's own patterns are left out."""
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*"):
            if (
                path.suffix in KINDS
                and path != Path(__file__)
                and not {"node_modules", "dist", "build"} & {*path.parts}
            ):
                yield path
    yield from DOCUMENTS


def sections(document: str) -> set[str]:
    """Numbers of headings: `### 4.6 Limits` → 4.6."""
    return set(re.findall(rf"^#+ ({NUMBER})\b", document, re.MULTILINE))


def in_facts() -> set[str]:
    """Numbers the stand-in's page of facts has rules for."""
    return sections(FACTS) | set(re.findall(rf"^\| ({NUMBER}) \|", FACTS, re.MULTILINE))


def cited_in(path: Path) -> set[str]:
    """Sections of the wire facts that a file cites."""
    text = path.read_text(encoding="utf-8")
    found = {number for several in CITATION.findall(text) for number in re.findall(NUMBER, several)}
    if (ROOT / "sandbox") in path.parents and path.suffix == ".py":
        found |= set(IN_STAND_IN.findall(text))
    return found


def anchors(document: Path) -> set[str]:
    """The anchors a renderer gives the headings of a document."""
    heads = re.findall(r"^#+ (.+)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_code_cites_something_at_all() -> None:
    cited = {number for path in sources() for number in cited_in(path)}

    assert {"1.5", "4.4", "4.6", "7.2"} <= cited


def test_each_cited_section_of_the_wire_facts_exists() -> None:
    of_the_stand_in = sections(WIRE) | in_facts()
    missing = {
        f"{path.relative_to(ROOT)}: {number}"
        for path in sources()
        for number in cited_in(path) - (of_the_stand_in if "sandbox" in path.parts else sections(WIRE))
    }

    assert missing == set()


def test_each_cited_document_exists() -> None:
    there = {f"/{path.relative_to(ROOT)}" for path in (*DOCUMENTS, *(ROOT / "bench").glob("*.md"))}
    missing = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in sources()
        for name in DOCUMENT.findall(re.sub(r"https?://\S+", "", path.read_text(encoding="utf-8")))
        if not any(known.endswith(f"/{name}") for known in there)
    }

    assert missing == set()


def test_each_file_a_document_names_exists() -> None:
    missing = {
        f"{document.name}: {name}"
        for document in DOCUMENTS
        for name in FILE.findall(document.read_text(encoding="utf-8"))
        if not (ROOT / name).exists() and not name.startswith("b24app/static/")  # built, and not in git
    }

    assert missing == set()


def test_each_cited_threat_has_its_section() -> None:
    threats = set(re.findall(r"^### (\d+) ", SECURITY, re.MULTILINE))
    cited = {
        (str(path.relative_to(ROOT)), number)
        for path in sources()
        if path.suffix != ".md"
        for several in re.findall(r"\bthreats? (\d+(?:(?:, | and | to )\d+)*)", path.read_text(encoding="utf-8"))
        for number in re.findall(r"\d+", several)
    }

    assert cited
    assert {place for place in cited if place[1] not in threats} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_inside_the_repository_lead_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


def test_the_map_leads_to_places_that_exist() -> None:
    questions, mark, _ = MAP.partition(rooms.FILES_BEGIN)
    assert mark
    rows = re.findall(rf"^\| .+? \| ({PLACE}(?:, {PLACE})*) \|$", questions, re.MULTILINE)
    heads = questions.count("| question | where |")
    assert len(rows) == len(re.findall(r"^\| .+ \|$", questions, re.MULTILINE)) - heads > 0

    named = {place for row in rows for place in re.findall(r"\]\(([^)]+)\) `([\w.]+)`", row)}
    assert named
    assert {(file, name) for file, name in named if name not in defined(ROOT / "docs" / file)} == set()


def defined(path: Path) -> set[str]:
    """What a module defines: `begin`, `Schedule`, `Schedule.begin`; blueprints' views stand in functions."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
    return found


def test_each_section_of_the_wire_facts_names_its_source() -> None:
    parts = re.split(rf"^(#{{2,3}}) ({NUMBER}) .*$", WIRE, flags=re.MULTILINE)[1:]
    bodies = {number: body for _level, number, body in zip(*[iter(parts)] * 3, strict=True)}
    # a chapter speaks through its sections; what nobody could establish has no source
    leaves = {number for number in bodies if not any(other.startswith(f"{number}.") for other in bodies)} - {"10"}

    assert {number for number in leaves if "](https://" not in bodies[number]} == set()


def test_the_contract_names_every_variable_of_the_environment() -> None:
    assert {name for name in map(str.upper, Config.model_fields) if f"`{name}`" not in API} == set()


def test_the_contract_names_every_code_of_a_problem() -> None:
    codes = {kind.code for kind in BY_KEY.values()}

    assert {code for code in codes if f"`{code}`" not in API} == set()


def test_the_contract_names_every_route(app: Flask) -> None:
    rules = {
        re.sub(r"<(?:\w+:)?(\w+)>", lambda found: "&lt;lid&gt;" if found[1] == "lid" else "<id>", rule.rule)
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static"
    }

    assert {rule for rule in rules if not re.search(rf"(?:[` ]|^### \w+ ){re.escape(rule)}(?=[`\s,?])", API)} == set()


@pytest.mark.parametrize("words", [Action, Kind, RunState, ItemState])
def test_the_contract_names_every_word_of_a_run(words: type[StrEnum]) -> None:
    assert {word for word in words if f"`{word}`" not in API} == set()


def test_each_command_a_document_names_exists() -> None:
    named = {
        (document.name, command)
        for document in DOCUMENTS
        for command in re.findall(r"`(?:flask )?(?:--app app )?b24 ([a-z-]+(?: [a-z-]+)?)", document.read_text("utf-8"))
    }
    assert named

    assert {place for place in named if not is_command(place[1])} == set()


def is_command(words: str) -> bool:
    """`purge portal` is a command of a group; of `worker starts` only the first word has to be one."""
    first, _, second = words.partition(" ")
    command = b24.commands.get(first)
    return command is not None and (not isinstance(command, Group) or not second or second in command.commands)


def test_each_make_target_a_document_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    named = {
        (document.name, target)
        for document in DOCUMENTS
        for target in re.findall(r"(?:`|^    )make ([a-z-]+)", document.read_text("utf-8"), re.MULTILINE)
    }
    assert named

    assert {place for place in named if place[1] not in targets} == set()


def test_the_map_of_the_rooms_is_drawn_from_the_imports() -> None:
    assert rooms.block() in README, "python -m dev.rooms --write"
    assert rooms.files_block() in MAP, "python -m dev.rooms --write"


def test_every_room_says_what_is_in_it() -> None:
    assert {room for room in rooms.graph() if not rooms.purpose(room)} == set()


def test_the_diagram_keeps_every_way_and_no_more() -> None:
    arrows = rooms.graph()
    thinned = {room: frozenset(below for above, below in rooms.drawn(arrows) if above == room) for room in arrows}

    assert rooms.reach(thinned) == rooms.reach(arrows)
    for room, below in thinned.items():
        for target in below:
            assert target not in rooms.reach({**thinned, room: below - {target}})[room]


def test_a_circle_of_rooms_is_named() -> None:
    with pytest.raises(rooms.CircularRooms, match="a → b → a"):
        rooms.reach({"a": frozenset({"b"}), "b": frozenset({"a"})})


def test_changes_are_kept_by_version_date_and_kind() -> None:
    heads = re.findall(r"^## (.+)$", CHANGES, re.MULTILINE)
    versions = [re.fullmatch(r"\[?(\d+)\.(\d+)\.(\d+)\]? - (\d{4}-\d\d-\d\d)", head) for head in heads[1:]]
    kinds = set(re.findall(r"^### (.+)$", CHANGES, re.MULTILINE))

    assert heads[0].strip("[]") == "Unreleased"
    assert None not in versions
    known = [found for found in versions if found]
    order = [(tuple(map(int, found.group(1, 2, 3))), found[4]) for found in known]
    assert all(newer[0] > older[0] and newer[1] >= older[1] for newer, older in pairwise(order))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_newest_version_of_the_changes_is_the_projects() -> None:
    assert re.findall(r"^## \[?(\d\S*?)\]? - ", CHANGES, re.MULTILINE)[0] == VERSION


def test_hooks_before_a_commit_fetch_nothing() -> None:
    text = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")

    assert set(re.findall(r"^\s*- repo: (.+)$", text, re.MULTILINE)) == {"local"}
    assert set(re.findall(r"^\s*language: (.+)$", text, re.MULTILINE)) == {"system"}
    tools = re.findall(r"^\s*entry: \.venv/bin/python -m (\w+)", text, re.MULTILINE)
    locked = (ROOT / "requirements-dev.txt").read_text(encoding="utf-8")
    assert len(tools) == len(re.findall(r"^\s*- id:", text, re.MULTILINE)) > 0
    assert {tool for tool in tools if not re.search(rf"^{tool}==", locked, re.MULTILINE)} == set()


def test_an_audit_that_could_not_ask_is_no_success() -> None:
    assert re.search(r"^\t.*pip-audit .*--strict", MAKEFILE, re.MULTILINE)
