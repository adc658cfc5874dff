"""Readers: one small class for each layout that a data set's files come in.

A reader takes paths and yields `Record`s, one for each row, good or bad: `load` stops at the first
bad one, `verify` collects them all. What no reader can go on after (a truncated .xz, parallel files
of different length) is raised as `DataError`.
"""

import gzip
import json
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

BROKEN = (EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile)


class DataError(ValueError):
    """Bad or missing data. The message names the file, the row, what was expected, what to do."""


class Record(NamedTuple):
    """One row as it was read: its values, or the problem that kept them from being read."""

    file: Path
    row: int
    values: dict | None
    problem: str = ""


@dataclass(frozen=True)
class Column:
    """What a column holds, and so what `faults` checks in every row.

    `kind` is one of text, integer, label, texts, answers, object. `labels` names the values of a
    label, in order of their numbers. `splits` limits a column to those splits (none: all of them).
    `loose` admits empty text, and answers that are not in their context (their start is -1).
    """

    name: str
    kind: str = "text"
    labels: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    loose: bool = False
    unique: bool = False

    def __str__(self):
        told = self.kind
        if self.labels:
            told += ": " + ", ".join(f"{i} {name}" for i, name in enumerate(self.labels))
        if self.kind == "answers":
            told += ": a list of {text, start}" + (", start -1 = not in context" * self.loose)
        return told + (f" (in {', '.join(self.splits)})" if self.splits else "")


def open_binary(path: Path, member: str = ""):
    """Opens a plain, .gz or .xz file, or the file `member` of a .zip, for reading bytes."""
    if path.suffix.lower() == ".gz":
        return gzip.open(path)
    if path.suffix.lower() == ".xz":
        return lzma.open(path)
    if path.suffix.lower() == ".zip":
        archive = zipfile.ZipFile(path)
        inside = [name for name in archive.namelist() if name.split("/")[-1] == member]
        if not inside:
            raise DataError(
                f"{path}: has no {member}; expected one file of that name, "
                f"found {', '.join(archive.namelist()) or 'nothing'}."
            )
        return archive.open(inside[0])
    return path.open("rb")


def lines(path: Path, member: str = "") -> Iterator[tuple[int, str, str]]:
    """Yields (row, text, problem) for each line; rows count from 1.

    Lines end at LF only: `str.splitlines` would also cut at U+2028 and U+0085, which occur in text.
    """
    row = 0
    try:
        with open_binary(path, member) as stream:
            for row, raw in enumerate(stream, 1):
                yield row, *_decoded(raw, first=row == 1)
    except BROKEN as error:
        raise DataError(
            f"{path}: truncated or damaged after row {row} ({error}); "
            f"expected a whole {path.suffix.lstrip('.')} file."
        ) from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from None


def _decoded(raw: bytes, first: bool) -> tuple[str, str]:
    if first and raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "", "the file is UTF-16; expected UTF-8: save it again as UTF-8"
    if first and raw.startswith(b"\xef\xbb\xbf"):
        return "", "starts with a byte order mark (BOM); expected plain UTF-8: save it without BOM"
    raw = raw.removesuffix(b"\n")
    if raw.endswith(b"\r"):
        return "", (
            "ends in a carriage return (CRLF, as Windows writes); expected LF alone: "
            "convert the line ends, and with git set core.autocrlf to false"
        )
    try:
        return raw.decode("utf-8"), ""
    except UnicodeDecodeError as error:
        byte = raw[error.start]
        return "", f"byte {error.start + 1} (0x{byte:02x}) is not UTF-8; save the file as UTF-8"


