"""Section 5.5: sites, folders, rights, roles."""

from __future__ import annotations

import pytest

LIST = "landing.site.getList"


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({}, [3, 5, 6]),
        ({"scope": "KNOWLEDGE"}, [8]),
        ({"scope": "GROUP"}, [11]),
        ({"scope": "MAINPAGE"}, [14]),
        ({"scope": "SMTH"}, [3, 5, 6]),
        ({"params": {"filter": {"TYPE": "STORE"}}}, [3, 5, 6]),  # documented: STORE becomes all allowed ones
        ({"params": {"filter": {"!TYPE": "STORE"}}}, [3, 6]),  # a condition like any other
        ({"params": {"filter": {"TYPE": "PAGE"}}}, [3, 6]),
        ({"params": {"filter": {"=TYPE": "KNOWLEDGE"}}}, [3, 5, 6]),  # a foreign kind becomes all allowed ones
        ({"params": {"filter": {"TYPE": ["STORE", "PAGE"]}}}, [3, 5, 6]),  # so does an array
        ({"params": {"filter": {"ID": [3, 17], "DELETED": ["Y", "N"]}}}, [3, 17]),
        ({"params": {"order": {"ID": "DESC"}, "limit": 1}}, [6]),
    ],
)
def test_lists_of_sites(editor, params, found):
    assert [int(site["ID"]) for site in editor(LIST, **params)] == found


def test_id_and_type_always_come_and_extras_only_by_name(editor):
    [site] = editor(LIST, params={"select": ["TITLE"], "filter": {"ID": 3}})
    [whole] = editor(LIST, params={"filter": {"ID": 3}})
    [named] = editor(LIST, params={"select": ["ID", "PUBLIC_URL", "DOMAIN_NAME"], "filter": {"ID": 3}})

    assert site == {"ID": "3", "TITLE": "Main site", "TYPE": "PAGE"}
    assert (whole["LANDING_ID_INDEX"], whole["LANDING_ID_404"], whole["CODE"]) == ("350", "367", "/main/")
    assert "PUBLIC_URL" not in whole
    assert named["DOMAIN_NAME"] == "harbour-and-pine.example"


def test_the_newer_and_the_older_name_of_a_main_page_site(portal, editor):
    assert editor(LIST, scope="VIBE")[0]["TYPE"] == "VIBE"
    portal.switch(vibe_type="MAINPAGE")
    assert editor(LIST, scope="VIBE")[0]["TYPE"] == "MAINPAGE"


def test_nobody_to_read_is_an_empty_list(portal, reader):
    portal.rights("reader", None, [])

    assert reader(LIST) == []


@pytest.mark.parametrize(
    ("who", "params", "rights"),
    [
        ("admin", {"id": 6}, ["read", "edit", "sett", "public", "delete"]),
        ("editor", {"id": 3}, ["read", "edit", "sett", "public"]),
        ("editor", {"id": 6}, ["read", "edit"]),
        ("reader", {"id": 3}, ["read"]),
        ("editor", {"id": 99}, []),
        ("editor", {"id": 17}, []),
        ("editor", {"id": 8}, []),  # another kind
        ("editor", {"id": 8, "scope": "KNOWLEDGE"}, ["read", "edit", "sett", "public"]),
        ("editor", {"id": 11, "scope": "GROUP"}, [True, True, True, False]),
    ],
)
def test_rights_on_a_site(person, who, params, rights):
    assert person(who)("landing.site.getRights", **params) == rights


def test_taking_a_site_down_leaves_its_published_pages_active(portal, editor):
    answer = editor("landing.site.unpublic", id=3)

    site = portal.state.sites[3]
    assert answer == 3
    assert site.active is False
    assert portal.page(351).active is True  # published and without a draft: skipped
    assert portal.page(355).active is False  # had draft edits
    assert portal.state.folders[30].active is False


@pytest.mark.parametrize(("switch", "up"), [("active", False), ("all", True)])
def test_putting_a_site_up_leaves_pages_that_are_down(portal, editor, switch, up):
    portal.switch(site_publication=switch)
    portal.change_page(355, active=True, public=False, draft="Walnut desks, new")
    portal.change_page(352, active=False, public=False)
    portal.state.sites[3].active = portal.state.folders[30].active = False

    assert editor("landing.site.publication", id=3) == 3
    assert (portal.page(355).live, portal.page(352).active) == ("Walnut desks, new", up)
    assert (portal.state.sites[3].active, portal.state.folders[30].active) == (True, True)
    assert editor.error("landing.site.unpublic", id=6) == (400, "ACCESS_DENIED")


