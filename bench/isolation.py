"""What a well portal and the operator's platform notice while other parties hang: nothing.

One gunicorn process with its real settings, the stand-in portals in a process of their own. A person on a well portal
clicks (a list read anew, an order of one page), alone and then in each of these surroundings, in turns, so that a
machine's own ups and downs meet all of them: three portals hang and ten people of each click again as soon as they are
answered; the authorization server hangs and everybody of one portal needs a new token; two dozen clients began a post
and do not go on.
"""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import requests

from b24app.store import embedded
from bench._stage import Portals, session_of, standin
from tests.databases import migrate
from tests.processes import Web

ROUNDS, CLICKS = 4, 20
THREADS = 24
PORTALS, HANGING, PEOPLE = 6, 3, 10
HALF_OPEN = 24
MOST_RATIO, MOST_SECONDS = 1.2, 1.0
NOISE_SECONDS = 0.005  # what two measurements of the same differ by


def opened(web: Web, portals: Portals, portal: int, user: str, *, install: bool = False) -> dict[str, str]:
    """The headers of a person who has the app open."""
    path, form = portals.frame(user, portal, install=install)
    answer = requests.post(f"{web.url}{path}", data=form, timeout=60)
    answer.raise_for_status()
    return {"Authorization": f"Bearer {session_of(answer.text)}", "Accept": "application/json"}


def timed(ask: Callable[[], requests.Response]) -> float:
    """Seconds of one request that must go well."""
    began = time.perf_counter()
    answer = ask()
    spent = time.perf_counter() - began
    if answer.status_code >= 400:
        raise SystemExit(f"bench: {answer.request.method} {answer.request.path_url} answered {answer.text[:300]}")
    return spent


class Clicks:
    """A person on a well portal, and how long their clicks took, by surroundings."""

    def __init__(self, web: Web, headers: Mapping[str, str], lid: int) -> None:
        self._web, self._lid = web, lid
        self._session = requests.Session()
        self._session.headers.update(headers)
        self.lists: dict[str, list[float]] = {}
        self.orders: dict[str, list[float]] = {}

    def click(self, where: str) -> None:
        """Some lists and orders."""
        for n in range(CLICKS):
            order = {"action": "publish" if n % 2 else "unpublish", "lids": [self._lid]}
            lists = timed(partial(self._session.get, f"{self._web.url}/pages?fresh=1", timeout=60))
            orders = timed(partial(self._session.post, f"{self._web.url}/runs", json=order, timeout=60))
            self.lists.setdefault(where, []).append(lists)
            self.orders.setdefault(where, []).append(orders)


class Platform(threading.Thread):
    """Asks /healthz, /readyz and /metrics all the time; the slowest answer is what counts."""

    def __init__(self, web: Web) -> None:
        super().__init__(daemon=True)
        self._web, self._done = web, threading.Event()
        self.slowest = 0.0

    def run(self) -> None:
        """Until told to stop."""
        session = requests.Session()
        while not self._done.wait(0.1):
            for path in ("/healthz", "/readyz", "/metrics"):
                self.slowest = max(self.slowest, timed(partial(session.get, f"{self._web.url}{path}", timeout=60)))

    def stop(self) -> None:
        """No more."""
        self._done.set()
        self.join()


@contextmanager
def crowd(web: Web, headers: list[dict[str, str]], people: int) -> Iterator[None]:
    """So many people of each of these portals, who click again when they are answered, as their page's script would."""
    done = threading.Event()

    def work(mine: dict[str, str]) -> None:
        while not done.is_set():
            answer = requests.get(f"{web.url}/pages?fresh=1", headers=mine, timeout=90)
            done.wait(min(5, int(answer.headers.get("Retry-After", "1"))))

    threads = [threading.Thread(target=work, args=(each,), daemon=True) for each in headers for _ in range(people)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join(60)


@contextmanager
def half_open(web: Web) -> Iterator[None]:
    """Clients that began a post and do not go on; whoever is sent away comes again."""
    done, port = threading.Event(), int(web.url.rpartition(":")[2])

    def come_again() -> None:
        while not done.is_set():
            with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
                client.sendall(b"POST /runs HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\nhalf")
                client.settimeout(0.5)
                while not done.is_set():
                    try:
                        if not client.recv(100):
                            break
                    except TimeoutError:
                        continue
                    except OSError:
                        break

    threads = [threading.Thread(target=come_again, daemon=True) for _ in range(HALF_OPEN)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join(5)


def measure(web: Web, portals: Portals) -> tuple[Clicks, dict[str, float]]:
    """The clicks in all surroundings, and the slowest answer to the platform in each."""
    well = PORTALS - 1
    for portal in range(PORTALS):
        opened(web, portals, portal, "admin", install=True)
        portals.order("/finish", portal)
    theirs = [opened(web, portals, portal, "editor") for portal in range(HANGING)]
    strangers = [opened(web, portals, HANGING, "editor")]
    clicks = Clicks(web, opened(web, portals, well, "editor"), portals.order("/pages", well, n=1)[0])
    clicks.click("warm up")
    slowest: dict[str, float] = {}

    def measured(where: str) -> None:
        platform = Platform(web)
        platform.start()
        clicks.click(where)
        platform.stop()
        slowest[where] = max(slowest.get(where, 0.0), platform.slowest)

    for _ in range(ROUNDS):
        measured("alone")
        for portal in range(HANGING):
            portals.order("/fault", portal, method="*", times=-1, kind="hang", seconds=60)
        with crowd(web, theirs, PEOPLE):
            measured("portals hang")
        portals.steer("/faults/clear")
        portals.order("/expire", HANGING)
        portals.order("/fault", "oauth", method="*", times=-1, kind="hang", seconds=60)
        with crowd(web, strangers, PEOPLE):
            measured("authorization server hangs")
        portals.steer("/faults/clear")
        with half_open(web):
            measured("half-open posts")
    return clicks, slowest


def p95(spans: list[float]) -> float:
    """Of a hundred, ninety-five were faster."""
    return sorted(spans)[int(len(spans) * 0.95)]


def main() -> int:
    """Print the figures; 1 when a promise is broken."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory())) / "data"
        server = embedded.start(folder)
        stack.callback(embedded.remove, folder)
        stack.callback(server.stop)
        migrate(server.url)
        portals = stack.enter_context(standin(PORTALS))
        web = stack.enter_context(Web(portals.settings(server.url), threads=THREADS))
        clicks, slowest = measure(web, portals)

    promises = {}
    for where in slowest:
        lists, orders = p95(clicks.lists[where]), p95(clicks.orders[where])
        print(
            f"  {where:<28} 95 % of lists below {lists * 1000:4.0f} ms, of orders {orders * 1000:4.0f} ms;"
            f" health at most {slowest[where] * 1000:4.0f} ms"
        )
        promises[f"{where}: health within a second"] = slowest[where] <= MOST_SECONDS
        for name, spans, now in (("list", clicks.lists, lists), ("order", clicks.orders, orders)):
            alone = p95(spans["alone"])
            promises[f"{where}: a {name} takes at most {MOST_RATIO} times"] = now <= MOST_RATIO * alone + NOISE_SECONDS
    for words, kept in promises.items():
        print(f"  {'kept  ' if kept else 'BROKEN'} {words}")
    return 0 if all(promises.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
