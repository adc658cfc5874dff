"""Fast twins against their plain forms: values and gradients, in every precision."""

import numpy as np
import pytest
from conftest import numbers

pytestmark = pytest.mark.backend


@pytest.fixture(scope="module")
def kernels(keras):
    from course import kernels

    return kernels


def with_gradients(function, arrays, upstream, backend):
    """What `function` returns, and the gradient of Σ upstream · result at each of `arrays`."""
    from keras import ops

    def total(*arrays):
        return ops.sum(ops.cast(function(*arrays), "float32") * upstream)

    if backend == "jax":
        import jax

        slopes = jax.grad(total, tuple(range(len(arrays))))(*arrays)
        return [numbers(function(*arrays)), *(numbers(slope) for slope in slopes)]
    import tensorflow as tf

    arrays = [tf.convert_to_tensor(array) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(arrays)
        value = total(*arrays)
    return [numbers(function(*arrays)), *map(numbers, tape.gradient(value, arrays))]


def assert_twins(fast, plain, arrays, upstream, backend, tolerance=2e-6):
    pairs = zip(
        with_gradients(fast, arrays, upstream, backend),
        with_gradients(plain, arrays, upstream, backend),
        strict=True,
    )
    for ours, theirs in pairs:
        assert ours.shape == theirs.shape and ours.dtype == theirs.dtype
        assert np.abs(ours - theirs).max() <= tolerance * max(np.abs(theirs).max(), 1e-30)


def drawn(rng, *shape):
    return rng.normal(size=shape).astype("float32")


# Layer normalization


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 16)])
def test_layer_norm_and_its_gradients_are_the_plain_ones(kernels, rng, backend, shape):
    arrays = [3 * drawn(rng, *shape) + 1, drawn(rng, shape[-1]), drawn(rng, shape[-1])]
    fast, plain = (
        lambda *arrays, f=f: f(*arrays, 1e-5)
        for f in (kernels.layer_norm, kernels.plain_layer_norm)
    )
    assert_twins(fast, plain, arrays, drawn(rng, *shape), backend, 1e-5)


