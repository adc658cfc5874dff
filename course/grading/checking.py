"""`course check FILE`: the public checks on a file of answers, from a terminal."""

from pathlib import Path

from course import exercises as bank
from course.grading import GradingError, assignment
from course.grading.grader import grade_document
from course.grading.sandbox.worker_pool import WorkerPool
from course.grading.submissions import handout, matching, notebooks

PUBLIC_SEED = 0


def check_file(path, lesson=None, seed=PUBLIC_SEED, limits=None):
    """Puts the public checks to a notebook or a .py of answers.

    Args:
        path: the file.
        lesson: the lesson's name; found from the file if None.
        seed: the seed of the inputs; the notebook's own by default.
        limits: `sandbox.Limits`; the defaults if None.

    Returns:
        One examiner's `Report` for each exercise of the lesson, missing ones included.

    Raises:
        GradingError: if the file cannot be read or answers no exercise; the message says what
            to do.
    """
    path = Path(path)
    if not path.exists():
        raise GradingError(f"there is no file {path}: give the path of a notebook or a .py file")
    if path.is_dir():
        raise GradingError(f"{path} is a folder: give one file, or use `course grade` for a class")
    if path.suffix not in (".ipynb", ".py"):
        raise GradingError(f"{path.name} is neither a notebook (.ipynb) nor a .py of answers")
    # One's own code: where this machine cannot shut it in, it runs as it would in a notebook.
    with WorkerPool(weak=True, alone=True) as pool:  # it imports while we read
        document, lesson, exercises = _read(path, lesson)
        graded, *_ = grade_document(
            document,
            exercises,
            seed,
            lesson=lesson,
            refused=assignment.refused(lesson),
            handed_out=handout.cells_of(lesson),
            limits=limits,
            pool=pool,
        )
    for each in graded:
        if each.fault:
            raise GradingError(f"the check of {each.exercise.id} failed itself: {each.fault}")
    return [each.report for each in graded]


def _read(path, lesson):
    """(document, lesson's name, its exercises) of a file of answers.

    Raises:
        GradingError: if it cannot be read, is of no lesson or answers none of its exercises.
    """
    try:
        document = notebooks.read(path)
    except notebooks.Unreadable as error:
        raise GradingError(f"{path.name}: {error}. Save the notebook again.") from None
    lesson = lesson_for(path, document, lesson)
    exercises = bank.of_lesson(lesson)
    found = matching.match(document, exercises)
    if all(each.status == "missing" for each in found.values()):
        names = ", ".join(exercise.defines for exercise in exercises)
        raise GradingError(
            f"{path.name} answers no exercise of lesson {lesson}: expected cells that start with "
            f"`# exercise: {exercises[0].id}`, or that define {names}"
        )
    return document, lesson, exercises


def lesson_for(path, document, given=None):
    """The lesson of a file: the one that is given, or what the file says.

    Raises:
        GradingError: if there is no such lesson, or the file does not say.
    """
    known = {name: bank.about(name) for name in bank.lessons()}
    if given is not None:
        given = str(given).lower()
        for name, about in known.items():
            if given in (name, about.number, f"{about.number}_{name}"):
                return name
        raise GradingError(f"no lesson {given!r}; there are {', '.join(known)}")
    lesson = matching.lesson_of(path, document, known, bank.of_lesson)
    if lesson is None:
        raise GradingError(
            f"{path.name} holds no exercise that this course knows. Name the lesson (--lesson, "
            f"one of {', '.join(known)}), or start each answer's cell with its comment key, "
            "for example `# exercise: attention.masks`"
        )
    return lesson
