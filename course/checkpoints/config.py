"""`config.json`: how large an encoder is, what its head answers, in Hugging Face's words.

Three architectures are read and written, by their `model_type`: "bert", "roberta" and "distilbert".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import keras

from course.checkpoints.shards import CheckpointError, Tensor
from course.kernels import gelu
from course.transformer.feed_forward import gelu_tanh

BERT, ROBERTA, DISTILBERT = MODEL_TYPES = ("bert", "roberta", "distilbert")


@keras.saving.register_keras_serializable("course")
def gelu_new(x):
    """`gelu_tanh` under the name that Hugging Face's older configurations have for it."""
    return gelu_tanh(x)


ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": gelu_new,
    "gelu_pytorch_tanh": gelu_tanh,
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}  # of Hugging Face's config, and what `BertEncoder` takes

_BERT = {
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
_DISTILBERT = {
    "vocab_size": "vocab_size",
    "n_layers": "num_layers",
    "dim": "d_model",
    "n_heads": "num_heads",
    "hidden_dim": "d_ff",
    "max_position_embeddings": "max_length",
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "pad_token_id": "pad_id",
}
_KEYS = {BERT: _BERT, ROBERTA: _BERT, DISTILBERT: _DISTILBERT}
_OTHER_KEYS = {"n_layers": "num_hidden_layers", "dim": "hidden_size"}
_OTHER_KEYS |= {"n_heads": "num_attention_heads"}  # `transformers` takes these too
# What `transformers` takes for keys that a file leaves out. Sizes have to be there.
_USUAL = {
    "layer_norm_eps": 1e-12,
    "type_vocab_size": 2,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "dropout": 0.1,
    "attention_dropout": 0.1,
}
_PAD = {BERT: 0, ROBERTA: 1, DISTILBERT: 0}
_ONLY = {
    "position_embedding_type": ("absolute", None),
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
    "embedding_size": (None,),  # ELECTRA's, under BERT's name
}
_RATES = {"dropout", "attention_dropout"}
PROBLEM_TYPES = ("single_label_classification", "multi_label_classification", "regression")


class Head(NamedTuple):
    """What a classifier's config.json says of its answers.

    Attributes:
        labels: their names, in the order of the logits.
        problem_type: "single_label_classification" (a softmax), "multi_label_classification" (a
            sigmoid for each label) or "regression" (the number itself).
        dropout: rate before the last layer, or None for the encoder's.
    """

    labels: tuple[str, ...]
    problem_type: str
    dropout: float | None


def model_type_of(config: Mapping[str, Any], tensors: Iterable[str], name: str) -> str:
    """Which architecture a checkpoint has: its `model_type`, or what else tells it.

    Files of 2018 and 2019 have no `model_type` (hfl's Chinese BERT, FinBERT): then `architectures`
    says it, else the names of the tensors, else it is BERT.

    Args:
        config: the `config.json`.
        tensors: names of the tensors.
        name: how messages call the checkpoint.

    Raises:
        CheckpointError: if it is none of the three.
    """
    kind, prefixes = config.get("model_type"), [each.partition(".")[0] for each in tensors]
    if kind in MODEL_TYPES:
        odd = [each for each in MODEL_TYPES if each in prefixes and each != kind]
        if odd:
            raise CheckpointError(
                f"{name} is of model_type {kind!r} in its config.json, and its weights are named "
                f"{odd[0]}.…: they do not belong together. Get both again."
            )
        return str(kind)
    if kind is not None:
        raise CheckpointError(
            f"{name} is of model_type {kind!r}: {', '.join(map(repr, MODEL_TYPES))} can be loaded. "
            "Choose a checkpoint of one of these; to read another kind, use `transformers`."
        )
    named = config.get("architectures")
    told = [str(each).lower() for each in named] if isinstance(named, list) else []
    for each in (*told, *prefixes):
        for known in (DISTILBERT, ROBERTA, BERT):
            if each.startswith(known):
                return known
    if told and isinstance(named, list) and named:
        raise CheckpointError(
            f"{name} has no model_type, and its architectures are {named!r}: expected a BERT, "
            'RoBERTa or DistilBERT. If it is one, write "model_type" into its config.json.'
        )
    return DISTILBERT if "n_layers" in config and "dim" in config else BERT


def encoder_settings(config: Mapping[str, Any], kind: str, name: str) -> dict[str, Any]:
    """What `BertEncoder` takes, from Hugging Face's `config.json`.

    Args:
        config: a dict.
        kind: its `model_type`, see `model_type_of`.
        name: how messages call it.

    Raises:
        CheckpointError: naming the keys that are missing, or that BERT cannot have.
    """
    for key, usual in _ONLY.items():
        if key in config and config[key] not in usual:
            if key == "embedding_size" and config[key] == config.get("hidden_size"):
                continue
            raise CheckpointError(
                f"{name} has {key} = {config[key]!r}, which BERT does not: such a model cannot be "
                "loaded here. Use `transformers` for it."
            )
    keys = _KEYS[kind]
    activation_key = "activation" if kind == DISTILBERT else "hidden_act"
    activation = config.get(activation_key, config.get("hidden_act", "gelu"))
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise CheckpointError(
            f"{name} has {activation_key} = {activation!r}: expected one of "
            f"{', '.join(ACTIVATIONS)}."
        )
    found = {}
    for key, ours in keys.items():
        value = config.get(key, config.get(_OTHER_KEYS.get(key, key), _USUAL.get(key)))
        if key == "pad_token_id":
            value = _PAD[kind] if key not in config else (value or 0)
        found[ours] = value
    _numbers_only(found, {ours: key for key, ours in keys.items()}, name)
    if kind == ROBERTA:  # the first rows of its table are for padding
        offset = found["pad_id"] + 1
        found |= {"max_length": found["max_length"] - offset, "position_offset": offset}
        if found["max_length"] < 1:
            raise CheckpointError(
                f"{name} has max_position_embeddings = {config['max_position_embeddings']}, of "
                f"which RoBERTa keeps pad_token_id + 1 = {offset} for padding: no position is left."
            )
    if kind == DISTILBERT:
        found |= {"segments": 0, "epsilon": 1e-12, "pooler_activation": "relu"}
    return found | {"activation": ACTIVATIONS[activation]}


def _numbers_only(found: Mapping[str, Any], keys: Mapping[str, str], name: str) -> None:
    """Refuses what is no size, no rate or no number at all."""

    def is_number(value):
        return isinstance(value, int | float) and not isinstance(value, bool)

    lacking = [keys[ours] for ours, value in found.items() if not is_number(value)]
    if lacking:
        given = "".join(f" {key} is {found[ours]!r}." for ours, key in keys.items()
                        if key in lacking and found[ours] is not None)  # fmt: skip
        raise CheckpointError(
            f"{name} has no number for {', '.join(lacking)}.{given} Get its config.json again, "
            "or write them in."
        )
    for ours, value in found.items():
        key = keys[ours]
        if ours in _RATES:
            good, expected = 0 <= value < 1, "a rate from 0 to below 1"
        elif ours == "epsilon":
            good, expected = 0 < value < 1, "a small number above 0"
        else:
            least = 0 if ours in ("pad_id", "segments") else 1
            good = math.isfinite(value) and value == int(value) and value >= least
            expected = f"a whole number, at least {least}"
        if not good:
            raise CheckpointError(f"{name} has {key} = {value!r}: expected {expected}.")
    if found["d_model"] % found["num_heads"]:
        raise CheckpointError(
            f"{name} has {keys['d_model']} = {found['d_model']} and {keys['num_heads']} = "
            f"{found['num_heads']}: the heads do not divide the width."
        )
    if found["pad_id"] >= found["vocab_size"]:
        raise CheckpointError(
            f"{name} has pad_token_id = {found['pad_id']}, which is no id of a vocabulary of "
            f"{found['vocab_size']}."
        )


def compare_sizes(
    settings: Mapping[str, Any], kind: str, tensors: Mapping[str, Tensor], name: str
) -> None:
    """Compares the sizes of a config.json with those of the weights, before a model is made.

    Args:
        settings: see `encoder_settings`.
        kind: the `model_type`.
        tensors: {BERT's name: `Tensor`}.
        name: how messages call the checkpoint.

    Raises:
        CheckpointError: naming each size that is another.
    """
    keys = {ours: key for key, ours in _KEYS[kind].items()}
    tables = {
        "embeddings.word_embeddings.weight": ("vocab_size", "d_model"),
        "embeddings.position_embeddings.weight": ("max_length", None),
        "embeddings.token_type_embeddings.weight": ("segments", None),
        "encoder.layer.0.intermediate.dense.bias": ("d_ff",),
    }
    odd = []
    for tensor, axes in tables.items():
        if tensor not in tensors or len(tensors[tensor].shape) != len(axes):
            continue
        for ours, size in zip(axes, tensors[tensor].shape, strict=True):
            if ours not in keys:
                continue
            said = settings[ours] + (settings.get("position_offset", 0) * (ours == "max_length"))
            if said != size:
                odd.append(f"{keys[ours]} = {said} and its weights have {size}")
    blocks = {name.split(".")[2] for name in tensors if name.startswith("encoder.layer.")}
    layers = 1 + max((int(number) for number in blocks if number.isdecimal()), default=-1)
    if settings["num_layers"] > layers:
        odd.append(f"{keys['num_layers']} = {settings['num_layers']} and its weights have {layers}")
    if odd:
        raise CheckpointError(
            f"{name}: its config.json says {'; '.join(odd)}. They do not belong together: get both "
            "again."
        )


def head_settings(config: Mapping[str, Any], name: str = "config.json") -> Head:
    """What a classifier's `config.json` says of its answers.

    Args:
        config: a dict.
        name: how messages call it.

    Returns:
        A `Head`. Where `problem_type` is missing it is, as in `transformers`' pipeline, regression
        for one label and single-label classification for more.

    Raises:
        CheckpointError: if the names of the labels or the kind of problem make no sense.
    """
    names = config.get("id2label")
    if names is None:
        number = config.get("num_labels", 2)
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number < 10**6:
            raise CheckpointError(f"{name} has num_labels = {number!r}: expected a whole number.")
        labels = [f"LABEL_{i}" for i in range(number)]
    else:
        try:
            if not isinstance(names, dict | list):
                raise TypeError
            labels = [
                str(names[str(i)] if str(i) in names else names[i]) for i in range(len(names))
            ]
            if not labels:
                raise KeyError
        except (KeyError, TypeError, IndexError):
            raise CheckpointError(
                f"{name} has id2label = {_short(names)}: expected a name for each number from 0, "
                'such as {"0": "negative", "1": "positive"}.'
            ) from None
    usual = "regression" if len(labels) == 1 else PROBLEM_TYPES[0]
    problem = config.get("problem_type") or usual
    if problem not in PROBLEM_TYPES:
        raise CheckpointError(
            f"{name} has problem_type = {problem!r}: expected one of {', '.join(PROBLEM_TYPES)}."
        )
    rate = config.get("classifier_dropout", config.get("seq_classif_dropout"))
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float)):
        raise CheckpointError(f"{name} has classifier_dropout = {rate!r}: expected a rate or null.")
    if rate is not None and not 0 <= rate < 1:
        raise CheckpointError(f"{name} has classifier_dropout = {rate!r}: expected 0 to below 1.")
    return Head(tuple(labels), problem, rate)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) < 80 else text[:77] + "…"


