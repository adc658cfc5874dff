"""What an exercise declares, once, for the notebook's check, the grader and the mistakes catalogue.

An exercise is a list of probes, ordered from one isolated mechanism to full parity. A probe draws
inputs, writes a plan for the runner as data, and judges what came back. References are written in
float64 NumPy; nothing here imports Keras.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

# Mistakes that any exercise can meet. An exercise adds its own; each has an id and one sentence.
COMMON_MISTAKES = {
    "missing": "This name is not defined. Run the cell that defines it, or restore its name.",
    "not-written": "Not written yet.",
    "not-callable": "This name is not a function or a class any more.",
    "wrong-arguments": "The function does not take the arguments that the exercise states.",
    "exception": "Your code stopped with an error.",
    "too-slow": "Your code did not finish. Look for a loop that never ends.",
    "wrong-type": "The kind of thing returned is not what the exercise states.",
    "wrong-shape": "The result has the wrong shape.",
    "wrong-dtype": "The numbers are right, but their dtype is not.",
    "nan": "The result contains NaN (not a number) where a number is expected.",
    "input-changed": "Your code changes its input in place. Work on a new array instead.",
    "forbidden-call": "This exercise asks you to write that part yourself.",
    "unrecognised": "The result differs from what is expected.",
}

# What the commonest errors of the frameworks mean: (what their message holds, what to do).
ADVICE = (
    (
        r"experimental_enable_numpy_behavior",
        "Tensors of TensorFlow have no .T: swap two axes with ops.swapaxes(x, -1, -2).",
    ),
    (
        r"Matrix size-incompatible|contracting dim|core dimension|not aligned",
        "In a product the last axis of the first meets the last axis but one of the second: "
        "one of the two has to be transposed.",
    ),
    (
        r"same dtype|expected to be a \w+ tensor but is a|lax\.\w+ requires arguments to have",
        "Two dtypes meet. A Python number such as d_k**0.5 keeps a tensor's dtype, a float32 "
        "tensor does not.",
    ),
    (
        r"Failed to convert elements of \(None",
        "The batch size is not known yet: write -1 for it in a reshape.",
    ),
)


@dataclass(frozen=True)
class Verdict:
    """What a judge says of one probe.

    Attributes:
        passed: whether the outcome is right.
        mistakes: ids of the mistakes that explain a wrong outcome, likeliest first.
        detail: what was seen, in a sentence or two for the student.
        got: the student's part that differs, a plain value.
        expected: what was expected in its place.
        consistent: ids of the known mistakes that would have produced this outcome, whether it is
            right or wrong; None where the judge cannot say. The examiner uses them to tell two
            mistakes apart that look the same on one probe. Of an outcome that is right, a function
            that gives them: they are looked for only if another probe fails.
    """

    passed: bool
    mistakes: tuple = ()
    detail: str = ""
    got: object = None
    expected: object = None
    consistent: object = None

    def agreeing(self):
        """The ids in `consistent`, or None."""
        return self.consistent() if callable(self.consistent) else self.consistent


@dataclass(frozen=True)
class Probe:
    """One question put to a student's code.

    Attributes:
        title: the mechanism that it isolates, as a statement of what holds.
        points: its weight.
        inputs: draws arrays and plain values from a generator: `inputs(rng) -> dict`.
        plan: writes the plan for the runner: `plan(inputs) -> dict`.
        judge: `judge(inputs, outcome) -> Verdict`.
        if_raises: the mistake that an exception on this probe points to, if there is one.
        in_place: whether an answer may change the arrays and lists that it is given.
    """

    title: str
    points: float
    inputs: Callable
    plan: Callable
    judge: Callable
    if_raises: str | None = None
    in_place: bool = False


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        id: lesson and name, as in "attention.scaled_dot_product".
        title: what the student writes, in a few words.
        defines: the name that the student's cell defines.
        minutes: time to expect.
        probes: see `Probe`; the points of the exercise are the sum of theirs.
        mistakes: {id: sentence} of the exercise's own mistakes. The sentence says what was done
            and what to do instead, and never more than one slip.
        may_not_call: dotted names of what the student is to write.
        hints: up to three, from where to look to one line short of the answer.
    """

    id: str
    title: str
    defines: str
    minutes: int
    probes: tuple
    mistakes: dict = field(default_factory=dict)
    may_not_call: tuple = ()
    hints: tuple = ()

    def __post_init__(self):
        clash = self.mistakes.keys() & COMMON_MISTAKES.keys()
        if clash:
            raise ValueError(f"{self.id}: {sorted(clash)} are ids of common mistakes")
        if len(self.hints) > 3:
            raise ValueError(f"{self.id}: {len(self.hints)} hints, expected at most 3")

    @property
    def lesson(self):
        return self.id.partition(".")[0]

    @property
    def points(self):
        return sum(probe.points for probe in self.probes)

    def sentence(self, mistake):
        """The sentence for a mistake's id."""
        return self.mistakes.get(mistake) or COMMON_MISTAKES[mistake]

    def rng(self, index, seed):
        """The generator from which probe `index` draws its inputs."""
        return np.random.default_rng([zlib.crc32(self.id.encode()), index, seed])


@dataclass(frozen=True)
class Question:
    """A "predict, then run" question: no points, and a reply to every answer.

    Attributes:
        id: lesson and name, as in "attention.change_one_key".
        text: the question.
        options: {letter: (text, reply)}; a wrong option is a misconception, its reply meets it.
        answer: the right letter.
    """

    id: str
    text: str
    options: dict
    answer: str


@dataclass(frozen=True)
class Lesson:
    """A lesson, as the setup cell and the progress table show it.

    Attributes:
        number: two digits, as in the file's name.
        name: the one name of its four rooms.
        title: for people.
        minutes: a student's time.
        seconds: what its solution takes to run on two CPU cores.
    """

    number: str
    name: str
    title: str
    minutes: int
    seconds: int

    @property
    def file(self):
        """The name of its notebook."""
        return f"{self.number}_{self.name}.ipynb"


# The words a plan is written in; the runner's docstring says what they mean.


def tensor(array, dtype=None):
    """An array handed to the student as a tensor of the backend."""
    return {"$": "tensor", "value": array, "dtype": dtype}


def ref(name):
    """An earlier step's result; "answer" is the student's own object."""
    return {"$": "ref", "name": name}


def fixture(kind, **data):
    """An object that the runner builds from data."""
    return {"$": "fixture", "kind": kind, **data}


def step(do, **fields):
    """One step of a plan, for example `step("call", args=[...], save="output")`."""
    return {"do": do, **fields}


def call(*args, **kwargs):
    """The commonest plan: one call of the student's function."""
    return {"steps": [step("call", args=list(args), kwargs=kwargs)], "return": ["result"]}


def draw_until(draw, parts):
    """Repeats `draw(rng)` until `parts(inputs)` holds."""

    def inputs(rng):
        for _ in range(10_000):
            drawn = draw(rng)
            if parts(drawn):
                return drawn
        raise AssertionError("no draw of this probe parts what it is there to part")

    return inputs
