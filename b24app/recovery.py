"""Runs that wait because of us, and not because of anybody in a portal, go on when we have mended it.

A wrong client secret or a missing key in a deploy must cost nobody a page that was to come down: what ends the cause is
a restart with other settings, which nobody in a portal can see. So a worker asks now and then, and only while runs wait
for such a cause: the authorization server whether it accepts us, the vault whether it opens.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from sqlalchemy import ColumnElement, and_, select

from b24app.bitrix.oauth import AuthorizationServers
from b24app.errors import KeyMissing, OperatorError, PortalError
from b24app.perform import Perform
from b24app.store.db import Store
from b24app.store.models import Portal, Run
from b24app.terms import RunState, UserRef
from b24app.tokens import Tokens

log = structlog.get_logger()


@dataclass(frozen=True)
class Recovery:
    """Safe to do twice and from several workers: a run that still has to wait waits again."""

    store: Store
    oauth: AuthorizationServers
    tokens: Tokens
    perform: Perform

    def resume(self) -> int:
        """Let runs go on whose cause has ended; how many."""
        return self._resume_after(OperatorError, self._accepted()) + self._resume_after(KeyMissing, self._opening())

    def _resume_after(self, cause: type[PortalError], portals: Iterable[str]) -> int:
        resumed = sum(self.perform.resume_portal(member_id, cause) for member_id in portals)
        if resumed:
            log.info("runs_resumed", cause=cause.key, runs=resumed)
        return resumed

    def _accepted(self) -> list[str]:
        """Portals with runs that wait for right credentials, if their authorization server accepts ours now."""
        query = select(Portal.member_id, Portal.oauth_server).join(Run, Run.member_id == Portal.member_id)
        with self.store.begin() as db:
            portals = dict(db.execute(query.where(_waits_for(OperatorError)).distinct()).all())
        servers = {server for server in portals.values() if self._accepts_us(server)}
        return [member_id for member_id, server in portals.items() if server in servers]

    def _accepts_us(self, server: str) -> bool:
        try:
            self.oauth.check_credentials(self.oauth.choose(server))
        except PortalError:
            return False
        return True

    def _opening(self) -> list[str]:
        """Portals with runs that wait for a key, where the token of at least one of their actors opens now."""
        query = select(Run.member_id, Run.acting_as).where(_waits_for(KeyMissing)).distinct()
        with self.store.begin() as db:
            actors = [UserRef(member_id, user_id) for member_id, user_id in db.execute(query)]
        return sorted({actor.member_id for actor in actors if self._opens(actor)})

    def _opens(self, actor: UserRef) -> bool:
        try:
            self.tokens.load(actor)
        except PortalError:
            return False
        return True


def _waits_for(cause: type[PortalError]) -> ColumnElement[bool]:
    return and_(Run.state == RunState.WAITING, Run.stopped_by(cause))
