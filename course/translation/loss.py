"""The loss with label smoothing, and a model that trains with it: section 5.4 of the paper."""

from typing import Any

import keras
from keras import ops

from course import attention, kernels
from course.runtime.types import Tensor


def label_smoothed_loss(
    labels: Tensor, logits: Tensor, smoothing: float = 0.1, pad_id: int = 0
) -> Tensor:
    """Cross-entropy with softened targets, the mean over real tokens.

    The target of a token is q = (1 - ε) · one-hot + ε · u, where u is uniform over all ids but
    padding, which is never right; the loss is -Σ q log p. Padded places count nothing.

    Args:
        labels: integer tensor `(batch, length)`, the ids that should come out.
        logits: float tensor `(batch, length, vocab_size)`.
        smoothing: ε, between 0 and 1.
        pad_id: the id of padding in `labels`.

    Returns:
        float32 scalar.

    Reference: Szegedy et al. 2016, section 7; Vaswani et al. 2017, section 5.4.
    """
    # Keras hands the labels of a compiled loss over as floats.
    logits, labels = ops.cast(logits, "float32"), ops.cast(labels, "int32")
    right = ops.squeeze(ops.take_along_axis(logits, labels[..., None], axis=-1), -1)
    others = (ops.sum(logits, axis=-1) - logits[..., pad_id]) / (logits.shape[-1] - 1)
    nll = ops.logsumexp(logits, axis=-1) - right  # (batch, length): -log p of the label
    return mean_of_real(nll + smoothing * (right - others), labels, pad_id)


def masked_accuracy(labels: Tensor, logits: Tensor, pad_id: int = 0) -> Tensor:
    """The share of real tokens whose largest logit is the label's.

    Args:
        labels: integer tensor `(batch, length)`.
        logits: float tensor `(batch, length, vocab_size)`.
        pad_id: the id of padding in `labels`.

    Returns:
        float32 scalar.
    """
    labels = ops.cast(labels, "int32")
    hits = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), labels)
    return mean_of_real(hits, labels, pad_id)


def mean_of_real(values: Tensor, labels: Tensor, pad_id: int = 0) -> Tensor:
    """The mean of values `(batch, length)` where `labels` are not padding; 0 if all are."""
    real = ops.cast(attention.padding_mask(labels, pad_id), "float32")
    return ops.sum(ops.cast(values, "float32") * real) / ops.maximum(ops.sum(real), 1.0)


def teacher_forcing_loss(
    transformer: Any,
    vectors: Tensor,
    labels: Tensor,
    smoothing: float = 0.1,
    fixed_shapes: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """`label_smoothed_loss` of a Transformer, without a second look at the logits.

    They are linear in the decoder's vectors h, so what smoothing adds, ε (z_label - mean z), is
    ε h · (w_label - mean w): a product as wide as the model, not as wide as the vocabulary.

    Args:
        transformer: a `Transformer`, of which the output's weights and `pad_id` are used.
        vectors: float tensor `(batch, length, d_model)`, what its `decode` returned.
        labels: integer tensor `(batch, length)`, the ids that should come out.
        smoothing: ε, between 0 and 1.
        fixed_shapes: whether the number of real tokens must not be a shape, as in a graph that XLA
            compiles.

    Returns:
        Triple of float32 scalars: the loss, its part without smoothing, and the number of real
        tokens.
    """
    real = attention.padding_mask(labels, transformer.pad_id)  # (batch, length)
    tokens = ops.sum(ops.cast(real, "float32"))
    if fixed_shapes:
        logits = ops.cast(transformer.logits(vectors), "float32")
        nll = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        nll = mean_of_real(nll, labels, transformer.pad_id)
    else:  # logits only where there is a label
        (at,) = ops.nonzero(ops.reshape(real, (-1,)))
        vectors = ops.take(ops.reshape(vectors, (-1, transformer.d_model)), at, axis=0)
        labels = ops.cast(ops.take(ops.reshape(labels, (-1,)), at, axis=0), "int32")  # (tokens,)
        nll = kernels.summed_cross_entropy(vectors, labels, *transformer.output_weights())
        nll = nll / ops.maximum(tokens, 1.0)
    if not smoothing:
        return nll, nll, tokens
    term = _smoothing_term(transformer, vectors, labels)
    return nll + smoothing * mean_of_real(term, labels, transformer.pad_id), nll, tokens


def _smoothing_term(transformer, vectors, labels):
    """z_label - mean z for each token, from the weights of the output."""
    table, bias = transformer.output_weights()  # (vocab_size, d_model), (vocab_size,)
    pad_id, others = transformer.pad_id, table.shape[0] - 1
    mean = (ops.sum(table, axis=0) - table[pad_id]) / others  # (d_model,)
    apart = ops.take(table, labels, axis=0) - mean  # (..., d_model)
    term = ops.sum(ops.cast(vectors, "float32") * apart, axis=-1)
    if bias is not None:
        mean = (ops.sum(bias) - bias[pad_id]) / others
        term = term + ops.take(bias, labels, axis=0) - mean
    return term


class TeacherForcing(keras.Model):
    """Trains a Transformer: it reads the right ids so far and is asked for the next.

    Args:
        transformer: a `Transformer`.
        smoothing: ε of the loss.

    `fit` it on batches of `pair_batches`. Logs: "loss", the smoothed loss, and "nll", the plain
    cross-entropy, a mean over all tokens, not over batches; exp of it is the perplexity.
    """

    def __init__(self, transformer, smoothing=0.1, **kwargs):
        super().__init__(**kwargs)
        self.transformer, self.smoothing = transformer, smoothing
        self.nll = keras.metrics.Mean(name="nll")
        self.built = True

    def call(self, inputs, training=None):
        """(source ids, target ids without the last) → vectors `(batch, length, d_model)`."""
        source_ids, target_ids = inputs
        model = self.transformer
        source_mask = attention.padding_mask(source_ids, model.pad_id)
        memory = model.encode(source_ids, training)
        return model.decode(target_ids, memory, source_mask, training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        fixed = keras.backend.backend() != "tensorflow" or self.jit_compile
        loss, nll, tokens = teacher_forcing_loss(
            self.transformer, y_pred, y, self.smoothing, fixed_shapes=fixed
        )
        self.nll.update_state(nll, sample_weight=tokens)
        return loss
