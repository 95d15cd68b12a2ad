"""A removal against everything else, from two processes and two workers: nothing deadlocks, nobody's data stays.

For HAMMER_SECONDS (60, or `--seconds`) people of one portal open the app, order, schedule, look, cancel, retry and undo
in two processes, each with its own pool and every statement slowed down a little so that they meet; both look ahead and
remove the app, with its data and without, again and again; two workers carry out what is ordered, and forget. At the
end nobody got a 5xx, nothing failed that was not told in words, the database's log holds no deadlock, and after a last
removal no row is left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from functools import partial
from typing import Any

import psycopg
from flask import Flask
from sqlalchemy import event
from werkzeug.test import TestResponse

from b24app import log
from b24app.factory import create_app
from b24app.services import Services, build
from bench._stage import Portals, server, session_of, standin
from tests.conftest import make_config
from tests.databases import migrate
from tests.processes import Process, Worker, wait_until

PARTS, PAGES = 2, 200
SLOWEST_SECONDS = 0.004  # a statement waits so long at most before it is sent
REMOVE_SECONDS, LOOK_SECONDS = 8.0, 0.2
GONE_SECONDS = 60.0
TABLES = "select table_name from information_schema.columns where table_schema = 'public' and column_name = 'member_id'"
DONE = "part done "
OVERTAKEN = "portal_changed"  # what an open is told, honestly, that three removals in a row met


class Part:
    """What one of the processes does, and what became of it."""

    def __init__(self, services: Services, portals: Portals, lids: list[int], seconds: float) -> None:
        self._services, self._portals, self._lids = services, portals, lids
        self._app: Flask = create_app(services)
        self._member: str = portals.said["portals"][0]["member_id"]
        self._until = time.monotonic() + seconds
        self.answers: Counter[int] = Counter()
        self.failures: list[str] = []
        self.removals = self.overtaken = 0

    def run(self) -> None:
        """Everything at once until the time is over."""
        works: list[Callable[[], None]] = [
            *(partial(self._person, user) for user in ("admin", "editor", "editor", "reader")),
            partial(self._again, self._services.preflight.check_upcoming, LOOK_SECONDS),
            partial(self._again, self._remove, REMOVE_SECONDS),
        ]
        with ThreadPoolExecutor(len(works)) as threads:
            for done in [threads.submit(work) for work in works]:
                done.result()

    def _again(self, work: Callable[[], object], pause: float) -> None:
        while time.monotonic() < self._until:
            time.sleep(random.uniform(0.5, 1.5) * pause)
            try:
                work()
            except Exception as error:  # whatever it is, it is what we look for
                self.failures.append(f"{work}: {error!r}"[:300])

    def _remove(self) -> None:
        self.removals += self._services.removal.remove(self._member, erase=random.random() < 0.5)

    def _person(self, user: str) -> None:
        client = self._app.test_client(use_cookies=False)
        runs: list[str] = []
        headers: dict[str, str] = {}

        def ask(method: str, path: str, **sent: Any) -> TestResponse:
            answer = client.open(path, method=method, headers=headers, **sent)
            self.answers[answer.status_code] += 1
            if answer.status_code >= 500 and OVERTAKEN in answer.text:
                self.overtaken += 1
            elif answer.status_code >= 500:
                words = " ".join(re.sub(r"<[^>]*>", " ", answer.text).split())
                self.failures.append(f"{user}: {method} {path.partition('?')[0]}: {answer.status_code} {words[:200]}")
            return answer

        def act() -> TestResponse:
            what, one = random.random(), random.choice(runs) if runs else ""
            if one and what < 0.5:
                verb = random.choice(("undo", "retry", "cancel", "takeover", "look"))
                return ask("GET", f"/runs/{one}") if verb == "look" else ask("POST", f"/runs/{one}/{verb}", json={})
            order: dict[str, Any] = {"action": random.choice(("unpublish", "publish"))}
            order["lids"] = random.sample(self._lids, random.choice((1, 2, 5)))
            if what > 0.8:
                begins = self._services.clock() + timedelta(days=random.randrange(2, 20))
                order |= {"action": "unpublish", "at": begins.isoformat()}
                order |= {"until": (begins + timedelta(days=1)).isoformat()} if what > 0.9 else {}
            answer = ask("POST", "/runs", json=order)
            if answer.status_code == 201 and answer.json:
                runs[:] = [*runs[-9:], answer.json["id"]]
            return answer

        while time.monotonic() < self._until:
            try:
                if not headers or act().status_code in (401, 403, 410) or random.random() < 0.1:
                    headers.clear()
                    path, form = self._portals.frame(user)
                    token = session_of(ask("POST", path, data=form).text)
                    headers.update({"Authorization": f"Bearer {token}", "Accept": "application/json"} if token else {})
            except Exception as error:  # as above
                self.failures.append(f"{user}: {error!r}"[:300])


def part(seconds: float) -> int:
    """One of the two processes; what it saw is its last line."""
    told = json.loads(os.environ["HAMMER_PORTALS"])
    config = make_config({name: os.environ[name] for name in told["settings"]})
    log.setup(config)
    services = build(config, web_threads=24)
    event.listen(
        services.store.engine, "before_cursor_execute", lambda *_: time.sleep(random.random() * SLOWEST_SECONDS)
    )
    mine = Part(services, Portals(told["said"]), told["lids"], seconds)
    mine.run()
    services.close()
    seen = {"answers": mine.answers, "failures": mine.failures[:20], "failed": len(mine.failures)}
    print(DONE + json.dumps(seen | {"removals": mine.removals, "overtaken": mine.overtaken}), flush=True)
    return 0


def hammer(portals: Portals, database: str, seconds: float, stack: ExitStack) -> list[dict[str, Any]]:
    """Let the parts and the workers meet; what each part saw."""
    settings = portals.settings(database, LOG_LEVEL="ERROR")
    lids = portals.order("/pages", 0, n=PAGES)
    portals.order("/install", 0)
    portals.order("/finish", 0)
    told = json.dumps({"said": portals.said, "lids": lids, "settings": list(settings)})
    workers = [stack.enter_context(Worker(settings)) for _ in range(PARTS)]
    command = ("-m", "bench.hammer", "--part", "--seconds", str(seconds))
    parts = [stack.enter_context(Process(settings | {"HAMMER_PORTALS": told}, *command)) for _ in range(PARTS)]
    for each in parts:
        each.wait(seconds + 180)
        if DONE not in each.said():
            raise SystemExit(f"bench: a part ended by itself: {each.said()[-3000:]}")
    if any(each.poll() is not None for each in workers):
        raise SystemExit(f"bench: a worker ended by itself: {workers[0].said()[-2000:]} {workers[1].said()[-2000:]}")
    return [json.loads(each.said().rpartition(DONE)[2]) for each in parts]


def what_is_left(database: str, member: str) -> dict[str, int]:
    """Rows of the portal, by table."""
    with psycopg.connect(database) as db:
        tables = [row[0] for row in db.execute(TABLES)]
        found = {
            table: db.execute(f"select count(*) from {table} where member_id = %s".encode(), (member,)).fetchone()
            for table in tables
        }
    return {table: row[0] for table, row in found.items() if row is not None and row[0]}


def is_gone(database: str, member: str) -> bool:
    return not what_is_left(database, member)


def main() -> int:
    """Print what was seen; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="bench.hammer", description=__doc__)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("HAMMER_SECONDS", "60")))
    parser.add_argument("--part", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.part:
        return part(asked.seconds)
    with ExitStack() as stack:
        postgres = stack.enter_context(server())
        migrate(postgres.url)
        portals = stack.enter_context(standin(1))
        member: str = portals.said["portals"][0]["member_id"]
        seen = hammer(portals, postgres.url, asked.seconds, stack)
        config = make_config(portals.settings(postgres.url, LOG_LEVEL="ERROR"))
        log.setup(config)
        services = build(config)
        path, form = portals.frame("admin")  # so that there is something to remove, whatever the parts did last
        create_app(services).test_client(use_cookies=False).post(path, data=form)
        left = {} if services.removal.remove(member, erase=True) else {"removals that did not happen": 1}
        try:
            wait_until(partial(is_gone, postgres.url, member), GONE_SECONDS)
        except AssertionError:
            left = what_is_left(postgres.url, member)
        services.close()
        told = (postgres.folder / "log").read_text(errors="replace")
    return verdict(seen, left, told)


def verdict(seen: list[dict[str, Any]], left: dict[str, int], told: str) -> int:
    """Print it; 1 when a promise was broken."""
    answers: Counter[str] = Counter()
    for each in seen:
        answers.update(each["answers"])
    statuses = ", ".join(f"{number:,} x {status}" for status, number in sorted(answers.items()))
    print(f"  {answers.total():,} clicks ({statuses}) and {sum(each['removals'] for each in seen):,} removals")
    deadlocks = told.count("deadlock detected")
    promises = {
        "nobody got a 5xx and nothing failed": [line for each in seen for line in each["failures"]],
        "no deadlock in the database's log": [told[told.index("deadlock detected") :][:2000]] if deadlocks else [],
        "nothing is left after the last removal": [f"{table}: {rows}" for table, rows in left.items()],
        "the app was removed and opened again": [] if all(each["removals"] > 2 for each in seen) else ["hardly ever"],
    }
    for words, broken in promises.items():
        print(f"  {'BROKEN' if broken else 'kept  '} {words}")
        for line in broken[:5]:
            print(f"           {line}")
    overtaken = sum(each["overtaken"] for each in seen)
    print(
        f"  {deadlocks} deadlocks, {sum(each['failed'] for each in seen)} failures, {overtaken} opens overtaken in vain"
    )
    return 1 if any(promises.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
