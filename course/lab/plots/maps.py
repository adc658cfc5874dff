"""Attention weights as a map: a row for each query, a column for each key."""

import math
import textwrap

import numpy as np

from course.lab.plots.picture import Picture, ems, plain_style, printable, to_array, write

WEIGHT_COLOURS = "cividis"
MASKED_FACE, MASKED_HATCH = "#E3E3E3", "#8A8A8A"


def attention_map(
    weights,
    query_tokens,
    key_tokens=None,
    *,
    attention_mask=None,
    title=None,
    alt=None,
    vmax=None,
):
    """Draws attention weights as a map: a row for each query, a column for each key.

    Args:
        weights: `(query, key)` or `(heads, query, key)`, NumPy array or Keras tensor, in 0..1.
        query_tokens: list of strings, one for each query.
        key_tokens: list of strings, one for each key; None means `query_tokens`.
        attention_mask: boolean, broadcastable to `weights`, True = may attend. Other cells are
            hatched, so that a masked cell does not look like a small weight.
        title: what the map shows, ideally the finding.
        alt: the alt text; None writes one from the largest weights.
        vmax: where the colour scale ends. None: 1, or less where all weights are below 0.5.

    Returns:
        A `Picture`; heads stand in a grid and share one colour scale.

    Raises:
        ValueError: if shapes and token counts disagree or a weight is NaN or outside 0..1.
        TypeError: if tokens are no list or the mask is not boolean.
    """
    weights, query_tokens, key_tokens = check_attention(weights, query_tokens, key_tokens)
    if weights.ndim == 4:
        raise ValueError(
            f"weights has shape {weights.shape}, expected (query, key) or (heads, query, key): "
            "there is a dimension too many, a batch or a layer. Take one of them, weights[0]."
        )
    one_map = weights.ndim == 2
    weights = weights[None] if one_map else weights  # (heads, q, k)
    allowed = _check_mask(attention_mask, weights.shape)
    largest = float(weights.max(initial=0.0))
    scale_end = vmax or (1.0 if largest >= 0.5 else _round_up(largest))
    figure = _draw_maps(weights, query_tokens, key_tokens, allowed, title, scale_end, one_map)
    if alt is None:
        alt = _describe_maps(weights, query_tokens, key_tokens, allowed, title)
    return Picture(figure, alt)


def check_attention(weights, query_tokens, key_tokens=None):
    """Checks weights against their tokens; the map and the explorer share it.

    Args:
        weights: `(query, key)`, `(heads, query, key)` or `(layers, heads, query, key)`.
        query_tokens: list of strings.
        key_tokens: list of strings, or None for `query_tokens`.

    Returns:
        The weights as a float32 array of the same shape, and two lists of strings.

    Raises:
        ValueError: if shapes and token counts disagree or a weight is NaN or outside 0..1.
        TypeError: if the tokens are no list.
    """
    weights = to_array(weights, "weights")
    query_tokens = _check_tokens(query_tokens, "query_tokens")
    both = key_tokens is None
    key_tokens = query_tokens if both else _check_tokens(key_tokens, "key_tokens")
    shape = weights.shape
    if not 2 <= len(shape) <= 4:
        extra = "Take one sentence out of the batch, weights[0]." if len(shape) > 4 else ""
        raise ValueError(
            f"weights has shape {shape}, expected (query, key) or (heads, query, key). {extra}"
        )
    expected = (len(query_tokens), len(key_tokens))
    if shape[-2:] != expected:
        keys = "the same for the keys" if both else f"key_tokens has {expected[1]}"
        if shape[-2:] == expected[::-1]:
            advice = "The last two axes are swapped: queries are rows, keys are columns."
        elif both and shape[-2] == expected[0]:
            advice = "Pass key_tokens too: this is cross-attention."
        else:
            advice = "Pass one token for each row and column; cut the padding from both."
        raise ValueError(
            f"weights has shape {shape}, that is {shape[-2]} queries by {shape[-1]} keys, but "
            f"query_tokens has {expected[0]} tokens and {keys}. {advice}"
        )
    if not np.isfinite(weights).all():
        first = tuple(int(index) for index in np.argwhere(~np.isfinite(weights))[0])
        raise ValueError(
            f"weights has {int((~np.isfinite(weights)).sum())} values that are NaN or infinite, "
            f"the first at weights[{', '.join(map(str, first))}]. Often a row was masked "
            "completely: give such a row weights of 0."
        )
    if weights.size and (weights.min() < -1e-3 or weights.max() > 1.01):
        raise ValueError(
            f"weights lie in {weights.min():.3g} to {weights.max():.3g}, expected 0 to 1. "
            "Scores become weights by softmax over the keys; with dropout, call the layer with "
            "training=False."
        )
    return np.clip(weights, 0.0, 1.0), query_tokens, key_tokens


