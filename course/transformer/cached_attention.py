"""Attention that keeps what it has projected: the key-value cache of lesson 06."""

import keras
from keras import ops

from course import attention


@keras.saving.register_keras_serializable("course")
class CachedMultiHeadAttention(attention.MultiHeadAttention):
    """`MultiHeadAttention` that can keep keys and values, for decoding one token at a time.

    Without a cache it computes what `course.attention.MultiHeadAttention` does.

    Args:
        num_heads: number of heads, a divisor of `d_model`.
        d_model: width of the input's and the output's vectors.
        dropout: rate at which attention weights are dropped in training.
        use_bias: whether the four projections have biases.
        kernel_initializer: initializer of the projections' kernels.
        positions: "rotary", "alibi" or None.

    Call arguments:
        query: `(batch, query_length, d_model)`.
        key: `(batch, key_length, d_model)`; None means self-attention, key = query.
        value: `(batch, key_length, d_model)`; None means value = key.
        attention_mask: boolean, as `MultiHeadAttention` takes it; with a cache its key_length is
            max_length.
        return_weights: whether to return the weights too, with a cache `(batch, num_heads,
            query_length, max_length)`.
        score_bias: float, broadcastable to the weights' shape, added to the scores before the mask.
        cache: pair of keys and values, each `(batch, num_heads, max_length, d_head)`, of tokens
            that were projected in earlier calls.
        cache_index: integer or integer tensor, the position of the first new token. Its keys and
            values, made from `key` and `value`, are written into the cache from there on, and
            query `i` sees positions up to `cache_index + i` (and what `attention_mask` leaves of
            them). None: the cache is read as it is, and `key` and `value` are not looked at; so
            cross-attention projects its keys once, with `keys_and_values`.

    Returns:
        `(batch, query_length, d_model)`; with `return_weights` or `cache` a tuple of it, the
        weights if asked for, and the cache with the new tokens in it if one was given.

    Raises:
        ValueError: if `cache_index` is given without `cache`, or the cache is too short.

    Example:
        >>> output, cache = layer(next_vector, cache=cache, cache_index=length)
    """

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
        mask=None,
        query_mask=None,
        key_mask=None,
    ):
        if cache is None:
            if cache_index is not None:
                raise ValueError(
                    f"cache_index = {cache_index} says where to write and cache is None: "
                    "pass the pair of tensors to write into."
                )
            carried = {"mask": mask, "query_mask": query_mask, "key_mask": key_mask}
            return super().call(
                query, key, value, attention_mask, return_weights, training, score_bias, **carried
            )
        attention_mask = self.masks_for_heads(attention_mask)
        start = 0 if cache_index is None else cache_index
        if cache_index is not None:
            new = self.keys_and_values(query if key is None else key, value, start)
            cache = write_to_cache(cache, new, cache_index)  # (batch, heads, max_length, d_head)
            position = start + ops.arange(ops.shape(query)[1])  # (q,)
            written = position[:, None] >= ops.arange(ops.shape(cache[0])[2])  # (q, max_length)
            attention_mask = attention.combine_masks(attention_mask, written)
        query = self.project_query(query, start)  # (batch, heads, q, d_head)
        output, weights = self.attend(query, *cache, attention_mask, score_bias, training, start)
        return (output, weights, cache) if return_weights else (output, cache)


def write_to_cache(cache, new, index):
    """The cache with new tokens in it from `index` on.

    Args:
        cache: pair of tensors `(batch, num_heads, max_length, d_head)`, keys and values.
        new: pair of tensors `(batch, num_heads, length, d_head)`.
        index: integer or integer tensor, the position of the first new token.

    Returns:
        A pair of tensors, of the shapes and dtypes of the cache.

    Raises:
        ValueError: if the new tokens reach past the cache's end, as far as that is known
            beforehand.
    """
    max_length, length = cache[0].shape[2], new[0].shape[2]
    known = all(isinstance(number, int) for number in (index, length, max_length))
    if known and index + length > max_length:  # in a graph such a write lands too early, silently
        raise ValueError(
            f"cache_index = {index} and {length} new tokens need {index + length} places, and the "
            f"cache has {max_length}: make a longer cache, or stop before its end."
        )
    return tuple(
        ops.slice_update(old, (0, 0, index, 0), ops.cast(part, old.dtype))
        for old, part in zip(cache, new, strict=True)
    )
