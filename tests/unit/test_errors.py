"""Every code Bitrix24 is known to say, and what we make of it: class, status, who can mend it, words."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import b24pysdk.errors
import pytest

from b24app import errors
from b24app.bitrix import landing
from b24app.bitrix.rest import Answer
from b24app.domain import Action
from b24app.errors import (
    AccessDenied,
    AppNotAllowed,
    Blocked,
    ConfirmNeeded,
    ExpiredToken,
    InsufficientScope,
    InvalidToken,
    NotInstalled,
    OperatorError,
    PageGone,
    PaymentRequired,
    PortalClosed,
    PortalError,
    Problem,
    PublishRefused,
    RestRefused,
    SignInAgain,
    Throttled,
    Unavailable,
    Unexpected,
    UserGone,
    error_for,
)

WHO = ("you", "administrator", "operator", "bitrix24")
# code as Bitrix24 writes it, the status it may come with, our class, our status, who can mend it, transient
TABLE: list[tuple[str, int, type[PortalError], int, str, bool]] = [
    # the token endpoint
    ("wrong_client", 200, OperatorError, 500, "operator", False),
    ("invalid_client", 400, OperatorError, 500, "operator", False),
    ("invalid_client", 401, OperatorError, 500, "operator", False),
    ("invalid_grant", 400, SignInAgain, 401, "you", False),
    ("bad_verification_code", 400, SignInAgain, 401, "you", False),
    ("invalid_request", 400, Unexpected, 502, "operator", False),
    ("invalid_scope", 403, InsufficientScope, 403, "administrator", False),
    ("NOT_INSTALLED", 401, NotInstalled, 410, "administrator", False),
    ("PAYMENT_REQUIRED", 401, PaymentRequired, 402, "administrator", False),
    ("PAYMENT_REQUIRED", 402, PaymentRequired, 402, "administrator", False),
    # the token of a call
    ("expired_token", 401, ExpiredToken, 401, "you", False),
    ("invalid_token", 401, InvalidToken, 401, "you", False),
    ("NO_AUTH_FOUND", 401, SignInAgain, 401, "you", False),
    ("insufficient_scope", 401, InsufficientScope, 403, "administrator", False),
    ("insufficient_scope", 403, InsufficientScope, 403, "administrator", False),
    ("user_access_error", 401, AppNotAllowed, 403, "administrator", False),
    ("user_access_error", 403, AppNotAllowed, 403, "administrator", False),
    ("ALLOWED_ONLY_INTRANET_USER", 403, AppNotAllowed, 403, "administrator", False),
    ("authorization_error", 401, UserGone, 401, "administrator", False),
    ("APPLICATION_NOT_FOUND", 401, NotInstalled, 410, "administrator", False),
    ("ERROR_OAUTH", 401, NotInstalled, 410, "administrator", False),
    # the call itself
    ("ACCESS_DENIED", 401, RestRefused, 403, "administrator", False),
    ("ACCESS_DENIED", 403, RestRefused, 403, "administrator", False),
    ("WRONG_LICENSE", 403, RestRefused, 403, "administrator", False),
    ("METHOD_CONFIRM_WAITING", 401, ConfirmNeeded, 403, "administrator", False),
    ("METHOD_CONFIRM_DENIED", 403, ConfirmNeeded, 403, "administrator", False),
    ("WRONG_AUTH_TYPE", 403, Unexpected, 502, "operator", False),
    ("INVALID_CREDENTIALS", 401, Unexpected, 502, "operator", False),
    ("INVALID_REQUEST", 400, Unexpected, 502, "operator", False),
    ("ERROR_METHOD_NOT_FOUND", 404, Unexpected, 502, "operator", False),
    ("ERROR_ARGUMENT", 400, Unexpected, 502, "operator", False),
    ("ERROR_CORE", 400, Unexpected, 502, "operator", False),
    ("ERROR_CORE", 500, Unavailable, 502, "bitrix24", True),
    ("WRONG_ENCODING", 200, Unexpected, 502, "operator", False),
    ("ERROR_BATCH_LENGTH_EXCEEDED", 200, Unexpected, 502, "operator", False),
    ("ERROR_BATCH_METHOD_NOT_ALLOWED", 200, Unexpected, 502, "operator", False),
    # limits and the portal's health
    ("QUERY_LIMIT_EXCEEDED", 503, Throttled, 503, "bitrix24", True),
    ("OPERATION_TIME_LIMIT", 429, Throttled, 503, "bitrix24", True),
    ("OVERLOAD_LIMIT", 401, Blocked, 503, "bitrix24", False),
    ("OVERLOAD_LIMIT", 503, Blocked, 503, "bitrix24", False),
    ("PORTAL_DELETED", 403, PortalClosed, 503, "administrator", True),
    ("PORTAL_DELETED", 410, PortalClosed, 503, "administrator", True),
    ("PORTAL_DELETED", 500, PortalClosed, 503, "administrator", True),
    ("CONNECTION_ERROR", 401, Unavailable, 502, "bitrix24", True),
    ("INTERNAL_SERVER_ERROR", 500, Unavailable, 502, "bitrix24", True),
    ("ERROR_UNEXPECTED_ANSWER", 500, Unavailable, 502, "bitrix24", True),
    ("SOMETHING_NEW", 500, Unavailable, 502, "bitrix24", True),
    ("SOMETHING_NEW", 400, Unexpected, 502, "operator", False),
    # landing methods
    ("ACCESS_DENIED", 400, AccessDenied, 403, "administrator", False),
    ("LANDING_NOT_EXIST", 400, PageGone, 404, "you", False),
    ("MISSING_PARAMS", 400, Unexpected, 502, "operator", False),
    ("TYPE_ERROR", 400, Unexpected, 502, "operator", False),
    ("SYSTEM_ERROR", 400, Unavailable, 502, "bitrix24", True),
    ("FEATURE_NOT_AVAIL", 400, Unexpected, 502, "operator", False),
    *(
        (code, 400, PublishRefused, 422, "administrator", False)
        for code in (
            "PUBLIC_PAGE_REACHED", "PUBLIC_SITE_REACHED", "PUBLIC_SITE_REACHED_FREE", "PUBLIC_HTML_DISALLOWED",
            "PUBLIC_HTML_DISALLOWED[S12]", "PUBLIC_HTML_DISALLOWED[L34]", "LANDING_PAYMENT_FAILED",
            "LANDING_PAYMENT_FAILED_BLOCK", "PHONE_NOT_CONFIRMED", "EMAIL_NOT_CONFIRMED", "URLCHECKER_FAIL",
            "LICENSE_EXPIRED",
        )
    ),
]  # fmt: skip
# What the SDK knows and we never meet, or can only call our own mistake
NOT_FOR_US = {"INVALID_ARG_VALUE", "INVALID_REQUEST", "INVALID_CREDENTIALS", "ACCESS_ERROR", "WRONG_AUTH_TYPE"}


@pytest.mark.parametrize("written", [str.lower, str.upper, str.title], ids=["lower", "upper", "mixed"])
@pytest.mark.parametrize(("code", "http", "kind", "status", "who", "transient"), TABLE)
def test_a_code_becomes_a_remedy(code, http, kind, status, who, transient, written):
    problem = error_for(written(code), http, method="landing.landing.unpublic")

    assert type(problem) is kind
    assert (problem.status, problem.fixable_by, problem.transient) == (status, who, transient)
    assert problem.code == written(code)  # as it came


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (code, kind)
        for code, _, kind, *_ in TABLE
        if code not in ("ACCESS_DENIED", "ERROR_CORE", "SOMETHING_NEW") and kind not in (Unexpected, Unavailable)
    ],
)
def test_the_code_wins_over_any_status(code: str, kind: type):
    assert {type(error_for(code, status)) for status in (200, 302, 400, 401, 403, 404, 410, 429, 500, 503)} == {kind}


def test_inside_a_batch_access_denied_belongs_to_the_page():
    assert type(error_for("ACCESS_DENIED", 401, in_batch=True)) is AccessDenied


def every_problem() -> list[type[Problem]]:
    return [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Problem)]


@pytest.mark.parametrize("kind", every_problem())
def test_every_problem_says_what_happened_what_to_do_and_who_can(kind: type[Problem]):
    problem = kind("somewhere.example") if kind is errors.PortalMoved else kind()

    assert problem.fixable_by in WHO
    assert 400 <= problem.status < 600
    for words in (problem.title, problem.detail, problem.remedy):
        assert words[0].isupper()
        assert "!" not in words
    assert problem.detail.endswith(".")
    assert problem.remedy.endswith(".")
    assert not problem.title.endswith(".")


@pytest.mark.parametrize("kind", every_problem())
def test_the_drawing_of_the_tree_names_every_class(kind: type[Problem]):
    assert errors.__doc__
    assert kind.__name__ in errors.__doc__


@pytest.mark.parametrize("kind", [kind for kind in every_problem() if issubclass(kind, PortalError)])
def test_a_problem_tells_no_token_when_it_is_printed(kind: type[PortalError]):
    problem = kind("secret.example" if kind is errors.PortalMoved else None, method="profile")

    assert "secret" not in f"{problem} {problem!r}"


def codes_of_the_sdk() -> Iterator[tuple[str, int]]:
    """Code and status of every error class of the official SDK's first two REST versions."""
    names = [module.name for module in pkgutil.walk_packages(b24pysdk.errors.__path__, "b24pysdk.errors.")]
    for module in (b24pysdk.errors, *map(importlib.import_module, names)):
        for _, kind in inspect.getmembers(module, inspect.isclass):
            code = vars(kind).get("ERROR")
            if isinstance(code, str):
                yield code, int(getattr(kind, "STATUS_CODE", 400))