def test_each_term_of_the_gradient_of_layer_norm_counts(kernels, rng, backend):
    """Against differences in float64, with an upstream gradient that leaves no term at 0."""
    x, scale, shift = drawn(rng, 2, 5), 1 + drawn(rng, 5), drawn(rng, 5)
    upstream, epsilon, small = 1 + drawn(rng, 2, 5), 0.1, 1e-6

    def total(x):
        centred = x - x.mean(-1, keepdims=True)
        normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
        return ((normal * scale + shift) * upstream).sum()

    at, expected = x.astype("float64"), np.zeros((2, 5))
    for place in np.ndindex(2, 5):
        step = np.zeros((2, 5))
        step[place] = small
        expected[place] = (total(at + step) - total(at - step)) / (2 * small)

    def norm(*arrays):
        return kernels.layer_norm(*arrays, epsilon)

    _, slope, for_scale, for_shift = with_gradients(norm, [x, scale, shift], upstream, backend)
    np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-5)
    centred = at - at.mean(-1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + epsilon)
    np.testing.assert_allclose(for_scale, (upstream * normal).sum(0), rtol=1e-4)
    np.testing.assert_allclose(for_shift, upstream.sum(0), rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_layer_norm_in_half_precision_computes_in_full(kernels, keras, rng, dtype):
    """Squares of 300 overflow float16, and the mean of 4,096 of them has no digits in bfloat16."""
    x = keras.ops.cast(300 + 30 * drawn(rng, 3, 4096), dtype)
    at = numbers(keras.ops.cast(x, "float32")).astype("float64")
    scale, shift = np.ones(4096, "float32"), np.zeros(4096, "float32")
    expected = (at - at.mean(-1, keepdims=True)) / at.std(-1, keepdims=True)
    for norm in (kernels.layer_norm, kernels.plain_layer_norm):
        found = norm(x, scale, shift, 1e-5)
        assert keras.backend.standardize_dtype(found.dtype) == dtype
        assert np.abs(numbers(keras.ops.cast(found, "float32")) - expected).max() < 0.02


# GELU


def test_gelu_and_its_gradient_are_the_plain_ones(kernels, rng, backend):
    x = np.linspace(-12, 12, 193).astype("float32")
    assert_twins(kernels.gelu, kernels.plain_gelu, [x], drawn(rng, 193), backend, 1e-5)


# Cross-entropy


@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize(("rows", "parts"), [(1, 8), (8, 8), (13, 8), (13, 1)])
def test_cross_entropy_in_parts_is_the_plain_one(kernels, rng, backend, rows, parts, biased):
    labels = rng.integers(0, 11, rows).astype("int32")
    arrays = [drawn(rng, rows, 6), 3 * drawn(rng, 11, 6)] + ([drawn(rng, 11)] if biased else [])

    def in_parts(vectors, *weights):
        return kernels.summed_cross_entropy(vectors, labels, *weights, parts=parts)

    def plain(vectors, *weights):
        return kernels.plain_summed_cross_entropy(vectors, labels, *weights)

    assert_twins(in_parts, plain, arrays, 0.7, backend, 1e-5)


def test_cross_entropy_in_parts_is_exact_where_the_label_is_almost_certain(kernels):
    vectors, table = np.array([[1.0]], "float32"), np.array([[0.0], [20.0]], "float32")
    loss = numbers(kernels.summed_cross_entropy(vectors, np.array([1], "int32"), table))
    assert float(loss) == pytest.approx(np.log1p(np.exp(-20.0)), abs=1e-6)


# AdamW


def test_an_update_of_adamw_is_that_of_its_algorithm(kernels, keras, rng):
    """Loshchilov & Hutter's algorithm 2 in float64, six updates; in place, and as plain values."""
    weight, m, v = rng.normal(size=(4, 3)), np.zeros((4, 3)), np.zeros((4, 3))
    in_place = [keras.Variable(each.astype("float32")) for each in (weight, m, v)]
    plain = [each.astype("float32") for each in (weight, m, v)]
    betas, rate, decay, epsilon = (0.9, 0.98), 0.03, 0.2, 1e-3
    settings = {"beta_1": betas[0], "beta_2": betas[1], "epsilon": epsilon}
    for step in range(1, 7):
        gradient = rng.normal(size=(4, 3))
        m = betas[0] * m + (1 - betas[0]) * gradient
        v = betas[1] * v + (1 - betas[1]) * gradient**2
        m_hat, v_hat = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
        weight = weight - rate * decay * weight - rate * m_hat / (np.sqrt(v_hat) + epsilon)
        given = keras.ops.convert_to_tensor(gradient.astype("float32"))
        count, learning_rate = (
            keras.ops.convert_to_tensor(np.float32(number)) for number in (step, rate)
        )
        current, *moments = in_place
        kernels.adamw_update(current, given, *moments, count, learning_rate, decay, **settings)
        current, *moments = plain
        plain = kernels.plain_adamw_update(
            current, given, *moments, count, learning_rate, decay, **settings
        )
        for ours in (in_place, plain):
            for value, expected in zip(ours, (weight, m, v), strict=True):
                np.testing.assert_allclose(numbers(value), expected, rtol=2e-5, atol=1e-7)


# Top k


@pytest.mark.grid
@pytest.mark.parametrize("size", [3, 16, 97, 1000, 8000])
@pytest.mark.parametrize("k", [1, 2, 8])
def test_the_largest_are_found_in_their_blocks(kernels, rng, size, k):
    k = min(k, size)
    x = rng.permutation(9 * size).reshape(9, size).astype("float32")
    x[0, : size // 2] = -np.inf
    for top_k in (kernels.top_k, kernels.plain_top_k):
        values, at = map(numbers, top_k(x, k))
        assert (at == np.argsort(-x, axis=1, kind="stable")[:, :k]).all()
        assert (values == np.take_along_axis(x, at, 1)).all()


def test_of_equal_numbers_the_first_come_first(kernels):
    values, at = map(numbers, kernels.top_k(np.ones((2, 1000), "float32"), 4))
    assert (values == 1).all() and (at == np.arange(4)).all()


# Dropout


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_dropout_drops_its_share_and_each_number_by_itself(kernels, keras, dtype):
    keras.utils.set_random_seed(0)
    x = np.ones((301, 17, 9), "float32")  # an odd number of numbers
    layer = kernels.Dropout(0.3, dtype=dtype)
    assert (numbers(layer(x, training=False)) == 1).all()
    drawn, again = (numbers(layer(x, training=True)).astype("float32") for _ in range(2))
    assert drawn.shape == x.shape and np.unique(drawn) == pytest.approx([0, 1 / 0.7], rel=1e-3)
    kept, kept_again = drawn.ravel() > 0, again.ravel() > 0
    for one, other, expected in (
        (kept, kept, 0.7),
        (kept, kept_again, 0.49),  # another draw at each call
        (kept[:-1:2], kept[1::2], 0.49),  # the two that one draw decides about
        (kept[:-2], kept[2:], 0.49),
    ):
        spread = (expected * (1 - expected) / one.size) ** 0.5
        assert abs((one & other).mean() - expected) < 5 * spread
