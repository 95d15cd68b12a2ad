"""What JSON clients and templates are given: the shapes of the contract, and rows in words for the page."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any
from uuid import UUID

from flask import g

from b24app import i18n
from b24app.domain import N_, Action, ItemState, RunState
from b24app.errors import AccessDenied, AppNotAllowed, ExpiredToken, Problem, RecordedProblem, UserGone
from b24app.folding import is_blank
from b24app.pages.lists import Page
from b24app.runs import outcomes, windows
from b24app.runs.queries import RunView, Undone, Upcoming, happened_at
from b24app.runs.retries import Retried
from b24app.store.models import Run, RunItem
from b24app.web import times
from b24app.web.problems import facts
from b24app.web.shapes import ItemShape, PageShape, PersonShape, ProblemShape, RunShape
from b24app.web.translation import _, named, person, when

NO_RIGHT = {
    Action.UNPUBLISH: N_(
        "You have no right to unpublish pages of “%(site)s”. Ask the site's owner or a portal administrator for the "
        "Publish right."
    ),
    Action.PUBLISH: N_(
        "You have no right to publish pages of “%(site)s”. Ask the site's owner or a portal administrator for the "
        "Publish right."
    ),
}
NO_RIGHT_OF_A_COLLEAGUE = {
    Action.UNPUBLISH: N_(
        "%(name)s had no right to unpublish pages of “%(site)s”. Anyone with the Publish right there can retry."
    ),
    Action.PUBLISH: N_(
        "%(name)s had no right to publish pages of “%(site)s”. Anyone with the Publish right there can retry."
    ),
}
DETAILS = {
    outcomes.CHANGED_SINCE: N_("Someone has changed this page since; it was left as it is."),
    outcomes.NOT_RESTORED: N_("Bitrix24 reported success, but the page did not change. Check it in Bitrix24."),
    outcomes.UNKNOWN: N_(
        "Bitrix24's answer was lost and the page could not be checked afterwards. Check it in Bitrix24."
    ),
}
UNCHANGED = {
    Action.PUBLISH: N_("It was already unpublished beforehand, so it stays unpublished."),
    Action.UNPUBLISH: N_("It was already published beforehand, so it stays published."),
}
HELD = {
    Action.PUBLISH: N_("%(name)s keeps it unpublished for longer. It comes back: %(time)s."),
    Action.UNPUBLISH: N_("%(name)s keeps it published for longer. It will be unpublished: %(time)s."),
}
KEPT = {
    Action.PUBLISH: N_("It stays unpublished: %(name)s set no end."),
    Action.UNPUBLISH: N_("It stays published: %(name)s set no end."),
}
OF_A_COLLEAGUE: dict[type[Problem], tuple[str, str, str]] = {
    ExpiredToken: (
        N_("%(name)s has to open Sundown once"),
        N_("Bitrix24 no longer accepts the app's access on behalf of %(name)s, and it could not be renewed."),
        N_("It continues by itself as soon as %(name)s opens Sundown. Ask them to, or take over."),
    ),
    UserGone: (
        N_("%(name)s is no longer active on this portal"),
        N_("Bitrix24 says that this user was dismissed or deactivated. Nothing is done on their behalf any more."),
        N_("Someone who may publish on these sites can take over."),
    ),
    AppNotAllowed: (
        N_("%(name)s can no longer use Sundown"),
        N_("An administrator decides who may use Sundown, and %(name)s is not on the list."),
        N_("Ask an administrator to add them in Market → Installed, or take over."),
    ),
}
ALREADY = {Action.UNPUBLISH: N_("It was already unpublished."), Action.PUBLISH: N_("It was already published.")}


def iso(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC, to the second."""
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if moment else None


def page(row: Page, upcoming: Mapping[int, Sequence[Upcoming]]) -> PageShape:
    """One page of GET /pages."""
    due = upcoming.get(row.lid, ())
    return {
        "lid": row.lid, "kind": row.kind, "site_id": row.site_id, "site": row.site, "title": row.title, "url": row.url,
        "published": row.published, "main": row.main, "may": row.may(Action.UNPUBLISH),
        "published_at_text": row.published_at_text, "scheduled_at": iso(due[0].at if due else None),
        "site_active": row.site_active, "may_publish": row.may(Action.PUBLISH),
    }  # fmt: skip


