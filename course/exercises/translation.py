"""Exercises of lesson 05, translation: probes and the mistakes they find; words in the TOML file.

A loss is a number for each place of a batch, and a way to take their mean. Most mistakes are
another number or another mean, so both are knobs.
"""

from collections import Counter

import numpy as np

from course.exercises.declaration import Probe, call, fixture, tensor
from course.exercises.judging import Match, mends_among, only_if
from course.exercises.words import exercise, lesson, questions

LESSON = lesson("translation")

MAY_NOT_CALL = tuple(
    f"course.{name}"
    for name in (
        "translation.label_smoothed_loss",
        "translation.masked_accuracy",
        "translation.loss.mean_of_real",
        "training.InverseSquareRoot",
        "training.WarmupLinear",
    )
)


# Numbers for each place, and their mean


def log_softmax(logits):
    logits = np.asarray(logits, "float64")
    logits = logits - logits.max(-1, keepdims=True)
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def of_labels(values, labels):
    """The value of each place's label: `(..., vocab_size)` → `(...)`."""
    return np.take_along_axis(values, np.asarray(labels)[..., None], -1)[..., 0]


def mean(values, real, how="tokens"):
    """The mean of values `(batch, length)` over real places, with a knob for each other way."""
    values, kept = np.asarray(values, "float64"), values * real
    if how == "tokens":
        return kept.sum() / max(real.sum(), 1)
    if how == "all places":
        return values.mean()
    if how == "divided by all":
        return kept.sum() / real.size
    if how == "not masked":
        return values.sum() / max(real.sum(), 1)
    if how == "sentences":
        return (kept.sum(1) / np.maximum(real.sum(1), 1)).mean()
    if how == "per sentence":
        return kept.sum() / len(real)
    if how == "sum":
        return kept.sum()
    if how == "nothing real":
        return kept.sum() / real.sum()
    raise KeyError(how)


def _padded(i):
    return (i["labels"] == i["pad_id"]).any()


def _nothing_real(i):
    return (i["labels"] == i["pad_id"]).all()


def _several(i):
    return len(i["labels"]) > 1


def batches(lengths, vocab_size=6, pad_id=0, spread=2.0, **more):
    """A batch of sentences of these lengths, padded to the longest place that is given."""

    def inputs(rng):
        lengths_, width = lengths, max(*lengths, 1)
        ids = np.array([n for n in range(vocab_size) if n != pad_id])
        labels = rng.choice(ids, (len(lengths_), width))
        labels[np.arange(width) >= np.array(lengths_)[:, None]] = pad_id
        logits = rng.normal(size=(*labels.shape, vocab_size)) * spread
        if spread < 100:  # a third of the places is predicted rightly, so that accuracies differ
            right = rng.random(labels.shape) < 0.5
            right[0, 0] = True
            peak = np.eye(vocab_size)[labels] * right[..., None]
            logits = logits + 4 * peak * (labels != pad_id)[..., None]
        # Half of the padding is "predicted", so that counting it changes the accuracy.
        padding = np.flatnonzero(labels == pad_id)[::2]
        logits.reshape(-1, vocab_size)[padding, pad_id] += 6 * spread
        drawn = {"labels": labels.astype("int32"), "logits": logits.astype("float32")}
        return drawn | {"pad_id": pad_id} | more

    return inputs


def call_on_batch(i):
    more = {name: i[name] for name in ("smoothing",) if name in i}
    more |= {"pad_id": i["pad_id"]} if i["pad_id"] else {}
    return call(tensor(i["labels"]), tensor(i["logits"]), **more)


# 1. Loss and accuracy over real tokens


def plain_loss(i):
    return -of_labels(log_softmax(i["logits"]), i["labels"])


def hits(i):
    return (i["logits"].argmax(-1) == i["labels"]).astype("float64")


def scores(i, *, loss="tokens", accuracy="tokens", losses=plain_loss, right=hits, real=None):
    """Loss and accuracy, with a knob for each number and each mean."""
    real = i["labels"] != i["pad_id"] if real is None else real(i)
    return mean(losses(i), real, loss), mean(right(i), real, accuracy)


