"""Long contexts as rows that the encoder can read: overlapping windows, and batches of them."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from course import runtime
from course.question_answering.model import IGNORED
from course.question_answering.spans import KINDS, alignment
from course.tokens.bucketing import Epochs

WIDTHS, ACCELERATOR_WIDTHS = 8, 2  # widths of batches at most: each is compiled on its own


@dataclass(frozen=True)
class Windows:
    """Rows `[CLS] question [SEP] a part of the context [SEP]`, and what each holds.

    Attributes:
        rows: list of lists of ids.
        question: int array `(windows,)`: which of the questions each asks.
        begins: int array `(windows,)`: the place in the row of its first context token.
        first: int array `(windows,)`: which token of the context that is.
        count: int array `(windows,)`: how many tokens of the context follow each other there.
        best: list of bool arrays `(count,)`: True where this window shows the token with the most
            context around it, so that of all windows one answers for it.
        labels: int array `(windows, 2)`: places in the row of the answer's first and last token; 0
            and 0, `[CLS]`, where the question has no answer there and no-answer is learned;
            -1 and -1 where the window teaches nothing.
        offsets: list of int arrays `(tokens, 2)`, one a question, of its whole context.
        aligned: {kind: number of questions}, see `spans.Alignment`; unanswerable ones are not
            counted.
    """

    rows: list
    question: np.ndarray
    begins: np.ndarray
    first: np.ndarray
    count: np.ndarray
    best: list
    labels: np.ndarray
    offsets: list
    aligned: dict

    def __len__(self):
        return len(self.rows)

    @property
    def lost(self):
        """Questions with an answer that no window shows whole, and for which nothing is learned."""
        learned = set(self.question[self.labels[:, 0] > 0].tolist())
        return self.aligned["total"] - len(learned)


def window_starts(tokens, size, doc_stride):
    """Where windows over a context of so many tokens start: every `doc_stride`, until its end.

    Returns:
        A list of token numbers; the last window reaches the last token, and no further one starts.
    """
    if not 0 < doc_stride <= size:
        raise ValueError(
            f"doc_stride = {doc_stride} with windows of {size} context tokens: expected 1 to "
            f"{size}, or tokens between two windows would be in none."
        )
    last = max(-(-(tokens - size) // doc_stride), 0)
    return [doc_stride * i for i in range(last + 1)]


def max_context(starts, tokens, size):
    """Which window shows each token best.

    A token's context in a window is the smaller of the numbers of tokens to its left and to its
    right there; ties go to the longer window, then to the earlier.

    Args:
        starts: of the windows, as `window_starts` returns them.
        tokens: of the whole context.
        size: the most tokens of a window.

    Returns:
        Int array `(tokens,)`: the number of the window.

    Reference: Devlin et al.'s code for SQuAD, "max context".
    """
    starts = np.asarray(starts)[:, None]  # (windows, 1)
    ends = np.minimum(starts + size, tokens)
    token = np.arange(tokens)
    around = np.minimum(token - starts, ends - 1 - token)  # (windows, tokens)
    inside = around >= 0
    return np.where(inside, around + 0.01 * (ends - starts), -1.0).argmax(axis=0)


def make_windows(tokenizer, questions, *, max_length=384, doc_stride=128, max_query_length=64,
                 no_answer=False):  # fmt: skip
    """Tokenizes questions with their contexts, and cuts what is too long into windows.

    Args:
        tokenizer: a `Tokenizer`.
        questions: list of `Question`s.
        max_length: ids of a row, special tokens included.
        doc_stride: tokens from the start of a window to the start of the next, as in Devlin et
            al.'s code. (In the `tokenizers` library "stride" is the overlap.)
        max_query_length: a question is cut after so many tokens.
        no_answer: whether a window that shows nothing of the answer teaches "no answer". One that
            shows a part of it teaches nothing in any case.

    Returns:
        `Windows`.

    Raises:
        ValueError: if no token of the context fits beside a question.
    """
    contexts = list(dict.fromkeys(q.context for q in questions))
    encoded = dict(zip(contexts, tokenizer.tokenize_batch(contexts, special=False), strict=True))
    asked = tokenizer.encode_batch([q.question for q in questions], special=False)
    arrays = {text: np.array(e.offsets, "int64").reshape(-1, 2) for text, e in encoded.items()}
    kinds, made = Counter(), []
    for number, (question, query) in enumerate(zip(questions, asked, strict=True)):
        query, context = query[:max_query_length], encoded[question.context]
        size = max_length - len(query) - 3
        if size < 1:
            raise ValueError(
                f"max_length = {max_length} leaves no room for context beside a question of "
                f"{len(query)} tokens: set max_length to more, or max_query_length to less."
            )
        span = None
        if question.answers:
            first = next((a for a in question.answers if a.start >= 0), question.answers[0])
            found = alignment(arrays[question.context], question.context, first.start, first.text)
            kinds[found.kind] += 1
            span = found.span
        tokens = len(context.ids)
        starts = window_starts(tokens, size, min(doc_stride, size))
        best = max_context(starts, tokens, size) if tokens else np.zeros(0, int)
        head = [tokenizer.start_id, *query, tokenizer.end_id]
        for window, at in enumerate(starts):
            part = context.ids[at : at + size]
            label = _label(span, at, len(part), len(head), bool(question.answers), no_answer)
            made.append(
                (
                    [*head, *part, tokenizer.end_id],
                    (number, len(head), at, len(part), *label),
                    best[at : at + len(part)] == window,
                )
            )
    numbers = np.array([row[1] for row in made], "int64").reshape(-1, 6)
    return Windows(
        rows=[row[0] for row in made],
        question=numbers[:, 0],
        begins=numbers[:, 1],
        first=numbers[:, 2],
        count=numbers[:, 3],
        best=[row[2] for row in made],
        labels=numbers[:, 4:].astype("int32"),
        offsets=[arrays[q.context] for q in questions],
        aligned={kind: kinds[kind] for kind in KINDS} | {"total": sum(kinds.values())},
    )


def _label(span, at, count, begins, answered, no_answer):
    """Places of the answer in a window's row, (0, 0) for no answer, or (-1, -1) to learn nothing.

    A window that cuts the answer in two would teach that half an answer is none.
    """
    nothing = (0, 0) if no_answer else (IGNORED, IGNORED)
    if not answered:
        return nothing
    if span is None:
        return IGNORED, IGNORED  # there is an answer, and it cannot be pointed at
    first, last = span[0] - at, span[1] - at
    if first >= 0 and last < count:
        return begins + first, begins + last
    return nothing if last < 0 or first >= count else (IGNORED, IGNORED)


class WindowBatches(Epochs):
    """Batches for `BertForQuestionAnswering`: ((token ids, segment ids, allowed), labels).

    Rows that teach nothing are left out of training. In an epoch rows are shuffled, pools of 64
    batches sorted by length and cut into batches, which are shuffled again. The last batch is
    filled up with rows of padding, whose labels are -1.

    Args:
        windows: `Windows`.
        batch_size: rows of a batch.
        pad_id: id of `[PAD]`.
        no_answer: whether `[CLS]` may be chosen: True for the model's `no_answer="cls"`.
        training: whether to leave out unlabelled rows and to shuffle. Else all rows come, sorted by
            length.
        seed: an integer ≥ 0.
    """

    def __init__(self, windows, batch_size=16, *, pad_id, no_answer, training=True, seed=0):
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size = {batch_size}: at least 1.")
        self.windows, self.batch_size, self.pad_id = windows, batch_size, pad_id
        self.no_answer, self.training, self.seed = no_answer, training, seed
        self.chosen = np.flatnonzero((windows.labels[:, 0] >= 0) | (not training))
        if not len(self.chosen):
            raise ValueError(
                f"none of the {len(windows)} windows has a label: no question has an answer that "
                "its context shows. Are the answers' starts counted in characters from 0?"
            )
        self.lengths = np.fromiter(map(len, windows.rows), "int64", len(windows))
        widths = WIDTHS if runtime.accelerator() == "cpu" else ACCELERATOR_WIDTHS
        self.multiple = -(-int(self.lengths.max()) // (8 * widths)) * 8
        self._known = None

    def __len__(self):
        return -(-len(self.chosen) // self.batch_size)

    def rows(self, index):
        """Which windows are in a batch of this epoch."""
        known = self._known  # one look: another thread may be replacing it
        if known is None or known[0] != self.epoch:
            known = self._known = self.epoch, self._draw(self.epoch)
        return known[1][index]

    def __getitem__(self, index):
        rows, windows = self.rows(self.checked(index)), self.windows
        width = self._width(rows)
        ids = np.full((self.batch_size, width), self.pad_id, "int32")
        segments, allowed = np.zeros_like(ids), np.zeros(ids.shape, bool)
        labels = np.full((self.batch_size, 2), IGNORED, "int32")
        for place, row in enumerate(rows):
            begins, count = windows.begins[row], windows.count[row]
            ids[place, : self.lengths[row]] = windows.rows[row]
            segments[place, begins : self.lengths[row]] = 1
            allowed[place, begins : begins + count] = True
        allowed[:, 0] = self.no_answer
        labels[: len(rows)] = windows.labels[rows]
        return (ids, segments, allowed), labels

    def best(self, index, width):
        """True where a window of this batch may begin an answer: bool `(batch_size, width)`."""
        found = np.zeros((self.batch_size, width), bool)
        for place, row in enumerate(self.rows(index)):
            begins = self.windows.begins[row]
            found[place, begins : begins + self.windows.count[row]] = self.windows.best[row]
        return found

    def _draw(self, epoch):
        """This epoch's batches: a list of arrays of windows."""
        size, order = self.batch_size, self.chosen
        if not self.training:
            order = order[np.argsort(self.lengths[order], kind="stable")]
            return self._two_unlike_first(np.split(order, range(size, len(order), size)))
        rng = np.random.default_rng([self.seed, epoch])
        order, batches = rng.permutation(order), []
        for start in range(0, len(order), size * 64):
            some = order[start : start + size * 64]
            some = some[np.argsort(self.lengths[some], kind="stable")]
            batches += np.split(some, range(size, len(some), size))
        return self._two_unlike_first([batches[i] for i in rng.permutation(len(batches))])

    def _width(self, rows):
        return -(-int(self.lengths[rows].max()) // self.multiple) * self.multiple

    def _two_unlike_first(self, batches):
        """Puts second a batch of another width than the first, from which Keras on TensorFlow
        concludes that the width varies."""
        first = self._width(batches[0])
        other = next((i for i, rows in enumerate(batches) if self._width(rows) != first), 1)
        return [*batches[:1], *batches[other : other + 1], *batches[1:other], *batches[other + 1 :]]
