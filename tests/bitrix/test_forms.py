"""The forms Bitrix24 posts: what is read, what is forgiven, what is refused; and that nothing at all is a failure."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from b24app.bitrix.forms import MOST_FIELDS, EventPost, FramePost, parse_event, parse_frame
from b24app.domain import Actor
from b24app.errors import BadForm, Problem
from b24app.runs.orders import Order
from b24app.web.forms import read
from b24app.web.run_forms import OrderForm
from b24sandbox import StandIn
from b24sandbox.protocol import events as sandbox_events

QUERY = {"DOMAIN": "acme.bitrix24.com", "PROTOCOL": "1", "LANG": "en", "APP_SID": "dd8cec11e347088fe87c44870a9f1dba"}
BODY = {
    "AUTH_ID": "a" * 72, "AUTH_EXPIRES": "3600", "REFRESH_ID": "b" * 72, "status": "F",
    "member_id": "a223c6b3710f85df22e9377d6c4f7553",
    "SERVER_ENDPOINT": "https://oauth.bitrix.info/rest/", "APPLICATION_TOKEN": "ec1b" * 8,
    "APPLICATION_SCOPE": "landing,user_brief", "PLACEMENT": "DEFAULT",
}  # fmt: skip
EVENT = {
    "event": "ONAPPINSTALL", "event_handler_id": "185", "data[VERSION]": "3", "data[LANGUAGE_ID]": "en",
    "ts": "1795426400", "auth[access_token]": "a" * 72, "auth[refresh_token]": "b" * 72, "auth[expires]": "1795430000",
    "auth[domain]": "acme.bitrix24.com", "auth[server_endpoint]": "https://oauth.bitrix.info/rest/",
    "auth[member_id]": "a223c6b3710f85df22e9377d6c4f7553", "auth[application_token]": "5185" * 8, "auth[user_id]": "1",
}  # fmt: skip


def frame(**changed: str) -> FramePost:
    """A frame's post with some fields of its body changed; an empty one is left out."""
    body = {name: value for name, value in {**BODY, **changed}.items() if value}
    return parse_frame(MultiDict(QUERY), MultiDict(body))


def event(changed: Mapping[str, str] | None = None, without: str | None = None) -> EventPost:
    form = {name: value for name, value in {**EVENT, **(changed or {})}.items() if name != without}
    return parse_event(MultiDict(form))


ALICE = Actor("m" * 32, 7, "Alice", "en", "light", "Europe/Riga", "acme.bitrix24.com", 1)
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)

# --- the frame -------------------------------------------------------------------------------------------------------


def test_a_frames_post_is_read_from_query_and_body():
    post = frame()

    assert (post.domain, post.protocol, post.lang, post.member_id) == (
        "acme.bitrix24.com",
        True,
        "en",
        BODY["member_id"],
    )
    assert (post.auth_id, post.refresh_token, post.auth_expires) == (BODY["AUTH_ID"], BODY["REFRESH_ID"], 3600)
    assert post.scope == ("landing", "user_brief")
    assert (post.placement, post.placement_options) == ("DEFAULT", {})


def test_tokens_do_not_show_when_a_post_is_printed():
    printed = repr(frame()) + repr(event())

    for secret in (BODY["AUTH_ID"], BODY["REFRESH_ID"], BODY["APPLICATION_TOKEN"], EVENT["auth[application_token]"]):
        assert secret not in printed


def test_the_fields_the_docs_call_optional_may_be_absent():
    post = frame(
        REFRESH_ID="", AUTH_EXPIRES="", SERVER_ENDPOINT="", APPLICATION_TOKEN="", APPLICATION_SCOPE="", PLACEMENT="",
        status="",
    )  # fmt: skip

    assert (post.refresh_token, post.server_endpoint, post.application_token, post.scope) == (None, None, None, ())


@pytest.mark.parametrize("name", ["AUTH_ID", "member_id"])
def test_without_a_token_or_a_portal_it_is_no_post(name: str):
    with pytest.raises(BadForm) as refused:
        frame(**{name: ""})

    assert refused.value.status == 400


@pytest.mark.parametrize(("said", "options"), [
    ('{"LID":"30","SITE_ID":"12"}', {"LID": "30", "SITE_ID": "12"}),
    ("[]", {}), ("undefined", {}), ("null", {}), ("5", {}), ('"x"', {}), ("{", {}), ("[" * 9000, {}),
    ('{"LID":' + "9" * 5000 + "}", {}),
])  # fmt: skip
def test_placement_options_are_an_object_or_nothing(said: str, options: object):
    assert frame(PLACEMENT_OPTIONS=said).placement_options == options


