"""check, hint, solution and grade: what a student calls."""

import contextlib
import inspect
import os
import sys

from course import exercises
from course.checks.examiner import examine_here
from course.lab import cell_runs, handout, naming, progress_record
from course.lab.display import GOOD, Shown, box, escape, shell
from course.lab.predictions import predict
from course.lab.report import is_unwritten, show_report, show_unwritten

__all__ = ["check", "grade", "hint", "predict", "show_report", "solution"]

PUBLIC_SEED = 0
AS_GIVEN = "As given, not changed yet. Find the mistakes, change the cell, run it, and check again."
ENOUGH = 3  # hints seen, or checks failed, after which the solution is offered
# An examiner that can look for the smallest failing input is asked to.
_SMALLEST = (
    {"counterexample": True}
    if "counterexample" in inspect.signature(examine_here).parameters
    else {}
)
_hints_shown = {}
_NOTHING = object()


@naming.understood
def check(answer=_NOTHING, exercise=None):
    """Puts the public checks to your function or class and says which mistake it holds, if any.

    It is called like this: `check(scaled_dot_product_attention)`.

    Args:
        answer: what you wrote, or its name as text.
        exercise: the exercise's id; needed only if your function has another name than it states.
    """
    if answer is _NOTHING:
        raise naming.Misuse(f"Say what is to be checked: check({_example()}).")
    declared = naming.exercise(answer if exercise is None else exercise)
    answer = _object(answer, declared)
    notice = cell_runs.outdated(declared, answer)
    if handout.is_unchanged(declared, _text_of(declared, answer)) and not notice:
        unwritten = "NotImplementedError" in _text_of(declared, answer)
        return show_unwritten(declared, *() if unwritten else (AS_GIVEN,)).show()
    try:
        with _library_parts():
            report = examine_here(declared, answer, PUBLIC_SEED, **_SMALLEST)
    except KeyboardInterrupt as stopped:
        return naming.say(_stopped(stopped))
    if is_unwritten(report) and not notice:
        return show_unwritten(declared).show()
    if notice:
        notice += " What is checked here is the version before it. Mend the cell and run it first."
    else:
        _save(report)
        if report.passed:
            _keep(declared, answer)
    show_report(report, notice, () if report.passed else _next_steps(declared)).show()


@naming.understood
def hint(exercise=_NOTHING, number=None):
    """Shows a hint; call it again for the next one. There are up to three.

    It is called like this: `hint(scaled_dot_product_attention)`.

    Args:
        exercise: your function, its name as text, or the exercise's id.
        number: 1, 2 or 3 to see the hints up to that one.
    """
    if exercise is _NOTHING:
        raise naming.Misuse(f"Say for which exercise: hint({_example()}).")
    declared = naming.exercise(exercise)
    if number is not None and (isinstance(number, bool) or not isinstance(number, int)):
        raise naming.Misuse(f"number is {number!r}, expected 1, 2 or 3.")
    if not declared.hints:
        return naming.say(f"{declared.title} has no hints.")
    count = number or _hints_shown.get(declared.id, 0) + 1
    count = max(1, min(count, len(declared.hints)))
    _hints_shown[declared.id] = max(count, _hints_shown.get(declared.id, 0))
    lines = [f"Hint {i + 1}. {text}" for i, text in enumerate(declared.hints[:count])]
    left = len(declared.hints) - count
    lines.append(f"{left} more: run this cell again." if left else "That was the last hint.")
    if not left and _may_see_solution(declared):
        lines[-1] += f" If you are still stuck: solution({declared.defines})"
    html = "".join(f"<p style='margin:4px 0'>{escape(line)}</p>" for line in lines)
    Shown("\n".join(lines), box(GOOD, html)).show()


