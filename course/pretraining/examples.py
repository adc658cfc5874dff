"""Task 2 and the batches of both: pairs of texts from a corpus, another draw each epoch."""

from typing import NamedTuple

import numpy as np

from course.pretraining.masking import Masking
from course.tokens.bucketing import Epochs

TRIES = 8  # starts that are looked at for a second text from elsewhere
POOL = 32  # batches whose rows are sorted by length together
PAIRS, MASKS = range(2)  # what a generator is for


class Pairs(NamedTuple):
    """Pairs of texts, an entry of every array for each: places in a corpus' tokens, and lengths.

    `next_label` is 0 where the second text followed the first, 1 where it is from elsewhere.
    """

    first: np.ndarray
    first_length: np.ndarray
    second: np.ndarray
    second_length: np.ndarray
    next_label: np.ndarray

    def __getitem__(self, rows):
        return Pairs(*(part[rows] for part in tuple(self)))


class PretrainingBatches(Epochs):
    """Batches for `BertForPretraining`, as NumPy arrays: the same ones on every backend.

    A document is cut into runs of whole sentences, as long as a row allows. A run is divided into
    a first and a second text between two of its sentences. In half of the rows the second text is
    exchanged for one from another document, chosen to be about as long as the true one, since else
    the length of a row would tell the two apart. A run of one sentence has no true second text.
    Where runs are divided, which texts are exchanged and by which, which tokens are hidden and the
    order of the rows are drawn anew each epoch.

    Rows of similar length share a batch, which is as wide as its longest, up to `multiple`; the
    first batch of an epoch is as wide as any can be and the second less, since from these two Keras
    on TensorFlow learns that widths vary. Rows that fill no batch are left out of an epoch, others
    each time. The corpus is looked at one block at a time: it may be larger than memory.

    Args:
        corpus: a `Corpus` of two documents or more.
        tokenizer: its `Tokenizer`.
        masking: a `Masking`; BERT's of 15 % if None.
        batch_size: rows of a batch; fewer if the corpus has fewer.
        max_length: the longest row, special tokens included.
        shuffle: False gives one epoch, with one draw, for ever: for validation.
        seed: an integer ≥ 0.
        multiple: widths are multiples of it; `max_length` makes all batches equally wide.
        block: about so many tokens of the corpus are dealt with at a time.

    A batch is `((token_ids, segment_ids, positions), (labels, next_labels))`, int32: see
    `BertForPretraining`. `next_labels` is 0 where the second text followed, 1 where it did not.

    Raises:
        ValueError: if the corpus has fewer than two documents, or a row is too short for a pair.

    Reference: Devlin et al. 2019, section 3.1, task 2, and appendix A.2.
    """

    def __init__(
        self,
        corpus,
        tokenizer,
        masking=None,
        *,
        batch_size=32,
        max_length=128,
        shuffle=True,
        seed=0,
        multiple=32,
        block=2**22,
    ):
        super().__init__()
        count = len(corpus.documents) - 1
        if count < 2:
            raise ValueError(
                f"the corpus has {count} documents: a second text from elsewhere needs another "
                "one. In a text file an empty line ends a document."
            )
        self.room = max_length - 3  # [CLS] first [SEP] second [SEP]
        if self.room < 2:
            raise ValueError(f"max_length = {max_length} has no room for two texts: raise it.")
        self.corpus, self.masking = corpus, masking or Masking(tokenizer)
        self.start_id, self.end_id = tokenizer.start_id, tokenizer.end_id
        self.pad_id = tokenizer.pad_id
        self.max_length, self.shuffle, self.seed = max_length, shuffle, seed
        places = self.masking.places
        narrower = places(max_length - multiple) < places(max_length) if multiple else False
        self.multiple = multiple if narrower else max_length
        self._edges = _edges(corpus.sentences[corpus.documents], block)
        runs = np.array([len(_runs(*self._block(i), self.room)[0]) for i in self._blocks])
        self.batch_size = min(batch_size, int(runs.min()))
        self._counts = runs // self.batch_size  # batches of each block
        self._known = None

    def __len__(self):
        return int(self._counts.sum())

    def __getitem__(self, index):
        index = self.checked(index)
        pairs = self._pairs(index)
        rng = np.random.default_rng([self.seed, self._draw, MASKS, index])
        token_ids, segment_ids = self.packed(pairs, self._width(pairs, index))
        masked, positions, labels = self.masking(token_ids, rng)
        return (masked, segment_ids, positions), (labels, pairs.next_label)

    def packed(self, pairs, width):
        """`[CLS]` first `[SEP]` second `[SEP]`, padded: ids and segments, `(rows, width)` each."""
        place = np.arange(width)
        first, second = pairs.first_length[:, None], pairs.second_length[:, None]  # (rows, 1)
        total = first + second + 3
        in_first = (place > 0) & (place <= first)  # (rows, width)
        in_second = (place > first + 1) & (place < total - 1)
        source = np.where(in_first, pairs.first[:, None] - 1, pairs.second[:, None] - first - 2)
        text = in_first | in_second
        ids = np.where(place < total, self.end_id, self.pad_id).astype("int32")
        ids[:, 0] = self.start_id
        ids[text] = self.corpus.tokens[(source + place)[text]]
        return ids, ((place > first + 1) & (place < total)).astype("int32")

    @property
    def _blocks(self):
        return range(len(self._edges) - 1)

    @property
    def _draw(self):
        return self.epoch if self.shuffle else 0

    def _block(self, number):
        """The documents of a block: where its sentences begin, and which begin a document.

        The first array counts from the corpus' first token, the second from the block's first
        sentence; both end with their end.
        """
        documents = self.corpus.documents[self._edges[number] : self._edges[number + 1] + 1]
        sentences = self.corpus.sentences[documents[0] : documents[-1] + 1]
        return np.array(sentences), np.array(documents - documents[0])

    def _pairs(self, index):
        """The pairs of a batch; of one block at a time, all are known."""
        counts, order = self._counts, np.arange(len(self._counts))
        if self.shuffle:
            order = np.random.default_rng([self.seed, self._draw, PAIRS]).permutation(order)
        ends = np.cumsum(counts[order])
        at = int(np.searchsorted(ends, index, side="right"))
        key = (self._draw, int(order[at]))
        known = self._known  # one look: another thread may be replacing it
        if known is None or known[0] != key:
            known = self._known = (key, *self._drawn(*key, opens=at == 0))
        _, pairs, rows = known
        return pairs[rows[index - (ends[at] - counts[order[at]])]]

    def _drawn(self, epoch, number, opens):
        """This epoch's pairs of a block, and the rows of its batches `(batches, batch_size)`."""
        rng = np.random.default_rng([self.seed, epoch, PAIRS, number])
        pairs = draw_pairs(*self._block(number), self.room, rng)
        lengths = pairs.first_length + pairs.second_length
        rows = rng.permutation(len(lengths)) if self.shuffle else np.arange(len(lengths))
        rows = rows[: self._counts[number] * self.batch_size]
        if self.multiple < self.max_length:
            pool = np.arange(len(rows)) // (POOL * self.batch_size)
            rows = rows[np.lexsort((lengths[rows], pool))]
        rows = rows.reshape(-1, self.batch_size)
        if self.shuffle:
            rows = rng.permutation(rows)
        if opens and len(rows) > 1:  # the widest first, then the narrowest
            widest = lengths[rows].max(axis=1)
            rows[[0, np.argmax(widest)]] = rows[[np.argmax(widest), 0]]
            least = 1 + np.argmin(lengths[rows[1:]].max(axis=1))
            rows[[1, least]] = rows[[least, 1]]
        return pairs, rows

    def _width(self, pairs, index):
        """How wide a batch is. Cuts rows of an epoch's second batch if there is need."""
        longest = int((pairs.first_length + pairs.second_length).max()) + 3
        width = min(-(-longest // self.multiple) * self.multiple, self.max_length)
        if index == 0 or self.multiple == self.max_length:
            return self.max_length
        if index == 1 and width == self.max_length:
            width = (self.max_length - 1) // self.multiple * self.multiple
            for part in (pairs.second_length, pairs.first_length):
                over = pairs.first_length + pairs.second_length + 3 - width
                part -= np.clip(over, 0, part - 1)
        return width


def draw_pairs(sentences, documents, room, rng):
    """Pairs of a first and a second text, one for each run of sentences.

    Args:
        sentences: integer array `(sentences + 1,)`: where each begins, and the end.
        documents: integer array `(documents + 1,)`: the number of each one's first sentence, and
            the end; two documents at least.
        room: the most tokens of a pair.
        rng: a NumPy generator.

    Returns:
        `Pairs`, in the order of the text.
    """
    first, stop = _runs(sentences, documents, room)
    count = stop - first  # sentences of each run
    split = first + 1 + (rng.random(len(first)) * (count - 1)).astype(int)
    alone = count == 1
    first_length = sentences[split] - sentences[first]
    first_length = np.minimum(first_length, np.where(alone, max(room // 2, 1), room - 1))
    second, second_length = (
        sentences[np.minimum(split, stop - 1)],
        sentences[stop] - sentences[split],
    )
    wanted = np.where(alone, first_length, second_length)
    exchanged = (rng.random(len(first)) < 0.5) | alone
    which = np.flatnonzero(exchanged)
    left = room - first_length[which]
    found, length = _elsewhere(sentences, documents, first[which], wanted[which], left, rng)
    second[which] = sentences[found]
    second_length[which] = np.minimum(length, left)
    label = exchanged.astype("int32")
    return Pairs(sentences[first], first_length, second, second_length, label)


def _runs(sentences, documents, room):
    """Cuts documents into runs of whole sentences of at most `room` tokens together.

    Returns:
        The first sentence of each run, and the one behind its last. A sentence that is longer than
        `room` is a run.
    """
    at, ends = documents[:-1], documents[1:]
    found = []
    while len(at):  # one more run of every document that is not yet through
        stop = np.searchsorted(sentences, sentences[at] + room, side="right") - 1
        stop = np.clip(stop, at + 1, ends)
        found.append((at, stop))
        more = stop < ends
        at, ends = stop[more], ends[more]
    first, stop = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.argsort(first)
    first, stop = first[order], stop[order]
    # The last sentence of a document, left alone, takes the one before from a run of three or more.
    alone = np.flatnonzero((stop - first == 1) & ~np.isin(first, documents))
    fits = sentences[stop[alone]] - sentences[first[alone] - 1] <= room
    alone = alone[fits & (stop[alone - 1] - first[alone - 1] > 2)]
    first[alone] -= 1
    stop[alone - 1] -= 1
    return first, stop


def _elsewhere(sentences, documents, first, wanted, most, rng):
    """Second texts from other documents: whole sentences, as near to `wanted` tokens as can be.

    Args:
        sentences, documents, rng: see `draw_pairs`.
        first: the first sentence of each first text, `(pairs,)`.
        wanted: how long its second text should be, `(pairs,)`.
        most: how long it may be, `(pairs,)`; more only if each start that was drawn gives more.

    Returns:
        The first sentence of each, and its length in tokens.
    """
    home = np.searchsorted(documents, first, side="right") - 1
    own = documents[home + 1] - documents[home]  # sentences of the own document
    draw = rng.random((TRIES, len(first)))
    start = (draw * (documents[-1] - own)).astype(int)  # (tries, pairs), the own document left out
    start += np.where(start >= documents[home], own, 0)
    end = documents[np.searchsorted(documents, start, side="right")]  # of their documents
    above = np.searchsorted(sentences, sentences[start] + wanted, side="left")
    above = np.clip(above, start + 1, end)
    below = np.maximum(above - 1, start + 1)
    lengths = [sentences[stop] - sentences[start] for stop in (above, below)]
    miss = [np.abs(length - wanted) + (length > most) * sentences[-1] for length in lengths]
    stop = np.where(miss[0] < miss[1], above, below)
    best = np.argmin(np.minimum(*miss), axis=0), np.arange(len(first))
    return start[best], (sentences[stop] - sentences[start])[best]


def _edges(ends, block):
    """Cuts documents into blocks of about so many tokens, of two documents each at least.

    Args:
        ends: `(documents + 1,)`, the place of each document's first token, and the end.
        block: tokens.
    """
    count = len(ends) - 1
    blocks = max(min(-(-int(ends[-1]) // block), count // 2), 1)
    edges = [0, *np.searchsorted(ends, np.arange(1, blocks) * (ends[-1] / blocks)).tolist(), count]
    for i in range(1, blocks):
        edges[i] = min(max(edges[i], edges[i - 1] + 2), count - 2 * (blocks - i))
    return edges