def test_folders_and_their_parents(portal, editor):
    assert [folder["ID"] for folder in editor("landing.site.getFolders", siteId=3)] == ["30"]
    trashed = editor("landing.site.getFolders", siteId=3, filter={"DELETED": "Y"})
    assert [folder["ID"] for folder in trashed] == ["31"]

    for top in (0, "0", False):
        listed = editor("landing.site.getFolders", siteId=3, filter={"PARENT_ID": top})
        assert [folder["ID"] for folder in listed] == ["30"]

    assert editor("landing.site.unPublicFolder", folderId=30) is True
    assert portal.state.folders[30].active is False
    assert portal.page(368).active is True
    assert editor.error("landing.site.unPublicFolder", folderId=99) == (400, "ACCESS_DENIED")
    assert editor.error("landing.site.unPublicFolder", folderId="x") == (400, "TYPE_ERROR")


def test_an_administrators_rights_may_have_denied_among_them(portal, admin):
    portal.switch(denied_for_admins=True)

    assert admin("landing.site.getRights", id=3) == ["denied", "read", "edit", "sett", "public", "delete"]


@pytest.mark.parametrize(
    ("address", "site", "found"),
    [
        ("/spring-sale-2026/", 3, 351),
        ("spring-sale-2026", 3, 351),
        ("https://harbour-and-pine.example/spring-sale-2026/?x=1", 3, 351),
        ("/", 3, 350),
        ("/news/open-day-on-6-june/", 3, 370),
        ("/spring-sale-2026/", 5, None),
        ("/spring-sale-2026/", 99, None),
        ("/nothing/", 3, None),
    ],
)
def test_a_page_is_found_by_its_address(editor, address, site, found):
    assert editor("landing.landing.resolveIdByPublicUrl", landingUrl=address, siteId=site) == found


def test_previews_stand_beside_the_page_and_go_with_it(portal, editor, session):
    picture = editor("landing.landing.getpreview", lid=351)
    before = session.get(picture, timeout=10)
    editor("landing.landing.unpublic", lid=351)

    assert picture == f"{portal.url}/pub/site/main/spring-sale-2026/preview.jpg"
    assert (before.status_code, before.headers["Content-Type"]) == (200, "image/jpeg")
    assert session.get(picture, timeout=10).status_code == 404
    assert editor("landing.landing.getpreview", lid=451, scope="KNOWLEDGE").endswith("/nopreview.jpg")  # no domain
    assert editor("landing.site.getPreview", id=3) == f"{portal.url}/pub/site/main/preview.jpg"
    portal.switch(self_hosted=True)
    assert editor("landing.landing.getpreview", lid=352) == "/bitrix/images/landing/nopreview.jpg"


def test_what_surrounds_pages_has_its_shape(editor, portal):
    portal.state.sites[3].additional["GACOUNTER_COUNTER_GA4"] = "G-1"

    assert editor("landing.site.getadditionalfields", id=3) == {"GACOUNTER_COUNTER_GA4": "G-1"}
    assert editor("landing.landing.getadditionalfields", lid=351) == []
    assert [row["ID"] for row in editor("landing.template.getlist", params={"select": ["ID"], "limit": 2})] == [
        "1",
        "2",
    ]
    assert set(editor("landing.block.getrepository")["cover"]) >= {"name", "items"}
    assert editor("landing.demos.getList") == []


def test_public_addresses_of_sites(portal, editor):
    assert editor("landing.site.getPublicUrl", id=3) == f"{portal.url}/pub/site/main/"
    assert editor("landing.site.getPublicUrl", id=99) == ""
    assert editor("landing.site.getPublicUrl", id=[3, 99]) == {"3": f"{portal.url}/pub/site/main/"}
    assert editor("landing.site.getPublicUrl", id=[99]) == []


def test_roles_are_for_administrators(admin, editor, reader):
    assert editor.error("landing.role.getList") == (400, "IS_NOT_ADMIN")
    assert admin("landing.role.isEnabled") is True
    assert [role["ID"] for role in admin("landing.role.getList")] == ["7", "9"]
    assert admin("landing.role.getRights", id=7) == {"0": ["read", "edit", "sett", "public"], "6": ["read", "edit"]}

    admin("landing.role.setRights", id=9, rights={"3": ["read", "public"]})

    assert reader("landing.site.getRights", id=3) == ["read", "public"]


def test_a_site_goes_to_the_trash_and_comes_back(admin):
    assert admin("landing.site.markDelete", id=6) == 6
    assert [site["ID"] for site in admin(LIST)] == ["3", "5"]
    assert admin("landing.site.markUnDelete", id=6) == 6
    assert admin("landing.site.markFolderDelete", id=30) is True
    assert admin.error("landing.landing.unpublic", lid=368) == (400, "LANDING_NOT_EXIST")
    assert admin("landing.site.markFolderUnDelete", id=30) is True
    assert admin("landing.landing.unpublic", lid=368) is True
