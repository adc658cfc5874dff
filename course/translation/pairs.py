"""Sentence pairs by the name of their data set, divided so that no test sentence was learned."""

import hashlib

from course import data

_VALIDATION = ("validation", "val")
_PARTS = 20  # of which two are for testing and one is for validation


def load_pairs(name, split, source="en", target="de"):
    """The sentence pairs of a named data set, as (source, target) strings.

    Args:
        name: see `course data list`.
        split: "train", "validation" (or what the data set calls it), "test", … Of a data set that
            nobody has divided, "test" is a tenth and "validation" a twentieth, and pairs that share
            a sentence, whole and of either language, are in one split.
        source, target: the languages, in either order.

    Raises:
        ValueError: if there is no such split, or the data set lacks a language.
    """
    card = data.describe(name)
    if "target" not in card.columns and not {source, target} & set(card.columns):
        fit = [n for n in data.names() if data.describe(n).task == "translation"]
        raise data.DataError(f"{name} has no sentence pairs. These have: {', '.join(fit)}.")
    if {source, target} - set(card.languages) or source == target:
        told = " and ".join(card.languages)
        raise data.DataError(
            f"{name} has the languages {told}; the pair {source}-{target} was asked for. Choose "
            f"two of them, for example {card.languages[0]}-{card.languages[1]}."
        )
    splits = card.splits
    if split in _VALIDATION:
        split = next((known for known in _VALIDATION if known in splits), split)
    undivided = split not in splits and list(splits) == ["all"]
    found = data.load(name, "all" if undivided else split)
    columns = (source, target)
    if "source" in found[0]:
        columns = ("source", "target") if source == card.languages[0] else ("target", "source")
    pairs = [tuple(row[column] for column in columns) for row in found]
    if undivided:
        wanted = {"train": range(3, _PARTS), "validation": (2,), "test": (0, 1)}
        if split not in wanted:
            raise ValueError(f"split is {split!r}: {name} is divided into {', '.join(wanted)}.")
        pairs = [p for p, part in zip(pairs, _parts(pairs), strict=True) if part in wanted[split]]
    return pairs


def _parts(pairs):
    """A number below `_PARTS` for each pair, the same for all that hang together by a sentence."""
    leader = {}

    def find(sentence):
        while leader.setdefault(sentence, sentence) != sentence:
            leader[sentence] = sentence = leader[leader[sentence]]
        return sentence

    keys = [((0, source), (1, target)) for source, target in pairs]
    for source, target in keys:
        one, other = sorted((find(source), find(target)))
        leader[other] = one
    digests = (hashlib.sha256(find(source)[1].encode()).digest() for source, _ in keys)
    return [int.from_bytes(digest[:8], "big") % _PARTS for digest in digests]
