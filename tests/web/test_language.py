"""The app speaks the language of the portal, with its dates and numbers."""

import re

import pytest
from flask import Flask

from b24sandbox import StandIn
from tests.conftest import Turn
from tests.people import Person


@pytest.fixture
def gerda(app: Flask, standin: StandIn, ada: Person) -> Person:
    """May publish; has the app open in German."""
    person = Person(app, standin.portals[0], "editor")
    path, form = person.frame()
    person.post_frame(path.replace("LANG=en", "LANG=de"), form)
    return person


def test_pages_times_and_numbers_are_told_in_german(gerda: Person):
    gerda.portal.add_pages(1200)
    gerda.unpublish(351)

    pages = gerda.fragment("GET", "/pages").text
    history = gerda.fragment("GET", "/runs").text

    assert "Alle Websites" in pages
    assert "1.2" in pages
    assert "Veröffentlicht" in pages
    assert "Heute, " in history
    assert '<span class="badge ok">Erledigt</span>' in history


def test_two_sessions_of_one_person_keep_each_its_language(gerda: Person, app: Flask, turn: Turn):
    english = Person(app, gerda.portal, gerda.role).opened()
    turn(minutes=11)  # the next answer brings a fresh token
    gerda.token = gerda.get("/pages").headers["Session-Token"]

    shown = [person.fragment("GET", "/pages").text for person in (gerda, english, gerda)]

    assert ["Alle Websites" in text for text in shown] == [True, False, True]
    assert ["All sites" in text for text in shown] == [False, True, False]


def test_a_session_without_a_language_speaks_that_of_the_last_opening(gerda: Person, app: Flask):
    answer = gerda.heal()
    german = gerda.fragment("GET", "/pages").text
    Person(app, gerda.portal, gerda.role).opened()
    english = gerda.fragment("GET", "/pages").text

    assert answer.status_code == 200
    assert "Alle Websites" in german
    assert "All sites" in english


def test_a_session_got_anew_speaks_the_language_that_is_said(gerda: Person, app: Flask):
    Person(app, gerda.portal, gerda.role).opened()
    gerda.heal(LANG="de")

    assert "Alle Websites" in gerda.fragment("GET", "/pages").text


def test_a_refusal_is_told_in_german(gerda: Person, standin: StandIn):
    standin.fault(0, "*", kind="error", code="insufficient_scope", status=401, times=-1)

    problem = gerda.get("/pages").json

    assert problem is not None
    assert problem["title"] == "Der App fehlt die Berechtigung für Websites"
    assert problem["code"] == "insufficient_scope"


def test_a_language_without_a_catalog_is_english_with_its_own_numbers(app: Flask, standin: StandIn, ada: Person):
    person = Person(app, standin.portals[0], "editor")
    path, form = person.frame()
    opened = person.post_frame(path.replace("LANG=en", "LANG=fr"), form).text
    person.portal.add_pages(1200)

    shown = person.fragment("GET", "/pages").text

    assert '<html lang="en" dir="ltr"' in opened
    assert "All sites" in shown
    assert "1\u202f2" in shown


def test_a_right_to_left_language_without_a_catalog_is_all_english(app: Flask, standin: StandIn, ada: Person):
    person = Person(app, standin.portals[0], "editor")
    path, form = person.frame()
    opened = person.post_frame(path.replace("LANG=en", "LANG=ar"), form).text
    person.unpublish(351, at="2030-06-01T10:00:00Z")

    assert '<html lang="en" dir="ltr"' in opened
    assert "June 1, 2030" in person.fragment("GET", "/runs?state=scheduled").text


def test_each_language_has_a_list_of_zones_of_its_own(ada: Person, gerda: Person):
    english, german = (
        re.findall(r'data-zones="([^"]+)"', person.fragment("GET", "/preferences").text)[0]
        for person in (ada.opened(), gerda)
    )

    assert english != german
    assert "Europe/Lisbon (Lissabon)" in gerda.fragment("GET", german).text
