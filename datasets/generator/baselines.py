"""Baselines that need no training worth the name, and the scores they are judged by."""

from __future__ import annotations

import math
import random
import re
from collections import Counter, defaultdict
from itertools import pairwise

PIECE = re.compile(r"[a-zA-ZäöüÄÖÜßéèêñ'’-]+|\d+|[^\s\w]|\w")


def words(text: str) -> list[str]:
    """Lower-case words; of Chinese the characters."""
    return PIECE.findall(text.lower())


def grams(tokens: list[str], n: int) -> Counter:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def bleu(guesses: list[str], targets: list[str]) -> float:
    """Corpus BLEU-4 on words (of Chinese on characters), without smoothing."""
    hits, totals = [0] * 4, [0] * 4
    guess_length = target_length = 0
    for guess, target in zip(guesses, targets, strict=True):
        ours, theirs = words(guess), words(target)
        guess_length += len(ours)
        target_length += len(theirs)
        for n in range(4):
            mine = grams(ours, n + 1)
            hits[n] += sum((mine & grams(theirs, n + 1)).values())
            totals[n] += sum(mine.values())
    if not all(hits):
        return 0.0
    precision = sum(math.log(h / t) for h, t in zip(hits, totals, strict=True)) / 4
    brevity = min(0.0, 1 - target_length / guess_length)
    return 100 * math.exp(precision + brevity)


class Neighbour:
    """Answers with the target of the train source that shares the rarest words."""

    def __init__(self, train: list[dict]) -> None:
        self.train = train
        self.index: dict[str, list[int]] = defaultdict(list)
        for number, row in enumerate(train):
            for word in set(words(row["source"])):
                self.index[word].append(number)

    def answer(self, source: str) -> str:
        scores: Counter = Counter()
        for word in set(words(source)):
            known = self.index.get(word, ())
            weight = math.log(len(self.train) / (len(known) or 1))
            for number in known:
                scores[number] += weight
        best = min(scores, key=lambda n: (-scores[n], abs(self.gap(n, source)), n))
        return self.train[best]["target"]

    def gap(self, number: int, source: str) -> int:
        return len(self.train[number]["source"]) - len(source)


class NaiveBayes:
    """A bag of words (n = 1) or of words and word pairs (n = 2)."""

    def __init__(self, train: list[dict], n: int) -> None:
        self.n = n
        self.counts = {0: Counter(), 1: Counter()}
        for row in train:
            self.counts[row["label"]].update(self.features(row["text"]))
        self.totals = {label: sum(c.values()) for label, c in self.counts.items()}
        self.size = len(self.counts[0] | self.counts[1])

    def features(self, text: str) -> list[tuple[str, ...]]:
        tokens = words(text)
        return [gram for n in range(1, self.n + 1) for gram in grams(tokens, n)]

    def accuracy(self, rows: list[dict]) -> float:
        return sum(self.label(row["text"]) == row["label"] for row in rows) / len(rows)

    def label(self, text: str) -> int:
        def score(label: int) -> float:
            known, total = self.counts[label], self.totals[label] + self.size
            return sum(math.log((known[f] + 1) / total) for f in self.features(text))

        return int(score(1) > score(0))


def bigram_perplexity(train: list[str], test: list[str]) -> tuple[float, float]:
    """(unigram, bigram) perplexity a word; the bigram is mixed with the unigram half and half."""
    singles, doubles, starts = Counter(), Counter(), Counter()
    for text in train:
        tokens = ["<s>", *words(text)]
        singles.update(tokens[1:])
        doubles.update(pairwise(tokens))
        starts.update(tokens[:-1])
    size, total = len(singles) + 1, sum(singles.values())
    single_loss = double_loss = 0.0
    count = 0
    for text in test:
        tokens = ["<s>", *words(text)]
        for before, word in pairwise(tokens):
            single = (singles[word] + 1) / (total + size)
            double = doubles[before, word] / starts[before] if starts[before] else single
            single_loss -= math.log(single)
            double_loss -= math.log(0.5 * double + 0.5 * single)
            count += 1
    return math.exp(single_loss / count), math.exp(double_loss / count)


def rouge1(guess: str, target: str) -> float:
    """Overlap of words, as F1."""
    ours, theirs = Counter(words(guess)), Counter(words(target))
    shared = sum((ours & theirs).values())
    return 2 * shared / (sum(ours.values()) + sum(theirs.values()))


def split_sentences(text: str) -> list[str]:
    return re.split(r"(?<=[.!?”]) (?=[A-Z“])", text)


def answer_by_habit(train: list[dict], test: list[dict]) -> float:
    """Exact match of always giving the commonest answer of the question's first words."""
    habits: dict[str, Counter] = defaultdict(Counter)
    for row in train:
        answer = row["answers"][0]["text"] if row["answers"] else ""
        habits[" ".join(row["question"].split()[:2])][answer] += 1
    right = 0
    for row in test:
        known = habits.get(" ".join(row["question"].split()[:2]))
        guess = known.most_common(1)[0][0] if known else ""
        right += guess in ([a["text"] for a in row["answers"]] or [""])
    return right / len(test)


def answer_sentence_found(test: list[dict]) -> float:
    """How often the sentence with the most words of the question holds the answer."""
    asked = [row for row in test if row["answers"]]
    found = 0
    for row in asked:
        wanted = set(words(row["question"]))
        best = max(split_sentences(row["context"]), key=lambda text: len(wanted & set(words(text))))
        found += row["answers"][0]["text"] in best
    return found / len(asked)


def random_entity(test: list[dict]) -> float:
    """Exact match of a random name or number word of the context, seeded."""
    rng = random.Random(0)
    right = 0
    for row in test:
        names = [w.strip(".,;:!?”“") for w in row["context"].split()[1:] if w[0].isupper()]
        guess = rng.choice(names) if names else ""
        right += guess in [a["text"] for a in row["answers"]]
    return right / len(test)
