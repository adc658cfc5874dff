"""Properties: what holds of a wrong result, and what does not, where no mistake is known by name.

Each property looks at what came back and at what was expected and says one true sentence, or
nothing. The sentences stand in `text.toml`; here is how each is told.
"""

from functools import cache
from operator import getitem

import numpy as np

from course.checks import text_of_checks

MOST_PERMUTED = 5  # axes, in a search of all their orders


def size(value):
    """How many numbers a plain value holds."""
    if isinstance(value, dict):
        return sum(size(item) for item in value.values())
    if isinstance(value, list | tuple):
        return sum(size(item) for item in value)
    return int(np.size(value))


def symptom(verdicts):
    """The sentence of a property that holds in every failure, else in the first; or "".

    Args:
        verdicts: failed `Verdict`s with their evidence, in order.
    """
    cases = [case for verdict in verdicts for case in [_Case.of(verdict.evidence)] if case]
    if not cases or verdicts[0].evidence is None:
        return ""
    for chosen in (cases, cases[:1]):
        for name, tells in PROPERTIES.items():
            facts = [tells(case) for case in chosen]
            if facts[0] is None or any(fact is None for fact in facts):
                continue
            if name in NEEDS_TWO and cases[0].expected.size < 2 and not _repeated(facts):
                continue
            return sentence(name, cases[0], facts)
    return ""


def sentence(name, case, facts):
    """The property's sentence with its facts filled in."""
    shown = dict(facts[0])
    if len({str(fact) for fact in facts}) > 1 and f"{name}-here" in _sentences():
        name = f"{name}-here"
    return _sentences()[name].format(part=case.part, Part=_upper(case.part), **shown)


@cache
def _sentences():
    return text_of_checks()["properties"]


def _upper(text):
    return text[:1].upper() + text[1:]


def _repeated(facts):
    """Whether the same number came out at least twice: of one number, any other is a multiple."""
    return len(facts) > 1 and len({str(fact) for fact in facts}) == 1


class _Case:
    """The first part that is wrong on one probe, as arrays of float64."""

    def __init__(self, evidence, part, got, expected):
        self.inputs, self.tolerance = evidence.inputs, evidence.tolerance
        self.part, self.raw = part, got
        self.got, self.expected = np.asarray(got), np.asarray(expected)
        self.boolean = self.expected.dtype == bool
        self.same_shape = self.got.shape == self.expected.shape
        self.numbers = self.got.astype("float64"), self.expected.astype("float64")

    @classmethod
    def of(cls, evidence):
        """The case of this evidence, or None where there are no numbers to look at."""
        from course.checks.judges import same

        if evidence is None:
            return None
        got, expected, part = evidence.got, evidence.expected, ""
        labels = evidence.judge.labels
        while isinstance(expected, dict | tuple | list):
            keys = list(expected) if isinstance(expected, dict) else range(len(expected))
            for key in keys:
                try:
                    one = getitem(got, key)
                except (KeyError, IndexError, TypeError):
                    return None
                if not same(one, expected[key], evidence.tolerance):
                    break
            else:
                return None
            if not isinstance(expected, dict):
                part = labels[key] if key < len(labels) else f"part {key + 1}"
            else:
                part = f"{key}"
            got, expected = one, expected[key]
        if not isinstance(got, np.ndarray | int | float) or isinstance(expected, str):
            return None
        if any(np.asarray(x).dtype.kind not in "iufb" for x in (got, expected)):
            return None
        return cls(evidence, f"your {part or 'result'}", got, expected)

    def close(self, got, expected):
        """Whether two arrays agree, as the judge sees it."""
        from course.checks.judges import error

        return error(got, expected) <= max(self.tolerance, 1e-9)

    def differs(self):
        """Where the two differ, booleans."""
        got, expected = self.numbers
        near = self.tolerance * max(np.abs(expected[np.isfinite(expected)]).max(initial=0), 1e-30)
        with np.errstate(invalid="ignore"):
            return ~((got == expected) | (np.abs(got - expected) <= near))


def _finite(case):
    return case.same_shape and all(np.isfinite(x).all() for x in case.numbers)


def _number(x):
    rounded = float(f"{x:.4g}")
    return f"{rounded:.0f}" if rounded.is_integer() and abs(rounded) < 1e6 else f"{rounded:.4g}"


# Properties of results of the right shape


def all_zero(case):
    if case.same_shape and not case.boolean and case.expected.any() and not case.got.any():
        return {}
    return None


def all_equal(case):
    got = case.numbers[0]
    if case.same_shape and got.size > 2 and np.ptp(case.numbers[1]) and (got == got.flat[0]).all():
        return {"value": str(case.got.flat[0])}
    return None


