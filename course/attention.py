"""Scaled dot-product attention and multi-head attention (lesson 02).

"Attention Is All You Need", Vaswani et al. 2017, section 3.2. The module reads in the order of the
paper: masks, one attention (equation 1), several heads (section 3.2.2).

Masks are boolean and True means "may attend" or "is a real token", everywhere in this course.
"""

import keras
from keras import ops


def causal_mask(length):
    """Lets each position look at itself and at what came before it.

    Args:
        length: number of positions, an integer ≥ 1.

    Returns:
        Boolean tensor `(length, length)`; entry `[i, j]` is True where query `i` may attend to
        key `j`, that is where `j <= i`.

    Reference: Vaswani et al. 2017, section 3.2.3, "prevent leftward information flow".
    """
    position = ops.arange(length)
    return position[:, None] >= position[None, :]


def padding_mask(token_ids, pad_id=0):
    """Says which tokens are real and which only fill up the batch.

    Args:
        token_ids: integer tensor `(batch, length)`.
        pad_id: the id that fills up.

    Returns:
        Boolean tensor `(batch, length)`, True where the token is real. As an attention mask over
        keys it is used as `padding_mask(ids)[:, None, :]`, shape `(batch, 1, length)`.
    """
    return ops.not_equal(token_ids, pad_id)


def scaled_dot_product_attention(query, key, value, attention_mask=None, return_weights=False):
    """softmax(Q Kᵀ / √d_k) V: each query takes a weighted mean of the values.

    Args:
        query: float tensor `(..., query_length, d_k)`.
        key: float tensor `(..., key_length, d_k)`.
        value: float tensor `(..., key_length, d_v)`.
        attention_mask: boolean, broadcastable to `(..., query_length, key_length)`; True means
            "may attend". A query that may attend to nothing gets weights and output of exactly 0.
        return_weights: whether to return the weights too.

    Returns:
        The output `(..., query_length, d_v)` in the dtype of `value`; with `return_weights`, the
        pair of it and the weights `(..., query_length, key_length)`, rows of which sum to 1.

    Raises:
        ValueError: if d_k or the key lengths do not agree.
        TypeError: if the mask is not boolean.

    Reference: Vaswani et al. 2017, equation 1.
    """
    query, key, value = (ops.convert_to_tensor(tensor) for tensor in (query, key, value))
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(
            f"query has d_k = {query.shape[-1]} and key has d_k = {key.shape[-1]}: "
            "project both to the same last dimension."
        )
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(
            f"key has length {key.shape[-2]} and value has length {value.shape[-2]}: "
            "each key needs its own value."
        )
    d_k = query.shape[-1]
    scores = ops.matmul(query * d_k**-0.5, ops.swapaxes(key, -1, -2))  # (..., q, k)
    weights = _masked_softmax(scores, attention_mask)  # (..., q, k)
    output = ops.matmul(ops.cast(weights, value.dtype), value)  # (..., q, d_v)
    return (output, weights) if return_weights else output


def _masked_softmax(scores, attention_mask):
    """Softmax over the keys that a query may see; a row with none of them is exactly 0."""
    # Half precision runs out of digits in a long sum of exponentials: do the softmax in float32.
    dtype = scores.dtype
    scores = ops.cast(scores, "float32") if dtype in ("float16", "bfloat16") else scores
    if attention_mask is None:
        return ops.cast(ops.softmax(scores, axis=-1), dtype)
    attention_mask = ops.convert_to_tensor(attention_mask)
    if keras.backend.standardize_dtype(attention_mask.dtype) != "bool":
        raise TypeError(
            f"attention_mask has dtype {attention_mask.dtype}, expected bool with True = may "
            "attend. For a mask of 0s and 1s, pass `mask > 0`."
        )
    # A finite floor, not -inf: a fully masked row would turn into NaN, and so would its gradient.
    scores = ops.where(attention_mask, scores, -1e30)
    weights = ops.where(attention_mask, ops.softmax(scores, axis=-1), 0.0)
    return ops.cast(weights, dtype)


