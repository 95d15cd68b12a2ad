"""Section 12: notices that an app puts under a person's bell.

Nobody checks who may notify whom. A notice with the TAG of an earlier one replaces it for that recipient only; deleting
by TAG or SUB_TAG removes this app's notices for everybody. Tags of two apps never meet.
"""

from __future__ import annotations

import json

from b24sandbox.protocol import php
from b24sandbox.protocol.errors import RestError
from b24sandbox.protocol.registry import MethodCall, rest_method
from b24sandbox.state.world import Notice

LONGEST = 20_000
CUT = " (...)"
ATTACH_BYTES = 60_000


@rest_method("im.notify.system.add", "im", cost=0.1)
def system_add(call: MethodCall) -> object:
    """A notice without an author: the app's name stands above its text."""
    return _add(call, author=0)


@rest_method("im.notify.personal.add", "im", cost=0.1)
def personal_add(call: MethodCall) -> object:
    """A notice from the person whose token it is."""
    return _add(call, author=call.user.id)


@rest_method("im.notify", "im", cost=0.1)
def notify(call: MethodCall) -> object:
    """Either of the two by TYPE: USER unless SYSTEM is said."""
    return _add(call, author=0 if call.text("TYPE").upper() == "SYSTEM" else call.user.id)


def _add(call: MethodCall, author: int) -> object:
    """The notice's id; false for somebody who is not there; a time where the person keeps no notices (12.3)."""
    recipient = php.integer(call.get("USER_ID") or call.get("TO"))
    message = call.text("MESSAGE").strip()
    if recipient <= 0:
        raise RestError("USER_ID_EMPTY", "User ID can't be empty", 400)
    if not message:
        raise RestError("MESSAGE_EMPTY", "Message can't be empty", 400)
    attach = _attach(call.get("ATTACH"))
    user = call.portal.users.get(recipient)
    if user is None or not user.active:
        return False
    if not user.site_notices:
        return int(call.now)
    tag, owner = call.text("TAG"), _owner(call)
    kept = call.portal.notifications
    kept[:] = [each for each in kept if not (tag and (each.owner, each.tag, each.user) == (owner, tag, recipient))]
    notice = Notice(
        id=call.portal.fresh_id(),
        user=recipient,
        author=author,
        title=call.world.applications[call.app].title if author == 0 and call.app >= 0 else "",
        message=message if len(message) <= LONGEST else message[:LONGEST] + CUT,
        message_out=call.text("MESSAGE_OUT"),
        tag=tag,
        sub_tag=call.text("SUB_TAG"),
        at=call.now,
        owner=owner,
        attach=attach,
    )
    kept.append(notice)
    return notice.id


def _attach(given: object) -> object:
    """An attachment as an object; it may come as JSON text."""
    if given in (None, ""):
        return None
    if isinstance(given, str):
        try:
            given = json.loads(given)
        except ValueError:
            given = "no JSON"
    if not php.is_array(given):
        raise RestError("ATTACH_ERROR", "Incorrect attach params", 400)
    if len(json.dumps(given)) > ATTACH_BYTES:
        raise RestError("ATTACH_OVERSIZE", "You have exceeded the maximum allowable size of attach", 400)
    return given


@rest_method("im.notify.delete", "im", cost=0.05)
def delete(call: MethodCall) -> bool:
    """By ID, TAG or SUB_TAG; whether there was anything to delete."""
    number, tag, sub_tag = php.integer(call.get("ID")), call.text("TAG"), call.text("SUB_TAG")
    if not (number or tag or sub_tag):
        raise RestError("PARAMS_ERROR", "No params for delete notify", 400)
    owner, kept = _owner(call), call.portal.notifications

    def goes(each: Notice) -> bool:
        if number:
            return each.id == number and each.owner == owner
        return each.owner == owner and (each.tag == tag if tag else each.sub_tag == sub_tag)

    left = [each for each in kept if not goes(each)]
    gone = len(kept) - len(left)
    kept[:] = left
    return gone > 0


def _owner(call: MethodCall) -> str:
    """Whose tags these are: the app's client_id; a webhook has to say one."""
    if call.app >= 0:
        return call.card.client_id
    if not (client_id := call.text("CLIENT_ID")):
        raise RestError("ACCESS_DENIED", "Access denied! Client ID not specified", 403)
    return f"webhook {client_id}"
