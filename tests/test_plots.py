"""Static pictures: what they accept, what they say, and that they can be read."""

import html
import io
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import PathPatch
from matplotlib.text import Text
from PIL import Image

from course.lab import plots
from course.lab.plots import Picture, attention_map, curves, head_split_figure, show

TEXT = (
    "A man in a blue shirt is standing on a ladder cleaning a window while two young boys play "
    "football near the old stone river bank and the other people watch them from a long wooden "
    "bench under some tall trees because it was too warm to sit in the sun for the whole summer "
    "afternoon there today yesterday ."
)
SENTENCE = TEXT.split()


def random_weights(*shape, seed=0):
    scores = np.exp(2 * np.random.default_rng(seed).normal(size=shape))
    return (scores / scores.sum(-1, keepdims=True)).astype("float32")


def panels(picture):
    return [axes for axes in picture.figure.axes if axes.images]


def drawn_texts(axes):
    return [text.get_text() for text in axes.texts]


def tick_names(axis):
    labels = [*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)]
    return [label.get_text() for label in labels if label.get_text()]


def overlapping(figure, labels):
    figure.draw_without_rendering()
    boxes = [Text.get_window_extent(label) for label in labels if label.get_text()]
    return [(a, b) for n, a in enumerate(boxes) for b in boxes[n + 1 :] if a.overlaps(b)]


# ---- pictures


def test_importing_the_plots_imports_neither_matplotlib_nor_keras():
    code = "import sys, course.lab.plots; print({'matplotlib', 'keras'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr


def test_a_picture_shows_its_alt_text_in_html_and_in_plain_text():
    picture = attention_map(random_weights(2, 2), ["<b>", '"quoted"'])
    data, metadata = picture._repr_mimebundle_()
    assert f'alt="{html.escape(picture.alt)}"' in data["text/html"]
    assert "<b>" not in data["text/html"].replace("<img", "")
    assert data["text/plain"] == picture.alt
    assert metadata["image/png"]["alt"] == picture.alt
    assert Image.open(io.BytesIO(picture.png)).format == "PNG"


def test_the_same_input_gives_the_same_bytes_whatever_style_the_notebook_chose():
    import matplotlib

    weights = random_weights(6, 6)
    first = attention_map(weights, SENTENCE[:6]).png
    with matplotlib.rc_context({"figure.facecolor": "black", "font.size": 20, "text.color": "red"}):
        assert attention_map(weights, SENTENCE[:6]).png == first
        assert matplotlib.rcParams["font.size"] == 20
    assert b"Software" not in first and b"tIME" not in first


def test_a_picture_is_saved_and_is_not_shown_a_second_time_by_pyplot(tmp_path):
    from matplotlib import pyplot

    picture = attention_map(random_weights(3, 3), SENTENCE[:3])
    assert pyplot.get_fignums() == []
    assert picture.save(tmp_path / "map.png").read_bytes() == picture.png
    assert picture.save(tmp_path / "map.svg").read_text().lstrip().startswith("<?xml")


def test_show_takes_a_pyplot_figure_away_from_pyplot():
    from matplotlib import pyplot

    figure, axes = pyplot.subplots()
    axes.plot([1, 2])
    picture = show(figure, "A line that rises.")
    assert isinstance(picture, Picture) and picture.alt == "A line that rises."
    assert pyplot.get_fignums() == [] and len(picture.png) > 100


def test_a_picture_without_words_is_refused():
    with pytest.raises(ValueError, match="alt is empty"):
        Picture(None, "  ")


# ---- attention maps


@pytest.mark.parametrize("count", [2, 8, 20, 60])
def test_every_token_is_named_and_no_two_names_overlap(count):
    tokens = SENTENCE[:count]
    picture = attention_map(random_weights(count, count), tokens, title="A title")
    (axes,) = panels(picture)
    for axis in (axes.xaxis, axes.yaxis):
        assert sorted(tick_names(axis)) == sorted(tokens)
        labels = [*axis.get_ticklabels(), *axis.get_ticklabels(minor=True)]
        assert overlapping(picture.figure, labels) == []
        assert min(label.get_fontsize() for label in labels) >= 7.5
    assert max(picture.figure.get_size_inches()) <= 10.5


