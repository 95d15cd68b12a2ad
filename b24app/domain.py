"""The field's nouns as types: what a portal, a page kind, an action and the states are called everywhere.

Names and states come from the outward contract; the word `scope` is kept for REST permissions, so the `scope`
parameter of landing methods is called kind here.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

ID = re.compile(r"[0-9]{1,18}")  # what a column of bigint takes
NUMBER = re.compile(r"-?[0-9]{1,19}")
APP_SCOPE = "landing"  # the REST permission the app cannot work without; `profile` and `user.admin` need none
NOTICE_SCOPE = (
    "im"  # asked for as well, but a portal may lack it: then nobody is told in the portal, and all else works
)


def N_(words: str) -> str:
    """Mark words for translation where they are written; they are translated where they are shown."""
    return words


class Kind(StrEnum):
    """A family of sites; all but PAGE are sent as the `scope` parameter (landing docs, "Working with Site Types")."""

    PAGE = "PAGE"  # sites and stores
    KNOWLEDGE = "KNOWLEDGE"
    GROUP = "GROUP"
    MAINPAGE = "MAINPAGE"


class Action(StrEnum):
    """What a run does to its pages."""

    UNPUBLISH = "unpublish"
    PUBLISH = "publish"


class RunState(StrEnum):
    """Where a run stands; the last four are final."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """Nothing will happen to the run any more."""
        return self in FINAL_STATES


FINAL_STATES = frozenset({RunState.SUCCEEDED, RunState.PARTIAL, RunState.FAILED, RunState.CANCELLED})
UNKNOWN_SITE = 0  # of a page that is still to be changed and whose site nobody has read yet
OPEN_STATES = frozenset(RunState) - FINAL_STATES


class ItemState(StrEnum):
    """Where one page of a run stands; skipped = it was already so."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class NoticeAbout(StrEnum):
    """What of a run people are told in the portal."""

    ENDED = "ended"
    WAITS = "waits"  # somebody must help
    DOUBTFUL = "doubtful"  # days before: it would have to wait
    TAKEN_OVER = "taken_over"
    SETTLED = "settled"  # what was told of it is over: taken away again


class NoticeFate(StrEnum):
    """What became of a notice that was to be sent."""

    SENT = "sent"
    SUMMED = "summed"  # told as a part of a summary
    TAKEN = "taken"  # told, and taken away again when it was over
    REFUSED = "refused"  # by Bitrix24, for good
    LOST = "lost"  # it could not be sent for so long that it is no news any more
    KNOWN = "known"  # the person saw it themselves, does not want it, or must not see it
    STALE = "stale"  # not so any more when its turn came; so again, it is to be told
    DONE = "done"  # nothing to tell by itself: colleagues have rows of their own, or it took something away


class NoticeWish(StrEnum):
    """Which notices a person wants."""

    ALL = "all"
    PROBLEMS = "problems"  # and how scheduled runs ended
    NONE = "none"


@dataclass(frozen=True, order=True)
class UserRef:
    """One person on one portal: the key of a user token."""

    member_id: str
    user_id: int


@dataclass(frozen=True)
class Actor:
    """Who asks: a person with a living session, and what their answers are made of."""

    member_id: str
    user_id: int
    name: str
    language: str
    theme: str
    zone: str | None
    domain: str  # the portal's host, port included where it has one
    pages_version: int  # grows with every page the app changed on this portal
    portal_epoch: int | None = None  # of the installation the session belongs to
    lists_from: datetime | None = None  # what was read of pages before is not used any more
    was_admin: bool = False  # as `profile` said last: for what is shown; what is allowed is asked live

    @property
    def user(self) -> UserRef:
        """The key of the token that acts for this person."""
        return UserRef(self.member_id, self.user_id)


def whole_number(value: object) -> int:
    """A number that came as one, or as its digits. Raises ValueError for true, 1.0, "3_5", " 7" and anything else."""
    if isinstance(value, str) and NUMBER.fullmatch(value):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("not a whole number")


def read_id(value: object) -> int | None:
    """An id that came as text or number; None for 0, null and anything else."""
    if isinstance(value, int | str) and not isinstance(value, bool) and ID.fullmatch(str(value)):
        return int(value) or None
    return None
