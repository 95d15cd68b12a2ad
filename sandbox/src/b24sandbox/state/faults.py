"""Misbehaviour as data: what goes wrong, where, for the next how many calls.

Two moments matter for a client: a fault before the work was done and one after it (`done`), because only the second
needs "look before you act again".
"""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatch

KINDS: dict[str, str] = {
    "error": "An answer with this error code and status.",
    "html": "The front end's HTML page in place of JSON (502 unless told otherwise).",
    "bad_json": "200 with half of a JSON text.",
    "empty": "200 with an empty body.",
    "close": "The connection ends without an answer.",
    "reset": "The connection is reset without an answer.",
    "reset_before": "Reset before anything was done.",
    "reset_after": "Reset after the work was done: the answer is lost, the change is not.",
    "short": "The connection ends in the middle of the promised body.",
    "latency": "The right answer, this many seconds late.",
    "drip": "The right answer, trickling in over this many seconds.",
    "hang": "No answer for this many seconds, then the front end's 504.",
    "redirect": "302 to another address.",
    "missing_field": "The right answer without one field (`field`, dotted).",
    "wrong_field": "The right answer with one field changed to `value`.",
    "lost": "Inside a batch: the command leaves no trace in the answer.",
}
_SPELLINGS = {name: name for name in KINDS} | {
    "badjson": "bad_json", "slow_drip": "drip", "missing_fields": "missing_field", "wrong_fields": "wrong_field",
}  # fmt: skip
IN_COMMANDS = ("error", "latency", "missing_field", "wrong_field", "lost")


@dataclass
class Fault:
    """`times` is how many calls it takes (-1: until removed), after `skip` matching ones that go well."""

    where: int | str  # portal index, "oauth" or "*"
    kind: str
    method: str = "*"
    times: int = 1
    skip: int = 0
    seconds: float = 1.0
    done: bool = False
    code: str = "INTERNAL_SERVER_ERROR"
    status: int | None = None
    description: str = ""
    field: str = "result"
    value: object = None
    user: int | None = None
    location: str = ""
    whole: bool = False  # requests only, no command of a batch
    struck: int = 0
    id: int = 0

    def matches(self, where: int | str, method: str, user: int | None) -> bool:
        place = self.where in ("*", where)
        named = any(fnmatch(method, each.strip()) for each in self.method.lower().split(","))
        return place and named and (self.user is None or self.user == user)

    @property
    def after_work(self) -> bool:
        return self.done or self.kind in ("reset_after", "latency", "drip", "short", "missing_field", "wrong_field")


@dataclass
class Faults:
    waiting: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _n: int = 0

    def add(self, fault: Fault) -> Fault:
        """Arm a fault; raises ValueError when its kind is unknown, or when it would hit nothing."""
        fault.kind = _SPELLINGS.get(fault.kind.lower().replace("-", "_"), fault.kind)
        if fault.kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(KINDS)}")
        if fault.times < -1 or fault.times == 0 or fault.skip < 0 or fault.seconds < 0:
            raise ValueError("times is 1 or more, or -1 until removed; skip and seconds are 0 or more")
        if fault.where == "oauth" and fault.method.strip("/") in ("oauth/token", "token"):
            fault.method = "/oauth/token/"
        with self._lock:
            self._n += 1
            fault.id = self._n
            self.waiting.append(fault)
        return fault

    def take(self, where: int | str, method: str, user: int | None = None, command: bool = False) -> Fault | None:
        """The fault that hits this call, used up by one; a command of a batch is hit only by what can hit one."""
        with self._lock:
            for fault in self.waiting:
                if not fault.matches(where, method, user) or (command and fault.kind not in IN_COMMANDS):
                    continue
                if (command and fault.whole) or (not command and fault.kind == "lost"):
                    continue
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.struck += 1
                if fault.times > 0:
                    fault.times -= 1
                    if fault.times == 0:
                        self.waiting.remove(fault)
                return fault
        return None

    def clear(self, id: int | None = None) -> None:
        with self._lock:
            self.waiting = [fault for fault in self.waiting if id is not None and fault.id != id]

    def as_json(self) -> list[dict[str, object]]:
        with self._lock:
            return [asdict(fault) for fault in self.waiting]
