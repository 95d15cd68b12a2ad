"""How the database finds things when there is much: never by reading all runs, pages, requests or jobs there are."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from b24sandbox import StandIn
from bench.scale import Stage, asked, one_run, staged
from tests.databases import execute
from tests.history import PEOPLE, TABLES, Size, fill

SIZE = Size(portals=40, runs=10_000, calls=20_000)
WHOLE = re.compile(r"Seq Scan on (runs|run_items|api_calls|procrastinate_jobs)\b")
JOBS = (
    "insert into procrastinate_jobs (queue_name, task_name, lock, args, scheduled_at)"
    " select 'default', 'step_run', n::text,"
    " jsonb_build_object('run', md5(n::text)::uuid), now() + interval '1 day' from generate_series(1, 5000) n"
)
COUNTS_JOBS = "group by status"  # /metrics: all of them, and the queue holds only what is near
Statement = tuple[str, Any]


@pytest.fixture
def stage(own_database_url: str, standin: StandIn) -> Iterator[Stage]:
    """Two years of history of sixty portals."""
    with staged(own_database_url, standin) as made:
        made.run_id = one_run(made)
        fill(own_database_url, SIZE)
        made.services.statistics.count()
        execute(own_database_url, JOBS, f"vacuum analyze {TABLES}")
        yield made


@contextmanager
def noted(stage: Stage) -> Iterator[list[Statement]]:
    """What is asked of the database inside the block."""
    statements: list[Statement] = []

    def note(_wire: Any, _cursor: Any, statement: str, values: Any, *_more: Any) -> None:
        statements.append((statement, values))

    event.listen(stage.services.store.engine, "before_cursor_execute", note)
    yield statements
    event.remove(stage.services.store.engine, "before_cursor_execute", note)


def test_nothing_that_is_asked_often_reads_a_whole_table(stage: Stage, own_database_url: str):
    read_whole: dict[str, list[str]] = {}
    planned = 0
    with psycopg.connect(own_database_url, cursor_factory=psycopg.ClientCursor) as connection:
        for name, ask in asked().items():
            with noted(stage) as statements:
                ask(stage)
            for statement, values in statements:
                if not re.match(r"\s*(select|with|update|delete)\b", statement, re.IGNORECASE):
                    continue
                plan = "\n".join(row[0] for row in connection.execute(f"explain {statement}".encode(), values))
                planned += 1
                if WHOLE.search(plan) and COUNTS_JOBS not in statement:
                    read_whole.setdefault(name, []).append(f"{statement}\n{plan}")

    assert planned > 2 * len(asked())
    assert read_whole == {}
    assert len(stage.services.statistics.people(stage.actor)) >= PEOPLE
    assert all(week.total for week in stage.services.statistics.weeks(stage.actor, UTC))
    assert any(stage.services.runs.upcoming(stage.actor, range(1, 2_001)).values())
