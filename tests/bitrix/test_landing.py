"""Questions about sites and pages as the docs word them, and answers with PHP's habits and a portal's moods."""

import pytest

from b24app.bitrix import landing
from b24app.bitrix.landing import ALL_RIGHTS, PageState, Site
from b24app.bitrix.rest import Answer
from b24app.domain import Action, Kind
from b24app.errors import (
    AccessDenied,
    InsufficientScope,
    PageGone,
    PortalError,
    PublishRefused,
    Throttled,
    Unavailable,
    error_for,
)

ROW = {
    "ID": "351", "SITE_ID": "3", "TITLE": "Spring sale", "ACTIVE": "Y", "PUBLIC": "N", "FOLDER_ID": None, "SYS": "N",
    "MODIFIED_BY_ID": "7", "DATE_MODIFY": "10/10/2022 03:25:30 pm", "DATE_PUBLIC": "10/10/2022 03:25:30 pm",
    "PUBLIC_URL": "https://acme.example/spring/",
}  # fmt: skip


def test_a_row_becomes_a_page():
    assert landing.read_pages([ROW]) == [
        PageState(
            lid=351, site_id=3, title="Spring sale", active=True, public=False, folder_id=None, modified_by=7,
            modified_text="10/10/2022 03:25:30 pm", published_text="10/10/2022 03:25:30 pm",
            url="https://acme.example/spring/", special=False,
        )
    ]  # fmt: skip


def test_a_row_becomes_a_site():
    row = {"ID": "3", "TITLE": "Main", "TYPE": "STORE", "ACTIVE": "N", "LANDING_ID_INDEX": "351"}

    assert landing.read_sites([row]) == [Site(3, "Main", "STORE", False, 351)]


@pytest.mark.parametrize("empty", [[], {}])
def test_nothing_readable_is_an_empty_list(empty: object):
    assert landing.read_pages(empty) == []
    assert landing.read_sites(empty) == []


def test_a_list_with_gaps_comes_as_an_object():
    assert [page.lid for page in landing.read_pages({"0": ROW, "2": {**ROW, "ID": 352}})] == [351, 352]


@pytest.mark.parametrize("result", [
    None, True, "text", 5, [None], ["351"], [{}], [{"ID": None}], [{"ID": "0"}], [{"ID": "abc"}], [{"ID": "-5"}],
    [{"ID": "9" * 400}], [{"ID": 2**70}], [{"ID": 1.5}], [{"ID": True}], [{"ID": ["351"]}], [{"ID": "\u0663"}],
])  # fmt: skip
def test_what_is_no_list_of_pages_is_an_unwell_portal(result: object):
    with pytest.raises(Unavailable):
        landing.read_pages(result)
    with pytest.raises(Unavailable):
        landing.read_sites(result)


@pytest.mark.parametrize("said", [{}, None, "", [], 5, False])
def test_a_date_that_is_no_text_is_none(said: object):
    assert landing.read_pages([{**ROW, "DATE_PUBLIC": said}])[0].published_text is None


@pytest.mark.parametrize(("said", "url"), [
    ("//acme.example/x/", "https://acme.example/x/"), ("http://acme.example/", "http://acme.example/"),
    ("javascript:alert(1)", None), ("data:text/html,x", None), ("/relative", None), ("", None), (None, None),
    ({}, None), ("HTTPS://acme.example", None), (" https://acme.example", None),
])  # fmt: skip
def test_only_a_web_address_becomes_a_link(said: object, url: str | None):
    assert landing.read_pages([{**ROW, "PUBLIC_URL": said}])[0].url == url


def test_missing_fields_are_unknown_and_no_failure():
    page = landing.read_pages([{"ID": 5}])[0]

    assert (page.site_id, page.title, page.active, page.url, page.folder_id) == (0, "", False, None, None)


def test_ids_are_always_selected_and_the_order_is_always_given():
    params = landing.pages(Kind.KNOWLEDGE, limit=500, after=900, lids=[3, 4], site_id=7).params

    assert params["scope"] == "KNOWLEDGE"
    inner = params["params"]
    assert isinstance(inner, dict)
    assert "ID" in inner["select"]
    assert (inner["order"], inner["limit"]) == ({"ID": "ASC"}, 500)
    assert inner["filter"] == {">ID": 900, "ID": [3, 4], "SITE_ID": 7}


def test_every_command_says_its_kind():
    """Within a batch, the kind of one command leaks into the next."""
    commands = [
        landing.sites(Kind.PAGE), landing.pages(Kind.PAGE, limit=1), landing.rights(Kind.PAGE, 3),
        landing.act(Action.UNPUBLISH, Kind.PAGE, 351),
    ]  # fmt: skip

    assert all(command.params["scope"] == "PAGE" for command in commands)


# --- what an action came to ------------------------------------------------------------------------------------------


def test_only_true_is_done():
    landing.check_done(Action.PUBLISH, Answer(True))
    landing.check_done(Action.UNPUBLISH, Answer(True))


@pytest.mark.parametrize("result", [None, False, [], {}, 1, "true"])
def test_publishing_that_does_not_answer_true_was_refused_in_silence(result: object):
    with pytest.raises(PublishRefused):
        landing.check_done(Action.PUBLISH, Answer(result))


@pytest.mark.parametrize("result", [None, False, [], {}, 1, "true"])
def test_taking_down_that_does_not_answer_true_is_not_believed(result: object):
    with pytest.raises(Unavailable):
        landing.check_done(Action.UNPUBLISH, Answer(result))


@pytest.mark.parametrize(
    "code", ["ACCESS_DENIED", "LANDING_NOT_EXIST", "PUBLIC_HTML_DISALLOWED[S12]", "insufficient_scope"]
)
def test_a_refusal_stays_what_it_is(code: str):
    refusal = error_for(code, 400, in_batch=True)

    with pytest.raises(type(refusal)):
        landing.check_done(Action.PUBLISH, refusal)


# --- rights ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "answer", "rights"), [
    (Kind.PAGE, Answer(["read", "public"]), {"read", "public"}),
    (Kind.PAGE, Answer({"0": "read", "2": "edit"}), {"read", "edit"}),
    (Kind.PAGE, Answer([]), set()),
    (Kind.PAGE, Answer(None), set()),
    (Kind.PAGE, Answer("read"), set()),
    (Kind.PAGE, Answer([True, True]), set()),
    (Kind.GROUP, Answer([True, False]), ALL_RIGHTS),
    (Kind.GROUP, Answer([False, False]), set()),
    (Kind.PAGE, error_for("FEATURE_NOT_AVAIL", 400, in_batch=True), ALL_RIGHTS),
    (Kind.PAGE, AccessDenied(), set()),
    (Kind.PAGE, PageGone(), set()),
])  # fmt: skip
def test_rights_are_read_in_every_shape(kind: Kind, answer: Answer | PortalError, rights: set[str]):
    assert landing.read_rights(kind, answer) == rights


@pytest.mark.parametrize("error", [InsufficientScope(), Throttled(), Unavailable()])
def test_a_failure_of_the_call_is_no_want_of_rights(error: PortalError):
    with pytest.raises(type(error)):
        landing.read_rights(Kind.PAGE, error)
