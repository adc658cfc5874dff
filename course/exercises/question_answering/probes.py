"""Exercises of lesson 09, question answering: probes and the mistakes they find.

What each exercise returns is in `reference.py`, with a knob for each slip; words in the TOML file.
"""

import numpy as np

from course.checks.declaration import Probe, call, draw_until
from course.checks.judges import Match, MatchRows, only_if, same
from course.checks.texts import exercise, lesson, questions
from course.exercises.question_answering import reference as ref

LESSON = lesson("question_answering")
ROOM = "course.question_answering"

# Of the course, what holds the answer.
SPANS = tuple(f"{ROOM}.spans.{name}" for name in ("token_spans", "alignment"))
SELECTION = tuple(f"{ROOM}.selection.{name}" for name in ("best_spans", "merge_windows"))
WINDOWS = (*SELECTION, f"{ROOM}.windows.max_context")
METRICS = tuple(
    f"{ROOM}.metrics.{name}"
    for name in ("normalize_answer", "f1_score", "english_f1", "score_table", "mixed_segments")
)
THRESHOLD = (f"{ROOM}.metrics.best_threshold",)


def in_numpy(*args, **kwargs):
    """A call that needs no Keras."""
    return call(*args, **kwargs) | {"keras": False}


def slips(reference, /, **named):
    """{mistake: what the reference returns with these knobs}; hyphens for underscores."""

    def turned(knobs):
        return lambda i: reference(i, **knobs)

    return {name.replace("_", "-"): turned(knobs) for name, knobs in named.items()}


def apart(draw, reference, judge, *names):
    """Draws until each of these mistakes returns something else than the reference."""

    def parts(i):
        right = reference(i)
        return not any(same(judge.suspects[name](i), right, 1e-4) for name in names)

    return draw_until(draw, parts)


# 1. From characters to places

judge_label = Match(
    ref.label_span,
    slips(
        ref.label_span,
        in_the_question={"question": True},
        cut_is_nothing={"cut": "nothing"},
        cut_is_clipped={"cut": "clipped"},
        end_one_more={"touching_right": True},
        end_one_less={"end_shift": -1},
        start_one_less={"touching_left": True},
        whole_tokens={"whole_tokens": True},
        starts_with_a_token={"start_exact": True},
        end_exclusive={"exclusive": True},
        counted_in_the_context={"from_context": True},
        first_token_only={"one_token": True},
        nothing_is_ignored={"nothing": (-1, -1)},
        in_the_question_and_cut={"question": True, "cut": "clipped"},
    ),
    labels=("first", "last"),
    dtype=None,
)


def drawn_row(rng, where, inside_token=False):
    """Offsets of a row `[CLS] question [SEP] context [SEP]`, and an answer's characters."""
    asked, shown = int(rng.integers(3, 6)), int(rng.integers(7, 11))
    before = int(rng.integers(4, 7))  # tokens of the context before this window
    behind = int(rng.integers(4, 7))

    def tokens(count):
        lengths, gaps = rng.integers(2, 6, count), rng.integers(0, 2, count)
        starts = np.cumsum(np.concatenate([[0], (lengths + gaps)[:-1]]))
        return np.stack([starts, starts + lengths], axis=1)

    question, context = tokens(asked), tokens(before + shown + behind)
    window = context[before : before + shown]
    special = np.zeros((1, 2), int)
    offsets = np.concatenate([special, question, special, window, special])
    in_context = np.zeros(len(offsets), bool)
    in_context[asked + 2 : asked + 2 + shown] = True
    first, last = {
        "inside": (before + 1, before + 3),
        "first token": (before, before),
        "last token": (before + shown - 1, before + shown - 1),
        "cut left": (before - 2, before + 1),
        "cut right": (before + shown - 2, before + shown + 1),
        "before": (before - 3, before - 2),
        "behind": (before + shown + 1, before + shown + 2),
        "all": (before, before + shown - 1),
    }[where]
    start, end = int(context[first, 0]), int(context[last, 1])
    if inside_token:
        start, end = start + 1, int(context[last, 0]) + 1  # one character of the last token
    return {"offsets": offsets, "in_context": in_context, "start": start, "end": end}


