"""The machine: what Keras computes on, how precisely, with how many cores and how much memory."""

import contextlib
import os
import platform
from pathlib import Path

from course.runtime.backend import choose_backend, installed, start


def on_colab():
    """True inside a Colab runtime."""
    return "COLAB_RELEASE_TAG" in os.environ or installed("google.colab")


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
