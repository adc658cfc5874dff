"""Use mine: a student's parts in the library's models, against the library's own."""

import json
import re

import keras
import numpy as np
import pytest
from keras import ops

from course import attention, exercises
from course.lab import handout, made_with, setup, use, use_library
from course.lab.use_mine import switch
from course.lab.use_mine.calling import PartFailed
from course.lab.use_mine.parts import PARTS

pytestmark = pytest.mark.backend


def solutions():
    """A namespace with the solutions' own answers of every part."""
    from course.attention import MultiHeadAttention

    scope = {"np": np, "ops": ops, "keras": keras, "MultiHeadAttention": MultiHeadAttention}
    scope["__name__"] = "__main__"
    for part in PARTS:
        text = handout.solution(part.declared)
        exec(text, scope)
    return scope


@pytest.fixture(scope="module")
def answers():
    return solutions()


@pytest.fixture(autouse=True)
def library_again(monkeypatch):
    monkeypatch.delenv("COURSE_SEED", raising=False)
    yield
    switch._in_use.clear()
    switch._put_in_place()


@pytest.fixture
def seen(capsys):
    return lambda: capsys.readouterr().out


def put(answers, *names):
    """Puts answers in place without their checks, which other tests run."""
    for part in PARTS:
        if not names or part.name in names:
            answer = answers[part.name]
            answer = getattr(answer, part.method) if part.method else answer
            switch._in_use[part.exercise] = switch.calling.Mine(part, answer)
    switch._put_in_place()


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.exercise)
def test_a_solution_in_its_place_computes_what_the_library_does(part, answers):
    mine = switch.calling.Mine(
        part, getattr(answers[part.name], part.method) if part.method else answers[part.name]
    )
    difference, _ = switch._compare(part, mine)
    assert mine.calls and difference <= switch.TOLERANCE, difference
    assert not switch._in_use and not switch._replaced


def test_a_slow_answer_warns_with_the_factor_and_a_wrong_one_is_not_used(course_home, seen):
    def layer_norm(x, gain, bias, epsilon=1e-5):
        rows = ops.reshape(x, (-1, x.shape[-1]))
        made = []
        for row in rows if len(rows.shape) else []:
            for _ in range(3):
                mean = ops.mean(row)
                variance = ops.mean((row - mean) ** 2)
            made.append((row - mean) / ops.sqrt(variance + epsilon) * gain + bias)
        return ops.reshape(ops.stack(made), x.shape)

    use(layer_norm)
    shown = seen()
    assert re.search(r"Your layer_norm is right and takes \d+ times the time", shown), shown
    assert 'use_library("layer_norm")' in shown
    use_library(layer_norm)
    assert "The library's parts are in use." in seen()

    def layer_norm(x, gain, bias, epsilon=1e-5):
        return x * gain + bias

    use(layer_norm)
    shown = seen()
    assert "Your layer_norm does not pass its check, so the library's is used." in shown
    assert not switch.parts_in_use()


def test_a_part_that_fails_later_is_named_with_the_way_back(answers):
    def make_mask(token_ids, causal=False, pad_id=0):
        if token_ids.shape[1] > 20:
            raise ValueError("too long for me")
        return answers["make_mask"](token_ids, causal, pad_id)

    put({**answers, "make_mask": make_mask}, "make_mask")
    attention.padding_mask(ops.ones((2, 5), "int32"))
    with pytest.raises(PartFailed) as raised:
        attention.padding_mask(ops.ones((2, 30), "int32"))
    said = str(raised.value)
    assert "Your make_mask (lesson 02, Causal and padding masks) failed here" in said
    assert "ValueError: too long for me. It was given int32 (2, 30)." in said
    assert 'use_library("make_mask")' in said


def test_what_passed_is_kept_with_what_it_stands_on_and_loaded_only_if_it_passes(
    course_home, answers, seen
):
    for name in ("masked_attention", "multi_head_attention", "feed_forward_sublayer"):
        declared = exercises.defining(name)
        text = "\n\n".join(
            handout.solution(exercises.defining(each))
            for each in ("masked_attention", "layer_norm")
        )
        source = f"from keras import ops\n\n{text}\n\n{handout.solution(declared)}\n"
        kept = {"exercise": declared.id, "source": source, "versions": {"keras": "1.0"}}
        path = course_home / "mine" / f"{declared.id}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(kept))
    setup("translation", mine=True)
    shown = seen()
    assert "Yours in use: masked_attention, multi_head_attention, feed_forward_sublayer." in shown
    path.write_text(json.dumps(kept | {"source": source.replace("ops.relu(", "ops.gelu(")}))
    use_library()
    seen()
    setup("translation", mine=True)
    shown = seen()
    assert "Your feed_forward_sublayer does not pass its check any more (keras 1.0 then," in shown
    assert "Yours in use: masked_attention, multi_head_attention." in shown


def test_grading_runs_on_the_library(monkeypatch, course_home, seen, answers):
    monkeypatch.setenv("COURSE_SEED", "11")
    setup("start", mine=True)
    use(answers["make_mask"])
    assert seen().count("This notebook is being graded: the library's parts are used.") == 2
    assert not switch.parts_in_use()


