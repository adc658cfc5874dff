"""Exercises of lesson 08, fine-tuning: probes and the mistakes they find; words in the TOML file.

A setting that is wrong shows in the numbers of a plan, an update, a batch or a table of counts.
Each exercise computes one of them, and the mistakes are knobs on it. Those of the learning rate and
of AdamW are in `updates.py`.
"""

import numpy as np

from course.checks.declaration import OF_DIVISION, Probe, call, fixture, tensor
from course.checks.judges import Match, mends_among, only_if
from course.checks.references import turning
from course.checks.texts import exercise, lesson, questions
from course.exercises.fine_tuning.optimizer_reference import SCHEDULE, UPDATE

LESSON = lesson("fine_tuning")

# Of the course, what holds the answer; each list is looked up while the answer runs.
HEADS = ("course.fine_tuning.BertClassifier",)
FIGURES = tuple(
    f"course.fine_tuning.metrics.{name}" for name in ("confusion_matrix", "figures", "scores")
)


def in_numpy(*args, **kwargs):
    """A call that needs no Keras."""
    return call(*args, **kwargs) | {"keras": False}


# 1. Repair a classification head

HANDED_OUT = ("padding-attended", "mean-over-places", "dropout-twice")


def states_of(i, mask="real", segments="given"):
    """What the table encoder returns: (batch, length, d)."""
    ids, real = i["token_ids"], i["token_ids"] != i["pad_id"]
    given = {"given": i["segment_ids"], "zeros": 0 * ids, "inverted": 1 - i["segment_ids"]}
    own = i["words"].astype("float64")[ids] + i["kinds"].astype("float64")[given[segments]]
    attended = {
        "real": real,
        "all": np.ones_like(real),
        "inverted": ~real,
        "zero is padding": ids != 0,
    }[mask]
    count = np.maximum(attended.sum(1), 1)[:, None, None]
    return own + (own * attended[..., None]).sum(1, keepdims=True) / count


def logits_of(
    i,
    *,
    mask="real",
    segments="given",
    take=lambda states, real: states[:, 0],
    pool=np.tanh,
    pooler=True,
    training="as told",
    before=0,
    after=1,
    end=0,
    finish=lambda logits: logits,
):
    """The exercise's reference, with a knob for each part; `before` and `after` count dropouts."""
    in_training = {"as told": i["training"], "always": True, "never": False}
    in_training["inverted"] = not i["training"]
    kept = i["kept"].astype("float64") if in_training[training] else 1.0
    w = {name: array.astype("float64") for name, array in i["weights"].items()}
    x = take(states_of(i, mask, segments), i["token_ids"] != i["pad_id"]) * kept**before
    if pooler:
        x = pool(x @ w["pooler.kernel"] + w["pooler.bias"])
    logits = (x * kept**after) @ w["classifier.kernel"] + w["classifier.bias"]
    return finish(logits)


logits_with = turning(logits_of)


def _mean_of_real(states, real):
    return (states * real[..., None]).sum(1) / np.maximum(real.sum(1), 1)[:, None]


def _last_real(states, real):
    return states[np.arange(len(states)), real.sum(1) - 1]


def with_slips(i, slips):
    """The logits with any of the slips that the head is handed out with."""
    return logits_of(
        i,
        mask="all" if "padding-attended" in slips else "real",
        take=(lambda s, real: s.mean(1))
        if "mean-over-places" in slips
        else (lambda s, real: s[:, 0]),
        before=1 if "dropout-twice" in slips else 0,
    )


def _padded(i):
    return (i["token_ids"] == i["pad_id"]).any()


def _long(i):
    return i["token_ids"].shape[1] > 1


def _has_second(i):
    return i["segment_ids"].any()


def _trains(i):
    return i["training"]


