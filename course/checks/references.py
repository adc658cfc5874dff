"""A reference with knobs: the right answer, and what each mistake returns in its place.

A mistake is the reference with one knob turned. `Reference` holds the function and its knobs;
`Turned` is one setting of them, called with inputs like the function itself. Two settings that do
not touch the same knob make a third, so that two mistakes in one answer need no line of their own.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from course.checks.comparison import attempt, error, leaves


@dataclass(frozen=True)
class OfInputs:
    """The value of a knob that depends on the inputs, as d_k does."""

    function: Callable


def of_inputs(function):
    """The value of a knob that is `function(inputs)`."""
    return OfInputs(function)


@dataclass(frozen=True)
class Turned:
    """A reference with knobs turned, called as `turned(inputs)`.

    Attributes:
        function: the reference.
        knobs: keyword arguments of the function; `OfInputs` values are worked out at the call.
        given: `given(inputs)`, a dict laid over the inputs first, or None.
        then: `then(result, inputs)`, applied to what the function returns, or None.
        when: `when(inputs)`, whether it makes a difference here at all; None where it always may.
    """

    function: Callable
    knobs: dict = field(default_factory=dict)
    given: Callable | None = None
    then: Callable | None = None
    when: Callable | None = None

    def __call__(self, inputs):
        """What the mistake returns, or None where it makes no difference."""
        return carried_out(self.function, [self], inputs)

    def applies(self, inputs):
        return self.when is None or bool(self.when(inputs))

    @property
    def only_around(self):
        """Whether it leaves the function alone and changes what goes in or comes out."""
        return not self.knobs


def carried_out(function, settings, inputs):
    """The function with several settings at once; None where none of them applies."""
    active = [setting for setting in settings if setting.applies(inputs)]
    if not active:
        return None
    laid_over, knobs = inputs, {}
    for setting in active:
        if setting.given is not None:
            laid_over = laid_over | setting.given(laid_over)
        knobs |= setting.knobs
    knobs = {k: v.function(laid_over) if isinstance(v, OfInputs) else v for k, v in knobs.items()}
    result = function(laid_over, **knobs)
    for setting in active:
        if setting.then is not None and result is not None:
            result = setting.then(result, inputs)
    return result


def together(one, other, base):
    """Both settings in one function of inputs, or None where they cannot be combined.

    Args:
        one, other: suspects: `Turned`, or plain functions of inputs.
        base: the reference's function. A suspect that is another function of its own can still
            be combined with one that only changes what goes in or comes out.
    """
    one, other = (s if isinstance(s, Turned) else Turned(s) for s in (one, other))
    if one.knobs.keys() & other.knobs.keys():
        return None
    if one.function is other.function:
        function = one.function
        if not all(s.knobs or s.given or s.then for s in (one, other)):
            return None  # the same plain function twice
    elif one.function is base and one.only_around and (one.given or one.then):
        function = other.function
    elif other.function is base and other.only_around and (other.given or other.then):
        function = one.function
    else:
        return None
    return lambda inputs: carried_out(function, [one, other], inputs)


class Reference:
    """The right answer in float64 NumPy, with knobs.

    Args:
        function: `function(inputs, **knobs)`, the right answer if no knob is given.
        knobs: {knob: {mistake id: value}}. Each value is tried alone, and in pairs with the values
            of other knobs. A list of values is a number that is fitted: any of them is that
            mistake. `of_inputs` makes a value that depends on the inputs.
        variants: {knob: [values]} that are no mistakes by themselves: other ways to be right, or
            wrong only beside another slip. They are tried beside each mistake.

    Example:
        scaled = Reference(attend, {"divide_by": {"no-scaling": 1.0, "overflow": ...}})
        judge = Match(scaled)
    """

    def __init__(self, function, knobs=None, variants=None):
        self.function = function
        self.knobs = knobs or {}
        self.variants = [
            Turned(function, {knob: value})
            for knob, values in (variants or {}).items()
            for value in values
        ]

    def __call__(self, inputs):
        return self.function(inputs)

    def turned(self, *args, given=None, then=None, when=None, **knobs):
        """The reference with these knobs turned: see `Turned`."""
        return turned(self.function, *args, given=given, then=then, when=when, **knobs)

    @property
    def suspects(self):
        """{mistake id: `Turned`, or a list of them} of all knobs."""
        found = {}
        for knob, values in self.knobs.items():
            for mistake, value in values.items():
                several = value if isinstance(value, list) else [value]
                settings = [Turned(self.function, {knob: one}) for one in several]
                found.setdefault(mistake, []).extend(settings)
        return {m: s[0] if len(s) == 1 else s for m, s in found.items()}


def turned(function, *args, given=None, then=None, when=None, **knobs):
    """A `Turned` of this function; positional arguments after the inputs are knobs too."""
    if args:
        names = list(inspect.signature(function).parameters)[1 : 1 + len(args)]
        knobs = dict(zip(names, args, strict=True)) | knobs
    return Turned(function, knobs, given, then, when)


def turning(function):
    """`turned` for one function: `waves_of = turning(waves)`, then `waves_of(first=1)`."""

    def with_knobs(*args, **more):
        return turned(function, *args, **more)

    return with_knobs


def only_if(condition, imitate):
    """A suspect that makes a difference only where `condition(inputs)` holds."""
    if isinstance(imitate, Turned):
        before = imitate.when
        when = condition if before is None else lambda i: before(i) and condition(i)
        return Turned(imitate.function, imitate.knobs, imitate.given, imitate.then, when)
    return Turned(imitate, when=condition)


def conditioned(reference, inputs, tolerance, most=50.0):
    """The tolerance that float arithmetic leaves on these inputs.

    Each float array of less than 64 bits is moved by half a unit in its last place; what that
    moves the answer, a right computation in that dtype may be off by as well. Scores of 300 in
    float32 are known to 1e-5, and their softmax no better.

    Args:
        reference: the right answer, a function of inputs.
        inputs: what it was asked.
        tolerance: what holds where numbers are near 1; never less is returned.
        most: the largest multiple of it, so that a probe on a knife's edge excuses nothing.
    """
    expected = [leaf for leaf in leaves(reference(inputs)) if np.asarray(leaf).dtype.kind == "f"]
    if not expected:
        return tolerance
    moved_by = 0.0
    for seed in range(3):
        rng = np.random.default_rng(seed)
        moved = attempt(reference, _moved(inputs, rng))
        parts = [leaf for leaf in leaves(moved) if np.asarray(leaf).dtype.kind == "f"]
        if len(parts) == len(expected):
            errors = [error(a, b) for a, b in zip(parts, expected, strict=True)]
            moved_by = max([moved_by, *(e for e in errors if np.isfinite(e))])
    return max(tolerance, min(8 * moved_by, most * tolerance))


def _moved(value, rng):
    if isinstance(value, dict):
        return {name: _moved(item, rng) for name, item in value.items()}
    if isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.dtype.itemsize < 8:
        step = np.finfo(value.dtype).eps * rng.choice([-0.5, 0.5], value.shape)
        return value.astype("float64") * (1 + step)
    return value
