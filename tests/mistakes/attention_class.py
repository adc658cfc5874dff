"""Answers to lesson 02 written by someone who had only the student notebook.

24 meant to be wrong and 12 meant to be right, written on 2026-11-25 without sight of the probes.
Against the probes of that day: 22 of the 24 rejected, 9 told their own mistake and 2 shown the line
of their error, 2 told a wrong one; all 12 right ones accepted. The probes and the examiner were
then mended, and the answers are part of the catalogue. Both that had passed are rejected now.
"""

import keras
import numpy as np
from keras import ops

from . import Catalogue

CATALOGUE = Catalogue()


# Helpers: what a student has from the exercises before. They are right.


def _attend(query, key, value):
    """Exercise 1."""
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    weights = ops.softmax(scores, axis=-1)
    return ops.matmul(weights, value), weights


def _masked_attend(query, key, value, attention_mask=None):
    """Exercise 3, and None for no mask."""
    if attention_mask is None:
        return _attend(query, key, value)
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    scores = ops.where(attention_mask, scores, ops.cast(-60000.0, scores.dtype))
    weights = ops.softmax(scores, axis=-1)
    weights = ops.where(attention_mask, weights, ops.zeros_like(weights))
    return ops.matmul(weights, value), weights


# Exercise 1: scores, weights, output


# d_k is read as the number of queries ('the length of the query'), not as their width.
@CATALOGUE.wrong("attention.scaled_dot_product", "scaled-by-query-length")
def amy_scaled_dot_product(query, key, value):
    # d_k is the length of the query
    length_of_query = query.shape[-2]
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / length_of_query**0.5
    weights = ops.softmax(scores, axis=-1)
    output = ops.matmul(weights, value)
    return output, weights


# The root of d_k is a float32 tensor, so float16 inputs raise an error.
@CATALOGUE.wrong("attention.scaled_dot_product", "exception", only_on="tensorflow")
def ben_scaled_dot_product(q, k, v):
    import tensorflow as tf

    matmul_qk = tf.matmul(q, k, transpose_b=True)  # (..., seq_len_q, seq_len_k)
    # scale matmul_qk
    dk = tf.cast(tf.shape(k)[-1], tf.float32)
    scaled_attention_logits = matmul_qk / tf.math.sqrt(dk)
    attention_weights = tf.nn.softmax(scaled_attention_logits, axis=-1)
    output = tf.matmul(attention_weights, v)  # (..., seq_len_q, depth_v)
    return output, attention_weights


# The softmax by hand subtracts one maximum for all rows: a row far below it becomes 0/0.
@CATALOGUE.wrong("attention.scaled_dot_product", "one-maximum")
def chloe_scaled_dot_product(query, key, value):
    q, k, v = (ops.convert_to_numpy(t) for t in (query, key, value))
    scores = q @ np.swapaxes(k, -1, -2) / float(np.sqrt(q.shape[-1]))
    e = np.exp(scores - np.max(scores))  # minus the max: nothing becomes infinite
    weights = e / e.sum(axis=-1, keepdims=True)
    return ops.convert_to_tensor(weights @ v), ops.convert_to_tensor(weights)


# d_k ** 1 / 2 is half of d_k, not its root.
@CATALOGUE.wrong("attention.scaled_dot_product", "half-of-d-k")
def dmitri_scaled_dot_product(query, key, value):
    d_k = query.shape[-1]
    scores = ops.einsum("...qd,...kd->...qk", query, key) / (d_k**1 / 2)
    weights = ops.softmax(scores)
    return ops.einsum("...qk,...kv->...qv", weights, value), weights


@CATALOGUE.right("attention.scaled_dot_product")
def elif_scaled_dot_product(query, key, value):
    # the fourth root on each side: together the square root
    share = query.shape[-1] ** -0.25
    scores = ops.einsum("...id,...jd->...ij", query * share, key * share)
    weights = ops.exp(ops.log_softmax(scores, axis=-1))
    return ops.einsum("...ij,...je->...ie", weights, value), weights


