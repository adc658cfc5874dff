"""What a draw may take: probes of an exercise of lesson 06, temperature, top-k and top-p.

A part of `decoding.py`, which would be longer than a sitting with it.
"""

import numpy as np

from course.checks.declaration import Probe, call, draw_until
from course.checks.judges import Match
from course.checks.references import turned, turning
from course.checks.texts import exercise

MAY_NOT_CALL = tuple(
    f"course.decoding.{name}"
    for name in ("greedy", "sample", "beam_search", "top_k", "top_p", "_largest", "_draw")
)


def all_apart(*answers):
    """Whether no two of these give the same numbers, as far as float32 can tell."""

    def parts(i):
        given = [answer(i) for answer in answers]
        return all(np.abs(a - b).max() > 1e-3 for n, a in enumerate(given) for b in given[:n])

    return parts


# 4. Temperature, top-k, top-p


def softmax(logits, axis=-1):
    with np.errstate(all="ignore"):
        e = np.exp(logits - logits.max(axis, keepdims=True))
        return e / e.sum(axis, keepdims=True)


def keep_k(logits, k, more=0, sign=1):
    edge = np.sort(sign * logits, -1)[:, ::-1][:, min(k + more, logits.shape[-1]) - 1][:, None]
    return np.where(sign * logits >= edge, logits, -np.inf)


def keep_p(logits, p, *, crossing=True, order=-1, sort=True, more=0):
    q = softmax(logits)
    at = (
        np.argsort(order * q, -1, kind="stable")
        if sort
        else np.tile(np.arange(q.shape[1]), (len(q), 1))
    )
    ordered = np.take_along_axis(q, at, -1)
    total = np.cumsum(ordered, -1)
    keep_sorted = (total - ordered < p) if crossing else (total <= p)
    if more:
        keep_sorted = np.arange(q.shape[1]) < keep_sorted.sum(-1, keepdims=True) + more
    keep = np.zeros_like(keep_sorted)
    np.put_along_axis(keep, at, keep_sorted, -1)
    return np.where(keep, logits, -np.inf)


def filtered(
    i,
    *,
    temper=lambda logits, t: logits / t,
    late=False,
    p_first=False,
    k_more=0,
    k_sign=1,
    renormalise=True,
    **knobs,
):
    """Temperature, then top-k, then top-p, then the softmax; with a knob for each slip."""
    logits, t, k, p = (i.get(n) for n in ("logits", "temperature", "k", "p"))
    logits, t = logits.astype("float64"), t or 1.0
    z = logits if late else temper(logits, t)
    before = softmax(z)

    def top_k(z):
        return z if k is None else keep_k(z, k, k_more, k_sign)

    def top_p(z):
        return z if p is None else keep_p(z, p, **knobs)

    z = top_k(top_p(z)) if p_first else top_p(top_k(z))
    if not renormalise:
        return np.where(np.isfinite(z), before, 0)
    return softmax(temper(z, t) if late else z)


filtered_of = turning(filtered)


def _only_with(*names):
    """A suspect that is silent on probes without these settings."""

    def wrap(**knobs):
        return lambda i: filtered(i, **knobs) if all(i.get(n) for n in names) else None

    return wrap


def _sorted_back(i):
    return -np.sort(-filtered(i), -1)


def _above_p(i):
    """Each probability by itself against p."""
    q = softmax(i["logits"].astype("float64") / (i.get("temperature") or 1.0))
    kept = np.where(q >= i["p"], q, 0)
    return kept / kept.sum(-1, keepdims=True)


def _whole_batch(i):
    logits = i["logits"]
    if len(logits) == 1:
        return None
    flat = filtered(i | {"logits": logits.reshape(1, -1)}).reshape(logits.shape)
    return flat


def _one_edge(i):
    """Top-k with one edge for all rows: as many are kept, but not in each row."""
    if len(i["logits"]) == 1 or not i.get("k") or i.get("p"):
        return None
    logits = i["logits"].astype("float64") / (i.get("temperature") or 1.0)
    edge = np.sort(logits, axis=None)[::-1][i["k"] * len(logits) - 1]
    return softmax(np.where(logits >= edge, logits, -np.inf))


def _first_rows_cut(i):
    """As many ids are kept in each row as in the first."""
    logits = i["logits"].astype("float64") / (i.get("temperature") or 1.0)
    if len(logits) == 1 or not i.get("p") or i.get("k"):
        return None
    count = int((filtered(i)[0] > 0).sum())
    return softmax(keep_k(logits, count))


