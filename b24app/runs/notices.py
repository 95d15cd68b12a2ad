"""Notices in the portal: who is told what of a run, by whose token, and what becomes of it.

`occasions` has written what is to be told. Here it is sent, portal by portal, so that one that hangs holds up no other,
and apart from runs, so that no run waits for a notice. A person hears with their own token, else with that of the app's
system user, and of nobody else. Bitrix24 checks no rights of who is told (docs/bitrix24.md, 12.1), so we do: a title is
told to who may read the page at this moment, a call for help to who may publish all of the pages at this moment.

What was sent twice because a process was killed in between replaces itself by its tag.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, Select, and_, case, delete, func, or_, select, update
from sqlalchemy.orm import Session

from b24app import i18n
from b24app.bitrix import im
from b24app.clock import Clock
from b24app.domain import Actor, Kind, NoticeAbout, NoticeFate, NoticeWish, RunState, UserRef
from b24app.errors import ExpiredToken, InsufficientScope, OperatorError, PortalError
from b24app.permissions import Permissions
from b24app.runs import occasions
from b24app.runs.executor import LONGEST_PAUSE
from b24app.runs.notice_texts import OPEN_APP, SHOW_IT, Told, When, Words
from b24app.runs.occasions import COLLEAGUES, UNSYNCHRONIZED
from b24app.runs.queries import counts_of
from b24app.store.counts import NOTICES_LOST, NOTICES_REFUSED, NOTICES_SENT, count
from b24app.store.db import Store, repeated
from b24app.store.models import Notice, Portal, Run, RunItem, User, UserToken
from b24app.store.queue import SEND_NOTICES, Queue, portals_with_jobs
from b24app.tokens.stops import STOPPING
from b24app.tokens.system_user import SystemUser
from b24app.tokens.user_tokens import Tokens
from b24app.users import zone_of

log = structlog.get_logger()

SECONDS = 10  # of one call
RUNS_A_TURN = 20  # for which colleagues are looked for
PEOPLE_A_TURN = 10  # of a portal each ten seconds: its limit is two calls a second, and runs need them
MOST_A_MINUTE, MINUTE = 5, timedelta(minutes=1)
SUMMED_UP = timedelta(hours=1)  # what the summary before told is told again by the one that replaces it
LEASE = timedelta(minutes=2)  # longer than a person's notices take; after it they are sent by somebody else
WAITS = tuple(timedelta(minutes=each) for each in (0.5, 2, 10, 60, 360))
NO_NEWS_AFTER, KEPT = timedelta(hours=24), timedelta(days=30)
RECENT, SHOWN = timedelta(days=30), timedelta(days=7)
MOST_COLLEAGUES, MOST_ASKED = 5, 20
MANY = 200
TROUBLE = (NoticeAbout.WAITS, NoticeAbout.DOUBTFUL)
TOLD = (NoticeFate.SENT, NoticeFate.SUMMED, NoticeFate.TAKEN)
COUNTED = {
    NoticeFate.SENT: NOTICES_SENT, NoticeFate.SUMMED: NOTICES_SENT, NoticeFate.REFUSED: NOTICES_REFUSED,
    NoticeFate.LOST: NOTICES_LOST,
}  # fmt: skip
Known = dict[tuple[UserRef, Kind, int], frozenset[str]]  # rights of people in sites


@dataclass(frozen=True)
class Due:
    """What one person of a portal is due to be told, taken for a while."""

    portal: Portal
    user_id: int
    rows: Sequence[Notice]
    now: datetime


@dataclass(frozen=True)
class Story:
    """One thing a person is to be told; `item` is the run's only page."""

    row: Notice
    told: Told
    item: RunItem | None


@dataclass(frozen=True)
class NoticeCounts:
    """What became of a portal's notices in the last week, and how many are to be sent."""

    sent: int
    refused: int
    lost: int
    waiting: int


