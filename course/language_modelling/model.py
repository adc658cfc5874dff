"""A causal language model: GPT-2, Llama, and what lies between them (lesson 10)."""

import keras
from keras import ops

from course import kernels
from course.attention import causal_mask
from course.language_modelling.blocks import CausalDecoder
from course.transformer.blocks import layer_arguments


@keras.saving.register_keras_serializable("course")
class CausalLM(keras.Model):
    """From the tokens so far to logits of the token that follows each.

    The defaults are GPT-2's. Llama's are `normalization="rms", gated=True, activation="silu",
    positions="rotary", use_bias=False`.

    Args:
        vocab_size: number of ids.
        num_layers, d_model, num_heads: of the blocks.
        d_ff: width inside the feed-forward network; None means 4 · d_model.
        max_length: the longest input; with learned positions the rows of their table.
        positions: "learned", "rotary" or None.
        normalization: "layer" or "rms".
        activation: of the feed-forward network; "gelu" is the exact one.
        gated: whether that network is gated.
        num_key_value_heads: heads of keys and values, with rotary positions; None: `num_heads`.
        rope_base: base of the rotary encoding.
        use_bias: whether projections have biases.
        tie_embeddings: whether the output projection is the embedding, transposed.
        dropout: rate on embeddings, on sublayer outputs and on attention weights.
        epsilon: what normalization adds to the variance, or to the mean square.
        pad_id: the id that fills up; as a label it counts nothing.
        initializer: of kernels and tables; None means a normal distribution with standard deviation
            0.02, and 0.02 / √(2 · num_layers) for the last projection of each sublayer.
        **settings: name and dtype, as any Keras layer takes them.

    Call arguments:
        inputs: token ids `(batch, length)`, or the pair of these and document ids of the same
            shape. With document ids no token attends to another document, and learned positions
            count from each document's first token.

    Returns:
        Logits `(batch, length, vocab_size)` in the compute dtype.

    Raises:
        ValueError: if a setting is not one of its choices, or the input is longer than max_length.

    Example:
        >>> model = CausalLM(50257, num_layers=12, d_model=768, num_heads=12)
        >>> logits = model(token_ids)

    Reference: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section
    2.3; Touvron et al. 2023, "LLaMA", section 2.2. Tied embeddings: Press & Wolf 2017.
    """

    def __init__(
        self,
        vocab_size,
        num_layers,
        d_model,
        num_heads,
        d_ff=None,
        max_length=1024,
        positions="learned",
        normalization="layer",
        activation="gelu",
        gated=False,
        num_key_value_heads=None,
        rope_base=10_000.0,
        use_bias=True,
        tie_embeddings=True,
        dropout=0.0,
        epsilon=1e-5,
        pad_id=0,
        initializer=None,
        **settings,
    ):
        super().__init__(**layer_arguments(settings))
        if settings:
            raise TypeError(f"CausalLM has no setting {', '.join(map(repr, settings))}.")
        if positions not in ("learned", "rotary", None):
            raise ValueError(f'positions = {positions!r}: choose "learned", "rotary" or None.')
        self.vocab_size, self.d_model, self.max_length = vocab_size, d_model, max_length
        self.positions, self.tie_embeddings, self.pad_id = positions, tie_embeddings, pad_id
        self.scaled_initializer = initializer is None
        drawn = keras.initializers.RandomNormal(stddev=0.02) if initializer is None else initializer
        self.initializer, dtype = keras.initializers.get(drawn), self.dtype_policy

        def embedding(size, name):
            drawn = self.initializer.clone()
            return keras.layers.Embedding(size, d_model, drawn, dtype=dtype, name=name)

        self.token_embedding = embedding(vocab_size, "token_embedding")
        learned = positions == "learned"
        self.position_embedding = embedding(max_length, "position_embedding") if learned else None
        self.dropout = kernels.Dropout(dropout, dtype=dtype)
        self.decoder = CausalDecoder(
            num_layers,
            d_model,
            num_heads,
            4 * d_model if d_ff is None else d_ff,
            normalization=normalization,
            activation=activation,
            gated=gated,
            num_key_value_heads=num_key_value_heads,
            positions="rotary" if positions == "rotary" else None,
            rope_base=rope_base,
            use_bias=use_bias,
            dropout=dropout,
            epsilon=epsilon,
            initializer=self.initializer,
            dtype=dtype,
            name="decoder",
        )
        self.output_dense = None
        if not tie_embeddings:
            drawn = self.initializer.clone()
            self.output_dense = keras.layers.Dense(
                vocab_size, use_bias=False, kernel_initializer=drawn, dtype=dtype, name="output"
            )
        self.build()

    def build(self, inputs_shape=None):
        """Makes the weights. All shapes are known, so the constructor calls it."""
        for part in (self.token_embedding, self.position_embedding):
            if part is not None:
                part.build((None, None))
        for part in (self.decoder, self.output_dense):
            if part is not None:
                part.build((None, None, self.d_model))
        if self.scaled_initializer:  # so that the sum over all layers keeps its size (section 2.3)
            scale = (2 * len(self.decoder.blocks)) ** -0.5
            for block in self.decoder.blocks:
                for last in (block.self_attention.output_dense, block.feed_forward.outer):
                    last.kernel.assign(last.kernel * scale)

    def call(self, inputs, training=None):
        return self.logits(self.hidden_states(inputs, training))

    def hidden_states(self, inputs, training=None):
        """The vectors that `logits` reads, `(batch, length, d_model)`; `inputs` as in a call."""
        token_ids, documents = inputs if isinstance(inputs, tuple | list) else (inputs, None)
        length = token_ids.shape[1]
        if length is not None and length > self.max_length:
            raise ValueError(
                f"the input has {length} tokens and max_length is {self.max_length}: cut the "
                "input, score it with a stride, or make the model with a larger max_length."
            )
        if documents is None:
            positions = ops.arange(ops.shape(token_ids)[1])  # (length,)
            mask = None
        else:
            positions = positions_in(documents)  # (batch, length)
            mask = same_document(documents)  # (batch, q, k)
        return self.decoder(self.embed(token_ids, positions, training), attention_mask=mask)

    def embed(self, token_ids, positions, training=None):
        """Token embeddings, learned positions added, dropout: `(batch, length, d_model)`."""
        x = self.token_embedding(token_ids)
        if self.position_embedding is not None:
            x = x + self.position_embedding(positions)
        return self.dropout(x, training=training)

    def logits(self, x):
        """`(..., d_model)` → `(..., vocab_size)`."""
        if self.output_dense is not None:
            return self.output_dense(x)
        return ops.matmul(x, ops.transpose(ops.cast(self.token_embedding.embeddings, x.dtype)))

    def output_weights(self):
        """What `logits` multiplies with, `(vocab_size, d_model)`."""
        if self.output_dense is not None:
            return ops.transpose(self.output_dense.kernel)
        return self.token_embedding.embeddings

    # Decoding: what `course.decoding` asks of a model

    def start_cache(self, inputs, max_length):
        """Room for the keys and values of `max_length` tokens.

        Args:
            inputs: prompts `(batch, prompt_length)`; only their number counts.
            max_length: an integer.

        Returns:
            A nest of tensors for `step`, the batch first in each.
        """
        self._check_room(max_length)
        return self.decoder.start_cache(ops.shape(inputs)[0], max_length)

    def step(self, ids, cache, index):
        """Logits of what follows one more token, or several.

        Args:
            ids: integer tensor `(batch,)`, the tokens at position `index`, or `(batch, length)`,
                those from there on.
            cache: what `start_cache` or the step before returned.
            index: integer or integer tensor.

        Returns:
            Logits `(batch, vocab_size)` of what follows the last, and the new cache.
        """
        ids = ids if len(ids.shape) == 2 else ids[:, None]
        positions = index + ops.arange(ops.shape(ids)[1])
        x = self.embed(ids, positions)
        x, cache = self.decoder(x, cache=cache, cache_index=index)  # (batch, length, d_model)
        return self.logits(x[:, -1]), cache

    def reorder_cache(self, cache, rows):
        """What `Decoder.reorder_cache` does."""
        return self.decoder.reorder_cache(cache, rows)

    def keep_sources(self, cache, sources, rows):
        """What `Decoder.keep_sources` does: a prompt is its own source."""
        return self.decoder.keep_sources(cache, sources, rows)

    def grow_cache(self, cache, max_length):
        """What `Decoder.grow_cache` does."""
        self._check_room(max_length)
        return self.decoder.grow_cache(cache, max_length)

    def _check_room(self, max_length):
        if isinstance(max_length, int) and max_length > self.max_length:
            raise ValueError(
                f"the prompt and what is to be written have {max_length} tokens, and the model "
                f"reads {self.max_length}: shorten the prompt, or ask for less."
            )

    def get_config(self):
        block = self.decoder.blocks[0].get_config()
        names = "d_model num_heads d_ff normalization activation gated num_key_value_heads "
        names += "rope_base use_bias dropout epsilon"
        own = None if self.scaled_initializer else keras.initializers.serialize(self.initializer)
        return super().get_config() | {
            **{name: block[name] for name in names.split()},
            "vocab_size": self.vocab_size,
            "num_layers": len(self.decoder.blocks),
            "max_length": self.max_length,
            "positions": self.positions,
            "tie_embeddings": self.tie_embeddings,
            "pad_id": self.pad_id,
            "initializer": own,
        }


def same_document(documents):
    """Which tokens are of one document: `(batch, length)` ids → boolean `(batch, length, length)`.

    Args:
        documents: integer tensor `(batch, length)`; equal ids are one document.
    """
    return ops.equal(documents[:, :, None], documents[:, None, :])  # (batch, q, k)


def positions_in(documents):
    """Each token's place in its own document: how many of its tokens come before; as `documents`.

    Args:
        documents: integer tensor `(batch, length)`; a document's tokens stand side by side.
    """
    so_far = ops.logical_and(same_document(documents), causal_mask(ops.shape(documents)[1]))
    return ops.sum(ops.cast(so_far, "int32"), axis=-1) - 1
