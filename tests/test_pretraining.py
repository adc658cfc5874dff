"""BERT: Hugging Face with copied weights, statistics of masks and pairs, runs that are killed.

Parity error is max|Δ| / max|reference|.
"""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import tracemalloc

import numpy as np
import pytest
from conftest import ROOT, installed, numbers

from course import runtime
from course.checks.judges import error as parity_error
from course.data import DataError
from course.tokens import Tokenizer

pytestmark = pytest.mark.backend

TIGHT = 1e-5
VOCABULARY, LENGTH = 60, 11
SIZES = [(1, 8, 2, 16), (2, 16, 4, 64), (3, 24, 3, 40)]  # layers, d_model, heads, d_ff


@pytest.fixture(scope="module")
def course(keras):
    from course import pretraining

    return pretraining


def randomized(model, rng):
    """The model with random numbers in every weight: zeros and ones would hide a slip."""
    for weight in model.weights:
        value = rng.normal(size=weight.shape) / 3 + ("gamma" in weight.path)
        weight.assign(value.astype("float32"))
    return model


def encoder(course, size=SIZES[1], **settings):
    return course.BertEncoder(VOCABULARY, *size, max_length=LENGTH, **settings)


def texts(rng, rows=4, length=9):
    """Ids and segments of padded pairs; the first row has no padding, the last one token."""
    ids = rng.integers(1, VOCABULARY, (rows, length)).astype("int32")
    lengths = np.array([length, *rng.integers(2, length, rows - 2), 1])[:, None]
    place = np.arange(length)
    segments = ((place >= lengths // 2) & (place < lengths)).astype("int32")
    return np.where(place < lengths, ids, 0).astype("int32"), segments


# Hugging Face, weight by weight


def reference(name, size, **settings):
    import transformers

    layers, d_model, heads, d_ff = size
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=d_model,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=d_ff,
        max_position_embeddings=LENGTH,
        **settings,
    )
    return getattr(transformers, name)(config).eval()


def copy_into(theirs, ours):
    """Puts our weights into a model of Hugging Face: ours is an encoder, or has one."""
    import torch

    def put(parameter, weight):
        value = numbers(weight)
        parameter.copy_(torch.from_numpy((value.T if "kernel" in weight.path else value).copy()))

    def dense(theirs, ours):
        put(theirs.weight, ours.kernel)
        put(theirs.bias, ours.bias)

    def norm(theirs, ours):
        put(theirs.weight, ours.gamma)
        put(theirs.bias, ours.beta)

    body, bert = getattr(ours, "encoder", ours), getattr(theirs, "bert", theirs)
    body = ours if hasattr(ours, "token_embedding") else body
    with torch.no_grad():
        tables = bert.embeddings
        put(tables.word_embeddings.weight, body.token_embedding.embeddings)
        put(tables.position_embeddings.weight, body.position_embedding.embeddings)
        put(tables.token_type_embeddings.weight, body.segment_embedding.embeddings)
        norm(tables.LayerNorm, body.embedding_norm)
        for layer, block in zip(bert.encoder.layer, body.encoder.blocks, strict=True):
            attention = block.self_attention
            for name in ("query", "key", "value"):
                dense(getattr(layer.attention.self, name), getattr(attention, f"{name}_dense"))
            dense(layer.attention.output.dense, attention.output_dense)
            norm(layer.attention.output.LayerNorm, block.attention_norm)
            dense(layer.intermediate.dense, block.feed_forward.inner)
            dense(layer.output.dense, block.feed_forward.outer)
            norm(layer.output.LayerNorm, block.feed_forward_norm)
        if bert.pooler is not None:
            dense(bert.pooler.dense, body.pooler)
        heads = getattr(theirs, "cls", None)
        if hasattr(heads, "predictions"):
            masked = getattr(ours, "masked_lm", ours)
            dense(heads.predictions.transform.dense, masked.transform)
            norm(heads.predictions.transform.LayerNorm, masked.transform_norm)
            put(heads.predictions.bias, masked.bias)
        if hasattr(heads, "seq_relationship"):
            dense(heads.seq_relationship, getattr(ours, "next_sentence", ours).classifier)
    return theirs


def answers(theirs, ids, segments, **more):
    import torch

    ids, segments = torch.from_numpy(ids).long(), torch.from_numpy(segments).long()
    with torch.no_grad():
        return theirs(ids, attention_mask=(ids != 0).long(), token_type_ids=segments, **more)


@pytest.mark.parity
@pytest.mark.parametrize("size", SIZES)
def test_the_encoder_is_bert_in_every_layer(course, rng, size, note):
    ours = randomized(encoder(course, size), rng)
    ids, segments = texts(rng)
    theirs = copy_into(reference("BertModel", size), ours)
    expected = answers(theirs, ids, segments, output_hidden_states=True)
    states = ours.hidden_states((ids, segments))
    sequence, pooled = ours((ids, segments))
    errors = [parity_error(a, b) for a, b in zip(states, expected.hidden_states, strict=True)]
    errors += [parity_error(sequence, expected.last_hidden_state)]
    errors += [parity_error(pooled, expected.pooler_output)]
    note(f"parity error with BertModel, {size}, all layers: {max(errors):.1e}")
    assert max(errors) < TIGHT


@pytest.mark.parity
@pytest.mark.parametrize("size", SIZES)
def test_the_heads_are_berts(course, rng, size, note):
    ids, segments = texts(rng)
    masked = randomized(course.MaskedLanguageModel(encoder(course, size)), rng)
    expected = answers(copy_into(reference("BertForMaskedLM", size), masked), ids, segments)
    errors = [parity_error(masked((ids, segments)), expected.logits)]
    following = randomized(course.NextSentence(encoder(course, size)), rng)
    theirs = copy_into(reference("BertForNextSentencePrediction", size), following)
    errors += [parity_error(following((ids, segments)), answers(theirs, ids, segments).logits)]
    note(f"parity error with BertForMaskedLM and NextSentence, {size}: {max(errors):.1e}")
    assert max(errors) < TIGHT


@pytest.mark.parity
def test_other_activations_and_epsilons_are_berts_too(course, rng):
    ids, segments = texts(rng)
    ours = randomized(encoder(course, activation="relu", epsilon=0.1), rng)
    theirs = reference("BertModel", SIZES[1], hidden_act="relu", layer_norm_eps=0.1)
    expected = answers(copy_into(theirs, ours), ids, segments).last_hidden_state
    assert parity_error(ours((ids, segments))[0], expected) < TIGHT


@pytest.mark.parity
def test_the_loss_of_both_tasks_is_berts(course, rng):
    import torch

    ours = randomized(course.BertForPretraining(encoder(course)), rng)
    theirs = copy_into(reference("BertForPreTraining", SIZES[1]), ours)
    (inputs, targets), labels = batch_of(rng), np.full((4, 9), -100)
    ids, segments, positions = inputs
    row, place = np.nonzero(targets[0])
    labels[row, positions[row, place]] = targets[0][row, place]
    expected = answers(
        theirs,
        ids,
        segments,
        labels=torch.from_numpy(labels),
        next_sentence_label=torch.from_numpy(targets[1]).long(),
    )
    loss = ours.compute_loss(y=targets, y_pred=ours(inputs))
    assert float(loss) == pytest.approx(float(expected.loss), rel=1e-5)


def batch_of(rng, counts=(2, 1, 1, 0)):
    """A batch of four rows in which so many tokens are to be predicted."""
    ids, segments = texts(rng)
    real = np.arange(2) < np.array(counts)[:, None]
    positions = np.where(real, [[1, 2], [1, 1], [0, 1], [0, 0]], 0).astype("int32")
    labels = np.where(real, rng.integers(1, VOCABULARY, (4, 2)), 0).astype("int32")
    return (ids, segments, positions), (labels, rng.integers(0, 2, 4).astype("int32"))


# The model


def test_the_official_sizes_are_those_of_the_releases(course):
    assert course.OFFICIAL["base"] == (12, 768) and course.OFFICIAL["large"] == (24, 1024)
    tiny = course.BertEncoder.official("tiny")
    assert tiny.count_params() == 4_385_920  # what transformers counts for bert_uncased_L-2_H-128
    block = tiny.encoder.blocks[0]
    assert (block.self_attention.num_heads, block.feed_forward.inner.units) == (2, 512)
    assert course.BertEncoder.official("tiny", 30, max_length=7).position_embedding.input_dim == 7
    with pytest.raises(ValueError, match="size = 'huge': choose one of tiny, mini"):
        course.BertEncoder.official("huge")


def test_padding_changes_nothing(course, rng):
    ours = randomized(encoder(course), rng)
    ids, segments = texts(rng)
    sequence, pooled = map(numbers, ours((ids, segments)))
    for row in (1, 3):
        real = int((ids[row] != 0).sum())
        alone, alone_pooled = ours((ids[row : row + 1, :real], segments[row : row + 1, :real]))
        assert parity_error(sequence[row : row + 1, :real], alone) < TIGHT
        assert parity_error(pooled[row : row + 1], alone_pooled) < TIGHT


def test_positions_from_an_offset_count_real_tokens_and_padding_has_the_row_before(course):
    ours = encoder(course, position_offset=2, pad_id=1, segments=1)
    ids = np.array([[0, 5, 6, 2, 1, 1], [5, 1, 6, 7, 1, 1]], "int32")
    assert numbers(ours.positions(ids)).tolist() == [[2, 3, 4, 5, 1, 1], [2, 1, 3, 4, 1, 1]]
    assert ours.position_embedding.input_dim == LENGTH + 2
    with pytest.raises(ValueError, match=f"12 positions and max_length is {LENGTH}"):
        ours((np.ones((1, 12), "int32"), np.zeros((1, 12), "int32")))


@pytest.mark.parametrize("segments", [0, 1])
def test_an_encoder_of_one_segment_or_none_does_not_look_at_segment_ids(course, rng, segments):
    ours = randomized(encoder(course, segments=segments), rng)
    ids, segment_ids = texts(rng)
    one, other = ours((ids, segment_ids)), ours((ids, 0 * segment_ids))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(numbers(a), numbers(b))


def test_an_output_that_is_not_tied_has_a_table_of_its_own(course, keras, rng, tmp_path):
    ours = randomized(course.BertForPretraining(encoder(course), tie_word_embeddings=False), rng)
    (ids, segments, positions), _ = batch_of(rng)
    before = numbers(ours((ids, segments, positions))[0])
    head = ours.masked_lm
    table = head.output_embeddings
    table.assign(2 * table)
    after = numbers(ours((ids, segments, positions))[0]) - numbers(head.bias)
    np.testing.assert_allclose(after, 2 * (before - numbers(head.bias)), rtol=1e-4, atol=1e-5)
    ours.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numbers(again.masked_lm.output_embeddings), numbers(table))


