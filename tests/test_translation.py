"""Translation: the loss against float64 and torch, batches, a trained and killed run, scores."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from conftest import ROOT, numbers
from typer.testing import CliRunner

from course import data, runtime, training, translation
from course.cli import main as cli_main
from course.tokens import Tokenizer
from course.transformer import Transformer

pytestmark = pytest.mark.backend

PAIRS = [("The cat sleeps.", "Die Katze schläft."), ("A dog barks at the cat.", "Ein Hund bellt.")]


def softmax(logits):
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def smoothed_by_hand(labels, logits, smoothing, pad_id):
    """-Σ q log p in float64, token by token."""
    losses = []
    for label, row in zip(labels.ravel(), logits.reshape(-1, logits.shape[-1]), strict=True):
        if label == pad_id:
            continue
        q = np.full(len(row), smoothing / (len(row) - 1))
        q[pad_id] = 0
        q[label] += 1 - smoothing
        assert q.sum() == pytest.approx(1)
        losses.append(-(q * np.log(softmax(row.astype("float64")))).sum())
    return np.mean(losses)


@pytest.mark.parametrize("pad_id", [0, 4])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.4])
def test_the_loss_is_the_cross_entropy_with_softened_targets(rng, smoothing, pad_id):
    labels = rng.integers(0, 7, (3, 5)).astype("int32")
    labels[1, 2:] = pad_id
    logits = rng.normal(size=(3, 5, 7)).astype("float32") * 3
    loss = translation.label_smoothed_loss(labels, logits, smoothing, pad_id)
    expected = smoothed_by_hand(labels, logits, smoothing, pad_id)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parity
def test_without_smoothing_the_loss_is_torchs_cross_entropy(rng):
    import torch

    labels = rng.integers(0, 7, (3, 5)).astype("int32")
    logits = rng.normal(size=(3, 5, 7)).astype("float32") * 3
    criterion = torch.nn.CrossEntropyLoss(ignore_index=0)
    torchs = criterion(torch.tensor(logits).reshape(-1, 7), torch.tensor(labels).long().ravel())
    assert float(translation.label_smoothed_loss(labels, logits, 0.0)) == pytest.approx(
        float(torchs), rel=1e-5
    )


def test_padding_counts_neither_in_the_loss_nor_in_the_accuracy(rng):
    labels = np.array([[3, 2, 0, 0]], "int32")
    logits = np.zeros((1, 4, 5), "float32")
    logits[0, 0, 3] = logits[0, 1, 4] = 9  # one right, one wrong
    assert float(translation.masked_accuracy(labels, logits)) == 0.5
    before = float(translation.label_smoothed_loss(labels, logits))
    logits[0, 2:] = rng.normal(size=(2, 5)) * 100
    assert float(translation.label_smoothed_loss(labels, logits)) == before
    assert float(translation.masked_accuracy(labels, logits)) == 0.5
    assert float(translation.masked_accuracy(np.zeros((1, 4), "int32"), logits)) == 0


def small(keras, **settings):
    keras.utils.set_random_seed(0)
    sizes = {"source_vocab_size": 19, "target_vocab_size": 19}
    return Transformer(1, 8, 2, 16, **sizes, dropout=0.0, **settings)


def batch(rng):
    source, ids = (rng.integers(1, 19, (4, 6)).astype("int32") for _ in range(2))
    source[0, 3:] = ids[1, 4:] = 0
    return (source, ids[:, :-1]), ids[:, 1:]


@pytest.mark.parametrize(
    "settings",
    [{"tie_embeddings": "all"}, {"tie_embeddings": "target", "output_bias": True}, {}],
    ids=["tied", "tied with a bias", "apart"],
)
def test_teacher_forcing_computes_the_loss_without_a_second_look_at_the_logits(
    keras, rng, settings
):
    model = small(keras, **settings)
    for weight in model.trainable_weights:  # biases are zero at first
        weight.assign(weight.value + 0.1 * rng.normal(size=weight.shape))
    x, y = batch(rng)
    teacher = translation.TeacherForcing(model, smoothing=0.2)
    teacher.compile("sgd", jit_compile=runtime.jit_compile())
    found = teacher.compute_loss(x, y, teacher(x))
    plain = float(translation.label_smoothed_loss(y, model(x), 0.2))
    assert float(found) == pytest.approx(plain, rel=1e-5)


def test_teacher_forcing_has_the_gradients_of_the_plain_loss(keras, backend, rng):
    x, y = batch(rng)
    moved = []
    for plain in (False, True):
        model = small(keras, tie_embeddings="all")
        before = [numbers(weight) for weight in model.trainable_weights]
        if plain:
            trained = model
            loss = lambda y, logits: translation.label_smoothed_loss(y, logits)  # noqa: E731
            model.compile(keras.optimizers.SGD(1.0), loss, jit_compile=runtime.jit_compile())
        else:
            trained = translation.TeacherForcing(model)
            trained.compile(keras.optimizers.SGD(1.0), jit_compile=runtime.jit_compile())
        trained.train_on_batch(x, y)
        after = [numbers(weight) for weight in model.trainable_weights]
        moved.append([b - a for a, b in zip(before, after, strict=True)])
    largest = max(np.abs(m).max() for m in moved[1])
    for a, b in zip(*moved, strict=True):
        assert np.abs(a - b).max() < 1e-5 * largest


def test_the_reported_cross_entropy_is_a_mean_over_tokens_not_over_batches(keras, rng):
    model = small(keras, tie_embeddings="all")
    teacher = translation.TeacherForcing(model, smoothing=0.1)
    teacher.compile("sgd", jit_compile=runtime.jit_compile())
    x, y = batch(rng)
    parts = [((x[0][:3], x[1][:3]), y[:3]), ((x[0][3:], x[1][3:, :2]), y[3:, :2])]

    class Data(keras.utils.PyDataset):
        def __len__(self):
            return 2

        def __getitem__(self, index):
            return parts[index]

    told = teacher.evaluate(Data(), return_dict=True, verbose=0)
    losses, counts = zip(
        *(
            (float(translation.label_smoothed_loss(b, model(a), 0.0)), (b != 0).sum())
            for a, b in parts
        ),
        strict=True,
    )
    assert told["nll"] == pytest.approx(np.average(losses, weights=counts), rel=1e-5)
    assert told["nll"] != pytest.approx(np.mean(losses), rel=1e-3)


# Pairs


def test_a_pair_becomes_source_shifted_input_and_labels():
    tokenizer = Tokenizer.learn([text for pair in PAIRS for text in pair], 120)
    batches = translation.pair_batches(tokenizer, PAIRS, 64, shuffle=False)
    (source, given), labels = batches[0]
    start, end = tokenizer.start_id, tokenizer.end_id
    for row in range(len(source)):
        real = labels[row] != tokenizer.pad_id
        assert given[row, 0] == start
        assert labels[row][real][-1] == end and source[row][source[row] != 0][-1] == end
        np.testing.assert_array_equal(given[row][1:][real[1:]], labels[row][:-1][real[1:]])
    assert tokenizer.decode(source[0]).lower() == PAIRS[0][0].lower()


def test_an_empty_sentence_is_named_before_anything_is_trained(tmp_path):
    with pytest.raises(ValueError, match="pair 1 has an empty target"):
        translation.train_translator(translation.Recipe(), [("a", "b"), ("c", " ")], tmp_path)


# Training

TINY = {
    "vocab_size": 300,
    "kind": "wordpiece",
    "num_layers": 1,
    "d_model": 32,
    "num_heads": 2,
    "d_ff": 64,
    "dropout": 0.1,
    "max_tokens": 512,
    "warmup_steps": 20,
    "round_steps": 10,
    "keep": 2,
}

PROGRAM = """
    import hashlib, json, sys
    import keras
    from course import translation

    folder, steps, stop_after, tiny = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    pairs = translation.load_pairs("world-en-de", "train")[:400]

    class Stop(keras.callbacks.Callback):
        steps = 0
        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1
            if self.steps == stop_after:
                print("here", flush=True)
                import time; time.sleep(600)

    recipe = translation.Recipe(max_steps=steps, **{**json.loads(tiny), "round_steps": 8})
    translator, log = translation.train_translator(
        recipe, pairs, folder, validation=pairs[:40], callbacks=[Stop()], deterministic=True
    )
    figures = [[line[k] for k in ("step", "epoch", "loss", "nll", "val_nll")] for line in log]
    bits = b"".join(weights.tobytes() for weights in translator.model.get_weights())
    print(json.dumps({"log": figures, "weights": hashlib.sha256(bits).hexdigest()}))
