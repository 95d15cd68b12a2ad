"""Connections that look before they connect, and answers with one time limit from their first byte to their last.

The name is resolved once, every address it has must be allowed, and the connection goes to one of those very
addresses, with SNI and certificate still checked by name: a second look-up that answers differently (rebinding) never
happens. A socket's own limit is for each wait, so a server that sends a byte now and then could hold a thread for
ever; here waiting uses the limit up, whatever arrives meanwhile. Source: threats 11 to 13 and 20.
"""

import io
import socket
import ssl
import time
from functools import cached_property
from http.client import HTTPResponse
from typing import Any, cast

from requests.adapters import HTTPAdapter
from requests.utils import DEFAULT_CA_BUNDLE_PATH as KNOWN_AUTHORITIES
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from b24app.bitrix.address import Addresses, Found

POOL_SIZE, POOLS = 40, 64
CONNECT_SECONDS = 3.05
SHORTEST_SECONDS = 0.01
AT_HAND_SECONDS = 0.001  # when time is up, what has come is still taken: a frozen process thaws to a whole answer
MOST_ADDRESSES = 8


class GuardedAdapter(HTTPAdapter):
    """A transport for requests that keeps the policy at every connection."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        super().__init__(pool_connections=POOLS, pool_maxsize=POOL_SIZE, max_retries=0)

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        """Read at the first secure connection: it takes longer than all else that building the services does."""
        return trust()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """The usual pools, whose connections look before they connect."""
        super().init_poolmanager(*args, **kwargs)
        plain, secure = _guarded_connections(self._addresses)
        adapter = self

        class Plain(HTTPConnectionPool):
            ConnectionCls = plain

        class Secure(HTTPSConnectionPool):
            ConnectionCls = secure

            def __init__(self, *where: Any, **known: Any) -> None:
                super().__init__(*where, ssl_context=adapter._trust, **known)

        self.poolmanager.pool_classes_by_scheme = {"http": Plain, "https": Secure}

    def cert_verify(self, conn: Any, *_: Any) -> None:
        """Certificates are always checked, and the pool's context knows by whom."""
        conn.cert_reqs = "CERT_REQUIRED"


def trust() -> ssl.SSLContext:
    """Checks certificates and names; trusts the known authorities and the machine's own (SSL_CERT_FILE included)."""
    context = ssl.create_default_context()
    context.load_verify_locations(KNOWN_AUTHORITIES)
    return context


class HurriedResponse(HTTPResponse):
    """An answer that must be there, to its last byte, within the socket's present limit; else TimeoutError."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        limit = sock.gettimeout()
        if limit is not None:
            unlimited = self.fp.detach()
            self.fp = io.BufferedReader(_Hurried(unlimited, sock, time.monotonic() + limit))


class _Hurried(io.RawIOBase):
    def __init__(self, stream: io.RawIOBase, sock: socket.socket, deadline: float) -> None:
        self._stream = stream
        self._sock = sock
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        left = self._deadline - time.monotonic()
        self._sock.settimeout(max(left, AT_HAND_SECONDS))
        return cast(int | None, self._stream.readinto(buffer))

    def close(self) -> None:
        self._stream.close()
        super().close()


def _guarded_connections(addresses: Addresses) -> tuple[type[HTTPConnection], type[HTTPSConnection]]:
    class Plain(HTTPConnection):
        response_class = HurriedResponse

        def _new_conn(self) -> socket.socket:
            return _connect(self, addresses, secure=False)

    class Secure(HTTPSConnection):
        response_class = HurriedResponse

        def _new_conn(self) -> socket.socket:
            return _connect(self, addresses, secure=True)

    return Plain, Secure


def _connect(connection: HTTPConnection, addresses: Addresses, *, secure: bool) -> socket.socket:
    """Connect to one of the checked addresses, all within the time limit for connecting; errors in urllib3's terms,
    so that requests tells them apart.
    """
    limit = connection.timeout if isinstance(connection.timeout, int | float) else CONNECT_SECONDS
    ends = time.monotonic() + limit
    found = _checked(connection, addresses, secure, limit)
    failure: OSError = OSError("no address")
    for tried, place in enumerate(found):
        share = (ends - time.monotonic()) / (len(found) - tried)
        try:
            opened = _open(connection, place, max(share, SHORTEST_SECONDS))
        except OSError as error:
            failure = error
        else:
            opened.settimeout(limit)
            return opened
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, "no connection in time") from failure
    raise NewConnectionError(connection, f"no connection: {type(failure).__name__}") from failure


def _checked(connection: HTTPConnection, addresses: Addresses, secure: bool, limit: float) -> list[Found]:
    host = connection.host.strip("[]")
    try:
        return addresses.allowed(host, connection.port or 0, secure=secure, seconds=limit)[:MOST_ADDRESSES]
    except TimeoutError as late:
        raise ConnectTimeoutError(connection, "the name was not resolved in time") from late
    except (OSError, UnicodeError) as error:
        reason = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
        raise NameResolutionError(host, connection, reason) from error


def _open(connection: HTTPConnection, place: Found, seconds: float) -> socket.socket:
    family, kind, protocol, _name, where = place
    opened = socket.socket(family, kind, protocol)
    try:
        for option in connection.socket_options or ():
            opened.setsockopt(*option)
        opened.settimeout(seconds)
        opened.connect(where)
    except BaseException:
        opened.close()
        raise
    return opened
