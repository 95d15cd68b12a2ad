"""Sections 5.1 to 5.4: pages."""

from __future__ import annotations

import pytest

from b24sandbox.state.clock import iso, portal_text

UNPUBLIC = "landing.landing.unpublic"
PUBLISH = "landing.landing.publication"
LIST = "landing.landing.getList"


def test_unpublic_takes_a_page_down_and_is_true_again(editor, portal, standin):
    before = portal.page(351)

    first, second = editor(UNPUBLIC, lid=351), editor(UNPUBLIC, lid="351")

    page = portal.page(351)
    assert (first, second) == (True, True)
    assert (page.active, page.public, page.modified_by) == (False, False, 7)
    assert (page.modified_at, page.public_at) == (before.modified_at, before.public_at)  # untouched
    assert standin.world.recorder.changed_twice() == [{"portal": 0, "lid": 351, "action": "unpublish", "times": 1}]


@pytest.mark.parametrize(
    ("who", "params", "expected"),
    [
        ("editor", {"lid": 430}, (400, "ACCESS_DENIED")),  # reads the site, may not publish on it
        ("reader", {"lid": 351}, (400, "ACCESS_DENIED")),
        ("editor", {"lid": 99999}, (400, "LANDING_NOT_EXIST")),
        ("editor", {"lid": 0}, (400, "LANDING_NOT_EXIST")),
        ("editor", {"lid": "x"}, (400, "LANDING_NOT_EXIST")),
        ("editor", {"lid": ""}, (400, "LANDING_NOT_EXIST")),
        ("editor", {}, (400, "MISSING_PARAMS")),
        ("editor", {"lid": None}, (400, "MISSING_PARAMS")),
        ("editor", {"LID": 351}, (400, "MISSING_PARAMS")),  # names are case-sensitive
        ("editor", {"lid": [351]}, (400, "TYPE_ERROR")),
        ("editor", {"lid": 380}, (400, "LANDING_NOT_EXIST")),  # in the trash
        ("editor", {"lid": 381}, (400, "LANDING_NOT_EXIST")),  # its folder is
        ("editor", {"lid": 500}, (400, "LANDING_NOT_EXIST")),  # its site is
        ("editor", {"lid": 451}, (400, "LANDING_NOT_EXIST")),  # a knowledge base, and no scope said
        ("editor", {"lid": 351, "scope": "KNOWLEDGE"}, (400, "LANDING_NOT_EXIST")),
        ("admin", {"lid": 430}, (200, "")),
        ("editor", {"lid": 350}, (200, "")),  # the site's main page: nothing guards it
        ("editor", {"lid": 367}, (200, "")),  # so is its 404 page
        ("editor", {"lid": 351, "scope": "PAGE"}, (200, "")),
        ("editor", {"lid": 451, "scope": "knowledge"}, (200, "")),
        ("editor", {"lid": 471, "scope": "Group"}, (200, "")),
        ("editor", {"lid": 491, "scope": "MAINPAGE"}, (200, "")),
        ("editor", {"lid": 491, "scope": "vibe"}, (200, "")),
        ("editor", {"lid": 491, "scope": "mainpage"}, (400, "LANDING_NOT_EXIST")),  # the alias is upper case only
        ("reader", {"lid": 451, "scope": "KNOWLEDGE"}, (200, "")),  # reading suffices there
    ],
)
def test_unpublic_to_the_letter(person, who, params, expected):
    assert person(who).error(UNPUBLIC, **params) == expected


def test_an_unreadable_page_does_not_exist(portal, editor):
    portal.rights("editor", 3, [])

    assert editor.error(UNPUBLIC, lid=351) == (400, "LANDING_NOT_EXIST")
    assert editor(LIST, params={"filter": {"SITE_ID": 3}}) == []


