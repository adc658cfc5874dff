"""Decoding: Marian's `generate` with the same weights, no cache, counts, and the papers' rules.

The weights are random and large, so that models are sure of what they say, and the end's bias is
raised, so that sentences end at different lengths.
"""

import importlib.util
import sys

import numpy as np
import pytest
from conftest import PROVING, ROOT, numbers

from course.checks.judges import error as parity_error
from course.decoding import batch, compilation

pytestmark = pytest.mark.backend

TIGHT = 1e-5
D_MODEL, HEADS, D_FF, LAYERS, VOCABULARY = 16, 4, 32, 2, 41
PAD, END = 0, 3
KINDS = ["sinusoidal", "learned", "rotary", "alibi"]


@pytest.fixture(scope="module")
def decoding(keras):
    from course import decoding

    return decoding


def randomized(model, rng, kernel=1.2):
    """Weights with which one id does not follow another for ever, as plain noise would have it."""
    scales = {"kernel": kernel, "embeddings": 0.15, "table": 1.5}
    for weight in model.weights:
        scale = scales.get(weight.path.rpartition("/")[2], 0.05)
        value = rng.normal(size=weight.shape) * scale + ("gamma" in weight.path)
        weight.assign(value.astype("float32"))
    return model


def translator(rng, end=1.25, **settings):
    """An encoder-decoder model laid out as Marian is; `end` is added to the end's logit."""
    from course.transformer import Transformer

    settings = {"tie_embeddings": "all", "output_bias": True, "positions": "learned"} | settings
    sizes = (LAYERS, D_MODEL, HEADS, D_FF, VOCABULARY, VOCABULARY)
    model = randomized(Transformer(*sizes, max_length=64, **settings), rng)
    bias = model.bias if model.output_dense is None else model.output_dense.bias
    bias.assign(numbers(bias) + end * (np.arange(VOCABULARY) == END))
    return model


def language_model(rng, positions=None):
    """A decoder-only model, as lesson 10 builds one."""
    import keras
    from keras import ops

    from course.positions import AddPositions
    from course.transformer import Decoder

    added = positions in ("sinusoidal", "learned")

    class LanguageModel(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding = keras.layers.Embedding(VOCABULARY, D_MODEL)
            self.places = AddPositions(positions, 64) if added else None
            self.decoder = Decoder(
                *(LAYERS, D_MODEL, HEADS, D_FF),
                cross_attention=False,
                positions=None if added else positions,
            )
            self.head = keras.layers.Dense(VOCABULARY)

        def embed(self, ids, start=0):
            x = self.embedding(ids) * D_MODEL**0.5
            return x if self.places is None else self.places(x, start=start)

        def call(self, ids):
            return self.head(self.decoder(self.embed(ids)))

        def start_cache(self, prompts, max_length):
            return self.decoder.start_cache(ops.shape(prompts)[0], max_length)

        def step(self, ids, cache, index):
            ids = ids if len(ids.shape) == 2 else ids[:, None]
            x, cache = self.decoder(self.embed(ids, index), cache=cache, cache_index=index)
            return self.head(x[:, -1]), cache

        def reorder_cache(self, cache, rows):
            return self.decoder.reorder_cache(cache, rows)

        def grow_cache(self, cache, max_length):
            return self.decoder.grow_cache(cache, max_length)

    model = LanguageModel()
    model(np.zeros((1, 3), "int32"))
    return randomized(model, rng)


class Table:
    """The smallest model: the logits depend on the last id alone, and are read off a table."""

    def __init__(self, table):
        self.table = np.asarray(table, "float32")
        self.steps = []  # the number of rows of each step that ran

    def start_cache(self, inputs, max_length):
        from keras import ops

        return {"seen": ops.zeros((ops.shape(inputs)[0], 1), "int32")}

    def step(self, ids, cache, index):
        from keras import ops

        ids = ids if len(ids.shape) == 1 else ids[:, -1]
        return ops.take(self.count(ids), ids, axis=0), {"seen": cache["seen"] + 1}

    def count(self, ids):
        """The table; when the step runs, and not when it is traced, it is noted."""
        import keras

        if keras.backend.backend() == "jax":
            import jax

            jax.debug.callback(lambda ids: self.steps.append(len(ids)), ids, ordered=True)
            return self.table
        import tensorflow as tf

        with tf.control_dependencies(
            [tf.py_function(lambda ids: self.steps.append(len(ids)), [ids], [])]
        ):
            return tf.identity(self.table)


def sources(rng, batch=6, length=7):
    ids = rng.integers(END + 1, VOCABULARY, (batch, length)).astype("int32")
    ids[:, -1] = END
    for row, real in zip(ids, rng.integers(2, length + 1, batch), strict=True):
        row[real - 1 :] = PAD
        row[real - 1] = END
    return ids


def lengths_of(ids):
    """How many ids each row has, the end included."""
    return (np.asarray(ids) != PAD).sum(-1)


# Marian


def marian_of(model):
    """A `MarianMTModel` with the weights of a `translator`, as the benchmark makes one."""
    path = ROOT / "benchmarks" / "decoding.py"
    spec = importlib.util.spec_from_file_location("decoding_benchmark", path)
    benchmark = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))  # as Python does for a script
    try:
        spec.loader.exec_module(benchmark)
    finally:
        sys.path.remove(str(path.parent))
    return benchmark.marian_of(model)