judge_head = Match(
    logits_of,
    {
        "mask-inverted": only_if(_padded, logits_with(mask="inverted")),
        "pad-id-ignored": only_if(
            lambda i: i["pad_id"] and _padded(i), logits_with(mask="zero is padding")
        ),
        "mean-over-real": only_if(_long, logits_with(take=_mean_of_real)),
        "last-place": only_if(_long, logits_with(take=lambda states, real: states[:, -1])),
        "last-real-place": only_if(_long, logits_with(take=_last_real)),
        "second-place": only_if(_long, logits_with(take=lambda states, real: states[:, 1])),
        "largest-over-places": only_if(_long, logits_with(take=lambda states, real: states.max(1))),
        "segments-left-out": only_if(_has_second, logits_with(segments="zeros")),
        "no-tanh": logits_with(pool=lambda x: x),
        "pooler-left-out": logits_with(pooler=False),
        "relu-for-tanh": logits_with(pool=lambda x: np.maximum(x, 0)),
        "always-training": logits_with(training="always"),
        "never-training": only_if(_trains, logits_with(training="never")),
        "training-inverted": logits_with(training="inverted"),
        "dropout-before-the-pooler": only_if(_trains, logits_with(before=1, after=0)),
        "dropout-of-the-pooled-twice": only_if(_trains, logits_with(after=2)),
        "probabilities": logits_with(finish=lambda z: np.exp(z) / np.exp(z).sum(-1, keepdims=True)),
        "log-probabilities": logits_with(
            finish=lambda z: z - np.log(np.exp(z).sum(-1, keepdims=True))
        ),
        "sigmoid": logits_with(finish=lambda z: 1 / (1 + np.exp(-z))),
    },
    dtype=None,
    mends=mends_among(logits_of, with_slips, HANDED_OUT),
)


def texts(lengths, *, training, pad_id=0, second=0, width=4, classes=3, vocab_size=8):
    """Rows of ids of these lengths; the last `second` ids of each are its second text."""

    def inputs(rng):
        ids = np.array([n for n in range(vocab_size) if n != pad_id])
        token_ids = rng.choice(ids, (len(lengths), max(lengths)))
        place, end = np.arange(max(lengths)), np.array(lengths)[:, None]
        token_ids[place >= end] = pad_id
        segment_ids = ((place >= end - second) & (place < end)).astype("int32")

        def drawn(*shape, size=1.0):
            return (size * rng.normal(size=shape)).astype("float32")

        return {
            "token_ids": token_ids.astype("int32"),
            "segment_ids": segment_ids,
            "words": drawn(vocab_size, width, size=0.7),
            "kinds": drawn(2, width, size=0.7),
            "kept": rng.uniform(0.3, 2, width).astype("float32"),
            "weights": {
                "pooler.kernel": drawn(width, width),
                "pooler.bias": drawn(width),
                "classifier.kernel": drawn(width, classes),
                "classifier.bias": drawn(classes),
            },
            "pad_id": pad_id,
            "training": training,
        }

    return inputs


def call_head(i):
    encoder = fixture("table_encoder", words=i["words"], segments=i["kinds"])
    dropout = fixture("table_dropout", kept=i["kept"])
    weights = {name: tensor(array) for name, array in i["weights"].items()}
    more = {"pad_id": i["pad_id"]} if i["pad_id"] else {}
    more |= {"training": True} if i["training"] else {}
    return call(encoder, dropout, weights, tensor(i["token_ids"]), tensor(i["segment_ids"]), **more)


def head_probe(title, points, lengths, *, training, **more):
    return Probe(title, points, texts(lengths, training=training, **more), call_head, judge_head)


# The first three each show one of the slips that the head is handed out with, and hide the others.
HEAD = exercise(
    "fine_tuning.head",
    defines="class_logits",
    may_not_call=HEADS,
    probes=(
        head_probe("the vector of the first place", 1, [4, 4], training=False),
        head_probe("one token a row, in training", 1, [1, 1, 1], training=True),
        head_probe("padding changes nothing", 1, [3, 5, 2], training=False),
        head_probe("pairs, in training", 0.5, [6, 4], training=True, second=2, classes=2),
        head_probe("another pad_id", 0.5, [5, 2], training=False, pad_id=6, second=1),
        head_probe("a batch of one", 0.5, [3], training=False),
    ),
)


# 4. What the answers are worth


def table_of(i):
    """(true positives, false positives, false negatives, true negatives) of all rows."""
    labels, said = (np.concatenate([b[k] for b in i["batches"]]) for k in (0, 1))
    labels, said = labels[labels >= 0], said[labels >= 0]
    return tuple(
        float(np.sum((labels == a) & (said == b))) for a, b in ((1, 1), (0, 1), (1, 0), (0, 0))
    )


def divided(a, b, nothing=0.0):
    return a / b if b else nothing


