"""A picture with its alt text, and what all drawings share: colours, style, letters, numbers.

A notebook's own style is kept out, so that the same input gives the same bytes on one machine.
"""

import base64
import contextlib
import functools
import html
import io
import pathlib
import sys

import numpy as np

# Four of Okabe and Ito's colours and three of their kind: each has 3 to 1 on white, and on a dark
# theme for a figure saved without its paper. The first few are the furthest apart.
CATEGORY_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#A67C00", "#8855C8", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DPI = 144
INK = "#222222"
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
            with plain_style():
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
        with plain_style():
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


@contextlib.contextmanager
def plain_style():
    """Matplotlib's own settings for a while, whatever style the notebook chose."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({"text.color": INK, "svg.hashsalt": "course"})
        yield


@functools.cache
def installed_fonts():
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


def write(text, size=None):
    """Lets a text object draw any installed letter, and no dollar sign start a formula."""
    text.set_fontfamily(installed_fonts()[0])
    text.set_parse_math(False)
    if size is not None:
        text.set_fontsize(size)
    return text


def printable(tokens):
    """Tokens as they can be drawn, and whether some could not."""
    letters = installed_fonts()[1]
    drawn, replaced = [], False
    for index, token in enumerate(tokens):
        token = token.replace("\n", "↵").replace("\t", "⇥")
        token = token if token.strip() else "␣" * max(1, len(token))
        if any(ord(letter) not in letters for letter in token):
            token, replaced = f"#{index + 1}", True
        drawn.append(token if len(token) <= 14 else token[:13] + "…")
    return drawn, replaced


def ems(text):
    """About how wide a text is, in units of its font size."""
    return sum(1.0 if ord(letter) > 0x2E7F else 0.6 for letter in text)
