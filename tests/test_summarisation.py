"""Summaries: ROUGE in English and Chinese, baselines, what is copied and invented, a run."""

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from course import data, summarisation
from course.cli import main as cli_main

pytestmark = pytest.mark.backend

DOCUMENT = "Anna baked a pie. Her brother Ben ate all of it before noon. Then it rained."


def f1(a, b, overlap):
    precision, recall = overlap / a, overlap / b
    return 2 * precision * recall / (precision + recall) if overlap else 0.0


def test_rouge_by_hand():
    found = summarisation.rouge(["the cat sat on the mat"], ["the cat was on a mat"])
    assert found["rouge1"] == pytest.approx(100 * f1(6, 6, 4))  # the, cat, on, mat
    assert found["rouge2"] == pytest.approx(100 * f1(5, 5, 1))  # the cat
    assert found["rougeL"] == pytest.approx(100 * f1(6, 6, 4))


def test_repeated_words_count_once_for_each_in_the_reference():
    each = summarisation.rouge_each(["the the the the"], ["the cat"])
    precision, recall, _ = each["rouge1"][0]
    assert (precision, recall) == (0.25, 0.5)


def test_rouge_lsum_joins_sentences_that_rouge_l_takes_in_one_order():
    texts = ["He came home. She slept."], ["She slept. He came home."]
    found = summarisation.rouge(*texts)
    assert found["rougeL"] < found["rougeLsum"] == pytest.approx(100)


def test_chinese_counts_ideographs_where_the_default_gives_nothing():
    texts = ["猫坐在垫子上"], ["猫在垫子上睡觉"]
    assert summarisation.rouge(*texts)["rouge1"] == 0.0
    found = summarisation.rouge(*texts, language="zh")
    assert found["rouge1"] == pytest.approx(100 * f1(6, 7, 5))
    assert found["rouge2"] == pytest.approx(100 * f1(5, 6, 3))  # 在垫 垫子 子上


@pytest.mark.parametrize(
    "text, tokens",
    [
        ("GPT-4很好。", ["gpt", "4", "很", "好"]),
        ("１２月 ＡＢ", ["12", "月", "ab"]),
        ("在2019年", ["在", "2019", "年"]),
        ("ひらカナ", ["ひ", "ら", "カ", "ナ"]),
        ("café naïve", ["café", "naïve"]),
        ("，。！", []),
    ],
)
def test_tokens_of_mixed_text(text, tokens):
    assert summarisation.CharacterTokenizer().tokenize(text) == tokens


def test_of_several_references_the_best_counts():
    one = summarisation.rouge(["a red dog"], ["a red dog"])
    several = summarisation.rouge(["a red dog"], [["a blue cat", "a red dog"]])
    assert several == one


def test_unequal_numbers_are_refused():
    with pytest.raises(ValueError, match="2 summaries and 1 references"):
        summarisation.rouge(["a", "b"], ["a"])
    with pytest.raises(ValueError, match="at least one"):
        summarisation.rouge([], [])


def test_baselines_are_sentences_of_the_text():
    found = summarisation.baselines([DOCUMENT], ["Ben ate the pie that Anna baked."])
    assert found["lead-1"] == ["Anna baked a pie."]
    assert found["lead-3"] == [DOCUMENT]
    assert found["longest sentence"] == ["Her brother Ben ate all of it before noon."]
    assert found["extractive oracle"] == ["Anna baked a pie."]
    assert summarisation.longest_sentence("") == summarisation.lead("") == ""


def test_the_oracle_is_no_worse_than_any_sentence():
    rows = data.load("world-summaries", "test")[:10]
    documents, references = ([row[c] for row in rows] for c in ("document", "summary"))
    found = summarisation.baselines(documents, references)
    scores = {name: summarisation.rouge(texts, references) for name, texts in found.items()}
    best = scores.pop("extractive oracle")
    for other in scores.values():
        assert best["rouge1"] + best["rouge2"] >= other["rouge1"] + other["rouge2"]


