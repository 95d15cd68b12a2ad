"""Opening and installing: a post into the frame is a claim, and `app.info` is what proves it.

What the browser posts (domain, member_id, even SERVER_ENDPOINT) only selects; everything stored comes from the
authorization server's answer. Nothing is written before that answer. Binding events and the placement is done by the
installer, and again at an administrator's open when it is missing: Bitrix24 drops bindings at updates and events can
be lost, so every open heals.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

import structlog
from sqlalchemy import delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from b24app.bitrix.address import Addresses, same_host
from b24app.bitrix.forms import EventPost, FramePost
from b24app.bitrix.oauth import AppInfo, AuthorizationServers
from b24app.bitrix.rest import Answer, Command
from b24app.clock import Clock
from b24app.config import Config
from b24app.errors import Forged, InsufficientScope, PortalError
from b24app.store.db import Store
from b24app.store.models import Portal, Proof, User
from b24app.store.vault import fingerprint
from b24app.terms import APP_SCOPE, N_, UserRef
from b24app.tokens import Tokens

log = structlog.get_logger()

EVENTS = ("ONAPPINSTALL", "ONAPPUPDATE", "ONAPPUNINSTALL", "ONAPPPAYMENT")
PLACEMENT = "LANDING_SETTINGS"
PLACEMENT_TITLE = "Sundown: unpublish, schedule"
PROFILE_AGE = timedelta(days=1)
StepState = Literal["done", "failed", "missing"]


@dataclass(frozen=True)
class Step:
    """One line of the installer: what was to be done, how it went, and the words for it."""

    key: str
    title: str
    state: StepState
    words: str = ""


@dataclass(frozen=True)
class Claim:
    """What a post or an event says of itself; only the access token in it can be proven."""

    member_id: str
    domain: str | None
    server_endpoint: str | None
    access_token: str = field(repr=False)
    refresh_token: str | None = field(repr=False)
    application_token: str | None = field(repr=False)

    @property
    def application_sha256(self) -> str | None:
        """How the application token is kept."""
        return fingerprint(self.application_token) if self.application_token else None


@dataclass(frozen=True)
class Opening:
    """A proven post: who opened the app, on which portal, and what the installer has to show.

    other_sha256  an application token that differs from the kept one, and waits for an administrator to confirm it
    """

    user: UserRef
    portal_epoch: int
    user_epoch: int
    endpoint: str
    scope: tuple[str, ...]
    steps: tuple[Step, ...] = field(default=())
    other_sha256: str | None = None

    @property
    def has_scope(self) -> bool:
        """The portal granted what the app needs."""
        return APP_SCOPE in self.scope


class Installs:
    """Proves posts, stores portals and people, binds what the portal should call."""

    def __init__(
        self,
        config: Config,
        store: Store,
        oauth: AuthorizationServers,
        addresses: Addresses,
        tokens: Tokens,
        clock: Clock,
    ) -> None:
        self._config = config
        self._store = store
        self._oauth = oauth
        self._addresses = addresses
        self._tokens = tokens
        self._clock = clock

    def open(self, post: FramePost, lang: str) -> Opening:
        """Prove a frame post and remember who came. Calls made: none for a known token, one for a fresh one, and one
        more at a person's first open of the day.

        Raises Forged (or NotGenuine) for what is not ours, AuthorizationUnavailable when nobody can vouch for it.
        """
        opening = self._known(post, lang) or self._prove_and_store(_claim(post), lang)
        if self._is_stranger(opening) or opening.other_sha256:
            self._introduce(opening, bind=False)
            opening = self._settled(opening)
        if self._lacks_bindings(opening):
            self._introduce(opening, bind=True)
        return opening

    def accept(self, claim: Claim, lang: str) -> Opening:
        """Prove and store what a sign-in outside the frame brought, and ask once a day who it is."""
        opening = self._prove_and_store(claim, lang)
        if self._is_stranger(opening):
            self._introduce(opening, bind=False)
        return opening

    def install(self, post: FramePost, lang: str) -> Opening:
        """As `open`, and bind events and placement; the steps tell what came of each. Repeatable."""
        opening = self._known(post, lang) or self._prove_and_store(_claim(post), lang)
        answers = self._introduce(opening, bind=True)
        return replace(self._settled(opening), steps=_steps(opening, answers))

    def bind(self, user: UserRef) -> dict[str, Answer | PortalError]:
        """Bind events and placement anew for somebody who may; what Bitrix24 said of each."""
        with self._store.begin() as db:
            opening = _opening(db.get_one(Portal, user.member_id), db.get_one(User, (user.member_id, user.user_id)))
        answers = self._introduce(opening, bind=True)
        return {name: answers[name] for name in self._bindings()}

    def hear(self, event: EventPost) -> None:
        """Believe an event by the access token it carries: store what the authorization server says of it, the pair,
        and the application token, a new one of which begins a new installation.

        Raises Forged (or NotGenuine), AuthorizationUnavailable.
        """
        said = event.auth
        if said.access_token is None:
            raise Forged("event_without_proof")
        claim = Claim(
            said.member_id, said.domain, said.server_endpoint, said.access_token, said.refresh_token,
            said.application_token,
        )  # fmt: skip
        opening = self._prove_and_store(claim, None)
        if opening.other_sha256:
            self._begin_anew(opening, event.at)

    # --- proof -----------------------------------------------------------------------------------------------------

    def _prove_and_store(self, claim: Claim, lang: str | None) -> Opening:
        server = self._oauth.choose(claim.server_endpoint)
        info = self._oauth.app_info(server, claim.access_token)
        reason = self._contradiction(claim, info)
        if reason:
            log.warning("post_refused", reason=reason, member_id=claim.member_id)
            raise Forged(reason)
        self._addresses.check_endpoint(info.client_endpoint)
        return self._stored(claim, server, info, lang)

    def _contradiction(self, claim: Claim, info: AppInfo) -> str | None:
        if info.client_id != self._config.b24_client_id:
            return "token_of_another_app"
        if info.member_id != claim.member_id:
            return "token_of_another_portal"
        if claim.domain is not None and not same_host(info.domain, claim.domain):
            return "another_domain"
        return None

    def _known(self, post: FramePost, lang: str) -> Opening | None:
        """An opening for a token that was proven before and has not expired; None otherwise."""
        with self._store.begin() as db:
            proof = db.get(Proof, fingerprint(post.auth_id))
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

    def _stored(self, claim: Claim, server: str, info: AppInfo, lang: str | None) -> Opening:
        with self._store.begin() as db:
            portal = self._portal(db, server, info)
            user = _user(db, UserRef(info.member_id, info.user_id))
            user.language = lang or user.language
            portal.application_token_sha256 = portal.application_token_sha256 or claim.application_sha256
            if claim.refresh_token:
                self._tokens.remember(db, user.ref, claim.access_token, claim.refresh_token, info.expires_at)
            self._keep_proof(db, claim.access_token, info)
            differs = claim.application_sha256 not in (None, portal.application_token_sha256)
            return replace(_opening(portal, user), other_sha256=claim.application_sha256 if differs else None)

    def _settled(self, opening: Opening) -> Opening:
        """A differing application token is believed from an administrator only: everybody sees it in their frame's
        post, and whoever could replace it could remove the app in the portal's name.
        """
        if opening.other_sha256 is None:
            return opening
        with self._store.begin() as db:
            is_admin = db.get_one(User, (opening.user.member_id, opening.user.user_id)).is_admin
        if is_admin:
            return self._begin_anew(opening, self._clock())
        log.warning("application_token_differs", member_id=opening.user.member_id, user_id=opening.user.user_id)
        return replace(opening, other_sha256=None)

    def _begin_anew(self, opening: Opening, at: datetime) -> Opening:
        """The app was installed again without our having seen its removal: a new epoch, which ends open sessions."""
        with self._store.begin() as db:
            portal = db.get_one(Portal, opening.user.member_id, with_for_update=True)
            if portal.application_token_sha256 != opening.other_sha256 and at >= portal.installed_at:
                portal.application_token_sha256, portal.bound_to = opening.other_sha256, None
                portal.installed_at, portal.epoch = at, portal.epoch + 1
                log.info("installed_anew", member_id=portal.member_id)
            return replace(opening, portal_epoch=portal.epoch, other_sha256=None)

    def _portal(self, db: Session, server: str, info: AppInfo) -> Portal:
        """The portal's row, locked and brought up to date; made when this is its first time."""
        facts = {
            "domain": info.domain, "client_endpoint": info.client_endpoint, "oauth_server": server,
            "scope": ",".join(info.scope), "status": info.status, "app_version": info.version,
        }  # fmt: skip
        now = self._clock()  # an epoch never comes again, even after everything of the portal was deleted
        new = {"member_id": info.member_id, "installed_at": now, "epoch": int(now.timestamp()), **facts}
        db.execute(insert(Portal).values(new).on_conflict_do_nothing())
        portal = db.get_one(Portal, info.member_id, with_for_update=True, populate_existing=True)
        if not portal.is_open:
            portal.installed_at, portal.uninstalled_at, portal.bound_to = self._clock(), None, None
        if portal.app_version != info.version:
            portal.bound_to = None  # Bitrix24 drops bindings at an update
        for name, value in {**facts, "suspended_code": None}.items():
            setattr(portal, name, value)
        return portal

    def _keep_proof(self, db: Session, access: str, info: AppInfo) -> None:
        db.execute(delete(Proof).where(Proof.member_id == info.member_id, Proof.expires_at <= self._clock()))
        row = {
            "access_sha256": fingerprint(access), "member_id": info.member_id, "user_id": info.user_id,
            "domain": info.domain, "expires_at": info.expires_at,
        }  # fmt: skip
        db.execute(insert(Proof).values(row).on_conflict_do_update(index_elements=["access_sha256"], set_=row))

    # --- getting to know, and binding ------------------------------------------------------------------------------

    def _is_stranger(self, opening: Opening) -> bool:
        with self._store.begin() as db:
            opened_at = db.get_one(User, (opening.user.member_id, opening.user.user_id)).opened_at
        return opened_at is None or opened_at < self._clock() - PROFILE_AGE

    def _lacks_bindings(self, opening: Opening) -> bool:
        with self._store.begin() as db:
            portal = db.get_one(Portal, opening.user.member_id)
            user = db.get_one(User, (opening.user.member_id, opening.user.user_id))
            return user.is_admin and opening.has_scope and portal.bound_to != self._config.app_url

    def _introduce(self, opening: Opening, *, bind: bool) -> Mapping[str, Answer | PortalError]:
        """Ask who this is and, for the installer, bind: one request. A refusal of all of it stands for each part."""
        commands = {"profile": Command("profile")} | (self._bindings() if bind else {})
        try:
            answers: Mapping[str, Answer | PortalError] = self._tokens.batch(opening.user, commands)
        except PortalError as refused:
            log.warning("introduction_refused", code=refused.code, member_id=opening.user.member_id)
            return dict.fromkeys(commands, refused)
        with self._store.begin() as db:
            _note_profile(
                db.get_one(User, (opening.user.member_id, opening.user.user_id)), answers["profile"], self._clock
            )
            if bind and all(is_bound(answers[name]) for name in self._bindings()):
                db.get_one(Portal, opening.user.member_id).bound_to = self._config.app_url
        return answers

    def _bindings(self) -> dict[str, Command]:
        events = {
            event: Command("event.bind", {"event": event, "handler": f"{self._config.app_url}/events"})
            for event in EVENTS
        }
        fields = {
            "PLACEMENT": PLACEMENT, "PLACEMENT_HANDLER": f"{self._config.app_url}/app", "TITLE": PLACEMENT_TITLE,
        }  # fmt: skip
        return {**events, PLACEMENT: Command("landing.repo.bind", {"fields": fields})}


