"""Bytes on the wire: what is packed, for whom, and what never is."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, g
from werkzeug.test import TestResponse

from b24app.web import compression
from tests.people import JSON, Person

GZIP = {"Accept-Encoding": "gzip, deflate, br"}


def asked(person: Person, path: str, accept: str = "text/html", **more: str) -> TestResponse:
    """The same as a browser asks."""
    return person.client.get(path, headers=person.headers(Accept=accept, **more), buffered=True)


@pytest.mark.parametrize("accept", ["text/html", JSON])
@pytest.mark.parametrize("path", ["/pages", "/pages/no-such-page"])
def test_what_a_browser_reads_is_packed_and_the_same(alice: Person, accept: str, path: str):
    plain = asked(alice, path, accept)
    packed = asked(alice, path, accept, **GZIP)

    big = len(plain.data) >= compression.SMALL
    assert "Content-Encoding" not in plain.headers
    assert packed.headers.get("Content-Encoding") == ("gzip" if big else None)
    assert "Accept-Encoding" in packed.vary
    assert int(packed.headers["Content-Length"]) == len(packed.data)
    if big:
        assert len(packed.data) < len(plain.data) / 2
        assert len(gzip.decompress(packed.data)) == pytest.approx(len(plain.data), abs=40)  # ids differ in length


@pytest.mark.parametrize("refused", ["", "br", "gzip;q=0", "identity"])
def test_who_does_not_take_gzip_is_not_sent_any(alice: Person, refused: str):
    answer = asked(alice, "/pages", JSON, **{"Accept-Encoding": refused})

    assert "Content-Encoding" not in answer.headers
    assert answer.json


def test_a_table_is_packed_while_it_is_streamed(alice: Person):
    alice.unpublish(351, reason="Räumung, „heute“")
    plain = asked(alice, "/runs.csv", "text/csv").data

    packed = asked(alice, "/runs.csv", "text/csv", **GZIP)

    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Length" not in packed.headers
    assert gzip.decompress(packed.data) == plain
    rows = list(csv.reader(io.StringIO(plain.decode("utf-8-sig"))))
    assert len(rows) == 2


def test_a_stream_arrives_in_parts_and_ends_the_one_below(app: Flask):
    ended: list[bool] = []

    def rows() -> Iterator[str]:
        try:
            for number in range(100_000):
                yield f"{number},{number * 7919}\r\n"
        finally:
            ended.append(True)

    with app.test_request_context(headers=GZIP):
        coming = iter(compression.pack(Response(rows(), mimetype="text/csv")).response)
        first = zlib.decompressobj(compression.GZIP).decompress(b"".join(next(coming) for _ in range(3)))  # type: ignore[misc]
        coming.close()  # type: ignore[attr-defined]  # as a server does when the reader is gone

    assert first.startswith(b"0,0\r\n1,7919\r\n")
    assert ended == [True]


def test_an_answer_with_a_session_token_is_never_packed(alice: Person):
    path, form = alice.frame()

    answer = alice.client.post(path, data=form, headers=GZIP)

    assert 'name="session-token"' in answer.text
    assert len(answer.data) > compression.SMALL
    assert "Content-Encoding" not in answer.headers


def test_every_token_in_a_body_is_made_where_packing_is_ruled_out(root: Path):
    makers = {
        path.name for path in (root / "b24app").rglob("*.py") if ".opened(opening, " in path.read_text(encoding="utf-8")
    }

    assert makers == {"session.py"}


def test_a_renewed_token_is_in_a_header_and_its_answer_is_packed(alice: Person, turn: Any):
    turn(minutes=20)

    answer = asked(alice, "/pages", **GZIP)

    assert answer.headers["Session-Token"]
    assert answer.headers["Content-Encoding"] == "gzip"


def test_a_secret_is_forgotten_with_its_request(app: Flask):
    body = "x" * compression.SMALL
    with app.test_request_context(headers=GZIP):
        compression.leave_as_it_is()
        assert "Content-Encoding" not in compression.pack(Response(body, mimetype="text/html")).headers
    with app.test_request_context(headers=GZIP):
        assert "holds_secret" not in g
        assert "Content-Encoding" in compression.pack(Response(body, mimetype="text/html")).headers


# --- built files ---------------------------------------------------------------------------------------------------


@pytest.fixture
def built(app: Flask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of built files: a script in every form, one that packs badly, in one."""
    monkeypatch.setattr(app, "static_folder", str(tmp_path))
    for name in ("app-4H6QDR7T.js", "app-4H6QDR7T.js.br", "app-4H6QDR7T.js.gz", "tiny-4H6QDR7T.js"):
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(("takes", "coding", "form"), [
    ("gzip, deflate, br", "br", ".br"), ("gzip", "gzip", ".gz"), ("br;q=0, gzip", "gzip", ".gz"), ("", None, ""),
])  # fmt: skip
def test_a_built_file_comes_in_the_best_form_the_browser_takes(
    app: Flask, built: Path, takes: str, coding: str | None, form: str
):
    answer = app.test_client().get("/static/app-4H6QDR7T.js", headers={"Accept-Encoding": takes}, buffered=True)

    assert answer.text == f"app-4H6QDR7T.js{form}"
    assert answer.headers.get("Content-Encoding") == coding
    assert answer.mimetype in ("text/javascript", "application/javascript")
    assert "Accept-Encoding" in answer.vary
    assert "immutable" in answer.headers["Cache-Control"]


def test_a_file_without_other_forms_comes_as_it_is(app: Flask, built: Path):
    client = app.test_client()

    assert client.get("/static/tiny-4H6QDR7T.js", headers=GZIP, buffered=True).text == "tiny-4H6QDR7T.js"
    assert client.get("/static/none-4H6QDR7T.js", headers=GZIP, buffered=True).status_code == 404
    assert client.get("/static/../config.py", headers=GZIP, buffered=True).status_code == 404


def test_the_build_makes_both_forms_of_every_script_and_style(root: Path):
    dist = root / "b24app" / "static" / "dist"
    whole = [path for path in dist.glob("*") if path.suffix in (".js", ".css") and path.stat().st_size > 400]
    if not whole:
        pytest.skip("the assets are not built: make setup")

    for path in whole:
        packed = path.with_name(f"{path.name}.gz")
        assert gzip.decompress(packed.read_bytes()) == path.read_bytes()
        assert path.with_name(f"{path.name}.br").stat().st_size < packed.stat().st_size