def test_a_text_that_is_too_long_and_a_setting_that_is_not_there_are_refused(course, rng):
    with pytest.raises(ValueError, match=f"12 positions and max_length is {LENGTH}"):
        encoder(course)((np.ones((1, 12), "int32"), np.zeros((1, 12), "int32")))
    with pytest.raises(TypeError, match="no setting 'norm'"):
        encoder(course, norm="pre")


def test_weights_are_drawn_as_berts_are(course):
    ours = course.BertEncoder.official("tiny")
    for weight in (
        ours.token_embedding.embeddings,
        ours.encoder.blocks[0].feed_forward.inner.kernel,
    ):
        drawn = numbers(weight)
        assert np.abs(drawn).max() <= 0.04001
        assert drawn.std() == pytest.approx(0.0176, rel=0.02)  # 0.02, cut off at two of it
    kernels = [numbers(b.self_attention.query_dense.kernel) for b in ours.encoder.blocks]
    assert not np.array_equal(*kernels)


@pytest.mark.parametrize("kind", ["BertEncoder", "MaskedLanguageModel", "BertForPretraining"])
def test_a_saved_model_comes_back(course, keras, rng, tmp_path, kind):
    ours = encoder(course, dropout=0.2, attention_dropout=0.3)
    ours = ours if kind == "BertEncoder" else getattr(course, kind)(ours)
    randomized(ours, rng)
    (ids, segments, positions), _ = batch_of(rng)
    inputs = (ids, segments, positions) if kind == "BertForPretraining" else (ids, segments)
    ours.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.get_config() == ours.get_config()
    found, wanted = again(inputs), ours(inputs)
    pairs = zip(found, wanted, strict=True) if isinstance(found, tuple) else [(found, wanted)]
    for a, b in pairs:
        np.testing.assert_array_equal(numbers(a), numbers(b))


