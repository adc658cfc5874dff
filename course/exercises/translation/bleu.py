"""Scores of a translator: probes of two exercises of lesson 05, BLEU and the choosing by it.

A part of `translation.py`, which would be longer than a sitting with it.
"""

from collections import Counter

import numpy as np

from course.checks.declaration import Probe, call
from course.checks.judges import Match, only_if
from course.checks.references import turned, turning
from course.checks.texts import exercise

# 5. BLEU


def n_grams(tokens, n):
    return Counter(tuple(tokens[k : k + n]) for k in range(len(tokens) - n + 1))


def brevity(ours, theirs):
    return 1.0 if ours > theirs else float(np.exp(1 - theirs / ours)) if ours else 0.0


def matches(hypothesis, reference, n, clip="reference"):
    ours, theirs = n_grams(hypothesis, n), n_grams(reference, n)
    if clip == "not":
        return sum(count for gram, count in ours.items() if gram in theirs)
    if clip == "once":
        return len(ours.keys() & theirs.keys())
    if clip == "words" and n > 1:
        return sum(count for gram, count in ours.items() if gram in theirs)
    return (ours & theirs).total()


def geometric(values):
    return float(np.prod(values) ** (1 / len(values))) if len(values) else 0.0


def bleu(
    i,
    *,
    clip="reference",
    of="hypothesis",
    penalty=brevity,
    combine=geometric,
    orders=lambda top: range(1, top + 1),
    add=0,
    scale=100,
):
    """Corpus BLEU, with a knob for each slip."""
    pairs = list(zip(i["hypotheses"], i["references"], strict=True))
    precisions = []
    for n in orders(i["max_order"]):
        found = sum(matches(h, r, n, clip) for h, r in pairs)
        of_these = [h if of == "hypothesis" else r for h, r in pairs]
        if clip == "once" and of == "hypothesis":
            total = sum(len(n_grams(h, n)) for h in of_these)
        else:
            total = sum(max(len(tokens) - n + 1, 0) for tokens in of_these)
        precisions.append((found + add * (n > 1)) / (total + add * (n > 1)) if total else 0.0)
    ours, theirs = (sum(map(len, side)) for side in zip(*pairs, strict=True))
    return scale * penalty(ours, theirs) * combine(precisions)


bleu_of = turning(bleu)


def _mean_of_sentences(i):
    if len(i["hypotheses"]) < 2:
        return None
    rows = zip(i["hypotheses"], i["references"], strict=True)
    return float(np.mean([bleu(i | {"hypotheses": [h], "references": [r]}) for h, r in rows]))


def _mean_of_precisions(i):
    """Precisions that are means over sentences, where counts should be summed first."""
    if len(i["hypotheses"]) < 2:
        return None
    pairs = list(zip(i["hypotheses"], i["references"], strict=True))
    precisions = [
        np.mean([matches(h, r, n) / max(len(h) - n + 1, 1) for h, r in pairs])
        for n in range(1, i["max_order"] + 1)
    ]
    ours, theirs = (sum(map(len, side)) for side in zip(*pairs, strict=True))
    return 100 * brevity(ours, theirs) * geometric(precisions)


def _pooled(i):
    """N-grams of all sentences in one bag: a word may match in another sentence's reference."""
    precisions = []
    for n in range(1, i["max_order"] + 1):
        ours, theirs = (
            sum((n_grams(tokens, n) for tokens in i[side]), Counter())
            for side in ("hypotheses", "references")
        )
        precisions.append((ours & theirs).total() / ours.total() if ours else 0.0)
    lengths = (sum(map(len, i[side])) for side in ("hypotheses", "references"))
    return 100 * brevity(*lengths) * geometric(precisions)


def _joined(i):
    """All sentences as one: n-grams reach over their ends."""
    sides = {
        side: [[word for tokens in i[side] for word in tokens]]
        for side in ("hypotheses", "references")
    }
    return bleu(i | sides)


def _both_ways(ours, theirs):
    return float(np.exp(1 - max(ours, theirs) / min(ours, theirs))) if min(ours, theirs) else 0.0


def _inverted(ours, theirs):
    return brevity(theirs, ours)


judge_bleu = Match(
    bleu,
    {
        "not-clipped": bleu_of(clip="not"),
        "counted-once": bleu_of(clip="once"),
        "only-words-clipped": bleu_of(clip="words"),
        "no-brevity-penalty": bleu_of(penalty=lambda ours, theirs: 1.0),
        "ratio-as-penalty": bleu_of(
            penalty=lambda ours, theirs: min(1.0, ours / theirs) if theirs else 0.0
        ),
        "penalty-inverted": bleu_of(penalty=_inverted),
        "penalty-both-ways": bleu_of(penalty=_both_ways),
        "penalty-unbounded": bleu_of(
            penalty=lambda ours, theirs: float(np.exp(1 - theirs / ours)) if ours else 0.0
        ),
        "recall": bleu_of(of="reference"),
        "mean-of-sentences": _mean_of_sentences,
        "mean-of-precisions": _mean_of_precisions,
        "one-bag": only_if(lambda i: len(i["references"]) > 1, _pooled),
        "one-text": only_if(lambda i: len(i["references"]) > 1, _joined),
        "arithmetic-mean": bleu_of(combine=lambda p: float(np.mean(p))),
        "product-without-root": bleu_of(combine=lambda p: float(np.prod(p))),
        "zeros-left-out": bleu_of(combine=lambda p: geometric([x for x in p if x > 0])),
        "add-one": bleu_of(add=1),
        "longest-only": bleu_of(orders=lambda top: [top]),
        "words-only": bleu_of(orders=lambda top: [1]),
        "one-order-short": bleu_of(orders=lambda top: range(1, top) if top > 1 else [1]),
        "always-four": only_if(
            lambda i: i["max_order"] != 4, turned(bleu, given=lambda i: {"max_order": 4})
        ),
        "exchanged": turned(
            bleu, given=lambda i: {"hypotheses": i["references"], "references": i["hypotheses"]}
        ),
        "between-0-and-1": bleu_of(scale=1),
    },
    dtype=None,
    tolerance=1e-9,
)

