"""What became of a page: pure verdicts over what was ordered, what was answered, and what was read before and after.

A verdict never trusts an answer alone: `publication` answers null without the right, and an answer may be lost while
the work was done. What is written as done was read to be so, or was answered and could not be read.
"""

from dataclasses import dataclass, replace
from typing import Any

from b24app.bitrix import landing
from b24app.bitrix.landing import PageState
from b24app.bitrix.rest import Answer
from b24app.domain import Action, ItemState
from b24app.errors import AccessDenied, PageGone, PortalError, PublishRefused, Unavailable, Unexpected
from b24app.store.models import Run, RunItem

PAGE_LEVEL = (AccessDenied, PageGone, PublishRefused, Unexpected)  # one page fails, the others go on
ALREADY_SO, CHANGED_SINCE, NOT_RESTORED = "already_so", "changed_since", "state_differs"


@dataclass(frozen=True)
class Result:
    """What became of one item."""

    position: int
    state: ItemState
    code: str | None = None
    problem: str | None = None
    title: str | None = None
    site_id: int | None = None
    site: str | None = None
    url: str | None = None
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None

    def values(self, *, with_people: bool = True) -> dict[str, Any]:
        """Columns to write; what was not learnt is left as it was.

        with_people  False: of a history without people, to which nobody's id is added any more
        """
        learnt = {name: value for name, value in vars(self).items() if value is not None}
        if not with_people:
            learnt |= {name: _nameless(learnt[name]) for name in ("before", "after") if name in learnt}
        return {"code": None, "problem": None, **learnt}


def _nameless(state: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in state.items() if name != "modified_by"}


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


def _as_left(expected: dict[str, Any], now: PageState) -> bool:
    """Nobody touched the page since; a history without people no longer knows who had touched it last."""
    current = kept(now) or {}
    return all(current.get(name) == value for name, value in expected.items())


def _wanted(run: Run) -> bool:
    return run.action is Action.PUBLISH


def result(item: RunItem, state: ItemState, before: PageState | None, **facts: Any) -> Result:
    """A verdict with what was read of the page before."""
    title, site_id, url = (before.title, before.site_id, before.url) if before else (None, None, None)
    return Result(item.position, state, title=title, site_id=site_id, url=url, before=kept(before), **facts)


def decide(run: Run, item: RunItem, now: PageState | None, sent_before: bool) -> Result | None:
    """After a look: what needs no request any more, or None for what is still to be done."""
    if now is None:
        gone = PageGone()
        return result(item, ItemState.FAILED, None, **recorded(gone))
    if sent_before and (done := seen_done(run, item, now)):
        return done
    if now.active == _wanted(run):
        return result(item, ItemState.SKIPPED, now, code=ALREADY_SO)
    if item.expected is not None and not _as_left(item.expected, now):
        return result(item, ItemState.SKIPPED, now, code=CHANGED_SINCE)
    return None


def seen_done(run: Run, item: RunItem, now: PageState | None) -> Result | None:
    """A request whose answer was lost: it was carried out when the page is as wanted, was not so when ordered, and the
    last hand on it is the one the run acts for. Where the order did not know how the page was, the hand decides.
    """
    planned = item.before or {}
    if now is None or now.active != _wanted(run) or planned.get("active") is now.active:
        return None
    if now.modified_by not in (run.acting_as, run.created_by) and (
        now.modified_by is not None or "active" not in planned
    ):
        return None
    done = result(item, ItemState.SUCCEEDED, now, after=kept(now))
    return replace(done, before=item.before)


def outcome(
    run: Run, item: RunItem, answer: Answer | PortalError, before: PageState | None, after: PageState | None
) -> Result:
    """What one command did. Raises the PortalError when the failure is the call's and not the page's."""
    try:
        landing.check_done(run.action, answer)
    except PAGE_LEVEL as refused:
        if before is not None and before.active == _wanted(run):
            return result(item, ItemState.SKIPPED, before, code=ALREADY_SO)
        return result(item, ItemState.FAILED, before, **recorded(refused))
    if before is not None and before.active == _wanted(run):
        return result(item, ItemState.SKIPPED, before, code=ALREADY_SO)
    if after is not None and after.active != _wanted(run):
        return result(item, ItemState.FAILED, before, code=NOT_RESTORED, problem=Unavailable.key, after=kept(after))
    done = result(item, ItemState.SUCCEEDED, before, after=kept(after))
    return done if before is not None else replace(done, before=item.before)
