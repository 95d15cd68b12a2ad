"""The app opened from the settings of a page or a site: on that very page, whatever kind it is."""

import re
from html import unescape

import pytest

from tests.clocks import YEAR
from tests.people import Person

START = re.compile(r'<main id="view" hx-get="([^"]+)"')


def opened_from(person: Person, **options: str) -> str:
    """What the page shows first."""
    found = START.search(person.open(placement="LANDING_SETTINGS", **options).text)
    assert found
    return person.fragment("GET", unescape(found.group(1))).text


@pytest.mark.parametrize("kind", ["PAGE", "KNOWLEDGE", "GROUP"])
def test_a_page_of_any_kind_is_found_by_its_number(portal, alice, kind):
    page = portal.pages(kind)[0]

    shown = opened_from(alice, LID=str(page.id), SITE_ID=str(page.site_id))

    assert f'data-lid="{page.id}"' in shown
    assert f'"kind": "{kind}"' in unescape(shown)


@pytest.mark.parametrize("kind", ["PAGE", "KNOWLEDGE", "GROUP"])
def test_settings_of_a_site_show_its_pages_in_their_kind(portal, alice, kind):
    page = portal.pages(kind)[0]

    shown = opened_from(alice, LID="0", SITE_ID=str(page.site_id))

    assert f'id="page-{page.id}"' in shown
    assert f'<option value="{kind}" selected>' in shown
    assert f'<option value="{page.site_id}" selected>' in shown


def test_settings_of_an_unknown_site_show_the_whole_list(portal, alice):
    shown = opened_from(alice, LID="0", SITE_ID="99999")

    assert f'id="page-{portal.pages("PAGE")[0].id}"' in shown


@pytest.mark.parametrize("options", [{}, {"LID": "0"}, {"LID": "x", "SITE_ID": "-1"}, {"LID": "²", "SITE_ID": "³"}])
def test_odd_options_show_the_whole_list(portal, alice, options):
    assert f'id="page-{portal.pages("PAGE")[0].id}"' in opened_from(alice, **options)


def test_a_page_that_is_gone_or_unreadable_is_told_in_words(alice):
    shown = opened_from(alice, LID="999999", SITE_ID="3")

    assert "The page was not found" in shown
    assert "All pages" in shown


def test_one_who_may_not_publish_sees_why(portal, bob):
    page = portal.pages("PAGE")[1]

    shown = opened_from(bob, LID=str(page.id), SITE_ID=str(page.site_id))

    assert "View only: you need the Publish right on" in shown
    assert "Unpublish…" not in shown


def test_the_own_history_and_schedule_of_the_page_stand_below_it(portal, alice):
    page = portal.pages("PAGE")[1]
    alice.unpublish(page.id, reason="Out of date")
    alice.publish(page.id, at=f"{YEAR}-06-01T10:00:00+00:00")

    shown = opened_from(alice, LID=str(page.id), SITE_ID=str(page.site_id))

    assert "Out of date" in shown
    assert "Goes online" in shown
