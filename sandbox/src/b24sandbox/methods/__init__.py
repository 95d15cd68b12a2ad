"""What a portal's REST offers, a module for each area. Importing this package registers all of it."""

from b24sandbox.methods import (
    app,
    automation,
    bindings,
    crm,
    gated,
    notifications,
    offline_events,
    page_list,
    pages,
    site_extras,
    sites,
    trash,
    users,
)

__all__ = [
    "app",
    "automation",
    "bindings",
    "crm",
    "gated",
    "notifications",
    "offline_events",
    "page_list",
    "pages",
    "site_extras",
    "sites",
    "trash",
    "users",
]
