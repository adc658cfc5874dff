"""The decoder block of a language model, with what changed since GPT-2 (lesson 10).

GPT-2's block is lesson 04's `DecoderBlock` without cross-attention, normalized before each
sublayer. Llama's replaces three of its parts: the normalization by a root mean square, the
feed-forward network by a gated one, and the heads' keys and values by fewer, shared ones.
"""

import keras
from keras import ops

from course import kernels
from course.positions import rotary
from course.transformer import Decoder, DecoderBlock
from course.transformer.blocks import layer_norm
from course.transformer.cached_attention import CachedMultiHeadAttention


@keras.saving.register_keras_serializable("course")
class RMSNorm(keras.layers.Layer):
    """x / √(mean(x²) + ε) · γ: layer normalization without the mean and without a shift.

    Args:
        epsilon: what is added to the mean square.

    Call arguments:
        x: float tensor `(..., d_model)`.

    Returns:
        A tensor of the same shape, in the compute dtype.

    Reference: Zhang & Sennrich 2019, "Root Mean Square Layer Normalization", equation 4.
    """

    def __init__(self, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.supports_masking = True

    def build(self, x_shape):
        self.gamma = self.add_weight(shape=(x_shape[-1],), initializer="ones", name="gamma")

    def call(self, x):
        x = ops.cast(x, "float32")  # in half precision the squares of large numbers are infinite
        narrow = ops.rsqrt(ops.mean(ops.square(x), axis=-1, keepdims=True) + self.epsilon)
        return ops.cast(x * narrow * ops.cast(self.gamma, "float32"), self.compute_dtype)

    def get_config(self):
        return super().get_config() | {"epsilon": self.epsilon}


@keras.saving.register_keras_serializable("course")
class GatedFeedForward(keras.layers.Layer):
    """(activation(x W₁) ⊙ x V) W₂: one product says how much of the other passes.

    Args:
        d_model: width of input and output, `(..., d_model)` both.
        d_ff: width between the two.
        activation: of the gate; "silu" makes it SwiGLU, as Llama has it.
        dropout: rate on the gated product.
        use_bias: whether the three projections have biases.
        initializer: of the kernels.

    Reference: Shazeer 2020, "GLU Variants Improve Transformer", equation 6.
    """

    def __init__(
        self,
        d_model,
        d_ff,
        activation="silu",
        dropout=0.0,
        use_bias=False,
        initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.initializer = keras.initializers.get(initializer)
        self.use_bias = use_bias

        def dense(units, name, activation=None):
            return keras.layers.Dense(
                units,
                activation,
                use_bias=use_bias,
                kernel_initializer=self.initializer.clone(),
                dtype=self.dtype_policy,
                name=name,
            )

        self.gate = dense(d_ff, "gate", activation)
        self.inner = dense(d_ff, "inner")
        self.outer = dense(d_model, "outer")
        self.dropout = kernels.Dropout(dropout, dtype=self.dtype_policy)
        self.supports_masking = True

    def build(self, x_shape):
        self.gate.build(x_shape)
        self.inner.build(x_shape)
        self.outer.build((*x_shape[:-1], self.inner.units))

    def call(self, x):
        return self.outer(self.dropout(self.gate(x) * self.inner(x)))  # (..., d_model)

    def get_config(self):
        return super().get_config() | {
            "d_model": self.outer.units,
            "d_ff": self.inner.units,
            "activation": keras.activations.serialize(self.gate.activation),
            "dropout": self.dropout.rate,
            "use_bias": self.use_bias,
            "initializer": keras.initializers.serialize(self.initializer),
        }


@keras.saving.register_keras_serializable("course")
class GroupedQueryAttention(CachedMultiHeadAttention):
    """Self-attention whose query heads share keys and values, with rotary positions.

    With 8 query heads and 2 heads of keys and values, queries 0 to 3 read the first and 4 to 7 the
    second: the cache is a quarter of the size. As many of both is multi-head attention, 1 is
    multi-query attention.

    Args:
        num_heads: heads of queries.
        d_model: width of input and output.
        num_key_value_heads: heads of keys and values, a divisor of `num_heads`; None means as many.
        dropout: rate at which attention weights are dropped in training.
        use_bias: whether the four projections have biases.
        kernel_initializer: of the projections' kernels.
        rope_base: base of the rotary encoding; pairs are "halves", as Llama has them.

    Call arguments and result: those of `CachedMultiHeadAttention`, the query alone; the cache holds
    `(batch, num_key_value_heads, max_length, d_head)`.

    Raises:
        ValueError: if `num_key_value_heads` does not divide `num_heads`.

    Reference: Ainslie et al. 2023, "GQA", section 2.2; Shazeer 2019 for one head; Su et al. 2021.
    """

    def __init__(
        self,
        num_heads,
        d_model,
        num_key_value_heads=None,
        dropout=0.0,
        use_bias=False,
        kernel_initializer="glorot_uniform",
        rope_base=10_000.0,
        **kwargs,
    ):
        super().__init__(num_heads, d_model, dropout, use_bias, kernel_initializer, **kwargs)
        shared = num_heads if num_key_value_heads is None else num_key_value_heads
        if shared < 1 or num_heads % shared:
            raise ValueError(
                f"num_key_value_heads = {shared} does not divide num_heads = {num_heads}: each "
                "head of keys and values serves equally many heads of queries."
            )
        self.num_key_value_heads, self.rope_base = shared, rope_base
        self.key_dense.units = self.value_dense.units = shared * self.d_head

    def project_query(self, query, start=0):
        """Queries, split into heads and turned: `(batch, num_heads, query_length, d_head)`."""
        return self._turned(self._heads(self.query_dense(query), self.num_heads), start)

    def keys_and_values(self, key, value=None, start=0):
        """Keys and values, `(batch, num_key_value_heads, key_length, d_head)` each."""
        value = self._heads(
            self.value_dense(key if value is None else value), self.num_key_value_heads
        )
        key = self._heads(self.key_dense(key), self.num_key_value_heads)
        return self._turned(key, start), value

    def attend(self, query, key, value, *more, **settings):
        """Each head of keys and values once for each query head of its group; then as ever."""
        group = self.num_heads // self.num_key_value_heads
        if group > 1:
            key, value = (ops.repeat(part, group, axis=1) for part in (key, value))
        return super().attend(query, key, value, *more, **settings)

    def _turned(self, x, start):
        positions = start + ops.arange(ops.shape(x)[2])
        return rotary(x, positions, base=self.rope_base, pairs="halves")

    def _heads(self, x, count):
        """`(batch, length, count · d_head)` → `(batch, count, length, d_head)`."""
        batch, length = ops.shape(x)[:2]
        return ops.transpose(ops.reshape(x, (batch, length, count, self.d_head)), (0, 2, 1, 3))

    def get_config(self):
        config = super().get_config()
        del config["positions"]  # always rotary
        return config | {
            "num_key_value_heads": self.num_key_value_heads,
            "rope_base": self.rope_base,
        }


@keras.saving.register_keras_serializable("course")
class CausalBlock(DecoderBlock):
    """`DecoderBlock` without cross-attention, whose parts may be those of newer models.

    Args:
        d_model, num_heads, d_ff: width between sublayers, heads, width inside the feed-forward net.
        normalization: "layer" or "rms", before each sublayer.
        gated: whether the feed-forward network is gated, with `activation` on its gate.
        num_key_value_heads: see `GroupedQueryAttention`; None means `num_heads`.
        positions: "rotary" turns queries and keys, None leaves positions to the embedding.
        rope_base: base of the rotary encoding.
        use_bias: whether projections have biases.
        **settings: those of `EncoderBlock`: dropout, activation, epsilon, initializer and others.

    Call arguments and result: those of `DecoderBlock`, without `memory`.

    Reference: Radford et al. 2019, section 2.3, for GPT-2's; Touvron et al. 2023, "LLaMA", section
    2.2, for what is exchanged.
    """

    def __init__(
        self,
        d_model,
        num_heads,
        d_ff,
        normalization="layer",
        gated=False,
        num_key_value_heads=None,
        positions=None,
        rope_base=10_000.0,
        use_bias=True,
        **settings,
    ):
        if normalization not in ("layer", "rms"):
            raise ValueError(f'normalization = {normalization!r}: choose "layer" or "rms".')
        if positions not in ("rotary", None):
            raise ValueError(f'positions = {positions!r}: a block has "rotary" or None.')
        if positions is None and num_key_value_heads not in (None, num_heads):
            raise ValueError("num_key_value_heads needs positions = 'rotary', as Llama has them.")
        self.normalization, self.gated, self.use_bias = normalization, gated, use_bias
        self.rotary = {"num_key_value_heads": num_key_value_heads, "rope_base": rope_base}
        self.rotary = self.rotary if positions == "rotary" else None
        settings = {"norm": "pre"} | settings | {"cross_attention": False}
        super().__init__(d_model, num_heads, d_ff, **settings)
        initializer, dtype = self.feed_forward.initializer, self.dtype_policy
        if gated:
            network = GatedFeedForward(
                d_model,
                d_ff,
                self.feed_forward.inner.activation,
                self.feed_forward.dropout.rate,
                use_bias,
                initializer,
                dtype=dtype,
                name="feed_forward",
            )
            exchange(self, "feed_forward", network)
        elif not use_bias:
            self.feed_forward.inner.use_bias = self.feed_forward.outer.use_bias = False
        epsilon = self.attention_norm.epsilon
        for name in ("attention_norm", "feed_forward_norm"):
            exchange(self, name, norm_layer(normalization, epsilon, dtype, name))

    def make_attention(self, num_heads, d_model, positions=None, **settings):
        """Multi-head attention, or with rotary positions that whose keys may be shared."""
        settings["use_bias"] = self.use_bias
        if self.rotary is None:
            return super().make_attention(num_heads, d_model, positions=positions, **settings)
        return GroupedQueryAttention(num_heads, d_model, **self.rotary, **settings)

    def get_config(self):
        rotary = self.rotary or {"num_key_value_heads": None, "rope_base": 10_000.0}
        return super().get_config() | {
            "normalization": self.normalization,
            "gated": self.gated,
            "use_bias": self.use_bias,
            "positions": None if self.rotary is None else "rotary",
            **rotary,
        }

    def start_cache(self, batch_size, max_length, memory=None):
        """Room for keys and values of `max_length` tokens; see `DecoderBlock.start_cache`."""
        attention = self.self_attention
        shared = getattr(attention, "num_key_value_heads", attention.num_heads)
        empty = ops.zeros((batch_size, shared, max_length, attention.d_head), self.compute_dtype)
        return (empty, empty), ()


@keras.saving.register_keras_serializable("course")
class CausalDecoder(Decoder):
    """`num_layers` blocks of `CausalBlock` and a last normalization.

    Args: those of `Encoder` and of `CausalBlock`.

    Call arguments and result: those of `Decoder`, without `memory`.
    """

    block = CausalBlock

    def __init__(self, num_layers, d_model, num_heads, d_ff, **settings):
        super().__init__(num_layers, d_model, num_heads, d_ff, **settings)
        first = self.blocks[0]
        if self.final_norm is not None:
            epsilon, dtype = first.attention_norm.epsilon, self.dtype_policy
            norm = norm_layer(first.normalization, epsilon, dtype, "final_norm")
            exchange(self, "final_norm", norm)


def norm_layer(normalization, epsilon, dtype, name):
    """The layer that `normalization`, "layer" or "rms", stands for."""
    if normalization == "rms":
        return RMSNorm(epsilon, dtype=dtype, name=name)
    return layer_norm(epsilon, dtype, name)


def exchange(layer, name, part):
    """Puts another part in the place of one that is not built yet.

    The old one is deleted first: Keras would go on tracking it, and save it.
    """
    delattr(layer, name)
    setattr(layer, name, part)
