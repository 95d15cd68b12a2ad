"""Users of portals as the app knows them: who a session means, how they want to see the app, who may frame it."""

from dataclasses import dataclass

from sqlalchemy import select

from b24app import zones
from b24app.domain import N_, Actor, NoticeWish, UserRef
from b24app.errors import BadForm, SessionExpired
from b24app.store.db import Store, repeated
from b24app.store.models import Portal, User

FOLLOW_PORTAL = "portal"  # as a zone: the one of the person's profile in the portal


@dataclass(frozen=True)
class Preference:
    """What a person wants otherwise; `browser_zone` counts only while neither they nor the portal named one."""

    theme: str | None = None
    zone: str | None = None
    browser_zone: str | None = None
    notices: NoticeWish | None = None  # in the portal


class Users:
    """Reads and changes what is kept of persons."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def actor(self, user: UserRef) -> Actor:
        """The person, whose portal and self were proven a moment ago. Raises SessionExpired if they are gone since."""
        return _actor(*self._known(user))

    def in_session(self, user: UserRef, portal_epoch: int, user_epoch: int) -> Actor:
        """The person, if portal and user still stand as they did when the session began. Raises SessionExpired."""
        portal, person = self._known(user)
        if not portal.is_open:
            raise SessionExpired()
        if (portal.epoch, person.epoch) != (portal_epoch, user_epoch):
            raise SessionExpired()
        return _actor(portal, person)

    def _known(self, user: UserRef) -> tuple[Portal, User]:
        """Both in one statement, since every click begins with it. Raises SessionExpired."""
        both = select(Portal, User).join(User, User.member_id == Portal.member_id)
        with self._store.begin() as db:
            found = db.execute(both.where(User.member_id == user.member_id, User.user_id == user.user_id)).one_or_none()
        if found is None:
            raise SessionExpired()
        portal, person = found
        return portal, person

    @repeated
    def prefer(self, user: UserRef, wish: Preference) -> None:
        """Keep how the person wants to see the app; None leaves a thing as it is. Raises BadForm for a strange zone."""
        zone = None if wish.zone in (None, FOLLOW_PORTAL) else zones.understood(wish.zone)
        if wish.zone not in (None, FOLLOW_PORTAL) and zone is None:
            raise BadForm(
                detail=N_("The time zone is not known. Nothing was changed."),
                remedy=N_("Choose a zone by its IANA name, like Europe/Riga."),
            )
        with self._store.begin() as db:
            person = db.get_one(User, (user.member_id, user.user_id))
            person.theme = wish.theme or person.theme
            person.notices = wish.notices or person.notices
            if wish.zone is not None:
                person.chosen_zone = zone
            person.portal_zone = person.portal_zone or zones.understood(wish.browser_zone)

    def wanted_notices(self, user: UserRef) -> NoticeWish:
        """Which notices in the portal the person wants."""
        with self._store.begin() as db:
            return db.get_one(User, (user.member_id, user.user_id)).notices

    def chosen_zone(self, user: UserRef) -> str | None:
        """The zone the person chose; None while they follow the portal."""
        with self._store.begin() as db:
            return db.get_one(User, (user.member_id, user.user_id)).chosen_zone

    def portal_address(self, member_id: str, domain: str) -> str | None:
        """The REST base of an open portal that has this domain; None for any other."""
        with self._store.begin() as db:
            portal = db.get(Portal, member_id)
        return portal.client_endpoint if portal and portal.is_open and portal.domain == domain else None


def _actor(portal: Portal, person: User) -> Actor:
    return Actor(
        member_id=portal.member_id, user_id=person.user_id, name=person.name, language=person.language,
        theme=person.theme, zone=zone_of(person), domain=portal.domain, pages_version=portal.pages_version,
        portal_epoch=portal.epoch, lists_from=person.lists_from, was_admin=person.is_admin,
    )  # fmt: skip


def zone_of(person: User) -> str | None:
    """The zone they chose, else the portal's; None where nobody knows it."""
    return person.chosen_zone or zones.understood(person.portal_zone)
