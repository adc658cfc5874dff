"""BERT's encoder: lesson 04's stack under learned embeddings, section 3 of Devlin et al. 2019."""

import keras
from keras import ops

from course import attention, kernels
from course.transformer import Encoder
from course.transformer.blocks import layer_arguments, layer_norm

OFFICIAL = {
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
    "large": (24, 1024),
}  # num_layers and d_model of Google's releases; a head has 64 dimensions, d_ff is 4 · d_model


@keras.saving.register_keras_serializable("course")
class BertEncoder(keras.Model):
    """From token ids to a vector for each token that has seen the whole text, both ways.

    Args:
        vocab_size: number of ids.
        num_layers, d_model, num_heads, d_ff: of the blocks.
        max_length: the longest input; each position has a row of its own in a learned table.
        segments: how many texts an input may hold. With 1, as in RoBERTa, the segment ids are not
            looked at; with 0, as in DistilBERT, there is no table for them either.
        dropout: rate on the sum of embeddings and on sublayer outputs.
        attention_dropout: rate on attention weights; None means `dropout`.
        epsilon: what layer normalization adds to the variance.
        activation: of the feed-forward network; Keras' "gelu" is the exact one, with erf.
        pad_id: the id that fills up after the last token; it is not attended to.
        initializer: of all kernels and tables; None means BERT's, a normal distribution with
            standard deviation 0.02, cut off at two of them.
        position_offset: the row of the position table that the first token takes. RoBERTa's is
            pad_id + 1, and it counts real tokens only: padding has the row before.
        pooler_activation: of the layer behind the pooled vector; DistilBERT's is "relu".
        **settings: name and dtype, as any Keras layer takes them.

    Call arguments:
        inputs: pair `(token_ids, segment_ids)` of integer tensors `(batch, length)`. A text begins
            with `[CLS]` and ends with `[SEP]`; segment ids are 0 up to the first `[SEP]` and 1 for
            a second text after it.

    Returns:
        The pair of the vectors `(batch, length, d_model)` and the pooled one `(batch, d_model)`:
        that of `[CLS]`, through one more layer and tanh.

    Raises:
        ValueError: if the input is longer than `max_length`.

    Example:
        >>> encoder = BertEncoder.official("base")
        >>> sequence, pooled = encoder((token_ids, segment_ids))

    Reference: Devlin et al. 2019, section 3 and figure 2. GELU: Hendrycks & Gimpel 2016.
    """

    def __init__(
        self,
        vocab_size,
        num_layers,
        d_model,
        num_heads,
        d_ff,
        max_length=512,
        segments=2,
        dropout=0.1,
        attention_dropout=None,
        epsilon=1e-12,
        activation="gelu",
        pad_id=0,
        initializer=None,
        position_offset=0,
        pooler_activation="tanh",
        **settings,
    ):
        super().__init__(**layer_arguments(settings))
        if settings:
            raise TypeError(f"BertEncoder has no setting {', '.join(map(repr, settings))}.")
        self.d_model, self.pad_id = d_model, pad_id
        self.max_length, self.segments, self.position_offset = max_length, segments, position_offset
        if initializer is None:
            initializer = keras.initializers.TruncatedNormal(stddev=0.02)
        self.initializer, dtype = keras.initializers.get(initializer), self.dtype_policy

        def embedding(size, name):
            drawn = self.initializer.clone()
            return keras.layers.Embedding(size, d_model, drawn, dtype=dtype, name=name)

        self.token_embedding = embedding(vocab_size, "token_embedding")
        self.position_embedding = embedding(max_length + position_offset, "position_embedding")
        self.segment_embedding = embedding(segments, "segment_embedding") if segments else None
        self.embedding_norm = layer_norm(epsilon, dtype, "embedding_norm")
        self.dropout = kernels.Dropout(dropout, dtype=dtype)
        self.encoder = Encoder(
            num_layers,
            d_model,
            num_heads,
            d_ff,
            dropout=dropout,
            norm="post",
            activation=activation,
            attention_dropout=attention_dropout,
            epsilon=epsilon,
            initializer=self.initializer,
            dtype=dtype,
            name="encoder",
        )
        drawn = self.initializer.clone()
        self.pooler = keras.layers.Dense(
            d_model, pooler_activation, kernel_initializer=drawn, dtype=dtype, name="pooler"
        )
        self.build()

    @classmethod
    def official(cls, size, vocab_size=30522, **more):
        """An encoder of the size of one of Google's releases, with random weights.

        Args:
            size: "tiny", "mini", "small", "medium", "base" or "large".
            vocab_size: 30522 is that of the uncased English releases.
            **more: other arguments of `BertEncoder`.

        Reference: Devlin et al. 2019, section 3; Turc et al. 2019 for those below base.
        """
        if size not in OFFICIAL:
            raise ValueError(f"size = {size!r}: choose one of {', '.join(OFFICIAL)}.")
        num_layers, d_model = OFFICIAL[size]
        sizes = {"num_heads": d_model // 64, "d_ff": 4 * d_model}
        return cls(vocab_size, num_layers, d_model, **sizes | more)

    def build(self, inputs_shape=None):
        """Makes the weights. All shapes are known, so the constructor calls it."""
        for table in (self.token_embedding, self.position_embedding, self.segment_embedding):
            if table is not None:
                table.build((None, None))
        for part in (self.embedding_norm, self.encoder, self.pooler):
            part.build((None, None, self.d_model))

    def call(self, inputs, training=None):
        token_ids, segment_ids = inputs
        x = self.embed(token_ids, segment_ids, training)
        sequence = self.encoder(x, self.mask(token_ids), training=training)
        return sequence, self.pooler(sequence[:, 0])

    def embed(self, token_ids, segment_ids, training=None):
        """Token, position and segment: summed, normalized, dropout; `(batch, length, d_model)`."""
        length = ops.shape(token_ids)[1]
        if isinstance(length, int) and length > self.max_length:
            raise ValueError(
                f"the input has {length} positions and max_length is {self.max_length}: cut the "
                "input, or make the encoder with a larger max_length."
            )
        x = self.token_embedding(token_ids)
        if self.segment_embedding is not None:
            one = self.segments == 1
            x = x + self.segment_embedding(ops.zeros_like(token_ids) if one else segment_ids)
        x = x + self.position_embedding(self.positions(token_ids))
        return self.dropout(self.embedding_norm(x), training=training)

    def positions(self, token_ids):
        """The row of the position table for each token: `(length,)`, or `(batch, length)`."""
        if not self.position_offset:
            return ops.arange(ops.shape(token_ids)[1])
        real = ops.cast(ops.not_equal(token_ids, self.pad_id), "int32")
        return ops.cumsum(real, axis=1) * real + (self.position_offset - 1)

    def mask(self, token_ids):
        """Who may be attended to, `(batch, 1, length)`: every token that is not padding."""
        return attention.padding_mask(token_ids, self.pad_id)[:, None, :]

    def hidden_states(self, inputs):
        """What the embeddings and then each block return, a list of num_layers + 1 tensors."""
        token_ids, segment_ids = inputs
        states, mask = [self.embed(token_ids, segment_ids)], self.mask(token_ids)
        for block in self.encoder.blocks:
            states.append(block(states[-1], mask))
        return states

    def get_config(self):
        blocks = self.encoder.get_config()
        names = "num_layers d_model num_heads d_ff dropout attention_dropout epsilon activation"
        return super().get_config() | {
            **{name: blocks[name] for name in names.split()},
            "vocab_size": self.token_embedding.input_dim,
            "max_length": self.max_length,
            "segments": self.segments,
            "position_offset": self.position_offset,
            "pooler_activation": keras.activations.serialize(self.pooler.activation),
            "pad_id": self.pad_id,
            "initializer": keras.initializers.serialize(self.initializer),
        }
