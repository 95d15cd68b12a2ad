"""Orders and their history: preview, order, look, stop, retry, undo."""

from collections.abc import Sequence
from typing import Any, TypeVar
from uuid import UUID

from flask import Blueprint, Response, g, request, url_for
from werkzeug.datastructures import MultiDict

from b24app import i18n, zones
from b24app.domain import N_, RunState
from b24app.errors import BadForm, NotFound
from b24app.runs.local_time import scheduled_time, unreadable
from b24app.runs.orders import IdempotencyKey, Order
from b24app.runs.queries import RunView
from b24app.store.models import Run
from b24app.users import FOLLOW_PORTAL
from b24app.web import calendar, offers, previews, progress, responses, schedule_changes, serializers, sight, times
from b24app.web.current import require_session, services
from b24app.web.forms import body, read
from b24app.web.run_forms import ChangeForm, ItemsQuery, ListQuery, MoveForm, OrderForm, PreviewForm, TimesForm
from b24app.web.shapes import RunsShape

ORDER_LIMIT, MOST_FIELDS = 256 * 1024, 5050
ITEMS_OF_JSON, ITEMS_OF_PAGE = 200, 100
HISTORY, FOLDED = "history", frozenset({"state", "user_id", "happened_from", "happened_to"})
PLACE = frozenset({"after", "limit"})  # of a query: which rows of those it finds

Form = TypeVar("Form", bound=OrderForm)

blueprint = Blueprint("runs", __name__, url_prefix="/runs")
blueprint.before_request(require_session)


@blueprint.post("/preview")
def preview() -> Response:
    if request.headers.get("HX-Target", "").endswith("time-note"):
        return schedule_changes.told_shift() if "days" in request.form else _told_times()
    again = _is_our_page() and "left_out" in request.form  # asked from within the dialog
    form = _order_form(PreviewForm, "lids", "left_out") if again else _order_form(OrderForm, "lids")
    if not _is_our_page():
        _refuse_empty_times("at", "until")
    times_open = request.values.get("times") == "open"  # the person has just chosen another zone there
    try:
        order = form.order(g.actor, services().clock())
    except BadForm:
        if not times_open:
            raise
        # What was typed stays in the field, though it has passed or does not exist in that zone; the order says so.
        order = form.model_copy(update={"at": None, "until": None}).order(g.actor, services().clock())
    when = request.values.get("when") or ("later" if order.at else "now")
    if responses.wants_json():
        return responses.json(previews.preview(order, later=when == "later").shape(previews.same_runs(order)))
    return previews.dialog(order, when=when, at=form.at, until=form.until, times_open=times_open)


def _told_times() -> Response:
    """The chosen times in words, what is wrong with a field beside it, and what happens to the pages then; asked while
    somebody is still choosing.
    """
    form = read(TimesForm, body(), lists=("lids", "left_out"))
    zone = g.actor.zone if form.zone in (None, FOLLOW_PORTAL) else form.zone
    chosen = times.chosen(form.action, form.at, form.until, zone, services().clock(), form.needed.split())
    order = Order(form.action, form.kind, tuple(form.lids), chosen.at, chosen.until, zones.understood(zone))
    return previews.told_times(order, chosen, left_out=form.left_out, when=form.when)


@blueprint.post("")
def order() -> Response:
    form = _order_form(OrderForm, "lids")
    _refuse_empty_times("at", *(() if _is_our_page() else ("until",)))
    key = _key(form)
    run_id = services().orders.placed(g.actor, key) if key else None
    is_new = False
    if run_id is None:
        run_id, is_new = services().orders.place(g.actor, form.order(g.actor, services().clock()), key)
    try:
        return _answer(run_id, 201 if is_new else 200)
    except NotFound:
        if is_new:
            raise
    order = form.order(g.actor, services().clock())  # the first with this key was withdrawn meanwhile
    run_id, is_new = services().orders.place(g.actor, order, key)
    return _answer(run_id, 201 if is_new else 200)


@blueprint.get("")
def listed() -> Response:
    """As JSON all runs by their order; as the page's views what has happened, and what is to come."""
    query = read(ListQuery, request.args)
    if responses.wants_json():
        views, following = services().runs.listed(g.actor, query.filter(g.actor, as_history=False))
        runs = serializers.rows(offers.of(views))
        body: RunsShape = {"runs": runs, "next": str(following) if following else None}
        return responses.json(body)
    if query.view != HISTORY and query.state is not None and RunState.SCHEDULED in query.state.split(","):
        return calendar.shown(read(calendar.AgendaQuery, request.args))
    return _history(query)


