"""Opening and installing: remember who was proven, on which portal, and bind what the portal should call.

Nothing is written before `app.info` has vouched for a post. Every open heals: it takes up a portal whose removal or
reinstall was never heard of, and an administrator's open binds again what Bitrix24 dropped. A token for events that
replaces a living one would let its bringer remove the portal by a forged event, so it is taken only from an
administrator.
"""

import secrets
from dataclasses import dataclass, field
from datetime import timedelta

import structlog
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from b24app import zones
from b24app.bitrix.address import same_host
from b24app.bitrix.forms import FramePost
from b24app.bitrix.oauth import AppInfo, TokenPair
from b24app.bitrix.rest import Answer, Command
from b24app.clock import Clock
from b24app.domain import APP_SCOPE, UserRef
from b24app.errors import REMEDIES, NotInstalled, PortalError
from b24app.portals import bindings
from b24app.portals.bindings import Answers, Step
from b24app.portals.removal import erase
from b24app.portals.verification import TokenClaim, Verification, Verifier
from b24app.store.db import Store
from b24app.store.models import Portal, User, VerifiedToken
from b24app.store.vault import fingerprint
from b24app.tokens.user_tokens import Tokens

log = structlog.get_logger()

PROFILE_AGE = timedelta(days=1)
EPOCH_BITS = 30


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


