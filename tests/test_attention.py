"""Attention: worked numbers, float64 by hand, Keras and torch with copied weights, and its edges.

Parity error is max|Δ| / max|reference|. A query that may attend to nothing is left out of the
comparisons with libraries, which answer NaN or an equal mean; here it is exactly 0.
"""

import os

import numpy as np
import pytest
from conftest import numbers

from course import runtime
from course.checks.judges import error as parity_error

pytestmark = pytest.mark.backend

TIGHT = 1e-5


@pytest.fixture(scope="module")
def attention(keras):
    from course import attention

    return attention


def attend_by_hand(query, key, value, mask=None):
    """Equation 1 in float64 and in loops: one query, one head, one sentence at a time."""
    *front, length, d_k = query.shape
    if mask is not None:
        mask = np.broadcast_to(mask, (*front, length, key.shape[-2]))
    weights = np.zeros((*front, length, key.shape[-2]))
    output = np.zeros((*front, length, value.shape[-1]))
    for at in np.ndindex(*front, length):
        where = at[:-1]
        scores = [float(np.dot(query[at].astype("float64"), k)) / d_k**0.5 for k in key[where]]
        seen = [j for j in range(len(scores)) if mask is None or mask[at][j]]
        if not seen:
            continue
        top = max(scores[j] for j in seen)
        total = sum(np.exp(scores[j] - top) for j in seen)
        for j in seen:
            weights[at][j] = np.exp(scores[j] - top) / total
            output[at] += weights[at][j] * value[where][j]
    return output, weights


def draw(rng, *, batch=(2, 3), queries=5, keys=7, d_k=8, d_v=6):
    shapes = (queries, d_k), (keys, d_k), (keys, d_v)
    return [rng.normal(size=(*batch, *shape)).astype("float32") for shape in shapes]


def some_mask(rng, *shape):
    """A random boolean mask in which each query may attend to something."""
    mask = rng.random(shape) < 0.6
    mask[..., 0] |= ~mask.any(-1)
    return mask


# Masks


def test_causal_mask_lets_each_position_see_itself_and_what_came_before(attention):
    expected = [[True, False, False], [True, True, False], [True, True, True]]
    assert numbers(attention.causal_mask(3)).tolist() == expected
    assert numbers(attention.causal_mask(1)).tolist() == [[True]]


def test_padding_mask_is_true_where_a_token_is_real(attention):
    ids = np.array([[5, 3, 0], [7, 0, 0]])
    assert numbers(attention.padding_mask(ids)).tolist() == [
        [True, True, False],
        [True] + [False] * 2,
    ]
    assert numbers(attention.padding_mask(ids, pad_id=7)).tolist() == [
        [True] * 3,
        [False, True, True],
    ]


# One attention


def test_the_example_of_the_lesson_gives_32(attention):
    query = np.array([[1.0, 0.0]], "float32")
    key = np.array([[1, 0], [0, 1], [1, 1]], "float32")
    value = np.array([[10], [20], [60]], "float32")
    output, weights = attention.scaled_dot_product_attention(query, key, value, return_weights=True)
    assert numbers(weights)[0] == pytest.approx([0.40, 0.20, 0.40], abs=0.005)
    assert float(numbers(output)[0, 0]) == pytest.approx(32.03, abs=0.005)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("batch", [(), (1,), (2, 3)])
def test_it_equals_float64_by_hand(attention, rng, masked, batch):
    query, key, value = draw(rng, batch=batch)
    mask = some_mask(rng, *batch, 5, 7) if masked else None
    ours = attention.scaled_dot_product_attention(query, key, value, mask, return_weights=True)
    for mine, reference in zip(ours, attend_by_hand(query, key, value, mask), strict=True):
        assert parity_error(numbers(mine), reference) < TIGHT


