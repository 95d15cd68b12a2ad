"""GET /pages: what the person may see, searched and in screens; and one page by itself."""

from typing import Annotated

from flask import Blueprint, Response, g, request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from b24app.domain import N_, Kind
from b24app.errors import AccessDenied, KindRefused, PageGone
from b24app.pages import PageSlice, Search
from b24app.runs.queries import RunFilter
from b24app.web import offers, progress, responses, serializers
from b24app.web.current import require_session, services
from b24app.web.forms import Number, read
from b24app.web.problems import facts
from b24app.web.shapes import PagesShape
from b24app.web.translation import _

KINDS = {
    Kind.PAGE: N_("Sites and stores"),
    Kind.KNOWLEDGE: N_("Knowledge bases"),
    Kind.GROUP: N_("Workgroup knowledge bases"),
    Kind.MAINPAGE: N_("Main page of the portal"),
}


class Query(BaseModel):
    """The query of GET /pages; empty fields of the form mean "any"."""

    model_config = ConfigDict(extra="ignore")

    kind: Kind = Kind.PAGE
    site: Number | None = Field(None, ge=1, le=2**53)
    status: Annotated[str, StringConstraints(pattern="^(published|unpublished)$")] | None = None
    q: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    after: Annotated[str, StringConstraints(max_length=20)] | None = None
    limit: Number = Field(20, ge=1, le=100)
    ids_only: bool = False
    any_kind: bool = False  # the site may be of any kind: the settings of a site do not tell it

    def search(self) -> Search:
        """As the pages module takes it."""
        return Search(self.kind, self.site, self.status, self.q, self.after, self.limit)


NOTHING = PageSlice(pages=(), total=0, first=0, next=None, previous=None, sites=(), lids=())
blueprint = Blueprint("pages", __name__)
blueprint.before_request(require_session)


@blueprint.get("/pages")
def listed() -> Response:
    query = read(Query, request.args)
    if query.any_kind and query.site is not None:
        query = _in_its_kind(query, query.site)
    if request.args.get("fresh"):
        services().pages.forget(g.actor)
    try:
        screen = services().pages.screen(g.actor, query.search())
    except AccessDenied as refused:
        if responses.wants_json():
            raise
        return _view(query, NOTHING, [], refused)  # another kind may be open to them
    due = services().runs.upcoming(g.actor, [row.lid for row in screen.pages])
    if responses.wants_json():
        if query.ids_only:
            return responses.json({"lids": screen.lids, "total": screen.total, **_capped(screen)})
        shown = [serializers.page(row, due) for row in screen.pages]
        listed: PagesShape = {
            "pages": shown, "total": screen.total, "next": screen.next, "previous": screen.previous,
        }  # fmt: skip
        return responses.json({**listed, **_capped(screen)})
    return _view(query, screen, [serializers.page_with_schedule(row, due) for row in screen.pages])


@blueprint.get("/pages/<int:lid>")
def one(lid: int) -> Response:
    found = services().pages.find(g.actor, lid)
    if found is None:
        if responses.wants_json():
            raise PageGone()
        return responses.html("pages/page.html", page=None, problem=facts(PageGone()), runs=[])
    due = services().runs.upcoming(g.actor, [lid])
    if responses.wants_json():
        return responses.json(serializers.page(found, due))
    shown = serializers.page_with_schedule(found, due)
    views, _next = services().runs.listed(g.actor, RunFilter(lid=lid, limit=10))
    return responses.html(
        "pages/page.html",
        page=shown,
        problem=None,
        runs=progress.rows(offers.of(views), {}),
        alone=True,
        coming=due.get(lid, ()),
    )


def _capped(screen: PageSlice) -> dict[str, bool]:
    """Said only where the portal has more pages than the app lists."""
    return {"capped": True} if screen.capped else {}


def _in_its_kind(query: Query, site: int) -> Query:
    """The query in the kind its site is of; without the site where the person may not see it."""
    kind = services().pages.kind_of_site(g.actor, site)
    return query.model_copy(update={"kind": kind} if kind else {"site": None})


def _view(
    query: Query, screen: PageSlice, shown: list[dict[str, object]], refused: AccessDenied | None = None
) -> Response:
    template = "pages/grid.html" if request.headers.get("HX-Target", "").endswith("grid") else "pages/view.html"
    return responses.html(
        template,
        pages=shown,
        total=screen.total,
        capped=screen.capped,
        refused=refused and facts(KindRefused(refused.code, method=refused.method)),
        next=screen.next,
        previous=screen.previous,
        first=screen.first,
        last=screen.first + len(shown) - 1 if shown else 0,
        sites=[{"site_id": site.site_id, "title": site.title} for site in screen.sites],
        filters=query.model_dump(mode="json"),
        kinds=[{"kind": kind.value, "title": _(title)} for kind, title in KINDS.items()],
    )
