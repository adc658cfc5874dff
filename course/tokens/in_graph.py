"""A WordPiece tokenizer inside TensorFlow graphs: `tf.data`, `tf.function`, exported models.

tensorflow-text divides words into pieces; what comes before (clean-up, spaces around ideographs,
accents, capitals, punctuation) is one table from code point to code points, read off the
`tokenizers` library itself. With tensorflow-text's own parts 10,890 code points come out otherwise.

What may still differ: a text that has two combining marks in another order than the canonical one,
neither of which BERT takes away (musical stems and Hangul tone marks). A table of single code
points cannot reorder them.
"""

import functools
import sys

import numpy as np

from course.tokens.bert import END, START, bert_parts
from course.tokens.detokenizer import Joiner, spaces

SPACE, SELF = 32, -1  # SELF in a row of the table stands for the code point that came in
LONGEST_WORD = 100  # characters; longer ones are unknown in BERT's code and in `tokenizers`
POINTS = sys.maxunicode + 1
BLOCK = 256
ZERO = ord("0")


@functools.cache
def code_point_table(lowercase, strip_accents=None, chinese_characters=True):
    """What BERT's normalizer and its division into words make of each single code point.

    Args:
        lowercase, strip_accents, chinese_characters: see `bert_parts`.

    Returns:
        `(blocks, kinds, values, splits)`, integer arrays. The kind of code point p is
        `kinds[blocks[p // 256], p % 256]`, and kind k becomes `values[splits[k] : splits[k + 1]]`,
        where -1 stands for p itself and 32 divides words.
    """
    normalizer, pre_tokenizer = bert_parts(lowercase, strip_accents, chinese_characters)
    # All of Unicode in one text, between zeros: they divide nothing, and nothing else becomes one.
    points = np.array([p for p in range(POINTS) if not 0xD800 <= p < 0xE000 and p != ZERO])
    made = _code_points(normalizer.normalize_str(_between_zeros(points)))
    begin = np.flatnonzero(made == ZERO)
    size = np.diff(begin) - 1  # how many each point becomes
    begin = begin[:-1] + 1

    # Which characters divide words and vanish, and which stand alone.
    present = np.bincount(made, minlength=POINTS) > 0
    present[ZERO] = False
    characters = np.flatnonzero(present)
    pieces = [p for p, _ in pre_tokenizer.pre_tokenize_str(_between_zeros(characters))]
    alone = np.array([ord(p) for p in pieces if len(p) == 1 and p != "0"])
    present[_code_points("".join(pieces))] = False
    divides = np.flatnonzero(present)

    rows = [(), (SELF,), (SPACE,), (SPACE, SELF, SPACE)]
    kinds = np.zeros(POINTS, "int32")  # a surrogate is no character, and vanishes
    same = (size == 1) & (made[begin] == points)
    kinds[ZERO] = 1
    kinds[points[same]] = 1
    for kind, characters in ((2, divides), (3, alone)):
        kinds[characters[kinds[characters] == 1]] = kind
    known = {row: kind for kind, row in enumerate(rows)}
    alone, divides = set(alone.tolist()), set(divides.tolist())
    for i in np.flatnonzero(~same & (size > 0)):
        row = ()
        for value in made[begin[i] : begin[i] + size[i]].tolist():
            itself = SELF if value == points[i] else value
            space = (SPACE,) * (value in alone)
            row += (SPACE,) if value in divides else (*space, itself, *space)
        kinds[points[i]] = known.setdefault(row, len(known))
    blocks, at = np.unique(kinds.reshape(-1, BLOCK), axis=0, return_inverse=True)
    values = np.array([value for row in known for value in row], "int32")
    splits = np.cumsum([0, *map(len, known)])
    return at.ravel().astype("int32"), blocks, values, splits


def _code_points(text):
    return np.frombuffer(text.encode("utf-32-le"), "uint32").astype("int32")


def _between_zeros(points):
    """The text 0a0b0c0 of the code points a, b, c."""
    text = np.full(2 * len(points) + 1, ZERO, "uint32")
    text[1::2] = points
    return text.tobytes().decode("utf-32-le")