def test_a_mask_broadcasts_over_the_batch(attention, rng):
    query, key, value = draw(rng, queries=4, keys=4)
    mask = numbers(attention.causal_mask(4))
    ours = attention.scaled_dot_product_attention(query, key, value, mask)
    assert parity_error(numbers(ours), attend_by_hand(query, key, value, mask)[0]) < TIGHT


def test_a_fully_masked_query_gets_exactly_nothing_and_finite_gradients(attention, rng, backend):
    query, key, value = draw(rng, batch=(1,), queries=3, keys=3)
    mask = np.array([[True, False, False], [False] * 3, [True, True, False]])
    output, weights = attention.scaled_dot_product_attention(
        query, key, value, mask, return_weights=True
    )
    assert not numbers(output)[0, 1].any() and not numbers(weights)[0, 1].any()
    assert numbers(output)[0, 0] == pytest.approx(value[0, 0])

    def total(q):
        import keras

        return keras.ops.sum(attention.scaled_dot_product_attention(q, key, value, mask))

    gradient = gradient_of(total, query, backend)
    assert np.isfinite(gradient).all()
    assert not gradient[0, 1].any() and gradient[0, 2].any()


def gradient_of(function, at, backend):
    if backend == "jax":
        import jax

        return np.asarray(jax.grad(function)(at))
    import tensorflow as tf

    at = tf.convert_to_tensor(at)
    with tf.GradientTape() as tape:
        tape.watch(at)
        result = function(at)
    return tape.gradient(result, at).numpy()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_stays_half_and_finite(attention, keras, rng, dtype):
    arrays = draw(rng, queries=64, keys=64, d_k=64)
    query, key, value = (keras.ops.cast(30 * array, dtype) for array in arrays)
    mask = numbers(attention.causal_mask(64))
    output, weights = attention.scaled_dot_product_attention(
        query, key, value, mask, return_weights=True
    )
    assert keras.backend.standardize_dtype(output.dtype) == dtype
    assert keras.backend.standardize_dtype(weights.dtype) == dtype
    sums = numbers(keras.ops.sum(keras.ops.cast(weights, "float32"), axis=-1))
    assert np.isfinite(numbers(keras.ops.cast(output, "float32"))).all()
    assert sums == pytest.approx(np.ones_like(sums), abs=0.02)


HALF = {"float16": 2.0**-11, "bfloat16": 2.0**-8}  # the largest error of one rounding


@pytest.mark.parametrize("dtype", HALF)
def test_the_softmax_of_half_precision_is_rounded_once(attention, keras, rng, dtype):
    """4,096 near-equal keys: summed in half precision, the total would stop growing half way."""
    scores = keras.ops.cast(rng.normal(size=(3, 4096)).astype("float32") / 4, dtype)
    exact = numbers(keras.ops.cast(scores, "float32")).astype("float64")
    expected = np.exp(exact) / np.exp(exact).sum(-1, keepdims=True)
    seen = np.arange(4096) < np.array([[4096], [4096], [2048]])
    masked = np.where(seen, np.exp(exact), 0)
    masked /= masked.sum(-1, keepdims=True)
    for mask, reference in ((None, expected), (seen, masked)):
        weights = attention.masked_softmax(scores, mask)
        assert keras.backend.standardize_dtype(weights.dtype) == dtype
        weights = numbers(keras.ops.cast(weights, "float32"))
        error = np.abs(weights - reference) / np.where(reference > 0, reference, 1)
        assert error.max() < 1.02 * HALF[dtype]


@pytest.mark.parametrize("dtype", HALF)
def test_a_bias_of_half_precision_scores_keeps_its_digits(attention, keras, dtype):
    scores = keras.ops.zeros((1, 512), dtype)
    bias = 200 + np.arange(512, dtype="float32")[None] / 300  # 200 apart by less than half has
    weights = numbers(keras.ops.cast(attention.masked_softmax(scores, None, bias), "float32"))
    exact = np.exp(bias.astype("float64") - 200)
    expected = exact / exact.sum()
    assert (np.abs(weights - expected) / expected).max() < 1.02 * HALF[dtype]


