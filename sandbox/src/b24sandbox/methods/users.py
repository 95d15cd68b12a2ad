"""Section 6: people: who asks, who else is there, and what an app keeps for a person."""

from __future__ import annotations

from b24sandbox.methods.options import application, option_get, option_set
from b24sandbox.protocol import php
from b24sandbox.protocol.registry import MethodCall, Paged, rest_method
from b24sandbox.state.world import User

PAGE_SIZE = 50
BASIC = ("user_basic", "user_brief", "user")


@rest_method("profile")
def profile(call: MethodCall) -> dict[str, object]:
    """The caller without any scope: name, time zone, and whether they are an administrator."""
    user = call.user
    return {
        "ID": str(user.id),
        "ADMIN": user.admin,
        "NAME": user.name,
        "LAST_NAME": user.last_name,
        "PERSONAL_GENDER": user.gender,
        "TIME_ZONE": user.time_zone,
    }


def described(user: User, scope: list[str]) -> dict[str, object]:
    """A user's fields; how many depends on the scope."""
    found: dict[str, object] = {
        "ID": str(user.id),
        "ACTIVE": user.active,
        "NAME": user.name,
        "LAST_NAME": user.last_name,
        "WORK_POSITION": user.position,
        "PERSONAL_GENDER": user.gender,
        "TIME_ZONE": user.time_zone,
        "USER_TYPE": "extranet" if user.extranet else "employee",
    }
    return found if "user_brief" in scope and not {"user", "user_basic"} & set(scope) else found | {"EMAIL": user.email}


@rest_method("user.current", *BASIC)
def current(call: MethodCall) -> dict[str, object]:
    return described(call.user, call.scope)


@rest_method("user.get", *BASIC)
def user_get(call: MethodCall) -> Paged:
    """A generic list with the paging of 4.3: 50 a page, `start` in, `next` and `total` out."""
    wanted = dict(php.items(call.get("FILTER") or call.get("filter")))
    ids = {php.text(each) for each in php.values(wanted.get("ID", call.get("ID") or []))}
    after = php.integer(wanted.get(">ID"))
    users = [each for each in sorted(call.portal.people, key=lambda each: each.id) if each.id > after]
    users = [each for each in users if not ids or str(each.id) in ids]
    if php.text(call.get("ORDER")).upper() == "DESC":
        users.reverse()
    start = max(php.integer(call.get("start")), 0)
    rows = [described(each, call.scope) for each in users[start : start + PAGE_SIZE]]
    return Paged(rows, len(users), start + PAGE_SIZE if start + PAGE_SIZE < len(users) else None)


@rest_method("user.admin")
def is_admin(call: MethodCall) -> bool:
    return call.user.admin


@rest_method("user.option.get")
def user_option_get(call: MethodCall) -> object:
    return option_get(call, _options(call))


@rest_method("user.option.set")
def user_option_set(call: MethodCall) -> bool:
    return option_set(call, _options(call))


def _options(call: MethodCall) -> dict[str, object]:
    return application(call).user_options.setdefault(call.user.id, {})
