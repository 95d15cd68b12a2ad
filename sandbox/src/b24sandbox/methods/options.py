"""Section 6: named values that an app keeps on the portal, for itself or for a person."""

from __future__ import annotations

from b24sandbox.protocol import php
from b24sandbox.protocol.errors import argument, denied
from b24sandbox.protocol.registry import MethodCall
from b24sandbox.state.world import Installation


def application(call: MethodCall) -> Installation:
    """The app whose options they are; a webhook has none: ACCESS_DENIED."""
    if (found := call.app_here) is None:
        raise denied("Access denied! Application context required")
    return found


def option_get(call: MethodCall, kept: dict[str, object]) -> object:
    """One option, null when it is not there; without a name all of them, `[]` when there are none."""
    name = call.text("option")
    return kept.get(name) if name else php.encoded(kept)


def option_set(call: MethodCall, kept: dict[str, object]) -> bool:
    given = dict(php.items(call.get("options")))
    if not given:
        raise argument("options", "Options cannot be empty")
    kept.update(given)
    return True