@keras.saving.register_keras_serializable("course")
class MultiHeadAttention(keras.layers.Layer):
    """Several attentions side by side, each in its own projection of the same words.

    One softmax gives one weighted mean, so one head can answer one question about a word. Heads
    ask several at the cost of one: each works in d_model / num_heads dimensions.

    Args:
        num_heads: number of heads, a divisor of `d_model`.
        d_model: width of the input's and the output's vectors.
        dropout: rate at which attention weights are dropped in training.
        use_bias: whether the four projections have biases.
        kernel_initializer: initializer of the projections' kernels.

    Call arguments:
        query: `(batch, query_length, d_model)`.
        key: `(batch, key_length, d_model)`; None means self-attention, key = query.
        value: `(batch, key_length, d_model)`; None means value = key.
        attention_mask: boolean `(query_length, key_length)`, `(batch, query_length, key_length)`
            (1 in place of a dimension broadcasts) or `(batch, num_heads, query_length,
            key_length)`; True = may attend.
        return_weights: whether to return the weights `(batch, num_heads, query_length,
            key_length)` beside the output.

    Returns:
        `(batch, query_length, d_model)`, or the pair of it and the weights. For a fully masked
        query the attention is exactly 0, so that the output is the output projection's bias.

    Example:
        >>> layer = MultiHeadAttention(num_heads=8, d_model=512)
        >>> output = layer(words, attention_mask=causal_mask(length))

    Reference: Vaswani et al. 2017, section 3.2.2.
    """

    def __init__(
        self,
        num_heads,
        d_model,
        dropout=0.0,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if num_heads < 1 or d_model % num_heads:
            raise ValueError(
                f"num_heads = {num_heads} does not divide d_model = {d_model}: "
                "each head gets d_model / num_heads dimensions, so choose a divisor."
            )
        self.num_heads = num_heads
        self.d_model = d_model
        self.dropout = dropout
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.supports_masking = True

        def projection(name):
            # A fresh initializer each: a shared one draws the same numbers four times.
            initializer = self.kernel_initializer.clone()
            return keras.layers.Dense(
                d_model,
                use_bias=use_bias,
                kernel_initializer=initializer,
                dtype=self.dtype_policy,
                name=name,
            )

        self.query_dense = projection("query")
        self.key_dense = projection("key")
        self.value_dense = projection("value")
        self.output_dense = projection("output")
        self.dropout_layer = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, query_shape, key_shape=None, value_shape=None):
        key_shape = key_shape or query_shape
        self.query_dense.build(query_shape)
        self.key_dense.build(key_shape)
        self.value_dense.build(value_shape or key_shape)
        self.output_dense.build((*query_shape[:-1], self.d_model))

    def call(
        self,
        query,
        key=None,
        value=None,
        attention_mask=None,
        return_weights=False,
        training=None,
        mask=None,  # what Keras carries along from Embedding(mask_zero=True): `mask` where query
        query_mask=None,  # is the only tensor that is passed, else one for each
        key_mask=None,
    ):
        if key is None:
            key_mask = mask if query_mask is None else query_mask
        key = query if key is None else key
        value = key if value is None else value
        query = self.split_heads(self.query_dense(query))  # (batch, heads, q, d_head)
        key = self.split_heads(self.key_dense(key))  # (batch, heads, k, d_head)
        value = self.split_heads(self.value_dense(value))  # (batch, heads, k, d_head)
        if attention_mask is not None and len(attention_mask.shape) == 3:
            attention_mask = attention_mask[:, None, :, :]  # the same for every head
        if key_mask is not None:
            key_mask = key_mask[:, None, None, :]  # (batch, 1, 1, k): hides keys, not queries
            attention_mask = (
                key_mask if attention_mask is None else ops.logical_and(attention_mask, key_mask)
            )

        # scaled_dot_product_attention in its two halves: dropout falls between them (section 5.4).
        scores = ops.matmul(query * self.d_head**-0.5, ops.swapaxes(key, -1, -2))
        weights = _masked_softmax(scores, attention_mask)  # (batch, heads, q, k)
        kept = self.dropout_layer(weights, training=training) if self.dropout else weights
        heads = ops.matmul(kept, value)  # (batch, heads, q, d_head)
        output = self.output_dense(self.merge_heads(heads))  # (batch, q, d_model)
        return (output, weights) if return_weights else output

    @property
    def d_head(self):
        """Width of one head, d_model / num_heads: the paper's d_k and d_v."""
        return self.d_model // self.num_heads

    def split_heads(self, x):
        """`(batch, length, d_model)` → `(batch, num_heads, length, d_head)`."""
        batch, length = ops.shape(x)[:2]
        x = ops.reshape(x, (batch, length, self.num_heads, self.d_head))
        return ops.transpose(x, (0, 2, 1, 3))

    def merge_heads(self, x):
        """`(batch, num_heads, length, d_head)` → `(batch, length, d_model)`."""
        x = ops.transpose(x, (0, 2, 1, 3))  # (batch, length, heads, d_head)
        batch, length = ops.shape(x)[:2]
        return ops.reshape(x, (batch, length, self.d_model))

    def compute_output_shape(self, query_shape, key_shape=None, value_shape=None):
        return (*query_shape[:-1], self.d_model)

    def get_config(self):
        return super().get_config() | {
            "num_heads": self.num_heads,
            "d_model": self.d_model,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }
