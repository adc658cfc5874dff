"""A layer normalisation and a sublayer: probes of two exercises of lesson 04, transformer.

A part of `transformer.py`, which would be longer than a sitting with it. A sublayer is written as a
function of its parts: F the feed-forward network, N a normalisation. A mistake is another order.
"""

import math

import numpy as np

from course.checks.declaration import OF_DTYPES, Probe, call, tensor
from course.checks.judges import Match, only_if
from course.checks.references import of_inputs, turned, turning
from course.checks.texts import exercise

BLOCKS = tuple(
    f"course.transformer.{name}"
    for name in ("FeedForward", "EncoderBlock", "DecoderBlock", "Encoder", "Decoder", "Transformer")
)
NORMALISATIONS = (
    "course.transformer.layer_norm",
    "keras.layers.LayerNormalization",
    "keras.layers.BatchNormalization",
    "keras.layers.GroupNormalization",
    "keras.layers.RMSNormalization",
    "keras.ops.layer_normalization",
    "keras.ops.rms_normalization",
    "keras.ops.batch_normalization",
)


# 1. Layer normalisation


def layer_norm(
    x,
    gain=1.0,
    bias=0.0,
    epsilon=1e-5,
    *,
    axis=-1,
    centre=True,
    ddof=0,
    divide_by=lambda variance, epsilon: np.sqrt(variance + epsilon),
):
    """Layer normalisation in float64, with a knob for each slip."""
    x = np.asarray(x, "float64")
    spread = divide_by(x.var(axis, ddof=ddof, keepdims=True), epsilon)
    return (x - x.mean(axis, keepdims=True) if centre else x) / spread * gain + bias


def normalised(i, **knobs):
    epsilon = knobs.pop("epsilon", i.get("epsilon", 1e-5))
    gain, bias = (np.asarray(i[name], "float64") for name in ("gain", "bias"))
    return layer_norm(i["x"], knobs.pop("gain", gain), knobs.pop("bias", bias), epsilon, **knobs)


normalised_with = turning(normalised)


def _several(axes):
    """Condition of a suspect that needs so many axes to make a difference."""
    return lambda i: i["x"].ndim >= axes


def _root_mean_square(i):
    x = i["x"].astype("float64")
    square = (x**2).mean(-1, keepdims=True)
    return x / np.sqrt(square + i.get("epsilon", 1e-5)) * i["gain"] + i["bias"]


def _unit_length(i):
    x = i["x"].astype("float64")
    x = x - x.mean(-1, keepdims=True)
    return x / np.linalg.norm(x, axis=-1, keepdims=True) * i["gain"] + i["bias"]


def _mean_deviation(i):
    x = i["x"].astype("float64")
    x = x - x.mean(-1, keepdims=True)
    return x / (np.abs(x).mean(-1, keepdims=True) + i.get("epsilon", 1e-5)) * i["gain"] + i["bias"]


judge_norm = Match(
    normalised,
    {
        "over-the-words": only_if(_several(2), normalised_with(axis=-2)),
        "over-the-batch": only_if(_several(3), normalised_with(axis=0)),
        "over-the-sentence": only_if(_several(3), normalised_with(axis=(-2, -1))),
        "over-everything": only_if(_several(2), normalised_with(axis=None)),
        "unbiased": normalised_with(ddof=1),
        "no-root": normalised_with(divide_by=np.add),
        "epsilon-outside": normalised_with(divide_by=lambda v, e: np.sqrt(v) + e),
        "no-epsilon": normalised_with(epsilon=0.0),
        "epsilon-ignored": only_if(lambda i: "epsilon" in i, normalised_with(epsilon=1e-5)),
        "epsilon-squared": normalised_with(divide_by=lambda v, e: np.sqrt(v + e**2)),
        "not-centred": normalised_with(centre=False),
        "root-mean-square": _root_mean_square,
        "centred-only": normalised_with(divide_by=lambda v, e: 1.0),
        "unit-length": _unit_length,
        "mean-deviation": _mean_deviation,
        "bias-before-gain": lambda i: normalised(i, gain=1.0) * i["gain"],
        "gain-ignored": normalised_with(gain=1.0),
        "bias-ignored": normalised_with(bias=0.0),
        "both-ignored": normalised_with(gain=1.0, bias=0.0),
        "gain-and-bias-swapped": turned(
            normalised, gain=of_inputs(lambda i: i["bias"]), bias=of_inputs(lambda i: i["gain"])
        ),
        "gain-plus-one": turned(normalised, gain=of_inputs(lambda i: 1.0 + i["gain"])),
        "gain-first": turned(normalised, gain=1.0, given=lambda i: {"x": i["x"] * i["gain"]}),
    },
)


