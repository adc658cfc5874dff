"""Pictures for the lessons: attention maps, curves, and the head split in coloured blocks.

Every function returns a `Picture`: a Matplotlib figure and the words that stand in for it. A
notebook shows it once, with its alt text, and the same input gives the same bytes, so that a
rebuilt notebook does not change. Nothing here touches pyplot or its global state.
"""

import base64
import contextlib
import functools
import html
import io
import math
import pathlib
import sys
import textwrap

import numpy as np

WEIGHT_COLOURS = "cividis"
# Okabe and Ito's palette in an order that keeps the first few furthest apart; yellow is left out
# because it cannot be seen on white.
CATEGORY_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DPI = 144
TALL = 0.62  # a block's height in its widths, in the picture of the head split
INK = "#222222"
MASKED_FACE, MASKED_HATCH = "#E3E3E3", "#8A8A8A"
# Matplotlib's own font has no Chinese, Japanese or Korean. One of these usually does; on a Linux
# machine without any, `apt-get install fonts-noto-cjk` brings the first.
FALLBACK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "Noto Sans CJK JP",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti TC",
    "Arial Unicode MS",
    "Unifont",
)


class Picture:
    """A figure together with its alt text, shown once where it is a cell's last value.

    Args:
        figure: a `matplotlib.figure.Figure`.
        alt: what the picture says, for readers who do not see it.

    Raises:
        ValueError: if `alt` is empty.
    """

    def __init__(self, figure, alt):
        alt = " ".join(str(alt).split())
        if not alt:
            raise ValueError("alt is empty: say in a sentence what the picture shows.")
        self.figure = figure
        self.alt = alt
        self._png = None

    @property
    def png(self):
        """The picture as PNG bytes, the same for the same figure on the same machine."""
        if self._png is None:
            from PIL import Image

            drawn, packed = io.BytesIO(), io.BytesIO()
            with _plain_style():
                self.figure.savefig(drawn, format="png", dpi=DPI)
            image = Image.open(drawn).convert("RGBA")
            paper = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(paper, image).convert("RGB")
            # 256 colours look the same and take a third of the room in a notebook. Pillow writes
            # no date and no version.
            image = image.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
            image.save(packed, format="png", optimize=True)
            self._png = packed.getvalue()
        return self._png

    def save(self, path):
        """Writes the picture to a file and returns its path; the suffix chooses the format.

        Args:
            path: where to write: `.png`, or `.svg`, `.pdf` and what else Matplotlib knows.

        Returns:
            The path, a `pathlib.Path`.
        """
        path = pathlib.Path(path)
        if path.suffix.lower() in ("", ".png"):
            path.write_bytes(self.png)
            return path
        dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
        with _plain_style():
            self.figure.savefig(path, metadata=dates.get(path.suffix.lower()))
        return path

    def _repr_mimebundle_(self, include=None, exclude=None):
        encoded = base64.b64encode(self.png).decode("ascii")
        width, height = (round(96 * inches) for inches in self.figure.get_size_inches())
        # JupyterLab shows image/png without alt text, so the HTML form comes first; the PNG is for
        # readers that show no HTML.
        image = (
            f'<img alt="{html.escape(self.alt)}" width="{width}" '
            f'style="max-width:100%;height:auto" src="data:image/png;base64,{encoded}">'
        )
        data = {"text/html": image, "image/png": encoded, "text/plain": self.alt}
        return data, {"image/png": {"alt": self.alt, "width": width, "height": height}}

    def __repr__(self):
        return f"Picture({self.alt!r})"


def show(figure, alt):
    """Shows a figure of your own once, with alt text, as a cell's last value.

    Args:
        figure: a `matplotlib.figure.Figure`, from pyplot or not.
        alt: what the picture says, in a sentence.

    Returns:
        A `Picture`.
    """
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close(figure)  # otherwise the notebook shows it a second time, without alt text
    return Picture(figure, alt)


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


