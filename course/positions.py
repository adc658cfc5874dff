"""Telling attention where a token stands: four encodings (lesson 03).

Attention compares contents only: permute the tokens and the outputs are permuted with them. The
module reads in the order of the papers: waves that are added to the tokens (Vaswani et al. 2017,
section 3.5), a table that is learned (Gehring et al. 2017), rotations of queries and keys (Su et
al. 2021), and a penalty on distance in the scores (Press et al. 2022).
"""

import math

import keras
import numpy as np
from keras import ops

from course.runtime.types import Tensor


def sinusoidal_encoding(length: int, d_model: int, start: int = 0) -> np.ndarray:
    """Waves of d_model / 2 wavelengths, a sine and a cosine of each side by side.

    PE(pos, 2i) = sin(pos / 10000^(2i / d_model)), PE(pos, 2i + 1) = cos of the same angle. Computed
    in float64: at position 10,000 an angle in float32 has only three digits left after the point.

    Args:
        length: number of positions, an integer ≥ 1.
        d_model: width of the vectors, an even integer.
        start: the first position.

    Returns:
        float32 NumPy array `(length, d_model)`, which belongs to no graph.

    Raises:
        ValueError: if d_model is odd.

    Reference: Vaswani et al. 2017, section 3.5.
    """
    if d_model % 2:
        raise ValueError(f"d_model = {d_model} is odd: sines and cosines come in pairs.")
    position = np.arange(start, start + length, dtype="float64")[:, None]
    angle = position * _frequencies(d_model)  # (length, d_model / 2)
    waves = np.stack([np.sin(angle), np.cos(angle)], axis=-1)  # (length, d_model / 2, 2)
    return waves.reshape(length, d_model).astype("float32")


def _frequencies(width, base=10_000.0):
    """1 / base^(2i / width) for i = 0 … width / 2 - 1, in float64."""
    return base ** -(np.arange(0, width, 2, dtype="float64") / width)


def rotary(
    x: Tensor, positions: Tensor | None = None, base: float = 10_000.0, pairs: str = "adjacent"
) -> Tensor:
    """Turns each pair of numbers by an angle that grows with the position.

    The dot product of a turned query and a turned key depends on their contents and on the distance
    between them, not on where both stand. Apply it to queries and keys after the heads are split,
    never to values.

    Args:
        x: float tensor `(..., length, d_head)`, d_head even.
        positions: integer tensor `(length,)` or `(batch, 1, length)`-like, broadcastable to
            `x.shape[:-1]`; 0 … length - 1 if None.
        base: what sets the slowest of the wavelengths, 2π · base^(1 - 2 / d_head).
        pairs: "adjacent" turns (x₀, x₁), (x₂, x₃), … as the paper does; "halves" turns
            (x₀, x_{d/2}), … as GPT-NeoX, Llama and keras-hub do. Weights are made for one of them.

    Returns:
        Tensor of the shape and dtype of `x`; lengths of vectors are unchanged.

    Raises:
        ValueError: if d_head is odd or `pairs` is neither of the two.

    Reference: Su et al. 2021, "RoFormer", equations 14, 15 and 34.
    """
    d_head = x.shape[-1]
    if d_head % 2:
        raise ValueError(f"the width of a head is {d_head}, which is odd: rotary turns pairs.")
    if pairs not in ("adjacent", "halves"):
        raise ValueError(f'pairs = {pairs!r}: choose "adjacent" or "halves".')
    if positions is None:
        positions = ops.arange(ops.shape(x)[-2])
    frequencies = ops.convert_to_tensor(_frequencies(d_head, base).astype("float32"))
    angle = ops.cast(positions, "float32")[..., None] * frequencies  # (..., length, d_head / 2)
    cos, sin = (ops.cast(f(angle), x.dtype) for f in (ops.cos, ops.sin))
    if pairs == "halves":
        a, b = ops.split(x, 2, axis=-1)  # (..., length, d_head / 2) each
        return ops.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)
    a, b = x[..., ::2], x[..., 1::2]
    turned = ops.stack([a * cos - b * sin, a * sin + b * cos], axis=-1)  # (..., d_head / 2, 2)
    return ops.reshape(turned, ops.shape(x))


