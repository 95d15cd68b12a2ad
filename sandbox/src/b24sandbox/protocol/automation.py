"""Section 13: automation rules: what an app registers, what a person sets up, and the post that a fired rule makes.

The handler gets a form through the same queue as events: once, never again. There is no `event` key in it; what tells
it apart is `event_token` with `code`. The token is signed, so that `bizproc.event.send` knows its own.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

from b24sandbox.protocol import php
from b24sandbox.protocol.events import dispatch, tokens_of, whereabouts
from b24sandbox.state.world import Delivery, Installation, Portal, Rule, Workflow, World

SIGNED_WITH = b"of stand-ins only; the same at every start, so that workflows outlive one"
DIALOG = "BIZPROC_ACTIVITY_PROPERTIES_DIALOG"
DIALOG_HEIGHT = 350
DOCUMENT_TYPE = ("crm", "CCrmDocumentDeal", "DEAL")


def registered(installation: Installation, code: str) -> dict[str, object] | None:
    """What an app has registered under a code, a robot or an activity."""
    return installation.robots.get(code) or installation.activities.get(code)


def named(name: object, lang: str) -> str:
    """A name or description in a language: exact, Russian for Ukrainian, English, `*`, or whatever there is."""
    if not php.is_array(name):
        return php.text(name)
    texts = {key: php.text(text) for key, text in php.items(name)}
    wanted = [lang, *(("ru",) if lang == "ua" else ()), "en", "*"]
    return next((texts[each] for each in wanted if each in texts), next(iter(texts.values()), ""))


def dialog_options(portal: Portal, robot: dict[str, object], rule: Rule | None) -> dict[str, object]:
    """What the app's own settings frame is told in PLACEMENT_OPTIONS (13.3)."""
    return {
        "code": robot["CODE"],
        "activity_name": rule.activity if rule else "A0000_0000_0000_0000",
        "properties": php.encoded(dict(php.items(robot["PROPERTIES"]))),
        "current_values": php.encoded(rule.values if rule else {}),
        "document_type": list(DOCUMENT_TYPE),
        "document_fields": {"ID": {"Name": "ID", "Type": "int"}, "TITLE": {"Name": "Title", "Type": "string"}},
    }


def fire(world: World, portal: Portal, rule: Rule, document: int = 77) -> Workflow | None:
    """A rule comes due: its handler is posted to; the workflow that waits for it, or None where the app is gone.

    Hold the lock. A rule whose app was removed or no longer has that code fails with a line in the log.
    """
    installation = portal.installations.get(rule.app)
    robot = registered(installation, rule.code) if installation else None
    workflow = Workflow(secrets.token_hex(12), rule.id, rule.app, rule.code, document)
    portal.workflows.append(workflow)
    if installation is None or robot is None or not installation.finished:
        workflow.state, workflow.log = "failed", ["Rest application not found"]
        return None
    if portal.switches.payment_expired:
        workflow.state, workflow.log = "failed", ["payment required"]
        return None
    subscribed = php.text(robot.get("USE_SUBSCRIPTION")) or ("Y" if rule.waits else "N")
    workflow.state = "waiting" if subscribed == "Y" else "done"
    workflow.token = sign(f"{workflow.id}|{rule.activity}|{secrets.token_hex(8)}")
    form = _form(world, portal, installation, rule, robot, workflow, subscribed)
    dispatch(world, Delivery(portal.index, f"robot {rule.code}", php.text(robot["HANDLER"]), form, rule.app))
    return workflow


def _form(
    world: World,
    portal: Portal,
    installation: Installation,
    rule: Rule,
    robot: dict[str, object],
    workflow: Workflow,
    subscribed: str,
) -> list[tuple[str, str]]:
    module, entity, kind = DOCUMENT_TYPE
    given = robot.get("AUTH_USER_ID")
    user = installation.installed_by if given in (None, "") else php.integer(given)
    tokens = tokens_of(world, portal, user, True, rule.app, 1) if user in portal.users else {}
    values = {
        name: printed(rule.values.get(name), dict(php.items(about))) for name, about in php.items(robot["PROPERTIES"])
    }
    return php.flatten(
        {
            "workflow_id": workflow.id,
            "code": rule.code,
            "document_id": [module, entity, f"{kind}_{workflow.document}"],
            "document_type": list(DOCUMENT_TYPE),
            "event_token": workflow.token,
            **({"properties": values} if values else {}),
            "use_subscription": subscribed,
            "timeout_duration": 0,
            "ts": int(world.clock.now()),
            "auth": {
                **tokens,
                **whereabouts(world, portal),
                "application_token": installation.application_token,
                "WORKFLOW_ID": workflow.id,
                "ACTIVITY_NAME": rule.activity,
                "CODE": rule.code,
            },
        }
    )


def printed(value: object, about: dict[str, object]) -> object:
    """A property's value as a handler gets it: `user_7`, Y or N, keys of selects, nothing as an empty text."""
    if php.text(about.get("Multiple")) in ("Y", "1") or php.is_array(value):
        return [_single(each, about) for each in php.values(value if value is not None else [])]
    return _single(value, about)


def _single(value: object, about: dict[str, object]) -> str:
    kind = php.text(about.get("Type"))
    if kind == "bool":
        return "Y" if value is True or php.text(value).upper() in ("Y", "1", "TRUE", "ON") else "N"
    if value in (None, ""):
        return ""
    if kind == "user" and php.text(value).isdigit():
        return f"user_{value}"
    return php.text(value)


def sign(text: str) -> str:
    return f"{text}.{hmac.new(SIGNED_WITH, text.encode(), hashlib.sha256).hexdigest()}"


def workflow_of(portal: Portal, token: str) -> tuple[bool, Workflow | None]:
    """Whether an event token is one of ours, and the workflow it belongs to, if that still stands."""
    text = token.rpartition(".")[0]
    genuine = hmac.compare_digest(sign(text).encode(), token.encode())
    return genuine, next((each for each in portal.workflows if each.token == token), None) if genuine else None
