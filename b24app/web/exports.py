"""The history as CSV: /runs.csv, a row a run, and /runs/<id>.csv, a row a page, with the filters of the lists.

A file holds what its reader may see on the screen, and nothing more.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from uuid import UUID

from flask import Blueprint, Response, g, request

from b24app.runs.queries import RunFilter, RunView
from b24app.web import serializers
from b24app.web.csv import csv_file
from b24app.web.current import require_session, services
from b24app.web.forms import read
from b24app.web.runs import ItemsQuery, ListQuery

PIECE_RUNS, PIECE_ITEMS = 200, 1000
RUN_HEADS = (
    "id", "action", "kind", "state", "at", "until", "zone", "reason", "created_by", "created_by_id", "acting_as",
    "acting_as_id", "created_at", "finished_at", "problem", "returns_run", "undoes", "retries", "total", "succeeded",
    "failed", "skipped", "cancelled", "pending", "running",
)  # fmt: skip
ITEM_HEADS = ("lid", "title", "site", "url", "state", "code", "detail", "was_published")

blueprint = Blueprint("exports", __name__)
blueprint.before_request(require_session)


@blueprint.get("/runs.csv")
def history() -> Response:
    wanted = read(ListQuery, request.args).filter(g.actor)
    return csv_file("sundown-history.csv", RUN_HEADS, _runs(replace(wanted, limit=PIECE_RUNS)))


@blueprint.get("/runs/<uuid:run_id>.csv")
def pages(run_id: UUID) -> Response:
    run = services().runs.get(g.actor, run_id)
    query = read(ItemsQuery, request.args)
    readable = services().permissions.readable_sites(g.actor, run, services().runs.sites_of(g.actor, run_id))
    return csv_file(f"sundown-run-{run_id}.csv", ITEM_HEADS, _items(run_id, readable, query))


def _runs(wanted: RunFilter) -> Iterator[list[object]]:
    following = wanted.after
    while True:
        views, following = services().runs.listed(g.actor, replace(wanted, after=following))
        yield from map(_run_row, views)
        if following is None:
            return


def _items(run_id: UUID, readable: frozenset[int] | None, query: ItemsQuery) -> Iterator[list[object]]:
    after: int | None = query.after
    while after is not None:
        view = services().runs.view(
            g.actor, run_id, readable, failed_only=query.items == "failed", after=after, limit=PIECE_ITEMS
        )
        for item in serializers.run(view)["items"]:
            cells: Mapping[str, object] = {**item}
            yield [cells[head] for head in ITEM_HEADS]
        after = int(view.screen.next) if view.screen.next is not None else None


def _run_row(view: RunView) -> list[object]:
    shown = serializers.run(view, with_items=False)
    problem = shown["problem"]
    facts: dict[str, object] = {**shown, **shown["counts"]} | {
        "created_by": shown["created_by"]["name"], "created_by_id": shown["created_by"]["user_id"],
        "acting_as": shown["acting_as"]["name"], "acting_as_id": shown["acting_as"]["user_id"],
        "problem": problem and problem["code"],
    }  # fmt: skip
    return [facts[head] for head in RUN_HEADS]
