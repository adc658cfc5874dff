"""How a notebook shows what the course says: text that a terminal can print, HTML beside it.

Inline styles only, since notebooks drop style sheets from outputs they do not trust; no colour
carries a meaning alone, and text keeps the theme's own colour.
"""

import html as _html

import numpy as np

GOOD, BAD = "#0072b2", "#b34700"  # a blue and a dark orange that colour-blind readers tell apart


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
        try:
            from IPython import get_ipython
            from IPython.display import display
        except ImportError:
            get_ipython = lambda: None  # noqa: E731
        if get_ipython() is None:
            print(self.text)
        else:
            display(self)


def escape(text):
    """Text made safe inside HTML, line breaks kept."""
    return _html.escape(str(text)).replace("\n", "<br>")


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


def box(colour, inner):
    """A block with a coloured edge."""
    return (
        f'<div style="border-left:4px solid {colour};padding:2px 0 2px 12px;margin:4px 0">'
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


def grid(array, other, caption):
    """An array as an HTML table; entries that differ from `other` are marked ◆ and bold."""
    rows = ""
    for row, other_row in zip(array, other, strict=True):
        cells = ""
        for entry, wanted in zip(row, other_row, strict=True):
            same = entry == wanted or (
                entry.dtype.kind == "f" and np.isclose(entry, wanted, rtol=1e-4, atol=1e-5)
            )
            text = number(entry)
            cells += '<td style="text-align:right;padding:1px 8px">'
            cells += f"{text}</td>" if same else f"<b>◆ {text}</b></td>"
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
