"""Question answering: spans, windows, the best span, scores, files, a run, the commands."""

import json
import lzma

import numpy as np
import pytest
from conftest import numbers
from typer.testing import CliRunner

from course import checkpoints, data
from course.cli.main import app
from course.data import DataError
from course.pretraining import BertEncoder
from course.question_answering import (
    BertForQuestionAnswering,
    Question,
    QuestionAnswerer,
    Recipe,
    WindowBatches,
    alignment,
    baselines,
    best_spans,
    best_threshold,
    exact_match,
    f1_score,
    load_question_answerer,
    make_windows,
    merge_windows,
    metrics,
    read_questions,
    selection,
    spans,
    split_by_title,
    token_spans,
    train_question_answerer,
    windows,
)
from course.question_answering.model import FAR_BELOW
from course.question_answering.questions import AnswerText
from course.question_answering.recipe import choose_threshold, evaluate, usual_lengths
from course.question_answering.world import world_questions
from course.tokens import Tokenizer

pytestmark = pytest.mark.backend

SIZES = {"num_layers": 2, "d_model": 16, "num_heads": 2, "d_ff": 32, "max_length": 64}
NAMES = ("anna", "ben", "carla", "dora")
PLACES = ("kitchen", "garden", "cellar", "tower")
TEXT = "Anna sat in the kitchen. Ben went to the garden, and Carla read in the cellar."


def asked(question, context, *answers, **more):
    found = tuple(AnswerText(text, context.find(text)) for text in answers)
    return Question(more.pop("id", question), question, context, found, **more)


def small_world(count, seed=0):
    """Questions of two kinds, which a small model tells apart: who, and where?"""
    rng, made = np.random.default_rng(seed), []
    for number in range(count):
        person, place = rng.choice(NAMES), rng.choice(PLACES)
        context = (
            f"In the {place} {person.title()} sat."
            if number % 3
            else f"{person.title()} sat in the {place}."
        )
        both = ("who sat there", person.title()), ("where was it", place)
        question, answer = both[rng.integers(2)]
        made.append(asked(question, context, answer, id=str(number), title=str(number)))
    return made


@pytest.fixture(scope="module")
def tokenizer():
    texts = [TEXT, *(q.context for q in small_world(20)), *(q.question for q in small_world(20))]
    return Tokenizer.learn(texts, 150, min_frequency=1)


def make(keras, vocab_size, no_answer=None, seed=0, **more):
    keras.utils.set_random_seed(seed)
    return BertForQuestionAnswering(BertEncoder(vocab_size, **SIZES | more), no_answer)


# Characters → tokens


@pytest.mark.parametrize(
    ("text", "answer", "kind", "read"),
    [
        ("Anna sat in the kitchen.", "kitchen", "exact", "kitchen"),
        ("Die Straße führt nach Köln.", "Köln", "exact", "Köln"),
        ("HE WON IN PARIS.", "PARIS", "exact", "PARIS"),
        ("İstanbul is large, Ankara too.", "Ankara", "exact", "Ankara"),
        ("cafe\u0301s and bars", "bars", "exact", "bars"),
        ("巴黎在法国。", "法国", "exact", "法国"),
        ("他1997年出生", "1997", "exact", "1997"),
        ("It has 80,000km of roads.", "80,000", "wider", "80,000km"),
        ("the unhappiness of it", "happiness", "wider", "unhappiness"),
        ("a\u200b \u200bb", "\u200b", "not reached", None),
    ],
)  # fmt: skip
def test_an_answer_is_found_through_offsets_of_the_text_as_it_was_given(text, answer, kind, read):
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "unhappiness", "kitchen"]
    tokenizer = Tokenizer.from_vocab(vocabulary)
    offsets = tokenizer.tokenize(text, special=False).offsets
    found = alignment(offsets, text, text.index(answer), answer)
    assert found.kind == kind
    assert (found.span and spans.span_text(offsets, text, *found.span)) == read