def encoder_config(encoder) -> dict[str, Any]:
    """Hugging Face's `config.json` for a `BertEncoder`, as a dict, without a head's part.

    Raises:
        ValueError: if the activation has no name there.
    """
    kind = model_type(encoder)
    block = encoder.encoder.blocks[0]
    ours = encoder.get_config() | {"attention_dropout": block.self_attention.dropout}
    if kind == ROBERTA:
        ours["max_length"] += encoder.position_offset
    activation = block.feed_forward.inner.activation
    names = {keras.activations.get(ours): name for name, ours in reversed(ACTIVATIONS.items())}
    names |= {gelu: "gelu"}
    if activation not in names:
        raise ValueError(
            f"the activation {activation} has no name in Hugging Face's config.json: expected one "
            f"of {', '.join(ACTIVATIONS)}."
        )
    config = {key: ours[name] for key, name in _KEYS[kind].items()}
    config |= {"model_type": kind, "dtype": "float32", "initializer_range": 0.02}
    config["activation" if kind == DISTILBERT else "hidden_act"] = names[activation]
    if kind == DISTILBERT:
        config |= {"tie_weights_": True, "sinusoidal_pos_embds": False}
    else:
        config["position_embedding_type"] = "absolute"
    return config


def model_type(encoder) -> str:
    """Which architecture a `BertEncoder` is, by its settings.

    Raises:
        ValueError: if none of the three has such settings.
    """
    settings = encoder.get_config()
    told = {name: settings.get(name) for name in ("segments", "position_offset")}
    pooler = settings.get("pooler_activation") or "tanh"
    if not told["segments"]:
        if not told["position_offset"] and pooler == "relu" and settings["epsilon"] == 1e-12:
            return DISTILBERT
    elif pooler == "tanh":
        if not told["position_offset"]:
            return BERT
        if told["position_offset"] == settings["pad_id"] + 1:
            return ROBERTA
    told |= {"pooler_activation": pooler, "epsilon": settings["epsilon"]}
    raise ValueError(
        f"an encoder with {', '.join(f'{k} = {v!r}' for k, v in told.items())} is neither a BERT "
        "nor a RoBERTa nor a DistilBERT, so that Hugging Face's layout has no place for it."
    )
