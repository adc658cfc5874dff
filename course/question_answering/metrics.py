"""What answers are worth: exact match and F1, English and Chinese, with intervals."""

import re
import string
from collections import Counter
from typing import NamedTuple

import numpy as np

RESAMPLES = 2000
# What CMRC 2018's script takes for punctuation: full-width marks, and these of ASCII.
CHINESE_PUNCTUATION = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_WORD = re.compile(r"[^\W_]+(?:[.,'’][^\W_]+)*|[^\w\s]|_")
METRICS = ("exact_match", "f1")


class Score(NamedTuple):
    """A number in percent, and the 95% interval around it."""

    value: float
    low: float
    high: float

    def __str__(self):
        return f"{self.value:.3f} ({self.low:.2f} to {self.high:.2f})"


# English: SQuAD


def normalize_answer(text):
    """What SQuAD compares: lower case, no punctuation, no articles, single spaces.

    In this order. ASCII's punctuation is deleted, not replaced by a space: "twenty-two" becomes
    "twentytwo". Articles are the words a, an, the, wherever they stand.

    Example:
        >>> normalize_answer("The  King's horse, an Arab")
        'kings horse arab'

    Reference: Rajpurkar et al. 2016, section 6.1, and their script.
    """
    text = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", text).split())


def english_exact_match(prediction, answer):
    """1.0 if both are the same after normalization, else 0.0."""
    return float(normalize_answer(prediction) == normalize_answer(answer))


def english_f1(prediction, answer):
    """The harmonic mean of precision and recall of words, each counted as often as it stands.

    Where one of the two is empty after normalization it is 1.0 if both are, else 0.0.
    """
    said, told = normalize_answer(prediction).split(), normalize_answer(answer).split()
    if not said or not told:
        return float(said == told)
    shared = sum((Counter(said) & Counter(told)).values())
    return _f1(shared, len(said), len(told))


def _f1(shared, said, told):
    if not shared:
        return 0.0
    precision, recall = shared / said, shared / told
    return 2 * precision * recall / (precision + recall)


# Chinese: CMRC 2018


def mixed_segments(text):
    """CMRC's units: each Chinese character, and each run of other characters by words.

    Lower case, without punctuation. No article is taken away: Chinese has none, and "a" may be the
    answer.

    Example:
        >>> mixed_segments("在1997年，Windows 95。")
        ['在', '1997', '年', 'windows', '95']
    """
    segments, run = [], ""
    for character in text.lower().strip():
        if character in CHINESE_PUNCTUATION:
            continue
        if "\u4e00" <= character <= "\u9fa5":
            segments += [*_WORD.findall(run), character]
            run = ""
        else:
            run += character
    return segments + _WORD.findall(run)


def longest_common_run(one, other):
    """How many segments the longest stretch has that stands in both, without a gap.

    CMRC's script calls it LCS, which in other places is a subsequence, with gaps.
    """
    best, row = 0, [0] * (len(other) + 1)
    for item in one:
        above, row = row, [0] * (len(other) + 1)
        for place, to in enumerate(other):
            if item == to:
                row[place + 1] = above[place] + 1
                best = max(best, row[place + 1])
    return best


def _without_punctuation(text):
    kept = (c for c in text.lower().strip() if c not in CHINESE_PUNCTUATION)
    return "".join(kept)


def chinese_exact_match(prediction, answer):
    """1.0 if both are the same without case and punctuation, else 0.0."""
    return float(_without_punctuation(prediction) == _without_punctuation(answer))


def chinese_f1(prediction, answer):
    """F1 of the longest common run of segments.

    Reference: Cui et al. 2019, A Span-Extraction Dataset for Chinese Machine Reading Comprehension,
    section 3.4, and their script.
    """
    said, told = mixed_segments(prediction), mixed_segments(answer)
    if not said or not told:
        return float(said == told)
    return _f1(longest_common_run(said, told), len(said), len(told))


# One question, and many

_LANGUAGES = {
    "en": (english_exact_match, english_f1, normalize_answer),
    "zh": (chinese_exact_match, chinese_f1, _without_punctuation),
}


def _best(number, prediction, answers, language):
    if language not in _LANGUAGES:
        raise ValueError(f"language = {language!r}: choose one of {', '.join(_LANGUAGES)}.")
    score, normalize = _LANGUAGES[language][number], _LANGUAGES[language][2]
    told = [answer for answer in answers if normalize(answer)] or [""]
    return max(score(prediction, answer) for answer in told)


def exact_match(prediction, answers, language="en"):
    """Whether a prediction is one of the answers: the maximum over them, 0.0 or 1.0.

    Args:
        prediction: the words; "" means "no answer".
        answers: list of the words of all answers that people gave; empty if there is none.
        language: "en" for SQuAD's rules, "zh" for CMRC's.
    """
    return _best(0, prediction, answers, language)


def f1_score(prediction, answers, language="en"):
    """How much of an answer a prediction has: the maximum over the answers, 0.0 to 1.0.

    Args:
        prediction, answers, language: see `exact_match`.
    """
    return _best(1, prediction, answers, language)


