"""What a portal of ours can be told to be like: one switch for each thing that differs between real portals, or that
nobody could establish (section 10). Each has a sentence on what a real portal does then.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from sandbox.errors import Dialect


def switch(default: object, words: str, *choices: str) -> Any:
    """A switch with its default, a sentence for the control panel, and its choices where it has a few."""
    return field(default=default, metadata={"words": words, "choices": choices})  # Any: a field stands for its value


@dataclass
class Switches:
    dialect: Dialect = switch(
        "source",
        "Which statuses go with the codes: the module source's, the documentation's or the SDK's.",
        "source",
        "docs",
        "sdk",
    )
    self_hosted: bool = switch(False, "A self-hosted portal: no limits, no `operating`, licence xx_selfhosted.")
    deleted: bool = switch(
        False, "The public part is closed: every call answers PORTAL_DELETED; the data is still there."
    )
    rest_in_plan: bool = switch(True, "Off: the tariff has no REST; the frame opens, calls answer ACCESS_DENIED.")
    payment_expired: bool = switch(False, "The app's paid period is over: PAYMENT_REQUIRED, and events are not sent.")
    overload: bool = switch(False, "Bitrix24 has held the app back by hand: OVERLOAD_LIMIT until support lifts it.")
    offline: bool = switch(False, "The portal cannot reach the authorization server: CONNECTION_ERROR, no events.")
    app_active: bool = switch(True, "Off: the app is switched off in the portal: APPLICATION_NOT_FOUND.")
    landing_module: bool = switch(True, "Off: an old portal without Sites: ERROR_METHOD_NOT_FOUND for landing.*")
    permissions_feature: bool = switch(
        True,
        "Off: the tariff has no site permissions: everybody may do everything, getRights answers FEATURE_NOT_AVAIL.",
    )
    sites_for_admins_only: bool = switch(False, "Sites are open to administrators only: ACCESS_DENIED for the others.")
    token_cache_seconds: int = switch(0, "How long a checked token is remembered, refusals too; a real portal: 3600.")
    refresh_takes_new_scopes: bool = switch(True, "Whether a renewed token has scopes granted since.")
    dead_token_code: str = switch(
        "expired_token", "What an access token answers whose refresh token was used.", "expired_token", "invalid_token"
    )
    public_date: str = switch(
        "text", "DATE_PUBLIC as the documentation shows it, or {} as the source prints it.", "text", "object"
    )
    vibe_type: str = switch("VIBE", "What the type of a main-page site is called.", "VIBE", "MAINPAGE")
    publish_refusal: str = switch("", "A code with which every publication is refused, such as PHONE_NOT_CONFIRMED.")
    page_limit: int = switch(
        0, "How many pages the tariff lets be published; 0 is no limit. PUBLIC_PAGE_REACHED beyond."
    )
    site_limit: int = switch(
        0, "How many sites the tariff lets be published; 0 is no limit. PUBLIC_SITE_REACHED beyond."
    )
    html_allowed: bool = switch(True, "Off: pages with own HTML are refused: PUBLIC_HTML_DISALLOWED[L…].")
    webhook_needs_https: bool = switch(False, "On: a webhook over http answers INVALID_REQUEST, as the source has it.")
    confirm_methods: str = switch("", "A method an administrator has yet to confirm: METHOD_CONFIRM_WAITING.")
    bucket: str = switch(
        "off",
        "Leaky bucket per source address: 50 and 2 a second, or 250 and 5. Beyond: QUERY_LIMIT_EXCEEDED.",
        "off",
        "50/2",
        "250/5",
    )
    operating_limit: int = switch(
        0, "Seconds of operating time a method has in ten minutes; real: 480, source: 420; 0 is off."
    )
    request_seconds: int = switch(60, "After how many seconds the front end cuts a request with 504; 0 is never.")
    paced: bool = switch(False, "On: methods take the time the documentation measured (an unpublish 1.2 s).")
    scope_in_events: str = switch(
        "comma", "How scopes are separated in events: samples have commas, one table spaces.", "comma", "space"
    )
    payment_token: bool = switch(
        True, "Off: ONAPPPAYMENT comes without application_token, as in the documentation's sample."
    )
    options_for_default: bool = switch(True, "Off: a DEFAULT frame carries no PLACEMENT_OPTIONS.")

    def set(self, name: str, value: object) -> None:
        """Turn one switch; raises ValueError when it is unknown or cannot be set to this."""
        found = {each.name: each for each in fields(self)}.get(name)
        if found is None:
            raise ValueError(f"no switch named {name}")
        choices = found.metadata["choices"]
        if choices and value not in choices:
            raise ValueError(f"{name} is one of {', '.join(choices)}")
        kind = type(found.default)
        if kind is bool and not isinstance(value, bool):
            raise ValueError(f"{name} is true or false")
        setattr(self, name, kind(value))

    def described(self) -> list[dict[str, object]]:
        """Every switch with its words, for the control panel."""
        return [
            {
                "name": each.name,
                "value": getattr(self, each.name),
                "default": each.default,
                "words": each.metadata["words"],
                "choices": list(each.metadata["choices"]),
            }
            for each in fields(self)
        ]
