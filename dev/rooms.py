"""The rooms of `b24app` and who knows whom, read from its imports: `python -m dev.rooms [--write]`.

A room is a package of `b24app`, or a module that stands beside the packages. The map in the README is what this
prints, between two marks; `--write` puts it there anew, and tests/house/test_documents.py compares. The diagram draws
an arrow only where no longer way leads to the same room, so that a reader sees floors and not a net.
"""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "b24app"
README = ROOT / "README.md"
BEGIN, END = "<!-- rooms: python -m dev.rooms --write -->", "<!-- /rooms -->"
Graph = Mapping[str, frozenset[str]]


class CircularRooms(Exception):
    """Rooms that know each other in a circle cannot be drawn one above the other."""


def modules() -> dict[str, Path]:
    """Dotted name → file, of everything in the package."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted((ROOT / PACKAGE).rglob("*.py"))
    }


def room_of(module: str) -> str:
    """`b24app.web.runs` → `web`, `b24app.errors` → `errors`; the package itself is no room and gives ''."""
    return [*module.split("."), ""][1]


def imported(path: Path, known: Iterable[str]) -> Iterator[str]:
    """The modules among `known` that a file imports, wherever in it. A name taken from a module means the module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in known:
                    yield full
                elif node.module in known:
                    yield node.module


@cache
def graph() -> dict[str, frozenset[str]]:
    """Room → the rooms it imports from."""
    known = modules()
    arrows: dict[str, set[str]] = {room_of(name): set() for name in known if room_of(name)}
    for name, path in known.items():
        if room := room_of(name):
            arrows[room] |= {room_of(target) for target in imported(path, known)} - {room, ""}
    return {room: frozenset(targets) for room, targets in arrows.items()}


def reach(arrows: Graph) -> dict[str, frozenset[str]]:
    """Room → all rooms it leads to, directly or by others. Raises CircularRooms."""
    reached: dict[str, frozenset[str]] = {}

    def visit(room: str, way: tuple[str, ...]) -> frozenset[str]:
        if room in way:
            raise CircularRooms(" → ".join((*way[way.index(room) :], room)))
        if room not in reached:
            below = (visit(target, (*way, room)) | {target} for target in sorted(arrows[room]))
            reached[room] = frozenset().union(*below)
        return reached[room]

    for room in sorted(arrows):
        visit(room, ())
    return reached


def drawn(arrows: Graph) -> list[tuple[str, str]]:
    """The arrows of the diagram: those that no longer way stands in for."""
    reached = reach(arrows)
    return [
        (room, target)
        for room in sorted(arrows)
        for target in sorted(arrows[room])
        if not any(target in reached[other] for other in arrows[room])
    ]


def purpose(room: str) -> str:
    """The first sentence of the room's docstring, without its full stop."""
    known = modules()
    text = ast.get_docstring(ast.parse(known[f"{PACKAGE}.{room}"].read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).removesuffix(".")


def contents(room: str) -> str:
    """The modules of a package as code; nothing for a room of one module."""
    inside = (name.removeprefix(f"{PACKAGE}.{room}.") for name in modules() if name.startswith(f"{PACKAGE}.{room}."))
    return " ".join(f"`{name}`" for name in inside)


def floors(arrows: Graph) -> list[str]:
    """The rooms from the top down: who is known by nobody first, then by name."""
    reached = reach(arrows)
    return sorted(arrows, key=lambda room: (-len(reached[room]), room))


def diagram() -> str:
    """Mermaid source."""
    arrows = graph()
    lines = [f"    {room} --> {' & '.join(below)}" for room in floors(arrows) if (below := _below(room, arrows))]
    return "\n".join(["```mermaid", "flowchart TB", *lines, "```"])


def _below(room: str, arrows: Graph) -> list[str]:
    return [target for source, target in drawn(arrows) if source == room]


def table() -> str:
    """A row a room, from the top down."""
    rows = []
    for room in floors(graph()):
        inside = contents(room)
        rows.append(f"| `{room}{'/' if inside else '.py'}` | {'<br>'.join(filter(None, (purpose(room), inside)))} |")
    return "\n".join(["| room | what is in it |", "|---|---|", *rows])


def block() -> str:
    """What stands in the README between the marks, marks included."""
    return "\n".join([BEGIN, "", diagram(), "", table(), "", END])


def written(text: str) -> str:
    """A document with the map in it brought up to date."""
    before, _, rest = text.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise SystemExit(f"{README.name} has no {BEGIN} … {END}")
    return before + block() + after


def main() -> None:
    """Print the map, or write it into the README."""
    if "--write" in sys.argv:
        README.write_text(written(README.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(block())


if __name__ == "__main__":
    main()
