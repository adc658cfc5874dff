"""What a student means: a lesson or an exercise by its name, number, file, title or function.

What cannot be understood is answered with a sentence, not with a traceback.
"""

import difflib
import functools
import inspect
import re

from course import exercises
from course.checks.declaration import Exercise
from course.lab.display import NEUTRAL, Shown, box, escape

_current = [None]


class Misuse(KeyError):
    """A call that cannot be understood; its text is the sentence for the student."""

    def __str__(self):
        return self.args[0]


def current_lesson():
    """The lesson that `setup` was called for, or None."""
    return _current[0]


def set_current_lesson(name):
    """Notes the lesson of this notebook."""
    _current[0] = name


def understood(function):
    """A decorator: what the function cannot understand is said in a sentence.

    The first line of the function's docstring that contains a call in backticks is its example.
    """
    signature = inspect.signature(function)
    name = function.__name__
    shown = re.search(rf"`({name}\([^`]*\))`", function.__doc__ or "")

    @functools.wraps(function)
    def outer(*args, **kwargs):
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            example = f" It is called like this: {shown[1]}." if shown else ""
            return say(f"{name}: {error}.{example}")
        try:
            return function(*args, **kwargs)
        except Misuse as misuse:
            return say(str(misuse))

    return outer


def say(text, colour=NEUTRAL):
    """Shows one sentence or a few."""
    return Shown(text, box(colour, f"<p style='margin:4px 0'>{escape(text)}</p>")).show()


def lesson(given):
    """A lesson's name from what a student may write for it.

    Args:
        given: "attention", "02_attention", "02", 2, "02_attention.ipynb", or its title.

    Raises:
        Misuse: if no lesson is meant; it names the closest.
    """
    known = {name: exercises.about(name) for name in exercises.lessons()}
    wanted = str(given).strip().lower().replace("\\", "/").rpartition("/")[2]
    wanted = wanted.removesuffix(".ipynb").removesuffix(".py")
    for name, about in known.items():
        stem = about.file.removesuffix(".ipynb")
        plain = str(int(about.number)) if about.number.isdigit() else about.number
        if wanted in (name, stem, about.number, plain, about.title.lower()):
            return name
    close = difflib.get_close_matches(wanted, known, 2, 0.5)
    names = " or ".join(f'"{name}"' for name in close) if close else ", ".join(known)
    asked = f"Did you mean {names}?" if close else f"The lessons are {names}."
    raise Misuse(f"There is no lesson {given!r}. {asked}")


def exercise(given):
    """An exercise from what a student may write for it.

    Args:
        given: an `Exercise`, its id, the name that it defines as text, or the student's own
            function or class. A name is looked for in the current lesson first.

    Raises:
        Misuse: if no exercise is meant; it names the closest.
    """
    if isinstance(given, Exercise):
        return given
    if not isinstance(given, str):
        return _of_object(given)
    wanted = given.strip().removesuffix("()")
    for each in _all():
        if wanted in (each.id, each.defines):
            return each
    for each in _all():  # "masks" for "attention.masks", or the title
        key = each.id.partition(".")[2]
        if wanted == key or wanted.lower() == each.title.lower():
            return each
    raise Misuse(f"There is no exercise {given!r}. {_offer(wanted)}")


def question(given):
    """A question from its id, with or without the lesson's name.

    Raises:
        Misuse: if no question is meant; it names the closest.
    """
    order = _in_order(exercises.lessons())
    known = [each for name in order for each in exercises.questions_of(name)]
    for each in known:
        if given in (each.id, each.id.partition(".")[2]):
            return each
    ids = [each.id for each in known]
    close = difflib.get_close_matches(str(given), ids, 2, 0.4) or ids[:3]
    raise Misuse(f"There is no question {given!r}. Did you mean {' or '.join(close)}?")


def _of_object(given):
    """The exercise that a function or class answers."""
    is_definition = inspect.isclass(given) or inspect.isroutine(given)
    name = given.__name__ if is_definition else type(given).__name__
    declared = exercises.defining(name, current_lesson())
    if declared is None:
        what = f"No exercise defines {name!r}." if is_definition else f"This is a {name}."
        raise Misuse(
            f"{what} Pass your own function or class, without parentheses. {_offer(name)} "
            "If yours has another name, say which exercise it answers: "
            'check(yours, exercise="...").'
        )
    if not is_definition:
        raise Misuse(f"Pass the class itself, without parentheses: check({name}).")
    return declared


def _all():
    return [e for name in _in_order(exercises.lessons()) for e in exercises.of_lesson(name)]


def _in_order(names):
    """The current lesson first."""
    return sorted(names, key=lambda name: name != current_lesson())


def _offer(wanted):
    """What there is, as a sentence: the closest names, or those of this lesson."""
    known = {e.defines: e for e in _all()}
    close = difflib.get_close_matches(wanted, known, 2, 0.6)
    if close:
        return f"Did you mean {' or '.join(close)}?"
    now = current_lesson()
    here = exercises.of_lesson(now) if now else []
    names = ", ".join(e.defines for e in here) or ", ".join(known)
    return f"This lesson has: {names}." if here else f"There are: {names}."