def graph_tokenizer(tokenizer):
    """The same WordPiece tokenizer as a `tf.Module`; see `GraphTokenizer`.

    Raises:
        ValueError: if the tokenizer is not WordPiece.
    """
    if tokenizer.kind != "wordpiece":
        raise ValueError(
            "inside a graph there is WordPiece only: BPE needs the library tokenizers."
        )
    if tokenizer.added_tokens:
        raise ValueError(
            "inside a graph there is the vocabulary itself only, and this one has added tokens: "
            f"{', '.join(sorted(tokenizer.added_tokens)[:5])}."
        )
    import tensorflow as tf
    import tensorflow_text as tf_text

    class GraphTokenizer(tf.Module):
        """Strings to ids and back, as TensorFlow operations.

        `tokenize(texts)`: strings `(batch,)` → RaggedTensor of int32 `(batch, length)`, `[CLS]` in
        front and `[SEP]` behind. `tokenize_plain(texts)`: the same without them. `detokenize(ids)`:
        int32 `(batch, length)`, padded, → strings `(batch,)`, as `decode` writes them.

        It can be saved with `tf.saved_model.save`, alone or as an attribute of a model; to load
        it, import `tensorflow_text` first.
        """

        def __init__(self):
            super().__init__(name="tokenizer")
            blocks, kinds, values, splits = code_point_table(*tokenizer.normalization)
            self.blocks, self.kinds = tf.constant(blocks), tf.constant(kinds.ravel())
            self.rows = tf.RaggedTensor.from_row_splits(tf.constant(values), tf.constant(splits))
            taken = {ord(token) for token in tokenizer.vocabulary if len(token) == 1}
            rows = list(enumerate(tokenizer.vocabulary))
            last = {token: i for i, token in rows}
            # A private character that no vocabulary has: a word of it is unknown.
            self.no_token = chr(next(p for p in range(0xE000, 0xF8FF) if p not in taken))
            self.pieces = tf_text.FastWordpieceTokenizer(
                # A row that no text becomes (the first of two) gets a name that no text has.
                vocab=[t if t and last[t] == i else f"\x01{i}" for i, t in rows],
                unknown_token=tokenizer.id_to_token(tokenizer.unknown_id),
                token_out_type=tf.int32,
                max_bytes_per_word=4 * LONGEST_WORD,
                no_pretokenization=True,
            )
            self.frame = tokenizer.frame
            joiner = Joiner(tokenizer.vocabulary)
            self.classes = tf.constant(joiner.classes, tf.int32)
            self.continues = tf.constant(joiner.continues)
            self.texts = tf.constant(joiner.pieces)
            special = np.isin(np.arange(tokenizer.vocab_size), list(tokenizer.special_ids))
            self.special = tf.constant(special)

        def words(self, texts):
            """Strings `(batch,)` → the words that are divided into pieces, `(batch, words)`."""
            points = tf.strings.unicode_decode(texts, "UTF-8")  # (batch, characters)
            flat = points.flat_values
            kind = tf.gather(
                self.kinds, tf.gather(self.blocks, flat // BLOCK) * BLOCK + flat % BLOCK
            )
            made = tf.gather(self.rows, kind)  # (all characters, what each becomes)
            same = tf.repeat(flat, made.row_lengths())
            values = tf.where(made.flat_values == SELF, same, made.flat_values)
            splits = tf.gather(made.row_splits, points.row_splits)
            made = tf.RaggedTensor.from_row_splits(values, splits)  # (batch, characters)
            words = tf.strings.split(tf.strings.unicode_encode(made, "UTF-8"))
            long = tf.strings.length(words.flat_values, "UTF8_CHAR") > LONGEST_WORD
            return words.with_flat_values(tf.where(long, self.no_token, words.flat_values))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
        def tokenize_plain(self, texts):
            pieces = self.pieces.tokenize(self.words(texts))  # (batch, words, pieces)
            return pieces.merge_dims(1, 2)

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
        def tokenize(self, texts):
            if self.frame is None:
                raise ValueError(f"the vocabulary has no {START} and {END}: use tokenize_plain.")
            ids = self.tokenize_plain(texts)
            first, last = (tf.fill([tf.shape(texts)[0], 1], i) for i in self.frame)
            return tf.concat([first, ids, last], axis=1)

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False)
        def detokenize(self, ids):
            nothing = tf.size(self.texts) - 1
            kept = tf.ragged.boolean_mask(ids, ~tf.gather(self.special, ids))
            ids = kept.to_tensor(nothing)  # (batch, length)
            gaps = spaces(
                tf.gather(self.classes, ids),
                tf.gather(self.continues, ids),
                tf.concat,
                lambda x, axis: tf.cumsum(tf.cast(x, tf.int32), axis),
            )
            texts = tf.gather(self.texts, ids)  # (batch, length)
            return tf.strings.reduce_join(tf.where(gaps, " " + texts, texts), axis=1)

    return GraphTokenizer()
