"""The stand-in portal must never be the bottleneck of a test: what it costs, beside a server that does nothing.

The bare server is werkzeug's, threaded and kept alive, answering one fixed text; the same client asks both in turns.
What is compared is processor time of this process, not time on the clock: a machine that is busy with something else
slows both down and changes neither.
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
BLOCKS = 10
EACH_OF_CROWD = 20
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
    """Milliseconds of processor time of one `work` at the median of ten blocks."""
    return in_turns({"": work}, rounds)[""]


def in_turns(works: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """The same for several, in turns, so that whatever the machine does meets all of them."""
    spans: dict[str, list[float]] = {name: [] for name in works}
    block = max(1, rounds // BLOCKS)
    for _ in range(BLOCKS):
        for name, work in works.items():
            began = time.process_time()
            for _ in range(block):
                work()
            spans[name].append((time.process_time() - began) * 1000 / block)
    return {name: median(found) for name, found in spans.items()}


def crowd(url: str, path: str, body: object) -> None:
    """Some requests from twenty connections at once."""

    def work(_: int) -> None:
        client = Client(url)
        for _ in range(EACH_OF_CROWD):
            client.post(path, body)
        client.connection.close()

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, range(THREADS)))


def waiting(standin: StandIn, path: str, body: object) -> int:
    """How many of a hundred calls that take 0.2 s each were under way at once, made at once."""
    standin.world.recorder.clear()
    standin.fault(0, "*", kind="latency", times=CROWD, seconds=0.2)

    def work(_: int) -> None:
        client = Client(standin.portals[0].url)
        client.post(path, body)
        client.connection.close()

    with ThreadPoolExecutor(CROWD) as threads:
        list(threads.map(work, range(CROWD)))
    return standin.world.recorder.most_at_once()["0"]


def many_portals() -> tuple[float, float]:
    """Milliseconds of processor time to start two hundred portals, and to put them back as they were."""
    began = time.process_time()
    with StandIn.start(portals=PORTALS) as standin:
        started = (time.process_time() - began) * 1000
        return started, each(standin.reset, BLOCKS)


def main() -> int:
    """Print the figures; 1 when a promise is broken."""
    bare = make_server(
        "127.0.0.1", 0, lambda *given: Response(b'{"result":true}')(*given), threaded=True, request_handler=Quiet
    )
    threading.Thread(target=bare.serve_forever, daemon=True).start()
    nothing = f"http://127.0.0.1:{bare.server_port}"
    began = time.process_time()
    standin = StandIn.start()
    start_ms = (time.process_time() - began) * 1000
    portal = standin.portals[0]
    lids = portal.add_pages(3000)
    auth = portal.tokens("admin")["access_token"]
    idle, client = Client(nothing), Client(portal.url)

    down = {f"c{lid}": f"landing.landing.unpublic?lid={lid}" for lid in lids[:50]}
    listing = {"auth": auth, "params": {"select": ["ID", "TITLE", "ACTIVE"], "order": {"ID": "ASC"}, "limit": 500}}
    alone = in_turns(
        {
            "nothing": lambda: idle.post("/", {"a": 1}),
            "call": lambda: client.post("/rest/profile", {"auth": auth}),
        }
    )
    many = in_turns(
        {
            "nothing": lambda: crowd(nothing, "/", {"a": 1}),
            "call": lambda: crowd(portal.url, "/rest/profile", {"auth": auth}),
        },
        BLOCKS,
    )
    batch_ms = each(lambda: client.post("/rest/batch", {"auth": auth, "cmd": down}), 40)
    list_ms = each(lambda: client.post("/rest/landing.landing.getList", listing), 20)
    at_once = waiting(standin, "/rest/profile", {"auth": auth})
    reset_ms = each(standin.reset, BLOCKS)
    for each_client in (idle, client):
        each_client.connection.close()
    standin.stop()
    bare.shutdown()
    bare.server_close()
    start_many, reset_many = many_portals()

    ratio, crowded = alone["call"] / alone["nothing"], many["call"] / many["nothing"]
    print("  processor time, client and server together")
    print(f"  a server that does nothing   {alone['nothing']:6.2f} ms a call")
    print(f"  profile                      {alone['call']:6.2f} ms, {ratio:.2f} times that; {crowded:.2f} in a crowd")
    print(f"  batch of 50 unpublishes      {batch_ms:6.2f} ms, {batch_ms / 50 / alone['call']:.2f} of a call each")
    print(f"  500 of 3,000 pages           {list_ms:6.2f} ms")
    print(f"  {CROWD} calls of 0.2 s at once    {at_once:6d} under way together")
    print(
        f"  start {start_ms:.0f} ms, reset {reset_ms:.1f} ms;"
        f" with {PORTALS} portals {start_many:.0f} ms and {reset_many:.0f} ms"
    )
    promises = {
        "a call costs at most 1.5 times nothing": ratio <= 1.5,
        "in a crowd of twenty connections at most 1.5 times, too": crowded <= 1.5,
        "slow calls wait side by side, not one after the other": at_once >= CROWD / 10,
        "a command of a batch costs at most half a call": batch_ms / 50 <= alone["call"] / 2,
    }
    for words, kept in promises.items():
        print(f"  {'kept  ' if kept else 'BROKEN'} {words}")
    return 0 if all(promises.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
