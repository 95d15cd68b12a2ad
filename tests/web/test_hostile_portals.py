"""A portal that answers without end, or with what costs more than it looks: lists stop, memory stays."""

import json
import time
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter

from b24app.bitrix.address import Addresses
from b24app.bitrix.connect import GuardedAdapter
from b24app.bitrix.landing import read_living_folders, read_pages
from b24app.bitrix.rest import MOST_BYTES, Answer, Rest, Timing, _timing, read_body
from b24app.clock import utcnow
from b24app.deadline import within
from b24app.domain import Kind, UserRef
from b24app.errors import Unavailable
from b24app.pages import lists
from b24app.services import Services
from b24sandbox import StandIn
from tests.loopback import Loopback, answer
from tests.people import Person, run_id_of

MEGABYTE = 1024 * 1024
JUNK = {
    "empty objects": b"{},",
    "empty lists": b"[],",
    "numbers": b"1234,",
    "short texts": b'"ab",',
}


def rest(portal: Loopback) -> Rest:
    return Rest(GuardedAdapter(Addresses(allow_insecure=True)), utcnow)


@pytest.mark.parametrize("kind", JUNK)
def test_eight_megabytes_of_junk_cost_little_more_than_is_read_of_them(kind: str):
    body = b'{"result":[' + JUNK[kind] * (8 * MEGABYTE // len(JUNK[kind]) - 10) + b"1]}"
    with Loopback(answer(body)) as portal:
        caller = rest(portal)
        tracemalloc.start()
        try:
            with pytest.raises(Unavailable) as refused:
                caller.batch(portal.url(), "t" * 32, {})
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert refused.value.code == "ERROR_UNEXPECTED_ANSWER"
    assert peak < 10 * MEGABYTE, "a tenth of what a web process has"


@pytest.mark.parametrize(("method", "size"), [("profile", MOST_BYTES), ("landing.landing.getList", 2 * MEGABYTE)])
def test_an_answer_is_as_large_as_its_method_needs(method: str, size: int):
    for length, well in ((size - 100, True), (size + 100, False)):
        with Loopback(answer(b'{"result":"' + b"x" * length + b'"}')) as portal:
            caller = rest(portal)
            if well:
                assert len(str(caller.call(portal.url(), "t" * 32, method).result)) == length
            else:
                with pytest.raises(Unavailable):
                    caller.call(portal.url(), "t" * 32, method)


def test_a_list_of_the_usual_size_passes(alice: Person, standin: StandIn):
    alice.portal.add_pages(3_000)

    assert alice.read("/pages?fresh=1&limit=1")["total"] > 3_000


def test_more_rows_than_were_asked_for_are_refused():
    rows = [{"ID": str(n)} for n in range(1, 12)]

    assert len(read_pages(rows, 11)) == 11
    with pytest.raises(Unavailable):
        read_pages(rows, 10)


def test_a_long_chain_of_folders_is_walked_once():
    chain: list[dict[str, Any]] = [{"ID": n, "PARENT_ID": n - 1 or None} for n in range(1, 20_000)]

    living = read_living_folders(3, Answer(chain)) or ()
    assert len(living) == 19_999
    assert read_living_folders(3, Answer([{"ID": 1, "PARENT_ID": 2}, {"ID": 2, "PARENT_ID": 1}])) == ()
    assert read_living_folders(3, Answer([{"ID": 1}, {"ID": 1, "PARENT_ID": 1}])) == ()  # the same one twice
    assert len(lists.PageList((), (), utcnow(), living).folder_names[19_999].split(" / ")) == lists.DEEPEST + 1


class Endless(BaseAdapter):
    """A portal with full chunks behind every page; `stuck` ones are always the same."""

    def __init__(self, stuck: bool) -> None:
        super().__init__()
        self.stuck = stuck
        self.asked = 0
        self.last = 0

    def send(self, request: PreparedRequest, *_: Any, **__: Any) -> Response:
        commands = json.loads(request.body or b"{}").get("cmd", {})
        self.asked += 1
        results = {name: self._said(command) for name, command in commands.items()}
        reply = Response()
        reply.status_code = 200
        reply._content = b""
        reply.raw = _Raw(json.dumps({"result": {"result": results, "result_error": [], "result_time": []}}).encode())
        return reply

    def _said(self, command: str) -> list[Any]:
        if command.startswith("landing.site.getList"):
            return [{"ID": "3", "TITLE": "Main", "ACTIVE": "Y"}]
        if not command.startswith("landing.landing.getList"):
            return []
        first = 1 if self.stuck else self.last + 1
        self.last = first + lists.CHUNK - 1
        return [{"ID": str(n), "SITE_ID": "3", "TITLE": "x", "ACTIVE": "Y"} for n in range(first, first + lists.CHUNK)]

    def close(self) -> None:
        """Nothing is open."""


class _Raw:
    def __init__(self, body: bytes) -> None:
        self._parts: Iterator[bytes] = iter([body, b""])

    def read1(self, *_: Any, **__: Any) -> bytes:
        return next(self._parts)

    def close(self) -> None:
        """Nothing is open."""

    def release_conn(self) -> None:
        """Nothing is held."""


@pytest.mark.parametrize("stuck", [False, True])
def test_reading_a_portal_with_endless_full_chunks_stops_at_a_limit(alice: Person, services: Services, stuck: bool):
    portal = Endless(stuck)
    actor = services.users.actor(alice_ref(alice))
    for prefix in ("http://", "https://"):
        services.tokens._rest._session.mount(prefix, portal)

    if stuck:
        with pytest.raises(Unavailable):
            services.pages.all_of(actor, Kind.PAGE)
        assert portal.asked <= 2
        return
    listed = services.pages.all_of(actor, Kind.PAGE)
    assert listed.capped
    assert len(listed.pages) == lists.MOST_PAGES
    assert portal.asked <= 12

    said = alice.read("/pages?limit=1")
    assert said["capped"] is True
    assert "first 50,000" in alice.fragment("GET", "/pages").text


def alice_ref(alice: Person) -> UserRef:
    return UserRef(alice.portal.member_id, alice.user_id)


def test_a_list_that_is_whole_says_nothing_of_a_limit(alice: Person):
    assert set(alice.read("/pages")) == {"pages", "total", "next", "previous"}
    assert "first 50,000" not in alice.fragment("GET", "/pages").text


@pytest.mark.parametrize("reset", [999_999_999_999, -5, 1e300, True, "soon", None])
def test_a_moment_that_is_none_does_not_matter_to_what_was_done(alice: Person, standin: StandIn, reset: object):
    standin.fault(0, "batch", kind="wrong_field", field="result.result_time.c351.operating_reset_at", value=reset)

    answer = alice.unpublish(351)

    assert answer.status_code == 201, answer.text
    assert run_id_of(answer)
    assert not alice.portal.page(351).active


def test_a_reset_far_away_is_no_moment():
    body = read_body(200, '{"result":1,"time":{"operating":1.5,"operating_reset_at":999999999999}}', "profile")

    assert _timing(body["time"]) == Timing(None, 1.5, None)


def test_people_from_outside_the_company_reach_the_groups_they_are_in(alice: Person, bob: Person, standin: StandIn):
    group = next(site for site in standin.portals[0].sites() if site.type == "GROUP")
    page = next(page for page in standin.portals[0].pages("GROUP"))
    standin.portals[0].change_user("reader", extranet=True)

    refused = bob.get("/pages")
    shown = bob.fragment("GET", "/pages")
    groups = bob.read("/pages?kind=GROUP")
    one = bob.get(f"/pages/{page.id}")

    assert refused.status_code == 403
    assert shown.status_code == 200
    assert "have access to these sites" in shown.text
    assert 'value="GROUP"' in shown.text
    assert groups["total"] > 0
    assert one.status_code == 200
    assert bob.get(f"/pages?site={group.id}&any_kind=1").json["total"] > 0  # type: ignore[index]


def test_lists_of_many_people_are_dropped_by_number_and_age(services: Services, alice: Person):
    actor = services.users.actor(alice_ref(alice))
    for n in range(lists.KEPT_LISTS + 50):
        services.pages._keep((replace(actor, user_id=n).user, Kind.PAGE), 0, lists.PageList((), (), utcnow()))
    assert len(services.pages._kept) == lists.KEPT_LISTS

    later = utcnow() + 2 * lists.FRESH
    services.pages._keep((actor.user, Kind.PAGE), 0, lists.PageList((), (), later))

    assert len(services.pages._kept) == 1


def test_a_deadline_is_the_smaller_of_what_is_left_and_a_calls_own(alice: Person, services: Services, standin: StandIn):
    standin.fault(0, "*", kind="hang", seconds=30, times=-1)
    began = time.monotonic()
    with within(1.0), pytest.raises(Unavailable) as late:
        services.tokens.call(alice_ref(alice), "profile")
    assert time.monotonic() - began < 15, "and its own are thirty"
    assert late.value.code == "portal_timeout"

    with within(0.0), pytest.raises(Unavailable) as never:
        services.tokens.call(alice_ref(alice), "profile")
    assert never.value.maybe_done is False
