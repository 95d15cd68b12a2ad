"""A server on loopback that answers every request with the same bytes, pauses included, and remembers what it got."""

import contextlib
import socket
import ssl
import threading
from itertools import cycle
from types import TracebackType

Piece = bytes | float  # what is sent, or seconds of silence


class Loopback:
    """Listens from entering the block to leaving it; `asked` are the requests that came, `met` the connections.

    endless  the last two pieces are sent again and again until the other side has enough
    again    the connection is kept for the next request
    """

    def __init__(
        self, *pieces: Piece, tls: ssl.SSLContext | None = None, endless: bool = False, again: bool = False
    ) -> None:
        self._pieces = pieces
        self._tls = tls
        self._endless = endless
        self._again = again
        self._closing = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.asked: list[bytes] = []
        self.names: list[str | None] = []
        self.met = 0
        if tls is not None:
            tls.sni_callback = lambda _socket, name, _context: self.names.append(name)

    def __enter__(self) -> "Loopback":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._socket.close()

    def url(self, host: str = "127.0.0.1") -> str:
        """Its REST base under a name."""
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/rest/"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self.met += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            spoken = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
            with spoken:
                self._answer(spoken)
                while self._again:
                    self._answer(spoken)

    def _answer(self, spoken: socket.socket) -> None:
        self.asked.append(_request(spoken))
        for piece in self._pieces:
            self._give(spoken, piece)
        for piece in cycle(self._pieces[-2:]) if self._endless else ():
            if self._closing.is_set():
                return
            self._give(spoken, piece)

    def _give(self, spoken: socket.socket, piece: Piece) -> None:
        if isinstance(piece, bytes):
            spoken.sendall(piece)
        else:
            self._closing.wait(piece)


def _request(spoken: socket.socket) -> bytes:
    """One request to its last byte."""
    spoken.settimeout(10)
    got = b""
    while b"\r\n\r\n" not in got:
        got += spoken.recv(65536) or _gone()
    head, _, body = got.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
    )
    while len(body) < length:
        body += spoken.recv(65536) or _gone()
    return head + b"\r\n\r\n" + body


def _gone() -> bytes:
    raise ConnectionError("the other side went away")


def answer(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """A whole answer that ends the connection."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
