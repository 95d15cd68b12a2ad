"""A long time under faults: portals that misbehave beside portals that are well, orders without end, a worker killed.

`--minutes` (or SOAK_MINUTES) says how long: 10. One gunicorn process and two workers serve twenty portals of one
stand-in process, all through HTTP. Three hang; two lie, with answers of wrong shapes and codes; from one the app is
removed, with its data and without in turns, and put on again, every minute; one is flooded with forged posts from three
networks; with two something goes wrong now and then. In the rest, and in the flooded one, nobody may notice. One worker
is killed again and again, and tokens expire.

At the end the faults stop, everybody opens the app, and: nobody else got a 5xx, the database counted no deadlock,
removals left nobody's data, memory stayed flat, every run has ended, and what is written as done was seen to be so.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle
from statistics import median
from typing import Any

import psutil
import psycopg
import requests

from b24app.runs.executor import WAITS
from bench._stage import Portals, server, session_of, standin
from tests.databases import migrate
from tests.ports import free_port
from tests.processes import Web, Worker

PORTALS, PAGES, THREADS = 20, 120, 24
HANGING, LYING, REMOVED, FLOODED, UNWELL = range(3), range(3, 5), 5, 6, range(7, 9)
WELL = (FLOODED, *range(9, PORTALS))
HARMED = {*HANGING, *LYING, *UNWELL}  # where a 5xx is the honest answer
CLICK_SECONDS, FAULT_SECONDS, KILL_SECONDS, EXPIRE_SECONDS = 2.0, 3.0, 30.0, 10.0
REMOVE_SECONDS, SHORT_SECONDS = 60.0, 20.0  # between two removals; where the whole takes less than five minutes
FLOOD_PAUSE, FLOODERS = 0.1, 3
GONE_SECONDS, SAMPLE_SECONDS, WARM_SECONDS = 60.0, 2.0, 20.0
SETTLE_SECONDS = 1.25 * WAITS[-1] + 60  # a run that met trouble again and again rests so long before it goes on
MOST_GROWTH = 1.1  # of memory: the last third of the time to the first
PASSING: tuple[dict[str, Any], ...] = (
    {"kind": "html", "status": 502}, {"kind": "html", "status": 504}, {"kind": "bad_json"}, {"kind": "empty"},
    {"kind": "reset_before"}, {"kind": "reset_after"}, {"kind": "latency", "seconds": 2.0},
    {"kind": "drip", "seconds": 2.0}, {"kind": "error", "code": "QUERY_LIMIT_EXCEEDED", "status": 503},
    {"kind": "error", "code": "INTERNAL_SERVER_ERROR", "status": 500},
)  # fmt: skip
LIES: tuple[dict[str, Any], ...] = (
    {"kind": "html", "status": 200}, {"kind": "html", "status": 404}, {"kind": "bad_json"}, {"kind": "empty"},
    {"kind": "missing_field"}, {"kind": "wrong_field", "value": [[[]]]}, {"kind": "wrong_field", "value": "yes"},
    {"kind": "wrong_field", "value": {"result": {"sites": 7}}}, {"kind": "wrong_field", "value": -1},
    {"kind": "error", "code": "NOT_INSTALLED", "status": 401}, {"kind": "error", "code": "OVERLOAD_LIMIT"},
    {"kind": "error", "code": "PAYMENT_REQUIRED", "status": 402}, {"kind": "error", "code": "PORTAL_DELETED"},
    {"kind": "error", "code": "expired_token", "status": 401}, {"kind": "error", "code": "NO_SUCH_CODE", "status": 418},
    {"kind": "redirect", "location": "http://198.51.100.9/"},
)  # fmt: skip
OF_PEOPLE = ("users", "user_tokens", "system_tokens", "proofs", "api_calls")
OF_RUNS = """
    select count(*) from runs where member_id = %(member)s and (created_by <> 0 or acting_as <> 0 or created_name <> ''
    or acting_name <> '' or idempotency_key is not null or cancelled_by is not null)"""
OF_ITEMS = """
    select count(*) from run_items join runs on runs.id = run_id where runs.member_id = %(member)s
    and (before ? 'modified_by' or after ? 'modified_by' or expected ? 'modified_by')"""


@dataclass
class Findings:
    """What was seen, by all threads."""

    answers: Counter[tuple[int, int]] = field(default_factory=Counter)  # by portal and status
    harm: list[str] = field(default_factory=list)  # a 5xx where nobody should notice anything
    unhealthy: list[str] = field(default_factory=list)
    slowest_health: float = 0.0
    removals: list[float] = field(default_factory=list)  # seconds until nothing was left
    left_behind: list[str] = field(default_factory=list)
    forged: Counter[int] = field(default_factory=Counter)
    memory: dict[str, list[int]] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)  # a thread of ours that ended by itself
    kills: int = 0

    def note(self, portal: int, answer: requests.Response) -> None:
        """One answer to a person of this portal."""
        self.answers[portal, answer.status_code] += 1
        if answer.status_code >= 500 and portal not in HARMED:
            asked = f"{answer.request.method} {answer.request.path_url.partition('?')[0]}"
            self.harm.append(f"portal {portal}: {asked} answered {answer.status_code} {answer.text[:200]}")


@dataclass
class Stage:
    """Where it all happens."""

    web: Web
    portals: Portals
    database: str
    done: threading.Event
    found: Findings

    def member(self, portal: int) -> str:
        """A portal's member_id."""
        member: str = self.portals.said["portals"][portal]["member_id"]
        return member


