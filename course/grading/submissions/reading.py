"""Reads one file of a student's as plain data: its cells, its lesson, where its answers stand.

All that parses a student's bytes is called from here, in a process of its own (see `reader`). What
it gives is JSON of bounded size, so that the grader itself never meets the bytes. A cell that
Python's own parser trips over costs that cell alone.
"""

import hashlib
import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from course.grading.results import similarity
from course.grading.submissions import handout, matching, notebooks

MOST_CODE = 5_000_000  # characters of all code cells
MOST_CELLS = 5_000
LONGEST_CELL = 200_000  # characters; a longer one is run, and no answer is looked for in it
ENOUGH = 0.8  # seconds of computing, after which only cells that mention an exercise are read
NOT_PYTHON = "%%not-read\n"  # stands for the text of a cell that is not looked into


@dataclass(frozen=True)
class Scan:
    """Where the answers of a file stand.

    Attributes:
        found: {exercise id: `matching.Found`}.
        needless: indices of cells that need not run, see `handout`.
        statements: {index: ((line, text), …)} of each cell that answers an exercise.
        pieces: what `similarity` compares, as numbers.
    """

    found: dict
    needless: set = field(default_factory=set)
    statements: dict = field(default_factory=dict)
    pieces: frozenset = frozenset()


def scan(document, exercises, handed_out=()):
    """Finds the answers in a document.

    Args:
        document: a `notebooks.Document`.
        exercises: the exercises, each with `id` and `defines`.
        handed_out: the texts that `handout.cells_of` gives.
    """
    found = matching.match(document, exercises)
    needless = handout.needless(document, found, handed_out) if handed_out else set()
    answers = {each.index for each in found.values() if each.status != "missing"}
    statements = {
        cell.index: matching.statements_of(cell.source)
        for cell in document.cells
        if cell.index in answers
    }
    sources = [each.source for each in found.values() if each.source]
    return Scan(found, needless, statements, frozenset(similarity.pieces(sources)))


def about_lessons(lessons, exercises_of, handed_out_of):
    """What `read_file` needs to know of lessons, as plain data.

    Args:
        lessons: {name: `Lesson`}.
        exercises_of: `exercises_of(name) -> list of Exercise`, as they are graded.
        handed_out_of: `handed_out_of(name) -> texts of the lesson's cells`.
    """
    return {
        name: {
            "number": about.number,
            "exercises": [[each.id, each.defines] for each in exercises_of(name)],
            "handed_out": sorted(handed_out_of(name)),
        }
        for name, about in lessons.items()
    }


def read_file(known, path, only=None, skip=(), at=lambda index: None):
    """Reads a file.

    Args:
        known: what `about_lessons` gives.
        path: the file.
        only: the lesson that is asked for; found from the file if None.
        skip: indices of cells that are not looked into.
        at: called with the index of each cell before it is looked into, -1 before the first.

    Returns:
        A dict with "unreadable" (the reason), or with "cells", "flags", "lesson" and "scan".
    """
    at(-1)
    path = Path(path)
    try:
        document = notebooks.read(path)
        _bounded(document)
    except notebooks.Unreadable as error:
        nothing = notebooks.Document(())  # its name may still say the lesson
        lesson = _lesson_of(path, nothing, known) or only
        return {"unreadable": str(error), "lesson": lesson, "content": _content(path)}
    looked_into, flags = _looked_into(document, skip, at, _words(known))
    lesson = _lesson_of(path, looked_into, known)
    answer = {
        "cells": [[cell.source, cell.grade_id] for cell in document.cells],
        "flags": [*document.flags, *flags],
        "lesson": lesson,
        "content": _content(path),
    }
    if asked := lesson or only:
        exercises = [SimpleNamespace(id=i, defines=d) for i, d in known[asked]["exercises"]]
        # What a cell that was not looked into uses is not known: then every cell is run.
        handed_out = set() if flags else set(known[asked]["handed_out"])
        answer["scan"] = _as_data(scan(looked_into, exercises, handed_out))
    return answer


def _bounded(document):
    if len(document.cells) > MOST_CELLS:
        raise notebooks.Unreadable(
            f"it has {len(document.cells):,} code cells; at most {MOST_CELLS:,}"
        )
    size = sum(len(cell.source) for cell in document.cells)
    if size > MOST_CODE:
        raise notebooks.Unreadable(
            f"its code has {size / 1e6:.0f} million characters; at most {MOST_CODE / 1e6:.0f}"
        )


def _words(known):
    """A pattern of what a cell with an answer says: a comment key, or a name that is asked for."""
    names = {name for about in known.values() for _, name in about["exercises"]}
    return re.compile(r"exercise[ \t]*:|\b(?:" + "|".join(map(re.escape, names)) + r")\b", re.I)


def _looked_into(document, skip, at, words):
    """(the document with the cells that no parser takes blanked, flags that say so).

    When a good part of the time is used up, or a reading before was ended, only cells that mention
    an exercise are looked into.
    """
    cells, flags = [], []
    for cell in document.cells:
        why = f"it has {len(cell.source):,} characters" if len(cell.source) > LONGEST_CELL else ""
        why = "that takes too much time or memory" if cell.index in skip else why
        if (skip or time.process_time() > ENOUGH) and not why and not words.search(cell.source):
            why = "others took the time"
        if not why:
            at(cell.index)
            try:
                matching.parse(cell)
                handout.names_of(cell.source)
                matching.statements_of(cell.source)
            except Exception as error:  # a parser that trips over odd text
                why = type(error).__name__
        if why:
            flags.append(f"{cell.label} was not searched for answers: {why}")
            cell = notebooks.Cell(cell.index, NOT_PYTHON, cell.grade_id)
        cells.append(cell)
    return notebooks.Document(tuple(cells), document.metadata, document.flags), flags


def _lesson_of(path, document, known):
    lessons = {name: SimpleNamespace(**about) for name, about in known.items()}

    def exercises_of(name):
        return [SimpleNamespace(id=i, defines=d) for i, d in known[name]["exercises"]]

    return matching.lesson_of(path, document, lessons, exercises_of)


def _content(path):
    """A hash of a file's bytes; of one that is too large, its size and date."""
    state = path.stat()
    if state.st_size > notebooks.LARGEST:
        return f"{state.st_size} bytes of {state.st_mtime_ns}"
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _as_data(scan):
    return {
        "found": {
            name: [each.status, each.how, each.index, each.source, list(each.flags)]
            for name, each in scan.found.items()
        },
        "needless": sorted(scan.needless),
        "statements": {str(index): list(its) for index, its in scan.statements.items()},
        "pieces": sorted(scan.pieces),
    }


def document_of(answer):
    """The `notebooks.Document` of what `read_file` gives."""
    cells = [notebooks.Cell(i, *cell) for i, cell in enumerate(answer["cells"])]
    return notebooks.Document(tuple(cells), {}, tuple(answer["flags"]))


def scan_of(answer):
    """The `Scan` of what `read_file` gives, or None."""
    data = answer.get("scan")
    if data is None:
        return None
    return Scan(
        {
            name: matching.Found(status, how, index, source, tuple(flags))
            for name, (status, how, index, source, flags) in data["found"].items()
        },
        set(data["needless"]),
        {
            int(index): tuple((line, text) for line, text in its)
            for index, its in data["statements"].items()
        },
        frozenset(data["pieces"]),
    )
