"""One compiled graph for each model and its settings, on TensorFlow and on JAX."""

import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from course import runtime
from course.decoding.batch import may_shrink
from course.decoding.config import GenerationConfig
from course.runtime.types import Tensor

# A graph whose batch can shrink takes a third longer to make: it has to pay for a batch this large.
MANY = 16
_graphs = weakref.WeakKeyDictionary()  # {model: {(function, settings, shapes): compiled}}


def run_compiled(
    function: Callable, model: Any, inputs: Any, draws: Tensor | None, config: GenerationConfig
) -> Any:
    """Runs a search: compiled, once for each model and config, unless in a graph already.

    Args:
        function: `generate` or `beam_search` of `course.decoding.search`.
        model: what `course.decoding` takes.
        inputs: source ids or prompts, NumPy arrays or tensors, or a nest of them.
        draws: float array `(batch, max_length)`, or None.
        config: a `GenerationConfig`.

    Returns:
        What `function` returns.
    """
    inputs, draws = tensors(inputs), tensors(draws)
    if inside_a_graph(inputs):
        return _as_written(function)(model, inputs, draws, config)
    shrinks = len(keras.tree.flatten(inputs)[0]) >= MANY and may_shrink(model)
    settings = (config, _read_at_once(inputs, config), shrinks)
    arrays = [inputs] if draws is None else [inputs, draws]
    graphs = _graphs.setdefault(model, {})
    key = (function, settings, tuple(len(x.shape) for x in keras.tree.flatten(arrays)))
    if key not in graphs:
        model = weakref.ref(model)  # so that the graphs do not keep it alive
        graphs[key] = _compile(
            lambda inputs, draws=None: function(model(), inputs, draws, *settings), model, arrays
        )
    return graphs[key](*arrays)


def _as_written(function):
    """Out of AutoGraph's reach, which would rewrite every function of the model, in a minute."""
    if keras.backend.backend() == "jax":
        return function
    import tensorflow as tf

    return tf.autograph.experimental.do_not_convert(function)


def _compile(function, model, arrays):
    if keras.backend.backend() == "jax":
        import jax

        def with_weights(values, *arrays):  # else they would be constants of the graph
            pairs = zip(getattr(model(), "variables", ()), values, strict=True)
            with keras.StatelessScope(state_mapping=list(pairs)):
                return function(*arrays)

        compiled = jax.jit(with_weights)
        return lambda *arrays: compiled(
            [weight.value for weight in getattr(model(), "variables", ())], *arrays
        )
    import tensorflow as tf

    def any_size(x):
        return tf.TensorSpec([None] * len(x.shape), x.dtype)

    signature = keras.tree.map_structure(any_size, arrays)
    return tf.function(
        function,
        input_signature=signature,
        autograph=False,
        jit_compile=runtime.jit_compile(),
    )


def compiled(function: Callable, model: keras.Model) -> Callable:
    """A function of tensors that calls a model, as a graph for each shape of its arguments.

    Args:
        function: takes and returns nests of tensors. Let it hold the model by a weak reference.
        model: a `keras.Model`, whose weights are looked up at each call.
    """
    if keras.backend.backend() == "jax":
        return _compile(function, weakref.ref(model), None)
    import tensorflow as tf

    return tf.function(function, autograph=False, jit_compile=runtime.jit_compile())


def tensors(inputs: Any) -> Any:
    """The inputs as tensors of the backend: lists and NumPy integers become int32."""
    if isinstance(inputs, np.ndarray | list):
        inputs = np.asarray(inputs)
        return ops.convert_to_tensor(inputs, "int32" if inputs.dtype.kind in "iu" else None)
    return None if inputs is None else keras.tree.map_structure(ops.convert_to_tensor, inputs)


def inside_a_graph(inputs: Any) -> bool:
    """Whether the caller is being traced, so that what runs here is a part of its graph."""
    if keras.backend.backend() == "jax":
        import jax

        return any(isinstance(x, jax.core.Tracer) for x in keras.tree.flatten(inputs))
    import tensorflow as tf

    return not tf.executing_eagerly()


def _read_at_once(inputs, config):
    """How many ids all prompts have, rounded down to a power of two: a graph is made for each."""
    if config.start_id is not None:
        return 1
    prompts = ops.convert_to_numpy(inputs)
    place = np.arange(1, prompts.shape[1] + 1)
    real = np.where(prompts != config.pad_id, place, 1).max(axis=1)
    return 1 << (int(real.min()).bit_length() - 1)
