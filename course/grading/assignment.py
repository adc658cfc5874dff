"""What an instructor asks for: which exercises, worth how much, by when.

`course release` writes it as `assignment.toml` beside the handout.
"""

import difflib
import importlib.util
import tomllib
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from course import exercises as bank
from course.grading import GradingError
from course.grading.results import fingerprint

FILE = "assignment.toml"


@dataclass(frozen=True)
class Assignment:
    """An instructor's wishes for one lesson, or none at all.

    Attributes:
        lesson: the lesson's name, or None for every lesson that is handed in.
        deadline: an aware `datetime`, or None.
        leave_out: ids of exercises that are not graded.
        points: {exercise id: what it is worth here}.
        extra: exercises from the instructor's own folder.
        path: the file that it was read from, with the handout's notebook beside it, or None.
    """

    lesson: str | None = None
    deadline: datetime | None = None
    leave_out: tuple = ()
    points: tuple = ()
    extra: tuple = ()
    path: Path | None = None

    def exercises(self, lesson):
        """The exercises of a lesson as this assignment has them."""
        chosen = [*bank.of_lesson(lesson), *(e for e in self.extra if self._asks(e, lesson))]
        points = dict(self.points)
        return [
            _worth(exercise, points.get(exercise.id))
            for exercise in chosen
            if exercise.id not in self.leave_out
        ]

    def _asks(self, exercise, lesson):
        return exercise.lesson == lesson or self.lesson == lesson

    def fingerprints(self, lesson):
        """{exercise id: a hash that changes when what its grade depends on changes}."""
        return {e.id: fingerprint.of_exercise(e) for e in self.exercises(lesson)}


def _worth(exercise, points):
    """The exercise with its probes' points scaled to the sum that is asked for."""
    if points is None:
        return exercise
    factor = points / exercise.points
    probes = tuple(replace(p, points=p.points * factor) for p in exercise.probes)
    return replace(exercise, probes=probes)


def load(path, may_run_code=True):
    """Reads an assignment.

    Args:
        path: its TOML file, the instructor's own.
        may_run_code: whether the modules that `extra` names may be imported, which runs them here,
            outside the sandbox. Only where the instructor has named this very file.

    Returns:
        An `Assignment`.

    Raises:
        GradingError: naming the line that cannot be followed and what it may be.
    """
    path = Path(path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise GradingError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise GradingError(f"{path} is not valid TOML: {error}") from None
    known = {"lesson", "deadline", "leave_out", "extra", "points"}
    if odd := sorted(table.keys() - known):
        raise GradingError(f"{path}: unknown {', '.join(odd)}; it may hold {sorted(known)}")
    lesson = table.get("lesson")
    if lesson is not None and lesson not in bank.lessons():
        names = ", ".join(bank.lessons())
        raise GradingError(f"{path}: no lesson {lesson!r}; there are {names}")
    if "extra" in table and not may_run_code:
        raise GradingError(
            f"{path} asks for exercises in {table['extra']!r}, and that is code which would run "
            f"outside the sandbox. If the file is yours, name it: --assignment {path}"
        )
    extra = _extra(path, table.get("extra"))
    ids = [e.id for name in ([lesson] if lesson else bank.lessons()) for e in bank.of_lesson(name)]
    ids += [e.id for e in extra]
    leave_out, points = table.get("leave_out", []), table.get("points", {})
    if not isinstance(leave_out, list) or not isinstance(points, dict):
        raise GradingError(f"{path}: leave_out is a list of ids and [points] a table")
    for given in [*leave_out, *points]:
        if given not in ids:
            close = " or ".join(difflib.get_close_matches(str(given), ids, 2, 0.3)) or ", ".join(
                ids
            )
            raise GradingError(f"{path}: no exercise {given!r}; did you mean {close}?")
    for name, value in points.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise GradingError(f"{path}: points of {name} are {value!r}, expected a number above 0")
    return Assignment(
        lesson,
        _deadline(path, table.get("deadline")),
        tuple(leave_out),
        tuple(points.items()),
        tuple(extra),
        path,
    )


def _deadline(path, given):
    if given is None:
        return None
    if not isinstance(given, datetime):
        raise GradingError(
            f"{path}: deadline is {given!r}, expected a date and time, "
            "for example 2026-12-01T23:59:00Z"
        )
    return given.astimezone()  # a time without a zone is this machine's


def _extra(path, given):
    """The exercises that the modules of the instructor's folder declare."""
    if given is None:
        return []
    folder = path.parent / str(given)
    if not folder.is_dir():
        raise GradingError(f"{path}: extra is {given!r}, and there is no folder {folder}")
    found = []
    for file in sorted(folder.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"course_extra_{file.stem}", file)
        module = importlib.util.module_from_spec(spec)
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            raise GradingError(f"{file} cannot be imported: {error}") from error
        found += list(getattr(module, "EXERCISES", ()))
    if not found:
        raise GradingError(f"{path}: no module in {folder} declares EXERCISES")
    return found


def refused(lesson):
    """The modules that a submission of this lesson may not import."""
    return [f"course.{lesson}"]
