"""What the asker may do with runs that are shown to them: their states allow it, and so do the person's rights."""

from collections.abc import Sequence
from dataclasses import replace

from flask import g

from b24app.permissions import REQUESTS, Asked
from b24app.runs.queries import RunView
from b24app.web.current import services


def of(views: Sequence[RunView]) -> list[RunView]:
    """Runs of a list; about all of them one question is asked."""
    return _offered(views, 1)


def of_one(view: RunView) -> RunView:
    """A run by itself, whose many sites may take several questions."""
    return _offered([view], REQUESTS)[0]


def _offered(views: Sequence[RunView], requests: int) -> list[RunView]:
    some = {view.run.id: view for view in views if view.can}
    sites = services().runs.sites_to_ask(g.actor, some)
    for kind in {view.run.kind for view in some.values()}:
        named = {site for run_id, view in some.items() if view.run.kind == kind for site in sites[run_id]}
        services().permissions.remember(g.actor, kind, services().pages.rights_read(g.actor, kind, named))
    asked = [Asked(view.run, view.can, sites[run_id]) for run_id, view in some.items()]
    offered = dict(zip(some, services().permissions.offered(g.actor, asked, requests), strict=True))
    return [replace(view, can=offered.get(view.run.id, ())) for view in views]
