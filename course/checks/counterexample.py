"""The smallest counterexample: a failing input made as small as it can be while it still fails.

Sizes go first: every axis of one length is cut at once, so that arrays keep fitting each other.
Then arrays become zeros, ones or the identity, which a word describes, and what is left becomes
small whole numbers. A step is kept only where the same mistake is still told.
"""

import time
import warnings
from dataclasses import dataclass

import numpy as np

from course.checks.judges import leaves
from course.checks.properties import size

# At most so many runs of a student's code, and so many seconds, go into a counterexample.
MOST_RUNS, MOST_SECONDS = 150, 0.8
# What is larger than this is no help to anybody.
MOST_NUMBERS, MOST_RESULTS = 24, 64
WORDS = ("zeros", "ones", "identity", "true")


@dataclass(frozen=True)
class Given:
    """One input of a counterexample.

    Attributes:
        name: the argument.
        value: the array, number, text or list.
        how: "zeros", "ones", "identity" or "true" where a word says it all; else "".
    """

    name: str
    value: object
    how: str = ""


@dataclass(frozen=True)
class Counterexample:
    """The smallest input on which an answer still fails in the same way.

    Attributes:
        probe: the title of the probe that was shrunk.
        inputs: a `Given` for each input.
        yours, expected: what came back and what should have, plain values.
        part: the part of a tuple or dict that differs, or "".
        differs: where the two arrays differ, booleans; None where their shapes do.
        numbers: how many numbers the inputs show.
    """

    probe: str
    inputs: tuple
    yours: object
    expected: object
    part: str = ""
    differs: object = None
    numbers: int = 0

    def text(self):
        """It as lines for a terminal; numbers that differ carry a star."""
        lines = ["A smaller input on which it fails in the same way:"]
        for given in self.inputs:
            lines.append(f"  {given.name} = {_shown(given.value, how=given.how)}")
        part = f", {self.part}" if self.part else ""
        lines.append(f"Yours{part}: {_shown(self.yours, self.differs)}")
        lines.append(f"Expected{part}: {_shown(self.expected)}")
        return "\n".join(lines)

    def as_json(self):
        """It as lists, numbers and strings."""
        return {
            "probe": self.probe,
            "inputs": [
                {"name": g.name, "value": _plain(g.value), "how": g.how} for g in self.inputs
            ],
            "part": self.part,
            "yours": _plain(self.yours),
            "expected": _plain(self.expected),
            "differs": _plain(self.differs),
            "numbers": self.numbers,
        }


def smallest(exercise, probe, inputs, execute, mistakes):
    """The `Counterexample` of a failing probe, or None where it has no numbers to show.

    Args:
        exercise: the `Exercise`.
        probe: the `Probe` that failed.
        inputs: what it was asked.
        execute: `execute(plan) -> Outcome`, as `examine` has it.
        mistakes: ids that the probe's judge gave; one of them has to be given again.
    """
    search = _Search(exercise, probe, execute, set(mistakes))
    if search.verdict(inputs) is None:
        return None
    small = search.run(inputs)
    verdict = search.verdict(small)
    if verdict is None or verdict.evidence is None:
        return None
    part, yours, expected = _part(verdict.evidence)
    if size(expected) > MOST_RESULTS or size(yours) > MOST_RESULTS:
        return None
    givens = tuple(
        Given(name, value, _how(value))
        for name, value in _flat(small).items()
        if name not in ("tolerance", "dtype")
    )
    numbers = sum(size(given.value) for given in givens if not given.how)
    if numbers > MOST_NUMBERS:
        return None
    return Counterexample(
        probe.title,
        givens,
        yours,
        expected,
        part,
        _differs(yours, expected, verdict.evidence.tolerance),
        numbers,
    )


