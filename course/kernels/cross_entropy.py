"""Cross-entropy of an output projection, without ever holding all of its logits."""

from keras import ops

from course.runtime.types import Tensor


def plain_summed_cross_entropy(
    vectors: Tensor, labels: Tensor, table: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Σ -log softmax(h Wᵀ + b)[label] over the rows h.

    Args:
        vectors: float tensor `(rows, d_model)`, h.
        labels: int32 tensor `(rows,)`; each counts, so leave padding out.
        table: float tensor `(vocab_size, d_model)`, W.
        bias: float tensor `(vocab_size,)`, or None for 0.

    Returns:
        float32 scalar.
    """
    logits = ops.matmul(vectors, ops.transpose(ops.cast(table, vectors.dtype)))
    logits = ops.cast(logits, "float32")  # (rows, vocab_size)
    logits = logits if bias is None else logits + ops.cast(bias, "float32")
    return ops.sum(ops.sparse_categorical_crossentropy(labels, logits, from_logits=True))


def summed_cross_entropy(
    vectors: Tensor, labels: Tensor, table: Tensor, bias: Tensor | None = None, parts: int = 8
) -> Tensor:
    """What `plain_summed_cross_entropy` computes, and its gradients, some rows at a time.

    With the probabilities p of a row h, the gradients are p W - W[label] for h, and the sum of
    p hᵀ for W, less h in the label's row. They are computed beside the loss, so that the largest
    array, the logits of `rows / parts` rows, has a chance to fit a cache.

    Args:
        vectors: float tensor `(rows, d_model)`, h.
        labels: int32 tensor `(rows,)`; each counts, so leave padding out.
        table: float tensor `(vocab_size, d_model)`, W.
        bias: float tensor `(vocab_size,)`, or None for 0.
        parts: in how many parts the rows are taken.

    Returns:
        float32 scalar.
    """

    @ops.custom_gradient
    def summed(vectors, table, bias=None):
        size = (ops.shape(vectors)[0] + parts - 1) // parts
        weights = ops.cast(table, vectors.dtype)
        loss, for_vectors, for_table, for_bias = 0.0, [], 0.0, 0.0
        for k in range(parts):
            x = vectors[k * size : (k + 1) * size]  # may be empty, and then has no largest but -inf
            logits = ops.cast(ops.matmul(x, ops.transpose(weights)), "float32")
            logits = logits if bias is None else logits + ops.cast(bias, "float32")
            p = ops.softmax(logits)
            # log Σ exp z is z - log p of any place; where p is largest, its logarithm is exact.
            largest = ops.max(logits, axis=-1, initial=float("-inf"))
            loss += ops.sum(largest - ops.log(ops.max(p, axis=-1, initial=0.0)))
            if bias is not None:
                for_bias += ops.sum(p, axis=0)
            p = ops.cast(p, vectors.dtype)
            for_vectors.append(ops.matmul(p, weights))
            for_table += ops.cast(ops.matmul(ops.transpose(p), x), "float32")
        chosen, size = ops.take(weights, labels, axis=0), table.shape[0]
        loss -= ops.sum(ops.cast(ops.sum(vectors * chosen, axis=-1), "float32"))
        slopes = [ops.concatenate(for_vectors) - chosen]
        slopes.append(for_table - ops.segment_sum(ops.cast(vectors, "float32"), labels, size))
        if bias is not None:
            loss -= ops.sum(ops.take(ops.cast(bias, "float32"), labels))
            counts = ops.segment_sum(ops.ones_like(labels, "float32"), labels, size)
            slopes.append(for_bias - counts)
        kinds = [vectors.dtype, table.dtype] + ([] if bias is None else [bias.dtype])

        def gradients(*arguments, upstream=None):
            upstream = arguments[-1] if upstream is None else upstream
            scaled = (upstream * ops.cast(each, "float32") for each in slopes)
            return tuple(ops.cast(each, kind) for each, kind in zip(scaled, kinds, strict=True))

        return loss, gradients

    weights = (table,) if bias is None else (table, bias)  # copied: TensorFlow takes no variables
    return summed(vectors, *map(ops.copy, weights))
