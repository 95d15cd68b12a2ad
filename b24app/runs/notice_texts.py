"""What a notice says: one sentence what happened, one what to do, in the reader's language.

Sentences are whole, so that each language can turn them as it likes. A moment is written by the portal in the reader's
own zone; in the copy for mail, which no portal reads, by us.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from b24app import i18n
from b24app.domain import N_, Action, ItemState, NoticeAbout, RunState
from b24app.errors import (
    AccessDenied,
    AppNotAllowed,
    ExpiredToken,
    InsufficientScope,
    OperatorError,
    Problem,
    RecordedProblem,
    TimeIsUp,
    TooLate,
    UserGone,
)
from b24app.store.models import Run

OF_A_PERSON = (ExpiredToken, UserGone, AppNotAllowed)
NOTHING_TO_DO = N_("There is nothing for you to do.")
SCHEDULE_AGAIN = N_("Schedule it again if it is still wanted.")
LOOK_AND_RETRY = N_("Open it to see why, and to retry.")
OPEN_ONCE = N_("Open Sundown once, and it continues.")
ASK_OR_HAND_OVER = N_("Ask for the Publish right, or let a colleague take it over.")
TAKE_IT_OVER = N_("You can take it over: open it and choose “Take over”.")
DECIDE = N_("Open it and decide whether it should still happen.")
BY_ITSELF = N_("It continues by itself once that is fixed; an administrator can see more under “Health”.")
SHOW_IT, OPEN_APP = N_("Show it in Sundown"), N_("Open Sundown")
When = Callable[[datetime], str]


@dataclass(frozen=True)
class Told:
    """A run as its notice tells of it; titles and names are harmless by now.

    title  of its only page, for somebody who may read it
    own    it is the reader's: they ordered it, or it acts for them
    name   whom it acts for
    """

    run: Run
    counts: Mapping[ItemState, int]
    title: str | None
    own: bool
    name: str

    @property
    def total(self) -> int:
        """All pages of the run."""
        return sum(self.counts.values())

    @property
    def about_time(self) -> datetime:
        """Its set time, or when it ended, or when it was ordered."""
        return self.run.at or self.run.finished_at or self.run.created_at


class Words:
    """Sentences in one language, with moments written in one way."""

    def __init__(self, language: str, when: When) -> None:
        self._catalog = i18n.catalog(language)
        self._language = language
        self._when = when

    def of_run(self, about: NoticeAbout, told: Told) -> tuple[str, str]:
        """What happened, and what to do."""
        if about is NoticeAbout.TAKEN_OVER:
            return self._taken_over(told), self(NOTHING_TO_DO)
        if about is NoticeAbout.ENDED:
            return self._ended(told)
        doubtful = about is NoticeAbout.DOUBTFUL
        what, cause = self._will_wait(told) if doubtful else self._waits(told), _cause(told.run, doubtful=doubtful)
        return f"{what}: {self._why(cause, told)}", self(_remedy(cause, told))

    def of_many(self, number: int, trouble: int, since: datetime) -> tuple[str, str]:
        """The same of several runs at once, of which so many need a person."""
        ngettext = self._many
        what = (
            ngettext(
                "There is news about %(num)s schedule since %(time)s. Needing attention: %(trouble)s.",
                "There is news about %(num)s schedules since %(time)s. Needing attention: %(trouble)s.",
                number, time=self._when(since), trouble=i18n.number(trouble, self._language),
            )
            if trouble
            else ngettext(
                "%(num)s schedule has finished since %(time)s.",
                "%(num)s schedules have finished since %(time)s.",
                number, time=self._when(since),
            )
        )  # fmt: skip
        return what, self(N_("Open Sundown to see them all."))

    def __call__(self, words: str, **values: str) -> str:
        said = self._catalog.gettext(words)
        return said % values if values else said

    def _many(self, one: str, many: str, number: int, **values: str) -> str:
        return self._catalog.ngettext(one, many, number) % {"num": i18n.number(number, self._language), **values}

    # --- how a run ended -------------------------------------------------------------------------------------------

    def _ended(self, told: Told) -> tuple[str, str]:
        run, counts = told.run, told.counts
        if run.state is RunState.CANCELLED:
            return self._undone(told), self(SCHEDULE_AGAIN)
        if run.state is RunState.FAILED and run.problem is not None:
            return self._given_up(told), self(SCHEDULE_AGAIN)
        if counts[ItemState.FAILED]:
            return self._failed(told), self(LOOK_AND_RETRY)
        if not counts[ItemState.SUCCEEDED]:
            return self._unchanged(told), self(NOTHING_TO_DO)
        return self._done(told), self(NOTHING_TO_DO)

    def _done(self, told: Told) -> str:
        if told.run.at is None:
            return self._done_at_last(told)
        if told.run.is_return and told.run.action is Action.PUBLISH:
            return self._back(told)
        values = {"time": self._when(told.about_time)}
        ngettext, number = self._many, told.counts[ItemState.SUCCEEDED]
        if told.run.action is Action.UNPUBLISH:
            if told.title is not None:
                return self(N_("“%(page)s” was unpublished as scheduled (%(time)s)."), page=told.title, **values)
            return ngettext(
                "%(num)s page was unpublished as scheduled (%(time)s).",
                "%(num)s pages were unpublished as scheduled (%(time)s).",
                number, **values,
            )  # fmt: skip
        if told.title is not None:
            return self(N_("“%(page)s” was published as scheduled (%(time)s)."), page=told.title, **values)
        return ngettext(
            "%(num)s page was published as scheduled (%(time)s).",
            "%(num)s pages were published as scheduled (%(time)s).",
            number, **values,
        )  # fmt: skip

    def _back(self, told: Told) -> str:
        values = {"time": self._when(told.about_time)}
        ngettext = self._many
        if told.title is not None:
            return self(N_("“%(page)s” is back: it was published again as scheduled (%(time)s)."), page=told.title,
                        **values)  # fmt: skip
        return ngettext(
            "%(num)s page is back: it was published again as scheduled (%(time)s).",
            "%(num)s pages are back: they were published again as scheduled (%(time)s).",
            told.counts[ItemState.SUCCEEDED], **values,
        )  # fmt: skip

    def _done_at_last(self, told: Told) -> str:
        values = {"time": self._when(told.about_time)}
        ngettext, number = self._many, told.counts[ItemState.SUCCEEDED]
        if told.run.action is Action.UNPUBLISH:
            return ngettext(
                "%(num)s page was unpublished (finished %(time)s).",
                "%(num)s pages were unpublished (finished %(time)s).",
                number, **values,
            )  # fmt: skip
        return ngettext(
            "%(num)s page was published (finished %(time)s).",
            "%(num)s pages were published (finished %(time)s).",
            number, **values,
        )  # fmt: skip

    def _unchanged(self, told: Told) -> str:
        values = {"time": self._when(told.about_time)}
        ngettext = self._many
        if told.title is not None:
            return self(N_("“%(page)s” needed no change when its time came (%(time)s)."), page=told.title, **values)
        return ngettext(
            "%(num)s page needed no change when its time came (%(time)s).",
            "%(num)s pages needed no change when their time came (%(time)s).",
            told.total, **values,
        )  # fmt: skip

    def _failed(self, told: Told) -> str:
        values = {"time": self._when(told.about_time)}
        ngettext = self._many
        failed = i18n.number(told.counts[ItemState.FAILED], self._language)
        if told.run.action is Action.UNPUBLISH:
            if told.title is not None:
                return self(N_("“%(page)s” could not be unpublished (%(time)s)."), page=told.title, **values)
            return ngettext(
                "%(failed)s of %(num)s page could not be unpublished (%(time)s).",
                "%(failed)s of %(num)s pages could not be unpublished (%(time)s).",
                told.total, failed=failed, **values,
            )  # fmt: skip
        if told.title is not None:
            return self(N_("“%(page)s” could not be published (%(time)s)."), page=told.title, **values)
        return ngettext(
            "%(failed)s of %(num)s page could not be published (%(time)s).",
            "%(failed)s of %(num)s pages could not be published (%(time)s).",
            told.total, failed=failed, **values,
        )  # fmt: skip

    def _given_up(self, told: Told) -> str:
        what = self._not_done(told)
        return self(N_("%(what)s: no one took over within 14 days."), what=what)

    def _undone(self, told: Told) -> str:
        what, problem = self._not_done(told), told.run.problem
        if problem is not None and problem.is_a(TimeIsUp):
            return self(N_("%(what)s: the time of the return came first."), what=what)
        return self(N_("%(what)s: by the time Sundown could work, both set times had passed."), what=what)

    def _not_done(self, told: Told) -> str:
        """The beginning of a sentence."""
        values = {"time": self._when(told.about_time)}
        ngettext, number = self._many, told.total - told.counts[ItemState.SUCCEEDED] - told.counts[ItemState.SKIPPED]
        if told.run.action is Action.UNPUBLISH:
            if told.title is not None:
                return self(N_("“%(page)s” was not unpublished (due %(time)s)"), page=told.title, **values)
            return ngettext(
                "%(num)s page was not unpublished (due %(time)s)",
                "%(num)s pages were not unpublished (due %(time)s)",
                number, **values,
            )  # fmt: skip
        if told.title is not None:
            return self(N_("“%(page)s” was not published (due %(time)s)"), page=told.title, **values)
        return ngettext(
            "%(num)s page was not published (due %(time)s)",
            "%(num)s pages were not published (due %(time)s)",
            number, **values,
        )  # fmt: skip

    # --- what needs a person ---------------------------------------------------------------------------------------

    def _waits(self, told: Told) -> str:
        values = {"time": self._when(told.about_time)}
        ngettext, number = self._many, told.total - told.counts[ItemState.SUCCEEDED] - told.counts[ItemState.SKIPPED]
        if told.run.action is Action.UNPUBLISH:
            if told.title is not None:
                return self(N_("“%(page)s” has not been unpublished yet (due %(time)s)"), page=told.title, **values)
            return ngettext(
                "%(num)s page has not been unpublished yet (due %(time)s)",
                "%(num)s pages have not been unpublished yet (due %(time)s)",
                number, **values,
            )  # fmt: skip
        if told.title is not None:
            return self(N_("“%(page)s” has not been published yet (due %(time)s)"), page=told.title, **values)
        return ngettext(
            "%(num)s page has not been published yet (due %(time)s)",
            "%(num)s pages have not been published yet (due %(time)s)",
            number, **values,
        )  # fmt: skip

    def _will_wait(self, told: Told) -> str:
        values = {"time": self._when(told.about_time)}
        ngettext = self._many
        if told.run.action is Action.UNPUBLISH:
            if told.title is not None:
                return self(N_("“%(page)s” will not be unpublished on time (%(time)s)"), page=told.title, **values)
            return ngettext(
                "%(num)s page will not be unpublished on time (%(time)s)",
                "%(num)s pages will not be unpublished on time (%(time)s)",
                told.total, **values,
            )  # fmt: skip
        if told.title is not None:
            return self(N_("“%(page)s” will not be published on time (%(time)s)"), page=told.title, **values)
        return ngettext(
            "%(num)s page will not be published on time (%(time)s)",
            "%(num)s pages will not be published on time (%(time)s)",
            told.total, **values,
        )  # fmt: skip

    def _why(self, cause: type[Problem], told: Told) -> str:
        if issubclass(cause, OF_A_PERSON):
            if told.own:
                return self(N_("Sundown can no longer act for you."))
            return self(N_("Sundown can no longer act for %(name)s."), name=told.name)
        if issubclass(cause, AccessDenied):
            if told.own:
                return self(N_("you do not have the Publish right on all of its sites."))
            return self(N_("%(name)s does not have the Publish right on all of its sites."), name=told.name)
        if issubclass(cause, TooLate):
            return self(N_("it is too late to do it without asking."))
        if issubclass(cause, InsufficientScope):
            return self(N_("Sundown lacks the Sites permission on this portal."))
        if issubclass(cause, OperatorError):
            return self(N_("the people who run Sundown have to correct a setting."))
        return self(N_("Bitrix24 does not let Sundown work on this portal now."))

    def _taken_over(self, told: Told) -> str:
        values = {"name": told.name, "time": self._when(told.about_time)}
        ngettext = self._many
        if told.run.action is Action.UNPUBLISH:
            if told.title is not None:
                return self(N_("%(name)s took over your schedule to unpublish “%(page)s” (%(time)s)."),
                            page=told.title, **values)  # fmt: skip
            return ngettext(
                "%(name)s took over your schedule to unpublish %(num)s page (%(time)s).",
                "%(name)s took over your schedule to unpublish %(num)s pages (%(time)s).",
                told.total, **values,
            )  # fmt: skip
        if told.title is not None:
            return self(N_("%(name)s took over your schedule to publish “%(page)s” (%(time)s)."),
                        page=told.title, **values)  # fmt: skip
        return ngettext(
            "%(name)s took over your schedule to publish %(num)s page (%(time)s).",
            "%(name)s took over your schedule to publish %(num)s pages (%(time)s).",
            told.total, **values,
        )  # fmt: skip


def _cause(run: Run, *, doubtful: bool) -> type[Problem]:
    recorded: RecordedProblem | None = run.doubt if doubtful else run.problem
    return Problem if recorded is None else recorded.kind


def _remedy(cause: type[Problem], told: Told) -> str:
    if issubclass(cause, TooLate):
        return DECIDE
    if not told.own:
        return TAKE_IT_OVER
    if issubclass(cause, AccessDenied):
        return ASK_OR_HAND_OVER
    return OPEN_ONCE if issubclass(cause, OF_A_PERSON) else BY_ITSELF