@CATALOGUE.right("attention.scaled_dot_product")
def farid_scaled_dot_product(query, key, value):
    # one query at a time, as in section 2
    q, k, v = (ops.convert_to_numpy(t).astype("float64") for t in (query, key, value))
    weights = np.empty((*q.shape[:-1], k.shape[-2]))
    output = np.empty((*q.shape[:-1], v.shape[-1]))
    for place in np.ndindex(*q.shape[:-1]):
        in_front = place[:-1]
        scores = k[in_front] @ q[place] / np.sqrt(q.shape[-1])
        e = np.exp(scores - scores.max())
        weights[place] = e / e.sum()
        output[place] = weights[place] @ v[in_front]
    return tuple(ops.convert_to_tensor(t, dtype=query.dtype) for t in (output, weights))


# Exercise 2: causal and padding masks


# A key is real if its id is greater than pad_id, so ids below pad_id are hidden too.
@CATALOGUE.wrong("attention.masks", "greater-than-pad")
def grace_make_mask(token_ids, causal=False, pad_id=0):
    batch, length = token_ids.shape
    real = token_ids > pad_id  # (batch, length)
    mask = ops.broadcast_to(real[:, None, :], (batch, length, length))
    if causal:
        mask = ops.logical_and(mask, ops.tril(ops.ones((length, length), dtype="bool")))
    return mask


# All from the first padding on is hidden, though padding may stand in front; a sentence without
# padding is hidden completely: argmax finds place 0.
@CATALOGUE.wrong("attention.masks", "no-padding-hides-all")
def hugo_make_mask(token_ids, causal=False, pad_id=0):
    ids = ops.convert_to_numpy(token_ids)
    batch, length = ids.shape
    mask = np.zeros((batch, length, length), dtype=bool)
    for b in range(batch):
        end = np.argmax(ids[b] == pad_id)  # where the padding begins
        mask[b, :, :end] = True
    if causal:
        mask = np.tril(mask)
    return ops.convert_to_tensor(mask)


# The diagonal is always open, so a padded position may look at itself.
@CATALOGUE.wrong("attention.masks", "diagonal-open")
def ines_make_mask(token_ids, causal=False, pad_id=0):
    ids = ops.convert_to_numpy(token_ids).tolist()
    mask = []
    for sentence in ids:
        rows = []
        for i in range(len(sentence)):
            row = []
            for j in range(len(sentence)):
                if j == i:
                    row.append(True)  # a word may always look at itself
                elif causal and j > i:
                    row.append(False)
                else:
                    row.append(sentence[j] != pad_id)
            rows.append(row)
        mask.append(rows)
    return ops.convert_to_tensor(mask, dtype="bool")


# Hidden only where padding and future agree: minimum of the two in place of maximum.
@CATALOGUE.wrong("attention.masks", "or-instead-of-and", only_on="tensorflow")
def jonas_make_mask(token_ids, causal=False, pad_id=0):
    import tensorflow as tf

    length = token_ids.shape[1]
    # 1 = hidden, as in the TensorFlow tutorial; turned round at the end
    hidden = tf.cast(tf.math.equal(token_ids, pad_id), tf.float32)[:, tf.newaxis, :]
    hidden = tf.tile(hidden, [1, length, 1])
    if causal:
        look_ahead = 1 - tf.linalg.band_part(tf.ones((length, length)), -1, 0)
        hidden = tf.minimum(hidden, look_ahead)
    return tf.cast(1 - hidden, tf.bool)


@CATALOGUE.right("attention.masks")
def kenji_make_mask(token_ids, causal=False, pad_id=0):
    # count the real words up to each place: a real key is not in the future of a query
    # if no more words were counted at the key than at the query
    real = ops.not_equal(token_ids, pad_id)
    count = ops.cumsum(ops.cast(real, "int32"), axis=1)
    query_count, key_count = ops.expand_dims(count, 2), ops.expand_dims(count, 1)
    if not causal:
        query_count = ops.full_like(query_count, count.shape[1])
    seen = ops.less_equal(key_count, query_count)
    return ops.logical_and(seen, ops.expand_dims(real, 1))


@CATALOGUE.right("attention.masks")
def lena_make_mask(token_ids, causal=False, pad_id=0):
    rows = ops.convert_to_numpy(token_ids)
    n = rows.shape[1]
    last = range(n) if causal else [n - 1] * n
    return ops.convert_to_tensor(
        np.array(
            [[[j <= last[i] and r[j] != pad_id for j in range(n)] for i in range(n)] for r in rows]
        )
    )


# Exercise 3: masked attention, and a row with nothing to see


