"""Which addresses the app may call: checked where the connection is made, not where the name is read.

A proven portal still chooses its own DNS, so the name says nothing. The name is resolved once, every address it has
must be allowed, and the connection goes to one of those very addresses, with SNI and certificate still checked by
name: a second look-up that answers differently (rebinding) never happens. Source: threats 11 to 13.
"""

import re
import socket
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from b24app.errors import ForbiddenAddress

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
Resolver = Callable[..., list[tuple[Any, ...]]]

# Ranges that Python calls global and that lead elsewhere: NAT64, 6to4, old site-local, multicast, and others.
NEVER_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
        "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fec0::/10", "ff00::/8", "::/96",
    )
)  # fmt: skip
HOST = re.compile(r"(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*")
PORT = re.compile(r":([0-9]{1,5})$")
POOL_SIZE, POOLS = 40, 64


class Addresses:
    """The operator's policy: public addresses, the private networks named, and loopback for development.

    resolver  as socket.getaddrinfo; a test hands in its own
    """

    def __init__(
        self,
        networks: Sequence[Network] = (),
        allow_insecure: bool = False,
        resolver: Resolver = socket.getaddrinfo,
    ) -> None:
        self._networks = tuple(networks)
        self._allow_insecure = allow_insecure
        self._resolver = resolver

    def check_endpoint(self, url: str) -> str:
        """The REST base as `scheme://host[:port]/path/`. Raises ForbiddenAddress for what can never be called."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise ForbiddenAddress() from None
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment or not host:
            raise ForbiddenAddress()
        if parts.scheme != "https" and not (parts.scheme == "http" and (self._allow_insecure or self._networks)):
            raise ForbiddenAddress()
        shown = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{parts.path.rstrip('/')}/"

    def adapter(self) -> BaseAdapter:
        """A transport for requests that keeps this policy at every connection."""
        return _GuardedAdapter(self)

    def allowed(self, host: str, port: int, *, secure: bool) -> list[tuple[Any, ...]]:
        """Where `host` may be reached, resolved once. Raises ForbiddenAddress if any address is not allowed."""
        found = self._resolver(host, port, 0, socket.SOCK_STREAM)
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        for *_, where in found:
            self._require(ip_address(str(where[0]).split("%", 1)[0]), secure)
        return found

    def _require(self, address: Address, secure: bool) -> None:
        plain = address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
        if any(plain in network for network in self._networks if network.version == plain.version):
            return
        if self._allow_insecure and plain.is_loopback:
            return
        if not is_public(plain) or not (secure or self._allow_insecure):
            raise ForbiddenAddress()


def is_public(address: Address) -> bool:
    """Reachable on the internet by itself: not private, not a tunnel into something private, not multicast."""
    if any(address in network for network in NEVER_PUBLIC if network.version == address.version):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def plain_host(text: object) -> str:
    """`acme.bitrix24.com` or `host:8080`, lower-case, no default ports. Raises ValueError for anything else."""
    host = str(text).strip().lower()
    port = PORT.search(host)
    name = host[: port.start()] if port else host
    if not HOST.fullmatch(name) or (port and not 0 < int(port[1]) < 65536):
        raise ValueError("not a plain host name")
    return name if not port or port[1] in ("80", "443") else f"{name}:{int(port[1])}"


def same_host(one: str, other: str) -> bool:
    """Whether two addresses or hosts name the same host and port, default ports aside."""
    try:
        return plain_host(_netloc(one)) == plain_host(_netloc(other))
    except ValueError:
        return False


def _netloc(text: str) -> str:
    return urlsplit(text).netloc if "//" in text else text


class _GuardedAdapter(HTTPAdapter):
    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        super().__init__(pool_connections=POOLS, pool_maxsize=POOL_SIZE, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """The usual pools, whose connections look before they connect."""
        super().init_poolmanager(*args, **kwargs)
        plain, secure = _guarded_connections(self._addresses)

        class Plain(HTTPConnectionPool):
            ConnectionCls = plain

        class Secure(HTTPSConnectionPool):
            ConnectionCls = secure

        self.poolmanager.pool_classes_by_scheme = {"http": Plain, "https": Secure}


def _guarded_connections(addresses: Addresses) -> tuple[type[HTTPConnection], type[HTTPSConnection]]:
    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, addresses, secure=False)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, addresses, secure=True)

    return Plain, Secure


def _connect(connection: HTTPConnection, addresses: Addresses, *, secure: bool) -> socket.socket:
    """Connect to one of the checked addresses; errors in urllib3's terms, so that requests tells them apart."""
    host = connection.host.strip("[]")
    try:
        found = addresses.allowed(host, connection.port or 0, secure=secure)
    except (socket.gaierror, UnicodeError) as error:
        reason = error if isinstance(error, socket.gaierror) else socket.gaierror(str(error))
        raise NameResolutionError(host, connection, reason) from error
    failure: OSError = OSError("no address")
    for family, kind, protocol, _name, where in found:
        try:
            return _open(connection, family, kind, protocol, where)
        except OSError as error:
            failure = error
    if isinstance(failure, TimeoutError):
        raise ConnectTimeoutError(connection, "no connection in time") from failure
    raise NewConnectionError(connection, f"no connection: {type(failure).__name__}") from failure


def _open(connection: HTTPConnection, family: int, kind: int, protocol: int, where: Any) -> socket.socket:
    opened = socket.socket(family, kind, protocol)
    try:
        for option in connection.socket_options or ():
            opened.setsockopt(*option)
        if isinstance(connection.timeout, int | float):
            opened.settimeout(connection.timeout)
        opened.connect(where)
    except BaseException:
        opened.close()
        raise
    return opened
