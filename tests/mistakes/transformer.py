"""Answers to the exercises of lesson 04, transformer, and what each must be told.

Many are as one finds them: RMSNorm of Llama, the tutorials' post-norm blocks, GPT-J's parallel
block. Right there, some are wrong here, where the statement asks for another order.
"""

from functools import partial

import keras
import numpy as np
from keras import ops

from course.attention import MultiHeadAttention, causal_mask, padding_mask
from course.transformer import DecoderBlock as ReadyDecoder
from course.transformer import EncoderBlock as ReadyEncoder
from course.transformer import FeedForward

from . import Catalogue

CATALOGUE = Catalogue()


# 1. Layer normalisation

right = partial(CATALOGUE.right, "transformer.layer_norm")
wrong = partial(CATALOGUE.wrong, "transformer.layer_norm")


@right()
def mean_and_variance(x, gain, bias, epsilon=1e-5):
    mean = ops.mean(x, axis=-1, keepdims=True)
    variance = ops.var(x, axis=-1, keepdims=True)
    return gain * (x - mean) / ops.sqrt(variance + epsilon) + bias


@right()
def with_moments_and_rsqrt(x, gain, bias, epsilon=1e-5):
    mean, variance = ops.moments(x, axes=[-1], keepdims=True)
    return (x - mean) * ops.rsqrt(variance + epsilon) * gain + bias


@right()
def mean_of_squares_less_square_of_mean(x, gain, bias, epsilon=1e-5):
    wide = ops.cast(x, "float32")
    mean = ops.mean(wide, axis=-1, keepdims=True)
    variance = ops.mean(wide * wide, axis=-1, keepdims=True) - mean * mean
    normal = (wide - mean) / ops.sqrt(ops.maximum(variance, 0.0) + epsilon)
    return ops.cast(normal, x.dtype) * gain + bias


@right()
def in_numpy(x, gain, bias, epsilon=1e-5):
    a, g, b = (ops.convert_to_numpy(t).astype("float64") for t in (x, gain, bias))
    a = (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1, keepdims=True) + epsilon)
    return ops.convert_to_tensor(a * g + b, dtype=x.dtype)


@right()
def word_by_word(x, gain, bias, epsilon=1e-5):
    rows = ops.convert_to_numpy(x).astype("float32").reshape(-1, x.shape[-1])
    g, b = (ops.convert_to_numpy(t).astype("float32") for t in (gain, bias))
    done = []
    for row in rows:
        deviations = [number - sum(row) / len(row) for number in row]
        spread = (sum(d * d for d in deviations) / len(row) + epsilon) ** 0.5
        done.append([d / spread * g[i] + b[i] for i, d in enumerate(deviations)])
    return ops.reshape(ops.convert_to_tensor(done, dtype=x.dtype), x.shape)


@right()
def with_einsum(x, gain, bias, epsilon=1e-5):
    d = x.shape[-1]
    centred = x - ops.expand_dims(ops.einsum("...d->...", x) / d, -1)
    variance = ops.einsum("...d,...d->...", centred, centred) / d
    return centred / (ops.expand_dims(variance, -1) + epsilon) ** 0.5 * gain + bias


@wrong("over-the-words")
def along_the_sentence(x, gain, bias, epsilon=1e-5):
    axis = -2 if len(x.shape) > 1 else -1
    mean, variance = ops.moments(x, axes=[axis], keepdims=True)
    return (x - mean) / ops.sqrt(variance + epsilon) * gain + bias


@wrong("over-the-batch")
def as_batch_norm(x, gain, bias, epsilon=1e-5):
    axis = 0 if len(x.shape) > 2 else -1
    mean, variance = ops.moments(x, axes=[axis], keepdims=True)
    return (x - mean) / ops.sqrt(variance + epsilon) * gain + bias


@wrong("over-the-sentence")
def both_last_axes(x, gain, bias, epsilon=1e-5):
    axes = (-2, -1) if len(x.shape) > 2 else (-1,)
    mean, variance = ops.mean(x, axes, keepdims=True), ops.var(x, axes, keepdims=True)
    return (x - mean) / ops.sqrt(variance + epsilon) * gain + bias


@wrong("over-everything")
def no_axis(x, gain, bias, epsilon=1e-5):
    return (x - ops.mean(x)) / ops.sqrt(ops.var(x) + epsilon) * gain + bias


@wrong("unbiased")
def as_torch_std(x, gain, bias, epsilon=1e-5):
    mean = ops.mean(x, axis=-1, keepdims=True)
    squares = ops.sum((x - mean) ** 2, axis=-1, keepdims=True)
    return (x - mean) / ops.sqrt(squares / (x.shape[-1] - 1) + epsilon) * gain + bias


@wrong("no-root")
def divided_by_variance(x, gain, bias, epsilon=1e-5):
    mean, variance = ops.moments(x, axes=[-1], keepdims=True)
    return (x - mean) / (variance + epsilon) * gain + bias


@wrong("epsilon-outside")
def std_plus_epsilon(x, gain, bias, epsilon=1e-5):
    mean = ops.mean(x, axis=-1, keepdims=True)
    return gain * (x - mean) / (ops.std(x, axis=-1, keepdims=True) + epsilon) + bias


@wrong("no-epsilon")
def std_alone(x, gain, bias, epsilon=1e-5):
    mean, variance = ops.moments(x, axes=[-1], keepdims=True)
    return (x - mean) / ops.sqrt(variance) * gain + bias


@wrong("epsilon-ignored")
def a_fixed_epsilon(x, gain, bias, epsilon=1e-5):
    mean, variance = ops.moments(x, axes=[-1], keepdims=True)
    return (x - mean) / ops.sqrt(variance + 1e-5) * gain + bias


@wrong("epsilon-squared")
def epsilon_as_a_spread(x, gain, bias, epsilon=1e-5):
    mean, variance = ops.moments(x, axes=[-1], keepdims=True)
    return (x - mean) / ops.sqrt(variance + epsilon**2) * gain + bias


@wrong("not-centred")
def mean_left_in(x, gain, bias, epsilon=1e-5):
    variance = ops.var(x, axis=-1, keepdims=True)
    return x / ops.sqrt(variance + epsilon) * gain + bias


@wrong("root-mean-square")
def as_in_llama(x, gain, bias, epsilon=1e-5):
    return x * ops.rsqrt(ops.mean(x**2, axis=-1, keepdims=True) + epsilon) * gain + bias


@wrong("centred-only")
def mean_subtracted(x, gain, bias, epsilon=1e-5):
    return (x - ops.mean(x, axis=-1, keepdims=True)) * gain + bias


@wrong("unit-length")
def to_length_one(x, gain, bias, epsilon=1e-5):
    x = x - ops.mean(x, axis=-1, keepdims=True)
    return x / ops.sqrt(ops.sum(x * x, axis=-1, keepdims=True) + epsilon) * gain + bias


@wrong("mean-deviation")
def absolute_deviations(x, gain, bias, epsilon=1e-5):
    x = x - ops.mean(x, axis=-1, keepdims=True)
    return x / (ops.mean(ops.abs(x), axis=-1, keepdims=True) + epsilon) * gain + bias


