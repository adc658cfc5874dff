"""What the exercises of lesson 09 return, in NumPy, with a knob for each slip."""

import re
import string
from collections import Counter

import numpy as np

# 1. From characters to places


def label_span(
    i,
    *,
    question=False,
    end_shift=0,
    touching_left=False,
    touching_right=False,
    whole_tokens=False,
    start_exact=False,
    cut="ignored",
    nothing=(0, 0),
    exclusive=False,
    from_context=False,
    one_token=False,
):
    """Places (first, last) of an answer's tokens in a row."""
    offsets, inside = i["offsets"], i["in_context"]
    start, end = i["start"], i["end"] + end_shift
    looked_at = np.ones_like(inside) if question else inside
    left = offsets[:, 1] >= start if touching_left else offsets[:, 1] > start
    right = offsets[:, 0] <= end if touching_right else offsets[:, 0] < end
    holds = looked_at & left & right
    if whole_tokens:
        holds = looked_at & (offsets[:, 0] >= start) & (offsets[:, 1] <= end)
    if start_exact:
        holds &= np.cumsum(looked_at & (offsets[:, 0] == start)) > 0
    if not holds.any():
        return nothing
    places, context = np.flatnonzero(holds), offsets[inside]
    whole = context[0, 0] <= i["start"] and context[-1, 1] >= i["end"]
    if not whole and cut != "clipped":
        return {"ignored": (-1, -1), "nothing": (0, 0)}[cut]
    first, last = int(places[0]), int(places[-1])
    shift = int(np.flatnonzero(inside)[0]) if from_context else 0
    last = first if one_token else last + exclusive
    return first - shift, last - shift


# 2. The best span


def best_span(
    i,
    *,
    allowed="both",
    order=True,
    strict=False,
    limit=0,
    greedy=None,
    score=lambda s, e: s + e,
    report=lambda s: s,
    exclusive=False,
    choose=np.argmax,
    transform=lambda logits: logits,
):
    """(starts, ends, scores) of each row's best span."""
    found = []
    rows = zip(i["start_logits"], i["end_logits"], i["allowed"], strict=True)
    for start, end, inside in rows:
        start, end = (transform(x.astype("float64")) for x in (start, end))
        place = np.arange(len(start))
        ok = np.ones((len(place), len(place)), bool)
        if allowed in ("both", "start"):
            ok &= inside[:, None]
        if allowed in ("both", "end"):
            ok &= inside[None]
        if order:
            ok &= place[:, None] < place if strict else place[:, None] <= place
        if limit is not None:
            ok &= place - place[:, None] < i["max_tokens"] + limit
        if greedy == "start":
            ok &= (place == np.where(ok.any(1), start, -np.inf).argmax())[:, None]
        if greedy == "end":
            ok &= place == np.where(ok.any(0), end, -np.inf).argmax()
        table = score(start[:, None], end[None])
        worst = -np.inf if choose is np.argmax else np.inf
        best = np.unravel_index(choose(np.where(ok, table, worst)), table.shape)
        found.append((int(best[0]), int(best[1]) + exclusive, float(report(table[best]))))
    starts, ends, scores = zip(*found, strict=True)
    return np.array(starts), np.array(ends), np.array(scores)


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


# 3. Merging windows


def best_windows(i, left_only=False, right_only=False, latest=False):
    """For each token of the context, the window that shows it with most context."""
    first, count = i["first"], i["count"]
    tokens = int((first + count).max())
    scores = np.full((len(first), tokens), -1.0)
    for w, (at, n) in enumerate(zip(first, count, strict=True)):
        place = np.arange(n)
        left, right = place, n - 1 - place
        around = left if left_only else right if right_only else np.minimum(left, right)
        scores[w, at : at + n] = around
    if latest:
        return len(first) - 1 - scores[::-1].argmax(axis=0)
    return scores.argmax(axis=0)


def merged(
    i,
    *,
    rule="start",
    per_window=False,
    shift=True,
    total="all",
    better=best_windows,
):
    """(start, end, probability) of the best span over all windows of one question."""
    score = i["score"].astype("float64")
    shifted = i["first"][:, None]
    start, end = i["start"] + shifted, i["end"] + shifted
    best, window = better(i), np.arange(len(score))[:, None]
    counts = {
        "start": best[start] == window,
        "end": best[end] == window,
        "both": (best[start] == window) & (best[end] == window),
        "none": np.ones(score.shape, bool),
    }[rule]
    kept = np.where(counts, score, -np.inf)
    chosen = kept
    if per_window:
        with np.errstate(invalid="ignore", divide="ignore"):
            e = np.where(np.isfinite(kept), np.exp(kept), 0)
            chosen = e / e.sum(axis=1, keepdims=True)
        chosen = np.nan_to_num(chosen, nan=-np.inf)
    at = np.unravel_index(int(np.argmax(chosen)), score.shape)
    if per_window:
        probability = float(chosen[at])
    else:
        masses = {
            "all": kept,
            "winners": kept.max(axis=1),
            "window": kept[at[0]],
            "uncounted": score,
            "score": kept,
        }[total]
        probability = float(np.exp(kept[at]) / np.exp(masses).sum())
    probability = float(kept[at]) if total == "score" else probability
    if not shift:
        return int(i["start"][at]), int(i["end"][at]), probability
    return int(start[at]), int(end[at]), probability


# 4. F1 by hand