def test_logits_at_places_are_the_logits_there(course, rng):
    ours = randomized(course.MaskedLanguageModel(encoder(course)), rng)
    ids, segments = texts(rng)
    positions = rng.integers(0, 9, (4, 3)).astype("int32")
    sequence, _ = ours.encoder((ids, segments))
    everywhere = numbers(ours((ids, segments)))
    wanted = everywhere[np.arange(4)[:, None], positions]
    assert parity_error(ours.logits_at(sequence, positions), wanted) < TIGHT


def test_the_token_embedding_is_the_output_projection(course, keras, rng):
    ours = course.BertForPretraining(encoder(course))
    table = ours.encoder.token_embedding.embeddings
    assert sum(weight is table for weight in ours.weights) == 1
    assert sum(np.prod(w.shape) == VOCABULARY * 16 for w in ours.weights) == 1


def test_figures_are_means_over_tokens_not_over_batches(course, keras, rng):
    ours = randomized(course.BertForPretraining(encoder(course, dropout=0.0)), rng)
    ours.compile("sgd", jit_compile=runtime.jit_compile())
    batches = [batch_of(rng, (2, 2, 1, 1)), batch_of(rng, (1, 0, 0, 0))]

    class Two(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return batches[index]

    told = ours.evaluate(Two(), return_dict=True, verbose=0)
    losses, hits = [], []
    for inputs, (labels, _) in batches:
        logits = numbers(ours(inputs)[0]).astype("float64")
        shares = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        row, place = np.nonzero(labels)
        losses += list(-shares[row, place, labels[row, place]])
        hits += list(logits[row, place].argmax(-1) == labels[row, place])
    assert len(losses) == 7
    assert told["masked_loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert told["masked_accuracy"] == pytest.approx(np.mean(hits), abs=1e-6)


def test_it_trains_in_float16(course, keras, rng):
    keras.utils.set_random_seed(0)
    ours = course.BertForPretraining(encoder(course, SIZES[0], dtype="mixed_float16", dropout=0.0))
    inputs, targets = batch_of(rng)
    assert numbers(ours(inputs)[0]).dtype == "float16"
    ours.compile(keras.optimizers.SGD(0.5), jit_compile=runtime.jit_compile())
    losses = ours.fit(inputs, targets, batch_size=4, epochs=12, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[-1] < 0.9 * losses[0]
    assert type(ours.optimizer).__name__ == "LossScaleOptimizer"


# Masks


@pytest.fixture(scope="module")
def stories(course):
    return list(course.documents(["world-stories/validation"]))


@pytest.fixture(scope="module")
def tokenizer(stories):
    return Tokenizer.learn([sentence for story in stories for sentence in story], 400)


@pytest.fixture(scope="module")
def corpus(course, stories, tokenizer):
    return course.Corpus.of(stories, tokenizer, 30)


def rows_of_ids(tokenizer, rng, rows=4000, length=41):
    """Rows as they are packed: `[CLS]`, text, `[SEP]`, text, `[SEP]`, padding; some `[UNK]`."""
    ids = rng.integers(5, tokenizer.vocab_size, (rows, length)).astype("int32")
    ids[:, 0], ids[:, 20] = tokenizer.start_id, tokenizer.end_id
    ids[rng.random(ids.shape) < 0.01] = tokenizer.unknown_id
    ends = rng.integers(22, length, rows)
    ids[np.arange(rows), ends] = tokenizer.end_id
    ids[np.arange(length) > ends[:, None]] = tokenizer.pad_id
    return ids


def unpacked(ids, positions, labels):
    """Masks back in their rows: which places were chosen, and what stood there."""
    row, place = np.nonzero(labels)
    chosen, original = np.zeros(ids.shape, bool), ids.copy()
    chosen[row, positions[row, place]] = True
    original[row, positions[row, place]] = labels[row, place]
    return chosen, original


@pytest.mark.parametrize("whole_words", [False, True])
def test_what_is_masked_and_what_never_is(course, tokenizer, rng, whole_words):
    ids = rows_of_ids(tokenizer, rng)
    before = ids.copy()
    masked, positions, labels = course.Masking(tokenizer, whole_words=whole_words)(ids, rng)
    np.testing.assert_array_equal(ids, before)
    assert masked.dtype == positions.dtype == labels.dtype == np.int32
    assert positions.shape == labels.shape == (4000, 7)  # 15 % of 41, rounded up
    chosen, original = unpacked(masked, positions, labels)
    np.testing.assert_array_equal(original, ids)  # labels are what stood there, the rest is intact
    special = np.isin(ids, [tokenizer.token_to_id(t) for t in tokenizer.vocabulary[:5]])
    assert tokenizer.vocabulary[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert not (chosen & special).any()
    wanted = np.maximum(np.rint(0.15 * (~special).sum(1)), 1)
    if whole_words:
        assert (chosen.sum(1) <= wanted).all() and chosen.sum() > 0.93 * wanted.sum()
    else:
        np.testing.assert_array_equal(chosen.sum(1), wanted)
    for row in range(50):  # places in order, and no place twice
        found = positions[row][labels[row] != 0]
        assert (np.diff(found) > 0).all()
    replaced = masked[chosen]
    assert set(replaced[replaced < 5]) <= {tokenizer.mask_id}


def test_of_the_chosen_tokens_8_in_10_are_hidden_1_is_another_and_1_stays(course, tokenizer, rng):
    """Each share within four standard deviations of a draw for each token by itself."""
    ids = rows_of_ids(tokenizer, rng, 8000)
    masked, positions, labels = course.Masking(tokenizer)(ids, rng)
    chosen, _ = unpacked(masked, positions, labels)
    hidden = masked[chosen] == tokenizer.mask_id
    same = masked[chosen] == ids[chosen]
    count, ordinary = chosen.sum(), tokenizer.vocab_size - 5

    def near(share, expected):
        return abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / count)

    assert near(hidden.mean(), 0.8)
    assert near(same.mean(), 0.1 + 0.1 / ordinary)  # a drawn token may be the one that stood there
    assert near((~hidden & ~same).mean(), 0.1 * (1 - 1 / ordinary))
    # Drawn for each token, not for a row: within a row the three mix.
    per_row = [masked[r][chosen[r]] == tokenizer.mask_id for r in range(2000)]
    means = [row.mean() for row in per_row if len(row) == 4]
    assert np.var(means) == pytest.approx(0.8 * 0.2 / 4, rel=0.2)
    # Every ordinary token is drawn, about equally often.
    drawn = np.bincount(masked[chosen][~hidden & ~same], minlength=tokenizer.vocab_size)
    assert drawn[:5].sum() == 0
    expected = drawn.sum() / ordinary
    chi = ((drawn[5:] - expected) ** 2 / expected).sum()
    assert abs(chi - ordinary) < 4 * np.sqrt(2 * ordinary)


def test_every_place_is_chosen_equally_often(course, tokenizer, rng):
    ids = np.full((20_000, 21), 9, "int32")
    ids[:, 0], ids[:, -1] = tokenizer.start_id, tokenizer.end_id
    _, positions, _ = course.Masking(tokenizer)(ids, rng)
    counts = np.bincount(positions[:, :3].ravel(), minlength=21)
    assert counts[0] == counts[20] == 0
    expected = 3 * 20_000 / 19
    assert (np.abs(counts[1:20] - expected) < 5 * np.sqrt(expected)).all()


def test_whole_words_are_chosen_whole(course, tokenizer, rng):
    ids = rows_of_ids(tokenizer, rng)
    masking = course.Masking(tokenizer, whole_words=True)
    chosen = masking.choose(ids, rng)
    continues = np.array([t.startswith("##") for t in tokenizer.vocabulary])[ids]
    special = ids < 5
    for row in range(500):
        words = []
        for place in np.flatnonzero(~special[row]):
            if continues[row, place] and place and not special[row, place - 1]:
                words[-1].append(place)
            else:
                words.append([place])
        assert all(len({bool(chosen[row, p]) for p in word}) == 1 for word in words)
    pieces = course.Masking(tokenizer).choose(ids, rng)
    torn = pieces[:, 1:] != pieces[:, :-1]
    assert (torn & continues[:, 1:] & ~special[:, :-1]).any()


def test_rows_with_little_or_no_text_have_one_place_or_none(course, tokenizer, rng):
    start, end, pad = tokenizer.start_id, tokenizer.end_id, tokenizer.pad_id
    ids = np.array([[start, 9, end, pad], [start, end, pad, pad]], "int32")
    masked, positions, labels = course.Masking(tokenizer)(ids, rng)
    np.testing.assert_array_equal(positions, [[1], [0]])
    np.testing.assert_array_equal(labels, [[9], [pad]])
    np.testing.assert_array_equal(masked[1], ids[1])
    with pytest.raises(ValueError, match="shares of 0 or more that sum to at most 1"):
        course.Masking(tokenizer, mask_share=0.9, random_share=0.2)


def test_official_vocabularies_have_more_that_is_never_drawn(course, shared_data):
    tokenizer = Tokenizer.from_vocab(shared_data / "bert_vocab" / "bert-base-uncased" / "vocab.txt")
    masking = course.Masking(tokenizer)
    names = [tokenizer.vocabulary[i] for i in np.flatnonzero(masking.special)]
    assert {"[UNK]", "[MASK]", "[unused0]", "[unused993]"} <= set(names)
    assert "[" in {tokenizer.vocabulary[i] for i in np.flatnonzero(~masking.special)}
    assert len(names) == 999


# Pairs


def drawn(course, corpus, room=61, seed=0):
    sentences, documents = np.array(corpus.sentences), np.array(corpus.documents)
    rng = np.random.default_rng(seed)
    return course.draw_pairs(sentences, documents, room, rng), sentences, documents


def test_a_second_text_follows_or_is_from_another_document(course, corpus):
    pairs, sentences, documents = drawn(course, corpus)
    starts, ends = set(sentences[:-1].tolist()), set(sentences[1:].tolist())
    home = np.searchsorted(sentences[documents], pairs.first, side="right")
    other = np.searchsorted(sentences[documents], pairs.second, side="right")
    followed = pairs.next_label == 0
    assert pairs.next_label.dtype == np.int32 and set(pairs.next_label) == {0, 1}
    first_end = pairs.first + pairs.first_length
    np.testing.assert_array_equal(first_end[followed], pairs.second[followed])
    np.testing.assert_array_equal(home == other, followed)
    assert (pairs.first_length > 0).all() and (pairs.second_length > 0).all()
    assert (pairs.first_length + pairs.second_length <= 61).all()
    # Whole sentences: from the beginning of one to the end of one.
    assert {*pairs.first.tolist(), *pairs.second.tolist()} <= starts
    assert set(first_end.tolist()) <= ends
    whole = [end in ends for end in (pairs.second + pairs.second_length).tolist()]
    assert np.mean(whole) > 0.99  # one from elsewhere is cut if there is no shorter one


def test_every_sentence_is_used_once(course, corpus):
    pairs, sentences, _ = drawn(course, corpus)
    followed = pairs.next_label == 0
    length = pairs.first_length + pairs.second_length
    ends = np.append(pairs.first[1:], sentences[-1])  # the next run begins where one ends
    np.testing.assert_array_equal((pairs.first + length)[followed], ends[followed])


def test_half_of_the_second_texts_are_exchanged_and_another_half_each_time(course, corpus):
    labels = np.stack([drawn(course, corpus, seed=seed)[0].next_label for seed in range(40)])
    alone = labels.min(axis=0) == 1  # a run of one sentence
    assert alone.mean() < 0.03
    told = labels[:, ~alone]
    assert abs(told.mean() - 0.5) < 4 * 0.5 / np.sqrt(told.size)
    assert 0.4 < (labels[0] != labels[1]).mean() < 0.6


def test_lengths_do_not_tell_what_followed(course, corpus):
    """No rule of one threshold on a length is right more often than by chance."""
    runs = [drawn(course, corpus, seed=seed)[0] for seed in range(20)]
    label = np.concatenate([pairs.next_label for pairs in runs])
    first = np.concatenate([pairs.first_length for pairs in runs])
    second = np.concatenate([pairs.second_length for pairs in runs])
    for length in (first, second, first + second):
        rules = [np.mean((length > limit) == label) for limit in range(62)]
        assert min(rules) > 0.47 and max(rules) < 0.53


def test_documents_of_one_sentence_have_only_second_texts_from_elsewhere(course, tokenizer):
    corpus = course.Corpus.of([["Anton lived in Foxley."], ["It was late."]] * 3, tokenizer)
    pairs, *_ = drawn(course, corpus)
    assert (pairs.next_label == 1).all() and (pairs.second_length > 0).all()


# Batches


def batches(course, corpus, tokenizer, **options):
    options = {"batch_size": 16, "max_length": 64, "seed": 3} | options
    return course.PretrainingBatches(corpus, tokenizer, **options)


def flat(batch):
    (ids, segments, positions), (labels, next_labels) = batch
    return ids, segments, positions, labels, next_labels


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(flat(one), flat(other), strict=True))


def test_a_row_is_cls_first_sep_second_sep(course, corpus, tokenizer):
    data = batches(course, corpus, tokenizer)
    for index in (0, 1, 2, len(data) - 1):
        ids, segments, positions, labels, next_labels = flat(data[index])
        assert all(a.dtype == np.int32 for a in flat(data[index]))
        assert len(ids) == len(next_labels) == 16 and ids.shape == segments.shape
        _, original = unpacked(ids, positions, labels)
        pairs = data._pairs(index)
        for row in range(16):
            first, second = (
                corpus.tokens[start[row] : start[row] + length[row]].tolist()
                for start, length in (
                    (pairs.first, pairs.first_length),
                    (pairs.second, pairs.second_length),
                )
            )
            start, end = tokenizer.start_id, tokenizer.end_id
            text = [start, *first, end, *second, end]
            padding = [tokenizer.pad_id] * (ids.shape[1] - len(text))
            if index != 1:  # the second batch of an epoch may be cut
                assert original[row].tolist() == text + padding
                wanted = [0] * (len(first) + 2) + [1] * (len(second) + 1) + [0] * len(padding)
                assert segments[row].tolist() == wanted
            assert next_labels[row] == pairs.next_label[row]


def test_an_epoch_depends_on_the_seed_and_its_number_only(course, corpus, tokenizer):
    data = batches(course, corpus, tokenizer)
    first = [data[i] for i in range(len(data))]
    backwards = [data[i] for i in reversed(range(len(data)))][::-1]
    assert all(map(same, first, backwards)) and same(data[-1], first[-1])
    data.epoch = 7
    later = data[2]
    assert not same(later, first[2])
    other = batches(course, corpus, tokenizer)
    other.epoch = 7
    assert same(other[2], later)
    other.epoch = 0
    assert same(other[2], first[2])
    assert not same(batches(course, corpus, tokenizer, seed=4)[2], first[2])


def test_masks_are_dynamic(course, corpus, tokenizer):
    """The same text is hidden elsewhere in another epoch, and in one epoch each row once."""
    data = batches(course, corpus, tokenizer, multiple=64)
    seen = {}
    for _ in range(2):
        for batch in data:
            ids, _, positions, labels, _ = flat(batch)
            _, original = unpacked(ids, positions, labels)
            for row in range(16):
                first = original[row, : list(original[row]).index(tokenizer.end_id)].tobytes()
                seen.setdefault(first, []).append(positions[row].tobytes())
    assert data.epoch == 2
    twice = [masks for masks in seen.values() if len(masks) == 2]
    assert len(twice) > 50
    assert np.mean([masks[0] != masks[1] for masks in twice]) > 0.98


def test_validation_has_one_draw_for_ever(course, corpus, tokenizer):
    data = batches(course, corpus, tokenizer, shuffle=False)
    once, again = list(data), list(data)
    assert all(map(same, once, again))


@pytest.mark.parametrize("max_length", [32, 48, 64])
def test_the_first_two_batches_differ_in_every_width_that_varies(
    course, corpus, tokenizer, max_length
):
    data = batches(course, corpus, tokenizer, max_length=max_length, multiple=16, batch_size=4)
    for epoch in range(3):
        data.epoch = epoch
        shapes = [data[i][0][0].shape[1] for i in range(len(data))]
        places = [data[i][0][2].shape[1] for i in range(len(data))]
        assert shapes[0] == max_length and shapes[1] < max_length
        assert places[0] != places[1]
        assert set(shapes) <= set(range(16, max_length + 1, 16))


def test_batches_of_full_rows_are_cut_once_an_epoch(course, tokenizer):
    text = [["one two three four five six."] * 40] * 4
    corpus = course.Corpus.of(text, tokenizer)
    data = batches(course, corpus, tokenizer, multiple=16, batch_size=8)
    ids, segments, _, _, _ = flat(data[1])
    assert ids.shape[1] < 64 and (ids == tokenizer.end_id).sum(1).tolist() == [2] * 8
    assert (segments.max(axis=1) == 1).all()


@pytest.mark.needs_tf
def test_it_goes_straight_into_fit(course, keras, corpus, tokenizer, backend):
    if backend != "tensorflow":
        pytest.skip("only TensorFlow concludes from two batches which widths vary")
    data = batches(course, corpus, tokenizer, batch_size=64)
    body = course.BertEncoder(tokenizer.vocab_size, 1, 16, 2, 32, max_length=64)
    model = course.BertForPretraining(body)
    model.compile(keras.optimizers.SGD(0.5), jit_compile=runtime.jit_compile())
    history = model.fit(data, epochs=2, shuffle=False, verbose=0).history
    assert data.epoch == 2
    assert history["masked_loss"][1] < history["masked_loss"][0]


def test_a_corpus_in_blocks_is_dealt_out_whole(course, corpus, tokenizer):
    data = batches(course, corpus, tokenizer, block=3000, multiple=64, batch_size=4)
    assert len(data._counts) > 5
    for epoch in range(2):
        data.epoch = epoch
        seen = np.concatenate([data._pairs(i).first for i in range(len(data))])
        assert len(seen) == len(set(seen.tolist())) == 4 * len(data)
        ends = corpus.sentences[corpus.documents[data._edges]]
        blocks = np.searchsorted(ends, seen, side="right") - 1
        assert (np.bincount(blocks) == 4 * data._counts).all()
    whole = batches(course, corpus, tokenizer, multiple=64, batch_size=4)
    assert len(data) > len(whole) - len(data._counts)  # what fills no batch is left out


def test_too_little_text_and_too_short_rows_are_refused(course, tokenizer):
    one = course.Corpus.of([["A dog.", "A cat."]], tokenizer)
    with pytest.raises(ValueError, match="the corpus has 1 documents"):
        batches(course, one, tokenizer)
    two = course.Corpus.of([["A dog.", "A cat."]] * 2, tokenizer)
    with pytest.raises(ValueError, match="no room for two texts"):
        batches(course, two, tokenizer, max_length=4)
    assert len(batches(course, two, tokenizer)) == 1  # fewer rows than a batch has


DIGEST = """
import hashlib, sys
from course import pretraining
from course.tokens import Tokenizer

def digest(folder):
    tokenizer = Tokenizer.load(folder)
    data = pretraining.PretrainingBatches(
        pretraining.Corpus.open(folder + "/corpus"), tokenizer, batch_size=16, max_length=64
    )
    told = hashlib.sha256()
    for (ids, segments, positions), (labels, following) in data:
        for array in (ids, segments, positions, labels, following):
            told.update(array.tobytes())
    return told.hexdigest()
"""


@pytest.mark.slow
@pytest.mark.skipif(not installed("tensorflow", "jax"), reason="needs both backends")
def test_both_backends_get_the_same_arrays(course, stories, tokenizer, backend, tmp_path):
    tokenizer.save(tmp_path)
    course.Corpus.write(tmp_path / "corpus", stories, tokenizer, 30)
    here = {}
    exec(DIGEST, here)
    (other,) = {"tensorflow", "jax"} - {backend}
    done = subprocess.run(
        [sys.executable, "-c", DIGEST + "print(digest(sys.argv[1]))", tmp_path],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "KERAS_BACKEND": other},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == here["digest"](str(tmp_path))


# Text


def test_sentences_end_where_one_sees_it(course):
    text = "He said “Stop!” She did. Was it 3.5 or 4?\nA line  \n\n真的吗？是的。好"
    assert course.sentences(text) == [
        "He said “Stop!”",
        "She did.",
        "Was it 3.5 or 4?",
        "A line",
        "真的吗？",
        "是的。",
        "好",
    ]


def test_documents_of_data_sets_and_files(course, tmp_path):
    plain, packed = tmp_path / "a.txt", tmp_path / "b.txt.gz"
    plain.write_text("One. Two.\nThree.\n\n\nA heading\n\nFour.\n\nA last one", encoding="utf-8")
    packed.write_bytes(gzip.compress(b"Five.\n"))
    found = list(course.documents([plain, str(packed)]))
    assert found == [["One.", "Two.", "Three."], ["A heading", "Four."], ["A last one"], ["Five."]]
    verdicts = list(course.documents("world-verdicts"))
    assert len(verdicts) == 6000 and "".join(verdicts[0]).startswith("I did not find")
    summaries = list(course.documents(["world-summaries/validation/summary"]))
    assert len(summaries) == 200


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("no/such/file.txt", "no such file"),
        ("world-stories/winter", "winter"),
        ("world-en-de", "no column of text called 'text'; it has id, source"),
        ("world-stories/train/facts", "no column of text called 'facts'"),
    ],
)
def test_a_source_that_is_not_there_is_named(course, source, says):
    with pytest.raises(DataError, match=says):
        list(course.documents([source]))