def test_offsets_are_those_of_the_text_and_not_of_the_lowered_one():
    text = "İİİİ lived in Ankara for years"  # "İ" in lower case is two characters
    tokenizer = Tokenizer.from_vocab(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    offsets = tokenizer.tokenize(text, special=False).offsets
    found = alignment(offsets, text, text.index("Ankara"), "Ankara")
    assert spans.span_text(offsets, text, *found.span) == "Ankara"
    wrong = alignment(offsets, text, text.lower().index("ankara"), "Ankara")
    assert spans.span_text(offsets, text, *wrong.span) == "Ankara for"


def test_many_spans_at_once_are_those_of_a_loop(rng):
    gaps = rng.integers(0, 3, 60)
    starts = np.cumsum(gaps + rng.integers(1, 5, 60))
    offsets = np.stack([starts, starts + rng.integers(1, 2, 60)], axis=1)
    begin = rng.integers(0, starts[-1], 200)
    end = begin + rng.integers(0, 9, 200)
    first, last = token_spans(offsets, begin, end)
    for b, e, *pair in zip(begin, end, first, last, strict=True):
        inside = [i for i, (s, t) in enumerate(offsets) if s < e and t > b]
        assert tuple(pair) == ((inside[0], inside[-1]) if inside else (-1, -1))
    with pytest.raises(ValueError, match="answer 1 starts at 5 and ends at 4"):
        token_spans(offsets, [1, 5], [2, 4])


# Windows


def test_every_token_is_in_a_window_and_one_window_answers_for_it(tokenizer):
    question = asked("where is ben", " ".join([TEXT] * 6), "garden")
    made = make_windows(tokenizer, [question], max_length=24, doc_stride=7)
    tokens = tokenizer.tokenize(question.context, special=False)
    answers_for = np.zeros(len(tokens.ids), int)
    for row, at, count, begins, best in zip(
        made.rows, made.first, made.count, made.begins, made.best, strict=True
    ):
        assert len(row) <= 24
        assert row[begins : begins + count] == tokens.ids[at : at + count]
        assert row[-1] == tokenizer.end_id and row[begins - 1] == tokenizer.end_id
        answers_for[at : at + count] += best
    assert (answers_for == 1).all()
    assert (np.diff(made.first) == 7).all()


def test_the_window_with_most_context_around_a_token_counts():
    # Windows of 6 from 0, 4 and 8 over 12 tokens. Token 4 has 1 to its right in the first, 0 to
    # its left in the second; token 5 has 0 and 1.
    starts = windows.window_starts(12, 6, 4)
    assert starts == [0, 4, 8]
    assert windows.max_context(starts, 12, 6).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    with pytest.raises(ValueError, match="would be in none"):
        windows.window_starts(12, 6, 7)


@pytest.mark.parametrize("no_answer", [False, True])
def test_a_window_that_cuts_the_answer_teaches_nothing(tokenizer, no_answer):
    context = " ".join([TEXT] * 3)
    question = asked("where is ben", context, "went to the garden, and Carla read")
    made = make_windows(tokenizer, [question], max_length=24, doc_stride=5, no_answer=no_answer)
    tokens = tokenizer.tokenize(context, special=False)
    span = alignment(tokens.offsets, context, question.answers[0].start, question.texts[0]).span
    kinds = set()
    for at, count, begins, label in zip(
        made.first, made.count, made.begins, made.labels.tolist(), strict=True
    ):
        shown = len(set(range(span[0], span[1] + 1)) & set(range(at, at + count)))
        if shown == span[1] - span[0] + 1:
            assert label == [begins + span[0] - at, begins + span[1] - at]
        elif shown:
            assert label == [-1, -1]
        else:
            assert label == ([0, 0] if no_answer else [-1, -1])
        kinds.add("whole" if label[0] > 0 else "part" if shown else "none")
    assert kinds == {"whole", "part", "none"}


def test_answers_that_cannot_be_learned_are_counted(tokenizer):
    lost = Question("1", "where is ben", TEXT, (AnswerText("attic", -1),))
    made = make_windows(tokenizer, [lost, asked("where is ben", TEXT, "garden")], max_length=40)
    assert made.aligned["not in the context"] == 1 and made.aligned["exact"] == 1
    assert made.lost == 1
    assert (made.labels[made.question == 0] == -1).all()
    with pytest.raises(ValueError, match="none of the 1 windows has a label"):
        WindowBatches(make_windows(tokenizer, [lost], max_length=40), pad_id=0, no_answer=False)
    with pytest.raises(ValueError, match="no room for context"):
        make_windows(tokenizer, [lost], max_length=5)


def test_batches_hold_each_window_once_and_mark_the_context(tokenizer):
    made = make_windows(tokenizer, small_world(37), max_length=40)
    batches = WindowBatches(made, 8, pad_id=0, no_answer=True, seed=1)
    seen = [row for i in range(len(batches)) for row in batches.rows(i)]
    assert sorted(seen) == list(range(37))
    (ids, segments, allowed), labels = batches[0]
    for place, row in enumerate(batches.rows(0)):
        begins, count = made.begins[row], made.count[row]
        assert np.flatnonzero(allowed[place]).tolist() == [0, *range(begins, begins + count)]
        assert np.flatnonzero(segments[place]).tolist() == [*range(begins, begins + count + 1)]
        assert labels[place].tolist() == made.labels[row].tolist()
    short = next(i for i in range(len(batches)) if len(batches.rows(i)) < 8)
    (ids, _, _), labels = batches[short]
    filled = 8 - len(batches.rows(short))
    assert filled and (ids[-filled:] == 0).all() and (labels[-filled:] == -1).all()


# The best span


def by_loops(start, end, allowed, may_start, longest):
    """All spans of one row with their scores, best first."""
    found = []
    for i in np.flatnonzero(allowed & may_start):
        for j in range(i, min(i + longest, len(start))):
            if allowed[j]:
                found.append((start[i] + end[j], int(i), int(j)))
    return sorted(found, reverse=True)


def test_best_spans_are_those_of_two_loops(rng):
    start, end = rng.normal(size=(2, 5, 23)).astype("float32")
    place = np.arange(23)
    allowed = (place >= 6) & (place < np.array([20, 23, 8, 15, 7])[:, None])
    may_start = rng.uniform(size=(5, 23)) < 0.7
    found = best_spans(start, end, allowed, may_start=may_start, n_best=9, max_answer_length=4)
    for row in range(5):
        wanted = by_loops(start[row], end[row], allowed[row], may_start[row], 4)
        score = numbers(found.score)[row]
        there = score > selection.NEVER
        assert there.sum() == min(len(wanted), 9)
        got = list(zip(numbers(found.start)[row], numbers(found.end)[row], strict=True))
        assert [pair for pair, ok in zip(got, there, strict=True) if ok] == [
            (i, j) for _, i, j in wanted[:9]
        ]
        if wanted:
            total = np.logaddexp.reduce([s for s, _, _ in wanted])
            assert numbers(found.total)[row] == pytest.approx(total, abs=1e-4)


def test_the_best_start_and_the_best_end_need_not_be_the_best_span():
    start, end = [[0.0, 1.0, 5.0, 0.0]], [[0.0, 4.0, 1.0, 2.0]]
    found = best_spans(start, end, n_best=1)
    assert (int(found.start[0, 0]), int(found.end[0, 0])) == (2, 3)  # not 2 to 1
    with pytest.raises(ValueError, match="both at least 1"):
        best_spans(start, end, n_best=0)


def test_windows_are_merged_by_their_logits_and_not_by_their_probabilities():
    # The second window holds no answer: its best span has all of its little probability.
    score = np.array([[9.0, 8.9], [1.0, FAR_BELOW], [0.0, -1.0]])
    total = np.logaddexp.reduce(score, axis=1)
    place = np.array([[4, 5], [6, 0], [7, 8]])
    merged, source, lowest = merge_windows(
        [0, 0, 1], selection.Spans(place, place, score, total), [3.0, 1.0, 2.0], n_best=3
    )
    assert merged.start[0].tolist() == [4, 5, 6] and source[0].tolist() == [0, 0, 1]
    assert lowest.tolist() == [1.0, 2.0]
    chances = np.exp(merged.score[0] - merged.total[0])
    assert chances.sum() + np.exp(lowest[0] - merged.total[0]) == pytest.approx(1)
    assert chances[2] < 1e-3
    assert merged.score[1, 2] == FAR_BELOW


@pytest.mark.parametrize("no_answer", [None, "cls", "head"])
def test_probabilities_of_all_spans_and_no_answer_add_up_to_one(keras, tokenizer, no_answer):
    model = make(keras, tokenizer.vocab_size, no_answer)
    answerer = QuestionAnswerer(model, tokenizer, max_length=24, doc_stride=6)
    context = "Anna sat in the kitchen. Ben went to the garden."
    found = answerer.predict([Question("", "where is ben", context)], n_best=2000)
    texts = [answer.text for answer in found.answers[0]]
    assert len(texts) == len(set(texts))
    tokens = len(tokenizer.tokenize(context, special=False).ids)
    if len(texts) == tokens * (tokens + 1) // 2:
        total = sum(answer.probability for answer in found.answers[0]) + found.no_answer[0]
        assert total == pytest.approx(1, abs=1e-4)
    assert (found.no_answer[0] > 0) == (no_answer is not None)
    for answer in found.answers[0][:20]:
        assert context[answer.start : answer.end] == answer.text


def test_the_question_is_never_answered_with_itself(keras, tokenizer):
    model = make(keras, tokenizer.vocab_size, seed=3)
    answerer = QuestionAnswerer(model, tokenizer, max_length=40)
    for answer in answerer.n_best("where is carla", "Ben sat in the garden.", 20):
        assert "carla" not in answer.text.lower()


# The model


def test_logits_outside_the_context_are_far_below(keras, tokenizer):
    made = make_windows(tokenizer, small_world(6), max_length=40)
    batches = WindowBatches(made, 6, pad_id=0, no_answer=False)
    inputs, _ = batches[0]
    model = make(keras, tokenizer.vocab_size)
    for logits in model(inputs):
        assert ((numbers(logits) == FAR_BELOW) == ~inputs[2]).all()
    for logits in model(inputs[:2]):
        assert (numbers(logits) > -100).all()


@pytest.mark.parametrize("no_answer", [None, "cls", "head"])
def test_the_loss_is_that_of_numpy_and_leaves_out_ignored_rows(keras, rng, no_answer):
    model = make(keras, 50, no_answer)
    start, end = rng.normal(size=(2, 4, 9)).astype("float32")
    head = rng.normal(size=4).astype("float32")
    labels = np.array([[2, 4], [0, 0], [-1, -1], [8, 8]])
    pred = (start, end, head) if no_answer == "head" else (start, end)
    pred = tuple(keras.ops.convert_to_tensor(p) for p in pred)
    got = float(model.compute_loss(y=labels, y_pred=pred))

    def log_softmax(x):
        return x - np.logaddexp.reduce(x, axis=-1, keepdims=True)

    rows = [0, 3] if no_answer == "head" else [0, 1, 3]
    first, last = log_softmax(start), log_softmax(end)
    wanted = -np.mean([(first[i, labels[i, 0]] + last[i, labels[i, 1]]) / 2 for i in rows])
    if no_answer == "head":
        target = np.array([0, 1, 0])
        x = head[[0, 1, 3]]
        wanted += np.mean(np.log1p(np.exp(x)) - target * x)
    assert got == pytest.approx(wanted, rel=1e-5)
    empty = model.compute_loss(y=np.full((4, 2), -1), y_pred=pred)
    assert float(empty) == 0.0


def test_the_model_comes_back_from_its_config(keras):
    model = make(keras, 50, "head")
    again = BertForQuestionAnswering.from_config(model.get_config())
    assert again.no_answer_by == "head" and again.count_params() == model.count_params()
    with pytest.raises(ValueError, match='choose None, "cls" or "head"'):
        make(keras, 50, "maybe")


@pytest.mark.parity
def test_logits_equal_those_of_transformers_both_ways(keras, tokenizer, tmp_path):
    import torch
    from transformers import BertConfig
    from transformers import BertForQuestionAnswering as Theirs

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.3,
    )
    theirs = Theirs(config).eval()
    theirs.save_pretrained(tmp_path / "theirs")
    tokenizer.save(tmp_path / "theirs")
    ours = load_question_answerer(tmp_path / "theirs").model
    batches = WindowBatches(
        make_windows(tokenizer, small_world(6), max_length=40), 6, pad_id=0, no_answer=True
    )
    (ids, segments, _), labels = batches[0]

    def compare(model):
        given = {
            "input_ids": torch.tensor(ids).long(),
            "token_type_ids": torch.tensor(segments).long(),
            "attention_mask": torch.tensor(ids != 0).long(),
        }
        places = torch.tensor(labels).long()
        with torch.no_grad():
            told = model(**given, start_positions=places[:, 0], end_positions=places[:, 1])
        found = ours((ids, segments))
        real = ids != 0
        for a, b in zip(found, (told.start_logits, told.end_logits), strict=True):
            a, b = numbers(a)[real], b.numpy()[real]
            assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max()
        return float(ours.compute_loss(y=labels, y_pred=found)), float(told.loss)

    assert np.allclose(*compare(theirs), rtol=1e-5)
    answerer = QuestionAnswerer(ours, tokenizer, max_length=64)
    answerer.save(tmp_path / "ours")
    again, report = Theirs.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    compare(again.eval())


