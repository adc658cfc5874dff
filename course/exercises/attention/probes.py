"""Exercises of lesson 02, attention: probes and the mistakes they find; text.toml has words.

The references are float64 NumPy with one knob per slip: a mistake is the reference with a knob
turned, so that what a mistake returns is never written twice.
"""

import numpy as np

from course.checks.declaration import OF_CONFIGS, Probe, call, step, tensor
from course.checks.judges import Match, only_if
from course.checks.references import of_inputs, turned, turning
from course.checks.texts import exercise, lesson, questions

LESSON = lesson("attention")

MAY_NOT_CALL = (
    "course.attention.scaled_dot_product_attention",
    "course.attention.MultiHeadAttention",
    "keras.ops.dot_product_attention",
    "keras.layers.MultiHeadAttention",
    "keras.layers.GroupedQueryAttention",
    "keras.layers.Attention",
    "keras.layers.AdditiveAttention",
)


def softmax(scores, axis=-1):
    """Softmax in float64; -inf counts as no weight, and a row of nothing else is NaN."""
    scores = np.asarray(scores, "float64")
    exponentials = np.exp(scores - np.max(scores, axis=axis, keepdims=True))
    return exponentials / exponentials.sum(axis=axis, keepdims=True)


def swap(x):
    return np.swapaxes(x, -1, -2)


def attend(query, key, value, mask=None, *, divide_by=None, weigh=softmax, masking="right"):
    """softmax(Q Kᵀ / √d_k) V and the weights, with a knob for each slip.

    Args:
        divide_by: what the scores are divided by, √d_k if None.
        weigh: what turns scores into weights.
        masking: "right", or how it goes wrong.
    """
    query, key, value = (np.asarray(x, "float64") for x in (query, key, value))
    scores = query @ swap(key) / (np.sqrt(query.shape[-1]) if divide_by is None else divide_by)
    if mask is None:
        weights = weigh(scores)
        return weights @ value, weights
    mask = np.broadcast_to(mask, scores.shape)
    if masking == "added":
        weights = weigh(scores + mask)
    elif masking == "multiplied":
        weights = weigh(scores * mask)
    elif masking == "after":
        weights = weigh(scores) * mask
    elif masking == "nan":
        weights = weigh(np.where(mask, scores, -np.inf))
    elif masking == "uniform":
        weights = weigh(np.where(mask, scores, -1e9))
    elif masking == "small":
        weights = np.where(mask.any(-1, keepdims=True), weigh(np.where(mask, scores, -10.0)), 0)
    elif masking == "zero score":
        weights = np.where(mask.any(-1, keepdims=True), weigh(np.where(mask, scores, 0.0)), 0)
    else:
        weights = np.where(mask, weigh(np.where(mask, scores, -1e9)), 0.0)
    return weights @ value, weights


def draw(*, query=(2, 4), key=(3, 4), value=(3, 5), dtype="float32", scale=1.0):
    """Inputs of a probe: normal numbers of these shapes."""

    def inputs(rng):
        shapes = {"query": query, "key": key, "value": value}
        arrays = {n: (scale * rng.normal(size=s)).astype(dtype) for n, s in shapes.items()}
        return arrays | ({} if dtype == "float32" else {"dtype": dtype, "tolerance": 5e-3})

    return inputs


def qkv(inputs):
    return inputs["query"], inputs["key"], inputs["value"]


def attend_inputs(i, *, mask=None, order=None, **knobs):
    """`attend` of a probe's inputs, with knobs for the mask and for which array is which."""
    arrays = qkv(i) if order is None else order(*qkv(i))
    mask = (lambda i: i.get("mask")) if mask is None else mask
    return attend(*arrays, mask(i), **knobs)


attend_of = turning(attend_inputs)


# 1. Scores and weights


def by_hand(rng):
    """The example of the text, with keys in an order of their own."""
    order = rng.permutation(3)
    return {
        "query": np.array([[1, 0]], "float32"),
        "key": np.array([[1, 0], [0, 1], [1, 1]], "float32")[order],
        "value": np.array([[10], [20], [60]], "float32")[order],
    }


def far_apart(rng):
    """A query with a score above 300, and one whose scores are all near 0."""
    drawn = draw()(rng)
    drawn["key"] *= 25 / np.linalg.norm(drawn["key"], axis=-1, keepdims=True)
    drawn["query"][0] = drawn["key"][0]
    drawn["query"][1] *= 0.1
    return drawn


