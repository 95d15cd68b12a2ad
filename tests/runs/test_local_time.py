from datetime import UTC, datetime, timedelta

import pytest

from b24app.errors import BadForm
from b24app.runs.local_time import scheduled_time, zone_of

NOW = datetime(2027, 1, 15, 12, 0, tzinfo=UTC)


def test_a_time_with_an_offset_is_that_instant():
    said = scheduled_time("2027-03-01T23:59+01:00", None, NOW)

    assert said.instant == datetime(2027, 3, 1, 22, 59, tzinfo=UTC)
    assert said.wall_time is None


def test_a_local_time_is_kept_as_it_was_said():
    said = scheduled_time("2027-07-01T23:59", "Europe/Riga", NOW)

    assert said.instant == datetime(2027, 7, 1, 20, 59, tzinfo=UTC)
    assert said.wall_time == "2027-07-01T23:59:00"


@pytest.mark.parametrize(("said", "suggested"), [
    ("2027-03-28T03:30", "2027-03-28T04:30"), ("2027-03-28T03:30:15", "2027-03-28T04:30:15"),
])  # fmt: skip
def test_a_time_that_the_clock_skips_is_refused_with_the_moment_after(said: str, suggested: str):
    with pytest.raises(BadForm) as refused:
        scheduled_time(said, "Europe/Riga", NOW)

    assert refused.value.code == "time_does_not_exist"
    assert refused.value.suggestion == suggested


def test_a_time_that_happens_twice_means_the_first():
    said = scheduled_time("2027-10-31T03:30", "Europe/Riga", NOW)

    assert said.instant == datetime(2027, 10, 31, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "text", ["", "tomorrow", "2027-02-30T10:00+00:00", "2027-03-01T10:00", "9999-12-31T23:59-12:00"]
)
def test_what_cannot_be_a_time_is_refused_in_words(text: str):
    with pytest.raises(BadForm) as refused:
        scheduled_time(text, None, NOW)

    assert "Nothing was scheduled" in refused.value.detail


@pytest.mark.parametrize("far", [timedelta(minutes=-2), timedelta(days=6 * 366)])
def test_the_past_and_the_far_future_are_refused(far: timedelta):
    with pytest.raises(BadForm):
        scheduled_time((NOW + far).isoformat(timespec="seconds"), None, NOW)


def test_the_minute_that_has_just_begun_is_not_the_past():
    assert scheduled_time((NOW - timedelta(seconds=30)).isoformat(timespec="seconds"), None, NOW)


@pytest.mark.parametrize("name", ["", None, "Mars/Olympus", "../etc/passwd", "a\0b"])
def test_an_unknown_zone_is_refused(name: str | None):
    with pytest.raises(BadForm):
        zone_of(name)