def figures(table, *, f1=None, matthews=None, nothing=0.0):
    """Accuracy, F1 and Matthews' coefficient of one table, with a knob for each slip."""
    tp, fp, fn, tn = table
    root = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return {
        "accuracy": divided(tp + tn, tp + fp + fn + tn, nothing),
        "f1": divided(2 * tp, 2 * tp + fp + fn, nothing) if f1 is None else f1(*table),
        "matthews": divided(tp * tn - fp * fn, root, nothing)
        if matthews is None
        else matthews(*table, root),
    }


def figures_with(**knobs):
    return lambda i: figures(table_of(i), **knobs)


def _mean_of_batches(i):
    if len(i["batches"]) < 2:
        return None
    each = [figures(table_of({"batches": [batch]})) for batch in i["batches"]]
    return {name: float(np.mean([f[name] for f in each])) for name in each[0]}


def _accuracy_of_batches(i):
    return (
        figures(table_of(i)) | {"accuracy": mean["accuracy"]}
        if (mean := _mean_of_batches(i))
        else None
    )


def _filled(i):
    return any((labels < 0).any() for labels, _ in i["batches"])


def _fill_counted(i, label):
    """Rows that only fill up counted as rows of a class."""
    batches = [(np.where(y < 0, label, y), said) for y, said in i["batches"]]
    return figures(table_of({"batches": batches}))


def _fill_as_misses(i):
    """Rows that only fill up counted as errors: in the number of rows, and in no hit."""
    right = figures(table_of(i))
    rows = sum(len(y) for y, _ in i["batches"])
    tp, _, _, tn = table_of(i)
    return right | {"accuracy": (tp + tn) / rows}


def _fill_in_all(i):
    """No mask at all: a filled row's label is neither class, what is said of it counts."""
    labels, said = (np.concatenate([b[k] for b in i["batches"]]) for k in (0, 1))
    tp, fn, tn = (float(np.sum((labels == a) & (said == b))) for a, b in ((1, 1), (1, 0), (0, 0)))
    fp = float(np.sum((labels != 1) & (said == 1)))
    return figures((tp, fp, fn, tn)) | {"accuracy": float(np.mean(labels == said))}


def _fill_thought_last(i):
    cut = [(y[y >= 0], said[: np.sum(y >= 0)]) for y, said in i["batches"]]
    return figures(table_of({"batches": cut}))


def _anything_to_find(i):
    tp, fp, fn, _ = table_of(i)
    return tp + fp + fn


def _macro(tp, fp, fn, tn):
    return (divided(2 * tp, 2 * tp + fp + fn) + divided(2 * tn, 2 * tn + fp + fn)) / 2


def _weighted(tp, fp, fn, tn):
    one, zero = divided(2 * tp, 2 * tp + fp + fn), divided(2 * tn, 2 * tn + fp + fn)
    return ((tp + fn) * one + (tn + fp) * zero) / (tp + fp + fn + tn)


def _no_f1_without_matthews(i):
    """F1 made 0 together with a Matthews' coefficient that is 0 / 0."""
    return figures(table_of(i), f1=lambda *table: 0.0)


def _in_32_bits(i):
    """The product of the four sums as an int32 has it."""

    def matthews(tp, fp, fn, tn, root):
        sums = np.array([tp + fp, tp + fn, tn + fp, tn + fn])
        return divided(tp * tn - fp * fn, np.sqrt(np.prod(sums.astype("int32"), dtype="int32")))

    return figures(table_of(i), matthews=matthews)


def _last_batch(i):
    return figures(table_of({"batches": i["batches"][-1:]})) if len(i["batches"]) > 1 else None


def _first_batch(i):
    return figures(table_of({"batches": i["batches"][:1]})) if len(i["batches"]) > 1 else None


def _both_classes(i):
    tp, fp, fn, tn = table_of(i)
    return tp + fp and fn + tn and tp + fn and tn + fp


