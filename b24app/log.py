"""One log: a line an event, with the request's id, and without any secret.

Redaction is a processor over the finished event: values under telling names, known secrets of the configuration, and
anything shaped like a token parameter inside a text (threats.md, row 18: by key and by known value).
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from b24app.config import Config

SECRET_NAMES = re.compile(
    r"(auth_?id|refresh_?id|access_?token|refresh_?token|application_?token|client_?secret|secret_?key|token_?keys"
    r"|session_?token|authorization|password|\bauth\b|\bcode_?verifier\b)",
    re.IGNORECASE,
)
SECRET_PAIRS = re.compile(
    r"(?i)\b(auth|auth_?id|refresh_?id|access_?token|refresh_?token|application_?token|client_?secret|session_?token|bearer|code)"
    r"(\"?\s*[=:]\s*\"?|\s+)([^\s\"'&,}\]]{8,})"
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
        return value

    def text(self, value: str) -> str:
        """The text with every secret blacked out."""
        for secret in self._known:
            value = value.replace(secret, SHOWN)
        return SECRET_PAIRS.sub(rf"\1\2{SHOWN}", value)


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
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.log_level)
    for noisy in ("urllib3", "psycopg", "alembic", "procrastinate"):  # the last logs its connection string at DEBUG
        logging.getLogger(noisy).setLevel(max(logging.WARNING, root.level))


def _for_a_person() -> structlog.dev.ConsoleRenderer:
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
