"""The whole Transformer with its embeddings, and its decoding step by step (lessons 04 and 06)."""

import keras
from keras import ops

from course import attention, kernels
from course.positions import AddPositions
from course.runtime.types import Tensor
from course.transformer.blocks import Decoder, Encoder, layer_arguments


@keras.saving.register_keras_serializable("course")
class Transformer(keras.Model):
    """From source ids and the target ids so far to logits of the target id that follows each.

    Args:
        num_layers: blocks of the encoder, and of the decoder.
        d_model, num_heads, d_ff: widths and heads of the blocks.
        source_vocab_size, target_vocab_size: numbers of ids.
        dropout: rate on sublayer outputs and on sums of embeddings and positions (section 5.4).
        positions: "sinusoidal" (section 3.5), "learned", "rotary", "alibi" or None.
        tie_embeddings: "target" shares the target embedding with the output projection, "all" the
            source embedding too (section 3.4; needs one vocabulary), False shares nothing.
        output_bias: whether tied logits have a bias (Marian); a projection of its own has one.
        max_length: the longest input where positions are added (sinusoidal and learned).
        pad_id: the id that fills up after the last token. The first target always counts as real:
            it is the start symbol, for which some models take the same id.
        **settings: those of `Encoder` and its blocks, such as norm="pre".

    Call arguments:
        inputs: pair `(source_ids, target_ids)` of integer tensors `(batch, source_length)` and
            `(batch, target_length)`; the targets begin with a start symbol.

    Returns:
        Logits `(batch, target_length, target_vocab_size)` in the compute dtype.

    Raises:
        ValueError: if a setting is not one of its choices.

    Example:
        >>> model = Transformer(6, 512, 8, 2048, source_vocab_size=8000, target_vocab_size=8000)
        >>> logits = model((source_ids, target_ids))

    Reference: Vaswani et al. 2017, section 3 and figure 1.
    """

    def __init__(
        self,
        num_layers,
        d_model,
        num_heads,
        d_ff,
        source_vocab_size,
        target_vocab_size,
        dropout=0.1,
        positions="sinusoidal",
        tie_embeddings=False,
        output_bias=False,
        max_length=1024,
        pad_id=0,
        **settings,
    ):
        super().__init__(**layer_arguments(settings))
        if tie_embeddings not in (False, "target", "all"):
            raise ValueError(f'tie_embeddings = {tie_embeddings!r}: False, "target" or "all".')
        if tie_embeddings == "all" and source_vocab_size != target_vocab_size:
            raise ValueError(
                f'tie_embeddings = "all" and vocabularies of {source_vocab_size} and '
                f'{target_vocab_size}: choose "target", or learn one vocabulary for both.'
            )
        self.d_model, self.positions, self.pad_id = d_model, positions, pad_id
        self.tie_embeddings, self.max_length = tie_embeddings, max_length
        self.output_bias = output_bias
        dtype = self.dtype_policy

        def embedding(size, name):
            # Times √d_model (section 3.4) these have variance 1, and so have tied logits.
            initializer = keras.initializers.RandomNormal(stddev=d_model**-0.5)
            return keras.layers.Embedding(size, d_model, initializer, dtype=dtype, name=name)

        self.target_embedding = self.source_embedding = embedding(target_vocab_size, "embedding")
        if tie_embeddings != "all":
            self.source_embedding = embedding(source_vocab_size, "source_embedding")
        self.source_positions = self.target_positions = None
        if positions in ("sinusoidal", "learned"):
            self.source_positions = AddPositions(positions, max_length, dtype=dtype)
            self.target_positions = AddPositions(positions, max_length, dtype=dtype)
            positions = None
        self.dropout = kernels.Dropout(dropout, dtype=dtype)
        sizes = (num_layers, d_model, num_heads, d_ff)
        settings |= {"dropout": dropout, "positions": positions, "dtype": dtype}
        self.encoder = Encoder(*sizes, **settings, name="encoder")
        self.decoder = Decoder(*sizes, **settings, name="decoder")
        tied = bool(tie_embeddings)
        self.output_dense = None if tied else keras.layers.Dense(target_vocab_size, dtype=dtype)
        self.build()

    def build(self, inputs_shape=None):
        """Makes the weights. All shapes are known, so the constructor calls it."""
        embeddings = [self.target_embedding, self.source_embedding]
        rest = [self.source_positions, self.target_positions, self.encoder, self.decoder]
        for part in (*embeddings, *rest, self.output_dense):
            if part is not None and not part.built:
                part.build((None, None, self.d_model))
        self.bias = None
        if self.output_bias and self.output_dense is None:
            size = self.target_embedding.input_dim
            self.bias = self.add_weight(shape=(size,), initializer="zeros", name="output_bias")

    def call(self, inputs, training=None):
        source_ids, target_ids = inputs
        memory = self.encode(source_ids, training)
        mask = attention.padding_mask(source_ids, self.pad_id)
        return self.logits(self.decode(target_ids, memory, mask, training))

    def embed(self, ids, embedding, positions, start=0, training=None):
        """Embeddings times √d_model (section 3.4), positions added (3.5), dropout (5.4)."""
        x = embedding(ids) * self.d_model**0.5  # (batch, length, d_model)
        x = x if positions is None else positions(x, start=start)
        return self.dropout(x, training=training)

    def encode(self, source_ids, training=None):
        """Source ids `(batch, source_length)` → memory `(batch, source_length, d_model)`."""
        mask = attention.padding_mask(source_ids, self.pad_id)[:, None, :]  # (batch, 1, length)
        x = self.embed(source_ids, self.source_embedding, self.source_positions, training=training)
        return self.encoder(x, mask, training=training)

    def decode(self, target_ids, memory, source_mask, training=None):
        """Target ids `(batch, length)` → vectors `(batch, length, d_model)` for `logits` to read.

        Args:
            target_ids: integer tensor `(batch, length)`.
            memory: what `encode` returned.
            source_mask: boolean `(batch, source_length)`, the padding mask of the source.
            training: whether dropout acts; None leaves it to the call around.
        """
        mask = target_mask(target_ids, self.pad_id)  # (batch, 1, length)
        x = self.embed(target_ids, self.target_embedding, self.target_positions, training=training)
        return self.decoder(x, memory, mask, source_mask, training=training)

    def logits(self, x):
        """`(..., d_model)` → `(..., target_vocab_size)`, for all positions or those you chose."""
        if self.output_dense is not None:
            return self.output_dense(x)
        table = ops.cast(self.target_embedding.embeddings, self.compute_dtype)
        logits = ops.matmul(x, ops.transpose(table))
        return logits if self.bias is None else logits + ops.cast(self.bias, logits.dtype)

    def output_weights(self):
        """What `logits` multiplies with, `(target_vocab_size, d_model)`, and adds, or None."""
        if self.output_dense is not None:
            return ops.transpose(self.output_dense.kernel), self.output_dense.bias
        return self.target_embedding.embeddings, self.bias

    def start_cache(self, source_ids, max_length):
        """Encodes the source, and makes room for decoding one target at a time.

        Args:
            source_ids: integer tensor `(batch, source_length)`.
            max_length: the most targets there will be, start symbol included; an integer.

        Returns:
            A nest of tensors for `step`, the batch first in each. To follow several continuations
            of a sentence, repeat or reorder the rows with `reorder_cache`.
        """
        self._check_room(max_length)
        memory = self.encode(source_ids)
        blocks = self.decoder.start_cache(ops.shape(source_ids)[0], max_length, memory)
        return {"blocks": blocks, "source_mask": attention.padding_mask(source_ids, self.pad_id)}

    def step(self, ids, cache, index):
        """Logits of what follows one more target, or several.

        Args:
            ids: integer tensor `(batch,)`, the targets at position `index`, or `(batch, length)`,
                those from there on.
            cache: what `start_cache` or the step before returned.
            index: integer or integer tensor, 0 for the start symbol.

        Returns:
            Logits `(batch, target_vocab_size)` of what follows the last, and the new cache.
        """
        ids = ids if len(ids.shape) == 2 else ids[:, None]
        x = self.embed(ids, self.target_embedding, self.target_positions, index)
        mask = cache["source_mask"]
        x, blocks = self.decoder(
            x, memory_mask=mask, cache=cache["blocks"], cache_index=index
        )  # (batch, length, d_model)
        return self.logits(x[:, -1]), {"blocks": blocks, "source_mask": mask}

    def reorder_cache(self, cache, rows):
        """What `Decoder.reorder_cache` does."""
        return cache | {"blocks": self.decoder.reorder_cache(cache["blocks"], rows)}

    def keep_sources(self, cache, sources, rows):
        """What `Decoder.keep_sources` does."""
        mask = ops.take(cache["source_mask"], sources, axis=0)
        return {
            "blocks": self.decoder.keep_sources(cache["blocks"], sources, rows),
            "source_mask": mask,
        }

    def _check_room(self, max_length):
        positions, known = self.target_positions, isinstance(max_length, int)
        if positions is not None and known and max_length > positions.max_length:
            raise ValueError(
                f"max_length = {max_length}, and the model has {positions.max_length} positions: "
                "ask for less, or make the model with a larger max_length."
            )

    def grow_cache(self, cache, max_length):
        """What `Decoder.grow_cache` does."""
        self._check_room(max_length)
        return cache | {"blocks": self.decoder.grow_cache(cache["blocks"], max_length)}

    def get_config(self):
        return (
            self.encoder.get_config()
            | super().get_config()
            | {
                "source_vocab_size": self.source_embedding.input_dim,
                "target_vocab_size": self.target_embedding.input_dim,
                "positions": self.positions,
                "tie_embeddings": self.tie_embeddings,
                "output_bias": self.output_bias,
                "max_length": self.max_length,
                "pad_id": self.pad_id,
            }
        )


def target_mask(target_ids: Tensor, pad_id: int = 0) -> Tensor:
    """Which targets self-attention may see; that no position sees a later one, blocks see to.

    Args:
        target_ids: integer tensor `(batch, length)`, what the decoder reads.
        pad_id: the id that fills up. The first target counts as real, whatever it is.

    Returns:
        Boolean tensor `(batch, 1, length)`, True = may attend.
    """
    is_start = ops.equal(ops.arange(ops.shape(target_ids)[1]), 0)  # (length,)
    return ops.logical_or(attention.padding_mask(target_ids, pad_id), is_start)[:, None, :]
