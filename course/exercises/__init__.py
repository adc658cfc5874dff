"""The exercises of the course: one folder per lesson, found by id or by the name they define."""

import difflib
import importlib
import pkgutil


def lessons():
    """Names of the lessons that have exercises, in the order of the course."""
    names = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(names, key=lambda name: about(name).number)


def about(lesson):
    """The `Lesson` of this name: number, title, minutes.

    Raises:
        KeyError: if there is no such lesson.
    """
    return _module(lesson).LESSON


def of_lesson(lesson):
    """The exercises of a lesson, in order.

    Raises:
        KeyError: if there is no such lesson.
    """
    return list(_module(lesson).EXERCISES)


def questions_of(lesson):
    """The "predict, then run" questions of a lesson."""
    return list(_module(lesson).QUESTIONS)


def find(exercise_id):
    """The exercise with this id.

    Raises:
        KeyError: naming the closest ids.
    """
    return _pick(exercise_id, of_lesson, "exercise")


def find_question(question_id):
    """The question with this id.

    Raises:
        KeyError: naming the closest ids.
    """
    return _pick(question_id, questions_of, "question")


def defining(name, lesson=None):
    """The exercise whose cell defines `name`, or None; `lesson` is searched first."""
    order = [lesson] if lesson else []
    for each in order + [other for other in lessons() if other != lesson]:
        for exercise in of_lesson(each):
            if exercise.defines == name:
                return exercise
    return None


def _module(lesson):
    try:
        return importlib.import_module(f"course.exercises.{lesson}")
    except ModuleNotFoundError as error:
        if error.name != f"course.exercises.{lesson}":
            raise  # the lesson is there, and what it imports is not
        known = ", ".join(lessons())
        raise KeyError(f"no lesson {lesson!r}; there are {known}") from None


def _pick(given, group, kind):
    lesson = given.partition(".")[0]
    known = [item for name in lessons() for item in group(name)]
    for item in known:
        if item.id == given:
            return item
    ids = [item.id for item in known]
    close = difflib.get_close_matches(given, ids, 3, 0.4) or [i for i in ids if lesson in i] or ids
    raise KeyError(f"no {kind} {given!r}; did you mean {' or '.join(close[:3])}?")
