"""Section 14: around pages and sites: previews, the page at an address, additional fields, what can be chosen from.

The collections (templates, blocks, demo pages) are short samples: what an app may rely on is their shape.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from b24sandbox.methods import orm
from b24sandbox.methods.landing import landing_method, readable_page
from b24sandbox.methods.sites import readable
from b24sandbox.protocol import php
from b24sandbox.protocol.errors import landing
from b24sandbox.protocol.registry import MethodCall
from b24sandbox.state.sites import page_at, preview_url, site_url

TEMPLATES = (
    ("1", "empty", "Without areas", "#CONTENT#"),
    ("2", "header_footer", "Header and footer", "#AREA_1##CONTENT##AREA_2#"),
    ("3", "sidebar_left", "Sidebar on the left", "#AREA_1##CONTENT#"),
)
TEMPLATE_FIELDS = (
    "ID", "ACTIVE", "TITLE", "SORT", "XML_ID", "CONTENT", "AREA_COUNT", "CREATED_BY_ID", "MODIFIED_BY_ID",
    "DATE_CREATE", "DATE_MODIFY",
)  # fmt: skip
BLOCKS = {
    "cover": ("Cover", {"01.big_with_text": "Cover with a heading", "02.three_cols": "Cover with three columns"}),
    "text": ("Text", {"27.one_col_fix_title": "Heading", "04.7.one_col_fix_with_text": "Heading and text"}),
}


@landing_method("landing.landing.resolveIdByPublicUrl", required=("landingUrl", "siteId"), numbers=("siteId",))
def resolve(call: MethodCall) -> int | None:
    """The page at a path of a site; null when there is none."""
    site = readable(call, call.params["siteId"])
    if site is None:
        return None
    base = urlsplit(site_url(call.portal, site)).path
    path = urlsplit(php.text(call.params["landingUrl"])).path.strip("/")
    return page_at(call.portal, f"{base}{path}/" if path else base)


@landing_method("landing.landing.getpreview", required=("lid",))
def page_preview(call: MethodCall) -> str:
    page, site = readable_page(call, call.params["lid"])
    return preview_url(call.portal, page, site)


@landing_method("landing.site.getPreview", required=("id",))
def site_preview(call: MethodCall) -> str:
    """The picture of the main page; empty where the site or its main page is not there."""
    site = readable(call, call.params["id"])
    page = call.portal.pages.get(site.index_lid or 0) if site is not None else None
    return "" if site is None or page is None else preview_url(call.portal, page, site)


@landing_method("landing.landing.getadditionalfields", required=("lid",))
def page_fields(call: MethodCall) -> object:
    """Only what is filled in; `[]` when nothing is."""
    page, _ = readable_page(call, call.params["lid"])
    return php.encoded(dict(page.additional))


@landing_method("landing.site.getadditionalfields", required=("id",))
def site_fields(call: MethodCall) -> object:
    site = readable(call, call.params["id"])
    if site is None:
        raise landing("ACCESS_DENIED", "Access denied.")
    return php.encoded(dict(site.additional))


@landing_method("landing.template.getlist", arrays=("params",))
def templates(call: MethodCall) -> list[dict[str, object]]:
    params = dict(php.items(call.params.get("params")))
    orm.check_params(params, ())
    rows = [
        {
            **dict.fromkeys(TEMPLATE_FIELDS),
            "ID": number, "ACTIVE": "Y", "TITLE": title, "SORT": number, "XML_ID": name, "CONTENT": content,
            "AREA_COUNT": str(content.count("#AREA_")), "CREATED_BY_ID": "1", "MODIFIED_BY_ID": "1",
        }
        for number, name, title, content in TEMPLATES
    ]  # fmt: skip
    return [dict(row) for row in orm.query(params, rows, TEMPLATE_FIELDS, r"\Bitrix\Landing\Internals\Template")]


@landing_method("landing.block.getrepository")
def repository(call: MethodCall) -> object:
    """The blocks that can be put on a page, by section; one section when it is named."""
    wanted = php.text(call.params.get("section"))
    found = {
        section: {
            "name": name,
            "new": False,
            "separator": False,
            "app_code": False,
            "items": {
                code: {"name": title, "namespace": "bitrix", "section": [section], "preview": "", "type": []}
                for code, title in blocks.items()
            },
        }
        for section, (name, blocks) in BLOCKS.items()
        if wanted in ("", section)
    }
    return php.encoded(found)


@landing_method("landing.demos.getList", arrays=("params",))
def demos(call: MethodCall) -> list[object]:
    """Demo pages that apps have registered: none here."""
    return []
