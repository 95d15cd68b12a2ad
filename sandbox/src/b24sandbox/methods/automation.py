"""Section 13: what apps register for automation, and what they answer to a workflow: scope `bizproc`."""

from __future__ import annotations

import re

from b24sandbox.methods.bindings import check_handler
from b24sandbox.protocol import php
from b24sandbox.protocol.automation import registered, workflow_of
from b24sandbox.protocol.errors import RestError, denied
from b24sandbox.protocol.registry import MethodCall, rest_method
from b24sandbox.state.world import Installation, Workflow

CODE = re.compile(r"[a-z0-9.\-_]{1,128}", re.IGNORECASE)
NAME = re.compile(r"[a-z][a-z0-9_]*", re.IGNORECASE)
TYPES = ("bool", "date", "datetime", "double", "file", "int", "select", "string", "text", "user")
FIELDS = (
    "HANDLER", "AUTH_USER_ID", "NAME", "DESCRIPTION", "USE_SUBSCRIPTION", "PROPERTIES", "RETURN_PROPERTIES",
    "DOCUMENT_TYPE", "FILTER", "USE_PLACEMENT", "PLACEMENT_HANDLER",
)  # fmt: skip
LONGEST_HANDLER = 1000
MOST_BYTES = 65_535


def register(kind: str) -> None:
    """`bizproc.robot.*` or `bizproc.activity.*`; the two share their codes."""

    def kept(installation: Installation) -> dict[str, dict[str, object]]:
        return installation.robots if kind == "robot" else installation.activities

    @rest_method(f"bizproc.{kind}.add", "bizproc")
    def add(call: MethodCall) -> bool:
        installation = _admitted(call)
        code = call.text("CODE")
        if not CODE.fullmatch(code):
            raise invalid("Wrong activity code!")
        if registered(installation, code) is not None:
            raise RestError("ERROR_ACTIVITY_ALREADY_INSTALLED", "Activity or Robot already installed!", 400)
        kept(installation)[code] = {
            "CODE": code,
            **_checked(call, installation, {name: call.get(name) for name in FIELDS}),
        }
        return True

    @rest_method(f"bizproc.{kind}.update", "bizproc")
    def update(call: MethodCall) -> bool:
        installation = _admitted(call)
        robot = _found(call, kept(installation))
        given = {key.upper(): value for key, value in php.items(call.get("FIELDS"))}
        changed = {name: given.get(name, robot.get(name)) for name in FIELDS}
        robot.update(_checked(call, installation, changed, but=robot))
        return True

    @rest_method(f"bizproc.{kind}.delete", "bizproc")
    def delete(call: MethodCall) -> bool:
        installation = _admitted(call)
        del kept(installation)[php.text(_found(call, kept(installation))["CODE"])]
        return True

    @rest_method(f"bizproc.{kind}.list", "bizproc")
    def list_(call: MethodCall) -> list[str]:
        """The codes of this app's."""
        return list(kept(_admitted(call)))


def _admitted(call: MethodCall) -> Installation:
    installation = call.installation()
    call.need_admin()
    return installation


def _found(call: MethodCall, kept: dict[str, dict[str, object]]) -> dict[str, object]:
    robot = kept.get(call.text("CODE"))
    if robot is None:
        raise RestError("ERROR_ACTIVITY_NOT_FOUND", "Activity or Robot not found!", 400)
    return robot


def invalid(words: str) -> RestError:
    return RestError("ERROR_ACTIVITY_VALIDATION_FAILURE", words, 400)


def _checked(
    call: MethodCall, installation: Installation, given: dict[str, object], but: dict[str, object] | None = None
) -> dict[str, object]:
    """The fields of a registration, or the refusal of 13.2."""
    handler = php.text(given["HANDLER"])
    if not handler or len(handler) > LONGEST_HANDLER:
        raise invalid("Wrong activity handler URL!")
    check_handler(handler)
    if not given["NAME"]:
        raise invalid("Empty activity NAME!")
    properties, returned = _properties(given["PROPERTIES"]), _properties(given["RETURN_PROPERTIES"])
    placement = php.text(given["PLACEMENT_HANDLER"])
    if php.text(given["USE_PLACEMENT"]) == "Y":
        check_handler(placement)
        others = [*installation.robots.values(), *installation.activities.values()]
        if any(each is not but and each["PLACEMENT_HANDLER"] == placement for each in others):
            raise RestError("ERROR_CORE", "Unable to set placement handler: unique placement handler is wanted", 400)
    return {
        **given,
        "HANDLER": handler,
        "PROPERTIES": properties,
        "RETURN_PROPERTIES": returned,
        "PLACEMENT_HANDLER": placement,
    }


def _properties(given: object) -> dict[str, object]:
    found: dict[str, object] = {}
    if len(str(given)) > MOST_BYTES:
        raise invalid("Too many properties!")
    for name, about in php.items(given):
        described = dict(php.items(about))
        if not NAME.fullmatch(name):
            raise invalid(f"Wrong property key ({name})!")
        if not described.get("Name"):
            raise invalid(f"Empty property NAME ({name})!")
        kind = php.text(described.get("Type")) or "string"
        if kind not in TYPES:
            raise invalid(f"Wrong property TYPE ({name})!")
        found[name] = {**described, "Type": kind}
    return found


for _kind in ("robot", "activity"):
    register(_kind)


@rest_method("bizproc.event.send", "bizproc")
def event_send(call: MethodCall) -> bool:
    """A workflow goes on with these values; true whenever the signature is right, though a stale token does nothing."""
    workflow = _workflow(call)
    if workflow is None or workflow.state != "waiting":
        return True
    installation = call.portal.installations.get(workflow.app)
    robot = registered(installation, workflow.code) if installation else None
    declared = {name.lower(): name for name in dict(php.items(robot["RETURN_PROPERTIES"]))} if robot else {}
    for name, value in php.items(call.get("RETURN_VALUES")):
        if name.lower() in declared:
            workflow.returned[declared[name.lower()]] = value
    if words := call.text("LOG_MESSAGE"):
        workflow.log.append(words)
    workflow.state = "done"
    return True


@rest_method("bizproc.activity.log", "bizproc")
def activity_log(call: MethodCall) -> bool:
    """A line in the workflow's log, and nothing else."""
    workflow = _workflow(call)
    if not (words := call.text("LOG_MESSAGE")):
        raise RestError("ERROR_EMPTY_LOG_MESSAGE", "Empty log message!", 400)
    if workflow is not None:
        workflow.log.append(words)
    return True


def _workflow(call: MethodCall) -> Workflow | None:
    genuine, workflow = workflow_of(call.portal, call.text("EVENT_TOKEN"))
    if not genuine:
        raise denied()
    return workflow
