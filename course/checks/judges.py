"""Judges: from a student's numbers to the mistake that made them.

A judge names a mistake by imitation: each known mistake predicts what it would have returned, in
float64 NumPy, and the student's numbers are laid beside every prediction.
"""

from dataclasses import dataclass, field, replace
from functools import partial
from itertools import product
from operator import getitem

import numpy as np

from course.checks.comparison import (  # noqa: F401 - authors import them from here
    attempt,
    error,
    index_text,
    leaves,
    name_of,
    same,
    sentence_case,
    short,
)
from course.checks.declaration import Verdict
from course.checks.references import (  # noqa: F401 - only_if is what authors import from here
    Reference,
    conditioned,
    only_if,
    together,
)

# Pairs of suspects that are tried on a probe which no single one explains.
MOST_PAIRS = 1200


@dataclass(frozen=True)
class Match:
    """Judges the result by a float64 reference and names a mistake by imitation.

    Attributes:
        reference: a `Reference`, or a plain function: `reference(inputs) -> expected`, an array, a
            number, a string, or a tuple or dict of them, as the student's object should return it.
        suspects: {mistake id: function of inputs that returns what the mistake returns, or None
            where it makes no difference here}, beside those of the reference's knobs. A list of
            functions is one mistake in several forms. Each is tried; an exception counts as None.
            Those made by `turned` are tried in pairs too.
        mends: {mistake id: function of inputs and the student's value that returns what it would
            be without the slip}, for slips that leave too many different numbers to imitate: one
            is named where its mended value is right and no suspect fits.
        labels: what the parts of a tuple are called, as in ("output", "weights").
        dtype: the dtype of floating parts, or None where any will do. An `inputs["dtype"]` wins.
        tolerance: on `error`; float32 arithmetic leaves about 1e-6. Where float arithmetic leaves
            more on these inputs, as with scores in the hundreds, it grows by itself.
        result: the name of the plan's result.
        first_tells: whether a wrong first part of a tuple tells the slip, because the later ones
            are made from it; else the last wrong part does, as weights do and not the output.
        variants: settings made by `turned` that are no mistakes by themselves; they are tried
            beside each suspect.
    """

    reference: object
    suspects: dict = field(default_factory=dict)
    labels: tuple = ()
    dtype: str | None = "float32"
    tolerance: float = 2e-5
    result: str = "result"
    mends: dict = field(default_factory=dict)
    first_tells: bool = False
    variants: tuple = ()

    def __post_init__(self):
        if isinstance(self.reference, Reference):
            generated = self.reference.suspects
            object.__setattr__(self, "suspects", generated | self.suspects)
            object.__setattr__(self, "variants", (*self.reference.variants, *self.variants))

    @property
    def names(self):
        """Ids of all mistakes that it can name."""
        return (*self.suspects, *self.mends)

    def __call__(self, inputs, outcome):
        got = outcome.results[self.result]
        types = outcome.types[self.result]
        expected = self.reference(inputs)
        tolerance = inputs.get("tolerance", self.tolerance)
        if not same(got, expected, tolerance):
            tolerance = conditioned(self.reference, inputs, tolerance)
        evidence = Evidence(self, inputs, got, expected, tolerance)
        if same(got, expected, tolerance):
            wrong = wrong_dtype(types, inputs.get("dtype", self.dtype))
            if wrong:
                return Verdict(False, ("wrong-dtype",), wrong, types, inputs.get("dtype"))
            return Verdict(True, consistent=lambda: evidence.alike()[0], evidence=evidence)
        alike, named = evidence.alike()
        named = named or partly(got, expected, evidence.predictions(), tolerance, self.first_tells)
        mistake, detail, part_got, part_expected = difference(
            got, expected, types, tolerance, self.labels
        )
        return Verdict(
            False, named or (mistake,), detail, part_got, part_expected, alike, evidence=evidence
        )


def forms(suspect):
    """The functions of a suspect: a mistake may have several forms."""
    return list(suspect) if isinstance(suspect, list | tuple) else [suspect]


