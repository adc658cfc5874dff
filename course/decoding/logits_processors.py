"""From the logits of the next id to the id that is taken."""

import functools

import numpy as np
from keras import ops

from course import kernels
from course.runtime.types import Tensor

NEVER = -np.inf


def repetition_penalty(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Makes ids that were there before less likely: divides their logits by the penalty.

    The paper divides every logit. A negative one would then become more likely, so it is multiplied
    here, as most implementations do.

    Args:
        logits: float tensor `(rows, vocab_size)`.
        ids: integer tensor `(rows, length)`, the ids so far; -1 where there is none. The first of
            each row is one.
        penalty: θ in the paper, which uses 1.2; 1 changes nothing.

    Returns:
        `(rows, vocab_size)`.

    Reference: Keskar et al. 2019, "CTRL", section 4.1.
    """
    ids = ops.where(ids < 0, ids[:, :1], ids)  # (rows, length)
    row = ops.broadcast_to(ops.arange(ops.shape(ids)[0])[:, None], ops.shape(ids))
    at = ops.reshape(ops.stack([row, ops.cast(ids, row.dtype)], axis=-1), (-1, 2))
    ones = ops.ones((ops.shape(at)[0],), logits.dtype)
    seen = ops.scatter_update(ops.zeros_like(logits), at, ones) > 0  # (rows, vocab_size)
    return ops.where(seen, ops.where(logits > 0, logits / penalty, logits * penalty), logits)


def top_k(logits: Tensor, k: int) -> Tensor:
    """Keeps the `k` largest logits of each row and what equals the last of them; -inf elsewhere.

    Args:
        logits: float tensor `(rows, vocab_size)`.
        k: how many, an integer ≥ 1.

    Returns:
        `(rows, vocab_size)`.

    Reference: Fan et al. 2018, "Hierarchical Neural Story Generation", section 5.
    """
    smallest = kernels.top_k(logits, min(k, logits.shape[-1]))[0][:, -1:]  # (rows, 1)
    return ops.where(logits >= smallest, logits, NEVER)


def top_p(logits: Tensor, p: float) -> Tensor:
    """Keeps the fewest of the likeliest ids that together reach probability `p`; -inf elsewhere.

    The id that crosses `p` is kept, so that there is always one, and what equals it is kept too.

    Args:
        logits: float tensor `(rows, vocab_size)`.
        p: probability, above 0 and at most 1.

    Returns:
        `(rows, vocab_size)`.

    Reference: Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration", section 3.1.
    """
    falling = ops.flip(ops.sort(logits, axis=-1), axis=-1)  # (rows, vocab_size)
    probabilities = ops.softmax(falling, axis=-1)
    before = ops.cumsum(probabilities, axis=-1) - probabilities  # what the likelier ids have
    smallest = ops.min(ops.where(before < p, falling, np.inf), axis=-1, keepdims=True)
    return ops.where(logits >= smallest, logits, NEVER)


_keep_top_k, _keep_top_p = top_k, top_p  # `next_distribution` has arguments of these names


def suppress(logits: Tensor, ids: tuple[int, ...]) -> Tensor:
    """The logits with -inf at ids that are not to be generated.

    Args:
        logits: float tensor `(rows, vocab_size)`.
        ids: tuple of integers, at least one.

    Returns:
        `(rows, vocab_size)`.
    """
    return ops.where(is_one_of(ops.arange(logits.shape[-1]), ids), NEVER, logits)


def best_continuations(
    logits: Tensor, n: int, suppress_ids: tuple[int, ...] = ()
) -> tuple[Tensor, Tensor]:
    """The `n` likeliest next ids of each row, and how likely they are.

    Args:
        logits: float tensor `(rows, vocab_size)`.
        n: how many, an integer ≥ 1.
        suppress_ids: tuple of ids that are not to be generated; they keep their probability.

    Returns:
        Pair of the ids and their log-probabilities, `(rows, min(n, vocab_size))` both, the
        likeliest first.
    """
    logits = ops.cast(logits, "float32")
    size = logits.shape[-1]
    # Enough that `n` are left without the suppressed ones; the rest of the row is not sorted.
    values, ids = kernels.top_k(logits, min(n + len(suppress_ids), size))
    largest = values[:, :1]
    total = ops.sum(ops.exp(logits - largest), axis=-1, keepdims=True)
    log_p = values - largest - ops.log(total)
    if suppress_ids:
        log_p = ops.where(is_one_of(ids, suppress_ids), NEVER, log_p)
        log_p, at = ops.top_k(log_p, min(n, size))
        ids = ops.take_along_axis(ids, at, axis=1)
    return ops.cast(ids, "int32"), log_p


def next_distribution(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """The probabilities from which the next id is drawn: temperature, then top-k, then top-p.

    Args:
        logits: float32 tensor `(rows, vocab_size)`.
        temperature: what logits are divided by, above 0.
        top_k: how many ids are kept; None means all.
        top_p: the probability that the ids that are kept reach; None means all.

    Returns:
        float32 tensor `(rows, vocab_size)`, rows of which sum to 1.
    """
    logits = logits / temperature
    logits = logits if top_k is None else _keep_top_k(logits, top_k)
    logits = logits if top_p is None else _keep_top_p(logits, top_p)
    return ops.softmax(logits, axis=-1)


def draw(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Ids `(rows,)`, drawn where `uniform` `(rows, 1)` falls in the sum of the probabilities."""
    sums = ops.cumsum(probabilities, axis=-1)
    uniform = ops.minimum(uniform, 1 - 2.0**-24)  # float32 may round up to 1
    reached = ops.logical_and(sums > uniform * ops.max(sums, -1, keepdims=True), probabilities > 0)
    return ops.argmax(reached, axis=-1)  # the first


def is_one_of(ids: Tensor, chosen: tuple[int, ...]) -> Tensor:
    """Where `ids` are one of the integers `chosen`: boolean, of the shape of `ids`."""
    return functools.reduce(ops.logical_or, [ids == each for each in chosen])