class Notices:
    """Sends what is due. Each verb is safe to do twice."""

    def __init__(
        self, client_id: str, store: Store, queue: Queue, tokens: Tokens, system_user: SystemUser,
        permissions: Permissions, clock: Clock,
    ) -> None:  # fmt: skip
        self._client_id = client_id
        self._store = store
        self._queue = queue
        self._tokens = tokens
        self._system_user = system_user
        self._permissions = permissions
        self._clock = clock

    # --- when ------------------------------------------------------------------------------------------------------

    @repeated
    def requeue_due(self) -> int:
        """Give a job to every portal where something is due and that has none, and let go what is no news any more;
        how many portals.
        """
        now = self._clock()
        with self._store.begin() as db:
            _settle(
                db, select(Notice.id).where(_is_open(), Notice.noted_at < now - NO_NEWS_AFTER), NoticeFate.LOST, now
            )
            due = select(Notice.member_id).join(Portal).where(_is_open(), Notice.due_at <= now, *_may_work(now))
            portals = db.scalars(due.distinct().limit(MANY)).all()
            busy = portals_with_jobs(db, portals, SEND_NOTICES)
            idle = [member_id for member_id in portals if member_id not in busy]
            for member_id in idle:
                self._queue.send_notices(db, member_id)
        return len(idle)

    def send(self, member_id: str) -> None:
        """Tell the people of a portal what is due, as many as its limits allow in one turn."""
        for _ in range(PEOPLE_A_TURN):
            due = self._claim(member_id)
            if due is None:
                return
            try:
                self._work(due)
            except PortalError as failed:
                self._put_off(due, failed)
                return

    @repeated
    def seen(self, actor: Actor, run_id: UUID) -> None:
        """The person looks at the run: what it would be told of it, they know."""
        mine = (Notice.run_id == run_id, Notice.member_id == actor.member_id, Notice.user_id == actor.user_id)
        with self._store.begin() as db:
            done = update(Notice).where(*mine, _is_open()).values(fate=NoticeFate.KNOWN, told_at=self._clock())
            db.execute(done)

    @repeated
    def _claim(self, member_id: str) -> Due | None:
        """What is due for one person, colleagues before all: what is over is taken away before anything new is told."""
        now = self._clock()
        due = (Notice.member_id == member_id, _is_open(), Notice.due_at <= now)
        with self._store.begin() as db:
            portal = db.scalar(select(Portal).where(Portal.member_id == member_id, *_may_work(now)))
            first = select(Notice.user_id).where(*due).order_by(Notice.user_id != COLLEAGUES, Notice.due_at, Notice.id)
            user_id = db.scalar(first.limit(1))
            if portal is None or user_id is None:
                return None
            most = MANY if user_id != COLLEAGUES else RUNS_A_TURN
            mine = select(Notice).where(*due, Notice.user_id == user_id).order_by(Notice.id).limit(most)
            rows = db.scalars(mine.with_for_update(skip_locked=True, key_share=True)).all()
            for row in rows:
                row.tries, row.due_at = row.tries + 1, now + LEASE
        return Due(portal, user_id, rows, now) if rows else None

    @repeated
    def _put_off(self, due: Due, failed: PortalError) -> None:
        """Time or people must help first: all of the portal's notices wait, and each time for longer."""
        tries = max(row.tries for row in due.rows)
        pause = WAITS[min(tries, len(WAITS)) - 1]
        if failed.retry_after:
            pause = max(pause, timedelta(seconds=failed.retry_after))
        again = self._clock() + pause
        mine = Notice.id.in_([row.id for row in due.rows])
        others = and_(Notice.member_id == due.portal.member_id, Notice.due_at < again)
        with self._store.begin() as db:
            held = select(Notice.id).where(_is_open(), or_(mine, others)).order_by(Notice.id)
            ids = db.scalars(held.with_for_update(key_share=True)).all()
            db.execute(update(Notice).where(Notice.id.in_(ids)).values(due_at=again))
        log.info("notices_wait", member_id=due.portal.member_id, code=failed.code, until=again.isoformat())

    @repeated
    def _done(self, rows: Collection[Notice], fate: NoticeFate) -> None:
        mine = select(Notice.id).where(Notice.id.in_([row.id for row in rows]), _is_open())
        with self._store.begin() as db:
            _settle(db, mine, fate, self._clock())

    # --- to whom ---------------------------------------------------------------------------------------------------

    def _work(self, due: Due) -> None:
        """Raises a PortalError that time or people can help."""
        if due.user_id != COLLEAGUES:
            self._tell(due)
            return
        known: Known = {}
        for row in due.rows:
            run = self._run_of(row)
            if run is None:  # it went, and its notices with it
                continue
            if row.about is NoticeAbout.SETTLED:
                self._take_away(due, row, run)
            elif not _stands(row, run):
                self._done([row], NoticeFate.STALE)
            else:
                self._spread(due, row, run, known)

    @repeated
    def _run_of(self, row: Notice) -> Run | None:
        with self._store.begin() as db:
            return db.get(Run, row.run_id)

    def _spread(self, due: Due, row: Notice, run: Run, known: Known) -> None:
        """Find who could take over, by asking each at this moment."""
        able: list[int] = []
        for person in self._candidates(due, run):
            if len(able) == MOST_COLLEAGUES:
                break
            if self._could_take_over(person, run, known):
                able.append(person.user_id)
        self._pass_on(row, run, able)

    @repeated
    def _pass_on(self, row: Notice, run: Run, able: Sequence[int]) -> None:
        now = self._clock()
        with self._store.begin() as db:
            occasions.note(db, run, row.about, row.since, able, now, now)
            _settle(db, select(Notice.id).where(Notice.id == row.id), NoticeFate.DONE, now)

    @repeated
    def _candidates(self, due: Due, run: Run) -> Sequence[UserRef]:
        """Colleagues who have opened the app lately and can be asked, the last ones first."""
        token = and_(UserToken.member_id == User.member_id, UserToken.user_id == User.user_id)
        query = (
            select(User.user_id)
            .join(UserToken, token)
            .where(
                User.member_id == due.portal.member_id, User.user_id.not_in((run.created_by, run.acting_as)),
                User.opened_at > due.now - RECENT, User.refused_code.is_(None), UserToken.dead_code.is_(None),
                User.notices != NoticeWish.NONE,
            )
            .order_by(User.opened_at.desc(), User.user_id)
        )  # fmt: skip
        with self._store.begin() as db:
            return [UserRef(due.portal.member_id, user_id) for user_id in db.scalars(query.limit(MOST_ASKED))]

    def _could_take_over(self, person: UserRef, run: Run, known: Known) -> bool:
        """The right to publish on all sites of the run, at this moment; where a page's site is not known, nobody's.

        known  what was asked in this very turn
        """
        places = {(run.kind, site) for site in self._sites(run)}
        if not places or any(site is None for _, site in places):
            return False
        unknown = [(kind, site) for kind, site in places if site is not None and (person, kind, site) not in known]
        try:
            held = self._permissions.asked_now(person, unknown)
        except PortalError as failed:
            if _can_wait(failed):
                raise
            held = dict.fromkeys(unknown, frozenset[str]())
        known |= {(person, kind, site): codes for (kind, site), codes in held.items()}
        return all("public" in known[person, kind, site] for kind, site in places if site is not None)

    @repeated
    def _sites(self, run: Run) -> list[int | None]:
        known = or_(RunItem.run_id == run.id, RunItem.run_id == run.undoes) if run.undoes else RunItem.run_id == run.id
        with self._store.begin() as db:
            return list(db.scalars(select(RunItem.site_id).where(known).distinct()))

    def _take_away(self, due: Due, row: Notice, run: Run) -> None:
        """A call for help is answered: it goes from everybody's bell, unless something newer was told of the run, or it
        waits again.
        """
        readers = self._readers(row)
        if run.state is RunState.WAITING or not readers:
            self._done([row], NoticeFate.STALE)
            return
        for user_id in readers:
            try:
                self._call(UserRef(due.portal.member_id, user_id), im.DELETE, {"TAG": im.tag(run.id)})
            except PortalError as failed:
                if _can_wait(failed):
                    raise
            else:
                break
        self._done([row], NoticeFate.DONE)

    @repeated
    def _readers(self, row: Notice) -> Sequence[int]:
        """Under whose bell a call for help for the run is that is over; nobody's, where something newer was told."""
        of_run = (Notice.run_id == row.run_id, Notice.user_id != COLLEAGUES)
        newer = (Notice.fate == NoticeFate.SENT, Notice.told_at > row.noted_at)
        with self._store.begin() as db:
            if db.scalar(select(Notice.id).where(*of_run, *newer).limit(1)) is not None:
                return ()
            taken = select(Notice.user_id).where(*of_run, Notice.fate == NoticeFate.TAKEN).order_by(Notice.id)
            return list(dict.fromkeys(db.scalars(taken)))

    # --- what ------------------------------------------------------------------------------------------------------

    def _tell(self, due: Due) -> None:
        person, stories, over = self._read(due)
        for fate, rows in over.items():
            if rows:
                self._done(rows, fate)
        if person is None or not stories:
            return
        sent, summed_at = self._lately(due)
        if sent + len(stories) > MOST_A_MINUTE:
            if summed_at is not None and summed_at > due.now - MINUTE:
                self._hold([story.row for story in stories], summed_at + MINUTE)
            else:
                self._sum_up(due, person, stories)
            return
        known: Known = {}
        for story in stories:
            self._tell_one(due, person, story, known)

    @repeated
    def _read(self, due: Due) -> tuple[User | None, list[Story], dict[NoticeFate, list[Notice]]]:
        """What is still so and wanted; and what is not, with the reason. Of one run the newest stands for all."""
        over: dict[NoticeFate, list[Notice]] = {NoticeFate.STALE: [], NoticeFate.KNOWN: []}
        newest = {row.run_id: row for row in due.rows}
        with self._store.begin() as db:
            person = db.get(User, (due.portal.member_id, due.user_id))
            counts = counts_of(db, list(newest))
            runs = {run.id: run for run in db.scalars(select(Run).where(Run.id.in_(newest)))}
            single = [run_id for run_id, by_state in counts.items() if sum(by_state.values()) == 1]
            items = {item.run_id: item for item in db.scalars(select(RunItem).where(RunItem.run_id.in_(single)))}
        stories = []
        for row in due.rows:
            run = runs.get(row.run_id)
            if run is None or newest[row.run_id] is not row or not _stands(row, run):
                over[NoticeFate.STALE].append(row)
            elif person is None or not _wants(person, row, run):
                over[NoticeFate.KNOWN].append(row)
            else:
                told = Told(run, counts[run.id], None, run.acting_as == person.user_id, im.harmless(run.acting_name))
                stories.append(Story(row, told, items.get(run.id)))
        return person, stories, over

    @repeated
    def _lately(self, due: Due) -> tuple[int, datetime | None]:
        """How many notices the person got in the last minute one by one, and when the last summary was sent."""
        mine = (Notice.member_id == due.portal.member_id, Notice.user_id == due.user_id)
        sent = func.count().filter(Notice.fate == NoticeFate.SENT, Notice.told_at > due.now - MINUTE)
        summed = func.max(case((Notice.fate == NoticeFate.SUMMED, Notice.told_at)))
        with self._store.begin() as db:
            number, summed_at = db.execute(select(sent, summed).where(*mine)).one()
        return number, summed_at

    @repeated
    def _hold(self, rows: Collection[Notice], due_at: datetime) -> None:
        ids = [row.id for row in rows]
        with self._store.begin() as db:
            held = update(Notice).where(Notice.id.in_(ids), _is_open())
            db.execute(held.values(due_at=due_at, tries=Notice.tries - 1))

    def _tell_one(self, due: Due, person: User, story: Story, known: Known) -> None:
        row, run = story.row, story.told.run
        is_asked_for_help = row.about in TROUBLE and person.user_id not in (run.created_by, run.acting_as)
        if is_asked_for_help and not self._could_take_over(person.ref, run, known):
            self._done([row], NoticeFate.KNOWN)
            return
        told = replace(story.told, title=self._title(person, run, story.item))
        self._deliver(due, person, [row], lambda words: words.of_run(row.about, told), run)

    def _sum_up(self, due: Due, person: User, stories: Sequence[Story]) -> None:
        """One notice for all of these, and for what the one before told that it replaces."""
        earlier = self._summed(due)
        whole = [*earlier, *((story.row, story.told.run) for story in stories)]
        trouble = sum(_is_trouble(row, run) for row, run in whole)
        since = min(row.noted_at for row, _ in whole)
        rows = [story.row for story in stories]
        self._deliver(due, person, rows, lambda words: words.of_many(len(whole), trouble, since), None)

    @repeated
    def _summed(self, due: Due) -> list[tuple[Notice, Run]]:
        mine = (Notice.member_id == due.portal.member_id, Notice.user_id == due.user_id)
        earlier = (Notice.fate == NoticeFate.SUMMED, Notice.told_at > due.now - SUMMED_UP)
        with self._store.begin() as db:
            rows = db.execute(select(Notice, Run).join(Run, Run.id == Notice.run_id).where(*mine, *earlier))
            return [(row, run) for row, run in rows]

    def _title(self, person: User, run: Run, item: RunItem | None) -> str | None:
        """Of the run's only page, for who may read it at this moment; nothing where that cannot be asked."""
        if item is None or not item.title or item.site_id is None:
            return None
        place = (run.kind, item.site_id)
        try:
            held = self._permissions.asked_now(person.ref, [place])
        except PortalError as failed:
            log.info("title_not_told", member_id=person.member_id, code=failed.code)
            return None
        return im.harmless(item.title) if "read" in held[place] else None

    # --- the call --------------------------------------------------------------------------------------------------

    def _deliver(
        self, due: Due, person: User, rows: Sequence[Notice], write: Callable[[Words], tuple[str, str]],
        run: Run | None,
    ) -> None:  # fmt: skip
        """One notice for these rows, as a message and as a mail; what the portal makes of it is written down."""
        inside, outside = Words(person.language, im.moment), Words(person.language, self._moment_for(person))
        run_id = run.id if run else None
        link = im.link(self._client_id, run_id, inside(SHOW_IT if run else OPEN_APP))
        address = im.address(due.portal.client_endpoint, self._client_id, run_id)
        message, mail = "\n".join([*write(inside), link]), "\n".join([" ".join(write(outside)), address])
        try:
            result = self._call(person.ref, im.ADD, im.add(person.user_id, message, mail, run_id))
        except PortalError as failed:
            if _can_wait(failed):
                raise
            log.info("notice_refused", member_id=person.member_id, user_id=person.user_id, code=failed.code)
            self._done(rows, NoticeFate.REFUSED)
            return
        told = NoticeFate.SENT if run else NoticeFate.SUMMED
        self._done(rows, told if im.was_taken(result) else NoticeFate.REFUSED)

    def _moment_for(self, person: User) -> When:
        zone = zone_of(person)

        def written(moment: datetime) -> str:
            _days, date, time = i18n.when(moment, person.language, zone, self._clock())
            return f"{date}, {time} ({zone or 'UTC'})"

        return written

    def _call(self, person: UserRef, method: str, params: Mapping[str, object]) -> object:
        """With the person's own token; where that is over, or older than the scope, with the system user's."""
        try:
            return self._tokens.call(person, method, params, timeout=SECONDS).result
        except (ExpiredToken, InsufficientScope):
            if not self._system_user.is_known(person.member_id):
                raise
        return self._system_user.call(person.member_id, method, params).result


