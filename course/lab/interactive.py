"""check, hint, predict and grade: what a student calls."""

import os

import numpy as np

from course import exercises
from course.checks.examiner import examine_here
from course.lab import progress_record, session
from course.lab.display import (
    BAD,
    GOOD,
    Shown,
    box,
    escape,
    grid,
    mark,
    plain_grid,
    small_slices,
)

PUBLIC_SEED = 0
_hints_shown = {}


def check(answer, exercise=None):
    """Puts the public checks to your function or class and says which mistake it holds, if any.

    Args:
        answer: what you wrote, for example `check(scaled_dot_product_attention)`.
        exercise: the exercise's id; needed only if your function has another name than it states.
    """
    declared = _declared(answer, exercise)
    report = examine_here(declared, _object(answer, declared), PUBLIC_SEED)
    show_report(report).show()
    try:
        progress_record.save(report)
    except OSError as error:
        print(
            f"Your points could not be kept in {progress_record.folder()}: "
            f"{error.strerror or error}. Your answer is safe in the notebook. Set COURSE_HOME to a "
            "folder that can be written."
        )


def grade(exercise_id):
    """The points that the code in this notebook earns for an exercise: a plain number.

    nbgrader and `course grade` use it. It draws other numbers than `check` where the instructor
    sets `COURSE_SEED`.
    """
    declared = exercises.find(exercise_id)
    answer = _object(declared.defines, declared)
    seed = int(os.environ.get("COURSE_SEED", PUBLIC_SEED))
    return float(examine_here(declared, answer, seed).points)


def hint(exercise, number=None):
    """Shows a hint; call it again for the next one. There are up to three.

    Args:
        exercise: the exercise's id or your function.
        number: 1, 2 or 3 to see the hints up to that one.
    """
    declared = _declared(exercise, exercise if isinstance(exercise, str) else None)
    if not declared.hints:
        return Shown(*[f"{declared.title} has no hints."] * 2).show()
    count = number or _hints_shown.get(declared.id, 0) + 1
    count = max(1, min(count, len(declared.hints)))
    _hints_shown[declared.id] = count
    lines = [f"Hint {i + 1}. {text}" for i, text in enumerate(declared.hints[:count])]
    left = len(declared.hints) - count
    lines.append(f"{left} more: run this cell again." if left else "That was the last hint.")
    html = "".join(f"<p style='margin:4px 0'>{escape(line)}</p>" for line in lines)
    Shown("\n".join(lines), box(GOOD, html)).show()


def predict(question_id, answer="?"):
    """Asks before you run: shows a question, or the reply to your answer.

    Args:
        question_id: the question's id.
        answer: a letter; "?" shows the question and its options.
    """
    question = exercises.find_question(question_id)
    letters = list(question.options)
    given = str(answer).strip().lower()
    options = [f"{letter}) {question.options[letter][0]}" for letter in letters]
    lines = [question.text, *options]
    if given in letters:
        right = given == question.answer
        reply = f"{mark(right)} {given}) {'Yes.' if right else 'No.'} {question.options[given][1]}"
        colour = GOOD if right else BAD
    else:
        asked = " or ".join(f'"{letter}"' for letter in letters)
        reply = f'Put your answer in place of "{answer}": {asked}. Then run the cell again.'
        colour = "#888888"
    html = "".join(f"<p style='margin:4px 0'>{escape(line)}</p>" for line in lines)
    html += f"<p style='margin:4px 0'><b>{escape(reply)}</b></p>"
    Shown("\n".join([*lines, reply]), box(colour, html)).show()


def _declared(answer, exercise):
    """The exercise that is meant, or an error that says how to name it."""
    if exercise is not None:
        return exercises.find(exercise)
    if isinstance(answer, str):
        return exercises.find(answer)
    name = getattr(answer, "__name__", type(answer).__name__)
    declared = exercises.defining(name, session.current_lesson())
    if declared is None:
        lesson = session.current_lesson()
        names = [
            e.defines
            for n in ([lesson] if lesson else exercises.lessons())
            for e in exercises.of_lesson(n)
        ]
        raise KeyError(
            f"no exercise defines {name!r}. Pass your own function, one of: {', '.join(names)}; "
            "or name the exercise: check(your_function, exercise=...)."
        )
    return declared


def _object(answer, declared):
    """The student's object; a string is looked up in the notebook."""
    if not isinstance(answer, str):
        return answer
    from IPython import get_ipython

    shell = get_ipython()
    return shell.user_ns.get(declared.defines) if shell else None


def show_report(report):
    """A report as a student sees it: the probes, the first failure, the named mistake."""
    exercise = report.exercise
    points = f"{report.points:g} of {report.max_points:g} points"
    lines = [f"{exercise.title}: {points} in the public checks"]
    html = f"<b>{escape(exercise.title)}</b>: {points} in the public checks"
    items = ""
    for i, probe in enumerate(exercise.probes):
        passed = report.probes[i].verdict.passed if i < len(report.probes) else None
        word = {True: "passed", False: "failed", None: "not reached"}[passed]
        lines.append(f"  {mark(passed)} {probe.title} ({word})")
        colour = {True: GOOD, False: BAD, None: "inherit"}[passed]
        items += (
            f'<li style="list-style:none"><span style="color:{colour}" aria-hidden="true">'
            f"<b>{mark(passed)}</b></span> {escape(probe.title)} ({word})</li>"
        )
    html += f'<ul style="margin:4px 0;padding-left:4px">{items}</ul>'
    if report.passed:
        end = f"Passed the public checks, {len(report.probes)} of {len(exercise.probes)}."
        return Shown("\n".join([*lines, end]), box(GOOD, html + escape(end)))

    named = [exercise.sentence(mistake) for mistake in report.mistakes]
    if len(named) > 1:
        named = [f"Either: {named[0]}", f"Or: {named[1]}"]
    verdict = report.first_failure.verdict
    lines += named + [verdict.detail] * bool(verdict.detail)
    html += "".join(f"<p style='margin:4px 0'><b>{escape(line)}</b></p>" for line in named)
    if verdict.detail:
        html += f"<p style='margin:4px 0'>{escape(verdict.detail)}</p>"
    text, arrays = _side_by_side(verdict)
    lines += text
    return Shown("\n".join(lines), box(BAD, html + arrays))


def _side_by_side(verdict):
    """The student's array beside the expected one where small, shapes where they differ."""
    got, expected = verdict.got, verdict.expected
    if got is None or expected is None:
        return [], ""
    if not isinstance(got, np.ndarray) or not isinstance(expected, np.ndarray):
        if isinstance(got, str | int | float | bool) and isinstance(expected, type(got)):
            line = f"Yours: {got!r}. Expected: {expected!r}."
            return [line], f"<p style='margin:4px 0'>{escape(line)}</p>"
        return [], ""
    parts = small_slices(got, expected)
    if parts is None:
        return [], ""
    got, expected, where = parts
    text = [f"Yours{where}:", plain_grid(got), f"Expected{where}:", plain_grid(expected)]
    return text, grid(got, expected, f"Yours{where}") + grid(expected, got, f"Expected{where}")