class Lines:
    """Line-aligned text files, one for each column; with one column, running text."""

    def __init__(self, *columns: str):
        self.columns = columns

    def records(self, paths: list[Path]) -> Iterator[Record]:
        readers = [lines(path) for path in paths]
        for row, found in enumerate(zip_longest(*readers), 1):
            if None in found:
                counts = [row - 1 if one is None else row for one in found]
                for i, reader in enumerate(readers):
                    counts[i] += sum(1 for _ in reader)
                told = ", ".join(f"{p} has {n:,} rows" for p, n in zip(paths, counts, strict=True))
                raise DataError(
                    f"{paths[found.index(None)]}, row {row}: missing. These files are aligned line "
                    f"by line and must be equally long: {told}."
                )
            for path, (_, _, problem) in zip(paths, found, strict=True):
                if problem:
                    yield Record(path, row, None, problem)
                    break
            else:
                texts = [text for _, text, _ in found]
                faulty = next((i for i, text in enumerate(texts) if not text.strip()), 0)
                yield Record(paths[faulty], row, dict(zip(self.columns, texts, strict=True)))


class Tabbed:
    """Tab-separated columns without quoting; `header` is the line expected at the top, if any.

    The column `label` is read as a number where it is one. `member` names the file in a .zip.
    """

    def __init__(self, *columns: str, header: str = "", member: str = ""):
        self.columns, self.header, self.member = columns, header, member

    def records(self, paths: list[Path]) -> Iterator[Record]:
        (path,) = paths
        for row, text, problem in lines(path, self.member):
            if problem:
                yield Record(path, row, None, problem)
                continue
            if row == 1 and self.header:
                if text != self.header:
                    told = f"the header is {text[:60]!r}; expected {self.header!r}"
                    yield Record(path, row, None, told)
                continue
            cells = [cell.strip() for cell in text.split("\t")]
            if len(cells) != len(self.columns):
                told = (
                    f"has {len(cells)} tab-separated columns; expected {len(self.columns)} "
                    f"({', '.join(self.columns)})"
                )
                yield Record(path, row, None, told)
                continue
            values: dict = dict(zip(self.columns, cells, strict=True))
            if values.get("label", "").isdecimal():
                values["label"] = int(values["label"])
            yield Record(path, row, values)


class JsonLines:
    """One JSON object a line; `shape` turns it into the row that the registry promises."""

    def __init__(self, shape: Callable[[dict], dict] | None = None):
        self.shape = shape

    def records(self, paths: list[Path]) -> Iterator[Record]:
        (path,) = paths
        for row, text, problem in lines(path):
            values = None
            if not problem:
                values, problem = json_object(text)
            if values is not None and self.shape:
                values = self.shape(values)
            yield Record(path, row, values, problem)