# --- what the rest of the house asks ---------------------------------------------------------------------------------


def counted_lately(db: Session, member_id: str, now: datetime) -> NoticeCounts:
    """What became of a portal's notices in the last week."""
    mine = (Notice.member_id == member_id, Notice.user_id != COLLEAGUES)
    query = select(Notice.fate, func.count()).where(*mine, or_(_is_open(), Notice.told_at > now - SHOWN))
    found: dict[NoticeFate | None, int] = dict(db.execute(query.group_by(Notice.fate)).all())
    return NoticeCounts(
        sum(found.get(fate, 0) for fate in TOLD), found.get(NoticeFate.REFUSED, 0), found.get(NoticeFate.LOST, 0),
        found.get(None, 0),
    )  # fmt: skip


def to_be_sent(db: Session) -> int:
    """How many are to be sent still, on all portals."""
    open_ones = select(func.count()).where(_is_open(), Notice.user_id != COLLEAGUES)
    return db.scalar(open_ones) or 0


def forget_told(db: Session, now: datetime) -> None:
    """Drop what was told long ago."""
    db.execute(delete(Notice).where(Notice.told_at < now - KEPT))


def _settle(db: Session, which: Select[int], fate: NoticeFate, now: datetime) -> None:
    """Nothing is left to do for these rows; what people were told, or should have been, is counted."""
    done = update(Notice).where(Notice.id.in_(which)).values(fate=fate, told_at=now).returning(Notice.user_id)
    people = [user_id for user_id in db.scalars(done, execution_options=UNSYNCHRONIZED) if user_id != COLLEAGUES]
    if people and fate in COUNTED:
        count(db, COUNTED[fate], len(people))


