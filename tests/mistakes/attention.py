"""Answers to the exercises of lesson 02, attention, and what each must be told.

Right answers come first in each part, in as many styles as students have. A wrong answer is written
the way it comes about: from a formula misread, an axis misplaced, a default trusted.
"""

import functools
from functools import partial

import keras
import numpy as np
from keras import layers, ops

import course.attention
import course.attention as notes
from course.attention import scaled_dot_product_attention as sdpa

from . import Catalogue

CATALOGUE = Catalogue()


# 1. Scores, weights, output

right = partial(CATALOGUE.right, "attention.scaled_dot_product")
wrong = partial(CATALOGUE.wrong, "attention.scaled_dot_product")


@right()
def as_in_the_paper(query, key, value):
    d_k = query.shape[-1]
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / d_k**0.5
    weights = ops.softmax(scores, axis=-1)
    return ops.matmul(weights, value), weights


@right()
def with_einsum(query, key, value):
    scores = ops.einsum("...qd,...kd->...qk", query, key) * query.shape[-1] ** -0.5
    weights = keras.activations.softmax(scores)
    return ops.einsum("...qk,...kv->...qv", weights, value), weights


@right()
def softmax_written_out(query, key, value):
    def softmax(scores):
        scores = scores - ops.max(scores, axis=-1, keepdims=True)
        exponentials = ops.exp(scores)
        return exponentials / ops.sum(exponentials, axis=-1, keepdims=True)

    d_k = ops.cast(ops.shape(key)[-1], query.dtype)
    weights = softmax(ops.matmul(query / ops.sqrt(d_k), ops.swapaxes(key, -1, -2)))
    return weights @ value, weights


@right()
def with_numpy(query, key, value):
    query, key, value = np.asarray(query), np.asarray(key), np.asarray(value)
    scores = query @ key.swapaxes(-1, -2) / float(np.sqrt(query.shape[-1]))
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights = weights / weights.sum(-1, keepdims=True)
    return weights @ value, weights


@right()
def with_loops(query, key, value):
    if len(query.shape) > 2:
        parts = [with_loops(query[i], key[i], value[i]) for i in range(query.shape[0])]
        return ops.stack([p[0] for p in parts]), ops.stack([p[1] for p in parts])
    rows = []
    for i in range(query.shape[0]):
        scores = [ops.sum(query[i] * key[j]) for j in range(key.shape[0])]
        rows.append(ops.softmax(ops.stack(scores) / query.shape[-1] ** 0.5))
    weights = ops.stack(rows)
    outputs = [
        sum(weights[i, j] * value[j] for j in range(value.shape[0])) for i in range(len(rows))
    ]
    return ops.stack(outputs), weights


@right()
def weights_as_a_list(query, key, value):
    key_t = ops.transpose(key, (*range(len(key.shape) - 2), -1, -2))
    scores = ops.divide(ops.matmul(query, key_t), ops.sqrt(ops.cast(query.shape[-1], query.dtype)))
    weights = ops.softmax(scores)
    return [ops.matmul(weights, value), weights]


@wrong("no-scaling")
def no_scaling(query, key, value):
    weights = ops.softmax(ops.matmul(query, ops.swapaxes(key, -1, -2)))
    return ops.matmul(weights, value), weights


@wrong("divided-by-d-k")
def divided_by_d_k(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1]
    weights = ops.softmax(scores)
    return ops.matmul(weights, value), weights


@wrong("multiplied-by-root")
def multiplied_by_root(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) * query.shape[-1] ** 0.5
    weights = ops.softmax(scores)
    return ops.matmul(weights, value), weights


