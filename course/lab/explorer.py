"""The attention explorer: any layer and head of a model's attention, as lines and as a matrix.

A widget (anywidget, so JupyterLab and Colab alike) with no network and no JavaScript library. Where
widgets are off, the same object shows the static map of `course.lab.plots` instead.
"""

import pathlib

import numpy as np

from course.lab.plots import attention_map, check_attention, to_array

try:
    import anywidget
    import traitlets
except ImportError:  # a bare kernel: explore_attention then answers with the static map
    anywidget = None

WARNING = "A weight shows where the layer looked, not why it decided."


def explore_attention(
    weights, query_tokens, key_tokens=None, *, layer_names=None, title="Attention explorer"
):
    """Shows attention weights to look around in, with mouse or keyboard.

    Args:
        weights: `(query, key)`, `(heads, query, key)` or `(layers, heads, query, key)`, or a list
            with `(heads, query, key)` of each layer; NumPy arrays or Keras tensors, in 0..1.
        query_tokens: list of strings, one for each query.
        key_tokens: list of strings, one for each key; None means `query_tokens`.
        layer_names: list of strings, one for each layer; None means "layer 1", "layer 2", …
        title: what is shown.

    Returns:
        An `AttentionExplorer`; without anywidget the static map, a `Picture`.

    Raises:
        ValueError: if shapes, token counts and names disagree or a weight is NaN or outside 0..1.
        TypeError: if tokens are no list.
    """
    stack, query_tokens, key_tokens = _stack(weights, query_tokens, key_tokens)
    layer_names = _check_names(layer_names, len(stack))
    if anywidget is None:
        print("The explorer needs the package anywidget, which is not installed: a static map.")
        name = f"{title}: {layer_names[0]}" if len(stack) > 1 else title
        return attention_map(stack[0], query_tokens, key_tokens, title=name)
    return AttentionExplorer(
        query_tokens=query_tokens,
        key_tokens=key_tokens,
        layer_names=layer_names,
        title=title,
        _warning=WARNING,
        _shape=list(stack.shape),
        _weights=np.ascontiguousarray(stack, dtype="<f4").tobytes(),
    )


if anywidget is not None:

    class AttentionExplorer(anywidget.AnyWidget):
        """The widget behind `explore_attention`.

        What is selected in the notebook can be read, and set, from Python. The three count from
        0, as `weights[layer, head, token]` does; on the screen heads count from 1.

        Attributes:
            layer: index of the layer shown.
            head: index of the head shown.
            token: index of the query that was clicked, or None.
        """

        _esm = pathlib.Path(__file__).parent / "explorer.js"
        _css = pathlib.Path(__file__).parent / "explorer.css"
        # ipywidgets 7 (Colab) would show itself through this method and drop the static map.
        _ipython_display_ = None

        layer = traitlets.Int(0).tag(sync=True)
        head = traitlets.Int(0).tag(sync=True)
        token = traitlets.Int(None, allow_none=True).tag(sync=True)
        query_tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
        key_tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
        layer_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
        title = traitlets.Unicode().tag(sync=True)
        _warning = traitlets.Unicode().tag(sync=True)
        # Numbers travel as little-endian float32 bytes: 12 layers of 12 heads over 60 tokens are
        # 2 MB, a tenth of what they are as JSON.
        _shape = traitlets.List(traitlets.Int(), [1, 1, 0, 0]).tag(sync=True)
        _weights = traitlets.Bytes().tag(sync=True)

        @property
        def weights(self):
            """What is shown, a float32 array `(layers, heads, query, key)`."""
            return np.frombuffer(self._weights, dtype="<f4").reshape(self._shape)

        @traitlets.validate("layer", "head", "token")
        def _within_the_weights(self, proposal):
            name, value = proposal["trait"].name, proposal["value"]
            count = self._shape[("layer", "head", "token").index(name)]
            if value is not None and not 0 <= value < max(count, 1):
                raise traitlets.TraitError(
                    f"{name} is {value}, expected 0 to {count - 1}: it counts from 0."
                )
            return value

        def static_map(self):
            """Draws the layer and head now selected as a static map.

            Returns:
                A `Picture`.
            """
            name = f"{self.title}: {self.layer_names[self.layer]}, head {self.head + 1}"
            shown = self.weights[self.layer, self.head]
            return attention_map(shown, self.query_tokens, self.key_tokens, title=name)

        def _repr_mimebundle_(self, **kwargs):
            bundle = super()._repr_mimebundle_(**kwargs)
            if bundle is None:
                return None
            data, metadata = bundle
            picture, picture_metadata = self.static_map()._repr_mimebundle_()
            return {**data, **picture}, {**picture_metadata, **metadata}


def _stack(weights, query_tokens, key_tokens):
    """The weights as (layers, heads, query, key), and both token lists, all checked."""
    if isinstance(weights, list | tuple) and weights and np.ndim(weights[0]) >= 2:
        layers = [to_array(layer, f"weights[{n}]") for n, layer in enumerate(weights)]
        shapes = [layer.shape for layer in layers]
        if len(set(shapes)) > 1:
            raise ValueError(
                f"weights has layers of shapes {', '.join(map(str, dict.fromkeys(shapes)))}, "
                "expected one shape for all. Explore them one by one."
            )
        if layers[0].ndim == 4 and layers[0].shape[0] == 1:
            layers = [layer[0] for layer in layers]  # one sentence in its batch, as layers return
        weights = np.stack([layer[None] if layer.ndim == 2 else layer for layer in layers])
    weights, query_tokens, key_tokens = check_attention(weights, query_tokens, key_tokens)
    return weights[(None,) * (4 - weights.ndim)], query_tokens, key_tokens


def _check_names(layer_names, count):
    if layer_names is None:
        return [f"layer {number}" for number in range(1, count + 1)]
    if isinstance(layer_names, str) or len(layer_names) != count:
        raise ValueError(
            f"layer_names is {layer_names!r}, expected a list of {count}, one name for each layer."
        )
    return [str(name) for name in layer_names]
