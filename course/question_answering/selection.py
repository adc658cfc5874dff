"""The best span: n best of each window, merged over the windows of a question."""

from typing import NamedTuple

import numpy as np
from keras import ops

from course.question_answering.model import FAR_BELOW

NEVER = FAR_BELOW / 2  # a score below it is that of a span with a forbidden end


class Spans(NamedTuple):
    """Best spans, highest score first; the last axis is n.

    Attributes:
        start, end: places of the first and the last token, both inclusive.
        score: start logit + end logit; -1e9 or less where there are fewer than n spans.
        total: log of the sum of exp(score) over all spans that may be chosen, no last axis. So
            exp(score - total) is a span's probability among them.
    """

    start: object
    end: object
    score: object
    total: object


def best_spans(start_logits, end_logits, allowed=None, *, may_start=None, n_best=20,
               max_answer_length=30):  # fmt: skip
    """The n best spans of each row: start <= end, at most so long, and inside what is allowed.

    All pairs of a batch are scored in one step: end logits are laid beside start logits at each
    distance that a span may have.

    Args:
        start_logits, end_logits: float tensors `(batch, length)`.
        allowed: bool `(batch, length)`, True where a span may start or end, or None for all places.
            It must be one stretch a row, as context tokens are: what is between is not looked at.
        may_start: bool `(batch, length)`, where it may start beside that; None for no more.
        n_best: how many spans.
        max_answer_length: the most tokens of a span.

    Returns:
        `Spans` of tensors `(batch, n)`, where n is n_best, or the number of pairs if that is less.

    Raises:
        ValueError: if n_best or max_answer_length is below 1.

    Reference: Devlin et al. 2019, section 4.2: the score of a span is S·T_i + E·T_j, i <= j.
    """
    if n_best < 1 or max_answer_length < 1:
        raise ValueError(
            f"n_best = {n_best}, max_answer_length = {max_answer_length}: both at least 1."
        )
    start_logits, end_logits = (
        ops.cast(ops.convert_to_tensor(x), "float32") for x in (start_logits, end_logits)
    )
    length = int(start_logits.shape[1])
    reach = min(max_answer_length, length)
    if allowed is not None:
        allowed = ops.convert_to_tensor(allowed)
        start_logits = ops.where(allowed, start_logits, FAR_BELOW)
        end_logits = ops.where(allowed, end_logits, FAR_BELOW)
    if may_start is not None:
        start_logits = ops.where(ops.convert_to_tensor(may_start), start_logits, FAR_BELOW)
    padded = ops.pad(end_logits, [[0, 0], [0, reach - 1]], constant_values=FAR_BELOW)
    ends = ops.stack([padded[:, d : d + length] for d in range(reach)], axis=2)
    scores = start_logits[:, :, None] + ends  # (batch, length, reach): start i, end i + d
    flat = ops.reshape(scores, (-1, length * reach))
    score, index = ops.top_k(flat, min(n_best, length * reach))  # (batch, n)
    start = index // reach
    return Spans(start, start + index % reach, score, ops.logsumexp(flat, axis=-1))


def merge_windows(question, spans, null_scores=None, *, n_best=20):
    """The best spans of each question, over all of its windows.

    Logits are compared, not probabilities: a softmax over one window says how a span stands among
    those of the same window, and a window without the answer has a best span, too.

    Args:
        question: int array `(windows,)`: which question each window asks, from 0.
        spans: `Spans` of arrays `(windows, n)`.
        null_scores: float array `(windows,)`, the score of "no answer" of each window; None if
            every question has an answer.
        n_best: how many spans of a question.

    Returns:
        Pair of `Spans` of arrays `(questions, n_best)`, whose `total` counts "no answer" where
        there is one, and windows `(questions, n_best)`: where each span comes from. The third is
        the lowest score of "no answer" over each question's windows, or None.

    Reference: Devlin et al.'s code for SQuAD 2.0: the lowest null score counts, since one window
    that holds the answer is enough.
    """
    question = np.asarray(question)
    start, end, score, total = (np.asarray(part) for part in spans)
    windows, n = score.shape
    count = int(question.max()) + 1 if windows else 0
    owner, source = np.repeat(question, n), np.repeat(np.arange(windows), n)
    order = np.lexsort((-score.ravel(), owner))  # by question, then from the best score down
    owner, source = owner[order], source[order]
    rank = np.arange(len(order)) - np.searchsorted(owner, np.arange(count))[owner]
    kept = rank < n_best
    where = owner[kept], rank[kept]
    found = [np.zeros((count, n_best), "int64") for _ in range(3)]
    values = start.ravel()[order], end.ravel()[order], source
    for target, value in zip(found, values, strict=True):
        target[where] = value[kept]
    best = np.full((count, n_best), FAR_BELOW)
    best[where] = score.ravel()[order][kept]
    whole = np.full(count, -np.inf)
    np.logaddexp.at(whole, question, total)
    lowest = None
    if null_scores is not None:
        lowest = np.full(count, np.inf)
        np.minimum.at(lowest, question, np.asarray(null_scores, "float64"))
        whole = np.logaddexp(whole, lowest)
    return Spans(found[0], found[1], best, whole), found[2], lowest