def test_running_text_is_divided_at_empty_lines_and_never_grows_too_long(
    course, shared_data, monkeypatch
):
    monkeypatch.setenv("COURSE_DATA", str(shared_data))
    found = list(course.documents("wikitext2/valid"))
    assert found[0][0] == "= Homarus gammarus ="
    assert 500 < len(found) < 1000 and min(map(len, found)) > 1
    monkeypatch.setattr("course.pretraining.text.MOST", 10)
    assert max(map(len, course.documents("tinyshakespeare/all"))) == 10


def test_a_corpus_on_a_disk_is_that_in_memory(course, stories, tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("course.pretraining.text.TOKENIZED", 100)
    texts = [*stories[:40], [], ["   "], ["word " * 70]]
    memory = course.Corpus.of(texts, tokenizer, 30)
    disk = course.Corpus.write(tmp_path / "corpus", texts, tokenizer, 30, {"a": 1})
    for corpus in (disk, course.Corpus.open(tmp_path / "corpus")):
        for name in ("tokens", "sentences", "documents"):
            np.testing.assert_array_equal(getattr(corpus, name), getattr(memory, name))
        assert corpus.note == {"a": 1} and corpus.tokens.dtype == np.uint16
    assert len(memory.documents) - 1 == 41  # documents without a token are none
    assert np.diff(memory.sentences).max() == 30
    expected = tokenizer.encode(" ".join(stories[0]), special=False)
    assert memory.tokens[: len(expected)].tolist() == expected
    assert course.Corpus.open(tmp_path / "nowhere") is None


def test_a_corpus_that_was_half_written_does_not_count(course, tokenizer, tmp_path):
    def broken():
        yield ["A dog."]
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        course.Corpus.write(tmp_path / "corpus", broken(), tokenizer)
    assert course.Corpus.open(tmp_path / "corpus") is None


def test_text_larger_than_memory_is_streamed(course, stories, tokenizer, tmp_path, monkeypatch):
    """What Python holds at a time is a small part of the ids, both in writing and in reading."""
    monkeypatch.setattr("course.pretraining.text.TOKENIZED", 500)
    few = stories[:50]
    size = 0
    tracemalloc.start()
    try:
        many = (few[i % 50] for i in range(2500))
        corpus = course.Corpus.write(tmp_path / "corpus", many, tokenizer)
        data = batches(course, corpus, tokenizer, block=20_000)
        for index in range(0, len(data), 7):
            data[index]
        size = sum(array.nbytes for array in (corpus.tokens, corpus.sentences, corpus.documents))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size > 1e6
    assert peak < size / 2


# A run

TINY = {
    "vocab_size": 300,
    "num_layers": 1,
    "d_model": 32,
    "num_heads": 2,
    "d_ff": 64,
    "max_positions": 48,
    "max_length": 48,
    "batch_size": 8,
    "gradient_accumulation_steps": 2,
    "multiple": 24,
    "max_steps": 30,
    "warmup_steps": 5,
    "round_steps": 6,
}


def test_the_rate_of_each_update_is_that_of_the_schedule(course, keras):
    """Of two batches that make an update, the second is what Keras looks the rate up for."""
    from course.training import WarmupLinear

    recipe, model = course.Recipe(**TINY), keras.Sequential([keras.layers.Dense(1)])
    model.build((None, 1))
    optimizer = recipe.optimizer(model)
    wanted = WarmupLinear(recipe.learning_rate, 5, 30)
    for update in range(30):
        optimizer._iterations.assign(2 * update + 1)
        assert float(optimizer.learning_rate) == pytest.approx(float(wanted(update)), rel=1e-5)


def test_a_learned_vocabulary_comes_from_a_fair_sample():
    import random

    from course.pretraining.recipe import _sample

    assert _sample(range(5), 9, random.Random(0)) == [0, 1, 2, 3, 4]
    drawn = [_sample(iter(range(50)), 10, random.Random(seed)) for seed in range(400)]
    counts = np.bincount(np.concatenate(drawn), minlength=50)
    assert all(len(set(sample)) == 10 for sample in drawn)
    assert (np.abs(counts - 80) < 5 * np.sqrt(80)).all()


@pytest.fixture(scope="module")
def run(course, tmp_path_factory):
    """A short run, and its folder."""
    folder = tmp_path_factory.mktemp("run")
    recipe = course.Recipe(
        **{**TINY, "learning_rate": 0.01, "gradient_accumulation_steps": 1, "multiple": 48}
    )
    sources, held_out = ["world-verdicts/validation"], ["world-verdicts/test"]
    model, log = course.pretrain(recipe, sources, folder, validation=held_out)
    return model, log, folder, recipe


def test_a_run_learns_and_its_model_comes_back(course, run, rng):
    model, log, folder, _ = run
    assert [line["step"] for line in log] == [6, 12, 18, 24, 30]
    assert log[-1]["val_masked_loss"] < log[0]["val_masked_loss"] - 0.15
    for which in ("last", "best"):
        again, tokenizer = course.load_pretrained(folder, which)
        assert tokenizer.vocab_size == 300
        if which == "last":
            for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)
    with pytest.raises(FileNotFoundError, match="no finished run"):
        course.load_pretrained(folder / "elsewhere")
    found = course.fill_mask(again, tokenizer, "I liked the [MASK], and [MASK] it.", 3)
    assert [len(top) for top in found] == [3, 3]
    shares = [share for _, share in found[0]]
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 1
    with pytest.raises(ValueError, match=r"no \[MASK\]"):
        course.fill_mask(again, tokenizer, "I liked it.")


