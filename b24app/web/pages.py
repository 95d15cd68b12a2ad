"""GET /pages: what the person may see, searched and in screens; and one page by itself."""

from typing import Annotated

from flask import Blueprint, Response, g, request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from b24app.errors import PageGone
from b24app.pages import Screen, Search
from b24app.runs import RunFilter
from b24app.services import Services
from b24app.terms import N_, Kind
from b24app.web import replies
from b24app.web.forms import read
from b24app.web.problems import facts
from b24app.web.words import _

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
    site: int | None = Field(None, ge=1)
    status: Annotated[str, StringConstraints(pattern="^(published|unpublished)$")] | None = None
    q: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    after: Annotated[str, StringConstraints(max_length=20)] | None = None
    limit: int = Field(20, ge=1, le=100)
    ids_only: bool = False
    any_kind: bool = False  # the site may be of any kind: the settings of a site do not tell it

    def search(self) -> Search:
        """As the pages module takes it."""
        return Search(self.kind, self.site, self.status, self.q, self.after, self.limit)


def blueprint(services: Services) -> Blueprint:
    """The list and the page of its own."""
    pages = Blueprint("pages", __name__)

    @pages.get("/pages")
    def listed() -> Response:
        query = read(Query, request.args)
        if query.any_kind and query.site is not None:
            query = _in_its_kind(services, query, query.site)
        if request.args.get("fresh"):
            services.pages.forget(g.actor)
        screen = services.pages.screen(g.actor, query.search())
        due = services.runs.coming(g.actor, [row.lid for row in screen.pages])
        if replies.wants_json():
            if query.ids_only:
                return replies.json({"lids": screen.lids, "total": screen.total})
            shown = [replies.page(row, due) for row in screen.pages]
            return replies.json(
                {"pages": shown, "total": screen.total, "next": screen.next, "previous": screen.previous}
            )
        return _view(query, screen, [replies.page_with_schedule(row, due) for row in screen.pages])

    @pages.get("/pages/<int:lid>")
    def one(lid: int) -> Response:
        found = services.pages.find(g.actor, lid)
        if found is None:
            if replies.wants_json():
                raise PageGone()
            return replies.html("pages/page.html", page=None, problem=facts(PageGone()), runs=[])
        due = services.runs.coming(g.actor, [lid])
        if replies.wants_json():
            return replies.json(replies.page(found, due))
        shown = replies.page_with_schedule(found, due)
        views, _next = services.runs.listed(g.actor, RunFilter(lid=lid, limit=10))
        return replies.html(
            "pages/page.html", page=shown, problem=None, runs=replies.rows(views), coming=due.get(lid, ())
        )

    return pages


def _in_its_kind(services: Services, query: Query, site: int) -> Query:
    """The query in the kind its site is of; without the site where the person may not see it."""
    kind = services.pages.kind_of_site(g.actor, site)
    return query.model_copy(update={"kind": kind} if kind else {"site": None})


def _view(query: Query, screen: Screen, shown: list[dict[str, object]]) -> Response:
    template = "pages/grid.html" if request.headers.get("HX-Target", "").endswith("grid") else "pages/view.html"
    return replies.html(
        template,
        pages=shown,
        total=screen.total,
        next=screen.next,
        previous=screen.previous,
        first=screen.first,
        last=screen.first + len(shown) - 1 if shown else 0,
        sites=[{"site_id": site.site_id, "title": site.title} for site in screen.sites],
        filters=query.model_dump(mode="json"),
        kinds=[{"kind": kind.value, "title": _(title)} for kind, title in KINDS.items()],
    )
