"""PostgreSQL restarts under a worker and the web; a server of this file's own, so that nobody else notices."""

import time
from collections.abc import Iterator

import pytest

from b24app.services import Services
from b24app.store import embedded
from b24app.store.embedded import Embedded
from b24sandbox import StandIn
from tests import databases
from tests.people import Person, run_id_of
from tests.processes import Worker, wait_until
from tests.runs.interrupted import (
    PAGES,
    counts,
    done_once_and_one_way,
    down,
    published_pages,
    slow_down,
    wait_until_ended,
)

pytestmark = pytest.mark.process

PATIENCE_SECONDS = 90


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    folder = tmp_path_factory.mktemp("own-postgres") / "data"
    server = embedded.start(folder, fsync=False)
    yield server
    server.stop()
    embedded.remove(folder)


@pytest.fixture(scope="module")
def server_url(own_server: Embedded) -> str:
    """In place of the session's server."""
    databases.make_template(own_server.url)
    return own_server.url


def test_a_restart_of_the_database_in_a_batch_costs_a_pause_and_no_page(
    alice: Person, standin: StandIn, services: Services, environment: dict[str, str], own_server: Embedded
):
    lids = published_pages(alice)
    slow_down(standin, 0.2)
    with Worker(environment) as worker:
        run = run_id_of(alice.unpublish(*lids))
        wait_until(lambda: down(alice, lids) > 0, PATIENCE_SECONDS)
        embedded._stop_server(own_server.folder)
        time.sleep(3)  # long enough for the batch in flight to come back to a database that is not there
        standin.clear_faults()
        assert own_server.restart_if_dead()

        wait_until_ended(services, run, PATIENCE_SECONDS)
        assert worker.poll() is None, worker.said()

    assert counts(alice, run)["succeeded"] == PAGES
    done_once_and_one_way(standin, lids)
