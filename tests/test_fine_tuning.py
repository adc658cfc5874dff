"""Fine-tuning: batches, scores, the data check, a killed run, strings in and labels out."""

import json
import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from conftest import PROVING, ROOT, installed, numbers

from course import checkpoints, data, fine_tuning, training
from course.data import DataError
from course.fine_tuning import BertClassifier, ExampleBatches, Examples
from course.fine_tuning.answers import answer_task
from course.fine_tuning.baselines import BagOfWords
from course.pretraining import BertEncoder, MaskedLanguageModel
from course.tokens import Tokenizer

pytestmark = pytest.mark.backend

SIZES = {"num_layers": 2, "d_model": 16, "num_heads": 2, "d_ff": 32, "max_length": 40}
GOOD = "a fine film,a lovely book,what a great story,the best play of the year,i liked it".split(
    ","
)
BAD = "a dull film,a boring book,what a poor story,the worst play of the year,i hated it".split(",")
TEXTS, LABELS = [*GOOD, *BAD], [1] * 5 + [0] * 5


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.learn(TEXTS, 120, min_frequency=1)


def make(keras, vocab_size=120, num_labels=2, seed=0, **more):
    keras.utils.set_random_seed(seed)
    return BertClassifier(BertEncoder(vocab_size, **SIZES | more), num_labels)


# Pairs and their truncation


def test_a_long_first_text_does_not_push_out_the_second(tokenizer):
    long, short = " ".join(GOOD * 4), "a dull film"
    for text, pair in ((long, short), (short, long)):
        (ids,) = fine_tuning.encode(tokenizer, [text], [pair], max_length=20)
        assert len(ids) == 20 and ids.count(tokenizer.end_id) == 2
        first = ids[1 : ids.index(tokenizer.end_id)]
        second = ids[ids.index(tokenizer.end_id) + 1 : -1]
        kept = second if text is long else first
        assert tokenizer.decode(kept) == short
        assert len(first) + len(second) == 17
    with pytest.raises(ValueError, match="no room for text: at least 5"):
        fine_tuning.encode(tokenizer, [long], [short], max_length=4)


def test_segments_are_0_up_to_the_first_sep_and_1_behind_it(tokenizer):
    rows = fine_tuning.encode(tokenizer, ["a fine film"] * 2, ["a dull book", "i liked it"])
    batches = ExampleBatches(rows, [1, 0], 2, pad_id=tokenizer.pad_id, end_id=tokenizer.end_id)
    (ids, segments), _ = batches[0]
    for row, segment in zip(ids.tolist(), segments.tolist(), strict=True):
        middle, last = (i for i, id_ in enumerate(row) if id_ == tokenizer.end_id)
        expected = [0] * (middle + 1) + [1] * (last - middle) + [0] * (len(row) - last - 1)
        assert segment == expected
    wanted = tokenizer.tokenize("a fine film", "a dull book").segment_ids
    place = next(i for i, row in enumerate(ids.tolist()) if row[: len(rows[0])] == rows[0])
    assert segments[place, : len(wanted)].tolist() == wanted


# Batches


def rows_of(rng, count, longest=90):
    return [[i + 10, *rng.integers(10, 50, rng.integers(1, longest)), 3] for i in range(count)]


def batches_of(rows, size=16, **more):
    return ExampleBatches(rows, list(range(len(rows))), size, pad_id=0, end_id=3, **more)


def test_an_epoch_has_every_example_once_in_batches_of_one_size(rng):
    rows = rows_of(rng, 203)
    batches = batches_of(rows)
    seen = []
    for (ids, segments), labels in batches:
        assert ids.shape == segments.shape and ids.shape[0] == 16 == len(labels)
        assert ids.dtype == segments.dtype == labels.dtype == "int32"
        for row, label in zip(ids, labels, strict=True):
            real = row[row != 0].tolist()
            assert real == ([] if label < 0 else [int(i) for i in rows[label]])
            seen.append(int(label))
    assert sorted(seen) == [-1] * (13 * 16 - 203) + list(range(203))


