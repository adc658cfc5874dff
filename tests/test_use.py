"""The commands that use a trained model: line for line, in order, with exit codes."""

import csv
import os
import subprocess
import sys

import pytest
from conftest import ROOT
from typer.testing import CliRunner

from course.cli.main import app

SENTENCES = ["A dog sleeps.", "The cat eats.", "A bird sings."]


def use(*arguments, **more):
    return CliRunner().invoke(app, list(map(str, arguments)), **more)


@pytest.fixture(scope="module")
def translator_run(keras, tmp_path_factory):
    """A run as training leaves it, of a model that has learned nothing."""
    from course import training, translation
    from course.tokens import Tokenizer

    folder = tmp_path_factory.mktemp("translator")
    sizes = {"num_layers": 1, "d_model": 16, "num_heads": 2, "d_ff": 16, "vocab_size": 60}
    recipe = translation.Recipe(kind="wordpiece", **sizes)
    tokenizer = Tokenizer.learn(SENTENCES * 3, 60, "wordpiece", lowercase=False)
    tokenizer.save(folder)
    keras.utils.set_random_seed(0)
    model = translation.TeacherForcing(recipe.model(tokenizer.vocab_size))
    (folder / "checkpoints").mkdir()
    training.save_checkpoint(folder / "checkpoints" / "step-00000001.safetensors", model)
    recipe.save(folder)
    return folder


@pytest.fixture(scope="module")
def classifier_run(keras, tmp_path_factory):
    from course.fine_tuning import BertClassifier, Classifier
    from course.pretraining import BertEncoder
    from course.tokens import Tokenizer

    folder = tmp_path_factory.mktemp("classifier")
    tokenizer = Tokenizer.learn(SENTENCES * 3, 60)
    keras.utils.set_random_seed(0)
    encoder = BertEncoder(
        tokenizer.vocab_size, 1, 16, 2, 32, max_length=32, pad_id=tokenizer.pad_id
    )
    model = BertClassifier(encoder, 2, name="classifier")
    Classifier(model, tokenizer, ("no", "yes"), 32).save(folder / "model")
    return folder


def test_translate_answers_line_for_line_and_an_empty_line_with_an_empty_one(
    translator_run, tmp_path
):
    (tmp_path / "in.txt").write_bytes("\ufeffA dog sleeps.\r\n\r\nThe cat eats.".encode())
    done = use("translate", translator_run, "--file", tmp_path / "in.txt", "--num-beams", "2")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.split("\n")
    assert len(lines) == 4 and lines[1] == "" == lines[3]
    one = use("translate", translator_run, "The cat eats.", "--num-beams", "2")
    assert one.stdout == lines[2] + "\n"
    best = use("translate", translator_run, "The cat eats.", "--num-beams", "2", "--n-best", "2")
    assert best.stdout.rstrip("\n").split("\t")[0] == lines[2] and best.stdout.count("\t") == 1


def test_translate_answers_standard_input_before_it_ends(translator_run):
    command = [sys.executable, "-m", "course.cli", "translate", translator_run, "--num-beams", "1"]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
    ) as process:
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "\n"  # the input is still open
        process.stdin.close()
        assert process.wait(300) == 0


def test_translate_draws_where_the_words_look(translator_run, tmp_path):
    path = tmp_path / "map.png"
    done = use("translate", translator_run, "A dog sleeps.", "--attention", path)
    assert done.exit_code == 0, done.stderr
    assert path.read_bytes().startswith(b"\x89PNG")


def test_classify_writes_a_label_and_the_probabilities_of_every_row(classifier_run, tmp_path):
    (tmp_path / "a.csv").write_text('text\n"A dog, it sleeps."\n""\nThe cat eats.\n')
    (tmp_path / "a.jsonl").write_text('{"text": "A dog."}\n{"text": ""}\n{"text": "A cat."}\n')
    for name in ("a.csv", "a.jsonl"):
        done = use("classify", classifier_run, tmp_path / name, "--out", tmp_path / "out.csv")
        assert done.exit_code == 0, done.stderr
        rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
        assert set(rows[0]) == {"row", "text", "label", "probability", "no", "yes"}
        told = [row for row in rows if row["text"]]
        assert [row["label"] in ("no", "yes") for row in told] == [True, True]
        assert all(abs(float(row["no"]) + float(row["yes"]) - 1) < 1e-5 for row in told)
    assert [row["label"] for row in rows if not row["text"]] == [""]


def test_fill_mask_says_tokens_and_probabilities():
    from course.pretraining import world_bert

    done = use("fill-mask", world_bert(), "He got up at six o'clock every [MASK].", "--top-k", "1")
    assert done.exit_code == 0 and done.stdout.startswith("day 0.3"), done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["translate", "nosuch", "a"], "nosuch: no such folder"),
        (["translate", "{run}", "a", "--n-best", "9"], "--n-best 9 of --num-beams 4"),
        (["translate", "{run}", "--attention", "a.png"], "give TEXT"),
        (["translate", "{run}", "a", "--file", "b"], "give one of them"),
        (["translate", "{bert}", "a"], "is no recipe of course.translation"),
        (["fill-mask", "{bert}", "no mask"], r"has no [MASK]"),
        (["classify", "{run}", "nosuch.csv"], "nosuch.csv: no such file"),
    ],
)
def test_what_cannot_be_answered_is_said_in_a_line(translator_run, arguments, says):
    from course.pretraining import world_bert

    places = {"{run}": translator_run, "{bert}": world_bert()}
    done = use(*(places.get(word, word) for word in arguments))
    assert done.exit_code == 2 and says in done.stderr and "Traceback" not in done.stderr


def test_a_column_that_is_not_there_is_named_with_those_that_are(classifier_run, tmp_path):
    (tmp_path / "a.csv").write_text("review,other\na,b\n")
    done = use("classify", classifier_run, tmp_path / "a.csv")
    assert done.exit_code == 2 and "no column 'text'; found 'review', 'other'" in done.stderr


def test_the_version_is_told():
    assert use("--version").stdout.startswith("course ")
