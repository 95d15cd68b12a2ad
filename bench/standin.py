"""The stand-in portal must never be the bottleneck of a test: what it costs, beside a server that does nothing.

The bare server is werkzeug's, threaded and kept alive, answering one fixed text; the same client asks both, so that the
figures are ratios and mean the same on any machine.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from urllib.parse import urlsplit

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

from b24sandbox import StandIn

ROUNDS = 400
THREADS = 20
CROWD = 100
PORTALS = 200


class Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: printing would be measured."""


class Client:
    """One kept-alive connection."""

    def __init__(self, url: str) -> None:
        self.connection = http.client.HTTPConnection(str(urlsplit(url).netloc), timeout=30)

    def post(self, path: str, body: object) -> bytes:
        self.connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return self.connection.getresponse().read()


def each(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Milliseconds of one `work` at the median."""
    spans = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        spans.append(time.perf_counter() - began)
    return median(spans) * 1000


def crowd(url: str, path: str, body: object) -> float:
    """Requests in a second, from twenty connections at once."""

    def work(_: int) -> None:
        client = Client(url)
        for _ in range(ROUNDS // THREADS * 4):
            client.post(path, body)
        client.connection.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, range(THREADS)))
    return ROUNDS * 4 / (time.perf_counter() - began)


def waiting(standin: StandIn, path: str, body: object) -> float:
    """Seconds until a hundred calls that take 0.2 s each have all been answered, made at once."""
    standin.fault(0, "*", kind="latency", times=CROWD, seconds=0.2)

    def work(_: int) -> None:
        client = Client(standin.portals[0].url)
        client.post(path, body)
        client.connection.close()

    began = time.perf_counter()
    with ThreadPoolExecutor(CROWD) as threads:
        list(threads.map(work, range(CROWD)))
    return time.perf_counter() - began


def many_portals() -> tuple[float, float]:
    """Milliseconds to start two hundred portals, and to put them back as they were."""
    began = time.perf_counter()
    with StandIn.start(portals=PORTALS) as standin:
        started = (time.perf_counter() - began) * 1000
        return started, each(standin.reset, 3)


def bare() -> tuple[float, float]:
    """A server that does nothing: milliseconds of one call, calls in a second of many."""
    server = make_server(
        "127.0.0.1", 0, lambda *given: Response(b'{"result":true}')(*given), threaded=True, request_handler=Quiet
    )
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    url = f"http://127.0.0.1:{server.server_port}"
    client = Client(url)
    alone, many = each(lambda: client.post("/", {"a": 1})), crowd(url, "/", {"a": 1})
    client.connection.close()
    server.shutdown()
    server.server_close()
    return alone, many


def main() -> int:
    """Print the figures; 1 when a promise is broken."""
    bare_ms, bare_rate = bare()
    began = time.perf_counter()
    standin = StandIn.start()
    start_ms = (time.perf_counter() - began) * 1000
    portal = standin.portals[0]
    lids = portal.add_pages(3000)
    auth = portal.tokens("admin")["access_token"]
    client = Client(portal.url)

    call_ms = each(lambda: client.post("/rest/profile", {"auth": auth}))
    rate = crowd(portal.url, "/rest/profile", {"auth": auth})
    down = {f"c{lid}": f"landing.landing.unpublic?lid={lid}" for lid in lids[:50]}
    batch_ms = each(lambda: client.post("/rest/batch", {"auth": auth, "cmd": down}), 40)
    listing = {"auth": auth, "params": {"select": ["ID", "TITLE", "ACTIVE"], "order": {"ID": "ASC"}, "limit": 500}}
    list_ms = each(lambda: client.post("/rest/landing.landing.getList", listing), 20)
    waited = waiting(standin, "/rest/profile", {"auth": auth})
    reset_ms = each(standin.reset, 10)
    client.connection.close()
    standin.stop()
    start_many, reset_many = many_portals()

    print(
        f"  a server that does nothing   {bare_ms:6.2f} ms a call, {bare_rate:6.0f} a second from {THREADS} connections"
    )
    print(f"  profile                      {call_ms:6.2f} ms, {call_ms / bare_ms:.1f} times that; {rate:6.0f} a second")
    print(f"  batch of 50 unpublishes      {batch_ms:6.2f} ms, {batch_ms / 50 / call_ms:.2f} of a call each")
    print(f"  500 of 3,000 pages           {list_ms:6.2f} ms")
    print(f"  {CROWD} calls of 0.2 s at once    {waited:6.2f} s until all are answered")
    print(
        f"  start {start_ms:.0f} ms, reset {reset_ms:.1f} ms;"
        f" with {PORTALS} portals {start_many:.0f} ms and {reset_many:.0f} ms"
    )
    promises = {
        "a call costs at most 1.5 times nothing": call_ms <= 1.5 * bare_ms,
        "twenty connections get at least two thirds of what nothing gives": rate >= bare_rate * 2 / 3,
        "slow calls wait side by side, not one after the other": waited <= 0.2 * CROWD / 10,
        "a command of a batch costs at most half a call": batch_ms / 50 <= call_ms / 2,
    }
    for words, kept in promises.items():
        print(f"  {'kept  ' if kept else 'BROKEN'} {words}")
    return 0 if all(promises.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
