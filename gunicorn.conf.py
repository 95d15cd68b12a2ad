"""gunicorn's settings: threads, since the app's time is spent waiting for portals and the database (b24app/server.py).

More machines or processes need no change: WEB_CONCURRENCY processes of WEB_THREADS threads on $PORT. Connections to
the database open lazily, after the fork.
"""

import logging
import re
from pathlib import Path
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger

from b24app.config import ConfigError, load, load_web_server
from b24app.memory import share_heaps
from b24app.operations.answers import answers
from b24app.server import Worker
from b24app.store.connections import DatabaseError, Place, TransactionPooling

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


def on_starting(server: Any) -> None:
    """A setting that is wrong ends the start here, with its line. Later, gunicorn would start workers for ever.

    The counts are this start's own, even where its process was forked from one that has the app already.
    """
    answers.begin()
    settings = load()
    if settings.database_url is None:
        return
    try:
        Place.of(settings.database_url.get_secret_value(), "sundown").refuse_transaction_pooling()
    except TransactionPooling as pooled:
        raise ConfigError(str(pooled)) from None
    except DatabaseError as away:  # it may come later; /readyz says so until then
        server.log.warning("the database does not answer (%s)", type(away).__name__)


def post_fork(server: Any, worker: Any) -> None:
    """Before the process starts threads; each counts its answers in a place of its own."""
    share_heaps()
    answers.use_row(worker.age)


web = load_web_server()
bind = f"0.0.0.0:{web.port}"
worker_class = Worker
workers = web.web_concurrency
threads = web.web_threads
worker_connections = 800  # open at once in a process; a usual limit of open files is 1024
timeout = 90  # of the loop, which never waits for anybody
graceful_timeout = 75
keepalive = 75  # longer than the usual 60 s of a proxy, so that the proxy is the one to close
accesslog = None  # the app writes one line a request, redacted
errorlog = "-"
logger_class = QuietLogger
control_socket_disable = True  # it would write below the home folder
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  # heartbeats should not meet a slow disk