@wrong("bias-before-gain")
def scaled_at_the_end(x, gain, bias, epsilon=1e-5):
    mean, variance = ops.moments(x, axes=[-1], keepdims=True)
    return ((x - mean) / ops.sqrt(variance + epsilon) + bias) * gain


@wrong("both-ignored")
def normalised_and_no_more(x, gain, bias, epsilon=1e-5):
    mean, variance = ops.moments(x, axes=[-1], keepdims=True)
    return (x - mean) / ops.sqrt(variance + epsilon)


@wrong("gain-and-bias-swapped")
def arguments_swapped(x, gain, bias, epsilon=1e-5):
    mean, variance = ops.moments(x, axes=[-1], keepdims=True)
    return (x - mean) / ops.sqrt(variance + epsilon) * bias + gain


@wrong("gain-plus-one")
def as_in_gemma(x, gain, bias, epsilon=1e-5):
    mean, variance = ops.moments(x, axes=[-1], keepdims=True)
    return (x - mean) / ops.sqrt(variance + epsilon) * (1 + gain) + bias


@wrong("gain-first")
def scaled_and_then_normalised(x, gain, bias, epsilon=1e-5):
    mean, variance = ops.moments(x * gain, axes=[-1], keepdims=True)
    return (x * gain - mean) / ops.sqrt(variance + epsilon) + bias


@wrong("forbidden-call")
def ready_made_layer(x, gain, bias, epsilon=1e-5):
    layer = keras.layers.LayerNormalization(epsilon=epsilon)
    return layer(x) * gain + bias


@wrong("forbidden-call")
def ready_made_function(x, gain, bias, epsilon=1e-5):
    return ops.layer_normalization(x, gain, bias, axis=-1, epsilon=epsilon)


@wrong("wrong-dtype")
def computed_and_left_in_float32(x, gain, bias, epsilon=1e-5):
    x, gain, bias = (ops.cast(t, "float32") for t in (x, gain, bias))
    mean, variance = ops.moments(x, axes=[-1], keepdims=True)
    return (x - mean) / ops.sqrt(variance + epsilon) * gain + bias


@wrong("dtypes-mixed", only_on="tensorflow")
def epsilon_as_a_float32_tensor(x, gain, bias, epsilon=1e-5):
    import tensorflow as tf

    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    return (x - mean) / tf.sqrt(variance + tf.constant(epsilon, tf.float32)) * gain + bias


@wrong("exception")
def axes_not_kept(x, gain, bias, epsilon=1e-5):
    mean, variance = ops.moments(x, axes=[-1])
    return (x - mean) / ops.sqrt(variance + epsilon) * gain + bias


# 2. A sublayer

right = partial(CATALOGUE.right, "transformer.sublayer")
wrong = partial(CATALOGUE.wrong, "transformer.sublayer")


def layer_norm(x, gain, bias):
    """Exercise 1."""
    return mean_and_variance(x, gain, bias)


def network(x, w_1, b_1, w_2, b_2):
    return ops.matmul(ops.relu(ops.matmul(x, w_1) + b_1), w_2) + b_2


