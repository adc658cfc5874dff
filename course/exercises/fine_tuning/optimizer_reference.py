"""The arithmetic of an update: probes of two exercises of lesson 08, its learning rate and AdamW.

A part of `fine_tuning.py`, which would be longer than a sitting with it.
"""

import numpy as np

from course.checks.declaration import OF_DIVISION, OF_SHAPES, Probe, call
from course.checks.judges import Match, MatchRows, only_if
from course.checks.references import turned, turning
from course.checks.texts import exercise

# Of the course, what holds the answer; each list is looked up while the answer runs.
RATES = ("course.training.WarmupLinear",)
OPTIMIZERS = ("course.training.optimizers.AdamW", "course.training.optimizers.adamw")


# The learning rate of every update


def rates(
    i,
    *,
    count=lambda n, epochs, size: epochs * -(-n // size),
    first=1,
    rising=None,
    falling=None,
    combine=np.minimum,
    unit=None,
):
    """The rates of a whole run, with a knob for each part."""
    n, epochs, size, warmup = (i[k] for k in ("examples", "epochs", "batch_size", "warmup_steps"))
    total = count(n, epochs, size)
    step = np.arange(total, dtype="float64") + first
    if unit is not None:
        step = unit(step, total // epochs, total)
    up = step / warmup if warmup else np.full(total, np.inf)
    up = up if rising is None else rising(step, warmup)
    room = max(total - warmup, 0)
    down = (total - step) / room if room else np.full(total, np.inf)
    down = down if falling is None else falling(step, warmup, total)
    return i["peak"] * combine(up, down)


rates_of = turning(rates)


def _warms_up(i):
    return i["warmup_steps"] > 0


def _updates(i):
    return i["epochs"] * -(-i["examples"] // i["batch_size"])


def _peaks(i):
    return i["warmup_steps"] < _updates(i)


def _in_whole_epochs(step, per_epoch, total):
    """Every update of an epoch gets the rate of its last one."""
    return np.ceil(step / per_epoch) * per_epoch


def _first_of_the_epoch(step, per_epoch, total):
    return (np.ceil(step / per_epoch) - 1) * per_epoch + 1


def _epoch_begun(step, per_epoch, total):
    return (np.ceil(step / per_epoch) - 1) * per_epoch


def _warm_up_in_epochs(i):
    per_epoch = -(-i["examples"] // i["batch_size"])
    return rates(i | {"warmup_steps": i["warmup_steps"] * per_epoch})


def _starts_again(i):
    """The schedule of one epoch, again in each."""
    return np.tile(rates(i | {"epochs": 1}), i["epochs"])


def _warm_up_shrunk(i):
    """A warm-up that is too long is cut to the run."""
    return rates(i | {"warmup_steps": _updates(i) - 1}) if not _peaks(i) else None


def _with_a_step_0(i):
    return np.concatenate([[0.0 if _warms_up(i) else i["peak"]], rates(i)])


def _keras_falls(step, warmup, total):
    return np.where(step >= total, 0.0, 1 - np.maximum(step - warmup, 0) / total)


judge_rates = MatchRows(
    rates,
    {
        "last-batch-left-out": rates_of(count=lambda n, epochs, size: epochs * (n // size)),
        "epochs-joined": rates_of(count=lambda n, epochs, size: -(-n * epochs // size)),
        "one-batch-more": rates_of(count=lambda n, epochs, size: epochs * (n // size + 1)),
        "one-epoch": rates_of(count=lambda n, epochs, size: -(-n // size)),
        "counts-examples": rates_of(count=lambda n, epochs, size: epochs * n),
        "one-update-more": _with_a_step_0,
        "counts-from-zero": rates_of(first=0),
        "counts-from-zero-guarded": rates_of(
            first=0, rising=lambda step, warmup: step / max(warmup, 1)
        ),
        "counts-from-two": rates_of(first=2),
        "per-epoch": only_if(lambda i: i["epochs"] > 1, rates_of(unit=_in_whole_epochs)),
        "per-epoch-first": only_if(lambda i: i["epochs"] > 1, rates_of(unit=_first_of_the_epoch)),
        "per-epoch-begun": only_if(lambda i: i["epochs"] > 1, rates_of(unit=_epoch_begun)),
        "starts-again": only_if(lambda i: i["epochs"] > 1, _starts_again),
        "warm-up-in-epochs": only_if(_warms_up, _warm_up_in_epochs),
        "no-warm-up": only_if(
            lambda i: _warms_up(i) and _peaks(i),
            rates_of(rising=lambda step, warmup: np.full(len(step), np.inf)),
        ),
        "decay-alone": only_if(
            lambda i: _warms_up(i) and _peaks(i), turned(rates, given=lambda i: {"warmup_steps": 0})
        ),
        "stays-at-the-peak": only_if(
            _peaks, rates_of(combine=lambda up, down: np.minimum(up, 1.0))
        ),
        "only-rises": only_if(
            lambda i: _warms_up(i) and _peaks(i), rates_of(combine=lambda up, down: up)
        ),
        "product-of-both": only_if(
            lambda i: _warms_up(i) and _peaks(i),
            rates_of(
                combine=lambda up, down: np.minimum(up, 1) * down,
                falling=lambda step, warmup, total: (total - step) / total,
            ),
        ),
        "falls-from-the-start": only_if(
            lambda i: _warms_up(i) and _peaks(i),
            turned(
                rates,
                combine=lambda up, down: np.where(up < 1, up, down),
                falling=lambda step, warmup, total: (total - step) / total,
            ),
        ),
        "falls-over-the-run": only_if(
            lambda i: _warms_up(i) and _peaks(i),
            rates_of(falling=lambda step, warmup, total: (total - step) / total),
        ),
        "does-not-reach-zero": only_if(
            _peaks,
            rates_of(falling=lambda step, warmup, total: (total + 1 - step) / (total + 1 - warmup)),
        ),
        "fall-too-slow": only_if(
            lambda i: _warms_up(i) and _peaks(i), rates_of(falling=_keras_falls)
        ),
        "larger-of-both": only_if(
            lambda i: _warms_up(i) and _peaks(i),
            lambda i: np.minimum(rates(i, combine=np.maximum), np.inf),
        ),
        "warm-up-shrunk": _warm_up_shrunk,
        "warm-up-shrunk-to-the-run": only_if(
            lambda i: i["warmup_steps"] > _updates(i),
            turned(rates, given=lambda i: {"warmup_steps": _updates(i)}),
        ),
        "zero-in-a-long-warm-up": only_if(lambda i: not _peaks(i), lambda i: np.zeros(_updates(i))),
        "negative-in-a-long-warm-up": only_if(
            lambda i: not _peaks(i),
            rates_of(
                falling=lambda step, warmup, total: (total - step) / (total - warmup),
            ),
        ),
        "peak-left-out": turned(rates, then=lambda r, i: r / i["peak"]),
    },
    dtype=None,
    tolerance=2e-6,
)


def runs(lowest, highest, epochs, size, warmup, uneven=True):
    """A run's plan; `warmup` is a share of its updates, the last batch is less than half full."""

    def inputs(rng):
        n = int(rng.integers(lowest, highest)) * size + (
            int(rng.integers(1, size // 2)) if uneven else 0
        )
        total = epochs * -(-n // size)
        return {
            "examples": n,
            "epochs": epochs,
            "batch_size": size,
            "warmup_steps": round(warmup * total),
            "peak": float(rng.choice([0.4, 0.5, 0.8, 2.0])),
        }

    return inputs


LONG_WARM_UP = rf"(?i:warm.?up)|{OF_DIVISION}|{OF_SHAPES}"


def rates_probe(title, points, *run, **more):
    inputs = runs(*run, **{k: more.pop(k) for k in ("uneven",) if k in more})
    names = ("examples", "epochs", "batch_size", "peak", "warmup_steps")
    return Probe(title, points, inputs, lambda i: call(*(i[n] for n in names)), judge_rates, **more)


SCHEDULE = exercise(
    "fine_tuning.schedule",
    defines="planned_rates",
    may_not_call=RATES,
    probes=(
        rates_probe("one epoch of full batches, no warm-up", 0.5, 5, 9, 1, 8, 0, uneven=False),
        rates_probe("one epoch with a warm-up", 1, 20, 30, 1, 4, 0.3, uneven=False),
        rates_probe("a last batch that is not full", 0.5, 6, 12, 1, 16, 0.25),
        rates_probe("three epochs", 1, 11, 20, 3, 16, 0.1),
        rates_probe(
            "a warm-up that is longer than the run",
            0.5,
            4,
            9,
            3,
            8,
            2.5,
            if_raises={"long-warm-up": LONG_WARM_UP},
        ),
        rates_probe(
            "a warm-up as long as the run",
            0.5,
            4,
            9,
            2,
            8,
            1.0,
            if_raises={"long-warm-up": LONG_WARM_UP},
        ),
        rates_probe("fewer examples than a batch", 0.5, 0, 1, 1, 8, 0),
    ),
)


# One update of AdamW

SLIPS_OF_DECAY = {
    "decays-all": lambda name, w: True,
    "decays-nothing": lambda name, w: False,
    "decays-norms": lambda name, w: not name.endswith("bias"),
    "decays-biases": lambda name, w: "LayerNorm" not in name or name.endswith("bias"),
    "decays-norm-shifts": lambda name, w: w.ndim > 1 or name.endswith("LayerNorm.bias"),
    "spares-embeddings": lambda name, w: w.ndim > 1 and not name.startswith("embeddings."),
    "decays-the-wrong-ones": lambda name, w: w.ndim < 2,
    "decays-by-name": lambda name, w: "bias" not in name and "LayerNorm" not in name,
    "decays-weights-by-name": lambda name, w: w.ndim > 1 and name.endswith(".weight"),
    "decays-all-named-weight": lambda name, w: name.endswith(".weight"),
    "spares-one-row": lambda name, w: w.ndim > 1 and min(w.shape) > 1,
}
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8


def adamw(
    i,
    *,
    decays=lambda name, w: w.ndim > 1,
    decay="decoupled",
    first=lambda m, g: BETA_1 * m + (1 - BETA_1) * g,
    second=lambda v, g: BETA_2 * v + (1 - BETA_2) * g**2,
    correct=lambda m, v, t: (m / (1 - BETA_1**t), v / (1 - BETA_2**t)),
    divide=lambda m, v: m / (np.sqrt(v) + EPSILON),
    sign=1,
):
    """One update of every weight, with a knob for each part."""
    t, rate, coefficient = i["step"], i["learning_rate"], i["weight_decay"]
    updated = {}, {}, {}
    for name in i["weights"]:
        w, g, m, v = (i[k][name].astype("float64") for k in ("weights", "gradients", "m", "v"))
        share = coefficient if decays(name, w) else 0.0
        if decay == "in the gradient":
            g = g + share * w
        m, v = first(m, g), second(v, g)
        m_hat, v_hat = correct(m, v, t)
        moved = divide(m_hat, v_hat)
        if decay == "decoupled":
            new = w - rate * (sign * moved + share * w)
        elif decay == "without the rate":
            new = w - rate * sign * moved - share * w
        elif decay == "after":
            new = (w - rate * sign * moved) * (1 - rate * share)
        elif decay == "grows":
            new = w - rate * (moved - share * w)
        elif decay == "signs":
            new = w - rate * (moved + share * np.sign(w))
        elif decay == "divided":
            new = w - rate * divide(m_hat + share * w, v_hat)
        else:
            new = w - rate * sign * moved
        for place, value in zip(updated, (new, m, v), strict=True):
            place[name] = value
    return updated


def _decay_lost(i):
    """Nothing decays behind the first vector, for which the coefficient itself was set to 0."""
    names = list(i["weights"])
    vectors = [at for at, name in enumerate(names) if i["weights"][name].ndim < 2]
    spared = set(names[min(vectors, default=len(names)) :])
    return adamw(i, decays=lambda name, w: name not in spared)


def _only_moved_by_gradients(i):
    """A weight stays where its gradient is 0."""
    new, m, v = adamw(i)
    kept = {n: np.where(i["gradients"][n] == 0, i["weights"][n], w) for n, w in new.items()}
    return kept, m, v


adamw_of = turning(adamw)


def _decays(i):
    return i["weight_decay"] > 0


def _has_memory(i):
    return any(np.abs(m).max() > 0 for m in i["m"].values())


def _later(i):
    return i["step"] > 1


def _corrected_memory(i):
    w, m, v = adamw(i)
    t = i["step"]
    return (
        w,
        {n: x / (1 - BETA_1**t) for n, x in m.items()},
        {n: x / (1 - BETA_2**t) for n, x in v.items()},
    )


judge_update = Match(
    adamw,
    {
        name: only_if(lambda i: _decays(i) and len(i["weights"]) > 1, adamw_of(decays=decays))
        for name, decays in SLIPS_OF_DECAY.items()
    }
    | {
        "decay-lost": _decay_lost,
        "zero-gradients-skipped": _only_moved_by_gradients,
        "decay-in-the-gradient": only_if(_decays, adamw_of(decay="in the gradient")),
        "decay-in-all-gradients": only_if(
            lambda i: _decays(i) and len(i["weights"]) > 1,
            adamw_of(decay="in the gradient", decays=lambda name, w: True),
        ),
        "decay-without-the-rate": only_if(_decays, adamw_of(decay="without the rate")),
        "decay-after": only_if(_decays, adamw_of(decay="after")),
        "decay-grows": only_if(_decays, adamw_of(decay="grows")),
        "decay-of-signs": only_if(_decays, adamw_of(decay="signs")),
        "decay-divided": only_if(_decays, adamw_of(decay="divided")),
        "no-bias-correction": adamw_of(correct=lambda m, v, t: (m, v)),
        "only-first-corrected": adamw_of(correct=lambda m, v, t: (m / (1 - BETA_1**t), v)),
        "only-second-corrected": adamw_of(correct=lambda m, v, t: (m, v / (1 - BETA_2**t))),
        "corrected-as-at-first": only_if(
            _later, adamw_of(correct=lambda m, v, t: (m / (1 - BETA_1), v / (1 - BETA_2)))
        ),
        "corrected-one-late": adamw_of(
            correct=lambda m, v, t: (m / (1 - BETA_1 ** (t + 1)), v / (1 - BETA_2 ** (t + 1)))
        ),
        "corrected-one-early": only_if(
            _later,
            adamw_of(
                correct=lambda m, v, t: (m / (1 - BETA_1 ** (t - 1)), v / (1 - BETA_2 ** (t - 1)))
            ),
        ),
        "corrected-memory-kept": _corrected_memory,
        "memory-not-used": only_if(
            _has_memory,
            adamw_of(first=lambda m, g: (1 - BETA_1) * g, second=lambda v, g: (1 - BETA_2) * g**2),
        ),
        "betas-exchanged": adamw_of(
            first=lambda m, g: BETA_2 * m + (1 - BETA_2) * g,
            second=lambda v, g: BETA_1 * v + (1 - BETA_1) * g**2,
        ),
        "beta-on-the-gradient": adamw_of(
            first=lambda m, g: (1 - BETA_1) * m + BETA_1 * g,
            second=lambda v, g: (1 - BETA_2) * v + BETA_2 * g**2,
        ),
        "second-set-at-first": lambda i: (
            adamw(i) if _later(i) else adamw(i, second=lambda v, g: g**2)
        ),
        "gradient-not-squared": adamw_of(second=lambda v, g: BETA_2 * v + (1 - BETA_2) * np.abs(g)),
        "no-root": adamw_of(divide=lambda m, v: m / (v + EPSILON)),
        "not-divided": adamw_of(divide=lambda m, v: m),
        # Both show where gradients are small, and contradict what fails elsewhere.
        "epsilon-in-the-root": adamw_of(divide=lambda m, v: m / np.sqrt(v + EPSILON)),
        "no-epsilon": adamw_of(
            divide=lambda m, v: np.divide(m, np.sqrt(v), where=v > 0, out=0 * m)
        ),
        "uphill": adamw_of(sign=-1),
        "plain-gradient": lambda i: (
            {n: w - i["learning_rate"] * i["gradients"][n] for n, w in i["weights"].items()},
            adamw(i)[1],
            adamw(i)[2],
        ),
    },
    labels=("weights", "m", "v"),
    dtype=None,
    tolerance=1e-6,
)


def sets_of_weights(names, step, weight_decay=0.01, rate=1e-3, small=False):
    """Weights under these names, their gradients, and what Adam remembers after `step` - 1 updates.

    Names are those of Hugging Face's checkpoints, and some of another kind. A shape is drawn for
    each: two axes where the name is of a kernel or a table, else one. The query's kernel has one
    row; the table's first row and the classifier have a gradient of 0. The dicts have the names in
    orders of their own.
    """

    def inputs(rng):
        weights, gradients, m, v = {}, {}, {}, {}
        for name in names:
            vector = name.endswith((".bias", ".scale", ".gate")) or "LayerNorm" in name
            shape = (3,) if vector else (1 if name == QUERY else int(rng.integers(2, 4)), 3)
            weights[name] = rng.choice([-1, 1], shape) * rng.uniform(0.5, 2, shape)
            scale = 1e-8 if small else 1.0
            gradients[name] = rng.choice([-1, 1], shape) * rng.uniform(0.2, 3, shape) * scale
            if name in (TABLE, CLASSIFIER):
                gradients[name][: 1 if name == TABLE else None] = 0
            seen = step > 1
            m[name] = rng.normal(size=shape) * seen
            v[name] = rng.uniform(0.1, 2, shape) * seen
        gradients, v = (dict(reversed(part.items())) for part in (gradients, v))
        parts = {"weights": weights, "gradients": gradients, "m": m, "v": v}
        return parts | {"step": step, "learning_rate": rate, "weight_decay": weight_decay}

    return inputs


UPDATED = ("weights", "gradients", "m", "v", "step", "learning_rate", "weight_decay")
LAYER = "encoder.layer.0."
KERNEL, BIAS = f"{LAYER}intermediate.dense.weight", f"{LAYER}intermediate.dense.bias"
SCALE, SHIFT = f"{LAYER}output.LayerNorm.weight", f"{LAYER}output.LayerNorm.bias"
TABLE = "embeddings.word_embeddings.weight"
QUERY, CLASSIFIER = f"{LAYER}attention.self.query.weight", "classifier.kernel"
# Vectors whose names have neither "bias" nor "LayerNorm".
OTHER, GATE = f"{LAYER}attention.scale", f"{LAYER}output.gate"


def update_probe(title, points, *given, **more):
    return Probe(
        title,
        points,
        sets_of_weights(*given, **more),
        lambda i: call(*(i[name] for name in UPDATED)),
        judge_update,
        in_place=True,
    )


UPDATE = exercise(
    "fine_tuning.adamw",
    defines="adamw_update",
    may_not_call=OPTIMIZERS,
    probes=(
        update_probe("a first update without decay", 1, (KERNEL,), 1, weight_decay=0.0),
        update_probe("a later update without decay", 1, (KERNEL,), 7, weight_decay=0.0),
        update_probe("a kernel decays", 1, (KERNEL,), 4, weight_decay=0.1, rate=0.05),
        update_probe(
            "which weights decay",
            1.5,
            (TABLE, BIAS, KERNEL, SCALE, SHIFT, OTHER, QUERY, GATE, CLASSIFIER),
            3,
            weight_decay=0.1,
            rate=0.05,
        ),
        update_probe("very small gradients", 0.5, (KERNEL, BIAS), 1, small=True),
    ),
)
