"""Everything that can go wrong, one class per remedy.

    Problem
    ├── our own refusals
    │   ├── BadForm              400, 413, 415, 422   the form or order is not right
    │   ├── SessionExpired       401                  our session token is missing, broken or over
    │   ├── NotAllowed           403                  the contract's "who may"
    │   ├── Forged               403                  a post to /install, /app or /events that proves nothing
    │   │   ├── NotGenuine                            the authorization server refused the posted token
    │   │   └── SignInRefused                         a state that is not this browser's, over or spent
    │   ├── SignInDeclined       403                  the person, or their portal, said no to a sign-in
    │   ├── NotFound             404
    │   ├── NotPossibleNow       409
    │   ├── IdempotencyKeyReused            422                  an Idempotency-Key with another body
    │   ├── TooManyOrders        429                  the portal's quota of open orders or of pages a day is used up
    │   ├── AppBusy              503                  transient; every connection to the database is in use
    │   ├── AppUpdating          503                  transient; the tables are older than the code
    │   └── Overtaken            409                  a run that time went past; written on the run, never an answer
    │       ├── TooLate                               waits: a person decides whether it is still wanted
    │       │   ├── PublishTooLate
    │       │   └── UnpublishTooLate
    │       ├── BothTimesPast                         down and back both lie behind us: nothing is done
    │       ├── TimeIsUp                              the time to turn back came before all was done
    │       ├── NothingToBringBack                    the run it was to turn back did nothing
    │       ├── WaitedTooLong                         nobody helped for two weeks
    │       ├── OutcomeUnknown                        an answer was lost, and nobody could look
    │       └── AppRemoved                            the app was removed from the portal before it was done
    └── PortalError: Bitrix24 said no, or said nothing
        ├── ExpiredToken         401   renew, once more
        ├── InvalidToken         401   renew once, else sign in again
        ├── SignInAgain          401   the person opens the app once more
        ├── UserGone             401   the portal no longer knows the person
        ├── InsufficientScope    403
        ├── AppNotAllowed        403
        ├── AccessDenied         403   this page only
        │   └── KindRefused                sites of one kind; the others may be open
        ├── RestRefused          403   the whole call
        ├── ConfirmNeeded        403
        ├── PaymentRequired      402
        ├── PageGone             404   this page only
        ├── PublishRefused       422   this page only
        ├── NotInstalled         410
        ├── OperatorError        500   our own credentials are wrong
        │   └── KeyMissing             a stored token cannot be opened with any of TOKEN_KEYS
        ├── Unexpected           502   a call of ours that Bitrix24 does not understand
        ├── ForbiddenAddress     502   a portal address we must not call; nothing was sent
        ├── PortalMoved          502   transient: 302 to another address, which may be a page of maintenance
        ├── PortalClosed         503   transient
        ├── Blocked              503
        ├── Throttled            503   transient
        ├── PortalBusy           503   transient; our own limit: the question was not put
        └── Unavailable          502, 504   transient
            └── AuthorizationUnavailable
                └── TooManyAttempts      our own limit: the question was not put

Source of the codes: Bitrix24 REST docs, OAuth errors and landing method pages. Codes are compared upper-cased and win
over the HTTP status, on which docs, source and SDKs disagree. Bitrix24's `error_description` is never shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

from b24app.domain import N_

YOU, ADMINISTRATOR, OPERATOR, BITRIX24 = "you", "administrator", "operator", "bitrix24"


class Problem(Exception):
    """Base of all; carries facts for a problem answer (RFC 9457) and never a token.

    key          names this class in the database, for good: a class may be renamed, its key may not
    code         Bitrix24's own code as it came, or one of ours
    status       HTTP status towards our caller
    fixable_by   who can mend it: you, administrator, operator, bitrix24
    title        what happened, as a heading
    detail       what happened and what did not
    remedy       what to do now
    remedy_here  the same for a reader who is an administrator and need ask nobody; None where it makes no difference
    transient    trying again later will help by itself
    retry_after  seconds, where known
    """

    key: ClassVar[str] = "problem"
    code: str = "invalid"
    status: int = 500
    fixable_by: ClassVar[str] = OPERATOR
    title: str = N_("Something went wrong")
    detail: str = N_("The app could not do this. Nothing was changed.")
    remedy: str = N_(
        "Try again. If it happens again, tell the people who run the app and give them the request number."
    )
    remedy_here: ClassVar[str | None] = None
    transient: bool = False  # of a class; of one occurrence where a refusal was not confirmed

    def __init__(
        self,
        code: str | None = None,
        *,
        detail: str | None = None,
        remedy: str | None = None,
        status: int | None = None,
        retry_after: int | None = None,
        suggestion: str | None = None,
        method: str = "",
    ) -> None:
        self.code = code or self.code
        self.status = status or self.status
        self.detail = detail or self.detail
        self.remedy = remedy or self.remedy
        self.retry_after = retry_after
        self.suggestion = suggestion
        self.method = method
        super().__init__(f"{type(self).__name__}({self.code}){f' from {method}' if method else ''}")


class BadForm(Problem):
    key = "bad_form"
    code, status, fixable_by = "invalid", 422, YOU
    title = N_("Something is missing or not filled in correctly")
    detail = N_("The form could not be understood. Nothing was done.")
    remedy = N_("Check what you entered and send it again.")


class SessionExpired(Problem):
    key = "session_expired"
    code, status, fixable_by = "session_expired", 401, YOU
    title = N_("Your session in this app has ended")
    detail = N_("The request was not carried out and no page was changed by it.")
    remedy = N_("Reopen the app to continue.")


class NotAllowed(Problem):
    key = "not_allowed"
    code, status, fixable_by = "not_allowed", 403, ADMINISTRATOR
    title = N_("You don't have permission to do this")
    detail = N_("Your rights on this portal do not allow it. Nothing was changed.")
    remedy = N_("Ask the person who started it, or a portal administrator.")
    remedy_here = N_("Ask the person who started it, or give yourself the Publish right on its sites.")


class Forged(Problem):
    key = "forged"
    code, status, fixable_by = "not_genuine", 403, YOU
    title = N_("This request did not come from your portal")
    detail = N_("Bitrix24 does not confirm what was sent to the app. Nothing was stored and nothing was done.")
    remedy = N_("Open the app from the menu of your Bitrix24.")


class NotGenuine(Forged):
    """The authorization server refused the posted token; `code` is what it said."""

    key = "not_genuine"


class SignInRefused(Forged):
    """The state that came back from a sign-in is not one we sent this browser with; `code` says why."""

    key = "sign_in_refused"
    code = "sign_in_refused"
    title = N_("This sign-in cannot be finished")
    detail = N_(
        "It was begun in another browser, was finished already, or took longer than ten minutes. Nothing was stored."
    )
    remedy = N_("Open the app from the menu of your Bitrix24, or begin the sign-in again.")


class SignInDeclined(Problem):
    """The portal sent the browser back from a sign-in without a code: `error=access_denied` (RFC 6749, 4.1.2.1)."""

    key = "sign_in_declined"
    code, status, fixable_by = "access_denied", 403, YOU
    title = N_("The sign-in was declined")
    detail = N_("You, or your portal, did not let Sundown sign you in. Nothing was stored and nothing was done.")
    remedy = N_(
        "To try again, open the app from the menu of your Bitrix24. If your portal does not let you, ask an "
        "administrator to add you to the app's users in Market → Installed."
    )


class NotFound(Problem):
    key = "not_found"
    code, status, fixable_by = "not_found", 404, YOU
    title = N_("There is nothing here")
    detail = N_("What you asked for does not exist, or belongs to someone else.")
    remedy = N_("Go back to the list and choose again.")


class NotPossibleNow(Problem):
    key = "not_possible_now"
    code, status, fixable_by = "not_possible_now", 409, YOU
    title = N_("This is not possible now")
    detail = N_("Its state has changed since this page was loaded. Nothing was done.")
    remedy = N_("Refresh to see where it stands.")


class IdempotencyKeyReused(Problem):
    key = "idempotency_key_reused"
    code, status, fixable_by = "idempotency_key_reused", 422, YOU
    title = N_("This key was already used for something else")
    detail = N_("The same Idempotency-Key came with another request. Nothing was done.")
    remedy = N_("Send the new request with a new key.")


class TooManyOrders(Problem):
    """The portal has ordered as much as one may; `detail` says of what."""

    key = "too_many_orders"
    code, status, fixable_by = "too_many_orders", 429, YOU
    title = N_("Your portal has reached its limit for now")
    detail = N_("There is a limit to how much one portal can have in progress. Nothing was done.")
    remedy = N_("Wait until some of it is finished, or cancel what is no longer needed, then try again.")


class AppBusy(Problem):
    """All connections to our database are in use; nothing was asked of anybody."""

    key = "app_busy"
    code, status, fixable_by, transient = "app_busy", 503, YOU, True
    title = N_("The app is busy")
    detail = N_("It is handling many requests and had no room for this one. Nothing was done.")
    remedy = N_("Wait a moment and try again.")


class AppUpdating(Problem):
    """Our tables are older than this code: a new version is on its way, or somebody forgot the migrations."""

    key = "app_updating"
    code, status, fixable_by, transient = "app_updating", 503, OPERATOR, True
    title = N_("The app is being updated")
    detail = N_("A new version is being put in place, and this part of it is not ready yet.")
    remedy = N_("Try again in a minute. If it stays like this, tell whoever runs the app.")


class Overtaken(Problem):
    """Why a run did not go as its times said."""

    key = "overtaken"
    status, fixable_by = 409, YOU


class TooLate(Overtaken):
    """It could not be done at its time, and so long afterwards it may not be wanted any more."""

    key = "too_late"
    code = "too_late"


class PublishTooLate(TooLate):
    key = "publish_too_late"
    title = N_("The time for publishing passed more than an hour ago")
    detail = N_(
        "The app was not working at the set time. Nothing has been published since, because it may no longer be wanted."
    )
    remedy = N_("Publish the pages now, or cancel.")


class UnpublishTooLate(TooLate):
    key = "unpublish_too_late"
    title = N_("The time for unpublishing passed more than a day ago")
    detail = N_(
        "The app was not working at the set time. Nothing has been unpublished since, "
        "because it may no longer be wanted."
    )
    remedy = N_("Unpublish the pages now, or cancel.")


class BothTimesPast(Overtaken):
    key = "both_times_past"
    code = "both_times_past"
    title = N_("Both times passed before the app was working again")
    detail = N_("The pages were to change and change back while the app was not working. They were left as they were.")
    remedy = N_("Schedule it again if it is still wanted.")


class TimeIsUp(Overtaken):
    key = "time_is_up"
    code = "time_is_up"
    title = N_("The time to come back arrived before all pages were done")
    detail = N_("Pages that were not done by then were left as they are; the others change back as scheduled.")
    remedy = N_("See History for what came back.")


class NothingToBringBack(Overtaken):
    key = "nothing_to_bring_back"
    code = "nothing_to_bring_back"
    title = N_("Return cancelled: the pages never changed")
    detail = N_("No page was changed at the set time, so there is nothing to change back.")
    remedy = N_("Schedule it again if it is still wanted.")


class WaitedTooLong(Overtaken):
    key = "waited_too_long"
    code = "waited_too_long"
    title = N_("No one took over within 14 days")
    detail = N_("It waited 14 days for someone who could continue it. This page was not changed.")
    remedy = N_("Retry: it is then done with your own rights.")


class OutcomeUnknown(Overtaken):
    key = "outcome_unknown"
    code = "outcome_unknown"
    title = N_("It is not known whether this page was changed")
    detail = N_("Bitrix24's answer was lost, and the page could not be checked afterwards.")
    remedy = N_("Check the page in Bitrix24. If it was to come back at a set time, it is checked again then.")


class AppRemoved(Overtaken):
    key = "app_removed"
    code = "app_removed"
    title = N_("The app was removed from the portal before this was done")
    detail = N_("What was not done by then was left as it was.")
    remedy = N_("The app has been reinstalled: schedule it again if it is still needed.")


class PortalError(Problem):
    """Bitrix24 refused or did not answer; `maybe_done` is True when the call may have been carried out all the same."""

    key = "portal_error"
    maybe_done: bool = False


class ExpiredToken(PortalError):
    key = "expired_token"
    code, status, fixable_by = "expired_token", 401, YOU
    title = N_("Your session in this app has ended")
    detail = N_("Bitrix24 no longer accepts the app's access on your behalf, and it could not be renewed.")
    remedy = N_("Reopen the app to continue.")


class InvalidToken(ExpiredToken):
    key = "invalid_token"
    code = "invalid_token"


class SignInAgain(ExpiredToken):
    key = "sign_in_again"
    code = "invalid_grant"


class UserGone(PortalError):
    key = "user_gone"
    code, status, fixable_by = "authorization_error", 401, ADMINISTRATOR
    title = N_("Your portal account is no longer active")
    detail = N_(
        "Bitrix24 says that this user was dismissed or deactivated. The app no longer does anything on their behalf."
    )
    remedy = N_("Ask a portal administrator. Colleagues can take over what is waiting.")


class InsufficientScope(PortalError):
    key = "insufficient_scope"
    code, status, fixable_by = "insufficient_scope", 403, ADMINISTRATOR
    title = N_("The app lacks the Sites permission")
    detail = N_("Until it has it, pages can be neither listed nor unpublished.")
    remedy = N_("Ask an administrator to confirm the app's access to “Sites” in Market → Installed.")
    remedy_here = N_("Open Market → Installed, choose this app and confirm its access to “Sites”.")
    scope: str = "landing"


class AppNotAllowed(PortalError):
    key = "app_not_allowed"
    code, status, fixable_by = "user_access_error", 403, ADMINISTRATOR
    title = N_("You can't use Sundown on this portal yet")
    detail = N_("An administrator decides who may use Sundown, and you are not on the list. Nothing was done.")
    remedy = N_("Ask an administrator to add you to the app's users in Market → Installed.")
    remedy_here = N_("Add yourself to the app's users in Market → Installed.")


class AccessDenied(PortalError):
    key = "access_denied"
    code, status, fixable_by = "ACCESS_DENIED", 403, ADMINISTRATOR
    title = N_("You don't have permission to change this page")
    detail = N_("Bitrix24 refused it because you lack rights on this site. The page stays as it was.")
    remedy = N_("Ask the site's owner or a portal administrator for the Publish right.")
    remedy_here = N_("Give yourself the Publish right in the site's access settings.")


class KindRefused(AccessDenied):
    """Sites of a kind that are closed to this person as a whole."""

    key = "kind_refused"
    title = N_("You don't have access to these sites")
    detail = N_(
        "Bitrix24 does not let you see sites of this kind. You may have access to others: choose another kind above."
    )
    remedy = N_("Ask a portal administrator for access to Sites.")
    remedy_here = N_("Give yourself access in the settings of Sites.")


class RestRefused(PortalError):
    key = "rest_refused"
    code, status, fixable_by = "ACCESS_DENIED", 403, ADMINISTRATOR
    title = N_("Your Bitrix24 plan does not include apps")
    detail = N_("Bitrix24 refuses the app's calls on this portal: apps need a plan or licence that includes them.")
    remedy = N_("Ask an administrator to check the portal's plan and the Market subscription.")
    remedy_here = N_("Check the portal's plan and the Market subscription.")


class ConfirmNeeded(PortalError):
    key = "confirm_needed"
    code, status, fixable_by = "METHOD_CONFIRM_WAITING", 403, ADMINISTRATOR
    title = N_("An administrator must confirm this first")
    detail = N_("The portal holds the app's call back until an administrator confirms it.")
    remedy = N_("Ask an administrator to confirm the request in Bitrix24, then try again.")
    remedy_here = N_("Confirm the request in Bitrix24, then try again.")


class PaymentRequired(PortalError):
    key = "payment_required"
    code, status, fixable_by = "PAYMENT_REQUIRED", 402, ADMINISTRATOR
    title = N_("The subscription for this app has ended")
    detail = N_("Bitrix24 no longer lets the app work here because its trial or paid period is over.")
    remedy = N_("Ask an administrator to renew the Market subscription. What is waiting then continues by itself.")
    remedy_here = N_("Renew the Market subscription. What is waiting then continues by itself.")


class PageGone(PortalError):
    key = "page_gone"
    code, status, fixable_by = "LANDING_NOT_EXIST", 404, YOU
    title = N_("The page was not found")
    detail = N_("It was deleted, is in the trash, or you have no access to it. It was not changed.")
    remedy = N_("Refresh the list. If the page should be there, ask the site's owner for access.")


class PublishRefused(PortalError):
    key = "publish_refused"
    code, status, fixable_by = "PUBLISH_REFUSED", 422, ADMINISTRATOR
    title = N_("Bitrix24 did not publish the page")
    detail = N_("Bitrix24 refused to publish this page; it stays unpublished.")
    remedy = N_("Publish the page in Bitrix24 itself: it will say what is missing.")


class NotInstalled(PortalError):
    key = "not_installed"
    code, status, fixable_by = "APPLICATION_NOT_FOUND", 410, ADMINISTRATOR
    title = N_("The app is not installed on this portal")
    detail = N_("Bitrix24 says the app was removed here. Its work has stopped; nothing was changed.")
    remedy = N_("Ask an administrator to install the app again from the Market.")
    remedy_here = N_("Install the app again from the Market.")


class OperatorError(PortalError):
    key = "operator_error"
    code, status, fixable_by = "invalid_client", 500, OPERATOR
    title = N_("The app's own settings are wrong")
    detail = N_("Bitrix24 does not accept the app's credentials. It is not your fault; nothing was changed or lost.")
    remedy = N_("The people who run the app must correct its settings. What is waiting continues afterwards.")


class KeyMissing(OperatorError):
    key = "key_missing"
    code = "token_key_missing"
    detail = N_("The app cannot decrypt its stored access to your portal. Nothing was changed or lost.")
    remedy = N_(
        "Reopen the app, which gives it new access. The people who run the app must restore a missing key; what is "
        "waiting continues afterwards."
    )


class Unexpected(PortalError):
    key = "unexpected"
    code, status, fixable_by = "unexpected", 502, OPERATOR
    title = N_("Bitrix24 gave an answer the app did not expect")
    detail = N_("The app could not make sense of it, so it stopped there.")
    remedy = N_("Try again. If it happens again, tell the people who run the app and give them the request number.")


class ForbiddenAddress(PortalError):
    key = "forbidden_address"
    code, status, fixable_by = "portal_address_refused", 502, OPERATOR
    title = N_("The portal's address is not allowed")
    detail = N_("The portal's address leads into a network the app must not enter. Nothing was sent to it.")
    remedy = N_("If the portal really is there, ask the people who run the app to allow this network.")


class PortalMoved(PortalError):
    key = "portal_moved"
    code, status, fixable_by, transient = "portal_moved", 502, YOU, True
    title = N_("Your Bitrix24 has a new address")
    detail = N_("The portal answered from another address, which could not be confirmed yet. Nothing was sent there.")
    remedy = N_("Open the app once from the portal's new address.")

    def __init__(self, host: str, *, method: str = "") -> None:
        super().__init__(method=method)
        self.host = host


class PortalClosed(PortalError):
    key = "portal_closed"
    code, status, fixable_by, transient = "PORTAL_DELETED", 503, ADMINISTRATOR, True
    title = N_("The portal is closed for now")
    detail = N_("Bitrix24 says that this portal is switched off at the moment.")
    remedy = N_("Ask an administrator. What is waiting continues when the portal is open again.")
    remedy_here = N_("What is waiting continues when the portal is open again.")


class Blocked(PortalError):
    key = "blocked"
    code, status, fixable_by = "OVERLOAD_LIMIT", 503, BITRIX24
    title = N_("Bitrix24 has put the app on hold here")
    detail = N_("Bitrix24 itself stopped the app on this portal. The app does nothing here until the hold is lifted.")
    remedy = N_("Bitrix24's support can lift the hold; the people who run the app find it in the log.")


class Throttled(PortalError):
    key = "throttled"
    code, status, fixable_by, transient = "QUERY_LIMIT_EXCEEDED", 503, BITRIX24, True
    title = N_("Bitrix24's request limit is reached")
    detail = N_("Bitrix24 limits how many requests apps may send to a portal, and the limit is reached for now.")
    remedy = N_("Wait a moment and try again. What is in progress continues by itself.")


class PortalBusy(PortalError):
    """All places this portal has in this process are taken; nothing was sent."""

    key = "portal_busy"
    code, status, fixable_by, transient = "portal_busy", 503, YOU, True
    title = N_("Your Bitrix24 is responding slowly")
    detail = N_("Many requests to it are in progress, so this one was not sent. Nothing was changed.")
    remedy = N_("Wait a moment and try again.")


class Unavailable(PortalError):
    key = "unavailable"
    code, status, fixable_by, transient = "portal_unavailable", 502, BITRIX24, True
    title = N_("Bitrix24 is not responding")
    detail = N_("The portal could not be reached or gave no usable answer.")
    remedy = N_("Try again in a minute.")

    @classmethod
    def timeout(cls, *, method: str = "") -> "Unavailable":
        """No answer in time: the call may have been carried out."""
        late = cls("portal_timeout", status=504, method=method)
        late.maybe_done = True
        return late


class AuthorizationUnavailable(Unavailable):
    key = "authorization_unavailable"
    code = "authorization_unavailable"
    title = N_("Bitrix24 could not confirm who you are")
    detail = N_("Bitrix24's authorization server gave no usable answer, so nothing was stored and nothing was done.")


class TooManyAttempts(AuthorizationUnavailable):
    key = "too_many_attempts"
    code, fixable_by = "asked_too_often", YOU
    title = N_("Too many requests came that Bitrix24 did not confirm")
    detail = N_("To protect everyone, the app does not check more of them for the moment. Nothing was stored or done.")
    remedy = N_("Wait a minute, then open the app from the menu of your Bitrix24 again.")


SIGN_IN = ("INVALID_GRANT", "BAD_VERIFICATION_CODE", "NO_AUTH_FOUND")
PUBLISH = (
    "PUBLIC_PAGE_REACHED", "PUBLIC_SITE_REACHED", "PUBLIC_SITE_REACHED_FREE", "PUBLIC_HTML_DISALLOWED",
    "LANDING_PAYMENT_FAILED", "LANDING_PAYMENT_FAILED_BLOCK", "PHONE_NOT_CONFIRMED", "EMAIL_NOT_CONFIRMED",
    "URLCHECKER_FAIL", "LICENSE_EXPIRED", "PUBLISH_REFUSED",
)  # fmt: skip
REMEDIES: dict[str, type[PortalError]] = {
    "EXPIRED_TOKEN": ExpiredToken,
    "INVALID_TOKEN": InvalidToken,
    **dict.fromkeys(SIGN_IN, SignInAgain),
    "AUTHORIZATION_ERROR": UserGone,
    "INSUFFICIENT_SCOPE": InsufficientScope,
    "INVALID_SCOPE": InsufficientScope,
    "USER_ACCESS_ERROR": AppNotAllowed,
    "ALLOWED_ONLY_INTRANET_USER": AppNotAllowed,
    "WRONG_LICENSE": RestRefused,
    "PAYMENT_REQUIRED": PaymentRequired,
    "METHOD_CONFIRM_WAITING": ConfirmNeeded,
    "METHOD_CONFIRM_DENIED": ConfirmNeeded,
    "LANDING_NOT_EXIST": PageGone,
    **dict.fromkeys(PUBLISH, PublishRefused),
    "NOT_INSTALLED": NotInstalled,
    "REMOVAL_ANNOUNCED": NotInstalled,
    "APPLICATION_NOT_FOUND": NotInstalled,
    "ERROR_OAUTH": NotInstalled,
    "WRONG_CLIENT": OperatorError,
    "INVALID_CLIENT": OperatorError,
    "PORTAL_DELETED": PortalClosed,
    "OVERLOAD_LIMIT": Blocked,
    "QUERY_LIMIT_EXCEEDED": Throttled,
    "OPERATION_TIME_LIMIT": Throttled,
    "SYSTEM_ERROR": Unavailable,
    "INTERNAL_SERVER_ERROR": Unavailable,
    "ERROR_UNEXPECTED_ANSWER": Unavailable,
    "CONNECTION_ERROR": Unavailable,
    "PORTAL_UNAVAILABLE": Unavailable,
    "PORTAL_TIMEOUT": Unavailable,
}


def error_for(code: str, http_status: int, *, method: str = "", in_batch: bool = False) -> PortalError:
    """The remedy for Bitrix24's `error` string; the status decides only where the same code means two things.

    ACCESS_DENIED is one page's refusal when a landing method says it (always status 400, or inside a batch) and a
    refusal of the whole call otherwise (401 or 403). Brackets after a code name a block or site and are dropped to
    find the class. An unknown code with a 5xx status is trouble of the portal, else our own fault.
    """
    key = code.upper().split("[", 1)[0].strip()
    if key == "ACCESS_DENIED":
        return (AccessDenied if in_batch or http_status == 400 else RestRefused)(code, method=method)
    remedy = REMEDIES.get(key) or (Unavailable if http_status >= 500 else Unexpected)
    return remedy(code, method=method)


def _with_subclasses(problem: type[Problem]) -> list[type[Problem]]:
    return [problem, *(each for child in problem.__subclasses__() for each in _with_subclasses(child))]


BY_KEY = {problem.key: problem for problem in _with_subclasses(Problem)}


@dataclass(frozen=True)
class RecordedProblem:
    """A problem as runs and their pages keep it: why a run waits, failed or is in doubt, why a page failed.

    key     of the class, which gives words, status and who can mend it; one no longer known reads as a PortalError
    code    Bitrix24's own code as it came, or one of ours
    method  the REST method that was refused, where there was one
    since   of a doubt: when it was first found
    """

    key: str
    code: str
    method: str = ""
    since: datetime | None = None

    @classmethod
    def of(cls, problem: Problem | type[Problem], since: datetime | None = None) -> Self:
        """What is to be kept of a problem; of a class without an occurrence, its own code."""
        return cls(problem.key, problem.code, problem.method if isinstance(problem, Problem) else "", since)

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """From the form that `stored` gives."""
        since = stored.get("since")
        return cls(
            str(stored.get("key", "")),
            str(stored.get("code", "")),
            str(stored.get("method", "")),
            datetime.fromisoformat(since) if since else None,
        )

    def stored(self) -> dict[str, str]:
        """JSON for the database: `{"key", "code", "method"}`, of a doubt also `"since"` in ISO 8601."""
        facts = {"key": self.key, "code": self.code, "method": self.method}
        return facts if self.since is None else {**facts, "since": self.since.isoformat()}

    @property
    def kind(self) -> type[Problem]:
        """The class it was."""
        return BY_KEY.get(self.key, PortalError)

    def is_a(self, kind: type[Problem]) -> bool:
        """Exactly this class: a subclass has a remedy of its own."""
        return self.key == kind.key

    def problem(self) -> Problem:
        """The problem again, to be shown."""
        if self.kind is PortalMoved:
            return PortalMoved("", method=self.method)
        return self.kind(self.code, method=self.method)
