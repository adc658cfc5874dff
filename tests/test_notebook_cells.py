"""What cells say in a real kernel: stopped checks, answers that did not run, names not defined."""

import pytest
from kernel import ROOT, kernel

from course import exercises
from course.lab import handout

pytestmark = [pytest.mark.slow]

RIGHT = "# exercise: start.double\ndef double(x):\n    return 2 * x\n"


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    with kernel(tmp_path_factory.mktemp("home")) as running:
        running.run("from course.lab import *\nsetup('start')")
        yield running


# ■ during a check


ENDLESS = {
    "plain": "def double(x):\n    while True:\n        pass\n",
    "catches_everything": (
        "def double(x):\n    while True:\n        try:\n            y = sum(range(100))\n"
        "        except:\n            pass\n"
    ),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_a_check_that_is_interrupted_says_stopped_and_leaves_no_thread(notebook, kind):
    notebook.run(ENDLESS[kind])
    cell = notebook.run("check(double)", interrupt_after=2)
    assert cell.text.strip() == "Stopped." and not cell.error
    alive = "import threading; print([t.name for t in threading.enumerate()])"
    assert "course-check" not in notebook.run(alive).text
    notebook.run(RIGHT)
    assert "Passed the public checks" in notebook.run("check(double)").text


def test_an_interrupted_wait_outside_python_says_how_it_ends(notebook):
    notebook.run("import time\ndef double(x):\n    time.sleep(8)\n    return 2 * x\n")
    cell = notebook.run("check(double)", interrupt_after=1)
    assert cell.text.startswith("Stopped. Your code still waits in a call")
    assert not cell.error


# What is judged is what is seen


@pytest.mark.parametrize(
    ("edited", "says"),
    [
        (RIGHT.replace("2 * x", "3 * x +"), "Your cell has not run: invalid syntax in line 3"),
        (RIGHT.replace("def double", "def twice"), "Your cell defines twice, the exercise asks"),
        ("1 / 0\n" + RIGHT, "Your cell stopped with ZeroDivisionError before it defined double"),
    ],
)
def test_a_version_before_the_last_change_is_not_passed_off_as_what_is_seen(notebook, edited, says):
    notebook.run(RIGHT)
    assert notebook.run("check(double)").text.startswith("Twice as much: 1 of 1")
    notebook.run(edited if edited.startswith("#") else RIGHT.split("\n")[0] + "\n" + edited)
    shown = notebook.run("check(double)").text
    assert shown.startswith(f"! {says}"), shown
    assert "What is checked here is the version before it" in shown
    notebook.run(RIGHT)
    assert notebook.run("check(double)").text.startswith("Twice as much: 1 of 1")


def test_an_answer_whose_cell_fails_below_it_is_the_one_that_is_seen(notebook):
    notebook.run(RIGHT + "double('a', 'b')")
    assert notebook.run("check(double)").text.startswith("Twice as much: 1 of 1")


# Names that are not defined


def test_a_name_that_no_cell_has_made_says_which_cell_to_run(notebook):
    notebook.run("from keras import ops; del double; del ops")
    cell = notebook.run("check(double)")
    assert "NameError" in cell.error
    assert 'what you write in the exercise "Twice as much"' in cell.text
    assert "made in a cell further up" in notebook.run("ops.ones(3)").text
    assert notebook.run("no_such_name_anywhere").text == ""


def test_a_renamed_answer_of_a_fresh_kernel_is_told_so(notebook):
    notebook.run("globals().pop('double', None)")
    notebook.run(RIGHT.replace("def double", "def twice"))
    shown = notebook.run("check(double)").text
    assert "Your cell defines twice, the exercise asks for double" in shown


# Exercises as they were handed out


def stub(exercise_id):
    lesson = exercise_id.partition(".")[0]
    cells = handout.cells(lesson)
    return next(text for _, _, text in cells if handout.exercise_of(text) == exercise_id)


REPAIRS = [e.id for name in exercises.lessons() for e in exercises.of_lesson(name)]


def test_what_nobody_has_begun_takes_one_line_and_counts_as_no_attempt(notebook):
    notebook.run("import keras\nimport numpy as np\nfrom keras import ops\nimport math, random\n")
    notebook.run("from dataclasses import dataclass")
    seen = {}
    for exercise_id in REPAIRS:
        exercise = exercises.find(exercise_id)
        if exercise.lesson not in ("attention", "transformer", "positions", "start"):
            continue
        notebook.run(f"setup({exercise.lesson!r})")
        assert not notebook.run(stub(exercise_id)).error, exercise_id
        if exercise_id == "start.double":
            continue  # tried above
        text = notebook.run(f"check({exercise.defines})").text
        seen[exercise_id] = text.strip()
        assert "not tried" in notebook.run(f"print(progress({exercise.lesson!r}))").text
    for exercise_id, text in seen.items():
        repair = "NotImplementedError" not in stub(exercise_id)
        end = "check again." if repair else "Not written yet."
        assert "\n" not in text and text.startswith("· ") and text.endswith(end), exercise_id
    assert any("As given, not changed yet" in text for text in seen.values())


def test_a_changed_comment_is_no_change_and_a_changed_line_is_one(notebook):
    exercise = exercises.find("attention.repair")
    given = stub(exercise.id)
    assert handout.is_unchanged(exercise, given + "\n# a comment")
    assert not handout.is_unchanged(exercise, given.replace("-1", "-2", 1))
    assert not handout.is_unchanged(exercise, None)


# After a restart: what IPython runs in every kernel of an environment with the course


def test_after_a_restart_a_name_of_the_course_says_run_the_setup_cell(tmp_path):
    startup = (ROOT / "course" / "lab" / "startup.py").read_text()
    with kernel(tmp_path) as fresh:
        fresh.run(startup)
        assert "_watch_names" not in fresh.run("print(sorted(globals()))").text
        cell = fresh.run("check(double)")
        assert "NameError" in cell.error and "The setup cell has not run" in cell.text
        assert fresh.run("no_such_name").text == ""
        assert fresh.run("import sys; print('course' in sys.modules)").text.strip() == "False"
    lesson = str(ROOT / "lessons" / "02_attention.ipynb")
    with kernel(tmp_path, JPY_SESSION_NAME=lesson) as fresh:
        fresh.run(startup)
        assert "The setup cell has not run" in fresh.run("ops.ones(3)").text
        fresh.run("from course.lab import *\nsetup('attention')")
        assert "The setup cell" not in fresh.run("ops.ones(3)").text
