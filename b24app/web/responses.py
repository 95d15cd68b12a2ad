"""Answers of the page and of JSON clients, which nobody keeps."""

from typing import Any

from flask import Response, jsonify, make_response, render_template, request


def wants_json() -> bool:
    """The client asked for JSON; HTML is the default."""
    accepted = request.accept_mimetypes
    return accepted.quality("application/json") > accepted.quality("text/html") or (
        "application/json" in request.headers.get("Accept", "") and "text/html" not in request.headers.get("Accept", "")
    )


def html(template: str, status: int = 200, **context: Any) -> Response:
    """A rendered template as an answer that nobody keeps."""
    reply = make_response(render_template(template, **context), status)
    reply.headers["Cache-Control"] = "no-store"
    return reply


def json(body: Any, status: int = 200) -> Response:
    """A JSON answer that nobody keeps."""
    reply = jsonify(body)
    reply.status_code = status
    reply.headers["Cache-Control"] = "no-store"
    return reply
