"""Scaled dot-product attention and multi-head attention (lesson 02).

"Attention Is All You Need", Vaswani et al. 2017, section 3.2. The module reads in the order of the
paper: masks, one attention (equation 1), several heads (section 3.2.2).

Masks are boolean and True means "may attend" or "is a real token", everywhere in this course.
"""

import contextlib

import keras
from keras import ops

from course import runtime
from course.positions import alibi_bias, rotary


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


def _masked_softmax(scores, attention_mask, score_bias=None):
    """Softmax over the keys that a query may see; a row with none of them is exactly 0."""
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


def combine_masks(mask, other):
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


def _write(cache, new, index):
    """The cache `(batch, heads, max_length, d_head)` with new words in it from `index` on."""
    max_length, length = cache[0].shape[2], new[0].shape[2]
    known = all(isinstance(number, int) for number in (index, length, max_length))
    if known and index + length > max_length:  # in a graph such a write lands too early, silently
        raise ValueError(
            f"cache_index = {index} and {length} new words need {index + length} places, and the "
            f"cache has {max_length}: make a longer cache, or stop before its end."
        )
    return tuple(
        ops.slice_update(old, (0, 0, index, 0), ops.cast(part, old.dtype))
        for old, part in zip(cache, new, strict=True)
    )


@keras.saving.register_keras_serializable("course")
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout`, with 16 random bits for each number instead of 32.

    TensorFlow's draws are slow on a CPU; here one decides about two numbers, at a rate rounded to a
    multiple of 1 / 65,536. On JAX, and on accelerators, it is Keras' own layer.

    Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting".
    """

    def call(self, inputs, training=False):
        if not training or not 0 < self.rate < 1 or self.noise_shape is not None:
            return super().call(inputs, training=training)
        if keras.backend.backend() != "tensorflow" or runtime.accelerator() != "cpu":
            return super().call(inputs, training=training)
        shape = ops.shape(inputs)
        count = 1
        for size in shape:
            count = count * size
        draws = keras.random.randint(
            ((count + 1) // 2, 1), -(2**31), 2**31 - 1, seed=self.seed_generator
        )
        halves = ops.reshape(ops.view(draws, "uint16"), (-1,))[:count]
        levels = 1 << 16
        dropped = round(self.rate * levels)
        kept = ops.reshape(halves, shape) >= ops.convert_to_tensor(dropped, "uint16")
        return inputs * (ops.cast(kept, inputs.dtype) * (levels / (levels - dropped)))


@keras.saving.register_keras_serializable("course")
class MultiHeadAttention(keras.layers.Layer):
    """Several attentions side by side, each in its own projection of the same words.

    One softmax gives one weighted mean, so one head can answer one question about a word. Heads
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
        cache: pair of keys and values, each `(batch, num_heads, max_length, d_head)`, of words
            that were projected in earlier calls. Then key_length above is max_length.
        cache_index: integer or integer tensor, the position of the first new word. Its keys and
            values, made from `key` and `value`, are written into the cache from there on, and
            query `i` sees positions up to `cache_index + i` (and what `attention_mask` leaves of
            them). None: the cache is read as it is, and `key` and `value` are not looked at; so
            cross-attention projects its keys once, with `keys_and_values`.

    Returns:
        `(batch, query_length, d_model)`; with `return_weights` or `cache` a tuple of it, the
        weights if asked for, and the cache with the new words in it if one was given. For a fully
        masked query the attention is exactly 0, so that the output is the output projection's bias.

    Raises:
        ValueError: if `cache_index` is given without `cache`.

    Example:
        >>> layer = MultiHeadAttention(num_heads=8, d_model=512)
        >>> output = layer(words, attention_mask=causal_mask(length))
        >>> output, cache = layer(next_word, cache=cache, cache_index=length)

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
        self.dropout_layer = Dropout(dropout, dtype=self.dtype_policy)

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
        cache=None,
        cache_index=None,
        mask=None,  # what Keras carries along from Embedding(mask_zero=True): `mask` where query
        query_mask=None,  # is the only tensor that is passed, else one for each
        key_mask=None,
    ):
        if cache_index is not None and cache is None:
            raise ValueError(
                f"cache_index = {cache_index} says where to write and cache is None: "
                "pass the pair of tensors to write into."
            )
        if cache is None and key is None:
            key_mask = mask if query_mask is None else query_mask
        if attention_mask is not None and len(attention_mask.shape) == 3:
            attention_mask = attention_mask[:, None, :, :]  # the same for every head
        if cache is None and key_mask is not None:
            # (batch, 1, 1, k): hides keys, not queries
            attention_mask = combine_masks(attention_mask, key_mask[:, None, None, :])

        start = 0 if cache_index is None else cache_index
        if cache is not None and cache_index is None:
            key, value = cache  # (batch, heads, k, d_head)
        else:
            key = query if key is None else key
            key, value = self.keys_and_values(key, value, start)  # (batch, heads, k, d_head)
        query = self.split_heads(self.query_dense(query))  # (batch, heads, q, d_head)
        length = ops.shape(query)[2]
        if self.positions == "rotary":
            query = rotary(query, start + ops.arange(length))
        if cache_index is not None:
            key, value = cache = _write(cache, (key, value), cache_index)  # (…, max_length, d_head)
            position = start + ops.arange(length)  # (q,)
            written = position[:, None] >= ops.arange(ops.shape(key)[2])  # (q, max_length)
            attention_mask = combine_masks(attention_mask, written)
        if self.positions == "alibi":
            penalty = alibi_bias(self.num_heads, length, ops.shape(key)[2], start)  # (heads, q, k)
            score_bias = penalty if score_bias is None else score_bias + penalty

        # scaled_dot_product_attention in its two halves: dropout falls between them (section 5.4).
        scores = ops.matmul(query * self.d_head**-0.5, ops.swapaxes(key, -1, -2))
        weights = _masked_softmax(scores, attention_mask, score_bias)  # (batch, heads, q, k)
        if _recordings:
            _recordings[-1].append((self.path, weights))
        kept = self.dropout_layer(weights, training=training) if self.dropout else weights
        heads = ops.matmul(kept, value)  # (batch, heads, q, d_head)
        output = self.output_dense(self.merge_heads(heads))  # (batch, q, d_model)
        if cache is None:
            return (output, weights) if return_weights else output
        return (output, weights, cache) if return_weights else (output, cache)

    def keys_and_values(self, key, value=None, start=0):
        """What a cache holds: projected keys and values, split into heads and, if rotary, turned.

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
            key = rotary(key, start + ops.arange(ops.shape(key)[2]))
        return key, value

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