# Hidden weights are set to 0 and the rest is made to sum to 1 after the softmax: where a hidden
# score is much larger, nothing is left to share out.
@CATALOGUE.wrong("attention.fully_masked_row", "shared-out-after")
def mateo_masked_attention(query, key, value, attention_mask):
    _, weights = _attend(query, key, value)
    weights = weights * ops.cast(attention_mask, weights.dtype)
    total = ops.sum(weights, axis=-1, keepdims=True)
    weights = weights / ops.where(total > 0, total, ops.ones_like(total))
    return ops.matmul(weights, value), weights


# Hidden keys are recognised by a score of 0, so a visible key whose score is 0 is hidden too.
@CATALOGUE.wrong("attention.fully_masked_row", "zero-means-hidden")
def nadia_masked_attention(query, key, value, attention_mask):
    allowed = ops.cast(attention_mask, query.dtype)
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    scores = scores * allowed
    very_low = ops.full_like(scores, -60000.0)  # fits into float16
    scores = ops.where(ops.equal(scores, 0.0), very_low, scores)
    weights = ops.softmax(scores, axis=-1)
    weights = weights * ops.max(allowed, axis=-1, keepdims=True)  # rows with nothing to see
    return ops.matmul(weights, value), weights


# The row with nothing to see is opened to avoid NaN, and then looked for in the opened mask.
@CATALOGUE.wrong("attention.fully_masked_row", "row-not-zero")
def oskar_masked_attention(query, key, value, attention_mask):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    # an empty row would be NaN: let it see everything for now
    sees_something = ops.any(attention_mask, axis=-1, keepdims=True)
    attention_mask = ops.logical_or(attention_mask, ops.logical_not(sees_something))
    scores = ops.where(attention_mask, scores, ops.full_like(scores, -np.inf))
    weights = ops.softmax(scores, axis=-1)
    # ... and set it to 0 now
    sees_something = ops.any(attention_mask, axis=-1, keepdims=True)
    weights = ops.where(sees_something, weights, ops.zeros_like(weights))
    return ops.matmul(weights, value), weights


# Loops over the first axis of the mask as well: with one mask for all sentences, row b of it is
# used for every query of sentence b.
@CATALOGUE.wrong("attention.fully_masked_row", "exception")
def priya_masked_attention(query, key, value, attention_mask):
    outputs, all_weights = [], []
    for b in range(query.shape[0]):
        mask = attention_mask[b]
        scores = ops.matmul(query[b], ops.swapaxes(key[b], -1, -2)) / query.shape[-1] ** 0.5
        scores = ops.where(mask, scores, ops.full_like(scores, -60000.0))
        weights = ops.softmax(scores, axis=-1) * ops.cast(mask, scores.dtype)
        outputs.append(ops.matmul(weights, value[b]))
        all_weights.append(weights)
    return ops.stack(outputs), ops.stack(all_weights)


@CATALOGUE.right("attention.fully_masked_row")
def quentin_masked_attention(query, key, value, attention_mask):
    # one more key, which takes the whole 1 of a row with nothing to see, and is cut off again
    scores = ops.cast(ops.einsum("...qd,...kd->...qk", query, key), "float32")
    scores = scores / query.shape[-1] ** 0.5
    mask = ops.broadcast_to(attention_mask, scores.shape)
    nothing = ops.logical_not(ops.any(mask, axis=-1, keepdims=True))
    mask = ops.concatenate([mask, nothing], axis=-1)
    scores = ops.concatenate([scores, ops.zeros_like(scores[..., :1])], axis=-1)
    weights = ops.softmax(ops.where(mask, scores, ops.full_like(scores, -3e38)))[..., :-1]
    weights = ops.cast(weights, query.dtype)
    return ops.matmul(weights, value), weights


@CATALOGUE.right("attention.fully_masked_row")
def rosa_masked_attention(query, key, value, attention_mask):
    # no very negative number at all: each query takes only the keys that it may see
    q, k, v = (ops.convert_to_numpy(t).astype("float64") for t in (query, key, value))
    shape = (*q.shape[:-1], k.shape[-2])
    mask = np.broadcast_to(ops.convert_to_numpy(attention_mask), shape)
    weights = np.zeros(shape)
    for place in np.ndindex(*shape[:-1]):
        seen = np.flatnonzero(mask[place])
        if len(seen) == 0:
            continue
        scores = k[place[:-1]][seen] @ q[place] / q.shape[-1] ** 0.5
        e = np.exp(scores - scores.max())
        weights[(*place, seen)] = e / e.sum()
    output = np.matmul(weights, v)
    return (
        ops.convert_to_tensor(output, dtype=query.dtype),
        ops.convert_to_tensor(weights, dtype=query.dtype),
    )