class _Search:
    """Tries smaller inputs, a limited number of them, and keeps what still fails."""

    def __init__(self, exercise, probe, execute, mistakes):
        self.exercise, self.probe, self.execute = exercise, probe, execute
        self.mistakes, self.left = mistakes, MOST_RUNS
        self.until = time.monotonic() + MOST_SECONDS

    def verdict(self, inputs):
        """The judge's verdict if it is the same failure, else None."""
        plan = {"forbid": list(self.exercise.may_not_call)} | self.probe.plan(inputs)
        outcome = self.execute(plan)
        if outcome.failure is not None or outcome.called:
            return None
        verdict = self.probe.judge(inputs, outcome)
        return verdict if not verdict.passed and self.mistakes & set(verdict.mistakes) else None

    def keeps(self, inputs):
        if inputs is None or self.left <= 0 or time.monotonic() > self.until:
            return False
        self.left -= 1
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                verdict = self.verdict(inputs)
            # An answer of NaN, or of nothing at all, shows no mistake.
            evidence = None if verdict is None else verdict.evidence
            if evidence is None or not size(evidence.expected) or size(evidence.got) == 0:
                return False
            return all(
                np.isfinite(np.asarray(leaf, "float64")).all()
                for leaf in leaves(evidence.expected)
                if np.asarray(leaf).dtype.kind == "f"
            )
        except Exception:  # an input that the reference or the plan cannot take
            return False

    def run(self, inputs):
        for steps in (_shorter, _in_a_word, _sparse, _whole_numbers):
            again = True
            while again and self.left > 0:
                before, again = self.left, False
                for change in steps(inputs):
                    smaller = change(inputs)
                    if smaller is not None and self.keeps(smaller):
                        inputs, again = smaller, steps is _shorter
                if self.left == before:
                    break
        return inputs


def _arrays(inputs):
    """{path: array} of all arrays in the inputs."""
    return {n: v for n, v in _flat(inputs).items() if isinstance(v, np.ndarray) and v.ndim}


def _flat(inputs, before=""):
    """{path: value}, dicts inside laid out as paths."""
    flat = {}
    for name, value in inputs.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}.")
        else:
            flat[f"{before}{name}"] = value
    return flat


def _mapped(inputs, change, before=""):
    """The inputs with `change(path, value)` in the place of each array."""
    made = {}
    for name, value in inputs.items():
        path = f"{before}{name}"
        if isinstance(value, dict):
            made[name] = _mapped(value, change, f"{path}.")
        else:
            made[name] = change(path, value)
    return made