def test_what_does_not_fit_is_told_by_name(attention, rng):
    query, key, value = draw(rng)
    with pytest.raises(ValueError, match="d_k = 8 and key has d_k = 4"):
        attention.scaled_dot_product_attention(query, key[..., :4], value)
    with pytest.raises(ValueError, match="length 7 and value has length 6"):
        attention.scaled_dot_product_attention(query, key, value[..., :6, :])
    with pytest.raises(TypeError, match="expected bool with True = may attend"):
        attention.scaled_dot_product_attention(query, key, value, np.ones((5, 7), "float32"))
    with pytest.raises(ValueError, match="num_heads = 3 does not divide d_model = 8"):
        attention.MultiHeadAttention(3, 8)


# Several heads


def multi_head_by_hand(layer, query, key, value, mask=None):
    """The paper's section 3.2.2 in float64, head by head: projections, attention, concatenation."""
    kernels = [
        [numbers(w).astype("float64") for w in (dense.kernel, dense.bias)]
        for dense in (layer.query_dense, layer.key_dense, layer.value_dense, layer.output_dense)
    ]
    q, k, v = (x @ w + b for x, (w, b) in zip((query, key, value), kernels[:3], strict=True))
    d = layer.d_model // layer.num_heads
    heads = [
        attend_by_hand(q[..., i : i + d], k[..., i : i + d], v[..., i : i + d], mask)[0]
        for i in range(0, layer.d_model, d)
    ]
    w, b = kernels[3]
    return np.concatenate(heads, -1) @ w + b


@pytest.fixture
def words(rng):
    return [rng.normal(size=(2, length, 12)).astype("float32") for length in (5, 7, 7)]


def with_biases(layer, rng, *words):
    """The layer, built, with random numbers in the biases too: zeros would hide a slip."""
    layer(*words)
    layer.set_weights([rng.normal(size=w.shape).astype("float32") / 3 for w in layer.weights])
    return layer


