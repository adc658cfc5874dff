"""The loss of a causal language model, and the model that trains with it."""

import keras
from keras import ops


def causal_loss(logits, labels, pad_id=0):
    """Mean cross-entropy of the labels that are not padding: -log p(next token), in nats.

    Args:
        logits: float tensor `(..., vocab_size)`; those at place t are about the label at t.
        labels: integer tensor `(...)`, the ids that follow.
        pad_id: labels that count nothing.

    Returns:
        float32 scalar; 0 where no label counts.

    Reference: Bengio et al. 2003, "A Neural Probabilistic Language Model", section 2.
    """
    nll, real = token_losses(logits, labels, pad_id)
    return ops.sum(nll) / ops.maximum(ops.sum(real), 1.0)


def token_losses(logits, labels, pad_id=0):
    """-log p of each label, 0 where it does not count; and 1.0 where it does, 0.0 elsewhere.

    Args:
        logits, labels, pad_id: see `causal_loss`.

    Returns:
        Two float32 tensors of the shape of `labels`.
    """
    labels = ops.cast(labels, "int32")
    is_real = ops.not_equal(labels, pad_id)
    real = ops.cast(is_real, "float32")
    labels = ops.where(is_real, labels, 0)  # a pad_id of -1 has no logit
    logits = ops.cast(logits, "float32")
    nll = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    return nll * real, real


class NextToken(keras.Model):
    """Trains a causal language model: each token is asked for the next.

    Args:
        model: a `CausalLM`.

    `fit` it on `PackedBatches`. Logs: "loss", the mean cross-entropy over the tokens of a batch,
    and "nll", the mean over all tokens; exp of it is the perplexity.
    """

    def __init__(self, model, **kwargs):
        super().__init__(**kwargs)
        self.model = model
        self.nll = keras.metrics.Mean(name="nll")
        self.built = True

    def call(self, inputs, training=None):
        """As `CausalLM`: token ids, or the pair of them and document ids → logits."""
        return self.model(inputs, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        losses, real = token_losses(y_pred, y, self.model.pad_id)
        tokens = ops.sum(real)
        nll = ops.sum(losses) / ops.maximum(tokens, 1.0)
        self.nll.update_state(nll, sample_weight=tokens)
        return nll


class TokenLosses(keras.Model):
    """Scores texts: ids `(batch, length + 1)` → -log p of ids 1 to length, `(batch, length)`.

    Args:
        model: a `CausalLM`.
    """

    def __init__(self, model, **kwargs):
        super().__init__(**kwargs)
        self.model = model
        self.built = True

    def call(self, ids):
        return token_losses(self.model(ids[:, :-1], training=False), ids[:, 1:], pad_id=-1)[0]