# Exercise 4: multi-head attention by hand


# X times the transposed matrix, as PyTorch's linear layers do, in all four projections.
@CATALOGUE.wrong("attention.multi_head", "kernels-transposed")
def sam_multi_head_attention(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    def linear(x, weight):  # F.linear
        return ops.matmul(x, ops.transpose(weight))

    B, T, C = x.shape
    q, k, v = (
        ops.swapaxes(ops.reshape(linear(x, w), (B, T, num_heads, C // num_heads)), 1, 2)
        for w in (w_q, w_k, w_v)
    )  # (B, nh, T, hs)
    mask = None if attention_mask is None else attention_mask[:, None]
    y, _ = _masked_attend(q, k, v, mask)
    y = ops.reshape(ops.swapaxes(y, 1, 2), (B, T, C))
    return linear(y, w_o)


# Heads are folded into the batch sentence by sentence, but the masks are laid out head by head
# (tile in place of repeat): sentences get each other's masks.
@CATALOGUE.wrong("attention.multi_head", "mask-without-heads")
def tomas_multi_head_attention(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    batch, length, d_model = x.shape
    d_head = d_model // num_heads

    def fold(t):
        t = ops.reshape(t, (batch, length, num_heads, d_head))
        t = ops.transpose(t, (0, 2, 1, 3))
        return ops.reshape(t, (batch * num_heads, length, d_head))

    q, k, v = fold(ops.matmul(x, w_q)), fold(ops.matmul(x, w_k)), fold(ops.matmul(x, w_v))
    if attention_mask is not None:
        attention_mask = ops.tile(attention_mask, (num_heads, 1, 1))
    heads, _ = _masked_attend(q, k, v, attention_mask)
    heads = ops.reshape(heads, (batch, num_heads, length, d_head))
    heads = ops.transpose(heads, (0, 2, 1, 3))
    return ops.matmul(ops.reshape(heads, (batch, length, d_model)), w_o)


# X is cut into heads before the projection: each head sees its own columns of x alone.
@CATALOGUE.wrong("attention.multi_head", "cut-before-projecting")
def uma_multi_head_attention(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    d_head = x.shape[-1] // num_heads
    heads = []
    for h in range(num_heads):
        part = slice(h * d_head, (h + 1) * d_head)
        words = x[:, :, part]
        q = ops.matmul(words, w_q[part, part])
        k = ops.matmul(words, w_k[part, part])
        v = ops.matmul(words, w_v[part, part])
        heads.append(_masked_attend(q, k, v, attention_mask)[0])
    return ops.matmul(ops.concatenate(heads, axis=-1), w_o)


# Einsum puts the heads last, and the softmax over the last axis runs over heads, not keys.
@CATALOGUE.wrong("attention.multi_head", "softmax-over-heads")
def vera_multi_head_attention(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    b, n, d = x.shape
    q = ops.reshape(ops.matmul(x, w_q), (b, n, num_heads, -1))
    k = ops.reshape(ops.matmul(x, w_k), (b, n, num_heads, -1))
    v = ops.reshape(ops.matmul(x, w_v), (b, n, num_heads, -1))
    scores = ops.einsum("bqhd,bkhd->bqkh", q, k) / q.shape[-1] ** 0.5
    if attention_mask is not None:
        scores = ops.where(attention_mask[..., None], scores, ops.full_like(scores, -1e4))
    weights = ops.softmax(scores, axis=-1)
    if attention_mask is not None:
        weights = weights * ops.cast(attention_mask[..., None], weights.dtype)
    heads = ops.einsum("bqkh,bkhd->bqhd", weights, v)
    return ops.matmul(ops.reshape(heads, (b, n, d)), w_o)


@CATALOGUE.right("attention.multi_head")
def wanda_multi_head_attention(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    # equation (2) literally; [heads] W_O is a sum of heads times their rows of W_O
    d_head = x.shape[-1] // num_heads
    result = ops.zeros_like(x)
    for start in range(0, x.shape[-1], d_head):
        columns = slice(start, start + d_head)
        q, k, v = (ops.matmul(x, w[:, columns]) for w in (w_q, w_k, w_v))
        head, _ = _masked_attend(q, k, v, attention_mask)
        result = result + ops.matmul(head, w_o[columns, :])
    return result


@CATALOGUE.right("attention.multi_head")
def xavier_multi_head_attention(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    # the matrices are cut, not the words; heads first, so that the mask needs no new axis
    d_model = x.shape[-1]
    cut = (d_model, num_heads, d_model // num_heads)
    q, k, v = (ops.einsum("bnm,mhd->hbnd", x, ops.reshape(w, cut)) for w in (w_q, w_k, w_v))
    heads, _ = _masked_attend(q, k, v, attention_mask)  # (heads, batch, length, d_head)
    w_o = ops.reshape(w_o, (num_heads, d_model // num_heads, d_model))
    return ops.einsum("hbnd,hdm->bnm", heads, w_o)


# Exercise 5: repair a layer that mixes words up


class _Colleague(keras.layers.Layer):
    """The layer of the notebook, as it was found; the answers below change parts of it."""

    def __init__(self, num_heads, d_model, **kwargs):
        super().__init__(**kwargs)
        self.num_heads, self.d_model = num_heads, d_model
        self.query_dense = keras.layers.Dense(d_model, use_bias=False)
        self.key_dense = keras.layers.Dense(d_model, use_bias=False)
        self.value_dense = keras.layers.Dense(d_model, use_bias=False)
        self.output_dense = keras.layers.Dense(d_model, use_bias=False)

    def split_heads(self, x):
        """(batch, length, d_model) -> (batch, num_heads, length, d_head)."""
        batch, length, d_model = x.shape
        return ops.reshape(x, (batch, self.num_heads, length, d_model // self.num_heads))

    def merge_heads(self, x):
        """(batch, num_heads, length, d_head) -> (batch, length, d_model)."""
        batch, _, length, _ = x.shape
        return ops.reshape(x, (batch, length, self.d_model))

    def call(self, x):
        query = self.split_heads(self.query_dense(x))
        key = self.split_heads(self.key_dense(x))
        value = self.split_heads(self.value_dense(x))
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
        heads = ops.matmul(ops.softmax(scores, axis=-1), value)
        return self.output_dense(self.merge_heads(heads))

    def get_config(self):
        return {**super().get_config(), "num_heads": self.num_heads, "d_model": self.d_model}


# The repaired layer no longer takes **kwargs, so it cannot be made again from get_config().
@CATALOGUE.wrong("attention.repair", "config-incomplete")
class YusufSelfAttention(_Colleague):
    def __init__(self, num_heads, d_model):
        super().__init__(num_heads, d_model)

    def split_heads(self, x):
        batch, length, d_model = x.shape
        x = ops.reshape(x, (batch, length, self.num_heads, d_model // self.num_heads))
        return ops.transpose(x, (0, 2, 1, 3))

    def merge_heads(self, x):
        batch, _, length, _ = x.shape
        return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (batch, length, self.d_model))


# Merging swaps the last two axes (words and width), not heads and words.
@CATALOGUE.wrong("attention.repair", "merge-swapped")
class ZoeSelfAttention(_Colleague):
    def split_heads(self, x):
        batch, length, d_model = x.shape
        x = ops.reshape(x, (batch, length, self.num_heads, d_model // self.num_heads))
        return ops.swapaxes(x, 1, 2)

    def merge_heads(self, x):
        batch, _, length, _ = x.shape
        x = ops.swapaxes(x, -1, -2)
        return ops.reshape(x, (batch, length, self.d_model))


# A vector is cut as (d_head, num_heads): a head takes every num_heads-th number, not a block.
@CATALOGUE.wrong("attention.repair", "split-and-merge-interleaved")
class AdaSelfAttention(_Colleague):
    def split_heads(self, x):
        batch, length, d_model = x.shape
        x = ops.reshape(x, (batch, length, d_model // self.num_heads, self.num_heads))
        return ops.transpose(x, (0, 3, 1, 2))

    def merge_heads(self, x):
        batch, _, length, _ = x.shape
        x = ops.transpose(x, (0, 2, 3, 1))
        return ops.reshape(x, (batch, length, self.d_model))


# Besides the two repairs, the scale is changed from the root of d_head to that of d_model.
@CATALOGUE.wrong("attention.repair", "scaled-by-d-model")
class BrunoSelfAttention(_Colleague):
    def split_heads(self, x):
        return ops.stack(ops.split(x, self.num_heads, axis=-1), axis=1)

    def merge_heads(self, x):
        return ops.concatenate([x[:, h] for h in range(self.num_heads)], axis=-1)

    def call(self, x):
        query = self.split_heads(self.query_dense(x))
        key = self.split_heads(self.key_dense(x))
        value = self.split_heads(self.value_dense(x))
        scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / self.d_model**0.5
        heads = ops.matmul(ops.softmax(scores, axis=-1), value)
        return self.output_dense(self.merge_heads(heads))


@CATALOGUE.right("attention.repair")
class CarmenSelfAttention(_Colleague):
    def split_heads(self, x):
        # words last: then the plain reshape cuts the vectors, and only them
        batch, length, d_model = x.shape
        x = ops.transpose(x, (0, 2, 1))
        x = ops.reshape(x, (batch, self.num_heads, d_model // self.num_heads, length))
        return ops.swapaxes(x, -1, -2)

    def merge_heads(self, x):
        batch, _, length, _ = x.shape
        x = ops.reshape(ops.swapaxes(x, -1, -2), (batch, self.d_model, length))
        return ops.transpose(x, (0, 2, 1))


@CATALOGUE.right("attention.repair")
class DieterSelfAttention(_Colleague):
    def split_heads(self, x):
        d_head = self.d_model // self.num_heads
        return ops.stack(
            [x[..., h * d_head : (h + 1) * d_head] for h in range(self.num_heads)], axis=-3
        )

    def merge_heads(self, x):
        return ops.concatenate(ops.unstack(x, axis=-3), axis=-1)


# Exercise 6: measure the cost, and decide


# The slope from the first to the last point, not of the best line through all of them.
@CATALOGUE.wrong("attention.cost", "first-and-last")
def emil_cost_report(lengths, seconds, d_model):
    x, y = np.log(lengths), np.log(seconds)
    slope = (y[-1] - y[0]) / (x[-1] - x[0])
    return {"exponent": float(slope), "crossover": float(2 * d_model)}


# Fits the lengths against the times and turns the slope over: another line, if there is noise.
@CATALOGUE.wrong("attention.cost", "slope-turned-over")
def fatima_cost_report(lengths, seconds, d_model):
    slope, _ = np.polyfit(np.log(seconds), np.log(lengths), 1)
    # 4 n d^2 = 2 n^2 d
    return {"exponent": float(1 / slope), "crossover": 4.0 * d_model**2 / (2 * d_model)}


# Takes log(1 + x) for log(x), which leaves the short times as they are.
@CATALOGUE.wrong("attention.cost", "one-added")
def goran_cost_report(lengths, seconds, d_model):
    exponent = np.polyfit(np.log1p(lengths), np.log1p(seconds), deg=1)[0]
    return {"exponent": float(exponent), "crossover": 2.0 * d_model}


# Only the scores are counted (n n d), not the weighted mean, so the crossover is at 4 d.
@CATALOGUE.wrong("attention.cost", "crossover-four")
def hana_cost_report(lengths, seconds, d_model):
    A = np.stack([np.log(lengths), np.ones(len(lengths))], axis=1)
    (exponent, _), *_ = np.linalg.lstsq(A, np.log(seconds), rcond=None)
    n = 1
    while n * n * d_model < 4 * n * d_model**2:
        n += 1
    return {"exponent": float(exponent), "crossover": float(n)}


@CATALOGUE.right("attention.cost")
def ivan_cost_report(lengths, seconds, d_model):
    # any base of the logarithm gives the same slope
    c = np.cov(np.log10(lengths), np.log10(seconds))
    return {"exponent": float(c[0, 1] / c[0, 0]), "crossover": float(d_model + d_model)}


@CATALOGUE.right("attention.cost")
def julia_cost_report(lengths, seconds, d_model):
    line = np.polynomial.Polynomial.fit(np.log2(lengths), np.log2(seconds), deg=1)
    # 2 d n^2 - 4 d^2 n = 0 has the solutions 0 and the one we want
    crossings = np.roots([2 * d_model, -4 * d_model**2, 0])
    return {"exponent": float(line.deriv()(0)), "crossover": float(max(crossings.real))}
