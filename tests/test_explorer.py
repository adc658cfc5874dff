"""The attention explorer: its Python side, and its screen in a real JupyterLab."""

import base64
import pathlib
import re
import subprocess
import sys

import nbformat
import numpy as np
import pytest
import traitlets
from jupyter_browser import jupyter_lab

from course.lab import explorer, plots
from course.lab.explorer import AttentionExplorer, explore_attention

LAB = pathlib.Path(explorer.__file__).parent
WORDS = ["the", "river", "bank", "was", "muddy"]
WIDGET = "application/vnd.jupyter.widget-view+json"


def random_weights(*shape, seed=0):
    scores = np.exp(2 * np.random.default_rng(seed).normal(size=shape))
    return (scores / scores.sum(-1, keepdims=True)).astype("float32")


# ---- in Python


@pytest.mark.parametrize(
    ("shape", "stacked"),
    [
        ((5, 5), (1, 1, 5, 5)),
        ((4, 5, 5), (1, 4, 5, 5)),
        ((3, 4, 5, 5), (3, 4, 5, 5)),
    ],
)
def test_every_shape_becomes_layers_of_heads(shape, stacked):
    weights = random_weights(*shape)
    shown = explore_attention(weights, WORDS)
    np.testing.assert_array_equal(shown.weights, weights.reshape(stacked))


@pytest.mark.parametrize("batch", [(), (1,)])
def test_a_list_of_layers_is_stacked_and_a_batch_of_one_is_taken_out(batch):
    layers = [random_weights(*batch, 2, 5, 5, seed=n) for n in range(3)]
    shown = explore_attention(layers, WORDS, layer_names=["low", "middle", "high"])
    assert shown.weights.shape == (3, 2, 5, 5)
    assert shown.layer_names == ["low", "middle", "high"]
    np.testing.assert_array_equal(shown.weights[2], layers[2].reshape(2, 5, 5))


def test_nested_lists_of_one_head_are_one_head():
    shown = explore_attention([[0.25, 0.75], [1.0, 0.0]], ["a", "b"])
    assert shown.weights.tolist() == [[[[0.25, 0.75], [1.0, 0.0]]]]


def test_large_weights_travel_as_bytes():
    shown = explore_attention(random_weights(12, 12, 60, 60), [f"token{n}" for n in range(60)])
    assert len(shown.get_state()["_weights"]) == 12 * 12 * 60 * 60 * 4
    assert isinstance(shown.get_state()["_weights"], bytes)


def test_layer_head_and_token_are_read_and_set_and_kept_within_the_weights():
    shown = explore_attention(random_weights(3, 4, 5, 5), WORDS)
    assert (shown.layer, shown.head, shown.token) == (0, 0, None)
    shown.layer, shown.head, shown.token = 2, 3, 4
    with pytest.raises(traitlets.TraitError, match="layer is 3, expected 0 to 2"):
        shown.layer = 3
    with pytest.raises(traitlets.TraitError, match="token is -1, expected 0 to 4"):
        shown.token = -1
    shown.token = None
    assert {"layer", "head", "token"} <= set(shown.keys)


def test_where_widgets_are_off_the_selected_map_is_shown_with_its_alt_text():
    shown = explore_attention(random_weights(2, 2, 5, 5), WORDS, title="Mud")
    shown.layer, shown.head = 1, 1
    data, metadata = shown._repr_mimebundle_()
    static = shown.static_map()
    assert data[WIDGET]["model_id"] == shown.model_id
    assert base64.b64decode(data["image/png"]) == static.png
    assert data["text/plain"] == static.alt == metadata["image/png"]["alt"]
    assert "Mud: layer 2, head 2" in static.alt


def test_ipython_shows_the_whole_bundle_with_old_ipywidgets_too():
    from IPython.core.interactiveshell import InteractiveShell

    # ipywidgets 7 defines _ipython_display_, which IPython prefers to _repr_mimebundle_.
    assert AttentionExplorer._ipython_display_ is None
    formatter = InteractiveShell.instance().display_formatter
    data, _ = formatter.format(explore_attention(random_weights(2, 2), ["a", "b"]))
    assert {WIDGET, "image/png", "text/html", "text/plain"} <= set(data)


