"""What a model has to beat: answers without learning."""

import itertools
import re
from collections import Counter

import numpy as np

from course.pretraining import sentences

WORD = re.compile(r"\w+(?:[-'’]\w+)*")


def words(text):
    """The words of a text in lower case, each with its place: a list of (word, start, end)."""
    return [(m[0].lower(), m.start(), m.end()) for m in WORD.finditer(text)]


def closest_sentence(question):
    """The sentence of the context that shares most words with the question, the first of equals."""
    asked = {word for word, _, _ in words(question.question)}
    found = sentences(question.context) or [question.context]
    shared = [len(asked & {word for word, _, _ in words(sentence)}) for sentence in found]
    return found[int(np.argmax(shared))]


def random_spans(questions, lengths, seed=0):
    """A random span of words of each context, of a length drawn from those of training answers.

    Args:
        questions: list of `Question`s.
        lengths: list of integers, words of answers.
        seed: of the draws.

    Returns:
        A list of strings.
    """
    rng, found = np.random.default_rng(seed), []
    for question in questions:
        places = words(question.context)
        length = min(max(int(rng.choice(lengths)), 1), len(places))
        first = int(rng.integers(len(places) - length + 1))
        found.append(question.context[places[first][1] : places[first + length - 1][2]])
    return found


def sliding_window(question, max_words=4):
    """The span for which a window of the context holds most of its words and the question's.

    A candidate is a span of at most `max_words` words of one sentence, without punctuation and
    without a word of the question. Only those in the sentences with most words of the question
    count. With a candidate the question's words make a set; the window is as wide as the set is
    large, and a word in it counts the more, the rarer it is in the context. The distance from the
    candidate to the question's words in its sentence is taken off. Of equal ones the first counts.

    Args:
        question: a `Question`.
        max_words: of a candidate. The paper's candidates come from a parser; these are all spans.

    Reference: Richardson et al. 2013, algorithms 1 and 2; Rajpurkar et al. 2016, section 5.
    """
    places = words(question.context)
    if not places:
        return question.context
    text = np.array([word for word, _, _ in places])
    asked = {word for word, _, _ in words(question.question)}
    counts = Counter(text.tolist())
    weight = np.array([np.log(1 + 1 / counts[word]) for word in text])
    in_question = np.isin(text, sorted(asked))
    sentence, joined = _divisions(question.context, places)
    overlap = np.array([len({*text[(sentence == n) & in_question]}) for n in sentence])
    best, answer = -np.inf, (0, 0)
    for first in np.flatnonzero((overlap == overlap.max()) & ~in_question):
        for last in range(first, min(first + max_words, len(text))):
            if in_question[last] or (last > first and not joined[last - 1]):
                break
            inside = in_question | np.isin(text, text[first : last + 1])
            size = min(len(asked | {*text[first : last + 1]}), len(text))
            total = np.concatenate([[0.0], np.cumsum(weight * inside)])
            score = (total[size:] - total[: len(total) - size]).max()
            near = np.flatnonzero(in_question & (sentence == sentence[first]))
            away = np.maximum(np.maximum(first - near, near - last), 0)
            score -= away.mean() / len(text) if len(near) else 1.0
            if score > best:
                best, answer = score, (first, last)
    return question.context[places[answer[0]][1] : places[answer[1]][2]]


def _divisions(context, places):
    """The number of each word's sentence, and whether only a space is between it and the next."""
    starts, at = [], 0
    for sentence in sentences(context):
        at = context.index(sentence, at)
        starts.append(at)
        at += len(sentence)
    number = np.searchsorted(starts, [start for _, start, _ in places], side="right") - 1
    joined = [not context[a[2] : b[1]].strip() for a, b in itertools.pairwise(places)]
    return number, np.array([*joined, False])
