"""Ctrl-C and SIGTERM, of which none is lost."""

import contextlib
import signal
import threading


@contextlib.contextmanager
def interrupts():
    """An event that Ctrl-C and SIGTERM set, beside raising KeyboardInterrupt here.

    An exception alone can be lost: where a signal arrives while Python runs a finaliser, it is
    printed and dropped. SIGTERM ends a run as Ctrl-C does, its processes first.
    """
    stopped, before = threading.Event(), {}

    def stop(*_):
        stopped.set()
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as a job in the background has it
                before[number] = signal.signal(number, stop)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
