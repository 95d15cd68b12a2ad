"""One log: a line an event, with the request's id, and without any secret.

Redaction is a processor over the finished event, tracebacks included: values under telling names, known secrets of the
configuration, and inside any text what is named or shaped like a token. Whatever else writes of a process goes the
same way: the standard library's log, warnings, gunicorn's errors, exceptions nobody caught.
"""

import logging
import re
import sys
import threading
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any

import structlog

from b24app.config import Config

SECRET_NAMES = re.compile(
    r"(auth_?id|refresh_?id|access_?token|refresh_?token|application_?token|client_?secret|secret_?key|token_?keys"
    r"|session_?token|authorization|password|\bauth\b|\bcode_?verifier\b)",
    re.IGNORECASE,
)
NAMED = (
    r"auth|auth_?id|refresh_?id|access_?token|refresh_?token|application_?token|client_?secret|session_?token|bearer"
)
# A code is secret where it is a parameter of a URL or form; elsewhere the word names errors and pages.
SECRET_PAIRS = re.compile(rf"(?i)\b((?:{NAMED})(?:\"?\s*[=:]\s*\"?|\s+)|code=)[^\s\"'&,}}\]]{{8,}}")
# Access and refresh tokens are long runs of letters and digits (samples: 32 to 72, hexadecimal); a member_id has 32 and
# must stay readable, so shorter ones are known by their names only. And our own session tokens, which are JWTs.
SECRET_SHAPES = re.compile(
    r"\beyJ[\w-]+\.[\w-]+\.[\w-]+|(?<![0-9A-Za-z])(?=[0-9a-z]*[0-9])[0-9a-z]{40,}(?![0-9A-Za-z])"
)
SHOWN = "[redacted]"


class Redaction:
    """A structlog processor that lets no secret through."""

    def __init__(self, secrets: list[str]) -> None:
        self._known = sorted({secret for secret in secrets if len(secret) >= 6}, key=len, reverse=True)

    def __call__(self, logger: object, name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """The event without secrets."""
        return {key: self._clean(key, value) for key, value in event.items()}

    def _clean(self, key: str, value: object) -> object:
        if key != "event" and SECRET_NAMES.search(key) and value is not None:
            return SHOWN
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {inner: self._clean(str(inner), item) for inner, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean("", item) for item in value]
        return value if value is None or isinstance(value, bool | int | float) else self.text(str(value))

    def text(self, value: str) -> str:
        """The text with every secret blacked out."""
        for secret in self._known:
            value = value.replace(secret, SHOWN)
        return SECRET_SHAPES.sub(SHOWN, SECRET_PAIRS.sub(rf"\1{SHOWN}", value))


def setup(config: Config) -> None:
    """Send structlog and the standard library's log to one stream, redacted."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last = structlog.processors.JSONRenderer() if config.log_format == "json" else _for_a_person()
    ending: list[Any] = [structlog.processors.format_exc_info, Redaction(config.secrets()), last]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(config.log_level)),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )  # fmt: skip
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
    )
    root = logging.getLogger()
    root.handlers[:] = [logging.StreamHandler(sys.stderr)]
    root.setLevel(config.log_level)
    for handler in (*root.handlers, *logging.getLogger("gunicorn.error").handlers):
        handler.setFormatter(formatter)
    logging.captureWarnings(capture=True)
    sys.excepthook = _crashed
    threading.excepthook = lambda told: _crashed(told.exc_type, told.exc_value, told.exc_traceback)
    for noisy in ("urllib3", "psycopg", "alembic", "procrastinate"):  # the last logs its connection string at DEBUG
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def _for_a_person() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)


def _crashed(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
    """An exception nobody caught; Ctrl-C is none."""
    if not issubclass(kind, KeyboardInterrupt | SystemExit):
        structlog.get_logger().critical("crashed", exc_info=(kind, error or kind(), trace))