def test_a_saved_model_answers_as_before(keras, tokenizer, tmp_path):
    model = make(keras, tokenizer.vocab_size, "head")
    answerer = QuestionAnswerer(model, tokenizer, max_length=40, threshold=-3.5)
    answerer.save(tmp_path / "model")
    again = load_question_answerer(tmp_path)
    assert again.threshold == -3.5 and again.model.no_answer_by == "head"
    questions = small_world(4)
    one, other = answerer.predict(questions), again.predict(questions)
    assert one.answers == other.answers
    assert (one.differences == other.differences).all()


# Scores


@pytest.mark.parametrize(
    ("said", "told", "em", "f1"),
    [
        ("The  Normans", ["Normans"], 1, 1),
        ("a an the", ["the"], 1, 1),  # nothing is left of either
        ("", [], 1, 1),
        ("something", [], 0, 0),
        ("", ["Paris"], 0, 0),
        ("the", ["Paris"], 0, 0),
        ("Theory", ["ory"], 0, 0),  # articles are words, not letters
        ("theater a", ["theater"], 1, 1),
        ("twenty-two", ["twentytwo"], 1, 1),
        ("twenty-two", ["twenty two"], 0, 0),
        ("U.S.", ["US"], 1, 1),
        ("$5,000", ["5000"], 1, 1),
        ("5,000.50", ["500050"], 1, 1),
        ("3.5 million", ["35 million"], 1, 1),  # the official rule, for better or worse
        ("Saint-Denis, France", ["saintdenis france"], 1, 1),
        ("Beyoncé", ["Beyonce"], 0, 0),  # accents stay
        ("PARIS", ["paris"], 1, 1),
        ("“Paris”", ["Paris"], 0, 0),  # only ASCII's punctuation goes
        ("in Paris", ["Paris"], 0, 2 / 3),
        ("Paris France", ["Lyon", "Paris"], 0, 2 / 3),
        ("to be or not to be", ["to be"], 0, 1 / 2),  # a bag: 2 of 6, 2 of 2
        ("to be", ["to be or not to be"], 0, 1 / 2),
        ("the the cat", ["cat"], 1, 1),
        ("cat cat", ["cat"], 0, 2 / 3),
        ("cat", ["cat cat"], 0, 2 / 3),
        ("b c", ["c b"], 0, 1),  # F1 has no order
        ("x", ["x", "y z"], 1, 1),
        ("\tParis\n", ["Paris"], 1, 1),
        ("Ａ", ["A"], 0, 0),  # full width is another letter for SQuAD
        ("!!!", [], 1, 1),
        (None, ["Paris"], 0, 0),
        (None, [], 0, 0),
    ],
)  # fmt: skip
def test_english_scores_are_the_official_ones(said, told, em, f1):
    assert metrics.score_table([said], [told])[0] == pytest.approx([em, f1])


