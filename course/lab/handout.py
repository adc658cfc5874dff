"""What was handed out: a lesson's own cells, and the solution of an exercise.

In a source checkout they stand in `lessons/` and `solutions/`, in the wheel inside the package.
"""

import ast
import functools
import json
import re
import textwrap
from pathlib import Path

from course import exercises, runtime

_PACKAGE = Path(__file__).resolve().parents[1]
_LESSONS = (_PACKAGE.parent / "lessons", _PACKAGE / "lessons")
_SOLUTIONS = (_PACKAGE.parent / "solutions", _PACKAGE / "lab" / "solutions")
_KEY = re.compile(r"^# exercise: *(\S+)", re.MULTILINE)


@functools.cache
def cells(lesson):
    """The cells of a lesson's notebook as they are handed out.

    Args:
        lesson: its name.

    Returns:
        A tuple of (id, kind, text); empty where the notebook is not there or cannot be read.
    """
    for folder in _LESSONS:
        try:
            made = json.loads((folder / exercises.about(lesson).file).read_text(encoding="utf-8"))
            return tuple(
                (cell.get("id", ""), cell["cell_type"], "".join(cell["source"]))
                for cell in made["cells"]
            )
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return ()


def exercise_of(text):
    """The id in the first comment of an exercise's cell, or None."""
    match = _KEY.search(text)
    return match[1] if match else None


def is_unchanged(exercise, text):
    """Whether a definition is the one that was handed out, comments and layout aside.

    Args:
        exercise: the `Exercise`.
        text: the text of the student's cell or definition; None where it is not known.
    """
    given = next((t for _, _, t in cells(exercise.lesson) if exercise_of(t) == exercise.id), None)
    if not text or given is None:
        return False
    mine = _definition(text, exercise.defines)
    return mine is not None and mine == _definition(given, exercise.defines)


def solution(exercise):
    """The text of an exercise's solution, or None where the solutions are not there."""
    about = exercises.about(exercise.lesson)
    for folder in _SOLUTIONS:
        try:
            text = (folder / f"{about.number}_{about.name}.py").read_text(encoding="utf-8")
        except OSError:
            continue
        for cell in re.split(r"^# %%", text, flags=re.MULTILINE):
            header, _, body = cell.partition("\n")
            if f'exercise="{exercise.id}"' in header:
                return _solved(body)
    return None


def heading_of(question):
    """(the heading above a question, the id of its cell), or (None, None)."""
    heading = None
    for cell_id, kind, text in cells(question.id.partition(".")[0]):
        if kind == "markdown":
            found = re.findall(r"^#+ +(.+)$", text, flags=re.MULTILINE)
            heading = found[-1].strip() if found else heading
        elif f'"{question.id}"' in text:
            return heading, cell_id
    return None, None


@functools.cache
def names_bound(lesson):
    """The names that the lesson's own cells make: imports, functions, variables."""
    bound = set()
    for _, kind, text in cells(lesson):
        if kind != "code":
            continue
        try:
            tree = runtime.parse_source(text)
        except SyntaxError:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                bound.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                bound.update(item.asname or item.name.partition(".")[0] for item in node.names)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                bound.add(node.id)
    return frozenset(bound)


def _definition(text, name):
    """The syntax tree of what a text defines under a name, as text; None if it does not."""
    try:
        tree = runtime.parse_source(textwrap.dedent(text))
    except SyntaxError:
        return None
    for node in tree.body:
        if getattr(node, "name", None) == name:
            return ast.dump(node)
    return None


def _solved(body):
    """A solution's cell without the marks of its region and without what is handed out instead."""
    lines = [line for line in body.split("\n") if not re.match(r"\s*# ?~", line)]
    kept = [line for line in lines if not re.match(r"\s*### (BEGIN|END) SOLUTION", line)]
    return "\n".join(kept).strip()