def test_other_text_or_another_recipe_in_the_same_folder_is_refused(course, run):
    _, _, folder, recipe = run
    with pytest.raises(ValueError, match="was made of"):
        course.pretrain(recipe, ["world-verdicts/test"], folder)
    other = course.Recipe(**{**recipe.__dict__, "d_ff": 32})
    with pytest.raises(ValueError, match="holds a run with other settings"):
        course.pretrain(other, ["world-verdicts/validation"], folder)


def test_it_goes_on_from_a_checkpoint_on_other_text(course, run, tmp_path):
    from course import checkpoints

    model, _, folder, recipe = run
    tokenizer = course.load_pretrained(folder)[1]
    checkpoints.save_bert(model, tmp_path / "start", tokenizer=tokenizer)
    still = {
        "max_steps": 2,
        "warmup_steps": 1,
        "round_steps": 2,
        "learning_rate": 1e-9,
        "vocab_size": 280,
    }
    again, _ = course.pretrain(
        course.Recipe(**{**recipe.__dict__, **still}),
        ["world-verdicts/test"],
        tmp_path / "run",
        start=(start := checkpoints.pretraining_start(tmp_path / "start")),
    )
    assert course.load_pretrained(tmp_path / "run")[1].vocab_size == tokenizer.vocab_size == 300
    for a, b in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    wider = course.Recipe(**{**recipe.__dict__, "d_model": 64})
    with pytest.raises(ValueError, match=r"has the shape \(300, 64\) by the recipe"):
        course.pretrain(wider, ["world-verdicts/test"], tmp_path / "other", start=start)


