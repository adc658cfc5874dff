"""Blocks and stacks of the Transformer: sections 3.1 and 3.3 of Vaswani et al. 2017."""

import keras
from keras import ops

from course import attention, kernels
from course.transformer.cached_attention import CachedMultiHeadAttention
from course.transformer.feed_forward import FeedForward


@keras.saving.register_keras_serializable("course")
class LayerNorm(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over the last axis, computed by `kernels.layer_norm`.

    Args:
        epsilon: what is added to the variance.
        **kwargs: name and dtype, as any Keras layer takes them.

    Call arguments:
        inputs: float tensor `(..., width)`.

    Returns:
        A tensor of that shape in the compute dtype.

    Reference: Ba, Kiros & Hinton 2016, "Layer Normalization", equation 3.
    """

    def call(self, inputs):
        # Keras hands this layer's inputs over as they are, in whatever dtype.
        outputs = kernels.layer_norm(inputs, self.gamma, self.beta, self.epsilon)
        return ops.cast(outputs, self.compute_dtype)


def layer_norm(epsilon, dtype, name):
    """Makes each vector's numbers have mean 0 and variance 1, then scales and shifts them."""
    return LayerNorm(epsilon=epsilon, dtype=dtype, name=name)


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
        self.self_attention = self.make_attention(
            num_heads,
            d_model,
            dropout=rate,
            kernel_initializer=initializer,
            positions=positions,
            dtype=dtype,
            name="self_attention",
        )
        inner = (activation, activation_dropout, initializer)
        self.feed_forward = FeedForward(d_model, d_ff, *inner, dtype=dtype, name="feed_forward")
        self.attention_norm = layer_norm(epsilon, dtype, "attention_norm")
        self.feed_forward_norm = layer_norm(epsilon, dtype, "feed_forward_norm")
        self.dropout = kernels.Dropout(dropout, dtype=dtype)
        self.supports_masking = True

    def build(self, x_shape):
        for part in (self.self_attention, self.feed_forward):
            part.build(x_shape)
        for norm in (self.attention_norm, self.feed_forward_norm):
            norm.build(x_shape)

    def make_attention(self, *arguments, **settings):
        """The layer for self-attention, and in a decoder block for cross-attention too."""
        return attention.MultiHeadAttention(*arguments, **settings)

    def norm_before(self, norm, x):
        """What a sublayer reads: pre-norm normalizes it first, post-norm takes it as it is.

        Args:
            norm: the sublayer's layer normalization.
            x: `(batch, length, d_model)`.

        Returns:
            `(batch, length, d_model)`.
        """
        return norm(x) if self.norm == "pre" else x

    def add_and_norm(self, norm, x, output):
        """The residual connection around a sublayer, "Add & Norm" in figure 1: section 3.1.

        Args:
            norm: the sublayer's layer normalization, which post-norm applies to the sum.
            x: `(batch, length, d_model)`, what the sublayer started from.
            output: `(batch, length, d_model)`, what it computed.

        Returns:
            `(batch, length, d_model)`.
        """
        x = x + self.dropout(output)
        return x if self.norm == "pre" else norm(x)

    def feed_forward_sublayer(self, x):
        """The feed-forward network with its residual connection; `(batch, length, d_model)`."""
        output = self.feed_forward(self.norm_before(self.feed_forward_norm, x))
        return self.add_and_norm(self.feed_forward_norm, x, output)

    def call(self, x, attention_mask=None):
        normed = self.norm_before(self.attention_norm, x)
        output = self.self_attention(normed, attention_mask=attention_mask)
        x = self.add_and_norm(self.attention_norm, x, output)
        return self.feed_forward_sublayer(x)

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
        cache_index: integer or integer tensor, the position of the first token of `x`.

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
            same = self.self_attention
            epsilon, dtype = self.attention_norm.epsilon, self.dtype_policy
            self.cross_attention = self.make_attention(
                num_heads,
                d_model,
                dropout=same.dropout,
                kernel_initializer=same.kernel_initializer,
                dtype=dtype,
                name="cross_attention",
            )
            self.cross_norm = layer_norm(epsilon, dtype, "cross_norm")

    def build(self, x_shape):
        super().build(x_shape)
        if self.cross_attention is not None:
            self.cross_attention.build(x_shape)
            self.cross_norm.build(x_shape)

    def call(
        self, x, memory=None, attention_mask=None, memory_mask=None, cache=None, cache_index=None
    ):
        own_cache, memory_cache = (None, None) if cache is None else cache
        if cache is None:  # with one, the attention layer itself lets no token see a later one
            causal = attention.causal_mask(ops.shape(x)[1])
            attention_mask = attention.combine_masks(attention_mask, causal)
            if (memory is None) != (self.cross_attention is None):
                raise ValueError(
                    f"memory is {'missing' if memory is None else 'given'} and cross_attention is "
                    f"{self.cross_attention is not None}: both, or neither (a language model)."
                )
        normed = self.norm_before(self.attention_norm, x)
        output = self.self_attention(
            normed, attention_mask=attention_mask, cache=own_cache, cache_index=cache_index
        )
        output, own_cache = (output, None) if cache is None else output
        x = self.add_and_norm(self.attention_norm, x, output)
        if self.cross_attention is not None:
            normed = self.norm_before(self.cross_norm, x)
            mask = None if memory_mask is None else memory_mask[:, None, :]  # (batch, 1, m)
            if cache is not None:  # continuations of one source are queries side by side
                sources, width = ops.shape(memory_cache[0])[0], x.shape[-1]
                normed = ops.reshape(normed, (sources, -1, width))
            output = self.cross_attention(normed, memory, attention_mask=mask, cache=memory_cache)
            output = output if cache is None else ops.reshape(output[0], ops.shape(x))
            x = self.add_and_norm(self.cross_norm, x, output)
        x = self.feed_forward_sublayer(x)
        return x if cache is None else (x, (own_cache, memory_cache))

    def make_attention(self, *arguments, **settings):
        return CachedMultiHeadAttention(*arguments, **settings)

    def get_config(self):
        return super().get_config() | {"cross_attention": self.cross_attention is not None}

    def start_cache(self, batch_size, max_length, memory=None):
        """Room for keys and values of `max_length` tokens, and those of `memory`, made once.

        Returns:
            Two pairs of keys and values, each `(batch, num_heads, length, d_head)`: the tokens',
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
        super().__init__(**layer_arguments(settings))
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


def layer_arguments(settings):
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
        # By keyword: what Keras carries along of a mask must not meet a positional None.
        attended = {"attention_mask": attention_mask, "memory_mask": memory_mask}
        new_cache = []
        for i, block in enumerate(self.blocks):
            if cache is None:
                x = block(x, memory, **attended)
            else:
                x, block_cache = block(
                    x, memory, **attended, cache=cache[i], cache_index=cache_index
                )
                new_cache.append(block_cache)
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
            (tuple(ops.take(part, rows, axis=0) for part in own), memory) for own, memory in cache
        ]

    def keep_sources(self, cache, sources, rows):
        """The cache of some sources only.

        Args:
            cache: what `start_cache` or an earlier call returned.
            sources: integer tensor `(n,)`, which of the memory's rows stay.
            rows: integer tensor, which of the tokens' rows do: those that continue these sources.
        """
        own = [tuple(ops.take(part, rows, axis=0) for part in own) for own, _ in cache]
        memory = [tuple(ops.take(part, sources, axis=0) for part in memory) for _, memory in cache]
        return list(zip(own, memory, strict=True))

    def grow_cache(self, cache, max_length):
        """The cache with room for `max_length` tokens, those in it kept."""

        def grown(part):
            more = max_length - ops.shape(part)[2]
            return ops.pad(part, ((0, 0), (0, 0), (0, more), (0, 0)))

        return [(tuple(map(grown, own)), memory) for own, memory in cache]
