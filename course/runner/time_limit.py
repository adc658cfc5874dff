"""A limit on time that works in notebooks, on Windows and without SIGALRM: a thread of its own."""

import glob
import pathlib
import time
from contextlib import suppress

# Where each new shape is compiled first (JAX), that takes seconds, not a fault of the student.
SECONDS = {"tensorflow": 10.0, "jax": 30.0}
# Nor is a busy machine: time in which no core was free comes on top, up to so many times the limit.
PATIENCE = 5
AT_ONCE = 0.1  # seconds


class Stopped(BaseException):
    """Raised inside code that is over its time; not an Exception, so that `except` lets it by."""


def finishes(worker, limit):
    """Waits for a thread; whether it ends within `limit` seconds of having a core to run on."""
    started, waited, left = time.monotonic(), None, limit
    worker.join(min(limit, AT_ONCE))  # most do, and looking up what was waited for takes its time
    while left > 0 and worker.is_alive():
        waited = waited_for_a_core() if waited is None else waited
        worker.join(left)
        extra = min(max(0.0, waited_for_a_core() - waited), (PATIENCE - 1) * limit)
        left = limit + extra - (time.monotonic() - started)
    return not worker.is_alive()


def waited_for_a_core():
    """Seconds that the living threads of this process stood in line for a core; 0 off Linux."""
    total = 0
    for path in glob.glob("/proc/self/task/*/schedstat"):
        with suppress(OSError, ValueError, IndexError):  # a thread may end while it is read
            total += int(pathlib.Path(path).read_text().split()[1])
    return total / 1e9


def stop(worker):
    """Asks a runaway thread to end, again and again for a moment: a bare `except:` swallows one."""
    import ctypes

    for _ in range(20):
        if not worker.is_alive():
            return
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(worker.ident), ctypes.py_object(Stopped)
        )
        worker.join(0.05)
