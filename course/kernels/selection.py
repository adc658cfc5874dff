"""The largest numbers of wide rows."""

import numpy as np
from keras import ops

from course.runtime.types import Tensor


def plain_top_k(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The `k` largest numbers of each row, largest first, and where they stand.

    Args:
        x: float tensor `(rows, size)`.
        k: how many, an integer from 1 to `size`.

    Returns:
        Pair of the values and their integer places, `(rows, k)` both. Of equal numbers the first
        comes first.
    """
    return ops.top_k(x, k)


def top_k(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """What `plain_top_k` finds, sorting a small part of a wide row only.

    The k largest stand in the k blocks with the largest maxima: only those need sorting.

    Args:
        x: float tensor `(rows, size)`, `size` known beforehand.
        k: how many, an integer from 1 to `size`.

    Returns:
        Pair of the values and their integer places, `(rows, k)` both.
    """
    size = x.shape[-1]
    width = int((size / k) ** 0.5)
    if width < 4:
        return plain_top_k(x, k)
    fitting = [w for w in range(width // 2, 2 * width) if size % w == 0]
    width = min(fitting, key=lambda w: abs(w - width), default=width)
    missing = -size % width
    x = ops.pad(x, ((0, 0), (0, missing)), constant_values=-np.inf) if missing else x
    count = (size + missing) // width
    blocks = ops.reshape(x, (-1, count, width))
    _, block = plain_top_k(ops.max(blocks, axis=-1), k)  # (rows, k)
    block = ops.sort(block, axis=-1)  # equal numbers come in the order of their places
    row = ops.arange(ops.shape(x)[0], dtype=block.dtype)[:, None]
    chosen = ops.take(ops.reshape(blocks, (-1, width)), row * count + block, axis=0)
    values, at = plain_top_k(ops.reshape(chosen, (-1, k * width)), k)  # (rows, k)
    return values, ops.take_along_axis(block, at // width, axis=1) * width + at % width