def test_publication_puts_the_draft_live_with_its_folder_and_site(editor, portal):
    portal.state.folders[30].active = False
    portal.state.sites[3].active = False
    before = portal.page(370)
    assert (before.public, before.folder_id, before.live != before.draft) == (False, 30, True)

    assert editor(PUBLISH, lid=370) is True

    page = portal.page(370)
    assert (page.active, page.public, page.live) == (True, True, before.draft)
    assert page.public_at is not None
    assert portal.state.folders[30].active
    assert portal.state.sites[3].active


def test_publication_without_the_right_is_null_and_no_error(editor, reader, portal):
    portal.rights("editor", 8, ["read"])

    assert editor(PUBLISH, lid=430) is None
    assert editor(PUBLISH, lid=451, scope="KNOWLEDGE") is None  # where unpublic succeeds
    assert reader(PUBLISH, lid=351) is None
    assert editor(UNPUBLIC, lid=451, scope="KNOWLEDGE") is True


@pytest.mark.parametrize(
    ("switch", "page", "code"),
    [
        ({"publish_refusal": "PHONE_NOT_CONFIRMED"}, {}, "PHONE_NOT_CONFIRMED"),
        ({"page_limit": 5}, {}, "PUBLIC_PAGE_REACHED"),
        ({"html_allowed": False}, {"own_html": True}, "PUBLIC_HTML_DISALLOWED[L351]"),
        ({}, {"refusal": "LANDING_PAYMENT_FAILED"}, "LANDING_PAYMENT_FAILED"),
    ],
)
def test_refusals_of_publication(editor, portal, switch, page, code):
    portal.change_page(351, active=False, public=False, **page)
    portal.switch(**switch)

    assert editor.error(PUBLISH, lid=351) == (400, code)
    assert portal.page(351).active is False


def test_the_tariffs_number_of_sites(editor, portal):
    portal.state.sites[5].active = False
    portal.switch(site_limit=2)

    assert editor.error(PUBLISH, lid=411) == (400, "PUBLIC_SITE_REACHED")


def test_sites_closed_to_a_person(portal, editor):
    for change in ({"extranet": True}, {"opens_sites": False}):
        portal.change_user("editor", **change)
        assert editor.error(LIST) == (400, "ACCESS_DENIED")
        portal.change_user("editor", extranet=False, opens_sites=True)
    portal.switch(sites_for_admins_only=True)

    assert editor.error(LIST) == (400, "ACCESS_DENIED")


def test_an_extranet_user_may_see_workgroups(portal, editor):
    portal.change_user("editor", extranet=True)

    assert editor(LIST, scope="GROUP")


def test_without_the_permission_feature_everybody_may(portal, reader):
    portal.switch(permissions_feature=False)

    assert reader(UNPUBLIC, lid=430) is True
    assert reader.error("landing.site.getRights", id=6) == (400, "FEATURE_NOT_AVAIL")


def ids(rows: list[dict[str, str]]) -> list[int]:
    return [int(row["ID"]) for row in rows]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"ID": 351}, [351]),
        ({"ID": ["351", 352, 430]}, [351, 352, 430]),
        ({"@ID": [351, 352]}, [351, 352]),
        ({"=ID": "351"}, [351]),
        ({">=ID": 432, "SITE_ID": 6}, [432, 433, 434, 435]),
        ({">ID": 432, "<ID": 435}, [433, 434]),
        ({"><ID": [432, 434]}, [432, 433, 434]),
        ({"SITE_ID": 6, "!ID": [430, 431, 432]}, [433, 434, 435]),
        ({"SITE_ID": 6, "ACTIVE": "N"}, [432]),
        ({"SITE_ID": 6, "!ACTIVE": "Y"}, [432]),
        ({"%TITLE": "oak"}, [354]),
        ({"=%TITLE": "Visit%"}, [362]),
        ({"LOGIC": "OR", "0": {"ID": 351}, "1": {"TITLE": "Press"}}, [351, 364]),
        ({"ID": [351, 352], "0": {"LOGIC": "OR", "ID": 352, "TITLE": "nothing"}}, [352]),
        ({"FOLDER_ID": 30, "ACTIVE": "N"}, [371]),
        ({"SITE.TYPE": "KNOWLEDGE", "ID": 351}, [351]),  # a key with a dot is dropped
        ({"CHECK_PERMISSIONS": "N", "ID": 351}, [351]),
        ({"ID": 380}, []),
        ({"ID": [380, 381], "DELETED": ["Y", "N"]}, [380, 381]),
        ({"ID": 381, "SITE_ID": 3}, []),  # with a site, pages of trashed folders are out too
        ({"ID": 500, "=DELETED": ["Y", "N"]}, []),  # pages of a trashed site never come
    ],
)
def test_filters(editor, wanted, found):
    assert ids(editor(LIST, params={"select": ["ID"], "filter": wanted, "order": {"ID": "ASC"}})) == found


