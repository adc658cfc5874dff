"""Makes the two notebooks of a source: the solution, and the lesson that nbgrader clears."""

import hashlib
import re
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course import runtime
from course.authoring import template
from course.authoring.conventions import KEY, check_of
from course.authoring.source import AuthoringError, Finding

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
# No version of Python: it would change with the machine that builds.
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"}
# These run, but what they print belongs to one machine and one moment.
VOLATILE = ("timing", "setup")


def grade_id(exercise_id, role=""):
    """nbgrader's name for a cell: letters, digits, - and _ only."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", exercise_id) + role


def grading(exercise_id, role="", points=None):
    """nbgrader's metadata: the student's cell, or with a role the check or the grade beside it."""
    found = {
        "grade": role == "-grade",
        "grade_id": grade_id(exercise_id, role),
        "locked": bool(role),
        "schema_version": 3,
        "solution": not role,
        "task": False,
    }
    return found | ({"points": plain(points)} if role == "-grade" else {})


def plain(points):
    """Points without a needless ".0"."""
    return int(points) if float(points).is_integer() else float(points)


def worth(exercise, points=None):
    """The comment line that says what an exercise is worth."""
    points = exercise.points if points is None else points
    unit = "point" if points == 1 else "points"
    return f"# {points:g} {unit}, about {exercise.minutes} minutes"


def grade_source(exercise_id, points, declared):
    """The code of a grade cell: it ends in a plain number, between 0 and the points."""
    call = f'grade("{exercise_id}")'
    if points != declared:  # rounded, since nbgrader refuses 3.0000000000000004 of 3
        call = f"round({call} * {plain(points):g} / {plain(declared):g}, 6)"
    return f"# For grading: what the cell above earns. Leave this cell as it is.\n{call}"


def keyed(exercise, text, points=None):
    """An exercise's text with the comment lines that the builder writes at its top."""
    first, _, rest = text.partition("\n")
    text = rest if first.startswith(KEY) else text
    return f"{KEY}{exercise.id}\n{worth(exercise, points)}\n{text}"


def solution(source, root):
    """The solution notebook of a source, not executed.

    Args:
        source: what `source.read` gives.
        root: the course's folder, for the settings.

    Returns:
        (notebook, places): one place for each cell, in words, for messages.
    """
    ids, cells, places = _Ids(source.lesson.name), [], []

    def add(cell, place):
        cells.append(cell)
        places.append(place)

    path = f"solutions/{source.name}.ipynb"
    add(ids.text(template.badge(root, path), "badge"), "the badge")
    checks = {
        check_of(source.cells, index): cell.exercise
        for index, cell in enumerate(source.cells)
        if cell.exercise
    }
    for index, cell in enumerate(source.cells):
        add(_solved(cell, ids, checks.get(index)), cell.place)
        if index == 0:
            code = template.setup_cell(root, source.lesson.name)
            add(ids.code(code, "setup", {"tags": _tags(["setup"])}), "the setup cell")
        if exercise := checks.get(index):
            add(_grade(exercise, ids), f"the grade cell of {exercise.id}")
    return _notebook(cells, source, "solution"), places


def lesson(source, root):
    """The lesson notebook of a source: the solution's cells, cleared and locked by nbgrader.

    Raises:
        AuthoringError: naming a cell whose stub does not run.
    """
    from nbgrader import preprocessors as nbgrader

    made, places = solution(source, root)
    path = f"lessons/{source.name}.ipynb"
    made.cells[0].source = template.badge(root, path)
    made.metadata["course"]["kind"] = "lesson"
    by_place = {cell.place: cell for cell in source.cells}
    resources = {"language": "python"}
    for index, (cell, place) in enumerate(zip(made.cells, places, strict=True)):
        written = by_place.get(place)
        if written is None or not (written.exercise or written.question):
            continue
        cell.source = written.marked
        if written.exercise:
            cell.source = keyed(written.exercise, written.marked)
        options = {} if written.stub is None else {"code_stub": {"python": written.stub}}
        # A question is no solution cell for nbgrader: it has no points.
        clear = nbgrader.ClearSolutions(enforce_metadata=bool(written.exercise), **options)
        clear.preprocess_cell(cell, resources, index)
        cell.source = "\n".join(line.rstrip() for line in cell.source.split("\n"))
        try:
            compile(cell.source, "stub", "exec")
        except SyntaxError as error:
            message = f"what the student gets is not Python: {error.msg}, line {error.lineno}"
            raise AuthoringError(Finding(f"solutions/{source.path.name}", place, message)) from None
    return finish(made)


