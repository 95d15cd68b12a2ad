"""Everything the stand-in knows: portals with their users, sites and pages, and the tokens of the one application.

Decision: plain dataclasses under one lock, held for the length of one method and never during a wait. The protocol
files read and change these; nothing here knows HTTP.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field

from b24sandbox.state.clock import Clock
from b24sandbox.state.faults import Faults
from b24sandbox.state.recorder import Recorder
from b24sandbox.state.switches import Switches

RIGHTS = ("read", "edit", "sett", "public", "delete")
ACCESS_SECONDS = 3600
REFRESH_SECONDS = 180 * 86400
CODE_SECONDS = 30


@dataclass
class User:
    id: int
    name: str
    last_name: str
    role: str  # how tests and the contract name them: admin, editor, reader
    email: str
    admin: bool = False
    active: bool = True
    extranet: bool = False
    signed_in: bool = True  # an invited user who never came is refused in its own way
    opens_sites: bool = True  # the section's "show in menu" right
    may_use_app: bool = True
    time_zone: str = "Europe/Berlin"
    gender: str = ""
    position: str = ""
    options: dict[str, object] = field(default_factory=dict)

    @property
    def full_name(self) -> str:
        return f"{self.name} {self.last_name}"


@dataclass
class Site:
    id: int
    title: str
    code: str
    type: str  # PAGE STORE SMN KNOWLEDGE GROUP VIBE
    active: bool = True
    deleted: bool = False
    description: str = ""
    domain: str = ""
    lang: str = "en"
    index_lid: int | None = None
    lid_404: int | None = None
    lid_503: int | None = None
    created_by: int = 1
    modified_by: int = 1
    created_at: float = 0.0
    modified_at: float = 0.0
    special: bool = False


@dataclass
class Folder:
    id: int
    site_id: int
    title: str
    code: str
    parent_id: int | None = None
    active: bool = True
    deleted: bool = False
    index_lid: int | None = None
    created_by: int = 1
    modified_by: int = 1
    created_at: float = 0.0
    modified_at: float = 0.0


@dataclass
class Page:
    id: int
    site_id: int
    title: str
    code: str
    folder_id: int | None = None
    active: bool = True
    public: bool = True
    deleted: bool = False
    description: str = ""
    draft: str = ""
    live: str = ""
    sitemap: bool = True
    sys: bool = False
    area: bool = False
    own_html: bool = False
    refusal: str = ""  # a code with which publishing this page is refused
    created_by: int = 1
    modified_by: int = 1
    created_at: float = 0.0
    modified_at: float = 0.0
    public_at: float | None = None
    views: int = 0
    version: int = 12
    history_step: int = 0


@dataclass
class Binding:
    id: int
    event: str
    handler: str
    user_id: int = 0
    offline: bool = False


@dataclass
class Placement:
    code: str
    handler: str
    title: str
    extra: dict[str, object] = field(default_factory=dict)


@dataclass
class Installation:
    """The app on one portal. `finished` is what `installFinish` sets; before it nothing is delivered (section 2.2)."""

    scope: list[str]
    application_token: str
    finished: bool = False
    version: int = 3
    status: str = "F"
    options: dict[str, object] = field(default_factory=dict)
    bindings: list[Binding] = field(default_factory=list)
    placements: list[Placement] = field(default_factory=list)
    frame_placements: list[Placement] = field(default_factory=list)  # of placement.bind (section 2.6)


@dataclass
class Token:
    """One pair. `spent` is the refresh token used, `dead` the access token killed by it (section 1.5)."""

    access: str
    refresh: str
    portal: int
    user_id: int
    scope: list[str]
    issued_at: float
    expires_at: float
    refresh_expires_at: float
    spent: bool = False
    spent_at: float = 0.0
    dead: bool = False


@dataclass
class Code:
    """An authorization code, good once and for 30 seconds."""

    code: str
    portal: int
    user_id: int
    expires_at: float


@dataclass
class Frame:
    """One rendering of the app inside a portal page; `sid` is what postMessage is signed with."""

    sid: str
    portal: int
    user_id: int
    lang: str
    placement: str
    options: dict[str, object]


@dataclass
class Portal:
    index: int
    title: str
    member_id: str
    lang: str
    users: dict[int, User]
    sites: dict[int, Site]
    pages: dict[int, Page]
    folders: dict[int, Folder] = field(default_factory=dict)
    rights: dict[int, dict[int, list[str]]] = field(default_factory=dict)  # user → site → codes
    default_rights: dict[int, list[str]] = field(default_factory=dict)  # user → codes on sites not named
    installation: Installation | None = None
    switches: Switches = field(default_factory=Switches)
    webhooks: dict[str, int] = field(default_factory=dict)  # code → user
    notifications: list[dict[str, object]] = field(default_factory=list)
    roles_extended: bool = True
    next_id: int = 5000
    url: str = ""  # set when the address is known

    @property
    def domain(self) -> str:
        return self.url.partition("://")[2]

    @property
    def secure(self) -> bool:
        return self.url.startswith("https:")

    @property
    def endpoint(self) -> str:
        return f"{self.url}/rest/"

    def user_named(self, who: int | str) -> User:
        """A user by id or by role; raises KeyError."""
        for user in self.users.values():
            if who in (user.id, user.role, str(user.id)):
                return user
        raise KeyError(f"no user {who} on portal {self.index}")

    def fresh_id(self) -> int:
        self.next_id += 1
        return self.next_id


@dataclass
class Delivery:
    """An event on its way: a handler's address and the form to post."""

    portal: int
    event: str
    handler: str
    form: list[tuple[str, str]]


