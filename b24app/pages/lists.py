"""The pages a person may see: read whole, in as few requests as batch allows, and kept for a moment.

`landing.landing.getList` knows no total and no search over kinds, so the compact list of one kind is read whole (sites
and the first pages in one batch, rights, folders and further pages in the next) and `search` looks through it. Each
chunk begins behind the last id of the one before, so what is trashed or made meanwhile hides nothing. A list is used
again for a minute, and follows what the app itself did to pages of the portal meanwhile (`pages_version`): a batch
tells what it read after it had acted, so nobody who watches a long run has everything read anew after each. Who asks
for a fresh list has the one of every process read anew, or the next click would show what another one still keeps.

Rights and folders cost one command a site. Of very many sites those with pages are asked about first, and no longer
than half of the request's time; on what is left Bitrix24 decides when something is to be done there.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from itertools import islice
from threading import Lock
from typing import Any

from sqlalchemy import select, update

from b24app.bitrix import landing
from b24app.bitrix.landing import Folder, PageState, Site
from b24app.bitrix.rest import Answer, Command, Earlier, result_of
from b24app.clock import Clock
from b24app.deadline import REQUEST_SECONDS, remaining
from b24app.domain import Action, Actor, Kind, UserRef
from b24app.errors import PortalError, Unavailable
from b24app.folding import fold
from b24app.store.db import Store, repeated
from b24app.store.models import PageChange, User
from b24app.tokens.user_tokens import Tokens

CHUNK = 500  # pages a getList command is asked for
SITES = 500  # the same of sites
FIRST_CHUNKS, MORE_CHUNKS = 2, 10
BATCH = 50
FRESH = timedelta(seconds=60)
MOST_PAGES, MOST_SITES = 50_000, 5_000  # a list ends there, whatever the portal still has
DEEPEST = 5  # folders in a folder that are named
KEPT_PAGES, KEPT_LISTS = 60_000, 500  # over all lists of a process: about 40 MB
OPEN_KINDS = frozenset({Kind.KNOWLEDGE, Kind.GROUP, Kind.MAINPAGE})  # unpublic needs only the right to read there


@dataclass(frozen=True, slots=True)
class Page:
    """One page as the list shows it. `published` is the page's own flag; a page of an inactive site is still unseen."""

    lid: int
    kind: Kind
    site_id: int
    site: str
    title: str
    url: str | None
    published: bool
    main: bool
    rights: frozenset[str] | None  # on its site; None where there was no time to ask
    published_at_text: str | None
    site_active: bool
    draft: bool  # edited since it was last published
    folder_id: int | None = None

    def may(self, action: Action) -> bool:
        """Whether Bitrix24 would let this person do it, as far as can be known beforehand."""
        return self.rights is None or may(action, self.kind, self.rights | {"read"})

    @property
    def is_locked(self) -> bool:
        """The person may only look: what its state leaves to be done they may not do."""
        return not self.may(Action.UNPUBLISH if self.published else Action.PUBLISH)


@dataclass(frozen=True)
class PageList:
    """All pages of one kind that one person sees, in order of lid."""

    pages: tuple[Page, ...]
    sites: tuple[Site, ...]
    read_at: datetime
    folders: tuple[Folder, ...] = ()  # of sites with pages in folders, each behind the one it lies in
    capped: bool = False  # there are more, which are not listed
    ranks: dict[int, int] = field(default_factory=dict, init=False, compare=False)  # by publication, once it is wanted

    def by_lid(self) -> dict[int, Page]:
        """For look-ups."""
        return {page.lid: page for page in self.pages}

    @cached_property
    def folder_names(self) -> dict[int, str]:
        """Each folder by its number, with the names of those it lies in, the outermost first."""
        known = {folder.folder_id: folder for folder in self.folders}
        names = {}
        for folder in self.folders:
            way, above = [folder.title], folder.parent_id
            while above is not None and len(way) < DEEPEST:
                way, above = [known[above].title, *way], known[above].parent_id
            names[folder.folder_id] = " / ".join(way if above is None else ["…", *way])
        return names

    @cached_property
    def looked_through(self) -> tuple[str, ...]:
        """Of each page what is searched: title, address and site, folded, a line each."""
        sites = {page.site: fold(page.site) for page in self.pages}
        return tuple(f"{fold(page.title)}\n{fold(page.url or '')}\n{sites[page.site]}" for page in self.pages)