def _check_tokens(tokens, name):
    if isinstance(tokens, str | bytes):
        raise TypeError(
            f"{name} is one string, expected a list with one string for each token: "
            "split it first, text.split()."
        )
    try:
        tokens = list(tokens.numpy() if hasattr(tokens, "numpy") else tokens)
    except TypeError:
        raise TypeError(
            f"{name} is {type(tokens).__name__}, expected a list with one string for each token."
        ) from None
    if not tokens:
        raise ValueError(f"{name} is empty, expected at least one token.")
    return [
        token.decode("utf-8", "replace") if isinstance(token, bytes) else str(token)
        for token in tokens
    ]


def _check_mask(attention_mask, shape):
    """The mask at the shape of the weights, or None."""
    if attention_mask is None:
        return None
    if hasattr(attention_mask, "detach"):
        attention_mask = attention_mask.detach().cpu()
    mask = np.asarray(attention_mask)
    if mask.dtype != bool:
        raise TypeError(
            f"attention_mask has dtype {mask.dtype}, expected bool with True = may attend. "
            "For a mask of 0s and 1s, pass mask > 0."
        )
    try:
        return np.broadcast_to(mask, shape)
    except ValueError:
        raise ValueError(
            f"attention_mask has shape {mask.shape}, which does not broadcast to the weights' "
            f"(heads, query, key) = {shape}. Take one sentence out of the batch, "
            "attention_mask[0]."
        ) from None


def _round_up(largest):
    """A round end for a colour scale that no weight comes near half of."""
    return next((end for end in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5) if largest <= 1.001 * end), 1.0)


