"""How the C library keeps memory for our threads.

glibc gives threads heaps of their own, up to eight a core, and each keeps what its busiest moment took. Our threads
wait for portals and hardly ever allocate at once, so two heaps do for all of them: a web process holds 7 MB less.
"""

import ctypes

ARENA_MAX, ARENAS = -8, 2  # M_ARENA_MAX of malloc.h


def share_heaps() -> bool:
    """Let all threads of this process share two heaps; False where the C library is another one."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(ARENA_MAX, ARENAS) == 1
