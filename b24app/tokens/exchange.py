"""A refresh token for a new pair: what the authorization server makes of it for good, for a person's and the system
user's alike. Who asks holds the pair's row.
"""

import structlog

from b24app.bitrix.oauth import AuthorizationServers, TokenPair
from b24app.domain import UserRef
from b24app.errors import NotInstalled, OperatorError, PortalError, SignInAgain, UserGone

log = structlog.get_logger()
Verdict = TokenPair | PortalError
USER_CHANGED = "authorization_error"  # the pair now belongs to somebody else, e.g. Bitrix24's system user


def exchange(oauth: AuthorizationServers, server: str, refresh: str, user: UserRef) -> Verdict:
    """Ask for a new pair. A final refusal is returned, to be written down; what time or people mend is raised."""
    try:
        pair = oauth.refresh(oauth.choose(server), refresh)
    except (SignInAgain, UserGone, NotInstalled) as refused:
        return refused
    except OperatorError as ours:
        log.critical("client_credentials_refused", code=ours.code, server=server,
                     remedy="correct B24_CLIENT_ID and B24_CLIENT_SECRET; no token or run was harmed")  # fmt: skip
        raise
    return pair if belongs_to(pair, user) else UserGone(USER_CHANGED, method="oauth.token")


def belongs_to(pair: TokenPair, user: UserRef) -> bool:
    """A refresh token is proven only now: it must lead to the same portal and, where named, the same user."""
    return pair.member_id == user.member_id and pair.user_id in (None, user.user_id)
