"""The history as CSV: /runs.csv, a row a run, and /runs/<id>.csv, a row a page, with the filters of the lists.

A file holds what its reader may see on the screen, and nothing more.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from flask import Blueprint, Response, g, request

from b24app.domain import N_, Action, ItemState, RunState
from b24app.runs.queries import RunFilter, RunView
from b24app.store.models import Run, RunItem
from b24app.web import serializers, translation
from b24app.web.csv import Column, csv_file
from b24app.web.current import require_session, services
from b24app.web.forms import read
from b24app.web.run_forms import ItemsQuery, ListQuery
from b24app.web.runs import HISTORY
from b24app.web.shapes import ItemShape, ProblemShape
from b24app.web.sight import sight
from b24app.web.translation import _

PIECE_RUNS, PIECE_ITEMS = 200, 1000
ACTIONS = {Action.UNPUBLISH: N_("Unpublish"), Action.PUBLISH: N_("Publish")}
STATES = {
    RunState.SCHEDULED: N_("Scheduled"), RunState.QUEUED: N_("About to start"), RunState.RUNNING: N_("In progress"),
    RunState.WAITING: N_("Needs attention"), RunState.SUCCEEDED: N_("Done"),
    RunState.PARTIAL: N_("Finished with errors"), RunState.FAILED: N_("Failed"), RunState.CANCELLED: N_("Cancelled"),
}  # fmt: skip
PAGES_OF = {
    Action.UNPUBLISH: N_("Sundown pages unpublished %(day)s"),
    Action.PUBLISH: N_("Sundown pages published %(day)s"),
}
DONE = {Action.UNPUBLISH: N_("Unpublished"), Action.PUBLISH: N_("Published")}
ITEM_STATES = {
    ItemState.PENDING: N_("Waiting"), ItemState.RUNNING: N_("Working…"), ItemState.FAILED: N_("Failed"),
    ItemState.SKIPPED: N_("Skipped"), ItemState.CANCELLED: N_("Not done"),
}  # fmt: skip


@dataclass(frozen=True)
class RunLine:
    """One run as a row; `title` names its only page, where it has just one; `sites` are those the reader may see."""

    view: RunView
    title: str | None
    sites: Sequence[str] = ()

    @property
    def run(self) -> Run:
        """The order."""
        return self.view.run

    @property
    def problem(self) -> ProblemShape | None:
        """Why it waits or failed."""
        return serializers.problem(self.run)


@dataclass(frozen=True)
class ItemLine:
    """One page of a run as a row."""

    run: Run
    item: RunItem
    shape: ItemShape


def _count(state: ItemState, head: str | None) -> Column[RunLine]:
    return Column(state.value, head, lambda line: line.view.counts[state])


RUN_COLUMNS: tuple[Column[RunLine], ...] = (
    Column("id", None, lambda line: line.run.id),
    Column("action", N_("Action"), lambda line: line.run.action.value, lambda line: _(ACTIONS[line.run.action])),
    Column(None, N_("Page"), lambda line: line.title),
    Column(None, N_("Sites"), lambda line: ", ".join(line.sites)),
    Column("kind", None, lambda line: line.run.kind.value),
    Column("state", N_("Result"), lambda line: line.run.state.value, lambda line: _(STATES[line.run.state])),
    Column("at", N_("Set for"), lambda line: line.run.at, is_time=True),
    Column("until", N_("Until"), lambda line: line.run.until, is_time=True),
    Column("zone", None, lambda line: line.run.zone),
    Column("name", N_("Campaign"), lambda line: line.run.name),
    Column("reason", N_("Reason"), lambda line: line.run.reason),
    Column("created_by", N_("Started by"), lambda line: line.run.created_name),
    Column("created_by_id", None, lambda line: line.run.created_by),
    Column("acting_as", N_("Acting as"), lambda line: line.run.acting_name),
    Column("acting_as_id", None, lambda line: line.run.acting_as),
    Column("cancelled_by", N_("Cancelled by"), lambda line: line.run.cancelled_name),
    Column("cancelled_by_id", None, lambda line: line.run.cancelled_by),
    Column("created_at", N_("Started"), lambda line: line.run.created_at, is_time=True),
    Column("finished_at", N_("Finished"), lambda line: line.run.finished_at, is_time=True),
    Column("problem", N_("Problem"), lambda line: line.problem and line.problem["code"],
           lambda line: line.problem and line.problem["title"]),
    Column("returns_run", None, lambda line: line.run.returns_run),
    Column("undoes", None, lambda line: line.run.undoes),
    Column("retries", None, lambda line: line.run.retries),
    Column("total", N_("Pages"), lambda line: line.view.total),
    _count(ItemState.SUCCEEDED, N_("Done")),
    _count(ItemState.FAILED, N_("Failed")),
    _count(ItemState.SKIPPED, N_("Skipped")),
    _count(ItemState.CANCELLED, N_("Not done")),
    _count(ItemState.PENDING, None),
    _count(ItemState.RUNNING, None),
)  # fmt: skip
ITEM_COLUMNS: tuple[Column[ItemLine], ...] = (
    Column("lid", N_("Number"), lambda line: line.item.lid),
    Column("title", N_("Page"), lambda line: line.shape["title"]),
    Column("site", N_("Site"), lambda line: line.item.site),
    Column("url", N_("Address"), lambda line: line.item.url),
    Column("state", N_("Result"), lambda line: line.item.state.value, lambda line: _item_state(line)),
    Column("code", N_("Code"), lambda line: line.item.code),
    Column("detail", N_("Details"), lambda line: line.shape["detail"]),
    Column("was_published", N_("Published before"), lambda line: line.item.was_published),
)  # fmt: skip

blueprint = Blueprint("exports", __name__)
blueprint.before_request(require_session)


@blueprint.get("/runs.csv")
def history() -> Response:
    query = read(ListQuery, request.args)
    wanted = query.filter(g.actor, as_history=query.view == HISTORY)
    title = _(N_("Sundown history %(day)s"), day=translation.today())
    return csv_file(title, RUN_COLUMNS, _runs(replace(wanted, limit=PIECE_RUNS)), raw_name="sundown-history")


@blueprint.get("/runs/<uuid:run_id>.csv")
def pages(run_id: UUID) -> Response:
    run = services().runs.get(g.actor, run_id)
    query = read(ItemsQuery, request.args)
    readable = services().permissions.readable_sites(g.actor, run, services().runs.sites_of(g.actor, run_id))
    day = translation.today(run.at or run.created_at)
    title = _(PAGES_OF[run.action], day=day)
    return csv_file(title, ITEM_COLUMNS, _items(run_id, readable, query), raw_name=f"sundown-run-{run_id}")


def _runs(wanted: RunFilter) -> Iterator[RunLine]:
    following = wanted.after
    while True:
        views, following = services().runs.listed(g.actor, replace(wanted, after=following))
        seen = sight(views)
        yield from (RunLine(view, seen.titles.get(view.run.id), seen.sites.get(view.run.id, ())) for view in views)
        if following is None:
            return


def _items(run_id: UUID, readable: frozenset[int] | None, query: ItemsQuery) -> Iterator[ItemLine]:
    after: int | None = query.after
    while after is not None:
        view = services().runs.view(
            g.actor, run_id, readable, failed_only=query.items == "failed", after=after, limit=PIECE_ITEMS
        )
        shapes = serializers.run(view)["items"]
        yield from (ItemLine(view.run, item, shape) for item, shape in zip(view.slice.items, shapes, strict=True))
        after = int(view.slice.next) if view.slice.next is not None else None


def _item_state(line: ItemLine) -> str:
    """As on the run's page: while the run is on hold nothing is being done to any page."""
    state = line.item.state
    if state is ItemState.RUNNING and line.run.state is RunState.WAITING:
        state = ItemState.PENDING
    return _(DONE[line.run.action] if state is ItemState.SUCCEEDED else ITEM_STATES[state])
