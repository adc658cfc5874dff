"""The one place that knows the machine: backend, device, precision, XLA, seeds, home, files.

Importing this module imports no framework; each function imports what it needs.
"""

import ast
import contextlib
import ctypes
import functools
import gc
import importlib.util
import os
import platform
import sys
import tempfile
import threading
import uuid
import warnings
from pathlib import Path

DISTRIBUTION = "keras-transformer-course"
_PARSING = threading.Lock()


def on_colab():
    """True inside a Colab runtime."""
    return "COLAB_RELEASE_TAG" in os.environ or installed("google.colab")


def home():
    """The folder of progress, runs and caches: `COURSE_HOME`, or the user's data folder.

    Returns:
        A `pathlib.Path`; it need not exist yet.
    """
    if given := os.environ.get("COURSE_HOME"):
        return Path(given).expanduser()
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    elif os.name == "nt":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    else:
        base = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    return base / DISTRIBUTION


def installed(name):
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


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


def empty_export_folder(folder, what):
    """The folder for a SavedModel of `what`, as a path.

    Raises:
        ValueError: on another backend than TensorFlow, or if the folder holds anything.
    """
    backend = start().backend.backend()
    if backend != "tensorflow":
        raise ValueError(
            f"a SavedModel is made by TensorFlow, and the backend is {backend}: load the {what} in "
            "a process with KERAS_BACKEND=tensorflow."
        )
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: choose a new folder.")
    return folder


def write_atomically(path, data, mode=0o666):
    """Writes bytes to a file so that a reader sees the old file or the whole new one.

    Args:
        path: the file; its folder is made.
        data: bytes.
        mode: its permissions, less those that the user's umask takes away.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".writing-{uuid.uuid4().hex}-{path.name}")  # threads may write at once
    try:
        with open(half, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(half, path)
    finally:
        half.unlink(missing_ok=True)


def choose_backend():
    """Sets `KERAS_BACKEND` where nobody has: TensorFlow, or JAX where TensorFlow is absent.

    A choice already made (the variable, or Keras already imported) is left as it is.

    Returns:
        The backend's name.

    Raises:
        RuntimeError: if neither framework is installed.
    """
    if "keras" in sys.modules:
        return sys.modules["keras"].backend.backend()
    if chosen := os.environ.get("KERAS_BACKEND"):
        return chosen
    for backend in ("tensorflow", "jax"):
        if installed(backend):
            os.environ["KERAS_BACKEND"] = backend
            return backend
    raise RuntimeError(
        "Keras needs a framework and found neither TensorFlow nor JAX. "
        f'Install one of them: pip install "{DISTRIBUTION}[tf]" or "{DISTRIBUTION}[jax]".'
    )


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
def _large_import(hidden):
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


def _quieten():
    """Hides the frameworks' notes on their own internals; a student's warnings still show."""
    warnings.filterwarnings("ignore", module=r"(keras|tensorflow|jax|google)\b.*")


def import_keras(hidden=()):
    """Chooses the backend and imports it with Keras, and nothing else: no device is looked for.

    TensorFlow imports JAX where it finds it, a sixth of its own time, for a converter to TFLite
    (`experimental_from_jax`, which says then that it has none). Here it does not find it.

    Args:
        hidden: other modules that are not to be found meanwhile.

    Returns:
        The `keras` module.
    """
    backend = choose_backend()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _quieten()
    with _large_import([*hidden, *["jax"] * (backend == "tensorflow")]):
        import keras

        framework = importlib.import_module(backend)
    if backend == "tensorflow":
        framework.get_logger().setLevel("ERROR")
    return keras


def start():
    """Imports Keras and has its backend look for devices, without the start-up noise.

    Called again, it only hides the frameworks' notes again, which others may have brought back.

    Returns:
        The `keras` module.
    """
    keras = _with_devices()
    _quieten()
    return keras


@functools.cache
def _with_devices():
    with quiet_stderr():
        keras = import_keras()
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.list_physical_devices()
        elif keras.backend.backend() == "jax":
            import jax

            jax.devices()
    return keras


def accelerator():
    """The kind of device that Keras computes on: "cpu", "gpu" or "tpu"."""
    keras = start()
    if keras.backend.backend() == "jax":
        import jax

        return {"cuda": "gpu", "rocm": "gpu"}.get(jax.default_backend(), jax.default_backend())
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        for kind in ("TPU", "GPU"):
            if tf.config.list_physical_devices(kind):
                return kind.lower()
        return "cpu"
    return "gpu" if "cuda" in str(keras.distribution.list_devices()) else "cpu"


def jit_compile():
    """Whether to compile with XLA: what `compile(jit_compile=...)` takes.

    On for GPU and TPU and always on JAX. Off for TensorFlow on CPU, where XLA was measured 1.1 to
    2 times slower than without.
    """
    return start().backend.backend() != "tensorflow" or accelerator() != "cpu"


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
def full_precision():
    """Makes float32 matrix products exact to float32 while a check compares numbers.

    By default TPUs multiply float32 in bfloat16 and recent GPUs in TF32, which leaves three
    digits: too few to tell a right answer from a near one.
    """
    backend = start().backend.backend()
    if backend == "jax":
        import jax

        with jax.default_matmul_precision("highest"):
            yield
    elif backend == "tensorflow":
        import tensorflow as tf

        was = tf.config.experimental.tensor_float_32_execution_enabled()
        tf.config.experimental.enable_tensor_float_32_execution(False)
        try:
            yield
        finally:
            tf.config.experimental.enable_tensor_float_32_execution(was)
    else:
        yield


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


def seed_everything(seed, deterministic=False):
    """Seeds Python, NumPy and the backend.

    Args:
        seed: an integer.
        deterministic: whether TensorFlow has to add in one order, so that each run gives the same
            bits; for the rest of the process, and slower. JAX on CPU and TPU does so anyway.
    """
    keras = start()
    keras.utils.set_random_seed(seed)
    if deterministic and keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


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


def memory_gb():
    """Main memory of this machine in GB (1e9 bytes), or None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, OSError, ValueError):
        return None


def cores():
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def versions():
    """Versions of what a lesson stands on: {name: version}, absent packages left out."""
    from importlib import metadata

    found = {"python": platform.python_version()}
    for name in ("keras", "tensorflow", "jax", "numpy"):
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def hardware():
    """This machine in a line, for the record of a measurement: cores, processor, versions."""
    told = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"{cores()} cores of {processor()}; {choose_backend()} backend; {told}"


def processor():
    """The processor as the system names it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