class Visitor:
    """A person with the app open in a browser of their own."""

    def __init__(self, stage: Stage, portal: int, user: str, lids: list[int]) -> None:
        self._stage, self._portal, self._user, self._lids = stage, portal, user, lids
        self._session = requests.Session()
        self._session.headers["X-Forwarded-For"] = f"203.0.113.{portal + 1}"
        self._runs: list[str] = []

    def open(self, *, install: bool = False) -> int:
        """Open the app, as the portal's menu does: the status; 404 where the portal has no such app."""
        try:
            path, form = self._stage.portals.frame(self._user, self._portal, install=install)
        except requests.HTTPError:
            return 404  # the app is removed: the portal has nothing to open
        answer = self._session.post(f"{self._stage.web.url}{path}", data=form, timeout=60)
        self._stage.found.note(self._portal, answer)
        self._session.headers.update(
            {"Authorization": f"Bearer {session_of(answer.text)}", "Accept": "application/json"}
        )
        return answer.status_code

    def click(self) -> None:
        """One thing that people do."""
        what = random.random()
        if what < 0.4:
            answer = self._ask("GET", "/pages?fresh=1")
        elif what < 0.55:
            answer = self._ask("GET", "/pages?q=page")
        elif what < 0.65 and self._runs:
            answer = self._ask("GET", f"/runs/{random.choice(self._runs)}")
        elif what < 0.75:
            answer = self._ask("GET", "/runs")
        elif what < 0.85:
            answer = self._ask("GET", "/news")
        else:
            answer = self.order()
        if answer.status_code == 401:
            self.open()
        elif answer.status_code in (429, 503):
            self._stage.done.wait(min(5.0, float(answer.headers.get("Retry-After", "1"))))

    def order(self) -> requests.Response:
        """Unpublish or publish some pages; of a run that has ended, now and then, undo it."""
        if self._runs and random.random() < 0.2:
            return self._ask("POST", f"/runs/{random.choice(self._runs)}/undo")
        pages = random.sample(self._lids, random.choice((1, 2, 10, 40)))
        order = {"action": random.choice(("unpublish", "publish")), "lids": pages}
        answer = self._ask("POST", "/runs", json=order)
        if answer.status_code == 201:
            self._runs = [*self._runs[-9:], answer.json()["id"]]
        return answer

    def _ask(self, method: str, path: str, **sent: Any) -> requests.Response:
        answer = self._session.request(method, f"{self._stage.web.url}{path}", timeout=90, **sent)
        self._stage.found.note(self._portal, answer)
        return answer


def moved_in(stage: Stage, portal: int) -> Visitor:
    """An administrator installs the app; its editor has it open."""
    lids = stage.portals.order("/pages", portal, n=PAGES)
    put_on(stage, portal)
    editor = Visitor(stage, portal, "editor", lids)
    editor.open()
    return editor


