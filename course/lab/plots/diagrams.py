"""Drawings of one idea each: how heads are split, what a beam search looked at."""

import textwrap

import numpy as np

from course.lab.plots.picture import CATEGORY_COLOURS, Picture, plain_style, write

TALL = 0.62  # a block's height in its widths, in the picture of the head split


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

    with plain_style():
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
            write(axes.text(-0.6, top, text, weight="bold", va="center"), size)
            apart = array.ndim == 3
            for head in range(num_heads):
                left = head * (d_head + (1.2 if apart else 0))
                block = array[head] if apart else array[:, head * d_head : (head + 1) * d_head]
                name = f"head {head + 1}" if apart else f"for head {head + 1}"
                write(axes.text(left + d_head / 2, top + 0.48, name, ha="center"), size)
                for row, word in enumerate(words):
                    if apart or not head:
                        where = (left - 0.15, top + 0.6 + (row + 0.5) * TALL)
                        write(axes.text(*where, word, ha="right", va="center"), size)
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
        write(axes.text(*middle, text, ha="center", va="center", color="black"), size)


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
    with plain_style():
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
            write(axes.text(x, y, text, va="center", color=colour, weight=weight), 11)
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
        write(axes.text(0, -1.05, textwrap.fill(title, 70), va="center"), 12)
    if alt is None:
        said = [f"{' '.join(p)} {s:.2f}{' (kept)' if p in kept else ''}" for p, s in scores.items()]
        chose = f" Chosen: {' '.join(best)}." if best else ""
        alt = f"Tree, {title}. Beginnings with their {score_name}: {'; '.join(said)}.{chose}"
    return Picture(figure, alt)
