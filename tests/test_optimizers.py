"""AdamW: torch's numbers, whole gradients of embeddings, no decay on vectors, accumulation."""

import numpy as np
import pytest
from conftest import numbers

import course.training.optimizers
from course.checks.judges import error as parity_error

pytestmark = pytest.mark.backend


@pytest.fixture(scope="module")
def course(keras):
    from course.training import optimizers

    return optimizers


def small_model(keras):
    model = keras.Sequential([keras.layers.Dense(4, name="a"), keras.layers.LayerNormalization()])
    model.build((None, 3))
    return model


@pytest.mark.parity
def test_twenty_steps_are_torchs_with_schedule_clipping_and_exclusions(keras, course, rng, note):
    import torch

    from course.training import WarmupLinear

    model = small_model(keras)
    start = [rng.normal(size=w.shape).astype("float32") for w in model.trainable_variables]
    model.set_weights(start)
    schedule = WarmupLinear(0.05, 5, 25)
    optimizer = course.adamw(model, schedule, weight_decay=0.1, epsilon=1e-8)
    theirs = [torch.nn.Parameter(torch.from_numpy(w.copy())) for w in start]
    groups = [
        {"params": [p for p in theirs if p.ndim > 1], "weight_decay": 0.1},
        {"params": [p for p in theirs if p.ndim < 2], "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups, lr=1.0, eps=1e-8)
    for step in range(20):
        gradients = [3 ** rng.normal() * rng.normal(size=w.shape).astype("float32") for w in start]
        gradients = [g.astype("float32") for g in gradients]
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], model.weights)
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = torch.from_numpy(gradient.copy())
        torch.nn.utils.clip_grad_norm_(theirs, 1.0)
        for group in reference.param_groups:
            group["lr"] = float(schedule(step))
        reference.step()
    worst = max(
        parity_error(numbers(w), p.detach()) for w, p in zip(model.weights, theirs, strict=True)
    )
    note(f"parity error with torch's AdamW after 20 steps: {worst:.1e}")
    assert worst < 1e-5


def test_only_matrices_decay(keras, course):
    model = small_model(keras)
    for weight in model.weights:
        weight.assign(np.ones(weight.shape))
    optimizer = course.adamw(model, 0.5, weight_decay=0.1)
    optimizer.apply([keras.ops.zeros(w.shape) for w in model.weights], model.weights)
    left = {w.name: float(numbers(w).ravel()[0]) for w in model.weights}
    assert left == {"kernel": pytest.approx(0.95), "bias": 1.0, "gamma": 1.0, "beta": 1.0}


@pytest.mark.needs_tf
def test_a_row_that_was_used_twice_has_one_gradient(keras, course, backend):
    if backend != "tensorflow":
        pytest.skip("gradients in pieces are TensorFlow's")
    import tensorflow as tf

    def second_moment(kind):
        table = keras.Variable(np.zeros((3, 1), "float32"))
        optimizer = kind(0.1, beta_2=0.999)
        optimizer.build([table])
        pieces = tf.IndexedSlices(tf.constant([[1.0], [1.0]]), tf.constant([1, 1]), [3, 1])
        optimizer.apply([pieces], [table])
        return numbers(optimizer.variables[-1]).ravel()

    np.testing.assert_allclose(second_moment(course.AdamW), [0, 0.004, 0], rtol=1e-4)


@pytest.mark.needs_tf
@pytest.mark.parametrize("strategy", [False, True])
def test_one_kernel_computes_what_many_operations_do(
    keras, course, backend, rng, strategy, monkeypatch
):
    if backend != "tensorflow":
        pytest.skip("the kernel is TensorFlow's")
    import contextlib

    import tensorflow as tf

    from course.kernels import optimizer as kernels

    start, gradients = rng.normal(size=(5, 3)), rng.normal(size=(6, 5, 3))

    def trained(replicas=None):
        with replicas.scope() if replicas else contextlib.nullcontext():
            table = keras.Variable(start.astype("float32"))
            optimizer = course.AdamW(0.03, beta_2=0.98, epsilon=1e-3, weight_decay=0.1)
            optimizer.build([table])
            for gradient in gradients.astype("float32"):
                step = (lambda g: optimizer.apply([g], [table])), (tf.constant(gradient),)
                replicas.run(*step) if replicas else step[0](*step[1])
        return [numbers(value) for value in (table, *optimizer.variables[-2:])]

    calls, kernel = [], tf.raw_ops.ResourceApplyAdam
    monkeypatch.setattr(tf.raw_ops, "ResourceApplyAdam", lambda **a: calls.append(kernel(**a)))
    ours = trained(tf.distribute.MirroredStrategy(["CPU:0"]) if strategy else None)
    assert len(calls) == (0 if strategy else 6)
    monkeypatch.setattr(kernels, "_has_kernel", lambda gradient: False)
    for one, many in zip(ours, trained(), strict=True):
        np.testing.assert_allclose(one, many, rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("mixed", [None, "mixed_float16"])
def test_two_halves_accumulated_are_one_batch(keras, course, mixed):
    rng = np.random.default_rng(0)
    ids, labels = rng.integers(0, 9, (8, 3)), rng.integers(0, 2, 8)

    def trained(accumulate):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.layers.Embedding(9, 4, dtype=mixed),
                keras.layers.Flatten(),
                keras.layers.Dense(2, dtype="float32"),
            ]
        )
        model.build((None, 3))
        optimizer = course.adamw(model, 0.01, weight_decay=0.1, accumulate=accumulate)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss, jit_compile=False)
        model.fit(ids, labels, batch_size=8 // accumulate, epochs=5, shuffle=False, verbose=0)
        return model.get_weights()

    for whole, halves in zip(trained(1), trained(2), strict=True):
        np.testing.assert_allclose(halves, whole, atol=1e-5 if mixed is None else 2e-3)


def test_it_survives_its_config(keras, course):
    optimizer = course.adamw(small_model(keras), 0.1, accumulate=3)
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(copy) is course.AdamW and copy.get_config() == optimizer.get_config()