@pytest.mark.parametrize(
    ("said", "told", "em", "f1"),
    [
        ("法国巴黎", ["法国巴黎"], 1, 1),
        ("《战国无双3》", ["战国无双3"], 1, 1),
        ("法国，巴黎。", ["法国巴黎"], 1, 1),
        ("巴黎", ["法国巴黎"], 0, 2 / 3),
        ("法黎", ["法国巴黎"], 0, 1 / 3),  # the longest run without a gap is 1
        ("黎巴", ["巴黎"], 0, 1 / 2),
        ("1997年", ["1997"], 0, 2 / 3),
        ("Windows 95", ["windows 95"], 1, 1),
        ("光荣和ω-force", ["光荣和ωforce"], 1, 1),
        ("a", ["the"], 0, 0),  # articles are not taken away
        ("A股", ["股"], 0, 2 / 3),
        ("the Beatles", ["Beatles"], 0, 2 / 3),
        ("，。", [], 1, 1),
        ("", ["巴黎"], 0, 0),
        ("50%", ["50"], 0, 2 / 3),
        ("３", ["3"], 0, 0),
        ("巴黎 ", [" 巴黎"], 1, 1),
        ("北京", ["上海", "北京市"], 0, 0.8),
        (None, ["巴黎"], 0, 0),
    ],
)  # fmt: skip
def test_chinese_scores_are_those_of_cmrc(said, told, em, f1):
    assert metrics.score_table([said], [told], "zh")[0] == pytest.approx([em, f1])