@dataclass(frozen=True)
class Evidence:
    """What a `Match` was shown on one probe, kept for the questions that come up later.

    Attributes:
        judge: the `Match`.
        inputs: what was asked.
        got, expected: what came back and what should have.
        tolerance: on `error`.
    """

    judge: Match
    inputs: dict
    got: object
    expected: object
    tolerance: float

    def fits(self, imitate):
        """Whether a suspect returns what came back; None where it makes no difference."""
        prediction = attempt(imitate, self.inputs)
        return None if prediction is None else same(self.got, prediction, self.tolerance)

    def predictions(self):
        """{mistake id: what its first form returns here, or None}."""
        suspects = self.judge.suspects.items()
        return {n: attempt(forms(suspect)[0], self.inputs) for n, suspect in suspects}

    def alike(self):
        """The ids that agree with this outcome, and those that explain it, in their order."""
        silent, explaining = set(), set()
        for name, suspect in self.judge.suspects.items():
            fits = [self.fits(form) for form in forms(suspect)]
            if any(fits) or self.fits_a_variant(suspect):
                explaining.add(name)
            elif None in fits:
                # A suspect that cannot be told apart here neither explains nor excuses anything.
                silent.add(name)
        explaining |= {
            n
            for n, f in self.judge.mends.items()
            if same(attempt(f, self.inputs, self.got), self.expected, self.tolerance)
        }
        named = tuple(name for name in self.judge.names if name in explaining)
        if same(self.got, self.expected, self.tolerance):
            silent |= self.judge.mends.keys()  # there is nothing to mend
        return frozenset(explaining | silent), named

    def fits_a_variant(self, suspect):
        """Whether the suspect fits beside a setting that is no mistake by itself."""
        base = getattr(self.judge.reference, "function", self.judge.reference)
        pairs = (together(f, v, base) for f in forms(suspect) for v in self.judge.variants)
        return any(both is not None and self.fits(both) for both in pairs)

    def pairs(self):
        """Pairs of suspects that together return what came back: [(ids, function)]."""
        singles = [
            (name, form) for name, suspect in self.judge.suspects.items() for form in forms(suspect)
        ]
        base = getattr(self.judge.reference, "function", self.judge.reference)
        found, tried = [], 0
        for at, (name, one) in enumerate(singles):
            for other_name, other in singles[at + 1 :]:
                both = None if name == other_name else together(one, other, base)
                if both is None:
                    continue
                tried += 1
                if tried > MOST_PAIRS:
                    return found
                if self.fits(both):
                    found.append(((name, other_name), both))
        return found


class MatchRows(Match):
    """`Match` where an array may come as a list of numbers, and parts of one shape as one array."""

    def __call__(self, inputs, outcome):
        got, types = outcome.results[self.result], outcome.types[self.result]
        count = len(self.labels)
        if not count:
            got, types = _as_array(got, types)
        elif isinstance(got, np.ndarray) and got.shape[:1] == (count,):
            got, types = tuple(np.asarray(part) for part in got), (types,) * count
        if count and isinstance(got, tuple | list) and len(got) == count:
            pairs = [_as_array(*pair) for pair in zip(got, types, strict=True)]
            got, types = (tuple(part) for part in zip(*pairs, strict=True))
        outcome = replace(outcome, results={self.result: got}, types={self.result: types})
        return super().__call__(inputs, outcome)


def _as_array(value, kind):
    """A list of numbers, or of such lists, as an array; anything else as it is."""
    if isinstance(value, list | tuple) and value:
        made = attempt(np.array, value)
        if made is not None and made.dtype.kind in "iuf":
            return made, str(made.dtype)
    return value, kind


def mends_among(reference, with_slips, slips):
    """Mends for an exercise that is handed out with several slips, of which any may be left.

    A mend gives the right answer where the student's value shows its slip, alone or beside others.
    Where the slip makes no difference it agrees with what is right.

    Args:
        reference: `reference(inputs)`, the right answer.
        with_slips: `with_slips(inputs, names)`, the answer of code with these slips and no other.
        slips: names of the slips.

    Returns:
        {name: mend} for `Match`.
    """

    def mend(slip, i, got):
        right = reference(i)
        if same(attempt(with_slips, i, (slip,)), right, 2e-5):
            return right if same(got, right, 2e-5) else None
        for chosen in product((True, False), repeat=len(slips)):
            left = [name for name, there in zip(slips, chosen, strict=True) if there]
            if slip in left and same(got, attempt(with_slips, i, left), 2e-5):
                return right
        return None

    return {slip: partial(mend, slip) for slip in slips}


