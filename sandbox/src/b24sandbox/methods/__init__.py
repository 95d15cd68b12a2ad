"""What a portal's REST offers, a module for each area. Importing this package registers all of it."""

from b24sandbox.methods import (
    absent_modules,
    app,
    automation,
    bindings,
    crm,
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
    "absent_modules",
    "app",
    "automation",
    "bindings",
    "crm",
    "notifications",
    "offline_events",
    "page_list",
    "pages",
    "site_extras",
    "sites",
    "trash",
    "users",
]
