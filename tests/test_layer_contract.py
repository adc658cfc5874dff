"""Every layer of the course keeps the contract of `layer_contract`; none is left out."""

import importlib
import inspect
import pkgutil

import layer_contract as contract
import numpy as np
import pytest
from layer_contract import Case

pytestmark = pytest.mark.backend

X = np.random.default_rng(1).normal(size=(2, 3, 8)).astype("float32")
MEMORY = np.random.default_rng(2).normal(size=(2, 4, 8)).astype("float32")
IDS = np.array([[4, 1, 5], [2, 6, 0]], "int32")
SEGMENTS = np.array([[0, 0, 1], [0, 1, 0]], "int32")
PLACES = np.array([[1], [0]], "int32")
ROWS = (2, 3, 8)


def attention(**kwargs):
    from course.attention import MultiHeadAttention

    return MultiHeadAttention(2, 8, dropout=0.3, positions="rotary", **kwargs)


def cached_attention(**kwargs):
    from course.transformer import CachedMultiHeadAttention

    return CachedMultiHeadAttention(2, 8, dropout=0.3, positions="alibi", **kwargs)


def dropout(**kwargs):
    from course.kernels import Dropout

    return Dropout(0.3, **kwargs)


def positions(kind):
    def make(**kwargs):
        from course.positions import AddPositions

        return AddPositions(kind, max_length=5, **kwargs)

    return make


def layer_norm(**kwargs):
    from course.transformer.blocks import LayerNorm

    return LayerNorm(epsilon=1e-4, **kwargs)


def feed_forward(**kwargs):
    from course.transformer import FeedForward

    return FeedForward(8, 16, activation="gelu", dropout=0.3, **kwargs)


def block(kind, *sizes, **settings):
    def make(**kwargs):
        from course import transformer

        return getattr(transformer, kind)(*sizes, 8, 2, 16, **settings, **kwargs)

    return make


def transformer(**kwargs):
    from course.transformer import Transformer

    return Transformer(1, 8, 2, 16, 7, 9, dropout=0.3, positions="learned", **kwargs)


def encoder(**kwargs):
    from course.pretraining import BertEncoder

    return BertEncoder(7, 1, 8, 2, 16, max_length=4, dropout=0.3, **kwargs)


def over_bert(kind, **settings):
    def make(dtype, name):
        from course import fine_tuning, pretraining

        made = getattr(pretraining, kind, None) or getattr(fine_tuning, kind)
        return made(encoder(dtype=dtype, name="encoder"), **settings, name=name)

    return make


BERT = 3 + 2 + 16 + 2  # tables, a norm, one block, the pooler
CASES = {
    "MultiHeadAttention": Case(attention, (X,), (ROWS,), weights=8, random=True, carries_mask=True),
    "CachedMultiHeadAttention": Case(
        cached_attention, (X, MEMORY), (ROWS,), weights=8, random=True, carries_mask=True
    ),
    "Dropout": Case(dropout, (X,), (ROWS,), trains=False, random=True, carries_mask=True),
    "AddPositions": Case(positions("learned"), (X,), (ROWS,), weights=1, carries_mask=True),
    "AddPositions, sinusoidal": Case(
        positions("sinusoidal"), (X,), (ROWS,), trains=False, carries_mask=True
    ),
    "LayerNorm": Case(layer_norm, (X,), (ROWS,), weights=2, carries_mask=True),
    "FeedForward": Case(feed_forward, (X,), (ROWS,), weights=4, random=True, carries_mask=True),
    "EncoderBlock": Case(
        block("EncoderBlock", norm="pre", dropout=0.3, activation="gelu"),
        (X,),
        (ROWS,),
        weights=16,
        random=True,
        carries_mask=True,
    ),
    "DecoderBlock": Case(
        block("DecoderBlock", dropout=0.3, positions="rotary"),
        (X, MEMORY),
        (ROWS,),
        weights=26,
        random=True,
        carries_mask=False,
    ),
    "DecoderBlock of a language model": Case(
        block("DecoderBlock", dropout=0.3, cross_attention=False),
        (X,),
        (ROWS,),
        weights=16,
        random=True,
        carries_mask=True,
    ),
    "Encoder": Case(
        block("Encoder", 2, norm="pre", dropout=0.3),
        (X,),
        (ROWS,),
        weights=34,
        random=True,
        carries_mask=True,
    ),
    "Decoder": Case(
        block("Decoder", 2, dropout=0.3, final_norm=True),
        (X, MEMORY),
        (ROWS,),
        weights=54,
        random=True,
    ),
    "Transformer": Case(
        transformer, ((IDS, IDS),), ((2, 3, 9),), weights=2 + 2 + 16 + 26 + 2, random=True
    ),
    "BertEncoder": Case(encoder, ((IDS, SEGMENTS),), (ROWS, (2, 8)), weights=BERT, random=True),
    "MaskedLanguageModel": Case(
        over_bert("MaskedLanguageModel"),
        ((IDS, SEGMENTS),),
        ((2, 3, 7),),
        weights=BERT + 5,
        unused=("pooler",),
        random=True,
    ),
    "NextSentence": Case(
        over_bert("NextSentence"), ((IDS, SEGMENTS),), ((2, 2),), weights=BERT + 2, random=True
    ),
    "BertForPretraining": Case(
        over_bert("BertForPretraining"),
        ((IDS, SEGMENTS, PLACES),),
        ((2, 1, 7), (2, 2)),
        weights=BERT + 7,
        random=True,
    ),
    "BertClassifier": Case(
        over_bert("BertClassifier", num_labels=3),
        ((IDS, SEGMENTS),),
        ((2, 3),),
        weights=BERT + 2,
        random=True,
    ),
}


@pytest.fixture(params=CASES, ids=lambda name: name.replace(" ", "_"))
def case(request, keras):
    keras.utils.set_random_seed(3)
    return CASES[request.param]


def test_it_is_built_by_a_call_and_returns_its_shapes(case, rng):
    contract.check_build_and_shapes(case, rng)


def test_it_takes_symbolic_inputs(case):
    contract.check_symbolic_shapes(case)


def test_its_config_makes_the_same_layer(case, rng):
    contract.check_config(case, rng)


def test_a_keras_file_brings_it_back(case, rng, tmp_path):
    contract.check_saving(case, rng, tmp_path)


def test_one_step_trains_every_weight(case, rng, backend):
    contract.check_training_step(case, rng, backend)


def test_it_computes_in_half_precision(case, rng):
    contract.check_precision(case, rng)


def test_it_is_random_in_training_only(case, rng):
    contract.check_randomness(case, rng)


def test_it_carries_the_mask_of_an_embedding(case):
    contract.check_mask(case)


ROOMS = "attention kernels positions transformer translation pretraining fine_tuning".split()
# Layers of these rooms without a case of their own, each with the reason.
EXEMPT = {
    "TeacherForcing": "trains a Transformer and is never saved: the Transformer is",
}


def test_every_layer_has_a_case(keras):
    found = set()
    for room in ROOMS:
        package = importlib.import_module(f"course.{room}")
        names = [package.__name__]
        if hasattr(package, "__path__"):
            names += [each.name for each in pkgutil.walk_packages(package.__path__, f"{names[0]}.")]
        for name in names:
            for each in vars(importlib.import_module(name)).values():
                layer = inspect.isclass(each) and issubclass(each, keras.layers.Layer)
                if layer and each.__module__ == name and not each.__name__.startswith("_"):
                    found.add(each.__name__)
    covered = {name.split(",")[0].split(" of ")[0] for name in CASES}
    assert found - covered - EXEMPT.keys() == set()
    assert covered <= found