@right()
def two_branches(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    weights = w_1, b_1, w_2, b_2
    if norm == "post":
        return layer_norm(x + network(x, *weights), gain, bias)
    return x + network(layer_norm(x, gain, bias), *weights)


@right()
def with_ready_made_normalisation(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    read = ops.layer_normalization(x, gain, bias, epsilon=1e-5) if norm == "pre" else x
    total = x + network(read, w_1, b_1, w_2, b_2)
    if norm == "pre":
        return total
    return ops.layer_normalization(total, gain, bias, epsilon=1e-5)


@right()
def with_einsum_and_maximum(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    y = layer_norm(x, gain, bias) if norm == "pre" else x
    y = ops.maximum(ops.einsum("...d,df->...f", y, w_1) + b_1, 0)
    y = ops.add(x, ops.einsum("...f,fd->...d", y, w_2) + b_2)
    return y if norm == "pre" else layer_norm(y, gain, bias)


@right()
def numbers_in_numpy(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    x, w_1, b_1, w_2, b_2, gain, bias = (
        ops.convert_to_numpy(t).astype("float64") for t in (x, w_1, b_1, w_2, b_2, gain, bias)
    )

    def normal(a):
        a = a - a.mean(-1, keepdims=True)
        return a / np.sqrt((a**2).mean(-1, keepdims=True) + 1e-5) * gain + bias

    def net(a):
        return np.maximum(a @ w_1 + b_1, 0) @ w_2 + b_2

    result = {"pre": lambda: x + net(normal(x)), "post": lambda: normal(x + net(x))}[norm]()
    return ops.convert_to_tensor(result, dtype="float32")


@right()
def with_layers_of_keras(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    inner = keras.layers.Dense(w_1.shape[1], activation="relu")
    outer = keras.layers.Dense(w_2.shape[1])
    normal = keras.layers.LayerNormalization(epsilon=1e-5)
    for layer, shape, weights in (
        (inner, x.shape, (w_1, b_1)),
        (outer, (*x.shape[:-1], w_2.shape[0]), (w_2, b_2)),
        (normal, x.shape, (gain, bias)),
    ):
        layer.build(shape)
        layer.set_weights([ops.convert_to_numpy(w) for w in weights])
    if norm == "pre":
        return x + outer(inner(normal(x)))
    return normal(x + outer(inner(x)))


@wrong("always-post")
def norm_never_read(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    return layer_norm(x + network(x, w_1, b_1, w_2, b_2), gain, bias)


@wrong("always-pre")
def pre_whatever_is_asked(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    return x + network(layer_norm(x, gain, bias), w_1, b_1, w_2, b_2)


@wrong("exchanged")
def the_other_way_round(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    if norm == "pre":
        return layer_norm(x + network(x, w_1, b_1, w_2, b_2), gain, bias)
    return x + network(layer_norm(x, gain, bias), w_1, b_1, w_2, b_2)


@wrong("no-residual")
def replaced_not_added(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    if norm == "pre":
        return network(layer_norm(x, gain, bias), w_1, b_1, w_2, b_2)
    return layer_norm(network(x, w_1, b_1, w_2, b_2), gain, bias)


@wrong("residual-of-the-normalised")
def x_overwritten(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    if norm == "pre":
        x = layer_norm(x, gain, bias)
    x = x + network(x, w_1, b_1, w_2, b_2)
    return layer_norm(x, gain, bias) if norm == "post" else x


@wrong("output-normalised")
def post_norm_on_the_branch(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    if norm == "pre":
        return x + network(layer_norm(x, gain, bias), w_1, b_1, w_2, b_2)
    return x + layer_norm(network(x, w_1, b_1, w_2, b_2), gain, bias)


@wrong("pre-output-normalised")
def pre_norm_on_the_branch(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    if norm == "pre":
        return x + layer_norm(network(x, w_1, b_1, w_2, b_2), gain, bias)
    return layer_norm(x + network(x, w_1, b_1, w_2, b_2), gain, bias)


@wrong("summands-normalised")
def x_normalised_first(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    if norm == "pre":
        return x + network(layer_norm(x, gain, bias), w_1, b_1, w_2, b_2)
    return layer_norm(x, gain, bias) + network(x, w_1, b_1, w_2, b_2)


@wrong("pre-then-post")
def sandwich(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    read = layer_norm(x, gain, bias) if norm == "pre" else x
    return layer_norm(x + network(read, w_1, b_1, w_2, b_2), gain, bias)


@wrong("post-after-pre")
def always_normalised_before(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    total = x + network(layer_norm(x, gain, bias), w_1, b_1, w_2, b_2)
    return total if norm == "pre" else layer_norm(total, gain, bias)


@wrong("pre-without-norm")
def pre_means_no_norm(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    x = x + network(x, w_1, b_1, w_2, b_2)
    return layer_norm(x, gain, bias) if norm == "post" else x


@wrong("no-norm")
def nothing_normalised(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    return x + network(x, w_1, b_1, w_2, b_2)


@wrong("network-alone")
def only_equation_one(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    return network(x, w_1, b_1, w_2, b_2)


@wrong("no-activation")
def two_linear_maps(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    def linear(y):
        return ops.matmul(ops.matmul(y, w_1) + b_1, w_2) + b_2

    if norm == "post":
        return layer_norm(x + linear(x), gain, bias)
    return x + linear(layer_norm(x, gain, bias))


@wrong("activation-last")
def relu_at_the_end(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    def net(y):
        return ops.relu(ops.matmul(ops.matmul(y, w_1) + b_1, w_2) + b_2)

    if norm == "post":
        return layer_norm(x + net(x), gain, bias)
    return x + net(layer_norm(x, gain, bias))


@wrong("activation-twice")
def relu_everywhere(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    if norm == "post":
        return layer_norm(x + ops.relu(network(x, w_1, b_1, w_2, b_2)), gain, bias)
    return x + ops.relu(network(layer_norm(x, gain, bias), w_1, b_1, w_2, b_2))


@wrong("sum-activated")
def relu_on_the_sum(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    if norm == "post":
        return layer_norm(ops.relu(x + network(x, w_1, b_1, w_2, b_2)), gain, bias)
    return ops.relu(x + network(layer_norm(x, gain, bias), w_1, b_1, w_2, b_2))


@wrong("gelu")
def as_in_bert(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    def net(y):
        return ops.matmul(ops.gelu(ops.matmul(y, w_1) + b_1, approximate=False), w_2) + b_2

    if norm == "post":
        return layer_norm(x + net(x), gain, bias)
    return x + net(layer_norm(x, gain, bias))


@wrong("no-biases")
def products_only(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    def net(y):
        return ops.matmul(ops.relu(ops.matmul(y, w_1)), w_2)

    if norm == "post":
        return layer_norm(x + net(x), gain, bias)
    return x + net(layer_norm(x, gain, bias))


@wrong("second-bias-missing")
def one_bias_used(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    if norm == "post":
        return layer_norm(x + network(x, w_1, b_1, w_2, 0.0), gain, bias)
    return x + network(layer_norm(x, gain, bias), w_1, b_1, w_2, 0.0)


@wrong("gain-and-bias-ignored")
def normalised_without_scale(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    def normal(y):
        return layer_norm(y, 1.0, 0.0)

    if norm == "post":
        return normal(x + network(x, w_1, b_1, w_2, b_2))
    return x + network(normal(x), w_1, b_1, w_2, b_2)


@wrong("epsilon-of-keras")
def with_the_default_of_the_layer(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    def normal(y):
        return ops.layer_normalization(y, gain, bias, epsilon=1e-3)

    if norm == "post":
        return normal(x + network(x, w_1, b_1, w_2, b_2))
    return x + network(normal(x), w_1, b_1, w_2, b_2)


@wrong("normalised-not-read")
def the_wrong_summand(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    out = network(x, w_1, b_1, w_2, b_2)
    return layer_norm(x + out, gain, bias) if norm == "post" else layer_norm(x, gain, bias) + out


@wrong("forbidden-call")
def the_course_s_network(x, w_1, b_1, w_2, b_2, gain, bias, norm="post"):
    layer = FeedForward(x.shape[-1], w_1.shape[-1])
    layer.build(x.shape)
    layer.set_weights([ops.convert_to_numpy(w) for w in (w_1, b_1, w_2, b_2)])
    if norm == "post":
        return layer_norm(x + layer(x), gain, bias)
    return x + layer(layer_norm(x, gain, bias))


@wrong("wrong-arguments")
def without_a_choice(x, w_1, b_1, w_2, b_2, gain, bias):
    return layer_norm(x + network(x, w_1, b_1, w_2, b_2), gain, bias)


# 3. An encoder block

right = partial(CATALOGUE.right, "transformer.encoder_block")
wrong = partial(CATALOGUE.wrong, "transformer.encoder_block")


class GivenBlock(keras.layers.Layer):
    """What the cell hands out: an answer is a `call`."""

    def __init__(self, d_model, num_heads, d_ff, norm="post", **kwargs):
        super().__init__(**kwargs)
        self.norm = norm
        self.self_attention = MultiHeadAttention(num_heads, d_model)
        self.inner = keras.layers.Dense(d_ff, activation="relu")
        self.outer = keras.layers.Dense(d_model)
        self.attention_norm = keras.layers.LayerNormalization(epsilon=1e-5)
        self.feed_forward_norm = keras.layers.LayerNormalization(epsilon=1e-5)

    def attend(self, x, padding_mask=None):
        mask = None if padding_mask is None else padding_mask[:, None, :]
        return self.self_attention(x, attention_mask=mask)

    def network(self, x):
        return self.outer(self.inner(x))


@right()
class TwoBranches(GivenBlock):
    def call(self, x, padding_mask=None):
        if self.norm == "post":
            x = self.attention_norm(x + self.attend(x, padding_mask))
            return self.feed_forward_norm(x + self.network(x))
        x = x + self.attend(self.attention_norm(x), padding_mask)
        return x + self.network(self.feed_forward_norm(x))


@right()
class OneLoop(GivenBlock):
    def call(self, x, padding_mask=None):
        mask = None
        if padding_mask is not None:
            mask = ops.expand_dims(ops.expand_dims(padding_mask, 1), 1)  # (batch, 1, 1, length)
        steps = (
            (self.attention_norm, lambda y: self.self_attention(y, attention_mask=mask)),
            (self.feed_forward_norm, self.network),
        )
        for normalise, sublayer in steps:
            out = sublayer(normalise(x) if self.norm == "pre" else x)
            x = x + out if self.norm == "pre" else normalise(x + out)
        return x


@right()
class WholeMask(GivenBlock):
    def call(self, x, padding_mask=None):
        batch, length, _ = x.shape
        mask = ops.ones((batch, length, length), dtype="bool")
        if padding_mask is not None:
            mask = ops.logical_and(mask, ops.expand_dims(padding_mask, 1))
        read = x if self.norm == "post" else self.attention_norm(x)
        x = ops.add(x, self.self_attention(read, read, read, attention_mask=mask))
        x = self.attention_norm(x) if self.norm == "post" else x
        read = x if self.norm == "post" else self.feed_forward_norm(x)
        x = ops.add(x, self.outer(self.inner(read)))
        return self.feed_forward_norm(x) if self.norm == "post" else x


@right()
class KerasMask(GivenBlock):
    def call(self, x, padding_mask=None):
        def attend(y):
            return self.self_attention(y, mask=padding_mask)

        if self.norm == "pre":
            x = x + attend(self.attention_norm(x))
            return x + self.network(self.feed_forward_norm(x))
        x = self.attention_norm(x + attend(x))
        return self.feed_forward_norm(x + self.network(x))


@right()
class AddLayers(GivenBlock):
    def call(self, x, padding_mask=None, training=False):
        add = keras.layers.Add()
        if self.norm == "pre":
            h = add([x, self.attend(self.attention_norm(x), padding_mask)])
            return add([h, self.network(self.feed_forward_norm(h))])
        h = self.attention_norm(add([self.attend(x, padding_mask), x]))
        return self.feed_forward_norm(add([self.network(h), h]))


@wrong("always-post")
class PostOnly(GivenBlock):
    def call(self, x, padding_mask=None):
        x = self.attention_norm(x + self.attend(x, padding_mask))
        return self.feed_forward_norm(x + self.network(x))


@wrong("always-pre")
class PreOnly(GivenBlock):
    def call(self, x, padding_mask=None):
        x = x + self.attend(self.attention_norm(x), padding_mask)
        return x + self.network(self.feed_forward_norm(x))


@wrong("exchanged")
class Exchanged(GivenBlock):
    def call(self, x, padding_mask=None):
        if self.norm == "pre":
            return PostOnly.call(self, x, padding_mask)
        return PreOnly.call(self, x, padding_mask)


@wrong("no-attention-residual")
class AttentionReplaces(GivenBlock):
    def call(self, x, padding_mask=None):
        if self.norm == "post":
            x = self.attention_norm(self.attend(x, padding_mask))
            return self.feed_forward_norm(x + self.network(x))
        x = self.attend(self.attention_norm(x), padding_mask)
        return x + self.network(self.feed_forward_norm(x))


@wrong("no-network-residual")
class NetworkReplaces(GivenBlock):
    def call(self, x, padding_mask=None):
        if self.norm == "post":
            x = self.attention_norm(x + self.attend(x, padding_mask))
            return self.feed_forward_norm(self.network(x))
        x = x + self.attend(self.attention_norm(x), padding_mask)
        return self.network(self.feed_forward_norm(x))


@wrong("no-residuals")
class NothingAdded(GivenBlock):
    def call(self, x, padding_mask=None):
        if self.norm == "post":
            x = self.attention_norm(self.attend(x, padding_mask))
            return self.feed_forward_norm(self.network(x))
        x = self.attend(self.attention_norm(x), padding_mask)
        return self.network(self.feed_forward_norm(x))


@wrong("one-residual-round-both")
class OneLongArrow(GivenBlock):
    def call(self, x, padding_mask=None):
        if self.norm == "pre":
            found = self.attend(self.attention_norm(x), padding_mask)
            return x + self.network(self.feed_forward_norm(found))
        found = self.attention_norm(self.attend(x, padding_mask))
        return self.feed_forward_norm(x + self.network(found))


@wrong("residual-from-the-input")
class AddsTheInputTwice(GivenBlock):
    def call(self, inputs, padding_mask=None):
        if self.norm == "post":
            x = self.attention_norm(inputs + self.attend(inputs, padding_mask))
            return self.feed_forward_norm(inputs + self.network(x))
        x = inputs + self.attend(self.attention_norm(inputs), padding_mask)
        return inputs + self.network(self.feed_forward_norm(x))


@wrong("residual-of-the-normalised")
class NormalisedPath(GivenBlock):
    def call(self, x, padding_mask=None):
        if self.norm == "post":
            return PostOnly.call(self, x, padding_mask)
        x = self.attention_norm(x)
        x = x + self.attend(x, padding_mask)
        x = self.feed_forward_norm(x)
        return x + self.network(x)


@wrong("network-reads-the-input")
class Parallel(GivenBlock):
    def call(self, x, padding_mask=None):
        if self.norm == "pre":  # as in GPT-J
            attended = self.attend(self.attention_norm(x), padding_mask)
            return x + attended + self.network(self.feed_forward_norm(x))
        y = self.attention_norm(x + self.attend(x, padding_mask))
        return self.feed_forward_norm(y + self.network(x))


@wrong("network-first")
class NetworkFirst(GivenBlock):
    def call(self, x, padding_mask=None):
        if self.norm == "post":
            x = self.attention_norm(x + self.network(x))
            return self.feed_forward_norm(x + self.attend(x, padding_mask))
        x = x + self.network(self.attention_norm(x))
        return x + self.attend(self.feed_forward_norm(x), padding_mask)


@wrong("outputs-normalised")
class NormOnTheBranch(GivenBlock):
    def call(self, x, padding_mask=None):
        x = x + self.attention_norm(self.attend(x, padding_mask))
        return x + self.feed_forward_norm(self.network(x))


@wrong("norms-exchanged")
class NormsExchanged(GivenBlock):
    def call(self, x, padding_mask=None):
        if self.norm == "post":
            x = self.feed_forward_norm(x + self.attend(x, padding_mask))
            return self.attention_norm(x + self.network(x))
        x = x + self.attend(self.feed_forward_norm(x), padding_mask)
        return x + self.network(self.attention_norm(x))


@wrong("one-norm-twice")
class OneNorm(GivenBlock):
    def call(self, x, padding_mask=None):
        self.feed_forward_norm(x)  # or it would have no weights to set
        if self.norm == "post":
            x = self.attention_norm(x + self.attend(x, padding_mask))
            return self.attention_norm(x + self.network(x))
        x = x + self.attend(self.attention_norm(x), padding_mask)
        return x + self.network(self.attention_norm(x))


@wrong("keys-not-normalised")
class QueriesNormalised(GivenBlock):
    def call(self, x, padding_mask=None):
        if self.norm == "post":
            return PostOnly.call(self, x, padding_mask)
        mask = None if padding_mask is None else padding_mask[:, None, :]
        x = x + self.self_attention(self.attention_norm(x), x, x, attention_mask=mask)
        return x + self.network(self.feed_forward_norm(x))


@wrong("normalised-at-the-end")
class NormalisedAtTheEnd(GivenBlock):
    def call(self, x, padding_mask=None):
        if self.norm == "post":
            return PostOnly.call(self, x, padding_mask)
        return self.feed_forward_norm(PreOnly.call(self, x, padding_mask))


@wrong("mask-ignored")
class MaskIgnored(TwoBranches):
    def call(self, x, padding_mask=None):
        return super().call(x)


@wrong("mask-inverted")
class MaskInverted(TwoBranches):
    def call(self, x, padding_mask=None):
        hidden = None if padding_mask is None else ops.logical_not(padding_mask)
        return super().call(x, hidden)


@wrong("mask-as-matrix")
class MaskAsItIs(GivenBlock):
    def call(self, x, padding_mask=None):
        def attend(y):
            return self.self_attention(y, attention_mask=padding_mask)

        if self.norm == "pre":
            x = x + attend(self.attention_norm(x))
            return x + self.network(self.feed_forward_norm(x))
        x = self.attention_norm(x + attend(x))
        return self.feed_forward_norm(x + self.network(x))


@wrong("mask-on-queries")
class MaskOnQueries(TwoBranches):
    def attend(self, x, padding_mask=None):
        mask = None if padding_mask is None else padding_mask[:, :, None]
        return self.self_attention(x, attention_mask=mask)


@wrong("mask-on-both")
class MaskOnBoth(TwoBranches):
    def attend(self, x, padding_mask=None):
        mask = None
        if padding_mask is not None:
            mask = ops.logical_and(padding_mask[:, :, None], padding_mask[:, None, :])
        return self.self_attention(x, attention_mask=mask)


@wrong("future-hidden")
class CausalEncoder(TwoBranches):
    def attend(self, x, padding_mask=None):
        mask = None
        if padding_mask is not None:
            mask = ops.logical_and(padding_mask[:, None, :], causal_mask(x.shape[1]))
        return self.self_attention(x, attention_mask=mask)


@wrong("exception")
class NameLost(GivenBlock):
    def __init__(self, d_model, num_heads, d_ff, norm="post", **kwargs):
        super().__init__(d_model, num_heads, d_ff, norm, **kwargs)
        self.attention = self.self_attention
        del self.self_attention

    def call(self, x, padding_mask=None):
        x = self.attention_norm(x + self.attention(x))
        return self.feed_forward_norm(x + self.network(x))


@wrong("exception")
class NormNeverBuilt(GivenBlock):
    def call(self, x, padding_mask=None):
        x = x + self.attend(x, padding_mask)
        return self.feed_forward_norm(x + self.network(x))


@wrong("forbidden-call")
class Borrowed(GivenBlock):
    def __init__(self, d_model, num_heads, d_ff, norm="post", **kwargs):
        super().__init__(d_model, num_heads, d_ff, norm, **kwargs)
        self.ready = ReadyEncoder(d_model, num_heads, d_ff, dropout=0.0, norm=norm)

    def call(self, x, padding_mask=None):
        return self.ready(x, None if padding_mask is None else padding_mask[:, None, :])


# 4. What the decoder gets

right = partial(CATALOGUE.right, "transformer.decoder_inputs")
wrong = partial(CATALOGUE.wrong, "transformer.decoder_inputs")


def shift(target_ids, start_id):
    start = ops.full((target_ids.shape[0], 1), start_id, dtype="int32")
    return ops.concatenate([start, target_ids[:, :-1]], axis=1)


def self_mask_of(ids, pad_id):
    length = ids.shape[1]
    causal = ops.tril(ops.ones((length, length), dtype="bool"))
    return ops.logical_and(causal, ops.not_equal(ids, pad_id)[:, None, :])


def cross_mask_of(source_ids, rows, pad_id):
    mask = ops.not_equal(source_ids, pad_id)[:, None, :]
    return ops.broadcast_to(mask, (source_ids.shape[0], rows, source_ids.shape[1]))


@right()
def three_steps(source_ids, target_ids, start_id, pad_id=0):
    ids = shift(target_ids, start_id)
    return ids, self_mask_of(ids, pad_id), cross_mask_of(source_ids, ids.shape[1], pad_id)


@right()
def padded_and_cut(source_ids, target_ids, start_id, pad_id=0):
    ids = ops.pad(target_ids, [[0, 0], [1, 0]], constant_values=start_id)[:, :-1]
    place = ops.arange(ids.shape[1])
    real = ops.expand_dims(ids != pad_id, 1)
    self_mask = (place[:, None] >= place) & real
    cross_mask = ops.repeat(ops.expand_dims(source_ids != pad_id, 1), ids.shape[1], axis=1)
    return [ids, self_mask, cross_mask]


@right()
def with_loops(source_ids, target_ids, start_id, pad_id=0):
    source, target = (ops.convert_to_numpy(t) for t in (source_ids, target_ids))
    ids = [[start_id, *row[:-1].tolist()] for row in target]
    n = len(ids[0])
    own = [[[j <= i and row[j] != pad_id for j in range(n)] for i in range(n)] for row in ids]
    across = [[[bool(w != pad_id) for w in row] for _ in range(n)] for row in source]
    return np.array(ids), np.array(own), np.array(across)


@right()
def rolled_and_overwritten(source_ids, target_ids, start_id, pad_id=0):
    ids = np.roll(ops.convert_to_numpy(target_ids), 1, axis=1)
    ids[:, 0] = start_id
    own = np.tril(np.repeat((ids != pad_id)[:, None], ids.shape[1], 1))
    source = ops.convert_to_numpy(source_ids)
    across = np.ones((*ids.shape, 1), bool) & (source != pad_id)[:, None]
    return ops.convert_to_tensor(ids), ops.convert_to_tensor(own), ops.convert_to_tensor(across)


@right()
def products_of_numbers(source_ids, target_ids, start_id, pad_id=0):
    first = ops.zeros_like(target_ids[:, :1]) + start_id
    ids = ops.concatenate([first, target_ids[:, :-1]], -1)
    one = ops.ones_like(ids)
    seen = ops.einsum("bi,bj->bij", one, ops.cast(ids != pad_id, one.dtype))
    own = ops.cast(ops.tril(seen), "bool")
    across = ops.einsum("bi,bj->bij", one, ops.cast(source_ids != pad_id, one.dtype))
    return ids, own, ops.cast(across, "bool")


@wrong("not-shifted")
def the_target_itself(source_ids, target_ids, start_id, pad_id=0):
    masks = self_mask_of(target_ids, pad_id), cross_mask_of(source_ids, target_ids.shape[1], pad_id)
    return target_ids, *masks


@wrong("rolled")
def rolled_round(source_ids, target_ids, start_id, pad_id=0):
    ids = ops.roll(target_ids, 1, axis=1)
    return ids, self_mask_of(ids, pad_id), cross_mask_of(source_ids, ids.shape[1], pad_id)


@wrong("first-replaced")
def start_over_the_first_word(source_ids, target_ids, start_id, pad_id=0):
    start = ops.full((target_ids.shape[0], 1), start_id, dtype="int32")
    ids = ops.concatenate([start, target_ids[:, 1:]], axis=1)
    return ids, self_mask_of(ids, pad_id), cross_mask_of(source_ids, ids.shape[1], pad_id)


@wrong("shifted-left")
def the_other_direction(source_ids, target_ids, start_id, pad_id=0):
    fill = ops.full((target_ids.shape[0], 1), pad_id, dtype="int32")
    ids = ops.concatenate([target_ids[:, 1:], fill], axis=1)
    return ids, self_mask_of(ids, pad_id), cross_mask_of(source_ids, ids.shape[1], pad_id)


@wrong("padding-first")
def zeros_in_front(source_ids, target_ids, start_id, pad_id=0):
    ids = shift(target_ids, pad_id)
    return ids, self_mask_of(ids, pad_id), cross_mask_of(source_ids, ids.shape[1], pad_id)


@wrong("one-longer")
def nothing_dropped(source_ids, target_ids, start_id, pad_id=0):
    ids = ops.pad(target_ids, [[0, 0], [1, 0]], constant_values=start_id)
    return ids, self_mask_of(ids, pad_id), cross_mask_of(source_ids, ids.shape[1], pad_id)


@wrong("end-dropped")
def end_symbol_taken_out(source_ids, target_ids, start_id, pad_id=0):
    target = ops.convert_to_numpy(target_ids).copy()
    for row in target:
        row[(row != pad_id).sum() - 1] = pad_id
    ids = shift(ops.convert_to_tensor(target), start_id)
    return ids, self_mask_of(ids, pad_id), cross_mask_of(source_ids, ids.shape[1], pad_id)


@wrong("no-causal")
def padding_only(source_ids, target_ids, start_id, pad_id=0):
    ids = shift(target_ids, start_id)
    n = ids.shape[1]
    return ids, cross_mask_of(ids, n, pad_id), cross_mask_of(source_ids, n, pad_id)


@wrong("not-itself")
def strictly_before(source_ids, target_ids, start_id, pad_id=0):
    ids = shift(target_ids, start_id)
    place = ops.arange(ids.shape[1])
    own = (place[None, :] < place[:, None]) & (ids != pad_id)[:, None, :]
    return ids, own, cross_mask_of(source_ids, ids.shape[1], pad_id)


@wrong("future-only")
def triangle_upside_down(source_ids, target_ids, start_id, pad_id=0):
    ids = shift(target_ids, start_id)
    n = ids.shape[1]
    own = ops.triu(ops.ones((n, n), dtype="bool")) & (ids != pad_id)[:, None, :]
    return ids, own, cross_mask_of(source_ids, n, pad_id)


@wrong("no-padding-in-self")
def causal_only(source_ids, target_ids, start_id, pad_id=0):
    ids = shift(target_ids, start_id)
    batch, n = ids.shape
    own = ops.broadcast_to(ops.tril(ops.ones((n, n), dtype="bool")), (batch, n, n))
    return ids, own, cross_mask_of(source_ids, n, pad_id)


@wrong("or-instead-of-and")
def either_will_do(source_ids, target_ids, start_id, pad_id=0):
    ids = shift(target_ids, start_id)
    n = ids.shape[1]
    own = ops.tril(ops.ones((n, n), dtype="bool")) | (ids != pad_id)[:, None, :]
    return ids, own, cross_mask_of(source_ids, n, pad_id)


@wrong("padding-on-queries")
def rows_hidden(source_ids, target_ids, start_id, pad_id=0):
    ids = shift(target_ids, start_id)
    n = ids.shape[1]
    own = ops.tril(ops.ones((n, n), dtype="bool")) & (ids != pad_id)[:, :, None]
    return ids, own, cross_mask_of(source_ids, n, pad_id)


@wrong("start-hidden")
def special_ids_hidden(source_ids, target_ids, start_id, pad_id=0):
    ids, own, across = three_steps(source_ids, target_ids, start_id, pad_id)
    return ids, ops.logical_and(own, (ids != start_id)[:, None, :]), across


@wrong("of-the-unshifted")
def padding_of_the_target(source_ids, target_ids, start_id, pad_id=0):
    masks = self_mask_of(target_ids, pad_id), cross_mask_of(source_ids, target_ids.shape[1], pad_id)
    return shift(target_ids, start_id), *masks


@wrong("cross-from-the-target", "wrong-shape")
def cross_masked_with_the_target(source_ids, target_ids, start_id, pad_id=0):
    ids = shift(target_ids, start_id)
    return ids, self_mask_of(ids, pad_id), cross_mask_of(ids, ids.shape[1], pad_id)


@wrong("cross-causal", "wrong-shape")
def the_same_mask_builder_twice(source_ids, target_ids, start_id, pad_id=0):
    ids = shift(target_ids, start_id)
    return ids, self_mask_of(ids, pad_id), self_mask_of(source_ids, pad_id)


@wrong("cross-open")
def the_whole_source(source_ids, target_ids, start_id, pad_id=0):
    ids = shift(target_ids, start_id)
    shape = (*ids.shape, source_ids.shape[1])
    return ids, self_mask_of(ids, pad_id), ops.ones(shape, dtype="bool")


@wrong("cross-on-both")
def padded_targets_see_nothing(source_ids, target_ids, start_id, pad_id=0):
    ids = shift(target_ids, start_id)
    across = (ids != pad_id)[:, :, None] & (source_ids != pad_id)[:, None, :]
    return ids, self_mask_of(ids, pad_id), across


@wrong("inverted")
def true_means_hidden(source_ids, target_ids, start_id, pad_id=0):
    ids, own, across = three_steps(source_ids, target_ids, start_id, pad_id)
    return ids, ops.logical_not(own), ops.logical_not(across)


@wrong("pad-id-ignored")
def zero_is_padding(source_ids, target_ids, start_id, pad_id=0):
    return three_steps(source_ids, target_ids, start_id)


@wrong("masks-exchanged")
def cross_mask_first(source_ids, target_ids, start_id, pad_id=0):
    ids, own, across = three_steps(source_ids, target_ids, start_id, pad_id)
    return ids, across, own


@wrong("masks-as-numbers")
def ones_and_zeros(source_ids, target_ids, start_id, pad_id=0):
    ids, own, across = three_steps(source_ids, target_ids, start_id, pad_id)
    return ids, ops.cast(own, "float32"), ops.cast(across, "float32")


@wrong("cross-not-broadcast")
def one_row_for_all(source_ids, target_ids, start_id, pad_id=0):
    ids = shift(target_ids, start_id)
    return ids, self_mask_of(ids, pad_id), (source_ids != pad_id)[:, None, :]


@wrong("ids-missing")
def masks_only(source_ids, target_ids, start_id, pad_id=0):
    return three_steps(source_ids, target_ids, start_id, pad_id)[1:]


@wrong("wrong-dtype")
def ids_as_floats(source_ids, target_ids, start_id, pad_id=0):
    ids, own, across = three_steps(source_ids, target_ids, start_id, pad_id)
    return ops.cast(ids, "float32"), own, across


@wrong("forbidden-call")
def with_the_course_s_masks(source_ids, target_ids, start_id, pad_id=0):
    ids = shift(target_ids, start_id)
    own = ops.logical_and(causal_mask(ids.shape[1]), padding_mask(ids, pad_id)[:, None, :])
    return ids, own, cross_mask_of(source_ids, ids.shape[1], pad_id)


@wrong("end-hidden")
def no_end_symbol_for_the_decoder(source_ids, target_ids, start_id, pad_id=0):
    ids = shift(target_ids, start_id)
    ids = ops.where(ids == 3, pad_id, ids)
    return ids, self_mask_of(ids, pad_id), cross_mask_of(source_ids, ids.shape[1], pad_id)


# 5. Repair a decoder block

right = partial(CATALOGUE.right, "transformer.repair")
wrong = partial(CATALOGUE.wrong, "transformer.repair")


class GivenDecoder(keras.layers.Layer):
    """What the cell hands out, `call` left to the answer."""

    def __init__(self, d_model, num_heads, d_ff, **kwargs):
        super().__init__(**kwargs)
        self.self_attention = MultiHeadAttention(num_heads, d_model)
        self.cross_attention = MultiHeadAttention(num_heads, d_model)
        self.inner = keras.layers.Dense(d_ff, activation="relu")
        self.outer = keras.layers.Dense(d_model)
        self.attention_norm = keras.layers.LayerNormalization(epsilon=1e-5)
        self.cross_norm = keras.layers.LayerNormalization(epsilon=1e-5)
        self.feed_forward_norm = keras.layers.LayerNormalization(epsilon=1e-5)

    def attend(self, x, mask):
        return self.attention_norm(x + self.self_attention(x, attention_mask=mask))

    def finish(self, x):
        return self.feed_forward_norm(x + self.outer(self.inner(x)))


@right()
class Repaired(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        attended = self.self_attention(x, attention_mask=self_mask)
        words = self.attention_norm(x + attended)
        found = self.cross_attention(words, memory, attention_mask=cross_mask)
        words = self.cross_norm(words + found)
        return self.feed_forward_norm(words + self.outer(self.inner(words)))


@right()
class OneName(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        x = self.attend(x, self_mask)
        x = self.cross_norm(self.cross_attention(x, memory, memory, cross_mask) + x)
        return self.finish(x)


@right()
class MaskWithHeads(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        x = self.attention_norm(ops.add(x, self.self_attention(x, x, x, self_mask[:, None])))
        read = self.cross_attention(query=x, key=memory, attention_mask=cross_mask[:, None])
        x = self.cross_norm(ops.add(x, read))
        return self.feed_forward_norm(ops.add(x, self.outer(self.inner(x))))


@right()
class ByHeads(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        x = self.attend(x, self_mask)
        both = zip(ops.unstack(x), ops.unstack(memory), ops.unstack(cross_mask), strict=True)
        if x.shape[0] is None:
            return x
        found = [self.cross_attention(a[None], b[None], None, m[None]) for a, b, m in both]
        return self.finish(self.cross_norm(x + ops.concatenate(found, axis=0)))


@wrong("residual-from-the-input", "queries-from-memory", "mask-of-the-target")
class AsHandedOut(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.attend(x, self_mask)
        found = self.cross_attention(memory, words, attention_mask=self_mask)
        return self.finish(self.cross_norm(x + found))


@wrong("residual-from-the-input")
class ResidualLeft(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.attend(x, self_mask)
        found = self.cross_attention(words, memory, attention_mask=cross_mask)
        return self.finish(self.cross_norm(x + found))


@wrong("queries-from-memory")
class QueriesLeft(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.attend(x, self_mask)
        found = self.cross_attention(memory, words, attention_mask=cross_mask)
        return self.finish(self.cross_norm(words + found))


@wrong("mask-of-the-target")
class MaskLeft(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.attend(x, self_mask)
        found = self.cross_attention(words, memory, attention_mask=self_mask)
        return self.finish(self.cross_norm(words + found))


@wrong("residual-from-the-input")
class OnlyQueriesRepaired(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.attend(x, self_mask)
        found = self.cross_attention(words, memory, attention_mask=self_mask)
        return self.finish(self.cross_norm(x + found))


@wrong("queries-from-memory", "mask-of-the-target")
class OnlyResidualRepaired(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.attend(x, self_mask)
        found = self.cross_attention(memory, words, attention_mask=self_mask)
        return self.finish(self.cross_norm(words + found))


@wrong("residual-from-the-input")
class OnlyMaskRepaired(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.attend(x, self_mask)
        found = self.cross_attention(memory, words, attention_mask=cross_mask)
        return self.finish(self.cross_norm(x + found))


@wrong("no-cross-residual")
class CrossReplaces(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.attend(x, self_mask)
        found = self.cross_attention(words, memory, attention_mask=cross_mask)
        return self.finish(self.cross_norm(found))


@wrong("residual-from-the-memory")
class AddsTheMemory(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.attend(x, self_mask)
        found = self.cross_attention(words, memory, attention_mask=cross_mask)
        return self.finish(self.cross_norm(memory + found))


@wrong("cross-reads-the-input")
class AsksWithTheInput(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.attend(x, self_mask)
        found = self.cross_attention(x, memory, attention_mask=cross_mask)
        return self.finish(self.cross_norm(words + found))


@wrong("keys-from-the-words")
class LooksAtItself(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.attend(x, self_mask)
        found = self.cross_attention(words, attention_mask=cross_mask)
        return self.finish(self.cross_norm(words + found))


@wrong("cross-first")
class SourceFirst(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        found = self.cross_attention(x, memory, attention_mask=cross_mask)
        return self.finish(self.attend(self.cross_norm(x + found), self_mask))


@wrong("no-last-norm")
class EndsInASum(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.attend(x, self_mask)
        words = self.cross_norm(words + self.cross_attention(words, memory, None, cross_mask))
        self.feed_forward_norm(words)
        return words + self.outer(self.inner(words))


@wrong("pre-norm")
class PreNorm(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        x = x + self.self_attention(self.attention_norm(x), attention_mask=self_mask)
        x = x + self.cross_attention(self.cross_norm(x), memory, attention_mask=cross_mask)
        return x + self.outer(self.inner(self.feed_forward_norm(x)))


@wrong("cross-norm-before")
class CrossNormBefore(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        x = self.attend(x, self_mask)
        x = x + self.cross_attention(self.cross_norm(x), memory, attention_mask=cross_mask)
        return self.finish(x)


@wrong("network-residual-from-before")
class LastResidualTooEarly(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.attend(x, self_mask)
        found = self.cross_norm(words + self.cross_attention(words, memory, None, cross_mask))
        return self.feed_forward_norm(words + self.outer(self.inner(found)))


@wrong("both-residuals")
class InputAddedToo(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.attend(x, self_mask)
        found = self.cross_attention(words, memory, attention_mask=cross_mask)
        return self.finish(self.cross_norm(x + words + found))


@wrong("self-mask-missing")
class FutureSeen(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.attention_norm(x + self.self_attention(x))
        found = self.cross_attention(words, memory, attention_mask=cross_mask)
        return self.finish(self.cross_norm(words + found))


@wrong("cross-mask-missing")
class PaddingSeen(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.attend(x, self_mask)
        return self.finish(self.cross_norm(words + self.cross_attention(words, memory)))


@wrong("masks-exchanged")
class MasksExchanged(Repaired):
    def call(self, x, memory, self_mask, cross_mask):
        return super().call(x, memory, cross_mask, self_mask)


@wrong("both-masks")
class BothMasks(Repaired):
    def call(self, x, memory, self_mask, cross_mask):
        return super().call(x, memory, self_mask, ops.logical_and(self_mask, cross_mask))


@wrong("norms-swapped")
class NormsSwapped(GivenDecoder):
    def call(self, x, memory, self_mask, cross_mask):
        words = self.cross_norm(x + self.self_attention(x, attention_mask=self_mask))
        found = self.cross_attention(words, memory, attention_mask=cross_mask)
        return self.finish(self.attention_norm(words + found))


@wrong("forbidden-call")
class BorrowedDecoder(GivenDecoder):
    def __init__(self, d_model, num_heads, d_ff, **kwargs):
        super().__init__(d_model, num_heads, d_ff, **kwargs)
        self.ready = ReadyDecoder(d_model, num_heads, d_ff, dropout=0.0)

    def call(self, x, memory, self_mask, cross_mask):
        return self.ready(x, memory, self_mask, cross_mask[:, 0])


# 6. Count parameters

right = partial(CATALOGUE.right, "transformer.count")
wrong = partial(CATALOGUE.wrong, "transformer.count")


@right()
def part_by_part(num_layers, d_model, num_heads, d_ff, vocab_size):
    attention = 4 * (d_model**2 + d_model)
    network = 2 * d_model * d_ff + d_ff + d_model
    norm = 2 * d_model
    blocks = num_layers * (3 * attention + 2 * network + 5 * norm)
    return blocks + vocab_size * d_model


@right()
def sum_of_shapes(num_layers, d_model, num_heads, d_ff, vocab_size):
    d = d_model
    projections = [(d, d), (d,)] * 4
    network = [(d, d_ff), (d_ff,), (d_ff, d), (d,)]
    norm = [(d,), (d,)]
    encoder = projections + network + norm * 2
    decoder = projections * 2 + network + norm * 3
    return int(sum(np.prod(s) for s in [(vocab_size, d), *(encoder + decoder) * num_layers]))


@right()
def as_a_numpy_integer(num_layers, d_model, num_heads, d_ff, vocab_size):
    numbers = np.array([d_model + 1, 2 * d_ff + 1, 1], "int64")
    return (
        num_layers * (12 * d_model * numbers[0] + 2 * (d_model * numbers[1] + d_ff) + 10 * d_model)
        + vocab_size * d_model
    )


@right()
def head_by_head(num_layers, d_model, num_heads, d_ff, vocab_size):
    d_head = d_model // num_heads
    attention = sum(3 * (d_model * d_head + d_head) for _ in range(num_heads))
    attention += d_model * d_model + d_model
    total = d_model * vocab_size
    for _ in range(num_layers):
        for attentions in (1, 2):
            total += attentions * attention + (attentions + 1) * 2 * d_model
            total += d_model * d_ff * 2 + d_ff + d_model
    return total


@wrong("no-biases")
def matrices_only(num_layers, d_model, num_heads, d_ff, vocab_size):
    blocks = 12 * d_model**2 + 4 * d_model * d_ff + 10 * d_model
    return num_layers * blocks + vocab_size * d_model


@wrong("no-network-biases")
def network_as_two_matrices(num_layers, d_model, num_heads, d_ff, vocab_size):
    blocks = 3 * 4 * (d_model**2 + d_model) + 4 * d_model * d_ff + 10 * d_model
    return num_layers * blocks + vocab_size * d_model


@wrong("no-cross-attention")
def one_attention_in_the_decoder(num_layers, d_model, num_heads, d_ff, vocab_size):
    attention = 4 * (d_model**2 + d_model)
    network = 2 * d_model * d_ff + d_ff + d_model
    return num_layers * (2 * attention + 2 * network + 10 * d_model) + vocab_size * d_model


@wrong("no-cross-attention-nor-norm")
def twice_the_encoder(num_layers, d_model, num_heads, d_ff, vocab_size):
    attention = 4 * (d_model**2 + d_model)
    network = 2 * d_model * d_ff + d_ff + d_model
    return 2 * num_layers * (attention + network + 4 * d_model) + vocab_size * d_model


@wrong("no-norms")
def norms_forgotten(num_layers, d_model, num_heads, d_ff, vocab_size):
    return part_by_part(num_layers, d_model, 1, d_ff, vocab_size) - 10 * num_layers * d_model


@wrong("one-number-a-norm")
def gains_only(num_layers, d_model, num_heads, d_ff, vocab_size):
    return part_by_part(num_layers, d_model, 1, d_ff, vocab_size) - 5 * num_layers * d_model


@wrong("two-norms-in-the-decoder")
def four_norms(num_layers, d_model, num_heads, d_ff, vocab_size):
    return part_by_part(num_layers, d_model, 1, d_ff, vocab_size) - 2 * num_layers * d_model


@wrong("two-embeddings")
def a_table_for_each_side(num_layers, d_model, num_heads, d_ff, vocab_size):
    return part_by_part(num_layers, d_model, 1, d_ff, vocab_size) + vocab_size * d_model


@wrong("three-embeddings")
def nothing_shared(num_layers, d_model, num_heads, d_ff, vocab_size):
    return part_by_part(num_layers, d_model, 1, d_ff, vocab_size) + 2 * vocab_size * d_model


@wrong("no-embedding")
def blocks_only(num_layers, d_model, num_heads, d_ff, vocab_size):
    return part_by_part(num_layers, d_model, 1, d_ff, 0)


@wrong("output-bias")
def a_bias_for_each_id(num_layers, d_model, num_heads, d_ff, vocab_size):
    return part_by_part(num_layers, d_model, 1, d_ff, vocab_size) + vocab_size


@wrong("times-heads")
def each_head_as_wide_as_the_model(num_layers, d_model, num_heads, d_ff, vocab_size):
    attention = num_heads * 4 * (d_model**2 + d_model)
    network = 2 * d_model * d_ff + d_ff + d_model
    return num_layers * (3 * attention + 2 * network + 10 * d_model) + vocab_size * d_model


@wrong("three-projections")
def no_output_projection(num_layers, d_model, num_heads, d_ff, vocab_size):
    attention = 3 * (d_model**2 + d_model)
    network = 2 * d_model * d_ff + d_ff + d_model
    return num_layers * (3 * attention + 2 * network + 10 * d_model) + vocab_size * d_model


@wrong("one-block-each")
def layers_share_weights(num_layers, d_model, num_heads, d_ff, vocab_size):
    return part_by_part(1, d_model, 1, d_ff, vocab_size)


@wrong("final-norms")
def a_norm_after_each_stack(num_layers, d_model, num_heads, d_ff, vocab_size):
    return part_by_part(num_layers, d_model, 1, d_ff, vocab_size) + 4 * d_model


@wrong("encoder-only")
def half_of_the_model(num_layers, d_model, num_heads, d_ff, vocab_size):
    attention = 4 * (d_model**2 + d_model)
    network = 2 * d_model * d_ff + d_ff + d_model
    return num_layers * (attention + network + 4 * d_model) + vocab_size * d_model


@wrong("in-millions")
def millions(num_layers, d_model, num_heads, d_ff, vocab_size):
    return part_by_part(num_layers, d_model, 1, d_ff, vocab_size) / 1e6


@wrong("wrong-type")
def counted_and_printed(num_layers, d_model, num_heads, d_ff, vocab_size):
    return f"{part_by_part(num_layers, d_model, 1, d_ff, vocab_size):,}"