"""


@pytest.mark.slow
def test_a_killed_training_ends_as_one_that_was_not(program):
    run, tiny = program(PROGRAM), json.dumps(TINY)
    whole = run("whole", 24, 0, tiny)
    run("killed", 24, 13, tiny, kill=True)
    assert run("killed", 24, 0, tiny) == whole


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A translator that has learnt twelve pairs by heart, and its folder."""
    folder = tmp_path_factory.mktemp("run")
    pairs = translation.load_pairs("world-en-de", "train")[:12]
    recipe = translation.Recipe(
        **{**TINY, "dropout": 0.0, "label_smoothing": 0.0, "learning_rate": 0.02}
    )
    recipe = translation.Recipe(
        **{**recipe.__dict__, "max_steps": 240, "round_steps": 80, "keep": 1}
    )
    translator, _ = translation.train_translator(recipe, pairs, folder, validation=pairs)
    return translator, pairs, folder


@pytest.mark.slow
def test_what_was_learnt_by_heart_is_translated_in_the_order_of_the_texts(trained):
    translator, pairs, folder = trained
    sources, targets = zip(*pairs, strict=True)
    assert translation.bleu(translator(sources), targets)["score"] > 90
    assert translator(sources[::-1]) == translator(sources)[::-1]
    assert translator(sources, num_beams=4, max_tokens=64) == translator(sources, num_beams=4)
    again = translation.load_translator(folder, "best")
    assert len(again(sources)) == 12
    with pytest.raises(FileNotFoundError, match="no finished run"):
        translation.load_translator(folder / "elsewhere")