@pytest.fixture(scope="module")
def pair(keras):
    """Our model, Marian with its weights, and source ids with padding."""
    pytest.importorskip("transformers", reason="transformers is not installed")
    rng = np.random.default_rng(5)
    model = translator(rng)
    return model, marian_of(model), sources(rng, 24)


def generate(marian, source, **settings):
    """Marian's ids without the start symbol, and its scores; padding is never written."""
    import torch

    ids = torch.from_numpy(source).long()
    found = marian.generate(
        input_ids=ids,
        attention_mask=(ids != PAD).long(),
        do_sample=False,
        bad_words_ids=[[PAD]],
        return_dict_in_generate=True,
        output_scores=True,
        **settings,
    )
    ids = found.sequences[:, 1:].numpy()
    # Where the padding is id 0, its beam search fills up with the end instead.
    after = (np.cumsum(ids == END, axis=1) - (ids == END)) > 0
    return np.where(after, PAD, ids), getattr(found, "sequences_scores", None)


def padded(ids, length):
    return np.pad(ids, ((0, 0), (0, length - ids.shape[1])), constant_values=PAD)


MARIAN = {"start_id": PAD, "end_id": END, "pad_id": PAD, "suppress_ids": (PAD,)}


@pytest.mark.parity
def test_the_whole_models_logits_are_marians(pair, rng, note):
    import torch

    model = randomized(translator(rng), rng, kernel=0.3)  # large ones make float32 noise large
    marian, source = marian_of(model), pair[2]
    target = rng.integers(END + 1, VOCABULARY, (24, 9)).astype("int32")
    target[:, 0] = PAD
    with torch.no_grad():
        ids = torch.from_numpy(source).long()
        expected = marian(
            input_ids=ids,
            attention_mask=(ids != PAD).long(),
            decoder_input_ids=torch.from_numpy(target).long(),
        ).logits
    error = parity_error(model((source, target)), expected)
    note(f"parity error with Marian, logits: {error:.1e}")
    assert error < TIGHT


@pytest.mark.parity
def test_greedy_ids_are_marians(decoding, pair):
    model, marian, source = pair
    expected, _ = generate(marian, source, num_beams=1, max_new_tokens=20)
    found = numbers(decoding.greedy(model, source, max_length=20, **MARIAN))
    assert (found == padded(expected, 20)).all()
    assert len(set(lengths_of(found))) > 3


RULES = [(p, stop) for p in (0.0, 0.6, 1.0, 2.0, -1.0) for stop in (False, True, "never")]


@pytest.mark.prove
@pytest.mark.parity
@pytest.mark.parametrize(("length_penalty", "early_stopping"), RULES if PROVING else RULES[::4])
def test_beam_ids_and_scores_are_marians(decoding, pair, length_penalty, early_stopping):
    model, marian, source = pair
    settings = {"num_beams": 4, "length_penalty": length_penalty, "early_stopping": early_stopping}
    expected, scores = generate(
        marian, source, max_new_tokens=24, num_return_sequences=4, **settings
    )
    ids, found = decoding.beam_search(
        model, source, max_length=24, num_return_sequences=4, **settings, **MARIAN
    )
    assert (numbers(ids).reshape(-1, 24) == padded(expected, 24)).all()
    assert parity_error(numbers(found).reshape(-1), scores) < 1e-4  # large weights, long sums
    if length_penalty == 0:  # else good long sentences hide that they end at many lengths
        assert len(set(lengths_of(numbers(ids)).ravel())) > 3


