"""REST calls to a portal: one request, one answer, every failure as a PortalError.

POST with a JSON body; the access token goes in the body's `auth`, the only documented place besides the URL, and never
into the URL. The `error` string decides, never the HTTP status alone, and a 200 may carry an error. Redirects are
told, not followed: a token must not travel to a host nobody vouched for.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import requests
import urllib3.exceptions
from requests.adapters import BaseAdapter
from urllib3.util import Timeout

from b24app import __version__
from b24app.bitrix.connect import CONNECT_SECONDS
from b24app.bitrix.places import Breakers, Places
from b24app.clock import Clock
from b24app.deadline import remaining
from b24app.errors import PortalError, PortalMoved, Unavailable, error_for

Transport = BaseAdapter
Session = TypeVar("Session", bound=requests.Session)
USER_AGENT = f"Sundown/{__version__}"

# An answer's size by method: in bytes and in values, since two bytes of JSON can take fifty of memory.
MOST_BYTES, MOST_VALUES = 256 * 1024, 10_000
SIZES = {
    "batch": (8 * 1024 * 1024, 250_000),  # 10 lists of 500 pages with 11 values each, and much room
    "landing.landing.getlist": (2 * 1024 * 1024, 50_000),
    "landing.site.getlist": (2 * 1024 * 1024, 50_000),
}
SEPARATORS = (b",", b"{", b"[")  # each value of a JSON text has one of them before it
SHORTEST_CALL_SECONDS = 0.05
KEPT_TEXT = 2000
LONGEST_CODE = 100
MOST_FIGURE = 10**12
LAST_RESET = 4_102_444_800  # unix seconds: 2100; later ones are no moment the portal means
MOST_COMMANDS = 50
SECRET_NAMES = frozenset({"auth", "access_token", "refresh_token", "client_secret", "auth_id", "refresh_id", "code"})
REDIRECTS = (301, 302, 303, 307, 308)
NOT_FOR_TABLES = re.compile(r"\\u0000|\\u[dD][89a-fA-F]")


@dataclass(frozen=True)
class Timing:
    """What the answer says of its cost; the operating figures exist only in the cloud."""

    duration: float | None = None
    operating: float | None = None
    operating_reset_at: int | None = None
    finish: float | None = None  # unix seconds of the portal
    is_exact: bool = False  # `duration` was compared with the end of the command before

    def after(self, earlier: float | None) -> "Timing":
        """Of a command that began when the one before it had ended: newer servers count `duration` from the beginning
        of a second, so it may look up to a second too long (bitrix24.md, 4.2).
        """
        if self.duration is None or self.finish is None or earlier is None or self.finish < earlier:
            return self
        return replace(self, duration=min(self.duration, self.finish - earlier), is_exact=True)


@dataclass(frozen=True)
class Answer:
    """A successful answer; `result` may be null, false or an empty list."""

    result: object
    timing: Timing = Timing()


def result_of(answer: Answer | PortalError) -> object:
    """What a command of a batch answered. Raises the PortalError it was answered with."""
    if isinstance(answer, PortalError):
        raise answer
    return answer.result


@dataclass(frozen=True)
class Earlier:
    """A value of a command that the portal takes from the answer of an earlier command of the same batch.

    Where that answer has no such part, what is left is nothing, followed by `then` (docs, "batch").
    """

    command: str
    path: tuple[int | str, ...]
    then: str = ""

    def __str__(self) -> str:
        return f"$result[{self.command}]{''.join(f'[{step}]' for step in self.path)}{self.then}"


@dataclass(frozen=True)
class Command:
    """One call, to be made alone or inside a batch."""

    method: str
    params: Mapping[str, object] = field(default_factory=dict)

    def as_query(self) -> str:
        """The form a batch wants: `method?a[b]=c`, values urlencoded once."""
        pairs = "&".join(f"{quote(name, safe='[]')}={quote(value, safe='')}" for name, value in brackets(self.params))
        return f"{self.method}?{pairs}" if pairs else self.method


@dataclass(frozen=True)
class Call:
    """The facts of one request for the log; no token is among them."""

    endpoint: str
    method: str
    params: str
    http_status: int | None
    code: str | None
    seconds: float
    answer_text: str


class Rest:
    """Calls any portal; safe for threads, one pool of connections for all."""

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        on_call: Callable[[Call], None] | None = None,
        places: Places | None = None,
        breakers: Breakers | None = None,
    ) -> None:
        self._session = hardened(PlainSession(), transport)
        self._clock = clock
        self._on_call = on_call
        self._places = places or Places()
        self._breakers = breakers or Breakers()

    def call(
        self,
        endpoint: str,
        access_token: str,
        method: str,
        params: Mapping[str, object] | None = None,
        timeout: float = 30,
    ) -> Answer:
        """One method. `endpoint` is the portal's REST base, ending in `/rest/`; `timeout` seconds in all."""
        body = self._ask(endpoint, access_token, method, params or {}, timeout)
        return Answer(body.get("result"), _timing(body.get("time")))

    def batch(
        self,
        endpoint: str,
        access_token: str,
        commands: Mapping[str, Command],
        timeout: float = 55,
    ) -> dict[str, Answer | PortalError]:
        """Up to 50 commands in one request, in order. A command's failure is its value; one of the call raises."""
        if len(commands) > MOST_COMMANDS:
            raise ValueError(f"a batch takes at most {MOST_COMMANDS} commands")
        cmd = {key: command.as_query() for key, command in commands.items()}
        body = self._ask(endpoint, access_token, "batch", {"halt": 0, "cmd": cmd}, timeout)
        return _read_batch(body.get("result"), commands)

    def _ask(
        self, endpoint: str, token: str, method: str, params: Mapping[str, object], timeout: float
    ) -> dict[str, Any]:
        host = urlsplit(endpoint).netloc.lower()
        try:
            with self._places.hold(host):
                seconds = time_left(timeout)
                with self._breakers.watch(host, seconds):
                    return self._sent(endpoint, token, method, params, seconds)
        except PortalError as error:
            error.method = error.method or method
            raise

    def _sent(
        self, endpoint: str, token: str, method: str, params: Mapping[str, object], timeout: float
    ) -> dict[str, Any]:
        started = time.monotonic()
        status, text, failure = None, "", None
        try:
            sent = {**params, "auth": token}
            status, text = post(self._session, f"{endpoint}{method}", timeout, size_of(method), json=sent)
            return read_body(status, text, method)
        except PortalError as error:
            failure = error
            raise
        finally:
            if self._on_call is not None:
                code = failure.code if failure else None
                seconds = time.monotonic() - started
                kept = text.replace(token, "[redacted]")[:KEPT_TEXT].replace("\0", "\ufffd")
                self._on_call(Call(endpoint, method, redacted(params), status, code, seconds, kept))


