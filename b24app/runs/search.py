"""Runs by words (the campaign's name, the reason, and the titles, addresses and sites of pages) and by a page.

Of somebody else's order only pages of sites count that the person reads: otherwise a search would tell what is hidden.
Letters are compared by the database on both sides, small, in full form (NFKC), and ё as е.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, String, and_, bindparam, func, literal_column, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from b24app.domain import Actor, Kind
from b24app.store.db import Store
from b24app.store.models import Run, RunItem

FORM: ColumnElement[str] = literal_column("NFKC")
IN_RUN = (Run.name, Run.reason)
IN_ITEM = (RunItem.title, RunItem.site, RunItem.url)
MOST_SITES = 500


@dataclass(frozen=True)
class Words:
    """What somebody looks for, and the numbers of the sites whose pages they read."""

    text: str
    readable: frozenset[int] = frozenset()

    def condition(self, actor: Actor) -> ColumnElement[bool]:
        """In SQL: the run has these words somewhere this person may look."""
        pages = select(RunItem.position).where(RunItem.run_id == Run.id, _any(IN_ITEM, self.text))
        seen = or_(Run.created_by == actor.user_id, RunItem.site_id.in_(self.readable))
        return or_(_any(IN_RUN, self.text), pages.where(seen).correlate(Run).exists())


@dataclass(frozen=True)
class OfPage:
    """A page by its id, and the numbers of the sites whose pages they read."""

    lid: int
    readable: frozenset[int] = frozenset()

    def condition(self, actor: Actor) -> ColumnElement[bool]:
        """In SQL: the run has this page, and this person may see that it has."""
        items = select(RunItem.run_id).where(RunItem.member_id == actor.member_id, RunItem.lid == self.lid)
        seen = or_(Run.created_by == actor.user_id, Run.id.in_(items.where(RunItem.site_id.in_(self.readable))))
        return and_(Run.id.in_(items), seen)


class Search:
    """Looks where words or a page stand, before it is known who may see them there."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def places(self, actor: Actor, text: str) -> set[tuple[Kind, int]]:
        """The sites, by kind and number, of pages that match in others' orders, whether or not the actor reads them."""
        return self._places(actor, _any(IN_ITEM, text))

    def places_of_page(self, actor: Actor, lid: int) -> set[tuple[Kind, int]]:
        """As `places`, of one page: more than one site where it was moved."""
        return self._places(actor, and_(RunItem.member_id == actor.member_id, RunItem.lid == lid))

    def _places(self, actor: Actor, condition: ColumnElement[bool]) -> set[tuple[Kind, int]]:
        query = (
            select(Run.kind, RunItem.site_id)
            .join(RunItem, RunItem.run_id == Run.id)
            .where(Run.member_id == actor.member_id, Run.created_by != actor.user_id)
            .where(RunItem.site_id.is_not(None), condition)
        )
        with self._store.begin() as db:
            return {(kind, site) for kind, site in db.execute(query.distinct().limit(MOST_SITES)) if site is not None}


def _any(
    columns: Collection[InstrumentedAttribute[str] | InstrumentedAttribute[str | None]], text: str
) -> ColumnElement[bool]:
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    wanted = _folded(bindparam(None, f"%{escaped}%", String))
    return or_(*(_folded(column).like(wanted) for column in columns))


def _folded(
    text: ColumnElement[str] | InstrumentedAttribute[str] | InstrumentedAttribute[str | None],
) -> ColumnElement[str]:
    return func.replace(func.lower(func.normalize(text, FORM)), "ё", "е")