def _history(query: ListQuery) -> Response:
    wanted = query.filter(g.actor, as_history=True)
    views, following = services().runs.listed(g.actor, wanted)
    views = offers.of(views)
    part = request.headers.get("HX-Target", "").endswith("history")
    filters = {name: value for name, value in request.args.items() if value and name != "view"}
    # Where it leads to rows, each half is one.
    pairs_once = not filters.keys() - {"q"}
    left_out = 0 if wanted.states or wanted.after else services().runs.left_out(g.actor, wanted, pairs_once=pairs_once)
    return responses.html(
        "runs/rows.html" if part else "runs/list.html", part=part,
        runs=progress.rows(views, sight.sight(views)), next=following and str(following),
        left_out=left_out,
        open_orders=services().runs.open_orders(g.actor),
        filters=filters, active=len(FOLDED.intersection(filters)), narrowed=bool(filters.keys() - PLACE),
        **({} if part else _around_the_history()),
    )  # fmt: skip


@blueprint.get("/<uuid:run_id>")
def one(run_id: UUID) -> Response:
    return _answer(run_id, 200)


@blueprint.post("/<uuid:run_id>/cancel")
def cancel(run_id: UUID) -> Response:
    services().permissions.require_steering(g.actor, *services().runs.sites_to_steer(g.actor, run_id))
    entry = calendar.entry_to_tell_of(run_id)
    services().orders.cancel(g.actor, run_id)
    return calendar.answered(said=calendar.said_of_cancel(run_id, entry) if entry else None) or _answer(run_id, 200)


@blueprint.post("/<uuid:run_id>/move")
def move(run_id: UUID) -> Response:
    form = read(MoveForm, body())
    if not _is_our_page():
        _refuse_empty_times("at", "until")
    zone = g.actor.zone if form.zone is None else form.zone
    services().permissions.require_steering(g.actor, *services().runs.sites_to_steer(g.actor, run_id, whole=True))
    now = services().clock()
    at, until = (None if said is None else scheduled_time(said, zone, now) for said in (form.at, form.until))
    if at is None and until is None:
        raise BadForm(detail=N_("No time was given. Nothing was rescheduled."))
    is_local = any(when is not None and when.wall_time for when in (at, until))
    before = services().agenda.of(g.actor, [run_id])
    services().orders.move(g.actor, run_id, at, until, zones.understood(zone if is_local else form.zone))
    said = calendar.said_of_move(run_id, before)
    return calendar.answered(said) or _answer(run_id, 200, said)


@blueprint.post("/<uuid:run_id>/change")
def change(run_id: UUID) -> Response:
    sent = body()
    if isinstance(sent, MultiDict):  # an empty text of a form takes the name or the reason away
        sent = {**sent.to_dict(), **{name: sent.getlist(name) for name in ("add", "remove") if name in sent}}
    form = read(ChangeForm, sent)
    services().permissions.require_steering(g.actor, *services().runs.sites_to_steer(g.actor, run_id, whole=True))
    before, wanted = services().agenda.of(g.actor, [run_id]), form.change()
    services().orders.change(g.actor, run_id, wanted)
    said = calendar.said_of_change(run_id, before, pages=wanted.is_about_pages)
    return calendar.answered(said) or _answer(run_id, 200, said)


@blueprint.post("/<uuid:run_id>/retry")
def retry(run_id: UUID) -> Response:
    return _answer(services().orders.retry(g.actor, run_id, _readable(_to_repeat(run_id))), 201)


@blueprint.post("/<uuid:run_id>/undo")
def undo(run_id: UUID) -> Response:
    return _answer(services().orders.undo(g.actor, run_id, _readable(_to_repeat(run_id))), 201)


@blueprint.post("/<uuid:run_id>/takeover")
def takeover(run_id: UUID) -> Response:
    services().permissions.require_publish(g.actor, *services().runs.sites_to_steer(g.actor, run_id))
    services().waiting.take_over(g.actor, run_id)
    return _answer(run_id, 200)


def _sites(run_id: UUID) -> frozenset[int]:
    return services().runs.sites_of(g.actor, run_id)


