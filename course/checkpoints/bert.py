"""Loads and saves BERT, with every tensor accounted for."""

import json
import sys
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from course import runtime
from course.checkpoints import layout
from course.checkpoints.opening import files_of, no_weights, preset_arrays, read_json
from course.checkpoints.shards import INDEX, SINGLE, CheckpointError, read_tensors, write_tensors
from course.checkpoints.vocabulary import load_tokenizer, save_tokenizer
from course.kernels import gelu
from course.pretraining import BertEncoder, BertForPretraining
from course.transformer.feed_forward import gelu_tanh

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}  # of Hugging Face's config


class Loaded(NamedTuple):
    """What became of tensors that did not all go into the model, names without "bert.".

    Attributes:
        left_out: those of heads that the model does not have.
        fresh: those of the model that keep their random numbers.
    """

    left_out: list
    fresh: list


class _Checkpoint:
    """A checkpoint that was found: the settings of its encoder, its tensors, its `config.json`."""

    def __init__(self, source, revision=None):
        if hasattr(source, "transformer_layers") and hasattr(source, "vocabulary_size"):
            self.name, self.config = type(source).__name__, {}  # keras-hub's BertBackbone
            settings = {name: getattr(source, name) for name in _KERAS_HUB}
            arrays = {w.path: (lambda w=w: keras.ops.convert_to_numpy(w)) for w in source.weights}
            self.settings, self.tensors = _from_preset(settings), layout.from_keras_hub(arrays)
            return
        files = files_of(source, revision)
        self.name, self.config = str(files), read_json(files, "config.json")
        if self.config is None:
            raise (
                no_weights(files)
                if not files.has(SINGLE)
                else CheckpointError(
                    f"{files} has no config.json, which says how large the model is."
                )
            )
        if self.config.get("class_name") == "BertBackbone":
            path = files.get("model.weights.h5")
            if path is None:
                raise no_weights(files)
            self.settings = _from_preset(self.config.get("config", {}))
            self.tensors = layout.from_keras_hub(preset_arrays(path))
            return
        self.settings = bert_settings(self.config, self.name)
        tensors = read_tensors(files.get)
        if tensors is None:
            raise no_weights(files)
        self.tensors = layout.plain(tensors)


_KERAS_HUB = {
    "vocabulary_size": "vocab_size",
    "num_layers": "num_layers",
    "num_heads": "num_heads",
    "hidden_dim": "d_model",
    "intermediate_dim": "d_ff",
    "dropout": "dropout",
    "max_sequence_length": "max_length",
    "num_segments": "segments",
}


def _from_preset(settings):
    """What `BertEncoder` takes, from what keras-hub's `BertBackbone` takes."""
    lacking = [name for name in _KERAS_HUB if name not in settings]
    if lacking:
        raise CheckpointError(f"the preset's config.json lacks {', '.join(lacking)}.")
    return {ours: settings[name] for name, ours in _KERAS_HUB.items()} | {"activation": gelu_tanh}


_HUGGING_FACE = {
    "vocab_size": "vocab_size",
    "num_hidden_layers": "num_layers",
    "hidden_size": "d_model",
    "num_attention_heads": "num_heads",
    "intermediate_size": "d_ff",
    "max_position_embeddings": "max_length",
    "type_vocab_size": "segments",
    "hidden_dropout_prob": "dropout",
    "attention_probs_dropout_prob": "attention_dropout",
    "layer_norm_eps": "epsilon",
    "pad_token_id": "pad_id",
}


