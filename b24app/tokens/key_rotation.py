"""Seal everything anew with the newest of TOKEN_KEYS, while the app works.

The decision: what is left to do is read from the rows themselves, each ciphertext names its key. So a rotation that was
stopped anywhere goes on with the next start, two at once do no harm, and there is no state of its own to go wrong.
A row that is being renewed at the moment is passed by and met again: nobody waits for the rotation, nor it for long.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, func, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from b24app.domain import UserRef
from b24app.store.db import Store
from b24app.store.models import Base, InboxEvent, SystemToken, UserToken
from b24app.store.vault import CannotOpen, Place, Vault, key_of, place_of_event
from b24app.tokens import system_user, user_tokens

BATCH = 100  # rows locked at once, for some ten milliseconds
PAUSE_SECONDS = 1.0
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Sealed:
    """A table with columns that the vault seals; `place` says where the secret of a row and column lives."""

    table: type[Base]
    key: Sequence[InstrumentedAttribute[Any]]
    columns: Sequence[InstrumentedAttribute[Any]]
    place: Callable[[Any, str], Place]


TABLES = (
    Sealed(
        UserToken,
        (UserToken.member_id, UserToken.user_id),
        (UserToken.access, UserToken.refresh),
        lambda row, column: user_tokens.place(UserRef(row.member_id, row.user_id), column),
    ),
    Sealed(
        SystemToken,
        (SystemToken.member_id,),
        (SystemToken.access, SystemToken.refresh),
        lambda row, column: system_user.place(row.member_id, column),
    ),
    Sealed(InboxEvent, (InboxEvent.id,), (InboxEvent.sealed,), lambda row, _: place_of_event(row.digest)),
)


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
            closed = 0
            for table in TABLES:
                after: Key | None = None
                while True:
                    sealed, shut, after = self._next(table, after)
                    done, closed = done + sealed, closed + shut
                    if after is None:
                        break
                    yield Progress(done, closed, self.left())
            end = Progress(done, closed, self.left())
            if end.left <= closed:
                yield replace(end, left=closed)
                return
            time.sleep(self._pause)  # what is left is being renewed at this moment

    def left(self) -> int:
        """How many rows are not sealed with the newest key."""
        with self._store.begin() as db:
            counts = (select(func.count()).select_from(each.table).where(self._old(each)) for each in TABLES)
            return sum(db.scalar(count) or 0 for count in counts)

    def keys(self) -> dict[bytes, int]:
        """How many rows each key has sealed, by the key's id; keys that are not known any more among them."""
        found: dict[bytes, int] = {}
        with self._store.begin() as db:
            for each in TABLES:
                key = key_of(each.columns[-1])
                rows = select(key, func.count()).where(each.columns[-1].is_not(None)).group_by(key)
                for name, number in db.execute(rows):
                    found[bytes(name)] = found.get(bytes(name), 0) + number
        return found

    def _next(self, sealed: Sealed, after: Key | None) -> tuple[int, int, Key | None]:
        """Seal one batch anew: how many, how many would not open, and where to go on; None at the end."""
        query = select(sealed.table).where(self._old(sealed))
        if after is not None:
            query = query.where(tuple_(*sealed.key) > tuple_(*after))
        with self._store.begin() as db:
            rows: Sequence[Any] = db.scalars(
                query.order_by(*sealed.key).limit(self._batch).with_for_update(skip_locked=True, key_share=True)
            ).all()
            opened = sum(self._reseal(sealed, row) for row in rows)
            last = tuple(getattr(rows[-1], column.key) for column in sealed.key) if rows else None
        return opened, len(rows) - opened, last

    def _reseal(self, sealed: Sealed, row: Any) -> bool:
        names = [column.key for column in sealed.columns]
        try:
            fresh = {name: self._vault.open(getattr(row, name), sealed.place(row, name)) for name in names}
        except CannotOpen:
            return False
        for name, secret in fresh.items():
            setattr(row, name, self._vault.seal(secret, sealed.place(row, name)))
        return True

    def _old(self, sealed: Sealed) -> ColumnElement[bool]:
        return or_(*(key_of(column) != self._vault.newest for column in sealed.columns))
