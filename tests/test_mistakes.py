"""The mistakes catalogue: no wrong answer passes, each is told its own mistake.

TensorFlow runs all of it. JAX, which compiles each shape anew, runs a quarter of the right answers
and a twentieth of the wrong ones; `make prove` runs everything with every seed, on JAX too.
"""

import os

import mistakes
import pytest
from conftest import PROVING

from course import exercises
from course.checks.declaration import COMMON_MISTAKES
from course.lab.interactive import show_report

pytestmark = pytest.mark.backend

WRONG = [entry for entry in mistakes.entries() if entry.mistakes]
RIGHT = [entry for entry in mistakes.entries() if not entry.mistakes]
ALL = PROVING or os.environ["KERAS_BACKEND"] == "tensorflow"


class Reports(dict):
    """Each entry's report with the public seed, made when it is first asked for."""

    def __missing__(self, entry):
        return self.setdefault(entry, entry.examine(mistakes.SEEDS[0]))


@pytest.fixture(scope="module")
def reports():
    return Reports()


def named(entries):
    """Entries as parameters."""
    return [pytest.param(entry, id=entry.name) for entry in entries]


@pytest.mark.prove
@pytest.mark.parametrize("entry", named(WRONG if ALL else WRONG[::20]))
def test_a_wrong_answer_fails_and_is_told_its_own_mistake(entry, reports):
    report = reports[entry]
    assert not report.passed
    assert report.points < report.max_points
    assert len(report.mistakes) <= 2
    assert report.mistakes[0] in entry.mistakes


@pytest.mark.prove
@pytest.mark.parametrize("entry", named(RIGHT if ALL else RIGHT[::4]))
def test_a_right_answer_of_any_style_earns_all_points(entry, reports):
    report = reports[entry]
    assert report.passed, report.message
    assert report.points == report.max_points


@pytest.mark.prove
@pytest.mark.parametrize("seed", mistakes.SEEDS[1:])
@pytest.mark.parametrize("lesson", exercises.lessons())
def test_a_secret_seed_judges_the_same(lesson, seed):
    if not ALL:
        pytest.skip("secret seeds on JAX are for `make prove`")
    chosen = [*WRONG, *RIGHT] if PROVING else [*WRONG[::20], *RIGHT[::5]]
    for entry in chosen:
        if entry.exercise.startswith(f"{lesson}."):
            report = entry.examine(seed)
            assert report.passed == (not entry.mistakes), f"{entry.name}: {report.message}"


def test_every_exercise_has_enough_of_both():
    for lesson in exercises.lessons():
        for exercise in exercises.of_lesson(lesson):
            wrong = [e for e in WRONG if e.exercise == exercise.id]
            right = [e for e in RIGHT if e.exercise == exercise.id]
            assert len(wrong) >= (3 if exercise.id == "attention.cost" else 8), exercise.id
            assert len(right) >= 4, exercise.id


def test_nothing_that_we_say_calls_an_answer_correct(reports):
    said = [*COMMON_MISTAKES.values()]
    for lesson in exercises.lessons():
        said += [sentence for e in exercises.of_lesson(lesson) for sentence in e.mistakes.values()]
    said += [show_report(reports[entry]).text for entry in RIGHT[::10]]
    assert not [sentence for sentence in said if "correct" in sentence.lower()]
    assert "Passed the public checks" in said[-1]


def test_every_sentence_is_one_that_the_checks_can_say():
    for lesson in exercises.lessons():
        for exercise in exercises.of_lesson(lesson):
            named = {mistake for p in exercise.probes for mistake in p.raises}
            for probe in exercise.probes:
                named |= set(getattr(probe.judge, "names", ()))
            assert not exercise.mistakes.keys() - named, exercise.id
            assert not named - exercise.mistakes.keys() - COMMON_MISTAKES.keys()
