"""Lines over one axis, each named at its right end."""

import textwrap

import numpy as np

from course.lab.plots.picture import (
    CATEGORY_COLOURS,
    MARKERS,
    Picture,
    plain_style,
    to_array,
    write,
)


def curves(
    x,
    lines,
    *,
    xlabel,
    ylabel,
    title,
    logx=False,
    logy=False,
    ylim=None,
    alt=None,
):
    """Draws up to seven lines over one axis, each named at its right end.

    Args:
        x: `(points,)`, the shared horizontal positions, or a dict from label to its own.
        lines: dict from label to `y` of `(points,)`, or to `(mean, low, high)`, three such
            arrays in a tuple, for a line with a band.
        xlabel: what is measured to the right, with its unit.
        ylabel: what is measured upwards, with its unit.
        title: the finding, in a sentence.
        logx: whether the horizontal axis is logarithmic.
        logy: whether the vertical axis is logarithmic.
        ylim: pair of limits of the vertical axis, or None.
        alt: the alt text; None writes one from where each line starts and ends.

    Returns:
        A `Picture`.

    Raises:
        ValueError: if lengths disagree, there are more than seven lines or none, or a
            logarithmic axis would show 0 or less.
    """
    from matplotlib.figure import Figure

    series = _check_lines(x, lines, logx, logy)
    with plain_style():
        figure = Figure(figsize=(6.5, 4.0), layout="constrained")
        axes = figure.subplots()
        axes.set_xscale("log" if logx else "linear")
        axes.set_yscale("log" if logy else "linear")
        for (_, where, mean, low, high), colour, marker in zip(
            series, CATEGORY_COLOURS, MARKERS, strict=False
        ):
            if low is not None:
                axes.fill_between(where, low, high, color=colour, alpha=0.18, linewidth=0)
            axes.plot(
                where,
                mean,
                color=colour,
                marker=marker,
                markersize=6,
                linewidth=2,
                markevery=max(1, len(where) // 10),
            )
        if ylim is not None:
            axes.set_ylim(*ylim)
        _label_ticks(axes, series, logx, logy)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(True, color="#DDDDDD", linewidth=0.8)
        axes.set_axisbelow(True)
        write(axes.set_xlabel(xlabel), 11)
        write(axes.set_ylabel(ylabel), 11)
        write(axes.set_title(textwrap.fill(title, 60), loc="left"), 12)
        axes.tick_params(labelsize=10)
        _label_line_ends(figure, axes, series)
    return Picture(figure, alt or _describe_lines(series, xlabel, ylabel, title))


def _check_lines(x, lines, logx, logy):
    """A list of (label, x, mean, low, high), low and high None for a line without a band."""
    if not lines:
        raise ValueError("lines is empty, expected a dict from label to y, at least one.")
    if len(lines) > len(CATEGORY_COLOURS):
        raise ValueError(
            f"lines has {len(lines)} lines, expected at most {len(CATEGORY_COLOURS)}: more cannot "
            "be told apart. Draw two charts."
        )
    series = []
    for label, y in lines.items():
        where = to_array(x[label] if isinstance(x, dict) else x, "x").astype(float)
        is_band = isinstance(y, tuple) and len(y) == 3 and all(np.ndim(part) == 1 for part in y)
        mean, low, high = (
            [to_array(part, f"lines[{label!r}]") for part in y]
            if is_band
            else (
                to_array(y, f"lines[{label!r}]"),
                None,
                None,
            )
        )
        for part in (mean, low, high):
            if part is not None and (part.shape != where.shape or part.ndim != 1 or not part.size):
                raise ValueError(
                    f"lines[{label!r}] has shape {part.shape} and x has shape {where.shape}: "
                    "expected one y for each x, or (mean, low, high) of such arrays."
                )
        if not np.isfinite(mean).any():
            raise ValueError(f"lines[{label!r}] has no finite number: nothing can be drawn.")
        if logy and np.nanmin(mean) <= 0:
            raise ValueError(
                f"lines[{label!r}] goes down to {np.nanmin(mean):.3g}: a logarithmic axis shows "
                "only numbers above 0. Use logy=False."
            )
        if logx and where.min() <= 0:
            raise ValueError(
                f"x goes down to {where.min():.3g}: a logarithmic axis shows only numbers above "
                "0. Use logx=False."
            )
        series.append((str(label), where, mean, low, high))
    return series


def _number(value):
    """A number as a reader would write it: 1,024, 0.25, 3.1e-05."""
    if value and not 1e-3 <= abs(value) < 1e7:
        return f"{value:.2g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _label_ticks(axes, series, logx, logy):
    from matplotlib.ticker import FuncFormatter, NullFormatter

    formatter = FuncFormatter(lambda value, _: _number(value))
    if logx:
        places = np.unique(np.concatenate([where for _, where, *_ in series]))
        if len(places) <= 10:
            axes.set_xticks(places, [_number(place) for place in places])
        else:
            axes.xaxis.set_major_formatter(formatter)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.tick_params(axis="x", which="minor", length=0)
    elif axes.get_xlim()[1] >= 1000:
        axes.xaxis.set_major_formatter(formatter)
    if logy or axes.get_ylim()[1] >= 1000:
        axes.yaxis.set_major_formatter(formatter)


def _label_line_ends(figure, axes, series):
    """Names each line at its right end, moved apart where ends are close."""
    from matplotlib.colors import to_rgb

    size, gap = 11, 15  # points
    ends = []
    for index, (label, where, mean, *_) in enumerate(series):
        last = np.flatnonzero(np.isfinite(mean))[-1]
        text = textwrap.fill(label, 24)
        ends.append([index, text, where[last], mean[last], 1 + text.count("\n")])
    axes.margins(x=0.03)
    right = max(end[2] for end in ends)
    figure.draw_without_rendering()
    height = axes.transData.transform([(end[2], end[3]) for end in ends])[:, 1] * 72 / figure.dpi
    order = np.argsort(height, kind="stable")
    wanted = height[order]
    placed = wanted.copy()
    heights = np.array([gap * ends[index][4] for index in order], dtype=float)
    for _ in range(200):  # push neighbours apart in equal parts until none overlap
        need = (heights[1:] + heights[:-1]) / 2
        short = need - np.diff(placed)
        if not (short > 0.05).any():
            break
        for place in np.flatnonzero(short > 0.05):
            move = max(0.0, need[place] - (placed[place + 1] - placed[place])) / 2
            placed[place] -= move
            placed[place + 1] += move
    bottom, top = axes.bbox.y0 * 72 / figure.dpi + 6, axes.bbox.y1 * 72 / figure.dpi
    placed += max(0.0, bottom - placed[0])  # keep the names off the axis' own numbers
    placed -= max(0.0, placed[-1] - top)
    crowded = bool((np.abs(placed - wanted) >= 2).any())
    for index, moved in zip(order, placed - wanted, strict=True):
        _, text, at_x, at_y, _ = ends[index]
        colour = CATEGORY_COLOURS[index]
        dark = tuple(0.68 * channel for channel in to_rgb(colour))
        note = axes.annotate(
            text,
            (at_x, at_y),
            xytext=(24 if crowded else 12, moved),
            textcoords="offset points",
            va="center",
            color=dark,
            fontsize=size,
            annotation_clip=False,
            arrowprops=None
            if not crowded
            else {
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.8,
                "shrinkA": 1,
                "shrinkB": 4,
                "relpos": (0, 0.5),
            },
        )
        write(note)
        note.set_in_layout(at_x >= right)


def _describe_lines(series, xlabel, ylabel, title):
    parts = []
    for label, where, mean, *_ in series:
        drawn = np.flatnonzero(np.isfinite(mean))
        first, last = drawn[0], drawn[-1]
        parts.append(
            f"{label} goes from {_number(mean[first])} at {_number(where[first])} to "
            f"{_number(mean[last])} at {_number(where[last])}"
        )
    return f"Line chart, {title}: {ylabel} against {xlabel}. {'; '.join(parts)}."
