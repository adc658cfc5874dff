"""A classifier over BERT: dropout and one linear layer on the pooled vector of `[CLS]`."""

import keras
from keras import ops

from course.fine_tuning.metrics import figures


@keras.saving.register_keras_serializable("course")
class BertClassifier(keras.Model):
    """Which class a text, or a pair of texts, belongs to: logits over the classes.

    Args:
        encoder: a `BertEncoder`.
        num_labels: number of classes, at least 2.
        dropout: rate on the pooled vector; None means the encoder's.

    Call arguments:
        inputs: those of the encoder.

    Returns:
        Logits `(batch, num_labels)`.

    `fit` it on `ExampleBatches`. Logs: "loss"; "nll", the cross-entropy, "accuracy", "error"
    (1 - accuracy), "f1" and "matthews", over all rows and not means over batches.

    Reference: Devlin et al. 2019, section 4.1 and figure 4 (a, b).
    """

    def __init__(self, encoder, num_labels, dropout=None, **kwargs):
        super().__init__(**{"dtype": encoder.dtype_policy, **kwargs})
        if num_labels < 2:
            raise ValueError(f"num_labels = {num_labels}: there is nothing to choose from.")
        self.encoder, self.num_labels = encoder, num_labels
        dtype = self.dtype_policy
        rate = encoder.dropout.rate if dropout is None else dropout
        self.dropout = keras.layers.Dropout(rate, dtype=dtype)
        drawn = encoder.initializer.clone()
        self.classifier = keras.layers.Dense(
            num_labels, kernel_initializer=drawn, dtype=dtype, name="classifier"
        )
        self.nll = keras.metrics.Mean(name="nll")
        self.confusion = _Confusion(num_labels, name="confusion")
        self.build()

    def build(self, inputs_shape=None):
        self.classifier.build((None, self.encoder.d_model))

    def call(self, inputs, training=None):
        _, pooled = self.encoder(inputs, training=training)
        return self.classifier(self.dropout(pooled, training=training))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The mean cross-entropy of the rows that are examples; a label of -1 fills up a batch."""
        logits, y = ops.cast(y_pred, "float32"), ops.cast(y, "int32")
        real, labels = ops.cast(y >= 0, "float32"), ops.maximum(y, 0)
        losses = ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)
        rows = ops.sum(real)
        loss = ops.sum(losses * real) / ops.maximum(rows, 1.0)
        self.nll.update_state(loss, sample_weight=rows)
        self.confusion.update_state(labels, ops.argmax(logits, axis=-1), sample_weight=real)
        return loss

    def get_config(self):
        return super().get_config() | {
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "num_labels": self.num_labels,
            "dropout": self.dropout.rate,
        }

    @classmethod
    def from_config(cls, config):
        encoder = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**config | {"encoder": encoder})


class _Confusion(keras.metrics.Metric):
    """Counts how often each class was taken for each, and makes all figures of it at the end."""

    def __init__(self, num_labels, **kwargs):
        super().__init__(**kwargs)
        self.counts = self.add_variable((num_labels, num_labels), "zeros", name="counts")

    def update_state(self, y_true, y_pred, sample_weight=None):
        classes = self.counts.shape[0]
        labels = ops.one_hot(y_true, classes) * sample_weight[:, None]  # (rows, classes)
        said = ops.one_hot(ops.cast(y_pred, "int32"), classes)
        self.counts.assign_add(ops.matmul(ops.transpose(labels), said))

    def result(self):
        found = figures(self.counts)
        return found | {"error": 1 - found["accuracy"]}
