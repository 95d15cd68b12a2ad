"""What an order would do to each page, said before anything is done.

Of an order for later the page's state at that time counts, as far as the schedules known now tell it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from flask import Response, g

from b24app.domain import N_, Action, RunState
from b24app.errors import PortalError
from b24app.pages.lists import Page
from b24app.runs.local_time import ScheduledTime
from b24app.runs.orders import Order
from b24app.runs.queries import RunView, Upcoming
from b24app.store.models import Run
from b24app.web import responses, serializers, times
from b24app.web.current import services
from b24app.web.shapes import PreviewItemShape, PreviewShape
from b24app.web.translation import _, named, when

IS_SO = {Action.UNPUBLISH: N_("It is already unpublished."), Action.PUBLISH: N_("It is already published.")}
BY_THEN = {
    Action.UNPUBLISH: N_("It will already be unpublished by then."),
    Action.PUBLISH: N_("It will already be published by then."),
}
STAYS = {
    Action.UNPUBLISH: N_(
        "It is set to be published again: %(time)s (by %(name)s). If you go ahead, it stays unpublished for good."
    ),
    Action.PUBLISH: N_(
        "It is set to be unpublished again: %(time)s (by %(name)s). If you go ahead, it stays published for good."
    ),
}
STAYS_UNTIL = {
    Action.UNPUBLISH: N_(
        "It is set to be published again: %(time)s (by %(name)s). If you go ahead, it comes back later: %(end)s."
    ),
    Action.PUBLISH: N_(
        "It is set to be unpublished again: %(time)s (by %(name)s). If you go ahead, that happens later: %(end)s."
    ),
}


@dataclass(frozen=True)
class PagePreview:
    """What an order would do to one page, and what the person should know of it."""

    lid: int
    page: Page | None
    may: bool
    will: str
    why: str | None
    own: str | None  # what other orders are still to do to it

    def shape(self) -> PreviewItemShape:
        """As the contract has it."""
        page = self.page
        return {
            "lid": self.lid,
            "title": serializers.titled(page.title, page.lid) if page else _(N_("Page %(lid)s"), lid=self.lid),
            "site": page.site if page else "",
            "published": bool(page and page.published),
            "may": self.may,
            "main": bool(page and page.main),
            "will": self.will,
            "why": " ".join(filter(None, (self.why, self.own))) or None,
        }


@dataclass(frozen=True)
class OrderPreview:
    """What an order would do to its pages.

    open  it does something, or would at another time that could be chosen
    """

    items: Sequence[PagePreview]
    pages: Mapping[int, Page]
    open: bool

    def shape(self, same: Sequence[Run]) -> PreviewShape:
        """As the contract has it.

        same  open runs that are to do exactly the same
        """
        return {
            "items": [item.shape() for item in self.items],
            "counts": counts(self.items),
            "same_as": [str(run.id) for run in same],
        }


def preview(order: Order, *, later: bool) -> OrderPreview:
    """The order over pages as the person sees them now. Raises a PortalError."""
    pages = services().pages.all_of(g.actor, order.kind).by_lid()
    upcoming = services().runs.upcoming(g.actor, order.lids)
    items = [foresee(order, lid, pages.get(lid), upcoming.get(lid, ()), later=later) for lid in order.lids]
    could = any(item.will != "skip" for item in items)
    if later and order.at and not could:
        at_any_time = replace(order, at=None)
        could = any(
            item.may and item.page and not _will_be_so(at_any_time, item.page, upcoming.get(item.lid, ()), later)
            for item in items
        )
    return OrderPreview(items, pages, could)


def same_runs(order: Order) -> list[Run]:
    """Open runs that are to do just this; a colleague's only for who sees all of its pages, for it tells of them."""
    at = order.at.instant if order.at else None
    until = order.until.instant if order.until else None
    found = services().runs.same(g.actor, order.action, order.kind, order.lids, at, until) if order.lids else []
    own = [run for run in found if run.created_by == g.actor.user_id]
    if len(own) == len(found):
        return own
    pages = services().pages.all_of(g.actor, order.kind).by_lid()
    return found if all(lid in pages for lid in order.lids) else own


