"""From what a student's process sent back to an `Outcome` that a judge may be shown.

The bytes were read safely by `pipe`; here their content is. Whatever has not the form of an
outcome becomes one that failed.
"""

import re
from dataclasses import replace

import numpy as np

from course import runner
from course.checks.declaration import Verdict
from course.runner import Failure, Outcome

UNREADABLE = Failure("result", message="what came back could not be read")


def received(tree, plan):
    """An `Outcome` from an answer's tree; malformed ones become failures.

    Args:
        tree: what came through the pipe.
        plan: the plan that it answers.
    """
    try:
        outcome = runner.outcome_from(tree)
        if outcome.failure is not None:
            return Outcome(failure=_failure(outcome.failure))
        names = list(plan.get("return", ("result",)))
        types = {name: _types(outcome.results[name], outcome.types[name]) for name in names}
        return Outcome(
            results={name: outcome.results[name] for name in names},
            types=types,
            mutated=[_word(name) for name in outcome.mutated[:20]],
            called=[name for name in outcome.called if name in plan.get("forbid", ())],
            seconds=outcome.seconds,
        )
    except Exception:  # it came from a student's process: there is no error that it cannot cause
        return Outcome(failure=UNREADABLE)


def cell_error(tree):
    """The error of a cell as it came through the pipe, its fields made what they should be."""
    tree = tree if isinstance(tree, dict) else {}
    line = tree.get("line")
    return {
        "type": str(tree.get("type") or "")[:80],
        "message": str(tree.get("message") or "")[:600],
        "line": line if isinstance(line, int) and not isinstance(line, bool) else None,
        "source": str(tree.get("source") or "")[:200],
    }


def _failure(failure):
    if failure.kind not in Failure.KINDS:
        return UNREADABLE
    return Failure(
        failure.kind,
        str(failure.type)[:80],
        str(failure.message)[:600],
        failure.line if isinstance(failure.line, int) else None,
        str(failure.source)[:200],
    )


def _types(value, types):
    """The tree of types, made to agree with the values that it describes."""
    if isinstance(value, tuple | list):
        if type(types) is not type(value) or len(types) != len(value):
            raise ValueError
        return type(value)(_types(v, t) for v, t in zip(value, types, strict=True))
    if isinstance(value, dict):
        if not isinstance(types, dict) or types.keys() != value.keys():
            raise ValueError
        return {key: _types(value[key], types[key]) for key in value}
    if isinstance(value, np.ndarray):
        # NumPy has no bfloat16, so that it travels as float32 under its own name.
        widened = types == "bfloat16" and value.dtype == np.float32
        return types if widened else str(value.dtype)
    return _type_name(types)


# Names of types that may be told. One of a student's own could carry an input out.
_KNOWN_TYPES = set(
    "NoneType bool int float complex str bytes list tuple dict set frozenset range generator "
    "function method module type ndarray Tensor EagerTensor ArrayImpl KerasTensor Variable "
    "SymbolicTensor ResourceVariable Sequential Functional Model Layer Dense Embedding dict_keys "
    "dict_values dict_items map zip filter builtin_function_or_method object ellipsis".split()
)
_DTYPE = re.compile(r"(?:b?float|u?int)\d{1,2}|bfloat16|bool|complex\d{2,3}|string")
OTHER_TYPE = "object of another class"


def _type_name(text):
    """The name of a type, as far as it may be told."""
    if not isinstance(text, str):
        raise ValueError
    return text if text in _KNOWN_TYPES or _DTYPE.fullmatch(text) else OTHER_TYPE


def _word(text):
    """A name as Python has them, at most 60 characters."""
    if not isinstance(text, str) or not re.fullmatch(r"[\w.\[\] ]{1,60}", text):
        raise ValueError
    return text


def _without_faults(agreeing):
    """What a judge defers to a later moment must not raise then either."""
    if not callable(agreeing):
        return agreeing

    def safe():
        try:
            return agreeing()
        except Exception:  # it cannot say
            return None

    return safe


def guarded(exercise, report_fault):
    """The exercise with judges that never raise, however odd the result.

    Args:
        exercise: an `Exercise`.
        report_fault: called with a sentence for the instructor when a judge has tripped.
    """

    def guard(probe):
        def judge(inputs, outcome):
            try:
                verdict = probe.judge(inputs, outcome)
                return replace(verdict, consistent=_without_faults(verdict.consistent))
            except Exception as error:
                report_fault(
                    f"{exercise.id}: the judge of “{probe.title}” met a result that it cannot "
                    f"compare ({type(error).__name__}: {error})"[:300]
                )
                return Verdict(False, ("wrong-type",), "It could not be compared.")

        return replace(probe, judge=judge)

    return replace(exercise, probes=tuple(guard(probe) for probe in exercise.probes))
