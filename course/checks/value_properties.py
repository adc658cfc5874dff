"""Properties of the numbers of a wrong result: each looks at a `Case` and tells facts, or None."""

import numpy as np

from course.checks.case import finite, number


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
    if not finite(case):
        return None
    got, expected = case.numbers
    for name, value in case.inputs.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or value.size < 2:
            continue
        if value.shape == got.shape and case.close(got - expected, value.astype("float64")):
            return {"name": name}
    return None


def opposite_sign(case):
    if finite(case) and not case.boolean and case.close(-case.numbers[0], case.numbers[1]):
        return {}
    return None


def negated(case):
    if case.same_shape and case.boolean and (case.got != case.expected).all():
        return {}
    return None


def multiple(case):
    if not finite(case) or case.boolean:
        return None
    got, expected = case.numbers
    if not expected.any() or not got.any():
        return None
    factor = float((got * expected).sum() / (expected**2).sum())
    return {"factor": number(factor)} if case.close(got, factor * expected) else None


def shifted(case):
    if not finite(case) or case.boolean:
        return None
    got, expected = case.numbers
    apart = float((got - expected).mean())
    if case.close(got, expected + apart):
        return {"apart": number(abs(apart)), "way": "large" if apart > 0 else "small"}
    return None


def _along_an_axis(case, fit):
    """The first axis along which every slice is `fit` of the expected one."""
    got, expected = case.numbers
    if got.ndim < 2 or not finite(case) or case.boolean:
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
        if not finite(case) or case.boolean or not _telling(case.numbers[1]):
            return None
        with np.errstate(all="ignore"):
            made = FUNCTIONS[name](case.numbers[1])
        return {} if np.isfinite(made).all() and case.close(case.numbers[0], made) else None

    return tells


def rounded(case):
    """The right numbers with a few digits."""
    if not finite(case) or case.boolean or case.expected.dtype.kind != "f":
        return None
    got, expected = case.numbers
    for digits in range(1, 5):
        if np.abs(got - np.round(expected, digits)).max(initial=0) <= 1e-6:
            return {"digits": str(digits)}
    return None


def low_precision(case):
    """Right to two or three digits everywhere, and in no pattern."""
    if not finite(case) or case.boolean or case.expected.dtype.kind != "f" or case.got.size < 3:
        return None
    got, expected = case.numbers
    with np.errstate(all="ignore"):
        off = np.abs(got - expected) / np.where(expected == 0, 1, np.abs(expected))
    return {"percent": number(100 * off.max())} if off.max() < 0.01 else None


def clipped(case):
    """Right but for numbers held at a limit."""
    if not finite(case) or case.boolean or case.got.size < 3:
        return None
    got, expected = case.numbers
    wrong = case.differs()
    for limit, beyond in ((got.max(), np.greater), (got.min(), np.less)):
        at = got == limit
        if wrong.any() and not (wrong & ~at).any() and beyond(expected[wrong], limit).all():
            return {"limit": number(limit)}
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
    return {"sum": number(got.sum(-1).flat[off.argmax()])} if not axes else None


def sums_along_another(case):
    """What should sum to 1 along the last axis does so along another."""
    got, expected = case.numbers
    if not case.same_shape or got.ndim < 2 or case.boolean:
        return None
    if not np.allclose(expected.sum(-1), 1, atol=1e-3) or np.allclose(got.sum(-1), 1, atol=1e-3):
        return None
    axes = [n for n in range(got.ndim - 1) if np.allclose(got.sum(n), 1, atol=1e-3)]
    return {"axis": str(axes[0])} if axes else None


def not_numbers(case):
    got, expected = case.numbers
    if not case.same_shape or np.isnan(expected).any() or not np.isnan(got).any():
        return None
    finite = np.isfinite(got)
    if finite.any() and case.close(got[finite], expected[finite]):
        return {"count": str(int((~finite).sum())), "all": str(got.size)}
    return None