def _crossing_cut(i):
    """One id fewer; where none is left, the likeliest, as everybody would keep at least that."""
    kept = filtered(i, crossing=False)
    lone = np.eye(kept.shape[-1])[i["logits"].argmax(-1)]
    return np.where(np.isfinite(kept), kept, lone)


with_t, with_k, with_p = _only_with("temperature"), _only_with("k"), _only_with("p")

judge_filtered = Match(
    filtered,
    {
        "temperature-multiplied": with_t(temper=lambda z, t: z * t),
        "temperature-ignored": with_t(temper=lambda z, t: z),
        "temperature-on-probabilities": with_t(temper=lambda z, t: softmax(z) / t),
        "temperature-last": _only_with("temperature", "p")(late=True),
        "one-too-many": with_k(k_more=1),
        "one-too-few": turned(filtered, k_more=-1, when=lambda i: i.get("k") and i["k"] > 1),
        "k-least-likely": with_k(k_sign=-1),
        "crossing-cut": lambda i: _crossing_cut(i) if i.get("p") else None,
        "p-one-too-many": with_p(more=1),
        "above-p": lambda i: _above_p(i) if i.get("p") and not i.get("k") else None,
        "p-not-sorted": with_p(sort=False),
        "p-from-the-least": with_p(order=1),
        "p-before-k": _only_with("k", "p")(p_first=True),
        "not-renormalised": turned(
            filtered, renormalise=False, when=lambda i: i.get("k") or i.get("p")
        ),
        "sorted": _sorted_back,
        "logits-returned": turned(filtered, then=lambda r, i: np.log(r)),
        "whole-batch": _whole_batch,
        "one-edge-for-all": _one_edge,
        "cut-of-the-first-row": _first_rows_cut,
    },
    mends={"overflow": lambda i, got: filtered(i) if np.isnan(got).any() else None},
    dtype=None,
)


def distributions(batch=1, size=6, p=None, parts=lambda i: True, spread=1.5, shift=0.0, **settings):
    """Logits of which the likeliest does not come first; p is drawn inside a step of the sum.

    `spread`: how far they lie from 0, a number or one for each row; `shift`: added to each row more
    than to the one before.
    """
    spread = np.broadcast_to(spread, batch)[:, None]

    def draw(rng):
        logits = rng.permuted(
            spread * np.linspace(-1, 1, size) + rng.uniform(-0.1, 0.1, (batch, size)), axis=1
        )
        logits = logits + shift * np.arange(batch)[:, None]
        drawn = {"logits": logits.astype("float32")} | settings
        return drawn | ({} if p is None else {"p": float(rng.uniform(*p))})

    def apart(i):
        if p is not None:
            z = i["logits"].astype("float64") / settings.get("temperature", 1.0)
            z = keep_k(z, settings["k"]) if "k" in settings else z
            steps = np.cumsum(-np.sort(-softmax(z), -1), -1)
            if np.abs(steps - i["p"]).min() < 0.02:
                return False
        return (i["logits"].argmax(-1) != 0).all() and parts(i)

    return draw_until(draw, apart)


def call_filtered(i):
    return call(i["logits"], **{n: i[n] for n in ("temperature", "k", "p") if n in i})


def filtered_probe(title, points, inputs):
    return Probe(title, points, inputs, call_filtered, judge_filtered)


FILTERED = exercise(
    "decoding.filtered",
    defines="next_distribution",
    may_not_call=MAY_NOT_CALL,
    probes=(
        filtered_probe("temperature", 0.25, distributions(temperature=0.5)),
        filtered_probe("a temperature near 0", 0.25, distributions(temperature=0.001)),
        filtered_probe("the k likeliest", 0.5, distributions(k=3)),
        filtered_probe("the id that crosses p is kept", 1.5, distributions(p=(0.6, 0.8))),
        filtered_probe("p below the largest probability", 0.5, distributions(p=(0.05, 0.2))),
        filtered_probe(
            "all three, several rows",
            1,
            distributions(
                batch=3,
                size=9,
                p=(0.5, 0.8),
                temperature=1.7,
                k=5,
                parts=all_apart(
                    filtered,
                    filtered_of(p_first=True),
                    filtered_of(late=True),
                    _crossing_cut,
                    filtered_of(k_more=-1),
                ),
            ),
        ),
        filtered_probe(
            "k, and rows on different levels", 0.5, distributions(batch=2, k=2, shift=1.0)
        ),
        filtered_probe(
            "p, a flat row and a peaked one",
            0.5,
            distributions(
                batch=2,
                p=(0.75, 0.85),
                spread=(0.4, 3.0),
                parts=all_apart(filtered, _first_rows_cut),
            ),
        ),
        filtered_probe("nothing is set: the softmax", 0, distributions(batch=2)),
    ),
)
