"""What every answer says to the browser: who may frame it, what it may load, that nobody keeps it; and what a form of
another origin gets.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from b24app import factory
from b24sandbox import StandIn
from tests.clocks import TurnableClock
from tests.people import Person

OPEN = [
    "/install",
    "/app",
    "/privacy",
    "/licence",
    "/healthz",
    "/readyz",
    "/nowhere",
    "/oauth/callback",
    "/oauth/start",
]


def policy(answer: TestResponse) -> dict[str, str]:
    """The content policy, directive by directive."""
    parts = (part.strip().partition(" ") for part in answer.headers["Content-Security-Policy"].split(";"))
    return {name: value for name, _, value in parts}


def routes(app: Flask) -> Iterator[tuple[str, str]]:
    """Every route with every verb, ids filled in."""
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<uuid:[^>]+>", "6f1f7f9e-0000-4000-8000-000000000000", rule.rule)
        for verb in sorted((rule.methods or set()) - {"OPTIONS"}):
            yield verb, re.sub(r"<[^>]+>", "351", path)


def every_answer(app: Flask, person: Person) -> Iterator[tuple[str, TestResponse]]:
    """Each route asked as a client, as the page and by a stranger."""
    asked = [person.headers(), {**person.headers(Accept="text/html"), "HX-Request": "true"}, {"Accept": "text/html"}]
    for verb, path in routes(app):
        for headers in asked:
            yield f"{verb} {path}", person.client.open(path, method=verb, headers=headers, buffered=True)


def test_every_answer_of_every_route_carries_the_headers(app: Flask, alice: Person):
    for asked, answer in every_answer(app, alice):
        assert answer.headers["X-Content-Type-Options"] == "nosniff", asked
        assert answer.headers["Referrer-Policy"] == "no-referrer", asked
        assert answer.headers["Cache-Control"] == "no-store", asked
        assert "X-Frame-Options" not in answer.headers, asked
        assert "Set-Cookie" not in answer.headers, asked
        assert answer.headers["X-Request-Id"], asked
        assert policy(answer)["frame-ancestors"] == "'none'", asked


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs_inline(alice: Person):
    rules = policy(alice.open())

    assert rules["default-src"] == "'none'"
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == rules["form-action"] == "'self'"
    assert rules["base-uri"] == "'none'"
    assert "unsafe" not in str(rules)


def test_the_app_may_be_framed_by_the_proven_portal_and_nobody_else(alice: Person, charlie: Person, ada: Person):
    for person in (alice, charlie):
        assert policy(person.open())["frame-ancestors"] == person.portal.url
    assert policy(ada.install())["frame-ancestors"] == ada.portal.url


def test_the_portal_that_was_posted_does_not_matter(alice: Person):
    path, form = alice.frame()

    answer = alice.post_frame(path.replace("DOMAIN=", "DOMAIN=evil.example&X="), form)

    assert answer.status_code == 403
    assert "evil.example" not in answer.headers["Content-Security-Policy"]


def test_no_page_has_inline_script_or_style(alice: Person, ada: Person):
    pages = [alice.open().text, ada.install().text, alice.fragment("GET", "/pages").text]
    pages += [alice.client.get(path, headers={"Accept": "text/html"}).text for path in OPEN]

    for page in pages:
        assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", page)
        assert not re.search(r"\sstyle=|\son[a-z]+=|<style|javascript:", page)


@pytest.mark.parametrize(
    ("path", "body"),
    [("/runs", {"action": "unpublish", "lids": "351"}), ("/runs/preview", {"action": "unpublish", "lids": "351"}),
     ("/health/repair", {}), ("/news/seen", {})],
)  # fmt: skip
def test_a_form_of_another_origin_is_refused(alice: Person, path: str, body: dict[str, str]):
    headers = {"Origin": "https://evil.example", "Referer": "https://evil.example/", "Cookie": f"session={alice.token}"}

    answer = alice.client.post(path, data=body, headers=headers)

    assert answer.status_code == 401
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert alice.portal.page(351).active


def test_no_other_origin_may_read_answers(app: Flask, alice: Person):
    answer = alice.client.options(
        "/runs", headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    )

    assert not [name for name in answer.headers.keys() if name.startswith("Access-Control")]  # noqa: SIM118


def test_a_built_file_is_kept_for_good_and_any_other_is_asked_for_again(
    app: Flask, alice: Person, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(app, "static_folder", str(tmp_path))
    (tmp_path / "app-4H6QDR7T.css").write_text("a{}")
    (tmp_path / "plain.css").write_text("a{}")

    kept = {
        name: alice.client.get(f"/static/{name}", buffered=True)
        for name in ("app-4H6QDR7T.css", "plain.css", "app-XXXXXXXX.css")
    }

    told = {name: (answer.status_code, answer.headers["Cache-Control"]) for name, answer in kept.items()}
    assert told == {
        "app-4H6QDR7T.css": (200, f"public, max-age={factory.YEAR}, immutable"),
        "plain.css": (200, "no-cache"),
        "app-XXXXXXXX.css": (404, "no-store"),
    }
    assert all(answer.headers["X-Content-Type-Options"] == "nosniff" for answer in kept.values())


@pytest.mark.parametrize("path", ["/privacy", "/licence", "/install", "/app"])
def test_what_is_open_to_all_is_a_page_that_names_the_app(app: Flask, path: str):
    client = app.test_client()

    assert "Sundown" in client.get(path).text
    head = client.head(path)
    assert (head.status_code, head.data) == (200, b"")


def test_what_the_privacy_page_promises_is_what_a_removal_does(app: Flask, standin: StandIn):
    text = " ".join(re.sub(r"<[^>]+>", " ", app.test_client().get("/privacy").text).split())

    assert "if removal with deletion of data was chosen, everything is" in text  # test_lifecycle.py and test_events.py
    assert "sets no cookies in your portal" in text


# --- preferences ---------------------------------------------------------------------------------------------------


def test_theme_and_zone_are_kept_for_the_person(alice: Person):
    theme = 'data-theme="dark"'
    before = alice.open().text

    answer = alice.put("/preferences", {"theme": "dark", "zone": "America/New_York"})

    assert (answer.status_code, answer.data) == (204, b"")
    assert theme not in before.partition("<body")[0]
    again = alice.open().text
    assert theme in again.partition("<body")[0]
    assert 'data-zone="America/New_York"' in again


def test_what_is_not_sent_stays(alice: Person):
    alice.put("/preferences", {"theme": "dark", "zone": "Asia/Tokyo"})

    assert alice.put("/preferences", {"theme": "light"}).status_code == 204
    assert alice.fragment("PUT", "/preferences", theme="dark").status_code == 204

    assert 'data-zone="Asia/Tokyo"' in alice.open().text


def test_the_zones_come_apart_from_the_dialog_and_are_kept(alice: Person):
    alice.put("/preferences", {"zone": "Asia/Tokyo"})
    dialog = alice.fragment("GET", "/preferences").text
    address = re.findall(r'data-zones="([^"]+)"', dialog)[0]

    zones, stale = alice.fragment("GET", address), alice.fragment("GET", "/zones?v=another")

    assert re.findall(r'<option value="([^"]+/[^"]+)"', dialog) == ["Asia/Tokyo"]
    assert {"UTC", "Asia/Tokyo", "Europe/Riga", "America/Argentina/Ushuaia"} < set(
        re.findall('value="(.+?)"', zones.text)
    )
    assert zones.text == stale.text
    assert zones.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert stale.headers["Cache-Control"] == "no-store"


def test_an_answer_that_is_kept_holds_no_token(alice: Person, clock: TurnableClock):
    address = re.findall(r'data-zones="([^"]+)"', alice.fragment("GET", "/preferences").text)[0]
    clock.tick(minutes=40)

    kept, other = (alice.fragment("GET", path) for path in (address, "/zones"))

    assert "Session-Token" not in kept.headers
    assert other.headers["Session-Token"]


@pytest.mark.parametrize(
    "wish", [{"theme": "blue"}, {"zone": "Mars/Base"}, {"zone": "../../etc/passwd"}, {"zone": "x" * 65}, {"theme": 1}]
)
def test_a_wish_that_cannot_be_kept_is_refused(alice: Person, wish: dict[str, object]):
    assert alice.put("/preferences", wish).status_code == 422
    assert 'data-theme="light"' in alice.open().text
