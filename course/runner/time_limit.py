"""A limit on time that works in notebooks, on Windows and without SIGALRM: a thread of its own."""

import glob
import pathlib
import sys
import threading
import time
from contextlib import suppress

# Where each new shape is compiled first (JAX), that takes seconds, not a fault of the student.
SECONDS = {"tensorflow": 10.0, "jax": 30.0}
# Nor is a busy machine: time in which no core was free comes on top, up to so many times the limit.
PATIENCE = 20
AT_ONCE = 0.1  # seconds


class Stopped(BaseException):
    """Raised inside code that is to end; no Exception, so that `except Exception` lets it by."""


class Interrupted(KeyboardInterrupt):
    """The user stopped a check. `ended` says whether the code that it ran has ended too."""

    def __init__(self, ended):
        super().__init__("interrupted")
        self.ended = ended


class Worker(threading.Thread):
    """A thread that can be waited for, interrupted and stopped.

    It is not waited for with `join`: an interrupted `join` of CPython 3.11 marks a thread as ended
    that still runs.
    """

    def __init__(self, work):
        super().__init__(target=work, name="course-check", daemon=True)
        self.ended = threading.Event()

    def run(self):
        try:
            with suppress(Stopped):  # before or after the `try` of its own
                super().run()
        finally:
            self.ended.set()

    @property
    def runs(self):
        """Whether it has a frame: the one sign of life that nothing can falsify."""
        return self.ident in sys._current_frames()


def finishes(worker, limit):
    """Waits for a `Worker`; whether it ends within `limit` seconds of having a core to run on."""
    started, computed, waited, left = time.monotonic(), time.process_time(), None, limit
    worker.ended.wait(min(limit, AT_ONCE))  # most do, and looking up the wait takes its time
    while left > 0 and not worker.ended.is_set():
        waited = waited_for_a_core() if waited is None else waited
        worker.ended.wait(left)
        in_line = max(0.0, waited_for_a_core() - waited)
        had = seconds_had(time.monotonic() - started, in_line, time.process_time() - computed)
        left = limit - had
    return worker.ended.is_set()


def seconds_had(wall, in_line, computed):
    """The part of a span of time in which a process had a core to run on.

    Args:
        wall: seconds of the span.
        in_line: seconds that its threads stood in line for a core, all of them together.
        computed: seconds that its threads computed, all of them together. Sixty threads stand in
            line for one another; what they computed says that the process had its core.
    """
    return max(wall / PATIENCE, wall - in_line, min(wall, computed))


def waited_for_a_core():
    """Seconds that the living threads of this process stood in line for a core; 0 off Linux."""
    total = 0
    for path in glob.glob("/proc/self/task/*/schedstat"):
        with suppress(OSError, ValueError, IndexError):  # a thread may end while it is read
            total += int(pathlib.Path(path).read_text().split()[1])
    return total / 1e9


def stop(worker, seconds=3.0):
    """Ends a runaway thread: asks again and again, since a bare `except:` swallows one request.

    Args:
        worker: the `Worker`.
        seconds: how long to go on asking.

    Returns:
        Whether it has ended. Code that waits outside Python, as in `time.sleep`, hears the request
        only when it comes back.
    """
    import ctypes

    until = time.monotonic() + seconds
    while worker.runs and time.monotonic() < until:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(worker.ident), ctypes.py_object(Stopped)
        )
        time.sleep(0.02)
    return not worker.runs