def test_the_maximum_over_answers_is_taken_before_the_mean():
    table = metrics.score_table(["Paris", "Rome"], [["Paris", "x"], ["x", "Rome"]])
    assert metrics.scores(table)["exact_match"].value == 100
    with pytest.raises(ValueError, match="2 predictions for 1 questions"):
        metrics.score_table(["a", "b"], [["a"]])
    with pytest.raises(ValueError, match="choose one of en, zh"):
        exact_match("a", ["a"], "fr")
    with pytest.raises(ValueError, match="no questions"):
        metrics.scores(np.zeros((0, 2)))


@pytest.mark.parametrize(
    ("system", "em", "f1"),
    [("bert_ensemble", 86.206, 92.196), ("logistic_regression", 40.142, 50.982)],
)
def test_the_official_figures_of_two_systems(shared_data, monkeypatch, system, em, f1):
    monkeypatch.setenv("COURSE_DATA", str(shared_data))
    rows = data.load("squad", "dev")
    path = shared_data / "squad_v11_dev" / "predictions" / f"{system}.json.xz"
    with lzma.open(path) as file:
        said = json.loads(file.read())
    told = [[answer["text"] for answer in row["answers"]] for row in rows]
    table = metrics.score_table([said.get(row["id"]) for row in rows], told)
    found = metrics.scores(table, [row["title"] for row in rows])
    assert round(found["exact_match"].value, 3) == em
    assert round(found["f1"].value, 3) == f1
    assert found["f1"].low < f1 < found["f1"].high


