"""Questions with their contexts and answers: SQuAD's and CMRC's files, and a user's own."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from course import data
from course.data import DataError
from course.data.formats import nearest
from course.data.tables import raw_rows

MOST = 10  # problems of a file that are shown; the others are counted


class AnswerText(NamedTuple):
    """An answer that somebody gave: its words, and the character of the context it starts at."""

    text: str
    start: int


@dataclass(frozen=True)
class Question:
    """A question on a text.

    Attributes:
        id: its name.
        question: its words.
        context: the text.
        answers: tuple of `AnswerText`s; empty where there is none.
        title: of the article that the context is from.
        kind: what sort of question it is, if the data set says so.
    """

    id: str
    question: str
    context: str
    answers: tuple = ()
    title: str = ""
    kind: str = field(default="", compare=False)

    @property
    def texts(self):
        """The words of its answers."""
        return [answer.text for answer in self.answers]


class Read(NamedTuple):
    """What was read: the questions, and sentences on what was mended or left out."""

    questions: list
    notes: list


def read_questions(source, split=None):
    """Reads questions from a named data set, from SQuAD's JSON, or from a table.

    A table is CSV, TSV or JSONL with the columns `question`, `context`, `answer` and, where it
    has them, `start`, `id`, `title`. An empty answer means that there is none. Without `start` the
    answer's first occurrence counts, and how many had several is told. JSON is SQuAD's v1.1 or
    v2.0, or CMRC 2018's in the same layout.

    Args:
        source: a name of `data.names()`, or the path of a file.
        split: of a named data set.

    Returns:
        `Read`: the list of `Question`s, and the notes.

    Raises:
        DataError: naming each problem with its row or question.
    """
    if str(source) in data.names():
        rows = data.load(str(source), split or "train")
        whole = [row for row in rows if row["question"].strip() and row["context"].strip()]
        read = _checked(source, ((row["id"], row) for row in whole))
        if empty := len(rows) - len(whole):
            read.notes.append(f"{empty:,} questions are empty: they are left out")
        return read
    path = Path(source).expanduser()
    kind = [s for s in path.suffixes if s.lower() not in (".gz", ".xz")][-1:]
    if kind == [".json"]:
        return _checked(path, _squad(path))
    return _table(path)


def split_by_title(questions, sizes, seed=0):
    """Divides questions by their articles, so that no text is on two sides.

    Args:
        questions: list of `Question`s.
        sizes: {name of a split: number of articles}; together at most as many as there are.
        seed: which articles go where.

    Returns:
        {name: list of `Question`s}.

    Raises:
        ValueError: if there are too few articles.
    """
    keys = [q.title or q.context for q in questions]
    titles = sorted(set(keys))
    if sum(sizes.values()) > len(titles):
        raise ValueError(
            f"{len(titles)} articles cannot be divided into {sizes}: give smaller sizes, or a "
            "column `title`."
        )
    order, found, at = np.random.default_rng(seed).permutation(len(titles)), {}, 0
    for name, size in sizes.items():
        some = {titles[i] for i in order[at : at + size]}
        found[name] = [q for q, key in zip(questions, keys, strict=True) if key in some]
        at += size
    return found


def _squad(path):
    """(name, row) of each question of a JSON file in SQuAD's layout."""
    from course.data.formats import lines

    if not path.is_file():
        raise DataError(f"{path}: no such file.")
    text = []
    for row, line, problem in lines(path):
        if problem:
            raise DataError(f"{path}, row {row}: {problem}.")
        text.append(line)
    try:
        articles = json.loads("\n".join(text))["data"]
        for article in articles:
            for paragraph in article["paragraphs"]:
                for asked in paragraph["qas"]:
                    impossible = bool(asked.get("is_impossible", False))
                    answers = [] if impossible else asked["answers"]
                    yield (
                        str(asked["id"]),
                        {
                            "context": paragraph["context"],
                            "question": asked["question"],
                            "title": article.get("title", ""),
                            "answers": [
                                {"text": a["text"], "start": a["answer_start"]} for a in answers
                            ],
                        },
                    )
    except json.JSONDecodeError as error:
        raise DataError(
            f"{path}, row {error.lineno}: bad JSON at column {error.colno} ({error.msg}); expected "
            "SQuAD's layout."
        ) from None
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not SQuAD's layout ({error!r} on the way data > paragraphs > qas > answers)."
        ) from None


def _table(path):
    """A user's own file."""
    rows, problems = raw_rows(path)
    have = set().union(*(row for _, row in rows))
    lacking = [name for name in ("question", "context", "answer") if name not in have]
    if lacking:
        raise DataError(
            f"{path}: there is no column {' and none '.join(lacking)}; it has "
            f"{', '.join(sorted(have))}. Expected question, context, answer, and start if known."
        )
    found = []
    for number, row in rows:
        answer, start = (str(row.get(name) or "").strip() for name in ("answer", "start"))
        answers = []
        if answer:
            if start and not start.lstrip("-").isdigit():
                problems.append(f"row {number}: start is {start!r}, expected a whole number")
                continue
            answers = [{"text": answer, "start": int(start) if start else None}]
        elif start:
            problems.append(f"row {number}: there is a start, {start}, and no answer")
        found.append(
            (
                str(row.get("id") or f"row {number}"),
                {
                    "context": str(row["context"] or ""),
                    "question": str(row["question"] or ""),
                    "title": str(row.get("title") or ""),
                    "answers": answers,
                },
            )
        )
    return _checked(path, found, problems)


def _checked(source, rows, problems=()):
    """`Question`s of rows; answers are looked for in their contexts."""
    problems, found, names = list(problems), [], set()
    moved, absent, several = 0, 0, 0
    for name, row in rows:
        for column in ("question", "context"):
            if not str(row[column]).strip():
                problems.append(f"{name}: the {column} is empty")
        if name in names:
            problems.append(f"{name}: there is a question of this id before")
        names.add(name)
        answers = []
        for answer in row["answers"]:
            text, start = answer["text"], answer["start"]
            if not isinstance(text, str) or not (start is None or isinstance(start, int)):
                problems.append(f"{name}: an answer is {text!r} at {start!r}")
                continue
            if not text.strip():
                problems.append(f"{name}: an answer is empty; without an answer give none")
                continue
            place = nearest(row["context"], text, 0 if start is None else start)
            several += start is None and row["context"].count(text) > 1
            absent += place < 0
            moved += place >= 0 and start not in (None, place)
            answers.append(AnswerText(text, place))
        found.append(
            Question(
                id=name,
                question=row["question"],
                context=row["context"],
                answers=tuple(answers),
                title=row.get("title", ""),
                kind=row.get("kind", ""),
            )
        )
    if problems:
        more = len(problems) - MOST
        shown = "\n".join(f"  {problem}" for problem in problems[:MOST])
        raise DataError(
            f"{source}: {len(problems):,} problem{'s' * (len(problems) > 1)}. Correct the file and "
            f"read it again.\n{shown}" + (f"\n  … and {more:,} more" if more > 0 else "")
        )
    if not found:
        raise DataError(f"{source}: there are no questions.")
    told = {
        "answers were not at their start: the nearest place with the same words counts": moved,
        "answers are not in their contexts: they count for scores, and are not learned": absent,
        "answers had no start and stand several times in their context: the first counts": several,
    }
    return Read(found, [f"{count:,} {what}" for what, count in told.items() if count])
