"""Compares plain values: how far apart they are, and how to say it."""

import numpy as np


def error(actual, expected):
    """max|Δ| / max|reference|, the parity error of this course; inf where NaN or shapes differ."""
    actual, expected = np.asarray(actual, "float64"), np.asarray(expected, "float64")
    if actual.shape != expected.shape:
        return np.inf
    if actual.size == 0:
        return 0.0
    if not np.array_equal(np.isnan(actual), np.isnan(expected)):
        return np.inf
    known = ~np.isnan(expected)
    if not known.any():
        return 0.0
    infinite = np.isinf(expected) & known
    if not np.array_equal(actual[infinite], expected[infinite]):
        return np.inf
    known &= ~infinite
    largest = np.abs(expected[known]).max(initial=0.0)
    return float(np.abs(actual[known] - expected[known]).max(initial=0.0) / (largest or 1.0))


def same(actual, expected, tolerance):
    """Whether two plain values agree: arrays and numbers within `tolerance`, the rest exactly."""
    if isinstance(expected, tuple | list):
        return (
            isinstance(actual, tuple | list)
            and len(actual) == len(expected)
            and all(same(a, e, tolerance) for a, e in zip(actual, expected, strict=True))
        )
    if isinstance(expected, dict):
        return (
            isinstance(actual, dict)
            and actual.keys() == expected.keys()
            and all(same(actual[k], expected[k], tolerance) for k in expected)
        )
    if isinstance(expected, str | bool | None):
        return type(actual) is type(expected) and actual == expected
    if not isinstance(actual, np.ndarray | int | float):
        return False
    # Truth values and numbers are different answers, even where True == 1.
    if (np.asarray(expected).dtype == bool) != (np.asarray(actual).dtype == bool):
        return False
    return error(actual, expected) <= tolerance


def attempt(function, *args):
    """What a suspect or a mend returns, or None where it cannot be had for this value."""
    with np.errstate(all="ignore"):
        try:
            return function(*args)
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, ZeroDivisionError):
            return None


def leaves(tree):
    """The leaves of a tree of tuples, lists and dicts."""
    if isinstance(tree, dict):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        return [leaf for item in tree for leaf in leaves(item)]
    return [tree]


def index_text(where):
    return f"[{', '.join(str(int(i)) for i in where)}]" if len(where) else ""


def short(number):
    """A number as a student would write it."""
    if isinstance(number, bool | np.bool_ | int | np.integer):
        return str(number)
    number = float(number)
    return f"{number:.0f}" if number.is_integer() and abs(number) < 1e15 else f"{number:.4g}"


def name_of(types, value=None):
    """What a returned thing is called in a message."""
    if isinstance(types, tuple | list):
        return f"a {type(types).__name__} of {len(types)}"
    if isinstance(types, dict):
        return "a dict"
    if types == "NoneType":
        return "None (is there a return?)"
    if isinstance(value, str | bool):
        return repr(value)
    return f"{'an' if types[:1] in 'aeio' else 'a'} {types}"


def sentence_case(text):
    return text[:1].upper() + text[1:]
