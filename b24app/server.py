"""gunicorn's threads, for many portals and for clients that take their time.

Threads are for work, never for waiting. gunicorn's own worker reads a request in a thread, so a handful of half-open
posts holds them all, and takes requests in the order they come, so fifty to a portal that hangs hold up everybody.
Here the main loop reads a request to its last byte, within limits, before any thread sees it; then three rules say
when it gets one.

- `/healthz`, `/readyz`, `/metrics` and `/events` have threads of their own.
- A portal, known by the session token's claim, has few threads at once, and fewer while few are free. What goes beyond
  waits here, without a thread, five seconds at most; then it is answered that the portal is busy.
- Portals that wait take turns.

The claim is not proven here: who lies in it waits in another queue, and is refused like anybody without a session.
"""

import base64
import json
import re
import selectors
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

from gunicorn.workers.gthread import ThreadWorker

REQUEST_SECONDS = 10.0  # from the first byte of a request to its last
IDLE_SECONDS = 75.0  # until the first one
WAIT_SECONDS = 5.0  # for a thread
LINGER_SECONDS = 2.0  # for the client to take what was answered before the connection goes
TICK_SECONDS = 0.25
MOST_HEAD, MOST_BODY = 64 * 1024, 256 * 1024  # of a longer body the app sees the head, which is enough to refuse it
MOST_DIGITS = 15  # of a length
MOST_READING = 500
MOST_BYTES, SMALL = 32 * 1024 * 1024, 16 * 1024  # of requests being read, and of those read; a small one is taken
CROWDED = 0.9  # of the connections a process may have
RESERVED = {"/healthz": "ops", "/readyz": "ops", "/metrics": "ops", "/events": "events"}
RESERVED_THREADS = 2  # of each kind
OPENINGS = ("/app", "/install", "/session", "/oauth/callback")  # nobody is proven yet: all of them are one party
AT_ONCE, SHARE_OF_FREE = 4, 0.5
BEARER = re.compile(rb"\r\nauthorization:[ \t]*bearer[ \t]+[\w-]+\.([\w-]{1,2000})\.", re.IGNORECASE)
LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)[ \t]*(?=\r\n)", re.IGNORECASE)
CODING = re.compile(rb"\r\ntransfer-encoding:[ \t]*([^\r\n]*)", re.IGNORECASE)
TOO_LONG = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 42\r\n\r\nThe headers of this request are too long.\n"
)
EXPECT = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*(?=\r\n)", re.IGNORECASE)
MEMBER = re.compile(r"[A-Za-z0-9]{1,64}")


class Arriving:
    """A request on its way in: what has come of it, and whether that is all."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.begun = time.monotonic()
        self.is_cut = False  # given to the app before its end, to be refused
        self._head = -1
        self._length: int | None = 0
        self._chunk = 0  # where the next chunk begins

    @property
    def limit_seconds(self) -> float:
        """How long it may take, counted from `begun`."""
        return REQUEST_SECONDS if self.data else IDLE_SECONDS

    @property
    def has_head(self) -> bool:
        """Whether the headers have come to their end."""
        return self._head >= 0

    @property
    def head(self) -> bytes:
        """The request line and the headers."""
        return bytes(self.data[: max(self._head, 0)])

    def take(self, part: bytes) -> None:
        """More of it has come."""
        if not self.data:
            self.begun = time.monotonic()
        self.data += part

    def is_whole(self) -> bool:
        """Whether the app can have it: there to its last byte, or such that it will be refused anyway."""
        if self._head < 0 and not self._read_head():
            self.is_cut = len(self.data) > MOST_HEAD
            return self.is_cut
        if self._length is None:
            return self._has_last_chunk()
        self.is_cut = self._length > MOST_BODY
        return self.is_cut or len(self.data) >= self._head + 4 + self._length

    def asks_to_go_on(self) -> bool:
        """Whether the client waits to be told so before it sends the body; told once."""
        found = EXPECT.search(self.data, 0, self._head + 2) if self._head > 0 else None
        if found is None or self.is_cut:
            return False
        del self.data[found.start() : found.end()]
        self._head -= found.end() - found.start()
        self._chunk = self._head + 4
        return True

    def cut_body(self) -> None:
        """Keep the head alone, which is enough to refuse it."""
        self.is_cut = True
        if self._head >= 0:
            del self.data[self._head + 4 :]

    def _read_head(self) -> bool:
        self._head = self.data.find(b"\r\n\r\n")
        if self._head < 0:
            return False
        head = bytes(self.data[: self._head + 2])
        length = LENGTH.search(head)
        if length is None:
            self._length = 0
        else:
            self._length = int(length[1]) if len(length[1]) <= MOST_DIGITS else MOST_BODY + 1
        if CODING.search(head):
            self._length, self._chunk = None, self._head + 4
        return True

    def _has_last_chunk(self) -> bool:
        """Walk from chunk to chunk as far as they have come. What is no chunk is for gunicorn's parser to refuse."""
        while True:
            line = self.data.find(b"\r\n", self._chunk)
            if line < 0:
                self.is_cut = len(self.data) - self._chunk > 1024
                return self.is_cut
            try:
                size = int(bytes(self.data[self._chunk : line]).partition(b";")[0], 16)
            except ValueError:
                size = -1
            if size < 0 or line - self._head > MOST_BODY or size > MOST_BODY:
                self.is_cut = True
                return True
            if size == 0:
                return self.data.find(b"\r\n\r\n", line) >= 0 or self._too_long()
            if len(self.data) < line + 2 + size + 2:
                return self._too_long()
            self._chunk = line + 2 + size + 2

    def _too_long(self) -> bool:
        self.is_cut = len(self.data) > self._head + 2 * MOST_BODY
        return self.is_cut


