"""Answers to the exercises of lesson 08, fine-tuning, and what each must be told.

Many are as one finds them: the mean over padded places, the schedule that is asked once an
epoch, Adam with L2 where AdamW was meant, the metric that a progress bar averages over batches.
"""

import math
from collections import OrderedDict, defaultdict
from functools import partial

import numpy as np
from keras import ops

from course import fine_tuning as ready_made

from . import Catalogue

CATALOGUE = Catalogue()


# 1. Repair a classification head

right = partial(CATALOGUE.right, "fine_tuning.head")
wrong = partial(CATALOGUE.wrong, "fine_tuning.head")


def dense(x, weights, name):
    return ops.matmul(x, weights[f"{name}.kernel"]) + weights[f"{name}.bias"]


def first_state(encoder, token_ids, segment_ids, pad_id):
    return encoder(token_ids, segment_ids, ops.not_equal(token_ids, pad_id))[:, 0]


@right()
def as_in_the_paper(encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False):
    pooled = ops.tanh(
        dense(first_state(encoder, token_ids, segment_ids, pad_id), weights, "pooler")
    )
    return dense(dropout(pooled, training=training), weights, "classifier")


@right()
def mask_by_name_and_at_signs(
    encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False
):
    states = encoder(token_ids, segment_ids, padding_mask=token_ids != pad_id)
    pooled = ops.tanh(states[:, 0, :] @ weights["pooler.kernel"] + weights["pooler.bias"])
    pooled = dropout(pooled, training)
    return pooled @ weights["classifier.kernel"] + weights["classifier.bias"]


@right()
def in_numpy_behind_the_encoder(
    encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False
):
    real = ops.cast(ops.not_equal(token_ids, pad_id), "int32")  # ones and zeros serve as well
    states = ops.convert_to_numpy(encoder(token_ids, segment_ids, real))
    w = {name: ops.convert_to_numpy(array) for name, array in weights.items()}
    pooled = np.tanh(states[:, 0] @ w["pooler.kernel"] + w["pooler.bias"])
    if training:
        pooled = ops.convert_to_numpy(dropout(ops.convert_to_tensor(pooled), training=True))
    return pooled @ w["classifier.kernel"] + w["classifier.bias"]


@right()
def with_einsum(encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False):
    x = ops.take(encoder(token_ids, segment_ids, ops.not_equal(token_ids, pad_id)), 0, axis=1)
    x = ops.tanh(ops.einsum("bd,de->be", x, weights["pooler.kernel"]) + weights["pooler.bias"])
    x = dropout(x, training=training)
    return ops.einsum("bd,dc->bc", x, weights["classifier.kernel"]) + weights["classifier.bias"]


@wrong("padding-attended", "mean-over-places", "dropout-twice")
def as_handed_out(encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False):
    states = encoder(token_ids, segment_ids)
    pooled = dropout(ops.mean(states, axis=1), training=training)
    pooled = ops.tanh(ops.matmul(pooled, weights["pooler.kernel"]) + weights["pooler.bias"])
    pooled = dropout(pooled, training=training)
    return ops.matmul(pooled, weights["classifier.kernel"]) + weights["classifier.bias"]


@wrong("padding-attended")
def no_mask(encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False):
    pooled = ops.tanh(dense(encoder(token_ids, segment_ids)[:, 0], weights, "pooler"))
    return dense(dropout(pooled, training=training), weights, "classifier")


@wrong("dropout-twice")
def dropout_in_front_as_well(
    encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False
):
    x = dropout(first_state(encoder, token_ids, segment_ids, pad_id), training=training)
    pooled = ops.tanh(dense(x, weights, "pooler"))
    return dense(dropout(pooled, training=training), weights, "classifier")


@wrong("dropout-of-the-pooled-twice")
def dropout_in_the_pooler_and_behind(
    encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False
):
    pooled = ops.tanh(
        dense(first_state(encoder, token_ids, segment_ids, pad_id), weights, "pooler")
    )
    pooled = dropout(dropout(pooled, training=training), training=training)
    return dense(pooled, weights, "classifier")


@wrong("dropout-before-the-pooler")
def dropout_of_the_state(
    encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False
):
    x = dropout(first_state(encoder, token_ids, segment_ids, pad_id), training=training)
    return dense(ops.tanh(dense(x, weights, "pooler")), weights, "classifier")


@wrong("mean-over-places")
def mean_with_padding(encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False):
    states = encoder(token_ids, segment_ids, ops.not_equal(token_ids, pad_id))
    pooled = ops.tanh(dense(ops.mean(states, axis=1), weights, "pooler"))
    return dense(dropout(pooled, training=training), weights, "classifier")


@wrong("mean-over-real", "mean-over-places")
def mean_of_real_places(
    encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False
):
    real = ops.not_equal(token_ids, pad_id)
    states = encoder(token_ids, segment_ids, real)
    share = ops.cast(real, "float32")[..., None]
    mean = ops.sum(states * share, axis=1) / ops.sum(share, axis=1)
    return dense(
        dropout(ops.tanh(dense(mean, weights, "pooler")), training=training), weights, "classifier"
    )


@wrong("last-place")
def the_last_state(encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False):
    states = encoder(token_ids, segment_ids, ops.not_equal(token_ids, pad_id))
    pooled = ops.tanh(dense(states[:, -1], weights, "pooler"))
    return dense(dropout(pooled, training=training), weights, "classifier")


@wrong("pooler-left-out")
def straight_to_the_classifier(
    encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False
):
    x = first_state(encoder, token_ids, segment_ids, pad_id)
    return dense(dropout(x, training=training), weights, "classifier")


@wrong("no-tanh")
def a_linear_pooler(encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False):
    pooled = dense(first_state(encoder, token_ids, segment_ids, pad_id), weights, "pooler")
    return dense(dropout(pooled, training=training), weights, "classifier")


@wrong("relu-for-tanh")
def relu_pooler(encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False):
    x = first_state(encoder, token_ids, segment_ids, pad_id)
    pooled = ops.relu(dense(x, weights, "pooler"))
    return dense(dropout(pooled, training=training), weights, "classifier")


