"""Section 4.3 and the CRM to begin with: records, lists of fifty, userfields, and events that cause events."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from b24sandbox.protocol.events import DEPTH
from tests.clocks import until
from tests.sandbox.listening import Listening

KINDS = ("deal", "contact", "lead")


@pytest.fixture
def seller(portal, admin):
    portal.scope(["crm"])
    admin.tokens = portal.tokens("admin")
    return admin


@pytest.fixture
def hearing() -> Iterator[Listening]:
    running = Listening()
    yield running
    running.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_is_added_read_changed_and_deleted(seller, kind):
    name = {"deal": "TITLE", "contact": "NAME", "lead": "TITLE"}[kind]
    number = seller(f"crm.{kind}.add", fields={name: "Oak", "OPENED": False, "NONSENSE": 1})
    first = seller(f"crm.{kind}.get", id=number)
    assert seller(f"crm.{kind}.update", ID=str(number), fields={name: "Pine"}) is True
    second = seller(f"crm.{kind}.get", id=number)

    assert (first["ID"], first[name], first["OPENED"], first["CREATED_BY_ID"]) == (str(number), "Oak", "N", "1")
    assert "NONSENSE" not in first
    assert second[name] == "Pine"
    assert name in seller(f"crm.{kind}.fields")
    assert seller(f"crm.{kind}.delete", id=number) is True
    assert seller.ask(f"crm.{kind}.get", id=number).json() == {"error": "", "error_description": "Not found"}


def test_a_list_has_pages_of_fifty_with_total_and_next(seller):
    for number in range(120):
        seller("crm.deal.add", fields={"TITLE": f"Deal {number}", "OPPORTUNITY": number})

    pages = [seller.ask("crm.deal.list", start=start, order={"ID": "DESC"}).json() for start in (0, 50, 100)]
    dear = seller.ask("crm.deal.list", filter={">=OPPORTUNITY": 100, "NONSENSE": 1}, select=["TITLE"]).json()

    assert [(len(page["result"]), page["total"], page.get("next")) for page in pages] == [
        (50, 120, 50),
        (50, 120, 100),
        (20, 120, None),
    ]
    assert pages[0]["result"][0]["TITLE"] == "Deal 119"
    assert (dear["total"], set(dear["result"][0])) == (20, {"ID", "TITLE"})


def test_uncounted_lists_have_no_total(seller):
    seller("crm.deal.add", fields={"TITLE": "x"})

    answer = seller.ask("crm.deal.list", start=-1).json()

    assert (len(answer["result"]), "total" in answer) == (1, False)


def test_a_contact_has_several_phones(seller):
    number = seller(
        "crm.contact.add", fields={"NAME": "Ada", "PHONE": [{"VALUE": "1", "VALUE_TYPE": "HOME"}, {"VALUE": ""}]}
    )

    contact = seller("crm.contact.get", id=number)

    assert [(each["VALUE"], each["VALUE_TYPE"]) for each in contact["PHONE"]] == [("1", "HOME")]
    assert contact["HAS_PHONE"] == "Y"
    assert "PHONE" not in seller("crm.contact.list")[0]
    assert "PHONE" in seller("crm.contact.list", select=["*", "PHONE"])[0]


def test_people_add_fields_of_their_own(seller, portal, editor):
    field = seller("crm.deal.userfield.add", fields={"FIELD_NAME": "wood", "USER_TYPE_ID": "string", "SORT": 5})
    number = seller("crm.deal.add", fields={"TITLE": "x", "UF_CRM_WOOD": "oak"})

    assert seller("crm.deal.get", id=number)["UF_CRM_WOOD"] == "oak"
    assert seller("crm.deal.list", select=["UF_*"]) == [{"ID": str(number), "UF_CRM_WOOD": "oak"}]
    assert seller("crm.deal.userfield.get", id=field)["SORT"] == "5"
    assert seller("crm.deal.userfield.update", id=field, fields={"SETTINGS": {"ROWS": 3}}) is True
    assert seller("crm.deal.userfield.list", filter={"FIELD_NAME": "UF_CRM_WOOD"})[0]["SETTINGS"]["ROWS"] == 3
    assert seller.error("crm.deal.userfield.add", fields={"FIELD_NAME": "WOOD", "USER_TYPE_ID": "string"}) == (
        400,
        "ERROR_CORE",
    )
    assert seller("crm.deal.userfield.delete", id=field) is True
    assert seller.error("crm.deal.userfield.get", id=field) == (400, "ERROR_NOT_FOUND")


def test_what_happens_to_a_deal_is_told(seller, portal, standin, hearing):
    portal.finish_install()
    for action in ("ADD", "UPDATE", "DELETE"):
        seller("event.bind", event=f"OnCrmDeal{action.title()}", handler=f"{hearing.url}/deals")

    number = seller("crm.deal.add", fields={"TITLE": "x"})
    standin.wait_for_events()
    seller("crm.deal.update", id=number, fields={"TITLE": "y"})
    standin.wait_for_events()
    seller("crm.deal.delete", id=number)
    standin.wait_for_events()

    assert hearing.at("/deals") == ["ONCRMDEALADD", "ONCRMDEALUPDATE", "ONCRMDEALDELETE"]
    form = hearing.forms[0]
    assert form["data"] == {"FIELDS": {"ID": str(number)}}
    assert "access_token" in form["auth"]
    assert "refresh_token" not in form["auth"]


def test_an_event_of_a_scope_wants_that_scope(editor):
    answer = editor.error("event.bind", event="ONCRMDEALADD", handler="http://127.0.0.1:8100/events")

    assert answer == (400, "ERROR_EVENT_NOT_FOUND")
    assert "ONCRMDEALADD" in editor("events", full=True)
    assert editor("events", scope="crm", full=True)[0].startswith("ONCRM")
    assert "ONCRMDEALADD" not in editor("events")


def test_events_that_cause_events_come_to_an_end(seller, portal, standin, hearing, session):
    portal.finish_install()
    seller("event.bind", event="ONCRMDEALADD", handler=f"{hearing.url}/deals")
    seller("crm.deal.add", fields={"TITLE": "first"})

    for _ in range(DEPTH + 3):  # an app that answers each new deal with another one
        standin.wait_for_events()
        token = hearing.forms[-1]["auth"]["access_token"]
        session.post(portal.endpoint + "crm.deal.add", json={"auth": token, "fields": {"TITLE": "more"}}, timeout=10)

    assert len(hearing.forms) == DEPTH


def test_offline_events_wait_until_they_are_taken(seller, portal):
    portal.finish_install()
    seller("event.bind", event="ONCRMDEALADD", event_type="offline")
    first, second = (seller("crm.deal.add", fields={"TITLE": "x"}) for _ in range(2))

    listed = seller("event.offline.list")
    held = seller("event.offline.get", clear=0, limit=1)
    rest = seller("event.offline.get")

    assert [each["EVENT_DATA"]["FIELDS"]["ID"] for each in listed] == [first, second]
    assert held["process_id"]
    assert [each["EVENT_DATA"]["FIELDS"]["ID"] for each in held["events"]] == [first]
    assert (rest["process_id"], [each["EVENT_DATA"]["FIELDS"]["ID"] for each in rest["events"]]) == (None, [second])
    [message] = [each["MESSAGE_ID"] for each in held["events"]]
    assert seller("event.offline.error", process_id=held["process_id"], message_id=[message]) is True
    assert seller("event.offline.get", clear=0)["events"] == []
    again = seller("event.offline.get", clear=0, error=1)
    assert len(again["events"]) == 1
    assert seller("event.offline.clear", process_id=again["process_id"]) is True
    assert seller("event.offline.list") == []


def test_a_slow_handler_is_called_less_often(seller, portal, standin, hearing, gate):
    portal.finish_install()
    standin.world.event_queue.slow_seconds = 0.05
    hearing.seconds = 0.1
    seller("event.bind", event="ONCRMDEALADD", handler=f"{hearing.url}/deals")
    seller("crm.deal.add", fields={"TITLE": "x"})
    standin.wait_for_events()
    standin.world.clock.run(0.001)  # its rest does not end while a busy machine goes on

    seller("crm.deal.add", fields={"TITLE": "x"})

    until(lambda: bool(gate.asked))
    assert len(hearing.forms) == 1
    assert gate.asked[0] > 0.5
    gate.open()
    assert standin.wait_for_events(60)
    assert len(hearing.forms) == 2
