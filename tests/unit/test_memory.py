"""What is asked of the C library."""

import platform
import subprocess
import sys
import xml.etree.ElementTree as Xml
from pathlib import Path

import pytest

from b24app.memory import ARENAS
from tests.processes import ROOT

EIGHT_THREADS = """
import ctypes, sys, threading
from b24app.memory import share_heaps
if sys.argv[1] == "shared":
    assert share_heaps()
libc, together = ctypes.CDLL(None), threading.Barrier(9)
libc.fopen.restype = ctypes.c_void_p
def allocate():
    kept = [bytearray(2000) for _ in range(50)]
    together.wait()
    together.wait()
threads = [threading.Thread(target=allocate) for _ in range(8)]
for each in threads:
    each.start()
together.wait()
libc.malloc_info(0, ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w")))
libc.fflush(None)
together.wait()
"""


def heaps(which: str, where: Path) -> int:
    """How many heaps a process of eight threads has."""
    subprocess.run([sys.executable, "-c", EIGHT_THREADS, which, str(where)], cwd=ROOT, check=True, timeout=60)
    return len(Xml.parse(where).getroot().findall("heap"))  # noqa: S314  the C library's own words


@pytest.mark.process
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library has no such heaps")
def test_threads_share_two_heaps(tmp_path: Path) -> None:
    assert heaps("shared", tmp_path / "shared.xml") <= ARENAS < heaps("own", tmp_path / "own.xml")
