"""What the tests stand on: a real PostgreSQL, the stand-in portal over real sockets, a clock one can turn, people.

Alice (editor, 7) may publish, Bob (reader, 9) may only read, Charlie is the editor of another portal and must see
nothing. Ada (1) is the administrator of Alice's portal.
"""

import base64
import gc
import os
import sys
from collections.abc import Callable, Generator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from flask import Flask
from jinja2 import FileSystemBytecodeCache

from b24app import config as settings
from b24app.factory import create_app
from b24app.portals.installs import Opening
from b24app.services import Services, build
from b24app.services import database_url as database_url_of
from b24app.store import embedded
from b24app.store.db import Store
from b24app.web.current import provide, session_tokens
from b24sandbox import StandIn
from tests import databases
from tests.clocks import Gate, TurnableClock
from tests.databases import SharedDatabase
from tests.people import Person
from tests.prepared import KeptPeople
from tests.worker import work_until_idle

APP_URL = "http://127.0.0.1:8100"
STARTS_A_PROCESS = ("tests.fork", "subprocess.Popen", "os.fork", "os.posix_spawn", "os.system")
# Fixtures of a test that leave the ground on which people open the app as it is, and where they are defined.
GROUND = {
    *(
        (name, "tests")
        for name in ("clock", "environment", "config", "services", "app", "database_url", "granted", "people")
    ),
    *((name, "tests") for name in ("gate", "root", "turn", "work")),
    *((name, "") for name in ("standin", "portal", "request", "monkeypatch", "caplog", "capsys", "tmp_path")),
}
PEOPLE = {"ada": (0, "admin"), "alice": (0, "editor"), "bob": (0, "reader"), "charlie": (1, "editor")}
ADMINISTRATORS, COLLEAGUES = {"ada"}, {"alice", "bob"}  # of the first portal
set_up: dict[str, set[tuple[str, str]]] = {}  # by test: its fixtures so far
unmarked_test: list[str] = []  # the running test, unless it says that it starts processes
Turn = Callable[..., None]
Work = Callable[[], None]


def refuse_processes(event: str, _: object) -> None:
    """A test that starts processes says so: its database is its own then, and `make check` leaves it out."""
    if unmarked_test and event in STARTS_A_PROCESS:
        raise AssertionError(f"{unmarked_test[0]} starts a process: give it the marker `process`")


sys.addaudithook(refuse_processes)


def pytest_collection_finish() -> None:
    """What is there by now stays to the end: it need not be looked through again and again for garbage.

    Nor need what a test makes: a tenth of all processor time went into looking for it every 700 objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    if not any(map(item.get_closest_marker, ("process", "browser"))):
        unmarked_test.append(item.nodeid)
    try:
        return (yield)
    finally:
        unmarked_test.clear()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Generator[None]:
    if fixturedef.scope == "function":
        set_up.setdefault(request.node.nodeid, set()).add((fixturedef.argname, fixturedef.baseid))
    return (yield)


@pytest.hookimpl
def pytest_runtest_teardown(item: pytest.Item) -> None:
    set_up.pop(item.nodeid, None)


@pytest.fixture(scope="session")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL for this session of tests, with the migrations applied to a template database."""
    given = os.environ.get("DATABASE_URL")
    folder = tmp_path_factory.mktemp("postgres") / "data"
    server = None if given else embedded.start(folder, fsync=False)
    url = given or (server.url if server else "")
    databases.make_template(url)
    yield url
    databases.drop_template(url)
    if server is not None:
        server.stop()
        embedded.remove(folder)


@pytest.fixture(scope="session")
def shared_database(server_url: str) -> Iterator[SharedDatabase]:
    """The database that tests of this process use one after the other."""
    with databases.copied(server_url) as url:
        shared = SharedDatabase(url)
        yield shared
        shared.close()


@pytest.fixture
def own_database_url(server_url: str) -> Iterator[str]:
    """A database of this test's own, gone afterwards."""
    with databases.copied(server_url) as url:
        yield url


def has_own_database(request: pytest.FixtureRequest) -> bool:
    """Whether a process or a browser may still be asking after the test."""
    return any(map(request.node.get_closest_marker, ("process", "browser")))


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database, the test's own or the shared one."""
    if has_own_database(request):
        own: str = request.getfixturevalue("own_database_url")
        return own
    shared: SharedDatabase = request.getfixturevalue("shared_database")
    shared.empty()
    return shared.url


@pytest.fixture
def clock() -> TurnableClock:
    return TurnableClock()


