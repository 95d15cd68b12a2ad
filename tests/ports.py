"""Ports that have to be known before something listens there: none of those the kernel gives out by itself."""

import contextlib
import itertools
import os
import socket

FIRST_PORT, RANGE, RANGES = 12_000, 4_000, 5
taken = itertools.count()


def free_ports(number: int) -> int:
    """The first of so many free ports in a row.

    Each test process looks in a range of its own, below those the kernel gives out, and takes no row twice: between the
    look and the use nobody else of this run comes by.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % RANGES
    for _ in range(RANGE // number):
        place = min([next(taken) for _ in range(number)])
        first = FIRST_PORT + worker * RANGE + (os.getpid() + place) % (RANGE - number)
        if all(map(is_free, range(first, first + number))):
            return first
    raise AssertionError("no free ports")


def is_free(port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind(("0.0.0.0", port))
        return True
    return False


def free_port() -> int:
    """A port that nobody uses now, and that the kernel gives to nobody meanwhile."""
    return free_ports(1)
