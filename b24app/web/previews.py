"""What an order would do to each page, said before anything is done.

Of an order for later the page's state at that time counts, as far as the schedules known now tell it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from b24app.domain import N_, Action
from b24app.pages.lists import Page
from b24app.runs.orders import Order
from b24app.runs.queries import Upcoming
from b24app.web import serializers, times
from b24app.web.shapes import PreviewItemShape
from b24app.web.translation import _, named, when

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
class Preview:
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


def foresee(order: Order, lid: int, page: Page | None, upcoming: Sequence[Upcoming], *, later: bool) -> Preview:
    """What the order would do to one page.

    upcoming  what other orders are still to do to it, in order of time
    later     the person is about to choose a time, so the page's state now decides nothing that can still change
    """
    if page is None:
        return Preview(lid, None, False, "skip", _(N_("It was not found, or you may not see it.")), None)
    own, may = times.own(upcoming), page.may(order.action)
    if may and (stays := _stays(order, page, upcoming, later)):
        return Preview(lid, page, may, order.action, stays, None)
    if _will_be_so(order, page, upcoming, later):
        is_so = page.published == (order.action is Action.PUBLISH)
        return Preview(lid, page, may, "skip", _((serializers.ALREADY if is_so else BY_THEN)[order.action]), own)
    if not may:
        return Preview(lid, page, may, "skip", _(serializers.NO_RIGHT[order.action], site=page.site), own)
    return Preview(lid, page, may, order.action, _warning(order, page), own)


def _stays(order: Order, page: Page, upcoming: Sequence[Upcoming], later: bool) -> str | None:
    """When the page is as wanted only until a window over it ends, and the order keeps it so for longer: in words."""
    begins = order.at.instant if order.at else None
    ends = [each for each in upcoming if each.is_return and each.action is not order.action]
    ends = [each for each in ends if begins is None or each.at > begins]
    if not ends or not _will_be_so(order, page, upcoming, later):
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
    wanted, published = order.action is Action.PUBLISH, page.published
    if order.at is None and later and any(each.action is not order.action for each in upcoming):
        return False
    for each in upcoming:
        if order.at is not None and each.at <= order.at.instant:
            published = each.action is Action.PUBLISH
    return published == wanted


def _warning(order: Order, page: Page) -> str | None:
    """What the person should know of a page that will be changed."""
    if order.action is Action.UNPUBLISH and page.main:
        return _(N_("This is the main page of its site: the site's address will be empty."))
    if order.action is Action.UNPUBLISH and not page.site_active:
        return _(N_("Its whole site is unpublished, so visitors cannot open it now either."))
    if order.action is Action.PUBLISH and not page.site_active:
        return _(N_("Its whole site is unpublished and will come back with it."))
    return None


def addresses(items: Sequence[Preview], pages: Mapping[int, Page]) -> dict[int, str]:
    """What tells those apart whose title another page of their site has, too."""
    titles = Counter((page.site_id, page.title) for page in pages.values())
    twins = [item.page for item in items if item.page and titles[item.page.site_id, item.page.title] > 1]
    return {page.lid: page.url or _(N_("No. %(lid)s"), lid=page.lid) for page in twins}


def by_site(items: Sequence[Preview]) -> list[tuple[str, int]]:
    """How many pages of each site will be changed, the most first."""
    return Counter(item.page.site for item in items if item.page and item.will != "skip").most_common()


def counts(items: Sequence[Preview]) -> dict[str, int]:
    """How many pages of each sort."""
    acted = [item for item in items if item.will != "skip"]
    return {
        "will": len(acted),
        "skip": len(items) - len(acted),
        "main": sum(item.page is not None and item.page.main for item in acted),
        "may_not": sum(item.page is not None and not item.may for item in items),
        "missing": sum(item.page is None for item in items),
    }
