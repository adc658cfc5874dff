"""A student's progress: one small file per exercise under `COURSE_HOME`, written atomically.

One file each, so that two open notebooks never overwrite one another's points.
"""

import json
import os
import time

from course import exercises, runtime
from course.lab import naming, predictions
from course.lab.display import Shown, bar, escape, plain_bar, table


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
        "failed": int(before.get("failed", 0)) + (not report.passed),
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
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError):
        aside = path.with_name(f"{path.stem}.damaged-{time.time_ns()}")
        os.replace(path, aside)
        print(f"The progress file of {exercise_id} was damaged. It is kept as {aside}.")
        return None


@naming.understood
def progress(lesson=None):
    """Your lessons, exercises and points; they survive kernel restarts.

    It is called like this: `progress()` or progress("attention").

    Args:
        lesson: a lesson; None for all of them, each in a row that opens with a click.

    Returns:
        An object that a notebook shows: bars, points, dates, what comes next, and for one lesson
        what you predicted.
    """
    return overview(lesson)


def overview(lesson=None):
    """The same for a caller that handles `Misuse` itself.

    Raises:
        Misuse: if there is no such lesson.
    """
    names = exercises.lessons() if lesson is None else [naming.lesson(lesson)]
    lessons = [_Lesson(name) for name in names]
    earned, possible = (sum(getattr(each, part) for each in lessons) for part in ("best", "points"))
    foot = [*_following(lessons), f"{earned:g} of {possible:g} points. Kept in {folder()}"]
    if lesson is None:
        lines, predicted = _aligned([each.row for each in lessons]), []
        html = "<b>Your progress</b>" + "".join(each.html for each in lessons)
    else:
        lines = _aligned([_HEAD, *lessons[0].rows])
        html = table(_HEAD, lessons[0].rows, caption="Your progress")
        predicted, said = predictions.summary(names[0])
        html += said
    html += "".join(f"<p style='margin:4px 0'>{escape(line)}</p>" for line in foot)
    return Shown("\n".join([*lines, *predicted, *foot]), html)


_HEAD = ("lesson", "exercise", "public checks", "points", "last")


class _Lesson:
    """One lesson of the table.

    Attributes:
        points, best: what its exercises are worth, and what was earned.
        rows: one row an exercise, as in _HEAD.
        left: the exercises that have not passed.
    """

    def __init__(self, name):
        self.about = exercises.about(name)
        title = f"{self.about.number} {self.about.title}"
        self.points = self.best = 0.0
        self.rows, self.left, dates = [], [], []
        for exercise in exercises.of_lesson(name):
            noted = load(exercise.id)
            best = noted["best"] if noted else 0.0
            passed = bool(noted and noted.get("passed"))
            state = "passed" if passed else "in work" if noted else "not tried"
            date = _day(noted.get("when")) if noted else ""
            points = f"{best:g} of {exercise.points:g}"
            self.rows.append((title, exercise.title, state, points, date))
            self.points, self.best = self.points + exercise.points, self.best + best
            dates += [str(noted.get("when"))] if noted else []
            self.left += [] if passed else [exercise]
        self.last = _day(max(dates)) if dates else ""
        self.time = f"about {sum(e.minutes for e in self.left)} min left" if self.left else "done"
        if not dates:
            self.time = f"about {self.about.minutes} min"

    @property
    def share(self):
        return self.best / self.points if self.points else 0.0

    @property
    def row(self):
        title = f"{self.about.number} {self.about.title}"
        points = f"{self.best:g} of {self.points:g}"
        return (title, plain_bar(self.share), points, self.time, self.last)

    @property
    def html(self):
        """A row that opens: the lesson's bar, below it its exercises."""
        title, _, points, *rest = self.row
        said = ", ".join(filter(None, (f"{points} points", *rest)))
        inside = table(_HEAD[1:], [row[1:] for row in self.rows], caption="")
        return (
            f'<details style="margin:2px 0"><summary style="cursor:pointer">{bar(self.share)} '
            f"<b>{escape(title)}</b> {escape(said)}</summary>"
            f'<div style="margin:4px 0 8px 1.5em">{inside}</div></details>'
        )


def _following(lessons):
    """A line that names the first exercise that has not passed; in one begun lesson if there is."""
    begun = [each for each in lessons if each.left and each.last]
    for each in begun[-1:] or [each for each in lessons if each.left][:1]:
        first = each.left[0]
        where = f"lesson {each.about.number}" if len(lessons) > 1 else f"{first.defines}"
        return [f"Next: {first.title} ({where}, about {first.minutes} minutes)"]
    return []


def _day(moment):
    """The day of a moment as people say it: today, yesterday, 2026-12-01."""
    day = str(moment)[:10]
    if day == time.strftime("%Y-%m-%d"):
        return "today"
    return (
        "yesterday"
        if day == time.strftime("%Y-%m-%d", time.localtime(time.time() - 86400))
        else day
    )


def _aligned(rows):
    """Rows as lines of text, their columns below one another."""
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    return [
        "  ".join(str(c).ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
