"""The Transformer: encoder blocks, decoder blocks, and the whole encoder-decoder (lesson 04).

"Attention Is All You Need", Vaswani et al. 2017. The module reads in the order of section 3: the
feed-forward network, the blocks, the two stacks, then the model with its embeddings. BERT is an
`Encoder`, a language model a `Decoder(cross_attention=False)`: each idea is written once.

Masks are boolean and True means "may attend". Keras hands `training` down from the outermost call.
To look at attention weights, call inside `course.attention.recorded_weights`.
"""

import keras
from keras import ops

from course.attention import MultiHeadAttention, causal_mask, combine_masks, padding_mask
from course.positions import AddPositions


@keras.saving.register_keras_serializable("course")
class FeedForward(keras.layers.Layer):
    """FFN(x) = activation(x W₁ + b₁) W₂ + b₂: each position by itself, all with the same weights.

    Args:
        d_model: width of input and output, `(..., d_model)` both.
        d_ff: width between the two, 4 · d_model in the paper.
        activation: "relu" in the paper, "gelu" in BERT.
        dropout: rate after the activation; the paper has none there, torch.nn.Transformer has.
        initializer: of both kernels.

    Reference: Vaswani et al. 2017, section 3.3, equation 2.
    """

    def __init__(
        self, d_model, d_ff, activation="relu", dropout=0.0, initializer="glorot_uniform", **kwargs
    ):
        super().__init__(**kwargs)
        self.initializer = keras.initializers.get(initializer)
        first, second = self.initializer.clone(), self.initializer.clone()
        dense, dtype = keras.layers.Dense, self.dtype_policy
        self.inner = dense(d_ff, activation, kernel_initializer=first, dtype=dtype, name="inner")
        self.outer = dense(d_model, kernel_initializer=second, dtype=dtype, name="outer")
        self.dropout = keras.layers.Dropout(dropout, dtype=dtype)
        self.supports_masking = True

    def build(self, x_shape):
        self.inner.build(x_shape)
        self.outer.build((*x_shape[:-1], self.inner.units))

    def call(self, x):
        return self.outer(self.dropout(self.inner(x)))  # (..., d_ff), then (..., d_model)

    def get_config(self):
        return super().get_config() | {
            "d_model": self.outer.units,
            "d_ff": self.inner.units,
            "activation": keras.activations.serialize(self.inner.activation),
            "dropout": self.dropout.rate,
            "initializer": keras.initializers.serialize(self.initializer),
        }


def layer_norm(epsilon, dtype, name):
    """Makes each vector's numbers have mean 0 and variance 1, then scales and shifts them."""
    return keras.layers.LayerNormalization(epsilon=epsilon, dtype=dtype, name=name)


