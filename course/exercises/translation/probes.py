"""Exercises of lesson 05, translation: probes and the mistakes they find; words in the TOML file.

A loss is a number for each place of a batch, and a way to take their mean. Most mistakes are
another number or another mean, so both are knobs. The last two, on scores, are in `bleu.py`.
"""

import numpy as np

from course.checks import families
from course.checks.declaration import Probe, call, fixture, tensor
from course.checks.judges import Match, mends_among, only_if
from course.checks.references import of_inputs, turned, turning
from course.checks.texts import exercise, lesson, questions
from course.exercises.translation.bleu import BLEU, CHOOSE

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


def scores_of(loss=None, accuracy=None, **knobs):
    means = {name: how for name, how in (("loss", loss), ("accuracy", accuracy)) if how}
    return turned(scores, **means, **knobs)


def _whole_sentences(i):
    real = i["labels"] != i["pad_id"]
    return scores(i)[0], ((hits(i) == 1) | ~real).all(1).mean()


def _not_finite(i, got):
    """What comes of probabilities that are rounded to 0: no number."""
    return scores(i) if "wide" in i and not np.isfinite(np.float64(got[0])) else None


def _logits_hidden(i):
    """Logits set to 0 at padding: no mistake if padding is left out afterwards."""
    return {"logits": i["logits"] * (i["labels"] != i["pad_id"])[..., None]}


def _clipped(i):
    """Probabilities kept above 1e-7, as `from_logits=False` does."""
    p = np.exp(log_softmax(i["logits"]))
    return scores(i, losses=lambda i: -np.log(np.maximum(of_labels(p, i["labels"]), 1e-7)))


def _log_p(function):
    """A knob for the loss: -log p of each label by another function of the logits."""
    return lambda i: -of_labels(function(i["logits"]), i["labels"])


