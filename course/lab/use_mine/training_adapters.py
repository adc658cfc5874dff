"""The same for what trains and decodes: losses, schedule, AdamW, masking, searches, sampling."""

import keras
import numpy as np
from keras import ops


def masked_accuracy(mine, library):
    """The second of `masked_scores(labels, logits, pad_id)`."""

    def accuracy(labels, logits, pad_id=0):
        if len(labels.shape) != 2:
            return library(labels, logits, pad_id)
        return mine(ops.cast(labels, "int32"), logits, pad_id)[1]

    return accuracy


def plain_loss(mine, library):
    """The first of `masked_scores`, where the loss is not smoothed."""

    def loss(labels, logits, smoothing=0.1, pad_id=0):
        if smoothing or len(labels.shape) != 2:
            return library(labels, logits, smoothing, pad_id)
        return mine(ops.cast(labels, "int32"), ops.cast(logits, "float32"), pad_id)[0]

    return loss


def plain_teacher_forcing(mine, library):
    """The cross-entropy without smoothing, in training."""

    def loss(transformer, vectors, labels, smoothing=0.1, *args, **more):
        total, nll, tokens = library(transformer, vectors, labels, smoothing, *args, **more)
        logits = ops.cast(transformer.logits(vectors), "float32")
        mean = mine(ops.cast(labels, "int32"), logits, transformer.pad_id)[0]
        return total - nll + mean, mean, tokens

    return loss


def smoothed_loss(mine, library):
    """`smoothed_loss(labels, logits, smoothing, pad_id)`."""

    def loss(labels, logits, smoothing=0.1, pad_id=0):
        if len(labels.shape) != 2:
            return library(labels, logits, smoothing, pad_id)
        return mine(ops.cast(labels, "int32"), ops.cast(logits, "float32"), smoothing, pad_id)

    return loss


def smoothed_teacher_forcing(mine, library):
    """The same in training: from the logits, as the exercise asks."""

    def loss(transformer, vectors, labels, smoothing=0.1, *args, **more):
        if not smoothing:
            return library(transformer, vectors, labels, smoothing, *args, **more)
        _, nll, tokens = library(transformer, vectors, labels, 0.0, *args, **more)
        logits = ops.cast(transformer.logits(vectors), "float32")
        total = mine(ops.cast(labels, "int32"), logits, smoothing, transformer.pad_id)
        return total, nll, tokens

    return loss


def schedule(mine, library):
    """`learning_rate(step, d_model, warmup_steps)`, whose first step is 0."""

    def rate(step, d_model, warmup_steps):
        return mine(ops.cast(step, "float32") - 1.0, d_model, warmup_steps)

    return rate


def next_distribution(mine, library):
    """`next_distribution(logits, temperature, k, p)`."""

    def distribution(logits, temperature=1.0, top_k=None, top_p=None):
        like = [("float32", logits.shape)]
        k = None if top_k is None else min(top_k, logits.shape[-1])
        made = mine(logits, temperature, k, top_p, like=like, arrays=True)
        return ops.cast(ops.convert_to_tensor(made), "float32")

    return distribution


def adamw(mine, library):
    """`adamw_update(weights, gradients, m, v, step, learning_rate, weight_decay)` of one weight.

    The exercise's epsilon is 1e-8. Adam's step does not change with the scale of the gradients, so
    gradients and moments on another scale make it any epsilon.
    """

    def update(
        weight, gradient, m, v, step, learning_rate, weight_decay=0.0, *, beta_1, beta_2, **more
    ):
        epsilon, assign = more["epsilon"], more.get("assign")
        if abs(beta_1 - 0.9) > 1e-9 or abs(beta_2 - 0.999) > 1e-9 or not epsilon:
            betas = {"beta_1": beta_1, "beta_2": beta_2}
            return library(
                weight, gradient, m, v, step, learning_rate, weight_decay, **betas, **more
            )
        by = 1e-8 / epsilon

        def one(w, g, m_then, v_then, number, rate):
            new, m_new, v_new = mine.answer(
                *({"w": each} for each in (w, g, m_then, v_then)),
                number,
                rate,
                float(weight_decay),
            )
            return new["w"], m_new["w"], v_new["w"]

        shape = tuple(weight.shape)
        values = [_value(each) for each in (weight, m, v)]
        dtype = keras.backend.standardize_dtype(values[0].dtype)
        new, m_new, v_new = mine.over(one)(
            values[0],
            gradient * by,
            values[1] * by,
            values[2] * by**2,
            ops.cast(step, dtype),
            ops.cast(learning_rate, dtype),
            like=[(dtype, shape)] * 3,
            arrays=True,
        )
        made = (new, m_new / by, v_new / by**2)
        for variable, value in zip((weight, m, v), made, strict=True):
            value = ops.cast(value, dtype)
            variable.assign(value) if assign is None else assign(variable, value)
        return None

    return update


