"""The official Python SDK's integration tests, against a stand-in: `python -m tests.sandbox.sdk_suite CHECKOUT`.

CHECKOUT is a clone of github.com/bitrix24/b24pysdk, whose tests are written for real portals; nothing of it is kept
here. Its `.env.local` and `tests/constants_local.py` are written into it, and `--python` names an interpreter that has
its test dependencies. What passes and why the rest does not stands in `sandbox/FACTS.md`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from b24sandbox import MethodCall, PortalHandle, StandIn, rest_method
from b24sandbox.methods.app import SCOPES
from b24sandbox.state.world import Binding

PLACES = (
    "scopes/landing", "scopes/event", "scopes/test_events.py", "scopes/app", "scopes/test_profile.py",
    "scopes/test_scope.py", "scopes/test_method.py", "scopes/test_feature.py", "scopes/test_server.py",
    "scopes/test_placement.py", "scopes/test_access.py", "scopes/user", "scopes/im/test_im_notify.py", "errors",
    "credentials",
)  # fmt: skip


@rest_method("voximplant.user.get", "telephony")
def telephone_users(call: MethodCall) -> object:
    """A method that the suite expects to wait for an administrator's confirmation: see the switch below."""
    return []


def environment(standin: StandIn, portal: PortalHandle) -> dict[str, str]:
    """What the suite reads of its portal, by the names it uses."""
    pair, spent = portal.tokens("admin"), portal.tokens("reader")
    portal.expire("reader")
    user, code = portal.webhook.split("/rest/")[1].strip("/").split("/")
    return {
        "B24_DOMAIN": portal.domain,
        "B24_WEBHOOK": f"{user}/{code}",
        "B24_CLIENT_ID": standin.client_id,
        "B24_CLIENT_SECRET": standin.client_secret,
        "B24_ACCESS_TOKEN": str(pair["access_token"]),
        "B24_REFRESH_TOKEN": str(pair["refresh_token"]),
        "B24_EXPIRES_IN": "3600",
        "B24_PREFER_AUTH_TYPE": "",
        "B24_EXPIRED_TOKEN": str(spent["access_token"]),
    }


def constants(standin: StandIn, portal: PortalHandle) -> str:
    """People and an application in trouble, for the tests of errors that are skipped without them."""
    colleague = portal.add_users(1)[0]
    fired = portal.tokens(colleague)
    portal.forget_user(colleague)
    other = portal.of(1)
    removed = other.tokens("admin")
    other.uninstall()
    old = standin.portals[1]
    found = {
        "FIRED_USER_TOKEN": fired["access_token"],
        "APP_NOT_INSTALLED_TOKEN": removed["access_token"],
        "PROFILE_ONLY_WEBHOOK_TOKEN": portal.add_webhook("admin", []).split("/rest/")[1].strip("/"),
        "OLD_DOMAIN": old.domain,
    }
    old.rename()
    return "".join(f"{name} = {str(value)!r}\n" for name, value in found.items())


def prepare(portal: PortalHandle) -> None:
    """An installed application, and an offline event or two that wait."""
    portal.switch(dialect="sdk", confirm_methods="voximplant.user.get")
    portal.install()
    portal.finish_install()
    if (installed := portal.installation) is not None:
        installed.bindings.append(Binding(portal.state.fresh_id(), "ONCRMDEALADD", "", 0, offline=True))
    for number in (1, 2):
        portal.send("ONCRMDEALADD", {"FIELDS": {"ID": number}})


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("checkout", type=Path)
    asked.add_argument("--python", default=sys.executable)
    asked.add_argument("places", nargs="*", default=PLACES)
    given = asked.parse_args()
    with (
        tempfile.TemporaryDirectory() as tls,
        StandIn.start(tls=tls, names=True, apps=[{"scope": list(SCOPES)}, {"scope": list(SCOPES)}]) as standin,
    ):
        portal = standin.portals[0]
        standin.world.kills_access = False  # the suite goes on with the access token of a pair it has renewed
        prepare(portal)
        environ = environment(standin, portal)
        lines = "".join(f"{name}={value}\n" for name, value in environ.items())
        (given.checkout / ".env.local").write_text(lines, encoding="utf-8")
        (given.checkout / "tests/constants_local.py").write_text(constants(standin, portal), encoding="utf-8")
        surroundings = {**os.environ, **environ, "HTTPS_PROXY": standin.proxy, "REQUESTS_CA_BUNDLE": str(standin.ca)}
        places = [str(Path("tests/integration") / place) for place in given.places]
        command = [given.python, "-m", "pytest", "-o", "addopts=", "-q", "--tb=line", "-rfEs", *places]
        ended = subprocess.run(command, cwd=given.checkout, env=surroundings, check=False)
        unknown = sorted({call.method for call in standin.calls() if call.code == "ERROR_METHOD_NOT_FOUND"})
        sys.stdout.write(f"methods the stand-in does not have: {', '.join(unknown) or 'none'}\n")
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
