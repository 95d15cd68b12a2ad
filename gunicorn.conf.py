"""gunicorn's settings: threads, since the app's time is spent waiting for portals and the database.

More machines or processes need no change: WEB_CONCURRENCY processes of WEB_THREADS threads on $PORT. Connections to
the database open lazily, after the fork.
"""

import errno
import logging
import os
import re
import socket
import time
from pathlib import Path

from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.workers.gthread import TConn, ThreadWorker

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


REQUEST_SECONDS = 10.0  # the largest request has 256 KiB


class HurriedSocket(socket.socket):
    """A client's connection. Whatever it sends meanwhile, a request is there within the limit or never: gunicorn
    itself waits without end for the rest of one, and a handful of half-open posts would hold every thread.
    """

    _ends = 0.0

    def setblocking(self, flag: bool, /) -> None:
        """gunicorn calls it when a thread takes the connection: the time for this request begins."""
        self._ends = time.monotonic() + REQUEST_SECONDS
        super().settimeout(REQUEST_SECONDS if flag else 0)

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """As usual, within what is left of the time."""
        if self.gettimeout() != 0:
            left = self._ends - time.monotonic()
            if left <= 0:
                raise ConnectionResetError(errno.ECONNRESET, "the request took too long")
            super().settimeout(left)
        try:
            return super().recv(size, flags)
        except TimeoutError:
            raise ConnectionResetError(errno.ECONNRESET, "the request took too long") from None


class Worker(ThreadWorker):
    """gunicorn's threads, for clients that take their time."""

    def enqueue_req(self, conn: TConn) -> None:
        """Give a new connection its limit."""
        if not isinstance(conn.sock, HurriedSocket):
            conn.sock = HurriedSocket(fileno=conn.sock.detach())
        super().enqueue_req(conn)


bind = f"0.0.0.0:{os.environ.get('PORT', '8000')}"
worker_class = Worker
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
