"""A check's report as a student sees it: the probes, the first failure, the named mistake."""

import numpy as np

from course.lab.display import (
    BAD,
    GOOD,
    NEUTRAL,
    Shown,
    badge,
    box,
    escape,
    grid,
    mark,
    plain_grid,
    small_slices,
)


def is_unwritten(report):
    """Whether nothing is written yet: the first probe already meets the handed-out stub."""
    return report.probes[0].verdict.mistakes[:1] == ("not-written",)


def show_unwritten(exercise, how="Not written yet."):
    """The one line for an exercise that nobody has begun."""
    line = f"· {exercise.title}. {how}"
    return Shown(line, box(NEUTRAL, escape(line)))


def show_report(report, notice="", next_steps=()):
    """A report as a student sees it.

    Args:
        report: the examiner's `Report`.
        notice: what to know before reading it, in a sentence.
        next_steps: lines that follow a failure, as "hint(double)".
    """
    exercise = report.exercise
    points = f"{report.points:g} of {report.max_points:g} points"
    lines = [f"{exercise.title}: {points} in the public checks"]
    html = f"<b>{escape(exercise.title)}</b>: {points} in the public checks"
    if notice:
        lines.insert(0, f"! {notice}")
        html = f"<p style='margin:4px 0'>{badge('!', BAD)} <b>{escape(notice)}</b></p>{html}"
    items = ""
    for i, probe in enumerate(exercise.probes):
        passed = report.probes[i].verdict.passed if i < len(report.probes) else None
        word = {True: "passed", False: "failed", None: "not reached"}[passed]
        lines.append(f"  {mark(passed)} {probe.title} ({word})")
        colour = {True: GOOD, False: BAD, None: NEUTRAL}[passed]
        items += (
            f'<li style="list-style:none;margin:2px 0">{badge(mark(passed), colour)} '
            f"{escape(probe.title)} ({word})</li>"
        )
    html += f'<ul style="margin:4px 0;padding-left:4px">{items}</ul>'
    if report.passed:
        end = f"Passed the public checks, {len(report.probes)} of {len(exercise.probes)}."
        return Shown("\n".join([*lines, end]), box(BAD if notice else GOOD, html + escape(end)))

    named = report.sentences
    verdict = report.first_failure.verdict
    lines += named + [verdict.detail] * bool(verdict.detail)
    html += "".join(f"<p style='margin:4px 0'><b>{escape(line)}</b></p>" for line in named)
    if verdict.detail:
        html += f"<p style='margin:4px 0'>{escape(verdict.detail)}</p>"
    text, arrays = _side_by_side(verdict)
    smallest = getattr(report, "counterexample", None)
    if smallest is not None:
        if np.size(verdict.got) > FEW:  # the smaller input says it better
            text, arrays = [], ""
        text = [*text, *smallest.text().splitlines()]
        arrays += _smallest(smallest)
    lines += [*text, *next_steps]
    html += arrays
    html += "".join(f"<p style='margin:4px 0'>{_with_code(line)}</p>" for line in next_steps)
    return Shown("\n".join(lines), box(BAD, html))


FEW = 8  # numbers that a reader compares at a glance
_HOW = {"zeros": "zeros", "ones": "ones", "identity": "the identity", "true": "all True"}


def _smallest(counterexample):
    """The smallest failing input as tables; entries that differ carry a sign and a ground."""
    part = f", {counterexample.part}" if counterexample.part else ""
    html = "<p style='margin:8px 0 0'>A smaller input on which it fails in the same way:</p>"
    for given in counterexample.inputs:
        word = f"{given.name}: {_HOW.get(given.how, given.how)} {np.shape(given.value)}"
        html += f"<p style='margin:4px 0'>{escape(word)}</p>" if given.how else ""
    for given in counterexample.inputs:
        html += "" if given.how else _value(given.value, given.name)
    html += "<br>" + _value(counterexample.yours, f"Yours{part}", counterexample.differs)
    return html + _value(counterexample.expected, f"Expected{part}", counterexample.differs)


def _value(value, caption, differs=None):
    """An array as a table, anything else as text."""
    array = np.asarray(value) if isinstance(value, np.ndarray | np.generic | int | float) else None
    if array is None or array.dtype.kind not in "biuf" or not array.size:
        return f"<p style='margin:4px 0'>{escape(f'{caption}: {value!r}')}</p>"
    shape = f" {array.shape}" if array.ndim > 2 else ""
    rows = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
    other = None if differs is None else np.asarray(differs, bool).reshape(rows.shape)
    return grid(rows, rows, caption + shape, other)


def _with_code(line):
    """A line in which what stands between backticks is code."""
    parts = line.split("`")
    return "".join(
        f"<code>{escape(part)}</code>" if i % 2 else escape(part) for i, part in enumerate(parts)
    )


def _side_by_side(verdict):
    """The student's array beside the expected one where small, shapes where they differ."""
    got, expected = verdict.got, verdict.expected
    if got is None or expected is None:
        return [], ""
    if not isinstance(got, np.ndarray) or not isinstance(expected, np.ndarray):
        if isinstance(got, str | int | float | bool) and isinstance(expected, type(got)):
            line = f"Yours: {got!r}. Expected: {expected!r}."
            return [line], f"<p style='margin:4px 0'>{escape(line)}</p>"
        return [], ""
    parts = small_slices(got, expected)
    if parts is None:
        return [], ""
    got, expected, where = parts
    text = [f"Yours{where}:", plain_grid(got), f"Expected{where}:", plain_grid(expected)]
    return text, grid(got, expected, f"Yours{where}") + grid(expected, got, f"Expected{where}")
