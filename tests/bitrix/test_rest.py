"""One request, one answer: what counts as one, how long it may take, how large it may be, and what is kept of it."""

import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable
from urllib.parse import unquote

import pytest

from b24app.bitrix.address import Addresses
from b24app.bitrix.connect import GuardedAdapter
from b24app.bitrix.rest import MOST_BYTES, Answer, Call, Command, Earlier, Rest, Timing, brackets, read_json
from b24app.clock import utcnow
from b24app.errors import (
    AccessDenied,
    ExpiredToken,
    InsufficientScope,
    PortalError,
    PortalMoved,
    RestRefused,
    Throttled,
    Unavailable,
    Unexpected,
)
from b24sandbox import StandIn
from tests.loopback import Loopback, Piece, answer

TOKEN = "0123456789abcdef" * 4
TYPE = "Content-Type: application/json"
SOON = 10.0  # far less than the slow answers below would take, far more than the limits they are given


def told(body: object, status: str = "200 OK") -> bytes:
    return answer(json.dumps(body).encode(), status, TYPE)


@pytest.fixture
def calls() -> list[Call]:
    return []


@pytest.fixture
def rest(calls: list[Call]) -> Rest:
    return Rest(GuardedAdapter(Addresses(allow_insecure=True)), utcnow, calls.append)


def ask(rest: Rest, *pieces: Piece, seconds: float = 30, endless: bool = False) -> Answer:
    with Loopback(*pieces, endless=endless) as server:
        return rest.call(server.url(), TOKEN, "landing.landing.unpublic", {"lid": 5}, seconds)


def refused(rest: Rest, *pieces: Piece, seconds: float = 30, endless: bool = False) -> PortalError:
    with pytest.raises(PortalError) as caught:
        ask(rest, *pieces, seconds=seconds, endless=endless)
    return caught.value


# --- what is sent ----------------------------------------------------------------------------------------------------


def test_the_token_rides_in_the_body_and_nowhere_else(rest: Rest):
    with Loopback(told({"result": True})) as server:
        rest.call(server.url(), TOKEN, "landing.landing.unpublic", {"lid": 5, "scope": "KNOWLEDGE"})

    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /rest/landing.landing.unpublic HTTP/1.1")
    assert TOKEN.encode() not in head
    assert json.loads(body) == {"lid": 5, "scope": "KNOWLEDGE", "auth": TOKEN}


def test_a_batch_is_one_request_with_commands_as_text(rest: Rest):
    commands = {"c0": Command("landing.landing.unpublic", {"lid": 5}), "c1": Command("profile")}
    with Loopback(told({"result": {"result": {"c0": True, "c1": {}}}})) as server:
        rest.batch(server.url(), TOKEN, commands)

    assert len(server.asked) == 1
    assert json.loads(server.asked[0].partition(b"\r\n\r\n")[2])["cmd"] == {
        "c0": "landing.landing.unpublic?lid=5",
        "c1": "profile",
    }


def test_nested_values_are_written_the_way_php_reads_them():
    params: dict[str, object] = {
        "params": {"filter": {"ID": [3, 4]}, "get_urls": True, "x": False},
        "empty": None,
        "none": [],
    }

    assert list(brackets(params)) == [
        ("params[filter][ID][0]", "3"), ("params[filter][ID][1]", "4"), ("params[get_urls]", "1"), ("params[x]", "0"),
        ("empty", ""),
    ]  # fmt: skip


def test_letters_are_encoded_once_and_brackets_of_names_stay():
    command = Command("event.bind", {"fields": {"TITLE": "Über & unter=?#"}})

    assert command.as_query() == "event.bind?fields[TITLE]=%C3%9Cber%20%26%20unter%3D%3F%23"


def test_a_value_that_a_batch_would_replace_is_not_sent():
    with pytest.raises(ValueError, match="result"):
        Command("landing.site.getList", {"filter": "$result[c0][ID]"}).as_query()


def test_a_reference_of_ours_to_an_earlier_answer_rides_in_a_batch():
    command = Command("landing.site.getList", {"filter": {">ID": Earlier("p0", (499, "ID"), "00")}})

    assert unquote(command.as_query()) == "landing.site.getList?filter[>ID]=$result[p0][499][ID]00"