def page_with_schedule(row: Page, upcoming: Mapping[int, Sequence[Upcoming]]) -> dict[str, Any]:
    """One page of the list on the screen: with what is still to happen to it, soonest first."""
    due = times.foreseen(row.published, upcoming.get(row.lid, ()))
    more = {"title": titled(row.title, row.lid), "upcoming": due, "locked": row.is_locked}
    return {**page(row, upcoming), **more}


def titled(title: str, lid: int) -> str:
    """A page's title for people; one without gets a name by its number."""
    return _(N_("Untitled page %(lid)s"), lid=lid) if is_blank(title) else title


def run(view: RunView, *, with_items: bool = True) -> RunShape:
    """One run, in the contract's shape."""
    order = view.run
    counts = {"total": view.total, **{state.value: view.counts[state] for state in ItemState}}
    shape: RunShape = {
        "id": str(order.id),
        "action": order.action,
        "kind": order.kind,
        "state": order.state,
        "at": iso(order.at),
        "until": iso(order.until),
        "zone": order.zone,
        "name": order.name,
        "reason": order.reason,
        "created_by": {"user_id": order.created_by, "name": order.created_name},
        "acting_as": {"user_id": order.acting_as, "name": order.acting_name},
        "created_at": iso(order.created_at),
        "finished_at": iso(order.finished_at),
        "problem": problem(order),
        "returns_run": _id(order.returns_run),
        "undoes": _id(order.undoes),
        "retries": _id(order.retries),
        "counts": counts,
        "can": list(view.can),
    }
    if with_items:
        shape["items"] = [
            item(order, row, view.upcoming.get(row.lid, ()), view.keepers.get(row.kept_by or order.id))
            for row in view.slice.items
        ]
        shape["hidden"], shape["next"] = view.hidden, view.slice.next
    return shape


def item(order: Run, row: RunItem, upcoming: Sequence[Upcoming] = (), keeper: Run | None = None) -> ItemShape:
    """One page of a run, with the reason in words.

    keeper  the run that keeps the page as it is beyond this return
    """
    return {
        "lid": row.lid, "title": _title(row), "site": row.site, "url": row.url,
        "state": row.state, "code": row.code, "detail": _detail(order, row, upcoming, keeper),
        "was_published": row.was_published,
    }  # fmt: skip


def _title(row: RunItem) -> str:
    """As the page was called when it was ordered; of one that nobody has read only the number is known."""
    return _(N_("Page %(lid)s"), lid=row.lid) if row.site_id is None and not row.title else titled(row.title, row.lid)


def _detail(order: Run, row: RunItem, upcoming: Sequence[Upcoming], keeper: Run | None) -> str | None:
    if row.state is ItemState.SUCCEEDED:
        return " ".join(filter(None, (times.late(order), times.kept(upcoming, order.finished_at)))) or None
    if row.code in DETAILS:
        return _(DETAILS[row.code])
    if row.code in (windows.HELD, windows.KEPT) and keeper is not None:
        said = HELD if keeper.at is not None and row.code == windows.HELD else KEPT
        return _(said[order.action], time=when(keeper.at) if keeper.at else "", name=named(keeper.created_name))
    if row.code in (windows.HELD, windows.KEPT, windows.UNCHANGED):
        return _(UNCHANGED[order.action])
    if row.state is ItemState.SKIPPED:
        return _(ALREADY[order.action])
    if row.state is not ItemState.FAILED or row.problem is None:
        return None
    if row.problem == AccessDenied.key and row.site and order.acting_as == g.actor.user_id:
        return _(NO_RIGHT[order.action], site=row.site)
    if row.problem == AccessDenied.key and row.site:
        name = person({"name": order.acting_name, "user_id": order.acting_as})
        return _(NO_RIGHT_OF_A_COLLEAGUE[order.action], name=name, site=row.site)
    remedy = RecordedProblem(row.problem, row.code or "").kind
    return f"{_(remedy.detail)} {_(remedy.remedy)}"