def _claim(post: FramePost) -> Claim:
    return Claim(
        post.member_id, post.domain, post.server_endpoint, post.auth_id, post.refresh_token, post.application_token
    )


def is_bound(answer: Answer | PortalError) -> bool:
    """Done, or it had been done before: PLACEMENT_EXIST, or ERROR_CORE of event.bind, which means "already binded" or
    that the very same bind is running at this moment (rest source, checkUniq and its lock).
    """
    if isinstance(answer, PortalError):
        return answer.code.upper() in ("PLACEMENT_EXIST", "ERROR_CORE")
    return answer.result is True


def _user(db: Session, ref: UserRef) -> User:
    db.execute(insert(User).values(member_id=ref.member_id, user_id=ref.user_id).on_conflict_do_nothing())
    return db.get_one(User, (ref.member_id, ref.user_id), with_for_update=True, populate_existing=True)


def _opening(portal: Portal, user: User) -> Opening:
    scope = tuple(part for part in portal.scope.split(",") if part)
    return Opening(user.ref, portal.epoch, user.epoch, portal.client_endpoint, scope)


def _note_profile(user: User, answer: Answer | PortalError, clock: Clock) -> None:
    """Keep what `profile` says; an inactive user answers with an empty list (PHP's empty object)."""
    if isinstance(answer, PortalError) or not isinstance(answer.result, dict):
        return
    profile = answer.result
    names = (str(profile.get(part) or "").strip() for part in ("NAME", "LAST_NAME"))
    user.name = " ".join(name for name in names if name)
    user.zone = user.zone or profile.get("TIME_ZONE") or None
    user.is_admin = profile.get("ADMIN") in (True, "true", "Y", "1", 1)
    user.opened_at = clock()


def _steps(opening: Opening, answers: Mapping[str, Answer | PortalError]) -> tuple[Step, ...]:
    granted: StepState = "done" if opening.has_scope else "missing"
    return (
        Step("verified", N_("Bitrix24 confirms this portal and this app"), "done"),
        Step("stored", N_("Your access is stored, encrypted"), "done"),
        Step(
            "scope",
            N_('Permission to work with "Sites"'),
            granted,
            "" if opening.has_scope else InsufficientScope.remedy,
        ),
        _step(
            "events", N_("The portal will tell the app about updates and removal"), [answers[event] for event in EVENTS]
        ),
        _step("placement", N_("An entry in the settings of each page"), [answers[PLACEMENT]]),
    )


def _step(key: str, title: str, answers: list[Answer | PortalError]) -> Step:
    refused = next((answer for answer in answers if not is_bound(answer)), None)
    if refused is None:
        return Step(key, title, "done")
    words = refused.remedy if isinstance(refused, PortalError) else PortalError.remedy
    return Step(key, title, "failed", words)
