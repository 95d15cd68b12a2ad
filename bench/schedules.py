"""Runs set for a time: ten thousand of them pending cost nothing, each starts in time, and a crowd of one minute is fair.

A real worker process against a real PostgreSQL and 200 stand-in portals. Promises: due to start at most 2 s; an idle
worker at most 2 % of a core; 1,000 runs of 200 portals due at one moment all done, no portal kept waiting for another's.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

import psutil
from alembic import command
from sqlalchemy import select

from b24app import config as settings
from b24app.moments import Moment
from b24app.runs import Order
from b24app.services import Services, build
from b24app.store import embedded
from b24app.store.models import Portal, Run, User
from b24app.store.schema import alembic_config
from b24app.terms import Action, Actor, Kind, RunState, UserRef
from sandbox import PortalHandle, StandIn

PORTALS, PENDING, CROWD, SINGLE = 200, 10_000, 1_000, 20
IDLE_SECONDS, SETTLE_SECONDS, LEAD_SECONDS, PATIENCE_SECONDS = 20, 8, 12, 240
ROOT = Path(__file__).parents[1]


def main() -> int:
    """Print the figures; 1 when a promise is broken."""
    with tempfile.TemporaryDirectory(prefix="sundown-bench-", dir="/var/tmp") as folder:
        with embedded.start(Path(folder) / "postgres") as server, StandIn.start(portals=PORTALS) as standin:
            return measure(server.url, standin)


def measure(url: str, standin: StandIn) -> int:
    environment = surroundings(url, standin)
    services = prepared(url, standin, environment)
    actors = [moved_in(services, portal) for portal in standin.portals]
    lids = {actor.member_id: sorted(portal.state.pages) for actor, portal in zip(actors, standin.portals, strict=True)}
    began = time.perf_counter()
    far = datetime.now(UTC) + timedelta(days=90)
    for number in range(PENDING):
        actor = actors[number % PORTALS]
        plan(services, actor, lids[actor.member_id][0], far + timedelta(minutes=number))
    print(f"  {PENDING} runs planned in {time.perf_counter() - began:.0f} s, {PORTALS} portals")
    with worker(environment) as process:
        time.sleep(SETTLE_SECONDS)
        share = idle_share(process)
        single = punctuality(services, actors, lids)
        crowd = rush(services, actors, lids)
    services.close()
    return report(share, single, crowd)


def surroundings(url: str, standin: StandIn) -> dict[str, str]:
    """The environment of the worker."""
    return {
        "B24_CLIENT_ID": standin.client_id, "B24_CLIENT_SECRET": standin.client_secret,
        "B24_OAUTH_URL": ",".join(standin.world.servers), "APP_URL": "http://127.0.0.1:8100", "DATABASE_URL": url,
        "SECRET_KEY": "k" * 48, "TOKEN_KEYS": base64.urlsafe_b64encode(b"v" * 32).decode(),
        "B24_ALLOW_INSECURE_PORTALS": "1", "LOG_LEVEL": "WARNING",
    }  # fmt: skip


def prepared(url: str, standin: StandIn, environment: dict[str, str]) -> Services:
    alembic = alembic_config()
    alembic.attributes["url"] = url
    command.upgrade(alembic, "head")
    values: dict[str, Any] = {name.lower(): value for name, value in environment.items()}
    return build(settings.Config(**values))


def moved_in(services: Services, portal: PortalHandle) -> Actor:
    """The app installed on a portal, with its editor's tokens known: what an install and an open leave behind."""
    portal.open("admin", install=True)
    portal.finish_install()
    user, pair = portal.user("editor"), portal.tokens("editor")
    now = datetime.now(UTC)
    with services.store.begin() as db:
        db.add(Portal(
            member_id=portal.member_id, domain=portal.domain, client_endpoint=portal.endpoint,
            oauth_server=portal.standin.oauth, scope="landing", status="L", app_version=1, installed_at=now,
        ))  # fmt: skip
        db.flush()
        db.add(User(member_id=portal.member_id, user_id=user.id, name=user.full_name, zone="Europe/Berlin"))
        db.flush()
        services.tokens.remember(
            db, UserRef(portal.member_id, user.id), str(pair["access_token"]), str(pair["refresh_token"]),
            now + timedelta(seconds=int(str(pair["expires_in"]))),
        )  # fmt: skip
    return Actor(portal.member_id, user.id, user.full_name, "en", "light", "Europe/Berlin", portal.domain, 0)


