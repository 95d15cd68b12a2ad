"""The JSON shapes of the outward contract (docs/api.md), as types: what clients may rely on stands here once.

Times are ISO 8601 in UTC, ids of runs are UUIDs. `NotRequired` members are left out where they have nothing to say.
"""

from typing import NotRequired, TypedDict


class ProblemShape(TypedDict):
    """A problem answer (RFC 9457); also why a run waits or failed. `who` can mend it: you, administrator, operator,
    bitrix24.
    """

    type: str
    title: str
    status: int
    detail: str
    code: str
    remedy: str
    who: str
    request_id: str
    retry_after: NotRequired[int]
    suggestion: NotRequired[str]


class PageShape(TypedDict):
    """One page of GET /pages. `published_at_text` is the portal's own text."""

    lid: int
    kind: str
    site_id: int
    site: str
    title: str
    url: str | None
    published: bool
    main: bool
    may: bool
    published_at_text: str | None
    scheduled_at: str | None
    site_active: bool
    may_publish: bool


class PagesShape(TypedDict):
    """GET /pages: one slice of what matches. `capped`: the portal has more pages than are listed."""

    pages: list[PageShape]
    total: int
    next: str | None
    previous: str | None
    capped: NotRequired[bool]


class FoundPageShape(TypedDict):
    """The page at an address."""

    address: str
    lid: int
    kind: str


class MissingShape(TypedDict):
    """An address at which the person sees no page, and why."""

    address: str
    why: str


class FoundShape(TypedDict):
    """POST /pages/find."""

    found: list[FoundPageShape]
    missing: list[MissingShape]


class PersonShape(TypedDict):
    """Who ordered a run, or as whom it acts."""

    user_id: int
    name: str


class ItemShape(TypedDict):
    """One page of a run."""

    lid: int
    title: str
    site: str
    url: str | None
    state: str
    code: str | None
    detail: str | None
    was_published: bool | None


class RunShape(TypedDict):
    """One run. Lists leave out `items`, `hidden` and `next`."""

    id: str
    action: str
    kind: str
    state: str
    at: str | None
    until: str | None
    zone: str | None
    name: str | None
    reason: str | None
    created_by: PersonShape
    acting_as: PersonShape
    created_at: str | None
    finished_at: str | None
    problem: ProblemShape | None
    returns_run: str | None
    undoes: str | None
    retries: str | None
    counts: dict[str, int]
    can: list[str]
    items: NotRequired[list[ItemShape]]
    hidden: NotRequired[int]
    next: NotRequired[str | None]


class RunsShape(TypedDict):
    """GET /runs: newest first."""

    runs: list[RunShape]
    next: str | None


class PreviewItemShape(TypedDict):
    """What an order would do to one page; `will` is unpublish, publish or skip."""

    lid: int
    title: str
    site: str
    published: bool
    may: bool
    main: bool
    will: str
    why: str | None


class PreviewShape(TypedDict):
    """POST /runs/preview: nothing was done. `same_as` names open runs with the same pages, action and times."""

    items: list[PreviewItemShape]
    counts: dict[str, int]
    same_as: list[str]


class CallShape(TypedDict):
    """One request of GET /log."""

    id: int
    at: str | None
    user_id: int
    user: str
    method: str
    params: str
    http_status: int | None
    code: str | None
    seconds: float
    answer: str
