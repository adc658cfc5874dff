"""Properties of where a wrong result is wrong: axes, shapes, padding, positions."""

import numpy as np

from course.checks.case import finite

MOST_PERMUTED = 5  # axes, in a search of all their orders


def reordered(case):
    """The right slices in another order along one axis."""
    if not finite(case):
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