def label_probe(title, points, where, *names, inside_token=False):
    def draw(rng):
        return drawn_row(rng, where, inside_token)

    inputs = apart(draw, ref.label_span, judge_label, *names)
    return Probe(title, points, inputs, call_label, judge_label)


def call_label(i):
    return in_numpy(i["offsets"], i["in_context"], i["start"], i["end"])


LABEL = exercise(
    "question_answering.label",
    defines="label_span",
    may_not_call=SPANS,
    probes=(
        label_probe("an answer of several tokens", 1, "inside", "end-one-more", "start-one-less"),
        label_probe("an answer of one token", 0.5, "last token"),
        label_probe("an answer that starts and ends inside tokens", 1, "inside", inside_token=True),
        label_probe("the question has offsets, too", 0.5, "first token"),
        label_probe("the window shows nothing of it", 0.5, "before"),
        label_probe("it lies behind the window", 0.5, "behind"),
        label_probe("the window cuts it at its start", 0.5, "cut left", "cut-is-clipped"),
        label_probe("the window cuts it at its end", 0.5, "cut right", "cut-is-clipped"),
        label_probe("all of the window", 0.5, "all"),
    ),
)


# 2. The best span


def _hidden(i):
    return not i["allowed"].all()


judge_best = MatchRows(
    ref.best_span,
    slips(
        ref.best_span,
        chosen_apart={"order": False, "limit": None},
        end_before_start={"order": False},
        no_limit={"limit": None},
        limit_one_more={"limit": 1},
        limit_one_less={"limit": -1},
        two_tokens_at_least={"strict": True},
        best_start_first={"greedy": "start"},
        best_end_first={"greedy": "end"},
        product={"score": lambda s, e: s * e},
        larger_of_both={"score": np.maximum},
        start_alone={"score": lambda s, e: s + 0 * e},
        mean_score={"report": lambda s: s / 2},
        end_exclusive={"exclusive": True},
        lowest={"choose": np.argmin},
    )
    | {
        "everywhere": only_if(_hidden, lambda i: ref.best_span(i, allowed="none")),
        "start-everywhere": only_if(_hidden, lambda i: ref.best_span(i, allowed="end")),
        "end-everywhere": only_if(_hidden, lambda i: ref.best_span(i, allowed="start")),
        "probability": lambda i: ref.best_span(i, transform=ref.softmax, score=lambda s, e: s * e),
        "log-probability": lambda i: ref.best_span(i, transform=lambda x: np.log(ref.softmax(x))),
    },
    labels=("starts", "ends", "scores"),
    dtype=None,
)