def put_on(stage: Stage, portal: int) -> None:
    """Install the app as the portal and its administrator do."""
    Visitor(stage, portal, "admin", []).open(install=True)
    stage.portals.order("/finish", portal)


# --- what goes on meanwhile -------------------------------------------------------------------------------------------


def visit(stage: Stage, visitor: Visitor) -> None:
    """Click, and click again."""
    while not stage.done.wait(random.uniform(0.5, 1.5) * CLICK_SECONDS):
        visitor.click()


def trouble(stage: Stage) -> None:
    """Something else goes wrong all the time: lies, passing faults, tokens that have run out."""
    expire_at = time.monotonic() + EXPIRE_SECONDS
    lies: list[int] = []
    while not stage.done.wait(FAULT_SECONDS):
        for lie in lies:
            stage.portals.steer("/faults/clear", id=lie)
        lies = [
            stage.portals.order("/fault", liar, method="*", times=-1, **random.choice(LIES))["id"] for liar in LYING
        ]
        unwell = random.choice(UNWELL)
        fault = random.choice(PASSING)
        stage.portals.order("/fault", unwell, method="batch", times=random.randint(1, 2), **fault)
        if time.monotonic() > expire_at:
            stage.portals.order("/expire", random.choice((*WELL, *UNWELL)))
            expire_at += EXPIRE_SECONDS


def remove_and_put_on(stage: Stage, pause: float) -> None:
    """The app is removed, nothing may be left of its people, it is put on again; they click meanwhile."""
    for clean in cycle((False, True)):
        if stage.done.wait(pause):
            return
        began = time.monotonic()
        stage.portals.order("/uninstall", REMOVED, clean=clean)
        while left := what_is_left(stage, erased=clean):
            if time.monotonic() > began + GONE_SECONDS:
                stage.found.left_behind.append(f"after {GONE_SECONDS:.0f} s, clean={clean}: {left}")
                break
            time.sleep(0.2)
        stage.found.removals.append(time.monotonic() - began)
        time.sleep(3)  # what was under way has come to its end
        if left := what_is_left(stage, erased=clean):
            stage.found.left_behind.append(f"written after a removal, clean={clean}: {left}")
        put_on(stage, REMOVED)


def what_is_left(stage: Stage, *, erased: bool) -> dict[str, int]:
    """Rows that name a person of the portal that was removed; all of its rows where it went with its data."""
    tables = (*OF_PEOPLE, "runs", "portals", "inbox_events") if erased else OF_PEOPLE
    asked = {table: f"select count(*) from {table} where member_id = %(member)s" for table in tables}
    asked |= {} if erased else {"names in runs": OF_RUNS, "ids in items": OF_ITEMS}
    with psycopg.connect(stage.database) as db:
        found = {
            what: db.execute(query.encode(), {"member": stage.member(REMOVED)}).fetchone()
            for what, query in asked.items()
        }
    return {what: row[0] for what, row in found.items() if row is not None and row[0]}


def flood(stage: Stage, network: int) -> None:
    """Forged posts to every door, from one network."""
    session = requests.Session()
    domain = stage.portals.said["portals"][FLOODED]["domain"]
    while not stage.done.wait(FLOOD_PAUSE):
        session.headers["X-Forwarded-For"] = f"198.51.{network}.{random.randrange(1, 255)}"
        junk, member = f"{random.getrandbits(256):064x}", random.choice((stage.member(FLOODED), "f" * 32))
        frame = {
            "AUTH_ID": junk, "REFRESH_ID": junk, "AUTH_EXPIRES": "3600", "member_id": member, "status": "L",
            "LANG": junk[:5], "APPLICATION_TOKEN": junk[:32],
        }  # fmt: skip
        event = {
            "event": "ONAPPUNINSTALL", "data[CLEAN]": "1", "ts": f"{time.time():.0f}", "auth[member_id]": member,
            "auth[application_token]": junk[:32], "auth[access_token]": junk,
        }  # fmt: skip
        path, form = random.choice((("/app", frame), ("/install", frame), ("/events", event)))
        query = f"?DOMAIN={domain}&PROTOCOL=0&LANG={junk[:5]}&APP_SID={junk[:32]}"
        answer = session.post(f"{stage.web.url}{path}{query}", data=form, timeout=60)
        stage.found.forged[answer.status_code] += 1