def scores_of(loss="tokens", accuracy="tokens", **knobs):
    return lambda i: scores(i, loss=loss, accuracy=accuracy, **knobs)


def _whole_sentences(i):
    real = i["labels"] != i["pad_id"]
    return scores(i)[0], ((hits(i) == 1) | ~real).all(1).mean()


def _not_finite(i, got):
    """What comes of probabilities that are rounded to 0: no number."""
    return scores(i) if "wide" in i and not np.isfinite(np.float64(got[0])) else None


def _clipped(i):
    """Probabilities kept above 1e-7, as `from_logits=False` does."""
    p = np.exp(log_softmax(i["logits"]))
    return scores(i, losses=lambda i: -np.log(np.maximum(of_labels(p, i["labels"]), 1e-7)))


judge_scores = Match(
    scores,
    {
        "padding-in-both": only_if(_padded, scores_of("all places", "all places")),
        "padding-in-loss": only_if(_padded, scores_of(loss="all places")),
        "padding-in-accuracy": only_if(_padded, scores_of(accuracy="all places")),
        "divided-by-all": only_if(_padded, scores_of("divided by all", "divided by all")),
        "loss-divided-by-all": only_if(_padded, scores_of(loss="divided by all")),
        "accuracy-divided-by-all": only_if(_padded, scores_of(accuracy="divided by all")),
        "sum-over-padding": only_if(_padded, scores_of("not masked", "not masked")),
        "hits-on-padding": only_if(_padded, scores_of(accuracy="not masked")),
        "mean-of-sentences": only_if(
            lambda i: _padded(i) and _several(i), scores_of("sentences", "sentences")
        ),
        "summed": only_if(lambda i: i["labels"].size > 1, scores_of("sum", "sum")),
        "summed-loss": only_if(lambda i: i["labels"].size > 1, scores_of(loss="sum")),
        "per-sentence": only_if(
            lambda i: i["labels"].size > 1, scores_of("per sentence", "tokens")
        ),
        "predicted-padding-left-out": scores_of(
            real=lambda i: i["logits"].argmax(-1) != i["pad_id"]
        ),
        "pad-id-ignored": only_if(
            lambda i: i["pad_id"], scores_of(real=lambda i: i["labels"] != 0)
        ),
        "nothing-real": only_if(_nothing_real, scores_of("nothing real", "nothing real")),
        "whole-sentences": only_if(lambda i: i["labels"].shape[1] > 1, _whole_sentences),
        "no-softmax": scores_of(losses=lambda i: -of_labels(i["logits"], i["labels"])),
        "no-logarithm": scores_of(
            losses=lambda i: -of_labels(np.exp(log_softmax(i["logits"])), i["labels"])
        ),
        "no-minus": scores_of(losses=lambda i: -plain_loss(i)),
        "perplexity": lambda i: (np.exp(scores(i)[0]), scores(i)[1]),
        "swapped": lambda i: scores(i)[::-1],
        "clipped": only_if(lambda i: "wide" in i, _clipped),
    },
    labels=("loss", "accuracy"),
    dtype=None,
    mends={"not-finite": _not_finite},
)


def scores_probe(title, points, inputs, **more):
    return Probe(title, points, inputs, call_on_batch, judge_scores, **more)


MASKED = exercise(
    "translation.masked",
    defines="masked_scores",
    may_not_call=MAY_NOT_CALL,
    probes=(
        scores_probe("one sentence, no padding", 0.5, batches([5])),
        scores_probe("one sentence with padding", 1, batches([3, 0], vocab_size=5)),
        scores_probe("three sentences of different lengths", 1, batches([6, 2, 4])),
        scores_probe("another pad_id", 0.5, batches([5, 3], pad_id=4)),
        scores_probe("nothing but padding: 0 and 0", 0.5, batches([0, 0])),
        scores_probe("logits in the hundreds", 0.5, batches([4, 2], spread=150.0, wide=True)),
    ),
)


# 2. Softer targets