@pytest.mark.parametrize("cross", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_many_heads_equal_float64_by_hand(attention, rng, words, cross, masked):
    query, key, value = words if cross else [words[1]] * 3
    layer = with_biases(attention.MultiHeadAttention(3, 12), rng, query, key, value)
    mask = some_mask(rng, 2, query.shape[1], 7) if masked else None
    ours = layer(query, key, value, attention_mask=mask)
    reference = multi_head_by_hand(layer, query, key, value, mask)
    assert parity_error(numbers(ours), reference) < TIGHT


@pytest.mark.parametrize("masked", [False, True])
def test_many_heads_equal_keras_own_layer_with_copied_weights(attention, keras, rng, words, masked):
    theirs = keras.layers.MultiHeadAttention(num_heads=3, key_dim=4)
    ours = with_biases(attention.MultiHeadAttention(3, 12), rng, *words)
    query, key, value = words
    theirs(query, value, key=key)
    dense = (ours.query_dense, ours.key_dense, ours.value_dense)
    copied = []
    for each in dense:
        copied += [numbers(each.kernel).reshape(12, 3, 4), numbers(each.bias).reshape(3, 4)]
    kernel, bias = numbers(ours.output_dense.kernel), numbers(ours.output_dense.bias)
    theirs.set_weights([*copied, kernel.reshape(3, 4, 12), bias])
    mask = some_mask(rng, 2, 5, 7) if masked else None
    expected, expected_weights = theirs(
        query, value, key=key, attention_mask=mask, return_attention_scores=True
    )
    output, weights = ours(query, key, value, attention_mask=mask, return_weights=True)
    assert parity_error(numbers(output), numbers(expected)) < TIGHT
    assert parity_error(numbers(weights), numbers(expected_weights)) < TIGHT


@pytest.mark.parity
@pytest.mark.parametrize("masked", [False, True])
def test_one_attention_equals_torch(attention, rng, masked):
    import torch

    query, key, value = draw(rng)
    mask = some_mask(rng, 2, 3, 5, 7) if masked else None
    expected = torch.nn.functional.scaled_dot_product_attention(
        *map(torch.from_numpy, (query, key, value)),
        attn_mask=None if mask is None else torch.from_numpy(mask),
    )
    ours = attention.scaled_dot_product_attention(query, key, value, mask)
    assert parity_error(numbers(ours), expected.numpy()) < TIGHT


@pytest.mark.parity
@pytest.mark.parametrize("masked", [False, True])
def test_many_heads_equal_torch_with_copied_weights(attention, rng, words, masked):
    import torch

    query, key, value = words
    ours = with_biases(attention.MultiHeadAttention(3, 12), rng, *words)
    theirs = torch.nn.MultiheadAttention(12, 3, batch_first=True).eval()
    dense = (ours.query_dense, ours.key_dense, ours.value_dense)
    with torch.no_grad():
        theirs.in_proj_weight[:] = torch.from_numpy(
            np.concatenate([numbers(each.kernel).T for each in dense])
        )
        theirs.in_proj_bias[:] = torch.from_numpy(
            np.concatenate([numbers(each.bias) for each in dense])
        )
        theirs.out_proj.weight[:] = torch.from_numpy(numbers(ours.output_dense.kernel).T.copy())
        theirs.out_proj.bias[:] = torch.from_numpy(numbers(ours.output_dense.bias).copy())
    causal = np.tril(np.ones((5, 7), bool))
    real = np.arange(7) < np.array([[7], [4]])
    # torch's masks say what may NOT be seen; ours say what may.
    more = {"attn_mask": torch.from_numpy(~causal), "key_padding_mask": torch.from_numpy(~real)}
    with torch.no_grad():
        expected, expected_weights = theirs(
            *map(torch.from_numpy, (query, key, value)),
            average_attn_weights=False,
            **(more if masked else {}),
        )
    mask = (causal & real[:, None, :]) if masked else None
    output, weights = ours(query, key, value, attention_mask=mask, return_weights=True)
    assert parity_error(numbers(output), expected.numpy()) < TIGHT
    assert parity_error(numbers(weights), expected_weights.numpy()) < TIGHT


def test_a_fully_masked_query_gives_the_output_projections_bias(attention, rng, words):
    layer = with_biases(attention.MultiHeadAttention(3, 12), rng, words[1])
    mask = np.ones((2, 7, 7), bool)
    mask[1, 4] = False
    output, weights = layer(words[1], attention_mask=mask, return_weights=True)
    assert not numbers(weights)[1, :, 4].any()
    assert numbers(output)[1, 4] == pytest.approx(numbers(layer.output_dense.bias), abs=1e-7)


def test_masks_of_two_three_and_four_dimensions_mean_the_same(attention, rng, words):
    layer = with_biases(attention.MultiHeadAttention(3, 12), rng, words[1])
    mask = some_mask(rng, 7, 7)
    forms = mask, mask[None], mask[None, None], np.broadcast_to(mask, (2, 3, 7, 7))
    outputs = [numbers(layer(words[1], attention_mask=form)) for form in forms]
    for output in outputs[1:]:
        assert output == pytest.approx(outputs[0], abs=1e-6)


def test_the_mask_of_an_embedding_hides_padding(attention, keras, rng):
    ids = np.array([[3, 4, 5, 0, 0], [6, 7, 0, 0, 0]])
    embed = keras.layers.Embedding(10, 12, mask_zero=True)
    layer = with_biases(attention.MultiHeadAttention(3, 12), rng, rng.normal(size=(1, 2, 12)))
    words = embed(ids)
    for given in ((words,), (words, words), (words, None, None, numbers(attention.causal_mask(5)))):
        _, weights = layer(*given, return_weights=True)
        weights = numbers(weights)
        assert not weights[0, :, :, 3:].any() and not weights[1, :, :, 2:].any()
        assert weights.sum(-1) == pytest.approx(np.ones((2, 3, 5)), abs=1e-6)


def test_dropout_acts_in_training_only_and_keeps_the_mean(attention, keras, rng, words):
    keras.utils.set_random_seed(0)
    layer = with_biases(attention.MultiHeadAttention(3, 12, dropout=0.3), rng, words[1])
    still = numbers(layer(words[1]))
    assert numbers(layer(words[1], training=False)) == pytest.approx(still)
    drawn = np.stack([numbers(layer(words[1], training=True)) for _ in range(300)])
    assert np.abs(drawn[0] - still).max() > 0.01
    spread = drawn.std(0).max() / 300**0.5
    assert np.abs(drawn.mean(0) - still).max() < 5 * spread


def test_it_is_saved_and_loaded_with_all_its_settings(attention, keras, tmp_path, words):
    settings = {"dropout": 0.25, "use_bias": False, "kernel_initializer": "he_normal"}
    settings["positions"] = "rotary"
    inputs = keras.Input((None, 12))
    layer = attention.MultiHeadAttention(3, 12, name="heads", **settings)
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again = loaded.get_layer("heads")
    assert again.get_config() == layer.get_config()
    assert (again.dropout, again.use_bias, again.num_heads, again.d_model) == (0.25, False, 3, 12)
    assert numbers(loaded(words[1])) == pytest.approx(numbers(model(words[1])), abs=1e-6)
    assert len(again.weights) == 4


def test_mixed_precision_computes_in_half_and_keeps_weights_in_full(attention, keras, words):
    layer = attention.MultiHeadAttention(3, 12, dtype="mixed_float16")
    output = layer(words[1], attention_mask=numbers(attention.causal_mask(7)))
    assert keras.backend.standardize_dtype(output.dtype) == "float16"
    assert {w.dtype for w in layer.trainable_weights} == {"float32"}
    assert np.isfinite(numbers(output)).all()


def test_a_model_of_it_trains_and_takes_any_length(attention, keras, rng):
    """Masks computed from the input, inside a compiled graph, at two lengths."""
    keras.utils.set_random_seed(0)
    ids = keras.Input((None,), dtype="int32")
    words = keras.layers.Embedding(10, 12)(ids)
    masks = attention.padding_mask(ids)[:, None, :]  # (batch, 1, length)
    layer = attention.MultiHeadAttention(3, 12)
    scores = keras.layers.Dense(10)(layer(words, attention_mask=masks))
    model = keras.Model(ids, scores)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, jit_compile=runtime.jit_compile())
    x = rng.integers(0, 10, (512, 6))
    history = model.fit(x, x, batch_size=16, epochs=4, verbose=0).history["loss"]
    assert history[-1] < 0.7 * history[0]
    assert model.predict(x[:, :3], verbose=0).shape == (512, 3, 10)


