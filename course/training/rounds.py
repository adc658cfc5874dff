"""Batches dealt out in rounds, so that a run may stop and go on at any step."""

import keras
import numpy as np


class Rounds(keras.utils.PyDataset):
    """Batches dealt out in rounds of `steps`, over the ends of epochs.

    Args:
        batches: a data set whose epoch e depends on `batches.epoch = e` only, as
            `course.tokens.TokenBatches`.
        steps: batches a round.

    Attributes:
        round: the round that is served, from 0; None before the first, when Keras looks at two
            batches to learn their shapes.
        begin: the step at which this round begins, if rounds before it were shorter.
        tokens: ids so far of the batches' first input, padding left out.
    """

    def __init__(self, batches, steps):
        super().__init__()
        self.batches, self.steps, self.round, self.begin = batches, steps, None, None
        self.tokens = 0

    def __len__(self):
        return self.steps

    def __getitem__(self, index):
        if self.round is None:
            return self.batches[index % len(self.batches)]
        begin = self.round * self.steps if self.begin is None else self.begin
        epoch, place = divmod(begin + index, len(self.batches))
        if self.batches.epoch != epoch:
            self.batches.epoch = epoch
        batch = self.batches[place]
        self.tokens += int(np.count_nonzero(keras.tree.flatten(batch)[0]))
        return batch

    def source(self):
        """What `fit` reads: this, or on TensorFlow for rounds of one batch a set made of it.

        Of a set with one batch Keras would take that batch's width for that of all.
        """
        if self.steps > 1 or keras.backend.backend() != "tensorflow":
            return self
        import tensorflow as tf

        def spec(one, other):
            one, other = np.asarray(one), np.asarray(other)
            sizes = zip(one.shape, other.shape, strict=True)
            return tf.TensorSpec([a if a == b else None for a, b in sizes], one.dtype)

        two = self.batches[0], self.batches[1 % len(self.batches)]
        one = tf.data.Dataset.from_generator(
            lambda: iter([self[0]]), output_signature=keras.tree.map_structure(spec, *two)
        )
        return one.apply(tf.data.experimental.assert_cardinality(1))