def softened(i, *, shares=None, on_label=None, kept=None, labels=None):
    """The targets q `(batch, length, vocab_size)`: each id's share, and what the label has more."""
    labels = i["labels"] if labels is None else labels
    vocab_size, epsilon, pad = i["logits"].shape[-1], i["smoothing"], i["pad_id"]
    q = np.full((*labels.shape, vocab_size), epsilon / (vocab_size - 1))
    if shares is not None:
        q[:] = shares(epsilon, vocab_size)
    if kept != "padding":
        q[..., pad] = 0
    one_hot = np.eye(vocab_size)[labels]
    if on_label is not None:
        return np.where(one_hot == 1, on_label(epsilon, vocab_size), q)
    return q + (1 - epsilon) * one_hot


def smoothed(i, how="tokens", *, log_p=None, after=None, real=None, **knobs):
    """-Σ q log p, the mean over real places, with a knob for each part."""
    log_p = log_softmax(i["logits"]) if log_p is None else log_p(i)
    q = softened(i, **knobs)
    losses = -(q * np.where(q > 0, log_p, 0)).sum(-1)
    losses = losses if after is None else after(losses, q)
    real = i["labels"] != i["pad_id"] if real is None else real(i)
    return mean(losses, real, how)


def smoothed_of(how="tokens", **knobs):
    return lambda i: smoothed(i, how, **knobs)


def _only_wrong(epsilon, vocab_size):
    return epsilon / (vocab_size - 2)


def _renormalised(i):
    """Shared by all ids, then the share of padding taken away and the rest scaled up."""
    q = softened(i, shares=lambda e, v: e / v)
    q = q / q.sum(-1, keepdims=True)
    losses = -(q * log_softmax(i["logits"])).sum(-1)
    return mean(losses, i["labels"] != i["pad_id"])


def _predictions_softened(i):
    vocab_size, epsilon = i["logits"].shape[-1], i["smoothing"]
    p = np.exp(log_softmax(i["logits"]))
    losses = -np.log((1 - epsilon) * of_labels(p, i["labels"]) + epsilon / (vocab_size - 1))
    return mean(losses, i["labels"] != i["pad_id"])


def _without_padding(i):
    """A softmax over the real ids alone."""
    logits = np.array(i["logits"], "float64")
    logits[..., i["pad_id"]] = -1e9
    return log_softmax(logits)


def _less_entropy(losses, q):
    return losses + (q * np.log(np.where(q > 0, q, 1))).sum(-1)


def _softens(i):
    return i["smoothing"] > 0


def _other_smoothing(i):
    return i["smoothing"] != 0.1


judge_smoothed = Match(
    smoothed,
    {
        "padding-in-the-mean": only_if(_padded, smoothed_of("all places")),
        "divided-by-all": only_if(_padded, smoothed_of("divided by all")),
        "sum-over-padding": only_if(_padded, smoothed_of("not masked")),
        "mean-of-sentences": only_if(
            lambda i: _padded(i) and _several(i), smoothed_of("sentences")
        ),
        "summed": only_if(lambda i: i["labels"].size > 1, smoothed_of("sum")),
        "pad-id-ignored": only_if(lambda i: i["pad_id"], lambda i: smoothed(i | {"pad_id": 0})),
        "nothing-real": only_if(_nothing_real, smoothed_of("nothing real")),
        "over-all-ids": only_if(_softens, smoothed_of(shares=lambda e, v: e / v, kept="padding")),
        "share-lost": only_if(_softens, smoothed_of(shares=lambda e, v: e / v)),
        "scaled-up": only_if(_softens, _renormalised),
        "clipped": only_if(
            lambda i: "wide" in i,
            smoothed_of(log_p=lambda i: np.log(np.maximum(np.exp(log_softmax(i["logits"])), 1e-7))),
        ),
        "on-padding": only_if(
            _softens,
            smoothed_of(
                shares=lambda e, v: e / (v - 1), on_label=lambda e, v: 1 - e, kept="padding"
            ),
        ),
        "only-wrong-ids": only_if(
            _softens, smoothed_of(shares=_only_wrong, on_label=lambda e, v: 1 - e)
        ),
        "label-short": only_if(_softens, smoothed_of(on_label=lambda e, v: 1 - e)),
        "label-in-full": only_if(_softens, smoothed_of(on_label=lambda e, v: 1.0)),
        "epsilon-each": only_if(
            _softens, smoothed_of(shares=lambda e, v: e, on_label=lambda e, v: 1 - e)
        ),
        "exchanged": only_if(_softens, lambda i: smoothed(i | {"smoothing": 1 - i["smoothing"]})),
        "not-smoothed": only_if(_softens, lambda i: smoothed(i | {"smoothing": 0.0})),
        "always-a-tenth": only_if(_other_smoothing, lambda i: smoothed(i | {"smoothing": 0.1})),
        "no-softmax": smoothed_of(log_p=lambda i: np.asarray(i["logits"], "float64")),
        "no-logarithm": smoothed_of(log_p=lambda i: np.exp(log_softmax(i["logits"]))),
        "no-minus": smoothed_of(after=lambda losses, q: -losses),
        "divergence": only_if(_softens, smoothed_of(after=_less_entropy)),
        "predictions-softened": only_if(_softens, _predictions_softened),
        "padding-out-of-the-softmax": smoothed_of(log_p=_without_padding),
        "mean-over-ids": smoothed_of(after=lambda losses, q: losses / q.shape[-1]),
    },
    dtype=None,
)