@wrong("mask-inverted")
def attends_to_padding(encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False):
    states = encoder(token_ids, segment_ids, ops.equal(token_ids, pad_id))
    pooled = ops.tanh(dense(states[:, 0], weights, "pooler"))
    return dense(dropout(pooled, training=training), weights, "classifier")


@wrong("pad-id-ignored")
def zero_is_padding(encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False):
    return as_in_the_paper(encoder, dropout, weights, token_ids, segment_ids, 0, training)


@wrong("segments-left-out")
def all_in_segment_zero(
    encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False
):
    segment_ids = ops.zeros_like(segment_ids)
    return as_in_the_paper(encoder, dropout, weights, token_ids, segment_ids, pad_id, training)


@wrong("always-training")
def dropout_at_all_times(
    encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False
):
    return as_in_the_paper(encoder, dropout, weights, token_ids, segment_ids, pad_id, True)


@wrong("never-training")
def without_dropout(encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False):
    return as_in_the_paper(encoder, dropout, weights, token_ids, segment_ids, pad_id, False)


@wrong("never-training")
def training_not_handed_on(
    encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False
):
    pooled = ops.tanh(
        dense(first_state(encoder, token_ids, segment_ids, pad_id), weights, "pooler")
    )
    return dense(dropout(pooled), weights, "classifier")


@wrong("probabilities")
def softmax_of_logits(encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False):
    return ops.softmax(
        as_in_the_paper(encoder, dropout, weights, token_ids, segment_ids, pad_id, training)
    )


@wrong("wrong-shape")
def squeezed(encoder, dropout, weights, token_ids, segment_ids, pad_id=0, training=False):
    states = first_state(encoder, token_ids, segment_ids, pad_id)
    pooled = dropout(ops.tanh(dense(states, weights, "pooler")), training=training)
    return ops.squeeze(dense(pooled, weights, "classifier"))


# 2. The learning rate of every update

right = partial(CATALOGUE.right, "fine_tuning.schedule")
wrong = partial(CATALOGUE.wrong, "fine_tuning.schedule")


def updates(num_examples, epochs, batch_size):
    return epochs * math.ceil(num_examples / batch_size)


