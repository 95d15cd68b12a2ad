"""The log of what was asked of Bitrix24: the Market wants requests and answers kept for at least three days.

Who acts is not known where a request is sent, so `acting` says it for the calls made inside the block. The log is read
in slices by the row's number, which grows with time, so a slice costs the same however long the log is.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from sqlalchemy import ColumnElement, and_, func, or_, select, text
from sqlalchemy.exc import SQLAlchemyError

from b24app.clock import Clock
from b24app.domain import Actor, UserRef
from b24app.store.db import Store
from b24app.store.models import ApiCall, User

# Numbers grow with time, but for calls written at the same moment. So a time is looked up as a number with this slack:
# going through the numbers alone, everything that is newer would be read first.
OUT_OF_ORDER = timedelta(minutes=1)
LIMIT_CODES = ("QUERY_LIMIT_EXCEEDED", "OPERATION_TIME_LIMIT", "OVERLOAD_LIMIT")
USAGE_SPAN = timedelta(minutes=10)  # the window in which Bitrix24 counts operating time (limits docs)
FAILED = or_(ApiCall.code.is_not(None), ApiCall.http_status.is_(None))
# Only where the person is still known, or is the app's own, and held until it is written: a call that began before the
# app was removed leaves no trace of them after it.
WRITE_OF = (
    "insert into api_calls (member_id, user_id, method, params, http_status, code, seconds, answer)"
    " select cast(:member_id as text), cast(:user_id as bigint), cast(:method as text), cast(:params as text),"
    " cast(:http_status as int), cast(:code as text), cast(:seconds as float8), cast(:answer as text)"
    " from {} where member_id = :member_id and user_id = :user_id for key share"
)
WRITE_OF_KNOWN = [text(WRITE_OF.format(table)) for table in ("users", "system_tokens")]
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


class RequestRecorder:
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
        row = {
            "member_id": user.member_id, "user_id": user.user_id, "method": call.method,
            "params": self._clean(call.params), "http_status": call.http_status, "code": call.code,
            "seconds": call.seconds, "answer": self._clean(call.answer_text),
        }  # fmt: skip
        try:
            with self._store.begin() as db:
                any(db.execute(each, row).rowcount for each in WRITE_OF_KNOWN)  # type: ignore[attr-defined]
        except SQLAlchemyError as error:
            log.warning("portal_call_not_kept", method=call.method, reason=type(error).__name__)


@dataclass(frozen=True)
class CallFilter:
    """Which calls of the portal to list; `after` is the number of the last one already seen."""

    method: str | None = None
    user_id: int | None = None
    failed: bool | None = None
    since: datetime | None = None
    before: datetime | None = None
    after: int | None = None
    limit: int = 50


@dataclass(frozen=True)
class Usage:
    """What the app asked of a portal in the last ten minutes."""

    requests: int
    seconds: float  # in which the portal was busy answering, the way included
    limited: int  # refused because of a limit


class RequestLog:
    """Asks across the calls of one portal."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def listed(self, actor: Actor, wanted: CallFilter) -> tuple[list[tuple[ApiCall, str]], int | None]:
        """Calls with the name of whom they were made for, newest first; and where the next screen begins."""
        named = and_(User.member_id == ApiCall.member_id, User.user_id == ApiCall.user_id)
        query = select(ApiCall, func.coalesce(User.name, "")).outerjoin(User, named)
        query = query.where(ApiCall.member_id == actor.member_id, *_conditions(wanted)).order_by(ApiCall.id.desc())
        with self._store.begin() as db:
            rows = [(call, name) for call, name in db.execute(query.limit(wanted.limit + 1))]
        shown = rows[: wanted.limit]
        return shown, shown[-1][0].id if len(rows) > wanted.limit else None

    def all_of(self, actor: Actor, wanted: CallFilter) -> Iterator[tuple[ApiCall, str]]:
        """Every call that matches, read piece by piece."""
        following: int | None = wanted.after
        while True:
            rows, following = self.listed(actor, replace(wanted, after=following, limit=500))
            yield from rows
            if following is None:
                return

    def methods(self, actor: Actor) -> list[str]:
        """The methods that were called at all: from each to the next in the index, and not call by call."""
        least = select(func.min(ApiCall.method)).where(ApiCall.member_id == actor.member_id)
        found = select(least.scalar_subquery().label("method")).cte(recursive=True)
        following = least.where(ApiCall.method > found.c.method).correlate(found).scalar_subquery()
        found = found.union_all(select(following).where(found.c.method.is_not(None)))
        with self._store.begin() as db:
            return list(db.scalars(select(found.c.method).where(found.c.method.is_not(None))))

    def usage(self, actor: Actor) -> Usage:
        """What the last ten minutes cost the portal."""
        recent = (ApiCall.member_id == actor.member_id, ApiCall.at >= self._clock() - USAGE_SPAN)
        limited = func.count().filter(func.upper(ApiCall.code).in_(LIMIT_CODES))
        query = select(func.count(), func.coalesce(func.sum(ApiCall.seconds), 0.0), limited).where(*recent)
        with self._store.begin() as db:
            requests, seconds, refused = db.execute(query).one()
        return Usage(requests, float(seconds), refused)


def _conditions(wanted: CallFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.method is not None:
        yield ApiCall.method == wanted.method
    if wanted.user_id is not None:
        yield ApiCall.user_id == wanted.user_id
    if wanted.failed is not None:
        yield FAILED if wanted.failed else ~FAILED
    if wanted.since is not None:
        yield ApiCall.at >= wanted.since
        later = select(ApiCall.id).where(ApiCall.at >= wanted.since - OUT_OF_ORDER).order_by(ApiCall.at)
        yield ApiCall.id >= later.limit(1).scalar_subquery()
    if wanted.before is not None:
        yield ApiCall.at < wanted.before
        sooner = select(ApiCall.id).where(ApiCall.at < wanted.before + OUT_OF_ORDER).order_by(ApiCall.at.desc())
        yield ApiCall.id <= sooner.limit(1).scalar_subquery()
    if wanted.after is not None:
        yield ApiCall.id < wanted.after
