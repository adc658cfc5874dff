"""keras-hub's BERT: its backbone and task models, as objects and as the folders of presets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from course.checkpoints.shards import CheckpointError, Tensor
from course.checkpoints.signatures import what_it_is
from course.transformer.feed_forward import gelu_tanh

BACKBONE, CLASSIFIER, MASKED_LM = "BertBackbone", "BertTextClassifier", "BertMaskedLM"
Arrays = Mapping[str, Callable[[], np.ndarray]]

_SETTINGS = {
    "vocabulary_size": "vocab_size",
    "num_layers": "num_layers",
    "num_heads": "num_heads",
    "hidden_dim": "d_model",
    "intermediate_dim": "d_ff",
    "dropout": "dropout",
    "max_sequence_length": "max_length",
    "num_segments": "segments",
}
# Its masked language model has Keras' defaults between, not those of its backbone.
MASKED_HEAD = {"activation": "gelu", "epsilon": 1e-5}
_TABLES = {
    "token_embedding/embeddings": "embeddings.word_embeddings.weight",
    "layers/reversible_embedding/vars/0": "embeddings.word_embeddings.weight",
    "position_embedding/embeddings": "embeddings.position_embeddings.weight",
    "layers/position_embedding/vars/0": "embeddings.position_embeddings.weight",
    "segment_embedding/embeddings": "embeddings.token_type_embeddings.weight",
    "layers/embedding/vars/0": "embeddings.token_type_embeddings.weight",
    "mlm_head/output_bias": "cls.predictions.bias",
    "layers/masked_lm_head/vars/0": "cls.predictions.bias",
}
_LAYERS = {
    "embeddings_layer_norm": "embeddings.LayerNorm",
    "layers/layer_normalization": "embeddings.LayerNorm",
    "pooled_dense": "pooler.dense",
    "layers/dense": "pooler.dense",
    "logits": "classifier",
    "mlm_head/intermediate_dense": "cls.predictions.transform.dense",
    "mlm_head/intermediate_layer_norm": "cls.predictions.transform.LayerNorm",
    "layers/masked_lm_head/_intermediate_dense": "cls.predictions.transform.dense",
    "layers/masked_lm_head/_intermediate_layer_norm": "cls.predictions.transform.LayerNorm",
}
_BLOCK = {
    "self_attention_layer/query": "attention.self.query",
    "self_attention_layer/key": "attention.self.key",
    "self_attention_layer/value": "attention.self.value",
    "self_attention_layer/attention_output": "attention.output.dense",
    "self_attention_layer/query_dense": "attention.self.query",
    "self_attention_layer/key_dense": "attention.self.key",
    "self_attention_layer/value_dense": "attention.self.value",
    "self_attention_layer/output_dense": "attention.output.dense",
    "self_attention_layer_norm": "attention.output.LayerNorm",
    "feedforward_intermediate_dense": "intermediate.dense",
    "feedforward_output_dense": "output.dense",
    "feedforward_layer_norm": "output.LayerNorm",
}
_ENDS = {"kernel": "weight", "gamma": "weight", "bias": "bias", "beta": "bias"}
_ENDS |= {"0": "weight", "1": "bias"}  # in the file


def is_object(source: object) -> bool:
    """Whether this is a model of keras-hub: a backbone, or a task over one."""
    backbone = getattr(source, "backbone", source)
    return hasattr(backbone, "transformer_layers") and hasattr(backbone, "vocabulary_size")


def from_object(source: Any) -> tuple[dict[str, Any], dict[str, Tensor], dict[str, Any]]:
    """What a keras-hub model holds.

    Args:
        source: a `BertBackbone`, `BertTextClassifier` or `BertMaskedLM`.

    Returns:
        Settings of `BertEncoder`, {BERT's name: `Tensor`}, settings of a masked language model.

    Raises:
        CheckpointError: if it is another kind of model.
    """
    kind, backbone = type(source).__name__, getattr(source, "backbone", source)
    if type(backbone).__name__ != BACKBONE or kind not in (BACKBONE, CLASSIFIER, MASKED_LM):
        raise CheckpointError(_another(kind))
    settings = {name: getattr(backbone, name) for name in _SETTINGS}
    arrays = {w.path: (lambda w=w: keras.ops.convert_to_numpy(w)) for w in source.weights}
    return encoder_settings(settings, kind), tensors(arrays), MASKED_HEAD.copy()


def from_preset(
    files: Any, config: Mapping[str, Any], task: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, Tensor] | None, dict[str, Any]]:
    """What the folder of a preset holds: as `from_object`, None for the tensors if it has none.

    Args:
        files: see `opening.files_of`.
        config: its `config.json`.
        task: its `task.json`, or None.

    Raises:
        CheckpointError: if it is of another kind, or damaged.
    """
    kind, of = config.get("class_name"), str(files)
    if kind != BACKBONE:
        raise CheckpointError(f"{of}: {_another(kind)}")
    inner = config.get("config")
    settings = encoder_settings(inner if isinstance(inner, dict) else {}, f"{of}: config.json")
    path = files.get("model.weights.h5")
    if path is None:
        return settings, None, {}
    found, head = tensors(read_hdf5(path)), files.get("task.weights.h5")
    kind = (task or {}).get("class_name")
    if head is not None and kind in (CLASSIFIER, MASKED_LM):
        arrays = {name: a for name, a in read_hdf5(head).items() if name.startswith("layers/")}
        if kind == CLASSIFIER:
            arrays = {name.replace("layers/dense/", "logits/"): a for name, a in arrays.items()}
        found |= tensors(arrays)
    return settings, found, MASKED_HEAD.copy() if kind == MASKED_LM else {}


def _another(kind: object) -> str:
    return (
        f"it is keras-hub's {kind}: of keras-hub {BACKBONE}, {CLASSIFIER} and {MASKED_LM} can be "
        "loaded."
    )


def encoder_settings(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What `BertEncoder` takes, from what keras-hub's `BertBackbone` takes.

    Raises:
        CheckpointError: naming what is missing.
    """
    lacking = [
        each
        for each in _SETTINGS
        if not isinstance(settings.get(each), int | float) or isinstance(settings[each], bool)
    ]
    if lacking:
        raise CheckpointError(f"{name} has no number for {', '.join(lacking)}. Get it again.")
    return {ours: settings[each] for each, ours in _SETTINGS.items()} | {"activation": gelu_tanh}


def tensors(arrays: Arrays) -> dict[str, Tensor]:
    """{a variable's path in keras-hub: function that returns it} → {BERT's name: `Tensor`}.

    Paths are those of a `BertBackbone`'s variables, such as
    "transformer_layer_0/self_attention_layer/query/kernel", or those of its file,
    "layers/transformer_encoder/_self_attention_layer/query_dense/vars/0".
    """
    found = {}
    for path, read in arrays.items():
        if path in _TABLES:
            found[_TABLES[path]] = _tensor(read)
            continue
        block = re.fullmatch(
            r"(?:transformer_layer_(\d+)|layers/transformer_encoder(?:_(\d+))?)/(.*)", path
        )
        rest = block[3] if block else path
        layer, _, end = rest.replace("/vars/", "/").rpartition("/")
        name = _BLOCK.get(layer.removeprefix("_")) if block else _LAYERS.get(layer)
        if name is None or end not in _ENDS:
            found[path] = _tensor(read)  # unknown: it will be told as unexpected
            continue
        if block:
            name = f"encoder.layer.{block[1] or block[2] or 0}.{name}"
        linear = _ENDS[end] == "weight" and not name.endswith("LayerNorm")
        found[f"{name}.{_ENDS[end]}"] = _tensor(read, name, linear)
    return found


def _tensor(read: Callable[[], np.ndarray], name: str = "", linear: bool = False) -> Tensor:
    """A `Tensor` in Hugging Face's shape: heads merged, kernels transposed."""
    array = merged = read()
    if "attention" in name and not name.endswith("LayerNorm"):
        if linear and array.ndim == 3:
            heads_last = name.endswith("output.dense")  # (heads, d_head, d_model), else the reverse
            merged = array.reshape((-1, array.shape[-1]) if heads_last else (array.shape[0], -1))
        elif array.ndim == 2 and not linear:
            merged = array.reshape(-1)  # (heads, d_head): a bias
    merged = merged.T if linear else merged
    return Tensor(merged.shape, lambda: merged)


def read_hdf5(path: str | Path) -> dict[str, Callable[[], np.ndarray]]:
    """{path of a variable: function that returns it} of a preset's HDF5 file.

    Raises:
        CheckpointError: if it is cut off, damaged, or another kind of file.
    """
    import h5py

    arrays = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            value = item[()]
            arrays[name] = lambda: value

    try:
        with h5py.File(path) as file:
            file.visititems(visit)
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        kind = what_it_is(path)
        if kind not in (None, "an HDF5 file"):
            raise CheckpointError(f"{path} is no HDF5 file: it is {kind}.") from None
        raise CheckpointError(
            f"{path} is cut off, damaged, or no HDF5 file ({error}). Get it again."
        ) from None
    return arrays
