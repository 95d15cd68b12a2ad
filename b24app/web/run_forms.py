"""What is sent to `runs`: the bodies of orders and of changes, the queries of lists and of one run."""

import hashlib
import json
from dataclasses import replace
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_validator

from b24app import i18n, zones
from b24app.domain import N_, Action, Actor, Kind, RunState
from b24app.errors import BadForm
from b24app.runs.local_time import ScheduledTime, scheduled_time
from b24app.runs.orders import MOST_PAGES, Change, Order
from b24app.runs.queries import Place, RunFilter
from b24app.users import FOLLOW_PORTAL
from b24app.web import sight
from b24app.web.forms import DayOrTime, Number, start_of

Short = Annotated[str, StringConstraints(strip_whitespace=True, max_length=64)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=120)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Lids = list[Annotated[Number, Field(ge=1, le=2**53)]]


class OrderForm(BaseModel):
    """The body of POST /runs, as a form or as JSON."""

    model_config = ConfigDict(extra="ignore")

    action: Action
    kind: Kind = Kind.PAGE
    lids: Lids = Field(min_length=1, max_length=MOST_PAGES)
    at: Short | None = None
    until: Short | None = None
    zone: Short | None = None
    name: Name | None = None
    reason: Reason | None = None

    @field_validator("name", "reason")
    @classmethod
    def _no_control_characters(cls, value: str | None) -> str | None:
        if value and "\0" in value:
            raise ValueError("plain text")
        return value or None

    def digest(self) -> str:
        """SHA-256 over what was asked for, as it was said: the same an hour later, when its time has passed."""
        said = self.model_dump(mode="json") | {"lids": sorted(set(self.lids))}
        if self.name is None:  # as it was before orders had names
            del said["name"]
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def order(self, actor: Actor, now: datetime) -> Order:
        """The order with its times made sure of. A zone nobody knows matters only to a local time. Raises BadForm."""
        said = None if self.zone == FOLLOW_PORTAL else self.zone
        zone = actor.zone if said is None else said
        at, until = self._scheduled_time(self.at, zone, now), self._scheduled_time(self.until, zone, now)
        if until is not None and until.instant <= max(at.instant if at else now, now):
            raise BadForm(
                detail=N_("The return must be later than the take-down. Nothing was scheduled."),
                remedy=N_("Choose a later time for the return."),
            )
        is_local = (at and at.wall_time) or (until and until.wall_time)
        kept_zone = zones.understood(zone if is_local else said)
        return Order(
            self.action, self.kind, tuple(dict.fromkeys(self.lids)), at, until, kept_zone, self.reason, self.name
        )

    @staticmethod
    def _scheduled_time(text: str | None, zone: str | None, now: datetime) -> ScheduledTime | None:
        return None if text is None else scheduled_time(text, zone, now)


class PreviewForm(OrderForm):
    """The body of POST /runs/preview as the page's dialog sends it.

    left_out  pages the dialog has listed and would not change: the other direction may have a use for them
    """

    lids: Lids = Field([], max_length=MOST_PAGES)  # none where all are left out
    left_out: Lids = Field([], max_length=MOST_PAGES)

    def order(self, actor: Actor, now: datetime) -> Order:
        """As of an order, over all that is listed."""
        order = super().order(actor, now)
        return replace(order, lids=tuple(dict.fromkeys((*order.lids, *self.left_out))))


class TimesForm(BaseModel):
    """What an open dialog says of times, while they are chosen; the pages are there where it is an order.

    when    of an order: "later" where it needs a time to begin
    needed  the fields that must not be left empty
    """

    model_config = ConfigDict(extra="ignore")

    action: Action
    kind: Kind = Kind.PAGE
    lids: Lids = Field([], max_length=MOST_PAGES)
    left_out: Lids = Field([], max_length=MOST_PAGES)
    when: Short | None = None
    at: Short | None = None
    until: Short | None = None
    zone: Short | None = None
    needed: Short = ""


def _place(text: object) -> object:
    """Where a list goes on: behind a run, or behind where the history had it."""
    return Place.read(text) if isinstance(text, str) and "~" in text else text


class ListQuery(BaseModel):
    """The query of GET /runs."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    state: Short | None = None
    lid: Number | None = Field(None, ge=1, le=2**53)
    user_id: Number | None = Field(None, ge=1, le=2**53)
    since: DayOrTime = Field(None, alias="from")
    before: DayOrTime = Field(None, alias="to")
    due_from: DayOrTime = None
    due_to: DayOrTime = None
    happened_from: DayOrTime = None  # these two are of the page's History: by when something happened, as its rows say
    happened_to: DayOrTime = None
    view: Short | None = None  # "history": the page's History, also for its file
    after: Annotated[UUID | Place | None, BeforeValidator(_place)] = None
    q: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    limit: Number = Field(20, ge=1, le=100)

    @field_validator("state")
    @classmethod
    def _known_states(cls, value: str | None) -> str | None:
        for word in (value or "").split(","):
            if word:
                RunState(word)
        return value

    def filter(self, actor: Actor, *, as_history: bool) -> RunFilter:
        """As the runs module takes it. A day counts whole, in the actor's zone."""
        states = tuple(RunState(word) for word in (self.state or "").split(",") if word)
        zone = i18n.zone(actor.zone)
        since, before = start_of(self.since, zone), start_of(self.before, zone, days=1)
        due_since, due_before = start_of(self.due_from, zone), start_of(self.due_to, zone, days=1)
        return RunFilter(
            states, sight.of_page(self.lid) if self.lid else None, self.user_id, since, before,
            due_since, due_before, sight.words(self.q), self.after, self.limit,
            as_history, start_of(self.happened_from, zone), start_of(self.happened_to, zone, days=1),
        )  # fmt: skip


class ItemsQuery(BaseModel):
    """The query of GET /runs/<id>."""

    model_config = ConfigDict(extra="ignore")

    items: Annotated[str, StringConstraints(pattern="^(all|failed)$")] = "all"
    after: Number = Field(-1, ge=-1, le=2**31 - 1)  # an item's position
    limit: Number | None = Field(None, ge=1, le=1000)
    from_notice: bool = False  # a notice in the portal led here


class MoveForm(BaseModel):
    """The body of POST /runs/<id>/move."""

    model_config = ConfigDict(extra="ignore")

    at: Short | None = None
    until: Short | None = None
    zone: Short | None = None


class ChangeForm(BaseModel):
    """The body of POST /runs/<id>/change. What is left out stays as it is; an empty text takes the old one away."""

    model_config = ConfigDict(extra="ignore")

    name: Name | None = None
    reason: Reason | None = None
    add: Lids = Field([], max_length=MOST_PAGES)
    remove: Lids = Field([], max_length=MOST_PAGES)

    def change(self) -> Change:
        """As the orders take it. Raises BadForm where nothing is asked for."""
        if not self.model_fields_set & ChangeForm.model_fields.keys():
            raise BadForm(detail=N_("No change was given. Nothing was changed."))
        return Change(self.name, self.reason, tuple(self.add), frozenset(self.remove))
