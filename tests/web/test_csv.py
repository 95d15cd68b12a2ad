"""CSV for people and for programs: heads, words, times, what stands between cells, and the file's name."""

import csv
import io
from urllib.parse import unquote

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from b24sandbox import StandIn
from tests.clocks import YEAR
from tests.people import Person, run_id_of


@pytest.fixture
def gerda(app: Flask, standin: StandIn, ada: Person) -> Person:
    """May publish; has the app open in German, in Berlin."""
    person = Person(app, standin.portals[0], "editor")
    path, form = person.frame()
    person.post_frame(path.replace("LANG=en", "LANG=de"), form)
    assert person.put("/preferences", {"zone": "Europe/Berlin"}).status_code == 204
    return person


def as_browser(person: Person, path: str) -> TestResponse:
    """As the page's script asks for a file."""
    headers = {"Authorization": f"Bearer {person.token}", "Accept": "text/csv", "HX-Request": "true"}
    answer = person.client.get(path, headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.data  # read whole before the next request
    return answer


def cells(answer: TestResponse, between: str) -> list[dict[str, str]]:
    """Rows by the heads of their columns."""
    text = io.StringIO(answer.data.decode("utf-8-sig"), newline="")
    return list(csv.DictReader(text, delimiter=between))


def name_of(answer: TestResponse) -> str:
    """The file's name as a browser saves it."""
    disposition = answer.headers["Content-Disposition"]
    _, _, whole = disposition.partition("filename*=UTF-8''")
    return unquote(whole) if whole else disposition.partition('filename="')[2].rstrip('"')


def test_a_persons_file_speaks_their_language_zone_and_spreadsheet(gerda: Person):
    lid = gerda.portal.add_pages(1)[0]
    gerda.portal.change_page(lid, title="Preisliste")
    gerda.unpublish(lid, at=f"{YEAR}-01-01T10:00:00Z", reason="Umbau; alles")

    answer = as_browser(gerda, "/runs.csv")

    row = cells(answer, ";")[0]
    assert row["Aktion"] == "Offline nehmen"
    assert row["Seite"] == "Preisliste"
    assert row["Ergebnis"] == "Geplant"
    assert row["Geplant für (Europe/Berlin)"] == f"1.1.{YEAR} 11:00"
    assert row["Grund"] == "Umbau; alles"
    assert not {"id", "kind", "state"} & row.keys()
    assert name_of(answer).startswith("Sundown-Verlauf 20")


def test_an_english_file_has_commas_and_words(alice: Person, ada: Person):
    lid = alice.portal.add_pages(1)[0]
    run = run_id_of(alice.unpublish(lid))

    answer = as_browser(alice, f"/runs/{run}.csv")

    row = cells(answer, ",")[0]
    assert (row["Number"], row["Result"], row["Published before"]) == (str(lid), "Unpublished", "Yes")
    assert name_of(answer).startswith("Sundown pages unpublished 20")
    log = as_browser(ada.opened(), "/log.csv?method=batch")
    assert cells(log, ",")[0]["Method"] == "batch"


def test_the_form_of_a_file_can_be_chosen(gerda: Person):
    lid = gerda.portal.add_pages(1)[0]
    run = run_id_of(gerda.unpublish(lid, at=f"{YEAR}-01-01T10:00:00Z"))

    raw = as_browser(gerda, "/runs.csv?format=raw")

    row = cells(raw, ",")[0]
    assert (row["id"], row["action"], row["state"], row["at"]) == (
        run,
        "unpublish",
        "scheduled",
        f"{YEAR}-01-01T10:00:00Z",
    )
    assert name_of(raw) == "sundown-history.csv"
    assert cells(gerda.get("/runs.csv?format=people"), ";")[0]["Ergebnis"] == "Geplant"
    assert gerda.get("/runs.csv").data == raw.data  # a program that says nothing gets the raw form
    assert gerda.get("/runs.csv?format=odd").status_code == 422