@pytest.mark.grid
@pytest.mark.parity
@pytest.mark.parametrize("num_beams", [7, 2, 1])
def test_any_number_of_beams_is_marians(decoding, pair, num_beams):
    model, marian, source = pair
    expected, _ = generate(marian, source, max_new_tokens=6, num_beams=num_beams)
    ids, _ = decoding.beam_search(model, source, max_length=6, num_beams=num_beams, **MARIAN)
    assert (numbers(ids)[:, 0] == padded(expected, 6)).all()


@pytest.mark.parity
@pytest.mark.parametrize("penalty", [1.2, 2.0])
def test_the_penalty_on_repetition_is_marians(decoding, pair, penalty):
    model, marian, source = pair
    expected, _ = generate(
        marian, source, num_beams=1, max_new_tokens=20, repetition_penalty=penalty
    )
    found = numbers(
        decoding.greedy(model, source, max_length=20, repetition_penalty=penalty, **MARIAN)
    )
    assert (found == padded(expected, 20)).all()
    plain = numbers(decoding.greedy(model, source, max_length=20, **MARIAN))
    assert (found != plain).any()


@pytest.mark.parity
def test_filters_are_those_of_hugging_face(decoding, rng):
    import torch
    from transformers import TopKLogitsWarper, TopPLogitsWarper

    logits = rng.normal(size=(50, 300)).astype("float32") * 3
    theirs = torch.from_numpy(logits)
    for k in (1, 5, 299, 300, 1000):
        expected = TopKLogitsWarper(k)(None, theirs).numpy()
        assert (numbers(decoding.top_k(logits, k)) == expected).all()
    for p in (0.01, 0.5, 0.9, 0.999):
        expected = TopPLogitsWarper(p)(None, theirs).numpy()
        assert (numbers(decoding.top_p(logits, p)) == expected).all()


# The cache


PLAIN = {"end_id": END, "pad_id": PAD, "suppress_ids": (PAD,)}


def continued(logits_of, ids, lengths, count):
    """Greedy search without a cache: the whole text again for each id. (rows, count)"""
    rows = np.arange(len(ids))
    ids = np.pad(ids, ((0, 0), (0, count)))
    written = np.full((len(ids), count), PAD, "int32")
    done = np.zeros(len(ids), bool)
    for i in range(count):
        logits = numbers(logits_of(ids))[rows, lengths + i - 1]
        logits[:, PAD] = -np.inf
        written[:, i] = np.where(done, PAD, logits.argmax(-1))
        # What follows an end is not looked at; a real id there keeps the sentence as long as it is.
        ids[rows, lengths + i] = np.where(done, END, written[:, i])
        done |= written[:, i] == END
    return written


@pytest.mark.grid
@pytest.mark.prove
@pytest.mark.parametrize("kind", KINDS)
def test_translations_are_those_of_a_model_without_cache(decoding, rng, proof_size, kind):
    model = translator(rng, positions=kind)
    source = sources(rng, proof_size(200), 9)
    memory = model.encode(source)
    start = np.full((len(source), 1), 1, "int32")
    expected = continued(
        lambda ids: model.logits(model.decode(ids, memory, source != PAD)), start, 1, 20
    )
    found = decoding.greedy(model, source, max_length=20, start_id=1, **PLAIN)
    assert (numbers(found) == expected).all()
    ids, _ = decoding.beam_search(
        model, source, max_length=20, num_beams=1, start_id=1, length_penalty=0.0, **PLAIN
    )
    assert (numbers(ids)[:, 0] == expected).all()


def prompts(rng, batch, longest=11, shortest=1):
    ids = rng.integers(END + 1, VOCABULARY, (batch, longest)).astype("int32")
    lengths = rng.integers(shortest, longest + 1, batch)
    lengths[0] = longest
    return np.where(np.arange(longest) < lengths[:, None], ids, PAD).astype("int32"), lengths


