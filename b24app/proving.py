"""Is it true what a post says? Nothing posted is believed: an authorization server the operator trusts is asked.

A post names an access token, a portal and a server. The server named only chooses among the trusted ones; `app.info`
tells of which app, portal and user the token is, and all that is stored later comes from that answer. One question for
frames, events and sign-ins, so that there is one place to get it right.
"""

from dataclasses import dataclass, field

import structlog

from b24app.bitrix.address import Addresses, same_host
from b24app.bitrix.oauth import AppInfo, AuthorizationServers
from b24app.errors import Forged

log = structlog.get_logger()


@dataclass(frozen=True)
class Claim:
    """What somebody says: this access token is of our app, on this portal.

    domain  the portal's host as posted, None where nothing was said of it
    server  SERVER_ENDPOINT, server_endpoint or server_domain as posted
    """

    access_token: str = field(repr=False)
    member_id: str
    domain: str | None
    server: str | None


@dataclass(frozen=True)
class Proven:
    """What the authorization server `server` vouches for."""

    server: str
    info: AppInfo


class Proving:
    """Asks the authorization servers who somebody is."""

    def __init__(self, client_id: str, oauth: AuthorizationServers, addresses: Addresses) -> None:
        self._client_id = client_id
        self._oauth = oauth
        self._addresses = addresses

    def prove(self, claim: Claim) -> Proven:
        """The truth about a claim: one request. Raises Forged (or NotGenuine), AuthorizationUnavailable,
        ForbiddenAddress.
        """
        server = self._oauth.choose(claim.server)
        info = self._oauth.app_info(server, claim.access_token)
        reason = self._contradiction(claim, info)
        if reason:
            log.warning("claim_refused", reason=reason, member_id=claim.member_id)
            raise Forged(reason)
        self._addresses.check_endpoint(info.client_endpoint)
        return Proven(server, info)

    def _contradiction(self, claim: Claim, info: AppInfo) -> str | None:
        if info.client_id != self._client_id:
            return "token_of_another_app"
        if info.member_id != claim.member_id:
            return "token_of_another_portal"
        if claim.domain is not None and not same_host(info.domain, claim.domain):
            return "another_domain"
        return None
