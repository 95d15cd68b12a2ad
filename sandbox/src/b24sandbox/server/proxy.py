"""A way to the stand-in for clients with Bitrix24's own addresses built in.

An SDK that always asks `https://oauth.bitrix24.tech` is given this as its HTTPS proxy (`HTTPS_PROXY`), and the
throw-away authority to trust; nothing of it has to be changed. Known names lead to the stand-in, all others nowhere.
"""

from __future__ import annotations

import contextlib
import socket
import threading

OAUTH_NAMES = ("oauth.bitrix.info", "oauth.bitrix24.tech")


class Proxy:
    """Listens on loopback and tunnels CONNECT for known names; `routes` maps `name:443` to `(host, port)`."""

    def __init__(self, routes: dict[str, tuple[str, int]], port: int = 0) -> None:
        self._routes = routes
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closing = False
        self._socket = socket.create_server(("127.0.0.1", port), backlog=64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True, name="stand-in proxy")
        self._thread.start()

    def close(self) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            socket.create_connection(self._socket.getsockname(), timeout=1).close()
        self._thread.join(timeout=5)
        self._socket.close()
        with self._lock:
            tunnels = list(self._open)
        for each in tunnels:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closing:
            connection, _ = self._socket.accept()
            if self._closing:
                connection.close()
                return
            threading.Thread(target=self._tunnel, args=(connection,), daemon=True).start()

    def _tunnel(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head and len(head) < 65536:
                if not (piece := near.recv(4096)):
                    return
                head += piece
            verb, _, rest = head.decode("latin-1").partition(" ")
            target = self._routes.get(rest.partition(" ")[0].lower())
            if verb != "CONNECT" or target is None:
                near.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            with socket.create_connection(target, timeout=5) as far:
                far.settimeout(None)
                near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._pump(near, far)

    def _pump(self, near: socket.socket, far: socket.socket) -> None:
        """Carry bytes both ways until both sides have ended."""
        with self._lock:
            self._open |= {near, far}
        back = threading.Thread(target=_carry, args=(far, near), daemon=True)
        back.start()
        _carry(near, far)
        back.join()
        with self._lock:
            self._open -= {near, far}


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
