"""PostgreSQL restarts under a worker and the web; a server of this file's own, so that nobody else notices."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from b24app.services import Services
from b24app.store import embedded
from b24app.store.embedded import Embedded
from b24app.store.models import Run
from b24sandbox import StandIn
from tests import databases
from tests.people import Person, run_id_of
from tests.processes import Worker, wait_until

pytestmark = pytest.mark.process

PAGES, PATIENCE_SECONDS = 40, 90
ACT = "landing.landing.unpublic"


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
    lids = alice.portal.add_pages(PAGES, site=3)
    alice.get("/pages")
    standin.fault(0, ACT, kind="latency", seconds=0.2, times=-1)
    with Worker(environment) as worker:
        run = run_id_of(alice.unpublish(*lids))
        wait_until(lambda: any(not alice.portal.page(lid).active for lid in lids), PATIENCE_SECONDS)
        embedded._stop_server(own_server.folder)
        time.sleep(3)  # long enough for the batch in flight to come back to a database that is not there
        standin.clear_faults()
        assert own_server.restart_if_dead()

        wait_until(lambda: _state(services, run) == "succeeded", PATIENCE_SECONDS)
        assert worker.poll() is None, worker.said()

    changes = [change for change in standin.world.recorder.changes if change.portal == 0]
    assert {change.action for change in changes} == {"unpublish"}
    assert sorted(change.lid for change in changes) == sorted(lids)
    seen = alice.get(f"/runs/{run}").json
    assert seen
    assert seen["counts"]["succeeded"] == PAGES


def _state(services: Services, run: str) -> str:
    with services.store.begin() as db:
        return db.scalars(select(Run.state).where(Run.id == run)).one()
