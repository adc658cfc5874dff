"""The two tasks that BERT is pretrained on, and a model that trains on both: section 3.1."""

import keras
from keras import ops

from course.kernels import gelu
from course.transformer.blocks import layer_norm


class _OverEncoder(keras.Model):
    """A model on top of an encoder, which is its one argument."""

    def __init__(self, encoder, **kwargs):
        super().__init__(**{"dtype": encoder.dtype_policy, **kwargs})
        self.encoder = encoder

    def get_config(self):
        encoder = keras.saving.serialize_keras_object(self.encoder)
        return super().get_config() | {"encoder": encoder}

    @classmethod
    def from_config(cls, config):
        encoder = keras.saving.deserialize_keras_object(config["encoder"])
        return cls(**config | {"encoder": encoder})  # the caller's config stays as it is


@keras.saving.register_keras_serializable("course")
class MaskedLanguageModel(_OverEncoder):
    """Which token stands at each place: logits over the vocabulary.

    Args:
        encoder: a `BertEncoder`; its token embedding is the output projection too.
        tie_word_embeddings: False gives the output a table of its own.
        activation, epsilon: of the layer between and its normalization; None means the encoder's.

    Call arguments:
        inputs: those of the encoder.

    Returns:
        Logits `(batch, length, vocab_size)`. Training asks for few places only: `logits_at`.

    Reference: Devlin et al. 2019, section 3.1, task 1; the layer between is in the authors' code.
    """

    def __init__(self, encoder, tie_word_embeddings=True, activation=None, epsilon=None, **kwargs):
        super().__init__(encoder, **kwargs)
        dtype, self.tie_word_embeddings = self.dtype_policy, tie_word_embeddings
        block = encoder.encoder.blocks[0]
        if activation is None:
            activation = block.feed_forward.inner.activation
        if epsilon is None:
            epsilon = block.attention_norm.epsilon
        self.transform = keras.layers.Dense(
            encoder.d_model,
            activation,
            kernel_initializer=encoder.initializer.clone(),
            dtype=dtype,
            name="transform",
        )
        self.transform_norm = layer_norm(epsilon, dtype, "transform_norm")
        self.build()

    def build(self, inputs_shape=None):
        for part in (self.transform, self.transform_norm):
            part.build((None, None, self.encoder.d_model))
        size = self.encoder.token_embedding.input_dim
        self.output_embeddings = None
        if not self.tie_word_embeddings:
            self.output_embeddings = self.add_weight(
                shape=(size, self.encoder.d_model),
                initializer=self.encoder.initializer.clone(),
                name="output_embeddings",
            )
        self.bias = self.add_weight(shape=(size,), initializer="zeros", name="bias")

    def call(self, inputs, training=None):
        sequence, _ = self.encoder(inputs, training=training)
        return self.logits(sequence)

    def logits(self, vectors):
        """`(..., d_model)` → `(..., vocab_size)`."""
        vectors = self.transform_norm(self.transform(vectors))
        tied = self.encoder.token_embedding.embeddings
        table = tied if self.tie_word_embeddings else self.output_embeddings
        table = ops.cast(table, self.compute_dtype)  # (vocab_size, d_model)
        return ops.matmul(vectors, ops.transpose(table)) + ops.cast(self.bias, self.compute_dtype)

    def logits_at(self, sequence, positions):
        """Logits at some places only, which spares most of the largest product there is.

        Args:
            sequence: `(batch, length, d_model)`, the encoder's vectors.
            positions: integer tensor `(batch, places)`, each below length.

        Returns:
            `(batch, places, vocab_size)`.
        """
        batch, length = ops.shape(sequence)[:2]
        flat = ops.reshape(sequence, (-1, self.encoder.d_model))  # (batch · length, d_model)
        rows = positions + length * ops.arange(batch, dtype=positions.dtype)[:, None]
        return self.logits(ops.take(flat, rows, axis=0))

    def get_config(self):
        activation = self.transform.activation
        activation = keras.activations.gelu if activation is gelu else activation
        return super().get_config() | {
            "tie_word_embeddings": self.tie_word_embeddings,
            "activation": keras.activations.serialize(activation),
            "epsilon": self.transform_norm.epsilon,
        }


