"""Section 6: notices that an app puts under a person's bell."""

from __future__ import annotations

from b24sandbox.protocol import php
from b24sandbox.protocol.errors import RestError
from b24sandbox.protocol.registry import MethodCall, rest_method


@rest_method("im.notify.system.add", "im", cost=0.1)
def notify(call: MethodCall) -> int:
    """A notification from the app; the same TAG replaces the one before."""
    user_id, message, tag = (
        php.integer(call.get("USER_ID") or call.get("TO")),
        call.text("MESSAGE"),
        call.text("TAG"),
    )
    if user_id <= 0:
        raise RestError("USER_ID_EMPTY", "User ID can't be empty", 400)
    if not message:
        raise RestError("MESSAGE_EMPTY", "Message can't be empty", 400)
    attach = call.get("ATTACH")
    if attach is not None and len(str(attach)) > 60_000:
        raise RestError("ATTACH_OVERSIZE", "You have exceeded the maximum allowable size of attach", 400)
    if attach is not None and not php.is_array(attach):
        raise RestError("ATTACH_ERROR", "Incorrect attach params", 400)
    kept = call.portal.notifications
    kept[:] = [each for each in kept if not (tag and each["tag"] == tag and each["user"] == user_id)]
    found = call.portal.fresh_id()
    kept.append({"id": found, "user": user_id, "message": message, "tag": tag, "at": call.now})
    return found
