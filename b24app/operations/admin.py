"""What the operator asks and orders over all portals: who is there, what runs, forget this one, end those sessions.

It needs the database and nothing else of the environment, so that it works where the app itself cannot start.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, ScalarSelect, delete, func, or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from b24app.clock import Clock, utcnow
from b24app.domain import OPEN_STATES, ItemState, RunState
from b24app.portals.removal import delete_portal
from b24app.store.db import Store
from b24app.store.models import ApiCall, InboxEvent, Portal, Run, RunItem, User, UserToken, VerifiedToken


class UnknownPortal(Exception):
    """No portal, or no user of it, has this name."""


@dataclass(frozen=True)
class PortalLine:
    """One portal as the operator sees it: no names of people, no titles of pages."""

    domain: str
    member_id: str
    state: str  # open, uninstalled, or Bitrix24's word for why work stopped
    installed_at: datetime
    opened_at: datetime | None
    people: int
    tokens: int  # that can still be renewed
    runs: int  # not ended yet
    stopped_at: datetime | None
    ask_again_at: datetime | None  # when the worker asks whether it may go on


@dataclass(frozen=True)
class EventLine:
    """One event of Bitrix24 that was taken and is not worked off."""

    id: int
    domain: str | None  # None: the portal is not known yet
    member_id: str
    event: str
    received_at: datetime
    due_at: datetime
    attempts: int
    contradicted: int  # how often a removal was found untrue


@dataclass(frozen=True)
class RunLine:
    """One run as the operator sees it."""

    id: UUID
    domain: str
    state: RunState
    action: str
    pages: int
    done: int
    created_at: datetime
    at: datetime | None
    user_id: int
    problem: str | None


@dataclass(frozen=True)
class PortalDataCounts:
    """How much is kept of a portal."""

    domain: str
    member_id: str
    people: int
    runs: int
    calls: int


class Admin:
    """Orders and questions of the operator."""

    def __init__(self, store: Store, clock: Clock = utcnow) -> None:
        self._store = store
        self._clock = clock

    def portals(self, stopped: bool = False) -> list[PortalLine]:
        """Every portal, or those whose work stopped; the one that was opened last first."""
        opened = select(func.max(User.opened_at)).where(User.member_id == Portal.member_id).scalar_subquery()
        people = _count(User.member_id)
        tokens = _count(UserToken.member_id, UserToken.dead_code.is_(None))
        runs = _count(Run.member_id, Run.state.in_(OPEN_STATES))
        query = select(Portal, opened, people, tokens, runs).order_by(opened.desc().nulls_last(), Portal.domain)
        if stopped:
            query = query.where(Portal.uninstalled_at.is_(None), Portal.suspended_code.is_not(None))
        with self._store.begin() as db:
            return [
                PortalLine(
                    portal.domain,
                    portal.member_id,
                    _state(portal),
                    portal.installed_at,
                    last,
                    users,
                    living,
                    moving,
                    portal.suspended_at,
                    portal.ask_again_at,
                )
                for portal, last, users, living, moving in db.execute(query)
            ]

    def runs(self, portal: str | None, states: Sequence[RunState], limit: int) -> list[RunLine]:
        """The newest runs, of one portal or all, in these states or any. Raises UnknownPortal."""
        pages = select(func.count()).where(RunItem.run_id == Run.id).scalar_subquery()
        ended = (ItemState.SUCCEEDED, ItemState.SKIPPED, ItemState.FAILED, ItemState.CANCELLED)
        done = select(func.count()).where(RunItem.run_id == Run.id, RunItem.state.in_(ended)).scalar_subquery()
        query = select(Run, Portal.domain, pages, done).join(Portal, Portal.member_id == Run.member_id)
        query = query.where(Run.state.in_(states)) if states else query
        with self._store.begin() as db:
            if portal:
                query = query.where(Run.member_id == _found(db, portal).member_id)
            return [
                RunLine(
                    run.id, domain, run.state, run.action.value, total, so_far, run.created_at, run.at, run.acting_as,
                    run.problem and run.problem.code,
                )
                for run, domain, total, so_far in db.execute(query.order_by(Run.created_at.desc()).limit(limit))
            ]  # fmt: skip

    def events(self) -> list[EventLine]:
        """Events that were taken and are not worked off, the oldest first."""
        query = select(InboxEvent, Portal.domain).outerjoin(Portal, Portal.member_id == InboxEvent.member_id)
        with self._store.begin() as db:
            return [
                EventLine(
                    event.id, domain, event.member_id, event.event, event.received_at, event.due_at, event.attempts,
                    event.contradicted,
                )
                for event, domain in db.execute(query.order_by(InboxEvent.id))
            ]  # fmt: skip

    def data_counts(self, portal: str) -> PortalDataCounts:
        """What `forget` would delete. Raises UnknownPortal."""
        with self._store.begin() as db:
            found = _found(db, portal)
            people, runs, calls = (
                db.scalar(select(func.count()).where(table.member_id == found.member_id)) or 0
                for table in (User, Run, ApiCall)
            )
            return PortalDataCounts(found.domain, found.member_id, people, runs, calls)

    def forget(self, portal: str) -> None:
        """Delete everything of a portal: people, tokens, runs, log, waiting jobs. Raises UnknownPortal."""
        with self._store.begin() as db:
            delete_portal(db, _found(db, portal).member_id)

    def end_sessions(self, portal: str | None = None, user_id: int | None = None) -> int:
        """Make every session token of a person, a portal, or everybody useless; how many people or portals that were.

        What had been verified is forgotten, too, so the next opening is proven anew. Raises UnknownPortal.
        """
        with self._store.begin() as db:
            member_id = _found(db, portal).member_id if portal else None
            if user_id is None:
                whom: ColumnElement[bool] = (
                    Portal.member_id == member_id if member_id else Portal.member_id.is_not(None)
                )
                ended = db.scalars(
                    update(Portal).where(whom).values(epoch=Portal.epoch + 1).returning(Portal.member_id)
                ).all()
                db.execute(delete(VerifiedToken).where(VerifiedToken.member_id.in_(ended)))
                return len(ended)
            mine = (User.member_id == member_id, User.user_id == user_id)
            if db.scalar(update(User).where(*mine).values(epoch=User.epoch + 1).returning(User.user_id)) is None:
                raise UnknownPortal(f"no user {user_id} is known on {portal}")
            db.execute(
                delete(VerifiedToken).where(VerifiedToken.member_id == member_id, VerifiedToken.user_id == user_id)
            )
            return 1


def _found(db: Session, portal: str) -> Portal:
    """By member_id or by domain, as the operator has it at hand."""
    query = select(Portal).where(or_(Portal.member_id == portal, Portal.domain == portal.lower()))
    found = db.scalars(query).all()
    if len(found) != 1:
        raise UnknownPortal(
            f"no portal is called {portal}" if not found else f"several portals are called {portal}; give a member_id"
        )
    return found[0]


def _count(member_id: InstrumentedAttribute[str], *only: ColumnElement[bool]) -> ScalarSelect[int]:
    """How many rows of a table belong to the portal of the outer query."""
    return select(func.count()).where(member_id == Portal.member_id, *only).scalar_subquery()


def _state(portal: Portal) -> str:
    if not portal.is_open:
        return "uninstalled"
    return portal.suspended_code or "open"
