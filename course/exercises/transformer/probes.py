"""Exercises of lesson 04, transformer: probes and the mistakes they find; words in the TOML file.

A block is written as a function of its parts: A(q, k) is an attention, F the feed-forward network,
N a normalisation (M the next one, or the memory). A mistake is another order of the same parts.
The first two, a normalisation and a sublayer, are in `sublayers.py`.
"""

import numpy as np

from course.checks.declaration import Probe, call, step, tensor
from course.checks.judges import Match, mends_among, only_if
from course.checks.references import of_inputs, turned, turning
from course.checks.texts import exercise, lesson, questions
from course.exercises.attention.probes import attend, merge, split
from course.exercises.transformer.sublayers import BLOCKS, LAYER_NORM, SUBLAYER, layer_norm, relu

LESSON = lesson("transformer")


# 3. An encoder block


def weights_of(rng, d_model, d_ff, attentions, norms, silent=(), plain=False):
    """{attribute path: array} for the parts of a block.

    Args:
        silent: parts that answer with 0: an attention, or "outer".
        plain: normalisations with gain 1 and bias 0.
    """
    shapes = {"inner": (d_model, d_ff), "outer": (d_ff, d_model)}
    for name in attentions:
        shapes |= {f"{name}.{part}_dense": (d_model, d_model) for part in PROJECTIONS}
    drawn = {}
    for path, shape in shapes.items():
        loud = path not in silent and path.removesuffix(".output_dense") not in silent
        drawn[f"{path}.kernel"] = loud * rng.normal(size=shape) / shape[0] ** 0.5
        drawn[f"{path}.bias"] = loud * rng.normal(size=shape[1]) / 2
    for name in norms:
        drawn[f"{name}.gamma"] = np.ones(d_model) if plain else rng.uniform(0.5, 1.5, d_model)
        drawn[f"{name}.beta"] = np.zeros(d_model) if plain else rng.normal(size=d_model) / 2
    return {path: array.astype("float32") for path, array in drawn.items()}


PROJECTIONS = ("query", "key", "value", "output")


def dense(i, path, x):
    kernel, bias = (i["weights"][f"{path}.{n}"].astype("float64") for n in ("kernel", "bias"))
    return x @ kernel + bias


def attention(i, name, mask):
    """A(q, k) of the layer `name`: multi-head attention from q to k."""

    def attends(query, key=None):
        key = query if key is None else key
        inputs = zip(PROJECTIONS, (query, key, key), strict=False)
        parts = [split(dense(i, f"{name}.{part}_dense", x), i["num_heads"]) for part, x in inputs]
        found, _ = attend(*parts, None if mask is None else mask[:, None])
        return dense(i, f"{name}.output_dense", merge(found))

    return attends


def network(i):
    """F of a block."""
    return lambda x: dense(i, "outer", relu(dense(i, "inner", x)))


def normalises(i, name):
    """N of a block: the normalisation `name`."""
    gain, bias = (i["weights"][f"{name}.{n}"].astype("float64") for n in ("gamma", "beta"))
    return lambda x: layer_norm(x, gain, bias)


def post_norm(x, A, F, N_1, N_2):
    x = N_1(x + A(x))
    return N_2(x + F(x))


def pre_norm(x, A, F, N_1, N_2):
    x = x + A(N_1(x))
    return x + F(N_2(x))


def encoder_block(i, *, post=post_norm, pre=pre_norm, mask=lambda real: real[:, None, :]):
    """An encoder block in float64, with a knob for its order and one for its mask."""
    x = i["x"].astype("float64")
    full = (len(x), x.shape[1], x.shape[1])
    seen = np.broadcast_to(mask(i["mask"]), full) if "mask" in i else None
    norms = (normalises(i, name) for name in ENCODER_NORMS)
    A = attention(i, "self_attention", seen)
    return (post if i["norm"] == "post" else pre)(x, A, network(i), *norms)


ENCODER_NORMS = ("attention_norm", "feed_forward_norm")


def block_of(post=None, pre=None):
    """A suspect with another order of the parts, for one kind of norm or for both."""
    given = {name: order for name, order in (("post", post), ("pre", pre)) if order}
    return turned(encoder_block, **given)


def mask_of(mask):
    return turned(encoder_block, mask=mask, when=lambda i: "mask" in i)