def soft_batches(lengths, smoothing, **more):
    return batches(lengths, smoothing=smoothing, **more)


def smoothed_probe(title, points, inputs, **more):
    return Probe(title, points, inputs, call_on_batch, judge_smoothed, **more)


SMOOTHED = exercise(
    "translation.smoothing",
    defines="smoothed_loss",
    may_not_call=MAY_NOT_CALL,
    probes=(
        smoothed_probe("no smoothing: the loss of exercise 1", 0.5, soft_batches([4], 0.0)),
        smoothed_probe("one token", 1, soft_batches([1], 0.3, vocab_size=4)),
        smoothed_probe("one sentence, no padding", 0.5, soft_batches([5], 0.2, vocab_size=7)),
        smoothed_probe("sentences of different lengths", 1.5, soft_batches([6, 2, 4], 0.1)),
        smoothed_probe("another pad_id", 0.5, soft_batches([5, 3], 0.25, pad_id=4)),
        smoothed_probe("nothing but padding: 0", 0.5, soft_batches([0, 0], 0.1)),
        smoothed_probe(
            "logits in the hundreds", 0.5, soft_batches([4, 2], 0.1, spread=150.0, wide=True)
        ),
    ),
)


# 3. The learning rate


def rate(i, *, first=1, combine=np.minimum, width=-0.5, falling=None, rising=None):
    """Equation 3 of the paper for a count of updates from 0, with a knob for each part."""
    step, warmup = i["step"].astype("float64") + first, i["warmup_steps"]
    with np.errstate(divide="ignore"):
        down = step**-0.5 if falling is None else falling(step, warmup)
    up = step * warmup**-1.5 if rising is None else rising(step, warmup)
    return i["d_model"] ** width * combine(down, up)


def rate_of(**knobs):
    return lambda i: rate(i, **knobs)


judge_rate = Match(
    rate,
    {
        "counts-from-zero": rate_of(first=0),
        "counts-from-two": rate_of(first=2),
        "larger-of-the-two": rate_of(combine=np.maximum),
        "sum-of-the-two": rate_of(combine=np.add),
        "product-of-the-two": rate_of(combine=np.multiply),
        "no-warm-up": rate_of(combine=lambda down, up: down),
        "never-falls": rate_of(combine=lambda down, up: up),
        "stays-at-the-peak": rate_of(falling=lambda step, warmup: warmup**-0.5 + 0 * step),
        "falls-from-the-peak-anew": lambda i: rate(
            i,
            combine=lambda down, up: np.where(i["step"] + 1 <= i["warmup_steps"], up, down),
            falling=lambda step, warmup: np.maximum(step - warmup, 1) ** -0.5,
        ),
        "falls-with-the-step": rate_of(falling=lambda step, warmup: 1 / step),
        "peak-of-one": lambda i: rate(i) * (i["d_model"] * i["warmup_steps"]) ** 0.5,
        "width-left-out": rate_of(width=0),
        "width-not-rooted": rate_of(width=-1),
        "width-multiplied": rate_of(width=0.5),
        "warm-up-not-rooted": rate_of(rising=lambda step, warmup: step / warmup),
        "warm-up-half": rate_of(rising=lambda step, warmup: step * warmup**-0.5),
        "warm-up-squared": rate_of(rising=lambda step, warmup: step * warmup**-2.0),
        "first-for-all": lambda i: (
            np.broadcast_to(rate(i).ravel()[0], i["step"].shape) if i["step"].size > 1 else None
        ),
    },
    dtype=None,
)


