"""Text to ids and back, through Hugging Face `tokenizers`.

Two kinds of vocabulary. WordPiece as BERT has it (Devlin et al. 2019): words and punctuation are
taken apart, accents and capitals may go, each word becomes the longest pieces that there are. BPE
over bytes (Sennrich et al. 2016; Radford et al. 2019): nothing is unknown and nothing is lost.
"""

import json
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from course import runtime
from course.tokens.bert import (
    END,
    MASK,
    OTHER_NAMES,
    PAD,
    SPECIAL,
    START,
    UNKNOWN,
    bert_parts,
)
from course.tokens.building import learn_bpe, learn_wordpiece, normalization, wordpiece
from course.tokens.detokenizer import Joiner

FILE = "tokenizer.json"


@dataclass(frozen=True)
class Encoding:
    """What a text became, one entry for each token in every list.

    Attributes:
        ids: the numbers.
        tokens: the pieces of the vocabulary.
        offsets: (start, end) of each in the text that was given, in characters; (0, 0) for a token
            that was added.
        segment_ids: 0 for the first text, 1 for the second.
    """

    ids: list
    tokens: list
    offsets: list
    segment_ids: list


class Tokenizer:
    """Text to ids and back.

    Make one with `Tokenizer.learn`, `Tokenizer.from_vocab` or `Tokenizer.load`.

    `[CLS]` and `[SEP]` are BERT's first and last token, and the start and the end of a sentence
    that is translated: one pair for both. A text that contains the characters "[SEP]" is text
    like any other, as in BERT's own code; `read_special=True` reads such names as special tokens,
    as the `transformers` library does.

    Attributes:
        kind: "wordpiece" or "bpe".
        lowercase: whether capitals (and in WordPiece accents) are taken away.
        normalization: of WordPiece, what `bert_parts` takes.
        vocabulary: the list of all tokens; a token's id is its place. Where a published vocabulary
            has a token twice, the last place counts; an id without a token is "".
        added_tokens: {token: id} of those that were added to the vocabulary later.
        special_tokens: {"[PAD]": its name here, …} of the five.
        pad_id, unknown_id, start_id, end_id, mask_id: ids of the special tokens.
        special_ids: those that are not text: pad, start, end and mask.
    """

    def __init__(self, fast, special_tokens=None, vocabulary=None):
        """Wraps a `tokenizers.Tokenizer`.

        Args:
            fast: it.
            special_tokens: {"[PAD]": its name, …} of those that have another; those that have
                RoBERTa's names ("<pad>") are found without.
            vocabulary: the list of tokens by id, where `fast` does not know all of its rows.
        """
        self.fast = fast
        settings = json.loads(fast.to_str())
        self.kind = settings["model"]["type"].lower()
        if self.kind not in ("wordpiece", "bpe"):
            raise ValueError(f"the model is {self.kind}: expected WordPiece or BPE.")
        self.normalization = normalization(settings["normalizer"])
        self.lowercase = self.normalization[0]
        ids = fast.get_vocab(with_added_tokens=True)
        rows = list(vocabulary or ())
        rows += [""] * (max(ids.values(), default=-1) + 1 - len(rows))
        for token, i in ids.items():
            rows[i] = token
        self.vocabulary, self._ids, self._joiner = rows, ids, None
        base = fast.get_vocab(with_added_tokens=False)
        names = zip(SPECIAL, OTHER_NAMES, strict=True)
        self.special_tokens = {
            token: other if token not in ids and other in ids else token for token, other in names
        } | dict(special_tokens or {})
        known = self.special_tokens.values()
        self.added_tokens = {t: i for t, i in ids.items() if t not in base and t not in known}
        special = (self.special_tokens[token] for token in (PAD, START, END, MASK))
        self.special_ids = frozenset(ids[token] for token in special if token in ids)

    @classmethod
    def learn(
        cls,
        texts,
        vocab_size,
        kind="wordpiece",
        *,
        lowercase=None,
        min_frequency=2,
        max_characters=None,
    ):
        """Learns a vocabulary: first characters, then again and again the commonest pair, joined.

        The same texts give the same vocabulary, whatever the machine and the run.

        Args:
            texts: iterable of strings.
            vocab_size: the number of tokens, special ones included; fewer if the texts hold no more
                pairs.
            kind: "wordpiece" or "bpe".
            lowercase: None means True for WordPiece, False for BPE.
            min_frequency: how often a pair must occur to be joined.
            max_characters: WordPiece keeps so many of the commonest characters; the others are
                unknown. All if None.

        Returns:
            A `Tokenizer`.

        Raises:
            ValueError: if the characters alone are more than vocab_size.
        """
        if kind not in ("wordpiece", "bpe"):
            raise ValueError(f'kind = {kind!r}: choose "wordpiece" or "bpe".')
        if isinstance(texts, str):
            raise ValueError("texts is one string: pass a list of strings.")
        texts = list(texts)
        if kind == "bpe":
            return cls(learn_bpe(texts, vocab_size, bool(lowercase), min_frequency))
        lowercase = True if lowercase is None else lowercase
        vocabulary = learn_wordpiece(texts, vocab_size, lowercase, min_frequency, max_characters)
        return cls(wordpiece(vocabulary, bert_parts(bool(lowercase))))

    @classmethod
    def from_vocab(
        cls,
        vocabulary,
        lowercase=True,
        *,
        strip_accents=None,
        chinese_characters=True,
        special_tokens=None,
        duplicates=False,
    ):
        """A WordPiece tokenizer from a vocabulary such as the `vocab.txt` of a published BERT.

        Args:
            vocabulary: path of a file with a token a line, or the list of tokens.
            lowercase: True for "uncased" models and for BERT's Chinese one.
            strip_accents: whether accents are taken away; None means where capitals are.
            chinese_characters: whether each Chinese character is a word.
            special_tokens: {"[UNK]": its name, …} of special tokens that have another.
            duplicates: whether a token may stand twice; its last place then counts, as in
                `transformers`.

        Raises:
            ValueError: if a token stands twice, or `[UNK]` is missing.
        """
        if isinstance(vocabulary, str | os.PathLike):
            # Not splitlines: it ends lines at U+2028 too, and that is a token of BERT's Chinese.
            lines = Path(vocabulary).read_text(encoding="utf-8").removesuffix("\n").split("\n")
            vocabulary = [line.rstrip("\r") for line in lines]
        twice = [token for token, count in Counter(vocabulary).items() if count > 1]
        if twice and not duplicates:
            raise ValueError(f"the vocabulary holds {twice[0]!r} more than once.")
        names = dict(zip(SPECIAL, SPECIAL, strict=True)) | dict(special_tokens or {})
        unknown = names[UNKNOWN]
        if unknown not in vocabulary:
            raise ValueError(f"the vocabulary has no {unknown}, which stands for unknown words.")
        parts = bert_parts(bool(lowercase), strip_accents, chinese_characters)
        return cls(wordpiece(list(vocabulary), parts, names), special_tokens, list(vocabulary))

    @property
    def vocab_size(self):
        return len(self.vocabulary)

    @property
    def pad_id(self):
        return self.token_to_id(self.special_tokens[PAD])

    @property
    def unknown_id(self):
        return self.token_to_id(self.special_tokens[UNKNOWN])

    @property
    def start_id(self):
        return self.token_to_id(self.special_tokens[START])

    @property
    def end_id(self):
        return self.token_to_id(self.special_tokens[END])

    @property
    def mask_id(self):
        return self.token_to_id(self.special_tokens[MASK])

    @property
    def frame(self):
        """The pair of `start_id` and `end_id`, or None where the vocabulary lacks one."""
        found = [self._ids.get(self.special_tokens[token]) for token in (START, END)]
        return None if None in found else tuple(found)

    def token_to_id(self, token):
        """The id of a token.

        Raises:
            KeyError: if the vocabulary does not have it.
        """
        if token not in self._ids:
            raise KeyError(f"{token!r} is not among the {self.vocab_size} tokens of the vocabulary")
        return self._ids[token]

    def id_to_token(self, token_id):
        """The token of an id.

        Raises:
            IndexError: if there is no such id.
        """
        if not 0 <= token_id < self.vocab_size:
            raise IndexError(f"id {token_id}: the vocabulary has ids 0 to {self.vocab_size - 1}")
        return self.vocabulary[token_id]

    def encode(self, text, pair=None, **options):
        """The ids of a text, or of two.

        Args:
            text: a string.
            pair: a second one.
            special: whether to add `[CLS]` in front and `[SEP]` behind each text. For translation
                they are the start and the end.
            max_length: the longest list allowed, special tokens included. Text is cut at its end,
                of two texts the longer one first.
            read_special: whether "[MASK]" in the text is the special token.

        Returns:
            A list of ids.
        """
        return self.encode_batch([text], None if pair is None else [pair], **options)[0]

    def encode_batch(self, texts, pairs=None, **options):
        """`encode` of many texts, in parallel: a list of lists of ids."""
        return [found.ids for found in self._run(texts, pairs, **options)]

    def tokenize(self, text, pair=None, **options):
        """Like `encode`, with the pieces and where they stand: an `Encoding`."""
        return self.tokenize_batch([text], None if pair is None else [pair], **options)[0]

    def tokenize_batch(self, texts, pairs=None, **options):
        """`tokenize` of many texts: a list of `Encoding`s."""
        return [
            Encoding(found.ids, found.tokens, found.offsets, found.type_ids)
            for found in self._run(texts, pairs, **options)
        ]

    def decode(self, ids, *, tidy=True):
        """The text of a list of ids.

        BPE gives back the text that was encoded, character for character (in Unicode's composed
        form, NFC). WordPiece cannot: which spaces there were around punctuation is lost, so that
        they are set as one usually writes.

        Args:
            ids: iterable of integers. Special tokens are left out, `[UNK]` stays.
            tidy: False leaves WordPiece's words and punctuation apart, as BERT's code does.

        Returns:
            A string.
        """
        return self.decode_batch([ids], tidy=tidy)[0]

    def decode_batch(self, rows, *, tidy=True):
        """`decode` of many lists of ids, or of an array `(rows, length)`: a list of strings."""
        rows = [np.asarray(row).tolist() for row in rows]
        for row in rows:
            for extreme in (min(row, default=0), max(row, default=0)):
                self.id_to_token(extreme)  # raises where there is no such id
        rows = [[i for i in row if i not in self.special_ids] for row in rows]
        if self.kind == "wordpiece" and tidy:
            self._joiner = self._joiner or Joiner(self.vocabulary)
            return self._joiner(rows)
        return self.fast.decode_batch(rows, skip_special_tokens=False)

    def in_graph(self):
        """The same tokenizer made of TensorFlow's operations, for `tf.data` and exported models.

        Returns:
            A `course.tokens.in_graph.GraphTokenizer`.

        Raises:
            ValueError: for BPE.
        """
        from course.tokens.in_graph import graph_tokenizer

        return graph_tokenizer(self)

    def save(self, folder):
        """Writes `tokenizer.json` into a folder, whole or not at all.

        `tokenizers` and `transformers` read the file too.
        """
        text = self.fast.to_str(pretty=True)
        runtime.write_atomically(Path(folder) / FILE, text.encode("utf-8"))

    @classmethod
    def load(cls, folder, special_tokens=None):
        """Reads what `save` wrote.

        Args:
            folder: where `tokenizer.json` is.
            special_tokens: {"[PAD]": its name, …} of those that have another.

        Raises:
            FileNotFoundError: if there is none.
        """
        import tokenizers

        path = Path(folder) / FILE
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not there: save a tokenizer to {folder} first.")
        return cls(tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8")), special_tokens)

    def _run(self, texts, pairs=None, *, special=True, max_length=None, read_special=False):
        if isinstance(texts, str):
            raise ValueError("a list of texts was expected, and one string came.")
        texts = list(texts)
        if pairs is not None:
            texts = list(zip(texts, pairs, strict=True))
        if special:
            _ = self.start_id, self.end_id  # a vocabulary may lack them
        self.fast.encode_special_tokens = not read_special
        if max_length is None:
            return self.fast.encode_batch(texts, add_special_tokens=special)
        self.fast.enable_truncation(max_length)
        try:
            return self.fast.encode_batch(texts, add_special_tokens=special)
        finally:
            self.fast.no_truncation()