LOADER = """
    import json, sys
    import tensorflow as tf
    import tensorflow_text
    translate = tf.saved_model.load(sys.argv[1])
    found = translate(tf.constant(json.loads(sys.argv[2])))
    assert not {"course", "tokenizers"} & {name.split(".")[0] for name in sys.modules}
    print(json.dumps([text.decode() for text in found.numpy()]))
"""


@pytest.mark.slow
@pytest.mark.needs_tf
def test_an_exported_translator_needs_tensorflow_and_tensorflow_text_only(
    trained, backend, tmp_path
):
    translator, pairs, _ = trained
    sources = [source for source, _ in pairs]
    if backend != "tensorflow":
        with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
            translation.export_translator(translator, tmp_path / "out")
        return
    pytest.importorskip("tensorflow_text")
    translation.export_translator(translator, tmp_path / "out", num_beams=4)
    with pytest.raises(ValueError, match="is not empty"):
        translation.export_translator(translator, tmp_path / "out")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LOADER), tmp_path / "out", json.dumps(sources)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == translator(sources, num_beams=4)


# Scores


def test_bleu_and_chrf_are_sacrebleus_with_their_signatures():
    import sacrebleu

    found = ["The cat sat on the mat.", "It rains today, again."]
    wanted = ["The cat sat on a mat.", "It is raining again today."]
    score = translation.bleu(found, wanted)
    assert score["score"] == pytest.approx(sacrebleu.corpus_bleu(found, [wanted]).score)
    assert "tok:13a" in score["signature"] and "version:" in score["signature"]
    assert "tok:zh" in translation.bleu(["我爱猫。"], ["我爱狗。"], language="zh")["signature"]
    chrf = translation.chrf(found, wanted)["score"]
    assert chrf == pytest.approx(sacrebleu.corpus_chrf(found, [wanted]).score)
    with pytest.raises(ValueError, match="2 hypotheses and 1 references"):
        translation.bleu(found, wanted[:1])


def test_pairs_that_nobody_divided_are_divided_so_that_no_sentence_is_on_two_sides(monkeypatch):
    # Each sentence occurs twice: with its neighbour on one side, and with that on the other.
    chain = [(f"e{i}", f"z{j}") for i in range(900) for j in (i, i // 9 * 9)]
    chain += [("Hello", "e5")]  # one text in two languages ties nothing together
    rows = [{"en": e, "zh": z, "attribution": ""} for e, z in chain]
    monkeypatch.setattr(data, "load", lambda name, split: rows if split == "all" else None)
    splits = {
        split: translation.load_pairs("tatoeba-en-zh", split, "en", "zh")
        for split in ("train", "validation", "test")
    }
    assert sorted(pair for pairs in splits.values() for pair in pairs) == sorted(chain)
    assert 0.05 < len(splits["test"]) / len(chain) < 0.2
    assert splits["validation"]
    for side in (0, 1):
        seen = [{pair[side] for pair in pairs} for pairs in splits.values()]
        assert sum(map(len, seen)) == len(set().union(*seen))
    with pytest.raises(ValueError, match=r"'val2'.* divided into train, validation, test"):
        translation.load_pairs("tatoeba-en-zh", "val2", "en", "zh")


def test_pairs_of_a_named_data_set(shared_data, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(shared_data))
    pairs = translation.load_pairs("multi30k", "validation", "en", "de")
    assert len(pairs) == 1014 and all(len(pair) == 2 for pair in pairs)


# The command


def course(*arguments, **more):
    command = [sys.executable, "-m", "course.cli", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=400, **more)


@pytest.mark.slow
def test_course_train_translation_trains_scores_and_goes_on(tmp_path):
    settings = [f"{name}={json.dumps(value)}" for name, value in TINY.items()]
    arguments = ["train", "translation", "--data", "world-en-de", "--out", tmp_path / "run"]
    for setting in [*settings, "max_steps=20"]:
        arguments += ["--set", setting]
    done = course(*arguments, "--test", "validation", "--num-beams", "1")
    assert done.returncode == 0, done.stderr
    assert "BLEU" in done.stdout and "nrefs:1" in done.stdout and "20 steps" in done.stdout
    log = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in log] == [10, 20]
    assert course(*arguments).returncode == 0
    assert (tmp_path / "run" / "log.jsonl").read_text().splitlines() == log
    assert training.checkpoints(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "says"),
    [("layers=2", "there is no 'layers'"), ("max_steps=many", "expected a value like 8000")],
)
def test_a_setting_that_does_not_exist_or_fit_is_refused(tmp_path, setting, says):
    arguments = ["train", "translation", "--data", "world-en-de", "--out", str(tmp_path / "run")]
    done = CliRunner().invoke(cli_main.app, [*arguments, "--set", setting])
    assert done.exit_code == 2
    assert says in done.stderr.replace("\n", " ")
    assert not (tmp_path / "run").exists()
