"""One wrong part of one probe, as numbers that properties can look at."""

from operator import getitem

import numpy as np

from course.checks.comparison import error, same


class Case:
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
        return error(got, expected) <= max(self.tolerance, 1e-9)

    def differs(self):
        """Where the two differ, booleans."""
        got, expected = self.numbers
        near = self.tolerance * max(np.abs(expected[np.isfinite(expected)]).max(initial=0), 1e-30)
        with np.errstate(invalid="ignore"):
            return ~((got == expected) | (np.abs(got - expected) <= near))


def finite(case):
    return case.same_shape and all(np.isfinite(x).all() for x in case.numbers)


def number(x):
    rounded = float(f"{x:.4g}")
    return f"{rounded:.0f}" if rounded.is_integer() and abs(rounded) < 1e6 else f"{rounded:.4g}"