@pytest.mark.grid
@pytest.mark.prove
@pytest.mark.parametrize("kind", KINDS)
def test_continuations_of_prompts_are_those_of_a_model_without_cache(
    decoding, rng, proof_size, kind
):
    """Prompts of 1 to 11 ids in one batch; and of 4 to 11, of which 4 are read at once."""
    model = language_model(rng, kind)
    for shortest in (1, 4):
        ids, lengths = prompts(rng, proof_size(200), shortest=shortest)
        expected = continued(model, ids, lengths, 20)
        assert (numbers(decoding.greedy(model, ids, max_length=20, **PLAIN)) == expected).all()


def test_a_beam_search_from_prompts_is_that_of_each_prompt_alone(decoding, rng):
    model = language_model(rng, "rotary")
    ids, lengths = prompts(rng, 5, longest=4)
    settings = {"max_length": 18, "num_beams": 3, "num_return_sequences": 2} | PLAIN
    found, scores = map(numbers, decoding.beam_search(model, ids, **settings))
    for i, length in enumerate(lengths):
        alone, score = decoding.beam_search(model, ids[i : i + 1, :length], **settings)
        assert (numbers(alone)[0] == found[i]).all()
        assert parity_error(numbers(score)[0], scores[i]) < TIGHT


def test_sentences_that_are_done_leave_the_batch_and_change_no_other(
    decoding, rng, backend, monkeypatch
):
    model = translator(rng)
    source = sources(rng, 24)
    settings = {"max_length": 30} | MARIAN

    def all_three():
        found = decoding.greedy(model, source, **settings)
        drawn = decoding.sample(model, source, seed=3, temperature=0.5, **settings)
        beams, scores = decoding.beam_search(model, source, num_return_sequences=2, **settings)
        return [numbers(x) for x in (found, drawn, beams, scores)]

    left, shrink = [], batch.shrink
    monkeypatch.setattr(batch, "shrink", lambda *a: left.append(a[-1]) or shrink(*a))
    with_fewer = all_three()
    assert set(left) == ({1, 4} if backend == "tensorflow" else set())
    monkeypatch.setattr(compilation, "may_shrink", lambda model: False)
    compilation._graphs.pop(model)
    for some, whole in zip(with_fewer, all_three(), strict=True):
        assert len({*lengths_of(whole).ravel()}) > 1 or whole.dtype.kind == "f"
        assert (some == whole).all()


@pytest.mark.needs_tf
def test_rows_are_computed_for_sentences_that_go_on_only(decoding, backend):
    if backend != "tensorflow":
        pytest.skip("on JAX all shapes are known from the start")
    goes_on, ends = 1, 2  # after id 1 comes id 1, after id 2 the end
    table = np.zeros((4, 4))
    table[goes_on, goes_on] = table[ends, END] = 9
    model = Table(table)
    prompt = np.array([[goes_on]] * 4 + [[ends]] * 12, "int32")
    decoding.greedy(model, prompt, max_length=5, end_id=END)
    assert model.steps == [16, 4, 4, 4, 4]
    model = Table(table)  # few rows are not worth the larger graph
    decoding.greedy(model, prompt[:8], max_length=5, end_id=END)
    assert model.steps == [8, 8, 8, 8, 8]


# What a search must find


def every_sentence(table, start, max_length):
    """{ids: log P} of all sentences, cut off at `max_length`."""
    log_p = table - np.log(np.exp(table).sum(-1, keepdims=True))
    beginnings, found = {(start,): 0.0}, {}
    for i in range(max_length):
        longer = {
            (*ids, following): p + log_p[ids[-1], following]
            for ids, p in beginnings.items()
            for following in range(len(table))
        }
        last = i + 1 == max_length
        found |= {ids[1:]: p for ids, p in longer.items() if last or ids[-1] == 0}
        beginnings = {ids: p for ids, p in longer.items() if ids[-1] != 0}
    return found


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_a_wide_enough_beam_finds_the_best_of_all_sentences(decoding, rng, length_penalty):
    table = rng.normal(size=(4, 4)) * 2
    everything = every_sentence(table, 1, 4)
    score = {ids: p / len(ids) ** length_penalty for ids, p in everything.items()}
    best = sorted(score, key=score.get, reverse=True)[:3]
    found, scores = decoding.beam_search(
        Table(table),
        np.array([[1]]),
        max_length=4,
        end_id=0,
        pad_id=-1,
        num_beams=100,
        num_return_sequences=3,
        length_penalty=length_penalty,
        early_stopping="never",
    )
    found = [tuple(row[row >= 0]) for row in numbers(found)[0]]
    assert found == best
    assert numbers(scores)[0] == pytest.approx([score[ids] for ids in best], rel=1e-5)


