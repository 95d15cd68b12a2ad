"""What really happened: every call with who, when, how it ended and how many were under way at once; every change of a
page, and which were made twice. Tests assert on it, the control panel shows it.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from dataclasses import asdict, dataclass, field

KEPT = 50_000
EXCERPT = 4000
CHANGES_SHOWN = 2000


@dataclass
class Call:
    """One HTTP request, or one command inside a batch (`batch` is then the number of the batch's own call)."""

    n: int
    portal: int | str  # index, or "oauth"
    method: str
    user: int | None = None
    start: float = 0.0
    end: float | None = None
    status: int | None = None
    code: str | None = None
    at_once: int = 1
    batch: int | None = None
    grant: str | None = None
    verb: str = "POST"
    auth: str = ""  # header, auth, access_token, webhook or nothing
    fault: str | None = None
    asked: str = ""
    answered: str = ""


@dataclass
class Change:
    """A page published or taken down; `effective` is false when it was so already."""

    n: int
    portal: int
    lid: int
    action: str
    user: int
    effective: bool
    at: float


@dataclass
class Sent:
    """An event posted to a handler, and what came back."""

    portal: int
    event: str
    handler: str
    at: float
    status: int | None = None
    problem: str | None = None


@dataclass
class Recorder:
    calls_kept: deque[Call] = field(default_factory=lambda: deque(maxlen=KEPT))
    changes: list[Change] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    _n: int = 0
    _cleared: int = 0  # number of the last call before the clearing: what of them is still under way counts no more
    _in_flight: Counter[int | str] = field(default_factory=Counter)
    _most: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, portal: int | str, method: str, now: float, batch: int | None = None) -> Call:
        """Note that a call has come in; a batch's commands are not counted as under way beside it."""
        with self._lock:
            self._n += 1
            if batch is None:
                self._in_flight[portal] += 1
            at_once = max(self._in_flight[portal], 1)
            self._most[str(portal)] = max(self._most[str(portal)], at_once)
            call = Call(self._n, portal, method, start=now, batch=batch, at_once=at_once)
            self.calls_kept.append(call)
            return call

    def end(self, call: Call, now: float, status: int, code: str | None = None) -> None:
        with self._lock:
            call.end, call.status, call.code = now, status, code
            if call.batch is None and call.n > self._cleared:
                self._in_flight[call.portal] -= 1

    def changed(self, portal: int, lid: int, action: str, user: int, effective: bool, now: float) -> None:
        with self._lock:
            self.changes.append(Change(len(self.changes) + 1, portal, lid, action, user, effective, now))

    def calls(
        self, portal: int | str | None = None, method: str | None = None, user: int | None = None, after: int = 0
    ) -> list[Call]:
        """Calls in the order they came, narrowed down."""
        with self._lock:
            kept = list(self.calls_kept)
        return [
            call
            for call in kept
            if call.n > after
            and (portal is None or call.portal == portal)
            and (method is None or call.method == method)
            and (user is None or call.user == user)
        ]

    def changed_twice(self) -> list[dict[str, object]]:
        """Pages to which the same was done again when it was so already."""
        again = Counter((each.portal, each.lid, each.action) for each in self.changes if not each.effective)
        return [{"portal": p, "lid": lid, "action": action, "times": n} for (p, lid, action), n in again.items()]

    def most_at_once(self) -> dict[str, int]:
        with self._lock:
            return dict(self._most)

    def as_json(self, after: int = 0, limit: int | None = None) -> dict[str, object]:
        calls = self.calls(after=after)
        if limit is not None:
            calls = calls[-limit:]
        return {
            "calls": [asdict(call) for call in calls],
            "next": calls[-1].n if calls else after,
            "most_at_once": self.most_at_once(),
            "changes": [asdict(change) for change in self.changes[-(limit or CHANGES_SHOWN) :]],
            "changed_twice": self.changed_twice(),
            "events": [asdict(sent) for sent in self.sent[-500:]],
        }

    def clear(self) -> None:
        with self._lock:
            self.calls_kept.clear()
            self.changes.clear()
            self.sent.clear()
            self._most.clear()
            self._in_flight.clear()
            self._cleared = self._n


def excerpt(text: str | bytes) -> str:
    """What of a body is kept for people to read."""
    shown = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return shown if len(shown) <= EXCERPT else shown[:EXCERPT] + "…"