@pytest.mark.parametrize("count", [8, 20, 60])
def test_heads_stand_in_a_grid_with_one_scale_and_names_at_the_edges(count):
    picture = attention_map(random_weights(8, count, count), SENTENCE[:count])
    grid = panels(picture)
    assert [axes.get_title() for axes in grid] == [f"head {n}" for n in range(1, 9)]
    assert {axes.images[0].get_clim() for axes in grid} == {(0.0, 1.0)}
    assert tick_names(grid[0].yaxis) and not tick_names(grid[1].yaxis)
    assert tick_names(grid[-1].xaxis) and not tick_names(grid[0].xaxis)
    assert overlapping(picture.figure, grid[0].get_yticklabels()) == []
    assert overlapping(picture.figure, grid[-1].get_xticklabels()) == []


def test_thinned_names_are_announced():
    picture = attention_map(random_weights(2, 60, 60), SENTENCE[:60])
    assert "Every third token is named." in picture.figure.get_supxlabel()


def test_small_maps_carry_their_numbers_and_large_ones_do_not():
    weights = np.array([[0.25, 0.75], [1.0, 0.0]])
    (axes,) = panels(attention_map(weights, ["a", "b"]))
    assert drawn_texts(axes) == ["0.25", "0.75", "1.00", "0.00"]
    colours = {text.get_text(): text.get_color() for text in axes.texts}
    assert colours["1.00"] == "black" and colours["0.00"] == "white"
    (axes,) = panels(attention_map(random_weights(9, 9), SENTENCE[:9]))
    assert drawn_texts(axes) == []