judge_scores = Match(
    lambda i: figures(table_of(i)),
    {
        "mean-of-batches": _mean_of_batches,
        "accuracy-of-batches": _accuracy_of_batches,
        "fill-counted-as-0": only_if(_filled, lambda i: _fill_counted(i, 0)),
        "fill-counted-as-1": only_if(_filled, lambda i: _fill_counted(i, 1)),
        "fill-counted-as-errors": only_if(_filled, _fill_as_misses),
        "fill-counted": only_if(_filled, _fill_in_all),
        "last-batch": _last_batch,
        "first-batch": _first_batch,
        "fill-thought-last": only_if(_filled, _fill_thought_last),
        "f1-of-class-0": only_if(
            _anything_to_find,
            figures_with(f1=lambda tp, fp, fn, tn: divided(2 * tn, 2 * tn + fp + fn)),
        ),
        "f1-of-both": figures_with(f1=_macro),
        "f1-is-accuracy": only_if(
            _anything_to_find,
            figures_with(f1=lambda tp, fp, fn, tn: divided(tp + tn, tp + fp + fn + tn)),
        ),
        "f1-weighted": only_if(_anything_to_find, figures_with(f1=_weighted)),
        "f1-nothing-with-matthews": only_if(
            lambda i: not _both_classes(i), _no_f1_without_matthews
        ),
        "precision": figures_with(f1=lambda tp, fp, fn, tn: divided(tp, tp + fp)),
        "recall": figures_with(f1=lambda tp, fp, fn, tn: divided(tp, tp + fn)),
        "mean-of-precision-and-recall": figures_with(
            f1=lambda tp, fp, fn, tn: (divided(tp, tp + fp) + divided(tp, tp + fn)) / 2
        ),
        "f1-half": figures_with(f1=lambda tp, fp, fn, tn: divided(tp, 2 * tp + fp + fn)),
        "f1-without-the-two": figures_with(f1=lambda tp, fp, fn, tn: divided(tp, tp + fp + fn)),
        "matthews-without-root": figures_with(
            matthews=lambda tp, fp, fn, tn, root: divided(tp * tn - fp * fn, root**2)
        ),
        "counts-overflow": _in_32_bits,
        "matthews-sign": figures_with(
            matthews=lambda tp, fp, fn, tn, root: divided(fp * fn - tp * tn, root)
        ),
        "matthews-plus": figures_with(
            matthews=lambda tp, fp, fn, tn, root: divided(tp * tn + fp * fn, root)
        ),
        "matthews-not-divided": figures_with(
            matthews=lambda tp, fp, fn, tn, root: tp * tn - fp * fn
        ),
        "matthews-absolute": only_if(
            lambda i: figures(table_of(i))["matthews"] < 0,
            lambda i: {name: abs(value) for name, value in figures(table_of(i)).items()},
        ),
        "nan-for-nothing": only_if(
            lambda i: not _both_classes(i), figures_with(nothing=float("nan"))
        ),
        "one-for-nothing": [
            only_if(lambda i: not _both_classes(i), figures_with(nothing=1.0)),
            only_if(lambda i: not _anything_to_find(i), figures_with(f1=lambda *table: 1.0)),
        ],
        "percent": lambda i: {n: 100 * x for n, x in figures(table_of(i)).items()},
    },
    dtype=None,
    tolerance=1e-6,
)


def answers(*sizes, table=None, filled=None):
    """Batches of labels and predictions.

    Args:
        sizes: rows of each batch.
        table: shares of (tp, fp, fn, tn) to draw from.
        filled: so many rows more of each batch only fill it up.
    """

    def inputs(rng):
        shares = np.array(table or (0.42, 0.23, 0.10, 0.25))
        cells = ((1, 1), (0, 1), (1, 0), (0, 0))
        present = [k for k in range(4) if shares[k] > 0]
        batches = []
        for index, size in enumerate(sizes):
            # Each kind of row occurs, and a small batch is unlike the large ones.
            tilt = shares[::-1] if index == len(sizes) - 1 and len(sizes) > 1 else shares
            tilt = np.where(shares > 0, np.maximum(tilt, 1e-3), 0)
            drawn = rng.choice(4, size, p=tilt / tilt.sum())
            if index == 0:
                drawn[: len(present)] = present
            rows = np.array([cells[k] for k in drawn]).reshape(size, 2)
            more = filled[index] if filled else 0
            fill = np.stack([np.full(more, -1), rng.permuted(np.arange(more) % 3 > 0)], axis=1)
            rows = rng.permutation(np.concatenate([rows, fill]))  # they may stand anywhere
            if more > size > 0:  # the first one, too
                first = int(np.argmin(rows[:, 0]))
                rows[[0, first]] = rows[[first, 0]]
            batches.append((rows[:, 0].astype("int32"), rows[:, 1].astype("int32")))
        return {"batches": batches}

    return inputs