WORDS = tuple("the dog cat sleeps on under sofa a sees old small in".split())


def texts(*pairs, max_order=4):
    """Hypotheses and references as letters; each letter becomes a word that is drawn."""

    def inputs(rng):
        letters = sorted({letter for pair in pairs for side in pair for letter in side})
        names = dict(zip(letters, rng.permutation(WORDS).tolist(), strict=False))
        hypotheses, references = (
            [[names[letter] for letter in pair[side]] for pair in pairs] for side in (0, 1)
        )
        return {"hypotheses": hypotheses, "references": references, "max_order": max_order}

    return inputs


def bleu_probe(title, points, *pairs, **more):
    return Probe(
        title,
        points,
        texts(*pairs, **more),
        lambda i: (
            call(
                i["hypotheses"],
                i["references"],
                **({"max_order": i["max_order"]} if i["max_order"] != 4 else {}),
            )
            | {"keras": False}
        ),
        judge_bleu,
    )


BLEU = exercise(
    "translation.bleu",
    defines="corpus_bleu",
    may_not_call=("course.translation.bleu", "sacrebleu.metrics.BLEU", "sacrebleu.corpus_bleu"),
    probes=(
        bleu_probe(
            "words, each counted as often as the reference has it", 1, ("aaab", "aabc"), max_order=1
        ),
        bleu_probe("words, too short a translation", 1, ("abd", "abcd"), max_order=1),
        bleu_probe("words, a longer translation", 0.5, ("abcded", "abcd"), max_order=1),
        bleu_probe("pairs of words", 0.5, ("ababab", "abcabd"), max_order=2),
        bleu_probe("up to four words", 0.5, ("bbcde", "abcdef")),
        bleu_probe(
            "several sentences",
            1,
            ("abcdeaf", "abcdaf"),
            ("bcdea", "abcdeg"),
            ("gb", "fab"),
        ),
        bleu_probe("no four words in a row: 0", 0.5, ("abcaeb", "abcdab")),
        bleu_probe("a sentence too short for four words: 0", 0.5, ("ab", "ab")),
        bleu_probe("an empty translation: 0", 0.5, ("", "abc")),
    ),
)


# 6. Choose a checkpoint, and say what it is worth


def chosen(i, *, by="validation", best=np.argmax, step="step", said="test"):
    """The exercise's reference, with a knob for each slip."""
    at = int(best(i[by]))
    answer = {"step": int(i["steps"][at]) if step == "step" else at}
    return answer | {"test": float(i[said][at])}


chosen_by = turning(chosen)


def _last_best(values):
    return len(values) - 1 - np.argmax(values[::-1])


def _best_of_both(i):
    return chosen(i) | {"test": float(i["test"].max())}


def _mean_of_both(i):
    return chosen(i | {"both": i["validation"] + i["test"]}, by="both")


judge_chosen = Match(
    chosen,
    {
        "chosen-on-test": chosen_by(by="test"),
        "chosen-on-both": _mean_of_both,
        "best-of-each": _best_of_both,
        "the-last": chosen_by(best=lambda values: len(values) - 1),
        "the-first": chosen_by(best=lambda values: 0),
        "the-worst": chosen_by(best=np.argmin),
        "smallest-loss-in-training": chosen_by(by="loss", best=np.argmin),
        "the-latest-of-equals": chosen_by(best=_last_best),
        "place-in-the-list": chosen_by(step="index"),
        "said-validation": chosen_by(said="validation"),
    },
    labels=("step", "test"),
    dtype=None,
    tolerance=1e-9,
)


def run(validation, test, loss=None):
    """A run's figures around these, with a little noise that keeps their order."""

    def inputs(rng):
        count = len(validation)
        base, more = rng.uniform(30, 50), rng.integers(1, 8)
        losses = np.linspace(4, 1.5, count) if loss is None else np.array(loss, float)
        return {
            "steps": 100 * more * np.arange(1, count + 1),
            "loss": losses + rng.uniform(-0.05, 0.05, count),
            "validation": np.round(base + np.array(validation, float), 2),
            "test": np.round(base - 1 + np.array(test, float) + rng.uniform(0, 0.1, count), 2),
        }

    return inputs


def choose_probe(title, points, *figures):
    return Probe(
        title,
        points,
        run(*figures),
        lambda i: call(i["steps"], i["loss"], i["validation"], i["test"]) | {"keras": False},
        judge_chosen,
    )


CHOOSE = exercise(
    "translation.choose",
    defines="choose_checkpoint",
    probes=(
        choose_probe(
            "each slip would choose another one",
            1,
            [3, 1, 6, 5, 5.9, 2, 3.5],
            [0, 4, 5, 8, 7.5, 2, 1],
            [4, 3, 2.5, 2, 1.8, 1.2, 1.5],
        ),
        choose_probe("two are equally good", 0.5, [0, 6, 2, 6, 3], [1, 2, 7, 5, 8]),
        choose_probe(
            "the training loss disagrees", 0.5, [1, 5, 2, 4], [2, 3, 6, 5], [4.0, 2.0, 3.0, 1.0]
        ),
    ),
)