@dataclass
class EventQueue:
    """How events travel, for everybody: late, lost, twice, or held back until released (section 3.3)."""

    delay: float = 0.0
    lose: int = 0
    twice: int = 0
    hold: bool = False
    held: list[Delivery] = field(default_factory=list)
    under_way: int = 0


@dataclass
class Meters:
    """What the limits have counted so far (section 4.6), and which tokens the portals remember (section 4.5)."""

    buckets: dict[tuple[int, str], tuple[float, float]] = field(default_factory=dict)  # portal, address → level, when
    operating: dict[tuple[int, str], dict[int, float]] = field(
        default_factory=dict
    )  # portal, method → minute → seconds
    checked: dict[tuple[int, str], tuple[float, str, list[str]]] = field(default_factory=dict)  # until, refusal, scope


@dataclass
class Application:
    """The card of the one application that is registered."""

    client_id: str
    client_secret: str
    url: str
    title: str = "Sundown"
    code: str = "sundown.sundown"
    scope: list[str] = field(default_factory=lambda: ["landing"])
    version: int = 3
    status: str = "F"


@dataclass
class World:
    """All of it. Change it only while holding `lock`."""

    application: Application
    portals: list[Portal]
    clock: Clock
    tokens: dict[str, Token] = field(default_factory=dict)  # by access token
    refreshes: dict[str, Token] = field(default_factory=dict)  # by refresh token
    codes: dict[str, Code] = field(default_factory=dict)
    frames: dict[str, Frame] = field(default_factory=dict)
    rotation: str = "strict"  # strict, grace (a used refresh token works for a minute more) or none
    kills_access: bool = True
    oauth_down: bool = False
    request_count: int = 0  # how many requests may have changed something: what is saved is saved only after that
    redirect_uri: str = ""  # of the app card; a local app has its handler address here (1.2)
    servers: list[str] = field(default_factory=list)  # authorization servers' addresses, the first is the default
    homes: list[str] = field(default_factory=list)  # the portals' addresses at the start, to which a reset returns
    control: str = ""  # the control API's address
    proxy: str = ""  # with TLS only
    recorder: Recorder = field(default_factory=Recorder)
    faults: Faults = field(default_factory=Faults)
    event_queue: EventQueue = field(default_factory=EventQueue)
    meters: Meters = field(default_factory=Meters)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def issue(self, portal: Portal, user_id: int, scope: Iterable[str] | None = None) -> Token:
        """A new chain for a user, as a frame open, an event or a code exchange begins one."""
        granted = portal.installation.scope if portal.installation else self.application.scope
        now = self.clock.now()
        token = Token(
            access=secrets.token_hex(35),
            refresh=secrets.token_hex(35),
            portal=portal.index,
            user_id=user_id,
            scope=list(granted if scope is None else scope),
            issued_at=now,
            expires_at=now + ACCESS_SECONDS,
            refresh_expires_at=now + REFRESH_SECONDS,
        )
        self.tokens[token.access] = token
        self.refreshes[token.refresh] = token
        return token

    def forget_tokens(self, portal: Portal) -> None:
        """Drop what was issued for a portal altogether."""
        self.tokens = {key: token for key, token in self.tokens.items() if token.portal != portal.index}
        self.refreshes = {key: token for key, token in self.refreshes.items() if token.portal != portal.index}

    def server_of(self, portal: Portal) -> str:
        """The authorization server a portal names in frames, events and callbacks (section 1.1)."""
        return self.servers[-1] if portal.switches.second_server else self.servers[0]

    def portal_of(self, token: Token) -> Portal:
        return self.portals[token.portal]