judge_scores = Match(
    scores,
    {
        "softmax-twice": scores_of(losses=_log_p(families.softmax_twice)),
        "softmax-over-places": scores_of(losses=_log_p(families.over_places)),
        "other-base": [scores_of(losses=_log_p(f)) for f in families.OTHER_BASES],
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
        "swapped": turned(scores, then=lambda r, i: r[::-1]),
        "clipped": only_if(lambda i: "wide" in i, _clipped),
        "epsilon-in-the-logarithm": [
            scores_of(losses=_log_p(f)) for f in families.logarithms_with_epsilon()
        ],
    },
    labels=("loss", "accuracy"),
    dtype=None,
    mends={"not-finite": _not_finite},
    variants=(scores_of(given=_logits_hidden, when=_padded),),
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


smoothed_of = turning(smoothed)


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
        "softmax-twice": smoothed_of(log_p=lambda i: families.softmax_twice(i["logits"])),
        "epsilon-in-the-logarithm": [
            smoothed_of(log_p=lambda i, f=f: f(i["logits"]))
            for f in families.logarithms_with_epsilon()
        ],
        "softmax-over-places": smoothed_of(log_p=lambda i: families.over_places(i["logits"])),
        "other-base": [
            smoothed_of(log_p=lambda i, f=f: f(i["logits"])) for f in families.OTHER_BASES
        ],
        "padding-in-the-mean": only_if(_padded, smoothed_of("all places")),
        "divided-by-all": only_if(_padded, smoothed_of("divided by all")),
        "sum-over-padding": only_if(_padded, smoothed_of("not masked")),
        "mean-of-sentences": only_if(
            lambda i: _padded(i) and _several(i), smoothed_of("sentences")
        ),
        "summed": only_if(lambda i: i["labels"].size > 1, smoothed_of("sum")),
        "pad-id-ignored": only_if(
            lambda i: i["pad_id"], turned(smoothed, given=lambda i: {"pad_id": 0})
        ),
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
        "exchanged": only_if(
            _softens, turned(smoothed, given=lambda i: {"smoothing": 1 - i["smoothing"]})
        ),
        "not-smoothed": only_if(_softens, turned(smoothed, given=lambda i: {"smoothing": 0.0})),
        "always-a-tenth": only_if(
            _other_smoothing, turned(smoothed, given=lambda i: {"smoothing": 0.1})
        ),
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


rate_of = turning(rate)


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
        "falls-from-the-peak-anew": turned(
            rate,
            combine=of_inputs(
                lambda i: lambda down, up: np.where(i["step"] + 1 <= i["warmup_steps"], up, down)
            ),
            falling=lambda step, warmup: np.maximum(step - warmup, 1) ** -0.5,
        ),
        "falls-with-the-step": rate_of(falling=lambda step, warmup: 1 / step),
        "peak-of-one": turned(
            rate, then=lambda r, i: r * (i["d_model"] * i["warmup_steps"]) ** 0.5
        ),
        "width-left-out": rate_of(width=0),
        "width-not-rooted": rate_of(width=-1),
        "width-multiplied": rate_of(width=0.5),
        "warm-up-not-rooted": rate_of(rising=lambda step, warmup: step / warmup),
        "warm-up-half": rate_of(rising=lambda step, warmup: step * warmup**-0.5),
        "warm-up-squared": rate_of(rising=lambda step, warmup: step * warmup**-2.0),
        "first-for-all": turned(
            rate,
            then=lambda r, i: np.broadcast_to(r.ravel()[0], i["step"].shape),
            when=lambda i: i["step"].size > 1,
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


# What Python's own min, if and float say of an array of several steps.
ONE_STEP = r"(?i:truth value|ambiguous|only .*(size|length)-1|scalar|bool|0-d|ndim|shape)"

SCHEDULE = exercise(
    "translation.schedule",
    defines="learning_rate",
    may_not_call=MAY_NOT_CALL,
    probes=(
        rate_probe("the first update", 1, 0),
        rate_probe("on the way up", 0.5, 0.3),
        rate_probe("the peak", 0.5, 1),
        rate_probe("after four times the warm-up: half of the peak", 0.5, 4),
        rate_probe(
            "many updates at once", 0.5, 0, 0.5, 1, 1.7, 9, if_raises={"one-step-only": ONE_STEP}
        ),
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
            turned(batch_loss, ids=of_inputs(lambda i: fed(i)), labels=lambda i: fed(i)),
        ),
        "start-left-out": _cut_to_match,
        "shifted-left": turned(batch_loss, "to the left"),
        "padding-first": turned(batch_loss, "padding first"),
        "rolled": only_if(lambda i: i["target"].shape[1] > 1, turned(batch_loss, "rolled")),
        "first-replaced": only_if(
            lambda i: i["target"].shape[1] > 1, turned(batch_loss, "first replaced")
        ),
        "never-training": turned(batch_loss, training="never"),
        "training-inverted": turned(batch_loss, training="inverted"),
        "divided-by-all": only_if(
            lambda i: (i["target"] == i["pad_id"]).any(),
            turned(batch_loss, how="divided by all"),
        ),
        "sum-over-padding": only_if(
            lambda i: (i["target"] == i["pad_id"]).any(),
            turned(batch_loss, how="not masked"),
        ),
        "mean-of-sentences": only_if(
            lambda i: len(i["target"]) > 1 and (i["target"] == i["pad_id"]).any(),
            turned(batch_loss, how="sentences"),
        ),
        "summed": only_if(lambda i: i["target"].size > 1, turned(batch_loss, how="sum")),
        "padding-of-the-input": only_if(
            lambda i: (i["target"] == i["pad_id"]).any(),
            turned(batch_loss, real=lambda i: fed(i) != i["pad_id"]),
        ),
        "pad-id-ignored": only_if(
            lambda i: i["pad_id"], turned(batch_loss, real=lambda i: i["target"] != 0)
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


EXERCISES = (MASKED, SMOOTHED, SCHEDULE, REPAIR, BLEU, CHOOSE)

QUESTIONS = questions("translation")