def test_each_projection_draws_its_own_numbers(attention, keras):
    initializer = keras.initializers.GlorotUniform(seed=None)
    layer = attention.MultiHeadAttention(2, 8, kernel_initializer=initializer)
    layer.build((None, None, 8))
    assert not np.allclose(numbers(layer.query_dense.kernel), numbers(layer.key_dense.kernel))


# Positions, bias and cache


def as_heads(x):
    return x.reshape(*x.shape[:2], 3, 4).transpose(0, 2, 1, 3)


def test_rotary_turns_queries_and_keys_but_not_values(attention, keras, rng, words):
    from course.positions import rotary

    layer = with_biases(attention.MultiHeadAttention(3, 12, positions="rotary"), rng, words[1])
    q, k, v = (
        as_heads(numbers(dense(words[1])))
        for dense in (layer.query_dense, layer.key_dense, layer.value_dense)
    )
    heads, expected = attend_by_hand(numbers(rotary(q)), numbers(rotary(k)), v)
    output, weights = layer(words[1], return_weights=True)
    assert parity_error(numbers(weights), expected) < TIGHT
    merged = heads.transpose(0, 2, 1, 3).reshape(2, 7, 12)
    expected = merged @ numbers(layer.output_dense.kernel) + numbers(layer.output_dense.bias)
    assert parity_error(numbers(output), expected) < TIGHT