def updates(*shares):
    """Counts of updates, as shares of the warm-up; both it and the width are drawn."""

    def inputs(rng):
        warmup = int(rng.integers(10, 60)) * 10
        counts = [int(share * warmup) - 1 if share else 0 for share in shares]
        step = np.array(counts if len(counts) > 1 else counts[0], "int32")
        return {
            "step": step,
            "d_model": int(rng.choice([64, 128, 256, 512])),
            "warmup_steps": warmup,
        }

    return inputs


def rate_probe(title, points, *shares, **more):
    return Probe(
        title,
        points,
        updates(*shares),
        lambda i: call(tensor(i["step"]), i["d_model"], i["warmup_steps"]),
        judge_rate,
        **more,
    )


SCHEDULE = exercise(
    "translation.schedule",
    defines="learning_rate",
    may_not_call=MAY_NOT_CALL,
    probes=(
        rate_probe("the first update", 1, 0),
        rate_probe("on the way up", 0.5, 0.3),
        rate_probe("the peak", 0.5, 1),
        rate_probe("after four times the warm-up: half of the peak", 0.5, 4),
        rate_probe("many updates at once", 0.5, 0, 0.5, 1, 1.7, 9, if_raises="one-step-only"),
    ),
)


# 4. Repair the loss of a batch

HANDED_OUT = ("not-shifted", "always-training", "padding-counted")


def fed(i, shift="right"):
    """What the decoder reads."""
    ids = i["target"]
    first = np.full_like(ids[:, :1], i["start_id"])
    if shift == "not at all":
        return ids
    if shift == "to the left":
        return np.concatenate([ids[:, 1:], np.full_like(first, i["pad_id"])], 1)
    if shift == "padding first":
        return np.concatenate([np.full_like(first, i["pad_id"]), ids[:, :-1]], 1)
    if shift == "rolled":
        return np.roll(ids, 1, axis=1)
    if shift == "first replaced":
        return np.concatenate([first, ids[:, 1:]], 1)
    if shift == "source":
        return i["source"]
    return np.concatenate([first, ids[:, :-1]], 1)


def batch_loss(
    i, shift="right", how="tokens", *, training="as told", labels=None, real=None, ids=None
):
    """The loss of one batch of the tables, with a knob for each slip."""
    source, target, dropout = (i[name].astype("float64") for name in ("S", "T", "dropout"))
    ids = fed(i, shift) if ids is None else ids
    logits = source[i["source"]].mean(1, keepdims=True) + target[ids]
    in_training = {"as told": i["training"], "always": True, "never": False}
    in_training["inverted"] = not i["training"]
    logits = logits * dropout if in_training[training] else logits
    labels = i["target"] if labels is None else labels(i)
    kept = labels != i["pad_id"] if real is None else real(i)
    return mean(-of_labels(log_softmax(logits), labels), kept, how)


def with_slips(i, slips):
    """The loss with any of the slips that it is handed out with."""
    return batch_loss(
        i,
        "not at all" if "not-shifted" in slips else "right",
        "all places" if "padding-counted" in slips else "tokens",
        training="always" if "always-training" in slips else "as told",
    )


def _cut_to_match(i):
    """Input without its last, labels without their first: no start symbol is read."""
    ids = i["target"]
    cut = i | {"target": ids[:, 1:]}
    return batch_loss(cut, ids=ids[:, :-1])


