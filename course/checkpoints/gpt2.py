"""GPT-2's layout: what Hugging Face calls its tensors and settings, and its tokenizer (lesson 10).

GPT-2 was written with layers whose kernels are `(in, out)`, as Keras has them, and with the
projections of queries, keys and values side by side in one matrix.
"""

import json
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np

from course import kernels
from course.checkpoints.layout import Place
from course.checkpoints.shards import CheckpointError
from course.tokens import Tokenizer
from course.transformer.feed_forward import gelu_tanh

ACTIVATIONS = {
    "gelu": "gelu",
    "gelu_new": gelu_tanh,
    "gelu_pytorch_tanh": gelu_tanh,
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
END_OF_TEXT = "<|endoftext|>"


class SideBySide(NamedTuple):
    """Where a tensor goes that holds several variables, side by side along its last axis."""

    variables: tuple

    @property
    def shape(self):
        *rest, _ = self.variables[0].shape
        return (*rest, sum(variable.shape[-1] for variable in self.variables))

    def array(self):
        """The variables' numbers as the file has them, float32."""
        return np.concatenate([Place(variable).array() for variable in self.variables], axis=-1)

    def assign(self, array):
        edges = np.cumsum([variable.shape[-1] for variable in self.variables])[:-1]
        for variable, part in zip(self.variables, np.split(array, edges, axis=-1), strict=True):
            variable.assign(part)


def places(model):
    """Where each tensor of GPT-2's layout goes: {name without "transformer.": `Place`}."""
    found = {
        "wte.weight": Place(model.token_embedding.embeddings),
        "wpe.weight": Place(model.position_embedding.embeddings),
    }
    for i, block in enumerate(model.decoder.blocks):
        attention, network = block.self_attention, block.feed_forward
        inputs = [attention.query_dense, attention.key_dense, attention.value_dense]
        found |= _norm(f"h.{i}.ln_1", block.attention_norm)
        found[f"h.{i}.attn.c_attn.weight"] = SideBySide(tuple(x.kernel for x in inputs))
        found[f"h.{i}.attn.c_attn.bias"] = SideBySide(tuple(x.bias for x in inputs))
        found |= _dense(f"h.{i}.attn.c_proj", attention.output_dense)
        found |= _norm(f"h.{i}.ln_2", block.feed_forward_norm)
        found |= _dense(f"h.{i}.mlp.c_fc", network.inner)
        found |= _dense(f"h.{i}.mlp.c_proj", network.outer)
    found |= _norm("ln_f", model.decoder.final_norm)
    if model.output_dense is not None:
        found["lm_head.weight"] = Place(model.output_dense.kernel, True)
    return found


def _dense(name, layer):
    return {f"{name}.weight": Place(layer.kernel), f"{name}.bias": Place(layer.bias)}


def _norm(name, layer):
    return {f"{name}.weight": Place(layer.gamma), f"{name}.bias": Place(layer.beta)}


def plain_name(name):
    """A tensor's name without "transformer."; None for a buffer that holds no weight."""
    name = name.removeprefix("transformer.")
    return None if name.endswith((".attn.bias", ".attn.masked_bias")) else name


def file_name(name):
    """The name of a tensor in the file of a model with its output projection."""
    return name if name.startswith("lm_head.") else f"transformer.{name}"


def settings(config, name):
    """What `CausalLM` takes, from GPT-2's config.json.

    Raises:
        CheckpointError: if the config lacks a size, or asks for what `CausalLM` does not have.
    """
    sizes = ("vocab_size", "n_layer", "n_embd", "n_head", "n_positions")
    lacking = [key for key in sizes if key not in config]
    if lacking:
        raise CheckpointError(f"{name}: config.json lacks {', '.join(lacking)}.")
    odd = {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False}
    for key, usual in odd.items():
        if config.get(key, usual) != usual:
            raise CheckpointError(f"{name}: config.json has {key} = {config[key]}, not {usual}.")
    activation = config.get("activation_function", "gelu_new")
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise CheckpointError(f"{name}: activation_function = {activation!r}; there are {known}.")
    return {
        "vocab_size": config["vocab_size"],
        "num_layers": config["n_layer"],
        "d_model": config["n_embd"],
        "num_heads": config["n_head"],
        "d_ff": config.get("n_inner"),
        "max_length": config["n_positions"],
        "activation": ACTIVATIONS[activation],
        "dropout": config.get("resid_pdrop", 0.1),
        "epsilon": config.get("layer_norm_epsilon", 1e-5),
        "tie_embeddings": config.get("tie_word_embeddings", True),
    }


def config_of(model):
    """GPT-2's config.json for a model.

    Raises:
        ValueError: if the model is not of GPT-2's kind, naming what differs.
    """
    block = model.decoder.blocks[0]
    wanted = {"positions": "learned", "normalization": "layer", "gated": False, "use_bias": True}
    ours = model.get_config()
    differing = [f"{key} = {ours[key]!r}" for key, value in wanted.items() if ours[key] != value]
    if differing:
        raise ValueError(f"GPT-2's layout has no place for {', '.join(differing)}.")
    function = block.feed_forward.inner.activation
    known = {keras.activations.get(each): key for key, each in reversed(ACTIVATIONS.items())}
    known |= {kernels.gelu: "gelu", gelu_tanh: "gelu_new"}
    if function not in known:
        raise ValueError(f"the activation {function} has no name in Hugging Face's config.json.")
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": ours["vocab_size"],
        "n_layer": ours["num_layers"],
        "n_embd": ours["d_model"],
        "n_head": ours["num_heads"],
        "n_inner": ours["d_ff"],
        "n_positions": ours["max_length"],
        "n_ctx": ours["max_length"],
        "activation_function": known[function],
        "resid_pdrop": ours["dropout"],
        "embd_pdrop": ours["dropout"],
        "attn_pdrop": ours["dropout"],
        "layer_norm_epsilon": ours["epsilon"],
        "tie_word_embeddings": ours["tie_embeddings"],
    }


def byte_level_bpe(vocab, merges, special=(END_OF_TEXT,)):
    """GPT-2's tokenizer: BPE over bytes, with the authors' rule for where words begin.

    Args:
        vocab: path of `vocab.json` (OpenAI: `encoder.json`), or its dict {token: id}.
        merges: path of `merges.txt` (OpenAI: `vocab.bpe`), or its list of pairs.
        special: tokens that are not text; those that the vocabulary lacks are left out.

    Returns:
        A `Tokenizer`. It adds no start and no end: encode with `special=False`.

    Raises:
        CheckpointError: if the two do not fit together.

    Reference: Radford et al. 2019, section 2.2.
    """
    from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers
    from tokenizers import Tokenizer as Fast

    if not isinstance(vocab, dict):
        vocab = json.loads(Path(vocab).read_text(encoding="utf-8"))
    if not isinstance(merges, list):
        lines = Path(merges).read_text(encoding="utf-8").split("\n")
        lines = [line for line in lines if line and not line.startswith("#version")]
        merges = [tuple(line.split(" ")) for line in lines]
    try:
        fast = Fast(models.BPE(vocab, merges))
    except Exception as error:  # `tokenizers` raises nothing narrower
        raise CheckpointError(f"the vocabulary and its merges do not fit: {error}") from None
    fast.normalizer = normalizers.Sequence([])  # none: every byte is kept
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    present = [token for token in special if token in vocab]
    fast.add_special_tokens([AddedToken(token, special=True) for token in present])
    return Tokenizer(fast)
