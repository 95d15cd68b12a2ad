"""Which addresses the app may call, and what a plain host or endpoint looks like.

A proven portal still chooses its own DNS, so its name says nothing: what counts is every address the name has at the
moment a connection is made, which is why `connect` asks here and then connects to one of those very addresses.
Source: threats 11 to 13.
"""

import re
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NoReturn
from urllib.parse import urlsplit

import idna

from b24app.errors import ForbiddenAddress

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address
Found = tuple[Any, ...]
Resolver = Callable[..., list[Found]]

# Ranges that Python calls global and that lead elsewhere. Of IPv6 only 2000::/3 is given out to the internet, which
# rules out NAT64, old site-local, mapped and multicast ones; inside it lie tunnels, documentation and the old 6bone.
GIVEN_OUT = ip_network("2000::/3")
NEVER_PUBLIC = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "224.0.0.0/4", "240.0.0.0/4",
        "2001::/23", "2001:db8::/32", "2002::/16", "3ffe::/16", "3fff::/20",
    )
)  # fmt: skip
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
LONGEST_NAME = 253
PORT = re.compile(r":([0-9]{1,5})$")
PATH = re.compile(r"[A-Za-z0-9/._~-]*")
DEFAULT_PORTS = {"http": 80, "https": 443}
LOOK_UP_SECONDS = 3.0


class Addresses:
    """The operator's policy: public addresses on port 443, the networks and servers named, loopback for development.

    networks  private networks, or others, in which portals may live, on any port
    vouched   addresses of the operator's own servers (authorization), wherever they are
    resolver  as socket.getaddrinfo; a test hands in its own
    """

    def __init__(
        self,
        networks: Sequence[Network] = (),
        allow_insecure: bool = False,
        vouched: Sequence[str] = (),
        resolver: Resolver = socket.getaddrinfo,
    ) -> None:
        self._networks = tuple(networks)
        self._allow_insecure = allow_insecure
        self._vouched = frozenset(_place(url) for url in vouched)
        self._resolver = resolver

    def check_endpoint(self, url: str) -> str:
        """The REST base as `plain_endpoint` gives it. Raises ForbiddenAddress for what would not be called.

        A name that nobody knows at the moment passes: it is looked at again when a connection is made.
        """
        try:
            endpoint = plain_endpoint(url)
        except ValueError:
            raise ForbiddenAddress() from None
        secure, host, port = _place(endpoint)
        with suppress(OSError, UnicodeError):
            self.allowed(host, port, secure=secure)
        return endpoint

    def allowed(self, host: str, port: int, *, secure: bool, seconds: float = LOOK_UP_SECONDS) -> list[Found]:
        """Where `host` may be reached, resolved once. Raises ForbiddenAddress if any address is not allowed."""
        vouched = (secure, host, port) in self._vouched
        if not (secure or vouched or self._allow_insecure):
            raise ForbiddenAddress()
        found = _within(seconds, lambda: self._resolver(host, port, 0, socket.SOCK_STREAM))
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no address")
        for *_, where in found:
            if not (vouched or self._may_call(ip_address(str(where[0]).split("%", 1)[0]), port)):
                raise ForbiddenAddress()
        return found

    def _may_call(self, address: Address, port: int) -> bool:
        plain = address.ipv4_mapped if isinstance(address, IPv6Address) and address.ipv4_mapped else address
        if any(plain in network for network in self._networks if network.version == plain.version):
            return True
        if self._allow_insecure:
            return plain.is_loopback or is_public(plain)
        return is_public(plain) and port == DEFAULT_PORTS["https"]


def is_public(address: Address) -> bool:
    """Reachable on the internet by itself: not private, not a tunnel into something private, not multicast."""
    if any(address in network for network in NEVER_PUBLIC if network.version == address.version):
        return False
    return address.is_global and (address.version == 4 or address in GIVEN_OUT)


def plain_endpoint(url: str) -> str:
    """A REST base as `scheme://host[:port]/path/`. Raises ValueError for anything with more or less to it."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    if parts.scheme not in DEFAULT_PORTS or not PATH.fullmatch(parts.path) or parts.query or parts.fragment:
        raise ValueError("not the base of a REST address")
    if "@" in parts.netloc:
        raise ValueError("not a plain host")
    shown = _host_name(f"[{host}]" if ":" in host else host)
    return f"{parts.scheme}://{shown}{f':{port}' if port else ''}{parts.path.rstrip('/')}/"


def _place(url: str) -> tuple[bool, str, int]:
    """(secure, host, port) of a plain address."""
    parts = urlsplit(url)
    return parts.scheme == "https", parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, 0)


def _within(seconds: float, look_up: Callable[[], list[Found]]) -> list[Found]:
    """The outcome of a look-up, which by itself has no time limit of ours. Raises TimeoutError, or what it raised."""
    outcome: SimpleQueue[list[Found] | OSError | UnicodeError] = SimpleQueue()

    def run() -> None:
        try:
            outcome.put(look_up())
        except (OSError, UnicodeError) as error:
            outcome.put(error)

    Thread(target=run, name="look-up", daemon=True).start()
    try:
        found = outcome.get(timeout=seconds)
    except Empty:
        raise TimeoutError("no answer to the look-up") from None
    if isinstance(found, Exception):
        raise found
    return found


def plain_host(text: object) -> str:
    """`acme.bitrix24.com`, `host:8080` or `[2a00::1]`, lower-case, as DNS knows it, no default ports. Raises ValueError
    for anything else.

    DNS takes more than host names should have: underscores, a dot at the end, the letters of any language (IDNA 2008).
    """
    host = text.strip() if isinstance(text, str) else ""
    if any(letter.lower().isascii() and not letter.isascii() for letter in host):  # such as the sign for Kelvin
        raise ValueError("not a plain host name")
    host = host.lower()
    port = PORT.search(host)
    name = _host_name(host[: port.start()] if port else host)
    if port and not 0 < int(port[1]) < 65536:
        raise ValueError("not a plain host name")
    return name if not port or int(port[1]) in DEFAULT_PORTS.values() else f"{name}:{int(port[1])}"


def _host_name(name: str) -> str:
    try:
        if name.startswith("["):
            return f"[{IPv6Address(name[1:-1]).compressed}]" if name.endswith("]") and "%" not in name else _refused()
        labels = [_label(label) for label in name.removesuffix(".").split(".")]
    except ValueError:  # of an address, of idna
        raise ValueError("not a plain host name") from None
    plain = ".".join(labels)
    return plain if len(plain) <= LONGEST_NAME else _refused()


def _label(label: str) -> str:
    """One part of a name in the letters of DNS. Letters that only look like others, or become others, are refused."""
    known = label if label.isascii() else idna.alabel(label).decode()
    return known if LABEL.fullmatch(known) else _refused()


def _refused() -> NoReturn:
    raise ValueError("not a plain host name")


def same_host(one: str, other: str) -> bool:
    """Whether two addresses or hosts name the same host and port, default ports aside."""
    try:
        return plain_host(_netloc(one)) == plain_host(_netloc(other))
    except ValueError:
        return False


def _netloc(text: str) -> str:
    return urlsplit(text).netloc if "//" in text else text
