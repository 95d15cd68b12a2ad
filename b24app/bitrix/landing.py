"""Sites and pages: what to ask and how to read the answer. Pure functions, so that questions can ride in a batch.

Source: landing docs (site and page methods) and the module's source. Ids come as strings, flags as Y/N, an empty
object as a list; without a right the lists are empty and `publication` answers null, both without an error.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from b24app.bitrix.rest import Answer, Command, Earlier, result_of
from b24app.domain import Action, Kind, read_id
from b24app.errors import AccessDenied, InsufficientScope, PageGone, PortalError, PublishRefused, Unavailable

METHODS = {Action.UNPUBLISH: "landing.landing.unpublic", Action.PUBLISH: "landing.landing.publication"}
ALL_RIGHTS = frozenset({"read", "edit", "sett", "public", "delete"})
SITE_FIELDS = ("ID", "TITLE", "TYPE", "ACTIVE", "LANDING_ID_INDEX")
PAGE_FIELDS = (
    "ID", "SITE_ID", "TITLE", "ACTIVE", "PUBLIC", "FOLDER_ID", "SYS", "MODIFIED_BY_ID", "DATE_MODIFY", "DATE_PUBLIC",
)  # fmt: skip
UNEXPECTED = "ERROR_UNEXPECTED_ANSWER"
TYPES = {Kind.KNOWLEDGE: ("KNOWLEDGE",), Kind.GROUP: ("GROUP",), Kind.MAINPAGE: ("MAINPAGE", "VIBE")}  # else PAGE
BEYOND_ANY_ID = "0" * 10  # behind an id it makes a number above every id; behind none, zero


@dataclass(frozen=True, slots=True)
class Site:
    """One site a person may read; `main_lid` is the page its address shows."""

    site_id: int
    title: str
    type: str
    active: bool
    main_lid: int | None

    def is_of(self, kind: Kind) -> bool:
        """Whether it is of this kind. A portal that does not know a kind, or whose plan lacks it, answers with the
        sites and stores instead (source); one that names no type is believed.
        """
        named = self.type.upper()
        return not named or next((each for each, types in TYPES.items() if named in types), Kind.PAGE) is kind


@dataclass(frozen=True, slots=True)
class PageState:
    """One page as it is now. Dates are the portal's own text, never parsed: they carry no zone.

    active   published (ACTIVE); public: the live copy equals the draft
    special  a system page, such as a header or a 404 page
    """

    lid: int
    site_id: int
    title: str
    active: bool
    public: bool
    folder_id: int | None
    modified_by: int | None
    modified_text: str | None
    published_text: str | None
    url: str | None
    special: bool


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder outside the trash, and the one it lies in."""

    folder_id: int
    site_id: int
    parent_id: int | None
    title: str


def sites(kind: Kind, limit: int = 500, after: int = 0, site_id: int | None = None) -> Command:
    """The sites of one kind that the caller may read, in order of id, behind `after`; or the one with this id."""
    params: dict[str, object] = {"select": list(SITE_FIELDS), "order": {"ID": "ASC"}, "limit": limit}
    wanted = _behind(after) if site_id is None else {"ID": site_id}
    if wanted:
        params["filter"] = wanted
    return Command("landing.site.getList", {"params": params, "scope": kind.value})


def read_sites(result: object, most: int | None = None) -> list[Site]:
    """Sites of a getList answer, of which at most so many were asked for. Raises Unavailable for anything else."""
    return [_site(row) for row in _rows(result, most)]


def pages(
    kind: Kind,
    *,
    limit: int,
    after: int | Earlier = 0,
    lids: Sequence[int] | None = None,
    site_id: int | None = None,
    urls: bool = True,
) -> Command:
    """Pages of one kind in order of lid; ID is always selected, because rows are keyed by it (source).

    after  the lid behind which to go on, or where an earlier command of the batch has it; no such lid, no pages.
           Never an offset: a page trashed meanwhile would shift a living one out of sight
    """
    wanted = _behind(after)
    if lids is not None:
        wanted["ID"] = list(lids)
    if site_id is not None:
        wanted["SITE_ID"] = site_id
    params: dict[str, object] = {"select": list(PAGE_FIELDS), "order": {"ID": "ASC"}, "limit": limit}
    if wanted:
        params["filter"] = wanted
    if urls:
        params["get_urls"] = 1
    return Command("landing.landing.getList", {"params": params, "scope": kind.value})


def _behind(after: int | Earlier) -> dict[str, object]:
    """The filter for what comes after an id. An id that an earlier answer lacks must not mean all from the start."""
    if isinstance(after, Earlier):
        return {">ID": after, "<ID": replace(after, then=BEYOND_ANY_ID)}
    return {">ID": after} if after else {}


def read_pages(result: object, most: int | None = None) -> list[PageState]:
    """Pages of a getList answer, of which at most so many were asked for. Raises Unavailable for anything else."""
    return [_page(row) for row in _rows(result, most)]


def rights(kind: Kind, site_id: int) -> Command:
    """What the caller may do in a site."""
    return Command("landing.site.getRights", {"id": site_id, "scope": kind.value})


def read_rights(kind: Kind, answer: Answer | PortalError) -> frozenset[str]:
    """Codes of the rights. Where the plan has no rights everybody has all; a group's answer is a list of booleans."""
    if isinstance(answer, PortalError):
        if answer.code.upper() == "FEATURE_NOT_AVAIL":
            return ALL_RIGHTS
        if isinstance(answer, AccessDenied | PageGone):
            return frozenset()
        raise answer
    if not isinstance(answer.result, list | dict):
        return frozenset()
    said = answer.result.values() if isinstance(answer.result, dict) else answer.result
    if kind is Kind.GROUP and any(right is True for right in said):
        return ALL_RIGHTS
    return frozenset(right for right in said if isinstance(right, str))


