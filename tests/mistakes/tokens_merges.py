"""Answers to tokens.learn_merges."""

import re
from collections import Counter, defaultdict
from functools import partial
from itertools import pairwise

from . import Catalogue

CATALOGUE = Catalogue()

right = partial(CATALOGUE.right, "tokens.learn_merges")
wrong = partial(CATALOGUE.wrong, "tokens.learn_merges")


@right()
def as_in_sennrichs_paper(counts, num_merges):
    vocabulary = {
        " ".join([word[0], *("##" + letter for letter in word[1:])]): times
        for word, times in counts.items()
    }
    names = dict(zip(counts, vocabulary, strict=True))
    merges = []
    for _ in range(num_merges):
        pairs = defaultdict(int)
        for text, times in vocabulary.items():
            symbols = text.split()
            for i in range(len(symbols) - 1):
                pairs[symbols[i], symbols[i + 1]] += times
        if not pairs:
            break
        most = max(pairs.values())
        best = sorted(pair for pair, times in pairs.items() if times == most)[0]
        merges.append(best)
        pattern = re.compile(r"(?<!\S)" + re.escape(" ".join(best)) + r"(?!\S)")
        joined = best[0] + best[1][2:]
        new = {text: pattern.sub(lambda _, joined=joined: joined, text) for text in vocabulary}
        vocabulary = {new[text]: times for text, times in vocabulary.items()}
        names = {word: new[text] for word, text in names.items()}
    return merges, {word: text.split() for word, text in names.items()}


@right()
def with_tuples(counts, num_merges):
    pieces = {word: (word[0], *("##" + c for c in word[1:])) for word in counts}
    merges = []
    while len(merges) < num_merges:
        pairs = Counter()
        for word, its in pieces.items():
            for pair in pairwise(its):
                pairs[pair] += counts[word]
        if not pairs:
            return merges, pieces
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        for word in pieces:
            its, out = list(pieces[word]), []
            while its:
                if len(its) > 1 and (its[0], its[1]) == best:
                    out.append(its.pop(0) + its.pop(0)[2:])
                else:
                    out.append(its.pop(0))
            pieces[word] = tuple(out)
    return merges, pieces


@right()
def calls_itself(counts, num_merges):
    def go(pieces, merges):
        pairs = Counter()
        for word, its in pieces.items():
            pairs.update({})
            for pair in pairwise(its):
                pairs[pair] += counts[word]
        if len(merges) == num_merges or not pairs:
            return merges, pieces
        left, right = min(pairs.items(), key=lambda item: (-item[1], item[0]))[0]
        return go(
            {word: joined(its, left, right) for word, its in pieces.items()},
            [*merges, [left, right]],
        )

    def joined(its, left, right):
        if len(its) < 2:
            return its
        if its[0] == left and its[1] == right:
            return [left + right.replace("##", "", 1), *joined(its[2:], left, right)]
        return [its[0], *joined(its[1:], left, right)]

    start = {w: [("##" if i else "") + c for i, c in enumerate(w)] for w in counts}
    return go(start, [])


@right()
def sorts_all_pairs(counts, num_merges):
    merges, pieces = [], {w: list(w[:1]) + [f"##{c}" for c in w[1:]] for w in counts}
    for _ in range(num_merges):
        every = sorted(
            pair
            for w, times in counts.items()
            for pair in pairwise(pieces[w])
            for _ in range(times)
        )
        if not every:
            break
        best = max(dict.fromkeys(every), key=every.count)
        merges.append(best)
        for w in pieces:
            i = 0
            while i + 1 < len(pieces[w]):
                if (pieces[w][i], pieces[w][i + 1]) == best:
                    pieces[w][i : i + 2] = [best[0] + best[1][2:]]
                i += 1
    return merges, pieces


def bpe(
    counts,
    num_merges,
    mark="##",
    weight=None,
    choose=None,
    strip=True,
    every=True,
    fresh=True,
):
    """Byte-pair encoding with places to slip."""
    weight = weight or (lambda times: times)
    choose = choose or (lambda pairs: min(pairs, key=lambda pair: (-pairs[pair], pair)))
    pieces = {w: [(mark if i else "") + c for i, c in enumerate(w)] for w in counts}
    merges, pairs = [], None
    for _ in range(num_merges):
        if fresh or pairs is None:
            pairs = Counter()
            for w, its in pieces.items():
                for pair in pairwise(its):
                    pairs[pair] += weight(counts[w])
        if not pairs:
            break
        best = choose(pairs)
        if not fresh:
            del pairs[best]
        merges.append(best)
        new = best[0] + (best[1].removeprefix("##") if strip else best[1])
        for w, its in pieces.items():
            out, i, done = [], 0, False
            while i < len(its):
                if tuple(its[i : i + 2]) == best and (every or not done):
                    out.append(new)
                    i, done = i + 2, True
                else:
                    out.append(its[i])
                    i += 1
            pieces[w] = out
    return merges, pieces


@wrong("words-counted-once")
def types_for_tokens(counts, num_merges):
    return bpe(counts, num_merges, weight=lambda times: 1)


@wrong("ties-as-met")
def most_common(counts, num_merges):
    return bpe(counts, num_merges, choose=lambda pairs: pairs.most_common(1)[0][0])


@wrong("ties-last")
def the_largest_of_count_and_pair(counts, num_merges):
    return bpe(counts, num_merges, choose=lambda pairs: max(pairs, key=lambda p: (pairs[p], p)))


@wrong("rarest-first")
def minimum_of_counts(counts, num_merges):
    return bpe(counts, num_merges, choose=lambda pairs: min(pairs, key=lambda p: (pairs[p], p)))


@wrong("not-counted-again")
def counted_before_the_loop(counts, num_merges):
    return bpe(counts, num_merges, fresh=False)


@wrong("first-place-only")
def with_index(counts, num_merges):
    return bpe(counts, num_merges, every=False)


@wrong("hashes-kept")
def added_as_they_are(counts, num_merges):
    return bpe(counts, num_merges, strip=False)


@wrong("no-hashes-at-all")
def plain_letters(counts, num_merges):
    return bpe(counts, num_merges, mark="")


@wrong("one-too-many")
def up_to_and_including(counts, num_merges):
    return bpe(counts, num_merges + 1)


@wrong("one-too-few")
def from_one(counts, num_merges):
    return bpe(counts, max(0, num_merges - 1))


@wrong("merges-alone")
def one_result(counts, num_merges):
    return bpe(counts, num_merges)[0]


@wrong("not-joined")
def learned_and_not_applied(counts, num_merges):
    merges, _ = bpe(counts, num_merges)
    return merges, bpe(counts, 0)[1]


@wrong("merges-joined")
def new_pieces(counts, num_merges):
    merges, pieces = bpe(counts, num_merges)
    return [left + right[2:] for left, right in merges], pieces
