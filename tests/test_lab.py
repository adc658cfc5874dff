"""What a student sees: check, hint, predict, grade and progress, outside a browser."""

import json
import re
import subprocess
import sys
import threading

import numpy as np
import pytest

from course import exercises
from course.lab import check, grade, hint, interactive, predict, progress, progress_record

pytestmark = pytest.mark.backend


def double(x):
    return 2 * x


def squared(x):
    return x * x


@pytest.fixture
def seen(capsys):
    """`seen()`: what was printed since it was last asked."""
    return lambda: capsys.readouterr().out


# check


def test_a_right_answer_passed_the_public_checks_and_is_not_called_correct(seen):
    check(double)
    shown = seen()
    assert "Twice as much: 1 of 1 points in the public checks" in shown
    assert "Passed the public checks, 2 of 2." in shown
    assert "correct" not in shown.lower()


def test_a_wrong_answer_is_told_its_mistake_with_both_arrays(seen):
    check(squared, exercise="start.double")
    shown = seen()
    assert "✗ one number (failed)" in shown
    assert exercises.find("start.double").sentence("squared") in shown
    yours, expected = re.search(r"Yours:\n +(\S+)\nExpected:\n +(\S+)", shown).groups()
    assert float(yours) == pytest.approx((float(expected) / 2) ** 2, abs=0.01)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda x: None, "None (is there a return?)"),
        (lambda x: "two", "a str, expected an array of numbers"),
        (lambda x: x[..., None], "has shape (1, 1), expected (1,)"),
        (lambda x: x * np.nan, "NaN"),
        (lambda: 1, "does not take the arguments"),
        (lambda x: 1 / 0, "ZeroDivisionError"),
        (lambda x: (_ for _ in ()).throw(NotImplementedError), "Not written yet."),
        (3, "not a function or a class any more"),
    ],
)
def test_every_way_to_go_wrong_has_its_own_message(answer, says, seen):
    check(answer, exercise="start.double")
    assert says in seen()


def test_a_function_of_no_exercise_is_told_the_names_there_are():
    with pytest.raises(KeyError, match=r"no exercise defines 'cube'.*double"):
        check(cube)


def cube(x):
    return x**3


def test_html_of_a_check_is_escaped():
    report = interactive.examine_here(exercises.find("start.double"), lambda x: "<script>", 0)
    assert "<script>" not in interactive.show_report(report)._repr_html_()


# hint, predict, grade


def test_hints_come_one_at_a_time_and_stay(seen):
    interactive._hints_shown.clear()
    counts = []
    for _ in range(4):
        hint("start.double")
        counts.append(len(re.findall(r"^Hint \d\.", seen(), re.MULTILINE)))
    assert counts == [1, 2, 3, 3]


def test_every_wrong_option_has_its_own_reply(seen):
    question = exercises.find_question("start.double_negative")
    replies = []
    for letter in question.options:
        predict(question.id, letter)
        replies.append(seen().strip().splitlines()[-1])
    assert len(set(replies)) == len(replies)
    assert [reply.startswith("✓") for reply in replies] == [
        letter == question.answer for letter in question.options
    ]
    predict(question.id)
    assert 'Put your answer in place of "?"' in seen()


def test_a_grade_is_a_plain_number_and_0_while_nothing_is_there():
    assert grade("start.double") == 0.0


# progress


def test_progress_keeps_the_best_points_and_survives_the_process(course_home):
    check(double)
    check(squared, exercise="start.double")
    code = "from course.lab import progress; print(progress('start'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert re.search(r"Twice as much +passed +1 of 1", done.stdout), done.stderr
    assert progress_record.load("start.double")["attempts"] == 2


def test_a_damaged_progress_file_is_set_aside_not_lost(course_home, seen):
    path = course_home / "progress" / "start.double.json"
    for damage in ("{half a fi", '["a list"]', '{"best": "many", "attempts": 1}'):
        path.parent.mkdir(exist_ok=True)
        path.write_text(damage)
        assert "not tried" in str(progress("start"))
        assert "was damaged. It is kept as" in seen()
        assert damage in [p.read_text() for p in path.parent.glob("*.damaged-*")]
    check(double)
    assert "1 of 1" in str(progress("start"))


def test_two_notebooks_at_once_lose_no_points(course_home):
    reports = [
        interactive.examine_here(exercises.find("start.double"), f) for f in (double, squared)
    ]
    threads = [threading.Thread(target=progress_record.save, args=(r,)) for r in reports * 20]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    noted = json.loads((course_home / "progress" / "start.double.json").read_text())
    assert noted["max_points"] == 1.0
    assert [p.name for p in (course_home / "progress").iterdir()] == ["start.double.json"]


def test_a_home_that_cannot_be_written_costs_no_check(course_home, seen):
    (course_home / "progress").write_text("a file where a folder should be")
    check(double)
    shown = seen()
    assert "Passed the public checks" in shown
    assert "Your points could not be kept in" in shown and "COURSE_HOME" in shown