def garden_path():
    """0 ends. From 1, id 2 is likelier than 3, but only after 3 is the model sure of the end."""
    table = np.full((5, 5), 1e-9)
    table[1, [2, 3]] = 0.6, 0.4
    table[2, [4, 0]] = 0.5, 0.5
    table[3, 0] = table[4, 0] = 1.0
    return Table(np.log(table / table.sum(-1, keepdims=True)))


def test_greedy_search_falls_for_a_garden_path_and_two_beams_do_not(decoding):
    settings = {"max_length": 4, "end_id": 0, "pad_id": -1}
    model, start = garden_path(), np.array([[1]])
    assert numbers(decoding.greedy(model, start, **settings))[0, 0] == 2
    ids, scores = decoding.beam_search(
        model, start, num_beams=2, num_return_sequences=2, length_penalty=0.0, **settings
    )
    assert numbers(ids)[0, 0].tolist() == [3, 0, -1, -1]
    assert np.exp(numbers(scores))[0] == pytest.approx([0.4, 0.3], rel=1e-5)


def chain(length):
    """Ids that count up to the end, with id 0 as the end: a sentence's length is its start's."""
    table = np.full((length + 1, length + 1), -30.0)
    table[np.arange(1, length + 1), np.arange(length)] = 0
    return Table(table)


def test_it_stops_when_all_are_done_and_not_before(decoding):
    settings = {"max_length": 40, "end_id": 0, "pad_id": -1}
    for starts in ([3, 7, 5], [2], [30, 1]):
        model = chain(39)
        ids = numbers(decoding.greedy(model, np.array(starts)[:, None], **settings))
        assert lengths_of(np.where(ids < 0, 0, ids + 1)).tolist() == starts
        assert len(model.steps) == max(starts) and model.steps[0] == len(starts)
    model = chain(39)
    starts = np.array([[3], [7]])
    decoding.beam_search(model, starts, num_beams=2, early_stopping="never", **settings)
    never = len(model.steps)
    model = chain(39)
    decoding.beam_search(model, starts, num_beams=2, length_penalty=0.0, **settings)
    assert 7 <= len(model.steps) <= 9 < never < 40
    assert model.steps[:2] == [2, 4]  # the first step has no beams yet


def test_a_prompt_is_read_at_once_as_far_as_all_reach(decoding):
    model = chain(30)
    starts = np.array([[20, 19, 18, 17, 16], [20, 19, 18, 17, -1]])
    ids = decoding.greedy(model, starts, max_length=3, end_id=0, pad_id=-1)
    assert numbers(ids).tolist() == [[15, 14, 13], [16, 15, 14]]
    assert len(model.steps) == 1 + 3


# Draws


def far_off(counts, probabilities):
    """Whether counts are too far from their probabilities: chi-square, one false alarm in 10⁶."""
    from scipy.stats import chi2

    drawn = probabilities > 0
    assert not counts[~drawn].any()
    expected = counts.sum() * probabilities[drawn]
    statistic = ((counts[drawn] - expected) ** 2 / expected).sum()
    return statistic > chi2.isf(1e-6, drawn.sum() - 1)


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