def test_an_epoch_depends_on_seed_and_number_only_and_hardly_pads(rng):
    rows = rows_of(rng, 1000)

    def epoch(number, seed=0):
        batches = batches_of(rows, seed=seed)
        batches.epoch = number
        return [labels.tolist() for _, labels in batches]

    through = batches_of(rows)
    three = [[labels.tolist() for _, labels in through] for _ in range(3)]
    assert three[2] == epoch(2) != three[1] and epoch(2) != epoch(2, seed=1)
    naive = 1 - np.mean([len(row) for row in rows]) / max(map(len, rows))
    assert through.padding < 0.15 < naive
    widths = {ids.shape[1] for (ids, _), _ in batches_of(rows_of(rng, 400, 500))}
    assert len(widths) <= 16


def test_the_first_two_batches_differ_in_width_where_any_do(rng):
    rows = [[5] * 6 for _ in range(60)] + [[5] * 30]
    for epoch in range(5):
        batches = batches_of(rows, 8)
        batches.epoch = epoch
        assert batches[0][0][0].shape[1] != batches[1][0][0].shape[1]
    batches = batches_of(rows, 8, shuffle=False)
    assert sorted(int(i) for n in range(len(batches)) for i in batches.rows(n)) == list(range(61))
    with pytest.raises(ValueError, match="2 rows and 1 labels"):
        ExampleBatches([[1], [2]], [0], pad_id=0, end_id=3)


# Scores


@pytest.mark.parametrize("classes", [2, 3])
def test_scores_are_those_of_their_definitions(rng, classes):
    labels, said = rng.integers(0, classes, (2, 90))
    confusion = fine_tuning.confusion_matrix(labels, said, classes)
    assert confusion[1, 0] == ((labels == 1) & (said == 0)).sum()
    found = {name: figure.value for name, figure in fine_tuning.scores(confusion).items()}
    assert found["accuracy"] == pytest.approx((labels == said).mean(), abs=1e-6)
    f1 = []
    for c in range(classes):
        hits = ((labels == c) & (said == c)).sum()
        f1.append(2 * hits / ((labels == c).sum() + (said == c).sum()))
    assert found["f1"] == pytest.approx(f1[1] if classes == 2 else np.mean(f1), abs=1e-6)
    one, other = (np.eye(classes)[x] - np.eye(classes)[x].mean(0) for x in (labels, said))
    r = (one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum())  # Gorodkin's R_K
    assert found["matthews"] == pytest.approx(r, abs=1e-5)
    if classes == 2:
        assert r == pytest.approx(np.corrcoef(labels, said)[0, 1])


def test_scores_without_a_quotient_are_0_and_not_nan():
    found = fine_tuning.scores([[7, 0], [3, 0]])  # it always says class 0
    assert (found["f1"].value, found["matthews"].value) == (0, 0)
    assert found["accuracy"].value == pytest.approx(0.7)
    perfect = fine_tuning.scores([[5, 0], [0, 5]])
    assert perfect["matthews"].value == pytest.approx(1) == perfect["f1"].value
    with pytest.raises(ValueError, match="no rows"):
        fine_tuning.scores([[0, 0], [0, 0]])
    with pytest.raises(ValueError, match="as many of both"):
        fine_tuning.confusion_matrix([1, 0], [1], 2)


def test_accuracys_interval_is_wilsons_and_the_others_hold_their_value(rng):
    # 8 of 10: Wilson's interval as Brown, Cai and DasGupta's formula 4 gives it by hand.
    low, high = fine_tuning.scores([[4, 1], [1, 4]])["accuracy"][1:]
    middle, half = (8 + 1.96**2 / 2) / (10 + 1.96**2), 1.96 * 10**0.5 / (10 + 1.96**2)
    half *= (0.8 * 0.2 + 1.96**2 / 40) ** 0.5
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=1e-4)
    assert fine_tuning.scores([[5, 0], [0, 5]])["accuracy"].high == pytest.approx(1)
    # Of samples with a known Matthews' coefficient, about 95 in 100 intervals hold it.
    true = np.array([[0.35, 0.15], [0.1, 0.4]])
    wanted = fine_tuning.scores((true * 1e6).astype(int))["matthews"].value
    held = 0
    for seed in range(100):
        confusion = rng.multinomial(300, true.ravel()).reshape(2, 2)
        figure = fine_tuning.scores(confusion, seed)["matthews"]
        assert figure.low <= figure.value <= figure.high
        held += figure.low <= wanted <= figure.high
    assert 88 <= held <= 100


