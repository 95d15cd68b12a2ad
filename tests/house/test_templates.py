"""Templates, style sheets and scripts stay readable: lines as `.editorconfig` says, repeated parts in one place."""

import re
from collections.abc import Iterator
from configparser import ConfigParser
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = [
    *sorted((ROOT / "templates").rglob("*.html")),
    *sorted((ROOT / "assets").glob("*.*js")),
    *sorted((ROOT / "assets" / "js").glob("*.js")),
    *sorted((ROOT / "assets" / "css").glob("*.css")),
]
EMPTY_STATE = re.compile(r'class="empty"')
PREVIEW_BUTTON = re.compile(r'<button[^>]*hx-post="/runs/preview"')


def longest_line(file: Path) -> int:
    """The `max_line_length` of `.editorconfig` for this file; a later section wins."""
    settings = ConfigParser(inline_comment_prefixes=("#",))
    settings.read_string("[top]\n" + (ROOT / ".editorconfig").read_text(encoding="utf-8"))
    sections = [name for name in settings.sections() if fnmatch(file.name, name)]
    lengths = [settings[name]["max_line_length"] for name in sections if "max_line_length" in settings[name]]
    return int(lengths[-1])


def too_long(file: Path) -> Iterator[str]:
    """Lines that are longer than allowed, as "file:number (length)"."""
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if len(line) > longest_line(file):
            yield f"{file.relative_to(ROOT)}:{number} ({len(line)})"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_line_is_longer_than_the_editor_is_told(file: Path) -> None:
    assert list(too_long(file)) == []


def test_the_editor_is_told_the_lengths_by_kind_of_file() -> None:
    assert {file.suffix: longest_line(file) for file in FILES} == {".html": 160, ".js": 120, ".mjs": 120, ".css": 120}


@pytest.mark.parametrize("repeated", [EMPTY_STATE, PREVIEW_BUTTON], ids=["empty state", "preview button"])
def test_what_views_share_is_written_once(repeated: re.Pattern[str]) -> None:
    makers = {ROOT / "templates" / "components.html"}

    copies = [
        str(file.relative_to(ROOT))
        for file in FILES
        if file.suffix == ".html" and file not in makers and repeated.search(file.read_text(encoding="utf-8"))
    ]

    assert copies == []


IMPORTED = re.compile(r'(?:from|import) "([\w/-]+\.html)"[^%]*?(with context)?\s*-?%}')
TRANSLATED = re.compile(r"\b_\(|gettext\(")
MACRO = re.compile(r"{%-? macro .*?endmacro -?%}", re.DOTALL)


def test_what_is_imported_speaks_only_in_its_macros() -> None:
    """Jinja runs the rest once, in the language of whoever came first, unless the import is `with context`."""
    folder = ROOT / "templates"
    once = {
        name
        for file in folder.rglob("*.html")
        for name, with_context in IMPORTED.findall(file.read_text(encoding="utf-8"))
        if not with_context and TRANSLATED.search(MACRO.sub("", (folder / name).read_text(encoding="utf-8")))
    }

    assert once == set()


def test_dark_is_the_same_whether_it_was_chosen_or_is_the_devices() -> None:
    """A style sheet cannot say "these, too, where the device is dark": the values stand twice."""
    tokens = (ROOT / "assets" / "css" / "tokens.css").read_text(encoding="utf-8")
    chosen, followed = (
        re.search(rf'^ *\[data-theme="{theme}"\] {{(.*?)}}', tokens, re.MULTILINE | re.DOTALL)
        for theme in ("dark", "system")
    )

    assert chosen
    assert followed
    assert chosen[1].split() == followed[1].split()
