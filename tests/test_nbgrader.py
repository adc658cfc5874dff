"""nbgrader, run for real, gives the points of our own checks for the same seed."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from conftest import PROVING
from submissions import answers_with_slips, hostile

from course import authoring, exercises
from course.authoring import notebook
from course.checks.examiner import examine_here
from course.grading import jobs

pytest.importorskip("nbgrader")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
SEED = 20_26
# What an instructor writes into nbgrader_config.py, see course/authoring/releasing.py: the handout
# is cleared already, and nbgrader's 30 s for a cell are short for a framework's first import.
CONFIG = """
c = get_config()
c.ClearSolutions.enabled = False
c.Execute.timeout = 300
"""
# A student who has got part of it right: {exercise: what the cell defines instead}.
PARTLY = {
    "start.double": "def double(x):\n    return 2 * x if len(x.shape) == 1 else x",
    "attention.scaled_dot_product": (  # the scores are not scaled
        "def scaled_dot_product_attention(query, key, value):\n"
        "    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))\n"
        "    weights = ops.softmax(scores, axis=-1)\n"
        "    return ops.matmul(weights, value), weights"
    ),
}
CLASS_POINTS = {"start.double": 3, "attention.masks": 7}


def nbgrader(*arguments, cwd):
    """Runs a command of nbgrader as an instructor does, in an activated environment."""
    # nbgrader starts `alembic` by its bare name, so the environment's folder has to be in PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    home = {"HOME": str(cwd), "JUPYTER_CONFIG_DIR": str(cwd), "IPYTHONDIR": str(cwd / ".ipython")}
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", *arguments],
        cwd=cwd,
        env=os.environ | home | {"PATH": path, "COURSE_SEED": str(SEED), "COURSE_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def file_of(lesson):
    return exercises.about(lesson).file


def answers_of(lesson, folder="solutions"):
    """The code for each exercise: the solution's, or what the lesson hands out."""
    made = nbformat.read(ROOT / folder / file_of(lesson), as_version=4)
    found = ((c.metadata.get("course", {}).get("exercise"), c.source) for c in made.cells)
    return {exercise: source for exercise, source in found if exercise}


def imports_of(lesson):
    """The imports of a lesson's cells, which the answers use."""
    made = nbformat.read(ROOT / "solutions" / file_of(lesson), as_version=4)
    code = "\n".join(c.source for c in made.cells if c.cell_type == "code")
    found = [n for n in ast.parse(code).body if isinstance(n, ast.Import | ast.ImportFrom)]
    return "\n".join(ast.unparse(node) for node in found)


def hand_in(course, student, lesson, answers, before=()):
    """Puts a student's notebook where nbgrader collects it: the release with answers written in.

    An answer that is None stands for a deleted cell; `before` are cells of the student's own.
    """
    made = nbformat.read(course / "release" / lesson / file_of(lesson), as_version=4)
    for cell in list(made.cells):
        exercise = cell.metadata.get("course", {}).get("exercise")
        if exercise in answers and answers[exercise] is None:
            made.cells.remove(cell)
        elif exercise in answers:
            cell.source = answers[exercise]
    places = (i for i, c in enumerate(made.cells) if "exercise" in c.metadata.get("course", {}))
    first = next(places)
    made.cells[first:first] = [nbformat.v4.new_code_cell(source) for source in before]
    folder = course / "submitted" / student / lesson
    folder.mkdir(parents=True)
    nbformat.write(made, folder / file_of(lesson))


def points_of_checks(lesson, answers):
    """{exercise: points} by the checks themselves, with the grader's seed, on the class's scale."""
    found, namespace = {}, {}
    given = answers_of(lesson, "lessons") | answers
    exec(imports_of(lesson), namespace)
    for exercise in exercises.of_lesson(lesson):
        exec(given[exercise.id], namespace)  # a later answer may use an earlier one
        report = examine_here(exercise, namespace.get(exercise.defines), SEED)
        scale = CLASS_POINTS.get(exercise.id, exercise.points) / exercise.points
        found[exercise.id] = report.points * scale
    return found


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """A function: grades a class with nbgrader; gives {student: {grade cell: points}}.

    Its argument `course` is the folder to do it in, `before` {student: cells of the student's own}.
    """

    def grade(lesson, answers_by_student, course=None, before=None):
        course = course or tmp_path_factory.mktemp("nbgrader")
        (course / "nbgrader_config.py").write_text(CONFIG)
        ours = {i: p for i, p in CLASS_POINTS.items() if i.startswith(f"{lesson}.")}
        authoring.release(lesson, course / "source" / lesson, points=ours, root=ROOT)
        nbgrader("generate_assignment", lesson, cwd=course)
        for student, answers in answers_by_student.items():
            hand_in(course, student, lesson, answers, (before or {}).get(student, ()))
        nbgrader("autograde", lesson, cwd=course)

        from nbgrader.api import Gradebook

        with Gradebook(f"sqlite:///{course / 'gradebook.db'}") as book:
            return {
                submission.student.id: {
                    grade.name: (grade.score, grade.max_score)
                    for each in submission.notebooks
                    for grade in each.grades
                }
                for submission in book.assignment_submissions(lesson)
            }

    return grade


