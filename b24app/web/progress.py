"""How far a run has come, as its page tells it: in words, as numbers, and what changed since the page was drawn."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from flask import render_template

from b24app.domain import N_, Actor, ItemState, RunState
from b24app.runs.queries import OpenOrders, RunView, Undone, digest, happened_at
from b24app.runs.retries import Retried
from b24app.store.models import Run
from b24app.web import offers, serializers
from b24app.web.current import services
from b24app.web.sight import Sight
from b24app.web.translation import _, span

MOVING_SECONDS, STILL_SECONDS = 2, 15
MOVING = (RunState.QUEUED, RunState.RUNNING)
JUST_NOW = timedelta(minutes=1)
ENOUGH = timedelta(seconds=5)  # of work to go by, and of work left to speak of


def seconds_until_next(view: RunView) -> int | None:
    """When the page looks again: soon while something moves, at its time when that is near; None for what has ended."""
    if view.run.state in MOVING or view.settling:
        return MOVING_SECONDS
    to_come = view.run
    if view.run.state.is_final and view.other is not None:
        to_come = view.other.run  # the page tells of its other half, too
    later = [each for each in (view.undone, view.retried) if each is not None]
    if any(each.is_moving or not each.by.state.is_final for each in later):
        return STILL_SECONDS
    if to_come.state.is_final:
        return None
    if to_come.state is RunState.SCHEDULED and to_come.at is not None:
        ahead = int((to_come.at - services().clock()).total_seconds())
        return max(MOVING_SECONDS, min(STILL_SECONDS, ahead + 1))
    return STILL_SECONDS


def told(view: RunView) -> dict[str, Any]:
    """What the head of the page says of it."""
    return {
        "run": {**serializers.run(view), "is_return": view.run.is_return}, "settling": view.settling,
        "left": time_left(view, services().clock()), "heal": serializers.waits_for_asker(view.run),
        "undone": serializers.undone(view), "undoes": _undoing(view), "other": serializers.half(view.other),
        "retried": serializers.retried(view), "cancelled_by": serializers.cancelled_by(view.run),
    }  # fmt: skip


def _undoing(view: RunView) -> dict[str, Any] | None:
    done = view.undoes
    return {"run_id": str(done.id), "at": serializers.iso(happened_at(done))} if done else None


def under_way(actor: Actor, to_come: OpenOrders) -> dict[str, Any] | None:
    """What the line under the tabs tells of what is being done right now; None for nothing.

    own   ids of the person's own runs that are being done: the end of each is news
    soon  it is followed closely: an own run that goes on, or was ordered just now
    """
    found = services().runs.under_way(actor) if to_come.moving else None
    if found is None:
        return None
    view, own = found
    is_new = services().clock() - view.run.created_at < JUST_NOW
    return {
        "run": view.run, "total": view.total, "done": _done(view), "more": to_come.moving - 1,
        "own": [str(run.id) for run in own], "soon": bool(own) and (is_new or view.run.state is RunState.RUNNING),
    }  # fmt: skip


def _done(view: RunView) -> int:
    """How many of its pages are settled."""
    return view.total - view.counts[ItemState.PENDING] - view.counts[ItemState.RUNNING]


def version(view: RunView) -> str:
    """Changes with whatever the page says of the run beside its progress: then it is drawn anew."""
    run = view.run
    why = [(each.key, each.code) if each else None for each in (run.problem, run.doubt)]
    state = RunState.RUNNING if run.state in MOVING else run.state
    said = (state, run.at, run.until, run.name, run.reason, run.acting_as, run.zone)
    other = (view.other.run.state, view.other.run.at) if view.other else None
    return digest(*said, *why, view.settling, view.total, other, _follower(view.undone), _follower(view.retried))


def row_version(view: RunView) -> str:
    """Changes with whatever a list says of the run."""
    run = view.run
    said = (run.state, run.at, run.name, run.reason, run.doubt is None)
    return digest(*said, sorted(view.counts.items()), view.settling, _follower(view.undone), _follower(view.retried))


def _follower(it: Undone | Retried | None) -> tuple[object, ...] | None:
    """What is said of a run's undo, or of its retry: how many pages, only once that no longer moves."""
    if it is None:
        return None
    return it.by.id, it.by.state.is_final, it.by.state is RunState.WAITING, it.is_moving, it.is_moving or it.pages


def rows(views: Sequence[RunView], seen: Sight) -> list[dict[str, Any]]:
    """Runs of a list for people, each with its version: the page asks by it what has moved."""
    shown = serializers.rows_in_words(views, seen.titles, seen.sites)
    denied = offers.denied(views)
    return [
        {**row, "version": row_version(view), "settling": view.settling, "denied": view.run.id in denied}
        for row, view in zip(shown, views, strict=True)
    ]


def time_left(view: RunView, now: datetime) -> str | None:
    """How long the rest takes at the pace so far; None while nobody can know, and where it is not worth a word."""
    run, counts = view.run, view.counts
    done = counts[ItemState.SUCCEEDED] + counts[ItemState.FAILED]
    if run.state is not RunState.RUNNING or not done or run.started_at is None or run.worked_at is None:
        return None
    if run.worked_at - run.started_at < ENOUGH:
        return None
    left = (run.worked_at - run.started_at) / done * (view.total - done) - (now - run.worked_at)
    return _(N_("about %(span)s left"), span=span(left)) if left > ENOUGH else None


def since(view: RunView) -> dict[str, Any]:
    """What moved, for a page that shows this screen: numbers, words, and the states of rows that are begun."""
    run = view.run
    return {
        "poll": seconds_until_next(view),
        "total": view.total,
        "done": _done(view),
        "badge": render_template("runs/badge.html", **told(view)),
        "tally": render_template("runs/tally.html", **told(view)),
        "say": render_template("runs/announcement.html", **told(view)),
        "rows": _rows(run, view),
    }


def _rows(run: Run, view: RunView) -> list[list[Any]]:
    """[state, positions, detail, code] for each kind of row that is not as every row begins."""
    begun: dict[tuple[str, str | None, str | None], list[int]] = {}
    for row in view.slice.items:
        if row.state is ItemState.PENDING or (row.state is ItemState.RUNNING and run.state is RunState.WAITING):
            continue
        said = serializers.item(run, row, view.upcoming.get(row.lid, ()), view.keepers.get(row.kept_by or run.id))
        begun.setdefault((said["state"], said["detail"], said["code"]), []).append(row.position)
    return [[state, _spans(positions), detail, code] for (state, detail, code), positions in begun.items()]


def _spans(positions: Iterable[int]) -> list[list[int]]:
    """[[first, last], …] of numbers that follow each other."""
    runs = groupby(enumerate(positions), lambda place: place[1] - place[0])
    spans = [[position for _index, position in run] for _distance, run in runs]
    return [[numbers[0], numbers[-1]] for numbers in spans]
