"""Loads and saves BERT, RoBERTa and DistilBERT, with every tensor accounted for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from course import runtime
from course.checkpoints import google, keras_hub, layout
from course.checkpoints.config import (
    BERT,
    PROBLEM_TYPES,
    ROBERTA,
    compare_sizes,
    encoder_config,
    encoder_settings,
    model_type,
    model_type_of,
)
from course.checkpoints.opening import files_of, no_config, no_weights, read_json
from course.checkpoints.places import Loaded, fill, on_stderr
from course.checkpoints.shards import INDEX, CheckpointError, read_tensors, write_tensors
from course.checkpoints.vocabulary import load_tokenizer, save_tokenizer
from course.pretraining import BertEncoder, BertForPretraining, MaskedLanguageModel

Parts = str | Iterable[str]
Say = Callable[[str], object] | None


class _Checkpoint:
    """A checkpoint that was found: `config.json`, settings of its encoder, tensors by BERT's names.

    Attributes:
        name: how messages call it.
        kind: its `model_type`.
        masked_head: settings of a `MaskedLanguageModel` that differ from the usual ones.
    """

    def __init__(self, source: Any, revision: str | None = None):
        self.kind, self.config, self.masked_head = BERT, {}, {}
        if keras_hub.is_object(source):
            self.name = type(source).__name__
            self.settings, self.tensors, self.masked_head = keras_hub.from_object(source)
            return
        files = files_of(source, revision)
        self.name = str(files)
        config = read_json(files, "config.json")
        if config is None:
            config = read_json(files, google.CONFIG)
        if config is None:
            raise no_config(files)
        self.config = config
        if "class_name" in config and "model_type" not in config:
            task = read_json(files, "task.json")
            self.settings, tensors, self.masked_head = keras_hub.from_preset(files, config, task)
            if tensors is None:
                raise no_weights(files)
            self.tensors = tensors
        else:
            self._read(files)
        compare_sizes(self.settings, self.kind, self.tensors, self.name)

    def _read(self, files: Any) -> None:
        """What is in Hugging Face's or Google's layout."""
        tensors = read_tensors(files.get)
        if tensors is not None:
            self.kind = model_type_of(self.config, tensors, self.name)
            self.tensors = layout.plain(tensors, self.kind)
        elif prefix := google.prefix_of(files):
            self.tensors = google.read(prefix)
        else:
            model_type_of(self.config, (), self.name)
            raise no_weights(files)
        self.settings = encoder_settings(self.config, self.kind, self.name)
        if layout.is_untied(self.config, self.tensors):
            self.masked_head["tie_word_embeddings"] = False
        if self.kind == ROBERTA and self.config.get("hidden_act", "gelu") != "gelu":
            self.masked_head["activation"] = "gelu"  # whatever its blocks have


def bert_config(
    model, labels: Sequence[str] | None = None, problem_type: str | None = None
) -> dict[str, Any]:
    """Hugging Face's `config.json` for a model, as a dict.

    Args:
        model: a `BertEncoder` or a model over one.
        labels: names of a classifier's labels.
        problem_type: of a classifier: "single_label_classification",
            "multi_label_classification" or "regression"; None leaves it out.

    Raises:
        ValueError: if Hugging Face's layout has no place for such a model.
    """
    encoder = layout.encoder_of(model)
    config = encoder_config(encoder) | {"architectures": [layout.architecture(model)]}
    if (head := layout.masked_head(model)) is not None:
        layout.check_masked_head(head)
        config["tie_word_embeddings"] = head.tie_word_embeddings
    if labels is not None:
        config["id2label"] = {str(i): str(label) for i, label in enumerate(labels)}
        config["label2id"] = {str(label): i for i, label in enumerate(labels)}
    if problem_type is not None:
        if problem_type not in PROBLEM_TYPES:
            raise ValueError(
                f"problem_type = {problem_type!r}: expected one of {', '.join(PROBLEM_TYPES)}."
            )
        config["problem_type"] = problem_type
    if hasattr(model, "classifier") and hasattr(model, "dropout"):
        rate = getattr(model.dropout, "rate", None)
        name = "classifier_dropout" if "hidden_dropout_prob" in config else "seq_classif_dropout"
        config[name] = rate
    return config


def load_bert(
    source: Any,
    kind: Callable[..., Any] = BertEncoder,
    *,
    revision: str | None = None,
    fresh: Parts = (),
    may_lack: Parts = (),
    say: Say = on_stderr,
    **settings: Any,
) -> Any:
    """A model with the weights of a checkpoint: BERT's, RoBERTa's or DistilBERT's.

    Args:
        source: a folder or a hub name in Hugging Face's layout; a folder of Google's, with
            `bert_config.json` and `bert_model.ckpt.*` (TensorFlow has to be installed); the folder
            of a keras-hub preset; or a keras-hub `BertBackbone`, `BertTextClassifier` or
            `BertMaskedLM`.
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
    if kind is BertEncoder:
        model = encoder
    elif kind in (MaskedLanguageModel, BertForPretraining):
        model = kind(encoder, **found.masked_head)
    else:
        model = kind(encoder)
    _load(model, found, fresh, may_lack, say)
    return model


