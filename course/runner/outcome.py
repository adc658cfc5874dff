"""What came of a plan, as plain data."""

from dataclasses import dataclass, field


@dataclass
class Failure:
    """What stopped a plan: `kind` is one of KINDS, the rest is for the reader."""

    kind: str
    type: str = ""
    message: str = ""
    line: int | None = None
    source: str = ""

    KINDS = ("missing", "not callable", "not written", "arguments", "exception", "time", "result")


@dataclass
class Outcome:
    """What came of a plan: plain values and arrays, nothing of the student's own.

    Attributes:
        results: the plan's named results; tensors and arrays as NumPy arrays, tuples and lists
            as they were, other objects as None.
        types: the same tree with what each leaf was: "float32", "int", "NoneType", "MyClass".
        failure: what stopped the plan, or None.
        mutated: the arguments that the student's code changed in place.
        called: the forbidden names that ran.
        seconds: wall time of the steps.
    """

    results: dict = field(default_factory=dict)
    types: dict = field(default_factory=dict)
    failure: Failure | None = None
    mutated: list = field(default_factory=list)
    called: list = field(default_factory=list)
    seconds: float = 0.0


class PlanError(Exception):
    """A plan that this runner cannot read: the exercise's fault, not the student's."""


def outcome_from(tree):
    """An `Outcome` from what `plain.unpack` gives.

    Raises:
        ValueError: if it has not the shape of one.
    """
    try:
        failure = tree["failure"]
        return Outcome(
            results=dict(tree["results"]),
            types=dict(tree["types"]),
            failure=None if failure is None else Failure(**failure),
            mutated=[str(name) for name in tree["mutated"]],
            called=[str(name) for name in tree["called"]],
            seconds=float(tree["seconds"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not an outcome: {error}") from None