def test_novel_ngrams_are_those_the_document_lacks():
    assert summarisation.novel_ngrams(DOCUMENT, "Anna baked a pie.") == 0.0
    assert summarisation.novel_ngrams(DOCUMENT, "Anna baked a cake.", 2) == pytest.approx(1 / 3)
    assert summarisation.novel_ngrams(DOCUMENT, "Anna") == 0.0


def test_references_invent_nothing_and_foreign_names_are_inventions():
    stories = [row for split in ("train", "test") for row in data.load("world-stories", split)]
    facts = summarisation.WorldFacts(stories)
    rows = data.load("world-summaries", "test")
    columns = [[row[c] for row in rows] for c in ("summary", "document", "story_id")]
    rates = facts.rates(*columns)
    assert rates["mentions"] > 300 and rates["share"] < 0.02
    own = rows[0]
    names = {person["name"] for row in stories for person in row["facts"]["people"]}
    other = min(name for name in names if name not in own["document"])
    swapped = facts.check(f"{other} won.", own["document"], own["story_id"])
    assert swapped == {"supported": [], "invented": [(other.lower(), "name")]}
    shuffled = facts.rates(columns[0], columns[1][::-1], columns[2][::-1])
    assert shuffled["share"] > 0.5
    with pytest.raises(KeyError, match="no facts"):
        facts.check("x", "y", "story-none")


def recipe(folder, **settings):
    small = {"vocab_size": 400, "num_layers": 1, "d_model": 16, "num_heads": 2, "d_ff": 32}
    small |= {"max_steps": 4, "round_steps": 2, "max_tokens": 512, "max_length": 64}
    return summarisation.Recipe(output_dir=str(folder), **small | settings)


def test_a_run_that_was_stopped_ends_as_one_that_was_not(tmp_path):
    rows = summarisation.load_summaries("world-summaries")[:40]

    class Stop(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise KeyboardInterrupt

    whole, _ = summarisation.train_summariser(recipe(tmp_path / "a"), rows)
    with pytest.raises(KeyboardInterrupt):
        summarisation.train_summariser(recipe(tmp_path / "b"), rows, callbacks=[Stop()])
    again, _ = summarisation.train_summariser(recipe(tmp_path / "b"), rows)
    pairs = zip(whole.model.get_weights(), again.model.get_weights(), strict=True)
    assert all(np.allclose(one, two, atol=1e-5) for one, two in pairs)
    texts = [row["document"] for row in rows[:3]]
    assert again(texts, max_new_tokens=5, num_beams=1) == whole(
        texts, max_new_tokens=5, num_beams=1
    )
    with pytest.raises(ValueError, match="list of documents"):
        again("one text")
    with pytest.raises(ValueError, match="row 0 has an empty summary"):
        summarisation.train_summariser(
            recipe(tmp_path / "c"), [{"document": "a", "summary": " ", "references": []}]
        )


@pytest.mark.slow
def test_the_commands_train_score_and_summarise(tmp_path):
    table = tmp_path / "own.csv"
    lines = [f'"Anna ate {n} pies. It rained.","Anna ate {n}."' for n in range(30)]
    table.write_text("document,summary\n" + "\n".join(lines) + "\n")
    settings = "vocab_size=300 num_layers=1 d_model=16 num_heads=2 d_ff=32 max_steps=2 "
    settings += "round_steps=2 max_length=32 max_tokens=256"
    options = [part for text in settings.split() for part in ("--set", text)]
    run = CliRunner()
    found = run.invoke(
        cli_main.app,
        ["train", "summarisation", str(table), "--out", str(tmp_path / "run"), *options],
    )
    assert found.exit_code == 0, found.output
    for name in ("the model", "lead-1", "lead-3", "longest sentence", "extractive oracle"):
        assert name in found.output
    text = tmp_path / "text.txt"
    text.write_text("Anna ate 3 pies. " * 20)
    found = run.invoke(cli_main.app, ["summarise", str(tmp_path / "run"), str(text)])
    assert found.exit_code == 0, found.output
    assert "is not seen" in found.stderr
    text.write_text(" ")
    found = run.invoke(cli_main.app, ["summarise", str(tmp_path / "run"), str(text)])
    assert found.exit_code == 2 and "holds no text" in found.output