def _exchanged_norms(i):
    one, other = ENCODER_NORMS
    weights = i["weights"] | {
        f"{a}.{n}": i["weights"][f"{b}.{n}"]
        for a, b in ((one, other), (other, one))
        for n in ("gamma", "beta")
    }
    return encoder_block(i | {"weights": weights})


def _future_hidden(real):
    length = real.shape[1]
    return real[:, None, :] & np.tril(np.ones((length, length), bool))


judge_block = Match(
    encoder_block,
    {
        "always-post": block_of(pre=post_norm),
        "always-pre": block_of(post=pre_norm),
        "exchanged": block_of(post=pre_norm, pre=post_norm),
        "no-attention-residual": block_of(
            lambda x, A, F, N, M: M((y := N(A(x))) + F(y)),
            lambda x, A, F, N, M: (y := A(N(x))) + F(M(y)),
        ),
        "no-network-residual": block_of(
            lambda x, A, F, N, M: M(F(N(x + A(x)))), lambda x, A, F, N, M: F(M(x + A(N(x))))
        ),
        "no-residuals": block_of(
            lambda x, A, F, N, M: M(F(N(A(x)))), lambda x, A, F, N, M: F(M(A(N(x))))
        ),
        "one-residual-round-both": block_of(
            lambda x, A, F, N, M: M(x + F(N(A(x)))), lambda x, A, F, N, M: x + F(M(A(N(x))))
        ),
        "residual-from-the-input": block_of(
            lambda x, A, F, N, M: M(x + F(N(x + A(x)))),
            lambda x, A, F, N, M: x + F(M(x + A(N(x)))),
        ),
        "residual-of-the-normalised": block_of(
            pre=lambda x, A, F, N, M: (z := M((y := N(x)) + A(y))) + F(z)
        ),
        "network-reads-the-input": block_of(
            lambda x, A, F, N, M: M(N(x + A(x)) + F(x)),
            lambda x, A, F, N, M: x + A(N(x)) + F(M(x)),
        ),
        "network-first": block_of(
            lambda x, A, F, N, M: M((y := N(x + F(x))) + A(y)),
            lambda x, A, F, N, M: (y := x + F(N(x))) + A(M(y)),
        ),
        "outputs-normalised": block_of(
            lambda x, A, F, N, M: (y := x + N(A(x))) + M(F(y)),
            lambda x, A, F, N, M: (y := x + N(A(x))) + M(F(y)),
        ),
        "norms-exchanged": _exchanged_norms,
        "one-norm-twice": block_of(
            lambda x, A, F, N, M: post_norm(x, A, F, N, N),
            lambda x, A, F, N, M: pre_norm(x, A, F, N, N),
        ),
        "first-norm-missing": block_of(
            lambda x, A, F, N, M: M((y := x + A(x)) + F(y)),
            lambda x, A, F, N, M: (y := x + A(x)) + F(M(y)),
        ),
        "second-norm-missing": block_of(
            lambda x, A, F, N, M: (y := N(x + A(x))) + F(y),
            lambda x, A, F, N, M: (y := x + A(N(x))) + F(y),
        ),
        "keys-not-normalised": block_of(pre=lambda x, A, F, N, M: (y := x + A(N(x), x)) + F(M(y))),
        "normalised-at-the-end": block_of(
            pre=lambda x, A, F, N, M: M((y := x + A(N(x))) + F(M(y)))
        ),
        "mask-ignored": mask_of(lambda real: np.ones_like(real)[:, None, :]),
        "mask-inverted": mask_of(lambda real: ~real[:, None, :]),
        "mask-as-matrix": only_if(
            lambda i: "mask" in i and i["mask"].shape[0] == i["mask"].shape[1],
            mask_of(lambda real: real[None]),
        ),
        "mask-on-queries": mask_of(lambda real: real[:, :, None]),
        "mask-on-both": mask_of(lambda real: real[:, :, None] & real[:, None, :]),
        "future-hidden": mask_of(_future_hidden),
    },
)


def sentences(batch=1, length=3, *, d_model=4, heads=2, d_ff=6, norm="post", mask=None, **weights):
    """Inputs of an encoder block; the rows of `mask` are 1 for a real word."""

    def inputs(rng):
        drawn = {
            "x": rng.normal(size=(batch, length, d_model)).astype("float32"),
            "weights": weights_of(rng, d_model, d_ff, ["self_attention"], ENCODER_NORMS, **weights),
            "num_heads": heads,
            "norm": norm,
        }
        return drawn | ({} if mask is None else {"mask": np.array(mask, bool)})

    return inputs


