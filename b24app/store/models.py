"""What we remember, as tables. Everything hangs on member_id, which never changes; domains may.

A portal's rows go together: deleting the portal takes its users, tokens, proofs, runs and call log along.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Dialect,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    func,
    text,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from b24app.domain import Action, ItemState, Kind, NoticeAbout, NoticeFate, NoticeWish, RunState, UserRef
from b24app.errors import Problem, RecordedProblem

NAMES = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
MEMBER = String(64)


def _words(term: type[StrEnum]) -> Enum:
    """A term is kept as its word, without a database type that each new word would have to migrate."""
    return Enum(term, native_enum=False, length=16, values_callable=lambda words: [word.value for word in words])


class Recorded(TypeDecorator[RecordedProblem]):
    """A RecordedProblem in a column of JSON."""

    impl = JSONB(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: RecordedProblem | None, dialect: Dialect) -> dict[str, str] | None:
        return None if value is None else value.stored()

    def process_result_value(self, value: Mapping[str, Any] | None, dialect: Dialect) -> RecordedProblem | None:
        return None if value is None else RecordedProblem.read(value)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {  # noqa: RUF012  SQLAlchemy's own form
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB(none_as_null=True),
        RecordedProblem: Recorded(),
        Action: _words(Action),
        Kind: _words(Kind),
        RunState: _words(RunState),
        ItemState: _words(ItemState),
        NoticeAbout: _words(NoticeAbout),
        NoticeFate: _words(NoticeFate),
        NoticeWish: _words(NoticeWish),
    }


class Portal(Base):
    """One Bitrix24 with the app installed, or once installed."""

    __tablename__ = "portals"

    member_id: Mapped[str] = mapped_column(MEMBER, primary_key=True)
    domain: Mapped[str] = mapped_column(Text, index=True)
    client_endpoint: Mapped[str] = mapped_column(Text)  # REST base as app.info gave it, ends in /rest/
    oauth_server: Mapped[str] = mapped_column(Text)  # which allow-listed authorization server answers for it
    scope: Mapped[str] = mapped_column(Text)  # comma list
    status: Mapped[str] = mapped_column(String(16))
    app_version: Mapped[int]
    application_token_sha256: Mapped[str | None] = mapped_column(String(64))
    epoch: Mapped[int] = mapped_column(
        BigInteger
    )  # starts anywhere, grows at each installation and removal: ends every session
    pages_version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))  # grows when we changed a page
    installed_at: Mapped[datetime]
    bound_to: Mapped[str | None] = mapped_column(Text)  # the APP_URL that events and placement are bound to
    uninstalled_at: Mapped[datetime | None]
    to_be_erased: Mapped[bool] = mapped_column(server_default=text("false"))  # removed with its data: a job deletes it
    to_be_forgotten: Mapped[bool] = mapped_column(server_default=text("false"))  # removed: a job forgets its people
    suspended_code: Mapped[str | None] = mapped_column(
        Text
    )  # why work stopped: Bitrix24's word, or `removal_announced`
    suspended_at: Mapped[datetime | None]
    asked_times: Mapped[int] = mapped_column(server_default=text("0"))  # since it was stopped
    ask_again_at: Mapped[datetime | None] = mapped_column(index=True)  # of a stopped portal
    paused_until: Mapped[datetime | None]

    @property
    def is_open(self) -> bool:
        """The app may work for this portal."""
        return self.uninstalled_at is None


class User(Base):
    """One person of a portal, as far as the app must know them."""

    __tablename__ = "users"

    member_id: Mapped[str] = mapped_column(
        MEMBER, ForeignKey("portals.member_id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    name: Mapped[str] = mapped_column(Text, server_default="")
    portal_zone: Mapped[str | None] = mapped_column("zone", Text)  # from `profile`, else what their browser says
    chosen_zone: Mapped[str | None] = mapped_column(Text)  # by the person: stands above the portal's
    language: Mapped[str] = mapped_column(String(8), server_default="en")
    theme: Mapped[str] = mapped_column(String(8), server_default="light")
    is_admin: Mapped[bool] = mapped_column(server_default=text("false"))
    epoch: Mapped[int] = mapped_column(server_default=text("1"))  # grows when Bitrix24 says the user may not
    opened_at: Mapped[datetime | None]
    seen_version: Mapped[int | None]  # of the app on this portal, when they last had it open
    seen_scope: Mapped[str | None] = mapped_column(Text)
    seen_at: Mapped[datetime | None]  # up to when they said they know what happened
    lists_from: Mapped[datetime | None]  # lists of pages that were read before are out of date, in any process
    refused_code: Mapped[str | None] = mapped_column(Text)  # why Bitrix24 does not let them in, as it said last
    notices: Mapped[NoticeWish] = mapped_column(server_default=text("'problems'"))  # which ones they want in the portal

    @property
    def ref(self) -> UserRef:
        """The key of this person's token."""
        return UserRef(self.member_id, self.user_id)


