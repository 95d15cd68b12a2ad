"""The pages of a portal's own address: the portal with the app in it, Sites, the Market, public pages, the panel.

`answer` is the whole interface: given a request it returns the page, or None when the path is none of ours.

| path | what |
|---|---|
| / | the app in the portal; `user`, `lang`, `theme`, `view`, `app`, `placement`, `options` choose how |
| /marketplace/app/<name>/, /marketplace/view/<name>/ | the same by a link of an app, whose parameters it gets |
| /sites/ | the sites a person may read; `site`, `lid` open the settings, `placement` the app's item in them |
| /sites/site/<site>/view/<lid>/ | the editor, as a real portal has it: leads to the page's settings here |
| /sites/settings | the slider's content, asked by the script |
| /section/crm | automation rules for deals |
| /market/, /section/<name> | the app's card; what a portal has and the stand-in has not |
| /pages/<lid> | what a visitor of the page's public address sees |
| /panel | the control panel |
| /_standin/static/<file> | styles, scripts, icons |
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment, FileSystemLoader, select_autoescape

from b24sandbox.portal_ui import automation, sites
from b24sandbox.portal_ui.visit import Visit
from b24sandbox.portal_ui.words import LANGUAGES, RIGHT_TO_LEFT, SECTIONS, html_lang, words
from b24sandbox.protocol.frame import OURS, link_of
from b24sandbox.server.http import Request, Response, page
from b24sandbox.state.sites import NO_PREVIEW
from b24sandbox.state.world import Portal, User, World

HERE = Path(__file__).parent
STATIC = "/_standin/static/"
EDITOR = re.compile(r"/sites/site/([0-9]+)/view/([0-9]+)/?", re.ASCII)  # the URI of 2.3
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
}

_pages = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=select_autoescape(), trim_blocks=True, lstrip_blocks=True
)
_pages.globals["static"] = lambda name: f"{STATIC}{name}"


def answer(world: World, portal: Portal, request: Request) -> Response | None:
    """The page for this request, None when the path is somebody else's."""
    if request.verb not in ("GET", "HEAD"):
        return None
    if request.path.startswith(STATIC):
        return _static(request.path.removeprefix(STATIC))
    query = {name: values[-1] for name, values in parse_qs(request.query, keep_blank_values=True).items()}
    visit = Visit(world, portal, request.path, query, link_of(world, request.path, request.query))
    with world.lock:
        shown = _shown(visit)
    if shown is not None:
        origins = sorted({card.url.rstrip("/") for card in world.applications})
        shown.headers["Content-Security-Policy"] = _policy(" ".join(origins), world.control)
        shown.headers["Cache-Control"] = "no-store"
    return shown


def _shown(visit: Visit) -> Response | None:
    exact: dict[str, Callable[[Visit], Response]] = {
        "/": _app,
        "/sites/": _sites,
        "/sites/settings": _settings,
        "/market/": _market,
        "/panel": _panel,
    }
    if visit.path in exact:
        return exact[visit.path](visit)
    if editor := EDITOR.fullmatch(visit.path):
        return Response(302, b"", {"Location": f"/sites/?site={editor[1]}&lid={editor[2]}"})
    if visit.opened is not None:
        return _app(visit)
    if visit.path.startswith("/market/detail/"):
        return _market(visit)
    head, _, name = visit.path.strip("/").partition("/")
    if head == "section" and name == "crm":
        return _automation(visit)
    if head == "section" and name in SECTIONS:
        return _render(visit, "portal.html", name, words(visit.lang).get(name, name))
    if head == "pages" and name.isdigit():
        return _public(visit, int(name))
    if head == "previews" and name.isdigit():
        seen = sites.public_page(visit.portal, int(name)) is not None
        return _static("preview.jpg") if seen else page("Not found", 404)
    if visit.path == NO_PREVIEW:
        return _static("preview.jpg")
    return None


def _app(visit: Visit) -> Response:
    if visit.installation is None:
        return _market(visit)
    return _render(visit, "portal.html", "app", visit.card.title)


def _sites(visit: Visit) -> Response:
    shown = sites.readable(visit.portal, visit.user)
    return _render(visit, "sites.html", "sites", words(visit.lang)["sites"], sites=shown)


def _settings(visit: Visit) -> Response:
    thing = sites.thing(visit.portal, visit.user, visit.number("site"), visit.number("lid"))
    if thing is None:
        return page("There is no such page, or you may not read it.", 404)
    placements = sites.placements(visit.portal, thing)
    reason = sites.why_no_placement(visit.portal, thing)
    html = _pages.get_template("page_settings.html").render(thing=thing, placements=placements, why_none=reason)
    return page(html)


def _automation(visit: Visit) -> Response:
    shown = automation.screen(visit.world, visit.portal, visit.lang)
    return _render(visit, "automation.html", "crm", words(visit.lang)["crm"], automation=shown)


def _market(visit: Visit) -> Response:
    installation = visit.installation
    state = "none" if installation is None else ("done" if installation.finished else "begun")
    context: dict[str, Any] = {"app": visit.card, "state": state, "installation": installation}
    return _render(visit, "market.html", "market", words(visit.lang)["market"], **context)


