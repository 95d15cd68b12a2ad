"""The contract's "who may": rights in sites as Bitrix24 tells them (`landing.site.getRights`), kept for five minutes.

Looking at a run asks about that run's sites and nothing more, one command a site, so that watching a long run costs one
request and not one a look. Of very many sites as many are asked about as half of the request's time allows, and the
next look goes on from there. What cannot be asked is nobody's right: the run is shown, its pages count as hidden.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice

import structlog

from b24app.bitrix import landing
from b24app.bitrix.rest import Answer
from b24app.clock import Clock
from b24app.deadline import REQUEST_SECONDS, remaining
from b24app.domain import UNKNOWN_SITE, Actor, Kind, UserRef
from b24app.errors import NotAllowed, PortalError
from b24app.expiring import ExpiringCache
from b24app.store.models import Run
from b24app.tokens.user_tokens import Tokens

log = structlog.get_logger()

RIGHTS_LAST, FAILURE_LASTS = timedelta(minutes=5), timedelta(seconds=20)
LISTED_AGO = timedelta(minutes=1)  # how old the rights of a list of pages may be
COMMANDS, REQUESTS = 50, 100  # of one question; of one look at a run of very many sites, if there is time
NOW_SECONDS = 10  # of a question for which nobody waits
MOST_KEPT = 20_000
Place = tuple[Kind, int]  # a site by its kind and number
Rights = frozenset[str]
NONE: Rights = frozenset()
STEERING, AGAIN = frozenset({"cancel", "move", "change"}), frozenset({"retry", "undo"})


@dataclass(frozen=True)
class Asked:
    """A run that is shown to somebody: what its state allows, and the sites it is about, UNKNOWN_SITE among them where
    that of a page is not known.
    """

    run: Run
    can: Sequence[str]
    sites: Collection[int]

    @property
    def places(self) -> list[Place]:
        """The sites that can be asked about."""
        return [(self.run.kind, site) for site in self.sites if site != UNKNOWN_SITE]


class Permissions:
    """Decides who may look into, and steer, a run that somebody else ordered."""

    def __init__(self, tokens: Tokens, clock: Clock) -> None:
        self._tokens = tokens
        self._clock = clock
        self._kept: ExpiringCache[tuple[UserRef, Place], Rights] = ExpiringCache(MOST_KEPT)
        self.most_seconds = REQUEST_SECONDS / 2  # the rest is for what was asked for
        self._administrators: ExpiringCache[UserRef, bool] = ExpiringCache(MOST_KEPT)

    def is_administrator(self, actor: Actor) -> bool:
        """Bitrix24's own answer, now (`user.admin`)."""
        return self._tokens.call(actor.user, "user.admin").result is True

    def require_administrator(self, actor: Actor) -> None:
        """Raise NotAllowed for everybody else."""
        if not self.is_administrator(actor):
            raise NotAllowed()

    def require_steering(self, actor: Actor, run: Run, sites: Collection[int]) -> None:
        """Cancel and move: the asker, an administrator, or one with the right to publish on all of the run's sites."""
        if run.created_by == actor.user_id or self._publishes_on(actor, run, sites):
            return
        self.require_administrator(actor)

    def require_publish(self, actor: Actor, run: Run, sites: Collection[int]) -> None:
        """Takeover: the right to publish on all of the run's sites. Where one is unknown, the asker or an administrator
        only.
        """
        if UNKNOWN_SITE in sites and run.created_by != actor.user_id:
            self.require_administrator(actor)
            return
        known = [site for site in sites if site != UNKNOWN_SITE]
        if (known or not sites) and not self._publishes_on(actor, run, known):
            raise NotAllowed()

    def require_some_publish(self, actor: Actor, run: Run, sites: Collection[int]) -> None:
        """Retry and undo: the right to publish on at least one of the run's sites; Bitrix24 decides page by page. What
        cannot be asked stops nobody: nothing is done with more than the actor's own rights.
        """
        places = [(run.kind, site) for site in sites if site != UNKNOWN_SITE]
        known = self._known(actor, places)
        if len(places) < len(sites) or not places or any("public" in codes for codes in known.values()):
            return
        asked = self._asked(actor, places, REQUESTS)
        if len(asked) == len(places) and not any("public" in codes for codes in asked.values()):
            raise NotAllowed()

    def readable_sites(self, actor: Actor, run: Run, sites: Collection[int]) -> frozenset[int] | None:
        """Those of the run's sites whose items this person may see; None for the asker, who sees all of their own."""
        if run.created_by == actor.user_id:
            return None
        rights = self._rights(actor, [(run.kind, site) for site in sites], REQUESTS)
        return frozenset(site for (_, site), codes in rights.items() if "read" in codes)

    def readable(self, actor: Actor, places: Iterable[Place]) -> frozenset[Place]:
        """Those of the sites whose pages this person may see, as far as one question tells."""
        rights = self._rights(actor, list(dict.fromkeys(places)), 1)
        return frozenset(place for place, codes in rights.items() if "read" in codes)

    def offered(self, actor: Actor, asked: Sequence[Asked], requests: int = 1) -> list[tuple[str, ...]]:
        """For each run, what its state and this person's rights allow: what is shown, not what is decided.

        One question for all of them, answers up to five minutes old. Where the portal could not be asked, the asker is
        still offered what concerns their own order, and nobody what concerns somebody else's.
        """
        needed = [each for each in asked if each.run.created_by != actor.user_id or not STEERING.issuperset(each.can)]
        places = dict.fromkeys(place for each in needed if each.can for place in each.places)
        rights = self._rights(actor, places, requests)
        return [tuple(what for what in each.can if self._may(actor, each, what, rights)) for each in asked]

    def _may(self, actor: Actor, asked: Asked, what: str, rights: Mapping[Place, Rights]) -> bool:
        """Whether one thing is offered. No rights at all in a site mean that it could not be asked about."""
        known = [rights.get(place, NONE) for place in asked.places]
        is_own = asked.run.created_by == actor.user_id
        on_all = bool(known) and all("public" in codes for codes in known) and UNKNOWN_SITE not in asked.sites
        on_some = any("public" in codes for codes in known)
        unasked = not known or len(known) < len(asked.sites) or not all(known)
        if what in AGAIN:
            return on_some or (is_own and unasked)
        if what in STEERING:
            return is_own or on_all or self._was_administrator(actor)
        return on_all or (is_own and unasked) or (UNKNOWN_SITE in asked.sites and self._was_administrator(actor))

    def _was_administrator(self, actor: Actor) -> bool:
        """Bitrix24's own answer, up to five minutes old; asked only of who was one at their last opening."""
        if not actor.was_admin:
            return False
        known = self._administrators.get(actor.user, self._clock())
        if known is None:
            try:
                known, lasts = self.is_administrator(actor), RIGHTS_LAST
            except PortalError:
                known, lasts = False, FAILURE_LASTS
            self._administrators.put(actor.user, known, self._clock(), lasts)
        return known

    def remember(self, actor: Actor, kind: Kind, rights: Mapping[int, Rights]) -> None:
        """Rights in sites that were read within the last minute, with the list of pages: they need not be asked for
        again. What is known already may be newer.
        """
        now = self._clock()
        for site, codes in rights.items():
            if self._kept.get((actor.user, (kind, site)), now) is None:
                self._kept.put((actor.user, (kind, site)), codes, now, RIGHTS_LAST - LISTED_AGO)

    def publishable(self, actor: Actor, places: Iterable[Place]) -> frozenset[Place]:
        """Those of the sites on which this person may publish, as far as one question tells."""
        rights = self._rights(actor, list(dict.fromkeys(places)), 1)
        return frozenset(place for place, codes in rights.items() if "public" in codes)

    def refused(self, actor: Actor, places: Iterable[Place]) -> frozenset[Place]:
        """Those of the sites on which this person may not publish, as far as one question tells: of a site without any
        right nobody knows whether it was told or not to be had.
        """
        rights = self._rights(actor, list(dict.fromkeys(places)), 1)
        return frozenset(place for place, codes in rights.items() if codes and "public" not in codes)

    def is_refused_now(self, user: UserRef, places: Collection[Place]) -> bool:
        """Whether Bitrix24 says at this moment, of each of the sites, that this person may not publish there."""
        if not 0 < len(places) <= COMMANDS:
            return False
        try:
            answers = self._tokens.batch(
                user, {_key(place): landing.rights(*place) for place in places}, timeout=NOW_SECONDS
            )
        except PortalError:
            return False
        told = [_told(place, answers) for place in places]
        return all(rights is not None and "public" not in rights for rights in told)

    def asked_now(self, user: UserRef, places: Collection[Place]) -> Mapping[Place, Rights]:
        """What this person may do in each of these sites, as Bitrix24 says at this moment, whatever is kept.

        For what is told of pages to somebody who does not ask for it. Raises the PortalError of a call that failed as a
        whole.
        """
        found: dict[Place, Rights] = {}
        left = iter(places)
        while some := list(islice(left, COMMANDS)):
            answers = self._tokens.batch(
                user, {_key(place): landing.rights(*place) for place in some}, timeout=NOW_SECONDS
            )
            found |= {place: _told(place, answers) or NONE for place in some}
        return found

    def _publishes_on(self, actor: Actor, run: Run, sites: Collection[int]) -> bool:
        """Whether this person may publish on all of the run's sites. What was refused before is asked again: who was
        given the right a moment ago need not wait.
        """
        if UNKNOWN_SITE in sites:
            return False
        places = [(run.kind, site) for site in sites]
        known = self._known(actor, places)
        unsure = [place for place in places if "public" not in known.get(place, NONE)]
        if unsure:
            known |= self._asked(actor, unsure, REQUESTS)
        return bool(places) and all("public" in known.get(place, NONE) for place in places)

    def _rights(self, actor: Actor, places: Collection[Place], requests: int) -> Mapping[Place, Rights]:
        known = self._known(actor, places)
        return known | self._asked(actor, [place for place in places if place not in known], requests)

    def _known(self, actor: Actor, places: Iterable[Place]) -> dict[Place, Rights]:
        now = self._clock()
        kept = {place: self._kept.get((actor.user, place), now) for place in places}
        return {place: rights for place, rights in kept.items() if rights is not None}

    def _asked(self, actor: Actor, places: Iterable[Place], requests: int) -> dict[Place, Rights]:
        """Ask about so many sites as fit into so many requests and the time there is, and keep what was said. Failures
        say nothing for a short while only.
        """
        found: dict[Place, Rights] = {}
        left = iter(places)
        until = time.monotonic() + min(self.most_seconds, remaining(REQUEST_SECONDS) / 2)
        for _ in range(requests):
            some = list(islice(left, COMMANDS))
            if not some or not self._ask(actor, some, found) or time.monotonic() > until:
                break
        return found

    def _ask(self, actor: Actor, places: Collection[Place], found: dict[Place, Rights]) -> bool:
        """One request; False when it failed as a whole."""
        try:
            answers = self._tokens.batch(actor.user, {_key(place): landing.rights(*place) for place in places})
        except PortalError as failed:
            log.info("rights_unknown", code=failed.code, member_id=actor.member_id)
            for place in places:
                self._kept.put((actor.user, place), NONE, self._clock(), FAILURE_LASTS)
            return False
        for place in places:
            rights = _told(place, answers)
            found[place] = rights or NONE
            lasts = FAILURE_LASTS if rights is None else RIGHTS_LAST
            self._kept.put((actor.user, place), found[place], self._clock(), lasts)
        return True


def _told(place: Place, answers: Mapping[str, Answer | PortalError]) -> Rights | None:
    """What a batch tells of one site; None where that question failed."""
    try:
        return landing.read_rights(place[0], answers[_key(place)])
    except PortalError:
        return None


def _key(place: Place) -> str:
    return f"{place[0].value}{place[1]}"