def an_input(case):
    """One of the inputs as it was given."""
    for name, value in case.inputs.items():
        if not isinstance(value, np.ndarray) or value.size < 2 or value.dtype.kind not in "iuf":
            continue
        if value.shape == case.got.shape and case.close(case.got, value):
            return {"name": name}
    return None


def input_added(case):
    """An input that is added to what is right, or taken away from it."""
    if not _finite(case):
        return None
    got, expected = case.numbers
    for name, value in case.inputs.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.size < 2:
            continue
        if value.shape == got.shape and case.close(got - expected, value.astype("float64")):
            return {"name": name}
    return None


def opposite_sign(case):
    if _finite(case) and not case.boolean and case.close(-case.numbers[0], case.numbers[1]):
        return {}
    return None


def negated(case):
    if case.same_shape and case.boolean and (case.got != case.expected).all():
        return {}
    return None


def multiple(case):
    if not _finite(case) or case.boolean:
        return None
    got, expected = case.numbers
    if not expected.any() or not got.any():
        return None
    factor = float((got * expected).sum() / (expected**2).sum())
    return {"factor": _number(factor)} if case.close(got, factor * expected) else None


def shifted(case):
    if not _finite(case) or case.boolean:
        return None
    got, expected = case.numbers
    apart = float((got - expected).mean())
    if case.close(got, expected + apart):
        return {"apart": _number(abs(apart)), "way": "large" if apart > 0 else "small"}
    return None


def _along_an_axis(case, fit):
    """The first axis along which every slice is `fit` of the expected one."""
    got, expected = case.numbers
    if got.ndim < 2 or not _finite(case) or case.boolean:
        return None
    for axis in range(got.ndim):
        others = tuple(n for n in range(got.ndim) if n != axis)
        if np.prod([got.shape[n] for n in others]) < 2 or got.shape[axis] < 2:
            continue
        fitted = fit(got, expected, others)
        if fitted is not None and case.close(got, fitted):
            return {"axis": str(axis)}
    return None


def multiple_by_slice(case):
    def fit(got, expected, others):
        squares = (expected**2).sum(others, keepdims=True)
        factor = (got * expected).sum(others, keepdims=True) / np.where(squares, squares, 1)
        return None if (np.abs(factor) < 1e-6).any() else factor * expected

    return _along_an_axis(case, fit)


def shifted_by_slice(case):
    return _along_an_axis(case, lambda g, e, others: e + (g - e).mean(others, keepdims=True))


FUNCTIONS = {
    "squared": np.square,
    "square-root": np.sqrt,
    "exponential": np.exp,
    "logarithm": np.log,
    "one-minus": lambda x: 1 - x,
    "one-over": lambda x: 1 / x,
    "absolute": np.abs,
    "positive-part": lambda x: np.maximum(x, 0),
    "negative-logarithm": lambda x: -np.log(x),
    "softmaxed": lambda x: _softmax(x),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "tanh": np.tanh,
    "cumulated": lambda x: np.cumsum(x, -1),
    "whole-number": np.rint,
    "rounded-down": np.floor,
    "rounded-up": np.ceil,
}


def _softmax(x):
    if x.ndim == 0:
        return x
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _telling(expected):
    """Whether there are numbers beside -1, 0 and 1, which many functions map alike."""
    return bool((~np.isin(np.round(expected, 9), (-1, 0, 1))).any())


def function_of(name):
    """The property that a known function was applied to what is right."""

    def tells(case):
        if not _finite(case) or case.boolean or not _telling(case.numbers[1]):
            return None
        with np.errstate(all="ignore"):
            made = FUNCTIONS[name](case.numbers[1])
        return {} if np.isfinite(made).all() and case.close(case.numbers[0], made) else None

    return tells


def rounded(case):
    """The right numbers with a few digits."""
    if not _finite(case) or case.boolean or case.expected.dtype.kind != "f":
        return None
    got, expected = case.numbers
    for digits in range(1, 5):
        if np.abs(got - np.round(expected, digits)).max(initial=0) <= 1e-6:
            return {"digits": str(digits)}
    return None


def low_precision(case):
    """Right to two or three digits everywhere, and in no pattern."""
    if not _finite(case) or case.boolean or case.expected.dtype.kind != "f" or case.got.size < 3:
        return None
    got, expected = case.numbers
    with np.errstate(all="ignore"):
        off = np.abs(got - expected) / np.where(expected == 0, 1, np.abs(expected))
    return {"percent": _number(100 * off.max())} if off.max() < 0.01 else None


