"""Problems in the database: every key ever written still reads, and old rows are carried over by the migration."""

import json
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest

from b24app import errors
from b24app.errors import BY_KEY, AccessDenied, InsufficientScope, PortalError, PortalMoved, RecordedProblem
from tests.store.test_migrations import alembic

# Every key that any version wrote. A line may be added, none may be taken away or changed: databases hold them.
EVER_WRITTEN = {
    "access_denied": "ACCESS_DENIED", "app_not_allowed": "user_access_error", "app_removed": "app_removed",
    "authorization_unavailable": "authorization_unavailable", "blocked": "OVERLOAD_LIMIT",
    "both_times_past": "both_times_past", "confirm_needed": "METHOD_CONFIRM_WAITING",
    "expired_token": "expired_token", "forbidden_address": "portal_address_refused",
    "insufficient_scope": "insufficient_scope", "invalid_token": "invalid_token", "key_missing": "token_key_missing",
    "not_installed": "APPLICATION_NOT_FOUND", "nothing_to_bring_back": "nothing_to_bring_back",
    "operator_error": "invalid_client", "page_gone": "LANDING_NOT_EXIST", "payment_required": "PAYMENT_REQUIRED",
    "portal_closed": "PORTAL_DELETED", "portal_moved": "portal_moved", "publish_refused": "PUBLISH_REFUSED",
    "publish_too_late": "too_late", "rest_refused": "ACCESS_DENIED", "sign_in_again": "invalid_grant",
    "outcome_unknown": "outcome_unknown", "unpublish_too_late": "too_late",
    "throttled": "QUERY_LIMIT_EXCEEDED", "time_is_up": "time_is_up", "unavailable": "portal_unavailable",
    "unexpected": "unexpected", "user_gone": "authorization_error", "waited_too_long": "waited_too_long",
}  # fmt: skip


@pytest.mark.parametrize(("key", "code"), EVER_WRITTEN.items())
def test_every_key_ever_written_still_reads(key: str, code: str) -> None:
    read = RecordedProblem.read({"key": key, "code": "AS_IT_CAME", "method": "landing.landing.unpublic"})

    assert read.kind.key == key
    assert read.kind.code == code
    assert read.problem().detail == read.kind.detail
    assert read.problem().remedy == read.kind.remedy


def test_each_problem_has_a_key_of_its_own() -> None:
    classes = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.Problem)]

    assert len(BY_KEY) == len({kind.key for kind in classes}) == len(classes)
    assert all("key" in vars(kind) for kind in classes)


def test_what_can_stop_a_run_is_among_the_keys_kept_for_good() -> None:
    kinds = {kind.key for kind in BY_KEY.values() if issubclass(kind, PortalError)} - {
        "portal_error", "too_many_attempts",
    }  # fmt: skip

    assert kinds <= EVER_WRITTEN.keys()


def test_a_recorded_problem_survives_the_round_trip() -> None:
    since = datetime(2026, 11, 29, 10, 0, tzinfo=UTC)
    first = RecordedProblem.of(InsufficientScope("insufficient_scope", method="landing.site.getList"), since=since)

    assert RecordedProblem.read(json.loads(json.dumps(first.stored()))) == first
    assert first.is_a(InsufficientScope)
    assert not first.is_a(PortalError)


def test_an_unknown_key_reads_as_trouble_with_bitrix24() -> None:
    assert RecordedProblem.read({"key": "of_a_later_version", "code": "X"}).kind is PortalError


def test_a_portal_that_moved_is_shown_by_its_own_words() -> None:
    assert isinstance(RecordedProblem.of(PortalMoved("elsewhere.example")).problem(), PortalMoved)


@pytest.mark.process
def test_the_migration_carries_class_names_over_and_back(database_url: str) -> None:
    assert alembic(database_url, "downgrade", "0003").returncode == 0
    run = _run_with(database_url, {"code": "insufficient_scope", "class": "InsufficientScope", "method": "m"})

    assert alembic(database_url, "upgrade", "head").returncode == 0
    stored, item = _kept(database_url, run)
    assert stored == {"code": "insufficient_scope", "key": InsufficientScope.key, "method": "m"}
    assert item == AccessDenied.key

    assert alembic(database_url, "downgrade", "0003").returncode == 0
    stored, item = _kept(database_url, run)
    assert stored == {"code": "insufficient_scope", "class": "InsufficientScope", "method": "m"}
    assert item == "AccessDenied"


def _run_with(url: str, problem: dict[str, str]) -> str:
    run = str(uuid4())
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into portals (member_id, domain, client_endpoint, oauth_server, scope, status, app_version, "
            "installed_at, epoch) values ('m', 'd', 'e', 'o', 'landing', 'L', 1, now(), 1)"
        )
        connection.execute(
            "insert into runs "
            "(id, member_id, action, kind, state, created_by, created_name, acting_as, acting_name, "
            "created_at, problem, doubt) "
            "values (%s, 'm', 'unpublish', 'PAGE', 'waiting', 1, 'A', 1, 'A', now(), %s, %s)",
            (run, json.dumps(problem), json.dumps(problem | {"since": "2026-11-29T10:00:00+00:00"})),
        )
        connection.execute(
            "insert into run_items (run_id, position, lid, state, code, problem) "
            "values (%s, 0, 351, 'failed', 'ACCESS_DENIED', 'AccessDenied')",
            (run,),
        )
    return run


def _kept(url: str, run: str) -> tuple[dict[str, str], str]:
    with psycopg.connect(url) as connection:
        problem = connection.execute("select problem from runs where id = %s", (run,)).fetchone()
        item = connection.execute("select problem from run_items where run_id = %s", (run,)).fetchone()
    assert problem is not None
    assert item is not None
    return problem[0], item[0]