def problem(order: Run) -> ProblemShape | None:
    """Why the run waits or failed, as problem members."""
    return _facts_of(order, order.problem)


def _facts_of(order: Run, recorded: RecordedProblem | None) -> ProblemShape | None:
    """What stopped the person it acts as is told to them as theirs, and to everybody else as that person's."""
    if recorded is None:
        return None
    said = facts(recorded.problem())
    words = next((words for kind, words in OF_A_COLLEAGUE.items() if issubclass(recorded.kind, kind)), None)
    if words is None or order.acting_as == g.actor.user_id:
        return said
    name = person({"name": order.acting_name, "user_id": order.acting_as})
    title, detail, remedy = (_(text, name=name) for text in words)
    return {**said, "title": title, "detail": detail, "remedy": remedy}


def waits_for_asker(order: Run) -> bool:
    """It goes on as soon as the person who looks has a fresh session: it acts as them, and theirs has ended."""
    ended = order.problem is not None and issubclass(order.problem.kind, ExpiredToken)
    return ended and order.state is RunState.WAITING and order.acting_as == g.actor.user_id


def _id(value: object) -> str | None:
    return None if value is None else str(value)


def local(moment: datetime | None, zone: str | None) -> str | None:
    """A moment as a value for a datetime-local field, in a zone."""
    if moment is None:
        return None
    return moment.astimezone(i18n.zone(zone)).replace(tzinfo=None).isoformat(timespec="minutes")


def rows(views: Sequence[RunView]) -> list[RunShape]:
    """Runs of a list, without items."""
    return [run(view, with_items=False) for view in views]


def rows_in_words(
    views: Sequence[RunView], titles: Mapping[UUID, str], sites: Mapping[UUID, Sequence[str]] = MappingProxyType({})
) -> list[dict[str, Any]]:
    """Runs of a list for people: the only page by its name, how late it was, and what may hold it up."""
    return [
        {
            **run(view, with_items=False),
            "title": titles.get(view.run.id),
            "sites": sites.get(view.run.id, ()),
            "late": times.late(view.run),
            "doubt": doubt(view.run),
            "happened_at": iso(happened_at(view.run)),
            "is_return": view.run.is_return,
            "undone": undone(view),
            "retried": retried(view),
            "cancelled_by": cancelled_by(view.run),
        }
        for view in views
    ]


def undone(view: RunView) -> dict[str, Any] | None:
    """Who undid the run, and how much of it; None where nobody did."""
    it = view.undone
    return _follower(it, it.pages >= view.counts[ItemState.SUCCEEDED]) if it else None


def retried(view: RunView) -> dict[str, Any] | None:
    """Who tried its failed pages again, and how many of them that settled; None where nobody did."""
    it = view.retried
    return _follower(it, it.is_whole) if it else None


def _follower(it: Undone | Retried, is_whole: bool) -> dict[str, Any]:
    return {
        "run_id": str(it.by.id), "by": {"user_id": it.by.created_by, "name": it.by.created_name},
        "at": iso(happened_at(it.by)), "pages": it.pages, "is_moving": it.is_moving,
        "waits": it.by.state is RunState.WAITING, "is_whole": is_whole,
    }  # fmt: skip


def cancelled_by(order: Run) -> PersonShape | None:
    """Who stopped the run; None where nobody did, or nobody kept it."""
    if order.cancelled_by is None:
        return None
    return {"user_id": order.cancelled_by, "name": order.cancelled_name or ""}


def half(view: RunView | None) -> dict[str, Any] | None:
    """The other half of a "down until", as far as there is one; `set_for`: when it is or was to be, or began."""
    if view is None:
        return None
    begins = view.run.at or view.run.started_at or view.run.created_at
    return {
        **run(view, with_items=False), "set_for": iso(begins), "happened_at": iso(happened_at(view.run)),
        "is_return": view.run.is_return,
    }  # fmt: skip


def doubt(order: Run) -> ProblemShape | None:
    """Why a scheduled run would have to wait if its time came now, as problem members."""
    return _facts_of(order, order.doubt)
