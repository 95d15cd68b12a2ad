"""Runs set for a time: ten thousand of them pending cost nothing, each starts in time, and a crowd is served fairly.

A real worker process against a real PostgreSQL and 200 stand-in portals. Promises: due to start at most 2 s; an idle
worker at most 2 % of a core; 1,000 runs of 200 portals due at one moment all done, and fairly: when half of them are
done, at least nine of ten portals have had one.
"""

from __future__ import annotations

import random
import sys
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from uuid import UUID, uuid4

import psutil
from sqlalchemy import select, text

from b24app.domain import Action, Actor, Kind, RunState
from b24app.factory import create_app
from b24app.runs.local_time import ScheduledTime
from b24app.runs.orders import Order
from b24app.services import Services
from b24app.store.models import Run
from b24sandbox import StandIn
from bench._stage import database, moved_in, prepared, surroundings, worker

PORTALS, PENDING, CROWD, SINGLE = 200, 10_000, 1_000, 20
IDLE_SECONDS, SETTLE_SECONDS, LEAD_SECONDS, PATIENCE_SECONDS = 20, 8, 30, 150
COLUMNS = "select column_name from information_schema.columns where table_name = :table"
KEY = {"runs": "id", "run_items": "run_id"}
LATER = "+ c.n * interval '1 minute'"
COPIED = {
    "runs": {"id": "c.id", "member_id": "c.member_id", "at": f"m.at {LATER}"},
    "run_items": {"run_id": "c.id"},
    "procrastinate_jobs": {
        "id": "nextval('procrastinate_jobs_id_seq')", "scheduled_at": f"m.scheduled_at {LATER}",
        "args": "jsonb_build_object('run', c.id::text)",
    },
}  # fmt: skip
ROOT = Path(__file__).parents[1]


def main() -> int:
    """Print the figures; 1 when a promise is broken."""
    with database() as url, StandIn.start(portals=PORTALS) as standin:
        return measure(url, standin)


def measure(url: str, standin: StandIn) -> int:
    environment = surroundings(url, standin)
    services = prepared(url, environment)
    client = create_app(services).test_client(use_cookies=False)
    actors = [moved_in(client, services, portal) for portal in standin.portals]
    lids = {portal.member_id: portal.add_pages(8) for portal in standin.portals}
    began = time.perf_counter()
    pile_up(services, actors, lids)
    print(f"  {PENDING} pending runs of {PORTALS} portals written in {time.perf_counter() - began:.0f} s")
    with worker(environment) as process:
        time.sleep(SETTLE_SECONDS)
        share = idle_share(process)
        single = punctuality(services, actors, lids)
        crowd = rush(services, actors, lids)
    services.close()
    return report(share, single, crowd)


def pile_up(services: Services, actors: list[Actor], lids: dict[str, list[int]]) -> None:
    """The pending ones: copies of one run that was planned, spread over the portals and the months to come."""
    far = datetime.now(UTC) + timedelta(days=90)
    actor = actors[0]
    model = plan(services, actor, lids[actor.member_id][0], far)
    with services.store.begin() as db:
        db.execute(text("create temporary table copies (n int, id uuid, member_id text) on commit drop"))
        rows = [{"n": n, "id": uuid4(), "member": actors[n % PORTALS].member_id} for n in range(PENDING)]
        db.execute(text("insert into copies values (:n, :id, :member)"), rows)
        for table, own in COPIED.items():
            names = [name for (name,) in db.execute(text(COLUMNS), {"table": table})]
            values = ", ".join(own.get(name, f"m.{name}") for name in names)
            which = "args->>'run' = :text" if table == "procrastinate_jobs" else f"{KEY[table]} = :model"
            db.execute(
                text(
                    f"insert into {table} ({', '.join(names)}) select {values} from {table} m, copies c where m.{which}"
                ),
                {"model": model, "text": str(model)},
            )


def plan(services: Services, actor: Actor, lid: int, at: datetime) -> UUID:
    order = Order(Action.UNPUBLISH, Kind.PAGE, (lid,), ScheduledTime(at))
    return services.orders.place(actor, order)[0]


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
    for number in random.sample(range(CROWD), CROWD):  # people order in no order
        actor = actors[number % PORTALS]
        owner[plan(services, actor, lids[actor.member_id][2 + number // PORTALS], moment)] = actor.member_id
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
    for row in rows:
        if row.state is not RunState.SUCCEEDED:
            print(f"  a run of portal {row.member_id}: {row.state} {row.problem}")
    return {
        row.id: ((row.started_at - row.at).total_seconds(), (row.finished_at - row.at).total_seconds())
        for row in rows
        if row.state is RunState.SUCCEEDED and row.at and row.started_at and row.finished_at
    }


def report(share: float, single: list[float], crowd: dict[str, list[tuple[float, float]]]) -> int:
    starts, ends = (sorted(span[which] for spans in crowd.values() for span in spans) for which in (0, 1))
    firsts = sorted(min(end for _, end in spans) for spans in crowd.values())
    half = ends[len(ends) // 2] if ends else 0.0
    served = sum(first <= half for first in firsts) / PORTALS
    print(f"  idle worker with {PENDING} pending runs: {share:.2f} % of a core")
    print(f"  {len(ends)} runs of {len(crowd)} portals due at one moment; seconds at the median and at most:")
    for what, spans in (
        ("a single run started", sorted(single)), ("one of the crowd started", starts), ("ended", ends),
        ("a portal's first ended", firsts),
    ):  # fmt: skip
        print(f"    {what:26}{median(spans):6.2f} {spans[-1]:6.2f}" if spans else f"    {what:26}  none")
    print(f"  when half of the crowd was done, {served * 100:.0f} % of the portals had had a run done")
    promises = {
        "an idle worker uses at most 2 % of a core": share <= 2,
        "a due run starts within 2 s": len(single) == SINGLE and max(single) <= 2,
        "every run of the crowd was done": len(ends) == CROWD,
        "when half were done, nine of ten portals had had one": served >= 0.9,
    }
    for words, kept in promises.items():
        print(f"  {'kept  ' if kept else 'BROKEN'} {words}")
    return 0 if all(promises.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