def _shorter(inputs):
    """Changes that cut every axis of one length: to one place, to two, by half or by one."""
    lengths = sorted({n for a in _arrays(inputs).values() for n in a.shape if n > 1}, reverse=True)
    for to in ("one", "two", "half", "less"):
        for n in lengths:
            new = {"one": 1, "two": 2, "half": n // 2, "less": n - 1}[to]
            if new < n:
                yield lambda i, n=n, new=new: _mapped(i, lambda _, v: _cut(v, n, new))


def _cut(value, n, new):
    if isinstance(value, np.ndarray):
        for axis in range(value.ndim):
            if value.shape[axis] == n:
                value = np.take(value, range(new), axis)
        return value
    if isinstance(value, list) and len(value) == n:
        return value[:new]
    return new if type(value) is int and value == n else value


def _replaced(path, function):
    """A change of one array; None where the array would stay as it is."""

    def change(inputs):
        array = _flat(inputs).get(path)
        new = function(array)
        if new is None or np.array_equal(new, array):
            return None
        return _mapped(inputs, lambda p, v: new if p == path else v)

    return change


def _in_a_word(inputs):
    """Changes that make one array the identity, ones or zeros."""

    def identity(array):
        square = array.ndim == 2 and array.shape[0] == array.shape[1]
        return np.eye(len(array), dtype=array.dtype) if square and not _how(array) else None

    for path, array in sorted(_arrays(inputs).items(), key=lambda item: -item[1].size):
        if array.size < 2 or array.dtype.kind not in "fb":
            continue
        if array.dtype.kind == "f":
            yield _replaced(path, identity)
            yield _replaced(path, lambda a: None if _how(a) else np.ones_like(a))
            yield _replaced(path, lambda a: None if _how(a) == "identity" else np.zeros_like(a))
        else:
            yield _replaced(path, np.ones_like)


def _sparse(inputs):
    """Changes that make an array small whole numbers in a row, or zero but for one of them."""
    for path, array in _arrays(inputs).items():
        if array.dtype.kind == "f" and array.size > 4 and not _how(array):
            yield _replaced(
                path, lambda a: (np.arange(a.size) == 0).reshape(a.shape).astype(a.dtype)
            )
            yield _replaced(
                path, lambda a: (np.arange(a.size) % 3).reshape(a.shape).astype(a.dtype)
            )


def _whole_numbers(inputs):
    """Changes that make floats small whole numbers: all at once, then one array after another."""
    floats = [p for p, a in _arrays(inputs).items() if a.dtype.kind == "f" and not _whole(a)]
    for limit in (2, 4, 9):
        yield lambda i, limit=limit: _mapped(
            i, lambda p, v: _rounded(v, limit) if p in floats else v
        )
    for path in floats:
        for limit in (2, 4, 9):
            yield _replaced(path, lambda a, n=limit: None if _whole(a) else _rounded(a, n))


def _whole(array):
    return bool((np.rint(array) == array).all())


def _rounded(array, limit):
    array = np.clip(np.rint(array * (2 if limit > 2 else 1)), -limit, limit)
    return np.where(array == 0, 1, array).astype(array.dtype)


def _how(value):
    """The word that describes an array, or "" where its numbers have to be shown."""
    if not isinstance(value, np.ndarray) or value.size < 2:
        return ""
    if value.dtype == bool:
        return "true" if value.all() else ""
    if not value.any():
        return "zeros"
    if (value == 1).all():
        return "ones"
    square = value.ndim == 2 and value.shape[0] == value.shape[1]
    return "identity" if square and (value == np.eye(len(value))).all() else ""


def _part(evidence):
    """(name, yours, expected) of the first part that differs."""
    from course.checks.judges import same

    got, expected, labels = evidence.got, evidence.expected, evidence.judge.labels
    if not isinstance(expected, tuple | dict):
        return "", got, expected
    keys = list(expected) if isinstance(expected, dict) else range(len(expected))
    for key in keys:
        try:
            one = got[key]
        except (KeyError, IndexError, TypeError):
            break
        if not same(one, expected[key], evidence.tolerance):
            named = not isinstance(expected, dict) and key < len(labels)
            return (labels[key] if named else str(key)), one, expected[key]
    return "", got, expected


def _differs(yours, expected, tolerance):
    """Where two arrays differ, or None."""
    if np.shape(yours) != np.shape(expected) or isinstance(expected, str | list | tuple | dict):
        return None
    try:
        ours, theirs = (np.asarray(x, "float64") for x in (yours, expected))
    except (TypeError, ValueError):
        return None
    near = tolerance * max(np.abs(theirs[np.isfinite(theirs)]).max(initial=0), 1e-30)
    with np.errstate(invalid="ignore"):
        return ~((ours == theirs) | (np.abs(ours - theirs) <= near))


def _plain(value):
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _shown(value, differs=None, how=""):
    """A value in one line or a small grid; differing numbers carry a star."""
    if how:
        return f"{how}, shape {np.shape(value)}"
    if isinstance(value, np.ndarray) and value.ndim:
        if differs is not None and np.shape(differs) == value.shape:
            rows = [_shown(v, d) for v, d in zip(value, differs, strict=True)]
        else:
            rows = [_shown(v) for v in value]
        return f"[{', '.join(rows)}]"
    if isinstance(value, float | np.floating | np.ndarray) and np.size(value) == 1:
        text = f"{float(value):.4g}"
    else:
        text = repr(value.item() if isinstance(value, np.generic) else value)
    return f"{text}*" if differs is not None and np.all(differs) else text
