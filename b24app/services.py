"""Where the parts meet: everything a request or a job needs, built once a process. No Flask in here."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from b24app.bitrix.address import Addresses
from b24app.bitrix.connect import GuardedAdapter
from b24app.bitrix.oauth import AuthorizationServers
from b24app.bitrix.rest import Rest, Transport
from b24app.budget import Budget
from b24app.calls import Calls
from b24app.clock import Clock, utcnow
from b24app.config import Config
from b24app.foresight import Foresight
from b24app.health import Healths
from b24app.history import History
from b24app.installs import Installs
from b24app.journal import Journal
from b24app.lifecycle import Lifecycle
from b24app.log import Redaction
from b24app.pages import Pages
from b24app.people import People
from b24app.perform import Perform
from b24app.proving import Proving
from b24app.removal import Removal
from b24app.runs import Runs
from b24app.schedule import Schedule
from b24app.signin import SignIn
from b24app.store import embedded
from b24app.store.db import POOL, Store
from b24app.store.queue import Queue
from b24app.store.vault import Vault
from b24app.tokens import Tokens


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
    installs: Installs
    removal: Removal
    lifecycle: Lifecycle
    signin: SignIn
    people: People
    pages: Pages
    runs: Runs
    history: History
    schedule: Schedule
    foresight: Foresight
    perform: Perform
    calls: Calls
    healths: Healths

    def close(self) -> None:
        """Give connections back; a closed set of services opens new ones when it is used again."""
        self.store.close()


def build(
    config: Config,
    clock: Clock = utcnow,
    transport: Transport | None = None,
    jitter: Callable[[], float] = random.random,
    pool: int = POOL,
) -> Services:
    """All services of one process. Opens no connection yet: pools open at first use, after gunicorn forked."""
    addresses = Addresses(config.b24_portal_networks, config.b24_allow_insecure_portals, vouched=config.oauth_urls)
    wire = transport or GuardedAdapter(addresses)
    store = Store(database_url(config), pool)
    vault = Vault(config.vault_keys)
    oauth = AuthorizationServers(
        config.oauth_urls, config.b24_client_id, config.b24_client_secret.get_secret_value(), wire, clock
    )
    tokens = Tokens(store, vault, Rest(wire, clock, Journal(store, Redaction(config.secrets()).text)), oauth, clock)
    queue = Queue(store.url)
    runs = Runs(store, queue, clock)
    budget = Budget(clock)
    proving = Proving(config.b24_client_id, oauth, addresses, budget, clock)
    installs = Installs(config.app_url, store, proving, tokens, clock)
    removal = Removal(store, queue, clock)
    calls = Calls(store, clock)
    perform = Perform(store, tokens, runs, queue, clock, jitter)
    return Services(
        config=config,
        clock=clock,
        store=store,
        vault=vault,
        queue=queue,
        oauth=oauth,
        tokens=tokens,
        installs=installs,
        people=People(store),
        signin=SignIn(config, store, oauth, proving, installs, budget, clock),
        removal=removal,
        lifecycle=Lifecycle(store, proving, installs, removal, perform, clock),
        pages=Pages(tokens, clock),
        runs=runs,
        history=History(store, clock),
        schedule=Schedule(store, queue, clock),
        foresight=Foresight(store, tokens, clock),
        perform=perform,
        calls=calls,
        healths=Healths(config, store, tokens, installs, perform, calls, clock),
    )


def database_url(config: Config) -> str:
    """The operator's PostgreSQL, or the embedded one of a development machine, which starts here."""
    if config.database_url is not None:
        return config.database_url.get_secret_value()
    return embedded.start().url
