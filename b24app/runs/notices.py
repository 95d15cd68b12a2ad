"""Notices in the portal: who is told what of a run, by whose token, and what becomes of it.

`occasions` has written what is to be told. Here it is sent, portal by portal, so that one that hangs holds up no other,
and apart from runs, so that no run waits for a notice. A person hears with their own token, else with that of the app's
system user, and of nobody else. Bitrix24 checks no rights of who is told (docs/bitrix24.md, 12.1), so we do: a title is
told to who may read the page at this moment, a call for help to who may publish all of the pages at this moment.

What was sent twice because a process was killed in between replaces itself by its tag.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import and_, or_, select

from b24app import i18n
from b24app.bitrix import im
from b24app.clock import Clock
from b24app.domain import Kind, NoticeAbout, NoticeFate, NoticeWish, RunState, UserRef
from b24app.errors import ExpiredToken, InsufficientScope, OperatorError, PortalError
from b24app.permissions import Permissions
from b24app.runs import occasions
from b24app.runs.notice_rows import MINUTE, Due, NoticeRows
from b24app.runs.notice_texts import OPEN_APP, SHOW_IT, Told, When, Words
from b24app.runs.occasions import COLLEAGUES
from b24app.runs.queries import counts_of
from b24app.store.db import Store, repeated
from b24app.store.models import Notice, Run, RunItem, User, UserToken
from b24app.tokens.stops import STOPPING
from b24app.tokens.system_user import SystemUser
from b24app.tokens.user_tokens import Tokens
from b24app.users import zone_of

log = structlog.get_logger()

SECONDS = 10  # of one call
PEOPLE_A_TURN = 10  # of a portal each ten seconds: its limit is two calls a second, and runs need them
MOST_A_MINUTE = 5
RECENT = timedelta(days=30)
MOST_COLLEAGUES, MOST_ASKED = 5, 20
TROUBLE = (NoticeAbout.WAITS, NoticeAbout.DOUBTFUL)
Known = dict[tuple[UserRef, Kind, int], frozenset[str]]  # rights of people in sites


@dataclass(frozen=True)
class Story:
    """One thing a person is to be told; `item` is the run's only page."""

    row: Notice
    told: Told
    item: RunItem | None


class Notices:
    """Sends what is due. Each verb is safe to do twice."""

    def __init__(
        self, client_id: str, store: Store, rows: NoticeRows, tokens: Tokens, system_user: SystemUser,
        permissions: Permissions, clock: Clock,
    ) -> None:  # fmt: skip
        self._client_id = client_id
        self._store = store
        self._rows = rows
        self._tokens = tokens
        self._system_user = system_user
        self._permissions = permissions
        self._clock = clock

    def send(self, member_id: str) -> None:
        """Tell the people of a portal what is due, as many as its limits allow in one turn."""
        for _ in range(PEOPLE_A_TURN):
            due = self._rows.claim(member_id)
            if due is None:
                return
            try:
                self._work(due)
            except PortalError as failed:
                self._rows.put_off(due, failed)
                return

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
                self._rows.done([row], NoticeFate.STALE)
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
        self._rows.pass_on(row, run, able)

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
        readers = self._rows.readers(row)
        if run.state is RunState.WAITING or not readers:
            self._rows.done([row], NoticeFate.STALE)
            return
        for user_id in readers:
            try:
                self._call(UserRef(due.portal.member_id, user_id), im.DELETE, {"TAG": im.tag(run.id)})
            except PortalError as failed:
                if _can_wait(failed):
                    raise
            else:
                break
        self._rows.done([row], NoticeFate.DONE)

    # --- what ------------------------------------------------------------------------------------------------------

    def _tell(self, due: Due) -> None:
        person, stories, over = self._read(due)
        for fate, rows in over.items():
            if rows:
                self._rows.done(rows, fate)
        if person is None or not stories:
            return
        sent, summed_at = self._rows.lately(due)
        if sent + len(stories) > MOST_A_MINUTE:
            if summed_at is not None and summed_at > due.now - MINUTE:
                self._rows.hold([story.row for story in stories], summed_at + MINUTE)
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
            runs = {run.id: run for run in db.scalars(select(Run).where(Run.id.in_(newest)))}
            counts = counts_of(db, list(runs.values()))
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

    def _tell_one(self, due: Due, person: User, story: Story, known: Known) -> None:
        row, run = story.row, story.told.run
        is_asked_for_help = row.about in TROUBLE and person.user_id not in (run.created_by, run.acting_as)
        if is_asked_for_help and not self._could_take_over(person.ref, run, known):
            self._rows.done([row], NoticeFate.KNOWN)
            return
        told = replace(story.told, title=self._title(person, run, story.item))
        self._deliver(due, person, [row], lambda words: words.of_run(row.about, told), run)

    def _sum_up(self, due: Due, person: User, stories: Sequence[Story]) -> None:
        """One notice for all of these, and for what the one before told that it replaces."""
        earlier = self._rows.summed(due)
        whole = [*earlier, *((story.row, story.told.run) for story in stories)]
        trouble = sum(_is_trouble(row, run) for row, run in whole)
        since = min(row.noted_at for row, _ in whole)
        rows = [story.row for story in stories]
        self._deliver(due, person, rows, lambda words: words.of_many(len(whole), trouble, since), None)

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
            self._rows.done(rows, NoticeFate.REFUSED)
            return
        told = NoticeFate.SENT if run else NoticeFate.SUMMED
        self._rows.done(rows, told if im.was_taken(result) else NoticeFate.REFUSED)

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