def _is_open() -> ColumnElement[bool]:
    return Notice.fate.is_(None)


def _may_work(now: datetime) -> tuple[ColumnElement[bool], ...]:
    """The portal is there, and is not to be left alone."""
    paused = and_(Portal.paused_until > now, Portal.paused_until < now + LONGEST_PAUSE)
    return Portal.uninstalled_at.is_(None), Portal.suspended_code.is_(None), or_(Portal.paused_until.is_(None), ~paused)


def _can_wait(failed: PortalError) -> bool:
    """Time, or the people who run the app, will help; else it is refused for good."""
    return failed.transient or isinstance(failed, (OperatorError, *STOPPING))


def _stands(row: Notice, run: Run) -> bool:
    """It is still so."""
    if row.about is NoticeAbout.ENDED:
        return run.state.is_final and run.finished_at == row.since
    if row.about is NoticeAbout.WAITS:
        return run.state is RunState.WAITING and run.waiting_since == row.since
    if row.about is NoticeAbout.DOUBTFUL:
        return run.state is RunState.SCHEDULED and run.doubt is not None and run.doubt.since == row.since
    return True


def _wants(person: User, row: Notice, run: Run) -> bool:
    """They do not know it yet, and want to be told."""
    if person.notices is NoticeWish.NONE:
        return False
    if row.about is NoticeAbout.TAKEN_OVER:
        return True
    knows = person.user_id in run.seen_by or (person.seen_at is not None and person.seen_at >= row.noted_at)
    good = row.about is NoticeAbout.ENDED and run.state is RunState.SUCCEEDED and not occasions.is_scheduled(run)
    return not knows and (person.notices is NoticeWish.ALL or not good)


def _is_trouble(row: Notice, run: Run) -> bool:
    """A person has to do something."""
    return row.about in TROUBLE or (row.about is NoticeAbout.ENDED and run.state is not RunState.SUCCEEDED)
