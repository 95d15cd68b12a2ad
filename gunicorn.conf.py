"""gunicorn's settings: threads, since the app's time is spent waiting for portals and the database.

More machines or processes need no change: WEB_CONCURRENCY processes of WEB_THREADS threads on $PORT. Connections to
the database open lazily, after the fork.
"""

import logging
import os
import re
from pathlib import Path

from gunicorn.config import Config
from gunicorn.glogging import Logger

QUERY = re.compile(r"\?[^\s'\"]*")


class WithoutQueries(logging.Filter):
    """A frame's address carries APP_SID in its query; no log of ours may."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = QUERY.sub("?…", record.getMessage()), None
        return True


class QuietLogger(Logger):
    """gunicorn's logger, with queries cut out of its lines."""

    def setup(self, cfg: Config) -> None:
        super().setup(cfg)
        self.error_log.addFilter(WithoutQueries())


bind = f"0.0.0.0:{os.environ.get('PORT', '8000')}"
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "8"))
timeout = 90  # a batch may wait 55 s for its portal
graceful_timeout = 75
keepalive = 75  # longer than the usual 60 s of a proxy, so that the proxy is the one to close
accesslog = None  # the app writes one line a request, redacted
errorlog = "-"
logger_class = QuietLogger
control_socket_disable = True  # it would write below the home folder
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # heartbeats should not meet a slow disk