@wrong("scaled-by-length")
def scaled_by_the_number_of_keys(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
    weights = ops.softmax(scores / scores.shape[-1] ** 0.5)
    return ops.matmul(weights, value), weights


@wrong("scaled-by-d-v")
def scaled_by_the_width_of_values(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / value.shape[-1] ** 0.5
    weights = ops.softmax(scores)
    return ops.matmul(weights, value), weights


@wrong("scaled-after-softmax")
def scaled_after_softmax(query, key, value):
    weights = ops.softmax(ops.matmul(query, ops.swapaxes(key, -1, -2)))
    weights = weights / query.shape[-1] ** 0.5
    return ops.matmul(weights, value), weights


@wrong("softmax-over-queries")
def softmax_over_queries(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    weights = ops.softmax(scores, axis=-2)
    return ops.matmul(weights, value), weights


@wrong("softmax-over-queries")
def softmax_over_the_first_axis(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    weights = ops.exp(scores) / ops.sum(ops.exp(scores), axis=0)
    return ops.matmul(weights, value), weights


@wrong("softmax-over-everything")
def one_softmax_for_all(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    exponentials = ops.exp(scores - ops.max(scores))
    weights = exponentials / ops.sum(exponentials)
    return ops.matmul(weights, value), weights


@wrong("softmax-over-everything")
def softmax_of_a_flat_matrix(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    weights = ops.reshape(ops.softmax(ops.reshape(scores, (-1,))), scores.shape)
    return ops.matmul(weights, value), weights


@wrong("no-softmax")
def no_softmax(query, key, value):
    weights = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    return ops.matmul(weights, value), weights


@wrong("divided-by-sum")
def divided_by_the_sum(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    weights = scores / ops.sum(scores, axis=-1, keepdims=True)
    return ops.matmul(weights, value), weights


@wrong("equal-weights")
def a_plain_mean(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
    weights = ops.ones_like(scores) / scores.shape[-1]
    return ops.matmul(weights, value), weights


@wrong("overflow")
def softmax_without_the_largest(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    weights = ops.exp(scores) / ops.sum(ops.exp(scores), axis=-1, keepdims=True)
    return ops.matmul(weights, value), weights


@wrong("mean-of-keys")
def key_used_as_value(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    weights = ops.softmax(scores)
    return ops.matmul(weights, key), weights


@wrong("scores-from-values")
def value_used_as_key(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(value, -1, -2)) / query.shape[-1] ** 0.5
    weights = ops.softmax(scores)
    return ops.matmul(weights, value), weights


@wrong("query-and-key-swapped")
def arguments_in_another_order(key, query, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    weights = ops.softmax(scores)
    return ops.matmul(weights, value), weights


@wrong("order-of-results")
def weights_first(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    weights = ops.softmax(scores)
    return weights, ops.matmul(weights, value)


@wrong("weights-not-returned")
def output_only(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    return ops.matmul(ops.softmax(scores), value)


@wrong("scores-returned")
def scores_for_weights(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    return ops.matmul(ops.softmax(scores), value), scores


@wrong("one-sentence-only")
def transposes_every_axis(query, key, value):
    scores = ops.matmul(query, ops.transpose(key)) / query.shape[-1] ** 0.5
    weights = ops.softmax(scores)
    return ops.matmul(weights, value), weights


@wrong("one-sentence-only")
def transposes_two_axes_by_name(query, key, value):
    scores = ops.matmul(query, ops.transpose(key, (1, 0))) / query.shape[-1] ** 0.5
    weights = ops.softmax(scores)
    return ops.matmul(weights, value), weights


@wrong("one-sentence-only")
def einsum_for_two_axes(query, key, value):
    scores = ops.einsum("qd,kd->qk", query, key) / query.shape[-1] ** 0.5
    weights = ops.softmax(scores)
    return ops.einsum("qk,kv->qv", weights, value), weights


@wrong("wrong-dtype")
def in_float64(query, key, value):
    query, key, value = (np.asarray(x, "float64") for x in (query, key, value))
    scores = query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1])
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    weights = weights / weights.sum(-1, keepdims=True)
    return weights @ value, weights


@wrong("wrong-dtype")
def always_in_float32(query, key, value):
    query, key, value = (ops.cast(x, "float32") for x in (query, key, value))
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    weights = ops.softmax(scores)
    return ops.matmul(weights, value), weights


@wrong("input-changed")
def scales_the_query_in_place(query, key, value):
    query /= query.shape[-1] ** 0.5
    weights = ops.softmax(ops.matmul(query, ops.swapaxes(key, -1, -2)))
    return ops.matmul(weights, value), weights


@wrong("wrong-shape")
def key_not_transposed(query, key, value):
    weights = ops.softmax(ops.sum(query * key, axis=-1, keepdims=True) / query.shape[-1] ** 0.5)
    return weights * value, weights


@wrong("nan")
def logarithm_of_the_scores(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    weights = ops.softmax(ops.log(scores - ops.max(scores, axis=-1, keepdims=True) - 1.0))
    return ops.matmul(weights, value), weights


@wrong("wrong-type")
def returns_nothing(query, key, value):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    weights = ops.softmax(scores)
    output = ops.matmul(weights, value)
    print(output.shape, weights.shape)


@wrong("wrong-type")
def returns_a_dict(query, key, value):
    output, weights = as_in_the_paper(query, key, value)
    return {"output": output, "weights": weights}


@wrong("wrong-arguments")
def wants_a_mask(query, key, value, mask):
    return as_in_the_paper(query, key, value)


@wrong("wrong-arguments")
def takes_one_input(x):
    return as_in_the_paper(x, x, x)


@wrong("exception")
def torch_habits(query, key, value):
    weights = (query @ key.transpose(-2, -1) / query.size(-1) ** 0.5).softmax(dim=-1)
    return weights @ value, weights


@wrong("not-written")
def not_written(query, key, value):
    raise NotImplementedError("your code here")


@wrong("too-slow", seconds=1.0)
def never_ends(query, key, value):
    i = 0
    rows = []
    while i < query.shape[0]:
        rows.append(query[i])  # i never grows, and so never reaches the end
        rows.clear()
    return rows, rows


@wrong("forbidden-call")
def the_library_function(query, key, value):
    return sdpa(query, key, value, return_weights=True)


@wrong("forbidden-call")
def the_library_module_under_an_alias(query, key, value):
    return notes.scaled_dot_product_attention(query, key, value, return_weights=True)


@wrong("forbidden-call")
def the_library_by_getattr(query, key, value):
    function = getattr(course.attention, "scaled_dot_" + "product_attention")
    return function(query, key, value, return_weights=True)


BOUND = functools.partial(sdpa, return_weights=True)


@wrong("forbidden-call")
def the_library_function_in_a_partial(query, key, value):
    return BOUND(query, key, value)


@wrong("forbidden-call")
def keras_own_function(query, key, value):
    batched = [x[None, :, None, :] for x in (query, key, value)]
    output = getattr(ops, "dot_product_" + "attention")(*batched)[0, :, 0]
    return output, as_in_the_paper(query, key, value)[1]


@wrong("forbidden-call")
def keras_attention_layer(query, key, value):
    layer = getattr(layers, "Atten" + "tion")()
    output, weights = layer([query[None], value[None], key[None]], return_attention_scores=True)
    return output[0], weights[0]


# 2. Masks

right = partial(CATALOGUE.right, "attention.masks")
wrong = partial(CATALOGUE.wrong, "attention.masks")


@right()
def two_comparisons(token_ids, causal=False, pad_id=0):
    batch, length = token_ids.shape
    mask = ops.broadcast_to((token_ids != pad_id)[:, None, :], (batch, length, length))
    if causal:
        position = ops.arange(length)
        mask = ops.logical_and(mask, position[None, :] <= position[:, None])
    return mask


@right()
def triangle_of_ones(token_ids, causal=False, pad_id=0):
    length = ops.shape(token_ids)[1]
    rule = ops.ones((length, length), dtype="bool")
    if causal:
        rule = ops.cast(ops.tril(ops.ones((length, length))), "bool")
    return ops.logical_and(ops.not_equal(token_ids, pad_id)[:, None, :], rule[None])


@right()
def mask_with_numpy(token_ids, causal=False, pad_id=0):
    token_ids = np.asarray(token_ids)
    length = token_ids.shape[1]
    mask = np.repeat((token_ids != pad_id)[:, None, :], length, axis=1)
    return mask & np.tri(length, dtype=bool) if causal else mask


@right()
def mask_with_loops(token_ids, causal=False, pad_id=0):
    token_ids = np.asarray(token_ids)
    batch, length = token_ids.shape
    mask = np.zeros((batch, length, length), dtype=bool)
    for b in range(batch):
        for i in range(length):
            for j in range(length):
                mask[b, i, j] = token_ids[b, j] != pad_id and (j <= i or not causal)
    return mask


@right()
def product_compared_with_zero(token_ids, causal=False, pad_id=0):
    real = ops.cast(ops.not_equal(token_ids, pad_id), "int32")
    length = real.shape[-1]
    mask = ops.einsum("bj,i->bij", real, ops.ones((length,), dtype="int32"))
    if causal:
        mask = mask * ops.tril(ops.ones((length, length), dtype="int32"))
    return mask > 0


@right()
def hidden_turned_round(token_ids, causal=False, pad_id=0):
    length = token_ids.shape[1]
    hidden = ops.equal(token_ids, pad_id)[:, None, :]
    ahead = ops.triu(ops.ones((length, length), dtype="bool"), k=1) if causal else False
    blocked = ops.logical_or(hidden, ops.logical_and(ahead, ops.ones((length, 1), dtype="bool")))
    return ops.logical_not(blocked)


def real_keys(token_ids, pad_id=0):
    batch, length = token_ids.shape
    return ops.broadcast_to((token_ids != pad_id)[:, None, :], (batch, length, length))


def not_ahead(length):
    return ops.arange(length)[None, :] <= ops.arange(length)[:, None]


@wrong("inverted")
def true_means_hidden(token_ids, causal=False, pad_id=0):
    return ops.logical_not(two_comparisons(token_ids, causal, pad_id))


@wrong("not-boolean")
def ones_and_zeros(token_ids, causal=False, pad_id=0):
    mask = ops.cast(real_keys(token_ids, pad_id), "float32")
    return mask * ops.cast(not_ahead(token_ids.shape[1]), "float32") if causal else mask


@wrong("not-boolean")
def integers(token_ids, causal=False, pad_id=0):
    return ops.cast(two_comparisons(token_ids, causal, pad_id), "int32")


@wrong("minus-infinity-mask")
def numbers_to_add(token_ids, causal=False, pad_id=0):
    return (1.0 - ops.cast(two_comparisons(token_ids, causal, pad_id), "float32")) * -1e9


@wrong("not-itself")
def strictly_before(token_ids, causal=False, pad_id=0):
    mask = real_keys(token_ids, pad_id)
    position = ops.arange(token_ids.shape[1])
    return ops.logical_and(mask, position[None, :] < position[:, None]) if causal else mask


@wrong("one-too-far")
def one_token_too_far(token_ids, causal=False, pad_id=0):
    mask = np.asarray(real_keys(token_ids, pad_id))
    length = token_ids.shape[1]
    return mask & np.tri(length, k=1, dtype=bool) if causal else mask


@wrong("future-only")
def upper_triangle(token_ids, causal=False, pad_id=0):
    mask = real_keys(token_ids, pad_id)
    length = token_ids.shape[1]
    rule = ops.triu(ops.ones((length, length), dtype="bool"))
    return ops.logical_and(mask, rule) if causal else mask


@wrong("causal-ignored")
def padding_alone(token_ids, causal=False, pad_id=0):
    return real_keys(token_ids, pad_id)


@wrong("causal-always")
def always_causal(token_ids, causal=False, pad_id=0):
    return ops.logical_and(real_keys(token_ids, pad_id), not_ahead(token_ids.shape[1]))


@wrong("padding-on-queries")
def hides_rows(token_ids, causal=False, pad_id=0):
    batch, length = token_ids.shape
    mask = ops.broadcast_to((token_ids != pad_id)[:, :, None], (batch, length, length))
    return ops.logical_and(mask, not_ahead(length)) if causal else mask


@wrong("padding-on-both")
def hides_rows_and_columns(token_ids, causal=False, pad_id=0):
    real = token_ids != pad_id
    mask = ops.logical_and(real[:, None, :], real[:, :, None])
    return ops.logical_and(mask, not_ahead(token_ids.shape[1])) if causal else mask


@wrong("padding-ignored")
def everything_is_real(token_ids, causal=False, pad_id=0):
    batch, length = token_ids.shape
    rule = not_ahead(length) if causal else ops.ones((length, length), dtype="bool")
    return ops.broadcast_to(rule, (batch, length, length))


@wrong("padding-only-alone")
def either_causal_or_padding(token_ids, causal=False, pad_id=0):
    batch, length = token_ids.shape
    if causal:
        return ops.broadcast_to(not_ahead(length), (batch, length, length))
    return real_keys(token_ids, pad_id)


@wrong("or-instead-of-and")
def joined_by_or(token_ids, causal=False, pad_id=0):
    mask = real_keys(token_ids, pad_id)
    return ops.logical_or(mask, not_ahead(token_ids.shape[1])) if causal else mask


@wrong("first-sentence-only")
def padding_of_the_first_sentence(token_ids, causal=False, pad_id=0):
    batch, length = token_ids.shape
    mask = ops.broadcast_to((token_ids[0] != pad_id)[None, None, :], (batch, length, length))
    return ops.logical_and(mask, not_ahead(length)) if causal else mask


@wrong("pad-id-ignored")
def pads_are_zero(token_ids, causal=False, pad_id=0):
    return two_comparisons(token_ids, causal)


@wrong("pad-id-ignored")
def truth_of_the_ids(token_ids, causal=False, pad_id=0):
    mask = ops.repeat(ops.cast(token_ids, "bool")[:, None, :], token_ids.shape[1], axis=1)
    return ops.logical_and(mask, not_ahead(token_ids.shape[1])) if causal else mask


@wrong("one-row-only")
def left_to_broadcasting(token_ids, causal=False, pad_id=0):
    mask = (token_ids != pad_id)[:, None, :]
    return ops.logical_and(mask, not_ahead(token_ids.shape[1])) if causal else mask


@wrong("no-batch")
def triangle_alone(token_ids, causal=False, pad_id=0):
    if causal:
        return not_ahead(token_ids.shape[1])
    return real_keys(token_ids, pad_id)


@wrong("not-square")
def which_tokens_are_real(token_ids, causal=False, pad_id=0):
    if causal:
        return two_comparisons(token_ids, causal, pad_id)
    return ops.not_equal(token_ids, pad_id)


@wrong("input-changed")
def shifts_the_ids_in_place(token_ids, causal=False, pad_id=0):
    token_ids -= pad_id
    return two_comparisons(token_ids, causal)


@wrong("wrong-arguments")
def causal_not_asked_for(token_ids):
    return real_keys(token_ids)


@wrong("wrong-type")
def mask_not_returned(token_ids, causal=False, pad_id=0):
    mask = real_keys(token_ids, pad_id)
    if causal:
        mask = ops.logical_and(mask, not_ahead(token_ids.shape[1]))


@wrong("exception", "no-batch")
def python_and(token_ids, causal=False, pad_id=0):
    mask = real_keys(token_ids, pad_id)
    return mask and not_ahead(token_ids.shape[1]) if causal else mask


@wrong("not-written")
def mask_not_written(token_ids, causal=False, pad_id=0):
    raise NotImplementedError


@wrong("too-slow", seconds=1.0)
def mask_never_ends(token_ids, causal=False, pad_id=0):
    i = 0
    while i < token_ids.shape[1]:
        j = 0
        while j <= i:
            j += 1
    return i


# 3. A fully masked row

right = partial(CATALOGUE.right, "attention.fully_masked_row")
wrong = partial(CATALOGUE.wrong, "attention.fully_masked_row")


def scaled_scores(query, key):
    return ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5


@right()
def masked_twice(query, key, value, attention_mask):
    scores = ops.where(attention_mask, scaled_scores(query, key), -3e4)
    weights = ops.where(attention_mask, ops.softmax(scores), 0.0)
    return ops.matmul(weights, value), weights


@right()
def infinity_then_no_nan(query, key, value, attention_mask):
    scores = ops.where(attention_mask, scaled_scores(query, key), -float("inf"))
    weights = ops.nan_to_num(ops.softmax(scores), nan=0.0)
    return ops.matmul(weights, value), weights


@right()
def multiplied_by_the_mask_twice(query, key, value, attention_mask):
    keep = ops.cast(attention_mask, query.dtype)
    weights = ops.softmax(scaled_scores(query, key) + (1 - keep) * -3e4) * keep
    return ops.einsum("...qk,...kv->...qv", weights, value), weights


@right()
def rows_that_see_something(query, key, value, attention_mask):
    scores = ops.where(attention_mask, scaled_scores(query, key), -1e9)
    some = ops.any(attention_mask, axis=-1, keepdims=True)
    weights = ops.where(some, ops.softmax(scores), ops.zeros_like(scores))
    return ops.matmul(weights, value), weights


@right()
def exponentials_of_what_is_seen(query, key, value, attention_mask):
    keep = ops.cast(attention_mask, query.dtype)
    scores = ops.where(attention_mask, scaled_scores(query, key), -3e4)
    scores = scores - ops.max(scores, axis=-1, keepdims=True)
    exponentials = ops.exp(scores) * keep
    total = ops.sum(exponentials, axis=-1, keepdims=True)
    weights = exponentials / ops.where(total > 0, total, ops.ones_like(total))
    return ops.matmul(weights, value), weights


@wrong("shared-out-after")
def subtracts_the_largest_hidden_score(query, key, value, attention_mask):
    scores = scaled_scores(query, key)
    exponentials = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True))
    exponentials = exponentials * ops.cast(attention_mask, query.dtype)
    total = ops.sum(exponentials, axis=-1, keepdims=True)
    weights = exponentials / ops.where(total > 0, total, ops.ones_like(total))
    return ops.matmul(weights, value), weights


@wrong("shared-out-after", "small-number")
def minus_a_hundred(query, key, value, attention_mask):
    scores = ops.where(attention_mask, scaled_scores(query, key), -100.0)
    weights = ops.softmax(scores, axis=-1)
    weights = ops.where(attention_mask, weights, ops.zeros_like(weights))
    return ops.matmul(weights, value), weights


@right()
def masked_with_numpy(query, key, value, attention_mask):
    query, key, value = np.asarray(query), np.asarray(key), np.asarray(value)
    mask = np.broadcast_to(attention_mask, (*query.shape[:-1], key.shape[-2]))
    scores = query @ np.swapaxes(key, -1, -2) / float(np.sqrt(query.shape[-1]))
    weights = np.zeros_like(scores)
    for index in np.ndindex(scores.shape[:-1]):
        seen = scores[index][mask[index]]
        if seen.size:
            exponentials = np.exp(seen - seen.max())
            weights[index][mask[index]] = exponentials / exponentials.sum()
    return weights @ value, weights


@wrong("mask-ignored")
def forgets_the_mask(query, key, value, attention_mask):
    weights = ops.softmax(scaled_scores(query, key))
    return ops.matmul(weights, value), weights


@wrong("inverted")
def hides_what_is_true(query, key, value, attention_mask):
    return masked_twice(query, key, value, ops.logical_not(attention_mask))


@wrong("inverted-nan")
def infinity_where_true(query, key, value, attention_mask):
    scores = ops.where(attention_mask, -float("inf"), scaled_scores(query, key))
    weights = ops.softmax(scores)
    return ops.matmul(weights, value), weights


@wrong("inverted-uniform")
def large_where_true(query, key, value, attention_mask):
    scores = ops.where(attention_mask, -1e9, scaled_scores(query, key))
    weights = ops.softmax(scores)
    return ops.matmul(weights, value), weights


@wrong("mask-added")
def adds_the_mask(query, key, value, attention_mask):
    scores = scaled_scores(query, key) + ops.cast(attention_mask, query.dtype)
    weights = ops.softmax(scores)
    return ops.matmul(weights, value), weights


@wrong("mask-multiplied")
def multiplies_scores_by_the_mask(query, key, value, attention_mask):
    scores = scaled_scores(query, key) * ops.cast(attention_mask, query.dtype)
    weights = ops.softmax(scores)
    return ops.matmul(weights, value), weights


@wrong("zero-score")
def hidden_scores_are_zero(query, key, value, attention_mask):
    scores = ops.where(attention_mask, scaled_scores(query, key), 0.0)
    some = ops.any(attention_mask, axis=-1, keepdims=True)
    weights = ops.where(some, ops.softmax(scores), 0.0)
    return ops.matmul(weights, value), weights


@wrong("small-number")
def not_negative_enough(query, key, value, attention_mask):
    scores = ops.where(attention_mask, scaled_scores(query, key), -10.0)
    some = ops.any(attention_mask, axis=-1, keepdims=True)
    weights = ops.where(some, ops.softmax(scores), 0.0)
    return ops.matmul(weights, value), weights


@wrong("after-softmax")
def masks_the_weights(query, key, value, attention_mask):
    weights = ops.softmax(scaled_scores(query, key))
    weights = ops.where(attention_mask, weights, 0.0)
    return ops.matmul(weights, value), weights


@wrong("nan-row")
def infinity_and_no_more(query, key, value, attention_mask):
    scores = ops.where(attention_mask, scaled_scores(query, key), -float("inf"))
    weights = ops.softmax(scores)
    return ops.matmul(weights, value), weights


@wrong("uniform-row", "row-not-zero")
def a_large_number_and_no_more(query, key, value, attention_mask):
    scores = ops.where(attention_mask, scaled_scores(query, key), -1e9)
    weights = ops.softmax(scores)
    return ops.matmul(weights, value), weights


@wrong("uniform-row", "half-overflow")
def adds_a_large_number(query, key, value, attention_mask):
    hidden = 1.0 - ops.cast(attention_mask, query.dtype)
    weights = ops.softmax(scaled_scores(query, key) + hidden * -1e9)
    return ops.matmul(weights, value), weights


@wrong("row-not-zero")
def adds_ten_thousand(query, key, value, attention_mask):
    hidden = 1.0 - ops.cast(attention_mask, query.dtype)
    weights = ops.softmax(scaled_scores(query, key) + hidden * -1e4)
    return ops.matmul(weights, value), weights


@wrong("weights-of-masked-row")
def zeroes_the_output_alone(query, key, value, attention_mask):
    weights = ops.softmax(ops.where(attention_mask, scaled_scores(query, key), -3e4))
    some = ops.any(attention_mask, axis=-1, keepdims=True)
    return ops.where(some, ops.matmul(weights, value), 0.0), weights


@wrong("output-of-masked-row")
def zeroes_the_weights_too_late(query, key, value, attention_mask):
    weights = ops.softmax(ops.where(attention_mask, scaled_scores(query, key), -3e4))
    output = ops.matmul(weights, value)
    return output, ops.where(attention_mask, weights, 0.0)


@wrong("partly-masked-zeroed")
def all_instead_of_any(query, key, value, attention_mask):
    weights = ops.softmax(ops.where(attention_mask, scaled_scores(query, key), -3e4))
    full = ops.all(attention_mask, axis=-1, keepdims=True)
    weights = ops.where(full, weights, 0.0)
    return ops.matmul(weights, value), weights


@wrong("mask-transposed")
def rows_are_keys(query, key, value, attention_mask):
    scores = ops.swapaxes(scaled_scores(query, key), -1, -2)
    if scores.shape[-1] == scores.shape[-2]:
        scores = ops.where(attention_mask, scores, -3e4)
        seen = ops.swapaxes(attention_mask, -1, -2)
    else:
        scores = ops.where(ops.swapaxes(attention_mask, -1, -2), scores, -3e4)
        seen = attention_mask
    weights = ops.where(seen, ops.softmax(ops.swapaxes(scores, -1, -2)), 0.0)
    return ops.matmul(weights, value), weights


@wrong("no-scaling")
def masked_without_scaling(query, key, value, attention_mask):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
    weights = ops.softmax(ops.where(attention_mask, scores, -3e4))
    weights = ops.where(attention_mask, weights, 0.0)
    return ops.matmul(weights, value), weights


@wrong("one-sentence-only")
def masked_for_one_sentence(query, key, value, attention_mask):
    scores = ops.matmul(query, ops.transpose(key)) / query.shape[-1] ** 0.5
    weights = ops.softmax(ops.where(attention_mask, scores, -3e4))
    weights = ops.where(attention_mask, weights, 0.0)
    return ops.matmul(weights, value), weights


@wrong("half-overflow")
def too_large_for_float16(query, key, value, attention_mask):
    keep = ops.cast(attention_mask, query.dtype)
    weights = ops.softmax(scaled_scores(query, key) + (1 - keep) * ops.cast(-1e9, query.dtype))
    weights = weights * keep
    return ops.matmul(weights, value), weights


@wrong("wrong-dtype")
def masked_in_float64(query, key, value, attention_mask):
    query, key, value = (np.asarray(x, "float64") for x in (query, key, value))
    return masked_with_numpy(query, key, value, attention_mask)


@wrong("wrong-dtype")
def masked_always_in_float32(query, key, value, attention_mask):
    query, key, value = (ops.cast(x, "float32") for x in (query, key, value))
    return masked_twice(query, key, value, attention_mask)


@wrong("input-changed")
def masks_in_place(query, key, value, attention_mask):
    query /= query.shape[-1] ** 0.5
    scores = ops.where(attention_mask, ops.matmul(query, ops.swapaxes(key, -1, -2)), -3e4)
    weights = ops.where(attention_mask, ops.softmax(scores), 0.0)
    return ops.matmul(weights, value), weights


@wrong("wrong-type")
def masked_output_only(query, key, value, attention_mask):
    return masked_twice(query, key, value, attention_mask)[0]


@wrong("wrong-arguments")
def no_mask_taken(query, key, value):
    return as_in_the_paper(query, key, value)


@wrong("forbidden-call")
def the_library_masks(query, key, value, attention_mask):
    return sdpa(query, key, value, attention_mask, return_weights=True)


@wrong("too-slow", seconds=1.0)
def waits_for_a_sum_of_one(query, key, value, attention_mask):
    total = 0.0
    while total != 1.0:
        total = (total + 0.7) % 2.0
    return query, key


# 4. Multi-head attention by hand

right = partial(CATALOGUE.right, "attention.multi_head")
wrong = partial(CATALOGUE.wrong, "attention.multi_head")


def split(x, num_heads):
    batch, length, d_model = x.shape
    x = ops.reshape(x, (batch, length, num_heads, d_model // num_heads))
    return ops.transpose(x, (0, 2, 1, 3))


def merge(x):
    batch, num_heads, length, d_head = x.shape
    return ops.reshape(ops.transpose(x, (0, 2, 1, 3)), (batch, length, num_heads * d_head))


def attend(query, key, value, attention_mask=None, d_k=None):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / (d_k or query.shape[-1]) ** 0.5
    if attention_mask is None:
        return ops.matmul(ops.softmax(scores), value)
    scores = ops.where(attention_mask[:, None], scores, -3e4)
    weights = ops.where(attention_mask[:, None], ops.softmax(scores), 0.0)
    return ops.matmul(weights, value)


def compose(x, kernels, num_heads, attention_mask=None, split=split, merge=merge, **more):
    """A multi-head attention out of parts, so that a wrong answer shows its wrong part alone."""
    w_q, w_k, w_v, w_o = kernels
    parts = [split(ops.matmul(x, w), num_heads) for w in (w_q, w_k, w_v)]
    return ops.matmul(merge(attend(*parts, attention_mask, **more)), w_o)


@right()
def in_the_order_of_the_figure(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    batch, length, d_model = x.shape
    shape = (batch, length, num_heads, d_model // num_heads)
    query = ops.transpose(ops.reshape(ops.matmul(x, w_q), shape), (0, 2, 1, 3))
    key = ops.transpose(ops.reshape(ops.matmul(x, w_k), shape), (0, 2, 1, 3))
    value = ops.transpose(ops.reshape(ops.matmul(x, w_v), shape), (0, 2, 1, 3))
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / (d_model // num_heads) ** 0.5
    if attention_mask is not None:
        scores = ops.where(attention_mask[:, None], scores, -1e9)
    output = ops.matmul(ops.softmax(scores), value)
    output = ops.reshape(ops.transpose(output, (0, 2, 1, 3)), (batch, length, d_model))
    return ops.matmul(output, w_o)


@right()
def heads_by_einsum(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    d_model = x.shape[-1]
    d_head = d_model // num_heads
    w_q, w_k, w_v = (ops.reshape(w, (d_model, num_heads, d_head)) for w in (w_q, w_k, w_v))
    query, key, value = (ops.einsum("btd,dhe->bthe", x, w) for w in (w_q, w_k, w_v))
    scores = ops.einsum("bqhe,bkhe->bhqk", query, key) * d_head**-0.5
    if attention_mask is not None:
        hidden = ops.cast(ops.logical_not(attention_mask), x.dtype)
        scores = scores - 1e9 * ops.expand_dims(hidden, 1)
    heads = ops.einsum("bhqk,bkhe->bqhe", ops.softmax(scores, axis=-1), value)
    return ops.einsum("bqhe,hed->bqd", heads, ops.reshape(w_o, (num_heads, d_head, d_model)))


@right()
def one_head_after_another(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    d_head = x.shape[-1] // num_heads
    outputs = []
    for head in range(num_heads):
        part = slice(head * d_head, (head + 1) * d_head)
        query, key, value = (ops.matmul(x, w[:, part]) for w in (w_q, w_k, w_v))
        scores = ops.matmul(query, ops.swapaxes(key, 1, 2)) / d_head**0.5
        if attention_mask is not None:
            scores = ops.where(attention_mask, scores, -1e9)
        outputs.append(ops.matmul(ops.softmax(scores), value))
    return ops.matmul(ops.concatenate(outputs, axis=-1), w_o)


@right()
def heads_into_the_batch(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    def split(y):
        return ops.concatenate(ops.split(y, num_heads, axis=-1), axis=0)

    query, key, value = (split(ops.matmul(x, w)) for w in (w_q, w_k, w_v))
    scores = ops.matmul(query, ops.swapaxes(key, 1, 2)) / query.shape[-1] ** 0.5
    if attention_mask is not None:
        scores = ops.where(ops.tile(attention_mask, (num_heads, 1, 1)), scores, -1e9)
    output = ops.matmul(ops.softmax(scores), value)
    return ops.matmul(ops.concatenate(ops.split(output, num_heads, axis=0), axis=-1), w_o)


@right()
def heads_with_numpy(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    x, w_q, w_k, w_v, w_o = (np.asarray(a) for a in (x, w_q, w_k, w_v, w_o))
    output = np.zeros_like(x)
    d_head = x.shape[-1] // num_heads
    for b in range(len(x)):
        for h in range(0, x.shape[-1], d_head):
            query, key, value = (x[b] @ w[:, h : h + d_head] for w in (w_q, w_k, w_v))
            scores = query @ key.T / d_head**0.5
            if attention_mask is not None:
                scores[~np.asarray(attention_mask[b])] = -np.inf
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            output[b, :, h : h + d_head] = weights / weights.sum(-1, keepdims=True) @ value
    return output @ w_o


@right()
def reshape_and_swapaxes(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    def split(y):
        return ops.swapaxes(ops.reshape(y, (*y.shape[:2], num_heads, -1)), 1, 2)

    output = attend(split(x @ w_q), split(x @ w_k), split(x @ w_v), attention_mask)
    return ops.reshape(ops.swapaxes(output, 1, 2), x.shape) @ w_o


def reshape_alone(x, num_heads):
    batch, length, d_model = x.shape
    return ops.reshape(x, (batch, num_heads, length, d_model // num_heads))


def reshape_back(x):
    batch, num_heads, length, d_head = x.shape
    return ops.reshape(x, (batch, length, num_heads * d_head))


@wrong("split-by-reshape")
def splits_by_reshape(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    return compose(x, (w_q, w_k, w_v, w_o), num_heads, attention_mask, split=reshape_alone)


@wrong("split-and-merge-by-reshape")
def splits_and_merges_by_reshape(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    kernels = (w_q, w_k, w_v, w_o)
    return compose(x, kernels, num_heads, attention_mask, split=reshape_alone, merge=reshape_back)


@wrong("merge-by-reshape")
def merges_by_reshape(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    return compose(x, (w_q, w_k, w_v, w_o), num_heads, attention_mask, merge=reshape_back)


@wrong("split-interleaved")
def splits_every_other_column(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    def every_other(y, num_heads):
        return ops.stack([y[:, :, h::num_heads] for h in range(num_heads)], axis=1)

    return compose(x, (w_q, w_k, w_v, w_o), num_heads, attention_mask, split=every_other)


@wrong("merge-interleaved")
def merges_column_by_column(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    def column_by_column(y):
        batch, num_heads, length, d_head = y.shape
        return ops.reshape(ops.transpose(y, (0, 2, 3, 1)), (batch, length, num_heads * d_head))

    return compose(x, (w_q, w_k, w_v, w_o), num_heads, attention_mask, merge=column_by_column)


@wrong("merge-reversed")
def last_head_first(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    def backwards(y):
        return ops.concatenate([y[:, h] for h in reversed(range(num_heads))], axis=-1)

    return compose(x, (w_q, w_k, w_v, w_o), num_heads, attention_mask, merge=backwards)


@wrong("heads-averaged")
def averages_heads(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    def average(y):
        return ops.tile(ops.mean(y, axis=1), (1, 1, num_heads))

    return compose(x, (w_q, w_k, w_v, w_o), num_heads, attention_mask, merge=average)


@wrong("one-head-only")
def num_heads_not_used(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    return compose(x, (w_q, w_k, w_v, w_o), 1, attention_mask)


@wrong("scaled-by-d-model")
def scaled_by_d_model(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    return compose(x, (w_q, w_k, w_v, w_o), num_heads, attention_mask, d_k=x.shape[-1])


@wrong("scaled-by-d-head-itself")
def divided_by_d_head(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    d_head = x.shape[-1] // num_heads
    return compose(x, (w_q, w_k, w_v, w_o), num_heads, attention_mask, d_k=d_head**2)


@wrong("no-scaling")
def heads_without_scaling(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    return compose(x, (w_q, w_k, w_v, w_o), num_heads, attention_mask, d_k=1)


@wrong("softmax-over-queries")
def softmax_over_the_queries(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    query, key, value = (split(ops.matmul(x, w), num_heads) for w in (w_q, w_k, w_v))
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    if attention_mask is not None:
        scores = ops.where(attention_mask[:, None], scores, -1e9)
    return ops.matmul(merge(ops.matmul(ops.softmax(scores, axis=2), value)), w_o)


@wrong("softmax-over-heads")
def softmax_over_the_heads(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    query, key, value = (split(ops.matmul(x, w), num_heads) for w in (w_q, w_k, w_v))
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    return ops.matmul(merge(ops.matmul(ops.softmax(scores, axis=1), value)), w_o)


@wrong("no-output-projection")
def forgets_w_o(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    parts = (split(ops.matmul(x, w), num_heads) for w in (w_q, w_k, w_v))
    return merge(attend(*parts, attention_mask))


@wrong("values-from-keys")
def w_k_for_values(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    return compose(x, (w_q, w_k, w_k, w_o), num_heads, attention_mask)


@wrong("keys-from-queries")
def w_q_for_keys(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    return compose(x, (w_q, w_q, w_v, w_o), num_heads, attention_mask)


@wrong("values-not-projected")
def words_for_values(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    return compose(x, (w_q, w_k, ops.eye(x.shape[-1]), w_o), num_heads, attention_mask)


@wrong("kernels-transposed")
def kernels_transposed(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    kernels = [ops.transpose(w) for w in (w_q, w_k, w_v, w_o)]
    return compose(x, kernels, num_heads, attention_mask)


@wrong("mask-ignored")
def heads_without_a_mask(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    return compose(x, (w_q, w_k, w_v, w_o), num_heads)


@wrong("inverted")
def heads_with_the_mask_inverted(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    if attention_mask is not None:
        attention_mask = ops.logical_not(attention_mask)
    return compose(x, (w_q, w_k, w_v, w_o), num_heads, attention_mask)


@wrong("inverted")
def heads_with_minus_where_true(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    query, key, value = (split(ops.matmul(x, w), num_heads) for w in (w_q, w_k, w_v))
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    if attention_mask is not None:
        scores += ops.cast(attention_mask, x.dtype)[:, None] * -1e9
    return ops.matmul(merge(ops.matmul(ops.softmax(scores), value)), w_o)


@wrong("after-softmax")
def heads_masked_after_softmax(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    query, key, value = (split(ops.matmul(x, w), num_heads) for w in (w_q, w_k, w_v))
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    weights = ops.softmax(scores)
    if attention_mask is not None:
        weights = weights * ops.cast(attention_mask, x.dtype)[:, None]
    return ops.matmul(merge(ops.matmul(weights, value)), w_o)


@wrong("residual-added")
def adds_the_words(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    return x + compose(x, (w_q, w_k, w_v, w_o), num_heads, attention_mask)


@wrong("one-sentence-only")
def heads_for_one_sentence(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    length, d_model = x.shape[1:]
    shape = (1, length, num_heads, d_model // num_heads)

    def split_one(y, _):
        return ops.transpose(ops.reshape(y, shape), (0, 2, 1, 3))

    return compose(x, (w_q, w_k, w_v, w_o), num_heads, attention_mask, split=split_one)


@wrong("mask-without-heads")
def mask_without_a_heads_axis(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    query, key, value = (split(ops.matmul(x, w), num_heads) for w in (w_q, w_k, w_v))
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2)) / query.shape[-1] ** 0.5
    if attention_mask is not None:
        scores = ops.where(attention_mask, scores, -1e9)
    return ops.matmul(merge(ops.matmul(ops.softmax(scores), value)), w_o)


@wrong("wrong-dtype")
def heads_in_float64(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    x, w_q, w_k, w_v, w_o = (np.asarray(a, "float64") for a in (x, w_q, w_k, w_v, w_o))
    return heads_with_numpy(x, w_q, w_k, w_v, w_o, num_heads, attention_mask)


@wrong("wrong-shape")
def heads_not_merged(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    query, key, value = (split(ops.matmul(x, w), num_heads) for w in (w_q, w_k, w_v))
    return attend(query, key, value, attention_mask)


@wrong("wrong-type")
def returns_weights_too(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    output = compose(x, (w_q, w_k, w_v, w_o), num_heads, attention_mask)
    return output, output


@wrong("wrong-arguments")
def takes_no_mask(x, w_q, w_k, w_v, w_o):
    return compose(x, (w_q, w_k, w_v, w_o), 2)


@wrong("forbidden-call")
def the_library_layer(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    layer = getattr(notes, "MultiHead" + "Attention")(num_heads, x.shape[-1], use_bias=False)
    layer(x)
    layer.set_weights([np.asarray(w) for w in (w_q, w_k, w_v, w_o)])
    return layer(x, attention_mask=attention_mask)


@wrong("too-slow", seconds=1.0)
def heads_without_end(x, w_q, w_k, w_v, w_o, num_heads, attention_mask=None):
    outputs = []
    while len(outputs) < num_heads:
        outputs = [x]
        outputs.clear()
    return outputs


# 5. Repair a broken head split

right = partial(CATALOGUE.right, "attention.repair")
wrong = partial(CATALOGUE.wrong, "attention.repair")


class Base(layers.Layer):
    """What the right answers and most wrong ones of this part share: all but the two methods."""

    def __init__(self, num_heads, d_model, **kwargs):
        super().__init__(**kwargs)
        self.num_heads, self.d_model = num_heads, d_model
        self.d_head = d_model // num_heads
        self.query_dense = layers.Dense(d_model, use_bias=False)
        self.key_dense = layers.Dense(d_model, use_bias=False)
        self.value_dense = layers.Dense(d_model, use_bias=False)
        self.output_dense = layers.Dense(d_model, use_bias=False)

    def split_heads(self, x):
        batch, length = ops.shape(x)[:2]
        x = ops.reshape(x, (batch, length, self.num_heads, self.d_head))
        return ops.transpose(x, (0, 2, 1, 3))

    def merge_heads(self, x):
        x = ops.transpose(x, (0, 2, 1, 3))
        batch, length = ops.shape(x)[:2]
        return ops.reshape(x, (batch, length, self.d_model))

    def scores(self, query, key):
        return ops.matmul(query, ops.swapaxes(key, -1, -2)) / self.d_head**0.5

    def call(self, x):
        query = self.split_heads(self.query_dense(x))
        key = self.split_heads(self.key_dense(x))
        value = self.split_heads(self.value_dense(x))
        weights = ops.softmax(self.scores(query, key), axis=-1)
        return self.output_dense(self.merge_heads(ops.matmul(weights, value)))

    def get_config(self):
        return super().get_config() | {"num_heads": self.num_heads, "d_model": self.d_model}


@right()
class TransposedTwice(Base):
    pass


@right()
class SwappedAxes(Base):
    def split_heads(self, x):
        return ops.swapaxes(ops.reshape(x, (*x.shape[:2], self.num_heads, -1)), 1, 2)

    def merge_heads(self, x):
        x = ops.swapaxes(x, 1, 2)
        return ops.reshape(x, (*x.shape[:2], -1))


@right()
class SlicedAndConcatenated(Base):
    def split_heads(self, x):
        d = self.d_head
        return ops.stack([x[..., h * d : (h + 1) * d] for h in range(self.num_heads)], axis=1)

    def merge_heads(self, x):
        return ops.concatenate([x[:, h] for h in range(self.num_heads)], axis=-1)


@right()
class EinsumThroughout(Base):
    def call(self, x):
        shape = (*x.shape[:2], self.num_heads, self.d_head)
        dense = (self.query_dense, self.key_dense, self.value_dense)
        query, key, value = (ops.reshape(projection(x), shape) for projection in dense)
        weights = ops.softmax(ops.einsum("bqhd,bkhd->bhqk", query, key) / self.d_head**0.5)
        output = ops.einsum("bhqk,bkhd->bqhd", weights, value)
        return self.output_dense(ops.reshape(output, x.shape))


@right()
class BuiltLate(Base):
    """The projections are made in build, as the Keras guide does."""

    def __init__(self, num_heads, d_model, **kwargs):
        layers.Layer.__init__(self, **kwargs)
        self.num_heads, self.d_model, self.d_head = num_heads, d_model, d_model // num_heads

    def build(self, input_shape):
        for name in ("query", "key", "value", "output"):
            setattr(self, f"{name}_dense", layers.Dense(self.d_model, use_bias=False, name=name))
        for dense in (self.query_dense, self.key_dense, self.value_dense, self.output_dense):
            dense.build(input_shape)


def plain_split(self, x):
    batch, length = ops.shape(x)[:2]
    return ops.reshape(x, (batch, self.num_heads, length, self.d_head))


def plain_merge(self, x):
    batch, _, length = ops.shape(x)[:3]
    return ops.reshape(x, (batch, length, self.d_model))


@wrong("split-and-merge-by-reshape")
class HandedOut(Base):
    split_heads, merge_heads = plain_split, plain_merge


@wrong("split-by-reshape")
class MergeRepaired(Base):
    split_heads = plain_split


@wrong("merge-by-reshape")
class SplitRepaired(Base):
    merge_heads = plain_merge


@wrong("split-interleaved")
class EveryOtherColumn(Base):
    def split_heads(self, x):
        batch, length = ops.shape(x)[:2]
        x = ops.reshape(x, (batch, length, self.d_head, self.num_heads))
        return ops.transpose(x, (0, 3, 1, 2))


@wrong("merge-interleaved")
class MergedColumnByColumn(Base):
    def merge_heads(self, x):
        x = ops.transpose(x, (0, 2, 3, 1))
        batch, length = ops.shape(x)[:2]
        return ops.reshape(x, (batch, length, self.d_model))


@wrong("merge-reversed")
class LastHeadFirst(Base):
    def merge_heads(self, x):
        return super().merge_heads(ops.flip(x, axis=1))


@wrong("heads-averaged")
class HeadsAveraged(Base):
    def merge_heads(self, x):
        return ops.tile(ops.mean(x, axis=1), (1, 1, self.num_heads))


@wrong("one-head-only")
class OneHead(Base):
    def __init__(self, num_heads, d_model, **kwargs):
        super().__init__(num_heads, d_model, **kwargs)
        self.num_heads, self.d_head = 1, d_model


@wrong("scaled-by-d-model")
class ScaledByDModel(Base):
    def scores(self, query, key):
        return ops.matmul(query, ops.swapaxes(key, -1, -2)) / self.d_model**0.5


@wrong("scaled-by-d-head-itself")
class DividedByDHead(Base):
    def scores(self, query, key):
        return ops.matmul(query, ops.swapaxes(key, -1, -2)) / self.d_head


@wrong("no-scaling")
class NotScaled(Base):
    def scores(self, query, key):
        return ops.matmul(query, ops.swapaxes(key, -1, -2))


@wrong("softmax-over-queries")
class SoftmaxOverQueries(Base):
    def call(self, x):
        dense = (self.query_dense, self.key_dense, self.value_dense)
        query, key, value = (self.split_heads(projection(x)) for projection in dense)
        weights = ops.softmax(self.scores(query, key), axis=-2)
        return self.output_dense(self.merge_heads(ops.matmul(weights, value)))


@wrong("no-output-projection")
class NoOutputProjection(Base):
    def call(self, x):
        self.output_dense(x)
        dense = (self.query_dense, self.key_dense, self.value_dense)
        query, key, value = (self.split_heads(projection(x)) for projection in dense)
        return self.merge_heads(ops.matmul(ops.softmax(self.scores(query, key)), value))


@wrong("values-from-keys")
class ValuesFromKeys(Base):
    def call(self, x):
        self.value_dense(x)
        query, key = self.split_heads(self.query_dense(x)), self.split_heads(self.key_dense(x))
        weights = ops.softmax(self.scores(query, key))
        return self.output_dense(self.merge_heads(ops.matmul(weights, key)))


@wrong("keys-from-queries")
class KeysFromQueries(Base):
    def call(self, x):
        self.key_dense(x)
        query, value = self.split_heads(self.query_dense(x)), self.split_heads(self.value_dense(x))
        weights = ops.softmax(self.scores(query, query))
        return self.output_dense(self.merge_heads(ops.matmul(weights, value)))


@wrong("values-not-projected")
class ValuesAreWords(Base):
    def call(self, x):
        self.value_dense(x)
        query, key = self.split_heads(self.query_dense(x)), self.split_heads(self.key_dense(x))
        weights = ops.softmax(self.scores(query, key))
        return self.output_dense(self.merge_heads(ops.matmul(weights, self.split_heads(x))))


@wrong("residual-added")
class WithResidual(Base):
    def call(self, x):
        return x + super().call(x)


@wrong("config-incomplete")
class NoConfig(Base):
    def get_config(self):
        return layers.Layer.get_config(self)


@wrong("config-incomplete")
class HalfTheConfig(Base):
    def get_config(self):
        return layers.Layer.get_config(self) | {"num_heads": self.num_heads}


@wrong("one-sentence-only")
class OneSentence(Base):
    def merge_heads(self, x):
        x = ops.transpose(x, (0, 2, 1, 3))
        return ops.reshape(x, (1, x.shape[1], self.d_model))


# JAX has no float64 unless it is told to.
@wrong("wrong-dtype", only_on="tensorflow")
class InFloat64(Base):
    def __init__(self, num_heads, d_model, **kwargs):
        super().__init__(num_heads, d_model, **{"dtype": "float64"} | kwargs)

    def call(self, x):
        return ops.convert_to_tensor(ops.convert_to_numpy(super().call(x)), dtype="float64")


@wrong("wrong-arguments")
class WithoutNumHeads(Base):
    def __init__(self, d_model):
        super().__init__(2, d_model)


@wrong("wrong-type")
class ForgetsToReturn(Base):
    def call(self, x):
        super().call(x)


@wrong("exception")
class OtherNames(Base):
    def __init__(self, num_heads, d_model, **kwargs):
        super().__init__(num_heads, d_model, **kwargs)
        self.wq = self.query_dense
        del self.query_dense

    def call(self, x):
        query, key = self.split_heads(self.wq(x)), self.split_heads(self.key_dense(x))
        value = self.split_heads(self.value_dense(x))
        weights = ops.softmax(self.scores(query, key))
        return self.output_dense(self.merge_heads(ops.matmul(weights, value)))


@wrong("forbidden-call")
class Wrapped(Base):
    def call(self, x):
        super().call(x)
        layer = getattr(layers, "MultiHead" + "Attention")(self.num_heads, self.d_head)
        return layer(x, x)


@wrong("too-slow", seconds=1.0)
class SplitsForever(Base):
    def split_heads(self, x):
        heads = []
        while len(heads) < self.num_heads:
            heads = heads[:0]
        return x


# 6. Measure the cost, and decide

right = partial(CATALOGUE.right, "attention.cost")
wrong = partial(CATALOGUE.wrong, "attention.cost")


@right()
def with_polyfit(lengths, seconds, d_model):
    slope, _ = np.polyfit(np.log(lengths), np.log(seconds), 1)
    return {"exponent": slope, "crossover": 2 * d_model}


@right()
def least_squares_by_hand(lengths, seconds, d_model):
    x, y = np.log(lengths), np.log(seconds)
    x, y = x - x.mean(), y - y.mean()
    return {"exponent": float((x * y).sum() / (x * x).sum()), "crossover": float(2 * d_model)}


@right()
def with_lstsq(lengths, seconds, d_model):
    design = np.stack([np.log10(lengths), np.ones(len(lengths))], axis=1)
    solution, *_ = np.linalg.lstsq(design, np.log10(seconds), rcond=None)
    return {"exponent": solution[0], "crossover": 4 * d_model**2 / (2 * d_model)}


@right()
def plain_python(lengths, seconds, d_model):
    from math import log2

    x = [log2(float(n)) for n in lengths]
    y = [log2(float(t)) for t in seconds]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    below = sum((a - mean_x) ** 2 for a in x)
    n = 1
    while 2 * n * n * d_model < 4 * n * d_model * d_model:
        n += 1
    return {"crossover": n, "exponent": above / below}


@right()
def with_the_covariance(lengths, seconds, d_model):
    matrix = np.cov(np.log(lengths), np.log(seconds))
    return {"exponent": matrix[0, 1] / matrix[0, 0], "crossover": np.float64(2 * d_model)}


@wrong("no-logarithms")
def line_through_seconds(lengths, seconds, d_model):
    return {"exponent": np.polyfit(lengths, seconds, 1)[0], "crossover": 2 * d_model}


@wrong("one-logarithm")
def logarithm_of_seconds_alone(lengths, seconds, d_model):
    return {"exponent": np.polyfit(lengths, np.log(seconds), 1)[0], "crossover": 2 * d_model}


@wrong("axes-swapped")
def length_against_time(lengths, seconds, d_model):
    slope = np.polyfit(np.log(seconds), np.log(lengths), 1)[0]
    return {"exponent": slope, "crossover": 2 * d_model}


@wrong("intercept")
def takes_the_intercept(lengths, seconds, d_model):
    _, exponent = np.polyfit(np.log(lengths), np.log(seconds), 1)
    return {"exponent": exponent, "crossover": 2 * d_model}


@wrong("first-and-last")
def two_points_only(lengths, seconds, d_model):
    exponent = np.log(seconds[-1] / seconds[0]) / np.log(lengths[-1] / lengths[0])
    return {"exponent": exponent, "crossover": 2 * d_model}


@wrong("growth-factor")
def mean_growth(lengths, seconds, d_model):
    return {"exponent": np.mean(seconds[1:] / seconds[:-1]), "crossover": 2 * d_model}


@wrong("crossover-d-model")
def crossover_at_d_model(lengths, seconds, d_model):
    slope = np.polyfit(np.log(lengths), np.log(seconds), 1)[0]
    return {"exponent": slope, "crossover": d_model}


@wrong("crossover-four")
def crossover_four_times(lengths, seconds, d_model):
    slope = np.polyfit(np.log(lengths), np.log(seconds), 1)[0]
    return {"exponent": slope, "crossover": 4 * d_model}


@wrong("crossover-half")
def crossover_upside_down(lengths, seconds, d_model):
    slope = np.polyfit(np.log(lengths), np.log(seconds), 1)[0]
    return {"exponent": slope, "crossover": d_model / 2}


@wrong("input-changed")
def logarithms_in_place(lengths, seconds, d_model):
    np.log(lengths, out=lengths)
    np.log(seconds, out=seconds)
    return {"exponent": np.polyfit(lengths, seconds, 1)[0], "crossover": 2 * d_model}


@wrong("wrong-type")
def a_pair(lengths, seconds, d_model):
    return np.polyfit(np.log(lengths), np.log(seconds), 1)[0], 2 * d_model


@wrong("wrong-type")
def other_keys(lengths, seconds, d_model):
    slope = np.polyfit(np.log(lengths), np.log(seconds), 1)[0]
    return {"slope": slope, "crossover": 2 * d_model}


@wrong("wrong-type")
def a_formatted_exponent(lengths, seconds, d_model):
    slope = np.polyfit(np.log(lengths), np.log(seconds), 1)[0]
    return {"exponent": f"{slope:.2f}", "crossover": 2 * d_model}


@wrong("wrong-shape")
def both_coefficients(lengths, seconds, d_model):
    fitted = np.polyfit(np.log(lengths), np.log(seconds), 1)
    return {"exponent": fitted, "crossover": 2 * d_model}


@wrong("exponent-rounded")
def rounded_exponent(lengths, seconds, d_model):
    slope = np.polyfit(np.log(lengths), np.log(seconds), 1)[0]
    return {"exponent": round(slope), "crossover": 2 * d_model}


@wrong("wrong-arguments")
def d_model_forgotten(lengths, seconds):
    return {"exponent": np.polyfit(np.log(lengths), np.log(seconds), 1)[0]}


@wrong("too-slow", seconds=1.0)
def searches_for_ever(lengths, seconds, d_model):
    n = 1
    while 2 * n * n * d_model != 4 * n * d_model**2 + 1:
        n = n % 100 + 1
    return {"exponent": 2.0, "crossover": n}
