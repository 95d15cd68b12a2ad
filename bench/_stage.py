"""What measurements stand on: a real PostgreSQL, stand-in portals, people who have the app open, a worker process."""

from __future__ import annotations

import base64
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
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


@contextmanager
def database() -> Iterator[str]:
    """An empty PostgreSQL of its own, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="sundown-bench-") as folder:
        place = Path(folder) / "postgres"
        with embedded.start(place) as server:
            yield server.url
        embedded.remove(place)


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