def test_the_interval_is_that_of_the_mean_and_wider_over_groups(rng):
    table = np.repeat(rng.uniform(size=(40, 2)), 10, axis=0)
    single = metrics.scores(table)["f1"]
    groups = metrics.scores(table, np.repeat(np.arange(40), 10))["f1"]
    spread = 100 * table[:, 1].std() / np.sqrt(400) * 1.96
    assert single.high - single.value == pytest.approx(spread, rel=0.15)
    assert groups.high - groups.low > 2 * (single.high - single.low)


def test_questions_are_sorted_by_their_word_and_by_the_length_of_the_answer():
    asked = ("Who won?", "In what year did he die?", "How many are there?", "How so?", "Name it.")
    assert [metrics.question_word(question) for question in asked] == [
        "who",
        "what",
        "how many",
        "how",
        "other",
    ]
    chinese = ("谁赢了？", "什么时候出生？", "有多少人？", "在哪里？", "说说看")
    told = [metrics.question_word(q, "zh") for q in chinese]
    assert told == ["who", "when", "how many", "where", "other"]
    assert metrics.length_class([]) == "none"
    assert metrics.length_class(["the red house", "x y z w v"]) == "2-3"
    assert metrics.length_class(["法国巴黎"], "zh") == "4-7"
    assert metrics.by_group([[1, 1], [0, 0.5], [1, 1]], ["a", "b", "a"]) == {
        "a": (2, 100.0, 100.0),
        "b": (1, 0.0, 50.0),
    }


def test_the_threshold_is_the_best_of_all_that_can_be(rng):
    for _ in range(20):
        differences = np.round(rng.normal(size=30), 1)
        answered, unanswered = rng.uniform(size=30), (rng.uniform(size=30) < 0.4) * 1.0
        threshold, mean = best_threshold(differences, answered, unanswered)

        def at(t, d=differences, a=answered, u=unanswered):
            return np.where(d > t, u, a).mean()

        tried = [at(t) for t in np.concatenate([np.linspace(-9, 9, 1801)])]
        assert mean == pytest.approx(at(threshold)) == pytest.approx(max(tried))
    with pytest.raises(ValueError, match="finite"):
        best_threshold([np.nan], [1], [0])


# Files


def squad_file(path, rows, **more):
    qas = [{"id": str(i), "question": "Where?", "answers": a, **more} for i, a in enumerate(rows)]
    paragraphs = [{"context": TEXT, "qas": qas}]
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
    return path