class NoRedirects:
    """For a session of requests: told to go elsewhere, it stays, and does not even read what is written there."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Nowhere."""
        return None


class PlainSession(NoRedirects, requests.Session):
    """A session that calls and nothing else."""


def hardened(session: Session, transport: Transport) -> Session:
    """The session as one that trusts nothing of the environment: no proxies, no netrc; and no cookie is kept."""
    session.trust_env = False
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    session.mount("https://", transport)
    session.mount("http://", transport)
    session.headers.update({"User-Agent": USER_AGENT, "Accept": "application/json"})
    return session


def limits(seconds: float) -> Timeout:
    """`seconds` for the whole of a request: name, connection, handshake and answer."""
    return Timeout(connect=min(CONNECT_SECONDS, seconds), total=seconds)


@dataclass(frozen=True)
class Size:
    """How large an answer may be: bytes unpacked, and values in its JSON."""

    most_bytes: int = MOST_BYTES
    most_values: int = MOST_VALUES


ORDINARY = Size()


def size_of(method: str) -> Size:
    """How large the answer of a method may be."""
    return Size(*SIZES.get(method.lower(), (MOST_BYTES, MOST_VALUES)))


def time_left(timeout: float, at_least: float = SHORTEST_CALL_SECONDS) -> float:
    """The smaller of a call's own limit and what is left for the whole request; raises Unavailable for too little."""
    seconds = remaining(timeout)
    if seconds < at_least:
        raise Unavailable("portal_timeout", status=504)
    return seconds


def post(session: requests.Session, url: str, timeout: float, size: Size = ORDINARY, **body: Any) -> tuple[int, str]:
    """One POST: (status, text). Raises PortalMoved for a redirect and Unavailable for no usable answer.

    `maybe_done` on the error tells whether the request may have reached the portal and been carried out.
    """
    deadline = time.monotonic() + timeout
    try:
        with session.post(url, timeout=limits(timeout), allow_redirects=False, stream=True, **body) as answer:  # type: ignore[arg-type]
            text = read_text(answer, deadline, size)
            if answer.status_code in REDIRECTS:
                raise PortalMoved(_host(answer.headers.get("Location", "")))
            return answer.status_code, text
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise no_answer(error) from None


def read_text(answer: requests.Response, deadline: float, size: Size = ORDINARY) -> str:
    """The body, unpacked. Raises Unavailable when it is too large or comes too late."""
    return b"".join(_capped(answer, deadline, size)).decode("utf-8", errors="replace")


def _capped(answer: requests.Response, deadline: float, size: Size) -> Iterator[bytes]:
    """The parts of the body. What is too large is given up while it is read, before it is taken apart."""
    got = values = 0
    while part := answer.raw.read1(64 * 1024, decode_content=True):
        got += len(part)
        values += sum(map(part.count, SEPARATORS))
        if got > size.most_bytes or values > size.most_values:
            raise _maybe(Unavailable("ERROR_UNEXPECTED_ANSWER"))
        if time.monotonic() > deadline:
            raise Unavailable.timeout()
        yield part


