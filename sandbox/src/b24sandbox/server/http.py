"""HTTP on real sockets: one thread a connection, kept alive, and able to misbehave.

Written out rather than borrowed from a WSGI server because the stand-in must be able to do what no polite server does:
reset in the middle, drip, hold its breath, stop before the promised length. An application here is a plain function
from `Request` to `Response`.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import IO, Literal

MAX_BODY = 32 * 1024 * 1024
_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True)
class Request:
    verb: str
    path: str
    query: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    peer: str
    host: str

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


Kind = Literal["plain", "reset", "close", "short", "drip"]


@dataclass
class Response:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    manner: Kind = "plain"
    seconds: float = 0.0  # how long a drip takes, in real seconds


Application = Callable[[Request], Response]


def reply(value: object, status: int = 200, **headers: str) -> Response:
    """`value` as JSON, the way PHP writes it: compact and with escaped slashes left alone."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).encode()
    return Response(status, body, {"Content-Type": "application/json; charset=utf-8", **headers})


def page(html: str, status: int = 200, **headers: str) -> Response:
    return Response(status, html.encode(), {"Content-Type": "text/html; charset=utf-8", **headers})


def front_end(status: int) -> Response:
    """What nginx says when the portal behind it does not."""
    words = {302: "Found", 403: "Forbidden", 500: "Internal Server Error", 502: "Bad Gateway", 504: "Gateway Time-out"}
    title = f"{status} {words.get(status, 'Error')}"
    return page(
        f"<html>\n<head><title>{title}</title></head>\n<body><center><h1>{title}</h1></center></body>\n</html>\n",
        status,
    )


class Malformed(Exception):
    """What came is not HTTP."""


class Listener:
    """A listening address with an application behind it, from construction to `close`."""

    def __init__(self, host: str, port: int, application: Application, tls: ssl.SSLContext | None = None) -> None:
        self._application = application
        self._tls = tls
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closing = False
        self._socket = socket.create_server((host, port), backlog=256, reuse_port=False)
        self.host, self.port = self._socket.getsockname()[:2]
        self._thread = threading.Thread(target=self._accept, name=f"stand-in {self.host}:{self.port}", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{self.address}"

    def close(self) -> None:
        """Stop listening and end every connection."""
        self._closing = True
        with contextlib.suppress(OSError):
            socket.create_connection((self.host, self.port), timeout=1).close()
        self._thread.join(timeout=5)
        self._socket.close()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + 3
        while self._connections and time.monotonic() < deadline:
            time.sleep(0.005)

    def _accept(self) -> None:
        while not self._closing:
            try:
                connection, peer = self._socket.accept()
            except OSError:
                return
            if self._closing:
                connection.close()
                return
            with self._lock:
                self._connections.add(connection)
            threading.Thread(target=self._serve, args=(connection, str(peer[0])), daemon=True).start()

    def _serve(self, connection: socket.socket, peer: str) -> None:
        plain = connection
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                connection = self._wrap(connection)
            with connection, connection.makefile("rb") as incoming:
                while not self._closing and self._exchange(connection, incoming, peer):
                    pass
        except (OSError, Malformed, ValueError):
            pass  # the other side went away or does not speak HTTP: there is nobody to tell
        finally:
            connection.close()
            with self._lock:
                self._connections.discard(plain)
                self._connections.discard(connection)

    def _wrap(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            return connection
        connection.settimeout(10)
        wrapped = self._tls.wrap_socket(connection, server_side=True)
        wrapped.settimeout(None)
        with self._lock:
            self._connections.add(wrapped)
        return wrapped

    def _exchange(self, connection: socket.socket, incoming: IO[bytes], peer: str) -> bool:
        """One request and its answer; whether another may follow."""
        request = read_request(connection, incoming, peer)
        if request is None:
            return False
        response = self._application(request)
        keep = request.headers.get("connection", "").lower() != "close" and response.manner in ("plain", "drip")
        send(connection, request, response, keep)
        return keep


def read_request(connection: socket.socket, incoming: IO[bytes], peer: str) -> Request | None:
    """The next request of a connection, or None when the other side has ended it."""
    line = incoming.readline(65537).decode("latin-1").strip()
    if not line:
        return None
    verb, _, rest = line.partition(" ")
    target, _, version = rest.rpartition(" ")
    if not version.startswith("HTTP/1."):
        raise Malformed(line)
    headers = _read_headers(incoming)
    if version == "HTTP/1.0" and headers.get("connection", "").lower() != "keep-alive":
        headers["connection"] = "close"
    if headers.get("expect", "").lower() == "100-continue":
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = _read_body(incoming, headers)
    path, _, query = target.partition("?")
    return Request(verb.upper(), path, query, headers, body, peer, headers.get("host", ""))


def _read_headers(incoming: IO[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(200):
        line = incoming.readline(65537).decode("latin-1").rstrip("\r\n")
        if not line:
            return headers
        name, colon, value = line.partition(":")
        if not colon:
            raise Malformed(line)
        headers[name.strip().lower()] = value.strip()
    raise Malformed("too many headers")


def _read_body(incoming: IO[bytes], headers: Mapping[str, str]) -> bytes:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _read_chunks(incoming)
    length = int(headers.get("content-length") or 0)
    if not 0 <= length <= MAX_BODY:
        raise Malformed("body too large")
    return incoming.read(length) if length else b""


def _read_chunks(incoming: IO[bytes]) -> bytes:
    parts: list[bytes] = []
    total = 0
    while size := int(incoming.readline(1024).partition(b";")[0].strip() or b"0", 16):
        total += size
        if total > MAX_BODY:
            raise Malformed("body too large")
        parts.append(incoming.read(size))
        incoming.readline(8)
    while incoming.readline(65537).strip():
        pass
    return b"".join(parts)


def send(connection: socket.socket, request: Request, response: Response, keep: bool) -> None:
    """Put the answer on the wire in its manner."""
    if response.manner in ("reset", "close"):
        _break(connection, hard=response.manner == "reset")
        return
    head = _head(response, keep)
    body = b"" if request.verb == "HEAD" else response.body
    if response.manner == "short":
        connection.sendall(head + body[: len(body) // 2])
        return
    if response.manner == "drip":
        connection.sendall(head)
        _drip(connection, body, response.seconds)
        return
    connection.sendall(head + body)


def _head(response: Response, keep: bool) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Unknown')}", "Server: nginx"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    lines += [f"Content-Length: {len(response.body)}", f"Connection: {'keep-alive' if keep else 'close'}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")


def _drip(connection: socket.socket, body: bytes, seconds: float) -> None:
    pieces = max(1, min(len(body), 40))
    size = -(-len(body) // pieces)
    for start in range(0, len(body), max(size, 1)):
        time.sleep(seconds / pieces)
        connection.sendall(body[start : start + size])


def _break(connection: socket.socket, hard: bool) -> None:
    """End the connection without an answer; `hard` sends RST in place of FIN."""
    if hard:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return  # closing the socket now resets it
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
