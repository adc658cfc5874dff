"""The warm process that submissions are forked from: it has imported the framework, and no more.

It is started as `python -m course.grading.sandbox.fork_server DESCRIPTOR [--alone]`, a socket. For
each message of one byte that brings four descriptors it forks a supervisor (see `supervisor`). A
fork after a framework has begun to work hangs, so nothing is ever computed here: no operation,
layer, seed generator or variable. Before each fork that is verified. No exercise,
judge, seed or submission is ever in this process, so that none can be found in those that are
forked from it.
"""

import contextlib
import ctypes
import gc
import importlib
import json
import os
import signal
import socket
import sys
from pathlib import Path

from course import runtime
from course.grading.sandbox import supervisor

# Imported here once, instead of in each submission: what a shell, a plot and a first training use.
WARM = (
    "IPython.core.interactiveshell",
    "IPython.core.display",
    "numpy.random",
    "pdb",
    "concurrent.futures.thread",
)
PLOTS = ("matplotlib.backends.backend_agg", "matplotlib.pyplot")


def warm_up(alone=False):
    """Imports the framework and what a notebook's shell needs; computes nothing.

    Args:
        alone: whether one submission is all that will come. It pays for each import itself, and
            most draw nothing: Keras, which imports Matplotlib for `keras.visualization`, does not
            find it then.
    """
    runtime.import_keras(hidden=["matplotlib"] if alone else [])
    for name in WARM + PLOTS * (not alone):
        importlib.import_module(name)
    if alone:
        return
    gc.collect()
    gc.freeze()  # so that collecting in a submission touches no page that all of them share
    in_large_pages()


def in_large_pages():
    """Collects this process' memory in pages of 2 MB: a fork copies a list of its pages.

    It halves the time of a fork, of which each submission takes three. Linux does so since 6.1;
    elsewhere nothing happens.
    """
    size, collapse = 1 << 21, 25  # MADV_COLLAPSE
    with contextlib.suppress(OSError, AttributeError):
        madvise = ctypes.CDLL(None).madvise
        for line in Path("/proc/self/maps").read_text().splitlines():
            place, rights, _, device, _, *name = line.split()
            if rights == "rw-p" and device == "00:00" and name in ([], ["[heap]"]):
                first, last = (int(end, 16) for end in place.split("-"))
                first, last = -(-first // size) * size, last // size * size
                if first < last:
                    madvise(ctypes.c_void_p(first), ctypes.c_size_t(last - first), collapse)


def not_forkable():
    """Why a fork of this process might hang, or None."""
    tensorflow = sys.modules.get("tensorflow.python.eager.context")
    if tensorflow and tensorflow.context_safe() and tensorflow.context_safe()._initialized:
        return "TensorFlow's eager context is initialised"
    bridge = sys.modules.get("jax._src.xla_bridge")
    if bridge and bridge.backends_are_initialized():
        return "a backend of JAX is initialised"
    if os.path.isdir("/proc/self/task") and len(os.listdir("/proc/self/task")) > 1:
        return "the process has more than one thread"
    return None


def main(descriptor, *options):
    grader = socket.socket(fileno=int(descriptor))
    warm_up(alone="--alone" in options)
    ready = {"backend": runtime.choose_backend(), "versions": runtime.versions()}
    grader.sendall(json.dumps(ready).encode() + b"\n")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's to answer
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no supervisor is waited for
    while True:
        message, descriptors, *_ = socket.recv_fds(grader, 1, 4)
        if not message:  # the grader has ended
            return
        sys.stdout.flush()
        sys.stderr.flush()
        fault = not_forkable()
        if os.fork() == 0:
            grader.close()
            supervisor.main(fault, *descriptors)  # never returns
        for each in descriptors:
            os.close(each)


if __name__ == "__main__":
    main(*sys.argv[1:])
