"""How a notebook shows what the course says: text that a terminal can print, HTML beside it.

Inline styles only, since notebooks drop style sheets from outputs they do not trust. No colour
carries a meaning alone. Text keeps the theme's own colour; a coloured sign brings its own ground
with it, because no one colour reads well on white and on a dark theme's grey alike.
"""

import html as _html
import sys

import numpy as np

# The grounds of signs, with SIGN on them: a blue and a dark orange that colour-blind readers tell
# apart, and a grey.
GOOD, BAD, NEUTRAL = "#0072b2", "#b34700", "#666666"
SIGN = "#ffffff"
# The edges of blocks and bars: 3 to 1 on every theme's ground, light and dark.
EDGES = {GOOD: "#3d8fd1", BAD: "#d55e00", NEUTRAL: "#888888"}


class Shown:
    """Something with a plain and an HTML form."""

    def __init__(self, text, html):
        self.text, self.html = text, html

    def __repr__(self):
        return self.text

    def _repr_html_(self):
        return self.html

    def show(self):
        """Displays it in a notebook, prints it elsewhere."""
        if shell() is None:
            print(printable(self.text))
        else:
            from IPython.display import display

            display(self)


def shell():
    """The running IPython shell, or None."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    return get_ipython()


# For terminals that write ASCII alone: what stands in for each sign.
_ASCII = str.maketrans({"✓": "+", "✗": "x", "·": "-", "◆": "*", "█": "#", "░": ".", "…": "..."})


def printable(text, encoding=None):
    """A text as the terminal can write it; signs that it lacks have a stand-in."""
    encoding = encoding or getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
        return text
    except (UnicodeEncodeError, LookupError):
        return text.translate(_ASCII).encode(encoding, "replace").decode(encoding)


def escape(text, breaks=True):
    """Text made safe inside HTML, line breaks kept; `breaks=False` where a <pre> keeps them."""
    safe = _html.escape(str(text))
    return safe.replace("\n", "<br>") if breaks else safe


def table(head, rows, caption):
    """An HTML table; the caption is for screen readers and the eye alike."""
    cell = 'style="text-align:left;padding:2px 12px 2px 0"'
    top = "".join(f'<th scope="col" {cell}>{escape(name)}</th>' for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td {cell}>{escape(value)}</td>" for value in row) + "</tr>"
        for row in rows
    )
    return (
        f'<table style="margin:0"><caption style="text-align:left">{escape(caption)}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
    )


def mark(passed):
    """A tick or a cross, with a word for those who do not see it."""
    if passed is None:
        return "·"
    return "✓" if passed else "✗"


def badge(sign, ground):
    """A sign on a ground of its own, readable on every theme."""
    return (
        f'<span aria-hidden="true" style="display:inline-block;min-width:1.3em;text-align:center;'
        f'border-radius:3px;background:{ground};color:{SIGN};font-weight:bold">{sign}</span>'
    )


def bar(share, width="8em"):
    """A bar that is filled to a share between 0 and 1."""
    share = min(1.0, max(0.0, share))
    colour = EDGES[GOOD]
    return (
        f'<span aria-hidden="true" style="display:inline-block;width:{width};height:0.7em;'
        f'border:1px solid {EDGES[NEUTRAL]};border-radius:3px">'
        f'<span style="display:block;width:{share:.0%};height:100%;background:{colour}"></span>'
        "</span>"
    )


def plain_bar(share, width=10):
    """The same as text."""
    full = round(width * min(1.0, max(0.0, share)))
    return "█" * full + "░" * (width - full)


def box(colour, inner):
    """A block with a coloured edge."""
    return (
        f'<div style="border-left:4px solid {EDGES[colour]};padding:2px 0 2px 12px;margin:4px 0">'
        f"{inner}</div>"
    )


def small_slices(got, expected, limit=64):
    """The two-dimensional parts of two arrays around their largest difference, where small.

    Args:
        got, expected: arrays of one shape.
        limit: the largest number of entries shown.

    Returns:
        (got part, expected part, where it stands in the whole as text), or None if not small.
    """
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape or got.ndim == 0 or got.dtype.kind not in "biuf":
        return None
    where = ""
    if got.ndim > 2:
        with np.errstate(invalid="ignore"):
            off = np.nan_to_num(np.abs(got.astype(float) - expected.astype(float)), nan=np.inf)
        index = np.unravel_index(off.argmax(), got.shape)[:-2]
        where = f" at [{', '.join(str(int(i)) for i in index)}]"
        got, expected = got[index], expected[index]
    if got.size > limit:
        return None
    return np.atleast_2d(got), np.atleast_2d(expected), where


def grid(array, other, caption, differs=None):
    """An array as an HTML table; entries that differ from `other` carry a sign and a ground.

    `differs`, booleans of the same shape, says which they are where the caller knows better.
    """
    rows = ""
    for i, (row, other_row) in enumerate(zip(array, other, strict=True)):
        cells = ""
        for j, (entry, wanted) in enumerate(zip(row, other_row, strict=True)):
            same = entry == wanted or (
                entry.dtype.kind == "f" and np.isclose(entry, wanted, rtol=1e-4, atol=1e-5)
            )
            same = same if differs is None else not differs[i, j]
            text = number(entry)
            cells += '<td style="text-align:right;padding:1px 8px">'
            cells += f"{text}</td>" if same else f"{badge(f'◆ {text}', BAD)}</td>"
        rows += f"<tr>{cells}</tr>"
    return (
        '<table style="display:inline-table;margin:4px 24px 4px 0;vertical-align:top">'
        f'<caption style="text-align:left">{escape(caption)}</caption>{rows}</table>'
    )


def number(entry):
    """One array entry, short: 3 decimals, True and False as words."""
    if isinstance(entry, np.bool_):
        return "True" if entry else "False"
    return f"{entry:d}" if entry.dtype.kind in "iu" else f"{entry:.3f}"


def plain_grid(array):
    """An array as text."""
    return "\n".join("  " + " ".join(f"{number(entry):>8}" for entry in row) for row in array)