def ask_health(stage: Stage) -> None:
    """As the operator's platform does."""
    session = requests.Session()
    while not stage.done.wait(0.5):
        for path in ("/healthz", "/readyz", "/metrics"):
            began = time.monotonic()
            answer = session.get(f"{stage.web.url}{path}", timeout=60)
            stage.found.slowest_health = max(stage.found.slowest_health, time.monotonic() - began)
            if answer.status_code != 200:
                stage.found.unhealthy.append(f"{path} answered {answer.status_code}")


def kill_again(stage: Stage, start: Callable[[], Worker]) -> None:
    """Kill -9 for one of the two workers, and a new one in its place."""
    worker = start()
    while not stage.done.wait(KILL_SECONDS):
        worker.send(signal.SIGKILL)
        worker.wait()
        worker = start()
        stage.found.kills += 1


def measure(stage: Stage, processes: dict[str, psutil.Process]) -> None:
    """How much memory the web process and the worker that lives on hold."""
    stage.done.wait(WARM_SECONDS)
    while not stage.done.wait(SAMPLE_SECONDS):
        for name, process in processes.items():
            stage.found.memory.setdefault(name, []).append(process.memory_info().rss)


# --- the whole --------------------------------------------------------------------------------------------------------


def storm(stage: Stage, minutes: float, start_worker: Callable[[], Worker]) -> list[Visitor]:
    """Let all of it happen at once, for so long; who was there."""
    visitors = [moved_in(stage, portal) for portal in range(PORTALS)]
    (gunicorn,) = psutil.Process(stage.web.pid).children()
    processes = {"web": gunicorn, "worker": psutil.Process(start_worker().pid)}
    for portal in HANGING:
        stage.portals.order("/fault", portal, method="*", times=-1, kind="hang", seconds=60)
    pause = REMOVE_SECONDS if minutes >= 5 else SHORT_SECONDS
    works: list[Callable[[], None]] = [
        *(partial(visit, stage, visitor) for visitor in visitors),
        *(partial(flood, stage, network) for network in range(FLOODERS)),
        partial(trouble, stage),
        partial(remove_and_put_on, stage, pause),
        partial(ask_health, stage),
        partial(kill_again, stage, start_worker),
        partial(measure, stage, processes),
    ]

    def watched(work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as error:  # a thread that ends unseen would make the verdict a lie
            stage.found.broken.append(f"{work}: {error!r}")

    threads = [threading.Thread(target=watched, args=(work,), daemon=True) for work in works]
    for thread in threads:
        thread.start()
    time.sleep(minutes * 60)
    stage.done.set()
    for thread in threads:
        thread.join(GONE_SECONDS + 90)
    return visitors


def settle(stage: Stage, visitors: list[Visitor]) -> float:
    """The faults are over, everybody opens the app, and what is open comes to its end; seconds it took."""
    stage.portals.steer("/faults/clear")
    began = time.monotonic()
    while time.monotonic() - began < SETTLE_SECONDS:
        for visitor in visitors:
            visitor.open()
        if not left_open(stage):
            break
        time.sleep(2)
    return time.monotonic() - began


def left_open(stage: Stage) -> list[str]:
    """Each run that has not ended, with what may tell why."""
    query = (
        "select r.state, r.action, r.pages, r.problem, r.waiting_since, r.worked_at, r.created_at, p.domain,"
        " (select count(*) from procrastinate_jobs j where j.args->>'run' = r.id::text) as jobs, now() as at"
        " from runs r join portals p using (member_id) where r.state in ('queued', 'running', 'waiting', 'scheduled')"
    )
    with psycopg.connect(stage.database) as db:
        cursor = db.execute(query)
        names = [column.name for column in cursor.description or ()]
        return [", ".join(f"{name} {value}" for name, value in zip(names, row, strict=True)) for row in cursor]


def asked_for(stage: Stage, query: str) -> int:
    """One number of the database."""
    with psycopg.connect(stage.database) as db:
        row = db.execute(query.encode()).fetchone()
    return int(row[0]) if row else -1


def growth(samples: list[int]) -> float:
    """The last third of the time to the first."""
    third = len(samples) // 3
    return median(samples[-third:]) / median(samples[:third]) if third else 0.0


def verdict(stage: Stage, settled: float, deadlocks: int) -> int:
    """Print what was seen; how many promises are broken."""
    found = stage.found
    total, forged = sum(found.answers.values()), sum(found.forged.values())
    troubled = sum(number for (portal, status), number in found.answers.items() if status >= 500 and portal in HARMED)
    runs, pages = asked_for(stage, "select count(*) from runs"), asked_for(stage, "select count(*) from run_items")
    print(f"  {total:,} clicks ({troubled:,} met a portal in trouble), {forged:,} forged posts")
    print(f"  {runs:,} runs of {pages:,} pages")
    print(f"  answers to people: {counted(found.answers, lambda key: key[1])}; to forgers: {counted(found.forged)}")
    removed = f"{len(found.removals)} removals"
    longest = max(found.removals, default=0.0)
    print(f"  {removed}, the longest {longest:.1f} s; {found.kills} workers killed; settled in {settled:.0f} s")
    for name, samples in found.memory.items():
        print(f"  {name}: {max(samples) / 1e6:.0f} MB at most, {growth(samples):.2f} times in the last third")
    print(f"  health: {found.slowest_health * 1000:.0f} ms at most")
    untrue = asked_for(
        stage,
        "select count(*) from run_items join runs on runs.id = run_id where run_items.state = 'succeeded'"
        " and after is not null and (after->>'active')::boolean <> (action = 'publish')",
    )
    in_flight = asked_for(stage, "select count(*) from run_items where state in ('pending', 'running')")
    promises = {
        "nobody else got a 5xx": found.harm,
        "health was well": found.unhealthy,
        "no deadlock in the database's log": [f"{deadlocks} deadlocks"] * bool(deadlocks),
        "removals left nobody's data": found.left_behind or [] if found.removals else ["no removal was tried"],
        "memory is flat": [
            name for name, samples in found.memory.items() if not 0 < growth(samples) <= MOST_GROWTH
        ] if found.memory else ["not measured"],
        "every run has ended": left_open(stage),
        "no page is left in flight": [f"{in_flight} are"] * bool(in_flight),
        "what is written as done was seen to be so": [f"{untrue} were not"] * bool(untrue),
        "the soak itself went well": found.broken,
    }  # fmt: skip
    for words, broken in promises.items():
        print(f"  {'BROKEN' if broken else 'kept  '} {words}")
        for line in broken[:5]:
            print(f"           {line}")
    return sum(bool(broken) for broken in promises.values())


def counted(found: Counter[Any], by: Callable[[Any], int] = int) -> str:
    """By status."""
    states: Counter[int] = Counter()
    for key, number in found.items():
        states[by(key)] += number
    return ", ".join(f"{number:,} x {status}" for status, number in sorted(states.items()))


def main() -> int:
    """Print what was done and what became of it; 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=float(os.environ.get("SOAK_MINUTES", "10")))
    minutes: float = parser.parse_args().minutes
    with ExitStack() as stack:
        postgres = stack.enter_context(server())
        migrate(postgres.url)
        port = free_port()
        app_url = f"http://127.0.0.1:{port}"
        portals = stack.enter_context(standin(PORTALS, app_url))
        environment = portals.settings(postgres.url, APP_URL=app_url, TRUSTED_PROXIES="1", LOG_LEVEL="ERROR")
        web = stack.enter_context(Web(environment, threads=THREADS, port=port))
        stage = Stage(web, portals, postgres.url, threading.Event(), Findings())
        visitors = storm(stage, minutes, lambda: stack.enter_context(Worker(environment)))
        settled = settle(stage, visitors)
        deadlocks = (postgres.folder / "log").read_text(errors="replace").count("deadlock detected")
        broken = verdict(stage, settled, deadlocks)
        if broken:
            print(web.said()[-3000:])
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