class Pages:
    """Reads and keeps lists; thread-safe."""

    def __init__(self, tokens: Tokens, store: Store, clock: Clock) -> None:
        self._tokens = tokens
        self._store = store
        self._clock = clock
        self._kept: OrderedDict[tuple[UserRef, Kind], tuple[int, PageList]] = OrderedDict()
        self._guard = Lock()
        self.most_seconds = REQUEST_SECONDS / 2  # for rights and folders

    def all_of(self, actor: Actor, kind: Kind) -> PageList:
        """The whole list of one kind, at most a minute old."""
        return self.kept(actor, kind) or self._read(actor, kind)

    def by_publication(self, actor: Actor, kind: Kind) -> Mapping[int, int]:
        """Which page was last published before which: lid → place, the longest ago first. One request more, once a
        list.
        """
        listed = self.all_of(actor, kind)
        begins = range(0, len(listed.pages) + 1, CHUNK) if not listed.ranks else ()
        asked = iter({str(at): landing.by_publication(kind, CHUNK, at) for at in begins}.items())
        lids: dict[int, None] = {}
        while commands := dict(islice(asked, BATCH)):
            for answer in self._tokens.batch(actor.user, commands).values():
                lids.update(dict.fromkeys(landing.read_lids(result_of(answer), CHUNK)))
        listed.ranks.update({lid: rank for rank, lid in enumerate(lids)})
        return listed.ranks

    def find(self, actor: Actor, lid: int) -> Page | None:
        """A page by its number alone: nothing in the placement tells its kind, so one batch asks in every kind."""
        for kind in Kind:
            kept = self.kept(actor, kind)
            if kept and lid in kept.by_lid():
                return kept.by_lid()[lid]
        answers = self._tokens.batch(
            actor.user, {kind.value: landing.pages(kind, limit=1, lids=[lid]) for kind in Kind}
        )
        found = _first_with(answers, landing.read_pages)
        return self.all_of(actor, found).by_lid().get(lid) if found else None

    def kind_of_site(self, actor: Actor, site_id: int) -> Kind | None:
        """Which kind a site is; None when there is none with this number, or the actor may not see it."""
        commands = {kind.value: landing.sites(kind, limit=1, site_id=site_id) for kind in Kind}
        return _first_with(self._tokens.batch(actor.user, commands), landing.read_sites)

    def kept(self, actor: Actor, kind: Kind) -> PageList | None:
        """The list this process still holds, with what we changed since; None when there is none or it is too old."""
        with self._guard:
            version, listed = self._kept.get((actor.user, kind), (-1, None))
        oldest = self._clock() - FRESH
        if actor.lists_from is not None:  # asked for anew, maybe of another process
            oldest = max(oldest, actor.lists_from)
        if listed is None or listed.read_at < oldest or version > actor.pages_version:
            return None
        if version == actor.pages_version:
            return listed
        changes = self._changes_since(actor, version)
        if len(changes) < actor.pages_version - version:  # something was changed of which nobody knows what it is now
            return None
        followed = _followed(listed, changes)
        return self._keep((actor.user, kind), actor.pages_version, followed)

    def _changes_since(self, actor: Actor, version: int) -> Sequence[Mapping[str, Any]]:
        of_portal = select(PageChange.pages).where(PageChange.member_id == actor.member_id)
        newer = of_portal.where(PageChange.version > version, PageChange.version <= actor.pages_version)
        with self._store.begin() as db:
            return db.scalars(newer.order_by(PageChange.version)).all()

    def rights_read(self, actor: Actor, kind: Kind, sites: Collection[int]) -> dict[int, frozenset[str]]:
        """The actor's rights in those of the sites whose pages this process read for them within the last minute."""
        with self._guard:
            _version, listed = self._kept.get((actor.user, kind), (-1, None))
        if not sites or listed is None or listed.read_at < self._clock() - FRESH:
            return {}
        return {page.site_id: page.rights for page in listed.pages if page.site_id in sites and page.rights}

    def sites_kept(self, actor: Actor, kind: Kind) -> Sequence[Site]:
        """Sites the actor reads, as far as this process holds their list."""
        kept = self.kept(actor, kind)
        return kept.sites if kept else ()

    def _read(self, actor: Actor, kind: Kind) -> PageList:
        began = self._clock()
        told, states, full = self._sites_and_pages(actor.user, kind)
        sites = [site for site in told if site.is_of(kind)]
        foreign = {site.site_id for site in told} - {site.site_id for site in sites}
        with_pages, with_folders = {state.site_id for state in states}, {s.site_id for s in states if s.folder_id}
        rest = [s.site_id for s in sites if full and s.site_id not in with_pages]
        asked = {
            **{f"f{s.site_id}": landing.folders(kind, s.site_id) for s in sites if s.site_id in with_folders},
            **{f"r{s.site_id}": landing.rights(kind, s.site_id) for s in sites if s.site_id in with_pages},
            **{f"r{site_id}": landing.rights(kind, site_id) for site_id in rest},
            **{
                f"f{s.site_id}": landing.folders(kind, s.site_id)
                for s in sites if full and s.site_id not in with_folders
            },
        }  # fmt: skip
        answers, more = self._answers_and_more(actor.user, kind, asked, states[-1].lid if full else None)
        rights = {int(key[1:]): landing.read_rights(kind, said) for key, said in answers.items() if key[0] == "r"}
        folders = _folders(answers)
        living = {site: {each.folder_id for each in found} for site, found in folders.items()}
        of_kind = [state for state in [*states, *more] if state.site_id not in foreign]
        kept = [state for state in of_kind if not _is_in_trashed_folder(state, living.get(state.site_id))]
        capped = len(states) + len(more) >= MOST_PAGES or len(told) >= MOST_SITES
        known = tuple(folder for found in folders.values() for folder in found)
        listed = PageList(tuple(_pages(kind, sites, kept, rights)), tuple(sites), began, known, capped)
        return self._keep((actor.user, kind), actor.pages_version, listed)

    def _sites_and_pages(self, user: UserRef, kind: Kind) -> tuple[list[Site], list[PageState], bool]:
        """All sites, the first pages, and whether there may be more of them."""
        commands = {"sites": landing.sites(kind, SITES)} | _chunks(kind, 0, FIRST_CHUNKS)
        answers = self._tokens.batch(user, commands)
        sites = found = landing.read_sites(result_of(answers["sites"]), SITES)
        while len(found) == SITES and len(sites) < MOST_SITES:
            last = found[-1].site_id
            more = landing.sites(kind, SITES, after=last)
            found = landing.read_sites(self._tokens.call(user, more.method, more.params).result, SITES)
            if any(site.site_id <= last for site in found):
                raise Unavailable(landing.UNEXPECTED, method=more.method)
            sites = [*sites, *found]
        return sites, *_read_chunks(answers)

    def _answers_and_more(
        self, user: UserRef, kind: Kind, asked: dict[str, Command], after: int | None
    ) -> tuple[dict[str, Answer | PortalError], list[PageState]]:
        """What was asked, as far as there is time, and, behind the lid `after`, the remaining pages: one request unless
        there is very much.
        """
        until = time.monotonic() + min(self.most_seconds, remaining(REQUEST_SECONDS) / 2)
        said: dict[str, Answer | PortalError] = {}
        states: list[PageState] = []
        while after is not None or (len(said) < len(asked) and (not said or time.monotonic() < until)):
            commands = _chunks(kind, after, MORE_CHUNKS) if after is not None else {}
            commands |= dict(islice(asked.items(), len(said), len(said) + BATCH - len(commands)))
            answers = self._tokens.batch(user, commands)
            said |= {key: answer for key, answer in answers.items() if key in asked}
            if after is not None:
                got, full = _read_chunks(answers)
                if got and min(state.lid for state in got) <= after:  # not behind it, so it would go on for ever
                    raise Unavailable(landing.UNEXPECTED, method="landing.landing.getList")
                states += got
                after = got[-1].lid if full and FIRST_CHUNKS * CHUNK + len(states) < MOST_PAGES else None
        return said, states[: MOST_PAGES - FIRST_CHUNKS * CHUNK]

    def _keep(self, key: tuple[UserRef, Kind], version: int, listed: PageList) -> PageList:
        """Keep a list; the one that is kept, which may share its pages with a colleague's."""
        with self._guard:
            old = listed.read_at - FRESH
            for stale in [each for each, (_, kept) in self._kept.items() if kept.read_at < old]:
                del self._kept[stale]
            shared = self._sharing(key, listed)
            self._kept[key] = (version, shared)
            self._kept.move_to_end(key)
            while self._is_too_much() and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return shared

    def _sharing(self, key: tuple[UserRef, Kind], listed: PageList) -> PageList:
        """The list, made of the same pages in memory as a colleague's, as far as they see the same of them."""
        user, kind = key
        mates = ((of, kept) for (of, its_kind), (_, kept) in self._kept.items() if its_kind is kind and of != user)
        theirs = next((kept.by_lid() for of, kept in mates if of.member_id == user.member_id), {})
        pages = (theirs.get(page.lid, page) for page in listed.pages)
        shared = tuple(known if known == page else page for known, page in zip(pages, listed.pages, strict=True))
        return replace(listed, pages=shared)

    def _is_too_much(self) -> bool:
        size = sum(len(kept.pages) + len(kept.sites) for _, kept in self._kept.values())
        return size > KEPT_PAGES or len(self._kept) > KEPT_LISTS

    def forget(self, actor: Actor) -> None:
        """Drop what is kept for one person, in each process, so that the next look is a fresh one."""
        self._note_as_stale(actor)
        with self._guard:
            for key in [key for key in self._kept if key[0] == actor.user]:
                del self._kept[key]

    @repeated
    def _note_as_stale(self, actor: Actor) -> None:
        of_person = (User.member_id == actor.member_id, User.user_id == actor.user_id)
        with self._store.begin() as db:
            db.execute(update(User).where(*of_person).values(lists_from=self._clock()))