class ClientSocket(socket.socket):
    """A client's connection whose request the main loop has read; a thread finds it here as if it came now.

    For a thread nothing comes after that: of a request that was cut, to be refused, it finds an early end.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = Arriving()
        self.waited = 0.0  # seconds for a thread
        self.no_place = False  # it waited in vain

    def setblocking(self, flag: bool, /) -> None:
        """gunicorn calls it when a thread takes the connection: the client has so long to take what is sent."""
        super().settimeout(REQUEST_SECONDS if flag else 0)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """What was read before, then the end: no thread waits for a client."""
        part = bytes(self.request.data[:size])
        del self.request.data[:size]
        return part

    def receive(self) -> int:
        """Read what has come, for the main loop: how much; 0 at the end. Raises OSError."""
        part = super().recv(64 * 1024)
        self.request.take(part)
        return len(part)


class Queue:
    """Requests that wait for a thread, by party; parties take turns. Used by the main loop only."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._waiting: OrderedDict[str, deque[tuple[float, Any]]] = OrderedDict()
        self._at_work: dict[str, int] = {}

    def put(self, party: str, conn: Any) -> None:
        """Let a request wait."""
        self._waiting.setdefault(party, deque()).append((time.monotonic(), conn))

    def take(self) -> tuple[str, Any, float] | None:
        """Whose turn it is, the request, how long it waited; None when nobody may have a thread now."""
        free = self._threads - sum(self._at_work.values())
        for party, waiting in self._waiting.items():
            at_work = self._at_work.get(party, 0)
            if free > 0 and at_work < self._most(party, free):
                since, conn = waiting.popleft()
                self._waiting.move_to_end(party)
                if not waiting:
                    del self._waiting[party]
                self._at_work[party] = at_work + 1
                return party, conn, time.monotonic() - since
        return None

    def _most(self, party: str, free: int) -> float:
        own = self._threads // 2 if party in ("", "openings") else min(AT_ONCE, max(1, self._threads * 3 // 8))
        return max(1.0, min(own, SHARE_OF_FREE * (free + self._at_work.get(party, 0))))

    def done(self, party: str) -> None:
        """A request of this party was answered."""
        self._at_work[party] -= 1
        if not self._at_work[party]:
            del self._at_work[party]

    def overdue(self) -> Iterator[Any]:
        """Requests that waited too long, which are taken out."""
        limit = time.monotonic() - WAIT_SECONDS
        for party in list(self._waiting):
            waiting = self._waiting[party]
            while waiting and waiting[0][0] < limit:
                yield waiting.popleft()[1]
            if not waiting:
                del self._waiting[party]


def party_of(head: bytes, path: str) -> str:
    """Whose request it says it is: a portal's member_id; one name for everything that opens the app; else nobody's."""
    if path in OPENINGS:
        return "openings"
    found = BEARER.search(head)
    if found is None:
        return ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(found[1] + b"=" * (-len(found[1]) % 4)))
    except (ValueError, RecursionError):
        return ""
    member = claims.get("member_id") if isinstance(claims, dict) else None
    return f"portal {member}" if isinstance(member, str) and MEMBER.fullmatch(member) else ""


