"""Section 6: people: who asks, who else is there, and what an app keeps for a person."""

from __future__ import annotations

import re
from dataclasses import replace

from b24sandbox.methods import userfields
from b24sandbox.methods.lists import paged
from b24sandbox.methods.options import application, option_get, option_set
from b24sandbox.protocol import php
from b24sandbox.protocol.errors import RestError
from b24sandbox.protocol.events import register_event
from b24sandbox.protocol.registry import MethodCall, Paged, rest_method
from b24sandbox.state.clock import iso
from b24sandbox.state.world import User

REGISTERED_DAYS = 400
WORDS = re.compile(r"[\s@,;]+")
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


PLAIN = ("ID", "XML_ID", "ACTIVE", "NAME", "LAST_NAME", "SECOND_NAME", "WORK_POSITION", "PERSONAL_GENDER",
         "PERSONAL_PHOTO", "TIME_ZONE", "IS_ONLINE", "USER_TYPE", "UF_DEPARTMENT", "UF_EMPLOYMENT_DATE")  # fmt: skip
CONTACT = ("EMAIL", "PERSONAL_BIRTHDAY", "PERSONAL_PROFESSION", "PERSONAL_PHONE", "PERSONAL_MOBILE", "WORK_PHONE",
           "LAST_LOGIN", "DATE_REGISTER", "TIMESTAMP_X", "LAST_ACTIVITY_DATE")  # fmt: skip
FIELDS = (*PLAIN, *CONTACT)
SEARCHED = ("NAME", "LAST_NAME", "EMAIL", "WORK_POSITION", "PERSONAL_PROFESSION")
KNOWN = {  # what of a REST row is an attribute of the person here
    "NAME": "name", "LAST_NAME": "last_name", "EMAIL": "email", "WORK_POSITION": "position",
    "PERSONAL_GENDER": "gender", "TIME_ZONE": "time_zone",
}  # fmt: skip


def described(user: User, scope: list[str], own: list[str], now: float) -> dict[str, object]:
    """A person's fields; how many depends on the scope: `user_brief` has none to reach them by."""
    found: dict[str, object] = {
        **dict.fromkeys(FIELDS, ""),
        "ID": str(user.id),
        "XML_ID": str(user.id),
        "ACTIVE": user.active,
        "NAME": user.name,
        "LAST_NAME": user.last_name,
        "WORK_POSITION": user.position,
        "PERSONAL_GENDER": user.gender,
        "TIME_ZONE": user.time_zone,
        "IS_ONLINE": "N",
        "USER_TYPE": "extranet" if user.extranet else "employee",
        "UF_DEPARTMENT": [1],
        "EMAIL": user.email,
        "LAST_LOGIN": iso(now) if user.signed_in else "",
        "DATE_REGISTER": iso(now - REGISTERED_DAYS * 86400),
        "TIMESTAMP_X": iso(now),
        "LAST_ACTIVITY_DATE": iso(now) if user.signed_in else "",
        **user.fields,
    }
    brief = "user_brief" in scope and not {"user", "user_basic"} & set(scope)
    names = PLAIN if brief else (*FIELDS, *own)
    return {name: found.get(name, "") for name in names}


def _rows(call: MethodCall) -> list[dict[str, object]]:
    """The people a list may show, as rows in order of their numbers: without the applications' own users."""
    own = userfields.names(call.portal, "USER")
    people = sorted(call.portal.people, key=lambda each: each.id)
    return [described(each, call.scope, own, call.now) for each in people]


@rest_method("user.current", *BASIC)
def current(call: MethodCall) -> dict[str, object]:
    return described(call.user, call.scope, userfields.names(call.portal, "USER"), call.now)


@rest_method("user.get", *BASIC)
def user_get(call: MethodCall) -> Paged:
    """A generic list with the paging of 4.3; `sort` and a plain `order` are its older way of saying the order."""
    return _listed(call, _rows(call))


@rest_method("user.search", *BASIC)
def search(call: MethodCall) -> Paged:
    """The same over those whose name, address or position has every word of FIND in it."""
    given = dict(php.items(call.get("FILTER")))
    words = (php.text(given.get("FIND")) or call.text("FIND")).casefold().split()
    rows = _rows(call)
    return _listed(call, [row for row in rows if _matches(row, words)])


