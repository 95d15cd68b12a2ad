"""Signing in outside the frame: the full OAuth code flow, for portals that have the app.

The state is signed, names the portal, fits only the browser that began (a cookie's hash is in it), lives ten minutes
and is good once, in whichever process it comes back. The code goes only to an authorization server of our list, and
what comes of it is proven by `app.info` like any frame's post.
Source: OAuth docs; Bitrix24 knows neither redirect_uri nor PKCE.
"""

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import select

from b24app.bitrix.oauth import AuthorizationServers
from b24app.clock import Clock
from b24app.config import Config
from b24app.errors import Forged, NotFound, SignInRefused
from b24app.portals.installs import Installs, Opening
from b24app.portals.rate_limit import RateLimiter
from b24app.portals.verification import TokenClaim, Verifier
from b24app.signing import BadSignature, Signer
from b24app.store.db import Store
from b24app.store.models import Portal
from b24app.store.one_time import mark_once
from b24app.store.vault import fingerprint

log = structlog.get_logger()
LIFE = timedelta(minutes=10)


@dataclass(frozen=True)
class Departure:
    """Where the browser goes to sign in, and the secret it keeps until it is back."""

    url: str
    browser: str


@dataclass(frozen=True)
class Arrival:
    """What the portal sends the browser back with; only the state is ours.

    server  the authorization host it names; only chooses among the trusted ones
    """

    code: str = field(repr=False)
    state: str = field(repr=False)
    member_id: str | None = None
    domain: str | None = None
    server: str | None = None


class SignIn:
    """Begins and ends sign-ins."""

    def __init__(
        self,
        config: Config,
        store: Store,
        oauth: AuthorizationServers,
        verifier: Verifier,
        installs: Installs,
        rate_limiter: RateLimiter,
        clock: Clock,
    ) -> None:
        self._signer = Signer(config.session_keys, f"{config.app_url}/oauth", clock)
        self._store = store
        self._oauth = oauth
        self._verifier = verifier
        self._installs = installs
        self._rate_limiter = rate_limiter
        self._clock = clock

    def start(self, domain: str) -> Departure:
        """To the portal's own sign-in. `domain` is a plain host. Raises NotFound where the app is not installed."""
        with self._store.begin() as db:
            known = select(Portal).where(Portal.domain == domain, Portal.uninstalled_at.is_(None))
            portal = db.scalars(known.order_by(Portal.installed_at.desc()).limit(1)).first()
        if portal is None:
            raise NotFound()
        browser = secrets.token_urlsafe(32)
        claims = {"member_id": portal.member_id, "browser": fingerprint(browser)}
        state = self._signer.sign(claims, int((self._clock() + LIFE).timestamp()))
        return Departure(self._oauth.authorize_url(portal.client_endpoint.removesuffix("/rest/"), state), browser)

    def finish(self, arrival: Arrival, browser: str, lang: str, address: str) -> Opening:
        """Gates first, then one exchange, then the same proof as a frame's post.

        address  whose browser it is: codes that are none cost a question each, and those are limited
        Raises SignInRefused, Forged, AuthorizationUnavailable, a PortalError of the exchange.
        """
        member_id = self._spend(arrival.state, browser)
        if arrival.member_id not in (None, member_id):
            raise _another_portal(member_id)
        began = self._installs.standing(member_id)
        with self._rate_limiter.charge(address, member_id):
            pair = self._oauth.exchange(self._server(member_id, arrival.server), arrival.code)
        if pair.member_id != member_id:
            raise _another_portal(member_id)
        proven = self._verifier.prove(TokenClaim(pair.access, member_id, arrival.domain, pair.server, None))
        return self._installs.sign_in(began, proven, pair, lang)

    def _server(self, member_id: str, named: str | None) -> str:
        """The trusted server the callback names, else the one that vouched for the portal before."""
        with self._store.begin() as db:
            portal = db.get(Portal, member_id)
        kept = portal.oauth_server if portal else None
        return self._oauth.choose(f"https://{named}" if named else kept)

    def _spend(self, state: str, browser: str) -> str:
        """The portal the state was made for. Raises SignInRefused when it is not this browser's, over, or spent."""
        try:
            claims = self._signer.read(state)
        except BadSignature:
            raise SignInRefused("state_unknown") from None
        if not secrets.compare_digest(str(claims.get("browser")), fingerprint(browser)):
            raise SignInRefused("state_of_another_browser")
        kept_until = datetime.fromtimestamp(claims["exp"], UTC) + LIFE
        with self._store.begin() as db:
            if not mark_once(db, claims["jti"], kept_until):
                raise SignInRefused("state_spent")
        return str(claims["member_id"])


def _another_portal(member_id: str) -> Forged:
    log.warning("sign_in_refused", reason="another_portal", member_id=member_id)
    return Forged("token_of_another_portal")
