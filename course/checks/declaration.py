"""What an exercise declares, once, for the notebook's check, the grader and the mistakes catalogue.

An exercise is a list of probes, ordered from one isolated mechanism to full parity. A probe draws
inputs, writes a plan for the runner as data, and judges what came back. References are written in
float64 NumPy; nothing here imports Keras.
"""

import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from course.checks import text_of_checks

# Mistakes that any exercise can meet. An exercise adds its own; each has an id and one sentence.
COMMON_MISTAKES = text_of_checks()["mistakes"]

# What the commonest errors of the frameworks mean: (what their message holds, what to do).
ADVICE = tuple((item["pattern"], item["text"]) for item in text_of_checks()["advice"])


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
    evidence: object = field(default=None, repr=False, compare=False)

    def agreeing(self):
        """The ids in `consistent`, or None."""
        return self.consistent() if callable(self.consistent) else self.consistent


# What frameworks say of arrays that do not fit each other, and of axes that are not there.
OF_SHAPES = (
    r"(?i:^(?!AttributeError|NameError|Unbound|MemoryError|Recursion|ImportError|ModuleNotFound|Key)"
    r"[\s\S]*(?:\bshapes?\b|\baxis\b|\baxes\b|\brank\b|dimension|broadcast|incompatible|not aligned"
    r"|number of elements|size of|out of bounds|unpack|reshape|transpos|\bperm\b|einsum|\bslice))"
)
# What they say of a layer that its config does not make again.
OF_CONFIGS = r"(?i:deserializ|config|keyword argument|positional argument|serializ)"
# What they say of two dtypes that meet.
OF_DTYPES = r"(?i:dtype|float16|float32|\bhalf\b|expected to be a \w+ tensor)"
# What they say of a division by nothing.
OF_DIVISION = r"ZeroDivision|(?i:divi\w+ by zero|division|invalid value|math domain)"


@dataclass(frozen=True)
class Probe:
    """One question put to a student's code.

    Attributes:
        title: the mechanism that it isolates, as a statement of what holds.
        points: its weight.
        inputs: draws arrays and plain values from a generator: `inputs(rng) -> dict`.
        plan: writes the plan for the runner: `plan(inputs) -> dict`.
        judge: `judge(inputs, outcome) -> Verdict`.
        if_raises: the mistake that an exception on this probe points to, if there is one: an id,
            for errors that speak of shapes, or {id: pattern} for errors whose type and message
            the pattern is found in. Any other error is told as it is.
        in_place: whether an answer may change the arrays and lists that it is given.
    """

    title: str
    points: float
    inputs: Callable
    plan: Callable
    judge: Callable
    if_raises: str | dict | None = None
    in_place: bool = False

    @property
    def raises(self):
        """{mistake id: pattern} of the exceptions that have a name here."""
        if isinstance(self.if_raises, str):
            return {self.if_raises: OF_SHAPES}
        return self.if_raises or {}

    def raised(self, kind, message):
        """The mistake that an exception of this type with this message points to, or None."""
        text = f"{kind}: {message}"
        return next((m for m, said in self.raises.items() if re.search(said, text)), None)


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
        for probe in self.probes:
            for pattern in probe.raises.values():
                re.compile(pattern)
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
