"""Section 6: the person, the app as the portal sees it, options, notifications."""

from __future__ import annotations

from sandbox import php
from sandbox.clock import iso
from sandbox.errors import RestError, argument
from sandbox.methods import Asked, Paged, rest_method
from sandbox.world import User

PAGE_SIZE = 50
EVENTS = ("ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL", "ONAPPPAYMENT", "ONAPPMETHODCONFIRM", "ONAPPTEST")
BASIC = ("user_basic", "user_brief", "user")


@rest_method("profile")
def profile(asked: Asked) -> dict[str, object]:
    """The caller without any scope: name, time zone, and whether they are an administrator."""
    user = asked.user
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
def current(asked: Asked) -> dict[str, object]:
    return described(asked.user, asked.scope)


@rest_method("user.get", *BASIC)
def user_get(asked: Asked) -> Paged:
    """A generic list with the paging of 4.3: 50 a page, `start` in, `next` and `total` out."""
    wanted = dict(php.items(asked.get("FILTER") or asked.get("filter")))
    ids = {php.text(each) for each in php.values(wanted.get("ID", asked.get("ID") or []))}
    after = php.integer(wanted.get(">ID"))
    users = [each for each in sorted(asked.portal.users.values(), key=lambda each: each.id) if each.id > after]
    users = [each for each in users if not ids or str(each.id) in ids]
    if php.text(asked.get("ORDER")).upper() == "DESC":
        users.reverse()
    start = max(php.integer(asked.get("start")), 0)
    rows = [described(each, asked.scope) for each in users[start : start + PAGE_SIZE]]
    return Paged(rows, len(users), start + PAGE_SIZE if start + PAGE_SIZE < len(users) else None)


@rest_method("user.admin")
def is_admin(asked: Asked) -> bool:
    return asked.user.admin


@rest_method("app.info")
def app_info(asked: Asked) -> dict[str, object]:
    """The portal's own word on the app: another shape than the authorization server's, and no proof (1.6)."""
    installation = asked.installation()
    switches = asked.portal.switches
    family = "selfhosted" if switches.self_hosted else "ent250"
    return {
        "ID": 5,
        "CODE": asked.world.application.client_id,
        "VERSION": installation.version,
        "STATUS": installation.status,
        "INSTALLED": installation.finished,
        "PAYMENT_EXPIRED": "Y" if switches.payment_expired else "N",
        "DAYS": None,
        "LANGUAGE_ID": asked.portal.lang,
        "LICENSE": f"{asked.portal.lang}_{family}",
        "LICENSE_TYPE": family,
        "LICENSE_FAMILY": family if switches.self_hosted else "ent",
    }


@rest_method("scope")
def scope(asked: Asked) -> list[str]:
    """The granted scopes; with `full` all that the portal has."""
    if php.truthy(asked.get("full")):
        return sorted({"app", "im", "landing", "placement", *BASIC})
    return list(asked.scope)


@rest_method("methods")
def methods(asked: Asked) -> list[str]:
    names = rest_method.methods.values()
    wanted = asked.text("scope")
    if wanted:
        return [each.name for each in names if wanted in each.scope]
    return [each.name for each in names if php.truthy(asked.get("full")) or _available(asked, each.scope)]


def _available(asked: Asked, needed: tuple[str, ...]) -> bool:
    return not needed or bool(set(needed) & set(asked.scope))


@rest_method("method.get")
def method_get(asked: Asked) -> dict[str, bool]:
    """Whether a method exists here, and whether the token's scope suffices for it."""
    found = rest_method.find(asked.text("name"), asked.portal)
    return {"isExisting": found is not None, "isAvailable": found is not None and _available(asked, found.scope)}


@rest_method("events")
def events(asked: Asked) -> list[str]:
    return list(EVENTS)


@rest_method("feature.get")
def feature(asked: Asked) -> dict[str, str]:
    if not asked.text("CODE"):
        raise RestError("CODE_EMPTY", "CODE can't be empty", 400)
    return {"value": f"{asked.portal.lang}_selfhosted" if asked.portal.switches.self_hosted else "Y"}


@rest_method("server.time")
def server_time(asked: Asked) -> str:
    return iso(asked.now)


def option_get(asked: Asked, kept: dict[str, object]) -> object:
    """One option, null when it is not there; without a name all of them, `[]` when there are none."""
    name = asked.text("option")
    return kept.get(name) if name else php.encoded(kept)


def option_set(asked: Asked, kept: dict[str, object]) -> bool:
    given = dict(php.items(asked.get("options")))
    if not given:
        raise argument("options", "Options cannot be empty")
    kept.update(given)
    return True


@rest_method("app.option.get")
def app_option_get(asked: Asked) -> object:
    return option_get(asked, asked.installation().options)


@rest_method("app.option.set")
def app_option_set(asked: Asked) -> bool:
    """Only an administrator sets the app's options."""
    asked.need_admin()
    return option_set(asked, asked.installation().options)


@rest_method("user.option.get")
def user_option_get(asked: Asked) -> object:
    asked.installation()
    return option_get(asked, asked.user.options)


@rest_method("user.option.set")
def user_option_set(asked: Asked) -> bool:
    asked.installation()
    return option_set(asked, asked.user.options)


@rest_method("im.notify.system.add", "im", cost=0.1)
def notify(asked: Asked) -> int:
    """A notification from the app; the same TAG replaces the one before."""
    user_id, message, tag = (
        php.integer(asked.get("USER_ID") or asked.get("TO")),
        asked.text("MESSAGE"),
        asked.text("TAG"),
    )
    if user_id <= 0:
        raise RestError("USER_ID_EMPTY", "User ID can't be empty", 400)
    if not message:
        raise RestError("MESSAGE_EMPTY", "Message can't be empty", 400)
    attach = asked.get("ATTACH")
    if attach is not None and len(str(attach)) > 60_000:
        raise RestError("ATTACH_OVERSIZE", "You have exceeded the maximum allowable size of attach", 400)
    if attach is not None and not php.is_array(attach):
        raise RestError("ATTACH_ERROR", "Incorrect attach params", 400)
    kept = asked.portal.notifications
    kept[:] = [each for each in kept if not (tag and each["tag"] == tag and each["user"] == user_id)]
    found = asked.portal.fresh_id()
    kept.append({"id": found, "user": user_id, "message": message, "tag": tag, "at": asked.now})
    return found