# The model


def test_what_fills_up_a_batch_counts_neither_in_the_loss_nor_in_the_scores(keras, rng):
    model = make(keras)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape) * 0.3)
    model.compile("sgd", jit_compile=False)
    rows = [[int(i) for i in row] for row in rows_of(rng, 21, 20)]
    labels = [i % 2 for i in range(21)]
    batches = ExampleBatches(rows, labels, 8, pad_id=0, end_id=3, shuffle=False)
    told = model.evaluate(batches, return_dict=True, verbose=0)
    rows, labels = zip(
        *sorted(zip(rows, labels, strict=True), key=lambda x: len(x[0])), strict=True
    )
    ids = np.zeros((21, 24), "int32")
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
    logits = numbers(model((ids, np.zeros_like(ids)))).astype("float64")
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(21), labels]
    hits = logits.argmax(axis=1) == labels
    assert told["nll"] == pytest.approx(losses.mean(), rel=1e-5)
    assert told["accuracy"] == pytest.approx(hits.mean(), abs=1e-6)
    assert told["error"] == pytest.approx(1 - hits.mean(), abs=1e-6)
    # A mean over batches is another number: the last has 5 rows of 8.
    over_batches = np.mean([losses[i : i + 8].mean() for i in (0, 8, 16)])
    assert told["nll"] != pytest.approx(over_batches, rel=1e-4)


def test_a_classifier_survives_its_config_and_drops_out_in_training_only(keras, rng):
    model = make(keras, num_labels=3)
    copy = BertClassifier.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    ids = rng.integers(10, 50, (2, 9)).astype("int32")
    x = (ids, np.zeros_like(ids))
    np.testing.assert_array_equal(numbers(model(x)), numbers(copy(x)))
    assert np.abs(numbers(model(x, training=True)) - numbers(model(x))).max() > 0
    with pytest.raises(ValueError, match="nothing to choose from"):
        make(keras, num_labels=1)


@pytest.mark.parity
@pytest.mark.parametrize("num_labels", [2, 5])
def test_transformers_classifier_and_ours_are_one(keras, rng, tmp_path, num_labels):
    import torch
    import transformers

    names = [f"name {i}" for i in range(num_labels)]
    model = make(keras, num_labels=num_labels)
    for weight in model.trainable_weights:
        weight.assign(rng.normal(size=weight.shape) * 0.3)
    ids = rng.integers(10, 50, (3, 9)).astype("int32")
    ids[1, 6:] = 0
    x = (ids, (np.arange(9) > 4) * (ids != 0).astype("int32"))

    def theirs(model):
        given = (torch.tensor(part).long() for part in (x[0], ids != 0, x[1]))
        with torch.no_grad():
            return model.eval()(*given).logits.numpy()

    checkpoints.save_bert(model, tmp_path / "ours", labels=names)
    kind = transformers.BertForSequenceClassification
    opened, info = kind.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info.values())
    assert [opened.config.id2label[i] for i in range(num_labels)] == names
    wanted = theirs(opened)
    assert np.abs(numbers(model(x)) - wanted).max() < 1e-5 * np.abs(wanted).max()

    opened.save_pretrained(tmp_path / "theirs")
    again = checkpoints.load_bert(
        tmp_path / "theirs", lambda encoder: BertClassifier(encoder, num_labels)
    )
    for a, b in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# The optimizer


