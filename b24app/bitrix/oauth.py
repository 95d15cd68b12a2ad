"""The authorization servers: renew and exchange tokens, and ask whether a token is genuine.

The client secret is sent only to allow-listed servers, in a POST body, never in a URL. What a post or event names as
its server only chooses among them. Errors come as `error` with any status: `wrong_client` even with 200.
Source: OAuth docs; statuses from the official Python SDK's live tests.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
import urllib3.exceptions
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session

from b24app.bitrix.address import plain_endpoint, plain_host
from b24app.bitrix.places import Breakers
from b24app.bitrix.rest import (
    NoRedirects,
    PlainSession,
    Size,
    Transport,
    hardened,
    limits,
    no_answer,
    post,
    read_body,
    read_json,
    read_text,
    time_left,
)
from b24app.clock import Clock
from b24app.errors import (
    AuthorizationUnavailable,
    Blocked,
    ForbiddenAddress,
    NotGenuine,
    PortalClosed,
    PortalError,
    PortalMoved,
    SignInAgain,
    Throttled,
    Unavailable,
    error_for,
)

TOKEN_SECONDS = 5.0  # two tries must fit into the time a waiting thread has for the row
SAFE_SECONDS = 2.0  # with less left no token is renewed: one that is spent while nobody listens is lost
INFO_SECONDS = 10.0
LIFE_SECONDS = 3600
ANSWER = Size(64 * 1024, 2_000)
NOBODYS = "is-this-application-known"
MEMBER = "member_id"
METHOD = "oauth.token"
UNEXPECTED = "ERROR_UNEXPECTED_ANSWER"
UNREADABLE = (KeyError, ValueError, TypeError, ArithmeticError, OSError)  # what odd values do to int and datetime


@dataclass(frozen=True)
class TokenPair:
    """A fresh pair and what came with it. `user_id` may be missing after a code exchange."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)  # None where a renewal brought none: the old one goes on
    expires_at: datetime
    scope: tuple[str, ...]
    client_endpoint: str
    member_id: str
    user_id: int | None
    status: str
    server: str


@dataclass(frozen=True)
class AppInfo:
    """What the authorization server vouches for: whose token this is, of which app, on which portal."""

    client_id: str
    member_id: str
    user_id: int
    domain: str
    client_endpoint: str
    scope: tuple[str, ...]
    status: str
    installed: bool
    version: int
    expires_at: datetime


class AuthorizationServers:
    """The servers the operator trusts; the first is the default."""

    def __init__(
        self,
        urls: Sequence[str],
        client_id: str,
        client_secret: str,
        transport: Transport,
        clock: Clock,
        breakers: Breakers | None = None,
    ) -> None:
        self._urls = tuple(url.rstrip("/") for url in urls)
        self._client_id = client_id
        self._client_secret = client_secret
        self._transport = transport
        self._clock = clock
        self._session = hardened(PlainSession(), transport)
        self._breakers = breakers or Breakers()

    def choose(self, server_endpoint: str | None) -> str:
        """The trusted server with the host that was named; the default for any other."""
        try:
            host = urlsplit(server_endpoint or "").netloc.lower()
        except ValueError:
            host = ""
        return next((url for url in self._urls if urlsplit(url).netloc.lower() == host), self._urls[0])

    # --- is it genuine -------------------------------------------------------------------------------------------

    def app_info(self, server: str, access_token: str) -> AppInfo:
        """Whose token this is. Raises NotGenuine for a refused one, AuthorizationUnavailable when nobody can say."""
        try:
            seconds = time_left(INFO_SECONDS)
            with self._breakers.watch(_host(server), seconds):
                url = f"{server}/rest/app.info"
                status, text = post(self._session, url, seconds, ANSWER, data={"auth": access_token})
                body = read_body(status, text, "app.info")
            return _app_info(body.get("result"), self._clock())
        except (Unavailable, Throttled, Blocked, PortalClosed, PortalMoved, ForbiddenAddress) as silent:
            code = silent.code if silent.code != Unavailable.code else None
            raise AuthorizationUnavailable(code, retry_after=silent.retry_after) from silent
        except PortalError as refused:
            raise NotGenuine(refused.code, method="app.info") from None

    # --- tokens ----------------------------------------------------------------------------------------------------

    def refresh(self, server: str, refresh_token: str) -> TokenPair:
        """A new pair for a refresh token, which is spent by it. Raises the PortalError of the refusal.

        After Unavailable with `maybe_done` the server may have rotated the token without our seeing the answer.
        """
        return self._fetch(
            server, lambda session, url: session.refresh_token(url, refresh_token=refresh_token, stream=True)
        )

    def exchange(self, server: str, code: str) -> TokenPair:
        """A pair for the one-time code of a sign-in (30 s)."""
        return self._fetch(
            server,
            lambda session, url: session.fetch_token(url, grant_type="authorization_code", code=code, stream=True),
        )

    def check_credentials(self, server: str) -> None:
        """Return when the server accepts our client id and secret: it then refuses a token nobody has, and no more.

        Raises OperatorError when it does not, another PortalError when it cannot be asked.
        """
        try:
            self.refresh(server, NOBODYS)
        except SignInAgain:
            return

    def authorize_url(self, domain_url: str, state: str) -> str:
        """Where a browser signs in on its portal; Bitrix24 takes only these two parameters."""
        query = urlencode({"client_id": self._client_id, "state": state})
        return f"{domain_url.rstrip('/')}/oauth/authorize/?{query}"

    def _fetch(self, server: str, ask: Callable[[OAuth2Session, str], Mapping[str, Any]]) -> TokenPair:
        seconds = time_left(TOKEN_SECONDS, at_least=SAFE_SECONDS)
        with self._breakers.watch(_host(server), seconds):
            return self._fetched(server, ask, seconds)

    def _fetched(
        self, server: str, ask: Callable[[OAuth2Session, str], Mapping[str, Any]], seconds: float
    ) -> TokenPair:
        try:
            answer = ask(self._client(seconds), f"{server}/oauth/token/")
        except OAuthError as refused:
            raise _refusal(refused.error or "", 400) from None
        except _Refused as refused:
            raise _refusal(refused.code, refused.status) from None
        except Unavailable as unusable:
            unusable.method = METHOD
            raise
        except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, *UNREADABLE) as error:
            broken = no_answer(error)
            broken.method = METHOD
            raise broken from None
        return _pair(answer, server, self._clock())

    def _client(self, seconds: float) -> OAuth2Session:
        """A session of Authlib for one question. It is not closed: that would close everybody's connections."""
        session = hardened(
            _TokenSession(
                self._client_id,
                self._client_secret,
                token_endpoint_auth_method="client_secret_post",  # noqa: S106  the name of a method
                default_timeout=limits(seconds),
            ),
            self._transport,
        )
        for grant in ("refresh_token_response", "access_token_response"):
            session.register_compliance_hook(grant, _checked)
        return session


