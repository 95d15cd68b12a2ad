"""One deadline for a whole request, however many calls it makes.

A time limit of each call alone adds up: a renewal, two tries and a look came to half a minute while the person waited
and a thread was held. So a request says once until when it wants its answer, and everything below that waits (for a
portal, an authorization server, a place, a colleague's renewal, a connection to the database) takes the smaller of its
own limit and what is left. Workers set none: their calls have their own limits.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

REQUEST_SECONDS = 25.0  # less than the 30 s after which most proxies give up
Application = Callable[[dict[str, Any], Any], Iterable[bytes]]

_ends: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """What is done in the block has so many seconds in all, and never more than a block around it left."""
    mark = _ends.set(time.monotonic() + remaining(seconds))
    try:
        yield
    finally:
        _ends.reset(mark)


def remaining(own: float) -> float:
    """The smaller of `own` seconds and what is left; 0 when the time is up."""
    ends = _ends.get()
    return own if ends is None else max(0.0, min(own, ends - time.monotonic()))


def is_over() -> bool:
    """Whether the time of this request is up."""
    return remaining(1.0) <= 0


def limited(application: Application, seconds: float = REQUEST_SECONDS) -> Application:
    """The WSGI application with a deadline for each request, which begins when the server has it whole; what it streams
    afterwards has none.
    """

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        waited: float = getattr(environ.get("gunicorn.socket"), "waited", 0.0)
        with within(seconds - waited):
            return application(environ, start_response)

    return answer
