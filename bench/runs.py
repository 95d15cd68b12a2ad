"""Runs over many pages, beside other clients that do the same work: b24pysdk, fast_bitrix24 and a plain loop.

Every stand-in counts what it was asked, so the figures are its own: how long the work took in the portal's time, how
many requests acted, how often a limit was met, what was changed twice. "Ideal" is the sum of the work, as long as it
took the portal itself on this machine, and one round trip for each batch of 50. The clients speak to a stand-in over
TLS, as they insist on; we speak http.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import aiohttp
import psutil
import requests
from b24pysdk import BitrixApp, BitrixToken
from fast_bitrix24 import BitrixAsync
from sqlalchemy import select, text

from b24app import jobs
from b24app.domain import Action, Actor, Kind
from b24app.factory import create_app
from b24app.runs.local_time import ScheduledTime
from b24app.runs.orders import Order
from b24app.services import Services
from b24app.store.models import Run
from b24sandbox import PortalHandle, StandIn
from bench._stage import ROOT, database, moved_in, prepared, surroundings, worker
from tests.ports import free_port

ACT = "landing.landing.unpublic"
ROUND_TRIP = 0.01  # seconds on loopback, batch of reads included
WAKE = text("update procrastinate_jobs set scheduled_at = null where status = 'todo' and scheduled_at <= :now")
DUE = text(
    "select min(coalesce(scheduled_at, now())) from procrastinate_jobs where status = 'todo' and args->>'run' = :run"
)
OPERATING_SECONDS = 0.15  # of an unpublish, as the documentation measured it
PATIENCE_SECONDS = 600
promises: dict[str, bool] = {}


def main() -> int:
    """Print the figures; 1 when a promise is broken."""
    quick_pages()
    slow_pages()
    many_portals()
    small_beside_large()
    operating_budget()
    overhead()
    for words, kept in promises.items():
        print(f"  {'kept  ' if kept else 'BROKEN'} {words}")
    return 0 if all(promises.values()) else 1


# --- 500 pages, 50 ms each -------------------------------------------------------------------------------------------


def quick_pages() -> None:
    pages, seconds = 500, 0.05
    print(f"  {pages} pages of {seconds * 1000:.0f} ms")
    ours(pages, seconds, newer=False)
    ours(pages, seconds, newer=True)
    for name, client in (("b24pysdk", b24pysdk), ("fast_bitrix24", fast)):
        with others() as standin:
            lids = slow_down(standin, standin.portals[0], pages, seconds)
            tell(name, standin, clocked(client, standin, lids), pages)
    with StandIn.start() as standin:
        standin.portals[0].install()
        lids = slow_down(standin, standin.portals[0], pages, seconds)
        tell("a plain loop", standin, clocked(plain_loop, standin, lids), pages)


def ours(pages: int, seconds: float, *, newer: bool) -> None:
    """Of a newer server, too, which tells durations from the beginning of a second."""
    which = "of a newer server " if newer else ""
    with stage() as (services, standin, actors, environment):
        standin.portals[0].switch(whole_seconds=newer)
        lids = slow_down(standin, standin.portals[0], pages, seconds)
        with worker(environment):
            spent = timed(services, lambda: ordered(services, actors[0], lids))
        tell("Sundown, newer" if newer else "Sundown", standin, spent, pages)
        promises[f"500 quick pages {which}within 1.06 of the ideal"] = spent <= 1.06 * ideal(standin, pages)
        promises[f"500 quick pages {which}in at most 14 requests that act"] = acting(standin) <= 14
        promises[f"500 quick pages {which}without meeting a limit"] = refused(standin) == 0


# --- 200 pages, 1.2 s each, on a scaled clock ------------------------------------------------------------------------


def slow_pages() -> None:
    pages, seconds, scale = 200, 1.2, 4.0
    print(f"  {pages} pages of {seconds} s, {scale:.0f} times as fast")
    with stage(scale=scale) as (services, standin, actors, environment):
        lids = slow_down(standin, standin.portals[0], pages, seconds)
        with worker(environment):
            spent = timed(services, lambda: ordered(services, actors[0], lids)) * scale
        tell("Sundown", standin, spent, pages)
        promises["200 slow pages within 1.06 of the ideal"] = spent <= 1.06 * ideal(standin, pages)
        promises["200 slow pages without a cut"] = cut(standin) == 0
        promises["200 slow pages, none changed twice"] = not standin.world.recorder.changed_twice()
    for name, client in (("b24pysdk", b24pysdk), ("fast_bitrix24", fast)):
        with others(scale=scale) as standin:
            lids = slow_down(standin, standin.portals[0], pages, seconds)
            tell(name, standin, clocked(client, standin, lids) * scale, pages)


# --- many portals ----------------------------------------------------------------------------------------------------


def many_portals() -> None:
    portals, pages, seconds = 20, 100, 0.05
    with stage(portals=portals) as (services, standin, actors, environment):
        lids = [slow_down(standin, portal, 2 * pages, seconds) for portal in standin.portals]
        with worker(environment):
            alone = timed(services, lambda: ordered(services, actors[0], lids[0][:pages]))
            together = timed(
                services,
                lambda: [ordered(services, actor, mine[pages:]) for actor, mine in zip(actors, lids, strict=True)],
            )
    print(f"  one portal with {pages} pages: {alone:.2f} s; {portals} portals: {together:.2f} s")
    promises["20 portals within 1.3 of one"] = together <= 1.3 * alone


def small_beside_large() -> None:
    with stage() as (services, standin, actors, environment):
        large = slow_down(standin, standin.portals[0], 5000, 0.05)
        small = standin.portals[1].add_pages(1)
        with worker(environment):
            first = ordered(services, actors[0], large)
            time.sleep(5)
            at = datetime.now(UTC)
            order = Order(Action.UNPUBLISH, Kind.PAGE, tuple(small), ScheduledTime(at))
            run_id, _ = services.orders.place(actors[1], order)
            wait_for(services, [run_id])
            run = read(services, run_id)
            services.orders.cancel(actors[0], first)
            time.sleep(3)
    late = (run.started_at - at).total_seconds() if run.started_at else float("inf")
    print(f"  a run of one page beside one of 5000: started after {late:.2f} s")
    promises["a small run beside a large one starts within 2 s"] = late <= 2


# --- operating time --------------------------------------------------------------------------------------------------


def operating_budget() -> None:
    """Both clocks are turned, and the worker's part is played here: jobs must come due by the portal's clock."""
    pages, limit = 3000, 228
    with StandIn.start() as standin, database() as url:
        environment = surroundings(url, standin)
        services = prepared(url, environment, clock=lambda: datetime.fromtimestamp(standin.world.clock.now(), UTC))
        actor = moved_in(create_app(services).test_client(use_cookies=False), services, standin.portals[0])
        lids = standin.portals[0].add_pages(pages)
        standin.portals[0].switch(operating_limit=limit)
        run_id = ordered(services, actor, lids)
        began = standin.world.clock.now()
        while not read(services, run_id).state.is_final:
            with services.store.begin() as db:
                db.execute(WAKE, {"now": services.clock()})
                due = db.scalar(DUE, {"run": str(run_id)})
            if due is not None and due > services.clock():
                standin.world.clock.advance((due - services.clock()).total_seconds())
            else:
                asyncio.run(jobs.work(services, wait=False))
        windows = 1 + round((standin.world.clock.now() - began) / 600)
        services.close()
        calls = standin.calls(method=ACT)
    refusals = [call for call in calls if call.code == "OPERATION_TIME_LIMIT"]
    met = len({call.batch for call in refusals})
    used = pages * OPERATING_SECONDS / (limit * windows)
    print(f"  {pages} pages of {OPERATING_SECONDS} s of operating time, {limit} s of it in ten minutes:")
    print(
        f"    done in {windows} windows, {used * 100:.1f} % of them used; "
        f"the limit met by {met} request ({len(refusals)} commands)"
    )
    promises["at least 95 % of the operating time used"] = used >= 0.95
    promises["the operating limit met at most once"] = met <= 1


# --- overhead --------------------------------------------------------------------------------------------------------


def overhead() -> None:
    """A worker and a web process of their own: the worker does 10,000 pages, a page of a browser asks how far it is."""
    with stage() as (services, standin, actors, environment):
        lids = standin.portals[0].add_pages(10_000)
        with worker(environment) as process, web(environment) as (url, server):
            token = session_token(url, standin.portals[0])
            watched(services, url, token, ordered(services, actors[0], lids[:500]))
            before, used, asked = (memory(process), memory(server)), cpu(process), acting(standin)
            for some in (lids[500:5500], lids[5500:]):
                watched(services, url, token, ordered(services, actors[0], some))
            each = (cpu(process) - used) / (acting(standin) - asked) * 1000
            grown = memory(process) / before[0], memory(server) / before[1]
    print(f"  worker: {each:.1f} ms of CPU for a batch; memory after 10,000 pages, of that after 500:")
    print(f"    worker {grown[0]:.2f} of {before[0] / 1e6:.0f} MB, web {grown[1]:.2f} of {before[1] / 1e6:.0f} MB")
    promises["at most 15 ms of CPU for a batch"] = each <= 15
    promises["memory of worker and web grows by at most 10 %"] = max(grown) <= 1.1


@contextmanager
def web(environment: dict[str, str]) -> Iterator[tuple[str, psutil.Process]]:
    """gunicorn with one process; its address, and that process."""
    place = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "-b", place, "app:app"]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ | environment | {"WEB_CONCURRENCY": "1"}) as running:
        deadline = time.monotonic() + 60
        while not answers(f"http://{place}/healthz"):
            assert time.monotonic() < deadline, "the web process does not answer"
            time.sleep(0.2)
        yield f"http://{place}", psutil.Process(running.pid).children()[0]
        running.terminate()
        running.wait(30)


def answers(url: str) -> bool:
    with contextlib.suppress(requests.RequestException):
        return requests.get(url, timeout=2).status_code == 200
    return False


def session_token(url: str, portal: PortalHandle) -> str:
    """The session of somebody who opens the app now."""
    address, form = portal.open("editor")
    parts = urlsplit(address)
    page = requests.post(f"{url}{parts.path}?{parts.query}", data=form, timeout=30)
    return page.text.partition('name="session-token" content="')[2].partition('"')[0]


def watched(services: Services, url: str, token: str, run_id: UUID) -> None:
    """Wait for the run's end, asking as an open page does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not read(services, run_id).state.is_final:
        assert time.monotonic() < deadline, "the run does not end"
        told = requests.get(f"{url}/runs/{run_id}", headers={"Authorization": f"Bearer {token}"}, timeout=30)
        assert told.status_code == 200, told.text
        time.sleep(0.2)


