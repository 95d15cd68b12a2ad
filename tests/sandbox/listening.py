"""An app's address that keeps what it is posted: for tests of what portals send."""

from __future__ import annotations

import time

from b24sandbox.protocol import php
from b24sandbox.server.http import Listener, Request, Response


class Listening:
    """A server that takes every post; `status` and `seconds` say how it answers."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, object]]] = []
        self.types: list[str] = []
        self.status = 200
        self.seconds = 0.0
        self._listener = Listener("127.0.0.1", 0, self._take)
        self.url = self._listener.url

    def _take(self, request: Request) -> Response:
        self.types.append(request.content_type)
        self.posts.append((request.path, php.parse(request.body.decode())))
        time.sleep(self.seconds)
        return Response(self.status)

    @property
    def forms(self) -> list[dict[str, object]]:
        return [form for _, form in self.posts]

    @property
    def events(self) -> list[object]:
        return [form.get("event") for form in self.forms]

    def at(self, path: str) -> list[object]:
        """The events posted to one path."""
        return [form.get("event") for where, form in self.posts if where == path]

    def close(self) -> None:
        self._listener.close()