@right()
def two_lines_and_the_smaller(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    step = np.arange(1, total + 1)
    up = step / warmup_steps if warmup_steps else np.ones(total)
    if warmup_steps >= total:
        return peak * up
    return peak * np.minimum(up, (total - step) / (total - warmup_steps))


@right()
def a_loop_over_epochs_and_batches(num_examples, epochs, batch_size, peak, warmup_steps):
    per_epoch = -(-num_examples // batch_size)
    total, found = epochs * per_epoch, []
    for epoch in range(epochs):
        for batch in range(per_epoch):
            t = epoch * per_epoch + batch + 1
            if t <= warmup_steps:
                found.append(peak * t / warmup_steps)
            else:
                found.append(peak * (total - t) / (total - warmup_steps))
    return np.array(found)


@right()
def a_list_of_floats(num_examples, epochs, batch_size, peak, warmup_steps):
    return a_loop_over_epochs_and_batches(
        num_examples, epochs, batch_size, peak, warmup_steps
    ).tolist()


@right()
def two_pieces_joined(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    w = min(warmup_steps, total)
    up = np.linspace(0, peak * w / max(warmup_steps, 1), w + 1)[1:]
    return np.concatenate([up, np.linspace(peak, 0, total - w + 1)[1:]])


@right()
def interpolation(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    if warmup_steps >= total:
        return peak * np.arange(1, total + 1) / warmup_steps
    return (
        np.interp(np.arange(1, total + 1), [0, warmup_steps, total], [0, peak, 0])
        if (warmup_steps)
        else np.interp(np.arange(1, total + 1), [0, total], [peak, 0])
    )


@right()
def with_ops(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    t = ops.cast(ops.arange(1, total + 1), "float32")
    if not warmup_steps:
        return peak * (total - t) / total
    if total <= warmup_steps:
        return peak * t / warmup_steps
    return peak * ops.minimum(t / warmup_steps, (total - t) / (total - warmup_steps))


@wrong("last-batch-left-out")
def floor_division(num_examples, epochs, batch_size, peak, warmup_steps):
    return two_lines_and_the_smaller(
        num_examples // batch_size * batch_size, epochs, batch_size, peak, warmup_steps
    )


@wrong("epochs-joined")
def rounded_up_once(num_examples, epochs, batch_size, peak, warmup_steps):
    return two_lines_and_the_smaller(num_examples * epochs, 1, batch_size, peak, warmup_steps)


@wrong("one-batch-more")
def always_one_more(num_examples, epochs, batch_size, peak, warmup_steps):
    rounded = (num_examples // batch_size + 1) * batch_size
    return two_lines_and_the_smaller(rounded, epochs, batch_size, peak, warmup_steps)


@wrong("one-epoch")
def updates_of_an_epoch(num_examples, epochs, batch_size, peak, warmup_steps):
    return two_lines_and_the_smaller(num_examples, 1, batch_size, peak, warmup_steps)


@wrong("counts-examples")
def a_rate_an_example(num_examples, epochs, batch_size, peak, warmup_steps):
    return two_lines_and_the_smaller(num_examples, epochs, 1, peak, warmup_steps)


@wrong("counts-from-zero")
def as_hugging_face_counts(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    t = np.arange(total)
    up = t / warmup_steps if warmup_steps else np.ones(total)
    if warmup_steps >= total:
        return peak * up
    return peak * np.minimum(up, (total - t) / (total - warmup_steps))


@wrong("one-update-more")
def zero_and_the_last(num_examples, epochs, batch_size, peak, warmup_steps):
    return np.concatenate(
        [
            [0.0] if warmup_steps else [peak],
            two_lines_and_the_smaller(num_examples, epochs, batch_size, peak, warmup_steps),
        ]
    )


@wrong("per-epoch")
def one_rate_an_epoch(num_examples, epochs, batch_size, peak, warmup_steps):
    rates = two_lines_and_the_smaller(num_examples, epochs, batch_size, peak, warmup_steps)
    per_epoch = len(rates) // epochs
    return np.repeat(rates[per_epoch - 1 :: per_epoch], per_epoch)


@wrong("starts-again")
def a_schedule_an_epoch(num_examples, epochs, batch_size, peak, warmup_steps):
    one = two_lines_and_the_smaller(num_examples, 1, batch_size, peak, warmup_steps)
    return np.tile(one, epochs)


@wrong("warm-up-in-epochs")
def epochs_of_warm_up(num_examples, epochs, batch_size, peak, warmup_steps):
    per_epoch = math.ceil(num_examples / batch_size)
    return two_lines_and_the_smaller(
        num_examples, epochs, batch_size, peak, warmup_steps * per_epoch
    )


@wrong("stays-at-the-peak")
def constant_after_the_warm_up(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    step = np.arange(1, total + 1)
    return peak * np.minimum(step / warmup_steps if warmup_steps else 1.0 + 0 * step, 1)


@wrong("only-rises", "unrecognised")
def rises_without_end(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    step = np.arange(1, total + 1)
    if not warmup_steps:
        return peak * (total - step) / total
    return peak * step / warmup_steps


@wrong("decay-alone")
def no_warm_up_at_all(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    return peak * (1 - np.arange(1, total + 1) / total)


@wrong("no-warm-up")
def begins_above_the_peak(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    step = np.arange(1, total + 1)
    if warmup_steps >= total:
        return peak * step / warmup_steps
    return peak * (total - step) / (total - warmup_steps)


@wrong("product-of-both")
def both_multiplied(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    step = np.arange(1, total + 1)
    up = np.minimum(step / warmup_steps, 1) if warmup_steps else 1
    if warmup_steps >= total:
        return peak * up
    return peak * up * (total - step) / total


@wrong("falls-from-the-start")
def fall_reckoned_from_the_first(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    return np.array(
        [
            peak * t / warmup_steps if t < warmup_steps else peak * (total - t) / total
            for t in range(1, total + 1)
        ]
    )


@wrong("does-not-reach-zero")
def ends_one_step_short(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    step = np.arange(1, total + 1)
    up = step / warmup_steps if warmup_steps else np.inf
    if warmup_steps >= total:
        return peak * up
    return peak * np.minimum(up, (total + 1 - step) / (total + 1 - warmup_steps))


@wrong("warm-up-shrunk")
def warm_up_cut_to_the_run(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    return two_lines_and_the_smaller(
        num_examples, epochs, batch_size, peak, min(warmup_steps, total - 1)
    )


@wrong("long-warm-up")
def refuses_a_long_warm_up(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    if warmup_steps >= total:
        raise ValueError("the warm-up is too long")
    return two_lines_and_the_smaller(num_examples, epochs, batch_size, peak, warmup_steps)


@wrong("negative-in-a-long-warm-up")
def no_look_at_the_sign(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    step = np.arange(1, total + 1)
    up = step / warmup_steps if warmup_steps else np.full(total, np.inf)
    return peak * np.minimum(up, (total - step) / (total - warmup_steps))


@wrong("peak-left-out")
def shares_of_the_peak(num_examples, epochs, batch_size, peak, warmup_steps):
    return two_lines_and_the_smaller(num_examples, epochs, batch_size, 1.0, warmup_steps)


@wrong("forbidden-call")
def with_the_schedule_of_the_course(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    return ready_made.WarmupLinear(peak, warmup_steps, total)(ops.arange(total))


@wrong("negative-in-a-long-warm-up")
def rises_only_where_longer(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    step = np.arange(1, total + 1)
    if warmup_steps > total:
        return peak * step / warmup_steps
    with np.errstate(all="ignore"):
        up = step / warmup_steps if warmup_steps else np.full(total, np.inf)
        return peak * np.minimum(up, (total - step) / np.float64(total - warmup_steps))


@wrong("last-batch-left-out", "epochs-joined")
def batches_rounded(num_examples, epochs, batch_size, peak, warmup_steps):
    rounded = round(num_examples / batch_size) * batch_size
    return two_lines_and_the_smaller(rounded, epochs, batch_size, peak, warmup_steps)


@wrong("per-epoch-first")
def asked_as_an_epoch_begins(num_examples, epochs, batch_size, peak, warmup_steps):
    per_epoch = -(-num_examples // batch_size)
    rates = np.array(
        two_lines_and_the_smaller(num_examples, epochs, batch_size, peak, warmup_steps)
    )
    return rates[np.arange(len(rates)) // per_epoch * per_epoch]


@wrong("falls-over-the-run")
def one_line_down_over_all(num_examples, epochs, batch_size, peak, warmup_steps):
    total = updates(num_examples, epochs, batch_size)
    step = np.arange(1, total + 1)
    up = step / warmup_steps if warmup_steps else np.ones(total)
    return peak * (up if warmup_steps >= total else np.minimum(up, (total - step) / total))


@wrong("last-batch-left-out")
def full_batches_alone(num_examples, epochs, batch_size, peak, warmup_steps):
    whole = num_examples // batch_size * batch_size
    return two_lines_and_the_smaller(whole, epochs, batch_size, peak, warmup_steps)


# 3. One update of AdamW

right = partial(CATALOGUE.right, "fine_tuning.adamw")
wrong = partial(CATALOGUE.wrong, "fine_tuning.adamw")


def every_weight(rule):
    """An answer that applies a rule for one weight, `rule(w, g, m, v, t, rate, decay)`, to all."""

    def answer(weights, gradients, m, v, step, learning_rate, weight_decay):
        found = {}, {}, {}
        for name, w in weights.items():
            decay = weight_decay if w.ndim > 1 else 0.0
            new = rule(w, gradients[name], m[name], v[name], step, learning_rate, decay)
            for place, value in zip(found, new, strict=True):
                place[name] = value
        return found

    return answer


def memories(g, m, v):
    return 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2


def moved(m, v, t):
    return m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)


@right()
def one_line_for_each_of_the_four(weights, gradients, m, v, step, learning_rate, weight_decay):
    m = {n: 0.9 * m[n] + 0.1 * g for n, g in gradients.items()}
    v = {n: 0.999 * v[n] + 0.001 * g**2 for n, g in gradients.items()}
    new = {}
    for n, w in weights.items():
        m_hat, v_hat = m[n] / (1 - 0.9**step), v[n] / (1 - 0.999**step)
        decay = weight_decay if w.ndim >= 2 else 0
        new[n] = w - learning_rate * (m_hat / (np.sqrt(v_hat) + 1e-8) + decay * w)
    return new, m, v


@wrong("decays-by-name")
def chosen_by_name(weights, gradients, m, v, step, learning_rate, weight_decay):
    def rule(name):
        m_new, v_new = memories(gradients[name], m[name], v[name])
        spared = name.endswith("bias") or "LayerNorm" in name
        shrunk = weights[name] * (1 - learning_rate * (0 if spared else weight_decay))
        return shrunk - learning_rate * moved(m_new, v_new, step), m_new, v_new

    return tuple({name: rule(name)[k] for name in weights} for k in range(3))


@right()
def factor_in_front_of_the_division(weights, gradients, m, v, step, learning_rate, weight_decay):
    root = math.sqrt(1 - 0.999**step)
    rate = learning_rate * root / (1 - 0.9**step)

    def rule(w, g, m, v, t, lr, decay):
        m, v = memories(g, m, v)
        return w - lr * decay * w - rate * m / (np.sqrt(v) + 1e-8 * root), m, v

    return every_weight(rule)(weights, gradients, m, v, step, learning_rate, weight_decay)


@right()
def moments_by_their_differences(weights, gradients, m, v, step, learning_rate, weight_decay):
    def rule(w, g, m, v, t, lr, decay):
        m, v = m + (g - m) * (1 - 0.9), v + (g * g - v) * (1 - 0.999)
        return w - lr * moved(m, v, t) - lr * decay * w, m, v

    return list(every_weight(rule)(weights, gradients, m, v, step, learning_rate, weight_decay))


def answer_of(name, *mistakes):
    """Notes a rule as a wrong answer of this exercise."""

    def note(rule):
        inner = every_weight(rule)

        def answer(weights, gradients, m, v, step, learning_rate, weight_decay):
            return inner(weights, gradients, m, v, step, learning_rate, weight_decay)

        answer.__name__ = name
        return wrong(*mistakes)(answer)

    return note


@answer_of("l2_and_not_decoupled", "decay-in-the-gradient")
def _(w, g, m, v, t, rate, decay):
    m, v = memories(g + decay * w, m, v)
    return w - rate * moved(m, v, t), m, v


@answer_of("decay_without_the_rate", "decay-without-the-rate")
def _(w, g, m, v, t, rate, decay):
    m, v = memories(g, m, v)
    return w - rate * moved(m, v, t) - decay * w, m, v


@answer_of("shrinks_behind_the_step", "decay-after")
def _(w, g, m, v, t, rate, decay):
    m, v = memories(g, m, v)
    return (w - rate * moved(m, v, t)) * (1 - rate * decay), m, v


@answer_of("grows", "decay-grows")
def _(w, g, m, v, t, rate, decay):
    m, v = memories(g, m, v)
    return w - rate * (moved(m, v, t) - decay * w), m, v


@answer_of("decays_nothing", "decays-nothing")
def _(w, g, m, v, t, rate, decay):
    m, v = memories(g, m, v)
    return w - rate * moved(m, v, t), m, v


@answer_of("no_correction", "no-bias-correction")
def _(w, g, m, v, t, rate, decay):
    m, v = memories(g, m, v)
    return w - rate * (m / (np.sqrt(v) + 1e-8) + decay * w), m, v


@answer_of("corrected_as_at_the_first_update", "corrected-as-at-first")
def _(w, g, m, v, t, rate, decay):
    m, v = memories(g, m, v)
    return w - rate * (moved(m, v, 1) + decay * w), m, v


@answer_of("step_counted_from_zero", "corrected-one-late")
def _(w, g, m, v, t, rate, decay):
    m, v = memories(g, m, v)
    return w - rate * (moved(m, v, t + 1) + decay * w), m, v


@answer_of("corrected_memory", "corrected-memory-kept")
def _(w, g, m, v, t, rate, decay):
    m, v = memories(g, m, v)
    m, v = m / (1 - 0.9**t), v / (1 - 0.999**t)
    return w - rate * (m / (np.sqrt(v) + 1e-8) + decay * w), m, v


@answer_of("epsilon_inside", "epsilon-in-the-root")
def _(w, g, m, v, t, rate, decay):
    m, v = memories(g, m, v)
    step = m / (1 - 0.9**t) / np.sqrt(v / (1 - 0.999**t) + 1e-8)
    return w - rate * (step + decay * w), m, v


@answer_of("root_left_out", "no-root")
def _(w, g, m, v, t, rate, decay):
    m, v = memories(g, m, v)
    step = m / (1 - 0.9**t) / (v / (1 - 0.999**t) + 1e-8)
    return w - rate * (step + decay * w), m, v


@answer_of("betas_exchanged", "betas-exchanged")
def _(w, g, m, v, t, rate, decay):
    m, v = 0.999 * m + 0.001 * g, 0.9 * v + 0.1 * g**2
    return w - rate * (moved(m, v, t) + decay * w), m, v


@answer_of("no_memory", "memory-not-used")
def _(w, g, m, v, t, rate, decay):
    m, v = 0.1 * g, 0.001 * g**2
    return w - rate * (moved(m, v, t) + decay * w), m, v


@answer_of("uphill", "uphill")
def _(w, g, m, v, t, rate, decay):
    m, v = memories(g, m, v)
    return w + rate * moved(m, v, t) - rate * decay * w, m, v


@answer_of("decay_divided_too", "decay-divided")
def _(w, g, m, v, t, rate, decay):
    m, v = memories(g, m, v)
    step = (m / (1 - 0.9**t) + decay * w) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return w - rate * step, m, v


def with_choice(decays):
    """The right update, with another choice of what decays."""

    def answer(weights, gradients, m, v, step, learning_rate, weight_decay):
        def rule(name):
            m_new, v_new = memories(gradients[name], m[name], v[name])
            decay = weight_decay if decays(name, weights[name]) else 0
            w = weights[name]
            return w - learning_rate * (moved(m_new, v_new, step) + decay * w), m_new, v_new

        return tuple({name: rule(name)[k] for name in weights} for k in range(3))

    return answer


@wrong("decays-all")
def everything_decays(weights, gradients, m, v, step, learning_rate, weight_decay):
    choice = with_choice(lambda name, w: True)
    return choice(weights, gradients, m, v, step, learning_rate, weight_decay)


@wrong("decays-norms")
def biases_spared_alone(weights, gradients, m, v, step, learning_rate, weight_decay):
    choice = with_choice(lambda name, w: not name.endswith("bias"))
    return choice(weights, gradients, m, v, step, learning_rate, weight_decay)


@wrong("decays-biases")
def norm_scales_spared_alone(weights, gradients, m, v, step, learning_rate, weight_decay):
    choice = with_choice(lambda name, w: not name.endswith("LayerNorm.weight"))
    return choice(weights, gradients, m, v, step, learning_rate, weight_decay)


@wrong("spares-embeddings")
def embeddings_spared(weights, gradients, m, v, step, learning_rate, weight_decay):
    choice = with_choice(lambda name, w: w.ndim > 1 and "embeddings" not in name)
    return choice(weights, gradients, m, v, step, learning_rate, weight_decay)


@wrong("decays-the-wrong-ones")
def vectors_decay(weights, gradients, m, v, step, learning_rate, weight_decay):
    choice = with_choice(lambda name, w: w.ndim == 1)
    return choice(weights, gradients, m, v, step, learning_rate, weight_decay)


@right()
def in_place(weights, gradients, m, v, step, learning_rate, weight_decay):
    for name, w in weights.items():
        m[name][:], v[name][:] = memories(gradients[name], m[name], v[name])
        decay = weight_decay if w.ndim > 1 else 0
        w -= learning_rate * (moved(m[name], v[name], step) + decay * w)
    return weights, m, v


@right()
def in_dicts_of_another_kind(weights, gradients, m, v, step, learning_rate, weight_decay):
    rest = gradients, m, v, step, learning_rate, weight_decay
    new, *memory = one_line_for_each_of_the_four(weights, *rest)
    return defaultdict(float, new), *map(OrderedDict, memory)


@wrong("wrong-type")
def weights_alone(weights, gradients, m, v, step, learning_rate, weight_decay):
    return one_line_for_each_of_the_four(
        weights, gradients, m, v, step, learning_rate, weight_decay
    )[0]


def with_decay(decays):
    """A right answer but for which weights decay."""

    def answer(weights, gradients, m, v, step, learning_rate, weight_decay):
        new, m_new, v_new = {}, {}, {}
        for n, w in weights.items():
            m_new[n], v_new[n] = memories(gradients[n], m[n], v[n])
            decay = weight_decay if decays(n, w) else 0.0
            new[n] = w - learning_rate * (moved(m_new[n], v_new[n], step) + decay * w)
        return new, m_new, v_new

    return answer


@wrong("spares-one-row")
def squeezed_before_counting_axes(weights, gradients, m, v, step, learning_rate, weight_decay):
    decays = with_decay(lambda name, w: np.squeeze(w).ndim > 1)
    return decays(weights, gradients, m, v, step, learning_rate, weight_decay)


@wrong("decays-weights-by-name")
def matrices_named_weight(weights, gradients, m, v, step, learning_rate, weight_decay):
    decays = with_decay(lambda name, w: w.ndim > 1 and name.endswith("weight"))
    return decays(weights, gradients, m, v, step, learning_rate, weight_decay)


@wrong("decays-all-named-weight")
def whatever_is_named_weight(weights, gradients, m, v, step, learning_rate, weight_decay):
    decays = with_decay(lambda name, w: name.endswith("weight"))
    return decays(weights, gradients, m, v, step, learning_rate, weight_decay)


@wrong("decay-lost")
def set_to_zero_for_good(weights, gradients, m, v, step, learning_rate, weight_decay):
    new, m_new, v_new = {}, {}, {}
    for n, w in weights.items():
        if w.ndim < 2:
            weight_decay = 0.0
        m_new[n], v_new[n] = memories(gradients[n], m[n], v[n])
        new[n] = w - learning_rate * (moved(m_new[n], v_new[n], step) + weight_decay * w)
    return new, m_new, v_new


@wrong("zero-gradients-skipped")
def moved_where_there_is_a_gradient(weights, gradients, m, v, step, learning_rate, weight_decay):
    new, m, v = one_line_for_each_of_the_four(
        weights, gradients, m, v, step, learning_rate, weight_decay
    )
    return {n: np.where(gradients[n] == 0, weights[n], w) for n, w in new.items()}, m, v


@wrong("second-set-at-first")
def v_begins_with_the_gradient(weights, gradients, m, v, step, learning_rate, weight_decay):
    if step == 1:
        v = {n: g**2 for n, g in gradients.items()}
    return one_line_for_each_of_the_four(
        weights, gradients, m, v, step, learning_rate, weight_decay
    )


@wrong("unrecognised")
def by_the_old_memory(weights, gradients, m, v, step, learning_rate, weight_decay):
    _, m_new, v_new = one_line_for_each_of_the_four(
        weights, gradients, m, v, step, learning_rate, weight_decay
    )
    new = {}
    for n, w in weights.items():
        decay = weight_decay if w.ndim > 1 else 0.0
        new[n] = w - learning_rate * (moved(m[n], v[n], step) + decay * w)
    return new, m_new, v_new


@wrong("unrecognised", "not-divided")
def momentum_alone(weights, gradients, m, v, step, learning_rate, weight_decay):
    _, m_new, v_new = one_line_for_each_of_the_four(
        weights, gradients, m, v, step, learning_rate, weight_decay
    )
    return {n: w - learning_rate * m_new[n] for n, w in weights.items()}, m_new, v_new


# 4. What the answers are worth

right = partial(CATALOGUE.right, "fine_tuning.scores")
wrong = partial(CATALOGUE.wrong, "fine_tuning.scores")


def counts_of(batches):
    labels = np.concatenate([labels for labels, _ in batches])
    said = np.concatenate([said for _, said in batches])
    labels, said = labels[labels >= 0], said[labels >= 0]
    return [int(np.sum((labels == a) & (said == b))) for a, b in ((1, 1), (0, 1), (1, 0), (0, 0))]


def quotient(a, b):
    return a / b if b else 0.0


def figures_of(tp, fp, fn, tn):
    root = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return {
        "accuracy": quotient(tp + tn, tp + fp + fn + tn),
        "f1": quotient(2 * tp, 2 * tp + fp + fn),
        "matthews": quotient(tp * tn - fp * fn, root),
    }


@right()
def everything_joined(batches):
    return figures_of(*counts_of(batches))


@right()
def counted_batch_by_batch(batches):
    tp = fp = fn = tn = 0
    for labels, said in batches:
        for label, answer in zip(labels, said, strict=True):
            if label == -1:
                continue
            tp += label == 1 and answer == 1
            fp += label == 0 and answer == 1
            fn += label == 1 and answer == 0
            tn += label == 0 and answer == 0
    return figures_of(int(tp), int(fp), int(fn), int(tn))


@right()
def from_a_confusion_matrix(batches):
    table = np.zeros((2, 2))
    for labels, said in batches:
        real = labels != -1
        np.add.at(table, (labels[real], said[real]), 1)
    (tn, fp), (fn, tp) = table
    precision, recall = quotient(tp, tp + fp), quotient(tp, tp + fn)
    denominator = table.sum(0).prod() * table.sum(1).prod()
    return {
        "matthews": quotient(tp * tn - fp * fn, denominator**0.5),
        "accuracy": np.trace(table) / table.sum(),
        "f1": quotient(2 * precision * recall, precision + recall),
    }


@right()
def matthews_as_a_correlation(batches):
    labels, said = (np.concatenate(part) for part in zip(*batches, strict=True))
    labels, said = labels[labels >= 0].astype(float), said[labels >= 0].astype(float)
    found = figures_of(*counts_of(batches))
    constant = labels.std() == 0 or said.std() == 0
    found["matthews"] = 0.0 if constant else np.corrcoef(labels, said)[0, 1]
    return found


def means_of_batches(batches):
    each = [figures_of(*counts_of([batch])) for batch in batches]
    return {name: np.mean([found[name] for found in each]) for name in each[0]}


@wrong("mean-of-batches")
def averaged_over_batches(batches):
    return means_of_batches(batches)


@wrong("divided-by-nothing")
def recall_unguarded(batches):
    tp, fp, fn, tn = counts_of(batches)
    recall = tp / (tp + fn)
    precision = tp / (tp + fp) if tp + fp else 0.0
    f1 = quotient(2 * precision * recall, precision + recall)
    return figures_of(tp, fp, fn, tn) | {"f1": f1}


@wrong("one-for-nothing")
def nothing_to_find_is_perfect(batches):
    tp, fp, fn, tn = counts_of(batches)
    found = figures_of(tp, fp, fn, tn)
    return found if tp + fp + fn else found | {"f1": 1.0}


@wrong("fill-thought-last")
def fill_thought_to_be_last(batches):
    cut = [(y[y != -1], said[: (y != -1).sum()]) for y, said in batches]
    return figures_of(*counts_of(cut))


@wrong("accuracy-of-batches")
def accuracy_averaged(batches):
    return everything_joined(batches) | {"accuracy": means_of_batches(batches)["accuracy"]}


@wrong("fill-counted-as-errors")
def filled_rows_in_the_count(batches):
    rows = sum(len(labels) for labels, _ in batches)
    tp, fp, fn, tn = counts_of(batches)
    return figures_of(tp, fp, fn, tn) | {"accuracy": (tp + tn) / rows}


@wrong("fill-counted")
def nothing_left_out(batches):
    labels, said = (np.concatenate(part) for part in zip(*batches, strict=True))
    tp, fn = int(np.sum((labels == 1) & (said == 1))), int(np.sum((labels == 1) & (said == 0)))
    fp, tn = int(np.sum((labels != 1) & (said == 1))), int(np.sum((labels == 0) & (said == 0)))
    return figures_of(tp, fp, fn, tn) | {"accuracy": np.mean(labels == said)}


@wrong("fill-counted-as-0")
def not_one_is_zero(batches):
    return everything_joined([(np.maximum(labels, 0), said) for labels, said in batches])


@wrong("last-batch")
def overwritten_by_each_batch(batches):
    for batch in batches:
        found = everything_joined([batch])
    return found


@wrong("f1-of-class-0")
def the_other_class(batches):
    tp, fp, fn, tn = counts_of(batches)
    return figures_of(tp, fp, fn, tn) | {"f1": quotient(2 * tn, 2 * tn + fp + fn)}


@wrong("f1-of-both")
def macro(batches):
    tp, fp, fn, tn = counts_of(batches)
    both = quotient(2 * tn, 2 * tn + fp + fn) + quotient(2 * tp, 2 * tp + fp + fn)
    return figures_of(tp, fp, fn, tn) | {"f1": both / 2}


@wrong("f1-is-accuracy")
def micro(batches):
    found = everything_joined(batches)
    return found | {"f1": found["accuracy"]}


@wrong("precision")
def precision_for_f1(batches):
    tp, fp, fn, tn = counts_of(batches)
    return figures_of(tp, fp, fn, tn) | {"f1": quotient(tp, tp + fp)}


@wrong("recall")
def recall_for_f1(batches):
    tp, fp, fn, tn = counts_of(batches)
    return figures_of(tp, fp, fn, tn) | {"f1": quotient(tp, tp + fn)}


@wrong("mean-of-precision-and-recall")
def arithmetic_mean(batches):
    tp, fp, fn, tn = counts_of(batches)
    mean = (quotient(tp, tp + fp) + quotient(tp, tp + fn)) / 2
    return figures_of(tp, fp, fn, tn) | {"f1": mean}


@wrong("matthews-without-root")
def root_forgotten(batches):
    tp, fp, fn, tn = counts_of(batches)
    four = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return figures_of(tp, fp, fn, tn) | {"matthews": quotient(tp * tn - fp * fn, four)}


@wrong("matthews-plus")
def products_added(batches):
    tp, fp, fn, tn = counts_of(batches)
    root = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return figures_of(tp, fp, fn, tn) | {"matthews": quotient(tp * tn + fp * fn, root)}


@wrong("matthews-absolute")
def no_sign(batches):
    found = everything_joined(batches)
    return found | {"matthews": abs(found["matthews"])}


@wrong("divided-by-nothing")
def zero_division(batches):
    tp, fp, fn, tn = counts_of(batches)
    root = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return {
        "accuracy": (tp + tn) / (tp + fp + fn + tn),
        "f1": 2 * tp / (2 * tp + fp + fn),
        "matthews": (tp * tn - fp * fn) / root,
    }


@wrong("nan-for-nothing")
def not_a_number(batches):
    tp, fp, fn, tn = (np.float64(n) for n in counts_of(batches))
    with np.errstate(all="ignore"):
        root = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
        return figures_of(*counts_of(batches)) | {"matthews": (tp * tn - fp * fn) / root}


@wrong("percent")
def per_cent(batches):
    return {name: 100 * value for name, value in everything_joined(batches).items()}


@wrong("wrong-type")
def a_tuple(batches):
    return tuple(everything_joined(batches).values())


@wrong("f1-nothing-with-matthews")
def nothing_if_matthews_is(batches):
    tp, fp, fn, tn = counts_of(batches)
    found = figures_of(tp, fp, fn, tn)
    if (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn) == 0:
        found["f1"] = 0.0
    return found


@wrong("counts-overflow", "nan")
def counts_in_32_bits(batches):
    labels, said = (np.concatenate(part) for part in zip(*batches, strict=True))
    y, p = labels[labels >= 0], said[labels >= 0]
    tp, fp, fn, tn = y @ p, (1 - y) @ p, y @ (1 - p), (1 - y) @ (1 - p)
    with np.errstate(all="ignore"):
        root = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return figures_of(*map(int, (tp, fp, fn, tn))) | {"matthews": quotient(tp * tn - fp * fn, root)}


@wrong("fill-counted-as-1")
def minus_one_is_true(batches):
    return figures_of(*counts_of([(np.abs(labels), said) for labels, said in batches]))


@wrong("f1-weighted")
def weighted_as_in_scikit_learn(batches):
    tp, fp, fn, tn = counts_of(batches)
    one, zero = quotient(2 * tp, 2 * tp + fp + fn), quotient(2 * tn, 2 * tn + fp + fn)
    mean = ((tp + fn) * one + (tn + fp) * zero) / (tp + fp + fn + tn)
    return figures_of(tp, fp, fn, tn) | {"f1": mean}


@wrong("unrecognised", "fill-counted-as-0")
def fill_looked_for_in_the_last_batch(batches):
    last = len(batches) - 1
    return figures_of(
        *counts_of(
            [(np.maximum(y, 0) if i < last else y, said) for i, (y, said) in enumerate(batches)]
        )
    )


# 5. Decide between two recipes

right = partial(CATALOGUE.right, "fine_tuning.compare")
wrong = partial(CATALOGUE.wrong, "fine_tuning.compare")


def standard_error(baseline, candidate):
    return np.sqrt(
        np.var(baseline, ddof=1) / len(baseline) + np.var(candidate, ddof=1) / len(candidate)
    )


def told(difference, half, decision=None):
    low, high = difference - half, difference + half
    if decision is None:
        decision = "better" if low > 0 else "worse" if high < 0 else "cannot tell"
    return {"difference": difference, "low": low, "high": high, "decision": decision}


def gain(baseline, candidate):
    return np.mean(candidate) - np.mean(baseline)


@right()
def in_numpy(baseline, candidate, t):
    return told(gain(baseline, candidate), t * standard_error(baseline, candidate))


@right()
def with_the_standard_library(baseline, candidate, t):
    import statistics

    a, b = [float(x) for x in baseline], [float(x) for x in candidate]
    difference = statistics.mean(b) - statistics.mean(a)
    error = math.sqrt(statistics.variance(a) / len(a) + statistics.variance(b) / len(b))
    return told(difference, t * error)


@right()
def sums_by_hand(baseline, candidate, t):
    means, errors = [], []
    for runs in (baseline, candidate):
        mean = sum(runs) / len(runs)
        means.append(mean)
        errors.append(sum((x - mean) ** 2 for x in runs) / (len(runs) - 1) / len(runs))
    return told(float(means[1] - means[0]), float(t * sum(errors) ** 0.5))


@right()
def errors_by_hypot(baseline, candidate, t):
    a, b = (np.std(x, ddof=1) / len(x) ** 0.5 for x in (baseline, candidate))
    difference, half = gain(baseline, candidate), t * np.hypot(a, b)
    if abs(difference) <= half:
        return told(difference, half, "cannot tell")
    return told(difference, half, "better" if difference > 0 else "worse")


@wrong("best-seeds")
def the_best_of_each(baseline, candidate, t):
    return told(np.max(candidate) - np.max(baseline), t * standard_error(baseline, candidate))


@wrong("medians")
def the_medians(baseline, candidate, t):
    difference = np.median(candidate) - np.median(baseline)
    return told(difference, t * standard_error(baseline, candidate))


@wrong("divided-by-n")
def numpys_default(baseline, candidate, t):
    error = np.sqrt(np.var(baseline) / len(baseline) + np.var(candidate) / len(candidate))
    return told(gain(baseline, candidate), t * error)


@wrong("spread-of-runs")
def standard_deviations(baseline, candidate, t):
    error = np.sqrt(np.var(baseline, ddof=1) + np.var(candidate, ddof=1))
    return told(gain(baseline, candidate), t * error)


@wrong("errors-added")
def sum_of_errors(baseline, candidate, t):
    a, b = (np.std(x, ddof=1) / len(x) ** 0.5 for x in (baseline, candidate))
    return told(gain(baseline, candidate), t * (a + b))


@wrong("variances")
def root_left_out(baseline, candidate, t):
    return told(gain(baseline, candidate), t * standard_error(baseline, candidate) ** 2)


@wrong("not-rooted-count")
def deviation_by_n(baseline, candidate, t):
    a, b = (np.std(x, ddof=1) / len(x) for x in (baseline, candidate))
    return told(gain(baseline, candidate), t * (a + b))


@wrong("one-spread")
def candidate_alone(baseline, candidate, t):
    error = np.std(candidate, ddof=1) / len(candidate) ** 0.5
    return told(gain(baseline, candidate), t * error)


@wrong("pooled")
def thrown_together(baseline, candidate, t):
    both = np.concatenate([baseline, candidate])
    return told(gain(baseline, candidate), t * both.std(ddof=1) / len(both) ** 0.5)


@wrong("exchanged")
def baseline_minus_candidate(baseline, candidate, t):
    return told(-gain(baseline, candidate), t * standard_error(baseline, candidate))


@wrong("one-error")
def one_standard_error(baseline, candidate, t):
    return told(gain(baseline, candidate), standard_error(baseline, candidate))


@wrong("always-two")
def two_standard_errors(baseline, candidate, t):
    return told(gain(baseline, candidate), 2 * standard_error(baseline, candidate))


@wrong("decided-by-the-mean")
def whoever_is_ahead(baseline, candidate, t):
    difference = gain(baseline, candidate)
    decision = "better" if difference > 0 else "worse"
    return told(difference, t * standard_error(baseline, candidate), decision)


@wrong("never-worse")
def one_side_only(baseline, candidate, t):
    difference, half = gain(baseline, candidate), t * standard_error(baseline, candidate)
    return told(difference, half, "better" if difference > half else "cannot tell")


@wrong("decision-exchanged")
def said_of_the_baseline(baseline, candidate, t):
    difference, half = gain(baseline, candidate), t * standard_error(baseline, candidate)
    decision = (
        "cannot tell" if abs(difference) <= half else ("worse" if difference > 0 else "better")
    )
    return told(difference, half, decision)


@wrong("decision-inside-out")
def where_the_interval_holds_zero(baseline, candidate, t):
    difference, half = gain(baseline, candidate), t * standard_error(baseline, candidate)
    decision = "better" if difference > 0 else "worse"
    return told(difference, half, decision if abs(difference) <= half else "cannot tell")


@wrong("wrong-type")
def a_truth_value(baseline, candidate, t):
    found = told(gain(baseline, candidate), t * standard_error(baseline, candidate))
    return found | {"decision": found["decision"] == "better"}


def interval_of(baseline, candidate, t):
    difference = candidate.mean() - baseline.mean()
    error = np.sqrt(baseline.var(ddof=1) / len(baseline) + candidate.var(ddof=1) / len(candidate))
    return {"difference": difference, "low": difference - t * error, "high": difference + t * error}


@right()
def decided_by_numpy(baseline, candidate, t):
    found = interval_of(baseline, candidate, t)
    place = 1 + int(found["low"] > 0) - int(found["high"] < 0)
    return found | {"decision": np.array(["worse", "cannot tell", "better"])[place]}


@right()
def decided_by_where(baseline, candidate, t):
    found = interval_of(baseline, candidate, t)
    rest = np.where(found["high"] < 0, "worse", "cannot tell")
    return found | {"decision": np.where(found["low"] > 0, "better", rest)}


@wrong("separate-intervals")
def two_intervals(baseline, candidate, t):
    a, b = (t * x.std(ddof=1) / np.sqrt(len(x)) for x in (baseline, candidate))
    said = "cannot tell"
    if candidate.mean() - b > baseline.mean() + a:
        said = "better"
    if candidate.mean() + b < baseline.mean() - a:
        said = "worse"
    return interval_of(baseline, candidate, t) | {"decision": said}


@wrong("single-runs")
def no_run_overlaps(baseline, candidate, t):
    said = "cannot tell"
    if candidate.min() > baseline.max():
        said = "better"
    if candidate.max() < baseline.min():
        said = "worse"
    return interval_of(baseline, candidate, t) | {"decision": said}


@wrong("end-at-zero")
def zero_belongs_to_better(baseline, candidate, t):
    found = in_numpy(baseline, candidate, t)
    decision = "better" if found["low"] >= 0 else "worse" if found["high"] <= 0 else "cannot tell"
    return found | {"decision": decision}


@wrong("no-width-no-answer")
def no_spread_no_answer(baseline, candidate, t):
    found = in_numpy(baseline, candidate, t)
    return found if found["low"] < found["high"] else found | {"decision": "cannot tell"}


@wrong("wrong-ends")
def the_other_end(baseline, candidate, t):
    found = in_numpy(baseline, candidate, t)
    decision = "better" if found["high"] > 0 else "worse" if found["low"] < 0 else "cannot tell"
    return found | {"decision": decision}


@wrong("normal-for-t")
def as_for_many_runs(baseline, candidate, t):
    return in_numpy(baseline, candidate, 1.96)


@wrong("one-variance")
def students_own_test(baseline, candidate, t):
    m, n = len(baseline), len(candidate)
    inside = (m - 1) * np.var(baseline, ddof=1) + (n - 1) * np.var(candidate, ddof=1)
    return told(gain(baseline, candidate), t * np.sqrt(inside / (m + n - 2) * (1 / m + 1 / n)))


@wrong("larger-error")
def the_larger_of_two(baseline, candidate, t):
    parts = [np.var(x, ddof=1) / len(x) for x in (baseline, candidate)]
    return told(gain(baseline, candidate), t * np.sqrt(max(parts)))