@pytest.mark.parametrize(("name", "value"), [
    ("AUTH_ID", "short"), ("AUTH_ID", "a" * 513), ("AUTH_ID", "a b" * 20), ("AUTH_ID", "<script>alert(1)</script>"),
    ("AUTH_ID", "a" * 40 + "\n"), ("AUTH_ID", "a" * 40 + "\0"), ("AUTH_ID", "ä" * 40), ("AUTH_ID", "a" * 40 + "\ufffd"),
    ("AUTH_ID", "\ud800" * 40), ("AUTH_ID", "' or 1=1 --" * 4),
    ("member_id", "../../etc/passwd"), ("member_id", "a" * 65), ("member_id", "a'b" * 10), ("member_id", "ab\0" * 10),
    ("AUTH_EXPIRES", "soon"), ("AUTH_EXPIRES", "-1"), ("AUTH_EXPIRES", "1e400"), ("AUTH_EXPIRES", "9" * 5000),
    ("AUTH_EXPIRES", "3_600"), ("AUTH_EXPIRES", "3600.0"),
    ("SERVER_ENDPOINT", "x" * 256), ("APPLICATION_SCOPE", "x" * 4001), ("PLACEMENT_OPTIONS", "x" * 20_001),
    ("anything else", "\0"),
])  # fmt: skip
def test_what_has_not_the_shape_is_refused_before_anybody_is_asked(name: str, value: str):
    with pytest.raises(BadForm) as refused:
        frame(**{name: value})

    assert refused.value.status == 400
    assert value not in str(refused.value)


@pytest.mark.parametrize("domain", ["evil.example/path", "a@b.example", "//evil.example", "", "a b", "evil.example\0"])
def test_a_domain_that_is_no_plain_host_is_refused(domain: str):
    with pytest.raises(BadForm) as refused:
        parse_frame(MultiDict({**QUERY, "DOMAIN": domain}), MultiDict(BODY))

    assert "address" in refused.value.detail or not domain or "\0" in domain


def test_a_repeated_field_is_refused_only_if_its_values_differ():
    body = MultiDict([*BODY.items(), ("AUTH_ID", "c" * 72)])
    with pytest.raises(BadForm):
        parse_frame(MultiDict(QUERY), body)

    assert parse_frame(MultiDict(QUERY), MultiDict([*BODY.items(), *BODY.items()])).auth_id == BODY["AUTH_ID"]


def test_the_body_wins_over_the_query():
    assert parse_frame(MultiDict({**QUERY, "AUTH_ID": "c" * 72}), MultiDict(BODY)).auth_id == BODY["AUTH_ID"]


def test_thousands_of_fields_are_refused():
    many = {f"field{n}": "x" for n in range(MOST_FIELDS + 1)}

    with pytest.raises(BadForm):
        parse_frame(MultiDict(QUERY), MultiDict({**BODY, **many}))
    with pytest.raises(BadForm):
        parse_event(MultiDict({**EVENT, **many}))


# --- events ----------------------------------------------------------------------------------------------------------


def test_an_event_is_read_with_its_brackets():
    post = event()

    assert (post.event, post.ts, dict(post.values)) == (
        "ONAPPINSTALL",
        1795426400,
        {"VERSION": "3", "LANGUAGE_ID": "en"},
    )
    assert post.auth.member_id == BODY["member_id"]
    assert post.auth.domain == "acme.bitrix24.com"
    assert post.auth.server_endpoint == "https://oauth.bitrix.info/rest/"
    assert post.auth.application_token == EVENT["auth[application_token]"]


def test_the_stand_ins_own_envelope_is_read(standin: StandIn):
    portal = standin.portals[0]
    portal.install()
    installation = portal.state.installation
    assert installation is not None
    form = sandbox_events.envelope(standin.world, portal.state, installation, "ONAPPUPDATE", 7, {"VERSION": 4}, 1)

    post = parse_event(MultiDict(form))

    assert (post.event, post.auth.member_id) == ("ONAPPUPDATE", portal.member_id)
    assert post.auth.application_token == portal.application_token


def test_a_misspelt_server_of_the_docs_samples_is_understood():
    post = event({"auth[server_andpoint]": "https://oauth.bitrix24.tech/rest/"}, without="auth[server_endpoint]")

    assert post.auth.server_endpoint == "https://oauth.bitrix24.tech/rest/"


