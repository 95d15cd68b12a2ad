"""How often, and how much at once, Bitrix24 is asked about what strangers post.

Anybody can post a made-up token, and each one costs a request to the authorization server and a thread that waits for
it. So a question is paid from several buckets at once: that of the portal it is about as asked from this address, that
of the address, those of the two networks around it. A question that finds its post genuine is paid back, so people who
really open the app cost nothing, however many sit behind one address. Buckets fill by themselves.

There is no bucket for everybody: it would be a switch by which three networks lock out all the others. Instead only so
many questions are asked at once, and a network may wait with one more. A network from which this very portal was proven
before pays from no bucket and has places of its own.

The decision: each process keeps its own count, in memory of a fixed size. Several processes allow as many times as
much, which is still a bound; a count they share would cost a write in the database for every forged post. What is
posted is never kept, only counted in the place that its digest names: two that share one also share the blame, which
at so many places hardly happens, and no flood can push out what was counted before.
"""

import hashlib
import secrets
import threading
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from b24app.bitrix.places import Places
from b24app.clock import Clock
from b24app.errors import AuthorizationUnavailable, PortalBusy, TooManyAttempts
from b24app.expiring import ExpiringCache

SLOTS = 1 << 16
PAUSE_SECONDS = 60
MOST_PROVEN, PROVEN_LASTS = 20_000, timedelta(days=30)
STRANGERS, KNOWN = "questions of strangers", "questions of networks known"


@dataclass(frozen=True)
class Rate:
    """How many questions a full bucket pays, and how fast it fills again."""

    capacity: float
    refill_rate: float


PORTAL, ADDRESS, NETWORK, WIDER = Rate(20, 3), Rate(40, 3), Rate(80, 4), Rate(160, 5)
PREFIXES = {4: (24, 16), 6: (64, 48)}


class RateLimiter:
    """Pays for questions about unproven posts; safe for threads."""

    def __init__(self, clock: Clock, places: Places | None = None) -> None:
        self._clock = clock
        self._places = places or Places()
        self._guard = threading.Lock()
        self._salt = secrets.token_bytes(16)
        self._spent = array("d", bytes(8 * SLOTS))  # how much, and when that was true
        self._when = array("d", bytes(8 * SLOTS))
        self._proven: ExpiringCache[int, bool] = ExpiringCache(MOST_PROVEN)

    @contextmanager
    def charge(self, address: str | None, about: str) -> Iterator[None]:
        """Pay for what is asked in the block, and get it back when the block ends well.

        address  whose post it is about; None for what a trusted server said itself, which costs nothing
        about    the member_id that was posted
        Raises TooManyAttempts, without a question, when a bucket is empty; AuthorizationUnavailable when so many are
        under way that this one found no place.
        """
        if address is None:
            yield
            return
        here = self._slot(f"{network_of(address)} proved {about}", bits=64)
        known = self._proven.get(here, self._clock()) is not None
        buckets = [] if known else [(self._slot(name), rate) for name, rate in buckets_of(address, about)]
        if not self._take(buckets):
            raise TooManyAttempts(retry_after=PAUSE_SECONDS)
        with self._place(KNOWN if known else STRANGERS, network_of(address)):
            yield
        self._give_back(buckets)
        self._proven.put(here, True, self._clock(), PROVEN_LASTS)

    @contextmanager
    def _place(self, party: str, network: str) -> Iterator[None]:
        entered = False
        try:
            with self._places.hold(party, member=network if party == STRANGERS else None):
                entered = True
                yield
        except PortalBusy as full:
            if entered:
                raise
            raise AuthorizationUnavailable(retry_after=full.retry_after) from None

    def _slot(self, name: str, bits: int = SLOTS.bit_length() - 1) -> int:
        digest = hashlib.blake2b(name.encode("utf-8", "replace"), key=self._salt, digest_size=8).digest()
        return int.from_bytes(digest, "big") >> (64 - bits)

    def _take(self, buckets: Sequence[tuple[int, Rate]]) -> bool:
        """Pay one from each of them, or nothing from any when one is empty."""
        with self._guard:
            now = self._clock().timestamp()
            spent = {slot: self._spent_now(slot, rate, now) for slot, rate in buckets}
            if any(spent[slot] + 1 > rate.capacity for slot, rate in buckets):
                return False
            for slot in spent:
                self._set(slot, spent[slot] + 1, now)
            return True

    def _give_back(self, buckets: Sequence[tuple[int, Rate]]) -> None:
        with self._guard:
            now = self._clock().timestamp()
            for slot, rate in buckets:
                self._set(slot, max(0.0, self._spent_now(slot, rate, now) - 1), now)

    def _spent_now(self, slot: int, rate: Rate, now: float) -> float:
        return max(0.0, self._spent[slot] - max(0.0, now - self._when[slot]) * rate.refill_rate)

    def _set(self, slot: int, spent: float, now: float) -> None:
        self._spent[slot], self._when[slot] = spent, now


def buckets_of(address: str, about: str) -> list[tuple[str, Rate]]:
    """The buckets that pay for a question from `address`, as a proxy or socket names it."""
    plain = _plain(address)
    if plain is None:
        return [(f"nowhere about {about}", PORTAL), ("nowhere", ADDRESS)]
    near, wide = (str(ip_network(f"{plain}/{bits}", strict=False)) for bits in PREFIXES[plain.version])
    name = str(plain) if plain.version == 4 else near  # a customer of IPv6 has a whole /64
    return [(f"{name} about {about}", PORTAL), (name, ADDRESS), (f"near {near}", NETWORK), (f"wide {wide}", WIDER)]


def network_of(address: str) -> str:
    """The network around an address, as close as a company's own."""
    plain = _plain(address)
    return "nowhere" if plain is None else str(ip_network(f"{plain}/{PREFIXES[plain.version][0]}", strict=False))


def _plain(address: str) -> IPv4Address | IPv6Address | None:
    try:
        known = ip_address(_without_port(address))
    except ValueError:
        return None
    return known.ipv4_mapped if isinstance(known, IPv6Address) and known.ipv4_mapped else known


def _without_port(address: str) -> str:
    """Some proxies name the port, too: `203.0.113.7:4711`, `[2001:db8::1]:4711`."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.rpartition(":")[0] if address.count(":") == 1 else address