def _host(location: str) -> str:
    try:
        return urlsplit(location).netloc.lower()
    except ValueError:
        return ""


def no_answer(error: Exception) -> Unavailable:
    """No answer. A connection that never came about carried nothing; one that broke later may have carried the
    request.
    """
    told = repr(error)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return Unavailable("portal_timeout", status=504)
    if isinstance(error, requests.exceptions.Timeout | TimeoutError) or "ReadTimeoutError" in told:
        return Unavailable.timeout()
    gone = Unavailable()
    never = ("NewConnectionError", "NameResolutionError", "CERTIFICATE_VERIFY_FAILED")
    gone.maybe_done = not any(name in told for name in never)
    return gone


def _maybe(error: Unavailable) -> Unavailable:
    error.maybe_done = True
    return error


def read_body(status: int, text: str, method: str) -> dict[str, Any]:
    """The answer as an object. Raises the PortalError it stands for; HTML and broken JSON are Unavailable."""
    body = read_json(text)
    if not isinstance(body, dict):
        late = status == 504
        raise _maybe(Unavailable("portal_timeout" if late else None, status=504 if late else 502, method=method))
    if body.get("error"):
        raise _told(str(body["error"])[:LONGEST_CODE], status, method)
    if status >= 400 or "result" not in body:
        raise _maybe(Unavailable("ERROR_UNEXPECTED_ANSWER", method=method))
    return body


def read_json(text: str) -> object:
    """What a JSON text says, with letters that no table takes (NUL, half surrogates) replaced; None for no JSON."""
    try:
        value = json.loads(text)
        return _storable(value) if NOT_FOR_TABLES.search(text) else value
    except (ValueError, RecursionError):
        return None


def _storable(value: object) -> object:
    if isinstance(value, str):
        if value.isascii() and "\0" not in value:
            return value
        return value.replace("\0", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_storable(part) for part in value]
    if isinstance(value, dict):
        return {str(_storable(name)): _storable(part) for name, part in value.items()}
    return value


def _told(code: str, status: int, method: str) -> PortalError:
    error = error_for(code, status, method=method)
    if status >= 500 and isinstance(error, Unavailable):
        error.maybe_done = True
    return error


def _read_batch(result: object, commands: Mapping[str, Command]) -> dict[str, Answer | PortalError]:
    whole = result if isinstance(result, dict) else {}
    results, errors, times = (_by_key(whole.get(name)) for name in ("result", "result_error", "result_time"))
    answers: dict[str, Answer | PortalError] = {}
    for key, command in commands.items():
        if key in errors:
            answers[key] = _command_error(errors[key], command.method)
        elif key in results:
            answers[key] = Answer(results[key], _timing(times.get(key)))
        else:
            answers[key] = _maybe(Unavailable("ERROR_UNEXPECTED_ANSWER", method=command.method))
    return answers


def _by_key(part: object) -> dict[str, Any]:
    """One of the five maps: an object, a list for keys 0..n, an empty list for an empty object (PHP)."""
    if isinstance(part, dict):
        return part
    return {str(index): value for index, value in enumerate(part)} if isinstance(part, list) else {}


def _command_error(error: object, method: str) -> PortalError:
    code = error.get("error") if isinstance(error, dict) else error
    return error_for(str(code or "ERROR_UNEXPECTED_ANSWER")[:LONGEST_CODE], 400, method=method, in_batch=True)


def _timing(part: object) -> Timing:
    if not isinstance(part, dict):
        return Timing()
    names = ("duration", "operating", "operating_reset_at", "finish")
    duration, operating, reset, finish = (_figure(part.get(name)) for name in names)
    reset_at = int(reset) if reset is not None and 0 <= reset < LAST_RESET else None
    return Timing(duration, operating, reset_at, finish)


def _figure(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if abs(value) < MOST_FIGURE else None  # false for NaN, too


def brackets(params: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """PHP's way to write nested values as pairs: `a[b][0]`. None is an empty value, true and false are 1 and 0."""
    for name, value in params.items():
        yield from _bracket(str(name), value)


def _bracket(name: str, value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _bracket(f"{name}[{key}]", inner)
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _bracket(f"{name}[{index}]", inner)
    else:
        yield name, _scalar(value)


def _scalar(value: object) -> str:
    if value is None:
        return ""
    text = str(int(value)) if isinstance(value, bool) else str(value)
    if "$result[" in text and not isinstance(value, Earlier):
        raise ValueError("a batch would put earlier results in place of $result[…]; such a value cannot ride in one")
    return text


def redacted(params: Mapping[str, object]) -> str:
    """The parameters as text for the log, without what could open anything."""
    shown = {name: "[redacted]" if name.lower() in SECRET_NAMES else value for name, value in params.items()}
    return json.dumps(shown, ensure_ascii=False, default=str)[:KEPT_TEXT]