@pytest.fixture
def gate(standin: StandIn, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """What the portal does late, it does when the test opens the gate."""
    made = Gate()
    monkeypatch.setattr(standin.world.clock, "sleep", made)
    yield made
    made.open()


@pytest.fixture
def environment(standin: StandIn, database_url: str) -> dict[str, str]:
    """A complete environment of the app against the stand-in."""
    return {
        "B24_CLIENT_ID": standin.client_id,
        "B24_CLIENT_SECRET": standin.client_secret,
        "B24_OAUTH_URL": ",".join(standin.world.servers),
        "APP_URL": APP_URL,
        "DATABASE_URL": database_url,
        "SECRET_KEY": "k" * 48,
        "TOKEN_KEYS": base64.urlsafe_b64encode(b"v" * 32).decode(),
        "B24_ALLOW_INSECURE_PORTALS": "1",
        "LOG_FORMAT": "console",
        "TRUSTED_PROXIES": "0",
    }


@pytest.fixture
def config(environment: dict[str, str]) -> settings.Config:
    return make_config(environment)


def make_config(environment: dict[str, str]) -> settings.Config:
    """Settings from a dictionary, as from the process's environment."""
    values: dict[str, Any] = {name.lower(): value for name, value in environment.items()}
    return settings.Config(**values)


@pytest.fixture
def services(request: pytest.FixtureRequest, config: settings.Config, clock: TurnableClock) -> Iterator[Services]:
    url = database_url_of(config)
    kept = None if has_own_database(request) else request.getfixturevalue("shared_database")
    store = kept.store if kept and kept.url == url else Store(url)
    built = build(config, clock=clock, jitter=lambda: 0.0, store=store)
    built.install_events.door_seconds = 30.0  # a machine busy with tests is no server that hangs
    yield built
    if kept is None or store is not kept.store:
        built.close()


@pytest.fixture(scope="session")
def kept_apps() -> dict[int, Flask]:
    """Applications by the number of proxies they trust: each compiles its routes and templates only once."""
    return {}


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """Templates as Jinja compiles them, for all applications of this process."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def app(
    request: pytest.FixtureRequest,
    services: Services,
    kept_apps: dict[int, Flask],
    compiled_templates: FileSystemBytecodeCache,
) -> Flask:
    """The web application on these services. A browser may ask on after its test, so it gets one of its own."""
    if request.node.get_closest_marker("browser"):
        own = make_app(services)
        own.jinja_env.bytecode_cache = compiled_templates
        return own
    hops = services.config.trusted_proxies
    if hops not in kept_apps:
        kept_apps[hops] = make_app(services)
    provide(kept_apps[hops], services)
    return kept_apps[hops]


def make_app(services: Services) -> Flask:
    """The web application, which answers faults of ours as it would answer a person."""
    made = create_app(services)
    made.testing = True
    made.config["PROPAGATE_EXCEPTIONS"] = False
    return made


@pytest.fixture(scope="session")
def kept_people(shared_database: SharedDatabase) -> KeptPeople:
    """Who has the app open, put back instead of opened again."""
    return KeptPeople(shared_database)


@pytest.fixture
def granted() -> list[str]:
    """Scopes that the portal grants once the app is installed; a module that needs others says so."""
    return []


@pytest.fixture
def people(request: pytest.FixtureRequest, app: Flask, standin: StandIn, granted: list[str]) -> dict[str, Person]:
    """The people this test asks for, by name: administrators have installed the app, the others have it open. Where
    more is `granted`, the administrator has opened it since, too.
    """
    asked = set(PEOPLE) & set(request.fixturenames)
    asked |= {"ada"} if asked & {"alice", "bob"} else set()
    made = {name: Person(app, standin.portals[place], role) for name, (place, role) in PEOPLE.items() if name in asked}

    def come() -> None:
        for name, person in made.items():
            if name in ADMINISTRATORS:
                install(person)
                if granted:
                    person.portal.scope(granted)
                    person.opened()
                continue
            if name not in COLLEAGUES:
                install(Person(app, person.portal, "admin"))
            person.opened()

    if is_on_plain_ground(request):
        request.getfixturevalue("kept_people").bring(made, standin, come)
        with app.app_context():
            for person in filter(lambda each: each.token, made.values()):  # an hour from now, not from when it was kept
                claims = session_tokens().read(person.token)
                person.token = session_tokens().opened(cast(Opening, claims), claims.lang)  # they name the same
    else:
        come()
    return made


def is_on_plain_ground(request: pytest.FixtureRequest) -> bool:
    """Whether nothing of this test's own was set up before people come: they find what all others find."""
    return not has_own_database(request) and set_up[request.node.nodeid] <= GROUND


def install(administrator: Person) -> None:
    """Install the app on the administrator's portal."""
    assert administrator.install().status_code == 200
    administrator.portal.finish_install()


@pytest.fixture
def ada(people: dict[str, Person]) -> Person:
    """The administrator, who has installed the app."""
    return people["ada"]


@pytest.fixture
def alice(people: dict[str, Person]) -> Person:
    """May publish; has the app open."""
    return people["alice"]


@pytest.fixture
def bob(people: dict[str, Person]) -> Person:
    """May only read; has the app open."""
    return people["bob"]


@pytest.fixture
def charlie(people: dict[str, Person]) -> Person:
    """Editor of another portal, with the app open there."""
    return people["charlie"]


@pytest.fixture
def root() -> Path:
    """The checkout."""
    return Path(__file__).parents[1]


@pytest.fixture
def turn(clock: TurnableClock, standin: StandIn) -> Turn:
    """Let time pass, for the app and for the portal: by a span, or up to a moment."""

    def pass_by(until: datetime | None = None, **span: float) -> None:
        ahead = until - clock() if until else timedelta(**span)
        assert ahead >= timedelta()
        clock.tick(seconds=ahead.total_seconds())
        standin.world.clock.advance(ahead.total_seconds())

    return pass_by


@pytest.fixture
def work(services: Services) -> Work:
    """The worker does what is due, and what comes of it."""
    return lambda: work_until_idle(services)
