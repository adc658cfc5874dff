"""Objects that a plan hands to a student's code, built from data: small models, tables, generators.

`FIXTURES` is the whole list. Like the runner, it knows no lesson, and imports Keras only where an
object needs it.
"""

import numpy as np


def _table_step(table):
    """A step function for decoding: ids `(batch, length)` → the table's rows of the last ids.

    A table of three axes looks at all ids: its row is that of the sum of those before the last.
    """
    from keras import ops

    rows = ops.reshape(ops.convert_to_tensor(table), (-1, table.shape[-1]))

    def step(ids):
        ids = ops.cast(ops.convert_to_tensor(ids), "int32")
        row = ids[..., -1]
        if table.ndim == 3:
            row = ops.sum(ids[..., :-1], axis=-1) % table.shape[0] * table.shape[1] + row
        return ops.take(rows, row, axis=0)

    return step


def _table_translator(source, target, dropout):
    """A translation model of two tables: ids (source, target so far) → logits of what follows each.

    The mean of the source's rows plus the row of the target id; in training, times `dropout`.
    """
    from keras import ops

    source, target, dropout = (ops.convert_to_tensor(table) for table in (source, target, dropout))

    def model(inputs, training=False):
        source_ids, target_ids = inputs
        said = ops.mean(ops.take(source, source_ids, axis=0), axis=1, keepdims=True)
        logits = said + ops.take(target, target_ids, axis=0)  # (batch, length, vocab_size)
        return logits * dropout if training else logits

    return model


def _table_encoder(words, segments):
    """An encoder of two tables: (ids, segment ids, padding mask) → states (batch, length, d_model).

    A place's own vector is its id's row plus its segment's; its state is that plus the mean of the
    vectors of all places that the mask allows; without a mask, of all.
    """
    from keras import ops

    words, segments = ops.convert_to_tensor(words), ops.convert_to_tensor(segments)

    def encoder(token_ids, segment_ids, padding_mask=None):
        own = ops.take(words, token_ids, axis=0) + ops.take(segments, segment_ids, axis=0)
        mask = ops.ones_like(token_ids) if padding_mask is None else padding_mask
        mask = ops.cast(mask, own.dtype)[..., None]  # (batch, length, 1)
        count = ops.maximum(ops.sum(mask, axis=1, keepdims=True), 1.0)
        return own + ops.sum(own * mask, axis=1, keepdims=True) / count

    return encoder


def _table_dropout(kept):
    """A dropout that anyone can foresee: in training it multiplies by a table."""
    from keras import ops

    kept = ops.convert_to_tensor(kept)

    def dropout(x, training=False):
        if x.shape[-1] != kept.shape[0]:
            raise ValueError(
                f"dropout was called on {tuple(x.shape)}: it acts on vectors as wide as the model."
            )
        return x * kept if training else x

    return dropout


def _linear_model(kernel):
    """A model with one kernel and no bias, set to the given numbers."""
    import keras

    layer = keras.layers.Dense(kernel.shape[1], use_bias=False)
    model = keras.Sequential([keras.Input((kernel.shape[0],)), layer])
    layer.kernel.assign(kernel)
    return model


def _optimizer(name, **options):
    import keras

    return keras.optimizers.get({"class_name": name, "config": options})


def _random(seed):
    return np.random.default_rng(seed)


FIXTURES = {
    "table_step": _table_step,
    "table_translator": _table_translator,
    "table_encoder": _table_encoder,
    "table_dropout": _table_dropout,
    "linear_model": _linear_model,
    "optimizer": _optimizer,
    "random": _random,
}