def naive_softmax(scores):
    """exp divided by its sum, in float32 as the student computes it: large scores overflow."""
    exponentials = np.exp(np.asarray(scores, "float32"))
    return (exponentials / exponentials.sum(-1, keepdims=True)).astype("float64")


def one_maximum(scores):
    """Softmax in float32 that subtracts one maximum from all rows: a row far below it is 0/0."""
    exponentials = np.exp((scores - scores.max()).astype("float32"))
    return (exponentials / exponentials.sum(-1, keepdims=True)).astype("float64")


def over_everything(scores):
    flat = scores.reshape(*scores.shape[:-2], -1)
    return softmax(flat).reshape(scores.shape)


def _width(i):
    return i["query"].shape[-1]


SINGLE_SUSPECTS = {
    "no-scaling": attend_of(divide_by=1.0),
    "divided-by-d-k": attend_of(divide_by=of_inputs(_width)),
    "multiplied-by-root": attend_of(divide_by=of_inputs(lambda i: _width(i) ** -0.5)),
    "scaled-by-length": attend_of(divide_by=of_inputs(lambda i: i["key"].shape[-2] ** 0.5)),
    "scaled-by-query-length": attend_of(divide_by=of_inputs(lambda i: i["query"].shape[-2] ** 0.5)),
    "half-of-d-k": attend_of(divide_by=of_inputs(lambda i: _width(i) / 2)),
    "scaled-by-d-v": attend_of(divide_by=of_inputs(lambda i: i["value"].shape[-1] ** 0.5)),
    "scaled-after-softmax": attend_of(
        divide_by=1.0,
        weigh=of_inputs(lambda i: lambda scores: softmax(scores) / _width(i) ** 0.5),
    ),
    "softmax-over-queries": attend_of(weigh=lambda s: softmax(s, axis=-2)),
    "softmax-over-everything": attend_of(weigh=over_everything),
    "no-softmax": attend_of(weigh=lambda s: s),
    "divided-by-sum": attend_of(weigh=lambda s: s / s.sum(-1, keepdims=True)),
    "equal-weights": attend_of(weigh=lambda s: softmax(np.zeros_like(s))),
    "overflow": attend_of(weigh=naive_softmax),
    "one-maximum": attend_of(weigh=one_maximum),
    "mean-of-keys": attend_of(order=lambda q, k, v: (q, k, k)),
    "scores-from-values": attend_of(order=lambda q, k, v: (q, v, v)),
    "query-and-key-swapped": attend_of(order=lambda q, k, v: (k, q, v)),
    "order-of-results": attend_of(then=lambda result, i: result[::-1]),
    "weights-not-returned": attend_of(then=lambda result, i: result[0]),
    "scores-returned": lambda i: (
        attend_inputs(i)[0],
        attend_inputs(i, weigh=lambda s: s)[1],
    ),
}

judge_single = Match(attend_inputs, SINGLE_SUSPECTS, labels=("output", "weights"), tolerance=2e-5)


def call_single(inputs):
    return call(*(tensor(array) for array in qkv(inputs)))


def call_single_with_arrays(inputs):
    return call(*qkv(inputs))


def any_dtype(inputs):
    """The same inputs, where the dtype of the result is not asked for."""
    return lambda rng: inputs(rng) | {"dtype": None}


def single(title, points, inputs, plan=call_single, **more):
    return Probe(title, points, inputs, plan, judge_single, **more)


SCALED_DOT_PRODUCT = exercise(
    "attention.scaled_dot_product",
    defines="scaled_dot_product_attention",
    may_not_call=MAY_NOT_CALL,
    probes=(
        single("one key only: its value comes back", 0.25, draw(key=(1, 4), value=(1, 5))),
        single("the example worked by hand", 1, by_hand),
        single("two queries, three keys, d_k = 16", 1, draw(query=(2, 16), key=(3, 16))),
        single("as many queries as keys, d_v = d_k", 0.5, draw(query=(3, 4), value=(3, 4))),
        single(
            "a batch of sentences with several heads",
            1,
            draw(query=(2, 3, 4, 8), key=(2, 3, 5, 8), value=(2, 3, 5, 6)),
            if_raises="one-sentence-only",
        ),
        single("scores in the hundreds do not overflow", 0.5, far_apart),
        single("float16 in, float16 out", 0.5, draw(dtype="float16")),
        # A tensor cannot change; what `query /= ...` does to an array, its owner sees.
        single(
            "NumPy arrays are taken too, and stay as they were",
            0.25,
            any_dtype(draw()),
            call_single_with_arrays,
        ),
    ),
)


