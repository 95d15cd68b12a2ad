"""A portal with the app installed and opened, made once in a while and put back for each test that asks for people.

Installing and opening takes a dozen requests and a tenth of a second, the same each time in most tests. So what they
leave behind, in the database and in the stand-in, is kept and put back. It is made anew every few seconds, since tokens
count from the moment they were given, and always made for a test that changes what it stands on before people come.
"""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from b24sandbox import StandIn
from tests.databases import TABLES, SharedDatabase
from tests.people import Person

FRESH_SECONDS = 20.0
MAPS = ("tokens", "refreshes", "codes", "frames")
RECORDED = ("calls_kept", "changes", "sent", "_most")  # not the numbers: calls of an earlier test may still end
SEQUENCES = (
    "select format('%I.%I', schemaname, sequencename), last_value from pg_sequences where last_value is not null"
)


@dataclass(frozen=True)
class Prepared:
    """What people left behind when they had installed and opened the app."""

    made_at: float
    world: bytes
    rows: dict[str, bytes]
    sequences: list[tuple[str, int]]
    tokens: dict[str, str]


class KeptPeople:
    """Prepared states by the names of the people in them, for one process and its shared database."""

    def __init__(self, database: SharedDatabase) -> None:
        self._database = database
        self._kept: dict[tuple[str, ...], Prepared] = {}

    def bring(self, people: Mapping[str, Person], standin: StandIn, come: Callable[[], None]) -> None:
        """Have these people there with the app open, by what was kept or else by `come`."""
        names = tuple(people)
        kept = self._kept.get(names)
        if kept is None or time.monotonic() - kept.made_at > FRESH_SECONDS:
            come()
            assert standin.wait_for_events()
            self._kept[names] = self._taken(standin, people)
            return
        self._put_back(standin, kept)
        for name, person in people.items():
            person.token = kept.tokens[name]

    def _taken(self, standin: StandIn, people: Mapping[str, Person]) -> Prepared:
        world = standin.world
        with world.lock:
            parts = (
                world.applications, world.portals, world.meters, world.event_queue,
                {name: getattr(world, name) for name in MAPS},
                {name: getattr(world.recorder, name) for name in RECORDED},
            )  # fmt: skip
            pickled = pickle.dumps(parts, pickle.HIGHEST_PROTOCOL)
        rows = {}
        with self._database.connection().cursor() as cursor:
            for table in reversed(TABLES):
                with cursor.copy(f"copy {table} to stdout".encode()) as copy:
                    rows[table] = b"".join(copy)
            sequences = cursor.execute(SEQUENCES).fetchall()
        tokens = {name: person.token for name, person in people.items()}
        return Prepared(
            time.monotonic(), pickled, {name: each for name, each in rows.items() if each}, sequences, tokens
        )

    def _put_back(self, standin: StandIn, kept: Prepared) -> None:
        world = standin.world
        applications, portals, meters, event_queue, maps, recorded = pickle.loads(kept.world)  # noqa: S301 # our own
        with world.lock:
            world.applications[:], world.portals[:] = applications, portals
            world.meters, world.event_queue = meters, event_queue
            for name in MAPS:
                getattr(world, name).update(maps[name])
            for name in RECORDED:
                setattr(world.recorder, name, recorded[name])
        with self._database.connection().cursor() as cursor:
            cursor.execute("set session_replication_role = replica")  # the queue's triggers have done their work
            for table, rows in kept.rows.items():
                with cursor.copy(f"copy {table} from stdin".encode()) as copy:
                    copy.write(rows)
            cursor.execute("set session_replication_role = origin")
            for name, value in kept.sequences:
                cursor.execute("select setval(%s, %s)", (name, value))
