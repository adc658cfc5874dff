"""What a student sees: check, hint, predict, grade and progress, outside a browser."""

import json
import re
import subprocess
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest

from course import exercises
from course.lab import (
    check,
    display,
    grade,
    handout,
    hint,
    interactive,
    naming,
    plots,
    predict,
    progress,
    progress_record,
    setup,
    solution,
)

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


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: check(), "Say what is to be checked: check(double)."),
        (lambda: check(cube), "No exercise defines 'cube'."),
        (lambda: check("dubble"), "There is no exercise 'dubble'. Did you mean double?"),
        (lambda: check(double, double, 3), "check: too many positional arguments."),
        (lambda: check(np.ones(2)), "This is a ndarray. Pass your own function or class, without"),
        (lambda: check(double, exercise="start.nosuch"), "There is no exercise 'start.nosuch'."),
        (lambda: hint(), "Say for which exercise: hint(double)."),
        (lambda: hint(cube), "No exercise defines 'cube'."),
        (lambda: hint(double, "two"), "number is 'two', expected 1, 2 or 3."),
        (lambda: solution("nosuch"), "There is no exercise 'nosuch'."),
        (lambda: predict("start.nosuch"), "There is no question 'start.nosuch'. Did you mean"),
        (lambda: progress("nosuch"), "There is no lesson 'nosuch'. The lessons are start,"),
        (lambda: setup("atention"), "There is no lesson 'atention'. Did you mean \"attention\""),
        (lambda: setup(), "Say which lesson this is"),
    ],
)
def test_a_call_that_cannot_be_understood_is_answered_with_a_sentence(call, says, seen):
    assert call() is None
    shown = seen()
    assert shown.startswith(says) and "\n" not in shown.strip(), shown


@pytest.mark.parametrize(
    "given", ["attention", "02_attention", "02", "2", 2, "02_attention.ipynb", "Attention"]
)
def test_a_lesson_goes_by_its_name_its_number_its_file_and_its_title(given, seen):
    assert naming.lesson(given) == "attention"


@pytest.mark.parametrize("given", ["start.double", "double", "double()", double])
def test_an_exercise_goes_by_its_id_its_name_and_its_function(given, seen):
    assert naming.exercise(given).id == "start.double"
    hint(given, 1)
    assert seen().startswith("Hint 1.")


def test_a_name_means_the_exercise_of_this_lesson_before_one_of_another(monkeypatch):
    for name in exercises.lessons():
        monkeypatch.setattr(naming, "_current", [name])
        for exercise in exercises.of_lesson(name):
            assert naming.exercise(exercise.defines).id == exercise.id


def cube(x):
    return x**3


def test_the_smallest_counterexample_is_shown_with_its_cells_marked():
    report = interactive.examine_here(exercises.find("start.double"), squared, 0)
    found = SimpleNamespace(
        inputs=(
            SimpleNamespace(name="x", value=np.array([[1, 2]]), how=""),
            SimpleNamespace(name="mask", value=np.ones((2, 2), bool), how="true"),
        ),
        yours=np.array([[1, 4]]),
        expected=np.array([[2, 4]]),
        part="",
        differs=np.array([[True, False]]),
        text=lambda: "x = 1 2\nYours: 1* 4\nExpected: 2 4",
    )
    shown = interactive.show_report(_With(report, found))
    html = shown._repr_html_()
    assert "Yours: 1* 4" in str(shown)
    assert "mask: all True (2, 2)" in html
    assert html.count("◆ 1<") == 1 and html.count("◆ 2<") == 1 and "◆ 4" not in html


class _With:
    """A report with a counterexample."""

    def __init__(self, report, counterexample):
        self._report, self.counterexample = report, counterexample

    def __getattr__(self, name):
        return getattr(self._report, name)


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


def test_a_failed_check_ends_with_its_hint_and_after_three_with_its_solution(course_home, seen):
    interactive._hints_shown.clear()
    hinted = "Stuck? A hint: `hint(double)`"
    for attempt in (1, 2, 3):
        solution(double)
        assert "after 3 hints or 3 checks. The next step is hint(double)" in seen()
        check(squared, exercise="start.double")
        shown = seen().strip()
        assert hinted in shown
        assert shown.endswith("Or see one solution: `solution(double)`" if attempt == 3 else hinted)
    solution(double)
    shown = seen()
    assert "return 2 * x" in shown and "BEGIN SOLUTION" not in shown and "# ~" not in shown
    check(double)
    assert "hint(" not in seen()


def test_three_hints_lead_to_the_solution(course_home, seen):
    interactive._hints_shown.clear()
    hint(double, 3)
    assert "If you are still stuck: solution(double)" in seen()
    solution(double)
    assert "return 2 * x" in seen()
    interactive._hints_shown.clear()


