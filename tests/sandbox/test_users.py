"""Section 6: people, the app, options, notifications."""

from __future__ import annotations


def test_a_profile_needs_no_scope(portal, editor):
    portal.scope([])

    profile = editor("profile")

    assert (profile["ID"], profile["ADMIN"], profile["TIME_ZONE"]) == ("7", False, "Europe/London")


def test_who_is_an_administrator(admin, editor):
    assert (admin("user.admin"), editor("user.admin")) == (True, False)


def test_user_current_wants_a_scope_and_tells_more_with_a_larger_one(portal, editor):
    refused = editor.error("user.current")
    portal.scope(["landing", "user_brief"])
    editor.tokens = portal.tokens("editor")
    brief = editor("user.current")
    portal.scope(["landing", "user"])
    editor.tokens = portal.tokens("editor")

    assert refused == (401, "insufficient_scope")
    assert "EMAIL" not in brief
    assert editor("user.current")["EMAIL"].endswith(".example")


def test_the_portals_own_word_on_the_app(portal, editor):
    before = editor("app.info")["INSTALLED"]
    portal.finish_install()
    portal.switch(self_hosted=True)
    answer = editor("app.info")

    assert (before, answer["INSTALLED"]) == (False, True)
    assert answer["LICENSE"] == "en_selfhosted"


def test_what_is_granted_and_what_exists(portal, editor):
    assert editor("scope") == ["landing"]
    assert "placement" in editor("scope", full=True)
    assert editor("method.get", name="landing.landing.unpublic") == {"isExisting": True, "isAvailable": True}
    assert editor("method.get", name="user.current") == {"isExisting": True, "isAvailable": False}
    assert editor("method.get", name="nonsense") == {"isExisting": False, "isAvailable": False}
    assert "user.current" not in editor("methods")
    assert "landing.landing.getlist" in editor("methods", scope="landing")
    assert "ONAPPINSTALL" in editor("events")
    assert editor("feature.get", CODE="x") == {"value": "Y"}
    assert editor.error("feature.get") == (400, "CODE_EMPTY")
    assert "T" in editor("server.time")


def test_options_of_app_and_user(admin, editor):
    assert editor("app.option.get") == []
    assert editor("app.option.get", option="none") is None
    assert editor.error("app.option.set", options={"a": 1}) == (403, "ACCESS_DENIED")
    assert admin("app.option.set", options={"a": 1}) is True
    assert editor("app.option.get", option="a") == 1
    assert editor.error("user.option.set") == (400, "ERROR_ARGUMENT")
    assert editor("user.option.set", options={"theme": "dark"}) is True
    assert editor("user.option.get") == {"theme": "dark"}
    assert admin("user.option.get") == []


def test_generic_lists_have_pages_of_fifty(portal, admin):
    portal.add_users(60)
    portal.scope(["user"])
    admin.tokens = portal.tokens("admin")

    first, second = admin.ask("user.get").json(), admin.ask("user.get", start=50).json()

    assert (len(first["result"]), first["total"], first["next"]) == (50, 63, 50)
    assert (len(second["result"]), "next" in second) == (13, False)


def test_dismissed_and_invited_people(portal, editor):
    portal.change_user("editor", signed_in=False)
    invited = editor.error("profile")
    portal.change_user("editor", signed_in=True)
    portal.forget_user("editor")

    assert invited == (401, "ACCESS_DENIED")
    assert editor.error("profile") == (401, "authorization_error")