def test_misuse_is_answered_with_a_sentence(seen):
    use("double")
    assert "No part of the library can be replaced by double" in seen()
    use("nosuch")
    assert "There is no exercise 'nosuch'" in seen()
    made_with()
    assert seen().startswith("This was made with the library's parts.")


def translator(seed=0, dropout=0.0):
    """A small translator, trained for some steps on made-up pairs; (losses, weights, words)."""
    from course import decoding, translation
    from course.training import InverseSquareRoot
    from course.transformer import Transformer

    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    sizes = {"source_vocab_size": 24, "target_vocab_size": 24}
    model = Transformer(1, 16, 2, 32, **sizes, dropout=dropout, max_length=32)
    trained = translation.TeacherForcing(model, smoothing=0.1)
    trained.compile(
        optimizer=keras.optimizers.SGD(InverseSquareRoot(16, 20)),
        jit_compile=keras.backend.backend() == "jax",
    )
    source = rng.integers(3, 24, (8, 7)).astype("int32")
    source[::2, 5:] = 0
    labels = np.concatenate([source[:, ::-1], np.full((8, 1), 2)], axis=1).astype("int32")
    inputs = np.concatenate([np.ones((8, 1), "int32"), labels[:, :-1]], axis=1)
    losses = [
        float(trained.train_on_batch((source, inputs), labels, return_dict=True)["loss"])
        for _ in range(4)
    ]
    greedy = decoding.greedy(model, source[:3], max_length=8, start_id=1, end_id=2)
    beams, _ = decoding.beam_search(
        model, source[:2], max_length=6, start_id=1, end_id=2, num_beams=2
    )
    return losses, [ops.convert_to_numpy(w) for w in model.weights], greedy, beams


@pytest.mark.slow
def test_a_translator_trained_on_the_solutions_of_lessons_02_to_06_is_the_librarys(answers, seen):
    theirs = translator()
    lessons = ("attention", "positions", "transformer", "translation", "decoding")
    put(answers, *(p.name for p in PARTS if p.declared.lesson in lessons))
    ours = translator()
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5)
    for mine, library in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(mine, library, atol=2e-6)
    for mine, library in zip(ours[2:], theirs[2:], strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(mine), ops.convert_to_numpy(library))
    made_with()
    shown = seen()
    for what in ("masks", "heads", "positions", "encoder blocks", "schedule", "beam search"):
        assert what in shown.partition("Not needed")[0], shown


def test_gradients_go_through_a_part(answers):
    put(answers)
    x = ops.convert_to_tensor(np.random.default_rng(0).normal(size=(2, 5, 16)).astype("float32"))
    layer = attention.MultiHeadAttention(2, 16)
    layer.build(x.shape)

    if keras.backend.backend() == "jax":
        import jax

        gradient = jax.grad(lambda x: ops.sum(layer(x) ** 2))(x)
    else:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = ops.sum(layer(x) ** 2)
        gradient = tape.gradient(loss, x)
    assert float(ops.max(ops.abs(gradient))) > 0


def bert():
    """A small BERT, trained for some steps on hidden tokens; (losses, {path: weight})."""
    from course.pretraining import BertEncoder, BertForPretraining, masking
    from course.training.optimizers import adamw

    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    encoder = BertEncoder(30, 1, 16, 2, 32, max_length=12, dropout=0.0, activation="gelu")
    model = BertForPretraining(encoder)
    optimizer = adamw(model, 1e-3)
    model.compile(optimizer=optimizer, jit_compile=keras.backend.backend() == "jax")
    ids = rng.integers(5, 30, (6, 10)).astype("int32")
    losses = []
    for _ in range(3):
        draws = rng.random((3, *ids.shape))
        shown, labels = masking.mask_tokens(ids, draws, np.arange(5), 4, 30, 0.3)
        places = np.broadcast_to(np.arange(10, dtype="int32"), ids.shape)
        inputs = (shown.astype("int32"), np.zeros_like(ids), places)
        targets = (labels.astype("int32"), np.array([0, 1] * 3, "int32"))
        logs = model.train_on_batch(inputs, targets, return_dict=True)
        losses.append(float(logs["loss"]))
    return losses, {w.path: ops.convert_to_numpy(w) for w in model.trainable_weights}


@pytest.mark.slow
def test_a_bert_trained_on_the_solutions_is_the_librarys(answers, seen):
    theirs = bert()
    put(answers)
    ours = bert()
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-5)
    for mine, (path, library) in zip(ours[1].values(), theirs[1].items(), strict=True):
        if not path.endswith("key/bias"):  # its gradient is 0, and Adam divides rounding by itself
            np.testing.assert_allclose(mine, library, atol=2e-5, err_msg=path)
    made_with()
    ran = seen().partition("Not needed")[0]
    assert all(what in ran for what in ("heads", "encoder blocks", "masking", "AdamW")), ran