# 2. Masks


def may_attend(ids, causal, pad_id=0, *, inside=np.less_equal, padding="keys"):
    """The mask, with knobs: how causality compares key with query, and where padding goes."""
    batch, length = ids.shape
    position = np.arange(length)
    real = ids != pad_id
    allowed = {
        "keys": real[:, None, :],
        "queries": real[:, :, None],
        "both": real[:, None, :] & real[:, :, None],
        "either": real[:, None, :] | real[:, :, None],
        "none": np.ones((batch, 1, 1), bool),
        "first": np.repeat(real[:1, None, :], batch, 0),
    }[padding]
    allowed = np.broadcast_to(allowed, (batch, length, length))
    return allowed & inside(position[None, :], position[:, None]) if causal else allowed.copy()


def real_tokens(find):
    """A suspect with its own idea of which tokens are real: `find(ids, pad_id)`, booleans."""

    def given(i):
        return {"ids": np.where(find(i["ids"], i.get("pad_id", 0)), 1, 0), "pad_id": 0}

    return masked(given=given)


def mask_of_inputs(i, *, padding_id=None, causal=None, **knobs):
    """`may_attend` of a probe's inputs, with two knobs more: what counts as padding, causality."""
    pad_id = i.get("pad_id", 0) if padding_id is None else padding_id
    return may_attend(i["ids"], i["causal"] if causal is None else causal, pad_id, **knobs)


masked = turning(mask_of_inputs)


def _or_instead_of_and(i):
    causal = may_attend(i["ids"], True, padding="none")
    padding = may_attend(i["ids"], False, i.get("pad_id", 0))
    return causal | padding if i["causal"] else padding


judge_mask = Match(
    mask_of_inputs,
    {
        "inverted": masked(then=lambda mask, i: ~mask),
        "not-boolean": masked(then=lambda mask, i: mask.astype("float32")),
        "minus-infinity-mask": [
            masked(then=lambda mask, i: np.where(mask, 0.0, -1e9)),
            masked(then=lambda mask, i: np.where(mask, 0.0, -np.inf)),
            masked(then=lambda mask, i: np.where(mask, -np.inf, 0.0)),
            masked(then=lambda mask, i: np.where(mask, -1e9, 0.0)),
        ],
        "not-itself": only_if(lambda i: i["causal"], masked(inside=np.less)),
        "one-too-far": only_if(
            lambda i: i["causal"], masked(inside=lambda key, query: key <= query + 1)
        ),
        "future-only": only_if(lambda i: i["causal"], masked(inside=np.greater_equal)),
        "causal-ignored": masked(causal=False),
        "causal-always": masked(causal=True),
        "padding-on-queries": masked(padding="queries"),
        "padding-on-both": masked(padding="both"),
        "padding-ignored": masked(padding="none"),
        "padding-only-alone": masked(
            padding=of_inputs(lambda i: "none" if i["causal"] else "keys")
        ),
        "or-instead-of-and": _or_instead_of_and,
        "first-sentence-only": masked(padding="first"),
        "greater-than-pad": real_tokens(lambda ids, pad: ids > pad),
        "until-first-padding": real_tokens(lambda ids, pad: (ids != pad).cumprod(-1) > 0),
        "no-padding-hides-all": real_tokens(
            lambda ids, pad: np.arange(ids.shape[-1]) < (ids == pad).argmax(-1)[:, None]
        ),
        "diagonal-open": masked(then=lambda mask, i: mask | np.eye(i["ids"].shape[-1], dtype=bool)),
        "pad-id-ignored": masked(padding_id=0),
        "one-row-only": masked(then=lambda mask, i: mask[:, :1], when=lambda i: not i["causal"]),
        "no-batch": only_if(
            lambda i: i["causal"], lambda i: may_attend(i["ids"], True, padding="none")[0]
        ),
        "not-square": lambda i: i["ids"] != i.get("pad_id", 0),
    },
    labels=(),
)