def plan_layer(i, args, settings, words, **masks):
    """Makes the layer, calls it once so that it has weights, sets them, calls it again."""
    return {
        "steps": [
            step("call", args=args, kwargs=settings, save="layer"),
            step("call", on="layer", args=words, kwargs=masks, save="first"),
            step("weights", on="layer", values=i["weights"], save="set"),
            step("call", on="layer", args=words, kwargs=masks, save="result"),
        ],
        "return": ["result"],
    }


def sizes(i):
    return [i["x"].shape[-1], i["num_heads"], i["weights"]["inner.bias"].size]


def plan_block(i):
    masks = {"padding_mask": tensor(i["mask"])} if "mask" in i else {}
    return plan_layer(i, sizes(i), {"norm": i["norm"]}, [tensor(i["x"])], **masks)


def block_probe(title, points, inputs, **more):
    return Probe(title, points, inputs, plan_block, judge_block, **more)


ENCODER_BLOCK = exercise(
    "transformer.encoder_block",
    defines="EncoderBlock",
    may_not_call=BLOCKS,
    probes=(
        block_probe("post-norm, attention alone", 1, sentences(silent=("outer",))),
        block_probe("post-norm, the whole block", 1, sentences()),
        block_probe("pre-norm, attention alone", 0.75, sentences(norm="pre", silent=("outer",))),
        block_probe("pre-norm, the whole block", 0.75, sentences(norm="pre")),
        block_probe(
            "padding, as many sentences as words",
            1,
            sentences(3, 3, mask=[[1, 1, 0], [1, 1, 1], [1, 0, 0]]),
        ),
        block_probe(
            "padding, a pre-norm block with four heads",
            0.5,
            sentences(
                2, 5, d_model=8, heads=4, norm="pre", mask=[[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
            ),
            if_raises="mask-axes",
        ),
    ),
)


# 4. What the decoder gets: the shifted target, and two masks


def shifted(i, how="right"):
    """The decoder's ids, with a knob for each slip."""
    ids, start, pad = i["target"], i["start_id"], i["pad_id"]
    first = np.full((len(ids), 1), start, "int32")
    if how == "not at all":
        return ids
    if how == "longer":
        return np.concatenate([first, ids], 1)
    if how == "rolled":
        return np.roll(ids, 1, axis=1)
    if how == "first replaced":
        return np.concatenate([first, ids[:, 1:]], 1)
    if how == "to the left":
        return np.concatenate([ids[:, 1:], np.full_like(first, pad)], 1)
    if how == "padding first":
        return np.concatenate([np.full_like(first, pad), ids[:, :-1]], 1)
    if how == "start last":
        return np.concatenate([ids[:, 1:], first], 1)
    if how == "down the batch":
        return np.concatenate([np.full_like(ids[:1], start), ids[:-1]], 0)
    if how == "end dropped":  # the last real word of each sentence, in place of the last column
        last = np.arange(ids.shape[1]) == (ids != pad).sum(1, keepdims=True) - 1
        ids = np.where(last, pad, ids)
    return np.concatenate([first, ids[:, :-1]], 1)


def decoder_inputs(
    i,
    shift="right",
    *,
    own=lambda real, causal: real[:, None, :] & causal,
    across=lambda source: source[:, None, :],
    inside=np.less_equal,
    real=lambda ids, target, pad: ids != pad,
):
    """Ids, self-attention's mask and cross-attention's, with a knob for each slip."""
    pad, ids = i["pad_id"], shifted(i, shift)
    length = ids.shape[1]
    place = np.arange(length)
    causal = inside(place[None, :], place[:, None])
    self_mask = own(real(ids, i["target"], pad), causal)
    cross_mask = across(i["source"] != pad)
    shapes = (len(ids), length, length), (len(ids), length, i["source"].shape[1])
    return ids, *(
        np.broadcast_to(mask, shape).copy()
        for mask, shape in zip((self_mask, cross_mask), shapes, strict=True)
    )


fed = turning(decoder_inputs)


def _alike(i):
    """Source and target have the same length, so that one's mask can stand for the other's."""
    return i["source"].shape == i["target"].shape


def _from_the_target(i):
    ids = shifted(i)
    return decoder_inputs(i, across=lambda source: (ids != i["pad_id"])[:, None, :])


def _from_the_unshifted_target(i):
    return decoder_inputs(i, across=lambda source: (i["target"] != i["pad_id"])[:, None, :])


def _across_causal(source):
    n = source.shape[1]
    return source[:, None, :] & np.tril(np.ones((n, n), bool))


def _both_sides(i):
    real = shifted(i) != i["pad_id"]
    return decoder_inputs(i, across=lambda source: source[:, None, :] & real[:, :, None])


def _as_numbers(i):
    ids, *masks = decoder_inputs(i)
    return ids, *(mask.astype("float32") for mask in masks)


def _not_broadcast(i):
    ids, own, across = decoder_inputs(i)
    return ids, own, across[:, :1]


judge_inputs = Match(
    decoder_inputs,
    {
        "not-shifted": fed("not at all"),
        "rolled": fed("rolled"),
        "first-replaced": fed("first replaced"),
        "shifted-left": fed("to the left"),
        "start-last": fed("start last"),
        "padding-first": fed("padding first"),
        "one-longer": fed("longer"),
        "down-the-batch": fed("down the batch"),
        "end-dropped": fed("end dropped"),
        "no-causal": fed(own=lambda real, causal: real[:, None, :]),
        "not-itself": fed(inside=np.less),
        "future-only": fed(inside=np.greater_equal),
        "one-too-far": fed(inside=lambda key, query: key <= query + 1),
        "no-padding-in-self": fed(own=lambda real, causal: causal),
        "or-instead-of-and": fed(own=lambda real, causal: real[:, None, :] | causal),
        "padding-on-queries": fed(own=lambda real, causal: real[:, :, None] & causal),
        "start-hidden": turned(
            decoder_inputs,
            real=of_inputs(
                lambda i: lambda ids, target, pad: (ids != pad) & (ids != i["start_id"])
            ),
        ),
        "of-the-unshifted": fed(real=lambda ids, target, pad: target != pad),
        "cross-from-the-target": only_if(_alike, _from_the_target),
        "cross-from-the-unshifted": only_if(_alike, _from_the_unshifted_target),
        "self-from-the-source": only_if(
            _alike,
            turned(decoder_inputs, real=of_inputs(lambda i: lambda *_: i["source"] != i["pad_id"])),
        ),
        "cross-causal": only_if(_alike, fed(across=_across_causal)),
        "cross-open": fed(across=lambda source: np.ones_like(source)[:, None, :]),
        "cross-on-both": _both_sides,
        "inverted": lambda i: (
            (parts := decoder_inputs(i))[0],
            ~parts[1],
            ~parts[2],
        ),
        "pad-id-ignored": only_if(
            lambda i: i["pad_id"],
            turned(
                decoder_inputs,
                given=lambda i: {"pad_id": 0},
                then=lambda r, i: (shifted(i), *r[1:]),
            ),
        ),
        "masks-exchanged": lambda i: (
            (parts := decoder_inputs(i))[0],
            parts[2],
            parts[1],
        ),
        "masks-as-numbers": _as_numbers,
        "cross-not-broadcast": _not_broadcast,
        "ids-missing": turned(decoder_inputs, then=lambda r, i: r[1:]),
        "end-hidden": turned(
            decoder_inputs,
            given=lambda i: {"target": np.where(i["target"] == 3, i["pad_id"], i["target"])},
        ),
    },
    labels=("decoder's ids", "mask of self-attention", "mask of cross-attention"),
    dtype="int32",
)


def id_pairs(source, target, pad_id=0):
    """Ids where 1 stands for a real word; the ids themselves are drawn."""

    def inputs(rng):
        drawn = {"start_id": int(rng.integers(100, 200)), "pad_id": pad_id}
        for name, rows in (("source", source), ("target", target)):
            pattern = np.array(rows, bool)
            numbers = np.where(pattern, rng.integers(5, 100, pattern.shape), pad_id)
            if pad_id:
                numbers[0, 0] = 0  # a real word here
            if name == "target":  # each ends with 3, the end symbol of the text's example
                last = pattern.shape[1] - 1 - pattern[:, ::-1].argmax(axis=1)
                some = np.flatnonzero(pattern.any(axis=1))
                numbers[some, last[some]] = 3
            drawn[name] = numbers.astype("int32")
        return drawn

    return inputs


def call_inputs(i):
    more = {"pad_id": i["pad_id"]} if i["pad_id"] else {}
    return call(tensor(i["source"]), tensor(i["target"]), i["start_id"], **more)


def inputs_probe(title, points, source, target, **more):
    return Probe(title, points, id_pairs(source, target, **more), call_inputs, judge_inputs)


DECODER_INPUTS = exercise(
    "transformer.decoder_inputs",
    defines="decoder_inputs",
    may_not_call=("course.attention.causal_mask", "course.attention.padding_mask"),
    probes=(
        inputs_probe("one pair, no padding", 1.25, [[1, 1]], [[1, 1, 1, 1]]),
        inputs_probe(
            "two pairs with padding",
            1.25,
            [[1, 1, 1], [1, 1, 0]],
            [[1, 1, 1, 1], [1, 1, 0, 0]],
        ),
        inputs_probe(
            "source and target of the same length",
            1,
            [[1, 1, 1, 0], [1, 1, 1, 1]],
            [[1, 1, 1, 1], [1, 1, 0, 0]],
        ),
        inputs_probe("one word each", 0.25, [[1]], [[1]]),
        inputs_probe("another pad_id", 0.25, [[1, 1, 0]], [[1, 1, 1, 0, 0]], pad_id=3),
    ),
)


# 5. Repair a decoder block


def decoder_order(x, M, S, C, F, N_1, N_2, N_3):
    x = N_1(x + S(x))
    x = N_2(x + C(x, M))
    return N_3(x + F(x))


def decoder_block(i, order=decoder_order, *, own="self_mask", across="cross_mask"):
    """A post-norm decoder block in float64, with a knob for its order and one for each mask."""
    x, memory = (i[name].astype("float64") for name in ("x", "memory"))
    seen = [i[name] if isinstance(name, str) else name(i) for name in (own, across)]
    S, C = (attention(i, name, mask) for name, mask in zip(ATTENTIONS, seen, strict=True))
    norms = (normalises(i, name) for name in DECODER_NORMS)
    return order(x, memory, S, C, network(i), *norms)


ATTENTIONS = ("self_attention", "cross_attention")
DECODER_NORMS = ("attention_norm", "cross_norm", "feed_forward_norm")
HANDED_OUT = ("residual-from-the-input", "queries-from-memory", "mask-of-the-target")


def with_slips(i, slips):
    """The block with any of the slips that it is handed out with."""

    def order(x, M, S, C, F, N_1, N_2, N_3):
        y = N_1(x + S(x))
        found = C(M, y) if "queries-from-memory" in slips else C(y, M)
        y = N_2((x if "residual-from-the-input" in slips else y) + found)
        return N_3(y + F(y))

    across = "self_mask" if "mask-of-the-target" in slips else "cross_mask"
    return decoder_block(i, order, across=across)


decoder_of = turning(decoder_block)


DECODER_SUSPECTS = {
    "no-cross-residual": decoder_of(
        lambda x, M, S, C, F, N, Q, R: R((y := Q(C(N(x + S(x)), M))) + F(y))
    ),
    "residual-from-the-memory": decoder_of(
        lambda x, M, S, C, F, N, Q, R: R((y := Q(M + C(N(x + S(x)), M))) + F(y))
    ),
    "no-network-residual": decoder_of(
        lambda x, M, S, C, F, N, Q, R: R(F(Q((y := N(x + S(x))) + C(y, M))))
    ),
    "network-residual-from-before": decoder_of(
        lambda x, M, S, C, F, N, Q, R: R((y := N(x + S(x))) + F(Q(y + C(y, M))))
    ),
    "cross-reads-the-input": decoder_of(
        lambda x, M, S, C, F, N, Q, R: R((y := Q(N(x + S(x)) + C(x, M))) + F(y))
    ),
    "keys-from-the-words": decoder_of(
        lambda x, M, S, C, F, N, Q, R: R((z := Q((y := N(x + S(x))) + C(y, y))) + F(z))
    ),
    "cross-first": decoder_of(
        lambda x, M, S, C, F, N, Q, R: R((z := N((y := Q(x + C(x, M))) + S(y))) + F(z))
    ),
    "no-last-norm": decoder_of(
        lambda x, M, S, C, F, N, Q, R: (z := Q((y := N(x + S(x))) + C(y, M))) + F(z)
    ),
    "no-cross-norm": decoder_of(
        lambda x, M, S, C, F, N, Q, R: R((z := (y := N(x + S(x))) + C(y, M)) + F(z))
    ),
    "pre-norm": decoder_of(
        lambda x, M, S, C, F, N, Q, R: (z := (y := x + S(N(x))) + C(Q(y), M)) + F(R(z))
    ),
    "cross-norm-before": decoder_of(
        lambda x, M, S, C, F, N, Q, R: R((z := (y := N(x + S(x))) + C(Q(y), M)) + F(z))
    ),
    "both-residuals": decoder_of(
        lambda x, M, S, C, F, N, Q, R: R((z := Q(x + (y := N(x + S(x))) + C(y, M))) + F(z))
    ),
    "norms-swapped": decoder_of(
        lambda x, M, S, C, F, N, Q, R: R((z := N((y := Q(x + S(x))) + C(y, M))) + F(z))
    ),
    "self-mask-missing": decoder_of(own=lambda i: np.ones_like(i["self_mask"])),
    "cross-mask-missing": decoder_of(across=lambda i: np.ones_like(i["cross_mask"])),
    "masks-exchanged": decoder_of(own="cross_mask", across="self_mask"),
    "self-masked-by-source": decoder_of(own="cross_mask"),
    "cross-mask-inverted": decoder_of(across=lambda i: ~i["cross_mask"]),
    "both-masks": decoder_of(across=lambda i: i["cross_mask"] & i["self_mask"]),
    "cross-mask-transposed": decoder_of(across=lambda i: i["cross_mask"].swapaxes(-1, -2)),
}

judge_decoder = Match(
    decoder_block,
    DECODER_SUSPECTS,
    mends=mends_among(decoder_block, with_slips, HANDED_OUT),
)


def decoder_sentences(batch=2, length=4, source=4, *, like="drawn", masks="both", **weights):
    """Inputs of a decoder block.

    Args:
        like: "drawn"; "normalised", where x is what its own normalisation leaves as it is; or
            "one sentence", where the memory is that x too.
        masks: "both", or "open" where every word may be seen.
    """

    def inputs(rng):
        x, memory = (rng.normal(size=(batch, n, 4)) for n in (length, source))
        if like != "drawn":
            x = layer_norm(x, epsilon=0)
        if like == "one sentence":
            memory = x
        real = np.arange(source) < rng.integers(1, source, (batch, 1))  # (batch, source)
        cross_mask = np.repeat(real[:, None, :], length, 1)
        self_mask = np.repeat(np.tril(np.ones((1, length, length), bool)), batch, 0)
        if masks == "open":
            self_mask, cross_mask = np.ones_like(self_mask), np.ones_like(cross_mask)
        return {
            "x": x.astype("float32"),
            "memory": memory.astype("float32"),
            "self_mask": self_mask,
            "cross_mask": cross_mask,
            "weights": weights_of(rng, 4, 6, ATTENTIONS, DECODER_NORMS, **weights),
            "num_heads": 2,
        }

    return inputs


def plan_decoder(i):
    arguments = [tensor(i[n]) for n in ("x", "memory", "self_mask", "cross_mask")]
    return plan_layer(i, sizes(i), {}, arguments)


def decoder_probe(title, points, inputs, **more):
    return Probe(title, points, inputs, plan_decoder, judge_decoder, **more)


def _constant_cross_attention(rng):
    """Cross-attention that finds the same for every word, whoever asks and whatever is hidden."""
    drawn = decoder_sentences()(rng)
    drawn["weights"]["cross_attention.output_dense.kernel"] *= 0
    return drawn


# The first three each show one of the slips that the block is handed out with, and hide the others:
# a cross-attention that is constant; a residual that makes no difference, with open masks; and
# queries and keys that are the same vectors.
REPAIR = exercise(
    "transformer.repair",
    defines="DecoderBlock",
    may_not_call=BLOCKS,
    probes=(
        decoder_probe("the residual around cross-attention", 1, _constant_cross_attention),
        decoder_probe(
            "words ask, the memory answers",
            1,
            decoder_sentences(
                like="normalised", masks="open", silent=("self_attention",), plain=True
            ),
        ),
        decoder_probe(
            "each attention has its own mask",
            1,
            decoder_sentences(like="one sentence", silent=("self_attention",), plain=True),
        ),
        decoder_probe("everything together", 1, decoder_sentences()),
        decoder_probe(
            "a source longer than the target",
            0.5,
            decoder_sentences(length=3, source=5),
            if_raises="lengths-mixed",
        ),
        decoder_probe("one target word", 0.5, decoder_sentences(1, 1, 3)),
    ),
)


# 6. Count parameters


def count(
    i,
    *,
    biases=True,
    crossings=1,
    norm=2,
    decoder_norms=3,
    embeddings=1,
    network=None,
    heads=1,
    stacks=(1, 1),
    output_bias=0,
    layers=None,
    final_norms=0,
):
    """Parameters of an encoder-decoder with one embedding table, with a knob for each slip."""
    d, d_ff, size = i["d_model"], i["d_ff"], i["vocab_size"]
    attention = heads * 4 * (d * d + biases * d)
    inside = 2 * d * d_ff + biases * (d_ff + d) if network is None else network(d, d_ff)
    encoder = attention + inside + 2 * norm * d
    decoder = (1 + crossings) * attention + inside + decoder_norms * norm * d
    blocks = (i["num_layers"] if layers is None else layers) * (
        stacks[0] * encoder + stacks[1] * decoder
    )
    return blocks + embeddings * size * d + output_bias * size + final_norms * norm * d


counted = turning(count)


judge_count = Match(
    count,
    {
        "no-biases": counted(biases=False),
        "no-network-biases": counted(network=lambda d, d_ff: 2 * d * d_ff),
        "no-cross-attention": counted(crossings=0),
        "no-cross-attention-nor-norm": counted(crossings=0, decoder_norms=2),
        "no-norms": counted(norm=0),
        "one-number-a-norm": counted(norm=1),
        "two-norms-in-the-decoder": counted(decoder_norms=2),
        "two-embeddings": counted(embeddings=2),
        "three-embeddings": counted(embeddings=3),
        "no-embedding": counted(embeddings=0),
        "output-bias": counted(output_bias=1),
        "times-heads": turned(count, heads=of_inputs(lambda i: i["num_heads"])),
        "over-heads": turned(count, heads=of_inputs(lambda i: 1 / i["num_heads"])),
        "three-projections": counted(heads=3 / 4),
        "encoder-only": counted(stacks=(1, 0)),
        "decoder-only": counted(stacks=(0, 1)),
        "one-block-each": counted(layers=1),
        "half-the-network": counted(network=lambda d, d_ff: d * d_ff + d_ff),
        "wrong-network-bias": counted(network=lambda d, d_ff: 2 * d * d_ff + 2 * d_ff),
        "one-network-bias": counted(network=lambda d, d_ff: 2 * d * d_ff + d),
        "final-norms": counted(final_norms=2),
        "in-millions": turned(count, then=lambda r, i: r / 1e6),
    },
    dtype=None,
    tolerance=1e-9,
)


def model_sizes(layers, d_model, heads, d_ff, vocabulary):
    """Settings of a model, d_model and the vocabulary drawn around these numbers."""
    return lambda rng: {
        "num_layers": layers,
        "d_model": d_model * int(rng.integers(1, 4)),
        "num_heads": heads,
        "d_ff": d_ff + int(rng.integers(0, 8)),
        "vocab_size": vocabulary + int(rng.integers(0, 50)),
    }


def call_count(i):
    names = ("num_layers", "d_model", "num_heads", "d_ff", "vocab_size")
    return call(*(i[name] for name in names)) | {"keras": False}


def count_probe(title, points, inputs):
    return Probe(title, points, inputs, call_count, judge_count)


COUNT = exercise(
    "transformer.count",
    defines="count_parameters",
    probes=(
        count_probe("one block each, one head", 1.5, model_sizes(1, 4, 1, 20, 10)),
        count_probe("three blocks each, four heads", 1, model_sizes(3, 8, 4, 50, 90)),
        count_probe("a large model", 0.5, model_sizes(6, 512, 8, 2048, 37_000)),
    ),
)

EXERCISES = (LAYER_NORM, SUBLAYER, ENCODER_BLOCK, DECODER_INPUTS, REPAIR, COUNT)

QUESTIONS = questions("transformer")