class UserToken(Base):
    """The newest token pair of one person; its row is the lock of renewal."""

    __tablename__ = "user_tokens"
    __table_args__ = (
        ForeignKeyConstraint(["member_id", "user_id"], ["users.member_id", "users.user_id"], ondelete="CASCADE"),
    )

    member_id: Mapped[str] = mapped_column(MEMBER, primary_key=True)
    user_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    access: Mapped[bytes] = mapped_column(LargeBinary)  # sealed by the vault
    refresh: Mapped[bytes] = mapped_column(LargeBinary)  # sealed by the vault
    access_sha256: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime]
    obtained_at: Mapped[datetime] = mapped_column(index=True)
    tried_at: Mapped[datetime | None]  # when it was last tried to keep it alive
    dead_code: Mapped[str | None] = mapped_column(Text)  # why it cannot be renewed; a new pair clears it


class VerifiedToken(Base):
    """An access token the authorization server vouched for, kept by its hash until the token expires."""

    __tablename__ = "proofs"

    access_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    member_id: Mapped[str] = mapped_column(MEMBER, ForeignKey("portals.member_id", ondelete="CASCADE"), index=True)
    user_id: Mapped[int] = mapped_column(BigInteger)
    domain: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Run(Base):
    """One order: an action over pages of one kind."""

    __tablename__ = "runs"
    __table_args__ = (
        UniqueConstraint("member_id", "created_by", "idempotency_key"),
        Index("ix_runs_list", "member_id", "created_at", "id"),
        Index("ix_runs_ended", "member_id", "finished_at"),
        Index(
            "ix_runs_open",
            "state",
            "member_id",
            postgresql_where=text("state in ('scheduled','queued','running','waiting')"),
        ),
        Index("ix_runs_due", "at", postgresql_where=text("state = 'scheduled'")),
        Index("ix_runs_at", "member_id", "at", postgresql_where=text("at is not null")),
        Index("ix_runs_finished", "finished_at", postgresql_where=text("finished_at is not null")),
        Index("ix_runs_uncounted", "member_id", postgresql_where=text("finished_at is not null and tally is null")),
        Index("ix_runs_doubtful", "state", postgresql_where=text("doubt is not null")),
        Index("ix_runs_by_state", "member_id", "state", "created_at", "id"),
        Index("ix_runs_by_person", "member_id", "created_by", "created_at", "id"),
        Index("ix_runs_retries", "retries", postgresql_where=text("retries is not null")),
        Index("ix_runs_added", "member_id", "added_at", postgresql_where=text("added_at is not null")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    member_id: Mapped[str] = mapped_column(MEMBER, ForeignKey("portals.member_id", ondelete="CASCADE"))
    action: Mapped[Action]
    kind: Mapped[Kind]
    state: Mapped[RunState]
    at: Mapped[datetime | None]
    until: Mapped[datetime | None]
    at_wall: Mapped[str | None] = mapped_column(String(32))  # local time as ordered; with zone it outlives rule changes
    until_wall: Mapped[str | None] = mapped_column(String(32))
    zone: Mapped[str | None] = mapped_column(Text)
    name: Mapped[str | None] = mapped_column(Text)  # the campaign it belongs to
    reason: Mapped[str | None] = mapped_column(Text)
    created_by: Mapped[int] = mapped_column(BigInteger)
    created_name: Mapped[str] = mapped_column(Text)
    acting_as: Mapped[int] = mapped_column(BigInteger)
    acting_name: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    problem: Mapped[RecordedProblem | None]  # why it waits or failed
    waiting_since: Mapped[datetime | None]  # of the first time it could not go on since it last did something
    checked_at: Mapped[datetime | None]  # when it was last asked whether the asker could do this now
    doubt: Mapped[RecordedProblem | None]  # why it would not go if its time came now
    seen_by: Mapped[list[int]] = mapped_column(
        "told_to", ARRAY(BigInteger), server_default=text("'{}'")
    )  # who saw how it ended
    tries: Mapped[int] = mapped_column(server_default=text("0"))  # transient failures in a row
    step: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))  # grows with each recorded batch
    worked_at: Mapped[datetime | None]  # when a batch was last recorded
    decided_by: Mapped[int | None] = mapped_column(BigInteger)  # who said that it is still wanted though late
    decided_at: Mapped[datetime | None]
    cancelled_by: Mapped[int | None] = mapped_column(BigInteger)  # who stopped it; None also where nobody kept it
    cancelled_name: Mapped[str | None] = mapped_column(Text)
    returns_run: Mapped[UUID | None] = mapped_column(index=True)  # the linked run that publishes again at `until`
    is_return: Mapped[bool] = mapped_column(server_default=text("false"))  # it is such a linked run, or a retry of one
    undoes: Mapped[UUID | None] = mapped_column(index=True)
    retries: Mapped[UUID | None]
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    order_sha256: Mapped[str | None] = mapped_column(String(64))
    pages: Mapped[int | None]  # how many items it has; None: placed by code that did not write it
    added_pages: Mapped[int | None]  # how many came to it later, within the quota's day before `added_at`
    added_at: Mapped[datetime | None]  # when the last of them came
    tally: Mapped[dict[str, Any] | None]  # of an ended run: items by state; None until counted (`Statistics.count`)

    @property
    def acting_user(self) -> UserRef:
        """Whose token does the work."""
        return UserRef(self.member_id, self.acting_as)

    @classmethod
    def stopped_by(cls, cause: type[Problem]) -> ColumnElement[bool]:
        """In SQL: the run's problem is this very class."""
        key: ColumnElement[str] = type_coerce(cls.problem, JSONB)["key"].astext
        return key == cause.key