def test_order_limit_and_offset(editor):
    def ask(**params: object) -> list[int]:
        return ids(editor(LIST, params={"select": ["ID"], "filter": {"SITE_ID": 6}, **params}))

    assert ask(order={"ID": "DESC"}, limit=2) == [435, 434]
    assert ask(order={"ID": "ASC"}, limit="2", offset="4") == [434, 435]
    assert ask(order={"ACTIVE": "ASC", "ID": "DESC"})[0] == 432
    assert len(ask()) == 6  # no limit unless one is given


def test_times_sort_as_times_though_they_are_printed_as_text(editor, portal):
    rows = editor("landing.landing.getList", params={"select": ["ID", "DATE_MODIFY"], "order": {"DATE_MODIFY": "ASC"}})

    moments = [portal.page(int(row["ID"])).modified_at for row in rows]
    assert moments == sorted(moments)
    assert rows[0]["DATE_MODIFY"].endswith(("am", "pm"))


@pytest.mark.parametrize("written", ["iso", "portal"])
def test_times_are_compared_in_the_portals_writing_or_in_iso(editor, portal, written):
    moment = portal.page(354).modified_at
    bound = iso(moment) if written == "iso" else portal_text(moment, "en")

    def found(operator: str) -> set[int]:
        params = {"select": ["ID"], "filter": {f"{operator}DATE_MODIFY": bound, "SITE_ID": 3}}
        return {int(row["ID"]) for row in editor(LIST, params=params)}

    pages = [page for page in portal.pages("PAGE") if page.site_id == 3]
    assert found(">") == {page.id for page in pages if int(page.modified_at) > int(moment)}
    assert found(">=") == found(">") | {page.id for page in pages if int(page.modified_at) == int(moment)}
    assert found("<") == {page.id for page in pages if int(page.modified_at) < int(moment)}
    assert found("<=") | found(">") == {page.id for page in pages}


def test_a_wrong_type_was_another_error_on_older_portals(editor, portal):
    portal.switch(type_error="ERROR_ARGUMENT")

    answer = editor.ask(UNPUBLIC, lid=[351]).json()

    assert (answer["error"], answer["argument"]) == ("ERROR_ARGUMENT", "lid")


def test_start_is_ignored_and_there_is_no_total(editor):
    answer = editor.ask(LIST, start=20, params={"select": ["ID"]}).json()

    assert len(answer["result"]) == len(editor(LIST, params={"select": ["ID"]}))
    assert not {"total", "next"} & set(answer)


def test_numbers_are_text_and_the_domain_always_comes(editor):
    [page] = editor(LIST, params={"select": ["ID", "SITE_ID", "ACTIVE", "FOLDER_ID"], "filter": {"ID": 351}})

    assert page == {"ID": "351", "SITE_ID": "3", "ACTIVE": "Y", "FOLDER_ID": None, "DOMAIN_ID": "3"}


def test_without_a_selection_all_fields_come(editor):
    [page] = editor(LIST, params={"filter": {"ID": 351}})

    assert {"SEARCH_CONTENT", "DATE_PUBLIC", "PUBLIC", "DELETED", "VIEWS", "TITLE"} <= set(page)
    assert page["DATE_PUBLIC"].endswith(("am", "pm"))