@pytest.mark.parity
def test_the_recipes_optimizer_is_torchs_over_20_steps_of_small_gradients(keras, rng, tmp_path):
    import torch
    from transformers import get_linear_schedule_with_warmup

    model = make(keras)
    recipe = fine_tuning.Recipe(str(tmp_path), warmup_steps=6, learning_rate=3e-2, weight_decay=0.1)
    optimizer = recipe.optimizer(model, steps=30)
    variables = model.trainable_variables
    optimizer.build(variables)
    theirs = [torch.nn.Parameter(torch.tensor(numbers(v))) for v in variables]
    plain = [v.name in ("bias", "gamma", "beta") for v in variables]
    assert 0 < sum(plain) < len(plain)
    groups = [
        {"params": [p for p, n in zip(theirs, plain, strict=True) if n == flag], "weight_decay": d}
        for flag, d in ((False, 0.1), (True, 0.0))
    ]
    peer = torch.optim.AdamW(groups, lr=3e-2, eps=1e-8)
    schedule = get_linear_schedule_with_warmup(peer, 6, 30)
    peer.step()  # without gradients it does nothing
    schedule.step()  # its first rate is 0 and ours is the one after
    clipped = 0
    for step in range(20):
        size = 10.0 ** rng.uniform(-7, 1)  # those that epsilon matters for, and those clipped
        gradients = [(rng.normal(size=v.shape) * size).astype("float32") for v in variables]
        clipped += sum((g**2).sum() for g in gradients) > 1
        optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], variables)
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = torch.tensor(gradient)
        torch.nn.utils.clip_grad_norm_(theirs, 1.0)
        peer.step()
        schedule.step()
        for ours, parameter in zip(variables, theirs, strict=True):
            wanted = parameter.detach().numpy()
            assert np.abs(numbers(ours) - wanted).max() < 1e-5 * np.abs(wanted).max(), step
    assert 0 < clipped < 20


def test_a_warm_up_longer_than_the_training_says_what_to_set(keras, tmp_path):
    recipe = fine_tuning.Recipe.classic(str(tmp_path))
    with pytest.raises(ValueError, match=r"warmup_steps = 500, and 3 epochs are 90.*a tenth, 9"):
        recipe.optimizer(make(keras), steps=90)
    with pytest.raises(ValueError, match='choose "error" or "nll"'):
        fine_tuning.Recipe(str(tmp_path), best_by="f1")


def test_the_classic_recipe_is_the_one_of_other_libraries():
    recipe = fine_tuning.Recipe.classic("out")
    classic = {"epochs": 3, "batch_size": 16, "eval_batch_size": 64, "warmup_steps": 500}
    classic |= {"weight_decay": 0.01, "clipnorm": 1.0}
    assert {name: getattr(recipe, name) for name in classic} == classic


# The data check


def table(path, *rows, header="text,label"):
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return path


ROWS = [f"{text},{'good' if label else 'bad'}" for text, label in zip(TEXTS, LABELS, strict=True)]


def test_a_users_file_becomes_a_task_with_rows_held_out(tmp_path):
    rows = [f"{row.split(',')[0]} {i},{row.split(',')[1]}" for i in range(10) for row in ROWS]
    rows += rows  # each text twice: both stay on one side
    path = table(tmp_path / "a.csv", *rows)
    task = fine_tuning.read_task(path)
    assert task.labels == ("bad", "good")
    train, held = task.splits["train"], task.splits["validation"]
    assert len(train) + len(held) == 200 and len(held) == 20
    assert not set(train.texts) & set(held.texts)
    assert 0.3 < np.mean(held.labels) < 0.7
    assert "are held out" in task.notes[0] and "rows occur twice" in " ".join(task.notes)
    assert fine_tuning.read_task(path).splits == task.splits
    assert fine_tuning.read_task(path, seed=1).splits != task.splits
    assert "good" in task.table() and "train: 180 rows" in task.table()