def vectors(*shape, plain=False, epsilon=None, level=False, dtype="float32"):
    """Words to normalise; `plain`: gain 1 and bias 0; `level`: the first has equal numbers."""

    def inputs(rng):
        width = shape[-1]
        drawn = {
            "x": 1.5 + 2 * rng.normal(size=shape),
            "gain": np.ones(width) if plain else rng.uniform(0.5, 2, width),
            "bias": np.zeros(width) if plain else rng.normal(size=width),
        }
        if level:
            drawn["x"][0] = rng.integers(1, 9)
        if epsilon:
            drawn["x"] /= 4
        drawn = {name: array.astype(dtype) for name, array in drawn.items()}
        drawn |= {"epsilon": epsilon} if epsilon else {}
        return drawn | ({} if dtype == "float32" else {"dtype": dtype, "tolerance": 5e-3})

    return inputs


def by_hand(rng):
    """The example of the text, its numbers in an order of their own."""
    drawn = vectors(4, plain=True)(rng)
    return drawn | {"x": rng.permutation([1, 2, 3, 6]).astype("float32")}


def call_norm(i):
    more = {"epsilon": i["epsilon"]} if "epsilon" in i else {}
    return call(tensor(i["x"]), tensor(i["gain"]), tensor(i["bias"]), **more)


def norm_probe(title, points, inputs, **more):
    return Probe(title, points, inputs, call_norm, judge_norm, **more)


LAYER_NORM = exercise(
    "transformer.layer_norm",
    defines="layer_norm",
    may_not_call=NORMALISATIONS,
    probes=(
        norm_probe("the example worked by hand", 1, by_hand),
        norm_probe("one word, with gain and bias", 1, vectors(5)),
        norm_probe("two words, each by itself", 0.75, vectors(2, 4)),
        norm_probe("a batch of sentences", 0.75, vectors(2, 3, 5)),
        norm_probe("a word of equal numbers: the bias comes back", 0.5, vectors(2, 4, level=True)),
        norm_probe("a large epsilon", 0.5, vectors(2, 4, epsilon=0.5)),
        norm_probe(
            "float16 in, float16 out",
            0.5,
            vectors(2, 4, dtype="float16"),
            if_raises={"dtypes-mixed": OF_DTYPES},  # TensorFlow stops there; JAX goes on in float32
        ),
    ),
)


# 2. The feed-forward network as a sublayer, pre- and post-norm


def relu(x):
    return np.maximum(x, 0)


def gelu(x):
    return x * (1 + np.vectorize(math.erf)(x / 2**0.5)) / 2


def same_number(x):
    return x


def sublayer(
    i,
    *,
    post=lambda x, F, N: N(x + F(x)),
    pre=lambda x, F, N: x + F(N(x)),
    inner=relu,
    outer=same_number,
    biases=(1, 1),
    scaled=True,
    epsilon=1e-5,
):
    """The network, the residual connection and the normalisation, in an order of their own."""
    w_1, b_1, w_2, b_2, gain, bias = (i[n].astype("float64") for n in SUBLAYER_WEIGHTS)

    def F(x):
        return outer(inner(x @ w_1 + biases[0] * b_1) @ w_2 + biases[1] * b_2)

    def N(x):
        return layer_norm(x, gain, bias, epsilon) if scaled else layer_norm(x)

    return (post if i["norm"] == "post" else pre)(i["x"].astype("float64"), F, N)


SUBLAYER_WEIGHTS = ("w_1", "b_1", "w_2", "b_2", "gain", "bias")


def in_order(post=None, pre=None, **knobs):
    """A suspect with another order of the parts, for one kind of norm or for both."""
    given = {name: order for name, order in (("post", post), ("pre", pre)) if order}
    return turned(sublayer, **given, **knobs)


def post_order(x, F, N):
    return N(x + F(x))


def pre_order(x, F, N):
    return x + F(N(x))


