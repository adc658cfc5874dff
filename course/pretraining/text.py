"""Running text as documents of sentences, and a corpus of ids that need not fit into memory."""

import contextlib
import itertools
import json
import os
import re
import shutil
from pathlib import Path

import numpy as np

from course import data, runtime
from course.data.registry import REGISTRY
from course.data.tables import text_lines

MOST = 4096  # sentences of a document; a longer text becomes several
TEXTS = (".txt", ".md", ".text")  # files of a folder that are read
TOKENIZED = 20_000  # sentences that are tokenized at a time

_ENDS = (
    re.compile(r"([.!?…]+[\"'”’»)\]]*)\s+(?=\S)"),
    re.compile(r"([。！？]+[”’」』）]*)(?=\S)"),
)


def sentences(text):
    """Cuts a text into sentences: behind . ! ? … and a blank, behind 。！？, and at line ends.

    So plain a rule also cuts behind "Dr.", which does no harm here: what counts is that a piece
    follows the one before.

    Args:
        text: a string.

    Returns:
        A list of strings without blanks around them, none of them empty.
    """
    for end in _ENDS:
        text = end.sub(r"\1\n", text)
    return [line.strip() for line in text.split("\n") if line.strip()]


def documents(sources):
    """Reads documents one after another, never all at once.

    Args:
        sources: a list of names and paths. A name is that of a data set (`course data list`), if
            need be with its split and its column: "world-stories", "imdb/unsupervised",
            "world-summaries/train/summary"; else they are "train" and "text". A row is a document;
            of running text (WikiText) a row is a line. A path is that of a text file, plain, .gz or
            .xz, or of a folder of them (.txt, .md), each a document at least. In running text and
            files an empty line ends a document, unless that is a single sentence so far, such as a
            heading.

    Yields:
        Lists of sentences.

    Raises:
        DataError: if there is no such data set, split, column or file, or a line is bad.
    """
    for source in [sources] if isinstance(sources, str | os.PathLike) else sources:
        name, *more = str(source).split("/")
        if name in REGISTRY and not Path(source).is_file():
            split, column = [*more, *("train", "text")[len(more) :]][:2]
            texts, running = _column(name, split, column)
        else:
            texts, running = _lines(Path(source)), True
        heading = []
        for group in _groups(texts, running):
            found = heading + [sentence for text in group for sentence in sentences(text)]
            heading = found if running and len(found) == 1 else []
            if not heading:
                yield from (found[start : start + MOST] for start in range(0, len(found), MOST))
        if heading:
            yield heading


def _column(name, split, column):
    """The texts of a column, and whether they are lines of running text."""
    known = {c.name: c for c in REGISTRY[name].columns_of(split)}
    rows = data.stream(name, split)
    if column not in known or known[column].kind != "text":
        wanted = ", ".join(c.name for c in known.values() if c.kind == "text")
        raise data.DataError(
            f"{name} has no column of text called {column!r}; it has {wanted}: "
            f"write {name}/{split}/COLUMN."
        )
    return (row[column] for row in rows), known[column].loose


def _lines(path):
    """The lines of a file, or of each text of a folder, with an empty one between two files."""
    if not path.is_dir():
        yield from text_lines(path)
        return
    found = sorted(p for p in path.rglob("*") if p.is_file() and _is_text(p))
    if not found:
        raise data.DataError(f"{path}: no text in this folder; expected files {', '.join(TEXTS)}.")
    for file in found:
        yield from text_lines(file)
        yield ""


def _is_text(path):
    name = path.name.lower().removesuffix(".gz").removesuffix(".xz")
    return not path.name.startswith(".") and name.endswith(TEXTS)


def _groups(texts, running):
    """What makes a document: a text, or lines up to an empty one."""
    if not running:
        yield from ([text] for text in texts)
        return
    group = []
    for text in texts:
        if text.strip():
            group.append(text)
        if group and (not text.strip() or len(group) == MOST):
            yield group
            group = []
    if group:
        yield group


