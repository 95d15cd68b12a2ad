"""What became of a page: pure verdicts over what was ordered, what was answered, and what was read before and after.

A verdict never trusts an answer alone: `publication` answers null without the right, and an answer may be lost while
the work was done. What is written as done was read to be so, or was answered and could not be read.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from b24app.bitrix import landing
from b24app.bitrix.landing import PageState
from b24app.bitrix.rest import Answer
from b24app.domain import Action, ItemState
from b24app.errors import (
    AccessDenied,
    OutcomeUnknown,
    PageGone,
    PortalError,
    PublishRefused,
    Unavailable,
    Unexpected,
)
from b24app.store.models import Run, RunItem

PAGE_LEVEL = (AccessDenied, PageGone, PublishRefused, Unexpected)  # one page fails, the others go on
ALREADY_SO, CHANGED_SINCE, NOT_RESTORED = "already_so", "changed_since", "state_differs"
UNKNOWN = OutcomeUnknown.code
FRESH = timedelta(seconds=60)  # how old a reading of a page may be when a request is made by it


@dataclass(frozen=True)
class Result:
    """What became of one item."""

    position: int
    lid: int
    state: ItemState
    code: str | None = None
    problem: str | None = None
    title: str | None = None
    site_id: int | None = None
    site: str | None = None
    url: str | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    kept_by: UUID | None = None

    def nameless(self) -> "Result":
        """For a history without people: what became of the page, and nobody's id."""
        return replace(self, before=_nameless(self.before), after=_nameless(self.after))

    def values(self) -> dict[str, Any]:
        """Columns to write; what is not known is left as it was."""
        known = {name: value for name, value in vars(self).items() if value is not None and name != "lid"}
        return {"code": None, "problem": None, **known}


def _nameless(state: dict[str, Any] | None) -> dict[str, Any] | None:
    return state and {name: value for name, value in state.items() if name != "modified_by"}


def recorded(problem: PortalError) -> dict[str, str]:
    """A problem as an item keeps it."""
    return {"code": problem.code, "problem": problem.key}


def kept(state: PageState | None) -> dict[str, Any] | None:
    """What is remembered of a page's state: enough to see later whether anybody touched it."""
    if state is None:
        return None
    return {
        "active": state.active, "public": state.public, "modified_by": state.modified_by,
        "modified_text": state.modified_text, "published_text": state.published_text,
    }  # fmt: skip


def reading(state: PageState, at: datetime) -> dict[str, Any]:
    """A page's state as it is kept before anything is sent: what became of a lost request is told by it."""
    return {**(kept(state) or {}), "read_at": at.isoformat()}


def was_read(item: RunItem) -> bool:
    """The page was read before any request for it left."""
    return bool(item.before and item.before.get("read_at"))


def needs_look(run: Run, item: RunItem, now: datetime) -> bool:
    """The page must be looked at before a request for it: nothing fresh is known, or an earlier request may have done
    it. The list that was read for the order will do to unpublish what it shows as published, and for nothing else.
    """
    before = item.before or {}
    if item.state is ItemState.RUNNING or not was_read(item):
        return True
    if now - datetime.fromisoformat(before["read_at"]) > FRESH:
        return True
    return "planned" in before and (_wanted(run) or item.expected is not None or not before.get("active"))


def remembered(item: RunItem) -> PageState | None:
    """The page as it was read with the batch before; None where only a list told of it."""
    before = item.before
    if before is None or "planned" in before:
        return None
    return PageState(
        lid=item.lid, site_id=item.site_id or 0, title=item.title, active=before["active"], public=before["public"],
        folder_id=None, modified_by=before["modified_by"], modified_text=before["modified_text"],
        published_text=before["published_text"], url=None, special=False,
    )  # fmt: skip


def _as_left(expected: dict[str, Any], now: PageState) -> bool:
    """Nobody touched the page since; a history without people no longer knows who had touched it last."""
    current = kept(now) or {}
    return all(current.get(name) == value for name, value in expected.items())


def _wanted(run: Run) -> bool:
    return run.action is Action.PUBLISH


def result(item: RunItem, state: ItemState, before: PageState | None, **facts: Any) -> Result:
    """A verdict with what was read of the page before."""
    title, site_id, url = (before.title, before.site_id or None, before.url) if before else (None, None, None)
    return Result(
        item.position, item.lid, state, title=title, site_id=site_id, url=url, before=kept(before), **facts
    )  # fmt: skip


def unknown(item: RunItem) -> Result:
    """A request for it may have been carried out, and nobody can look: what reads this takes it as perhaps changed."""
    return result(item, ItemState.FAILED, None, code=UNKNOWN, problem=OutcomeUnknown.key)


def decide(run: Run, item: RunItem, now: PageState | None) -> Result | None:
    """After a look: what needs no request any more, or None for what is still to be done."""
    if now is None:
        return result(item, ItemState.FAILED, None, **recorded(PageGone()))
    if item.state is ItemState.RUNNING and (done := after_lost_answer(run, item, now)):
        return done
    if now.active == _wanted(run):
        return result(item, ItemState.SKIPPED, now, code=ALREADY_SO)
    if item.expected is not None and not _as_left(item.expected, now):
        return result(item, ItemState.SKIPPED, now, code=CHANGED_SINCE)
    return None


def seen_done(run: Run, item: RunItem, now: PageState | None) -> Result | None:
    """A request whose answer was lost: it was carried out when the page is as wanted, was read not to be so before the
    request left, and the last hand on it is the one the run acts for. How the page is now proves nothing alone.
    """
    before = item.before or {}
    if not was_read(item) or before.get("active") is _wanted(run):
        return None
    if now is None or now.active is not _wanted(run):
        return None
    if now.modified_by not in (run.acting_as, run.created_by, None):
        return None
    return replace(result(item, ItemState.SUCCEEDED, now, after=kept(now)), before=item.before)


def after_lost_answer(run: Run, item: RunItem, now: PageState | None) -> Result | None:
    """What a look tells of a request whose answer was lost; None where it did nothing.

    Somebody may have edited the page after it. Of a run with a return that must not make the page one that was so
    before: the return is to look at it.
    """
    done = seen_done(run, item, now)
    if done is not None or run.returns_run is None or now is None or not was_read(item):
        return done
    if now.active is not _wanted(run) or (item.before or {}).get("active") is _wanted(run):
        return None
    return replace(unknown(item), after=kept(now))


def outcome(
    run: Run, item: RunItem, answer: Answer | PortalError, before: PageState | None, after: PageState | None
) -> Result:
    """What one command did. Raises the PortalError when the failure is the call's and not the page's."""
    try:
        landing.check_done(run.action, answer)
    except PAGE_LEVEL as refused:
        denied = isinstance(refused, AccessDenied | PublishRefused)  # who has no right does not keep it so
        if before is not None and before.active == _wanted(run) and not denied:
            return result(item, ItemState.SKIPPED, before, code=ALREADY_SO)
        return result(item, ItemState.FAILED, before, **recorded(refused))
    if before is not None and before.active == _wanted(run):
        return result(item, ItemState.SKIPPED, before, code=ALREADY_SO)
    if after is not None and after.active != _wanted(run):
        return result(item, ItemState.FAILED, before, code=NOT_RESTORED, problem=Unavailable.key, after=kept(after))
    done = result(item, ItemState.SUCCEEDED, before, after=kept(after))
    return done if before is not None else replace(done, before=item.before)
