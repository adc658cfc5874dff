"""The mistakes catalogue: answers that students really write, and what each must be told.

One module per lesson. A wrong answer carries the id of its mistake, a right one carries none:

    @wrong("attention.scaled_dot_product", "no-scaling")
    def no_scaling(query, key, value): ...

    @right("attention.scaled_dot_product")
    def with_einsum(query, key, value): ...

`attention_class.py` holds answers of someone who had only the notebook. `tests/test_mistakes.py`
puts every one of them to the probes of its exercise, with several seeds.
`python -m tests.mistakes [-v]` prints the totals; -v prints what each answer is told as well.
"""

import ast
import functools
import importlib
import inspect
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from course import exercises, runner, runtime
from course.checks.examiner import examine

SEEDS = (0, 1, 20_250_101)  # the public seed, and two as a grader might draw them


@dataclass(frozen=True)
class Entry:
    """One answer of the catalogue.

    Attributes:
        exercise: the exercise's id.
        answer: the function or class.
        mistakes: the ids that it may be told first; empty for a right answer. More than one only
            where what comes back is the same for both.
        seconds: the time limit, where the answer is there to run into it.
    """

    exercise: str
    answer: object
    mistakes: tuple = ()
    seconds: float | None = None

    @property
    def name(self):
        return f"{self.exercise}:{self.answer.__name__}"

    def examine(self, seed):
        """The `Report` on this answer, as `check` and the grader would make it."""

        def execute(plan):
            more = {} if self.seconds is None else {"seconds": self.seconds}
            return runner.carry_out(plan | more, self.answer)

        return examine(exercises.find(self.exercise), execute, seed, source_of(self.answer))


@functools.cache
def sources(path):
    """{name: source} of a file's classes, decorators included."""
    text = Path(path).read_text(encoding="utf-8")
    lines, found = text.splitlines(keepends=True), {}
    for node in runtime.parse_source(text).body:
        if isinstance(node, ast.ClassDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found[node.name] = "".join(lines[first - 1 : node.end_lineno])
    return found


def source_of(answer):
    """What `inspect.getsource` gives, which parses a file anew for each class."""
    if inspect.isclass(answer):
        return sources(inspect.getsourcefile(answer))[answer.__name__]
    return inspect.getsource(answer)


class Catalogue(list):
    """The answers of one module, in its order."""

    def wrong(self, exercise, *mistakes, seconds=None, only_on=None):
        """Notes an answer; `only_on` names the backend without which it is another answer."""

        def note(answer):
            if only_on in (None, runtime.choose_backend()):
                self.append(Entry(exercise, answer, mistakes, seconds))
            return answer

        return note

    def right(self, exercise):
        return self.wrong(exercise)


def modules():
    """Names of the modules that hold a catalogue."""
    names = (path.stem for path in Path(__file__).parent.glob("[a-z]*.py"))
    return sorted(names)


def catalogue(module):
    """The entries of one module."""
    return importlib.import_module(f".{module}", __name__).CATALOGUE


def entries():
    """All entries of the catalogue."""
    return [entry for module in modules() for entry in catalogue(module)]


@dataclass(frozen=True)
class Row:
    """The totals of one exercise."""

    exercise: str
    right: int
    accepted: int
    wrong: int
    rejected: int
    named: int


def totals(reports):
    """Rows of totals from (entry, report) pairs; the last one is their sum."""
    counts = {}
    for entry, report in reports:
        count = counts.setdefault(entry.exercise, Counter())
        if not entry.mistakes:
            count["right"] += 1
            count["accepted"] += report.passed
        else:
            count["wrong"] += 1
            count["rejected"] += not report.passed
            count["named"] += report.mistakes[:1] != () and report.mistakes[0] in entry.mistakes
    whole = sum(counts.values(), Counter())
    keys = ("right", "accepted", "wrong", "rejected", "named")
    return [Row(name, *(c[k] for k in keys)) for name, c in [*counts.items(), ("all", whole)]]


def table(rows):
    """The rows as text."""
    head = f"{'exercise':34}{'right':>7}{'accepted':>10}{'wrong':>7}{'rejected':>10}{'named':>7}"
    lines = [
        f"{r.exercise:34}{r.right:7}{r.accepted:10}{r.wrong:7}{r.rejected:10}{r.named:7}"
        for r in rows
    ]
    return "\n".join([head, *lines])
