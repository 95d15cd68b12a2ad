"""A long time under faults: orders without end, portals that misbehave, workers killed; nothing is lost or doubled.

SOAK_MINUTES says how long (10). Two workers serve five portals; every few seconds something goes wrong with a portal,
tokens expire, and one worker is killed and started anew. At the end the faults stop, everybody opens the app, and:
every run has ended, no page is left in flight, and what is written as done was seen to be so.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import psutil
from flask.testing import FlaskClient
from sqlalchemy import func, select

from b24app.domain import OPEN_STATES, Action, Actor, ItemState, Kind
from b24app.errors import PortalError
from b24app.factory import create_app
from b24app.runs.orders import Order
from b24app.services import Services
from b24app.store.models import Run, RunItem
from b24sandbox import StandIn
from bench._stage import ROOT, database, moved_in, prepared, surroundings

PORTALS, PAGES, WORKERS = 5, 120, 2
ORDER_SECONDS, FAULT_SECONDS, KILL_SECONDS = 1.0, 3.0, 20.0
SETTLE_SECONDS = 240
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "html", "status": 502}, {"kind": "html", "status": 504}, {"kind": "bad_json"}, {"kind": "empty"},
    {"kind": "reset_before"}, {"kind": "reset_after"}, {"kind": "latency", "seconds": 2.0},
    {"kind": "drip", "seconds": 2.0}, {"kind": "error", "code": "QUERY_LIMIT_EXCEEDED", "status": 503},
    {"kind": "error", "code": "INTERNAL_SERVER_ERROR", "status": 500},
)  # fmt: skip


class Workers:
    """Worker processes that are killed and started anew."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.living = [self._start() for _ in range(WORKERS)]
        self.kills = 0

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "flask", "--app", "app", "b24", "worker"]
        return subprocess.Popen(command, cwd=ROOT, env=os.environ | self._environment, stderr=subprocess.DEVNULL)

    def kill_one(self) -> None:
        """Kill -9, and a new one in its place."""
        victim = random.randrange(WORKERS)
        self.living[victim].kill()
        self.living[victim].wait()
        self.living[victim] = self._start()
        self.kills += 1

    def memory(self) -> int:
        """Bytes of the largest."""
        return max(int(psutil.Process(each.pid).memory_info().rss) for each in self.living)

    def stop(self) -> None:
        """Ask all to end, and wait."""
        for each in self.living:
            each.terminate()
        for each in self.living:
            each.wait(90)


def main() -> int:
    """Print what was done and what became of it; 1 when something was lost or doubled."""
    minutes = float(os.environ.get("SOAK_MINUTES", "10"))
    with StandIn.start(portals=PORTALS) as standin, database() as url:
        environment = surroundings(url, standin) | {"LOG_LEVEL": "ERROR"}
        services = prepared(url, environment)
        client = create_app(services).test_client(use_cookies=False)
        actors = [moved_in(client, services, portal) for portal in standin.portals]
        lids = [portal.add_pages(PAGES) for portal in standin.portals]
        workers = Workers(environment)
        try:
            runs = storm(services, standin, actors, lids, workers, minutes * 60)
            standin.clear_faults()
            settled = settle(client, services, standin)
        finally:
            workers.stop()
        wrong = verdict(services, standin, workers, len(runs), settled)
        services.close()
    return 1 if wrong else 0


def storm(
    services: Services, standin: StandIn, actors: list[Actor], lids: list[list[int]], workers: Workers, seconds: float
) -> list[UUID]:
    """Order, disturb and kill until the time is over."""
    runs: list[UUID] = []
    end = time.monotonic() + seconds
    fault_at = kill_at = time.monotonic() + KILL_SECONDS
    while time.monotonic() < end:
        which = random.randrange(PORTALS)
        pages = tuple(random.sample(lids[which], random.choice((1, 2, 10, 40))))
        order = Order(random.choice((Action.UNPUBLISH, Action.PUBLISH)), Kind.PAGE, pages)
        with suppress(PortalError):  # refused in words the person would see: a list that cannot be read, one page now
            runs.append(services.orders.place(actors[which], order)[0])
        if time.monotonic() > fault_at:
            standin.fault(
                random.randrange(PORTALS), method="batch", times=random.randint(1, 2), **random.choice(FAULTS)
            )
            if random.random() < 0.1:
                standin.portals[random.randrange(PORTALS)].expire()
            fault_at = time.monotonic() + FAULT_SECONDS
        if time.monotonic() > kill_at:
            workers.kill_one()
            kill_at = time.monotonic() + KILL_SECONDS
        time.sleep(ORDER_SECONDS)
    return runs


def settle(client: FlaskClient, services: Services, standin: StandIn) -> float:
    """Everybody opens the app, and the workers end what is open; seconds it took."""
    began = time.monotonic()
    while time.monotonic() - began < SETTLE_SECONDS:
        for portal in standin.portals:
            url, form = portal.open("editor")
            parts = urlsplit(url)
            client.post(f"{parts.path}?{parts.query}", data=form)
        with services.store.begin() as db:
            left = db.scalar(select(func.count()).select_from(Run).where(Run.state.in_(OPEN_STATES)))
        if not left:
            break
        time.sleep(2)
    return time.monotonic() - began


def verdict(services: Services, standin: StandIn, workers: Workers, ordered: int, settled: float) -> int:
    """Print it; how many things are wrong."""
    with services.store.begin() as db:
        states = Counter(db.scalars(select(Run.state)))
        items = Counter(db.scalars(select(RunItem.state)))
        done = db.execute(
            select(Run.action, RunItem.after).join(RunItem).where(RunItem.state == ItemState.SUCCEEDED)
        ).all()
    untrue = sum(after is not None and after["active"] != (action is Action.PUBLISH) for action, after in done)
    struck = sum(call.fault is not None for call in standin.calls())
    print(f"  {ordered} runs, {sum(items.values())} pages, {struck} calls spoilt, {workers.kills} workers killed")
    print(f"  runs: {counted(states)}; pages: {counted(items)}; settled in {settled:.0f} s")
    promises = {
        "every run has ended": not any(states[state] for state in OPEN_STATES),
        "no page is left in flight": not items[ItemState.PENDING] and not items[ItemState.RUNNING],
        "what is written as done was seen to be so": untrue == 0,
    }
    for words, kept in promises.items():
        print(f"  {'kept  ' if kept else 'BROKEN'} {words}")
    return sum(not kept for kept in promises.values())


def counted(states: Counter[Any]) -> str:
    return ", ".join(f"{number} {state.value}" for state, number in states.most_common())


if __name__ == "__main__":
    sys.exit(main())
