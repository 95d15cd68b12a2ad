"""What people type finds what is written otherwise, and lists are sorted as people read."""

import unicodedata

import pytest

from b24app.folding import fold, in_order, is_blank


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("Café Übersicht", "cafe ubersicht"),
        (unicodedata.normalize("NFD", "Café"), "café"),
        ("İSTANBUL", "istanbul"),
        ("ISPARTA ılıca", "isparta ilica"),
        ("Ёлка и ёж", "елка и еж"),
        ("Ｓａｌｅ ２０２６", "sale 2026"),
        ("STRASSE", "straße"),
        ("ﬁnal", "final"),
        ("soft\u00adhyphen zero\u200bwidth", "softhyphen zerowidth"),
    ],
)
def test_what_is_written_otherwise_is_found(written: str, typed: str) -> None:
    assert fold(written) == fold(typed)


@pytest.mark.parametrize(("one", "other"), [("мой", "мои"), ("sale", "safe"), ("क", "कि"), ("は", "ば")])
def test_what_is_another_word_stays_another(one: str, other: str) -> None:
    assert fold(one) != fold(other)


def test_numbers_in_titles_are_sorted_by_their_size() -> None:
    titles = ["Page 10", "page 2", "Ärger", "Zebra", "Page 1b", "2026", "Page"]

    assert sorted(titles, key=in_order) == ["2026", "Ärger", "Page", "Page 1b", "page 2", "Page 10", "Zebra"]


def test_a_title_without_anything_to_see_is_blank() -> None:
    assert all(map(is_blank, ("", "  ", "\u00a0", "\u200b\ufeff", "\u2066\u2069", "\t\n")))
    assert not any(map(is_blank, ("a", " . ", "🙂", "\u200bx")))
