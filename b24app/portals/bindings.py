"""What a portal should call: four events and an entry in the settings of each page; and the installer's words on it.

Bitrix24 drops bindings at updates and uninstalls, and a second bind of the same is an error of its own, so binding is
written to be repeated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from b24app.bitrix.rest import Answer, Command
from b24app.domain import N_
from b24app.errors import InsufficientScope, PortalError

EVENTS = ("ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL", "ONAPPPAYMENT")
PLACEMENT = "LANDING_SETTINGS"
PLACEMENT_TITLE = "Sundown: unpublish, schedule"
Answers = Mapping[str, Answer | PortalError]
StepState = Literal["done", "failed", "missing"]


@dataclass(frozen=True)
class Step:
    """One line of the installer: what was to be done, how it went, and the words for it."""

    key: str
    title: str
    state: StepState
    words: str = ""


def commands(app_url: str) -> dict[str, Command]:
    """Binds everything to the app at `app_url`; keys are the events' names and the placement's."""
    events = {event: Command("event.bind", {"event": event, "handler": f"{app_url}/events"}) for event in EVENTS}
    fields = {"PLACEMENT": PLACEMENT, "PLACEMENT_HANDLER": f"{app_url}/app", "TITLE": PLACEMENT_TITLE}
    return {**events, PLACEMENT: Command("landing.repo.bind", {"fields": fields})}


def all_bound(answers: Answers) -> bool:
    """Events and placement are there now."""
    return all(is_bound(answers[name]) for name in (*EVENTS, PLACEMENT))


def is_bound(answer: Answer | PortalError) -> bool:
    """Done, or it had been done before: PLACEMENT_EXIST, or ERROR_CORE of event.bind, which means "already binded" or
    that the very same bind is running at this moment (rest source, checkUniq and its lock).
    """
    if isinstance(answer, PortalError):
        return answer.code.upper() in ("PLACEMENT_EXIST", "ERROR_CORE")
    return answer.result is True


def steps(has_scope: bool, answers: Answers) -> tuple[Step, ...]:
    """The installer's lines, once who posted it is proven and stored."""
    scope = (
        Step("scope", N_('Permission to work with "Sites"'), "done")
        if has_scope
        else Step("scope", N_('Permission to work with "Sites"'), "missing", InsufficientScope.remedy)
    )
    return (
        Step("verified", N_("Bitrix24 confirms this portal and this app"), "done"),
        Step("stored", N_("Your access is stored, encrypted"), "done"),
        scope,
        _step(
            "events", N_("The portal will tell the app about updates and removal"), [answers[event] for event in EVENTS]
        ),
        _step("placement", N_("An entry in the settings of each page"), [answers[PLACEMENT]]),
    )


def _step(key: str, title: str, answers: list[Answer | PortalError]) -> Step:
    refused = next((answer for answer in answers if not is_bound(answer)), None)
    if refused is None:
        return Step(key, title, "done")
    words = refused.remedy if isinstance(refused, PortalError) else PortalError.remedy
    return Step(key, title, "failed", words)