def test_json_lines_of_pairs_with_columns_of_other_names(tmp_path):
    path = tmp_path / "pairs.jsonl"
    lines = [
        {"a": text, "b": GOOD[0], "y": label + 9} for text, label in zip(TEXTS, LABELS, strict=True)
    ]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    columns = {"text": "a", "text2": "b", "label": "y"}
    task = fine_tuning.read_task(path, validation=path, tests=[path], **columns)
    assert task.labels == ("9", "10")  # numbers in their order
    assert task.splits["train"].pairs == [GOOD[0]] * 10
    assert task.splits.keys() == {"train", "validation", "pairs"}
    assert task.splits["train"].labels == LABELS


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["a fine film,good", ",bad"], r"row 3, column 'text': empty; expected text"),
        (["a fine film,good", "a dull film,"], r"row 3, column 'label': empty"),
        (["a fine film,good", "a dull,film,bad"], r"row 3: 3 cells; expected 2"),
        (["a fine film,good", "a dull film,good"], r"'label' is 'good' in all 2 rows"),
        ([f"film {i},{i / 7}" for i in range(200)], r"200 different values in 200 rows.*right col"),
    ],
)
def test_a_bad_file_is_named_with_row_and_column(tmp_path, rows, says):
    with pytest.raises(DataError, match=r"a\.csv.*(\n.*)?" + says):
        fine_tuning.read_task(table(tmp_path / "a.csv", *rows))


def test_faults_of_all_files_are_told_at_once(tmp_path):
    train = table(tmp_path / "train.csv", *ROWS)
    held = table(tmp_path / "held.csv", "a film,goood", "a book,bad", "a play,1")
    odd = tmp_path / "test.jsonl"
    odd.write_text('{"text": 5, "label": "good"}\n')
    with pytest.raises(DataError) as caught:
        fine_tuning.read_task(train, validation=held, tests=[odd])
    told = str(caught.value)
    assert "held.csv: 2 problems" in told
    assert "row 2, column 'label': 'goood' is no label of the training rows" in told
    assert "'bad' or 'good'; is it only written differently?" in told
    assert "row 4, column 'label': '1' is no label" in told
    assert "test.jsonl: 1 problem" in told and "row 1, column 'text': 5; expected text" in told


