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
from course.tokens.bert import END, MASK, PAD, SPECIAL, START, UNKNOWN, bert_parts
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
        vocabulary: the list of all tokens; a token's id is its place.
        pad_id, unknown_id, start_id, end_id, mask_id: ids of the special tokens.
        special_ids: those that are not text: pad, start, end and mask.
    """

    def __init__(self, fast):
        """Wraps a `tokenizers.Tokenizer`."""
        self.fast = fast
        settings = json.loads(fast.to_str())
        self.kind = settings["model"]["type"].lower()
        if self.kind not in ("wordpiece", "bpe"):
            raise ValueError(f"the model is {self.kind}: expected WordPiece or BPE.")
        self.lowercase = _lowercases(settings["normalizer"])
        ids = fast.get_vocab(with_added_tokens=True)
        self.vocabulary = sorted(ids, key=ids.get)
        self._ids, self._joiner = ids, None
        self.special_ids = frozenset(ids[t] for t in (PAD, START, END, MASK) if t in ids)

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
            return cls(_learn_bpe(texts, vocab_size, bool(lowercase), min_frequency))
        lowercase = True if lowercase is None else lowercase
        vocabulary = _learn_wordpiece(texts, vocab_size, lowercase, min_frequency, max_characters)
        return cls(_wordpiece(vocabulary, lowercase))

    @classmethod
    def from_vocab(cls, vocabulary, lowercase=True):
        """A WordPiece tokenizer from a vocabulary such as the `vocab.txt` of a published BERT.

        Args:
            vocabulary: path of a file with a token a line, or the list of tokens.
            lowercase: True for "uncased" models and for BERT's Chinese one.

        Raises:
            ValueError: if a token stands twice, or `[UNK]` is missing.
        """
        if isinstance(vocabulary, str | os.PathLike):
            # Not splitlines: it ends lines at U+2028 too, and that is a token of BERT's Chinese.
            lines = Path(vocabulary).read_text(encoding="utf-8").removesuffix("\n").split("\n")
            vocabulary = [line.rstrip("\r") for line in lines]
        twice = [token for token, count in Counter(vocabulary).items() if count > 1]
        if twice:
            raise ValueError(f"the vocabulary holds {twice[0]!r} more than once.")
        if UNKNOWN not in vocabulary:
            raise ValueError(f"the vocabulary has no {UNKNOWN}, which stands for unknown words.")
        return cls(_wordpiece(list(vocabulary), lowercase))

    @property
    def vocab_size(self):
        return len(self.vocabulary)

    @property
    def pad_id(self):
        return self.token_to_id(PAD)

    @property
    def unknown_id(self):
        return self.token_to_id(UNKNOWN)

    @property
    def start_id(self):
        return self.token_to_id(START)

    @property
    def end_id(self):
        return self.token_to_id(END)

    @property
    def mask_id(self):
        return self.token_to_id(MASK)

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
    def load(cls, folder):
        """Reads what `save` wrote.

        Raises:
            FileNotFoundError: if there is none.
        """
        import tokenizers

        path = Path(folder) / FILE
        if not path.is_file():
            raise FileNotFoundError(f"{path} is not there: save a tokenizer to {folder} first.")
        return cls(tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8")))

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


def _lowercases(normalizer):
    """Whether a normalizer, as its JSON says, takes capitals away."""
    parts = normalizer.get("normalizers", [normalizer])
    return any(part.get("lowercase") or part["type"] == "Lowercase" for part in parts)


def _wordpiece(vocabulary, lowercase):
    """BERT's tokenizer over a list of tokens."""
    from tokenizers import Tokenizer, decoders, models

    ids = {token: i for i, token in enumerate(vocabulary)}
    fast = Tokenizer(models.WordPiece(ids, unk_token=UNKNOWN, max_input_chars_per_word=100))
    fast.normalizer, fast.pre_tokenizer = bert_parts(lowercase)
    fast.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return _with_special(fast, ids)


def _with_special(fast, ids):
    """Adds BERT's frame of special tokens, where the vocabulary has them."""
    from tokenizers import AddedToken, processors

    present = [token for token in SPECIAL if token in ids]
    fast.add_special_tokens([AddedToken(token, special=True) for token in present])
    frame = []
    if START in ids and END in ids:
        frame.append(
            processors.TemplateProcessing(
                f"{START} $A {END}",
                f"{START} $A {END} $B:1 {END}:1",
                [(START, ids[START]), (END, ids[END])],
            )
        )
    if fast.model.__class__.__name__ == "BPE":
        frame.insert(0, processors.ByteLevel(trim_offsets=True))
    if frame:
        fast.post_processor = processors.Sequence(frame)
    return fast


def _learn_bpe(texts, vocab_size, lowercase, min_frequency):
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    least = len(alphabet) + len(SPECIAL)
    if vocab_size < least:
        raise ValueError(f"vocab_size = {vocab_size}: BPE begins with 256 bytes, at least {least}.")
    fast = Tokenizer(models.BPE())
    # The space in front makes a first word the same token as any other; `decode` takes it away.
    fast.normalizer = normalizers.Sequence(
        [normalizers.NFC(), *[normalizers.Lowercase()] * lowercase, normalizers.Prepend(" ")]
    )
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        show_progress=False,
        special_tokens=list(SPECIAL),
        initial_alphabet=alphabet,
    )
    fast.train_from_iterator(texts, trainer)
    return _with_special(fast, fast.get_vocab())


def _learn_wordpiece(texts, vocab_size, lowercase, min_frequency, max_characters):
    """A WordPiece vocabulary as a list: special tokens, characters, continuations, joined pairs."""
    from tokenizers import Tokenizer, models, trainers

    normalizer, pre_tokenizer = bert_parts(lowercase)
    texts = [normalizer.normalize_str(text) for text in texts]
    characters = Counter("".join(texts))
    commonest = sorted(characters, key=lambda c: (-characters[c], c))
    alphabet = sorted(c for c in commonest[:max_characters] if not c.isspace())

    def train(size, fixed):
        fast = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
        fast.pre_tokenizer = pre_tokenizer
        trainer = trainers.WordPieceTrainer(
            vocab_size=size,
            min_frequency=min_frequency,
            show_progress=False,
            special_tokens=fixed,
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
        )
        fast.train_from_iterator(texts, trainer)
        ids = fast.get_vocab()
        return sorted(ids, key=ids.get)

    # The trainer numbers continuations in an order that changes from run to run, and of two pairs
    # that are equally common joins the one with the lower numbers. So: ask for the continuations
    # first, then give them fixed numbers.
    single = train(0, list(SPECIAL))
    pieces = sorted(set(single) - set(SPECIAL) - set(alphabet))
    fixed = [*SPECIAL, *alphabet, *pieces]
    if len(fixed) > vocab_size:
        raise ValueError(
            f"vocab_size = {vocab_size}: the texts hold {len(alphabet)} different characters, "
            f"which with {len(pieces)} continuations and {len(SPECIAL)} special tokens makes "
            f"{len(fixed)}: raise vocab_size or pass max_characters."
        )
    return train(vocab_size, fixed)