def scores_probe(title, points, *sizes, **more):
    if_raises = more.pop("if_raises", None)
    return Probe(
        title,
        points,
        answers(*sizes, **more),
        lambda i: in_numpy([tuple(batch) for batch in i["batches"]]),
        judge_scores,
        if_raises=if_raises,
    )


SCORES = exercise(
    "fine_tuning.scores",
    defines="evaluate",
    may_not_call=FIGURES,
    probes=(
        scores_probe("one batch", 0.5, 29),
        scores_probe("worse than a guess", 0.5, 31, table=(0.12, 0.48, 0.25, 0.15)),
        scores_probe("batches of unequal size", 1, 24, 24, 7),
        scores_probe("batches that are filled up", 1, 16, 0, 5, 9, filled=(2, 4, 11, 3)),
        scores_probe(
            "a class that is never said: 0",
            0.5,
            18,
            table=(0, 0, 0.4, 0.6),
            if_raises={"divided-by-nothing": OF_DIVISION},
        ),
        scores_probe(
            "a class that neither is there nor is said: 0",
            0.5,
            12,
            table=(0, 0, 0, 1),
            if_raises={"divided-by-nothing": OF_DIVISION},
        ),
        scores_probe(
            "a class that is not there: F1 alone is a number",
            0.5,
            15,
            table=(0.6, 0, 0.4, 0),
            if_raises={"divided-by-nothing": OF_DIVISION},
        ),
        scores_probe("thousands of rows", 0.5, 3000),
    ),
)


# 5. Decide between two recipes


def compared(
    i,
    *,
    centre=np.mean,
    ddof=1,
    error=None,
    sign=1,
    wide="t",
    decide=None,
):
    """Difference, interval and decision, with a knob for each slip."""
    a, b = np.asarray(i["baseline"], float), np.asarray(i["candidate"], float)
    difference = sign * (centre(b) - centre(a))
    parts = [x.var(ddof=ddof) for x in (a, b)]
    if error is None:
        spread = np.sqrt(parts[0] / len(a) + parts[1] / len(b))
    else:
        spread = error(parts, len(a), len(b))
    half = spread * {"t": i["t"], "one": 1.0, "two": 2.0, "normal": 1.96, "half": i["t"] / 2}[wide]
    low, high = difference - half, difference + half
    if decide is not None:
        said = decide(difference, low, high)
    else:
        said = "better" if low > 0 else "worse" if high < 0 else "cannot tell"
    return {
        "difference": float(difference),
        "low": float(low),
        "high": float(high),
        "decision": said,
    }


compared_by = turning(compared)


def _never_worse(difference, low, high):
    return "better" if low > 0 else "cannot tell"


def _wrong_ends(difference, low, high):
    return "better" if high > 0 else "worse" if low < 0 else "cannot tell"


def _end_at_zero(difference, low, high):
    return "better" if low >= 0 else "worse" if high <= 0 else "cannot tell"


def _no_width_no_answer(difference, low, high):
    return "cannot tell" if not (low > 0 or high < 0) or low == high else _by_the_mean(low, 0, 0)


def _exchanged(difference, low, high):
    return "worse" if low > 0 else "better" if high < 0 else "cannot tell"


def _inside_out(difference, low, high):
    return "cannot tell" if low > 0 or high < 0 else "better" if difference > 0 else "worse"


def _by_the_mean(difference, low, high):
    return "better" if difference > 0 else "worse"


def _by_separate_intervals(i):
    """Whether the interval of each mean by itself leaves the other out."""
    reach = sum(i["t"] * x.std(ddof=1) / np.sqrt(len(x)) for x in (i["baseline"], i["candidate"]))
    return compared(
        i, decide=lambda d, low, high: _by_the_mean(d, 0, 0) if abs(d) > reach else "cannot tell"
    )


def _by_single_runs(i):
    a, b = i["baseline"], i["candidate"]
    apart = b.min() > a.max() or b.max() < a.min()
    return compared(i, decide=_by_the_mean if apart else lambda *interval: "cannot tell")


def _pooled(i):
    """The spread of all runs of both together."""
    both = np.concatenate([i["baseline"], i["candidate"]])
    spread = both.std(ddof=1) / np.sqrt(len(both))
    return compared(i, error=lambda parts, m, n: spread)


def _of_one(which):
    return lambda parts, m, n: np.sqrt(parts[which] / (m, n)[which])


