"""Where the parts meet: everything a request or a job needs, built once a process. No Flask in here."""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass

from b24app import config as settings
from b24app.bitrix.address import Addresses
from b24app.bitrix.connect import GuardedAdapter
from b24app.bitrix.oauth import AuthorizationServers
from b24app.bitrix.places import Breakers, Places
from b24app.bitrix.rest import Rest, Transport
from b24app.clock import Clock, SharedClock, utcnow
from b24app.config import Config
from b24app.log import Redaction
from b24app.pages.addresses import PageFinder
from b24app.pages.lists import Pages
from b24app.permissions import Permissions
from b24app.portals.events import InstallEvents
from b24app.portals.health import PortalHealth
from b24app.portals.inbox import Inbox
from b24app.portals.installs import Installs
from b24app.portals.rate_limit import RateLimiter
from b24app.portals.removal import Removal
from b24app.portals.sign_in import SignIn
from b24app.portals.status import PortalStatus
from b24app.portals.verification import Verifier
from b24app.request_log import RequestLog, RequestRecorder
from b24app.runs.agenda import Agenda
from b24app.runs.batches import Batches
from b24app.runs.executor import Executor
from b24app.runs.notice_rows import NoticeRows
from b24app.runs.notices import Notices
from b24app.runs.notifications import Notifications
from b24app.runs.orders import Orders
from b24app.runs.preflight import Preflight
from b24app.runs.queries import RunQueries
from b24app.runs.schedule import Schedule
from b24app.runs.search import Search
from b24app.runs.statistics import Statistics
from b24app.runs.waiting import Recovery, WaitingRuns
from b24app.store import embedded
from b24app.store.db import Store
from b24app.store.programs import EmbeddedError
from b24app.store.queue import Queue
from b24app.store.vault import Vault
from b24app.tokens.keep_alive import KeepAlive
from b24app.tokens.system_user import SystemUser
from b24app.tokens.user_tokens import Tokens
from b24app.users import Users


@dataclass(frozen=True)
class Services:
    """The verbs, ready to be called."""

    config: Config
    clock: Clock
    store: Store
    vault: Vault
    queue: Queue
    oauth: AuthorizationServers
    tokens: Tokens
    users: Users
    pages: Pages
    page_finder: PageFinder
    permissions: Permissions
    orders: Orders
    runs: RunQueries
    executor: Executor
    schedule: Schedule
    preflight: Preflight
    waiting: WaitingRuns
    recovery: Recovery
    notifications: Notifications
    notices: Notices
    notice_rows: NoticeRows
    statistics: Statistics
    agenda: Agenda
    search: Search
    installs: Installs
    install_events: InstallEvents
    inbox: Inbox
    portal_status: PortalStatus
    system_user: SystemUser
    removal: Removal
    sign_in: SignIn
    portal_health: PortalHealth
    request_log: RequestLog
    keep_alive: KeepAlive

    def close(self) -> None:
        """Give connections back; a closed set of services opens new ones when it is used again."""
        self.store.close()


def build(
    config: Config,
    clock: Clock | None = None,
    transport: Transport | None = None,
    jitter: Callable[[], float] = random.random,
    store: Store | None = None,
    machine: Clock = utcnow,
    web_threads: int | None = None,
) -> Services:
    """All services of one process. Opens no connection yet: pools open at first use, after gunicorn forked.

    clock        what time it is; by default the database's, kept by the clock of this `machine`
    web_threads  of a web process: no portal may hold them all; a worker has bounds of its own
    """
    places, breakers = Places(web_threads), Breakers(enabled=web_threads is not None)
    addresses = Addresses(config.b24_portal_networks, config.b24_allow_insecure_portals, vouched=config.oauth_urls)
    transport = transport or GuardedAdapter(addresses)
    store = store or Store(database_url(config))
    clock = clock or SharedClock(store.clock_timestamp, machine)
    vault = Vault(config.vault_keys)
    secret = config.b24_client_secret.get_secret_value()
    oauth = AuthorizationServers(config.oauth_urls, config.b24_client_id, secret, transport, clock, breakers)
    recorder = RequestRecorder(store, Redaction(config.secrets()).text)
    rest = Rest(transport, clock, recorder, places, breakers)
    tokens = Tokens(store, vault, rest, oauth, clock, places)
    queue = Queue(store.url, clock)
    pages = Pages(tokens, store, clock)
    permissions = Permissions(tokens, clock)
    runs = RunQueries(store, clock)
    executor = Executor(store, Batches(tokens), queue, clock, jitter)
    waiting = WaitingRuns(store, queue, clock)
    rate_limiter = RateLimiter(clock, places)
    verifier = Verifier(config.b24_client_id, oauth, addresses, rate_limiter, clock)
    removal = Removal(store, queue, clock)
    installs = Installs(config.app_url, store, verifier, tokens, removal, clock)
    status = PortalStatus(store, oauth, tokens, waiting, removal, clock)
    inbox = Inbox(store, vault, queue, clock)
    notice_rows = NoticeRows(store, queue, clock)
    system_user = SystemUser(store, vault, rest, oauth, clock)
    request_log = RequestLog(store, clock)
    return Services(
        config=config,
        clock=clock,
        store=store,
        vault=vault,
        queue=queue,
        oauth=oauth,
        tokens=tokens,
        users=Users(store),
        pages=pages,
        page_finder=PageFinder(pages, tokens, clock),
        permissions=permissions,
        orders=Orders(store, queue, pages, executor, clock),
        runs=runs,
        executor=executor,
        schedule=Schedule(store, queue, clock),
        preflight=Preflight(store, tokens, clock),
        waiting=waiting,
        recovery=Recovery(store, oauth, tokens, waiting, clock),
        notifications=Notifications(store, runs, permissions, clock),
        notices=Notices(config.b24_client_id, store, notice_rows, tokens, system_user, permissions, clock),
        notice_rows=notice_rows,
        statistics=Statistics(store, clock),
        agenda=Agenda(store, clock),
        search=Search(store),
        installs=installs,
        install_events=InstallEvents(store, verifier, inbox, installs, removal, status, waiting, system_user, clock),
        inbox=inbox,
        portal_status=status,
        system_user=system_user,
        removal=removal,
        sign_in=SignIn(config, store, oauth, verifier, installs, rate_limiter, clock),
        portal_health=PortalHealth(config, store, tokens, installs, waiting, request_log, clock),
        request_log=request_log,
        keep_alive=KeepAlive(store, tokens, clock),
    )


def database_url(config: Config) -> str:
    """The operator's PostgreSQL, or the embedded one of a development machine, which starts here."""
    if config.database_url is not None:
        return config.database_url.get_secret_value()
    return embedded.start().url


def database_url_of_environment(kept: bool = False) -> str:
    """The same for commands and migrations, which need nothing else of the environment. Raises ConfigError.

    kept  the embedded database counts, too, where it is there from before, whatever else is missing
    """
    problems = [] if os.environ.get("DATABASE_URL") else settings.problems()
    for_itself = next((problem for problem in problems if problem.startswith("DATABASE_URL: ")), None)
    if for_itself:
        raise settings.ConfigError(for_itself)
    if os.environ.get("DATABASE_URL") or (problems and not (kept and embedded.DEFAULT.exists())):
        return settings.database_url()
    try:
        return embedded.start().url
    except EmbeddedError as error:
        raise settings.ConfigError(
            f"DATABASE_URL: not set, and the embedded database does not start: {error}"
        ) from None
