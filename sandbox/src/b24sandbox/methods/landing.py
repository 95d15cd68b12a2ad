"""Section 5.1: what all methods of Sites share: access to the section, parameters by exact name, the kind of site.

A page that may not be read does not exist: LANDING_NOT_EXIST, never a hint.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from b24sandbox.protocol import php
from b24sandbox.protocol.errors import RestError, argument, landing
from b24sandbox.protocol.registry import MethodCall, rest_method
from b24sandbox.state.sites import DEFAULT_KINDS, in_trash, rights
from b24sandbox.state.world import Page, Site

Body = Callable[..., object]
_NUMBER = re.compile(r"\s*[+-]?\d+\s*")


def kind_of(scope: object) -> str:
    """The `scope` parameter as the source reads it: MAINPAGE only in capitals, unknown values as the default."""
    text = php.text(scope)
    if text == "MAINPAGE" or text.upper() == "VIBE":
        return "VIBE"
    return text.upper() if text.upper() in ("KNOWLEDGE", "GROUP") else ""


def kinds(call: MethodCall) -> tuple[str, ...]:
    """The site types this call may see. The kind is a static of the PHP process: it leaks within a batch (4.4)."""
    if call.params.get("scope") is not None:
        kind = kind_of(call.params["scope"])
        call.process.kind = "" if kind == "GROUP" and not call.portal.switches.group_bases else kind
    return (call.process.kind,) if call.process.kind else DEFAULT_KINDS


def landing_method(
    name: str,
    required: tuple[str, ...] = (),
    arrays: tuple[str, ...] = (),
    mixed: tuple[str, ...] = (),
    numbers: tuple[str, ...] = (),
    cost: float = 0.03,
    wall: float = 0.1,
) -> Callable[[Body], Body]:
    """A method of scope `landing`: section access, then its parameters by exact name, then the body.

    required  null counts as missing
    arrays    must be arrays; `mixed` may be either, all others must be scalars
    numbers   declared as int in PHP: other text is a TYPE_ERROR
    """

    def add(body: Body) -> Body:
        @rest_method(name, "landing", cost=cost, wall=wall)
        def run(call: MethodCall) -> object:
            kinds(call)
            check_section(call)
            _check_params(call, required, arrays, mixed, numbers)
            return body(call)

        return body

    return add


def check_section(call: MethodCall) -> None:
    """5.1: guests, extranet users outside workgroups, and people without the section in their menu stay out."""
    user, switches = call.user, call.portal.switches
    outside = user.extranet and call.process.kind != "GROUP"
    if outside or not user.opens_sites or (switches.sites_for_admins_only and not user.admin):
        raise landing("ACCESS_DENIED", "Access denied.")


def _check_params(
    call: MethodCall,
    required: tuple[str, ...],
    arrays: tuple[str, ...],
    mixed: tuple[str, ...],
    numbers: tuple[str, ...],
) -> None:
    params = call.params
    missing = [name for name in required if params.get(name) is None]
    if missing:
        raise landing("MISSING_PARAMS", f"Not enough call parameters, missing: {', '.join(missing)}")
    for name in required:
        if name not in (*arrays, *mixed) and php.is_array(params[name]):
            raise wrong_type(call, name)
    for name in arrays:
        if params.get(name) is not None and not php.is_array(params[name]):
            raise wrong_type(call, name)
    for name in numbers:
        if params.get(name) is not None and not _NUMBER.fullmatch(php.text(params[name])):
            raise landing("TYPE_ERROR", f"Argument ${name} must be of type int, string given")


def wrong_type(call: MethodCall, name: str) -> RestError:
    """An array where a scalar is wanted, or the reverse: TYPE_ERROR; older portals ERROR_ARGUMENT."""
    words = f"The value of an argument '{name}' has an invalid type"
    return (
        argument(name, words) if call.portal.switches.type_error == "ERROR_ARGUMENT" else landing("TYPE_ERROR", words)
    )


def readable_page(call: MethodCall, lid: object) -> tuple[Page, Site]:
    """The page of that id if it is of the asked kind, not in the trash and readable; LANDING_NOT_EXIST otherwise."""
    page = call.portal.pages.get(php.integer(lid))
    if page is not None and not in_trash(call.portal, page):
        site = call.portal.sites[page.site_id]
        if site.type in kinds(call) and "read" in rights(call.portal, call.user, site):
            return page, site
    raise landing("LANDING_NOT_EXIST", "Landing not found")
