"""The list of pages as CSV: /pages.csv, a row a page, with the filters and the order of the list."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from flask import Blueprint, Response, g, request

from b24app.domain import N_, Action, Kind
from b24app.pages.lists import Page
from b24app.pages.search import sorted_matches
from b24app.web import serializers, translation
from b24app.web.csv import Column, csv_file
from b24app.web.current import require_session, services
from b24app.web.pages import KINDS, next_of, page_query
from b24app.web.translation import _

STATUS = {True: N_("Published"), False: N_("Unpublished")}
TITLES = {
    Kind.PAGE: N_("Sundown pages %(day)s"),
    Kind.KNOWLEDGE: N_("Sundown knowledge bases %(day)s"),
    Kind.GROUP: N_("Sundown workgroup knowledge bases %(day)s"),
    Kind.MAINPAGE: N_("Sundown main page %(day)s"),
}


@dataclass(frozen=True)
class PageLine:
    """One page as a row; `due` is when something is next to happen to it."""

    page: Page
    folder: str | None
    due: datetime | None


COLUMNS: tuple[Column[PageLine], ...] = (
    Column("lid", N_("Number"), lambda line: line.page.lid),
    Column("kind", N_("Kind of pages"), lambda line: line.page.kind.value, lambda line: _(KINDS[line.page.kind])),
    Column("title", N_("Page"), lambda line: line.page.title,
           lambda line: serializers.titled(line.page.title, line.page.lid)),
    Column("site_id", None, lambda line: line.page.site_id),
    Column("site", N_("Site"), lambda line: line.page.site),
    Column("folder", N_("Folder"), lambda line: line.folder),
    Column("url", N_("Address"), lambda line: line.page.url),
    Column("published", N_("Status"), lambda line: line.page.published, lambda line: _(STATUS[line.page.published])),
    Column("main", N_("Main page"), lambda line: line.page.main),
    Column("may", N_("You may change it"), lambda line: line.page.may(Action.UNPUBLISH)),
    Column("published_at_text", N_("Last published (portal time)"), lambda line: line.page.published_at_text),
    Column("scheduled_at", N_("Scheduled for"), lambda line: line.due, is_time=True),
)  # fmt: skip

blueprint = Blueprint("page_exports", __name__)
blueprint.before_request(require_session)


@blueprint.get("/pages.csv")
def table() -> Response:
    search = page_query(request.args).search()
    title = _(TITLES[search.kind], day=translation.today())
    listed = services().pages.all_of(g.actor, search.kind)
    due = next_of(services().runs.upcoming(g.actor))
    ranks = services().pages.by_publication(g.actor, search.kind) if search.wants_publication else {}
    lines = _lines(sorted_matches(listed, search, due, ranks), listed.folder_names, due)
    return csv_file(title, COLUMNS, lines, raw_name="pages")


def _lines(pages: Iterable[Page], folders: dict[int, str], due: dict[int, datetime]) -> Iterator[PageLine]:
    return (PageLine(page, folders.get(page.folder_id or 0), due.get(page.lid)) for page in pages)