def ids(*rows, causal, pad_id=0):
    """Token ids where 1 stands for a real token; the numbers themselves are drawn."""

    def inputs(rng):
        pattern = np.array(rows, bool)
        drawn = rng.integers(5, 100, pattern.shape)
        if pad_id:  # a 0 is a real token here
            drawn[:, 0] = 0
        return {
            "ids": np.where(pattern, drawn, pad_id).astype("int32"),
            "causal": causal,
            "pad_id": pad_id,
        }

    return inputs


def call_mask(inputs):
    more = {"pad_id": inputs["pad_id"]} if inputs["pad_id"] else {}
    return call(tensor(inputs["ids"]), causal=inputs["causal"], **more)


def call_mask_with_array(inputs):
    return call(inputs["ids"], causal=inputs["causal"], pad_id=inputs["pad_id"])


def mask_probe(title, points, *rows, causal, pad_id=0, plan=call_mask):
    return Probe(title, points, ids(*rows, causal=causal, pad_id=pad_id), plan, judge_mask)


MASKS = exercise(
    "attention.masks",
    defines="make_mask",
    probes=(
        mask_probe("causal, four real tokens", 1, [1, 1, 1, 1], causal=True),
        mask_probe("padding, no causality", 1, [1, 1, 1, 0], causal=False),
        mask_probe(
            "two sentences of different length", 0.5, [1, 1, 1, 0], [1, 1, 0, 0], causal=False
        ),
        mask_probe("causal and padding", 1, [1, 1, 1, 0], [1, 1, 1, 1], causal=True),
        mask_probe("padding at the front", 0.5, [0, 0, 1, 1, 1], causal=True),
        mask_probe("another pad_id", 0.5, [1, 1, 1, 0], causal=False, pad_id=3),
        mask_probe("one token", 0.25, [1], causal=True),
        mask_probe(
            "NumPy arrays are taken too, and stay as they were",
            0.25,
            [1, 1, 0],
            causal=False,
            pad_id=3,
            plan=call_mask_with_array,
        ),
    ),
)


# 3. A fully masked row


def with_mask(mask_rows, *, leading=(), dtype="float32", scale=1.0, broadcast=False):
    """Query, key, value and a mask; `mask_rows` is (query_length, key_length) of 0 and 1."""
    mask = np.array(mask_rows, bool)
    rows, columns = mask.shape

    def inputs(rng):
        drawn = draw(
            query=(*leading, rows, 4),
            key=(*leading, columns, 4),
            value=(*leading, columns, 3),
            dtype=dtype,
            scale=scale,
        )(rng)
        full = mask if broadcast or not leading else np.broadcast_to(mask, (*leading, *mask.shape))
        return drawn | {"mask": np.ascontiguousarray(full)}

    return inputs


def masking(kind, **knobs):
    return attend_of(masking=kind, **knobs)


def _weights_left(i):
    output, _ = masking("right")(i)
    return output, masking("uniform")(i)[1]


def _output_left(i):
    _, weights = masking("right")(i)
    return masking("uniform")(i)[0], weights


def _half_masked_zeroed(i):
    """Every query that misses any key at all is set to zero."""
    keep = np.broadcast_to(i["mask"], masking("right")(i)[1].shape).all(-1, keepdims=True)
    output, weights = masking("right")(i)
    return output * keep, weights * keep


def _all_nan_in_float16(i):
    """0 × -1e9 in float16, where -1e9 is -inf."""
    output, weights = masking("right")(i)
    return output * np.nan, weights * np.nan


def _empty_rows_zeroed(i, got):
    """What was returned, with the rows of queries that may look at nothing set to 0."""
    output, weights = got
    some = np.broadcast_to(i["mask"], weights.shape).any(-1, keepdims=True)
    return np.where(some, output, 0), np.where(some, weights, 0)


def _shared_out_after(i):
    """Hidden weights taken away after the softmax, and what is left made to sum to 1, float32."""
    weights = (attend(*qkv(i))[1] * i["mask"]).astype("float32")
    total = weights.sum(-1, keepdims=True)
    weights = weights / np.where(total > 0, total, 1)
    return weights @ i["value"], weights