def test_squad_files_of_both_versions_are_read(tmp_path):
    right = [{"text": "garden", "answer_start": TEXT.index("garden")}]
    off = [{"text": "garden", "answer_start": TEXT.index("garden") - 2}]
    absent = [{"text": "attic", "answer_start": 3}]
    read = read_questions(squad_file(tmp_path / "a.json", [right, off, absent, []]))
    starts = [[a.start for a in q.answers] for q in read.questions]
    place = TEXT.index("garden")
    assert starts == [[place], [place], [-1], []]
    assert [note.split()[0] for note in read.notes] == ["1", "1"]
    impossible = squad_file(tmp_path / "b.json", [right], is_impossible=True)
    assert read_questions(impossible).questions[0].answers == ()


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_users_table_is_read_with_and_without_starts(tmp_path, kind):
    rows = [
        {"question": "Where is Ben?", "context": TEXT, "answer": "garden", "start": ""},
        {"question": "What word?", "context": TEXT, "answer": "the", "start": "37"},
        {"question": "Which word?", "context": TEXT, "answer": "the", "start": ""},
        {"question": "Why?", "context": TEXT, "answer": "", "start": ""},
    ]
    path = tmp_path / f"mine.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        lines = [",".join(f'"{v}"' for v in row.values()) for row in rows]
        path.write_text("question,context,answer,start\n" + "\n".join(lines))
    read = read_questions(path)
    assert [[a.start for a in q.answers] for q in read.questions] == [[41], [37], [12], []]
    assert any("stand several times" in note for note in read.notes)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "question,text\nWhere?,here\n", "no column context and none answer"),
        ("a.csv", "question,context,answer,start\nWhere?,here,here,x\n", "row 2: start is 'x'"),
        ("a.csv", "question,context,answer\n,here,here\n", "row 2: the question is empty"),
        ("a.csv", "question,context,answer,start\nWhere?,here,,3\n", "a start, 3, and no answer"),
        ("a.json", "{", "bad JSON"),
        ("a.json", '{"data": [{"paragraphs": [{}]}]}', "not SQuAD's layout"),
        ("a.json", '{"data": []}', "there are no questions"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(tmp_path, name, text, told):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=told):
        read_questions(tmp_path / name)


def test_articles_are_never_on_two_sides():
    questions = [asked("q", f"text {i // 3}", title=f"t{i // 3}", id=str(i)) for i in range(30)]
    found = split_by_title(questions, {"train": 6, "validation": 2, "test": 2}, seed=1)
    assert {name: len(part) for name, part in found.items()} == {
        "train": 18, "validation": 6, "test": 6}  # fmt: skip
    titles = [{q.title for q in part} for part in found.values()]
    assert not titles[0] & titles[1] and not titles[0] & titles[2]
    with pytest.raises(ValueError, match="10 articles cannot be divided"):
        split_by_title(questions, {"train": 11})


def test_cmrc_and_xquad_are_read_and_their_answers_reached(shared_data, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(shared_data))
    vocabulary = shared_data / "bert_vocab" / "bert-base-chinese" / "vocab.txt"
    tokenizer = Tokenizer.from_vocab(vocabulary)
    for name, split, wider in (("cmrc2018", "trial", 0.03), ("xquad", "zh", 0.05)):
        questions = read_questions(name, split).questions[:300]
        made = make_windows(tokenizer, questions, max_length=384, doc_stride=128)
        assert made.aligned["not reached"] == 0
        assert made.aligned["wider"] <= wider * made.aligned["total"], made.aligned


# Baselines


def test_baselines_answer_from_the_text():
    context = "The old tower is red. Ben painted the long fence in May. Anna slept."
    question = asked("When did Ben paint the long fence?", context, "May")
    assert baselines.closest_sentence(question) == "Ben painted the long fence in May."
    assert baselines.sliding_window(question) in ("in May", "painted", "May", "in")
    drawn = baselines.random_spans([question] * 50, [1, 2], seed=0)
    assert {len(text.split()) for text in drawn} == {1, 2} and len(set(drawn)) > 10
    assert usual_lengths([question]) == [1]


# A run


def recipe(folder, **more):
    settings = {"epochs": 15, "batch_size": 16, "learning_rate": 5e-3, "max_length": 40}
    return Recipe(str(folder), **settings | {"vocab_size": 150, "dropout": 0.0} | more)


