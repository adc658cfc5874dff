"""What names a mistake that no list holds: pairs, properties, exceptions, counterexamples."""

import numpy as np
import pytest

from course.checks.declaration import Exercise, Probe, call
from course.checks.examiner import clean, examine_here, with_counterexample
from course.checks.judges import Match, same
from course.checks.references import Reference, conditioned, of_inputs, turned
from course.runner import carry_out


def scaled(i, *, by=2.0, plus=0.0, order=1):
    return (i["x"].astype("float64") * by + plus)[::order]


KNOBS = {
    "by": {"halved": 0.5, "by-length": of_inputs(lambda i: len(i["x"]))},
    "plus": {"one-added": [1.0, 1e-3]},
    "order": {"reversed": -1},
}


def exercise_with(judge, *sizes, **more):
    probes = [
        Probe(
            f"{n} numbers",
            1,
            lambda rng, n=n: {"x": rng.normal(size=n)},
            lambda i: call(i["x"]) | {"keras": False},
            judge,
            **more,
        )
        for n in sizes
    ]
    return Exercise("toy.one", "A toy", "f", 5, tuple(probes), {m: m for m in judge.names})


TOY = exercise_with(Match(Reference(scaled, KNOBS), dtype=None), 3, 5)


def told(answer, exercise=TOY):
    return examine_here(exercise, answer)


def test_every_value_of_a_knob_is_a_mistake_with_a_name():
    assert told(lambda x: x * 0.5).mistakes == ("halved",)
    assert told(lambda x: x * len(x)).mistakes == ("by-length",)


def test_a_number_is_fitted_among_the_forms_of_one_mistake():
    assert told(lambda x: x * 2 + 1e-3).mistakes == ("one-added",)


def test_two_mistakes_in_one_answer_are_both_told():
    report = told(lambda x: (x * 0.5 + 1)[::-1] if False else (x * 0.5)[::-1])
    assert set(report.mistakes) == {"halved", "reversed"} and report.together
    assert report.sentences[1].startswith("And also: ")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda x: x * 7, "3.5 times"),
        (lambda x: -2 * x, "opposite sign"),
        (lambda x: 2 * x - 4, "too small by 4"),
        (lambda x: np.exp(2 * x), "exponential"),
        (lambda x: x, "x as it was given"),
        (lambda x: 0 * x, "nothing but zeros"),
        (lambda x: 2 * x[:-1], "at the end there are places missing"),
        (lambda x: np.append(2 * x[:-1], 7.0), "wrong at place"),
        (lambda x: (2 * x)[:, None], "Its shape is"),
        (lambda x: np.round(2 * x, 2), "rounded to 2"),
    ],
)
def test_what_no_mistake_explains_is_told_by_a_property(answer, words):
    report = told(answer)
    assert not report.passed and words in report.message, report.message


def test_a_property_is_never_told_of_one_number_by_chance():
    one = exercise_with(Match(Reference(lambda i: i["x"].sum() ** 2), dtype=None), 2, 3)
    message = told(lambda x: float(np.abs(x).sum() + 11), one).message
    assert "times" not in message and "too large" not in message


def test_an_exception_has_a_name_only_if_what_it_says_fits():
    judge = Match(Reference(scaled, KNOBS), dtype=None)
    exercise = exercise_with(judge, 3, if_raises="reversed")

    def memory(x):
        raise MemoryError("no room")

    def shapes(x):
        raise ValueError("operands could not be broadcast together with shapes (3,) (4,)")

    assert told(memory, exercise).mistakes == ("exception",)
    assert told(shapes, exercise).mistakes == ("reversed",)


def test_colours_of_a_framework_never_reach_a_student():
    assert clean("\x1b[1mIn\x1b[0m\x1b]8;;http://x\x07 line\x00 1\n") == "In line 1\n"


def test_a_right_part_of_a_tuple_contradicts_a_name():
    def pair(i, *, first=1.0, second=1.0):
        return i["x"] * first, i["x"] + second

    both = turned(pair, first=2.0, second=2.0)
    exercise = exercise_with(Match(pair, {"both-doubled": both}, dtype=None), 3, 4)
    assert told(lambda x: (x, x + 2.0), exercise).mistakes == ("unrecognised",)
    assert told(lambda x: (2 * x, x + 2.0), exercise).mistakes == ("both-doubled",)


def test_the_tolerance_follows_from_what_the_dtype_leaves():
    def softmax(i):
        e = np.exp(i["x"].astype("float64") - i["x"].max())
        return e / e.sum()

    small = {"x": np.array([0.5, 0.25], "float32")}
    large = {"x": np.array([-300.5, -300.25], "float32")}
    assert conditioned(softmax, small, 2e-5) == 2e-5
    assert 2e-5 < conditioned(softmax, large, 2e-5) <= 1e-3
    assert conditioned(softmax, {"x": large["x"].astype("float64")}, 2e-5) == 2e-5
    assert not same(softmax(large), softmax(small) + 0.01, 1e-3)


def test_a_counterexample_is_small_and_fails_in_the_same_way():
    answer = lambda x: x * 2 + 1  # noqa: E731
    report = with_counterexample(told(answer), lambda plan: carry_out(plan, answer))
    found = report.counterexample
    assert found.numbers <= 2
    assert found.differs is not None and found.differs.all()
    assert "Yours" in found.text() and found.as_json()["numbers"] == found.numbers
    assert told(answer).counterexample is None
