"""Chooses TensorFlow or JAX, starts it quietly, seeds it.

Importing this module imports no framework; each function imports what it needs.
"""

import functools
import importlib
import importlib.util
import os
import sys

from course.runtime.workarounds import hide_notes, large_import, quiet_stderr

DISTRIBUTION = "keras-transformer-course"


def installed(name):
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


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
    hide_notes()
    with large_import([*hidden, *["jax"] * (backend == "tensorflow")]):
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
    hide_notes()
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
