"""The contract's "who may": asked live of Bitrix24, or read from a list at most a minute old."""

from collections.abc import Iterable

from b24app.clock import Clock
from b24app.domain import Action, Actor
from b24app.errors import NotAllowed, PortalError
from b24app.pages import Pages
from b24app.store.models import Run
from b24app.tokens.user_tokens import Tokens


class Permissions:
    """Decides who may look into, and steer, a run that somebody else ordered."""

    def __init__(self, tokens: Tokens, pages: Pages, clock: Clock) -> None:
        self._tokens = tokens
        self._pages = pages
        self._clock = clock

    def is_administrator(self, actor: Actor) -> bool:
        """Bitrix24's own answer, now (`user.admin`)."""
        return self._tokens.call(actor.user, "user.admin").result is True

    def require_administrator(self, actor: Actor) -> None:
        """Raise NotAllowed for everybody else."""
        if not self.is_administrator(actor):
            raise NotAllowed()

    def require_steering(self, actor: Actor, run: Run, sites: Iterable[int]) -> None:
        """Cancel and move: the asker, an administrator, or one with the right to publish on all of the run's sites."""
        if run.created_by == actor.user_id or self.publishes_on(actor, run, sites):
            return
        self.require_administrator(actor)

    def require_publish(self, actor: Actor, run: Run, sites: Iterable[int]) -> None:
        """Takeover: the right to publish on all of the run's sites."""
        if not self.publishes_on(actor, run, sites):
            raise NotAllowed()

    def readable_sites(self, actor: Actor, run: Run) -> frozenset[int] | None:
        """Ids of the sites whose items this person may see; None for the asker, who sees all of their own order."""
        if run.created_by == actor.user_id:
            return None
        return frozenset(site.site_id for site in self._pages.all_of(actor, run.kind).sites)

    def publishes_on(self, actor: Actor, run: Run, sites: Iterable[int]) -> bool:
        """Whether this person has the right to publish on all of the run's sites."""
        try:
            listed = self._pages.all_of(actor, run.kind)
        except PortalError:
            return False
        allowed = {page.site_id for page in listed.pages if page.may(Action.PUBLISH)}
        wanted = set(sites)
        return bool(wanted) and wanted <= allowed
