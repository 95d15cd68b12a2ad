"""Opening and installing: remember who was proven, on which portal, and bind what the portal should call.

Nothing is written before `app.info` has vouched for a post. An open gives its person a fresh pair of tokens, and no
more: whatever concerns the whole portal (the secret of its events, a new installation, an end to a stop) is taken from
an administrator only, and Bitrix24 is asked live whether one it is (threats 5, 27).

One rule keeps what was removed removed: each open remembers the portal's epoch from before its proof was asked for, and
writes nothing where it has changed since; it is proven anew instead.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.orm import Session

from b24app import zones
from b24app.bitrix.address import same_host
from b24app.bitrix.forms import FramePost
from b24app.bitrix.oauth import AppInfo, TokenPair
from b24app.bitrix.rest import Answer, Command
from b24app.clock import Clock
from b24app.domain import APP_SCOPE, N_, NOTICE_SCOPE, UserRef
from b24app.errors import AppNotAllowed, NotInstalled, PortalError, Unavailable, UserGone
from b24app.portals import bindings
from b24app.portals.bindings import Answers, Outcomes, Step
from b24app.portals.removal import Removal
from b24app.portals.status import clear
from b24app.portals.verification import TokenClaim, Verification, Verifier
from b24app.store.db import HELD, Store, repeated
from b24app.store.models import Portal, User, VerifiedToken
from b24app.store.vault import fingerprint
from b24app.tokens.stops import says_not_installed
from b24app.tokens.user_tokens import Tokens

log = structlog.get_logger()
T = TypeVar("T")

PROFILE_AGE = timedelta(days=1)
EPOCH_BITS = 30
LONGEST_NAME = 255
ERASE_SECONDS = 10  # of an open that waits until the earlier installation is erased
TRIES = 3  # of an open that a removal or a reinstall overtook
WHO = {"profile": Command("profile"), "admin": Command("user.admin")}


class Overtaken(Exception):
    """The portal was removed or installed anew since this began: what was proven before is worth nothing now."""


@dataclass(frozen=True)
class Standing:
    """Where a portal stood when something began: its epoch, None where it was not known; and whether it was closed."""

    epoch: int | None = None
    is_closed: bool = False


@dataclass(frozen=True)
class Opening:
    """A proven post: who opened the app, on which portal, and what the installer has to show."""

    user: UserRef
    portal_epoch: int
    user_epoch: int
    endpoint: str
    scope: tuple[str, ...]
    steps: tuple[Step, ...] = field(default=())

    @property
    def has_scope(self) -> bool:
        """The portal granted what the app needs."""
        return APP_SCOPE in self.scope

    @property
    def tells_people(self) -> bool:
        """The portal granted what notices need; nothing else depends on it."""
        return NOTICE_SCOPE in self.scope


@dataclass(frozen=True)
class Grant:
    """What came with a proof and is to be remembered: the pair, and the secret of the portal's events."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    application_token: str | None = field(default=None, repr=False)
    lang: str | None = None
    server: str | None = None  # the authorization server that vouched for it


@dataclass(frozen=True)
class Changes:
    """What is new on the portal since a person last had the app open."""

    version: int | None = None
    scope: tuple[str, ...] | None = None


