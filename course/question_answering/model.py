"""Two vectors over BERT: where an answer starts, and where it ends."""

import keras
from keras import ops

IGNORED = -1  # the label of a window that teaches nothing
FAR_BELOW = -1e9  # the logit of a place that may not be chosen; float32 holds it, and its sums


@keras.saving.register_keras_serializable("course")
class BertForQuestionAnswering(keras.Model):
    """Where in a context the answer to a question starts and ends: two logits for each token.

    Args:
        encoder: a `BertEncoder`. Its pooler is not used, and is not trained.
        no_answer: how "there is no answer" is told. "cls" is the convention of SQuAD 2.0: the span
            that starts and ends at `[CLS]`. "head" gives it a linear layer of its own over the
            state of `[CLS]`. None: every question has an answer.

    Call arguments:
        inputs: pair `(token_ids, segment_ids)` of integer tensors `(batch, length)`, or a triple
            with `allowed`, boolean `(batch, length)`: True where a span may start or end. Elsewhere
            the logits are -1e9.

    Returns:
        Start logits and end logits, float32 `(batch, length)`; with `no_answer="head"` the logits
        of "no answer", `(batch,)`, as a third.

    `fit` it on `WindowBatches`. Logs: "loss"; "nll", the mean cross-entropy of start and end over
    all labelled rows, and "error", the share of them whose likeliest start and end are not both
    right. Rows labelled -1 are left out of everything.

    Reference: Devlin et al. 2019, section 4.2 and figure 4 (c), section 4.3 for no answer.
    """

    def __init__(self, encoder, no_answer=None, **kwargs):
        super().__init__(**{"dtype": encoder.dtype_policy, **kwargs})
        if no_answer not in (None, "cls", "head"):
            raise ValueError(f'no_answer = {no_answer!r}: choose None, "cls" or "head".')
        self.encoder, self.no_answer_by = encoder, no_answer
        encoder.pooler.trainable = False  # it gets no gradient, of which Keras would warn
        self.qa_outputs = self._dense(2, "qa_outputs")
        self.no_answer = self._dense(1, "no_answer") if no_answer == "head" else None
        self.nll = keras.metrics.Mean(name="nll")
        self.error = keras.metrics.Mean(name="error")
        self.build()

    def _dense(self, units, name):
        drawn = self.encoder.initializer.clone()
        return keras.layers.Dense(
            units, kernel_initializer=drawn, dtype=self.dtype_policy, name=name
        )

    def build(self, inputs_shape=None):
        for layer in filter(None, (self.qa_outputs, self.no_answer)):
            layer.build((None, None, self.encoder.d_model))

    def call(self, inputs, training=None):
        token_ids, segment_ids, *allowed = inputs
        states, _ = self.encoder((token_ids, segment_ids), training=training)
        logits = ops.cast(self.qa_outputs(states), "float32")  # (batch, length, 2)
        found = [logits[..., 0], logits[..., 1]]
        if allowed:
            found = [ops.where(allowed[0], each, FAR_BELOW) for each in found]
        if self.no_answer is not None:
            found.append(ops.cast(self.no_answer(states[:, 0])[:, 0], "float32"))
        return tuple(found)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The mean of the cross-entropies of start and end, and that of "no answer" if it has one.

        `y` is an integer tensor `(batch, 2)`, places of start and end; 0 and 0 mean no answer.
        """
        y = ops.cast(y, "int32")
        start, end, *no_answer = y_pred
        labelled = y[:, 0] >= 0
        spans = labelled & (y[:, 0] > 0) if no_answer else labelled
        places = ops.maximum(y, 0)
        losses = (cross_entropy(places[:, 0], start) + cross_entropy(places[:, 1], end)) / 2
        loss, rows = _mean(losses, spans)
        self.nll.update_state(loss, sample_weight=rows)
        right = ops.equal(ops.cast(ops.argmax(start, axis=-1), "int32"), y[:, 0])
        right &= ops.equal(ops.cast(ops.argmax(end, axis=-1), "int32"), y[:, 1])
        missed, _ = _mean(1.0 - ops.cast(right, "float32"), spans)
        self.error.update_state(missed, sample_weight=rows)
        if no_answer:
            target = ops.cast(ops.equal(places[:, 0], 0), "float32")
            each = ops.binary_crossentropy(target[:, None], no_answer[0][:, None], from_logits=True)
            loss += _mean(each[:, 0], labelled)[0]
        return loss

    def get_config(self):
        return super().get_config() | {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "no_answer": self.no_answer_by,
        }

    @classmethod
    def from_config(cls, config):
        encoder = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**config | {"encoder": encoder})


def cross_entropy(places, logits):
    """-log softmax(logits)[place] of each row: `(batch,)`."""
    return ops.sparse_categorical_crossentropy(places, logits, from_logits=True)


def _mean(values, chosen):
    """The mean of the chosen rows, 0 if there is none; and how many there are."""
    chosen = ops.cast(chosen, "float32")
    rows = ops.sum(chosen)
    return ops.sum(values * chosen) / ops.maximum(rows, 1.0), rows