def test_a_recipe_that_cannot_work_is_refused_before_anything_is_read(course, tmp_path):
    for settings, says in (
        ({"max_length": 64}, "max_length = 64 and max_positions = 48"),
        ({"warmup_steps": 30}, "warm-up has to end before"),
    ):
        with pytest.raises(ValueError, match=says):
            course.pretrain(course.Recipe(**{**TINY, **settings}), ["nothing"], tmp_path / "run")
    assert not (tmp_path / "run").exists()


# The command


# XLA takes long over a step that sometimes updates: on TensorFlow alone.
ACCUMULATE = 2 if os.environ["KERAS_BACKEND"] == "tensorflow" else 1


def arguments(folder, *more):
    settings = {**TINY, "max_steps": 36, "multiple": 48, "gradient_accumulation_steps": ACCUMULATE}
    found = ["train", "bert-pretrain", "--data", "world-verdicts/validation", "--out", folder]
    for name, value in settings.items():
        found += ["--set", f"{name}={value}"]
    return [str(argument) for argument in (*found, "--deterministic", *more)]


def command(folder):
    return subprocess.Popen(
        [sys.executable, "-m", "course.cli", *arguments(folder)],
        env={**os.environ, "PYTHONPATH": str(ROOT), "JAX_COMPILATION_CACHE_DIR": f"{folder}-jax"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finished(process):
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, err
    return out


def outcome(folder):
    """Every bit of the last checkpoint, and the figures of the log."""
    from safetensors.numpy import load_file

    arrays = load_file(sorted((folder / "checkpoints").glob("*.safetensors"))[-1])
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    for line in log:
        del line["seconds"], line["cpu_seconds"]
    return {name: array.tobytes() for name, array in arrays.items()}, log


@pytest.mark.slow
def test_a_killed_run_ends_as_one_that_was_not(course, tmp_path):
    """The command, killed after its first checkpoint and run again: every bit is the same."""
    whole, process = command(tmp_path / "whole"), command(tmp_path / "killed")
    first = tmp_path / "killed" / "checkpoints" / f"step-{6 * ACCUMULATE:08d}.safetensors"
    while not first.exists() and process.poll() is None:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "recipe.json").exists()
    assert "36 updates" in finished(whole)
    finished(command(tmp_path / "killed"))
    arrays, log = outcome(tmp_path / "whole")
    resumed, resumed_log = outcome(tmp_path / "killed")
    steps = [6 * ACCUMULATE * i for i in range(1, 7)]
    assert resumed_log == log and [line["step"] for line in log] == steps
    assert resumed.keys() == arrays.keys()
    assert [name for name in arrays if resumed[name] != arrays[name]] == []

    from course import checkpoints

    loaded = checkpoints.load_bert(tmp_path / "whole" / "bert")
    model, _ = course.load_pretrained(tmp_path / "whole")
    for a, b in zip(loaded.get_weights(), model.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("more", "says"),
    [(("--set", "layers=2"), "there is no 'layers'"), (("--data", "no.txt"), "no such file")],
)
def test_a_setting_or_a_text_that_does_not_exist_is_refused(tmp_path, more, says):
    from typer.testing import CliRunner

    from course.cli.main import app

    done = CliRunner().invoke(app, arguments(tmp_path / "run", *more))
    assert done.exit_code == 2 and says in done.output.replace("\n", " ")
    assert not (tmp_path / "run" / "checkpoints").exists()


# The course's own checkpoint


@pytest.fixture(scope="module")
def own(course):
    from course import checkpoints

    folder = course.world_bert()
    model = checkpoints.load_bert(folder, course.BertForPretraining)
    return model, checkpoints.load_tokenizer(folder), folder


def test_the_courses_own_checkpoint_is_pretrained_and_small(course, own):
    """On stories and verdicts that it has not seen, by the draw that its log's figures are of."""
    model, tokenizer, folder = own
    assert sum(path.stat().st_size for path in folder.iterdir()) < 8e6
    corpus = course.Corpus.of(
        course.documents(["world-stories/test", "world-verdicts/test"]), tokenizer, 30
    )
    data = course.PretrainingBatches(corpus, tokenizer, max_length=64, shuffle=False, multiple=64)
    model.compile(jit_compile=runtime.jit_compile())
    told = model.evaluate(data, return_dict=True, verbose=0)
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert told["masked_loss"] == pytest.approx(log[-1]["val_masked_loss"], abs=0.2)
    assert told["masked_accuracy"] == pytest.approx(log[-1]["val_masked_accuracy"], abs=0.04)
    assert told["masked_accuracy"] > 0.5 and told["next_accuracy"] > 0.65
    (top,) = course.fill_mask(model, tokenizer, "Anton lived in [MASK].", 20)
    assert {"foxley", "greyport", "saltness"} <= {token for token, _ in top}


@pytest.mark.parity
def test_transformers_opens_the_courses_own_checkpoint(own):
    import torch
    import transformers

    model, tokenizer, folder = own
    theirs = transformers.BertForPreTraining.from_pretrained(folder).eval()
    their_tokenizer = transformers.BertTokenizer.from_pretrained(folder)
    texts = ("Anton lived in [MASK].", "He owed money to nobody.")
    given = their_tokenizer(*texts, return_tensors="pt")
    ids = tokenizer.encode(*texts, read_special=True)
    assert given["input_ids"][0].tolist() == ids
    with torch.no_grad():
        expected = theirs(**given)
    inputs = given["input_ids"].numpy().astype("int32"), given["token_type_ids"].numpy()
    assert parity_error(model.masked_lm(inputs), expected.prediction_logits) < TIGHT
    assert parity_error(model.next_sentence(inputs), expected.seq_relationship_logits) < TIGHT


def test_windows_text_and_a_folder_of_texts_are_read(course, tmp_path):
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbfOne.\r\nTwo.\r\n\r\nThree.\r\nFour.\r\n")
    (tmp_path / "a.txt").write_text("Five. Six.")
    (tmp_path / "c.png").write_bytes(b"\x89PNG")
    expected = [["Five.", "Six."], ["One.", "Two."], ["Three.", "Four."]]
    assert list(course.documents([tmp_path])) == expected
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no text in this folder"):
        list(course.documents([tmp_path / "empty"]))
