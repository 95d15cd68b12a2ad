"""One batch of a run as one request: read, act, read again; and what came of each page.

What a batch read after it acted is what is recorded. A read that failed does not undo what the batch did. The last
reading also takes in the pages of the next batch, so that nothing is ever sent for a page that is already as wanted.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from b24app.bitrix import landing
from b24app.bitrix.landing import PageState
from b24app.bitrix.rest import Answer, Command, Timing
from b24app.domain import ItemState
from b24app.errors import PortalError, Unavailable
from b24app.runs import outcomes, throttle
from b24app.runs.outcomes import Result
from b24app.runs.throttle import Measured
from b24app.store.models import Run, RunItem
from b24app.tokens.user_tokens import Tokens


@dataclass(frozen=True)
class Following:
    """A page of the batch after, to be read along."""

    position: int
    lid: int
    site: str


@dataclass(frozen=True)
class Batch:
    """Results of one batch; `problem` when a failure of the call stopped the rest."""

    results: Sequence[Result]
    problem: PortalError | None = None
    cost: Measured | None = None
    sent: int = 0  # commands that act, in a request of which nothing was heard
    refused: Sequence[int] = ()  # positions of items that were surely not changed, so need no look
    contested: Sequence[int] = ()  # of those refused the ones that another order is just about to change
    unwell: Sequence[Result] = ()  # what to write of them if it is the pages at which the portal fails, again and again
    seen: Mapping[int, PageState] = field(default_factory=dict)  # pages as they were read last, by lid


class Batches:
    """Calls the portal for a run."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def look(self, run: Run, items: Sequence[RunItem | Following], seconds: float) -> dict[int, PageState]:
        """The items' pages as they are now."""
        command = _read(run, items)
        answer = self._tokens.call(run.acting_user, command.method, command.params, timeout=seconds)
        return {state.lid: state for state in landing.read_pages(answer.result)}

    def rights(self, run: Run, sites: Iterable[int], seconds: float) -> dict[int, frozenset[str]]:
        """What the run's person may do in each of these sites."""
        commands = {f"r{site}": landing.rights(run.kind, site) for site in sites}
        answers = self._tokens.batch(run.acting_user, commands, timeout=seconds)
        return {int(key[1:]): landing.read_rights(run.kind, answer) for key, answer in answers.items()}

    def act(
        self, run: Run, items: Sequence[RunItem], looked: Mapping[int, PageState] | None,
        following: Sequence[Following], seconds: float,
    ) -> Batch:  # fmt: skip
        """Act on the items. Raises a PortalError when the request as a whole failed.

        looked     their pages as they were a moment ago; None to read them in the same request
        following  items of the next batch, to be read along
        """
        commands = _commands(run, items, looked)
        last = {"after": _read(run, [*items, *following])}
        began = time.monotonic()
        answers = self._tokens.batch(run.acting_user, commands | last, timeout=seconds)
        cost = _cost([answers[name] for name in commands], len(items), time.monotonic() - began)
        after = _states(answers["after"])
        batch = _outcomes(run, items, answers, looked or _states(answers.get("before")), after)
        return replace(_unread(batch, answers["after"], cost), seen=after)


def _commands(run: Run, items: Sequence[RunItem], looked: Mapping[int, PageState] | None) -> dict[str, Command]:
    """What is asked before the reading after it, in this order; those that act on the items are the last ones."""
    commands = {} if looked else {"before": _read(run, items)}
    if any(not item.site for item in items):
        commands["sites"] = landing.sites(run.kind)
    return commands | {f"c{item.lid}": landing.act(run.action, run.kind, item.lid) for item in items}


def _outcomes(
    run: Run, items: Sequence[RunItem], answers: Mapping[str, Answer | PortalError],
    before: Mapping[int, PageState], after: Mapping[int, PageState],
) -> Batch:  # fmt: skip
    """What came of each page."""
    sites = _site_titles(answers.get("sites"))
    results: list[Result] = []
    stopped: dict[int, PortalError] = {}
    for item in items:
        try:
            result = outcomes.outcome(run, item, answers[f"c{item.lid}"], before.get(item.lid), after.get(item.lid))
        except PortalError as error:
            stopped[item.position] = error
        else:
            results.append(replace(result, site=sites.get(result.site_id or 0)))
    return _stopped(results, stopped, items)


def _cost(answers: Iterable[Answer | PortalError], acting: int, wall_seconds: float) -> Measured | None:
    """What the commands that act cost together, the last `acting` ones of these; None where none tells its time."""
    timings = [timing for timing in _course(answers)[-acting:] if timing is not None]
    return throttle.measured(timings, acting, wall_seconds) if timings else None


def _course(answers: Iterable[Answer | PortalError]) -> list[Timing | None]:
    """How long each command took, in the order in which the portal carried them out; None of one that failed."""
    course: list[Timing | None] = []
    earlier: float | None = None
    for answer in answers:
        if isinstance(answer, PortalError):
            course.append(None)
            continue
        course.append(answer.timing.after(earlier))
        earlier = answer.timing.finish or earlier
    return course


def _stopped(results: list[Result], stopped: dict[int, PortalError], items: Sequence[RunItem]) -> Batch:
    """A batch some commands of which failed as calls. Those the portal itself answered for changed nothing."""
    refused = [position for position, error in stopped.items() if not error.maybe_done]
    of_pages = all(isinstance(error, Unavailable) and not error.maybe_done for error in stopped.values())
    unwell = [
        outcomes.result(item, ItemState.FAILED, None, **outcomes.recorded(stopped[item.position]))
        for item in items
        if of_pages and item.position in stopped
    ]
    return Batch(results, next(iter(stopped.values()), None), refused=refused, unwell=unwell)


def _unread(batch: Batch, after: Answer | PortalError, cost: Measured | None) -> Batch:
    """Where the reading after it failed, what was done counts as sent only: it is looked at before it is written."""
    if isinstance(after, Answer) or not any(result.state is ItemState.SUCCEEDED for result in batch.results):
        return replace(batch, cost=cost)
    lost = Unavailable(after.code, method=after.method) if not after.transient else after
    lost.maybe_done = True
    known = [result for result in batch.results if result.state is not ItemState.SUCCEEDED]
    return replace(batch, results=known, problem=batch.problem or lost, unwell=(), cost=cost)


def _read(run: Run, items: Sequence[RunItem | Following]) -> Command:
    """The pages of the items; their addresses only where the order was written without having seen the page."""
    lids = [item.lid for item in items]
    return landing.pages(run.kind, limit=len(items), lids=lids, urls=any(not item.site for item in items))


def _states(answer: Answer | PortalError | None) -> dict[int, PageState]:
    """A read that failed inside the batch does not undo what the batch did."""
    if answer is None or isinstance(answer, PortalError):
        return {}
    try:
        return {state.lid: state for state in landing.read_pages(answer.result)}
    except Unavailable:
        return {}


def _site_titles(answer: Answer | PortalError | None) -> dict[int, str]:
    if answer is None or isinstance(answer, PortalError):
        return {}
    try:
        return {site.site_id: site.title for site in landing.read_sites(answer.result)}
    except Unavailable:
        return {}
