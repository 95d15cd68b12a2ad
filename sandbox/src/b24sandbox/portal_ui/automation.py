"""The automation screen: rules that apps have registered, those a person has set up for deals, what came of them."""

from __future__ import annotations

from b24sandbox.protocol import php
from b24sandbox.protocol.automation import DIALOG, DIALOG_HEIGHT, dialog_options, named
from b24sandbox.state.world import Portal, Rule, World

SHOWN = 20


def screen(world: World, portal: Portal, lang: str) -> dict[str, object]:
    """All that the page needs: `robots` to choose from, `rules` set up, the last `workflows`."""
    robots = {
        (app, code): _robot(world, portal, app, robot, lang)
        for app, installation in portal.installations.items()
        for code, robot in installation.robots.items()
        if installation.finished
    }
    return {
        "placement": DIALOG,
        "height": DIALOG_HEIGHT,
        "robots": list(robots.values()),
        "rules": [_rule(portal, rule, robots.get((rule.app, rule.code))) for rule in portal.rules],
        "workflows": [
            {
                "document": each.document,
                "code": each.code,
                "state": each.state,
                "log": list(each.log),
                "returned": dict(each.returned),
            }
            for each in reversed(portal.workflows[-SHOWN:])
        ],
    }


def _robot(world: World, portal: Portal, app: int, robot: dict[str, object], lang: str) -> dict[str, object]:
    return {
        "app": app,
        "code": robot["CODE"],
        "title": f"[{world.applications[app].title}] {named(robot['NAME'], lang)}",
        "description": named(robot.get("DESCRIPTION"), lang),
        "handler": robot["PLACEMENT_HANDLER"] if php.text(robot.get("USE_PLACEMENT")) == "Y" else "",
        "options": dialog_options(portal, robot, None),
        "asks_to_wait": robot.get("USE_SUBSCRIPTION") in (None, ""),
        "properties": [_property(name, dict(php.items(about)), lang) for name, about in php.items(robot["PROPERTIES"])],
    }


def _property(name: str, about: dict[str, object], lang: str) -> dict[str, object]:
    return {
        "name": name,
        "title": named(about["Name"], lang),
        "type": about["Type"],
        "multiple": php.text(about.get("Multiple")) in ("Y", "1"),
        "required": php.text(about.get("Required")) in ("Y", "1"),
        "choices": php.items(about.get("Options")),
        "default": about.get("Default"),
    }


def _rule(portal: Portal, rule: Rule, robot: dict[str, object] | None) -> dict[str, object]:
    installation = portal.installations.get(rule.app)
    registered = installation.robots.get(rule.code) if installation else None
    return {
        "id": rule.id,
        "app": rule.app,
        "code": rule.code,
        "title": robot["title"] if robot else rule.code,
        "gone": robot is None,
        "waits": rule.waits,
        "values": dict(rule.values),
        "options": dialog_options(portal, registered, rule) if registered else {},
    }
