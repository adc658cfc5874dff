"""Batches of rows of similar length, each with about the same number of tokens.

A batch is as wide as its longest row, so rows of one length together waste nothing. Rows are sorted
into buckets by their padded lengths; a bucket always gives batches of one shape, so that a compiler
sees few of them.
"""

import itertools

import keras
import numpy as np

CELLS = 400  # so many kinds of rows are merged in well under a second
BATCH_COST = 1 / 8  # what a batch costs before its first row, as a share of a full one


def padding_share(lengths, batch_size):
    """How much of the batches is padding, with rows taken in the order given.

    Args:
        lengths: integers `(rows,)`, the length of each row.
        batch_size: rows in a batch; a shorter last batch is left out, unless it is the only one.

    Returns:
        The share of all ids that is padding, a float from 0 to 1.

    Raises:
        ValueError: if there are no rows, or `batch_size` is below 1.
    """
    lengths = np.asarray(lengths)
    if not len(lengths) or batch_size < 1:
        raise ValueError(
            f"{len(lengths)} lengths and batch_size = {batch_size}: both have to be 1 or more."
        )
    size = min(batch_size, len(lengths))
    batches = lengths[: len(lengths) // size * size].reshape(-1, size)  # (batches, size)
    return float(1 - batches.sum() / (size * batches.max(axis=1)).sum())


class Epochs(keras.utils.PyDataset):
    """A data set that shuffles by itself: epoch e depends on its seed and on e only.

    Give it to `fit` with `shuffle=False` and without `steps_per_epoch`. Iterating over it (`for
    batch in batches`) is one epoch and moves on to the next, as an epoch of `fit` does.

    Attributes:
        epoch: the epoch that is served. Set it to resume. It moves on when an epoch has ended, not
            when one was broken off.
    """

    def __init__(self):
        super().__init__()
        self.epoch = 0

    @property
    def epoch(self):
        return self._epoch

    @epoch.setter
    def epoch(self, epoch):
        self._epoch, self._begun, self._finished = int(epoch), False, False

    def on_epoch_begin(self):
        self._begun = True

    def on_epoch_end(self):
        # Keras also calls it before the first epoch, on JAX with an epoch begun to see one batch.
        over = self._begun and self._finished
        self.epoch += 1 if over else 0

    def __iter__(self):
        self.on_epoch_begin()
        for index in range(len(self)):
            yield self[index]
        self.on_epoch_end()

    def checked(self, index):
        """The number of a batch that is asked for, from 0; notes when it is the epoch's last."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        index %= len(self)
        self._finished |= index == len(self) - 1
        return index


class TokenBatches(Epochs):
    """Batches for `fit`, `evaluate` and `predict`, on every backend.

    Give it to `fit` with `shuffle=False` and without `steps_per_epoch`: it shuffles by itself, and
    what epoch e looks like depends on `seed` and e only. Iterating over it (`for batch in batches`)
    is one epoch and moves on to the next, as an epoch of `fit` does.

    A bucket's rows are dealt out to its batches evenly, so a batch holds at most one row that is
    only padding. Buckets with few rows are merged into longer ones where that costs less than small
    batches do.

    Args:
        columns: a list of lists of ids, or a tuple of such lists with equal numbers of rows (source
            and target). A list of plain numbers (labels) rides along and comes out as `(rows,)`.
        max_tokens: what a batch may hold: rows × the longest of its padded lengths. With two
            columns each array has at most so many ids, padding included.
        shuffle: whether rows and batches are in a new order each epoch. Else rows stay in their
            order within a bucket, and batches go from the shortest bucket to the longest, but for
            the second, which is of another length than the first.
        seed: an integer ≥ 0.
        pad_id: the id that fills up.
        make: `make(*arrays)` builds what a batch is; a tuple of the arrays if None, or the array
            if there is one column.
        multiple: padded lengths are multiples of it.
        max_length: the longest row allowed, in ids; `max_tokens` rounded down to a multiple if
            None.
        too_long: what becomes of longer rows: "error"; "cut" keeps the first `max_length` ids;
            "drop" leaves the whole row out. The number is in `num_too_long`.
        max_shapes: at most so many buckets.

    Attributes:
        epoch: the epoch that is served. Set it to resume. It moves on when an epoch has ended, not
            when one was broken off.
        shapes: the array (buckets, columns of ids) of padded lengths.
        rows_per_batch: rows of each bucket's batches.
        num_too_long: rows that were cut or dropped.

    Raises:
        ValueError: if columns differ in their numbers of rows, there are none, or a row is too
            long.
    """

    def __init__(
        self,
        columns,
        max_tokens=4096,
        *,
        shuffle=True,
        seed=0,
        pad_id=0,
        make=None,
        multiple=8,
        max_length=None,
        too_long="error",
        max_shapes=32,
    ):
        super().__init__()
        if too_long not in ("error", "cut", "drop"):
            raise ValueError(f'too_long = {too_long!r}: choose "error", "cut" or "drop".')
        longest = max_tokens // multiple * multiple
        if longest < 1:
            raise ValueError(
                f"max_tokens = {max_tokens} does not hold one row of {multiple}: raise it."
            )
        limit = longest if max_length is None else max_length
        if -(-limit // multiple) * multiple > max_tokens:
            raise ValueError(
                f"one row of max_length = {limit}, padded to a multiple of {multiple}, is more "
                f"than max_tokens = {max_tokens}: raise max_tokens."
            )
        self.max_tokens, self.shuffle, self.seed = max_tokens, shuffle, seed
        self.pad_id, self.make, self.multiple = pad_id, make, multiple
        self._known = None
        self.columns = [_Column(c) for c in (columns if isinstance(columns, tuple) else (columns,))]
        ids = [column for column in self.columns if column.lengths is not None]
        counts = [len(column) for column in self.columns]
        if len(set(counts)) != 1 or not ids or not counts[0]:
            raise ValueError(
                f"the columns have {', '.join(map(str, counts)) or 'no'} rows: expected equal "
                "numbers, at least one row, and at least one column of lists of ids."
            )

        lengths = np.stack([column.lengths for column in ids], axis=1)  # (rows, columns)
        over = (lengths > limit).any(axis=1)
        self.num_too_long = int(over.sum())
        if self.num_too_long and too_long == "error":
            row = int(np.argmax(over))
            raise ValueError(
                f"row {row} has {lengths[row].max()} ids and at most {limit} are allowed "
                f"({self.num_too_long} such rows): raise max_length and max_tokens, or pass "
                'too_long="cut" or "drop".'
            )
        self._kept = np.flatnonzero(~over) if too_long == "drop" else np.arange(counts[0])
        lengths = np.minimum(lengths[self._kept], limit)
        for column in ids:
            column.lengths = np.minimum(column.lengths, limit)
        if not len(lengths):
            raise ValueError(f"all {counts[0]} rows are longer than max_length = {limit}.")

        self.shapes, self._bucket = _buckets(lengths, multiple, max_tokens, max_shapes)
        rows = np.bincount(self._bucket)  # of each bucket
        batches = -(-rows // (max_tokens // self.shapes.max(axis=1)))  # of each bucket
        self.rows_per_batch = -(-rows // batches)
        self.num_tokens = int(lengths.sum())

        # Batches in the order of the buckets: which bucket, how many rows, which is the first.
        self._bucket_of = np.repeat(np.arange(len(rows)), batches)
        place = np.arange(len(self._bucket_of)) - np.repeat(np.cumsum(batches) - batches, batches)
        least, more = np.divmod(rows, batches)
        self._count = least[self._bucket_of] + (place < more[self._bucket_of])
        self._first = np.cumsum(self._count) - self._count

    def __len__(self):
        return len(self._bucket_of)

    @property
    def num_shapes(self):
        """Number of distinct shapes of batches."""
        return len(np.unique(np.c_[self.rows_per_batch, self.shapes], axis=0))

    @property
    def padding(self):
        """Share of an epoch's ids that only fill up, between 0 and 1."""
        size = self.rows_per_batch * self.shapes.sum(axis=1)  # ids of a batch of each bucket
        return 1 - self.num_tokens / int(size[self._bucket_of].sum())

    def rows(self, index):
        """Which rows of the columns are in a batch of this epoch.

        Args:
            index: number of the batch.

        Returns:
            Integer array `(rows_of_the_batch,)`; -1 for a row that is only padding.
        """
        order, batches = self._order()
        batch = batches[index]
        rows = np.full(self.rows_per_batch[self._bucket_of[batch]], -1)
        first, count = self._first[batch], self._count[batch]
        rows[:count] = self._kept[order[first : first + count]]
        return rows

    def __getitem__(self, index):
        index = self.checked(index)
        rows = self.rows(index)
        widths = iter(self.shapes[self._bucket_of[self._order()[1][index]]])
        arrays = tuple(
            column.numbers(rows)
            if column.lengths is None
            else column.padded(rows, next(widths), self.pad_id)
            for column in self.columns
        )
        if self.make is not None:
            return self.make(*arrays)
        return arrays if len(arrays) > 1 else arrays[0]

    def _order(self):
        """This epoch's order of rows, bucket by bucket, and of batches."""
        known = self._known  # one look: another thread may be replacing it
        if known is None or known[0] != self.epoch:
            known = self._known = (self.epoch, *self._draw(self.epoch))
        return known[1:]

    def _draw(self, epoch):
        if not self.shuffle:
            order = np.argsort(self._bucket, kind="stable")
            return order, self._two_unlike_first(np.arange(len(self)))
        rng = np.random.default_rng([self.seed, epoch])
        rows = rng.permutation(len(self._bucket))
        order = rows[np.argsort(self._bucket[rows], kind="stable")]
        return order, self._two_unlike_first(rng.permutation(len(self)))

    def _two_unlike_first(self, batches):
        """Swaps batches so that the first two differ in the length of every column that varies.

        From these two Keras on TensorFlow concludes which lengths vary.
        """
        shapes = self.shapes[self._bucket_of[batches]]
        varies = (shapes != shapes[0]).any(axis=0)
        first = 0
        unlike = (shapes != shapes[first])[:, varies].all(axis=1)
        if not unlike.any():  # rare: then from the pair of buckets that differs most
            differ = (self.shapes[:, None] != self.shapes[None]).sum(axis=-1)
            one, other = np.unravel_index(np.argmax(differ), differ.shape)
            first = np.argmax(self._bucket_of[batches] == one)
            unlike = self._bucket_of[batches] == other
        second = np.argmax(unlike)
        rest = np.delete(batches, [first, second])
        return np.concatenate([batches[[first, second]], rest]) if first != second else batches


class _Column:
    """Rows of ids in one flat array, or one number for each row."""

    def __init__(self, rows):
        if len(rows) and np.ndim(rows[0]) == 0:
            values = np.asarray(rows)
            self.values = values.astype("float32" if values.dtype.kind == "f" else "int32")
            self.lengths = None
            return
        self.lengths = np.fromiter(map(len, rows), "int64", len(rows))
        self.starts = np.cumsum(self.lengths) - self.lengths
        total = int(self.lengths.sum())
        if len(rows) and isinstance(rows[0], np.ndarray):
            self.values = np.concatenate(rows).astype("int32")
        else:
            self.values = np.fromiter(itertools.chain.from_iterable(rows), "int32", total)

    def __len__(self):
        return len(self.values if self.lengths is None else self.lengths)

    def numbers(self, rows):
        """The numbers of these rows, 0 where a row is -1: `(rows,)`."""
        return np.where(rows < 0, 0, self.values[rows]).astype(self.values.dtype)

    def padded(self, rows, width, pad_id):
        """These rows side by side, padded to `width`: `(rows, width)`, int32."""
        place = np.arange(width)
        lengths = np.where(rows < 0, 0, self.lengths[rows])
        real = place < lengths[:, None]  # (rows, width)
        batch = np.full(real.shape, pad_id, "int32")
        batch[real] = self.values[(self.starts[rows, None] + place)[real]]
        return batch


def _buckets(lengths, multiple, max_tokens, max_shapes):
    """Sorts rows into buckets.

    Args:
        lengths: integer array `(rows, columns)`.
        multiple, max_tokens, max_shapes: see `TokenBatches`.

    Returns:
        The padded lengths of each bucket `(buckets, columns)`, shortest first, and the bucket of
        each row `(rows,)`.
    """
    top = max(-(-int(lengths.max()) // multiple), 1) * multiple
    step = multiple
    while True:  # coarser steps for rows of very many lengths
        steps = np.maximum(-(-lengths // step), 1)  # (rows, columns)
        key = np.ravel_multi_index(steps.T, steps.max(axis=0) + 1)
        _, first, cell, counts = np.unique(
            key, return_index=True, return_inverse=True, return_counts=True
        )
        if len(counts) <= CELLS:
            break
        step *= 2
    shapes, bucket_of_cell = _merge(
        np.minimum(steps[first] * step, top), counts, max_tokens, max_shapes
    )
    order = np.lexsort((*shapes.T, shapes.sum(axis=1)))
    place = np.argsort(order)
    kind = "uint16" if len(order) < 2**16 else "int64"
    return shapes[order], place[bucket_of_cell].astype(kind)[cell]


def _merge(shapes, counts, max_tokens, max_shapes):
    """Merges the pair of buckets that saves most, until no pair does and there are few enough."""

    def cost(shapes, counts):
        batches = -(-counts // (max_tokens // shapes.max(axis=-1)))
        rows = -(-counts // batches)
        return batches * (rows * shapes.sum(axis=-1) + BATCH_COST * max_tokens * shapes.shape[-1])

    def gain(one):  # of merging bucket `one` with each other
        saved = costs + costs[one] - cost(np.maximum(shapes, shapes[one]), counts + counts[one])
        return np.where(alive & (np.arange(len(shapes)) != one), saved, -np.inf)

    shapes, counts = shapes.copy(), counts.copy()
    home, alive = np.arange(len(shapes)), np.ones(len(shapes), bool)
    costs = cost(shapes, counts)
    gains = np.stack([gain(one) for one in range(len(shapes))])
    while alive.sum() > 1:
        one, other = np.unravel_index(np.argmax(gains), gains.shape)
        if gains[one, other] <= 0 and alive.sum() <= max_shapes:
            break
        shapes[one] = np.maximum(shapes[one], shapes[other])
        counts[one] += counts[other]
        costs[one] = cost(shapes[one], counts[one])
        alive[other] = False
        home[home == other] = one
        gains[other], gains[:, other] = -np.inf, -np.inf
        gains[one] = gains[:, one] = gain(one)
    names = np.cumsum(alive) - 1
    return shapes[alive], names[home]
