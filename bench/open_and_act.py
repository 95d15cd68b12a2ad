"""What the app adds to a click: HTTP requests to Bitrix24, and its own milliseconds, of opening, listing and acting.

Own time is that of a whole request less what was waited for at the wire, that is for the stand-in, which runs in a
process of its own; how much of it the processor was busy says what a less loaded machine would give. The database is
real. Memory is the resident set of a gunicorn process with the packages that are deployed: of the tools beside them
structlog would load one.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import requests
from flask import Flask
from requests import PreparedRequest
from requests.adapters import BaseAdapter, HTTPAdapter
from werkzeug.test import TestResponse

from b24app import log
from b24app.factory import create_app
from b24app.services import build
from b24app.store import embedded
from bench._stage import Portals, session_of, standin
from tests.conftest import make_config
from tests.databases import migrate
from tests.processes import Web

ROUNDS = 60
MANY_PAGES = 3000
GOAL_MS, GOAL_MB = 25.0, 110.0
IMPORT = "import time, sys; began = time.perf_counter(); import b24app.factory; print(time.perf_counter() - began)"


class Wire(BaseAdapter):
    """The real transport, with a counter and a stop-watch."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = HTTPAdapter()
        self.requests, self.seconds = 0, 0.0

    def send(self, request: PreparedRequest, *given: Any, **named: Any) -> requests.Response:
        """As the inner one; the answer is read to its end, so that waiting for it is counted here."""
        began = time.perf_counter()
        try:
            answer = self.inner.send(request, *given, **named)
            whole = answer.raw.read(decode_content=True)
        finally:
            self.requests, self.seconds = self.requests + 1, self.seconds + time.perf_counter() - began
        answer.raw = Whole(whole)
        return answer

    def close(self) -> None:
        """Nothing is kept but the inner one's connections."""
        self.inner.close()


class Whole:
    """A body that has already come."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def read1(self, _size: int, decode_content: bool = True) -> bytes:
        """All of it, once."""
        body, self._body = self._body, b""
        return body

    def close(self) -> None:
        """Nothing is open."""

    def release_conn(self) -> None:
        """Nothing is held."""


@dataclass
class Figures:
    """Requests and own milliseconds of one kind of click."""

    requests: list[int] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    busy: list[float] = field(default_factory=list)

    def line(self, name: str) -> str:
        """As it is printed."""
        slow = sorted(self.own)[int(len(self.own) * 0.95)]
        own, busy = median(self.own), median(self.busy)
        spent = f"own {own:5.1f} ms ({busy:4.1f} busy), 95 % below {slow:5.1f} ms"
        return f"  {name:<26} {max(self.requests)} requests, {spent}"


class Clicks:
    """Does things in the app and measures them."""

    def __init__(self, app: Flask, wire: Wire, portal: Portals) -> None:
        self.client = app.test_client(use_cookies=False)
        self.wire, self.portal = wire, portal
        self.token = ""

    def click(self, figures: Figures | None, method: str, path: str, **sent: Any) -> TestResponse:
        """One request; what it cost goes into `figures`."""
        bearer = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers = {"Accept": "text/html", "HX-Request": "true", **bearer}
        requests_before, waited_before = self.wire.requests, self.wire.seconds
        began, worked = time.perf_counter(), time.thread_time()
        answer = self.client.open(path, method=method, headers=headers, **sent)
        spent, busy = time.perf_counter() - began, time.thread_time() - worked
        if answer.status_code >= 400:
            raise SystemExit(f"bench: {method} {path} answered {answer.status_code}: {answer.text[:300]}")
        if figures is not None:
            figures.requests.append(self.wire.requests - requests_before)
            figures.own.append((spent - (self.wire.seconds - waited_before)) * 1000)
            figures.busy.append(busy * 1000)
        return answer

    def open(self, figures: Figures | None, frame: tuple[str, dict[str, str]]) -> None:
        """POST /app; the session token is kept."""
        self.token = ""
        self.token = session_of(self.click(figures, "POST", frame[0], data=frame[1]).text)


def measure(app: Flask, wire: Wire, portal: Portals) -> dict[str, Figures]:
    """All clicks, each many times."""
    names = ("first open", "fresh token", "known token", "list, fresh", "list, kept", "unpublish", "publish", "preview")
    found = {name: Figures() for name in names}
    clicks = Clicks(app, wire, portal)
    for user in portal.order("/users", n=ROUNDS):
        first, again = portal.frame(user), portal.frame(user)
        clicks.open(found["first open"], first)
        clicks.open(found["fresh token"], again)
        clicks.open(found["known token"], again)
    clicks.open(None, portal.frame("editor"))
    for lid in portal.order("/pages", n=ROUNDS):
        clicks.click(found["list, fresh"], "GET", "/pages?fresh=1")
        clicks.click(found["list, kept"], "GET", "/pages?q=a")
        clicks.click(found["preview"], "POST", "/runs/preview", data={"action": "unpublish", "lids": lid})
        clicks.click(found["unpublish"], "POST", "/runs", data={"action": "unpublish", "lids": lid})
        clicks.click(found["publish"], "POST", "/runs", data={"action": "publish", "lids": lid})
    portal.order("/pages", n=MANY_PAGES)
    found[f"list, fresh, {MANY_PAGES:,} more"] = many = Figures()
    found["search them"] = kept = Figures()
    for _ in range(10):
        clicks.click(many, "GET", "/pages?fresh=1")
        clicks.click(kept, "GET", "/pages?q=page")
    return found


def hide_tools(folder: str) -> str:
    """A folder in which the tool is missing, as it is where only the requirements are installed."""
    (Path(folder) / "rich.py").write_text("raise ImportError")
    return folder


def memory(environment: Mapping[str, str], portal: Portals) -> tuple[float, float, float]:
    """Megabytes of gunicorn's working process: at rest, after people worked in it, and after they listed thousands."""
    with TemporaryDirectory() as folder, Web({**environment, "PYTHONPATH": hide_tools(folder)}) as web:
        (worker,) = psutil.Process(web.pid).children()

        def use(user: object, times: int = 20) -> float:
            path, form = portal.frame(user)
            token = session_of(requests.post(f"{web.url}{path}", data=form, timeout=30).text)
            bearer = {"Authorization": f"Bearer {token}", "HX-Request": "true"}
            for _ in range(times):
                for path in ("/pages?fresh=1", "/runs", "/news"):
                    requests.get(f"{web.url}{path}", headers=bearer, timeout=30).raise_for_status()
            return float(worker.memory_info().rss) / 1e6

        resting = float(worker.memory_info().rss) / 1e6
        working = max(use("editor"), use("reader"), use("admin"))
        portal.order("/pages", n=MANY_PAGES)
        return resting, working, use("editor", 5)


