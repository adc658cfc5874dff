"""What the frameworks and CPython need to be asked in a roundabout way, each with its reason."""

import ast
import contextlib
import ctypes
import gc
import os
import sys
import tempfile
import threading
import warnings

_PARSING = threading.Lock()


def parse_source(source):
    """`ast.parse`, one thread at a time.

    In CPython 3.11 all threads count the depth of their syntax trees in one place: a switch between
    two that parse ends in "SystemError: AST constructor recursion depth mismatch". Libraries parse
    without asking here, so a parse that met one of them is done again.
    """
    with _PARSING:
        for _ in range(20):
            with contextlib.suppress(SystemError):
                return ast.parse(source)
        return ast.parse(source)


@contextlib.contextmanager
def quiet_stderr():
    """Keeps what native code writes to stderr from the reader; shows it if an error follows.

    TensorFlow writes its start-up notes to file descriptor 2, below Python's `sys.stderr`.
    """
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # no descriptor 2 (an embedded interpreter): nothing to quieten
        yield
        return
    with tempfile.TemporaryFile() as noise:
        os.dup2(noise.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(saved, 2)
            noise.seek(0)
            sys.stderr.write(noise.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)


@contextlib.contextmanager
def large_import(hidden):
    """Imports without garbage collection, a fifth of the time; none finds what is hidden."""
    collecting, hidden = gc.isenabled(), [name for name in hidden if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    gc.disable()
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
        if collecting:
            gc.enable()


def hide_notes():
    """Hides the frameworks' notes on their own internals; a student's warnings still show."""
    warnings.filterwarnings("ignore", module=r"(keras|tensorflow|jax|google)\b.*")


def make_variables(model, x, y=None, sample_weight=None):
    """Makes what a compiled model's first training step would make: weights, metrics, moments.

    TensorFlow draws a graph of that step, and draws it again if it made variables on the way. For a
    small model that is most of its training.

    Args:
        model: a compiled Keras model.
        x, y, sample_weight: one row of what `fit` will get.
    """
    outputs = model(x)
    model.optimizer.build(model.trainable_variables)
    model.compute_metrics(x, y, outputs, sample_weight)
    model.reset_metrics()


@contextlib.contextmanager
def built_by_a_call(layer):
    """Lets a layer that has no `build` make its weights in a call, as plain Python.

    Else Keras traces `call` before the first one, only to have the layers in it make theirs: on
    TensorFlow two fifths of the time that checking layers takes. After the call such layers are as
    Keras leaves them, built, and closed to new weights. Other objects stay as they are; models too.

    Args:
        layer: what is called in the `with` block.
    """
    layers = getattr(sys.modules.get("keras"), "layers", None)
    found, waiting = [], [layer]
    while layers and waiting:
        each = waiting.pop()
        if isinstance(each, list | tuple):
            waiting += each
            continue
        if not isinstance(each, layers.Layer) or each.built or each in found:
            continue
        if type(each).build is layers.Layer.build:
            found.append(each)
            waiting += vars(each).values()
    for each in found:
        each.built = True
    try:
        yield
    except BaseException:
        for each in found:
            each.built = False
        raise
    for each in reversed(found):
        each.build(None)


def keep_freed_memory():
    """Lets glibc keep the memory that one training step frees, for the next.

    The first data set made of Python code (a PyDataset in `fit`) has TensorFlow 2.21 lower glibc's
    thresholds. From then on every large tensor is fetched from the system and given back: a small
    model trained 1.5 to 2 times as slowly. Call it after that; without glibc it does nothing.
    """
    trim_threshold, mmap_max = -1, -4  # as malloc.h numbers them
    with contextlib.suppress(OSError, AttributeError):  # no glibc: macOS, Windows, Alpine
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(trim_threshold, 1 << 30)
        libc.mallopt(mmap_max, 0)  # nothing is fetched apart, however large


@contextlib.contextmanager
def second_softmax_kept():
    """Lets a softmax before `from_logits=True` count, on TensorFlow as on JAX.

    Keras marks what its softmax returns, and its cross-entropies on TensorFlow then go back to the
    logits, whatever `from_logits` says. A check has to judge what was written.
    """
    keras = sys.modules.get("keras")
    if keras is None or keras.backend.backend() != "tensorflow":
        yield
        return
    try:
        from keras.src.backend.tensorflow import nn

        original = nn._get_logits
    except (ImportError, AttributeError):  # a Keras that does not do this
        yield
        return

    def as_written(output, from_logits, *names):
        return (output, True) if from_logits else original(output, from_logits, *names)

    nn._get_logits = as_written
    try:
        yield
    finally:
        nn._get_logits = original