def units(
    text,
    language,
    *,
    lower=True,
    punctuation="deleted",
    articles="words",
    chinese_articles=False,
    chinese_words=False,
):
    """What F1 counts: words of English, characters of Chinese."""
    text = text.lower() if lower else text
    marks = string.punctuation + "，。、！？《》"
    if punctuation != "kept":
        fill = " " if punctuation == "space" else ""
        text = "".join(fill if c in marks else c for c in text)
    if articles == "words" and (language == "en" or chinese_articles):
        text = re.sub(r"\b(a|an|the)\b", " ", text)
    if articles == "letters" and language == "en":
        text = re.sub(r"(an|a|the)", "", text)
    if articles == "first" and language == "en":
        text = re.sub(r"^\s*(a|an|the)\b", " ", text)
    if articles == "only the" and language == "en":
        text = re.sub(r"\bthe\b", " ", text)
    if language == "zh" and not chinese_words:
        return [c for c in text if not c.isspace()]
    return text.split()


def f1_of(said, told, *, bag=True, figure="f1", empty="equal"):
    """F1 of two lists of units, or what a slip takes for it."""
    if not said or not told:
        return {"equal": float(said == told), "zero": 0.0, "one": 1.0}[empty]
    if figure == "em":
        return float(said == told)
    if not bag:
        said, told = sorted(set(said)), sorted(set(told))
    shared = sum((Counter(said) & Counter(told)).values())
    if figure == "longer":
        shared = sum(unit in told for unit in said)  # a repeated word counts each time
    precision, recall = shared / len(said), shared / len(told)
    if figure in ("precision", "recall"):
        return precision if figure == "precision" else recall
    if figure == "mean":
        return (precision + recall) / 2
    if figure == "jaccard":
        return shared / (len(said) + len(told) - shared)
    return 2 * precision * recall / (precision + recall) if shared else 0.0


def mean_f1(i, *, over="max", figure="f1", bag=True, empty="equal", **knobs):
    """The mean over questions of the best F1 over the answers of each."""
    language, table = i["language"], []
    for prediction, answers in zip(i["predictions"], i["answers"], strict=True):
        said = units(prediction, language, **knobs)
        told = [units(answer, language, **knobs) for answer in answers or [""]]
        table.append([f1_of(said, each, bag=bag, figure=figure, empty=empty) for each in told])
    if over == "after":  # a mean for each annotator, and then the best of them
        width = min(map(len, table))
        return float(max(np.mean([row[k] for row in table]) for k in range(width)))
    if over == "pooled":
        return float(np.mean([value for row in table for value in row]))
    one = {
        "max": max,
        "mean": np.mean,
        "first": lambda row: row[0],
        "last": lambda row: row[-1],
        "min": min,
    }
    return float(np.mean([one[over](row) for row in table]))


# 5. The threshold


def threshold(
    i,
    *,
    at_least=False,
    inverted=False,
    ties="lowest",
    fixed=None,
    none=True,
    everything=True,
    by="score",
    midpoint=False,
    mean=np.mean,
):
    """(threshold, mean score): where answering up to it scores best."""
    d, span, empty = (i[n].astype("float64") for n in ("differences", "answered", "unanswered"))
    tried = np.unique(d)
    if none:
        tried = np.concatenate([[-np.inf], tried])
    if not everything:
        tried = tried[:-1]
    if fixed is not None:
        tried = np.array([fixed(d)])

    def silent(t):
        said = d >= t if at_least else d > t
        return ~said if inverted else said

    def worth(t):
        if by == "told apart":
            return np.mean(silent(t) == (empty == 1))
        if by == "answerable":
            return np.where(silent(t), empty, span)[empty == 0].mean()
        return mean(np.where(silent(t), empty, span))

    values = np.array([worth(t) for t in tried])
    best = np.flatnonzero(values >= values.max() - 1e-9)
    at = tried[best[0] if ties == "lowest" else best[-1]]
    score = float(np.where(silent(at), empty, span).mean()) if by != "answerable" else values.max()
    return float(at), float(score)


# 6. Sort the errors

KINDS = ("right", "boundary", "elsewhere", "silent", "invented")


def overlap_f1(said, told, end=1):
    """F1 of two spans of tokens, ends inclusive."""
    shared = min(said[1], told[1]) - max(said[0], told[0]) + end
    if shared <= 0:
        return 0.0
    return 2 * shared / ((said[1] - said[0] + end) + (told[1] - told[0] + end))


def sorted_errors(
    i, *, decide="lost", touching=0, swapped=False, near=True, none_right=True, start_only=False
):
    """({kind: questions}, the kind that costs most F1)."""
    counts, lost = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0.0)
    for said, told in zip(i["predicted"].tolist(), i["answers"].tolist(), strict=True):
        if said[0] < 0 or told[0] < 0:
            f1 = float(said[0] < 0 and told[0] < 0)
            silent, invented = ("invented", "silent") if swapped else ("silent", "invented")
            kind = "right" if f1 else silent if said[0] < 0 else invented
            if f1 and not none_right:
                kind = "silent"
        else:
            f1 = overlap_f1(said, told)
            same = said[0] == told[0] if start_only else said == told
            meets = overlap_f1(said, told, 1 + touching) > 0
            kind = "right" if same else "boundary" if meets and near else "elsewhere"
        counts[kind] += 1
        lost[kind] += 1 - f1
    wrong = KINDS[1:]
    by = {"lost": lost, "count": counts}
    by["mean"] = {kind: lost[kind] / max(counts[kind], 1) for kind in KINDS}
    by["cheapest"] = {kind: -lost[kind] if counts[kind] else -np.inf for kind in KINDS}
    return counts, max(wrong, key=lambda kind: by[decide][kind])