LOGITS = np.log([0.35, 0.25, 0.2, 0.12, 0.08])


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [0.35, 0.25, 0.2, 0.12, 0.08]),
        ({"temperature": 0.5}, softmax(LOGITS / 0.5)),
        ({"temperature": 2.0}, softmax(LOGITS / 2)),
        ({"top_k": 2}, [0.35 / 0.6, 0.25 / 0.6, 0, 0, 0]),
        ({"top_p": 0.7}, [0.35 / 0.8, 0.25 / 0.8, 0.2 / 0.8, 0, 0]),  # the third id crosses 0.7
        ({"top_p": 0.3}, [1, 0, 0, 0, 0]),
        (
            {"top_k": 3, "top_p": 0.6},
            [0.35 / 0.6, 0.25 / 0.6, 0, 0, 0],
        ),  # 0.35 + 0.25 of 0.8 is 0.75
        ({"suppress_ids": (1,)}, np.array([0.35, 0, 0.2, 0.12, 0.08]) / 0.75),
    ],
)
def test_ids_are_drawn_as_often_as_they_should_be(decoding, settings, expected):
    """20,000 draws at two places: the second must not depend on the first."""
    model = Table(np.tile(LOGITS, (5, 1)))
    starts = np.ones((20_000, 1), "int32")
    ids = numbers(
        decoding.sample(model, starts, max_length=2, end_id=-1, pad_id=-1, seed=1, **settings)
    )
    expected = np.asarray(expected)
    pairs = np.bincount(ids[:, 0] * 5 + ids[:, 1], minlength=25)
    assert not far_off(pairs, np.outer(expected, expected).ravel())
    other = np.roll(expected, 1)
    assert far_off(pairs, np.outer(expected, other).ravel() + 1e-12)


def test_the_same_seed_gives_the_same_text_and_a_generator_moves_on(decoding, keras, rng):
    model = translator(rng)
    source = sources(rng)

    def text(seed):
        found = decoding.sample(model, source, max_length=8, start_id=1, seed=seed, **PLAIN)
        return numbers(found).tolist()

    assert text(7) == text(7) != text(8)
    generator = keras.random.SeedGenerator(7)
    first = text(generator)
    assert first != text(generator)
    assert first == text(keras.random.SeedGenerator(7))


def test_the_penalty_divides_what_is_positive_and_multiplies_what_is_not(decoding):
    logits = np.array([[2.0, -2.0, 1.0, -1.0]] * 2, "float32")
    ids = np.array([[0, 1, 0], [2, -1, -1]])
    found = numbers(decoding.repetition_penalty(logits, ids, 2.0))
    assert found.tolist() == [[1.0, -4.0, 1.0, -1.0], [2.0, -2.0, 0.5, -1.0]]


# Graphs


def test_new_weights_are_used_without_a_new_graph(decoding, rng):
    model, source = translator(rng), sources(rng)

    def text():
        return numbers(decoding.greedy(model, source, max_length=8, start_id=1, **PLAIN)).tolist()

    before = text()
    randomized(model, rng)
    after = text()
    assert after != before
    assert len(compilation._graphs[model]) == 1
    compilation._graphs.pop(model)
    assert text() == after


def test_it_is_part_of_a_graph_of_ones_own(decoding, rng, backend):
    model, source = translator(rng), sources(rng)
    settings = {"max_length": 8, "start_id": 1} | PLAIN

    def both(source):
        return (
            decoding.greedy(model, source, **settings),
            decoding.beam_search(model, source, **settings)[0],
            decoding.sample(model, source, seed=3, **settings),
        )

    if backend == "jax":
        import jax

        graph = jax.jit(both)
    else:
        import tensorflow as tf

        graph = tf.function(both, input_signature=[tf.TensorSpec((None, None), "int32")])
    whole, beams, drawn = map(numbers, graph(source))
    assert (whole == numbers(decoding.greedy(model, source, **settings))).all()
    assert (beams == numbers(decoding.beam_search(model, source, **settings)[0])).all()
    assert drawn.shape == whole.shape


def test_a_model_is_let_go_with_its_graphs(decoding, rng):
    import gc
    import weakref

    model = translator(rng)
    decoding.greedy(model, sources(rng), max_length=4, start_id=1, **PLAIN)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_what_is_out_of_range_is_refused_by_name(decoding):
    model, start = Table(np.zeros((3, 3))), np.ones((1, 1), "int32")
    settings = {"max_length": 2, "end_id": 0}
    for name in ("temperature", "top_k", "top_p", "repetition_penalty"):
        with pytest.raises(ValueError, match=f"{name} = 0"):
            decoding.sample(model, start, seed=0, **{name: 0}, **settings)
    with pytest.raises(ValueError, match="num_return_sequences = 5 and num_beams = 4"):
        decoding.beam_search(model, start, num_return_sequences=5, **settings)
    with pytest.raises(ValueError, match="early_stopping = 'always'"):
        decoding.beam_search(model, start, early_stopping="always", **settings)
    with pytest.raises(ValueError, match="max_length = 0"):
        decoding.greedy(model, start, max_length=0, end_id=0)
