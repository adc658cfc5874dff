"""Exercise of lesson 00, start: how checks and hints work; text.toml has its words."""

from course.checks.declaration import Probe, call, tensor
from course.checks.judges import Match
from course.checks.texts import exercise, lesson, questions

LESSON = lesson("start")


def numbers(*shape):
    return lambda rng: {"x": rng.normal(size=shape).astype("float32")}


def call_double(inputs):
    return call(tensor(inputs["x"]))


judge_double = Match(
    lambda i: 2.0 * i["x"],
    {
        "squared": lambda i: i["x"].astype("float64") ** 2,
        "unchanged": lambda i: i["x"],
        "halved": lambda i: i["x"] / 2,
        "two-added": lambda i: i["x"] + 2,
    },
)

EXERCISES = (
    exercise(
        "start.double",
        defines="double",
        probes=(
            Probe("one number", 0.5, numbers(1), call_double, judge_double),
            Probe("a matrix", 0.5, numbers(2, 3), call_double, judge_double),
        ),
    ),
)

QUESTIONS = questions("start")