def plan(services: Services, actor: Actor, lid: int, at: datetime) -> UUID:
    order = Order(Action.UNPUBLISH, Kind.PAGE, (lid,), Moment(at))
    return services.runs.plan(actor, order, {})[0]


@contextmanager
def worker(environment: dict[str, str]) -> Iterator[psutil.Process]:
    """A worker process of its own."""
    with subprocess.Popen(
        [sys.executable, "-m", "flask", "--app", "app", "b24", "worker"], cwd=ROOT, env=os.environ | environment
    ) as running:
        yield psutil.Process(running.pid)
        running.terminate()
        running.wait(90)


def idle_share(process: psutil.Process) -> float:
    """Percent of one core that a worker with nothing due uses."""

    def used() -> float:
        times = process.cpu_times()
        return float(times.user + times.system)

    before, began = used(), time.perf_counter()
    time.sleep(IDLE_SECONDS)
    return (used() - before) / (time.perf_counter() - began) * 100


def punctuality(services: Services, actors: list[Actor], lids: dict[str, list[int]]) -> list[float]:
    """Seconds between the set time and the start, for single runs at odd moments among the pending ones."""
    first = datetime.now(UTC) + timedelta(seconds=3)
    runs = [
        plan(services, actor, lids[actor.member_id][1], first + timedelta(seconds=0.73 * number))
        for number, actor in enumerate(actors[:SINGLE])
    ]
    return [late for late, _ in delays(services, runs).values()]


def rush(services: Services, actors: list[Actor], lids: dict[str, list[int]]) -> dict[str, list[tuple[float, float]]]:
    """For each portal (seconds to the start, seconds to the end) of its runs, all due at one moment."""
    moment = datetime.now(UTC) + timedelta(seconds=LEAD_SECONDS)
    owner: dict[UUID, str] = {}
    for number in range(CROWD):
        actor = actors[number // (CROWD // PORTALS)]  # one portal's runs one after the other: the unkind order
        owner[plan(services, actor, lids[actor.member_id][2 + number % 5], moment)] = actor.member_id
    if datetime.now(UTC) > moment:
        print("  the crowd was not planned before its time; the delays count the planning")
    of_portal: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for run_id, spans in delays(services, list(owner)).items():
        of_portal[owner[run_id]].append(spans)
    return of_portal


def delays(services: Services, runs: list[UUID]) -> dict[UUID, tuple[float, float]]:
    """Wait until all have ended; for each the seconds from its time to its start and to its end."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with services.store.begin() as db:
            rows = list(db.scalars(select(Run).where(Run.id.in_(runs))))
        if all(row.state.is_final for row in rows) or time.monotonic() > deadline:
            break
        time.sleep(0.5)
    return {
        row.id: ((row.started_at - row.at).total_seconds(), (row.finished_at - row.at).total_seconds())
        for row in rows
        if row.state is RunState.SUCCEEDED and row.at and row.started_at and row.finished_at
    }


def report(share: float, single: list[float], crowd: dict[str, list[tuple[float, float]]]) -> int:
    ends = sorted(end for spans in crowd.values() for _, end in spans)
    firsts = sorted(min(end for _, end in spans) for spans in crowd.values())
    print(f"  idle worker, {PENDING} pending     {share:5.2f} % of a core")
    print(
        f"  {len(single)} single runs started after   {median(single):5.2f} s at the median, {max(single):.2f} s at most"
    )
    if ends:
        print(
            f"  {len(ends)} runs of {len(crowd)} portals due at once: ended after {median(ends):.1f} s at the median, {ends[-1]:.1f} s at most"
        )
        print(f"  a portal's first run ended after {median(firsts):.1f} s at the median, {firsts[-1]:.1f} s at most")
    promises = {
        "an idle worker uses at most 2 % of a core": share <= 2,
        "a due run starts within 2 s": len(single) == SINGLE and max(single) <= 2,
        "every run of the crowd was done": len(ends) == CROWD,
        "no portal waits for all of another's runs": bool(firsts) and firsts[-1] <= ends[-1],
    }
    for words, kept in promises.items():
        print(f"  {'kept  ' if kept else 'BROKEN'} {words}")
    return 0 if all(promises.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