def test_a_bias_is_added_to_the_scores_before_the_mask(attention, rng, words):
    from course.positions import alibi_bias

    plain = with_biases(attention.MultiHeadAttention(3, 12), rng, words[1])
    inside = attention.MultiHeadAttention(3, 12, positions="alibi")
    inside(words[1])
    inside.set_weights(plain.get_weights())
    mask = some_mask(rng, 2, 7, 7)
    bias = numbers(alibi_bias(3, 7))
    output, weights = plain(words[1], attention_mask=mask, score_bias=bias, return_weights=True)
    q, k = (as_heads(numbers(dense(words[1]))) for dense in (plain.query_dense, plain.key_dense))
    scores = q.astype("float64") @ k.swapaxes(-1, -2) / 2 + bias
    scores = np.where(mask[:, None], scores, -np.inf)
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    assert parity_error(numbers(weights), scores / scores.sum(-1, keepdims=True)) < TIGHT
    assert parity_error(numbers(inside(words[1], attention_mask=mask)), numbers(output)) < TIGHT
    twice = inside(words[1], attention_mask=mask, score_bias=bias)
    double = plain(words[1], attention_mask=mask, score_bias=2 * bias)
    assert parity_error(numbers(twice), numbers(double)) < TIGHT


@pytest.mark.parametrize("positions", [None, "rotary", "alibi"])
def test_a_cache_gives_what_causal_attention_gives(attention, keras, rng, words, positions):
    """Three tokens at once, then one at a time; the cache has room left at its end."""
    from course.transformer import CachedMultiHeadAttention

    layer = CachedMultiHeadAttention(3, 12, positions=positions)
    layer = with_biases(layer, rng, words[1])
    hidden = np.ones((2, 1, 10), bool)
    hidden[1, 0, 1] = False  # a mask of the caller's counts too
    causal = numbers(attention.causal_mask(7)) & hidden[..., :7]
    whole, seen = layer(words[1], attention_mask=causal, return_weights=True)
    cache = tuple(np.full((2, 3, 10, 4), 1e3, "float32") for _ in range(2))  # whatever was there
    start, parts = 0, []
    for count in (3, 1, 1, 1, 1):
        part, weights, cache = layer(
            words[1][:, start : start + count],
            attention_mask=hidden,
            cache=cache,
            cache_index=keras.ops.convert_to_tensor(start, "int32"),
            return_weights=True,
        )
        parts.append(numbers(part))
        start += count
    assert parity_error(np.concatenate(parts, 1), numbers(whole)) < TIGHT
    assert parity_error(numbers(weights)[..., :7], numbers(seen)[:, :, -1:]) < TIGHT
    assert not numbers(weights)[..., 7:].any()
    assert (numbers(cache[0])[:, :, 7:] == 1e3).all()
    assert parity_error(numbers(cache[0])[:, :, :7], layer_keys(layer, words[1])) < TIGHT


def layer_keys(layer, words):
    return numbers(layer.keys_and_values(words)[0])


def test_keys_of_another_sentence_are_projected_once(attention, rng, words):
    from course.transformer import CachedMultiHeadAttention

    query, key, value = words
    layer = with_biases(CachedMultiHeadAttention(3, 12), rng, *words)
    mask = some_mask(rng, 2, 1, 7)
    made = layer.keys_and_values(key, value)
    output, same = layer(query, cache=made, attention_mask=mask)
    assert parity_error(numbers(output), numbers(layer(*words, attention_mask=mask))) < TIGHT
    assert all((numbers(a) == numbers(b)).all() for a, b in zip(same, made, strict=True))
    alone, _ = layer(query, cache=layer.keys_and_values(key))
    assert parity_error(numbers(alone), numbers(layer(query, key))) < TIGHT