judge_compared = Match(
    compared,
    {
        "best-seeds": compared_by(centre=np.max),
        "medians": compared_by(centre=np.median),
        "divided-by-n": compared_by(ddof=0),
        "spread-of-runs": compared_by(error=lambda parts, m, n: np.sqrt(sum(parts))),
        "errors-added": compared_by(
            error=lambda parts, m, n: np.sqrt(parts[0] / m) + np.sqrt(parts[1] / n)
        ),
        "variances": compared_by(error=lambda parts, m, n: parts[0] / m + parts[1] / n),
        "not-rooted-count": compared_by(
            error=lambda parts, m, n: np.sqrt(parts[0]) / m + np.sqrt(parts[1]) / n
        ),
        "mean-of-errors": compared_by(
            error=lambda parts, m, n: (np.sqrt(parts[0] / m) + np.sqrt(parts[1] / n)) / 2
        ),
        "larger-error": compared_by(
            error=lambda parts, m, n: np.sqrt(max(parts[0] / m, parts[1] / n))
        ),
        "one-variance": compared_by(
            error=lambda parts, m, n: np.sqrt(
                ((m - 1) * parts[0] + (n - 1) * parts[1]) / (m + n - 2) * (1 / m + 1 / n)
            )
        ),
        "counts-exchanged": compared_by(
            error=lambda parts, m, n: np.sqrt(parts[0] / n + parts[1] / m)
        ),
        "one-taken-off-twice": compared_by(
            error=lambda parts, m, n: np.sqrt(parts[0] / (m - 1) + parts[1] / (n - 1))
        ),
        "one-spread": compared_by(error=_of_one(1)),
        "baselines-spread": compared_by(error=_of_one(0)),
        "pooled": _pooled,
        "exchanged": compared_by(sign=-1),
        "one-error": compared_by(wide="one"),
        "half-of-t": compared_by(wide="half"),
        "always-two": compared_by(wide="two"),
        "normal-for-t": compared_by(wide="normal"),
        "decided-by-the-mean": compared_by(decide=_by_the_mean),
        "wrong-ends": compared_by(decide=_wrong_ends),
        "no-width-no-answer": compared_by(decide=_no_width_no_answer),
        "end-at-zero": compared_by(decide=_end_at_zero),
        "never-worse": compared_by(decide=_never_worse),
        "decision-exchanged": compared_by(decide=_exchanged),
        "decision-inside-out": compared_by(decide=_inside_out),
        "separate-intervals": _by_separate_intervals,
        "single-runs": _by_single_runs,
    },
    dtype=None,
    tolerance=1e-6,
)


def seeds(gain, spread, counts, t):
    """Accuracies of two recipes, a run a seed, whose means are `gain` apart."""

    def inputs(rng):
        drawn = []
        for count, scale in zip(counts, (1.0, 1.6), strict=True):
            x = rng.permutation(np.linspace(-1, 1, count) ** 3 + 0.2 * rng.uniform(-1, 1, count))
            drawn.append(spread * scale * (x - x.mean()) / x.std(ddof=1))
        middle = rng.uniform(0.7, 0.85)
        return {
            "baseline": middle + drawn[0],
            "candidate": middle + gain + drawn[1],
            "t": t,
        }

    return inputs


def compare_probe(title, points, *given):
    return Probe(
        title,
        points,
        seeds(*given),
        lambda i: in_numpy(i["baseline"], i["candidate"], i["t"]),
        judge_compared,
    )


COMPARE = exercise(
    "fine_tuning.compare",
    defines="compare_runs",
    probes=(
        # Its runs overlap, and so do the intervals of the two means.
        compare_probe("a gain that is seen", 1, 0.0276, 0.012, (5, 5), 2.31),
        compare_probe("a loss within the spread", 0.5, -0.012, 0.02, (5, 5), 2.31),
        compare_probe("runs apart, but few of them", 0.5, 0.03, 0.008, (2, 3), 4.3),
        compare_probe("a loss, with other counts of seeds", 1, -0.05, 0.01, (3, 8), 2.26),
        compare_probe("seeds that agree, and a gain", 0.5, 0.1, 0.0, (2, 2), 4.3),
        compare_probe("seeds that agree, and no gain", 0.5, 0.0, 0.0, (2, 2), 4.3),
    ),
)

EXERCISES = (HEAD, SCHEDULE, UPDATE, SCORES, COMPARE)

QUESTIONS = questions("fine_tuning")
