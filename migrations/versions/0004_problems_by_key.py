"""problems are kept by key

Runs and pages kept the Python class name of a problem, which renaming a class would have orphaned. They keep a key of
its own from now on: `{"code", "class", "method"}` becomes `{"code", "key", "method"}`. The keys are written out here as
they were on the day, since a migration must not follow later changes of the code.

Revision ID: 0004
Revises: 0003
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | Sequence[str] | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

KEYS = {
    "AccessDenied": "access_denied",
    "AppNotAllowed": "app_not_allowed",
    "AppRemoved": "app_removed",
    "AskedTooOften": "too_many_attempts",
    "AuthorizationUnavailable": "authorization_unavailable",
    "BadForm": "bad_form",
    "Blocked": "blocked",
    "BothTimesPast": "both_times_past",
    "ConfirmNeeded": "confirm_needed",
    "ExpiredToken": "expired_token",
    "ForbiddenAddress": "forbidden_address",
    "Forged": "forged",
    "InsufficientScope": "insufficient_scope",
    "InvalidToken": "invalid_token",
    "KeyMissing": "key_missing",
    "KeyReused": "idempotency_key_reused",
    "NotAllowed": "not_allowed",
    "NotFound": "not_found",
    "NotGenuine": "not_genuine",
    "NotInstalled": "not_installed",
    "NotPossibleNow": "not_possible_now",
    "NothingToBringBack": "nothing_to_bring_back",
    "OperatorError": "operator_error",
    "Overtaken": "overtaken",
    "PageGone": "page_gone",
    "PaymentRequired": "payment_required",
    "PortalClosed": "portal_closed",
    "PortalError": "portal_error",
    "PortalMoved": "portal_moved",
    "Problem": "problem",
    "PublishRefused": "publish_refused",
    "PublishTooLate": "publish_too_late",
    "RestRefused": "rest_refused",
    "SessionExpired": "session_expired",
    "SignInAgain": "sign_in_again",
    "SignInRefused": "sign_in_refused",
    "Throttled": "throttled",
    "TimeIsUp": "time_is_up",
    "Unavailable": "unavailable",
    "Unexpected": "unexpected",
    "UserGone": "user_gone",
    "WaitedTooLong": "waited_too_long",
}

BY_KEY = (
    "update runs set {column} = ({column} - 'class') || jsonb_build_object('key', cast(:key as text)) "
    "where {column} ->> 'class' = :name"
)
BY_NAME = (
    "update runs set {column} = ({column} - 'key') || jsonb_build_object('class', cast(:name as text)) "
    "where {column} ->> 'key' = :key"
)
ITEMS_BY_KEY = sa.text("update run_items set problem = :key where problem = :name")
ITEMS_BY_NAME = sa.text("update run_items set problem = :name where problem = :key")


def upgrade() -> None:
    _rewrite(BY_KEY, ITEMS_BY_KEY)


def downgrade() -> None:
    _rewrite(BY_NAME, ITEMS_BY_NAME)


def _rewrite(runs: str, items: sa.TextClause) -> None:
    connection = op.get_bind()
    for name, key in KEYS.items():
        for column in ("problem", "doubt"):
            connection.execute(sa.text(runs.format(column=column)), {"name": name, "key": key})
        connection.execute(items, {"name": name, "key": key})