@keras.saving.register_keras_serializable("course")
class EncoderBlock(keras.layers.Layer):
    """Self-attention, then the feed-forward network, each with a residual connection around it.

    Args:
        d_model, num_heads, d_ff: width between sublayers, heads, width inside the feed-forward net.
        dropout: rate on the output of each sublayer (section 5.4).
        norm: "post", the paper's LayerNorm(x + Sublayer(x)), or "pre", x + Sublayer(LayerNorm(x)).
        activation, activation_dropout: of the feed-forward network.
        attention_dropout: rate on attention weights; None means `dropout`.
        epsilon: what layer normalization adds to the variance.
        positions: "rotary" or "alibi" in self-attention, or None.
        initializer: of all kernels.

    Call arguments:
        x: `(batch, length, d_model)`.
        attention_mask: boolean, as `MultiHeadAttention` takes it; for padding `(batch, 1, length)`.

    Returns:
        `(batch, length, d_model)`.

    Reference: Vaswani et al. 2017, section 3.1 and the left of figure 1; Xiong et al. 2020 on norm.
    """

    def __init__(
        self,
        d_model,
        num_heads,
        d_ff,
        dropout=0.1,
        norm="post",
        activation="relu",
        attention_dropout=None,
        activation_dropout=0.0,
        epsilon=1e-5,
        positions=None,
        initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if norm not in ("post", "pre"):
            raise ValueError(f'norm = {norm!r}: choose "post" (the paper\'s) or "pre".')
        self.norm, dtype = norm, self.dtype_policy
        rate = dropout if attention_dropout is None else attention_dropout
        self.self_attention = MultiHeadAttention(
            num_heads,
            d_model,
            rate,
            True,
            initializer,
            positions,
            dtype=dtype,
            name="self_attention",
        )
        inner = (activation, activation_dropout, initializer)
        self.feed_forward = FeedForward(d_model, d_ff, *inner, dtype=dtype, name="feed_forward")
        self.attention_norm = layer_norm(epsilon, dtype, "attention_norm")
        self.feed_forward_norm = layer_norm(epsilon, dtype, "feed_forward_norm")
        self.dropout = keras.layers.Dropout(dropout, dtype=dtype)
        self.supports_masking = True

    def build(self, x_shape):
        for part in (self.self_attention, self.feed_forward):
            part.build(x_shape)
        for norm in (self.attention_norm, self.feed_forward_norm):
            norm.build(x_shape)

    def before(self, norm, x):
        """What a sublayer reads: pre-norm normalizes it first, post-norm takes it as it is."""
        return norm(x) if self.norm == "pre" else x

    def after(self, norm, x, out):
        """The residual connection around a sublayer with output `out`: section 3.1."""
        x = x + self.dropout(out)
        return x if self.norm == "pre" else norm(x)

    def call(self, x, attention_mask=None):
        read = self.before(self.attention_norm, x)
        out = self.self_attention(read, attention_mask=attention_mask)
        x = self.after(self.attention_norm, x, out)
        read = self.before(self.feed_forward_norm, x)
        return self.after(self.feed_forward_norm, x, self.feed_forward(read))

    def get_config(self):
        config = self.feed_forward.get_config()  # d_model, d_ff, activation, initializer
        config |= super().get_config()
        return config | {
            "num_heads": self.self_attention.num_heads,
            "dropout": self.dropout.rate,
            "norm": self.norm,
            "attention_dropout": self.self_attention.dropout,
            "activation_dropout": self.feed_forward.dropout.rate,
            "epsilon": self.attention_norm.epsilon,
            "positions": self.self_attention.positions,
        }


@keras.saving.register_keras_serializable("course")
class DecoderBlock(EncoderBlock):
    """Causal self-attention, attention to the encoder's output, then the feed-forward network.

    Args:
        d_model, num_heads, d_ff, **settings: those of `EncoderBlock`.
        cross_attention: whether there is an encoder to attend to; False for a language model.

    Call arguments:
        x: `(batch, length, d_model)`.
        memory: the encoder's output `(batch, memory_length, d_model)`.
        attention_mask: boolean, narrows self-attention further: no position sees a later one.
        memory_mask: boolean `(batch, memory_length)`, the padding mask of the *source*.
        cache: what `start_cache` or an earlier call returned; `memory` is then not looked at. There
            may be several rows of `x` for each of `memory`, one after another: several
            continuations of one source, which is kept once.
        cache_index: integer or integer tensor, the position of the first word of `x`.

    Returns:
        `(batch, length, d_model)`; with `cache` the pair of it and the cache with `x` in it.

    Raises:
        ValueError: if `memory` is missing, or there is no attention to read it.

    Reference: Vaswani et al. 2017, section 3.1 and the right of figure 1.
    """

    def __init__(self, d_model, num_heads, d_ff, cross_attention=True, **settings):
        super().__init__(d_model, num_heads, d_ff, **settings)
        self.cross_attention = self.cross_norm = None
        if cross_attention:
            like = self.self_attention.get_config() | {"positions": None, "name": "cross_attention"}
            self.cross_attention = MultiHeadAttention.from_config(like)
            epsilon, dtype = self.attention_norm.epsilon, self.dtype_policy
            self.cross_norm = layer_norm(epsilon, dtype, "cross_norm")

    def build(self, x_shape):
        super().build(x_shape)
        if self.cross_attention is not None:
            self.cross_attention.build(x_shape)
            self.cross_norm.build(x_shape)

    def call(
        self, x, memory=None, attention_mask=None, memory_mask=None, cache=None, cache_index=None
    ):
        words, memory_words = (None, None) if cache is None else cache
        if cache is None:  # with one, the attention layer itself lets no word see a later one
            attention_mask = combine_masks(attention_mask, causal_mask(ops.shape(x)[1]))
            if (memory is None) != (self.cross_attention is None):
                raise ValueError(
                    f"memory is {'missing' if memory is None else 'given'} and cross_attention is "
                    f"{self.cross_attention is not None}: both, or neither (a language model)."
                )
        read = self.before(self.attention_norm, x)
        out = self.self_attention(
            read, attention_mask=attention_mask, cache=words, cache_index=cache_index
        )
        out, words = (out, None) if cache is None else out
        x = self.after(self.attention_norm, x, out)
        if self.cross_attention is not None:
            read = self.before(self.cross_norm, x)
            mask = None if memory_mask is None else memory_mask[:, None, :]  # (batch, 1, m)
            if cache is not None:  # continuations of one source are queries side by side
                sources, width = ops.shape(memory_words[0])[0], x.shape[-1]
                read = ops.reshape(read, (sources, -1, width))
            out = self.cross_attention(read, memory, attention_mask=mask, cache=memory_words)
            out = out if cache is None else ops.reshape(out[0], ops.shape(x))
            x = self.after(self.cross_norm, x, out)
        read = self.before(self.feed_forward_norm, x)
        x = self.after(self.feed_forward_norm, x, self.feed_forward(read))
        return x if cache is None else (x, (words, memory_words))

    def get_config(self):
        return super().get_config() | {"cross_attention": self.cross_attention is not None}

    def start_cache(self, batch_size, max_length, memory=None):
        """Room for keys and values of `max_length` words, and those of `memory`, made once.

        Returns:
            Two pairs of keys and values, each `(batch, num_heads, length, d_head)`: the words',
            zeros until they are written, and the memory's (empty without cross-attention).
        """
        attention, cross = self.self_attention, self.cross_attention
        shape = (batch_size, attention.num_heads, max_length, attention.d_head)
        empty = ops.zeros(shape, self.compute_dtype)
        return (empty, empty), () if cross is None else cross.keys_and_values(memory)


@keras.saving.register_keras_serializable("course")
class Encoder(keras.layers.Layer):
    """`num_layers` blocks, one after another, each with weights of its own.

    Args:
        num_layers: number of blocks, N in the paper.
        d_model, num_heads, d_ff, **settings: those of the blocks.
        final_norm: whether to normalize the last block's output. None means with pre-norm only,
            where nothing else bounds it; torch.nn.Transformer always does.

    Call arguments and result: those of `EncoderBlock`.
    """

    block = EncoderBlock

    def __init__(self, num_layers, d_model, num_heads, d_ff, final_norm=None, **settings):
        super().__init__(**_layer_arguments(settings))
        sizes, dtype = (d_model, num_heads, d_ff), self.dtype_policy
        self.blocks = [
            self.block(*sizes, **settings, dtype=dtype, name=f"block_{i}")
            for i in range(num_layers)
        ]
        final_norm = self.blocks[0].norm == "pre" if final_norm is None else final_norm
        epsilon = self.blocks[0].attention_norm.epsilon
        self.final_norm = layer_norm(epsilon, dtype, "final_norm") if final_norm else None
        self.supports_masking = True

    def build(self, x_shape):
        for part in self.blocks if self.final_norm is None else (*self.blocks, self.final_norm):
            part.build(x_shape)

    def call(self, x, attention_mask=None):
        for block in self.blocks:
            x = block(x, attention_mask)
        return x if self.final_norm is None else self.final_norm(x)

    def get_config(self):
        own = {"num_layers": len(self.blocks), "final_norm": self.final_norm is not None}
        return self.blocks[0].get_config() | super().get_config() | own


def _layer_arguments(settings):
    """Takes out of `settings` what every Keras layer accepts, so that the rest is the blocks'."""
    return {k: settings.pop(k) for k in ("name", "trainable", "dtype") if k in settings}


@keras.saving.register_keras_serializable("course")
class Decoder(Encoder):
    """The same with decoder blocks; `cross_attention=False` makes the body of a language model.

    Args: those of `Encoder`.

    Call arguments and result: those of `DecoderBlock`; `cache` is a list, one entry a block.
    """

    block = DecoderBlock

    def call(
        self, x, memory=None, attention_mask=None, memory_mask=None, cache=None, cache_index=None
    ):
        given, new_cache = (memory, attention_mask, memory_mask), []
        for i, block in enumerate(self.blocks):
            if cache is None:
                x = block(x, *given)
            else:
                x, words = block(x, *given, cache=cache[i], cache_index=cache_index)
                new_cache.append(words)
        x = x if self.final_norm is None else self.final_norm(x)
        return x if cache is None else (x, new_cache)

    def start_cache(self, batch_size, max_length, memory=None):
        """A list of what each block's `start_cache` returns."""
        return [block.start_cache(batch_size, max_length, memory) for block in self.blocks]

    def reorder_cache(self, cache, rows):
        """The cache of other rows: `rows` may repeat some and leave others out.

        The memory's part stays as it is. So rows keep to their source: with beams of 4, rows 0 to 3
        continue source 0, rows 4 to 7 source 1, and `rows` mixes within each four.

        Args:
            cache: what `start_cache` or an earlier call returned.
            rows: integer tensor `(new_rows,)`.
        """
        return [
            (tuple(ops.take(part, rows, axis=0) for part in words), memory_words)
            for words, memory_words in cache
        ]

    def grow_cache(self, cache, max_length):
        """The cache with room for `max_length` words, those in it kept."""

        def grown(part):
            more = max_length - ops.shape(part)[2]
            return ops.pad(part, ((0, 0), (0, 0), (0, more), (0, 0)))

        return [(tuple(map(grown, words)), memory_words) for words, memory_words in cache]


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
        super().__init__(**_layer_arguments(settings))
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
        self.dropout = keras.layers.Dropout(dropout, dtype=dtype)
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

    def call(self, inputs):
        source_ids, target_ids = inputs
        x = self.decode(target_ids, self.encode(source_ids), padding_mask(source_ids, self.pad_id))
        return self.logits(x)

    def embed(self, ids, embedding, positions, start=0):
        """Embeddings times √d_model (section 3.4), positions added (3.5), dropout (5.4)."""
        x = embedding(ids) * self.d_model**0.5  # (batch, length, d_model)
        return self.dropout(x if positions is None else positions(x, start=start))

    def encode(self, source_ids):
        """Source ids `(batch, source_length)` → memory `(batch, source_length, d_model)`."""
        mask = padding_mask(source_ids, self.pad_id)[:, None, :]  # (batch, 1, source_length)
        return self.encoder(
            self.embed(source_ids, self.source_embedding, self.source_positions), mask
        )

    def decode(self, target_ids, memory, source_mask):
        """Target ids `(batch, length)` → vectors `(batch, length, d_model)` for `logits` to read.

        Args:
            target_ids: integer tensor `(batch, length)`.
            memory: what `encode` returned.
            source_mask: boolean `(batch, source_length)`, the padding mask of the source.
        """
        start = ops.equal(ops.arange(ops.shape(target_ids)[1]), 0)  # (target_length,)
        mask = ops.logical_or(padding_mask(target_ids, self.pad_id), start)[:, None, :]
        x = self.embed(target_ids, self.target_embedding, self.target_positions)
        return self.decoder(x, memory, mask, source_mask)

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
        return {"blocks": blocks, "source_mask": padding_mask(source_ids, self.pad_id)}

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