def folders(kind: Kind, site_id: int) -> Command:
    """The folders of a site outside the trash."""
    return Command("landing.site.getFolders", {"siteId": site_id, "scope": kind.value})


def read_living_folders(site_id: int, answer: Answer | PortalError) -> tuple[Folder, ...] | None:
    """The folders of a site from which pages are not in the trash, each behind the one it lies in; None where the
    portal cannot tell.

    Without a site in its filter getList lists pages of trashed folders too, which no other method finds (source).
    """
    if isinstance(answer, PortalError):
        return None
    told = {int(row["ID"]): _folder(site_id, row) for row in _rows(answer.result)}
    inside: dict[int | None, list[Folder]] = {}
    for folder in told.values():  # those in the trash are only listed when they are asked for
        inside.setdefault(folder.parent_id, []).append(folder)
    living: list[Folder] = []
    reached = inside.get(None, [])
    while reached:  # each folder once, from its only parent
        living += reached
        reached = [folder for parent in reached for folder in inside.get(parent.folder_id, ())]
    return tuple(living)


def _folder(site_id: int, row: dict[str, Any]) -> Folder:
    title = str(row.get("TITLE") or row.get("CODE") or row["ID"])
    return Folder(int(row["ID"]), site_id, read_id(row.get("PARENT_ID")), title)


def by_publication(kind: Kind, limit: int, offset: int) -> Command:
    """Numbers of pages in the order in which they were last published, the longest ago first, those never published at
    the beginning. The portal sorts: its dates are text of its own culture.
    """
    order = {"DATE_PUBLIC": "ASC", "ID": "ASC"}
    params = {"select": ["ID"], "order": order, "limit": limit, "offset": offset}
    return Command("landing.landing.getList", {"params": params, "scope": kind.value})


def read_lids(result: object, most: int) -> list[int]:
    """Numbers of pages of a getList answer. Raises Unavailable for anything else."""
    return [int(row["ID"]) for row in _rows(result, most)]


def page_at(kind: Kind, site_id: int, path: str) -> Command:
    """Which page is at a path of a site; whoever uses Sites is told, so the right to read has still to be looked at."""
    params = {"landingUrl": path, "siteId": site_id, "scope": kind.value}
    return Command("landing.landing.resolveIdByPublicUrl", params)


def read_page_at(answer: Answer | PortalError) -> int | None:
    """The number of the page; None where there is none, and on a portal that does not know the method. Raises the
    PortalError of a portal that is unwell.
    """
    if isinstance(answer, PortalError) and (answer.transient or isinstance(answer, InsufficientScope)):
        raise answer
    return read_id(answer.result) if isinstance(answer, Answer) else None


def act(action: Action, kind: Kind, lid: int) -> Command:
    """Take one page down, or publish its current draft."""
    return Command(METHODS[action], {"lid": lid, "scope": kind.value})


def check_done(action: Action, answer: Answer | PortalError) -> None:
    """Raise unless the action was carried out. Without the right `publication` answers null and no error (source)."""
    if result_of(answer) is True:
        return
    if action is Action.PUBLISH:
        raise PublishRefused(method=METHODS[action])
    raise Unavailable(UNEXPECTED, method=METHODS[action])


def _rows(result: object, most: int | None = None) -> list[dict[str, Any]]:
    """A PHP list may come as an object with numbers for keys, an empty one always as a list."""
    rows = list(result.values()) if isinstance(result, dict) else result
    if not isinstance(rows, list) or (most is not None and len(rows) > most):
        raise Unavailable(UNEXPECTED, method="getList")
    if not all(isinstance(row, dict) and read_id(row.get("ID")) for row in rows):
        raise Unavailable(UNEXPECTED, method="getList")
    return rows


def _site(row: dict[str, Any]) -> Site:
    return Site(
        site_id=int(row["ID"]),
        title=str(row.get("TITLE") or ""),
        type=str(row.get("TYPE") or ""),
        active=row.get("ACTIVE", "Y") == "Y",
        main_lid=read_id(row.get("LANDING_ID_INDEX")),
    )


def _page(row: dict[str, Any]) -> PageState:
    return PageState(
        lid=int(row["ID"]),
        site_id=read_id(row.get("SITE_ID")) or 0,
        title=str(row.get("TITLE") or ""),
        active=row.get("ACTIVE") == "Y",
        public=row.get("PUBLIC") == "Y",
        folder_id=read_id(row.get("FOLDER_ID")),
        modified_by=read_id(row.get("MODIFIED_BY_ID")),
        modified_text=_text(row.get("DATE_MODIFY")),
        published_text=_text(row.get("DATE_PUBLIC")),
        url=_web_address(row.get("PUBLIC_URL")),
        special=row.get("SYS") == "Y",
    )


def _text(value: object) -> str | None:
    """Dates come as text or null; the source forgets to make text of one, so `{}` can arrive."""
    return value if isinstance(value, str) and value else None


def _web_address(value: object) -> str | None:
    """Only what a link may lead to; the portal can answer with no scheme for its own domains."""
    if not isinstance(value, str) or not value:
        return None
    address = f"https:{value}" if value.startswith("//") else value
    return address if address.startswith(("https://", "http://")) else None