class RunItem(Base):
    """One page of a run."""

    __tablename__ = "run_items"
    __table_args__ = (
        Index("ix_run_items_member", "member_id", "lid", "run_id"),
        Index("ix_run_items_in_flight", "run_id", postgresql_where=text("state = 'running'")),
        Index(
            "ix_run_items_to_come",
            "member_id",
            "lid",
            postgresql_where=text("state in ('pending', 'running')"),
        ),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    member_id: Mapped[str | None] = mapped_column(MEMBER)  # its run's; where code does not write it, a trigger does
    lid: Mapped[int] = mapped_column(BigInteger)
    site_id: Mapped[int | None] = mapped_column(BigInteger)
    title: Mapped[str] = mapped_column(Text, server_default="")
    site: Mapped[str] = mapped_column(Text, server_default="")
    url: Mapped[str | None] = mapped_column(Text)
    state: Mapped[ItemState]
    code: Mapped[str | None] = mapped_column(Text)  # Bitrix24's code of a failure
    problem: Mapped[str | None] = mapped_column(String(32))  # the key of its problem: gives the words
    before: Mapped[dict[str, Any] | None]  # the page's state read just before we acted
    after: Mapped[dict[str, Any] | None]  # and right after
    expected: Mapped[dict[str, Any] | None]  # of an undo: what the undone run left behind; anything else is not touched
    baseline: Mapped[bool | None]  # of a return: whether the page is live without our windows; None while its is closed
    kept_by: Mapped[UUID | None]  # of a return: the run that keeps the page as it is beyond this return

    @property
    def was_published(self) -> bool | None:
        """Whether visitors could see the page before this run; None when it was never read."""
        return None if self.before is None else bool(self.before.get("active"))


class PageChange(Base):
    """What one recorded batch made of the pages of a portal, so that lists which were read before it can follow.

    `version` is the portal's `pages_version` that came of it. Kept for a few minutes.
    """

    __tablename__ = "page_changes"

    member_id: Mapped[str] = mapped_column(
        MEMBER, ForeignKey("portals.member_id", ondelete="CASCADE"), primary_key=True
    )
    version: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[datetime]
    pages: Mapped[dict[str, Any]]  # lid to active, public and when it was published, as read after the batch


class Notice(Base):
    """What a person is to be told in the portal of one state of a run: written with it, sent by a job of its own.

    Kept for a while after it was sent, so that the same state is told once however often a run comes back to it.
    """

    __tablename__ = "notices"
    __table_args__ = (
        UniqueConstraint("run_id", "user_id", "about", "since"),
        Index("ix_notices_due", "due_at", postgresql_where=text("fate is null")),
        Index("ix_notices_told", "member_id", "user_id", "told_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    member_id: Mapped[str] = mapped_column(MEMBER, ForeignKey("portals.member_id", ondelete="CASCADE"))
    run_id: Mapped[UUID] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(BigInteger)  # 0: colleagues who could take over; who they are is asked later
    about: Mapped[NoticeAbout]
    since: Mapped[datetime]  # when that state of the run began
    noted_at: Mapped[datetime]
    due_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    told_at: Mapped[datetime | None]  # when nothing was left to do for it
    fate: Mapped[NoticeFate | None]


class MethodThrottle(Base):
    """What was observed of how one method of one portal may be used."""

    __tablename__ = "paces"

    member_id: Mapped[str] = mapped_column(
        MEMBER, ForeignKey("portals.member_id", ondelete="CASCADE"), primary_key=True
    )
    method: Mapped[str] = mapped_column(Text, primary_key=True)
    mean: Mapped[float | None]  # seconds a page takes
    slowest: Mapped[float | None]  # seconds the slowest page took lately
    operating_each: Mapped[float | None]  # operating seconds of a page
    minutes: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))  # unix minute to operating seconds
    reset_at: Mapped[datetime | None]  # operating_reset_at as last told
    operating_limit: Mapped[float | None]  # operating seconds at which the portal refused; None: never seen


class ApiCall(Base):
    """One request to Bitrix24 and its answer, without tokens: the Market asks for at least three days of it."""

    __tablename__ = "api_calls"
    __table_args__ = (
        Index("ix_api_calls_list", "member_id", "id"),
        Index("ix_api_calls_method", "member_id", "method", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    member_id: Mapped[str] = mapped_column(MEMBER, ForeignKey("portals.member_id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(BigInteger)
    method: Mapped[str] = mapped_column(Text)
    params: Mapped[str] = mapped_column(Text)
    http_status: Mapped[int | None]
    code: Mapped[str | None] = mapped_column(Text)
    seconds: Mapped[float]
    answer: Mapped[str] = mapped_column(Text)


class OneTimeMark(Base):
    """What counts once, across processes: a sign-in's state, an event that was carried out. Kept until `expires_at`."""

    __tablename__ = "spent"

    mark: Mapped[str] = mapped_column(String(64), primary_key=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class WorkerSeen(Base):
    """When a worker last said it lives."""

    __tablename__ = "worker_seen"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[datetime]


class SystemToken(Base):
    """The token pair of the app's own system user on a portal (ONAPPUSERREADY): for notices and nothing else."""

    __tablename__ = "system_tokens"

    member_id: Mapped[str] = mapped_column(
        MEMBER, ForeignKey("portals.member_id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(BigInteger)
    access: Mapped[bytes] = mapped_column(LargeBinary)  # sealed by the vault
    refresh: Mapped[bytes] = mapped_column(LargeBinary)  # sealed by the vault
    access_sha256: Mapped[str] = mapped_column(String(64))
    expires_at: Mapped[datetime]
    obtained_at: Mapped[datetime]
    dead_code: Mapped[str | None] = mapped_column(Text)


class InboxEvent(Base):
    """An event that was proven and answered with 200, until it is worked off. A portal need not be known yet."""

    __tablename__ = "inbox_events"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))  # of the whole post
    member_id: Mapped[str] = mapped_column(MEMBER, index=True)
    event: Mapped[str] = mapped_column(String(64))
    ts: Mapped[int] = mapped_column(BigInteger)  # unix seconds as the portal said, 0 where it did not
    values: Mapped[dict[str, Any]]
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)  # tokens that came with it, sealed by the vault
    received_at: Mapped[datetime]
    due_at: Mapped[datetime] = mapped_column(index=True)
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    contradicted: Mapped[int] = mapped_column(server_default=text("0"))  # how often a removal was found untrue
    deadline: Mapped[datetime | None]  # when a removal nobody can be asked about is carried out all the same


class Count(Base):
    """What happened how often, for the figures, across processes and restarts."""

    __tablename__ = "counts"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
