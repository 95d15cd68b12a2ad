"""What tests of interrupted runs do alike: a run of many pages at a portal that takes its time, and how it came out."""

from sqlalchemy import select

from b24app.services import Services
from b24app.store.models import Run
from b24sandbox import StandIn
from tests.people import Person
from tests.processes import wait_until

PAGES = 40
ACT = "landing.landing.unpublic"


def published_pages(person: Person) -> list[int]:
    """Pages of one site, and the list already read."""
    made = person.portal.add_pages(PAGES, site=3)
    person.get("/pages")
    return made


def slow_down(standin: StandIn, seconds: float) -> None:
    """From now on the portal takes so many seconds to take a page down."""
    standin.fault(0, ACT, kind="latency", seconds=seconds, times=-1)


def down(person: Person, lids: list[int]) -> int:
    return sum(not person.portal.page(lid).active for lid in lids)


def state(services: Services, run: str) -> str:
    with services.store.begin() as db:
        return db.scalars(select(Run.state).where(Run.id == run)).one()


def wait_until_ended(services: Services, run: str, seconds: float) -> None:
    wait_until(lambda: state(services, run) == "succeeded", seconds)


def counts(person: Person, run: str) -> dict[str, int]:
    answer = person.opened().get(f"/runs/{run}")
    assert answer.json
    shown: dict[str, int] = answer.json["counts"]
    return shown


def done_once_and_one_way(standin: StandIn, lids: list[int]) -> None:
    changes = [change for change in standin.world.recorder.changes if change.portal == 0]
    assert {change.action for change in changes} == {"unpublish"}
    assert sorted(change.lid for change in changes) == sorted(lids)
