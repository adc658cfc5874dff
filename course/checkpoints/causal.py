"""Causal language models in and out: GPT-2's and Llama's layouts, and llama2.c's (lesson 10)."""

import json
from pathlib import Path

import numpy as np

from course import runtime
from course.checkpoints import gpt2, llama
from course.checkpoints.opening import files_of, no_weights, read_json
from course.checkpoints.shards import INDEX, CheckpointError, read_tensors, write_tensors
from course.checkpoints.vocabulary import load_tokenizer, save_tokenizer
from course.language_modelling.model import CausalLM

LAYOUTS = {"gpt2": gpt2, "llama": llama}  # by the config's model_type


def load_causal_lm(source, *, revision=None, **settings):
    """A causal language model with the weights of a checkpoint in GPT-2's or Llama's layout.

    Args:
        source: a folder or a hub name.
        revision: a branch, tag or commit on the hub.
        **settings: arguments of `CausalLM` that are to differ, such as dropout or dtype.

    Returns:
        A `CausalLM`.

    Raises:
        CheckpointError: naming the file that is missing or damaged, the setting that cannot be
            followed, or all the tensors that are missing, unexpected or of another shape.

    Example:
        >>> model = load_causal_lm("openai-community/gpt2")
    """
    files = files_of(source, revision)
    config = read_json(files, "config.json")
    if config is None:
        raise CheckpointError(f"{files} has no config.json, which says how large the model is.")
    kind = config.get("model_type")
    if kind not in LAYOUTS:
        raise CheckpointError(
            f"{files}: config.json has model_type = {kind!r}; causal language models are read of "
            f"{' and '.join(LAYOUTS)}. For BERT there is load_bert."
        )
    layout = LAYOUTS[kind]
    wanted = layout.settings(config, str(files))
    tensors = read_tensors(files.get)
    if tensors is None:
        raise no_weights(files)
    named = {layout.plain_name(name): tensor for name, tensor in tensors.items()}
    named.pop(None, None)
    model = CausalLM(**wanted | settings)
    if model.output_dense is None:
        _check_tied(named, layout, model, files)
    fill(model, layout.places(model), named, str(files))
    return model


def _check_tied(named, layout, model, files):
    """Takes out the copy of a tied output projection.

    Raises:
        CheckpointError: if it is no copy.
    """
    copy = named.pop("lm_head.weight", None)
    if copy is None:
        return
    embedding = next(iter(layout.places(model)))  # the token embedding comes first in both layouts
    if embedding in named and not np.array_equal(copy.read(), named[embedding].read()):
        raise CheckpointError(
            f"{files}: config.json says that the output projection is the embedding, and "
            "lm_head.weight has other numbers: pass tie_embeddings=False."
        )


def fill(model, places, tensors, name):
    """Puts tensors into a model's variables, all of them or none.

    Args:
        model: the model, for the message.
        places: {name: `Place`}.
        tensors: {name: `Tensor`}.
        name: what the checkpoint is called in messages.

    Raises:
        CheckpointError: naming all the tensors that are missing, unexpected, of another shape, or
            not numbers.
    """
    shapes = [
        f"{n} is {tensors[n].shape}, expected {tuple(place.shape)}"
        for n, place in places.items()
        if n in tensors and tuple(tensors[n].shape) != tuple(place.shape)
    ]
    faults = {
        "missing": [n for n in places if n not in tensors],
        "unexpected": [n for n in tensors if n not in places],
        "of another shape": shapes,
    }
    if any(faults.values()):
        lines = [f"\n  {what} ({len(n)}): {'; '.join(n)}" for what, n in faults.items() if n]
        raise CheckpointError(
            f"{name} does not fit {type(model).__name__}; nothing was loaded.{''.join(lines)}"
        )
    arrays = {n: np.asarray(tensors[n].read(), "float32") for n in places}
    broken = [n for n, array in arrays.items() if not np.isfinite(array).all()]
    if broken:
        raise CheckpointError(
            f"{name} is damaged: there are entries that are no numbers in {'; '.join(broken)}. "
            "Nothing was loaded."
        )
    for n, place in places.items():
        place.assign(arrays[n])


def layout_of(model):
    """The layout that a `CausalLM` is saved in: `gpt2` or `llama`."""
    return llama if model.positions == "rotary" else gpt2


def save_causal_lm(model, folder, *, tokenizer=None, end_id=None, max_shard_size="1GB"):
    """Writes a model in GPT-2's or Llama's layout, as `transformers` opens it.

    Each file is written whole; `config.json` comes last, so that a folder that a killed run left is
    no checkpoint, and may be written again.

    Args:
        model: a `CausalLM` of GPT-2's or Llama's kind.
        folder: a new one, or one that holds no checkpoint.
        tokenizer: a `Tokenizer`, written beside it.
        end_id: the id that ends a text; `generate` stops there.
        max_shard_size: bytes of a file of weights, as a number or like "200MB".

    Raises:
        ValueError: if the folder holds a checkpoint, or the model is of neither kind.
    """
    folder, layout = Path(folder), layout_of(model)
    if (folder / "config.json").exists():
        raise ValueError(f"{folder} holds a checkpoint: choose another folder, or delete this one.")
    ids = {} if end_id is None else {"eos_token_id": end_id, "bos_token_id": end_id}
    config = layout.config_of(model) | ids | {"dtype": "float32", "pad_token_id": model.pad_id}
    for old in (*folder.glob("model*.safetensors"), folder / INDEX):
        old.unlink(missing_ok=True)  # what a killed run left
    places = layout.places(model)
    tensors = {layout.file_name(name): place.array for name, place in places.items()}
    write_tensors(folder, tensors, max_shard_size)
    if tokenizer is not None:
        save_tokenizer(tokenizer, folder, model.max_length)
    told = json.dumps(config, indent=2, sort_keys=True) + "\n"
    runtime.write_atomically(folder / "config.json", told.encode())


def load_causal_tokenizer(source, *, revision=None):
    """The `Tokenizer` beside a causal language model.

    Args:
        source, revision: see `load_causal_lm`. GPT-2's `vocab.json` and `merges.txt` are read where
            there is no `tokenizer.json`.

    Raises:
        CheckpointError: if there is none that can be read.
    """
    files = files_of(source, revision)
    vocab, merges = files.get("vocab.json"), files.get("merges.txt")
    if files.get("tokenizer.json") is None and vocab is not None and merges is not None:
        return gpt2.byte_level_bpe(vocab, merges)
    return load_tokenizer(files)
