"""Renewed pairs that could not be written down: kept, and tried again until they are.

Bitrix24 has spent the old refresh token by then, so a pair that is dropped is a person who has to open the app again.
It takes a lost lock and a database that has no connection or row for us at that very moment. The pair is kept by this
process alone; who needs it meanwhile gets it from here.
"""

import threading
from collections.abc import Callable

import structlog
from sqlalchemy.exc import DBAPIError

from b24app.bitrix.oauth import TokenPair
from b24app.domain import UserRef
from b24app.errors import PortalError
from b24app.store.db import NoConnection

log = structlog.get_logger()

PAUSE_SECONDS = 1.0
UNWRITTEN = (DBAPIError, NoConnection)


class LatePairs:
    """Keeps pairs, each with the token it came for, and writes them as soon as it can; safe for threads."""

    def __init__(self, write: Callable[[UserRef, str, TokenPair], object]) -> None:
        self._write = write
        self._guard = threading.Lock()
        self._pairs: dict[tuple[UserRef, str], TokenPair] = {}
        self._is_at_work = False

    def keep(self, user: UserRef, spent: str, pair: TokenPair) -> None:
        """Write this pair later."""
        log.warning("token_kept_unwritten", member_id=user.member_id, user_id=user.user_id)
        with self._guard:
            self._pairs[user, spent] = pair
            if not self._is_at_work:
                self._is_at_work = True
                threading.Thread(target=self._work, daemon=True, name="late pairs").start()

    def of(self, user: UserRef, spent: str) -> TokenPair | None:
        """The pair that `spent` was renewed to and that is not written yet."""
        with self._guard:
            return self._pairs.get((user, spent))

    def _work(self) -> None:
        """Until nothing is kept."""
        pause = threading.Event()
        while not pause.wait(PAUSE_SECONDS):
            with self._guard:
                left = dict(self._pairs)
                self._is_at_work = bool(left)
            if not left:
                return
            for (user, spent), pair in left.items():
                self._try(user, spent, pair)

    def _try(self, user: UserRef, spent: str, pair: TokenPair) -> None:
        try:
            self._write(user, spent, pair)
        except UNWRITTEN:
            return
        except PortalError as gone:  # the person or the portal is not here any more
            log.warning("token_dropped", member_id=user.member_id, user_id=user.user_id, code=gone.code)
        with self._guard:
            self._pairs.pop((user, spent), None)
