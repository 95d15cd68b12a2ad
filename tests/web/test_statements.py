"""How many statements a click costs: what is asked of the database one by one is what a person waits for."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from b24app.services import Services
from tests.people import Person

ORDER = {"action": "unpublish", "lids": "351"}
CLICKS = {
    "History": ("GET", "/runs", {}, 6),
    "Scheduled": ("GET", "/runs?state=scheduled,waiting", {}, 3),
    "news": ("GET", "/news", {}, 5),
    "the question before an order": ("POST", "/runs/preview", ORDER, 4),
}


def asked(services: Services, person: Person, method: str, path: str, form: dict[str, str]) -> list[str]:
    """The statements of one click, the second of its sort."""
    statements: list[str] = []

    def note(_wire: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        statements.append(statement)

    assert person.fragment(method, path, **form).status_code == 200
    event.listen(services.store.engine, "before_cursor_execute", note)
    answer = person.fragment(method, path, **form)
    event.remove(services.store.engine, "before_cursor_execute", note)
    assert answer.status_code == 200
    return statements


@pytest.mark.parametrize(("method", "path", "form", "most"), CLICKS.values(), ids=CLICKS)
def test_nothing_is_asked_about_what_is_not_there(
    services: Services, alice: Person, method: str, path: str, form: dict[str, str], most: int
):
    statements = asked(services, alice, method, path, form)

    assert 0 < len(statements) <= most, "\n".join(statements)


def test_a_list_asks_no_more_for_many_runs_than_for_a_few(services: Services, alice: Person):
    pages = [page.id for page in alice.portal.pages("PAGE") if page.active]
    alice.unpublish(pages[0])
    few = asked(services, alice, "GET", "/runs", {})
    for lid in pages[1:6]:
        alice.unpublish(lid)

    assert len(asked(services, alice, "GET", "/runs", {})) <= len(few)