@pytest.mark.prove
@pytest.mark.parametrize("lesson", ["attention"])
def test_nbgrader_gives_the_points_of_our_checks(lesson, scores):
    right = answers_of(lesson)
    half = list(right)[: len(right) // 2]
    partly = {i: right[i] for i in half} | {i: PARTLY[i] for i in right if i in PARTLY}
    found = scores(lesson, {"partly": partly})["partly"]
    wanted = {
        notebook.grade_id(i, "-grade"): points
        for i, points in points_of_checks(lesson, partly).items()
    }
    assert {name: score for name, (score, _) in found.items()} == pytest.approx(wanted)
    assert 0 < sum(score for score, _ in found.values()) < sum(most for _, most in found.values())


def honest(lesson):
    """{student: ({exercise: source}, cells before)}: what of the bank nbgrader can be given.

    It cannot be given what it does not read (damaged files, cells without metadata), what stops its
    batch (a cell handed in twice) or its machine (endless loops, floods), and nothing hostile.
    """
    right = answers_of(lesson)
    class_ = {
        case.name: (right | (case.answers if isinstance(case.answers, dict) else {}), case.before)
        for case in hostile.cases()
        if case.lesson == lesson and case.name in hostile.HONEST
    }
    if lesson == "attention":
        first, *_, last = right
        broken = right[first].replace("):\n", ")\n", 1)
        class_ |= {
            name: (answers_with_slips(lesson, name), ()) for name in ("partly_right", "wrong")
        }
        class_ |= {
            "unsolved": ({}, ()),
            "syntax_error": (right | {first: broken}, ()),
            "missing_cell": (right | {last: None}, ()),
        }
    return class_


@pytest.mark.prove
@pytest.mark.skipif(not PROVING, reason="nbgrader beside the whole honest bank: make prove")
@pytest.mark.parametrize("lesson", ["attention", "positions"])
def test_nbgrader_and_our_grader_agree_on_every_honest_submission(lesson, scores, tmp_path, note):
    class_ = honest(lesson)
    found = scores(
        lesson,
        {student: answers for student, (answers, _) in class_.items()},
        tmp_path,
        {student: before for student, (_, before) in class_.items()},
    )
    summary = jobs.grade(
        tmp_path / "submitted",
        tmp_path / "out",
        seed=SEED,
        assignment=tmp_path / "source" / lesson / "assignment.toml",
    )
    ours = {student: record for student, (record,) in summary.students}
    assert found.keys() == ours.keys() == class_.keys()
    differing = []
    for student, record in ours.items():
        for part in record["exercises"]:
            score, _ = found[student][notebook.grade_id(part["exercise"], "-grade")]
            if score != pytest.approx(part["points"]):
                differing.append((student, part["exercise"], part["points"], score))
    note(f"{lesson}: {len(class_)} honest submissions, {sum(r['points'] for r in ours.values()):g} "
         f"points by course grade; nbgrader differs in {len(differing)} exercises")  # fmt: skip
    assert not differing


@pytest.mark.prove
@pytest.mark.parametrize("lesson", ["start", "attention"] if PROVING else ["start"])
def test_a_solved_lesson_passes_nbgraders_validation(lesson, tmp_path):
    answers = answers_of(lesson)
    made = nbformat.read(ROOT / "lessons" / file_of(lesson), as_version=4)
    for cell in made.cells:
        if exercise := cell.metadata.get("course", {}).get("exercise"):
            cell.source = answers[exercise]
    nbformat.write(made, tmp_path / file_of(lesson))
    (tmp_path / "nbgrader_config.py").write_text(CONFIG)
    assert "Success! Your notebook passes all the tests." in nbgrader(
        "validate", file_of(lesson), cwd=tmp_path
    )


def test_nbgrader_makes_the_same_lesson_from_the_solution(tmp_path):
    """Where no stub lines are used, an instructor may start from the solution notebook too."""
    source = tmp_path / "source" / "start"
    source.mkdir(parents=True)
    (source / "00_start.ipynb").write_bytes((ROOT / "solutions/00_start.ipynb").read_bytes())
    nbgrader("generate_assignment", "start", "--create", cwd=tmp_path)
    theirs = nbformat.read(tmp_path / "release/start/00_start.ipynb", as_version=4)
    ours = nbformat.read(ROOT / "lessons/00_start.ipynb", as_version=4)
    for cell, other in zip(theirs.cells, ours.cells, strict=True):
        assert cell.id == other.id
        assert cell.metadata == other.metadata
        if not cell.id.endswith("-badge") and "question" not in cell.metadata.get("course", {}):
            assert cell.source == other.source
