"""Google's own BERT checkpoints: `bert_model.ckpt.*` beside `bert_config.json`.

TensorFlow writes them and reads them, so that it has to be installed. Their "gelu" is read as
`transformers` reads it, the exact one; the authors' later code computes it through tanh, which is
`load_bert(folder, activation=checkpoints.gelu_tanh)`.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from course import runtime
from course.checkpoints.shards import CheckpointError, Tensor
from course.checkpoints.signatures import what_it_is

CONFIG, PREFIX = "bert_config.json", "bert_model.ckpt"
_SLOTS = re.compile(r"(^|/)(adam_[mv]|AdamWeightDecayOptimizer(_\d+)?|beta[12]_power|global_step)$")
_NAMES = {
    "cls/predictions/output_bias": "cls.predictions.bias",
    "cls/seq_relationship/output_weights": "cls.seq_relationship.weight",
    "cls/seq_relationship/output_bias": "cls.seq_relationship.bias",
    "cls/squad/output_weights": "qa_outputs.weight",
    "cls/squad/output_bias": "qa_outputs.bias",
    "output_weights": "classifier.weight",  # run_classifier.py's
    "output_bias": "classifier.bias",
}


def prefix_of(files) -> Path | None:
    """The path before ".index" and ".data-…" of a folder's TensorFlow checkpoint, or None.

    Args:
        files: see `opening.files_of`.

    Raises:
        CheckpointError: if a folder has several and none has the usual name.
    """
    if index := files.get(f"{PREFIX}.index"):
        files.get(f"{PREFIX}.data-00000-of-00001")  # from the hub
        return Path(index).with_suffix("")
    found = [Path(each).with_suffix("") for each in files.glob("*.index")]
    found = [path for path in found if next(path.parent.glob(f"{path.name}.data-*"), None)]
    if len(found) > 1:
        raise CheckpointError(
            f"{files} has the checkpoints {', '.join(path.name for path in found)}: keep one of "
            f"them in a folder of its own, with {CONFIG}."
        )
    return found[0] if found else None


def read(prefix: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint, without those of its optimizer.

    Args:
        prefix: the path before ".index".

    Returns:
        {BERT's name, without "bert.": `Tensor`}.

    Raises:
        CheckpointError: if TensorFlow is not installed, or cannot read it.
    """
    if not runtime.installed("tensorflow"):
        raise CheckpointError(
            f"{prefix} is a checkpoint of TensorFlow, which has to be installed to read it: pip "
            "install tensorflow. The backend may be another one."
        )
    data = sorted(prefix.parent.glob(f"{prefix.name}.data-*"))
    if not data:
        raise CheckpointError(
            f"{prefix}.data-00000-of-00001 is missing beside {prefix.name}.index: it has the "
            "numbers. Get it again."
        )
    for path in (prefix.with_name(f"{prefix.name}.index"), *data):
        if (kind := what_it_is(path)) is not None:
            raise CheckpointError(f"{path} is no part of a TensorFlow checkpoint: it is {kind}.")
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(prefix))
        shapes = reader.get_variable_to_shape_map()
    except Exception as error:  # its reader raises many kinds, IndexError too
        raise CheckpointError(_damaged(prefix, error)) from None

    def tensor(name: str, transposed: bool) -> Tensor:
        def numbers() -> np.ndarray:
            try:
                array = reader.get_tensor(name)
            except Exception as error:  # as above
                raise CheckpointError(_damaged(prefix, error)) from None
            return array.T if transposed else array

        shape = tuple(shapes[name])
        return Tensor(shape[::-1] if transposed else shape, numbers)

    found = {}
    for name in sorted(shapes):
        if not _SLOTS.search(name):
            made = plain_name(name)
            found[made] = tensor(name, name.endswith("/kernel"))
    if any(name.startswith("_CHECKPOINTABLE_OBJECT_GRAPH") for name in found):
        raise CheckpointError(
            f"{prefix} was saved by TensorFlow 2 from objects (as the TensorFlow Model Garden "
            "does): only checkpoints of google-research/bert can be read, whose variables are "
            "named like bert/embeddings/word_embeddings."
        )
    return found


def _damaged(prefix: Path, error: Exception) -> str:
    told = str(error).strip().split("\n")[0]
    return f"TensorFlow cannot read {prefix}: it is cut off or damaged ({told}). Get it again."


def plain_name(name: str) -> str:
    """BERT's name of a variable: "bert/encoder/layer_0/…/kernel" is "encoder.layer.0.….weight"."""
    if name in _NAMES:
        return _NAMES[name]
    made = re.sub(r"(^|/)layer_(\d+)/", r"\1layer.\2/", name.removeprefix("bert/"))
    made = made.replace("/", ".")
    made = re.sub(r"\.(kernel|gamma)$", ".weight", made)
    made = re.sub(r"\.beta$", ".bias", made)
    return re.sub(r"(embeddings\.\w+_embeddings)$", r"\1.weight", made)