def may(action: Action, kind: Kind, rights: frozenset[str]) -> bool:
    """Whether rights in a site are enough for the action on its pages."""
    if action is Action.UNPUBLISH and kind in OPEN_KINDS:
        return "read" in rights
    return "public" in rights


def _followed(listed: PageList, changes: Iterable[Mapping[str, Any]]) -> PageList:
    """The list with what batches made of pages since, the oldest first."""
    changed: dict[int, Mapping[str, Any]] = {}
    revived: set[int] = set()
    for change in changes:
        changed |= {int(lid): state for lid, state in change.items()}
        revived |= {state["site_id"] for state in change.values() if state.get("site_id") and state["active"]}
    sites = tuple(replace(site, active=site.active or site.site_id in revived) for site in listed.sites)
    pages = tuple(_now(page, changed.get(page.lid), revived) for page in listed.pages)
    return replace(listed, pages=pages, sites=sites)


def _now(page: Page, state: Mapping[str, Any] | None, revived: set[int]) -> Page:
    if page.site_id in revived and not page.site_active:
        page = replace(page, site_active=True)
    if state is None:
        return page
    return replace(
        page,
        published=state["active"],
        draft=state["active"] and not state["public"],
        published_at_text=state["published_text"] or page.published_at_text,
    )


def _chunks(kind: Kind, after: int, count: int) -> dict[str, Command]:
    """So many chunks of pages behind a lid, each behind the last lid of the one before it in the batch."""
    begins: list[int | Earlier] = [after, *(Earlier(f"p{at}", (CHUNK - 1, "ID")) for at in range(count - 1))]
    return {f"p{at}": landing.pages(kind, limit=CHUNK, after=begin) for at, begin in enumerate(begins)}