def alibi_slopes(num_heads: int) -> np.ndarray:
    """How fast each head forgets with distance: 2^(-8/n), 2^(-16/n), … for n heads.

    Args:
        num_heads: for a power of two the paper's sequence; otherwise that of the next lower power
            of two, filled up with every second slope of the next higher one, as the authors do.

    Returns:
        float32 array `(num_heads,)`, each between 0 and 1.

    Reference: Press et al. 2022, section 3, and the authors' code for other numbers of heads.
    """

    def power_of_two(n):
        return [2.0 ** (-8.0 * (i + 1) / n) for i in range(n)]

    lower = 2 ** int(math.log2(num_heads))
    slopes = power_of_two(lower)
    slopes += power_of_two(2 * lower)[::2][: num_heads - lower]
    return np.array(slopes, "float32")


def alibi_bias(
    num_heads: int,
    query_length: Tensor | int,
    key_length: Tensor | int | None = None,
    start: Tensor | int | None = None,
) -> Tensor:
    """A penalty on distance, to be added to the scores before the softmax: -slope · |i - j|.

    Args:
        num_heads: number of heads; each has its own slope.
        query_length: number of queries.
        key_length: number of keys, `query_length` if None.
        start: position of the first query, an integer or integer tensor. None means that the
            queries are the last: `key_length - query_length`.

    Returns:
        float32 tensor `(num_heads, query_length, key_length)`, entries ≤ 0, 0 where a query meets
        its own position.

    Reference: Press et al. 2022, "Train Short, Test Long", section 3. There a query sees only
    earlier keys; the absolute value makes it hold for encoders too.
    """
    key_length = query_length if key_length is None else key_length
    start = key_length - query_length if start is None else start
    keys = ops.arange(key_length)  # (k,)
    queries = ops.arange(query_length) + start  # (q,)
    distance = ops.cast(ops.abs(queries[:, None] - keys[None, :]), "float32")  # (q, k)
    slopes = ops.convert_to_tensor(alibi_slopes(num_heads))[:, None, None]  # (heads, 1, 1)
    return -slopes * distance


@keras.saving.register_keras_serializable("course")
class AddPositions(keras.layers.Layer):
    """Adds an encoding of its position to each token: waves or a learned table.

    Args:
        kind: "sinusoidal" or "learned".
        max_length: rows of the table, and so the last position that there is.

    Call arguments:
        x: `(batch, length, d_model)`.
        start: position of the first token, an integer or an integer tensor; for decoding one token
            at a time.

    Returns:
        `(batch, length, d_model)`.

    Raises:
        ValueError: if the input reaches past `max_length`, as far as that is known beforehand: in a
            graph whose length or start is a tensor it is not.

    Reference: Vaswani et al. 2017, section 3.5; Gehring et al. 2017, section 3.1, for the table.
    """

    def __init__(self, kind="sinusoidal", max_length=2048, **kwargs):
        super().__init__(**kwargs)
        if kind not in ("sinusoidal", "learned"):
            raise ValueError(f'kind = {kind!r}: choose "sinusoidal" or "learned".')
        self.kind = kind
        self.max_length = max_length
        self.supports_masking = True

    def build(self, shape):
        if self.kind == "learned":
            self.table = self.add_weight(
                shape=(self.max_length, shape[-1]),
                initializer=keras.initializers.RandomNormal(stddev=0.02),
                name="table",
            )
        else:
            self.table = sinusoidal_encoding(self.max_length, shape[-1])

    def call(self, x, start=0):
        length = ops.shape(x)[1]
        if isinstance(length, int) and isinstance(start, int):
            if start + length > self.max_length:
                raise ValueError(
                    f"the input has {length} positions from {start} on and max_length is "
                    f"{self.max_length}: make the layer with a larger max_length, or cut the input."
                )
            rows = ops.convert_to_tensor(self.table[start : start + length])  # (length, d_model)
        else:
            table = ops.convert_to_tensor(self.table)  # (max_length, d_model)
            rows = ops.take(table, ops.arange(length) + start, axis=0)  # (length, d_model)
        return x + ops.cast(rows, x.dtype)

    def compute_output_shape(self, shape):
        return shape

    def get_config(self):
        return super().get_config() | {"kind": self.kind, "max_length": self.max_length}
