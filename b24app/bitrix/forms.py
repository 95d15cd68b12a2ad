"""What Bitrix24 posts to us: the frame's form and the events' form. Strict in shape, tolerant of the known oddities.

Nothing here proves anything; it only makes sure that what is asked about later has the form of a token, a host, an id.
Source: the widget docs (four parameters ride in the query, the rest in the body) and the events docs.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from werkzeug.datastructures import MultiDict

from b24app.bitrix.address import plain_host
from b24app.bitrix.oauth import scopes
from b24app.domain import N_, whole_number
from b24app.errors import BadForm

TOKEN = r"^[A-Za-z0-9._~+/=:-]{8,512}$"  # noqa: S105  a pattern: opaque, samples have 32 to 72 characters
Token = Annotated[str, StringConstraints(pattern=TOKEN)]
Member = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{8,64}$")]
Short = Annotated[str, StringConstraints(max_length=255)]
Number = Annotated[int, BeforeValidator(whole_number)]
KEY = re.compile(r"(\w+)(?:\[([^\]]*)\])?(?:\[([^\]]*)\])?", re.ASCII)
MOST_FIELDS = 200
BAD_DOMAIN = N_(
    "The portal's address that came with the request is not the name of a host. Nothing was stored and nothing was "
    "done."
)


@dataclass(frozen=True)
class FramePost:
    """A claim: somebody says they opened the app on this portal. `domain` is a plain host, port included if any."""

    auth_id: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    auth_expires: int
    domain: str
    protocol: bool  # True: https
    lang: str | None  # None where the post does not say
    app_sid: str
    server_endpoint: str | None
    application_token: str | None = field(repr=False)
    scope: tuple[str, ...]
    member_id: str
    status: str
    placement: str
    placement_options: Mapping[str, Any]


@dataclass(frozen=True)
class EventAuth:
    """Who an event says it is from; only the application token, or a proven access token, makes it true."""

    member_id: str
    domain: str | None
    server_endpoint: str | None
    access_token: str | None = field(repr=False)
    refresh_token: str | None = field(repr=False)
    application_token: str | None = field(repr=False)


@dataclass(frozen=True)
class EventPost:
    """One event. `ts` are the unix seconds at which the portal put it in its queue, 0 where it did not say; `digest`
    is a SHA-256 over all of the form, so the same post has the same one.
    """

    event: str
    ts: int
    values: Mapping[str, str]
    auth: EventAuth
    digest: str


class _Frame(BaseModel):
    model_config = ConfigDict(extra="ignore")

    auth_id: Token = Field(alias="AUTH_ID")
    refresh_id: Token | None = Field(None, alias="REFRESH_ID")
    auth_expires: Number = Field(3600, alias="AUTH_EXPIRES", ge=0, le=10**12)
    domain: Annotated[str, BeforeValidator(plain_host)] = Field(alias="DOMAIN")
    protocol: Short = Field("1", alias="PROTOCOL")
    lang: Short | None = Field(None, alias="LANG")
    app_sid: Short = Field("", alias="APP_SID")
    server_endpoint: Short | None = Field(None, alias="SERVER_ENDPOINT")
    application_token: Token | None = Field(None, alias="APPLICATION_TOKEN")
    scope: Annotated[str, StringConstraints(max_length=4000)] = Field("", alias="APPLICATION_SCOPE")
    member_id: Member
    status: Short = ""
    placement: Short = Field("DEFAULT", alias="PLACEMENT")
    placement_options: Annotated[str, StringConstraints(max_length=20_000)] = Field("", alias="PLACEMENT_OPTIONS")


class _Event(BaseModel):
    model_config = ConfigDict(extra="ignore")

    event: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]{3,64}$")]
    ts: Number = Field(0, ge=0, le=10**10)  # unix seconds, until 2286
    member_id: Member
    domain: Annotated[str, BeforeValidator(plain_host)] | None = None
    server_endpoint: Short | None = None
    access_token: Token | None = None
    refresh_token: Token | None = None
    application_token: Token | None = None


def parse_frame(query: MultiDict[str, str], form: MultiDict[str, str]) -> FramePost:
    """The frame's post. Raises BadForm 400 for what has not the shape of one."""
    sent = _single(query, form)
    try:
        read = _Frame.model_validate(sent)
    except ValidationError as error:
        wrong = {fault["loc"][0] for fault in error.errors(include_url=False, include_input=False) if fault["loc"]}
        raise BadForm(status=400, detail=BAD_DOMAIN if wrong == {"DOMAIN"} else None) from None
    return FramePost(
        auth_id=read.auth_id,
        refresh_token=read.refresh_id,
        auth_expires=read.auth_expires,
        domain=read.domain,
        protocol=read.protocol != "0",
        lang=read.lang,
        app_sid=read.app_sid,
        server_endpoint=read.server_endpoint,
        application_token=read.application_token,
        scope=scopes(read.scope),
        member_id=read.member_id,
        status=read.status,
        placement=read.placement.upper(),
        placement_options=_options(read.placement_options),
    )


def parse_event(form: MultiDict[str, str]) -> EventPost:
    """An event's post with PHP's bracket keys. Raises BadForm 400."""
    plain, groups = _bracketed(form)
    auth = groups.get("auth", {})
    sent = auth | {name: plain.get(name, "") for name in ("event", "ts")}
    if not auth.get("server_endpoint"):  # misspelt in some of the docs' samples
        sent["server_endpoint"] = auth.get("server_andpoint", "")
    try:
        read = _Event.model_validate({name: value for name, value in sent.items() if value != ""})
    except ValidationError:
        raise BadForm(status=400) from None
    who = EventAuth(
        read.member_id, read.domain, read.server_endpoint, read.access_token, read.refresh_token, read.application_token
    )
    return EventPost(read.event.upper(), read.ts, groups.get("data", {}), who, _digest(form))


def _digest(form: MultiDict[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(form.items(multi=True))).encode()).hexdigest()


def _single(query: MultiDict[str, str], form: MultiDict[str, str]) -> dict[str, str]:
    """One value a name: the body's wins; a repeated or broken name is not what a portal sends."""
    sent: dict[str, str] = {}
    for part in (query, form):
        if len(part) > MOST_FIELDS:
            raise BadForm(status=400)
        for name, values in part.lists():
            if len(values) > 1 and len(set(values)) > 1:
                raise BadForm(status=400)
            if values[0] != "":
                sent[name] = _clean(values[0])
    return sent


def _clean(value: str) -> str:
    """Text without what no database or header takes. Raises BadForm for NUL and for broken UTF-8."""
    if "\0" in value or "\ufffd" in value or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise BadForm(status=400)
    return value


def _bracketed(form: MultiDict[str, str]) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    if len(form) > MOST_FIELDS:
        raise BadForm(status=400)
    plain: dict[str, str] = {}
    groups: dict[str, dict[str, str]] = {}
    for name, values in form.lists():
        parts = KEY.fullmatch(name)
        if parts is None or (len(values) > 1 and len(set(values)) > 1):
            raise BadForm(status=400)
        value = _clean(values[0])
        if parts[2] is None:
            plain[parts[1]] = value
        elif parts[3] is None:
            groups.setdefault(parts[1], {})[_clean(parts[2])] = value
    return plain, groups


def _options(text: str) -> Mapping[str, Any]:
    """PLACEMENT_OPTIONS: a JSON object, but `[]`, nothing at all or the word `undefined` happen (PHP SDK)."""
    try:
        options = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return options if isinstance(options, dict) else {}