def _draw_maps(weights, query_tokens, key_tokens, allowed, title, scale_end, one_map):
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    heads, queries, keys = weights.shape
    rows_text, row_lost = printable(query_tokens)
    columns_text, column_lost = printable(key_tokens)
    longest = max(queries, keys)
    grid_columns, panel = _grid(heads, longest)
    grid_rows = math.ceil(heads / grid_columns)
    cell = panel / longest  # inches
    panel_width, panel_height = keys * cell, queries * cell
    # A narrow panel still needs room for its name.
    panel_width, panel_height = max(panel_width, 0.9), max(panel_height, 0.5)

    row_labels = _LabelPlan(rows_text, cell * 72)
    column_labels = _LabelPlan(columns_text, cell * 72, across=True)
    title_lines = textwrap.wrap(title or "", 52)
    notes = []
    if row_lost or column_lost:
        notes.append(
            "No installed font has the letters of the tokens named #; the number is the place "
            "in the sentence. Installing Noto Sans CJK helps for Chinese."
        )
    thinned = max(row_labels.step, column_labels.step)
    if thinned > 1:
        notes.append(f"Every {_ordinal(thinned)} token is named.")
    masked = allowed is not None and not allowed.all()
    width = max(grid_columns * (panel_width + 0.18) + row_labels.room + 0.45 + 1.0, 3.6)
    note_lines = [line for note in notes for line in textwrap.wrap(note, int(width * 10))]
    height = (
        grid_rows * (panel_height + (0.18 if one_map else 0.38))
        + column_labels.room
        + 0.4
        + 0.26 * len(title_lines)
        + 0.2 * len(note_lines)
        + (0.3 if masked else 0.0)
    )
    with plain_style():
        figure = Figure(figsize=(width, height), layout="constrained")
        figure.get_layout_engine().set(w_pad=0.07, h_pad=0.07)
        all_axes = figure.subplots(grid_rows, grid_columns, squeeze=False)
        for index, axes in enumerate(all_axes.flat):
            if index >= heads:
                axes.axis("off")
                continue
            image = axes.imshow(
                weights[index], cmap=WEIGHT_COLOURS, vmin=0.0, vmax=scale_end, aspect="auto"
            )
            axes.set_box_aspect(panel_height / panel_width)
            if masked:
                _hatch(axes, ~allowed[index])
            if longest <= 8 and cell >= 0.26:
                _write_numbers(axes, weights[index], image, cell, allowed, index)
            if not one_map:
                write(axes.set_title(f"head {index + 1}", pad=4), 11)
            row_labels.put(axes, axes.yaxis, index % grid_columns == 0)
            column_labels.put(axes, axes.xaxis, index + grid_columns >= heads)
            axes.spines[:].set_color("#999999")
        thickness = 0.16 / (grid_rows * panel_height)
        bar = figure.colorbar(image, ax=all_axes, shrink=0.9, aspect=0.9 / thickness, pad=0.02)
        bar.set_ticks(np.linspace(0.0, scale_end, 6 if scale_end in (0.5, 1.0) else 5))
        bar.ax.tick_params(labelsize=10)
        ends = "" if scale_end == 1.0 else f" (scale ends at {scale_end:g})"
        write(bar.ax.set_ylabel(f"attention weight{ends}"), 10)
        below = "key (is looked at)"
        if note_lines:
            below += "\n" + "\n".join(note_lines)
        size = 9.5 if note_lines else 11
        if heads == 1:
            write(axes.set_ylabel("query (looks)"), 11)
            write(axes.set_xlabel(below), size)
        else:
            write(figure.supylabel("query (looks)"), 11)
            write(figure.supxlabel(below), size)
        if title_lines:
            write(figure.suptitle("\n".join(title_lines)), 12)
        if masked:
            patch = Patch(facecolor=MASKED_FACE, edgecolor=MASKED_HATCH, hatch="////", linewidth=0)
            figure.legend(
                [patch],
                ["masked: may not look"],
                loc="outside lower left",
                fontsize=10,
                frameon=False,
            )
    return figure


def _grid(heads, longest):
    """Columns of the grid of heads and the inches of a panel's longer side."""
    if heads == 1:
        return 1, min(max(2.4, 0.5 * min(longest, 8), 0.26 * longest), 6.6)
    if longest <= 8:
        columns = heads if heads <= 3 else 2 if heads == 4 else 3 if heads <= 6 else 4
        return columns, {2: 2.5, 3: 2.1, 4: 1.8}[columns]
    if longest <= 16:
        columns = 2 if heads in (2, 4) else 3
        return columns, {2: 3.0, 3: 2.3}[columns]
    return 2, 3.4


def _ordinal(number):
    return {2: "second", 3: "third"}.get(number, f"{number}th")