def _to_repeat(run_id: UUID) -> Run:
    """The run, for somebody who may retry or undo it. Raises NotAllowed."""
    run = services().runs.get(g.actor, run_id)
    services().permissions.require_some_publish(g.actor, run, _sites(run_id))
    return run


def _readable(run: Run) -> frozenset[int] | None:
    """Ids of the run's sites whose pages the person may see; None for all of their own."""
    sites = () if run.created_by == g.actor.user_id else _sites(run.id)
    return services().permissions.readable_sites(g.actor, run, sites)


def _answer(run_id: UUID, status: int, said: dict[str, Any] | None = None) -> Response:
    """The run; for people with what has just been done to it, in words."""
    query = read(ItemsQuery, request.args if request.method == "GET" else {})
    in_its_state = seen(run_id, query)
    view = offers.of_one(in_its_state)
    concerned = g.actor.user_id in (view.run.created_by, view.run.acting_as) and g.actor.user_id not in view.run.seen_by
    if view.run.state.is_final and concerned:
        services().runs.mark_seen(g.actor, run_id)
    if view.run.state.is_final or view.run.state is RunState.WAITING or view.run.doubt is not None:
        services().notice_rows.seen(g.actor, run_id)
    as_json = responses.wants_json()
    reply = (
        responses.json(serializers.run(view), status)
        if as_json
        else _run_page(view, status, query, said, in_its_state.can)
    )
    if status == 201:
        reply.headers["Location"] = url_for("runs.one", run_id=run_id)
    return reply


def seen(run_id: UUID, query: ItemsQuery) -> RunView:
    """One run with the asked screen of those of its pages that the person may see."""
    run = services().runs.get(g.actor, run_id)
    failed_only = query.items == "failed"
    return services().runs.view(
        g.actor, run_id, _readable(run), failed_only=failed_only, after=query.after, limit=_limit(query)
    )


def _limit(query: ItemsQuery) -> int:
    return query.limit or (ITEMS_OF_JSON if responses.wants_json() else ITEMS_OF_PAGE)


def _around_the_history() -> dict[str, Any]:
    """What stands above the rows: whom one can filter by, and the chart."""
    return {
        "people": services().statistics.people(g.actor),
        "weeks": services().statistics.weeks(g.actor, i18n.zone(g.actor.zone)),
    }


def _run_page(
    view: RunView, status: int, query: ItemsQuery, said: dict[str, Any] | None, in_its_state: Sequence[str]
) -> Response:
    """The run's own page.

    in_its_state  what could be done with it by somebody with the rights
    """
    run = view.run
    poll = progress.seconds_until_next(view)
    goes_on = poll and not run.state.is_final and run.state is not RunState.WAITING
    return responses.html(
        "runs/run.html", status, **progress.told(view), doubt=serializers.doubt(run), late=times.late(run),
        overdue=times.overdue(run, services().clock()), there=times.there(run), poll=poll,
        version=progress.version(view), slice=view.slice, which=query.items, after=query.after, limit=_limit(query),
        open_orders=services().runs.open_orders(g.actor), worker=sight.silent_worker() if goes_on else None,
        place=calendar.place(), denied=offers.is_denied(view), again=offers.is_offered_anew(view),
        said=said, kept={}, foreseen=previews.left_as_they_are(view), view_only=bool(in_its_state) and not view.can,
        notices=services().users.wanted_notices(g.actor.user) if query.from_notice else None,
    )  # fmt: skip


def _order_form(model: type[Form], *lists: str) -> Form:
    sent = body()
    values = sent.to_dict(flat=False).values() if isinstance(sent, MultiDict) else sent.values()
    if sum(len(value) if isinstance(value, list) else 1 for value in values) > MOST_FIELDS:
        raise BadForm(status=413, detail=N_("More than 5,000 pages, or too many fields, were sent. Nothing was done."))
    return read(model, sent, lists=lists)


def _is_our_page() -> bool:
    """The page's own forms send every field they have: an end that was left empty there is no end."""
    return "HX-Request" in request.headers


def _refuse_empty_times(*fields: str) -> None:
    """A time that a form brings empty is neither "now" nor "never". Raises BadForm."""
    if any(request.form.get(field) == "" for field in fields):
        raise unreadable()


def _key(form: OrderForm) -> IdempotencyKey | None:
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return None
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise BadForm(detail=N_("The Idempotency-Key must be 1 to 255 plain characters. Nothing was done."))
    return IdempotencyKey(key, form.digest())
