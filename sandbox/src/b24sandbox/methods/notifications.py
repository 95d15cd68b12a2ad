"""Section 12: notices that an app puts under a person's bell.

Nobody checks who may notify whom. A notice with the TAG of an earlier one replaces it for that recipient only; deleting
by TAG or SUB_TAG removes this app's notices for everybody. Tags of two apps never meet.
"""

from __future__ import annotations

import json

from b24sandbox.protocol import php
from b24sandbox.protocol.errors import RestError
from b24sandbox.protocol.registry import MethodCall, rest_method
from b24sandbox.state.clock import iso
from b24sandbox.state.world import Notice

LONGEST = 20_000
LISTED = 50
OWN_CHAT = 1000
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
    if not owner and not number:
        raise RestError("ACCESS_DENIED", "Access denied! Client ID not specified", 403)

    def goes(each: Notice) -> bool:
        if number:
            return each.id == number and each.owner == owner
        return each.owner == owner and (each.tag == tag if tag else each.sub_tag == sub_tag)

    left = [each for each in kept if not goes(each)]
    gone = len(kept) - len(left)
    kept[:] = left
    return gone > 0


@rest_method("im.notify.get", "im")
def get(call: MethodCall) -> dict[str, object]:
    """The caller's own notices, newest first."""
    mine = _mine(call)
    limit = php.integer(call.get("LIMIT")) or LISTED
    return {
        "total_count": len(mine),
        "total_unread_count": sum(not each.read for each in mine),
        "chat_id": OWN_CHAT + call.user.id,
        "notifications": [_row(each) for each in mine[:limit]],
        "users": [],
    }


@rest_method("im.notify.history.search", "im")
def history(call: MethodCall) -> dict[str, object]:
    """The caller's notices that hold a text."""
    text = call.text("SEARCH_TEXT").casefold()
    return {"notifications": [_row(each) for each in _mine(call) if text in each.message.casefold()], "users": []}


@rest_method("im.notify.schema.get", "im")
def schema(call: MethodCall) -> dict[str, object]:
    """Which kinds of notices modules have: here those of apps alone."""
    return {"rest": {"NAME": "Applications", "MODULE_ID": "rest", "LIST": [{"ID": "rest_notify", "NAME": "Notices"}]}}


@rest_method("im.notify.read", "im")
def read(call: MethodCall) -> bool:
    """One notice, and without ONLY_CURRENT=Y all later ones, are read; ACTION=N makes them unread."""
    number, only = php.integer(call.get("ID")), call.text("ONLY_CURRENT").upper() == "Y"
    for each in _mine(call):
        if each.id == number or (each.id > number and not only):
            each.read = _reads(call)
    return True


@rest_method("im.notify.read.list", "im")
def read_list(call: MethodCall) -> bool:
    wanted = {php.integer(each) for each in php.values(call.get("IDS") or [])}
    for each in _mine(call):
        if each.id in wanted:
            each.read = _reads(call)
    return True


@rest_method("im.notify.read.all", "im")
def read_all(call: MethodCall) -> dict[str, object]:
    for each in _mine(call):
        each.read = True
    return {"result": True}


@rest_method("im.notify.answer", "im")
def answer(call: MethodCall) -> object:
    """Only notices that ask something can be answered; apps cannot make such."""
    raise RestError("ANSWER_ERROR", "Notification cannot be answered", 400)


@rest_method("im.notify.confirm", "im")
def confirm(call: MethodCall) -> object:
    raise RestError("CONFIRM_ERROR", "Notification cannot be confirmed", 400)


def _reads(call: MethodCall) -> bool:
    return call.get("ACTION") is None or call.text("ACTION").upper() in ("Y", "1", "TRUE")


def _mine(call: MethodCall) -> list[Notice]:
    return [each for each in reversed(call.portal.notifications) if each.user == call.user.id]


def _row(notice: Notice) -> dict[str, object]:
    return {
        "id": notice.id,
        "chat_id": OWN_CHAT + notice.user,
        "author_id": notice.author,
        "date": iso(notice.at),
        "notify_type": 4 if notice.author == 0 else 2,
        "notify_module": "rest",
        "notify_event": "rest_notify",
        "notify_tag": notice.tag,
        "notify_sub_tag": notice.sub_tag,
        "notify_title": notice.title,
        "notify_read": "Y" if notice.read else "N",
        "setting_name": "rest|rest_notify",
        "text": f"{notice.title}\n{notice.message}" if notice.title else notice.message,
    }


def _owner(call: MethodCall) -> str:
    """Whose tags these are: the app's client_id; a webhook may say one, and cannot delete by tag without."""
    if call.app >= 0:
        return call.card.client_id
    client_id = call.text("CLIENT_ID")
    return f"webhook {client_id}" if client_id else ""
