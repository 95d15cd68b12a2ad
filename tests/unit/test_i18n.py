"""Dates, times and numbers as people write them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from b24app import i18n

NOW = datetime(2026, 11, 28, 22, 30, tzinfo=UTC)  # 00:30 of the next day in Riga


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2026, 11, 28, 22, 0, tzinfo=UTC), (0, "29. Nov.", "00:00")),
        (datetime(2026, 11, 28, 21, 59, tzinfo=UTC), (-1, "28. Nov.", "23:59")),
        (datetime(2026, 11, 29, 22, 0, tzinfo=UTC), (1, "30. Nov.", "00:00")),
        (datetime(2025, 6, 1, 5, 6, 7, tzinfo=UTC), (-546, "1. Juni 2025", "08:06")),
    ],
)
def test_a_moment_is_told_by_the_days_of_the_zone_and_without_seconds(moment, expected):
    assert i18n.when(moment, "de", "Europe/Riga", NOW) == expected


def test_an_english_time_breaks_nowhere():
    assert i18n.when(NOW, "en", None, NOW)[2] == "10:30\u00a0PM"


@pytest.mark.parametrize(("lang", "written"), [("en", "5,000"), ("de", "5.000"), ("in", "5,000")])
def test_numbers_have_the_separators_of_the_language(lang, written):
    assert i18n.number(5000, lang) == written


@pytest.mark.parametrize(
    ("zone", "offset"),
    [("Europe/Riga", "UTC+02:00"), ("America/St_Johns", "UTC-03:30"), (None, "UTC"), ("Nowhere/Land", "UTC")],
)
def test_a_zone_is_named_with_its_distance_from_utc(zone, offset):
    assert i18n.offset(zone, NOW) == offset


@pytest.mark.parametrize(
    ("lang", "choice"),
    [("en", "Europe/Lisbon"), ("de", "Europe/Lisbon (Lissabon)"), ("qqq", "Europe/Lisbon")],
)
def test_a_zone_is_found_by_its_city_in_the_readers_language(lang, choice):
    assert i18n.zone_choice("Europe/Lisbon", lang) == choice


@pytest.mark.parametrize(
    "name", ["UTC", "+03:00", "America/New_York", "Asia/Tel_Aviv", "Asia/Kashgar", "America/Indiana/Knox"]
)
def test_a_zone_without_a_city_of_its_own_is_its_name(name):
    assert i18n.zone_choice(name, "de") == name


@pytest.mark.parametrize(("posted", "kept"), [
    ("de", "de"), ("BR", "br"), ("../x", "en"), (None, "en"), ("d", "en"), ("en_US", "en"), ("pt-BR", "br"),
    ("de_AT", "de"), ("es", "la"), ("zh_CN", "sc"), ("qqq", "en"), ("xx_YY", "en"),
])  # fmt: skip
def test_a_posted_language_is_kept_only_when_it_is_one(posted, kept):
    assert i18n.language(posted) == kept


def test_languages_that_somebody_made_up_take_no_memory():
    for n in range(500):
        i18n.catalog(f"x{n}")

    assert i18n.catalog.cache_info().currsize <= i18n.MOST_LANGUAGES
    assert i18n.locale.cache_info().currsize <= i18n.MOST_LANGUAGES


def test_a_script_from_right_to_left_is_shown_where_there_are_words_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert (i18n.direction("ar"), i18n.direction("de"), i18n.direction("zz")) == ("ltr", "ltr", "ltr")

    (tmp_path / "ar").mkdir()
    monkeypatch.setattr(i18n, "CATALOGS", tmp_path)
    i18n.locale.cache_clear()
    assert i18n.direction("ar") == "rtl"
    i18n.locale.cache_clear()