def test_more_commands_than_a_batch_takes_are_not_sent(rest: Rest):
    with Loopback(told({"result": {}})) as server, pytest.raises(ValueError, match="at most 50"):
        rest.batch(server.url(), TOKEN, {f"c{n}": Command("profile") for n in range(51)})

    assert server.met == 0


def test_a_real_portal_understands_all_of_it(rest: Rest, standin: StandIn):
    portal = standin.portals[0]
    portal.install()
    token = str(portal.tokens("editor")["access_token"])
    listed = Command(
        "landing.landing.getList", {"params": {"select": ["ID", "TITLE"], "filter": {"ID": [351]}, "limit": 5}}
    )

    answers = rest.batch(portal.endpoint, token, {"c0": Command("profile"), "c1": listed})

    page = answers["c1"]
    assert isinstance(page, Answer)
    assert [row["ID"] for row in page.result] == ["351"]  # type: ignore[attr-defined]
    assert portal.requests() == 1


# --- what an answer means --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", [True, False, None, [], {}, 0, "text"])
def test_any_result_is_an_answer(rest: Rest, result: object):
    assert ask(rest, told({"result": result})).result == result


def test_the_cost_of_a_call_is_read_where_it_is_told(rest: Rest):
    cost = {"start": 1, "duration": 0.5, "operating": 0.25, "operating_reset_at": 1795427000}

    assert ask(rest, told({"result": True, "time": cost})).timing == Timing(0.5, 0.25, 1795427000)
    assert ask(rest, told({"result": True, "time": []})).timing == Timing()
    assert ask(rest, told({"result": True})).timing == Timing()


@pytest.mark.parametrize("figure", ['"soon"', "null", "true", "NaN", "Infinity", "-Infinity", "1e400", "1e30", "[]"])
def test_a_figure_that_is_none_is_left_out(rest: Rest, figure: str):
    body = f'{{"result":true,"time":{{"operating":{figure},"operating_reset_at":{figure}}}}}'

    assert ask(rest, answer(body.encode(), "200 OK", TYPE)).timing == Timing()


@pytest.mark.parametrize(("status", "code", "kind"), [
    ("401 Unauthorized", "expired_token", ExpiredToken),
    ("200 OK", "expired_token", ExpiredToken),
    ("403 Forbidden", "EXPIRED_TOKEN", ExpiredToken),
    ("403 Forbidden", "insufficient_scope", InsufficientScope),
    ("400 Bad Request", "ACCESS_DENIED", AccessDenied),
    ("401 Unauthorized", "ACCESS_DENIED", RestRefused),
    ("503 Service Unavailable", "QUERY_LIMIT_EXCEEDED", Throttled),
    ("400 Bad Request", "NEVER_HEARD_OF", Unexpected),
    ("500 Internal Server Error", "NEVER_HEARD_OF", Unavailable),
])  # fmt: skip
def test_the_error_code_decides_and_the_status_only_where_it_must(rest: Rest, status: str, code: str, kind: type):
    error = refused(rest, told({"error": code, "error_description": "words of theirs"}, status))

    assert type(error) is kind
    assert error.code == code
    assert error.method == "landing.landing.unpublic"
    assert "words of theirs" not in str(error) + error.detail


@pytest.mark.parametrize("body", [
    b"", b"<html>502</html>", b'{"result":{"res', b"[]", b"null", b'"text"', b"{}", b"\xff\xfe", b"[" * 100_000,
    b'{"result":' * 5000, b"1" * 10_000,
])  # fmt: skip
def test_what_is_no_answer_may_have_been_carried_out_all_the_same(rest: Rest, body: bytes):
    error = refused(rest, answer(body, "200 OK", TYPE))

    assert type(error) is Unavailable
    assert error.status == 502
    assert error.maybe_done


def test_a_gateway_that_gave_up_waiting_is_a_time_out(rest: Rest):
    error = refused(rest, answer(b"<html>504</html>", "504 Gateway Time-out", "Content-Type: text/html"))

    assert (error.code, error.status, error.maybe_done) == ("portal_timeout", 504, True)


