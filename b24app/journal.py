"""The log of what was asked of Bitrix24: the Market wants requests and answers kept for at least three days.

Who acts is not known where a request is sent, so `acting` says it for the calls made inside the block.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from b24app.store.db import Store
from b24app.store.models import ApiCall
from b24app.terms import UserRef

log = structlog.get_logger()
_actor: ContextVar[UserRef | None] = ContextVar("acting_user", default=None)


class CallFacts(Protocol):
    """What is worth keeping of one request; tokens are already taken out."""

    @property
    def method(self) -> str: ...
    @property
    def params(self) -> str: ...
    @property
    def http_status(self) -> int | None: ...
    @property
    def code(self) -> str | None: ...
    @property
    def seconds(self) -> float: ...
    @property
    def answer_text(self) -> str: ...


@contextmanager
def acting(user: UserRef) -> Iterator[None]:
    """Calls made in this block are logged as made for `user`."""
    mark = _actor.set(user)
    try:
        yield
    finally:
        _actor.reset(mark)


class Journal:
    """Writes one row a call; a row that cannot be written must not undo the call, so it becomes a log line.

    `clean` blacks out what a portal may have put into its words beside the token it was asked with.
    """

    def __init__(self, store: Store, clean: Callable[[str], str]) -> None:
        self._store = store
        self._clean = clean

    def __call__(self, call: CallFacts) -> None:
        """Keep one call."""
        log.info(
            "portal_call", method=call.method, http=call.http_status, code=call.code, ms=round(call.seconds * 1000)
        )
        user = _actor.get()
        if user is None:
            return
        row = ApiCall(
            member_id=user.member_id, user_id=user.user_id, method=call.method, params=self._clean(call.params),
            http_status=call.http_status, code=call.code, seconds=call.seconds, answer=self._clean(call.answer_text),
        )  # fmt: skip
        try:
            with self._store.begin() as db:
                db.add(row)
        except SQLAlchemyError as error:
            log.warning("portal_call_not_kept", method=call.method, reason=type(error).__name__)