def _zero_means_hidden(i):
    """A visible key is hidden too where its score happens to be 0."""
    scores = attend(*qkv(i), weigh=lambda s: s)[1]
    return attend(*qkv(i), i["mask"] & (scores != 0))


def score_of_zero(rng):
    """A visible key whose score is exactly 0, which is a score like any other."""
    drawn = draw(query=(2, 4), key=(3, 4), value=(3, 3))(rng)
    drawn["query"][:, 1:] = 0
    drawn["key"][1, 0] = 0
    return drawn | {"mask": np.array([[0, 1, 1], [1, 1, 0]], bool)}


def loud_hidden_key(rng):
    """A hidden key with a score of 400, and visible ones at -300 and a little less."""
    drawn = draw(query=(2, 4), key=(3, 4), value=(3, 3))(rng)
    drawn["query"] = np.array([[20, 0, 0, 0], [20, 0, 0, 0]], "float32")
    drawn["key"][:, 0] = 40, -30, -30 - rng.uniform(0.02, 0.1)
    return drawn | {"mask": np.array([[0, 1, 1], [0, 1, 1]], bool)}


judge_masked = Match(
    attend_inputs,
    {
        "shared-out-after": _shared_out_after,
        "zero-means-hidden": _zero_means_hidden,
        "mask-ignored": attend_of(mask=lambda i: None),
        "inverted": attend_of(mask=lambda i: ~i["mask"]),
        "inverted-nan": attend_of(mask=lambda i: ~i["mask"], masking="nan"),
        "inverted-uniform": attend_of(mask=lambda i: ~i["mask"], masking="uniform"),
        "mask-added": masking("added"),
        "mask-multiplied": masking("multiplied"),
        "zero-score": masking("zero score"),
        "small-number": masking("small"),
        "after-softmax": masking("after"),
        "nan-row": masking("nan"),
        "uniform-row": masking("uniform"),
        "weights-of-masked-row": _weights_left,
        "output-of-masked-row": _output_left,
        "partly-masked-zeroed": _half_masked_zeroed,
        "mask-transposed": only_if(
            lambda i: i["mask"].shape[-1] == i["mask"].shape[-2],
            attend_of(mask=lambda i: swap(i["mask"])),
        ),
        "no-scaling": masking("right", divide_by=1.0),
        "half-overflow": only_if(lambda i: i["query"].dtype == "float16", _all_nan_in_float16),
    },
    labels=("output", "weights"),
    mends={"row-not-zero": _empty_rows_zeroed},
)


def call_masked(inputs):
    return call(*(tensor(array) for array in qkv(inputs)), tensor(inputs["mask"]))


def call_masked_with_arrays(inputs):
    return call(*qkv(inputs), inputs["mask"])


def masked_probe(title, points, inputs, plan=call_masked, **more):
    return Probe(title, points, inputs, plan, judge_masked, **more)


TRIANGLE = np.tril(np.ones((4, 4), int))

FULLY_MASKED_ROW = exercise(
    "attention.fully_masked_row",
    defines="masked_attention",
    may_not_call=MAY_NOT_CALL,
    probes=(
        masked_probe("every key allowed: nothing changes", 0.25, with_mask([[1, 1, 1], [1, 1, 1]])),
        masked_probe("one key hidden", 0.5, with_mask([[1, 1, 0], [1, 1, 0]], scale=2.0)),
        masked_probe("a causal mask", 1, with_mask(TRIANGLE)),
        masked_probe(
            "a query with no key at all: exactly 0", 1.25, with_mask([[1, 1, 0], [0, 0, 0]])
        ),
        masked_probe(
            "a batch with several heads",
            0.5,
            with_mask([[1, 1, 0], [0, 1, 1]], leading=(2, 3)),
            if_raises="one-sentence-only",
        ),
        masked_probe("a visible key with a score of 0", 0.25, score_of_zero),
        masked_probe("a hidden key with a far larger score", 0.5, loud_hidden_key),
        masked_probe(
            "float16, one query with no key",
            0.5,
            with_mask([[1, 1, 0], [0, 0, 0]], dtype="float16"),
        ),
        masked_probe(
            "NumPy arrays are taken too, and stay as they were",
            0.25,
            any_dtype(with_mask([[1, 1, 0], [1, 0, 1]])),
            call_masked_with_arrays,
        ),
    ),
)


# 4. Multi-head attention by hand


