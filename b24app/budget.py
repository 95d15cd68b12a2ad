"""How often Bitrix24 is asked about what strangers post.

Anybody can post a made-up token, and each one costs a request to the authorization server and a thread that waits for
it. So a question is paid from several purses at once: that of the portal it is about as asked from this address, that
of the address, those of the two networks around it, and everybody's. A question that finds its post genuine is paid
back, so people who really open the app cost nothing, however many sit behind one address. Purses fill by themselves.
Somebody from another network still finds money when one network has spent all of its own.

The decision: each process keeps its own purses, in memory. Several processes allow as many times as much, which is
still a bound; a count they share would cost a write in the database for every forged post.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

from b24app.clock import Clock
from b24app.errors import AskedTooOften

MOST_PURSES = 50_000
PAUSE_SECONDS = 60


@dataclass(frozen=True)
class Size:
    """How many questions a full purse pays, and how fast it fills again."""

    most: float
    each_second: float


PORTAL, ADDRESS, NETWORK, WIDER, ALL = Size(20, 3), Size(40, 3), Size(80, 4), Size(160, 5), Size(600, 10)
EVERYBODY = "everybody"
PREFIXES = {4: (24, 16), 6: (64, 48)}


class Budget:
    """Pays for questions about unproven posts; safe for threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._guard = threading.Lock()
        self._spent: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how much, and when that was true

    @contextmanager
    def question(self, address: str | None, about: str) -> Iterator[None]:
        """Pay for what is asked in the block, and get it back when the block ends well.

        address  whose post it is about; None for what a trusted server said itself, which costs nothing
        about    the member_id that was posted
        Raises AskedTooOften, without a question, when a purse is empty.
        """
        if address is None:
            yield
            return
        purses = purses_of(address, about)
        if not self._take(purses):
            raise AskedTooOften(retry_after=PAUSE_SECONDS)
        yield
        self._give_back(purses)

    def _take(self, purses: Sequence[tuple[str, Size]]) -> bool:
        """Pay one from each of them, or nothing from any when one is empty."""
        with self._guard:
            now = self._clock().timestamp()
            spent = {name: self._spent_now(name, size, now) for name, size in purses}
            if any(spent[name] + 1 > size.most for name, size in purses):
                return False
            for name, _ in purses:
                self._set(name, spent[name] + 1, now)
            return True

    def _give_back(self, purses: Sequence[tuple[str, Size]]) -> None:
        with self._guard:
            now = self._clock().timestamp()
            for name, size in purses:
                self._set(name, max(0.0, self._spent_now(name, size, now) - 1), now)

    def _spent_now(self, name: str, size: Size, now: float) -> float:
        spent, then = self._spent.get(name, (0.0, now))
        return max(0.0, spent - max(0.0, now - then) * size.each_second)

    def _set(self, name: str, spent: float, now: float) -> None:
        """Remember what was spent; the purses unused for longest are forgotten, never everybody's."""
        self._spent[name] = (spent, now)
        self._spent.move_to_end(name)
        while len(self._spent) > MOST_PURSES:
            self._spent.popitem(last=False)


def purses_of(address: str, about: str) -> list[tuple[str, Size]]:
    """The purses that pay for a question from `address`, as a proxy or socket names it."""
    try:
        known = ip_address(_without_port(address))
    except ValueError:
        return [(f"nowhere about {about}", PORTAL), ("nowhere", ADDRESS), (EVERYBODY, ALL)]
    plain = known.ipv4_mapped if isinstance(known, IPv6Address) and known.ipv4_mapped else known
    near, wide = (str(ip_network(f"{plain}/{bits}", strict=False)) for bits in PREFIXES[plain.version])
    name = str(plain) if plain.version == 4 else near  # a customer of IPv6 has a whole /64
    purses = [(f"{name} about {about}", PORTAL), (name, ADDRESS), (f"near {near}", NETWORK), (f"wide {wide}", WIDER)]
    return [*purses, (EVERYBODY, ALL)]


def _without_port(address: str) -> str:
    """Some proxies name the port, too: `203.0.113.7:4711`, `[2001:db8::1]:4711`."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address.rpartition(":")[0] if address.count(":") == 1 else address