class Worker(ThreadWorker):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's threads behind a loop that reads and queues."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.reading: dict[Any, None] = {}  # in the order they began
        self.lingering: dict[socket.socket, float] = {}
        self.queue = Queue(self.cfg.threads)
        self.parties: dict[Any, str] = {}
        self.held: dict[Any, tuple[str, int]] = {}  # lane and bytes of each request that waits or is answered
        self.held_bytes: dict[str, int] = {}
        self.looked_at = 0.0
        self.reserved: dict[str, ThreadPoolExecutor] = {}

    def get_thread_pool(self) -> ThreadPoolExecutor:
        """The threads everybody shares; and, beside them, the reserved ones."""
        for lane, threads in (("ops", RESERVED_THREADS), ("events", RESERVED_THREADS), ("refusals", 1)):
            self.reserved[lane] = ThreadPoolExecutor(threads, thread_name_prefix=lane)
        pool: ThreadPoolExecutor = super().get_thread_pool()
        return pool

    # --- reading ---------------------------------------------------------------------------------------------------

    def enqueue_req(self, conn: Any) -> None:
        """Take on a connection that is new, has something to say, or whose request was answered while more had come."""
        if self.cfg.is_ssl:  # the proxy in front should end it; a thread reads it then
            super().enqueue_req(conn)
            return
        if not isinstance(conn.sock, ClientSocket):
            conn.sock = ClientSocket(fileno=conn.sock.detach())
        rest = bytes(conn.sock.request.data)
        if conn.parser is not None:
            rest = conn.parser.unreader.take_buffered() + rest
        conn.sock.request = Arriving()
        if rest:
            conn.sock.request.take(rest)
        conn.sock.setblocking(False)
        conn.data_ready = True
        if rest and conn.sock.request.is_whole():
            self.dispatch(conn)
            return
        self.reading[conn] = None
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.on_readable, conn))
        if len(self.reading) > MOST_READING:
            self.give_up(next(iter(self.reading)))

    def on_readable(self, conn: Any, sock: ClientSocket) -> None:
        """More of a request has come; or had, before another event of the same moment made the loop give it up."""
        if conn not in self.reading:
            return
        try:
            if not sock.receive():
                self.give_up(conn)
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.give_up(conn)
            return
        if sock.request.is_whole():
            self.stop_reading(conn)
            self.dispatch(conn)
        elif sock.request.asks_to_go_on():
            with suppress(OSError):
                sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def stop_reading(self, conn: Any) -> None:
        """The loop has no more to do with this connection."""
        self.reading.pop(conn, None)
        with suppress(OSError, KeyError, ValueError):
            self.poller.unregister(conn.sock)

    def give_up(self, conn: Any) -> None:
        """Close a connection whose request will not come."""
        self.stop_reading(conn)
        self.nr_conns -= 1
        conn.close()

    # --- working ---------------------------------------------------------------------------------------------------

    def dispatch(self, conn: Any) -> None:
        """A request is whole: to its reserved thread, or into the queue. One whose headers do not end is refused here:
        gunicorn's parser would find an early end, and say nothing.
        """
        if not conn.sock.request.has_head:
            with suppress(OSError):
                conn.sock.send(TOO_LONG)
            self.linger(conn)
            return
        head = conn.sock.request.head
        target = head.partition(b" ")[2].partition(b" ")[0]
        path = target.partition(b"?")[0].decode("latin-1")
        conn.sock.waited, conn.sock.no_place = 0.0, False
        lane = RESERVED.get(path, "")
        if not self.has_room(lane, conn):
            conn.sock.no_place = True
            self.submit(self.reserved["refusals"], conn)
        elif lane:
            self.submit(self.reserved[lane], conn)
        else:
            self.queue.put(party_of(head, path), conn)
            self.start_waiting()

    def has_room(self, lane: str, conn: Any) -> bool:
        """Whether one more request can be kept until it is answered. One that cannot loses its body, to be refused."""
        request = conn.sock.request
        size, held = len(request.data), self.held_bytes.get(lane, 0)
        if size > SMALL and held + size > MOST_BYTES:
            request.cut_body()
            return False
        self.held[conn] = lane, size
        self.held_bytes[lane] = held + size
        return True

    def start_waiting(self) -> None:
        """Give threads to those whose turn it is."""
        while (turn := self.queue.take()) is not None:
            party, conn, waited = turn
            self.parties[conn] = party
            conn.sock.waited = waited
            self.submit(self.tpool, conn)

    def submit(self, pool: ThreadPoolExecutor, conn: Any) -> None:
        """Let a thread answer it."""
        answered: Future[Any] = pool.submit(self.handle, conn)
        answered.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def finish_request(self, conn: Any, fs: "Future[Any]") -> None:
        """A thread is done with a connection: keep it for the next request, or let the client take what it got."""
        lane, size = self.held.pop(conn, ("", 0))
        self.held_bytes[lane] = self.held_bytes.get(lane, 0) - size
        party = self.parties.pop(conn, None)
        if party is not None:
            self.queue.done(party)
        if self._is_kept(fs):
            if isinstance(conn.sock, ClientSocket) and conn.sock.request.data:
                self.enqueue_req(conn)
            else:
                super().finish_request(conn, fs)
        else:
            self.linger(conn)
        self.start_waiting()

    @staticmethod
    def _is_kept(fs: "Future[Any]") -> bool:
        return not fs.cancelled() and fs.exception() is None and bool(fs.result())

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Answer it. Nobody waits for the rest of one that was refused before its end, and the answer says so: a client
        that thought the connection was kept would lose its next request.
        """
        if isinstance(conn.sock, ClientSocket) and conn.sock.request.is_cut:
            req.force_close()
        kept: bool = super().handle_request(req, conn)
        return kept

    def _keepalive_after(self, conn: Any, keepalive: bool) -> bool:
        """What the app left unread is all here, so it is thrown away whole: gunicorn would give up at 64 KiB, and close
        where the answer had said otherwise.
        """
        if keepalive and isinstance(conn.sock, ClientSocket):
            conn.parser.finish_body()
        kept: bool = super()._keepalive_after(conn, keepalive)
        return kept

    # --- leaving ---------------------------------------------------------------------------------------------------

    def linger(self, conn: Any) -> None:
        """Say that no more is coming, and close when the client has, or soon. gunicorn would wait for it here."""
        try:
            conn.sock.setblocking(False)
            conn.sock.shutdown(socket.SHUT_WR)
            self.poller.register(conn.sock, selectors.EVENT_READ, self.on_lingering)
        except (OSError, KeyError, ValueError):
            self.nr_conns -= 1
            conn.close()
            return
        self.lingering[conn.sock] = time.monotonic() + LINGER_SECONDS

    def on_lingering(self, sock: socket.socket) -> None:
        """The client sends more, which nobody wants, or has closed."""
        try:
            if socket.socket.recv(sock, 64 * 1024):
                return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass
        self.leave(sock)

    def leave(self, sock: socket.socket) -> None:
        """Close a connection that has been said goodbye to."""
        del self.lingering[sock]
        with suppress(OSError, KeyError, ValueError):
            self.poller.unregister(sock)
        with suppress(OSError):
            sock.close()
        self.nr_conns -= 1

    # --- time ------------------------------------------------------------------------------------------------------

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """As gunicorn's, and look at the time."""
        busy = self.reading or self.lingering or self.parties
        super().wait_for_and_dispatch_events(min(timeout, TICK_SECONDS) if busy else timeout)
        now = time.monotonic()
        if now - self.looked_at < TICK_SECONDS:
            return
        self.looked_at = now
        for conn in self.queue.overdue():
            conn.sock.waited, conn.sock.no_place = WAIT_SECONDS, True
            self.submit(self.reserved["refusals"], conn)
        for conn in [conn for conn in self.reading if self._is_late(conn, now)]:
            self.give_up(conn)
        for sock in [sock for sock, ends in self.lingering.items() if ends < now]:
            self.leave(sock)
        if self.nr_conns > CROWDED * self.worker_connections and self.keepalived_conns:
            self.keepalived_conns[0].timeout = 0.0  # who has been idle for longest makes room
        while sum(len(conn.sock.request.data) for conn in self.reading) > MOST_BYTES:
            self.give_up(max(self.reading, key=lambda conn: len(conn.sock.request.data)))

    def _is_late(self, conn: Any, now: float) -> bool:
        request = conn.sock.request
        idle_at_the_end = not self.alive and not request.data
        return idle_at_the_end or now - request.begun > request.limit_seconds