def test_a_cache_that_cannot_be_written_is_refused(attention, rng, words):
    from course.transformer import CachedMultiHeadAttention

    layer = CachedMultiHeadAttention(3, 12)
    with pytest.raises(ValueError, match="cache is None"):
        layer(words[0], cache_index=0)
    cache = tuple(np.zeros((2, 3, 6, 4), "float32") for _ in range(2))
    with pytest.raises(ValueError, match="cache_index = 2 and 5 new tokens need 7 places"):
        layer(words[0], cache=cache, cache_index=2)
    with pytest.raises(ValueError, match="positions = 'rope'"):
        attention.MultiHeadAttention(3, 12, positions="rope")


def test_weights_are_recorded_where_asked_and_nowhere_else(attention, rng, words):
    first, second = (attention.MultiHeadAttention(3, 12, name=name) for name in ("a", "b"))
    with attention.recorded_weights() as outer:
        first(words[0])
        with attention.recorded_weights() as inner:
            _, expected = second(*words, return_weights=True)
    first(words[0])
    assert [name for name, _ in outer] == ["a"] and [name for name, _ in inner] == ["b"]
    assert (numbers(inner[0][1]) == numbers(expected)).all()


# One place


def test_one_attention_in_another_place_changes_every_model(attention, keras, rng, monkeypatch):
    """What lets a student put an attention of their own into the whole course."""
    from course.pretraining import BertEncoder
    from course.transformer import Transformer

    plain, calls = attention.scaled_dot_product_attention, []

    def twice_as_much(*arguments, **settings):
        calls.append(arguments[0].shape)
        output, weights = plain(*arguments, **settings)
        return 2 * output, weights

    ids, x = rng.integers(1, 9, (2, 4)).astype("int32"), rng.normal(size=(1, 3, 8))
    heads, model = attention.MultiHeadAttention(2, 8), Transformer(1, 8, 2, 16, 9, 9)
    bert, cache = BertEncoder(9, 1, 8, 2, 16), model.start_cache(ids, 3)
    models = [
        (1, lambda: heads(x)),
        (3, lambda: model((ids, ids))),
        (2, lambda: model.step(ids[:, 0], cache, 0)[0]),
        (1, lambda: bert((ids, ids * 0))[0]),
    ]
    for count, call in models:
        before, calls[:] = numbers(call()), []
        monkeypatch.setattr(attention, "scaled_dot_product_attention", twice_as_much)
        after = numbers(call())
        monkeypatch.undo()
        assert len(calls) == count and np.abs(before - after).max() > 1e-3


# Real input


def test_on_real_sentences_padding_changes_nothing(attention, keras, rng, shared_data, monkeypatch):
    """A sentence of Multi30k gets the same vectors alone as in a padded batch of others."""
    from course import data

    monkeypatch.setenv("COURSE_DATA", os.fspath(shared_data))
    # JAX compiles each length of a sentence anew.
    rows = data.load("multi30k", "val")[: 8 if keras.backend.backend() == "jax" else 32]
    sentences = [row["en"].lower().split() for row in rows]
    ids = {w: i for i, w in enumerate(sorted({w for s in sentences for w in s}), start=1)}
    longest = max(map(len, sentences))
    batch = np.zeros((len(sentences), longest), "int32")
    for row, sentence in zip(batch, sentences, strict=True):
        row[: len(sentence)] = [ids[word] for word in sentence]
    table = rng.normal(size=(len(ids) + 1, 64)).astype("float32")
    layer = with_biases(attention.MultiHeadAttention(4, 64), rng, table[None, :2])
    mask = attention.padding_mask(batch)[:, None, :]
    together, weights = layer(table[batch], attention_mask=mask, return_weights=True)
    together, weights = numbers(together), numbers(weights)
    for i, sentence in enumerate(sentences):
        n = len(sentence)
        assert not weights[i, :, :, n:].any()
        alone = numbers(layer(table[batch[i : i + 1, :n]]))
        assert parity_error(together[i : i + 1, :n], alone) < TIGHT
