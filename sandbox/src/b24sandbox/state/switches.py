"""What a portal of ours can be told to be like: one switch for each thing that differs between real portals, or that
nobody could establish. Each has a sentence on what a real portal does then.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Literal, get_args, get_type_hints

Dialect = Literal["source", "docs", "sdk"]


@dataclass
class Switches:
    """The sentence of each stands with its type, for the control panel."""

    dialect: Annotated[
        Dialect, "Which statuses go with the codes: the module source's, the documentation's or the SDK's."
    ] = "source"
    second_server: Annotated[
        bool, "On: a region (by, kz, am …) whose frames, events and callbacks name the second authorization server."
    ] = False
    self_hosted: Annotated[bool, "A self-hosted portal: no limits, no `operating`, licence xx_selfhosted."] = False
    deleted: Annotated[
        bool, "The public part is closed: every call answers PORTAL_DELETED; the data is still there."
    ] = False
    rest_in_plan: Annotated[bool, "Off: the tariff has no REST; the frame opens, calls answer ACCESS_DENIED."] = True
    payment_expired: Annotated[bool, "The app's paid period is over: PAYMENT_REQUIRED, and events are not sent."] = (
        False
    )
    overload: Annotated[bool, "Bitrix24 has held the app back by hand: OVERLOAD_LIMIT until support lifts it."] = False
    offline: Annotated[bool, "The portal cannot reach the authorization server: CONNECTION_ERROR, no events."] = False
    app_active: Annotated[bool, "Off: the app is switched off in the portal: APPLICATION_NOT_FOUND."] = True
    landing_module: Annotated[bool, "Off: an old portal without Sites: ERROR_METHOD_NOT_FOUND for landing.*"] = True
    permissions_feature: Annotated[
        bool,
        "Off: the tariff has no site permissions: everybody may do everything, getRights answers FEATURE_NOT_AVAIL.",
    ] = True
    sites_for_admins_only: Annotated[bool, "Sites are open to administrators only: ACCESS_DENIED for the others."] = (
        False
    )
    group_bases: Annotated[bool, "Off: the tariff has no knowledge bases of workgroups: scope GROUP is ignored."] = True
    token_cache_seconds: Annotated[
        int, "How long a checked token is remembered, refusals too; a real portal: 3600."
    ] = 0
    refresh_takes_new_scopes: Annotated[bool, "Whether a renewed token has scopes granted since."] = True
    dead_token_code: Annotated[
        Literal["expired_token", "invalid_token"], "What an access token answers whose refresh token was used."
    ] = "expired_token"
    public_date: Annotated[
        Literal["text", "object"], "DATE_PUBLIC as the documentation shows it, or {} as the source prints it."
    ] = "text"
    vibe_type: Annotated[Literal["VIBE", "MAINPAGE"], "What the type of a main-page site is called."] = "VIBE"
    publish_refusal: Annotated[str, "A code with which every publication is refused, such as PHONE_NOT_CONFIRMED."] = ""
    page_limit: Annotated[
        int, "How many pages the tariff lets be published; 0 is no limit. PUBLIC_PAGE_REACHED beyond."
    ] = 0
    site_limit: Annotated[
        int, "How many sites the tariff lets be published; 0 is no limit. PUBLIC_SITE_REACHED beyond."
    ] = 0
    html_allowed: Annotated[bool, "Off: pages with own HTML are refused: PUBLIC_HTML_DISALLOWED[L…]."] = True
    webhook_needs_https: Annotated[bool, "On: a webhook over http answers INVALID_REQUEST, as the source has it."] = (
        False
    )
    confirm_methods: Annotated[str, "A method an administrator has yet to confirm: METHOD_CONFIRM_WAITING."] = ""
    bucket: Annotated[
        Literal["off", "50/2", "250/5"],
        "Leaky bucket per source address: 50 and 2 a second, or 250 and 5. Beyond: QUERY_LIMIT_EXCEEDED.",
    ] = "off"
    operating_limit: Annotated[
        int, "Seconds of operating time a method has in ten minutes; real: 480, source: 420; 0 is off."
    ] = 0
    request_seconds: Annotated[int, "After how many seconds the front end cuts a request with 504; 0 is never."] = 60
    whole_seconds: Annotated[
        bool, "On: a newer server, whose `duration` counts from the beginning of the second in which a call began."
    ] = False
    paced: Annotated[bool, "On: methods take the time the documentation measured (an unpublish 1.2 s)."] = False
    user_ready: Annotated[
        Literal["after", "before", "off"],
        "ONAPPUSERREADY comes after ONAPPINSTALL, before it, or not at all (a portal older than September 2026).",
    ] = "after"
    update_event: Annotated[bool, "Off: an update of the app sends no ONAPPUPDATE, as the source has it."] = True
    install_event_after_update: Annotated[
        bool, "On: an app with an installer gets ONAPPINSTALL after an update too, as before rest 26.800."
    ] = False
    type_error: Annotated[
        Literal["TYPE_ERROR", "ERROR_ARGUMENT"],
        "What a landing parameter of a wrong type answers; older: ERROR_ARGUMENT.",
    ] = "TYPE_ERROR"
    denied_for_admins: Annotated[bool, "On: an administrator's getRights has `denied` beside the other codes."] = False
    webhook_app_info: Annotated[
        Literal["scope", "denied"],
        "app.info by webhook: scopes and licence as SDKs see it live, or ACCESS_DENIED as the documentation says.",
    ] = "scope"
    site_publication: Annotated[
        Literal["active", "all"],
        "landing.site.publication leaves pages that are down as they are, as documented, or puts all up (source).",
    ] = "active"
    scope_in_events: Annotated[
        Literal["comma", "space"], "How scopes are separated in events: samples have commas, one table spaces."
    ] = "comma"
    payment_token: Annotated[
        bool, "Off: ONAPPPAYMENT comes without application_token, as in the documentation's sample."
    ] = True
    options_for_default: Annotated[bool, "Off: a DEFAULT frame carries no PLACEMENT_OPTIONS."] = True

    def set(self, name: str, value: object) -> None:
        """Turn one switch; raises ValueError when it is unknown or cannot be set to this."""
        kind = _kinds().get(name)
        if kind is None:
            raise ValueError(f"no switch named {name}")
        if choices := get_args(kind):
            if value not in choices:
                raise ValueError(f"{name} is one of {', '.join(choices)}")
        elif not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"{name} is of type {kind.__name__}")
        setattr(self, name, value)

    def described(self) -> list[dict[str, object]]:
        """Every switch with its words, for the control panel."""
        hints, kinds = get_type_hints(Switches, include_extras=True), _kinds()
        return [
            {
                "name": each.name,
                "value": getattr(self, each.name),
                "default": each.default,
                "words": hints[each.name].__metadata__[0],
                "choices": list(get_args(kinds[each.name])),
            }
            for each in fields(self)
        ]


def _kinds() -> dict[str, type]:
    """What each switch can be set to: a plain type, or a Literal of its choices."""
    return get_type_hints(Switches)