def test_a_refused_connection_carried_nothing(rest: Rest):
    with Loopback() as server:
        url = server.url()

    with pytest.raises(Unavailable) as caught:
        rest.call(url, TOKEN, "profile")

    assert not caught.value.maybe_done


@pytest.mark.parametrize(
    "said", [b"", b"HTTP/1.1 200 OK\r\n", b"not http\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"]
)
def test_a_connection_that_breaks_later_may_have_carried_the_request(rest: Rest, said: bytes):
    error = refused(rest, said)

    assert type(error) is Unavailable
    assert error.maybe_done


@pytest.mark.parametrize("empty", [[], {}])
def test_a_batch_is_read_in_the_shapes_php_gives_it(rest: Rest, empty: object):
    failed = {"b": {"error": "LANDING_NOT_EXIST"}}
    whole = {"result": {"a": True, "d": None}, "result_error": failed, "result_time": empty, "result_next": empty}
    with Loopback(told({"result": whole})) as server:
        answers = rest.batch(server.url(), TOKEN, {key: Command("landing.landing.unpublic") for key in "abcd"})

    assert [type(answers[key]).__name__ for key in "abcd"] == ["Answer", "PageGone", "Unavailable", "Answer"]


def test_a_batch_of_counted_keys_may_come_as_a_list(rest: Rest):
    body = {"result": {"result": [True, False], "result_error": [], "result_time": [{"duration": 1}, {}]}}
    with Loopback(told(body)) as server:
        answers = rest.batch(server.url(), TOKEN, {"0": Command("a"), "1": Command("b")})

    assert answers == {"0": Answer(True, Timing(1.0)), "1": Answer(False)}


@pytest.mark.parametrize(
    "result", [None, [], "text", 5, {"result": "x", "result_error": 7}, {"result_error": {"c0": 5}}]
)
def test_a_batch_that_tells_nothing_of_a_command_leaves_it_open(rest: Rest, result: object):
    with Loopback(told({"result": result})) as server:
        answers = rest.batch(server.url(), TOKEN, {"c0": Command("landing.landing.unpublic")})

    assert isinstance(answers["c0"], PortalError)


# --- redirects -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_told_and_not_followed(rest: Rest, status: str):
    with Loopback(told({"result": True})) as evil:
        moved = answer(b"x" * 100, status, f"Location: {evil.url()}profile")
        error = refused(rest, moved)

        assert isinstance(error, PortalMoved)
        assert error.host == f"127.0.0.1:{evil.port}"
        assert evil.met == 0


@pytest.mark.parametrize("location", ["", "/elsewhere", "http://[broken", "//", "\xff\xfe", "javascript:alert(1)"])
def test_a_redirect_to_nowhere_names_no_host(rest: Rest, location: str):
    error = refused(rest, answer(b"", "302 Found", f"Location: {location}"))

    assert isinstance(error, PortalMoved)
    assert "." not in error.host