def reordered(case):
    """The right slices in another order along one axis."""
    if not _finite(case):
        return None
    got, expected = case.numbers
    for axis in range(got.ndim):
        n = got.shape[axis]
        if n < 2 or n > 64:
            continue
        if case.close(np.flip(got, axis), expected):
            return {"axis": str(axis), "how": "reversed"}
        for by in (1, -1):
            if n > 2 and case.close(np.roll(got, by, axis), expected):
                return {"axis": str(axis), "how": "rolled by one"}
        rows_got = np.moveaxis(got, axis, 0).reshape(n, -1)
        rows = np.moveaxis(expected, axis, 0).reshape(n, -1)
        if rows.shape[1] < 2 and n < 4:
            continue
        order = np.array([[case.close(a, b) for b in rows] for a in rows_got])
        if (order.sum(0) == 1).all() and (order.sum(1) == 1).all():
            return {"axis": str(axis), "how": "in another order"}
    return None


def transposed(case):
    """The right numbers with their axes in another order."""
    from itertools import permutations

    if case.got.size != case.expected.size or case.got.ndim != case.expected.ndim:
        return None
    if not 2 <= case.got.ndim <= MOST_PERMUTED:
        return None
    for axes in permutations(range(case.got.ndim)):
        if axes == tuple(range(case.got.ndim)):
            continue
        moved = case.numbers[1].transpose(axes)
        if moved.shape == case.got.shape and case.close(case.numbers[0], moved):
            return {"axes": str(axes)}
    return None


def wrong_layout(case):
    """The right numbers, all of them, in other places."""
    got, expected = case.numbers
    if got.size != expected.size or got.size < 4 or case.boolean or not np.isfinite(got).all():
        return None
    if len(np.unique(np.round(expected, 6))) < expected.size / 2:
        return None
    return {} if case.close(np.sort(got, axis=None), np.sort(expected, axis=None)) else None


def _only_where(case, mask):
    """Whether the two differ only where the mask is true, and where it is they often do."""
    wrong = case.differs()
    inside = wrong.any() and not (wrong & ~mask).any()
    return inside and not mask.all() and wrong.sum() * 2 >= mask.sum()


def only_at_padding(case):
    """Everything is right but the places of padding, or of what a mask hides."""
    if not case.same_shape:
        return None
    for name, real in _masks(case.inputs):
        mask = _fitted(~real, case.expected.shape)
        if mask is not None and _only_where(case, mask):
            return {"name": name}
    return None


def only_at_real(case):
    """Only what the mask shows is wrong, padding is right."""
    if not case.same_shape:
        return None
    for name, real in _masks(case.inputs):
        mask = _fitted(real, case.expected.shape)
        if mask is not None and _only_where(case, mask):
            return {"name": name}
    return None


def _masks(inputs):
    for name, value in inputs.items():
        if isinstance(value, np.ndarray) and value.dtype == bool:
            yield name, value
        elif isinstance(value, np.ndarray) and value.dtype.kind in "iu" and "pad_id" in inputs:
            yield name, value != inputs["pad_id"]


def _fitted(mask, shape):
    """The mask laid on a result of this shape: its axes are the first ones."""
    if mask.ndim == 0 or mask.ndim > len(shape) or mask.shape != shape[: mask.ndim]:
        return None
    return np.broadcast_to(mask.reshape(mask.shape + (1,) * (len(shape) - mask.ndim)), shape)


def right_up_to(case):
    """Right up to a place along one axis, wrong from there on, or the other way round."""
    if not case.same_shape or not case.expected.ndim:
        return None
    wrong = case.differs()
    for axis in range(wrong.ndim):
        n = wrong.shape[axis]
        if n < 2:
            continue
        by_place = wrong.any(tuple(k for k in range(wrong.ndim) if k != axis))
        if by_place.all() or not by_place.any():
            continue
        first, last = int(by_place.argmax()), n - 1 - int(by_place[::-1].argmax())
        facts = {"axis": str(axis), "place": str(first), "last": str(last)}
        if first == last:
            if n > 2 or wrong.ndim == 1:
                return facts | {"where": "only", "range": f"at place {first}"}
            return facts | {"where": "only", "range": f"at place {first}"}
        if last == n - 1 and by_place[first:].all():
            return facts | {"where": "from", "range": f"from place {first} on"}
        if first == 0 and by_place[: last + 1].all():
            return facts | {"where": "up to", "range": f"up to place {last}"}
    return None


def clipped(case):
    """Right but for numbers held at a limit."""
    if not _finite(case) or case.boolean or case.got.size < 3:
        return None
    got, expected = case.numbers
    wrong = case.differs()
    for limit, beyond in ((got.max(), np.greater), (got.min(), np.less)):
        at = got == limit
        if wrong.any() and not (wrong & ~at).any() and beyond(expected[wrong], limit).all():
            return {"limit": _number(limit)}
    return None


def rows_do_not_sum(case):
    """Rows that should sum to 1 and do not."""
    got, expected = case.numbers
    if not case.same_shape or got.ndim < 1 or case.boolean or got.shape[-1] < 2:
        return None
    sums = expected.sum(-1)
    if (expected < -1e-6).any() or not np.allclose(sums, 1, atol=1e-3):
        return None
    off = np.abs(got.sum(-1) - 1)
    if not np.isfinite(off).all() or off.max() < 1e-2:
        return None
    axes = [n for n in range(got.ndim - 1) if np.allclose(got.sum(n), 1, atol=1e-3)]
    return {"sum": _number(got.sum(-1).flat[off.argmax()])} if not axes else None


