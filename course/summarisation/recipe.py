"""From documents and summaries to a trained summariser: lesson 04's Transformer on longer pairs."""

import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import keras
from keras import ops

from course import data, decoding, runtime, training
from course.data.registry import REGISTRY
from course.tokens import TokenBatches, Tokenizer
from course.training import InverseSquareRoot
from course.transformer import Transformer
from course.translation import TeacherForcing, pair_batches


@dataclass(frozen=True)
class Recipe(training.Recipe):
    """Every setting of a summarisation run, beside those of `training.Recipe`.

    Attributes:
        vocab_size, kind, lowercase: of the vocabulary, which documents and summaries share.
        num_layers, d_model, num_heads, d_ff, dropout, norm, positions, tie_embeddings: the model's.
        max_tokens: ids of a batch of documents, padding included.
        max_length: ids of a document; what is longer is cut.
        label_smoothing: ε of the loss.
        beta_2: of Adam.
        cooldown_steps: updates at the end over which the learning rate falls to 0.
    """

    warmup_share: ClassVar[float] = 0.2
    classic_warmup_steps: ClassVar[int] = 2000

    max_steps: int | None = 1500
    learning_rate: float = 3e-3
    epsilon: float = 1e-9
    clipnorm: float | None = None
    keep: int = 3
    vocab_size: int = 4000
    kind: str = "bpe"
    lowercase: bool = False
    num_layers: int = 2
    d_model: int = 128
    num_heads: int = 4
    d_ff: int = 256
    dropout: float = 0.1
    norm: str = "pre"
    positions: str = "sinusoidal"
    tie_embeddings: str | bool = "all"
    max_tokens: int = 4096
    max_length: int = 512
    label_smoothing: float = 0.1
    beta_2: float = 0.98
    cooldown_steps: int = 0

    def model(self, vocab_size):
        """The `Transformer` of this recipe."""
        names = "num_layers d_model num_heads d_ff dropout norm positions tie_embeddings max_length"
        settings = {name: getattr(self, name) for name in names.split()}
        sizes = {"source_vocab_size": vocab_size, "target_vocab_size": vocab_size}
        return Transformer(**settings, **sizes, dtype=self.dtype_policy, name="transformer")

    def optimizer(self):
        """Adam with the paper's schedule, scaled so that its largest rate is `learning_rate`."""
        warmup_steps = max(self.warmup_steps, 1)  # a run of a few steps has no share left for it
        scale = self.learning_rate * (self.d_model * warmup_steps) ** 0.5
        schedule = InverseSquareRoot(
            self.d_model, warmup_steps, scale, self.cooldown_steps, self.max_steps
        )
        return keras.optimizers.Adam(
            schedule, 0.9, self.beta_2, self.epsilon, clipnorm=self.clipnorm
        )


