"""Methods of modules the stand-in does not have, there for what they refuse with: clients meet that anywhere."""

from __future__ import annotations

from b24sandbox.methods.lists import paged
from b24sandbox.protocol import php
from b24sandbox.protocol.errors import RestError
from b24sandbox.protocol.registry import MethodCall, rest_method

TYPE_FIELDS = ("id", "title", "code", "entityTypeId", "createdBy", "createdTime", "updatedTime")


@rest_method("crm.type.list", "crm")
def types(call: MethodCall) -> object:
    """Smart processes: none here; a filter by a field they do not have is INVALID_ARG_VALUE."""
    for key, _ in php.items(call.get("filter")):
        if key.lstrip("!=<>@%") not in TYPE_FIELDS:
            raise RestError("INVALID_ARG_VALUE", f"Invalid filter: field '{key}' is not allowed in filter", 400)
    return paged(call, [], TYPE_FIELDS)


@rest_method("im.message.add", "im")
def message(call: MethodCall) -> object:
    """There are no chats: every one is somebody else's."""
    if not call.text("DIALOG_ID"):
        raise RestError("DIALOG_ID_EMPTY", "Dialog ID can't be empty", 400)
    if not call.text("MESSAGE"):
        raise RestError("MESSAGE_EMPTY", "Message can't be empty", 400)
    raise RestError("ACCESS_ERROR", "You do not have access to the specified dialog", 400)


@rest_method("crm.item.delete", "crm")
def item(call: MethodCall) -> object:
    """There are no items of smart processes."""
    raise RestError("NOT_FOUND", "Item not found", 400)
