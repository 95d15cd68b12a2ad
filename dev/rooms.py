"""The rooms of `b24app` and who knows whom, read from its imports: `python -m dev.rooms [--write]`.

A room is a package of `b24app`, or a module that stands beside the packages. The map in the README is what this
prints, between two marks; `--write` puts it there anew, and tests/house/test_documents.py compares. The diagram draws
an arrow only where no longer way leads to the same room, so that a reader sees floors and not a net. What each file of
the largest rooms is for would make the table unreadable; it stands in docs/map.md, put there the same way.
"""

import ast
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "b24app"
README = ROOT / "README.md"
MAP = ROOT / "docs" / "map.md"
BEGIN, END = "<!-- rooms: python -m dev.rooms --write -->", "<!-- /rooms -->"
FILES_BEGIN, FILES_END = "<!-- files: python -m dev.rooms --write -->", "<!-- /files -->"
FILE_BY_FILE = ("runs", "portals", "tokens")
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


def purpose(name: str) -> str:
    """The first sentence of the docstring of a room or of a module in it (`runs.orders`), without its full stop."""
    known = modules()
    text = ast.get_docstring(ast.parse(known[f"{PACKAGE}.{name}"].read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split()).removesuffix(".")


def contents(room: str) -> list[str]:
    """The names of the modules of a package; none for a room of one module."""
    return [name.removeprefix(f"{PACKAGE}.{room}.") for name in modules() if name.startswith(f"{PACKAGE}.{room}.")]


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
        inside = " ".join(f"`{name}`" for name in contents(room))
        rows.append(f"| `{room}{'/' if inside else '.py'}` | {'<br>'.join(filter(None, (purpose(room), inside)))} |")
    return "\n".join(["| room | what is in it |", "|---|---|", *rows])


def block() -> str:
    """What stands in the README between the marks, marks included."""
    return "\n".join([BEGIN, "", diagram(), "", table(), "", END])


def file_table(room: str) -> str:
    """A row a file of a room, linked from docs/map.md."""
    rows = [f"| [`{name}`](../{PACKAGE}/{room}/{name}.py) | {purpose(f'{room}.{name}')} |" for name in contents(room)]
    return "\n".join([f"| `{room}/` | what it is for |", "|---|---|", *rows])


def files_block() -> str:
    """What stands in docs/map.md between the marks, marks included."""
    return "\n\n".join([FILES_BEGIN, *map(file_table, FILE_BY_FILE), FILES_END])


def write(document: Path, block: str) -> None:
    """Put a block into a document, in place of what stands there between the same marks."""
    begin, end = block.splitlines()[0], block.splitlines()[-1]
    before, _, rest = document.read_text(encoding="utf-8").partition(begin)
    _, mark, after = rest.partition(end)
    if not mark:
        raise SystemExit(f"{document.name} has no {begin} … {end}")
    document.write_text(before + block + after, encoding="utf-8")


def main() -> None:
    """Print both maps, or write them into the README and docs/map.md."""
    if "--write" in sys.argv:
        write(README, block())
        write(MAP, files_block())
    else:
        print(block(), files_block(), sep="\n\n")


if __name__ == "__main__":
    main()