def to_array(tensor, name):
    """Turns numbers of any backend into a float32 NumPy array.

    Args:
        tensor: an array, a Keras tensor on any device, or nested lists.
        name: the argument's name, for the error.

    Returns:
        A float32 array of the same shape.

    Raises:
        TypeError: if it cannot be done.
    """
    try:
        return np.asarray(tensor).astype(np.float32)
    except (TypeError, ValueError, RuntimeError) as problem:
        # A torch tensor with a gradient or on a GPU refuses; Keras knows how to fetch it.
        if "keras" in sys.modules:
            try:
                fetched = sys.modules["keras"].ops.convert_to_numpy(tensor)
                return np.asarray(fetched).astype(np.float32)
            except Exception:  # the first message says more
                pass
        raise TypeError(
            f"{name} is {type(tensor).__name__}, expected an array of numbers, all rows of one "
            f"length ({problem})."
        ) from None


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
    with _plain_style():
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
        _write(axes.set_xlabel(xlabel), 11)
        _write(axes.set_ylabel(ylabel), 11)
        _write(axes.set_title(textwrap.fill(title, 60), loc="left"), 12)
        axes.tick_params(labelsize=10)
        _label_line_ends(figure, axes, series)
    return Picture(figure, alt or _describe_lines(series, xlabel, ylabel, title))


def head_split_figure(length=3, num_heads=2, d_head=2):
    """Shows with coloured blocks why splitting heads takes a transpose beside the reshape.

    The blocks are labels that really went through the two reshapes: letter = word, number = place
    in the word's vector.

    Args:
        length: number of words, 2 to 6.
        num_heads: number of heads, 2 to 4.
        d_head: places in one head, 1 to 4.

    Returns:
        A `Picture` of the input `(length, num_heads * d_head)`, and of the heads
        `(num_heads, length, d_head)` split rightly and wrongly.

    Raises:
        ValueError: if a number is outside those ranges.
    """
    from matplotlib.figure import Figure

    given = {"length": (length, 2, 6), "num_heads": (num_heads, 2, 4), "d_head": (d_head, 1, 4)}
    for name, (value, low, high) in given.items():
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}, expected {low} to {high} so that it can be read.")
    d_model = num_heads * d_head
    words = [chr(ord("A") + index) for index in range(length)]
    labels = np.array([[f"{word}{place}" for place in range(d_model)] for word in words])
    right = labels.reshape(length, num_heads, d_head).transpose(1, 0, 2)
    wrong = labels.reshape(num_heads, length, d_head)
    misplaced = right != wrong

    with _plain_style():
        wide = num_heads * (d_head + 1.2)  # in cells; a cell is 1 wide and TALL tall
        width = max(5.6, 0.56 * (wide + 1))  # inches
        unit = width / (wide + 0.8)
        rows = 3 * (length * TALL + 1.3) + 0.1
        figure = Figure(figsize=(width, unit * rows))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(-0.7, wide + 0.1), ylim=(rows, 0), aspect="equal")
        axes.axis("off")
        size = min(12.5, 72 * unit * 0.3)
        steps = f"reshape to ({length}, {num_heads}, {d_head}), transpose to"
        panels = (
            (f"Input: a row for each word, d_model = {d_model}", labels, None),
            (f"Right: {steps} ({num_heads}, {length}, {d_head})", right, None),
            (f"Wrong: reshape to ({num_heads}, {length}, {d_head}) mixes words up", wrong, 1),
        )
        top = 0.45
        for text, array, marked in panels:
            _write(axes.text(-0.6, top, text, weight="bold", va="center"), size)
            apart = array.ndim == 3
            for head in range(num_heads):
                left = head * (d_head + (1.2 if apart else 0))
                block = array[head] if apart else array[:, head * d_head : (head + 1) * d_head]
                name = f"head {head + 1}" if apart else f"for head {head + 1}"
                _write(axes.text(left + d_head / 2, top + 0.48, name, ha="center"), size)
                for row, word in enumerate(words):
                    if apart or not head:
                        where = (left - 0.15, top + 0.6 + (row + 0.5) * TALL)
                        _write(axes.text(*where, word, ha="right", va="center"), size)
                crosses = misplaced[head] if marked else np.zeros(block.shape, bool)
                _draw_block(axes, block, left, top + 0.6, d_head, num_heads, size, crosses)
            top += length * TALL + 1.3
    mixed = "; ".join(
        f"row {word} of head {head + 1} holds {' '.join(wrong[head, row])} instead of "
        f"{' '.join(right[head, row])}"
        for head in range(num_heads)
        for row, word in enumerate(words)
        if misplaced[head, row].any()
    )
    return Picture(
        figure,
        f"Three panels of coloured blocks for {length} words, {num_heads} heads and {d_head} "
        "places in a head. Reshape and transpose give each head a part of every word, one row for "
        f"each word. Reshape alone mixes words up: {mixed}.",
    )


