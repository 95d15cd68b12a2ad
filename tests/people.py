"""A person in a test: opens the app as the portal would, then uses its routes with the session token of the page."""

import re
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from flask import Flask
from werkzeug.test import TestResponse

from b24sandbox import PortalHandle

TOKEN = re.compile(r'<meta name="session-token" content="([^"]+)">')
JSON = "application/json"


class Person:
    """One user of one portal and, once opened, their session."""

    def __init__(self, app: Flask, portal: PortalHandle, role: str) -> None:
        self.client = app.test_client(use_cookies=False)
        self.portal = portal
        self.role = role
        self.user_id = portal.user(role).id
        self.token = ""

    # --- the frame -------------------------------------------------------------------------------------------------

    def frame(
        self, *, install: bool = False, placement: str = "DEFAULT", **options: object
    ) -> tuple[str, dict[str, str]]:
        """The portal's post into the frame, as (path with query, form)."""
        url, form = self.portal.open(self.role, install, placement, options or None)
        parts = urlsplit(url)
        return f"{parts.path}?{parts.query}", dict(form)

    def install(self) -> TestResponse:
        """Open the installer."""
        return self.post_frame(*self.frame(install=True))

    def open(self, **how: Any) -> TestResponse:
        """Open the app; the session token of the page is kept."""
        return self.post_frame(*self.frame(**how))

    def post_frame(self, path: str, form: dict[str, str]) -> TestResponse:
        """Send a frame post and keep the session token of the page, if it has one."""
        answer = self.client.post(path, data=form)
        found = TOKEN.search(answer.text)
        self.token = found.group(1) if found else self.token
        return answer

    def opened(self) -> "Person":
        """This person with the app open."""
        answer = self.open()
        assert answer.status_code == 200, answer.text
        assert self.token
        return self

    def heal(self, **more: str) -> TestResponse:
        """What the page does when its token is over: fresh tokens from the portal, posted to /session."""
        path, form = self.frame()
        query = dict(parse_qsl(urlsplit(path).query))
        names = ("AUTH_ID", "REFRESH_ID", "AUTH_EXPIRES", "member_id")
        body = {name: form[name] for name in names} | {"DOMAIN": query["DOMAIN"]} | more
        answer = self.client.post("/session", data=body, headers={"Accept": JSON})
        if answer.status_code == 200:
            self.token = answer.json["session_token"] if answer.json else ""
        return answer

    # --- the page --------------------------------------------------------------------------------------------------

    def headers(self, **more: str) -> dict[str, str]:
        """What the page's script sends with each request."""
        return {"Authorization": f"Bearer {self.token}", "Accept": JSON, **more}

    def get(self, path: str, **more: str) -> TestResponse:
        """GET as JSON."""
        return self.client.get(path, headers=self.headers(**more))

    def read(self, path: str) -> Any:
        """GET as JSON that must succeed; its body."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json

    def post(self, path: str, body: object = None, **more: str) -> TestResponse:
        """POST JSON, JSON back."""
        return self.client.post(path, json=body, headers=self.headers(**more))

    def put(self, path: str, body: object) -> TestResponse:
        """PUT JSON."""
        return self.client.put(path, json=body, headers=self.headers())

    def fragment(self, method: str, path: str, **form: object) -> TestResponse:
        """As htmx sends it: a form, and a fragment back."""
        headers = {"Authorization": f"Bearer {self.token}", "HX-Request": "true", "Accept": "text/html"}
        return self.client.open(path, method=method, data=form or None, headers=headers)

    def order(self, action: str, *lids: int, key: str | None = None, **more: object) -> TestResponse:
        """POST /runs."""
        headers = {"Idempotency-Key": key} if key else {}
        return self.client.post(
            "/runs", json={"action": action, "lids": list(lids), **more}, headers=self.headers() | headers
        )

    def unpublish(self, *lids: int, **more: Any) -> TestResponse:
        """Take pages down."""
        return self.order("unpublish", *lids, **more)

    def publish(self, *lids: int, **more: Any) -> TestResponse:
        """Put pages up."""
        return self.order("publish", *lids, **more)

    def undo(self, run: TestResponse) -> TestResponse:
        """Undo a run by the answer that told of it."""
        assert run.json
        return self.post(f"/runs/{run.json['id']}/undo")


def body_of(answer: TestResponse) -> Any:
    """The JSON an answer carries, whatever its status."""
    assert answer.json is not None, answer.text
    return answer.json


def run_id_of(answer: TestResponse) -> str:
    """The id of the run an order made."""
    assert answer.status_code in (200, 201), answer.text
    return str(body_of(answer)["id"])