def score_table(predictions, answers, language="en"):
    """Exact match and F1 of each question: float array `(questions, 2)`, 0 to 1.

    Args:
        predictions: list of strings, or None for a question that was not answered at all, which
            scores 0 as in the official scripts.
        answers: list of lists of strings, one a question.
        language: see `exact_match`.
    """
    if len(predictions) != len(answers):
        raise ValueError(f"{len(predictions)} predictions for {len(answers)} questions.")
    return np.array(
        [
            (0.0, 0.0)
            if said is None
            else (exact_match(said, told, language), f1_score(said, told, language))
            for said, told in zip(predictions, answers, strict=True)
        ]
    ).reshape(-1, 2)


def scores(table, groups=None, seed=0):
    """Means in percent with 95% intervals of the bootstrap.

    The interval says how far the choice of the questions moves the figure, not how far another
    training seed does. Questions on one text hang together: with `groups`, whole groups are drawn.

    Args:
        table: float array `(questions, 2)`, see `score_table`.
        groups: a key for each question, such as its article's title; None draws single questions.
        seed: of the bootstrap.

    Returns:
        {"exact_match": `Score`, "f1": `Score`}.

    Raises:
        ValueError: if there are no questions.

    Reference: Efron 1979.
    """
    table = np.asarray(table, "float64")
    if not len(table):
        raise ValueError("there are no questions to score.")
    group = np.arange(len(table))
    if groups is not None:
        _, group = np.unique(np.asarray(groups), return_inverse=True)
    count = int(group.max()) + 1
    sums, sizes = np.zeros((count, 2)), np.bincount(group, minlength=count)
    np.add.at(sums, group, table)
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), RESAMPLES)
    again = drawn @ sums / (drawn @ sizes)[:, None]
    low, high = np.quantile(again, [0.025, 0.975], axis=0)
    mean = table.mean(axis=0)
    return {
        name: Score(*(100 * float(part[i]) for part in (mean, low, high)))
        for i, name in enumerate(METRICS)
    }


def by_group(table, keys):
    """Questions, exact match and F1 of each key: {key: (questions, exact match, F1)}, percent.

    Args:
        table: see `scores`.
        keys: one for each question, for example of `question_word` or `length_class`.
    """
    table, found = np.asarray(table), {}
    for key in sorted(set(keys), key=str):
        some = table[[k == key for k in keys]]
        found[key] = (len(some), *(100 * some.mean(axis=0)).tolist())
    return found


QUESTION_WORDS = ("who", "whom", "whose", "what", "which", "where", "when", "why", "how")
CHINESE_QUESTION_WORDS = {
    "who": ("谁", "哪位"),
    "when": ("何时", "什么时候", "哪一年", "哪年", "几时"),
    "where": ("哪里", "哪儿", "何处", "什么地方"),
    "why": ("为什么", "为何"),
    "how many": ("多少", "几"),
    "how": ("怎么", "怎样", "如何"),
    "which": ("哪",),
    "what": ("什么", "何"),
}


def question_word(question, language="en"):
    """The first question word of a question, "how many" and "how much" apart; else "other"."""
    if language == "zh":
        return next(
            (n for n, told in CHINESE_QUESTION_WORDS.items() if any(w in question for w in told)),
            "other",
        )
    words = re.findall(r"\w+", question.lower())
    for place, word in enumerate(words):
        if word in QUESTION_WORDS:
            more = words[place + 1] if word == "how" and place + 1 < len(words) else ""
            return f"how {more}" if more in ("many", "much", "long", "old") else word
    return "other"


def length_class(answers, language="en"):
    """How long the shortest answer is: "none", "1", "2-3", "4-7", "8+" words or segments."""
    if not answers:
        return "none"
    units = (lambda text: normalize_answer(text).split()) if language == "en" else mixed_segments
    length = min(len(units(answer)) for answer in answers)
    return "1" if length <= 1 else "2-3" if length <= 3 else "4-7" if length <= 7 else "8+"


# No answer


def best_threshold(differences, answered, unanswered):
    """The threshold at which the mean of the scores is highest, to be chosen on validation.

    "No answer" is said where a question's difference is above the threshold.

    Args:
        differences: float array `(questions,)`: the score of "no answer" minus that of the best
            span.
        answered: float array `(questions,)`: what a question scores with its best span.
        unanswered: float array `(questions,)`: what it scores with "no answer".

    Returns:
        Pair of the threshold and the mean score there. Of equal ones it is the lowest; it lies
        between two differences, below them all, or above them all.

    Raises:
        ValueError: if there are no questions, or a difference is no number.
    """
    differences = np.asarray(differences, "float64")
    gain = np.asarray(answered, "float64") - np.asarray(unanswered, "float64")
    if not len(differences) or not np.isfinite(differences).all():
        raise ValueError("expected at least one difference, and every one a finite number.")
    values, place = np.unique(differences, return_inverse=True)
    steps = np.zeros(len(values))
    np.add.at(steps, place, gain)
    # Behind a threshold between value i-1 and i, the questions of the first i values are answered.
    means = (np.sum(unanswered) + np.concatenate([[0.0], np.cumsum(steps)])) / len(differences)
    best = int(np.argmax(means > means.max() - 1e-12))
    edges = np.concatenate([[values[0] - 1], (values[1:] + values[:-1]) / 2, [values[-1] + 1]])
    return float(edges[best]), float(means[best])
