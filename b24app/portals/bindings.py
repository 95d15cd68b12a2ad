"""What a portal should call: four events and an entry in the settings of each page; and the installer's words on it.

Bitrix24 drops bindings at updates and uninstalls, and a second bind of the same is an error of its own, so binding is
written to be repeated. What an event.bind answers is not believed: one code stands for "bound already", for "another
bind is under way" and for trouble; `event.get`, asked behind it, shows what is bound.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from b24app.bitrix.rest import Answer, Command
from b24app.domain import N_
from b24app.errors import InsufficientScope, PortalError, Unavailable

INSTALL, UPDATE, UNINSTALL, PAYMENT, USER_READY = (
    "ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL", "ONAPPPAYMENT", "ONAPPUSERREADY",
)  # fmt: skip
EVENTS = (INSTALL, UPDATE, UNINSTALL, PAYMENT)  # the other one comes to the installer's address, bound or not
PLACEMENT = "LANDING_SETTINGS"
PLACEMENT_TITLE = "Sundown: unpublish, schedule"
BOUND = "bound"  # the key of event.get among the answers
NOTICES = N_("Permission to send notices (“Chat and notifications”)")
NO_NOTICES = N_(
    "Not granted: no one is notified in the portal about their schedules; everything else works. An administrator can "
    "grant it by updating or reinstalling the app."
)
EVERYBODY = ("0", "", "None")  # auth_type of what an administrator bound for all; others bind for themselves only
Answers = Mapping[str, Answer | PortalError]
Outcomes = Mapping[str, bool | PortalError]
StepState = Literal["done", "failed", "missing", "without"]  # without: not granted, and nothing depends on it


@dataclass(frozen=True)
class Step:
    """One line of the installer: what was to be done, how it went, and the words for it."""

    key: str
    title: str
    state: StepState
    words: str = ""


def commands(app_url: str) -> dict[str, Command]:
    """Binds everything to the app at `app_url`, and then asks what is bound; keys as `outcomes` wants them."""
    events = {event: Command("event.bind", {"event": event, "handler": f"{app_url}/events"}) for event in EVENTS}
    fields = {"PLACEMENT": PLACEMENT, "PLACEMENT_HANDLER": f"{app_url}/app", "TITLE": PLACEMENT_TITLE}
    placement = Command("landing.repo.bind", {"fields": fields})
    return {**events, PLACEMENT: placement, BOUND: Command("event.get")}


def outcomes(app_url: str, answers: Answers) -> Outcomes:
    """What became of each event and the placement: True bound now, False it was bound before, else the refusal."""
    listed = answers[BOUND]
    shown = listed if isinstance(listed, PortalError) else listed_events(app_url, listed.result)
    events = {event: _event(answers[event], event, shown) for event in EVENTS}
    return {**events, PLACEMENT: _placement(answers[PLACEMENT])}


def listed_events(app_url: str, rows: object) -> frozenset[str]:
    """The events that `event.get` shows as bound for everybody, to this very app."""
    known = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    ours = [row for row in known if row.get("handler") == f"{app_url}/events"]
    return frozenset(str(row.get("event", "")).upper() for row in ours if str(row.get("auth_type", "")) in EVERYBODY)


def all_bound(made: Outcomes) -> bool:
    """Events and placement are there now."""
    return all(isinstance(outcome, bool) for outcome in made.values())


def _event(answer: Answer | PortalError, event: str, shown: frozenset[str] | PortalError) -> bool | PortalError:
    if isinstance(shown, PortalError):
        return answer if isinstance(answer, PortalError) else shown
    if event in shown:
        return not isinstance(answer, PortalError)
    if isinstance(answer, PortalError):
        return answer
    remedy = N_("Ask an administrator of your Bitrix24 to open the app once.")  # others bind for themselves only
    return Unavailable("not_bound", method="event.bind", remedy=remedy)


def _placement(answer: Answer | PortalError) -> bool | PortalError:
    if isinstance(answer, PortalError):
        return False if answer.code.upper() == "PLACEMENT_EXIST" else answer
    return True if answer.result is True else Unavailable("not_bound", method="landing.repo.bind")


def steps(has_scope: bool, tells_people: bool, made: Outcomes) -> tuple[Step, ...]:
    """The installer's lines, once who posted it is proven and stored; each permission with what it is for."""
    scope = (
        Step("scope", N_("Permission to work with “Sites”"), "done", N_("To list, unpublish and publish pages."))
        if has_scope
        else Step("scope", N_("Permission to work with “Sites”"), "missing", InsufficientScope.remedy)
    )
    notices = (
        Step("notices", NOTICES, "done", N_("To notify people in the portal about their schedules."))
        if tells_people
        else Step("notices", NOTICES, "without", NO_NOTICES)
    )
    return (
        Step("verified", N_("Bitrix24 confirms this portal and this app"), "done"),
        Step("stored", N_("Your access is stored, encrypted"), "done"),
        scope,
        notices,
        _step(
            "events", N_("The portal will tell the app about updates and removal"), [made[event] for event in EVENTS]
        ),
        _step("placement", N_("An entry in the settings of each page"), [made[PLACEMENT]]),
    )


def _step(key: str, title: str, made: list[bool | PortalError]) -> Step:
    refused = next((outcome for outcome in made if isinstance(outcome, PortalError)), None)
    return Step(key, title, "done") if refused is None else Step(key, title, "failed", refused.remedy)