def memory(process: psutil.Process) -> float:
    return float(process.memory_info().rss)


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


# --- the stage -------------------------------------------------------------------------------------------------------


@contextmanager
def stage(portals: int = 2, scale: float = 1.0) -> Iterator[tuple[Services, StandIn, list[Actor], dict[str, str]]]:
    """Everything of ours but the worker, with the editor of each portal in the app."""
    with StandIn.start(portals=portals, scale=scale) as standin, database() as url:
        environment = surroundings(url, standin)
        services = prepared(url, environment)
        client = create_app(services).test_client(use_cookies=False)
        actors = [moved_in(client, services, portal) for portal in standin.portals]
        yield services, standin, actors, environment
        services.close()


@contextmanager
def others(scale: float = 1.0) -> Iterator[StandIn]:
    """A stand-in over TLS, to which this process's surroundings lead foreign clients."""
    with tempfile.TemporaryDirectory() as folder, StandIn.start(tls=folder, scale=scale) as standin:
        standin.portals[0].install()
        hosts = {urlsplit(url).hostname for url in (*standin.world.servers, *(each.url for each in standin.portals))}
        kept = dict(os.environ)
        os.environ |= {
            "HTTPS_PROXY": standin.proxy, "NO_PROXY": ",".join(sorted({*map(str, hosts), "127.1.0.2"})),
            "REQUESTS_CA_BUNDLE": str(Path(folder) / "ca.pem"),
        }  # fmt: skip
        yield standin
        os.environ.clear()
        os.environ |= kept


