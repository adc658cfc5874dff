"""The library's call turned into a student's, and the student's result into the library's.

Each function here takes the student's answer (`mine`, a `Mine`) and what stands at the place now
(`library`), and returns what is put there. Where a call asks for more than the exercise does (a
bias on the scores, another activation), `library` answers.
"""

import types

import keras
import numpy as np
from keras import ops


def attention(mine, library):
    """`scaled_dot_product_attention(query, key, value)` in every attention without a mask.

    With one, its weights are those of the allowed keys, shared out anew: the same numbers as a
    mask on the scores.
    """

    def attend(query, key, value, attention_mask=None, return_weights=False, **more):
        dropout, bias = more.get("dropout"), more.get("score_bias")
        if bias is not None:
            return library(query, key, value, attention_mask, return_weights, **more)
        output, weights = mine(query, key, value)
        if attention_mask is not None:
            allowed = ops.where(attention_mask, weights, ops.zeros_like(weights))
            total = ops.sum(allowed, axis=-1, keepdims=True)
            weights = allowed / ops.maximum(total, 1e-30)
        return _finished(output, weights, value, dropout, return_weights, attention_mask is None)

    return attend


def masked_attention(mine, library):
    """`masked_attention(query, key, value, attention_mask)` in every attention with a mask."""

    def attend(query, key, value, attention_mask=None, return_weights=False, **more):
        if attention_mask is None or more.get("score_bias") is not None:
            return library(query, key, value, attention_mask, return_weights, **more)
        output, weights = mine(query, key, value, attention_mask)
        return _finished(output, weights, value, more.get("dropout"), return_weights, True)

    return attend


def _finished(output, weights, value, dropout, return_weights, is_whole):
    """The output of weights that may be dropped, or that are not those of `output`."""
    if dropout is not None or not is_whole:
        kept = weights if dropout is None else dropout(weights)
        output = ops.matmul(ops.cast(kept, value.dtype), value)
    return (output, weights) if return_weights else output


def causal_mask(mine, library):
    """`make_mask(token_ids, causal=True)` of one sentence without padding."""

    def mask(length):
        if not isinstance(length, int):
            return library(length)
        return mine(ops.ones((1, length), "int32"), causal=True)[0]

    return mask


def padding_mask(mine, library):
    """The first row of `make_mask(token_ids)`: all rows are alike."""

    def mask(token_ids, pad_id=0):
        if len(token_ids.shape) != 2:
            return library(token_ids, pad_id)
        token_ids = ops.convert_to_tensor(token_ids)
        batch, length = token_ids.shape
        made = mine(token_ids, pad_id=pad_id, like=[("bool", (batch, length, length))])
        return made[:, 0, :]

    return mask


def multi_head(mine, library):
    """`multi_head_attention(x, w_q, w_k, w_v, w_o, num_heads, attention_mask)` without biases.

    A layer's biases ride along: each head gets one column more, in which the input is 1.
    """

    def call(
        self,
        query,
        key=None,
        value=None,
        attention_mask=None,
        return_weights=False,
        training=None,
        score_bias=None,
        **masks,
    ):
        itself = key is None or (key is query and (value is None or value is query))
        extra = (score_bias, *masks.values())
        wide = attention_mask is not None and len(attention_mask.shape) == 4
        drops = self.dropout and training is not False
        if (
            return_weights
            or not itself
            or drops
            or self.positions
            or wide
            or any(each is not None for each in extra)
        ):
            given = (query, key, value, attention_mask, return_weights, training, score_bias)
            return library(self, *given, **masks)
        if attention_mask is not None:  # to the shape that the exercise states
            batch, length = ops.shape(query)[:2]
            attention_mask = ops.broadcast_to(attention_mask, (batch, length, length))
        denses = (self.query_dense, self.key_dense, self.value_dense)
        like = [(query.dtype, query.shape)]
        if not self.use_bias:
            kernels = [ops.cast(d.kernel, query.dtype) for d in (*denses, self.output_dense)]
            return mine(query, *kernels, self.num_heads, attention_mask, like=like)
        x, kernels = _with_biases(self, query, denses)
        wide = [(query.dtype, (*query.shape[:2], x.shape[-1]))]
        output = mine(x, *kernels, self.num_heads, attention_mask, like=wide)
        return output[..., : self.d_model] + ops.cast(self.output_dense.bias, output.dtype)

    return call