def _value(variable):
    """What a variable of Keras, or of the backend, holds now."""
    value = getattr(variable, "value", variable)
    return ops.convert_to_tensor(value() if callable(value) else value)


def greedy(mine, library):
    """`greedy_search(step, prompt, end_id, max_length)` for an encoder-decoder, without a cache."""

    def search(model, inputs, *, max_length, end_id, start_id=None, pad_id=0, **more):
        repeats = more.get("repetition_penalty", more.get("penalty", 1.0)) != 1.0
        if start_id is None or repeats or pad_id != 0 or _in_graph(inputs):
            settings = {"max_length": max_length, "end_id": end_id, "start_id": start_id}
            return library(model, inputs, **settings, pad_id=pad_id, **more)
        inputs = ops.convert_to_tensor(inputs)
        step = _step_of(model, inputs, _suppressed(more))
        prompt = np.full((inputs.shape[0], 1), start_id)
        ids = np.asarray(mine(step, prompt, end_id, max_length))
        return ops.convert_to_tensor(ids.astype("int32"))

    return search


def beam_search(mine, library):
    """`beam_search(step, start_id, end_id, num_beams, max_length, alpha)`, sentence by sentence."""

    def search(model, inputs, *, max_length, end_id, num_beams=4, start_id=None, pad_id=0, **more):
        number = more.get("num_return_sequences", 1)
        early = more.get("early_stopping", False)
        if start_id is None or number != 1 or early or pad_id != 0 or _in_graph(inputs):
            settings = {"max_length": max_length, "end_id": end_id, "num_beams": num_beams}
            return library(model, inputs, **settings, start_id=start_id, pad_id=pad_id, **more)
        inputs = ops.convert_to_tensor(inputs)
        rows = np.zeros((inputs.shape[0], 1, max_length), "int32")
        scores = np.zeros((inputs.shape[0], 1), "float32")
        for row in range(inputs.shape[0]):
            step = _step_of(model, inputs[row : row + 1], _suppressed(more))
            alpha = float(more.get("length_penalty", 1.0))
            ids, score = mine(step, start_id, end_id, num_beams, max_length, alpha)
            ids = np.asarray(ids)[:max_length]
            rows[row, 0, : len(ids)], scores[row, 0] = ids, score
        return ops.convert_to_tensor(rows), ops.convert_to_tensor(scores)

    return search


def _suppressed(more):
    return list(more.get("suppress_ids", more.get("never", ())))


def _in_graph(inputs):
    from course.decoding import compilation

    return compilation.inside_a_graph(compilation.tensors(inputs))


def _step_of(model, source_ids, suppressed):
    """The exercises' step: ids so far `(rows, length)` → logits of the next `(rows, vocab)`."""

    def step(ids):
        ids = np.asarray(ids)
        rows, length = ids.shape
        source = source_ids if len(source_ids) == rows else ops.repeat(source_ids, rows, axis=0)
        logits = model((source, ops.convert_to_tensor(ids.astype("int32"))), training=False)
        last = np.array(ops.convert_to_numpy(logits))[:, length - 1].astype("float32")
        if suppressed:
            last[:, suppressed] = -1e9
        return last

    return step


def mask_tokens(mine, library):
    """`mask_tokens(ids, draws, special_ids, mask_id, vocab_size, rate)` with the paper's shares."""

    def hide(ids, draws, special_ids, mask_id, vocab_size, rate=0.15, **more):
        paper = {"mask_share": 0.8, "random_share": 0.1, "pad_id": 0}
        if paper | more != paper:
            return library(ids, draws, special_ids, mask_id, vocab_size, rate, **more)
        return mine(ids, draws, special_ids, mask_id, vocab_size, rate)

    return hide