def test_bad_encoding_a_missing_column_and_a_missing_file_are_named(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\nfine,good\nträge,bad\n".encode("latin-1"))
    with pytest.raises(DataError, match="row 3: byte 0xe4 is not UTF-8"):
        fine_tuning.read_task(path)
    with pytest.raises(DataError, match=r"no column 'label'; found 'text', 'Label'.*Did you mean"):
        fine_tuning.read_task(table(tmp_path / "b.csv", *ROWS, header="text,Label"))
    with pytest.raises(DataError, match="no such file"):
        fine_tuning.read_task(tmp_path / "c.csv")
    with pytest.raises(DataError, match=r"world-en-de has no columns text and label.*sst2"):
        fine_tuning.read_task("world-en-de")


def test_what_is_odd_is_told_with_its_rows(tmp_path):
    train = table(tmp_path / "train.csv", *ROWS, "A  Fine Film,bad")
    held = table(tmp_path / "held.csv", "a lovely book,good", "something new,good")
    notes = fine_tuning.read_task(train, validation=held).notes
    assert "train: 1 rows occur twice (row 12 is row 2)" in notes
    assert any("row 12, and train row 2" in note for note in notes)
    assert "validation: 1 rows occur in train too (row 2 is row 3)" in notes
    assert "validation has no row of 'bad'" in notes


def test_training_texts_that_other_splits_show_can_be_left_out():
    train = Examples(["fine film", "a dull film", "dull", "Fine  film."], [1, 0, 0, 1])
    others = [Examples(["A dull film"], [0]), Examples(["what a fine film it is"], [1])]
    assert fine_tuning.drop_seen(train, others).texts == ["fine film", "dull", "Fine  film."]
    left = fine_tuning.drop_seen(train, others, inside=True)
    assert (left.texts, left.labels, left.pairs) == (["Fine  film."], [1], None)


def test_the_worlds_questions_become_pairs_of_which_half_hold_the_answer():
    task, again = answer_task(60, 40), answer_task(60, 40, seed=1)
    stories = data.load("world-questions", "train")
    known = {(row["question"], row["context"]): row["answers"] for row in stories}
    train = task.splits["train"]
    assert np.mean(train.labels) == 0.5 and len(task.splits["test"]) == 40
    for question, sentence, label in zip(train.texts, train.pairs, train.labels, strict=True):
        told = [
            bool(a) and a[0]["text"] in sentence
            for (asked, context), a in known.items()
            if asked == question and sentence in context
        ]
        assert any(told) if label else not all(told)
    assert train.texts != again.splits["train"].texts
    assert task.splits["test"] == again.splits["test"] == answer_task(60, 40).splits["test"]


def test_a_bag_of_words_finds_the_smallest_loss_and_not_the_order_of_words():
    examples = Examples(TEXTS, LABELS)
    model = BagOfWords(steps=2000).fit(examples)
    assert model.predict(examples).tolist() == LABELS
    x, y = model._matrix(examples), np.array(LABELS)
    error = 1 / (1 + np.exp(-(x @ model.weights + model.bias))) - y
    assert np.abs(x.T @ error / len(y) + model.decay * model.weights).max() < 1e-6
    assert abs(error.mean()) < 1e-6
    backwards = Examples([" ".join(text.split()[::-1]) for text in TEXTS], LABELS)
    assert np.array_equal(model._matrix(backwards), x)
    assert model.score(examples)["accuracy"].value == 1


def test_a_bag_of_words_sees_shared_words_only_where_it_is_told_to():
    texts = ["red", "blue", "red", "blue"] * 5
    pairs = ["red", "blue", "blue", "red"] * 5
    examples = Examples(texts, [1, 1, 0, 0] * 5, pairs)
    assert BagOfWords().fit(examples).score(examples)["accuracy"].value == 0.5
    assert BagOfWords(shared=True).fit(examples).score(examples)["accuracy"].value == 1


def test_a_named_data_set_is_a_task():
    task = fine_tuning.read_task("world-verdicts")
    assert task.labels == ("negative", "positive")
    assert {name: len(rows) for name, rows in task.splits.items()} == {
        "train": 6000,
        "validation": 400,
        "test": 400,
    }
    assert not any("validation" in note and "too" in note for note in task.notes)


# A run


def small_task(pairs=None):
    rows = Examples(TEXTS * 4, LABELS * 4, pairs and pairs * 4)
    return fine_tuning.Task(("bad", "good"), {"train": rows, "validation": rows, "test": rows}, [])


RECIPE = {"epochs": 8, "warmup_steps": 2, "learning_rate": 4e-3, "vocab_size": 120, "seed": 1}
LONG = 24  # epochs: the encoder's dropout makes learning by heart slow


@pytest.fixture(scope="module")
def trained(keras, tmp_path_factory):
    """A classifier that has learnt ten texts by heart, its folder, scores and log."""
    folder = tmp_path_factory.mktemp("run")
    settings = RECIPE | {"epochs": LONG, "learning_rate": 2e-3}
    recipe = fine_tuning.Recipe(str(folder), dropout=0.0, **settings)
    return (*fine_tuning.train_classifier(recipe, small_task()), folder)


def test_a_run_learns_keeps_the_best_and_writes_what_it_found(trained):
    _, scores, log, folder = trained
    assert [line["step"] for line in log] == [
        3 * i for i in range(1, LONG + 1)
    ]  # 40 rows, 16 a batch
    assert scores["test"]["accuracy"].value > 0.9 and scores["test"]["matthews"].value > 0.8
    assert scores["test"]["accuracy"].low < scores["test"]["accuracy"].value
    on_disk = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert on_disk == log and {"val_nll", "val_f1", "val_matthews"} <= log[0].keys()
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["split"] for line in metrics] == ["validation", "test"]
    best = min(log, key=lambda line: line["val_error"])
    assert metrics[0]["step"] == best["step"] and metrics[0]["rows"] == 40
    assert metrics[0]["accuracy"]["value"] == pytest.approx(best["val_accuracy"])
    assert metrics[0]["f1"].keys() == {"value", "low", "high"}