def _host(server: str) -> str:
    return urlsplit(server).netloc.lower()


class _TokenSession(NoRedirects, OAuth2Session):  # type: ignore[misc]  # Authlib ships no types
    pass


class _Refused(Exception):
    def __init__(self, code: str, status: int) -> None:
        super().__init__(code)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class _Read:
    """An answer as Authlib wants it, read within limits."""

    status_code: int
    body: Mapping[str, Any]

    def json(self) -> Mapping[str, Any]:
        return self.body


def _checked(answer: requests.Response) -> _Read:
    """Look at the answer before Authlib does: Bitrix24's `error` counts with any status, HTML is trouble."""
    with answer:
        body = read_json(read_text(answer, time.monotonic() + TOKEN_SECONDS, ANSWER))
    if not isinstance(body, dict):
        raise _Refused("portal_unavailable", answer.status_code)
    if body.get("error"):
        raise _Refused(str(body["error"]), answer.status_code)
    if answer.status_code >= 300:
        raise _Refused("portal_unavailable", answer.status_code)
    return _Read(answer.status_code, body)


def _refusal(code: str, status: int) -> PortalError:
    if code.lower() == "invalid_request":  # a parameter is missing, so the stored token is of no use
        return SignInAgain(code, method=METHOD)
    error = error_for(code or UNEXPECTED, status, method=METHOD)
    if isinstance(error, Unavailable):
        error.maybe_done = True
    return error


def _unreadable() -> Unavailable:
    """An answer without what a pair needs: the token may be spent all the same."""
    error = Unavailable(method=METHOD)
    error.maybe_done = True
    return error


def _pair(answer: Mapping[str, Any], server: str, now: datetime) -> TokenPair:
    """The pair of a token answer. In it `domain` is the authorization host, so the portal is `client_endpoint`."""
    try:
        user_id = answer.get("user_id")
        endpoint = answer.get("client_endpoint")
        return TokenPair(
            access=_token(answer["access_token"]),
            refresh=_token(answer["refresh_token"]) if "refresh_token" in answer else None,
            expires_at=now + timedelta(seconds=int(answer.get("expires_in") or LIFE_SECONDS)),
            scope=scopes(answer.get("scope")),
            client_endpoint=plain_endpoint(str(endpoint)) if endpoint else "",
            member_id=str(answer[MEMBER]),
            user_id=int(user_id) if user_id is not None else None,
            status=str(answer.get("status") or "")[:16],
            server=server,
        )
    except UNREADABLE:
        raise _unreadable() from None


def _token(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("not a token")
    return value


def _app_info(result: object, now: datetime) -> AppInfo:
    """Read the vouching answer; one without its parts is no vouching. Types as the official SDK's schema."""
    if not isinstance(result, dict) or not isinstance(result.get("install"), dict):
        raise Unavailable(UNEXPECTED, method="app.info")
    install = result["install"]
    try:
        return AppInfo(
            client_id=str(result["client_id"]),
            member_id=str(install[MEMBER]),
            user_id=int(result["user_id"]),
            domain=plain_host(install["domain"]),
            client_endpoint=plain_endpoint(str(install["client_endpoint"])),
            scope=scopes(install.get("scope") or result.get("scope")),
            status=str(install.get("status") or "")[:16],
            installed=install.get("installed") in (True, "true", "Y", 1, "1"),
            version=int(install.get("version") or 0),
            expires_at=_moment(result.get("expires"), now),
        )
    except UNREADABLE:
        raise Unavailable(UNEXPECTED, method="app.info") from None


def _moment(said: object, now: datetime) -> datetime:
    """ISO 8601 or unix seconds; a token lives an hour where the answer does not say."""
    if not said or isinstance(said, bool):
        return now + timedelta(seconds=LIFE_SECONDS)
    text = str(said)
    if isinstance(said, int | float) or (text.isascii() and text.isdigit()):
        return datetime.fromtimestamp(float(text), UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def scopes(text: object) -> tuple[str, ...]:
    """A list of scopes, separated by commas (or, in one docs table, spaces); some answers carry a JSON list."""
    parts = text if isinstance(text, list) else str(text or "").replace(",", " ").split()
    return tuple(str(part).strip() for part in parts if str(part).strip())
