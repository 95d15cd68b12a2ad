"""What measurements stand on: a real PostgreSQL, stand-in portals, people who have the app open, a worker process."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import requests
import structlog
from alembic import command
from alembic.config import Config as AlembicConfig
from flask.testing import FlaskClient

from b24app import config as settings
from b24app.clock import Clock, utcnow
from b24app.domain import Actor
from b24app.services import Services, build
from b24app.store import embedded
from b24app.store.schema import MIGRATIONS
from b24sandbox import PortalHandle, StandIn

ROOT = Path(__file__).parents[1]
TOKEN = re.compile(r'<meta name="session-token" content="([^"]+)">')


@contextmanager
def database() -> Iterator[str]:
    """An empty PostgreSQL of its own, gone afterwards."""
    with server() as running:
        yield running.url


@contextmanager
def server() -> Iterator[embedded.Embedded]:
    """The same, for those who read its log."""
    with tempfile.TemporaryDirectory(prefix="sundown-bench-") as folder:
        place = Path(folder) / "postgres"
        with embedded.start(place) as running:
            yield running
        embedded.remove(place)


class Portals:
    """Stand-in portals that are a process of their own, steered by their control API."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self.said = said
        self._session = requests.Session()

    def order(self, path: str, portal: int | str = 0, **values: object) -> Any:
        """One order for a portal, the first unless named."""
        sent = {"portal": portal, **values}
        answer = self._session.post(f"{self.said['control']}{path}", json=sent, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def steer(self, path: str, **values: object) -> Any:
        """One order that is about no portal, or about all."""
        answer = self._session.post(f"{self.said['control']}{path}", json=values, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def frame(self, user: object, portal: int = 0, *, install: bool = False) -> tuple[str, dict[str, str]]:
        """The post of a frame: path with query, and form."""
        opened = self.order("/open", portal, user=user, install=install)
        parts = urlsplit(opened["url"])
        return f"{parts.path}?{parts.query}", opened["form"]

    def settings(self, database_url: str, **more: str) -> dict[str, str]:
        """The app's environment against them."""
        return {
            "B24_CLIENT_ID": self.said["client_id"], "B24_CLIENT_SECRET": self.said["client_secret"],
            "B24_OAUTH_URL": self.said["oauth"], "APP_URL": "http://127.0.0.1:8100", "DATABASE_URL": database_url,
            "SECRET_KEY": "k" * 48, "TOKEN_KEYS": "d" * 43, "B24_ALLOW_INSECURE_PORTALS": "1", "LOG_LEVEL": "WARNING",
            "TRUSTED_PROXIES": "0", **more,
        }  # fmt: skip


@contextmanager
def standin(portals: int, app_url: str = "http://127.0.0.1:8100") -> Iterator[Portals]:
    """So many stand-in portals as a process of their own."""
    command = [sys.executable, "-m", "b24sandbox", "--portals", str(portals), "--app-url", app_url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield Portals(json.loads(process.stdout.readline()))
        finally:
            process.terminate()


def session_of(page: str) -> str:
    """The session token in a page of the app; empty where there is none."""
    found = TOKEN.search(page)
    return found[1] if found else ""


def surroundings(url: str, standin: StandIn) -> dict[str, str]:
    """The environment of the worker."""
    return {
        "B24_CLIENT_ID": standin.client_id, "B24_CLIENT_SECRET": standin.client_secret,
        "B24_OAUTH_URL": ",".join(standin.world.servers), "APP_URL": "http://127.0.0.1:8100", "DATABASE_URL": url,
        "SECRET_KEY": "k" * 48, "TOKEN_KEYS": base64.urlsafe_b64encode(b"v" * 32).decode(),
        "B24_ALLOW_INSECURE_PORTALS": "1", "LOG_LEVEL": "WARNING",
    }  # fmt: skip


def prepared(url: str, environment: dict[str, str], clock: Clock = utcnow) -> Services:
    """The services on a migrated database."""
    alembic = AlembicConfig()
    alembic.set_main_option("script_location", str(MIGRATIONS))
    alembic.attributes["url"] = url
    command.upgrade(alembic, "head")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    values: dict[str, Any] = {name.lower(): value for name, value in environment.items()}
    return build(settings.Config(**values), clock=clock)


def moved_in(client: FlaskClient, services: Services, portal: PortalHandle) -> Actor:
    """The editor of a portal, who has opened the app there: so it knows the portal and has their tokens."""
    portal.open("admin", install=True)
    url, form = portal.open("editor")
    parts = urlsplit(url)
    assert client.post(f"{parts.path}?{parts.query}", data=form).status_code == 200
    editor = portal.user("editor")
    return Actor(portal.member_id, editor.id, editor.full_name, "en", "light", editor.time_zone, portal.domain, 0)


@contextmanager
def worker(environment: dict[str, str]) -> Iterator[psutil.Process]:
    """A worker process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "b24", "worker"], cwd=ROOT, env=os.environ | environment
    ) as running:
        yield psutil.Process(running.pid)
        running.terminate()
        running.wait(90)