def beam_tree(scores, kept, *, title, best=None, root="start", score_name="score", alt=None):
    """Draws the beginnings that a search looked at as a tree, one column for each word.

    Args:
        scores: dict from a beginning, a tuple of words, to its score. The beginning without its
            last word must be there too, unless it is empty.
        kept: collection of the beginnings that the search went on with: bold, with a full line.
        title: the finding, in a sentence.
        best: the sentence that was chosen: in another colour, from the root on.
        root: what stands in front of all beginnings.
        score_name: what the scores are, for the alt text.
        alt: the alt text; None writes one.

    Returns:
        A `Picture`.

    Raises:
        ValueError: if there is nothing to draw, or a beginning lacks the one before it.
    """
    from matplotlib.figure import Figure

    if not scores:
        raise ValueError("scores is empty, expected a dict from tuples of words to numbers.")
    for path in scores:
        if len(path) > 1 and path[:-1] not in scores:
            raise ValueError(f"scores has {path!r} and not {path[:-1]!r}, which it continues.")
    rows = {}  # a leaf has a row of its own, a node stands in the middle of its children

    def place(path):
        children = [p for p in scores if len(p) == len(path) + 1 and p[: len(path)] == path]
        if children:
            heights = [place(child) for child in children]
            rows[path] = (heights[0] + heights[-1]) / 2
        else:
            rows[path] = sum(1 for p in rows if not any(q[: len(p)] == p != q for q in rows))
        return rows[path]

    place(())
    depth = max(map(len, scores))
    leaves = sum(not any(len(q) > len(p) and q[: len(p)] == p for q in scores) for p in scores)
    chosen = {best[:n] for n in range(len(best) + 1)} if best else set()
    longest = [
        len(root),
        *(max(len(p[-1]) for p in scores if len(p) == n + 1) for n in range(depth)),
    ]
    lefts = np.cumsum([0, *(0.085 * n + 1.1 for n in longest[:-1])])  # inches
    width, height = lefts[-1] + 0.085 * longest[-1] + 1.0, 0.34 * leaves + 0.75
    with _plain_style():
        figure = Figure(figsize=(max(width, 4.5), height))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(-0.15, max(width, 4.5) - 0.15), ylim=(leaves - 0.3, -1.4))
        axes.axis("off")
        for path in [(), *scores]:
            x, y, on = lefts[len(path)], rows[path], path in kept or not path
            colour = (
                CATEGORY_COLOURS[1] if path in chosen else CATEGORY_COLOURS[0] if on else "#777777"
            )
            text = f"{path[-1]}  {scores[path]:.2f}" if path else root
            weight = "bold" if on or path in chosen else "normal"
            _write(axes.text(x, y, text, va="center", color=colour, weight=weight), 11)
            if path:
                before = path[:-1]
                wide = len(f"{before[-1]}  {scores[before]:.2f}") if before else len(root)
                axes.plot(
                    (lefts[len(before)] + 0.1 * wide + 0.06, x - 0.06),
                    (rows[before], y),
                    color=colour,
                    linewidth=2.2 if path in chosen else 1.6 if on else 1,
                    linestyle="-" if on or path in chosen else (0, (2, 2)),
                )
        _write(axes.text(0, -1.05, textwrap.fill(title, 70), va="center"), 12)
    if alt is None:
        said = [f"{' '.join(p)} {s:.2f}{' (kept)' if p in kept else ''}" for p, s in scores.items()]
        chose = f" Chosen: {' '.join(best)}." if best else ""
        alt = f"Tree, {title}. Beginnings with their {score_name}: {'; '.join(said)}.{chose}"
    return Picture(figure, alt)


# ---- how a notebook's own settings are kept out, and letters that can be drawn


