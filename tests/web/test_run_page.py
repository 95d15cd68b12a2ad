"""The page of one run: its pages in screens, the failed ones alone, and what it asks for while it moves."""

import re
from html import unescape

import pytest

from b24app.services import Services
from b24sandbox import PortalHandle, StandIn
from tests.people import Person
from tests.worker import work_until_idle

STEP = re.compile(r'id="items-(previous|next)-top" (?:[^>]*?hx-get="[^"]+" hx-vals="([^"]+)"|(disabled))')
RANGE = re.compile(r'<span class="range">([^<]+)</span>')


def steps(shown: str) -> dict[str, str | None]:
    """Where Previous and Next lead, as the cursor they send; None for a button that leads nowhere."""
    found = {name: unescape(sent) for name, sent, _off in STEP.findall(shown)}
    return {name: re.search(r'"after": "?(-?\d+)', sent)[1] if sent else None for name, sent in found.items()}  # type: ignore[index]


@pytest.fixture
def path(alice: Person, portal: PortalHandle, services: Services, standin: StandIn) -> str:
    """A run of five pages of which the second and the last failed."""
    lids = [page.id for page in portal.pages("PAGE") if page.active][:5]
    for skip in (1, 3):
        standin.fault(0, "landing.landing.unpublic", kind="error", code="ACCESS_DENIED", status=400, skip=skip)
    made = alice.unpublish(*lids).headers["Location"]
    work_until_idle(services)
    return made


def test_pages_of_a_run_come_in_screens_that_lead_both_ways(alice: Person, path: str):
    first, second, last = (
        alice.fragment("GET", f"{path}?limit=2{after}").text for after in ("", "&after=1", "&after=3")
    )

    assert [RANGE.findall(shown)[0] for shown in (first, second, last)] == ["1–2 of 5", "3–4 of 5", "5–5 of 5"]
    assert [steps(shown) for shown in (first, second, last)] == [
        {"previous": None, "next": "1"},
        {"previous": "-1", "next": "3"},
        {"previous": "1", "next": None},
    ]


def test_failed_pages_are_counted_and_shown_alone(alice: Person, path: str):
    everything = alice.fragment("GET", path).text
    failed = alice.fragment("GET", f"{path}?items=failed").text

    assert everything.count('<li id="item-') == 5
    assert failed.count('<li id="item-') == failed.count('class="why"') == 2
    assert 'id="items-failed" aria-pressed="true"' in failed


def test_a_run_of_one_screen_has_no_steps(alice: Person, path: str):
    assert STEP.findall(alice.fragment("GET", path).text) == []


def test_a_moving_run_asks_for_the_very_screen_that_is_shown(alice: Person, portal: PortalHandle):
    lids = [page.id for page in portal.pages("PAGE") if page.active][:5]
    made = alice.unpublish(*lids).headers["Location"]

    shown = unescape(alice.fragment("GET", f"{made}?limit=2&after=1").text)

    assert 'data-poll="2"' in shown
    assert re.search(r'''hx-vals="\{"after": 1, "items": "all", "limit": 2\}"\s+hx-trigger="poll"''', shown)


def test_more_pages_than_an_order_takes_are_not_promised(alice: Person, portal: PortalHandle):
    portal.add_pages(5001)

    shown = alice.fragment("GET", "/pages").text

    assert 'data-all="Select the first 5,000 that match"' in shown
