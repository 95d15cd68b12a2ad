"""Everything the stand-in knows: applications, portals with their users, sites and pages, and all tokens.

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
from b24sandbox.state.records import Records
from b24sandbox.state.switches import Switches

RIGHTS = ("read", "edit", "sett", "public", "delete")
ACCESS_SECONDS = 3600
REFRESH_SECONDS = 180 * 86400
CODE_SECONDS = 30
NUMBERED_FROM = 5  # the ID that `app.info` tells of the first application


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
    system_of: int = -1  # the application whose own user this is (section 11.1); no list shows it
    fields: dict[str, object] = field(default_factory=dict)  # what else a REST row of this person says
    site_notices: bool = True  # off: a notice is not kept, and its id is a time (section 12.3)

    @property
    def full_name(self) -> str:
        return f"{self.name} {self.last_name}".strip()

    @property
    def system(self) -> bool:
        return self.system_of >= 0


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
    additional: dict[str, object] = field(default_factory=dict)


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
    additional: dict[str, object] = field(default_factory=dict)


@dataclass
class Binding:
    id: int
    event: str
    handler: str
    user_id: int = 0
    offline: bool = False


@dataclass
class OfflineEvent:
    """An event kept for `event.offline.get`; `process_id` is set while a process works on it."""

    id: int
    event: str
    values: dict[str, object]
    at: float
    process_id: str = ""
    failed: bool = False


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
    installed_by: int = 1
    system_user: int = 0  # the user made for the app when its installation succeeded (section 11.1)
    updated: bool = False  # a newer version's installer has yet to run (section 11.2)
    offline: list[OfflineEvent] = field(default_factory=list)
    robots: dict[str, dict[str, object]] = field(default_factory=dict)  # automation rules by code (section 13)
    activities: dict[str, dict[str, object]] = field(default_factory=dict)
    user_options: dict[int, dict[str, object]] = field(default_factory=dict)

    def drop_registrations(self) -> None:
        """What an update takes away; options stay (section 11.2)."""
        for kept in (self.bindings, self.placements, self.frame_placements):
            kept.clear()
        self.robots.clear()
        self.activities.clear()


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
    app: int = 0  # whose it is: place in `world.applications`
    depth: int = 0  # how many events led to the call this token is used for (section 3.3)
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
    app: int = 0


@dataclass
class Frame:
    """One rendering of the app inside a portal page; `sid` is what postMessage is signed with."""

    sid: str
    portal: int
    user_id: int
    lang: str
    placement: str
    options: dict[str, object]
    app: int = 0


@dataclass
class Notice:
    """What an app put under somebody's bell (section 12)."""

    id: int
    user: int
    author: int  # 0: none, the app speaks for itself
    title: str  # the app's name, which stands above a notice without an author
    message: str
    message_out: str
    tag: str
    sub_tag: str
    at: float
    owner: str  # whose tags these are
    attach: object = None
    read: bool = False


@dataclass
class Rule:
    """An automation rule that a person has set up for deals (section 13)."""

    id: int
    app: int
    code: str
    values: dict[str, object]
    created_by: int
    activity: str
    waits: bool = False  # what the person chose where the app left it open


@dataclass
class Workflow:
    """One firing of a rule; `waiting` until the app sends its event, where the rule waits at all."""

    id: str
    rule: int
    app: int
    code: str
    document: int
    state: str = "done"  # waiting, done or failed
    token: str = ""
    log: list[str] = field(default_factory=list)
    returned: dict[str, object] = field(default_factory=dict)


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
    installations: dict[int, Installation] = field(default_factory=dict)  # by the application's place
    switches: Switches = field(default_factory=Switches)
    webhooks: dict[str, int] = field(default_factory=dict)  # code → user
    webhook_scopes: dict[str, list[str]] = field(default_factory=dict)  # of those that do not have every scope
    notifications: list[Notice] = field(default_factory=list)
    rules: list[Rule] = field(default_factory=list)
    workflows: list[Workflow] = field(default_factory=list)
    records: dict[str, Records] = field(default_factory=dict)
    roles_extended: bool = True
    next_id: int = 5000
    url: str = ""  # set when the address is known

    @property
    def installation(self) -> Installation | None:
        """The first application's; `installations` has all."""
        return self.installations.get(0)

    @installation.setter
    def installation(self, found: Installation | None) -> None:
        if found is None:
            self.installations.pop(0, None)
        else:
            self.installations[0] = found

    @property
    def people(self) -> list[User]:
        """The users that lists show: without the applications' own."""
        return [user for user in self.users.values() if not user.system]

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
    app: int = 0