def test_without_anywidget_the_static_map_comes_with_a_note(monkeypatch, capsys):
    monkeypatch.setattr(explorer, "anywidget", None)
    picture = explore_attention(random_weights(3, 2, 5, 5), WORDS, title="Mud")
    assert isinstance(picture, plots.Picture) and "2 heads" in picture.alt
    assert capsys.readouterr().out.count("\n") == 1


def test_the_module_can_be_imported_without_anywidget():
    code = (
        "import sys; sys.modules['anywidget'] = None\n"
        "from course.lab.explorer import explore_attention\n"
        "print(type(explore_attention([[1.0]], ['a'])).__name__)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.split()[-1] == "Picture", result.stderr


@pytest.mark.parametrize(
    ("weights", "arguments", "message"),
    [
        (np.ones((2, 1, 1, 2, 2)), {}, r"weights\[0\]"),
        ([np.ones((2, 2, 2)) / 2, np.ones((3, 2, 2)) / 2], {}, "one shape for all"),
        (np.full((2, 2), np.nan), {}, "NaN"),
        (np.ones((3, 3)) / 3, {}, "3 queries by 3 keys"),
        (np.eye(2), {"layer_names": ["a", "b"]}, "expected a list of 1"),
    ],
)
def test_wrong_weights_are_named_with_what_to_do(weights, arguments, message):
    with pytest.raises(ValueError, match=message):
        explore_attention(weights, ["a", "b"], **arguments)


def test_the_screen_needs_no_network_and_trusts_no_token():
    script = (LAB / "explorer.js").read_text()
    for forbidden in ("innerHTML", "insertAdjacentHTML", "http:", "https:", "import ", "eval("):
        assert forbidden not in script.replace("never innerHTML", ""), forbidden
    assert "url(" not in (LAB / "explorer.css").read_text()


def test_the_explorer_has_the_colours_of_the_static_map():
    import matplotlib

    script = (LAB / "explorer.js").read_text()
    table = re.search(r"const CIVIDIS = \[(.*?)\];", script, re.S)[1]
    stops = np.array(
        [[int(part) for part in stop.split(",")] for stop in re.findall(r"\[([\d, ]+)\]", table)]
    )
    colours = matplotlib.colormaps[plots.maps.WEIGHT_COLOURS](np.linspace(0, 1, len(stops)))
    np.testing.assert_allclose(stops, 255 * colours[:, :3], atol=1)


# ---- in JupyterLab

SETUP = """\
import numpy as np
from course.lab.explorer import explore_attention

def random_weights(*shape):
    scores = np.exp(2 * np.random.default_rng(0).normal(size=shape))
    return scores / scores.sum(-1, keepdims=True)

weights = random_weights(3, 4, 6, 6)
weights[2, 1, 2] = [0.05, 0.61, 0.2, 0.05, 0.05, 0.04]
hostile = "<img src=x onerror='window.broken = 1'>"
shown = explore_attention(weights, ["the", "river", "bank", "was", "muddy", hostile])
shown"""
LARGE = """\
large = explore_attention(random_weights(12, 12, 60, 60), [f"token{n}" for n in range(60)])
large"""

HOVER_FRAMES = """async (root) => {
    const canvas = root.querySelector(".course-explorer-matrix canvas");
    const box = canvas.getBoundingClientRect();
    const start = performance.now();
    for (let n = 0; n < 30; n++) {
        const clientX = box.left + box.width * (0.3 + 0.02 * n);
        const clientY = box.top + box.height / 2;
        canvas.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY }));
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    }
    return (performance.now() - start) / 30;
}"""


def write_notebook(path, *sources):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in sources])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, path)


