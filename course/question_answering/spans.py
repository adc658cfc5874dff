"""From an answer's characters to the tokens that hold it, and back."""

from typing import NamedTuple

import numpy as np

KINDS = ("exact", "wider", "not reached", "not in the context")


class Alignment(NamedTuple):
    """How an answer's characters fall on tokens.

    Attributes:
        span: (first, last) token, both inclusive; None if no token holds a part of the answer.
        kind: "exact" if the tokens' characters are those of the answer; "wider" if a token holds
            characters beside it, so that what is read back is longer; "not reached" if the
            tokenizer made no token of any of them; "not in the context" if the start is -1.
    """

    span: tuple | None
    kind: str


def token_spans(offsets, starts, ends):
    """The tokens that hold the characters start to end - 1, for many answers at once.

    Args:
        offsets: integer array `(tokens, 2)`: where each token starts and ends in the text as it was
            given, in characters, end exclusive. Both columns rise, as a tokenizer returns them.
        starts, ends: integer arrays `(answers,)`, characters, end exclusive.

    Returns:
        Integer arrays first and last `(answers,)`, tokens, both inclusive: every token of which at
        least one character is in the answer. -1 and -1 where there is none.

    Raises:
        ValueError: if an answer ends before it starts.
    """
    offsets = np.asarray(offsets, "int64").reshape(-1, 2)
    starts, ends = np.asarray(starts, "int64"), np.asarray(ends, "int64")
    if (ends < starts).any():
        row = int(np.argmax(ends < starts))
        raise ValueError(
            f"answer {row} starts at {starts[row]} and ends at {ends[row]}: expected start <= end."
        )
    first = np.searchsorted(offsets[:, 1], starts, side="right")  # the first that ends behind start
    last = np.searchsorted(offsets[:, 0], ends, side="left") - 1  # the last that starts before end
    there = (first <= last) & (starts < ends)
    return np.where(there, first, -1), np.where(there, last, -1)


def alignment(offsets, text, start, answer):
    """How one answer falls on the tokens of its context: an `Alignment`.

    Args:
        offsets: see `token_spans`.
        text: the context.
        start: the character at which the answer starts; -1 if it is not there.
        answer: its words.
    """
    if start < 0:
        return Alignment(None, "not in the context")
    (first,), (last,) = token_spans(offsets, [start], [start + len(answer)])
    if first < 0:
        return Alignment(None, "not reached")
    found = text[offsets[first][0] : offsets[last][1]]
    return Alignment((int(first), int(last)), "exact" if found == answer.strip() else "wider")


def span_text(offsets, text, first, last):
    """The characters of the text from a first to a last token, both inclusive."""
    return text[offsets[first][0] : offsets[last][1]]
