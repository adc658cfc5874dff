"""What is written: one atomic JSON record per submission, and grades.csv from all of them."""

import builtins
import csv
import io
import json
import secrets

from course import runtime
from course.grading import GradingError
from course.grading.grader import CellFailure

FORMAT = 3


def write(path, text, mode=0o600):
    """Writes a text whole or not at all; records hold the seed, and are the instructor's alone."""
    runtime.write_atomically(path, text.encode("utf-8", "replace"), mode)


def clear_halves(folder):
    """Removes what a killed run was writing."""
    for path in folder.glob(".writing-*"):
        path.unlink(missing_ok=True)


def save(path, record):
    """Writes a record."""
    write(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def load(path):
    """A record, or None where there is none that this version can use."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("format") == FORMAT else None


def seed_for(out, given):
    """The seed of a run: the one that is given, or a secret one kept in OUT/seed.txt.

    Args:
        out: the folder of results.
        given: the instructor's number, or None.
    """
    if given is not None:
        if isinstance(given, bool) or not isinstance(given, int) or given < 0:
            raise GradingError(f"the seed is {given!r}, expected a whole number of 0 or more")
        return given
    path = out / "seed.txt"
    try:
        return int(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        seed = secrets.randbits(48)
        write(path, f"{seed}\n")
        return seed
    except ValueError:
        raise GradingError(f"{path} holds no number: delete it, or give --seed") from None


def of_exercise(graded, document):
    """A record's part on one exercise.

    Args:
        graded: a `grader.Graded`.
        document: the `notebooks.Document` that it comes from.
    """
    exercise, found, report = graded.exercise, graded.found, graded.report
    part = {
        "exercise": exercise.id,
        "title": exercise.title,
        "defines": exercise.defines,
        "status": found.status,
        "how": found.how,
        "cell": None if found.index is None else found.index + 1,
        "flags": list(found.flags) + (["ungraded, see the record"] if report is None else []),
        "max_points": float(exercise.points),
        "points": None,
        "fault": graded.fault,
        "cell_error": graded.error,
        "output": graded.output,
        "seconds": round(graded.seconds, 3),
        "passed": None,
        "mistakes": [],
        "message": "",
        "probes": [],
    }
    if report is None:
        return part
    source = "" if found.index is None else document.cells[found.index].source
    reached = [
        _of_probe(probe) | {"where": _where(failure, source)}
        for probe, failure in zip(report.probes, graded.met, strict=True)
    ]
    rest = [
        {"title": p.title, "points": 0.0, "max_points": float(p.points), "passed": None}
        for p in exercise.probes[len(reached) :]
    ]
    return part | {
        "points": float(report.points),
        "passed": report.passed,
        "mistakes": [{"id": m, "sentence": report.sentence(m)} for m in report.mistakes],
        "message": "" if report.passed else report.message,
        "probes": reached + rest,
    }


def _of_probe(probe):
    return {
        "title": probe.title,
        "points": float(probe.points),
        "max_points": float(probe.max_points),
        "passed": probe.verdict.passed,
        "mistakes": list(probe.verdict.mistakes),
        "detail": str(probe.verdict.detail)[:600],
    }


_KNOWN_ERRORS = {
    name
    for name, kind in vars(builtins).items()
    if isinstance(kind, type) and issubclass(kind, BaseException)
} | {"InvalidArgumentError", "UnimplementedError", "ConcretizationTypeError", "EinsumError"}


def _where(failure, source):
    """What stopped a probe, as far as a student may read it.

    An error met inside a probe has seen hidden inputs: its message and its line stay out of the
    feedback, and its type is told if Python or a framework has it. The record holds the line.
    """
    if failure is None or failure.kind not in ("exception", "time"):
        return None
    in_cell = isinstance(failure, CellFailure)
    subject = "The cell" if in_cell else "It"
    if failure.kind == "time":
        what = f"{subject} was stopped after {failure.message} s"
    elif in_cell or failure.type in _KNOWN_ERRORS:
        what = f"{subject} stopped with {failure.type}" if failure.type else failure.message
    else:
        what = f"{subject} stopped with an error"
    lines = source.splitlines()
    line = failure.line if failure.line and 0 < failure.line <= len(lines) else None
    return {
        "what": what,
        "in_cell": in_cell,
        "line": line,
        "source": lines[line - 1].strip() if line else "",
        "message": failure.message if in_cell and failure.kind == "exception" else "",
    }


def write_grades(out, results, columns):
    """Writes grades.csv: student, the points of each exercise, total, max, flags.

    What could not be graded is an empty field with a flag, never a 0.

    Args:
        out: the folder of results.
        results: [(student, [records])].
        columns: ids of the exercises, in order.

    Returns:
        The file's path.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["student", *columns, "total", "max", "flags"])
    for student, records in results:
        points = {e["exercise"]: e["points"] for r in records for e in r["exercises"]}
        flags = [flag for r in records for flag in all_flags(r)]
        total, possible = totals(records)
        fields = [points.get(column) for column in columns]
        row = [text_of(student), *map(_number, fields), _number(total), _number(possible)]
        writer.writerow([*row, text_of("; ".join(dict.fromkeys(flags)))])
    path = out / "grades.csv"
    write(path, file.getvalue())
    return path


def totals(records):
    """(points, possible points) of a student; points are None while any exercise has none."""
    exercises = [e for r in records for e in r["exercises"]]
    points = [e["points"] for e in exercises]
    known = points and all(r["state"] == "graded" for r in records) and None not in points
    return (sum(points) if known else None), sum(r["max_points"] for r in records)


def all_flags(record):
    """A record's flags, with those of its exercises."""
    flags = [] if record["state"] == "graded" else [f"UNGRADED: {record['reason']}"]
    if record["late"]:
        marked = f"marked so by {record['platform']['name'].capitalize()}"
        said = record["platform"].get("late")
        flags.append(f"late: {marked if said else 'saved ' + str(record['modified'])}")
    flags += record["problems"]
    if len(record["files"]) > 1:
        counts, *others = record["files"]
        flags.append(f"several notebooks: {counts} counts, {', '.join(others)} not")
    flags += [*record["flags"], *record["notes"]]
    for exercise in record["exercises"]:
        flags += [f"{exercise['exercise']}: {flag}" for flag in exercise["flags"]]
    return flags


def _number(value):
    return "" if value is None else f"{round(value, 4):g}"


def text_of(value):
    """Text that a spreadsheet takes for text, not for a formula."""
    value = " ".join(str(value).split())
    return f"'{value}" if value.startswith(("=", "+", "-", "@")) else value
