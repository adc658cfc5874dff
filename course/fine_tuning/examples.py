"""Texts as batches: so many examples each, similar lengths together."""

from dataclasses import dataclass

import numpy as np

from course import runtime
from course.tokens.bucketing import Epochs

WIDTHS = 16  # so many widths of batches at most: each is compiled on its own,
ACCELERATOR_WIDTHS = 4  # which takes longer there, while padding costs less


@dataclass(frozen=True)
class Examples:
    """Texts and what they are.

    Attributes:
        texts: list of strings.
        labels: list of integers, one for each.
        pairs: list of second strings, one for each, or None.
    """

    texts: list
    labels: list
    pairs: list | None = None

    def __len__(self):
        return len(self.texts)


def encode(tokenizer, texts, pairs=None, max_length=128):
    """Texts, or pairs of them, to ids: `[CLS] text [SEP]` or `[CLS] text [SEP] second [SEP]`.

    What is longer than `max_length` is cut at the end of the text, of two always the longer one, so
    that a long first text does not push out the second.

    Args:
        tokenizer: a `Tokenizer`.
        texts, pairs: lists of strings.
        max_length: the most ids, special tokens included.

    Returns:
        A list of lists of ids.
    """
    least = 3 if pairs is None else 5
    if max_length < least:
        raise ValueError(f"max_length = {max_length} leaves no room for text: at least {least}.")
    return tokenizer.encode_batch(texts, pairs, max_length=max_length)


class ExampleBatches(Epochs):
    """Batches for `BertClassifier`: ((token ids, segment ids), labels).

    Each batch has `batch_size` rows. In an epoch rows are shuffled, taken by so many batches at a
    time, sorted by length among themselves and cut into batches, which are shuffled again; so a
    batch has rows of similar length, and other ones in each epoch. The last rows of the epoch are
    filled up with rows of padding, whose label is -1.

    Args:
        rows: list of lists of ids, as `encode` returns them.
        labels: list of integers; None if there are none to learn, as for predictions.
        batch_size: rows of a batch.
        pad_id, end_id: ids of `[PAD]` and `[SEP]`; what stands behind the first `[SEP]` is segment
            1.
        shuffle: else the rows are sorted by length, all of them.
        seed: an integer ≥ 0.
        multiple: widths are multiples of it; None means 8, or more if that made over 16 widths, on
            an accelerator over 4.
        pool: batches that are sorted among themselves.

    Attributes:
        epoch: see `course.tokens.bucketing.Epochs`.
    """

    def __init__(
        self,
        rows,
        labels=None,
        batch_size=16,
        *,
        pad_id,
        end_id,
        shuffle=True,
        seed=0,
        multiple=None,
        pool=64,
    ):
        super().__init__()
        labels = [-1] * len(rows) if labels is None else labels
        if not len(rows) or len(rows) != len(labels):
            raise ValueError(
                f"{len(rows)} rows and {len(labels)} labels: expected as many of both, at least 1."
            )
        if batch_size < 1:
            raise ValueError(f"batch_size = {batch_size}: at least 1.")
        self.ids, self.labels = rows, np.asarray(labels, "int32")
        self.lengths = np.fromiter(map(len, rows), "int64", len(rows))
        self.batch_size, self.pad_id, self.end_id = batch_size, pad_id, end_id
        self.shuffle, self.seed, self.pool = shuffle, seed, pool
        self.multiple = multiple or _multiple(int(self.lengths.max()))
        self._known = None

    def __len__(self):
        return -(-len(self.ids) // self.batch_size)

    def rows(self, index):
        """Which examples are in a batch of this epoch; the last may have fewer than batch_size."""
        known = self._known  # one look: another thread may be replacing it
        if known is None or known[0] != self.epoch:
            known = self._known = self.epoch, self._draw(self.epoch)
        return known[1][index]

    def __getitem__(self, index):
        rows = self.rows(self.checked(index))
        ids = np.full((self.batch_size, self._width(rows)), self.pad_id, "int32")
        labels = np.full(self.batch_size, -1, "int32")
        for place, row in enumerate(rows):
            ids[place, : self.lengths[row]] = self.ids[row]
        labels[: len(rows)] = self.labels[rows]
        return (ids, segments(ids, self.pad_id, self.end_id)), labels

    @property
    def padding(self):
        """Share of an epoch's ids that only fill up, between 0 and 1."""
        size = sum(self.batch_size * self._width(self.rows(i)) for i in range(len(self)))
        return 1 - int(self.lengths.sum()) / size

    def _width(self, rows):
        return -(-int(self.lengths[rows].max()) // self.multiple) * self.multiple

    def _draw(self, epoch):
        """This epoch's batches: a list of arrays of rows."""
        count, size = len(self.ids), self.batch_size
        if not self.shuffle:
            order = np.argsort(self.lengths, kind="stable")
            return self._two_unlike_first(np.split(order, range(size, count, size)))
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(count)
        batches = []
        for start in range(0, count, size * self.pool):
            some = order[start : start + size * self.pool]
            some = some[np.argsort(self.lengths[some], kind="stable")]
            batches += np.split(some, range(size, len(some), size))
        return self._two_unlike_first([batches[i] for i in rng.permutation(len(batches))])

    def _two_unlike_first(self, batches):
        """Puts second a batch of another width than the first.

        From these two Keras on TensorFlow concludes that the width varies.
        """
        first = self._width(batches[0])
        other = next((i for i, rows in enumerate(batches) if self._width(rows) != first), 1)
        return [*batches[:1], *batches[other : other + 1], *batches[1:other], *batches[other + 1 :]]


def _multiple(longest):
    """A multiple of 8 of which the widths are multiples, so that there are few of them."""
    widths = WIDTHS if runtime.accelerator() == "cpu" else ACCELERATOR_WIDTHS
    return -(-longest // (8 * widths)) * 8


def segments(ids, pad_id, end_id):
    """Segment ids of a batch: 0 up to the first `[SEP]`, then 1, and 0 where there is padding.

    Args:
        ids: integer array `(rows, length)`.
        pad_id, end_id: ids of `[PAD]` and `[SEP]`.

    Returns:
        int32 array `(rows, length)`.
    """
    ends = ids == end_id
    before = np.cumsum(ends, axis=1) - ends  # how many [SEP] stand before each place
    return ((before > 0) & (ids != pad_id)).astype("int32")