def json_object(text: str) -> tuple[dict | None, str]:
    """Parses one line as a JSON object: (object, "") or (None, what is wrong)."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return None, f"bad JSON at column {error.colno} ({error.msg}); expected one object a line"
    if not isinstance(value, dict):
        return None, f"is a JSON {type(value).__name__}; expected an object"
    return value, ""


def dialogue_row(values: dict) -> dict:
    """DialogSum as id, document, summary, references: its test split has three summaries."""
    references = [values[key] for key in sorted(values) if key.startswith("summary")]
    topics = [values[key] for key in sorted(values) if key.startswith("topic")]
    return {
        "id": values.get("fname"),
        "document": values.get("dialogue"),
        "summary": references[0] if references else None,
        "references": references,
        "topic": topics[0] if topics else None,
    }


class Squad:
    """SQuAD's nested JSON, flattened to a row for each question; rows count questions.

    `mend` is for files whose offsets are known to be off: an answer is moved to its occurrence
    nearest to the recorded start, or gets start -1 where its words are not in the context.
    """

    def __init__(self, mend: bool = False):
        self.mend = mend

    def records(self, paths: list[Path]) -> Iterator[Record]:
        (path,) = paths
        # The whole text is needed: JSON cannot be parsed line by line. A problem found on the way
        # has the row that it was found in.
        texts = []
        for row, text, problem in lines(path):
            if problem:
                raise DataError(f"{path}, row {row}: {problem}.")
            texts.append(text)
        try:
            articles = json.loads("\n".join(texts))["data"]
            found = [
                (article["title"], paragraph["context"], question)
                for article in articles
                for paragraph in article["paragraphs"]
                for question in paragraph["qas"]
            ]
        except json.JSONDecodeError as error:
            raise DataError(
                f"{path}, row {error.lineno}: bad JSON at column {error.colno} ({error.msg}); "
                "expected SQuAD's layout."
            ) from None
        except (KeyError, TypeError) as error:
            raise DataError(
                f"{path}: not SQuAD's layout ({error!r} on the way data > paragraphs > qas)."
            ) from None
        for row, (title, context, question) in enumerate(found, 1):
            yield self._record(path, row, title, context, question)

    def _record(self, path, row, title, context, question) -> Record:
        try:
            answers = [
                {"text": answer["text"], "start": answer["answer_start"]}
                for answer in question["answers"]
            ]
            values = {
                "id": question["id"],
                "title": title,
                "context": context,
                "question": question["question"],
                "answers": answers,
            }
        except (KeyError, TypeError) as error:
            return Record(path, row, None, f"question {row} lacks {error}; expected SQuAD's keys")
        if self.mend:
            for answer in answers:
                answer["start"] = nearest(context, answer["text"], answer["start"])
        return Record(path, row, values)


def nearest(context: str, text: str, start: int) -> int:
    """The start of the occurrence of `text` in `context` nearest to `start`; -1 if there is none.

    Example:
        >>> nearest("a rose is a rose", "rose", 11)
        12
    """
    if start >= 0 and context.startswith(text, start):
        return start
    found, at = [], context.find(text)
    while at >= 0:
        found.append(at)
        at = context.find(text, at + 1)
    return min(found, key=lambda at: abs(at - start), default=-1)


def faults(values: dict, columns: tuple[Column, ...]) -> Iterator[str]:
    """Yields what is wrong with a row: missing columns, wrong types, unknown labels, empty text."""
    for column in columns:
        if column.name not in values:
            yield f"column {column.name!r} is missing; found {', '.join(values) or 'none'}"
            continue
        value = values[column.name]
        if column.kind == "text":
            if not isinstance(value, str):
                yield f"column {column.name!r} is {value!r}; expected text"
            elif not column.loose and not value.strip():
                yield f"column {column.name!r} is empty; expected text"
        elif column.kind == "label":
            if type(value) is not int or not 0 <= value < len(column.labels):
                told = " or ".join(f"{i} ({name})" for i, name in enumerate(column.labels))
                yield f"column {column.name!r} is {value!r}, an unknown label; expected {told}"
        elif column.kind == "integer":
            if type(value) is not int:
                yield f"column {column.name!r} is {value!r}; expected a whole number"
        elif column.kind == "texts":
            if not isinstance(value, list) or not value or not all(map(_is_text, value)):
                yield f"column {column.name!r} is {value!r:.60}; expected a list of texts"
        elif column.kind == "answers":
            yield from _answer_faults(values, column)
        elif not isinstance(value, dict):
            yield f"column {column.name!r} is {value!r:.60}; expected an object"


def _is_text(value) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _answer_faults(values: dict, column: Column) -> Iterator[str]:
    answers, context = values[column.name], values.get("context")
    if not isinstance(answers, list) or not isinstance(context, str):
        yield f"column {column.name!r} is {answers!r:.60}; expected a list of {{text, start}}"
        return
    for answer in answers:
        if not isinstance(answer, dict) or not _is_text(answer.get("text")):
            yield f"an answer is {answer!r:.60}; expected {{text, start}} with text"
            continue
        text, start = answer["text"], answer.get("start")
        if column.loose and start == -1:
            continue
        if type(start) is not int or start < 0 or not context.startswith(text, start):
            there = context[start : start + len(text)] if type(start) is int else ""
            yield (
                f"the answer {text[:40]!r} is said to start at {start!r}, "
                f"where the context has {there[:40]!r}"
            )
