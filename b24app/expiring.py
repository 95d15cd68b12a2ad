"""A cache that is bounded by size and by age: what is not looked at for long makes room for what is new."""

import threading
from collections import OrderedDict
from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ExpiringCache(Generic[K, V]):
    """Keeps values for a while, at most so many; safe for threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._guard = threading.Lock()
        self._kept: OrderedDict[K, tuple[V, datetime]] = OrderedDict()

    def get(self, key: K, now: datetime) -> V | None:
        """The value, unless it has expired or was pushed out."""
        with self._guard:
            kept = self._kept.get(key)
            if kept is None:
                return None
            value, ends = kept
            if ends <= now:
                del self._kept[key]
                return None
            self._kept.move_to_end(key)
            return value

    def put(self, key: K, value: V, now: datetime, lifetime: timedelta) -> None:
        """Keep a value from now on."""
        with self._guard:
            self._kept[key] = (value, now + lifetime)
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)
