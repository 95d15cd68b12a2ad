"""Section 4.5: the portal's errors, in the two dialects that are told about it.

The module source sends nearly every token-stage error as 401; the documentation names other statuses for some, and the
official SDK's live tests a third set. A portal of ours speaks one of them (`switches.dialect`), `source` by default.
"""

from __future__ import annotations

from b24sandbox.state.switches import Dialect

_SOURCE = {
    "expired_token": 401,
    "invalid_token": 401,
    "NO_AUTH_FOUND": 401,
    "insufficient_scope": 401,
    "user_access_error": 401,
    "authorization_error": 401,
    "APPLICATION_NOT_FOUND": 401,
    "ERROR_OAUTH": 401,
    "NOT_INSTALLED": 401,
    "PAYMENT_REQUIRED": 401,
    "CONNECTION_ERROR": 401,
    "ACCESS_DENIED": 403,
    "REST_NOT_IN_PLAN": 401,
    "USER_CONTEXT": 401,
    "WRONG_AUTH_TYPE": 403,
    "WRONG_LICENSE": 403,
    "METHOD_CONFIRM_WAITING": 401,
    "METHOD_CONFIRM_DENIED": 403,
    "INVALID_CREDENTIALS": 401,
    "INVALID_REQUEST": 401,
    "OVERLOAD_LIMIT": 401,
    "QUERY_LIMIT_EXCEEDED": 503,
    "OPERATION_TIME_LIMIT": 429,
    "ERROR_METHOD_NOT_FOUND": 404,
    "PORTAL_DELETED": 403,
    "INTERNAL_SERVER_ERROR": 500,
    "ERROR_UNEXPECTED_ANSWER": 500,
    "ERROR_MANIFEST_IS_NOT_AVAILABLE": 404,
    "WRONG_ENCODING": 200,
    "allowed_only_intranet_user": 403,
}
_DOCS = {
    "insufficient_scope": 403,
    "user_access_error": 403,
    "REST_NOT_IN_PLAN": 403,
    "INVALID_CREDENTIALS": 403,
    "INVALID_REQUEST": 400,
    "OVERLOAD_LIMIT": 503,
    "PORTAL_DELETED": 500,
}
_SDK = {
    "user_access_error": 403,
    "REST_NOT_IN_PLAN": 403,
    "USER_CONTEXT": 403,
    "OVERLOAD_LIMIT": 503,
    "PORTAL_DELETED": 410,
}
STATUSES: dict[Dialect, dict[str, int]] = {"source": _SOURCE, "docs": _SOURCE | _DOCS, "sdk": _SOURCE | _SDK}

# Two refusals share the code ACCESS_DENIED with a third meaning, and differ in status only.
_SPOKEN = {"REST_NOT_IN_PLAN": "ACCESS_DENIED", "USER_CONTEXT": "ACCESS_DENIED"}

TEXTS = {
    "expired_token": "The access token provided has expired",
    "invalid_token": "Unable to get application by token",
    "NO_AUTH_FOUND": "Wrong authorization data",
    "user_access_error": "The user does not have access to the application.",
    "authorization_error": "Unable to authorize user",
    "APPLICATION_NOT_FOUND": "Application not found",
    "ERROR_OAUTH": "Application not installed",
    "NOT_INSTALLED": "Application not installed",
    "PAYMENT_REQUIRED": "Payment required",
    "CONNECTION_ERROR": "Error connecting to authorization server",
    "ACCESS_DENIED": "Access denied!",
    "REST_NOT_IN_PLAN": "REST is available only on commercial plans.",
    "USER_CONTEXT": "Current user can't be authorized in this context",
    "insufficient_scope": "The request requires higher privileges than provided by the access token",
    "INVALID_CREDENTIALS": "Invalid request credentials",
    "INVALID_REQUEST": "Https required.",
    "OVERLOAD_LIMIT": "REST API is blocked due to overload.",
    "QUERY_LIMIT_EXCEEDED": "Too many requests",
    "OPERATION_TIME_LIMIT": "Method is blocked due to operation time limit.",
    "ERROR_METHOD_NOT_FOUND": "Method not found!",
    "PORTAL_DELETED": "Portal was deleted",
    "INTERNAL_SERVER_ERROR": "Internal server error",
    "ERROR_UNEXPECTED_ANSWER": "Server returned an unexpected response.",
    "WRONG_AUTH_TYPE": "Application context required",
    "WRONG_LICENSE": "Wrong license",
    "METHOD_CONFIRM_WAITING": "Waiting for confirmation",
    "METHOD_CONFIRM_DENIED": "Method call denied",
}


class RestError(Exception):
    """An answer with `error`: the portal's code, its words, and a status of its own where the method dictates one."""

    def __init__(self, code: str, text: str | None = None, status: int | None = None, **more: object) -> None:
        super().__init__(code)
        self.key = code
        self.code = _SPOKEN.get(code, code)
        self.text = TEXTS.get(code, "") if text is None else text
        self.fixed_status = status
        self.more = more

    def status(self, dialect: Dialect) -> int:
        """A RestException without a status is a 400; the token stage has the table's."""
        return self.fixed_status or STATUSES[dialect].get(self.key, 400)

    def body(self) -> dict[str, object]:
        return {"error": self.code, "error_description": self.text, **self.more}


def denied(text: str = "Access denied!") -> RestError:
    """AccessException: an administrator or an application is needed (403)."""
    return RestError("ACCESS_DENIED", text, 403)


def argument(name: str, text: str) -> RestError:
    return RestError("ERROR_ARGUMENT", text, 400, argument=name)


def landing(code: str, text: str) -> RestError:
    """Every error of a landing method is a 400 (section 5.1)."""
    return RestError(code, text, 400)