class Installs:
    """Stores portals and people, binds what the portal should call."""

    def __init__(
        self, app_url: str, store: Store, verifier: Verifier, tokens: Tokens, removal: Removal, clock: Clock
    ) -> None:
        self._app_url = app_url
        self._store = store
        self._verifier = verifier
        self._tokens = tokens
        self._removal = removal
        self._clock = clock

    # --- the four ways in ------------------------------------------------------------------------------------------

    def open(self, post: FramePost, lang: str | None, address: str) -> Opening:
        """Prove a frame post and remember who came. Calls made: none for a known token, one for a fresh one, and one
        more at a person's first open of the day.

        lang  of what is told the person without a session; None: as it was

        Raises Forged (or NotGenuine) for what is not ours, AuthorizationUnavailable when nobody can vouch for it,
        AppNotAllowed and UserGone for whom Bitrix24 does not let in, NotInstalled where an administrator is to come
        first.
        """
        return self._unless_overtaken(lambda: self._open(post, lang, address, installing=False))

    def install(self, post: FramePost, lang: str, address: str) -> Opening:
        """As `open`, and bind events and placement; the steps tell what came of each. Repeatable."""
        return self._unless_overtaken(lambda: self._open(post, lang, address, installing=True))

    def sign_in(self, began: Standing, proven: Verification, pair: TokenPair, lang: str) -> Opening:
        """As `open`, for a person who signed in outside the frame and whose fresh pair was proven."""
        grant = Grant(pair.access, pair.refresh, lang=lang)
        return self._unless_overtaken(
            lambda: self._completed(self._welcome(began, proven, grant, installing=False)), tries=1
        )

    def adopt(self, claim: TokenClaim, grant: Grant) -> Opening:
        """As `open`, for what ONAPPINSTALL or ONAPPUPDATE brought; who it is from is asked live in any case."""

        def adopted() -> Opening:
            began = self.standing(claim.member_id)
            return self._welcome(began, self._verifier.prove(claim), grant, installing=False, ask=True)

        return self._unless_overtaken(adopted)

    def bind(self, user: UserRef) -> Outcomes:
        """Bind events and placement anew for somebody who may; what came of each."""
        return self._unless_overtaken(lambda: self._bind(user), tries=1)

    def _bind(self, user: UserRef) -> Outcomes:
        with self._store.begin() as db:
            opening = _opening(db.get_one(Portal, user.member_id), db.get_one(User, (user.member_id, user.user_id)))
        answers = self._asked(opening, bind=True)
        self._note(opening, answers, None, installing=False)
        return bindings.outcomes(self._app_url, answers)

    def standing(self, member_id: str) -> Standing:
        """Where the portal stands now: to be read before a proof is asked for."""
        with self._store.begin() as db:
            portal = db.get(Portal, member_id)
            return Standing() if portal is None else Standing(portal.epoch, not portal.is_open)

    def _unless_overtaken(self, work: Callable[[], T], tries: int = TRIES) -> T:
        for _ in range(tries):
            try:
                return work()
            except (Overtaken, NoResultFound):  # a row was there a moment ago, and went with a removal
                log.info("open_overtaken")
        raise Unavailable(
            "portal_changed",
            detail=N_("The app was removed from this portal or reinstalled while you opened it. Nothing was stored."),
            remedy=N_("Try again in a minute."),
        )

    def _open(self, post: FramePost, lang: str | None, address: str, *, installing: bool) -> Opening:
        grant = Grant(post.auth_id, post.refresh_token, post.application_token, lang)
        known = self._known(post, grant)
        if known is None:
            began = self.standing(post.member_id)
            claim = TokenClaim(post.auth_id, post.member_id, post.domain, post.server_endpoint, address)
            known = self._welcome(began, self._verifier.prove(claim), grant, installing=installing)
        elif installing or self._is_stranger(known):
            known = self._looked_after(known, grant, installing=installing)
        return known if installing else self._completed(known)

    def _completed(self, opening: Opening) -> Opening:
        """Bound, where something is not bound yet and an administrator has come."""
        if not self._lacks_bindings(opening):
            return opening
        return self._note(opening, self._asked(opening, bind=True), None, installing=False)

    @repeated
    def _known(self, post: FramePost, grant: Grant) -> Opening | None:
        """An opening for a token that was proven before and has not expired; None otherwise."""
        with self._store.begin() as db:
            verified = db.get(VerifiedToken, fingerprint(post.auth_id))
            if verified is None or verified.expires_at <= self._clock() or verified.member_id != post.member_id:
                return None
            portal, user = db.get(Portal, verified.member_id), db.get(User, (verified.member_id, verified.user_id))
            if portal is None or user is None or not portal.is_open or not same_host(verified.domain, post.domain):
                return None
            if portal.suspended_code or user.refused_code:  # something was wrong here: ask Bitrix24 again
                return None
            if user.is_admin and _brings_another_secret(portal, grant):
                return None
            mine = (User.member_id == user.member_id, User.user_id == user.user_id)
            if grant.lang:
                db.execute(update(User).where(*mine).values(language=grant.lang))
            return _opening(portal, user)

    # --- a person, proven a moment ago -----------------------------------------------------------------------------

    def _welcome(
        self, began: Standing, proven: Verification, grant: Grant, *, installing: bool, ask: bool = False
    ) -> Opening:
        """Remember the person and their pair; then what only an administrator may change, if they are one.

        ask  ask the portal who this is, also where nothing seems to need it; raise its PortalError if it says nothing
        """
        grant = replace(grant, server=proven.server)
        if began.is_closed:
            began = self._reopen(began, proven, grant, strict=ask)
        opening, is_to_be_asked = self._admit(began, proven, grant)
        if grant.refresh:
            self._keep_pair(opening, grant.access, grant.refresh, proven.info)
        if installing or ask or is_to_be_asked:
            return self._looked_after(opening, grant, installing=installing, strict=ask)
        return opening

    @repeated
    def _admit(self, began: Standing, proven: Verification, grant: Grant) -> tuple[Opening, bool]:
        """The portal's facts as the authorization server told them, the person, the proof; True when the portal is to
        be asked who this is. Raises Overtaken.
        """
        info = proven.info
        with self._store.begin() as db:
            portal = self._portal(db, began, proven)
            user = _user(db, UserRef(info.member_id, info.user_id))
            user.language = grant.lang or user.language
            self._keep_verified_token(db, grant.access, info)
            is_stranger = self._is_due(user) or user.refused_code is not None
            has_changed = portal.suspended_code is not None or _brings_another_secret(portal, grant)
            has_changed = has_changed or portal.oauth_server != proven.server
            return _opening(portal, user), is_stranger or (user.is_admin and has_changed)

    def _portal(self, db: Session, began: Standing, proven: Verification) -> Portal:
        """The portal's row, held and brought up to date; made when this is its first time."""
        info = proven.info
        facts = {
            "domain": info.domain, "client_endpoint": info.client_endpoint, "scope": ",".join(info.scope),
            "status": info.status, "app_version": info.version,
        }  # fmt: skip
        if began.epoch is None:
            # A portal that was erased and comes back must not revive a session of before: its epochs begin anywhere.
            new = {
                "member_id": info.member_id, "installed_at": self._clock(), "epoch": secrets.randbits(EPOCH_BITS),
                "oauth_server": proven.server,  # later an administrator's: each person posts the name of one
            }  # fmt: skip
            db.execute(insert(Portal).values({**new, **facts}).on_conflict_do_nothing())
        portal = db.get(Portal, info.member_id, with_for_update=HELD, populate_existing=True)
        if portal is None or not portal.is_open or began.epoch not in (None, portal.epoch):
            raise Overtaken
        if portal.app_version != info.version:
            portal.bound_to = None  # Bitrix24 drops bindings at an update
        for name, value in facts.items():
            setattr(portal, name, value)
        return portal

    @repeated
    def _keep_pair(self, opening: Opening, access: str, refresh: str, info: AppInfo) -> None:
        """In a transaction of its own: it may wait for a renewal of the same pair, and the portal must not wait with
        it. What was removed meanwhile gets no token: the epoch is looked at behind the lock.
        """
        try:
            with self._store.begin() as db:
                self._tokens.remember(db, opening.user, access, refresh, info.expires_at)
                epoch = select(Portal.epoch).where(Portal.member_id == info.member_id, Portal.uninstalled_at.is_(None))
                if db.scalar(epoch) != opening.portal_epoch:
                    raise Overtaken
        except IntegrityError:  # the person was forgotten
            raise Overtaken from None

    def _reopen(self, began: Standing, proven: Verification, grant: Grant, *, strict: bool) -> Standing:
        """The app was removed here and is installed again, says the authorization server: an administrator begins the
        new installation, once the earlier one's people are gone. Raises NotInstalled for anybody else.
        """
        member_id = proven.info.member_id
        if not self._tokens.is_administrator(proven.info.client_endpoint, grant.access, strict=strict):
            raise NotInstalled(
                "reinstall_not_confirmed",
                detail=N_(
                    "The app was removed from this portal earlier. It starts again once an administrator opens it."
                ),
                remedy=N_("Ask an administrator of your Bitrix24 to open the app once."),
            )
        self._removal.forget_people(member_id)
        if not self._removal.erase(member_id, seconds=ERASE_SECONDS):
            raise Unavailable(
                "still_erasing",
                detail=N_("Data of the earlier installation is still being deleted. Nothing was lost or stored."),
                remedy=N_("Try again in a minute."),
                retry_after=60,
            )
        return self._begun_again(began, member_id)

    @repeated
    def _begun_again(self, began: Standing, member_id: str) -> Standing:
        with self._store.begin() as db:
            portal = db.get(Portal, member_id, with_for_update=HELD, populate_existing=True)
            if portal is None:
                return Standing()
            if portal.epoch != began.epoch or portal.is_open:
                raise Overtaken
            self._begin_installation(db, portal)
            portal.to_be_erased = False  # the year of its history may have ended since it was looked at
            return Standing(portal.epoch)

    def _begin_installation(self, db: Session, portal: Portal) -> None:
        """The app was installed anew: sessions, proofs and bindings of before are over. The events' secret stays until
        an administrator brings another: a removal has already ended it, and without one no event would be proven.
        """
        db.execute(delete(VerifiedToken).where(VerifiedToken.member_id == portal.member_id))
        portal.installed_at, portal.uninstalled_at, portal.bound_to = self._clock(), None, None
        portal.epoch += 1
        clear(portal)

    def _keep_verified_token(self, db: Session, access: str, info: AppInfo) -> None:
        over = VerifiedToken.expires_at <= self._clock()
        db.execute(delete(VerifiedToken).where(VerifiedToken.member_id == info.member_id, over))
        row = {
            "access_sha256": fingerprint(access), "member_id": info.member_id, "user_id": info.user_id,
            "domain": info.domain, "expires_at": info.expires_at,
        }  # fmt: skip
        db.execute(insert(VerifiedToken).values(row).on_conflict_do_update(index_elements=["access_sha256"], set_=row))

    # --- asking the portal, and what an administrator may change ---------------------------------------------------

    def _looked_after(self, opening: Opening, grant: Grant, *, installing: bool, strict: bool = False) -> Opening:
        """Ask who this is, bind for the installer, and note all that comes of it.

        strict  raise the PortalError for which the portal did not say whether it is an administrator
        """
        answers = self._asked(opening, bind=installing)
        if strict and isinstance(unsaid := answers["admin"], PortalError):
            raise unsaid
        opening = self._note(opening, answers, grant, installing=installing)
        if not installing:
            return opening
        made = bindings.outcomes(self._app_url, answers)
        return replace(opening, steps=bindings.steps(opening.has_scope, opening.tells_people, made))

    def _asked(self, opening: Opening, *, bind: bool) -> Answers:
        """One request; a refusal of all of it stands for each part. Raises what Bitrix24 says of the person: that they
        may not use the app, or are not known any more.
        """
        commands = WHO | (bindings.commands(self._app_url) if bind else {})
        try:
            return self._tokens.batch(opening.user, commands)
        except (AppNotAllowed, UserGone):
            raise
        except PortalError as refused:
            log.warning("introduction_refused", code=refused.code, member_id=opening.user.member_id)
            return dict.fromkeys(commands, refused)

    @repeated
    def _note(self, opening: Opening, answers: Answers, grant: Grant | None, *, installing: bool) -> Opening:
        """What the portal said of the person, and, for an administrator, what they may change. Raises Overtaken."""
        with self._store.begin() as db:
            portal = db.get(Portal, opening.user.member_id, with_for_update=HELD, populate_existing=True)
            if portal is None or not portal.is_open or portal.epoch != opening.portal_epoch:
                raise Overtaken
            user = _user(db, opening.user)
            _note_profile(user, answers["profile"], self._clock)
            admin = answers["admin"]
            if isinstance(admin, Answer):
                user.is_admin, user.refused_code = admin.result is True, None
            if isinstance(admin, Answer) and admin.result is True:
                self._administer(db, portal, answers, grant, installing=installing)
            elif grant is not None and _brings_another_secret(portal, grant):
                log.warning("application_token_not_taken", member_id=portal.member_id, user_id=user.user_id)
            return replace(_opening(portal, user), steps=opening.steps)

    def _administer(
        self, db: Session, portal: Portal, answers: Answers, grant: Grant | None, *, installing: bool
    ) -> None:
        """An administrator was proven, and the portal itself has just answered them."""
        is_anew = grant is not None and says_not_installed(portal.suspended_code)
        if is_anew:  # a removal, and the reinstall after it, never heard of
            self._begin_installation(db, portal)
        elif portal.suspended_code is not None:
            log.warning("portal_resumed", member_id=portal.member_id, code=portal.suspended_code)
            clear(portal)
        if grant is not None and grant.application_token and _brings_another_secret(portal, grant):
            if portal.application_token_sha256 is not None and not is_anew:
                log.warning("application_token_changed", member_id=portal.member_id)
                self._begin_installation(db, portal)
            portal.application_token_sha256 = fingerprint(grant.application_token)
        if grant is not None and grant.server:
            portal.oauth_server = grant.server
        if installing:
            portal.installed_at = self._clock()
        if bindings.BOUND in answers and bindings.all_bound(bindings.outcomes(self._app_url, answers)):
            portal.bound_to = self._app_url

    @repeated
    def changes(self, user: UserRef) -> Changes:
        """What is new since this person last had the app open; it is told once."""
        with self._store.begin() as db:
            portal = db.get(Portal, user.member_id)
            person = db.get(User, (user.member_id, user.user_id), with_for_update=HELD)
            if portal is None or person is None:  # removed since the opening
                return Changes()
            version, scope = person.seen_version, person.seen_scope
            person.seen_version, person.seen_scope = portal.app_version, portal.scope
        return Changes(
            portal.app_version if version not in (None, portal.app_version) else None,
            _scopes(portal.scope) if scope is not None and set(_scopes(scope)) != set(_scopes(portal.scope)) else None,
        )

    def _is_stranger(self, opening: Opening) -> bool:
        with self._store.begin() as db:
            return self._is_due(db.get_one(User, (opening.user.member_id, opening.user.user_id)))

    def _is_due(self, user: User) -> bool:
        return user.opened_at is None or user.opened_at < self._clock() - PROFILE_AGE

    def _lacks_bindings(self, opening: Opening) -> bool:
        if not opening.has_scope:
            return False
        known = select(User.is_admin, Portal.bound_to).join(Portal, Portal.member_id == User.member_id)
        mine = (User.member_id == opening.user.member_id, User.user_id == opening.user.user_id)
        with self._store.begin() as db:
            is_admin, bound_to = db.execute(known.where(*mine)).one()
        return is_admin and bound_to != self._app_url


