"""How many requests the web processes of one start of gunicorn have answered, by status.

Each process counts in a row of its own in memory that all of them share, so nobody waits for anybody, none is counted
twice, and what a process counted stays when it ends. The row is that of the worker's number, which gunicorn gives once.
"""

import mmap
import threading
from collections import Counter

KINDS = ("2xx", "3xx", "4xx", "500", "502", "503", "504", "5xx")  # the last: any other from 500 on
ROWS, NUMBER_BYTES = 512, 8


class AnswerCounts:
    """Numbers of answers, in memory that forked processes share."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.begin()

    def begin(self) -> None:
        """Count from nothing, in memory of this process and of those it will fork."""
        self._numbers = memoryview(mmap.mmap(-1, ROWS * len(KINDS) * NUMBER_BYTES)).cast("Q")
        self._row = 0

    def use_row(self, number: int) -> None:
        """Count in the row of this number from now on, which no living process shares."""
        self._row = number % ROWS

    def count(self, status: int) -> None:
        """One more answer."""
        place = self._row * len(KINDS) + KINDS.index(_kind(status))
        with self._lock:
            self._numbers[place] += 1

    def total(self) -> Counter[str]:
        """What all have counted, by kind."""
        return Counter({kind: sum(self._numbers[place :: len(KINDS)]) for place, kind in enumerate(KINDS)})


def _kind(status: int) -> str:
    if str(status) in KINDS:
        return str(status)
    return f"{min(max(status // 100, 2), 5)}xx"


answers = AnswerCounts()  # made before gunicorn forks: gunicorn.conf.py imports it
