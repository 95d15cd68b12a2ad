"""GET /pages: what the person may see, searched and in screens; pages by pasted addresses; and one page by itself."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from flask import Blueprint, Response, g, request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from b24app.domain import N_, Kind
from b24app.errors import AccessDenied, BadForm, KindRefused, PageGone
from b24app.folding import in_order, is_blank
from b24app.pages.addresses import Finding
from b24app.pages.lists import MOST_PAGES as MOST_LISTED
from b24app.pages.lists import Page
from b24app.pages.search import SORTS, PageSlice, Search, slice_of
from b24app.runs.orders import MOST_PAGES
from b24app.runs.queries import RunFilter, Upcoming
from b24app.web import offers, progress, responses, serializers, sight
from b24app.web.current import require_session, services
from b24app.web.forms import Number, body, read, sent_json
from b24app.web.problems import DETAIL_BY_STATUS, facts
from b24app.web.shapes import FoundShape, PagesShape
from b24app.web.sight import Sight
from b24app.web.translation import _, number

KINDS = {
    Kind.PAGE: N_("Sites and stores"),
    Kind.KNOWLEDGE: N_("Knowledge bases"),
    Kind.GROUP: N_("Workgroup knowledge bases"),
    Kind.MAINPAGE: N_("Main page of the portal"),
}
LONGEST_SEARCH, MOST_ADDRESSES = 200, 500
SIZES = (20, 50, 100)
MANY_SITES = 15  # more are searched instead of scrolled
UpcomingByPage = Mapping[int, Sequence[Upcoming]]


def _known_sort(value: str) -> str:
    if value not in SORTS:
        raise ValueError("not an order")
    return value


class Query(BaseModel):
    """The query of GET /pages, and the form of POST /pages; empty fields mean "any"."""

    model_config = ConfigDict(extra="ignore")

    kind: Kind = Kind.PAGE
    site: Number | None = Field(None, ge=1, le=2**53)
    folder: Number | None = Field(None, ge=1, le=2**53)
    status: Annotated[str, StringConstraints(pattern="^(published|unpublished|scheduled)$")] | None = None
    main: bool = False
    q: Annotated[str, StringConstraints(strip_whitespace=True, max_length=LONGEST_SEARCH)] = ""
    sort: Annotated[str, AfterValidator(_known_sort)] | None = None
    after: Annotated[str, StringConstraints(max_length=30)] | None = None
    screen: Number | None = Field(None, ge=1, le=MOST_LISTED)  # instead of `after`: the screen with this number
    limit: Number = Field(20, ge=1, le=100)
    lids: list[Annotated[Number, Field(ge=1, le=2**53)]] | None = Field(None, max_length=MOST_PAGES)
    ids_only: bool = False
    any_kind: bool = False  # the site may be of any kind: the settings of a site do not tell it

    def search(self) -> Search:
        """As the search takes it."""
        return Search(
            kind=self.kind, site=self.site, folder=self.folder, status=self.status, main=self.main, q=self.q,
            sort=self.sort, lids=None if self.lids is None else frozenset(self.lids), after=self.after,
            screen=self.screen, limit=self.limit,
        )  # fmt: skip


blueprint = Blueprint("pages", __name__)
blueprint.before_request(require_session)


@blueprint.get("/pages")
def listed() -> Response:
    query = page_query(request.args)
    if query.any_kind and query.site is not None:
        query = _in_its_kind(query, query.site)
    if request.args.get("fresh"):
        services().pages.forget(g.actor)
    return _answer(query)


@blueprint.post("/pages")
def chosen() -> Response:
    """As GET /pages, where a query is too long for an address: only the pages whose numbers are sent."""
    return _answer(page_query(body()))


def _answer(query: Query) -> Response:
    search = query.search()
    try:
        page_slice, due = _found(search)
    except AccessDenied as refused:
        if responses.wants_json():
            raise
        return _view(query, PageSlice(), [], refused)  # another kind may be open to them
    if responses.wants_json():
        if query.ids_only:
            return responses.json({"lids": page_slice.lids, "total": page_slice.total, **_capped(page_slice)})
        shown = [serializers.page(row, due) for row in page_slice.pages]
        listed: PagesShape = {
            "pages": shown, "total": page_slice.total, "next": page_slice.next, "previous": page_slice.previous,
        }  # fmt: skip
        return responses.json({**listed, **_capped(page_slice)})
    if query.folder is not None and query.folder not in page_slice.folders:
        return _answer(query.model_copy(update={"folder": None}))  # the form still names one of the site chosen before
    return _view(query, page_slice, [serializers.page_with_schedule(row, due) for row in page_slice.pages])


def _found(search: Search) -> tuple[PageSlice, UpcomingByPage]:
    """The slice, and what is still to happen to its pages."""
    pages, runs = services().pages, services().runs
    listed = pages.all_of(g.actor, search.kind)
    upcoming: UpcomingByPage | None = runs.upcoming(g.actor) if search.wants_schedule else None
    ranks = pages.by_publication(g.actor, search.kind) if search.wants_publication else {}
    page_slice = slice_of(listed, search, next_of(upcoming or {}), ranks)
    return page_slice, runs.upcoming(g.actor, [row.lid for row in page_slice.pages]) if upcoming is None else upcoming


def next_of(upcoming: UpcomingByPage) -> dict[int, datetime]:
    """When something is next to happen to each page."""
    return {lid: each[0].at for lid, each in upcoming.items()}


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
    views, _next = services().runs.listed(g.actor, RunFilter(page=sight.of_page(lid), limit=10, as_history=True))
    return responses.html(
        "pages/page.html", page=shown, problem=None, runs=progress.rows(offers.of(views), Sight()), alone=True,
        folder=_folder_of(found), editor=_editor_of(found),
    )  # fmt: skip


def _folder_of(page: Page) -> str | None:
    """The folders a page lies in, from the outermost; None for the top of its site."""
    listed = services().pages.kept(g.actor, page.kind)
    return listed.folder_names.get(page.folder_id or 0) if listed else None


def _editor_of(page: Page) -> str | None:
    """The page in the portal's editor, as the portal itself names it to a placement (section 2.3); None for kinds whose
    editor nobody could establish.
    """
    sites = services().pages.sites_kept(g.actor, page.kind)
    if not any(site.site_id == page.site_id and site.type == Kind.PAGE for site in sites):
        return None
    address = services().users.portal_address(g.actor.member_id, g.actor.domain)
    if address is None:
        return None
    portal = urlsplit(address)
    return f"{portal.scheme}://{portal.netloc}/sites/site/{page.site_id}/view/{page.lid}/"


@blueprint.get("/pages/find")
def paste() -> Response:
    """The dialog for pasting addresses."""
    return responses.html("pages/find.html", kind=read(Query, request.args).kind, most=MOST_ADDRESSES, missing=[])


@blueprint.post("/pages/find")
def find() -> Response:
    sent, addresses = _addresses()
    found = services().page_finder.find(g.actor, addresses)
    if not responses.wants_json():
        return _found_view(sent, found)
    shape: FoundShape = {
        "found": [
            {"address": each.address, "lid": each.page.lid, "kind": each.page.kind} for each in found if each.page
        ],
        "missing": [{"address": each.address, "why": _(each.why)} for each in found if each.why],
    }
    return responses.json(shape)


def _addresses() -> tuple[str, list[str]]:
    """What was sent, and its lines that are not empty: a list or a text of JSON, plain text (also where its type is not
    said), or a field of the form. Raises BadForm.
    """
    if request.is_json:
        said = sent_json()
        sent = said.get("addresses") if isinstance(said, dict) else said
    elif request.mimetype in ("", "text/plain"):
        sent = request.get_data(as_text=True)
    else:
        sent = body().get("addresses")
    lines = sent.splitlines() if isinstance(sent, str) else sent
    if not isinstance(lines, list) or not all(map(_is_line, lines)):
        raise BadForm(status=400, detail=DETAIL_BY_STATUS[400])
    addresses = [line.strip() for line in lines if line.strip()]
    if len(addresses) > MOST_ADDRESSES:
        words = N_("At most %(most)s addresses can be looked up at a time; you sent %(number)s. Nothing was done.")
        raise BadForm(detail=_(words, most=number(MOST_ADDRESSES), number=number(len(addresses))))
    return "\n".join(lines), addresses


def _is_line(sent: object) -> bool:
    """JSON can hold halves of letters, which no answer can."""
    return isinstance(sent, str) and sent.encode(errors="ignore").decode() == sent


def _found_view(sent: str, found: Sequence[Finding]) -> Response:
    """The list with just the pages that were found, selected; where there is none, the dialog again, and why."""
    kinds: dict[Kind, list[int]] = {}
    for each in found:
        if each.page:
            kinds.setdefault(each.page.kind, []).append(each.page.lid)
    missing = [(each.address, _(each.why)) for each in found if each.why]
    if not kinds:
        reply = responses.html("pages/find.html", kind=Kind.PAGE, most=MOST_ADDRESSES, sent=sent, missing=missing)
        reply.headers["HX-Retarget"] = "#dialog"
        return reply
    kind = max(kinds, key=lambda each: len(kinds[each]))
    lids = list(dict.fromkeys(kinds.pop(kind)))
    query = Query(kind=kind, lids=lids, limit=SIZES[-1])
    page_slice, due = _found(query.search())
    others = [{"kind": other, "title": _(KINDS[other]), "lids": rest} for other, rest in kinds.items()]
    return _view(
        query, page_slice, [serializers.page_with_schedule(row, due) for row in page_slice.pages],
        missing=missing, others=others,
    )  # fmt: skip


def page_query(sent: Any) -> Query:
    """What is asked for. Raises BadForm 422; a search that is too long is told as what it is."""
    searched = sent.get("q")
    if isinstance(searched, str) and len(searched.strip()) > LONGEST_SEARCH:
        words = N_("The search has %(length)s characters; at most %(most)s are allowed.")
        raise BadForm(
            detail=_(words, length=number(len(searched.strip())), most=number(LONGEST_SEARCH)),
            remedy=N_("Shorten it, or use “Paste addresses…” to find many pages at once."),
        )
    return read(Query, sent, lists=("lids",))


def _capped(page_slice: PageSlice) -> dict[str, bool]:
    """Said only where the portal has more pages than the app lists."""
    return {"capped": True} if page_slice.capped else {}


def _in_its_kind(query: Query, site: int) -> Query:
    """The query in the kind its site is of; without the site where the person may not see it."""
    kind = services().pages.kind_of_site(g.actor, site)
    return query.model_copy(update={"kind": kind} if kind else {"site": None})


def _view(
    query: Query, page_slice: PageSlice, shown: list[dict[str, object]], refused: AccessDenied | None = None,
    **told: Any,
) -> Response:  # fmt: skip
    narrowing = (query.site, query.folder, query.status, query.main)
    template = "pages/grid.html" if request.headers.get("HX-Target", "").endswith("grid") else "pages/view.html"
    return responses.html(
        template,
        pages=shown,
        slice=page_slice,
        total=page_slice.total,
        refused=refused and facts(KindRefused(refused.code, method=refused.method)),
        last=page_slice.first + len(shown) - 1 if shown else 0,
        sites=_sites(page_slice),
        many_sites=len(page_slice.sites) > MANY_SITES,
        folders=sorted(page_slice.folders.items(), key=lambda each: in_order(each[1])),
        filters=query.model_dump(mode="json"),
        active=(query.kind is not Kind.PAGE) + sum(map(bool, narrowing)),
        narrowed=bool(query.q) or any(narrowing),
        chosen=_selection(query),
        sizes=SIZES,
        kinds=[{"kind": kind.value, "title": _(title)} for kind, title in KINDS.items()],
        **told,
    )


def _selection(query: Query) -> dict[int, bool] | None:
    """Of the pages that are selected whether each is published, also of those on no screen; None for a list of all.

    Without those the person may only look at: they cannot be ticked either.
    """
    listed = services().pages.kept(g.actor, query.kind)
    if query.lids is None or listed is None:
        return None
    by_lid = listed.by_lid()
    pages = [by_lid[lid] for lid in query.lids if lid in by_lid]
    return {each.lid: each.published for each in pages if not each.is_locked}


def _sites(page_slice: PageSlice) -> list[dict[str, object]]:
    """The sites to choose from, in order of title; those of one title are told apart by their number."""
    titles = Counter(site.title.strip() for site in page_slice.sites)
    named = []
    for site in page_slice.sites:
        title = site.title.strip()
        if is_blank(title):
            title = _(N_("Untitled site %(number)s"), number=site.site_id)
        elif titles[title] > 1:
            title = f"{title} · {site.site_id}"
        named.append({"site_id": site.site_id, "title": title})
    return sorted(named, key=lambda each: in_order(str(each["title"])))
