"""Properties: what holds of a wrong result, and what does not, where no mistake is known by name.

Each property looks at what came back and at what was expected and says one true sentence, or
nothing. The sentences stand in `text.toml`; here is how each is told.
"""

from functools import cache

import numpy as np

from course.checks import text_of_checks
from course.checks.case import Case
from course.checks.layout_properties import (
    another_length,
    extra_axis,
    one_slice,
    only_at_padding,
    only_at_real,
    reduced,
    reordered,
    right_up_to,
    transposed,
    wrong_layout,
)
from course.checks.value_properties import (
    FUNCTIONS,
    all_equal,
    all_zero,
    an_input,
    clipped,
    function_of,
    input_added,
    low_precision,
    multiple,
    multiple_by_slice,
    negated,
    not_numbers,
    opposite_sign,
    rounded,
    rows_do_not_sum,
    shifted,
    shifted_by_slice,
    sums_along_another,
)


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
    cases = [case for verdict in verdicts for case in [Case.of(verdict.evidence)] if case]
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
