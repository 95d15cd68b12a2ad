"""The history: who, when and what, filtered; and the weeks at a glance."""

from datetime import UTC, datetime, timedelta

import pytest

from b24app.domain import Actor
from b24app.i18n import zone
from b24app.runs.statistics import WEEKS, Week
from tests.people import Person


def actor_of(person: Person) -> Actor:
    return Actor(person.portal.member_id, person.user_id, "", "en", "light", None, "", 0)


def lids(portal, number: int) -> list[int]:
    return [page.id for page in portal.pages("PAGE") if page.active][:number]


def names(answer) -> list[str]:
    return [run["id"] for run in answer.json["runs"]]


def test_weeks_count_what_was_really_changed(services, portal, alice, clock, standin):
    first, second = lids(portal, 2)
    alice.unpublish(first)
    clock.tick(days=7)
    alice.opened()
    standin.fault(0, "landing.landing.unpublic", kind="error", code="ACCESS_DENIED", status=400)
    alice.unpublish(second)
    alice.publish(first)

    weeks = services.statistics.weeks(actor_of(alice), zone("UTC"))

    assert len(weeks) == WEEKS
    assert [(week.unpublished, week.published, week.failed) for week in weeks[-2:]] == [(1, 0, 0), (0, 1, 1)]
    assert all(week.start.weekday() == 0 for week in weeks)
    assert not any(week.total for week in weeks[:-2])


def test_weeks_of_another_portal_and_of_long_ago_do_not_count(services, portal, alice, charlie, clock):
    alice.unpublish(*lids(portal, 1))

    assert services.statistics.weeks(actor_of(charlie), zone("UTC")) == []
    clock.tick(weeks=WEEKS + 1)
    assert services.statistics.weeks(actor_of(alice), zone("UTC")) == []


def test_a_week_without_anything_is_empty():
    assert Week(datetime(2026, 11, 23, tzinfo=UTC).date()).total == 0


def test_people_who_gave_orders_are_listed_once_by_name(services, portal, ada, alice, charlie):
    first, second = lids(portal, 2)
    alice.unpublish(first)
    alice.unpublish(second)
    ada.open()
    ada.publish(first)

    found = services.statistics.people(actor_of(alice))

    assert [person.user_id for person in found] == sorted(
        {alice.user_id, ada.user_id}, key=lambda user: next(p.name for p in found if p.user_id == user).casefold()
    )
    assert services.statistics.people(actor_of(charlie)) == []


def test_the_history_is_filtered_by_person_result_and_day(portal, ada, alice, clock):
    first, second = lids(portal, 2)
    old = alice.unpublish(first).json["id"]
    clock.tick(days=3)
    ada.open()
    new = ada.unpublish(second).json["id"]
    alice.opened()
    day = (datetime.now(UTC) + timedelta(days=3)).date()

    assert names(alice.get(f"/runs?user_id={alice.user_id}")) == [old]
    assert names(alice.get("/runs?state=succeeded")) == [new, old]
    assert names(alice.get("/runs?state=failed")) == []
    assert names(alice.get(f"/runs?from={day}")) == [new]
    assert names(alice.get(f"/runs?to={day - timedelta(days=1)}")) == [old]
    assert names(alice.get(f"/runs?from={day}&to={day}")) == [new]


@pytest.mark.parametrize("query", ["from=soon", "to=2026-02-30", "from=2026-13-01T00:00", "state=odd", "user_id=0"])
def test_a_filter_that_cannot_be_read_is_refused_in_words(alice, query):
    answer = alice.get(f"/runs?{query}")

    assert answer.status_code == 422
    assert answer.json["code"] == "invalid"


def test_the_page_shows_filters_people_and_a_chart_of_more_than_one_bar(portal, alice, clock):
    first, second = lids(portal, 2)
    alice.unpublish(first)
    of_one_week = alice.fragment("GET", "/runs").text
    clock.tick(days=7)
    alice.opened().unpublish(second)

    shown = alice.fragment("GET", "/runs").text

    assert of_one_week.count('<svg class="bar"') == 0
    assert shown.count('<svg class="bar"') == WEEKS
    assert f'<option value="{alice.user_id}">' in shown
    assert "1 unpublished, 0 published, 0 failed" in shown


def test_what_is_scheduled_stands_soonest_first(portal, alice):
    first, second = lids(portal, 2)
    late = alice.unpublish(first, at="2027-06-01T10:00:00+00:00").json["id"]
    soon = alice.unpublish(second, at="2027-05-01T10:00:00+00:00").json["id"]
    later = alice.unpublish(second, at="2027-07-01T10:00:00+00:00").json["id"]

    shown = alice.fragment("GET", "/runs?state=scheduled,waiting").text

    assert sorted((soon, late, later), key=lambda run: shown.index(f'id="entry-{run}"')) == [soon, late, later]
