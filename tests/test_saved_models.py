"""Models that an earlier version saved still load, and compute what they computed then.

tests/saved/ was written on 30 November 2026, before `course.kernels` and `CachedMultiHeadAttention`
were made: a Transformer (rotary, pre-norm, tied, GELU), BERT for pretraining, and a functional
model of `MultiHeadAttention` and `EncoderBlock`, each with random weights; `numbers.npz` holds what
went in and what came out.
"""

from pathlib import Path

import numpy as np
import pytest
from conftest import numbers

pytestmark = pytest.mark.backend

SAVED = Path(__file__).parent / "saved"


@pytest.fixture(scope="module")
def then():
    with np.load(SAVED / "numbers.npz") as file:
        return dict(file)


@pytest.fixture
def load(keras):
    import course.pretraining  # noqa: F401 - registers the classes

    return lambda name: keras.models.load_model(SAVED / f"{name}.keras")


def test_a_transformer_of_before_computes_the_same(load, then):
    logits = load("transformer")((then["source"], then["target"]))
    assert numbers(logits) == pytest.approx(then["logits"], rel=1e-4, abs=1e-4)


def test_layers_of_before_compute_the_same(load, then):
    assert numbers(load("layers")(then["x"])) == pytest.approx(then["layers"], rel=1e-4, abs=1e-5)


def test_bert_of_before_computes_the_same(load, then):
    inputs = (then["source"], then["segments"], then["positions"])
    masked, following = map(numbers, load("bert")(inputs))
    assert masked == pytest.approx(then["masked"], rel=1e-4, abs=1e-4)
    assert following == pytest.approx(then["following"], rel=1e-4, abs=1e-4)