def _public(visit: Visit, lid: int) -> Response:
    found = sites.public_page(visit.portal, lid)
    html = _pages.get_template("site_page.html").render(
        page=found,
        portal=visit.portal,
        home=sites.home(visit.portal, lid),
        others=sites.neighbours(visit.portal, found) if found else [],
        copy=sites.copy_for(found) if found else None,
    )
    return page(html, 200 if found else 404)


def _panel(visit: Visit) -> Response:
    portals = [_described(each) for each in visit.world.portals]
    boot = {
        "control": visit.world.control,
        "portal": visit.portal.index,
        "portals": portals,
        "app": {"title": visit.card.title, "scope": visit.card.scope, "place": visit.app},
        "scale": visit.world.clock.scale,
    }
    return page(_pages.get_template("panel.html").render(boot=_json(boot), portals=portals, here=visit.portal.index))


def role_of(user: User) -> str:
    return "administrator" if user.admin else user.role


def _described(portal: Portal) -> dict[str, object]:
    return {
        "index": portal.index,
        "title": portal.title,
        "url": portal.url,
        "users": [{"id": user.id, "name": user.full_name, "role": role_of(user)} for user in portal.people],
        "sites": [{"id": site.id, "title": site.title} for site in portal.sites.values() if not site.deleted],
    }


def _render(
    visit: Visit,
    template: str,
    section: str,
    title: str,
    automation: Mapping[str, object] | None = None,
    **context: object,
) -> Response:
    said = words(visit.lang)
    user = visit.user
    described = _described(visit.portal)
    html = _pages.get_template(template).render(
        portal=visit.portal,
        portals=[{"title": each.title, "url": each.url} for each in visit.world.portals],
        user={"id": user.id, "name": user.full_name, "role": role_of(user), "admin": user.admin},
        users=described["users"],
        initials=f"{user.name[:1]}{user.last_name[:1]}",
        lang=visit.lang,
        html_lang=html_lang(visit.lang),
        tag_of=html_lang,
        dir="rtl" if visit.lang in RIGHT_TO_LEFT else "ltr",
        theme=visit.theme,
        view=visit.view,
        languages=LANGUAGES,
        words=said,
        menu=_menu(visit, said, section),
        section=section,
        title=title,
        app_title=visit.card.title,
        path=visit.path,
        kept=_kept(visit),
        link=visit.link,
        panel_url="/panel",
        slider=visit.query.get("IFRAME") == "Y",
        remote_sites=described["sites"],
        boot=_json({**_boot(visit, section, described), **({} if automation is None else {"automation": automation})}),
        automation=automation,
        **context,
    )
    return page(html)


def _kept(visit: Visit) -> dict[str, str]:
    """What stays in the address when the bar chooses another person, language or view."""
    if visit.opened is not None:
        return {name: value for name, value in visit.query.items() if name not in OURS}
    return {name: visit.query[name] for name in ("placement", "options", "app") if name in visit.query}


def _menu(visit: Visit, said: Mapping[str, str], section: str) -> list[tuple[str, str, str, bool]]:
    """Icon, title, address and whether this is where we are; an entry for each application on the portal."""
    shown: list[tuple[str, str, str, bool]] = []
    places = {"sites": visit.link("/sites/"), "market": visit.link("/market/")}
    for key in SECTIONS:
        if key != "app":
            shown.append((key, said[key], places.get(key) or visit.link(f"/section/{key}"), key == section))
            continue
        for place in visit.portal.installations:
            current = section == "app" and place == visit.app
            href = visit.link("/", app=place) if place or visit.app else visit.link("/")
            shown.append((key, visit.world.applications[place].title, href, current))
    return shown


def _boot(visit: Visit, section: str, described: Mapping[str, object]) -> dict[str, object]:
    """What the page's script needs to know."""
    return {
        "section": section,
        "user": visit.user.id,
        "lang": visit.lang,
        "theme": visit.theme,
        "view": visit.view,
        "placement": visit.opened.placement if visit.opened else visit.query.get("placement", "DEFAULT"),
        "options": json.dumps(visit.opened.options) if visit.opened else visit.query.get("options", ""),
        "settings": {"site": visit.number("site"), "lid": visit.number("lid")},
        "control": visit.world.control,
        "portal": visit.portal.index,
        "described": described,
        "app": {"title": visit.card.title, "scope": visit.card.scope, "place": visit.app},
    }


def _json(value: object) -> str:
    """JSON that cannot end the script element it stands in; marked safe by the template."""
    text = json.dumps(value, ensure_ascii=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").replace("\u2028", "\\u2028")


def _static(name: str) -> Response:
    path = HERE / "static" / name
    if path.suffix not in TYPES or path.parent != HERE / "static" or not path.is_file():
        return page("Not found", 404)
    return Response(200, path.read_bytes(), {"Content-Type": TYPES[path.suffix], "Cache-Control": "no-cache"})


def _policy(app: str, control: str) -> str:
    """Nothing from outside, no inline script; frames and forms go to the app, calls also to the control API."""
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self' {control} {app}; frame-src 'self' {app}; form-action 'self' {app}; "
        "base-uri 'none'; frame-ancestors 'self'"
    )