def finish(made):
    """Locks and sums up a notebook for students with nbgrader's own steps."""
    from nbgrader import preprocessors as nbgrader

    resources = {}
    for step in (
        nbgrader.ClearOutput(),
        nbgrader.LockCells(),
        nbgrader.ComputeChecksums(),
        nbgrader.CheckCellMetadata(),
    ):
        made, resources = step.preprocess(made, resources)
    return made


def _solved(cell, ids, checked):
    if cell.kind == "markdown":
        return ids.text(cell.body)
    metadata = {"tags": _tags(cell.tags)} if cell.tags else {}
    if cell.exercise:
        metadata["course"] = {"exercise": cell.exercise.id}
        metadata["nbgrader"] = grading(cell.exercise.id)
        return ids.code(keyed(cell.exercise, cell.solved), cell.exercise.id, metadata)
    if cell.question:
        metadata["course"] = {"question": cell.question.id}
        return ids.code(cell.solved, cell.question.id, metadata)
    if checked:
        metadata["nbgrader"] = grading(checked.id, "-check")
        return ids.code(cell.body, checked.id + "-check", metadata)
    return ids.code(cell.body, None, metadata)


def _grade(exercise, ids):
    points = exercise.points
    # Points are the one output that is the same to the letter everywhere: nbval compares them.
    metadata = {
        "nbgrader": grading(exercise.id, "-grade", points),
        "tags": ["nbval-check-output"],
    }
    return ids.code(grade_source(exercise.id, points, points), exercise.id + "-grade", metadata)


def _tags(tags):
    """The tags; nbval runs a volatile cell and does not compare what it prints."""
    volatile = any(tag in VOLATILE for tag in tags)
    return sorted({*tags, *(["nbval-ignore-output"] if volatile else [])})


class _Ids:
    """Cell ids that depend on nothing but the lesson and the cell's own key or text."""

    def __init__(self, lesson):
        self.lesson, self.used = lesson, set()

    def text(self, body, key=None):
        return new_markdown_cell(body, id=self.next(body, key))

    def code(self, body, key, metadata):
        return new_code_cell(body, id=self.next(body, key), metadata=metadata)

    def next(self, body, key):
        own = key or hashlib.sha256(body.encode()).hexdigest()[:8]
        name = own if own.startswith(f"{self.lesson}.") else f"{self.lesson}-{own}"
        name = grade_id(name)[:60]
        count = 1
        while (found := name if count == 1 else f"{name}-{count}") in self.used:
            count += 1
        self.used.add(found)
        return found


def _notebook(cells, source, kind):
    made = new_notebook(cells=cells)
    made.nbformat_minor = 5
    made.metadata["kernelspec"] = dict(KERNEL)
    made.metadata["language_info"] = dict(LANGUAGE)
    made.metadata["course"] = {
        "kind": kind,
        "lesson": source.lesson.name,
        "source_hash": digest(source.text),
    }
    return made


def digest(text):
    """A short sha256, enough to tell two versions of a file apart."""
    data = text if isinstance(text, bytes) else text.encode()
    return hashlib.sha256(data).hexdigest()[:32]


def load(path):
    """The notebook at a path, or None where there is none or it cannot be read."""
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        return None
    except (ValueError, AttributeError, KeyError, TypeError, nbformat.ValidationError):
        return None  # damaged: built anew, and reported by the check


def save(made, path):
    """Writes a notebook whole or not at all, and not where nothing has changed.

    Returns:
        True if the file was written.
    """
    path = Path(path)
    nbformat.validate(made)
    data = (nbformat.writes(made, version=4).rstrip("\n") + "\n").encode()
    if path.exists() and path.read_bytes() == data:
        return False
    runtime.write_atomically(path, data)
    return True