@pytest.mark.slow
def test_a_small_model_learns_where_people_are_and_a_run_goes_on(keras, tmp_path):
    splits = {
        "train": small_world(96),
        "validation": small_world(30, 1),
        "test": small_world(30, 2),
    }
    texts = [*(q.context for q in splits["train"]), *(q.question for q in splits["train"])]
    tokenizer = Tokenizer.learn(texts, 150, min_frequency=1)
    keras.utils.set_random_seed(1)
    drawn = keras.initializers.TruncatedNormal(stddev=0.2)
    sizes = SIZES | {"d_model": 32, "d_ff": 64, "dropout": 0.0, "initializer": drawn}
    start = BertEncoder(tokenizer.vocab_size, **sizes)
    checkpoints.save_bert(start, tmp_path / "start", tokenizer=tokenizer)
    chosen = recipe(tmp_path / "run")
    _, found, log = train_question_answerer(chosen, splits, tmp_path / "start")
    assert found["test"]["exact_match"].value > 80
    assert log[-1]["val_nll"] < 0.5 * log[0]["val_nll"]
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["split"] for line in lines] == ["validation", "test"]
    _, same, _ = train_question_answerer(chosen, splits, tmp_path / "start")
    assert same == found
    loaded = load_question_answerer(tmp_path / "run")
    assert evaluate(loaded, splits["test"])[0] == found["test"]
    told = json.loads((tmp_path / "run" / "predictions-test.json").read_text())
    assert told.keys() == {q.id for q in splits["test"]}
    with pytest.raises(ValueError, match="other settings"):
        train_question_answerer(recipe(tmp_path / "run", seed=1), splits, tmp_path / "start")
    check_commands(tmp_path / "run", tmp_path)


def check_commands(run, tmp_path):
    """`course answer`, on the run of the test above, which takes long to make."""
    text = tmp_path / "text.txt"
    text.write_text("\nBen sat in the tower.\n")
    command = ["answer", str(run), "where was it", "--context", str(text)]
    shown = CliRunner().invoke(app, command)
    assert shown.exit_code == 0, shown.output
    assert shown.output.startswith("tower  (probability ")
    assert "line 2, characters 16 to 21" in shown.output and "[tower]" in shown.output
    told = json.loads(CliRunner().invoke(app, [*command, "--json", "--n", "3"]).output)
    assert len(told["answers"]) == 3 and told["answers"][0]["line"] == 2


def test_no_answer_is_said_above_the_threshold(keras, tokenizer):
    answerer = QuestionAnswerer(make(keras, tokenizer.vocab_size, "cls"), tokenizer, max_length=40)
    questions = [*small_world(6), asked("where is nobody", TEXT)]
    predictions = answerer.predict(questions)
    assert all(a.text == "" and a.start == -1 for a in predictions.best(-1e9))
    assert all(a.text for a in predictions.best(1e9))
    threshold = choose_threshold(predictions, questions)
    answerer.threshold = threshold
    best, _ = evaluate(answerer, questions, predictions=predictions)
    assert best["f1"].value >= 100 / 7 - 1e-6  # at least "no answer" to all
    assert f1_score("", questions[-1].texts) == 1


def test_settings_that_do_not_exist_are_refused(tmp_path):
    for wrong in ({"no_answer": "x"}, {"language": "fr"}, {"size": "huge"}, {"epochs": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            recipe(tmp_path, **wrong)
    with pytest.raises(ValueError, match="no questions of validation"):
        train_question_answerer(recipe(tmp_path), {"train": small_world(3)})


def test_the_worlds_questions_are_read_whole():
    found = world_questions(50, 20, unanswerable=False)
    assert {name: len(part) for name, part in found.items()} == {
        "train": 50, "validation": 20, "test": 20}  # fmt: skip
    for question in found["train"]:
        (answer,) = question.answers
        assert question.context[answer.start :].startswith(answer.text)


# The command line


def test_the_command_checks_the_data_and_names_what_is_missing(tmp_path):
    lines = [json.dumps({"question": "where is ben", "context": f"{i} {TEXT}", "answer": "garden"})
             for i in range(20)]  # fmt: skip
    (tmp_path / "mine.jsonl").write_text("\n".join(lines))
    run = CliRunner()
    shown = run.invoke(
        app, ["train", "question-answering", str(tmp_path / "mine.jsonl"), "--check"]
    )
    assert shown.exit_code == 0, shown.output
    assert "2 of 20 articles are held out" in shown.output and "18 questions" in shown.output
    shown = run.invoke(app, ["train", "question-answering", str(tmp_path / "mine.jsonl")])
    assert shown.exit_code == 2 and "--out is missing" in shown.output
    bad = ["--check", "--articles", "3-2"]
    shown = run.invoke(app, ["train", "question-answering", str(tmp_path / "mine.jsonl"), *bad])
    assert shown.exit_code == 2 and "expected numbers, as 36/4/8" in shown.output
    shown = run.invoke(app, ["answer", str(tmp_path), "who?", "--context", str(tmp_path / "no")])
    assert shown.exit_code == 2 and "No such file" in shown.output