def pretraining_start(source: Any) -> tuple[BertForPretraining, Any]:
    """What `pretraining.pretrain` goes on from: a `BertForPretraining` and its `Tokenizer`.

    Args:
        source: as `load_bert` takes it. Heads that it lacks keep random numbers.

    Raises:
        CheckpointError: as `load_bert`; and for RoBERTa and DistilBERT, whose layout has no place
            for the next-sentence head.
    """
    model = load_bert(source, BertForPretraining, may_lack=("pooler", "cls"))
    kind = model_type(model.encoder)
    if kind != BERT:
        raise CheckpointError(
            f"{source} is of model_type {kind!r}, which has no next-sentence head: BERT's "
            "pretraining cannot go on from it. Choose a BERT; for this one fine-tune it instead."
        )
    return model, load_tokenizer(source)


def load_weights(
    model,
    source: Any,
    *,
    revision: str | None = None,
    fresh: Parts = (),
    may_lack: Parts = (),
    say: Say = on_stderr,
) -> Loaded:
    """Puts a checkpoint's weights into a model, all of them or none.

    Names are BERT's whatever the architecture: the layer before a classifier is "pooler", the
    masked language model's head is "cls.predictions".

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


def _load(model, found: _Checkpoint, fresh: Parts, may_lack: Parts, say: Say) -> Loaded:
    encoder = layout.encoder_of(model)
    have, of = model_type(encoder), found.kind
    if have != of:
        raise CheckpointError(
            f"{found.name} is of model_type {of!r}, and the encoder has the settings of a {have}: "
            f"make it with checkpoints.load_bert({found.name!r}, …), which takes them from there."
        )
    parts = (may_lack,) if isinstance(may_lack, str) else tuple(may_lack)
    if of == "distilbert" and isinstance(model, BertEncoder):
        parts += ("pooler",)  # DistilBERT itself has none
    places = layout.places(model)
    return fill(
        places,
        layout.settle_output(found.tensors, model, found.name),
        source=found.name,
        model=type(model).__name__,
        fresh=fresh,
        may_lack=parts,
        heads=(*layout.HEADS, *layout.BUFFERS),
        say=say,
        file_name=layout.labelled(of, "classifier.weight" in places),
    )


def read_configs(source: Any, *, revision: str | None = None) -> tuple[dict, dict]:
    """A checkpoint's `config.json` and `tokenizer_config.json` as dicts, empty if there are none.

    Args:
        source, revision: see `load_bert`; not a keras-hub model.
    """
    files = files_of(source, revision)
    config, tokenizer = (read_json(files, n) for n in ("config.json", "tokenizer_config.json"))
    return config or read_json(files, google.CONFIG) or {}, tokenizer or {}


def save_bert(
    model,
    folder: str | Path,
    *,
    tokenizer=None,
    labels: Sequence[str] | None = None,
    problem_type: str | None = None,
    max_length: int | None = None,
    max_shard_size: int | str = "1GB",
) -> None:
    """Writes a model in Hugging Face's layout, as `transformers` opens it.

    Each file is written whole; `config.json` comes last, so that a folder that a killed run left is
    no checkpoint, and may be written again. `sha256sum -c SHA256SUMS` checks the weights.

    Args:
        model: a `BertEncoder` or a model over one; with RoBERTa's or DistilBERT's settings it is
            written as that.
        folder: a new one, or one that holds no checkpoint.
        tokenizer: a `Tokenizer`, whose `tokenizer.json` and (WordPiece) `vocab.txt` are written.
        labels: names of a classifier's labels.
        problem_type: see `bert_config`.
        max_length: the longest input that the tokenizer is to make; the model's if None.
        max_shard_size: bytes of a file of weights, as a number or like "200MB".

    Raises:
        ValueError: if the folder holds a checkpoint, or Hugging Face's layout has no place for such
            a model.
    """
    folder = Path(folder)
    if (folder / "config.json").exists():
        raise ValueError(f"{folder} holds a checkpoint: choose another folder, or delete this one.")
    config = bert_config(model, labels, problem_type)
    for old in (*folder.glob("model*.safetensors"), folder / INDEX):
        old.unlink(missing_ok=True)  # what a killed run left
    places = layout.places(model)
    tensors = {made: places[name].array for name, made in layout.file_names(model).items()}
    write_tensors(folder, tensors, max_shard_size)
    if tokenizer is not None:
        longest = layout.encoder_of(model).max_length
        save_tokenizer(tokenizer, folder, max_length or longest, config["model_type"])
    text = json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    runtime.write_atomically(folder / "config.json", text.encode())