def test_the_explorer_in_a_real_jupyterlab(tmp_path, note):
    write_notebook(tmp_path / "explore.ipynb", SETUP, "", LARGE)
    root = pathlib.Path(explorer.__file__).parents[2]
    # The widget draws in the next animation frame, which a busy machine shows late: `expect` waits.
    from playwright.sync_api import expect

    with jupyter_lab(tmp_path, env={"PYTHONPATH": str(root)}) as lab:
        notebook = lab.open("explore.ipynb")
        notebook.run_cell(0)
        screen = notebook.cell(0).locator(".course-explorer")
        screen.wait_for()
        readout = screen.locator(".course-explorer-readout")
        spoken = screen.get_by_role("status")
        queries = screen.get_by_role("listbox").get_by_role("option")
        keys = screen.get_by_role("listitem")
        press = notebook.page.keyboard.press
        expect(screen.get_by_text("A weight shows where the layer looked, not why")).to_have_count(
            1
        )

        # Tokens are text, whatever they contain.
        expect(queries.nth(5)).to_have_attribute("title", re.compile("^<img src=x"))
        assert screen.locator("img").count() == 0

        # Hover shows the number; nothing stays selected.
        box = screen.locator(".course-explorer-matrix canvas").bounding_box()
        notebook.page.mouse.move(box["x"] + box["width"] - 20, box["y"] + box["height"] - 20)
        tip = screen.locator(".course-explorer-tip")
        expect(tip).to_have_text(re.compile(r"→ <img src=x.* 0\.\d\d$"))
        queries.nth(1).hover()
        expect(readout).to_have_text(re.compile("^query 'river' attends most to"))
        keys.nth(2).hover()
        expect(readout).to_have_text(re.compile("^key 'bank' is looked at most by"))
        expect(tip).to_be_hidden()

        # Layer and head by their selectors, a query by a click: Python knows.
        screen.get_by_label("Layer", exact=True).select_option("layer 3")
        screen.get_by_label("Head", exact=True).select_option("head 2")
        queries.nth(2).click()
        expect(queries.nth(2)).to_have_attribute("aria-selected", "true")
        expected = "query 'bank' attends most to 'river' 0.61, then to 'bank' 0.20"
        expect(spoken).to_have_text(f"layer 3, head 2: {expected}")
        expect(keys.nth(1)).to_have_text(re.compile(r"^river\s*0\.61$"))
        notebook.set_cell_source(
            1, "if shown.token is not None:\n    print(shown.layer, shown.head, shown.token)"
        )
        assert notebook.run_cell(1).strip() == "2 1 2"

        # The same by keyboard alone, and JupyterLab does not take the keys.
        screen.get_by_label("Head", exact=True).focus()
        press("Tab")
        focused = "() => document.activeElement.getAttribute('role')"
        notebook.page.wait_for_function(f"() => ({focused})() === 'listbox'")
        outline = "() => getComputedStyle(document.activeElement).outlineStyle"
        assert notebook.page.evaluate(outline) == "solid"
        for key in ("ArrowDown", "ArrowDown", "ArrowUp", "ArrowRight", "PageUp"):
            press(key)
        expect(spoken).to_have_text(re.compile("^layer 2, head 3: query 'was' attends most to"))
        expect(screen.get_by_role("listbox")).to_have_attribute(
            "aria-activedescendant", queries.nth(3).get_attribute("id")
        )
        assert notebook.run_cell(1).strip() == "1 2 3"

        # From Python to the screen.
        notebook.set_cell_source(1, "shown.layer, shown.head, shown.token = 0, 3, None")
        notebook.run_cell(1)
        expect(spoken).to_have_text("layer 1, head 4")
        expect(screen.get_by_label("Head", exact=True)).to_have_value("3")

        # Dark theme.
        assert screen.get_attribute("data-dark") is None
        notebook.use_theme("JupyterLab Dark")
        expect(screen).to_have_attribute("data-dark", "")

        # Sixty tokens of twelve by twelve.
        notebook.run_cell(2)
        large = notebook.cell(2).locator(".course-explorer")
        large.wait_for()
        large.locator(".course-explorer-matrix canvas").scroll_into_view_if_needed()
        note(f"explorer, 60 words: {large.evaluate(HOVER_FRAMES):.0f} ms a move of the mouse")
        expect(large.get_by_role("listbox").get_by_role("option")).to_have_count(60)
        assert notebook.problems == []

        # Sent to somebody whose JupyterLab does not trust it, so runs no widget: the picture.
        notebook.save()
        saved = nbformat.read(tmp_path / "explore.ipynb", 4)
        saved.cells.append(nbformat.v4.new_markdown_cell("Changed, so no longer signed."))
        nbformat.write(saved, tmp_path / "again.ipynb")
        assert "<img src=x" not in saved.cells[0].outputs[0].data["text/html"]
        again = lab.open("again.ipynb", kernel=False)
        picture = again.cell(0).locator(".jp-OutputArea-output img")
        picture.wait_for()
        assert picture.get_attribute("alt").startswith("Attention map, Attention explorer: layer 1")
