"""Answers to the exercises of lesson 05, translation, and what each must be told.

Many are as one finds them: the mask that a tutorial forgets, the smoothing of Keras and of PyTorch
(right there, wrong here, where padding gets no share), sentence scores that one may not average.
"""

import math
from collections import Counter
from functools import partial

import keras
import numpy as np
from keras import ops

from course import translation as ready_made
from course.training import InverseSquareRoot

from . import Catalogue

CATALOGUE = Catalogue()
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"


def cross_entropy(labels, logits):
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def real_places(labels, pad_id=0):
    return ops.cast(ops.not_equal(labels, pad_id), "float32")


def argmax_hits(labels, logits):
    return ops.cast(ops.equal(ops.cast(ops.argmax(logits, -1), "int32"), labels), "float32")


# 1. Loss and accuracy over real tokens

right = partial(CATALOGUE.right, "translation.masked")
wrong = partial(CATALOGUE.wrong, "translation.masked")


@right()
def with_keras_losses(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    count = ops.maximum(ops.sum(real), 1.0)
    loss = ops.sum(cross_entropy(labels, logits) * real) / count
    return loss, ops.sum(argmax_hits(labels, logits) * real) / count


@right()
def with_log_softmax_and_one_hot(labels, logits, pad_id=0):
    log_p = ops.log_softmax(logits, axis=-1)
    losses = -ops.sum(ops.one_hot(labels, logits.shape[-1]) * log_p, axis=-1)
    real = ops.not_equal(labels, pad_id)
    count = ops.maximum(ops.count_nonzero(real), 1)
    hits = ops.logical_and(real, ops.equal(ops.argmax(logits, -1), ops.cast(labels, "int64")))
    loss = ops.sum(ops.where(real, losses, 0.0)) / ops.cast(count, "float32")
    return loss, ops.cast(ops.count_nonzero(hits), "float32") / ops.cast(count, "float32")


@right()
def chosen_with_numpy(labels, logits, pad_id=0):
    labels, logits = ops.convert_to_numpy(labels), ops.convert_to_numpy(logits)
    chosen = labels != pad_id
    if not chosen.any():
        return 0.0, 0.0
    z, y = logits[chosen].astype("float64"), labels[chosen]
    z = z - z.max(1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    return -log_p[np.arange(len(y)), y].mean(), (z.argmax(1) == y).mean()


@right()
def two_loops(labels, logits, pad_id=0):
    labels, logits = ops.convert_to_numpy(labels), ops.convert_to_numpy(logits)
    loss = hits = count = 0
    for row, scores in zip(labels, logits, strict=True):
        for label, z in zip(row, scores.astype(float), strict=True):
            if label == pad_id:
                continue
            count += 1
            loss += max(z) + math.log(sum(math.exp(x - max(z)) for x in z)) - z[label]
            hits += int(np.argmax(z) == label)
    return (loss / count, hits / count) if count else (0.0, 0.0)


@right()
def from_the_library_of_keras(labels, logits, pad_id=0):
    losses = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=None)
    real = ops.cast(labels != pad_id, "float32")
    count = ops.maximum(ops.sum(real), 1)
    hits = keras.metrics.sparse_categorical_accuracy(labels, logits)
    loss = ops.sum(losses(labels, logits) * real) / count
    return [loss, ops.sum(ops.cast(hits, "float32") * real) / count]


@wrong("softmax-twice")
def probabilities_for_logits(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    count = ops.maximum(ops.sum(real), 1)
    loss = ops.sum(cross_entropy(labels, ops.softmax(logits)) * real) / count
    return loss, ops.sum(argmax_hits(labels, logits) * real) / count


@wrong("epsilon-in-the-logarithm")
def logarithm_made_safe(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    count = ops.maximum(ops.sum(real), 1)
    p = ops.take_along_axis(ops.softmax(logits), ops.expand_dims(labels, -1), -1)[..., 0]
    loss = ops.sum(-ops.log(p + 1e-6) * real) / count
    return loss, ops.sum(argmax_hits(labels, logits) * real) / count


@wrong("padding-in-both")
def plain_means(labels, logits, pad_id=0):
    return ops.mean(cross_entropy(labels, logits)), ops.mean(argmax_hits(labels, logits))


@wrong("padding-in-accuracy")
def accuracy_of_all_places(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    loss = ops.sum(cross_entropy(labels, logits) * real) / ops.maximum(ops.sum(real), 1)
    return loss, ops.mean(argmax_hits(labels, logits))


@wrong("padding-in-loss")
def loss_of_all_places(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    hits = ops.sum(argmax_hits(labels, logits) * real) / ops.maximum(ops.sum(real), 1)
    return ops.mean(cross_entropy(labels, logits)), hits


@wrong("divided-by-all")
def masked_and_then_the_mean(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    losses = cross_entropy(labels, logits) * real
    return ops.mean(losses), ops.mean(argmax_hits(labels, logits) * real)


@wrong("loss-divided-by-all")
def mean_of_the_masked_loss(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    hits = ops.sum(argmax_hits(labels, logits) * real) / ops.maximum(ops.sum(real), 1)
    return ops.mean(cross_entropy(labels, logits) * real), hits


@wrong("accuracy-divided-by-all")
def mean_of_the_masked_hits(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    loss = ops.sum(cross_entropy(labels, logits) * real) / ops.maximum(ops.sum(real), 1)
    return loss, ops.mean(argmax_hits(labels, logits) * real)


@wrong("hits-on-padding")
def hits_not_masked(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    count = ops.maximum(ops.sum(real), 1)
    loss = ops.sum(cross_entropy(labels, logits) * real) / count
    return loss, ops.sum(argmax_hits(labels, logits)) / count


@wrong("sum-over-padding")
def divided_rightly_and_not_masked(labels, logits, pad_id=0):
    count = ops.maximum(ops.sum(real_places(labels, pad_id)), 1)
    loss = ops.sum(cross_entropy(labels, logits)) / count
    return loss, ops.sum(argmax_hits(labels, logits)) / count


@wrong("mean-of-sentences")
def means_of_sentences(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    counts = ops.maximum(ops.sum(real, axis=1), 1)
    losses = ops.sum(cross_entropy(labels, logits) * real, axis=1) / counts
    hits = ops.sum(argmax_hits(labels, logits) * real, axis=1) / counts
    return ops.mean(losses), ops.mean(hits)


@wrong("summed")
def only_sums(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    return ops.sum(cross_entropy(labels, logits) * real), ops.sum(
        argmax_hits(labels, logits) * real
    )


@wrong("summed-loss")
def loss_summed(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    hits = ops.sum(argmax_hits(labels, logits) * real) / ops.maximum(ops.sum(real), 1)
    return ops.sum(cross_entropy(labels, logits) * real), hits


@wrong("per-sentence")
def divided_by_the_batch(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    hits = ops.sum(argmax_hits(labels, logits) * real) / ops.maximum(ops.sum(real), 1)
    return ops.sum(cross_entropy(labels, logits) * real) / labels.shape[0], hits


@wrong("predicted-padding-left-out")
def masked_by_the_prediction(labels, logits, pad_id=0):
    return with_keras_losses_and_mask(labels, logits, ops.argmax(logits, -1) != pad_id)


def with_keras_losses_and_mask(labels, logits, mask):
    real = ops.cast(mask, "float32")
    count = ops.maximum(ops.sum(real), 1.0)
    loss = ops.sum(cross_entropy(labels, logits) * real) / count
    return loss, ops.sum(argmax_hits(labels, logits) * real) / count


@wrong("pad-id-ignored")
def padding_is_zero(labels, logits, pad_id=0):
    return with_keras_losses_and_mask(labels, logits, labels != 0)


@wrong("pad-id-ignored")
def padding_is_not_positive(labels, logits, pad_id=0):
    return with_keras_losses_and_mask(labels, logits, labels > 0)


@wrong("nothing-real")
def divided_by_nothing(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    loss = ops.sum(cross_entropy(labels, logits) * real) / ops.sum(real)
    return loss, ops.sum(argmax_hits(labels, logits) * real) / ops.sum(real)


@wrong("whole-sentences")
def sentences_without_a_mistake(labels, logits, pad_id=0):
    real = ops.not_equal(labels, pad_id)
    loss, _ = with_keras_losses_and_mask(labels, logits, real)
    good = ops.logical_or(ops.logical_not(real), argmax_hits(labels, logits) == 1)
    return loss, ops.mean(ops.cast(ops.all(good, axis=1), "float32"))


@wrong("swapped")
def accuracy_first(labels, logits, pad_id=0):
    return with_keras_losses_and_mask(labels, logits, labels != pad_id)[::-1]


@wrong("perplexity")
def exponential(labels, logits, pad_id=0):
    loss, accuracy = with_keras_losses_and_mask(labels, logits, labels != pad_id)
    return ops.exp(loss), accuracy


@wrong("no-minus")
def log_likelihood(labels, logits, pad_id=0):
    loss, accuracy = with_keras_losses_and_mask(labels, logits, labels != pad_id)
    return -loss, accuracy


@wrong("no-softmax")
def the_logit_itself(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    count = ops.maximum(ops.sum(real), 1)
    chosen = ops.sum(ops.one_hot(labels, logits.shape[-1]) * logits, -1)
    return -ops.sum(chosen * real) / count, ops.sum(argmax_hits(labels, logits) * real) / count


@wrong("clipped", "epsilon-in-the-logarithm")
def softmax_then_cross_entropy(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    count = ops.maximum(ops.sum(real), 1)
    p = ops.clip(ops.softmax(logits), 1e-7, 1)
    losses = ops.squeeze(-ops.log(ops.take_along_axis(p, labels[..., None], axis=-1)), -1)
    return ops.sum(losses * real) / count, ops.sum(argmax_hits(labels, logits) * real) / count


@wrong("not-finite")
def logarithm_of_a_softmax(labels, logits, pad_id=0):
    real = ops.not_equal(labels, pad_id)
    count = ops.maximum(ops.sum(ops.cast(real, "float32")), 1)
    p = ops.sum(ops.one_hot(labels, logits.shape[-1]) * ops.softmax(logits), -1)
    hits = argmax_hits(labels, logits) * ops.cast(real, "float32")
    return ops.sum(ops.where(real, -ops.log(p), 0.0)) / count, ops.sum(hits) / count


@wrong("not-finite", "nan")
def exponentials_by_hand(labels, logits, pad_id=0):
    real = ops.not_equal(labels, pad_id)
    count = ops.maximum(ops.sum(ops.cast(real, "float32")), 1)
    e = ops.exp(logits)
    p = ops.sum(ops.one_hot(labels, logits.shape[-1]) * e, -1) / ops.sum(e, -1)
    hits = argmax_hits(labels, logits) * ops.cast(real, "float32")
    return ops.sum(ops.where(real, -ops.log(p), 0.0)) / count, ops.sum(hits) / count


@wrong("padding-in-both")
def logits_masked(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    logits = logits * real[..., None]
    return ops.mean(cross_entropy(labels, logits)), ops.mean(argmax_hits(labels, logits))


@wrong("wrong-type")
def the_loss_alone(labels, logits, pad_id=0):
    return with_keras_losses_and_mask(labels, logits, labels != pad_id)[0]


@wrong("wrong-shape")
def for_each_sentence(labels, logits, pad_id=0):
    real = real_places(labels, pad_id)
    counts = ops.maximum(ops.sum(real, axis=1), 1)
    losses = ops.sum(cross_entropy(labels, logits) * real, axis=1) / counts
    return losses, ops.sum(argmax_hits(labels, logits) * real, axis=1) / counts


@wrong("forbidden-call")
def with_the_course(labels, logits, pad_id=0):
    return (
        ready_made.label_smoothed_loss(labels, logits, 0.0, pad_id),
        ready_made.masked_accuracy(labels, logits, pad_id),
    )


# 2. Softer targets

right = partial(CATALOGUE.right, "translation.smoothing")
wrong = partial(CATALOGUE.wrong, "translation.smoothing")


def mean_of_tokens(losses, labels, pad_id):
    real = real_places(labels, pad_id)
    return ops.sum(losses * real) / ops.maximum(ops.sum(real), 1.0)


def targets(labels, v, smoothing, pad_id, share=None):
    """One-hot labels softened over the real ids."""
    share = smoothing / (v - 1) if share is None else share
    return (1 - smoothing) * ops.one_hot(labels, v) + share * (1 - ops.one_hot(pad_id, v))


@wrong("clipped", "epsilon-in-the-logarithm")
def logarithm_kept_from_infinity(labels, logits, smoothing=0.1, pad_id=0):
    q = targets(labels, logits.shape[-1], smoothing, pad_id)
    losses = -ops.sum(q * ops.log(ops.softmax(logits) + 1e-9), axis=-1)
    return mean_of_tokens(losses, labels, pad_id)


@right()
def targets_written_out(labels, logits, smoothing=0.1, pad_id=0):
    q = targets(labels, logits.shape[-1], smoothing, pad_id)
    losses = -ops.sum(q * ops.log_softmax(logits), axis=-1)
    return mean_of_tokens(losses, labels, pad_id)


@right()
def two_sums(labels, logits, smoothing=0.1, pad_id=0):
    log_p = ops.log_softmax(logits)
    everyone = ops.sum(log_p, -1) - log_p[..., pad_id]
    own = ops.squeeze(ops.take_along_axis(log_p, labels[..., None], axis=-1), -1)
    v = logits.shape[-1]
    losses = -(1 - smoothing) * own - smoothing / (v - 1) * everyone
    return mean_of_tokens(losses, labels, pad_id)


@right()
def in_numpy_with_einsum(labels, logits, smoothing=0.1, pad_id=0):
    labels, z = ops.convert_to_numpy(labels), ops.convert_to_numpy(logits).astype("float64")
    v = z.shape[-1]
    z = z - z.max(-1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    q = np.eye(v)[labels] * (1 - smoothing)
    q[..., [j for j in range(v) if j != pad_id]] += smoothing / (v - 1)
    real = labels != pad_id
    return -np.einsum("blv,blv,bl->", q, log_p, real) / max(real.sum(), 1)


@right()
def token_by_token(labels, logits, smoothing=0.1, pad_id=0):
    labels, logits = ops.convert_to_numpy(labels), ops.convert_to_numpy(logits)
    total = count = 0
    for label, z in zip(labels.ravel(), logits.reshape(-1, logits.shape[-1]), strict=True):
        if label == pad_id:
            continue
        count += 1
        normaliser = math.log(sum(math.exp(float(x)) for x in z))
        for j, x in enumerate(z):
            if j != pad_id:
                q = smoothing / (len(z) - 1) + (1 - smoothing) * (j == label)
                total -= q * (float(x) - normaliser)
    return total / max(count, 1)


@right()
def as_the_course_does_it(labels, logits, smoothing=0.1, pad_id=0):
    own = ops.squeeze(ops.take_along_axis(logits, labels[..., None], axis=-1), -1)
    others = (ops.sum(logits, axis=-1) - logits[..., pad_id]) / (logits.shape[-1] - 1)
    losses = ops.logsumexp(logits, axis=-1) - own + smoothing * (own - others)
    return mean_of_tokens(losses, labels, pad_id)


def smoothed_with(labels, logits, pad_id, q):
    return mean_of_tokens(-ops.sum(q * ops.log_softmax(logits), -1), labels, pad_id)


@wrong("over-all-ids")
def as_keras_smooths(labels, logits, smoothing=0.1, pad_id=0):
    v = logits.shape[-1]
    losses = keras.losses.categorical_crossentropy(
        ops.one_hot(labels, v), logits, from_logits=True, label_smoothing=smoothing
    )
    return mean_of_tokens(losses, labels, pad_id)


@wrong("share-lost")
def padding_set_to_zero_afterwards(labels, logits, smoothing=0.1, pad_id=0):
    v = logits.shape[-1]
    return smoothed_with(
        labels, logits, pad_id, targets(labels, v, smoothing, pad_id, smoothing / v)
    )


@wrong("on-padding")
def shared_by_all_but_the_label(labels, logits, smoothing=0.1, pad_id=0):
    v = logits.shape[-1]
    one_hot = ops.one_hot(labels, v)
    q = (1 - smoothing) * one_hot + smoothing / (v - 1) * (1 - one_hot)
    return smoothed_with(labels, logits, pad_id, q)


@wrong("only-wrong-ids")
def as_in_the_annotated_transformer(labels, logits, smoothing=0.1, pad_id=0):
    v = logits.shape[-1]
    one_hot, padding = ops.one_hot(labels, v), ops.one_hot(pad_id, v)
    q = (1 - smoothing) * one_hot + smoothing / (v - 2) * (1 - one_hot) * (1 - padding)
    return smoothed_with(labels, logits, pad_id, q)


@wrong("label-short")
def the_label_without_its_share(labels, logits, smoothing=0.1, pad_id=0):
    v = logits.shape[-1]
    one_hot, padding = ops.one_hot(labels, v), ops.one_hot(pad_id, v)
    q = (1 - smoothing) * one_hot + smoothing / (v - 1) * (1 - one_hot) * (1 - padding)
    return smoothed_with(labels, logits, pad_id, q)


@wrong("label-in-full")
def the_label_stays_one(labels, logits, smoothing=0.1, pad_id=0):
    v = logits.shape[-1]
    one_hot, padding = ops.one_hot(labels, v), ops.one_hot(pad_id, v)
    q = one_hot + smoothing / (v - 1) * (1 - one_hot) * (1 - padding)
    return smoothed_with(labels, logits, pad_id, q)


@wrong("epsilon-each")
def epsilon_to_every_other(labels, logits, smoothing=0.1, pad_id=0):
    v = logits.shape[-1]
    one_hot, padding = ops.one_hot(labels, v), ops.one_hot(pad_id, v)
    q = (1 - smoothing) * one_hot + smoothing * (1 - one_hot) * (1 - padding)
    return smoothed_with(labels, logits, pad_id, q)


@wrong("exchanged")
def mostly_uniform(labels, logits, smoothing=0.1, pad_id=0):
    return targets_written_out(labels, logits, 1 - smoothing, pad_id)


@wrong("not-smoothed")
def the_plain_loss(labels, logits, smoothing=0.1, pad_id=0):
    return mean_of_tokens(cross_entropy(labels, logits), labels, pad_id)


@wrong("always-a-tenth")
def smoothing_fixed(labels, logits, smoothing=0.1, pad_id=0):
    return targets_written_out(labels, logits, 0.1, pad_id)


@wrong("padding-in-the-mean")
def mean_of_all_places(labels, logits, smoothing=0.1, pad_id=0):
    q = targets(labels, logits.shape[-1], smoothing, pad_id)
    return ops.mean(-ops.sum(q * ops.log_softmax(logits), -1))


@wrong("divided-by-all")
def masked_then_averaged(labels, logits, smoothing=0.1, pad_id=0):
    q = targets(labels, logits.shape[-1], smoothing, pad_id)
    losses = -ops.sum(q * ops.log_softmax(logits), -1)
    return ops.mean(losses * real_places(labels, pad_id))


@wrong("mean-of-sentences")
def each_sentence_alike(labels, logits, smoothing=0.1, pad_id=0):
    q = targets(labels, logits.shape[-1], smoothing, pad_id)
    losses, real = -ops.sum(q * ops.log_softmax(logits), -1), real_places(labels, pad_id)
    return ops.mean(ops.sum(losses * real, 1) / ops.maximum(ops.sum(real, 1), 1))


@wrong("summed")
def not_divided(labels, logits, smoothing=0.1, pad_id=0):
    q = targets(labels, logits.shape[-1], smoothing, pad_id)
    return ops.sum(-ops.sum(q * ops.log_softmax(logits), -1) * real_places(labels, pad_id))


@wrong("pad-id-ignored")
def padding_is_id_zero(labels, logits, smoothing=0.1, pad_id=0):
    return targets_written_out(labels, logits, smoothing, 0)


@wrong("nothing-real")
def nothing_by_nothing(labels, logits, smoothing=0.1, pad_id=0):
    q = targets(labels, logits.shape[-1], smoothing, pad_id)
    real = real_places(labels, pad_id)
    return ops.sum(-ops.sum(q * ops.log_softmax(logits), -1) * real) / ops.sum(real)


@wrong("scaled-up")
def padding_removed_and_scaled(labels, logits, smoothing=0.1, pad_id=0):
    v = logits.shape[-1]
    q = (1 - smoothing) * ops.one_hot(labels, v) + smoothing / v
    q = q * (1 - ops.one_hot(pad_id, v))
    q = q / ops.sum(q, axis=-1, keepdims=True)
    return smoothed_with(labels, logits, pad_id, q)


@wrong("divergence")
def kullback_leibler(labels, logits, smoothing=0.1, pad_id=0):
    q = targets(labels, logits.shape[-1], smoothing, pad_id)
    entropy = ops.sum(q * ops.log(ops.where(q > 0, q, 1.0)), -1)
    return mean_of_tokens(entropy - ops.sum(q * ops.log_softmax(logits), -1), labels, pad_id)


@wrong("no-softmax")
def logits_as_logarithms(labels, logits, smoothing=0.1, pad_id=0):
    q = targets(labels, logits.shape[-1], smoothing, pad_id)
    return mean_of_tokens(-ops.sum(q * logits, -1), labels, pad_id)


@wrong("no-minus")
def a_minus_forgotten(labels, logits, smoothing=0.1, pad_id=0):
    return -targets_written_out(labels, logits, smoothing, pad_id)


@wrong("predictions-softened")
def the_prediction_softened(labels, logits, smoothing=0.1, pad_id=0):
    p = ops.sum(ops.one_hot(labels, logits.shape[-1]) * ops.softmax(logits), -1)
    p = (1 - smoothing) * p + smoothing / (logits.shape[-1] - 1)
    return mean_of_tokens(-ops.log(p), labels, pad_id)


@wrong("padding-out-of-the-softmax")
def logits_of_padding_hidden(labels, logits, smoothing=0.1, pad_id=0):
    logits = logits - 1e9 * ops.one_hot(pad_id, logits.shape[-1])
    return targets_written_out(labels, logits, smoothing, pad_id)


@wrong("wrong-shape")
def a_loss_for_each_place(labels, logits, smoothing=0.1, pad_id=0):
    q = targets(labels, logits.shape[-1], smoothing, pad_id)
    return -ops.sum(q * ops.log_softmax(logits), -1) * real_places(labels, pad_id)


@wrong("forbidden-call")
def from_the_course(labels, logits, smoothing=0.1, pad_id=0):
    return ready_made.label_smoothed_loss(labels, logits, smoothing, pad_id)


@wrong("not-written")
def not_yet(labels, logits, smoothing=0.1, pad_id=0):
    raise NotImplementedError


# 3. The learning rate

right = partial(CATALOGUE.right, "translation.schedule")
wrong = partial(CATALOGUE.wrong, "translation.schedule")


@right()
def as_in_the_paper(step, d_model, warmup_steps):
    step = ops.cast(step, "float32") + 1
    return d_model**-0.5 * ops.minimum(step**-0.5, step * warmup_steps**-1.5)


@right()
def as_in_the_tutorial(step, d_model, warmup_steps):
    step = ops.cast(step, dtype="float32") + 1.0
    arg1 = ops.rsqrt(step)
    arg2 = step * (warmup_steps**-1.5)
    return ops.rsqrt(ops.cast(d_model, "float32")) * ops.minimum(arg1, arg2)


@right()
def with_numpy(step, d_model, warmup_steps):
    step = np.asarray(step, "float64") + 1
    return np.minimum(1 / np.sqrt(step), step / warmup_steps**1.5) / np.sqrt(d_model)


@right()
def with_where_from_the_peak(step, d_model, warmup_steps):
    share = ops.cast(step + 1, "float32") / warmup_steps
    peak = 1 / math.sqrt(d_model * warmup_steps)
    return peak * ops.where(share < 1, share, 1 / ops.sqrt(share))


@right()
def one_by_one(step, d_model, warmup_steps):
    def rate(s):
        return min((s + 1) ** -0.5, (s + 1) * warmup_steps**-1.5) * d_model**-0.5

    step = ops.convert_to_numpy(step)
    return np.array([rate(int(s)) for s in step.ravel()]).reshape(step.shape)


@wrong("counts-from-zero")
def keras_count(step, d_model, warmup_steps):
    step = ops.cast(step, "float32")
    return d_model**-0.5 * ops.minimum(ops.rsqrt(step), step * warmup_steps**-1.5)


@wrong("counts-from-zero")
def at_least_one(step, d_model, warmup_steps):
    step = ops.maximum(ops.cast(step, "float32"), 1)
    return d_model**-0.5 * ops.minimum(step**-0.5, step * warmup_steps**-1.5)


@wrong("larger-of-the-two")
def the_larger(step, d_model, warmup_steps):
    step = ops.cast(step, "float32") + 1
    return d_model**-0.5 * ops.maximum(step**-0.5, step * warmup_steps**-1.5)


@wrong("no-warm-up")
def the_root_alone(step, d_model, warmup_steps):
    return d_model**-0.5 * (ops.cast(step, "float32") + 1) ** -0.5


@wrong("never-falls")
def the_line_alone(step, d_model, warmup_steps):
    return d_model**-0.5 * (ops.cast(step, "float32") + 1) * warmup_steps**-1.5


@wrong("stays-at-the-peak")
def held_at_the_peak(step, d_model, warmup_steps):
    share = ops.minimum((ops.cast(step, "float32") + 1) / warmup_steps, 1.0)
    return share * (d_model * warmup_steps) ** -0.5


@wrong("falls-with-the-step")
def one_over_the_step(step, d_model, warmup_steps):
    step = ops.cast(step, "float32") + 1
    return d_model**-0.5 * ops.minimum(1 / step, step * warmup_steps**-1.5)


@wrong("falls-from-the-peak-anew")
def counted_from_the_peak(step, d_model, warmup_steps):
    step = ops.cast(step, "float32") + 1
    after = ops.maximum(step - warmup_steps, 1.0) ** -0.5
    rate = ops.where(step <= warmup_steps, step * warmup_steps**-1.5, after)
    return d_model**-0.5 * rate


@wrong("peak-of-one")
def without_any_scale(step, d_model, warmup_steps):
    share = (ops.cast(step, "float32") + 1) / warmup_steps
    return ops.minimum(share, share**-0.5)


@wrong("width-left-out")
def no_width(step, d_model, warmup_steps):
    step = ops.cast(step, "float32") + 1
    return ops.minimum(step**-0.5, step * warmup_steps**-1.5)


@wrong("width-not-rooted")
def one_over_the_width(step, d_model, warmup_steps):
    step = ops.cast(step, "float32") + 1
    return ops.minimum(step**-0.5, step * warmup_steps**-1.5) / d_model


@wrong("width-multiplied")
def the_embeddings_factor(step, d_model, warmup_steps):
    step = ops.cast(step, "float32") + 1
    return d_model**0.5 * ops.minimum(step**-0.5, step * warmup_steps**-1.5)


@wrong("warm-up-not-rooted")
def a_share_of_the_warm_up(step, d_model, warmup_steps):
    step = ops.cast(step, "float32") + 1
    return d_model**-0.5 * ops.minimum(step**-0.5, step / warmup_steps)


@wrong("warm-up-half")
def the_exponent_of_the_step(step, d_model, warmup_steps):
    step = ops.cast(step, "float32") + 1
    return d_model**-0.5 * ops.minimum(step**-0.5, step * warmup_steps**-0.5)


@wrong("first-for-all")
def of_the_first_only(step, d_model, warmup_steps):
    s = float(np.ravel(ops.convert_to_numpy(step))[0]) + 1
    rate = d_model**-0.5 * min(s**-0.5, s * warmup_steps**-1.5)
    return np.full(ops.convert_to_numpy(step).shape, rate)


@wrong("one-step-only")
def min_of_python(step, d_model, warmup_steps):
    step = ops.convert_to_numpy(step) + 1.0
    return d_model**-0.5 * min(step**-0.5, step * warmup_steps**-1.5)


@wrong("unrecognised")
def the_schedule_of_bert(step, d_model, warmup_steps):
    step = ops.cast(step, "float32") + 1
    total = 10.0 * warmup_steps
    share = ops.minimum(step / warmup_steps, (total - step) / (total - warmup_steps))
    return (d_model * warmup_steps) ** -0.5 * share


@wrong("unrecognised")
def exponents_exchanged(step, d_model, warmup_steps):
    step = ops.cast(step, "float32") + 1
    return d_model**-0.5 * ops.minimum(step**-1.5 * warmup_steps, step * warmup_steps**-0.5)


@wrong("forbidden-call")
def the_schedule_of_the_course(step, d_model, warmup_steps):
    return InverseSquareRoot(d_model, warmup_steps)(step)


@wrong("wrong-arguments")
def the_other_way_round(d_model, warmup_steps):
    return (d_model * warmup_steps) ** -0.5


# 4. Repair the loss of a batch

right = partial(CATALOGUE.right, "translation.repair")
wrong = partial(CATALOGUE.wrong, "translation.repair")


def shifted_ids(target_ids, start_id):
    start = ops.full((target_ids.shape[0], 1), start_id, dtype="int32")
    return ops.concatenate([start, target_ids[:, :-1]], axis=1)


@right()
def repaired(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    logits = model((source_ids, shifted_ids(target_ids, start_id)), training=training)
    return mean_of_tokens(cross_entropy(target_ids, logits), target_ids, pad_id)


@right()
def padded_and_cut(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    ids = ops.pad(target_ids, ((0, 0), (1, 0)), constant_values=start_id)[:, :-1]
    log_p = ops.log_softmax(model([source_ids, ids], training=training))
    losses = -ops.take_along_axis(log_p, target_ids[..., None], axis=-1)[..., 0]
    real = ops.not_equal(target_ids, pad_id)
    return ops.sum(ops.where(real, losses, 0.0)) / ops.cast(ops.sum(real), "float32")


@right()
def with_a_longer_target(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    start = ops.zeros_like(target_ids[:, :1]) + start_id
    whole = ops.concatenate([start, target_ids], axis=1)
    given, labels = whole[:, :-1], whole[:, 1:]
    losses = cross_entropy(labels, model((source_ids, given), training))
    weights = ops.cast(labels != pad_id, losses.dtype)
    return ops.sum(weights * losses) / ops.sum(weights)


@right()
def outside_of_the_backend(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    target = ops.convert_to_numpy(target_ids)
    ids = np.roll(target, 1, axis=1)
    ids[:, 0] = start_id
    z = ops.convert_to_numpy(model((source_ids, ops.convert_to_tensor(ids)), training=training))
    log_p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    own = np.take_along_axis(log_p, target[..., None], -1)[..., 0]
    return float(-own[target != pad_id].mean())


@right()
def with_a_weighted_loss(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    mode = bool(training)
    logits = model((source_ids, shifted_ids(target_ids, start_id)), training=mode)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=None)
    real = real_places(target_ids, pad_id)
    # Keras divides by the number of all places.
    return loss(target_ids, logits, sample_weight=real) / ops.mean(real)


@wrong("not-shifted")
def as_it_was_handed_out(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    logits = model((source_ids, target_ids), training=True)
    return ops.mean(cross_entropy(target_ids, logits))


@wrong("not-shifted")
def only_the_shift_is_left(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    logits = model((source_ids, target_ids), training=training)
    return mean_of_tokens(cross_entropy(target_ids, logits), target_ids, pad_id)


@wrong("always-training")
def dropout_in_validation(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    logits = model((source_ids, shifted_ids(target_ids, start_id)), training=True)
    return mean_of_tokens(cross_entropy(target_ids, logits), target_ids, pad_id)


@wrong("always-training")
def shift_repaired_alone(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    logits = model((source_ids, shifted_ids(target_ids, start_id)), training=True)
    return ops.mean(cross_entropy(target_ids, logits))


@wrong("padding-counted")
def the_mean_is_left(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    logits = model((source_ids, shifted_ids(target_ids, start_id)), training=training)
    return ops.mean(cross_entropy(target_ids, logits))


@wrong("never-training")
def no_dropout_at_all(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    logits = model((source_ids, shifted_ids(target_ids, start_id)))
    return mean_of_tokens(cross_entropy(target_ids, logits), target_ids, pad_id)


@wrong("never-training")
def set_to_false(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    logits = model((source_ids, shifted_ids(target_ids, start_id)), training=False)
    return mean_of_tokens(cross_entropy(target_ids, logits), target_ids, pad_id)


@wrong("training-inverted")
def mode_inverted(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    logits = model((source_ids, shifted_ids(target_ids, start_id)), training=not training)
    return mean_of_tokens(cross_entropy(target_ids, logits), target_ids, pad_id)


@wrong("start-left-out")
def both_cut(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    labels = target_ids[:, 1:]
    logits = model((source_ids, target_ids[:, :-1]), training=training)
    return mean_of_tokens(cross_entropy(labels, logits), labels, pad_id)


@wrong("start-left-out")
def labels_moved(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    last = ops.full((target_ids.shape[0], 1), pad_id, dtype="int32")
    labels = ops.concatenate([target_ids[:, 1:], last], axis=1)
    logits = model((source_ids, target_ids), training=training)
    return mean_of_tokens(cross_entropy(labels, logits), labels, pad_id)


@wrong("labels-shifted")
def labels_shifted_too(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    ids = shifted_ids(target_ids, start_id)
    logits = model((source_ids, ids), training=training)
    return mean_of_tokens(cross_entropy(ids, logits), ids, pad_id)


@wrong("shifted-left")
def to_the_left(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    last = ops.full((target_ids.shape[0], 1), pad_id, dtype="int32")
    ids = ops.concatenate([target_ids[:, 1:], last], axis=1)
    logits = model((source_ids, ids), training=training)
    return mean_of_tokens(cross_entropy(target_ids, logits), target_ids, pad_id)


@wrong("padding-first")
def starts_with_padding(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    ids = shifted_ids(target_ids, pad_id)
    logits = model((source_ids, ids), training=training)
    return mean_of_tokens(cross_entropy(target_ids, logits), target_ids, pad_id)


@wrong("rolled")
def last_column_first(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    logits = model((source_ids, ops.roll(target_ids, 1, axis=1)), training=training)
    return mean_of_tokens(cross_entropy(target_ids, logits), target_ids, pad_id)


@wrong("first-replaced")
def first_word_replaced(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    start = ops.full((target_ids.shape[0], 1), start_id, dtype="int32")
    ids = ops.concatenate([start, target_ids[:, 1:]], axis=1)
    logits = model((source_ids, ids), training=training)
    return mean_of_tokens(cross_entropy(target_ids, logits), target_ids, pad_id)


@wrong("mean-of-sentences")
def a_mean_of_means(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    logits = model((source_ids, shifted_ids(target_ids, start_id)), training=training)
    losses, real = cross_entropy(target_ids, logits), real_places(target_ids, pad_id)
    return ops.mean(ops.sum(losses * real, 1) / ops.sum(real, 1))


@wrong("divided-by-all")
def masked_and_averaged(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    logits = model((source_ids, shifted_ids(target_ids, start_id)), training=training)
    return ops.mean(cross_entropy(target_ids, logits) * real_places(target_ids, pad_id))


@wrong("padding-of-the-input")
def mask_of_the_input(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    ids = shifted_ids(target_ids, start_id)
    logits = model((source_ids, ids), training=training)
    return mean_of_tokens(cross_entropy(target_ids, logits), ids, pad_id)


@wrong("pad-id-ignored")
def zero_is_padding(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    logits = model((source_ids, shifted_ids(target_ids, start_id)), training=training)
    return mean_of_tokens(cross_entropy(target_ids, logits), target_ids, 0)


@wrong("not-shifted", "exception", "unrecognised")
def start_in_the_source(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    logits = model((shifted_ids(source_ids, start_id), target_ids), training=training)
    return mean_of_tokens(cross_entropy(target_ids, logits), target_ids, pad_id)


@wrong("exception")
def one_longer(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    start = ops.full((target_ids.shape[0], 1), start_id, dtype="int32")
    logits = model((source_ids, ops.concatenate([start, target_ids], axis=1)), training=training)
    return mean_of_tokens(cross_entropy(target_ids, logits), target_ids, pad_id)


@wrong("summed")
def sum_of_the_batch(model, source_ids, target_ids, start_id, pad_id=0, training=False):
    logits = model((source_ids, shifted_ids(target_ids, start_id)), training=training)
    return ops.sum(cross_entropy(target_ids, logits) * real_places(target_ids, pad_id))


# 5. BLEU

right = partial(CATALOGUE.right, "translation.bleu")
wrong = partial(CATALOGUE.wrong, "translation.bleu")


def grams(tokens, n):
    return Counter(tuple(tokens[k : k + n]) for k in range(len(tokens) - n + 1))


def penalty_for(c, r):
    return 0.0 if c == 0 else min(1.0, math.exp(1 - r / c))


def counted(hypotheses, references, max_order, match=lambda h, r: (h & r).total()):
    """Precisions, with the way in which matches are counted."""
    found = []
    for n in range(1, max_order + 1):
        pairs = [(grams(h, n), grams(r, n)) for h, r in zip(hypotheses, references, strict=True)]
        total = sum(h.total() for h, _ in pairs)
        found.append(sum(match(h, r) for h, r in pairs) / total if total else 0.0)
    return found


def lengths_of(hypotheses, references):
    return sum(map(len, hypotheses)), sum(map(len, references))


def product_of(precisions):
    return math.prod(precisions) ** (1 / len(precisions))


@right()
def with_counters(hypotheses, references, max_order=4):
    precisions = counted(hypotheses, references, max_order)
    return 100 * penalty_for(*lengths_of(hypotheses, references)) * product_of(precisions)


@wrong("zeros-left-out")
def mean_of_the_orders_that_exist(hypotheses, references, max_order=4):
    logs = []
    for n in range(1, max_order + 1):
        pairs = [(grams(h, n), grams(r, n)) for h, r in zip(hypotheses, references, strict=True)]
        total = sum(h.total() for h, _ in pairs)
        if total == 0:
            continue
        found = sum((h & r).total() for h, r in pairs)
        if found == 0:
            return 0.0
        logs.append(math.log(found / total))
    if not logs:
        return 0.0
    lengths = lengths_of(hypotheses, references)
    return 100 * penalty_for(*lengths) * math.exp(sum(logs) / len(logs))


@right()
def with_logarithms(hypotheses, references, max_order=4):
    c, r = lengths_of(hypotheses, references)
    precisions = counted(hypotheses, references, max_order)
    if min(precisions) == 0:
        return 0.0
    log_mean = sum(math.log(p) for p in precisions) / max_order
    return 100 * math.exp(log_mean + min(0, 1 - r / c))


@right()
def loops_with_lists(hypotheses, references, max_order=4):
    product = 1.0
    for n in range(1, max_order + 1):
        hits = total = 0
        for hypothesis, reference in zip(hypotheses, references, strict=True):
            left = [reference[k : k + n] for k in range(len(reference) - n + 1)]
            for k in range(len(hypothesis) - n + 1):
                total += 1
                if hypothesis[k : k + n] in left:
                    left.remove(hypothesis[k : k + n])
                    hits += 1
        product *= hits / total if total else 0
    c = sum(len(tokens) for tokens in hypotheses)
    r = sum(len(tokens) for tokens in references)
    short = 1 if c > r else (math.exp(1 - r / c) if c else 0)
    return 100 * short * product ** (1 / max_order)


@right()
def joined_strings_and_numpy(hypotheses, references, max_order=4):
    hits, totals = np.zeros(max_order), np.zeros(max_order)
    for h, r in zip(hypotheses, references, strict=True):
        for n in range(max_order):
            ours = Counter(" ".join(h[k : k + n + 1]) for k in range(len(h) - n))
            theirs = Counter(" ".join(r[k : k + n + 1]) for k in range(len(r) - n))
            hits[n] += sum(min(count, theirs[gram]) for gram, count in ours.items())
            totals[n] += max(len(h) - n, 0)
    if not hits.all():
        return 0
    c, r = lengths_of(hypotheses, references)
    return np.float64(100 * np.exp(np.log(hits / totals).mean()) * np.exp(min(0, 1 - r / c)))


@wrong("not-clipped")
def every_repetition_counts(hypotheses, references, max_order=4):
    match = lambda h, r: sum(count for gram, count in h.items() if gram in r)  # noqa: E731
    precisions = counted(hypotheses, references, max_order, match)
    return 100 * penalty_for(*lengths_of(hypotheses, references)) * product_of(precisions)


@wrong("counted-once")
def as_sets(hypotheses, references, max_order=4):
    precisions = []
    for n in range(1, max_order + 1):
        pairs = [
            (set(grams(h, n)), set(grams(r, n)))
            for h, r in zip(hypotheses, references, strict=True)
        ]
        total = sum(len(h) for h, _ in pairs)
        precisions.append(sum(len(h & r) for h, r in pairs) / total if total else 0)
    return 100 * penalty_for(*lengths_of(hypotheses, references)) * product_of(precisions)


@wrong("only-words-clipped")
def longer_ones_not_clipped(hypotheses, references, max_order=4):
    match = lambda h, r: sum(count for gram, count in h.items() if gram in r)  # noqa: E731
    precisions = counted(hypotheses, references, max_order, match)
    precisions[0] = counted(hypotheses, references, 1)[0]
    return 100 * penalty_for(*lengths_of(hypotheses, references)) * product_of(precisions)


@wrong("one-bag")
def counters_summed_first(hypotheses, references, max_order=4):
    precisions = []
    for n in range(1, max_order + 1):
        ours, theirs = Counter(), Counter()
        for h, r in zip(hypotheses, references, strict=True):
            ours += grams(h, n)
            theirs += grams(r, n)
        precisions.append((ours & theirs).total() / max(ours.total(), 1))
    return 100 * penalty_for(*lengths_of(hypotheses, references)) * product_of(precisions)


@wrong("one-text")
def everything_joined(hypotheses, references, max_order=4):
    ours, theirs = (
        [word for tokens in side for word in tokens] for side in (hypotheses, references)
    )
    return with_counters([ours], [theirs], max_order)


@wrong("no-brevity-penalty")
def precision_alone(hypotheses, references, max_order=4):
    return 100 * product_of(counted(hypotheses, references, max_order))


@wrong("ratio-as-penalty")
def ratio_of_lengths(hypotheses, references, max_order=4):
    c, r = lengths_of(hypotheses, references)
    return 100 * min(1, c / r) * product_of(counted(hypotheses, references, max_order))


@wrong("penalty-inverted")
def long_ones_punished(hypotheses, references, max_order=4):
    c, r = lengths_of(hypotheses, references)
    return 100 * penalty_for(r, c) * product_of(counted(hypotheses, references, max_order))


@wrong("penalty-unbounded")
def long_ones_rewarded(hypotheses, references, max_order=4):
    c, r = lengths_of(hypotheses, references)
    penalty = math.exp(1 - r / c) if c else 0
    return 100 * penalty * product_of(counted(hypotheses, references, max_order))


@wrong("recall")
def divided_by_the_reference(hypotheses, references, max_order=4):
    precisions = []
    for n in range(1, max_order + 1):
        pairs = [(grams(h, n), grams(r, n)) for h, r in zip(hypotheses, references, strict=True)]
        total = sum(r.total() for _, r in pairs)
        precisions.append(sum((h & r).total() for h, r in pairs) / total if total else 0)
    return 100 * penalty_for(*lengths_of(hypotheses, references)) * product_of(precisions)


@wrong("mean-of-sentences")
def mean_of_sentence_scores(hypotheses, references, max_order=4):
    scores = [
        with_counters([h], [r], max_order) for h, r in zip(hypotheses, references, strict=True)
    ]
    return sum(scores) / len(scores)


@wrong("arithmetic-mean")
def precisions_averaged(hypotheses, references, max_order=4):
    precisions = counted(hypotheses, references, max_order)
    return 100 * penalty_for(*lengths_of(hypotheses, references)) * np.mean(precisions)


@wrong("product-without-root")
def product_alone(hypotheses, references, max_order=4):
    precisions = counted(hypotheses, references, max_order)
    return 100 * penalty_for(*lengths_of(hypotheses, references)) * math.prod(precisions)


@wrong("zeros-left-out")
def without_the_zeros(hypotheses, references, max_order=4):
    precisions = [p for p in counted(hypotheses, references, max_order) if p > 0]
    if not precisions:
        return 0.0
    return 100 * penalty_for(*lengths_of(hypotheses, references)) * product_of(precisions)


@wrong("longest-only")
def four_words_only(hypotheses, references, max_order=4):
    precision = counted(hypotheses, references, max_order)[-1]
    return 100 * penalty_for(*lengths_of(hypotheses, references)) * precision


@wrong("words-only")
def single_words(hypotheses, references, max_order=4):
    precision = counted(hypotheses, references, 1)[0]
    return 100 * penalty_for(*lengths_of(hypotheses, references)) * precision


@wrong("one-order-short")
def range_without_its_end(hypotheses, references, max_order=4):
    precisions = counted(hypotheses, references, max(max_order - 1, 1))
    return 100 * penalty_for(*lengths_of(hypotheses, references)) * product_of(precisions)


@wrong("always-four")
def four_whatever_is_asked(hypotheses, references, max_order=4):
    return with_counters(hypotheses, references, 4)


@wrong("exchanged")
def sides_exchanged(hypotheses, references, max_order=4):
    return with_counters(references, hypotheses, max_order)


@wrong("between-0-and-1")
def a_share(hypotheses, references, max_order=4):
    return with_counters(hypotheses, references, max_order) / 100


@wrong("add-one")
def smoothed_counts(hypotheses, references, max_order=4):
    precisions = []
    for n in range(1, max_order + 1):
        pairs = [(grams(h, n), grams(r, n)) for h, r in zip(hypotheses, references, strict=True)]
        more = int(n > 1)
        total = sum(h.total() for h, _ in pairs)
        hits = sum((h & r).total() for h, r in pairs)
        precisions.append((hits + more) / (total + more) if total else 0)
    return 100 * penalty_for(*lengths_of(hypotheses, references)) * product_of(precisions)


@wrong("exception")
def an_empty_one_forgotten(hypotheses, references, max_order=4):
    c, r = lengths_of(hypotheses, references)
    penalty = min(1.0, math.exp(1 - r / c))
    return 100 * penalty * product_of(counted(hypotheses, references, max_order))


@wrong("unrecognised")
def pairs_of_letters(hypotheses, references, max_order=4):
    ours, theirs = ([" ".join(tokens) for tokens in side] for side in (hypotheses, references))
    return with_counters(ours, theirs, max_order)


@wrong("wrong-type")
def all_precisions(hypotheses, references, max_order=4):
    return {n + 1: p for n, p in enumerate(counted(hypotheses, references, max_order))}


# 6. Choose a checkpoint

right = partial(CATALOGUE.right, "translation.choose")
wrong = partial(CATALOGUE.wrong, "translation.choose")


@right()
def by_argmax(steps, train_loss, validation_bleu, test_bleu):
    at = np.argmax(validation_bleu)
    return {"step": int(steps[at]), "test": float(test_bleu[at])}


@right()
def by_a_loop(steps, train_loss, validation_bleu, test_bleu):
    best = 0
    for k in range(len(steps)):
        if validation_bleu[k] > validation_bleu[best]:
            best = k
    return {"step": steps[best], "test": test_bleu[best]}


@right()
def by_max_with_a_key(steps, train_loss, validation_bleu, test_bleu):
    rows = zip(validation_bleu, -steps, test_bleu, strict=True)
    _, step, test = max(rows, key=lambda row: row[:2])
    return {"test": test, "step": -step}


@right()
def by_where(steps, train_loss, validation_bleu, test_bleu):
    best = validation_bleu == validation_bleu.max()
    return dict(step=steps[best][0], test=test_bleu[best][0])


@wrong("chosen-on-test")
def best_on_test(steps, train_loss, validation_bleu, test_bleu):
    at = np.argmax(test_bleu)
    return {"step": int(steps[at]), "test": float(test_bleu[at])}


@wrong("best-of-each")
def the_best_test_score(steps, train_loss, validation_bleu, test_bleu):
    return {"step": int(steps[np.argmax(validation_bleu)]), "test": float(test_bleu.max())}


@wrong("chosen-on-both")
def a_mean_of_both(steps, train_loss, validation_bleu, test_bleu):
    at = np.argmax((validation_bleu + test_bleu) / 2)
    return {"step": int(steps[at]), "test": float(test_bleu[at])}


@wrong("the-last")
def the_last_one(steps, train_loss, validation_bleu, test_bleu):
    return {"step": int(steps[-1]), "test": float(test_bleu[-1])}


@wrong("smallest-loss-in-training")
def by_the_training_loss(steps, train_loss, validation_bleu, test_bleu):
    at = np.argmin(train_loss)
    return {"step": int(steps[at]), "test": float(test_bleu[at])}


@wrong("the-latest-of-equals")
def later_of_equals(steps, train_loss, validation_bleu, test_bleu):
    at = max(range(len(steps)), key=lambda k: (validation_bleu[k], k))
    return {"step": int(steps[at]), "test": float(test_bleu[at])}


@wrong("place-in-the-list")
def the_place(steps, train_loss, validation_bleu, test_bleu):
    at = int(np.argmax(validation_bleu))
    return {"step": at, "test": float(test_bleu[at])}


@wrong("said-validation")
def the_score_it_was_chosen_by(steps, train_loss, validation_bleu, test_bleu):
    at = np.argmax(validation_bleu)
    return {"step": int(steps[at]), "test": float(validation_bleu[at])}


@wrong("the-worst")
def smallest_is_best(steps, train_loss, validation_bleu, test_bleu):
    at = np.argmin(validation_bleu)
    return {"step": int(steps[at]), "test": float(test_bleu[at])}


@wrong("wrong-type")
def a_pair(steps, train_loss, validation_bleu, test_bleu):
    at = np.argmax(validation_bleu)
    return int(steps[at]), float(test_bleu[at])
