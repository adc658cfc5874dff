"""What every layer of the course has to keep, checked in one place.

A layer's case says how to make it and what it is called with; `check(case, …)` builds it, looks at
shapes, takes it through its config and a `.keras` file, trains it one step, computes in half
precision, and follows the mask. `tests/test_layer_contract.py` holds the cases; a layer of the
course that has none fails there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from conftest import numbers


@dataclass(frozen=True)
class Case:
    """A layer and a call of it.

    Args:
        make: makes the layer from `dtype` and `name`, nothing else left to chance.
        inputs: positional arguments of the call, NumPy arrays; integers are ids.
        outputs: shapes of what it returns, in the order of `keras.tree.flatten`.
        keywords: keyword arguments of the call.
        weights: number of weights.
        trains: whether it has weights that a gradient reaches.
        unused: parts of paths of weights that this call does not use.
        random: whether a call in training draws random numbers.
        carries_mask: whether the mask of the first input comes out again.
        half: dtype policies it has to compute in.
    """

    make: Callable
    inputs: tuple
    outputs: tuple
    keywords: dict = field(default_factory=dict)
    weights: int = 0
    trains: bool = True
    unused: tuple[str, ...] = ()
    random: bool = False
    carries_mask: bool = False
    half: tuple[str, ...] = ("mixed_float16", "mixed_bfloat16", "bfloat16")


def made(case, rng, dtype="float32", name="layer"):
    """The layer, called once, with random numbers in every weight: zeros would hide a slip."""
    layer = case.make(dtype=dtype, name=name)
    layer(*case.inputs, **case.keywords)
    for weight in layer.weights:
        if "seed" in weight.path:
            continue
        value = rng.normal(size=weight.shape) / 3 + ("gamma" in weight.path)
        weight.assign(value.astype("float32"))
    return layer


def call(layer, case, **more):
    """What the layer returns, as a list of tensors."""
    import keras

    return keras.tree.flatten(layer(*case.inputs, **case.keywords, **more))


def check_build_and_shapes(case, rng):
    layer = case.make(dtype="float32", name="layer")
    outputs = call(layer, case)
    assert layer.built
    assert [tuple(output.shape) for output in outputs] == list(case.outputs)
    variables = [weight for weight in layer.weights if "seed" not in weight.path]
    assert len(variables) == case.weights
    paths = [weight.path for weight in layer.weights]
    assert len(set(paths)) == len(paths), "two weights have one path"
    assert all(np.isfinite(numbers(output)).all() for output in outputs)


def check_symbolic_shapes(case):
    """In a functional model the shapes are those of the call."""
    import keras

    def symbolic(x):
        return keras.KerasTensor(x.shape, dtype=str(x.dtype))

    layer = case.make(dtype="float32", name="layer")
    inputs = keras.tree.map_structure(symbolic, case.inputs)
    outputs = keras.tree.flatten(layer(*inputs, **case.keywords))
    assert [tuple(output.shape) for output in outputs] == list(case.outputs)


def check_config(case, rng):
    import keras

    layer = made(case, rng)
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert again.get_config() == config
    again(*case.inputs, **case.keywords)
    again.set_weights(layer.get_weights())
    for ours, theirs in zip(call(layer, case), call(again, case), strict=True):
        assert (numbers(ours) == numbers(theirs)).all()
    registered = keras.saving.get_registered_name(type(layer))
    assert registered.startswith("course>"), f"{type(layer).__name__} is not registered"
    assert config["name"] == "layer"


def check_saving(case, rng, folder):
    """The layer inside a model, to a `.keras` file and back, in whatever process loads it."""
    import keras

    @keras.saving.register_keras_serializable("layer_contract")
    class Holder(keras.Model):
        def __init__(self, layer, **kwargs):
            super().__init__(**kwargs)
            self.layer = layer
            self.built = True

        def call(self, *inputs, **keywords):
            return self.layer(*inputs, **keywords)

        def get_config(self):
            return {"layer": keras.saving.serialize_keras_object(self.layer)}

        @classmethod
        def from_config(cls, config):
            return cls(keras.saving.deserialize_keras_object(config["layer"]))

        def get_build_config(self):
            return None

        def build_from_config(self, config):
            self.layer(*case.inputs, **case.keywords)

    model = Holder(made(case, rng))
    model.save(folder / "model.keras")
    loaded = keras.models.load_model(folder / "model.keras")
    loaded.layer(*case.inputs, **case.keywords)
    loaded.load_weights(folder / "model.keras")
    assert type(loaded.layer) is type(model.layer)
    for ours, theirs in zip(call(model.layer, case), call(loaded.layer, case), strict=True):
        np.testing.assert_allclose(numbers(ours), numbers(theirs), rtol=1e-6, atol=1e-6)


def check_training_step(case, rng, backend):
    """A gradient reaches each trainable weight, and a small step along it lowers the loss."""
    from keras import ops

    layer = made(case, rng)
    aims = [rng.normal(size=shape).astype("float32") for shape in case.outputs]

    def loss():
        outputs = call(layer, case)
        return sum(
            ops.mean(ops.square(ops.cast(output, "float32") - aim))
            for output, aim in zip(outputs, aims, strict=True)
        )

    before = float(numbers(loss()))
    slopes = gradients(layer, loss, backend)
    for weight, slope in zip(layer.trainable_variables, slopes, strict=True):
        if any(part in weight.path for part in case.unused):
            continue
        assert slope is not None and np.isfinite(slope).all(), weight.path
        assert np.abs(slope).max() > 0, f"no gradient reaches {weight.path}"
    norm = sum(float((slope**2).sum()) for slope in slopes if slope is not None)
    assert (norm > 0) == case.trains
    if not case.trains:
        return
    rate = 1e-3 * before / norm
    for weight, slope in zip(layer.trainable_variables, slopes, strict=True):
        if slope is not None:
            weight.assign(numbers(weight) - rate * slope)
    assert float(numbers(loss())) < before


def gradients(layer, loss, backend):
    """The gradient of `loss()` at each trainable weight; None where there is none."""
    if backend == "jax":
        import jax
        import keras

        def at(values):
            mapping = list(zip(layer.trainable_variables, values, strict=True))
            with keras.StatelessScope(state_mapping=mapping):
                return loss()

        slopes = jax.grad(at)([variable.value for variable in layer.trainable_variables])
        return [np.asarray(slope) for slope in slopes]
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = loss()
    slopes = tape.gradient(value, [variable.value for variable in layer.trainable_variables])
    return [None if slope is None else tf.convert_to_tensor(slope).numpy() for slope in slopes]


def check_precision(case, rng):
    """Half precision gives what full precision gives, in its own dtype, to two digits."""
    import keras

    full = made(case, rng)
    expected = [numbers(output) for output in call(full, case)]
    for policy in case.half:
        half = case.make(dtype=policy, name="layer")
        half(*case.inputs, **case.keywords)
        half.set_weights(full.get_weights())
        compute = keras.dtype_policies.get(policy).compute_dtype
        for output, reference in zip(call(half, case), expected, strict=True):
            assert keras.backend.standardize_dtype(output.dtype) == compute, policy
            found = numbers(keras.ops.cast(output, "float32"))
            scale = max(np.abs(reference).max(), 1e-6)
            assert np.abs(found - reference).max() < 0.1 * scale, policy
        kept = "float32" if policy.startswith("mixed") else policy
        assert {w.dtype for w in half.trainable_variables} <= {kept}


def check_randomness(case, rng):
    """Twice the same outside of training; inside, dropout acts if there is any."""
    layer = made(case, rng)
    still = [numbers(output) for output in call(layer, case)]
    for output, again in zip(still, call(layer, case), strict=True):
        assert (output == numbers(again)).all()
    if case.random:
        trained = [numbers(output) for output in call(layer, case, training=True)]
        again = [numbers(output) for output in call(layer, case, training=True)]
        assert any((a != b).any() for a, b in zip(trained, again, strict=True))
        for output, reference in zip(call(layer, case, training=False), still, strict=True):
            assert (numbers(output) == reference).all()


def check_mask(case):
    """The mask that an embedding makes goes on to what follows."""
    if not case.carries_mask:
        pytest.skip("its output has no place for each token of its input")
    import keras

    ids = np.array([[3, 1, 0], [2, 0, 0]])
    width = case.inputs[0].shape[-1]
    x = keras.layers.Embedding(5, width, mask_zero=True)(ids)
    layer = case.make(dtype="float32", name="layer")
    output = keras.tree.flatten(layer(x, **case.keywords))[0]
    mask = keras.src.backend.get_keras_mask(output)
    assert mask is not None and (numbers(mask) == (ids != 0)).all()
