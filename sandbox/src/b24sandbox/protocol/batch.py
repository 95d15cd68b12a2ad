"""Section 4.4: `batch` with all its habits.

Commands are strings and run one after another in one PHP process; what is not a string vanishes without a trace. Each
of the five maps of the answer is a PHP array, so it is `[]` when empty and a list when its keys are 0, 1, 2…
"""

from __future__ import annotations

import re
from collections.abc import Callable

from b24sandbox.protocol import php
from b24sandbox.protocol.errors import RestError
from b24sandbox.protocol.registry import CommandLost, MethodCall, Paged, rest_method
from b24sandbox.state.recorder import Call, excerpt

LENGTH = 50
FORBIDDEN = ("batch", "download", "upload")
_REFERENCE = re.compile(r"\$result((?:\[[^\[\]]*\])+)")

Run = Callable[[MethodCall, str, Call], tuple[object, dict[str, object]]]


@rest_method("batch")
def _batch(call: MethodCall) -> object:
    """Only registered here so that it exists; the work is `run_batch`'s, outside the lock."""
    return None


def run_batch(call: MethodCall, outer: Call, run: Run) -> dict[str, object]:
    """The commands in their order, each as a call of its own; `halt` stops after the first that fails."""
    maps: dict[str, dict[str, object]] = {
        name: {} for name in ("result", "result_error", "result_total", "result_next", "result_time")
    }
    commands = php.items(call.params.get("cmd"))
    halt = php.truthy(call.params.get("halt"))
    for place, (key, command) in enumerate(commands):
        if not isinstance(command, str):
            continue
        try:
            _one(call, outer, run, place, key, command, maps)
        except RestError as error:
            maps["result_error"][key] = error.body()
            if halt:
                break
    return {name: php.encoded(each) for name, each in maps.items()}


def _one(
    call: MethodCall, outer: Call, run: Run, place: int, key: str, command: str, maps: dict[str, dict[str, object]]
) -> None:
    if place >= LENGTH:
        raise RestError("ERROR_BATCH_LENGTH_EXCEEDED", "Max batch length exceeded", 400)
    path, _, query = command.partition("?")
    name = path.strip().lower().removesuffix(".json")
    if name in FORBIDDEN:
        raise RestError("ERROR_BATCH_METHOD_NOT_ALLOWED", "Method is not allowed for batch usage", 400)
    params = {each: substitute(value, maps["result"]) for each, value in php.parse(query).items()}
    world = call.world
    record = world.recorder.begin(call.portal.index, name, world.clock.now(), batch=outer.n)
    record.user, record.asked, record.auth = call.user.id, excerpt(query), outer.auth
    inner = MethodCall(world, call.portal, call.user, call.scope, params, call.process, call.token)
    try:
        result, time = run(inner, name, record)
    except CommandLost:
        world.recorder.end(record, world.clock.now(), 200)
        return
    except RestError as error:
        world.recorder.end(record, world.clock.now(), error.status(call.portal.switches.dialect), error.code)
        raise
    finally:
        if record.end is None:
            world.recorder.end(record, world.clock.now(), 504)
    world.recorder.end(record, world.clock.now(), 200)
    if isinstance(result, Paged):
        if result.total is not None:
            maps["result_total"][key] = result.total
        if result.next is not None:
            maps["result_next"][key] = result.next
        result = result.rows
    maps["result"][key] = result
    maps["result_time"][key] = time


def substitute(value: object, results: dict[str, object]) -> object:
    """`$result[key][field]` replaced by what an earlier command answered; alone it keeps its type."""
    if php.is_array(value):
        changed = {key: substitute(each, results) for key, each in php.items(value)}
        return php.listed(changed)
    text = php.text(value)
    if alone := _REFERENCE.fullmatch(text):
        return _look_up(alone[1], results)
    return _REFERENCE.sub(lambda found: php.text(_look_up(found[1], results)), text) if "$result[" in text else value


def _look_up(path: str, results: dict[str, object]) -> object:
    node: object = results
    for name in path[1:-1].split("]["):
        node = dict(php.items(node)).get(name)
    return node