def _matches(row: dict[str, object], words: list[str]) -> bool:
    """Whether each word begins one of the words by which a person is found."""
    there = WORDS.split(" ".join(php.text(row.get(name)) for name in SEARCHED).casefold())
    return all(any(each.startswith(word) for each in there) for word in words)


def _listed(call: MethodCall, rows: list[dict[str, object]]) -> Paged:
    names = tuple(rows[0]) if rows else FIELDS
    params = {key.lower(): value for key, value in call.params.items()}
    conditions = {**dict(php.items(params.get("filter")))}
    if params.get("id"):
        conditions["ID"] = params["id"]
    order = params.get("order")
    if order is not None and not php.is_array(order):
        order = {php.text(params.get("sort")) or "ID": order}
    asked = replace(call, params={"filter": conditions, "order": order or {"ID": "ASC"}, "start": params.get("start")})
    return paged(asked, rows, names)


@rest_method("user.fields", *BASIC)
def fields(call: MethodCall) -> dict[str, str]:
    own = userfields.names(call.portal, "USER")
    return {name: name.replace("_", " ").capitalize() for name in (*FIELDS, *own)}


@rest_method("user.add", "user")
def add(call: MethodCall) -> int:
    """Invite a person: who never came is there all the same, and cannot be asked about anything."""
    call.need_admin()
    given = _given(call)
    email = php.text(given.get("EMAIL"))
    if not email:
        raise RestError("ERROR_CORE", "no_email", 400)
    if email in {each.email for each in call.portal.users.values()}:
        raise RestError("ERROR_CORE", "user_already_exists", 400)
    number = max(call.portal.users) + 1
    call.portal.users[number] = User(number, "", "", f"user{number}", email, signed_in=False)
    call.portal.default_rights[number] = ["read"]
    _change(call.portal.users[number], given)
    call.emit("ONUSERADD", {"ID": number, "EMAIL": email})
    return number


@rest_method("user.update", "user")
def update(call: MethodCall) -> bool:
    given = _given(call)
    user = call.portal.users.get(php.integer(given.get("ID")))
    if user is None or user.system:
        raise RestError("ERROR_CORE", "User not found", 400)
    if user.id != call.user.id:
        call.need_admin()
    _change(user, given)
    return True


def _given(call: MethodCall) -> dict[str, object]:
    """The fields of a person stand beside each other in a call, or together in `fields`."""
    return {
        key.upper(): value for key, value in (dict(php.items(call.params.get("fields"))) or dict(call.params)).items()
    }


def _change(user: User, given: dict[str, object]) -> None:
    if "ACTIVE" in given:
        user.active = given["ACTIVE"] is True or php.text(given["ACTIVE"]).upper() in ("Y", "1", "TRUE")
    for name, value in given.items():
        if name in KNOWN:
            setattr(user, KNOWN[name], php.text(value))
        elif name not in ("ID", "ACTIVE") and (name in FIELDS or name.startswith("UF_")):
            user.fields[name] = value


register_event("ONUSERADD", "user")
userfields.register("user", ("user.userfield", "user"), "USER", "UF_USR_")


@rest_method("user.access")
def access(call: MethodCall) -> bool:
    """Whether the caller holds any of these access codes: themselves, everybody signed in, administrators."""
    mine = {f"U{call.user.id}", "AU", "G2", *(("G1",) if call.user.admin else ())}
    return bool(mine & set(map(php.text, php.values(call.get("ACCESS") or []))))


@rest_method("access.name")
def access_name(call: MethodCall) -> dict[str, object]:
    """What access codes stand for."""
    people = {f"U{each.id}": ("user", each.full_name) for each in call.portal.people}
    groups = {"AU": ("other", "All authorized users"), "G1": ("group", "Administrators"), "G2": ("group", "All users")}
    names = people | groups
    wanted = [code for code in map(php.text, php.values(call.get("ACCESS") or [])) if code in names]
    return {code: {"provider_id": names[code][0], "provider": "", "name": names[code][1]} for code in wanted}


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
