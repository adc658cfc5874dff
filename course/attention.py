"""Scaled dot-product attention and multi-head attention (lesson 02).

"Attention Is All You Need", Vaswani et al. 2017, section 3.2. The module reads in the order of the
paper: masks, one attention (equation 1), several heads (section 3.2.2).

Masks are boolean and True means "may attend" or "is a real token", everywhere in this course.
"""

import contextlib
import functools
from collections.abc import Callable

import keras
from keras import ops

from course import kernels
from course import positions as encodings
from course.runtime.types import Tensor


def causal_mask(length: Tensor | int) -> Tensor:
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


def padding_mask(token_ids: Tensor, pad_id: int = 0) -> Tensor:
    """Says which tokens are real and which only fill up the batch.

    Args:
        token_ids: integer tensor `(batch, length)`.
        pad_id: the id that fills up.

    Returns:
        Boolean tensor `(batch, length)`, True where the token is real. As an attention mask over
        keys it is used as `padding_mask(ids)[:, None, :]`, shape `(batch, 1, length)`.
    """
    return ops.not_equal(token_ids, pad_id)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    return_weights: bool = False,
    *,
    dropout: Callable | None = None,
    score_bias: Tensor | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """softmax(Q Kᵀ / √d_k) V: each query takes a weighted mean of the values.

    Every attention of this course is a call of this function.

    Args:
        query: float tensor `(..., query_length, d_k)`.
        key: float tensor `(..., key_length, d_k)`.
        value: float tensor `(..., key_length, d_v)`.
        attention_mask: boolean, broadcastable to `(..., query_length, key_length)`; True means
            "may attend". A query that may attend to nothing gets weights and output of exactly 0.
        return_weights: whether to return the weights too.
        dropout: function of the weights, applied to them before they meet the values, such as a
            `kernels.Dropout` layer (section 5.4); None means none. The weights returned are those
            before it.
        score_bias: float tensor, broadcastable to `(..., query_length, key_length)`, added to the
            scores before the mask.

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
    weights = masked_softmax(scores, attention_mask, score_bias)  # (..., q, k)
    kept = weights if dropout is None else dropout(weights)
    output = ops.matmul(ops.cast(kept, value.dtype), value)  # (..., q, d_v)
    return (output, weights) if return_weights else output


def masked_softmax(
    scores: Tensor, attention_mask: Tensor | None = None, score_bias: Tensor | None = None
) -> Tensor:
    """Softmax over the keys that a query may see; a row with none of them is exactly 0.

    Args:
        scores: float tensor `(..., query_length, key_length)`.
        attention_mask: boolean, broadcastable to the scores; True means "may attend".
        score_bias: float tensor, broadcastable to the scores and added to them, or None.

    Returns:
        Weights of the shape and dtype of the scores.

    Raises:
        TypeError: if the mask is not boolean.
    """
    # Half precision runs out of digits in a long sum of exponentials: do the softmax in float32.
    dtype = scores.dtype
    scores = ops.cast(scores, "float32") if dtype in ("float16", "bfloat16") else scores
    if score_bias is not None:
        scores = scores + ops.cast(score_bias, scores.dtype)
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


def _places(start, x):
    """The positions of `(batch, heads, length, d_head)`; None, from 0 on, where that is known."""
    return None if isinstance(start, int) and start == 0 else start + ops.arange(ops.shape(x)[2])


def combine_masks(mask: Tensor | None, other: Tensor) -> Tensor:
    """What both masks allow; the first may be None."""
    return other if mask is None else ops.logical_and(mask, other)


_recordings = []


@contextlib.contextmanager
def recorded_weights():
    """Collects the weights of every `MultiHeadAttention` that is called in a `with` block.

    Yields:
        A list that fills, in the order of the calls, with pairs of the layer's path and its weights
        `(batch, num_heads, query_length, key_length)`. Graphs compiled before record nothing.
    """
    _recordings.append([])
    try:
        yield _recordings[-1]
    finally:
        _recordings.pop()


@keras.saving.register_keras_serializable("course")
class MultiHeadAttention(keras.layers.Layer):
    """Several attentions side by side, each in its own projection of the same tokens.

    One softmax gives one weighted mean, so one head can answer one question about a token. Heads
    ask several with the multiplications of one: each works in d_model / num_heads dimensions.

    Args:
        num_heads: number of heads, a divisor of `d_model`.
        d_model: width of the input's and the output's vectors.
        dropout: rate at which attention weights are dropped in training.
        use_bias: whether the four projections have biases.
        kernel_initializer: initializer of the projections' kernels.
        positions: "rotary" turns queries and keys by their positions, "alibi" takes their distance
            off the scores, None does neither. For self-attention, where both count from one start.

    Call arguments:
        query: `(batch, query_length, d_model)`.
        key: `(batch, key_length, d_model)`; None means self-attention, key = query.
        value: `(batch, key_length, d_model)`; None means value = key.
        attention_mask: boolean `(query_length, key_length)`, `(batch, query_length, key_length)`
            (1 in place of a dimension broadcasts) or `(batch, num_heads, query_length,
            key_length)`; True = may attend.
        return_weights: whether to return the weights `(batch, num_heads, query_length,
            key_length)` beside the output.
        score_bias: float, broadcastable to the weights' shape, added to the scores before the mask.

    Returns:
        `(batch, query_length, d_model)`; with `return_weights` the pair of it and the weights. For
        a fully masked query the attention is exactly 0, so that the output is the output
        projection's bias.

    Raises:
        ValueError: if `num_heads` does not divide `d_model`, or `positions` is none of the three.

    Example:
        >>> layer = MultiHeadAttention(num_heads=8, d_model=512)
        >>> output = layer(vectors, attention_mask=causal_mask(length))

    Reference: Vaswani et al. 2017, section 3.2.2.
    """

    def __init__(
        self,
        num_heads,
        d_model,
        dropout=0.0,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        positions=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if num_heads < 1 or d_model % num_heads:
            raise ValueError(
                f"num_heads = {num_heads} does not divide d_model = {d_model}: "
                "each head gets d_model / num_heads dimensions, so choose a divisor."
            )
        if positions not in ("rotary", "alibi", None):
            raise ValueError(f'positions = {positions!r}: choose "rotary", "alibi" or None.')
        self.num_heads = num_heads
        self.d_model = d_model
        self.dropout = dropout
        self.use_bias = use_bias
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.positions = positions
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
        self.dropout_layer = kernels.Dropout(dropout, dtype=self.dtype_policy)

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
        score_bias=None,
        mask=None,  # what Keras carries along from Embedding(mask_zero=True): `mask` where query
        query_mask=None,  # is the only tensor that is passed, else one for each
        key_mask=None,
    ):
        if key is None:
            key, key_mask = query, mask if query_mask is None else query_mask
        attention_mask = self.masks_for_heads(attention_mask, key_mask)
        query = self.project_query(query)  # (batch, heads, q, d_head)
        key, value = self.keys_and_values(key, value)  # (batch, heads, k, d_head)
        output, weights = self.attend(query, key, value, attention_mask, score_bias, training)
        return (output, weights) if return_weights else output

    def masks_for_heads(self, attention_mask, key_mask=None):
        """One boolean mask that broadcasts to `(batch, num_heads, query_length, key_length)`.

        Args:
            attention_mask: as the layer takes it, or None.
            key_mask: boolean `(batch, key_length)`, True where a key is real, or None.

        Returns:
            A boolean tensor, or None where both are.
        """
        if attention_mask is not None and len(attention_mask.shape) == 3:
            attention_mask = attention_mask[:, None, :, :]  # the same for every head
        if key_mask is not None:
            # (batch, 1, 1, k): hides keys, not queries
            attention_mask = combine_masks(attention_mask, key_mask[:, None, None, :])
        return attention_mask

    def project_query(self, query, start=0):
        """Queries, split into heads and, if rotary, turned.

        Args:
            query: `(batch, query_length, d_model)`.
            start: position of the first query, an integer or integer tensor.

        Returns:
            `(batch, num_heads, query_length, d_head)`.
        """
        query = self.split_heads(self.query_dense(query))
        if self.positions == "rotary":
            query = encodings.rotary(query, _places(start, query))
        return query

    def keys_and_values(self, key, value=None, start=0):
        """Projected keys and values, split into heads and the keys, if rotary, turned.

        Args:
            key: `(batch, key_length, d_model)`.
            value: `(batch, key_length, d_model)`; None means value = key.
            start: position of the first key, an integer or integer tensor.

        Returns:
            Pair of key and value, each `(batch, num_heads, key_length, d_head)`.
        """
        value = self.split_heads(self.value_dense(key if value is None else value))
        key = self.split_heads(self.key_dense(key))
        if self.positions == "rotary":
            key = encodings.rotary(key, _places(start, key))
        return key, value

    def attend(
        self, query, key, value, attention_mask=None, score_bias=None, training=None, start=0
    ):
        """Equation 1 in each head, and the projection of all heads together.

        Args:
            query: `(batch, num_heads, query_length, d_head)`, what `project_query` returns.
            key, value: `(batch, num_heads, key_length, d_head)`, what `keys_and_values` returns.
            attention_mask: boolean, broadcastable to the weights, or None.
            score_bias: float, broadcastable to the weights, or None.
            training: whether weights are dropped.
            start: position of the first query, an integer or integer tensor.

        Returns:
            Pair of the output `(batch, query_length, d_model)` and the weights `(batch, num_heads,
            query_length, key_length)`.
        """
        if self.positions == "alibi":
            lengths = (ops.shape(query)[2], ops.shape(key)[2])
            bias = encodings.alibi_bias(self.num_heads, *lengths, start)  # (heads, q, k)
            score_bias = bias if score_bias is None else score_bias + bias
        drop = functools.partial(self.dropout_layer, training=training) if self.dropout else None
        heads, weights = scaled_dot_product_attention(
            query,
            key,
            value,
            attention_mask,
            return_weights=True,
            dropout=drop,
            score_bias=score_bias,
        )  # (batch, heads, q, d_head), (batch, heads, q, k)
        if _recordings:
            _recordings[-1].append((self.path, weights))
        return self.output_dense(self.merge_heads(heads)), weights

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

    def get_config(self):
        return super().get_config() | {
            "num_heads": self.num_heads,
            "d_model": self.d_model,
            "dropout": self.dropout,
            "use_bias": self.use_bias,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "positions": self.positions,
        }