# --- limits ----------------------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\n"
SLOW: dict[str, tuple[Piece, ...]] = {
    "silence": (60.0, b""),
    "headers by the byte": (HEAD + b"X-Slow: ", 0.05, b"x"),
    "headers by the line": (HEAD, 0.05, b"X-Slow: x\r\n"),
    "a body by the byte": (HEAD + b"Content-Length: 100000\r\n\r\n", 0.05, b" "),
    "chunks by the byte": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", 0.05, b"1\r\n \r\n"),
    "provisional answers": (b"", 0.05, b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body without length": (HEAD + b"\r\n", 0.05, b" "),
}


@pytest.mark.parametrize("kind", SLOW)
def test_trickling_in_gains_no_time(rest: Rest, kind: str):
    started = time.monotonic()

    error = refused(rest, *SLOW[kind], seconds=0.6, endless=True)

    assert time.monotonic() - started < SOON
    assert type(error) is Unavailable
    assert error.maybe_done
    assert error.code == "portal_timeout"


def test_a_slow_answer_within_the_limit_is_an_answer(rest: Rest):
    whole = told({"result": True})
    pieces = [piece for byte in range(0, len(whole), 8) for piece in (whole[byte : byte + 8], 0.01)]

    assert ask(rest, *pieces, seconds=20).result is True


def test_a_connection_used_again_has_its_time_anew(rest: Rest):
    body = b'{"result":true}'
    kept = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with Loopback(0.3, kept, again=True) as server:
        for _ in range(3):
            assert rest.call(server.url(), TOKEN, "profile", timeout=30).result is True

        assert server.met == 1
        assert len(server.asked) == 3


PACKED: dict[str, Callable[[bytes], bytes]] = {"identity": bytes, "gzip": gzip.compress, "deflate": zlib.compress}


@pytest.mark.parametrize("coding", PACKED)
@pytest.mark.parametrize("status", ["200 OK", "302 Found"])
def test_an_answer_too_large_is_dropped_however_it_is_packed(rest: Rest, coding: str, status: str):
    body = PACKED[coding](b'{"result":"' + b"a" * (MOST_BYTES + 10) + b'"}')
    headers = (f"Content-Encoding: {coding}", "Location: http://127.0.0.1:9/")

    error = refused(rest, answer(body, status, *headers), seconds=30)

    assert (error.code, error.maybe_done) == ("ERROR_UNEXPECTED_ANSWER", True)


def test_a_bomb_is_defused_before_it_fills_the_memory(rest: Rest):
    bomb = gzip.compress(gzip.compress(b"\0" * 300_000_000, 9), 9)
    tracemalloc.start()

    error = refused(rest, answer(bomb, "200 OK", "Content-Encoding: gzip, gzip"), seconds=60)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert error.code == "ERROR_UNEXPECTED_ANSWER"
    assert peak < 60_000_000


def test_a_broken_packing_is_no_answer(rest: Rest):
    error = refused(rest, answer(b"no gzip at all", "200 OK", "Content-Encoding: gzip"))

    assert type(error) is Unavailable


def test_thousands_of_headers_are_no_answer(rest: Rest):
    error = refused(rest, HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(5000)) + b"\r\n")

    assert type(error) is Unavailable


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_the_log_gets_the_facts_and_no_token(rest: Rest, calls: list[Call]):
    ask(rest, told({"result": {"echo": TOKEN}}))

    kept = calls[0]
    assert (kept.method, kept.http_status, kept.code) == ("landing.landing.unpublic", 200, None)
    assert json.loads(kept.params) == {"lid": 5}
    assert "[redacted]" in kept.answer_text
    assert TOKEN not in repr(kept)


def test_a_failure_is_logged_with_its_code(rest: Rest, calls: list[Call]):
    refused(rest, told({"error": "expired_token"}, "401 Unauthorized"))

    assert (calls[0].http_status, calls[0].code) == (401, "expired_token")


def test_what_is_kept_fits_into_a_table(rest: Rest, calls: list[Call]):
    refused(rest, answer(b"<html>\0\xff" + b"x" * 10_000, "200 OK"))

    text = calls[0].answer_text
    assert "\0" not in text
    assert len(text) <= 2000
    text.encode()


def test_no_cookie_is_taken_or_sent_back(rest: Rest):
    body = b'{"result":true}'
    kept = b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with Loopback(kept, again=True) as server:
        rest.call(server.url(), TOKEN, "profile")
        rest.call(server.url(), TOKEN, "profile")

    assert b"ookie" not in server.asked[1]


@pytest.mark.parametrize(("said", "read"), [
    (r'{"t":"a\u0000b"}', {"t": "a\ufffdb"}),
    (r'["\ud83d\ude00","\ud83d","\udc00x"]', ["\U0001f600", "\ufffd", "\ufffdx"]),
    (r'{"\ud800":[{"a":"\u0000"}]}', {"\ufffd": [{"a": "\ufffd"}]}),
    (r'"\\u0000"', r"\u0000"),
])  # fmt: skip
def test_letters_that_no_table_takes_are_replaced(said: str, read: object):
    assert read_json(said) == read