class Corpus:
    """Documents as ids, one array for all: in memory, or on a disk and read where it is needed.

    Make one with `Corpus.of`, `Corpus.write` or `Corpus.open`.

    Attributes:
        tokens: integer array `(tokens,)`, without special tokens.
        sentences: int64 array `(sentences + 1,)`: the place in `tokens` where each begins, and
            their end.
        documents: int64 array `(documents + 1,)`: the number of each one's first sentence, and
            their end.
        note: what was written with it.
    """

    def __init__(self, tokens, sentences, documents, note=None):
        self.tokens, self.sentences, self.documents = tokens, sentences, documents
        self.note = note

    @classmethod
    def of(cls, texts, tokenizer, longest=None):
        """A corpus in memory.

        Args:
            texts: iterable of documents, each a list of sentences.
            tokenizer: a `Tokenizer`.
            longest: ids of a sentence; a longer one becomes several. None leaves them whole.
        """
        kind, lengths, counts = _kind(tokenizer), [], []
        tokens = [np.zeros(0, kind)]
        for ids, sentence_lengths, sentence_counts in _encoded(texts, tokenizer, longest):
            tokens.append(ids.astype(kind))
            lengths += sentence_lengths
            counts += sentence_counts
        starts = [np.cumsum([0, *numbers], dtype="int64") for numbers in (lengths, counts)]
        return cls(np.concatenate(tokens), *starts)

    @classmethod
    def write(cls, folder, texts, tokenizer, longest=None, note=None):
        """Writes a corpus to a folder, which is there whole or not at all, and opens it.

        Of the text never more than some thousand sentences are in memory.

        Args:
            folder: where to write; what was there is replaced.
            texts, tokenizer, longest: see `of`.
            note: a plain value to find again in the corpus.
        """
        folder = Path(folder)
        half = folder.with_name(f".writing-{folder.name}")
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(parents=True)
        kind, tokens, sentence_count = _kind(tokenizer), 0, 0
        with contextlib.ExitStack() as stack:
            names = ("tokens", "sentences", "documents")
            files = [stack.enter_context(open(half / f"{name}.bin", "wb")) for name in names]
            for file in files[1:]:
                file.write(np.zeros(1, "int64").tobytes())
            for ids, lengths, counts in _encoded(texts, tokenizer, longest):
                files[0].write(ids.astype(kind).tobytes())
                files[1].write((tokens + np.cumsum(lengths, dtype="int64")).tobytes())
                files[2].write((sentence_count + np.cumsum(counts, dtype="int64")).tobytes())
                tokens, sentence_count = tokens + len(ids), sentence_count + len(lengths)
        told = {"kind": kind, "note": note}
        runtime.write_atomically(half / "corpus.json", json.dumps(told).encode())
        shutil.rmtree(folder, ignore_errors=True)
        half.rename(folder)
        return cls.open(folder)

    @classmethod
    def open(cls, folder):
        """Opens what `write` wrote; arrays stay on the disk. None if there is nothing."""
        try:
            told = json.loads((Path(folder) / "corpus.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        kinds = {"tokens": told["kind"], "sentences": "int64", "documents": "int64"}
        arrays = (_mapped(Path(folder) / f"{name}.bin", kind) for name, kind in kinds.items())
        return cls(*arrays, note=told["note"])


def _mapped(path, kind):
    # An empty file cannot be mapped.
    return np.memmap(path, kind, "r") if path.stat().st_size else np.zeros(0, kind)


def _kind(tokenizer):
    return "uint16" if tokenizer.vocab_size <= 2**16 else "int32"


def _encoded(texts, tokenizer, longest):
    """Yields ids, lengths of sentences and numbers of sentences of some documents at a time."""
    texts, waiting, count = iter(texts), [], 0
    for document in itertools.chain(texts, [None]):
        if document is not None:
            waiting.append(document)
            count += len(document)
        if not waiting or (count < TOKENIZED and document is not None):
            continue
        found = tokenizer.encode_batch([s for d in waiting for s in d], special=False)
        found, lengths, counts = iter(found), [], []
        ids = []
        for document in waiting:
            before = len(lengths)
            for sentence in itertools.islice(found, len(document)):
                ids += sentence
                whole, rest = divmod(len(sentence), longest or max(len(sentence), 1))
                lengths += [longest or len(sentence)] * whole + [rest] * (rest > 0)
            if len(lengths) > before:
                counts.append(len(lengths) - before)
        yield np.array(ids, "int64"), lengths, counts
        waiting, count = [], 0