def matches_application_token(portal: Portal, application_token: str) -> bool:
    """Whether this is the secret of the portal's events; takes the same time however much of it is right."""
    kept = portal.application_token_sha256 or ""
    return secrets.compare_digest(fingerprint(application_token), kept)


def _brings_another_secret(portal: Portal, grant: Grant) -> bool:
    """A first secret, or one that differs from what is kept."""
    return grant.application_token is not None and not matches_application_token(portal, grant.application_token)


def _scopes(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _user(db: Session, ref: UserRef) -> User:
    db.execute(insert(User).values(member_id=ref.member_id, user_id=ref.user_id).on_conflict_do_nothing())
    return db.get_one(User, (ref.member_id, ref.user_id), with_for_update=HELD, populate_existing=True)


def _opening(portal: Portal, user: User) -> Opening:
    return Opening(user.ref, portal.epoch, user.epoch, portal.client_endpoint, _scopes(portal.scope))


def _note_profile(user: User, answer: Answer | PortalError, clock: Clock) -> None:
    """Keep what `profile` says; an inactive user answers with an empty list (PHP's empty object)."""
    if isinstance(answer, PortalError) or not isinstance(answer.result, dict):
        return
    profile = answer.result
    said = (profile.get(part) for part in ("NAME", "LAST_NAME"))
    names = (name.strip() for name in said if isinstance(name, str))
    user.name = " ".join(name for name in names if name)[:LONGEST_NAME]
    user.portal_zone = zones.understood(profile.get("TIME_ZONE"))
    user.opened_at = clock()
