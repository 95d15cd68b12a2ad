"""What of a list of pages a person wants to see: filters, words, order, and one screen of it.

Everything is decided over the list that is kept, so a filter costs the portal nothing. A screen begins at a page, not
at a number: what is trashed or made meanwhile shifts nobody's place by more than itself.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from b24app.bitrix.landing import Site
from b24app.domain import Kind
from b24app.errors import BadForm
from b24app.folding import fold, in_order, is_blank
from b24app.pages.lists import Page, PageList

CURSOR = re.compile(r"p([0-9]{1,18})(?:\.([0-9]{1,6}))?", re.ASCII)
ORDERS = ("title", "site", "status", "published", "scheduled")
SORTS = frozenset(ORDERS) | {f"-{name}" for name in ORDERS}  # `-`: downwards
ROUND_ADDRESS = re.compile(r"^https?://(?:www\.)?|/?(?:[?#].*)?$")
Value = Callable[[Page], Any]


@dataclass(frozen=True)
class Search:
    """What the person looks for.

    folder  with everything that lies in it
    lids    only these pages: the selected ones
    after   the opaque cursor of a screen; `screen` is its number instead, from 1
    """

    kind: Kind = Kind.PAGE
    site: int | None = None
    folder: int | None = None
    status: str | None = None  # published, unpublished, scheduled
    main: bool = False
    q: str = ""
    sort: str | None = None
    lids: frozenset[int] | None = None
    after: str | None = None
    screen: int | None = None
    limit: int = 20

    @property
    def order(self) -> str | None:
        """By what the pages are ordered; None: by their number."""
        return self.sort.removeprefix("-") if self.sort else None

    @property
    def wants_schedule(self) -> bool:
        """Whether it matters what is still to happen to each page."""
        return self.status == "scheduled" or self.order == "scheduled"

    @property
    def wants_publication(self) -> bool:
        """Whether it matters when each page was last published."""
        return self.order == "published"


@dataclass(frozen=True)
class PageSlice:
    """One screen of a search: its pages, where it stands, and what matched in all.

    folders  those of the chosen site that have pages in them: number → name
    """

    pages: tuple[Page, ...] = ()
    total: int = 0
    first: int = 0
    here: str | None = None
    next: str | None = None
    previous: str | None = None
    screen: int = 1
    screens: int = 1
    sites: tuple[Site, ...] = ()
    folders: Mapping[int, str] = field(default_factory=dict)
    lids: tuple[int, ...] = ()
    capped: bool = False


def slice_of(listed: PageList, search: Search, due: Mapping[int, datetime], ranks: Mapping[int, int]) -> PageSlice:
    """One screen of what matches, in order of lid unless another is wanted. Raises BadForm for a broken cursor.

    due    when something is next to happen to a page; needed where the search wants the schedule
    ranks  which page was published before which; needed where the search wants the publication
    """
    found = sorted_matches(listed, search, due, ranks)
    start = _start(found, search)
    shown = found[start : start + search.limit]
    behind = start + len(shown)
    return PageSlice(
        pages=tuple(shown),
        total=len(found),
        first=start + 1 if shown else 0,
        here=_cursor(found, start, search) if shown else None,
        next=_cursor(found, behind, search) if behind < len(found) else None,
        previous=_cursor(found, max(0, start - search.limit), search) if start > 0 else None,
        screen=-(-start // search.limit) + 1,
        screens=max(1, -(-len(found) // search.limit)),
        sites=listed.sites,
        folders=_with_pages(listed, search.site) if search.site is not None else {},
        lids=tuple(page.lid for page in found),
        capped=listed.capped,
    )


def sorted_matches(
    listed: PageList, search: Search, due: Mapping[int, datetime], ranks: Mapping[int, int]
) -> list[Page]:
    """All that match, in the order that is wanted; `due` and `ranks` as of a screen."""
    return ordered(matching(listed, search, due), search, due, ranks)


def matching(listed: PageList, search: Search, due: Mapping[int, datetime]) -> list[Page]:
    """Pages with which every filter that is set agrees, in order of lid."""
    words = [_without_scheme(word) for word in fold(search.q).split()]
    folders = _below(listed, search.folder) if search.folder is not None else None
    texts = listed.looked_through if words else ("",) * len(listed.pages)
    return [
        page
        for page, text in zip(listed.pages, texts, strict=True)
        if (search.site is None or page.site_id == search.site)
        and (folders is None or page.folder_id in folders)
        and (not search.main or page.main)
        and (search.lids is None or page.lid in search.lids)
        and _has_status(page, search.status, due)
        and (all(word in text for word in words) or search.q == str(page.lid))
    ]


def _without_scheme(word: str) -> str:
    """An address as it stands in the list, whichever way it was copied: without scheme, query and the last slash."""
    return ROUND_ADDRESS.sub("", word) if "://" in word else word


def ordered(found: Sequence[Page], search: Search, due: Mapping[int, datetime], ranks: Mapping[int, int]) -> list[Page]:
    """The pages as the search wants them; those that have no such value come last, upwards and downwards."""
    if search.order is None:
        return list(found)
    value = _value(search.order, due, ranks)
    having: list[Page] = []
    lacking: list[Page] = []
    for page in found:
        (lacking if value(page) is None else having).append(page)
    return sorted(having, key=value, reverse=(search.sort or "").startswith("-")) + lacking


def _value(order: str, due: Mapping[int, datetime], ranks: Mapping[int, int]) -> Value:
    if order == "title":
        return lambda page: None if is_blank(page.title) else in_order(page.title)
    if order == "site":
        in_order_once = cache(in_order)  # many pages, few sites
        return lambda page: None if is_blank(page.site) else in_order_once(page.site)
    if order == "status":
        return lambda page: not page.published
    if order == "published":
        return lambda page: ranks.get(page.lid, len(ranks)) if page.published_at_text else None
    return lambda page: due.get(page.lid)


def _has_status(page: Page, status: str | None, due: Mapping[int, datetime]) -> bool:
    if status is None:
        return True
    return page.lid in due if status == "scheduled" else page.published == (status == "published")


def _below(listed: PageList, wanted: int) -> set[int]:
    """Numbers of a folder and of all that lie in it."""
    below = {wanted}
    below.update(folder.folder_id for folder in listed.folders if folder.parent_id in below)
    return below


def _with_pages(listed: PageList, site: int) -> dict[int, str]:
    filled = {page.folder_id for page in listed.pages if page.site_id == site}
    of_site = [folder for folder in listed.folders if folder.site_id == site]
    for folder in reversed(of_site):  # from the innermost outwards
        if folder.folder_id in filled:
            filled.add(folder.parent_id)
    return {each.folder_id: listed.folder_names[each.folder_id] for each in of_site if each.folder_id in filled}


def _cursor(found: Sequence[Page], at: int, search: Search) -> str:
    return f"p{found[at].lid}" if search.order is None else f"p{found[at].lid}.{at}"


def _start(found: Sequence[Page], search: Search) -> int:
    """Where the screen begins: at the lid the cursor names; if it is gone, where the next one is, or where it was."""
    if search.screen is not None:
        return min(search.screen - 1, max(0, len(found) - 1) // search.limit) * search.limit
    if not search.after:
        return 0
    cursor = CURSOR.fullmatch(search.after)
    if cursor is None:
        raise BadForm(status=422)
    lid, at = int(cursor[1]), cursor[2]
    if at is None:
        return next((index for index, page in enumerate(found) if page.lid >= lid), len(found))
    return next((index for index, page in enumerate(found) if page.lid == lid), min(int(at), len(found)))