def test_a_removal_without_tokens_is_an_event():
    post = parse_event(
        MultiDict({
            "event": "onAppUninstall", "data[CLEAN]": "1", "auth[member_id]": BODY["member_id"],
            "auth[application_token]": "5185" * 8, "auth[access_token]": "",
        })
    )  # fmt: skip

    assert (post.event, post.values["CLEAN"], post.auth.access_token, post.ts) == ("ONAPPUNINSTALL", "1", None, 0)


@pytest.mark.parametrize("name", ["member_id", "application_token", "access_token", "domain"])
def test_who_an_event_is_from_is_read_from_its_auth_part_alone(name: str):
    told = event({name: "f" * 32, f"data[{name}]": "f" * 32}, without=f"auth[{name}]") if name != "member_id" else None
    if told is None:
        with pytest.raises(BadForm):
            event({name: "f" * 32}, without="auth[member_id]")
    else:
        assert getattr(told.auth, name) is None


def test_what_an_event_is_and_when_is_not_read_from_its_auth_part():
    post = event({"auth[event]": "ONAPPUNINSTALL", "auth[ts]": "5"})

    assert (post.event, post.ts) == ("ONAPPINSTALL", 1795426400)


def test_two_posts_have_one_digest_only_when_they_say_the_same():
    assert event().digest == event().digest
    assert event().digest != event({"ts": "1795426401"}).digest


@pytest.mark.parametrize(("name", "value"), [
    ("event", ""), ("event", "no spaces here"), ("event", "x" * 65), ("event", "ONAPP\0INSTALL"), ("ts", "yesterday"),
    ("ts", "-5"), ("ts", "9" * 40), ("auth[member_id]", "../x"), ("auth[access_token]", "a b c d e f"),
    ("auth[application_token]", "x" * 600), ("auth[domain]", "evil/"), ("auth", "\0"), ("data[x]", "\ufffd"),
    ("data[x][y][z]", "1"), ("a" + "[b" * 500, "1"), ("[x]", "1"), ("", "1"), ("data[x]y", "1"), ("data[\0]", "1"),
])  # fmt: skip
def test_what_is_no_event_is_refused(name: str, value: str):
    with pytest.raises(BadForm) as refused:
        event({name: value})

    assert refused.value.status == 400


# --- whatever comes --------------------------------------------------------------------------------------------------

odd = st.one_of(
    st.text(max_size=60),
    st.sampled_from(["", "0", "-1", "1e9", "true", "[]", "{}", "null", "\0", "\ud800", "\ufffd", "9" * 400, "a" * 40]),
    st.sampled_from([*BODY.values(), *QUERY.values(), *EVENT.values()]),
)
names = st.one_of(
    st.sampled_from(
        [*BODY, *QUERY, *EVENT, "PLACEMENT_OPTIONS", "lids", "action", "kind", "at", "until", "zone", "reason"]
    ),
    st.text(max_size=20),
    st.text(alphabet="ab[]{}=&\0", max_size=30),
)
pairs = st.lists(st.tuples(names, odd), max_size=25)
often = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def outcome(read_it: Callable[[], object]) -> object:
    """What was read, or the refusal; anything else is a failure of the test."""
    try:
        return read_it()
    except Problem as refused:
        return refused


def is_refusal(result: object, status: int) -> bool:
    return isinstance(result, BadForm) and result.status == status


@often
@given(pairs, pairs)
def test_a_frames_post_is_read_or_refused_whatever_it_says(query: list, body: list):
    for first, second in ((query, body), ([*QUERY.items(), *query], [*BODY.items(), *body])):
        result = outcome(lambda first=first, second=second: parse_frame(MultiDict(first), MultiDict(second)))  # type: ignore[misc]

        assert isinstance(result, FramePost) or is_refusal(result, 400)


@often
@given(pairs)
def test_an_event_is_read_or_refused_whatever_it_says(form: list):
    for whole in (form, [*EVENT.items(), *form]):
        result = outcome(lambda whole=whole: parse_event(MultiDict(whole)))  # type: ignore[misc]

        assert isinstance(result, EventPost) or is_refusal(result, 400)


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), odd),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)


@often
@given(pairs, st.dictionaries(names, anything, max_size=8))
def test_an_order_is_read_or_refused_whatever_it_says(form: list, body: dict):
    for sent in (MultiDict(form), MultiDict([("action", "unpublish"), ("lids", "5"), *form]), body):
        result = outcome(lambda sent=sent: read(OrderForm, sent, lists=("lids",)).order(ALICE, NOW))  # type: ignore[misc]

        assert isinstance(result, Order) or is_refusal(result, 422)
        (getattr(result, "reason", None) or "").encode()