def load_summaries(source, split="train"):
    """Documents and their summaries.

    Args:
        source: a name (`course data list`: "world-summaries", "dialogsum"), or the path of a table
            (.csv, .tsv, .jsonl) with the columns "document" and "summary".
        split: "train", "validation" or "test" of a named data set; of a table, the last tenth is
            "validation" and the rest "train".

    Returns:
        A list of dicts with "document", "summary" and "references", a list of strings; and what
        else a named data set has, such as "story_id".

    Raises:
        DataError: if there is no such data set, split or file, or it has no such columns.
    """
    if str(source) in REGISTRY:
        rows = data.load(source, split)
        if not {"document", "summary"} <= rows[0].keys():
            raise data.DataError(
                f"{source} has the columns {', '.join(rows[0])}; expected document and summary, as "
                "world-summaries and dialogsum have them."
            )
    else:
        rows = data.read_table(source, columns=("document", "summary"))
        edge = len(rows) - max(len(rows) // 10, 1)
        rows = {"train": rows[:edge], "validation": rows[edge:]}.get(split, rows)
    return [row | {"references": row.get("references") or [row["summary"]]} for row in rows]


class Summariser:
    """A trained model and its vocabulary: documents in, summaries out.

    Attributes:
        model: the `Transformer`.
        tokenizer: its `Tokenizer`.
        max_length: ids of a document; what is longer is cut.
    """

    def __init__(self, model, tokenizer, max_length=512):
        self.model, self.tokenizer, self.max_length = model, tokenizer, max_length

    def __call__(
        self, documents, *, num_beams=4, length_penalty=1.0, max_new_tokens=80, max_tokens=8192
    ):
        """Summarises documents, similar lengths together; results come in their order.

        Args:
            documents: list of strings.
            num_beams: 1 is greedy.
            length_penalty: see `decoding.beam_search`.
            max_new_tokens: the most tokens of a summary.
            max_tokens: ids of a batch of documents, padding included.

        Returns:
            A list of strings.
        """
        if isinstance(documents, str):
            raise ValueError("a list of documents was expected, and one string came.")
        documents = list(documents)
        sources = [ids[1:] for ids in self.tokenizer.encode_batch(documents)]
        batches = TokenBatches(
            sources,
            max_tokens,
            shuffle=False,
            pad_id=self.tokenizer.pad_id,
            too_long="cut",
            max_length=min(self.max_length, max_tokens),
        )
        pad, start = self.tokenizer.pad_id, self.tokenizer.start_id
        settings = {"start_id": start, "end_id": self.tokenizer.end_id, "pad_id": pad}
        settings |= {
            "suppress_ids": (pad, start),
            "max_length": min(max_new_tokens, self.max_length),
        }
        found = [""] * len(documents)
        for index in range(len(batches)):
            rows, ids = batches.rows(index), batches[index]
            if num_beams == 1:
                out = decoding.greedy(self.model, ids, **settings)
            else:
                more = {"num_beams": num_beams, "length_penalty": length_penalty}
                out = decoding.beam_search(self.model, ids, **more, **settings)[0][:, 0]
            texts = self.tokenizer.decode_batch(ops.convert_to_numpy(out))
            for row, text in zip(rows, texts, strict=True):
                if row >= 0:
                    found[row] = text
        return found


def train_summariser(
    recipe,
    rows,
    output_dir=None,
    *,
    validation=None,
    callbacks=(),
    deterministic=False,
    verbose=0,
):
    """Learns a vocabulary and trains a Transformer to summarise; call it again to go on.

    Args:
        recipe: a `Recipe`.
        rows: list of dicts with "document" and "summary", as `load_summaries` returns them.
        output_dir: where the run lives; None means `recipe.output_dir`.
        validation: rows on which the best checkpoint is chosen.
        callbacks: more Keras callbacks; an epoch is a round of `recipe.round_steps`.
        deterministic: whether operations have to give the same bits in every run. Slower.
        verbose: as Keras' `fit` takes it.

    Returns:
        The `Summariser` and the log (see `training.train`).

    Raises:
        ValueError: if a document or a summary is empty, or the folder holds another run.
    """
    for number, row in enumerate(rows):
        for column in ("document", "summary"):
            if not row[column].strip():
                raise ValueError(f"row {number} has an empty {column}: remove it, or fill it in.")
    folder = recipe.folder(output_dir)
    runtime.seed_everything(recipe.seed, deterministic=deterministic)
    tokenizer = _tokenizer(recipe, rows, folder)
    batches = _batches(recipe, tokenizer, rows, shuffle=True)
    asked, recipe = recipe, recipe.resolved(len(batches), folder)
    model = TeacherForcing(recipe.model(tokenizer.vocab_size), recipe.label_smoothing)
    model.compile(recipe.optimizer(), jit_compile=runtime.jit_compile())
    if validation is not None:
        validation = _batches(recipe, tokenizer, validation, shuffle=False)
    settings = replace(asked, warmup_steps=recipe.warmup_steps).run_settings("patience", "keep")
    log = training.train(
        model,
        batches,
        steps=recipe.max_steps,
        folder=folder,
        round_steps=recipe.round_steps,
        validation=validation,
        monitor="nll" if validation is None else "val_nll",
        patience=recipe.patience,
        keep=recipe.keep,
        settings=settings | {"rows": len(rows)},
        logging_dir=recipe.logging_dir,
        callbacks=callbacks,
        verbose=verbose,
    )
    asked.save(folder)
    return load_summariser(folder, "average" if validation is None else "best"), log


def _batches(recipe, tokenizer, rows, *, shuffle):
    return pair_batches(
        tokenizer,
        [(row["document"], row["summary"]) for row in rows],
        recipe.max_tokens,
        seed=recipe.seed,
        shuffle=shuffle,
        too_long="cut",
        max_length=min(recipe.max_length, recipe.max_tokens),
    )


def _tokenizer(recipe, rows, folder):
    """The vocabulary of an earlier call, or a new one of documents and summaries."""
    if (folder / "tokenizer.json").exists():
        return Tokenizer.load(folder)
    texts = [row[column] for row in rows for column in ("document", "summary")]
    random.Random(recipe.seed).shuffle(texts)
    tokenizer = Tokenizer.learn(texts, recipe.vocab_size, recipe.kind, lowercase=recipe.lowercase)
    tokenizer.save(folder)
    return tokenizer


def load_summariser(folder, which="best"):
    """The summariser of a run's folder.

    Args:
        folder: what `train_summariser` was given.
        which: "best" by validation, "average" of the last checkpoints, or a checkpoint's path.

    Raises:
        FileNotFoundError: if there is no finished run in the folder.
    """
    folder = Path(folder)
    recipe = training.load_recipe(folder, Recipe)
    tokenizer = Tokenizer.load(folder)
    model = TeacherForcing(recipe.model(tokenizer.vocab_size))
    weights = {"average": lambda: training.average(training.checkpoints(folder)[-recipe.keep :])}
    weights["best"] = lambda: folder / "best.safetensors"
    training.load_checkpoint(weights.get(which, lambda: which)(), model)
    return Summariser(model.transformer, tokenizer, recipe.max_length)