def partly(got, expected, predictions, tolerance, first_tells=False):
    """Names of the suspects that explain one part of a tuple or dict that two slips made wrong."""
    if not isinstance(expected, tuple | dict) or not isinstance(got, tuple | list | dict):
        return ()
    keys = expected.keys() if isinstance(expected, dict) else range(len(expected))
    for key in keys if first_tells else reversed(keys):
        part = attempt(getitem, got, key)
        if part is None or same(part, expected[key], tolerance):
            continue
        if isinstance(part, str | bool) or np.asarray(expected[key]).dtype.kind in "bU":
            continue  # of so few values one agrees by chance
        named = tuple(
            name
            for name, prediction in predictions.items()
            if prediction is not None
            and same(part, attempt(getitem, prediction, key), tolerance)
            and not _contradicted(got, expected, prediction, keys, tolerance)
        )
        if named or first_tells:
            return named
    return ()


def _contradicted(got, expected, prediction, keys, tolerance):
    """Whether a part is right that this prediction has wrong."""
    return any(
        same(attempt(getitem, got, key), expected[key], tolerance)
        and not same(attempt(getitem, prediction, key), expected[key], tolerance)
        for key in keys
    )


def wrong_dtype(types, dtype):
    """A sentence on the first floating part whose dtype is not `dtype`, or None."""
    if dtype is None:
        return None
    for leaf in leaves(types):
        if leaf.startswith(("float", "bfloat")) and leaf not in (dtype, "float"):
            return f"Your result is {leaf}, expected {dtype}, as the exercise says."
    return None


def difference(got, expected, types, tolerance, labels=(), label="the result"):
    """The first difference between two plain values.

    Returns:
        (common mistake's id, sentence, the part that was got, the part that was expected)
    """
    if isinstance(expected, tuple | list):
        parts = ", ".join(labels) if labels else f"{len(expected)} parts"
        if not isinstance(got, tuple | list):
            found = name_of(types)
            if isinstance(got, np.ndarray) and got.ndim:
                found = f"one array of shape {got.shape}"
            what = f"{found} was returned, expected a tuple of {len(expected)} values ({parts})."
            return "wrong-type", sentence_case(what), got, expected
        if len(got) != len(expected):
            what = f"{len(got)} values were returned, expected {len(expected)} ({parts})."
            return "wrong-type", what, got, expected
        for i, (g, e) in enumerate(zip(got, expected, strict=True)):
            if not same(g, e, tolerance):
                name = f"the {labels[i]}" if i < len(labels) else f"part {i + 1}"
                return difference(g, e, types[i], tolerance, label=name)
    if isinstance(expected, dict):
        if not isinstance(got, dict) or got.keys() != expected.keys():
            keys = ", ".join(map(repr, expected))
            found = ", ".join(map(repr, got)) if isinstance(got, dict) else name_of(types)
            return "wrong-type", f"Expected a dict with the keys {keys}; got {found}.", None, None
        for key in expected:
            if not same(got[key], expected[key], tolerance):
                inside = repr(key) if label == "the result" else f"{label}[{key!r}]"
                return difference(got[key], expected[key], types[key], tolerance, label=inside)
    if isinstance(expected, str | bool | None):
        kind = "unrecognised" if type(got) is type(expected) else "wrong-type"
        return kind, f"{sentence_case(label)} is {name_of(types, got)}.", got, expected
    if not isinstance(got, np.ndarray | int | float):
        kind = "an array of numbers" if np.ndim(expected) else "a number"
        what = f"{sentence_case(label)} is {name_of(types)}, expected {kind}."
        return "wrong-type", what, got, expected
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        what = f"{sentence_case(label)} has shape {got.shape}, expected {expected.shape}."
        return "wrong-shape", what, got, expected
    if (got.dtype == bool) != (expected.dtype == bool):
        want = "bool (True and False)" if expected.dtype == bool else "numbers"
        what = f"{sentence_case(label)} has dtype {types}, expected {want}."
        return "wrong-type", what, got, expected
    got64, expected64 = got.astype("float64"), expected.astype("float64")
    if np.isnan(got64).any() and not np.isnan(expected64).any():
        where = np.argwhere(np.isnan(got64))[0]
        among = f", among {np.isnan(got64).sum()}" if got.size > 1 else ""
        what = f"{sentence_case(label)}{index_text(where)} is NaN{among}."
        return "nan", what, got, expected
    with np.errstate(invalid="ignore"):
        where = np.unravel_index(np.nanargmax(np.abs(got64 - expected64)), got.shape)
    what = f"{sentence_case(label)}{index_text(where)} is {short(got[where])}."
    return "unrecognised", what, got, expected
