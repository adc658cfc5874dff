"""Makes a class's handout of a lesson: own points, a deadline, exercises left out or added.

A handout is a folder with the notebook and `assignment.toml`, which the grader reads:

    lesson = "attention"
    deadline = 2026-12-01T23:59:00Z
    leave_out = ["attention.cost"]
    extra = "extra"

    [points]
    "attention.masks" = 3

All but `lesson` may be absent. `[points]` scales the points of an exercise's probes. `extra` is a
folder beside the file with exercises of the instructor's own. Each stands in two files:

    extra/recap.py          a module like course/exercises/start/: LESSON, EXERCISES, QUESTIONS;
                            ids begin with its name, as in "recap.three_masks"
    extra/cells/recap.py    its cells, in the format of a lesson's source; they follow the lesson's

The notebook finds the modules because the folder joins the search path of `course.exercises`.

With nbgrader the handout is the source of an assignment, `source/attention/`. It is cleared
already, and the first import of a framework may take longer than the 30 s that nbgrader gives a
cell, so nbgrader_config.py says

    c.ClearSolutions.enabled = False
    c.Execute.timeout = 300
"""

import contextlib
import difflib
import importlib
import shutil
import sys
import tomllib
from datetime import datetime
from pathlib import Path

from nbformat.v4 import new_code_cell

from course import exercises, runtime
from course.authoring import notebook
from course.authoring.conventions import KEY
from course.authoring.source import AuthoringError, Finding, read_cells, sources

NOT_GRADED = "# Not graded in this class."
EXTRA = """\
# The exercises from here on are your instructor's own: the folder "extra" beside this notebook.
import course.exercises

course.exercises.__path__.append("extra")"""


def release(
    lesson,
    out,
    *,
    points=None,
    deadline=None,
    leave_out=(),
    extra=None,
    solutions=True,
    root=".",
):
    """Makes the handout of a lesson.

    Args:
        lesson: its name ("attention") or number ("02").
        out: the folder to write: the notebook, assignment.toml and, if there is one, extra/.
        points: {exercise id: points}, or the path of a TOML file with a table [points]. Such a
            file may be an earlier assignment.toml: its deadline and leave_out hold unless given.
        deadline: a datetime or its ISO text, with a time zone: "2026-12-01T23:59:00Z".
        leave_out: ids of exercises that are not graded. They stay in the notebook as practice.
        extra: a folder with exercises of your own, see the module's docstring.
        solutions: whether `solution(...)` shows the course's solutions to who tried three times.
        root: the course's folder, with built notebooks.

    Returns:
        The path of the notebook.

    Raises:
        ValueError: naming the argument that is wrong and what was expected.
        AuthoringError: if a notebook is missing or the extra cells break a convention.
    """
    root, out = Path(root), Path(out)
    path = sources(root, [lesson])[0].with_suffix(".ipynb").name
    made = notebook.load(root / "lessons" / path)
    if made is None:
        raise AuthoringError(Finding(f"lessons/{path}", "", "missing; run `course build` first"))
    name = made.metadata["course"]["lesson"]
    given = _table(points)
    points = given.get("points", {})
    deadline = _moment(deadline if deadline is not None else given.get("deadline"))
    leave_out = list(leave_out or given.get("leave_out", ()))
    with _own_exercises(extra) as added:
        known = {e.id: e for each in (name, *added) for e in exercises.of_lesson(each)}
        _known("points", points, known)
        _known("leave_out", leave_out, {i: e for i, e in known.items() if e.lesson == name})
        for each, value in points.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise ValueError(
                    f"points: {each} = {value!r}, expected a number above 0; "
                    "to give no points, leave the exercise out"
                )
        extra_cells = [cell for each in added for cell in _cells_of(each, extra, root)]
        if extra_cells:
            made.cells += [new_code_cell(EXTRA, id=f"{name}-extra"), *extra_cells]
        made.cells = list(_graded(made.cells[1:], known, points, leave_out))  # without the badge
    if not solutions:
        for cell in made.cells:
            if "setup" in cell.metadata.get("tags", ()):
                call = f'setup("{name}"'
                cell.source = cell.source.replace(f"{call})", f"{call}, solutions=False)")
    made.metadata["course"] = {"kind": "handout", "lesson": name}
    if deadline:
        made.metadata["course"]["deadline"] = deadline.isoformat()
        made.cells[0].source += f"\n\n**Hand in by {_people(deadline)}.**"
    out.mkdir(parents=True, exist_ok=True)
    if added and Path(extra).resolve() != (out / "extra").resolve():
        ignore = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
        shutil.copytree(extra, out / "extra", dirs_exist_ok=True, ignore=ignore)
    notebook.save(notebook.finish(made), out / path)
    told = _toml(name, deadline, leave_out, bool(added), points)
    runtime.write_atomically(out / "assignment.toml", told.encode())
    return out / path


