"""What the asker may do with runs that are shown to them: their states allow it, and so do the person's rights."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from flask import g

from b24app.domain import UNKNOWN_SITE, ItemState, RunState
from b24app.permissions import REQUESTS, Asked
from b24app.runs.queries import RunView
from b24app.web.current import services


def of(views: Sequence[RunView]) -> list[RunView]:
    """Runs of a list; about all of them one question is asked."""
    return _offered(views, 1)


def of_one(view: RunView) -> RunView:
    """A run by itself, whose many sites may take several questions."""
    return _offered([view], REQUESTS)[0]


def denied(views: Sequence[RunView]) -> frozenset[UUID]:
    """Those of the runs whose failures were all for want of rights that the person who looks does not have either: to
    try again fails again. By what is known already, of a list.
    """
    sites = _denied(views)
    kinds = {view.run.id: view.run.kind for view in views}
    places = {(kinds[run_id], site) for run_id, some in sites.items() for site in some}
    refused = services().permissions.refused(g.actor, places) if places else frozenset()
    return frozenset(run_id for run_id, some in sites.items() if all((kinds[run_id], site) in refused for site in some))


def is_denied(view: RunView) -> bool:
    """As `denied`, of a run by itself: asked anew, since the right may have been given a moment ago."""
    places = [(view.run.kind, site) for site in _denied([view]).get(view.run.id, ())]
    return services().permissions.is_refused_now(g.actor.user, places)


def _denied(views: Sequence[RunView]) -> dict[UUID, frozenset[int]]:
    failed = [view.run.id for view in views if view.run.state.is_final and view.counts[ItemState.FAILED]]
    found = services().runs.denied(g.actor, failed) if failed else {}
    return {run_id: sites for run_id, sites in found.items() if UNKNOWN_SITE not in sites}


def is_offered_anew(view: RunView) -> bool:
    """A schedule that was cancelled can be set again by its asker, and by who may publish on some site of it."""
    run = view.run
    if run.state is not RunState.CANCELLED or run.at is None or not view.counts[ItemState.CANCELLED]:
        return False
    if run.is_return and run.problem is not None:  # it had nothing to bring back
        return False
    places = [(run.kind, site) for site in services().runs.sites_of(g.actor, run.id)]
    return run.created_by == g.actor.user_id or bool(services().permissions.publishable(g.actor, places))


def _offered(views: Sequence[RunView], requests: int) -> list[RunView]:
    some = {view.run.id: view for view in views if view.can}
    sites = services().runs.sites_to_ask(g.actor, some)
    for kind in {view.run.kind for view in some.values()}:
        named = {site for run_id, view in some.items() if view.run.kind == kind for site in sites[run_id]}
        services().permissions.remember(g.actor, kind, services().pages.rights_read(g.actor, kind, named))
    asked = [Asked(view.run, view.can, sites[run_id]) for run_id, view in some.items()]
    offered = dict(zip(some, services().permissions.offered(g.actor, asked, requests), strict=True))
    return [replace(view, can=offered.get(view.run.id, ())) for view in views]
