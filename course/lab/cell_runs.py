"""Which version of an answer is in the kernel: what the last run of each exercise's cell did.

A cell with a syntax error, or one that defines another name, leaves the version before it in
place. Then what a check judges is not what the student sees, and the check says so. An error about
a name that no cell has defined says which cell to run.
"""

import ast
import re
from dataclasses import dataclass

from course import exercises, runtime
from course.lab import handout, naming
from course.lab.display import BAD, Shown, box, escape

_NOWHERE = object()
_runs = {}  # {exercise id: the last `Run` of its cell}
_watched = []  # the shell whose cells are watched


@dataclass
class Run:
    """One run of an exercise's cell.

    Attributes:
        text: the cell's text.
        before: what its name stood for before the run.
        why: why the run did not define the name anew, in a sentence; "" where it did.
    """

    text: str
    before: object
    why: str = ""


def watch(shell):
    """Watches the cells that a shell runs, from the setup cell on."""
    if shell is None or shell in _watched:
        return
    _watched.append(shell)
    shell.events.register("pre_run_cell", _before)
    shell.events.register("post_run_cell", _after)
    shell.set_custom_exc((NameError,), _name_error)  # in place of what startup.py has set


def of_exercise(exercise):
    """The last run of an exercise's cell, or None."""
    return _runs.get(exercise.id)


def outdated(exercise, answer):
    """Why an answer is not what its cell holds now, in a sentence; "" if it is."""
    run = _runs.get(exercise.id)
    return run.why if run is not None and run.why and answer is run.before else ""


def _before(info):
    text = getattr(info, "raw_cell", "") or ""
    exercise = _exercise_of(text)
    if exercise is not None:
        before = _watched[-1].user_ns.get(exercise.defines, _NOWHERE)
        _runs[exercise.id] = Run(text, before)


def _after(result):
    text = getattr(getattr(result, "info", None), "raw_cell", "") or ""
    exercise = _exercise_of(text)
    run = _runs.get(exercise.id) if exercise is not None else None
    if run is None or run.text != text:
        return
    now = _watched[-1].user_ns.get(exercise.defines, _NOWHERE)
    if now is run.before or now is _NOWHERE:
        run.why = _why(exercise, text, result)


def _why(exercise, text, result):
    """Why a run defined nothing new."""
    error = result.error_before_exec or result.error_in_exec
    if isinstance(error, SyntaxError):
        line = (error.text or "").strip()
        where = f" in line {error.lineno}: {line}" if line else ""
        return f"Your cell has not run: {error.msg}{where}."
    if error is not None:
        return (
            f"Your cell stopped with {type(error).__name__} before it defined {exercise.defines}."
        )
    names = [n for n in _defined(text) if n != exercise.defines]
    if names:
        return f"Your cell defines {' and '.join(names)}, the exercise asks for {exercise.defines}."
    return f"Your cell does not define {exercise.defines}."


def _defined(text):
    try:
        tree = runtime.parse_source(text)
    except SyntaxError:
        return []
    return [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]


def _exercise_of(text):
    """The exercise that a cell is for: by its key, else by what it defines; None if neither."""
    key = handout.exercise_of(text)
    try:
        if key:
            return exercises.find(key)
    except KeyError:
        return None
    lesson = naming.current_lesson()
    names = set(re.findall(r"^(?:def|class) +(\w+)", text, flags=re.MULTILINE))
    here = exercises.of_lesson(lesson) if lesson and names else ()
    return next((e for e in here if e.defines in names), None)


def _name_error(shell, kind, error, trace, tb_offset=None):
    """Shows the error as ever, and below it which cell to run."""
    shell.showtraceback((kind, error, trace), tb_offset=tb_offset)
    advice = advice_for(getattr(error, "name", None))
    if advice:
        Shown(advice, box(BAD, escape(advice))).show()


def advice_for(name):
    """What to do about a name that is not defined, in a sentence or two; "" if it is no one's."""
    lesson = naming.current_lesson()
    exercise = exercises.defining(name, lesson) if name else None
    if exercise is not None and exercise.lesson == lesson:
        run = _runs.get(exercise.id)
        if run is not None and run.why:
            return f"{run.why} Mend the cell, run it, and then run this one again."
        return (
            f'{name} is what you write in the exercise "{exercise.title}". Run its cell, and '
            f"keep the name {name} in it."
        )
    if lesson and name in handout.names_bound(lesson):
        return (
            f"{name} is made in a cell further up that has not run yet. Run all cells above this "
            "one: in JupyterLab Run → Run All Above Selected Cell, on Colab Runtime → Run before."
        )
    return ""