def contrast(one, other):
    light, dark = sorted((plots.maps._luminance(one), plots.maps._luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_numbers_stand_out_from_every_colour_of_the_scale():
    weights = np.linspace(0, 1, 64).reshape(8, 8)
    (axes,) = panels(attention_map(weights, SENTENCE[:8]))
    image = axes.images[0]
    for weight, text in zip(weights.ravel(), axes.texts, strict=True):
        ink = (0, 0, 0) if text.get_color() == "black" else (1, 1, 1)
        assert contrast(image.cmap(image.norm(weight)), ink) >= 4.5, weight


def test_masked_cells_are_hatched_and_named_so_that_zero_by_mask_differs_from_small():
    mask = np.tril(np.ones((3, 3), bool))
    weights = np.array([[1.0, 0, 0], [1.0, 0.0, 0], [0.2, 0.3, 0.5]])
    picture = attention_map(weights, ["a", "b", "c"], attention_mask=mask)
    (axes,) = panels(picture)
    (patch,) = [patch for patch in axes.patches if isinstance(patch, PathPatch)]
    assert patch.get_hatch() and len(patch.get_path().vertices) == 5 * 3
    assert len(axes.texts) == 6  # the unmasked 0.00 is written, the masked ones are not
    (legend,) = picture.figure.legends
    assert legend.get_texts()[0].get_text() == "masked: may not look"
    assert "3 cells masked" in picture.alt


def test_a_weight_that_leaks_through_the_mask_is_written_on_the_hatching():
    weights, mask = np.full((2, 2), 0.5), np.array([[True, False], [True, True]])
    (axes,) = panels(attention_map(weights, ["a", "b"], attention_mask=mask))
    assert len(axes.texts) == 4


def test_a_row_that_may_look_at_nothing_is_drawn_and_described():
    picture = attention_map(np.array([[0.0, 0.0], [0.5, 0.5]]), ["pad", "b"])
    assert "'pad' attends to nothing" in picture.alt


def test_small_weights_get_a_shorter_scale_that_says_so():
    picture = attention_map(np.full((10, 10), 0.1), SENTENCE[:10])
    (axes,) = panels(picture)
    assert axes.images[0].get_clim() == (0.0, 0.1)
    assert any("scale ends at 0.1" in bar.get_ylabel() for bar in picture.figure.axes)
    fixed = attention_map(np.full((10, 10), 0.1), SENTENCE[:10], vmax=1.0)
    assert panels(fixed)[0].images[0].get_clim() == (0.0, 1.0)


def test_the_alt_text_names_the_strongest_pairs():
    weights = np.array([[0.1, 0.9], [0.6, 0.4]])
    assert attention_map(weights, ["bank", "river"]).alt == (
        "Attention map: 2 queries by 2 keys. 'bank' attends most to 'river' 0.90, "
        "'river' attends most to 'bank' 0.60."
    )
    assert attention_map(weights, ["a", "b"], alt="Mine.").alt == "Mine."


def test_axes_say_who_looks():
    (axes,) = panels(attention_map(random_weights(2, 3), ["a", "b"], ["x", "y", "z"]))
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("query (looks)", "key (is looked at)")


def test_letters_of_every_kind_are_drawn_or_their_absence_is_said():
    tokens = ["$x_1$", "<b>", " ", "long" * 10, "\U00012000"]
    picture = attention_map(random_weights(5, 5), tokens)
    (axes,) = panels(picture)
    assert tick_names(axes.yaxis) == ["$x_1$", "<b>", "␣", ("long" * 10)[:13] + "…", "#5"]
    assert "No installed font" in axes.get_xlabel()
    assert len(picture.png) > 1000  # a dollar sign starts no formula


def test_chinese_is_drawn_where_a_font_has_it():
    families, letters = plots.picture.installed_fonts()
    picture = attention_map(random_weights(2, 2), ["银", "行"])
    (axes,) = panels(picture)
    if ord("银") in letters and ord("行") in letters:
        assert tick_names(axes.yaxis) == ["银", "行"]
        assert set(axes.get_yticklabels()[0].get_fontfamily()) == set(families)
    else:
        assert tick_names(axes.yaxis) == ["#1", "#2"]


def test_a_keras_tensor_of_any_precision_is_drawn():
    keras = pytest.importorskip("keras")
    weights = keras.ops.convert_to_tensor(random_weights(2, 3, 3), dtype="bfloat16")
    picture = attention_map(weights, SENTENCE[:3])
    assert len(panels(picture)) == 2


@pytest.mark.parametrize(
    ("weights", "arguments", "message"),
    [
        (np.ones((1, 2, 3, 3)) / 3, (["a"] * 3,), r"dimension too many.*weights\[0\]"),
        (np.ones((1, 1, 2, 3, 3)) / 3, (["a"] * 3,), r"weights\[0\]"),
        (np.ones(3) / 3, (["a"] * 3,), r"shape \(3,\), expected \(query, key\)"),
        (np.ones((3, 4)) / 4, (["a"] * 3,), r"3 queries by 4 keys.*Pass key_tokens too"),
        (np.ones((3, 4)) / 4, (["a"] * 4, ["b"] * 3), "last two axes are swapped"),
        (np.ones((3, 4)) / 4, (["a"] * 5, ["b"] * 5), "cut the padding"),
        (np.array([[0.5, np.nan]]), (["a"], ["b", "c"]), r"first at weights\[0, 1\]"),
        (np.array([[-2.0, 3.0]]), (["a"], ["b", "c"]), "Scores become weights by softmax"),
        (np.ones((0, 0)), ([],), "query_tokens is empty"),
    ],
)
def test_wrong_weights_are_named_with_what_to_do(weights, arguments, message):
    with pytest.raises(ValueError, match=message):
        attention_map(weights, *arguments)


@pytest.mark.parametrize(
    ("arguments", "mask", "message"),
    [
        (("the cat",), None, r"one string.*text\.split\(\)"),
        ((7,), None, "query_tokens is int"),
        ((["a", "b"],), np.ones((2, 2)), "expected bool with True = may attend"),
    ],
)
def test_wrong_types_are_named_with_what_to_do(arguments, mask, message):
    with pytest.raises(TypeError, match=message):
        attention_map(np.eye(2), *arguments, attention_mask=mask)


def test_a_mask_of_another_shape_is_named():
    with pytest.raises(ValueError, match=r"shape \(1, 1, 2, 2\)"):
        attention_map(np.eye(2), ["a", "b"], attention_mask=np.ones((1, 1, 2, 2), bool))
    with pytest.raises(TypeError, match="weights is list"):
        attention_map([[1.0], [0.5, 0.5]], ["a", "b"])


# ---- curves


def chart(**changes):
    arguments = {"xlabel": "d_k", "ylabel": "entropy (nats)", "title": "It collapses"} | changes
    lines = arguments.pop("lines", {"scaled": [1.0, 1.0], "raw": [0.9, 0.1]})
    return curves(arguments.pop("x", [4, 1024]), lines, **arguments)


def test_lines_are_named_at_their_ends_and_differ_in_more_than_colour():
    picture = chart(logx=True)
    (axes,) = picture.figure.axes
    assert drawn_texts(axes) == ["raw", "scaled"] and axes.get_legend() is None
    assert len({line.get_marker() for line in axes.lines}) == 2
    assert [to_hex(line.get_color()) for line in axes.lines] == ["#0072b2", "#d55e00"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["4", "1,024"]
    assert picture.alt == (
        "Line chart, It collapses: entropy (nats) against d_k. scaled goes from 1 at 4 to 1 at "
        "1,024; raw goes from 0.9 at 4 to 0.1 at 1,024."
    )


def test_names_of_lines_that_end_together_are_moved_apart():
    lines = {f"line {n}": np.linspace(1, 0.01 + 1e-4 * n, 50) for n in range(7)}
    picture = chart(x=np.arange(50), lines=lines)
    (axes,) = picture.figure.axes
    assert overlapping(picture.figure, axes.texts) == []
    bottom = axes.get_window_extent().y0
    assert all(Text.get_window_extent(text).y0 > bottom - 8 for text in axes.texts)


def test_a_line_may_have_a_band_its_own_x_and_gaps():
    lines = {"a": (np.ones(3), np.zeros(3), 2 * np.ones(3)), "b": [0.5, np.nan]}
    picture = chart(x={"a": [1, 2, 3], "b": [1, 2]}, lines=lines)
    (axes,) = picture.figure.axes
    assert len(axes.collections) == 1 and len(axes.lines) == 2
    assert "b goes from 0.5 at 1 to 0.5 at 1" in picture.alt


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lines": {}}, "lines is empty"),
        ({"lines": {str(n): [1, 2] for n in range(8)}}, "at most 7"),
        ({"lines": {"a": [1, 2, 3]}}, r"shape \(3,\) and x has shape \(2,\)"),
        ({"lines": {"a": [0, 1]}, "logy": True}, "Use logy=False"),
        ({"x": [0, 1], "logx": True}, "Use logx=False"),
        ({"lines": {"a": [np.nan, np.nan]}}, "no finite number"),
    ],
)
def test_wrong_lines_are_named_with_what_to_do(changes, message):
    with pytest.raises(ValueError, match=message):
        chart(**changes)


# ---- the head split


def test_the_head_split_shows_what_the_two_reshapes_really_do():
    picture = head_split_figure(length=3, num_heads=2, d_head=2)
    (axes,) = picture.figure.axes
    cells = [text for text in drawn_texts(axes) if len(text) > 1 and text[1].isdigit()]
    assert " ".join(cells[12:24]) == "A0 A1 B0 B1 C0 C1 A2 A3 B2 B3 C2 C3"
    assert cells[24:] == [
        *("A0", "A1", "A2 ✗", "A3 ✗", "B0 ✗", "B1 ✗"),
        *("B2 ✗", "B3 ✗", "C0 ✗", "C1 ✗", "C2", "C3"),
    ]
    assert "row B of head 1 holds A2 A3 instead of B0 B1" in picture.alt


def test_a_head_split_too_large_to_read_is_refused():
    with pytest.raises(ValueError, match="length is 9, expected 2 to 6"):
        head_split_figure(length=9)


# ---- the beam tree


TREE = {
    ("the",): 0.6,
    ("a",): 0.4,
    ("the", "man"): 0.24,
    ("the", "dog"): 0.21,
    ("a", "dog"): 0.36,
}


def test_a_beam_tree_writes_every_beginning_and_marks_what_was_kept():
    kept = [("the",), ("a",), ("a", "dog"), ("the", "man")]
    picture = plots.beam_tree(TREE, kept, title="Two beams", best=("a", "dog"))
    texts = {t.get_text(): t for t in picture.figure.axes[0].texts}
    assert {"start", "the  0.60", "a  0.40", "dog  0.36", "man  0.24", "dog  0.21"} <= set(texts)
    assert texts["man  0.24"].get_weight() == "bold" != texts["dog  0.21"].get_weight()
    assert (
        texts["dog  0.36"].get_color()
        == texts["a  0.40"].get_color()
        == plots.picture.CATEGORY_COLOURS[1]
    )
    assert "a dog 0.36 (kept)" in picture.alt and "Chosen: a dog." in picture.alt
    assert not overlapping(picture.figure, picture.figure.axes[0].texts)


def test_a_beam_tree_refuses_a_beginning_without_its_own():
    with pytest.raises(ValueError, match=r"not .*'the'"):
        plots.beam_tree({("the", "man"): 0.2}, [], title="")
    with pytest.raises(ValueError, match="empty"):
        plots.beam_tree({}, [], title="")
