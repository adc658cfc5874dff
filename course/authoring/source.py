"""Reads a lesson's source and holds it to the conventions in the package's docstring."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import jupytext

from course import exercises
from course.authoring import conventions
from course.authoring.conventions import BEGIN, END, STUB_LINE

OPTIONS = {"exercise", "predict", "tags"}
_HEADER = re.compile(r"^# %%", re.MULTILINE)
_NAME = re.compile(r"^(\d\d)_([a-z][a-z0-9_]*)$")


@dataclass(frozen=True)
class Finding:
    """Something that is out of step.

    Attributes:
        file: its path below the course's root.
        cell: which cell, in words; "" where the whole file is meant.
        message: what is wrong and what to do.
    """

    file: str
    cell: str
    message: str

    def __str__(self):
        return ", ".join(filter(None, (self.file, self.cell))) + f": {self.message}"


class AuthoringError(Exception):
    """A lesson cannot be built; `findings` says why, cell by cell."""

    def __init__(self, findings):
        self.findings = [findings] if isinstance(findings, Finding) else list(findings)
        super().__init__("\n".join(str(finding) for finding in self.findings))


@dataclass(frozen=True)
class SourceCell:
    """A cell of the source.

    Attributes:
        kind: "markdown" or "code".
        body: its text, as in the source.
        place: where it stands, in words: "cell 3 (line 41)".
        exercise: the `Exercise` that it is for, or None.
        question: the `Question` that it asks, or None.
        tags: its tags.
    """

    kind: str
    body: str
    place: str
    exercise: object = None
    question: object = None
    tags: tuple = ()

    @property
    def solved(self):
        """The text in the solution notebook."""
        if self.question and not self.body:
            return _asked(self.question, self.question.answer)
        lines = [line for line in self.body.split("\n") if not STUB_LINE.match(line)]
        if self.question:  # the markers are for exercises: nbgrader reads them
            lines = [line for line in lines if line.strip() not in (BEGIN, END)]
        return "\n".join(lines)

    @property
    def marked(self):
        """The text that is to be cleared: a region wherever the two notebooks differ."""
        if self.question and not self.body:
            return f"{BEGIN}\n{self.solved}\n{END}"
        return self.body

    @property
    def stub(self):
        """What the region is replaced with, without its indentation; None for the usual stub."""
        if self.question and not self.body:
            return _asked(self.question, "?")
        inside, found = None, []
        for line in self.body.split("\n"):
            if line.strip() == BEGIN:
                inside = len(line) - len(line.lstrip())
            elif line.strip() == END:
                inside = None
            elif inside is not None and (match := STUB_LINE.match(line)):
                found.append((match[1] + (match[2] or ""))[inside:])
        return "\n".join(found).rstrip() if found else None


@dataclass(frozen=True)
class Source:
    """A lesson's source, read and found in order.

    Attributes:
        path: the file.
        lesson: the `Lesson` that it belongs to.
        text: the whole file.
        cells: its `SourceCell`s.
    """

    path: Path
    lesson: object
    text: str
    cells: tuple = field(default=())

    @property
    def name(self):
        """Number and name, as in "02_attention"."""
        return self.path.stem


def _asked(question, answer):
    return f'predict("{question.id}", "{answer}")'


def sources(root, lessons=None):
    """The source files of a course, in order.

    Args:
        root: the course's folder.
        lessons: names ("attention"), numbers ("02") or both ("02_attention"); None for all.

    Raises:
        AuthoringError: naming a lesson that has no source.
    """
    found = sorted((Path(root) / "solutions").glob("*.py"))
    if lessons is None:
        return found
    chosen = []
    for wanted in [lessons] if isinstance(lessons, str) else lessons:
        match = [p for p in found if wanted in (p.stem, *p.stem.split("_", 1))]
        if not match:
            known = ", ".join(p.stem for p in found) or "none"
            message = f"no source for lesson {wanted!r}; there are {known}"
            raise AuthoringError(Finding("solutions", "", message))
        chosen += match
    return sorted(set(chosen))


def read(path):
    """Reads a source and holds it to the conventions.

    Args:
        path: `solutions/NN_name.py`.

    Returns:
        A `Source`.

    Raises:
        AuthoringError: with every finding, each with its cell.
    """
    path = Path(path)
    file = f"solutions/{path.name}"
    match = _NAME.match(path.stem)
    if not match:
        raise AuthoringError(Finding(file, "", "a source is named NN_name.py"))
    try:
        lesson = exercises.about(match[2])
    except KeyError as error:
        raise AuthoringError(Finding(file, "", f"{error.args[0]} in course/exercises")) from None
    if lesson.number != match[1]:
        message = f"course/exercises/{match[2]}.py gives it the number {lesson.number}"
        raise AuthoringError(Finding(file, "", message))
    return read_cells(path, lesson, file)


def read_cells(path, lesson, file, title=True):
    """Reads the cells of a file in the format of a source.

    Args:
        path: the file.
        lesson: the `Lesson` whose exercises it holds.
        file: its name in messages.
        title: whether the first cell has to be the lesson's title.

    Returns:
        A `Source`.

    Raises:
        AuthoringError: with every finding, each with its cell.
    """
    text = path.read_text(encoding="utf-8").replace("\r\n", "\n")
    findings = []
    cells = tuple(_cells(text, lesson, file, findings))
    findings += [Finding(file, *rest) for rest in conventions.of_lesson(cells, lesson, title)]
    if findings:
        raise AuthoringError(findings)
    return Source(path, lesson, text, cells)


def _cells(text, lesson, file, findings):
    start = _HEADER.search(text)
    if start is None:
        findings.append(Finding(file, "", "no cell: a cell begins with a line `# %%`"))
        return
    head = text[: start.start()]
    if any(line and not line.startswith("#") for line in head.splitlines()):
        message = "code before the first `# %%` would be in no cell; only comments stand there"
        findings.append(Finding(file, "", message))
    notebook = jupytext.reads(text[start.start() :], fmt="py:percent")
    lines = [text.count("\n", 0, match.start()) + 1 for match in _HEADER.finditer(text)]
    exact = len(lines) == len(notebook.cells)
    for index, cell in enumerate(notebook.cells):
        place = f"cell {index + 1}" + (f" (line {lines[index]})" if exact else "")
        made, messages = _cell(cell, place, lesson)
        findings += [Finding(file, place, message) for message in messages]
        yield made


def _cell(cell, place, lesson):
    """One cell and what is wrong with it."""
    options = {k: v for k, v in cell.metadata.items() if k not in ("lines_to_next_cell",)}
    messages = [
        f"unknown option {name!r}; there are {', '.join(sorted(OPTIONS))}"
        for name in options.keys() - OPTIONS
    ]
    exercise = question = None
    try:
        if given := options.get("exercise"):
            exercise = exercises.find(given)
        if given := options.get("predict"):
            question = exercises.find_question(given)
    except KeyError as error:
        messages.append(error.args[0])
    for item in (exercise, question):
        if item and item.id.partition(".")[0] != lesson.name:
            messages.append(f"{item.id} belongs to another lesson")
    body, kind = cell.source, cell.cell_type
    if kind not in ("markdown", "code"):
        messages.append(f"a {kind} cell; there are markdown and code cells")
    tags = tuple(options.get("tags", ()))
    made = SourceCell(kind, body, place, exercise, question, tags)
    return made, messages + conventions.of_cell(made)
