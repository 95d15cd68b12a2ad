"""All that people read goes through the catalogs."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from b24app import errors
from dev.words import ROOT, extracted

TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
READ_ALOUD = ("aria-label", "alt", "title", "placeholder")
NAMES = {"Sundown", "CSV"}  # the same in every language
ATTRIBUTES = re.compile(r"""[\w-]+=("[^"]*"|'[^']*')""")  # a macro may give only these
LETTERS = re.compile(r"[^\W\d_]{2,}")


class Reader(HTMLParser):
    """Collects what a person would read of a template once everything Jinja fills in is taken away."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.texts += [value or "" for name, value in attrs if name in READ_ALOUD]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def bare_words(template: str) -> list[str]:
    reader = Reader()
    reader.feed(JINJA.sub("", template))
    words = (ATTRIBUTES.sub("", text).strip() for text in reader.texts)
    return [text for text in words if LETTERS.search(text) and text not in NAMES]


@pytest.mark.parametrize("file", TEMPLATES, ids=lambda file: str(file.relative_to(ROOT / "templates")))
def test_no_text_of_a_template_escapes_translation(file: Path) -> None:
    assert bare_words(file.read_text(encoding="utf-8")) == []


def test_a_bare_text_would_be_found() -> None:
    assert bare_words('<p>{{ _("Told") }} Untold</p><a title="Also {{ name }}">x</a>') == ["Untold", "Also"]


def test_no_script_carries_words_of_its_own() -> None:
    sources = [*(ROOT / "assets").glob("*.js"), *(ROOT / "assets" / "js").glob("*.js")]
    said = {word for file in sources for word in re.findall(r"textContent = '([^']+)'", file.read_text())}

    assert said == set()


def test_every_problem_speaks_through_the_catalogs() -> None:
    known = {message.id for message in extracted()}
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.Problem)]

    untold = {text for kind in kinds for text in (kind.title, kind.words, kind.remedy) if text not in known}

    assert untold == set()