def sums_along_another(case):
    """What should sum to 1 along the last axis does so along another."""
    got, expected = case.numbers
    if not case.same_shape or got.ndim < 2 or case.boolean:
        return None
    if not np.allclose(expected.sum(-1), 1, atol=1e-3) or np.allclose(got.sum(-1), 1, atol=1e-3):
        return None
    axes = [n for n in range(got.ndim - 1) if np.allclose(got.sum(n), 1, atol=1e-3)]
    return {"axis": str(axes[0])} if axes else None


# Properties of results of another shape


def extra_axis(case):
    got, expected = case.numbers
    if got.shape == expected.shape or got.size != expected.size:
        return None
    if np.squeeze(got).shape == np.squeeze(expected).shape and case.close(
        got.reshape(expected.shape), expected
    ):
        return {"shape": str(got.shape), "expected": str(expected.shape)}
    return None


REDUCTIONS = {"sum": np.sum, "mean": np.mean, "largest": np.max, "smallest": np.min}


def reduced(case):
    """A sum or mean of what is right, along one axis or all."""
    got, expected = case.numbers
    if expected.size < 2 or case.boolean or not np.isfinite(expected).all() or not got.size:
        return None
    for axis in (*range(expected.ndim), None):
        for name, function in REDUCTIONS.items():
            made = function(expected, axis=axis)
            if np.size(made) == expected.size or np.squeeze(got).shape != np.squeeze(made).shape:
                continue
            if case.close(np.squeeze(got), np.squeeze(made)):
                return {"what": name, "axis": "all axes" if axis is None else f"axis {axis}"}
    return None


def one_slice(case):
    """One slice of what is right, as the first sentence of a batch."""
    got, expected = case.numbers
    for axis in range(expected.ndim):
        if expected.shape[axis] < 2:
            continue
        for place in (0, expected.shape[axis] - 1):
            made = np.take(expected, place, axis)
            if np.squeeze(got).shape == np.squeeze(made).shape and case.close(
                np.squeeze(got), np.squeeze(made)
            ):
                return {"axis": str(axis), "place": "first" if place == 0 else "last"}
    return None


def another_length(case):
    """The right numbers, and more or fewer places along one axis."""
    got, expected = case.numbers
    if got.ndim != expected.ndim or not got.ndim:
        return None
    apart = [n for n in range(got.ndim) if got.shape[n] != expected.shape[n]]
    if len(apart) != 1:
        return None
    axis = apart[0]
    n, wanted = got.shape[axis], expected.shape[axis]
    most = min(n, wanted)
    facts = {"axis": str(axis), "given": str(n), "wanted": str(wanted)}
    if not most:
        return None
    ends = (
        ("end", [range(most), range(most)]),
        ("front", [range(n - most, n), range(wanted - most, wanted)]),
    )
    for where, (ours, theirs) in ends:
        if case.close(np.take(got, ours, axis), np.take(expected, theirs, axis)):
            return facts | {"where": where, "how": "missing" if n < wanted else "too many"}
    return None


def not_numbers(case):
    got, expected = case.numbers
    if not case.same_shape or np.isnan(expected).any() or not np.isnan(got).any():
        return None
    finite = np.isfinite(got)
    if finite.any() and case.close(got[finite], expected[finite]):
        return {"count": str(int((~finite).sum())), "all": str(got.size)}
    return None


PROPERTIES = {
    "all-zero": all_zero,
    "all-equal": all_equal,
    "an-input": an_input,
    "input-added": input_added,
    "opposite-sign": opposite_sign,
    "negated": negated,
    "another-length": another_length,
    "extra-axis": extra_axis,
    "transposed": transposed,
    "reordered": reordered,
    **{name: function_of(name) for name in FUNCTIONS},
    "multiple": multiple,
    "shifted": shifted,
    "rounded": rounded,
    "multiple-by-slice": multiple_by_slice,
    "shifted-by-slice": shifted_by_slice,
    "sums-along-another": sums_along_another,
    "rows-do-not-sum": rows_do_not_sum,
    "clipped": clipped,
    "not-numbers": not_numbers,
    "only-at-padding": only_at_padding,
    "only-at-real": only_at_real,
    "reduced": reduced,
    "one-slice": one_slice,
    "wrong-layout": wrong_layout,
    "right-up-to": right_up_to,
    "low-precision": low_precision,
}

# Of a single number, any other is a multiple: these count only if they come out alike twice.
NEEDS_TWO = ("multiple", "shifted")
