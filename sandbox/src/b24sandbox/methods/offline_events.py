"""Section 3: offline events: kept by the portal until an app takes them, by `event.bind` with event_type=offline."""

from __future__ import annotations

import secrets

from b24sandbox.methods.lists import PAGE_SIZE, filtered, ordered, paged
from b24sandbox.protocol import php
from b24sandbox.protocol.errors import argument
from b24sandbox.protocol.registry import MethodCall, rest_method
from b24sandbox.state.clock import iso
from b24sandbox.state.world import OfflineEvent

COLUMNS = ("ID", "TIMESTAMP_X", "EVENT_NAME", "EVENT_DATA", "EVENT_ADDITIONAL", "MESSAGE_ID", "PROCESS_ID", "ERROR")
SHOWN = COLUMNS[:6]


def _row(each: OfflineEvent) -> dict[str, object]:
    return {
        "ID": str(each.id),
        "TIMESTAMP_X": iso(each.at),
        "EVENT_NAME": each.event,
        "EVENT_DATA": each.values or False,
        "EVENT_ADDITIONAL": False,
        "MESSAGE_ID": str(each.id),
        "PROCESS_ID": each.process_id or None,
        "ERROR": "1" if each.failed else "0",
    }


@rest_method("event.offline.get")
def get(call: MethodCall) -> dict[str, object]:
    """The first of the queue: taken away at once, or with `clear=0` marked with a process_id until cleared."""
    installation = call.installation()
    process = call.text("process_id")
    clears = call.get("clear") is None or php.truthy(call.get("clear"))
    wants_failed = php.truthy(call.get("error"))
    waiting = [each for each in installation.offline if each.failed == wants_failed and not each.process_id]
    rows = filtered([_row(each) for each in waiting], dict(php.items(call.get("filter"))), COLUMNS)
    ordered(rows, php.items(call.get("order") or {"TIMESTAMP_X": "ASC"}), COLUMNS)
    taken = rows[: php.integer(call.get("limit")) or PAGE_SIZE]
    numbers = {php.integer(row["ID"]) for row in taken}
    if clears:
        installation.offline = [each for each in installation.offline if each.id not in numbers]
    elif numbers:
        process = process or secrets.token_hex(16)
        for each in installation.offline:
            if each.id in numbers:
                each.process_id = process
    events = [{name: row[name] for name in SHOWN} for row in taken]
    return {"process_id": None if clears else process or None, "events": events}


@rest_method("event.offline.list")
def list_(call: MethodCall) -> object:
    """All that is kept, taken by a process or not; nothing changes."""
    return paged(call, [_row(each) for each in call.installation().offline], COLUMNS)


def _of_process(call: MethodCall) -> list[OfflineEvent]:
    """What a process has taken, or of it those named by `message_id` or `id`."""
    process = call.text("process_id")
    if not process:
        raise argument("process_id", "Parameter 'process_id' is null or empty")
    named = {php.text(each) for name in ("message_id", "id") for each in php.values(call.get(name) or [])}
    mine = [each for each in call.installation().offline if each.process_id == process]
    return [each for each in mine if not named or str(each.id) in named]


@rest_method("event.offline.clear")
def clear(call: MethodCall) -> bool:
    """These have been worked on."""
    done = _of_process(call)
    call.installation().offline = [each for each in call.installation().offline if each not in done]
    return True


@rest_method("event.offline.error")
def error(call: MethodCall) -> bool:
    """These could not be worked on: they are kept, and come again with `error=1`."""
    if not php.values(call.get("message_id") or []):
        raise argument("message_id", "Parameter 'message_id' is null or empty")
    for each in _of_process(call):
        each.failed, each.process_id = True, ""
    return True