WEIGHTS = ("w_q", "w_k", "w_v", "w_o")


def split(x, heads, how="right"):
    """(batch, length, d_model) → (batch, heads, length, d_head)."""
    batch, length, d_model = x.shape
    if how == "reshape":
        return x.reshape(batch, heads, length, d_model // heads)
    if how == "interleaved":  # head h takes every heads-th column
        return x.reshape(batch, length, d_model // heads, heads).transpose(0, 3, 1, 2)
    return x.reshape(batch, length, heads, d_model // heads).transpose(0, 2, 1, 3)


def merge(x, how="right"):
    """(batch, heads, length, d_head) → (batch, length, d_model)."""
    batch, heads, length, d_head = x.shape
    if how == "reshape":
        return x.reshape(batch, length, heads * d_head)
    if how == "interleaved":
        return x.transpose(0, 2, 3, 1).reshape(batch, length, heads * d_head)
    if how == "reversed":
        return x[:, ::-1].transpose(0, 2, 1, 3).reshape(batch, length, heads * d_head)
    if how == "swapped":  # length and d_head in place of heads and length
        return x.transpose(0, 1, 3, 2).reshape(batch, length, heads * d_head)
    if how == "mean":
        return np.tile(x.mean(1), heads)
    return x.transpose(0, 2, 1, 3).reshape(batch, length, heads * d_head)


def multi_head(
    i, *, splits="right", merges="right", value_split=None, scale="d_head", project=True, **knobs
):
    """Multi-head attention in float64, with a knob for each slip."""
    x = np.asarray(i["x"], "float64")
    w = [np.asarray(knobs.get(n, i[n]), "float64") for n in WEIGHTS]
    heads, d_model = i["num_heads"], x.shape[-1]
    divide = {
        "d_head": (d_model / heads) ** 0.5,
        "d_model": d_model**0.5,
        "none": 1.0,
        "d_head itself": d_model / heads,
    }[scale]
    mask = None if knobs.get("unmasked") or i.get("mask") is None else i["mask"][:, None]
    if mask is not None and knobs.get("no_heads_axis"):
        mask = i["mask"]
    parts = [split(x @ matrix, heads, splits) for matrix in w[:2]]
    parts.append(split(x @ w[2], heads, value_split or splits))
    weigh = knobs.get("weigh", softmax)
    output, _ = attend(
        *parts, mask, divide_by=divide, weigh=weigh, masking=knobs.get("masking", "right")
    )
    merged = merge(output, merges)
    return merged @ w[3] if project else merged


heads_of = turning(multi_head)


def _cut_before_projecting(i):
    """Each head sees its own columns of the words alone: kernels without their other blocks."""
    size = i["x"].shape[-1]
    block = np.arange(size) // (size // i["num_heads"])
    own = block[:, None] == block[None, :]
    return multi_head(i, **{name: i[name] * own for name in WEIGHTS[:3]})


MULTI_SUSPECTS = {
    "split-by-reshape": heads_of(splits="reshape"),
    "split-and-merge-by-reshape": heads_of(splits="reshape", merges="reshape"),
    "merge-by-reshape": heads_of(merges="reshape"),
    "split-interleaved": heads_of(splits="interleaved"),
    "merge-interleaved": heads_of(merges="interleaved"),
    "merge-reversed": heads_of(merges="reversed"),
    "merge-swapped": heads_of(merges="swapped"),
    "split-and-merge-interleaved": heads_of(splits="interleaved", merges="interleaved"),
    "cut-before-projecting": _cut_before_projecting,
    "heads-averaged": heads_of(merges="mean"),
    "one-head-only": turned(multi_head, given=lambda i: {"num_heads": 1}),
    "scaled-by-d-model": heads_of(scale="d_model"),
    "scaled-by-d-head-itself": heads_of(scale="d_head itself"),
    "no-scaling": heads_of(scale="none"),
    "softmax-over-queries": heads_of(weigh=lambda s: softmax(s, axis=-2)),
    "softmax-over-heads": heads_of(weigh=lambda s: softmax(s, axis=-3)),
    "no-output-projection": heads_of(project=False),
    "values-from-keys": turned(multi_head, w_v=of_inputs(lambda i: i["w_k"])),
    "keys-from-queries": turned(multi_head, w_k=of_inputs(lambda i: i["w_q"])),
    "values-not-projected": turned(multi_head, w_v=of_inputs(lambda i: np.eye(i["x"].shape[-1]))),
    "kernels-transposed": lambda i: multi_head(i, **{n: i[n].T for n in WEIGHTS}),
    "mask-ignored": heads_of(unmasked=True),
    "mask-without-heads": heads_of(no_heads_axis=True),
    "inverted": turned(
        multi_head, given=lambda i: {"mask": ~i["mask"]}, when=lambda i: "mask" in i
    ),
    "after-softmax": heads_of(masking="after"),
    "residual-added": turned(multi_head, then=lambda r, i: r + i["x"]),
}


def sentences(*, batch=1, length=3, d_model=4, num_heads=2, identity=(), mask=None):
    """Inputs of a multi-head probe; the kernels named in `identity` are the identity."""

    def inputs(rng):
        drawn = {"x": rng.normal(size=(batch, length, d_model)).astype("float32")}
        for name in WEIGHTS:
            kernel = rng.normal(size=(d_model, d_model)) / d_model**0.5
            drawn[name] = (np.eye(d_model) if name in identity else kernel).astype("float32")
        drawn["num_heads"] = num_heads
        if mask is not None:
            rows = np.array(mask, bool)
            drawn["mask"] = np.ascontiguousarray(np.broadcast_to(rows, (batch, length, length)))
        return drawn

    return inputs


# One for each sentence, as many as heads, so that a mask which lands on the heads shows; nowhere
# is a row all True or all False, so that an inverted mask is no more than that.
TWO_MASKS = [[[1, 0, 0], [1, 1, 0], [0, 1, 1]], [[1, 1, 0], [0, 1, 0], [1, 0, 1]]]

judge_multi = Match(multi_head, MULTI_SUSPECTS)


def call_multi(inputs):
    kernels = [tensor(inputs[name]) for name in WEIGHTS]
    more = {"attention_mask": tensor(inputs["mask"])} if "mask" in inputs else {}
    return call(tensor(inputs["x"]), *kernels, inputs["num_heads"], **more)


def multi_probe(title, points, inputs, **more):
    return Probe(title, points, inputs, call_multi, judge_multi, **more)


MULTI_HEAD = exercise(
    "attention.multi_head",
    defines="multi_head_attention",
    may_not_call=MAY_NOT_CALL,
    probes=(
        multi_probe(
            "one head, no projection",
            0.5,
            sentences(num_heads=1, identity=WEIGHTS),
        ),
        multi_probe("one head with its four projections", 1, sentences(num_heads=1)),
        multi_probe("two heads, no projection", 1.5, sentences(identity=WEIGHTS)),
        multi_probe("two heads, as many words as heads", 0.5, sentences(length=2)),
        multi_probe(
            "a batch, four heads",
            1,
            sentences(batch=3, length=5, d_model=12, num_heads=4),
            if_raises="one-sentence-only",
        ),
        multi_probe(
            "a mask for each sentence",
            1,
            sentences(batch=2, length=3, mask=TWO_MASKS),
        ),
        multi_probe("one word", 0.5, sentences(length=1, d_model=8, num_heads=4)),
    ),
)


# 5. Repair a broken head split

PATHS = {"w_q": "query_dense", "w_k": "key_dense", "w_v": "value_dense", "w_o": "output_dense"}


def plan_layer(inputs):
    kernels = {f"{PATHS[name]}.kernel": inputs[name] for name in WEIGHTS}
    x = tensor(inputs["x"])
    return {
        "steps": [
            step("call", args=[inputs["num_heads"], inputs["x"].shape[-1]], save="layer"),
            step("call", on="layer", args=[x], save="first"),
            step("weights", on="layer", values=kernels, save="set"),
            step("call", on="layer", args=[x], save="result"),
        ],
        "return": ["result"],
    }


def plan_round_trip(inputs):
    plan = plan_layer(inputs)
    plan["steps"] += [
        step("round_trip", on="layer", args=[tensor(inputs["x"])], save="copy"),
        step("call", on="copy", args=[tensor(inputs["x"])], save="result"),
    ]
    return plan


NEEDS_A_MASK = ("mask-ignored", "mask-without-heads", "inverted", "after-softmax")
judge_layer = Match(multi_head, {n: s for n, s in MULTI_SUSPECTS.items() if n not in NEEDS_A_MASK})


def layer_probe(title, points, inputs, plan=plan_layer, **more):
    return Probe(title, points, inputs, plan, judge_layer, **more)


REPAIR = exercise(
    "attention.repair",
    defines="SelfAttention",
    may_not_call=MAY_NOT_CALL,
    probes=(
        # The layer as it is handed out passes the first two: they have to stay so, for no points.
        layer_probe("one head", 0, sentences(num_heads=1)),
        layer_probe("one word, two heads", 0, sentences(length=1)),
        layer_probe("two heads, no projection", 1.5, sentences(identity=WEIGHTS)),
        layer_probe(
            "a batch, four heads",
            2,
            sentences(batch=3, length=5, d_model=12, num_heads=4),
            if_raises="one-sentence-only",
        ),
        layer_probe(
            "saved and made again from its config",
            0.5,
            sentences(),
            plan_round_trip,
            if_raises={"config-incomplete": OF_CONFIGS},
        ),
    ),
)


# 6. Measure the cost, and decide


def timings(rng):
    """Seconds that grow as length ** exponent, with a little noise, as a clock gives them."""
    lengths = np.array([128, 256, 512, 1024, 2048], "float64")
    exponent = rng.uniform(1.2, 2.4)
    noise = np.exp(rng.normal(0, 0.08, lengths.shape))
    seconds = 1e-6 * rng.uniform(0.5, 2) * lengths**exponent * noise
    return {"lengths": lengths, "seconds": seconds, "d_model": int(rng.choice([128, 256, 512]))}


def exact_timings(rng):
    """Doubling the length multiplies the time by four."""
    lengths = np.array([100.0, 200.0, 400.0])
    return {"lengths": lengths, "seconds": 1e-7 * lengths**2, "d_model": int(rng.integers(2, 9))}


def exponent(x, y):
    return float(np.polyfit(x, y, 1)[0])


def cost(fit=None, crossover=lambda d: 2 * d):
    """The report with a knob for the fit and one for the crossover."""

    def report(i):
        lengths, seconds = i["lengths"], i["seconds"]
        slope = (fit or (lambda n, t: exponent(np.log(n), np.log(t))))(lengths, seconds)
        return {"exponent": float(slope), "crossover": float(crossover(i["d_model"]))}

    return report


def _not_rounded(i, got):
    """What was returned, with the exponent as it was before it was rounded."""
    expected = cost()(i)["exponent"]
    rounded = any(got["exponent"] == round(expected, digits) for digits in range(4))
    return got | {"exponent": expected} if rounded else got


judge_cost = Match(
    cost(),
    {
        "no-logarithms": cost(exponent),
        "one-logarithm": cost(lambda n, t: exponent(n, np.log(t))),
        "axes-swapped": cost(lambda n, t: exponent(np.log(t), np.log(n))),
        "slope-turned-over": cost(lambda n, t: 1 / exponent(np.log(t), np.log(n))),
        "one-added": cost(lambda n, t: exponent(np.log1p(n), np.log1p(t))),
        "intercept": cost(lambda n, t: np.polyfit(np.log(n), np.log(t), 1)[1]),
        "first-and-last": cost(lambda n, t: np.log(t[-1] / t[0]) / np.log(n[-1] / n[0])),
        "growth-factor": cost(lambda n, t: np.mean(t[1:] / t[:-1])),
        "crossover-d-model": cost(crossover=lambda d: d),
        "crossover-four": cost(crossover=lambda d: 4 * d),
        "crossover-half": cost(crossover=lambda d: d / 2),
    },
    dtype=None,
    tolerance=1e-4,
    mends={"exponent-rounded": _not_rounded},
)


def call_cost(inputs):
    return call(inputs["lengths"], inputs["seconds"], inputs["d_model"]) | {"keras": False}


COST = exercise(
    "attention.cost",
    defines="cost_report",
    probes=(
        Probe("exact numbers, exponent 2", 1, exact_timings, call_cost, judge_cost),
        Probe("measured numbers with noise", 2, timings, call_cost, judge_cost),
    ),
)

EXERCISES = (SCALED_DOT_PRODUCT, MASKS, FULLY_MASKED_ROW, MULTI_HEAD, REPAIR, COST)

QUESTIONS = questions("attention")