def import_seconds() -> float:
    """How long a fresh interpreter takes to import the whole web application."""
    runs = [subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, check=True) for _ in range(5)]
    return median(float(run.stdout) for run in runs)


def main() -> int:
    """Print the figures; 1 when a promise is broken."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory())) / "data"
        server = embedded.start(folder)
        stack.callback(embedded.remove, folder)
        stack.callback(server.stop)
        migrate(server.url)
        portal = stack.enter_context(standin(portals=1))
        environment = portal.settings(server.url)
        wire, settings = Wire(), make_config(environment)
        log.setup(settings)
        services = build(settings, transport=wire)
        stack.callback(services.close)
        app = create_app(services)
        path, form = portal.frame("admin", install=True)
        app.test_client().post(path, data=form)
        portal.order("/finish")
        found = measure(app, wire, portal)
        resting, used, crowded = memory(environment, portal)
    importing = import_seconds()

    for name, figures in found.items():
        print(figures.line(name))
    print(f"  import {importing * 1000:.0f} ms")
    print(f"  a web process: {resting:.0f} MB at rest, {used:.0f} MB at work, {crowded:.0f} with {MANY_PAGES:,} pages")
    return report(found, resting)


def report(found: Mapping[str, Figures], resting: float) -> int:
    """Each promise and whether it was kept."""
    most = {
        "first open": 2, "fresh token": 1, "known token": 0, "list, fresh": 2, "list, kept": 0, "unpublish": 1,
        f"list, fresh, {MANY_PAGES:,} more": 2,
    }  # fmt: skip
    promises = {
        f"{name}: at most {number} requests": max(found[name].requests) <= number for name, number in most.items()
    }
    quick = ("first open", "fresh token", "known token", "list, fresh", "list, kept", "unpublish")
    promises |= {f"{name}: own time at most {GOAL_MS:.0f} ms": median(found[name].own) <= GOAL_MS for name in quick}
    promises[f"a web process takes at most {GOAL_MB:.0f} MB at rest"] = resting <= GOAL_MB
    for words, kept in promises.items():
        print(f"  {'kept  ' if kept else 'BROKEN'} {words}")
    return 0 if all(promises.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
