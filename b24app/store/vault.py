"""What is secret at rest: AES-256-GCM, bound to its row, under any of several keys.

The additional data is table, row and column, so a ciphertext moved to another row does not open. Form of the stored
bytes: version (1), key id (4, from the key's SHA-256), nonce (12), ciphertext with tag.
"""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import ColumnElement, func
from sqlalchemy.orm import InstrumentedAttribute

VERSION = b"\x01"
KEY_ID, NONCE = 4, 12


class CannotOpen(Exception):
    """The ciphertext belongs to another row, was changed, or its key is no longer among TOKEN_KEYS."""


@dataclass(frozen=True)
class Place:
    """Where a secret lives; part of what is authenticated."""

    table: str
    row: str
    column: str

    def as_bytes(self) -> bytes:
        """Unambiguous form: the parts hold no NUL."""
        return "\0".join((self.table, self.row, self.column)).encode()


def place_of_event(digest: str) -> Place:
    """Where the tokens an event of the inbox brought live."""
    return Place("inbox_events", digest, "sealed")


class Vault:
    """Seals with the newest key, opens with any."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {_key_id(key): AESGCM(key) for key in keys}
        self.newest = _key_id(keys[0])

    def seal(self, secret: str, place: Place) -> bytes:
        """Bytes to store for `secret` at `place`."""
        nonce = os.urandom(NONCE)
        return VERSION + self.newest + nonce + self._keys[self.newest].encrypt(nonce, secret.encode(), place.as_bytes())

    def open(self, sealed: bytes, place: Place) -> str:
        """The secret; CannotOpen when it was not sealed for this place with a key we have."""
        key = self._keys.get(sealed[1 : 1 + KEY_ID])
        if sealed[:1] != VERSION or key is None:
            raise CannotOpen(f"{place.table}.{place.column}: no key for it")
        body = sealed[1 + KEY_ID :]
        try:
            return key.decrypt(body[:NONCE], body[NONCE:], place.as_bytes()).decode()
        except InvalidTag:
            raise CannotOpen(f"{place.table}.{place.column}: does not belong to this row") from None

    def knows(self, key: bytes) -> bool:
        """Whether the key of this id is among ours."""
        return key in self._keys


def key_of(sealed: InstrumentedAttribute[bytes]) -> ColumnElement[bytes]:
    """In SQL: the id of the key that sealed a column."""
    return func.substring(sealed, 1 + len(VERSION), KEY_ID)


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(b"sundown key id" + key).digest()[:KEY_ID]


def fingerprint(secret: str) -> str:
    """SHA-256 in hex: compares tokens without keeping them (Bitrix24's carry at least 128 bits of their own)."""
    return hashlib.sha256(secret.encode()).hexdigest()