def _with_biases(layer, x, denses):
    """An input and kernels, one column wider in each head, whose product holds the biases."""
    heads, d_head, d_model = layer.num_heads, layer.d_head, layer.d_model
    ones = ops.pad(ops.ones_like(x[..., :1]), ((0, 0), (0, 0), (0, heads - 1)))
    wide = ops.concatenate([x, ones], axis=-1)  # (batch, length, d_model + heads)
    made = []
    for place, dense in enumerate(denses):
        kernel = ops.concatenate([dense.kernel, dense.bias[None]], axis=0)  # (d_model + 1, d_model)
        kernel = ops.pad(kernel, ((0, heads - 1), (0, 0)))
        kernel = ops.reshape(kernel, (d_model + heads, heads, d_head))
        kernel = ops.pad(kernel, ((0, 0), (0, 0), (0, 1)))
        kernel = ops.reshape(kernel, (d_model + heads, d_model + heads))
        if place == 0:  # the wider head is scaled by another root
            kernel = kernel * ((d_head + 1) / d_head) ** 0.5
        made.append(ops.cast(kernel, x.dtype))
    kernel = ops.reshape(layer.output_dense.kernel, (heads, d_head, d_model))
    kernel = ops.pad(kernel, ((0, 0), (0, 1), (0, heads)))
    made.append(ops.cast(ops.reshape(kernel, (d_model + heads, d_model + heads)), x.dtype))
    return wide, made


def sinusoidal(mine, library):
    """`positional_encoding(length, d_model)` from row `start` on."""

    def encoding(length, d_model, start=0):
        if d_model % 2:
            return library(length, d_model, start)
        return np.asarray(mine(start + length, d_model), "float32")[start:]

    return encoding


def rotary(mine, library):
    """`rotate(x)` for positions from 0 on."""

    def turned(x, positions=None, base=10_000.0, pairs="adjacent"):
        if positions is not None or base != 10_000.0 or pairs != "adjacent":
            return library(x, positions, base, pairs)
        return mine(x, like=[(x.dtype, x.shape)])

    return turned


def alibi(mine, library):
    """`distance_penalty(num_heads, length)` where the queries are the keys."""

    def bias(num_heads, query_length, key_length=None, start=None):
        same = key_length is None or key_length is query_length
        power_of_two = num_heads & (num_heads - 1) == 0
        if not same or not isinstance(query_length, int) or start or not power_of_two:
            return library(num_heads, query_length, key_length, start)
        return ops.convert_to_tensor(mine(num_heads, query_length))

    return bias


def layer_norm(mine, library):
    """`layer_norm(x, gain, bias, epsilon)`, in float32 as the library computes it."""

    def norm(x, scale, shift, epsilon):
        wide = ops.cast(x, "float32") if x.dtype in ("float16", "bfloat16") else x
        scale, shift = (ops.cast(each, wide.dtype) for each in (scale, shift))
        return ops.cast(mine(wide, scale, shift, epsilon), x.dtype)

    return norm


def feed_forward_sublayer(mine, library):
    """`feed_forward_sublayer(x, w_1, b_1, w_2, b_2, gain, bias, norm)` with ReLU, no dropout."""

    def sublayer(self, x):
        network, norm = self.feed_forward, self.feed_forward_norm
        drops = (self.dropout.rate or network.dropout.rate) and _training(self)
        is_relu = network.inner.activation is keras.activations.relu
        if drops or not is_relu or abs(norm.epsilon - 1e-5) > 1e-9:
            return library(self, x)
        inner, outer = network.inner, network.outer
        weights = (inner.kernel, inner.bias, outer.kernel, outer.bias, norm.gamma, norm.beta)
        return mine(x, *(ops.cast(w, x.dtype) for w in weights), norm=self.norm)

    return sublayer


def _training(layer):
    """Whether a layer is called for training; true where that cannot be known."""
    try:
        return layer._get_call_context().training is not False
    except AttributeError:
        return True


def encoder_block(mine, library):
    """`call(self, x, padding_mask)` of the student's `EncoderBlock`, on the library's layers.

    The student's `self` holds the layers that the exercise's `__init__` makes; dropout, which the
    exercise leaves out, comes with them.
    """

    def call(self, x, attention_mask=None):
        if attention_mask is not None and not (
            len(attention_mask.shape) == 3 and attention_mask.shape[1] == 1
        ):
            return library(self, x, attention_mask)
        block, network = self, self.feed_forward
        layers = types.SimpleNamespace(
            norm=block.norm,
            self_attention=lambda *a, **k: block.dropout(block.self_attention(*a, **k)),
            inner=lambda y: network.dropout(network.inner(y)),
            outer=lambda y: block.dropout(network.outer(y)),
            attention_norm=block.attention_norm,
            feed_forward_norm=block.feed_forward_norm,
        )
        mask = None if attention_mask is None else attention_mask[:, 0, :]
        return mine(layers, x, mask)

    return call


def target_mask(mine, library):
    """The mask of self-attention of `decoder_inputs(source_ids, target_ids, start_id, pad_id)`."""

    def mask(target_ids, pad_id=0):
        ids = ops.cast(ops.convert_to_tensor(target_ids), "int32")
        # The targets that, moved one place on, are these inputs; any real id may be the start.
        last = ops.full_like(ids[:, :1], pad_id)
        targets = ops.concatenate([ids[:, 1:], last], axis=1)
        batch, length = ids.shape
        square = (batch, length, length)
        like = [("int32", (batch, length)), ("bool", square), ("bool", square)]
        return mine(targets, targets, pad_id + 1, pad_id, like=like)[1]

    return mask
