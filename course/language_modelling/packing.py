"""Documents packed into rows of equal length, so that no place of a batch is padding."""

import numpy as np

from course.tokens.bucketing import Epochs


def pack(documents):
    """Documents one after another.

    Args:
        documents: list of lists of ids, each with its start and end.

    Returns:
        Two int32 arrays `(tokens,)`: the ids, and of each the number of its document.

    Raises:
        ValueError: if there is no token.
    """
    lengths = np.fromiter(map(len, documents), "int64", len(documents))
    if not lengths.sum():
        raise ValueError("there is no token in the documents: pass at least one that is not empty.")
    ids = np.concatenate([np.asarray(document, "int32") for document in documents])
    return ids, np.repeat(np.arange(len(documents), dtype="int32"), lengths)


class PackedBatches(Epochs):
    """Batches of packed documents for `NextToken`, on every backend.

    Rows are cut out of the packed documents, one behind the other, from a place that each epoch
    draws anew, so that a token does not always stand in the same place of a row. Give it to `fit`
    with `shuffle=False`.

    Args:
        documents: list of lists of ids, each with its start and end.
        batch_size: rows of a batch.
        length: tokens of a row.
        separate: whether a token may attend to its own document only. Else all are one text.
        shuffle: whether rows are in a new order, and cut at new places, each epoch.
        seed: an integer ≥ 0.
        pad_id: the label of what is not to be learned: the first token of a document, where
            `separate`, and the rows that fill up the last batch.

    Each batch is `((ids, documents), labels)` where `separate`, else `(ids, labels)`, int32
    `(batch_size, length)` each; a label is the id that follows.

    Attributes:
        tokens: how many there are in all.

    Raises:
        ValueError: if there are fewer than two tokens.
    """

    def __init__(
        self, documents, batch_size, length, *, separate=True, shuffle=True, seed=0, pad_id=0
    ):
        super().__init__()
        self.ids, self.documents = pack(documents)
        if len(self.ids) < 2:
            raise ValueError("the documents have 1 token: there is no next one to learn.")
        self.batch_size, self.length = batch_size, min(length, len(self.ids) - 1)
        self.separate = separate and len(documents) > 1
        self.shuffle, self.seed, self.pad_id = shuffle, seed, pad_id
        self.tokens = len(self.ids)
        spare = self.length - 1 if shuffle else 0  # what a late beginning may cost
        self._rows = max((self.tokens - 1 - spare) // self.length, 1)
        if not shuffle:
            self._rows = -(-(self.tokens - 1) // self.length)
        self._known = None

    def __len__(self):
        return -(-self._rows // self.batch_size)

    def __getitem__(self, index):
        index = self.checked(index)
        starts = self._starts()[index * self.batch_size : (index + 1) * self.batch_size]
        place = starts[:, None] + np.arange(self.length + 1)  # (rows, length + 1)
        there = place < self.tokens
        place = np.minimum(place, self.tokens - 1)
        ids, documents = self.ids[place], self.documents[place]
        labels = np.where(there[:, 1:], ids[:, 1:], self.pad_id)
        if self.separate:  # nothing before it says how a document begins
            labels = np.where(documents[:, 1:] == documents[:, :-1], labels, self.pad_id)
        missing = self.batch_size - len(starts)

        def filled(array, value=0):
            return np.pad(array, ((0, missing), (0, 0)), constant_values=value).astype("int32")

        ids, labels = filled(ids[:, :-1]), filled(labels, self.pad_id)
        return ((ids, filled(documents[:, :-1])) if self.separate else ids), labels

    def _starts(self):
        """Where this epoch's rows begin, in this epoch's order."""
        known = self._known  # one look: another thread may be replacing it
        if known is None or known[0] != self.epoch:
            first, order = 0, np.arange(self._rows)
            if self.shuffle:
                rng = np.random.default_rng([self.seed, self.epoch])
                spare = self.tokens - 1 - self._rows * self.length
                first, order = int(rng.integers(spare + 1)), rng.permutation(self._rows)
            known = self._known = (self.epoch, first + order * self.length)
        return known[1]
