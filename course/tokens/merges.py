"""How a vocabulary is learned from text: byte-pair encoding, written to be read.

`Tokenizer.learn` does the same with the library `tokenizers`, in a hundredth of the time.

Reference: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units",
section 3.2 and algorithm 1.
"""

from collections import Counter
from itertools import pairwise


def letters(word):
    """The pieces that a word starts with: its letters, `##` before each but the first."""
    return [letter if i == 0 else f"##{letter}" for i, letter in enumerate(word)]


def pair_counts(pieces, counts):
    """How often each two pieces stand side by side in the text.

    Args:
        pieces: {word: list of its pieces}.
        counts: {word: how often it occurs}.

    Returns:
        A `Counter` {(left, right): count}.
    """
    pairs = Counter()
    for word, its in pieces.items():
        for pair in pairwise(its):
            pairs[pair] += counts[word]
    return pairs


def merge(pieces, left, right):
    """A word's pieces with `left` and `right` joined wherever they meet, from left to right."""
    joined, i = [], 0
    while i < len(pieces):
        if pieces[i : i + 2] == [left, right]:
            joined.append(left + right.removeprefix("##"))
            i += 2
        else:
            joined.append(pieces[i])
            i += 1
    return joined


def learn_merges(counts, num_merges):
    """The merges that byte-pair encoding learns, and the words after them.

    Args:
        counts: {word: how often it occurs, an integer ≥ 1}; no word is empty.
        num_merges: how many pairs to join, an integer ≥ 0. It ends earlier where no pair is left.

    Returns:
        The merges in order, a list of (left, right), and {word: list of its pieces}. Of pairs that
        are equally frequent the one that comes first in alphabetical order is joined.

    Raises:
        ValueError: if a word is empty or `num_merges` is negative.
    """
    if num_merges < 0:
        raise ValueError(f"num_merges = {num_merges}: it has to be 0 or more.")
    if "" in counts:
        raise ValueError("a word is empty: leave it out of counts.")
    pieces, merges = {word: letters(word) for word in counts}, []
    for _ in range(num_merges):
        pairs = pair_counts(pieces, counts)
        if not pairs:
            break
        left, right = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append((left, right))
        pieces = {word: merge(its, left, right) for word, its in pieces.items()}
    return merges, pieces