def slow_down(standin: StandIn, portal: PortalHandle, pages: int, seconds: float) -> list[int]:
    """New pages of a portal where each unpublish takes so many of the portal's seconds."""
    standin.fault(portal.index, method=ACT, kind="latency", seconds=seconds, times=-1)
    return portal.add_pages(pages)


def ordered(services: Services, actor: Actor, lids: Sequence[int]) -> UUID:
    return services.orders.place(actor, Order(Action.UNPUBLISH, Kind.PAGE, tuple(lids)))[0]


def timed(services: Services, order: object) -> float:
    """Seconds from the order to the end of what was ordered."""
    wait_for_the_worker(services)
    began = time.perf_counter()
    made = order()  # type: ignore[operator]
    wait_for(services, made if isinstance(made, list) else [made])
    return time.perf_counter() - began


def wait_for_the_worker(services: Services) -> None:
    """Until it has begun: its start is not what is measured."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        with services.store.begin() as db:
            if db.scalar(text("select count(*) from procrastinate_workers")):
                return
        assert time.monotonic() < deadline, "no worker begins"
        time.sleep(0.1)


def wait_for(services: Services, run_ids: list[UUID]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not all(read(services, run_id).state.is_final for run_id in run_ids):
        assert time.monotonic() < deadline, "the runs do not end"
        time.sleep(0.02)


def read(services: Services, run_id: UUID) -> Run:
    with services.store.begin() as db:
        return db.scalars(select(Run).where(Run.id == run_id)).one()


# --- other clients ---------------------------------------------------------------------------------------------------


def clocked(client: object, standin: StandIn, lids: list[int]) -> float:
    began = time.perf_counter()
    try:
        client(standin, lids)  # type: ignore[operator]
    except Exception as gave_up:  # whatever ends a foreign client, its work ends there
        print(f"      it gave up: {type(gave_up).__name__}: {str(gave_up)[:90]}")
    return time.perf_counter() - began


def b24pysdk(standin: StandIn, lids: list[int]) -> None:
    pair, portal = standin.portals[0].tokens("editor"), standin.portals[0]
    app = BitrixApp(client_id=standin.client_id, client_secret=standin.client_secret)
    token = BitrixToken(
        domain=portal.domain, auth_token=str(pair["access_token"]), refresh_token=str(pair["refresh_token"]),
        bitrix_app=app,
    )  # fmt: skip
    token.call_batches({f"c{lid}": (ACT, {"lid": lid}) for lid in lids})


def fast(standin: StandIn, lids: list[int]) -> None:
    permissions = os.environ["REQUESTS_CA_BUNDLE"]

    async def work() -> None:
        context = ssl.create_default_context(cafile=permissions)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            client = BitrixAsync(standin.portals[0].webhook, verbose=False, client=session)
            await client.call(ACT, [{"lid": lid} for lid in lids])

    ended = threading.Thread(target=lambda: asyncio.run(work()))
    ended.start()
    ended.join()


def plain_loop(standin: StandIn, lids: list[int]) -> None:
    """One request a page, at the two a second that a portal lets pass; again after a refusal."""
    portal = standin.portals[0]
    portal.switch(bucket="50/2")
    token = str(portal.tokens("editor")["access_token"])
    for lid in lids:
        while True:
            body = {"lid": lid, "auth": token}
            if requests.post(f"{portal.endpoint}{ACT}", json=body, timeout=70).status_code != 503:
                break
            time.sleep(0.5)


# --- what the stand-in counted ---------------------------------------------------------------------------------------


def acting(standin: StandIn) -> int:
    """Requests that changed, or tried to change, at least one page."""
    calls = standin.calls(method=ACT)
    return len({call.batch for call in calls if call.batch}) + sum(not call.batch for call in calls)


def refused(standin: StandIn) -> int:
    return sum(call.code in ("QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT") for call in standin.calls())


def cut(standin: StandIn) -> int:
    return sum(call.status == 504 for call in standin.calls(method="batch"))


def ideal(standin: StandIn, pages: int) -> float:
    """Seconds of the portal: what it needed for a page itself, and a round trip for each batch of 50."""
    spans = [call.end - call.start for call in standin.calls(method=ACT) if call.end is not None and call.status == 200]
    return pages * sum(spans) / len(spans) + pages / 50 * ROUND_TRIP * standin.world.clock.scale


def tell(name: str, standin: StandIn, seconds: float, pages: int) -> None:
    down = len({change.lid for change in standin.world.recorder.changes})
    twice = sum(int(str(each["times"])) for each in standin.world.recorder.changed_twice())
    share = seconds / ideal(standin, pages)
    print(
        f"    {name:14}{seconds:7.1f} s = {share:5.2f} x the ideal; {down} pages down, {acting(standin)} "
        f"requests that act, {refused(standin)} limits met, {cut(standin)} cut, {twice} pages again",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