def logits(rows, length, max_tokens, hidden=False):
    def draw(rng):
        start, end = (2 * rng.normal(size=(2, rows, length))).astype("float32")
        allowed = np.ones((rows, length), bool)
        if hidden:
            begins = rng.integers(2, length // 2, rows)[:, None]
            ends = rng.integers(length // 2 + 2, length, rows)[:, None]
            place = np.arange(length)
            allowed = (place >= begins) & (place < ends)
        return {
            "start_logits": start,
            "end_logits": end,
            "allowed": allowed,
            "max_tokens": max_tokens,
        }

    return draw


def best_probe(title, points, draw, *names):
    return Probe(
        title, points, apart(draw, ref.best_span, judge_best, *names), call_best, judge_best
    )


def call_best(i):
    return in_numpy(i["start_logits"], i["end_logits"], i["allowed"], i["max_tokens"])


BEST = exercise(
    "question_answering.best_span",
    defines="best_span",
    may_not_call=SELECTION,
    probes=(
        best_probe("the end is not before the start", 1, logits(1, 5, 5), "end-before-start"),
        best_probe(
            "the sum decides, not the best start",
            1,
            logits(2, 6, 6),
            "best-start-first",
            "best-end-first",
        ),
        best_probe(
            "only where it is allowed",
            1,
            logits(3, 12, 12, hidden=True),
            "everywhere",
            "start-everywhere",
            "end-everywhere",
        ),
        best_probe(
            "not longer than max_tokens",
            1,
            logits(2, 10, 3),
            "no-limit",
            "limit-one-more",
            "limit-one-less",
        ),
        best_probe("one token may be an answer", 0.5, logits(2, 6, 1)),
        best_probe("many rows", 0.5, logits(20, 15, 4, hidden=True)),
    ),
)


# 3. Merging windows


def windows(stride=3, size=6, tokens=None, n=4, count=3):
    """Windows over a context, each with n spans; neighbours overlap, and their scores differ."""

    def draw(rng):
        first = stride * np.arange(count)
        total = tokens or int(first[-1] + size - rng.integers(0, 2))
        shown = np.minimum(size, total - first)
        start = np.stack([rng.choice(m, n, replace=n > m) for m in shown])
        end = np.minimum(start + rng.integers(0, 3, start.shape), shown[:, None] - 1)
        level = 3 * rng.normal(size=(count, 1))
        score = (level + rng.normal(size=start.shape)).astype("float32")
        return {"first": first, "count": shown, "start": start, "end": end, "score": score}

    return draw


def _left_only(i):
    return ref.best_windows(i, left_only=True)


def _right_only(i):
    return ref.best_windows(i, right_only=True)


def _latest(i):
    return ref.best_windows(i, latest=True)


judge_merge = Match(
    ref.merged,
    slips(
        ref.merged,
        softmax_of_each_window={"per_window": True},
        every_window_counts={"rule": "none"},
        window_of_the_end={"rule": "end"},
        window_of_both={"rule": "both"},
        not_shifted={"shift": False},
        winners_only={"total": "winners"},
        own_window_only={"total": "window"},
        uncounted_in_the_sum={"total": "uncounted"},
        score_for_probability={"total": "score"},
        left_context={"better": _left_only},
        right_context={"better": _right_only},
        later_window={"better": _latest},
        softmax_of_each_window_all_count={"per_window": True, "rule": "none"},
        not_shifted_all_count={"rule": "none", "shift": False},
    ),
    labels=("start", "end", "probability"),
    dtype=None,
)


def merge_probe(title, points, draw, *names):
    def parts(i):
        right = ref.merged(i)
        if not np.isfinite(right[2]):
            return False
        return not any(same(judge_merge.suspects[n](i), right, 1e-3) for n in names)

    return Probe(title, points, draw_until(draw, parts), call_merge, judge_merge)


def call_merge(i):
    return in_numpy(*(i[name] for name in ("first", "count", "start", "end", "score")))


MERGE = exercise(
    "question_answering.merge",
    defines="merge_windows",
    may_not_call=WINDOWS,
    probes=(
        merge_probe("one window", 0.5, windows(count=1, tokens=6)),
        merge_probe(
            "two windows side by side", 1, windows(stride=6, tokens=12, count=2),
            "softmax-of-each-window", "not-shifted", "own-window-only", "winners-only",
        ),
        merge_probe(
            "each span counts in one window", 1.5, windows(),
            "every-window-counts", "window-of-the-end", "left-context", "right-context",
            "softmax-of-each-window",
        ),
        merge_probe("of equal windows the earlier", 0.5,
                    windows(stride=3, size=6, tokens=9, count=2), "later-window"),
        merge_probe("many windows", 0.5, windows(stride=2, size=7, count=6, n=5)),
    ),
)  # fmt: skip


# 4. F1 by hand


def _english(i):
    return i["language"] == "en"


def _chinese(i):
    return i["language"] == "zh"


judge_f1 = Match(
    ref.mean_f1,
    slips(
        ref.mean_f1,
        sets={"bag": False},
        counted_again={"figure": "longer"},
        exact_match={"figure": "em"},
        precision={"figure": "precision"},
        recall={"figure": "recall"},
        arithmetic_mean={"figure": "mean"},
        jaccard={"figure": "jaccard"},
        maximum_after_the_mean={"over": "after"},
        mean_over_answers={"over": "mean"},
        pooled={"over": "pooled"},
        first_answer={"over": "first"},
        last_answer={"over": "last"},
        worst_answer={"over": "min"},
        empty_is_zero={"empty": "zero"},
        empty_is_one={"empty": "one"},
        case_kept={"lower": False},
        punctuation_kept={"punctuation": "kept"},
        punctuation_to_spaces={"punctuation": "space"},
    )
    | {
        "articles-kept": only_if(_english, lambda i: ref.mean_f1(i, articles="kept")),
        "articles-as-letters": only_if(_english, lambda i: ref.mean_f1(i, articles="letters")),
        "first-article-only": only_if(_english, lambda i: ref.mean_f1(i, articles="first")),
        "only-the": only_if(_english, lambda i: ref.mean_f1(i, articles="only the")),
        "articles-in-chinese": only_if(_chinese, lambda i: ref.mean_f1(i, chinese_articles=True)),
        "words-in-chinese": only_if(_chinese, lambda i: ref.mean_f1(i, chinese_words=True)),
    },
    dtype=None,
)

WORDS = "red green old small tower garden river castle baker doctor window anna ben theatre another"
CHARACTERS = "法国巴黎北京上海红色大学河花园城堡医生"


def phrases(kind, language="en", count=4):
    """Predictions and answers of one kind, drawn from a few words."""

    def draw(rng):
        words = WORDS.split() if language == "en" else list(CHARACTERS)
        gap = " " if language == "en" else ""

        def some(low, high):
            return [str(w) for w in rng.choice(words, int(rng.integers(low, high)), replace=False)]

        predictions, answers = [], []
        for _ in range(count):
            told = [some(2, 5)]
            said = [*told[0][: int(rng.integers(1, 3))], *some(1, 3)]
            if kind == "repeated":
                said = [*said, *said[: int(rng.integers(1, 3))]]
                told[0] = [*told[0], told[0][0]]
            if kind == "several":
                told += [some(1, 4), [*said[:2], *some(1, 2)]]
            if kind == "articles":
                told[0] = ["the", *told[0], "or"]  # what is left of "other" without its letters
                article = str(rng.choice(["a", "an", "the"]))
                said = [article, *said[:1], article, *said[1:], "other"]
            if kind == "latin":
                said, told = ["a", *said], [["a", *told[0]]]
            texts = [gap.join(part) for part in told]
            text = gap.join(said)
            if kind == "marks":
                mark = str(rng.choice(["-", "'", "."]))
                text = text.replace(" ", mark, 1).title() + "!"
                texts = [t.replace(" ", mark, 1) + "." for t in texts]
                if language == "zh":
                    text, texts = f"《{text}》", [f"{t}。" for t in texts]
            predictions.append(text)
            answers.append(texts)
        if kind == "none":
            predictions = ["", "", predictions[2], "the"]
            answers = [[], answers[1], [], ["a"]]
        order = rng.permutation(count)
        return {
            "predictions": [predictions[k] for k in order],
            "answers": [answers[k] for k in order],
            "language": language,
        }

    return draw


def f1_probe(title, points, draw, *names):
    return Probe(title, points, apart(draw, ref.mean_f1, judge_f1, *names), call_f1, judge_f1)


def call_f1(i):
    return in_numpy(i["predictions"], i["answers"], i["language"])


F1 = exercise(
    "question_answering.f1",
    defines="mean_f1",
    may_not_call=METRICS,
    probes=(
        f1_probe("precision and recall of words", 1, phrases("plain"), "precision", "recall",
                 "arithmetic-mean", "exact-match"),
        f1_probe("a word counts as often as it stands", 1, phrases("repeated"), "sets",
                 "counted-again"),
        f1_probe("case and punctuation", 0.5, phrases("marks"), "case-kept", "punctuation-kept",
                 "punctuation-to-spaces"),
        f1_probe("articles are words", 0.5, phrases("articles"), "articles-kept",
                 "articles-as-letters", "first-article-only", "only-the"),
        f1_probe("the best of several answers", 1, phrases("several"), "maximum-after-the-mean",
                 "mean-over-answers", "first-answer", "last-answer"),
        f1_probe("no answer", 0.5, phrases("none"), "empty-is-zero", "empty-is-one"),
        f1_probe("Chinese characters", 0.5, phrases("latin", "zh"),
                 "words-in-chinese"),
        f1_probe("Chinese punctuation", 0.5, phrases("marks", "zh"), "punctuation-kept"),
        Probe(
            "Chinese has no articles", 0.5,
            lambda rng: {"predictions": [f"{(c := str(rng.choice(list('大小红'))))} a", "an 组"],
                         "answers": [[c], ["组"]], "language": "zh"},
            call_f1, judge_f1,
        ),
    ),
)  # fmt: skip


# 5. The threshold for "no answer"

judge_threshold = Match(
    ref.threshold,
    slips(
        ref.threshold,
        at_least={"at_least": True},
        inverted={"inverted": True},
        highest_of_equal={"ties": "highest"},
        zero={"fixed": lambda d: 0.0},
        median={"fixed": np.median},
        mean_of_differences={"fixed": np.mean},
        always_answers={"fixed": np.max},
        never_answers_not_tried={"none": False},
        always_answers_not_tried={"everything": False},
        told_apart={"by": "told apart"},
    )
    | {
        "answerable-only": only_if(
            lambda i: not i["unanswered"].all(), lambda i: ref.threshold(i, by="answerable")
        ),
        "sum-of-scores": lambda i: (
            ref.threshold(i)[0],
            ref.threshold(i)[1] * len(i["differences"]),
        ),
        "percent": lambda i: (ref.threshold(i)[0], ref.threshold(i)[1] * 100),
        "score-of-all-answers": lambda i: (ref.threshold(i)[0], float(i["answered"].mean())),
    },
    labels=("threshold", "score"),
    dtype=None,
)


def differences(count, unanswerable, shift=2.0, equal=False, helpful=True):
    """Differences, what the best span scores and what silence scores, for so many questions."""

    def draw(rng):
        none = rng.uniform(size=count) < unanswerable
        d = rng.normal(size=count) + shift * (none if helpful else ~none)
        d = np.round(2 * d) / 2 if equal else np.round(d, 3)
        answered = np.round(rng.uniform(size=count) ** 0.5, 2)
        answered[none | (rng.uniform(size=count) < 0.25)] = 0.0  # a wrong span is worth nothing
        return {
            "differences": d.astype("float32"),
            "answered": answered.astype("float32"),
            "unanswered": none.astype("float32"),
        }

    return draw


def threshold_probe(title, points, draw, *names):
    def parts(i):
        right = ref.threshold(i)
        return not any(same(judge_threshold.suspects[n](i), right, 1e-3) for n in names)

    return Probe(title, points, draw_until(draw, parts), call_threshold, judge_threshold)


def call_threshold(i):
    return in_numpy(i["differences"], i["answered"], i["unanswered"])


THRESHOLD_EXERCISE = exercise(
    "question_answering.threshold",
    defines="choose_threshold",
    may_not_call=THRESHOLD,
    probes=(
        threshold_probe("a clear case", 1, differences(8, 0.5), "zero", "always-answers",
                        "at-least", "inverted"),
        threshold_probe("the scores count, not right and wrong", 1, differences(30, 0.3, 1.0),
                        "told-apart"),
        threshold_probe("of equally good thresholds the lowest", 0.5, differences(12, 0.4),
                        "highest-of-equal"),
        threshold_probe("equal differences stay together", 0.5, differences(24, 0.4, equal=True)),
        threshold_probe("all questions can be answered", 0.5, differences(9, 0.0),
                        "always-answers-not-tried"),
        threshold_probe("no question can be answered", 0.5, differences(9, 1.1),
                        "never-answers-not-tried"),
        threshold_probe("many questions", 0.5, differences(300, 0.3, 1.5)),
    ),
)  # fmt: skip


# 6. Sort the errors, and decide

judge_errors = Match(
    ref.sorted_errors,
    slips(
        ref.sorted_errors,
        commonest={"decide": "count"},
        dearest_each={"decide": "mean"},
        cheapest={"decide": "cheapest"},
        touching_is_overlap={"touching": 1},
        silent_and_invented_swapped={"swapped": True},
        boundary_is_elsewhere={"near": False},
        silence_is_never_right={"none_right": False},
        start_alone={"start_only": True},
    ),
    labels=("counts", "kind"),
    dtype=None,
)


def answers(count, off=0.5, none=0.25):
    """Spans that a model gave and that people gave; (-1, -1) is "no answer"."""

    def draw(rng):
        start = rng.integers(0, 30, count)
        told = np.stack([start, start + rng.integers(0, 6, count)], axis=1)
        said = told.copy()
        wrong = rng.uniform(size=count)
        near = wrong < off
        said[near, 1] += rng.integers(1, 3, near.sum())
        far = (wrong >= off) & (wrong < off + 0.15)
        said[far] = told[far, 1:] + rng.integers(1, 4, (far.sum(), 1)) + np.array([0, 1])
        told[rng.uniform(size=count) < none] = -1
        said[rng.uniform(size=count) < none] = -1
        return {"predicted": said, "answers": told}

    return draw


def errors_probe(title, points, draw, *names):
    def parts(i):
        right = ref.sorted_errors(i)
        return not any(same(judge_errors.suspects[n](i), right, 0) for n in names) and _clear(i)

    return Probe(title, points, draw_until(draw, parts), call_errors, judge_errors)


def _clear(i):
    """Whether one kind costs clearly most."""
    lost = dict.fromkeys(ref.KINDS[1:], 0.0)
    for said, told in zip(i["predicted"].tolist(), i["answers"].tolist(), strict=True):
        one = {"predicted": np.array([said]), "answers": np.array([told])}
        counts, _ = ref.sorted_errors(one)
        (kind,) = [k for k, n in counts.items() if n]
        if kind != "right":
            both = said[0] >= 0 and told[0] >= 0
            lost[kind] += 1 - (ref.overlap_f1(said, told) if both else 0.0)
    first, second = sorted(lost.values(), reverse=True)[:2]
    return first > second + 0.05


def call_errors(i):
    return in_numpy(i["predicted"], i["answers"])


ERRORS = exercise(
    "question_answering.errors",
    defines="sort_errors",
    may_not_call=(),
    probes=(
        errors_probe("every question has an answer", 1, answers(12, none=0.0), "start-alone",
                     "boundary-is-elsewhere"),
        errors_probe("spans that touch do not overlap", 0.5, answers(20, none=0.0),
                     "touching-is-overlap"),
        errors_probe("silence, right and wrong", 1, answers(16, 0.2, 0.4),
                     "silent-and-invented-swapped", "silence-is-never-right"),
        errors_probe("what costs most comes first", 1, answers(40, 0.6, 0.12), "commonest",
                     "dearest-each"),
        errors_probe("many questions", 0.5, answers(200, 0.3, 0.2)),
    ),
)  # fmt: skip

EXERCISES = (LABEL, BEST, MERGE, F1, THRESHOLD_EXERCISE, ERRORS)
QUESTIONS = questions("question_answering")