def dialog(order: Order, *, when: str, at: str | None, until: str | None, times_open: bool = False) -> Response:
    """The question before an order, with its times as they stand in their fields."""
    zone = order.zone or g.actor.zone
    chosen = times.chosen(order.action, at, until, zone, services().clock())
    seen = preview(order, later=when == "later")
    possible = [item.lid for item in seen.items if item.may]  # what one has no right to is said to be skipped, so it is
    left_out = [item.lid for item in seen.items if not item.may]  # the other direction may have a use for them
    same = same_runs(replace(order, lids=tuple(possible)))
    return responses.html(
        "runs/confirm.html", kind=order.kind, lids=possible, left_out=left_out, at=at, until=until, reason=order.reason,
        times_open=times_open, name=order.name, names=services().agenda.names(g.actor),
        **_in_words(order, chosen, zone, when, same), **_effect(order, seen, when),
    )  # fmt: skip


def told_times(order: Order, chosen: times.Chosen, *, left_out: Sequence[int], when: str | None) -> Response:
    """The times of an open dialog in words; where it is an order's, with what that does to its pages then.

    left_out  pages the dialog lists besides those of the order
    """
    said = _in_words(order, chosen, order.zone, when, same_runs(order))
    order = replace(order, lids=tuple(dict.fromkeys((*order.lids, *left_out))))
    if not order.lids or chosen.wrong:
        return responses.html("runs/when.html", **said)
    try:
        seen = preview(order, later=when == "later")
    except PortalError:  # what was said of the pages before stays
        return responses.html("runs/when.html", **said)
    return responses.html("runs/told.html", **said, **_effect(order, seen, when))


def _in_words(
    order: Order, chosen: times.Chosen, zone: str | None, when: str | None, same: Sequence[Run]
) -> dict[str, Any]:
    """What is said of the times beside their fields."""
    order = replace(order, at=chosen.at, until=chosen.until, zone=zone)
    is_whole = not chosen.wrong and (chosen.at is not None or when != "later")
    return {
        "line": times.in_one_line(order.action, order.at, order.until, zone) if is_whole else None,
        "times": times.of_order(order), "wrong": chosen.wrong, "zone": zone,
        "same": [] if chosen.wrong else same,
    }  # fmt: skip


def _effect(order: Order, seen: OrderPreview, when: str | None) -> dict[str, Any]:
    """What is said of the pages. `open`: at some time there would be something to do, if not at this one."""
    return {
        "items": [item.shape() for item in seen.items], "counts": counts(seen.items), "open": seen.open,
        "action": order.action, "when": when, "by_site": by_site(seen.items),
        "left": sum(item.may and item.will == "skip" for item in seen.items),
        "own": [item.lid for item in seen.items if item.own], "addresses": addresses(seen.items, seen.pages),
    }  # fmt: skip


def foresee(order: Order, lid: int, page: Page | None, upcoming: Sequence[Upcoming], *, later: bool) -> PagePreview:
    """What the order would do to one page.

    upcoming  what other orders are still to do to it, in order of time
    later     the person is about to choose a time, so the page's state now decides nothing that can still change
    """
    if page is None:
        return PagePreview(lid, None, False, "skip", _(N_("It was not found, or you may not see it.")), None)
    own, may = times.own(upcoming), page.may(order.action)
    is_so = _will_be_so(order, page, upcoming, later)
    if may and is_so and (stays := _stays(order, page, upcoming)):
        return PagePreview(lid, page, may, order.action, stays, None)
    if is_so:
        return PagePreview(lid, page, may, "skip", _so(order, page), own)
    if not may:
        return PagePreview(lid, page, may, "skip", _(serializers.NO_RIGHT[order.action], site=page.site), own)
    return PagePreview(lid, page, may, order.action, _warning(order, page), own)


