"""Seal everything anew with the newest of TOKEN_KEYS, while the app works.

The decision: what is left to do is read from the rows themselves, each ciphertext names its key. So a rotation that was
stopped anywhere goes on with the next start, two at once do no harm, and there is no state of its own to go wrong.
A row that is being renewed at the moment is passed by and met again: nobody waits for the rotation, nor it for long.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, func, or_, select, tuple_

from b24app.domain import UserRef
from b24app.store.db import Store
from b24app.store.models import UserToken
from b24app.store.vault import CannotOpen, Vault, key_of
from b24app.tokens.user_tokens import place

SEALED = ("access", "refresh")  # the columns of user_tokens that the vault seals
BATCH = 100  # rows locked at once, for some ten milliseconds
PAUSE_SECONDS = 1.0
Key = tuple[str, int]
START: Key = ("", -1)


@dataclass(frozen=True)
class Progress:
    """Rows so far: sealed anew, not openable with any of the keys, and still to come."""

    done: int = 0
    closed: int = 0
    left: int = 0


class Rotation:
    """Seals every stored token with the newest key."""

    def __init__(self, store: Store, vault: Vault, batch: int = BATCH, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._store = store
        self._vault = vault
        self._batch = batch
        self._pause = pause_seconds

    def run(self) -> Iterator[Progress]:
        """Do it, telling after each batch how far it is. The last one has nothing left but what cannot be opened."""
        done = 0
        while True:
            closed, after = 0, START
            while True:
                sealed, shut, after_that = self._next(after)
                done, closed = done + sealed, closed + shut
                if after_that is None:
                    break
                after = after_that
                yield Progress(done, closed, self.left())
            end = Progress(done, closed, self.left())
            if end.left <= closed:
                yield replace(end, left=closed)
                return
            time.sleep(self._pause)  # what is left is being renewed at this moment

    def left(self) -> int:
        """How many rows are not sealed with the newest key."""
        with self._store.begin() as db:
            return db.scalar(select(func.count()).select_from(UserToken).where(self._old())) or 0

    def keys(self) -> dict[bytes, int]:
        """How many rows each key has sealed, by the key's id; keys that are not known any more among them."""
        key = key_of(UserToken.refresh)
        with self._store.begin() as db:
            return {bytes(found): rows for found, rows in db.execute(select(key, func.count()).group_by(key))}

    def _next(self, after: Key) -> tuple[int, int, Key | None]:
        """Seal one batch anew: how many, how many would not open, and where to go on; None at the end."""
        at = tuple_(UserToken.member_id, UserToken.user_id)
        with self._store.begin() as db:
            rows = db.scalars(
                select(UserToken)
                .where(self._old(), at > tuple_(*after))
                .order_by(UserToken.member_id, UserToken.user_id)
                .limit(self._batch)
                .with_for_update(skip_locked=True, key_share=True)
            ).all()
            opened = sum(self._reseal(row) for row in rows)
            last = (rows[-1].member_id, rows[-1].user_id) if rows else None
        return opened, len(rows) - opened, last

    def _reseal(self, row: UserToken) -> bool:
        user = UserRef(row.member_id, row.user_id)
        try:
            fresh = {name: self._vault.open(getattr(row, name), place(user, name)) for name in SEALED}
        except CannotOpen:
            return False
        for name, secret in fresh.items():
            setattr(row, name, self._vault.seal(secret, place(user, name)))
        return True

    def _old(self) -> ColumnElement[bool]:
        return or_(*(key_of(getattr(UserToken, name)) != self._vault.newest for name in SEALED))
