"""What a process takes, for whoever has to size a machine: connections, memory, requests a second.

One gunicorn process with its usual 24 threads and one worker, each beside a real PostgreSQL, and many who ask at once
for a person's list, searched within a minute, so that nobody waits for a portal. Memory is the resident set.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import psycopg
import requests

from b24app.store.connections import Place
from b24sandbox import StandIn
from bench._stage import database, moved_in, prepared, surroundings, worker
from tests.conftest import make_app
from tests.people import Person
from tests.processes import Web

CLIENTS, SECONDS = 16, 10
THREADS = 24
WEB_CONNECTIONS, WORKER_CONNECTIONS, MOST_MB = 8, 12, 130
OURS = (
    "select application_name like '% queue', count(*) from pg_stat_activity"
    " where application_name like 'sundown%' group by 1"
)


def connections(url: str) -> int:
    """Open now, of all processes that are measured; those of this one are closed."""
    with psycopg.connect(url) as asker:
        return sum(number for _, number in asker.execute(OURS).fetchall())


def megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / 1e6


def requests_a_second(url: str, headers: dict[str, str]) -> float:
    """How many lists a process answers while it is asked by many."""
    until = time.monotonic() + SECONDS

    def ask(_: int) -> int:
        number = 0
        with requests.Session() as session:
            while time.monotonic() < until:
                session.get(f"{url}/pages?q=a", headers=headers, timeout=30).raise_for_status()
                number += 1
        return number

    with ThreadPoolExecutor(CLIENTS) as crew:
        return sum(crew.map(ask, range(CLIENTS))) / SECONDS


def main() -> int:
    """Print the figures; 1 when a process takes more than the documents promise."""
    with database() as url, StandIn.start(portals=1) as standin:
        environment = surroundings(url, standin) | {"TRUSTED_PROXIES": "0"}
        services = prepared(url, environment)
        app = make_app(services)
        moved_in(app.test_client(), services, standin.portals[0])
        alice = Person(app, standin.portals[0], "editor").opened()
        services.close()
        with Web(environment, threads=THREADS) as web:
            (process,) = psutil.Process(web.pid).children()
            web_rest, web_open = megabytes(process), connections(url)
            rate = requests_a_second(web.url, alice.headers())
            web_work, web_most = megabytes(process), connections(url)
        lids = standin.portals[0].add_pages(400, site=3)
        with worker(environment) as process:
            time.sleep(5)  # until it idles
            worker_rest, worker_open = megabytes(process), connections(url)
            alice.unpublish(*lids)
            services.close()
            while any(standin.portals[0].page(lid).active for lid in lids):
                time.sleep(0.1)
            worker_work, worker_most = megabytes(process), connections(url)
        largest = Place.of(url, "sundown").settings
    print(f"  a web process: {web_rest:.0f} MB at rest, {web_work:.0f} at work")
    print(f"  … connections {web_open}, {web_most} at work; {rate:.0f} lists a second with {CLIENTS} asking at once")
    print(f"  a worker: {worker_rest:.0f} MB at rest, {worker_work:.0f} at work")
    print(f"  … connections {worker_open}, {worker_most} at work")
    print(f"  each connection: {', '.join(f'{name} {value}' for name, value in largest.items())}")
    promises = {
        f"a web process takes at most {WEB_CONNECTIONS} connections": web_most <= WEB_CONNECTIONS,
        f"a worker takes at most {WORKER_CONNECTIONS} connections": worker_most <= WORKER_CONNECTIONS,
        f"each takes at most {MOST_MB} MB": max(web_work, worker_work) <= MOST_MB,
    }
    for words, kept in promises.items():
        print(f"  {'kept  ' if kept else 'BROKEN'} {words}")
    return 0 if all(promises.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