def bert_settings(config, name="config.json"):
    """What `BertEncoder` takes, from Hugging Face's `config.json`.

    Args:
        config: a dict.
        name: how messages call it.

    Raises:
        CheckpointError: if it is another kind of model, or its sizes are missing.
    """
    kind, activation = config.get("model_type"), config.get("hidden_act", "gelu")
    if kind != "bert":
        raise CheckpointError(f"{name} is of model_type {kind!r}: only 'bert' can be loaded.")
    odd = {
        "position_embedding_type": ("absolute", None),
        "is_decoder": (False, None),
        "add_cross_attention": (False, None),
    }
    for key, usual in odd.items():
        if config.get(key) not in usual:
            raise CheckpointError(f"{name} has {key} = {config[key]!r}, which BERT does not.")
    if activation not in ACTIVATIONS:
        raise CheckpointError(
            f"{name} has hidden_act = {activation!r}: expected {', '.join(ACTIVATIONS)}."
        )
    usual = {"layer_norm_eps": 1e-12, "pad_token_id": 0, "type_vocab_size": 2}
    usual |= {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
    found = {ours: config.get(key, usual.get(key)) for key, ours in _HUGGING_FACE.items()}
    found["pad_id"] = found["pad_id"] or 0
    lacking = [
        key for key, ours in _HUGGING_FACE.items() if not isinstance(found[ours], int | float)
    ]
    if lacking:
        raise CheckpointError(f"{name} has no number for {', '.join(lacking)}.")
    return found | {"activation": ACTIVATIONS[activation]}


def bert_config(model, labels=None):
    """Hugging Face's `config.json` for a model, as a dict.

    Args:
        model: a `BertEncoder` or a model over one.
        labels: names of a classifier's labels.

    Raises:
        ValueError: if the activation has no name there.
    """
    encoder = layout.encoder_of(model)
    block = encoder.encoder.blocks[0]
    ours = encoder.get_config() | {"attention_dropout": block.self_attention.dropout}
    activation = block.feed_forward.inner.activation
    names = {keras.activations.get(ours): name for name, ours in reversed(ACTIVATIONS.items())}
    names |= {gelu: "gelu", gelu_tanh: "gelu_pytorch_tanh"}
    if activation not in names:
        raise ValueError(f"the activation {activation} has no name in Hugging Face's config.json.")
    config = {key: ours[name] for key, name in _HUGGING_FACE.items()}
    config |= {
        "architectures": [layout.architecture(model)],
        "model_type": "bert",
        "hidden_act": names[activation],
        "dtype": "float32",
        "initializer_range": 0.02,
        "position_embedding_type": "absolute",
    }
    if labels is not None:
        config["id2label"] = {str(i): label for i, label in enumerate(labels)}
        config["label2id"] = {label: i for i, label in enumerate(labels)}
    return config


def _on_stderr(line):
    print(line, file=sys.stderr)


def load_bert(
    source,
    kind=BertEncoder,
    *,
    revision=None,
    fresh=(),
    may_lack=(),
    say=_on_stderr,
    **settings,
):
    """A model with the weights of a checkpoint.

    Args:
        source: a folder or a hub name in Hugging Face's layout, the folder of a keras-hub preset,
            or a keras-hub `BertBackbone`.
        kind: `BertEncoder`, or what takes one and returns a model over it, for example
            `MaskedLanguageModel`.
        revision: a branch, tag or commit on the hub.
        fresh, may_lack, say: see `load_weights`.
        **settings: arguments of `BertEncoder` that are to differ, such as dropout or dtype.

    Returns:
        The model.

    Raises:
        CheckpointError: naming the file that is missing or damaged, or all the tensors that are
            missing, unexpected or of another shape.
    """
    found = _Checkpoint(source, revision)
    encoder = BertEncoder(**found.settings | settings)
    model = encoder if kind is BertEncoder else kind(encoder)
    _load(model, found, fresh, may_lack, say)
    return model


def pretraining_start(source):
    """What `pretraining.pretrain` goes on from: a `BertForPretraining` and its `Tokenizer`.

    Args:
        source: as `load_bert` takes it. Heads that it lacks keep random numbers.

    Raises:
        CheckpointError: as `load_bert`.
    """
    model = load_bert(source, BertForPretraining, may_lack=("pooler", "cls"))
    return model, load_tokenizer(source)


def load_weights(model, source, *, revision=None, fresh=(), may_lack=(), say=_on_stderr):
    """Puts a checkpoint's weights into a model, all of them or none.

    Args:
        model: a `BertEncoder` or a model over one.
        source, revision: see `load_bert`.
        fresh: beginnings of names whose tensors keep their random numbers, whatever the checkpoint
            has, such as "classifier" for a classifier of other labels.
        may_lack: beginnings of names that keep their random numbers if the checkpoint lacks them,
            such as "pooler", which a masked language model does not have.
        say: called with a line if tensors were left out or are fresh; by default it goes to stderr.

    Returns:
        `Loaded`: what was left out of the checkpoint, and what is fresh in the model.

    Raises:
        CheckpointError: as `load_bert`.
    """
    return _load(model, _Checkpoint(source, revision), fresh, may_lack, say)


def _starts(name, parts):
    parts = (parts,) if isinstance(parts, str) else parts
    return any(name == part or name.startswith(f"{part.rstrip('.')}.") for part in parts)


def _load(model, found, fresh, may_lack, say):
    places = layout.places(model)
    kept = {name for name in places if _starts(name, fresh)}
    kept |= {name for name in places if _starts(name, may_lack) and name not in found.tensors}
    wanted = [name for name in places if name not in kept]
    missing = [name for name in wanted if name not in found.tensors]
    left_out = [name for name in found.tensors if name not in wanted]
    of_heads = (*layout.HEADS, *layout.BUFFERS)
    unexpected = [n for n in left_out if not n.startswith(of_heads) and n not in kept]
    shapes = [
        f"{name} is {found.tensors[name].shape}, expected {places[name].shape}"
        for name in wanted
        if name in found.tensors and found.tensors[name].shape != places[name].shape
    ]
    if missing or unexpected or shapes:
        told = {"missing": missing, "unexpected": unexpected, "of another shape": shapes}
        lines = [f"\n  {what} ({len(n)}): {'; '.join(n)}" for what, n in told.items() if n]
        parts = sorted(
            {n.partition(".")[0] for n in (*missing, *shapes)} & {"classifier", "pooler"}
        )
        hint = f"\n  To begin with random numbers there: fresh={parts!r}." if parts else ""
        raise CheckpointError(
            f"{found.name} does not fit {type(model).__name__}; nothing was loaded."
            f"{''.join(lines)}{hint}"
        )
    arrays = {name: np.asarray(found.tensors[name].read(), "float32") for name in wanted}
    broken = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise CheckpointError(
            f"{found.name} is damaged: there are entries that are no numbers in "
            f"{'; '.join(broken)}. Nothing was loaded."
        )
    for name, array in arrays.items():
        places[name].assign(array)
    told = {"has no place for": left_out, "keeps random numbers in": sorted(kept)}
    for what, names in told.items():
        if names:
            say(f"{found.name}: {type(model).__name__} {what} {', '.join(names)}")
    return Loaded(left_out, sorted(kept))


def read_configs(source, *, revision=None):
    """A checkpoint's `config.json` and `tokenizer_config.json` as dicts, empty if there are none.

    Args:
        source, revision: see `load_bert`; not a `BertBackbone`.
    """
    files = files_of(source, revision)
    return tuple(read_json(files, n) or {} for n in ("config.json", "tokenizer_config.json"))


def save_bert(model, folder, *, tokenizer=None, labels=None, max_length=None, max_shard_size="1GB"):
    """Writes a model in Hugging Face's layout, as `transformers` opens it.

    Each file is written whole; `config.json` comes last, so that a folder that a killed run left is
    no checkpoint, and may be written again. `sha256sum -c SHA256SUMS` checks the weights.

    Args:
        model: a `BertEncoder` or a model over one.
        folder: a new one, or one that holds no checkpoint.
        tokenizer: a `Tokenizer`, whose `tokenizer.json` and (WordPiece) `vocab.txt` are written.
        labels: names of a classifier's labels.
        max_length: the longest input that the tokenizer is to make; the model's if None.
        max_shard_size: bytes of a file of weights, as a number or like "200MB".

    Raises:
        ValueError: if the folder holds a checkpoint.
    """
    folder = Path(folder)
    if (folder / "config.json").exists():
        raise ValueError(f"{folder} holds a checkpoint: choose another folder, or delete this one.")
    config = bert_config(model, labels)
    for old in (*folder.glob("model*.safetensors"), folder / INDEX):
        old.unlink(missing_ok=True)  # what a killed run left
    prefix = "" if isinstance(model, BertEncoder) else "bert."
    body = ("embeddings.", "encoder.", "pooler.")
    tensors = {
        (prefix if name.startswith(body) else "") + name: place.array
        for name, place in layout.places(model).items()
    }
    write_tensors(folder, tensors, max_shard_size)
    if tokenizer is not None:
        save_tokenizer(tokenizer, folder, max_length or config["max_position_embeddings"])
    told = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    runtime.write_atomically(folder / "config.json", told.encode())