judge_batch = Match(
    batch_loss,
    {
        "labels-shifted": only_if(
            lambda i: i["target"].shape[1] > 1,
            lambda i: batch_loss(i, ids=fed(i), labels=lambda i: fed(i)),
        ),
        "start-left-out": _cut_to_match,
        "shifted-left": lambda i: batch_loss(i, "to the left"),
        "padding-first": lambda i: batch_loss(i, "padding first"),
        "rolled": only_if(lambda i: i["target"].shape[1] > 1, lambda i: batch_loss(i, "rolled")),
        "first-replaced": only_if(
            lambda i: i["target"].shape[1] > 1, lambda i: batch_loss(i, "first replaced")
        ),
        "never-training": lambda i: batch_loss(i, training="never"),
        "training-inverted": lambda i: batch_loss(i, training="inverted"),
        "divided-by-all": only_if(
            lambda i: (i["target"] == i["pad_id"]).any(),
            lambda i: batch_loss(i, how="divided by all"),
        ),
        "sum-over-padding": only_if(
            lambda i: (i["target"] == i["pad_id"]).any(),
            lambda i: batch_loss(i, how="not masked"),
        ),
        "mean-of-sentences": only_if(
            lambda i: len(i["target"]) > 1 and (i["target"] == i["pad_id"]).any(),
            lambda i: batch_loss(i, how="sentences"),
        ),
        "summed": only_if(lambda i: i["target"].size > 1, lambda i: batch_loss(i, how="sum")),
        "padding-of-the-input": only_if(
            lambda i: (i["target"] == i["pad_id"]).any(),
            lambda i: batch_loss(i, real=lambda i: fed(i) != i["pad_id"]),
        ),
        "pad-id-ignored": only_if(
            lambda i: i["pad_id"], lambda i: batch_loss(i, real=lambda i: i["target"] != 0)
        ),
    },
    dtype=None,
    mends=mends_among(batch_loss, with_slips, HANDED_OUT),
)


def target_batches(lengths, *, training, vocab_size=7, pad_id=0):
    """Target sentences of these lengths, and the tables of a model."""

    def inputs(rng):
        ids = np.array([n for n in range(vocab_size) if n not in (pad_id, 2)])
        width = max(lengths)
        target = rng.choice(ids, (len(lengths), width))
        target[np.arange(width) >= np.array(lengths)[:, None]] = pad_id
        return {
            "source": rng.choice(ids, (len(lengths), 3)).astype("int32"),
            "target": target.astype("int32"),
            "S": rng.normal(size=(vocab_size, vocab_size)).astype("float32"),
            "T": 2 * rng.normal(size=(vocab_size, vocab_size)).astype("float32"),
            "dropout": rng.uniform(0, 2, vocab_size).astype("float32"),
            "start_id": 2,
            "pad_id": pad_id,
            "training": training,
        }

    return inputs


def call_batch(i):
    tables = {"source": i["S"], "target": i["T"], "dropout": i["dropout"]}
    model = fixture("table_translator", **tables)
    more = {"pad_id": i["pad_id"]} if i["pad_id"] else {}
    more |= {"training": True} if i["training"] else {}
    return call(model, tensor(i["source"]), tensor(i["target"]), i["start_id"], **more)


def batch_probe(title, points, lengths, *, training, **more):
    inputs = target_batches(lengths, training=training, **more)
    return Probe(title, points, inputs, call_batch, judge_batch)


# The first three each show one of the slips that the loss is handed out with, and hide the others.
REPAIR = exercise(
    "translation.repair",
    defines="batch_loss",
    may_not_call=MAY_NOT_CALL,
    probes=(
        batch_probe("the decoder reads what stands before", 1, [4, 4], training=True),
        batch_probe("one word, in validation", 1, [1, 1], training=False),
        batch_probe("padding, in training", 1, [5, 2, 3], training=True),
        batch_probe("padding, in validation", 1, [3, 6, 1], training=False),
        batch_probe("another pad_id", 0.5, [4, 2], training=False, pad_id=5),
    ),
)


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


def bleu_of(**knobs):
    return lambda i: bleu(i, **knobs)


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
        "always-four": only_if(lambda i: i["max_order"] != 4, lambda i: bleu(i | {"max_order": 4})),
        "exchanged": lambda i: bleu(
            i | {"hypotheses": i["references"], "references": i["hypotheses"]}
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


def chosen_by(**knobs):
    return lambda i: chosen(i, **knobs)


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

EXERCISES = (MASKED, SMOOTHED, SCHEDULE, REPAIR, BLEU, CHOOSE)

QUESTIONS = questions("translation")