def test_date_public_may_be_an_empty_object(portal, editor):
    portal.switch(public_date="object")

    assert editor(LIST, params={"select": ["ID", "DATE_PUBLIC"], "filter": {"ID": 351}})[0]["DATE_PUBLIC"] == {}
    assert editor(LIST, params={"select": ["ID", "DATE_PUBLIC"], "filter": {"ID": 359}})[0]["DATE_PUBLIC"] is None


def test_without_the_id_all_rows_collapse_into_one(editor):
    assert len(editor(LIST, params={"select": ["TITLE"]})) == 1


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"select": "ID"}, "TYPE_ERROR"),
        ({"select": ["NONSENSE"]}, "SYSTEM_ERROR"),
        ({"filter": {"NONSENSE": 1}}, "SYSTEM_ERROR"),
        ({"order": {"NONSENSE": "ASC"}}, "SYSTEM_ERROR"),
        ({"nonsense": 1}, "SYSTEM_ERROR"),
        ({"group": ["SITE_ID"]}, "SYSTEM_ERROR"),
        ({"order": {"ID": "sideways"}}, "SYSTEM_ERROR"),
        ({"filter": {">DATE_MODIFY": "some day"}}, "SYSTEM_ERROR"),
        ("ID", "TYPE_ERROR"),
    ],
)
def test_bad_params_of_a_list(editor, params, code):
    assert editor.error(LIST, params=params) == (400, code)


def test_extras_of_a_list(editor, portal):
    params = {"select": ["ID"], "filter": {"ID": [350, 351, 369]}, "order": {"ID": "ASC"}}

    main, page, inside = editor(LIST, params={**params, "get_urls": 1, "check_area": True, "get_preview": "1"})

    assert main["PUBLIC_URL"] == f"{portal.url}/pub/site/main/"
    assert page["PUBLIC_URL"] == f"{portal.url}/pub/site/main/spring-sale-2026/"
    assert "/news/" in inside["PUBLIC_URL"]
    assert (page["IS_AREA"], page["PREVIEW"].startswith(portal.url)) == (False, True)


def test_public_addresses(editor, portal):
    assert editor("landing.landing.getpublicurl", lid=350) == f"{portal.url}/pub/site/main/"
    assert editor("landing.landing.getpublicurl", lid=451, scope="KNOWLEDGE").endswith(
        "/knowledge/handbook/machine-safety/"
    )
    assert editor.error("landing.landing.getpublicurl", lid=1) == (400, "LANDING_NOT_EXIST")
    assert editor.error("landing.landing.getpublicurl", lid=[350, 351]) == (400, "TYPE_ERROR")


def test_a_visitor_sees_what_is_live(portal, editor, session):
    url = editor("landing.landing.getpublicurl", lid=351)
    before = session.get(url, timeout=10)
    editor(UNPUBLIC, lid=351)

    assert (before.status_code, session.get(url, timeout=10).status_code) == (200, 404)


def test_the_trash_guards_a_main_page_and_gives_pages_back(admin, editor):
    assert editor.error("landing.landing.markDelete", lid=352) == (400, "ACCESS_DENIED")
    assert admin.error("landing.landing.markDelete", lid=350) == (400, "CANT_DELETE_MAIN")
    assert admin("landing.landing.markDelete", lid=352) == 352
    assert editor.error(UNPUBLIC, lid=352) == (400, "LANDING_NOT_EXIST")
    assert admin("landing.landing.markUnDelete", lid=352) == 352
    assert editor(UNPUBLIC, lid=352) is True


def test_pages_come_by_kind(editor):
    sizes = {
        kind: len(editor(LIST, scope=kind, params={"select": ["ID"]}))
        for kind in ("PAGE", "KNOWLEDGE", "GROUP", "VIBE")
    }

    assert sizes == {"PAGE": 42, "KNOWLEDGE": 11, "GROUP": 6, "VIBE": 3}


def test_group_is_ignored_where_the_tariff_has_none(portal, editor):
    portal.switch(group_bases=False)

    assert len(editor(LIST, scope="GROUP", params={"select": ["ID"]})) == 42
