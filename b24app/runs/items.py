"""Writing what became of a run's pages: one statement a batch.

A statement for each page would cost the worker more time than all the rest of a batch; so the rows go as one JSON text,
which the database spreads. Whoever writes items holds their run, so two writers never meet here.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.orm import Session

from b24app.domain import Action, ItemState
from b24app.runs.batches import Batch
from b24app.runs.outcomes import UNKNOWN, Result, kept
from b24app.store.models import PageChange, Portal, Run

SWEPT_EVERY = 8  # changes of a portal
CHANGES_KEPT = timedelta(minutes=3)  # longer than any list of pages is used
# What is not known is left as it was; an item that did not fail has neither code nor problem any more.
RESULTS = text(
    "update run_items i set state = r.state, code = r.code, problem = r.problem, title = coalesce(r.title, i.title),"
    " site_id = coalesce(r.site_id, i.site_id), site = coalesce(r.site, i.site), url = coalesce(r.url, i.url),"
    " before = coalesce(r.before, i.before), after = coalesce(r.after, i.after),"
    " kept_by = coalesce(r.kept_by, i.kept_by)"
    " from jsonb_to_recordset(cast(:rows as jsonb)) as r(position int, state text, code text, problem text, title text,"
    " site_id bigint, site text, url text, before jsonb, after jsonb, kept_by uuid)"
    " where i.run_id = :run and i.position = r.position"
)
READINGS = text(
    "update run_items i set before = r.before"
    " from jsonb_to_recordset(cast(:rows as jsonb)) as r(position int, before jsonb)"
    " where i.run_id = :run and i.position = r.position"
)
STATES = text("update run_items set state = :state where run_id = :run and position = any(:positions)")


def write_results(db: Session, run_id: UUID, results: Iterable[Result]) -> None:
    """What became of some items of the run."""
    db.execute(RESULTS, {"run": run_id, "rows": json.dumps([result.values() for result in results], default=str)})


def write_readings(db: Session, run_id: UUID, readings: Mapping[int, Mapping[str, Any]]) -> None:
    """How pages were when they were read, by position of the item."""
    rows = [{"position": position, "before": before} for position, before in readings.items()]
    if rows:
        db.execute(READINGS, {"run": run_id, "rows": json.dumps(rows)})


def set_state(db: Session, run_id: UUID, positions: Iterable[int], state: ItemState) -> None:
    """The same state for some items of the run."""
    db.execute(STATES, {"run": run_id, "positions": list(positions), "state": state.value})


def tell_lists(db: Session, run: Run, batch: Batch, since: datetime, now: datetime) -> None:
    """Let lists of the portal's pages, wherever they are kept, follow what the run did (`pages.Pages.kept`), and what
    somebody else had done already, as far as the batch read it. Where nobody knows what it did, they are read anew.

    since  from then on the batch read
    """
    changed = [each for each in batch.results if each.state is ItemState.SUCCEEDED or each.code == UNKNOWN]
    found = _without_changed_since(db, run, _found_so(run, batch), since)
    if not changed and not found:
        return
    portal = update(Portal).where(Portal.member_id == run.member_id).values(pages_version=Portal.pages_version + 1)
    version = db.execute(portal.returning(Portal.pages_version)).scalar_one()
    if any(each.after is None or each.code == UNKNOWN for each in changed):
        return
    if version % SWEPT_EVERY == 0:
        old = PageChange.at < now - CHANGES_KEPT
        db.execute(delete(PageChange).where(PageChange.member_id == run.member_id, old))
    pages = found | {str(each.lid): _change(run, each) for each in changed}
    db.execute(insert(PageChange).values(member_id=run.member_id, version=version, at=now, pages=pages))


def _found_so(run: Run, batch: Batch) -> dict[str, Any]:
    """Pages of this batch and of the next one that were read a moment ago to be as wanted: the run leaves them alone,
    and a list may not know it.
    """
    wanted = run.action is Action.PUBLISH
    return {str(lid): _shown(kept(state) or {}) for lid, state in batch.seen.items() if state.active is wanted}


def _without_changed_since(db: Session, run: Run, found: dict[str, Any], since: datetime) -> dict[str, Any]:
    """Without pages of which another run has just told: it may have changed them since they were read here."""
    if not found:
        return found
    told = select(func.jsonb_object_keys(PageChange.pages)).where(PageChange.member_id == run.member_id)
    newer = set(db.scalars(told.where(PageChange.at >= since)))
    return {lid: state for lid, state in found.items() if lid not in newer}


def _shown(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: state.get(name) for name in ("active", "public", "published_text")}


def _change(run: Run, done: Result) -> dict[str, Any]:
    shown = _shown(done.after or {})
    if run.action is Action.PUBLISH:
        shown["site_id"] = done.site_id  # a site that was down comes back with its page
    return shown
