"""One thread does what several want at the same moment, the others wait for its outcome, and only a few do at once.

The decision: waiting costs a thread and nothing else. Whoever waits holds no connection, so 200 threads that need one
token, or a token each while the authorization server hangs, leave the pool of connections to everybody else.
"""

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from b24app.deadline import remaining

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """Shares the outcome of work that has a key among the threads of this process."""

    def __init__(self, at_once: int, patience_seconds: float) -> None:
        self._places = threading.BoundedSemaphore(at_once)
        self._patience = patience_seconds
        self._running: dict[K, Future[T]] = {}
        self._guard = threading.Lock()

    def run(self, key: K, work: Callable[[], T]) -> T:
        """What `work` returns or raises: this thread's own, or that of the one already at it for the same key.

        Raises TimeoutError when neither began nor ended in time; the work of the other goes on.
        """
        with self._guard:
            running = self._running.get(key)
            mine = running or self._running.setdefault(key, Future())
        return mine.result(remaining(self._patience)) if running else self._lead(key, mine, work)

    def _lead(self, key: K, turn: "Future[T]", work: Callable[[], T]) -> T:
        try:
            turn.set_result(self._in_place(work))
        except BaseException as error:
            turn.set_exception(error)
            raise
        finally:
            with self._guard:
                del self._running[key]
        return turn.result()

    def _in_place(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(timeout=remaining(self._patience)):
            raise TimeoutError
        try:
            return work()
        finally:
            self._places.release()