class _LabelPlan:
    """How the tokens along one side are named so that each name can be read.

    Wide rows: every name. Rows too thin for that: names in two columns by turns, which doubles
    the room of each. Thinner still: every second or third name.
    """

    SMALLEST = 7.5  # points

    def __init__(self, texts, pitch, across=False):
        self.texts = texts
        self.across = across
        self.step = 1
        self.by_turns = False
        self.size = float(np.clip(pitch * 0.8, self.SMALLEST, 11.0))
        if pitch < self.SMALLEST * 1.1:
            if pitch * 2 >= self.SMALLEST * 1.1 and len(texts) > 12:
                self.by_turns, self.size = True, min(9.0, pitch * 1.7)
            else:
                self.step = math.ceil(self.SMALLEST * 1.1 / pitch)
        self.longest = max(ems(text) for text in texts) * self.size  # points
        self.upright = across and self.longest > pitch * 0.92
        rotated = self.upright or not across
        self.room = (self.longest if rotated else self.size * 1.4) / 72 + 0.1
        if self.by_turns:
            self.room += self._inner() / 72

    def _inner(self):
        """Points from the map to the outer names: past the longest of the inner ones."""
        return max(ems(text) for text in self.texts[::2]) * self.size + 5

    def put(self, axes, axis, named):
        """Names the tokens along one axis of a panel, or leaves them to the panel at the edge."""
        places = range(0, len(self.texts), self.step)
        inner = [place for place in places if not (self.by_turns and place % 2)]
        outer = [place for place in places if self.by_turns and place % 2]
        which = "x" if self.across else "y"
        turned = {"rotation": 90} if self.upright else {}
        for these, minor, length in ((inner, False, 2), (outer, True, None)):
            if not named:
                axis.set_ticks([], minor=minor)
                continue
            axis.set_ticks(
                these, [self.texts[place] for place in these], minor=minor, parse_math=False
            )
            axes.tick_params(
                axis=which,
                which="minor" if minor else "major",
                length=self._inner() if length is None and these else 2,
                width=0.5,
                color="#AAAAAA",
                pad=1.5,
                labelsize=self.size,
                **{f"label{key}": value for key, value in turned.items()},
            )
        for label in [*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)]:
            write(label)


def _hatch(axes, hidden):
    """Covers masked cells with grey and stripes, as one path however many there are."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    places = np.argwhere(hidden)
    if not len(places):
        return
    corners = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5), (-0.5, -0.5)])
    vertices = (places[:, None, ::-1] + corners).reshape(-1, 2)
    codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(places)
    axes.add_patch(
        PathPatch(
            Path(vertices, codes),
            facecolor=MASKED_FACE,
            edgecolor=MASKED_HATCH,
            hatch="////",
            linewidth=0,
        )
    )


def _write_numbers(axes, weights, image, cell, allowed, head):
    whole = cell >= 0.4  # room for "0.79"; otherwise ".79", larger
    size = float(np.clip(cell * 72 * (0.33 if whole else 0.42), 7.0, 12.0))
    for (row, column), weight in np.ndenumerate(weights):
        hidden = allowed is not None and not allowed[head, row, column]
        if hidden and weight < 5e-4:
            continue
        dark = hidden or _luminance(image.cmap(image.norm(weight))) > 0.18
        text = f"{weight:.2f}" if whole else f"{weight:.2f}".removeprefix("0")[:3]
        axes.text(
            column,
            row,
            text,
            ha="center",
            va="center",
            fontsize=size,
            color="black" if dark else "white",
        )


def _luminance(colour):
    """Relative luminance of an sRGB colour, WCAG 2.2."""
    red, green, blue = (
        channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4
        for channel in colour[:3]
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _describe_maps(weights, query_tokens, key_tokens, allowed, title):
    heads, queries, keys = weights.shape
    parts = [f"Attention map{f', {title}' if title else ''}: {queries} queries by {keys} keys"]
    if heads > 1:
        parts[0] += f", {heads} heads"
    if allowed is not None:
        parts[0] += f", {int((~allowed[0]).sum())} cells masked" + (" in head 1" * (heads > 1))
    for head in range(min(heads, 12)):
        best = weights[head].argmax(axis=-1)
        rows = range(queries)
        if heads > 1 or queries > 12:
            rows = sorted(rows, key=lambda row: -weights[head, row, best[row]])
            rows = rows[: 5 if heads == 1 else 2]
        looks = [
            f"'{query_tokens[row]}' attends most to '{key_tokens[best[row]]}' "
            f"{weights[head, row, best[row]]:.2f}"
            if weights[head, row].any()
            else f"'{query_tokens[row]}' attends to nothing"
            for row in rows
        ]
        parts.append((f"head {head + 1}: " if heads > 1 else "") + ", ".join(looks))
    return ". ".join(parts) + "."