def test_predictions_come_in_the_order_of_the_texts(trained):
    classifier, _, _, folder = trained
    found = classifier.predict(TEXTS)
    assert [each.label for each in found] == ["good" if label else "bad" for label in LABELS]
    for each in found:
        assert sum(each.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert (
            each.probabilities[each.label] == each.probability == max(each.probabilities.values())
        )
    mixed = [*TEXTS[:3], TEXTS[4] * 3, TEXTS[5]]
    straight = classifier.probabilities(mixed, batch_size=2)
    np.testing.assert_allclose(classifier.probabilities(mixed[::-1])[::-1], straight, atol=1e-5)
    assert classifier.predict([]) == []
    with pytest.raises(ValueError, match="one string came"):
        classifier.predict("a fine film")
    again = fine_tuning.load_classifier(folder)
    assert again.labels == ("bad", "good") and again.max_length == 128
    np.testing.assert_array_equal(again.probabilities(TEXTS), classifier.probabilities(TEXTS))


@pytest.mark.skipif(not installed("tensorboard"), reason="TensorBoard is not installed")
def test_logging_dir_gets_tensorboards_files(keras, tmp_path):
    recipe = fine_tuning.Recipe(
        str(tmp_path / "run"), logging_dir=str(tmp_path / "logs"), **RECIPE | {"epochs": 1}
    )
    fine_tuning.train_classifier(recipe, small_task())
    assert list((tmp_path / "logs").glob("events*"))
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_a_run_starts_from_a_checkpoint_and_says_what_is_new(keras, tokenizer, tmp_path):
    keras.utils.set_random_seed(0)
    base = MaskedLanguageModel(BertEncoder(tokenizer.vocab_size, **SIZES))
    checkpoints.save_bert(base, tmp_path / "base", tokenizer=tokenizer)
    lines = []
    recipe = fine_tuning.Recipe(
        str(tmp_path / "run"), **RECIPE | {"learning_rate": 1e-12, "weight_decay": 0.0, "epochs": 1}
    )
    classifier, _, _ = fine_tuning.train_classifier(
        recipe, small_task(pairs=TEXTS[::-1]), tmp_path / "base", say=lines.append
    )
    for ours, theirs in zip(
        classifier.model.encoder.encoder.get_weights(),
        base.encoder.encoder.get_weights(),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert any(
        "keeps random numbers in classifier.bias" in line and "pooler" in line for line in lines
    )
    assert any("has no place for cls.predictions" in line for line in lines)
    assert classifier.max_length == 40  # the checkpoint has no more positions
    assert classifier.predict(TEXTS, TEXTS[::-1])[0].label in ("bad", "good")
    with pytest.raises(ValueError, match="holds a run with other settings"):
        fine_tuning.train_classifier(recipe, small_task())


PROGRAM = """
    import json, sys
    import keras
    from course import fine_tuning

    folder, stop_after, recipe = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
    task = fine_tuning.read_task("world-verdicts")
    some = task.splits["train"]
    splits = {
        "train": fine_tuning.Examples(some.texts[:70], some.labels[:70]),
        "validation": fine_tuning.Examples(some.texts[70:90], some.labels[70:90]),
    }
    task = fine_tuning.Task(task.labels, splits, [])

    class Stop(keras.callbacks.Callback):
        steps = 0
        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1
            if self.steps == stop_after:
                print("here", flush=True)
                import time; time.sleep(600)

    classifier, scores, log = fine_tuning.train_classifier(
        fine_tuning.Recipe(folder, **recipe), task, deterministic=True, callbacks=[Stop()]
    )
    for line in log:
        del line["seconds"], line["cpu_seconds"]
    chances = classifier.probabilities(some.texts[:9]).tolist()
    print(json.dumps([log, scores, chances]))
"""


@pytest.mark.slow
@pytest.mark.prove  # test_translation and test_pretraining kill theirs every time
@pytest.mark.skipif(not PROVING, reason="a third and fourth killed run are for `make prove`")
def test_a_killed_run_ends_with_the_same_bits_as_one_that_was_not(program, tmp_path):
    # 5 updates an epoch: rounds end inside one
    run, recipe = program(PROGRAM), json.dumps({**RECIPE, "epochs": 3, "round_steps": 4})
    whole = run("whole", 0, recipe)
    run("killed", 10, recipe, kill=True)
    assert len(training.checkpoints(tmp_path / "killed")) == 2
    assert run("killed", 0, recipe) == whole


# The export

LOADER = """
    import json, sys
    import tensorflow as tf
    import tensorflow_text
    classify = tf.saved_model.load(sys.argv[1])
    texts, pairs = (tf.constant(each) for each in json.loads(sys.argv[2]))
    assert not {"course", "tokenizers"} & {name.split(".")[0] for name in sys.modules}
    found = []
    for answer in (classify(texts), classify.pairs(texts, pairs)):
        labels = [label.decode() for label in answer["label"].numpy()]
        found.append([labels, answer["probabilities"].numpy().tolist()])
    print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.needs_tf
def test_an_exported_classifier_needs_tensorflow_and_tensorflow_text_only(
    trained, backend, tmp_path
):
    classifier = trained[0]
    if backend != "tensorflow":
        with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
            fine_tuning.export_classifier(classifier, tmp_path / "out")
        return
    pytest.importorskip("tensorflow_text")
    short = fine_tuning.Classifier(classifier.model, classifier.tokenizer, classifier.labels, 16)
    fine_tuning.export_classifier(short, tmp_path / "out")
    with pytest.raises(ValueError, match="is not empty"):
        fine_tuning.export_classifier(short, tmp_path / "out")
    long = " ".join(TEXTS)
    texts, pairs = [*TEXTS, long, "film", long], [*TEXTS[::-1], "a dull film", long, long]
    given = json.dumps([texts, pairs])
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LOADER), tmp_path / "out", given],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    alone, together = json.loads(done.stdout.splitlines()[-1])
    for (labels, chances), second in ((alone, None), (together, pairs)):
        wanted = short.predict(texts, second)
        assert labels == [each.label for each in wanted]
        np.testing.assert_allclose(chances, short.probabilities(texts, second), atol=1e-5)


# The command


def course(*arguments):
    command = [sys.executable, "-m", "course.cli", "train", "classify", *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, env=env, timeout=400)


@pytest.mark.slow
def test_course_train_classify_checks_trains_scores_and_goes_on(tmp_path):
    path = table(tmp_path / "mine.csv", *ROWS * 2)
    settings = [f"{name}={value}" for name, value in RECIPE.items()]
    arguments = [path, "--validation", path, "--test", path, "--out", tmp_path / "run"]
    for setting in [*settings, "epochs=2"]:
        arguments += ["--set", setting]
    done = course(*arguments)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "train: 20 rows; bad 50.0%, good 50.0%" in done.stdout
    assert "note: validation: 20 rows occur in train too" in done.stdout
    assert "mine             matthews" in done.stdout and "Wilson" in done.stdout
    log = (tmp_path / "run" / "log.jsonl").read_text()
    again = course(*arguments)
    assert again.returncode == 0 and (tmp_path / "run" / "log.jsonl").read_text() == log
    assert fine_tuning.load_classifier(tmp_path / "run").labels == ("bad", "good")


@pytest.mark.slow
def test_the_command_stops_at_bad_data_before_anything_is_made(tmp_path):
    path = table(tmp_path / "mine.csv", "fine,good", ",bad")
    done = course(path, "--out", tmp_path / "run")
    assert done.returncode == 2 and "row 3, column 'text': empty" in done.stderr
    assert not (tmp_path / "run").exists()
