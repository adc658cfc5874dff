"""Position encodings: the papers in float64, keras-hub, and what each must leave alone."""

import math

import numpy as np
import pytest
from conftest import numbers

from course import runtime
from course.checks.judges import error as parity_error

pytestmark = pytest.mark.backend

TIGHT = 1e-5


@pytest.fixture(scope="module")
def positions():
    from course import positions

    return positions


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("keras_hub", reason="keras-hub is not installed")


# Waves


def waves(length, d_model, start=0):
    """Section 3.5, one entry at a time."""
    table = np.zeros((length, d_model))
    for row in range(length):
        for i in range(d_model // 2):
            angle = (start + row) / 10_000 ** (2 * i / d_model)
            table[row, 2 * i], table[row, 2 * i + 1] = math.sin(angle), math.cos(angle)
    return table


@pytest.mark.parametrize(("length", "d_model", "start"), [(1, 2, 0), (50, 64, 0), (7, 16, 100_000)])
def test_waves_are_those_of_the_paper(positions, length, d_model, start):
    ours = numbers(positions.sinusoidal_encoding(length, d_model, start))
    assert ours.dtype == "float32"
    assert np.abs(ours - waves(length, d_model, start)).max() < 1e-7


def test_a_shift_is_one_rotation_whatever_the_position(positions):
    """PE(pos + k) is a fixed linear function of PE(pos): section 3.5."""
    table = numbers(positions.sinusoidal_encoding(60, 8)).astype("float64")
    shift, *_ = np.linalg.lstsq(table[:50], table[5:55], rcond=None)
    assert np.abs(table[:50] @ shift - table[5:55]).max() < 1e-5


def test_an_odd_width_is_refused(positions):
    with pytest.raises(ValueError, match="d_model = 5 is odd"):
        positions.sinusoidal_encoding(3, 5)
    with pytest.raises(ValueError, match="width of a head is 5"):
        positions.rotary(np.zeros((1, 2, 5), "float32"))


# Rotations


def turned(x, pairs):
    """RoFormer, equation 15: one pair and one position at a time."""
    x = x.astype("float64")
    out = np.zeros_like(x)
    *_, length, width = x.shape
    for position in range(length):
        for i in range(width // 2):
            a, b = (2 * i, 2 * i + 1) if pairs == "adjacent" else (i, i + width // 2)
            angle = position * 10_000 ** (-2 * i / width)
            cos, sin = math.cos(angle), math.sin(angle)
            out[..., position, a] = x[..., position, a] * cos - x[..., position, b] * sin
            out[..., position, b] = x[..., position, a] * sin + x[..., position, b] * cos
    return out


@pytest.mark.parametrize("pairs", ["adjacent", "halves"])
def test_rotary_is_the_papers_rotation(positions, rng, pairs):
    x = rng.normal(size=(2, 3, 11, 8)).astype("float32")
    assert parity_error(numbers(positions.rotary(x, pairs=pairs)), turned(x, pairs)) < TIGHT


@pytest.mark.parametrize("pairs", ["adjacent", "halves"])
def test_a_score_of_turned_vectors_depends_on_their_distance_only(positions, rng, pairs):
    query, key = rng.normal(size=(2, 1, 8)).astype("float32")

    def score(i, j):
        q = positions.rotary(query, positions=np.array([i]), pairs=pairs)
        k = positions.rotary(key, positions=np.array([j]), pairs=pairs)
        return float((numbers(q) * numbers(k)).sum())

    assert score(3, 1) == pytest.approx(score(103, 101), abs=1e-4)
    assert abs(score(3, 1) - score(3, 2)) > 1e-3


def test_turning_changes_no_length_and_no_dtype(positions, rng):
    x = rng.normal(size=(4, 9, 6)).astype("float16")
    y = numbers(positions.rotary(x))
    assert y.dtype == "float16"
    lengths = [np.linalg.norm(z.astype("float64"), axis=-1) for z in (x, y)]
    assert lengths[0] == pytest.approx(lengths[1], rel=5e-3)
    assert y[:, 0].tolist() == x[:, 0].tolist()


def test_one_step_of_decoding_turns_as_the_whole_does(positions, rng):
    x = rng.normal(size=(2, 4, 7, 8)).astype("float32")
    whole = numbers(positions.rotary(x))
    one = numbers(positions.rotary(x[:, :, 5:6], positions=np.array([5])))
    assert one == pytest.approx(whole[:, :, 5:6], abs=1e-6)


def test_rotary_equals_keras_hub(positions, rng, hub):
    x = rng.normal(size=(2, 3, 40, 16)).astype("float32")
    theirs = hub.layers.RotaryEmbedding(sequence_axis=2, feature_axis=3)(x)
    assert parity_error(numbers(positions.rotary(x, pairs="halves")), numbers(theirs)) < TIGHT


# Distances


def test_alibi_is_a_slope_times_the_distance(positions):
    bias = numbers(positions.alibi_bias(2, 3))
    assert bias[0].tolist() == [[0, -0.0625, -0.125], [-0.0625, 0, -0.0625], [-0.125, -0.0625, 0]]
    assert bias[1].tolist() == (bias[0] / 16).tolist()


def test_the_queries_of_a_longer_text_are_its_last(positions):
    whole = numbers(positions.alibi_bias(4, 6))
    assert numbers(positions.alibi_bias(4, 2, 6)).tolist() == whole[:, -2:].tolist()


@pytest.mark.parametrize("heads", [1, 2, 6, 8, 12])
def test_alibi_equals_keras_hub_behind_a_causal_softmax(positions, rng, hub, heads):
    """keras-hub gives every query the last one's row: the same, once the softmax has been taken."""
    from keras import ops

    scores = rng.normal(size=(2, heads, 9, 9)).astype("float32")
    past = np.tril(np.ones((9, 9), bool))
    biased = scores + numbers(positions.alibi_bias(heads, 9))
    ours, theirs = (
        numbers(ops.softmax(np.where(past, numbers(s), -1e9), axis=-1))
        for s in (biased, hub.layers.AlibiBias()(scores))
    )
    assert parity_error(ours, theirs) < TIGHT


# The layer that adds


@pytest.mark.parametrize("kind", ["sinusoidal", "learned"])
def test_an_encoding_is_added_from_any_start_and_survives_saving(positions, rng, tmp_path, kind):
    import keras

    inputs = keras.Input((None, 8))
    layer = positions.AddPositions(kind, max_length=20, name="positions")
    model = keras.Model(inputs, layer(inputs))
    x = rng.normal(size=(2, 6, 8)).astype("float32")
    whole = numbers(model(x))
    assert numbers(layer(x[:, 4:], start=4)) == pytest.approx(whole[:, 4:], abs=1e-6)
    if kind == "sinusoidal":
        assert whole - x == pytest.approx(np.broadcast_to(waves(6, 8), x.shape), abs=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert numbers(loaded(x)) == pytest.approx(whole)
    assert len(layer.trainable_weights) == (kind == "learned")


def test_a_model_that_is_built_inside_its_first_call_trains(positions, rng):
    """Keras builds a subclassed model in a graph of its own, which is gone afterwards."""
    import keras

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.positions = positions.AddPositions()
            self.dense = keras.layers.Dense(1)

        def call(self, x):
            return self.dense(self.positions(x))

    model = Model()
    model.compile("sgd", "mse", jit_compile=runtime.jit_compile())
    x = rng.normal(size=(4, 6, 8)).astype("float32")
    losses = [model.train_on_batch(x, x[..., :1]) for _ in range(2)]
    assert np.isfinite(losses).all()


def test_an_input_that_is_too_long_is_refused_by_name(positions):
    layer = positions.AddPositions("learned", max_length=4)
    with pytest.raises(ValueError, match="5 positions from 0 on and max_length is 4"):
        layer(np.zeros((1, 5, 8), "float32"))
    with pytest.raises(ValueError, match="1 positions from 4 on"):
        layer(np.zeros((1, 1, 8), "float32"), start=4)
    with pytest.raises(ValueError, match="choose"):
        positions.AddPositions("rotary")


def test_attention_without_positions_cannot_see_order_and_with_them_it_can(positions, rng):
    from course.attention import MultiHeadAttention

    layer = MultiHeadAttention(2, 8)
    x = rng.normal(size=(1, 5, 8)).astype("float32")
    order = [2, 0, 4, 1, 3]
    assert numbers(layer(x[:, order])) == pytest.approx(numbers(layer(x))[:, order], abs=1e-5)
    add = positions.AddPositions()
    seen = numbers(layer(add(x[:, order]))), numbers(layer(add(x)))[:, order]
    assert np.abs(seen[0] - seen[1]).max() > 0.01
