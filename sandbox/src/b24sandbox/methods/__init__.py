"""What a portal's REST offers, a module for each area. Importing this package registers all of it."""

from b24sandbox.methods import app, bindings, notifications, page_list, pages, sites, trash, users

__all__ = ["app", "bindings", "notifications", "page_list", "pages", "sites", "trash", "users"]
