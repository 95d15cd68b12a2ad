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
        ({"params": {"filter": {"TYPE": "STORE"}}}, [5]),
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


def test_putting_a_site_up_publishes_what_is_not(portal, editor):
    editor("landing.site.unpublic", id=3)

    assert editor("landing.site.publication", id=3) == 3
    assert portal.page(355).active is True
    assert editor.error("landing.site.unpublic", id=6) == (400, "ACCESS_DENIED")


def test_folders_and_their_parents(portal, editor):
    assert [folder["ID"] for folder in editor("landing.site.getFolders", siteId=3)] == ["30"]
    trashed = editor("landing.site.getFolders", siteId=3, filter={"DELETED": "Y"})
    assert [folder["ID"] for folder in trashed] == ["31"]

    assert editor("landing.site.unPublicFolder", folderId=30) is True
    assert portal.state.folders[30].active is False
    assert portal.page(368).active is True
    assert editor.error("landing.site.unPublicFolder", folderId=99) == (400, "ACCESS_DENIED")
    assert editor.error("landing.site.unPublicFolder", folderId="x") == (400, "TYPE_ERROR")


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