def test_a_handout_may_show_no_solutions(course_home, seen, monkeypatch):
    monkeypatch.setenv("COURSE_SOLUTIONS", "1")
    setup("start", solutions=False)
    for _ in range(3):
        check(squared, exercise="start.double")
    assert "solution(" not in seen()
    solution(double)
    assert seen().startswith("This handout shows no solutions.")


def test_every_exercise_has_a_solution_to_show():
    for exercise in (e for name in exercises.lessons() for e in exercises.of_lesson(name)):
        text = handout.solution(exercise)
        compile(text, exercise.id, "exec")
        assert exercise.defines in text and "SOLUTION" not in text and "NotImplemented" not in text
        assert not handout.is_unchanged(exercise, text), exercise.id


def test_predictions_are_kept_and_summed_up_with_the_first_answer(course_home, seen):
    question = exercises.find_question("attention.change_one_key")
    wrong = next(letter for letter in question.options if letter != question.answer)
    predict(question.id)
    assert "Your predictions" not in str(progress("attention"))
    predict(question.id, wrong)
    predict("change_one_key", question.answer)
    shown = str(progress("attention"))
    assert "Your predictions: 0 of 1 right at first." in shown
    assert f"You expected: {question.options[wrong][0].rstrip('.')}." in shown
    assert f"It was: {question.options[question.answer][0].rstrip('.')}." in shown
    assert '(section "2. One query and three keys, by hand")' in shown
    html = progress("attention")._repr_html_()
    assert 'href="02_attention.ipynb#cell-id=attention-change_one_key"' in html


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


def test_progress_shows_bars_what_comes_next_and_when(course_home):
    text = str(progress())
    assert text.count("░░░░░░░░░░") == len(exercises.lessons())
    assert "Next: Twice as much (lesson 00" in text
    check(double)
    text, html = str(progress()), progress()._repr_html_()
    assert re.search(r"00 Start here +██████████ +1 of 1 +done +today", text)
    assert html.count("<details") == len(exercises.lessons()) and "width:100%" in html
    assert "Next: " in text and "Twice as much" not in text.split("Next: ")[1]
    path = course_home / "progress" / "start.double.json"
    path.write_text(
        path.read_text().replace(json.loads(path.read_text())["when"][:10], "2020-02-03")
    )
    assert "2020-02-03" in str(progress("start"))


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


# colours


GROUNDS = {  # of JupyterLab, VS Code and Colab, light and dark
    "white": "#ffffff",
    "JupyterLab dark": "#111111",
    "VS Code dark": "#1e1e1e",
    "VS Code dark modern": "#1f1f1f",
    "Colab light": "#f7f7f7",
    "Colab dark": "#383838",
}


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    parts = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return np.dot(parts, (0.2126, 0.7152, 0.0722))


def contrast(one, other):
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_every_coloured_text_of_the_outputs_has_4_5_to_1_on_its_own_ground(course_home, seen):
    """Text either has a ground of its own, or the theme's own colour."""
    outputs = [progress(), progress("start")]
    for answer in (double, squared):
        outputs.append(
            interactive.show_report(
                interactive.examine_here(exercises.find("start.double"), answer), "Look.", ("`a`",)
            )
        )
    styles = [s for o in outputs for s in re.findall(r'style="([^"]*)"', o._repr_html_())]
    coloured = [s for s in styles if re.search(r"(?:^|;)color:", s)]
    assert coloured
    for style in coloured:
        text = re.search(r"(?:^|;)color:(#\w{6})", style)[1]
        ground = re.search(r"background:(#\w{6})", style)
        assert ground and contrast(text, ground[1]) >= 4.5, style


@pytest.mark.parametrize("ground", GROUNDS)
def test_edges_and_bars_have_3_to_1_on_every_theme(ground):
    for colour in display.EDGES.values():
        assert contrast(colour, GROUNDS[ground]) >= 3, colour


@pytest.mark.parametrize("ground", ["white", "Colab light", "JupyterLab dark", "VS Code dark"])
def test_every_line_of_a_plot_has_3_to_1(ground):
    for colour in plots.picture.CATEGORY_COLOURS:
        limit = 3 if ground != "Colab light" else 2.85  # pictures bring white paper along
        assert contrast(colour, GROUNDS[ground]) >= limit, colour


def test_a_terminal_that_writes_ascii_gets_signs_that_it_can_write():
    assert display.printable("✓ one ░ ◆", "ascii") == "+ one . *"
    assert display.printable("✓ one", "utf-8") == "✓ one"
