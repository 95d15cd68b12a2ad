"""What somebody sees of runs in a list: titles and sites of pages they read, and whether anything goes on at all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from flask import g

from b24app.domain import Kind
from b24app.runs.queries import RunView
from b24app.runs.search import OfPage, Words
from b24app.store.heartbeat import is_late, last_beat
from b24app.web.current import services


@dataclass(frozen=True)
class Sight:
    """Of some runs: the title of an only page, and the names of sites, by the run's id."""

    titles: Mapping[UUID, str] = field(default_factory=dict)
    sites: Mapping[UUID, Sequence[str]] = field(default_factory=dict)


def sight(views: Iterable[RunView]) -> Sight:
    """What the person may see of these runs. Sites of others' orders are asked about, with one request at most."""
    views = list(views)
    runs = {view.run.id: view.run for view in views}
    sites = services().agenda.sites(g.actor, runs)
    places = {
        (run.kind, site) for run in runs.values() if run.created_by != g.actor.user_id for site in sites.get(run.id, ())
    }
    readable = _readable(places)
    shown = {
        run.id: sorted(
            {name for site, name in sites.get(run.id, {}).items()
             if run.created_by == g.actor.user_id or (run.kind, site) in readable},
            key=str.casefold,
        )
        for run in runs.values()
    }  # fmt: skip
    return Sight(services().runs.only_titles(g.actor, views, {site for _, site in readable}), shown)


def words(text: str) -> Words | None:
    """The words to look for, and where this person may look; None for no words."""
    if not text:
        return None
    return Words(text, frozenset(site for _, site in _readable(services().search.places(g.actor, text))))


def of_page(lid: int) -> OfPage:
    """The page to look for, and where this person may look."""
    return OfPage(lid, frozenset(site for _, site in _readable(services().search.places_of_page(g.actor, lid))))


def _readable(places: Iterable[tuple[Kind, int]]) -> set[tuple[Kind, int]]:
    """Those of the places the person reads: by the lists this process holds, else as Bitrix24 says."""
    places = set(places)
    kept = {(kind, site.site_id) for kind in Kind for site in services().pages.sites_kept(g.actor, kind)}
    unsure = places - kept
    return (places & kept) | (set(services().permissions.readable(g.actor, unsure)) if unsure else set())


def silent_worker() -> dict[str, Any] | None:
    """When a worker was last seen, if that is too long ago for anything to go on by itself."""
    seen = last_beat(services().store)
    return {"seen": seen} if is_late(seen, services().clock()) else None