def _table(points):
    """The TOML table that `points` stands for."""
    if points is None or isinstance(points, dict):
        return {"points": points or {}}
    try:
        found = tomllib.loads(Path(points).read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"points: {points} is not TOML: {error}") from None
    if unknown := found.keys() - {"lesson", "deadline", "leave_out", "extra", "points"}:
        names = ", ".join(sorted(unknown))
        raise ValueError(
            f'points: {points} has {names}; expected a table [points] of "id" = number'
        )
    return found


def _moment(deadline):
    if deadline is None:
        return None
    if isinstance(deadline, str):
        try:
            deadline = datetime.fromisoformat(deadline)
        except ValueError:
            message = f"deadline: {deadline!r}, expected a date and time as 2026-12-01T23:59:00Z"
            raise ValueError(message) from None
    if not isinstance(deadline, datetime) or deadline.tzinfo is None:
        raise ValueError(f"deadline: {deadline} has no time or time zone; end it in Z or +01:00")
    return deadline


def _people(deadline):
    zone = deadline.strftime("%z")
    zone = "UTC" if zone == "+0000" else f"UTC{zone[:3]}:{zone[3:5]}"
    return f"{deadline:%Y-%m-%d %H:%M} {zone}"


def _known(argument, ids, known):
    for each in ids:
        if each not in known:
            close = difflib.get_close_matches(each, known, 2, 0.4) or list(known)
            raise ValueError(
                f"{argument}: no exercise {each!r}; did you mean {' or '.join(close)}?"
            )


@contextlib.contextmanager
def _own_exercises(folder):
    """Lets `course.exercises` find the modules of a folder; gives their names.

    The search path is put back afterwards, so that a release leaves no trace in this process.
    """
    if folder is None:
        yield []
        return
    modules = sorted(path.stem for path in Path(folder).glob("*.py"))
    if not modules:
        raise ValueError(f"extra: {folder} has no module that declares EXERCISES")
    if clash := set(modules) & set(exercises.lessons()):
        raise ValueError(f"extra: {', '.join(sorted(clash))} is the name of a lesson of the course")
    place = str(Path(folder).resolve())
    exercises.__path__.append(place)
    importlib.invalidate_caches()
    try:
        for name in modules:
            for exercise in exercises.of_lesson(name):
                if exercise.lesson != name:
                    raise ValueError(f'extra: the id {exercise.id} has to begin with "{name}."')
        yield modules
    finally:
        exercises.__path__.remove(place)
        for name in modules:
            sys.modules.pop(f"course.exercises.{name}", None)
            vars(exercises).pop(name, None)


def _cells_of(name, folder, root):
    """The cells of one of the instructor's own modules, as students get them."""
    path = Path(folder) / "cells" / f"{name}.py"
    if not path.exists():
        raise ValueError(f"extra: {path} is missing; it holds the cells of {name}.py")
    source = read_cells(path, exercises.about(name), f"extra/cells/{path.name}", title=False)
    made = notebook.lesson(source, root)
    ours = (f"{name}-badge", f"{name}-setup")
    return [cell for cell in made.cells if cell.id not in ours]


def _graded(cells, known, points, leave_out):
    """The cells with the class's points; what is left out stays as practice."""
    left_out = {
        notebook.grade_id(each, role): role
        for each in leave_out
        for role in ("", "-check", "-grade")
    }
    by_grade = {notebook.grade_id(each, "-grade"): each for each in points}
    for cell in cells:
        own = cell.metadata.get("nbgrader", {}).get("grade_id")
        exercise = cell.metadata.get("course", {}).get("exercise")
        if own in left_out:
            if left_out[own] == "-grade":
                continue
            for key in ("nbgrader", "deletable", "editable"):
                cell.metadata.pop(key, None)
            if exercise:
                _second_line(cell, NOT_GRADED)
        elif exercise in points:
            _second_line(cell, notebook.worth(known[exercise], points[exercise]))
        elif own in by_grade:
            each = by_grade[own]
            cell.source = notebook.grade_source(each, points[each], known[each].points)
            cell.metadata["nbgrader"]["points"] = notebook.plain(points[each])
        yield cell


def _second_line(cell, line):
    """Puts a line in place of the one that says what the exercise is worth."""
    first, _, rest = cell.source.split("\n", 2)
    assert first.startswith(KEY), first
    cell.source = "\n".join([first, line, rest])


def _toml(lesson, deadline, leave_out, extra, points):
    """The text of assignment.toml; ids and names hold no character that TOML would escape."""
    lines = [f'lesson = "{lesson}"']
    if deadline:
        lines.append(f"deadline = {deadline.isoformat().replace('+00:00', 'Z')}")
    if leave_out:
        lines.append(f"leave_out = [{', '.join(f'{chr(34)}{i}{chr(34)}' for i in leave_out)}]")
    if extra:
        lines.append('extra = "extra"')
    if points:
        lines += ["", "[points]"]
        lines += [f'"{each}" = {notebook.plain(value)}' for each, value in points.items()]
    return "\n".join(lines) + "\n"
