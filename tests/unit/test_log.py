"""What a log line shows, and what never: by name, by value, by shape, however it got there."""

import base64
import json
import subprocess
import sys
from uuid import UUID

import pytest

from b24app.log import SHOWN, Redaction
from tests.conftest import APP_URL
from tests.processes import ROOT

SECRET = "the-operators-own-secret"
TOKEN = "9f8e7d6c" * 9
MEMBER = "a223c6b3710f85df22e9377d6c4f7553"


def cleaned(**event: object) -> str:
    return json.dumps(dict(Redaction([SECRET])(None, "info", dict(event))), default=repr)


class Telltale:
    """Shows all it knows."""

    def __repr__(self) -> str:
        return f"Telltale(access_token={TOKEN!r})"


@pytest.mark.parametrize("event", [
    {"event": f"posted AUTH_ID={TOKEN[:32]}&x=1"},
    {"event": f'{{"refresh_token": "{TOKEN[:32]}"}}'},
    {"event": f"Authorization: Bearer {TOKEN[:32]}"},
    {"event": f"KeyError: '{TOKEN}'"},
    {"event": "x", "AUTH_ID": TOKEN[:32]},
    {"event": "x", "access_token": {"deep": TOKEN[:32]}},
    {"event": "x", "form": {"REFRESH_ID": TOKEN[:32]}},
    {"event": "x", "forms": [{"client_secret": TOKEN[:32]}, f"code={TOKEN[:32]}"]},
    {"event": "x", "exception": f"Traceback …\\nhttps://h/rest/app.info?auth={TOKEN[:32]}"},
    {"event": "x", "body": f"auth={TOKEN}".encode()},
    {"event": "x", "what": Telltale()},
])  # fmt: skip
def test_a_token_is_not_shown(event: dict[str, object]):
    shown = cleaned(**event)

    assert TOKEN[:32] not in shown
    assert SHOWN in shown


@pytest.mark.parametrize("place", ["event", "reason", "exception"])
def test_a_secret_of_the_settings_is_not_shown_anywhere(place: str):
    assert cleaned(**{place: f"before {SECRET} after"}) == json.dumps({place: f"before {SHOWN} after"})


def test_a_session_token_is_not_shown():
    assert "eyJh" not in cleaned(event="got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI3In0.c2lnbmF0dXJl and went on")


def test_what_helps_stays_readable():
    run = UUID("0189c0de-7e57-4abc-8def-0123456789ab")
    body = '{"code":"insufficient_scope","CODE":"summer-sale"}'
    event = {"event": "renewed", "member_id": MEMBER, "user_id": 7, "ms": 1.5, "code": "expired_token", "no": None}

    shown = cleaned(**event, run=run, body=body)

    assert json.loads(shown) == {**event, "run": str(run), "body": body}


PROGRAM = f"""
import logging, threading, warnings
from b24app import config, log
log.setup(config.load())
logging.getLogger("library").error("asked with auth=%s", "{TOKEN}")
warnings.warn("{TOKEN}", stacklevel=1)
def fail():
    raise ValueError("{TOKEN}")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
try:
    fail()
except ValueError:
    logging.getLogger("library").exception("it failed")
raise RuntimeError("{SECRET}")
"""


@pytest.mark.process
@pytest.mark.parametrize("form", ["json", "console"])
def test_everything_a_process_writes_goes_the_same_way(form: str):
    environment = {
        "B24_CLIENT_ID": "app.1", "B24_CLIENT_SECRET": SECRET, "APP_URL": APP_URL, "SECRET_KEY": "k" * 40,
        "TOKEN_KEYS": base64.urlsafe_b64encode(b"v" * 32).decode(), "LOG_FORMAT": form, "LOG_LEVEL": "DEBUG",
    }  # fmt: skip

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert TOKEN not in done.stderr
    assert SECRET not in done.stderr
    for trace in ("ValueError", "RuntimeError", "UserWarning", "it failed", "crashed"):
        assert trace in done.stderr
    if form == "json":
        assert all(isinstance(json.loads(line), dict) for line in done.stderr.splitlines())