def _read_chunks(answers: dict[str, Answer | PortalError]) -> tuple[list[PageState], bool]:
    """The pages of a batch's chunks, and whether there may be more.

    The chunk that is not full is the last. One that is empty though the chunk before it was full proves nothing: only
    an empty answer to a lid of our own does.
    """
    states: list[PageState] = []
    for key, answer in answers.items():
        if key[0] == "p":
            found = landing.read_pages(result_of(answer), CHUNK)
            states += found
            if len(found) < CHUNK:
                return states, bool(states) and not found
    return states, True


def _first_with(answers: dict[str, Answer | PortalError], read: Callable[[object], Sequence[object]]) -> Kind | None:
    """The first kind in which something was found. A kind that is refused, as those of the portal's own sites are to
    people from outside the company, does not refuse the others; only when all are is the refusal raised.
    """
    heard = {kind: answers[kind.value] for kind in Kind}
    if all(isinstance(answer, PortalError) for answer in heard.values()):
        result_of(heard[Kind.PAGE])
    well = ((kind, answer.result) for kind, answer in heard.items() if isinstance(answer, Answer))
    return next((kind for kind, result in well if read(result)), None)


def _folders(answers: Mapping[str, Answer | PortalError]) -> dict[int, tuple[Folder, ...]]:
    """Folders outside the trash by their site, where the portal could tell."""
    asked = {int(key[1:]): answer for key, answer in answers.items() if key[0] == "f"}
    told = {site: landing.read_living_folders(site, answer) for site, answer in asked.items()}
    return {site: found for site, found in told.items() if found is not None}


def _is_in_trashed_folder(state: PageState, living: set[int] | None) -> bool:
    return state.folder_id is not None and living is not None and state.folder_id not in living


def _pages(
    kind: Kind, sites: Iterable[Site], states: Iterable[PageState], rights: dict[int, frozenset[str]]
) -> Iterable[Page]:
    by_id = {site.site_id: site for site in sites}
    unique = {state.lid: state for state in states}
    for lid in sorted(unique):
        state, site = unique[lid], by_id.get(unique[lid].site_id)
        yield Page(
            lid=lid,
            kind=kind,
            site_id=state.site_id,
            site=site.title if site else "",
            title=state.title,
            url=state.url,
            published=state.active,
            main=site is not None and site.main_lid == lid,
            rights=rights.get(state.site_id, None if site else frozenset()),
            published_at_text=state.published_text,
            site_active=site is None or site.active,
            draft=state.active and not state.public,
            folder_id=state.folder_id,
        )