@naming.understood
def solution(exercise=_NOTHING):
    """Shows the solution of an exercise, after three hints or three failed checks.

    It is called like this: `solution(scaled_dot_product_attention)`.

    Args:
        exercise: your function, its name as text, or the exercise's id.
    """
    if exercise is _NOTHING:
        raise naming.Misuse(f"Say of which exercise: solution({_example()}).")
    declared = naming.exercise(exercise)
    if not _solutions_allowed():
        raise naming.Misuse("This handout shows no solutions. Ask your instructor.")
    noted = progress_record.load(declared.id) or {}
    if not noted.get("passed") and not _may_see_solution(declared):
        raise naming.Misuse(
            f"The solution is shown after {ENOUGH} hints or {ENOUGH} checks. "
            f"The next step is hint({declared.defines})."
        )
    text = handout.solution(declared)
    if text is None:
        raise naming.Misuse(
            "The solutions are not on this machine. They are in the folder solutions of the course."
        )
    intro = f"One solution of {declared.title}. Others are as good. Read it, then write your own."
    html = f"<p style='margin:4px 0'>{escape(intro)}</p><pre>{escape(text, breaks=False)}</pre>"
    Shown(f"{intro}\n\n{text}", box(GOOD, html)).show()


def grade(exercise_id):
    """The points that the code in this notebook earns for an exercise: a plain number.

    nbgrader and `course grade` use it. It draws other numbers than `check` where the instructor
    sets `COURSE_SEED`.
    """
    declared = exercises.find(exercise_id)
    answer = _object(declared.defines, declared)
    seed = int(os.environ.get("COURSE_SEED", PUBLIC_SEED))
    with _library_parts():
        return float(examine_here(declared, answer, seed).points)


def _library_parts():
    """A check is of one answer: what stands around it is the library's, whatever is in use."""
    switch = sys.modules.get("course.lab.use_mine.switch")
    return switch.library() if switch else contextlib.nullcontext()


def _object(answer, declared):
    """The student's object; a string is looked up in the notebook."""
    if not isinstance(answer, str):
        return answer
    running = shell()
    return running.user_ns.get(declared.defines) if running else None


def _text_of(declared, answer):
    """The text of a definition: the cell that made it, or what Python knows of it."""
    run = cell_runs.of_exercise(declared)
    if run is not None and not run.why:
        return run.text
    try:
        return inspect.getsource(answer)
    except (OSError, TypeError):
        return None


def _stopped(interrupt):
    """What is said after an interrupt."""
    if getattr(interrupt, "ended", True):
        return "Stopped."
    return (
        "Stopped. Your code still waits in a call that cannot be interrupted. It ends with that "
        "call, or when you restart the kernel."
    )


def _save(report):
    try:
        progress_record.save(report)
    except OSError as error:
        print(
            f"Your points could not be kept in {progress_record.folder()}: "
            f"{error.strerror or error}. Your answer is safe in the notebook. Set COURSE_HOME to a "
            "folder that can be written."
        )


def _keep(declared, answer):
    """Keeps an answer that passed, so that later lessons can run on it: `setup(..., mine=True)`."""
    from course.lab.use_mine import store

    with contextlib.suppress(store.NotKept, OSError):
        store.keep(declared, answer)


def _next_steps(declared):
    """What a failed check ends with: the next hint, and after three the solution."""
    seen = _hints_shown.get(declared.id, 0)
    steps = []
    if declared.hints and seen < len(declared.hints):
        steps.append(f"Stuck? A hint: `hint({declared.defines})`")
    if _may_see_solution(declared):
        steps.append(f"Or see one solution: `solution({declared.defines})`")
    return tuple(steps)


def _may_see_solution(declared):
    """Whether enough was tried, and the handout allows it."""
    if not _solutions_allowed():
        return False
    failed = (progress_record.load(declared.id) or {}).get("failed", 0)
    return failed >= ENOUGH or _hints_shown.get(declared.id, 0) >= min(
        ENOUGH, len(declared.hints) or ENOUGH
    )


def _solutions_allowed():
    """`setup(..., solutions=False)` of a handout, or COURSE_SOLUTIONS=0 of a classroom, say no."""
    said = os.environ.get("COURSE_SOLUTIONS", "1").strip().lower()
    return said not in ("0", "off", "no", "false")


def _example():
    """The name that the next exercise of this lesson defines."""
    lesson = naming.current_lesson() or "start"
    return exercises.of_lesson(lesson)[0].defines
