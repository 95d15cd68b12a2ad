"""Waiting before it is too late: whether a scheduled run would go if its time came now.

The asker is asked for by a cheap call with the asker's own token, which also shows a token that cannot be renewed, a
scope that was withdrawn, a user who left. What it finds is written on the run as a doubt, days before the time, for the
asker and for those who can take over. It changes nothing else: at its time the run still runs as the asker.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, and_, func, or_, select, update

from b24app.bitrix import landing
from b24app.bitrix.rest import result_of
from b24app.clock import Clock
from b24app.domain import Kind, RunState, UserRef
from b24app.errors import AccessDenied, PortalError, PublishTooLate, RecordedProblem, UnpublishTooLate
from b24app.pages.lists import may
from b24app.runs import occasions
from b24app.store.db import Store, repeated
from b24app.store.models import Portal, Run, RunItem
from b24app.tokens.user_tokens import Tokens

log = structlog.get_logger()

SOON = timedelta(days=14)
EVERY_DAY, EVERY_WEEK, EVERY_HOUR = timedelta(hours=20), timedelta(days=7), timedelta(minutes=50)
ASKERS_AT_ONCE = 200  # of one look an hour: 4,800 people a day
SITES_AT_ONCE = 45
CALL_SECONDS = 10
ENOUGH = timedelta(minutes=10)  # of one look, when portals are slow
Rights = Mapping[tuple[Kind, int], frozenset[str]]


class Preflight:
    """Safe to do twice and from several workers."""

    def __init__(self, store: Store, tokens: Tokens, clock: Clock) -> None:
        self._store = store
        self._tokens = tokens
        self._clock = clock

    def check_upcoming(self) -> int:
        """Ask for the askers whose turn it is, the nearest times first; how many were asked."""
        began = self._clock()
        askers = self._askers(began)
        for number, asker in enumerate(askers):
            if self._clock() - began > ENOUGH:
                return number
            self.look_at(asker)
        return len(askers)

    def recovered(self) -> Iterator[UserRef]:
        """Askers whose runs wait and could go on now, because what held them up has ended without anybody's doing.

        A withdrawn scope may be back, a closed portal open. One request an asker; none where the token is dead. Who was
        asked longest ago comes first, so that a few who never answer do not take all the time.
        """
        began = self._clock()
        query = (
            select(Run.member_id, Run.acting_as)
            .join(Portal, Portal.member_id == Run.member_id)
            .where(Run.state == RunState.WAITING, Portal.uninstalled_at.is_(None), Portal.suspended_code.is_(None))
            .where(~Run.stopped_by(PublishTooLate), ~Run.stopped_by(UnpublishTooLate))
            .group_by(Run.member_id, Run.acting_as)
            .order_by(func.min(Run.checked_at).nulls_first(), func.min(Run.waiting_since))
        )
        with self._store.begin() as db:
            askers = [UserRef(member_id, user_id) for member_id, user_id in db.execute(query.limit(ASKERS_AT_ONCE))]
        for asker in askers:
            if self._clock() - began > ENOUGH:
                return
            self._note_attempt(_of(asker, RunState.WAITING))
            if self._can_work(asker):
                yield asker

    def _can_work(self, asker: UserRef) -> bool:
        try:
            self._rights(asker, ())
        except PortalError:
            return False
        return True

    def _askers(self, now: datetime) -> list[UserRef]:
        due = or_(
            Run.checked_at.is_(None),
            and_(Run.at < now + SOON, Run.checked_at < now - EVERY_DAY),
            and_(Run.doubt.is_not(None), Run.checked_at < now - EVERY_HOUR),
            Run.checked_at < now - EVERY_WEEK,
        )
        query = (
            select(Run.member_id, Run.acting_as)
            .join(Portal, Portal.member_id == Run.member_id)
            .where(Run.state == RunState.SCHEDULED, Portal.uninstalled_at.is_(None), due)
            .group_by(Run.member_id, Run.acting_as)
            .order_by(func.min(Run.at))
        )
        with self._store.begin() as db:
            return [UserRef(member_id, user_id) for member_id, user_id in db.execute(query.limit(ASKERS_AT_ONCE))]

    def look_at(self, asker: UserRef) -> None:
        """Ask for one asker, and write the doubt, or that there is none, on each of their scheduled runs."""
        runs, sites = self._plans(asker)
        try:
            rights = self._rights(asker, {(run.kind, site) for run in runs for site in sites.get(run.id, ())})
        except PortalError as refused:
            if refused.transient:
                self._note_attempt((Run.id.in_([run.id for run in runs]), Run.state == RunState.SCHEDULED))
            else:
                self._write(dict.fromkeys((run.id for run in runs), refused))
            return
        self._write({run.id: _lack(run, sites.get(run.id, ()), rights) for run in runs})

    def _plans(self, asker: UserRef) -> tuple[list[Run], dict[UUID, list[int]]]:
        """The asker's scheduled runs, and the sites whose pages are in each, as far as they are known."""
        mine = _of(asker, RunState.SCHEDULED)
        with self._store.begin() as db:
            runs = list(db.scalars(select(Run).where(*mine)))
            known = select(RunItem.run_id, RunItem.site_id).join(Run, Run.id == RunItem.run_id)
            rows = db.execute(known.where(*mine, RunItem.site_id.is_not(None)).distinct())
            sites: dict[UUID, list[int]] = {}
            for run_id, site_id in rows:
                sites.setdefault(run_id, []).append(int(site_id or 0))
        return runs, sites

    def _rights(self, asker: UserRef, wanted: Iterable[tuple[Kind, int]]) -> Rights:
        found: dict[tuple[Kind, int], frozenset[str]] = {}
        places = sorted(wanted)
        for start in range(0, max(1, len(places)), SITES_AT_ONCE):
            some = places[start : start + SITES_AT_ONCE]
            commands = {f"{kind}{site}": landing.rights(kind, site) for kind, site in some}
            answers = self._tokens.batch(
                asker, {"scope": landing.sites(Kind.PAGE, limit=1), **commands}, timeout=CALL_SECONDS
            )
            result_of(answers["scope"])
            found |= {(kind, site): landing.read_rights(kind, answers[f"{kind}{site}"]) for kind, site in some}
        return found

    @repeated
    def _note_attempt(self, runs: Iterable[ColumnElement[bool]]) -> None:
        """Asked, whatever comes of it: the next look begins with others."""
        held = select(Run.id).where(*runs).order_by(Run.returns_run.is_(None), Run.id).with_for_update(key_share=True)
        with self._store.begin() as db:
            ids = db.scalars(held).all()
            db.execute(update(Run).where(Run.id.in_(ids)).values(checked_at=self._clock()))

    @repeated
    def _write(self, doubts: Mapping[UUID, PortalError | None]) -> None:
        now = self._clock()
        mine = select(Run).where(Run.id.in_(doubts), Run.state == RunState.SCHEDULED)
        held = mine.order_by(Run.returns_run.is_(None), Run.id).with_for_update(key_share=True)  # as everybody does
        with self._store.begin() as db:
            for run in db.scalars(held).all():
                found = doubts[run.id]
                doubt = found and RecordedProblem.of(found, since=now)
                if doubt is not None and run.doubt is not None and run.doubt.code == doubt.code:
                    doubt = run.doubt
                elif doubt is not None:
                    log.info("run_in_doubt", run=str(run.id), code=doubt.code)
                    occasions.doubtful(db, run, now, now)
                elif run.doubt is not None:
                    occasions.settled(db, run, now)
                db.execute(update(Run).where(Run.id == run.id).values(doubt=doubt, checked_at=now))


def _of(asker: UserRef, state: RunState) -> tuple[ColumnElement[bool], ...]:
    return Run.member_id == asker.member_id, Run.acting_as == asker.user_id, Run.state == state


def _lack(run: Run, sites: Iterable[int], rights: Rights) -> PortalError | None:
    if all(may(run.action, run.kind, rights[run.kind, site]) for site in sites):
        return None
    return AccessDenied(method="landing.site.getRights")