@dataclass(frozen=True)
class Grant:
    """What came with a proof and is to be remembered: the pair, and the secret of the portal's events."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    application_token: str | None = field(default=None, repr=False)
    lang: str | None = None


@dataclass(frozen=True)
class Changes:
    """What is new on the portal since a person last had the app open."""

    version: int | None = None
    scope: tuple[str, ...] | None = None


class Installs:
    """Stores portals and people, binds what the portal should call."""

    def __init__(self, app_url: str, store: Store, verifier: Verifier, tokens: Tokens, clock: Clock) -> None:
        self._app_url = app_url
        self._store = store
        self._proving = verifier
        self._tokens = tokens
        self._clock = clock

    def open(self, post: FramePost, lang: str, address: str) -> Opening:
        """Prove a frame post and remember who came. Calls made: none for a known token, one for a fresh one, and one
        more at a person's first open of the day.

        Raises Forged (or NotGenuine) for what is not ours, AuthorizationUnavailable when nobody can vouch for it.
        """
        opening = self._known(post, lang) or self.remember(self._proven(post, address), _grant(post, lang))
        return self._completed(opening)

    def install(self, post: FramePost, lang: str, address: str) -> Opening:
        """As `open`, and bind events and placement; the steps tell what came of each. Repeatable."""
        opening = self._known(post, lang) or self.remember(
            self._proven(post, address), _grant(post, lang), installing=True
        )
        answers = self._fetch_profile(opening, bind=True)
        return Opening(
            opening.user,
            opening.portal_epoch,
            opening.user_epoch,
            opening.endpoint,
            opening.scope,
            bindings.steps(opening.has_scope, answers),
        )

    def bind(self, user: UserRef) -> Answers:
        """Bind events and placement anew for somebody who may; what Bitrix24 said of each."""
        with self._store.begin() as db:
            opening = _opening(db.get_one(Portal, user.member_id), db.get_one(User, (user.member_id, user.user_id)))
        answers = self._fetch_profile(opening, bind=True)
        return {name: answers[name] for name in bindings.commands(self._app_url)}

    def sign_in(self, proven: Verification, pair: TokenPair, lang: str) -> Opening:
        """As `open`, for a person who signed in outside the frame and whose fresh pair was proven."""
        return self._completed(self.remember(proven, Grant(pair.access, pair.refresh, lang=lang)))

    def _proven(self, post: FramePost, address: str) -> Verification:
        return self._proving.prove(TokenClaim(post.auth_id, post.member_id, post.domain, post.server_endpoint, address))

    def _completed(self, opening: Opening) -> Opening:
        if self._is_stranger(opening):
            self._fetch_profile(opening, bind=False)
        if self._lacks_bindings(opening):
            self._fetch_profile(opening, bind=True)
        return opening

    def _known(self, post: FramePost, lang: str) -> Opening | None:
        """An opening for a token that was proven before and has not expired; None otherwise."""
        with self._store.begin() as db:
            proof = db.get(VerifiedToken, fingerprint(post.auth_id))
            if proof is None or proof.expires_at <= self._clock() or proof.member_id != post.member_id:
                return None
            portal, user = db.get(Portal, proof.member_id), db.get(User, (proof.member_id, proof.user_id))
            if portal is None or user is None or not portal.is_open or not same_host(proof.domain, post.domain):
                return None
            if portal.suspended_code:  # something was wrong here: ask the authorization server again
                return None
            user.language = lang
            return _opening(portal, user)

    # --- memory ----------------------------------------------------------------------------------------------------

    def remember(self, proven: Verification, grant: Grant, *, installing: bool = False) -> Opening:
        """Store what was proven and what came with it; with `installing` the present installation begins now."""
        info = proven.info
        with self._store.begin() as db:
            portal = self._portal(db, proven)
            if installing:
                portal.installed_at = self._clock()
            user = _user(db, UserRef(info.member_id, info.user_id))
            user.language = grant.lang or user.language
            if grant.application_token and portal.application_token_sha256 is None:
                portal.application_token_sha256 = fingerprint(grant.application_token)
            if grant.refresh:
                self._tokens.remember(db, user.ref, grant.access, grant.refresh, info.expires_at)
            self._keep_proof(db, grant.access, info)
            opening = _opening(portal, user)
            replaces = grant.application_token is not None and not matches_application_token(
                portal, grant.application_token
            )
        return self._reinstalled(opening, grant) if replaces else opening

    def _portal(self, db: Session, proven: Verification) -> Portal:
        """The portal's row, locked and brought up to date; made when this is its first time."""
        info = proven.info
        facts = {
            "domain": info.domain, "client_endpoint": info.client_endpoint, "oauth_server": proven.server,
            "scope": ",".join(info.scope), "status": info.status, "app_version": info.version,
        }  # fmt: skip
        # A portal that was erased and comes back must not revive a session of before: its epochs begin anywhere.
        new = {"member_id": info.member_id, "installed_at": self._clock(), "epoch": secrets.randbits(EPOCH_BITS)}
        made = insert(Portal).values({**new, **facts}).on_conflict_do_nothing()
        db.execute(made)
        portal = db.get_one(Portal, info.member_id, with_for_update=True, populate_existing=True)
        if portal.to_be_erased:
            erase(db, portal)
            db.execute(made)
            portal = db.get_one(Portal, info.member_id, with_for_update=True, populate_existing=True)
        if not portal.is_open or REMEDIES.get((portal.suspended_code or "").upper()) is NotInstalled:
            self._begin_installation(db, portal)
        if portal.app_version != info.version:
            portal.bound_to = None  # Bitrix24 drops bindings at an update
        for name, value in {**facts, "suspended_code": None}.items():
            setattr(portal, name, value)
        return portal

    def _begin_installation(self, db: Session, portal: Portal) -> None:
        """The app was installed anew: sessions, proofs, bindings and the events' secret of before are over."""
        db.execute(delete(VerifiedToken).where(VerifiedToken.member_id == portal.member_id))
        portal.installed_at, portal.uninstalled_at, portal.bound_to = self._clock(), None, None
        portal.application_token_sha256 = None
        portal.epoch += 1

    def _reinstalled(self, opening: Opening, grant: Grant) -> Opening:
        """Another secret of events than the one we keep: a reinstall we never heard of, if an administrator says so."""
        member_id = opening.user.member_id
        if not self.is_administrator(opening.user):
            log.warning("application_token_not_taken", member_id=member_id, user_id=opening.user.user_id)
            return opening
        with self._store.begin() as db:
            portal = db.get_one(Portal, member_id, with_for_update=True)
            self._begin_installation(db, portal)
            portal.application_token_sha256 = fingerprint(grant.application_token or "")
            log.warning("application_token_changed", member_id=member_id, user_id=opening.user.user_id)
            return _opening(portal, db.get_one(User, (member_id, opening.user.user_id)))

    def is_administrator(self, user: UserRef) -> bool:
        """Bitrix24's own answer, now; False when it gives none."""
        try:
            return self._tokens.call(user, "user.admin").result is True
        except PortalError as refused:
            log.warning("administrator_unknown", code=refused.code, member_id=user.member_id)
            return False

    def _keep_proof(self, db: Session, access: str, info: AppInfo) -> None:
        db.execute(
            delete(VerifiedToken).where(
                VerifiedToken.member_id == info.member_id, VerifiedToken.expires_at <= self._clock()
            )
        )
        row = {
            "access_sha256": fingerprint(access), "member_id": info.member_id, "user_id": info.user_id,
            "domain": info.domain, "expires_at": info.expires_at,
        }  # fmt: skip
        db.execute(insert(VerifiedToken).values(row).on_conflict_do_update(index_elements=["access_sha256"], set_=row))

    def changes(self, user: UserRef) -> Changes:
        """What is new since this person last had the app open; it is told once."""
        with self._store.begin() as db:
            portal = db.get_one(Portal, user.member_id)
            person = db.get_one(User, (user.member_id, user.user_id), with_for_update=True)
            version, scope = person.seen_version, person.seen_scope
            person.seen_version, person.seen_scope = portal.app_version, portal.scope
        return Changes(
            portal.app_version if version not in (None, portal.app_version) else None,
            _scopes(portal.scope) if scope is not None and set(_scopes(scope)) != set(_scopes(portal.scope)) else None,
        )

    # --- getting to know, and binding ------------------------------------------------------------------------------

    def _is_stranger(self, opening: Opening) -> bool:
        with self._store.begin() as db:
            opened_at = db.get_one(User, (opening.user.member_id, opening.user.user_id)).opened_at
        return opened_at is None or opened_at < self._clock() - PROFILE_AGE

    def _lacks_bindings(self, opening: Opening) -> bool:
        with self._store.begin() as db:
            portal = db.get_one(Portal, opening.user.member_id)
            user = db.get_one(User, (opening.user.member_id, opening.user.user_id))
            return user.is_admin and opening.has_scope and portal.bound_to != self._app_url

    def _fetch_profile(self, opening: Opening, *, bind: bool) -> Answers:
        """Ask who this is and, for the installer, bind: one request. A refusal of all of it stands for each part."""
        commands = {"profile": Command("profile")} | (bindings.commands(self._app_url) if bind else {})
        try:
            answers: Answers = self._tokens.batch(opening.user, commands)
        except PortalError as refused:
            log.warning("introduction_refused", code=refused.code, member_id=opening.user.member_id)
            return dict.fromkeys(commands, refused)
        with self._store.begin() as db:
            user = db.get_one(User, (opening.user.member_id, opening.user.user_id))
            _note_profile(user, answers["profile"], self._clock)
            if bind and user.is_admin and bindings.all_bound(answers):  # others bind for themselves only
                db.get_one(Portal, opening.user.member_id).bound_to = self._app_url
        return answers


