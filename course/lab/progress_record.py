"""A student's progress: one small file per exercise under `COURSE_HOME`, written atomically.

One file each, so that two open notebooks never overwrite one another's points.
"""

import json
import os
import time

from course import exercises, runtime
from course.lab.display import Shown, escape, table


def folder():
    """Where progress lives."""
    return runtime.home() / "progress"


def save(report):
    """Notes a check's result; the best points are kept.

    Args:
        report: the examiner's `Report`.
    """
    before = load(report.exercise.id) or {"best": 0.0, "attempts": 0}
    noted = {
        "exercise": report.exercise.id,
        "best": max(before["best"], float(report.points)),
        "last": float(report.points),
        "max_points": float(report.max_points),
        "passed": bool(before.get("passed") or report.passed),
        "attempts": before["attempts"] + 1,
        "when": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    path = folder() / f"{report.exercise.id}.json"
    runtime.write_atomically(path, json.dumps(noted, indent=1).encode())


def load(exercise_id):
    """What is noted of an exercise, or None. A damaged file is set aside, not lost."""
    path = folder() / f"{exercise_id}.json"
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        noted["best"], noted["attempts"] = float(noted["best"]), int(noted["attempts"])
        return noted
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        aside = path.with_name(f"{path.stem}.damaged-{time.time_ns()}")
        os.replace(path, aside)
        print(f"The progress file of {exercise_id} was damaged. It is kept as {aside}.")
        return None


def progress(lesson=None):
    """A table of lessons, exercises and points; it survives kernel restarts.

    Args:
        lesson: a lesson's name, or None for all of them.

    Returns:
        An object that a notebook shows as a table.
    """
    rows, earned, possible = [], 0.0, 0.0
    for name in [lesson] if lesson else exercises.lessons():
        about = exercises.about(name)
        for exercise in exercises.of_lesson(name):
            noted = load(exercise.id)
            best = noted["best"] if noted else 0.0
            state = "not tried" if not noted else "passed" if noted.get("passed") else "in work"
            rows.append(
                (
                    f"{about.number} {about.title}",
                    exercise.title,
                    state,
                    f"{best:g} of {exercise.points:g}",
                )
            )
            earned, possible = earned + best, possible + exercise.points
    head = ("lesson", "exercise", "public checks", "points")
    foot = f"{earned:g} of {possible:g} points. Kept in {folder()}"
    html = table(head, rows, caption="Your progress") + f"<p>{escape(foot)}</p>"
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    lines = [
        "  ".join(str(c).ljust(w) for c, w in zip(r, widths, strict=True)) for r in [head, *rows]
    ]
    return Shown("\n".join([*lines, foot]), html)
