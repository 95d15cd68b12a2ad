"""How often Bitrix24 is asked about what strangers post.

Anybody can post a made-up token, and each one costs a request to the authorization server and a thread that waits for
it. So a question is paid from several buckets at once: that of the portal it is about as asked from this address, that
of the address, those of the two networks around it, and everybody's. A question that finds its post genuine is paid
back, so people who really open the app cost nothing, however many sit behind one address. Buckets fill by themselves.
Somebody from another network still finds money when one network has spent all of its own.

The decision: each process keeps its own buckets, in memory. Several processes allow as many times as much, which is
still a bound; a count they share would cost a write in the database for every forged post.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from b24app.clock import Clock
from b24app.errors import TooManyAttempts

MOST_BUCKETS = 50_000
PAUSE_SECONDS = 60


@dataclass(frozen=True)
class Rate:
    """How many questions a full bucket pays, and how fast it fills again."""

    capacity: float
    refill_rate: float


PORTAL, ADDRESS, NETWORK, WIDER, ALL = Rate(20, 3), Rate(40, 3), Rate(80, 4), Rate(160, 5), Rate(600, 10)
EVERYBODY = "everybody"
PREFIXES = {4: (24, 16), 6: (64, 48)}


class RateLimiter:
    """Pays for questions about unproven posts; safe for threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how much, and when that was true

    @contextmanager
    def charge(self, address: str | None, about: str) -> Iterator[None]:
        """Pay for what is asked in the block, and get it back when the block ends well.

        address  whose post it is about; None for what a trusted server said itself, which costs nothing
        about    the member_id that was posted
        Raises TooManyAttempts, without a question, when a bucket is empty.
        """
        if address is None:
            yield
            return
        buckets = buckets_of(address, about)
        if not self._take(buckets):
            raise TooManyAttempts(retry_after=PAUSE_SECONDS)
        yield
        self._give_back(buckets)

    def _take(self, buckets: Sequence[tuple[str, Rate]]) -> bool:
        """Pay one from each of them, or nothing from any when one is empty."""
        with self._guard:
            now = self._clock().timestamp()
            spent = {name: self._spent_now(name, rate, now) for name, rate in buckets}
            if any(spent[name] + 1 > rate.capacity for name, rate in buckets):
                return False
            for name, _ in buckets:
                self._set(name, spent[name] + 1, now)
            return True

    def _give_back(self, buckets: Sequence[tuple[str, Rate]]) -> None:
        with self._guard:
            now = self._clock().timestamp()
            for name, rate in buckets:
                self._set(name, max(0.0, self._spent_now(name, rate, now) - 1), now)

    def _spent_now(self, name: str, rate: Rate, now: float) -> float:
        spent, then = self._spent.get(name, (0.0, now))
        return max(0.0, spent - max(0.0, now - then) * rate.refill_rate)

    def _set(self, name: str, spent: float, now: float) -> None:
        """Remember what was spent; the buckets unused for longest are forgotten, never everybody's."""
        self._spent[name] = (spent, now)
        self._spent.move_to_end(name)
        while len(self._spent) > MOST_BUCKETS:
            self._spent.popitem(last=False)


def buckets_of(address: str, about: str) -> list[tuple[str, Rate]]:
    """The buckets that pay for a question from `address`, as a proxy or socket names it."""
    try:
        known = ip_address(_without_port(address))
    except ValueError:
        return [(f"nowhere about {about}", PORTAL), ("nowhere", ADDRESS), (EVERYBODY, ALL)]
    plain = known.ipv4_mapped if isinstance(known, IPv6Address) and known.ipv4_mapped else known
    near, wide = (str(ip_network(f"{plain}/{bits}", strict=False)) for bits in PREFIXES[plain.version])
    name = str(plain) if plain.version == 4 else near  # a customer of IPv6 has a whole /64
    buckets = [(f"{name} about {about}", PORTAL), (name, ADDRESS), (f"near {near}", NETWORK), (f"wide {wide}", WIDER)]
    return [*buckets, (EVERYBODY, ALL)]


def _without_port(address: str) -> str:
    """Some proxies name the port, too: `203.0.113.7:4711`, `[2001:db8::1]:4711`."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.rpartition(":")[0] if address.count(":") == 1 else address