def left_as_they_are(view: RunView) -> dict[int, str]:
    """Of the shown pages of a schedule those that it need not change, as things stand now, each with why. They are its
    pages all the same: what they are like can change until then.
    """
    run = view.run
    if run.state is not RunState.SCHEDULED or run.at is None or run.is_return:
        return {}
    listed = services().pages.kept(g.actor, run.kind)  # the portal is not asked: a schedule can be looked at without it
    if listed is None:
        return {}
    pages = listed.by_lid()
    until = ScheduledTime(run.until) if run.until else None
    order = Order(run.action, run.kind, (), ScheduledTime(run.at), until, run.zone, run.reason, run.name)
    found = {}
    for lid in (item.lid for item in view.slice.items if item.lid in pages):
        others = [each for each in view.upcoming.get(lid, ()) if run.id not in (each.run_id, each.first)]
        if _will_be_so(order, pages[lid], others, later=True) and not _stays(order, pages[lid], others):
            found[lid] = _so(order, pages[lid])
    return found


def _so(order: Order, page: Page) -> str:
    """Why there is nothing to do to a page."""
    is_so = page.published == (order.action is Action.PUBLISH)
    return _((IS_SO if is_so else BY_THEN)[order.action])


def _stays(order: Order, page: Page, upcoming: Sequence[Upcoming]) -> str | None:
    """When the page, which will be as wanted, is so only until a window over it ends, and the order keeps it so for
    longer: in words.
    """
    begins = order.at.instant if order.at else None
    told = [each for each, _is_so in times.foreseen(page.published, upcoming)]
    ends = [each for each in told if each.is_return and each.action is not order.action]
    ends = [each for each in ends if begins is None or each.at > begins]
    if not ends:
        return None
    last = ends[-1]
    if order.until is None:
        return _(STAYS[order.action], time=when(last.at), name=named(last.by))
    if order.until.instant <= last.at:
        return None
    end = when(order.until.instant, order.zone)
    return _(STAYS_UNTIL[order.action], time=when(last.at), name=named(last.by), end=end)


def _will_be_so(order: Order, page: Page, upcoming: Sequence[Upcoming], later: bool) -> bool:
    """Whether the page is, when the order comes to it, as the order wants it."""
    if order.at is None and later and any(each.action is not order.action for each in upcoming):
        return False
    published = times.state_at(page.published, upcoming, order.at.instant) if order.at else page.published
    return published == (order.action is Action.PUBLISH)


def _warning(order: Order, page: Page) -> str | None:
    """What the person should know of a page that will be changed."""
    if order.action is Action.UNPUBLISH and page.main:
        return _(N_("This is the main page of its site: the site's address will be empty."))
    if order.action is Action.UNPUBLISH and not page.site_active:
        return _(N_("Its whole site is unpublished, so visitors cannot open it now either."))
    if order.action is Action.PUBLISH and not page.site_active:
        return _(N_("Its whole site is unpublished and will come back with it."))
    return None


def addresses(items: Sequence[PagePreview], pages: Mapping[int, Page]) -> dict[int, str]:
    """What tells those apart whose title another page of their site has, too."""
    titles = Counter((page.site_id, page.title) for page in pages.values())
    twins = [item.page for item in items if item.page and titles[item.page.site_id, item.page.title] > 1]
    return {page.lid: page.url or _(N_("No. %(lid)s"), lid=page.lid) for page in twins}


def by_site(items: Sequence[PagePreview]) -> list[tuple[str, int]]:
    """How many pages of each site will be changed, the most first."""
    return Counter(item.page.site for item in items if item.page and item.will != "skip").most_common()


def counts(items: Sequence[PagePreview]) -> dict[str, int]:
    """How many pages of each sort."""
    acted = [item for item in items if item.will != "skip"]
    return {
        "will": len(acted),
        "skip": len(items) - len(acted),
        "main": sum(item.page is not None and item.page.main for item in acted),
        "may_not": sum(item.page is not None and not item.may for item in items),
        "missing": sum(item.page is None for item in items),
    }
