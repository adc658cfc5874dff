"""Where a space stands between two WordPieces: the way back from tokens to text.

A rule looks at classes of tokens, not at their letters, so that one formula serves NumPy and a
TensorFlow graph.
"""

import re
import unicodedata

import numpy as np

(
    NONE,  # before the first token and after the last
    WORD,
    DIGITS,
    THREE_DIGITS,
    IDEOGRAPH,  # and the punctuation that goes with it: no spaces around
    COMMA,
    STOP,  # . and :, which also stand inside numbers
    CLOSING,
    OPENING,
    DOUBLE_QUOTE,
    SINGLE_QUOTE,
    SHORT,  # the rest of a short form: s in it's
    JOINER,
    AND,  # after a joiner that ends half a word: Akten- und Umhängetaschen
) = range(14)

PREFIX = "##"
CHARACTERS = {
    **dict.fromkeys(",", COMMA),
    **dict.fromkeys(".:", STOP),
    **dict.fromkeys("!?;)]}%…", CLOSING),
    **dict.fromkeys("([{#$£¿¡", OPENING),
    **dict.fromkeys('"“”„«»', DOUBLE_QUOTE),
    **dict.fromkeys("'‘’‚", SINGLE_QUOTE),
    **dict.fromkeys("-/", JOINER),
}
SHORT_FORMS = ("s", "t", "m", "d", "re", "ve", "ll")
CONJUNCTIONS = ("and", "or", "und", "oder", "bzw", "bis")


def class_of(token):
    """The class of a token, without its `##`."""
    text = token.removeprefix(PREFIX)
    if text in CHARACTERS:
        return CHARACTERS[text]
    if text.lower() in SHORT_FORMS and text == token:
        return SHORT
    if text.lower() in CONJUNCTIONS and text == token:
        return AND
    if re.fullmatch("[0-9]+", text):
        return THREE_DIGITS if len(text) == 3 else DIGITS
    if len(text) == 1 and (
        unicodedata.east_asian_width(text) == "F"
        or unicodedata.name(text, "").startswith(("CJK ", "IDEOGRAPHIC ", "FULLWIDTH "))
        or "\u3000" <= text <= "\u303f"
    ):
        return IDEOGRAPH
    return WORD


def spaces(classes, continues, concatenate=np.concatenate, cumsum=np.cumsum):
    """Says before which tokens a space stands.

    Args:
        classes: integers `(rows, length)`: the class of each token, NONE behind a row's end.
        continues: boolean `(rows, length)`: whether the token is a continuation, `##…`.
        concatenate, cumsum: NumPy's functions, or others that do the same.

    Returns:
        Boolean `(rows, length)`.
    """

    def among(x, *kinds):
        found = x == kinds[0]
        for kind in kinds[1:]:
            found = found | (x == kind)
        return found

    def shifted(x, by):  # the token before (by = 1), or after (by = -1)
        edge = x[:, :1] & ~x[:, :1]  # NONE, or False
        return concatenate([edge, x[:, :-1]] if by > 0 else [x[:, 1:], edge], axis=1)

    def opens(quotes):  # the first, the third, … of a row
        count = cumsum(quotes, axis=1)
        return quotes & (count % 2 == 1), quotes & (count % 2 == 0)

    before, after = shifted(classes, 1), shifted(classes, -1)
    letters = (WORD, DIGITS, THREE_DIGITS, SHORT, AND)
    # What binds to the token on its left, and what to the one on its right.
    left = continues | among(classes, COMMA, STOP, CLOSING, IDEOGRAPH)
    right = among(classes, OPENING, IDEOGRAPH)
    numeric_before = among(before, DIGITS, THREE_DIGITS)
    right = right | among(classes, STOP) & numeric_before & among(after, DIGITS, THREE_DIGITS)
    right = right | among(classes, COMMA) & numeric_before & among(after, THREE_DIGITS)
    dash = among(classes, JOINER) & among(before, *letters)
    half = dash & among(after, AND) & ~among(before, AND)
    left = left | half
    joins = dash & among(after, *letters) & ~half
    single = among(classes, SINGLE_QUOTE)
    joins = joins | single & among(before, *letters) & among(after, SHORT)
    for quotes in (among(classes, DOUBLE_QUOTE), single & ~joins):
        opening, closing = opens(quotes)
        left, right = left | closing, right | opening
    left, right = left | joins, right | joins
    return ~(left | shifted(right, 1) | among(before, NONE) | among(classes, NONE))


class Joiner:
    """Writes rows of ids as text, with the spaces that one usually sets.

    Args:
        vocabulary: the list of tokens.

    Attributes:
        classes, continues: `spaces`' arguments for each id, and for one more: nothing.
        pieces: the tokens without their `##`, and one more: nothing.
    """

    def __init__(self, vocabulary):
        self.classes = np.array([*map(class_of, vocabulary), NONE])
        self.continues = np.array([*(t.startswith(PREFIX) for t in vocabulary), False])
        self.pieces = [*(t.removeprefix(PREFIX) for t in vocabulary), ""]

    def __call__(self, rows):
        """A list of lists of ids → a list of strings."""
        lengths = np.array([len(row) for row in rows], int)
        real = np.arange(lengths.max(initial=1)) < lengths[:, None]  # (rows, length)
        ids = np.full(real.shape, len(self.pieces) - 1)
        ids[real] = [i for row in rows for i in row]
        gaps = spaces(self.classes[ids], self.continues[ids])
        return [
            "".join(" " * gap + self.pieces[i] for i, gap in zip(row, gap_row, strict=False))
            for row, gap_row in zip(rows, gaps.tolist(), strict=True)
        ]