judge_sublayer = Match(
    sublayer,
    {
        "always-post": in_order(pre=post_order),
        "always-pre": in_order(post=pre_order),
        "exchanged": in_order(post=pre_order, pre=post_order),
        "no-residual": in_order(lambda x, F, N: N(F(x)), lambda x, F, N: F(N(x))),
        "no-norm": in_order(lambda x, F, N: x + F(x), lambda x, F, N: x + F(x)),
        "pre-without-norm": in_order(pre=lambda x, F, N: x + F(x)),
        "output-normalised": in_order(post=lambda x, F, N: x + N(F(x))),
        "pre-output-normalised": in_order(pre=lambda x, F, N: x + N(F(x))),
        "summands-normalised": in_order(post=lambda x, F, N: N(x) + F(x)),
        "residual-of-the-normalised": in_order(pre=lambda x, F, N: (y := N(x)) + F(y)),
        "pre-then-post": in_order(pre=lambda x, F, N: N(x + F(N(x)))),
        "post-after-pre": in_order(post=lambda x, F, N: N(x + F(N(x)))),
        "residual-twice": in_order(
            lambda x, F, N: x + N(x + F(x)), lambda x, F, N: x + F(x + N(x))
        ),
        "network-alone": in_order(lambda x, F, N: F(x), lambda x, F, N: F(x)),
        "no-activation": in_order(inner=same_number),
        "activation-last": in_order(inner=same_number, outer=relu),
        "activation-twice": in_order(outer=relu),
        "sum-activated": in_order(
            lambda x, F, N: N(relu(x + F(x))), lambda x, F, N: relu(x + F(N(x)))
        ),
        "gelu": in_order(inner=gelu),
        "first-bias-missing": in_order(biases=(0, 1)),
        "second-bias-missing": in_order(biases=(1, 0)),
        "no-biases": in_order(biases=(0, 0)),
        "gain-and-bias-ignored": in_order(scaled=False),
        "epsilon-of-keras": in_order(epsilon=1e-3),
        "normalised-not-read": in_order(pre=lambda x, F, N: N(x) + F(x)),
    },
)


def words(*shape, d_ff=6, norm="post", given=True, silent=False, plain=False):
    """Words and the weights of a sublayer; `silent`: a network that answers 0."""

    def inputs(rng):
        width = shape[-1]
        drawn = {
            "x": 1 + 2 * rng.normal(size=shape),
            "w_1": rng.normal(size=(width, d_ff)) / width**0.5,
            "b_1": rng.normal(size=d_ff),
            "w_2": rng.normal(size=(d_ff, width)) / 2,
            "b_2": rng.normal(size=width),
            "gain": rng.uniform(0.5, 2, width),
            "bias": rng.normal(size=width),
        }
        if silent:
            drawn["w_2"], drawn["b_2"] = 0 * drawn["w_2"], 0 * drawn["b_2"]
        if plain:
            drawn["gain"], drawn["bias"] = np.ones(width), np.zeros(width)
        drawn = {name: array.astype("float32") for name, array in drawn.items()}
        return drawn | {"norm": norm, "given": given}

    return inputs


def call_sublayer(i):
    more = {"norm": i["norm"]} if i["given"] else {}
    return call(tensor(i["x"]), *(tensor(i[name]) for name in SUBLAYER_WEIGHTS), **more)


def sublayer_probe(title, points, inputs):
    return Probe(title, points, inputs, call_sublayer, judge_sublayer)


SUBLAYER = exercise(
    "transformer.sublayer",
    defines="feed_forward_sublayer",
    may_not_call=BLOCKS,
    probes=(
        sublayer_probe(
            "pre-norm: a network that answers 0 leaves x as it is",
            0.5,
            words(1, 4, norm="pre", silent=True),
        ),
        sublayer_probe(
            "post-norm: with such a network, x is normalised",
            0.5,
            words(1, 4, silent=True),
        ),
        sublayer_probe("pre-norm, two words", 1.25, words(2, 4, norm="pre", plain=True)),
        sublayer_probe("post-norm, two words", 1.25, words(2, 4, plain=True)),
        sublayer_probe("post-norm is the default", 0.75, words(2, 3, 4, given=False)),
        sublayer_probe("pre-norm, a batch of sentences", 0.75, words(2, 3, 4, norm="pre")),
    ),
)
