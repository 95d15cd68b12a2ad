"""All that people read goes through the catalogs."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.catalog import Message

from b24app import errors, i18n
from dev.translations import CATALOGS, ROOT, catalog, extracted, missing

TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
JINJA = re.compile(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
READ_ALOUD = ("aria-label", "alt", "title", "placeholder")
NAMES = {"Sundown", "CSV"}  # the same in every language
ATTRIBUTES = re.compile(r"""[\w-]+=("[^"]*"|'[^']*')""")  # a macro may give only these
PLACEHOLDER = re.compile(r"%\(\w+\)s")
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

    untold = {text for kind in kinds for text in (kind.title, kind.detail, kind.remedy) if text not in known}

    assert untold == set()


def texts_of(message: Message) -> list[tuple[str, str]]:
    """Each text with its translation; both forms of a plural."""
    said = message.string if isinstance(message.string, tuple | list) else (message.string or "",)
    asked = message.id if isinstance(message.id, tuple | list) else (message.id,)
    return list(zip(asked, said, strict=True))


@pytest.mark.parametrize("language", i18n.languages()[1:])
def test_a_language_is_complete_and_says_nothing_that_is_gone(language: str) -> None:
    kept = catalog(CATALOGS / language / "LC_MESSAGES" / "messages.po")

    assert missing(kept) == []
    assert {message.id for message in kept} == {message.id for message in extracted()}
    assert not any(message.fuzzy for message in kept if message.id)


@pytest.mark.parametrize("language", i18n.languages()[1:])
def test_a_translation_fills_in_what_the_original_does(language: str) -> None:
    kept = catalog(CATALOGS / language / "LC_MESSAGES" / "messages.po")
    pairs = [pair for message in kept if message.id for pair in texts_of(message)]

    wrong = [asked for asked, said in pairs if set(PLACEHOLDER.findall(asked)) != set(PLACEHOLDER.findall(said))]

    assert wrong == []


def test_german_is_there() -> None:
    assert i18n.languages() == ["en", "de"]