@contextlib.contextmanager
def _plain_style():
    """Matplotlib's own settings for a while, whatever style the notebook chose."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"text.color": INK, "svg.hashsalt": "course"})
        yield


@functools.cache
def _installed_fonts():
    """Families to draw with, Matplotlib's own first, and the letters each of them has."""
    from matplotlib import font_manager

    known = {font.name for font in font_manager.fontManager.ttflist}
    families = ["DejaVu Sans", *(name for name in FALLBACK_FONTS if name in known)]
    # The first two fallbacks are enough: one sans family with Chinese, and what it may lack.
    families = families[:3]
    letters = set()
    for family in families:
        path = font_manager.findfont(family, fallback_to_default=False)
        letters.update(font_manager.get_font(path).get_charmap())
    return families, frozenset(letters)


def _write(text, size=None):
    """Lets a text object draw any installed letter, and no dollar sign start a formula."""
    text.set_fontfamily(_installed_fonts()[0])
    text.set_parse_math(False)
    if size is not None:
        text.set_fontsize(size)
    return text


def _printable(tokens):
    """Tokens as they can be drawn, and whether some could not."""
    letters = _installed_fonts()[1]
    drawn, replaced = [], False
    for index, token in enumerate(tokens):
        token = token.replace("\n", "↵").replace("\t", "⇥")
        token = token if token.strip() else "␣" * max(1, len(token))
        if any(ord(letter) not in letters for letter in token):
            token, replaced = f"#{index + 1}", True
        drawn.append(token if len(token) <= 14 else token[:13] + "…")
    return drawn, replaced


def _ems(text):
    """About how wide a text is, in units of its font size."""
    return sum(1.0 if ord(letter) > 0x2E7F else 0.6 for letter in text)


# ---- the attention map


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
    rows_text, row_lost = _printable(query_tokens)
    columns_text, column_lost = _printable(key_tokens)
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
    with _plain_style():
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
                _write(axes.set_title(f"head {index + 1}", pad=4), 11)
            row_labels.put(axes, axes.yaxis, index % grid_columns == 0)
            column_labels.put(axes, axes.xaxis, index + grid_columns >= heads)
            axes.spines[:].set_color("#999999")
        thickness = 0.16 / (grid_rows * panel_height)
        bar = figure.colorbar(image, ax=all_axes, shrink=0.9, aspect=0.9 / thickness, pad=0.02)
        bar.set_ticks(np.linspace(0.0, scale_end, 6 if scale_end in (0.5, 1.0) else 5))
        bar.ax.tick_params(labelsize=10)
        ends = "" if scale_end == 1.0 else f" (scale ends at {scale_end:g})"
        _write(bar.ax.set_ylabel(f"attention weight{ends}"), 10)
        below = "key (is looked at)"
        if note_lines:
            below += "\n" + "\n".join(note_lines)
        size = 9.5 if note_lines else 11
        if heads == 1:
            _write(axes.set_ylabel("query (looks)"), 11)
            _write(axes.set_xlabel(below), size)
        else:
            _write(figure.supylabel("query (looks)"), 11)
            _write(figure.supxlabel(below), size)
        if title_lines:
            _write(figure.suptitle("\n".join(title_lines)), 12)
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
        self.longest = max(_ems(text) for text in texts) * self.size  # points
        self.upright = across and self.longest > pitch * 0.92
        rotated = self.upright or not across
        self.room = (self.longest if rotated else self.size * 1.4) / 72 + 0.1
        if self.by_turns:
            self.room += self._inner() / 72

    def _inner(self):
        """Points from the map to the outer names: past the longest of the inner ones."""
        return max(_ems(text) for text in self.texts[::2]) * self.size + 5

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
            _write(label)


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


# ---- curves


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
        _write(note)
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


# ---- the head split


def _draw_block(axes, block, left, top, d_head, num_heads, size, crosses):
    """One array of labels as coloured cells: hue = word, lighter = meant for a later head."""
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Rectangle

    for (row, column), label in np.ndenumerate(block):
        hue = np.array(to_rgb(CATEGORY_COLOURS[ord(label[0]) - ord("A")]))
        light = 0.4 + 0.42 * (int(label[1:]) // d_head) / (num_heads - 1)
        corner = (left + column, top + row * TALL)
        colour = tuple(hue * (1 - light) + light)
        axes.add_patch(Rectangle(corner, 1, TALL, facecolor=colour, edgecolor="white", linewidth=2))
        text = f"{label} ✗" if crosses[row, column] else label
        middle = (corner[0] + 0.5, corner[1] + TALL / 2)
        _write(axes.text(*middle, text, ha="center", va="center", color="black"), size)