@keras.saving.register_keras_serializable("course")
class NextSentence(_OverEncoder):
    """Whether the second text followed the first where both come from: two logits.

    Args:
        encoder: a `BertEncoder`.

    Call arguments:
        inputs: those of the encoder.

    Returns:
        Logits `(batch, 2)`: place 0 for "it followed", 1 for "it is from elsewhere", as the authors
        number them.

    Reference: Devlin et al. 2019, section 3.1, task 2.
    """

    def __init__(self, encoder, **kwargs):
        super().__init__(encoder, **kwargs)
        drawn = encoder.initializer.clone()
        self.classifier = keras.layers.Dense(
            2, kernel_initializer=drawn, dtype=self.dtype_policy, name="classifier"
        )
        self.build()

    def build(self, inputs_shape=None):
        self.classifier.build((None, self.encoder.d_model))

    def call(self, inputs, training=None):
        _, pooled = self.encoder(inputs, training=training)
        return self.classifier(pooled)


@keras.saving.register_keras_serializable("course")
class BertForPretraining(_OverEncoder):
    """Trains an encoder on both tasks at once; the loss is the sum of the two mean losses.

    Args:
        encoder: a `BertEncoder`.
        tie_word_embeddings, activation, epsilon: see `MaskedLanguageModel`.

    Call arguments:
        inputs: triple of `token_ids` and `segment_ids`, `(batch, length)` each, and `positions`,
            `(batch, places)`: where a token is to be predicted.

    Returns:
        The pair of logits `(batch, places, vocab_size)` and `(batch, 2)`.

    `fit` it on batches of `course.pretraining.PretrainingBatches`: inputs as above, and as targets
    the ids that stood at the positions, `(batch, places)`, pad_id where a row has fewer of them,
    and the next-sentence labels `(batch,)`. Logs: "loss"; "masked_loss" and "masked_accuracy",
    means over all predicted tokens, not over batches; "next_accuracy".

    Reference: Devlin et al. 2019, section 3.1 and appendix A.2.
    """

    def __init__(self, encoder, tie_word_embeddings=True, activation=None, epsilon=None, **kwargs):
        super().__init__(encoder, **kwargs)
        self.masked_lm = MaskedLanguageModel(
            encoder, tie_word_embeddings, activation, epsilon, name="masked_lm"
        )
        self.next_sentence = NextSentence(encoder, name="next_sentence")
        names = ("masked_loss", "masked_accuracy", "next_accuracy")
        self.means = [keras.metrics.Mean(name=name) for name in names]
        self.built = True

    def call(self, inputs, training=None):
        token_ids, segment_ids, positions = inputs
        sequence, pooled = self.encoder((token_ids, segment_ids), training=training)
        logits = self.masked_lm.logits_at(sequence, positions)
        return logits, self.next_sentence.classifier(pooled)

    def get_config(self):
        head = self.masked_lm.get_config()
        names = ("tie_word_embeddings", "activation", "epsilon")
        return super().get_config() | {name: head[name] for name in names}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        labels, next_labels = (ops.cast(each, "int32") for each in y)
        logits, next_logits = (ops.cast(each, "float32") for each in y_pred)
        real = ops.cast(ops.not_equal(labels, self.encoder.pad_id), "float32")  # (batch, places)
        places, rows = ops.sum(real), ops.cast(ops.shape(next_labels)[0], "float32")

        def losses(labels, logits):
            return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)

        def hits(labels, logits):
            right = ops.equal(ops.cast(ops.argmax(logits, axis=-1), "int32"), labels)
            return ops.cast(right, "float32")

        def mean(values):  # over the places where there is a label
            return ops.sum(values * real) / ops.maximum(places, 1.0)

        masked, following = mean(losses(labels, logits)), ops.mean(losses(next_labels, next_logits))
        figures = (masked, mean(hits(labels, logits)), ops.mean(hits(next_labels, next_logits)))
        for metric, figure, weight in zip(self.means, figures, (places, places, rows), strict=True):
            metric.update_state(figure, sample_weight=weight)
        return masked + following
