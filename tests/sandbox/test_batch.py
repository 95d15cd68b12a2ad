"""Section 4.4: batch."""

from __future__ import annotations

import pytest


def test_results_and_errors_stand_in_their_own_maps(editor):
    maps = editor.batch({"a": "landing.landing.unpublic?lid=351", "b": "landing.landing.unpublic?lid=430"})

    assert maps["result"] == {"a": True}
    assert maps["result_error"]["b"]["error"] == "ACCESS_DENIED"
    assert maps["result_total"] == maps["result_next"] == []
    assert list(maps["result_time"]) == ["a"]  # a failed item has no time


def test_keys_from_nought_make_a_list_and_gaps_an_object(editor):
    assert editor.batch(["user.admin", "user.admin"])["result"] == [False, False]
    assert editor.batch({"0": "user.admin", "2": "user.admin"})["result"] == {"0": False, "2": False}
    assert editor.batch({"0": "no.such", "1": "user.admin"})["result"] == {"1": False}


def test_what_is_no_string_vanishes_without_a_trace(editor):
    maps = editor.batch({"a": {"method": "user.admin"}, "b": "user.admin", "c": 5})

    assert maps["result"] == {"b": False}
    assert maps["result_error"] == []


@pytest.mark.parametrize("halt", [1, "1", True])
def test_halt_stops_after_the_first_error(editor, halt):
    cmd = {"a": "user.admin", "b": "landing.landing.unpublic?lid=9999", "c": "user.admin"}

    halted, whole = editor.batch(cmd, halt=halt), editor.batch(cmd, halt=0)

    assert list(halted["result"]) == ["a"]
    assert list(halted["result_error"]) == ["b"]
    assert list(whole["result"]) == ["a", "c"]


def test_more_than_fifty_are_refused_one_by_one(editor):
    maps = editor.batch({f"c{number}": "user.admin" for number in range(52)})

    assert len(maps["result"]) == 50
    assert {error["error"] for error in maps["result_error"].values()} == {"ERROR_BATCH_LENGTH_EXCEEDED"}


def test_no_batch_in_a_batch(editor):
    assert (
        editor.batch({"a": "batch?cmd[x]=user.admin"})["result_error"]["a"]["error"] == "ERROR_BATCH_METHOD_NOT_ALLOWED"
    )


def test_earlier_results_are_put_in(editor):
    maps = editor.batch(
        {
            "pages": "landing.landing.getList?params[filter][ID]=351&params[select][]=ID",
            "down": "landing.landing.unpublic?lid=$result[pages][0][ID]",
            "url": "landing.landing.getpublicurl?lid=$result[pages][0][ID]",
        }
    )

    assert maps["result"]["down"] is True
    assert maps["result"]["url"].endswith("/spring-sale-2026/")


def test_the_kind_leaks_to_the_commands_that_follow(editor):
    lists = "landing.site.getList"
    maps = editor.batch({"a": f"{lists}?scope=KNOWLEDGE", "b": lists, "c": f"{lists}?scope=PAGE", "d": lists})

    kinds = {key: {site["TYPE"] for site in sites} for key, sites in maps["result"].items()}
    assert kinds["a"] == kinds["b"] == {"KNOWLEDGE"}
    assert kinds["c"] == kinds["d"] == {"PAGE", "STORE"}
    assert {site["TYPE"] for site in editor(lists)} == {"PAGE", "STORE"}  # another request is another process


def test_the_scope_is_checked_for_each_and_the_token_for_all(editor, portal):
    portal.scope([])
    maps = editor.batch({"a": "user.admin", "b": "landing.site.getList"})
    portal.expire("editor")

    assert maps["result"] == {"a": False}
    assert maps["result_error"]["b"] == {"error": "insufficient_scope", "error_description": ""}
    assert editor.error("batch", cmd={"a": "user.admin"}) == (401, "expired_token")


def test_paged_lists_tell_total_and_next(admin, portal):
    portal.add_users(60)
    portal.scope(["landing", "user_brief"])
    admin.tokens = portal.tokens("admin")

    maps = admin.batch({"first": "user.get", "second": "user.get?start=50"})

    assert maps["result_total"] == {"first": 63, "second": 63}
    assert maps["result_next"] == {"first": 50}


def test_the_urlencoded_form_is_encoded_twice(portal, editor, session):
    form = {"cmd[a]": "landing.landing.getList?params[filter][TITLE]=Delivery%20and%20returns", "auth": editor.access}

    answer = session.post(portal.endpoint + "batch", data=form, timeout=10).json()

    assert [page["TITLE"] for page in answer["result"]["result"]["a"]] == ["Delivery and returns"]


def test_a_batch_is_one_request_and_its_commands_are_calls(editor, portal, standin):
    editor.batch({"a": "user.admin", "b": "profile"})

    assert portal.requests() == 1
    assert portal.asked("batch") == portal.asked("user.admin") == portal.asked("profile") == 1
    assert [call.batch for call in standin.calls(0)] == [None, standin.calls(0)[0].n, standin.calls(0)[0].n]