def matches_application_token(portal: Portal, application_token: str) -> bool:
    """Whether this is the secret of the portal's events; takes the same time however much of it is right."""
    kept = portal.application_token_sha256 or ""
    return secrets.compare_digest(fingerprint(application_token), kept)


def _grant(post: FramePost, lang: str) -> Grant:
    return Grant(post.auth_id, post.refresh_token, post.application_token, lang)


def _scopes(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split(",") if part)


def _user(db: Session, ref: UserRef) -> User:
    db.execute(insert(User).values(member_id=ref.member_id, user_id=ref.user_id).on_conflict_do_nothing())
    return db.get_one(User, (ref.member_id, ref.user_id), with_for_update=True, populate_existing=True)


def _opening(portal: Portal, user: User) -> Opening:
    return Opening(user.ref, portal.epoch, user.epoch, portal.client_endpoint, _scopes(portal.scope))


def _note_profile(user: User, answer: Answer | PortalError, clock: Clock) -> None:
    """Keep what `profile` says; an inactive user answers with an empty list (PHP's empty object)."""
    if isinstance(answer, PortalError) or not isinstance(answer.result, dict):
        return
    profile = answer.result
    names = (str(profile.get(part) or "").strip() for part in ("NAME", "LAST_NAME"))
    user.name = " ".join(name for name in names if name)
    user.portal_zone = zones.understood(profile.get("TIME_ZONE"))
    user.is_admin = profile.get("ADMIN") in (True, "true", "Y", "1", 1)
    user.opened_at = clock()