@pytest.mark.parametrize(("code", "status"), sorted(set(codes_of_the_sdk())))
def test_every_code_the_official_sdk_knows_has_a_remedy(code: str, status: int):
    assert (type(error_for(code, status)) is Unexpected) == (code in NOT_FOR_US)


def test_the_official_sdk_still_tells_its_codes():
    assert len(set(codes_of_the_sdk())) >= 25


# --- publication and unpublic --------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", [None, False, [], {}, "", "true", 1, "Y"])
def test_publication_must_answer_exactly_true(result: object):
    with pytest.raises(PublishRefused):
        landing.check_done(Action.PUBLISH, Answer(result))


@pytest.mark.parametrize("result", [None, False, [], 1])
def test_unpublic_that_answers_anything_else_is_no_success_either(result: object):
    with pytest.raises(Unavailable):
        landing.check_done(Action.UNPUBLISH, Answer(result))


@pytest.mark.parametrize("action", Action)
def test_true_is_success(action: Action):
    landing.check_done(action, Answer(True))


@pytest.mark.parametrize("action", Action)
def test_the_refusal_of_a_command_is_raised_as_it_came(action: Action):
    refusal = error_for("LANDING_NOT_EXIST", 400, in_batch=True)

    with pytest.raises(PageGone):
        landing.check_done(action, refusal)