@dataclass
class EventQueue:
    """How events travel, for everybody: late, lost, twice, or held back until released (section 3.3)."""

    delay: float = 0.0
    lose: int = 0
    twice: int = 0
    hold: bool = False
    slow_seconds: float = 0.0  # a handler slower than this is called less often; 0: nobody is
    rested: dict[str, float] = field(default_factory=dict)  # handler → until when
    held: list[Delivery] = field(default_factory=list)
    under_way: int = 0


@dataclass
class Meters:
    """What the limits have counted so far (section 4.6), and which tokens the portals remember (section 4.5)."""

    buckets: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict)  # portal, address → level, when
    operating: dict[tuple[int, str, str], dict[int, tuple[float, float]]] = field(
        default_factory=dict
    )  # portal, app or webhook, method → minute → seconds, first call
    checked: dict[tuple[int, str], tuple[float, str, list[str]]] = field(default_factory=dict)  # until, refusal, scope


@dataclass
class Application:
    """An application's card, as its developer fills it in.

    url            where it listens; the paths below are put after it, unless one of them is a whole address
    install_path   the installer's address; empty: there is none, and an installation is finished at once
    callback_path  where authorize leads back to; empty: to the application's address, as for a local app (1.2)
    events_path    bound for the application's own events at every installation, for apps that do not bind by themselves
    api_only       no page in the portal: installed at once, ONAPPINSTALL is posted to the installer's address
    """

    client_id: str
    client_secret: str
    url: str
    title: str = "Sample app"
    code: str = "standin.sample"
    scope: list[str] = field(default_factory=lambda: ["landing"])
    version: int = 3
    status: str = "F"
    install_path: str = "/install"
    app_path: str = "/app"
    callback_path: str = ""
    events_path: str = ""
    redirect_uri: str = ""  # a whole address, before `callback_path`
    api_only: bool = False

    def address(self, path: str) -> str:
        """A path of the card as a whole address."""
        return path if "://" in path else f"{self.url.rstrip('/')}/{path.lstrip('/')}"

    @property
    def installer(self) -> str:
        """Where the installer is, the application itself where the card names none."""
        return self.address(self.install_path or self.app_path)

    @property
    def has_installer(self) -> bool:
        return bool(self.install_path) and not self.api_only

    @property
    def callback(self) -> str:
        return self.redirect_uri or self.address(self.callback_path or self.app_path)


@dataclass
class World:
    """All of it. Change it only while holding `lock`."""

    applications: list[Application]
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
    servers: list[str] = field(default_factory=list)  # authorization servers' addresses, the first is the default
    homes: list[str] = field(default_factory=list)  # the portals' addresses at the start, to which a reset returns
    control: str = ""  # the control API's address
    proxy: str = ""  # with TLS only
    cards: list[Application] = field(default_factory=list)  # the applications as at the start, for a reset
    recorder: Recorder = field(default_factory=Recorder)
    faults: Faults = field(default_factory=Faults)
    event_queue: EventQueue = field(default_factory=EventQueue)
    meters: Meters = field(default_factory=Meters)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def application(self) -> Application:
        """The first application, the only one unless more are added."""
        return self.applications[0]

    @application.setter
    def application(self, card: Application) -> None:
        self.applications[0] = card

    @property
    def redirect_uri(self) -> str:
        """The first application's, on its card."""
        return self.application.redirect_uri

    @redirect_uri.setter
    def redirect_uri(self, address: str) -> None:
        self.application.redirect_uri = address

    def place_of(self, client_id: str) -> int | None:
        """The application with that client_id, by its place."""
        found = (place for place, card in enumerate(self.applications) if card.client_id == client_id)
        return next(found, None)

    def issue(
        self, portal: Portal, user_id: int, scope: Iterable[str] | None = None, app: int = 0, depth: int = 0
    ) -> Token:
        """A new chain for a user, as a frame open, an event or a code exchange begins one."""
        installation = portal.installations.get(app)
        granted = installation.scope if installation else self.applications[app].scope
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
            app=app,
            depth=depth,
        )
        self.tokens[token.access] = token
        self.refreshes[token.refresh] = token
        return token

    def forget_tokens(self, portal: Portal, app: int = 0) -> None:
        """Drop what was issued to an application on a portal altogether."""
        place = (portal.index, app)
        self.tokens = {key: token for key, token in self.tokens.items() if (token.portal, token.app) != place}
        self.refreshes = {key: token for key, token in self.refreshes.items() if (token.portal, token.app) != place}

    def server_of(self, portal: Portal) -> str:
        """The authorization server a portal names in frames, events and callbacks (section 1.1)."""
        return self.servers[-1] if portal.switches.second_server else self.servers[0]

    def portal_of(self, token: Token) -> Portal:
        return self.portals[token.portal]
